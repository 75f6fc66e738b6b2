"""Where runs stand, told from their files: every state, what went wrong, what is left; and that nothing is touched."""

from __future__ import annotations

import json
import os
import sys
import time
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from benchmarks.scale import write_study
from benchmarks.status import GPU, Runs
from lmbmd.cli.parser import main
from lmbmd.simulate.lock import holding
from lmbmd.study import layout
from lmbmd.study.status import RunStatus, State, StudyStatus, status
from lmbmd.study.status_text import closing_text, status_text
from lmbmd.study.study import load_study

#: Events of this process, while somebody listens: files that are opened, folders that are listed, locks.
_LISTENERS: list[list[tuple[str, tuple]]] = []
_EVENTS = ("open", "os.listdir", "os.scandir", "fcntl.flock", "fcntl.lockf", "os.utime")


def _hear(event: str, arguments: tuple) -> None:
    if _LISTENERS and event in _EVENTS:
        _LISTENERS[-1].append((event, arguments))


sys.addaudithook(_hear)


def heard_while_looking(runs: Runs) -> tuple[StudyStatus, list[tuple[str, tuple]]]:
    """The status, and everything that was opened, listed or locked for it."""
    _LISTENERS.append([])
    try:
        found = look(runs)
    finally:
        heard = _LISTENERS.pop()
    return found, heard


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Runs:
    """A study of two bottles with three replicas each, of which nothing is begun."""
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path, 2, 3)
    return Runs(tmp_path, load_study("config/config.yaml", composed=False))


def look(runs: Runs) -> StudyStatus:
    return status(runs.study)


def first(runs: Runs) -> RunStatus:
    return look(runs).runs[0]


def test_a_new_study_waits(runs):
    found = look(runs)
    assert found.counts == {State.WAITING: 6} and not found.failures
    assert (found.spent_hours, found.left_hours, found.without_speed) == ({}, {}, 6)


def test_what_is_asked_for_is_known_without_composing(runs):
    whole = load_study("config/config.yaml")
    assert whole.runs() == runs.study.runs() and whole.compositions and not runs.study.compositions
    assert [whole.spec(*run) for run in whole.runs()] == [runs.study.spec(*run) for run in whole.runs()]


def test_a_finished_run_goes_from_simulated_to_reported(runs):
    run = runs.study.runs()[0]
    runs.finished(run)
    assert first(runs).state == State.REPORTED and first(runs).left_ns == 0
    layout.mark(layout.bottle(layout.RESULTS, run.formulation), "report").unlink()
    assert first(runs).state == State.ANALYSED
    layout.mark(layout.point(layout.RESULTS, run.formulation, run.temperature), "describe").unlink()
    assert first(runs).state == State.SIMULATED
    layout.mark(layout.run(layout.RESULTS, *run), "contacts").unlink()
    assert first(runs).state == State.SIMULATED
    layout.mark(layout.run(layout.RESULTS, *run), "simulate").unlink()
    assert first(runs).state == State.STOPPED


def test_a_run_that_is_written_now_produces_at_its_own_speed(runs):
    run = runs.study.runs()[0]
    runs.begun(run, "produce", 4.0, rows=500)  # 4 ns in two hours; the rows go on from there
    runs.held(run)
    found = first(runs)
    assert (found.state, found.host, found.stage) == (State.PRODUCING, "node-1", "produce")
    assert found.produced_ns == pytest.approx(4.0) and found.asked_ns == 10
    assert found.ns_per_day == pytest.approx(48)
    assert found.left_h == pytest.approx(3.0)
    assert found.spent_h == pytest.approx(3.0) and (found.on, found.units) == ("CPU core", 2)


def test_rows_after_the_last_checkpoint_count(runs):
    run = runs.study.runs()[0]
    runs.begun(run, "produce", 4.0)
    log = layout.run(layout.WORK, *run) / "state.csv"
    with open(log, "a", encoding="utf-8") as handle:
        handle.write("1250000,5000,1.1,1e5,-1e5,1e4,298\n1250250,5001,1.1")  # a row that is just being written
    assert first(runs).produced_ns == pytest.approx(5.0)


def test_a_run_equilibrates_until_its_production_begins(runs):
    run = runs.study.runs()[0]
    runs.begun(run, "equilibrate", 0.5)
    runs.held(run)
    found = first(runs)
    assert (found.state, found.produced_ns) == (State.EQUILIBRATING, 0)
    assert found.equilibrated_ns == pytest.approx(0.5) and found.equilibration_ns == 1
    assert found.ns_per_day == pytest.approx(12) and found.left_h == pytest.approx(21)


def test_a_run_that_only_holds_its_folder_has_begun(runs):
    runs.held(runs.study.runs()[0])
    assert first(runs).state == State.EQUILIBRATING


