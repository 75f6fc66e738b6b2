"""One self-contained HTML page per formulation, and the figures beside it."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from markupsafe import Markup

from lmbmd.core import rounding, stages
from lmbmd.core.files import replacing, write_text
from lmbmd.report.figures import palette
from lmbmd.report.figures.drawing import Drawing, styled
from lmbmd.report.inputs import Results
from lmbmd.report.pages.chapters import PLACED, blocks, chapters_of, over_temperatures, table
from lmbmd.report.pages.scripts import embedded, script, style
from lmbmd.report.tables import provenance
from lmbmd.report.tables.cells import doubts
from lmbmd.report.words import naming, narrative, references
from lmbmd.report.words.choices import choices
from lmbmd.report.words.definitions import CHAIN, DEFINITIONS, NOT_COMPUTED, Definition


@dataclass(frozen=True, eq=False)
class Page:
    """A finished page, its figures and what it cites."""

    html: str
    drawings: tuple[Drawing, ...]
    bibliography: str = ""

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``report.html``, ``references.bib`` and ``figures/`` (each figure as SVG, PNG and its data as CSV).

        The page goes last: where it is, its figures are.
        """
        folder = Path(folder)
        for drawing in self.drawings:
            stem = folder / "figures" / drawing.name
            write_text(f"{stem}.svg", drawing.svg)
            with replacing(f"{stem}.png") as partial:
                partial.write_bytes(drawing.png())
            with replacing(f"{stem}.csv") as partial:
                drawing.data.to_csv(partial, index=False)
        write_text(folder / "references.bib", self.bibliography)
        write_text(folder / "report.html", self.html)
        return folder / "report.html"


def formulation_page(results: Results) -> Page:
    """The report of one formulation, all its temperatures.

    Computes nothing: every number comes from the describe stage's tables or the engine's log, and is rounded as its
    error allows. What is absent is said to be absent. The same inputs give the same bytes.

    Args:
        results: from ``load_results`` (or made by hand).
    """
    colour = palette.colours(results.roles)
    drawings: list[Drawing] = []
    models: dict[str, Any] = {}
    points = []
    with styled():
        for point in results.state_points:
            chapters = chapters_of(point, results, colour)
            found = narrative.headlines(point, results)
            drawings += [d for c in chapters for block in c.blocks for d in block.get("drawings", ())]
            models |= {k: m for c in chapters for block in c.blocks for k, m in block.get("models", {}).items()}
            points.append(
                {
                    "point": point,
                    "chapters": chapters,
                    "verdict": narrative.verdict(point),
                    "summary": narrative.summary(point, results),
                    "headlines": found,
                    "doubts": doubts([h.doubt for h in found if h.unsure]),
                    "remarks": [note for note in point.described.notes if note.get("topic") not in PLACED],
                }
            )
        over = over_temperatures(results, colour)
        drawings += [d for block in over.blocks for d in block.get("drawings", ())] if over else []
        html = (
            environment()
            .get_template("report.html.j2")
            .render(
                results=results,
                points=points,
                over=over,
                header=_header(results),
                colour=colour,
                definitions=_definitions(results),
                choices=choices(results),
                references=references.references(results),
                scenes=embedded(models) if models else "",
                not_computed=NOT_COMPUTED,
                chain=CHAIN,
                method=_method(results),
                method_words=narrative.method(results),
                files=_files(results),
                stage=stages.REPORT,
            )
        )
    return Page(html, tuple(drawings), references.bibliography(results))


def _files(results: Results) -> list[str]:
    """Data files, from the folder of the page; none if there is no such folder."""
    found = [file for point in results.state_points for file in point.files]
    own = ["features.csv", "features.parquet"] if results.analysed else ["composition.json"]
    return [*own, *found] if found else []


def _header(results: Results) -> list[tuple[str, str]]:
    """What a reader must know before the first number."""
    runs = [replica for point in results.state_points for replica in point.replicas]
    facts = [("temperature", ", ".join(point.at or "not told" for point in results.state_points))]
    if results.analysed:
        files = [file for run in results.analysed["runs"] for file in run["files"]]
        facts += [("trajectory", ", ".join(dict.fromkeys(Path(file).name for file in files)))]
        facts += [("read", narrative.read(results))]
    else:
        lengths = sorted({run.production_ps for run in runs if run.production_ps})
        scale = results.composition.get("ion_charge_scale")
        facts += [
            ("force field", results.composition.get("force_field") or "not recorded"),
            ("ion charges", "not recorded" if scale is None else f"× {scale:g}"),
            ("production", " and ".join(map(rounding.duration, lengths)) or "not recorded"),
        ]
    facts.append(("runs", str(len(runs)) if runs else "not recorded"))
    if results.counts:
        facts.append(("box", ", ".join(f"{n} {naming.species(name)}" for name, n in results.counts.items())))
    return [(name, str(value)) for name, value in facts]


