"""An anion that no set has: terms of the released anions where the same atoms are bonded alike, else a Hessian's."""

from __future__ import annotations

import json
from importlib import util

import numpy as np
import pytest
from rdkit import Chem

from lmbmd.core.errors import LmbmdError
from lmbmd.core.units import BOHR_A, HARTREE_KJ_MOL
from lmbmd.data.library import force_fields_folder
from lmbmd.data.terms import read_terms
from lmbmd.forcefield.own import read_own
from lmbmd.forcefield.parameters import load_set, read_extended
from lmbmd.forcefield.parametrize import anions
from lmbmd.forcefield.parametrize.molecules import Molecule, embedded, system_of
from lmbmd.forcefield.parametrize.parametrize import Request, parametrize
from lmbmd.forcefield.parametrize.quantum import derived
from lmbmd.forcefield.parametrize.smirnoff import Terms, Unparametrised
from lmbmd.forcefield.parametrize.typed import typed_terms
from lmbmd.forcefield.sets import available_sets

RELEASED = load_set(available_sets()[-1])
needs_quantum = pytest.mark.skipif(
    not (util.find_spec("tblite") and util.find_spec("pyscf")), reason="tblite or PySCF is not installed"
)


def graph_of(smiles: str) -> Chem.Mol:
    return Chem.AddHs(Chem.MolFromSmiles(smiles))


def quantum(name: str):
    """Graph, geometry (Å), Hessian (kJ/mol/Å²) and charges of an anion whose quantum chemistry the recipes keep."""
    kept = json.loads((force_fields_folder() / "recipes" / "quantum" / f"{name}.json").read_text(encoding="utf-8"))
    hessian = np.array(kept["hessian"]) * HARTREE_KJ_MOL / BOHR_A**2
    return graph_of(kept["smiles"]), np.array(kept["x"]), hessian, kept["resp"]


def sizes(name: str) -> Terms:
    """The Lennard-Jones terms of a released borate, whose carbon and oxygen are Sage's."""
    return Terms(lennard_jones=[row[1:] for row in read_terms(RELEASED.system(name), name).nonbonded])


def rows(system, kind):
    """Rows of a kind by atoms from the end with the smaller number; torsions of one row together."""
    found = {}
    number = 4 if kind == "torsions" else 3 if kind == "angles" else 2
    for row in getattr(read_terms(system, "test"), kind):
        atoms, values = tuple(row[:number]), row[number:]
        key = atoms if atoms[0] < atoms[-1] else atoms[::-1]
        found.setdefault(key, []).append([float(f"{v:.6g}") for v in values])
    return {key: sorted(value) for key, value in found.items()}


@pytest.mark.parametrize("name", ["FSI", "TFSI", "BETI", "OTf", "DFTFSI"])
def test_a_released_anion_is_recognised_term_by_term(name):
    graph = graph_of(RELEASED.manifest["species"][name]["smiles"])
    draft = anions.drafted(graph, RELEASED.geometry(name), anions.known_terms(RELEASED), None)
    assert not draft.periods and not draft.of_sage
    particles = [(0.0, *size) for size in draft.sizes]
    terms, _ = typed_terms(graph, {**draft.table, "particles": particles}, None)
    charges = read_terms(RELEASED.system(name), name).charges_e
    ours, theirs = system_of(Molecule(name, graph, charges, terms, geometric_14=True)), RELEASED.system(name)
    for kind in ("bonds", "angles", "torsions"):
        assert rows(ours, kind) == rows(theirs, kind), kind
    sizes = [[row[1:] for row in read_terms(system, name).nonbonded] for system in (ours, theirs)]
    assert np.array(sizes[0]) == pytest.approx(np.array(sizes[1]), abs=1e-6)


def test_an_imide_of_two_halves_has_the_terms_of_both():
    graph = graph_of("O=S(=O)(F)[N-]S(=O)(=O)C(F)(F)F")  # half FSI, half TFSI
    draft = anions.drafted(graph, embedded(graph, 1)[0], anions.known_terms(RELEASED), None)
    table, both = draft.table, {}
    for name in ("FSI", "TFSI"):
        kept = RELEASED.manifest["species"][name]["smiles"]
        both[name] = anions.drafted(graph_of(kept), RELEASED.geometry(name), anions.known_terms(RELEASED), None).table
    assert table["bonds"]["F(S)-S(FNOO)"] == both["FSI"]["bonds"]["F(S)-S(FNOO)"]
    assert table["bonds"]["N(SS)-S(CNOO)"] == both["TFSI"]["bonds"]["N(SS)-S(CNOO)"]
    torsions = table["torsions"]
    fluorine = both["FSI"]["torsions"]["F(S)-S(FNOO)-N(SS)-S(FNOO)"]
    assert torsions["F(S)-S(FNOO)-N(SS)-S(CNOO)"] == fluorine != [0.0] * 4
    carbon = both["TFSI"]["torsions"]["C(FFFS)-S(CNOO)-N(SS)-S(CNOO)"]
    assert torsions["C(FFFS)-S(CNOO)-N(SS)-S(FNOO)"] == carbon != fluorine


