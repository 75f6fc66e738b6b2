"""Bonds and angles of the newest Sage set against GFN2-xTB, and what a set changes of the parameters it takes over."""

import json
from pathlib import Path

import numpy as np
import overrides
import pytest
import yaml
from rdkit import Chem
from smirnoff import Terms, graph_terms

from lmbmd.data.library import force_fields_folder
from lmbmd.forcefield.parameters import load_set
from lmbmd.validation import geometries

ROOT = Path(__file__).parents[2]
NEWEST = load_set("sage-clp-2.1.0")
GFN2 = json.loads((force_fields_folder() / "recipes" / "geometries.json").read_text(encoding="utf-8"))
#: Reason → species → what is more than 0.05 Å or 8° from GFN2-xTB's minimum. Anything else is a fault.
EXCEPTIONS: dict[str, dict[str, set[str]]] = yaml.safe_load(
    Path(__file__).with_name("geometry_exceptions.yaml").read_text(encoding="utf-8")
)
#: Too large for GFN2-xTB within the time that was there.
NOT_COMPARED = {"TAPOMe", "TFAB", "TMSFNFSI"}
POLYATOMIC = [name for name in NEWEST.species if len(NEWEST.names(name)) > 1]


def test_every_molecule_is_compared_or_excused():
    assert set(POLYATOMIC) - set(GFN2) == NOT_COMPARED


@pytest.mark.parametrize("name", [name for name in POLYATOMIC if name in GFN2])
def test_bonds_and_angles_are_those_of_gfn2_or_the_difference_has_a_reason(name):
    found = {what for what, *_ in geometries.misses(NEWEST, name, np.array(GFN2[name]))}
    excused = set().union(*(table.get(name, ()) for table in EXCEPTIONS.values()))
    assert found == excused


def _terms(smiles):
    graph = Chem.AddHs(Chem.MolFromSmiles(smiles))
    bonds, angles, _ = graph_terms(graph)
    return graph, Terms(
        bonds=dict.fromkeys(bonds, (0.15, 1000.0)),
        angles=dict.fromkeys(angles, (1.9, 100.0)),
        lennard_jones=[(0.3, 0.5)] * graph.GetNumAtoms(),
    )


REFIT = {
    "fits": {"all": {}},
    "sources": [{"what": "somebody", "doi": "10.1/2"}],
    "atoms": [
        {"fit": "all", "smarts": "[F]", "sigma_A": 3.0, "epsilon_kJ_mol": 0.2},
        {"fit": "all", "smarts": "[F]-[#6X4]([#1])F", "sigma_A": 3.1, "epsilon_kJ_mol": 0.25},
        {"fit": "all", "smarts": "[#6X4](F)(F)F", "sigma_A": 3.4, "epsilon_kJ_mol": 0.3},
    ],
}


def test_a_refit_sets_the_first_atom_of_its_pattern_and_the_last_entry_wins():
    graph, terms = _terms("FC(F)(F)OC(F)F")
    said, cited = overrides.refit(terms, graph, REFIT, True)
    by_atom = {i: lj for i, lj in enumerate(terms.lennard_jones) if lj != (0.3, 0.5)}
    plain, beside, carbon = pytest.approx((0.3, 0.2)), pytest.approx((0.31, 0.25)), pytest.approx((0.34, 0.3))
    assert by_atom == {0: plain, 1: carbon, 2: plain, 3: plain, 6: beside, 7: beside}
    assert len(said) == 3 and "refitted to 3.4 A, 0.3 kJ/mol" in " ".join(said)
    assert cited == REFIT["sources"]


def test_a_refit_leaves_ions_and_other_molecules_alone():
    for smiles in ("O=C([O-])C(F)(F)F", "COC"):
        graph, terms = _terms(smiles)
        assert overrides.refit(terms, graph, REFIT, True) == ([], [])
        assert set(terms.lennard_jones) == {(0.3, 0.5)}


def test_no_refit_changes_nothing():
    graph, terms = _terms("FC(F)(F)OC(F)F")
    assert overrides.refit(terms, graph, {"atoms": [], "sources": REFIT["sources"]}, True) == ([], [])
    assert set(terms.lennard_jones) == {(0.3, 0.5)}


def test_mending_sets_rest_values_of_the_numbered_atoms_and_says_so():
    table = yaml.safe_load((force_fields_folder() / "recipes" / "mended.yaml").read_text(encoding="utf-8"))
    graph, terms = _terms("CN(C)S(=O)(=O)C(F)(F)F")
    said, _ = overrides.mend(terms, graph, table)
    mended = {key: round(r0, 4) for key, (r0, k) in terms.bonds.items() if (r0, k) != (0.15, 1000.0)}
    assert mended == {(1, 3): 0.1586, (3, 4): 0.1422, (3, 5): 0.1422, (3, 6): 0.179}
    assert all(k == 1000.0 for _, k in terms.bonds.values()), "force constants stay"
    assert len(said) == 3 and any(line.startswith("rest bond S-CF3 1.5 to 1.79 A: ") for line in said)


def test_mending_replaces_every_term_of_a_torsion_and_says_so():
    table = yaml.safe_load((force_fields_folder() / "recipes" / "mended.yaml").read_text(encoding="utf-8"))
    graph, terms = _terms("COP(=O)(OC)OC")  # O-CH3 0 1, P 2, =O 3, then O-CH3 4 5 and 6 7
    kept = (2, 1, 0, 8, 3, 0.0, 1.1)  # of a methyl group
    terms.torsions = [kept, (0, 1, 2, 3, 1, 0.0, 38.8), (4, 2, 1, 0, 1, 0.0, 34.9), (3, 2, 4, 5, 2, 0.0, -7.7)]
    said, cited = overrides.mend(terms, graph, table)
    series = [(1, 0.0, 0.2), (2, 0.0, -1.8), (3, 0.0, 3.5)]
    mended = [(*atoms, *one) for atoms in ((0, 1, 2, 3), (3, 2, 4, 5), (3, 2, 6, 7)) for one in series]
    assert sorted(terms.torsions) == sorted([kept, *mended])
    assert [line[:16] for line in said] == ["torsion C-O-P-O ", "torsion C-O-P=O "] and len(cited) == 2


def test_what_was_mended_is_in_the_manifest():
    for name, word in {"DMTMSA": "S-CF3", "MBTFA": "C-CF3", "TFPP": "C-P-C", "TTE": "refitted"}.items():
        assert any(word in line for line in NEWEST.manifest["species"][name]["transformations"]), name
    unmended = NEWEST.manifest["species"]["DME"]["transformations"]
    assert not any("rest bond" in line for line in unmended) and any("refitted" in line for line in unmended)
    cation = NEWEST.manifest["species"]["EMIm"]["transformations"]
    assert not any("rest bond" in line or "refitted" in line for line in cation)
    fits = NEWEST.manifest["refit"]["fits"]
    assert {"TTE", "HFE"} <= set(fits["fluorine"]["held_out"])
    assert {row["fit"] for row in NEWEST.manifest["refit"]["atoms"]} == set(fits)
    assert all(not set(fit["training"]) & set(fit["held_out"]) for fit in fits.values())
