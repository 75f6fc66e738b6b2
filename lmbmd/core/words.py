"""Words that several pages and messages need."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_SUBSCRIPT = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def counted(n: int, noun: str) -> str:
    """``"1 frame"``, ``"2 frames"``."""
    return f"{n} {noun}{'' if n == 1 else 's'}"


def listed(parts: Sequence[str], last: str = "and") -> str:
    """``"a"``, ``"a and b"``, ``"a, b and c"``; with another word before the last."""
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[int]) -> list[str]:
    """Rows under their columns; the columns ``left`` are flush left, the others flush right."""
    table = [columns, *rows]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides = ["<" if i in left else ">" for i in range(len(columns))]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
        for row in table
    ]


def size_text(n_bytes: float) -> str:
    """Bytes in decimal units, three digits."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= factor:
            return f"{n_bytes / factor:.3g} {unit}"
    return f"{n_bytes / 1e3:.3g} kB"


def formula(text: str) -> str:
    """A chemical name with its digits as subscripts where they count atoms: PF6 → PF₆."""
    return re.sub(r"(?<=[A-Za-z])\d+$", lambda m: m.group().translate(_SUBSCRIPT), text)


def shown(value: object) -> str:
    """A value as error messages quote it: on one line and not too long."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}…{text[-1]}"


def printable(text: str) -> str:
    """A text that cannot steer a terminal: each character that cannot be printed is its escape, but ends of lines."""
    return "".join(c if c.isprintable() or c == "\n" else repr(c)[1:-1] for c in text)


def unaccented(text: str) -> str:
    """``"étude CO₂"`` as ``"etude CO2"``: letters and digits without accents and set as usual, all else as it was.

    Superscripts stay: 10² is not 102.
    """
    is_raised = lambda c: unicodedata.decomposition(c).startswith("<super>")  # noqa: E731
    plain = "".join(c if is_raised(c) else unicodedata.normalize("NFKD", c) for c in text)
    return "".join(c for c in plain if not unicodedata.combining(c))
