"""The species library: every name means one thing, and every entry agrees with chemistry."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from rdkit import Chem
from rdkit.Chem import Descriptors, rdMolDescriptors

from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import ROLES
from lmbmd.data.library import load_library, read_library

LIBRARY = load_library()
SPECIES = list(LIBRARY.species.values())
SALTS = list(LIBRARY.salts.values())


def _graph(species):
    return Chem.AddHs(Chem.MolFromSmiles(species.smiles))


@pytest.mark.parametrize("species", SPECIES, ids=lambda s: s.name)
def test_formula_charge_mass_and_atom_count_follow_from_the_smiles(species):
    graph = _graph(species)
    assert re.sub(r"[+-]\d*$", "", rdMolDescriptors.CalcMolFormula(graph)) == species.formula
    assert Chem.GetFormalCharge(graph) == species.charge
    assert graph.GetNumAtoms() == species.n_atoms
    # RDKit's and the library's atomic weights differ in the third decimal, for sulfur.
    assert species.molar_mass_g_mol == pytest.approx(Descriptors.MolWt(graph), abs=3e-3)


@pytest.mark.parametrize("species", SPECIES, ids=lambda s: s.name)
def test_every_site_pattern_matches_atoms_of_one_element_and_no_atom_twice(species):
    graph, seen = _graph(species), set()
    for site, smarts in species.sites.items():
        atoms = {match[0] for match in graph.GetSubstructMatches(Chem.MolFromSmarts(smarts))}
        assert atoms, f"{site} matches nothing"
        assert {graph.GetAtomWithIdx(i).GetSymbol() for i in atoms} == {site.split("_")[0]}
        assert not atoms & seen
        seen |= atoms
    donors = {a.GetIdx() for a in graph.GetAtoms() if a.GetSymbol() in ("O", "F")}
    assert donors <= seen, "every O and F is a site"


@pytest.mark.parametrize("species", SPECIES, ids=lambda s: s.name)
def test_molecules_have_a_sourced_density_and_ions_none(species):
    assert set(species.roles) <= set(ROLES)
    if species.charge:
        assert species.density_g_cm3 is None and species.molar_volume_cm3_mol is None
    else:
        assert 0.7 < species.density_g_cm3 < 1.8 and 270 < species.density_T_K < 320 and species.density_source
        assert species.molar_volume_cm3_mol * species.density_g_cm3 == pytest.approx(species.molar_mass_g_mol)


@pytest.mark.parametrize("entry", [e for e in SPECIES + SALTS if e.cas], ids=lambda e: e.name)
def test_cas_numbers_have_the_right_check_digit(entry):
    digits = entry.cas.replace("-", "")
    assert int(digits[-1]) == sum(i * int(d) for i, d in enumerate(reversed(digits[:-1]), start=1)) % 10


@pytest.mark.parametrize("salt", SALTS, ids=lambda s: s.name)
def test_salts_are_neutral(salt):
    assert sum(n * LIBRARY.species[ion].charge for ion, n in salt.ions.items()) == 0
    assert salt.molar_volume_cm3_mol > 0 and salt.source


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("DME", "DME"),
        ("dme", "DME"),
        ("monoglyme", "DME"),
        ("1,2-Dimethoxyethane", "DME"),
        ("PF₆⁻", "PF6"),
        ("NTf2", "TFSI"),
        ("Tf2N−", "TFSI"),
        ("FSA-", "FSI"),
        ("Li+", "Li"),
        ("Li⁺", "Li"),
        ("ethylene  carbonate", "EC"),
    ],
)
def test_a_species_is_found_by_any_of_its_names(written, meant):
    assert LIBRARY.find_species(written).name == meant


def test_names_are_indexed_once():
    LIBRARY.find_species("DME")
    before = LIBRARY._species_names, LIBRARY._salt_names
    LIBRARY.find_species("EC")
    LIBRARY.find_salt("LiFSI")
    assert LIBRARY._species_names is before[0] and LIBRARY._salt_names is before[1]


@pytest.mark.parametrize("name", ["EGBE", "HFE", "PFB", "TPP", "DMS", "TMB", "DFEC", "ClDEE", "F3B", "TFA"])
def test_names_that_mean_something_else_elsewhere_carry_a_caution(name):
    assert len(LIBRARY.species[name].caution) > 20


def test_a_salt_is_found_by_any_of_its_names():
    assert LIBRARY.find_salt("LiTFSA").name == "LiTFSI"
    assert LIBRARY.find_salt("lifsi").name == "LiFSI"


@pytest.mark.parametrize(
    ("find", "name", "parts"),
    [
        ("species", "DMEE", ["a.yaml:solvents: there is no species 'DMEE'. Did you mean 'DME'?"]),
        ("species", "xyzzy", ["there is no species 'xyzzy'. `lmbmd species` lists those that there are. A new one"]),
        ("species", "LiFSI", ["'LiFSI' is a salt, not a species. Put it under 'salts'."]),
        ("species", "DEE", ["'DEE' is ambiguous: diethyl ether (Et2O) in some papers, 1,2-dieth"]),
        ("species", "Al³⁺", ["'Al³⁺' is not simulated: Al³⁺ shares electrons with whatever", "Leave it out, or use"]),
        ("species", "I3-", ["'I3-' is not simulated: it takes up and loses I₂"]),
        ("salt", "AlCl3", ["'AlCl3' is not simulated: it is no salt of ions"]),
        ("salt", "Al(TFSI)3", ["'Al(TFSI)3' is not simulated"]),
        ("species", "ethylen carbonate", ["Did you mean 'ethylene carbonate'?"]),
        ("salt", "FSI", ["'FSI' is a species, not a salt. Salts: ", "LiFSI, LiI, "]),
        ("salt", "LiPF5", ["there is no salt 'LiPF5'. Did you mean 'LiPF6'?"]),
    ],
)
def test_a_wrong_name_is_explained(find, name, parts):
    finder = LIBRARY.find_species if find == "species" else LIBRARY.find_salt
    with pytest.raises(LmbmdError) as caught:
        finder(name, where="a.yaml:solvents")
    for part in parts:
        assert part in str(caught.value)


ION = "{title: t, smiles: '[Li+]', formula: Li, charge: 1, molar_mass_g_mol: 6.9, roles: [cation], aliases: [%s]}"
SALT = "{title: t, ions: {%s: 1}, molar_volume_cm3_mol: 1, source: s}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"species: {{A: {ION % ''}, B: {ION % 'a'}}}\nsalts: {{}}", "'a' names both A and B."),
        (f"species: {{A: {ION % ''}}}\nsalts: {{AX: {SALT % 'A'}}}", "AX has charge +1."),
        (f"species: {{A: {ION % ''}}}\nsalts: {{AX: {SALT % 'C'}}}", "AX needs C."),
        (f"species: {{'../A': {ION % ''}}}", "'../A' cannot name a species."),
        (f"species: {{A: {ION % ''}}}\nsalts: {{A X: {SALT % 'A'}}}", "'A X' cannot name a salt."),
        (f"species: {{A: {(ION % '')[:-1]}, sites: {{'<b>': O}}}}}}", "'<b>' cannot name a donor site."),
    ],
)
def test_a_library_that_contradicts_itself_is_refused(text, message):
    with pytest.raises(LmbmdError, match=re.escape(message)):
        read_library(text, where="species.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- A", "x.yaml: the file holds no keys. Write it as lines of 'key: value'."),
        (
            f"species: {{A: {(ION % '').replace('aliases: []', 'aliases: ion')}}}",
            "x.yaml:species.A.aliases: 'ion' is not a list of texts.",
        ),
        (
            f"species: {{A: {(ION % '').replace('6.9', 'heavy')}}}",
            "x.yaml:species.A.molar_mass_g_mol: 'heavy' is not a number.",
        ),
        (f"species: {{A: {(ION % '').replace('charge: 1', 'charge: 1.5')}}}", "species.A.charge: 1.5 is not a whole"),
        (f"species: {{A: {(ION % '').replace('smiles', 'smile')}}}", "unknown key 'smile'. Did you mean 'smiles'?"),
        (f"species: {{A: {(ION % '').replace('formula: Li, ', '')}}}", "species.A: the key 'formula' is missing."),
        (f"species: {{A: {(ION % '')[:-1]}, density: 0.9}}}}", "species.A.density: 0.9 is not lines of 'key: value'."),
        (
            f"species: {{A: {(ION % '')[:-1]}, density: {{g: 0.9}}}}}}",
            "species.A: unknown key 'density_g'.",
        ),
        ("species: {A: Li}", "species.A: 'Li' is not lines of 'key: value'."),
        (f"species: {{A: {ION % ''}}}\nsalts: {{AX: {SALT % 'A'}}}".replace("A: 1}", "A: one}"), "salts.AX.ions: "),
        (
            f"species: {{A: {(ION % '').replace('charge: 1', 'charge: 0')}}}\nsalts: {{AX: {SALT % 'A'}}}",
            "AX holds A, which is no ion.",
        ),
    ],
)
def test_a_fault_in_a_species_file_is_told_with_its_key(text, message):
    with pytest.raises(LmbmdError) as caught:
        read_library(text, where="x.yaml")
    assert message in str(caught.value)


def test_reading_the_library_imports_nothing_heavy():
    code = (
        "import sys; from lmbmd.data.library import load_library; load_library();"
        "print([m for m in ('rdkit', 'openmm', 'numpy', 'pandas', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout.strip() == "[]"


def test_the_table_in_the_docs_is_the_library():
    page = (Path(__file__).parents[2] / "docs" / "force_fields.md").read_text(encoding="utf-8")
    rows = page.split("tests/data/test_library.py -->\n")[1].split("<!-- end")[0].splitlines()[2:]
    charge = {s.name: f"{s.charge:+d}" if s.charge else "0" for s in SPECIES}
    expected = [f"| {s.name} | {s.title} | {charge[s.name]} | {s.formula} | {', '.join(s.sites)} |" for s in SPECIES]
    assert [row.replace("|  |", "| |") for row in rows] == [row.replace("|  |", "| |") for row in expected]
