"""What a foreign file does not state is told by the map, or follows from two independent signs, or is asked for.

Each test is one situation in which a guess once gave a wrong number, or one of its kind.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import os
import struct

import MDAnalysis as mda
import numpy as np
import pytest
from foreign_files import box, gro, lammps_data, pdb, prmtop, psf
from sheets import CHLORIDE, GAS, ION, MAP, MEOH, METHANOL, METHANOL_BONDS, SALTY, Sheet, asked, dump, table, trajectory

from lmbmd.core.errors import LmbmdError
from lmbmd.trajectory import headers, open_universe, read_frames, species_map
from lmbmd.trajectory.mapping import matching
from lmbmd.trajectory.mapping.elements import Evidence, assigned, decide
from lmbmd.trajectory.parts import Window

pytestmark = pytest.mark.filterwarnings("ignore")

# Who is a molecule


def test_residue_numbers_that_are_all_one_do_not_make_one_molecule_of_six(tmp_path):
    path = SALTY.pdb(tmp_path / "t.pdb", number=lambda residue: min(residue, 5))
    assert table(path, MAP, tmp_path).count("MeOH") == 6, "atom names and distances agree"


@pytest.mark.parametrize("told", ["formula: CH4O", "smiles: CO", "atoms_per_molecule: 6"])
def test_without_names_that_repeat_a_told_formula_or_number_of_atoms_decides(tmp_path, told):
    names = [
        n if n[0] in "LC" and len(n) == 2 and n[1] in "IL" else f"{e}{k:03d}"
        for k, (_, _, e, n, _) in enumerate(SALTY.rows)
    ]
    path = SALTY.pdb(tmp_path / "t.pdb", number=lambda residue: min(residue, 5), names=names)
    asked(r"species\.MeOH: which of its 36 atoms are one molecule is not certain.*formula", path, MAP, tmp_path)
    assert table(path, MAP.replace("resname: MOH,", f"resname: MOH, {told},"), tmp_path).count("MeOH") == 6


def test_residue_numbers_clipped_at_the_width_of_their_column_are_seen_through(tmp_path):
    path = SALTY.pdb(tmp_path / "t.pdb", number=lambda residue: min(9990 + residue, 9999))
    assert table(path, MAP, tmp_path).count("MeOH") == 6


def test_bonds_of_some_species_only_leave_the_others_to_their_residues(tmp_path):
    path = SALTY.pdb(tmp_path / "t.pdb", conect=SALTY.bonds[:5])
    atoms = table(path, MAP, tmp_path)
    assert (atoms.count("MeOH"), atoms.count("CL"), atoms.count("LI")) == (6, 2, 2)


def test_a_bond_between_an_ion_and_its_donor_is_a_contact(tmp_path):
    oxygen = next(i for i, row in enumerate(SALTY.rows) if row[2] == "O")
    conect = [*SALTY.bonds, (0, oxygen), (1, oxygen), (2, oxygen + 4)]
    atoms = table(SALTY.pdb(tmp_path / "t.pdb", conect=conect), MAP, tmp_path)
    assert (atoms.count("MeOH"), atoms.count("CL"), atoms.count("LI")) == (6, 2, 2)
    by_smiles = MAP.replace("resname: LI}", 'smiles: "[Li+]"}').replace("resname: MOH", "smiles: CO")
    assert table(tmp_path / "t.pdb", by_smiles, tmp_path).count("MeOH") == 6


def test_bonds_that_restrain_molecules_in_pairs_do_not_make_one_of_two(tmp_path):
    carbons = [k for k, row in enumerate(SALTY.rows) if row[2] == "C"]
    pairs = list(zip(carbons[::2], carbons[1::2], strict=True))
    path = SALTY.pdb(tmp_path / "t.pdb")
    u = mda.Universe(str(path))
    u.add_TopologyAttr("bonds", [*SALTY.bonds, *pairs])
    u.filename = "t.psf"  # names all bonds, which count for two signs
    asked(r"3 of 12 atoms by bonds.*; 6 of 6 atoms by residues and atom names and distances", u, MAP, tmp_path)
    dimers = table(u, MAP.replace("resname: MOH,", "resname: MOH, formula: C2H8O2,"), tmp_path)
    assert dimers.count("MeOH") == 3, "who says that they are bonded is believed"


HEXAFLUORIDE = ("PF6", [("P", "P1", (0.0, 0.0, 0.0))] + [
    ("F", f"F{k + 1}", 1.6 * (-1) ** k * np.eye(3)[k // 2]) for k in range(6)
], [(0, k) for k in range(1, 7)])  # fmt: skip


@pytest.mark.parametrize("stated", [True, False])
def test_an_anion_with_a_residue_for_each_atom_is_no_heap_of_fluorides(tmp_path, stated):
    salt = Sheet(ION, ION, HEXAFLUORIDE, HEXAFLUORIDE, *[MEOH] * 4)
    first = [k for k, row in enumerate(salt.rows) if row[1] == "PF6"]
    salt.rows = [(100 + k if k in first else row[0], *row[1:]) for k, row in enumerate(salt.rows)]
    text = MAP.replace("CL: {resname: CL, role: anion, sites: {Cl: Cl}}", "A: {resname: PF6, role: anion, sites: {}}")
    for conect in ([], salt.bonds):
        atoms = table(salt.pdb(tmp_path / "t.pdb", elements=stated, conect=conect), text, tmp_path)
        assert (atoms.count("A"), atoms.count("LI"), atoms.count("MeOH")) == (2, 2, 4)
    names = [row[2] if row[1] == "PF6" else row[3] for row in salt.rows]
    path = salt.pdb(tmp_path / "t.pdb", names=names, elements=stated)
    asked(r"species\.A: which of its 14 atoms are one molecule is not certain", path, text, tmp_path)
    for told in ("formula: PF6", "atoms_per_molecule: 7", "smiles: 'F[P-](F)(F)(F)(F)F'"):
        assert table(path, text.replace("resname: PF6,", f"resname: PF6, {told},"), tmp_path).count("A") == 2


def test_a_halide_of_a_file_that_is_one_residue_stands_alone(tmp_path):
    path = SALTY.pdb(tmp_path / "t.pdb", number=lambda _: 1, elements=False)
    atoms = table(path, MAP, tmp_path)
    assert (atoms.count("MeOH"), atoms.count("CL"), atoms.element.tolist().count("Cl")) == (6, 2, 2)


@pytest.mark.parametrize(("edge_A", "joined"), [(10.3, True), (6.5, False)])
def test_bonds_over_the_boundary_of_a_small_box_are_found(edge_A, joined):
    from lmbmd.trajectory.mapping.molecules import by_distance

    x = np.array([[1.0, 2.0, 2.0], [edge_A - 1.9, 2.0, 2.0]])
    pairs, _ = by_distance(x.astype(np.float32), np.array([edge_A] * 3 + [90.0] * 3, np.float32), np.array(["I", "I"]))
    assert bool(len(pairs)) == joined


def test_halves_of_equal_formula_are_not_taken_for_molecules(tmp_path):
    # Every second bond of N2 is missing: two groups N per molecule, all alike.
    gas = Sheet(ION, CHLORIDE, *[GAS] * 4)
    text = MAP.replace(
        "MeOH: {resname: MOH, role: solvent, sites: {O: O}}", "N2: {resname: N2, role: solvent, sites: {}}"
    )
    assert table(gas.pdb(tmp_path / "t.pdb", conect=[(0, 2)]), text, tmp_path).count("N2") == 4
    one = gas.pdb(tmp_path / "t.pdb", number=lambda residue: min(residue, 3), names=["LI", "CL"] + ["N"] * 8)
    asked(r"which of its 8 atoms are one .* 1 of 8 atoms by residues; .*4 of 2 atoms by distances", one, text, tmp_path)
    told = text.replace("resname: N2,", "resname: N2, formula: N2,")
    assert table(one, told, tmp_path).count("N2") == 4


def test_a_number_of_atoms_that_other_signs_deny_is_asked_about(tmp_path):
    path = SALTY.pdb(tmp_path / "t.pdb")
    text = MAP.replace("resname: MOH,", "resname: MOH, atoms_per_molecule: 12,")
    asked(r"others by other signs: 3 × C2H8O2 by the map; 6 of 6 atoms by residues", path, text, tmp_path)


def test_a_formula_is_compared_with_every_molecule(tmp_path):
    text = MAP.replace("resname: MOH,", "resname: MOH, formula: C2H8O2,")
    asked(r"no way of taking its atoms apart gives molecules of C2H8O2", SALTY.pdb(tmp_path / "t.pdb"), text, tmp_path)
    asked(r"formula: 'C1h' is no formula", tmp_path / "t.pdb", text.replace("C2H8O2", "C1h"), tmp_path)


def test_charges_add_up_even_where_all_are_told(tmp_path):
    text = MAP.replace("role: anion,", "role: anion, charge: -2,").replace("resname: LI}", "resname: LI, charge: 1}")
    asked(r"the charges add up to -2", SALTY.pdb(tmp_path / "t.pdb"), text, tmp_path)
    assert table(tmp_path / "t.pdb", text + "net_charge: -2\n", tmp_path).count("CL") == 2


def test_chains_of_several_lengths_are_one_species_if_the_map_says_so(tmp_path):
    universe = mda.Universe.empty(14, n_residues=3, atom_resindex=[0] + [1] * 5 + [2] * 8, residue_segindex=[0] * 3)
    universe.add_TopologyAttr("elements", ["Li", *"COCOC", *"COCOCOCO"])
    universe.add_TopologyAttr("resnames", ["LI", "PEO", "PEO"])
    universe.add_TopologyAttr("bonds", [(i, i + 1) for i in (1, 2, 3, 4, *range(6, 13))])
    text = "centre: LI\nnet_charge: 1\nspecies:\n  LI: {resname: LI}\n  PEO: {resname: PEO, role: solvent, sites: {}}\n"
    asked("its molecules differ.*polydisperse", universe, text, tmp_path)
    assert table(universe, text.replace("PEO,", "PEO, polydisperse: true,"), tmp_path).count("PEO") == 2


# Which element


@pytest.mark.parametrize("hydrogen_amu", [3.0, 3.024, 4.0])
def test_masses_moved_to_hydrogens_do_not_turn_an_oxygen_into_a_nitrogen(tmp_path, hydrogen_amu):
    path = psf(tmp_path / "t.psf")
    rows, bonds = box()
    mass = {"C": 12.011, "O": 15.999, "N": 14.007, "H": 1.008, "Li": 6.94}
    heavy = [mass[e] for _, _, e, _, _ in rows]
    for i, j in bonds:
        for a, b in ((i, j), (j, i)):
            if rows[b][2] == "H":
                heavy[a] -= hydrogen_amu - 1.008
                heavy[b] = hydrogen_amu
    lines, atom = path.read_text(encoding="utf-8").splitlines(), 0
    for k, line in enumerate(lines):
        if len(line.split()) == 9 and atom < len(rows):
            lines[k] = line.replace(f"{mass[rows[atom][2]]:13.4f}", f"{heavy[atom]:13.4f}")
            atom += 1
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    text = MAP.replace("CL: {resname: CL, role: anion, sites: {Cl: Cl}}", "NO3: {resname: NO3, role: anion, sites: {}}")
    atoms = table(path, text, tmp_path)
    assert atoms.element.tolist() == [row[2] for row in rows]
    assert atoms.mass_amu[atoms.element == "H"] == pytest.approx(1.008)
    assert float(atoms.mass_amu[atoms.element == "O"][-1]) == pytest.approx(15.999)


def evidence(**said):
    return Evidence(
        **{"told": "", "name": "", "kind": "", "residue": "", "mass_amu": None, "alone": False, "bonds": None} | said
    )


@pytest.mark.parametrize(
    ("said", "element"),
    [
        ({"name": "C1", "mass_amu": 12.011}, "C"),
        ({"name": "CL3", "bonds": 1}, "Cl"),
        ({"name": "NA", "bonds": 3}, "N"),
        ({"name": "NA", "alone": True}, "Na"),
        ({"name": "POT", "alone": True}, "K"),
        ({"name": "CES", "residue": "CES", "alone": True}, "Cs"),
        ({"name": "X", "residue": "SOD", "alone": True}, "Na"),
        ({"name": "Zn2+", "alone": True}, "Zn"),
        ({"kind": "3", "mass_amu": 15.9994, "bonds": 2}, "O"),
        ({"kind": "3", "mass_amu": 6.94, "alone": True}, "Li"),
        ({"name": "opls_135", "mass_amu": 12.011, "bonds": 4}, "C"),
        ({"name": "D1", "mass_amu": 2.014, "bonds": 1}, None),
        ({"name": "1HB", "bonds": 1}, "H"),
        ({"name": "O1", "bonds": 3}, "O"),  # H3O+
        ({"name": "CL1", "bonds": 1}, "Cl"),
        # Not known for certain
        ({"name": "CH2", "kind": "CH2", "mass_amu": 14.027, "bonds": 2}, None),
        ({"kind": "2", "mass_amu": 14.027, "bonds": 2}, None),
        ({"name": "O2", "mass_amu": 14.007, "bonds": 2}, None),
        ({"name": "O2"}, None),
        ({"name": "opls_135", "bonds": 4}, None),
        ({"name": "H1", "bonds": 2}, None),
        ({"name": "MW", "bonds": 0}, None),
        ({"name": "DUM", "bonds": 1}, None),
        ({"name": "D1", "bonds": 1}, None),
        ({"name": "CLAA", "bonds": 1}, None),
        ({"name": "P", "alone": True}, None),
        ({"kind": "7", "mass_amu": 31.0, "alone": True}, None),
        ({"name": "POT", "alone": True, "mass_amu": 22.99}, None),
    ],
)
def test_an_element_is_told_or_agreed_upon_by_two_signs(said, element):
    assert decide(evidence(**said)).element == element


def test_a_dump_in_which_every_mass_is_one_is_not_all_hydrogen(tmp_path):
    universe = mda.Universe.empty(5, n_residues=2, atom_resindex=[0, 1, 1, 1, 1], residue_segindex=[0] * 2)
    universe.add_TopologyAttr("types", ["1", "2", "3", "3", "3"])
    universe.add_TopologyAttr("masses", [1.0] * 5)
    universe.add_TopologyAttr("resnames", ["LI", "NO3"])
    text = "centre: LI\nspecies:\n  LI: {resname: LI}\n  NO3: {resname: NO3, role: anion, sites: {}}\n"
    asked(r"the element of atom 2, type 2, .* is not known for certain", universe, text, tmp_path)


def test_a_united_carbon_keeps_the_mass_of_its_hydrogens(tmp_path):
    universe = mda.Universe.empty(4, n_residues=2, atom_resindex=[0, 1, 1, 1], residue_segindex=[0] * 2)
    universe.add_TopologyAttr("names", ["LI", "CH3", "CH2", "CH3"])
    universe.add_TopologyAttr("masses", [6.94, 15.035, 14.027, 15.035])
    universe.add_TopologyAttr("resnames", ["LI", "PRO"])
    universe.add_TopologyAttr("bonds", [(1, 2), (2, 3)])
    text = "centre: LI\nnet_charge: 1\nspecies:\n  LI: {resname: LI}\n  P: {resname: PRO, role: solvent, sites: {}}\n"
    asked(r"atom 2, name CH3.*its mass is 15\.0[34].*CH3 as one particle", universe, text, tmp_path)
    atoms = table(universe, text + "elements: {CH3: C, CH2: C}\n", tmp_path)
    assert atoms.mass_amu.tolist() == pytest.approx([6.94, 15.035, 14.027, 15.035], abs=0.01)


def test_an_element_that_is_told_against_two_signs_that_agree_is_refused(tmp_path):
    path = SALTY.pdb(tmp_path / "t.pdb")
    for name, wrong, right in (("C1", "N", "C"), ("LI", "Na", "Li")):
        said = rf"elements: by its key atom .* is {wrong}, but the file says {right} and its name is one of {right}"
        asked(said, path, MAP + f"elements: {{{name}: {wrong}}}\n", tmp_path)
    assert table(path, MAP + "elements: {C1: C, LI: Li}\n", tmp_path).count("MeOH") == 6


@pytest.mark.parametrize(
    ("said", "override", "element"),
    [
        # The mass is that of what the map says.
        ({"told": "CL", "name": "CL", "mass_amu": 12.011, "bonds": 3}, "C", "C"),
        ({"told": "N", "name": "CH2", "mass_amu": 14.027, "bonds": 2}, "C", "C"),
        ({"told": "N", "name": "CH2", "mass_amu": 14.027, "bonds": 2}, "CH2", "C"),
        ({"told": "LI", "name": "LI", "mass_amu": 39.1, "alone": True}, "K", "K"),
        # One sign against it: the name may be either's, or the mass.
        ({"told": "CL", "name": "CL", "bonds": 3}, "C", "C"),
        ({"told": "N", "name": "CH2", "mass_amu": 14.0, "bonds": 2}, "CH2", "C"),
        # Two signs against it.
        ({"told": "CL", "name": "CL", "mass_amu": 35.45, "bonds": 1}, "C", None),
        ({"told": "CL", "name": "CL", "alone": True}, "C", None),
        ({"told": "NA", "name": "NA", "mass_amu": 22.99, "alone": True}, "N", None),
        ({"told": "N", "name": "N1", "mass_amu": 14.007, "bonds": 3}, "C", None),
        ({"told": "N", "name": "N1", "mass_amu": 14.0, "bonds": 2}, "C", None),
        ({"told": "N", "name": "N1", "mass_amu": 14.007, "bonds": 3}, "CH2", None),
        ({"told": "C", "name": "C1", "mass_amu": 14.027, "bonds": 2}, "N", None),
        ({"name": "C1", "mass_amu": 12.011, "bonds": 4}, "N", None),
    ],
)
def test_a_told_element_is_refused_only_where_two_signs_speak_against_it_and_the_mass_not_for_it(
    said, override, element
):
    kind = evidence(**said)
    if element is None:
        with pytest.raises(LmbmdError, match=rf"by its key atom 1 is {override}, but .* and "):
            assigned([kind], {kind.name: override}, "elements")
    else:
        assert assigned([kind], {kind.name: override}, "elements").tolist() == [element]


def test_a_smiles_of_another_ion_than_its_atoms_are_is_refused(tmp_path):
    path = SALTY.pdb(tmp_path / "t.pdb")
    for told in ('smiles: "[Na+]"', "formula: Na"):
        text = MAP.replace("{resname: LI}", f"{{resname: LI, {told}}}")
        asked(r"species\.LI: its atoms are Li, and by the map Na", path, text, tmp_path)
    assert table(path, MAP.replace("{resname: LI}", '{resname: LI, smiles: "[Li+]"}'), tmp_path).count("LI") == 2


@pytest.mark.parametrize("metal", ["Fe", "Mn", "Zn", "Mg"])
def test_an_ion_of_any_metal_beside_its_donor_is_no_unit_of_a_chain(tmp_path, metal):
    beside = (metal.upper(), [(metal, metal.upper(), (1.41, 3.9, 0.0))], [])  # 2.1 Å from the O of residue 5
    path = Sheet(beside, CHLORIDE, CHLORIDE, *[MEOH] * 6).pdb(tmp_path / "t.pdb")
    text = MAP.replace("LI: {resname: LI}", f"M: {{resname: {metal.upper()}, charge: 2}}").replace(": LI", ": M")
    atoms = table(path, text, tmp_path)
    assert (atoms.count("M"), atoms.count("MeOH")) == (1, 6)


# Sites that are no atoms

WATER = [
    ("O", "OW", (0.0, 0.0, 0.0)),
    ("H", "HW1", (0.96, 0.0, 0.0)),
    ("H", "HW2", (-0.24, 0.93, 0.0)),
    ("", "MW", (0.1, 0.1, 0.0)),
]
WET = Sheet(ION, CHLORIDE, *[("SOL", WATER, [])] * 4)
WET_MAP = MAP.replace("MeOH: {resname: MOH", "W: {resname: SOL")


@pytest.mark.parametrize("more", ["", "elements: {MW: O}\n", "elements: {MW: H}\n"])
def test_a_virtual_site_is_never_called_an_element(tmp_path, more):
    path = WET.pdb(tmp_path / "t.pdb", elements=False)
    asked(r"MW.*not_atoms", path, WET_MAP + more, tmp_path)


def test_two_molecules_that_overlap_are_not_taken_for_sites_that_are_no_atoms(tmp_path):
    sheet = Sheet(ION, CHLORIDE, *[("MOH", METHANOL, METHANOL_BONDS)] * 6)
    sheet.rows[8] = (*sheet.rows[8][:4], sheet.rows[2 + 5][4] + 0.2)  # one atom of the second on one of the first
    path = sheet.pdb(tmp_path / "t.pdb", number=lambda residue: residue if residue < 3 else 3)
    atoms = table(path, MAP.replace("role: solvent,", "role: solvent, atoms_per_molecule: 6,"), tmp_path)
    assert len(atoms) == 2 + 6 * 6


def test_sites_that_are_no_atoms_are_left_out_of_tables_and_frames(tmp_path):
    path = WET.pdb(tmp_path / "t.pdb")
    universe = open_universe(path)
    (tmp_path / "map.yaml").write_text(WET_MAP + "not_atoms: [MW]\n", encoding="utf-8")
    atoms, order = matching.atom_table(universe, species_map.load(tmp_path / "map.yaml"))
    assert len(atoms) == 2 + 4 * 3 and "".join(atoms.element[2:]) == "OHH" * 4
    frame = next(iter(read_frames(universe, atoms, order=order)))
    real = [row[4] for row in WET.rows if row[3] != "MW"]
    np.testing.assert_allclose(frame.positions, real, atol=1e-3)


def test_atom_numbers_are_those_of_the_file_also_where_sites_are_left_out(tmp_path):
    more = "not_atoms: [MW]\nnet_charge: 0\n"
    by_number = WET_MAP.replace("resname: SOL,", "atoms: 3-18, formula: H2O,") + more
    path = WET.pdb(tmp_path / "t.pdb")
    named, numbered = table(path, WET_MAP + more, tmp_path), table(path, by_number, tmp_path)
    assert numbered.species_id.tolist() == named.species_id.tolist()
    last = by_number.replace("3-18", "3-14") + ""
    asked(r"3 of 14 atoms belong to no species, the first is atom 15", path, last, tmp_path)
    asked(r"atom 19 is beyond the last, 18", path, by_number.replace("3-18", "3-19"), tmp_path)


def test_the_charge_of_an_atom_is_not_known_where_a_site_beside_it_that_is_no_atom_has_some(tmp_path):
    universe = mda.Universe.empty(6, n_residues=2, atom_resindex=[0, 1, 1, 1, 1, 1], residue_segindex=[0] * 2)
    universe.add_TopologyAttr("names", ["LI", "C1", "DC1", "O1", "DO1", "LP1"])
    universe.add_TopologyAttr("masses", [6.94, 11.611, 0.4, 15.599, 0.4, 0.0])
    universe.add_TopologyAttr("charges", [1.0, 1.5, -1.2, 1.1, -1.3, -0.1])
    universe.add_TopologyAttr("resnames", ["LI", "CO"])
    universe.add_TopologyAttr("bonds", [(1, 2), (3, 4), (1, 3), (3, 5)])
    text = "centre: LI\nnet_charge: 1\nspecies:\n  LI: {resname: LI}\n  CO: {resname: CO, role: solvent, sites: {}}\n"
    atoms = table(universe, text + "not_atoms: [DC1, DO1, LP1]\n", tmp_path)
    assert atoms.element.tolist() == ["Li", "C", "O"]
    assert atoms.charge_e.tolist() == pytest.approx([1.0, np.nan, np.nan], nan_ok=True)
    universe.atoms.charges = [1.0, 0.3, 0.0, 1.1, -1.3, -0.1]
    atoms = table(universe, text + "not_atoms: [DC1, DO1, LP1]\n", tmp_path)
    assert atoms.charge_e.tolist() == pytest.approx([1.0, 0.3, np.nan], nan_ok=True)
    asked(r"not_atoms\.0: no site has the name or type 'DX'", universe, text + "not_atoms: [DX]\n", tmp_path)


# SMARTS on a graph without bond orders


@pytest.mark.parametrize(
    ("smiles", "smarts", "expected"),
    [
        ("[O-]P(=O)(F)F", "O=P", 2),
        ("[O-]P(=O)(F)F", "[O-]", 2),
        ("[O-][N+](=O)[O-]", "O=N", 3),
        ("CC(=O)[O-]", "O=C", 2),
        ("O=C1OCCO1", "O=C", 1),
        ("COC(C)=O", "[OX2]", 1),
    ],
)
def test_a_pattern_takes_all_atoms_that_the_graph_cannot_tell_apart(smiles, smarts, expected):
    from rdkit import Chem

    from lmbmd.trajectory.mapping.graphs import graph_of_smiles, matched_atoms

    graph = graph_of_smiles(smiles, "map")
    for shuffled in range(3):
        order = np.random.default_rng(shuffled).permutation(len(graph.elements))
        mol = Chem.RenumberAtoms(Chem.AddHs(Chem.MolFromSmiles(smiles)), [int(k) for k in order])
        bonds = tuple(
            sorted((min(b), max(b)) for b in ((x.GetBeginAtomIdx(), x.GetEndAtomIdx()) for x in mol.GetBonds()))
        )
        turned = graph._replace(elements=tuple(a.GetSymbol() for a in mol.GetAtoms()), bonds=bonds)
        found = matched_atoms(turned, smiles, smarts, "map")
        assert len(found) == expected and {turned.elements[i] for i in found} == {"O"}


# What time it is


def frames_of(universe, tmp_path, more=""):
    (tmp_path / "map.yaml").write_text(MAP + more, encoding="utf-8")
    from lmbmd.trajectory.foreign import open_foreign

    return [f.time_ps for f in open_foreign(universe, tmp_path / "map.yaml")[1]]


UNKNOWN = "how much time passes between its frames is not known"


def test_arrays_in_memory_have_no_clock(tmp_path):
    topology, path = trajectory(tmp_path, "t.xtc")
    u = mda.Universe(str(topology), str(path))
    assert frames_of(u, tmp_path) == [0.0, 5.0, 10.0]
    positions = np.array([u.atoms.positions for _ in u.trajectory])
    u.load_new(positions, dimensions=np.array([[26.0, 26, 26, 90, 90, 90]] * 3))
    with pytest.raises(LmbmdError, match=UNKNOWN):
        frames_of(u, tmp_path)
    assert frames_of(u, tmp_path, "frame_interval_ps: 5\n") == [0.0, 5.0, 10.0]
    u = mda.Universe(str(topology), str(path))
    u.transfer_to_memory()
    with pytest.raises(LmbmdError, match=UNKNOWN):
        frames_of(u, tmp_path)


@pytest.mark.parametrize("suffix", ["xtc", "trr", "nc"])
def test_times_that_are_the_numbers_of_their_frames_are_not_believed_in_any_format(tmp_path, suffix):
    # What MDAnalysis, MDTraj and cpptraj make of arrays in memory, an XYZ or a PDB file.
    topology, path = trajectory(tmp_path, f"t.{suffix}", dt=1.0)
    for source in (path, [str(path)]):
        u = mda.Universe(str(topology), source)
        with pytest.raises(LmbmdError, match=f"{UNKNOWN}: its times.*are the numbers of its frames"):
            frames_of(u, tmp_path)
        assert frames_of(u, tmp_path, "frame_interval_ps: 5\n") == [0.0, 5.0, 10.0], "no contradiction"
        assert frames_of(u, tmp_path, "frame_interval_ps: 1\n") == [0.0, 1.0, 2.0]
    assert frames_of(mda.Universe(str(topology), str(path), dt=2.0), tmp_path) == [0.0, 2.0, 4.0]


def test_the_dt_of_a_universe_is_that_of_a_step_in_a_dump_and_no_step_is_as_long_as_a_frame(tmp_path):
    topology, path = SALTY.pdb(tmp_path / "top.pdb"), dump(tmp_path / "a.lammpstrj")
    u = mda.Universe(str(topology), str(path), format="LAMMPSDUMP", dt=0.001)
    assert frames_of(u, tmp_path) == [0.0, 0.5, 1.0]
    u = mda.Universe(str(topology), str(path), format="LAMMPSDUMP", dt=5.0)
    with pytest.raises(LmbmdError, match=f"{UNKNOWN}: the dt of 5 ps .* multiplied with the steps"):
        frames_of(u, tmp_path)
    assert frames_of(u, tmp_path, "frame_interval_ps: 5\n") == [0.0, 5.0, 10.0]


def test_frames_that_an_engine_wrote_every_picosecond_are_believed(tmp_path):
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    topology, _ = trajectory(tmp_path, "t.xtc")
    u = mda.Universe(str(topology))
    for name, rows in {"gromacs": [(0, 0.0), (500, 1.0), (1000, 2.0)], "lmbmd": [(1, 1.0), (2, 2.0)]}.items():
        with XTCFile(str(tmp_path / f"{name}.xtc"), "w") as out:
            for step, time_ps in rows:
                out.write(u.atoms.positions / 10, 2.6 * np.eye(3, dtype=np.float32), step, time_ps, 1000)
        u.load_new(str(tmp_path / f"{name}.xtc"))
        assert frames_of(u, tmp_path) == [time_ps for _, time_ps in rows]


@pytest.mark.parametrize("wrap", ["plain", "chain", "memory"])
def test_a_lammps_dump_counts_steps_in_any_wrapper(tmp_path, wrap):
    topology = SALTY.pdb(tmp_path / "top.pdb")
    pieces = [dump(tmp_path / "a.lammpstrj"), dump(tmp_path / "b.lammpstrj", (1500, 2000))]
    files = [str(p) for p in pieces] if wrap == "chain" else str(pieces[0])
    u = mda.Universe(str(topology), files, format="LAMMPSDUMP")
    if wrap == "memory":
        u.transfer_to_memory()
    with pytest.raises(LmbmdError, match=UNKNOWN):
        frames_of(u, tmp_path)
    told = frames_of(u, tmp_path, "frame_interval_ps: 0.5\n")
    assert told == [0.5 * k for k in range(5 if wrap == "chain" else 3)]


def dcd_header(path, *, delta=None, nsavc=None, title=None):
    """Change what the header of a DCD file says."""
    raw = bytearray(path.read_bytes())
    if nsavc is not None:
        raw[16:20] = struct.pack("<i", nsavc)
    if delta is not None:
        raw[44:48] = struct.pack("<f", delta)
    if title is not None:
        raw[100:180] = title.encode().ljust(80)[:80]
    path.write_bytes(bytes(raw))
    return path


@pytest.mark.parametrize(
    ("header", "why"),
    [
        ({"delta": 1.0, "nsavc": 1}, "VMD and MDTraj"),
        ({"delta": 1.0 / 4.888821e-2, "nsavc": 1}, "MDAnalysis"),
        ({"nsavc": 0}, "says 0 steps"),
        ({"delta": 0.0}, "steps of 0"),
        ({"title": "Written by LAMMPS"}, "LAMMPS writes"),
        ({"title": "REMARK CORD DCD file created by CP2K version 2024.1", "delta": 0.5, "nsavc": 10}, "CP2K writes"),
        ({"delta": 1.0, "nsavc": 10}, "10 steps of 48.9 fs"),
    ],
)
def test_a_dcd_header_that_is_a_placeholder_is_not_believed(tmp_path, header, why):
    topology, path = trajectory(tmp_path, "t.dcd")
    assert frames_of((topology, path), tmp_path) == pytest.approx([0.0, 5.0, 10.0], rel=1e-5)
    dcd_header(path, **header)
    with pytest.raises(LmbmdError, match=f"{UNKNOWN}: .*{why}"):
        frames_of((topology, path), tmp_path)
    assert frames_of((topology, path), tmp_path, "frame_interval_ps: 2\n") == [0.0, 2.0, 4.0]


def test_times_of_amber_and_openmm_files_are_believed(tmp_path):
    assert frames_of(trajectory(tmp_path, "t.nc"), tmp_path) == [0.0, 5.0, 10.0]
    topology, path = trajectory(tmp_path, "t.dcd")
    dcd_header(path, title="Created by OpenMM", delta=0.002 / 4.888821e-2, nsavc=500)
    assert frames_of((topology, path), tmp_path) == pytest.approx([0.0, 1.0, 2.0], rel=1e-5)


def test_an_interval_that_is_rather_a_mistaken_unit_is_questioned(tmp_path):
    for dt in (2e-4, 5e5):
        pair = trajectory(tmp_path, "t.xtc", dt=dt)
        with pytest.raises(LmbmdError, match=r"ps between its first two frames.*frame_interval_ps"):
            frames_of(pair, tmp_path)
    assert frames_of(pair, tmp_path, "frame_interval_ps: 500000\n") == [0.0, 5e5, 1e6]


@pytest.mark.parametrize("name", ["t.xtc", "t.trr", "t.dcd", "t.nc", "t.h5md"])
def test_an_interval_that_is_told_otherwise_than_the_file_states_it_is_refused(tmp_path, name):
    if name == "t.h5md":
        pytest.importorskip("h5py")
    pair = trajectory(tmp_path, name)
    believed = pytest.approx([0.0, 5.0, 10.0], rel=1e-5)
    assert frames_of(pair, tmp_path) == frames_of(pair, tmp_path, "frame_interval_ps: 5\n") == believed
    with pytest.raises(LmbmdError, match=r"file says 5 ps .*first two frames.*species map 10 ps.*clock_is_wrong: true"):
        frames_of(pair, tmp_path, "frame_interval_ps: 10\n")
    wrong = "frame_interval_ps: 10\nclock_is_wrong: true\n"
    assert frames_of(pair, tmp_path, wrong) == [0.0, 10.0, 20.0]
    with pytest.raises(LmbmdError, match=r"clock_is_wrong: .*right ones are not told.*frame_interval_ps"):
        frames_of(pair, tmp_path, "clock_is_wrong: true\n")


def test_the_interval_between_stored_frames_is_compared_also_where_only_some_are_wanted(tmp_path):
    from lmbmd.trajectory.foreign import open_foreign

    pair, every = trajectory(tmp_path, "t.xtc"), Window(every_ps=10.0)
    for told, times in ((5, [0.0, 10.0]), (10, None)):
        (tmp_path / "map.yaml").write_text(f"{MAP}frame_interval_ps: {told}\n", encoding="utf-8")
        if times:
            assert [f.time_ps for f in open_foreign(pair, tmp_path / "map.yaml", every)[1]] == times
        else:
            with pytest.raises(LmbmdError, match=r"file says 5 ps .*species map 10 ps"):
                open_foreign(pair, tmp_path / "map.yaml", every)


@pytest.mark.parametrize("name", ["t.xtc", "t.dcd"])
def test_a_dt_of_a_universe_and_the_map_must_say_the_same(tmp_path, name):
    topology, path = trajectory(tmp_path, name)
    u = mda.Universe(str(topology), str(path), dt=2.0)
    assert frames_of(u, tmp_path) == frames_of(u, tmp_path, "frame_interval_ps: 2\n") == [0.0, 2.0, 4.0]
    with pytest.raises(LmbmdError, match=r"file says 2 ps .*species map 5 ps"):
        frames_of(u, tmp_path, "frame_interval_ps: 5\n")


def test_a_clock_that_stands_still_states_nothing(tmp_path):
    pair = trajectory(tmp_path, "t.xtc", dt=0.0)
    with pytest.raises(LmbmdError, match=r"frame 1: the time is 0 ps, after 0 ps"):
        frames_of(pair, tmp_path)
    assert frames_of(pair, tmp_path, "frame_interval_ps: 2\n") == [0.0, 2.0, 4.0]


def test_frames_that_are_missing_in_a_lammps_dump_take_their_time(tmp_path):
    told = "frame_interval_ps: 0.5\n"
    pair = SALTY.pdb(tmp_path / "top.pdb"), dump(tmp_path / "t.lammpstrj", (1000, 1500, 2000, 5000, 5500))
    assert frames_of(pair, tmp_path, told) == [0.0, 0.5, 1.0, 4.0, 4.5]
    from lmbmd.trajectory.foreign import open_foreign

    frames = open_foreign(pair, tmp_path / "map.yaml")[1]
    assert [f.time_ps for f in frames.part(1, 5, 2)] == [0.5, 4.0]
    assert [f.time_ps for f in frames.part(2, 5)] == [1.0, 4.0, 4.5], "also in a part that another process reads"
    assert frames_of(pair, tmp_path, told + "clock_is_wrong: true\n") == [0.5 * k for k in range(5)]
    dump(pair[1], (0, 500, 1000, 0, 500))
    with pytest.raises(LmbmdError, match=r"frame 3: the time is 0 ps, after 1 ps .*clock_is_wrong: true"):
        frames_of(pair, tmp_path, told)
    dump(pair[1], (0, 0, 0))
    assert frames_of(pair, tmp_path, told) == [0.0, 0.5, 1.0], "steps that are not counted"


@pytest.mark.parametrize("opener", [open, gzip.open])
@pytest.mark.parametrize("early", [(0, 137), (500123,)])
def test_the_told_interval_of_a_dump_is_its_usual_gap_not_that_after_its_first_frame(tmp_path, early, opener):
    """A minimisation before the run, or a restart that writes its first frame."""
    from lmbmd.trajectory.foreign import open_foreign

    begun = -(-early[-1] // 1000) * 1000
    steps = np.array([*early, *range(begun, begun + 102_000, 1000)])
    name = "t.lammpstrj" + ".gz" * (opener is gzip.open)
    pair = SALTY.pdb(tmp_path / "top.pdb"), dump(tmp_path / name, steps, opener=opener)
    (tmp_path / "map.yaml").write_text(f"{MAP}frame_interval_ps: 2\n", encoding="utf-8")
    frames = open_foreign(pair, tmp_path / "map.yaml")[1]
    for start, step in ((0, 1), (0, 10), (0, 50), (1, 50)):
        times_ps = [f.time_ps for f in frames.part(start, len(frames), step)]
        assert np.diff(times_ps) == pytest.approx(np.diff(steps[start::step]) * 2.0 / 1000), (start, step)


def test_a_dump_without_a_usual_gap_is_refused_and_a_damaged_end_is_left_out(tmp_path):
    pair = SALTY.pdb(tmp_path / "top.pdb"), dump(tmp_path / "t.lammpstrj", (0, 137, 1000, 2000))
    told = "frame_interval_ps: 2\n"
    with pytest.raises(LmbmdError, match=r"t\.lammpstrj.* 137, 863, 1000 steps .*no gap .*one interval") as found:
        frames_of(pair, tmp_path, told)
    assert "clock_is_wrong" not in str(found.value), "that counts every frame as one interval"
    from lmbmd.trajectory.foreign import open_foreign

    dump(pair[1], (0, 1000, 2000, "damage"))
    assert [f.time_ps for f in open_foreign(pair, tmp_path / "map.yaml", Window(end_ps=4))[1]] == [0, 2, 4]
    with pytest.raises(LmbmdError, match=r"frame 3: the frame cannot be read .*stop = 3"):
        frames_of(pair, tmp_path, told)


def xyz(path, *comments):
    rows = "".join(f"{e} {x} {y} {z}\n" for _, _, e, _, (x, y, z) in SALTY.rows)
    path.write_text("".join(f"{len(SALTY.rows)}\n{comment}\n{rows}" for comment in comments), encoding="utf-8")
    return SALTY.pdb(path.with_name("top.pdb")), path


def test_an_interval_that_contradicts_the_times_that_cp2k_writes_is_refused(tmp_path):
    pair = xyz(tmp_path / "t.xyz", *(f" i = {10 * k:8d}, time = {5.0 * k:12.3f}, E = -1.5" for k in range(3)))
    told = "box: [26, 26, 26]\nframe_interval_ps: 0.005\n"
    assert frames_of(pair, tmp_path, told) == pytest.approx([0, 0.005, 0.01])
    with pytest.raises(LmbmdError, match=r"the file says 0\.005 ps .*species map 5 ps"):
        frames_of(pair, tmp_path, told.replace("0.005", "5"))
    assert frames_of(pair, tmp_path, told.replace("0.005", "5") + "clock_is_wrong: true\n") == [0, 5, 10]


def test_a_box_that_contradicts_the_lattice_of_an_extended_xyz_file_is_refused(tmp_path):
    one, other = (f'Lattice="{x} 0 0 0 0 26 0 -26 0" Properties=species:S:1:pos:R:3' for x in (26.0, 27.0))
    told = "frame_interval_ps: 1\nbox: [26, 26, 26]\n"
    assert len(frames_of(xyz(tmp_path / "t.xyz", one, one, "a comment"), tmp_path, told)) == 3
    said = r't\.xyz, frame 1: the file says Lattice="27 0 0 .*, the species map 26 × 26 × 26 Å'
    with pytest.raises(LmbmdError, match=said):
        frames_of(xyz(tmp_path / "t.xyz", one, other), tmp_path, told)


def text_is_utf8() -> bool:
    """Whether MDAnalysis' readers take text as UTF-8: the shell's encoding, or what a library has since made of it."""
    with open(os.devnull) as stream:  # opened as they open a file
        return codecs.lookup(stream.encoding).name == "utf-8"


@pytest.mark.parametrize(("head", "left"), [("0", 1), ("²", 0), ("-3", 0), ("9" * 30, 0), ("9" * 5000, 0)])
def test_a_frame_of_an_xyz_file_that_counts_no_atoms_is_no_traceback(tmp_path, head, left):
    one = 'Lattice="26 0 0 0 26 0 0 0 26"'
    pair = xyz(tmp_path / "t.xyz", one, one)
    whole = pair[1].read_text(encoding="utf-8")
    pair[1].write_text(f"{whole}{head}\n{one}\n", encoding="utf-8")
    assert len(list(headers.xyz_comments(pair[1]))) == 2 + left
    first, second = whole[: len(whole) // 2], whole[len(whole) // 2 :]
    pair[1].write_text(first + second.replace(str(len(SALTY.rows)), head, 1), encoding="utf-8")
    if not head.isascii() and not text_is_utf8():
        with pytest.raises(LmbmdError, match="Set PYTHONUTF8=1"):
            frames_of(pair, tmp_path, "frame_interval_ps: 1\nbox: [26, 26, 26]\n")
        return
    assert frames_of(pair, tmp_path, "frame_interval_ps: 1\nbox: [26, 26, 26]\n") == [0, 1], "its rows are whole"


def test_text_in_another_encoding_is_refused_with_what_to_do(tmp_path):
    pair = xyz(tmp_path / "t.xyz", "a comment", "lengths in \u00c5")
    told = "frame_interval_ps: 1\nbox: [26, 26, 26]\n"
    if text_is_utf8():
        assert len(frames_of(pair, tmp_path, told)) == 2
    pair[1].write_bytes(pair[1].read_text(encoding="utf-8").encode("latin-1"))
    with pytest.raises(LmbmdError, match=r"t\.xyz.*Set PYTHONUTF8=1.*iconv"):
        frames_of(pair, tmp_path, told)


@pytest.mark.parametrize(("told", "most"), [("", 2), ("clock_is_wrong: true\n", 0)])
def test_comments_of_an_xyz_file_are_read_only_as_far_as_something_is_told(tmp_path, monkeypatch, told, most):
    pair = xyz(tmp_path / "t.xyz", *["a comment"] * 5)
    read, comments = [], headers.xyz_comments
    monkeypatch.setattr(headers, "xyz_comments", lambda path: (read.append(said) or said for said in comments(path)))
    with pytest.raises(LmbmdError, match="no periodic box"):
        frames_of(pair, tmp_path, f"frame_interval_ps: 1\n{told}")
    assert len(read) == most
    frames_of(pair, tmp_path, "frame_interval_ps: 1\nbox: [26, 26, 26]\n")
    assert len(read) == most + 5


def test_molecules_broken_over_the_boundary_of_a_told_box_are_found_by_their_distances(tmp_path):
    path = tmp_path / "t.xyz"
    rows = [(e, (np.array(x) + 17.5) % 26.0) for _, _, e, _, x in SALTY.rows]
    assert any(np.ptp([x for _, x in rows[k : k + 6]], axis=0).max() > 20 for k in range(4, 40, 6)), "some are broken"
    text = "".join(f"{e} {x[0]:.4f} {x[1]:.4f} {x[2]:.4f}\n" for e, x in rows)
    path.write_text(f"{len(rows)}\nno box\n{text}", encoding="utf-8")
    told = """centre: LI
