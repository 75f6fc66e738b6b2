"""What the simulation adds to a flexible System: constraints, heavier hydrogens, a barostat or a probe of pressure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import openmm
from openmm import unit

from lmbmd.core.errors import LmbmdError
from lmbmd.core.units import GAS_CONSTANT_KJ_MOL_K
from lmbmd.data.cell import Cell
from lmbmd.simulate.protocol import RunSpec

#: A particle lighter than this is a hydrogen, amu. (Nothing else in a molecule lies below lithium's 6.9.)
HYDROGEN_BELOW_AMU = 2.5
#: amu/Å³ in g/cm³ (CODATA 2018 atomic mass constant).
DENSITY = 1.66053906660
#: Time steps in a period of the quickest bond, at least. Verlet's method is unstable below π; C=O bonds have 4.9 to 5.2
#: steps of 4 fs, and GROMACS warns below 5.
STEPS_PER_PERIOD = 4.5
#: Steps that the usual intervals are multiples of.
_ROUND_STEPS_FS = (4.0, 2.5, 2.0, 1.0, 0.5, 0.2, 0.1, 0.0)
#: A kinetic temperature beyond this multiple of the thermostat's means that the run is exploding. Fluctuations are
#: a fraction √(2/degrees of freedom) of it: more than twenty of them away for 200 degrees of freedom.
HOT = 3.0


class Exploded(Exception):
    """The energy is not finite, or the system far too hot."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """Positions (n, 3) in nm, each molecule whole and its centre in the box, and box (3, 3) in nm."""

    positions_nm: np.ndarray
    box_nm: np.ndarray


def prepare(system: openmm.System, spec: RunSpec, barostat_seed: int, whose: str = "") -> openmm.System:
    """A copy of a flexible System, ready to be simulated as the spec says.

    Bonds to hydrogens become constraints of the same length (``constraints`` "h-bonds"). Hydrogen mass repartitioning
    takes ``hydrogen_mass_amu`` − m(H) from the atom that each hydrogen is bonded to, which changes no static average
    (Feenstra, Hess and Berendsen, doi:10.1002/(SICI)1096-987X(199906)20:8<786::AID-JCC5>3.0.CO;2-B). A Monte Carlo
    barostat scales molecules' centres isotropically. The System of a segment has none, but one that never tries a
    change where the pressure tensor is asked for: OpenMM computes that by it (``pressure_probe``).

    Args:
        whose: the molecule that the System is, for messages, if it is one.

    Raises:
        LmbmdError: if an atom would be left with less mass than a hydrogen, or the time step is too long for a bond.
    """
    system = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    bonds = _bonds_to_hydrogen(system)
    if spec.constraints == "h-bonds":
        _constrain(system, bonds)
    _repartition(system, bonds, spec.hydrogen_mass_amu)
    _check_step(system, spec.timestep_fs, whose)
    if not any(isinstance(f, openmm.CMMotionRemover) for f in system.getForces()):
        system.addForce(openmm.CMMotionRemover())
    if spec.dynamics is None:
        barostat = openmm.MonteCarloBarostat(spec.pressure_bar, spec.temperature_K, spec.barostat_interval)
        barostat.setRandomNumberSeed(barostat_seed)
        system.addForce(barostat)
    elif spec.pressure_steps:
        system.addForce(openmm.MonteCarloFlexibleBarostat(spec.pressure_bar, spec.temperature_K, 0))
    return system


def longest_step_fs(system: openmm.System) -> tuple[float, tuple[int, int]]:
    """The longest time step that the bonds of a System allow, fs, and the atoms of the bond that sets it.

    A harmonic bond of force constant k and reduced mass μ has the period 2π √(μ/k), of which ``STEPS_PER_PERIOD`` steps
    are wanted; bonds that are constrained are none. Infinite, of atoms −1, where there is no bond.
    """
    masses, quickest = masses_amu(system), (np.inf, (-1, -1))
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce):
            for index in range(force.getNumBonds()):
                i, j, _, k = force.getBondParameters(index)
                stiffness = k.value_in_unit(unit.kilojoule_per_mole / unit.nanometer**2)
                if stiffness > 0:
                    period_ps = 2 * np.pi * np.sqrt(masses[i] * masses[j] / (masses[i] + masses[j]) / stiffness)
                    quickest = min(quickest, (1e3 * float(period_ps) / STEPS_PER_PERIOD, (i, j)))
    return quickest


def _check_step(system: openmm.System, timestep_fs: float, whose: str) -> None:
    longest_fs, (i, j) = longest_step_fs(system)
    if timestep_fs > longest_fs:
        raise LmbmdError(
            f"{timestep_fs:g} fs is too long for the bond between atoms {i + 1} and {j + 1}"
            f"{f' of {whose}' if whose else ''}, whose period is {STEPS_PER_PERIOD * longest_fs:.1f} fs.",
            where="timestep_fs",
            remedy=f"Give timestep_fs: {max(step for step in _ROUND_STEPS_FS if step <= longest_fs):g}, or less.",
        )


def pressure_probe(system: openmm.System) -> openmm.MonteCarloFlexibleBarostat | None:
    """What computes the pressure tensor of a prepared System; None if it was not asked for."""
    probes = (f for f in system.getForces() if isinstance(f, openmm.MonteCarloFlexibleBarostat))
    return next(probes, None)


@dataclass(frozen=True, eq=False)
class Molecules:
    """Of each atom its molecule and its mass in amu (n,), and of each molecule how many atoms it has (m,)."""

    of_atom: np.ndarray
    sizes: np.ndarray
    masses_amu: np.ndarray

    @classmethod
    def of(cls, context: openmm.Context) -> Molecules:
        """Those that OpenMM sees in the bonds and constraints of a System."""
        molecules = context.getMolecules()
        sizes = np.array([len(atoms) for atoms in molecules])
        of_atom = np.empty(int(sizes.sum()), dtype=np.intp)
        of_atom[np.concatenate([np.array(atoms, dtype=np.intp) for atoms in molecules])] = np.repeat(
            np.arange(len(molecules)), sizes
        )
        return cls(of_atom, sizes, masses_amu(context.getSystem()))

    def motion(self, velocities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From velocities (n, 3), of each molecule its momentum and the velocity of the mean of its atoms (m, 3)."""

        def summed(values: np.ndarray) -> np.ndarray:
            return np.stack([np.bincount(self.of_atom, column, len(self.sizes)) for column in values.T], axis=1)

        return summed(self.masses_amu[:, None] * velocities), summed(velocities) / self.sizes[:, None]


