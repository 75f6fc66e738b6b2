"""Scattering: structure factors, their parts by class of cluster, and measured curves beside computed ones."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lmbmd.core import rounding
from lmbmd.report.figures.drawing import MEDIUM, Drawing, On, axes, errors, titled
from lmbmd.report.figures.palette import INK, LINES, MUTED
from lmbmd.report.inputs import StatePoint
from lmbmd.report.words import naming

_NAMES = {"xray": "X-ray", "neutron": "neutron"}
#: What a class of the table is called.
_CLASSES = {
    "solvent": "solvent",
    "alone": "lone ions",
    "cluster": "other clusters",
    "compact": "compact aggregates",
}


def _line(ax: Axes, rows: pd.DataFrame, ink: str, label: str, value: str = "s") -> None:
    y, band = rows[value].to_numpy(float), np.nan_to_num(errors(rows, f"{value}_error"))
    ax.fill_between(rows.q_per_A, y - band, y + band, color=ink, alpha=0.2, linewidth=0)
    ax.plot(rows.q_per_A, y, color=ink, label=label)


def _highest(rows: pd.DataFrame) -> str:
    top = rows.loc[rows.s.idxmax()]
    error = float(top.s_error)
    return f"{rounding.number(float(top.s), error, np.isfinite(error))} at {top.q_per_A:.2f} 1/Å"


def structure(point: StatePoint, on: On = Figure) -> list[Drawing]:
    """S(q) of X-rays and neutrons; and that of the centres alone, in a figure of its own."""
    table = point.table("scattering")
    if table is None:
        return []
    figure, ax = axes(MEDIUM, on=on)
    words = []
    for k, (radiation, name) in enumerate(_NAMES.items()):
        rows = table[table.radiation == radiation]
        _line(ax, rows, LINES[k], name)
        words.append(f"{name}: highest {_highest(rows)}")
    ax.set(xlabel="q (1/Å)", ylabel="S(q)", xlim=(0, float(table.q_per_A.max())), ylim=(0, None))
    titled(ax, "Structure factor", 2)
    shown = table[table.radiation.isin(list(_NAMES))]
    caption = "I(q) over that of the same atoms without any correlation. Left of the first point the box sees nothing."
    made = [Drawing(f"{point.label}-sq", "Structure factor", "; ".join(words), caption, shown, figure)]
    if isinstance(on, Axes):
        return made
    rows, title = table[table.radiation == "centres"], f"{naming.one_centre(point.centre)} alone"
    figure, ax = axes(MEDIUM)
    _line(ax, rows, INK, "")
    ax.axhline(1.0, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    ax.set(xlabel="q (1/Å)", ylabel="S(q)", xlim=(0, float(table.q_per_A.max())), ylim=(0, None), title=title)
    alt = f"S(q) of {naming.centres(point.centre)} alone: highest {_highest(rows)}"
    caption = "1 where they lie at random. A rise at small q: they come together, whatever a contact is."
    return [*made, Drawing(f"{point.label}-sq-centres", title, alt, caption, rows, figure)]


def by_class(point: StatePoint) -> list[Drawing]:
    """What each class of clusters, and each pair of classes, gives to S(q): a panel for each kind of scattering."""
    table = point.table("scattering_parts")
    if table is None:
        return []
    table, made = table[table.kind == "class"], []
    for radiation, name in (*_NAMES.items(), ("centres", f"{naming.one_centre(point.centre)} alone")):
        rows = table[table.radiation == radiation]
        if rows.empty:
            continue
        figure, ax = axes(MEDIUM)
        pairs = rows.groupby(["first", "second"], sort=False)
        large = sorted(pairs, key=lambda pair: -float(pair[1].s.abs().max()))[: len(LINES)]
        words = []
        for k, ((first, second), part) in enumerate(large):
            label = " – ".join(dict.fromkeys((_CLASSES[first], _CLASSES[second])))
            _line(ax, part, LINES[k], label)
            words.append(f"{label}: {rounding.number(float(part.s.iloc[0]))} at the smallest q")
        ax.set(xlabel="q (1/Å)", ylabel="part of S(q)", xlim=(0, float(rows.q_per_A.max())))
        titled(ax, f"By class, {name}", min(len(large), 2))
        alt = f"Parts of S(q) by class of cluster, {name}: " + "; ".join(words)
        caption = "The parts sum to S(q); two names: these two with each other."
        made.append(Drawing(f"{point.label}-sq-class-{radiation}", f"By class, {name}", alt, caption, rows, figure))
    return made


def beside(point: StatePoint) -> list[Drawing]:
    """Measured curves, each with the computed one."""
    table = point.table("scattering_measured")
    if table is None:
        return []
    made = []
    for (radiation, file), rows in table.groupby(["radiation", "file"], sort=False):
        figure, ax = axes(MEDIUM)
        band = np.nan_to_num(errors(rows, "measured_error"))
        ax.errorbar(
            rows.q_per_A,
            rows.measured,
            yerr=band,
            fmt="o",
            markersize=2.5,
            color=MUTED,
            linewidth=0.8,
            label="measured",
        )
        ax.plot(rows.q_per_A, rows.computed, color=LINES[0], label="computed")
        quantity = str(rows.quantity.iloc[0])
        shown = "intensity (as measured)" if quantity == "intensity" else "S(q), Faber–Ziman"
        ax.set(xlabel="q (1/Å)", ylabel=shown)
        titled(ax, f"{_NAMES[str(radiation)]}, {file}", 2)
        found = point.described.descriptors
        r = found[(found.name == "scattering_r_factor") & found.species.str.endswith(f" {file}")].value
        said = f"R = {rounding.number(float(r.iloc[0]))}" if len(r) else ""
        scaled = " The computed intensity is scaled to it." if quantity == "intensity" else ""
        alt = f"Measured and computed {quantity} of {file}, {len(rows)} points. {said}"
        name = f"{point.label}-measured-{naming.slug(f'{radiation}-{file}')}"
        made.append(Drawing(name, f"{_NAMES[str(radiation)]}, {file}", alt, f"{said}.{scaled}", rows, figure))
    return made
