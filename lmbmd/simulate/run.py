"""From a packed box to a trajectory, in one process that may be killed at any time and goes on when run again."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import openmm

from lmbmd.box.pdb import read_pdb
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import check_recorded, read_text
from lmbmd.core.progress import Progress
from lmbmd.data.atoms import AtomTable
from lmbmd.data.systemxml import system_of
from lmbmd.simulate.checkpoint import Checkpoint
from lmbmd.simulate.engines.choice import GROMACS, faster, known, sentence, usable_gpus
from lmbmd.simulate.engines.mechanics import check_box, cutoff_A
from lmbmd.simulate.engines.openmm import Engine
from lmbmd.simulate.interrupts import Interrupts
from lmbmd.simulate.lock import holding
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.places import placed
from lmbmd.simulate.protocol import load_spec
from lmbmd.simulate.publish import check_writable, complete, publish, reopen
from lmbmd.simulate.resume import Inputs, RunState, find, make_room
from lmbmd.simulate.runner import Runner

if TYPE_CHECKING:
    from lmbmd.simulate.engines import mdrun

StrPath = str | os.PathLike[str]
_AUTO = PlatformOptions()


def simulate(
    spec_path: StrPath,
    system_xml: StrPath,
    start_pdb: StrPath,
    work_dir: StrPath,
    out_dir: StrPath,
    *,
    atoms: StrPath | None = None,
    platform: PlatformOptions = _AUTO,
    fresh: bool = False,
    quiet: bool = False,
) -> None:
    """Simulate, or go on simulating, until the production is as long as the spec asks; then publish its files.

    Writes into ``out_dir``: ``trajectory.xtc`` (frames at multiples of the frame interval; molecules whole, their
    centres in the box), ``state.csv``, ``equilibration.csv``, ``final.pdb`` and, last, ``run.json``. ``work_dir`` is
    the run's own: checkpoints, growing files, lock. Kept, it allows the run to be extended by a longer spec.

    Args:
        atoms: ``atoms.parquet``, which GROMACS' topology is made with; by default it is looked for beside the System.
        platform: where to run, and how often to write a checkpoint (less often if that takes over 0.5 % of the time).
        fresh: set a run of other physics in ``work_dir`` aside (``lmbmd.simulate.resume.make_room``), not refuse it.
        quiet: no progress on stderr.

    Raises:
        NotFinished: after SIGTERM or SIGINT; exit code 85; the same command goes on.
        LmbmdError: for bad inputs, a changed physical parameter, a folder in use, a full disk, a run that explodes.
    """
    work, out = Path(work_dir), Path(out_dir)
    for path in (system_xml, start_pdb):
        check_recorded(
            path, "build.json", "Build the box again: delete this file. If you changed it, delete build.json."
        )
    system, start = (read_text(path, "Run the build stage first.") for path in (system_xml, start_pdb))
    inputs = Inputs(load_spec(spec_path), system, start)
    files = {"spec": spec_path, "system": system_xml, "start": start_pdb}
    atoms = atoms or Path(system_xml).with_name("atoms.parquet")
    progress = Progress(None if quiet else sys.stderr)
    check_writable(out)
    if fresh:
        make_room(work, inputs, progress.say)
    with holding(work, progress.say), Interrupts() as interrupts:
        last = find(work, inputs, progress.say)
        simulated = last is None or not complete(work, last, inputs.spec)
        if last is None or simulated:
            last = _go_on(inputs, files, atoms, work, last, platform, progress, interrupts)
        publish(work, out, last, inputs.spec, files, simulated=simulated)


def _go_on(
    inputs: Inputs,
    files: dict[str, StrPath],
    atoms: StrPath,
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
    check_box(box, cutoff_A(system), where=str(files["start"]))
    beginning = f"{state.stage} {state.step}"

    def make(options: PlatformOptions, folder: Path | None) -> Engine | mdrun.Engine:
        if folder is None:
            return Engine(system, inputs.spec, options, beginning)
        from lmbmd.simulate.engines import mdrun  # slow to import, and not always needed

        described = mdrun.described(system, AtomTable.read(atoms), (positions, box), inputs.spec, Path(files["system"]))
        return mdrun.Engine(system, described, inputs.spec, options, beginning, folder)

    choice = known(platform, inputs.spec, found)
    with placed(platform, usable_gpus(choice, platform), progress.say) as (platform, place):
        choice = choice or faster(make, (positions / 10, box / 10), platform, inputs.spec)
        if choice.why == "began" and platform.engine not in ("auto", choice.name.lower()):
            progress.say(f"{platform.engine} is asked for, but the run began with {choice.name} and goes on with it")
        recorded = (found.header.get("choice") if found else None) or choice.to_dict()
        engine = make(platform, work if choice.name == GROMACS else None)
        progress.say(f"{engine.report.sentence()}; {sentence(choice.to_dict())}")
        reopen(work)
        interval_s = platform.checkpoint_interval_s
        runner = Runner(inputs, engine, work, progress, interrupts, interval_s, choice=recorded, place=place)
        try:
            return runner.run(positions / 10, box / 10, found)
        finally:
            engine.close()


def _system(text: str, where: str) -> openmm.System:
    system = system_of(text, where, remedy="Run the build stage again.")
    if not system.usesPeriodicBoundaryConditions():
        raise LmbmdError("this is no periodic System.", where=where, remedy="Run the build stage again.")
    return system
