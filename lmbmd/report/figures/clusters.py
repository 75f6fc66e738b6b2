"""Level 3, clusters and compact aggregates: sizes, populations, charges, distances against chance, criteria."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from lmbmd.core import rounding
from lmbmd.report.figures.drawing import (
    ERROR_BAR,
    MEDIUM,
    SMALL,
    Drawing,
    On,
    axes,
    drop_spine_grid,
    errors,
    headroom,
    titled,
    without_bars,
)
from lmbmd.report.figures.palette import ACCENT, INK, MUTED, text_on
from lmbmd.report.inputs import StatePoint, doubt_of
from lmbmd.report.words import naming

_SEQUENTIAL = LinearSegmentedColormap.from_list("lmbmd", ["#e3edf5", "#7fa8c9", "#2f6690", "#12344d"])


def _whole_numbers() -> MaxNLocator:
    """matplotlib's own choice of ticks, of which only whole numbers."""
    return MaxNLocator("auto", steps=[1, 2, 2.5, 5, 10], integer=True)


def cluster_sizes(point: StatePoint, on: On = Figure) -> list[Drawing]:
    """Share of all ions by the size of the cluster they are in."""
    table = point.table("cluster_sizes")
    if table is None:
        return []
    rows = table.sort_values("n_ions")
    figure, ax = axes(MEDIUM, on)
    wide = rows.n_ions.max() > 40
    flag = rows.percolating if "percolating" in rows.columns else pd.Series("", rows.index)
    network = flag.astype(str).str.lower().isin(("true", "1", "1.0"))
    finite, spanning = rows[~network], rows[network]
    below = finite.groupby("n_ions").ion_fraction.sum()
    bars = ERROR_BAR | {"capsize": 2.5 if len(rows) < 25 else 0}
    for part, ink, label in ((finite, ACCENT, "finite"), (spanning, "#c2410c", "percolating")):
        if part.empty:
            continue
        base = 0.0 if part is finite else part.n_ions.map(below).fillna(0.0)
        width = 0.07 * part.n_ions if wide else 0.8
        share = part.ion_fraction
        ax.bar(part.n_ions, share, width, base, yerr=errors(part), color=ink, error_kw=bars, label=label)
    ax.xaxis.set_major_locator(_whole_numbers())
    if wide:
        ax.set_xscale("log")
        ticks = [n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if n <= 1.5 * rows.n_ions.max()]
        ax.set_xticks(ticks, [str(n) for n in ticks])
        ax.minorticks_off()
    ax.set(xlabel="ions in the cluster", ylabel="fraction of all ions")
    ax.set_ylim(0, headroom(rows.ion_fraction, errors(rows)))
    titled(ax, "Cluster sizes", 2 if len(spanning) else 0)
    biggest = rows.nlargest(5, "ion_fraction").sort_values("n_ions")
    alt = (
        f"Cluster sizes from {rows.n_ions.min():g} to {rows.n_ions.max():g} ions. Most ions are in clusters of "
        + "; ".join(
            f"{int(row.n_ions)} ions: {rounding.percent(row.ion_fraction, row.error, not doubt_of(row))}"
            for row in biggest.itertuples()
        )
    )
    caption = "A lone ion is a cluster of one. Each bar is the share of all ions that sit in clusters of that size."
    caption += without_bars(rows)
    return [Drawing(f"{point.label}-cluster-sizes", "Cluster sizes", alt, caption, rows, figure)]


def cluster_population(point: StatePoint) -> list[Drawing]:
    """Mean number of clusters per frame by how many centres and anions they hold."""
    table = point.table("cluster_population")
    if table is None:
        return []
    rows = table[table.per_frame > 0].groupby(["n_centres", "n_anions"], as_index=False).per_frame.sum()
    if rows.empty:
        return []
    limit = int(max(rows.n_centres.max(), rows.n_anions.max(), 3))
    grid = np.full((limit + 1, limit + 1), np.nan)
    grid[rows.n_anions.to_numpy(int), rows.n_centres.to_numpy(int)] = rows.per_frame
    figure, ax = axes((MEDIUM[0], 3.75))
    low, high = rows.per_frame.min(), rows.per_frame.max()
    norm = LogNorm(low, high if high > low else low * 10)
    edge = np.arange(limit + 2) - 0.5
    mesh = ax.pcolormesh(edge, edge, np.ma.masked_invalid(grid), cmap=_SEQUENTIAL, norm=norm, rasterized=limit > 40)
    ax.plot([-0.5, limit + 0.5], [-0.5, limit + 0.5], color=INK, linewidth=0.7, linestyle=(0, (1, 2)))
    if limit <= 7:
        for row in rows.itertuples():
            fill = "#{:02x}{:02x}{:02x}".format(*(int(255 * c) for c in _SEQUENTIAL(norm(row.per_frame))[:3]))
            ax.text(
                row.n_centres,
                row.n_anions,
                f"{row.per_frame:.2g}",
                ha="center",
                va="center",
                fontsize=7.5,
                color=text_on(fill),
            )
    plain = FuncFormatter(lambda value, _: rounding.exact(value))
    bar = figure.colorbar(mesh, ax=ax, label="clusters per frame", fraction=0.05, pad=0.02, format=plain)
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
    centre = naming.centres(point.centre)
    ax.set(xlabel=f"{centre} in the cluster", ylabel="anions in the cluster", title="Population matrix", box_aspect=1)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(_whole_numbers())
    ax.grid(False)
    top = rows.nlargest(6, "per_frame")
    alt = "Most frequent clusters per frame: " + "; ".join(
        f"{int(row.n_centres)} {centre} with {int(row.n_anions)} anions: {rounding.number(row.per_frame)}"
        for row in top.itertuples()
    )
    caption = (
        "Clusters per frame by content, on a logarithmic scale. Singly charged ions are balanced on the dotted line."
    )
    return [Drawing(f"{point.label}-cluster-population", "Population matrix", alt, caption, table, figure)]


