"""Why a number, its error or a radius is missing or not to be relied on: a kind with its numbers, and its sentence.

A doubt is data. Its sentence is made here and nowhere else, for tables, pages and messages alike; no code reads it.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from lmbmd.core.rounding import SUPERSCRIPT
from lmbmd.data.described import Descriptor
from lmbmd.numbers.estimate import RELIABLE_N_EFFECTIVE, Estimate


class Kind(StrEnum):
    """What kind of doubt. The values stand in files."""

    NONE = ""
    # about an error
    NEVER_CHANGED = "never_changed"
    ONE_SAMPLE = "one_sample"
    NO_SAMPLES = "no_samples"
    ONE_BLOCK = "one_block"
    READ_OFF = "read_off"
    UNTOLD = "untold"
    FEW_SAMPLES = "few_samples"
    SKEWED = "skewed"
    NOT_QUOTED = "not_quoted"
    FEW_LOSSES = "few_losses"
    DISAGREE = "replicas_disagree"
    ONE_GROUP = "one_group"
    WITHOUT_CUTOFF = "without_cutoff"
    # about a time
    SINGLE_FRAME = "single_frame"
    NO_LOSS_RATE = "no_loss_rate"
    NO_LOSS_TIME = "no_loss_time"
    RUN_TOO_SHORT = "run_too_short"
    NOT_RESOLVED = "not_resolved"
    NOT_DECAYED = "not_decayed"
    NO_CROSSING = "no_crossing"
    FLAT_TAIL = "flat_tail"
    # about motion at long times
    TOO_SHORT = "too_short"
    TOO_SHORT_BELOW = "too_short_below"
    TOO_SHORT_ABOVE = "too_short_above"
    NOT_DIFFUSIVE = "not_diffusive"
    # about a drift
    FEW_FRAMES = "few_frames"
    STILL = "still"
    FEW_PER_REPLICA = "few_per_replica"
    # about a number that is not defined
    UNDEFINED = "undefined"
    NO_FINITE_CLUSTER = "no_finite_cluster"
    NO_SUCH_CLUSTER = "no_such_cluster"
    NO_LARGE_CLUSTER = "no_large_cluster"
    FEW_OCTAVES = "few_octaves"
    NO_ANION = "no_anion"
    NEVER_BOUND = "never_bound"
    EMPTY_SHELLS = "empty_shells"
    NO_ANION_IN_SHELL = "no_anion_in_shell"
    NOT_IN_SHELL = "not_in_shell"
    SEVERAL = "several"
    NO_SECOND_EDGE = "no_second_edge"
    NO_CENTRE_EDGE = "no_centre_edge"
    NO_RADIUS = "no_radius"
    # about a chain
    TURNED = "turned"
    ONE_UNIT = "one_unit"
    STIFF = "stiff"
    # about a law over temperatures
    FEW_TEMPERATURES = "few_temperatures"
    NOT_ON_LINE = "not_on_line"
    NOT_BENT = "not_bent"
    NO_KINK = "no_kink"
    # about what moves
    DAMPED = "damped"
    NO_TEMPERATURE = "no_temperature"
    NET_CHARGE = "net_charge"
    NO_SOLVENT = "no_solvent"
    NO_PRESSURE = "no_pressure"
    NO_VISCOSITY = "no_viscosity"
    ALIASED = "aliased"
    # about dipoles
    NO_PARTIAL_CHARGES = "no_partial_charges"
    NO_DIPOLE = "no_dipole"
    NOT_NEUTRAL = "not_neutral"
    POLARISED = "polarised"
    # about scattering
    BOX_CANNOT_SEE = "box_cannot_see"
    NO_PEAK = "no_peak"
    UNRESOLVED = "unresolved"
    # about energies
    NO_ENERGY = "no_energy"
    # about the edge of a shell
    NO_PAIR = "no_pair"
    NO_CENTRE_PAIR = "no_centre_pair"
    NO_RDF = "no_rdf"
    NO_SITE = "no_site"
    NO_IONIC_RADIUS = "no_ionic_radius"
    NO_MAXIMUM = "no_maximum"
    NO_FIRST_SHELL = "no_first_shell"
    BELOW_BULK = "below_bulk"
    MINIMUM_OUTSIDE = "minimum_outside"
    NO_SECOND_SHELL = "no_second_shell"
    NO_SECOND_MINIMUM = "no_second_minimum"
    SECOND_OUTSIDE = "second_outside"
    CENTRE_OUTSIDE = "centre_outside"
    BEYOND_FALLBACK = "beyond_fallback"


#: The sentence of each kind; n, at, low and high are numbers of the doubt, of a name, because the doubts behind it.
SENTENCES: dict[Kind, str] = {
    Kind.NONE: "",
    Kind.NEVER_CHANGED: "never changed",
    Kind.ONE_SAMPLE: "one sample",
    Kind.NO_SAMPLES: "no samples",
    Kind.ONE_BLOCK: "one block",
    Kind.READ_OFF: "read off the mean curve",
    Kind.UNTOLD: "could not be determined",
    Kind.FEW_SAMPLES: "error not reliable ({n:.1f} independent samples)",
    Kind.SKEWED: "error not reliable (so skewed a quantity needs {n:.0f} independent samples)",
    Kind.NOT_QUOTED: "no error bar: the run is too short for one",
    Kind.FEW_LOSSES: "error not reliable ({n:g} losses)",
    Kind.DISAGREE: "replicas disagree beyond chance",
    Kind.ONE_GROUP: "all losses are in one group of centres",
    Kind.WITHOUT_CUTOFF: "its error leaves out that of the cut-off of {of}",
    Kind.SINGLE_FRAME: "a single frame shows no exchange",
    Kind.NO_LOSS_RATE: "none was seen: below {n:.2g} at 95 %",
    Kind.NO_LOSS_TIME: "none was seen: longer than {n:.2g} ps at 95 %",
    Kind.RUN_TOO_SHORT: "not decayed: the run is too short to see any time pass",
    Kind.NOT_RESOLVED: "not resolved: C({at:g} ps) = {n:.3g}, random exchange within one frame interval",
    Kind.NOT_DECAYED: "not decayed: C({at:g} ps) = {n:.3g}, so longer than {at:g} ps",
    Kind.NO_CROSSING: "no 1/e time: random exchange in this box leaves C above 1/e; see the integral",
    Kind.FLAT_TAIL: "its tail does not fall",
    Kind.TOO_SHORT: "the run is too short to tell",
    Kind.TOO_SHORT_BELOW: "too short: below {bound} at 95 %; about {at:.2g} times as long is needed",
    Kind.TOO_SHORT_ABOVE: "too short: above {bound} at 95 %; about {at:.2g} times as long is needed",
    Kind.FEW_FRAMES: "fewer than three frames",
    Kind.STILL: "it never changed",
    Kind.FEW_PER_REPLICA: "{n:.1f} independent samples per replica",
    Kind.UNDEFINED: "never defined in these frames",
    Kind.NO_FINITE_CLUSTER: "no finite cluster was seen",
    Kind.NO_SUCH_CLUSTER: "no frame has such a cluster, or the sphere does not fit into the box",
    Kind.NO_LARGE_CLUSTER: "no finite cluster of five ions",
    Kind.FEW_OCTAVES: "sizes span less than {n:g} octaves",
    Kind.NO_ANION: "there is no anion in the box",
    Kind.NEVER_BOUND: "no {of} is ever bound",
    Kind.EMPTY_SHELLS: "every shell is empty",
    Kind.NO_ANION_IN_SHELL: "no anion is ever in a first shell",
    Kind.NOT_IN_SHELL: "no {of} is ever in a first shell",
    Kind.SEVERAL: "{because}",
    Kind.NO_SECOND_EDGE: "no edge of the second shell of {of}, {because}",
    Kind.NO_CENTRE_EDGE: "no edge of the first centre–centre shell, {because}",
    Kind.TURNED: "not resolved: C({at:g} ps) = {n:.3g}, turned within one frame interval",
    Kind.ONE_UNIT: "chains of {of} have one unit",
    Kind.STIFF: "the direction is not forgotten along the chains: the mean cosine is {n:.2g} after {at:g} bonds",
    Kind.NO_RADIUS: "none: {because}",
    Kind.FEW_TEMPERATURES: "{n:g} temperatures with a value to rely on, {at:g} are needed",
    Kind.NOT_ON_LINE: "the values at {n:g} temperatures are further from the law than their errors allow",
    Kind.NO_KINK: "within their errors {n:g} volumes have no kink with three or more on either side",
    Kind.NOT_BENT: "within their errors the values at {n:g} temperatures follow the Arrhenius law",
    Kind.NOT_DIFFUSIVE: "not diffusive yet, ⟨|Δr|²⟩ up to {at:.3g} ps grows as t^{low:.2f}: below {bound} at 95 %",
    Kind.DAMPED: "a friction of {n:g}/ps damps the motion",
    Kind.NO_TEMPERATURE: "the temperature is not known",
    Kind.NET_CHARGE: "the formal charges add up to {n:+g} e, not to zero",
    Kind.NO_SOLVENT: "there is no neutral molecule",
    Kind.NO_PRESSURE: "the pressure tensor was not logged",
    Kind.NO_VISCOSITY: "the viscosity is not known, {because}",
    Kind.ALIASED: "logged too rarely, every {at:g} ps: its spectrum has not fallen at the highest frequency",
    Kind.NO_PARTIAL_CHARGES: "the partial charges of {of} are not known",
    Kind.NO_DIPOLE: "all partial charges of the neutral molecules are zero",
    Kind.NOT_NEUTRAL: "the partial charges of {of} add up to {n:+.2g} e, not to zero",
    Kind.POLARISED: "the mean dipole of the box is not zero: it is in a field, or not isotropic",
    Kind.BOX_CANNOT_SEE: "the box cannot see it: S(q) does not fall again down to the smallest q, {at:.3f}/Å",
    Kind.NO_PEAK: "no peak stands out of the errors below {at:.2f}/Å",
    Kind.UNRESOLVED: "no Lorentzian that is wider than the wave vectors are apart fits between the minima",
    Kind.NO_ENERGY: "none of {n:g} calculations has this number",
    Kind.NO_PAIR: "no pair was ever found",
    Kind.NO_CENTRE_PAIR: "there is no pair",
    Kind.NO_RDF: "there is no RDF of this pair",
    Kind.NO_IONIC_RADIUS: "the ionic radius of {of} is not known",
    Kind.NO_SITE: "it has no donor site",
    Kind.NO_MAXIMUM: "g(r) has no significant maximum",
    Kind.NO_FIRST_SHELL: "no first shell, the first maximum is at {at:.2f} Å",
    Kind.BELOW_BULK: "the first maximum, g = {n:.2f}, is below the bulk density",
    Kind.MINIMUM_OUTSIDE: "the first minimum, at {at:.2f} Å, is not within {low:.1f}–{high:.1f} Å",
    Kind.NO_SECOND_SHELL: "g(r) of the mass centres shows no second shell",
    Kind.NO_SECOND_MINIMUM: "g(r) of the mass centres has no minimum after its second shell",
    Kind.SECOND_OUTSIDE: "the second minimum, at {at:.1f} Å, is outside the window",
    Kind.CENTRE_OUTSIDE: "the first minimum after 5 Å, at {at:.1f} Å, is outside the window",
    Kind.BEYOND_FALLBACK: "{because}, and the fallback, {low:.2f} Å, is not beyond its maximum at {at:.2f} Å",
}


@dataclass(frozen=True)
class Doubt:
    """A kind of doubt with its numbers.

    Attributes:
        kind: which; ``Kind.NONE`` is none, and false.
        n: a count, or a value of a function (C, g).
        at: where: a time in ps, a distance in Å.
        low, high: limits of a window, or the fallback, Å.
        of: the species it is about.
        because: the doubts behind this one, joined in its sentence.
    """

    kind: Kind = Kind.NONE
    n: float = float("nan")
    at: float = float("nan")
    low: float = float("nan")
    high: float = float("nan")
    of: str = ""
    because: tuple[Doubt, ...] = ()

    def __bool__(self) -> bool:
        return self.kind is not Kind.NONE

    def __str__(self) -> str:
        told = {"n": self.n, "at": self.at, "low": self.low, "high": self.high, "of": self.of, "bound": _bound(self.n)}
        return SENTENCES[self.kind].format(**told, because="; ".join(dict.fromkeys(map(str, self.because))))


def _bound(x: float) -> str:
    """Two digits, with a power of ten as it is printed."""
    digits, _, power = f"{x:.2g}".partition("e")
    return digits + (f" × 10{str(int(power)).translate(SUPERSCRIPT)}" if power else "")


#: No doubt.
SURE = Doubt()

#: The columns that tell a doubt in a table: its sentence for people, its kind and number for programs.
COLUMNS = ("doubt", "doubt_kind", "doubt_n")

#: Kinds whose number n is a bound of the value, in its unit.
BOUNDS = frozenset({Kind.TOO_SHORT_BELOW, Kind.TOO_SHORT_ABOVE, Kind.NOT_DIFFUSIVE})

_SOURCES = {
    "constant": Kind.NEVER_CHANGED,
    "one sample": Kind.ONE_SAMPLE,
    "no samples": Kind.NO_SAMPLES,
    "one block": Kind.ONE_BLOCK,
    "read off the mean curve": Kind.READ_OFF,
}


def doubt(estimate: Estimate) -> Doubt:
    """Why the error is missing or not to be relied on; ``SURE`` if it can be, is exact, or there is no value."""
    if np.isnan(estimate.value) or estimate.source == "exact":
        return SURE
    if np.isnan(estimate.error):
        return Doubt(_SOURCES.get(estimate.source, Kind.UNTOLD))
    if estimate.source == "replicas disagree":
        return Doubt(Kind.DISAGREE)
    if estimate.reliable:
        return SURE
    if estimate.n_effective < RELIABLE_N_EFFECTIVE:
        return Doubt(Kind.FEW_SAMPLES, n=estimate.n_effective)
    return Doubt(Kind.SKEWED, n=estimate.needed)


def told(found: Doubt) -> tuple[str, str, float]:
    """The entries of ``COLUMNS``."""
    return str(found), str(found.kind.value), found.n


def entry(estimate: Estimate) -> tuple[float, float, str, str, float]:
    """The columns value, error and those of the doubt about the error."""
    return estimate.value, estimate.error, *told(doubt(estimate))


#: Kinds that say what a run showed instead of a value or an error, and stand by themselves.
_OUTCOMES = {
    Kind.SINGLE_FRAME,
    Kind.WITHOUT_CUTOFF,
    Kind.NO_LOSS_RATE,
    Kind.NO_LOSS_TIME,
    Kind.RUN_TOO_SHORT,
    Kind.NOT_RESOLVED,
    Kind.TURNED,
    Kind.NOT_DECAYED,
    Kind.NO_CROSSING,
    Kind.FLAT_TAIL,
    Kind.TOO_SHORT,
    Kind.TOO_SHORT_BELOW,
    Kind.TOO_SHORT_ABOVE,
    Kind.NOT_DIFFUSIVE,
    Kind.NO_LARGE_CLUSTER,
    Kind.FEW_OCTAVES,
    Kind.BOX_CANNOT_SEE,
    Kind.NO_PEAK,
    Kind.UNRESOLVED,
    Kind.NO_ENERGY,
}


def remark(found: Doubt, value: float, error: float) -> str:
    """A doubt as it stands behind a number: with "no value" or "no error" before it, where that needs saying."""
    if not found or found.kind in _OUTCOMES:
        return str(found)
    return f"{'no value: ' if np.isnan(value) else 'no error: ' if np.isnan(error) else ''}{found}"


def described(
    name: str,
    species: str,
    value: float,
    error: float,
    unit: str,
    n_effective: float,
    degrees_of_freedom: float,
    definition: str,
    found: Doubt,
) -> Descriptor:
    """A row of the descriptor table, its doubt told in words and as kind and number."""
    method = "; ".join(filter(None, [definition, remark(found, value, error)]))
    words, kind, n = told(found)
    return Descriptor(
        name, species, value, error, unit, n_effective, degrees_of_freedom, method, definition, words, kind, n, found.at
    )


def descriptor(
    name: str, species: str, estimate: Estimate, unit: str, definition: str, undefined: Doubt | None = None
) -> Descriptor:
    """One row from an estimate; its doubt says why a value or an error is missing, or an error is not to be relied on.

    Args:
        name, species, unit, definition: see ``Descriptor``.
        estimate: value and error.
        undefined: the reason if the value is NaN.
    """
    found = (undefined or Doubt(Kind.UNDEFINED)) if np.isnan(estimate.value) else doubt(estimate)
    known = estimate.n_effective, estimate.degrees_of_freedom
    return described(name, species, estimate.value, estimate.error, unit, *known, definition, found)
