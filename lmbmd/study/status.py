"""Where every run of a study stands, from its files alone: nothing is locked, waited for, or asked of a process."""

from __future__ import annotations

import json
import os
import re
from base64 import urlsafe_b64decode
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Any

from lmbmd.core import stages
from lmbmd.core.units import PS_PER_NS
from lmbmd.simulate import checkpoint, lock
from lmbmd.simulate.protocol import EQUILIBRATION, LENGTH, RECORD, STATE, Protocol
from lmbmd.study import layout
from lmbmd.study.study import Run, Study

_HOURS_PER_DAY, _S_PER_HOUR, _S_PER_DAY = 24.0, 3600.0, 86400.0
#: So much of the end of a log is read, bytes: more than any message of ours, and many rows of numbers.
_TAIL_BYTES = 4096
#: Where Snakemake keeps its records; the one thing that is known of a job before it begins.
SNAKEMAKE = Path(".snakemake")
_MESSAGE = re.compile(r"lmbmd [a-z]+: ")


class State(StrEnum):
    """Of a run, from the first to the last; the end of one that went wrong comes last."""

    WAITING = "waiting"
    BUILDING = "building"
    QUEUED = "queued"
    EQUILIBRATING = "equilibrating"
    PRODUCING = "producing"
    STOPPED = "stopped"
    SIMULATED = "simulated"
    ANALYSING = "analysing"
    ANALYSED = "analysed"
    REPORTED = "reported"
    FAILED = "failed"


#: States in which nothing is left to simulate.
SIMULATED = (State.SIMULATED, State.ANALYSING, State.ANALYSED, State.REPORTED)


@dataclass(frozen=True)
class Failure:
    """A job whose last attempt ended in an error.

    Attributes:
        rule: of the workflow.
        job: its folder below ``results``; "" of the whole study.
        why: the message that it ended with: what, where and what to do about it. "" if it left none.
        log: where all of its messages are.
    """

    rule: str
    job: str
    why: str
    log: str


@dataclass(frozen=True)
class RunStatus:
    """One simulation of a study.

    Attributes:
        segment: number of a transport segment of the replica; None of its production.
        state: where it is.
        stage: of the simulation, as ``lmbmd.simulate.resume.STAGES`` names it; "" before its first checkpoint.
        produced_ns, asked_ns: of the production.
        equilibrated_ns, equilibration_ns: how much is done of what comes before that, and how much there is at least.
        ns_per_day: as fast as it has been so far; None if that is not known yet.
        on: what computes: "GPU" or "CPU core"; "" if it is not known yet.
        units: how many of these it has; a part of one where several runs share it.
        spent_h: hours of work that was kept.
        host: where it is being simulated now; "" if it is not, or that is not known.
        is_changed: what has been simulated is of other physics than the study asks for now.
        failure: the job that went wrong.
    """

    formulation: str
    temperature: str
    replica: int
    segment: int | None
    state: State
    asked_ns: float
    equilibration_ns: float
    stage: str = ""
    produced_ns: float = 0.0
    equilibrated_ns: float = 0.0
    ns_per_day: float | None = None
    on: str = ""
    units: float = 1.0
    spent_h: float = 0.0
    host: str = ""
    is_changed: bool = False
    failure: Failure | None = None

    @property
    def left_ns(self) -> float:
        """That are still to be simulated, if the equilibration ends as early as it may."""
        if self.state in SIMULATED:
            return 0.0
        if self.is_changed:
            return self.equilibration_ns + self.asked_ns
        before = 0.0 if self.stage == "produce" else max(0.0, self.equilibration_ns - self.equilibrated_ns)
        return before + max(0.0, self.asked_ns - self.produced_ns)

    @property
    def left_h(self) -> float | None:
        """Wall time until its production ends at its speed; None if that is not known."""
        return self.left_ns / self.ns_per_day * _HOURS_PER_DAY if self.ns_per_day else None

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "left_ns": self.left_ns, "left_h": self.left_h}


@dataclass(frozen=True)
class StudyStatus:
    """A study's runs, and what went wrong, of runs and of pages.

    Attributes:
        without_speed: unfinished runs of which not even another's speed tells how long they will take.
    """

    study: str
    runs: tuple[RunStatus, ...]
    failures: tuple[Failure, ...]
    page: str
    spent_hours: Mapping[str, float] = field(default_factory=dict)
    left_hours: Mapping[str, float] = field(default_factory=dict)
    without_speed: int = 0

    @property
    def counts(self) -> dict[State, int]:
        """Runs in each state that there is, in the order of the states."""
        found = Counter(run.state for run in self.runs)
        return {state: found[state] for state in State if found[state]}

    def to_dict(self) -> dict[str, Any]:
        """As plain data, which ``lmbmd status --json`` prints."""
        return {
            **asdict(self),
            "runs": [run.to_dict() for run in self.runs],
            "counts": {str(state): n for state, n in self.counts.items()},
        }


