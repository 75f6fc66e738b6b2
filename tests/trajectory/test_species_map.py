"""Foreign topologies: the same box from every format, and clear words for every fault of a species map."""

from __future__ import annotations

import time
from pathlib import Path

import MDAnalysis as mda
import numpy as np
import pytest
from foreign_files import BOX, CHARGE, RESIDUES, box, gro, lammps_data, pdb, prmtop, psf

from lmbmd.analysis.scan.contacts import find_contacts, run_contacts
from lmbmd.core.errors import LmbmdError
from lmbmd.trajectory import open_universe, species_map
from lmbmd.trajectory.foreign import open_foreign
from lmbmd.trajectory.mapping import matching

pytestmark = pytest.mark.filterwarnings("ignore")

BY_NAME = """
centre: LI
species:
  LI: {resname: LI}
  NO3: {resname: NO3, role: anion, sites: {O: O}}
  MeOH: {resname: MOH, role: solvent, sites: {O: O}}
cutoffs: {NO3-O: 2.6, "MeOH:O": 2.8}
"""
BY_SMILES = """
centre: Li
species:
  Li: {smiles: "[Li+]"}
  NO3: {smiles: "[O-][N+](=O)[O-]", role: anion, sites: {O: "[O]"}}
  MeOH: {smiles: CO, role: solvent, sites: {O: "[OX2H]"}}
"""
BY_RANGES = """
centre: Li
species:
  Li: {atoms: "1-3"}
  NO3: {atoms: 4-15, role: anion, atoms_per_molecule: 4, sites: {O: O}}
  MeOH: {atoms: [16-21, 22-27], atoms_per_molecule: 6, role: solvent, sites: {O: O}}
"""


def table(topology, text, tmp_path):
    (tmp_path / "species.yaml").write_text(text, encoding="utf-8")
    universe = open_universe(topology) if isinstance(topology, Path) else topology
    return matching.atom_table(universe, species_map.load(tmp_path / "species.yaml"))


def assert_is_the_box(atoms, order):
    assert order is None
    counts = {s.name: atoms.count(s.name) for s in atoms.species}
    assert list(counts.values()) == [3, 3, 2]
    assert [(s.role, s.charge) for s in atoms.species] == [("cation", 1), ("anion", -1), ("solvent", 0)]
    assert atoms.sites == ("NO3:O", "MeOH:O")
    assert atoms.element.tolist() == [row[2] for row in box()[0]]
    assert np.bincount(atoms.site_id + 1).tolist() == [27 - 9 - 2, 9, 2]
    assert (atoms.element[atoms.site_id >= 0] == "O").all()
    assert np.diff(atoms.first_atom).tolist() == [1] * 3 + [4] * 3 + [6] * 2


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (pdb, "t.pdb"),
        (gro, "t.gro"),
        (lammps_data, "t.data"),
        (lammps_data, "t.lmp"),
        (psf, "t.psf"),
        (prmtop, "t.prmtop"),
    ],
)
@pytest.mark.parametrize("text", [BY_NAME, BY_SMILES, BY_RANGES], ids=["names", "smiles", "ranges"])
def test_every_topology_gives_the_same_box(make, name, text, tmp_path):
    if text == BY_NAME and make is lammps_data:
        pytest.skip("LAMMPS data has no residue names")
    path = pdb(tmp_path / name, conect=True) if make is pdb else make(tmp_path / name)
    if text == BY_SMILES and make is gro:
        pytest.skip("GRO has no bonds")
    atoms, order = table(path, text, tmp_path)
    assert_is_the_box(atoms, order)
    charged = make in (lammps_data, psf, prmtop)
    np.testing.assert_allclose(atoms.charge_e, [CHARGE[row[2]] if charged else np.nan for row in box()[0]], atol=1e-6)
    if make is gro:
        assert atoms.bonds is None
    else:
        assert sorted(map(tuple, atoms.bonds.tolist())) == sorted(map(tuple, map(sorted, box()[1])))


def test_the_order_of_species_in_the_map_does_not_reorder_atoms(tmp_path):
    lines = BY_NAME.strip().splitlines()
    turned = "\n".join([*lines[:2], *reversed(lines[2:5])])
    atoms, order = table(pdb(tmp_path / "t.pdb"), turned, tmp_path)
    assert [s.name for s in atoms.species] == ["MeOH", "NO3", "LI"] and order is None
    assert atoms.element.tolist() == [row[2] for row in box()[0]]


