"""How it moves: mean squared displacements, running integrals, Onsager coefficients, and laws over temperatures."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from lmbmd.analysis.features import Followed, usable
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
    titled,
    without_bars,
)
from lmbmd.report.figures.palette import ACCENT, INK, LINES, MUTED, RULE, text_on
from lmbmd.report.inputs import StatePoint, doubt_of
from lmbmd.report.words import naming


def msd(point: StatePoint, colour: Mapping[str, str], on: On = Figure) -> list[Drawing]:
    """Mean squared displacement of every species, and below it the local slope of its logarithm.

    On Axes that are given there is no room for the slope.
    """
    table = point.table("msd")
    if table is None:
        return []
    table = table[(table.lag_ps > 0) & (table.msd_A2 > 0)]
    if table.empty:
        return []
    below: Axes | None = None
    if isinstance(on, Axes):
        figure, above = axes(on=on)
    else:
        figure = on(figsize=(MEDIUM[0], 4.4), layout="constrained")
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2.2, 1))
    scale, unit = (1000.0, "ns") if table.lag_ps.max() > 2000 else (1.0, "ps")
    words = []
    for species, rows in table.groupby("species", sort=False):
        rows = rows.sort_values("lag_ps")
        ink, t, value, error = colour.get(str(species), MUTED), rows.lag_ps / scale, rows.msd_A2, errors(rows)
        above.fill_between(t, np.maximum(value - error, 0.5 * value), value + error, color=ink, alpha=0.2, linewidth=0)
        above.plot(t, value, color=ink, label=naming.species(str(species)))
        if below:
            slope, band = rows.exponent, errors(rows, "exponent_error")
            below.fill_between(t, slope - band, slope + band, color=ink, alpha=0.2, linewidth=0)
            below.plot(t, slope, color=ink)
        last = rows[rows.exponent.notna()].tail(1)
        for row in last.itertuples():
            end = rounding.number(row.exponent, row.exponent_error)
            words.append(f"{naming.species(str(species))} slope {end} at {rounding.duration(float(row.lag_ps))}")
    above.set(xscale="log", yscale="log", ylabel="⟨Δr²⟩ (Å²)", xlabel="" if below else f"time ({unit})")
    decades(above.yaxis, above.xaxis)
    if below:
        below.axhline(1.0, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        below.text(0, 1.06, " diffusive", color=MUTED, fontsize=8, transform=below.get_yaxis_transform())
        steepest = float(np.nanmax(table.exponent.to_numpy(float), initial=0.0))  # 2: lags shorter than a cage
        below.set(xlabel=f"time ({unit})", ylabel="local slope", ylim=(0, max(1.5, min(steepest, 2.0) + 0.1)))
    titled(above, "Mean squared displacement", 5)
    alt = "Mean squared displacement against time, and its local slope: " + "; ".join(words)
    caption = "Below: the slope of the logarithms: 1 where a species diffuses, less while its motion is subdiffusive."
    return [Drawing(f"{point.label}-msd", "Mean squared displacement", alt, caption, table, figure)]


#: Descriptor that a running integral ends at.
_VALUES = {"conductivity": "conductivity_S_m", "viscosity": "viscosity_mPa_s"}


def running(point: StatePoint) -> list[Drawing]:
    """Integrals and slopes as they grow with the time they are read to, each with its error band and its value."""
    table = point.table("running_integrals")
    if table is None:
        return []
    drawings = []
    for quantity, rows in table.groupby("quantity", sort=False):
        rows = rows[rows.time_ps > 0].sort_values("time_ps")
        if rows.empty:
            continue
        scale, unit = (1000.0, "ns") if rows.time_ps.max() > 2000 else (1.0, "ps")
        figure, ax = axes(SMALL)
        t, mean, band = rows.time_ps / scale, rows.value.to_numpy(float), np.nan_to_num(errors(rows))
        ax.fill_between(t, mean - band, mean + band, color=LINES[0], alpha=0.2, linewidth=0)
        ax.plot(t, mean, color=LINES[0])
        title = naming.quantity(str(quantity))
        found = point.described.descriptors
        found = found[(found.name == _VALUES.get(str(quantity))) & found.value.notna()]
        said = ""
        for row in found.head(1).itertuples(index=False):
            ax.axhline(row.value, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
            said = f" Its value is {rounding.number(row.value, row.error, not doubt_of(row))}."
        shown = str(rows.unit.iloc[0])
        ax.set(xscale="log", xlabel=f"read up to ({unit})", ylabel=f"{title} ({shown})", title=title)
        decades(ax.xaxis)
        low, high = float(np.nanmin(np.append(mean, 0.0))), float(np.nanmax(np.append(mean, 0.0)))
        ax.set_ylim(low - 0.25 * (high - low or 1.0) * (low < 0), high + 0.35 * (high - low or 1.0))
        end = rows[rows.value.notna()].tail(1)
        last = "; ".join(
            f"{rounding.number(row.value, row.error)} {shown} at {rounding.duration(float(row.time_ps))}"
            for row in end.itertuples()
        )
        alt = f"{title} as its integral grows: {last}.{said}"
        caption = "Dotted: the value." if said else "No value: see the table."
        name = f"{point.label}-integral-{naming.slug(quantity)}"
        drawings.append(Drawing(name, f"Running integral of the {title.lower()}", alt, caption, rows, figure))
    return drawings


def onsager(point: StatePoint) -> list[Drawing]:
    """The matrix of Onsager coefficients, a panel per frame; light: near zero, blue: positive, red: negative."""
    table = point.table("onsager")
    if table is None:
        return []
    drawings = []
    for frame, rows in table[table.part == "total"].groupby("frame", sort=False):
        names = list(dict.fromkeys([*rows["first"], *rows["second"]]))
        largest = float(np.nanmax(np.abs(rows.value_S_m.to_numpy(float)), initial=0.0)) or 1.0
        side = max(2.5, 0.8 * len(names) + 1.0)
        figure, ax = axes((side + 0.8, side))
        words = []
        for row in rows.itertuples(index=False):
            known = math.isfinite(row.value_S_m)
            fill = _shade(row.value_S_m / largest) if known else "#ffffff"
            text = rounding.number(row.value_S_m, row.error, not doubt_of(row)) if known else rounding.DASH
            words.append(f"{naming.species(str(row.first))} – {naming.species(str(row.second))}: {text}")
            one, other = names.index(row.first), names.index(row.second)
            for i, j in {(one, other), (other, one)}:
                ax.add_patch(_square(i, j, fill))
                ax.text(i, j, text.replace(" ± ", "\n± "), ha="center", va="center", fontsize=8, color=text_on(fill))
        ticks, labels = range(len(names)), [naming.species(str(name)) for name in names]
        ax.set_xticks(ticks, labels)
        ax.set_yticks(ticks, labels)
        ax.set(xlim=(-0.5, len(names) - 0.5), ylim=(len(names) - 0.5, -0.5), aspect="equal")
        ax.grid(False)
        ax.tick_params(length=0)
        ax.set_title(f"Onsager coefficients (S/m)\n{frame} frame")
        alt = f"Onsager coefficients in S/m, {frame} frame: " + "; ".join(words)
        name = f"{point.label}-onsager-{naming.slug(frame)}"
        drawings.append(Drawing(name, f"Onsager coefficients, {frame} frame", alt, "", rows, figure))
    return drawings


def decades(*axes: Axis, subs: Sequence[float] = (1.0,)) -> None:
    """Labels of logarithmic axes as plain numbers, at these multiples of powers of ten."""
    for axis in axes:
        axis.set_major_locator(LogLocator(subs=subs, numticks=8))
        axis.set_major_formatter(FuncFormatter(lambda x, _: _plain(x)))
        axis.set_minor_formatter(NullFormatter())


def _plain(x: float) -> str:
    digits, power = f"{x:.2e}".split("e")
    if -4 < int(power) < 5:
        return f"{x:g}"
    return f"{float(digits):g} × 10{str(int(power)).translate(rounding.SUPERSCRIPT)}"


def _square(x: float, y: float, fill: str) -> Rectangle:
    return Rectangle((x - 0.5, y - 0.5), 1, 1, facecolor=fill, edgecolor=RULE, linewidth=0.8)


def _shade(share: float) -> str:
    """A colour between white and blue (positive) or red (negative)."""
    base = to_rgb(ACCENT if share >= 0 else LINES[1])
    weight = 0.85 * min(abs(share), 1.0)
    red, green, blue = (1 - weight * (1 - part) for part in base)
    return to_hex((red, green, blue))


def by_class(point: StatePoint) -> list[Drawing]:
    """Share of the conductivity that the ions of each class of cluster carry, beside their share of the ions."""
    table = point.table("conductivity_by_class")
    if table is None or table.share.isna().all():
        return []
    figure, ax = axes(SMALL)
    place = np.arange(len(table))
    ax.barh(place, table.share, xerr=errors(table), height=0.62, color=ACCENT, error_kw=ERROR_BAR)
    if "ion_share" in table.columns:
        style: dict[str, Any] = {"color": INK, "markeredgecolor": "white", "markersize": 6, "linestyle": "none"}
        ax.plot(table.ion_share, place, "D", label="share of the ions", **style)
    ax.axvline(0.0, color=MUTED, linewidth=0.8)
    ax.set_yticks(place, [str(name) for name in table["class"]])
    ax.invert_yaxis()
    ax.set(xlabel="share of the conductivity")
    drop_spine_grid(ax, axis="x")
    titled(ax, "Contributions to the conductivity", 1 if "ion_share" in table.columns else 0)
    parts = (
        f"{row[0]} {rounding.percent(row[1], row[2], not doubt_of(row[3]))}"
        for row in zip(table["class"], table.share, table.error, table.itertuples(index=False), strict=True)
    )
    alt = "Share of the conductivity by cluster: " + "; ".join(parts)
    caption = f"The shares add up to one; one may be negative.{without_bars(table)}"
    return [Drawing(f"{point.label}-conductivity-classes", "Conductivity by cluster", alt, caption, table, figure)]


#: What shares a panel over temperatures: end of ``about`` → (title, label of the axis).
_PANELS = {
    "diffusion": ("Self-diffusion", "D (m²/s)"),
    "diffusion_unbounded": ("Self-diffusion without images", "D (m²/s)"),
    "conductivity": ("Conductivity", "σ (S/m)"),
    "viscosity": ("Viscosity", "η (mPa s)"),
}


def arrhenius(found: Sequence[Followed], colour: Mapping[str, str]) -> list[Drawing]:
    """Values against 1000 / T on a logarithmic axis, with the laws through them: one panel per quantity."""
    drawings = []
    for key, (title, label) in _PANELS.items():
        ones = [one for one in found if one.about.rpartition(":")[2] == key]
        drawn = [one for one in ones if any(math.isfinite(x) and x > 0 for x in one.rows.value)]
        if not drawn:
            continue
        figure, ax = axes(MEDIUM)
        words, data = [], []
        for one in drawn:
            species = one.about.rpartition(":")[0]
            ink, name = colour.get(species, ACCENT), naming.species(species) if species else title
            rows = one.rows[one.rows.value > 0].sort_values("temperature_K")
            known = np.array([usable(row) is not None for row in rows.itertuples(index=False)])
            error = np.where(known, rows.error.to_numpy(float), np.nan)
            x = 1000.0 / rows.temperature_K.to_numpy(float)
            # A bar to zero has no place on a logarithmic axis: it ends at half the value.
            bars = np.array([np.minimum(error, 0.5 * rows.value), error])
            ax.errorbar(x, rows.value, yerr=bars, fmt="none", **ERROR_BAR)
            for sure, fill in ((True, ink), (False, "white")):
                part = known == sure
                style: dict[str, Any] = {"color": ink, "markerfacecolor": fill, "markersize": 5, "linestyle": "none"}
                ax.plot(x[part], rows.value[part], "o", **style, label=name if sure or not known.any() else None)
            t = np.linspace(rows.temperature_K.min(), rows.temperature_K.max(), 60)
            ax.plot(1000.0 / t, one.arrhenius.at(t), color=ink, linewidth=1.2)
            ax.plot(1000.0 / t, one.vtf.at(t), color=ink, linewidth=1.2, linestyle=(0, (4, 2)))
            energy = one.arrhenius.activation_energy_kJ_mol
            told = f"E {rounding.number(energy.value, energy.error, not one.arrhenius.doubt)} kJ/mol"
            words.append(f"{name}: {told if math.isfinite(energy.value) else str(one.arrhenius.doubt)}")
            data.append(rows[["temperature_K", "name", "species", "value", "error", "unit", "doubt"]])
        ax.set(yscale="log", xlabel="1000 / T (1/K)", ylabel=label)
        decades(ax.yaxis, subs=(1.0, 1.5, 2.0, 3.0, 5.0, 7.0))
        titled(ax, title, 5 if any(one.about != key for one in drawn) else 0)
        alt = f"{title} over inverse temperature. " + "; ".join(words)
        caption = "Line: Arrhenius; dashed: VTF, where the points tell it. Open: a value in doubt, which is not fitted."
        frame = pd.concat(data, ignore_index=True)
        name = f"temperatures-{naming.slug(key)}"
        drawings.append(Drawing(name, f"{title} and temperature", alt, caption, frame, figure))
    return drawings
