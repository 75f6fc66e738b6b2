"""What two parts of a foreign file say against each other is asked about; what one of them leaves out, too.

Polymers of one residue per unit, wrong element columns, sites that are no atoms, united atoms, masses without decimals.
"""

from __future__ import annotations

import MDAnalysis as mda
import numpy as np
import pytest
from sheets import CHLORIDE, ION, MAP, SALTY, Sheet, asked, table, trajectory

from lmbmd.core.errors import LmbmdError
from lmbmd.trajectory import species_map
from lmbmd.trajectory.foreign import open_foreign
from lmbmd.trajectory.mapping.elements import Evidence, by_mass, decide

pytestmark = pytest.mark.filterwarnings("ignore")

# Polymers of one residue per unit

UNIT = [
    ("C", "C1", (0.0, 0.0, 0.0)),
    ("H", "H1", (0.0, 0.63, 0.9)),
    ("H", "H2", (0.0, 0.63, -0.9)),
    ("C", "C2", (1.25, -0.8, 0.0)),
    ("H", "H3", (1.25, -1.43, 0.9)),
    ("H", "H4", (1.25, -1.43, -0.9)),
    ("O", "O1", (2.5, -0.1, 0.0)),
]
UNIT_BONDS = [(0, 1), (0, 2), (0, 3), (3, 4), (3, 5), (3, 6)]
POLYMER = MAP.replace("MeOH: {resname: MOH", "PEO: {resname: PEO")


def polymer(units=5, chains=4, ends=("PEO", "PEO")):
    """Chains H–(CH2–CH2–O)n–H along x; the first and last unit may have a residue name of their own."""
    sheet = Sheet()
    sheet.rows = [(k + 1, n, e, n, np.array([3.0 + 5 * k, 2.0, 2.0])) for k, (n, e) in enumerate(
        [("LI", "Li"), ("LI", "Li"), ("CL", "Cl"), ("CL", "Cl")]
    )]  # fmt: skip
    for chain in range(chains):
        before = None
        for u in range(units):
            first, residue = len(sheet.rows), 5 + chain * units + u
            name = ends[0] if u == 0 else ends[1] if u == units - 1 else "PEO"
            atoms = [*UNIT, *([("H", "HC", (-0.9, -0.6, 0.0))] if u == 0 else [])]
            atoms += [("H", "HO", (3.25, 0.5, 0.0))] if u == units - 1 else []
            shift = np.array([4.0 + 3.75 * u, 5.0 + 5.0 * chain, 12.0])
            sheet.rows += [(residue, name, e, n, np.array(x) + shift) for e, n, x in atoms]
            sheet.bonds += [(first + i, first + j) for i, j in UNIT_BONDS]
            sheet.bonds += [(first, first + 7)] if u == 0 else []
            sheet.bonds += [(first + 6, len(sheet.rows) - 1)] if u == units - 1 else []
            sheet.bonds += [] if before is None else [(before, first)]
            before = first + 6
    return sheet


def test_units_with_residues_of_their_own_are_no_molecules(tmp_path):
    sheet = polymer()
    asked(
        r"species\.PEO: which of its 148 atoms are one molecule is not",
        sheet.pdb(tmp_path / "t.pdb"),
        POLYMER,
        tmp_path,
    )
    told = POLYMER.replace("resname: PEO,", "resname: PEO, formula: C10H22O5,")
    assert table(tmp_path / "t.pdb", told, tmp_path).count("PEO") == 4
    unit = POLYMER.replace("resname: PEO,", "resname: PEO, formula: C2H4O,")
    asked("no way of taking its atoms apart", tmp_path / "t.pdb", unit, tmp_path)
    within = [b for b in sheet.bonds if sheet.rows[b[0]][0] == sheet.rows[b[1]][0]]
    asked("not certain", sheet.pdb(tmp_path / "t.pdb", conect=within), POLYMER, tmp_path)
    assert table(sheet.pdb(tmp_path / "t.pdb", conect=sheet.bonds), POLYMER, tmp_path).count("PEO") == 4


@pytest.mark.parametrize("conect", [True, False])
def test_ends_of_a_chain_are_no_species_of_their_own(tmp_path, conect):
    # Three units, each with its own residue name: by residues and atom names, all three are molecules.
    sheet = polymer(units=3, ends=("PEH", "PET"))
    path = sheet.pdb(tmp_path / "t.pdb", conect=sheet.bonds if conect else ())
    ends = "  H: {resname: PEH, role: solvent, sites: {O: O}}\n  T: {resname: PET, role: solvent, sites: {O: O}}\n"
    asked(
        r"and atom .* are (bonded|as near as bonded atoms), and belong to .*as a list", path, POLYMER + ends, tmp_path
    )
    listed = POLYMER.replace("resname: PEO,", "resname: [PEH, PEO, PET], formula: C6H14O3,")
    assert table(path, listed, tmp_path).count("PEO") == 4


