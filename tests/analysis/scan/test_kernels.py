"""The compiled loops against their slow twins, and the corners of a grid of cells."""

from __future__ import annotations

import boxes
import naive
import numpy as np
import pytest
import systems
from hypothesis import given, settings
from hypothesis import strategies as st

from lmbmd.analysis.scan import kernels
from lmbmd.analysis.scan.contacts import Search, frame_contacts
from lmbmd.analysis.scan.options import ContactOptions
from lmbmd.data.frames import Frame

SEEDS = st.integers(0, 2**32 - 1)
BOXES = pytest.mark.parametrize("box", [boxes.STRAIGHT, boxes.SKEWED], ids=["straight", "skewed"])


def whole_of(frame, atoms):
    inverse = np.linalg.inv(frame.box)
    half = 0.5 / np.sqrt((inverse**2).sum(axis=0)).max()
    whole = np.empty((len(atoms) + atoms.n_molecules, 3))
    kernels.make_whole(
        frame.positions, atoms.first_atom_of_unit, atoms.parent, atoms.mass_amu, frame.box, inverse, half, whole
    )
    return whole[: len(atoms)], whole[len(atoms) :]


def search(points, query, point, box, reach=8.0, contact_radius=5.0, n_cells=(4, 4, 4), molecules=None):
    """``kernels.search`` with one label for everything and every point its own molecule."""
    query, point = np.asarray(query), np.asarray(point)
    molecules = np.arange(len(points)) if molecules is None else np.asarray(molecules)
    histogram = np.zeros((1, 1, 100), np.int64)
    found = kernels.search(
        np.asarray(points, float),
        query,
        np.zeros(len(query), np.int64),
        molecules[query],
        point,
        np.zeros(len(point), np.int64),
        molecules[point],
        len(point),
        np.asarray(box, float),
        np.linalg.inv(box),
        reach,
        contact_radius,
        10,
        np.array(n_cells),
        histogram,
        kernels.workspace(len(point)),
    )
    return *found, histogram[0, 0]


@BOXES
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_broken_molecules_are_made_whole_as_by_trying_every_image(box, seed):
    rng = np.random.default_rng(seed)
    atoms, frame = boxes.electrolyte(rng, box)
    frame = boxes.broken(rng, frame)
    whole, centre = whole_of(frame, atoms)
    expected = naive.whole_molecules(frame.positions, atoms, frame.box)
    np.testing.assert_array_equal(whole, expected)
    np.testing.assert_allclose(centre, naive.mass_centres(expected, atoms), rtol=0, atol=1e-11)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_atoms_up_to_half_a_box_apart_are_put_at_their_nearest_image(seed):
    rng = np.random.default_rng(seed)
    atoms, frame = boxes.electrolyte(rng, boxes.STRAIGHT)
    scattered = boxes.grains(rng.uniform(-1, 2, (len(atoms), 3)) @ frame.box).astype(np.float32)
    frame = Frame(0, 0.0, scattered, frame.box)
    np.testing.assert_array_equal(whole_of(frame, atoms)[0], naive.whole_molecules(scattered, atoms, frame.box))


def test_a_chain_longer_than_the_box_is_made_whole_link_by_link():
    chain = systems.Model("PEO", "solvent", 0, (("O", "O"),) * 40)
    atoms = systems.atom_table((systems.LI, 1), (chain, 1))
    straight = np.zeros((41, 3))
    straight[1:, 0] = 1.5 * np.arange(40)
    box = np.eye(3) * 20.0
    whole, _ = whole_of(Frame(0, 0.0, (straight % 20.0).astype(np.float32), box), atoms)
    np.testing.assert_allclose(whole, straight, atol=1e-5)


