"""The page that compares formulations × temperatures, and the feature table behind it."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lmbmd.analysis.features import FEATURES, followed
from lmbmd.core import stages
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import replacing, write_text
from lmbmd.core.words import counted
from lmbmd.literature.claims import ClaimsFile, shipped_claims
from lmbmd.literature.judge import judge_claims
from lmbmd.report.figures import palette
from lmbmd.report.inputs import Results, StatePoint, feature_table
from lmbmd.report.pages.claims_page import ClaimsSummary, claims_page, claims_summary
from lmbmd.report.pages.comparison import comparison, href
from lmbmd.report.pages.page import environment
from lmbmd.report.pages.scripts import embedded, script, style
from lmbmd.report.quoted import quoted
from lmbmd.report.tables.motion import laws
from lmbmd.report.words import naming, narrative
from lmbmd.report.words.definitions import DEFINITIONS, Definition
from lmbmd.report.words.narrative import Headline, Verdict
from lmbmd.study import layout
from lmbmd.study.status import RunStatus, StudyStatus
from lmbmd.study.status_text import counts, job_name, why


@dataclass(frozen=True)
class Row:
    """One state point in the comparison."""

    results: Results
    point: StatePoint
    verdict: Verdict
    call: str
    groups: dict[str, list[Headline]]
    href: str


@dataclass(frozen=True)
class Unfinished:
    """What a comparison does not have yet.

    Attributes:
        rows: of each state point that is not in the table: formulation, temperature in K, how many of its runs are
            where, and how much of their production is done.
        failures: jobs that went wrong: which, why and what to do, and the file with all of its messages.
        runs: in words, how many of the study's runs are where.
    """

    rows: tuple[tuple[str, str, str, str], ...]
    failures: tuple[tuple[str, str, str], ...]
    runs: str


def unfinished(results: Sequence[Results], standing: StudyStatus) -> Unfinished | None:
    """What of a study is not in a comparison of these results, and what went wrong; None if neither."""
    there = {(one.name, point.temperature_K) for one in results for point in one.state_points}
    missing: dict[tuple[str, str], list[RunStatus]] = {}
    for run in standing.runs:
        if (run.formulation, float(run.temperature)) not in there:
            missing.setdefault((run.formulation, run.temperature), []).append(run)
    if not missing and not standing.failures:
        return None
    rows = []
    for (formulation, temperature), runs in missing.items():
        done_ns, asked_ns = sum(run.produced_ns for run in runs), sum(run.asked_ns for run in runs)
        rows.append((formulation, temperature, counts(runs), f"{done_ns:.4g} of {asked_ns:g}"))
    failures = tuple((job_name(one), why(one), one.log) for one in standing.failures)
    return Unfinished(tuple(rows), failures, counts(standing.runs))


#: Cut-offs of one site that differ by more than this between rows are told below the comparison.
CUTOFF_SPREAD_A = 0.1

#: Columns of the comparison: (group of headlines, heading, definition).
GROUPS = (
    ("liquid", "liquid", "density"),
    ("cn", "first shell (CN)", "cn"),
    ("speciation", "ion pairing, by anion", "speciation_anion"),
    ("free", "free solvent", "solvent_states"),
    ("cluster", "clusters", "cluster"),
    ("motion", "how it moves", "motion"),
)


def index_page(
    results: Sequence[Results],
    table: pd.DataFrame | None = None,
    claims: ClaimsSummary | None = None,
    lacking: Unfinished | None = None,
    without_page: Collection[str] = (),
    study: str = "",
) -> str:
    """The comparison as one self-contained HTML page; it links to ``<formulation>/report.html``.

    Args:
        results: of every formulation, in the order of the rows; none if nothing is finished yet.
        table: their feature table; made if not given.
        claims: what to say about claims; nothing if not given.
        lacking: what is not finished yet; nothing is said of it if not given.
        without_page: names of formulations whose report is not made yet.
        study: its name, if the results are of one.
    """
    numbers = feature_table(results) if table is None else table
    several = sum(len(one.state_points) for one in results) > 1  # there is something to compare, and to sort
    text, digest = script("sort.js", "index.js", "plots.js") if several else ("", "")
    data = comparison(results, numbers) if several else {"points": []}
    for point in data["points"]:
        if point["name"] in without_page:
            point["href"] = "#comparison"
    roles = {name: role for one in results for name, role in one.roles.items()}
    rows = [_row(one, point) for one in results for point in one.state_points]
    found = [headline for row in rows for group in row.groups.values() for headline in group]
    used = {"error", "cluster", "cipa", *(headline.definition for headline in found)}
    over = [(one.title, law) for one in results for law in followed(numbers[numbers.formulation == one.name])]
    used |= {definition for key, _, definition in GROUPS if any(row.groups[key] for row in rows)}
    used |= {"laws"} if over else set()
    entries = [DEFINITIONS[key] for key in DEFINITIONS if key in used] + _own_words(rows, used - set(DEFINITIONS))
    return (
        environment()
        .get_template("index.html.j2")
        .render(
            rows=rows,
            several=several,
            heading=_heading(results, len(rows)),
            groups=[group for group in GROUPS if any(row.groups[group[0]] for row in rows)],
            colour=palette.colours(roles),
            top=_scales(found),
            definitions=entries,
            has_call=any(row.call for row in rows),
            twice=_twice(rows),
            cutoffs=_other_cutoffs([row.point for row in rows]),
            claims=claims,
            over=laws(over, several=True),
            lacking=lacking,
            without_page=without_page,
            study=study,
            data=embedded(data),
            script=text,
            script_hash=digest,
            index_style=style("index.css"),
            stage=stages.REPORT,
        )
    )


def _heading(results: Sequence[Results], points: int) -> str:
    if not results:
        return "Nothing is finished yet"
    analyses = sum(bool(one.analysed) for one in results)
    bottles = len(results) - analyses
    told = [f"{counted(bottles, 'formulation')}, {counted(points - analyses, 'state point')}"] if bottles else []
    if analyses:
        told.append(f"{analyses} {'analysis' if analyses == 1 else 'analyses'} of other trajectories")
    return ", ".join(told)


def _row(results: Results, point: StatePoint) -> Row:
    point = quoted(point)
    found = narrative.headlines(point, results)
    groups = {key: [h for h in found if h.group == key] for key, _, _ in GROUPS}
    call = next((note["call"] for note in point.described.notes if note.get("call")), "")
    return Row(results, point, narrative.verdict(point), call, groups, href(results, point))


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


def _twice(rows: Sequence[Row]) -> list[str]:
    """Rows whose numbers are identical to the last digit, named together: one trajectory given twice."""
    same: dict[bytes, list[Row]] = {}
    for row in rows:
        numbers = row.point.described.descriptors
        key = numbers[["name", "species", "value", "error"]].to_csv(index=False).encode()
        same.setdefault(key, []).append(row)
    return [" and ".join(_named(row) for row in rows) for rows in same.values() if len(rows) > 1]


def _named(row: Row) -> str:
    return ", ".join(filter(None, [row.results.title, row.point.at]))


def _own_words(rows: Sequence[Row], keys: set[str]) -> list[Definition]:
    """Definitions of descriptors, in the describe stage's own words."""
    entries: dict[str, Definition] = {}
    for row in rows:
        for one in row.point.described.descriptors.itertuples(index=False):
            key = f"d-{naming.slug(one.name)}"
            if key in keys:
                entries.setdefault(key, Definition(key, str(one.name).replace("_", " "), str(one.definition)))
    return [entries[key] for key in sorted(entries)]


