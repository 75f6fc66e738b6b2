"""Chains: how they hold the ions, how they are stretched, and how fast they turn."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from lmbmd.analysis.features import Volumes
from lmbmd.core import rounding
from lmbmd.report.figures.drawing import (
    ERROR_BAR,
    MEDIUM,
    SMALL,
    Drawing,
    axes,
    errors,
    headroom,
    titled,
    without_bars,
)
from lmbmd.report.figures.motion import decades
from lmbmd.report.figures.palette import INK, LINES, MUTED
from lmbmd.report.inputs import StatePoint, doubt_of
from lmbmd.report.words import naming

#: What a panel of the table ``chain_shells`` is called, and what its bars are shares of.
_PANELS = {
    "chains on a centre": ("Chains on one {one}", "fraction of {all}"),
    "units of a chain on a centre": ("Units of one chain on one {one}", "fraction of {all}–chain pairs"),
    "units in a row": ("Units in a row on one {one}", "fraction of {all}–chain pairs"),
    "centres on a chain": ("{all} on one chain", "fraction of chains"),
}
#: Line styles tell kinds of chains apart where colours tell something else.
_STYLES = ("solid", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))


def shells(point: StatePoint) -> list[Drawing]:
    """How many chains hold an ion, with how many units, how many of these in a row; a panel each for each chain."""
    table = point.table("chain_shells")
    if table is None:
        return []
    words = {"one": naming.one_centre(point.centre), "all": naming.centres(point.centre)}
    several, drawings = table.chain.nunique() > 1, []
    for (chain, quantity), rows in table.groupby(["chain", "quantity"], sort=False):
        title, share = (text.format(**words) for text in _PANELS[str(quantity)])
        title = f"{title}, {chain}" if several else title
        figure, ax = axes(SMALL)
        ax.bar(rows.n, rows.fraction, yerr=errors(rows), color="#9db4c6", width=0.7, error_kw=ERROR_BAR)
        ax.set(xlabel="number", ylabel=share, title=title)
        ax.set_ylim(0, headroom(rows.fraction, errors(rows)))
        ax.set_xlim(-0.6, max(float(rows.n.max()), 4) + 0.6)
        ax.set_xticks(np.arange(0, int(rows.n.max()) + 1, max(1, int(rows.n.max()) // 8)))
        alt = f"{title}: " + "; ".join(
            f"{int(row.n)}: {rounding.percent(row.fraction, row.error, not doubt_of(row))}" for row in rows.itertuples()
        )
        name = f"{point.label}-chain-{naming.slug(f'{chain}-{quantity}')}"
        drawings.append(Drawing(name, title, alt, without_bars(rows).strip(), rows, figure))
    return drawings


def stretches(point: StatePoint) -> list[Drawing]:
    """How far apart units of one chain are, over what freely jointed ones were, and what is left of the direction."""
    table = point.table("chain_stretches")
    if table is None:
        return []
    figure, ax = axes(SMALL)
    words = []
    for k, (chain, rows) in enumerate(table.groupby("chain", sort=False)):
        rows = rows.sort_values("units_apart")
        alone = float(rows.stretch_square_A2.iloc[0]) or 1.0
        ratio = rows.stretch_square_A2 / (rows.units_apart * alone)
        band = np.nan_to_num(errors(rows, "stretch_square_A2_error")) / (rows.units_apart * alone)
        ink = LINES[k % len(LINES)]
        ax.fill_between(rows.units_apart, ratio - band, ratio + band, color=ink, alpha=0.2, linewidth=0)
        ax.plot(rows.units_apart, ratio, color=ink, label=str(chain), marker="o", markersize=3)
        words.append(
            f"{chain} ends at {rounding.number(float(ratio.iloc[-1]))} at {int(rows.units_apart.iloc[-1])} units"
        )
    ax.set(xlabel="units apart along the chain, s", ylabel="⟨R²(s)⟩ / (s ⟨b²⟩)", ylim=(0, None))
    titled(ax, "Stretch along the chain", min(table.chain.nunique(), 4))
    alt = "Squared distance of units over that of freely jointed ones: " + "; ".join(words)
    caption = "1 for freely jointed units; it rises to a plateau in a relaxed melt, and in a straight line for rods."
    return [Drawing(f"{point.label}-chain-stretch", "Stretch along the chain", alt, caption, table, figure)]


#: What a curve of ``chain_relaxation_curves`` is of.
_CURVES = {
    ("unit_vector", "P1"): "unit to unit, P₁",
    ("unit_vector", "P2"): "unit to unit, P₂",
    ("end_to_end", "P1"): "end to end, P₁",
}


def relaxation(point: StatePoint) -> list[Drawing]:
    """What is left of the directions of segments and of whole chains, against time."""
    table = point.table("chain_relaxation_curves")
    if table is None:
        return []
    table = table[table.t_ps > 0]
    if table.empty:
        return []
    figure, ax = axes((4.3, 2.9))
    scale, unit = (1000.0, "ns") if table.t_ps.max() > 2000 else (1.0, "ps")
    several, words = table.chain.nunique() > 1, []
    styles = dict(zip(dict.fromkeys(table.chain), _STYLES * len(table), strict=False))
    for (chain, vector, order), rows in table.groupby(["chain", "vector", "order"], sort=False):
        rows = rows.sort_values("t_ps")
        what = _CURVES[str(vector), str(order)]
        what = f"{chain}, {what}" if several else what
        ink = LINES[list(_CURVES).index((str(vector), str(order)))]
        t, c, error = rows.t_ps / scale, rows.c.to_numpy(float), np.nan_to_num(rows.c_error.to_numpy(float))
        ax.fill_between(t, c - error, c + error, color=ink, alpha=0.2, linewidth=0)
        ax.plot(t, c, color=ink, label=what, linestyle=styles[chain])
        words.append(f"{what} ends at {rounding.number(c[-1], error[-1])} after {_last(rows)}")
    ax.axhline(np.exp(-1), color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    ax.text(1, np.exp(-1) + 0.015, "1/e ", color=MUTED, fontsize=8, ha="right", transform=ax.get_yaxis_transform())
    ax.axhline(0.0, color=INK, linewidth=0.6)
    ax.set(xscale="log", xlabel=f"time ({unit})", ylabel="C(t)", ylim=(min(-0.05, float(table.c.min())), 1.03))
    decades(ax.xaxis)
    titled(ax, "Relaxation of chains", 3)
    alt = "Correlation of directions with those a time before: " + "; ".join(words)
    return [Drawing(f"{point.label}-chain-relaxation", "Relaxation of chains", alt, "", table, figure)]


def _last(rows: pd.DataFrame) -> str:
    return rounding.duration(float(rows.t_ps.iloc[-1]))


def glass(found: Volumes) -> list[Drawing]:
    """Specific volume over temperature, with the two lines whose kink is the glass transition."""
    table, kink = found.table, found.kink
    figure, ax = axes(MEDIUM)
    ax.errorbar(table.temperature_K, table.volume_cm3_g, yerr=table.error_cm3_g, fmt="none", **ERROR_BAR)
    known = table.error_cm3_g.notna()
    for rows, fill in ((table[known], INK), (table[~known], "white")):
        ax.plot(rows.temperature_K, rows.volume_cm3_g, "o", color=INK, markerfacecolor=fill, markersize=5)
    along = np.linspace(table.temperature_K.min(), table.temperature_K.max(), 200)
    ax.plot(along, kink.at(along), color=INK, linewidth=1.2)
    ax.set(xlabel="T (K)", ylabel="specific volume (cm³/g)", title="Volume and temperature")
    number = kink.tg_K
    told = f"glass transition {rounding.number(number.value, number.error, not kink.doubt)} K"
    said = told if math.isfinite(number.value) else str(kink.doubt)
    alt = f"Specific volume over temperature: {said}."
    caption = f"{said[0].upper()}{said[1:]}. Open: a density in doubt, which is not fitted."
    return [Drawing("temperatures-volume", "Volume and temperature", alt, caption, table, figure)]
