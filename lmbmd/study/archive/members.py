"""Which files of a study go into its archive, in the order of the stages that made them, and that each is whole."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lmbmd.analysis.families import schemas
from lmbmd.analysis.scattering.sums import Scattered
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import check_recorded, read_json
from lmbmd.core.provenance import file_sha256
from lmbmd.data.contacts import ContactFile
from lmbmd.data.described import Described
from lmbmd.data.rdf import Rdf
from lmbmd.formulation.composition import Composition
from lmbmd.quantum.run import Energies
from lmbmd.simulate.protocol import RECORD, TRAJECTORY, load_spec, read_record
from lmbmd.study import layout
from lmbmd.study.starts import STARTED, check_start
from lmbmd.study.study import Run, Study, bottle_files, read_options
from lmbmd.study.why import departures
from lmbmd.trajectory.sample import SAMPLE

#: What a file is for. The first are always taken.
SETTINGS, RESULTS, TRAJECTORIES = "settings and recipes", "results", "trajectories"

_NAME = re.compile(r"[A-Za-z0-9_+-][A-Za-z0-9._+-]{0,119}")
_OF_BUILD = ("system.xml", "start.pdb", "atoms.parquet", "build.json")
_OF_SIMULATE = ("spec.json", RECORD)
_OF_START = ("start.pdb", STARTED)
#: What the contacts stage writes beside the files of the run.
_OF_CONTACTS = ("contacts.arrow", "rdf.npz", SAMPLE)
_OF_REPORT = ("report.html", "references.bib", "references.ris", "figures.zip")
_OF_INDEX = ("index.html", "features.csv", "features.parquet", "claims.csv", "claims.html")
#: In the folder of a study, if they are there.
_WORKFLOW = ("Snakefile", "profiles/default/config.yaml", "profiles/slurm/config.yaml")


@dataclass(frozen=True)
class Member:
    """One file: where it is, its name in the archive, what it is for, and its size and time when it was listed."""

    path: Path
    name: str
    kind: str
    n_bytes: int
    time_ns: int

    @property
    def is_unchanged(self) -> bool:
        """Whether it is still what was listed."""
        try:
            now = self.path.stat()
        except OSError:
            return False
        return (now.st_size, now.st_mtime_ns) == (self.n_bytes, self.time_ns)


@dataclass(frozen=True)
class Listed:
    """What there is to archive, and what of the study is not finished."""

    members: tuple[Member, ...]
    described: tuple[tuple[str, str], ...]
    unfinished: tuple[str, ...]
    odd: tuple[str, ...]

    def of(self, *kinds: str) -> list[Member]:
        """Those of these kinds."""
        return [member for member in self.members if member.kind in kinds]


def members(study: Study, results: Path = layout.RESULTS) -> Listed:
    """The files of a study that are finished, those of an earlier stage first.

    A state point is finished when it is described: its mark is there, and that of each of its runs. Taken is what a
    stage is known to write, or has named in its record. Other files in these folders are named as odd and left out, and
    so are links.

    Raises:
        LmbmdError: if nothing is finished, or a file of the study lies outside of its folder.
    """
    found = _Found(results)
    root = results.absolute().parent
    for path in _settings(study, root):
        found.add(path, _inside(path, root), SETTINGS)
    described: list[tuple[str, str]] = []
    unfinished: list[str] = []
    for name in study.names:
        points = [T for T in study.temperatures(name) if _is_finished(study, name, T, results)]
        unfinished += [f"{name} {T} K" for T in study.temperatures(name) if T not in points]
        described += [(name, T) for T in points]
        bottle = layout.bottle(results, name)
        if points:
            found.folder(bottle, ("composition.json",), "compose")
            for replica in study.replicas(name):
                found.folder(layout.box(results, name, replica), _OF_BUILD, "build")
        for T in points:
            for replica in study.replicas(name):
                run = layout.run(results, name, T, replica)
                found.run(run, _OF_SIMULATE, "simulate", "contacts")
                if study.scattering:
                    found.folder(run, (layout.SCATTERING,), "scatter")
                if study.quantum:
                    found.folder(run, (layout.SHELLS,), "draw")
                    found.folder(run, (layout.ENERGIES,), "quantum")
                for number in study.segments:
                    names = (*_OF_SIMULATE, *_OF_START)
                    found.run(layout.segment(run, number), names, "segment", "segment_contacts")
            found.described(layout.point(results, name, T))
        if points:
            found.folder(bottle, _OF_REPORT, "report", needs_mark=True)
    if not described:
        remedy = "`lmbmd status` says how far it is."
        raise LmbmdError("nothing of this study is finished.", where=str(results), remedy=remedy)
    found.folder(results, _OF_INDEX, "index", needs_mark=True)
    return Listed(tuple(found.members), tuple(described), tuple(unfinished), tuple(found.odd()))


def check(study: Study, listed: Listed, results: Path = layout.RESULTS) -> None:
    """Read each result that has a hash or a check sum, and refuse the first that has changed since it was made.

    Results that other settings than the study's made are refused, too: the archive would tell of them what is not true.

    Raises:
        LmbmdError: naming the file, and the stage that makes it again; or the bottle, and what differs.
    """
    for name, T in listed.described:
        for replica in study.replicas(name):
            _check_asked_for(study, Run(name, T, replica), results)
    for name in dict.fromkeys(name for name, _ in listed.described):
        Composition.read(layout.composition(results, name))
        for replica in study.replicas(name):
            box = layout.box(results, name, replica)
            for file in ("system.xml", "start.pdb", "atoms.parquet"):
                check_recorded(box / file, "build.json", "Run the build stage again.")
    for name, T in listed.described:
        point = layout.point(results, name, T)
        for replica in study.replicas(name):
            run = layout.run(results, name, T, replica)
            if study.scattering:
                Scattered.read(run / layout.SCATTERING)
            if study.quantum:
                Energies.read(run / layout.ENERGIES)
            for folder in (run, *(layout.segment(run, number) for number in study.segments)):
                _check_run(folder, has_rdf=folder == run)
        Described.read(point, schemas())


def _check_asked_for(study: Study, run: Run, results: Path) -> None:
    if found := departures(study, run, results):
        told = "; ".join(found[:5]) + (f"; and {len(found) - 5} more" if len(found) > 5 else "")
        raise LmbmdError(
            f"the results of '{run.formulation}' were not made by the settings that are there now: {told}.",
            where=str(layout.run(results, *run)),
            remedy="Restore the settings that made them, or run `snakemake`. "
            f"`lmbmd why {run.formulation} {run.temperature} {run.replica}` says what that would make again.",
        )


def _check_run(folder: Path, has_rdf: bool) -> None:
    load_spec(folder / "spec.json")
    for file in read_record(folder / RECORD).get("files", {}):
        check_recorded(folder / file, RECORD, "Restore it from a copy, or run the simulate stage again.")
    if (folder / STARTED).is_file():
        check_start(folder)
    contacts = ContactFile(folder / "contacts.arrow")
    contacts.check()
    for file, digest in contacts.beside.items():
        if (folder / file).is_file() and file_sha256(folder / file) != digest:
            what = "the file is not the one that was kept with the contacts: changed or damaged since then."
            raise LmbmdError(what, where=str(folder / file), remedy="Run the contacts stage again.")
    if has_rdf:
        Rdf.read(folder / "rdf.npz")


def _is_finished(study: Study, name: str, T: str, results: Path) -> bool:
    """Whether the marks of all jobs that a state point rests on are there."""
    bottle, point = layout.bottle(results, name), layout.point(results, name, T)
    marks = [layout.mark(bottle, "compose"), layout.mark(point, "describe")]
    for replica in study.replicas(name):
        run = layout.run(results, *Run(name, T, replica))
        marks += [layout.mark(layout.box(results, name, replica), "build")]
        marks += [layout.mark(run, rule) for rule in ("simulate", *study.readers)]
        for number in study.segments:
            folder = layout.segment(run, number)
            marks += [layout.mark(folder, "segment"), layout.mark(folder, "segment_contacts")]
    return all(mark.is_file() for mark in marks)


def _settings(study: Study, root: Path) -> Iterator[Path]:
    """The study's own files: that of the study, its bottles, its claims, the parameter sets that it uses."""
    options = read_options(study.path)
    for key, entries in {
        "formulations": options.formulations,
        "claims": options.claims,
        "force_fields": (options.force_fields,),
        "scattering.measured": tuple(one.file for one in options.scattering.measured) if options.scattering else (),
    }.items():
        for entry in entries:
            if Path(entry).is_absolute():
                what = f"'{entry}' begins at the root of this machine's disk, and would lead nowhere on another's."
                remedy = "Write it from the study's own folder, as 'formulations' or '../shared/claims.yaml'."
                raise LmbmdError(what, where=f"{study.path}:{key}", remedy=remedy)
    yield study.path
    yield from bottle_files(study.path)
    yield from study.claims
    yield from (path for name in study.names for path in study.measured(name))
    used = {formulation.force_field for formulation in study.formulations.values()}
    for name in sorted(used & study.own_sets.keys()):
        yield from sorted(path for path in study.own_sets[name].folder.iterdir() if path.is_file())
    yield from (root / name for name in _WORKFLOW if (root / name).is_file())


