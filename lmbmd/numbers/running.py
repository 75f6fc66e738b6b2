"""How a displacement grows, and an integral runs up, with the lag: what figures show beside the value at long times.

The scatter of sequences and components gives the errors: molecules move together, axes do not. Theory:
docs/theory/motion_statistics.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from lmbmd.numbers.curve import leave_one_out_error
from lmbmd.numbers.estimate import Estimate
from lmbmd.numbers.sequences import Sequence_

#: The local exponent at the end of a curve is read between two lags: the longer one has this part of the sequence's
#: length, the shorter one this part of the longer one.
END_PART, END_SPAN = 0.25, 0.25


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve over the lag, all (n_lags,).

    Attributes:
        lag_ps: about equally far apart on a logarithmic scale.
        value, error: in the caller's unit; the error is NaN with fewer than two sequences times components.
        exponent, exponent_error: d log value / d log lag over the two neighbours; NaN at the ends.
    """

    lag_ps: np.ndarray
    value: np.ndarray
    error: np.ndarray
    exponent: np.ndarray
    exponent_error: np.ndarray


def msd(sequences: Sequence[Sequence_]) -> Curve:
    """Mean squared displacement over origins, particles and sequences, summed over the axes, and its local exponent.

    Args:
        sequences: of ``particles``, or of ``collective`` with one series.
    """
    lag_ps, samples, weight = _samples(sequences, np.ones((1, 1)))
    return _curve(lag_ps, samples, weight, lambda mean: mean)


def running_integral(sequences: Sequence[Sequence_]) -> Curve:
    """∫₀ᵗ <x(0) x(t')> dt' over t, mean over components and sequences.

    Args:
        sequences: of ``series``.
    """
    return msd(sequences)


def running_slope(sequences: Sequence[Sequence_], weights: np.ndarray) -> Curve:
    """Slope of Σ w_ab <Δa·Δb> from each lag to the next, at the geometric mean of both, summed over the axes.

    Args:
        sequences: of ``collective``.
        weights: (n_series, n_series).
    """
    lag_ps, samples, weight = _samples(sequences, np.asarray(weights, float))
    if len(lag_ps) < 2:
        return _curve(lag_ps[:0], samples[:, :0], weight[:, :0], lambda mean: mean)
    samples, weight = np.diff(samples, axis=1) / np.diff(lag_ps), weight[:, 1:]
    return _curve(np.sqrt(lag_ps[1:] * lag_ps[:-1]), samples, weight, lambda mean: mean)


def end_exponent(sequences: Sequence[Sequence_], weights: np.ndarray | None = None) -> tuple[Estimate, float, float]:
    """d log <Δ²> / d log lag at the end of the curve, and the two lags between which it is read.

    1 once the motion is diffusive; towards it from below where cages hold, from above where inertia does.

    Args:
        sequences: as for ``msd``.
        weights: (n_series, n_series) of a square, if there are several series.
    """
    nan = float("nan")
    nothing = Estimate(nan, nan, 0.0, source="no samples"), nan, nan
    lag_ps, samples, weight = _samples(sequences, np.ones((1, 1)) if weights is None else weights)
    if len(lag_ps) < 2:
        return nothing
    length = max(s.length_ps for s in sequences)
    last = max(int(np.searchsorted(lag_ps, END_PART * length * (1 + 1e-9), side="right")) - 1, 1)
    first = min(int(np.argmin(np.abs(np.log(lag_ps / (END_SPAN * lag_ps[last]))))), last - 1)
    span = float(np.log(lag_ps[last] / lag_ps[first]))
    ends = [first, last]
    value, error = _with_error(samples[:, ends], weight[:, ends], lambda mean: np.log(mean[1:] / mean[:1]) / span)
    if not np.isfinite(value[0]):
        return nothing
    number = float((weight[:, last] > 0).sum())
    known = Estimate(float(value[0]), float(error[0]), number, number - 1.0, "sequences and axes")
    return known, float(lag_ps[first]), float(lag_ps[last])


def _samples(sequences: Sequence[Sequence_], weights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lags of the sequence with most of them, curves (n_samples, n_lags) of sequences and components, and weights."""
    if len({round(s.interval_ps, 9) for s in sequences}) > 1:
        coarse = max(s.interval_ps for s in sequences)
        sequences = [s for s in sequences if np.isclose(s.interval_ps, coarse)]
    longest = max(sequences, key=lambda s: len(s.lag_ps))
    lag_ps = longest.lag_ps
    curves, sizes = [], []
    for s in sequences:
        found = np.einsum("labi,ab->il", s.curve, weights)
        # Lags are made from the length of the sequence: those of another length are read between its own.
        reached = lag_ps <= (s.lag_ps[-1] * (1 + 1e-9) if len(s.lag_ps) else -1.0)
        row = np.zeros((len(found), len(lag_ps)))
        for i, curve in enumerate(found):
            row[i, reached] = np.interp(lag_ps[reached], s.lag_ps, curve) if reached.any() else 0.0
        curves.append(row)
        sizes.append(np.where(reached, s.length_ps, 0.0) * np.ones((len(found), 1)))
    return lag_ps, np.concatenate(curves), np.concatenate(sizes)


def _curve(
    lag_ps: np.ndarray, samples: np.ndarray, weight: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> Curve:
    value, error = _with_error(samples, weight, statistic)
    exponent, exponent_error = np.full(len(lag_ps), np.nan), np.full(len(lag_ps), np.nan)
    if len(lag_ps) > 2:
        span = np.log(lag_ps[2:] / lag_ps[:-2])
        inner = _with_error(samples, weight, lambda mean: _slope_of_logs(statistic(mean), span))
        exponent[1:-1], exponent_error[1:-1] = inner
    return Curve(lag_ps, value, error, exponent, exponent_error)


def _slope_of_logs(value: np.ndarray, span: np.ndarray) -> np.ndarray:
    positive = np.where(value > 0.0, value, np.nan)
    return np.log(positive[2:] / positive[:-2]) / span


def _with_error(
    samples: np.ndarray, weight: np.ndarray, statistic: Callable[[np.ndarray], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """A statistic of the weighted mean over samples, and its error from leaving one out at a time."""
    top, bottom = (weight * samples).sum(axis=0), weight.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        value = np.asarray(statistic(top / bottom), float)
        if len(samples) < 2:
            return value, np.full_like(value, np.nan)
        left = [statistic((top - w * x) / (bottom - w)) for w, x in zip(weight, samples, strict=True)]
    return value, leave_one_out_error(np.array(left))
