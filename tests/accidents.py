"""Runs that meet with accidents at chosen or random moments: explosions, and deaths in the middle of a system call."""

from __future__ import annotations

import math
import os
import random
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toy import child_process, simulate_here

import lmbmd.simulate.run
from lmbmd.core.errors import LmbmdError
from lmbmd.simulate.runner import Runner

#: Exit code of a process that died in an accident: as if by SIGKILL, nothing is tidied up.
DEAD = 137


@dataclass(frozen=True)
class Accidents:
    """What happens to one process.

    Attributes:
        save_at: steps of the production at which a checkpoint is written, as if it were due.
        explode_at: steps at which the velocities explode, each once, in this order, after the one before was undone.
        explode_in: the stage of these steps.
        die_at: the step of the production at which the process dies, once all explosions are over.
        die_call: the process dies in this call, counted from 1, of those that change files once it holds the folder.
        share: chance of an explosion each time the run looks up between steps, three at most.
        seed: of that chance.
    """

    save_at: tuple[int, ...] = ()
    explode_at: tuple[int, ...] = ()
    explode_in: str = "produce"
    die_at: int | None = None
    die_call: int | None = None
    share: float = 0.0
    seed: int = 0


def simulate_with(folder: Path, accidents: Accidents, **options: Any) -> int:
    """Run ``folder`` in a process of its own that meets with the accidents; its exit code.

    The error it ended with, if any, is in ``error.txt``.
    """
    process = child_process(_child, folder, accidents, options)
    process.join()
    return process.exitcode


def _child(folder: Path, accidents: Accidents, options: dict[str, Any]) -> None:
    _hook(accidents)
    if accidents.die_call:
        _die_in_call(accidents.die_call)
    try:
        simulate_here(folder, **options)
    except LmbmdError as error:
        (folder / "error.txt").write_text(str(error), encoding="utf-8")
        sys.exit(error.exit_code)


def explode(runner: Runner) -> None:
    """Every atom gets 10⁵ times its velocity."""
    if not hasattr(runner.engine, "_context"):  # GROMACS: it says so itself when that happens
        raise runner.engine._exploded("an accident")
    context = runner.engine._context
    context.setVelocities(context.getState(velocities=True).getVelocities(asNumpy=True) * 1e5)


def _hook(accidents: Accidents) -> None:
    real, left, chance = Runner._attend, list(accidents.explode_at), random.Random(accidents.seed)
    unsaved, by_chance = list(accidents.save_at), []

    def attend(self: Runner) -> None:
        state = self.state
        noticed = len(state.recoveries) >= len(accidents.explode_at) - len(left)
        if state.stage == accidents.explode_in and left and noticed and state.step >= left[0]:
            left.pop(0)
            explode(self)
        elif len(by_chance) < 3 and chance.random() < accidents.share:
            by_chance.append(state.step)
            explode(self)
        elif state.stage == "produce" and unsaved and state.step >= unsaved[0]:
            unsaved.pop(0)
            self._next_checkpoint_s = 0.0
        elif state.stage == "produce" and accidents.die_at is not None and not left and state.step >= accidents.die_at:
            os._exit(DEAD)
        real(self)

    Runner._attend = attend


def _die_in_call(last: int) -> None:
    """Count the calls that change files and die in the one of this number, which does half of what it should."""
    count, find = [-math.inf], lmbmd.simulate.run.find

    def begin(*args: Any) -> Any:
        count[0] = 0
        return find(*args)

    lmbmd.simulate.run.find = begin

    def dying(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            count[0] += 1
            if count[0] == last:
                if name == "write":
                    real(args[0], args[1][: len(args[1]) // 2])
                os._exit(DEAD)
            return real(*args, **kwargs)

        return call

    for name in ("write", "fsync", "ftruncate", "replace", "link", "unlink"):
        setattr(os, name, dying(name))
