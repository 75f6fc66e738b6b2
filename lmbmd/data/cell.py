"""The periodic cell of a box: its lattice vectors, widths and volume."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lmbmd.core.units import ANGSTROM_PER_NM

#: (26, 3) steps from a cell to those around it.
NEIGHBOURS = np.array([step for step in itertools.product((-1.0, 0.0, 1.0), repeat=3) if any(step)])


@dataclass(frozen=True, eq=False)
class Cell:
    """A periodic cell of any shape.

    Attributes:
        vectors_A: (3, 3) float64, lattice vectors as rows, Å.
    """

    vectors_A: np.ndarray

    def __post_init__(self) -> None:
        vectors = np.ascontiguousarray(self.vectors_A, dtype=float)
        if vectors.shape != (3, 3):
            raise ValueError(f"a cell has three vectors of three components, not the shape {vectors.shape}")
        object.__setattr__(self, "vectors_A", vectors)

    @classmethod
    def cube(cls, edge_A: float) -> Cell:
        """A cube."""
        return cls(np.diag([edge_A] * 3))

    @classmethod
    def from_nm(cls, vectors_nm: np.ndarray) -> Cell:
        """From the box vectors of OpenMM, (3, 3) in nm."""
        return cls(np.asarray(vectors_nm, dtype=float) * ANGSTROM_PER_NM)

    @property
    def vectors_nm(self) -> np.ndarray:
        """(3, 3) lattice vectors as rows in nm, as OpenMM takes them."""
        return self.vectors_A / ANGSTROM_PER_NM

    @cached_property
    def inverse_per_A(self) -> np.ndarray:
        """(3, 3) float64: positions (n, 3) @ ``inverse_per_A`` are fractions of the lattice vectors.

        Raises:
            numpy.linalg.LinAlgError: if the vectors lie in one plane.
        """
        return np.linalg.inv(self.vectors_A)

    @cached_property
    def widths_A(self) -> np.ndarray:
        """(3,) distances between opposite faces, wᵢ = V / |aⱼ × aₖ|, which is one over the length of column i of the
        inverse; for a rectangular cell its edges. Half the smallest is the radius of the largest sphere that holds no
        point together with its own image. Zero if the vectors lie in one plane.
        """
        if self.volume_A3 == 0.0:
            return np.zeros(3)
        return 1.0 / np.sqrt((self.inverse_per_A**2).sum(axis=0))

    @property
    def narrowest_A(self) -> float:
        """The smallest distance between opposite faces."""
        return float(self.widths_A.min())

    @cached_property
    def reduced(self) -> Cell:
        """The cell of the same lattice whose opposite faces are as far apart as can be; itself if it is that already.

        Its reciprocal vectors are reduced after Minkowski, so the widths, one over their lengths, are the inverse
        successive minima of the reciprocal lattice: they depend on the lattice alone, not on the vectors that describe
        it. Vectors in one plane are left as they are.

        References:
            Semaev, LNCS 2146, 181 (2001), doi:10.1007/3-540-44670-2_13.
        """
        along_axes = not (self.vectors_A - np.diag(np.diag(self.vectors_A))).any()
        if along_axes or self.volume_A3 == 0.0:
            return self
        reciprocal = self.inverse_per_A.T
        change = _minkowski(reciprocal)
        if (change == np.eye(3)).all():
            return self
        # Whole numbers times the vectors as they were: nothing is lost by inverting twice.
        return Cell(np.rint(np.linalg.inv(change).T) @ self.vectors_A)

    @property
    def volume_A3(self) -> float:
        """Volume, |det|; zero for vectors in one plane."""
        return abs(float(np.linalg.det(self.vectors_A)))

    @property
    def is_rectangular(self) -> bool:
        """Whether the vectors lie along x, y and z, to 1e-9 Å."""
        return bool(np.abs(self.vectors_A - np.diag(np.diag(self.vectors_A))).max() <= 1e-9)


def with_images(fractional: np.ndarray, margin: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The points in the cell, then their images within ``margin`` (fractions of a cell) outside it.

    Returns:
        (m, 3) fractional coordinates, and (m,) int64, the point that each is an image of.
    """
    clouds, owners = [fractional], [np.arange(len(fractional))]
    reach = np.ceil(margin).astype(int)
    for cell in np.ndindex(*(2 * reach + 1)):
        shift = np.array(cell) - reach
        if shift.any():
            image = fractional + shift
            inside = np.flatnonzero(((image > -margin) & (image < 1 + margin)).all(axis=1))
            clouds.append(image[inside])
            owners.append(inside)
    return np.concatenate(clouds), np.concatenate(owners)


#: A vector must become shorter by this share to be exchanged: rounding decides nothing.
_SHORTER = 1e-9


def _minkowski(vectors: np.ndarray) -> np.ndarray:
    """(3, 3) whole numbers, determinant ±1, that times ``vectors`` (rows) are the shortest basis of their lattice.

    The longest vector is made shorter by the nearest combination of the two others, which are themselves reduced, until
    no one becomes shorter. The vectors keep their places.
    """
    change, basis = np.eye(3), vectors.copy()
    while True:
        a, b, c = np.argsort((basis**2).sum(axis=1), kind="stable")
        for longer, others in ((b, [a]), (c, [a, b])):
            # The nearest lattice point of the others' plane is among the neighbours of the rounded projection, once
            # they are reduced.
            near = np.rint(np.linalg.lstsq(basis[others].T, basis[longer], rcond=None)[0])
            steps = near + np.stack(np.meshgrid(*[(0, -1, 1)] * len(others), indexing="ij"), -1).reshape(
                -1, len(others)
            )
            length2 = ((basis[longer] - steps @ basis[others]) ** 2).sum(axis=1)
            best = int(np.argmin(length2))
            if length2[best] < (1 - _SHORTER) * (basis[longer] ** 2).sum():
                change[longer] -= steps[best] @ change[others]
                # From the whole numbers, so that errors do not add up.
                basis = change @ vectors
                break
        else:
            return change
