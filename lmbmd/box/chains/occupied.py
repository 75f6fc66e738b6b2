"""Which places of a periodic cube are taken: distances to all atoms that are there, as they come and go."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

#: So many atoms are looked at one by one before they are sorted into a tree.
_LOOSE = 600


class Occupied:
    """Atoms in a periodic cube. Those that are ``settled`` stay; the last ones may be taken back."""

    def __init__(self, edge_A: float) -> None:
        self.edge_A = edge_A
        self._tree: cKDTree | None = None
        self._settled = np.empty((0, 3))
        self._loose = np.empty((0, 3))

    def settle(self, positions: np.ndarray) -> None:
        """Add atoms (n, 3) for good."""
        self._loose = np.concatenate([self._loose, positions])
        if len(self._loose) > _LOOSE:
            self._settled = np.concatenate([self._settled, self._loose])
            self._loose = np.empty((0, 3))
            self._tree = cKDTree(self._wrapped(self._settled), boxsize=self.edge_A)

    def around(self, centre: np.ndarray, radius_A: float) -> np.ndarray:
        """Settled atoms nearer than a radius to a point, (m, 3)."""
        found = self._loose[squares(centre[None], self._loose, self.edge_A)[0] < radius_A**2]
        if self._tree is None:
            return found
        radius_A = min(radius_A, 0.49 * self.edge_A)
        return np.concatenate([found, self._settled[self._tree.query_ball_point(self._wrapped(centre), radius_A)]])

    def nearest(self, trials: np.ndarray) -> np.ndarray:
        """For trials (k, n, 3) the distance from any of the atoms to the nearest settled one, (k,)."""
        found = np.full(len(trials), np.inf)
        if self._tree is not None:
            distance, _ = self._tree.query(self._wrapped(trials.reshape(-1, 3)))
            found = distance.reshape(trials.shape[:2]).min(1)
        if len(self._loose):
            found = np.minimum(found, np.sqrt(squares(trials, self._loose, self.edge_A).min((1, 2))))
        return found

    def _wrapped(self, positions: np.ndarray) -> np.ndarray:
        inside = np.mod(positions, self.edge_A)
        return np.where(inside >= self.edge_A, 0.0, inside)  # a remainder may round up to the edge


def squares(one: np.ndarray, other: np.ndarray, edge_A: float) -> np.ndarray:
    """Squares of the periodic distances between positions (…, n, 3) and (m, 3): (…, n, m)."""
    delta = one[..., :, None, :] - other
    delta -= edge_A * np.round(delta / edge_A)
    return np.einsum("...k,...k->...", delta, delta)
