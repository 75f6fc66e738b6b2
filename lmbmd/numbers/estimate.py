"""Means of correlated series with error bars that mean what they say.

Every estimate rests on one quantity, the autocovariance of the series pooled over replicas. The theory,
the measured coverage and what the error bars are not: docs/theory/statistics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from lmbmd.numbers.autocovariance import as_series, geyer_window, is_constant, lagged_products, two_sided

#: An error bar from fewer independent samples than RELIABLE_N_EFFECTIVE + RELIABLE_PER_SKEWNESS * skewness²
#: is printed as "error not reliable" (a fraction p needs about 10 + 5 / p).
RELIABLE_N_EFFECTIVE = 10.0
RELIABLE_PER_SKEWNESS = 5.0
#: Replicas whose means would scatter so far by chance with a lower probability than this are said to disagree.
DISAGREEMENT_LEVEL = 0.01


@dataclass(frozen=True)
class Estimate:
    """A mean and how well it is known.

    Attributes:
        value: the mean over all defined frames of all replicas; NaN if there is none.
        error: one standard error of ``value``; NaN if it cannot be told: from one sample, or if the series never
            changed, in which case ``n_effective`` is the number of replicas; 0 for exact quantities alone.
        n_effective: number of independent samples, (number of frames) / (statistical inefficiency).
        degrees_of_freedom: of the error itself, for Student's t (``compare.interval``); infinite for exact quantities,
            NaN where there is no error.
        source: where the error comes from: "within replicas", "between replicas" (the larger of the two is
            used), "replicas disagree" (beyond ``DISAGREEMENT_LEVEL``: each counts as one sample), "constant" (never
            changed), "one sample", "no samples", or "exact" (not sampled at all).
        skewness: of the values; a mean of few samples of a skewed quantity (a rare state) is not Gaussian.
    """

    value: float
    error: float
    n_effective: float
    degrees_of_freedom: float = float("nan")
    source: str = ""
    skewness: float = 0.0

    @property
    def needed(self) -> float:
        """Independent samples from which on the error can be believed: the more skewed the values, the more."""
        return RELIABLE_N_EFFECTIVE + RELIABLE_PER_SKEWNESS * self.skewness**2

    @property
    def reliable(self) -> bool:
        """Whether enough independent samples were seen for the error to be believed."""
        return bool(np.isfinite(self.error)) and self.n_effective >= self.needed


def read_off(value: float) -> Estimate:
    """A number that is read off a mean curve, which tells no error."""
    return Estimate(value, float("nan"), float("nan"), source="read off the mean curve")


def estimate_mean(series: Sequence[np.ndarray]) -> Estimate:
    """Mean over frames and replicas, with its standard error.

    With y = x − mean over everything, S_k the sum of y_i y_(i+k) over all pairs of frames k apart within a
    replica and n_k the number of such pairs, the variance of the mean is

        V = (S_0 + 2 Σ_(k=1..M) S_k) / n_0² / (1 − f),   f = (n_0 + 2 Σ_(k=1..M) n_k) / n_0²

    where 1 − f takes back what subtracting the sample mean removed. M ends Geyer's initial positive sequence
    of the pooled autocovariance S_k / n_k. V is never taken below the value for independent frames. For three
    and more replicas the larger of V and the variance told by the scatter of the replica means is used.

    Args:
        series: one array per replica, of any lengths, equally spaced in time; NaN where the quantity is
            undefined in a frame (such frames have no weight).

    References:
        Geyer, Stat. Sci. 7, 473 (1992), doi:10.1214/ss/1177011137.
        Wolff, Comput. Phys. Commun. 156, 143 (2004), doi:10.1016/S0010-4655(03)00467-3 (replicas and bias).
    """
    series = [as_series(x) for x in series]
    defined = [x[np.isfinite(x)] for x in series]
    values = np.concatenate(defined) if defined else np.empty(0)
    if not len(values):
        return Estimate(float("nan"), float("nan"), 0.0, source="no samples")
    mean = float(values.mean())
    return _with_error(mean, [x - mean for x in series])


def independent_samples(series: Sequence[np.ndarray]) -> float:
    """Independent samples as the autocovariance tells them; how far the replica means scatter is left out.

    Use it beside ``p_replicas_agree``: ``estimate_mean`` counts fewer where the means happen to scatter far.

    Args:
        series: as for ``estimate_mean``; it must not be constant.
    """
    within, of_one, _ = _within(_deviations(series))
    frames = sum(int(np.isfinite(np.asarray(x, float)).sum()) for x in series)
    return float(np.clip((of_one + within) / within, 1.0, frames))


def p_replicas_agree(series: Sequence[np.ndarray]) -> float:
    """Probability that the means of the replicas scatter this far if every run samples the same liquid (F test).

    A low one says that something changes too slowly to be seen in any one run. F compares the scatter of the R
    means with what the fluctuations inside the replicas explain, and has R − 1 degrees of freedom and those of that
    autocovariance.

    Args:
        series: as for ``estimate_mean``.

    Returns:
        NaN for fewer than three replicas, or if nothing ever varies.
    """
    deviations = [y for y in _deviations(series) if np.isfinite(y).any()]
    if len(deviations) < 3 or not _between(deviations) > 0.0:
        return float("nan")
    return _p_of_scatter(deviations, _between(deviations))


def _deviations(series: Sequence[np.ndarray]) -> list[np.ndarray]:
    arrays = [as_series(x) for x in series]
    mean = float(np.concatenate([x[np.isfinite(x)] for x in arrays]).mean())
    return [x - mean for x in arrays]


def estimate_ratio(numerators: Sequence[np.ndarray], denominators: Sequence[np.ndarray]) -> Estimate:
    """Ratio of means Σ a / Σ b over frames and replicas, with its standard error (delta method).

    To first order the error of R = ⟨a⟩/⟨b⟩ is that of the mean of (a − R b)/⟨b⟩, whose correlation in time is
    treated as in ``estimate_mean``. Use it for "share of all anions seen that …" when the number per frame
    varies; the mean of per-frame ratios is another quantity.

    Args:
        numerators, denominators: one array per replica each; a frame counts where both are defined.

    Returns:
        The ratio; NaN with no samples if the denominators sum to zero.
    """
    a = [as_series(x) for x in numerators]
    b = [as_series(x) for x in denominators]
    if [len(x) for x in a] != [len(x) for x in b]:
        raise ValueError("numerators and denominators differ in length")
    b = [np.where(np.isfinite(x), y, np.nan) for x, y in zip(a, b, strict=True)]
    total = sum(float(np.nansum(y)) for y in b)
    frames = sum(int(np.isfinite(y).sum()) for y in b)
    if total == 0.0:
        return Estimate(float("nan"), float("nan"), 0.0, source="no samples")
    ratio = sum(float(np.nansum(np.where(np.isfinite(y), x, np.nan))) for x, y in zip(a, b, strict=True)) / total
    return _with_error(ratio, [(x - ratio * y) * (frames / total) for x, y in zip(a, b, strict=True)])


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """The estimate of a quantity that is ``factor`` times this one."""
    return replace(
        estimate,
        value=estimate.value * factor,
        error=abs(factor) * estimate.error,
        skewness=estimate.skewness * np.sign(factor),
    )


def shares(counts: Sequence[np.ndarray], total: float) -> list[Estimate]:
    """Mean share of each column: counts are one (n_frames, m) array per replica, ``total`` what they sum to.

    Replicas may differ in m; missing columns are zeros.
    """
    width = max((c.shape[1] for c in counts), default=0)
    column = lambda c, k: c[:, k] / total if k < c.shape[1] else np.zeros(len(c))  # noqa: E731
    return [estimate_mean([column(c, k) for c in counts]) for k in range(width)] if total else []


def last_used(estimates: Sequence[Estimate]) -> int:
    """Number of entries up to the last that is not zero, at least one."""
    used = [k for k, e in enumerate(estimates) if e.value]
    return 1 + max(used, default=0)


def _with_error(value: float, deviations: Sequence[np.ndarray]) -> Estimate:
    """Standard error of a mean from the deviations, whose sum over all frames and replicas is zero."""
    deviations = [y for y in deviations if np.isfinite(y).any()]
    replicas = len(deviations)
    defined = np.concatenate([y[np.isfinite(y)] for y in deviations])
    if len(defined) == 1:
        return Estimate(value, float("nan"), 1.0, source="one sample")
    if is_constant(defined, max(abs(value), float(np.abs(defined).max()))):
        return Estimate(value, float("nan"), float(replicas), source="constant")
    within, of_one, freedom = _within(deviations)
    variance, source = within, "within replicas"
    if replicas >= 3:
        between = _between(deviations)
        # Where the window spans all replicas both are the same sum, and rounding must not choose.
        if between > within * (1.0 + 1e-9):
            variance, source = between, "between replicas"
        if _p_of_scatter(deviations, between) < DISAGREEMENT_LEVEL:
            source, freedom = "replicas disagree", replicas - 1.0
    most = replicas if source == "replicas disagree" else len(defined)
    n_effective = float(np.clip((of_one + variance) / variance, 1.0, most))
    skewness = float(np.mean(defined**3) / np.mean(defined**2) ** 1.5)
    return Estimate(value, float(np.sqrt(variance)), n_effective, float(freedom), source, skewness)


def _within(deviations: Sequence[np.ndarray]) -> tuple[float, float, float]:
    """Variance of the mean told by the autocovariance of all replicas, that of one frame, and degrees of freedom."""
    products, pairs = lagged_products(deviations)
    window, frames = geyer_window(products / np.maximum(pairs, 1)), float(pairs[0])
    fraction = min(two_sided(pairs[:window]) / frames**2, 0.9)
    within = two_sided(products[:window]) / frames**2 / (1.0 - fraction)
    within = max(within, products[0] / (frames * (frames - 1.0)))
    return within, products[0] / frames, max(frames / (2.0 * window), 1.0)


def _between(deviations: Sequence[np.ndarray]) -> float:
    """Variance of the mean as told by the scatter of the replica means."""
    frames = np.array([np.isfinite(y).sum() for y in deviations], float)
    sums = np.array([np.nansum(y) for y in deviations])
    return float((sums**2).sum() / (frames.sum() ** 2 - (frames**2).sum()))


def _p_of_scatter(deviations: Sequence[np.ndarray], between: float) -> float:
    """Probability that replica means scatter this far if only the fluctuations inside the replicas scatter them."""
    replicas = len(deviations)
    products, pairs = lagged_products([y - np.nanmean(y) for y in deviations])
    if products[0] <= 0.0:
        return 0.0
    window, frames = geyer_window(products / np.maximum(pairs, 1)), pairs[0]
    fraction = min(replicas * two_sided(pairs[:window]) / frames**2, 0.9)
    within = max(two_sided(products[:window]), products[0]) / frames**2 / (1.0 - fraction)
    freedom = max(frames / (2.0 * window) - replicas, 1.0)
    return float(stats.f.sf(between / within, replicas - 1, freedom))
