"""Level 1, the primary shell: RDF and running CN, CN histograms, shell types, solvent states."""

from __future__ import annotations

from collections.abc import Mapping

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
    drop_spine_grid,
    errors,
    headroom,
    titled,
    without_bars,
)
from lmbmd.report.figures.palette import CLASSES, INK, MUTED, text_on
from lmbmd.report.inputs import StatePoint, doubt_of, molecules_of
from lmbmd.report.words import naming

#: Å shown of an RDF to donor atoms, and to mass centres: the second shell has ended there.
SITE_RANGE_A, SPECIES_RANGE_A = (1.0, 8.0), (1.0, 14.0)
TOP_SHELLS = 10


def rdf(point: StatePoint, colour: Mapping[str, str], *, by_site: bool) -> list[Drawing]:
    """One panel per pair: g(r) with its error band, running CN on the right, the cut-off marked.

    Args:
        point: has the tables ``rdf`` and ``cutoffs``.
        colour: of each species.
        by_site: pairs of a centre and a donor atom; otherwise those of two mass centres.
    """
    return [
        rdf_of(point, colour, centre, partner) for centre, partner in rdf_pairs(point) if (":" in partner) == by_site
    ]


def rdf_pairs(point: StatePoint) -> list[tuple[str, str]]:
    """The pairs (centre, partner) that there is an RDF of."""
    table = point.table("rdf")
    return [] if table is None else list(dict.fromkeys(zip(table.centre, table.partner, strict=True)))


def rdf_of(point: StatePoint, colour: Mapping[str, str], centre: str, partner: str, on: On = Figure) -> Drawing:
    """The panel of one of ``rdf_pairs``."""
    of = lambda table: table[(table.centre == centre) & (table.partner == partner)]  # noqa: E731
    cutoffs = point.table("cutoffs")
    match = None if cutoffs is None else of(cutoffs)
    cutoff = None if match is None or match.empty else match.iloc[0]
    pair = of(point.described.tables["rdf"]).sort_values("r_A")
    is_atom, is_element = ":" in partner, "." in partner
    low, high = SITE_RANGE_A if is_atom else SPECIES_RANGE_A
    shown = pair[(pair.r_A >= low) & (pair.r_A <= high)]
    r, g, band, cn = (shown[column].to_numpy(float) for column in ("r_A", "g", "g_error", "cn"))
    band = np.nan_to_num(band)
    ink = colour.get(partner.partition(":")[0].rpartition(".")[0] or partner.partition(":")[0], MUTED)
    told = naming.site(partner.replace(".", ":")) if is_element else naming.site(partner)
    title = f"{naming.species(centre)} – {told}" + ("" if is_atom or is_element else ", mass centres")
    figure, ax = axes(SMALL, on)
    right = ax.twinx()
    ax.fill_between(r, g - band, g + band, color=ink, alpha=0.22, linewidth=0)
    ax.plot(r, g, color=ink)
    right.plot(r, cn, color=MUTED, linewidth=1.2, linestyle=(0, (4, 2)))
    ax.axhline(1, color=MUTED, linewidth=0.6)
    top = np.nanmax(g + band, initial=1.0)
    ax.set(
        xlim=(low, min(high, max(r, default=high))), ylim=(0, 1.18 * top), xlabel="r (Å)", ylabel="g(r)", title=title
    )
    right.set_ylabel("running CN", color=MUTED)
    right.spines["right"].set(visible=True, color=MUTED, linestyle=(0, (4, 2)))
    right.grid(False)
    words = _cutoff_words(cutoff)
    at_cutoff = np.nan if cutoff is None else float(np.interp(cutoff.cutoff_A, r, cn))
    if not np.isfinite(at_cutoff):
        at_cutoff = float(np.nanmax(cn, initial=0.0)) / 2
    if cutoff is not None and np.isfinite(cutoff.cutoff_A):
        ax.axvline(cutoff.cutoff_A, color=INK, linewidth=0.9, linestyle=(0, (1, 1.6)))
        ax.text(cutoff.cutoff_A + 0.12, 1.16 * top, f"{cutoff.cutoff_A:.2f} Å", va="top", fontsize=8)
    # Twice the shell's own CN: the plateau is in the middle, where it can be read.
    right.set_ylim(0, max(1.0, 2.1 * at_cutoff))
    alt = f"Radial distribution function g(r) and running coordination number of {title}. {words}"
    name = f"{point.label}-rdf-{naming.slug(centre)}-{naming.slug(partner)}"
    return Drawing(name, f"RDF {title}", alt, words, pair, figure)


def _cutoff_words(cutoff: pd.Series | None) -> str:
    """The first peak, and the cut-off with its rule, as a sentence."""
    if cutoff is None:
        return ""
    parts, second = [], cutoff.get("shell") == "second"
    if np.isfinite(cutoff.get("peak_A", np.nan)):
        which = "second-shell peak" if second else "first peak"
        parts.append(f"{which} {cutoff.peak_A:.2f} Å, g = {rounding.number(cutoff.get('peak_g'))}")
    shell = "second shell up to" if second else "cut-off"
    found = f"{shell} {cutoff.cutoff_A:.2f} Å" if np.isfinite(cutoff.cutoff_A) else "no cut-off"
    sentence = "; ".join([*parts, f"{found} ({cutoff.rule})"])
    return f"{sentence[:1].upper()}{sentence[1:]}."


