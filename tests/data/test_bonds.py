"""Molecules that a boundary has cut are put together along their bonds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmbmd.analysis.scan import kernels
from lmbmd.data.bonds import parents, parsed_formula


def test_an_atom_is_placed_beside_the_earlier_one_fewest_bonds_away():
    # Heavy atoms first, hydrogens last: H 3 sits on C 0, H 4 on C 2.
    assert parents(5, ((0, 1), (1, 2), (0, 3), (2, 4))) == (0, 0, 1, 0, 2)
    # Hydrogens first: the second is two bonds from the first, and the carbon is bonded to both.
    assert parents(3, ((0, 2), (1, 2))) == (0, 0, 0)


def test_an_atom_without_bonds_is_placed_beside_the_one_before():
    assert parents(4, ((0, 1),)) == (0, 0, 1, 2)


@given(
    st.integers(2, 12).flatmap(
        lambda n: st.tuples(st.permutations(range(n)), st.lists(st.integers(0, 99), min_size=n, max_size=n))
    )
)
def test_every_parent_is_an_earlier_atom_and_none_is_nearer(tree):
    order, draws = tree
    n = len(order)
    bonds = tuple((order[k], order[draws[k] % k]) for k in range(1, n))
    distance = np.full((n, n), 99)
    np.fill_diagonal(distance, 0)
    for i, j in bonds:
        distance[i, j] = distance[j, i] = 1
    for k in range(n):
        distance = np.minimum(distance, distance[:, [k]] + distance[[k], :])
    found = parents(n, bonds)
    assert found[0] == 0
    for i in range(1, n):
        assert found[i] < i and distance[i, found[i]] == distance[i, :i].min()


def test_a_chain_longer_than_half_the_box_stays_whole_with_its_hydrogens_last():
    """Nine backbone atoms 1.5 Å apart, then nine hydrogens: the first of these is 12 Å from the atom before it."""
    box = np.diag([14.0, 14.0, 14.0])
    straight = np.array([[1.5 * k, 0, 0] for k in range(9)] + [[1.5 * k, 1.0, 0] for k in range(9)]) + 3.0
    bonds = tuple((k, k + 1) for k in range(8)) + tuple((k, 9 + k) for k in range(9))
    wrapped = (straight % 14.0).astype(np.float32)
    parent = np.array(parents(18, bonds), np.int32)
    whole = np.empty((19, 3))
    kernels.make_whole(wrapped, np.array([0, 18]), parent, np.ones(18), box, np.linalg.inv(box), 7.0, whole)
    assert np.allclose(whole[:18] - whole[0], straight - straight[0], atol=1e-5)
    assert np.allclose(whole[18] - whole[0], (straight - straight[0]).mean(axis=0), atol=1e-5)


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("C4H10O2", {"C": 4, "H": 10, "O": 2}),
        ("CH3OCH3", {"C": 2, "H": 6, "O": 1}),
        ("F6P", {"P": 1, "F": 6}),
        ("C4H10O2-", None),
        ("c4", None),
        ("C₄", None),
        ("2H", None),
        ("", None),
    ],
)
def test_a_formula_says_how_many_atoms_of_which_element(text, counts):
    assert parsed_formula(text) == counts
