"""A changed study simulates anew, and nothing that was simulated before is lost by it."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from toy import simulate_here, write_spec

from lmbmd.core.errors import LmbmdError
from lmbmd.simulate import checkpoint
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.run import simulate

#: Another process that holds a work folder until its input ends.
HOLDER = """
import sys
from lmbmd.simulate.lock import holding
with holding(sys.argv[1], print):
    print("held", flush=True)
    sys.stdin.read()
"""


def start_again(folder: Path) -> None:
    """What Snakemake does: the results are deleted, then the run is asked for with ``fresh``."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    paths = (folder / name for name in ("spec.json", "system.xml", "start.pdb", "work", "out"))
    simulate(*paths, platform=PlatformOptions(name="CPU", threads=1), fresh=True)


def record(folder: Path) -> dict:
    return json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_changed_physics_begins_anew_and_keeps_the_old_run(finished, capsys):
    before = {p.name: p.read_bytes() for p in (finished / "work").iterdir() if "lock" not in p.name}
    write_spec(finished, temperature_K=310.0, production_ns=0.0002)
    start_again(finished)
    assert record(finished)["spec"]["temperature_K"] == 310.0
    assert record(finished)["restarts"] == 0
    kept = {p.name: p.read_bytes() for p in (finished / "work.replaced-1").iterdir() if "lock" not in p.name}
    assert kept == before
    told = capsys.readouterr().err
    assert "temperature_K: 300.0 → 310.0" in told and "work.replaced-1" in told


@pytest.mark.slow
def test_an_undone_change_brings_the_finished_run_back(finished, done, capsys):
    write_spec(finished, temperature_K=310.0, production_ns=0.0002)
    start_again(finished)
    write_spec(finished)
    start_again(finished)
    assert (finished / "out" / "trajectory.xtc").read_bytes() == (done / "out" / "trajectory.xtc").read_bytes()
    assert len(record(finished)["sessions"]) == 1, "it was simulated again"
    other = checkpoint.load(finished / "work.replaced-2" / checkpoint.CURRENT)
    assert other.header["physics"]["temperature_K"] == 310.0
    assert not (finished / "work.replaced-1").exists()
    assert "going on with it" in capsys.readouterr().err


def test_the_same_physics_is_never_set_aside(finished):
    write_spec(finished, production_ns=0.003)
    start_again(finished)
    assert record(finished)["restarts"] == 1 and record(finished)["n_frames"] == 30
    assert not list(finished.glob("work.replaced*"))


def test_a_damaged_run_is_not_set_aside(finished):
    for name in (checkpoint.CURRENT, checkpoint.PREVIOUS):
        (finished / "work" / name).write_bytes(b"nonsense")
    with pytest.raises(LmbmdError, match="no checkpoint is usable"):
        start_again(finished)
    assert not list(finished.glob("work.replaced*"))


def test_a_run_that_is_being_written_is_not_set_aside(finished):
    write_spec(finished, temperature_K=310.0)
    command = [sys.executable, "-c", HOLDER, str(finished / "work")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LmbmdError, match=f"being written by process {holder.pid}"):
            start_again(finished)
        holder.communicate()
    assert not list(finished.glob("work.replaced*"))


def test_without_fresh_it_refuses_and_says_so(finished):
    write_spec(finished, temperature_K=310.0)
    with pytest.raises(LmbmdError, match="temperature_K") as error:
        simulate_here(finished)
    assert "--fresh" in error.value.remedy
