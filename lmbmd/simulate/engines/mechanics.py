"""What the simulation adds to a flexible System: constraints, heavier hydrogens, a barostat."""

from __future__ import annotations

import numpy as np
import openmm
from openmm import unit

from lmbmd.core.errors import LmbmdError
from lmbmd.data.cell import Cell
from lmbmd.simulate.protocol import RunSpec

#: A particle lighter than this is a hydrogen, amu. (Nothing else in a molecule lies below lithium's 6.9.)
HYDROGEN_BELOW_AMU = 2.5


def prepare(system: openmm.System, spec: RunSpec, barostat_seed: int) -> openmm.System:
    """A copy of a flexible System, ready to be simulated as the spec says.

    Bonds to hydrogens become constraints of the same length (``constraints`` "h-bonds"). Hydrogen mass repartitioning
    takes ``hydrogen_mass_amu`` − m(H) from the atom that each hydrogen is bonded to, which changes no static average
    (Feenstra, Hess and Berendsen, doi:10.1002/(SICI)1096-987X(199906)20:8<786::AID-JCC5>3.0.CO;2-B). A Monte Carlo
    barostat scales molecules' centres isotropically.

    Raises:
        LmbmdError: if an atom would be left with less mass than a hydrogen.
    """
    system = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    bonds = _bonds_to_hydrogen(system)
    if spec.constraints == "h-bonds":
        _constrain(system, bonds)
    _repartition(system, bonds, spec.hydrogen_mass_amu)
    if not any(isinstance(f, openmm.CMMotionRemover) for f in system.getForces()):
        system.addForce(openmm.CMMotionRemover())
    barostat = openmm.MonteCarloBarostat(spec.pressure_bar, spec.temperature_K, spec.barostat_interval)
    barostat.setRandomNumberSeed(barostat_seed)
    system.addForce(barostat)
    return system


def degrees_of_freedom(system: openmm.System) -> int:
    """Of a prepared System: three per particle with mass, less the constraints and the motion of the whole."""
    moving = sum(mass_amu > 0 for mass_amu in masses_amu(system))
    return 3 * moving - system.getNumConstraints() - 3


def masses_amu(system: openmm.System) -> np.ndarray:
    """Masses of all particles (n,) in amu."""
    return np.array([system.getParticleMass(i).value_in_unit(unit.amu) for i in range(system.getNumParticles())])


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
