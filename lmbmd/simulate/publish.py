"""The finished files of a run, put into its results folder whole."""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lmbmd.core import files, provenance, stages
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import sync_folder
from lmbmd.core.units import PS_PER_NS
from lmbmd.simulate.checkpoint import Checkpoint
from lmbmd.simulate.conserved import Conserved
from lmbmd.simulate.logs import xtc_frames
from lmbmd.simulate.protocol import EQUILIBRATION, FINAL, PRESSURE, RECORD, STATE, TRAJECTORY, RunSpec
from lmbmd.simulate.resume import RunState

_GROWING = (TRAJECTORY, STATE, EQUILIBRATION, PRESSURE)


def _grown(spec: RunSpec) -> tuple[str, ...]:
    """The growing files that a run of this kind has."""
    return _GROWING if spec.pressure_steps else _GROWING[:-1]


def check_writable(out: Path) -> None:
    """Raise LmbmdError now rather than after hours of MD if the results could not be written. Leaves nothing."""
    probe = out / f".probe.{os.getpid()}"
    missing = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
        for folder in missing:
            with suppress(OSError):  # another run has begun to use it
                folder.rmdir()
    except OSError as error:
        raise LmbmdError(
            f"the results folder cannot be written to: {error.strerror or error}.",
            where=str(out),
            remedy="Choose another, or mend its permissions.",
        ) from error


def complete(work: Path, last: Checkpoint, spec: RunSpec) -> bool:
    """Whether a run has only to be published: its last checkpoint is at the end, and nothing was added after that.

    The final structure is the sign of it: it is written after the last checkpoint, and goes before the files grow.
    """
    return RunState.of(last).finished(spec) and (work / FINAL).exists()


def reopen(work: Path) -> None:
    """Before the files in ``work`` grow: give them bytes of their own where results share theirs."""
    (work / FINAL).unlink(missing_ok=True)
    sync_folder(work)
    for left in work.glob(".*.partial*"):  # by a process that was killed
        if not left.is_dir():
            left.unlink()
    for name in _GROWING:
        path = work / name
        if path.exists() and path.stat().st_nlink > 1:
            with files.replacing(path) as partial:
                shutil.copyfile(path, partial)


def publish(
    work: Path,
    out: Path,
    last: Checkpoint,
    spec: RunSpec,
    inputs: dict[str, str | os.PathLike[str]],
    *,
    simulated: bool = True,
) -> None:
    """Put trajectory, logs, final structure and ``run.json`` into ``out``, each whole; ``run.json`` last.

    The files stay in ``work`` too, sharing their bytes where the file system has hard links, so that the run can be
    extended after its results have been moved, deleted or published again.

    Args:
        simulated: whether anything was added since the last time; if not, the files must be the same as then.

    Raises:
        LmbmdError: if the trajectory does not hold exactly the frames that were asked for, or a file cannot be written.
    """
    _check_frames(work / TRAJECTORY, len(last.positions_nm), spec)
    published = (*_grown(spec), FINAL)
    out.mkdir(parents=True, exist_ok=True)
    for name in (*_GROWING, FINAL, RECORD):
        if (out / name).is_dir():
            raise LmbmdError(
                "a folder stands where a result belongs. The run itself is finished and kept.",
                where=str(out / name),
                remedy="Move it away, then give the same command again.",
            )
    record = _record(last, spec, inputs, work)
    if not simulated:
        _check_unchanged(work, out, record)
    for name in set(_GROWING) - set(_grown(spec)):  # of a run that was here before
        (out / name).unlink(missing_ok=True)
    for name in published:
        _share(work / name, out / name)
    files.write_text(out / RECORD, json.dumps(files.sealed(record), indent=2, allow_nan=False) + "\n")


def _check_unchanged(work: Path, out: Path, record: dict[str, Any]) -> None:
    """Refuse files that were published before, at the same length, with another content: they share their bytes."""
    try:
        before = files.read_json(out / RECORD, what="record", remedy="")
    except LmbmdError:  # there is none, or it cannot tell anything
        return
    if before.get("production_ns") != record["production_ns"] or before.get("spec_sha256") != record["spec_sha256"]:
        return
    known = before.get("files")
    for name, digest in record["files"].items():
        if isinstance(known, dict) and known.get(name, digest) != digest:
            raise LmbmdError(
                "the file is not the one that was published before: changed or damaged since then.",
                where=str(work / name),
                remedy="Restore it from a copy, or delete this folder to simulate the run anew.",
            )


def _check_frames(path: Path, n_atoms: int, spec: RunSpec) -> None:
    try:
        fault = "" if (found := xtc_frames(path, n_atoms)) == spec.n_frames else f"{path.name} has {found} frames"
    except ValueError as error:
        fault = str(error)
    if fault:
        raise LmbmdError(
            f"{fault}; {spec.n_frames} were asked for. Nothing was published.",
            where=str(path),
            remedy="Put the file back from a copy, or delete this folder to begin the run anew.",
        )


def _share(source: Path, target: Path) -> None:
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        os.utime(source)  # its content is confirmed as of now: newer than the inputs
        with suppress(FileNotFoundError):
            partial.unlink()
        try:
            os.link(source, partial)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise
            shutil.copyfile(source, partial)  # another file system, or one without hard links
            with open(partial, "rb+") as handle:
                os.fsync(handle.fileno())
        os.replace(partial, target)
    except OSError as error:
        raise LmbmdError(
            f"cannot write the file: {error.strerror or error}. The run itself is finished and kept.",
            where=str(target),
            remedy="Free some space or mend the permissions, then give the same command again.",
        ) from error
    finally:
        # Also after success: renaming one link of a file onto another of the same file does nothing.
        with suppress(OSError):
            partial.unlink()


def _record(last: Checkpoint, spec: RunSpec, inputs: dict[str, str | os.PathLike[str]], work: Path) -> dict[str, Any]:
    state = RunState.of(last)
    produce_s = state.wall_s.get("produce", 0.0)
    produced_ns = spec.time_ps(state.step) / PS_PER_NS
    is_free = spec.ensemble == "NVE"
    free = asdict(Conserved.read(work / STATE, len(last.positions_nm))) if is_free else {}
    return provenance.stamp(
        stages.SIMULATE,
        inputs,
        spec=spec.to_dict(),
        spec_sha256=spec.physics_sha256,
        n_atoms=len(last.positions_nm),
        n_frames=spec.n_frames,
        production_ns=produced_ns,
        first_frame_ps=spec.frame_interval_ps,
        frame_interval_ps=spec.frame_interval_ps,
        engine=last.header.get("choice") or None,
        platform=last.header["platform"],
        ns_per_day=produced_ns / produce_s * 86400 if produce_s else None,
        wall_s=state.wall_s,
        equilibration=_finite(state.verdict),
        **_finite(free),
        recoveries=state.recoveries,
        sessions=state.sessions,
        restarts=len(state.sessions) - 1,
        files={name: provenance.file_sha256(work / name) for name in (*_grown(spec), FINAL)},
    )


def _finite(value: Any) -> Any:
    """The same with null for what is no number: JSON has no infinity."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    return None if isinstance(value, float) and value - value != 0 else value
