"""Transport segments as a user has them made: by the workflow, from finished productions, and no more than is asked."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
from planning import ROOT, planned, snakemake
from tiny_study import PROTOCOL, write_study

from lmbmd.cli.parser import main
from lmbmd.study import forecast
from lmbmd.study.forecast import forecast as forecasts
from lmbmd.study.study import load_study

pytestmark = pytest.mark.slow

EVERY = ", ".join(f"{what}_interval_ps: 0.1" for what in ("frame", "state", "pressure"))
STUDY = f"""
study: moving
formulations: formulations
platform: {{name: CPU, checkpoint_interval_s: 0.2}}
{PROTOCOL}
transport: {{segments: 2, length_ns: 0.002, settle_ns: 0.001, {EVERY}}}
"""
RUN = Path("moving-dme", "298.15K", "r1")
AFTER = {"describe": 1, "report": 1, "index": 1}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A study with segments that has been run."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, STUDY, "moving-dme")
    assert forecasts.jobs(load_study(folder / "config" / "config.yaml"), ["moving-dme"]) == planned(folder)
    run = snakemake(folder)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "study", symlinks=True))


def edit(study: Path, old: str, new: str) -> None:
    path = study / "config" / "config.yaml"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def record(study: Path, number: int) -> dict:
    return json.loads((study / "results" / RUN / f"t{number}" / "run.json").read_text(encoding="utf-8"))


def assert_whole(study: Path, number: int, n_frames: int = 20) -> None:
    """A segment's files are those that were asked for, and its box is the production's mean."""
    folder = study / "results" / RUN / f"t{number}"
    assert record(study, number)["n_frames"] == n_frames
    rows, tensors = (pd.read_csv(folder / name) for name in ("state.csv", "pressure.csv"))
    assert rows.time_ps.tolist() == tensors.time_ps.tolist() == [pytest.approx(0.1 * k) for k in range(1, n_frames + 1)]
    mean_A3 = pd.read_csv(folder.parent / "state.csv").volume_A3.mean()
    assert rows.volume_A3.unique() == [pytest.approx(mean_A3, rel=2e-4)]
    made = {path.name for path in folder.iterdir() if not path.name.startswith(".")}
    assert made == {
        *("spec.json", "start.pdb", "start.json", "trajectory.xtc", "state.csv", "equilibration.csv", "pressure.csv"),
        *("final.pdb", "run.json", "contacts.arrow"),
    }


def test_a_study_with_segments_makes_them_and_then_nothing(finished):
    for number in (1, 2):
        assert_whole(finished, number)
    assert not (finished / "results" / RUN / "t3").exists()
    frames = [json.loads((finished / "results" / RUN / f"t{k}" / "start.json").read_text())["frame"] for k in (1, 2)]
    assert frames[0] > frames[1]
    assert planned(finished) == {}


def test_more_segments_leave_those_that_there_are(study):
    edit(study, "segments: 2", "segments: 3")
    assert planned(study) == {"segment": 1, "segment_contacts": 1, **AFTER}


def test_a_study_that_wants_segments_later_simulates_nothing_else(study, monkeypatch, capsys):
    edit(study, "transport:", "# transport:")
    assert planned(study) == AFTER
    monkeypatch.chdir(study)
    assert main(["why", "moving-dme"]) == 0
    assert "description: will be made again" in (told := capsys.readouterr().out) and "segments: 2 → 0" in told
    edit(study, "# transport:", "transport:")
    assert planned(study) == {}


def test_another_thermostat_makes_the_segments_anew_and_not_the_production(study, monkeypatch, capsys):
    edit(study, "segments: 2", "segments: 2, ensemble: NVE")
    assert planned(study) == {"segment": 2, "segment_contacts": 2, **AFTER}
    monkeypatch.chdir(study)
    assert main(["why", "moving-dme"]) == 0
    told = capsys.readouterr().out
    assert "nothing of its physics changed, and it will not be simulated again" in told
    assert "segment 2: finished, 0.002 ns: it will be simulated anew" in told and "ensemble" in told


def test_other_contacts_are_told_of_every_segment(study, monkeypatch, capsys):
    edit(study, "study: moving", "study: moving\nanalysis: {search_radius_A: 5.5}")
    assert planned(study) == {"contacts": 1, "segment_contacts": 2, **AFTER}
    monkeypatch.chdir(study)
    assert main(["why", "moving-dme"]) == 0
    told = capsys.readouterr().out
    assert told.count("search_radius_A: 5.0 → 5.5") == 3 and "not made yet" not in told


def test_longer_segments_go_on_where_they_ended(study, monkeypatch, capsys):
    edit(study, "length_ns: 0.002", "length_ns: 0.003")
    monkeypatch.chdir(study)
    assert main(["why", "moving-dme"]) == 0
    assert "segment 1: finished, 0.002 ns: it will go on to 0.003 ns" in capsys.readouterr().out
    assert planned(study) == {"segment": 2, "segment_contacts": 2, **AFTER}
    run = snakemake(study)
    assert run.returncode == 0, run.stdout + run.stderr
    for number in (1, 2):
        assert_whole(study, number, 30)
        assert record(study, number)["restarts"] == 1


def test_a_longer_production_keeps_its_segments(study):
    """Their jobs are run, as their input is newer, and take no step."""
    before = [record(study, number)["sessions"] for number in (1, 2)]
    starts = [(study / "results" / RUN / f"t{k}" / "start.pdb").read_bytes() for k in (1, 2)]
    edit(study, "production_ns: 0.006", "production_ns: 0.008")
    run = snakemake(study)
    assert run.returncode == 0, run.stdout + run.stderr
    assert json.loads((study / "results" / RUN / "run.json").read_text(encoding="utf-8"))["production_ns"] == 0.008
    assert [record(study, number)["sessions"] for number in (1, 2)] == before
    assert [(study / "results" / RUN / f"t{k}" / "start.pdb").read_bytes() for k in (1, 2)] == starts
    assert planned(study) == {}


def test_a_segment_that_is_killed_goes_on_in_the_next_snakemake(study):
    edit(study, "length_ns: 0.002", "length_ns: 0.02")
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"), "--directory", str(study)]
    process = subprocess.Popen([*command, "--until", "segment"], stderr=subprocess.PIPE, start_new_session=True)
    work = study / "work" / RUN / "t1" / "checkpoint"
    first, end = work.stat().st_mtime_ns, time.monotonic() + 120
    while work.stat().st_mtime_ns == first and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    assert record(study, 1)["production_ns"] == 0.002, "the kill came too late"
    snakemake(study, "--unlock")
    run = snakemake(study, "--until", "segment_contacts")
    assert run.returncode == 0, run.stdout + run.stderr
    assert_whole(study, 1, 200)
    assert record(study, 1)["restarts"] >= 2


def test_an_estimate_counts_segments_and_their_tensors(study):
    """A hundred steps/s of a thousand atoms: softening, settling, production and a tensor each 25 steps."""
    asked = load_study(study / "config" / "config.yaml")
    speed = forecast.forecast.Speed(100.0, 1000, "by hand", 2, False, "by hand")
    found = forecast.forecast.cost_of(asked, "moving-dme", speed)
    steps = 3000 + 250 + 500 + 15 * 20
    hours = steps * found.atoms / 100_000 / 3600
    assert (found.segments, found.segment_h) == (2, pytest.approx(hours))
    edit(study, "transport:", "# transport:")
    without = forecast.forecast.cost_of(load_study(study / "config" / "config.yaml"), "moving-dme", speed)
    assert found.hours[0] - without.hours[0] == pytest.approx(2 * 2 * hours) == found.segment_hours
    assert found.disk_bytes > without.disk_bytes
