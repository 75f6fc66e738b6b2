"""Words that several pages and messages need."""

from __future__ import annotations


def counted(n: int, noun: str) -> str:
    """``"1 frame"``, ``"2 frames"``."""
    return f"{n} {noun}{'' if n == 1 else 's'}"
