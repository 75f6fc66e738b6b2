"""Whole molecules: neutral, as true to the recipe as the size allows, and refused where they cannot be."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from bottles import LIBRARY, bottle
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lmbmd.core.errors import LmbmdError
from lmbmd.core.units import AVOGADRO_PER_MOL
from lmbmd.data.library import load_library
from lmbmd.formulation.composition import Composition, compose, realised_amounts
from lmbmd.formulation.resolve import find_components, resolve

NM3_PER_CM3_MOL = 1e21 / AVOGADRO_PER_MOL
LHCE = {"salts": {"LiFSI": "1 mol"}, "solvents": {"DME": "1.2 mol"}, "diluents": {"TTE": "3 mol"}}
LHCE_NAMES = ("LiFSI", "DME", "TTE")
ONE_MOLAR = {"salts": {"LiFSI": "1 mol/L of solution"}, "solvents": {"DME": "rest"}}
MIXED = {
    "salts": {"LiPF6": "1 M of solution"},
    "solvents": {"EC:EMC": "3:7 v/v"},
    "additives": {"FEC": "2 wt%", "LiNO3": "0.02 M of solution"},
}


def composed(size, recipe=LHCE, **more) -> Composition:
    return compose(bottle(size=size, **recipe, **more), LIBRARY, cutoff_nm=1.0, ion_charge_scale=0.8)


def test_an_exact_ratio_is_met_exactly_where_the_size_allows():
    box = composed({"ion_pairs": 20})
    assert box.counts == {"Li": 20, "FSI": 20, "DME": 24, "TTE": 60}
    assert box.roles == {"Li": "cation", "FSI": "anion", "DME": "solvent", "TTE": "diluent"}
    assert box.n_atoms == 20 * (1 + 9) + 24 * 16 + 60 * 18
    assert [r.relative_error for r in box.asked_realised] == pytest.approx([0, 0, 0], abs=1e-12)


def test_the_box_has_the_volume_and_density_of_ideal_mixing():
    box = composed({"ion_pairs": 20})
    cm3_mol = 20 * 85 + 24 * 90.12 / 0.8614 + 60 * 232.07 / 1.532
    grams = 20 * 187.07 + 24 * 90.12 + 60 * 232.07
    assert box.box_edge_A == pytest.approx((1000 * cm3_mol * NM3_PER_CM3_MOL) ** (1 / 3), rel=1e-9)
    assert box.density_g_cm3 == pytest.approx(grams / cm3_mol, rel=1e-9)


def test_an_inexact_ratio_is_met_as_well_as_any_size_near_the_target_allows():
    """From 1425 to 1575 atoms at 83.2 per LiFSI there are 17 to 19 pairs; 18:22:54 misses 1 : 1.2 : 3 least."""
    box = composed({"atoms": 1500})
    assert box.counts == {"Li": 18, "FSI": 18, "DME": 22, "TTE": 54}
    row = {r.component: r for r in box.asked_realised}
    assert [row[name].realised for name in LHCE_NAMES] == pytest.approx([5.2 * n / 94 for n in (18, 22, 54)])
    assert row["DME"].relative_error == pytest.approx(5.2 * 22 / 94 / 1.2 - 1)


@pytest.mark.parametrize(
    ("recipe", "atoms"), [(LHCE, 1500), (LHCE, 20_000), (ONE_MOLAR, 1500), (ONE_MOLAR, 4000), (MIXED, 30_000)]
)
def test_no_rounding_near_the_target_is_better(recipe, atoms):
    """Against the roundings of every total from 90 to 110 % of the target in steps of a hundredth of a molecule."""
    formulation = bottle(size={"atoms": atoms, "tolerance": 0.5}, **recipe)
    components = find_components(formulation, LIBRARY)
    moles = resolve(components, "")
    per_molecule = np.array([c.n_atoms for c in components])
    target = atoms / (moles @ per_molecule)
    steps = np.linspace(0.9 * target, 1.1 * target, int(20 * target))
    trials = np.unique(np.rint(np.outer(steps, moles)), axis=0)
    trials = trials[np.abs(trials @ per_molecule / atoms - 1) <= 0.05]
    best = np.abs(realised_amounts(components, moles, trials)[1]).max(axis=1).min()
    found = max(
        abs(r.relative_error) for r in compose(formulation, LIBRARY, cutoff_nm=1.0, ion_charge_scale=0.8).asked_realised
    )
    assert found <= best + 0.001  # errors count in steps of 0.1 %


def test_ion_pairs_are_met_exactly():
    box = composed({"ion_pairs": 37}, ONE_MOLAR)
    assert box.counts["Li"] == 37 == box.counts["FSI"]
    divalent = composed({"ion_pairs": 30}, {"salts": {"MgTFSI2": "0.4 M of solution"}, "solvents": {"DME": "rest"}})
    assert (divalent.counts["Mg"], divalent.counts["TFSI"]) == (30, 60)


def test_a_box_edge_is_never_undercut_and_little_exceeded():
    for edge_nm in (3.0, 3.7, 5.0):
        box = composed({"box_edge_nm": edge_nm}, MIXED | {"additives": {"FEC": "2 wt%"}})
        assert 10 * edge_nm <= box.box_edge_A <= 10 * edge_nm * 1.05 ** (1 / 3) * (1 + 1e-9)


def test_atoms_are_met_within_a_twentieth():
    for atoms in (2000, 5000, 20_000):
        assert composed({"atoms": atoms}).n_atoms == pytest.approx(atoms, rel=0.05)


def test_salts_share_an_ion():
    box = composed({"ion_pairs": 102}, MIXED)
    units = {i.name: i.units for i in box.ingredients}
    assert box.counts["Li"] == units["LiPF6"] + units["LiNO3"] == 102
    assert (box.counts["PF6"], box.counts["NO3"]) == (units["LiPF6"], units["LiNO3"])
    assert box.roles["NO3"] == "anion"
    assert list(box.counts) == ["Li", "NO3", "PF6", "EC", "EMC", "FEC"]


def test_realised_amounts_are_those_of_the_whole_molecules():
    box = composed({"ion_pairs": 51}, MIXED)
    units = {i.name: i.units for i in box.ingredients}
    grams = {i.name: i.units * i.molar_mass_g_mol for i in box.ingredients}
    volume = {i.name: i.units * i.molar_volume_cm3_mol for i in box.ingredients}
    row = {r.component: r for r in box.asked_realised}
    assert row["LiPF6"].realised == pytest.approx(1000 * units["LiPF6"] / sum(volume.values()), rel=1e-12)
    assert row["FEC"].realised == pytest.approx(100 * grams["FEC"] / sum(grams.values()), rel=1e-12)
    assert row["EC"].realised / row["EMC"].realised == pytest.approx(volume["EC"] / volume["EMC"], rel=1e-12)
    assert row["EC"].realised + row["EMC"].realised == pytest.approx(10)
    assert row["FEC"].relative_error == pytest.approx(row["FEC"].realised / 2 - 1, rel=1e-9)
    assert (row["FEC"].asked, row["FEC"].basis, row["FEC"].text) == (2.0, "wt%", "2 wt%")


def test_rest_is_compared_by_mass():
    row = {r.component: r for r in composed({"ion_pairs": 12}, ONE_MOLAR).asked_realised}["DME"]
    assert (row.text, row.basis) == ("rest", "wt%")
    # One litre: 187.07 g of LiFSI and 915 cm³ of DME of 0.8614 g/cm³.
    assert row.asked == pytest.approx(100 * 915 * 0.8614 / (915 * 0.8614 + 187.07), rel=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    salt=st.floats(0.2, 3),
    second=st.floats(0.2, 3),
    share=st.floats(0.2, 5),
    fec=st.floats(1, 10),
    basis=st.sampled_from(["mol/L of solution", "mol/L of solvent", "mol/kg"]),
    atoms=st.integers(3000, 60_000),
)
def test_every_box_is_neutral_and_within_tolerance(salt, second, share, fec, basis, atoms):
    recipe = {
        "salts": {"LiFSI": f"{salt} {basis}", "MgTFSI2": f"{second / 3} {basis}"},
        "solvents": {"EC": "1 volume parts", "DMC": f"{share} volume parts"},
        "additives": {"FEC": f"{fec} wt%"},
    }
    try:
        box = composed({"atoms": atoms, "tolerance": 0.08}, recipe)
    except LmbmdError as error:
        assume("tolerance" not in error.what and "no molecule" not in error.what)
        raise
    charge = {"Li": 1, "Mg": 2, "FSI": -1, "TFSI": -1}
    assert sum(n * charge.get(species, 0) for species, n in box.counts.items()) == 0
    assert all(abs(r.relative_error) <= 0.08 for r in box.asked_realised)
    assert all(n > 0 for n in box.counts.values())
    assert box.n_atoms == sum(LIBRARY.species[s].n_atoms * n for s, n in box.counts.items())


@settings(max_examples=25, deadline=None)
@given(salt=st.floats(0.3, 4), ion_pairs=st.integers(40, 400))
def test_molarity_and_molality_of_one_bottle_give_the_same_counts(salt, ion_pairs):
    litre = {"salts": {"LiFSI": f"{salt!r} mol/L of solution"}, "solvents": {"DME": "rest"}}
    molality = 1000 * salt / ((1000 - 85 * salt) * 0.8614)
    kilogram = {"salts": {"LiFSI": f"{molality!r} mol/kg"}, "solvents": {"DME": "rest"}}
    size = {"ion_pairs": ion_pairs}
    assert composed(size, litre).counts == composed(size, kilogram).counts


def test_the_order_of_lines_does_not_matter():
    turned = {section: dict(reversed(MIXED[section].items())) for section in reversed(MIXED)}
    turned["solvents"] = {"EMC": "7 volume parts", "EC": "3 volume parts"}
    size = {"atoms": 30_000}
    first, second = composed(size, MIXED), composed(size, turned)
    assert list(first.counts.items()) == list(second.counts.items())
    assert first.recipe_sha256 == second.recipe_sha256


def test_aliases_name_the_same_bottle():
    alias = {"salts": {"lifsi": "1 M of solution"}, "solvents": {"monoglyme": "rest"}}
    assert composed({"ion_pairs": 12}, alias).counts == composed({"ion_pairs": 12}, ONE_MOLAR).counts


def advised_edge_nm(error: LmbmdError) -> float:
    return float(re.search(r"size: \{box_edge_nm: ([\d.]+)\}", error.remedy)[1])


@pytest.mark.parametrize(("molar", "edge_nm"), [(0.02, 9.40), (0.05, 6.93)])
def test_a_lost_trace_species_is_an_error_with_the_box_that_holds_ten(molar, edge_nm):
    """Ten at c mol/L need (10 / (0.6022 c))^(1/3) nm, rounded up here: 9.40 nm at 0.02, 6.93 nm at 0.05 mol/L."""
    recipe = {**ONE_MOLAR, "additives": {"LiNO3": f"{molar} mol/L of solution"}}
    with pytest.raises(LmbmdError) as caught:
        composed({"atoms": 1200}, recipe)
    assert "would hold no molecule of LiNO3" in caught.value.what
    assert f"The smallest box with 10 of it has an edge of {edge_nm:.2f} nm and" in caught.value.remedy
    assert advised_edge_nm(caught.value) == edge_nm
    box = composed({"box_edge_nm": edge_nm}, recipe)
    assert box.counts["NO3"] == 10
    advised_atoms = int(re.search(r"and (\d+) atoms", caught.value.remedy)[1])
    assert box.n_atoms == pytest.approx(advised_atoms, rel=0.05)


def test_too_few_molecules_are_an_error_when_a_minimum_is_asked_for():
    recipe = {**ONE_MOLAR, "additives": {"FEC": "2 wt%"}}
    with pytest.raises(LmbmdError, match=r"would hold only \d of FEC.*smallest box with 25 of it") as caught:
        composed({"atoms": 3000, "min_molecules": 25}, recipe)
    box = composed({"box_edge_nm": advised_edge_nm(caught.value), "min_molecules": 25}, recipe)
    assert 25 <= box.counts["FEC"] <= 27  # at most a twentieth larger than asked


def test_few_molecules_are_noted():
    notes = composed({"ion_pairs": 8, "tolerance": 0.2}, ONE_MOLAR).notes
    assert notes == ("The box holds few LiFSI, only 8: numbers about it have little statistics behind them.",)
    assert composed({"ion_pairs": 10}, ONE_MOLAR).notes == ()


@pytest.mark.parametrize("tolerance", [0.004, 0.002, 0.0012, 0.0005])
def test_a_missed_tolerance_names_a_box_that_meets_it(tolerance):
    recipe = {"salts": {"LiPF6": "1 M of solution"}, "solvents": {"EC:EMC": "3:7 v/v"}, "additives": {"FEC": "2 wt%"}}
    with pytest.raises(LmbmdError, match=r"the amount of \w+ is [+-]\d\.\d\d% off, beyond the tolerance of") as caught:
        composed({"atoms": 2600, "tolerance": tolerance}, recipe)
    box = composed({"box_edge_nm": advised_edge_nm(caught.value), "tolerance": tolerance}, recipe)
    assert max(abs(r.relative_error) for r in box.asked_realised) <= tolerance


def test_a_tolerance_that_no_box_meets_is_told_so():
    with pytest.raises(
        LmbmdError, match=r"beyond the tolerance of 0.00%\. No box of a sensible size .* raise 'tolerance'"
    ):
        composed({"atoms": 1800, "tolerance": 1e-9}, MIXED | {"additives": {"FEC": "2 wt%"}})


def test_a_box_too_small_for_the_cutoff_names_the_smallest_that_will_do():
    with pytest.raises(LmbmdError, match=r"narrower than 2.2 cut-offs, 2.20 nm") as caught:
        composed({"ion_pairs": 5}, ONE_MOLAR)
    assert advised_edge_nm(caught.value) == 2.2
    assert composed({"box_edge_nm": 2.2, "tolerance": 0.2}, ONE_MOLAR).box_edge_A >= 22
    assert (
        compose(
            bottle(size={"ion_pairs": 5, "tolerance": 0.2}, **ONE_MOLAR), LIBRARY, cutoff_nm=0.9, ion_charge_scale=0.8
        ).counts["Li"]
        == 5
    )


def test_ion_pairs_without_a_salt_are_refused():
    with pytest.raises(LmbmdError, match="in ion pairs, but there is no salt"):
        composed({"ion_pairs": 5}, {"solvents": {"DME": "rest"}})


def test_a_composition_with_a_net_charge_cannot_exist():
    box = composed({"ion_pairs": 20})
    fields = {name: getattr(box, name) for name in box.__dataclass_fields__}
    with pytest.raises(ValueError, match=r"net charge of \+1 e"):
        Composition(**{**fields, "counts": {**box.counts, "Li": 21}})


def test_concentrations_follow_from_the_volume():
    box = composed({"ion_pairs": 20})
    volume_A3 = 20_000.0
    rows = {(component, quantity): value for component, quantity, value, _ in box.quantities(volume_A3)}
    assert rows["LiFSI", "count"] == 20
    assert rows["LiFSI", "molarity"] == pytest.approx(20 / (AVOGADRO_PER_MOL * volume_A3 * 1e-27), rel=1e-12)
    assert rows["LiFSI", "molality"] == pytest.approx(20 / (24 * 0.09012 + 60 * 0.23207), rel=1e-12)
    assert rows["TTE", "per cation"] == 3
    grams = 20 * 187.07 + 24 * 90.12 + 60 * 232.07
    assert rows["TTE", "mass fraction"] == pytest.approx(60 * 232.07 / grams, rel=1e-12)
    assert rows["", "density"] == pytest.approx(grams / AVOGADRO_PER_MOL / (volume_A3 * 1e-24), rel=1e-12)


def test_concentrations_at_the_estimated_volume_are_those_realised():
    box = composed({"ion_pairs": 51}, MIXED)
    rows = {(component, quantity): value for component, quantity, value, _ in box.quantities()}
    asked = {r.component: r.realised for r in box.asked_realised}
    assert rows["LiPF6", "molarity"] == pytest.approx(asked["LiPF6"], rel=1e-9)
    assert rows["FEC", "mass fraction"] == pytest.approx(asked["FEC"] / 100, rel=1e-9)
    assert rows["", "density"] == pytest.approx(box.density_g_cm3, rel=1e-9)


def test_a_pure_liquid_has_no_ratio_to_cations():
    rows = composed({"atoms": 3000}, {"solvents": {"DME": "rest"}}).quantities()
    assert {quantity for _, quantity, _, _ in rows} == {"count", "molarity", "molality", "mass fraction", "density"}


def test_a_composition_survives_its_file(tmp_path):
    box = composed({"ion_pairs": 51}, MIXED)
    box.write(tmp_path / "composition.json", {"stage": "compose/1"})
    assert Composition.read(tmp_path / "composition.json") == box
    assert json.loads((tmp_path / "composition.json").read_text(encoding="utf-8"))["provenance"] == {
        "stage": "compose/1"
    }


@pytest.mark.parametrize(
    "text", [None, "", "{}", "[]", '{"counts": 3}', '{"ingredients": [], "asked_realised": [], "notes": []}']
)
def test_a_broken_composition_file_is_an_error(tmp_path, text):
    path = tmp_path / "composition.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"composition.json: this is no composition .* Run the compose stage again."):
        Composition.read(path)


def test_a_cubic_metre_of_molecules_is_composed_in_no_time():
    """Counts of a box of twenty million atoms: the search is over distinct roundings, not over molecules."""
    box = composed({"atoms": 20_000_000}, MIXED)
    assert box.n_atoms == pytest.approx(20_000_000, rel=0.05)
    assert max(abs(r.relative_error) for r in box.asked_realised) < 0.0005


def test_an_ionic_liquid_may_be_the_solvent():
    """5 mol/L of LiFSI (85 cm³/mol) leave 575 cm³ of a litre for EMImFSI; its cations do not count as salt's."""
    library = load_library()
    box = compose(
        bottle(salts={"LiFSI": "5 mol/L of solution"}, solvents={"EMImFSI": "rest"}, size={"atoms": 10_000}),
        library,
        cutoff_nm=0.9,
        ion_charge_scale=0.8,
    )
    assert box.counts["FSI"] == box.counts["Li"] + box.counts["EMIm"]
    volume = library.salts["EMImFSI"].molar_volume_cm3_mol
    assert box.counts["EMIm"] / box.counts["Li"] == pytest.approx(575 / volume / 5, rel=0.01)
    assert [(i.name, i.role) for i in box.ingredients] == [("LiFSI", "salt"), ("EMImFSI", "solvent")]


def test_a_salt_of_small_ions_is_no_solvent():
    with pytest.raises(LmbmdError, match="'LiFSI' is a salt, not a species"):
        compose(bottle(solvents={"LiFSI": "rest"}), load_library(), cutoff_nm=0.9, ion_charge_scale=0.8)