# Element columns


def columns(tmp_path, change, shift=0, sheet=SALTY, **options):
    """A PDB file whose element column says what ``change`` makes of an atom's name and element."""
    lines = sheet.pdb(tmp_path / "t.pdb", **options).read_text(encoding="utf-8").splitlines()
    for k, line in enumerate(lines):
        if line.startswith("HETATM"):
            told = change(line[12:16].strip(), line[76:78].strip())
            lines[k] = f"{line[: 76 + min(shift, 0)]}{' ' * max(shift, 0)}{told:>2s}"
    (tmp_path / "t.pdb").write_text("\n".join([*lines, ""]), encoding="utf-8")
    return tmp_path / "t.pdb"


@pytest.mark.parametrize(
    ("name", "told", "says"),
    [
        ("O1", "N", "the file says N, and its name begins with O"),
        ("C1", "O", "the file says O, and its name begins with C"),
        ("H1", "C", "the file says C, and its name begins with H"),
        ("HO", "O", "the file says O, and its name begins with H"),
        ("CL", "C", "the file says C, and its name is that of Cl"),
        ("CL", "BR", "the file says Br, and its name is that of Cl"),
        ("LI", "NA", "the file says Na, and its name is that of Li"),
        ("LI", "I", "the file says I, and its name is that of Li"),
    ],
)
def test_an_element_that_the_name_denies_is_asked_about(tmp_path, name, told, says):
    path = columns(tmp_path, lambda n, e: told if n == name else e)
    asked(says, path, MAP, tmp_path)
    right = {"LI": "Li", "CL": "Cl"}.get(name, name[0])
    mended = table(path, MAP + f"elements: {{{name}: {right}}}\n", tmp_path)
    assert mended.element.tolist() == [row[2] for row in SALTY.rows]


@pytest.mark.parametrize("shift", [-1, 1])
def test_a_shifted_element_column_is_seen(tmp_path, shift):
    asked("the file says", columns(tmp_path, lambda n, e: e, shift), MAP, tmp_path)


@pytest.mark.parametrize("change", [lambda n, e: e.lower(), lambda n, e: "X", lambda n, e: "" if n == "HO" else e])
def test_element_columns_in_small_letters_or_without_a_word_are_harmless(tmp_path, change):
    atoms = table(columns(tmp_path, change), MAP, tmp_path)
    assert atoms.element.tolist() == [row[2] for row in SALTY.rows]


def evidence(**said):
    return Evidence(
        **{"told": "", "name": "", "kind": "", "residue": "", "mass_amu": None, "alone": False, "bonds": None} | said
    )


@pytest.mark.parametrize(
    ("said", "element"),
    [
        ({"told": "C", "name": "CL1", "bonds": 4}, "C"),
        ({"told": "C", "name": "CL1", "bonds": 1}, None),
        ({"told": "Cl", "name": "CL1", "bonds": 1}, "Cl"),
        ({"told": "C", "name": "opls_135", "bonds": 4}, "C"),
        ({"told": "C", "name": "opls_142", "bonds": 3}, "C"),
        ({"told": "C", "name": "O1", "bonds": 4}, "C"),  # an oxygen cannot
        ({"told": "N", "name": "O1", "bonds": 2, "mass_amu": 14.007}, "N"),  # column and mass
        ({"told": "C", "name": "CH2", "mass_amu": 14.027, "bonds": 2}, "C"),
        ({"told": "Ca", "name": "CA", "alone": True}, "Ca"),
        ({"told": "C", "name": "CA", "bonds": 3}, "C"),
        ({"told": "N", "name": "X1", "bonds": 3}, "N"),
        ({"told": "K", "name": "POT", "residue": "POT", "alone": True}, "K"),
        ({"told": "Na", "name": "POT", "residue": "POT", "alone": True}, None),
    ],
)
def test_what_a_file_states_is_believed_unless_it_contradicts_itself(said, element):
    assert decide(evidence(**said)).element == element


