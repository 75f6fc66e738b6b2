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