def test_a_writer_that_is_gone_leaves_a_stopped_run(runs):
    run = runs.study.runs()[0]
    runs.begun(run, "produce", 4.0)
    runs.held(run)
    long_ago = time.time() - 3600
    os.utime(layout.run(layout.WORK, *run) / "lock.1", (long_ago, long_ago))
    assert first(runs).state == State.STOPPED


def test_a_real_writer_is_seen_and_not_disturbed(runs):
    work = layout.run(layout.WORK, *runs.study.runs()[0])
    with holding(work, print):
        assert first(runs).state == State.EQUILIBRATING
    assert first(runs).state == State.WAITING


def test_the_last_message_of_a_failed_run_is_told_whole(runs):
    run = runs.study.runs()[1]
    runs.failed(run)
    (failure,) = look(runs).failures
    assert look(runs).runs[1].state == State.FAILED
    assert (failure.rule, failure.job) == ("simulate", f"{run.formulation}/{run.temperature}K/r2")
    assert failure.why.startswith("work/x: the run explodes") and failure.why.endswith("molecules.")
    assert failure.log == f"logs/simulate/{run.formulation}.{run.temperature}K.r2.log"
    text = status_text(look(runs))
    assert "the run explodes" in text and failure.log in text and "1 job failed" in text


def test_progress_in_the_log_of_a_killed_run_is_no_failure(runs):
    run = runs.study.runs()[0]
    runs.begun(run, "produce", 4.0)
    runs.said(run, "simulate", "produce: 22.4 of 50 ps, 15.9 ns/day, 02:30 left\n")
    assert first(runs).state == State.STOPPED and not look(runs).failures


@pytest.mark.parametrize("rule", ["compose", "build", "contacts", "describe", "report", "index"])
def test_a_failure_of_any_stage_is_that_of_its_runs(runs, rule):
    run = runs.study.runs()[0]
    folders = {
        "compose": Path(run.formulation),
        "build": Path(run.formulation, "r1"),
        "contacts": layout.run(Path(), *run),
        "describe": Path(run.formulation, f"{run.temperature}K"),
        "report": Path(run.formulation),
        "index": Path(),
    }
    if rule in ("contacts", "describe", "report"):
        runs.finished(run)
        layout.mark(layout.RESULTS / folders[rule], rule).unlink()
    path = layout.log(layout.LOGS, rule, folders[rule])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"something\nlmbmd {rule}: a: no such\nthing. Mend it.\n", encoding="utf-8")
    found = look(runs)
    assert [(one.rule, one.why) for one in found.failures] == [(rule, "a: no such thing. Mend it.")]
    assert (found.runs[0].state == State.FAILED) == (rule != "index")
    layout.mark(layout.RESULTS / folders[rule], rule).parent.mkdir(parents=True, exist_ok=True)
    layout.mark(layout.RESULTS / folders[rule], rule).touch()
    assert not look(runs).failures, "its last job succeeded"


@pytest.mark.parametrize(("section", "rule"), [("scattering", "scatter"), ("quantum", "draw"), ("quantum", "quantum")])
def test_what_is_asked_for_beside_contacts_is_a_stage_of_its_own(runs, section, rule):
    with open("config/config.yaml", "a", encoding="utf-8") as file:
        file.write(f"{section}: {{}}\n")
    asked = Runs(runs.folder, load_study("config/config.yaml", composed=False))
    run = asked.study.runs()[0]
    folder = layout.run(Path(), *run)
    asked.finished(run)
    assert first(asked).state == State.SIMULATED
    for one in asked.study.readers:
        layout.mark(layout.RESULTS / folder, one).touch()
    assert first(asked).state == State.REPORTED
    layout.mark(layout.RESULTS / folder, rule).unlink()
    assert first(asked).state == State.SIMULATED
    note = pend(asked, rule, folder)
    assert first(asked).state == State.ANALYSING
    note.unlink()
    log = layout.log(layout.LOGS, rule, folder)
    log.parent.mkdir(parents=True)
    log.write_text(f"lmbmd {rule}: rdf.npz: it is damaged. Run the contacts stage again.\n", encoding="utf-8")
    found = look(asked)
    assert found.runs[0].state == State.FAILED and found.counts[State.FAILED] == 1
    (failure,) = found.failures
    assert (failure.rule, failure.job) == (rule, folder.as_posix()) and failure.why.startswith("rdf.npz")
    assert f"{rule} of {folder.as_posix()}: rdf.npz: it is damaged" in " ".join(status_text(found).split())


