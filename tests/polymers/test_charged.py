"""Chains that are ions: recipes of polyanions with counter-ions, neutral boxes of them, and tethered ions counted."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import openmm
import pytest
import systems
from rdkit import Chem

from lmbmd.analysis.clusters.ions import ion_graph, ions_of
from lmbmd.analysis.shells.coordination import Shells
from lmbmd.analysis.shells.speciation import Speciation
from lmbmd.box.build import start_of
from lmbmd.box.system import Kind, assembled, kinds
from lmbmd.core.errors import LmbmdError
from lmbmd.data.library import load_library
from lmbmd.data.terms import read_terms
from lmbmd.forcefield.chains import charges as of_units
from lmbmd.forcefield.chains.parameters import chain_parameters, check_chains
from lmbmd.forcefield.parameters import load_set
from lmbmd.forcefield.sets import available_sets
from lmbmd.formulation.composition import Composition, compose
from lmbmd.formulation.models import load_formulation
from lmbmd.formulation.polymers.draw import Chains
from lmbmd.formulation.polymers.units import read_unit, uncharged

SAGE = next(name for name in reversed(available_sets()) if name.startswith("sage-clp"))
STFSI = "[*:1]CC([*:2])c1ccc(cc1)S(=O)(=O)[N-]S(=O)(=O)C(F)(F)F"
STYRENE = "[*:1]CC([*:2])c1ccccc1"
#: A random copolymer of a charged and a neutral unit, of several lengths.
MIXED = (
    f"P: {{unit: {{T: '{STFSI}', S: '{STYRENE}'}}, counter_ion: Li, sequence: random, shares: {{T: 3, S: 7}}, "
    "units: 9, distribution: poisson, density_g_cm3: 1.3, amount: %s}\n"
)


def composed(tmp_path: Path, text: str) -> Composition:
    path = tmp_path / "bottle.yaml"
    path.write_text(text, encoding="utf-8")
    return compose(load_formulation(path), load_library(), cutoff_nm=0.9, ion_charge_scale=0.8)


def polymers(tmp_path: Path, entry: str, size: str = "{chains: 12}", rest: str = "") -> Composition:
    return composed(tmp_path, f"{rest}polymers:\n  {entry}\nsize: {size}\n")


def copolymer(sequences: tuple[str, ...]) -> Chains:
    """T is the charged unit, S is styrene."""
    units, names = {"T": STFSI, "S": STYRENE}, {"T": "STFSI", "S": "STY"}
    ions = {"Li": sum(one.count("T") for one in sequences)}
    hands = ("",) * len(sequences)
    return Chains(units, names, ("*[H]", "*[H]"), sequences, hands, "", "", {"T": -1}, ions)


@pytest.fixture
def raw_charges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Charges of any piece without AmberTools: inside a chain as ``settled`` leaves them, at its ends 0.09 e off."""

    def made(piece: of_units.Piece, step: object = None) -> np.ndarray:
        generator = np.random.default_rng(len(piece.mine))
        formal = sum(piece.graph.GetAtomWithIdx(int(i)).GetFormalCharge() for i in piece.mine)
        raw = generator.normal(0, 0.3, len(piece.mine))
        raw += (formal + 0.09 - raw.sum()) / len(raw)
        return of_units.settled(piece, raw)[0]

    monkeypatch.setattr(of_units, "unit_charges", made)


# --- recipes ---------------------------------------------------------------------------------------------------------


def test_a_named_polyanion_comes_with_an_ion_of_lithium_for_each_unit(tmp_path: Path) -> None:
    found = polymers(tmp_path, "PSTFSI: {amount: rest, units: 10}")
    assert found.counts == {"Li": 120, "PSTFSI": 12} and found.roles == {"Li": "cation", "PSTFSI": "anion"}
    assert found.net_charge_e == 0
    assert found.n_atoms == 12 * (10 * 26 + 2) + 120  # C9H7F3NO4S2, hydrogen at both ends, and lithium
    assert found.ingredients[0].molar_mass_g_mol == pytest.approx(10 * (314.28 + 6.94) + 2.016, abs=0.1)
    assert "with 120 Li as counter-ions" in found.notes[0]


