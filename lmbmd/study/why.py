"""What Snakemake would do again, stage by stage, and why: what is asked for now beside what files were made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmbmd.core import stages
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import read_json, read_text
from lmbmd.core.provenance import file_sha256
from lmbmd.data.contacts import ContactFile
from lmbmd.formulation.composition import Composition
from lmbmd.simulate import lock
from lmbmd.simulate.checkpoint import Checkpoint
from lmbmd.simulate.protocol import RECORD, TRAJECTORY, RunSpec, differences, parse_spec, read_record
from lmbmd.simulate.resume import STAGES, Inputs, RunState, newest
from lmbmd.study import layout
from lmbmd.study.study import SEGMENT_INPUT, Run, Study

_INPUTS = {"system": "the System (system.xml)", "start": "the start structure (start.pdb)"}


@dataclass(frozen=True)
class Past:
    """What has been done of a run: in words, where it is, ns of production, what of its physics differs from now."""

    words: str
    where: str
    production_ns: float
    changes: tuple[str, ...]


def why(study: Study, run: Run, results: Path, work: Path) -> list[str]:
    """What will be done of a run and of what is made from it, and everything that differs from what the study asks for.

    Args:
        run: one simulation of the study.
        results, work: the study's folders of these names.

    Returns:
        A sentence on the simulation, then ``"name: old → new"`` for each difference of its physics; a sentence on its
        contacts, the same of each of its transport segments, and one on the description of its state point, each with
        the differences that cause it.

    Raises:
        LmbmdError: if a file of the run cannot be read.
    """
    folder, point = layout.run(results, *run), layout.point(results, run.formulation, run.temperature)
    contacts = _contacts_changes(study, folder, of_segment=False)
    stopped = not layout.mark(folder, "contacts").exists()
    lines, again = _simulation(study, run, results, work, needed=contacts != [] or stopped)
    lines += _sentence("contacts", contacts, again, stopped)
    of_segments, segments_again = _segments(study, run, results, work, production_again=again)
    lines += of_segments
    described = _description_changes(study, run, point)
    again = again or contacts != [] or stopped or segments_again
    return lines + _sentence("description", described, again, not layout.mark(point, "describe").exists())


def departures(study: Study, run: Run, results: Path) -> list[str]:
    """What of a finished run's files, and of those made from them, differs from what the study asks for now.

    Args:
        run: one simulation of the study.
        results: the study's folder of this name.

    Returns:
        ``"name: old → new"`` for each difference of the recipe, of the physics and the length of the production and of
        each transport segment, of the options of their contacts, and of the description of the state point; empty if
        the files are what is asked for. A file that does not exist has no differences.

    Raises:
        LmbmdError: if a file of the run cannot be read.
    """
    found = _recipe_changes(study, run.formulation, results)
    folder = layout.run(results, *run)
    system, start = _box_files(layout.box(results, run.formulation, run.replica))
    for number in (None, *study.segments):
        place = folder if number is None else layout.segment(folder, number)
        spec = parse_spec(study.spec(*run, number), where=str(study.path))
        past = _finished(place / RECORD, (system, start if number is None else place / "start.pdb"), spec)
        if past is not None:
            found += past.changes
            found += differences({"production_ns": past.production_ns}, {"production_ns": spec.production_ns})
        found += _contacts_changes(study, place, of_segment=number is not None) or []
    return found + (_description_changes(study, run, layout.point(results, run.formulation, run.temperature)) or [])


def _sentence(what: str, changes: list[str] | None, before: bool, stopped: bool) -> list[str]:
    """A line on an analysis stage, and one for each difference; ``changes`` is None if there is no file yet.

    ``before``: what it is made from will be made again; ``stopped``: the mark of a job that ended well is missing.
    """
    if changes is None:
        return [f"{what}: not made yet."]
    if changes:
        return [f"{what}: will be made again, because something changed:", *(f"  {change}" for change in changes)]
    if before:
        return [f"{what}: will be made again from the new files."]
    if stopped:
        return [f"{what}: its last job failed or was stopped, so it will be made again."]
    return [f"{what}: nothing changed."]


def _simulation(study: Study, run: Run, results: Path, work: Path, *, needed: bool) -> tuple[list[str], bool]:
    """Lines on the simulation itself, and whether anything of it will be made anew."""
    built = layout.box(results, run.formulation, run.replica)
    spec = parse_spec(study.spec(*run), where=str(study.path))
    folder = layout.run(results, *run)
    busy = lock.writer(layout.run(work, *run))
    finished = _finished(folder / RECORD, _box_files(built), spec)
    if busy is not None:
        return _running(busy, finished, _unfinished(layout.run(work, *run), _box_files(built), spec)), True
    past = finished or _unfinished(layout.run(work, *run), _box_files(built), spec)
    if past is None:
        return ["not begun: it will be simulated."], True
    changes = [*_recipe_changes(study, run.formulation, results), *past.changes]
    if changes:
        return [f"{past.words}: it will be simulated anew, because its physics changed.", *changes], True
    if past.production_ns < spec.production_ns:
        return [f"{past.words}: it will go on to {spec.production_ns:g} ns."], True
    if past.production_ns > spec.production_ns:
        return [
            f"{past.words}: more than the {spec.production_ns:g} ns that are asked for now, which is refused."
        ], False
    if finished and needed and not (folder / TRAJECTORY).exists():
        kept = _unfinished(layout.run(work, *run), _box_files(built), spec)
        if kept and kept.production_ns >= spec.production_ns and (layout.run(work, *run) / TRAJECTORY).exists():
            return [f"{past.words}: its trajectory is not in {folder}, and comes back from the work folder."], False
        told = (
            f"its trajectory was deleted, and its contacts need it: it will be simulated again ({folder / TRAJECTORY})"
        )
        return [f"{past.words}: {told}."], True
    if not layout.mark(folder, "simulate").exists():
        return [f"{past.words}: its last job failed or was stopped, so it will be looked at again."], True
    return [f"{past.words}: nothing of its physics changed, and it will not be simulated again."], False


def _running(process: dict[str, Any], finished: Past | None, kept: Past | None) -> list[str]:
    """A run that a process is writing now, and how far it was at its last checkpoint."""
    who = f"process {process['pid']} on {process.get('host')}" if process else "a process that has not signed its lock"
    past = kept or finished
    how_far = "no checkpoint yet" if past is None else f"at its last checkpoint {past.where}"
    changes = past.changes if past else ()
    also = ["what the study asks for differs from the last checkpoint:", *changes] if changes else []
    return [f"running now, by {who}: {how_far}.", *also]


def _segments(study: Study, run: Run, results: Path, work: Path, *, production_again: bool) -> tuple[list[str], bool]:
    """Lines on each transport segment of a run, and whether anything of them will be made again."""
    lines, any_again = [], False
    for number in study.segments:
        folder = layout.segment(layout.run(results, *run), number)
        name = f"segment {number}"
        told, again = _segment(study, run, number, folder, layout.segment(layout.run(work, *run), number), results)
        lines += [f"{name}: {told[0]}", *(f"  {change}" for change in told[1:])]
        if production_again and not again:
            lines[-1] += " If the production is another one then, it will be."
        contacts = _contacts_changes(study, folder, of_segment=True)
        stopped = not layout.mark(folder, "segment_contacts").exists()
        lines += _sentence(f"{name}, contacts", contacts, again, stopped)
        any_again = any_again or again or contacts != [] or stopped
    return lines, any_again


def _segment(study: Study, run: Run, number: int, folder: Path, work: Path, results: Path) -> tuple[list[str], bool]:
    """A sentence on a segment and what of its physics differs, and whether it will be simulated, at least in part."""
    spec = parse_spec(study.spec(*run, number), where=str(study.path))
    paths = (_box_files(layout.box(results, run.formulation, run.replica))[0], folder / "start.pdb")
    if (busy := lock.writer(work)) is not None:
        return _running(busy, _finished(folder / RECORD, paths, spec), _unfinished(work, paths, spec)), True
    past = _finished(folder / RECORD, paths, spec) or _unfinished(work, paths, spec)
    if past is None:
        return ["not begun: it will be simulated."], True
    if past.changes:
        return [f"{past.words}: it will be simulated anew, because its physics changed.", *past.changes], True
    if past.production_ns < spec.production_ns:
        return [f"{past.words}: it will go on to {spec.production_ns:g} ns."], True
    if past.production_ns > spec.production_ns:
        return [f"{past.words}: more than the {spec.production_ns:g} ns that are asked for, which is refused."], False
    if not layout.mark(folder, "segment").exists():
        return [f"{past.words}: its last job failed or was stopped, so it will be looked at again."], True
    return [f"{past.words}: nothing of its physics changed, and it will not be simulated again."], False


def _contacts_changes(study: Study, folder: Path, *, of_segment: bool) -> list[str] | None:
    """What of the options or the method differs from those that the contacts were found with; None without contacts.

    Those of a production have a sample of its frames beside them, those of a segment have none.
    """
    path = folder / "contacts.arrow"
    if not path.exists() or not (of_segment or (folder / "sample.xtc").exists()):
        return None
    stamp = ContactFile(path).header
    made = {"frame_stride": stamp["provenance"]["frame_stride"], **stamp["options"]}
    changes = differences(made, study.contacts_facts())
    return changes + differences({"method": stamp["provenance"]["stage"]}, {"method": stages.CONTACTS})


def _description_changes(study: Study, run: Run, folder: Path) -> list[str] | None:
    """The same of the description of a state point; and whether it is of the replicas and segments asked for."""
    path = folder / "described.json"
    if not path.exists():
        return None
    made = read_json(path, what="description of a state point", remedy="Run the describe stage again.", is_sealed=True)
    old, new = (
        dict(_flat(x)) for x in (made["options"], study.describe_options(run.formulation).model_dump(mode="json"))
    )
    asked = study.scattering.facts() if study.scattering else None
    of_scattering = [dict(_flat({"scattering": one})) if one else {} for one in (made.get("scattering"), asked)]
    of_quantum = study.quantum.facts() if study.quantum else None
    quantum = [dict(_flat({"quantum": one})) if one else {} for one in (made.get("quantum"), of_quantum)]
    changes = (
        differences(old, new)
        + differences(*of_scattering)
        + differences(*quantum)
        + differences({"method": made["stage"]}, {"method": stages.DESCRIBE})
    )
    n_replicas = len(study.replicas(run.formulation))
    read = made.get("provenance", {}).get("inputs", {})
    before = {
        "replicas": len(made["replicas"]),
        "transport segments": sum(name.startswith(f"{SEGMENT_INPUT} ") for name in read),
    }
    now = {"replicas": n_replicas, "transport segments": n_replicas * len(study.segments)}
    return changes + differences(before, now)


def _finished(record: Path, paths: tuple[Path, Path], spec: RunSpec) -> Past | None:
    if not record.exists():
        return None
    made = read_record(record)
    length_ns = made.get("production_ns")
    if length_ns is None:
        raise LmbmdError("it does not say how long the run is.", where=str(record), remedy="Restore or delete it.")
    physics = {**parse_spec(made.get("spec"), where=str(record)).physics(), "method": made.get("stage")}
    changes = differences(physics, spec.physics())
    hashes = made.get("inputs", {})
    for (role, what), path in zip(_INPUTS.items(), paths, strict=True):
        if path.is_file() and file_sha256(path) != hashes.get(role, {}).get("sha256"):
            changes.append(f"{what} has been built anew")
    return Past(f"finished, {length_ns:g} ns", f"finished, {length_ns:g} ns", length_ns, tuple(changes))


def _box_files(built: Path) -> tuple[Path, Path]:
    return built / "system.xml", built / "start.pdb"


def _unfinished(work: Path, paths: tuple[Path, Path], spec: RunSpec) -> Past | None:
    def differing(found: Checkpoint) -> list[str]:
        if all(path.exists() for path in paths):
            return Inputs(spec, *(read_text(path, "Build the box again.") for path in paths)).differences(found)
        return differences(found.header["physics"], spec.physics())

    found = newest(work, differing)
    if found is None or found.checkpoint is None:
        return None
    state = RunState.of(found.checkpoint)
    done_ns = spec.time_ps(state.step) / 1000
    where = f"in stage {state.stage} after {done_ns:g} ns of it"
    return Past(f"interrupted {where}", where, done_ns if state.stage == STAGES[-1] else 0.0, found.foreign)


def _recipe_changes(study: Study, formulation: str, results: Path) -> list[str]:
    """What of the bottle's content differs from the composition that the box was built from."""
    path = layout.composition(results, formulation)
    if not path.exists():
        return []
    old, new = (dict(_flat(asdict(c))) for c in (Composition.read(path), study.composition(formulation)))
    for one in (old, new):
        one.pop("own_sets")  # a folder, spelled as the study's file was when it was composed
    is_rewritten = old.pop("recipe_sha256") != new.pop("recipe_sha256")
    return differences(old, new) or is_rewritten * [f"the recipe of {formulation} is written differently"]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Nested tables as (``"counts.Li"``, number) pairs; an empty one says nothing."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else None
    if pairs is None:
        yield name, value
        return
    for key, inner in pairs:
        yield from _flat(inner, f"{name}.{key}" if name else str(key))
