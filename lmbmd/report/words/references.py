"""What a report rests on, as a list and as BibTeX: the model's papers, and the methods that were actually used."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import resources
from typing import Any

import yaml

from lmbmd.analysis.features import followed
from lmbmd.report.inputs import Replica, Results, feature_table
from lmbmd.report.words import naming

_DOI = re.compile(r"10\.\d{4,9}/[^\s\"'<>;,{}]+")
#: Without hydrogens heavier than this, masses were not repartitioned, amu.
HYDROGEN_AMU = 1.01


@dataclass(frozen=True)
class Reference:
    """One entry of the list.

    Attributes:
        key: of the BibTeX entry.
        doi: without a resolver; "" if none is recorded.
        uses: what it is cited for, in words.
        fields: of the BibTeX entry, beside the DOI; ``note`` alone where only words are known.
        type: of the BibTeX entry.
    """

    key: str
    doi: str
    uses: tuple[str, ...]
    fields: Mapping[str, str] = field(default_factory=dict)
    type: str = "misc"

    @property
    def text(self) -> str:
        """The reference in one line, without its DOI."""
        if "title" not in self.fields:
            return self.fields.get("note", self.doi)
        where = " ".join(self.fields[k] for k in ("journal", "booktitle", "volume") if k in self.fields)
        pages = self.fields.get("pages", "").replace("--", "–")
        authors = [name.partition(",")[0] for name in self.fields["author"].split(" and ")]
        names = f"{authors[0]} et al." if len(authors) > 3 or authors[-1] == "others" else ", ".join(authors)
        return f"{names}: {self.fields['title']}. {', '.join(filter(None, [where, pages]))} ({self.fields['year']})"

    @property
    def bibtex(self) -> str:
        """The entry. Titles keep their capitals; characters with a meaning in LaTeX are escaped."""
        shown = {**self.fields, **({"doi": self.doi} if self.doi else {})}
        lines = [f"  {name} = {{{_value(name, text)}}}," for name, text in shown.items()]
        return "\n".join([f"@{self.type}{{{self.key},", *lines, "}"])

    @property
    def ris(self) -> str:
        """The entry in the RIS format, which reference managers read."""
        first, _, last = self.fields.get("pages", "").partition("--")
        lines = [("TY", _RIS_TYPES.get(self.type, "GEN")), ("ID", self.key)]
        lines += [("AU", name) for name in self.fields.get("author", "").split(" and ") if name not in ("", "others")]
        where = self.fields.get("journal") or self.fields.get("booktitle", "")
        rest = [("PY", "year"), ("TI", "title"), ("VL", "volume"), ("N1", "note")]
        lines += [(tag, self.fields.get(name, "")) for tag, name in rest]
        lines += [("T2", where), ("SP", first), ("EP", last), ("DO", self.doi)]
        return "".join(f"{tag}  - {_plain(text)}\r\n" for tag, text in lines if text) + "ER  - \r\n"


_RIS_TYPES = {"article": "JOUR", "inproceedings": "CONF", "book": "BOOK"}


def references(results: Results) -> list[Reference]:
    """Everything that a report of these results rests on: the model first, then the methods, then the recipe."""
    used: dict[str, tuple[list[str], str]] = {}

    def cite(doi: str, use: str, words: str) -> None:
        uses = used.setdefault(doi or f"no DOI: {words}", ([], words))[0]
        if use not in uses:
            uses.append(use)

    for source, use in _model(results):
        dois = [source["doi"]] if source.get("doi") else _dois(source.get("what", ""))
        for doi in dois or [""]:
            cite(doi, use, source.get("what", ""))
    facts = _facts(results)
    for doi, entry in _known().items():
        if entry.get("when") in facts:
            cite(doi, str(entry["for"]), "")
    for doi in _dois(str(results.recipe.get("source") or "")):
        cite(doi, "source of the recipe", str(results.recipe["source"]))
    found = [_reference(doi, tuple(uses), words) for doi, (uses, words) in used.items()]
    times = Counter(reference.key for reference in found)
    return [replace(r, key=f"{r.key}-{i}") if times[r.key] > 1 else r for i, r in enumerate(found, start=1)]


def bibliography(results: Results) -> str:
    """The content of ``references.bib``."""
    opening = f"% What the report on {_plain(results.name)} rests on. Written by lmbmd; entries are those that apply.\n"
    return "\n".join([opening, *(f"{reference.bibtex}\n" for reference in references(results))])


def ris(results: Results) -> str:
    """The content of ``references.ris``."""
    return "\r\n".join(reference.ris for reference in references(results))


def _model(results: Results) -> Iterable[tuple[Mapping[str, str], str]]:
    """(source, use) of the parameters of every species in the box, and of the charge scale."""
    species = results.force_field.get("species")
    for name in results.counts:
        entry = species.get(name) if isinstance(species, Mapping) else None
        for source in (entry or {}).get("sources", ()):
            plain = source if isinstance(source, Mapping) else {"what": str(source)}
            yield {k: str(v) for k, v in plain.items()}, f"parameters of {naming.species(name)}"
    scale = results.force_field.get("ion_charge_scale")
    if isinstance(scale, Mapping) and isinstance(scale.get("source"), Mapping):
        if results.composition.get("ion_charge_scale") == scale.get("default"):
            yield {k: str(v) for k, v in scale["source"].items()}, "scale of the ions' charges"


def _facts(results: Results) -> set[str]:
    """What is true of these results, in the words that ``when`` uses in references.yaml."""
    points = results.state_points
    runs = [replica for point in points for replica in point.replicas if replica.run]
    specs = [{**(r.run.get("spec") or {}), **r.spec} for r in runs]
    protocols = [spec.get("protocol") or {} for spec in specs]
    nonbonded = results.force_field.get("nonbonded")
    engines = set(map(engine_of, runs))
    of = {name: [spec for r, spec in zip(runs, specs, strict=True) if engine_of(r) == name] for name in engines}
    moved = [table for point in points if (table := point.table("motion_runs")) is not None]
    thermostats = {str(name) for table in moved for name in table.thermostat}
    by = [table for point in points if (table := point.table("energies_drawn")) is not None]
    methods = {str(row.method) for table in by for row in table.itertuples() if row.computed > 0}
    of_bands = [table for point in points if (table := point.table("bands")) is not None]
    has_bands = any((table.computed > 0).any() for table in of_bands)
    numbers = {str(name) for p in points for name in p.described.descriptors.dropna(subset="value").name}
    found = {
        "always": True,
        "openmm": "openmm" in engines,
        "gromacs": "gromacs" in engines,
        "motion": bool(moved),
        "nose-hoover": "nose-hoover" in thermostats,
        "bussi": "bussi" in thermostats,
        "unbounded": "self_diffusion_unbounded_m2_s" in numbers,
        "collective": "conductivity_S_m" in numbers,
        "viscosity": "viscosity_mPa_s" in numbers,
        "permittivity": "relative_permittivity" in numbers,
        "bent": any(math.isfinite(one.vtf.b_K.value) for one in followed(feature_table([results]))),
        "simulated": bool(runs),
        "packed": any("packmol" in (r.run.get("versions") or {}) for r in runs),
        "workflow": any("snakemake" in (r.run.get("versions") or {}) for r in runs),
        **{f"pressure in {e}": any(spec.get("pressure_bar") is not None for spec in of[e]) for e in engines},
        **{
            f"constraints in {e}": any((spec.get("protocol") or {}).get("constraints") == "h-bonds" for spec in of[e])
            for e in engines
        },
        "heavy hydrogen": any((p.get("hydrogen_mass_amu") or 0) > HYDROGEN_AMU for p in protocols),
        "pme": bool(runs) and isinstance(nonbonded, Mapping) and nonbonded.get("electrostatics") == "PME",
        "residence": any(point.table("residence") is not None for point in points),
        "gfn2": bool(methods),  # free molecules are at its minima, whatever computes them
        "pbe0": bool(methods - {"GFN2-xTB"}) or has_bands,
        "bands": has_bands,
        "scenes": any(point.snapshots for point in points),
    }
    return {name for name, holds in found.items() if holds}


def engine_of(replica: Replica) -> str:
    """The engine of a run, in small letters; before there were two, runs did not say it."""
    return str((replica.run.get("engine") or {}).get("name", "OpenMM")).lower()


@cache
def _known() -> Mapping[str, Mapping[str, Any]]:
    return yaml.safe_load(resources.files("lmbmd.report").joinpath("references.yaml").read_text("utf-8"))


def _reference(doi: str, uses: tuple[str, ...], words: str) -> Reference:
    if doi.startswith("no DOI: "):
        return Reference(f"ref-{naming.slug(words)[:40]}", "", uses, {"note": words})
    entry = _known().get(doi)
    if entry is None:
        return Reference(f"doi-{naming.slug(doi)}", doi, uses, {"note": words} if words else {})
    fields = {k: str(v) for k, v in entry.items() if k not in ("key", "type", "for", "when")}
    return Reference(str(entry["key"]), doi, uses, fields, str(entry.get("type", "article")))


def _dois(text: str) -> list[str]:
    """DOIs in a text, without the punctuation that ends a sentence or a bracket around them."""
    found = []
    for match in _DOI.finditer(text):
        doi = match.group().rstrip(".")
        while doi.endswith(")") and doi.count(")") > doi.count("("):
            doi = doi[:-1].rstrip(".")
        found.append(doi)
    return found


def _value(name: str, text: str) -> str:
    plain = _plain(text)
    if name == "doi":
        return plain
    escaped = re.sub(r"([%&#_$])", r"\\\1", plain)
    return f"{{{escaped}}}" if name in ("title", "note") else escaped


def _plain(text: str) -> str:
    """One line without what could open or end an entry."""
    return " ".join(re.sub(r"[{}\\@]", " ", str(text)).split())
