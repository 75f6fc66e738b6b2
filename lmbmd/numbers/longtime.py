"""What motion tends to at long times: slopes of mean squared displacements and integrals of autocorrelations.

All of them are one quantity, the spectrum of the steps at frequency zero, which is read off the slowest modes of all
sequences together. Nothing is cut off: the spectrum is taken as a sum of relaxations of unknown strengths, whose
slowest time and size are averaged over by how well they explain what was seen. Theory and measured coverage:
docs/theory/motion_statistics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from scipy import stats

from lmbmd.numbers.compare import LEVEL, difference, half_width
from lmbmd.numbers.doubt import SURE, Doubt, Kind
from lmbmd.numbers.estimate import DISAGREEMENT_LEVEL, RELIABLE_N_EFFECTIVE, Estimate, scaled
from lmbmd.numbers.running import end_exponent
from lmbmd.numbers.sequences import Sequence_

#: The slowest relaxation that is considered has this part of the longest sequence's length as its time.
SLOWEST = 1 / 6
#: Sizes of the relaxations that are considered, relative to the spectrum's largest value.
SIZES = np.logspace(-2, 1.5, 8)
#: The prior probability of a slowest time goes with this power of it: what is slow is hard to see and costly to miss.
SLOW_POWER = 0.5
#: If the value and the spectrum at the slowest mode that was seen differ by more than this part of the larger one,
#: there is no value.
FARTHEST = 0.12
#: Nor is there one of a quantity that cannot be negative from fewer independent samples than an error needs.
LEAST_SAMPLES = RELIABLE_N_EFFECTIVE
#: Where the exponent of the displacement at its end is farther from 1 than this, or its inverse, beyond its error,
#: there is no value. Nearer to 1 it may be that of a cage that was left behind long ago.
FARTHEST_EXPONENT = 0.7
#: Replicas that scatter so far with a lower probability tell the error themselves.
SCATTER_LEVEL = 0.1
#: One set of weights for all products does for a square if its error is longer than with weights of its own by no more.
LONGER_ERROR = 1.5
#: Sums of series smaller than this part of their terms are nothing but rounding, by the bytes of a number.
_ROUNDING = {4: 1e-5, 8: 1e-12}
#: Bins of frequency to each factor of two.
_BINS_PER_OCTAVE = 6
#: Of the part of the spectrum that has no time, over the square of its largest value: it is free.
_LEVEL_VARIANCE = 100.0


@dataclass(frozen=True)
class LongTime:
    """A quantity in the limit of long times.

    Attributes:
        estimate: value and error; the value is NaN if the sequences are too short for one.
        lag_low_ps, lag_high_ps: lags that the value rests on: from the inverse of the frequency at which the weight of
            the modes has fallen off, to the inverse of the slowest mode.
        longer: about this many times as much is needed for a value that can be relied on; 1 if there is enough.
        bound: "below" or "above" if the sequences are too short and only a bound is known, else "".
        limit: the bound, 95 %.
        doubt: why there is no value, or why it is not to be relied on.
    """

    estimate: Estimate
    lag_low_ps: float = float("nan")
    lag_high_ps: float = float("nan")
    longer: float = 1.0
    bound: str = ""
    limit: float = float("nan")
    doubt: Doubt = SURE


_NOTHING = LongTime(
    Estimate(float("nan"), float("nan"), 0.0, source="no samples"),
    longer=float("nan"),
    doubt=Doubt(Kind.TOO_SHORT),
)


def long_time_slope(sequences: Sequence[Sequence_]) -> LongTime:
    """Slope of the mean squared displacement, summed over the axes, in the limit of long lags: six times D.

    Args:
        sequences: of ``particles``, of one species, or of ``collective`` with one series.
    """
    return cross_slopes(sequences).quadratic(np.ones(1))


def autocorrelation_integral(sequences: Sequence[Sequence_]) -> LongTime:
    """∫₀^∞ <x(0) x(t)> dt, mean over the components.

    Args:
        sequences: of ``series``.
    """
    return cross_slopes(sequences).quadratic(np.ones(1))


def cross_slopes(sequences: Sequence[Sequence_]) -> CrossSlopes:
    """Slopes of all products of displacements of several series, in the limit of long lags, summed over the axes.

    Args:
        sequences: of ``collective``, of the same series in the same order.
    """
    widths = {s.ordinates.shape[2] for s in sequences}
    if len(widths) != 1:
        raise ValueError(f"sequences of {sorted(widths)} series do not belong together")
    return CrossSlopes(tuple(s for s in sequences if len(s.frequency_per_ps)), widths.pop())


@dataclass(frozen=True, eq=False)
class CrossSlopes:
    """The matrix L of slopes of products, d<Δa·Δb>/dt.

    Its entries and ratios come from one set of weights for the modes, so that parts add up and their covariance is
    known. The slope of a single sum of the series is a square, and is read from the spectrum of that sum alone if that
    is another number or a better known one: where series move together and their difference only rattles, no weights do
    for both. Then it equals the sum of its parts within their errors only.

    Attributes:
        sequences: that have any modes.
        n_series: rows of the matrix.
    """

    sequences: tuple[Sequence_, ...]
    n_series: int

    @cached_property
    def value(self) -> np.ndarray:
        """(n_series, n_series); NaN if the sequences are too short."""
        shape = (self.n_series, self.n_series)
        return np.full(shape, np.nan) if self._fit is None else np.tensordot(self._fit.weights, self._fit.products, 1)

    @cached_property
    def error(self) -> np.ndarray:
        """One standard error of each entry of ``value``."""
        if self._fit is None:
            return np.full((self.n_series, self.n_series), np.nan)
        unit = np.eye(self.n_series)
        pairs = [[_symmetric(np.outer(u, v)) for v in unit] for u in unit]
        return np.sqrt([[self._fit.moments(q, q)[1] + self._fit.missed(q) for q in row] for row in pairs])

    def quadratic(self, u: np.ndarray, v: np.ndarray | None = None) -> LongTime:
        """u·L·v, u·L·u if there is no v: the slope of <(Σ u_a Δa)·(Σ v_b Δb)>."""
        u = np.asarray(u, float)
        if v is None or np.array_equal(u, v):
            return self.combination(np.outer(u, u))
        return self._polarised(u, np.asarray(v, float))

    def combination(self, weights: np.ndarray) -> LongTime:
        """Σ w_ab L_ab. Where w is a square, and the number cannot be negative, it may be known as a bound only.

        Args:
            weights: (n_series, n_series).
        """
        if self._fit is None:
            return _NOTHING
        weights = _symmetric(weights)
        found = self._together(weights)
        sizes, axes = np.linalg.eigh(weights)
        if self.n_series == 1 or not sizes[-1] > 0.0 or np.abs(sizes[:-1]).max() > 1e-12 * sizes[-1]:
            return found
        alone = self._along(np.sqrt(sizes[-1]) * axes[:, -1])
        if found.bound or alone.bound:
            return alone
        return found if _alike(alone.estimate, found.estimate) else alone

    def _together(self, weights: np.ndarray) -> LongTime:
        """What the weights that all products share say."""
        assert self._fit is not None
        at_zero, sampled, counts = self._fit.moments(weights, weights)
        value, variance = self._fit.of(weights), sampled + self._fit.missed(weights)
        lags = self._fit.lags_ps
        size = np.sqrt(np.abs(np.diag(self.value)))
        if not variance > (1e-9 * float(size @ np.abs(weights) @ size)) ** 2:
            still = Estimate(value, float("nan"), float(len(self.sequences)), source="constant")
            return LongTime(still, *lags)
        n = float(np.clip(at_zero / variance, 1.0, None))
        known = Estimate(value, float(np.sqrt(variance)), n, _freedom(n, counts), "spectrum")
        # However well a value is known that may be almost nothing, the slowest mode was seen once in every sequence.
        least = max(at_zero / variance, float(len(self.sequences)))
        seen = replace(known, error=float(np.sqrt(sampled)), n_effective=least)
        square = bool(np.linalg.eigvalsh(weights)[0] >= -1e-12 * np.abs(weights).max())
        found = _judged(known, seen, self._fit.at_slowest(weights), lags, square)
        if square and self.sequences[0].of_steps:
            found = _diffusive(found, seen, self._fit.at_slowest(weights), end_exponent(self.sequences, weights)[0])
        return found if found.bound else replace(found, estimate=self._fit.of_replicas(weights, known))

    def ratio(self, above: np.ndarray, below: np.ndarray) -> Estimate:
        """Σ a_ab L_ab / Σ b_ab L_ab, with the error that follows from those of both and their covariance.

        Args:
            above, below: (n_series, n_series) weights.
        """
        nothing = _NOTHING.estimate
        if self._fit is None:
            return nothing
        above, below = _symmetric(above), _symmetric(below)
        whole = self._fit.of(below)
        at_zero, spread, _ = self._fit.moments(below, below)
        if not spread > 0.0 or not whole:
            return nothing
        n = float(np.clip(at_zero / (spread + self._fit.missed(below)), 1.0, None))
        value = self._fit.of(above) / whole
        _, variance, counts = self._fit.moments(above - value * below, above - value * below)
        variance += self._fit.missed(above - value * below)
        if not variance > 1e-24 * whole**2:
            return Estimate(value, 0.0, n, float("inf"), "exact")
        return Estimate(value, float(np.sqrt(variance)) / abs(whole), n, _freedom(n, counts), "spectrum")

    def _polarised(self, u: np.ndarray, v: np.ndarray) -> LongTime:
        """u·L·v, as a quarter of (cu + v/c)² − (cu − v/c)² where that is another number or a better known one.

        Each of the two squares is read from its own spectrum. c makes both sums as large as each other, so that the
        squares of Gaussian series are independent.
        """
        found = self.combination(np.outer(u, v))
        sizes = [float(w @ self.value @ w) for w in (u, v)]
        if not np.isfinite(found.estimate.value) or not min(sizes) > 0.0:
            return found
        c = (sizes[1] / sizes[0]) ** 0.25
        plus, minus = (self._along(c * u + sign * v / c) for sign in (1.0, -1.0))
        if plus.bound or minus.bound or not (plus.estimate.error > 0.0 and minus.estimate.error > 0.0):
            return found
        apart = difference(plus.estimate, minus.estimate)
        own = scaled(replace(apart, n_effective=found.estimate.n_effective, source="two spectra"), 0.25)
        if _alike(own, found.estimate):
            return found
        samples = found.estimate.n_effective * (found.estimate.error / own.error) ** 2
        lags = max(plus.lag_low_ps, minus.lag_low_ps), max(plus.lag_high_ps, minus.lag_high_ps)
        return LongTime(replace(own, n_effective=samples), *lags)

    def _along(self, u: np.ndarray) -> LongTime:
        """The slope of a single sum of the series, by the spectrum of that sum alone."""
        alone = []
        for s in self.sequences:
            sums = np.einsum("a,kpai->kpi", u, s.ordinates.astype(float))[:, :, None]
            terms = np.einsum("a,kpai->kpi", np.abs(u), np.abs(s.ordinates.astype(float)))[:, :, None]
            sums = np.where(np.abs(sums) > _ROUNDING[s.ordinates.dtype.itemsize] * terms, sums, 0.0)
            curve = np.einsum("a,labi,b->li", u, s.curve, u)[:, None, None]
            alone.append(replace(s, ordinates=sums, curve=curve))
        return CrossSlopes(tuple(alone), 1).combination(np.ones((1, 1)))

    @cached_property
    def _fit(self) -> _Fit | None:
        return _fit(self.sequences) if self.sequences else None


def _symmetric(weights: np.ndarray) -> np.ndarray:
    weights = np.asarray(weights, float)
    return 0.5 * (weights + weights.T)


def _alike(own: Estimate, shared: Estimate) -> bool:
    """Whether what weights shared by all products say is as good as what weights of its own say."""
    return abs(own.value - shared.value) <= own.error and shared.error <= LONGER_ERROR * own.error


def _freedom(n_effective: float, counts: float) -> float:
    """Of an error in proportion to a value known from so many squares, and itself counted so often."""
    return max(1.0 / (4.0 / n_effective + 1.0 / counts), 1.0)


def _judged(known: Estimate, seen: Estimate, at_slowest: float, lags_ps: tuple[float, float], square: bool) -> LongTime:
    """A value, or a bound if there is too little for one; ``seen`` has the error that sampling alone makes."""
    farther = abs(known.value - at_slowest) / max(abs(known.value), abs(at_slowest), 1e-300)
    few = LEAST_SAMPLES / known.n_effective
    longer = max(1.0, few, np.sqrt(farther / (0.5 * FARTHEST)) if square and farther > FARTHEST else 1.0)
    if not square or (known.value > 0.0 and known.n_effective >= LEAST_SAMPLES and farther <= FARTHEST):
        return LongTime(known, *lags_ps, float(longer))
    rising = known.value > at_slowest and farther > FARTHEST
    return _bounded(seen, at_slowest, lags_ps, float(longer), rising)


def _diffusive(found: LongTime, seen: Estimate, at_slowest: float, exponent: Estimate) -> LongTime:
    """What was found; a bound if the displacement is far from diffusive."""
    if found.bound or not np.isfinite(exponent.error):
        return found
    half = float(half_width(exponent.error, exponent.degrees_of_freedom))
    lags = found.lag_low_ps, found.lag_high_ps
    if exponent.value + half < FARTHEST_EXPONENT:
        # A cage adds a constant: its part at the end of the curve falls as the inverse of the length.
        longer = (1.0 / max(exponent.value, 0.05) - 1.0) / 0.2
        return _bounded(seen, at_slowest, lags, float(max(longer, found.longer)), False)
    if exponent.value - half > 1.0 / FARTHEST_EXPONENT:
        return _bounded(seen, at_slowest, lags, float(max((exponent.value - 1.0) / 0.1, found.longer)), True)
    return found


def _bounded(seen: Estimate, at_slowest: float, lags_ps: tuple[float, float], longer: float, rising: bool) -> LongTime:
    """A bound, from the slowest mode that was seen, in place of a value."""
    nothing = replace(seen, value=float("nan"), error=float("nan"), degrees_of_freedom=float("nan"))
    least, most = stats.chi2.ppf([0.5 * (1 - LEVEL), 0.5 * (1 + LEVEL)], seen.n_effective) / seen.n_effective
    if rising:
        limit = max(min(at_slowest, seen.value), 0.0) / most
        why = Doubt(Kind.TOO_SHORT_ABOVE, n=limit, at=longer)
        return LongTime(nothing, *lags_ps, longer, "above", limit, why)
    limit = max(at_slowest, seen.value, seen.error) / least
    why = Doubt(Kind.TOO_SHORT_BELOW, n=limit, at=longer)
    return LongTime(nothing, *lags_ps, longer, "below", limit, why)


# ------------------------------------------------------------------ the spectrum


@dataclass(frozen=True, eq=False)
class _Fit:
    """The spectrum of all sequences in bins of frequency, and what weights its bins have in the value at zero.

    Attributes:
        sequences: of one width.
        row_bins: of each sequence, the bin of each mode.
        counts: (n_bins,) ordinates, times components.
        products: (n_bins, n_series, n_series) mean over particles, components and modes of a bin.
        smooth: the same, as the model has it.
        freed: (n_bins,) share of the variance of one ordinate that is left about ``smooth``.
        models: (n_models, n_bins) weights of each model; probability: (n_models,).
        unseen: expected square of what the weights miss, over that of the largest spectrum.
        frequency_per_ps: (n_bins,) mean.
    """

    sequences: tuple[Sequence_, ...]
    row_bins: tuple[np.ndarray, ...]
    counts: np.ndarray
    products: np.ndarray
    smooth: np.ndarray
    freed: np.ndarray
    models: np.ndarray
    probability: np.ndarray
    unseen: float
    frequency_per_ps: np.ndarray

    @cached_property
    def weights(self) -> np.ndarray:
        return self.probability @ self.models

    @property
    def lags_ps(self) -> tuple[float, float]:
        """Inverse frequencies of the mean mode by weight, and of the slowest."""
        size = np.abs(self.weights)
        return 1.0 / float(size @ self.frequency_per_ps / size.sum()), 1.0 / float(self.frequency_per_ps[0])

    def of(self, q: np.ndarray) -> float:
        return float(self.weights @ _traces(q, self.products))

    def at_slowest(self, q: np.ndarray) -> float:
        return float(_traces(q, self.smooth)[0])

    def moments(self, q: np.ndarray, r: np.ndarray) -> tuple[float, float, float]:
        """Variance of one sample of two numbers, covariance of their values, and how many ordinates that rests on."""
        q_smooth, r_smooth = q @ self.smooth, r @ self.smooth
        theory = 2.0 * np.einsum("bij,bji->b", q_smooth, r_smooth)
        weights = self.weights
        many = self.sequences[0].ordinates.shape[1] > 1
        each, beyond, n = (theory, 0.0, np.inf) if not many else self._of_particles(q, r, theory)
        sampled = float(weights**2 @ (each / self.counts))
        own, other = (self.models @ y - weights @ y for y in (_traces(x, self.products) for x in (q, r)))
        between = float(self.probability @ (own * other))
        # Models differ by chance as well, as much as their weights do, and that is counted already.
        between -= float(self.probability @ ((self.models - weights) ** 2 @ (each / self.counts)))
        between = max(between, 0.0) if r is q else between
        return float(weights @ theory), sampled + between + beyond, n

    def _of_particles(self, q: np.ndarray, r: np.ndarray, theory: np.ndarray) -> tuple[np.ndarray, float, float]:
        """Covariance of the ordinates in each bin as their scatter has it, what unlike particles add, and the number.

        Particles that move together scatter the mean over particles from one mode to the next; particles that stay
        unlike each other change all modes together, which their own sums show. Both are counted, and what is in both,
        the scatter of each particle in each mode, is taken off once (Cameron, Gelbach and Miller,
        doi:10.1198/jbes.2010.07136).
        """
        relative, unlike, weight_sum, square_sum = 0.0, 0.0, 0.0, 0.0
        for s, bins in zip(self.sequences, self.row_bins, strict=True):
            x = s.ordinates.astype(float)
            weight = (self.weights / self.counts)[bins]
            own = np.einsum("kpai,ab,kpbi->kpi", x, q, x) - _traces(q, self.smooth)[bins][:, None, None]
            other = (
                own
                if r is q
                else np.einsum("kpai,ab,kpbi->kpi", x, r, x) - _traces(r, self.smooth)[bins][:, None, None]
            )
            size = weight**2 * theory[bins]
            left = weight**2 / self.freed[bins]
            relative += float(np.einsum("k,ki,ki->", left, own.mean(axis=1), other.mean(axis=1)))
            weight_sum += float(size.sum()) * x.shape[3]
            square_sum += float((size**2).sum()) * x.shape[3]
            own, other = weight[:, None, None] * own / x.shape[1], weight[:, None, None] * other / x.shape[1]
            cells = float((own * other).sum())
            unlike += float((own.sum(axis=(0, 2)) * other.sum(axis=(0, 2))).sum()) - cells
        if weight_sum <= 0.0:
            return theory, 0.0, np.inf
        # The square of a deviation is itself known the worse the more an ordinate is a single square: 2 + 6 V in place
        # of 2, V being the relative variance of one ordinate.
        share = relative / weight_sum
        number = weight_sum**2 / square_sum / (1.0 + 6.0 * abs(share))
        return theory * share, max(unlike, 0.0) if r is q else unlike, number

    def missed(self, q: np.ndarray) -> float:
        """Variance of a value by relaxations that the weights do not see, as large as the models expect them."""
        return self.unseen * float(np.einsum("bij,bji->b", q @ self.smooth, q @ self.smooth).max())

    def of_replicas(self, q: np.ndarray, known: Estimate) -> Estimate:
        """The estimate, with the scatter of the replicas as its error where that is beyond chance."""
        replicas = sorted({s.replica for s in self.sequences})
        if len(replicas) < 3:
            return known
        values = []
        for replica in replicas:
            top, bottom = np.zeros(len(self.counts)), np.zeros(len(self.counts))
            for s, bins in zip(self.sequences, self.row_bins, strict=True):
                if s.replica == replica:
                    x = s.ordinates
                    mean = np.einsum("kpai,ab,kpbi->k", x, q, x) / x.shape[1]
                    top += np.bincount(bins, mean, len(top))
                    bottom += np.bincount(bins, minlength=len(top)) * x.shape[3]
            if (bottom == 0).any():
                return known
            values.append(float(self.weights @ (top / bottom)))
        between = float(np.var(values, ddof=1)) / len(values)
        freedom = len(values) - 1.0
        chance = stats.f.sf(between / known.error**2, freedom, max(known.degrees_of_freedom, 1.0))
        if chance >= SCATTER_LEVEL:
            return known
        found = replace(known, error=float(np.sqrt(between)), degrees_of_freedom=freedom, source="between replicas")
        if chance >= DISAGREEMENT_LEVEL:
            return found
        return replace(found, n_effective=float(len(values)), source="replicas disagree")


def _traces(q: np.ndarray, matrices: np.ndarray) -> np.ndarray:
    return np.einsum("ab,nba->n", q, matrices)


def _fit(sequences: tuple[Sequence_, ...]) -> _Fit:
    slowest = min(float(s.frequency_per_ps[0]) for s in sequences)
    fastest = min(float(0.5 * np.pi / s.interval_ps) for s in sequences)
    raw = [np.floor(_BINS_PER_OCTAVE * np.log2(s.frequency_per_ps / slowest) + 1e-6).astype(int) for s in sequences]
    sequences = tuple(_cut(s, fastest) for s in sequences)
    raw = [bins[: len(s.frequency_per_ps)] for bins, s in zip(raw, sequences, strict=True)]
    present, inverse = np.unique(np.concatenate(raw), return_inverse=True)
    row_bins = tuple(np.split(inverse, np.cumsum([len(b) for b in raw])[:-1]))
    n_bins, width = len(present), sequences[0].ordinates.shape[2]
    counts, modes = np.zeros(n_bins), np.zeros(n_bins)
    products, frequency = np.zeros((n_bins, width, width)), np.zeros(n_bins)
    longest = max(s.length_ps for s in sequences)
    taus = _times(SLOWEST * longest, 0.5 / max(float(s.rate_per_ps[-1]) for s in sequences))
    shape = np.zeros((n_bins, len(taus)))
    each = []
    for s, bins in zip(sequences, row_bins, strict=True):
        x = s.ordinates.astype(float)
        mine = np.einsum("kpai,kpbi->kiab", x, x) / x.shape[1]
        each.append(mine)
        np.add.at(products, bins, mine.sum(axis=1))
        np.add.at(counts, bins, x.shape[3])
        np.add.at(modes, bins, x.shape[3])
        np.add.at(frequency, bins, x.shape[3] * s.frequency_per_ps)
        np.add.at(shape, bins, x.shape[3] / (1.0 + (s.rate_per_ps[:, None] * taus) ** 2))
    products, frequency, shape = products / counts[:, None, None], frequency / counts, shape / counts[:, None]
    directions = _directions(products, counts)
    if not directions.shape[1]:
        weights = np.full((1, n_bins), 1.0 / n_bins)
        return _Fit(
            sequences, row_bins, counts, products, products, np.ones(n_bins), weights, np.ones(1), 0.0, frequency
        )
    curves = np.einsum("ad,nab,bd->nd", directions, products, directions)
    noise = 2.0
    if sequences[0].ordinates.shape[1] > 1:
        noise = _relative_variance(each, row_bins, directions, _running_mean(curves, counts))
    models, probability, smoother, unseen = _average(curves, 2.0 * counts / noise, shape)
    smooth = np.tensordot(smoother, products, 1)
    own = np.clip(np.diag(smoother), 0.0, 1.0)
    freed = np.maximum(1.0 - own * (2.0 - own) / counts, 0.3)
    smooth = _positive(smooth, products)
    return _Fit(sequences, row_bins, counts, products, smooth, freed, models, probability, unseen, frequency)


def _cut(s: Sequence_, fastest_per_ps: float) -> Sequence_:
    kept = max(int(np.searchsorted(s.frequency_per_ps, fastest_per_ps * (1 + 1e-9), side="right")), 1)
    if kept >= len(s.frequency_per_ps):
        return s
    frequency, rate = s.frequency_per_ps[:kept], s.rate_per_ps[:kept]
    return replace(s, ordinates=s.ordinates[:kept], frequency_per_ps=frequency, rate_per_ps=rate)


def _times(slowest_ps: float, fastest_ps: float) -> np.ndarray:
    """Times of relaxation, each half of the next, up to the slowest."""
    number = max(int(np.floor(np.log2(slowest_ps / fastest_ps))) + 1, 1)
    return slowest_ps / 2.0 ** np.arange(number)[::-1]


def _directions(products: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sums of the series that are independent of each other, as far apart in the shape of their spectra as can be.

    Columns; fewer than there are series where some depend on others, as momentum makes them do.
    """
    whole = np.tensordot(counts, products, 1) / counts.sum()
    scale = np.sqrt(np.diag(whole))
    scale = np.where(scale > 0.0, scale, 1.0)
    size, axes = np.linalg.eigh(whole / np.outer(scale, scale))
    kept = size > 1e-6 * max(float(size[-1]), 1e-300)
    if not np.any(np.diag(whole) > 0.0):
        return np.empty((len(whole), 0))
    whiten = axes[:, kept] / np.sqrt(size[kept]) / scale[:, None]
    slow = counts * (np.cumsum(counts) <= max(0.25 * counts.sum(), counts[0]))
    _, turn = np.linalg.eigh(whiten.T @ np.tensordot(slow, products, 1) @ whiten)
    return whiten @ turn


