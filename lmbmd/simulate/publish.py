"""The finished files of a run, put into its results folder whole."""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import suppress
from pathlib import Path
from typing import Any

from lmbmd.core import files, provenance, stages
from lmbmd.core.errors import LmbmdError
from lmbmd.core.units import PS_PER_NS
from lmbmd.simulate.checkpoint import Checkpoint
from lmbmd.simulate.protocol import RunSpec
from lmbmd.simulate.resume import EQUILIBRATION, STATE, TRAJECTORY, Place

FINAL, RECORD = "final.pdb", "run.json"
_GROWING = (TRAJECTORY, STATE, EQUILIBRATION)


def check_writable(out: Path) -> None:
    """Raise LmbmdError now rather than after hours of MD if the results could not be written."""
    probe = out / f".probe.{os.getpid()}"
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise LmbmdError(
            f"the results folder cannot be written to: {error.strerror or error}.",
            where=str(out),
            remedy="Choose another, or mend its permissions.",
        ) from error


def detach(work: Path) -> None:
    """Before the files in ``work`` grow: give them bytes of their own where results share theirs."""
    for name in _GROWING:
        path = work / name
        if path.exists() and path.stat().st_nlink > 1:
            with files.replacing(path) as partial:
                shutil.copyfile(path, partial)


def publish(work: Path, out: Path, last: Checkpoint, spec: RunSpec, inputs: dict[str, str | os.PathLike[str]]) -> None:
    """Put trajectory, state logs, final structure and ``run.json`` into ``out``, each whole; ``run.json`` last.

    The files stay in ``work`` too, sharing their bytes where the file system has hard links, so that the run can be
    extended after its results have been moved, deleted or published again.
    """
    for name in (*_GROWING, FINAL):
        _share(work / name, out / name)
    record = json.dumps(_record(last, spec, inputs, work), indent=2, allow_nan=False)
    files.write_text(out / RECORD, record + "\n")


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
    place = Place.of(last)
    produce_s = place.wall_s.get("produce", 0.0)
    produced_ns = spec.time_ps(place.step) / PS_PER_NS
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
        platform=last.header["platform"],
        ns_per_day=produced_ns / produce_s * 86400 if produce_s else None,
        wall_s=place.wall_s,
        equilibration=_finite(place.verdict),
        recoveries=place.recoveries,
        sessions=place.sessions,
        restarts=len(place.sessions) - 1,
        files={name: (work / name).stat().st_size for name in (*_GROWING, FINAL)},
    )


def _finite(value: Any) -> Any:
    """The same with null for what is no number: JSON has no infinity."""
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    return None if isinstance(value, float) and value - value != 0 else value
