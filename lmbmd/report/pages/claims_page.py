"""The page of claims: what was judged, with its numbers and its source, and what was not, with the reason."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from lmbmd.core import rounding, stages
from lmbmd.core.errors import LmbmdError
from lmbmd.core.words import counted
from lmbmd.literature.claims import ClaimsFile
from lmbmd.literature.judge import LEVEL, UNANSWERED, VERDICTS, judge_claims, tally
from lmbmd.report.pages.comparison import label
from lmbmd.report.pages.page import environment
from lmbmd.report.pages.scripts import script, style

_TONES = {"supported": "good", "contradicted": "bad", "mixed": "warn", "undecided": "warn"}
_JUDGED = VERDICTS[:3]
_SECTIONS = (
    ("Judged", "", _JUDGED),
    ("Not with this run", "The bottles were run, but their numbers are no ground for a verdict.", VERDICTS[3:4]),
    ("Not run", "The study lacks a bottle of the claim, or a temperature.", VERDICTS[4:5]),
    ("Not computed", "The claim is about a number that lmbmd does not compute.", VERDICTS[5:6]),
    ("Out of reach", "Not about a liquid of small molecules in bulk.", VERDICTS[6:7]),
)


@dataclass(frozen=True)
class ClaimsSummary:
    """What the pages say about the claims of a study: sentences, the groups that were judged, and all rows."""

    sentence: str
    caveat: str
    groups: list[dict[str, Any]]
    sections: list[tuple[str, str, list[dict[str, Any]], bool]]
    sources: list[tuple[str, str]]

    @property
    def judged(self) -> list[dict[str, Any]]:
        """Rows with a verdict about the claim itself."""
        return [row for heading, _, rows, _ in self.sections if heading == "Judged" for row in rows]


def claims_summary(judged: pd.DataFrame) -> ClaimsSummary:
    """Words and rows from the table of ``judge_claims``."""
    counts = {verdict: judged[judged.verdict == verdict].id.nunique() for verdict in VERDICTS}
    parts = [f"{n} {verdict}" for verdict, n in counts.items() if n]
    sentence = f"Of {judged.id.nunique()} claims, {', '.join(parts)}." if parts else "No claim is known."
    if len(set(judged.temperature_K.dropna())) > 1:
        sentence += " A claim judged at several temperatures may have several verdicts."
    n = int(judged.verdict.isin(_JUDGED).sum())
    kept = int(((judged.p_holm < 1 - LEVEL) & judged.verdict.isin(_JUDGED[:2])).sum())
    decided = int(judged.verdict.isin(_JUDGED[:2]).sum())
    caveat = (
        f"{n} comparisons were judged, each at {100 * LEVEL:g} %: if all of them lay on the limit of what is claimed, "
        f"about {(1 - LEVEL) * n:.1f} verdicts would come by chance. After correction for their number (Holm) "
        f"{kept} of the {decided} verdicts stand; the others are marked."
        if n
        else "No claim could be judged."
    )
    rows = _rows(judged)
    sections = [
        (heading, intro, [row for row in rows if row["verdict"] in which], heading in ("Judged", "Not with this run"))
        for heading, intro, which in _SECTIONS
    ]
    groups = [
        {**row, "tone": _TONES.get(row["verdict"], "")}
        for row in tally(judged).to_dict("records")
        if any(row[verdict] for verdict in _JUDGED)
    ]
    sources = sorted(set(zip(judged.source, judged.source_title, strict=True)))
    return ClaimsSummary(sentence, caveat, groups, [section for section in sections if section[2]], sources)


def claims_page(summary: ClaimsSummary) -> str:
    """The page, self-contained; it links to index.html and claims.csv beside it."""
    text, digest = script("sort.js")
    return (
        environment()
        .get_template("claims.html.j2")
        .render(
            claims=summary,
            verdicts=VERDICTS,
            level=f"{100 * LEVEL:g} %",
            stage=stages.REPORT,
            script=text,
            script_hash=digest,
            index_style=style("index.css"),
        )
    )


def _rows(judged: pd.DataFrame) -> list[dict[str, Any]]:
    seen: set[str] = set()
    rows = []
    for row in judged.itertuples(index=False):
        rows.append(_row(row) | {"first": row.id not in seen})
        seen.add(row.id)
    return rows


def _row(row: Any) -> dict[str, Any]:
    marks = [
        "proxy" if row.proxy else "",
        "partner assumed" if row.partner_assumed else "",
        "not after Holm's correction" if row.verdict in _JUDGED[:2] and not row.p_holm < 1 - LEVEL else "",
    ]
    found, interval = _found(row)
    return {
        "id": row.id,
        "group": row.group,
        "verdict": row.verdict,
        "tone": _TONES.get(row.verdict, ""),
        "marks": "; ".join(filter(None, marks)),
        "text": row.text,
        "note": row.note,
        "source": row.source,
        "ref": row.ref,
        "doi": row.doi,
        "bottles": " against ".join(filter(None, [row.formulation, row.versus])),
        "temperature": "" if pd.isna(row.temperature_K) else f"{row.temperature_K:g} K",
        "claimed": _claimed(row),
        "found": found.replace(" ± ", "\u00a0±\u00a0"),
        "interval": interval.replace(" ± ", "\u00a0±\u00a0"),
        "reason": _sentence(row.reason),
    }


def _claimed(row: Any) -> str:
    """The claim about a number, as words: ``"Anion CN: greater"``."""
    if not row.name:
        return ""
    low, high = row.claimed_low, row.claimed_high
    if row.estimand == "difference":
        limits = {(0.0, math.inf): "greater", (-math.inf, 0.0): "less"}
        said = limits.get((low, high)) or f"equal, within {rounding.exact(high)}{_unit(row)}"
    elif math.isinf(low):
        said = f"below {rounding.exact(high)}{_unit(row)}"
    else:
        above = math.isinf(high)
        said = (
            f"above {rounding.exact(low)}" if above else f"{rounding.exact(low)} to {rounding.exact(high)}"
        ) + _unit(row)
    return f"{label(row.name, row.species)}{', ratio' if row.estimand == 'ratio' else ''}: {said}"


def _found(row: Any) -> tuple[str, str]:
    """The numbers behind a verdict, and the interval it was made by."""
    decided = pd.notna(row.estimate)  # then a number without an error never changed, and needs none
    pairs = ((row.value, row.error), (row.versus_value, row.versus_error))
    # Without a verdict an error may not be reliable, and is not shown.
    parts = [
        rounding.number(v, None if decided and pd.isna(e) else e, reliable=decided) for v, e in pairs if pd.notna(v)
    ]
    unit = f" {rounding.unit(row.unit)}".rstrip() if parts else ""
    text = " against ".join(parts) + unit
    if not decided:
        return text, ""
    interval = f"{100 * LEVEL:g} %: {rounding.number(row.low)} to {rounding.number(row.high)}{_unit(row)}"
    name = "" if row.estimand == "value" else f"{row.estimand} {rounding.number(row.estimate, row.estimate_error)}; "
    return text, name + interval


def _unit(row: Any) -> str:
    """The estimand's unit, after a space; nothing for a ratio or a pure number."""
    known = row.estimand != "ratio" and isinstance(row.unit, str)
    return f" {rounding.unit(row.unit)}".rstrip() if known else ""


