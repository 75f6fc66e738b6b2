"""What numbers with errors say to each other: intervals, differences, ratios, p-values, corrected for being many.

Everything but the two functions that return an ``Estimate`` takes arrays as well as numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import stats

from lmbmd.numbers.estimate import Estimate

#: Confidence level of intervals and verdicts.
LEVEL = 0.95


def half_width(error: Any, degrees_of_freedom: Any, level: float = LEVEL) -> Any:
    """Half of a two-sided confidence interval by Student's t; 0 where the error is 0 (an exact number)."""
    error = np.asarray(error, float)
    return np.where(error == 0.0, 0.0, error * stats.t.ppf(0.5 + 0.5 * level, degrees_of_freedom))[()]


def interval(estimate: Estimate, level: float = LEVEL) -> tuple[float, float]:
    """Confidence interval; wider than ±1.96 errors where the error is itself uncertain."""
    half = float(half_width(estimate.error, estimate.degrees_of_freedom, level))
    return estimate.value - half, estimate.value + half


def p_value(distance: Any, error: Any, degrees_of_freedom: Any) -> Any:
    """Two-sided probability of an estimate at least this far from the truth, by Student's t.

    An exact number (error 0) is at the truth (1) or is not (0).
    """
    distance, error = np.abs(np.asarray(distance, float)), np.asarray(error, float)
    with np.errstate(divide="ignore", invalid="ignore"):
        sampled = 2.0 * stats.t.sf(distance / error, degrees_of_freedom)
    return np.where(error == 0.0, np.where(distance == 0.0, 1.0, 0.0), sampled)[()]


def combined(error_a: Any, freedom_a: Any, error_b: Any, freedom_b: Any) -> tuple[Any, Any]:
    """Error of a sum of two independent numbers, and its degrees of freedom by Welch and Satterthwaite.

    Exact parts (error 0) and errors known exactly (infinite degrees of freedom) add nothing to the doubt about the
    error; if there is no other part, the degrees of freedom are infinite.

    References:
        Welch, Biometrika 34, 28 (1947), doi:10.1093/biomet/34.1-2.28.
    """
    a, b = (np.asarray(error, float) ** 2 for error in (error_a, error_b))
    with np.errstate(divide="ignore", invalid="ignore"):
        doubt = np.where(a == 0.0, 0.0, a**2 / freedom_a) + np.where(b == 0.0, 0.0, b**2 / freedom_b)
        freedom = np.where(doubt == 0.0, np.inf, (a + b) ** 2 / doubt)
    return np.sqrt(a + b)[()], freedom[()]


def difference(a: Estimate, b: Estimate) -> Estimate:
    """a − b of two independent boxes."""
    error, freedom = combined(a.error, a.degrees_of_freedom, b.error, b.degrees_of_freedom)
    return Estimate(a.value - b.value, float(error), math.nan, float(freedom))


def ratio(a: Estimate, b: Estimate) -> Estimate:
    """a / b of two independent boxes, to first order in the errors; NaN if b is zero."""
    if b.value == 0.0:
        return Estimate(math.nan, math.nan, math.nan)
    value = a.value / b.value
    parts = a.error / abs(b.value), abs(value) * b.error / abs(b.value)
    error, freedom = combined(parts[0], a.degrees_of_freedom, parts[1], b.degrees_of_freedom)
    return Estimate(value, float(error), math.nan, float(freedom))


def holm(p_values: Any) -> np.ndarray:
    """p-values corrected for their number along the last axis, whatever their dependence; NaN stays NaN.

    References:
        Holm, Scand. J. Statist. 6, 65 (1979), https://www.jstor.org/stable/4615733.
    """
    p = np.asarray(p_values, float)
    order = np.argsort(p, axis=-1)  # NaN last
    number = np.isfinite(p).sum(axis=-1, keepdims=True)
    steps = np.take_along_axis(p, order, axis=-1) * np.maximum(number - np.arange(p.shape[-1]), 1)
    corrected = np.empty_like(p)
    np.put_along_axis(corrected, order, np.minimum(np.fmax.accumulate(steps, axis=-1), 1.0), axis=-1)
    return np.where(np.isnan(p), np.nan, corrected)
