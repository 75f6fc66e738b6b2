"""Simulations of a study as seen from outside, and a gate that holds them still."""

from __future__ import annotations

import json
import os
import signal
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmbmd.simulate import checkpoint
from lmbmd.simulate.resume import RunState


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
        state = RunState.of(checkpoint.load(self.work / checkpoint.CURRENT))
        return state.stage, state.step

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

    def holds(self, run: Run, other_than: int = 0) -> bool:
        """Whether a process of the run is held, another than the one given."""
        return self.held.get(run.name, other_than) in set(run.processes()) - {other_than}

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