def status(
    study: Study,
    names: Iterable[str] = (),
    *,
    results: Path = layout.RESULTS,
    work: Path = layout.WORK,
    logs: Path = layout.LOGS,
    snakemake: Path = SNAKEMAKE,
) -> StudyStatus:
    """Where the runs of a study stand.

    A handful of small reads for each run, however long it is; nothing is written, and no lock is touched. What cannot
    be read counts as not there: ``lmbmd why`` says what is wrong with it.

    Args:
        study: as ``load_study`` reads it, composed or not.
        names: formulations; all by default.

    Raises:
        LmbmdError: if the study has no formulation of a name.
    """
    wanted = {study.formulation(name).name for name in names} or set(study.names)
    files = _Files(results, work, logs, _pending(snakemake))
    found: list[RunStatus] = []
    for run in study.runs():
        if run.formulation in wanted:
            found += [_run(files, study, run, number) for number in (None, *study.segments)]
    failures = list(dict.fromkeys(run.failure for run in found if run.failure))
    if (of_index := files.job("index", Path())[1]) is not None:
        failures.append(of_index)
    page = results / "index.html"
    spent, left, unknown = _hours(found)
    return StudyStatus(study.name, tuple(found), tuple(failures), str(page) * page.is_file(), spent, left, unknown)


def _hours(runs: Sequence[RunStatus]) -> tuple[dict[str, float], dict[str, float], int]:
    """Hours of each kind of device that are spent, and left; and how many runs are not in the latter.

    A run that has not begun is taken to be as fast as those of its formulation, else as those of the study.
    """
    spent: dict[str, float] = {}
    left: dict[str, float] = {}
    known = [run for run in runs if run.ns_per_day and run.on]
    of_formulation: dict[str, list[RunStatus]] = {}
    for run in known:
        spent[run.on] = spent.get(run.on, 0.0) + run.spent_h * run.units
        of_formulation.setdefault(run.formulation, []).append(run)
    usual = {name: _typical(those) for name, those in {**of_formulation, "": known}.items() if those}
    unknown = 0
    for run in runs:
        if not run.left_ns:
            continue
        like = (run.on, run.units, run.ns_per_day) if run.ns_per_day else usual.get(run.formulation) or usual.get("")
        if like is None or not like[2]:
            unknown += 1
        else:
            left[like[0]] = left.get(like[0], 0.0) + run.left_ns / like[2] * _HOURS_PER_DAY * like[1]
    return spent, left, unknown


def _typical(runs: Sequence[RunStatus]) -> tuple[str, float, float]:
    """What most of these runs compute on, how much of it one has, and how fast they are, in ns/day."""
    on = Counter(run.on for run in runs).most_common(1)[0][0]
    same = [run for run in runs if run.on == on]
    return on, median(run.units for run in same), median(run.ns_per_day or 0.0 for run in same)


@dataclass(frozen=True)
class _Files:
    """The folders of a study, and the outputs of jobs that Snakemake has started or submitted.

    ``shared``: what is known of jobs by now; the replicas of a state point share some.
    """

    results: Path
    work: Path
    logs: Path
    pending: Mapping[str, Path]
    shared: dict[tuple[str, Path], tuple[bool, Failure | None]] = field(default_factory=dict)

    def job(self, rule: str, folder: Path, *, says_so: bool = False) -> tuple[bool, Failure | None]:
        """Whether the last job of a rule in a folder below ``results`` succeeded, and how it failed.

        Args:
            says_so: a job that only ends, without a message, is not taken to have failed: a simulation goes on.
        """
        key = (rule, folder)
        if key not in self.shared:
            self.shared[key] = self._job(rule, folder, says_so)
        return self.shared[key]

    def _job(self, rule: str, folder: Path, says_so: bool) -> tuple[bool, Failure | None]:
        if layout.mark(self.results / folder, rule).exists():
            return True, None
        path = layout.log(self.logs, rule, folder)
        if (text := _tail(path)) is None:
            return False, None
        lines = text.splitlines()
        begin = max((n for n, line in enumerate(lines) if _MESSAGE.match(line)), default=None)
        again = self.marked(rule, folder)
        if again is not None and (begin is None or _changed_s(again) > _changed_s(path)):
            return False, None
        if begin is None:
            if says_so:
                return False, None
            begin = len(lines) - 1 if lines else 0
        why = _MESSAGE.sub("", " ".join(lines[begin:]).strip(), count=1)
        return False, Failure(rule, folder.as_posix() * bool(folder.parts), why, str(path))

    def marked(self, rule: str, folder: Path) -> Path | None:
        """Snakemake's record that such a job has been started or submitted and has not ended; None if it has not."""
        return (self.pending and self.pending.get(layout.mark(layout.RESULTS / folder, rule).as_posix())) or None


