"""Work that several processes share, in the order in which it was given."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from lmbmd.core.errors import LmbmdError

Result = TypeVar("Result")


def shared(
    function: Callable[..., Result],
    arguments: Iterable[tuple[Any, ...]],
    workers: int,
    where: str,
    *,
    apart: bool = False,
) -> Iterator[Result]:
    """``function(*one)`` for each of ``arguments``, in their order, here or by processes that are a little ahead.

    Args:
        function: of a module, so that it can be sent to another process.
        arguments: asked for one by one, never more than a few ahead of what has been taken.
        workers: processes; 1 works in this one.
        where: what is worked on, for messages.
        apart: whether even one is another process, whose death is then no death of this one.

    Raises:
        LmbmdError: if a process died. What the function raises is passed on.
    """
    if workers <= 1 and not apart:
        yield from (function(*one) for one in arguments)
        return
    # Fresh processes: forking one that has threads (numba, Arrow) can deadlock.
    others = multiprocessing.active_children()
    with ProcessPoolExecutor(max(workers, 1), multiprocessing.get_context("spawn"), _end_with_parent) as pool:
        waiting: deque = deque()
        try:
            for one in arguments:
                waiting.append(pool.submit(function, *one))
                if len(waiting) > 2 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        except BrokenProcessPool as error:
            send_no_more(pool)
            raise LmbmdError(
                f"one of {max(workers, 1)} worker processes died, probably for want of memory.",
                where=where,
                remedy="Use fewer workers.",
            ) from error
        except BaseException:  # a signal, or a reader who has enough: do not wait for what nobody wants
            for child in multiprocessing.active_children():
                if child not in others:
                    child.terminate()
            send_no_more(pool)
            raise
        finally:
            pool.shutdown(cancel_futures=True)


def send_no_more(pool: ProcessPoolExecutor) -> None:
    """Break off what is being sent to a dead process: CPython before 3.11.5 waits for it for ever (gh-94777)."""
    reader = getattr(getattr(pool, "_call_queue", None), "_reader", None)
    if reader is not None:
        reader.close()


def _end_with_parent() -> None:
    """In a worker: end when the process that started it is gone, however it was killed; a Ctrl-C is the parent's."""

    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()