def pend(runs: Runs, rule: str, folder: Path, *, alive: bool = True) -> Path:
    """What Snakemake notes of a job that it has submitted."""
    notes = runs.folder / ".snakemake"
    (notes / "locks").mkdir(parents=True, exist_ok=True)
    if alive:
        (notes / "locks" / "0.output.lock").touch()
    name = urlsafe_b64encode(layout.mark(layout.RESULTS / folder, rule).as_posix().encode()).decode()
    note = notes / "incomplete" / name
    note.parent.mkdir(exist_ok=True)
    note.write_text('{"external_jobid": "7"}', encoding="utf-8")
    return note


def test_a_job_that_snakemake_has_submitted_is_queued(runs):
    run = runs.study.runs()[0]
    note = pend(runs, "simulate", layout.run(Path(), *run))
    assert [one.state for one in look(runs).runs[:2]] == [State.QUEUED, State.WAITING]
    runs.failed(run)  # an attempt before this one
    os.utime(note, (time.time() + 10, time.time() + 10))
    assert first(runs).state == State.QUEUED
    os.utime(note, (1, 1))
    assert first(runs).state == State.FAILED
    runs.held(run)
    assert first(runs).state == State.EQUILIBRATING


def test_boxes_and_analyses_that_snakemake_has_begun_are_told(runs):
    run, other = runs.study.runs()[:2]
    pend(runs, "build", layout.box(Path(), run.formulation, 1))
    assert [one.state for one in look(runs).runs[:2]] == [State.BUILDING, State.WAITING]
    for one in (run, other):
        runs.finished(one)
    point, bottle = layout.point(Path(), run.formulation, run.temperature), layout.bottle(Path(), run.formulation)
    rules = {"report": bottle, "describe": point, "contacts": layout.run(Path(), *run)}
    for rule, folder in rules.items():
        layout.mark(layout.RESULTS / folder, rule).unlink()
        assert first(runs).state != State.ANALYSING
        note = pend(runs, rule, folder)
        assert first(runs).state == State.ANALYSING and first(runs).left_ns == 0
        note.unlink()


def test_notes_of_a_snakemake_that_is_gone_queue_nothing(runs):
    pend(runs, "simulate", layout.run(Path(), *runs.study.runs()[0]), alive=False)
    assert first(runs).state == State.WAITING


def test_a_long_name_is_found_among_snakemakes_notes(tmp_path, monkeypatch):
    """As Snakemake itself writes them, in pieces."""
    from snakemake.persistence.file import FilePersistence

    from lmbmd.study.status import _pending

    monkeypatch.chdir(tmp_path)
    notes = FilePersistence(path=tmp_path / ".snakemake")
    paths = ["results/a/298.15K/r1/.simulate", f"results/{'x' * 90}/298.15K/{'y' * 200}/.simulate"]
    for path in paths:
        notes._mark_incomplete(path, None)
    notes._write_locks("output", paths)
    assert set(_pending(Path(".snakemake"))) == set(paths)


def test_other_physics_are_not_what_was_asked_for(runs):
    one, two = runs.study.runs()[:2]
    runs.finished(one)
    runs.begun(two, "produce", 4.0)
    config = Path("config/config.yaml")
    config.write_text(config.read_text(encoding="utf-8") + "protocol: {friction_per_ps: 2}\n", encoding="utf-8")
    found = status(load_study(config, composed=False))
    assert [(r.state, r.is_changed) for r in found.runs[:2]] == [(State.WAITING, True)] * 2
    assert all(r.left_ns == 11 for r in found.runs), "all of it is simulated again"
    assert "lmbmd why" in status_text(found)


def test_a_longer_production_goes_on(runs):
    runs.finished(runs.study.runs()[0])
    config = Path("config/config.yaml")
    config.write_text(config.read_text(encoding="utf-8") + "protocol: {production_ns: 30}\n", encoding="utf-8")
    found = status(load_study(config, composed=False)).runs[0]
    assert (found.state, found.produced_ns, found.asked_ns, found.left_ns) == (State.STOPPED, 10, 30, 20)


def test_segments_are_runs_of_their_own(runs):
    config = Path("config/config.yaml")
    config.write_text(config.read_text(encoding="utf-8") + "transport: {segments: 2}\n", encoding="utf-8")
    study = load_study(config, composed=False)
    Runs(runs.folder, study).finished(study.runs()[0])
    found = status(study)
    assert [(r.replica, r.segment) for r in found.runs[:4]] == [(1, None), (1, 1), (1, 2), (2, None)]
    assert [r.state for r in found.runs[:2]] == [State.REPORTED, State.WAITING]
    assert (found.runs[1].asked_ns, found.runs[1].equilibration_ns) == (1, 0.02)


