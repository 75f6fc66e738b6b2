"""How far the ions without a contact are from each other: solvent-separated, or isolated.

Theory: docs/theory/speciation.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from lmbmd.analysis.clusters.ions import ions_of
from lmbmd.analysis.clusters.voronoi import with_images
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.analysis.shells.coordination import PerFrame
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell


@dataclass(frozen=True, eq=False)
class SeparationResult:
    """Ions without a contact in one replica.

    Attributes:
        labels: whom the counts are about: the anion species, and the empty string for the centres.
        counts: (n_frames, n_labels, 2) ions without a contact that are solvent-separated, and isolated.
    """

    labels: tuple[str, ...]
    counts: np.ndarray


class SecondShell:
    """Fold over the frames of one replica: are ions without a contact solvent-separated or free?

    An anion without any contact is solvent-separated if the nearest centre lies within ``radius_A`` of its mass
    centre, free if not. A primary centre without any anion is solvent-separated if the mass centre of some anion
    lies within that anion's radius. Distances are to the nearest image, in boxes of any shape.

    Args:
        atoms: who the atoms are.
        centre: the primary species.
        radius_A: outer edge of the second shell by anion species, Å.
    """

    def __init__(self, atoms: AtomTable, centre: str, radius_A: Mapping[str, float]) -> None:
        self._atoms, self._ions = atoms, ions_of(atoms)
        self._primary = atoms.species_id[atoms.centres] == atoms.species_index(centre)
        self._molecule = self._ions.molecule[self._ions.n_centres :]
        species = atoms.molecule_species[self._molecule]
        self._species = np.unique(species)
        self._kind = np.searchsorted(self._species, species)
        self._radius = np.array([radius_A[atoms.species[k].name] for k in self._species])
        self._counts = PerFrame()

    def add(self, first: FirstShell) -> None:
        """Add one frame: contacts, and distances from its positions."""
        shell, pairs = first.contacts, first.pairs
        node = self._ions.node[pairs.molecule] - self._ions.n_centres
        paired = np.zeros(len(self._kind), bool)
        paired[node[node >= 0]] = True
        lonely = self._primary.copy()
        lonely[pairs.centre[node >= 0]] = False
        anions = shell.molecule[self._molecule].astype(float)
        centres = shell.centre.astype(float)
        counts = np.zeros((len(self._species) + 1, 2), np.int64)
        separated = np.zeros(lonely.sum(), bool)
        for k, radius in enumerate(self._radius):
            alone = anions[(self._kind == k) & ~paired]
            near = is_near(alone, centres, radius, shell.box)
            counts[k] = near.sum(), (~near).sum()
            separated |= is_near(centres[lonely], anions[self._kind == k], radius, shell.box)
        counts[-1] = separated.sum(), (~separated).sum()
        self._counts.append(counts)

    def result(self) -> SeparationResult:
        return SeparationResult((*(self._atoms.species[k].name for k in self._species), ""), self._counts.result())


def is_near(points_A: np.ndarray, others_A: np.ndarray, radius_A: float, box_A: np.ndarray) -> np.ndarray:
    """Whether some image of some other point lies within ``radius_A`` of each point, in a periodic box of any shape.

    Args:
        points_A, others_A: (n, 3) and (m, 3), wrapped or not.
        radius_A: of any size, Å.
        box_A: (3, 3), lattice vectors as rows.

    Returns:
        (n,) bool.
    """
    if not len(points_A) or not len(others_A):
        return np.zeros(len(points_A), bool)
    cell = Cell(box_A)
    inverse = cell.inverse_per_A
    into_cell = lambda x: x @ inverse - np.floor(x @ inverse)  # noqa: E731
    cloud = with_images(into_cell(others_A), radius_A / cell.widths_A) @ box_A
    distance, _ = cKDTree(cloud).query(into_cell(points_A) @ box_A, distance_upper_bound=radius_A * (1 + 1e-12))
    return distance <= radius_A
