"""Slow, obvious twins of the compiled kernels: plain numpy, every pair, every image."""

from __future__ import annotations

import itertools

import numpy as np

from lmbmd.data.atoms import AtomTable
from lmbmd.data.frames import Frame

# ---- contacts and RDF counts


def whole_molecules(positions: np.ndarray, atoms: AtomTable, box: np.ndarray) -> np.ndarray:
    """Each atom at its image nearest to the atom before it, found by trying 5 × 5 × 5 images of each step."""
    images = np.array(list(itertools.product(range(-2, 3), repeat=3))) @ box
    inverse = np.linalg.inv(box)
    whole = np.array(positions, float)
    for first, last in itertools.pairwise(atoms.first_atom):
        for i in range(first + 1, last):
            step = whole[i] - whole[i - 1]
            candidates = step - np.round(step @ inverse) @ box + images
            whole[i] = whole[i - 1] + candidates[np.argmin((candidates**2).sum(axis=1))]
    return whole


def mass_centres(whole: np.ndarray, atoms: AtomTable) -> np.ndarray:
    return np.array(
        [np.average(whole[a:b], axis=0, weights=atoms.mass_amu[a:b]) for a, b in itertools.pairwise(atoms.first_atom)]
    )


def nearest_images(vectors: np.ndarray, box: np.ndarray) -> np.ndarray:
    """The shortest image of each vector (…, 3), by trying 5 × 5 × 5 of them."""
    images = np.array(list(itertools.product(range(-2, 3), repeat=3))) @ box
    folded = vectors - np.round(vectors @ np.linalg.inv(box)) @ box
    candidates = folded[..., None, :] + images
    best = np.argmin((candidates**2).sum(axis=-1), axis=-1)
    return np.take_along_axis(candidates, best[..., None, None], axis=-2)[..., 0, :]


def contact_rows(frame: Frame, atoms: AtomTable, radius_A: float) -> list[list[tuple[int, float, np.ndarray]]]:
    """For each centre, (atom, distance, edge) of every donor site within the radius, by atom."""
    whole = whole_molecules(frame.positions, atoms, frame.box)
    centre_of = mass_centres(whole, atoms)
    rows = []
    for centre in atoms.centres:
        row = []
        for atom in np.flatnonzero(atoms.site_id >= 0):
            vector = nearest_images(whole[atom] - whole[centre], frame.box)
            distance = np.linalg.norm(vector)
            if distance <= radius_A:
                row.append((int(atom), distance, vector + centre_of[atoms.molecule[atom]] - whole[atom]))
        rows.append(row)
    return rows


def pair_distances(frame: Frame, atoms: AtomTable, centre: str, partner: str) -> np.ndarray:
    """Distances of all pairs of an RDF, a molecule with itself left out.

    ``centre`` is a species (its mass centres); ``partner`` is a site as ``"FSI:O"``, or a species.
    """
    whole = whole_molecules(frame.positions, atoms, frame.box)
    centre_of = mass_centres(whole, atoms)
    from_ = np.flatnonzero(atoms.molecule_species == atoms.species_index(centre))
    if ":" in partner:
        at = np.flatnonzero(atoms.site_id == atoms.sites.index(partner))
        to, molecule = whole[at], atoms.molecule[at]
    else:
        molecule = np.flatnonzero(atoms.molecule_species == atoms.species_index(partner))
        to = centre_of[molecule]
    vectors = nearest_images(to[None] - centre_of[from_][:, None], frame.box)
    return np.linalg.norm(vectors, axis=-1)[from_[:, None] != molecule[None]]


def rdf_counts(
    frame: Frame, atoms: AtomTable, centre: str, partner: str, reach_A: float, bins_per_A: int, n_bins: int
) -> np.ndarray:
    """Pairs in each bin ⌊distance · bins_per_A⌋, up to ``reach_A``."""
    distance = pair_distances(frame, atoms, centre, partner)
    bins = (distance[distance < reach_A] * bins_per_A).astype(int)
    return np.bincount(bins[bins < n_bins], minlength=n_bins)[:n_bins]
