"""The page that compares formulations × temperatures, and the feature table behind it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lmbmd import stages
from lmbmd.atomic import replacing, write_text
from lmbmd.errors import LmbmdError
from lmbmd.report import formatting as fmt
from lmbmd.report import narrative, palette
from lmbmd.report.definitions import DEFINITIONS, Definition
from lmbmd.report.inputs import Results, StatePoint
from lmbmd.report.narrative import Headline, Verdict
from lmbmd.report.page import environment

#: Columns of features.csv and features.parquet: one row is one number about one state point. The order, the names
#: and the types are part of the file format; docs/report.md describes each.
FEATURES = pa.schema(
    [
        ("formulation", pa.string()),
        ("temperature_K", pa.float64()),
        ("name", pa.string()),
        ("species", pa.string()),
        ("value", pa.float64()),
        ("error", pa.float64()),
        ("unit", pa.string()),
        ("n_effective", pa.float64()),
        ("method", pa.string()),
        ("verdict", pa.string()),
        ("replicas", pa.int64()),
        ("force_field", pa.string()),
        ("ion_charge_scale", pa.float64()),
        ("recipe_sha256", pa.string()),
    ]
)


def features(results: Sequence[Results]) -> pd.DataFrame:
    """Every descriptor of every state point, and the molecules of each species in the box, in tidy form.

    Columns are those of ``FEATURES``, always all of them. Rows are in order of formulation and temperature, then as
    the describe stage wrote them.
    """
    parts = []
    for one in results:
        counts = [("count", s, float(n), 0.0, "1", np.nan, "molecules in one box") for s, n in one.counts.items()]
        for point in one.state_points:
            rows = point.described.descriptors
            rows = pd.concat([pd.DataFrame(counts, columns=rows.columns).astype(rows.dtypes), rows])
            scale = one.composition.get("ion_charge_scale")
            parts.append(
                rows.assign(
                    formulation=one.name,
                    temperature_K=point.temperature_K,
                    verdict=narrative.verdict(point).word,
                    replicas=len(point.replicas),
                    force_field=str(one.composition.get("force_field") or ""),
                    ion_charge_scale=np.nan if scale is None else float(scale),
                    recipe_sha256=str(one.composition.get("recipe_sha256") or ""),
                )
            )
    columns = FEATURES.names
    return pd.concat(parts, ignore_index=True)[columns] if parts else FEATURES.empty_table().to_pandas()


@dataclass(frozen=True)
class Row:
    """One state point in the comparison."""

    results: Results
    point: StatePoint
    verdict: Verdict
    call: str
    groups: dict[str, list[Headline]]


#: Cut-offs of one site that differ by more than this between rows are told below the comparison.
CUTOFF_SPREAD_A = 0.1

#: Columns of the comparison: (group of headlines, heading, definition).
GROUPS = (
    ("liquid", "liquid", "density"),
    ("cn", "first shell (CN)", "cn"),
    ("speciation", "ion pairing, by anion", "speciation_anion"),
    ("free", "free solvent", "solvent_states"),
    ("cluster", "clusters", "cluster"),
)


def index_page(results: Sequence[Results]) -> str:
    """The comparison as one self-contained HTML page; it links to ``<formulation>/report.html``.

    Args:
        results: of every formulation, in the order of the rows.
    """
    roles = {name: role for one in results for name, role in one.roles.items()}
    rows = [_row(one, point) for one in results for point in one.state_points]
    found = [headline for row in rows for group in row.groups.values() for headline in group]
    used = {"error", "cluster", "cipa", *(headline.definition for headline in found)}
    entries = [DEFINITIONS[key] for key in DEFINITIONS if key in used] + _own_words(rows, used - set(DEFINITIONS))
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            rows=rows,
            groups=[group for group in GROUPS if any(row.groups[group[0]] for row in rows)],
            colour=palette.colours(roles),
            top=_scales(found),
            definitions=entries,
            has_call=any(row.call for row in rows),
            cutoffs=_other_cutoffs([row.point for row in rows]),
            stage=stages.REPORT,
        )
    )


def _row(results: Results, point: StatePoint) -> Row:
    found = narrative.headlines(point, results)
    groups = {key: [h for h in found if h.group == key] for key, _, _ in GROUPS}
    call = next((note["call"] for note in point.described.notes if note.get("call")), "")
    return Row(results, point, narrative.verdict(point), call, groups)


def _scales(found: Sequence[Headline]) -> dict[str, float]:
    """Full length of the bars of each kind of number: the same for all rows; one for fractions."""
    top: dict[str, float] = {}
    for headline in found:
        reach = 1.0 if headline.unit == "%" else abs(headline.value) + np.nan_to_num(headline.error or 0.0)
        if np.isfinite(reach):
            top[headline.scale] = max(top.get(headline.scale, 0.0), reach)
    return top


def _other_cutoffs(points: Sequence[StatePoint]) -> list[str]:
    """Sites whose first-shell cut-offs differ by more than ``CUTOFF_SPREAD_A``, each with the lowest and highest."""
    found: dict[tuple[str, str], list[float]] = {}
    for point in points:
        table = point.table("cutoffs")
        if table is not None:
            for row in table[table.partner.str.contains(":")].itertuples():
                found.setdefault((str(row.centre), str(row.partner)), []).append(float(row.cutoff_A))
    return [
        f"{fmt.species(centre)} – {fmt.site(partner)} {min(radii):.2f} to {max(radii):.2f} Å"
        for (centre, partner), radii in found.items()
        if max(radii) - min(radii) > CUTOFF_SPREAD_A + 1e-9
    ]


def _own_words(rows: Sequence[Row], keys: set[str]) -> list[Definition]:
    """Definitions of descriptors, in the describe stage's own words."""
    entries: dict[str, Definition] = {}
    for row in rows:
        for one in row.point.described.descriptors.itertuples(index=False):
            key = f"d-{fmt.slug(one.name)}"
            if key in keys:
                entries.setdefault(key, Definition(key, str(one.name).replace("_", " "), str(one.method)))
    return [entries[key] for key in sorted(entries)]


def write_index(folder: str | os.PathLike[str], results: Sequence[Results]) -> Path:
    """Write ``features.csv``, ``features.parquet`` and, last, ``index.html`` into the results folder.

    Raises:
        LmbmdError: if there is nothing to compare.
    """
    if not results:
        raise LmbmdError("there is no formulation to list.", where=str(folder), remedy="Run the report stage first.")
    folder = Path(folder)
    table = pa.Table.from_pandas(features(results), schema=FEATURES, preserve_index=False)
    with replacing(folder / "features.parquet") as partial:
        pq.write_table(table.replace_schema_metadata(None), partial)
    with replacing(folder / "features.csv") as partial:
        table.to_pandas().to_csv(partial, index=False)
    write_text(folder / "index.html", index_page(results))
    return folder / "index.html"
