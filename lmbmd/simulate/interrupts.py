"""SIGTERM, SIGINT and SIGHUP (a closed terminal): remembered while a step is taken, answered between steps."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from lmbmd.core.errors import LmbmdError

_HANGUP = (signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()  # Windows has none


class NotFinished(LmbmdError):
    """The run was interrupted, is kept, and goes on when the same command is given again."""

    exit_code = 85


class Interrupts:
    """Inside the ``with`` block the first such signal is only noted; a second SIGINT interrupts at once.

    A signal that is ignored already, as SIGHUP under ``nohup``, stays so.
    """

    def __init__(self) -> None:
        self.received: str | None = None
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
            for number in (signal.SIGTERM, signal.SIGINT, *_HANGUP):
                if number in _HANGUP and signal.getsignal(number) == signal.SIG_IGN:
                    continue
                self._before[number] = signal.signal(number, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.received = signal.Signals(number).name

    def error(self, where: str) -> NotFinished:
        """The error to end with."""
        return NotFinished(
            f"stopped by {self.received} in stage {where}.", remedy="Give the same command again to go on."
        )
