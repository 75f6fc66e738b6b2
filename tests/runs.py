"""What a run has written so far, and whether it is exactly what it should have."""

from __future__ import annotations

import json
from pathlib import Path

import MDAnalysis
import numpy as np
import pandas as pd
import pytest

from lmbmd.simulate import checkpoint

N_FRAMES, N_ROWS = 20, 100


def frame_times(folder: Path) -> list[float]:
    """Times of all frames in ps, after reading every one of them and their index afresh."""
    for index in folder.glob(".*offsets*"):
        index.unlink()
    universe = MDAnalysis.Universe(str(folder / "final.pdb"), str(folder / "trajectory.xtc"))
    assert len(universe.trajectory) == sum(np.isfinite(ts.positions).all() for ts in universe.trajectory)
    return [round(ts.time, 6) for ts in universe.trajectory]


def assert_complete(folder: Path, n_frames: int = N_FRAMES, n_rows: int = N_ROWS) -> None:
    """The files of a run are exactly those that an undisturbed run writes: no gap, nothing twice."""
    out = folder / "out"
    assert frame_times(out) == [round(0.1 * k, 6) for k in range(1, n_frames + 1)]
    rows = pd.read_csv(out / "state.csv")
    assert rows.step.tolist() == [10 * k for k in range(1, n_rows + 1)]
    assert rows.time_ps.tolist() == [pytest.approx(0.02 * k) for k in range(1, n_rows + 1)]
    assert np.isfinite(rows.to_numpy()).all()
    early = pd.read_csv(out / "equilibration.csv")
    assert early.step.tolist() == [10 * k for k in range(1, 51)]
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert (
        record["n_frames"] == n_frames and record["files"]["trajectory.xtc"] == (out / "trajectory.xtc").stat().st_size
    )


def wait_for_progress(folder: Path, process, since_ns: int) -> None:
    """Until a checkpoint newer than ``since_ns`` is there, or the process has ended."""
    path = folder / "work" / checkpoint.CURRENT
    while process.is_alive() and (not path.exists() or path.stat().st_mtime_ns <= since_ns):
        process.join(0.01)


def checkpointed_ns(folder: Path) -> int:
    path = folder / "work" / checkpoint.CURRENT
    return path.stat().st_mtime_ns if path.exists() else 0
