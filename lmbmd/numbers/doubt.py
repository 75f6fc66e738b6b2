"""Rows of the descriptor table made from estimates, so that no NaN goes without its reason."""

from __future__ import annotations

import numpy as np

from lmbmd.data.described import Descriptor
from lmbmd.numbers.estimate import Estimate

#: How the doubts about an error begin at the end of a descriptor's method.
NO_ERROR, NOT_RELIABLE, DISAGREE = "no error: ", "error not reliable", "replicas disagree beyond chance"


def doubt(estimate: Estimate) -> str:
    """Why the error is missing or not to be relied on; "" if it can be, is exact, or there is no value."""
    if np.isnan(estimate.value) or estimate.source == "exact":
        return ""
    if np.isnan(estimate.error):
        return "never changed" if estimate.source == "constant" else estimate.source or "cannot be told"
    if estimate.source == "replicas disagree":
        return DISAGREE
    return "" if estimate.reliable else f"{NOT_RELIABLE} ({estimate.n_effective:.1f} independent samples)"


def doubt_in(method: str) -> str:
    """The doubt that ``descriptor`` wrote at the end of a method, or ""."""
    last = method.rpartition("; ")[2]
    return last.removeprefix(NO_ERROR) if last.startswith((NO_ERROR, NOT_RELIABLE, DISAGREE)) else ""


def entry(estimate: Estimate) -> tuple[float, float, str]:
    """The columns value, error and doubt of a table."""
    return estimate.value, estimate.error, doubt(estimate)


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
    elif why := doubt(estimate):
        method = f"{method}; {NO_ERROR if np.isnan(estimate.error) else ''}{why}"
    known = estimate.n_effective, estimate.degrees_of_freedom
    return Descriptor(name, species, estimate.value, estimate.error, unit, *known, method)
