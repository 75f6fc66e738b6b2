"""Voronoi cells of a periodic set of points: how much of the box belongs to each molecule."""

from __future__ import annotations

import numpy as np
from scipy.spatial import Voronoi

from lmbmd.data.cell import Cell, with_images


def cell_volumes(points_A: np.ndarray, box_A: np.ndarray) -> np.ndarray:
    """Volume of the Voronoi cell of each point in a periodic box of any shape.

    The box is surrounded by a margin of its own images, wide enough that no missing image could cut a cell:
    a Voronoi vertex at distance ρ from its point is right if every point within 2ρ is there. The margin grows
    until that holds, so the result is exact. V = Σ over faces of (area × distance of the two points) / 6.

    Args:
        points_A: (n, 3), wrapped or not; points that coincide share their cell equally.
        box_A: (3, 3), lattice vectors as rows.

    Returns:
        (n,) Å³; they add up to the volume of the box.
    """
    cell = Cell(box_A)
    fractional = points_A @ cell.inverse_per_A
    fractional -= np.floor(fractional)
    fractional, alike, sharing = np.unique(fractional, axis=0, return_inverse=True, return_counts=True)
    n = len(fractional)
    # Enough for a liquid at the first attempt.
    margin = 2.8 * (cell.volume_A3 / n) ** (1 / 3)
    while True:
        cloud = with_images(fractional, margin / cell.widths_A)[0] @ box_A
        if len(cloud) < 5:  # Qhull needs a simplex
            margin *= 2
            continue
        diagram = Voronoi(cloud)
        needed = _farthest_vertex(diagram, n) * 2
        if needed <= margin:
            return (_volumes(diagram, n) / sharing)[alike]
        margin = min(needed * 1.01, margin * 1.5)


def _farthest_vertex(diagram: Voronoi, n: int) -> float:
    """Largest distance from one of the first ``n`` points to a vertex of its cell; inf if a cell is open."""
    regions = [diagram.regions[r] for r in diagram.point_region[:n]]
    vertex = np.concatenate([np.asarray(r, dtype=np.int64) for r in regions])
    if not len(vertex) or (vertex < 0).any():
        return np.inf
    owner = np.repeat(np.arange(n), [len(r) for r in regions])
    return float(np.linalg.norm(diagram.vertices[vertex] - diagram.points[owner], axis=1).max())


def _volumes(diagram: Voronoi, n: int) -> np.ndarray:
    pairs = diagram.ridge_points
    wanted = np.flatnonzero((pairs < n).any(axis=1))
    corners = [diagram.ridge_vertices[i] for i in wanted]
    count = np.array([len(c) for c in corners])
    flat = diagram.vertices[np.concatenate([np.asarray(c) for c in corners])]
    start = np.append(0, np.cumsum(count)[:-1])
    face = np.repeat(np.arange(len(wanted)), count)
    following = np.arange(len(flat)) + 1
    following[start + count - 1] = start
    # Corners come in order round a face; the fan from the first corner adds up to twice the vector area.
    spoke = flat - flat[start[face]]
    fan = np.cross(spoke, spoke[following])
    area = 0.5 * np.linalg.norm(np.add.reduceat(fan, start), axis=1)
    a, b = pairs[wanted].T
    share = area * np.linalg.norm(diagram.points[a] - diagram.points[b], axis=1) / 6
    volumes = np.zeros(len(diagram.points))
    np.add.at(volumes, a, share)
    np.add.at(volumes, b, share)
    return volumes[:n]
