"""Means of correlated series with error bars that mean what they say.

Every estimate rests on one quantity, the autocovariance of the series pooled over replicas. The theory,
the measured coverage and what the error bars are not: docs/theory/statistics.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

#: An error bar from fewer independent samples than RELIABLE_N_EFFECTIVE + RELIABLE_PER_SKEWNESS * skewness²
#: is printed as "error not reliable" (a fraction p needs about 10 + 5 / p).
RELIABLE_N_EFFECTIVE = 10.0
RELIABLE_PER_SKEWNESS = 5.0
#: Independent samples per replica below which nothing is said about stationarity.
STATIONARITY_N_EFFECTIVE = 20.0
#: Probability of calling a stationary series drifting.
STATIONARITY_LEVEL = 0.01


@dataclass(frozen=True)
class Estimate:
    """A mean and how well it is known.

    Attributes:
        value: the mean over all defined frames of all replicas; NaN if there is none.
        error: one standard error of ``value``; NaN if it cannot be told: from one sample, or if the series never
            changed, in which case ``n_effective`` is the number of replicas; 0 for exact quantities alone.
        n_effective: number of independent samples, (number of frames) / (statistical inefficiency).
        degrees_of_freedom: of the error itself, for Student's t in ``interval``.
        source: where the error comes from: "within replicas", "between replicas" (the larger of the two is
            used), "replicas disagree" (beyond chance, 1 %: each counts as one sample), "constant" (never changed),
            "one sample", "no samples", or "exact" (not sampled at all).
        skewness: of the values; a mean of few samples of a skewed quantity (a rare state) is not Gaussian.
    """

    value: float
    error: float
    n_effective: float
    degrees_of_freedom: float = float("nan")
    source: str = ""
    skewness: float = 0.0

    @property
    def reliable(self) -> bool:
        """Whether enough independent samples were seen for the error to be believed."""
        needed = RELIABLE_N_EFFECTIVE + RELIABLE_PER_SKEWNESS * self.skewness**2
        return bool(np.isfinite(self.error)) and self.n_effective >= needed

    def interval(self, level: float = 0.95) -> tuple[float, float]:
        """Confidence interval from Student's t; wider than ±1.96 errors where the error is itself uncertain."""
        half = self.error * stats.t.ppf(0.5 + 0.5 * level, self.degrees_of_freedom) if self.error else 0.0
        return self.value - half, self.value + half


@dataclass(frozen=True)
class Stationarity:
    """Whether a quantity drifts during the runs.

    Attributes:
        stationary: True (no drift seen), False (drift), None (cannot tell).
        p_value: probability of drifts at least this large in a stationary series; NaN if it cannot be told.
        drift: change from the first to the last frame along the fitted line, mean over the replicas, in units
            of the series.
        drift_error: one standard error of ``drift``.
        n_effective: independent samples, all replicas together, after the drift was taken out.
        reason: the verdict in words.
    """

    stationary: bool | None
    p_value: float
    drift: float
    drift_error: float
    n_effective: float
    reason: str


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
    series = [_as_series(x) for x in series]
    defined = [x[np.isfinite(x)] for x in series]
    values = np.concatenate(defined) if defined else np.empty(0)
    if not len(values):
        return Estimate(float("nan"), float("nan"), 0.0, source="no samples")
    mean = float(values.mean())
    return _with_error(mean, [x - mean for x in series])


def estimate_ratio(numerators: Sequence[np.ndarray], denominators: Sequence[np.ndarray]) -> Estimate:
    """Ratio of means Σ a / Σ b over frames and replicas, with its standard error (delta method).

    To first order the error of R = <a>/<b> is that of the mean of (a − R b)/<b>, whose correlation in time is
    treated as in ``estimate_mean``. Use it for "share of all anions seen that …" when the number per frame
    varies; the mean of per-frame ratios is another quantity.

    Args:
        numerators, denominators: one array per replica each; a frame counts where both are defined.

    Returns:
        The ratio; NaN with no samples if the denominators sum to zero.
    """
    a = [_as_series(x) for x in numerators]
    b = [_as_series(x) for x in denominators]
    if [len(x) for x in a] != [len(x) for x in b]:
        raise ValueError("numerators and denominators differ in length")
    b = [np.where(np.isfinite(x), y, np.nan) for x, y in zip(a, b, strict=True)]
    total = sum(float(np.nansum(y)) for y in b)
    frames = sum(int(np.isfinite(y).sum()) for y in b)
    if total == 0.0:
        return Estimate(float("nan"), float("nan"), 0.0, source="no samples")
    ratio = sum(float(np.nansum(np.where(np.isfinite(y), x, np.nan))) for x, y in zip(a, b, strict=True)) / total
    return _with_error(ratio, [(x - ratio * y) * (frames / total) for x, y in zip(a, b, strict=True)])