def test_contacts_of_a_foreign_box_need_three_lines(tmp_path):
    (tmp_path / "species.yaml").write_text(BY_NAME, encoding="utf-8")
    path = pdb(tmp_path / "t.pdb")
    atoms, frames = open_foreign(path, tmp_path / "species.yaml")
    contacts, rdf = find_contacts(frames, atoms)
    atoms, frames = open_foreign(mda.Universe(str(path)), tmp_path / "species.yaml")
    on_disk, again = run_contacts(frames, atoms, tmp_path / "c.arrow", tmp_path / "rdf.npz", progress=False)
    np.testing.assert_array_equal(next(iter(contacts)).edge, next(iter(on_disk)).edge)
    np.testing.assert_array_equal(rdf.g, again.g)
    assert len(atoms) == 27


def test_cutoffs_may_be_written_with_a_dash_or_a_colon(tmp_path):
    (tmp_path / "s.yaml").write_text(BY_NAME, encoding="utf-8")
    assert species_map.load(tmp_path / "s.yaml").cutoffs_A == {"NO3:O": 2.6, "MeOH:O": 2.8}


def test_sites_may_be_atom_names_or_types(tmp_path):
    named = BY_NAME.replace("anion, sites: {O: O}", "anion, sites: {O: [O1, O2], end: [O3]}").replace(
        "NO3-O", "NO3-end"
    )
    atoms, _ = table(pdb(tmp_path / "t.pdb"), named, tmp_path)
    assert atoms.sites == ("NO3:O", "NO3:end", "MeOH:O")
    assert np.bincount(atoms.site_id[atoms.site_id >= 0]).tolist() == [6, 3, 2]
    typed = BY_SMILES.replace('"[OX2H]"', "[3]")
    atoms, _ = table(lammps_data(tmp_path / "t.data"), typed, tmp_path)
    assert atoms.element[atoms.site_id == 1].tolist() == ["O", "O"]


def test_scattered_molecules_are_gathered_and_the_order_told(tmp_path):
    rows, _ = box()
    scattered = np.argsort([n[0] for *_, n, _ in rows], kind="stable")
    u = mda.Universe.empty(
        27, n_residues=8, atom_resindex=[rows[i][0] - 1 for i in scattered], residue_segindex=[0] * 8, trajectory=True
    )
    u.add_TopologyAttr("names", [rows[i][3] for i in scattered])
    u.add_TopologyAttr("elements", [rows[i][2] for i in scattered])
    u.add_TopologyAttr("resnames", [name for name, _ in RESIDUES])
    u.atoms.positions = np.array([rows[i][4] for i in scattered])
    u.dimensions = [BOX] * 3 + [90] * 3
    _, order = table(u, BY_NAME, tmp_path)
    assert np.array_equal(np.sort(order), np.arange(27)) and not np.array_equal(order, np.arange(27))
    first = []
    for source in (u, pdb(tmp_path / "t.pdb")):
        atoms, frames = open_foreign(source, tmp_path / "species.yaml")
        first.append(next(iter(find_contacts(frames, atoms)[0])))
    a, b = first
    # The PDB file has three decimals.
    np.testing.assert_allclose(np.sort(a.distance), np.sort(b.distance), atol=2e-3)


def test_residues_that_hang_together_by_bonds_are_one_molecule(tmp_path):
    u = mda.Universe.empty(5, n_residues=3, atom_resindex=[0, 1, 1, 2, 2], residue_segindex=[0] * 3, trajectory=True)
    u.add_TopologyAttr("names", ["LI", "C1", "O1", "C1", "O1"])
    u.add_TopologyAttr("elements", ["Li", "C", "O", "C", "O"])
    u.add_TopologyAttr("resnames", ["LI", "PEO", "PEO"])
    text = "centre: LI\nnet_charge: 1\nspecies:\n  LI: {resname: LI, charge: 1}\n"
    text += "  PEO: {resname: PEO, role: solvent, sites: {O: O}}\n"
    assert table(u, text, tmp_path)[0].count("PEO") == 2
    u.add_TopologyAttr("bonds", [(1, 2), (2, 3), (3, 4)])
    assert table(u, text, tmp_path)[0].count("PEO") == 1


