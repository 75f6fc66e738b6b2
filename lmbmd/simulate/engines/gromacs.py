"""A box in GROMACS, from the same parameter set, positions and topology as OpenMM would have, for computers without a
GPU, where it is several times quicker (``benchmarks/gromacs.py`` compares the two).

The box is built by ``lmbmd.box.build`` and written down by ``lmbmd.box.export``, whose energies the tests compare with
those of OpenMM. Langevin dynamics, stochastic cell rescaling (Bernetti and Bussi, doi:10.1063/5.0020514), rigid bonds
to hydrogen and repartitioned masses, as in OpenMM; the drift that the pair list lets through is held to a tenth of
GROMACS' default.
"""

from __future__ import annotations

import math
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from lmbmd.box.build import build_box
from lmbmd.box.formats.gromacs import gromacs_files
from lmbmd.box.read import Box, read_box
from lmbmd.core.units import ANGSTROM3_PER_CM3, ANGSTROM_PER_NM, AVOGADRO_PER_MOL, DEBYE_PER_E_A
from lmbmd.data.library import Species
from lmbmd.data.systemxml import read_system
from lmbmd.data.terms import nonbonded_force
from lmbmd.forcefield.parameters import ParameterSet
from lmbmd.formulation.composition import Composition
from lmbmd.simulate.engines import mechanics
from lmbmd.simulate.lock import holding
from lmbmd.simulate.protocol import RunSpec

#: From the packed box to one that bears the run's time step.
SETTLE_PS, SETTLE_STEP_FS, SETTLE_SAMPLE_PS, SETTLE_BAROSTAT_PS = 20.0, 2.0, 0.4, 2.0
EWALD_TOLERANCE, DRIFT_KJ_MOL_PS = 1e-5, 0.0005
#: A small box of molecules with flexible bonds breathes with the barostat, and heats, if this is as short as usual.
BAROSTAT_PS = 10.0
DEBYE_PER_E_NM = DEBYE_PER_E_A * ANGSTROM_PER_NM
#: Iterations and order of LINCS. One iteration heats 4 fs and heavy hydrogens: DMC by 50 kJ/mol per ps in 1,000 atoms,
#: 2 K at a friction of 1/ps; AN bursts without friction.
LINCS = 2, 6
MDP = (
    f"""lincs-iter = {LINCS[0]}
lincs-order = {LINCS[1]}
"""
    """integrator = sd
dt = {step_ps}
nsteps = {steps}
cutoff-scheme = Verlet
coulombtype = PME
rcoulomb = {cutoff_nm}
ewald-rtol = {ewald}
fourier-nx = {grid}
fourier-ny = {grid}
fourier-nz = {grid}
pme-order = 4
vdwtype = Cut-off
vdw-modifier = Potential-switch
rvdw = {cutoff_nm}
rvdw-switch = {switch_nm}
DispCorr = EnerPres
constraints = {constraints}
tc-grps = System
tau-t = {tau_ps}
ref-t = {temperature_K}
pcoupl = {barostat}
tau-p = {barostat_ps}
ref-p = {pressure_bar}
compressibility = 1e-4
nstcalcenergy = {every}
nstenergy = {every}
nstlog = {every}
nstxout-compressed = {every}
continuation = {go_on}
"""
)


def pure(species: Species, n_molecules: int, volume_A3: float) -> Composition:
    """A cube of one kind of molecule, as ``lmbmd.formulation`` would compose it."""
    return Composition(
        formulation=species.name,
        recipe_sha256="",
        counts={species.name: n_molecules},
        roles={species.name: "solvent"},
        charges={species.name: species.charge},
        ingredients=(),
        asked_realised=(),
        n_atoms=n_molecules * species.n_atoms,
        box_edge_A=volume_A3 ** (1 / 3),
        density_g_cm3=n_molecules * species.molar_mass_g_mol / AVOGADRO_PER_MOL * ANGSTROM3_PER_CM3 / volume_A3,
        force_field="",
        ion_charge_scale=1.0,
        seed=0,
    )


