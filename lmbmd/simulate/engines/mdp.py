"""A run written down for GROMACS: its settings, its positions, and whether its energies are those of OpenMM."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmm
from openmm import unit

from lmbmd.box.read import Box, edges_nm
from lmbmd.core.errors import LmbmdError
from lmbmd.simulate.checkpoint import write
from lmbmd.simulate.engines import gmx
from lmbmd.simulate.engines.gmxfiles import EnergyFile
from lmbmd.simulate.engines.gromacs import BAROSTAT_PS, DRIFT_KJ_MOL_PS, EWALD_TOLERANCE, LINCS, pme
from lmbmd.simulate.protocol import RunSpec

#: Between the pressure tensors that a row is the mean of, ps. Of those vibrations that are left where bonds to hydrogen
#: are rigid, none has this period (4170/cm); with less than 1800/cm they are seen as they are.
TENSOR_PS = 0.008
#: Points of frames that GROMACS writes, per nm. Those that are published are rounded to a tenth of it.
RAW_PRECISION = 10_000
#: Energies may differ by so much of their size, and by so much per atom (rounding of single precision), kJ/mol.
ENERGY_TOLERANCE, ENERGY_ROUNDING_KJ_MOL = 1e-4, 1e-4
#: The long-range correction: GROMACS' is of r⁻⁶ alone, with the mean over all pairs; OpenMM's
#: of r⁻¹² too, which at a short cut-off is some per cent of it.
CORRECTION_TOLERANCE = 0.05
#: Up to so many atoms OpenMM's energy is that of its Reference platform, in double precision.
_REFERENCE_ATOMS = 3000
_COMMON = """cutoff-scheme = Verlet
verlet-buffer-tolerance = {drift}
coulombtype = PME
rcoulomb = {cutoff_nm}
vdwtype = Cut-off
vdw-modifier = Potential-switch
rvdw = {cutoff_nm}
rvdw-switch = {switch_nm}
DispCorr = EnerPres
comm-mode = Linear
"""


@dataclass(frozen=True)
class Stretch:
    """A part of a stage that one input of GROMACS (a ``.tpr``) describes.

    Attributes:
        begin, end: steps of the stage.
        step_as: the time step in attoseconds.
        divisor: how many smaller steps it is made of.
        friction_per_ps: of Langevin dynamics; None: as the spec's ``dynamics`` says.
        temperatures_K: at its begin and its end, linear between.
        rows, frames: steps between energies and between frames; 0: none.
    """

    begin: int
    end: int
    step_as: int
    divisor: int
    friction_per_ps: float | None
    temperatures_K: tuple[float, float]
    rows: int
    frames: int


def settings(spec: RunSpec, stretch: Stretch, box: Box, seed: int) -> str:
    """The ``.mdp`` of a stretch; GROMACS' step number is that of the stage times the divisor.

    Langevin dynamics and, at constant pressure, stochastic cell rescaling (Bernetti and Bussi,
    doi:10.1063/5.0020514). PME has the grid of OpenMM, and 10⁻⁵ of Coulomb's potential is left to it at the cut-off.
    """
    n, dt_ps = stretch.divisor, stretch.step_as * 1e-6 / stretch.divisor
    first, last = stretch.temperatures_K
    every = n * stretch.rows if stretch.rows else 0
    calculate = _divisor(every, 100) if every else 100
    if spec.pressure_steps and every:
        # No bond that is not rigid vibrates so fast that it would look constant, or slow, at these steps.
        calculate = _divisor(every, max(1, int(TENSOR_PS / dt_ps + 1e-6)))
    couple = _divisor(calculate, 10)
    if stretch.friction_per_ps is None and spec.dynamics and spec.dynamics.coupling_ps:
        # A Nosé-Hoover thermostat needs twenty looks in its period.
        couple = _divisor(calculate, max(1, min(10, int(spec.dynamics.coupling_ps / dt_ps / 20))))
    lines = [
        _common(box),
        f"dt = {dt_ps!r}",
        f"init-step = {stretch.begin * n}",
        f"nsteps = {(stretch.end - stretch.begin) * n}",
        "continuation = yes",
        f"constraints = {spec.constraints}",
        f"lincs-iter = {LINCS[0]}",
        f"lincs-order = {LINCS[1]}",
        f"nstenergy = {every}",
        f"nstcalcenergy = {calculate}",
        "nstlog = 0",
        f"nstxout-compressed = {n * stretch.frames}",
        f"compressed-x-precision = {RAW_PRECISION}",
        *_grid(box),
        *_thermostat(spec, stretch, couple, seed),
    ]
    if spec.dynamics is None:
        lines += [
            "pcoupl = C-rescale",
            f"tau-p = {BAROSTAT_PS}",
            f"nstpcouple = {couple}",
            f"ref-p = {spec.pressure_bar!r}",
            "compressibility = 1e-4",
        ]
    if first != last:
        begin_ps, end_ps = (step * stretch.step_as * 1e-6 for step in (stretch.begin, stretch.end))
        # grompp wants a first point at time 0, wherever the stretch begins.
        points = [(0.0, first)] * (begin_ps > 0) + [(begin_ps, first), (end_ps, last)]
        lines += [
            "annealing = single",
            f"annealing-npoints = {len(points)}",
            f"annealing-time = {' '.join(repr(time) for time, _ in points)}",
            f"annealing-temp = {' '.join(repr(temperature) for _, temperature in points)}",
        ]
    return "\n".join([*lines, ""])


def _thermostat(spec: RunSpec, stretch: Stretch, couple: int, seed: int) -> list[str]:
    temperature = ["tc-grps = System", f"ref-t = {stretch.temperatures_K[0]!r}"]
    if stretch.friction_per_ps is not None:
        return ["integrator = sd", *temperature, f"tau-t = {1 / stretch.friction_per_ps!r}", f"ld-seed = {seed}"]
    assert spec.dynamics
    if spec.dynamics.thermostat is None:
        return ["integrator = md", "tcoupl = no"]
    kind = {"nose-hoover": "nose-hoover", "bussi": "v-rescale"}[spec.dynamics.thermostat]
    coupling = [f"tau-t = {spec.dynamics.coupling_ps!r}", f"nsttcouple = {couple}", f"ld-seed = {seed}"]
    return ["integrator = md", f"tcoupl = {kind}", *temperature, *coupling]


def _common(box: Box, drift: float = DRIFT_KJ_MOL_PS) -> str:
    return _COMMON.format(drift=drift, cutoff_nm=box.cut_off_nm, switch_nm=box.switch_from_nm).rstrip()


def _grid(box: Box) -> list[str]:
    tolerance = 5e-4  # OpenMM's default, which build leaves as it is
    points = [pme(tolerance, box.cut_off_nm, edge)[1] for edge in edges_nm(box)]
    grid = [f"fourier-n{axis} = {n}" for axis, n in zip("xyz", points, strict=True)]
    return [f"ewald-rtol = {EWALD_TOLERANCE}", "pme-order = 4", *grid]


def _divisor(number: int, most: int) -> int:
    """The largest divisor of a number that is at most ``most``."""
    return next(n for n in range(min(number, most), 0, -1) if number % n == 0)


def gro(box: Box, positions_nm: np.ndarray, velocities_nm_ps: np.ndarray | None, box_nm: np.ndarray) -> str:
    """A ``.gro`` file with as many digits as GROMACS computes with."""
    from lmbmd.box.pdb import residue_names

    residues = residue_names(box.atoms)
    lines = ["written by lmbmd", str(len(box.atoms))]
    species, molecules, names = (getattr(box.atoms, k).tolist() for k in ("species_id", "molecule", "name"))
    moving = np.zeros_like(positions_nm) if velocities_nm_ps is None else velocities_nm_ps
    rows = zip(species, molecules, names, positions_nm.tolist(), moving.tolist(), strict=True)
    for i, (kind, molecule, name, (x, y, z), (u, v, w)) in enumerate(rows, start=1):
        head = f"{(molecule + 1) % 100_000:5d}{residues[kind]:<5s}{name:>5.5s}{i % 100_000:5d}"
        lines.append(f"{head}{x:14.9f}{y:14.9f}{z:14.9f}{u:14.10f}{v:14.10f}{w:14.10f}")
    return "\n".join([*lines, " ".join(f"{edge:.9f}" for edge in np.diag(box_nm)), ""])


# ---- the same energies


def compare_energies(
    flexible: openmm.System, box: Box, positions_nm: np.ndarray, box_nm: np.ndarray, folder: Path
) -> float:
    """Refuse to go on unless GROMACS gives a configuration the energies that OpenMM does.

    Bonds, angles, torsions and the rest are compared one by one: within 10⁻⁴ of their size, which is the sum of the
    sizes of the parts that GROMACS knows them by, since Coulomb's and Lennard-Jones energies nearly cancel. Both
    compute PME far more accurately than in the run. The long-range correction is compared by itself, to 5 %.

    Args:
        flexible: the System of ``system.xml``.
        folder: holds ``topol.top``; written to.

    Returns:
        The largest difference, in units of what is allowed.

    Raises:
        LmbmdError: naming the part and both energies, if one differs by more.
    """
    theirs = _gromacs_energies(box, positions_nm, box_nm, folder)
    ours = _openmm_energies(flexible, positions_nm, box_nm)
    worst = 0.0
    for part, energy in ours.items():
        parts = theirs[part]
        tolerance = CORRECTION_TOLERANCE if part == "long-range correction" else ENERGY_TOLERANCE
        allowed = tolerance * sum(map(abs, parts)) + ENERGY_ROUNDING_KJ_MOL * len(positions_nm)
        difference = abs(sum(parts) - energy)
        if not difference <= allowed:
            raise LmbmdError(
                f"OpenMM and GROMACS do not agree on the energy of the start: {part} {energy:.6g} against "
                f"{sum(parts):.6g} kJ/mol, {allowed:.2g} kJ/mol may lie between.",
                where=str(folder),
                remedy="Choose platform: {engine: openmm}, and tell the authors of lmbmd.",
            )
        worst = max(worst, difference / allowed)
    return worst


def _openmm_energies(flexible: openmm.System, positions_nm: np.ndarray, box_nm: np.ndarray) -> dict[str, float]:
    system = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(flexible))
    names = {"HarmonicBondForce": "bonds", "HarmonicAngleForce": "angles", "PeriodicTorsionForce": "torsions"}
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            force.setEwaldErrorTolerance(1e-6)
    found: dict[str, float] = {}
    corrected: dict[bool, float] = {}
    for correction in (True, False):
        for group, force in enumerate(system.getForces()):
            force.setForceGroup(group)
            if isinstance(force, openmm.NonbondedForce):
                force.setUseDispersionCorrection(correction)
        name = "Reference" if system.getNumParticles() <= _REFERENCE_ATOMS else "CPU"
        platform = openmm.Platform.getPlatformByName(name)
        context = openmm.Context(system, openmm.VerletIntegrator(1e-3), platform)
        context.setPeriodicBoxVectors(*box_nm)
        context.setPositions(positions_nm)
        corrected[correction] = 0.0
        for group, force in enumerate(system.getForces()):
            energy = context.getState(energy=True, groups={group}).getPotentialEnergy()
            value = energy.value_in_unit(unit.kilojoule_per_mole)
            if isinstance(force, openmm.NonbondedForce):
                corrected[correction] += value
            elif type(force).__name__ in names:
                part = names[type(force).__name__]
                found[part] = value
    found["Coulomb and Lennard-Jones"] = corrected[False]
    found["long-range correction"] = corrected[True] - corrected[False]
    return found


def _gromacs_energies(box: Box, positions_nm: np.ndarray, box_nm: np.ndarray, folder: Path) -> dict[str, list[float]]:
    fine = "ewald-rtol = 1e-6\nfourierspacing = 0.06\npme-order = 6\nnstenergy = 1\nnstcalcenergy = 1\n"
    write(folder / "one.mdp", f"{_common(box, -1)}\nrlist = {box.cut_off_nm}\nintegrator = md\n{fine}")
    write(folder / "one.gro", gro(box, positions_nm, None, box_nm))
    gmx.grompp(folder, "one.mdp", "one.gro", "one.tpr")
    gmx.call(folder, ["mdrun", "-s", "one.tpr", "-deffnm", "one", "-rerun", "one.gro", "-ntmpi", "1", "-ntomp", "1"])
    terms = next(EnergyFile(folder / "one.edr").new()).terms
    parts = {
        "bonds": ("Bond",),
        "angles": ("Angle",),
        "torsions": ("Proper Dih.",),
        "Coulomb and Lennard-Jones": ("LJ-14", "Coulomb-14", "LJ (SR)", "Coulomb (SR)", "Coul. recip."),
        "long-range correction": ("Disper. corr.",),
    }
    return {part: [terms.get(name, 0.0) for name in names] for part, names in parts.items()}
