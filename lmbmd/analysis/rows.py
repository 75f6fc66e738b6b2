"""Rows of the descriptor table made from estimates, so that no NaN goes without its reason."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmbmd.analysis.statistics import Estimate, estimate_mean
from lmbmd.tables import Descriptor


def descriptor(
    name: str,
    species: str,
    estimate: Estimate,
    unit: str,
    method: str,
    undefined: str = "never defined in these frames",
) -> Descriptor:
    """One row; the method says why a value or an error is missing, or an error is not to be relied on.

    Args:
        name, species, unit, method: see ``Descriptor``.
        estimate: value and error.
        undefined: the reason to print if the value is NaN.
    """
    if np.isnan(estimate.value):
        method = f"{method}; no value: {undefined}"
    elif np.isnan(estimate.error):
        method = f"{method}; no error: {estimate.source or 'cannot be told'}"
    elif estimate.source == "constant":
        method = f"{method}; the same in every frame"
    elif estimate.source == "exact":
        pass
    elif estimate.source == "replicas disagree":
        method = f"{method}; replicas disagree beyond chance"
    elif not estimate.reliable:
        method = f"{method}; error not reliable ({estimate.n_effective:.1f} independent samples)"
    return Descriptor(name, species, estimate.value, estimate.error, unit, estimate.n_effective, method)


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """The estimate of a quantity that is ``factor`` times this one."""
    return Estimate(
        estimate.value * factor, abs(factor) * estimate.error, estimate.n_effective, estimate.degrees_of_freedom,
        estimate.source, estimate.skewness * np.sign(factor),
    )  # fmt: skip


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
