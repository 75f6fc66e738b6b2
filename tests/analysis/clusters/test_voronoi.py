"""Volumes of periodic Voronoi cells."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cluster_systems import block
from scipy.spatial import ConvexHull, Voronoi

from lmbmd.analysis.clusters.voronoi import cell_volumes


@pytest.mark.parametrize("box", [np.eye(3) * 20.0, np.array([[20.0, 0, 0], [7.0, 18.0, 0], [-6.0, 9.0, 15.0]])])
@pytest.mark.parametrize("n", [1, 2, 5, 60])
def test_cells_fill_the_box(n, box):
    points = np.random.default_rng(n).uniform(-30, 30, (n, 3))
    volumes = cell_volumes(points, box)
    assert volumes.min() > 0
    assert volumes.sum() == pytest.approx(np.linalg.det(box), rel=1e-9)


def test_cells_that_reach_across_an_empty_box_fill_it_too():
    """All points in a slab of 1 Å: their cells are 10 Å long, far more than the mean spacing of 3 Å."""
    points = np.random.default_rng(1).uniform(0, [20, 20, 1], (300, 3))
    assert cell_volumes(points, np.eye(3) * 20.0).sum() == pytest.approx(8000.0, rel=1e-9)


def test_cells_agree_with_hulls_in_a_block_of_images():
    rng = np.random.default_rng(3)
    box = np.array([[14.0, 0, 0], [3.0, 12.0, 0], [2.0, -4.0, 13.0]])
    points = rng.uniform(0, 1, (20, 3)) @ box
    images = np.array(sorted(itertools.product((-2, -1, 0, 1, 2), repeat=3), key=lambda c: np.abs(c).sum()))
    diagram = Voronoi((points[None] + (images @ box)[:, None]).reshape(-1, 3))
    naive = [ConvexHull(diagram.vertices[diagram.regions[diagram.point_region[i]]]).volume for i in range(20)]
    assert cell_volumes(points, box) == pytest.approx(naive, rel=1e-9)


def test_cells_of_a_lattice_are_equal_and_coinciding_points_share_one():
    lattice = block(4, 4, 4) * 5.0
    assert cell_volumes(lattice, np.eye(3) * 20.0) == pytest.approx(125.0)
    doubled = np.concatenate([lattice, lattice[:1]])
    assert cell_volumes(doubled, np.eye(3) * 20.0)[[0, 1, -1]] == pytest.approx([62.5, 125.0, 62.5])
