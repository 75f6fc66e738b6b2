"""From a packed box to a trajectory, in one process that may be killed at any time and goes on when run again."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import openmm

from lmbmd.box.pdb import read_pdb
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import read_text
from lmbmd.core.progress import Progress
from lmbmd.data.systemxml import system_of
from lmbmd.simulate.checkpoint import Checkpoint
from lmbmd.simulate.engines.mechanics import check_box
from lmbmd.simulate.engines.openmm import Engine
from lmbmd.simulate.interrupts import Interrupts
from lmbmd.simulate.lock import holding
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import load_spec
from lmbmd.simulate.publish import check_writable, complete, publish, reopen
from lmbmd.simulate.resume import Inputs, RunState, find, make_room
from lmbmd.simulate.runner import Runner

StrPath = str | os.PathLike[str]
_AUTO = PlatformOptions()


def simulate(
    spec_path: StrPath,
    system_xml: StrPath,
    start_pdb: StrPath,
    work_dir: StrPath,
    out_dir: StrPath,
    *,
    platform: PlatformOptions = _AUTO,
    fresh: bool = False,
    quiet: bool = False,
) -> None:
    """Simulate, or go on simulating, until the production is as long as the spec asks; then publish its files.

    Writes into ``out_dir``: ``trajectory.xtc`` (frames at multiples of the frame interval; molecules whole, their
    centres in the box), ``state.csv``, ``equilibration.csv``, ``final.pdb`` and, last, ``run.json``. ``work_dir`` is
    the run's own: checkpoints, growing files, lock. Kept, it allows the run to be extended by a longer spec.

    Args:
        platform: where to run, and how often to write a checkpoint (less often if that takes over 0.5 % of the time).
        fresh: set a run of other physics in ``work_dir`` aside (``lmbmd.simulate.resume.make_room``), not refuse it.
        quiet: no progress on stderr.

    Raises:
        NotFinished: after SIGTERM or SIGINT; exit code 85; the same command goes on.
        LmbmdError: for bad inputs, a changed physical parameter, a folder in use, a full disk, a run that explodes.
    """
    work, out = Path(work_dir), Path(out_dir)
    system, start = (read_text(path, "Run the build stage first.") for path in (system_xml, start_pdb))
    inputs = Inputs(load_spec(spec_path), system, start)
    files = {"spec": spec_path, "system": system_xml, "start": start_pdb}
    progress = Progress(None if quiet else sys.stderr)
    check_writable(out)
    if fresh:
        make_room(work, inputs, progress.say)
    with holding(work, progress.say), Interrupts() as interrupts:
        last = find(work, inputs, progress.say)
        if last is None or not complete(work, last, inputs.spec):
            last = _go_on(inputs, files, work, last, platform, progress, interrupts)
        publish(work, out, last, inputs.spec, files)


def _go_on(
    inputs: Inputs,
    files: dict[str, StrPath],
    work: Path,
    found: Checkpoint | None,
    platform: PlatformOptions,
    progress: Progress,
    interrupts: Interrupts,
) -> Checkpoint:
    """Simulate from ``found``, or from the start, to the end; the last checkpoint."""
    system = _system(inputs.system_xml, str(files["system"]))
    positions, box = read_pdb(inputs.start_pdb, where=str(files["start"]))
    if len(positions) != system.getNumParticles():
        raise LmbmdError(
            f"{len(positions)} atoms in the start structure, {system.getNumParticles()} in the System.",
            where=str(files["start"]),
            remedy="Run the build stage again.",
        )
    state = RunState.of(found) if found else RunState()
    engine = Engine(system, inputs.spec, platform, f"{state.stage} {state.step}")
    check_box(box, engine.cutoff_A, where=str(files["start"]))
    progress.say(engine.report.sentence())
    reopen(work)
    runner = Runner(inputs, engine, work, progress, interrupts, platform.checkpoint_interval_s)
    return runner.run(positions / 10, box / 10, found)


def _system(text: str, where: str) -> openmm.System:
    system = system_of(text, where, remedy="Run the build stage again.")
    if not system.usesPeriodicBoundaryConditions():
        raise LmbmdError("this is no periodic System.", where=where, remedy="Run the build stage again.")
    return system
