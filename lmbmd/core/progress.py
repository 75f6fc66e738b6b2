"""How far a long computation is: a bar with speed and time left on a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TextIO, TypeVar

from tqdm import tqdm

from lmbmd.core.units import PS_PER_NS

T = TypeVar("T")
_LINE_EVERY_S = 60.0
_SECONDS_PER_DAY = 86400.0
_BAR = "{desc}: {percentage:3.0f}%|{bar}| {n:.6g}/{total:.6g} {unit} {elapsed}{postfix}"


class Progress:
    """Progress of one stage at a time, told by ``at`` (how far it is) or by ``part`` (which part of it begins).

    Leaving a ``with`` block ends the last stage, as finished if there was no error.

    Args:
        stream: where to; nothing is written if None.
    """

    def __init__(self, stream: TextIO | None = sys.stderr) -> None:
        self._stream = stream
        self._bar: tqdm | None = None
        self._terminal = stream is not None and stream.isatty()

    def begin(self, title: str, total: float, done: float = 0.0, unit: str = "ps") -> None:
        """A stage of ``total`` units of work begins, or goes on, at ``done``."""
        self.end()
        self._title, self._total, self._unit = title, total, unit
        self._from = self._done = done
        self._parts = 0
        self._began = self._last_line = time.monotonic()
        if self._terminal:
            self._bar = tqdm(total=total, initial=done, desc=title, unit=unit, file=self._stream, bar_format=_BAR)

    def at(self, done: float) -> None:
        """The stage has reached ``done``: the bar moves, or a line is written if the last one is a minute old."""
        self._done = done
        if self._bar is not None:
            self._bar.set_postfix_str(self.speed(), refresh=False)
            self._bar.update(done - self._bar.n)
        elif time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            self.say(f"{self._title}: {done:.6g} of {self._total:.6g} {self._unit}, {self.speed()}")

    def part(self, text: str) -> None:
        """The part before is done, and this one begins. The total grows if there are more parts than expected."""
        self._parts += 1
        if self._bar is None:
            self.say(f"{self._title}: {text}")
            return
        self._total = self._bar.total = max(self._total, self._parts)
        self._bar.update(self._parts - 1 - self._bar.n)
        self._bar.set_description_str(f"{self._title}: {text}")

    def speed(self) -> str:
        """Speed since the stage began here, and the time left at that speed."""
        seconds, done = time.monotonic() - self._began, self._done - self._from
        if seconds <= 0 or done <= 0:
            return "…"
        per_s = done / seconds
        words = f"{per_s / PS_PER_NS * _SECONDS_PER_DAY:.3g} ns/day" if self._unit == "ps" else f"{per_s:.3g}/s"
        return f"{words}, {tqdm.format_interval((self._total - self._done) / per_s)} left"

    def say(self, text: str) -> None:
        """A line of its own."""
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        elif self._stream is not None:
            print(text, file=self._stream, flush=True)

    def end(self, *, finished: bool = False) -> None:
        """The stage is over; ``finished`` fills a bar of parts."""
        if self._bar is not None:
            if finished and self._parts:
                self._bar.total = self._parts
                self._bar.update(self._parts - self._bar.n)
            self._bar.close()
            self._bar = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        self.end(finished=kind is None)


def counted(items: Sequence[T], title: str, unit: str) -> Iterator[T]:
    """The items one after another, each told as done when the next is asked for."""
    with Progress() as progress:
        progress.begin(title, len(items), unit=unit)
        for done, item in enumerate(items, start=1):
            yield item
            progress.at(done)
