"""A state point at a glance: four bars of length one, drawn by the page itself so that they fit any width."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lmbmd.core import rounding
from lmbmd.report.figures.palette import CLASSES, MUTED
from lmbmd.report.inputs import StatePoint
from lmbmd.report.quoted import too_short
from lmbmd.report.words.narrative import Headline

#: Clusters by their number of ions, as (label, from, to), and the colour of each.
_SIZES = (("1 ion", 1, 1), ("2", 2, 2), ("3 to 9", 3, 9), ("10 or more", 10, math.inf))
_SHADES = ("#e7eef4", "#c3d5e4", "#7fa8c9", "#2f6690")
_SPANNING, _SURE, _UNSURE, _NONE = "#c2410c", "#3d8b5f", "#d9a441", "#c9d1d8"


@dataclass(frozen=True)
class Part:
    """A piece of a bar: its name, what is printed after it, its share of the bar, its colour."""

    name: str
    shown: str
    share: float
    colour: str


@dataclass(frozen=True)
class Bar:
    """A bar of length one with its title and the definition that it links to."""

    title: str
    definition: str
    parts: tuple[Part, ...]

    @property
    def alt(self) -> str:
        return f"{self.title}: " + ", ".join(f"{part.name} {part.shown}".strip() for part in self.parts)


def glance(point: StatePoint, found: Sequence[Headline], colour: Mapping[str, str]) -> list[Bar]:
    """The first shell by molecules, the anions by class, the ions by cluster, and how many numbers are sure.

    Args:
        found: the headlines of the state point.
        colour: of each species.
    """
    bars = [_shell(found, colour), _pairs(found), _clusters(point), _sureness(point, found)]
    return [bar for bar in bars if bar and sum(part.share for part in bar.parts) > 0]


def _shell(found: Sequence[Headline], colour: Mapping[str, str]) -> Bar | None:
    shells = [h for h in found if h.group == "cn" and math.isfinite(h.value) and h.value > 0]
    shells = [h for h in shells if h.centre == shells[0].centre]
    total = sum(h.value for h in shells)
    parts = [Part(h.brief, h.shown, h.value / total, colour.get(h.species, MUTED)) for h in shells]
    return Bar(f"First shell of {shells[0].centre}", "cn", tuple(parts)) if parts else None


def _pairs(found: Sequence[Headline]) -> Bar | None:
    classes = [h for h in found if h.group == "speciation" and math.isfinite(h.value)]
    parts = [Part(h.label, h.shown, h.value, CLASSES.get(h.label, MUTED)) for h in classes]
    return Bar("Anions: pairs and aggregates", "speciation_anion", tuple(parts)) if parts else None


def _clusters(point: StatePoint) -> Bar | None:
    table = point.table("cluster_sizes")
    if table is None:
        return None
    spans = table.percolating.astype(str).str.lower().isin(("true", "1", "1.0"))
    parts = []
    for (name, low, high), shade in zip(_SIZES, _SHADES, strict=True):
        share = float(table.ion_fraction[~spans & table.n_ions.between(low, high)].sum())
        parts.append(Part(name, f"{100 * share:.0f} %", share, shade))
    network = float(table.ion_fraction[spans].sum())
    parts.append(Part("network through the box", f"{100 * network:.0f} %", network, _SPANNING))
    return Bar("Ions by the size of their cluster", "cluster", tuple(part for part in parts if part.share > 0))


def _sureness(point: StatePoint, found: Sequence[Headline]) -> Bar | None:
    if not found:
        return None
    known = [h for h in found if math.isfinite(h.value)]
    sure = 0 if too_short(point) else sum(not h.doubt and math.isfinite(h.error) for h in known)
    counts = [("with an error bar", sure, _SURE), ("without an error bar", len(known) - sure, _UNSURE)]
    counts.append(("no value", len(found) - len(known), _NONE))
    parts = tuple(Part(name, rounding.exact(n), n / len(found), ink) for name, n, ink in counts if n)
    return Bar("How sure: the numbers below", "error", parts)
