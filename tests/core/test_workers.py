"""Work shared by processes: order, errors, and an end in every case."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lmbmd.core.errors import LmbmdError
from lmbmd.core.workers import shared

#: More than a pipe holds: while a process works, the next piece is still being sent.
LARGE = b"x" * 30_000_000


def _square(number: int) -> int:
    return number**2


def _first(number: int, how: str, _: bytes) -> int:
    """The first piece ends badly while the next ones are on their way; the others take long."""
    if number:
        time.sleep(60)
    time.sleep(0.5)
    if how == "dies":
        os._exit(1)
    raise ValueError("the first")


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_the_order_of_the_arguments(workers):
    assert list(shared(_square, ((n,) for n in range(9)), workers, "here")) == [n**2 for n in range(9)]


def ends(how: str) -> None:
    try:
        list(shared(_first, ((n, how, LARGE) for n in range(6)), 2, "here"))
    except (ValueError, LmbmdError) as error:
        print(error)


@pytest.mark.parametrize(("how", "told"), [("raises", "the first"), ("dies", "one of 2 worker processes died")])
def test_an_error_ends_the_work_though_more_is_being_sent(how, told):
    # In a process of its own: what is tested is that it ends. With CPython 3.11.2 it did not.
    command = [sys.executable, "-c", f"import test_workers; test_workers.ends({how!r})"]
    done = subprocess.run(command, cwd=Path(__file__).parent, capture_output=True, text=True, timeout=50, check=True)
    assert told in done.stdout
