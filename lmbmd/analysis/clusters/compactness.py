"""What makes a cluster compact, measured on evenly spaced frames: volume, packing, contacts, shape, null models.

A fold that keeps measurements only; thresholds and the verdict are in ``cipa.py``. Theory: docs/theory/cipa.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from lmbmd.analysis.clusters import nulls
from lmbmd.analysis.clusters.components import cluster_shapes
from lmbmd.analysis.clusters.criteria import candidates
from lmbmd.analysis.clusters.ions import IonGraph, Ions, ions_of
from lmbmd.analysis.clusters.kernels import pair_counts
from lmbmd.analysis.clusters.options import BIN_A, NULL_MODELS, REACH_A, CipaThresholds, CompactnessOptions
from lmbmd.analysis.clusters.voronoi import cell_volumes
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell
from lmbmd.numbers.curve import leave_one_out_error

#: Radii of the spheres in which local density is reported, Å.
DENSITY_RADII_A = (6.0, 8.0, 10.0, 15.0)

#: Drawings of the deciding null model go on to this many times ``shuffles`` where a z is within this many of its errors
#: of the threshold.
MOST_DRAWINGS, DECIDED = 20, 3.0

#: Columns of ``CompactnessResult.clusters``: one row per cluster with a centre, per sampled frame.
CLUSTER_COLUMNS = {
    "frame": "sampled frame, 0-based",
    "n_centres": "centres",
    "ions": "ions",
    "rank": "period vectors; > 0 percolates",
    "contacts_per_ion": "k = 2 E / V",
    "diameter_nm": "(6 V/π)^(1/3), V of its ions' Voronoi cells and those of the solvent bound to its centres",
    "bare_diameter_nm": "the same without the solvent",
    "density_nm3": "centres per nm³ of that volume, bound solvent included",
    "bare_density_nm3": "the same without the solvent",
    "solvent_per_centre": "molecules that are no ions bound to its centres, per centre",
    "rg_nm": "radius of gyration",
    "anisotropy": "κ²",
    "density_ratio": "centres round its centres within the density radius, over the box mean",
    "z_labels": "of density_ratio against null model labels",
    "z_pairs": "of density_ratio against null model pairs",
    "z_labels_error": "standard error of z_labels from the drawings",
    "z_pairs_error": "standard error of z_pairs from the drawings",
}


@dataclass(frozen=True, eq=False)
class CompactnessResult:
    """Measurements of one replica on F sampled frames, with S drawings of each of the null models.

    Attributes:
        n_centres: of the box.
        time_ps, volume_A3, width_A: (F,); the width is the smallest perpendicular one.
        pairs: (F, n_bins) int64, centre–centre pairs in bins of ``BIN_A`` from 0 to ``REACH_A``.
        nearest_A: (F, n_centres) distance from each centre to the nearest other centre.
        null_pairs: (F, 2, S, n_bins) int64, in the order of ``options.NULL_MODELS``.
        null_nearest_A: (F, 2, S), means over the centres.
        clusters: one row per cluster that holds a centre, columns ``CLUSTER_COLUMNS``.
    """

    n_centres: int
    time_ps: np.ndarray
    volume_A3: np.ndarray
    width_A: np.ndarray
    pairs: np.ndarray
    nearest_A: np.ndarray
    null_pairs: np.ndarray
    null_nearest_A: np.ndarray
    clusters: pd.DataFrame

    def neighbours(self, radius_A: float) -> tuple[np.ndarray, np.ndarray]:
        """Mean number of other centres within a radius of a centre: (F,) and in the null models (F, 2, S).

        NaN where a sphere of this radius does not fit into the box, or if the radius is NaN.

        Raises:
            ValueError: if the radius is not the end of a bin (``end_of_bin_A``).
        """
        last = 0 if np.isnan(radius_A) else round(radius_A / BIN_A)
        if abs(last * BIN_A - radius_A) > 1e-6:
            raise ValueError(f"{radius_A:.2f} Å is not the end of a bin of {BIN_A:g} Å")
        fits = np.where(_fits(radius_A, self.width_A), 2.0 / max(self.n_centres, 1), np.nan)
        seen = self.pairs[:, :last].sum(axis=-1) * fits
        return seen, self.null_pairs[..., :last].sum(axis=-1) * fits[:, None, None]

    def density_ratio(self, radius_A: float) -> tuple[np.ndarray, np.ndarray]:
        """Local number density within a radius of a centre, over (n − 1)/V: 1 for random points. Shapes as above."""
        ball = 4 / 3 * np.pi * radius_A**3
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = np.where(self.n_centres > 1, (self.n_centres - 1) * ball / self.volume_A3, np.nan)
        seen, null = self.neighbours(radius_A)
        return seen / expected, null / expected[:, None, None]

    def g(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Bin centres in Å, g(r) between centres, and the mean g(r) of each null model (2, n_bins)."""
        edges = np.arange(self.pairs.shape[1] + 1) * BIN_A
        shell = 4 / 3 * np.pi * np.diff(edges**3)
        ideal = (0.5 * self.n_centres * (self.n_centres - 1) / self.volume_A3)[:, None] * shell
        ideal = np.where(edges[1:] <= 0.5 * self.width_A[:, None] + 1e-6, ideal, np.nan)
        r = 0.5 * (edges[1:] + edges[:-1])
        with np.errstate(divide="ignore", invalid="ignore"):
            g = (self.pairs / ideal).mean(axis=0)
            null = (self.null_pairs / ideal[:, None, None]).mean(axis=(0, 2))
        return r, g, null


