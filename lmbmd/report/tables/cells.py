"""What a table on a page is made of: cells with a text, a definition to link to, and doubts in small print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lmbmd.core import rounding
from lmbmd.numbers.doubt import SURE, Doubt, Kind
from lmbmd.numbers.estimate import RELIABLE_N_EFFECTIVE
from lmbmd.report.inputs import doubt_of


@dataclass(frozen=True)
class Cell:
    """One table entry: its text, the definition it links to ("" for none), and a remark in small print.

    ``doubt`` says why the error is not to be relied on.
    """

    text: str
    definition: str = ""
    remark: str = ""
    numeric: bool = False
    doubt: Doubt = SURE


@dataclass(frozen=True)
class Table:
    """A table; the first ``headers`` columns name the row, ``dash`` says what a dash in it means."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    headers: int = 1
    dash: str = "A dash: no value. The reason is in the list of all descriptors."

    @property
    def footnotes(self) -> list[str]:
        """What the signs in the table mean, of those that are there."""
        cells = [cell for row in self.rows for cell in row]
        dash = [self.dash] if any(cell.text == rounding.DASH and not cell.remark for cell in cells) else []
        return dash + [text for text in [doubts([cell.doubt for cell in cells])] if text]


def doubts(found: Sequence[Doubt]) -> str:
    """One sentence on the numbers marked ≈; "" if there is none."""
    reasons = [r for r in dict.fromkeys(filter(None, found)) if r.kind is not Kind.NOT_QUOTED]  # said once, at the top
    few = _span([r.n for r in reasons if r.kind is Kind.FEW_SAMPLES])
    skewed = _span([r.n for r in reasons if r.kind is Kind.SKEWED])
    parts = [f"{few} independent samples, and {RELIABLE_N_EFFECTIVE:g} are needed"] if few else []
    parts += [f"skewed quantities (rare states), which need {skewed} independent samples"] if skewed else []
    told = [f"error not reliable: {', or '.join(parts)}"] if parts else []
    told += [str(r) for r in reasons if r.kind not in (Kind.FEW_SAMPLES, Kind.SKEWED)]
    return f"≈: {'; '.join(told)}." if told else ""


def _span(numbers: Sequence[float]) -> str:
    """``"3"``, ``"3 to 200"``, or nothing."""
    ends = dict.fromkeys((min(numbers), max(numbers))) if numbers else {}
    return " to ".join(f"{x:.3g}" if x < 1000 else f"{x:.0f}" for x in ends)


def value(number: float, error: float | None = None, doubt: Doubt = SURE, remark: str = "") -> Cell:
    """A number. Where there is no error to print, the doubt stands below it; else it marks the number with ≈."""
    known = error is not None and not math.isnan(error)
    if doubt and not known and doubt.kind is not Kind.NOT_QUOTED:
        return Cell(rounding.number(number), remark=str(doubt), numeric=True)
    if doubt.kind is Kind.NOT_QUOTED:
        remark = ""
    shown = remark if number is None or not math.isfinite(number) or (error is not None and not known) else ""
    return Cell(rounding.number(number, error, not doubt), remark=shown, numeric=True, doubt=doubt)


def told(row: Any, quantity: str) -> Cell:
    """A quantity of a table that holds several, with its own error and doubt (columns ``<quantity>_error`` …)."""
    return value(getattr(row, quantity), getattr(row, f"{quantity}_error", math.nan), doubt_of(row, quantity))


def unit(text: str) -> Cell:
    """A unit; a pure number says so, because an empty cell could be a forgotten one."""
    return Cell(rounding.unit(text).replace(" ", "\u00a0") or "1")


def existing(error: Any) -> float | None:
    """An error that exists, or None: an exact number has none, and says so by having no ±."""
    return None if error is None or pd.isna(error) or error == 0 else float(error)