def _inside(path: Path, root: Path) -> str:
    """The name of a file from the study's folder: of a link its own, by which the study knows what it leads to.

    Raises:
        LmbmdError: if it lies or leads elsewhere, or has a name that not every system can unpack.
    """
    place = Path(os.path.normpath(path.absolute()))
    above = [parent for parent in place.parents if parent.exists() and parent.samefile(root)]
    if not above or not path.resolve().is_relative_to(root.resolve()):
        what = f"this belongs to the study, but lies outside of its folder, {root}."
        raise LmbmdError(what, where=str(path), remedy="Copy it into that folder, and name it from there.")
    name = place.relative_to(above[0])
    if bad := [part for part in name.parts if not _NAME.fullmatch(part)]:
        what = f"'{bad[0]}' is no name that every system can unpack."
        raise LmbmdError(what, where=str(path), remedy="Use up to 120 letters, digits, '.', '_', '+' and '-'.")
    return name.as_posix()


class _Found:
    """Members in the order in which they are added."""

    def __init__(self, results: Path) -> None:
        self._results = results
        self.members: list[Member] = []
        self._known: dict[Path, set[str]] = {}

    def add(self, path: Path, name: str, kind: str) -> None:
        about = path.stat()
        self.members.append(Member(path, name, kind, about.st_size, about.st_mtime_ns))

    def folder(self, folder: Path, names: Iterable[str], rule: str = "", *, needs_mark: bool = False) -> None:
        """Those of these files that are in a folder of results, and then the mark of the rule that made them.

        ``needs_mark``: without the mark none of them is taken.
        """
        if not folder.is_dir():
            return
        names = [name for name in dict.fromkeys(names) if _NAME.fullmatch(name)]
        self._known.setdefault(folder, set()).update(names)
        mark = layout.mark(folder, rule) if rule else None
        if needs_mark and not (mark and mark.is_file()):
            return
        for path in (folder / name for name in names):
            if path.is_file() and not path.is_symlink():
                self.add(path, self._name(path), TRAJECTORIES if path.name == TRAJECTORY else RESULTS)
        if mark and mark.is_file():
            self.add(mark, self._name(mark), RESULTS)

    def run(self, folder: Path, names: Iterable[str], simulated: str, searched: str) -> None:
        """Files of a run or a segment: these and those of its record, then those that contacts made of it."""
        self.folder(folder, [*names, *read_record(folder / RECORD).get("files", {})], simulated)
        self.folder(folder, _OF_CONTACTS, searched)

    def described(self, point: Path) -> None:
        """Files of a state point's description, which names them."""
        what, remedy = "description of a state point", "Run the describe stage again."
        told = read_json(point / "described.json", what=what, remedy=remedy, is_sealed=True).get("files")
        written = list(map(PurePosixPath, told if isinstance(told, dict) else ()))
        for inner, rule in {".": "describe", "tables": "", "snapshots": ""}.items():
            names = [path.name for path in written if str(path.parent) == inner]
            self.folder(point / inner, ["described.json"] * (inner == ".") + names, rule)

    def odd(self) -> Iterator[str]:
        """Files in these folders that no stage has written, and links."""
        for folder, names in self._known.items():
            for path in sorted(folder.iterdir()):
                known = path.name in names and not path.is_symlink()
                if not (known or path.name.startswith(".") or path.is_dir()):
                    yield str(path)

    def _name(self, path: Path) -> str:
        return (layout.RESULTS / path.relative_to(self._results)).as_posix()
