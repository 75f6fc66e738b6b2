"""How fast chains turn: autocorrelation of the vectors between neighbouring units, and of the end-to-end vector.

Correlations are summed while frames pass, over lags of a multiple-tau scheme: memory does not grow with frames.
Theory: docs/theory/chains.md.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from lmbmd.analysis.chains.coordination import chain_kind
from lmbmd.analysis.dynamics.beat import Beat
from lmbmd.analysis.dynamics.lifetimes import N_GROUPS, Correlation
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.data.atoms import AtomTable

#: Lags of a level: 1 … LAGS of its frames, of which each next one takes every second.
LAGS = 16
#: What is followed: (name, Legendre polynomial) of the direction of the vector from unit to unit, and from end to end.
VECTORS = (("unit_vector", 1), ("unit_vector", 2), ("end_to_end", 1))


class MultipleTau:
    """Sums of P₁ and P₂ of the angle that vectors turn by, for lags spaced by powers of two.

    Level ℓ sees every 2^ℓ-th frame and keeps the last ``LAGS`` of them; nothing is averaged, so that every product is
    of two directions as they were. Of levels above the first the lags up to LAGS/2 are those of the level below.

    Args:
        group: (n_vectors,) int64, the group that each vector is summed into.
        n_groups: how many there are.

    References:
        Magatti and Ferri, Appl. Opt. 40, 4011 (2001), doi:10.1364/AO.40.004011; Ramírez, Sukumaran, Vorselaars and
        Likhtman, J. Chem. Phys. 133, 154103 (2010), doi:10.1063/1.3491098.
    """

    def __init__(self, group: np.ndarray, n_groups: int) -> None:
        self._group, self._n_groups, self._n = group, n_groups, 0
        self._kept: list[np.ndarray] = []
        self._sums: list[np.ndarray] = []
        self._counts: list[np.ndarray] = []

    def add(self, direction: np.ndarray) -> None:
        """Add the next frame: (n_vectors, 3) float32, of length one."""
        level, number = 0, self._n
        while True:
            if level == len(self._kept):
                self._kept.append(np.empty((LAGS + 1, *direction.shape), np.float32))
                if level:  # its first frame is that of the level below, which still has it
                    self._kept[level][0] = self._kept[level - 1][0]
                self._sums.append(np.zeros((2, self._n_groups, LAGS + 1)))
                self._counts.append(np.zeros(LAGS + 1, np.int64))
            place, least = number % (LAGS + 1), 0 if level == 0 else LAGS // 2 + 1
            self._kept[level][place] = direction
            most = min(number, LAGS)
            turn(self._kept[level], place, least, most, self._group, self._sums[level])
            self._counts[level][least : most + 1] += 1
            if number == 0 or number % 2:
                break
            level, number = level + 1, number // 2
        self._n += 1

    def result(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Lags in frames (n_lags,), sums (2, n_groups, n_lags) of P₁ and P₂, and origins (n_lags,) of each vector."""
        lag = np.concatenate([np.arange(LAGS + 1) << level for level in range(len(self._counts))])
        sums, count = np.concatenate(self._sums, axis=2), np.concatenate(self._counts)
        seen = np.flatnonzero(count)
        return lag[seen], sums[:, :, seen], count[seen]


@njit(cache=True)
def turn(kept: np.ndarray, place: int, least: int, most: int, group: np.ndarray, sums: np.ndarray) -> None:
    """Add P₁ and P₂ of the angles between the vectors at ``place`` and those 0 … ``most`` entries before.

    Args:
        kept: (n_kept, n_vectors, 3) float32, a ring.
        place: of the latest.
        least, most: lags.
        group: (n_vectors,).
        sums: (2, n_groups, n_lags), added to.
    """
    for lag in range(least, most + 1):
        before = (place - lag) % len(kept)
        for v in range(len(group)):
            cosine = 0.0
            for k in range(3):
                cosine += kept[place, v, k] * kept[before, v, k]
            sums[0, group[v], lag] += cosine
            sums[1, group[v], lag] += 1.5 * cosine * cosine - 0.5


class Relaxation:
    """Fold over the frames of one run: directions from unit to unit and from end to end, and how they are forgotten.

    Chains are dealt over groups, of which the jackknife leaves out each in turn; where there are fewer chains than
    groups, each is one.

    Args:
        atoms: who the atoms are; without chains nothing is followed.
    """

    def __init__(self, atoms: AtomTable) -> None:
        self._chains = atoms.chains
        kind = chain_kind(atoms)[atoms.first_unit[atoms.chain_molecules]]
        ends = atoms.first_unit[atoms.chain_molecules[:, None] + [0, 1]].astype(np.int64)
        self._beat = Beat()
        self._bonds: list[np.ndarray] = []
        self._ends: list[np.ndarray] = []
        self._found: list[tuple[MultipleTau, MultipleTau]] = []
        self._vectors: list[tuple[np.ndarray, np.ndarray]] = []
        for k in range(len(self._chains)):
            mine = ends[kind == k]
            mine = mine[np.diff(mine, axis=1)[:, 0] > 1]
            group = np.arange(len(mine)) % N_GROUPS
            size = np.diff(mine, axis=1)[:, 0] - 1
            n_groups = max(min(len(mine), N_GROUPS), 1)
            self._bonds.append(np.concatenate([np.arange(a, b - 1) for a, b in mine] or [np.empty(0, np.int64)]))
            self._ends.append(mine)
            of_bonds = np.repeat(group, size)
            self._vectors.append((np.bincount(of_bonds, minlength=n_groups), np.bincount(group, minlength=n_groups)))
            self._found.append((MultipleTau(of_bonds, n_groups), MultipleTau(group, n_groups)))

    def add(self, shell: FirstShell) -> None:
        """Add the next frame; one that does not follow at the interval of those before it ends the counting."""
        frame = shell.contacts
        if not self._chains or not self._beat.take(frame):
            return
        for bonds, ends, (of_units, of_chains) in zip(self._bonds, self._ends, self._found, strict=True):
            of_units.add(_directions(frame.unit[bonds + 1] - frame.unit[bonds]))
            of_chains.add(_directions(frame.unit[ends[:, 1] - 1] - frame.unit[ends[:, 0]]))

    def result(self) -> tuple[float, int, tuple[Correlation, ...]]:
        """Interval in ps, number of frames, and the correlations of each kind of chain in the order of ``VECTORS``.

        Raises:
            LmbmdError: if a frame did not follow at the interval of those before it.
        """
        if self._beat.fault:
            raise self._beat.fault
        found = []
        for name, taus, numbers in zip(self._chains, self._found, self._vectors, strict=True):
            for vector, order in VECTORS:
                which = int(vector == "end_to_end")
                lag, sums, count = taus[which].result()
                origins = np.outer(numbers[which], count).astype(float)
                # The number of vectors stands for the events on which the error rests: each turns by itself.
                events = int(numbers[which].sum())
                of = "", name, vector, f"P{order}", 0.0, lag, sums[order - 1], origins, 0.0, events
                found.append(Correlation(*of))
        return self._beat.interval_ps, self._beat.n_frames, tuple(found)


def _directions(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length one; a vector of no length stays one."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / np.where(length > 0, length, 1.0)).astype(np.float32)