def end_of_bin_A(radius_A: float) -> float:
    """The end of a bin of the pair histogram that is nearest to a radius: up to there pairs can be counted."""
    return round(radius_A / BIN_A) * BIN_A if np.isfinite(radius_A) else radius_A


def _fits(radius_A: float, width_A: float | np.ndarray) -> bool | np.ndarray:
    """Whether a sphere fits into a box without touching its own image; to rounding."""
    return width_A >= 2 * radius_A - 1e-6


class Compactness:
    """Fold over the frames of one replica that measures at most ``options.frames`` of them.

    Cost per measured frame, linear in molecules but for the pair counts: a Voronoi tessellation of all molecules,
    and 2 ``shuffles`` + 1 pair counts over the centres. Figures: docs/theory/cipa.md.

    Args:
        atoms: who the atoms are.
        n_frames: how many frames will be added.
        options: see ``CompactnessOptions``.
        replica: its number; replicas draw their null models independently.
        thresholds: of the call; where the z of a cluster that meets all else is too near its threshold to tell on which
            side it is, more is drawn.

    Raises:
        ValueError: if there is no centre, or from ``result`` if another number of frames was added.
    """

    def __init__(
        self,
        atoms: AtomTable,
        n_frames: int,
        options: CompactnessOptions | None = None,
        replica: int = 1,
        thresholds: CipaThresholds | None = None,
    ) -> None:
        self._ions, self._n_frames = ions_of(atoms), n_frames
        self._options, self._replica = options or CompactnessOptions(), replica
        self._thresholds = thresholds or CipaThresholds()
        if not self._ions.n_centres:
            raise ValueError("there is no centre")
        sampled = np.linspace(0, n_frames - 1, min(self._options.frames, n_frames))
        self._wanted = set(np.rint(sampled).astype(int).tolist())
        self._seen = 0
        self._frames: list[dict] = []

    def add(self, shell: FirstShell) -> None:
        """Add one frame, with the same shifts in ``shell.moved`` as all others: what does not depend on contacts is
        measured once for all of them.
        """
        if self._seen in self._wanted:
            self._frames.append(_measure(shell, self._options, self._replica, self._thresholds))
        self._seen += 1

    def result(self, shift_A: float = 0.0) -> CompactnessResult:
        """The measurements with the cut-offs as given, or with one of the shifts that were added."""
        if self._seen != self._n_frames:
            raise ValueError(f"{self._seen} frames were added, {self._n_frames} announced")
        stack = lambda key: np.array([f[key] for f in self._frames])  # noqa: E731
        clusters = pd.concat(
            [f["clusters"][shift_A].assign(frame=i) for i, f in enumerate(self._frames)], ignore_index=True
        )
        return CompactnessResult(
            n_centres=self._ions.n_centres,
            time_ps=stack("time_ps"),
            volume_A3=stack("volume_A3"),
            width_A=stack("width_A"),
            pairs=stack("pairs"),
            nearest_A=stack("nearest_A"),
            null_pairs=stack("null_pairs"),
            null_nearest_A=stack("null_nearest_A"),
            clusters=clusters[list(CLUSTER_COLUMNS)],
        )


