"""One configuration of a trajectory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmbmd.data.cell import Cell


@dataclass(frozen=True, eq=False)
class Frame:
    """One configuration: positions (n, 3) float32 in Å, box (3, 3) float64 with lattice vectors as rows in Å."""

    index: int
    time_ps: float
    positions: np.ndarray
    box: np.ndarray

    @property
    def volume_A3(self) -> float:
        return Cell(self.box).volume_A3
