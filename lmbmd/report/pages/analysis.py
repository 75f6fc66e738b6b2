"""The report of an analysis of another program's trajectories: its page, and what a terminal shows of it."""

from __future__ import annotations

import math
import os
from pathlib import Path

from lmbmd.report.inputs import Results, load_analysis
from lmbmd.report.pages.index import write_features
from lmbmd.report.pages.page import formulation_page
from lmbmd.report.quoted import quoted
from lmbmd.report.words import naming, narrative

#: The lines of ``told``: (group of headlines, heading).
_LINES = (
    ("cn", "first shell of {centre}"),
    ("speciation", "anions"),
    ("free", "free molecules"),
    ("cluster", "clusters"),
    ("motion", "motion"),
)


def write_analysis(folder: str | os.PathLike[str], *, page: bool = True) -> Results:
    """Write ``report.html``, ``references.bib``, ``figures.zip`` and the feature table of an analysis beside its files.

    Args:
        folder: the ``out`` of ``analysis.foreign.analyze``.
        page: without it the feature table alone, which takes no time.

    Returns:
        What was reported.

    Raises:
        LmbmdError: as ``load_analysis`` does.
    """
    results = load_analysis(folder)
    write_report(folder, results, page=page)
    return results


def write_report(folder: str | os.PathLike[str], results: Results, *, page: bool = True) -> None:
    """Write the feature table, the page and its figures into a folder, which is made if it is not there."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_features(folder, [results])
    if page:
        formulation_page(results).write(folder)


def told(results: Results) -> str:
    """The numbers of an analysis in a few lines of plain text: what was read, whether to believe it, what was found."""
    point = quoted(results.state_points[0])
    found = narrative.headlines(point, results)
    centre = naming.species(str(point.described.facts.get("centre", "")))
    rows = []
    for group, heading in _LINES:
        of = [headline for headline in found if headline.group == group]
        known = [" ".join(filter(None, [one.brief, one.text])) for one in of if math.isfinite(one.value)]
        shown = ", ".join(known) or ("this run gives no number" if of else "not computed")
        rows.append((heading.format(centre=centre), shown))
    width = max(len(heading) for heading, _ in rows)
    lines = [narrative.setting(point, results), narrative.verdict(point).heading]
    return "\n".join([*lines, *(f"  {heading:<{width}}  {shown}" for heading, shown in rows)])
