"""Where transport segments begin: which frame, at which volume, and when a start is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import MDAnalysis
import numpy as np
import pandas as pd
import pytest
from toy import TINY, relaxed_run, simulate_here, toy_box, write_spec

from lmbmd.box.pdb import read_pdb
from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable
from lmbmd.study import starts

# ---- which frames


def test_segments_begin_at_a_half_a_quarter_three_quarters_and_so_on():
    middles = [np.mean([w[0], w[-1] + 1]) / 6400 for w in (starts.window(k, 6400) for k in range(1, 9))]
    assert middles == pytest.approx([0.5, 0.25, 0.75, 0.125, 0.625, 0.375, 0.875, 0.0625], abs=1e-3)


@pytest.mark.parametrize("n_frames", [320, 1000, 6400])
def test_the_first_fifteen_segments_share_no_frame(n_frames):
    frames = [k for number in range(1, 16) for k in starts.window(number, n_frames)]
    assert len(frames) == len(set(frames)) and 0 <= min(frames) and max(frames) < n_frames


@pytest.mark.parametrize("n_frames", [1, 2, 7])
def test_there_is_a_frame_however_few_there_are(n_frames):
    for number in range(1, 65):
        window = starts.window(number, n_frames)
        assert len(window) and 0 <= window[0] and window[-1] < n_frames


# ---- a start

#: A hundred frames, and a volume that changes between them.
PROTOCOL = {"barostat_interval": 5, "frame_interval_ps": 0.02}


@pytest.fixture(scope="module")
def production(tmp_path_factory) -> Path:
    """A finished run at constant pressure, its box beside it."""
    folder = relaxed_run(tmp_path_factory.mktemp("production") / "run", **PROTOCOL)
    toy_box(TINY, 13.5, cutoff_nm=0.5).atoms.write(folder / "atoms.parquet")
    simulate_here(folder)
    return folder


@pytest.fixture
def run(production, tmp_path) -> Path:
    return Path(shutil.copytree(production, tmp_path / "run"))


def started(run: Path, number: int = 1) -> tuple[Path, dict]:
    out = run / "out" / f"t{number}" / "start.pdb"
    arguments = ["--box", str(run / "start.pdb"), "--atoms", str(run / "atoms.parquet"), "--out", str(out)]
    assert main(["start", str(run / "out"), str(number), *arguments]) == 0
    return out, json.loads(out.with_name("start.json").read_text(encoding="utf-8"))


def test_a_start_is_the_frame_nearest_to_the_mean_volume_scaled_to_it(run):
    """Whole molecules move with their centres; nothing in them does. Coordinates are written to 0.001 Å."""
    out, told = started(run)
    mean_A3 = pd.read_csv(run / "out" / "state.csv").volume_A3.mean()
    positions_A, box_A = read_pdb(out.read_text(encoding="utf-8"), where="start.pdb")
    assert told["mean_volume_A3"] == pytest.approx(mean_A3, rel=1e-12)
    assert np.linalg.det(box_A) == pytest.approx(mean_A3, rel=3 * 0.0005 / 11)
    universe = MDAnalysis.Universe(str(run / "out" / "final.pdb"), str(run / "out" / "trajectory.xtc"))
    volumes = [ts.volume for ts in universe.trajectory]
    window = starts.window(1, 100)
    assert told["frame"] - 1 == min(window, key=lambda k: abs(volumes[k] - mean_A3))
    assert told["time_ps"] == pytest.approx(0.02 * told["frame"]) and len(window) == 7
    factor = (mean_A3 / volumes[told["frame"] - 1]) ** (1 / 3)
    assert told["scaled_by"] == pytest.approx(factor, abs=1e-6) and factor != 1
    frame = universe.trajectory[told["frame"] - 1].positions.astype(float)
    table = AtomTable.read(run / "atoms.parquet")
    for molecule in range(table.molecule[-1] + 1):
        atoms = table.molecule == molecule
        mass = table.mass_amu[atoms][:, None]
        before, after = ((mass * x[atoms]).sum(0) / mass.sum() for x in (frame, positions_A))
        assert after == pytest.approx(before * factor, abs=0.0011)
        assert positions_A[atoms] - after == pytest.approx(frame[atoms] - before, abs=0.0021)


def test_a_start_that_is_there_is_kept_when_the_production_was_extended(run):
    out, told = started(run, 2)
    before = out.read_bytes()
    write_spec(run, production_ns=0.003, **PROTOCOL)
    simulate_here(run)
    assert started(run, 2) == (out, told) and out.read_bytes() == before
    _, other = started(run, 3)
    assert other["frame"] - 1 in starts.window(3, 150)


@pytest.mark.parametrize("damage", ["start.pdb", "start.json"])
def test_a_start_without_a_whole_record_of_itself_is_made_again(run, damage):
    out, told = started(run)
    before = out.read_bytes()
    (out.parent / damage).write_bytes((out.parent / damage).read_bytes()[:-9])
    assert started(run)[1] == told and out.read_bytes() == before


def test_a_start_of_another_production_is_made_anew(run):
    _, told = started(run)
    shutil.rmtree(run / "work")
    write_spec(run, temperature_K=310.0, **PROTOCOL)
    simulate_here(run)
    assert started(run)[1]["production"] != told["production"]


def test_a_production_without_volumes_or_of_another_box_is_refused(run, tmp_path):
    toy_box({"Li": 1, "AN": 1, "SOL": 20}, 13.5, cutoff_nm=0.5).atoms.write(tmp_path / "other.parquet")
    arguments = (run / "out", run / "start.pdb", tmp_path / "other.parquet", 1, tmp_path / "start.pdb", print)
    with pytest.raises(LmbmdError, match="its frames have 88 atoms, the box 84"):
        starts.write_start(*arguments)
    (run / "out" / "state.csv").write_text("step,volume_A3\n", encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"state\.csv: the file is not the one that run\.json beside it tells of"):
        starts.write_start(*arguments)
    assert not (tmp_path / "start.pdb").exists()