def _method(results: Results) -> list[Mapping[str, Any] | None]:
    details = {point.label: point.described.facts for point in results.state_points}
    written = {
        f"{point.label} r{replica.number}": {"run": replica.run, "spec": replica.spec}
        for point in results.state_points
        for replica in point.replicas
        if replica.run or replica.spec
    }
    model = {key: value for key, value in results.force_field.items() if key != "species"}
    shown = {"asked_realised", "notes"}
    box = {key: value for key, value in results.composition.items() if key not in shown}
    return list(
        blocks(
            table(provenance.read(results), "read"),
            table(provenance.runs(results), "runs"),
            table(provenance.facts(model, "Force field, from its manifest."), "force-field"),
            table(provenance.parameters(results), "parameters"),
            table(provenance.facts(box, "Composition record."), "box", folded="Composition record")
            if not results.analysed
            else None,
            table(
                provenance.facts(details, "Analysis record."), "analysis", folded="Analysis options, inputs, versions"
            ),
            table(provenance.facts(written, "Run records."), "records", folded="Run records: seeds, versions, hashes"),
        )
    )


def _definitions(results: Results) -> list[Definition]:
    """The glossary, then one entry per descriptor in the describe stage's own words."""
    seen: dict[str, Definition] = {}
    for point in results.state_points:
        for row in point.described.descriptors.itertuples(index=False):
            key = f"d-{naming.slug(row.name)}"
            title = str(row.name).replace("_", " ")
            seen.setdefault(
                key, Definition(key, title, f"{row.definition}. Unit: {rounding.unit(str(row.unit)) or '1'}.")
            )
    return [*DEFINITIONS.values(), *(seen[key] for key in sorted(seen))]


@cache
def environment() -> jinja2.Environment:
    """Templates with everything escaped; an undefined name is an error, not a blank."""
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("lmbmd.report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters |= {
        "species": naming.species,
        "unit": rounding.unit,
        "slug": naming.slug,
        "number": rounding.number,
        "percent": rounding.percent,
        "href": lambda path: quote(str(path)),
        "linked": linked,
        "unbroken": unbroken,
    }
    licence = resources.files("lmbmd.report").joinpath("vendor/3Dmol-LICENSE.txt").read_text("utf-8")
    viewer, viewer_hash = script("viewer.js")
    library, library_hash = script("3Dmol-min.js", folder="vendor")
    env.globals |= {
        "style": style("style.css"),
        "viewer": viewer,
        "library": library,
        "library_licence": licence,
        "viewer_hashes": f"{library_hash}' '{viewer_hash}",
        "svg": lambda drawing: Markup(drawing.inline()),
        "text_on": palette.text_on,
        "classes": palette.CLASSES,
    }
    return env


def unbroken(text: str) -> str:
    """Text whose numbers stay on one line with their marks, errors and units."""
    return re.sub(r"(?<=≈) | (?=±)|(?<=±) |(?<=\d) (?=%|K\b|ps\b|ns\b|nm\b|Å|g/cm|mol/)", "\u00a0", text)


_LINK = re.compile(r"(?:doi:|https://doi\.org/)(10\.\d{4,9}/[^\s\"'<>;,]+)|(https://[^\s\"'<>]+)")


def linked(text: str) -> Markup:
    """Text with its DOIs and https addresses as links; all else escaped."""
    parts, end = [], 0
    for match in _LINK.finditer(text):
        shown = match.group().rstrip(".,;)")
        doi = match[1].rstrip(".,;)") if match[1] else ""
        target = f"https://doi.org/{quote(doi)}" if doi else shown
        parts += [Markup.escape(text[end : match.start()]), Markup('<a href="{}">{}</a>').format(target, shown)]
        end = match.start() + len(shown)
    return Markup("").join([*parts, Markup.escape(text[end:])])
