"""Tables, descriptors and notes about clusters, over all replicas of a state point."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lmbmd.analysis.clusters.components import CLUSTER_SERIES, ClusterResult, Clusters
from lmbmd.analysis.family import Account, Family, Findings, Series
from lmbmd.data.atoms import AtomTable
from lmbmd.numbers.doubt import COLUMNS as DOUBT
from lmbmd.numbers.doubt import Doubt, Kind, descriptor, entry
from lmbmd.numbers.estimate import estimate_mean, scaled

#: Full diameter of a homogeneous sphere with a radius of gyration of one.
SPHERE_DIAMETER_PER_RG = 2 * np.sqrt(5 / 3)

_NONE_FINITE = Doubt(Kind.NO_FINITE_CLUSTER)


def cluster_account(results: Sequence[ClusterResult], atoms: AtomTable) -> Account:
    """What ``Clusters`` found, for the descriptor table, the figures and the reader.

    Args:
        results: one per replica of the same box.
        atoms: of that box.

    Returns:
        descriptors: the means of ``CLUSTER_SERIES`` over the frames in which they are defined, and the diameter
            of the homogeneous sphere with the mean radius of gyration, 2 √(5/3) R_g.
        tables: ``cluster_sizes`` (n_ions, clusters_per_frame, ion_fraction, error, doubt,
            percolating; error and doubt are those of ion_fraction),
            ``cluster_population`` (n_centres, n_anions, per_frame, error, doubt, percolating), ``cluster_charge``
            (charge_e, per_frame, error, doubt).
        notes: percolation and clusters too long for the box.
    """
    centres = centre_names(atoms)
    descriptors = []
    for name, (unit, meaning) in CLUSTER_SERIES.items():
        mean = estimate_mean([r.series[name] for r in results])
        descriptors.append(descriptor(name, centres, mean, unit, meaning, _NONE_FINITE))
        if name == "cluster_rg_nm":
            sphere = f"2 √(5/3) Rg, the homogeneous sphere with this Rg; Rg: {meaning}"
            diameter = scaled(mean, SPHERE_DIAMETER_PER_RG)
            descriptors.append(descriptor("cluster_rg_diameter_nm", centres, diameter, unit, sphere, _NONE_FINITE))
    tables = {
        "cluster_sizes": _sizes(results),
        "cluster_population": _population(results),
        "cluster_charge": _charges(results),
    }
    return Account(descriptors, tables, _notes(results))


def centre_names(atoms: AtomTable) -> str:
    """The species looked from, for a descriptor's ``species``."""
    return ", ".join(dict.fromkeys(atoms.species[k].name for k in atoms.species_id[atoms.centres]))


def _sizes(results: Sequence[ClusterResult]) -> pd.DataFrame:
    """Size distribution; percolating clusters, whose size grows with the box, are rows of their own."""
    frames = sum(r.n_frames for r in results)
    rows = []
    kinds = sorted({(bool(k[4] > 0), int(k[1] + k[2])) for r in results for k in r.counts})
    for percolating, n in kinds:
        share = []
        total = 0
        for r in results:
            chosen = r.counts[((r.counts[:, 4] > 0) == percolating) & (r.counts[:, 1] + r.counts[:, 2] == n)]
            per_frame = np.bincount(chosen[:, 0], weights=chosen[:, 5], minlength=r.n_frames)
            total += int(chosen[:, 5].sum())
            share.append(per_frame * n / r.n_ions)
        mean = estimate_mean(share)
        rows.append((n, total / frames, *entry(mean), percolating))
    return pd.DataFrame(rows, columns=["n_ions", "clusters_per_frame", "ion_fraction", "error", *DOUBT, "percolating"])


def _population(results: Sequence[ClusterResult]) -> pd.DataFrame:
    kind = [np.column_stack([r.counts[:, 1:3], r.counts[:, 4] > 0]) for r in results]
    rows = [(*map(int, key[:2]), *per_frame, bool(key[2])) for key, per_frame in _per_frame(results, kind)]
    return pd.DataFrame(rows, columns=["n_centres", "n_anions", "per_frame", "error", *DOUBT, "percolating"])


def _charges(results: Sequence[ClusterResult]) -> pd.DataFrame:
    rows = [(int(key[0]), *per_frame) for key, per_frame in _per_frame(results, [r.counts[:, 3:4] for r in results])]
    return pd.DataFrame(rows, columns=["charge_e", "per_frame", "error", *DOUBT])


def _per_frame(
    results: Sequence[ClusterResult], keys: Sequence[np.ndarray]
) -> list[tuple[np.ndarray, tuple[float, float, str, str, float]]]:
    """(key, (clusters per frame, error, doubt)) of every kind of cluster, in the order of the keys.

    Args:
        results: one per replica.
        keys: (len(counts), n) int64 per replica: the kind of each row of its ``counts``.
    """
    kinds, kind = np.unique(np.concatenate(keys), axis=0, return_inverse=True)
    kinds_of = np.split(kind.ravel(), np.cumsum([len(k) for k in keys])[:-1])
    rows = []
    for k, key in enumerate(kinds):
        series = [
            np.bincount(r.counts[w == k, 0], weights=r.counts[w == k, 5], minlength=r.n_frames)
            for r, w in zip(results, kinds_of, strict=True)
        ]
        rows.append((key, entry(estimate_mean(series))))
    return rows


def _notes(results: Sequence[ClusterResult]) -> list[dict[str, str]]:
    notes = []
    frames = sum(r.n_frames for r in results)
    percolating = sum(int((r.rank > 0).sum()) for r in results)
    if percolating:
        rank = max(int(r.rank.max()) for r in results)
        text = (
            f"In {percolating} of {frames} frames a cluster is connected to its own periodic image (in up to {rank} "
            "independent directions). Such a network has no radius and no diameter; it is listed apart and the sizes "
            "below are those of the other clusters."
        )
        notes.append({"topic": "cluster", "text": text})
    oversized = sum(r.oversized for r in results)
    if oversized:
        longest = max(r.longest_A for r in results) / 10
        width = min(r.smallest_width_A for r in results) / 10
        text = (
            f"In {oversized} of {frames} frames a finite cluster is longer than half the box (up to {longest:.1f} nm "
            f"in a box of {width:.1f} nm): its size is limited by the box. Simulate a box of at least "
            f"{math.ceil(2 * longest)} nm."
        )
        notes.append({"topic": "box", "text": text})
    return notes


def _series(found: Findings) -> dict[str, Series]:
    results, name = found.of(Clusters), "cluster_size_weight_average"
    return {name: [r.series[name] for r in results]} if results[0].n_ions > results[0].n_centres else {}


FAMILY = Family(
    account=lambda found: cluster_account(found.of(Clusters), found.setting.atoms),
    folds={Clusters: lambda setting, replica: Clusters(setting.atoms)},
    radius_errors=True,
    series=_series,
)
