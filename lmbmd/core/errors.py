"""One kind of error for everything a user can mend: what is wrong, where, and what to do."""

from __future__ import annotations

import difflib
import re
import textwrap
from collections.abc import Iterable

from lmbmd.core.words import printable


class LmbmdError(Exception):
    """A user-facing error: printed as one paragraph, never with a traceback.

    Args:
        what: the fault, with the offending value in it.
        where: the place, as ``file:key``, a frame, an atom or a folder.
        remedy: what to do about it.
    """

    exit_code = 2

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None) -> None:
        self.what, self.where, self.remedy = what, where, remedy
        super().__init__(what)

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        advice = f" {self.remedy}" if self.remedy else ""
        return f"{place}{self.what}{advice}"


def paragraph(verb: str, error: LmbmdError) -> str:
    """An error as a terminal and a log show it: which verb it ended, and ``str(error)``, in lines of 100 characters."""
    text = re.sub(r"(\S{300})\S{300,}", r"\1…", f"lmbmd {verb}: {printable(str(error))}")  # a value may be a whole page
    return textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False)


def closest(name: str, choices: Iterable[str]) -> str | None:
    """The valid choice that ``name`` may be a slip of; None if there is none like it."""
    by_lower = {choice.lower(): choice for choice in sorted(set(map(str, choices)))}
    close = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[close[0]] if close else None


def nearest(name: str, choices: Iterable[str]) -> str:
    """A clause that names the valid choice closest to ``name``, or lists them all."""
    choices = sorted(set(map(str, choices)))
    if close := closest(name, choices):
        return f"Did you mean '{close}'?"
    return f"Valid: {', '.join(choices)}." if choices else "There is no valid choice."
