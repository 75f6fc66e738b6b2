"""Shapes of chains that are known: rods, rings of a helix, freely jointed and freely rotating chains."""

from __future__ import annotations

import chains
import numpy as np
import pytest
import systems
from chains import EO
from systems import LI

from lmbmd.analysis.chains.conformation import MOST_APART, Shapes
from lmbmd.analysis.chains.conformation_account import conformation_account
from lmbmd.analysis.scan.contacts import find_contacts
from lmbmd.analysis.scan.options import ContactOptions
from lmbmd.numbers.doubt import Kind

BOX = np.eye(3) * 20.0
OPTIONS = ContactOptions(search_radius_A=3.0, rdf_radius_A=5.0)
#: A unit of one atom: its mass centre is the atom.
BEAD = systems.Model("B", "polymer", 0, (("C", ""),))


def account(atoms, path, shape=None, box=BOX):
    """Shapes after coordinates were broken over the boundary and found again."""
    shape = np.zeros((len(atoms), 3)) if shape is None else shape
    contacts, _ = find_contacts(chains.frames(atoms, path, shape, box), atoms, OPTIONS)
    fold = Shapes(atoms)
    for one in contacts:
        fold.add(systems.first(atoms, one))
    return conformation_account([fold.result()]), fold.result()


def row(account, name, chain="C"):
    (found,) = (row for row in account.rows if (row.name, row.species) == (name, chain))
    return found


def with_ion(*paths):
    """(n_frames, 1 + n, 3): the ion of the box, and chains; one path for each frame."""
    return np.array([np.vstack([np.zeros((1, 3)), path]) for path in paths])


def test_a_rod_longer_than_three_boxes_has_the_size_of_a_rod():
    n, b = 25, 2.6  # 62 Å in a box of 20 Å
    atoms = systems.atom_table((LI, 1), (systems.Chain("C", (BEAD,) * n), 1))
    direction = np.array([1.0, 2.0, -2.0]) / 3
    rod = np.outer(np.arange(n), b * direction) + 7.0
    found, _ = account(atoms, with_ion(rod, rod + 1.0, rod - 3.0))
    assert row(found, "end_to_end_A").value == pytest.approx((n - 1) * b, rel=1e-5)
    assert row(found, "radius_of_gyration_A").value == pytest.approx(b * np.sqrt((n**2 - 1) / 12), rel=1e-5)
    assert row(found, "characteristic_ratio").value == pytest.approx(n - 1, rel=1e-5)
    assert row(found, "unit_distance_A").value == pytest.approx(b, rel=1e-5)
    stiff = row(found, "persistence_length_A")
    assert np.isnan(stiff.value) and stiff.doubt_kind == Kind.STIFF
    table = found.tables["chain_stretches"]
    np.testing.assert_allclose(table.cosine, 1.0, rtol=1e-5)
    np.testing.assert_allclose(table.stretch_square_A2, (b * table.units_apart) ** 2, rtol=1e-5)


def test_a_helix_has_the_size_of_its_formula():
    """r = (R cos φ i, R sin φ i, h i); ⟨R_g²⟩ of its points by the sum over all pairs, |r_i − r_j|² / N² / 2."""
    n, turn = 30, 0.9
    i = np.arange(n)
    helix = np.column_stack([2.0 * np.cos(turn * i), 2.0 * np.sin(turn * i), 1.2 * i])
    atoms = systems.atom_table((LI, 1), (systems.Chain("C", (BEAD,) * n), 1))
    found, _ = account(atoms, with_ion(helix))
    end = np.sqrt((2 * 2.0 * np.sin(turn * (n - 1) / 2)) ** 2 + (1.2 * (n - 1)) ** 2)
    gyration = np.sqrt(((helix[:, None] - helix) ** 2).sum() / n**2 / 2)
    assert row(found, "end_to_end_A").value == pytest.approx(end, rel=1e-5)
    assert row(found, "radius_of_gyration_A").value == pytest.approx(gyration, rel=1e-5)