def _run(files: _Files, study: Study, run: Run, segment: int | None) -> RunStatus:
    """One run; of a segment, ``run`` is the replica that it is of."""
    none = Path()
    folder = layout.run(none, *run) if segment is None else layout.segment(layout.run(none, *run), segment)
    simulate, readers = ("simulate", study.readers) if segment is None else ("segment", ("segment_contacts",))
    asked = study.spec(*run, segment)
    protocol = study.transport.protocol(study.protocol) if segment and study.transport else study.protocol
    annealing_ns = 1e-3 * protocol.time_ps(sum(protocol.anneal_steps))
    facts: dict[str, Any] = {
        "formulation": run.formulation,
        "temperature": run.temperature,
        "replica": run.replica,
        "segment": segment,
        "asked_ns": protocol.production_ns,
        "equilibration_ns": annealing_ns + protocol.equilibration_ns,
    }
    is_done, failure = files.job(simulate, folder, says_so=True)
    record = _finished(files.results / folder / RECORD)
    is_same = record is not None and _physics(record["spec"], record.get("stage")) == _physics(asked, stages.SIMULATE)
    if record and is_same and is_done and record[LENGTH] >= protocol.production_ns:
        state, failure = _analysis(files, run, readers, folder)
        return RunStatus(**facts, **_of_record(record), state=state, failure=failure)
    work = files.work / folder
    header = checkpoint.peek(work)
    is_changed = False
    if header:
        facts |= _of_header(header, work, protocol, annealing_ns)
        is_changed = header.get("physics") != _physics(asked, stages.SIMULATE)
    elif record:
        facts |= _of_record(record)
        is_changed = not is_same
    facts["is_changed"] = is_changed
    if (writer := lock.writer(work, only_read=True)) is not None:
        state = State.PRODUCING if facts.get("stage") == "produce" else State.EQUILIBRATING
        return RunStatus(**facts, state=state, host=str(writer.get("host", "")))
    has_begun = bool(header or record)
    if failure is None and not has_begun:
        box = layout.box(none, run.formulation, run.replica)
        failure = files.job("compose", layout.bottle(none, run.formulation))[1] or files.job("build", box)[1]
        is_building = files.marked("build", box) is not None
    else:
        is_building = False
    if failure:
        state = State.FAILED
    elif is_building:
        state = State.BUILDING
    elif files.marked(simulate, folder) is not None:
        state = State.QUEUED
    else:
        state = State.STOPPED if has_begun and not is_changed else State.WAITING
    return RunStatus(**facts, state=state, failure=failure)


def _analysis(files: _Files, run: Run, readers: Sequence[str], folder: Path) -> tuple[State, Failure | None]:
    """How far the analysis of a finished simulation is: its own, that of its state point and of its formulation.

    Args:
        readers: the rules that work on it, in their order.
        folder: of the run, below ``results``.
    """
    jobs = (
        *((rule, folder, State.SIMULATED) for rule in readers),
        ("describe", layout.point(Path(), run.formulation, run.temperature), State.SIMULATED),
        ("report", layout.bottle(Path(), run.formulation), State.ANALYSED),
    )
    for rule, where, before in jobs:
        is_done, failure = files.job(rule, where)
        if not is_done and failure is None:
            return State.ANALYSING if files.marked(rule, where) is not None else before, None
        if failure:
            return State.FAILED, failure
    return State.REPORTED, None


def _physics(spec: Mapping[str, Any], method: object) -> dict[str, Any]:
    """``RunSpec.physics`` of a specification that is known to be whole, or of whatever stands in its place."""
    protocol = spec.get("protocol")
    inner = {k: v for k, v in protocol.items() if k != LENGTH} if isinstance(protocol, dict) else {}
    return {"method": method, **{k: v for k, v in spec.items() if k != "protocol"}, **inner}


def _finished(path: Path) -> dict[str, Any] | None:
    """The record of a finished run; None if there is none, or what is used of it cannot be."""
    try:
        record = json.loads(path.read_bytes())
        whole = isinstance(record["spec"], dict) and isinstance(record[LENGTH], int | float)
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return None
    return record if whole else None