def _running_mean(curves: np.ndarray, counts: np.ndarray, reach: int = 3) -> np.ndarray:
    found = np.empty_like(curves)
    for i in range(len(curves)):
        part = slice(max(i - reach, 0), i + reach + 1)
        found[i] = np.average(curves[part], axis=0, weights=counts[part])
    return found


def _relative_variance(
    each: list[np.ndarray], row_bins: Sequence[np.ndarray], directions: np.ndarray, pilot: np.ndarray
) -> float:
    """Of a mean over particles, from component to component and mode to mode."""
    total, number = 0.0, 0
    for mine, bins in zip(each, row_bins, strict=True):
        y = np.einsum("ad,kiab,bd->kid", directions, mine, directions) / np.maximum(pilot, 1e-300)[bins][:, None, :]
        total += float(((y - 1.0) ** 2).sum())
        number += y.size
    return max(total / number, 1e-6)


def _average(
    curves: np.ndarray, freedom: np.ndarray, shape: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float]:
    """Weights of the bins in the value at zero, for each model, how probable each is, and what smooths a spectrum.

    Args:
        curves: (n_bins, n_directions) spectra of independent directions.
        freedom: (n_bins,) of each mean square.
        shape: (n_bins, n_times) of the relaxations.

    Returns:
        weights (n_models, n_bins); probabilities (n_models,); the matrix (n_bins, n_bins) that smooths a spectrum;
        expected square of what relaxations that the weights miss make of the value, over that of the largest spectrum.
    """
    n_times = shape.shape[1]
    smooth = _running_mean(curves, freedom)
    probability = models = smoother = np.empty(0)
    for _ in range(3):
        scale = smooth.max(axis=0)
        common = np.exp(np.mean(np.log(np.maximum(smooth / scale, 1e-4)), axis=1))
        noise = np.sqrt(2.0 / freedom) * common
        # In units of the noise its covariance is the identity, and that of a model differs in few directions.
        y, one = curves / scale / noise[:, None], 1.0 / noise
        log, weights, parts, missed = [], [], [], []
        for slowest in range(n_times):
            used = shape[:, : slowest + 1] / noise[:, None]
            axes, sizes, _ = np.linalg.svd(used, full_matrices=False)
            prior = SIZES**2 / (slowest + 1)
            known = prior[:, None] * sizes**2
            less = known / (1.0 + known)
            of_y, of_one, of_reach = axes.T @ y, axes.T @ one, axes.T @ used.sum(axis=1)
            flat = one - (less * of_one) @ axes.T
            in_level = flat @ one
            per_level = _LEVEL_VARIANCE / (1.0 + _LEVEL_VARIANCE * in_level)
            misfit = (y**2).sum() - less @ (of_y**2).sum(axis=1) - per_level * ((flat @ y) ** 2).sum(axis=1)
            volume = np.log1p(known).sum(axis=1) + np.log1p(_LEVEL_VARIANCE * in_level)
            log.append(-0.5 * (misfit + y.shape[1] * volume) + SLOW_POWER * np.log(2.0) * slowest)
            reach = prior[:, None] * (used.sum(axis=1) - (less * of_reach) @ axes.T)
            # What the level, of variance so large that it is free, gives and takes.
            reach += flat * (per_level * (1.0 - reach @ one))[:, None]
            weights.append(reach / noise)
            # What the weights miss of each relaxation, whose strength has this prior, is error of theirs.
            missed.append(prior * ((1.0 - weights[-1] @ shape[:, : slowest + 1]) ** 2).sum(axis=1))
            parts.append((axes, less, flat, per_level))
        flat_log = np.concatenate(log)
        probability = np.exp(flat_log - flat_log.max())
        probability /= probability.sum()
        models = np.concatenate(weights)
        inverse = np.eye(len(noise))
        for (axes, less, flat, per_level), p in zip(parts, probability.reshape(n_times, -1), strict=True):
            inverse -= (axes * (p @ less)) @ axes.T + (flat.T * (p * per_level)) @ flat
        smoother = np.eye(len(noise)) - noise[:, None] * inverse / noise
        smooth = np.maximum(smoother @ curves, 1e-2 * np.abs(curves).max(axis=0))
    return models, probability, smoother, float(probability @ np.concatenate(missed))


def _positive(smooth: np.ndarray, products: np.ndarray) -> np.ndarray:
    """The nearest matrices without negative eigenvalues, in units in which the series are alike."""
    scale = np.sqrt(np.mean(np.einsum("naa->na", products), axis=0))
    scale = np.where(scale > 0.0, scale, 1.0)
    size, axes = np.linalg.eigh(smooth / np.outer(scale, scale))
    mended = np.einsum("nae,ne,nbe->nab", axes, np.maximum(size, 0.0), axes)
    return mended * np.outer(scale, scale)