def test_a_nitrogen_that_the_file_calls_sodium_is_too_near_its_neighbours(tmp_path):
    amide = [
        ("C", "C1", (0, 0, 0)),
        ("Na", "NA", (1.35, 0, 0)),
        ("O", "O1", (-0.6, 1.05, 0)),
        ("H", "H1", (-0.5, -1, 0)),
    ]
    amide += [("H", "HN1", (1.85, 0.87, 0)), ("H", "HN2", (1.85, -0.87, 0))]
    sheet = Sheet(ION, CHLORIDE, *[("FAM", amide, [])] * 4)
    text = MAP.replace("MeOH: {resname: MOH", "F: {resname: FAM")
    asked(
        r"name NA.*nearer than bonded atoms ever are.*its element is another",
        sheet.pdb(tmp_path / "t.pdb"),
        text,
        tmp_path,
    )


# Sites that are no atoms

FIVE = [
    ("O", "OW", (0, 0, 0)),
    ("H", "HW1", (0.76, 0.59, 0)),
    ("H", "HW2", (-0.76, 0.59, 0)),
    ("L", "LP1", (0, -0.4, 0.57)),
    ("L", "LP2", (0, -0.4, -0.57)),
]
WATER = MAP.replace("MeOH: {resname: MOH", "W: {resname: SOL")


@pytest.mark.parametrize(
    "calls", ["", "elements: {LP1: H, LP2: H}\n", "elements: {LP1: O, LP2: O}\n", "not_atoms: [LP1]\n"]
)
def test_lone_pairs_of_water_are_never_called_atoms(tmp_path, calls):
    path = Sheet(ION, CHLORIDE, *[("SOL", FIVE, [])] * 4).pdb(tmp_path / "t.pdb")
    with pytest.raises(LmbmdError):
        table(path, WATER + calls, tmp_path)
    atoms = table(path, WATER + "not_atoms: [LP1, LP2]\n", tmp_path)
    assert "".join(atoms.element[2:]) == "OHH" * 4


def test_lone_pairs_that_the_file_calls_hydrogen_are_too_near(tmp_path):
    false = [(e if e != "L" else "H", n if e != "L" else f"EP{k}", x) for k, (e, n, x) in enumerate(FIVE)]
    path = Sheet(ION, CHLORIDE, *[("SOL", false, [])] * 4).pdb(tmp_path / "t.pdb")
    asked(r"OW.*EP3.*nearer than bonded atoms ever are.*not_atoms", path, WATER, tmp_path)


DRUDE = [("OH2", "ODW", 1.716, 15.5994), ("DOH2", "DRUD", -1.716, 0.4), ("OM", "LP", -1.115, 0.0)]
DRUDE += [("H1", "HDW", 0.5575, 1.008), ("H2", "HDW", 0.5575, 1.008)]


def drude_psf(path):
    """Two Li⁺, two Cl⁻ and three water molecules, as CHARMM's polarisable force field has them."""
    groups = [("LIT", [("LIT", "LITD", 1.9, 6.54), ("DLIT", "DRUD", -0.9, 0.4)])] * 2
    groups += [("CLA", [("CLA", "CLAD", 2.0, 35.05), ("DCLA", "DRUD", -3.0, 0.4)])] * 2
    groups += [("SWM4", DRUDE)] * 3
    rows, bonds = [], []
    for residue, (name, atoms) in enumerate(groups, 1):
        bonds += [(len(rows) + 1, len(rows) + k) for k in range(2, len(atoms) + 1)]
        rows += [(residue, name, *atom) for atom in atoms]
    lines = ["PSF EXT DRUDE XPLOR", "", f"{1:10d} !NTITLE", " REMARKS box", "", f"{len(rows):10d} !NATOM"]
    lines += [
        f"{i:10d} {'A':<8s} {r:<8d} {res:<8s} {n:<8s} {t:<6s} {q:10.6f}    {m:10.4f}    {0:8d}{0:10.6f}    {0:10.6f}"
        for i, (r, res, n, t, q, m) in enumerate(rows, 1)
    ]
    flat = [f"{i:10d}" for bond in bonds for i in bond]
    lines += ["", f"{len(bonds):10d} !NBOND: bonds", *("".join(flat[k : k + 8]) for k in range(0, len(flat), 8))]
    for section in ("NTHETA: angles", "NPHI: dihedrals", "NIMPHI: impropers", "NDON: donors", "NACC: acceptors"):
        lines += ["", f"{0:10d} !{section}", ""]
    path.write_text("\n".join([*lines, f"{3:10d}{9:10d} !NUMLP NUMLPH", ""]), encoding="utf-8")
    return path


