"""The tables of what was found: which numbers, next to which unit, linked to which definition."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

from lmbmd.core import rounding
from lmbmd.core.words import formula
from lmbmd.numbers.doubt import SURE
from lmbmd.report.figures.pairs import CONVENTIONS, class_order
from lmbmd.report.inputs import Results, StatePoint, doubt_of
from lmbmd.report.tables.cells import Cell, Table, existing, told, unit, value
from lmbmd.report.words import naming
from lmbmd.report.words.choices import threshold_of


def asked(point: StatePoint, results: Results) -> Table | None:
    """Asked, realised, simulated: the amounts of the recipe, and the density; None where nothing was asked for."""
    table = point.table("composition")
    if table is None or results.analysed:
        return None
    written = {str(row["component"]): row for row in results.composition.get("asked_realised", ())}
    rows = []
    for row in table[table.asked.notna() | (table.quantity == "density")].itertuples():
        component, quantity = str(row.component), str(row.quantity)
        recipe = written.get(component, {})
        deviation = recipe.get("relative_error")
        shown = rounding.DASH if deviation is None else f"{100 * deviation:+.2f} %".replace("-", "−")
        rows.append(
            (
                Cell(formula(component) or "whole box", "density" if quantity == "density" else "composition"),
                Cell(quantity),
                Cell(str(recipe.get("text", "")) or rounding.DASH),
                Cell(rounding.exact(row.asked), numeric=True),
                value(row.realised),
                Cell(shown, numeric=True),
                value(row.simulated, existing(row.error), doubt_of(row)),
                unit(str(row.unit)),
            )
        )
    caption = "Realised: with whole molecules, at ideal mixing. Simulated: in the box at constant pressure."
    columns = ("component", "quantity", "as written", "asked", "realised", "rounding", "simulated", "unit")
    dash = "A dash: not asked for, or not measurable in the box."
    return Table(caption, columns, tuple(rows), headers=2, dash=dash)


#: Quantities of the simulated box, one column each: quantity → heading with its unit.
_BOX = {
    "count": "molecules (1)",
    "per cation": "per cation (1)",
    "mass fraction": "mass fraction (1)",
    "molality": "molality (mol/kg)",
    "molarity": "molarity (mol/L)",
}


def box(point: StatePoint) -> Table | None:
    """What the simulated box holds: a row per component, a column per quantity."""
    table = point.table("composition")
    if table is None:
        return None
    found = {(str(row.component), str(row.quantity)): row for row in table.itertuples()}
    shown = [quantity for quantity in _BOX if any(quantity == q for _, q in found)]
    rows = []
    for component in dict.fromkeys(c for c, q in found if c and q in shown):
        cells = [found.get((component, quantity)) for quantity in shown]
        values = (
            value(c.simulated, existing(c.error), doubt_of(c)) if c else Cell(rounding.DASH, numeric=True)
            for c in cells
        )
        rows.append((Cell(formula(component), "composition"), *values))
    caption = "The simulated box. Molality is per mass of solvents and diluents."
    return Table(caption, ("component", *(_BOX[q] for q in shown)), tuple(rows), dash="A dash: not defined.")


def coordination(point: StatePoint) -> Table | None:
    """CN by molecule and by donor atom, with the cut-off of each site."""
    table, cutoffs = point.table("cn"), point.table("cutoffs")
    if table is None:
        return None
    found = {} if cutoffs is None else {(str(c.centre), str(c.partner)): c for c in cutoffs.itertuples()}
    rows = []
    for row in table.itertuples():
        species, site = str(row.species), str(row.site)
        label = site if ":" in site else f"{species}:{site}"
        cutoff = found.get((str(row.centre), label))
        rows.append(
            (
                Cell(
                    f"{naming.species(str(row.centre))} – {naming.site(label) if site else naming.species(species)}",
                    "cn",
                ),
                Cell("donor atoms" if site else "molecules", "cn"),
                value(row.value, row.error, doubt_of(row)),
                Cell("1"),
                Cell(_angstrom(cutoff.cutoff_A), "cutoff", numeric=True) if cutoff else Cell(""),
                Cell(str(cutoff.rule) if cutoff else ""),
            )
        )
    return Table(
        "Coordination numbers of the first shell, by molecule and by donor atom.",
        ("ion – partner", "counting", "CN", "unit", "cut-off", "how chosen"),
        tuple(rows),
        headers=2,
    )


def speciation(point: StatePoint) -> Table | None:
    """Fractions of each class, one column per convention."""
    table = point.table("speciation")
    if table is None:
        return None
    conventions = [name for name in CONVENTIONS if name in set(table.convention)]
    share = {(row.convention, row.cls): value(row.fraction, row.error, doubt_of(row)) for row in table.itertuples()}
    rows = []
    for name in class_order(table.cls):
        cells = [share.get((convention, name), Cell("not defined")) for convention in conventions]
        rows.append(
            (
                Cell(name),
                *(
                    replace(c, definition=f"speciation_{convention}") if c.numeric else c
                    for c, convention in zip(cells, conventions, strict=True)
                ),
                Cell("1"),
            )
        )
    return Table(
        "The same frames in each convention. AGG-I and AGG-II are the parts of AGG.",
        ("class", *(CONVENTIONS[name] for name in conventions), "unit"),
        tuple(rows),
    )


def solvent_states(point: StatePoint) -> Table | None:
    """Free, bound and bridging, with errors."""
    table = point.table("solvent_states")
    if table is None:
        return None
    rows = tuple(
        (
            Cell(naming.species(str(row.species)), "solvent_states"),
            *(told(row, state) for state in ("free", "bound", "bridging")),
            Cell("1"),
        )
        for row in table.itertuples()
    )
    return Table("States of the neutral molecules.", ("species", "free", "bound", "bridging", "unit"), rows)


_MET = {"True": "yes", "False": "no"}


def cipa(point: StatePoint, results: Results) -> Table | None:
    """The criteria of the call: value, threshold, met or not."""
    table = point.table("cipa")
    if table is None:
        return None
    rows = tuple(
        (
            Cell(str(row.criterion), "cipa"),
            value(row.value, row.error or None, doubt_of(row)),
            _threshold(row, results),
            unit(str(row.unit)),
            Cell(_MET.get(str(row.met), "not judged")),
            value(getattr(row, "share_met", math.nan)),
        )
        for row in table[table.threshold.notna()].itertuples()
    )
    whom = naming.centres(point.centre)
    caption = (
        f"The call's criteria, with the study's thresholds. Values are means over the {whom} of the box; the call asks "
        f"each cluster by itself, so the last column gives the share of {whom} whose own cluster meets the criterion."
    )
    return Table(caption, ("criterion", "value", "threshold", "unit", "mean met", f"share of {whom}"), rows)


def _threshold(row: Any, results: Results) -> Cell:
    bound = f"{row.direction} {rounding.exact(row.threshold)}"
    return Cell(bound, threshold_of(str(row.option), results), numeric=True)


def cipa_background(point: StatePoint) -> Table | None:
    """What is known about compactness beside the call, against chance."""
    table = point.table("cipa")
    if table is None:
        return None
    table = table[table.threshold.isna()]
    models = table.null_model if "null_model" in table.columns else [""] * len(table)
    rows = tuple(
        (
            Cell(str(row.criterion), "cipa"),
            value(row.value, row.error, doubt_of(row)),
            value(row.null, existing(row.null_sd)),
            Cell(str(model)),
            Cell(rounding.fixed(row.z, 1), numeric=True),
            unit(str(row.unit)),
        )
        for row, model in zip(table.itertuples(), models, strict=True)
    )
    caption = (
        "Measured against chance. By chance: mean ± standard deviation of one frame of the null model; z: "
        "their distance in it."
    )
    return Table(caption, ("quantity", "value", "by chance", "null model", "z", "unit"), rows)


def cipa_sensitivity(point: StatePoint) -> Table | None:
    """How the share of centres in compact clusters and the call move with every choice made."""
    table = point.table("cipa_sensitivity")
    if table is None:
        return None
    whom = naming.centres(point.centre)
    rows = tuple(
        (
            Cell(str(row.choice), "cipa"),
            Cell(str(row.setting)),
            value(row.share, row.error, doubt_of(row)),
            Cell("1"),
            Cell(str(row.call)),
        )
        for row in table.itertuples()
    )
    return Table(
        f"Share of {whom} in compact clusters, and the call, as one choice at a time is changed.",
        ("choice", "setting", "share", "unit", "call"),
        rows,
        headers=2,
    )


def separation(point: StatePoint) -> Table | None:
    """Ions without contact, split by how far the nearest ion of the other sign is."""
    table = point.table("separation")
    if table is None:
        return None
    rows = tuple(
        (
            Cell(naming.species(str(row.species)), "separation"),
            *(told(row, state) for state in ("solvent_separated", "isolated")),
            Cell("1"),
            Cell(_angstrom(getattr(row, "radius_A", math.nan)), "separation", numeric=True),
            Cell(str(getattr(row, "rule", rounding.DASH))),
        )
        for row in table.itertuples()
    )
    columns = ("ion", "solvent-separated", "isolated", "unit", "second shell up to", "how chosen")
    caption = "Ions without a contact, by the distance to the nearest ion of the other sign."
    return Table(caption, columns, rows, dash="A dash: no radius of its own, or none could be found.")


def residence(point: StatePoint) -> Table | None:
    """Times of contacts and between their losses, then of pair states and cluster membership."""
    tables = [t for t in map(point.table, ("residence", "exchange", "residence_states")) if t is not None]
    if not tables:
        return None
    rows = tuple(
        (
            Cell(_pair(row), "residence"),
            Cell({"contact": "first-shell contact"}.get(state := str(getattr(row, "state", "contact")), state)),
            Cell(str(getattr(row, "correlation", "time between losses"))),
            value(row.tau_ps, row.error, doubt_of(row)),
            Cell("ps"),
            Cell(_events(row), "n_effective", numeric=True),
            Cell(str(row.outcome)),
        )
        for table in tables
        for row in table.itertuples()
    )
    columns = ("pair", "what lasts", "correlation", "τ", "unit", "events", "outcome")
    caption = (
        "Residence times: to 1/e of each correlation function, and mean time until a contact is lost. Events: "
        "departures that were seen; a time from few of them is only a rough estimate."
    )
    return Table(caption, columns, rows, headers=3, dash="A dash: see the outcome.")


def _angstrom(value: float) -> str:
    return f"{value:.2f} Å" if math.isfinite(value) else rounding.DASH


def _events(row: Any) -> str:
    found = getattr(row, "departures", getattr(row, "losses", math.nan))
    return rounding.fixed(float(found), 0)


def _pair(row: Any) -> str:
    return " – ".join(naming.site(str(name)) for name in (row.centre, row.partner) if name) or "ions of one cluster"


def convergence(point: StatePoint) -> Table | None:
    """Every rule that was applied to tell whether the run is long enough."""
    table = point.table("convergence")
    if table is None:
        return None
    rows = tuple(
        (
            Cell(str(row.rule)),
            value(row.value),
            Cell(rounding.exact(row.threshold), numeric=True),
            Cell(str(row.verdict)),
            Cell(str(row.text)),
        )
        for row in table.itertuples()
    )
    return Table(
        "Is the run long enough? Each rule by itself.", ("rule", "value", "wanted", "verdict", "in words"), rows
    )


def errors(point: StatePoint) -> Table | None:
    """Where the error of each watched quantity comes from, and what each replica says by itself."""
    table = point.table("errors")
    if table is None:
        return None
    several = (table.replica > 1).any()
    rows = tuple(
        (
            Cell(naming.quantity(str(row.quantity)), "error"),
            Cell(f"replica {int(row.replica)}" if row.replica else "all replicas" if several else "the only replica"),
            value(row.value, row.error, doubt_of(row)),
            Cell(rounding.unit(naming.unit_of(str(row.quantity))) or "1"),
            Cell(
                rounding.number(row.n_effective) if row.n_effective < 100 else rounding.fixed(row.n_effective, 0),
                "n_effective",
            ),
            Cell(rounding.exact(row.frames), numeric=True),
            Cell(str(row.source)),
        )
        for row in table.itertuples()
    )
    columns = ("quantity", "of", "value ± error", "unit", "independent samples", "frames", "error from")
    caption = "Errors of the quantities that are watched over time, for all replicas together and for each."
    return Table(caption, columns, rows, headers=2)


def all_numbers(point: StatePoint) -> Table:
    """The whole descriptor table."""
    rows = tuple(
        (
            Cell(naming.quantity(str(row.name)), f"d-{naming.slug(row.name)}"),
            Cell(naming.site(str(row.species))),
            value(row.value, row.error, doubt_of(row) if math.isfinite(row.value) else SURE),
            unit(str(row.unit)),
            value(row.n_effective),
            Cell(str(row.method)),
        )
        for row in point.described.descriptors.itertuples(index=False)
    )
    columns = ("quantity", "of", "value ± error", "unit", "n", "how")
    dash = "A dash: no value, or no number of samples; the reason is in the last column."
    caption = f"All descriptors{f' at {point.at}' if point.at else ''}."
    return Table(caption, columns, rows, headers=2, dash=dash)
