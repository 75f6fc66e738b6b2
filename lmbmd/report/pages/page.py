"""One self-contained HTML page per formulation, and its figures in one file beside it."""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from lmbmd.report.figures.glance import glance
from lmbmd.report.inputs import Results
from lmbmd.report.pages.chapters import PLACED, blocks, chapters_of, over_temperatures, table
from lmbmd.report.pages.scripts import embedded, script, style
from lmbmd.report.quoted import quoted, too_short
from lmbmd.report.tables import provenance
from lmbmd.report.tables.cells import doubts
from lmbmd.report.tables.headlines import side_by_side
from lmbmd.report.words import naming, narrative, references
from lmbmd.report.words.choices import choices
from lmbmd.report.words.definitions import CHAIN, DEFINITIONS, NOT_COMPUTED, Definition
from lmbmd.report.words.methods import paragraph


@dataclass(frozen=True, eq=False)
class Page:
    """A finished page, its figures and what it cites."""

    html: str
    drawings: tuple[Drawing, ...]
    bibliography: str = ""
    ris: str = ""

    def write(self, folder: str | os.PathLike[str]) -> Path:
        """Write ``report.html``, ``references.bib`` and ``.ris``, and ``figures.zip`` (each as SVG, its data as CSV).

        One file for all figures: a page has some sixty, and a study hundreds of pages. The page goes last: where it is,
        its figures are. It saves single ones itself when a reader asks for it, as SVG, PNG or CSV.
        """
        folder = Path(folder)
        with replacing(folder / "figures.zip") as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as whole:
            for drawing in self.drawings:
                for suffix, text in (("svg", drawing.svg), ("csv", drawing.data.to_csv(index=False))):
                    # Of no date: the same figures are the same file.
                    whole.writestr(zipfile.ZipInfo(f"{drawing.name}.{suffix}"), text, zipfile.ZIP_DEFLATED)
        write_text(folder / "references.bib", self.bibliography)
        write_text(folder / "references.ris", self.ris)
        write_text(folder / "report.html", self.html)
        return folder / "report.html"


def formulation_page(results: Results) -> Page:
    """The report of one formulation, all its temperatures.

    Computes nothing: every number comes from the describe stage's tables or the engine's log, and is rounded as its
    error allows. What is absent is said to be absent. The same inputs give the same bytes.

    Args:
        results: from ``load_results`` (or made by hand).
    """
    results = replace(results, state_points=tuple(map(quoted, results.state_points)))
    colour = palette.colours(results.roles)
    points = []
    with styled():
        chapters = chapters_of(results, colour)
        found = [narrative.headlines(point, results) for point in results.state_points]
        for point, numbers in zip(results.state_points, found, strict=True):
            points.append(
                {
                    "point": point,
                    "verdict": narrative.verdict(point),
                    "too_short": too_short(point),
                    "summary": narrative.summary(point, results),
                    "glance": glance(point, numbers, colour),
                    "headlines": numbers,
                    "doubts": doubts([h.doubt for h in numbers if h.unsure]),
                    "remarks": [note for note in point.described.notes if note.get("topic") not in PLACED],
                }
            )
        every = [block for chapter in chapters for block in chapter.every_block]
        drawings = [drawing for block in every for drawing in block.get("drawings", ())]
        models = {key: model for block in every for key, model in block.get("models", {}).items()}
        cited = references.references(results)
        over = over_temperatures(results, colour)
        drawings += [d for block in over.blocks for d in block.get("drawings", ())] if over else []
        html = (
            environment()
            .get_template("report.html.j2")
            .render(
                results=results,
                points=points,
                chapters=chapters,
                numbers=side_by_side(results.state_points, found) if len(points) > 1 else None,
                over=over,
                header=_header(results),
                colour=colour,
                definitions=_definitions(results),
                choices=choices(results),
                references=cited,
                scenes=embedded(models) if models else "",
                not_computed=NOT_COMPUTED,
                chain=CHAIN,
                method=_method(results),
                methods=paragraph(results, cited),
                method_words=narrative.method(results),
                files=_files(results),
                stage=stages.REPORT,
            )
        )
    return Page(html, tuple(drawings), references.bibliography(results), references.ris(results))


def _files(results: Results) -> list[str]:
    """Data files, from the folder of the page; of those that describe the run none if they lie elsewhere."""
    found = [file for point in results.state_points for file in point.files]
    own = ["features.csv", "features.parquet"] if results.analysed else ["composition.json"]
    return ["figures.zip", *([*own, *found] if found else [])]


def _header(results: Results) -> list[tuple[str, str]]:
    """What a reader must know before the first number."""
    runs = [replica for point in results.state_points for replica in point.replicas]
    facts = [("temperature", ", ".join(point.at or "not given" for point in results.state_points))]
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
    about_others = {"species", "refit"}  # a set has many species; what is in the box has its own table
    model = {key: value for key, value in results.force_field.items() if key not in about_others}
    shown = {"asked_realised", "notes"}
    box = {key: value for key, value in results.composition.items() if key not in shown}
    return list(
        blocks(
            table(provenance.read(results), "read"),
            table(provenance.runs(results), "runs"),
            table(provenance.facts(model, "Force field, from its manifest."), "force-field"),
            table(provenance.parameters(results), "parameters"),
            table(provenance.facts(box, "Composition record."), "box") if not results.analysed else None,
            table(provenance.facts(details, "Analysis: options, inputs, versions."), "analysis"),
            table(provenance.facts(written, "Run records: seeds, versions, hashes."), "records"),
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
    saving, saving_hash = script("figures.js")
    library, library_hash = script("3Dmol-min.js", folder="vendor")
    env.globals |= {
        "style": style("style.css"),
        "viewer": viewer,
        "saving": saving,
        "saving_hash": saving_hash,
        "library": library,
        "library_licence": licence,
        "viewer_hashes": f"{saving_hash}' '{library_hash}' '{viewer_hash}",
        "svg": lambda drawing: Markup(drawing.inline()),
        "csv": lambda drawing: f"data:text/csv;charset=utf-8,{quote(drawing.data.to_csv(index=False))}",
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
