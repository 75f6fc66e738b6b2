"""The atom table: bonds kept from build to file, and refused where they cannot be."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import systems

from lmbmd.box.system import build_system
from lmbmd.data.atoms import AtomTable
from lmbmd.forcefield.parameters import load_set
from lmbmd.forcefield.sets import available_sets


@pytest.fixture(scope="module")
def carbonates() -> tuple[AtomTable, np.ndarray]:
    """Two EC and one Li⁺ with its anion, as build makes them, and the bonds of one EC."""
    parameters = load_set(available_sets()[-1])
    roles = {"Li": "cation", "PF6": "anion", "EC": "solvent"}
    built = build_system({"Li": 1, "PF6": 1, "EC": 2}, roles, parameters, 0.8, 40.0)
    return built.atoms, parameters.bonds("EC")


def test_a_ring_has_all_its_bonds_in_the_atom_table_and_after_reading_it_again(carbonates, tmp_path):
    atoms, ring = carbonates
    atoms.write(tmp_path / "atoms.parquet")
    for table in (atoms, AtomTable.read(tmp_path / "atoms.parquet")):
        assert len(table.bonds) == 6 + 2 * 10
        for first in (8, 18):
            mine = table.bonds[(table.bonds >= first).all(axis=1) & (table.bonds < first + 10).all(axis=1)]
            assert set(map(tuple, (mine - first).tolist())) == set(map(tuple, ring.tolist()))
        assert (table.molecule[table.bonds[:, 0]] == table.molecule[table.bonds[:, 1]]).all()


def test_an_atom_table_written_without_bonds_says_that_it_knows_none(tmp_path):
    atoms = systems.atom_table((systems.LI, 2), (systems.DME, 3))
    atoms.write(tmp_path / "atoms.parquet")
    assert AtomTable.read(tmp_path / "atoms.parquet").bonds is None
    assert "bonded" not in pq.read_schema(tmp_path / "atoms.parquet").names


@pytest.mark.parametrize("pair", [(0, 1), (2, 10**6), (-1, 3), (3, 3)])
def test_bonds_between_molecules_or_with_no_atom_are_refused(carbonates, pair):
    atoms, _ = carbonates
    columns = {key: getattr(atoms, key) for key in ("species_id", "molecule", "site_id", "element", "name")}
    columns |= {"mass_amu": atoms.mass_amu, "charge_e": atoms.charge_e, "bonds": np.array([pair])}
    with pytest.raises(ValueError, match="a bond is not between two atoms of one molecule"):
        AtomTable(species=atoms.species, sites=atoms.sites, **columns)
