"""Numbers, names and colours as a reader sees them."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmbmd.core import rounding
from lmbmd.report.figures import palette
from lmbmd.report.words import naming

NAN = math.nan


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (0.4321, 0.0512, "0.43 ± 0.05"),
        (0.4321, 0.0123, "0.432 ± 0.012"),
        (0.4321, 0.0196, "0.43 ± 0.02"),
        (0.9996, 0.0096, "1.000 ± 0.010"),
        (12345.0, 230.0, "12300 ± 200"),
        (-3.14159, 0.2, "−3.1 ± 0.2"),
        (-0.001, 0.2, "0.0 ± 0.2"),
        (0.0, 0.02, "0.00 ± 0.02"),
        (0.0, 0.0, "0"),
        (3.5, 0.0, "3.50"),
        (2.3451, NAN, "2.35 ± ?"),
        (2.3451, None, "2.35"),
        (50.0, None, "50"),
        (NAN, 0.1, "–"),
        (None, None, "–"),
        (math.inf, 1.0, "–"),
        (4.2e-7, 1.1e-8, "(4.20 ± 0.11) × 10⁻⁷"),
        (0.0, 2e-7, "(0 ± 2) × 10⁻⁷"),
        (2.5e8, 3e6, "(2.50 ± 0.03) × 10⁸"),
        (1.234e-6, None, "1.23 × 10⁻⁶"),
    ],
)
def test_a_number_is_rounded_as_its_error_allows(value, error, text):
    assert rounding.number(value, error) == text


@given(st.floats(-1e5, 1e5), st.floats(1e-3, 1e5))
def test_rounding_moves_a_value_by_less_than_the_error(value, error):
    # The value is rounded at a place no coarser than half of the error's last digit, and that is ≤ error.
    shown = rounding.number(value, error).replace("−", "-")
    assert abs(float(shown.split(" ± ")[0]) - value) <= 0.5 * error * (1 + 1e-9)
    assert abs(float(shown.split(" ± ")[1]) - error) <= 0.5 * error


@pytest.mark.parametrize(
    ("value", "error", "text"),
    [
        (2.508, 0.014, "≈ 2.5"),
        (12.34, 0.01, "≈ 12"),
        (0.9986, 0.0064, "≈ 1.0"),
        (1234.0, 0.1, "≈ 1200"),
        (2.508, 0.6, "≈ 2.5"),
        (0.0022, 0.013, "≈ 0.002"),
        (0.0, 0.2, "≈ 0.0"),
        (-45.0, 30.0, "≈ −40"),
        (2.346, NAN, "≈ 2.3"),
        (2.346, 0.0, "2.35"),
        (2.346e-10, 5e-11, "≈ 2.3 × 10⁻¹⁰"),
    ],
)
def test_a_number_with_an_unreliable_error_has_two_digits_at_most(value, error, text):
    assert rounding.number(value, error, reliable=False) == text


def test_a_fraction_is_shown_in_per_cent_with_its_error():
    assert rounding.percent(0.43, 0.051) == "43 ± 5 %"
    assert rounding.percent(0.432, 0.0051, reliable=False) == "≈ 43 %"
    assert rounding.percent(NAN, 0.1) == "–"


@pytest.mark.parametrize(
    ("name", "text"),
    [("Li", "Li⁺"), ("PF6", "PF₆⁻"), ("FSI", "FSI⁻"), ("DME", "DME"), ("<b>", "<b>"), ("MOL7x", "MOL7x")],
)
def test_species_are_printed_with_the_charge_the_library_knows(name, text):
    assert naming.species(name) == text


def test_sites_shells_and_quantities_read_as_words():
    assert naming.site("EC:O_carbonyl") == "EC O (carbonyl)"
    assert naming.site("FSI:O") == "FSI⁻ O"
    assert naming.shell({"DME": 3, "PF6": 1, "TTE": 0}) == "3 DME · 1 PF₆⁻"
    assert naming.shell({"DME": 0}) == "bare"
    assert naming.quantity("agg_fraction_anion") == "AGG fraction by anion"
    assert naming.quantity("agg_ii_fraction_anion") == "AGG-II fraction by anion"
    assert naming.labelled("density_g_cm3") == "Density (g/cm³)"
    assert naming.labelled("residence_time_continuous_ps") == "Residence time continuous (ps)"
    assert rounding.duration(1500.0) == "1.50 ns"


def test_a_slug_is_safe_in_a_path_and_an_anchor():
    assert naming.slug("../../etc/<x>:O") == "etc-x-O"
    assert naming.slug("") == "x"


# Machado, Oliveira, Fernandes 2009 (doi:10.1109/TVCG.2009.113), severity 1.0.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def cielab(colour: str, deficiency: str) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    linear = np.clip(np.array(DEFICIENCIES[deficiency]) @ linear, 0, 1)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x = to_xyz @ linear / np.array([0.9505, 1.0, 1.089])
    f = np.where(x > 216 / 24389, np.cbrt(x), (24389 / 27 * x + 16) / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_species_colours_stay_apart_for_every_eye(deficiency):
    # A CIELAB distance of 2.3 is just noticeable; four of those are told apart at a glance.
    for a, b in itertools.combinations(palette.FIXED.values(), 2):
        assert np.linalg.norm(cielab(a, deficiency) - cielab(b, deficiency)) > 4 * 2.3, (a, b)


def test_text_and_shapes_stand_out_from_white():
    for text in (palette.INK, palette.MUTED, palette.ACCENT):
        assert palette.contrast(text, "#ffffff") >= 4.5  # WCAG 2.2, 1.4.3
    for fill in palette.FIXED.values():
        assert palette.contrast(fill, "#ffffff") >= 2.9
    for fill in palette.CLASSES.values():
        assert palette.contrast(fill, palette.text_on(fill)) >= 4.5
    assert palette.contrast("#000000", "#ffffff") == pytest.approx(21)


def test_every_species_of_a_bottle_gets_a_colour_of_its_own():
    roles = {
        "Li": "cation",
        "X1": "anion",
        "X2": "anion",
        "DME": "solvent",
        "Y1": "solvent",
        "Y2": "solvent",
        "Z": "diluent",
    }
    chosen = palette.colours(roles)
    assert list(chosen) == ["Li", "DME", "X1", "X2", "Y1", "Y2", "Z"]
    assert len(set(chosen.values())) == len(chosen)
    assert palette.colours({"DME": "diluent"})["DME"] == chosen["DME"]
