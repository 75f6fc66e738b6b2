"""Self-diffusion and viscosity of pure liquids in a force field, from GROMACS at constant volume.

    lmbmd validate transport                    run what is missing of the liquids that have a reference
    lmbmd validate transport --only AN DX       only these liquids
    lmbmd validate transport --ps 2000          longer, for smaller errors
    lmbmd validate transport --natural          2 fs and natural hydrogens, to see what 4 fs and heavy ones cost
    lmbmd validate transport --minutes 5        stop after about five minutes; call again to go on

Needs `gmx`. A run starts where the liquid's own GROMACS run of constant pressure ended (it is made if it is missing),
in a box scaled to the mean density of the set. Langevin friction would slow molecules down, so the temperature is that
of stochastic velocity rescaling (Bussi et al., doi:10.1063/1.2408420), which acts on all velocities alike; all else is
as in `liquids.py`. Heavier hydrogens leave the mass of a molecule alone but not how it turns: 4 fs with them is what
lmbmd's own runs do, whose dynamics are judged here, and ``--natural`` is what to compare with.

What a run says is worked out as for a study (docs/theory/motion.md): no lag and no window is typed, and a run that is
too short for a number has a bound or none.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import openmm
from MDAnalysis.lib.formats.libmdaxdr import XTCFile

from lmbmd.analysis.dynamics.coefficients import deviators, diffusion_m2_s
from lmbmd.analysis.dynamics.found import Found, Stress, own_slope, unbounded, viscosity_of
from lmbmd.core.provenance import canonical_json, sha256_of
from lmbmd.data.library import load_library
from lmbmd.forcefield.parameters import ParameterSet
from lmbmd.numbers.doubt import remark
from lmbmd.numbers.sequences import particles
from lmbmd.simulate.engines import gromacs
from lmbmd.validation import liquids, plan
from lmbmd.validation.liquids import Run
from lmbmd.validation.plan import LIQUIDS, MOVING, NATURAL, SET, SETS, WORK
from lmbmd.validation.results import LIQUID, Row

LIQUID_PS, SETTLE_PS, NVT_PS, THERMOSTAT_PS = 80.0, 20.0, 640.0, 1.0
#: Of the pressure: stretching bonds must not look constant, and none has this period (4170/cm) or a multiple of it.
STRESS_PS = 0.008
FRAME_PS = 0.4


@dataclass(frozen=True)
class Transport(Run):
    """The run at constant volume that follows a liquid's own."""

    engine: str = "gromacs"

    @property
    def liquid(self) -> Run:
        return Run(self.species, self.timestep_fs, self.repartitioned, self.atoms, self.set_name, self.engine)

    @property
    def name(self) -> str:
        return f"{self.liquid.name}-transport"

    @property
    def fingerprint(self) -> str:
        facts = [self.liquid.fingerprint, SETTLE_PS, THERMOSTAT_PS, STRESS_PS, FRAME_PS, *gromacs.LINCS]
        return sha256_of(canonical_json(facts).encode())


@dataclass(frozen=True)
class Measured:
    """What a run says of how a liquid moves: m²/s and mPa s."""

    diffusion: Found  # in the periodic box
    diffusion_unbounded: Found  # corrected to an infinite one
    viscosity: Found
    length_ps: float

    def __str__(self) -> str:
        numbers = {"viscosity": (self.viscosity, "mPa s")}
        numbers |= {"self-diffusion in the box": (self.diffusion, "m²/s")}
        numbers |= {"self-diffusion": (self.diffusion_unbounded, "m²/s")}
        lines = [f"{self.length_ps:g} ps"]
        for name, (found, unit) in numbers.items():
            value, error = found.value, found.estimate.error
            known = f"{value:.3g} ± {error:.2g} {unit}" if np.isfinite(value) else ""
            lines.append(f"{name}: " + "; ".join(filter(None, [known, remark(found.doubt, value, error)])))
        return "\n  ".join(lines)


