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
    """A table; the first ``headers`` columns name the row."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    headers: int = 1


def _value(value: float, error: float | None = None, remark: str = "") -> Cell:
    remark = remark if value is None or not math.isfinite(value) or (error is not None and math.isnan(error)) else ""
    return Cell(fmt.number(value, error), remark=remark, numeric=True)


def _unit(text: str) -> Cell:
    """A unit; a pure number says so, because an empty cell could be a forgotten one."""
    return Cell(fmt.unit(text) or "1")


def composition(point: StatePoint) -> Table | None:
    """Asked, realised, simulated."""
    table = point.table("composition")
    if table is None:
        return None
    rows = []
    for row in table.itertuples():
        asked = Cell(fmt.exact(row.asked), numeric=True)
        simulated = _value(row.simulated, _known(row.error))
        rows.append((
            Cell(fmt.species(str(row.component)), "density" if row.quantity == "density" else "composition"),
            Cell(str(row.quantity)), asked, _value(row.realised), simulated, _unit(str(row.unit)),
        ))  # fmt: skip
    return Table(
        "Composition: what was asked for, what whole molecules make of it, and what the box held after equilibration.",
        ("component", "quantity", "asked", "realised", "simulated", "unit"), tuple(rows), headers=2,
    )  # fmt: skip


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
        rows.append((
            Cell(f"{fmt.species(str(row.centre))} – {fmt.site(label) if site else fmt.species(species)}", "cn"),
            Cell("donor atoms" if site else "molecules", "cn"),
            _value(row.value, row.error),
            Cell("1"),
            Cell(f"{fmt.number(cutoff.cutoff_A)} Å" if cutoff else "", "cutoff" if cutoff else "", numeric=True),
            Cell(str(cutoff.rule) if cutoff else ""),
        ))  # fmt: skip
    return Table(
        "Coordination numbers of the first shell, by molecule and by donor atom.",
        ("centre – partner", "counting", "CN", "unit", "cut-off", "how chosen"), tuple(rows), headers=2,
    )  # fmt: skip


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
        rows.append((
            Cell(name),
            *(Cell(c.text, f"speciation_{convention}" if c.numeric else "", c.remark, c.numeric)
              for c, convention in zip(cells, conventions, strict=True)),
            Cell("1"),
        ))  # fmt: skip
    return Table(
        "The same frames in each convention. AGG-I and AGG-II are the parts of AGG.",
        ("class", *(CONVENTIONS[name] for name in conventions), "unit"), tuple(rows),
    )  # fmt: skip


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


def cipa(point: StatePoint) -> Table | None:
    """Each criterion with its value, what chance gives, and its threshold."""
    table = point.table("cipa")
    if table is None:
        return None
    signs = {">=": "≥", "<=": "≤", ">": ">", "<": "<"}
    rows = []
    for row in table.itertuples():
        threshold = f"{signs.get(str(row.direction), row.direction)} {fmt.exact(row.threshold)}"
        has_threshold = math.isfinite(row.threshold)
        met = {"true": "yes", "false": "no", "1.0": "yes", "0.0": "no"}.get(str(row.met).lower(), "not judged")
        rows.append((
            Cell(str(row.criterion).replace("_", " "), "cipa"), _value(row.value, row.error), _value(row.null, row.null_sd),
            _value(row.z), Cell(threshold if has_threshold else fmt.DASH, numeric=True), _unit(str(row.unit)), Cell(met),
        ))  # fmt: skip
    return Table(
        "CIPA criteria. Chance: mean ± standard deviation of the null model; z: value minus chance, in standard deviations.",
        ("criterion", "value", "chance", "z", "threshold", "unit", "met"), tuple(rows),
    )  # fmt: skip


def residence(point: StatePoint) -> Table | None:
    """Residence times and their outcomes."""
    table = point.table("residence")
    if table is None:
        return None
    rows = tuple(
        (
            Cell(f"{fmt.species(str(row.centre))} – {fmt.site(str(row.partner))}", "residence"),
            Cell(str(row.correlation)), _value(row.tau_ps, row.error), Cell("ps"), Cell(str(row.outcome)),
        )
        for row in table.itertuples()
    )  # fmt: skip
    return Table("Residence times τ.", ("pair", "correlation", "τ", "unit", "outcome"), rows, headers=2)


def all_numbers(point: StatePoint) -> Table:
    """The whole descriptor table."""
    rows = tuple(
        (
            Cell(str(row.name).replace("_", " "), f"d-{fmt.slug(row.name)}"), Cell(fmt.site(str(row.species))),
            _value(row.value, row.error), _unit(str(row.unit)), _value(row.n_effective), Cell(str(row.method)),
        )
        for row in point.described.descriptors.itertuples(index=False)
    )  # fmt: skip
    columns = ("quantity", "of", "value ± error", "unit", "n", "how")
    return Table(f"All descriptors at {point.temperature_K:g} K.", columns, rows, headers=2)


def runs(results: Results) -> Table | None:
    """Every run: platform, speed, length, seeds, restarts, equilibration verdict."""
    rows = []
    for point in results.state_points:
        for replica in point.replicas:
            run = replica.run
            rows.append((
                Cell(f"{point.temperature_K:g} K, replica {replica.number}"), Cell(_text(run.get("platform"))),
                _value(_float(run.get("ns_per_day"))), _value(_float(run.get("production_ns"))),
                _value(_float(run.get("restarts"))), Cell(_text(run.get("equilibration"))), Cell(_text(run.get("seeds"))),
            ))  # fmt: skip
    if not rows:
        return None
    columns = ("run", "platform", "speed (ns/day)", "production (ns)", "restarts", "equilibration", "seeds")
    return Table("Runs.", columns, tuple(rows))


def facts(values: Mapping[str, Any], caption: str) -> Table | None:
    """Any nested record as a table of names and values, in its own order."""
    rows = tuple((Cell(name), Cell(text)) for name, text in _flat(values))
    return Table(caption, ("what", "value"), rows) if rows else None


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
    """An error that exists, or None: a count has none, and says so by having no ±."""
    return None if error is None or pd.isna(error) else float(error)
