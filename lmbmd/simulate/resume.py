"""Which checkpoint a run goes on from: the newest in its folder that is whole and its own. Nobody else decides that.

Two checkpoints are kept. One is *damaged* if its hash is wrong or a growing file does not hold what it counts on, and
*foreign* if it is of other physics, another System or another start. Whoever begins, goes on, recovers from an
explosion, sets a folder aside or only looks, asks here.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import sync_folder
from lmbmd.core.provenance import sha256_of
from lmbmd.simulate import checkpoint
from lmbmd.simulate.checkpoint import Checkpoint
from lmbmd.simulate.lock import holding
from lmbmd.simulate.logs import Mark
from lmbmd.simulate.protocol import TRAJECTORY, RunSpec, differences

#: In this order; each begins with a checkpoint.
STAGES = ("minimise", "soften", "anneal", "equilibrate", "produce")
_SET_ASIDE = ".replaced-"


@dataclass
class RunState:
    """Where a run stands: the one mutable thing of a simulation, and all of it is in every checkpoint.

    Attributes:
        stage, step: how many steps of which stage are done.
        wall_s: seconds spent in each stage, of work that was kept.
        verdict: how the equilibration ended.
        strikes: explosions since the run last went well; the time step is divided by 2^strikes.
        slow_until: (stage, step) from which the full step is tried again.
        recoveries: every explosion and what was done.
        sessions: every process that has worked on this run.
    """

    stage: str = STAGES[0]
    step: int = 0
    wall_s: dict[str, float] = field(default_factory=dict)
    verdict: dict[str, Any] | None = None
    strikes: int = 0
    slow_until: tuple[str, int] | None = None
    recoveries: list[dict[str, Any]] = field(default_factory=list)
    sessions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def divisor(self) -> int:
        """How many smaller steps make a time step."""
        return 2**self.strikes

    def before(self, other: tuple[str, int]) -> bool:
        """Whether this is before a stage and step."""
        return (STAGES.index(self.stage), self.step) < (STAGES.index(other[0]), other[1])

    def finished(self, spec: RunSpec) -> bool:
        """Whether the production is as long as the spec asks."""
        return self.stage == STAGES[-1] and self.step >= spec.production_steps

    @classmethod
    def of(cls, found: Checkpoint) -> RunState:
        """The state in a checkpoint."""
        values = found.header["state"]
        slow = values["slow_until"]
        return cls(**{**values, "slow_until": tuple(slow) if slow else None})


@dataclass(frozen=True)
class Inputs:
    """The three files that a run is made of, as they are now.

    ``system_sha256`` leaves out the OpenMM version that wrote the file, which is no physics.
    """

    spec: RunSpec
    system_xml: str
    start_pdb: str

    def header(self) -> dict[str, Any]:
        """What a checkpoint must agree with."""
        system = re.sub(r'\sopenmmVersion="[^"]*"', "", self.system_xml)
        return {
            "physics": self.spec.physics(),
            "system_sha256": sha256_of(system.encode()),
            "start_sha256": sha256_of(self.start_pdb.encode()),
        }

    def differences(self, found: Checkpoint) -> list[str]:
        """What of a checkpoint differs from these inputs, by name; empty if it is of this run."""
        wanted, header = self.header(), found.header
        names = {"system_sha256": "the System (system.xml)", "start_sha256": "the start structure (start.pdb)"}
        found_other = [f"{name} is another one" for key, name in names.items() if header[key] != wanted[key]]
        return found_other + differences(header["physics"], wanted["physics"])


@dataclass(frozen=True)
class Kept:
    """A checkpoint that lies in a work folder.

    Attributes:
        name: of its file.
        checkpoint: None if it cannot be read.
        foreign: what of it differs from the inputs, by name; empty if it is of this run.
        damage: why it cannot be read, or what a growing file lacks; "" if nothing is wrong.
    """

    name: str
    checkpoint: Checkpoint | None
    foreign: tuple[str, ...] = ()
    damage: str = ""


def header_of(
    inputs: Inputs,
    state: RunState,
    marks: dict[str, Mark],
    engine: dict[str, Any],
    platform: dict[str, Any],
    choice: dict[str, Any],
) -> dict[str, Any]:
    """The header of a checkpoint."""
    files = {name: asdict(mark) for name, mark in marks.items()}
    said = {"engine": engine, "platform": platform, "choice": choice}
    return {**inputs.header(), "state": asdict(state), "files": files, **said}


def marks_of(found: Checkpoint) -> dict[str, Mark]:
    """What the growing files held at a checkpoint."""
    return {name: Mark(**values) for name, values in found.header["files"].items()}


def kept(work: Path, differing: Callable[[Checkpoint], list[str]]) -> list[Kept]:
    """The checkpoints in a folder, the newest first, and what speaks against each. Changes nothing.

    Args:
        differing: what of a checkpoint differs from the run that is asked for (``Inputs.differences``).
    """
    found = [_look(work, name, differing) for name in (checkpoint.CURRENT, checkpoint.PREVIOUS)]
    if found == [None, None]:  # a writer may just have promoted the one to the other
        found = [_look(work, checkpoint.CURRENT, differing)]
    return [one for one in found if one]


def newest(work: Path, differing: Callable[[Checkpoint], list[str]]) -> Kept | None:
    """The checkpoint that a run in this folder would go on from, or else a foreign one; None if there is none.

    Raises:
        LmbmdError: if there are only damaged ones.
    """
    return _choose(work, kept(work, differing))


def find(work: Path, inputs: Inputs, say: Callable[[str], None]) -> Checkpoint | None:
    """The checkpoint to go on from, which is the current one from now on; None in a new folder.

    Args:
        say: told when the previous checkpoint had to be taken, and why.

    Raises:
        LmbmdError: if there are checkpoints but none is usable, if a physical parameter has changed (names it), if
            the run is already longer than asked, or if there is a trajectory without a checkpoint.
    """
    every = kept(work, inputs.differences)
    found = _choose(work, every)
    if found is None:
        if (work / TRAJECTORY).exists() and (work / TRAJECTORY).stat().st_size:
            raise LmbmdError(
                "there is a trajectory here but no checkpoint to go on from.",
                where=str(work / TRAJECTORY),
                remedy="Move it away, or delete this folder, to begin the run anew.",
            )
        return None
    if found.foreign:
        raise LmbmdError(
            f"the run in this folder is another one: {'; '.join(found.foreign)}.",
            where=str(work),
            remedy="Undo the change, or give --fresh: this folder is then set aside and the run begun anew.",
        )
    if found.name != checkpoint.CURRENT:
        for one in every:
            if one.name == checkpoint.CURRENT:
                why = one.damage or f"it is of another run ({'; '.join(one.foreign)})"
                say(f"{one.name}: {why}; going on from {found.name}")
                with suppress(OSError):  # kept for whoever wants to know; it may be unreadable
                    shutil.copyfile(work / one.name, work / f"{one.name}.rejected")
        _promote(work, found.name)
    assert found.checkpoint
    _check_length(work, found.checkpoint, inputs.spec)
    return found.checkpoint


def go_back(work: Path, inputs: Inputs, *, older: bool) -> Checkpoint:
    """The checkpoint to return to after an explosion, which is the current one from now on.

    Args:
        older: the one before the newest, if there is such a one; the newest is given up for good with its branch.

    Raises:
        LmbmdError: if there is none.
    """
    usable = [one for one in kept(work, inputs.differences) if not one.damage and not one.foreign]
    if not usable:
        raise LmbmdError(
            "the run exploded and there is no checkpoint to go back to.",
            where=str(work),
            remedy="If it began only now, build the box again with another seed; else give the same command again.",
        )
    chosen = usable[-1] if older else usable[0]
    _promote(work, chosen.name)
    assert chosen.checkpoint
    return chosen.checkpoint


def make_room(work: Path, inputs: Inputs, say: Callable[[str], None]) -> None:
    """Let ``work`` hold the run of ``inputs`` or nothing, and lose nothing.

    A run of other physics is renamed to ``<work>.replaced-1``, ``-2``, …; then one of these inputs that was set aside
    before is taken back. Damaged checkpoints are no reason: they stay where they are.

    Args:
        say: told what was moved, and what of its physics differs.

    Raises:
        LmbmdError: if another process is writing the run, or it cannot be renamed.
    """
    with holding(work, say):
        foreign = [one.foreign for one in kept(work, inputs.differences) if one.checkpoint]
        if not foreign or () in foreign:
            return
        aside = work.with_name(f"{work.name}{_SET_ASIDE}{max([0, *_set_aside(work)]) + 1}")
        _rename(work, aside)
        say(f"the run in {work.name} was another one ({'; '.join(foreign[0])}); it is kept in {aside}")
    for number in sorted(_set_aside(work), reverse=True):
        earlier = work.with_name(f"{work.name}{_SET_ASIDE}{number}")
        if any(one.checkpoint and not one.foreign for one in kept(earlier, inputs.differences)):
            _rename(earlier, work)
            say(f"{earlier} is a run of this physics; going on with it")
            return


def replaced(work: Path) -> list[Path]:
    """Runs of other physics that were set aside from a folder."""
    if not work.parent.is_dir():
        return []
    return [work.with_name(f"{work.name}{_SET_ASIDE}{number}") for number in sorted(_set_aside(work))]


def _look(work: Path, name: str, differing: Callable[[Checkpoint], list[str]]) -> Kept | None:
    try:
        found = checkpoint.load(work / name)
        foreign = tuple(differing(found))
        faults = [] if foreign else [mark.fault(work / file) for file, mark in marks_of(found).items()]
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, OSError) as error:
        return Kept(name, None, damage=str(error))
    return Kept(name, found, foreign, "; ".join(filter(None, faults)))


def _choose(work: Path, found: list[Kept]) -> Kept | None:
    usable = [one for one in found if not one.damage and not one.foreign]
    foreign = [one for one in found if one.foreign]
    if found and not usable and not foreign:
        raise LmbmdError(
            f"no checkpoint is usable: {'; '.join(f'{one.name}: {one.damage}' for one in found)}.",
            where=str(work),
            remedy="Put the files back from a copy, or delete this folder to begin the run anew.",
        )
    return next(iter(usable + foreign), None)


def _promote(work: Path, name: str) -> None:
    """Make a checkpoint the current one, before anything that it does not know of is cut off or written."""
    if name != checkpoint.CURRENT:
        try:
            checkpoint.free(work / checkpoint.CURRENT)
            os.replace(work / name, work / checkpoint.CURRENT)
        except OSError as error:
            raise checkpoint.cannot_write(work / checkpoint.CURRENT, error) from error
        sync_folder(work)


def _check_length(work: Path, found: Checkpoint, spec: RunSpec) -> None:
    state = RunState.of(found)
    if state.stage == STAGES[-1] and state.step > spec.production_steps:
        done_ns = spec.time_ps(state.step) / 1000
        raise LmbmdError(
            f"this run is already {done_ns:.12g} ns long; production_ns asks for {spec.production_ns:g}.",
            where=str(work),
            remedy=f"Ask for at least {done_ns:.12g} ns, or delete this folder to begin anew.",
        )


def _set_aside(work: Path) -> Iterator[int]:
    """Numbers of the runs that were set aside from ``work``."""
    for path in work.parent.iterdir():
        number = path.name.removeprefix(f"{work.name}{_SET_ASIDE}")
        if number != path.name and number.isascii() and number.isdigit():
            yield int(number)


def _rename(old: Path, new: Path) -> None:
    try:
        os.rename(old, new)
    except OSError as error:
        raise LmbmdError(
            f"the folder cannot be renamed to {new.name}: {error.strerror or error}.",
            where=str(old),
            remedy="Mend its permissions, or move it away yourself.",
        ) from error
