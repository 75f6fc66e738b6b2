"""Which frames of a run are read, by time; and a run that lies in several files."""

import numpy as np
import pytest
from MDAnalysis.lib.formats.libmdaxdr import TRRFile, XTCFile
from sheets import MAP, SALTY, dump

from lmbmd.core.errors import LmbmdError
from lmbmd.trajectory.foreign import open_foreign
from lmbmd.trajectory.parts import Window

X_NM = np.array([row[4] for row in SALTY.rows], np.float32) / 10
BOX_NM = np.eye(3, dtype=np.float32) * 2.6


def xtc(path, times_ps):
    """Frames in which the first atom has moved by a thousandth of its time along x, so that each is known."""
    with XTCFile(str(path), "w") as out:
        for k, time in enumerate(times_ps):
            x = X_NM.copy()
            x[0, 0] += 0.001 * time
            out.write(x, BOX_NM, k, float(time), 1000.0)
    return path


def run(tmp_path, *files, told="", **window):
    """Frames of a run: index, time, and the time that the first atom was written at (by ``xtc``)."""
    topology = SALTY.pdb(tmp_path / "top.pdb")
    (tmp_path / "map.yaml").write_text(MAP + told, encoding="utf-8")
    source = (topology, list(files)) if len(files) > 1 else (topology, *files)
    return open_foreign(source, tmp_path / "map.yaml", Window(**window))[1]


def written(frames):
    return [round(float(frame.positions[0, 0] - 10 * X_NM[0, 0]) / 0.01) for frame in frames]


def times(frames):
    return [frame.time_ps for frame in frames]


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({}, [100, 102, 104, 106, 108, 110]),
        ({"begin_ps": 104}, [104, 106, 108, 110]),
        ({"begin_ps": 103}, [104, 106, 108, 110]),
        ({"end_ps": 104}, [100, 102, 104]),
        ({"begin_ps": 102, "end_ps": 107.9}, [102, 104, 106]),
        ({"every_ps": 4}, [100, 104, 108]),
        ({"begin_ps": 101, "every_ps": 6}, [102, 108]),
        ({"begin_ps": 110}, [110]),
        ({"begin_ps": -5, "end_ps": 1e9}, [100, 102, 104, 106, 108, 110]),
    ],
)
def test_frames_are_chosen_by_time_with_both_ends_included(tmp_path, window, expected):
    frames = run(tmp_path, xtc(tmp_path / "t.xtc", range(100, 112, 2)), **window)
    assert times(frames) == written(frames) == expected
    assert times(frames.part(1, len(frames))) == expected[1:]


def test_long_times_in_single_precision_are_found(tmp_path):
    """At a microsecond neighbouring single-precision numbers are 0.06 ps apart."""
    frames = run(
        tmp_path, xtc(tmp_path / "t.xtc", [1e6 + 0.7 * k for k in range(10)]), begin_ps=1e6 + 2.1, every_ps=1.4
    )
    assert [round(t - 1e6, 1) for t in times(frames)] == pytest.approx([2.1, 3.5, 4.9, 6.3], abs=0.1)


@pytest.mark.parametrize(
    ("window", "said"),
    [
        ({"begin_ps": 111}, r"t\.xtc.*no frame from 111 ps.*from 100 to 110 ps"),
        ({"begin_ps": 102.5, "end_ps": 103.5}, r"no frame from 102\.5 ps to 103\.5 ps"),
        ({"end_ps": 99}, r"no frame to 99 ps"),
        ({"every_ps": 3}, r"3 ps is no multiple of the 2 ps between its frames"),
        ({"every_ps": 1}, r"1 ps is no multiple of the 2 ps"),
        ({"every_ps": 0}, r"every 0 ps is no interval"),
        ({"begin_ps": 104, "end_ps": 102}, r"begin, 104 ps, is after the end, 102 ps"),
        ({"begin_ps": float("nan")}, r"begin = nan ps is no time"),
    ],
)
def test_a_choice_that_leaves_nothing_or_means_nothing_is_refused(tmp_path, window, said):
    with pytest.raises(LmbmdError, match=said):
        run(tmp_path, xtc(tmp_path / "t.xtc", range(100, 112, 2)), **window)


def test_frames_that_are_not_at_one_interval_are_not_thinned_by_time(tmp_path):
    path = xtc(tmp_path / "t.xtc", [0, 2, 4, 6, 20, 22])
    assert times(run(tmp_path, path, end_ps=6, every_ps=4)) == [0, 4]
    with pytest.raises(LmbmdError, match=r"not all 2 ps apart"):
        run(tmp_path, path, every_ps=4)


