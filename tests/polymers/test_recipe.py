"""A polymer in a bottle: which recipes are refused and why, and which chains the others mean."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from lmbmd.core.errors import LmbmdError
from lmbmd.data.library import load_library
from lmbmd.formulation.composition import Composition, compose
from lmbmd.formulation.models import load_formulation
from lmbmd.formulation.polymers.draw import Chains
from lmbmd.formulation.polymers.known import known_polymers
from lmbmd.formulation.polymers.units import assemble, mirrored, read_end, read_unit

PEO_LITFSI = "salts: {LiTFSI: 1 mol parts}\npolymers:\n  PEO: {amount: 20 mol parts, units: 20}\nsize: {chains: 6}\n"


def composed(tmp_path: Path, text: str) -> Composition:
    path = tmp_path / "bottle.yaml"
    path.write_text(text, encoding="utf-8")
    return compose(load_formulation(path), load_library(), cutoff_nm=0.9, ion_charge_scale=0.8)


def test_an_amount_in_mol_parts_counts_repeat_units(tmp_path: Path) -> None:
    found = composed(tmp_path, PEO_LITFSI)
    assert found.counts == {"Li": 6, "TFSI": 6, "PEO": 6}
    # dimethyl ether of 20 units: CH3O(CH2CH2O)20CH3 has 20 * 7 + 5 + 4 atoms
    assert found.n_atoms == 6 * (149 + 16)
    assert found.roles["PEO"] == "polymer"


@pytest.mark.parametrize("amount", ["EO:Li = 20", "[O]/[Li+] = 20", "O:Li 20:1", "20 units per cation"])
def test_a_ratio_to_the_cations_is_that_of_mol_parts_for_a_unit_with_one_oxygen(tmp_path: Path, amount: str) -> None:
    text = PEO_LITFSI.replace("20 mol parts", f'"{amount}"')
    assert composed(tmp_path, text).counts == composed(tmp_path, PEO_LITFSI).counts


def test_a_ratio_of_oxygens_counts_both_of_a_unit_that_has_two(tmp_path: Path) -> None:
    text = "salts: {LiTFSI: rest}\npolymers:\n  PDOL: {amount: 'EO:Li = 20', units: 10}\nsize: {chains: 10}\n"
    assert composed(tmp_path, text).counts == {"Li": 10, "TFSI": 10, "PDOL": 10}


def test_wt_percent_is_that_of_the_chains_with_their_ends(tmp_path: Path) -> None:
    text = "salts: {LiTFSI: 30 wt%}\npolymers:\n  PEO: {amount: rest, units: 30}\nsize: {atoms: 20000}\n"
    found = composed(tmp_path, text)
    mass = {i.name: i.units * i.molar_mass_g_mol for i in found.ingredients}
    assert mass["LiTFSI"] / sum(mass.values()) == pytest.approx(0.3, rel=0.02)
    # 30 C2H4O and C2H6O
    assert found.ingredients[1].molar_mass_g_mol == pytest.approx(30 * 44.053 + 46.069, abs=0.05)


def test_a_bottle_without_polymers_has_the_recipe_that_it_always_had(tmp_path: Path) -> None:
    path = tmp_path / "old.yaml"
    path.write_text("solvents: {DME: rest}\nsize: {atoms: 2000}\n", encoding="utf-8")
    recipe = load_formulation(path).recipe()
    assert "polymers" not in recipe and "chains" not in recipe["size"]


def test_a_composition_with_chains_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    text = "polymers:\n  PMMA: {amount: rest, units: 8}\nsize: {chains: 12}\n"
    found = composed(tmp_path, text)
    found.write(tmp_path / "composition.json")
    assert Composition.read(tmp_path / "composition.json") == found


REFUSED = {
    "one attachment point": ("PEO: {unit: '*CCO', density_g_cm3: 1, amount: rest, units: 5}", "1 attachment point"),
    "three": ("P: {unit: '*CC(*)O*', density_g_cm3: 1, amount: rest, units: 5}", "3 attachment points"),
    "a double bond": ("P: {unit: '*=CC*', density_g_cm3: 1, amount: rest, units: 5}", "single bond"),
    "no unit": ("PEO: {amount: rest, units: 0}", "out of range"),
    "a million units": ("PEO: {amount: rest, units: 1000000}", "out of range"),
    "no oxygen": ("PVDF: {amount: 'EO:Li = 20', units: 5}", "counts ether oxygens, and PVDF has none"),
    "no ether in an ester": (
        "P: {unit: '*OCCCCCC(=O)*', density_g_cm3: 1.1, amount: 'EO:Li = 8', units: 5}",
        "counts ether oxygens, and P has none",
    ),
    "no ether in a carbonate cut elsewhere": (
        "P: {unit: '*OCC(C)OC(=O)*', density_g_cm3: 1.2, amount: 'EO:Li = 8', units: 5}",
        "counts ether oxygens, and P has none",
    ),
    "oxygens that depend on the neighbour": (
        (
            "P: {unit: {A: '*OCC*', B: '*CC(=O)*'}, sequence: random, shares: {A: 1, B: 1}, density_g_cm3: 1.2, "
            "amount: 'EO:Li = 8', units: 6}"
        ),
        "depends on which units meet",
    ),
    "the name of a molecule in small letters": (
        "ec: {unit: '*CCO*', density_g_cm3: 1, amount: rest, units: 5}",
        "'ec' is a molecule",
    ),
    "a peroxide": (
        "P: {unit: '[*:1]OCC[*:2]', ends: ['*OC', '*C'], density_g_cm3: 1, amount: rest, units: 5}",
        "the first end group and a unit meet in a bond between oxygen",
    ),
    "a peroxide of units": (
        "P: {unit: '*OCCO*', density_g_cm3: 1, amount: rest, units: 5}",
        "two units meet in a bond",
    ),
    "vinyl chloride or carbonate": ("PVC: {amount: rest, units: 5}", "there is no polymer 'PVC'"),
    "another cation": ("PEO: {amount: 'EO:Na = 20', units: 5}", "counts Na, and the cations of this bottle are Li"),
    "no stereocentre": ("PEO: {amount: rest, units: 5, tacticity: isotactic}", "no tacticity"),
    "two centres": ("P: {unit: '*CC(C)C(F)*', density_g_cm3: 1, amount: rest, units: 5}", "2 stereocentres"),
    "unknown": ("PE0: {amount: rest, units: 5}", "there is no polymer 'PE0'"),
    "no density": ("P: {unit: '*CCO*', amount: rest, units: 5}", "no density"),
    "no sequence": ("PVDF_HFP: {amount: rest, units: 5}", "have no sequence"),
    "no shares": ("PVDF_HFP: {amount: rest, units: 5, sequence: random}", "shares of its units"),
    "a sequence of one unit": ("PEO: {amount: rest, units: 5, sequence: block}", "for copolymers"),
    "shares of alternating units": (
        "PVDF_HFP: {amount: rest, units: 6, sequence: alternating, shares: {VDF: 1, HFP: 1}}",
        "alternating",
    ),
    "an end with two points": ("PEO: {amount: rest, units: 5, ends: ['*C*', '*C']}", "2 attachment points"),
    "a name with a path": ("../P: {unit: '*CCO*', density_g_cm3: 1, amount: rest, units: 5}", "cannot name a polymer"),
    "the name of a molecule": ("DME: {unit: '*CCO*', density_g_cm3: 1, amount: rest, units: 5}", "a molecule"),
    "a dispersity of equal chains": ("PEO: {amount: rest, units: 5, dispersity: 1.2}", "Schulz"),
}


@pytest.mark.parametrize(("entry", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_a_polymer_that_cannot_be_is_refused_in_words(tmp_path: Path, entry: str, said: str) -> None:
    salt = "salts: {LiTFSI: 1 mol parts}\n" if "EO:" in entry else ""
    with pytest.raises(LmbmdError, match=said) as refused:
        composed(tmp_path, f"{salt}polymers:\n  {entry}\nsize: {{atoms: 3000}}\n")
    assert "polymers" in str(refused.value)
    assert refused.value.remedy


def test_a_chain_that_no_such_box_holds_is_refused_with_the_box_that_would(tmp_path: Path) -> None:
    with pytest.raises(LmbmdError, match="one chain of PEO has 14009 atoms"):
        composed(tmp_path, "polymers:\n  PEO: {amount: rest, units: 2000}\nsize: {atoms: 3000}\n")


def test_a_ratio_to_lithium_is_not_taken_for_one_to_all_cations(tmp_path: Path) -> None:
    salts = "salts: {LiTFSI: 1 mol parts, Pyr13TFSI: 1 mol parts}\n"
    rest = "polymers:\n  PEO: {amount: '%s', units: 50}\nsize: {chains: 10}\n"
    with pytest.raises(LmbmdError, match="counts Li, and the cations of this bottle are Li and Pyr13"):
        composed(tmp_path, salts + rest % "EO:Li = 20")
    found = composed(tmp_path, salts + rest % "20 units per cation")
    assert found.counts["Li"] + found.counts["Pyr13"] == pytest.approx(25, abs=1)


def test_a_unit_has_one_name_in_a_bottle(tmp_path: Path) -> None:
    blend = (
        "polymers:\n  PVDF_HFP: {amount: 1 mol parts, units: 6, sequence: random, shares: {VDF: 9, HFP: 1}}\n"
        "  P2: {unit: {VDF: '*CC(F)(F)*', HFP: '*C(F)(F)C(F)(C(F)(F)F)*'}, sequence: random, shares: {VDF: 1, HFP: 1},"
        " density_g_cm3: 1.7, amount: 1 mol parts, units: 6}\nsize: {chains: 20}\n"
    )
    with pytest.raises(LmbmdError, match="'VDF' names a unit of P2 and one of PVDF_HFP"):
        composed(tmp_path, blend)


def test_all_amounts_of_a_polymer_count_units(tmp_path: Path) -> None:
    text = (
        "salts: {LiTFSI: 1 mol/L of solution}\nsolvents: {DMC: rest}\n"
        "polymers:\n  PEO: {amount: 5 mol/L of solution, units: 20}\nsize: {chains: 8}\n"
    )
    found = composed(tmp_path, text)  # 220 g in the litre; by the chain it would have been 4.6 kg
    values = {(name, quantity): value for name, quantity, value, _ in found.quantities()}
    assert values["PEO", "count"] == 160
    assert values["PEO", "molarity"] == pytest.approx(5, rel=0.05)
    assert values["PEO", "per cation"] == pytest.approx(160 / found.counts["Li"])
    grams = 160 * 44.05 + 8 * 46.07  # units, and a dimethyl ether for the ends
    total = grams + found.counts["Li"] * 287.09 + found.counts["DMC"] * 90.08
    assert values["PEO", "mass fraction"] == pytest.approx(grams / total, rel=1e-3)


def test_a_box_of_more_atoms_than_any_is_refused_before_its_chains_are_drawn(tmp_path: Path) -> None:
    with pytest.raises(LmbmdError, match=r"100000 chains would have 3\.5e\+09 atoms"):
        composed(tmp_path, "polymers:\n  PEO: {amount: rest, units: 5000}\nsize: {chains: 100000}\n")


def test_units_per_cation_of_a_solvent_or_without_a_salt_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LmbmdError, match="the amount of a polymer"):
        composed(tmp_path, "salts: {LiTFSI: rest}\nsolvents: {DME: 4 units per cation}\nsize: {atoms: 3000}\n")
    with pytest.raises(LmbmdError, match="there is no cation"):
        composed(tmp_path, "polymers:\n  PEO: {amount: 'EO:Li = 20', units: 5}\nsize: {atoms: 3000}\n")


def chains(tmp_path: Path, entry: str, n: int) -> Chains:
    return next(iter(composed(tmp_path, f"polymers:\n  {entry}\nsize: {{chains: {n}}}\n").chains.values()))


def test_a_distribution_has_its_mean_exactly_and_its_width_nearly(tmp_path: Path) -> None:
    entry = "PEO: {{amount: rest, units: 40, distribution: {}}}"
    for kind, width in (("poisson", 1 + 39 / 40**2), ("schulz-zimm, dispersity: 1.5", 1.5)):
        found = chains(tmp_path, entry.format(kind), 200)
        lengths = np.array(list(map(len, found.sequences)))
        assert lengths.sum() == 200 * 40
        # Mw/Mn in units; slices of equal probability leave out little of the tails
        assert (lengths**2).mean() / lengths.mean() ** 2 == pytest.approx(width, rel=0.03)
        assert found == chains(tmp_path, entry.format(kind), 200), "the same seed gives the same chains"


def test_a_copolymer_has_its_shares_and_its_sequence(tmp_path: Path) -> None:
    entry = "PVDF_HFP: {{amount: rest, units: 20, sequence: {}}}"
    found = chains(tmp_path, entry.format("random, shares: {VDF: 9, HFP: 1}"), 30)
    text = "".join(found.sequences)
    assert (text.count("A"), text.count("B")) == (540, 60)
    # in a random order the chance of B after B is that of B: 59/599, and of 600 places 20 stand between chains
    pairs = sum(s[i : i + 2] == "BB" for s in found.sequences for i in range(19))
    assert pairs == pytest.approx(570 * 0.1 * 59 / 599, abs=3 * np.sqrt(5.6))
    assert set(chains(tmp_path, entry.format("alternating"), 12).sequences) == {"AB" * 10}
    block = chains(tmp_path, entry.format("block, shares: {VDF: 3, HFP: 1}"), 12)
    assert set(block.sequences) == {"A" * 15 + "B" * 5}


@pytest.mark.parametrize("tacticity", ["isotactic", "syndiotactic", "atactic"])
def test_a_tacticity_relates_the_hands_of_units_that_follow_each_other(tmp_path: Path, tacticity: str) -> None:
    found = chains(tmp_path, f"PMMA: {{amount: rest, units: 100, tacticity: {tacticity}}}", 5)
    meso = np.mean([a == b for hands in found.hands for a, b in itertools.pairwise(hands)])
    expected = {"isotactic": 1.0, "syndiotactic": 0.0, "atactic": 0.5}[tacticity]
    assert meso == pytest.approx(expected, abs=0.1 if tacticity == "atactic" else 0)


def test_isotactic_and_syndiotactic_dyads_are_meso_and_racemo() -> None:
    """Of 2,4-pentanediol-like dyads meso is one compound with its mirror image, racemo is a pair of them."""
    unit, methyl = read_unit("*CC(F)*", ""), read_end("*C", "")
    # ends C and CH3: both centres of F-CH(CH3)-CH2-CHF-CH3 have the same four kinds of neighbours
    same = Chem.RemoveHs(assemble([unit, unit], (methyl, methyl))[0])
    other = Chem.RemoveHs(assemble([unit, mirrored(unit)], (methyl, methyl))[0])
    assert Chem.MolToSmiles(same) != Chem.MolToSmiles(other)
    flags = [dict(Chem.FindMolChiralCenters(one, useLegacyImplementation=False)) for one in (same, other)]
    assert all(len(found) == 2 for found in flags)


def test_every_named_polymer_is_a_chain_that_can_be_put_together() -> None:
    for name, polymer in known_polymers().items():
        units = polymer.unit if isinstance(polymer.unit, dict) else {name: polymer.unit}
        graphs = [read_unit(smiles, name) for smiles in units.values()]
        ends = (read_end(polymer.ends[0], name), read_end(polymer.ends[1], name))
        chain, owner = assemble(graphs * 2, ends)
        assert chain.GetNumAtoms() == len(owner)
        assert not any(atom.GetAtomicNum() == 0 or atom.GetNumRadicalElectrons() for atom in chain.GetAtoms())
