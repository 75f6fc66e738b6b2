"""Curves known in blocks, and statistics of summed counts, with their errors. Theory: docs/theory/statistics.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np


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


def jackknife(
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray | float],
    numerators: np.ndarray,
    denominators: np.ndarray,
    replica: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, float]:
    """A statistic of summed counts, its standard error from leaving out one group at a time, and how well it is known.

    For three and more replicas, the larger of this and the error from leaving out one replica at a time.

    Args:
        statistic: function of the numerators and denominators summed over groups.
        numerators, denominators: (n_groups, …), groups of all replicas.
        replica: (n_groups,) which replica each group belongs to.

    Returns:
        value and error; the error is NaN with a single group, or where leaving one out leaves no value. The degrees of
        freedom of the error: replicas − 1 for three and more, since groups of one run share what changes slowly in it;
        groups − 1 for fewer.
    """
    value = np.asarray(statistic(numerators.sum(axis=0), denominators.sum(axis=0)), float)
    replicas = np.unique(replica)
    error = np.full_like(value, np.nan)
    freedom = float("nan")
    for labels in [np.arange(len(replica)), replica][: 2 if len(replicas) >= 3 else 1]:
        kept = [labels != i for i in np.unique(labels)]
        if len(kept) < 2:
            break
        values = np.array([statistic(numerators[k].sum(axis=0), denominators[k].sum(axis=0)) for k in kept])
        spread = leave_one_out_error(values)
        error = spread if labels is not replica else np.maximum(error, spread)
        freedom = len(kept) - 1.0
    return value, error, freedom


def leave_one_out_error(values: np.ndarray) -> np.ndarray:
    """Standard error of a statistic from its values, (n, …), each without one of n groups.

    References:
        Efron, The Jackknife, the Bootstrap and Other Resampling Plans (1982), doi:10.1137/1.9781611970319.
    """
    return np.sqrt((len(values) - 1) / len(values) * ((values - values.mean(axis=0)) ** 2).sum(axis=0))


def _variance_of_weighted_mean(samples: np.ndarray, weight: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Variance of Σ w x of independent samples with weights that sum to one; NaN for a single sample."""
    if len(samples) < 2:
        return np.full_like(mean, np.nan)
    return np.tensordot(weight**2, (samples - mean) ** 2, axes=1) / (1.0 - (weight**2).sum())