def cn_histogram(point: StatePoint, colour: Mapping[str, str]) -> list[Drawing]:
    """Per species, the share of centres with n of its molecules in the first shell."""
    table = point.table("cn_histogram")
    if table is None:
        return []
    drawings = []
    for species, rows in table.groupby("species", sort=False):
        rows = rows.sort_values("n")
        who = naming.species(str(species))
        figure, ax = axes(SMALL)
        ax.bar(
            rows.n, rows.fraction, yerr=errors(rows), width=0.72, color=colour.get(species, MUTED), error_kw=ERROR_BAR
        )
        one, all_of = naming.one_centre(point.centre), naming.centres(point.centre)
        ax.set(xlabel=f"{who} in the shell of one {one}", ylabel=f"fraction of {all_of}", title=who)
        ax.set_ylim(0, headroom(rows.fraction, errors(rows)))
        ax.set_xticks(np.arange(0, rows.n.max() + 1))
        ax.set_xlim(-0.6, max(rows.n.max(), 4) + 0.6)
        alt = f"Share of {all_of} by number of {who} in the shell: " + "; ".join(
            f"{int(row.n)}: {rounding.percent(row.fraction, row.error, not doubt_of(row))}" for row in rows.itertuples()
        )
        drawings.append(
            Drawing(
                f"{point.label}-cn-{naming.slug(species)}",
                f"{who} per {one}",
                alt,
                without_bars(rows).strip(),
                rows,
                figure,
            )
        )
    return drawings


def shells(point: StatePoint, colour: Mapping[str, str], on: On = Figure) -> list[Drawing]:
    """The most frequent shell types: their names, one dot per molecule, and a bar for the share of centres."""
    table = point.table("shells")
    if table is None:
        return []
    rows = table.sort_values("rank").head(TOP_SHELLS)
    figure, ax = axes((MEDIUM[0], 0.8 + 0.4 * len(rows)), on)
    top = 1.3 * headroom(rows.fraction, errors(rows))
    words = []
    whiskers = np.nan_to_num(errors(rows))
    for y, ((_, row), whisker) in enumerate(zip(rows.iterrows(), whiskers, strict=True)):
        inside = molecules_of(row)
        share = rounding.percent(row.fraction, row.error, not doubt_of(row))
        ax.text(0.008 * top, y - 0.37, naming.shell(inside), va="center", fontsize=8.5)
        dots = [colour.get(name, MUTED) for name, n in inside.items() for _ in range(n)]
        # Dots end at the right edge, so that shells of one size line up.
        at = top * (1 - 0.036 * (np.arange(len(dots))[::-1] + 0.5))
        ax.scatter(at, np.full(len(dots), y - 0.36), s=30, c=dots or None, clip_on=False)
        ax.text(row.fraction + whisker + 0.015 * top, y, share, va="center", fontsize=8.5)
        words.append(f"{naming.shell(inside)} {share}")
    ax.barh(range(len(rows)), rows.fraction, xerr=errors(rows), color="#9db4c6", height=0.32, error_kw=ERROR_BAR)
    ax.set(xlim=(0, top), ylim=(len(rows) - 0.7, -0.7), title="Most frequent first shells")
    ax.set_xlabel(f"fraction of {naming.centres(point.centre)}")
    ax.set_yticks([])
    drop_spine_grid(ax, axis="x")
    alt = "Most frequent first shells: " + "; ".join(words)
    shown = f"All {len(table)}" if len(rows) == len(table) else f"The {len(rows)} most frequent of {len(table)}"
    caption = f"One dot is one molecule in the first shell. {shown} types seen.{without_bars(rows)}"
    return [Drawing(f"{point.label}-shells", "Most frequent first shells", alt, caption, rows, figure)]


def solvent_states(point: StatePoint) -> list[Drawing]:
    """Free, bound and bridging molecules of each neutral species, as shares of that species."""
    table = point.table("solvent_states")
    if table is None:
        return []
    figure, ax = axes((MEDIUM[0], 1.35 + 0.38 * len(table)))
    states = ("free", "bound", "bridging")
    start = np.zeros(len(table))
    for state in states:
        share = table[state].fillna(0).to_numpy(float)
        fill = CLASSES[state]
        ax.barh(
            range(len(table)), share, left=start, color=fill, height=0.6, label=state, edgecolor=MUTED, linewidth=0.5
        )
        for y, (value, left) in enumerate(zip(share, start, strict=True)):
            if value >= 0.09:
                ax.text(left + value / 2, y, f"{100 * value:.0f} %", ha="center", va="center", color=text_on(fill))
        start += share
    ax.set_yticks(range(len(table)), [naming.species(str(name)) for name in table.species])
    ax.set(xlim=(0, 1), ylim=(len(table) - 0.5, -0.5), xlabel="fraction of the species' molecules")
    ax.grid(False)
    titled(ax, "Free, bound and bridging solvent", 3)
    one = naming.one_centre(point.centre)
    alt = "Solvent molecules: " + "; ".join(
        f"{naming.species(str(row.species))} free {rounding.percent(row.free)}, "
        f"bound to one {one} {rounding.percent(row.bound)}, bridging two or more {rounding.percent(row.bridging)}"
        for row in table.itertuples()
    )
    whom = naming.centres(point.centre)
    caption = f"Free: no contact with {whom}. Bound: contact with one. Bridging: contact with two or more."
    return [Drawing(f"{point.label}-solvent", "Free, bound and bridging solvent", alt, caption, table, figure)]
