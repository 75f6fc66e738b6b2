"""Anyone's trajectory, from its topology and a species map to descriptors, in one call."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np

from lmbmd.analysis.describe import describe
from lmbmd.analysis.dynamics.segments import PressureSeries, Segment
from lmbmd.analysis.liquid_account import density_g_cm3
from lmbmd.analysis.options import AnalysisOptions
from lmbmd.analysis.scan.contacts import run_contacts
from lmbmd.analysis.scan.options import check_pairs
from lmbmd.analysis.scattering.asked import AskedScattering
from lmbmd.analysis.scattering.measured import read_measured
from lmbmd.analysis.scattering.options import StudyScattering, check_deuterated
from lmbmd.analysis.scattering.run import scatter
from lmbmd.analysis.snapshots import export_snapshots
from lmbmd.core import provenance, stages
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import filling
from lmbmd.core.validation import is_a, validated
from lmbmd.data.atoms import AtomTable
from lmbmd.data.contacts import ContactFile
from lmbmd.data.described import Described
from lmbmd.data.sites import named_cutoffs, site_keys
from lmbmd.trajectory.foreign import File, Source, open_foreign
from lmbmd.trajectory.frames import Frames
from lmbmd.trajectory.parts import Joined, Window, files_of
from lmbmd.trajectory.sample import SAMPLE, Sample
from lmbmd.trajectory.species_map import from_mapping, load

_FILE = (str, os.PathLike)
#: What the arguments of ``analyze`` may be, apart from None.
_ARGUMENTS: dict[str, tuple[Any, str]] = {
    "species": ((*_FILE, Mapping), "the file of a species map, or its content as a dict"),
    "out": (_FILE, "a folder, as text or a Path"),
    "title": (str, "text"),
    "begin_ps": (Real, "a number"),
    "end_ps": (Real, "a number"),
    "every_ps": (Real, "a number"),
    "options": (Mapping, "a dict of options"),
    "workers": (Integral, "a whole number"),
    "temperature_K": (Real, "one number for all replicas"),
    "friction_per_ps": (Real, "one number for all replicas"),
    "scattering": (Mapping, "a dict of options, {} for the defaults"),
    "measured_in": (_FILE, "a folder, as text or a Path"),
    "pressure": ((*_FILE, list, tuple), "a file, or a list with one for each replica"),
}
#: Those that may be left out, and are None then.
_OPTIONAL = {"begin_ps", "end_ps", "every_ps", "options", "temperature_K", "friction_per_ps", "scattering"}
_SCATTERING = Path("scattering options")


def analyze(
    source: Source,
    species: File | Mapping[str, Any],
    *,
    out: File,
    title: str = "",
    begin_ps: float | None = None,
    end_ps: float | None = None,
    every_ps: float | None = None,
    options: Mapping[str, Any] | None = None,
    workers: int = 1,
    temperature_K: float | None = None,
    friction_per_ps: float | None = None,
    pressure: File | Sequence[File] = (),
    scattering: Mapping[str, Any] | None = None,
    measured_in: File = "",
) -> Described:
    """What ``lmbmd.analyze`` computes, with its arguments; without the page.

    Writes contacts.arrow, rdf.npz and sample.xtc, of each of several replicas into a folder r1, r2 …, and
    atoms.parquet, the descriptors, the tables and the snapshots into ``out``, which is made if it is not there. If it
    raises, nothing is written, and what lay there is as it was.

    Raises:
        LmbmdError: naming the file, key, frame or atom and the remedy.
    """
    for name, value in locals().copy().items():
        if name in _ARGUMENTS and not (value is None and name in _OPTIONAL):
            is_a(name, value, *_ARGUMENTS[name])
    chosen = validated(AnalysisOptions, dict(options or {}), path=Path("analysis options"), lines={})
    asked = None if scattering is None else validated(StudyScattering, dict(scattering), path=_SCATTERING, lines={})
    curves = [read_measured(one, measured_in) for one in asked.measured] if asked else []
    species_map = from_mapping(species) if isinstance(species, Mapping) else load(species)
    sources = _replicas(source)
    facts_of = _told(len(sources), temperature_K, friction_per_ps, pressure)
    if chosen.frame_stride != 1:
        what = "which frames are read is not said here."
        raise LmbmdError(what, where="analysis options:frame_stride", remedy="Give every_ps (--every), in ps.")
    window = Window(begin_ps, end_ps, every_ps)
    opened = [open_foreign(one, species_map, window) for one in sources]
    atoms = opened[0][0]
    named = {*(s.name for s in atoms.species), *atoms.sites}
    check_pairs(chosen.more_rdfs, named, where="analysis options:more_rdfs")
    if asked:
        names = {s.name for s in atoms.species} | set(atoms.chains)
        check_deuterated(asked.deuterated, names, where=f"{_SCATTERING}:deuterated")
    for number, (other, frames) in enumerate(opened, start=1):
        if not _same_box(atoms, other):
            raise LmbmdError(
                "its atoms are others than those of the first replica, or in another order.",
                where=f"replica {number} ({frames.name})",
                remedy="Analyse boxes that differ one by one.",
            )
    _check_runs([name for _, frames in opened for name in files_of(frames)])
    keys = site_keys(species_map.centres, atoms.sites)
    given = named_cutoffs(chosen.cutoffs_A, keys, where=lambda key: f"analysis options:cutoffs_A.{key}")
    describing = chosen.describing.model_copy(
        update={
            "cutoffs_A": {**species_map.cutoffs_A, **given},
            "centre": chosen.centre or species_map.centres[0],
        }
    )
    runs = []
    with filling(out) as folder:
        for number, (_, frames) in enumerate(opened, start=1):
            place = folder / f"r{number}" if len(opened) > 1 else folder
            files = place / "contacts.arrow", place / "rdf.npz", chosen.contacts
            runs.append(run_contacts(frames, atoms, *files, workers=workers, sample_path=place / SAMPLE))
        motion = [
            Segment(contacts, number, **facts)
            for number, ((contacts, _), facts) in enumerate(zip(runs, facts_of, strict=True), start=1)
        ]
        found = None
        if asked:
            sums = [
                scatter(frames, contacts, [rdf for _, rdf in runs], atoms, describing.centre, asked, describing, n)
                for n, ((_, frames), (contacts, _)) in enumerate(zip(opened, runs, strict=True), start=1)
            ]
            found = AskedScattering(sums, asked, curves)
        sample = Sample(runs[0][0], len(atoms))
        described = describe(runs, atoms, describing, motion=motion, scattering=found, sample=sample)
        trajectory = ", ".join(frames.name for _, frames in opened)
        stamp = provenance.stamp(stages.DESCRIBE, {}, trajectory=trajectory)
        told = {
            "title": title or Path(files_of(opened[0][1])[0]).name,
            "temperature_K": temperature_K,
            "friction_per_ps": friction_per_ps,
            "species_map": species_map.model_dump(mode="json", exclude_defaults=True),
            "runs": [_read(frames, contacts) for (_, frames), (contacts, _) in zip(opened, runs, strict=True)],
            "box": _box(atoms, runs[0][0].frame(0).volume_A3),
        }
        described = replace(described, facts={**described.facts, "analysed": told, "provenance": stamp})
        atoms.write(folder / "atoms.parquet")
        snapshots = export_snapshots(runs[0][0], sample, atoms, described, folder / "snapshots")
    described.write(out, [Path(out) / path.relative_to(folder) for path in snapshots])
    return described


def _read(frames: Frames | Joined, contacts: ContactFile) -> dict[str, Any]:
    """What was read of one run, for the record."""
    first, last = contacts.frame(0), contacts.frame(contacts.n_frames - 1)
    return {
        "files": files_of(frames),
        "frames": contacts.n_frames,
        "first_ps": first.time_ps,
        "last_ps": last.time_ps,
    }


def _box(atoms: AtomTable, volume_A3: float) -> dict[str, Any]:
    """What is in the box, in the words of a composition, as far as a species map tells."""
    return {
        "counts": {one.name: atoms.count(one.name) for one in atoms.species},
        "roles": {one.name: one.role for one in atoms.species},
        "charges": {one.name: one.charge for one in atoms.species},
        "n_atoms": len(atoms),
        "box_edge_A": volume_A3 ** (1 / 3),
        "density_g_cm3": density_g_cm3(atoms, volume_A3),
    }


def _replicas(source: Any) -> list[Any]:
    """One source per replica: a list of files is one simulation, a list of anything else is several."""
    if isinstance(source, (list, tuple)) and not source:
        raise LmbmdError("there is no trajectory.", remedy="Give a Universe, or a topology and a trajectory file.")
    if not isinstance(source, list) or all(isinstance(one, (str, os.PathLike)) for one in source):
        return [source]
    return source


def _check_runs(names: Sequence[str]) -> None:
    """A run that is counted twice makes errors too small."""
    files = [Path(name).resolve() for name in names]
    for number, path in enumerate(files):
        if path in files[:number] and path.is_file():
            raise LmbmdError("this file is given twice.", where=names[number], remedy="Give each run once.")


def _same_box(a: AtomTable, b: AtomTable) -> bool:
    return a is b or (
        a.species == b.species
        and all(
            np.array_equal(getattr(a, name), getattr(b, name)) for name in ("species_id", "molecule", "unit", "element")
        )
    )


def _told(
    replicas: int, temperature_K: float | None, friction_per_ps: float | None, pressure: Any
) -> list[dict[str, Any]]:
    """What the user says of the dynamics of each replica, checked."""
    limits = {"temperature_K": (temperature_K, 50.0, 5000.0), "friction_per_ps": (friction_per_ps, 0.0, 1e4)}
    for name, (value, low, high) in limits.items():
        if value is not None and not low <= value <= high:
            raise LmbmdError(f"{name} = {value:g} is not within {low:g} and {high:g}.", remedy="Check its unit.")
    paths = [pressure] if isinstance(pressure, _FILE) else list(pressure)
    for path in paths:
        is_a("pressure", path, _FILE, "files")
    if paths and len(paths) != replicas:
        raise LmbmdError(
            f"there are {len(paths)} pressure logs for {replicas} replicas.",
            remedy="Give one for each, in their order.",
        )
    nan = float("nan")
    facts = {
        "temperature_K": nan if temperature_K is None else temperature_K,
        "friction_per_ps": nan if friction_per_ps is None else friction_per_ps,
        "thermostat": "langevin" if friction_per_ps else "",
    }
    if not paths:
        return [facts] * replicas
    return [{**facts, "pressure": PressureSeries.read(path)} for path in paths]