def test_a_composition_of_charged_chains_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    found = polymers(tmp_path, MIXED % "rest")
    found.write(tmp_path / "composition.json")
    assert Composition.read(tmp_path / "composition.json") == found


def test_neutral_chains_are_written_and_named_as_before_there_were_charged_ones(tmp_path: Path) -> None:
    polymers(tmp_path, "PMMA: {amount: rest, units: 8}").write(tmp_path / "composition.json")
    told = json.loads((tmp_path / "composition.json").read_text("utf-8"))
    assert not {"charges", "counter_ions"} & told["chains"]["PMMA"].keys()
    assert "counter_ion" not in load_formulation(tmp_path / "bottle.yaml").recipe()["polymers"]["PMMA"]


@pytest.mark.parametrize("distribution", ["poisson", "schulz-zimm"])
def test_counter_ions_are_counted_from_the_chains_that_are_drawn(tmp_path: Path, distribution: str) -> None:
    found = polymers(tmp_path, MIXED.replace("poisson", distribution) % "rest", "{chains: 14}")
    (chains,) = found.chains.values()
    charged = sum(sequence.count("A") for sequence in chains.sequences)
    assert len(set(map(len, chains.sequences))) > 3, "of several lengths"
    assert found.counts == {"Li": charged, "P": 14} and found.net_charge_e == 0
    assert charged == round(0.3 * 9 * 14)  # shares are met to one unit
    assert found.roles["P"] == "polymer"  # some of its units are no ions


BLENDS = {
    "a solvent, per litre": ("solvents: {DME: rest}\n", "PSTFSI: {amount: 1 mol/L of solution, units: 5}"),
    "a solvent, by mass": ("solvents: {DME: rest}\n", "PSTFSI: {amount: 30 wt%, units: 5}"),
    "a solvent, by volume": ("solvents: {DME: rest}\n", "PSTFSI: {amount: 25 vol%, units: 5}"),
    "a solvent, in parts of mass": ("solvents: {DME: 3 mass parts}\n", "PSTFSI: {amount: 1 mass parts, units: 5}"),
    "a solvent, in parts of volume": ("solvents: {DME: 3 v}\n", "PSTFSI: {amount: 1 v, units: 5}"),
    "a solvent, per kilogram": ("solvents: {DME: rest}\n", "PSTFSI: {amount: 1 mol/kg of solvent, units: 5}"),
    "per litre of solvent": ("solvents: {DME: rest}\n", "PSTFSI: {amount: 1 mol/L of solvent, units: 5}"),
    "a solvent and a salt": (
        "salts: {LiTFSI: 0.5 mol/L of solution}\nsolvents: {DME: rest}\n",
        "PSTFSI: {amount: 20 wt%, units: 5}",
    ),
    "a neutral chain": (
        "",
        "PEO: {amount: 'EO:Li = 10', units: 20}\n  PSTFSI: {amount: 1 mol parts, units: 5}",
    ),
    "a neutral chain and a salt": (
        "salts: {LiTFSI: 1 mol parts}\n",
        "PEO: {amount: 'EO:Li = 10', units: 20}\n  PSTFSI: {amount: 1 mol parts, units: 5}",
    ),
}


