"""Tables of markdown, and numbers with their errors."""

from __future__ import annotations

from collections.abc import Iterable

from lmbmd.numbers.estimate import Estimate


def table(header: str, rows: Iterable[str]) -> list[str]:
    """Lines of a markdown table."""
    return [f"| {header} |", "|" + "---|" * (header.count("|") + 1), *(f"| {row} |" for row in rows), ""]


def of(estimate: Estimate, digits: int) -> str:
    """A value with its standard error, and a mark where that error is not to be relied on."""
    return f"{estimate.value:.{digits}f} ± {estimate.error:.{digits}f}{'' if estimate.reliable else ' (?)'}"