def test_a_damaged_end_is_left_out_by_time(tmp_path):
    path = xtc(tmp_path / "t.xtc", range(0, 20, 2))
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(LmbmdError, match=r"frame 9: the frame cannot be read.*-e with a time before it"):
        list(run(tmp_path, path))
    assert times(run(tmp_path, path, end_ps=16)) == list(range(0, 18, 2))
    with pytest.raises(LmbmdError, match=r"no frame from 30 ps.*from 0 to 1[68] ps"):
        run(tmp_path, path, begin_ps=30)


def test_frames_of_velocities_only_are_left_out_as_the_message_says(tmp_path):
    with TRRFile(str(tmp_path / "t.trr"), "w") as out:
        for k in range(7):
            out.write(X_NM.copy() if k % 3 == 0 else None, X_NM.copy(), None, BOX_NM, k, 0.5 * k, 0.0, len(X_NM))
    with pytest.raises(LmbmdError, match=r"the frame holds no positions.*positions: --every 1\.5 \(step = 3 "):
        list(run(tmp_path, tmp_path / "t.trr"))
    assert times(run(tmp_path, tmp_path / "t.trr", every_ps=1.5)) == [0, 1.5, 3]
    assert times(run(tmp_path, tmp_path / "t.trr", begin_ps=1.5, every_ps=1.5)) == [1.5, 3]


def test_parts_of_a_run_are_one_run_and_what_was_written_again_counts_once(tmp_path):
    """The second part begins with the last frame of the first, the third goes back to a checkpoint."""
    files = [xtc(tmp_path / f"{k}.xtc", t) for k, t in enumerate((range(0, 8, 2), range(6, 16, 2), range(10, 20, 2)))]
    frames = run(tmp_path, *files)
    assert times(frames) == written(frames) == list(range(0, 20, 2))
    assert [frame.index for frame in frames] == list(range(10))
    assert len(frames) == 10 and str(files[2]) in frames.name
    for first in range(10):
        for last in range(first + 1, 11):
            part = frames.part(first, last)
            assert [f.index for f in part] == list(range(first, last)) and written(part) == list(range(0, 20, 2))[
                first:last
            ]
    assert times(run(tmp_path, *files, every_ps=4)) == [0, 4, 8, 12, 16]
    assert times(run(tmp_path, *files, begin_ps=8, end_ps=12)) == [8, 10, 12]
    assert times(run(tmp_path, *files, begin_ps=2, every_ps=8)) == [2, 10, 18]


def test_parts_in_another_order_or_runs_that_begin_anew_are_no_continuation(tmp_path):
    first, second = xtc(tmp_path / "a.xtc", range(0, 8, 2)), xtc(tmp_path / "b.xtc", range(8, 16, 2))
    with pytest.raises(
        LmbmdError, match=r"a\.xtc.*begins at 0 ps, not after .*b\.xtc, which begins at 8 ps.*order of time"
    ):
        run(tmp_path, second, first)
    with pytest.raises(LmbmdError, match=r"replicas.*clock_is_wrong"):
        run(tmp_path, first, xtc(tmp_path / "c.xtc", range(0, 8, 2)))
    told = "frame_interval_ps: 2\nclock_is_wrong: true\n"
    assert times(run(tmp_path, first, xtc(tmp_path / "c.xtc", range(2, 10, 2)), told=told)) == list(range(0, 16, 2))


def test_parts_of_a_run_that_count_steps_or_nothing_follow_one_another(tmp_path):
    told = "frame_interval_ps: 0.5\n"
    first = dump(tmp_path / "a.lammpstrj", (0, 500, 1000))
    second = dump(tmp_path / "b.lammpstrj", (1000, 1500, 2000))
    assert times(run(tmp_path, first, second, told=told)) == [0, 0.5, 1, 1.5, 2]
    assert times(run(tmp_path, first, dump(tmp_path / "c.lammpstrj", (2000, 2500)), told=told)) == [0, 0.5, 1, 2, 2.5]
    with pytest.raises(LmbmdError, match=r"c\.lammpstrj.*1000 steps apart, those of .*a\.lammpstrj 500"):
        run(tmp_path, first, dump(tmp_path / "c.lammpstrj", (2000, 3000)), told=told)
    wrong = told + "clock_is_wrong: true\n"
    a, b = xtc(tmp_path / "a.xtc", (7, 8)), xtc(tmp_path / "b.xtc", (8, 9))
    frames = run(tmp_path, a, b, told=wrong)
    assert times(frames) == [0, 0.5, 1] and written(frames) == [7, 8, 9], "one frame stands in both files"


def test_a_single_frame_without_a_clock_is_no_part_of_a_run(tmp_path):
    first, second = (SALTY.pdb(tmp_path / f"{name}.pdb") for name in "ab")
    with pytest.raises(LmbmdError, match=r"how much time passes"):
        run(tmp_path, first, second)