@BOXES
@settings(max_examples=15, deadline=None)
@given(seed=SEEDS)
def test_contacts_and_counts_are_those_of_trying_every_pair_and_image(box, seed):
    rng = np.random.default_rng(seed)
    atoms, frame = boxes.electrolyte(rng, box)
    frame = boxes.broken(rng, frame)
    options = ContactOptions()
    search_box = Search(atoms, options)
    scan = search_box(frame)
    contacts = frame_contacts(scan, atoms)
    rows = naive.contact_rows(frame, atoms, options.search_radius_A)
    assert np.diff(contacts.offsets).tolist() == [len(row) for row in rows]
    flat = [contact for row in rows for contact in row]
    assert contacts.atom.tolist() == [c[0] for c in flat]
    # float32 holds 5 Å to 5e-7 and an edge of up to 100 Å from far-away images to 8e-6.
    np.testing.assert_allclose(contacts.distance, [c[1] for c in flat], rtol=0, atol=5e-7)
    np.testing.assert_allclose(contacts.edge.ravel(), np.ravel([c[2] for c in flat]), rtol=0, atol=5e-5)
    for (centre, partner), counts in zip(search_box.pairs.labels, scan.counts, strict=True):
        expected = naive.rdf_counts(frame, atoms, centre, partner, scan.reach_A, options.bins_per_A, options.n_bins)
        np.testing.assert_array_equal(counts, expected, err_msg=f"{centre} {partner}")


@BOXES
@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, n_cells=st.tuples(*[st.integers(1, 9)] * 3))
def test_the_grid_of_cells_changes_nothing(box, seed, n_cells):
    points = np.random.default_rng(seed).uniform(-1, 2, (60, 3)) @ box
    one = search(points, np.arange(10), np.arange(60), box, n_cells=(1, 1, 1))
    other = search(points, np.arange(10), np.arange(60), box, n_cells=n_cells)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


def test_points_on_the_faces_of_the_box_are_found_once():
    box = np.eye(3) * 20.0
    corner = [[0, 0, 0], [20, 0, 0], [0, -20, 40], [20 - 1e-15, 0, -1e-15]]
    points = np.array([[1.0, 0, 0], *corner])
    _, contact, distance, image, counts = search(points, [0], [1, 2, 3, 4], box)
    assert contact.tolist() == [0, 1, 2, 3]
    np.testing.assert_allclose(distance, 1.0, atol=1e-6)
    assert counts.sum() == 4
    np.testing.assert_allclose(points[1:] + image @ box - points[0], [[-1, 0, 0]] * 4, atol=1e-12)


def test_a_contact_at_exactly_the_radius_counts_and_a_pair_at_exactly_the_reach_does_not():
    box = np.eye(3) * 20.0
    points = [[0.0, 0, 0], [5.0, 0, 0], [0, 5.0 + 1e-9, 0], [0, 0, 8.0]]
    _, contact, _, _, counts = search(points, [0], [1, 2, 3], box)
    assert contact.tolist() == [0]
    assert np.flatnonzero(counts).tolist() == [50] and counts[50] == 2


def test_a_molecule_is_not_its_own_neighbour():
    box = np.eye(3) * 20.0
    points = [[0.0, 0, 0], [1, 0, 0], [2, 0, 0]]
    _, contact, _, _, counts = search(points, [0], [0, 1, 2], box, molecules=[7, 7, 8])
    assert contact.tolist() == [2] and counts.sum() == 1


def test_a_crowded_centre_keeps_all_its_contacts():
    rng = np.random.default_rng(0)
    points = np.vstack([np.zeros((2, 3)), rng.uniform(-2, 2, (700, 3))])
    offsets, contact, _, _, counts = search(points, [0, 1], np.arange(2, 702), np.eye(3) * 20.0)
    assert offsets.tolist() == [0, 700, 1400]
    assert contact.tolist() == [*range(700), *range(700)]
    assert counts.sum() == 1400


def test_scratch_memory_carries_nothing_from_frame_to_frame():
    rng = np.random.default_rng(3)
    atoms, first = boxes.electrolyte(rng, boxes.STRAIGHT)
    second = boxes.moved(first, boxes.grains(rng.uniform(-3, 3, (len(atoms), 3))))
    used, fresh = Search(atoms, ContactOptions()), Search(atoms, ContactOptions())
    used(first)
    a, b = used(second), fresh(second)
    for name in ("offsets", "atom", "distance", "image", "centre", "unit", "counts"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
