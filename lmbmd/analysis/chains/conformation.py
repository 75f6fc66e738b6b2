"""Shapes of chains: end-to-end distance, radius of gyration, how the direction of a chain persists along it.

Everything is told by the mass centres of units, which lie along the chain in every frame, however many boxes it is
long. Theory: docs/theory/chains.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from lmbmd.analysis.chains.coordination import chain_kind
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.data.atoms import AtomTable

#: Distances along a chain, in units, up to which its stretches and directions are followed.
MOST_APART = 60


@dataclass(frozen=True, eq=False)
class ShapeResult:
    """Shapes of the chains of one kind in one replica, as sums over chains, frame by frame.

    Attributes:
        chain: name.
        n_units: (n_chains,) int64, length of each chain; chains of one unit have no shape but a radius.
        end_square_A2: (n_frames,) Σ |r_N − r_1|² over chains of two units or more.
        gyration_square_A2: (n_frames,) Σ R_g² over all chains, of all their atoms, weighted by mass.
        bond_square_A2: (n_frames,) Σ |b|² over all bond vectors b_i = r_(i+1) − r_i.
        projection_A: (n_frames, m) Σ b̂_i · b_(i+s) over all pairs of bonds s apart, s = 0 … m − 1.
        stretch_square_A2: (n_frames, m) Σ |r_(i+s+1) − r_i|² over all pairs of units s + 1 apart.
        n_pairs: (m,) such pairs in each frame; the same for both.
    """

    chain: str
    n_units: np.ndarray
    end_square_A2: np.ndarray
    gyration_square_A2: np.ndarray
    bond_square_A2: np.ndarray
    projection_A: np.ndarray
    stretch_square_A2: np.ndarray
    n_pairs: np.ndarray

    @property
    def n_chains(self) -> int:
        return len(self.n_units)


class Shapes:
    """Fold over the frames of one replica: sums over chains of what describes their shapes.

    Args:
        atoms: who the atoms are; without chains nothing is summed.
    """

    def __init__(self, atoms: AtomTable) -> None:
        first = atoms.first_unit
        kind = chain_kind(atoms)[first[atoms.chain_molecules]]
        self._atoms = atoms
        self._mass = np.add.reduceat(atoms.mass_amu.astype(float), atoms.first_atom_of_unit[:-1])
        self._which = [np.flatnonzero(kind == k) for k in range(len(atoms.chains))]
        ends = first[atoms.chain_molecules[:, None] + [0, 1]].astype(np.int64)
        self._ends = [ends[which] for which in self._which]
        self._apart = [int(min(max(np.diff(ends).max() - 1, 1), MOST_APART)) for ends in self._ends]
        self._found: list[list[np.ndarray]] = [[] for _ in atoms.chains]

    def add(self, shell: FirstShell) -> None:
        """Add one frame."""
        frame = shell.contacts
        for k, ends in enumerate(self._ends):
            sums = np.zeros(3 + 2 * self._apart[k])
            shapes(frame.unit, self._mass, ends, frame.spread[self._which[k]], self._apart[k], sums)
            self._found[k].append(sums)

    def result(self) -> tuple[ShapeResult, ...]:
        """One for each kind of chain, of the frames added so far (at least one)."""
        results = []
        for k, name in enumerate(self._atoms.chains):
            sums, apart = np.array(self._found[k]), self._apart[k]
            n_units = np.diff(self._ends[k])[:, 0]
            pairs = np.maximum(n_units[:, None] - 1 - np.arange(apart), 0).sum(axis=0)
            end, gyration, bond, projection, stretch = np.split(sums, [1, 2, 3, 3 + apart], axis=1)
            of_frames = end[:, 0], gyration[:, 0], bond[:, 0], projection, stretch
            results.append(ShapeResult(name, n_units, *of_frames, pairs))
        return tuple(results)


@njit(cache=True)
def shapes(
    unit: np.ndarray, mass: np.ndarray, ends: np.ndarray, spread: np.ndarray, apart: int, sums: np.ndarray
) -> None:
    """Add up what describes the shapes of chains in one frame.

    Args:
        unit: (n_units, 3) float32 Å, mass centres, along each chain as it lies.
        mass: (n_units,) amu.
        ends: (n_chains, 2) int64, first unit of each chain and first unit after it.
        spread: (n_chains,) Å², mean square distance of atoms from the centres of their units.
        apart: m of ``ShapeResult``.
        sums: (3 + 2 m,) in the order of ``ShapeResult``, added to.
    """
    for c in range(len(ends)):
        first, last = ends[c, 0], ends[c, 1]
        x0, y0, z0 = float(unit[first, 0]), float(unit[first, 1]), float(unit[first, 2])
        total = sx = sy = sz = square = 0.0
        for u in range(first, last):
            x, y, z = unit[u, 0] - x0, unit[u, 1] - y0, unit[u, 2] - z0
            total += mass[u]
            sx += mass[u] * x
            sy += mass[u] * y
            sz += mass[u] * z
            square += mass[u] * (x * x + y * y + z * z)
        sums[1] += square / total - (sx * sx + sy * sy + sz * sz) / (total * total) + spread[c]
        end = last - 1
        for k in range(3):
            d = float(unit[end, k]) - float(unit[first, k])
            sums[0] += d * d
        for i in range(first, end):
            bx = float(unit[i + 1, 0]) - float(unit[i, 0])
            by = float(unit[i + 1, 1]) - float(unit[i, 1])
            bz = float(unit[i + 1, 2]) - float(unit[i, 2])
            length = np.sqrt(bx * bx + by * by + bz * bz)
            sums[2] += length * length
            for s in range(min(apart, end - i)):
                j = i + s
                dot = (
                    bx * (float(unit[j + 1, 0]) - float(unit[j, 0]))
                    + by * (float(unit[j + 1, 1]) - float(unit[j, 1]))
                    + bz * (float(unit[j + 1, 2]) - float(unit[j, 2]))
                )
                sums[3 + s] += dot / length if length > 0.0 else 0.0
                far = 0.0
                for k in range(3):
                    d = float(unit[j + 1, k]) - float(unit[i, k])
                    far += d * d
                sums[3 + apart + s] += far
