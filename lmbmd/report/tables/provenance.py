"""The tables of where the numbers come from: runs, parameters, and records as they were written."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

from lmbmd.core import rounding
from lmbmd.report.inputs import Results
from lmbmd.report.tables.cells import Cell, Table, value
from lmbmd.report.words import naming
from lmbmd.simulate.engines.choice import sentence


def read(results: Results) -> Table | None:
    """What was read of trajectories of another program: files, frames, and the times between which they lie."""
    rows = tuple(
        (
            Cell(f"run {number}"),
            Cell(", ".join(map(str, run["files"]))),
            Cell(str(run["frames"]), numeric=True),
            Cell(rounding.exact(run["first_ps"]), numeric=True),
            Cell(rounding.exact(run["last_ps"]), numeric=True),
        )
        for number, run in enumerate(results.analysed.get("runs", ()), start=1)
    )
    columns = ("run", "files", "frames", "from (ps)", "to (ps)")
    return Table("What was read.", columns, rows) if rows else None


def runs(results: Results) -> Table | None:
    """Every run: engine, platform, speed, length, seeds, restarts, equilibration verdict."""
    rows = tuple(
        (
            Cell(f"{point.at}, replica {replica.number}"),
            Cell(_engine(replica.run)),
            Cell(_platform(replica.run.get("platform"))),
            value(_float(replica.run.get("ns_per_day"))),
            Cell(rounding.duration(replica.production_ps or math.nan), numeric=True),
            value(_float(replica.run.get("restarts"))),
            Cell(replica.equilibrated or rounding.DASH),
        )
        for point in results.state_points
        for replica in point.replicas
        if not results.analysed
    )
    columns = ("run", "engine, and why", "platform", "speed (ns/day)", "production", "restarts", "equilibration")
    return Table("Runs.", columns, rows, dash="A dash: not recorded.") if rows else None


def _engine(run: Mapping[str, Any]) -> str:
    record = run.get("engine")
    if not isinstance(record, Mapping):
        return rounding.DASH
    return "; ".join(filter(None, [f"{_text(record.get('name'))} {_text(record.get('version'))}", sentence(record)]))


def _platform(record: Any) -> str:
    return _text(record.get("name")) if isinstance(record, Mapping) else _text(record)


def parameters(results: Results) -> Table | None:
    """Where the parameters of each species in the box come from."""
    entries = results.force_field.get("species")
    if not isinstance(entries, Mapping):
        return None
    rows = tuple(
        (
            Cell(naming.species(name)),
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
        return rounding.DASH
    if isinstance(value, Mapping):
        return "; ".join(f"{str(k).replace('_', ' ')} {_text(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(_text(v) for v in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _float(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
