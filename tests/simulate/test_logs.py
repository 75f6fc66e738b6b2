"""The growing files of a run: cut back, known again, and read while they grow."""

from __future__ import annotations

import os

import MDAnalysis
import numpy as np
import pytest

from lmbmd.core.errors import LmbmdError
from lmbmd.simulate import logs
from lmbmd.simulate.logs import Appended, Mark, Row, StateLog, Trajectory, xtc_frames


def frames(path) -> tuple[list[float], np.ndarray]:
    universe = MDAnalysis.Universe.empty(20, trajectory=False)
    universe.load_new(str(path))
    read = [(ts.time, ts.positions.copy()) for ts in universe.trajectory]
    return [t for t, _ in read], np.array([p for _, p in read])


def test_frames_are_numbered_timed_and_precise(tmp_path):
    rng = np.random.default_rng(0)
    positions = rng.uniform(-1, 4, (3, 20, 3))
    trajectory = Trajectory(tmp_path / "t.xtc", 20, 2.5)
    for p in positions:
        trajectory.append(p, np.eye(3) * 3)
    trajectory.settle()
    trajectory.close()
    times, found = frames(tmp_path / "t.xtc")
    assert times == [2.5, 5.0, 7.5]
    assert np.abs(found - 10 * positions).max() <= 0.005 + 1e-5  # half of 0.01 Å, and float32


def test_a_trajectory_cut_back_goes_on_without_gap_or_double(tmp_path):
    rng = np.random.default_rng(0)
    positions = rng.uniform(0, 3, (5, 20, 3))
    whole = Trajectory(tmp_path / "whole.xtc", 20, 2.0)
    marks = []
    for p in positions:
        whole.append(p, np.eye(3) * 3)
        whole.settle()
        marks.append(whole.file.mark())
    whole.close()
    data = (tmp_path / "whole.xtc").read_bytes()
    (tmp_path / "cut.xtc").write_bytes(data[: marks[3].bytes + 50])  # killed inside the fifth frame
    again = Trajectory(tmp_path / "cut.xtc", 20, 2.0)
    again.cut(marks[1])
    for p in positions[2:]:
        again.append(p, np.eye(3) * 3)
    again.settle()
    again.close()
    assert (tmp_path / "cut.xtc").read_bytes() == data


def test_a_trajectory_shorter_than_its_checkpoint_is_noticed(tmp_path):
    trajectory = Trajectory(tmp_path / "t.xtc", 20, 2.0)
    with pytest.raises(ValueError, match=r"t\.xtc has 0 bytes of the 100 that were written"):
        trajectory.cut(Mark(100, 1, ""))
    trajectory.close()


def test_a_frame_that_the_scratch_disk_does_not_take_is_no_frame(tmp_path):
    trajectory = Trajectory(tmp_path / "t.xtc", 20, 2.0)
    encoder = trajectory._encoder

    class Short:
        def writeModel(self, *args, **kwargs):
            encoder.writeModel(*args, **kwargs)
            trajectory._frame.write_bytes(trajectory._frame.read_bytes()[:-8])

    trajectory._encoder = Short()
    with pytest.raises(LmbmdError, match="is the temporary folder full"):
        trajectory.append(np.zeros((20, 3)), np.eye(3))
        trajectory.settle()
    assert trajectory.file.size == 0
    trajectory.close()


def test_half_a_piece_is_taken_back_when_the_disk_is_full(tmp_path, monkeypatch):
    log = StateLog(tmp_path / "s.csv")
    log.cut(None)
    before = log.file.size
    real, calls = os.write, []

    def full(handle, data):
        calls.append(data)
        if len(calls) > 1:
            raise OSError(28, "No space left on device")
        return real(handle, data[:5])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(LmbmdError, match=r"s\.csv: cannot write the file: No space left on device"):
        log.append(Row(1, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0))
    assert log.file.size == before
    log.file.close()


def test_rows_survive_their_file(tmp_path):
    log = StateLog(tmp_path / "s.csv")
    log.cut(None)
    rows = [Row(k, 0.1 * k, 1.0, 1000.0, -5.5, 2.25, 300.0) for k in range(3)]
    for row in rows:
        log.append(row)
    assert [(r.step, round(r.time_ps, 9), r.potential_kJ_mol) for r in log.read()] == [
        (0, 0, -5.5),
        (1, 0.1, -5.5),
        (2, 0.2, -5.5),
    ]
    log.cut(None)
    log.append(rows[1])
    assert [r.step for r in log.read()] == [1]
    log.file.close()


# ---- known again


def test_a_file_is_known_by_what_it_held_not_by_its_length(tmp_path):
    file = Appended(tmp_path / "f")
    file.append(b"common, ")
    common = file.mark()
    file.append(b"the branch that is given up")
    given_up = file.mark()
    file.cut(common)
    file.append(b"the branch that is gone on with")
    assert file.mark().pieces == 2
    assert common.fault(file.path) == ""
    assert given_up.fault(file.path) == "f does not hold what was written at that time"
    with pytest.raises(ValueError, match="does not hold"):
        file.cut(given_up)
    file.path.unlink()
    assert common.fault(file.path) == "f is gone"
    file.close()


def test_marking_a_long_file_reads_only_its_end(tmp_path, monkeypatch):
    monkeypatch.setattr(logs, "TAIL_BYTES", 10)
    file = Appended(tmp_path / "f")
    file.append(b"x" * 1000)
    read, real = [], os.pread
    monkeypatch.setattr(os, "pread", lambda handle, n, at: (read.append(n), real(handle, n, at))[1])
    mark = file.mark()
    assert mark.fault(file.path) == "" and read == [10, 10]
    file.append(b"y")
    assert mark.fault(file.path) == "" and file.mark().fault(file.path) == ""
    file.close()


# ---- the frames of a trajectory


@pytest.fixture(params=[3, 20], ids=["3 atoms, not compressed", "20 atoms"])
def written(request, tmp_path):
    """An XTC file of five frames and how many atoms it has."""
    n_atoms = request.param
    trajectory = Trajectory(tmp_path / "t.xtc", n_atoms, 2.0)
    for positions in np.random.default_rng(0).uniform(0, 3, (5, n_atoms, 3)):
        trajectory.append(positions, np.eye(3) * 3)
    trajectory.settle()
    trajectory.close()
    return tmp_path / "t.xtc", n_atoms


def test_whole_frames_are_counted(written):
    path, n_atoms = written
    assert xtc_frames(path, n_atoms) == 5
    path.write_bytes(b"")
    assert xtc_frames(path, n_atoms) == 0


def test_frames_that_break_off_repeat_or_are_missing_are_noticed(written):
    path, n_atoms = written
    data = path.read_bytes()
    # The encoder's frames of one file may differ in length; each begins with XTC's number.
    starts = [i for i in range(0, len(data), 4) if data[i : i + 8] == (1995).to_bytes(4) + n_atoms.to_bytes(4)]
    assert len(starts) == 5
    for broken, after in {
        data[:-4]: 4,
        data + data[:10]: 5,
        data[: starts[3]] + data[starts[2] :]: 3,
        data[: starts[1]] + data[starts[2] :]: 1,
        data[: starts[2] + 20] + data[starts[3] :]: 3,  # a torn frame whose head is whole counts, what follows does not
    }.items():
        path.write_bytes(broken)
        with pytest.raises(ValueError, match=rf"t\.xtc breaks off after {after} frames") as error:
            xtc_frames(path, n_atoms)
        assert str(len(broken)) in str(error.value)
    path.write_bytes(data)
    with pytest.raises(ValueError, match="after 0 frames"):
        xtc_frames(path, n_atoms + 1)
