"""The tables of a page: which numbers, next to which unit, linked to which definition."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lmbmd.report import formatting as fmt
from lmbmd.report.figures_ions import CONVENTIONS, class_order
from lmbmd.report.inputs import Results, StatePoint


@dataclass(frozen=True)
class Cell:
    """One table entry: its text, the definition it links to ("" for none), and a remark in small print."""

    text: str
    definition: str = ""
    remark: str = ""
    numeric: bool = False


@dataclass(frozen=True)
class Table:
    """A table; the first ``headers`` columns name the row, ``dash`` says what a dash in it means."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    headers: int = 1
    dash: str = "A dash: no value. The reason is in the list of all descriptors."

    @property
    def has_dash(self) -> bool:
        return any(cell.text == fmt.DASH and not cell.remark for row in self.rows for cell in row)


def _value(value: float, error: float | None = None, remark: str = "") -> Cell:
    remark = remark if value is None or not math.isfinite(value) or (error is not None and math.isnan(error)) else ""
    return Cell(fmt.number(value, error), remark=remark, numeric=True)


def _unit(text: str) -> Cell:
    """A unit; a pure number says so, because an empty cell could be a forgotten one."""
    return Cell(fmt.unit(text) or "1")


def asked(point: StatePoint, results: Results) -> Table | None:
    """Asked, realised, simulated: the amounts of the recipe, and the density."""
    table = point.table("composition")
    if table is None:
        return None
    written = {str(row["component"]): row for row in results.composition.get("asked_realised", ())}
    rows = []
    for row in table[table.asked.notna() | (table.quantity == "density")].itertuples():
        component, quantity = str(row.component), str(row.quantity)
        recipe = written.get(component, {})
        rounding = recipe.get("relative_error")
        rows.append(
            (
                Cell(fmt.formula(component) or "whole box", "density" if quantity == "density" else "composition"),
                Cell(quantity),
                Cell(str(recipe.get("text", "")) or fmt.DASH),
                Cell(fmt.exact(row.asked), numeric=True),
                _value(row.realised),
                Cell(fmt.DASH if rounding is None else f"{100 * rounding:+.2f} %".replace("-", "−"), numeric=True),
                _value(row.simulated, _known(row.error) or None),
                _unit(str(row.unit)),
            )
        )
    caption = "Realised: in whole molecules, at ideal mixing. Simulated: in the box at constant pressure."
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
        values = (_value(c.simulated, _known(c.error) or None) if c else Cell(fmt.DASH, numeric=True) for c in cells)
        rows.append((Cell(fmt.formula(component), "composition"), *values))
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
                Cell(f"{fmt.species(str(row.centre))} – {fmt.site(label) if site else fmt.species(species)}", "cn"),
                Cell("donor atoms" if site else "molecules", "cn"),
                _value(row.value, row.error),
                Cell("1"),
                Cell(f"{fmt.number(cutoff.cutoff_A)} Å" if cutoff else "", "cutoff" if cutoff else "", numeric=True),
                Cell(str(cutoff.rule) if cutoff else ""),
            )
        )
    return Table(
        "Coordination numbers of the first shell, by molecule and by donor atom.",
        ("centre – partner", "counting", "CN", "unit", "cut-off", "how chosen"),
        tuple(rows),
        headers=2,
    )