@pytest.mark.parametrize(("rest", "entry"), BLENDS.values(), ids=BLENDS.keys())
def test_a_blend_with_a_polyanion_is_what_was_asked_for_by_its_atoms(tmp_path: Path, rest: str, entry: str) -> None:
    """Each amount against what its atoms weigh and its units number, counted here."""
    found = polymers(tmp_path, entry, "{atoms: 12000}", rest)
    assert found.net_charge_e == 0
    units, asked = found.chains["PSTFSI"].n_units, {r.component: r for r in found.asked_realised}["PSTFSI"]
    salt = found.counts.get("TFSI", 0)
    assert found.counts["Li"] == units + salt
    grams = {"PSTFSI": 321.22 * units + 2.016 * found.counts["PSTFSI"], "LiTFSI": 287.09 * salt}
    grams["DME"] = 90.12 * found.counts.get("DME", 0)
    eo = found.chains["PEO"].n_units if "PEO" in found.chains else 0
    grams["PEO"] = 44.053 * eo + 46.07 * found.counts.get("PEO", 0)
    density = {"PSTFSI": 1.5, "PEO": 1.13, "DME": load_library().species["DME"].density_g_cm3}
    cm3 = {name: grams[name] / density[name] for name in density}
    cm3["LiTFSI"] = salt * load_library().salts["LiTFSI"].molar_volume_cm3_mol
    solvent = sum(grams.values()) - grams["LiTFSI"]
    by_hand = {
        "mol/L of solution": 1000 * units / sum(cm3.values()),
        "mol/L of solvent": 1000 * units / (sum(cm3.values()) - cm3["LiTFSI"]),
        "mol/kg of solvent": 1000 * units / solvent,
        "wt%": 100 * grams["PSTFSI"] / sum(grams.values()),
        "vol%": 100 * cm3["PSTFSI"] / sum(cm3.values()),
        "mass parts": 4 * grams["PSTFSI"] / sum(grams.values()),
        "volume parts": 4 * cm3["PSTFSI"] / sum(cm3.values()),
        "mol parts": 2 * units / (units + salt) if salt else 1.0,
    }
    assert asked.realised == pytest.approx(by_hand[asked.basis], rel=1e-3)
    assert asked.realised == pytest.approx(asked.asked, rel=0.05)
    if eo:
        assert eo / found.counts["Li"] == pytest.approx(10, rel=0.05)


def test_ion_pairs_count_the_ions_of_chains_and_are_met_exactly_or_not_at_all(tmp_path: Path) -> None:
    assert polymers(tmp_path, "PSTFSI: {amount: rest, units: 20}", "{ion_pairs: 100}").counts["Li"] == 100
    with pytest.raises(LmbmdError, match="come to 100 cations, not 90") as refused:
        polymers(tmp_path, "PSTFSI: {amount: rest, units: 20}", "{ion_pairs: 90}")
    assert "ion_pairs: 100" in str(refused.value.remedy)


def test_a_unit_of_two_charges_has_two_counter_ions_and_an_ion_of_two_serves_two_units(tmp_path: Path) -> None:
    two = "P: {unit: '*CC(C(=O)[O-])(C(=O)[O-])*', counter_ion: Li, units: 6, density_g_cm3: 1.4, amount: rest}"
    assert polymers(tmp_path, two, "{chains: 20}").counts == {"Li": 240, "P": 20}
    half = "PSTFSI: {amount: rest, units: 5, counter_ion: Mg}"
    assert polymers(tmp_path, half, "{chains: 16}").counts == {"Mg": 40, "PSTFSI": 16}
    with pytest.raises(LmbmdError, match=r"charge of -75 e together, which no whole number of Mg \(\+2 e\) balances"):
        polymers(tmp_path, half, "{chains: 15}")


def test_chains_too_short_for_their_shares_are_judged_by_the_ions_that_they_have(tmp_path: Path) -> None:
    """A third of five units is two in each block: 20 % more ions than the mean chain has."""
    entry = (
        f"P: {{unit: {{T: '{STFSI}', S: '{STYRENE}'}}, counter_ion: Li, sequence: block, shares: {{T: 1, S: 2}}, "
        "units: 5, density_g_cm3: 1.3, amount: 1 mol parts}\n  PEO: {amount: 'EO:Li = 10', units: 20}"
    )
    with pytest.raises(LmbmdError, match=r"the amount of PEO is -1\d\.\d+% off"):
        polymers(tmp_path, entry, "{atoms: 12000}")
    found = polymers(tmp_path, entry, "{atoms: 12000, tolerance: 0.3}")
    realised = {r.component: r.realised for r in found.asked_realised}["PEO"]
    assert realised == pytest.approx(found.chains["PEO"].n_units / found.counts["Li"])


