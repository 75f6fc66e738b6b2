"""One writer per work folder: however two start, whoever has died, with the kernel's locks and without."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from lmbmd.core.errors import LmbmdError
from lmbmd.simulate import lock

_context = multiprocessing.get_context("forkserver")
PAIRS = 100


def no_flock(handle: int, operation: int) -> None:
    """What a Lustre that is mounted without ``-o flock`` answers."""
    raise OSError(errno.ENOSYS, "Function not implemented")


# ---- two at once


def _start_many(folder: Path, name: str, flock: bool, begin, decided) -> None:
    """One of a pair: try to hold every folder in turn, both at the same moment, until both have been answered."""
    if not flock:
        fcntl.flock = no_flock
    answers = ""
    for n in range(PAIRS):
        begin.wait(60)
        try:
            with lock.holding(folder / str(n), lambda text: None, stale_s=2.0):
                answers += "1"
                decided.wait(60)
        except LmbmdError:
            answers += "0"
            decided.wait(60)
    (folder / name).write_text(answers, encoding="utf-8")


@pytest.mark.parametrize("before", ["nobody", "a dead process", "one that has finished"])
@pytest.mark.parametrize("flock", [True, False], ids=["flock", "no-flock"])
def test_of_two_that_start_together_exactly_one_is_admitted(tmp_path, flock, before):
    for n in range(PAIRS):
        (tmp_path / str(n)).mkdir()
        if before == "one that has finished":
            with lock.holding(tmp_path / str(n), print):
                pass
        elif before == "a dead process":
            leave(tmp_path / str(n), start="1")
    begin, decided = _context.Barrier(2), _context.Barrier(2)
    pair = [_context.Process(target=_start_many, args=(tmp_path, name, flock, begin, decided)) for name in "ab"]
    for process in pair:
        process.start()
    for process in pair:
        process.join()
    both = zip((tmp_path / "a").read_text("utf-8"), (tmp_path / "b").read_text("utf-8"), strict=True)
    admitted = [int(a) + int(b) for a, b in both]
    assert admitted == [1] * PAIRS


def test_a_slow_starter_does_not_take_a_number_that_others_have_used_up_meanwhile(tmp_path, monkeypatch):
    """While it thinks that nobody has claimed the folder, two come and go and a third stays: number 1 is free again."""
    real, others = lock._lives, contextlib.ExitStack()

    def slow(claim: Path, stale_s: float) -> bool:
        found = real(claim, stale_s)
        monkeypatch.setattr(lock, "_lives", real)
        for _ in range(2):
            with lock.holding(tmp_path, print):
                pass
        others.enter_context(lock.holding(tmp_path, print))
        return found

    monkeypatch.setattr(lock, "_lives", slow)
    with others:
        with pytest.raises(LmbmdError, match="being written by"), lock.holding(tmp_path, print):
            pytest.fail("two writers")


# ---- who has it


def leave(folder: Path, **changes: object) -> Path:
    """The claim of another process on a folder."""
    folder.mkdir(exist_ok=True)
    claim = folder / "lock.1"
    claim.write_text(json.dumps({**lock.identity(), **changes}), encoding="utf-8")
    return claim


def _hold(folder, ready, done):
    with lock.holding(folder, print):
        ready.set()
        done.wait(20)


def test_a_second_writer_is_refused_and_told_who_is_there(tmp_path):
    ready, done = _context.Event(), _context.Event()
    holder = _context.Process(target=_hold, args=(tmp_path, ready, done))
    holder.start()
    assert ready.wait(30)
    with pytest.raises(LmbmdError, match=f"being written by process {holder.pid} on "), lock.holding(tmp_path, print):
        pass
    holder.kill()  # no chance to tidy up
    holder.join()
    said: list[str] = []
    with lock.holding(tmp_path, said.append):
        assert f"stale lock of process {holder.pid}" in said[0]
    with lock.holding(tmp_path, said.append):  # given back
        assert len(said) == 1


def test_a_thread_of_the_same_process_is_another_writer(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", no_flock)
    with lock.holding(tmp_path, print):
        with pytest.raises(LmbmdError, match=f"process {os.getpid()} on"), lock.holding(tmp_path, print):
            pass


def test_who_holds_the_kernels_lock_lives_whatever_is_known_of_its_process(tmp_path):
    """In a container of its own a process has a number that means another one, or none, outside."""
    claim = leave(tmp_path, pid=2**22 + 1, start="5")
    with open(claim, "rb+") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        with pytest.raises(LmbmdError, match=f"being written by process {2**22 + 1}"), lock.holding(tmp_path, print):
            pass


def test_without_kernel_locks_a_live_process_here_still_holds(tmp_path, monkeypatch):
    monkeypatch.setattr(fcntl, "flock", no_flock)
    leave(tmp_path, pid=os.getppid(), start=lock._start_time(os.getppid()))
    with pytest.raises(LmbmdError, match="being written by process"), lock.holding(tmp_path, print):
        pass


@pytest.mark.parametrize("changes", [{"start": "1"}, {"boot": "another boot"}, {"pid": 2**22 + 1, "start": "5"}])
def test_a_process_number_used_again_does_not_hold(tmp_path, changes):
    leave(tmp_path, **changes)
    said: list[str] = []
    with lock.holding(tmp_path, said.append):
        assert "stale lock" in said[0]


def test_who_writes_a_folder_is_seen_without_touching_it(tmp_path):
    assert lock.writer(tmp_path / "none") is None and lock.writer(tmp_path) is None
    with lock.holding(tmp_path, print):
        before = [(path.name, path.stat().st_mtime_ns) for path in tmp_path.iterdir()]
        assert lock.writer(tmp_path)["pid"] == os.getpid()
        assert [(path.name, path.stat().st_mtime_ns) for path in tmp_path.iterdir()] == before
    assert lock.writer(tmp_path) is None


@pytest.mark.parametrize("changes", [{"start": "1"}, {"boot": "another boot"}, {"pid": 2**22 + 1, "start": "5"}])
def test_a_dead_writer_writes_nothing(tmp_path, changes):
    leave(tmp_path, **changes)
    assert lock.writer(tmp_path) is None


def test_a_writer_on_another_machine_is_believed_while_its_claim_is_fresh(tmp_path):
    claim = leave(tmp_path, host="elsewhere", pid=17)
    assert lock.writer(tmp_path)["host"] == "elsewhere"
    os.utime(claim, (time.time() - 2 * lock.STALE_S,) * 2)
    assert lock.writer(tmp_path) is None


def test_claims_do_not_pile_up(tmp_path):
    for _ in range(5):
        with lock.holding(tmp_path, print):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lock.4", "lock.5"]


# ---- on another machine


def test_a_holder_on_another_machine_that_still_beats_is_respected(tmp_path):
    claim = leave(tmp_path, host="elsewhere", pid=17)
    beating = _context.Process(target=_touch, args=(claim,))
    beating.start()
    try:
        with pytest.raises(LmbmdError, match="by process 17 on elsewhere"), lock.holding(tmp_path, print, stale_s=20):
            pass
    finally:
        beating.kill()
        beating.join()


def _touch(path):
    while True:
        time.sleep(0.1)
        os.utime(path)


def test_a_holder_on_another_machine_that_is_silent_is_gone(tmp_path):
    leave(tmp_path, host="elsewhere", pid=17)
    said: list[str] = []
    with lock.holding(tmp_path, said.append, stale_s=0.5):
        assert "stale lock of process 17 on elsewhere" in said[0]


def test_a_holder_on_another_machine_that_finishes_while_it_is_watched_has_given_the_folder_back(tmp_path):
    claim = leave(tmp_path, host="elsewhere", pid=17)
    finishing = _context.Process(target=_finish, args=(claim,))
    finishing.start()
    said: list[str] = []
    with lock.holding(tmp_path, said.append, stale_s=20):
        assert said == []
    finishing.join()


def _finish(claim):
    time.sleep(0.3)
    claim.write_text("{}", encoding="utf-8")


@pytest.mark.parametrize("years", [-10, 10])
def test_clocks_that_disagree_do_not_matter(tmp_path, years):
    """The other machine's clock is ten years off: what counts is whether the file is touched while we watch."""
    claim = leave(tmp_path, host="elsewhere", pid=17)
    then = time.time() + years * 3.15e7
    os.utime(claim, (then, then))
    with lock.holding(tmp_path, print, stale_s=0.5):
        pass


@pytest.mark.parametrize("content", ["", '{"host": "vm", "pi', "[1]"])
def test_a_claim_cut_short_by_a_kill_is_none_after_a_while(tmp_path, content):
    leave(tmp_path).write_text(content, encoding="utf-8")
    said: list[str] = []
    with lock.holding(tmp_path, said.append, stale_s=0.5):
        assert "stale lock of an unknown process" in said[0]


def test_a_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with (
        pytest.raises(LmbmdError, match="the work folder cannot be written to"),
        lock.holding(tmp_path / "file", print),
    ):
        pass
