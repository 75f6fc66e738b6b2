"""Level 2, ion pairs and aggregates: speciation, ion histograms, sensitivity to the cut-off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lmbmd.core import rounding
from lmbmd.report.figures.drawing import (
    ERROR_BAR,
    MEDIUM,
    SMALL,
    Drawing,
    On,
    axes,
    errors,
    headroom,
    titled,
    without_bars,
)
from lmbmd.report.figures.palette import ACCENT, CLASSES, MUTED, text_on
from lmbmd.report.inputs import StatePoint, doubt_of
from lmbmd.report.words import naming

#: How the three conventions are named on an axis; what they mean is in the definitions.
CONVENTIONS = {"centre": "by centre", "anion": "by anion", "cluster": "by cluster"}
_CLASS_ORDER = ("free", "SSIP", "CIP", "AGG", "AGG-I", "AGG-II")


def class_order(classes: pd.Series) -> list[str]:
    """Classes from least to most aggregated; unknown ones last, as they come."""
    known = [name for name in _CLASS_ORDER if name in set(classes)]
    return known + [name for name in dict.fromkeys(classes) if name not in _CLASS_ORDER]


def speciation(point: StatePoint, on: On = Figure) -> list[Drawing]:
    """The three conventions side by side, each a bar of length one."""
    table = point.table("speciation")
    if table is None:
        return []
    order = [name for name in CONVENTIONS if name in set(table.convention)]
    figure, ax = axes((MEDIUM[0], 3.5), on)
    drawn: set[str] = set()
    for x, convention in enumerate(order):
        rows = table[table.convention == convention].set_index("cls")
        classes = class_order(pd.Series(rows.index))
        if {"AGG-I", "AGG-II"} <= set(classes):  # the parts of AGG, drawn in its place
            classes = [name for name in classes if name != "AGG"]
        base = 0.0
        for name in classes:
            share, error = float(rows.fraction[name]), float(rows.error[name])
            reliable = not doubt_of(rows.loc[name])
            if not np.isfinite(share):
                continue
            fill = CLASSES.get(name, MUTED)
            label = name if name not in drawn else None
            ax.bar(x, share, bottom=base, width=0.76, color=fill, edgecolor=MUTED, linewidth=0.5, label=label)
            drawn.add(name)
            if share >= 0.06:
                words = rounding.percent(share, error, reliable)
                ax.text(x, base + share / 2, words, ha="center", va="center", color=text_on(fill), fontsize=8.5)
            base += share
    ax.set_xticks(range(len(order)), [CONVENTIONS[name] for name in order])
    ax.set(ylim=(0, 1), ylabel="fraction", xlim=(-0.5, max(len(order), 2) - 0.5))
    ax.grid(False)
    titled(ax, "Speciation in three conventions", 5)
    alt = "Speciation. " + ". ".join(
        f"{CONVENTIONS[convention]}: "
        + ", ".join(
            f"{row.cls} {rounding.percent(row.fraction, row.error, not doubt_of(row))}" for row in rows.itertuples()
        )
        for convention, rows in table.groupby("convention", sort=False)
        if convention in CONVENTIONS
    )
    caption = (
        "The same frames counted in three ways. Parts smaller than 6 % are not labelled; the table has all of them."
    )
    return [Drawing(f"{point.label}-speciation", "SSIP, CIP and AGG in three conventions", alt, caption, table, figure)]


def ion_histogram(point: StatePoint, colour: Mapping[str, str]) -> list[Drawing]:
    """Anions per centre and centres per anion, one panel per convention and species."""
    table = point.table("ion_histogram")
    if table is None:
        return []
    drawings = []
    for (convention, species), rows in table.groupby(["convention", "species"], sort=False):
        rows = rows.sort_values("n")
        who, centre = naming.species(str(species)) or "anions", naming.centres(point.centre)
        if convention == "anions_per_centre":
            one = naming.one_centre(point.centre)
            title, x = f"{who[:1].upper()}{who[1:]} per {one}", f"{who} in the shell of one {one}"
            y = f"fraction of {centre}"
        else:
            title, x = f"{centre[:1].upper()}{centre[1:]} per {who}", f"{centre} in contact with one {who}"
            y = f"fraction of {who}"
        figure, ax = axes(SMALL)
        ink = colour.get(species, ACCENT)
        ax.bar(rows.n, rows.fraction, yerr=errors(rows), width=0.72, color=ink, error_kw=ERROR_BAR)
        ax.set(xlabel=x, ylabel=y, title=title, ylim=(0, headroom(rows.fraction, errors(rows))))
        ax.set_xticks(np.arange(0, rows.n.max() + 1))
        ax.set_xlim(-0.6, max(rows.n.max(), 4) + 0.6)
        alt = f"{title}: " + "; ".join(
            f"{int(row.n)}: {rounding.percent(row.fraction, row.error, not doubt_of(row))}" for row in rows.itertuples()
        )
        name = f"{point.label}-{naming.slug(convention)}-{naming.slug(species)}"
        drawings.append(Drawing(name, title, alt, without_bars(rows).strip(), rows, figure))
    return drawings


def sensitivity(point: StatePoint) -> list[Drawing]:
    """How each quantity moves when every cut-off is shifted: one panel per convention, and one per other quantity."""
    table = point.table("sensitivity")
    if table is None:
        return []
    split = table.quantity.str.extract(r"^(?P<cls>cip|agg)_fraction_(?P<convention>centre|anion|cluster)$")
    panels = (split.convention.map(CONVENTIONS).radd("Ion pairing ")).fillna(table.quantity.map(naming.quantity))
    return [_shift_panel(point, str(title), rows) for title, rows in table.groupby(panels, sort=False)]


def _shift_panel(point: StatePoint, title: str, rows: pd.DataFrame) -> Drawing:
    figure, ax = axes(SMALL)
    words, several = [], rows.quantity.nunique() > 1
    for (quantity, line), marker in zip(rows.groupby("quantity", sort=False), "os^D", strict=False):
        line = line.sort_values("cutoff_shift_A")
        label = naming.quantity(str(quantity).partition("_fraction")[0])
        ink = CLASSES.get(label, ACCENT)
        style: dict[str, Any] = {"color": ink, "marker": marker, "markersize": 4, "capsize": 2.5, "label": label}
        ax.errorbar(line.cutoff_shift_A, line.value, yerr=errors(line), **style)
        values = (
            f"{rounding.number(r.value, r.error, not doubt_of(r))} at {r.cutoff_shift_A:+.1f} Å"
            for r in line.itertuples()
        )
        words.append(f"{label}: {', '.join(values)}")
    label = "fraction" if several else naming.labelled(str(rows.quantity.iloc[0]))
    ax.set(xlabel="shift of every cut-off (Å)", ylabel=label, ylim=(0, max(headroom(rows.value, errors(rows)), 0.02)))
    ax.set_xticks(sorted(rows.cutoff_shift_A.unique()))
    titled(ax, title, 2 if several else 0)
    alt = f"{title} by shift of the cut-offs. " + "; ".join(words)
    return Drawing(
        f"{point.label}-sensitivity-{naming.slug(title)}",
        f"{title} and the cut-off",
        alt,
        without_bars(rows).strip(),
        rows,
        figure,
    )
