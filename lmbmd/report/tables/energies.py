"""Tables of energies of shells: the numbers, what was drawn, and how methods, media and geometries differ."""

from __future__ import annotations

import pandas as pd

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


def variant(name: str) -> str:
    """A way of computing as printed: ``"GFN2-xTB, vacuum, as sampled"``."""
    method, medium, geometry = name.split("/")
    kind, _, basis = method.partition("-")
    title = {"gfn2": "GFN2-xTB", "pbe0": "PBE0"}[kind] + (f"/{basis}" if basis else "")
    return f"{title}, {medium.replace('ε ', 'ε = ')}, {'as sampled' if geometry == 'sampled' else geometry}"


def about(name: str) -> str:
    """Whom a number is about, as printed: a class by its own name, a species by its formula."""
    return name if name in ("SSIP", "CIP", "AGG-I", "AGG-II") else naming.species(name)


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
            Cell(variant(str(row.variant))),
            Cell(str(row.kind)),
            value(row.share, existing(row.share_error)),
            value(row.drawn),
            value(row.computed, remark=str(row.why_not)) if row.computed else Cell("0", remark=str(row.why_not)),
        )
        for row in found.itertuples(index=False)
        if row.drawn or row.share
    )
    caption = "Shells that were drawn, and how many have energies."
    return Table(caption, ("by", "class", "share of the ions", "drawn", "computed"), shown, headers=2)


def variants(point: StatePoint) -> Table | None:
    """The main numbers in every medium, geometry and method; None if there is but one."""
    found = point.table("energies")
    if found is None or found.variant.nunique() < 2:
        return None
    rows = found[(found.kind == "all") & found.quantity.isin(_OF_VARIANTS)]
    shown = tuple(
        (
            Cell(naming.quantity(str(row.quantity)), NUMBERS[str(row.quantity)]),
            Cell(about(str(row.species))),
            Cell(variant(str(row.variant))),
            value(row.value, existing(row.error) if row.error == row.error else row.error, doubt_of(row)),
            unit(str(row.unit)),
        )
        for quantity in _OF_VARIANTS
        for row in rows[rows.quantity == quantity].sort_values("species", kind="stable").itertuples(index=False)
    )
    caption = "The same in each medium and geometry, and by each method. PBE0 has seen fewer shells: compare below."
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
            Cell(f"{variant(str(row.second))} minus {variant(str(row.first))}"),
            value(row.difference, None if pd.isna(row.difference_error) else float(row.difference_error)),
            value(row.rms),
            value(row.correlation),
            value(row.number),
        )
        for row in found.itertuples(index=False)
    )
    caption = "The same shells computed in two ways: mean and root mean square of the difference, and correlation."
    columns = ("quantity", "of", "difference of", "mean ± error", "r.m.s.", "correlation", "number")
    return Table(caption, columns, shown, headers=3)
