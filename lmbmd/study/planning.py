"""What is done around Snakemake's planning: garbage collection out of its way, and leftovers of a killed run."""

from __future__ import annotations

import atexit
import gc
import json
import logging
import re
import shutil
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from lmbmd.core import stages
from lmbmd.core.files import write_text
from lmbmd.study import layout
from lmbmd.study.status import status
from lmbmd.study.status_text import closing_text
from lmbmd.study.study import Study

#: What a stage's change makes again, beside the stage itself.
_AFTER = {
    "COMPOSE": "compositions, boxes, simulations and all that is made from them",
    "BUILD": "boxes, simulations and all that is made from them",
    "SIMULATE": "simulations and all that is made from them",
    "CONTACTS": "contacts, descriptions and pages, but no simulation",
    "DESCRIBE": "descriptions and pages, but no simulation",
    "REPORT": "pages, but no simulation",
}
#: Files of a job, and characters of the reason for it, that Snakemake names.
_MOST_FILES, _MOST_CHARACTERS = 12, 600
_SEEN = Path(".snakemake", "lmbmd_stages.json")


def plan_without_garbage_collection() -> None:
    """Stop collecting garbage in this process until ``collect_garbage_again``, and at its exit.

    Planning makes millions of objects that live to its end, and Python looks for garbage among them all the time:
    300 bottles × 3 replicas are planned in 7.6 s of CPU time without and 9.9 s with it, in the same memory
    (``benchmarks/scale.py``). Only ``workflow/rules/common.smk`` calls it: the process is Snakemake's.
    """
    gc.disable()
    atexit.register(gc.freeze)


def say_less_of_long_lists() -> None:
    """Let Snakemake name the first few files of a job that has hundreds, in what it prints and in its log."""
    logging.getLogger("snakemake.logging").addFilter(_shortened)


def _shortened(record: logging.LogRecord) -> bool:
    for name in ("input", "output"):
        listed = getattr(record, name, None)
        if isinstance(listed, list | tuple) and len(listed) > _MOST_FILES:
            setattr(
                record, name, [*map(str, listed[: _MOST_FILES // 2]), f"… and {len(listed) - _MOST_FILES // 2} more"]
            )
    reason = getattr(record, "reason", None)
    if isinstance(reason, str) and len(reason) > _MOST_CHARACTERS:
        record.reason = f"{reason[:_MOST_CHARACTERS]} …"
    return True


def bottle_of_this_job(arguments: Sequence[str]) -> str | None:
    """The bottle that a Snakemake on a node of a cluster was started for, by its own command line; None if for several.

    Args:
        arguments: ``sys.argv``; a cluster's executor gives ``--target-jobs RULE:formulation=NAME,…``.
    """
    if "--target-jobs" not in arguments:
        return None
    jobs = []
    for argument in arguments[arguments.index("--target-jobs") + 1 :]:
        if argument.startswith("-"):
            break
        jobs.append(re.search(r"[:,]formulation=([a-z0-9][a-z0-9._-]*)", argument))
    names = {found[1] if found else None for found in jobs}
    return names.pop() if len(names) == 1 else None


def collect_garbage_again() -> None:
    """Collect garbage from now on, but not among what was planned. For when the first job starts."""
    gc.freeze()
    gc.enable()


def forget_copies_of_a_killed_run() -> None:
    """Remove Snakemake's copies of outputs that jobs were about to replace when all was killed.

    The outputs themselves are where they were; a copy of a folder that is still there makes the next such job fail.
    Called when the first job starts, with the folder's lock held, so that no other Snakemake is using them.
    """
    shutil.rmtree(Path(".snakemake", "backups"), ignore_errors=True)


def forget_empty_logs() -> None:
    """Remove the logs of jobs that had nothing to say; Snakemake makes a log for each. For when all jobs succeeded."""
    for path in layout.LOGS.rglob("*.log"):
        with suppress(OSError):
            if path.stat().st_size == 0:
                path.unlink()


def how_it_ended(study: Study) -> str:
    """What is said last of all: which jobs failed and why, and which page to open."""
    return closing_text(status(study))


def what_an_upgrade_makes_again() -> list[str]:
    """What will be made again because lmbmd's methods are others than when this study was last run; then it is noted.

    Returns:
        A sentence for each stage whose version differs, the first stage first; none for a new study.
    """
    now = {name: getattr(stages, name) for name in _AFTER}
    try:
        seen = json.loads(_SEEN.read_text(encoding="utf-8"))
        before = {name: str(seen.get(name, now[name])) for name in now}
    except (OSError, ValueError, AttributeError):
        before = now
    write_text(_SEEN, json.dumps(now) + "\n")
    return [
        f"lmbmd's method changed from {before[name]} to {now[name]} since this study was last run: {_AFTER[name]} will "
        "be made again. `lmbmd why NAME` says it run by run."
        for name in now
        if before[name] != now[name]
    ]
