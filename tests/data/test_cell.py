"""Widths, volume and units of a periodic cell, against values worked out by hand."""

from __future__ import annotations

import numpy as np
import openmm
import pytest

from lmbmd.data.cell import Cell

#: A hexagonal prism of edge 6 and height 5 Å.
HEXAGONAL = np.array([[6.0, 0, 0], [3.0, 3.0 * np.sqrt(3), 0], [0, 0, 5.0]])


def test_the_widths_of_a_hexagonal_cell_are_distances_between_faces():
    cell = Cell(HEXAGONAL)
    assert cell.widths_A == pytest.approx([3 * np.sqrt(3), 3 * np.sqrt(3), 5.0], rel=1e-14)
    assert cell.narrowest_A == pytest.approx(5.0)
    assert cell.volume_A3 == pytest.approx(90 * np.sqrt(3), rel=1e-14)
    assert not cell.is_rectangular


def test_widths_are_the_volume_over_the_area_of_the_faces_in_a_skewed_cell():
    vectors = np.random.default_rng(5).normal(size=(3, 3)) * 9
    areas = [np.linalg.norm(np.cross(vectors[(i + 1) % 3], vectors[(i + 2) % 3])) for i in range(3)]
    assert Cell(vectors).widths_A == pytest.approx(Cell(vectors).volume_A3 / np.array(areas), rel=1e-12)


def test_a_cube_is_rectangular_and_its_widths_are_its_edges():
    assert Cell.cube(21.5).is_rectangular
    assert Cell.cube(21.5).widths_A == pytest.approx([21.5] * 3, rel=1e-15)


def test_openmm_gets_and_gives_the_same_cell_in_nanometres():
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*Cell(HEXAGONAL).vectors_nm)
    back = [v.value_in_unit(openmm.unit.nanometer) for v in system.getDefaultPeriodicBoxVectors()]
    assert Cell.from_nm(np.array(back)).vectors_A == pytest.approx(HEXAGONAL, rel=1e-15)


def test_a_flat_cell_has_no_volume_and_no_width():
    flat = Cell(np.array([[4.0, 0, 0], [2.0, 0, 0], [0, 0, 5.0]]))
    assert flat.volume_A3 == 0
    assert flat.narrowest_A == 0


def test_two_vectors_are_no_cell():
    with pytest.raises(ValueError, match=r"three vectors of three components, not the shape \(2, 3\)"):
        Cell(np.eye(3)[:2])


#: A cube, a flat triclinic cell, both truncated octahedra's lattices, and the hexagonal prism.
LATTICES = {
    "cube": np.eye(3) * 20,
    "rectangular": np.diag([18.0, 25.0, 21.0]),
    "triclinic": np.array([[20.0, 0, 0], [7.0, 19.0, 0], [-6.0, 8.0, 24.0]]),
    "body-centred": 12 * np.array([[-1.0, 1, 1], [1, -1, 1], [1, 1, -1]]),
    "face-centred": 14 * np.array([[1.0, 1, 0], [1, 0, 1], [0, 1, 1]]),
    "hexagonal": HEXAGONAL * 3,
}


def unimodular(rng, steps):
    """A random change of basis with determinant ±1."""
    change = np.eye(3, dtype=int)[rng.permutation(3)]
    for _ in range(steps):
        i, j = rng.permutation(3)[:2]
        change[i] += rng.integers(-2, 3) * change[j]
    return change


@pytest.mark.parametrize("name", LATTICES)
def test_equivalent_vectors_reduce_to_equal_widths_and_to_the_same_lattice(name):
    rng, first = np.random.default_rng(3), Cell(LATTICES[name]).reduced
    for steps in (1, 2, 4, 8, 12):
        change = unimodular(rng, steps)
        reduced = Cell(change @ LATTICES[name]).reduced
        assert np.sort(reduced.widths_A) == pytest.approx(np.sort(first.widths_A), rel=1e-6)
        whole = reduced.vectors_A @ np.linalg.inv(LATTICES[name])
        assert whole == pytest.approx(np.rint(whole), abs=1e-6) and abs(np.linalg.det(whole)) == pytest.approx(1)


@pytest.mark.parametrize("name", LATTICES)
def test_no_equivalent_cell_is_wider_than_the_reduced_one(name):
    """Against every cell whose vectors are short combinations of the reduced ones."""
    reduced = Cell(LATTICES[name]).reduced
    rows = np.stack(np.meshgrid(*[(-1, 0, 1)] * 3, indexing="ij"), -1).reshape(-1, 3)
    triples = np.array([(a, b, c) for a in rows for b in rows for c in rows])
    triples = triples[np.abs(np.rint(np.linalg.det(triples))) == 1]
    widest = max(Cell(triple @ reduced.vectors_A).narrowest_A for triple in triples[::7])
    assert widest <= reduced.narrowest_A * (1 + 1e-9)


def test_a_cell_that_cannot_be_wider_is_left_as_it_is():
    for name in ("cube", "rectangular", "hexagonal"):
        cell = Cell(LATTICES[name])
        assert cell.reduced is cell


def test_a_flat_cell_is_left_as_it_is():
    flat = Cell(np.array([[4.0, 0, 0], [2.0, 0, 0], [0, 0, 5.0]]))
    assert flat.reduced is flat
