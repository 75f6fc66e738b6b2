"""Compiled loops over the ion graph: components with lattice images, and pair counts of a point set."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True)
def connect(
    n_nodes: int, source: np.ndarray, target: np.ndarray, step: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Connected components of a periodic graph, by union–find that carries integer lattice images.

    An edge says that ``target`` lies ``step`` cells away from ``source``: image(target) = image(source) + step.
    An edge that closes a walk must agree with the images already given; if it does not, the difference is a
    period vector of the component, which then is connected to its own periodic image.

    Args:
        n_nodes: number of nodes.
        source, target: (n_edges,) int64 node numbers; repeated edges with other steps are other walks.
        step: (n_edges, 3) int64.

    Returns:
        label: (n_nodes,) int64, components numbered in order of their first node.
        image: (n_nodes, 3) int64, the cell of each node relative to the first node of its component, along
            one spanning tree; independent of the tree where ``rank`` is 0.
        rank: (n_components,) int64, number of independent period vectors, 0–3.
    """
    parent = np.arange(n_nodes)
    offset = np.zeros((n_nodes, 3), np.int64)  # image relative to the parent
    for e in range(len(source)):
        a, ax, ay, az = _find(parent, offset, source[e])
        b, bx, by, bz = _find(parent, offset, target[e])
        if a != b:
            dx, dy, dz = ax + step[e, 0] - bx, ay + step[e, 1] - by, az + step[e, 2] - bz
            # The smaller number becomes the root, so that roots are the first nodes of their components.
            if a < b:
                parent[b] = a
                offset[b, 0], offset[b, 1], offset[b, 2] = dx, dy, dz
            else:
                parent[a] = b
                offset[a, 0], offset[a, 1], offset[a, 2] = -dx, -dy, -dz

    label = np.empty(n_nodes, np.int64)
    image = np.empty((n_nodes, 3), np.int64)
    n_components = 0
    for node in range(n_nodes):
        root, x, y, z = _find(parent, offset, node)
        image[node, 0], image[node, 1], image[node, 2] = x, y, z
        if root == node:
            label[node] = n_components
            n_components += 1
        else:
            label[node] = label[root]

    rank = np.zeros(n_components, np.int64)
    period = np.zeros((n_components, 3), np.int64)  # the first period vector, then the normal of the first two
    for e in range(len(source)):
        a, b = source[e], target[e]
        c = label[a]
        x = image[a, 0] + step[e, 0] - image[b, 0]
        y = image[a, 1] + step[e, 1] - image[b, 1]
        z = image[a, 2] + step[e, 2] - image[b, 2]
        if rank[c] == 3 or (x == 0 and y == 0 and z == 0):
            continue
        px, py, pz = period[c, 0], period[c, 1], period[c, 2]
        if rank[c] == 0:
            rank[c] = 1
            period[c, 0], period[c, 1], period[c, 2] = x, y, z
        elif rank[c] == 1:
            nx, ny, nz = py * z - pz * y, pz * x - px * z, px * y - py * x
            if nx != 0 or ny != 0 or nz != 0:
                rank[c] = 2
                period[c, 0], period[c, 1], period[c, 2] = nx, ny, nz
        elif px * x + py * y + pz * z != 0:
            rank[c] = 3
    return label, image, rank


@njit(cache=True)
def _find(parent: np.ndarray, offset: np.ndarray, node: int) -> tuple[int, int, int, int]:
    """Root of ``node`` and the image of ``node`` relative to it; halves the path on the way."""
    x = y = z = 0
    while parent[node] != node:
        up = parent[node]
        if parent[up] != up:
            offset[node, 0] += offset[up, 0]
            offset[node, 1] += offset[up, 1]
            offset[node, 2] += offset[up, 2]
            parent[node] = parent[up]
        x += offset[node, 0]
        y += offset[node, 1]
        z += offset[node, 2]
        node = parent[node]
    return node, x, y, z