@contextmanager
def owned(folder: Path, fingerprint: str) -> Iterator[None]:
    """Be the only writer of the folder inside the block. It is emptied first unless what lies there rests on the same.

    Raises:
        LmbmdError: if another process writes to it.
    """
    mark = folder / "fingerprint"
    with holding(folder, print):
        if not mark.is_file() or mark.read_text(encoding="utf-8") != fingerprint:
            for path in folder.iterdir():
                if path.is_dir():
                    shutil.rmtree(path)
                elif not path.name.startswith("lock."):
                    path.unlink()
            mark.write_text(fingerprint, encoding="utf-8")
        yield


def write_box(
    folder: Path, parameters: ParameterSet, composition: Composition, spec: RunSpec, ion_charge_scale: float = 1.0
) -> None:
    """``conf.gro`` of a packed box, and last ``topol.top`` with the masses of the run."""
    build_box(composition, parameters, ion_charge_scale=ion_charge_scale, seed=spec.seeds.velocities, out_dir=folder)
    flexible = read_system(folder / "system.xml")
    masses = mechanics.masses_amu(mechanics.prepare(flexible, spec, 1)).tolist()
    files = gromacs_files(with_masses(read_box(folder), masses))
    for name in ("minim.mdp", "conf.gro", "topol.top"):
        (folder / name).write_text(files[name], encoding="utf-8")


def with_masses(box: Box, masses_amu: list[float]) -> Box:
    """A box whose species have the masses that the first molecule of each has in the run."""
    species, first = list(box.species), 0
    for s, count in box.runs:
        size = len(species[s].masses)
        species[s] = replace(species[s], masses=masses_amu[first : first + size])
        first += count * size
    return replace(box, species=species)


def simulate(
    folder: Path, spec: RunSpec, length_ps: float, sample_ps: float, seconds: float = math.inf
) -> np.ndarray | None:
    """Density (g/cm³), potential and kinetic energy (kJ/mol) and the box's dipole (e nm), one row a sample.

    Goes on where it was stopped; None if it is not complete after about ``seconds``. The first samples are not
    equilibrated. ``OMP_NUM_THREADS`` says how many threads to use, one if it is not set.
    """
    if not (folder / "settled.gro").is_file():
        grompp(folder, "minim", "conf.gro")
        gmx(folder, mdrun("minim"))
        (folder / "settled.mdp").write_text(
            mdp(folder, spec, SETTLE_STEP_FS, SETTLE_PS, SETTLE_SAMPLE_PS, SETTLE_BAROSTAT_PS), encoding="utf-8"
        )
        grompp(folder, "settled", "minim.gro")
        gmx(folder, mdrun("settled"))
    if not (folder / "run.tpr").is_file():
        text = mdp(folder, spec, spec.timestep_fs, length_ps, sample_ps, BAROSTAT_PS)
        (folder / "run.mdp").write_text(text, encoding="utf-8")
        grompp(folder, "run", "settled.gro")
    if not (folder / "run.gro").is_file() or _energies(folder)[-1, 0] < length_ps - 1e-6:
        go_on(folder, length_ps, seconds)
    energies = _energies(folder)
    dipoles = table(folder, ["dipoles", "-f", "run.xtc", "-s", "run.tpr"], "0\n")
    n = min(len(energies), len(dipoles))
    if (n - 1) * sample_ps < length_ps - 1e-6:
        return None
    # Columns of energies: time, then the terms in GROMACS' own order, whatever was asked first.
    _, potential, kinetic, density = energies[1:n].T
    return np.column_stack([density / 1000, potential, kinetic, dipoles[1:n, 1:4] / DEBYE_PER_E_NM])


def _energies(folder: Path) -> np.ndarray:
    return table(folder, ["energy", "-f", "run.edr"], "Density\nPotential\nKinetic-En.\n")


