"""The terms of OpenMM's native forces as rows of numbers: read from a System, and written into one again."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import openmm
from openmm import unit

from lmbmd.core.errors import LmbmdError

SUPPORTED = "harmonic bonds and angles, periodic and Ryckaert-Bellemans torsions, and one NonbondedForce"


@dataclass(frozen=True)
class PlainTerms:
    """A System without constraints as rows of numbers (nm, kJ/mol, rad, e), as OpenMM's ``add…`` methods take them.

    Attributes:
        masses: per atom, amu.
        nonbonded: per atom: charge, σ, ε.
        exceptions: i, j, product of the charges, σ, ε; a pair that is left out has product and ε 0.
        bonds: i, j, r0, k of E = k (r − r0)² / 2.
        angles: i, j, k, θ0, k of E = k (θ − θ0)² / 2.
        torsions: i, j, k, l, n, phase, k of E = k (1 + cos(n φ − phase)).
    """

    masses: list[float]
    nonbonded: list[tuple]
    exceptions: list[tuple]
    bonds: list[tuple]
    angles: list[tuple]
    torsions: list[tuple]

    @property
    def charges_e(self) -> list[float]:
        """Charge of each atom."""
        return [charge for charge, *_ in self.nonbonded]

    def with_scaled_charges(self, scale: float | Sequence[float]) -> PlainTerms:
        """Charges times ``scale``, one for all atoms or one for each, charge products of exceptions times both."""
        of = [scale] * len(self.nonbonded) if isinstance(scale, int | float) else scale
        return replace(
            self,
            nonbonded=[(s * charge, *lj) for s, (charge, *lj) in zip(of, self.nonbonded, strict=True)],
            exceptions=[(i, j, of[i] * of[j] * product, *lj) for i, j, product, *lj in self.exceptions],
        )


class NativeForces(NamedTuple):
    """The four native forces that a molecule's terms go into."""

    bonds: openmm.HarmonicBondForce
    angles: openmm.HarmonicAngleForce
    torsions: openmm.PeriodicTorsionForce
    nonbonded: openmm.NonbondedForce

    @classmethod
    def empty(cls) -> NativeForces:
        """Without a term, the nonbonded one without a cut-off."""
        return cls(
            openmm.HarmonicBondForce(),
            openmm.HarmonicAngleForce(),
            openmm.PeriodicTorsionForce(),
            openmm.NonbondedForce(),
        )

    def add(self, terms: PlainTerms, offset: int) -> None:
        """Add the terms of a molecule whose first atom is ``offset``; its particles belong to the System."""
        for i, j, *rest in terms.bonds:
            self.bonds.addBond(i + offset, j + offset, *rest)
        for i, j, k, *rest in terms.angles:
            self.angles.addAngle(i + offset, j + offset, k + offset, *rest)
        for i, j, k, m, *rest in terms.torsions:
            self.torsions.addTorsion(i + offset, j + offset, k + offset, m + offset, *rest)
        for row in terms.nonbonded:
            self.nonbonded.addParticle(*row)
        for i, j, *rest in terms.exceptions:
            self.nonbonded.addException(i + offset, j + offset, *rest)


def read_terms(system: openmm.System, where: str) -> PlainTerms:
    """The rows of a System without constraints, Ryckaert–Bellemans torsions turned into periodic ones.

    Args:
        where: what the System is, for messages.

    Raises:
        LmbmdError: naming the force, the constraints or the virtual sites that are not supported.
    """
    if system.getNumConstraints():
        raise LmbmdError(
            f"it has {system.getNumConstraints()} constraints.",
            where=where,
            remedy="A parameter set holds flexible molecules: give harmonic bonds instead.",
        )
    if any(system.isVirtualSite(i) for i in range(system.getNumParticles())):
        raise LmbmdError("it has virtual sites.", where=where, remedy="Only atoms can be simulated here.")
    masses = [system.getParticleMass(i).value_in_unit(unit.amu) for i in range(system.getNumParticles())]
    terms = PlainTerms(masses, [], [], [], [], [])
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce):
            terms.bonds.extend(_rows(force.getNumBonds, force.getBondParameters))
        elif isinstance(force, openmm.HarmonicAngleForce):
            terms.angles.extend(_rows(force.getNumAngles, force.getAngleParameters))
        elif isinstance(force, openmm.PeriodicTorsionForce):
            terms.torsions.extend(_rows(force.getNumTorsions, force.getTorsionParameters))
        elif isinstance(force, openmm.RBTorsionForce):
            for row in _rows(force.getNumTorsions, force.getTorsionParameters):
                terms.torsions.extend((*row[:4], *term) for term in _periodic(row[4:]))
        elif isinstance(force, openmm.NonbondedForce) and not terms.nonbonded and not _offsets(force):
            terms.nonbonded.extend(_rows(force.getNumParticles, force.getParticleParameters))
            terms.exceptions.extend(_rows(force.getNumExceptions, force.getExceptionParameters))
        elif not isinstance(force, openmm.CMMotionRemover):
            raise LmbmdError(
                f"it has a {force.getName()}, which a box cannot be built from.",
                where=where,
                remedy=f"Supported: {SUPPORTED}.",
            )
    if not terms.nonbonded:
        raise LmbmdError("it has no NonbondedForce.", where=where, remedy=f"Supported: {SUPPORTED}.")
    return terms


def nonbonded_force(system: openmm.System) -> openmm.NonbondedForce:
    """The NonbondedForce of a System that has one."""
    return next(force for force in system.getForces() if isinstance(force, openmm.NonbondedForce))


def plain(values: Iterable[Any]) -> tuple:
    """Quantities as numbers in nm, kJ/mol, rad, e, amu; indices as they are."""
    return tuple(v.value_in_unit_system(unit.md_unit_system) if unit.is_quantity(v) else v for v in values)


def _offsets(force: openmm.NonbondedForce) -> int:
    return force.getNumParticleParameterOffsets() + force.getNumExceptionParameterOffsets()


def _rows(number: Callable[[], int], get: Callable[[int], Iterable[Any]]) -> list[tuple]:
    return [plain(get(i)) for i in range(number())]


def _periodic(coefficients: tuple[float, ...]) -> list[tuple[int, float, float]]:
    """Ryckaert–Bellemans C₀…C₅, E = Σ Cₙ cosⁿ(φ − π), as (n, phase, k) of E = Σ k (1 + cos(n φ − phase)) + constant."""
    power = np.polynomial.chebyshev.poly2cheb(coefficients)  # Σ Cₙ xⁿ = Σ aₘ cos m(φ − π), x = cos(φ − π)
    terms = []
    for m, a in enumerate(power):
        a = a * (-1) ** m
        if m and abs(a) > 1e-12:
            terms.append((m, 0.0 if a > 0 else math.pi, abs(a)))
    return terms
