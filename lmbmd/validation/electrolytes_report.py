"""The electrolytes' part of docs/validation.md, from what has run in OpenMM or in GROMACS."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from lmbmd.validation.electrolytes import ATOMS, HOT_K, HOT_PS
from lmbmd.validation.liquids import REFERENCE
from lmbmd.validation.markdown_tables import table

GOAL_PEAK_A = 0.08


def electrolytes(folders: Iterable[Path]) -> Iterator[str]:
    yield from ("## Electrolytes", "")
    yield "Studies of `benchmarks/electrolytes`, or (G) run in GROMACS by `lmbmd/validation/electrolytes.py` in"
    yield f"boxes of {ATOMS} atoms, after {HOT_PS:g} ps at {HOT_K:g} K: first peak of g(r) about Li⁺ (interpolated"
    yield "between bins of 0.05 Å; error between blocks) and coordination number by donor atom. Goal: peaks within"
    yield f"{GOAL_PEAK_A} Å of experiment. Shares of ion pairs need longer runs than these."
    yield ""
    rows, peaks, ran = [], defaultdict(list), set()
    for name, references in REFERENCE["electrolytes"].items():
        for place in _state_points(folders, name):
            facts = json.loads((place.parent / "composition.json").read_text(encoding="utf-8"))
            start = f"{name} | {facts['force_field']} | {facts['ion_charge_scale']:g} | {_length(facts)}"
            ran.add(name)
            for key, value, error in _electrolyte(place / "tables"):
                known = [r for r in references if (r["quantity"], r.get("partner", "")) == key]
                against = f"{known[0]['value']:g} ({known[0]['source']})" if known else ""
                deviation = f"{value - known[0]['value']:+.3g}" if known else ""
                if known and key[0] == "peak_A":
                    peaks[facts["ion_charge_scale"]].append(abs(value - known[0]["value"]) <= GOAL_PEAK_A)
                margin = f" ± {error:.2g}" if np.isfinite(error) else ""
                rows.append(f"{start} | {' '.join(key).strip()} | {value:.4g}{margin} | {against} | {deviation}")
        if name not in ran:
            asked = "; ".join(f"{r['quantity']} {r.get('partner', '')} {r['value']:g}" for r in references)
            rows.append(f"{name} | | | | not run | | {asked} | ")
    header = "electrolyte | set | ion charge scale | production, ps | quantity | simulated | experiment | deviation"
    yield from table(header, rows)
    if peaks:
        met = ", ".join(f"{sum(peaks[scale])} of {len(peaks[scale])} at scale {scale:g}" for scale in sorted(peaks))
        yield f"Peaks within the goal: {met}. Li⁺ was fitted to those of EC and PC at scale 0.8."
    yield from ("", *REFERENCE["charge_scale"].strip().splitlines())


def _state_points(folders: Iterable[Path], name: str) -> list[Path]:
    found = (path for folder in folders for path in folder.glob(f"{name}*/*K"))
    ready = (path for path in found if (path.parent / "composition.json").is_file())
    return sorted(path for path in ready if path.parent.name.split(".scale")[0] == name)


def _length(facts: dict) -> str:
    return f"{facts['production_ps']:g} G" if "production_ps" in facts else "as the study"


def _electrolyte(tables: Path) -> Iterator[tuple[tuple[str, str], float, float]]:
    """(quantity, partner), value and error of what a described state point says about the first shell."""
    rows = {
        name: [*csv.DictReader((tables / f"{name}.csv").open(encoding="utf-8"))]
        for name in ("composition", "cutoffs", "cn")
    }
    for row in rows["composition"]:
        if row["quantity"] == "density":
            yield ("density_g_cm3", ""), float(row["simulated"]), float(row["error"])
    blocks = tables / "peaks.csv"
    listed = csv.DictReader(blocks.open(encoding="utf-8")) if blocks.is_file() else ()
    errors = {row["partner"]: float(row["error"]) for row in listed}
    shells = [row for row in rows["cutoffs"] if row["centre"] == "Li" and row["rule"] == "first minimum"]
    for row in shells:
        yield ("peak_A", row["partner"]), float(row["peak_A"]), errors.get(row["partner"], float("nan"))
    for row in rows["cn"]:
        partner = f"{row['species']}:{row['site']}"
        if row["centre"] == "Li" and partner in {shell["partner"] for shell in shells}:
            yield ("cn", partner), float(row["value"]), float(row["error"])
