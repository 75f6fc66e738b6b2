"""Tables and descriptors of speciation, over all replicas of a state point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lmbmd.analysis.family import Account, Family, Findings, Series
from lmbmd.analysis.shells.speciation import CLASSES, CONVENTIONS, Speciation, SpeciationResult
from lmbmd.numbers.doubt import COLUMNS as DOUBT
from lmbmd.numbers.doubt import Doubt, Kind, descriptor, entry
from lmbmd.numbers.estimate import Estimate, estimate_mean, last_used, shares


def speciation_account(results: Sequence[SpeciationResult], centre: str, agg_ii_from: int = 3) -> Account:
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
        reason = Doubt(Kind.NO_ANION)
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
        "speciation": pd.DataFrame(rows, columns=["convention", "cls", "fraction", "error", *DOUBT]),
        "ion_histogram": _histograms(results),
    }
    return Account(descriptors, tables)


def _histograms(results: Sequence[SpeciationResult]) -> pd.DataFrame:
    """Anions per centre by species and for all ("" when there are several), centres per anion by species."""
    first = results[0]
    rows: list[tuple] = []

    def add(convention: str, species: str, counts: list[np.ndarray], total: float) -> None:
        estimates = shares(counts, total)
        rows.extend((convention, species, n, *entry(e)) for n, e in enumerate(estimates[: last_used(estimates)]))

    for k, name in enumerate(first.anions):
        add("anions_per_centre", name, [r.anions_per_centre[:, k] for r in results], first.n_centres)
    if len(first.anions) > 1:
        add("anions_per_centre", "", [r.anions_per_centre[:, -1] for r in results], first.n_centres)
    for k, name in enumerate(first.anions):
        add("centres_per_anion", name, [r.centres_per_anion[:, k] for r in results], first.n_anions[k])
    return pd.DataFrame(rows, columns=["convention", "species", "n", "fraction", "error", *DOUBT])


def _series(found: Findings) -> dict[str, Series]:
    results = found.of(Speciation)
    if not len(results[0].n_anions):
        return {}
    of = lambda convention, k: [r.fractions(convention)[:, k] for r in results]  # noqa: E731
    return {
        "cip_fraction_centre": of("centre", 1),
        "agg_fraction_centre": of("centre", 2),
        "agg_fraction_anion": of("anion", 2),
    }


def _sensitive(found: Findings, shift_A: float) -> dict[str, Series]:
    quantities: dict[str, Series] = {}
    for convention in CONVENTIONS:
        fractions = [r.fractions(convention) for r in found.of(Speciation, shift_A)]
        quantities[f"cip_fraction_{convention}"] = [f[:, 1] for f in fractions]
        quantities[f"agg_fraction_{convention}"] = [f[:, 2] for f in fractions]
    return quantities


FAMILY = Family(
    account=lambda found: speciation_account(
        found.of(Speciation), found.setting.centre, found.setting.options.agg_ii_from
    ),
    folds={Speciation: lambda setting, replica: Speciation(setting.atoms, setting.centre)},
    shifted=True,
    series=_series,
    sensitive=_sensitive,
)
