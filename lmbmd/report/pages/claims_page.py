"""The page of claims: what was judged, with its numbers and its source, and what was not, with the reason."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pandas as pd

from lmbmd.core import rounding, stages
from lmbmd.literature.claims_text import counts_of, numbers_of, unit_of
from lmbmd.literature.judge import VERDICTS, tally
from lmbmd.numbers.compare import LEVEL
from lmbmd.report.pages.comparison import label
from lmbmd.report.pages.page import environment
from lmbmd.report.pages.scripts import script, style

_TONES = {"supported": "good", "contradicted": "bad", "mixed": "warn", "undecided": "warn"}
_JUDGED = VERDICTS[:3]
_SECTIONS = (
    ("Judged", "", _JUDGED),
    ("Not with this run", "The bottles were simulated, but a verdict cannot be based on their numbers.", VERDICTS[3:4]),
    ("Not run", "The study lacks a bottle of the claim, or a temperature.", VERDICTS[4:5]),
    ("Not computed", "The claim is about a number that lmbmd does not compute.", VERDICTS[5:6]),
    ("Out of reach", "The claim is not about a bulk liquid of small molecules.", VERDICTS[6:7]),
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
    sentence = counts_of(judged)
    n = int(judged.verdict.isin(_JUDGED).sum())
    kept = int(((judged.p_holm < 1 - LEVEL) & judged.verdict.isin(_JUDGED[:2])).sum())
    decided = int(judged.verdict.isin(_JUDGED[:2]).sum())
    caveat = (
        f"{n} comparisons were judged, each at {100 * LEVEL:g} %: if all of them lay on the limit of what is claimed, "
        f"about {(1 - LEVEL) * n:.1f} verdicts would be expected by chance. After correction for their number (Holm) "
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
    found, interval = numbers_of(row)
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
        said = limits.get((low, high)) or f"equal, within {rounding.exact(high)}{unit_of(row)}"
    elif math.isinf(low):
        said = f"below {rounding.exact(high)}{unit_of(row)}"
    else:
        above = math.isinf(high)
        said = (
            f"above {rounding.exact(low)}" if above else f"{rounding.exact(low)} to {rounding.exact(high)}"
        ) + unit_of(row)
    return f"{label(row.name, row.species)}{', ratio' if row.estimand == 'ratio' else ''}: {said}"


def _sentence(words: str) -> str:
    if not words:
        return ""
    name = not words.split()[0].isalpha()  # that of a bottle keeps its letters
    return (words if name else words[0].upper() + words[1:]) + ("" if words[-1] in ".!?" else ".")
