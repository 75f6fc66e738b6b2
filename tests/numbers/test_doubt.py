"""What is said about an error that is missing or not to be relied on."""

from __future__ import annotations

import numpy as np
import pytest
import systems

from lmbmd.analysis.shells.coordination import Shells
from lmbmd.analysis.shells.coordination_account import coordination_account
from lmbmd.analysis.shells.speciation import Speciation
from lmbmd.analysis.shells.speciation_account import speciation_account
from lmbmd.numbers.doubt import SENTENCES, Doubt, Kind, descriptor, doubt, entry
from lmbmd.numbers.estimate import Estimate, estimate_mean

NAN = float("nan")
CASES = [
    (estimate_mean([np.full(50, 0.25)]), "never changed"),
    (estimate_mean([np.array([1.0])]), "one sample"),
    (Estimate(2.5, 0.1, 6.83, source="within replicas"), "error not reliable (6.8 independent samples)"),
    (
        Estimate(2.5, 0.1, 200.0, source="within replicas", skewness=8.0),
        "error not reliable (so skewed a quantity needs 330 independent samples)",
    ),
    (Estimate(2.5, 0.1, 2.0, source="replicas disagree"), "replicas disagree beyond chance"),
    (Estimate(2.5, 0.1, 40.0, source="within replicas"), ""),
    (Estimate(2.5, 0.0, 1.0, source="exact"), ""),
    (Estimate(NAN, NAN, 0.0, source="no samples"), ""),
]


@pytest.mark.parametrize(("estimate", "why"), CASES)
def test_a_doubt_says_why_an_error_is_missing_or_unreliable(estimate, why):
    found = doubt(estimate)
    assert str(found) == why and bool(found) == bool(why)
    np.testing.assert_equal(entry(estimate), (estimate.value, estimate.error, why, found.kind.value, found.n))


@pytest.mark.parametrize(("estimate", "why"), CASES)
def test_a_row_tells_its_doubt_in_words_and_as_data(estimate, why):
    row = descriptor("total_cn", "", estimate, "1", "molecules")
    assert row.definition == "molecules" and row.method.endswith(row.doubt)
    if np.isnan(estimate.value):
        assert row.method == "molecules; no value: never defined in these frames" and row.doubt_kind == "undefined"
    else:
        assert row.doubt == why and (row.doubt_kind == "") == (why == "")
        assert ("no error: " in row.method) == bool(why and np.isnan(estimate.error))


def test_every_kind_has_a_sentence_and_every_sentence_can_be_said():
    assert set(SENTENCES) == set(Kind)
    for kind in Kind:
        assert str(Doubt(kind, 1.0, 2.0, 3.0, 4.0, "X", (Doubt(Kind.NO_PAIR),))) or kind is Kind.NONE


def test_tables_carry_the_doubts_of_their_errors():
    # Two Li, two FSI: one pair always in contact, the other in every second frame. Pairs vary, aggregates never.
    atoms = systems.atom_table((systems.LI, 2), (systems.FSI, 2))
    both = [(0, ("FSI", 0), 1), (1, ("FSI", 1), 1)]
    shells, speciation = Shells(atoms, "Li"), Speciation(atoms, "Li")
    for i in range(40):
        one = systems.frame(atoms, both[: 1 + i % 2], i)
        first = systems.first(atoms, one)
        shells.add(first)
        speciation.add(first)
    tables = (
        coordination_account([shells.result()], atoms, "Li").tables
        | speciation_account([speciation.result()], "Li").tables
    )
    classes = tables["speciation"].set_index(["convention", "cls"])
    agg, pair = classes.loc[("anion", "AGG")], classes.loc[("anion", "CIP")]
    assert agg.fraction == 0 and np.isnan(agg.error) and agg.doubt == "never changed"
    assert pair.error > 0 and pair.doubt == ""
    cn = tables["cn"][tables["cn"].site == ""].iloc[0]
    assert (cn.value, cn.doubt) == (0.75, "")
    for name in ("cn", "cn_histogram", "shells", "speciation", "ion_histogram"):
        assert (tables[name].error.isna() == (tables[name].doubt == "never changed")).all(), name
