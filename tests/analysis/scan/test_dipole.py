"""Dipole moments of molecules: against their own numbers, across the boundary, and none of what has none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import systems
from systems import DME, FSI, LI

from lmbmd.analysis.describe import describe
from lmbmd.analysis.options import DescribeOptions
from lmbmd.analysis.scan.contacts import find_contacts
from lmbmd.analysis.scan.dipole_account import dipole_moments_D
from lmbmd.data.frames import Frame

BOX = np.array([[24.0, 0, 0], [5.0, 23.0, 0], [-4.0, 6.0, 25.0]])


def moving(n_frames: int):
    """Molecules that are broken over the boundary; DME has charges, and is longer in each second frame."""
    atoms = systems.atom_table((LI, 4), (FSI, 4), (DME, 20))
    charge = atoms.charge_e.copy()
    dme = atoms.species_id == atoms.species_index("DME")
    charge[dme] = np.tile([0.5, -0.5, 0.0, 0.0, 0.0, 0.0], 20)
    atoms, rng = replace(atoms, charge_e=charge), np.random.default_rng(1)
    frames = []
    for k in range(n_frames):
        place = (rng.uniform(0, 1, (atoms.n_molecules, 3)) @ BOX)[atoms.molecule]
        step = rng.normal(size=(atoms.n_molecules, 3))
        step *= (1.2 + 0.2 * (k % 2)) / np.linalg.norm(step, axis=1)[:, None]
        second = np.append(0, np.diff(atoms.molecule)) == 0
        first = np.flatnonzero(~second | (np.arange(len(atoms)) == 0))
        place[first] += step[atoms.molecule[first]]
        broken = place - np.floor(place @ np.linalg.inv(BOX)) @ BOX
        frames.append(Frame(k, float(k), broken.astype(np.float32), BOX))
    return atoms, frames


def test_a_molecule_of_two_charges_has_their_dipole_also_across_the_boundary():
    atoms, frames = moving(2)
    dme = atoms.molecule_species == atoms.species_index("DME")
    # 0.5 e at 1.2 Å; 1 e Å is 4.80320 debye.
    assert dipole_moments_D(frames[0], atoms)[dme] == pytest.approx(0.6 * 4.803204, rel=1e-4)
    assert dipole_moments_D(frames[1], atoms)[dme] == pytest.approx(0.7 * 4.803204, rel=1e-4)


def test_neutral_molecules_with_charges_have_a_dipole_and_others_have_none():
    atoms, frames = moving(12)
    run = find_contacts(frames, atoms)
    rows = describe([run], atoms, DescribeOptions(), progress=False, sample=frames).descriptors
    rows = rows[rows.name == "dipole_D"].set_index("species")
    assert rows.index.tolist() == ["DME"]
    assert rows.value["DME"] == pytest.approx(0.65 * 4.803204, rel=1e-4) and rows.error["DME"] > 0
    unknown = replace(atoms, charge_e=np.full(len(atoms), np.nan))
    said = describe([run], unknown, DescribeOptions(), progress=False, sample=frames).descriptors
    assert "dipole_D" not in set(said.name)