def write_features(folder: Path, results: Sequence[Results]) -> pd.DataFrame:
    """Write ``features.parquet`` and ``features.csv``; the table."""
    found = feature_table(results)
    table = pa.Table.from_pandas(found, schema=FEATURES, preserve_index=False)
    with replacing(folder / "features.parquet") as partial:
        pq.write_table(table.replace_schema_metadata(None), partial)
    with replacing(folder / "features.csv") as partial:
        table.to_pandas().to_csv(partial, index=False)
    return found


def write_comparison(folder: str | os.PathLike[str], results: Sequence[Results]) -> Path:
    """Write the feature table and, last, ``index.html`` of results that need not be of one study; no claim is judged.

    Args:
        folder: made if it is not there.
        results: each with its ``page`` seen from the folder.
    """
    folder = Path(folder)
    found = write_features(folder, results)
    write_text(folder / "index.html", index_page(results, found))
    return folder / "index.html"


def write_index(
    folder: str | os.PathLike[str],
    results: Sequence[Results],
    claims: Sequence[ClaimsFile] | None = None,
    standing: StudyStatus | None = None,
) -> Path:
    """Write ``features`` and ``claims`` tables, ``claims.html`` and, last, ``index.html`` into the results folder.

    Args:
        folder: the results folder.
        results: of every formulation.
        claims: what to judge; the shipped claims if not given.
        standing: of the study that they are of, which may not be finished: the page then says what is not, and why.

    Raises:
        LmbmdError: if there is nothing to compare, and nothing to say of that.
    """
    if not results and standing is None:
        raise LmbmdError("there is no formulation to list.", where=str(folder), remedy="Run the report stage first.")
    folder = Path(folder)
    found = write_features(folder, results)
    judged = judge_claims(shipped_claims() if claims is None else claims, found)
    with replacing(folder / "claims.csv") as partial:
        judged.to_csv(partial, index=False)
    summary = claims_summary(judged)
    write_text(folder / "claims.html", claims_page(summary))
    lacking = unfinished(results, standing) if standing else None
    pages = {one.name: layout.bottle(folder, one.name) / "report.html" for one in results}
    without_page = [name for name, page in pages.items() if standing and not page.exists()]
    write_text(
        folder / "index.html",
        index_page(results, found, summary, lacking, without_page, standing.study if standing else ""),
    )
    return folder / "index.html"
