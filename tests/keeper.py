"""Processes that cannot outlive their test, however it ends, and whatever they start themselves.

A keeper is a small process between the test and its daemons. Linux makes it the parent of every orphan below it
(`PR_SET_CHILD_SUBREAPER`), so that also what has detached itself is found. It reads what to start from a pipe; when
the pipe closes, because it was told to or because the test is no more, it kills all of them.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
LIBC = ctypes.CDLL(None)  # not to be opened between a fork and its exec: another thread may hold what that needs


class Keeper:
    """Starts processes with the environment given, in the folder given, which it removes with them at the end."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-u", __file__, folder],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
            preexec_fn=answer_signals,
        )

    def start(self, *command: str | Path) -> int:
        """Start a process and give its number. Its words go to the folder's `words.txt`."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps([str(word) for word in command]) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def children(self) -> list[int]:
        """All processes that have come of what was started."""
        return descendants(self._process.pid)

    def end(self) -> None:
        """Kill them all, remove the folder; returns when that is done."""
        self._process.communicate(timeout=120)


def answer_signals() -> None:
    """In a child: do not inherit from a shell's background job that Ctrl-C means nothing."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def die_with_parent() -> None:
    """In a child: be killed when the process that started it ends; answer signals."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    answer_signals()


def words_of(pid: int) -> str:
    """The command line of a process, "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def descendants(pid: int) -> list[int]:
    """Children of a process, their children, and so on; not those that are dead and unburied."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            child = int(entry.name)
            state, parent = (entry / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[:2]
            if state != "Z":
                children.setdefault(int(parent), []).append(child)
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def kill(pids: Iterable[int], number: int = signal.SIGKILL) -> None:
    """Send a signal to those that still live."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def kill_trees(tops: list[int]) -> None:
    """Kill processes and all that they have started, none of which sees another's end."""
    held: set[int] = set()
    while new := {pid for top in tops for pid in (top, *descendants(top))} - held:
        kill(new, signal.SIGSTOP)  # else one might fork, or report another's end, between two kills
        held |= new
    kill(held)


def bury(*_: object) -> None:
    """Take note of the dead, who would stay in the table of processes."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def keep(folder: Path) -> None:
    """The keeper itself."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.signal(signal.SIGCHLD, bury)
    with open(folder / "words.txt", "ab") as words:
        try:
            for line in sys.stdin:
                child = subprocess.Popen(
                    json.loads(line),
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=words,
                    stderr=words,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
                child.returncode = 0  # it is buried above, not waited for
                print(child.pid)
        finally:
            while left := descendants(os.getpid()):
                kill_trees(left)
                time.sleep(0.02)
            shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    keep(Path(sys.argv[1]))
