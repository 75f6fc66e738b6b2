"""Whether anything runs through a ring: such a box can never become the liquid that it stands for."""

from __future__ import annotations

import numpy as np
from rdkit import Chem
from scipy.spatial import cKDTree

from lmbmd.data.bonds import bare_molecule


def rings_of(elements: list[str], bonds: np.ndarray) -> list[tuple[int, ...]]:
    """The smallest rings of a molecule, the atoms of each in the order of the ring."""
    graph = bare_molecule(elements, bonds.tolist())
    return [tuple(ring) for ring in Chem.GetSSSR(graph)]


def threaded(positions: np.ndarray, bonds: np.ndarray, rings: list[np.ndarray], edge_A: float) -> list[tuple[int, int]]:
    """Pairs (ring, bond) of a periodic cube where the bond runs through the ring.

    A ring's area is the fan of triangles from its mean to its bonds, and a bond that shares no atom with it runs
    through it if it crosses one of them.

    Args:
        positions: (n, 3) in Å; molecules may be whole or not, but no bond may be longer than half the edge.
        bonds: (m, 2) atoms.
        rings: the atoms of each, in the order of the ring.
    """
    if not rings or not len(bonds):
        return []
    start = positions[bonds[:, 0]]
    along = positions[bonds[:, 1]] - start
    along -= edge_A * np.round(along / edge_A)
    middles = np.mod(start + along / 2, edge_A)
    middles[middles >= edge_A] = 0.0
    tree, half = cKDTree(middles, boxsize=edge_A), np.linalg.norm(along, axis=1).max() / 2
    found = []
    for number, ring in enumerate(rings):
        corners = positions[ring[0]] + _short(positions[ring] - positions[ring[0]], edge_A)
        centre = corners.mean(0)
        reach = np.linalg.norm(corners - centre, axis=1).max() + half
        for bond in tree.query_ball_point(np.mod(centre, edge_A), min(reach, 0.49 * edge_A)):
            if set(bonds[bond].tolist()) & set(ring.tolist()):
                continue
            a = centre + _short(middles[bond] - centre, edge_A) - along[bond] / 2
            pairs = zip(corners, np.roll(corners, -1, axis=0), strict=True)
            if any(_crosses(a, along[bond], centre, b, c) for b, c in pairs):
                found.append((number, bond))
    return found


def _short(delta: np.ndarray, edge_A: float) -> np.ndarray:
    return delta - edge_A * np.round(delta / edge_A)


def _crosses(a: np.ndarray, along: np.ndarray, p: np.ndarray, q: np.ndarray, r: np.ndarray) -> bool:
    """Whether the segment from ``a`` to ``a + along`` crosses the triangle p, q, r (Möller and Trumbore 1997)."""
    e1, e2 = q - p, r - p
    h = np.cross(along, e2)
    det = e1 @ h
    if abs(det) < 1e-12:  # in the plane
        return False
    s = a - p
    u = (s @ h) / det
    across = np.cross(s, e1)
    v, t = (along @ across) / det, (e2 @ across) / det
    return bool(u >= 0 and v >= 0 and u + v <= 1 and 0 <= t <= 1)
