"""Null models: where the centres would be if nothing but chance had put them there.

Each keeps the frame's own molecular centres as the sites to choose from, hence the excluded volume and the
density of the liquid. Theory: docs/theory/cipa.md.
"""

from __future__ import annotations

import math

import numpy as np

from lmbmd.analysis.clusters.ions import Ions
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import NEIGHBOURS, Cell
from lmbmd.data.contacts import FrameContacts

#: Mean distance to the nearest of random (Poisson) points of unit density, Γ(4/3) (4π/3)^(−1/3) = 0.55396.
POISSON_NEAREST = math.gamma(4 / 3) * (4 * math.pi / 3) ** (-1 / 3)


def poisson_nearest_A(number_density_A3: np.ndarray) -> np.ndarray:
    """Mean nearest-neighbour distance of ideal random points, 0.554 n^(−1/3), Å.

    References:
        Hertz, Math. Ann. 67, 387 (1909), doi:10.1007/BF01450410; Chandrasekhar, Rev. Mod. Phys. 15, 1 (1943),
        doi:10.1103/RevModPhys.15.1.
    """
    return POISSON_NEAREST * number_density_A3 ** (-1 / 3)


def pair_up(shell: FrameContacts, atoms: AtomTable, ions: Ions) -> tuple[np.ndarray, np.ndarray]:
    """Match centres to anions in contact, the shortest contact first, each ion once.

    Returns:
        anion: (n_centres,) int64, the molecule matched to each centre, −1 for none.
        offset: (n_centres, 3) float64, from that anion's mass centre to the centre, Å; 0 for none.
    """
    partner = atoms.unit[shell.atom]
    contact = np.flatnonzero(ions.node[partner] >= 0)
    contact = contact[np.argsort(shell.distance[contact], kind="stable")]
    row = shell.row
    anion = np.full(ions.n_centres, -1, np.int64)
    offset = np.zeros((ions.n_centres, 3))
    taken = np.zeros(atoms.n_units, bool)
    for k in contact:
        centre, molecule = row[k], partner[k]
        if anion[centre] < 0 and not taken[molecule]:
            anion[centre], taken[molecule] = molecule, True
            offset[centre] = -shell.edge[k]
    return anion, offset


def shuffled_labels(shell: FrameContacts, rng: np.random.Generator) -> np.ndarray:
    """Null model "labels": centres dealt over the mass centres of all molecules, ions included; (n_centres, 3) Å."""
    sites = rng.permutation(len(shell.unit))[: len(shell.centre)]
    return shell.unit[sites].astype(float)


def shuffled_pairs(
    shell: FrameContacts, ions: Ions, anion: np.ndarray, offset: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Null model "pairs": matched centre–anion pairs move as rigid bodies, unturned; (n_centres, 3) Å.

    The sites are the mass centres of all molecules but the matched centres. A pair puts its anion on its site
    and carries its centre along; an unmatched centre takes a site itself. No two share a site, but carried
    centres may come closer to each other than real ones do.

    Args:
        anion, offset: from ``pair_up``.
    """
    is_site = np.ones(len(shell.unit), bool)
    is_site[ions.unit[: ions.n_centres][anion >= 0]] = False
    sites = rng.permutation(np.flatnonzero(is_site))[: ions.n_centres]
    return shell.unit[sites] + offset


def neighbourhood_means(
    points_A: np.ndarray, cell: Cell, values: np.ndarray, n_seeds: int, rng: np.random.Generator
) -> np.ndarray:
    """Mean of ``values`` over the m points nearest to a random point (itself included), for every m.

    A cluster is a group of neighbours, not a random sample: this is what a group as tight as chance makes it
    would show.

    Args:
        cell: reduced (``Cell.reduced``).

    Returns:
        (n_seeds or n_points if fewer, n_points): column m − 1 holds the means over m points.
    """
    n = len(points_A)
    seeds = rng.permutation(n)[:n_seeds]
    d = (points_A[None] - points_A[seeds][:, None]) @ cell.inverse_per_A
    d = (d - np.rint(d)) @ cell.vectors_A
    square = (d * d).sum(axis=2)
    if not cell.is_rectangular:  # the nearest image of a distant point may be next to the one that rounding finds
        for shift in NEIGHBOURS:
            image = d + shift @ cell.vectors_A
            square = np.minimum(square, (image * image).sum(axis=2))
    order = np.argsort(square, axis=1, kind="stable")
    return np.cumsum(values[order], axis=1) / np.arange(1, n + 1)