def test_a_partial_conect_falls_back_on_residues(tmp_path):
    path = pdb(tmp_path / "t.pdb")
    path.write_text(path.read_text(encoding="utf-8").replace("END\n", "CONECT    4    5\nEND\n"), encoding="utf-8")
    assert_is_the_box(*table(path, BY_NAME, tmp_path))


def test_masses_come_from_elements_not_from_a_repartitioned_topology(tmp_path):
    path = prmtop(tmp_path / "t.prmtop")
    text = path.read_text(encoding="utf-8").replace(f"{1.008:16.8E}", f"{3.024:16.8E}")
    assert text != path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    atoms, _ = table(path, BY_NAME, tmp_path)
    assert atoms.mass_amu[atoms.element == "H"] == pytest.approx(1.008)


NO3 = "NO3: {resname: NO3, role: anion, sites: {O: O}}"
SOLVENT = "role: solvent, sites: {O: O}"
BAD_MAPS = [
    ("centre: LI", "center: LI", r"unknown key 'center'.*Did you mean 'centre'\?"),
    ("centre: LI", "centre: Lii", r"yaml:centre: the centre 'Lii' is not among the species\. Did you mean 'LI'\?"),
    ("centre: LI\n", "", r"the key 'centre' is missing"),
    ("resname: NO3", "resnam: NO3", r"species\.NO3:resnam .*unknown key 'resnam'.*Did you mean 'resname'\?"),
    ("role: anion", "role: anoin", r"species\.NO3:role .*'anoin' is not a valid choice.*Did you mean 'anion'\?"),
    (NO3, "NO3: {resname: NO3, sites: {O: O}}", r"species\.NO3: the role is missing.*cation, anion, solvent"),
    ("role: anion", "role: polymer", r"species\.NO3: nothing says what the units of its chains are.*role 'solvent'"),
    (NO3, "NO3: {role: anion}", r"species\.NO3: nothing says which atoms these are.*resname, smiles or atoms"),
    ("{resname: NO3,", '{resname: NO3, atoms: "4-15",', r"species\.NO3: both resname and atoms"),
    ("resname: NO3", 'atoms: "4-"', r"'4-' is no list of atom ranges.*'1-75'"),
    ("resname: NO3", 'atoms: "0-4"', r"the atom range '0-4' is empty or starts below 1"),
    ("resname: NO3", 'atoms: "9-4"', r"the atom range '9-4' is empty or starts below 1"),
    ("resname: NO3", 'atoms: "4-99"', r"species\.NO3\.atoms: atom 99 is beyond the last, 27"),
    ("{resname: LI}", "{resname: LI, role: anion}", r"species\.LI: the centre has the role 'anion'"),
    ("{resname: LI}", "{resname: LI, sites: {Li: Li}}", r"species\.LI: the centre has donor sites"),
    ("NO3-O: 2.6", "NO3-Q: 2.6", r"cutoffs\.NO3-Q \(line 7\): there is no donor site 'NO3-Q'\. Did you mean 'NO3:O'\?"),
    ("NO3-O: 2.6", "NO3-O: 0", r"cutoffs\.NO3-O \(line 7\): 0 Å is shorter than any contact"),
    ("NO3-O: 2.6", 'NO3-O: 2.6, "NO3:O": 2.7', r"'NO3:O' is given twice"),
    ("NO3-O: 2.6", "NO3-O: near", r"cutoffs\.NO3-O.*'near' is not a number"),
    ("resname: NO3", "resname: NOE", r"species\.NO3\.resname: no residue is named 'NOE'\. Did you mean 'NO3'\?"),
    (NO3 + "\n  ", "", r"there is no donor site 'NO3-O'"),
    ("resname: MOH", "resname: NO3", r"atom 4, name N1.*residue NO3 4 belongs to both 'NO3' and 'MeOH'"),
    ("sites: {O: O}}\n  MeOH", "sites: {P: P}}\n  MeOH", r"there is no donor site 'NO3-O'"),
    (SOLVENT, "role: solvent, sites: {O: S}", r"sites\.O: the site 'S' finds no atom\. Elements .* of MeOH: C, C1, H"),
    (SOLVENT, "role: solvent, sites: {O: O, x: [O1]}", r"atom 17, name O1.* is both 'MeOH:O' and 'MeOH:x'"),
    (SOLVENT, "role: solvent, sites: {O: OXX}", r"'OXX' is no element.*needs the molecule's bond orders.*\[OXX\]"),
    (SOLVENT, "smiles: CO, role: solvent, sites: {O: OXX}", r"'OXX' is neither an element nor a SMARTS"),
    (SOLVENT, "smiles: CO, role: solvent, sites: {O: '[OH]'}", r"no bonds to match a SMARTS on"),
    ("role: solvent,", "atoms_per_molecule: 5, role: solvent,", r"12 atoms do not divide into molecules of 5"),
    ("role: solvent,", "atoms_per_molecule: 4, role: solvent,", r"MeOH: its molecules differ: 2 × CH2O, 1 × H4"),
    ("role: anion", "role: cation", r"species\.NO3: its charge is not known.*charge"),
    ("role: anion", "role: anion, charge: 1", r"species\.NO3: its role is anion, its charge \+1"),
    ("role: anion", "role: anion, charge: -2", r"the charges add up to -3: 3 × LI \+1, 3 × NO3 -2"),
    ("cutoffs:", "elements: {QQ: O}\ncutoffs:", r"elements: no atom has the name or type 'QQ'"),
    ("cutoffs:", "elements: {N1: Nn}\ncutoffs:", r"elements\.N1: 'Nn' is no element"),
    ("cutoffs:", "frame_interval_ps: 0\ncutoffs:", r"frame_interval_ps.*out of range"),
    ("  MeOH:", "  Me:OH:", r"species\.Me:OH: 'Me:OH' is no species name"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD_MAPS, ids=[f"{m[1][:40]!r}" for m in BAD_MAPS])
def test_a_faulty_map_says_what_is_wrong_where_and_what_to_do(old, new, message, tmp_path):
    assert old in BY_NAME
    with pytest.raises(LmbmdError, match=message):
        table(pdb(tmp_path / "t.pdb"), BY_NAME.replace(old, new), tmp_path)


def test_atoms_that_no_species_covers_are_counted_and_named(tmp_path):
    text = BY_NAME.replace("  MeOH: {resname: MOH, role: solvent, sites: {O: O}}\n", "").replace(', "MeOH:O": 2.8', "")
    with pytest.raises(LmbmdError, match=r"12 of 27 atoms belong to no species, the first is atom 16, name C1.*MOH"):
        table(pdb(tmp_path / "t.pdb"), text, tmp_path)


@pytest.mark.parametrize(
    ("smiles", "message"),
    [
        ("CCO", r"species\.MeOH\.smiles: no molecule of the topology is 'CCO' \(C2H6O\).*CH4O, Li, NO3"),
        ("C((", r"'C\(\(' is no SMILES"),
        ("C.O", r"'C\.O' is more than one molecule"),
    ],
)
def test_a_smiles_that_finds_nothing_lists_what_is_there(smiles, message, tmp_path):
    with pytest.raises(LmbmdError, match=message):
        table(lammps_data(tmp_path / "t.data"), BY_SMILES.replace("smiles: CO,", f"smiles: {smiles},"), tmp_path)


def test_a_smiles_needs_bonds(tmp_path):
    with pytest.raises(LmbmdError, match="the topology has no bonds, so that a SMILES finds nothing"):
        table(gro(tmp_path / "t.gro"), BY_SMILES, tmp_path)


def test_a_centre_of_two_elements_is_refused(tmp_path):
    text = BY_RANGES.replace('"1-3"', '"1-4"').replace("4-15, role: anion, atoms_per_molecule: 4", "5-15, role: anion")
    with pytest.raises(LmbmdError, match=r"species\.Li: the centre is made of Li3N"):
        table(pdb(tmp_path / "t.pdb"), text, tmp_path)


def test_isomers_are_told_apart_by_their_bonds(tmp_path):
    u = mda.Universe.empty(
        19, n_residues=3, atom_resindex=[0] + [1] * 9 + [2] * 9, residue_segindex=[0] * 3, trajectory=True
    )
    u.add_TopologyAttr("elements", ["Li"] + ["C", "C", "O"] + ["H"] * 6 + ["C", "C", "O"] + ["H"] * 6)
    ethanol = [(1, 2), (2, 3), (3, 4), (2, 5), (2, 6), (1, 7), (1, 8), (1, 9)]
    ether = [(10, 12), (11, 12), (10, 13), (10, 14), (10, 15), (11, 16), (11, 17), (11, 18)]
    u.add_TopologyAttr("bonds", ethanol + ether)
    text = 'centre: Li\nnet_charge: 1\nspecies:\n  Li: {smiles: "[Li+]"}\n'
    text += "  EtOH: {smiles: CCO, role: solvent, sites: {O: O}}\n"
    text += "  Ether: {smiles: COC, role: diluent}\n"
    atoms, _ = table(u, text, tmp_path)
    assert atoms.species_id.tolist() == [0] + [1] * 9 + [2] * 9


def test_an_atom_without_element_is_named(tmp_path):
    path = lammps_data(tmp_path / "t.data")
    path.write_text(path.read_text(encoding="utf-8").replace("3 15.999", "3 15.03"), encoding="utf-8")
    message = (
        r"elements: the element of atom 5, type 3, .*mass 15\.03 is not known for certain: .*CH3.*elements: \{3: …\}"
    )
    with pytest.raises(LmbmdError, match=message):
        table(path, BY_SMILES, tmp_path)
    assert_is_the_box(*table(path, BY_SMILES + "elements: {3: O}\n", tmp_path))


def test_divalent_centres_and_given_charges_add_up(tmp_path):
    u = mda.Universe.empty(3, n_residues=3, atom_resindex=[0, 1, 2], residue_segindex=[0] * 3, trajectory=True)
    u.add_TopologyAttr("names", ["MG", "CL", "CL"])
    u.add_TopologyAttr("resnames", ["MG", "CL", "CL"])
    text = "centre: Mg\nspecies:\n  Mg: {resname: MG}\n  Cl: {resname: CL, role: anion, sites: {Cl: Cl}}\n"
    atoms, _ = table(u, text, tmp_path)
    assert [(s.name, s.charge) for s in atoms.species] == [("Mg", 2), ("Cl", -1)]
    given = text.replace("MG}", "MG, charge: 1}").replace("anion,", "anion, charge: -1,")
    with pytest.raises(LmbmdError, match=r"add up to -1: 1 × Mg \+1, 2 × Cl -1.*net_charge"):
        table(u, given, tmp_path)
    assert table(u, given + "net_charge: -1\n", tmp_path)[0].species[0].charge == 1


def test_a_yaml_that_is_none_is_refused(tmp_path):
    (tmp_path / "s.yaml").write_text("centre: [", encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"s\.yaml.*this is not YAML"):
        species_map.load(tmp_path / "s.yaml")


@pytest.mark.parametrize(
    "line",
    ["frame_interval_ps: .inf", "frame_interval_ps: .nan", "frame_interval_ps: 1.0e+308"]
    + [
        f"box: [{box}]"
        for box in (".nan, 36, 36", ".inf, 36, 36", "36, 36, 36, 60, 60, 120", "36, 36, 36, 10, 10, 170")
    ],
)
def test_an_interval_or_a_box_that_can_be_none_is_refused_at_once(tmp_path, line):
    path = tmp_path / "map.yaml"
    path.write_text(f"centre: LI\nspecies: {{LI: {{resname: LI}}}}\n{line}\n", encoding="utf-8")
    with pytest.raises(LmbmdError, match=f"{line.split(':')[0]}.*(is out of range|is no box)"):
        species_map.load(path)


def test_the_graph_of_a_long_smiles_is_found_in_a_moment():
    from lmbmd.trajectory.mapping.graphs import graph_of_smiles

    started = time.perf_counter()
    graph = graph_of_smiles("C" * 20_000, "map")
    assert len(graph.bonds) == 60_001 and graph.bonds[0] == (0, 1)
    assert time.perf_counter() - started < 10.0, "it was a minute, as the square of its length"