def cluster_charge(point: StatePoint) -> list[Drawing]:
    """Mean number of clusters per frame by net charge."""
    table = point.table("cluster_charge")
    if table is None:
        return []
    rows = table.sort_values("charge_e")
    figure, ax = axes(SMALL)
    fill = [INK if charge > 0 else "#c2410c" if charge < 0 else "#9db4c6" for charge in rows.charge_e]
    yerr = errors(rows) if "error" in rows.columns else None
    ax.bar(rows.charge_e, rows.per_frame, width=0.8, color=fill, yerr=yerr, error_kw=ERROR_BAR)
    ax.set(xlabel="net charge (e)", ylabel="clusters per frame", title="Cluster charge")
    ax.xaxis.set_major_locator(_whole_numbers())
    alt = "Clusters per frame by net charge: " + "; ".join(
        f"{row.charge_e:+.0f} e: {rounding.number(row.per_frame, getattr(row, 'error', None), not doubt_of(row))}"
        for row in rows.itertuples()
    )
    return [Drawing(f"{point.label}-cluster-charge", "Cluster charge", alt, without_bars(rows).strip(), rows, figure)]


def centre_distances(point: StatePoint) -> list[Drawing]:
    """Centre–centre g(r) beside the null models, and nearest distances beside random points."""
    drawings: list[Drawing] = []
    one = naming.one_centre(point.centre)
    pair = f"{one}–{one}"
    table = point.table("cipa_g")
    if table is not None:
        names = {"g": "measured"} | {c: f"{c[2:]} null" for c in table.columns if str(c).startswith("g_")}
        figure = _against_chance(table, names, "g(r)", f"{pair} g(r)")
        top = table.loc[table.g.idxmax()]
        alt = f"{pair} g(r), highest at {top.r_A:.1f} Å with g = {rounding.number(top.g)}, beside null models."
        caption = f"Grey: the same molecules with the {naming.centres(point.centre)} placed at random (null models)."
        drawings.append(Drawing(f"{point.label}-centre-g", f"{pair} g(r)", alt, caption, table, figure))
    table = point.table("cipa_nearest")
    if table is not None:
        names = {"density": "measured", "poisson": "random points"}
        figure = _against_chance(table, names, "probability density (1/Å)", f"Nearest {pair} distance")
        top = table.loc[table.density.idxmax()]
        alt = f"Nearest {pair} distances, most often {top.r_A:.1f} Å, beside random points of the same density."
        caption = "Grey: points placed at random at the same density (Poisson)."
        drawings.append(Drawing(f"{point.label}-nearest", f"Nearest {pair} distance", alt, caption, table, figure))
    return drawings


def _against_chance(table: pd.DataFrame, names: Mapping[str, str], label: str, title: str) -> Figure:
    """The first named column as a bold line, the others as grey ones of different dashes."""
    figure, ax = axes(SMALL)
    dashes = ((0, (4, 2)), (0, (1, 1.5)), (0, (6, 1, 1, 1)))
    for i, (column, name) in enumerate(names.items()):
        style = {"color": ACCENT} if i == 0 else {"color": MUTED, "linewidth": 1.1, "linestyle": dashes[(i - 1) % 3]}
        ax.plot(table.r_A, table[column], label=name, **style)
    ax.set(xlabel="r (Å)", ylabel=label, ylim=(0, None), xlim=(0, min(float(table.r_A.max()), 15)))
    titled(ax, title, 3)
    return figure


def criteria(point: StatePoint) -> list[Drawing]:
    """How many centres are in a cluster that meets each criterion of the CIPA call, one bar per criterion."""
    table = point.table("cipa")
    if table is None or "share_met" not in table.columns:
        return []
    rows = table[table.threshold.notna() & table.share_met.notna()]
    if rows.empty:
        return []
    figure, ax = axes((MEDIUM[0], 0.9 + 0.4 * len(rows)))
    words = []
    for y, row in enumerate(rows.itertuples()):
        unit = rounding.unit(str(row.unit))
        bound = f"{row.criterion} {row.direction} {rounding.exact(row.threshold)} {unit}".strip()
        ax.barh(y, row.share_met, height=0.32, color=ACCENT)
        ax.text(0.008, y - 0.37, bound, va="center", fontsize=8.5)
        ax.text(row.share_met + 0.012, y, rounding.percent(row.share_met), va="center", fontsize=8.5)
        words.append(f"{bound}: {rounding.percent(row.share_met)}")
    ax.set(xlim=(0, 1.12), ylim=(len(rows) - 0.6, -0.7), title="Which criteria are met")
    ax.set_xlabel(f"fraction of {naming.centres(point.centre)}")
    ax.set_xticks(np.arange(0, 1.01, 0.25))
    ax.set_yticks([])
    drop_spine_grid(ax, axis="x")
    whom = naming.centres(point.centre)
    alt = f"Share of {whom} whose own cluster meets each criterion of a compact aggregate: " + "; ".join(words)
    caption = (
        f"Share of all {whom} whose own cluster meets the criterion. A compact aggregate meets all of them at once."
    )
    return [Drawing(f"{point.label}-criteria", "Criteria of the CIPA call", alt, caption, rows, figure)]
