"""Tables and descriptors of speciation, over all replicas of a state point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lmbmd.analysis.shells.cutoffs import Cutoff
from lmbmd.analysis.shells.speciation import CLASSES, CONVENTIONS, SpeciationResult
from lmbmd.data.atoms import AtomTable
from lmbmd.data.described import Descriptor
from lmbmd.numbers.doubt import descriptor, entry
from lmbmd.numbers.estimate import Estimate, estimate_mean, last_used, shares

#: What follows the name of a quantity in the columns of a table that holds several: value, error, doubt.
_PARTS = ("", "_error", "_doubt")

Tables = tuple[list[Descriptor], dict[str, pd.DataFrame]]


def speciation_tables(results: Sequence[SpeciationResult], centre: str, agg_ii_from: int = 3) -> Tables:
    """What ``Speciation`` found: descriptors, and the tables ``speciation`` and ``ion_histogram``.

    Args:
        results: one per replica of the same box.
        centre: the primary species.
        agg_ii_from: number of centres from which an anion is AGG-II; AGG-I are those from two to one fewer.
    """
    meaning = {
        "centre": f"share of {centre} with 0 / 1 / ≥ 2 anions in the first shell",
        "anion": "share of anions in contact with 0 / 1 / ≥ 2 centres",
        "cluster": f"share of {centre} in contact clusters of 1 / 2 / > 2 ions",
    }
    descriptors, rows = [], []

    def add(convention: str, cls: str, name: str, estimate: Estimate, method: str) -> None:
        if cls:
            rows.append((convention, cls, *entry(estimate)))
        reason = "there is no anion in the box"
        descriptors.append(descriptor(f"{name}_fraction_{convention}", "", estimate, "1", method, reason))

    for convention in CONVENTIONS:
        fractions = [r.fractions(convention) for r in results]
        for k, cls in enumerate(CLASSES):
            add(convention, cls, cls.lower(), estimate_mean([f[:, k] for f in fractions]), meaning[convention])
        either = estimate_mean([1.0 - f[:, 0] for f in fractions])
        add(convention, "", "cip_agg", either, f"1 − SSIP; {meaning[convention]}")
        if convention == "anion":
            last = agg_ii_from - 1
            ranges = (f"{2} to {last}" if last > 2 else "exactly 2", f"{agg_ii_from} or more")
            for k, (cls, name) in enumerate((("AGG-I", "agg_i"), ("AGG-II", "agg_ii"))):
                part = estimate_mean([r.agg_parts(agg_ii_from)[:, k] for r in results])
                add("anion", cls, name, part, f"share of anions in contact with {ranges[k]} centres")
    tables = {
        "speciation": pd.DataFrame(rows, columns=["convention", "cls", "fraction", "error", "doubt"]),
        "ion_histogram": _histograms(results),
    }
    return descriptors, tables


def _histograms(results: Sequence[SpeciationResult]) -> pd.DataFrame:
    """Anions per centre by species and for all ("" when there are several), centres per anion by species."""
    first, rows = results[0], []

    def add(convention: str, species: str, counts: list[np.ndarray], total: float) -> None:
        estimates = shares(counts, total)
        rows.extend((convention, species, n, *entry(e)) for n, e in enumerate(estimates[: last_used(estimates)]))

    for k, name in enumerate(first.anions):
        add("anions_per_centre", name, [r.anions_per_centre[:, k] for r in results], first.n_centres)
    if len(first.anions) > 1:
        add("anions_per_centre", "", [r.anions_per_centre[:, -1] for r in results], first.n_centres)
    for k, name in enumerate(first.anions):
        add("centres_per_anion", name, [r.centres_per_anion[:, k] for r in results], first.n_anions[k])
    return pd.DataFrame(rows, columns=["convention", "species", "n", "fraction", "error", "doubt"])


def separation_tables(
    counts: Sequence[np.ndarray], labels: Sequence[str], atoms: AtomTable, centre: str, edges: Mapping[str, Cutoff]
) -> Tables:
    """What ``SecondShell`` found: descriptors, and the table ``separation``.

    Ions in contact are in neither share: solvent-separated and isolated add up to the free fraction. Without an edge
    of the second shell of an anion neither share of it has a value, nor that of the centres.

    Args:
        counts: (n_frames, n_labels, 2) per replica.
        labels: ``SecondShell.labels``.
        atoms: of the box.
        centre: the primary species.
        edges: outer edge of the second shell by anion species.
    """
    descriptors, rows = [], []
    for k, label in enumerate(labels):
        who, name = ("anion", label) if label else ("centre", centre)
        used = [edges[label]] if label else list(edges.values())
        separated, isolated = shares([c[:, k] for c in counts], atoms.count(name))
        unknown = [e for e in used if np.isnan(e.cutoff_A)]
        if unknown:
            separated = isolated = Estimate(np.nan, np.nan, np.nan)
        why = "; ".join(f"no edge of the second shell of {e.partner}, {e.rule.partition(': ')[2]}" for e in unknown)
        told = ", ".join(f"{e.partner} {e.cutoff_A:.2f} Å" for e in used if e not in unknown) or "unknown"
        method = f"share of all {name} without an ion in contact but with one within the second shell ({told})"
        descriptors.append(descriptor(f"solvent_separated_{who}_fraction", name, separated, "1", method, why))
        method = f"share of all {name} without an ion in the first or second shell ({told})"
        descriptors.append(descriptor(f"isolated_{who}_fraction", name, isolated, "1", method, why))
        radius, rule = (used[0].cutoff_A, used[0].rule) if len(used) == 1 else (np.nan, "that of each anion")
        rows.append((name, *entry(separated), *entry(isolated), radius, rule))
    columns = ["species", *(f"{which}{part}" for which in ("solvent_separated", "isolated") for part in _PARTS)]
    columns += ["radius_A", "rule"]
    return descriptors, {"separation": pd.DataFrame(rows, columns=columns)}
