"""A study on a real Slurm, and everything that happens to jobs there, with the profile that is shipped.

One story, as minutes are scarce: the same command is given until the study is finished, and between its beginning
and its end come a job killed for its memory, Ctrl-C, `scancel`, a dead node, a time limit and `kill -9` of Snakemake.
Each test is about one of them. A simulation is held still (SIGSTOP) until its event has come, so that nothing here
depends on the machine's speed; its time limit is lowered when it is held.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import MDAnalysis
import numpy as np
import pandas as pd
import pytest
import slurm_site
import tiny_study
from held_runs import Gate, Run
from keeper import die_with_parent
from slurm_site import PATIENCE_S, Site

from lmbmd.simulate import lock

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(slurm_site.why_not()), reason=slurm_site.why_not() or "Slurm is here"),
]

ROOT = Path(__file__).parents[2]
#: Snakemake, but for its rests between two looks at the queue: it would make them longer and longer, and it does not
#: say when it rests. Only then does plugin 2.8 know which jobs to cancel on Ctrl-C.
SNAKEMAKE = """
import asyncio, pathlib, sys
from snakemake import cli
from snakemake_executor_plugin_slurm import Executor
async def sleep(self):
    pathlib.Path("rests").touch()
    await asyncio.sleep(3)
Executor.sleep = sleep
cli.main(sys.argv[1:])
"""
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

#: What stands in the profile twice: for a run and for a transport segment.
TWICE = {"# gpu: 1 ", "runtime: 1440 ", "mem_mb: 4000 *", "contacts: 4"}
#: What a site with small nodes, no accounting and impatient users edits in profiles/slurm/config.yaml.
EDITS = {
    "jobs: 100 ": "jobs: 4 ",
    "# gpu: 1 ": "gpu: 1 ",
    "runtime: 1440 ": "runtime: 20 ",
    "mem_mb: 4000 *": "mem_mb: 300 *",  # too little for the first attempt and enough for the second
    "mem_mb: 3000": "mem_mb: 1000",
    "simulate: 8 ": "simulate: 1 ",
    "contacts: 4": "contacts: 1",
    "# slurm-status-command: squeue": "slurm-status-command: squeue",
    "latency-wait: 60": "latency-wait: 10",
}


@dataclass
class Story:
    """The study and what was seen while it ran."""

    site: Site
    study: Path
    runs: dict[str, Run]
    gate: Gate
    seen: dict[str, Any] = field(default_factory=dict)
    commands: int = 0
    snakemake: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Give the command; the user's only one."""
        self.commands += 1
        with open(self.output(self.commands), "wb") as out:
            self.snakemake = subprocess.Popen(
                self._command(),
                env=self.site.environment,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def wait(self, true: Callable[[], bool], what: str) -> None:
        """Wait for what can come only as long as Snakemake runs."""

        def hopeless() -> str:
            code = self.snakemake.poll() if self.snakemake else None
            return "" if code is None else f"Snakemake ended with {code}"

        self.site.wait(true, what, hopeless, life=self.life)

    def life(self) -> list[int]:
        """How much has been written down so far, by Snakemake and by the jobs."""
        files = [self.output(self.commands), *(run.work / "state.csv" for run in self.runs.values())]
        return [file.stat().st_size if file.exists() else 0 for file in files]

    def held(self, name: str, other_than: int = 0) -> int:
        """Wait until a process of a run is held, another than the one given; returns its number."""
        run = self.runs[name]
        self.wait(lambda: self.gate.holds(run, other_than), f"a simulation of {name} to be held")
        return self.gate.held[name]

    def end(self) -> int:
        """Wait for Snakemake's end; its exit code."""
        assert self.snakemake
        done = lambda: self.snakemake.poll() is not None  # noqa: E731
        self.site.wait(done, f"the end of command {self.commands}", life=self.life)
        return self.snakemake.returncode

    def edit_profile(self, old: str, new: str, times: int) -> None:
        path = self.study / "profile" / "config.yaml"
        text = path.read_text(encoding="utf-8")
        assert text.count(old) == times, f"'{old}' stands {text.count(old)} times in the profile"
        path.write_text(text.replace(old, new), encoding="utf-8")

    def ask(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Snakemake with another flag, to its end."""
        command = [*self._command(), *arguments]
        return subprocess.run(
            command, env=self.site.environment, capture_output=True, encoding="utf-8", timeout=PATIENCE_S, check=False
        )

    def _command(self) -> list[str | Path]:
        where = ["--snakefile", ROOT / "Snakefile", "--directory", self.study]
        return [sys.executable, "-c", SNAKEMAKE, *where, "--workflow-profile", self.study / "profile"]

    def output(self, number: int) -> Path:
        return self.study / f"command-{number}.txt"

    def job_of(self, name: str) -> str:
        """Slurm's number for the newest running job of a simulation."""
        rows = self.site.command("squeue", "--noheader", "--states=RUNNING", "--format=%A %k").splitlines()
        jobs = [row.split()[0] for row in rows if "simulate" in row and name in row]
        assert jobs, f"no job of {name} in {rows}"
        return max(jobs, key=int)

    def facts(self, job: str) -> dict[str, str]:
        """What Slurm says of a job."""
        text = self.site.command("scontrol", "show", "job", job)
        return dict(word.split("=", 1) for word in text.split() if "=" in word)

    def ended(self, job: str) -> dict[str, str]:
        """What Slurm says of a job after it has noticed its end."""
        gone = lambda: self.facts(job)["JobState"] not in ("RUNNING", "COMPLETING")  # noqa: E731
        self.site.wait(gone, f"the end of job {job}")
        return self.facts(job)

    def left(self, name: str, process: int) -> None:
        """Wait until a process of a run is gone."""
        self.wait(lambda: process not in self.runs[name].processes(), f"process {process} of {name} to leave")

    def interrupt(self) -> None:
        """Ctrl-C, while Snakemake rests: see `SNAKEMAKE`."""
        rests = self.study / "rests"
        before = rests.stat().st_mtime_ns
        self.wait(lambda: rests.stat().st_mtime_ns > before, "Snakemake's next rest")
        self.snakemake.send_signal(signal.SIGINT)

    def job_logs(self, text: str) -> list[Path]:
        """Logs of failed jobs that hold a text."""
        logs = (self.study / ".snakemake" / "slurm_logs").rglob("*.log")
        return [log for log in logs if text in log.read_text("utf-8", errors="replace")]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    running = slurm_site.start(Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp")), gpus=2, memory_mb=4000)
    try:
        yield running
    finally:
        running.keeper.end()


def write_study(study: Path) -> None:
    tiny_study.write_study(study, STUDY, "one", "two")
    (study / "profile").mkdir()
    shutil.copy(ROOT / "profiles" / "slurm" / "config.yaml", study / "profile")


@pytest.fixture(scope="module")
def story(site, tmp_path_factory) -> Iterator[Story]:
    study = tmp_path_factory.mktemp("cluster")
    write_study(study)
    runs = {name: Run(study, name) for name in ("one", "two")}
    story = Story(site, study, runs, Gate(*runs.values()))
    for old, new in EDITS.items():
        story.edit_profile(old, new, times=2 if old in TWICE else 1)
    try:
        story.begin()
        ctrl_c(story)
        story.edit_profile("mem_mb: 300 *", "mem_mb: 600 *", times=2)
        story.begin()
        scancel(story)
        node_crash(story)
        limited = time_limit(story)
        kill_9(story, limited)
        story.begin()
        two_writers(story)
        story.seen["last exit"] = story.end()
        yield story
    finally:
        story.gate.open()
        if story.snakemake and story.snakemake.poll() is None:
            story.snakemake.kill()
            story.snakemake.wait()
        for number in range(1, story.commands + 1):
            print(f"--- command {number}\n" + story.output(number).read_text(encoding="utf-8")[-3000:])


def ctrl_c(story: Story) -> None:
    """Both simulations run; the user interrupts."""
    for name in story.runs:
        story.held(name)
    story.seen["job"] = story.facts(story.job_of("one"))
    story.interrupt()
    story.seen["exit after Ctrl-C"] = story.end()
    story.site.wait(lambda: not story.site.jobs("RUNNING,PENDING,COMPLETING"), "the jobs to go")
    # On a busy machine Slurm may take a job for gone while its simulation still writes its checkpoint.
    story.site.wait(lambda: not any(run.processes() for run in story.runs.values()), "the simulations to go")
    story.seen["left by Ctrl-C"] = [str(p) for p in story.study.rglob("*.partial*")]
    story.seen["results after Ctrl-C"] = {p.name for run in story.runs.values() for p in run.out.glob("*")}
    story.seen["locks after Ctrl-C"] = [lock.holder(run.work) for run in story.runs.values()]
    story.seen["reached"] = [(name, run.reached()) for name, run in story.runs.items()]


def scancel(story: Story) -> None:
    """Both simulations run again; one is cancelled."""
    story.held("one")
    cancelled = story.held("two")
    story.site.command("scancel", story.job_of("two"))
    story.left("two", cancelled)
    story.seen["reached"].append(("two", story.runs["two"].reached()))


def node_crash(story: Story) -> None:
    """The cancelled simulation has been submitted again; now its node dies."""
    story.seen["lost process"] = story.held("two")
    job = story.job_of("two")
    node = int(story.facts(job)["NodeList"].removeprefix("n"))
    assert story.facts(story.job_of("one"))["NodeList"] != f"n{node}", "one node must live on"
    story.site.crash_node(node)
    story.site.start_node(node)
    story.seen["lost job"] = story.ended(job)


def time_limit(story: Story) -> int:
    """The other simulation, still held, is given little time; returns its process.

    A whole minute more than what it has had and SIGTERM's 120 s. Slurm wakes what it sends a signal to.
    """
    process, job = story.held("one"), story.job_of("one")
    hours, minutes, _ = map(int, story.facts(job)["RunTime"].split(":"))
    story.site.command("scontrol", "update", f"JobId={job}", f"TimeLimit={60 * hours + minutes + 3}")
    story.left("one", process)
    story.seen["reached"].append(("one", story.runs["one"].reached()))
    story.seen["limited job"] = story.ended(job)
    return process


def kill_9(story: Story, limited: int) -> None:
    """Snakemake dies, its jobs do not."""
    story.held("two", other_than=story.seen["lost process"])
    story.held("one", other_than=limited)
    story.snakemake.kill()
    story.snakemake.wait()
    story.seen["jobs after kill -9"] = story.site.jobs()
    story.seen["locked"] = story.ask()
    story.seen["unlocked"] = story.ask("--unlock")


def two_writers(story: Story) -> None:
    """The next Snakemake submits both simulations again, while they still run."""
    story.seen["refused"] = []
    for name in story.runs:
        text = f"being written by process {story.gate.held[name]} "
        story.wait(lambda text=text: story.job_logs(text), f"the refusal of a second writer of {name}")
        # Else its Snakemake might still be about to remove what it takes for its own output.
        story.ended(story.job_logs(text)[0].stem)
        story.seen["refused"].append(name)
    story.gate.open()


def test_the_profile_asks_slurm_for_what_it_says(story):
    job = story.seen["job"]
    asked = {key: job[key] for key in ("Partition", "TimeLimit", "MinMemoryNode", "NumCPUs", "Requeue", "TresPerJob")}
    # The second attempt: the first had half the memory, which was not enough.
    assert asked == {
        "Partition": "main",
        "TimeLimit": "00:20:00",
        "MinMemoryNode": "600M",
        "NumCPUs": "1",
        "Requeue": "0",
        "TresPerJob": "gres:gpu:1",
    }


def test_a_job_killed_for_its_memory_is_given_more(story):
    assert story.job_logs("exceeded memory limit")


def test_ctrl_c_leaves_nothing_locked_or_half_written(story):
    assert story.seen["exit after Ctrl-C"] != 0
    assert story.seen["left by Ctrl-C"] == []
    assert story.seen["results after Ctrl-C"] <= {"spec.json"}, "what the simulation began with, or nothing"
    assert story.seen["locks after Ctrl-C"] == [{}, {}]
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
    assert job["RunTime"] < job["TimeLimit"] < "00:20:00"
    assert job["JobId"] in [log.stem for log in story.job_logs("stopped by SIGTERM in stage produce")]


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