def mdp(folder: Path, spec: RunSpec, step_fs: float, length_ps: float, sample_ps: float, barostat_ps: float) -> str:
    """Settings of a run of the box in ``folder``: those of the simulate stage, as far as GROMACS has them."""
    system = read_system(folder / "system.xml")
    nonbonded = nonbonded_force(system)
    edge_nm = system.getDefaultPeriodicBoxVectors()[0][0]._value
    cutoff_nm = nonbonded.getCutoffDistance()._value
    text = MDP.format(
        step_ps=step_fs / 1000,
        steps=round(1000 * length_ps / step_fs),
        every=round(1000 * sample_ps / step_fs),
        cutoff_nm=cutoff_nm,
        switch_nm=nonbonded.getSwitchingDistance()._value,
        ewald=EWALD_TOLERANCE,
        grid=pme(nonbonded.getEwaldErrorTolerance(), cutoff_nm, edge_nm)[1],
        constraints=spec.constraints,
        tau_ps=1 / spec.friction_per_ps,
        barostat="C-rescale",
        barostat_ps=barostat_ps,
        temperature_K=spec.temperature_K,
        pressure_bar=spec.pressure_bar,
        go_on="no",
    )
    return f"{text}verlet-buffer-tolerance = {DRIFT_KJ_MOL_PS}\nld-seed = {spec.seeds.velocities % 2**31}\n"


def go_on(folder: Path, length_ps: float, seconds: float) -> None:
    """Run ``run.tpr`` until it is so long, from its checkpoint if there is one; stop after about ``seconds``."""
    gmx(folder, ["convert-tpr", "-s", "run.tpr", "-until", f"{length_ps:g}", "-o", "run.tpr"])
    limit = ["-maxh", f"{max(seconds, 1) / 3600:g}"] if math.isfinite(seconds) else []
    gmx(folder, [*mdrun("run"), "-cpi", "run.cpt", "-cpt", "2", *limit])


def grompp(folder: Path, name: str, positions: str) -> None:
    """Make ``NAME.tpr`` of ``NAME.mdp``, ``topol.top`` and a file of positions."""
    files = ["-f", f"{name}.mdp", "-c", positions, "-o", f"{name}.tpr"]
    gmx(folder, ["grompp", "-p", "topol.top", *files, "-maxwarn", "5"])


def mdrun(name: str) -> list[str]:
    """The command that runs ``NAME.tpr``."""
    threads = ["-ntmpi", "1", "-ntomp", os.environ.get("OMP_NUM_THREADS", "1"), "-pin", "off"]
    return ["mdrun", "-s", f"{name}.tpr", "-deffnm", name, "-nb", "cpu", *threads]


def table(folder: Path, command: list[str], answer: str) -> np.ndarray:
    """What one of GROMACS' programs writes, told ``answer`` where it asks; the first column is the time in ps."""
    gmx(folder, [*command, "-o", f"{command[0]}.xvg"], answer)
    return np.loadtxt(folder / f"{command[0]}.xvg", comments=("#", "@"))


def energies_again(folder: Path, trajectory: Path) -> np.ndarray:
    """Potential energy (kJ/mol) that the topology in ``folder`` gives each frame of a trajectory."""
    grompp(folder, "run", "settled.gro")
    gmx(folder, [*mdrun("run"), "-rerun", str(trajectory)])
    return table(folder, ["energy", "-f", "run.edr"], "Potential\n")[:, 1]


def gmx(folder: Path, command: list[str], answer: str = "") -> None:
    """Run one of GROMACS' programs in a folder, telling it ``answer`` where it asks."""
    done = subprocess.run(
        ["gmx", "-nobackup", *command], cwd=folder, input=answer, capture_output=True, encoding="utf-8", check=False
    )
    if done.returncode:
        raise RuntimeError(f"gmx {command[0]} in {folder}:\n{done.stderr[-3000:]}")


def pme(tolerance: float, cutoff_nm: float, edge_nm: float) -> tuple[float, int]:
    """Width (1/nm) and grid points along an edge of PME in OpenMM, by the rule in its user's guide."""
    width_per_nm = math.sqrt(-math.log(2 * tolerance)) / cutoff_nm
    least = math.ceil(2 * width_per_nm * edge_nm / (3 * tolerance**0.2))
    return width_per_nm, next(n for n in range(least, 2 * least) if _fast(n))


def _fast(n: int) -> bool:
    """Whether a Fourier transform of n points is quick: no prime factor above seven."""
    for factor in (2, 3, 5, 7):
        while n % factor == 0:
            n //= factor
    return n == 1
