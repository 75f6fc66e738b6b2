"""Runs at the same time are on GPUs of their own, or on cores of their own, and what a dead one had is free."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import pytest
from toy import child_process, relaxed_run, simulate_elsewhere, write_spec

from lmbmd.simulate import places
from lmbmd.simulate.engines.platform import alike
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.places import placed, threads_of_run

linux = pytest.mark.skipif(not Path("/proc/net/unix").exists(), reason="places are held on Linux only")
two_cores = pytest.mark.skipif(len(places.cores()) < 2, reason="needs two cores")


@pytest.fixture
def gpus(monkeypatch) -> list[str]:
    """Three GPUs, under names that no other test on this host has."""
    monkeypatch.delenv("SLURM_JOB_ID", raising=False)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(f"test{os.getpid()}-{i}" for i in range(3)))
    return ["0", "1", "2"]


def take(stack: ExitStack, gpus: list[str], said: list[str], **options) -> str:
    """The GPU of one more run."""
    chosen, place = stack.enter_context(placed(PlatformOptions(**options), gpus, said.append))
    assert chosen.device_index == place["gpu"] or len(gpus) == 1
    return place["gpu"]


@linux
def test_runs_are_spread_over_all_gpus_and_one_too_many_says_so(gpus):
    said: list[str] = []
    with ExitStack() as others, ExitStack() as one:
        assert [take(others, gpus, said, runs_per_device=2) for _ in range(2)] == ["0", "1"]
        assert take(one, gpus, said, runs_per_device=2) == "2"
        assert Counter(take(others, gpus, said, runs_per_device=2) for _ in range(3)) == {"0": 1, "1": 1, "2": 1}
        assert said == []
        assert take(others, gpus, said, runs_per_device=2) == "0"
        assert said == ["every GPU has 2 runs already; this one shares GPU 0 with them"]
        one.close()
        assert take(others, gpus, said) == "2", "the one that ended has left the GPU that the fewest are on"
        assert len(said) == 1, "nobody has said how many there may be"


@linux
def test_a_gpu_is_the_same_one_however_a_process_counts_them(gpus, monkeypatch):
    names, said = os.environ["CUDA_VISIBLE_DEVICES"].split(","), []
    with ExitStack() as others:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", names[1])
        assert take(others, ["0"], said) == "0"
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(names))
        assert take(others, gpus, said) == "0"
        # Slurm may number the GPUs of every job from 0: those of two jobs are not the same.
        with monkeypatch.context() as job:
            job.setenv("SLURM_JOB_ID", f"{os.getpid()}")
            assert take(others, gpus, said) == "0"
        assert take(others, gpus, said) == "2"


@linux
def test_a_gpu_that_is_named_is_used_and_counted(gpus):
    said: list[str] = []
    with ExitStack() as others:
        for _ in range(2):
            assert take(others, gpus, said, device_index="1", runs_per_device=1) == "1"
        assert len(said) == 1
        assert take(others, gpus, said, device_index="0,2") == "0,2"
        assert take(others, gpus, said) == "0"


def test_only_gpus_like_the_one_that_openmm_takes_are_shared_out():
    def device(index: str, name: str) -> dict[str, str]:
        return {"DeviceIndex": index, "DeviceName": name}

    devices = [device("0", "old"), device("1", "new"), device("2", "new")]
    assert alike({**device("2", "new"), "Precision": "mixed"}, devices) == ("2", "1")
    assert alike(device("0", "only"), []) == ("0",)


def _hold_gpu(gpus: list[str], file: Path) -> None:
    with placed(PlatformOptions(), gpus, print) as (_, place):
        file.write_text(place["gpu"], encoding="utf-8")
        time.sleep(60)


def told_by(file: Path, process) -> str:
    while not (file.exists() and (text := file.read_text(encoding="utf-8"))):
        assert process.is_alive(), process.exitcode
        time.sleep(0.01)
    return text


@linux
def test_a_run_that_sees_another_one_too_late_does_not_take_its_gpu(gpus, monkeypatch):
    said: list[str] = []
    with ExitStack() as others:
        assert take(others, gpus, said) == "0"
        looks, now = [Counter()], places._held  # first as it was before the other one began
        monkeypatch.setattr(places, "_held", lambda: looks.pop() if looks else now())
        assert take(others, gpus, said) == "1"


@linux
def test_the_gpu_of_a_killed_run_is_free(gpus, tmp_path):
    names = os.environ["CUDA_VISIBLE_DEVICES"].split(",")
    killed, other = (child_process(_hold_gpu_named, names, gpus, tmp_path / name) for name in "ab")
    try:
        taken = [told_by(tmp_path / name, process) for name, process in (("a", killed), ("b", other))]
        assert sorted(taken) == ["0", "1"]
        with ExitStack() as others:
            assert take(others, gpus, []) == "2"
            killed.kill()
            killed.join()
            assert take(others, gpus, []) == taken[0]
    finally:
        for process in (killed, other):
            process.kill()
            process.join()


def _hold_gpu_named(names: list[str], gpus: list[str], file: Path) -> None:
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(names)
    os.environ.pop("SLURM_JOB_ID", None)
    _hold_gpu(gpus, file)


@pytest.mark.parametrize(
    ("options", "cores", "gpus", "threads"),
    [
        ({}, 64, 0, 8),
        ({"runs_per_device": 1}, 64, 0, 64),
        ({"runs_per_device": 4}, 64, 0, 16),
        ({"runs_per_device": 4}, 2, 0, 1),
        ({"runs_per_device": 4}, 6, 0, 2),
        ({"runs_per_device": 9}, 16, 1, 2),
        ({"runs_per_device": 4}, 16, 2, 2),
        ({"runs_per_device": 4, "device_index": "1"}, 16, 2, 4),
        ({"runs_per_device": 4, "engine": "gromacs"}, 16, 2, 4),
        ({"runs_per_device": 4}, None, 2, 8),
    ],
)
def test_snakemake_starts_so_many_at_once_and_a_cluster_counts_for_itself(monkeypatch, options, cores, gpus, threads):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", ",".join(str(i) for i in range(gpus)))
    assert threads_of_run(PlatformOptions(**options), cores) == threads


def test_more_threads_than_the_share_are_what_was_asked_for_and_none_is_beyond_this_host():
    n = len(places.cores())
    for threads in (1, n, n + 5):
        with placed(PlatformOptions(runs_per_device=n + 1, threads=threads), (), lambda text: None) as (chosen, place):
            assert chosen.threads == len(place["cores"]) == min(threads, n)
    assert len(places.cores()) == n, "the process is kept to no core afterwards"


# ---- real runs


def affinities(pid: int) -> list[set[int]]:
    """On which cores each thread of a process, and of those that it started, may run."""
    found = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        found.append(os.sched_getaffinity(int(task.name)))
        for child in (task / "children").read_text(encoding="utf-8").split():
            found += affinities(int(child))
    return found


def programs(pid: int) -> list[str]:
    """Names of the programs that a process has started."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    children = [child for task in tasks for child in (task / "children").read_text(encoding="utf-8").split()]
    return [Path(f"/proc/{child}/comm").read_text(encoding="utf-8").strip() for child in children]