@pytest.mark.parametrize("name", ["DFOB", "BOB"])
def test_a_borate_that_is_left_out_comes_back_from_its_hessian(name):
    graph, x, hessian, charges = quantum(name)
    draft = anions.drafted(graph, x, anions.known_terms(RELEASED, left_out=[name]), sizes(name))
    terms, said = anions.finished(graph, draft, charges, x, hessian)
    assert said.startswith("From GFN2-xTB's Hessian: bonds ")
    system = system_of(Molecule(name, graph, charges, terms, geometric_14=True))
    # Not by what said it: geometry and vibrations of the System itself.
    at = lowest(system, x)
    for i, j in read_pairs(graph):
        assert np.linalg.norm(at[i] - at[j]) == pytest.approx(np.linalg.norm(x[i] - x[j]), abs=0.02)
    found, wanted = (derived.wavenumbers_cm(graph, h) for h in (hessian_of(system, at), hessian))
    assert np.sqrt(np.mean((found / wanted - 1.0) ** 2)) < 0.15
    released = hessian_of(RELEASED.system(name), lowest(RELEASED.system(name), x))
    assert found == pytest.approx(derived.wavenumbers_cm(graph, released), rel=0.2)


def read_pairs(graph):
    return [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in graph.GetBonds()]


def context_of(system):
    import openmm

    return openmm.Context(system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("Reference"))


def lowest(system, x):
    import openmm
    from openmm import unit

    context = context_of(system)
    context.setPositions(x * unit.angstrom)
    openmm.LocalEnergyMinimizer.minimize(context, 1e-4, 0)
    return context.getState(positions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom)


def hessian_of(system, x):
    """Second differences of the energy, kJ/mol/Å²: a naive twin of ``derived.mm_hessian``."""
    context, step, n = context_of(system), 2e-4, x.size

    def energy(flat):
        context.setPositions(0.1 * flat.reshape(-1, 3))
        return context.getState(energy=True).getPotentialEnergy()._value

    start, found = x.ravel().astype(float), np.zeros((n, n))
    for i in range(n):
        for j in range(i, n):
            ends = [
                a * b * energy(start + step * (a * np.eye(1, n, i)[0] + b * np.eye(1, n, j)[0]))
                for a in (1, -1)
                for b in (1, -1)
            ]
            found[i, j] = found[j, i] = sum(ends) / (4 * step**2)
    return found


REFUSED = {
    "a bond of sulfur": ("CS(=O)(=O)[O-]", r"bond C\(HHHS\)-S\(COOO\) has no one value among the set's anions"),
    "a torsion": ("CC(=O)[O-]", r"no torsion O-C-C-H is in the set's anions or Sage"),
    "six neighbours": ("F[P-](F)(F)(F)(F)C", r"P has more than 4 neighbours"),
    "an atom": ("[Br-]", r"no Lennard-Jones term for Br"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_nothing_is_known_of_is_refused_by_name(case):
    smiles, message = REFUSED[case]
    graph = graph_of(smiles)
    x = np.random.default_rng(1).normal(size=(graph.GetNumAtoms(), 3))
    sage = None if smiles == "[Br-]" else Terms(lennard_jones=[(0.3, 0.4)] * len(x))
    with pytest.raises(Unparametrised, match=message):
        anions.drafted(graph, x, anions.known_terms(RELEASED), sage)


@pytest.mark.parametrize("smiles", ["[N-]=[N+]=[N-]", "[O-]C#N"])
@pytest.mark.parametrize("bend_A", [0.0, 1e-9, 0.02])
def test_a_straight_anion_is_refused(smiles, bend_A):
    x = np.array([[-1.2, 0.0, 0.0], [0.0, bend_A, 0.0], [1.2, 0.0, 0.0]])
    sage = Terms(lennard_jones=[(0.3, 0.4)] * 3)
    with pytest.raises(Unparametrised, match=r"the angle .* is straight"):
        anions.drafted(graph_of(smiles), x, anions.known_terms(RELEASED), sage)


def test_derived_terms_that_do_not_hold_are_refused():
    graph, x, hessian, charges = quantum("DFOB")
    draft = anions.drafted(graph, x, anions.known_terms(RELEASED, left_out=["DFOB"]), sizes("DFOB"))
    # The bath of another anion: every vibration of it three times as stiff along one atom.
    wrong = hessian.copy()
    wrong[:3] *= 9.0
    wrong[:, :3] *= 9.0
    with pytest.raises(Unparametrised, match=r"derived for it do not hold: .* wavenumbers \d+ %"):
        anions.finished(graph, draft, charges, x, wrong)


def test_an_anion_is_not_typed_by_general_rules(tmp_path):
    with pytest.raises(LmbmdError, match=r"--valence gaff2: an anion is not typed by general rules"):
        parametrize(Request("NEW", "CS(=O)(=O)[O-]", valence="gaff2"), tmp_path / "own-1.0.0")
    assert not list(tmp_path.iterdir())


@needs_quantum
@pytest.mark.slow
def test_an_imide_from_its_smiles_has_the_charges_of_its_halves(tmp_path):
    request = Request("FTFSI", "O=S(=O)(F)[N-]S(=O)(=O)C(F)(F)F", conformers=6)
    said = parametrize(request, tmp_path / "own-1.0.0", cache=None)
    assert said[0].startswith("All terms are those of the set's anions.") and "add one under 'salts:'" in said[-1]
    own = read_extended(read_own(tmp_path / "own-1.0.0"))
    assert "6-31+G*" in own.manifest["species"]["FTFSI"]["charge_method"]
    charges = dict(zip(own.names("FTFSI"), read_terms(own.system("FTFSI"), "").charges_e, strict=True))
    assert sum(charges.values()) == pytest.approx(-1.0, abs=1e-9)
    # RESP of FSI⁻ at its GFN2 minimum is in docs/parametrize.md; CL&P gives TFSI's nitrogen -0.66.
    assert charges["N1"] == pytest.approx(-0.7, abs=0.08)
    assert charges["F1"] == pytest.approx(-0.31, abs=0.04)