box: [26, 26, 26]
species:
  LI: {atoms: 1-2}
  CL: {atoms: 3-4, role: anion, sites: {Cl: Cl}}
  MeOH: {atoms: 5-40, formula: CH4O, role: solvent, sites: {O: O}}
"""
    assert table(path, told, tmp_path).count("MeOH") == 6


def models(path, cells, order, head=()):
    """A PDB file of several models, each with its own cell before or after MODEL, or with none."""
    first, *rows = SALTY.pdb(path).read_text(encoding="utf-8").replace("END\n", "").splitlines()
    assert first.startswith("CRYST1   26.000")
    lines = [first.replace("26.000", f"{cell:.3f}") for cell in head]
    for number, cell in enumerate(cells, 1):
        mine = {"C": first.replace("26.000", f"{cell:.3f}"), "M": f"MODEL {number:8d}"}
        lines += [*(mine[letter] for letter in order), *rows, "ENDMDL"]
    path.write_text("\n".join([*lines, "END", ""]), encoding="utf-8")
    return path


@pytest.mark.parametrize("order", ["CM", "MC"])
def test_models_of_a_pdb_file_have_their_own_boxes(tmp_path, order):
    path = models(tmp_path / "t.pdb", (26.0, 26.1, 27.0), order)
    atoms = table(path, MAP, tmp_path)
    frames = read_frames(open_universe(path), atoms, interval_ps=1.0)
    for part in (frames, frames.part(1, 3)):
        assert [f.box[0, 0] for f in part] == pytest.approx([26.0, 26.1, 27.0][-len(part) :])


@pytest.mark.parametrize(("order", "head"), [("CM", (26.0,)), ("MC", (25.0,)), ("M", (26.0, 26.1)), ("C", ())])
def test_boxes_of_a_pdb_file_that_are_not_one_for_each_model_are_refused(tmp_path, order, head):
    path = models(tmp_path / "t.pdb", (26.0, 26.1, 27.0), order, head)
    with pytest.raises(LmbmdError, match=r"t\.pdb, line \d+: its models have other boxes \(26\.\d00 26.*take turns"):
        open_universe(path)
    atoms = table(SALTY.pdb(tmp_path / "top.pdb"), MAP, tmp_path)
    with pytest.raises(LmbmdError, match=r"other boxes"):
        read_frames(path, atoms, interval_ps=1.0)
    if order != "C":
        _, xtc = trajectory(tmp_path, "t.xtc")
        assert len(open_universe(path, xtc).trajectory) == 3, "nobody reads the boxes of a topology"
    same = models(tmp_path / "t.pdb", (26.0, 26.0), "M", (26.0,))
    assert [f.box[0, 0] for f in read_frames(same, atoms, interval_ps=1.0)] == pytest.approx([26.0, 26.0])


@pytest.mark.parametrize(("bounds", "told"), [("pp pp ff", "z"), ("xy xz yz pp fs pp", "y"), ("ss mm pp", "x and y")])
def test_a_dump_of_a_box_with_walls_is_refused(tmp_path, bounds, told):
    path = dump(tmp_path / "t.lammpstrj", bounds=bounds)
    with pytest.raises(LmbmdError, match=rf"does not repeat along {told} \(BOX BOUNDS {bounds}\).*p p p"):
        open_universe(SALTY.pdb(tmp_path / "top.pdb"), path)


# Whether the trajectory is that of the topology


def test_a_topology_that_names_its_bonds_does_not_make_bonds_of_what_is_none(tmp_path):
    """Atoms in another order, lengths in Bohr or nm, positions without digits: the bonds of the first frame show it."""
    topology = lammps_data(tmp_path / "t.data")
    text = """centre: Li
