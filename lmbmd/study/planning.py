"""Python's collector of garbage, out of the way while Snakemake plans a study."""

from __future__ import annotations

import atexit
import gc


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
