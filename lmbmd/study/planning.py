"""What is done around Snakemake's planning: garbage collection out of its way, and leftovers of a killed run."""

from __future__ import annotations

import atexit
import gc
import shutil
from pathlib import Path


def plan_without_garbage_collection() -> None:
    """Stop collecting garbage in this process until ``collect_garbage_again``, and at its exit.

    Planning makes millions of objects that live to its end, and Python looks for garbage among them all the time:
    300 bottles × 3 replicas are planned in 7.6 s of CPU time without and 9.9 s with it, in the same memory
    (``benchmarks/scale.py``). Only ``workflow/rules/common.smk`` calls it: the process is Snakemake's.
    """
    gc.disable()
    atexit.register(gc.freeze)


def collect_garbage_again() -> None:
    """Collect garbage from now on, but not among what was planned. For when the first job starts."""
    gc.freeze()
    gc.enable()


def forget_copies_of_a_killed_run() -> None:
    """Remove Snakemake's copies of outputs that jobs were about to replace when all was killed.

    The outputs themselves are where they were; a copy of a folder that is still there makes the next such job fail.
    Called when the first job starts, with the folder's lock held, so that no other Snakemake is using them.
    """
    shutil.rmtree(Path(".snakemake", "backup"), ignore_errors=True)