def speciation(point: StatePoint) -> Table | None:
    """Fractions of each class, one column per convention."""
    table = point.table("speciation")
    if table is None:
        return None
    conventions = [name for name in CONVENTIONS if name in set(table.convention)]
    share = {(row.convention, row.cls): _value(row.fraction, row.error) for row in table.itertuples()}
    rows = []
    for name in class_order(table.cls):
        cells = [share.get((convention, name), Cell("not defined")) for convention in conventions]
        rows.append(
            (
                Cell(name),
                *(
                    Cell(c.text, f"speciation_{convention}" if c.numeric else "", c.remark, c.numeric)
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
            Cell(fmt.species(str(row.species)), "solvent_states"),
            *(_value(getattr(row, s), _known(getattr(row, f"{s}_error", None))) for s in ("free", "bound", "bridging")),
            Cell("1"),
        )
        for row in table.itertuples()
    )
    return Table("States of the neutral molecules.", ("species", "free", "bound", "bridging", "unit"), rows)


_SIGNS = {">=": "≥", "<=": "≤"}
_MET = {"true": "yes", "1.0": "yes", "false": "no", "0.0": "no"}


def cipa(point: StatePoint) -> Table | None:
    """The criteria of the call: value, threshold, met or not."""
    table = point.table("cipa")
    if table is None:
        return None
    rows = tuple(
        (
            Cell(str(row.criterion), "cipa"),
            _value(row.value, row.error or None),
            Cell(f"{_SIGNS.get(str(row.direction), row.direction)} {fmt.exact(row.threshold)}", numeric=True),
            _unit(str(row.unit)),
            Cell(_MET.get(str(row.met).lower(), "not judged")),
        )
        for row in table[table.threshold.notna()].itertuples()
    )
    caption = "The call's criteria, with the study's thresholds. Values are means over the centres of the box."
    return Table(caption, ("criterion", "value", "threshold", "unit", "met"), rows)


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
            _value(row.value, row.error),
            _value(row.null, _known(row.null_sd)),
            Cell(str(model)),
            Cell(fmt.fixed(row.z, 1), numeric=True),
            _unit(str(row.unit)),
        )
        for row, model in zip(table.itertuples(), models, strict=True)
    )
    caption = (
        "Measured against chance. By chance: mean ± standard deviation of the null model; z: their distance in it."
    )
    return Table(caption, ("quantity", "value", "by chance", "null model", "z", "unit"), rows)


def cipa_sensitivity(point: StatePoint) -> Table | None:
    """How the share of centres in compact clusters and the call move with every choice made."""
    table = point.table("cipa_sensitivity")
    if table is None:
        return None
    rows = tuple(
        (
            Cell(str(row.choice), "cipa"),
            Cell(str(row.setting)),
            _value(row.share, row.error),
            Cell("1"),
            Cell(str(row.call)),
        )
        for row in table.itertuples()
    )
    return Table(
        "Share of centres in compact clusters, and the call, as one choice at a time is changed.",
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
            Cell(fmt.species(str(row.species)), "separation"),
            *(_value(getattr(row, s), getattr(row, f"{s}_error", math.nan)) for s in ("solvent_separated", "isolated")),
            Cell("1"),
        )
        for row in table.itertuples()
    )
    columns = ("ion", "solvent-separated", "isolated", "unit")
    return Table("Ions without a contact, by the distance to the nearest ion of the other sign.", columns, rows)


def residence(point: StatePoint) -> Table | None:
    """Times of contacts, then of pair states and cluster membership."""
    tables = [t for t in (point.table("residence"), point.table("residence_states")) if t is not None]
    if not tables:
        return None
    rows = tuple(
        (
            Cell(_pair(row), "residence"),
            Cell({"contact": "first-shell contact"}.get(state := str(getattr(row, "state", "contact")), state)),
            Cell(str(row.correlation)),
            _value(row.tau_ps, row.error),
            Cell("ps"),
            Cell(str(row.outcome)),
        )
        for table in tables
        for row in table.itertuples()
    )
    columns = ("pair", "what lasts", "correlation", "τ (to 1/e)", "unit", "outcome")
    return Table("Residence times τ.", columns, rows, headers=3, dash="A dash: see the outcome.")


def _pair(row: Any) -> str:
    return " – ".join(fmt.site(str(name)) for name in (row.centre, row.partner) if name) or "ions of one cluster"