def test_a_polycation_has_anions_as_counter_ions_and_counts_as_cations(tmp_path: Path) -> None:
    entry = "P: {unit: '*CC(C[N+](C)(C)C)*', counter_ion: TFSI, units: 8, density_g_cm3: 1.3, amount: 1 mol parts}\n"
    found = polymers(tmp_path, entry + "  PEO: {amount: '10 units per cation', units: 20}", "{atoms: 12000}")
    assert found.counts["TFSI"] == found.chains["P"].n_units and found.net_charge_e == 0
    assert found.chains["PEO"].n_units / found.counts["TFSI"] == pytest.approx(10, rel=0.05)
    values = {(name, quantity): value for name, quantity, value, _ in found.quantities()}
    assert values["P", "per cation"] == pytest.approx(1.0)
    assert found.roles["P"] == "cation"


def test_heavy_counter_ions_are_weighed(tmp_path: Path) -> None:
    """Three quarters of the salt's mass are TFSI."""
    entry = "P: {unit: '*CC(C[N+](C)(C)C)*', counter_ion: TFSI, units: 8, density_g_cm3: 1.3, amount: 20 wt%}"
    found = polymers(tmp_path, entry, "{atoms: 10000}", "solvents: {DME: rest}\n")
    units = found.chains["P"].n_units
    grams = units * (100.18 + 280.15) + found.counts["P"] * 2.016
    share = grams / (grams + 90.12 * found.counts["DME"])
    assert share == pytest.approx(0.2, rel=0.05)
    assert {r.component: r.realised for r in found.asked_realised}["P"] == pytest.approx(100 * share, rel=1e-3)


def test_a_zwitterion_is_a_neutral_chain(tmp_path: Path) -> None:
    unit = "*CC(C[N+](C)(C)CCCS(=O)(=O)[O-])*"
    found = polymers(tmp_path, f"P: {{unit: '{unit}', units: 8, density_g_cm3: 1.3, amount: rest}}", "{atoms: 6000}")
    assert list(found.counts) == ["P"] and found.roles["P"] == "polymer" and not found.chains["P"].charges


REFUSED = {
    "no counter-ion": ("P: {unit: '*CC(C(=O)[O-])*', %s}", "has negative units and no counter-ion", "counter_ion: Li"),
    "no anion": ("P: {unit: '*CC(C[N+](C)(C)C)*', %s}", "has positive units and no counter-ion", "counter_ion: TFSI"),
    "its own sign": ("PSTFSI: {counter_ion: TFSI, %s}", r"own sign \(-1 e\)", "Give one of CTA, Ca, Cs"),
    "a molecule": ("PSTFSI: {counter_ion: DME, %s}", "DME is no ion", "Li"),
    "an empty name": ("PSTFSI: {counter_ion: '', %s}", "''", "1 character"),
    "the ion in the unit": ("P: {unit: '*CC(C(=O)[O-])*.[Li+]', %s}", "is in pieces", "'counter_ion'"),
    "a salt": ("PSTFSI: {counter_ion: LiTFSI, %s}", "'LiTFSI' is a salt", "Li or TFSI"),
    "unknown": ("PSTFSI: {counter_ion: Lu, %s}", "there is no ion 'Lu'", "Li"),
    "no text": ("PSTFSI: {counter_ion: 1, %s}", "1 is not text", "text"),
    "of a neutral chain": (
        "PEO: {counter_ion: Li, %s}",
        "to balance a chain that is neutral",
        "Leave 'counter_ion' out",
    ),
    "a charged end": ("PSTFSI: {ends: ['*C', '*CC(=O)[O-]'], %s}", r"end group .* has a charge of -1 e", "neutral end"),
    "both signs": (
        "P: {unit: {A: '*CC(C(=O)[O-])*', B: '*CC(C[N+](C)(C)C)*'}, sequence: alternating, counter_ion: Li, %s}",
        "units of both signs",
        "zwitterion",
    ),
}


