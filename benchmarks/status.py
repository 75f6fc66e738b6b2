"""How long does `lmbmd status` take with a thousand bottles? Seconds of the whole command.

    python -m benchmarks.status                         # 1 000 formulations × 3 replicas

No MD is run: the files that runs leave are written as the simulate stage writes them, of runs in every state.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.scale import ENVIRONMENT, write_study
from lmbmd.core.files import sealed
from lmbmd.simulate import checkpoint
from lmbmd.simulate.checkpoint import Checkpoint
from lmbmd.simulate.logs import Row, StateLog
from lmbmd.simulate.protocol import RunSpec, parse_spec
from lmbmd.simulate.resume import RunState
from lmbmd.study import layout
from lmbmd.study.study import Run, Study, load_study

CPU = {"name": "CPU", "properties": {"Threads": "2", "DeviceName": ""}, "refused": {}}
GPU = {"name": "CUDA", "properties": {"DeviceIndex": "0", "DeviceName": "a GPU"}, "refused": {}}
WRONG = "lmbmd simulate: work/x: the run explodes in stage soften. Check the parameters of those molecules.\n"


class Runs:
    """Writes what runs of a study leave in its folder."""

    def __init__(self, folder: Path, study: Study) -> None:
        self.folder, self.study = folder, study

    def spec(self, run: Run) -> RunSpec:
        return parse_spec(self.study.spec(*run), where="")

    def marks(self, run: Run, *rules: str) -> None:
        """The marks of jobs that succeeded, from the packing of the box to the page."""
        results = self.folder / layout.RESULTS
        folders = {
            "compose": layout.bottle(results, run.formulation),
            "build": layout.box(results, run.formulation, run.replica),
            "describe": layout.point(results, run.formulation, run.temperature),
            "report": layout.bottle(results, run.formulation),
        }
        for rule in rules:
            mark = layout.mark(folders.get(rule, layout.run(results, *run)), rule)
            mark.parent.mkdir(parents=True, exist_ok=True)
            mark.touch()

    def finished(self, run: Run, platform: dict[str, Any] = CPU, **other: Any) -> None:
        """A run whose results are published, and that was analysed and reported."""
        self.marks(run, "compose", "build", "simulate", "contacts", "describe", "report")
        spec = self.spec(run)
        record = {
            "stage": spec.physics()["method"],
            "spec": spec.to_dict(),
            "production_ns": spec.production_ns,
            "ns_per_day": 240.0,
            "wall_s": {"equilibrate": 360.0, "produce": 3600.0},
            "platform": platform,
            "sessions": [{"host": "node-1", "runs_per_device": None}] * 3,
            "files": {f"file-{n}": "0" * 64 for n in range(40)},  # as long as real ones are
            **other,
        }
        path = layout.run(self.folder / layout.RESULTS, *run) / "run.json"
        path.write_text(json.dumps(sealed(record), indent=2) + "\n", encoding="utf-8")

    def begun(self, run: Run, stage: str, time_ns: float, *, rows: int = 1000, platform: dict[str, Any] = CPU) -> None:
        """A run that has been simulated to a checkpoint in a stage, and rows of its log beyond that."""
        self.marks(run, "compose", "build")
        spec, work = self.spec(run), layout.run(self.folder / layout.WORK, *run)
        work.mkdir(parents=True, exist_ok=True)
        step = spec.steps_in_ns(time_ns)
        state = RunState(stage, step, {"equilibrate": 3600.0})
        if stage == "produce":
            state.wall_s["produce"], state.verdict = 7200.0, {"duration_ps": 1000.0}
        state.sessions.append({"host": "node-1", "runs_per_device": None})
        header = {"physics": spec.physics(), "state": asdict(state), "files": {}, "engine": {}, "platform": platform}
        nothing = np.zeros((0, 3))
        checkpoint.save(work, Checkpoint(header, nothing, nothing, np.zeros((3, 3)), b""))
        log = StateLog(work / ("state.csv" if stage == "produce" else "equilibration.csv"))
        log.cut(None)
        first = step // spec.state_steps + 1 - rows
        for number in range(max(1, first), first + rows):
            done = number * spec.state_steps
            log.append(Row(done, spec.time_ps(done), 1.1, 1e5, -1e5, 1e4, 298.0))
        log.file.close()

    def held(self, run: Run, host: str = "node-1") -> None:
        """A process on another machine writes this run now."""
        work = layout.run(self.folder / layout.WORK, *run)
        work.mkdir(parents=True, exist_ok=True)
        who = {"host": host, "pid": 1, "boot": "", "start": "1"}
        (work / "lock.1").write_text(json.dumps(who), encoding="utf-8")

    def said(self, run: Run, rule: str, text: str) -> None:
        """The messages of the last job of a rule."""
        path = layout.log(self.folder / layout.LOGS, rule, layout.run(Path(), *run))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def failed(self, run: Run) -> None:
        self.marks(run, "compose", "build")
        self.said(run, "simulate", f"platform CPU (2 threads)\nminimise: 10000 atoms\n{WRONG}")

    def of_every_kind(self) -> None:
        """A run of each kind after the other, from the first run of the study to the last."""
        for run, kind in zip(self.study.runs(), cycle(range(6)), strict=False):
            if kind < 2:
                self.finished(run, GPU if kind else CPU)
            elif kind in (2, 3):
                self.begun(run, *(("produce", 4.0) if kind == 2 else ("equilibrate", 0.5)))
                self.held(run)
                self.said(run, "simulate", "produce: 4000 of 10000 ps, 48 ns/day, 12:00 left\n" * 100)
            elif kind == 4:
                self.failed(run)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--formulations", type=int, default=1000)
    parser.add_argument("--replicas", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lmbmd-status-") as name:
        folder = Path(name)
        write_study(folder, options.formulations, options.replicas)
        study = load_study(folder / "config" / "config.yaml", composed=False)
        Runs(folder, study).of_every_kind()
        for arguments in ([], ["--json"]):
            began, before = time.perf_counter(), os.times()
            subprocess.run(
                [sys.executable, "-m", "lmbmd", "status", *arguments],
                cwd=folder,
                env=ENVIRONMENT,
                check=True,
                stdout=subprocess.DEVNULL,
            )
            after = os.times()
            cpu_s = sum(after[2:4]) - sum(before[2:4])
            wall_s = time.perf_counter() - began
            print(
                f"{len(study.runs())} runs: lmbmd status {' '.join(arguments):7} {wall_s:6.2f} s, {cpu_s:.2f} s of CPU"
            )


if __name__ == "__main__":
    main()
