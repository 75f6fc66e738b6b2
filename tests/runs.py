"""What a run has written so far, and whether it is exactly what it should have."""

from __future__ import annotations

import json
from pathlib import Path

import MDAnalysis
import numpy as np
import pandas as pd
import pytest

from lmbmd.core.provenance import file_sha256
from lmbmd.simulate import checkpoint

N_FRAMES, N_ROWS = 20, 100

#: For a test whose runs either engine does (the fixture ``engine``).
BOTH = pytest.mark.parametrize("engine", ["openmm", "gromacs"], indirect=True)
#: For tests of what a segment does not have, or does as a run at constant pressure does it.
RUNS_ONLY = pytest.mark.parametrize("start", ["run"], indirect=True)


def frame_times(folder: Path) -> list[float]:
    """Times of all frames in ps, after reading every one of them and their index afresh."""
    for index in folder.glob(".*offsets*"):
        index.unlink()
    universe = MDAnalysis.Universe(str(folder / "final.pdb"), str(folder / "trajectory.xtc"))
    assert len(universe.trajectory) == sum(np.isfinite(ts.positions).all() for ts in universe.trajectory)
    return [round(ts.time, 4) for ts in universe.trajectory]  # of single precision in the file


def assert_complete(folder: Path, n_frames: int = N_FRAMES, n_rows: int = N_ROWS) -> None:
    """The files of a run are exactly those that an undisturbed run writes: no gap, nothing twice."""
    out = folder / "out"
    assert frame_times(out) == [round(0.1 * k, 4) for k in range(1, n_frames + 1)]
    rows = pd.read_csv(out / "state.csv")
    assert rows.step.tolist() == [10 * k for k in range(1, n_rows + 1)]
    assert rows.time_ps.tolist() == [pytest.approx(0.02 * k) for k in range(1, n_rows + 1)]
    assert np.isfinite(rows.to_numpy()).all()
    early = pd.read_csv(out / "equilibration.csv")
    assert early.step.tolist() == [10 * k for k in range(1, 51)]
    record = json.loads((out / "run.json").read_text(encoding="utf-8"))
    assert (out / "pressure.csv").exists() == ("dynamics" in record["spec"])
    if "dynamics" in record["spec"]:
        assert_pressure_is_complete(out / "pressure.csv", record["spec"]["dynamics"], n_frames)
        assert rows.volume_A3.nunique() == 1
    assert record["n_frames"] == n_frames
    assert record["files"] == {name: file_sha256(out / name) for name in record["files"]} and record["files"]


def assert_pressure_is_complete(path: Path, dynamics: dict, n_frames: int) -> None:
    """A row at each multiple of its interval, the first one interval after the start."""
    tensors, interval_ps = pd.read_csv(path), dynamics["pressure_interval_ps"]
    assert list(tensors) == ["time_ps", "xx_bar", "yy_bar", "zz_bar", "xy_bar", "xz_bar", "yz_bar"]
    n_rows = round(0.1 * n_frames / interval_ps)
    assert tensors.time_ps.tolist() == [pytest.approx(interval_ps * k) for k in range(1, n_rows + 1)]
    assert np.isfinite(tensors.to_numpy()).all() and tensors.xy_bar.nunique() > n_rows / 2


def wait_for_progress(folder: Path, process, since_ns: int) -> None:
    """Until a checkpoint newer than ``since_ns`` is there, or the process has ended."""
    while process.is_alive() and checkpointed_ns(folder) <= since_ns:
        process.join(0.01)


def checkpointed_ns(folder: Path) -> int:
    """When the checkpoint was written; 0 before the first one and, since a run that ends removes it, after the last."""
    try:
        return (folder / "work" / checkpoint.CURRENT).stat().st_mtime_ns
    except FileNotFoundError:
        return 0
