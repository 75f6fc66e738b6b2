"""Clusters of ions: how many of which size, charge, shape and extent. Theory: docs/theory/clusters.md."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmbmd.analysis.clusters.ions import IonGraph, Ions, ions_of
from lmbmd.analysis.clusters.kernels import shapes
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell


@dataclass(frozen=True, eq=False)
class ClusterShapes:
    """How the finite clusters of a frame lie in space, by their ions as equal points; Å.

    All arrays have one entry per cluster, NaN where it percolates (a network has no size). A lone ion has
    zero extent; its anisotropy and that of a percolating cluster are NaN.

    Attributes:
        rg_A: radius of gyration, R_g² = (1/n) Σ |x − x̄|².
        longest_A: largest distance between two of its ions.
        asphericity: b / R_g², b = λ₃ − (λ₁ + λ₂)/2 with the gyration tensor's λ₁ ≤ λ₂ ≤ λ₃; 0 sphere, 1 rod.
        anisotropy: κ² = 1 − 3 (λ₁λ₂ + λ₂λ₃ + λ₃λ₁)/(λ₁ + λ₂ + λ₃)²; 0 sphere, 1/4 disc, 1 rod.
    """

    rg_A: np.ndarray
    longest_A: np.ndarray
    asphericity: np.ndarray
    anisotropy: np.ndarray


def cluster_shapes(graph: IonGraph) -> ClusterShapes:
    """Shapes of a frame's clusters.

    References:
        Theodorou, Suter, Macromolecules 18, 1206 (1985), doi:10.1021/ma00148a028.
    """
    # A percolating cluster is given no members; its row is overwritten with NaN below.
    order = np.argsort(graph.label, kind="stable")
    order = order[graph.rank[graph.label[order]] == 0]
    start = np.append(0, np.cumsum(np.where(graph.rank == 0, graph.size, 0)))
    tensor, longest = shapes(order, start, graph.position)
    square = np.trace(tensor, axis1=1, axis2=2)
    asphericity = np.full(len(square), np.nan)
    anisotropy = np.full(len(square), np.nan)
    extended = np.flatnonzero(square > 0)
    low, mid, high = np.linalg.eigvalsh(tensor[extended]).T
    asphericity[extended] = (high - 0.5 * (low + mid)) / square[extended]
    anisotropy[extended] = 1 - 3 * (low * mid + mid * high + high * low) / square[extended] ** 2
    percolates = graph.rank > 0
    return ClusterShapes(
        rg_A=np.where(percolates, np.nan, np.sqrt(square)),
        longest_A=np.where(percolates, np.nan, longest),
        asphericity=asphericity,
        anisotropy=anisotropy,
    )


#: Series that ``Clusters`` keeps, one number per frame: unit and meaning. "Finite" means not percolating; the
#: sizes in space are over finite clusters of two and more ions and are NaN in a frame that has none.
CLUSTER_SERIES = {
    "cluster_size_number_average": ("ions", "ions per cluster, finite and percolating, lone ions included"),
    "cluster_size_weight_average": ("ions", "mean size of the cluster that an ion is in, Σ n²/Σ n"),
    "largest_cluster_fraction": ("1", "share of all ions in the largest cluster"),
    "contacts_per_ion": ("1", "k = 2 E / V over all ions, E centre–anion pairs in contact"),
    "rings_per_ion": ("1", "(E − V + C) / V, C clusters"),
    "percolating_frames": ("1", "share of frames in which a cluster is connected to its own image"),
    "percolating_ion_fraction": ("1", "share of all ions in percolating clusters"),
    "cluster_rg_nm": ("nm", "radius of gyration of the finite cluster that an ion in one is in"),
    "cluster_rg_number_average_nm": ("nm", "radius of gyration, mean over finite clusters"),
    "cluster_longest_pair_nm": ("nm", "longest distance between two ions of the finite cluster an ion is in"),
    "cluster_longest_pair_number_average_nm": ("nm", "longest distance between two ions, mean over finite clusters"),
    "cluster_asphericity": ("1", "b/Rg² of the finite cluster that an ion in one is in"),
    "cluster_anisotropy": ("1", "κ² of the finite cluster that an ion in one is in"),
}


@dataclass(frozen=True, eq=False)
class ClusterResult:
    """Clusters of one replica.

    Attributes:
        n_centres, n_ions: of the box.
        time_ps: (n_frames,).
        series: name (``CLUSTER_SERIES``) → (n_frames,) float64.
        rank: (n_frames,) int64, the largest number of period vectors of any cluster.
        counts: (n_rows, 6) int64, how many clusters of a kind a frame has: frame (0-based), centres, anions,
            charge in e, rank, number of clusters.
        finite: (n_finite, 2) float64, ions and R_g in Å of each finite cluster of ``LEAST_IONS_FOR_SCALING``
            ions and more, and ``finite_frame`` (n_finite,) int64 its frame.
        oversized: frames in which a finite cluster is longer than half the smallest width of the box.
        longest_A: the longest pair of any finite cluster in any frame, Å.
        smallest_width_A: smallest perpendicular width of the box in any frame, Å.
    """

    n_centres: int
    n_ions: int
    time_ps: np.ndarray
    series: dict[str, np.ndarray]
    rank: np.ndarray
    counts: np.ndarray
    finite: np.ndarray
    finite_frame: np.ndarray
    oversized: int
    longest_A: float
    smallest_width_A: float

    @property
    def n_frames(self) -> int:
        return len(self.time_ps)


#: Clusters smaller than this say nothing about how size scales with mass.
LEAST_IONS_FOR_SCALING = 5


class Clusters:
    """Fold over the frames of one replica: cluster sizes, charges, contacts, shapes and percolation.

    Args:
        atoms: who the atoms are.

    Raises:
        ValueError: from ``result`` if no frame was added, from the constructor if there is no ion.
    """

    def __init__(self, atoms: AtomTable) -> None:
        self._ions = ions_of(atoms)
        if not len(self._ions):
            raise ValueError("there are no ions")
        self._time: list[float] = []
        self._rows: list[list[float]] = []
        self._rank: list[int] = []
        self._counts: list[np.ndarray] = []
        self._finite: list[np.ndarray] = []
        self._oversized, self._longest, self._width = 0, 0.0, np.inf

    def add(self, shell: FirstShell) -> None:
        """Add one frame."""
        graph = shell.graph
        shape = cluster_shapes(graph)
        frame = len(self._time)
        self._time.append(shell.contacts.time_ps)
        self._rank.append(int(graph.rank.max()))
        self._counts.append(_count_kinds(graph, self._ions, frame))
        self._rows.append(_frame_row(graph, shape))
        large = np.flatnonzero((graph.rank == 0) & (graph.size >= LEAST_IONS_FOR_SCALING))
        self._finite.append(np.column_stack([np.full(len(large), frame), graph.size[large], shape.rg_A[large]]))
        longest = float(np.nanmax(shape.longest_A, initial=0.0))
        width = Cell(shell.contacts.box).reduced.narrowest_A
        self._oversized += longest > 0.5 * width
        self._longest, self._width = max(self._longest, longest), min(self._width, width)

    def result(self) -> ClusterResult:
        if not self._time:
            raise ValueError("no frame was added")
        rows = np.array(self._rows)
        finite = np.concatenate(self._finite)
        return ClusterResult(
            n_centres=self._ions.n_centres,
            n_ions=len(self._ions),
            time_ps=np.array(self._time),
            series={name: rows[:, i] for i, name in enumerate(CLUSTER_SERIES)},
            rank=np.array(self._rank),
            counts=np.concatenate(self._counts),
            finite=finite[:, 1:],
            finite_frame=finite[:, 0].astype(np.int64),
            oversized=self._oversized,
            longest_A=self._longest,
            smallest_width_A=self._width,
        )


def _count_kinds(graph: IonGraph, ions: Ions, frame: int) -> np.ndarray:
    """Rows of ``ClusterResult.counts`` for one frame."""
    # Charges are small integers: a sum in float64 is exact.
    charge = np.bincount(graph.label, weights=ions.charge, minlength=len(graph.size)).astype(np.int64)
    n = len(ions) + 1
    low, span = charge.min(), charge.max() - charge.min() + 1
    key = ((graph.n_centres * n + graph.size - graph.n_centres) * span + charge - low) * 4 + graph.rank
    kinds, first, count = np.unique(key, return_index=True, return_counts=True)
    anions = graph.size[first] - graph.n_centres[first]
    return np.column_stack(
        [np.full(len(kinds), frame), graph.n_centres[first], anions, charge[first], graph.rank[first], count]
    )


def _frame_row(graph: IonGraph, shape: ClusterShapes) -> list[float]:
    """The numbers of ``CLUSTER_SERIES``, in that order."""
    size, percolates = graph.size, graph.rank > 0
    n_ions, n_clusters, n_edges = size.sum(), len(size), graph.edges.sum()
    some = np.flatnonzero(~percolates & (size >= 2))
    weight = size[some] / size[some].sum() if len(some) else np.empty(0)

    def by_ion(values: np.ndarray) -> float:
        return float(weight @ values[some]) if len(some) else np.nan

    def by_number(values: np.ndarray) -> float:
        return float(values[some].mean()) if len(some) else np.nan

    return [
        n_ions / n_clusters,
        (size * size).sum() / n_ions,
        size.max() / n_ions,
        2 * n_edges / n_ions,
        (n_edges - n_ions + n_clusters) / n_ions,
        float(percolates.any()),
        size[percolates].sum() / n_ions,
        by_ion(shape.rg_A) / 10,
        by_number(shape.rg_A) / 10,
        by_ion(shape.longest_A) / 10,
        by_number(shape.longest_A) / 10,
        by_ion(shape.asphericity),
        by_ion(shape.anisotropy),
    ]