frame_interval_ps: 1
species:
  Li: {smiles: "[Li+]"}
  NO3: {smiles: "[O-][N+](=O)[O-]", role: anion, sites: {O: O}}
  MOH: {smiles: CO, role: solvent, sites: {O: O}}
"""
    (tmp_path / "map.yaml").write_text(text, encoding="utf-8")
    u = mda.Universe(str(topology), topology_format="DATA")
    x, n = u.atoms.positions.copy(), len(u.atoms)
    far = np.where(np.arange(n)[:, None] % 2, [0.0, 0, 20], [20.0, 0, 0])
    from lmbmd.trajectory.foreign import open_foreign

    def given(positions, edge_A=20.0):
        u.atoms.positions, u.dimensions = positions, np.array([edge_A] * 3 + [90.0] * 3)
        with mda.Writer(str(tmp_path / "t.trr"), n) as out:
            out.write(u.atoms)
        return list(open_foreign((topology, tmp_path / "t.trr"), tmp_path / "map.yaml")[1])

    assert len(given(x)) == len(given(x + far)) == 1, "also when broken over the boundary"
    u.atoms.positions, u.dimensions = x % 20.0, None  # one bond of a nitrate is broken over the boundary
    for edge_A in (20.0, 22.0):
        (tmp_path / "box.yaml").write_text(f"{text}box: [{edge_A}, {edge_A}, {edge_A}]\n", encoding="utf-8")
        with mda.Writer(str(tmp_path / "b.dcd"), n) as out:
            out.write(u.atoms)
        if edge_A == 20.0:
            assert len(open_foreign((topology, tmp_path / "b.dcd"), tmp_path / "box.yaml")[1]) == 1
        else:
            with pytest.raises(LmbmdError, match=r"b\.dcd, frame 0: .* bonds .* a box that is told is another"):
                open_foreign((topology, tmp_path / "b.dcd"), tmp_path / "box.yaml")
    for order in (np.arange(n)[::-1], np.r_[3 : n - 6, 0:3, n - 6 : n]):
        with pytest.raises(LmbmdError, match=r"t\.trr, frame 0: \d+ of the \d+ bonds of .* are none.*same order"):
            given(x[order])
    with pytest.raises(LmbmdError, match=r"bonds are 1\.8\d times as long as bonds are \(as lengths in Bohr are\)"):
        given(1.8897 * x, 1.8897 * 20.0)
    with pytest.raises(LmbmdError, match=r"bonds are 0\.10 times as long as bonds are \(as lengths in nm are\)"):
        given(0.1 * x)


# Readers


def test_a_gro_file_of_several_frames_is_refused(tmp_path):
    path = gro(tmp_path / "t.gro")
    text = path.read_text(encoding="utf-8")
    open_universe(path)
    path.write_text(text * 11, encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"holds 11 frames, of which only one would be read.*trjconv"):
        open_universe(path)


@pytest.mark.parametrize(
    ("records", "told"),
    [
        (["CONECT100000100001"], "it names atom '10000'"),
        (["CONECT    5     6"], "columns are not five wide"),
        (["CONECTA0000A0001"], "it names atom 'A0000'"),
        (["CONECT    5 9876"], "it names atom '9876'"),
    ],
)
def test_bonds_that_the_columns_of_a_pdb_file_cannot_hold_are_refused(tmp_path, records, told):
    path = SALTY.pdb(tmp_path / "t.pdb")
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("END", "\n".join(["CONECT    5    6    7", *records, "END"])), encoding="utf-8")
    with pytest.raises(LmbmdError, match=rf"t\.pdb, line \d+: a CONECT record cannot be right .*{told}.*99,999"):
        open_universe(path)
    path.write_text(text.replace("END", "CONECT    5    6    7\nEND"), encoding="utf-8")
    assert len(open_universe(path).atoms.bonds) == 2


def test_frames_of_velocities_only_are_named_with_the_step_to_take(tmp_path):
    topology, path = trajectory(tmp_path, "t.trr")
    n = len(SALTY.rows)
    from MDAnalysis.lib.formats.libmdaxdr import TRRFile

    x = np.array([row[4] for row in SALTY.rows], np.float32) / 10
    with TRRFile(str(path), "w") as out:
        for k in range(6):
            out.write(x if k % 3 == 0 else None, x, None, np.eye(3, dtype=np.float32) * 2.6, k, float(k), 0.0, n)
    from lmbmd.trajectory.foreign import open_foreign

    (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"t\.trr, frame 1: the frame holds no positions.*step = 3"):
        list(open_foreign((topology, path), tmp_path / "map.yaml")[1])
    every = Window(every_ps=3.0)
    assert len(list(open_foreign((topology, path), tmp_path / "map.yaml", every)[1])) == 2


@pytest.mark.parametrize("value", [1, 0, -1, 2**31 - 1])
@pytest.mark.parametrize("where", [4, 52, 56, 60, 72, 84, 88])
def test_a_damaged_size_in_an_xtc_header_is_refused(tmp_path, where, value):
    topology, path = trajectory(tmp_path, "t.xtc")
    raw = bytearray(path.read_bytes())
    second = raw.index(struct.pack(">i", 1995), 8)
    raw[second + where : second + where + 4] = struct.pack(">i", value)
    path.write_bytes(bytes(raw))
    (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
    from lmbmd.trajectory.foreign import open_foreign

    try:
        frames = list(open_foreign((topology, path), tmp_path / "map.yaml")[1])
    except LmbmdError as error:
        assert "t.xtc" in str(error)
    else:
        assert len(frames) == 3, "only what does not matter (a wider range of coordinates) may pass"


@pytest.mark.parametrize(("name", "opener"), [("t.lammpstrj.gz", gzip.open), ("dump.bz2", bz2.open), ("dump", open)])
def test_lammps_files_are_known_by_their_content_too(tmp_path, name, opener):
    path = dump(tmp_path / name, opener=opener)
    assert open_universe(SALTY.pdb(tmp_path / "top.pdb"), path).trajectory.n_frames == 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"head": ["ITEM: UNITS", "real"]}, "ITEM: UNITS"),
        ({"head": ["ITEM: TIME", "0.5"]}, "ITEM: TIME'"),
        ({"bounds": "abc origin pp pp pp"}, "general triclinic"),
        ({"columns": "mol type xu yu zu"}, "does not number its atoms"),
    ],
)
def test_a_dump_that_its_reader_would_misread_is_refused(tmp_path, options, message):
    with pytest.raises(LmbmdError, match=message):
        open_universe(SALTY.pdb(tmp_path / "top.pdb"), dump(tmp_path / "t.lammpstrj", **options))


def test_a_box_is_told_where_the_trajectory_has_none(tmp_path):
    topology, path = trajectory(tmp_path, "t.xyz")
    interval = "frame_interval_ps: 1\n"
    with pytest.raises(LmbmdError, match=r"there is no periodic box.*box"):
        frames_of((topology, path), tmp_path, interval)
    assert frames_of((topology, path), tmp_path, interval + "box: [26, 26, 26]\n") == [0.0, 1.0, 2.0]
    topology, path = trajectory(tmp_path, "t.xtc")
    with pytest.raises(LmbmdError, match="has a box of its own"):
        frames_of((topology, path), tmp_path, "box: [26, 26, 26]\n")
    for wrong in ("[26, 26]", "[26, 26, 26, 90]", "[26, -1, 26]", "[26, 26, 26, 90, 90, 180]"):
        with pytest.raises(LmbmdError, match="box"):
            frames_of((topology, path), tmp_path, f"box: {wrong}\n")


@pytest.mark.parametrize("make", [psf, prmtop, lammps_data])
def test_files_that_a_simulation_ran_from_are_read_as_before(tmp_path, make):
    suffix = {psf: "psf", prmtop: "prmtop", lammps_data: "data"}[make]
    text = """
