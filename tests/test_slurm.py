"""A study on a real Slurm, and everything that happens to jobs there, with the profile that is shipped.

One story, as minutes are scarce: the same command is given until the study is finished, and between its beginning
and its end come a job killed for its memory, Ctrl-C, `scancel`, a dead node, a time limit and `kill -9` of Snakemake.
Each test is about one of them. A simulation is held still (SIGSTOP) until its event has come, so that nothing here
depends on the machine's speed. It takes eight minutes where twenty processes share two cores.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import MDAnalysis
import numpy as np
import pandas as pd
import pytest
import slurm_site
from slurm_site import Site, wait_until

from lmbmd.simulate import checkpoint
from lmbmd.simulate.place import Place

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(slurm_site.why_not()), reason=slurm_site.why_not() or "Slurm is here"),
]

ROOT = Path(__file__).parent.parent
#: Seconds to wait for anything that a job must do: generous, as the machine may be busy.
PATIENCE_S = 600
FRAME_PS, PRODUCTION_PS = 0.2, 8

STUDY = f"""
study: cluster
formulations: formulations
protocol:
  equilibration_ns: 0.002
  max_equilibration_ns: 0.002
  production_ns: {PRODUCTION_PS / 1000}
  frame_interval_ps: {FRAME_PS}
  state_interval_ps: {FRAME_PS}
platform: {{name: CPU, checkpoint_interval_s: 1}}
"""
BOTTLE = """
salts: {LiFSI: 1 mol/L of solution}
solvents: {DME: rest}
size: {ion_pairs: 7, tolerance: 0.2}
"""

#: Minutes that a simulation is given: little at first, so that it meets its time limit, later plenty.
SHORT, PLENTY = "3 if attempt == 1 else 20", "20"
#: What a site with small nodes, no accounting and impatient users edits in profiles/slurm/config.yaml.
EDITS = {
    "jobs: 100 ": "jobs: 4 ",
    "# gpu: 1 ": "gpu: 1 ",
    "runtime: 1440 ": f"runtime: {SHORT} ",
    "TERM@120": "TERM@90",  # 60 to 90 s after the start: Slurm looks every 30 s, and that far ahead
    "mem_mb: 4000 *": "mem_mb: 350 *",  # too little for the first attempt and enough for the second
    "mem_mb: 3000": "mem_mb: 1000",
    "simulate: 8 ": "simulate: 1 ",
    "contacts: 4": "contacts: 1",
    "# slurm-status-command: squeue": "slurm-status-command: squeue",
    "latency-wait: 60": "latency-wait: 10",
}


@dataclass
class Run:
    """One simulation of the study, as seen from outside."""

    study: Path
    name: str

    @property
    def place(self) -> str:
        return f"{self.name}/298.15K/r1"

    @property
    def work(self) -> Path:
        return self.study / "work" / self.place

    @property
    def out(self) -> Path:
        return self.study / "results" / self.place

    def processes(self) -> list[int]:
        """Its simulating processes, oldest first."""
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
                ours = b"simulate" in words and f"work/{self.place}".encode() in words
                if ours and (entry / "cwd").resolve() == self.study.resolve():
                    found.append(int(entry.name))
            except OSError:
                continue
        return sorted(found)

    def rows(self) -> int:
        """Rows of its growing state log: how much has been produced."""
        log = self.work / "state.csv"
        return max(0, log.read_bytes().count(b"\n") - 1) if log.exists() else 0

    def reached(self) -> tuple[str, int]:
        """Stage and step of its last checkpoint."""
        place = Place.of(checkpoint.load(self.work / checkpoint.CURRENT))
        return place.stage, place.step

    def record(self) -> dict[str, Any]:
        return json.loads((self.out / "run.json").read_text(encoding="utf-8"))


class Gate(threading.Thread):
    """Holds still (SIGSTOP) every simulating process as soon as it has added to the production, until it is opened."""

    def __init__(self, *runs: Run) -> None:
        super().__init__(daemon=True)
        self.held: dict[str, int] = {}
        self._runs, self._open = runs, threading.Event()
        self._rows: dict[int, int] = {}
        self.start()

    def run(self) -> None:
        while not self._open.wait(0.1):
            for run in self._runs:
                for process in run.processes():
                    rows = self._rows.setdefault(process, run.rows())
                    if self.held.get(run.name) != process and run.rows() > rows and writes(process, run.work):
                        with suppress(ProcessLookupError):
                            os.kill(process, signal.SIGSTOP)
                            self.held[run.name] = process

    def holds(self, run: Run, other_than: int = 0) -> int:
        """Wait until a process of the run is held, another than the one given; returns its number."""
        held = lambda: self.held.get(run.name, other_than) in set(run.processes()) - {other_than}  # noqa: E731
        wait_until(held, f"a simulation of {run.name} to be held", PATIENCE_S)
        return self.held[run.name]

    def open(self) -> None:
        """Hold nothing any more."""
        self._open.set()
        self.join()
        for run in self._runs:
            for process in run.processes():
                os.kill(process, signal.SIGCONT)


def writes(process: int, work: Path) -> bool:
    """Whether a process has the run's state log open."""
    try:
        return any(entry.resolve() == (work / "state.csv").resolve() for entry in Path(f"/proc/{process}/fd").iterdir())
    except OSError:
        return False


