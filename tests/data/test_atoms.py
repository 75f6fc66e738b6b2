"""The atom table: bonds and units kept from build to file, and refused where they cannot be."""

from __future__ import annotations

import numpy as np
import pyarrow.parquet as pq
import pytest
import systems

from lmbmd.box.system import build_system
from lmbmd.data.atoms import AtomTable, SpeciesInfo
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


SPECIES = (SpeciesInfo("Li", "cation", 1), SpeciesInfo("EO", "polymer", 0, "PEO"), SpeciesInfo("T", "anion", -1, "PEO"))


def chains(species=SPECIES, *, unit=(0, 1, 1, 2, 3, 3, 4, 5), of=(0, 1, 1, 2, 1, 1, 1, 1)):
    """One ion, a chain of three units and one of two; what is given replaces what is right."""
    molecule = (0, 1, 1, 1, 1, 1, 2, 2)
    columns = {"species_id": of, "molecule": molecule, "site_id": [-1] * 8, "unit": unit}
    return AtomTable(
        species=species,
        sites=(),
        element=np.array(["Li", *"CCCCCCC"], dtype=object),
        name=np.array(["Li", *"abcdefg"], dtype=object),
        mass_amu=np.ones(8),
        charge_e=np.zeros(8),
        **{key: np.array(value, np.int32) for key, value in columns.items()},
    )


def test_a_chain_is_a_molecule_of_several_units_and_each_unit_has_a_species_of_its_own(tmp_path):
    atoms = chains()
    atoms.write(tmp_path / "atoms.parquet")
    for table in (atoms, AtomTable.read(tmp_path / "atoms.parquet")):
        assert (table.n_molecules, table.n_units, table.chains) == (3, 6, ("PEO",))
        assert table.first_atom_of_unit.tolist() == [0, 1, 3, 4, 6, 7, 8]
        assert table.unit_species.tolist() == [0, 1, 2, 1, 1, 1]
        assert table.unit_molecule.tolist() == [0, 1, 1, 1, 2, 2]
        assert [table.count(name) for name in ("Li", "EO", "T")] == [1, 4, 1]
        assert table.species == SPECIES


def test_a_box_without_chains_is_written_as_before_there_were_units_and_its_units_are_its_molecules(tmp_path):
    atoms = systems.atom_table((systems.LI, 2), (systems.DME, 3))
    atoms.write(tmp_path / "atoms.parquet")
    schema = pq.read_schema(tmp_path / "atoms.parquet")
    assert "unit" not in schema.names and b"chain" not in schema.metadata[b"lmbmd"]
    table = AtomTable.read(tmp_path / "atoms.parquet")
    assert (table.unit == atoms.molecule).all() and table.unit.dtype == np.int32 and table.chains == ()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"unit": (0, 1, 1, 3, 4, 4, 5, 6)}, "units must be contiguous"),
        ({"unit": (0, 1, 1, 2, 3, 3, 3, 4)}, "a unit belongs to more than one molecule"),
        ({"of": (0, 1, 2, 2, 1, 1, 1, 1)}, "a unit belongs to more than one species"),
        ({"species": (*SPECIES[:2], SpeciesInfo("T", "anion", -1))}, "of more than one chain"),
        ({"species": (*SPECIES[:2], SpeciesInfo(SPECIES[1].name, "polymer", 0, "P2"))}, "two species have one name"),
        ({"species": tuple(SpeciesInfo(s.name, s.role, s.charge) for s in SPECIES)}, "of several units is of no chain"),
    ],
)
def test_units_that_cross_molecules_species_or_chains_are_refused(wrong, said):
    with pytest.raises(ValueError, match=said):
        chains(**wrong)
