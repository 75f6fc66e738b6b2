"""A finished study as one zip file that a journal's repository takes: an RO-Crate of settings, results and records."""

from __future__ import annotations

import hashlib
import platform
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import replacing
from lmbmd.core.provenance import VERSION
from lmbmd.core.words import counted, size_text
from lmbmd.simulate.protocol import RECORD, TRAJECTORY, read_record
from lmbmd.study.archive import crate
from lmbmd.study.archive.members import RESULTS, SETTINGS, TRAJECTORIES, Listed, Member
from lmbmd.study.study import Study

#: The same for every file, so that the same content gives the same bytes; the oldest that a zip file can tell.
_DATE = (1980, 1, 1, 0, 0, 0)
_FILE_MODE = 0o100644 << 16
#: Files that are compressed already, or that compressing makes hardly smaller.
_STORED = (".xtc", ".png", ".parquet", ".arrow", ".npz")
_PIECE = 2**20
#: What Zenodo takes of one record without being asked, bytes.
_REPOSITORY_BYTES = 50e9

_README = """\
# {title}

{description}

`results/index.html` opens in any browser; so does `report.html` of each formulation. `features.csv` holds every number.
`config/` (or where `{study}` is) holds the study and its recipes. What each file contains: docs/files.md of lmbmd.
`{metadata}` describes this archive for machines (RO-Crate 1.1). `sha256sum -c manifest-sha256.txt` compares every file.

## To make the pages again

Install lmbmd {version}, or the packages in `environment.txt`. Then, in the folder where this was unpacked:

```
{snakemake}      # says that nothing is to be done
rm results/.index results/*/.report
{snakemake}      # makes the reports and the comparison from the results again
```

A changed option of the analysis is computed from the contacts that are here. {trajectories}
"""
_WITH = "The trajectories are here, too."
_WITHOUT = "The trajectories are not here: what needs them (another search radius) would be simulated again."


def archive(
    study: Study, listed: Listed, out: Path, terms: str, authors: Sequence[crate.Author], kinds: Iterable[str]
) -> None:
    """Write the archive. The same files, licence and authors give the same bytes.

    Args:
        study: whose archive.
        listed: its files, which have been checked.
        out: a zip file that does not exist.
        terms: the licence, as ``crate.license_of`` gives it.
        authors: of the study.
        kinds: of files that are taken.

    Raises:
        LmbmdError: if a file changed meanwhile, or the archive cannot be written; then there is none.
    """
    check_place(out)
    taken = listed.of(*kinds)
    about = _about(study, listed, taken, terms, authors)
    with replacing(out) as partial, zipfile.ZipFile(partial, "w", allowZip64=True) as file:
        sizes: dict[str, int] = {}
        hashes: dict[str, str] = {}
        for member in taken:
            with open(member.path, "rb") as source:
                hashes[member.name] = _write(file, member.name, source)
            sizes[member.name] = member.n_bytes
            if not member.is_unchanged:
                what = "the file changed while it was being archived. Nothing was written."
                raise LmbmdError(what, where=str(member.path), remedy="Wait until the study's jobs have ended.")
        texts = {"README.md": _readme(about, taken), "environment.txt": _environment()}
        for name, text in texts.items():
            hashes[name], sizes[name] = _write_text(file, name, text)
        _, sizes["manifest-sha256.txt"] = _write_text(
            file, "manifest-sha256.txt", "".join(f"{digest}  {name}\n" for name, digest in hashes.items())
        )
        _write_text(file, crate.METADATA, crate.metadata(about, sizes))


def check_place(out: Path) -> None:
    """Raise LmbmdError if an archive cannot be written there, before anything is read."""
    if out.suffix != ".zip":
        raise LmbmdError("the archive is a zip file.", where=str(out), remedy="Give a name that ends in .zip.")
    if out.exists() or out.is_symlink():
        raise LmbmdError("this exists, and is not overwritten.", where=str(out), remedy="Give another name.")


