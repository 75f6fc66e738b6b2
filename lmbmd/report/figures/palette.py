"""One colour per species on every figure and page.

The centre is near-black, anions are warm, solvents cool, diluents grey. Colours of shipped species are fixed, so that
a species looks the same in every report; the others take the next free colour of their role. Every colour stands out
from white at 2.9 : 1 or better, and any two stay apart under the common colour-vision deficiencies (both tested).
"""

from __future__ import annotations

from collections.abc import Mapping

FIXED = {
    "Li": "#1b1b1b",
    "FSI": "#c2410c",
    "TFSI": "#b8860b",
    "PF6": "#7f1d1d",
    "NO3": "#6f1f66",
    "DME": "#1672c8",
    "DOL": "#088466",
    "EC": "#5f9cc4",
    "DMC": "#365993",
    "EMC": "#2330a8",
    "DEC": "#1d1160",
    "PC": "#0ea35a",
    "FEC": "#5b4be0",
    "TTE": "#8b8b8b",
}

_BY_ROLE = {
    "cation": ("#1b1b1b", "#4a4a55"),
    "anion": ("#c2410c", "#b8860b", "#7f1d1d", "#6f1f66"),
    "solvent": ("#1672c8", "#088466", "#5f9cc4", "#2330a8", "#0ea35a", "#365993", "#1d1160"),
    "polymer": ("#0ea35a", "#088466", "#365993", "#2330a8"),
    "diluent": ("#8b8b8b", "#5a5a5a", "#6f7f8f"),
    "additive": ("#5b4be0", "#b0327a", "#8a6d3b"),
}

#: Ordered classes (how far ions are aggregated) get one hue, from light to dark.
CLASSES = {
    "free": "#e7eef4",
    "SSIP": "#c3d5e4",
    "CIP": "#7fa8c9",
    "AGG": "#2f6690",
    "AGG-I": "#3f7ba8",
    "AGG-II": "#173f5f",
    "bound": "#7fa8c9",
    "bridging": "#2f6690",
}

#: Lines that are no species (replicas, quantities), easy to tell apart.
LINES = ("#0f5c8c", "#c2410c", "#6b7785", "#6f1f66", "#088466", "#b8860b")

INK, MUTED, RULE, ACCENT = "#1f2933", "#52606d", "#d5dbe1", "#0f5c8c"


def colours(roles: Mapping[str, str]) -> dict[str, str]:
    """A colour for each species, given its role in this bottle, in the order of ``roles``."""
    chosen = {name: FIXED[name] for name in roles if name in FIXED}
    for name, role in roles.items():
        if name in chosen:
            continue
        choices = _BY_ROLE.get(role, _BY_ROLE["solvent"])
        free = [colour for colour in choices if colour not in chosen.values()]
        chosen[name] = (free or choices)[0]
    return chosen


def text_on(colour: str) -> str:
    """Black-ish or white, whichever reads better on ``colour``."""
    return "#ffffff" if contrast(colour, "#ffffff") >= contrast(colour, INK) else INK


def contrast(a: str, b: str) -> float:
    """Contrast ratio of two ``#rrggbb`` colours (WCAG 2.2), from 1 to 21."""
    high, low = sorted((_luminance(a), _luminance(b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def _luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