def test_drude_particles_and_lone_pairs_are_left_out_by_one_line(tmp_path):
    text = MAP.replace("resname: LI}", "resname: LIT}").replace("resname: CL,", "resname: CLA,")
    text = text.replace("MeOH: {resname: MOH", "W: {resname: SWM4")
    path = drude_psf(tmp_path / "t.psf")
    asked("not known for certain", path, text, tmp_path)
    asked("not_atoms", path, text + "not_atoms: [DRUD]\n", tmp_path)
    atoms = table(path, text + "not_atoms: [DRUD, LP]\n", tmp_path)
    assert "".join(atoms.element) == "LiLiClCl" + "OHH" * 3
    nan = float("nan")  # of an atom whose charge is in part on a site that was left out
    expected = [nan, nan, nan, nan, *[nan, 0.5575, 0.5575] * 3]
    assert atoms.charge_e.tolist() == pytest.approx(expected, abs=1e-5, nan_ok=True)
    assert float(atoms.mass_amu[4]) == pytest.approx(15.999)


# United atoms, and masses without decimals

ETHER = [
    ("C", "C1", (0, 0, 0)),
    ("O", "O1", (1.41, 0, 0)),
    ("C", "C2", (1.9, 1.32, 0)),
    ("C", "C3", (3.41, 1.3, 0)),
    ("O", "O2", (3.9, 2.6, 0)),
    ("C", "C4", (5.3, 2.6, 0)),
]
UNITED = MAP.replace("MeOH: {resname: MOH", "DME: {resname: DME")


@pytest.mark.parametrize("stated", [True, False])
@pytest.mark.parametrize(
    "rename", [lambda n: n, lambda n: {"C1": "CH3", "C2": "CH2", "C3": "CH2", "C4": "CH3"}.get(n, n)]
)
def test_a_united_carbon_without_a_mass_is_not_given_that_of_carbon(tmp_path, stated, rename):
    sheet = Sheet(ION, CHLORIDE, *[("DME", ETHER, [])] * 4)
    names = [rename(row[3]) for row in sheet.rows]
    path = sheet.pdb(tmp_path / "t.pdb", elements=stated, names=names)
    asked(r"have fewer bonds than carbon has, and the file has no masses.*elements: \{.*CH3", path, UNITED, tmp_path)
    told = ", ".join(
        f"{n}: {'CH3' if n in ('C1', 'C4', 'CH3') else 'CH2'}"
        for n in dict.fromkeys(names)
        if n[0] == "C" and n != "CL"
    )
    atoms = table(path, UNITED + f"elements: {{{told}}}\n", tmp_path)
    assert float(atoms.mass_amu[2:8].sum()) == pytest.approx(90.12, abs=0.02), "that of C4H10O2"
    bare = table(path, UNITED.replace("resname: DME,", "resname: DME, formula: C4O2,"), tmp_path)
    assert float(bare.mass_amu[2:8].sum()) == pytest.approx(80.04, abs=0.02), "as the map says"


def embedded(tmp_path, smiles):
    """Four molecules of a SMILES, with the shape that RDKit gives them, in a PDB file without bonds and masses."""
    from rdkit import Chem
    from rdkit.Chem import AllChem

    mol = Chem.AddHs(Chem.MolFromSmiles(smiles))
    assert AllChem.EmbedMolecule(mol, randomSeed=1) == 0
    AllChem.UFFOptimizeMolecule(mol)
    x = mol.GetConformer().GetPositions()
    atoms = [(a.GetSymbol(), f"{a.GetSymbol()}{k}", x[k]) for k, a in enumerate(mol.GetAtoms())]
    return Sheet(*[("MOL", atoms, [])] * 4).pdb(tmp_path / "t.pdb")


@pytest.mark.parametrize(
    "smiles",
    [
        *("O=C1OCCO1", "CC#N", "COCCOC", "FC(F)(F)S(=O)(=O)[N-]S(=O)(=O)C(F)(F)F", "CS(C)=O", "CC(=O)OCC", "CN(C)C=O"),
        *(
            "N#C[N-]C#N",
            "[S-]C#N",
            "O=C1O[B-]2(OC1=O)OC(=O)C(=O)O2",
            "O=C1OC=CO1",
            "c1ccccc1",
            "Cn1cc[n+](C)c1",
            "O=C=O",
        ),
        *("Cc1ccccc1", "C1CCOC1", "FC(F)C(F)(F)COC(F)(F)C(F)F", "N#CCCCCC#N", "S=C=S", "Fc1c(F)c(F)c(F)c(F)c1F"),
        *("N#C[B-](C#N)(C#N)C#N", "O=C([O-])C", "CP(=O)(OC)OC", "C=CS(=O)(=O)C", "O=S1(=O)CCCC1", "CC(C)(C)c1cccs1"),
    ],
)
def test_whole_molecules_are_not_taken_for_united_ones(tmp_path, smiles):
    from lmbmd.trajectory.mapping.matching import _check_carbons
    from lmbmd.trajectory.mapping.topology import Topology

    told = {"L": {"resname": "LI"}, "M": {"resname": "MOL", "role": "solvent", "sites": {}}}
    read = species_map.from_mapping({"centre": "L", "species": told})
    topology = Topology(mda.Universe(str(embedded(tmp_path, smiles))), read)
    assert topology.mass is None
    _check_carbons(topology, list(np.arange(topology.n).reshape(4, -1)), read.species["M"], "M")


