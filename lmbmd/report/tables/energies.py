"""Tables of energies of shells: the numbers, what was drawn, and how methods, media and geometries differ."""

from __future__ import annotations

from typing import Any

import pandas as pd

from lmbmd.quantum.drawn import CLASSES
from lmbmd.report.inputs import StatePoint, doubt_of
from lmbmd.report.tables.cells import Cell, Table, existing, unit, value
from lmbmd.report.words import naming

#: Descriptors of the table, in its order, and the definition each links to.
NUMBERS = {
    "shell_binding_kJ_mol": "shell_binding",
    "shell_nonadditivity_kJ_mol": "shell_binding",
    "removal_energy_kJ_mol": "removal",
    "ion_interaction_kJ_mol": "shell_binding",
    "shell_homo_eV": "levels",
    "shell_lumo_eV": "levels",
    "homo_shift_eV": "levels",
    "lumo_shift_eV": "levels",
    "free_homo_eV": "levels",
    "free_lumo_eV": "levels",
    "shell_dipole_D": "shell_dipole",
    "free_dipole_D": "shell_dipole",
    "energies_failed_fraction": "energies",
}
#: Those that are shown of every variant.
_OF_VARIANTS = ("shell_binding_kJ_mol", "removal_energy_kJ_mol", "shell_homo_eV", "shell_lumo_eV")


def variant(row: Any) -> str:
    """How a row was computed, as printed: ``"GFN2-xTB, vacuum, sampled"``."""
    return f"{row.method}, {row.medium}, {row.geometry}"


def about(name: str) -> str:
    """Whom a number is about, as printed: a class by its own name, a species by its formula."""
    return name if name in CLASSES else naming.species(name)


def numbers(point: StatePoint) -> Table | None:
    """Every descriptor of energies with its error; None if they were not asked for."""
    rows = point.described.descriptors
    order = {name: k for k, name in enumerate(NUMBERS)}
    rows = rows[rows.name.isin(order)].sort_values("name", key=lambda names: names.map(order), kind="stable")
    shown = tuple(
        (
            Cell(naming.quantity(str(row.name)), NUMBERS[str(row.name)]),
            Cell(about(str(row.species))),
            value(row.value, existing(row.error) if row.error == row.error else row.error, doubt_of(row)),
            unit(str(row.unit)),
        )
        for row in rows.itertuples(index=False)
    )
    caption = "Energies of shells. Of the ion: weighted with how often each class occurs in the run."
    return Table(caption, ("quantity", "of", "value ± error", "unit"), shown, headers=2) if shown else None


def drawn(point: StatePoint) -> Table | None:
    """What was drawn and computed of each class, and why some have no numbers."""
    found = point.table("energies_drawn")
    if found is None:
        return None
    shown = tuple(
        (
            Cell(variant(row)),
            Cell(str(row.kind)),
            value(row.share, existing(row.share_error)),
            value(row.drawn),
            Cell(f"{row.computed:.0f}", remark=str(row.why_not), numeric=True),
        )
        for row in found.itertuples(index=False)
        if row.drawn or row.share
    )
    caption = "Shells that were drawn, and how many have energies."
    return Table(caption, ("by", "class", "share of the ions", "drawn", "computed"), shown, headers=2)


def variants(point: StatePoint) -> Table | None:
    """The main numbers in every medium, geometry and method; None if there is but one."""
    found = point.table("energies")
    if found is None or len(found.groupby(["method", "medium", "geometry"])) < 2:
        return None
    rows = found[(found.kind == "all") & found.quantity.isin(_OF_VARIANTS)]
    shown = tuple(
        (
            Cell(naming.quantity(str(row.quantity)), NUMBERS[str(row.quantity)]),
            Cell(about(str(row.species))),
            Cell(variant(row)),
            value(row.value, existing(row.error) if row.error == row.error else row.error, doubt_of(row)),
            unit(str(row.unit)),
        )
        for quantity in _OF_VARIANTS
        for row in rows[rows.quantity == quantity].sort_values("species", kind="stable").itertuples(index=False)
    )
    caption = "The same in each medium and geometry, and by each method; compared on the same shells below."
    return Table(caption, ("quantity", "of", "by", "value ± error", "unit"), shown, headers=3)


def compared(point: StatePoint) -> Table | None:
    """Of the shells that two variants have: mean difference, root mean square, correlation."""
    found = point.table("energies_compared")
    if found is None:
        return None
    found = found[found.quantity.isin(_OF_VARIANTS)]
    shown = tuple(
        (
            Cell(naming.labelled(str(row.quantity)), NUMBERS[str(row.quantity)]),
            Cell(about(str(row.species))),
            Cell(variant(row)),
            value(row.difference, None if pd.isna(row.difference_error) else float(row.difference_error)),
            value(row.rms),
            value(row.correlation),
            value(row.number),
        )
        for row in found.itertuples(index=False)
    )
    caption = "The same shells in another way, minus the first: mean and root mean square, and their correlation."
    columns = ("quantity", "of", "by", "mean ± error", "r.m.s.", "correlation", "number")
    return Table(caption, columns, shown, headers=3)


#: Descriptors of bands, in the order of their table.
BANDS = ("free_band_cm", "band_cm", "band_shift_cm")


def bands(point: StatePoint) -> Table | None:
    """The band of each species and its shift by class, with how much of its motion is in it; None if not asked for."""
    found = point.table("bands")
    if found is None:
        return None
    rows = point.described.descriptors
    whole = rows[rows.name.isin(BANDS)].set_index(["name", "species"])
    shown = []
    for species, mine in found.groupby("species", sort=False):
        for name in BANDS:
            row = whole.loc[(name, species)]
            head = (Cell(naming.species(str(species))), Cell(naming.quantity(name), "bands"))
            number = value(row.value, existing(row.error) if row.error == row.error else row.error, doubt_of(row))
            shown.append((*head, number, Cell(""), Cell(""), Cell("")))
        for row in mine.itertuples(index=False):
            if not (row.drawn or row.share):
                continue
            where = f"in {row.kind}" if row.kind in CLASSES else f"of {row.kind} molecules"
            head = (Cell(naming.species(str(species))), Cell(f"Shift {where}", "bands"))
            number = value(row.shift_cm, existing(row.error) if row.error == row.error else row.error)
            computed = Cell(f"{row.computed:.0f} of {row.drawn:.0f}", remark=str(row.why_not), numeric=True)
            shown.append((*head, number, value(row.share, existing(row.share_error)), value(row.in_mode), computed))
    caption = "Bands by class, harmonic and unscaled, in 1/cm; shifts are against the molecule by itself."
    columns = ("of", "quantity", "1/cm ± error", "share of the class", "share of the motion", "computed")
    return Table(caption, columns, tuple(shown), headers=2)
