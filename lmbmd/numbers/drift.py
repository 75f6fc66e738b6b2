"""Does a quantity drift? A straight line against correlated noise. Theory: docs/theory/statistics.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from lmbmd.numbers.autocovariance import as_series, geyer_window, is_constant, lagged_products, two_sided
from lmbmd.numbers.doubt import SURE, Doubt, Kind

#: Independent samples per replica below which nothing is said about stationarity.
STATIONARITY_N_EFFECTIVE = 20.0
#: Probability of calling a stationary series drifting.
STATIONARITY_LEVEL = 0.01


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
        doubt: why it cannot be told.
    """

    stationary: bool | None
    p_value: float
    drift: float
    drift_error: float
    n_effective: float
    doubt: Doubt = SURE

    @property
    def reason(self) -> str:
        """The verdict in words."""
        return f"cannot tell: {self.doubt}" if self.doubt else "no drift seen" if self.stationary else "drifts"


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
    series = [x for x in map(as_series, series) if np.isfinite(x).sum() >= 3]
    unknown = float("nan")
    if not series:
        return Stationarity(None, unknown, unknown, unknown, 0.0, Doubt(Kind.FEW_FRAMES))
    drifts, weights, residuals = zip(*map(_line, series), strict=True)
    drift, replicas = float(np.mean(drifts)), len(series)
    scale = max(float(np.nanmax(np.abs(x))) for x in series)
    if all(is_constant(e[np.isfinite(e)], scale) for e in residuals):
        if abs(drift) <= 1e-9 * scale:
            return Stationarity(None, unknown, drift, unknown, float(replicas), Doubt(Kind.STILL))
        return Stationarity(False, 0.0, drift, 0.0, float(replicas))
    products, pairs = lagged_products(residuals)
    covariance = products / np.maximum(pairs, 1)
    window, frames = geyer_window(covariance), float(pairs[0])
    # A line through each replica removes about twice what its mean does, of the sums over the window.
    removed = 2 * replicas * two_sided(pairs[:window]) / frames**2
    correct = 1.0 / max(1.0 - removed, 0.1)
    inefficiency = max(correct * two_sided(products[:window]) / products[0], 1.0)
    n_effective = frames / inefficiency
    variances = np.empty(replicas)
    for i, w in enumerate(weights):
        shape = lagged_products([w])[0][:window]
        white = shape[0] * covariance[0]
        variances[i] = max(correct * two_sided(shape * covariance[: len(shape)]), white)
    drift_error = float(np.sqrt(variances.sum()) / replicas)
    if n_effective < STATIONARITY_N_EFFECTIVE * replicas:
        few = Doubt(Kind.FEW_PER_REPLICA, n=n_effective / replicas)
        return Stationarity(None, unknown, drift, drift_error, n_effective, few)
    freedom = max(frames / (2 * window) - replicas, 1.0)
    p_value = float(stats.f.sf(np.mean(np.square(drifts) / variances), replicas, freedom))
    return Stationarity(p_value >= level, p_value, drift, drift_error, n_effective)


def _line(x: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Least-squares line: its change from the first to the last frame, the weights that give it, the residuals."""
    mask = np.isfinite(x)
    time = np.arange(len(x)) - np.flatnonzero(mask).mean()
    weight = np.where(mask, time, 0.0)
    weight *= (len(x) - 1) / (weight @ weight)
    drift = float(weight[mask] @ x[mask])
    residual = x - np.nanmean(x) - drift * time / (len(x) - 1)
    return drift, weight, residual
