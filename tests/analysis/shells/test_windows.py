"""Where a first minimum is looked for depends on both partners of a contact."""

from __future__ import annotations

import numpy as np
import pytest
import systems

from lmbmd.analysis.shells import cutoffs
from lmbmd.analysis.shells.cutoffs import Basis, shifted_window
from lmbmd.core.errors import LmbmdError
from lmbmd.data.rdf import Rdf

EDGES = np.arange(0, 10.01, 0.05)
R = 0.5 * (EDGES[1:] + EDGES[:-1])
systems.MASS_AMU |= {"K": 39.098, "Cl": 35.45, "I": 126.9, "Br": 79.904, "H": 1.008}
POTASSIUM = systems.Model("K", "cation", 1, (("K", ""),))


def anion(element):
    return systems.Model(element, "anion", -1, ((element, element),))


def melt(peak_A, rise_A):
    """g(r) of unlike ions in a molten salt: a peak of 4, a shallow minimum, and the next shell from there on."""
    rise = 4.0 / (1 + np.exp(-(R - peak_A + 0.2) / 0.05))
    fall = np.exp(-np.maximum(R - peak_A, 0.0) / 0.35)
    return rise * fall + 0.5 + 0.3 * np.tanh((R - rise_A) / 0.8) * (R > rise_A) - 0.5 * (R < peak_A - 0.3)


def rows(cation, partner, g, **given):
    atoms = systems.atom_table((cation, 100), (partner, 100))
    site = atoms.sites[0]
    g = np.maximum(g, 0.0)
    count = g * 0.02 * 4 * np.pi * R**2 * 0.05
    rdf = Rdf(EDGES, ((cation.name, site),), np.array([[g]]), np.array([[count]]), np.array([500]), 9.9)
    return cutoffs.first_shell_cutoffs(rdf, atoms, **given).rows


@pytest.mark.parametrize(
    ("cation", "element", "peak_A", "rise_A"),
    [
        (systems.NA, "Cl", 2.7, 4.1),
        (systems.NA, "Cl", 2.7, 4.65),
        (systems.LI, "Cl", 2.3, 3.9),
        (systems.NA, "I", 3.1, 4.9),
        (POTASSIUM, "Br", 3.2, 4.9),
        (systems.LI, "F", 1.85, 2.9),
    ],
)
def test_the_first_minimum_of_a_molten_salt_is_found(cation, element, peak_A, rise_A):
    g = melt(peak_A, rise_A)
    between = (R > peak_A + 0.5) & (R < peak_A + 2.5)
    (row,) = rows(cation, anion(element), g)
    assert row.basis is Basis.FIRST_MINIMUM
    assert row.cutoff_A == pytest.approx(R[between][np.argmin(g[between])], abs=0.15)


def test_a_monatomic_anion_moves_window_and_fallback_by_its_ionic_radius():
    """Shannon, six-fold: Na⁺ 1.02, Cl⁻ 1.81, O²⁻ 1.40 Å; the next Cl⁻ of rock salt are at √3 × 2.83 Å."""
    window, fallback = shifted_window("Na", (2.3, 3.5), 2.8, "Cl", True)
    assert window == pytest.approx((2.3 + 0.26 + 0.41, np.sqrt(3) * 2.83))
    assert fallback == pytest.approx(2.8 + 0.26 + 0.41)


@pytest.mark.parametrize("element", ["O", "N", "F", "C", "H", "P"])
def test_windows_at_first_row_donors_of_molecules_are_those_of_lithium(element):
    assert shifted_window("Li", (2.3, 3.5), 2.8, element) == ((2.3, 3.5), 2.8)


@pytest.mark.parametrize(("element", "shift"), [("S", 0.28), ("Cl", 0.23), ("Br", 0.33), ("I", 0.46)])
def test_windows_at_larger_donors_move_by_their_van_der_waals_radius(element, shift):
    window, fallback = shifted_window("Li", (2.3, 3.5), 2.8, element)
    assert window == pytest.approx((2.3 + shift, 3.5 + shift)) and fallback == pytest.approx(2.8 + shift)


def test_an_anion_of_unknown_radius_is_refused_unless_its_cutoff_is_given():
    with pytest.raises(LmbmdError, match="the ionic radius of H is not known") as error:
        rows(systems.LI, anion("H"), melt(1.9, 2.9))
    assert "H:H" in error.value.remedy
    (row,) = rows(systems.LI, anion("H"), melt(1.9, 2.9), given_A={"H:H": 2.9})
    assert (row.cutoff_A, row.basis) == (2.9, Basis.GIVEN)
