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

from lmbmd.analysis.features import FEATURES
from lmbmd.core import stages
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import replacing, write_text
from lmbmd.literature.claims import ClaimsFile, shipped_claims
from lmbmd.literature.judge import judge_claims
from lmbmd.report.figures import palette
from lmbmd.report.inputs import Results, StatePoint, feature_table
from lmbmd.report.pages.claims_page import ClaimsSummary, claims_page, claims_summary
from lmbmd.report.pages.comparison import comparison
from lmbmd.report.pages.page import environment
from lmbmd.report.pages.scripts import embedded, script, style
from lmbmd.report.words import naming, narrative
from lmbmd.report.words.definitions import DEFINITIONS, Definition
from lmbmd.report.words.narrative import Headline, Verdict


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


def index_page(
    results: Sequence[Results], table: pd.DataFrame | None = None, claims: ClaimsSummary | None = None
) -> str:
    """The comparison as one self-contained HTML page; it links to ``<formulation>/report.html``.

    Args:
        results: of every formulation, in the order of the rows.
        table: their feature table; made if not given.
        claims: what to say about claims; nothing if not given.
    """
    text, digest = script("sort.js", "index.js", "plots.js")
    data = comparison(results, feature_table(results) if table is None else table)
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
            claims=claims,
            data=embedded(data),
            script=text,
            script_hash=digest,
            index_style=style("index.css"),
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
        f"{naming.species(centre)} – {naming.site(partner)} {min(radii):.2f} to {max(radii):.2f} Å"
        for (centre, partner), radii in found.items()
        if max(radii) - min(radii) > CUTOFF_SPREAD_A + 1e-9
    ]


def _own_words(rows: Sequence[Row], keys: set[str]) -> list[Definition]:
    """Definitions of descriptors, in the describe stage's own words."""
    entries: dict[str, Definition] = {}
    for row in rows:
        for one in row.point.described.descriptors.itertuples(index=False):
            key = f"d-{naming.slug(one.name)}"
            if key in keys:
                entries.setdefault(key, Definition(key, str(one.name).replace("_", " "), str(one.definition)))
    return [entries[key] for key in sorted(entries)]


def write_index(
    folder: str | os.PathLike[str], results: Sequence[Results], claims: Sequence[ClaimsFile] | None = None
) -> Path:
    """Write ``features`` and ``claims`` tables, ``claims.html`` and, last, ``index.html`` into the results folder.

    Args:
        folder: the results folder.
        results: of every formulation.
        claims: what to judge; the shipped claims if not given.

    Raises:
        LmbmdError: if there is nothing to compare.
    """
    if not results:
        raise LmbmdError("there is no formulation to list.", where=str(folder), remedy="Run the report stage first.")
    folder, found = Path(folder), feature_table(results)
    table = pa.Table.from_pandas(found, schema=FEATURES, preserve_index=False)
    with replacing(folder / "features.parquet") as partial:
        pq.write_table(table.replace_schema_metadata(None), partial)
    with replacing(folder / "features.csv") as partial:
        table.to_pandas().to_csv(partial, index=False)
    judged = judge_claims(shipped_claims() if claims is None else claims, found)
    with replacing(folder / "claims.csv") as partial:
        judged.to_csv(partial, index=False)
    summary = claims_summary(judged)
    write_text(folder / "claims.html", claims_page(summary))
    write_text(folder / "index.html", index_page(results, found, summary))
    return folder / "index.html"
