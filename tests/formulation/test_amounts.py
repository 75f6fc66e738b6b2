"""Amounts: what people write, what it means, and what is too ambiguous to mean anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmbmd.core.errors import LmbmdError
from lmbmd.formulation.amounts import EXAMPLES, Amount, contents, parse_amount, parse_ratio, same_contents


@pytest.mark.parametrize(
    ("text", "value", "basis"),
    [
        ("1 mol/L of solution", 1, "mol/L of solution"),
        ("1 M of solution", 1, "mol/L of solution"),
        ("1.5 mol per litre of solution", 1.5, "mol/L of solution"),
        ("0.5 mol/l solution", 0.5, "mol/L of solution"),
        ("1 mol/dm³ of the electrolyte", 1, "mol/L of solution"),
        ("1 mol L⁻¹ of solution", 1, "mol/L of solution"),
        ("1 mol/L of solvent", 1, "mol/L of solvent"),
        ("1 M of solvents", 1, "mol/L of solvent"),
        ("2 mol/kg", 2, "mol/kg of solvent"),
        ("2mol/kg of solvent", 2, "mol/kg of solvent"),
        ("2 molal", 2, "mol/kg of solvent"),
        ("1.2 mol parts", 1.2, "mol parts"),
        ("1 mol part", 1, "mol parts"),
        ("1.2 mol", 1.2, "mol parts"),
        ("1.2 parts by mole", 1.2, "mol parts"),
        ("3 volume parts", 3, "volume parts"),
        ("3 vol", 3, "volume parts"),
        ("3 v/v", 3, "volume parts"),
        ("7 mass parts", 7, "mass parts"),
        ("7 parts by weight", 7, "mass parts"),
        ("7 w/w", 7, "mass parts"),
        ("2 wt%", 2, "wt%"),
        ("2wt %", 2, "wt%"),
        ("2 % by mass", 2, "wt%"),
        ("2％ by weight", 2, "wt%"),
        ("5 vol%", 5, "vol%"),
        ("5 % by volume", 5, "vol%"),
        ("1e-2 wt%", 0.01, "wt%"),
        (".5 wt%", 0.5, "wt%"),
    ],
)
def test_amounts_are_read_as_people_write_them(text, value, basis):
    assert parse_amount(text) == Amount(value, basis, "")


@pytest.mark.parametrize("text", ["rest", " the rest ", "balance"])
def test_rest_has_no_value(text):
    assert parse_amount(text) == Amount(None, "rest", "")


def test_the_examples_of_the_docs_are_canonical():
    assert [str(parse_amount(text)) for text in EXAMPLES] == list(EXAMPLES)


def test_an_amount_remembers_how_it_was_written():
    assert parse_amount("2 % by mass").text == "2 % by mass"


@given(
    st.floats(1e-9, 1e9),
    st.sampled_from([example.split(" ", 1)[1] for example in EXAMPLES if not example.endswith("%") and " " in example]),
)
def test_the_canonical_spelling_reads_back_as_the_same_amount(value, basis):
    amount = Amount(value, basis, "")
    assert parse_amount(str(amount)) == amount


@pytest.mark.parametrize(
    ("text", "what", "remedy"),
    [
        ("1 M", "does not say what the litre is a litre of", "'1 mol/L of solution', '1 mol/L of solvent'"),
        ("2.5 mol/L", "what the litre is a litre of", "'2.5 mol/L of solution'"),
        ("1 molar", "what the litre is a litre of", "'1 mol/kg of solvent'"),
        ("1 m", "may mean molal or a mistyped molar", "'1 mol/kg of solvent'"),
        ("10 %", "by mass or by volume", "Write '10 wt%' or '10 vol%'."),
        ("10 mol%", "counted as one or as ions", "Write '10 mol parts'."),
        ("3", "has no basis", "'3 mol parts', '3 volume parts' or '3 mass parts'"),
        ("3 parts", "has no basis", "'3 volume parts'"),
        ("20 ppm", "by mass or by volume", "wt%"),
        ("3:7 volume parts", "is a ratio, but stands for one species", "EC:EMC"),
        ("1,2 mol parts", "has a decimal comma", "with a point"),
        ("-1 mol/L of solution", "is not a positive amount", "leave the component out"),
        ("0 wt%", "is not a positive amount", "more than zero"),
        ("1e300 mol parts", "is out of range", "1e-9 to 1e9"),
        ("100 wt%", "leaves no room", "less than 100 %"),
        ("1 mol/L of solutoin", "'mol/L of solutoin' is no basis", "Did you mean 'mol/L of solution'?"),
        ("two wt%", "must begin with a number", "'1 mol/L of solution'"),
        ("", "must begin with a number", "rest"),
        ("1 wt% of " + "x" * 500, "…", "Valid: "),
    ],
)
def test_an_unclear_amount_is_refused_with_the_spellings_to_choose_from(text, what, remedy):
    with pytest.raises(LmbmdError) as caught:
        parse_amount(text)
    assert what in caught.value.what
    assert remedy in caught.value.remedy
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("value", [True, None, ["1 wt%"], {"a": 1}, 3, 0.5])
def test_an_amount_that_is_no_text_is_refused(value):
    with pytest.raises(LmbmdError, match=r"is not an amount|has no basis"):
        parse_amount(value)


def test_a_ratio_is_one_amount_for_each_species():
    assert parse_ratio("EC:EMC", "3:7 v/v") == {"EC": parse_amount("3 vol"), "EMC": parse_amount("7 vol")}
    assert parse_ratio("A : B : C", "1 : 1.2 : 3 by mole")["B"] == parse_amount("1.2 mol parts")


@pytest.mark.parametrize(
    ("names", "text", "what"),
    [
        ("EC:EMC", "3:7:1 volume parts", "'EC:EMC' names 2 species, but '3:7:1 volume parts' has 3 numbers"),
        ("EC:EMC:DMC", "3 volume parts", "names 3 species, but '3 volume parts' has 1 number"),
        ("EC:EMC", "3:7", "has no basis"),
        ("EC:EMC", "3:7 wt%", "is a ratio, which has no wt%"),
        ("EC:EMC", "rest", "is not a ratio"),
        ("EC:EC", "3:7 volume parts", "empty or repeated"),
        ("EC:", "3:7 volume parts", "empty or repeated"),
        ("EC:EMC", "3:0 volume parts", "not a positive amount"),
    ],
)
def test_a_ratio_that_does_not_match_its_species_is_refused(names, text, what):
    with pytest.raises(LmbmdError) as caught:
        parse_ratio(names, text)
    assert what in caught.value.what
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"LiFSI": "1 mol", "DME": "1.2 mol"}, {"LiFSI": "2 mol", "DME": "2.4 mol"}),
        ({"LiFSI": "1 mol", "DME": "1.2 mol", "TTE": "3 mol"}, {"LiFSI": ".5 mol", "DME": ".6 mol", "TTE": "1.5 mol"}),
        ({"EC": "3 w/w", "EMC": "7 w/w", "VC": "2 wt%"}, {"EC": "0.3 w/w", "EMC": "0.7 w/w", "VC": "2 wt%"}),
        ({"EC": "1 v/v", "DMC": "2 v/v"}, {"EC": "0.33 v/v", "DMC": "0.67 v/v"}),
        ({"EC": "1 v/v", "DMC": "2 v/v"}, {"EC": "33.3 v/v", "DMC": "66.7 v/v"}),
        ({"EC": "1 v/v", "PC": "1 v/v", "DMC": "1 v/v"}, {"EC": "0.33 v/v", "PC": "0.33 v/v", "DMC": "0.33 v/v"}),
        ({"EC": "30 v", "EMC": "70 v", "VC": "1 M solution"}, {"EC": "3 v", "EMC": "7 v", "VC": "1.0 M solution"}),
        ({"EC": "1e3 mol", "EMC": "1 mol"}, {"EC": "1 mol", "EMC": "0.001 mol"}),
        ({"DME": "rest", "LiFSI": "1 mol/kg"}, {"DME": "the rest", "LiFSI": "1 molal"}),
    ],
)  # fmt: skip
def test_bottles_hold_the_same_if_their_parts_have_the_same_ratios(one, other):
    a, b = (contents({name: parse_amount(text) for name, text in bottle.items()}) for bottle in (one, other))
    assert same_contents(a, b) and same_contents(b, a) and same_contents(a, a)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"EC": "3 v/v", "EMC": "7 v/v"}, {"EC": "1 v/v", "EMC": "2 v/v"}),
        ({"EC": "0.3 v/v", "EMC": "0.7 v/v"}, {"EC": "1 v/v", "EMC": "2 v/v"}),
        ({"EC": "33 v/v", "EMC": "67 v/v"}, {"EC": "1 v/v", "EMC": "2 v/v"}),
        ({"EC": "3 v/v", "EMC": "7 v/v"}, {"EC": "3 w/w", "EMC": "7 w/w"}),
        ({"EC": "3 v/v", "EMC": "7 v/v"}, {"EC": "7 v/v", "EMC": "3 v/v"}),
        ({"EC": "3 v/v", "EMC": "7 v/v"}, {"EC": "3 v/v", "DMC": "7 v/v"}),
        ({"EC": "3 v/v", "EMC": "7 v/v"}, {"EC": "3 v/v", "EMC": "7 v/v", "VC": "2 wt%"}),
        ({"LiFSI": "1 mol", "DME": "1.2 mol"}, {"LiFSI": "1 mol", "DME": "1.22 mol"}),
        ({"LiFSI": "1 mol", "DME": "1.2 mol", "TTE": "3 mol"}, {"LiFSI": "2 mol", "DME": "2.4 mol", "TTE": "3 mol"}),
        ({"DME": "rest", "LiFSI": "1 mol/kg"}, {"DME": "rest", "LiFSI": "1 M solvent"}),
        ({"DME": "rest", "LiFSI": "1 M solution"}, {"DME": "rest", "LiFSI": "1 M solvent"}),
        ({"DME": "rest", "LiFSI": "1 M solution"}, {"DME": "rest", "LiFSI": "1.01 M solution"}),
        ({"DME": "rest", "LiFSI": "1 M solution"}, {"DME": "rest", "LiFSI": "2 M solution"}),
        ({"EC": "1 v/v", "EMC": "1 v/v", "VC": "2 wt%"}, {"EC": "1 v/v", "EMC": "1 v/v", "VC": "4 wt%"}),
    ],
)  # fmt: skip
def test_bottles_do_not_hold_the_same_if_a_ratio_a_basis_or_a_component_differs(one, other):
    a, b = (contents({name: parse_amount(text) for name, text in bottle.items()}) for bottle in (one, other))
    assert not same_contents(a, b) and not same_contents(b, a)


PARTS_WRITTEN = st.integers(1, 10**6).map(lambda n: n / 1000)


@given(st.lists(PARTS_WRITTEN, min_size=1, max_size=5), st.integers(1, 1000), st.sampled_from(["mol", "w/w", "v/v"]))
def test_no_scale_makes_parts_another_bottle(values, scale, unit):
    lines = [
        contents({f"S{i}": parse_amount(f"{value * by:.12g} {unit}") for i, value in enumerate(values)})
        for by in (1, scale)
    ]
    assert same_contents(*lines)


@pytest.mark.parametrize("line", ["", "something", "EC", "EC 3", "EC rest; ", "EC 1 mol parts; EC"])
def test_a_line_that_is_no_bottle_is_the_same_as_itself_alone(line):
    assert same_contents(line, line)
    assert not same_contents(line, "EC rest") and not same_contents("EC rest", line)