@pytest.mark.parametrize(
    ("mass_amu", "found"),
    [
        (14.007, ("N", None)),
        (14.01, ("N", None)),
        (14.0, ("N", "CH2")),
        (14.027, (None, "CH2")),
        (14.03, (None, "CH2")),
    ],
)
def test_a_mass_without_decimals_may_be_nitrogen_or_a_united_carbon(mass_amu, found):
    assert by_mass(mass_amu) == found


@pytest.mark.parametrize(
    ("said", "element"),
    [
        ({"kind": "2", "mass_amu": 14.0, "bonds": 2}, None),
        ({"kind": "2", "mass_amu": 14.0, "bonds": 3}, "N"),
        ({"name": "N1", "mass_amu": 14.0, "bonds": 2}, "N"),
        ({"name": "C2", "mass_amu": 14.0, "bonds": 2}, None),
        ({"kind": "2", "mass_amu": 12.0, "bonds": 4}, "C"),
        ({"kind": "2", "mass_amu": 16.0, "bonds": 2}, "O"),
        ({"kind": "2", "mass_amu": 1.0, "bonds": 1}, "H"),
        ({"kind": "2", "mass_amu": 7.0, "alone": True}, "Li"),
        ({"kind": "2", "mass_amu": 32.0, "bonds": 4}, "S"),
        ({"kind": "2", "mass_amu": 35.0, "alone": True}, None),
        ({"kind": "2", "mass_amu": 11.0, "bonds": 4}, None),
    ],
)
def test_whole_masses_decide_where_they_can(said, element):
    assert decide(evidence(**said)).element == element


def test_a_united_carbon_of_mass_14_keeps_it_where_the_map_says_carbon(tmp_path):
    universe = mda.Universe.empty(4, n_residues=2, atom_resindex=[0, 1, 1, 1], residue_segindex=[0] * 2)
    universe.add_TopologyAttr("types", ["1", "2", "3", "2"])
    universe.add_TopologyAttr("masses", [7.0, 15.0, 14.0, 15.0])
    universe.add_TopologyAttr("resnames", ["LI", "PRO"])
    universe.add_TopologyAttr("bonds", [(1, 2), (2, 3)])
    text = "centre: LI\nnet_charge: 1\nspecies:\n  LI: {resname: LI}\n  P: {resname: PRO, role: solvent, sites: {}}\n"
    asked("CH3 as one particle", universe, text, tmp_path)
    atoms = table(universe, text + 'elements: {"2": C, "3": C}\n', tmp_path)
    assert atoms.mass_amu[1:].tolist() == [15.0, 14.0, 15.0]


def test_an_xyz_file_alone_has_no_times_and_no_box(tmp_path):
    _, path = trajectory(tmp_path, "t.xyz")
    text = "centre: LI\nspecies:\n  LI: {atoms: 1-2}\n  CL: {atoms: 3-4, role: anion, sites: {Cl: Cl}}\n"
    text += "  MeOH: {atoms: 5-40, formula: CH4O, role: solvent, sites: {O: O}}\n"
    for more, match in (("", "how much time passes"), ("frame_interval_ps: 2\n", "no periodic box.*species map")):
        (tmp_path / "map.yaml").write_text(text + more, encoding="utf-8")
        with pytest.raises(LmbmdError, match=match):
            open_foreign(path, tmp_path / "map.yaml")
    (tmp_path / "map.yaml").write_text(text + "frame_interval_ps: 2\nbox: [26, 26, 26]\n", encoding="utf-8")
    atoms, frames = open_foreign(path, tmp_path / "map.yaml")
    assert atoms.count("MeOH") == 6 and [f.time_ps for f in frames] == [0.0, 2.0, 4.0]