def test_hours_are_counted_by_what_computes(runs):
    a, b, c, *_ = runs.study.runs()
    runs.finished(a)  # 1.1 h on two threads
    runs.finished(b, GPU, sessions=[{"runs_per_device": 4}])
    runs.begun(c, "produce", 4.0)  # 3 h, and 6 of 10 ns left at 48 ns/day
    found = look(runs)
    assert found.spent_hours == {"CPU core": pytest.approx(2.2 + 6), "GPU": pytest.approx(1.1 / 4)}
    rest = 3 * 11 / 144 * 24 * 2  # the other bottle's three: 11 ns each, at the median of 240 and 48 ns/day
    assert found.left_hours == {"CPU core": pytest.approx(6 / 48 * 24 * 2 + rest)}
    assert found.without_speed == 0 and "core hours" in status_text(found)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"spec": 1}', '{"spec": {"protocol": 1}, "production_ns": 10}']
)
def test_a_damaged_record_is_not_there(runs, text):
    run = runs.study.runs()[0]
    runs.finished(run)
    (layout.run(layout.RESULTS, *run) / "run.json").write_text(text, encoding="utf-8")
    assert first(runs).state in (State.WAITING, State.STOPPED)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"lmbmd-checkpoint-2 x\n",
        b"lmbmd-checkpoint-2 x\n[]\n",
        b"\xff" * 999,
        b'lmbmd-checkpoint-2 x\n{"state": {"stage": 3, "step": "x", "wall_s": [1]}}\n',
    ],
)
def test_a_damaged_checkpoint_is_no_traceback(runs, data):
    run = runs.study.runs()[0]
    runs.begun(run, "produce", 4.0)
    work = layout.run(layout.WORK, *run)
    (work / "checkpoint").write_bytes(data)
    (work / "state.csv").write_bytes(b"\xff\n,,\n")
    assert first(runs).state in (State.WAITING, State.STOPPED)
    assert status_text(look(runs))


def test_a_look_costs_the_same_however_long_a_run_is_and_touches_nothing(runs):
    """Reads of each kind of run are counted, with their bytes out of the question: a tail is a tail."""
    counts = []
    for rows in (10, 20_000):
        for run in runs.study.runs():
            runs.begun(run, "produce", 9.9, rows=rows)
            runs.held(run)
            runs.said(run, "simulate", "produce: 1 of 2 ps\n" * rows)
        before = {path: path.stat().st_mtime_ns for path in runs.folder.rglob("*")}
        found, heard = heard_while_looking(runs)
        assert {path: path.stat().st_mtime_ns for path in runs.folder.rglob("*")} == before
        assert all(run.state == State.PRODUCING for run in found.runs)
        opened = [arguments for event, arguments in heard if event == "open"]
        assert all(not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) for arguments in opened), opened
        assert not [event for event, _ in heard if event.startswith("fcntl") or event == "os.utime"]
        counts.append(len(heard))
    assert counts[0] == counts[1] <= 8 * 6 + 6


def test_a_thousand_runs_cost_a_thousand_times_one(tmp_path, monkeypatch):
    heard = []
    for n in (6, 12):
        folder = tmp_path / str(n)
        folder.mkdir()
        monkeypatch.chdir(folder)
        write_study(folder, n, 3)
        runs = Runs(folder, load_study("config/config.yaml", composed=False))
        runs.of_every_kind()
        heard.append(len(heard_while_looking(runs)[1]))
    fixed = 2 * heard[0] - heard[1]
    assert 0 <= fixed <= 6, f"{heard} events"


def test_the_command_lists_filters_and_hands_over_data(runs, capsys):
    runs.of_every_kind()
    assert main(["status"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("scale: 6 runs: ") and "1 failed" in text and "4 of 10" in text
    assert main(["status", "bottle-00000", "--state", "producing", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert [(run["formulation"], run["state"]) for run in data["runs"]] == [("bottle-00000", "producing")]
    assert main(["status", "--state", "runing"]) == 2
    assert "no run can be 'runing'" in capsys.readouterr().err
    assert main(["status", "bottle-0000"]) == 2
    assert "Did you mean" in capsys.readouterr().err


def test_a_long_list_tells_what_is_new_and_counts_the_rest(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path, 30, 3)
    runs = Runs(tmp_path, load_study("config/config.yaml", composed=False))
    runs.failed(runs.study.runs()[7])
    text = status_text(look(runs))
    assert "89 other runs" in text and len(text.splitlines()) < 20
    assert len(status_text(look(runs), whole=True).splitlines()) > 90


def test_the_last_words_name_the_page_or_what_failed(runs):
    for run in runs.study.runs():
        runs.finished(run)
    (layout.RESULTS / "index.html").touch()
    assert closing_text(look(runs)) == f"Open {runs.folder}/results/index.html in a browser."
    run = runs.study.runs()[0]
    layout.mark(layout.run(layout.RESULTS, *run), "simulate").unlink()
    runs.failed(run)
    text = closing_text(look(runs))
    assert "1 job failed" in text and "the run explodes" in text and "lmbmd status" in text and "lmbmd index" in text