def wait_until_it_produces(folder: Path, process) -> None:
    log = folder / "work" / "state.csv"
    while not (log.exists() and len(log.read_text(encoding="utf-8").splitlines()) > 10):
        assert process.is_alive(), process.exitcode
        time.sleep(0.05)


@linux
@two_cores
@pytest.mark.slow
@pytest.mark.parametrize("engine", ["openmm", "gromacs"])
def test_two_runs_at_once_are_on_cores_of_their_own_until_one_is_killed(tmp_path, engine):
    if engine == "gromacs" and not shutil.which("gmx"):
        pytest.skip("GROMACS (gmx) is not installed")
    folders = [relaxed_run(tmp_path / name) for name in "ab"]
    for folder in folders:
        write_spec(folder, production_ns=10.0)
    n, runs = len(places.cores()) // 2, []
    options = {"engine": engine, "runs_per_device": 2, "threads": None, "checkpoint_interval_s": 60.0}
    try:
        for folder in folders:
            runs.append(simulate_elsewhere(folder, **options))
            wait_until_it_produces(folder, runs[-1])
        on = [set.union(*affinities(run.pid)) for run in runs]
        assert all(len(cores) == n for cores in on), on
        assert not on[0] & on[1], on
        assert all(engine == "openmm" or "gmx" in programs(run.pid) for run in runs)
        runs[0].kill()
        runs[0].join()
        held = {name for name, _ in places._held()}
        assert {f"core-{core}" for core in on[1]} <= held
        with placed(PlatformOptions(runs_per_device=2), (), lambda text: None) as (_, place):
            assert set(place["cores"]) == on[0], "what the killed one had is the least used again"
    finally:
        for run in runs:
            run.kill()
            run.join()


@linux
def test_the_record_of_a_run_says_where_it_was(tmp_path):
    folder = relaxed_run(tmp_path / "run")
    run = simulate_elsewhere(folder, runs_per_device=2, threads=1)
    run.join()
    assert run.exitcode == 0
    record = json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))
    (session,) = record["sessions"]
    assert session["runs_per_device"] == 2 and len(session["cores"]) == 1
    assert session["cores"][0] in places.cores()
    assert record["platform"]["properties"]["Threads"] == "1"
