"""The pre-peak as a number: where it is, how high, how wide; or that there is none, or that the box cannot see it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.ndimage import median_filter
from scipy.optimize import curve_fit

from lmbmd.analysis.scattering.curves import Curve
from lmbmd.numbers.curve import leave_one_out_error
from lmbmd.numbers.doubt import SURE, Doubt, Kind
from lmbmd.numbers.estimate import Estimate, read_off

#: A point must be above others by so much that chance does it to any of all pairs of points with this probability.
LEVEL = 0.01
_NOTHING = Estimate(float("nan"), float("nan"), 0.0)


@dataclass(frozen=True)
class Peak:
    """A maximum of S(q) at small q, S = b + h / (1 + ξ² (q − q₀)²).

    Attributes:
        q_per_A: q₀.
        height: b + h.
        length_A: ξ, one over the half width at half maximum; of a rise towards q = 0, which has q₀ = 0, the same.
        doubt: why there is no position.
        why_length: why there is no length.
    """

    q_per_A: Estimate = _NOTHING
    height: Estimate = _NOTHING
    length_A: Estimate = _NOTHING
    doubt: Doubt = SURE
    why_length: Doubt = SURE


def prepeak(curve: Curve, without: Sequence[np.ndarray], below_per_A: float) -> Peak:
    """The highest significant maximum of S(q) below some q.

    A point is a maximum if it is above a point to its left and one to its right beyond chance, by their errors and with
    Bonferroni's correction for all pairs of points. A Lorentzian on a constant is fitted between the lowest points to
    both sides. Where the largest S is above what is to its right beyond chance, and not above what is to its left, the
    box cannot see whether it is a maximum; one at q = 0 is then fitted (Ornstein and Zernike), and its length is given
    if it is smaller than one over the smallest q.

    Args:
        curve: S(q) with its errors, in order of q.
        without: S(q) without one group of frames at a time, from which the errors of the fit come.
        below_per_A: where to look.
    """
    low = np.flatnonzero((curve.q_per_A < below_per_A) & np.isfinite(curve.value))
    q, value, error = curve.q_per_A[low], curve.value[low], curve.error[low]
    if not (error > 0).any():
        return Peak(doubt=Doubt(Kind.ONE_BLOCK), why_length=Doubt(Kind.ONE_BLOCK))
    error = np.where(error > 0, error, np.nanmax(error))
    above = (value[:, None] - value[None]) / np.hypot(error[:, None], error[None])
    needed = stats.norm.isf(LEVEL / max(len(q) * (len(q) - 1), 1))
    left = np.array([above[i, :i].max(initial=-np.inf) for i in range(len(q))])
    right = np.array([above[i, i + 1 :].max(initial=-np.inf) for i in range(len(q))])
    is_peak = np.minimum(left, right) >= needed
    top = int(np.argmax(np.where(is_peak, value, -np.inf))) if is_peak.any() else 0
    falls = int(np.argmax(value))
    if right[falls] >= needed and left[falls] < needed:
        return _rise(q, value, error, [one[low] for one in without], falls)
    if not is_peak.any():
        none = Doubt(Kind.NO_PEAK, at=below_per_A)
        return Peak(doubt=none, why_length=none)
    first = int(np.argmin(value[:top])) if top else 0
    last = top + 1 + int(np.argmin(value[top + 1 :]))
    window = slice(first, last + 1)
    start = (q[top], value[top] - value[window].min(), 4.0 / (q[last] - q[first]), value[window].min())
    fits = _fitted(_lorentzian, q, value, error, [one[low] for one in without], window, start)
    if fits is None or not q[first] < fits[0].value < q[last] or not _resolved(fits[2].value, q[window]):
        height = Estimate(float(value[top]), float(error[top]), float(len(without)), len(without) - 1.0)
        return Peak(read_off(float(q[top])), height, why_length=Doubt(Kind.UNRESOLVED))
    position, _, length, _, height = fits
    return Peak(position, height, length)


def _rise(q: np.ndarray, value: np.ndarray, error: np.ndarray, without: Sequence[np.ndarray], top: int) -> Peak:
    """A curve that falls from the smallest q on."""
    unseen = Doubt(Kind.BOX_CANNOT_SEE, at=float(q[0]))
    last = top + 1 + int(np.argmin(value[top + 1 :]))
    window = slice(0, last + 1)
    start = (value[top] - value[last], 2.0 / q[last], value[last])
    fits = _fitted(_at_zero, q, value, error, without, window, start)
    if fits is None or not _resolved(fits[1].value, np.append(0.0, q[window])):
        return Peak(doubt=unseen, why_length=Doubt(Kind.UNRESOLVED))
    if not fits[1].value * q[0] < 1.0:
        return Peak(doubt=unseen, why_length=unseen)
    return Peak(length_A=fits[1], doubt=unseen)


def _resolved(length_A: float, q: np.ndarray) -> bool:
    """Whether a half width, 1 / ξ, is larger than half the distance of the points and smaller than all of them span."""
    return bool(0.5 * np.median(np.diff(q)) < 1 / length_A < q[-1] - q[0]) if length_A > 0 else False


def _lorentzian(q: np.ndarray, at: float, height: float, length: float, base: float) -> np.ndarray:
    return base + height / (1 + (length * (q - at)) ** 2)


def _at_zero(q: np.ndarray, height: float, length: float, base: float) -> np.ndarray:
    return _lorentzian(q, 0.0, height, length, base)


def _fitted(function, q, value, error, without, window, start) -> list[Estimate] | None:  # type: ignore[no-untyped-def]
    """Parameters of a fit, then the height over zero, with errors by leaving out groups; None if nothing fits."""
    if len(q[window]) <= len(start) or not without:
        return None
    # Errors from a few blocks are noisy: as weights they would draw the curve to points that are low by chance.
    weights = median_filter(error[window], size=7, mode="nearest")

    def parameters(y: np.ndarray, guess: Sequence[float] | np.ndarray) -> np.ndarray:
        found, _ = curve_fit(function, q[window], y[window], p0=guess, sigma=weights, maxfev=5000)
        found[-2] = abs(found[-2])  # the length; only its square is in the function
        return np.append(found, found[-1] + found[-3])

    try:
        best = parameters(value, start)
        each = np.array([parameters(one, best[:-1]) for one in without])
    except (RuntimeError, ValueError):
        return None
    if not np.isfinite(best).all() or best[-4] <= 0:
        return None
    errors, n = leave_one_out_error(each), len(each)
    return [Estimate(float(v), float(e), float(n), n - 1.0) for v, e in zip(best, errors, strict=True)]