@dataclass
class Story:
    """The study and what was seen while it ran."""

    site: Site
    study: Path
    runs: dict[str, Run]
    gate: Gate
    seen: dict[str, Any] = field(default_factory=dict)
    commands: int = 0

    def begin(self) -> subprocess.Popen[bytes]:
        """Give the command; the user's only one."""
        self.commands += 1
        return subprocess.Popen(
            [*self._command(), "--slurm-init-seconds-before-status-checks", "3"],
            env=self.site.environment, stdout=open(self.output(self.commands), "wb"), stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip

    def edit_profile(self, old: str, new: str) -> None:
        path = self.study / "profile" / "config.yaml"
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == 1, f"'{old}' stands {text.count(old)} times in the profile"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Snakemake with another flag, to its end."""
        command = [*self._command(), *arguments]
        return subprocess.run(
            command, env=self.site.environment, capture_output=True, encoding="utf-8", timeout=PATIENCE_S
        )

    def _command(self) -> list[str | Path]:
        where = ["--snakefile", ROOT / "Snakefile", "--directory", self.study]
        return [sys.executable, "-m", "snakemake", *where, "--workflow-profile", self.study / "profile"]

    def output(self, number: int) -> Path:
        return self.study / f"command-{number}.txt"

    def job_of(self, run: Run) -> str:
        """Slurm's number for the newest running job of a simulation."""
        rows = self.site.command("squeue", "--noheader", "--states=RUNNING", "--format=%A %k").splitlines()
        jobs = [row.split()[0] for row in rows if "simulate" in row and run.name in row]
        assert jobs, f"no job of {run.name} in {rows}"
        return max(jobs, key=int)

    def facts(self, job: str) -> dict[str, str]:
        """What Slurm says of a job."""
        text = self.site.command("scontrol", "show", "job", job)
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def ended(self, job: str) -> dict[str, str]:
        """What Slurm says of a job after it has noticed its end."""
        wait_until(lambda: self.facts(job)["JobState"] not in ("RUNNING", "COMPLETING"), f"the end of job {job}", 120)
        return self.facts(job)

    def interrupt(self, snakemake: subprocess.Popen[bytes]) -> None:
        """Ctrl-C, but not while it asks Slurm how its jobs are: in that moment the plugin (2.8) knows of none."""
        asks = lambda: any("squeue" in slurm_site.words_of(p) for p in slurm_site.descendants(snakemake.pid))  # noqa: E731
        wait_until(lambda: not asks(), "a moment between two looks at the queue")
        snakemake.send_signal(signal.SIGINT)

    def job_logs(self, text: str) -> list[Path]:
        """Logs of failed jobs that hold a text."""
        logs = (self.study / ".snakemake" / "slurm_logs").rglob("*.log")
        return [log for log in logs if text in log.read_text("utf-8", errors="replace")]


@pytest.fixture(scope="module", autouse=True)
def asked_for():
    """Real daemons, which another Slurm on the machine disturbs: not without being asked."""
    if not os.environ.get("LMBMD_TEST_SLURM"):
        pytest.skip("real Slurm daemons, five minutes: set LMBMD_TEST_SLURM=1")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    running = slurm_site.start(folder, gpus=2, memory_mb=4000)
    try:
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


def write_study(study: Path) -> None:
    (study / "config" / "formulations").mkdir(parents=True)
    (study / "config" / "config.yaml").write_text(STUDY, encoding="utf-8")
    for name in ("one", "two"):
        (study / "config" / "formulations" / f"{name}.yaml").write_text(BOTTLE, encoding="utf-8")
    (study / "profile").mkdir()
    shutil.copy(ROOT / "profiles" / "slurm" / "config.yaml", study / "profile")


@pytest.fixture(scope="module")
def story(site, tmp_path_factory) -> Iterator[Story]:
    study = tmp_path_factory.mktemp("cluster")
    write_study(study)
    runs = {name: Run(study, name) for name in ("one", "two")}
    story = Story(site, study, runs, Gate(*runs.values()))
    for old, new in EDITS.items():
        story.edit_profile(old, new)
    snakemake = None
    try:
        snakemake = story.begin()
        ctrl_c(story, snakemake)
        story.edit_profile("mem_mb: 350 *", "mem_mb: 700 *")
        snakemake = story.begin()
        limited = scancel_beside_a_held_one(story)
        node_crash(story)
        time_limit(story, *limited)
        kill_9(story, snakemake, limited[0])
        story.edit_profile(SHORT, PLENTY)
        snakemake = story.begin()
        two_writers(story)
        story.seen["last exit"] = snakemake.wait(timeout=PATIENCE_S)
        yield story
    finally:
        story.gate.open()
        if snakemake and snakemake.poll() is None:
            snakemake.kill()
        for number in range(1, story.commands + 1):
            print(f"--- command {number}\n" + story.output(number).read_text(encoding="utf-8")[-3000:])


def ctrl_c(story: Story, snakemake: subprocess.Popen[bytes]) -> None:
    """Both simulations run; the user interrupts."""
    for run in story.runs.values():
        story.gate.holds(run)
    story.seen["job"] = story.facts(story.job_of(story.runs["one"]))
    story.interrupt(snakemake)
    story.seen["exit after Ctrl-C"] = snakemake.wait(timeout=PATIENCE_S)
    wait_until(lambda: not story.site.jobs("RUNNING,PENDING,COMPLETING"), "the jobs to go", 60)
    story.seen["left by Ctrl-C"] = [str(p) for p in story.study.rglob("*.partial*")]
    story.seen["results after Ctrl-C"] = {p.name for run in story.runs.values() for p in run.out.glob("*")}
    story.seen["locks after Ctrl-C"] = [(run.work / "lock").read_text(encoding="utf-8") for run in story.runs.values()]
    story.seen["reached"] = [(name, run.reached()) for name, run in story.runs.items()]


def scancel_beside_a_held_one(story: Story) -> tuple[int, str]:
    """One simulation is held until its time will be up; the other is cancelled. Process and job of the held one."""
    one, two = story.runs["one"], story.runs["two"]
    limited, cancelled = story.gate.holds(one), story.gate.holds(two)
    job = story.job_of(one)
    story.site.command("scancel", story.job_of(two))
    wait_until(lambda: cancelled not in two.processes(), "the cancelled simulation to leave", PATIENCE_S)
    story.seen["reached"].append(("two", two.reached()))
    return limited, job


def node_crash(story: Story) -> None:
    """The cancelled simulation has been submitted again; now its node dies."""
    two = story.runs["two"]
    story.seen["lost process"] = story.gate.holds(two)
    job = story.job_of(two)
    node = int(story.facts(job)["NodeList"].removeprefix("n"))
    assert story.facts(story.job_of(story.runs["one"]))["NodeList"] != f"n{node}", "one node must live on"
    story.site.crash_node(node)
    story.site.start_node(node)
    story.seen["lost job"] = story.ended(job)


def time_limit(story: Story, limited: int, job: str) -> None:
    """The held simulation is woken by the signal that its time is nearly up: Slurm wakes what it sends a signal to."""
    one = story.runs["one"]
    wait_until(lambda: limited not in one.processes(), "the limited simulation to leave", PATIENCE_S)
    story.seen["reached"].append(("one", one.reached()))
    story.seen["limited job"] = story.ended(job)


def kill_9(story: Story, snakemake: subprocess.Popen[bytes], limited: int) -> None:
    """Snakemake dies, its jobs do not."""
    story.gate.holds(story.runs["two"], other_than=story.seen["lost process"])
    story.gate.holds(story.runs["one"], other_than=limited)
    snakemake.kill()
    snakemake.wait()
    story.seen["jobs after kill -9"] = story.site.jobs()
    story.seen["locked"] = story.ask()
    story.seen["unlocked"] = story.ask("--unlock")


def two_writers(story: Story) -> None:
    """The next Snakemake submits both simulations again, while they still run."""
    story.seen["refused"] = []
    for run in story.runs.values():
        text = f"being written by process {story.gate.held[run.name]} "
        wait_until(lambda text=text: story.job_logs(text), "the second writer's refusal", PATIENCE_S)
        story.ended(
            story.job_logs(text)[0].stem
        )  # else its Snakemake might still be about to remove what it takes for its own output
        story.seen["refused"].append(run.name)
    story.gate.open()


def test_the_profile_asks_slurm_for_what_it_says(story):
    job = story.seen["job"]
    asked = {key: job[key] for key in ("Partition", "TimeLimit", "MinMemoryNode", "NumCPUs", "Requeue", "TresPerJob")}
    # The second attempt: the first had less time, and half the memory, which was not enough.
    assert asked == {
        "Partition": "main", "TimeLimit": "00:20:00", "MinMemoryNode": "700M", "NumCPUs": "1", "Requeue": "0",
        "TresPerJob": "gres:gpu:1",
    }  # fmt: skip


def test_a_job_killed_for_its_memory_is_given_more(story):
    assert story.job_logs("exceeded memory limit")


def test_ctrl_c_leaves_nothing_locked_or_half_written(story):
    assert story.seen["exit after Ctrl-C"] != 0
    assert story.seen["left by Ctrl-C"] == []
    assert story.seen["results after Ctrl-C"] <= {"spec.json"}, "what the simulation began with, or nothing"
    assert story.seen["locks after Ctrl-C"] == ["", ""]
    second = story.output(2).read_text(encoding="utf-8")
    assert "cannot be locked" not in second and "has been submitted" in second, second[-3000:]


def test_what_is_told_to_stop_goes_on_from_the_very_step(story):
    """Ctrl-C, scancel and the time limit all end in SIGTERM."""
    assert [name for name, _ in story.seen["reached"]] == ["one", "two", "two", "one"]
    for name, reached in story.seen["reached"]:
        assert reached[0] == "produce" and reached[1] > 0
        assert reached in [(s["stage"], s["step"]) for s in story.runs[name].record()["sessions"]]


def test_the_time_limit_is_met_by_a_checkpoint_and_not_by_a_kill(story):
    job = story.seen["limited job"]
    assert job["JobState"] == "FAILED", "it left by itself; TIMEOUT would mean that it was killed"
    assert "00:00:55" < job["RunTime"] < job["TimeLimit"] == "00:03:00"
    assert story.job_logs("stopped by SIGTERM in stage produce")


def test_a_run_goes_on_when_its_node_has_died(story):
    assert story.seen["lost job"]["JobState"] == "NODE_FAIL"


def test_jobs_outlive_a_killed_snakemake_and_are_never_doubled(story):
    assert story.seen["jobs after kill -9"]
    assert story.seen["locked"].returncode != 0 and "--unlock" in story.seen["locked"].stderr
    assert story.seen["unlocked"].returncode == 0
    assert story.seen["refused"] == ["one", "two"]


def test_the_study_ends_complete(story):
    assert story.seen["last exit"] == 0, story.output(story.commands).read_text(encoding="utf-8")[-3000:]
    assert story.site.jobs("RUNNING,PENDING") == []
    table = pd.read_csv(story.study / "results" / "features.csv")
    assert sorted(table["formulation"].unique()) == ["one", "two"]
    again = story.ask("--dry-run")
    assert again.returncode == 0 and "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.parametrize("name", ["one", "two"])
def test_no_frame_is_missing_or_doubled(story, name):
    run = story.runs[name]
    n_frames = round(PRODUCTION_PS / FRAME_PS)
    universe = MDAnalysis.Universe(str(run.out / "final.pdb"), str(run.out / "trajectory.xtc"))
    times = np.array([ts.time for ts in universe.trajectory])
    assert times == pytest.approx(FRAME_PS * np.arange(1, n_frames + 1), abs=1e-4)
    rows = pd.read_csv(run.out / "state.csv")
    assert rows["time_ps"].tolist() == pytest.approx((FRAME_PS * np.arange(1, n_frames + 1)).tolist())
    assert run.record()["n_frames"] == n_frames
