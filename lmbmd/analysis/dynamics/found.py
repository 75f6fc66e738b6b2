"""One number of motion with its doubt, and what the validation and the account of a state point make alike: the own
motion of a species, the viscosity, and a box without end. Theory: docs/theory/motion.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from lmbmd.analysis.dynamics.coefficients import viscosity_mPa_s, without_images
from lmbmd.numbers.compare import LEVEL, combined, interval, ratio
from lmbmd.numbers.doubt import BOUNDS, SURE, Doubt, Kind, doubt
from lmbmd.numbers.estimate import Estimate, scaled
from lmbmd.numbers.longtime import LongTime, autocorrelation_integral, long_time_slope
from lmbmd.numbers.running import end_exponent
from lmbmd.numbers.sequences import Sequence_, faster_half, series

#: D is off by more than some per cent where the mean squared displacement grows with a lower power of time than this.
LEAST_EXPONENT = 0.9
#: The spectrum of the pressure at the highest frequencies, over that at zero, from which on the latter is doubted: of
#: an exponential memory it is then too large by 7 %.
ALIASED = 0.25

_NOTHING = Estimate(float("nan"), float("nan"), 0.0)


@dataclass(frozen=True)
class Found:
    """A number in the unit of its descriptor.

    Attributes:
        estimate: value and error.
        doubt: why one is missing or not to be relied on.
        lags_ps: over which lags it was read, if it was.
    """

    estimate: Estimate
    doubt: Doubt = SURE
    lags_ps: tuple[float, float] | None = None

    @property
    def value(self) -> float:
        return self.estimate.value

    def times(self, factor: float) -> Found:
        """The same in another unit; a bound, which a doubt may hold, is scaled with it."""
        bound = self.doubt.kind in BOUNDS
        found = replace(self.doubt, n=self.doubt.n * factor) if bound else self.doubt
        return replace(self, estimate=scaled(self.estimate, factor), doubt=found)


def undefined(why: Doubt) -> Found:
    """No number, for a reason."""
    return Found(_NOTHING, why)


def found_of(slope: LongTime) -> Found:
    """What the statistics say, with the doubt about its error where it has no other."""
    return Found(slope.estimate, slope.doubt or doubt(slope.estimate), (slope.lag_low_ps, slope.lag_high_ps))


def quotient(above: Found, below: Found) -> Found:
    """above / below, their errors as independent; of a bound of what is above, a bound."""
    if above.doubt.kind in BOUNDS and below.value > 0:
        return undefined(above.times(1 / below.value).doubt)
    if why := reasons(above, below):
        return undefined(why)
    found = ratio(above.estimate, below.estimate)
    known = replace(found, n_effective=min(above.estimate.n_effective, below.estimate.n_effective))
    return Found(known, above.doubt or below.doubt or doubt(known))


def total(parts: Sequence[Found]) -> Found:
    """Σ of numbers, their errors as independent."""
    if why := reasons(*parts):
        return undefined(why)
    error, freedom = 0.0, np.inf
    for part in parts:
        error, freedom = combined(error, freedom, part.estimate.error, part.estimate.degrees_of_freedom)
    samples = min(part.estimate.n_effective for part in parts)
    known = Estimate(sum(part.value for part in parts), float(error), samples, float(freedom))
    return Found(known, next((part.doubt for part in parts if part.doubt), SURE))


def reasons(*parts: Found) -> Doubt:
    """Why not all of these are known; SURE if they are."""
    why = tuple(dict.fromkeys(of_another(part.doubt) for part in parts if np.isnan(part.value)))
    return SURE if not why else why[0] if len(why) == 1 else Doubt(Kind.SEVERAL, because=why)


def of_another(why: Doubt) -> Doubt:
    """Why what a number is made from is not known: a bound of that is none of the number."""
    return Doubt(Kind.TOO_SHORT, at=why.at) if why.kind in BOUNDS else why


def is_subdiffusive(exponent: Estimate) -> bool:
    """Whether a mean squared displacement does not grow in proportion to time yet: its exponent is well below one, and
    would be so low by chance in fewer than one of twenty runs that are long enough (Student's t, one-sided).
    """
    if not exponent.error > 0.0:
        return False
    below = stats.t.cdf((exponent.value - 1.0) / exponent.error, exponent.degrees_of_freedom)
    return bool(exponent.value < LEAST_EXPONENT and below < 1.0 - LEVEL)


def own_slope(sequences: Sequence[Sequence_]) -> Found:
    """Slope of the mean squared displacement of one species, six times D; a bound of it where that does not yet grow in
    proportion to time.

    Args:
        sequences: of ``particles``, Å.

    Returns:
        Å²/ps.
    """
    found = found_of(long_time_slope(sequences))
    exponent, _, lag_ps = end_exponent(sequences)
    if np.isnan(found.value) or not is_subdiffusive(exponent):
        return found
    why = Doubt(Kind.NOT_DIFFUSIVE, n=interval(found.estimate)[1], at=lag_ps, low=exponent.value)
    return Found(replace(_NOTHING, n_effective=found.estimate.n_effective), why, found.lags_ps)


@dataclass(frozen=True, eq=False)
class Stress:
    """What is kept of the pressure in one segment.

    Attributes:
        deviators: of the pressure, bar, times the square root of the volume in Å³.
        top: mean of their spectrum over the faster half of the frequencies, in the unit of their integral.
    """

    deviators: Sequence_
    top: float

    @classmethod
    def of(cls, deviators_bar: np.ndarray, volume_A3: float, interval_ps: float, replica: int = 0) -> Stress:
        """From rows of ``coefficients.deviators`` at one interval."""
        values = np.asarray(deviators_bar, float) * np.sqrt(volume_A3)
        return cls(series(values, interval_ps, replica), faster_half(values, interval_ps))


def viscosity_of(stresses: Sequence[Stress], temperature_K: float) -> Found:
    """Viscosity, mPa s, from the pressures of all segments of one state point; doubted where they were logged too
    rarely.
    """
    found = found_of(autocorrelation_integral([s.deviators for s in stresses]))
    top, interval_ps = max((s.top, s.deviators.interval_ps) for s in stresses)
    if found.value > 0 and top > ALIASED * found.value:
        found = replace(found, doubt=Doubt(Kind.ALIASED, n=top / found.value, at=interval_ps))
    return found.times(viscosity_mPa_s(1.0, 1.0, temperature_K))


def unbounded(diffusion: Found, viscosity: Found, box_A: np.ndarray, temperature_K: float) -> Found:
    """Self-diffusion in a box without end, m²/s, if both it and the viscosity (mPa s) of the same box are known."""
    if np.isnan(diffusion.value):
        return undefined(of_another(diffusion.doubt))
    if not viscosity.value > 0:
        return undefined(Doubt(Kind.NO_VISCOSITY, because=(viscosity.doubt,)))
    known = without_images(diffusion.estimate, viscosity.estimate, box_A, temperature_K)
    return Found(known, diffusion.doubt or viscosity.doubt, diffusion.lags_ps)
