"""Means over drawn shells, weighted with how often their class occurs in the run. Theory: docs/theory/energies.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmbmd.numbers.estimate import Estimate, estimate_mean, estimate_ratio


@dataclass(frozen=True, eq=False)
class Sample:
    """One quantity of the drawn shells of one replica, in order of time.

    Attributes:
        kind: (n,) the place of each shell's class.
        total: (n,) the quantity, summed over what it is about in a shell: the shell itself, or molecules of a species.
        number: (n,) over how many it was summed.
    """

    kind: np.ndarray
    total: np.ndarray
    number: np.ndarray


def of_class(samples: Sequence[Sample], kind: int) -> Estimate:
    """The mean within one class: Σ totals / Σ numbers over its drawn shells, each as likely as any other."""
    mine = [sample.kind == kind for sample in samples]
    return estimate_ratio(
        [sample.total[here] for sample, here in zip(samples, mine, strict=True)],
        [sample.number[here] for sample, here in zip(samples, mine, strict=True)],
    )


def weighted(samples: Sequence[Sample], counts: Sequence[np.ndarray]) -> Estimate:
    """The mean over all shells of the run.

    With P_c the share of class c in all frames of all replicas, and A_c and B_c the means of totals and numbers over
    its drawn shells, R = Σ P_c A_c / Σ P_c B_c over the classes with drawn shells. To first order its variance is
    Σ P_c² var(mean of (a − R b) in c) / B², plus that of the shares, that of the mean over frames of
    Σ p_c (A_c − R B_c) / B, B = Σ P_c B_c. A class of one shell is taken to scatter as the one that scatters most.

    Args:
        samples: one per replica.
        counts: (n_frames, n_classes) ions of each class per frame, one per replica.

    Returns:
        The mean; its number of independent samples is (Σ w)² / Σ w² over the weights of the drawn shells.
    """
    kinds = np.concatenate([sample.kind for sample in samples]).astype(int)
    total = np.concatenate([sample.total for sample in samples])
    number = np.concatenate([sample.number for sample in samples])
    every = np.concatenate(counts).sum(axis=0)
    used = [c for c in np.unique(kinds).tolist() if every[c]]
    if not used or not number.any():
        return Estimate(float("nan"), float("nan"), 0.0, source="no samples")
    share = {c: every[c] / every.sum() for c in used}
    a = {c: float(total[kinds == c].mean()) for c in used}
    b = {c: float(number[kinds == c].mean()) for c in used}
    scale = sum(share[c] * b[c] for c in used)
    ratio = sum(share[c] * a[c] for c in used) / scale
    means, scatter = {}, {}
    for c in used:
        deviations = [(s.total - ratio * s.number)[s.kind == c] for s in samples]
        means[c] = estimate_mean(deviations)
        joined = np.concatenate(deviations)
        scatter[c] = float(joined.var(ddof=1)) if len(joined) > 1 else float("nan")
    widest = max((x for x in scatter.values() if np.isfinite(x)), default=float("nan"))
    variance = 0.0
    for c in used:
        if means[c].source == "one sample":
            variance += share[c] ** 2 * widest
        elif means[c].source != "constant":
            variance += share[c] ** 2 * means[c].error ** 2
    lean = np.zeros(len(every))
    for c in used:
        lean[c] = (a[c] - ratio * b[c]) / scale
    error_of_shares = estimate_mean([frames @ lean / max(frames[0].sum(), 1) for frames in counts]).error
    error = float(np.sqrt(variance / scale**2 + np.nan_to_num(error_of_shares) ** 2))
    weight = np.array([share[c] / (kinds == c).sum() for c in kinds.tolist() if c in share])
    about = number[np.isin(kinds, used)] > 0
    n = float(weight[about].sum() ** 2 / (weight[about] ** 2).sum())
    if np.isnan(error):
        return Estimate(ratio, float("nan"), 1.0, source="one sample")
    if error <= 1e-12 * max(abs(ratio), 1e-300):
        return Estimate(ratio, float("nan"), float(len(samples)), source="constant")
    return Estimate(ratio, error, n, max(n - 1.0, 1.0), "within replicas")