def _measure(first: FirstShell, options: CompactnessOptions, replica: int, thresholds: CipaThresholds) -> dict:
    shell, atoms, ions = first.contacts, first.atoms, first.ions
    cell = Cell(shell.box).reduced
    box, inverse = cell.vectors_A, cell.inverse_per_A
    # In a rectangular cell the nearest image is found at any distance.
    half = np.inf if cell.is_rectangular else 0.5 * cell.narrowest_A
    # Trailing zeros make no other seed: the first replica draws as if there were no more.
    rng = np.random.default_rng([options.seed, shell.index, replica - 1])

    def count(points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return pair_counts(points, box, inverse, half, REACH_A, BIN_A, options.density_radius_A)

    pairs, neighbours, nearest = count(shell.centre.astype(float))
    anion, offset = nulls.pair_up(shell, atoms, ions)
    moved = {0.0: first, **first.moved}
    # Only groups as large as some cluster are compared with one.
    sizes = np.unique(np.concatenate([shell.graph.n_centres for shell in moved.values()]))
    # Two columns at least: numpy adds a single one in another order, which changes the last digit.
    sizes = np.union1d(np.maximum(sizes, 1), np.arange(1, min(2, ions.n_centres) + 1))

    def draw(model: str) -> tuple[np.ndarray, float, np.ndarray]:
        if model == "labels":
            points = nulls.shuffled_labels(shell, rng)
        else:
            points = nulls.shuffled_pairs(shell, ions, anion, offset, rng)
        found = count(points)
        groups = nulls.neighbourhood_means(points, cell, found[1], options.neighbourhoods, rng)
        return found[0], float(found[2].mean()), groups[:, sizes - 1]

    drawn = {model: [draw(model) for _ in range(options.shuffles)] for model in NULL_MODELS}
    means = {model: np.array([d[2] for d in of_model]) for model, of_model in drawn.items()}
    width = cell.narrowest_A
    volumes = cell_volumes(shell.unit.astype(float), box)
    known = {}
    for shift_A, one in moved.items():
        columns = _clusters(one, volumes)
        columns |= _density(one.graph, ions, neighbours, shell.volume_A3, width, options)
        holds_centre = one.graph.n_centres > 0
        known[shift_A] = {key: column[holds_centre] for key, column in columns.items()}

    deciding = thresholds.null_model
    while len(means[deciding]) < MOST_DRAWINGS * options.shuffles and any(
        _undecided(columns, means[deciding], sizes, thresholds) for columns in known.values()
    ):
        more = np.array([draw(deciding)[2] for _ in range(options.shuffles)])
        means[deciding] = np.concatenate([means[deciding], more])
    clusters = {}
    for shift_A, columns in known.items():
        zs = {model: _z(columns["neighbours"], columns["n_centres"], means[model], sizes) for model in NULL_MODELS}
        columns |= {f"z_{model}": z for model, (z, _) in zs.items()}
        columns |= {f"z_{model}_error": error for model, (_, error) in zs.items()}
        clusters[shift_A] = pd.DataFrame(columns)
    return {
        "time_ps": shell.time_ps,
        "volume_A3": shell.volume_A3,
        "width_A": width,
        "pairs": pairs,
        "nearest_A": nearest,
        "null_pairs": [[d[0] for d in of_model] for of_model in drawn.values()],
        "null_nearest_A": [[d[1] for d in of_model] for of_model in drawn.values()],
        "clusters": clusters,
    }


def compact_clusters(
    first: FirstShell, options: CompactnessOptions, replica: int, thresholds: CipaThresholds
) -> np.ndarray:
    """Which clusters of one frame are compact aggregates, by all criteria, (n_clusters,) bool.

    The drawings are those of ``Compactness`` for the same frame and replica.
    """
    graph = first.graph
    found = np.zeros(len(graph.size), bool)
    if graph.size.max(initial=0) >= thresholds.min_ions:  # else nothing has to be drawn
        packing, size = candidates(_measure(first, options, replica, thresholds)["clusters"][0.0], thresholds)
        found[graph.n_centres > 0] = packing & size
    return found


def _clusters(first: FirstShell, volume: np.ndarray) -> dict[str, np.ndarray]:
    """Size, contacts, volume and shape of every cluster; ``volume`` (n_units,) in Å³."""
    shell, atoms, ions, graph = first.contacts, first.atoms, first.ions, first.graph
    shape = cluster_shapes(graph)
    n_clusters = len(graph.size)
    bare = np.bincount(graph.label, weights=volume[ions.unit], minlength=n_clusters)
    partner = atoms.unit[shell.atom].astype(np.int64)
    other = ions.node[partner] < 0
    # A molecule bound to centres of two clusters belongs to both.
    bound = np.unique(graph.label[shell.row[other]] * atoms.n_units + partner[other])
    owner, molecule = np.divmod(bound, atoms.n_units)
    dressed = bare + np.bincount(owner, weights=volume[molecule], minlength=n_clusters)
    finite = np.where(graph.rank == 0, 1.0, np.nan)
    diameter_nm = lambda v: (6 * v / np.pi) ** (1 / 3) / 10 * finite  # noqa: E731
    density_nm3 = lambda v: 1000 * graph.n_centres / v * finite  # noqa: E731
    with np.errstate(divide="ignore", invalid="ignore"):
        solvent_per_centre = np.bincount(owner, minlength=n_clusters) / graph.n_centres
    return {
        "n_centres": graph.n_centres,
        "ions": graph.size,
        "rank": graph.rank,
        "contacts_per_ion": 2 * graph.edges / graph.size,
        "diameter_nm": diameter_nm(dressed),
        "bare_diameter_nm": diameter_nm(bare),
        "density_nm3": density_nm3(dressed),
        "bare_density_nm3": density_nm3(bare),
        "solvent_per_centre": solvent_per_centre,
        "rg_nm": shape.rg_A / 10,
        "anisotropy": shape.anisotropy,
    }


def _density(
    graph: IonGraph,
    ions: Ions,
    neighbours: np.ndarray,
    volume_A3: float,
    width_A: float,
    options: CompactnessOptions,
) -> dict[str, np.ndarray]:
    """Mean number of neighbours of the centres of each cluster, and their local density over the box's."""
    label = graph.label[: ions.n_centres]
    ball = 4 / 3 * np.pi * options.density_radius_A**3
    fits = 1.0 if _fits(options.density_radius_A, width_A) else np.nan
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = fits * np.bincount(label, weights=neighbours, minlength=len(graph.size)) / graph.n_centres
        return {"neighbours": mean, "density_ratio": mean * volume_A3 / (ball * (ions.n_centres - 1))}


def _z(
    neighbours: np.ndarray, n_centres: np.ndarray, means: np.ndarray, sizes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How far clusters are above neighbourhoods of as many drawn centres, in standard deviations of these.

    Args:
        neighbours, n_centres: (n,) of each cluster.
        means: (D, K, n_sizes) K neighbourhoods of each size in each of D drawings.
        sizes: (n_sizes,) ascending.

    Returns:
        z (n,), and its standard error (n,) by leaving out one drawing at a time: neighbourhoods of one are no
        independent samples.
    """
    column = np.searchsorted(sizes, n_centres)
    groups = means.reshape(-1, len(sizes))
    total, square = means.sum(axis=1), (means**2).sum(axis=1)
    left = len(groups) - means.shape[1]
    mean_left = (total.sum(axis=0) - total) / left
    variance_left = ((square.sum(axis=0) - square) - left * mean_left**2) / (left - 1)
    # Sums are integers: if D drawings agree, a step of one must be rarer than about 1/D.
    unseen = 1 / (sizes * np.sqrt(len(groups)))
    spread = np.maximum(groups.std(axis=0, ddof=1), unseen)
    spread_left = np.maximum(np.sqrt(np.maximum(variance_left, 0.0)), unseen)
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (neighbours - groups.mean(axis=0)[column]) / spread[column]
        z_left = (neighbours - mean_left[:, column]) / spread_left[:, column]
        return z, leave_one_out_error(z_left)


def _undecided(
    columns: dict[str, np.ndarray], means: np.ndarray, sizes: np.ndarray, thresholds: CipaThresholds
) -> bool:
    """Whether a cluster that meets all criteria but that of z might be on either side of it."""
    name = f"z_{thresholds.null_model}"
    packing, _ = candidates(columns, thresholds, leave_out=name)
    if not packing.any():
        return False
    z, error = _z(columns["neighbours"][packing], columns["n_centres"][packing], means, sizes)
    return bool((np.abs(z - thresholds.min_z) < DECIDED * error).any())