def degrees_of_freedom(system: openmm.System) -> int:
    """Of a prepared System: three per particle with mass, less the constraints and the motion of the whole."""
    moving = sum(mass_amu > 0 for mass_amu in masses_amu(system))
    return 3 * moving - system.getNumConstraints() - 3


def masses_amu(system: openmm.System) -> np.ndarray:
    """Masses of all particles (n,) in amu."""
    return np.array([system.getParticleMass(i).value_in_unit(unit.amu) for i in range(system.getNumParticles())])


def hottest(masses: np.ndarray, velocities_nm_ps: np.ndarray, n: int) -> list[tuple[int, float]]:
    """The ``n`` atoms of highest kinetic temperature m v² / 3 k_B, with it in K; not-a-number comes first."""
    kelvin = masses * (velocities_nm_ps**2).sum(1) / (3 * GAS_CONSTANT_KJ_MOL_K)
    order = np.argsort(-np.where(np.isfinite(kelvin), kelvin, np.inf), kind="stable")[:n]
    return [(int(i), float(kelvin[i])) for i in order]


def cutoff_A(system: openmm.System) -> float:
    """The direct-space cut-off of a periodic System in Å; 0 if it has none."""
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce) and force.usesPeriodicBoundaryConditions():
            return force.getCutoffDistance().value_in_unit(unit.angstrom)
    return 0.0


def check_box(box_A: np.ndarray, cutoff: float, *, where: str) -> None:
    """Raise LmbmdError if a box (3, 3) in Å is narrower than twice the cut-off in Å."""
    width = Cell(box_A).narrowest_A
    if width < 2 * cutoff:
        raise box_too_small(width, cutoff, where)


def box_too_small(width_A: float, cutoff: float, where: str) -> LmbmdError:
    return LmbmdError(
        f"the box is {width_A:.2f} Å wide, less than twice the cut-off ({2 * cutoff:.1f} Å): an atom would meet "
        "two images of another.",
        where=where,
        remedy="Ask for a larger box (size: in the formulation).",
    )


def _bonds_to_hydrogen(system: openmm.System) -> list[tuple[int, int]]:
    """(hydrogen, the heavier atom it is bonded to), once each."""
    light = masses_amu(system) < HYDROGEN_BELOW_AMU
    found = []
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce):
            for k in range(force.getNumBonds()):
                i, j, _, _ = force.getBondParameters(k)
                if light[i] != light[j]:
                    found.append((i, j) if light[i] else (j, i))
    return found


def _repartition(system: openmm.System, bonds: list[tuple[int, int]], hydrogen_mass_amu: float) -> None:
    masses = masses_amu(system)
    for hydrogen, heavy in bonds:
        masses[heavy] -= hydrogen_mass_amu - masses[hydrogen]
        masses[hydrogen] = hydrogen_mass_amu
    for hydrogen, heavy in bonds:
        if masses[heavy] < 1.0:
            raise LmbmdError(
                f"with hydrogens of {hydrogen_mass_amu:g} amu, atom {heavy} would keep {masses[heavy]:.2f} amu.",
                where="hydrogen_mass_amu",
                remedy="Choose lighter hydrogens (1.5 to 3 amu).",
            )
        for atom in (hydrogen, heavy):
            system.setParticleMass(atom, float(masses[atom]))


def _constrain(system: openmm.System, bonds: list[tuple[int, int]]) -> None:
    """Replace the harmonic bonds to hydrogens by constraints of the same length."""
    fixed = set(bonds)
    for index in reversed(range(system.getNumForces())):
        force = system.getForce(index)
        if isinstance(force, openmm.HarmonicBondForce):
            rest = openmm.HarmonicBondForce()
            rest.setUsesPeriodicBoundaryConditions(force.usesPeriodicBoundaryConditions())
            for k in range(force.getNumBonds()):
                i, j, length, strength = force.getBondParameters(k)
                if (i, j) in fixed or (j, i) in fixed:
                    system.addConstraint(i, j, length)
                else:
                    rest.addBond(i, j, length, strength)
            system.removeForce(index)
            system.addForce(rest)