@pytest.mark.parametrize(("entry", "said", "remedy"), REFUSED.values(), ids=REFUSED.keys())
def test_charges_that_cannot_be_are_refused_with_the_key_and_the_remedy(
    tmp_path: Path, entry: str, said: str, remedy: str
) -> None:
    with pytest.raises(LmbmdError, match=said) as refused:
        polymers(tmp_path, entry % "amount: rest, units: 6, density_g_cm3: 1.2")
    assert "bottle.yaml:polymers." in str(refused.value) and remedy in str(refused.value.remedy)


# --- parameters ------------------------------------------------------------------------------------------------------


def test_a_charged_neighbour_stands_in_a_piece_by_its_main_chain() -> None:
    """Of three tethered ions one is left; of a charge in the main chain nothing is cut."""
    piece = of_units.piece_of(copolymer(("TTT",)), ("T", "T", "T"))
    assert Chem.GetFormalCharge(piece.graph) == -1
    written = Chem.MolToSmiles(Chem.RemoveHs(piece.graph))
    assert written == Chem.CanonSmiles("CC(C)CC(CCC)c1ccc(cc1)S(=O)(=O)[N-]S(=O)(=O)C(F)(F)F")
    ionene = read_unit("[*:1]CC[N+](C)(C)[*:2]", "")
    assert uncharged(ionene) is ionene


@pytest.mark.usefixtures("raw_charges")
def test_units_of_a_charged_chain_have_whole_charges_its_ends_too() -> None:
    for sequence in ("TSST", "STTS", "TTTT", "TS", "ST", "T"):
        one = chain_parameters(copolymer((sequence,)), sequence, SAGE)
        of_unit = np.bincount(one.unit, np.array(one.terms.charges_e) * 1e6)
        assert of_unit == pytest.approx([-1e6 if letter == "T" else 0.0 for letter in sequence], abs=1e-6)


def test_the_tethered_sulfonylimide_has_the_terms_of_the_free_ion() -> None:
    """And the benzene of neutral units the set's own carbon, as in a neutral chain; of charged ones Sage's."""
    one = chain_parameters(PSTFSI, "AAA", SAGE)
    element = np.array(one.elements)
    nitrogen = np.flatnonzero(element == "N")
    bonds = {tuple(sorted(row[:2])): row[2:] for row in one.terms.bonds}
    angles = [row[3:] for row in one.terms.angles if row[1] in nitrogen]
    assert angles == [(pytest.approx(np.radians(125.6)), pytest.approx(671.0))] * 3
    of_nitrogen = [values for pair, values in bonds.items() if set(pair) & set(nitrogen.tolist())]
    assert of_nitrogen == [(pytest.approx(0.157), pytest.approx(313700.0))] * 6
    sizes = np.array([lj[1:] for lj in one.terms.nonbonded])
    assert sizes[element == "O"] == pytest.approx(np.tile([0.315, 0.83736], (12, 1)))
    about = {(row[1], row[2]) for row in one.terms.torsions if set(row[1:3]) & set(nitrogen.tolist())}
    assert len({tuple(sorted(pair)) for pair in about}) == 6  # each S–N bond is turned about by the ion's terms
    carbons = {row[4:] for row in one.terms.torsions if element[list(row[:4])].tolist() in (list("CSNS"), list("SNSC"))}
    assert {(n, round(abs(k), 4)) for n, _, k in carbons} == {(1, 16.3865), (2, 5.21), (3, 1.5975)}