def sizes_text(listed: Listed, kinds: Iterable[str]) -> str:
    """What goes into the archive, what does not, and how much each is."""
    kinds = tuple(kinds)
    lines = []
    for kind in (SETTINGS, RESULTS, TRAJECTORIES):
        files = listed.of(kind)
        left = "" if kind in kinds else "; left out, --trajectories takes them"
        if files:
            lines.append(f"{kind}: {size_text(n_bytes(files))} in {counted(len(files), 'file')}{left}")
    if listed.unfinished:
        few = ", ".join(listed.unfinished[:5]) + (", …" if len(listed.unfinished) > 5 else "")
        lines.append(f"left out, as it is not finished: {few} ({counted(len(listed.unfinished), 'state point')})")
    lines += [f"left out, as no stage writes such a file: {path}" for path in listed.odd[:5]]
    if len(listed.odd) > 5:
        lines.append(f"… and {len(listed.odd) - 5} more of these")
    if n_bytes(listed.of(*kinds)) > _REPOSITORY_BYTES:
        lines.append(f"Zenodo takes {size_text(_REPOSITORY_BYTES)} at most, unless you ask for more.")
    return "\n".join(lines)


def n_bytes(files: Iterable[Member]) -> int:
    """Bytes of these files together, before they are compressed."""
    return sum(member.n_bytes for member in files)


def _about(
    study: Study, listed: Listed, taken: Sequence[Member], terms: str, authors: Sequence[crate.Author]
) -> crate.About:
    names = list(dict.fromkeys(name for name, _ in listed.described))
    bottles = {name: study.title(name) for name in names}
    records = [read_record(member.path) for member in taken if member.path.name == RECORD]
    began = [session["began"] for r in records for session in r.get("sessions", ()) if "began" in session]
    if not began:
        what = "no record of a run says when it was made."
        raise LmbmdError(what, where=RECORD, remedy="Restore it from a copy, of one run at least.")
    points = counted(len(listed.described), "state point")
    told = "; ".join(list(bottles.values())[:20])
    description = (
        f"Molecular dynamics of {counted(len(names), 'electrolyte')} at {points}, by lmbmd: recipes, settings, "
        f"records and results. {told}{'; …' if len(bottles) > 20 else ''}."
    )
    if listed.unfinished:
        description += f" {counted(len(listed.unfinished), 'state point')} of the study had not been finished."
    return crate.About(
        title=f"Solvation in liquid electrolytes: study {study.name}",
        description=description,
        date=max(began),
        terms=terms,
        authors=tuple(dict.fromkeys(authors)),
        bottles=bottles,
        software=_software(records),
        study=next(member.name for member in taken if member.path == study.path),
    )


def _software(records: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Versions of each package that the runs were made with."""
    found: dict[str, set[str]] = {}
    for record in records:
        for name, version in (record.get("versions") or {}).items():
            found.setdefault(str(name), set()).add(str(version))
    return {name: sorted(versions) for name, versions in sorted(found.items())}


def _readme(about: crate.About, taken: Sequence[Member]) -> str:
    usual = about.study == "config/config.yaml"
    return _README.format(
        title=about.title,
        description=about.description,
        study=about.study,
        metadata=crate.METADATA,
        version=VERSION,
        snakemake="snakemake" if usual else f"snakemake --config study={about.study}",
        trajectories=_WITH if any(member.path.name == TRAJECTORY for member in taken) else _WITHOUT,
    )


def _environment() -> str:
    """Every installed package with its version, as pip takes it."""
    named = [(d.metadata["Name"], d.version) for d in metadata.distributions() if d.metadata and d.metadata["Name"]]
    found = {name.lower().replace("_", "-"): version for name, version in named}
    lines = [f"{name}=={version}\n" for name, version in sorted(found.items())]
    head = "# Packages where this archive was made. What each result was made with stands in its record, run.json.\n"
    return f"{head}# Python {platform.python_version()}\n{''.join(lines)}"


def _write(file: zipfile.ZipFile, name: str, source: BinaryIO) -> str:
    """Copy a file into the archive piece by piece; its SHA-256."""
    digest = hashlib.sha256()
    with file.open(_info(name), "w", force_zip64=True) as target:
        while piece := source.read(_PIECE):
            digest.update(piece)
            target.write(piece)
    return digest.hexdigest()


def _write_text(file: zipfile.ZipFile, name: str, text: str) -> tuple[str, int]:
    data = text.encode()
    file.writestr(_info(name), data)
    return hashlib.sha256(data).hexdigest(), len(data)


def _info(name: str) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name, _DATE)
    info.create_system, info.external_attr = 3, _FILE_MODE
    info.compress_type = zipfile.ZIP_STORED if name.endswith(_STORED) else zipfile.ZIP_DEFLATED
    return info