def estimate_curve(
    blocks: Sequence[np.ndarray], weights: Sequence[np.ndarray] | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard error of a curve known in blocks of frames, such as g(r).

    Blocks are taken as independent: make them longer than the correlation time (ten per run, say). For three
    and more replicas the larger of this and the scatter of the replica means is used, point by point.

    Args:
        blocks: one array per replica, (n_blocks, …).
        weights: frames in each block, one array per replica; equal if not given.

    Returns:
        mean and error, both (…); the error is NaN with a single block.
    """
    weights = weights or [np.ones(len(b)) for b in blocks]
    total = float(sum(np.sum(w) for w in weights))
    pooled, weight = np.concatenate([np.asarray(b, float) for b in blocks]), np.concatenate(weights) / total
    mean = np.tensordot(weight, pooled, axes=1)
    variance = _variance_of_weighted_mean(pooled, weight, mean)
    if len(blocks) >= 3:
        means = np.array([np.tensordot(w / np.sum(w), b, axes=1) for b, w in zip(blocks, weights, strict=True)])
        between = _variance_of_weighted_mean(means, np.array([np.sum(w) for w in weights]) / total, mean)
        variance = np.fmax(variance, between)
    return mean, np.sqrt(variance)


def _variance_of_weighted_mean(samples: np.ndarray, weight: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Variance of Σ w x of independent samples with weights that sum to one; NaN for a single sample."""
    if len(samples) < 2:
        return np.full_like(mean, np.nan)
    return np.tensordot(weight**2, (samples - mean) ** 2, axes=1) / (1.0 - (weight**2).sum())


def statistical_inefficiency(x: np.ndarray) -> float:
    """Number of frames per independent sample, g = 1 + 2 Σ ρ_k ≥ 1.

    Returns:
        g; the number of defined frames if the series never changes or has one frame; NaN if it has none.
    """
    x = _as_series(x)
    frames = int(np.isfinite(x).sum())
    return frames / estimate_mean([x]).n_effective if frames else float("nan")


def stationarity(series: Sequence[np.ndarray], level: float = STATIONARITY_LEVEL) -> Stationarity:
    """Test for a drift: are the slopes of the replicas larger than correlated noise explains?

    A straight line is fitted to each replica by least squares. The variance of each slope follows from the
    autocovariance of the residuals, pooled over replicas and cut as in ``estimate_mean``. The mean over the
    R replicas of (slope / error)² is compared with Fisher's F(R, ν), ν being the degrees of freedom of that
    autocovariance; replicas that drift towards each other are therefore seen as well.

    Args:
        series: one array per replica, equally spaced, NaN where undefined.
        level: a p-value below it is a drift.

    Returns:
        ``stationary=None`` if the series never changes, or has fewer than ``STATIONARITY_N_EFFECTIVE``
        independent samples per replica: a short run cannot show that it is stationary.
    """
    series = [x for x in map(_as_series, series) if np.isfinite(x).sum() >= 3]
    unknown = float("nan")
    if not series:
        return Stationarity(None, unknown, unknown, unknown, 0.0, "cannot tell: fewer than three frames")
    drifts, weights, residuals = zip(*map(_line, series), strict=True)
    drift, replicas = float(np.mean(drifts)), len(series)
    scale = max(float(np.nanmax(np.abs(x))) for x in series)
    if all(_is_constant(e[np.isfinite(e)], scale) for e in residuals):
        if abs(drift) <= 1e-9 * scale:
            return Stationarity(None, unknown, drift, unknown, float(replicas), "cannot tell: it never changed")
        return Stationarity(False, 0.0, drift, 0.0, float(replicas), "drifts along a straight line")
    products, pairs = _lagged_products(residuals)
    covariance = products / np.maximum(pairs, 1)
    window, frames = _window(covariance), float(pairs[0])
    # A line through each replica removes about twice what its mean does, of the sums over the window.
    removed = 2 * replicas * _two_sided(pairs[:window]) / frames**2
    correct = 1.0 / max(1.0 - removed, 0.1)
    inefficiency = max(correct * _two_sided(products[:window]) / products[0], 1.0)
    n_effective = frames / inefficiency
    variances = np.empty(replicas)
    for i, w in enumerate(weights):
        shape = _lagged_products([w])[0][:window]
        white = shape[0] * covariance[0]
        variances[i] = max(correct * _two_sided(shape * covariance[: len(shape)]), white)
    drift_error = float(np.sqrt(variances.sum()) / replicas)
    if n_effective < STATIONARITY_N_EFFECTIVE * replicas:
        reason = f"cannot tell: {n_effective / replicas:.1f} independent samples per replica"
        return Stationarity(None, unknown, drift, drift_error, n_effective, reason)
    freedom = max(frames / (2 * window) - replicas, 1.0)
    p_value = float(stats.f.sf(np.mean(np.square(drifts) / variances), replicas, freedom))
    reason = "no drift seen" if p_value >= level else "drifts"
    return Stationarity(p_value >= level, p_value, drift, drift_error, n_effective, reason)


def _as_series(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, float)
    if x.ndim != 1:
        raise ValueError(f"a series has one dimension, not {x.ndim}")
    if np.isinf(x).any():
        raise ValueError("a series holds an infinite value")
    return x


def _is_constant(deviations: np.ndarray, scale: float) -> bool:
    """Whether deviations are no more than rounding of numbers of this size."""
    return bool(np.ptp(deviations) <= 1e-12 * scale)


def _with_error(value: float, deviations: Sequence[np.ndarray]) -> Estimate:
    """Standard error of a mean from the deviations, whose sum over all frames and replicas is zero."""
    deviations = [y for y in deviations if np.isfinite(y).any()]
    replicas = len(deviations)
    defined = np.concatenate([y[np.isfinite(y)] for y in deviations])
    if len(defined) == 1:
        return Estimate(value, float("nan"), 1.0, source="one sample")
    if _is_constant(defined, max(abs(value), float(np.abs(defined).max()))):
        return Estimate(value, float("nan"), float(replicas), source="constant")
    products, pairs = _lagged_products(deviations)
    window, frames = _window(products / np.maximum(pairs, 1)), float(pairs[0])
    fraction = min(_two_sided(pairs[:window]) / frames**2, 0.9)
    within = _two_sided(products[:window]) / frames**2 / (1.0 - fraction)
    within = max(within, products[0] / (frames * (frames - 1.0)))
    variance, freedom, source = within, max(frames / (2.0 * window), 1.0), "within replicas"
    if replicas >= 3:
        between = _between(deviations)
        # Where the window spans all replicas both are the same sum, and rounding must not choose.
        if between > within * (1.0 + 1e-9):
            variance, source = between, "between replicas"
        if _replicas_disagree(deviations, between):
            source, freedom = "replicas disagree", replicas - 1.0
    spread = products[0] / frames + variance
    most = replicas if source == "replicas disagree" else frames
    n_effective = float(np.clip(spread / variance, 1.0, most))
    skewness = float(np.mean(defined**3) / np.mean(defined**2) ** 1.5)
    return Estimate(value, float(np.sqrt(variance)), n_effective, float(freedom), source, skewness)


def _between(deviations: Sequence[np.ndarray]) -> float:
    """Variance of the mean as told by the scatter of the replica means."""
    frames = np.array([np.isfinite(y).sum() for y in deviations], float)
    sums = np.array([np.nansum(y) for y in deviations])
    return float((sums**2).sum() / (frames.sum() ** 2 - (frames**2).sum()))


def _replicas_disagree(deviations: Sequence[np.ndarray], between: float) -> bool:
    """Whether the replica means scatter beyond what the fluctuations inside the replicas explain (F test, 1 %).

    If so, something changes too slowly to be seen in any one run, and each replica is one sample.
    """
    replicas = len(deviations)
    products, pairs = _lagged_products([y - np.nanmean(y) for y in deviations])
    if products[0] <= 0.0:
        return True
    window, frames = _window(products / np.maximum(pairs, 1)), pairs[0]
    fraction = min(replicas * _two_sided(pairs[:window]) / frames**2, 0.9)
    within = max(_two_sided(products[:window]), products[0]) / frames**2 / (1.0 - fraction)
    freedom = max(frames / (2.0 * window) - replicas, 1.0)
    return between > within * stats.f.ppf(0.99, replicas - 1, freedom)


def _lagged_products(deviations: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Sums of y_i y_(i+k) and numbers of defined pairs for each lag k, over all replicas, by FFT."""
    longest = max(map(len, deviations))
    products, pairs = np.zeros(longest), np.zeros(longest)
    for y in deviations:
        n = len(y)
        size = 1 << (2 * n - 1).bit_length()
        mask = np.isfinite(y)
        filled = np.where(mask, y, 0.0)
        products[:n] += np.fft.irfft(np.abs(np.fft.rfft(filled, size)) ** 2, size)[:n]
        if mask.all():
            pairs[:n] += n - np.arange(n)
        else:
            pairs[:n] += np.rint(np.fft.irfft(np.abs(np.fft.rfft(mask, size)) ** 2, size)[:n])
    return products, pairs


def _window(covariance: np.ndarray) -> int:
    """Number of lags to sum: Geyer's initial positive sequence, pairs C_2m + C_2m+1 while they are positive."""
    even = covariance[: len(covariance) - len(covariance) % 2]
    sums = even.reshape(-1, 2).sum(axis=1)
    # Sums that are zero but for rounding would let the sequence run on.
    stop = np.flatnonzero(sums <= 1e-12 * covariance[0])
    return max(2 * int(stop[0] if len(stop) else len(sums)), 1)


def _two_sided(x: np.ndarray) -> float:
    """Sum over positive and negative lags of what is given for lags 0, 1, 2 …"""
    return float(2.0 * x.sum() - x[0])


def _line(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Least-squares line: its change from the first to the last frame, the weights that give it, the residuals."""
    mask = np.isfinite(x)
    time = np.arange(len(x)) - np.flatnonzero(mask).mean()
    weight = np.where(mask, time, 0.0)
    weight *= (len(x) - 1) / (weight @ weight)
    drift = float(weight[mask] @ x[mask])
    residual = x - np.nanmean(x) - drift * time / (len(x) - 1)
    return drift, weight, residual
