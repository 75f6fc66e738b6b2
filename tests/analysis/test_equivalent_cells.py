"""Numbers depend on the lattice, not on the vectors that describe it nor on where molecules were wrapped to."""

from __future__ import annotations

import boxes
import numpy as np
import pytest
import systems
from cluster_systems import bead_table

from lmbmd.analysis.clusters.compactness import Compactness
from lmbmd.analysis.clusters.components import Clusters
from lmbmd.analysis.clusters.voronoi import cell_volumes
from lmbmd.analysis.scan.contacts import find_contacts
from lmbmd.analysis.scan.options import ContactOptions
from lmbmd.analysis.shells.separation import is_near
from lmbmd.data.frames import Frame

TRICLINIC = np.array([[34.0, 0, 0], [11.0, 33.0, 0], [-9.0, 12.0, 35.0]])
#: The lattice of a truncated octahedron, where several sets of vectors are equally short.
OCTAHEDRON = 20 * np.array([[-1.0, 1, 1], [1, -1, 1], [1, 1, -1]])
LATTICES = pytest.mark.parametrize("box", [TRICLINIC, OCTAHEDRON], ids=["triclinic", "octahedron"])


def equivalent(box, seed):
    """Other vectors of the same lattice, by a random change of basis with determinant ±1."""
    rng = np.random.default_rng(seed)
    change = np.eye(3)[rng.permutation(3)]
    for _ in range(1 + seed):
        i, j = rng.permutation(3)[:2]
        change[i] += rng.choice([-2, -1, 1, 2]) * change[j]
    return change @ box


def wrapped(points, box):
    return (points - np.floor(points @ np.linalg.inv(box)) @ box).astype(np.float32)


def measured(atoms, points, box):
    frame = Frame(0, 0.0, wrapped(points, box), box)
    contacts, rdf = find_contacts([frame], atoms, ContactOptions())
    shell = systems.first(atoms, contacts.frames[0], {})
    clusters, compactness = Clusters(atoms), Compactness(atoms, 1)
    clusters.add(shell)
    compactness.add(shell)
    return contacts.frames[0], rdf, clusters.result(), compactness.result()


@LATTICES
@pytest.mark.parametrize("seed", range(6))
def test_clusters_and_their_compactness_are_those_of_the_lattice(box, seed):
    atoms = bead_table(60, 60, 150)
    points = np.random.default_rng(7).uniform(0, 1, (len(atoms), 3)) @ box
    _, rdf, clusters, compact = measured(atoms, points, box)
    _, rdf_2, clusters_2, compact_2 = measured(atoms, points, equivalent(box, seed))
    assert rdf_2.reach_A == pytest.approx(rdf.reach_A)
    assert clusters_2.smallest_width_A == pytest.approx(clusters.smallest_width_A)
    for name, series in clusters.series.items():
        assert clusters_2.series[name] == pytest.approx(series, rel=1e-4, nan_ok=True), name
    for radius in (6.0, 8.0, 10.0, 15.0):
        for one, two in zip(compact.density_ratio(radius), compact_2.density_ratio(radius), strict=True):
            np.testing.assert_allclose(two, one, rtol=0.01)
    assert np.isfinite(compact.density_ratio(8.0)[0]).all()
    np.testing.assert_allclose(compact_2.nearest_A, compact.nearest_A, rtol=1e-4)
    np.testing.assert_allclose(
        compact_2.clusters.to_numpy(float), compact.clusters.to_numpy(float), rtol=0.02, atol=0.02
    )


@LATTICES
def test_a_nearest_centre_further_off_than_half_the_width_is_found(box):
    atoms = bead_table(2, 2)
    points = np.array([[0.0, 0, 0], [0.5, 0.5, 0.0], [0.1, 0.1, 0.1], [0.6, 0.6, 0.2]]) @ box
    images = np.stack(np.meshgrid(*[range(-4, 5)] * 3, indexing="ij"), -1).reshape(-1, 3) @ box
    true = np.linalg.norm(points[1] - points[0] + images, axis=1).min()
    for seed in range(6):
        assert measured(atoms, points, equivalent(box, seed))[3].nearest_A == pytest.approx(np.full((1, 2), true))


@LATTICES
@pytest.mark.parametrize("seed", range(6))
def test_contacts_and_their_lengths_are_those_of_the_lattice(box, seed):
    atoms, frame = boxes.electrolyte(np.random.default_rng(2), box)
    first = find_contacts([frame], atoms)
    again = find_contacts([Frame(0, 0.0, frame.positions, equivalent(box, seed))], atoms)
    one, two = first[0].frames[0], again[0].frames[0]
    np.testing.assert_array_equal(two.atom, one.atom)
    np.testing.assert_array_equal(two.offsets, one.offsets)
    np.testing.assert_allclose(two.distance, one.distance, atol=1e-4)
    np.testing.assert_allclose(two.edge, one.edge, atol=1e-4)
    np.testing.assert_allclose(again[1].g, first[1].g, rtol=1e-9)


@LATTICES
@pytest.mark.parametrize("seed", range(6))
def test_neighbourhood_and_volume_of_a_point_are_those_of_the_lattice(box, seed):
    points, others = np.random.default_rng(3).uniform(0, 1, (2, 40, 3)) @ box
    other = equivalent(box, seed)
    np.testing.assert_allclose(cell_volumes(points, other), cell_volumes(points, box), rtol=1e-9)
    for radius in (4.0, 12.0, 30.0):
        assert is_near(points, others, radius, other).tolist() == is_near(points, others, radius, box).tolist()
