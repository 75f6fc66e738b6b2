"""The table of scattering: the smallest wave vector, S there, the pre-peak, and R-factors."""

from __future__ import annotations

from lmbmd.report.inputs import StatePoint, doubt_of
from lmbmd.report.tables.cells import Cell, Table, existing, unit, value
from lmbmd.report.words import naming

#: Descriptors of the table, in its order: what each is called, and the definition it links to.
NUMBERS = {
    "scattering_smallest_q_per_A": ("smallest wave vector of the box", "scattering"),
    "low_q_structure": ("S at the smallest wave vector", "scattering"),
    "prepeak_q_per_A": ("pre-peak, position", "prepeak"),
    "prepeak_height": ("pre-peak, height", "prepeak"),
    "prepeak_length_A": ("pre-peak, correlation length", "prepeak"),
    "scattering_r_factor": ("R-factor", "scattering"),
}


def numbers(point: StatePoint) -> Table | None:
    """Every number of scattering with its error; None if it was not asked for."""
    rows = point.described.descriptors
    order = {name: k for k, name in enumerate(NUMBERS)}
    rows = rows[rows.name.isin(order)].sort_values("name", key=lambda names: names.map(order), kind="stable")
    shown = tuple(
        (
            Cell(*NUMBERS[str(row.name)]),
            Cell(naming.species(str(row.species)) if row.species else "box"),
            value(row.value, existing(row.error) if row.error == row.error else row.error, doubt_of(row)),
            unit(str(row.unit)),
        )
        for row in rows.itertuples(index=False)
    )
    caption = "What scattering sees at small q, where no contact is defined."
    return Table(caption, ("quantity", "of", "value ± error", "unit"), shown, headers=2) if shown else None
