"""Autocovariance of a series that is pooled over replicas, with gaps: what every error bar rests on."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def as_series(x: np.ndarray) -> np.ndarray:
    """A series as floats.

    Raises:
        ValueError: if it has not one dimension, or holds an infinite value (NaN is a gap).
    """
    x = np.asarray(x, float)
    if x.ndim != 1:
        raise ValueError(f"a series has one dimension, not {x.ndim}")
    if np.isinf(x).any():
        raise ValueError("a series holds an infinite value")
    return x


def is_constant(deviations: np.ndarray, scale: float) -> bool:
    """Whether deviations are no more than rounding of numbers of this size."""
    return bool(np.ptp(deviations) <= 1e-12 * scale)


def lagged_products(deviations: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
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


def geyer_window(covariance: np.ndarray) -> int:
    """Number of lags to sum: Geyer's initial positive sequence, pairs C_2m + C_2m+1 while they are positive."""
    even = covariance[: len(covariance) - len(covariance) % 2]
    sums = even.reshape(-1, 2).sum(axis=1)
    # Sums that are zero but for rounding would let the sequence run on.
    stop = np.flatnonzero(sums <= 1e-12 * covariance[0])
    return max(2 * int(stop[0] if len(stop) else len(sums)), 1)


def two_sided(x: np.ndarray) -> float:
    """Sum over positive and negative lags of what is given for lags 0, 1, 2 …"""
    return float(2.0 * x.sum() - x[0])