def simulate(run: Transport, work: Path, ps: float, deadline: float) -> bool:
    """Run, or go on with, a liquid at constant volume; stored when it is as long as asked for, and then True."""
    found = load(run, work)
    if found and len(found[0]) * FRAME_PS >= ps - 1e-6:
        return True
    if not liquids.simulate(run.liquid, work, deadline, LIQUID_PS):
        return False
    folder = run.place(work) / run.name
    with gromacs.owned(folder, run.fingerprint):
        if not (folder / "run.tpr").is_file():
            _write_start(run, work, folder)
        centres, stress = _series(folder, run)
        if len(centres) * FRAME_PS < ps - 1e-6:
            gromacs.go_on(folder, SETTLE_PS + ps, deadline - time.monotonic())
            centres, stress = _series(folder, run)
    if len(centres) * FRAME_PS < ps - 1e-6:
        return False
    arrays = {"centres_nm": centres, "stress_bar": stress, "edge_nm": np.array(_edge_nm(folder / "start.gro"))}
    liquids.write_arrays(run.place(work) / f"{run.name}.npz", run, **arrays)
    return True


def _series(folder: Path, run: Transport) -> tuple[np.ndarray, np.ndarray]:
    """Centres of mass (nm) and pressures (bar) of what has run since it settled, as long as each other."""
    if not (folder / "run.cpt").is_file():
        return np.empty((0, 0, 3)), np.empty((0, 5))
    centres = mass_centres(folder / "run.xtc", run.parameters, run.species)[round(SETTLE_PS / FRAME_PS) + 1 :]
    stress = stresses(folder)[round(SETTLE_PS / STRESS_PS) + 1 :].astype(np.float32)
    per_frame = round(FRAME_PS / STRESS_PS)
    frames = min(len(centres), len(stress) // per_frame)
    return centres[:frames], stress[: frames * per_frame]


def stresses(folder: Path) -> np.ndarray:
    """Deviators of the pressure (bar) of all that ``run.edr`` holds, shape (samples, 5)."""
    asked = "Pres-XX\nPres-YY\nPres-ZZ\nPres-XY\nPres-XZ\nPres-YZ\n"
    _, xx, xy, xz, yy, yz, zz = gromacs.table(folder, ["energy", "-f", "run.edr"], asked).T  # in GROMACS' own order
    return deviators(np.column_stack([xx, yy, zz, xy, xz, yz]))


def _write_start(run: Transport, work: Path, folder: Path) -> None:
    """``run.tpr``: the box that the liquid's run ended with, scaled to the set's mean density."""
    source = run.place(work) / run.liquid.name
    for name in ("topol.top", "system.xml"):
        shutil.copy(source / name, folder)
    found = liquids.longest(run.liquid, work)
    assert found is not None, "the liquid's own run is complete"
    mean = found.density_g_cm3.value
    mass_amu = run.n_molecules * load_library().species[run.species].molar_mass_g_mol
    edge_nm = (mass_amu * plan.G_CM3_PER_AMU_NM3 / mean) ** (1 / 3)
    scale = [f"{edge_nm / _edge_nm(source / 'run.gro'):.8f}"] * 3
    gromacs.gmx(folder, ["editconf", "-f", str(source.absolute() / "run.gro"), "-o", "start.gro", "-scale", *scale])
    text = gromacs.mdp(folder, liquids.spec(run), run.timestep_fs, SETTLE_PS, FRAME_PS, 1.0)
    every = round(1000 * STRESS_PS / run.timestep_fs)
    settings = dict(line.split(" = ") for line in text.strip().splitlines()) | {
        "integrator": "md",
        "tcoupl": "v-rescale",
        "tau-t": THERMOSTAT_PS,
        "pcoupl": "no",
        "nstcalcenergy": every,
        "nstenergy": every,
    }
    lines = [f"{key} = {value}\n" for key, value in settings.items()]
    (folder / "run.mdp").write_text("".join(lines), encoding="utf-8")
    gromacs.grompp(folder, "run", "start.gro")


def _edge_nm(path: Path) -> float:
    return float(path.read_text(encoding="utf-8").split("\n")[-2].split()[0])


def followed(trajectory: Path) -> np.ndarray:
    """Atoms' positions through a trajectory in a cube that does not change, nm, shape (frames, atoms, 3).

    From frame to frame to their nearest image: where an atom starts is known up to the box's edge, how far it has come
    exactly.
    """
    with XTCFile(str(trajectory)) as frames:
        positions, edges = zip(*((frame.x.copy(), frame.box[0, 0]) for frame in frames), strict=True)
    steps = np.diff(positions, axis=0)
    steps -= edges[0] * np.round(steps / edges[0])
    return np.concatenate([positions[:1], positions[0] + np.cumsum(steps, axis=0)])


def mass_centres(trajectory: Path, parameters: ParameterSet, species: str) -> np.ndarray:
    """Centres of mass of molecules of one kind, as their atoms are followed, nm, shape (frames, molecules, 3)."""
    path, system = followed(trajectory), parameters.system(species)
    mass = np.array([system.getParticleMass(i).value_in_unit(openmm.unit.amu) for i in range(system.getNumParticles())])
    return np.einsum("fmai,a->fmi", path.reshape(len(path), -1, len(mass), 3), mass / mass.sum())


def load(run: Transport, work: Path) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Centres of mass (nm), pressures (bar) and box edge (nm) of a stored run of this fingerprint."""
    path = run.place(work) / f"{run.name}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as data:
            if str(data["fingerprint"]) == run.fingerprint:
                return data["centres_nm"], data["stress_bar"], float(data["edge_nm"])
    return None


def measure(run: Transport, work: Path) -> Measured | None:
    """Self-diffusion and viscosity of a stored run, as a study would tell them; None if there is none."""
    stored = load(run, work)
    if stored is None:
        return None
    centres, stress, edge_nm = stored
    return told(centres, FRAME_PS, stress, STRESS_PS, edge_nm, run.temperature_K)


def told(
    centres_nm: np.ndarray,
    frame_ps: float,
    stress_bar: np.ndarray,
    stress_ps: float,
    edge_nm: float,
    temperature_K: float,
) -> Measured:
    """How molecules that are all alike move in a cube.

    Args:
        centres_nm: of mass, followed, (frames, molecules, 3).
        stress_bar: deviators of the pressure, (samples, 5).
    """
    # The mean of all centres is that of the whole box, whose drift is no motion in it.
    path = particles(10 * (centres_nm - centres_nm.mean(axis=1, keepdims=True)), frame_ps)
    diffusion = own_slope([path]).times(diffusion_m2_s(1.0))
    viscosity = viscosity_of([Stress.of(stress_bar, (10 * edge_nm) ** 3, stress_ps)], temperature_K)
    boundless = unbounded(diffusion, viscosity, 10 * edge_nm * np.eye(3), temperature_K)
    return Measured(diffusion, boundless, viscosity, len(centres_nm) * frame_ps)


def rows(run: Transport, work: Path) -> Iterator[Row]:
    """What has run of how a liquid moves, as results; a run too short for a number says so by having none."""
    found = measure(run, work)
    if found is None:
        return
    row = Row(
        LIQUID,
        run.species,
        "",
        temperature_K=run.temperature_K,
        ensemble="NVT",
        timestep_fs=run.timestep_fs,
        hydrogens="heavy" if run.repartitioned else "natural",
        engine=run.engine,
        length_ps=found.length_ps,
        atoms=float(run.n_molecules * load_library().species[run.species].n_atoms),
    )
    for quantity, number, factor in (
        ("viscosity", found.viscosity, 1.0),
        ("self_diffusion_in_box", found.diffusion, 1e9),
        ("self_diffusion", found.diffusion_unbounded, 1e9),
    ):
        cell = row.of(number.times(factor).estimate, quantity=quantity)
        yield replace(cell, reliable=cell.reliable and not number.doubt)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "lmbmd validate transport", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=LIQUIDS, default=MOVING, metavar="LIQUID", help="of these liquids")
    parser.add_argument("--set", choices=SETS, default=SET, help="parameter set")
    parser.add_argument("--ps", type=float, default=NVT_PS, help=f"production, default {NVT_PS:g}")
    parser.add_argument("--natural", action="store_true", help="2 fs with hydrogens of their own mass")
    parser.add_argument("--full", action="store_true", help=f"{plan.FULL_ATOMS} atoms")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after about this long")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the runs")
    args = parser.parse_args(arguments)
    deadline = time.monotonic() + 60 * args.minutes
    for species in args.only:
        step = NATURAL if args.natural else plan.heavy(species)
        run = Transport(species, *step, plan.FULL_ATOMS if args.full else plan.ATOMS, args.set)
        if not simulate(run, args.work, args.ps, deadline):
            raise liquids.unfinished(run.name)
        print(f"{run.name}, {measure(run, args.work)}", flush=True)
