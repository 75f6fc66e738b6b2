"""From amounts to mole ratios: against hand arithmetic, and against each other."""

from __future__ import annotations

import numpy as np
import pytest
from bottles import LIBRARY, bottle
from hypothesis import given, settings
from hypothesis import strategies as st

from lmbmd.core.errors import LmbmdError
from lmbmd.formulation.resolve import check_liquid, find_components, resolve, solvent_per_cation

#: Molar volumes of the literal library, cm³/mol.
V = {
    "LiFSI": 85.0,
    "LiTFSI": 143.0,
    "LiPF6": 60.0,
    "DME": 90.12 / 0.8614,
    "EGDBE": 174.28 / 0.832,
    "EC": 88.06 / 1.321,
    "DMC": 90.08 / 1.0633,
    "EMC": 104.10 / 1.006,
    "FEC": 106.05 / 1.485,
    "TTE": 232.07 / 1.532,
}
M = {
    "LiFSI": 187.07,
    "LiTFSI": 287.09,
    "LiPF6": 151.90,
    "DME": 90.12,
    "EC": 88.06,
    "DMC": 90.08,
    "EMC": 104.10,
    "FEC": 106.05,
    "TTE": 232.07,
}


def ratios(**sections) -> dict[str, float]:
    """Moles of each component, per mole of the first."""
    components = find_components(bottle(**sections), LIBRARY)
    moles = resolve(components, "bottle")
    return {c.name: x / moles[0] for c, x in zip(components, moles, strict=True)}


def molarity(moles: dict[str, float]) -> float:
    return 1000 * moles["LiFSI"] / sum(x * V[name] for name, x in moles.items())


# Each row by hand: a litre of solution has 1000 − 85 c cm³ of DME; a litre of solvent 1000 cm³, a kilogram 1000 g.
@pytest.mark.parametrize(
    ("amount", "by_hand", "printed", "molar"),
    [
        ("1 mol/L of solution", (1000 - 85) / V["DME"], "8.75", "1.00"),
        ("1 mol/L of solvent", 1000 / V["DME"], "9.56", "0.92"),
        ("1 mol/kg", 1000 / M["DME"], "11.10", "0.80"),
        ("4 mol/L of solution", (1000 - 340) / V["DME"] / 4, "1.58", "4.00"),
        ("4 mol/L of solvent", 1000 / V["DME"] / 4, "2.39", "2.99"),
        ("4 mol/kg", 1000 / M["DME"] / 4, "2.77", "2.67"),
        ("6 mol/L of solution", (1000 - 510) / V["DME"] / 6, "0.78", "6.00"),
        ("6 mol/L of solvent", 1000 / V["DME"] / 6, "1.59", "3.97"),
        ("6 mol/kg", 1000 / M["DME"] / 6, "1.85", "3.59"),
    ],
)
def test_table_of_concentration_bases_for_lifsi_in_dme(amount, by_hand, printed, molar):
    moles = ratios(salts={"LiFSI": amount}, solvents={"DME": "rest"})
    assert moles["DME"] == pytest.approx(by_hand, rel=1e-12)
    assert f"{moles['DME']:.2f}" == printed
    assert f"{molarity(moles):.2f}" == molar


def test_a_mole_ratio_over_three_sections_is_that_ratio():
    moles = ratios(salts={"LiFSI": "1 mol"}, solvents={"DME": "1.2 mol"}, diluents={"TTE": "3 mol"})
    assert moles == pytest.approx({"LiFSI": 1, "DME": 1.2, "TTE": 3}, rel=1e-12)
    # 187.07 + 1.2·90.12 + 3·232.07 = 991.42 g in 85 + 1.2·104.62 + 3·151.48 = 664.99 cm³
    assert molarity(moles) == pytest.approx(1000 / 664.99, rel=1e-5)
    density = sum(x * M[name] for name, x in moles.items()) / sum(x * V[name] for name, x in moles.items())
    assert density == pytest.approx(991.42 / 664.99, rel=1e-5)


def test_equal_volumes_of_solvent_and_diluent_share_what_the_salt_leaves():
    solution = ratios(salts={"LiFSI": "2 M of solution"}, solvents={"EGDBE": "1 vol"}, diluents={"TTE": "1 vol"})
    solvent = ratios(salts={"LiFSI": "2 M of solvent"}, solvents={"EGDBE": "1 vol"}, diluents={"TTE": "1 vol"})
    by_mole = ratios(salts={"LiFSI": "2 M of solution"}, solvents={"EGDBE": "1 mol"}, diluents={"TTE": "1 mol"})
    assert solution == pytest.approx({"LiFSI": 1, "EGDBE": 207.5 / V["EGDBE"], "TTE": 207.5 / V["TTE"]}, rel=1e-12)
    assert solvent == pytest.approx({"LiFSI": 1, "EGDBE": 250 / V["EGDBE"], "TTE": 250 / V["TTE"]}, rel=1e-12)
    both = 415 / (V["EGDBE"] + V["TTE"])
    assert by_mole == pytest.approx({"LiFSI": 1, "EGDBE": both, "TTE": both}, rel=1e-12)
    shown = [f"{m['EGDBE']:.2f}:{m['TTE']:.2f}" for m in (solution, solvent, by_mole)]
    assert shown == ["0.99:1.37", "1.19:1.65", "1.15:1.15"]


def test_two_salts_per_kilogram_of_solvent_share_that_kilogram():
    moles = ratios(salts={"LiFSI": "4.6 mol/kg", "LiTFSI": "2.3 mol/kg"}, solvents={"DME": "rest"})
    assert moles["LiTFSI"] == pytest.approx(0.5, rel=1e-12)
    assert moles["DME"] / 1.5 == pytest.approx(1000 / M["DME"] / 6.9, rel=1e-12)