@pytest.mark.usefixtures("raw_charges")
def test_neutral_units_of_a_charged_chain_keep_what_the_set_changes_in_neutral_molecules() -> None:
    one = chain_parameters(copolymer(("SST",)), "SST", SAGE)
    graph_carbons = [i for i, e in enumerate(one.elements) if e == "C" and one.terms.nonbonded[i][1] < 0.3381 + 1e-6]
    assert {int(one.unit[i]) for i in graph_carbons if one.terms.nonbonded[i][1] > 0.33805} == {0, 1}


PSTFSI = Chains({"A": STFSI}, {"A": "PSTFSI"}, ("*[H]", "*[H]"), ("AAA",), ("",), "", "", {"A": -1}, {"Li": 3})


def test_the_charges_of_the_named_polyanion_come_with_lmbmd() -> None:
    check_chains({"PSTFSI": PSTFSI}, SAGE, "bottle")
    one = chain_parameters(PSTFSI, "AAA", SAGE)
    assert np.bincount(one.unit, one.terms.charges_e) == pytest.approx([-1.0] * 3, abs=1e-9)


def test_the_imide_of_a_tethered_ion_has_the_charges_of_the_free_one_and_the_rest_nearly_its_own() -> None:
    one = chain_parameters(PSTFSI, "AAA", SAGE)
    charge, element = np.array(one.terms.charges_e), np.array(one.elements)
    free = dict(
        zip(load_set(SAGE).elements("TFSI"), read_terms(load_set(SAGE).system("TFSI"), "").charges_e, strict=True)
    )
    for symbol in "NSOF":
        assert charge[element == symbol] == pytest.approx(free[symbol]), symbol
    assert (charge[element == "C"] == pytest.approx(free["C"])) is False  # those of the ring and the backbone differ
    own = of_units.chain_charges(PSTFSI, "AAA")
    rest = np.flatnonzero((element == "H") | (element == "C") & (charge != free["C"]))
    assert len(rest) == 3 * 15 + 2 and np.abs(charge[rest] - own[rest]).max() < 0.005


@pytest.mark.usefixtures("raw_charges")
def test_charges_of_another_kind_of_ion_are_left_alone() -> None:
    """Random ones, which the imide's would change by more than a unit may lack."""
    chains = copolymer(("TT",))
    one = np.array(chain_parameters(chains, "TT", SAGE).terms.charges_e)
    assert one == pytest.approx(of_units.chain_charges(chains, "TT"))


# --- the box ---------------------------------------------------------------------------------------------------------


def molecules(sequences: tuple[str, ...], scale: float = 0.8) -> list[Kind]:
    chains = copolymer(sequences)
    counts = {"Li": chains.counter_ions["Li"], "P": len(sequences)}
    return kinds(counts, {"Li": "cation", "P": "polymer"}, load_set(SAGE), scale, {"P": chains})


@pytest.mark.usefixtures("raw_charges")
def test_a_tethered_ion_is_scaled_whole_a_neutral_unit_not_and_the_box_is_neutral() -> None:
    sequences = ("TSST", "SSTSS", "TTTTTT", "S", "STSTSTS")
    scaled, full = (assembled(molecules(sequences, scale), load_set(SAGE), 40.0) for scale in (0.8, 1.0))
    assert abs(scaled.atoms.charge_e.sum()) < 1e-9
    of_unit = np.bincount(scaled.atoms.unit, scaled.atoms.charge_e)
    formal = np.array([s.charge for s in scaled.atoms.species])[scaled.atoms.unit_species]
    assert of_unit == pytest.approx(0.8 * formal, abs=1e-9)
    factor = np.where(formal == 0, 1.0, 0.8)[scaled.atoms.unit]
    assert scaled.atoms.charge_e == pytest.approx(factor * full.atoms.charge_e)
    forces = [next(f for f in s.system.getForces() if isinstance(f, openmm.NonbondedForce)) for s in (scaled, full)]
    for number in range(forces[0].getNumExceptions()):
        (i, j, one, *_), (_, _, other, *_) = (f.getExceptionParameters(number) for f in forces)
        assert one._value == pytest.approx(factor[i] * factor[j] * other._value, abs=1e-12)


