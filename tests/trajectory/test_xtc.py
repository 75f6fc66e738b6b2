"""XTC frames as GROMACS' own code reads them, and damaged ones refused without a crash."""

from __future__ import annotations

import numpy as np
import pytest
from MDAnalysis.lib.formats.libmdaxdr import XTCFile

from lmbmd.core.errors import LmbmdError
from lmbmd.trajectory import xtc

BOX_NM = np.array([[5, 0, 0], [1, 4, 0], [0.5, -1, 6]], np.float32)


def written(path, frames, precision=1000.0):
    with XTCFile(str(path), "w") as file:
        for k, x in enumerate(frames):
            file.write(np.ascontiguousarray(x, np.float32), BOX_NM, k, 2.5 * k, precision)
    return path


def water(n, seed=0, spread=3.0):
    rng = np.random.default_rng(seed)
    oxygen = rng.uniform(-spread, spread, (n, 1, 3))
    return (oxygen + rng.normal(scale=0.07, size=(n, 3, 3)) * [[[0], [1], [1]]]).reshape(-1, 3)


def shapes():
    rng = np.random.default_rng(7)
    yield "water", water(400)
    yield "few atoms", rng.normal(size=(9, 3))
    yield "one atom", rng.normal(size=(1, 3))
    yield "ten atoms", rng.normal(size=(10, 3))
    yield "at one point", np.ones((50, 3))
    yield "a chain", np.cumsum(rng.normal(scale=0.08, size=(500, 3)), axis=0)
    yield "a large box", rng.uniform(-90, 90, (300, 3))
    for k in range(40):
        n, scale = int(rng.integers(10, 80)), 10 ** rng.uniform(-3, 1.9)
        yield f"random {k}", rng.normal(size=(n, 3)) * scale


@pytest.mark.parametrize(("name", "x"), shapes(), ids=lambda v: v if isinstance(v, str) else "")
@pytest.mark.parametrize("precision", [100.0, 1000.0, 10000.0])
def test_frames_are_those_of_the_reference_reader_to_the_bit(tmp_path, name, x, precision):
    path = written(tmp_path / "t.xtc", [x, x + 0.3, x * 0.9], precision)
    n, starts = xtc.scan(path)
    with XTCFile(str(path)) as file:
        assert (n, len(starts)) == (file.n_atoms, len(file.offsets))
        for k, start in enumerate(starts):
            theirs = file.read()
            step, time_ps, mine, box = xtc.read(path, k, int(start), n)
            np.testing.assert_array_equal(mine, theirs.x * np.float32(10.0))
            np.testing.assert_array_equal(box, theirs.box.astype(float) * 10.0)
            assert (step, time_ps) == (theirs.step, theirs.time)


def test_positions_that_are_rounded_too_coarsely_for_distances_are_refused(tmp_path):
    path = written(tmp_path / "t.xtc", [water(40)], precision=10.0)
    with pytest.raises(LmbmdError, match=r"t\.xtc, frame 0: .* rounded to 1 Å.*compressed-x-precision"):
        xtc.read(path, 0, int(xtc.scan(path)[1][0]), 120)


def test_damaged_bytes_never_crash_and_are_mostly_refused(tmp_path):
    path = written(tmp_path / "t.xtc", [water(40, seed) for seed in range(3)])
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    refused = 0
    for _ in range(1000):
        raw = bytearray(whole)
        kind = rng.integers(3)
        at = int(rng.integers(len(raw) - 4))
        if kind == 0:
            raw[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            raw[at : at + 4] = int(rng.choice([0, 1, 2**31 - 1, 2**32 - 1])).to_bytes(4, "big")
        else:
            del raw[at:]
        path.write_bytes(bytes(raw))
        try:
            n, starts = xtc.scan(path)
            for k, start in enumerate(starts):
                x = xtc.read(path, k, int(start), n).positions_A
                assert x.shape == (n, 3)
        except LmbmdError as error:
            refused += 1
            assert "t.xtc" in str(error)
    assert refused > 300


def test_a_frame_that_is_cut_short_is_named(tmp_path):
    path = written(tmp_path / "t.xtc", [water(40), water(40, 1)])
    path.write_bytes(path.read_bytes()[:-10])
    n, starts = xtc.scan(path)
    assert xtc.read(path, 0, int(starts[0]), n).positions_A.shape == (120, 3)
    with pytest.raises(LmbmdError, match=r"t\.xtc, frame 1: the frame cannot be read .*stop = 1"):
        xtc.read(path, 1, int(starts[1]), n)