def _of_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """What the record of a finished run says of itself."""
    return {
        "stage": "produce",
        "produced_ns": float(record[LENGTH]),
        "ns_per_day": _number(record.get("ns_per_day")) or None,
        "spent_h": _spent_h(record.get("wall_s")),
        **_device(record.get("platform"), record.get("sessions")),
    }


def _of_header(header: Mapping[str, Any], work: Path, protocol: Protocol, annealing_ns: float) -> dict[str, Any]:
    """What a checkpoint, and the rows that were written after it, say of an unfinished run."""
    state = header["state"] if isinstance(header.get("state"), dict) else {}
    stage, wall_s = str(state.get("stage", "")), state.get("wall_s")
    at_ns = protocol.time_ps(int(_number(state.get("step")))) / PS_PER_NS
    verdict = state.get("verdict") if isinstance(state.get("verdict"), dict) else {}
    settled_ns = _number(verdict.get("duration_ps")) / PS_PER_NS if verdict else 0.0
    walls = wall_s if isinstance(wall_s, dict) else {}
    done = {
        "produce": at_ns if stage == "produce" else 0.0,
        "equilibrate": at_ns if stage == "equilibrate" else settled_ns,
    }
    speeds = [done[name] / _number(walls.get(name)) for name in done if done[name] and _number(walls.get(name))]
    equilibrated_ns = {"anneal": at_ns, "equilibrate": annealing_ns + at_ns, "produce": annealing_ns + settled_ns}
    newest_ns = _last_time_ps(work / (STATE if stage == "produce" else EQUILIBRATION)) / PS_PER_NS
    is_logged = stage in ("anneal", "equilibrate")
    return {
        "stage": stage,
        "produced_ns": max(at_ns, newest_ns) if stage == "produce" else 0.0,
        "equilibrated_ns": max(equilibrated_ns.get(stage, 0.0), newest_ns if is_logged else 0.0),
        "ns_per_day": speeds[0] * _S_PER_DAY if speeds else None,
        "spent_h": _spent_h(wall_s),
        **_device(header.get("platform"), state.get("sessions")),
    }


def _device(platform: Any, sessions: Any) -> dict[str, Any]:
    """What a run computes on, and how much of it."""
    platform = platform if isinstance(platform, dict) else {}
    properties = platform["properties"] if isinstance(platform.get("properties"), dict) else {}
    if platform.get("name") in ("CUDA", "OpenCL"):
        last = sessions[-1] if isinstance(sessions, list) and sessions and isinstance(sessions[-1], dict) else {}
        shared = _number(last.get("runs_per_device")) or 1.0
        return {"on": "GPU", "units": len(str(properties.get("DeviceIndex", "0")).split(",")) / shared}
    return {"on": "CPU core" if platform else "", "units": _number(properties.get("Threads")) or 1.0}


def _spent_h(wall_s: Any) -> float:
    return sum(map(_number, wall_s.values())) / _S_PER_HOUR if isinstance(wall_s, dict) else 0.0


def _number(value: Any) -> float:
    """A number that a file says, which may be text; 0 if it is none."""
    try:
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return found if 0 <= found < 1e15 else 0.0


def _last_time_ps(log: Path) -> float:
    """The time of the last whole row of a state log; 0 if there is none."""
    whole = (_tail(log) or "").rpartition("\n")[0]
    cells = whole.rpartition("\n")[2].split(",")
    return _number(cells[1]) if len(cells) > 1 else 0.0


def _tail(path: Path) -> str | None:
    """The end of a text file; None if there is none that can be read."""
    try:
        with open(path, "rb") as handle:
            handle.seek(max(0, os.fstat(handle.fileno()).st_size - _TAIL_BYTES))
            return handle.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return None


def _changed_s(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


def _pending(snakemake: Path) -> dict[str, Path]:
    """Outputs of jobs that a living Snakemake has started or submitted: their paths, and where it noted them.

    Each note is a file whose name is the path in base 64, in pieces where that is too long for a name.
    """
    found: dict[str, Path] = {}
    if not any((snakemake / "locks").glob("*.lock")):
        return found
    top = snakemake / "incomplete"
    for folder, _, names in os.walk(top):
        pieces = Path(folder).relative_to(top).parts
        for name in names:
            try:
                text = "".join([*(piece.removeprefix("@") for piece in pieces), name])
                found[urlsafe_b64decode(text).decode("utf-8")] = Path(folder, name)
            except ValueError:  # not Snakemake's
                continue
    return found
