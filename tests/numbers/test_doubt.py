"""What is said about an error that is missing or not to be relied on."""

from __future__ import annotations

import numpy as np
import pytest
import systems

from lmbmd.analysis.shells.coordination import Shells
from lmbmd.analysis.shells.coordination_account import coordination_account
from lmbmd.analysis.shells.speciation import Speciation
from lmbmd.analysis.shells.speciation_account import speciation_account
from lmbmd.numbers.doubt import descriptor, doubt, doubt_in, entry
from lmbmd.numbers.estimate import Estimate, estimate_mean

NAN = float("nan")
CASES = [
    (estimate_mean([np.full(50, 0.25)]), "never changed"),
    (estimate_mean([np.array([1.0])]), "one sample"),
    (Estimate(2.5, 0.1, 6.83, source="within replicas"), "error not reliable (6.8 independent samples)"),
    (Estimate(2.5, 0.1, 2.0, source="replicas disagree"), "replicas disagree beyond chance"),
    (Estimate(2.5, 0.1, 40.0, source="within replicas"), ""),
    (Estimate(2.5, 0.0, 1.0, source="exact"), ""),
    (Estimate(NAN, NAN, 0.0, source="no samples"), ""),
]


@pytest.mark.parametrize(("estimate", "why"), CASES)
def test_a_doubt_says_why_an_error_is_missing_or_unreliable(estimate, why):
    assert doubt(estimate) == why
    np.testing.assert_equal(entry(estimate), (estimate.value, estimate.error, why))


@pytest.mark.parametrize(("estimate", "why"), CASES)
def test_a_doubt_is_found_again_at_the_end_of_a_method(estimate, why):
    row = descriptor("total_cn", "", estimate, "1", "molecules; error not reliable here is part of the definition; all")
    assert doubt_in(row.method) == why


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
