"""How far a computation of a few long steps is: a bar on a terminal, a line a step elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TextIO

from tqdm import tqdm


class Steps:
    """Names each step as it begins.

    Args:
        title: what is computed.
        total: steps expected; it grows if there are more.
        stream: where to.
    """

    def __init__(self, title: str, total: int, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self._title, self._begun = title, 0
        self._bar = None
        if self._stream.isatty():
            form = "{desc} |{bar}| {n_fmt}/{total_fmt} {elapsed}"
            self._bar = tqdm(total=total, desc=title, file=self._stream, bar_format=form)

    def step(self, text: str) -> None:
        """The step before is done, and this one begins."""
        self._begun += 1
        if self._bar is None:
            print(f"{self._title}: {text}", file=self._stream, flush=True)
            return
        self._bar.total = max(self._bar.total, self._begun)
        self._bar.update(min(1, self._begun - 1))
        self._bar.set_description(f"{self._title}: {text}")

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, kind: type[BaseException] | None, value: object, trace: TracebackType | None) -> None:
        if self._bar is None:
            return
        if kind is None:
            self._bar.total = self._begun
            self._bar.update(1)
        self._bar.close()