@pytest.mark.usefixtures("raw_charges")
def test_the_units_of_a_built_chain_have_the_role_and_the_charge_of_ions() -> None:
    atoms = assembled(molecules(("TSST", "SS")), load_set(SAGE), 40.0).atoms
    told = {s.name: (s.role, s.charge, s.chain) for s in atoms.species}
    assert told == {"Li": ("cation", 1, ""), "STFSI": ("anion", -1, "P"), "STY": ("polymer", 0, "P")}
    assert atoms.count("STFSI") == 2 and atoms.count("STY") == 4
    assert {"STFSI:O_sulfonyl", "STFSI:N", "STFSI:F"} <= set(atoms.sites)


@pytest.mark.usefixtures("raw_charges")
def test_shells_pairs_and_clusters_of_a_built_chain_are_those_counted_by_hand() -> None:
    """Li 0 alone; Li 1 at one tethered ion; Li 2 at two, of which one also holds Li 3."""
    atoms = assembled(molecules(("TSTT", "T")), load_set(SAGE), 40.0).atoms
    assert len(ions_of(atoms)) == 8 and ions_of(atoms).charge.tolist() == [1] * 4 + [-1] * 4
    oxygen = next(
        k
        for k, atom in enumerate(systems.donors(atoms, systems.molecules(atoms, "STFSI")[0]))
        if atoms.element[atom] == "O"
    )
    contacts = [
        (1, ("STFSI", 0), oxygen),
        (2, ("STFSI", 1), oxygen),
        (2, ("STFSI", 3), oxygen),
        (3, ("STFSI", 3), oxygen),
    ]
    frame = systems.frame(atoms, contacts)
    shells = Shells(atoms, "Li")
    shells.add(systems.first(atoms, frame))
    found = shells.result()
    of = found.ligands.index("STFSI")
    assert sorted(found.types[:, of].tolist()) == [0, 1, 2]  # kinds of shells: no, one and two tethered ions
    assert sorted(ion_graph(frame, atoms, ions_of(atoms)).size.tolist()) == [1, 1, 2, 4]
    pairs = Speciation(atoms, "Li")
    pairs.add(systems.first(atoms, frame))
    assert pairs.result().fractions("centre")[0].tolist() == [0.25, 0.5, 0.25]  # SSIP, CIP, AGG
    assert pairs.result().fractions("anion")[0].tolist() == [0.25, 0.5, 0.25]


@pytest.mark.slow
def test_a_box_of_a_polyanion_in_peo_is_built_neutral_and_holds_together(tmp_path: Path) -> None:
    entry = "PEO: {amount: 'EO:Li = 10', units: 10}\n  PSTFSI: {amount: 1 mol parts, units: 4}"
    composition = polymers(tmp_path, entry, "{chains: 20}")
    box = start_of(composition, composition.counts, load_set(SAGE), 0.8, 5)
    atoms, system = box.built.atoms, box.built.system
    assert abs(atoms.charge_e.sum()) < 1e-9 and len(atoms) == composition.n_atoms
    system.setDefaultPeriodicBoxVectors(*(np.eye(3) * box.edge_A / 10))
    integrator = openmm.LangevinMiddleIntegrator(300.0, 5.0, 0.0005)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("CPU"))
    context.setPositions(box.positions / 10)
    openmm.LocalEnergyMinimizer.minimize(context, 100.0, 100)
    integrator.step(100)
    x = context.getState(getPositions=True).getPositions(asNumpy=True)._value
    assert atoms.bonds is not None
    assert np.linalg.norm(x[atoms.bonds[:, 0]] - x[atoms.bonds[:, 1]], axis=1).max() < 0.2
