"""The description of an archive: RO-Crate 1.1 metadata, which is JSON-LD with the terms of schema.org.

Source: RO-Crate Metadata Specification 1.1, doi:10.5281/zenodo.4541002.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from lmbmd.core.errors import LmbmdError, closest
from lmbmd.core.words import counted, shown

METADATA = "ro-crate-metadata.json"
_VERSION = "https://w3id.org/ro/crate/1.1"
#: Licences by the names that SPDX gives them; another is given by its address.
LICENSES = (
    *("CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0", "CC-BY-NC-ND-4.0"),
    *("ODC-By-1.0", "ODbL-1.0", "PDDL-1.0", "CDLA-Permissive-2.0", "MIT", "BSD-3-Clause", "Apache-2.0"),
)
_MOST_TEXT = 200
_ORCID = re.compile(
    r"(?:(?:https?://)?(?:www\.)?orcid\.org/|orcid: ?)?(?<!\d)((?:[0-9]{4}-){3}[0-9]{3}[0-9Xx])(?!\w)/?", re.I
)
_ADDRESS = re.compile(r"https?://[^\s<>\"']{3,300}")

#: Kind of a file by the end of its name: media type, and what it is.
_KINDS = {
    ".html": "text/html",
    ".csv": "text/csv",
    ".zip": "application/zip",
    ".json": "application/json",
    ".yaml": "application/yaml",
    ".xml": "application/xml",
    ".pdb": "chemical/x-pdb",
    ".bib": "application/x-bibtex",
    ".ris": "application/x-research-info-systems",
    ".md": "text/markdown",
    ".txt": "text/plain",
    ".parquet": "application/vnd.apache.parquet",
    ".arrow": "application/vnd.apache.arrow.file",
    ".npz": "application/zip",
    ".xtc": "application/octet-stream",
}
#: What a file is, by its name in docs/files.md.
_WORDS = {
    "README.md": "What is in this archive, and how to make its pages again",
    "environment.txt": "Versions of the installed Python packages",
    "manifest-sha256.txt": "SHA-256 of every other file, as sha256sum writes it",
    "composition.json": "What is in the box",
    "report.html": "Report",
    "figures.zip": "Figures of the report as SVG, each with its data as CSV",
    "index.html": "Comparison of all formulations",
    "claims.html": "Claims of the literature, judged",
    "features.csv": "Every number of every state point",
    "described.json": "Notes, cut-offs, options and hashes of a state point",
    "descriptors.csv": "Numbers of a state point",
    "references.bib": "What the report cites",
    "system.xml": "Force field of the box, for OpenMM",
    "start.pdb": "Where it began",
    "final.pdb": "Last configuration",
    "run.json": "Record of a finished simulation",
    "spec.json": "All physics of a simulation",
    "state.csv": "Density, energy and temperature over time",
    "contacts.arrow": "Every contact of every frame",
    "rdf.npz": "Radial distribution functions",
    "trajectory.xtc": "Trajectory",
}


@dataclass(frozen=True)
class Author:
    """Who made a study; ``orcid`` is "" if it was not told."""

    name: str
    orcid: str = ""


@dataclass(frozen=True)
class About:
    """What the archive says about the study as a whole.

    Attributes:
        title, description: in words.
        date: ISO 8601, of the latest simulation.
        terms: the licence, a name of ``LICENSES`` or an address.
        bottles: titles by name.
        software: versions of each package that made a result.
        study: name of the study's file in the archive.
    """

    title: str
    description: str
    date: str
    terms: str
    authors: tuple[Author, ...]
    bottles: Mapping[str, str]
    software: Mapping[str, Sequence[str]]
    study: str


def license_of(text: str) -> str:
    """A licence as it was told, if it is one.

    Raises:
        LmbmdError: if it is neither a known name nor an address.
    """
    plain = {name.lower(): name for name in LICENSES}
    if text.lower() in plain:
        return plain[text.lower()]
    if _ADDRESS.fullmatch(text):
        return text
    near = closest(text, LICENSES)
    known = f"Known: {', '.join(LICENSES)}; give any other by its https address."
    remedy = f"Did you mean '{near}'?" if near else known
    raise LmbmdError(f"{shown(text)} is no licence that lmbmd knows.", where="--license", remedy=remedy)


def author_of(text: str) -> Author:
    """``"Ada Lovelace"``, or ``"Ada Lovelace 0000-0002-1825-0097"`` with her ORCID, whose check digit is compared.

    Raises:
        LmbmdError: if there is no name, or the ORCID has a slip in it.
    """
    found = _ORCID.search(text)
    name = " ".join(_ORCID.sub(" ", text, count=1).replace("<", " ").replace(">", " ").split()).strip(" ,;()")
    if not name or len(name) > _MOST_TEXT or not name.isprintable():
        raise LmbmdError(f"{shown(text)} has no name in it.", where="--author", remedy="Write 'Given Family'.")
    if re.search(r"\d|/|orcid", name, re.I):
        what = f"{shown(name)} is no name: a digit, '/' or 'orcid' in it may be a slip in an ORCID."
        remedy = "Write 'Given Family 0000-0000-0000-0000', with one ORCID of four times four digits."
        raise LmbmdError(what, where="--author", remedy=remedy)
    if found is None:
        return Author(name)
    orcid = found[1].upper()
    digits = orcid.replace("-", "")
    total = 0
    for digit in digits[:-1]:  # ISO 7064, mod 11-2
        total = (total + int(digit)) * 2
    if "0123456789X"[(12 - total % 11) % 11] != digits[-1]:
        what = f"'{orcid}' is no ORCID: its last digit does not fit to the others."
        raise LmbmdError(what, where="--author", remedy="Look for a slip in it.")
    return Author(name, f"https://orcid.org/{orcid}")


def metadata(about: About, files: Mapping[str, int]) -> str:
    """The text of ``ro-crate-metadata.json``.

    Args:
        about: the study.
        files: size of every other file of the archive by its name, bytes.
    """
    entries = _files(files)
    folders = _folders(about, files)
    software = [
        {"@id": f"#{name}-{version}", "@type": "SoftwareApplication", "name": name, "softwareVersion": version}
        for name, versions in sorted(about.software.items())
        for version in versions
    ]
    spdx = about.terms in LICENSES
    licence = f"https://spdx.org/licenses/{about.terms}" if spdx else about.terms
    people = [
        {"@id": author.orcid or f"#author-{number}", "@type": "Person", "name": author.name}
        for number, author in enumerate(about.authors, start=1)
    ]
    top = [entry for entry in (*entries, *folders) if _parent(entry["@id"], folders) == "./"]
    root: dict[str, Any] = {
        "@id": "./",
        "@type": "Dataset",
        "name": about.title,
        "description": about.description,
        "datePublished": about.date,
        "license": {"@id": licence},
        "hasPart": _ids(top),
        "mentions": [{"@id": "#made"}],
    }
    if people:
        root["author"] = _ids(people)
    for folder in folders:
        folder["hasPart"] = _ids(e for e in (*entries, *folders) if _parent(e["@id"], folders) == folder["@id"])
    made = {
        "@id": "#made",
        "@type": "CreateAction",
        "name": f"Simulation and analysis of {counted(len(about.bottles), 'formulation')}",
        "endTime": about.date,
        "object": [{"@id": about.study}],
        "instrument": _ids(software),
        "result": [{"@id": f"results/{name}/"} for name in about.bottles],
    }
    head = {
        "@id": METADATA,
        "@type": "CreativeWork",
        "conformsTo": {"@id": _VERSION},
        "about": {"@id": "./"},
    }
    words = {"@id": licence, "@type": "CreativeWork", "name": about.terms, "description": "Licence of it"}
    graph = [head, root, words, *people, made, *software, *folders, *entries]
    return json.dumps({"@context": f"{_VERSION}/context", "@graph": graph}, indent=1, ensure_ascii=False) + "\n"


def _files(files: Mapping[str, int]) -> list[dict[str, Any]]:
    """Entries of files: not of each table and mark, whose folder has an entry."""
    found = []
    for name, n_bytes in files.items():
        path = PurePosixPath(name)
        if path.parent.name in _INNER or path.name.startswith("."):
            continue
        entry: dict[str, Any] = {"@id": name, "@type": "File", "name": _WORDS.get(path.name, path.name)}
        if kind := _KINDS.get(path.suffix):
            entry["encodingFormat"] = kind
        found.append({**entry, "contentSize": str(n_bytes)})
    return found


def _folders(about: About, files: Mapping[str, int]) -> list[dict[str, Any]]:
    """Entries of a formulation's folder and of those of tables and snapshots."""
    found = [{"@id": f"results/{name}/", "@type": "Dataset", "name": title} for name, title in about.bottles.items()]
    inner = {str(path.parent) for path in map(PurePosixPath, files) if path.parent.name in _INNER}
    return found + [
        {"@id": f"{folder}/", "@type": "Dataset", "name": _INNER[PurePosixPath(folder).name]}
        for folder in sorted(inner)
    ]


_INNER = {"tables": "Tables", "snapshots": "Cut-outs of the trajectory"}


def _parent(name: str, folders: Sequence[Mapping[str, Any]]) -> str:
    """The folder with an entry that holds this file or folder, the innermost one; "./" if none does."""
    holding = [f["@id"] for f in folders if name.startswith(f["@id"]) and name != f["@id"]]
    return max(holding, key=len, default="./")


def _ids(entries: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    return [{"@id": entry["@id"]} for entry in entries]