centre: Li
species:
  Li: {smiles: "[Li+]"}
  NO3: {smiles: "[O-][N+](=O)[O-]", role: anion, sites: {O: "O=N"}}
  MeOH: {smiles: CO, role: solvent, sites: {O: "[OX2H]"}}
"""
    atoms = table(make(tmp_path / f"t.{suffix}"), text, tmp_path)
    assert np.bincount(atoms.site_id + 1).tolist() == [27 - 9 - 2, 9, 2]
    assert pdb(tmp_path / "t.pdb").exists()


# Donor sites


def test_a_partner_without_sites_is_asked_about_and_may_have_none(tmp_path):
    universe = mda.Universe.empty(7, n_residues=3, atom_resindex=[0, 1, 1, 1, 2, 2, 2], residue_segindex=[0] * 3)
    universe.add_TopologyAttr("elements", ["Li", "C", "N", "S", "C", "C", "C"])
    universe.add_TopologyAttr("resnames", ["LI", "SCN", "PRO"])
    universe.add_TopologyAttr("bonds", [(1, 2), (1, 3), (4, 5), (5, 6)])
    text = "centre: LI\nspecies:\n  LI: {resname: LI}\n  SCN: {resname: SCN, role: anion}\n"
    # Propane has no atom that could bind an ion, so nothing is asked about it.
    text += "  PRO: {resname: PRO, role: solvent}\n"
    asked(
        r"species\.SCN: nothing says which atoms of the anion are donors; N and S could be\. .*"
        r"'sites: \{N: N, S: S\}', or 'sites: \{\}' if none is",
        universe,
        text,
        tmp_path,
    )
    assert table(universe, text.replace("anion}", "anion, sites: {}}"), tmp_path).sites == ()
    assert table(universe, text.replace("anion}", "anion, sites: {N: N}}"), tmp_path).sites == ("SCN:N",)


@pytest.mark.parametrize("role", ["solvent", "additive", "diluent"])
def test_a_diluent_may_stay_without_sites_but_no_solvent_or_additive(role, tmp_path):
    universe = mda.Universe.empty(4, n_residues=2, atom_resindex=[0, 1, 1, 1], residue_segindex=[0] * 2)
    universe.add_TopologyAttr("elements", ["Li", "C", "O", "C"])
    universe.add_TopologyAttr("resnames", ["LI", "DME"])
    universe.add_TopologyAttr("bonds", [(1, 2), (2, 3)])
    text = f"centre: LI\nnet_charge: 1\nspecies:\n  LI: {{resname: LI}}\n  DME: {{resname: DME, role: {role}}}\n"
    if role == "diluent":
        assert table(universe, text, tmp_path).sites == ()
    else:
        asked(rf"atoms of the {role} are donors; O could be", universe, text, tmp_path)