def test_the_radius_of_gyration_is_that_of_all_atoms_however_the_units_are_shaped():
    rng = np.random.default_rng(4)
    atoms = systems.atom_table((LI, 1), (chains.peo(7, "C"), 1), (chains.peo(3, "C"), 2))
    shape = chains.shapes(atoms, rng, 0.8)
    path = []
    for _ in range(3):
        parts = [chains.along(rng.uniform(0, 20, 3), chains.bonds(rng, n - 1, 3.0)) for n in (7, 3, 3)]
        path.append(np.concatenate(parts))
    path = with_ion(*path)
    found, _ = account(atoms, path, shape)
    squares = []
    for units in path:
        x = units[atoms.unit] + shape
        for molecule in atoms.chain_molecules:
            mine = atoms.molecule == molecule
            mean = np.average(x[mine], axis=0, weights=atoms.mass_amu[mine])
            squares.append(np.average(((x[mine] - mean) ** 2).sum(axis=1), weights=atoms.mass_amu[mine]))
    assert row(found, "radius_of_gyration_A").value == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-4)


@pytest.mark.parametrize("cosine", [None, 0.6])
def test_freely_jointed_and_freely_rotating_chains_have_the_sizes_of_theory(cosine):
    """⟨R²⟩ = n b² [(1 + c)/(1 − c) − 2 c (1 − cⁿ)/(n (1 − c)²)], and l_p = b / (1 − c) of a long chain."""
    rng = np.random.default_rng(1)
    n, b, c, n_frames = 40, 2.0, cosine or 0.0, 300
    atoms = systems.atom_table((LI, 1), (systems.Chain("C", (BEAD,) * (n + 1)), 4))
    path = [
        np.concatenate([chains.along(rng.uniform(0, 20, 3), chains.bonds(rng, n, b, cosine)) for _ in range(4)])
        for _ in range(n_frames)
    ]
    found, _ = account(atoms, with_ion(*path))
    square = n * b**2 * ((1 + c) / (1 - c) - 2 * c * (1 - c**n) / (n * (1 - c) ** 2))
    for name, expected in (
        ("end_to_end_A", np.sqrt(square)),
        ("characteristic_ratio", square / (n * b**2)),
        ("unit_distance_A", b),
    ):
        one = row(found, name)
        allowed = max(4 * one.error, 1e-5)
        assert abs(one.value - expected) < allowed, (name, one.value, expected, one.error)
    if cosine is None:
        gyration = b * np.sqrt(n * (n + 2) / (6 * (n + 1)))  # of n + 1 beads
        one = row(found, "radius_of_gyration_A")
        assert abs(one.value - gyration) < 4 * one.error
    length = row(found, "persistence_length_A")
    # The sum ends where the mean is first not positive by chance: what is left out and what chance adds is small.
    assert abs(length.value - b / (1 - c)) < 4 * length.error + 0.02 * b / (1 - c)
    cosines = found.tables["chain_stretches"]
    first = cosines[cosines.bonds_apart == 1].iloc[0]
    assert abs(first.cosine - c) < 4 * first.cosine_error + 1e-6


def test_a_chain_that_turns_back_on_itself_persists_for_less_than_a_bond():
    atoms = systems.atom_table((LI, 1), (systems.Chain("C", (BEAD,) * 5), 1))
    zigzag = np.array([[0.0, 0, 0], [2, 0, 0], [0.5, 0, 0], [2.5, 0, 0], [1, 0, 0]])
    found, _ = account(atoms, with_ion(zigzag))
    assert row(found, "persistence_length_A").value == pytest.approx(1.75, rel=1e-5)  # mean bond: no projection left


def test_a_chain_of_one_unit_has_a_radius_and_no_ends():
    atoms = systems.atom_table((LI, 1), (systems.Chain("C", (EO,)), 3))
    found, _ = account(atoms, with_ion(np.arange(9.0).reshape(3, 3)), chains.shapes(atoms, np.random.default_rng(0)))
    assert row(found, "radius_of_gyration_A").value > 0
    for name in ("end_to_end_A", "characteristic_ratio", "persistence_length_A"):
        assert np.isnan(row(found, name).value) and row(found, name).doubt_kind == Kind.ONE_UNIT


def test_a_long_chain_is_followed_up_to_a_fixed_distance_so_that_memory_does_not_grow_with_it():
    atoms = systems.atom_table((LI, 1), (systems.Chain("C", (BEAD,) * 300), 1))
    rng = np.random.default_rng(2)
    found, (result,) = account(atoms, with_ion(chains.along(np.zeros(3), chains.bonds(rng, 299, 2.0))))
    assert result.projection_A.shape == (1, MOST_APART) and len(found.tables["chain_stretches"]) == MOST_APART
