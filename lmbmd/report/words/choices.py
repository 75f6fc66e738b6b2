"""The thresholds and choices of an analysis as definitions: what each decides, and what it was set to."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from typing import Any

import yaml

from lmbmd.core import rounding
from lmbmd.report.inputs import Results
from lmbmd.report.words import naming
from lmbmd.report.words.definitions import Definition


@cache
def _known() -> Mapping[str, Mapping[str, str]]:
    return yaml.safe_load(resources.files("lmbmd.report").joinpath("choices.yaml").read_text("utf-8"))


def choices(results: Results) -> list[Definition]:
    """One entry per option of the analysis record; where temperatures were analysed differently, each is named."""
    values: dict[str, dict[str, list[str]]] = {}
    for point in results.state_points:
        for path, value in _flat(point.described.facts.get("options") or {}):
            unit = _known().get(path, {}).get("unit", "")
            values.setdefault(path, {}).setdefault(_shown(value, unit), []).append(point.at)
    found = []
    for path, set_to in values.items():
        words = _known().get(path, {})
        alike = len(set_to) == 1
        text = "; ".join(value if alike else f"{value} at {', '.join(where)}" for value, where in set_to.items())
        key, title = path.rpartition(".")[2], words.get("title") or path.replace("_", " ")
        setting = path.replace(".", ": ")
        how = f"“{setting}” in the file of --options" if results.analysed else f"“analysis: {setting}”"
        told = " ".join(filter(None, [f"{text}.", words.get("text", ""), f"Set with {how}."]))
        found.append(Definition(f"choice-{naming.slug(key)}", str(title), told))
    return found


def threshold_of(option: str, results: Results) -> str:
    """The key of the definition that a threshold of the CIPA table links to; that of CIPA if it was not recorded."""
    recorded = any(path == f"cipa.{option}" for path, _ in _options(results))
    return f"choice-{naming.slug(option)}" if recorded else "cipa"


def _options(results: Results) -> list[tuple[str, Any]]:
    return [item for point in results.state_points for item in _flat(point.described.facts.get("options") or {})]


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Paths and values; a mapping that is itself a value (radii by site) stays whole."""
    found = []
    for key, value in values.items():
        path = f"{prefix}{key}"
        nested = isinstance(value, Mapping) and path != "cutoffs_A"
        found += _flat(value, f"{path}.") if nested else [(path, value)]
    return found


def _shown(value: Any, unit: str) -> str:
    if value in ("", None) or (isinstance(value, Mapping | list | tuple) and not value):
        return "Not given"
    if isinstance(value, Mapping):
        text = ", ".join(f"{naming.site(str(k))} {_shown(v, '')}" for k, v in value.items())
    elif isinstance(value, list | tuple):
        text = " to ".join(_shown(v, "") for v in value)
    else:
        text = rounding.exact(value) if isinstance(value, int | float) else str(value)
    return f"{text} {unit}".strip()
