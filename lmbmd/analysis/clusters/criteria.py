"""What a finite cluster must meet to be called compact. Theory: docs/theory/cipa.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lmbmd.analysis.clusters.options import CipaThresholds


@dataclass(frozen=True)
class Criterion:
    """One criterion on one cluster: a column of ``CompactnessResult.clusters`` against a threshold.

    ``is_size`` marks the two lower bounds on size, which small compact clusters miss.
    """

    column: str
    threshold: str
    direction: str
    unit: str
    is_size: bool = False

    def met(self, values: np.ndarray, thresholds: CipaThresholds) -> np.ndarray:
        """Which values meet it; NaN never does."""
        bound = getattr(thresholds, self.threshold)
        return np.asarray(values) >= bound if self.direction == "≥" else np.asarray(values) <= bound


def criteria(thresholds: CipaThresholds) -> tuple[Criterion, ...]:
    """What a finite cluster must meet, all of it."""
    return (
        Criterion("ions", "min_ions", "≥", "ions", True),
        Criterion("diameter_nm", "min_diameter_nm", "≥", "nm", True),
        Criterion("diameter_nm", "max_diameter_nm", "≤", "nm"),
        Criterion("contacts_per_ion", "min_contacts_per_ion", "≥", "1"),
        Criterion("density_ratio", "min_density_ratio", "≥", "1"),
        Criterion(f"z_{thresholds.null_model}", "min_z", "≥", "1"),
        Criterion("anisotropy", "max_anisotropy", "≤", "1"),
    )


def candidates(
    clusters: Mapping[str, Any], thresholds: CipaThresholds, leave_out: str = ""
) -> tuple[np.ndarray, np.ndarray]:
    """Which clusters are compact, by all criteria of packing, and which of them are large enough.

    Args:
        clusters: columns by name, one entry per cluster.
        leave_out: a column that is not asked for.

    Returns:
        (n,) compact ones, and (n,) those of the size of an aggregate. A percolating cluster has no diameter and no
        shape, so it is never compact.
    """
    size, packing = np.ones((2, len(clusters["ions"])), bool)
    for criterion in criteria(thresholds):
        if criterion.column == leave_out:
            continue
        met = criterion.met(clusters[criterion.column], thresholds)
        if criterion.is_size:
            size &= met
        else:
            packing &= met
    return packing, size
