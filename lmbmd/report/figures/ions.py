"""Levels 2 and 3: speciation, ion histograms, sensitivity to the cut-off; cluster sizes, populations, charges."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from lmbmd.report.figures.drawing import ERROR_BAR, MEDIUM, SMALL, Drawing, axes, errors, titled, without_bars
from lmbmd.report.figures.palette import ACCENT, CLASSES, INK, MUTED, text_on
from lmbmd.report.inputs import StatePoint, doubt_of
from lmbmd.report.words import formatting as fmt

#: How the three conventions are named on an axis; what they mean is in the definitions.
CONVENTIONS = {"centre": "by centre", "anion": "by anion", "cluster": "by cluster"}
_CLASS_ORDER = ("free", "SSIP", "CIP", "AGG", "AGG-I", "AGG-II")
_SEQUENTIAL = LinearSegmentedColormap.from_list("lmbmd", ["#e3edf5", "#7fa8c9", "#2f6690", "#12344d"])


def class_order(classes: pd.Series) -> list[str]:
    """Classes from least to most aggregated; unknown ones last, as they come."""
    known = [name for name in _CLASS_ORDER if name in set(classes)]
    return known + [name for name in dict.fromkeys(classes) if name not in _CLASS_ORDER]


def speciation(point: StatePoint) -> list[Drawing]:
    """The three conventions side by side, each a bar of length one."""
    table = point.table("speciation")
    if table is None:
        return []
    order = [name for name in CONVENTIONS if name in set(table.convention)]
    figure, ax = axes((MEDIUM[0], 3.5))
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
                words = fmt.percent(share, error, reliable)
                ax.text(x, base + share / 2, words, ha="center", va="center", color=text_on(fill), fontsize=8.5)
            base += share
    ax.set_xticks(range(len(order)), [CONVENTIONS[name] for name in order])
    ax.set(ylim=(0, 1), ylabel="fraction", xlim=(-0.5, max(len(order), 2) - 0.5))
    ax.grid(False)
    titled(ax, "Speciation in three conventions", 5)
    alt = "Speciation. " + ". ".join(
        f"{CONVENTIONS[convention]}: "
        + ", ".join(f"{row.cls} {fmt.percent(row.fraction, row.error, not doubt_of(row))}" for row in rows.itertuples())
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
        who = fmt.species(str(species)) or "anions"
        if convention == "anions_per_centre":
            title, x, y = (
                f"{who[:1].upper()}{who[1:]} per centre",
                f"{who} in the shell of one centre",
                "fraction of centres",
            )
        else:
            title, x, y = f"Centres per {who}", f"centres in contact with one {who}", f"fraction of {who}"
        figure, ax = axes(SMALL)
        ink = colour.get(species, ACCENT)
        ax.bar(rows.n, rows.fraction, yerr=errors(rows), width=0.72, color=ink, error_kw=ERROR_BAR)
        ax.set(xlabel=x, ylabel=y, title=title, ylim=(0, _top(rows.fraction, rows)))
        ax.set_xticks(np.arange(0, rows.n.max() + 1))
        ax.set_xlim(-0.6, max(rows.n.max(), 4) + 0.6)
        alt = f"{title}: " + "; ".join(
            f"{int(row.n)}: {fmt.percent(row.fraction, row.error, not doubt_of(row))}" for row in rows.itertuples()
        )
        name = f"{point.label}-{fmt.slug(convention)}-{fmt.slug(species)}"
        drawings.append(Drawing(name, title, alt, without_bars(rows).strip(), rows, figure))
    return drawings


def sensitivity(point: StatePoint) -> list[Drawing]:
    """How each quantity moves when every cut-off is shifted: one panel per convention, and one per other quantity."""
    table = point.table("sensitivity")
    if table is None:
        return []
    split = table.quantity.str.extract(r"^(?P<cls>cip|agg)_fraction_(?P<convention>centre|anion|cluster)$")
    panels = (split.convention.map(CONVENTIONS).radd("Ion pairing ")).fillna(table.quantity.map(fmt.quantity))
    return [_shift_panel(point, str(title), rows) for title, rows in table.groupby(panels, sort=False)]


def _shift_panel(point: StatePoint, title: str, rows: pd.DataFrame) -> Drawing:
    figure, ax = axes(SMALL)
    words, several = [], rows.quantity.nunique() > 1
    for (quantity, line), marker in zip(rows.groupby("quantity", sort=False), "os^D", strict=False):
        line = line.sort_values("cutoff_shift_A")
        label = fmt.quantity(str(quantity)).partition(" fraction")[0]
        ink = CLASSES.get(label, ACCENT)
        style = {"color": ink, "marker": marker, "markersize": 4, "capsize": 2.5, "label": label}
        ax.errorbar(line.cutoff_shift_A, line.value, yerr=errors(line), **style)
        values = (
            f"{fmt.number(r.value, r.error, not doubt_of(r))} at {r.cutoff_shift_A:+.1f} Å" for r in line.itertuples()
        )
        words.append(f"{label}: {', '.join(values)}")
    label = "fraction" if several else fmt.labelled(str(rows.quantity.iloc[0]))
    ax.set(xlabel="shift of every cut-off (Å)", ylabel=label, ylim=(0, max(_top(rows.value, rows), 0.02)))
    ax.set_xticks(sorted(rows.cutoff_shift_A.unique()))
    titled(ax, title, 2 if several else 0)
    alt = f"{title} by shift of the cut-offs. " + "; ".join(words)
    return Drawing(
        f"{point.label}-sensitivity-{fmt.slug(title)}",
        f"{title} and the cut-off",
        alt,
        without_bars(rows).strip(),
        rows,
        figure,
    )


def centre_distances(point: StatePoint) -> list[Drawing]:
    """Centre–centre g(r) beside the null models, and nearest distances beside random points."""
    drawings = []
    table = point.table("cipa_g")
    if table is not None:
        names = {"g": "measured"} | {c: f"{c[2:]} null" for c in table.columns if str(c).startswith("g_")}
        figure = _against_chance(table, names, "g(r)", "Centre–centre g(r)")
        top = table.loc[table.g.idxmax()]
        alt = f"Centre–centre g(r), highest at {top.r_A:.1f} Å with g = {fmt.number(top.g)}, beside null models."
        caption = "Grey: the same molecules with the centres dealt out at random (null models)."
        drawings.append(Drawing(f"{point.label}-centre-g", "Centre–centre g(r)", alt, caption, table, figure))
    table = point.table("cipa_nearest")
    if table is not None:
        names = {"density": "measured", "poisson": "random points"}
        figure = _against_chance(table, names, "probability density (1/Å)", "Nearest centre–centre distance")
        top = table.loc[table.density.idxmax()]
        alt = f"Nearest centre–centre distances, most often {top.r_A:.1f} Å, beside random points of the same density."
        caption = "Grey: points placed at random at the same density (Poisson)."
        drawings.append(
            Drawing(f"{point.label}-nearest", "Nearest centre–centre distance", alt, caption, table, figure)
        )
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


def cluster_sizes(point: StatePoint) -> list[Drawing]:
    """Share of all ions by the size of the cluster they are in."""
    table = point.table("cluster_sizes")
    if table is None:
        return []
    rows = table.sort_values("n_ions")
    figure, ax = axes(MEDIUM)
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
    ax.xaxis.get_major_locator().set_params(integer=True)
    if wide:
        ax.set_xscale("log")
        ticks = [n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000) if n <= 1.5 * rows.n_ions.max()]
        ax.set_xticks(ticks, [str(n) for n in ticks])
        ax.minorticks_off()
    ax.set(xlabel="ions in the cluster", ylabel="fraction of all ions", ylim=(0, _top(rows.ion_fraction, rows)))
    titled(ax, "Cluster sizes", 2 if len(spanning) else 0)
    biggest = rows.nlargest(5, "ion_fraction").sort_values("n_ions")
    alt = (
        f"Cluster sizes from {rows.n_ions.min():g} to {rows.n_ions.max():g} ions. Most ions are in clusters of "
        + "; ".join(
            f"{int(row.n_ions)} ions: {fmt.percent(row.ion_fraction, row.error, not doubt_of(row))}"
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
    plain = FuncFormatter(lambda value, _: fmt.exact(value))
    bar = figure.colorbar(mesh, ax=ax, label="clusters per frame", fraction=0.05, pad=0.02, format=plain)
    bar.ax.minorticks_off()
    bar.outline.set_visible(False)
    ax.set(xlabel="centres in the cluster", ylabel="anions in the cluster", title="Population matrix", box_aspect=1)
    for axis in (ax.xaxis, ax.yaxis):
        axis.get_major_locator().set_params(integer=True)
    ax.grid(False)
    top = rows.nlargest(6, "per_frame")
    alt = "Most frequent clusters per frame: " + "; ".join(
        f"{int(row.n_centres)} centres with {int(row.n_anions)} anions: {fmt.number(row.per_frame)}"
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
    ax.xaxis.get_major_locator().set_params(integer=True)
    alt = "Clusters per frame by net charge: " + "; ".join(
        f"{row.charge_e:+.0f} e: {fmt.number(row.per_frame, getattr(row, 'error', None), not doubt_of(row))}"
        for row in rows.itertuples()
    )
    return [Drawing(f"{point.label}-cluster-charge", "Cluster charge", alt, without_bars(rows).strip(), rows, figure)]


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
        unit = fmt.unit(str(row.unit))
        bound = f"{row.criterion.split(', at ')[0]} {row.direction} {fmt.exact(row.threshold)} {unit}".strip()
        ax.barh(y, row.share_met, height=0.32, color=ACCENT)
        ax.text(0.008, y - 0.37, bound, va="center", fontsize=8.5)
        ax.text(row.share_met + 0.012, y, fmt.percent(row.share_met), va="center", fontsize=8.5)
        words.append(f"{bound}: {fmt.percent(row.share_met)}")
    ax.set(xlim=(0, 1.12), ylim=(len(rows) - 0.6, -0.7), xlabel="fraction of centres", title="Which criteria are met")
    ax.set_xticks(np.arange(0, 1.01, 0.25))
    ax.set_yticks([])
    ax.grid(False)
    ax.grid(True, axis="x")
    alt = "Share of centres whose own cluster meets each criterion of a compact aggregate: " + "; ".join(words)
    caption = (
        "Share of all centres whose own cluster meets the criterion. A compact aggregate meets all of them at once."
    )
    return [Drawing(f"{point.label}-criteria", "Criteria of the CIPA call", alt, caption, rows, figure)]


def _top(values: pd.Series, rows: pd.DataFrame) -> float:
    return max(1.08 * float(np.nanmax(values + np.nan_to_num(errors(rows)), initial=0.0)), 1e-3)