def convergence(point: StatePoint) -> Table | None:
    """Every rule that was applied to tell whether the run is long enough."""
    table = point.table("convergence")
    if table is None:
        return None
    rows = tuple(
        (
            Cell(str(row.rule)),
            _value(row.value),
            Cell(fmt.exact(row.threshold), numeric=True),
            Cell(str(row.verdict)),
            Cell(str(row.text)),
        )
        for row in table.itertuples()
    )
    return Table(
        "Is the run long enough? Each rule by itself.", ("rule", "value", "wanted", "verdict", "in words"), rows
    )


def all_numbers(point: StatePoint) -> Table:
    """The whole descriptor table."""
    rows = tuple(
        (
            Cell(fmt.quantity(str(row.name)), f"d-{fmt.slug(row.name)}"),
            Cell(fmt.site(str(row.species))),
            _value(row.value, row.error),
            _unit(str(row.unit)),
            _value(row.n_effective),
            Cell(str(row.method)),
        )
        for row in point.described.descriptors.itertuples(index=False)
    )
    columns = ("quantity", "of", "value ± error", "unit", "n", "how")
    dash = "A dash: no value, or no number of samples; the reason is in the last column."
    return Table(f"All descriptors at {point.temperature_K:g} K.", columns, rows, headers=2, dash=dash)


def runs(results: Results) -> Table | None:
    """Every run: platform, speed, length, seeds, restarts, equilibration verdict."""
    rows = tuple(
        (
            Cell(f"{point.temperature_K:g} K, replica {replica.number}"),
            Cell(_platform(replica.run.get("platform"))),
            _value(_float(replica.run.get("ns_per_day"))),
            Cell(fmt.duration(replica.production_ps or math.nan), numeric=True),
            _value(_float(replica.run.get("restarts"))),
            Cell(replica.equilibrated or fmt.DASH),
        )
        for point in results.state_points
        for replica in point.replicas
    )
    columns = ("run", "platform", "speed (ns/day)", "production", "restarts", "equilibration")
    return Table("Runs.", columns, rows, dash="A dash: not recorded.") if rows else None


def _platform(record: Any) -> str:
    return _text(record.get("name")) if isinstance(record, Mapping) else _text(record)


def parameters(results: Results) -> Table | None:
    """Where the parameters of each species in the box come from."""
    entries = results.force_field.get("species")
    if not isinstance(entries, Mapping):
        return None
    rows = tuple(
        (
            Cell(fmt.species(name)),
            Cell("; ".join(_citation(source) for source in entries[name].get("sources", ()))),
            Cell(_text(entries[name].get("charge_method"))),
        )
        for name in results.counts or entries
        if isinstance(entries.get(name), Mapping)
    )
    return Table("Parameters and their sources.", ("species", "sources", "charges"), rows)


def _citation(source: Any) -> str:
    if not isinstance(source, Mapping):
        return _text(source)
    return " ".join(filter(None, [str(source.get("what", "")), f"doi:{source['doi']}" if source.get("doi") else ""]))


def facts(values: Mapping[str, Any], caption: str) -> Table | None:
    """Any nested record as a table of names and values, in its own order."""
    rows = tuple((Cell(name), Cell(text)) for name, text in _flat(values))
    return Table(caption, ("what", "value"), rows, dash="A dash: empty.") if rows else None


def _flat(values: Any, prefix: str = "") -> Iterable[tuple[str, str]]:
    if isinstance(values, Mapping):
        for key, value in values.items():
            yield from _flat(value, f"{prefix} {key}".strip())
    elif isinstance(values, list | tuple) and any(isinstance(v, Mapping | list) for v in values):
        for i, value in enumerate(values, start=1):
            yield from _flat(value, f"{prefix} {i}".strip())
    else:
        yield prefix.replace("_", " "), _text(values)


def _text(value: Any) -> str:
    if value is None or value == "":
        return fmt.DASH
    if isinstance(value, Mapping):
        return "; ".join(f"{str(k).replace('_', ' ')} {_text(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(v) for v in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _float(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan


def _known(error: Any) -> float | None:
    """An error that exists, or None: an exact number has none, and says so by having no ±."""
    return None if error is None or pd.isna(error) else float(error)
