"""How well the floor of a valley of g(r) is known, and the floor of a broad, noisy one from a smooth curve.

Theory: docs/theory/cutoffs.md.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial.legendre import legvander

#: Degree of the polynomial in ln g(r).
DEGREE = 4
#: The curve is fitted to the bins below this share of the valley's depth.
FITTED_SHARE = 0.5
#: Drawings behind an uncertainty; a drawing depends on nothing but the counts.
DRAWINGS = 200


def drawn(pairs: np.ndarray, inflation: float) -> np.ndarray:
    """(``DRAWINGS``, n) counts as they could have been: Poisson with ``inflation`` times its variance, not negative."""
    rng = np.random.default_rng(0)
    noise = rng.poisson(pairs, (DRAWINGS, len(pairs))) - pairs
    return np.maximum(pairs + np.sqrt(inflation) * noise, 0.0)


def inflation(counts: np.ndarray, frames: np.ndarray) -> float:
    """Variance of counts between blocks of frames over that of independent counts; at least 1, and 1 for one block.

    Args:
        counts: (n_blocks,) pairs found in each block.
        frames: (n_blocks,) frames of each block.
    """
    expected = counts.sum() * frames / frames.sum()
    if len(counts) < 2 or not expected.all():
        return 1.0
    return max(1.0, float(((counts - expected) ** 2 / expected).sum() / (len(counts) - 1)))


def fitted_log_g(x: np.ndarray, pairs: np.ndarray, expected: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The polynomials in ln g under which counts are most likely: a log-linear model of Poisson counts.

    Args:
        x: (n,) distances, scaled to −1 … 1.
        pairs: (k, n) pairs found in each bin, not necessarily whole.
        expected: (n,) pairs at bulk density.

    Returns:
        (k, ``DEGREE`` + 1) coefficients of Legendre polynomials, and their (k, …, …) covariance.

    References:
        McCullagh, Nelder, Generalized Linear Models (1989), doi:10.1007/978-1-4899-3242-6.
    """
    design = legvander(x, DEGREE)
    # Nothing beside a single pair, but empty bins would else have a slope without end.
    ridge = 1e-3 * np.eye(DEGREE + 1)
    found = np.zeros((len(pairs), DEGREE + 1))
    found[:, 0] = np.log((pairs.sum(axis=1) + 0.5) / expected.sum())
    information = np.zeros((len(pairs), DEGREE + 1, DEGREE + 1))
    for _ in range(50):
        mean = expected * _exp(found @ design.T)
        information = np.einsum("kn,ni,nj->kij", mean, design, design) + ridge
        score = (pairs - mean) @ design - found @ ridge
        step = np.linalg.solve(information, score[..., None])[..., 0]
        step *= np.minimum(1.0, 2.0 / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-12))
        found += step
        if np.abs(step).max() < 1e-8:
            break
    return found, np.linalg.inv(information)


def fitted_floor(
    r_A: np.ndarray, pairs: np.ndarray, expected: np.ndarray, tolerance_g: float, inflation: float = 1.0
) -> np.ndarray:
    """First and last point of the floor of a smooth curve through one valley of g(r), and of curves through drawings.

    Args:
        r_A: (n,) centres of the valley's bins, Å.
        pairs, expected: (n,) found, and expected at bulk density.
        tolerance_g: the floor is all within this of the lowest g, or within one standard error of the curve there.
        inflation: see ``inflation``.

    Returns:
        (1 + ``DRAWINGS``, 2) Å; the first row is that of the counts themselves.
    """
    span = r_A[-1] - r_A[0]
    x = 2 * (r_A - r_A[0]) / span - 1
    found, covariance = fitted_log_g(x, pairs[None], expected)
    likely = expected * _exp(legvander(x, DEGREE) @ found[0])
    others, of_others = fitted_log_g(x, drawn(likely, inflation), expected)
    coefficients, covariance = np.vstack([found, others]), np.concatenate([covariance, of_others]) * inflation

    fine = np.linspace(-1, 1, 10 * len(x) + 1)
    curve = legvander(fine, DEGREE)
    g = _exp(coefficients @ curve.T)
    low, row, k = g.argmin(axis=1), np.arange(len(g)), np.arange(len(fine))
    error = g[row, low] * np.sqrt(np.einsum("ki,kij,kj->k", curve[low], covariance, curve[low]))
    outside = g > (g[row, low] + np.maximum(tolerance_g, error))[:, None]
    first = np.where(outside & (k < low[:, None]), k, -1).max(axis=1) + 1
    last = np.where(outside & (k > low[:, None]), k, len(k)).min(axis=1) - 1
    return r_A[0] + (fine[np.column_stack([first, last])] + 1) / 2 * span


def _exp(x: np.ndarray) -> np.ndarray:
    return np.exp(np.clip(x, -30.0, 30.0))


def spread(middle: Callable[[np.ndarray], float], curves: np.ndarray, value: float) -> float:
    """Root mean square distance from ``value`` of what ``middle`` finds in each of the curves."""
    return float(np.sqrt(np.mean([(middle(curve) - value) ** 2 for curve in curves])))
