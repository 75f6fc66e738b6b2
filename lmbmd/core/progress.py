"""How far a run is: a bar with ns/day and time left on a terminal, a line a minute elsewhere."""

from __future__ import annotations

import sys
import time
from typing import TextIO

from tqdm import tqdm

from lmbmd.core.units import PS_PER_NS

_LINE_EVERY_S = 60.0


class Progress:
    """Progress of one stage at a time.

    Args:
        stream: where to; nothing is written if None.
    """

    def __init__(self, stream: TextIO | None = sys.stderr) -> None:
        self._stream = stream
        self._bar: tqdm | None = None
        self._terminal = stream is not None and stream.isatty()

    def begin(self, stage: str, done_ps: float, total_ps: float) -> None:
        """A stage of ``total_ps`` begins, or goes on, at ``done_ps``."""
        self.end()
        self._stage, self._total_ps = stage, total_ps
        self._from_ps = self._done_ps = done_ps
        self._began = self._last_line = time.monotonic()
        if self._terminal:
            self._bar = tqdm(
                total=total_ps,
                initial=done_ps,
                desc=stage,
                unit="ps",
                file=self._stream,
                leave=True,
                bar_format="{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total:.1f} ps{postfix}",
            )

    def at(self, done_ps: float) -> None:
        """The stage has reached ``done_ps``."""
        self._done_ps = done_ps
        if self._bar is not None:
            self._bar.set_postfix_str(self.rate(), refresh=False)
            self._bar.update(done_ps - self._bar.n)
        elif self._stream is not None and time.monotonic() - self._last_line >= _LINE_EVERY_S:
            self._last_line = time.monotonic()
            self.say(f"{self._stage}: {done_ps:.1f} of {self._total_ps:.1f} ps, {self.rate()}")

    def rate(self) -> str:
        """Speed since the stage began here, and the time left at that speed."""
        seconds = time.monotonic() - self._began
        done = self._done_ps - self._from_ps
        if seconds <= 0 or done <= 0:
            return "…"
        left_s = (self._total_ps - self._done_ps) * seconds / done
        return f"{done / PS_PER_NS / seconds * 86400:.3g} ns/day, {tqdm.format_interval(left_s)} left"

    def say(self, text: str) -> None:
        """A line of its own."""
        if self._stream is None:
            return
        if self._bar is not None:
            self._bar.write(text, file=self._stream)
        else:
            print(text, file=self._stream, flush=True)

    def end(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None
