"""A run whose physics was changed on purpose: the old one is set aside whole, and comes back with the old physics."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from lmbmd.core.errors import LmbmdError
from lmbmd.simulate import checkpoint
from lmbmd.simulate.lock import holding
from lmbmd.simulate.resume import Inputs

_SUFFIX = ".replaced-"


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
        faults = _faults(work, inputs)
        if not faults:
            return
        aside = work.with_name(f"{work.name}{_SUFFIX}{max([0, *_numbers(work)]) + 1}")
        _rename(work, aside)
        say(f"the run in {work.name} was another one ({'; '.join(faults)}); it is kept in {aside}")
    for number in sorted(_numbers(work), reverse=True):
        earlier = work.with_name(f"{work.name}{_SUFFIX}{number}")
        if _faults(earlier, inputs) == []:
            _rename(earlier, work)
            say(f"{earlier} is a run of this physics; going on with it")
            return


def _faults(work: Path, inputs: Inputs) -> list[str] | None:
    """What differs in the newest checkpoint; [] if any checkpoint is of this run, None if none can be read."""
    found = None
    for name in (checkpoint.CURRENT, checkpoint.PREVIOUS):
        try:
            faults = inputs.faults(checkpoint.load(work / name))
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            continue
        if not faults:
            return []
        found = found or faults
    return found


def _numbers(work: Path) -> Iterator[int]:
    for path in work.parent.iterdir():
        number = path.name.removeprefix(f"{work.name}{_SUFFIX}")
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