def _sentence(text: str) -> str:
    if not text:
        return ""
    name = not text.split()[0].isalpha()  # that of a bottle keeps its letters
    return (text if name else text[0].upper() + text[1:]) + ("" if text.endswith((".", "!", "?")) else ".")


def verdict_lines(files: Sequence[ClaimsFile], folder: str | os.PathLike[str], about: Sequence[str] = ()) -> str:
    """Verdicts as lines of a terminal: verdict, id and temperature, the claim, and its numbers or the reason.

    Args:
        files: the claims.
        folder: a results folder with ``features.parquet``.
        about: names of formulations: all claims about them, and no others. If empty, only those that this study's
            bottles could answer; the last line counts the rest.

    Raises:
        LmbmdError: if the feature table is missing or cannot be read.
    """
    path = Path(folder) / "features.parquet"
    try:
        features = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        remedy = "Run 'lmbmd index' first; 'lmbmd claims --list' needs no results."
        raise LmbmdError(f"there is no feature table to judge by ({error}).", where=str(path), remedy=remedy) from error
    judged = judge_claims(files, features)
    if about:
        judged = judged[judged.formulation.isin(about) | judged.versus.isin(about)]
    order = {verdict: k for k, verdict in enumerate(VERDICTS)}
    lines = []
    shown = judged if about else judged[~judged.verdict.isin(UNANSWERED)]
    for row in shown.sort_values("verdict", key=lambda v: v.map(order), kind="stable").itertuples(index=False):
        T = "" if pd.isna(row.temperature_K) else f" at {row.temperature_K:g} K"
        found = "; ".join(filter(None, [*_found(row), row.reason.rstrip(".")]))
        lines += [f"{row.verdict:<18}{row.id}{T}", f"{'':18}{row.text}", *([f"{'':18}{found}"] if found else [])]
    return "\n".join([*lines, claims_summary(judged).sentence])


def claim_lines(files: Sequence[ClaimsFile], about: Sequence[str] = ()) -> str:
    """Claims as lines of a terminal: id, bottles, test, the claim; only those about these formulations, if given."""
    lines, n = [], 0
    for claim in [claim for file in files for claim in file.claims]:
        if about and not {claim.formulation, claim.versus} & set(about):
            continue
        n += 1
        bottles = " against ".join(filter(None, [claim.formulation, claim.versus]))
        test = claim.test if not claim.why else f"{claim.test}: {claim.why}"
        lines += [f"{claim.id} ({bottles}; {test})", f"    {claim.text}"]
    return "\n".join([*lines, f"{counted(n, 'claim')}."])