def test_mixed_bases_are_solved_together():
    """1 M LiPF6 in EC:EMC 3:7 v/v + 2 wt% FEC: by hand, one litre of solution."""
    moles = ratios(salts={"LiPF6": "1 M of solution"}, solvents={"EC:EMC": "3:7 v/v"}, additives={"FEC": "2 wt%"})
    volume = {name: x * V[name] for name, x in moles.items()}
    mass = {name: x * M[name] for name, x in moles.items()}
    assert sum(volume.values()) == pytest.approx(1000, rel=1e-12)
    assert volume["EC"] / volume["EMC"] == pytest.approx(3 / 7, rel=1e-12)
    assert mass["FEC"] / sum(mass.values()) == pytest.approx(0.02, rel=1e-12)
    # The FEC's volume f solves 1.485 f = 0.02 (151.9 + 1.485 f + (940 − f) ρ), ρ = 0.3·1.321 + 0.7·1.006 = 1.1005.
    f = 0.02 * (151.90 + 940 * 1.1005) / (1.485 - 0.02 * (1.485 - 1.1005))
    assert volume["FEC"] == pytest.approx(f, rel=1e-9)


def test_additives_are_not_solvent():
    """Per litre of solvent: the litre is of EC alone, whatever FEC there is."""
    moles = ratios(salts={"LiPF6": "1 M of solvent"}, solvents={"EC": "rest"}, additives={"FEC": "10 vol%"})
    assert moles["EC"] == pytest.approx(1000 / V["EC"], rel=1e-12)
    assert moles["FEC"] * V["FEC"] == pytest.approx((1000 + 60) / 9, rel=1e-12)


def test_a_salt_may_be_an_additive():
    moles = ratios(
        salts={"LiFSI": "2 M of solution"}, solvents={"DME": "rest"}, additives={"LiNO3": "0.2 M of solution"}
    )
    assert moles["LiNO3"] == pytest.approx(0.1, rel=1e-12)
    assert moles["DME"] * 2 * V["DME"] == pytest.approx(1000 - 170 - 6, rel=1e-12)


def test_percentages_that_add_up_to_a_hundred_need_no_rest():
    moles = ratios(salts={"LiPF6": "33.3 wt%"}, solvents={"EC": "33.3 wt%", "EMC": "33.4 wt%"})
    assert moles["EMC"] * M["EMC"] / (moles["EC"] * M["EC"]) == pytest.approx(33.4 / 33.3, rel=1e-9)


def test_a_pure_liquid_is_a_bottle():
    assert ratios(solvents={"DME": "rest"}) == {"DME": 1}
    assert ratios(solvents={"DME": "3 volume parts"}) == {"DME": 1}


def test_solvent_molecules_per_cation_count_solvents_only():
    components = find_components(
        bottle(salts={"MgTFSI2": "1 mol"}, solvents={"DME": "2 mol"}, diluents={"TTE": "5 mol"}), LIBRARY
    )
    assert solvent_per_cation(components, resolve(components, "")) == pytest.approx(2)
    check_liquid(components, np.array([1, 0.5, 5]), "")
    with pytest.raises(LmbmdError, match=r"only 0\.49 solvent molecules"):
        check_liquid(components, np.array([1, 0.49, 5]), "")


SOLVENT = ("EC", "DMC", "TTE")
ABSOLUTE = {
    "mol/L of solution": lambda n, i: 1000 * n[i] / sum(x * V[j] for j, x in n.items()),
    "mol/L of solvent": lambda n, i: 1000 * n[i] / sum(n[j] * V[j] for j in SOLVENT),
    "mol/kg of solvent": lambda n, i: 1000 * n[i] / sum(n[j] * M[j] for j in SOLVENT),
    "wt%": lambda n, i: 100 * n[i] * M[i] / sum(x * M[j] for j, x in n.items()),
    "vol%": lambda n, i: 100 * n[i] * V[i] / sum(x * V[j] for j, x in n.items()),
}
PARTS = {
    "mol parts": lambda n, i: n[i],
    "volume parts": lambda n, i: n[i] * V[i],
    "mass parts": lambda n, i: n[i] * M[i],
}


@settings(max_examples=60, deadline=None)
@given(
    salt=st.floats(0.01, 1),
    trace=st.floats(0.001, 0.2),
    carbonate=st.floats(0.1, 10),
    diluent=st.floats(0.1, 10),
    first=st.sampled_from(list(ABSOLUTE)),
    second=st.sampled_from(list(ABSOLUTE)),
    pool=st.sampled_from(list(PARTS)),
)
def test_a_bottle_is_the_same_in_whatever_basis_it_is_written(salt, trace, carbonate, diluent, first, second, pool):
    moles = {"LiFSI": salt, "EC": 1.0, "DMC": carbonate, "TTE": diluent, "FEC": trace}
    written = {name: f"{PARTS[pool](moles, name)!r} {pool}" for name in SOLVENT}
    resolved = ratios(
        salts={"LiFSI": f"{ABSOLUTE[first](moles, 'LiFSI')!r} {first}"},
        solvents={"EC": written["EC"], "DMC": written["DMC"]},
        diluents={"TTE": written["TTE"]},
        additives={"FEC": f"{ABSOLUTE[second](moles, 'FEC')!r} {second}"},
    )
    assert {name: x * salt for name, x in resolved.items()} == pytest.approx(moles, rel=1e-8)


@given(st.floats(1e-3, 1e3))
def test_parts_mean_the_same_when_all_are_scaled(factor):
    parts = ratios(salts={"LiFSI": f"{factor!r} mol"}, solvents={"DME": f"{1.2 * factor!r} mol"})
    assert parts["DME"] == pytest.approx(1.2, rel=1e-9)