@njit(cache=True)
def shapes(order: np.ndarray, start: np.ndarray, position: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gyration tensor and longest pair of groups of points.

    Args:
        order: point numbers, group after group.
        start: (n_groups + 1,) where each group begins in ``order``.
        position: (n_points, 3), Å.

    Returns:
        tensor: (n_groups, 3, 3), the mean of (x − x̄)(x − x̄)ᵀ over the points, Å².
        longest: (n_groups,), the largest distance between two points, Å; 0 for one point.
    """
    n = len(start) - 1
    tensor = np.zeros((n, 3, 3))
    longest = np.zeros(n)
    for g in range(n):
        first, last = start[g], start[g + 1]
        count = last - first
        if count < 2:
            continue
        mean = np.zeros(3)
        for i in range(first, last):
            for k in range(3):
                mean[k] += position[order[i], k]
        mean /= count
        square = 0.0
        for i in range(first, last):
            p = order[i]
            x, y, z = position[p, 0] - mean[0], position[p, 1] - mean[1], position[p, 2] - mean[2]
            tensor[g, 0, 0] += x * x
            tensor[g, 1, 1] += y * y
            tensor[g, 2, 2] += z * z
            tensor[g, 0, 1] += x * y
            tensor[g, 0, 2] += x * z
            tensor[g, 1, 2] += y * z
            for j in range(i + 1, last):
                q = order[j]
                dx = position[p, 0] - position[q, 0]
                dy = position[p, 1] - position[q, 1]
                dz = position[p, 2] - position[q, 2]
                square = max(square, dx * dx + dy * dy + dz * dz)
        tensor[g, 1, 0], tensor[g, 2, 0], tensor[g, 2, 1] = tensor[g, 0, 1], tensor[g, 0, 2], tensor[g, 1, 2]
        tensor[g] /= count
        longest[g] = np.sqrt(square)
    return tensor, longest


@njit(cache=True)
def pair_counts(
    points: np.ndarray,
    box: np.ndarray,
    inverse: np.ndarray,
    half_width: float,
    reach_A: float,
    bin_A: float,
    radius_A: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All pairs of a periodic point set, by minimum image.

    Exact for distances below half the smallest perpendicular width of the cell, whatever its shape: there
    every fractional component of the shortest image is below one half. The nearest point of all is exact
    at any distance: one that seems to be further off is looked for among the images around as well.

    Args:
        points: (n, 3) Å. box: rows are lattice vectors, Å; inverse: its inverse. The cell is a reduced one.
        half_width: half the smallest perpendicular width, Å; infinite for a rectangular cell.
        reach_A, bin_A: extent and bin of the histogram.
        radius_A: neighbours of each point are counted within this.

    Returns:
        pairs: (n_bins,) int64, unordered pairs in each bin.
        neighbours: (n,) int64, other points within ``radius_A``.
        nearest: (n,) distance to the nearest other point, Å; inf for a lone point.
    """
    n = len(points)
    pairs = np.zeros(int(np.rint(reach_A / bin_A)), np.int64)
    neighbours = np.zeros(n, np.int64)
    nearest = np.full(n, np.inf)
    fractional = points @ inverse
    for i in range(n):
        for j in range(i + 1, n):
            a = fractional[j, 0] - fractional[i, 0]
            b = fractional[j, 1] - fractional[i, 1]
            c = fractional[j, 2] - fractional[i, 2]
            a -= np.rint(a)
            b -= np.rint(b)
            c -= np.rint(c)
            x = a * box[0, 0] + b * box[1, 0] + c * box[2, 0]
            y = a * box[0, 1] + b * box[1, 1] + c * box[2, 1]
            z = a * box[0, 2] + b * box[1, 2] + c * box[2, 2]
            r = np.sqrt(x * x + y * y + z * z)
            nearest[i] = min(nearest[i], r)
            nearest[j] = min(nearest[j], r)
            if r <= radius_A:
                neighbours[i] += 1
                neighbours[j] += 1
            k = int(r / bin_A)
            if k < len(pairs):
                pairs[k] += 1
    for i in range(n):
        if n > 1 and nearest[i] >= half_width:
            nearest[i] = _nearest_image(fractional, i, box)
    return pairs, neighbours, nearest


@njit(cache=True)
def _nearest_image(fractional: np.ndarray, i: int, box: np.ndarray) -> float:
    """Distance from point ``i`` to the nearest image of another point, tried in all cells around."""
    best = np.inf
    for j in range(len(fractional)):
        if j == i:
            continue
        a = fractional[j, 0] - fractional[i, 0]
        b = fractional[j, 1] - fractional[i, 1]
        c = fractional[j, 2] - fractional[i, 2]
        for u in range(-1, 2):
            for v in range(-1, 2):
                for w in range(-1, 2):
                    e, f, g = a - np.rint(a) + u, b - np.rint(b) + v, c - np.rint(c) + w
                    x = e * box[0, 0] + f * box[1, 0] + g * box[2, 0]
                    y = e * box[0, 1] + f * box[1, 1] + g * box[2, 1]
                    z = e * box[0, 2] + f * box[1, 2] + g * box[2, 2]
                    best = min(best, np.sqrt(x * x + y * y + z * z))
    return best
