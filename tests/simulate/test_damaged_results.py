"""A changed byte of what a run has published is noticed by whoever reads it, and never published again."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest
from runs import assert_complete
from toy import simulate_here

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import check_recorded, sealed, write_text
from lmbmd.core.provenance import file_sha256
from lmbmd.simulate import checkpoint
from lmbmd.simulate.protocol import RECORD, load_spec, read_record
from lmbmd.simulate.publish import publish
from lmbmd.trajectory import xtc

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", ["run.json", "spec.json"])
def test_a_changed_byte_of_a_record_is_noticed_or_harmless(finished, name):
    path, read = finished / "out" / name, {"run.json": read_record, "spec.json": load_spec}[name]
    if name == "spec.json":
        write_text(path, json.dumps(sealed(json.loads((finished / name).read_text(encoding="utf-8"))), indent=1))
    whole, expected, draw = path.read_bytes(), read(path), random.Random(name)
    noticed = 0
    for place in draw.sample(range(len(whole)), min(150, len(whole))):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1 :])
        try:
            found = read(path)
        except LmbmdError as error:
            noticed += 1
            assert name in str(error)
        else:
            assert found == expected or {k: v for k, v in found.items() if k in expected} == expected, f"byte {place}"
    assert noticed > 100


def test_a_changed_byte_of_a_published_file_is_noticed(finished):
    names = read_record(finished / "out" / RECORD)["files"]
    assert len(names) >= 4
    for name in names:
        path = finished / "out" / name
        check_recorded(path, RECORD, "Restore it.")
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.unlink()
        path.write_bytes(bytes(raw))
        with pytest.raises(LmbmdError, match=rf"{name}: the file is not the one that run\.json"):
            check_recorded(path, RECORD, "Restore it.")
        path.unlink()
    simulate_here(finished)
    assert_complete(finished)
    for name in names:
        check_recorded(finished / "out" / name, RECORD, "Restore it.")


@pytest.mark.parametrize("name", ["trajectory.xtc", "state.csv", "final.pdb"])
def test_what_was_damaged_in_both_folders_at_once_is_not_published_again(finished, name):
    """Where results and work share their bytes, a bad block is one of both."""
    path = finished / "work" / name
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))
    (finished / "out" / name).unlink()
    # The checkpoint knows the last mebibyte of what grows; the record beside the results knows all.
    with pytest.raises(LmbmdError, match=rf"{name} does not hold what was written|work/{name}: .* published before"):
        simulate_here(finished)
    assert not (finished / "out" / name).exists()


def test_a_long_trajectory_that_was_damaged_at_its_beginning_is_not_published_again(finished):
    path = finished / "work" / "trajectory.xtc"
    third = int(xtc.scan(path)[1][2])
    with path.open("r+b") as file:
        file.seek(third + 200)  # behind the header: positions
        file.write(b"damage")
    (finished / "out" / "trajectory.xtc").unlink()
    last = checkpoint.load(finished / "work" / checkpoint.CURRENT)
    with pytest.raises(LmbmdError, match=r"work/trajectory\.xtc: the file is not the one that was published before"):
        publish(finished / "work", finished / "out", last, load_spec(finished / "spec.json"), {}, simulated=False)


def test_a_box_that_changed_since_it_was_built_is_not_simulated(fresh):
    names = ("system.xml", "start.pdb")
    record = sealed({"files": {name: file_sha256(fresh / name) for name in names}})
    (fresh / "build.json").write_text(json.dumps(record), encoding="utf-8")
    text = (fresh / "system.xml").read_text(encoding="utf-8")
    at = text.index('q="') + 4
    digit = next(k for k in range(at, len(text)) if text[k].isdigit())
    (fresh / "system.xml").write_text(
        text[:digit] + str((int(text[digit]) + 1) % 10) + text[digit + 1 :], encoding="utf-8"
    )
    with pytest.raises(LmbmdError, match=r"system\.xml: the file is not the one that build\.json"):
        simulate_here(fresh)
    assert not (fresh / "work").exists()
    (fresh / "build.json").unlink()
    simulate_here(fresh)
    assert np.isfinite(read_record(fresh / "out" / "run.json")["production_ns"])
