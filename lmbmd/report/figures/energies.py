"""Energies of shells by class: every drawn shell as a point, and the mean of each class."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from lmbmd.core import rounding
from lmbmd.quantum import drawn
from lmbmd.report.figures.drawing import MEDIUM, Drawing, On, axes
from lmbmd.report.figures.palette import CLASSES, INK, LINES, MUTED
from lmbmd.report.inputs import StatePoint
from lmbmd.report.words import naming

#: Of a line; the colour of an area that is free would not be seen.
_LINES = {**CLASSES, "free": CLASSES["SSIP"]}


def _first(point: StatePoint) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """Single shells and means by class of the variant that became descriptors."""
    single, means = point.table("energies_shells"), point.table("energies")
    if single is None or means is None or single.empty:
        return None
    by = ["method", "medium", "geometry"]
    first = means.iloc[0][by]
    return tuple(table[table[by].eq(first).all(axis=1)] for table in (single, means))


def by_class(point: StatePoint, on: On = Figure) -> list[Drawing]:
    """Binding of the ion by class; and what it costs to take one molecule of each species out."""
    found = _first(point)
    if found is None:
        return []
    single, means = found
    bound = single[single.quantity == "shell_binding_kJ_mol"]
    who = naming.one_centre(point.centre)
    made = [_classes(point, bound, means, "shell_binding_kJ_mol", f"Binding of {who}", "binding", on)]
    figure, ax = axes(MEDIUM)
    out = single[single.quantity == "removal_energy_kJ_mol"]
    words = []
    for k, (species, rows) in enumerate(out.groupby("species", sort=True)):
        spread = 0.15 * np.sin(2.4 * np.arange(len(rows)))  # beside each other, and the same on every page
        ax.plot(k + spread, rows.value, "o", markersize=2.5, color=MUTED, alpha=0.5)
        mean = means[(means.quantity == "removal_energy_kJ_mol") & (means.species == species) & (means.kind == "all")]
        if len(mean):
            value, error = float(mean.value.iloc[0]), float(np.nan_to_num(mean.error.iloc[0]))
            ax.errorbar([k], [value], yerr=[error], fmt="_", markersize=18, color=INK, linewidth=1.4)
            words.append(f"{naming.species(str(species))} {rounding.number(value, error or None)} kJ/mol")
    names = sorted(out.species.unique())
    ax.set(xticks=range(len(names)), ylabel="kJ/mol", title="Taking one molecule out")
    ax.set_xticklabels([naming.species(name) for name in names])
    ax.axhline(0, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    alt = "Energy to take one molecule out of its shell: " + "; ".join(words)
    caption = "A point: one molecule of a drawn shell, the others where they are. The bar: the mean over the run."
    made.append(Drawing(f"{point.label}-removal", "Taking one molecule out", alt, caption, out, figure))
    return made


def levels(point: StatePoint) -> list[Drawing]:
    """HOMO and LUMO of molecules in shells against those of free ones."""
    found = _first(point)
    if found is None:
        return []
    means = found[1]
    rows = means[(means.kind == "all") & means.quantity.isin(["homo_shift_eV", "lumo_shift_eV"])]
    if rows.empty:
        return []
    figure, ax = axes(MEDIUM)
    names, words = sorted(rows.species.unique()), []
    for k, quantity in enumerate(("homo_shift_eV", "lumo_shift_eV")):
        mine = rows[rows.quantity == quantity].set_index("species").reindex(names)
        label = quantity[:4].upper()
        ax.errorbar(
            np.arange(len(names)) + 0.16 * (2 * k - 1),
            mine.value,
            yerr=np.nan_to_num(mine.error),
            fmt="o",
            color=LINES[k],
            label=label,
        )
        words += [f"{label} of {naming.species(n)} {rounding.number(float(mine.value[n]))} eV" for n in names]
    ax.set(xticks=range(len(names)), ylabel="in the shell − free (eV)", title="Levels of molecules in shells")
    ax.set_xticklabels([naming.species(name) for name in names])
    ax.axhline(0, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    ax.legend()
    alt = "Shift of levels in the shell against the free molecule: " + "; ".join(words)
    caption = "Orbital energies, which the charge of the shell moves. No redox potentials."
    return [Drawing(f"{point.label}-levels", "Levels of molecules in shells", alt, caption, rows, figure)]


def bands(point: StatePoint) -> list[Drawing]:
    """The band of each species of anions or solvents, weighted by class, and that of the molecule by itself."""
    curves, means = point.table("bands_curve"), point.table("bands")
    if curves is None or means is None:
        return []
    made = []
    for species, rows in curves.groupby("species", sort=False):
        who, about = naming.species(str(species)), means[means.species == species]
        figure, ax = axes(MEDIUM)
        for kind, line in rows.groupby("kind", sort=False):
            style = {"color": INK, "linewidth": 1.8} if kind == "all" else {"color": _LINES[str(kind)]}
            ax.plot(line.wavenumber_cm, line.intensity_cm, label=str(kind), **style)
        free = float((about.band_cm - about.shift_cm).mean())
        if np.isfinite(free):
            ax.axvline(free, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        title = f"{about.band.iloc[0]} band of {who}"
        ax.set(xlabel="wavenumber (1/cm)", ylabel="per 1/cm", title=title, ylim=(0, None))
        ax.legend()
        words = [
            f"{row.kind} {rounding.number(row.shift_cm, row.error if row.error > 0 else None)} 1/cm"
            for row in about.itertuples()
            if np.isfinite(row.shift_cm)
        ]
        alt = f"{title}, weighted by class; shifts against the molecule by itself: " + "; ".join(words)
        caption = f"Harmonic, unscaled ({about.method.iloc[0]}). The dotted line: the molecule by itself."
        made.append(Drawing(f"{point.label}-band-{naming.slug(str(species))}", title, alt, caption, rows, figure))
    return made


def _classes(
    point: StatePoint, single: pd.DataFrame, means: pd.DataFrame, quantity: str, title: str, stem: str, on: On
) -> Drawing:
    figure, ax = axes(MEDIUM, on)
    kinds, words = [kind for kind in drawn.CLASSES if (single.kind == kind).any()], []
    for k, kind in enumerate(kinds):
        values = single[single.kind == kind].value.to_numpy(float)
        spread = 0.15 * np.sin(2.4 * np.arange(len(values)))
        ax.plot(k + spread, values, "o", markersize=3, color=CLASSES[kind], markeredgecolor=MUTED, markeredgewidth=0.3)
        mean = means[(means.quantity == quantity) & (means.kind == kind)]
        if len(mean):
            value, error = float(mean.value.iloc[0]), float(np.nan_to_num(mean.error.iloc[0]))
            ax.errorbar([k], [value], yerr=[error], fmt="_", markersize=18, color=INK, linewidth=1.4)
            words.append(f"{kind} {rounding.number(value, error or None)} kJ/mol")
    ax.set(xticks=range(len(kinds)), ylabel="kJ/mol", title=title)
    ax.set_xticklabels(kinds)
    caption = "A point: one drawn shell. The bar: the mean of its class, with its error."
    return Drawing(f"{point.label}-{stem}", title, f"{title} by class: " + "; ".join(words), caption, single, figure)
