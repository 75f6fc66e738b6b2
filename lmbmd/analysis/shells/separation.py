"""Beyond the first shell: who is in the second, and how far ions without a contact are from each other.

Theory: docs/theory/speciation.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial import cKDTree

from lmbmd.analysis.clusters.ions import ions_of
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.analysis.shells.coordination import PerFrame
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell, with_images


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
        self._molecule = self._ions.unit[self._ions.n_centres :]
        species = atoms.unit_species[self._molecule]
        self._species = np.unique(species)
        self._kind = np.searchsorted(self._species, species)
        self._radius = np.array([radius_A[atoms.species[k].name] for k in self._species])
        self._counts = PerFrame()

    def add(self, first: FirstShell) -> None:
        """Add one frame: contacts, and distances from its positions."""
        shell, pairs = first.contacts, first.pairs
        node = self._ions.node[pairs.unit] - self._ions.n_centres
        paired = np.zeros(len(self._kind), bool)
        paired[node[node >= 0]] = True
        lonely = self._primary.copy()
        lonely[pairs.centre[node >= 0]] = False
        anions = shell.unit[self._molecule].astype(float)
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


class SecondShellMolecules:
    """Fold over the frames of one replica: molecules that are not in the first shell but in the second.

    A molecule counts for a centre if it has no contact with it and its mass centre, or an image of it, lies within the
    radius.
    Molecules in contact are left out one by one, wherever their mass centres are: that of a polymer is far away.

    Args:
        atoms: who the atoms are.
        centre: the primary species.
        radius_A: outer edge of the second shell by species, Å; NaN where there is none.
    """

    def __init__(self, atoms: AtomTable, centre: str, radius_A: Mapping[str, float]) -> None:
        self._primary = atoms.species_id[atoms.centres] == atoms.species_index(centre)
        self._radius = dict(radius_A)
        self._molecules = [np.flatnonzero(atoms.unit_species == atoms.species_index(name)) for name in radius_A]
        self._n_molecules = atoms.n_units
        self._counts: list[list[float]] = []

    def add(self, first: FirstShell) -> None:
        """Add one frame: contacts, and distances from its positions."""
        shell, pairs = first.contacts, first.pairs
        primary = np.flatnonzero(self._primary)
        bound = pairs.centre * self._n_molecules + pairs.unit
        row = []
        for radius, molecules in zip(self._radius.values(), self._molecules, strict=True):
            if np.isnan(radius):
                row.append(np.nan)
                continue
            centre, other = pairs_within(
                shell.centre[primary].astype(float), shell.unit[molecules].astype(float), radius, shell.box
            )
            near = primary[centre] * self._n_molecules + molecules[other]
            row.append(float(np.count_nonzero(~np.isin(near, bound))))
        self._counts.append(row)

    def result(self) -> dict[str, np.ndarray]:
        """Species → (n_frames,) such molecules per centre; NaN without a radius."""
        per_centre = np.array(self._counts, float).reshape(-1, len(self._radius)) / np.count_nonzero(self._primary)
        return dict(zip(self._radius, per_centre.T, strict=True))


def pairs_within(
    points_A: np.ndarray, others_A: np.ndarray, radius_A: float, box_A: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of a point and an other of which some images lie within ``radius_A``, in a periodic box of any shape.

    Args:
        points_A, others_A: (n, 3) and (m, 3), wrapped or not.
        radius_A: of any size, Å.
        box_A: (3, 3), lattice vectors as rows.

    Returns:
        numbers of the points and of the others, one entry per pair.
    """
    if not len(points_A) or not len(others_A):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    cell = Cell(box_A).reduced
    cloud, owner = with_images(_into(cell, others_A), radius_A / cell.widths_A)
    points, images = cKDTree(_into(cell, points_A) @ cell.vectors_A), cKDTree(cloud @ cell.vectors_A)
    found = points.sparse_distance_matrix(images, radius_A, output_type="ndarray")
    pairs = np.unique(found["i"] * len(others_A) + owner[found["j"]])
    return pairs // len(others_A), pairs % len(others_A)


def _into(cell: Cell, points_A: np.ndarray) -> np.ndarray:
    """Fractional coordinates, from 0 to 1."""
    fractional = points_A @ cell.inverse_per_A
    return fractional - np.floor(fractional)


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
    cell = Cell(box_A).reduced
    cloud, _ = with_images(_into(cell, others_A), radius_A / cell.widths_A)
    points = _into(cell, points_A) @ cell.vectors_A
    distance, _ = cKDTree(cloud @ cell.vectors_A).query(points, distance_upper_bound=radius_A * (1 + 1e-12))
    return distance <= radius_A
