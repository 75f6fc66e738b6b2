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
