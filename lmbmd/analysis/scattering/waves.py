"""Wave vectors of a periodic cell, and the density modes of groups of atoms on them. Theory: docs/theory/scattering.md.

A box with lattice vectors a₁, a₂, a₃ (rows of A) has the wave vectors k = 2π A⁻¹ n for whole n, and exp(i k·r) is a
product of powers of exp(2πi s₁), exp(2πi s₂), exp(2πi s₃), with s = r A⁻¹ the fractions of the cell.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from lmbmd.data.cell import Cell


class Waves(NamedTuple):
    """Wave vectors of one cell, one of each pair k and −k, without zero.

    Attributes:
        steps: (n, 3) int64, whole numbers n of the reciprocal vectors; (h, k, l) and (h, k, −l) follow one another.
        q_per_A: (n,) |k|.
        bin: (n,) int64, ⌊|k| / width⌋.
    """

    steps: np.ndarray
    q_per_A: np.ndarray
    bin: np.ndarray


def waves(cell: Cell, q_max_per_A: float, width_per_A: float, most: int, rng: np.random.Generator) -> Waves:
    """All wave vectors up to ``q_max_per_A``, of a bin that has more than ``most`` so many of them.

    Those are drawn from all of the bin alike, so they keep every direction of the lattice.

    Args:
        cell: reduced, so that few whole numbers have to be tried.
        width_per_A: of the bins.
        most: pairs of k and −k that are kept of a bin.
    """
    # n = k · a / 2π, so |n| is at most q_max |a| / 2π.
    reach = np.floor(q_max_per_A * np.linalg.norm(cell.vectors_A, axis=1) / (2 * np.pi) + 1e-9).astype(int)
    h, k = np.arange(reach[0] + 1), np.arange(-reach[1], reach[1] + 1)
    l = np.arange(1, 2 * reach[2] + 2) // 2 * np.tile([1, -1], reach[2] + 1)[1:]  # noqa: E741  # 0, 1, −1, 2, −2 …
    steps = np.stack(np.meshgrid(h, k, l, indexing="ij"), axis=-1).reshape(-1, 3)
    half = (steps[:, 0] > 0) | ((steps[:, 0] == 0) & ((steps[:, 1] > 0) | ((steps[:, 1] == 0) & (steps[:, 2] > 0))))
    steps = steps[half]
    q = np.linalg.norm(2 * np.pi * steps @ cell.inverse_per_A.T, axis=1)
    inside = q < q_max_per_A
    steps, q = steps[inside], q[inside]
    bins = (q / width_per_A).astype(np.int64)
    count = np.bincount(bins)
    if count.max(initial=0) > most:
        order = np.lexsort((rng.random(len(q)), bins))
        first = np.cumsum(count) - count
        place = np.arange(len(q)) - first[bins[order]]
        kept = np.sort(order[place < most])
        steps, q, bins = steps[kept], q[kept], bins[kept]
    return Waves(steps, q, bins)


def modes(positions: np.ndarray, cell: Cell, steps: np.ndarray, start: np.ndarray) -> np.ndarray:
    """ρ_g(k) = Σ exp(i k·r) over the atoms of each group, (n_groups, n) complex128.

    The powers are multiplied in double precision and the sums taken in single, over at most ``_RUN`` atoms before they
    are added in double: an error of some 10⁻⁶ √n_atoms.

    Args:
        positions: (n_atoms, 3) Å, those of one group together; in whichever image.
        cell: whose reciprocal vectors ``steps`` count.
        steps: (n, 3) int64, in any order; quickest in that of ``waves``.
        start: (n_groups + 1,) int64, where each group begins.
    """
    fraction = np.asarray(positions, float) @ cell.inverse_per_A
    reach = np.abs(steps).max(axis=0, initial=0)
    x, y, z = (_powers(fraction[:, axis], int(reach[axis])) for axis in range(3))
    out = np.zeros((len(start) - 1, len(steps), 2))
    _sum(x, y, z, steps + np.array([0, reach[1], reach[2]]), start.astype(np.int64), reach[0], out)
    return out[..., 0] + 1j * out[..., 1]


def _powers(fraction: np.ndarray, reach: int) -> np.ndarray:
    """exp(2πi n s) for n from −reach to reach: (2, 2 reach + 1, n_atoms) float32, real and imaginary parts."""
    one = np.exp(2j * np.pi * fraction)
    found = np.empty((2, 2 * reach + 1, len(one)), np.float32)
    power = np.ones(len(one), complex)
    for n in range(reach + 1):
        found[0, reach + n] = found[0, reach - n] = power.real
        found[1, reach + n] = power.imag
        np.negative(found[1, reach + n], out=found[1, reach - n])
        power *= one
    return found


#: Atoms that are summed in single precision at a time.
_RUN = 512


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract"})
def _sum(
    x: np.ndarray,
    y: np.ndarray,
    z: np.ndarray,
    steps: np.ndarray,
    start: np.ndarray,
    middle: int,
    out: np.ndarray,
) -> None:
    """Sums of products of powers; ``steps`` are rows of the tables, but the first, which is counted from ``middle``.

    Sums may be taken in any order, which changes rounding alone: a NaN stays one.
    """
    n, top = x.shape[2], z.shape[1] // 2
    real, imag = np.empty(n, np.float32), np.empty(n, np.float32)
    before_h, before_k, i = -1, -1, 0
    while i < len(steps):
        h, k, l = steps[i]  # noqa: E741
        if h != before_h or k != before_k:
            before_h, before_k = h, k
            xr, xi, yr, yi = x[0, middle + h], x[1, middle + h], y[0, k], y[1, k]
            for j in range(n):
                real[j] = xr[j] * yr[j] - xi[j] * yi[j]
                imag[j] = xr[j] * yi[j] + xi[j] * yr[j]
        # The power for −l is the conjugate of that for l: four sums make both.
        both = i + 1 < len(steps) and steps[i + 1, 0] == h and steps[i + 1, 1] == k and steps[i + 1, 2] == 2 * top - l
        zr, zi = z[0, l], z[1, l]
        for g in range(len(start) - 1):
            first = start[g]
            while first < start[g + 1]:
                last = min(first + _RUN, start[g + 1])
                rr, ii, ri, ir = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
                for j in range(first, last):
                    rr += real[j] * zr[j]
                    ii += imag[j] * zi[j]
                    ri += real[j] * zi[j]
                    ir += imag[j] * zr[j]
                out[g, i, 0] += rr - ii
                out[g, i, 1] += ri + ir
                if both:
                    out[g, i + 1, 0] += rr + ii
                    out[g, i + 1, 1] += ir - ri
                first = last
        i += 2 if both else 1
