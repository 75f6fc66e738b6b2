"""Molecules in the second shell, against counting every pair and every image."""

from __future__ import annotations

import itertools

import boxes
import numpy as np
import pytest
import systems

from lmbmd.analysis.scan.contacts import find_contacts
from lmbmd.analysis.shells.separation import SecondShellMolecules, pairs_within
from lmbmd.data.frames import Frame

POLYMER = systems.Model("PEO", "solvent", 0, (("O", "O"), *[("C", "")] * 24, ("O", "O")))
IMAGES = np.array(list(itertools.product(range(-3, 4), repeat=3)))


def counted(atoms, shell, radius_A):
    fold = SecondShellMolecules(atoms, "Li", radius_A)
    fold.add(systems.first(atoms, shell, {}))
    return fold.result()


def naive(atoms, shell, species, radius_A):
    bound = {(int(row), int(atoms.molecule[atom])) for row, atom in zip(shell.row, shell.atom, strict=True)}
    pairs = 0
    lithium = np.flatnonzero(atoms.species_id[atoms.centres] == atoms.species_index("Li"))
    for row, molecule in itertools.product(lithium, systems.molecules(atoms, species)):
        distance = np.linalg.norm(shell.unit[molecule] - shell.centre[row] + IMAGES @ shell.box, axis=1).min()
        pairs += distance <= radius_A and (row, molecule) not in bound
    return pairs / len(lithium)


@pytest.mark.parametrize("box", [boxes.STRAIGHT, boxes.SKEWED], ids=["straight", "skewed"])
@pytest.mark.parametrize("seed", range(4))
def test_every_molecule_within_the_radius_and_not_in_contact_is_counted(box, seed):
    atoms, frame = boxes.electrolyte(np.random.default_rng(seed), box)
    shell = find_contacts([frame], atoms)[0].frames[0].within(3.5)
    radius = {"FSI": 7.5, "DME": 9.03, "TTE": 6.0, "PF6": 7.77}
    found = counted(atoms, shell, radius)
    assert list(found) == list(radius)
    for species, series in found.items():
        assert series.tolist() == [naive(atoms, shell, species, radius[species])], species


def test_a_polymer_bound_at_its_end_takes_nobody_out_of_the_second_shell():
    """Its mass centre is 30 Å away: it is in the first shell, and no part of what is counted in the second."""
    atoms = systems.atom_table((systems.LI, 1), (POLYMER, 3))
    chain = np.column_stack([np.arange(26) * 2.4 + 2.0, np.zeros(26), np.zeros(26)])
    free = chain + np.array([-25.0, 5.0, 0.0])  # passes the ion at 5 Å, its mass centre at 9 Å
    positions = np.concatenate([np.zeros((1, 3)), chain, -chain, free]).astype(np.float32)
    frame = Frame(0, 0.0, positions, np.eye(3) * 160.0)
    shell = find_contacts([frame], atoms)[0].frames[0].within(3.0)
    assert len(shell.atom) == 2
    assert counted(atoms, shell, {"PEO": 7.5})["PEO"].tolist() == [0.0]
    assert counted(atoms, shell, {"PEO": 12.0})["PEO"].tolist() == [1.0]


def test_no_radius_no_number():
    atoms, frame = boxes.electrolyte(np.random.default_rng(1), boxes.STRAIGHT)
    shell = find_contacts([frame], atoms)[0].frames[0]
    assert np.isnan(counted(atoms, shell, {"FSI": np.nan})["FSI"]).all()


def test_pairs_within_a_radius_larger_than_the_box_are_all_pairs_once():
    points = np.random.default_rng(0).uniform(0, 10, (3, 3))
    centre, other = pairs_within(points, points[:2], 30.0, np.eye(3) * 10)
    assert sorted(zip(centre.tolist(), other.tolist(), strict=True)) == list(itertools.product(range(3), range(2)))
    assert [len(x) for x in pairs_within(points, points[:0], 5.0, np.eye(3) * 10)] == [0, 0]
