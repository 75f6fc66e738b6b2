"""How σ and ε of two unlike atoms mix: the two rules, and the geometric one with OpenMM's native forces.

Lorentz–Berthelot, σ = (σᵢ + σⱼ)/2 and ε = √(εᵢεⱼ), is what ``openmm.NonbondedForce`` does. The geometric rule, which is
OPLS-AA's and CL&P's, σ = √(σᵢσⱼ) and ε = √(εᵢεⱼ), it does not know. There the Lennard-Jones energy is two products,

    u(r) = RᵢRⱼ/r¹² − DᵢDⱼ/r⁶,    R = 2 √ε σ⁶,    D = 2 √ε σ³,

and each of them is a Lennard-Jones energy with one σ for all atoms, so that no rule for σ matters: a huge σ = S with
√ε = R/2S⁶ leaves the attraction out, a tiny σ = s with √ε = D/2s³ the repulsion. So the force with the charges has the
repulsion, and a second native one the dispersion, with the same cut-off, switch and long-range correction. What remains
of the parts left out is (σ/S)⁶ of the dispersion and (s/σ)⁶ of the repulsion: for σ = 3 Å 7·10⁻¹⁰ and 10⁻¹⁵ of them, a
hundredth of the rounding of single precision. A ``CustomNonbondedForce`` would do the same at more cost; both are timed
by ``benchmarks/mixing.py``.
"""

from __future__ import annotations

import math

import openmm

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.data.terms import nonbonded_force, plain

LORENTZ_BERTHELOT, GEOMETRIC = "Lorentz-Berthelot", "geometric"
COMBINING_RULES = (LORENTZ_BERTHELOT, GEOMETRIC)
#: GROMACS' numbers of the combination rules.
GROMACS_RULES = {"2": LORENTZ_BERTHELOT, "3": GEOMETRIC}
#: S and s. Further apart, products of them would leave the range of single precision.
WIDE_NM, NARROW_NM = 10.0, 1e-3
#: Name of the second force, by which a System is known to mix geometrically.
DISPERSION = "geometric dispersion"
#: Significant digits of σ and ε that survive the way there and back.
_DIGITS = 12


def checked_rule(rule: object, where: str) -> str:
    """The rule itself. Raises LmbmdError if it is none that lmbmd knows."""
    if rule not in COMBINING_RULES:
        raise LmbmdError(
            f"there is no combining rule '{rule}'.", where=where, remedy=nearest(str(rule), COMBINING_RULES)
        )
    return str(rule)


def mixed_sigma(rule: str, one: float, other: float) -> float:
    """σ of two unlike atoms, in the unit of the two."""
    return math.sqrt(one * other) if rule == GEOMETRIC else 0.5 * (one + other)


def mix_geometrically(nonbonded: openmm.NonbondedForce) -> openmm.NonbondedForce:
    """Leave charges, repulsion and all exceptions in a force, and return a new one with the dispersion.

    Both belong into the System then. Pairs with an exception, such as 1–4 pairs, keep their own σ and ε in the first.

    Args:
        nonbonded: of any cut-off method, its particles having σ and ε.
    """
    dispersion = openmm.NonbondedForce()
    dispersion.setName(DISPERSION)
    cut_off = nonbonded.getNonbondedMethod() != openmm.NonbondedForce.NoCutoff
    periodic = nonbonded.usesPeriodicBoundaryConditions()
    dispersion.setNonbondedMethod(
        openmm.NonbondedForce.CutoffPeriodic
        if periodic
        else openmm.NonbondedForce.CutoffNonPeriodic
        if cut_off
        else openmm.NonbondedForce.NoCutoff
    )
    for name in ("CutoffDistance", "UseSwitchingFunction", "SwitchingDistance", "UseDispersionCorrection"):
        getattr(dispersion, f"set{name}")(getattr(nonbonded, f"get{name}")())
    for i in range(nonbonded.getNumParticles()):
        charge, sigma, epsilon = plain(nonbonded.getParticleParameters(i))
        nonbonded.setParticleParameters(i, charge, WIDE_NM, epsilon * (sigma / WIDE_NM) ** 12)
        dispersion.addParticle(0.0, NARROW_NM, epsilon * (sigma / NARROW_NM) ** 6)
    for k in range(nonbonded.getNumExceptions()):
        i, j, *_ = nonbonded.getExceptionParameters(k)
        dispersion.addException(i, j, 0.0, NARROW_NM, 0.0)
    return dispersion


def mixed(system: openmm.System, rule: str) -> openmm.System:
    """A copy of a molecule's System in which its atoms mix by a rule, as those far apart in it do."""
    copy = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    if rule == GEOMETRIC:
        copy.addForce(mix_geometrically(nonbonded_force(copy)))
    return copy


def unmix(system: openmm.System) -> str:
    """Give the particles of a box their σ and ε again, in one force; returns the rule that they mix by.

    σ of a particle without Lennard-Jones interaction is lost, and comes back as 0. A System that mixes by
    Lorentz–Berthelot is left as it is.
    """
    names = [force.getName() for force in system.getForces()]
    if DISPERSION not in names:
        return LORENTZ_BERTHELOT
    dispersion = system.getForce(names.index(DISPERSION))
    nonbonded = nonbonded_force(system)
    for i in range(nonbonded.getNumParticles()):
        charge, _, wide = plain(nonbonded.getParticleParameters(i))
        _, _, narrow = plain(dispersion.getParticleParameters(i))
        # wide = ε (σ/S)¹², narrow = ε (σ/s)⁶
        sigma = (wide / narrow) ** (1 / 6) * WIDE_NM**2 / NARROW_NM if narrow else 0.0
        epsilon = narrow * (NARROW_NM / sigma) ** 6 if sigma else 0.0
        nonbonded.setParticleParameters(i, charge, float(f"{sigma:.{_DIGITS}g}"), float(f"{epsilon:.{_DIGITS}g}"))
    system.removeForce(names.index(DISPERSION))
    return GEOMETRIC
