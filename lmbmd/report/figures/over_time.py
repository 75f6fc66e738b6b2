"""What depends on time: residence correlations, the state log, per-frame series."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lmbmd.core import rounding
from lmbmd.report.figures.drawing import SMALL, Drawing, On, axes, errors, thinned, titled, without_bars
from lmbmd.report.figures.palette import INK, LINES, MUTED
from lmbmd.report.inputs import StatePoint, doubt_of
from lmbmd.report.words import naming

_STATE = {
    "density_g_cm3": ("Density", "density (g/cm³)"),
    "temperature_K": ("Temperature", "temperature (K)"),
    "potential_kJ_mol": ("Potential energy", "potential energy (MJ/mol)"),
}

#: Residence correlations whose names do not say what they are.
_CORRELATIONS = {"mended": "Short breaks ignored"}


def running(point: StatePoint) -> list[Drawing]:
    """Each watched quantity as it would be told had the run been stopped earlier, with its error band."""
    table = point.table("running")
    if table is None:
        return []
    drawings = []
    for quantity, rows in table.groupby("quantity", sort=False):
        rows = rows.sort_values("time_ps")
        per, unit = (1000.0, "ns") if rows.time_ps.max() > 2000 else (1.0, "ps")
        figure, ax = axes(SMALL)
        t, mean = rows.time_ps / per, rows.value.to_numpy(float)
        band = errors(rows)
        ax.fill_between(t, mean - band, mean + band, color=LINES[0], alpha=0.2, linewidth=0)
        ax.plot(t, mean, color=LINES[0])
        ax.axhline(mean[-1], color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
        title = naming.quantity(str(quantity))
        ax.set(xlabel=f"run used ({unit})", ylabel=naming.labelled(str(quantity)), title=title, xlim=(0, t.max() or 1))
        first, last = rows.iloc[0], rows.iloc[-1]
        words = [rounding.number(row.value, row.error, not doubt_of(row)) for row in (first, last)]
        alt = (
            f"{title} from the first part of the run: {words[0]} after {rounding.duration(float(first.time_ps))}, "
            f"{words[1]} after {rounding.duration(float(last.time_ps))}."
        )
        caption = without_bars(rows, "band").strip()
        name = f"{point.label}-running-{naming.slug(quantity)}"
        drawings.append(Drawing(name, f"{title} as the run gets longer", alt, caption, rows, figure))
    return drawings


def residence(point: StatePoint, colour: Mapping[str, str], on: On = Figure, only: str = "") -> list[Drawing]:
    """Residence correlation functions, a panel for each kind that there is, or for one of them."""
    table = point.table("residence_curves")
    if table is None:
        return []
    drawings = []
    for correlation, curves in table.groupby("correlation", sort=False):
        if only not in ("", correlation):
            continue
        figure, ax = axes((4.3, 2.9), on)
        scale, unit = (1000.0, "ns") if curves.t_ps.max() > 2000 else (1.0, "ps")
        words = []
        for partner, rows in curves.groupby("partner", sort=False):
            rows, _ = thinned(rows.sort_values("t_ps"))
            who, ink = naming.site(str(partner)), colour.get(str(partner).partition(":")[0], MUTED)
            t, c, error = rows.t_ps / scale, rows.c.to_numpy(float), np.nan_to_num(rows.c_error.to_numpy(float))
            ax.fill_between(t, np.clip(c - error, 0, None), c + error, color=ink, alpha=0.2, linewidth=0)
            ax.plot(t, c, color=ink, label=who)
            end = rounding.number(c[-1], error[-1])
            words.append(f"{who} ends at {end} after {rounding.duration(float(rows.t_ps.iloc[-1]))}")
        ax.axhline(np.exp(-1), color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        ax.text(1, np.exp(-1) + 0.015, "1/e ", color=MUTED, fontsize=8, ha="right", transform=ax.get_yaxis_transform())
        ax.set(xlabel=f"time ({unit})", ylabel="C(t)", ylim=(0, 1.03))
        ax.set_xlim(0, float(curves.t_ps.max() / scale) or 1)
        title = _CORRELATIONS.get(str(correlation), str(correlation).capitalize())
        titled(ax, title, 4)
        alt = f"{title}, residence correlation: " + "; ".join(words)
        name = f"{point.label}-residence-{naming.slug(correlation)}"
        drawings.append(Drawing(name, f"Residence: {title.lower()}", alt, "", curves, figure))
    return drawings


def state(point: StatePoint) -> list[Drawing]:
    """Density, temperature and potential energy against time, one line per replica; the density before, too."""
    logs = {replica.number: replica.state for replica in point.replicas if replica.state is not None}
    before = {r.number: r.equilibration for r in point.replicas if r.equilibration is not None}
    drawings = [_log_panel(point, logs, column, *words) for column, words in _STATE.items() if logs]
    if before:
        words = ("Density while equilibrating", _STATE["density_g_cm3"][1])
        drawings.append(_log_panel(point, before, "density_g_cm3", *words, name="equilibration"))
    return drawings


def _log_panel(
    point: StatePoint, logs: Mapping[int, pd.DataFrame], column: str, title: str, label: str, name: str = ""
) -> Drawing:
    figure, ax = axes(SMALL)
    longest = max(float(log.time_ps.max()) for log in logs.values())
    per, unit = (1000.0, "ns") if longest > 2000 else (1.0, "ps")
    words, kept, step = [], [], 1
    for i, (number, log) in enumerate(logs.items()):
        rows, step = thinned(log)
        values = rows[column] / (1000.0 if column == "potential_kJ_mol" else 1.0)
        ink = LINES[i % len(LINES)]
        ax.plot(rows.time_ps / per, values, color=ink, linewidth=0.7, alpha=0.8, label=f"replica {number}")
        kept.append(rows[["time_ps", column]].assign(replica=number))
        words.append(f"replica {number} from {rounding.number(values.iloc[0])} to {rounding.number(values.iloc[-1])}")
    if column == "temperature_K" and point.at:
        ax.axhline(point.temperature_K, color=INK, linewidth=0.8, linestyle=(0, (1, 2)))
    ax.set(xlabel=f"time ({unit})", ylabel=label)
    ax.ticklabel_format(useOffset=False, style="plain", axis="y")
    titled(ax, title, min(len(logs), 3) if len(logs) > 1 else 0)
    alt = f"{title}, {label}, against time: " + "; ".join(words)
    caption = f"Every {rounding.ordinal(step)} logged value." if step > 1 else ""
    data = pd.concat(kept, ignore_index=True)
    return Drawing(f"{point.label}-{name or naming.slug(column)}", title, alt, caption, data, figure)


def series(point: StatePoint) -> list[Drawing]:
    """Per-frame values of structural quantities, one panel each, a line per replica."""
    table = point.table("timeseries")
    if table is None:
        return []
    drawings = []
    logged = any(replica.state is not None for replica in point.replicas)
    for quantity, rows in table.groupby("quantity", sort=False):
        if logged and quantity in _STATE:  # drawn from the log, which is finer
            continue
        figure, ax = axes(SMALL)
        per, unit = (1000.0, "ns") if rows.time_ps.max() > 2000 else (1.0, "ps")
        words = []
        for i, (replica, one) in enumerate(rows.groupby("replica", sort=True)):
            one, _ = thinned(one.sort_values("time_ps"))
            ax.plot(one.time_ps / per, one.value, color=LINES[i % len(LINES)], linewidth=0.7, alpha=0.8)
            first, last = (rounding.number(one.value.iloc[k]) for k in (0, -1))
            words.append(f"replica {replica:g} from {first} to {last}")
        title = naming.quantity(str(quantity))
        ax.set(xlabel=f"time ({unit})", title=title, ylabel=naming.labelled(str(quantity)))
        alt = f"{title} against time: " + "; ".join(words)
        drawings.append(Drawing(f"{point.label}-series-{naming.slug(quantity)}", title, alt, "", rows, figure))
    return drawings
