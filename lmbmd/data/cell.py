"""The periodic cell of a box: its lattice vectors, widths and volume."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lmbmd.core.units import ANGSTROM_PER_NM


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

    @property
    def volume_A3(self) -> float:
        """Volume, |det|; zero for vectors in one plane."""
        return abs(float(np.linalg.det(self.vectors_A)))

    @property
    def is_rectangular(self) -> bool:
        """Whether the vectors lie along x, y and z, to 1e-9 Å."""
        return bool(np.abs(self.vectors_A - np.diag(np.diag(self.vectors_A))).max() <= 1e-9)
