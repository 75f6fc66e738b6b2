"""The main numbers of a formulation at several temperatures, side by side."""

from __future__ import annotations

from collections.abc import Sequence

from lmbmd.core import rounding
from lmbmd.report.inputs import StatePoint
from lmbmd.report.tables.cells import Cell, Table
from lmbmd.report.words.narrative import Headline


def side_by_side(points: Sequence[StatePoint], found: Sequence[Sequence[Headline]]) -> Table | None:
    """A row for each number, a column for each temperature.

    Args:
        found: the headlines of each state point.
    """
    places = [{(h.group, h.label): h for h in of} for of in found]
    keys = dict.fromkeys(key for of in places for key in of)
    rows = []
    for key in keys:
        given = [of.get(key) for of in places]
        one = next(h for h in given if h)
        label = f"{one.label} by anion" if one.group == "speciation" else one.label
        cells = [_cell(h) if h else Cell(rounding.DASH, remark="not computed", numeric=True) for h in given]
        rows.append((Cell(label, one.definition), *cells, Cell(one.bare_unit)))
    columns = ("quantity", *(point.at for point in points), "unit")
    return Table("The main numbers at each temperature.", columns, tuple(rows)) if rows else None


def _cell(headline: Headline) -> Cell:
    return Cell(headline.shown, remark=headline.remarks, numeric=True, doubt=headline.doubt)
