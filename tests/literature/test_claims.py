"""Claims: what their files may say, and verdicts against constructed truth."""

import math
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from scipy import stats
from scipy.signal import lfilter

from lmbmd.analysis.convergence import LEAST_REPLICAS
from lmbmd.analysis.features import COLUMNS, FEATURES, OVER_TEMPERATURES, ROWS
from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.formulation.models import SECTIONS
from lmbmd.literature.catalogue import find_entry, load_catalogue, recipes, standing
from lmbmd.literature.claims import Claim, ClaimsFile, known_claims, load_claims, shipped_claims
from lmbmd.literature.judge import (
    VERDICTS,
    decide,
    judge_claims,
    tally,
)
from lmbmd.numbers.compare import difference
from lmbmd.numbers.doubt import Doubt, Kind, told
from lmbmd.numbers.estimate import Estimate, estimate_mean
from lmbmd.report.pages.claims_page import claims_page, claims_summary

ROOT = Path(__file__).parents[2]
CATALOGUE = ROOT / "catalogue"
SHIPPED = [claim for file in shipped_claims() for claim in file.claims]
JUDGEABLE = [claim for claim in SHIPPED if claim.number is not None]
ORDERING = {"kind": "ordering", "versus": "b", "number": {"name": "anion_cn"}, "direction": "greater"}
VALUE = {"kind": "value", "number": {"name": "anion_cn"}, "range": [None, 1.0]}


def claims(*claims):
    """A claim file with these claims about the bottle "a"."""
    common = {"text": "something", "source": {"of": "paper"}, "formulation": "a"}
    rows = [{"id": f"c{k}", **common, **claim} for k, claim in enumerate(claims)]
    return ClaimsFile.model_validate({"sources": {"paper": {"title": "A paper"}}, "claims": rows})


def numbers(*rows, verdict="long enough", **columns):
    """A feature table; a row is formulation, value, error and, if wanted, any other columns."""
    common = {
        "temperature_K": 300.0,
        "name": "anion_cn",
        "species": "",
        "unit": "1",
        "n_effective": 90.0,
        "degrees_of_freedom": 30.0,
        "method": "",
        "definition": "",
        "doubt": "",
        "doubt_kind": "",
        "doubt_n": math.nan,
        "box_limited": False,
        "verdict": verdict,
        "replicas": 3,
        "force_field": "ff",
        "ion_charge_scale": 0.8,
        "recipe_sha256": "",
        "recipe": "",
    }
    found = [{**common, "formulation": f, "value": v, "error": e, **columns, **dict(*more)} for f, v, e, *more in rows]
    return pd.DataFrame(found)[FEATURES.names]


def doubted(kind, n=math.nan):
    """The columns of a doubt."""
    return dict(zip(("doubt", "doubt_kind", "doubt_n"), told(Doubt(kind, n)), strict=True))


LIMITED = {"doubt": "limited by the box", "box_limited": True}


def verdict(claim, *rows, **columns):
    (row,) = judge_claims([claims(claim)], numbers(*rows, **columns)).itertuples(index=False)
    return row


# --- known means and errors ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("a", "b", "direction", "expected"),
    [
        (2.0, 1.0, "greater", "supported"),
        (2.0, 1.0, "less", "contradicted"),
        (1.0, 2.0, "less", "supported"),
        (1.0, 2.0, "greater", "contradicted"),
        (1.1, 1.0, "greater", "undecided"),
        (1.0, 1.1, "less", "undecided"),
    ],
)
def test_an_ordering_is_decided_by_the_interval_of_the_difference(a, b, direction, expected):
    row = verdict({**ORDERING, "direction": direction}, ("a", a, 0.1), ("b", b, 0.1))
    assert row.verdict == expected
    half = stats.t.ppf(0.975, 60.0) * math.hypot(0.1, 0.1)  # 2 × 30 degrees of freedom
    assert (row.estimate, row.estimate_error) == pytest.approx((a - b, math.hypot(0.1, 0.1)))
    assert (row.low, row.high) == pytest.approx((a - b - half, a - b + half))
    assert row.p_value == pytest.approx(2 * stats.t.sf(abs(a - b) / math.hypot(0.1, 0.1), 60.0))
    assert (row.value, row.error, row.versus_value, row.versus_error) == (a, 0.1, b, 0.1)


@pytest.mark.parametrize(
    ("value", "limits", "expected"),
    [
        (0.5, [None, 1.0], "supported"),
        (1.5, [None, 1.0], "contradicted"),
        (0.9, [None, 1.0], "undecided"),
        (1.1, [None, 1.0], "undecided"),
        (5.0, [3.0, None], "supported"),
        (5.0, [4.0, 6.0], "supported"),
        (5.9, [4.0, 6.0], "undecided"),
        (7.0, [4.0, 6.0], "contradicted"),
        (5.0, [4.9, 5.1], "undecided"),  # the interval is wider than what is claimed
    ],
)
def test_a_value_is_supported_only_if_its_whole_interval_is_claimed(value, limits, expected):
    assert verdict({**VALUE, "range": limits}, ("a", value, 0.1)).verdict == expected


@pytest.mark.parametrize(("b", "expected"), [(1.0, "supported"), (1.6, "contradicted"), (1.2, "undecided")])
def test_equality_needs_the_interval_inside_the_margin(b, expected):
    claim = {**ORDERING, "direction": "equal", "margin": 0.3}
    assert verdict(claim, ("a", 1.0, 0.05), ("b", b, 0.05)).verdict == expected


def test_a_value_against_another_bottle_is_a_ratio():
    claim = {**VALUE, "versus": "b", "range": [3, 12]}
    row = verdict(claim, ("a", 60.0, 3.0), ("b", 10.0, 0.5))
    assert (row.verdict, row.estimand, row.estimate) == ("supported", "ratio", 6.0)
    assert row.estimate_error == pytest.approx(6.0 * math.hypot(0.05, 0.05))
    assert "there is no ratio" in verdict(claim, ("a", 60.0, 3.0), ("b", 0.0, 0.5)).reason


def test_a_run_as_many_times_longer_as_is_said_decides():
    """The error falls as one over the root of the time; at exactly the time said the interval touches the limit."""
    short = decide(Estimate(0.5, 0.6, 150.0, 50.0), (0.0, math.inf))
    assert short.verdict == "undecided" and short.longer == pytest.approx((0.6 * stats.t.ppf(0.975, 50) / 0.5) ** 2)
    for times, expected in ((0.999 * short.longer, "undecided"), (1.001 * short.longer, "supported")):
        assert decide(Estimate(0.5, 0.6 / math.sqrt(times), 150.0, 50.0), (0.0, math.inf)).verdict == expected
    assert math.isnan(decide(Estimate(0.0, 0.6, 150.0, 50.0), (0.0, math.inf)).longer)
    row = verdict(ORDERING, ("a", 1.1, 0.1), ("b", 1.0, 0.1))
    assert row.longer == pytest.approx((math.hypot(0.1, 0.1) * stats.t.ppf(0.975, 60) / 0.1) ** 2)
    assert row.reason == "Runs 9 times longer would decide, if the difference stays what it is."
    length = {"name": "sampled_ns"}
    row = verdict(ORDERING, ("a", 1.1, 0.1), ("b", 1.0, 0.1), ("a", 15.0, 0.0, length), ("b", 12.0, 0.0, length))
    assert row.reason.startswith("Runs 9 times longer (a 135 ns, b 108 ns, replicas together) would decide")


def correlated(rng, frames, time, mean=0.0):
    """A series with this correlation time in frames and unit variance."""
    keep = math.exp(-1 / time)
    noise = rng.normal(size=frames + 10 * time) * math.sqrt(1 - keep**2)
    return mean + lfilter([1], [1, -keep], noise)[10 * time :]


@pytest.mark.parametrize("replicas", [1, 3])
def test_equal_liquids_are_told_apart_no_more_often_than_the_level_says(replicas):
    """From frames to verdict, for two liquids that are the same: the share of verdicts is the 5 % of the level."""
    rng, pairs, judged, decided = np.random.default_rng(2), 400, 0, 0
    for _ in range(pairs):
        estimates = [estimate_mean([correlated(rng, 800, 20) for _ in range(replicas)]) for _ in "ab"]
        if all(e.reliable and e.source != "replicas disagree" for e in estimates):
            judged += 1
            decided += decide(difference(*estimates), (0.0, math.inf)).verdict != "undecided"
    assert judged > 0.8 * pairs
    # Three binomial standard deviations above 5 %.
    assert decided / judged < 0.05 + 3 * math.sqrt(0.05 * 0.95 / judged)


def test_different_liquids_are_told_apart_by_a_long_run():
    rng = np.random.default_rng(3)
    for direction, expected in (("greater", "supported"), ("less", "contradicted")):
        rows = []
        for name, mean in (("a", 0.6), ("b", 0.0)):
            e = estimate_mean([correlated(rng, 8000, 20, mean) for _ in range(3)])
            rows.append((name, e.value, e.error, {"degrees_of_freedom": e.degrees_of_freedom}))
        assert verdict({**ORDERING, "direction": direction}, *rows).verdict == expected


# --- no verdict from what cannot carry one ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (
            {"doubt": "error not reliable (3.1 independent samples)", "doubt_kind": "few_samples"},
            "b: anion_cn: error not reliable (3.1 independ",
        ),
        (
            {"doubt": "replicas disagree beyond chance", "doubt_kind": "replicas_disagree"},
            "replicas disagree beyond chance",
        ),
        (LIMITED, "limited by the box"),
        ({"error": math.nan}, "b: anion_cn has no error."),
        (
            {"value": math.nan, "doubt": "no finite cluster", "doubt_kind": "no_finite_cluster"},
            "b: anion_cn has no value: no finite cluster.",
        ),
        ({"verdict": "too short"}, "b: the run is too short."),
        ({"verdict": "not converged"}, "b: the run is not converged."),
        ({"verdict": "unknown"}, "b: whether the run is long enough was not checked."),
        ({"force_field": "other"}, "the two bottles have other force fields (ff and other)."),
        ({"ion_charge_scale": 1.0}, "the two bottles have other ion charge scales (0.8 and 1.0)."),
        ({"name": "anion_cns"}, "b has no number anion_cn. Did you mean 'anion_cns'?."),
        ({"species": "FSI"}, "b has no number anion_cn. It is there of FSI."),
        (
            {**doubted(Kind.NEVER_CHANGED), "error": math.nan, "n_effective": 2.0},
            "b: anion_cn never changed: it has no error",
        ),
    ],
)
def test_numbers_that_cannot_carry_a_verdict_get_none(changes, reason):
    row = verdict(ORDERING, ("a", 2.0, 0.1), ("b", 1.0, 0.1, changes))
    assert row.verdict == "not with this run" and reason in row.reason
    assert math.isnan(row.estimate) and math.isnan(row.p_value) and row.value == 2.0


def test_a_borderline_run_is_judged():
    assert verdict(ORDERING, ("a", 2.0, 0.1), ("b", 1.0, 0.1), verdict="borderline").verdict == "supported"


def test_a_number_that_never_changed_in_three_runs_is_taken_at_its_value():
    constant = {
        "doubt": "never changed",
        "doubt_kind": "never_changed",
        "error": math.nan,
        "n_effective": float(LEAST_REPLICAS),
    }
    assert verdict(VALUE, ("a", 0.0, 0.0, constant)).verdict == "supported"
    row = verdict(ORDERING, ("a", 1.0, 0.0, constant), ("b", 1.0, 0.0, constant))
    assert row.verdict == "undecided" and "exactly at the limit" in row.reason


def test_a_reading_error_stands_in_only_for_what_is_read_off_a_curve():
    peak = {**doubted(Kind.READ_OFF), "error": math.nan}
    claim = {**VALUE, "range": [1.0, 2.0], "reading_error": 0.05}
    assert verdict(claim, ("a", 1.5, 0.0, peak)).verdict == "supported"
    assert verdict(claim, ("a", 1.95, 0.0, peak)).verdict == "undecided"
    assert verdict(claim, ("a", 1.5, 0.1, LIMITED)).verdict == "not with this run"
    assert verdict({**VALUE, "range": [1.0, 2.0]}, ("a", 1.5, 0.0, peak)).verdict == "not with this run"


def test_numbers_that_were_read_off_curves_are_compared_by_their_reading_errors():
    peak = {
        "doubt": "read off the mean curve",
        "doubt_kind": "read_off",
        "error": math.nan,
        "degrees_of_freedom": math.nan,
    }
    read = {"reading_error": 0.05}
    rows = [("a", 2.2, 0.0, peak), ("b", 2.0, 0.0, peak)]
    row = verdict({**ORDERING, **read}, *rows)
    assert row.verdict == "supported" and row.degrees_of_freedom == math.inf
    assert row.p_value == pytest.approx(2 * stats.norm.sf(0.2 / math.hypot(0.05, 0.05)))
    row = verdict({**VALUE, "versus": "b", "range": [1.0, 1.5], **read}, *rows)
    assert (row.verdict, row.estimand) == ("supported", "ratio")
    # One of the two sampled, the other read off.
    row = verdict({**ORDERING, **read}, ("a", 2.2, 0.05), rows[1])
    assert row.degrees_of_freedom == pytest.approx(4 * 30.0)


def test_a_claim_about_a_number_of_which_no_samples_are_counted_is_judged_by_its_error():
    """The fractal dimension: its error is a jackknife, and nobody counted independent samples."""
    claim = {**VALUE, "number": {"name": "cluster_fractal_dimension", "species": "Li"}, "range": [2, 3]}
    of = {"name": "cluster_fractal_dimension", "species": "Li", "n_effective": math.nan, "degrees_of_freedom": 9.0}
    row = verdict(claim, ("a", 2.4, 0.1, of))
    assert row.verdict == "supported" and row.low == pytest.approx(2.4 - 0.1 * stats.t.ppf(0.975, 9))


def test_an_error_of_which_nothing_is_known_decides_nothing_and_says_so():
    row = verdict(VALUE, ("a", 0.5, 0.1, {"degrees_of_freedom": math.nan}))
    assert row.verdict == "not with this run" and "how well its error is known was not recorded" in row.reason


def test_no_longer_run_is_promised_to_mend_a_reading_error():
    peak = {**doubted(Kind.READ_OFF), "error": math.nan}
    row = verdict({**VALUE, "range": [1.0, 2.0], "reading_error": 0.05}, ("a", 1.95, 0.0, peak))
    assert row.verdict == "undecided" and math.isnan(row.longer)
    assert row.reason == "The curve cannot be read more closely; longer runs would not decide it."


def test_two_bottles_whose_charge_scale_is_not_recorded_are_compared():
    known, unknown = {"ion_charge_scale": 0.8}, {"ion_charge_scale": math.nan}
    assert verdict(ORDERING, ("a", 2.0, 0.1, unknown), ("b", 1.0, 0.1, unknown)).verdict == "supported"
    row = verdict(ORDERING, ("a", 2.0, 0.1, known), ("b", 1.0, 0.1, unknown))
    assert row.verdict == "not with this run" and "other ion charge scales (0.8 and not recorded)" in row.reason


@pytest.mark.parametrize(("edge_nm", "expected"), [(9.0, "supported"), (4.0, "not with this run")])
def test_a_box_that_is_too_small_gets_no_verdict(edge_nm, expected):
    box = ("a", edge_nm, 0.01, {"name": "box_edge_nm"})
    row = verdict({**VALUE, "box_nm": 8}, ("a", 0.5, 0.1), box)
    assert row.verdict == expected
    assert row.reason == ("" if expected == "supported" else "a: the box is 4.0 nm wide, and 8 nm are needed.")
    assert "is not known" in verdict({**VALUE, "box_nm": 8}, ("a", 0.5, 0.1)).reason


def test_a_claim_without_its_partner_is_not_run():
    row = verdict(ORDERING, ("a", 2.0, 0.1))
    assert (row.verdict, row.reason) == ("not run", "the study has no b")
    row = verdict(ORDERING, ("a", 2.0, 0.1), ("b", 1.0, 0.1, {"temperature_K": 350.0}))
    assert (row.verdict, row.reason) == ("not run", "a and b have no temperature in common")
    row = verdict({**ORDERING, "temperature_K": 253.15}, ("a", 2.0, 0.1), ("b", 1.0, 0.1))
    assert (row.verdict, row.reason) == ("not run", "the study does not have a and b at 253.15 K")


def test_claims_are_judged_at_every_shared_temperature_and_never_across_them():
    rows = [(f, v + T / 1000, 0.01, {"temperature_K": T}) for f, v in (("a", 2.0), ("b", 1.0)) for T in (300.0, 350.0)]
    judged = judge_claims([claims(ORDERING)], numbers(*rows, ("a", 9.0, 0.1, {"temperature_K": 400.0})))
    assert list(judged.temperature_K) == [300.0, 350.0]
    assert list(judged.estimate) == pytest.approx([1.0, 1.0])


def test_a_claim_may_compare_two_temperatures_of_one_bottle():
    ratio = {"kind": "value", "versus": "a", "number": {"name": "anion_cn"}, "range": [3.0, 6.0]}
    ratio |= {"temperature_K": 368.15, "versus_temperature_K": 298.15}
    rows = [("a", v, 0.01, {"temperature_K": T}) for v, T in ((4.0, 368.15), (1.0, 298.15), (9.0, 330.0))]
    row = verdict(ratio, *rows)
    assert (row.verdict, row.estimate) == ("supported", pytest.approx(4.0))
    assert (row.temperature_K, row.versus_temperature_K) == (368.15, 298.15)
    assert (row.value, row.versus_value) == (4.0, 1.0)
    assert verdict(ratio | {"range": [None, 3.0]}, *rows).verdict == "contradicted"
    row = verdict(ratio, rows[0])
    assert (row.verdict, row.reason) == ("not run", "the study does not have a at 368.15 K and a at 298.15 K")


def test_a_number_over_all_temperatures_is_judged_once_and_beside_none_of_them():
    energy = {"kind": "value", "number": {"name": "activation_energy_kJ_mol", "species": "Li:diffusion"}}
    energy["range"] = [0, None]
    name = {"name": "activation_energy_kJ_mol", "species": "Li:diffusion", "unit": "kJ/mol"}
    states = [("a", 1.0, 0.1, {"temperature_K": T}) for T in (300.0, 320.0)]
    row = verdict(energy, *states, ("a", 18.0, 2.0, {**name, "temperature_K": math.nan}))
    assert row.verdict == "supported" and math.isnan(row.temperature_K)
    row = verdict(energy, *states)
    assert row.verdict == "not run"
    assert row.reason.startswith("activation_energy_kJ_mol needs several temperatures of a")
    pair = {**energy, "kind": "ordering", "versus": "b", "direction": "less"}
    del pair["range"]
    more = [(f, e, 1.0, {**name, "temperature_K": math.nan}) for f, e in (("a", 18.0), ("b", 30.0))]
    assert verdict(pair, *states, *more).verdict == "supported"


def test_a_run_too_short_for_its_numbers_is_too_short_for_those_over_temperatures():
    energy = {"kind": "value", "number": {"name": "activation_energy_kJ_mol", "species": "viscosity"}, "range": [0, 9]}
    name = {"name": "activation_energy_kJ_mol", "species": "viscosity", "temperature_K": math.nan}
    row = verdict(energy, ("a", 5.0, 0.1, {**name, "verdict": "too short"}))
    assert (row.verdict, row.reason) == ("not with this run", "a: the run is too short.")


def test_the_other_bottle_may_have_another_species():
    claim = {**ORDERING, "number": {"name": "solvent_cn", "species": "EC", "versus_species": "DME"}}
    rows = [
        ("a", 3.0, 0.1, {"name": "solvent_cn", "species": "EC"}),
        ("b", 1.0, 0.1, {"name": "solvent_cn", "species": "DME"}),
    ]
    assert verdict(claim, *rows).verdict == "supported"


def test_what_is_not_computed_is_listed_with_the_reason():
    claim = {"kind": "ordering", "versus": "b", "test": "not computed", "why": "the viscosity is not computed"}
    row = verdict(claim, ("a", 2.0, 0.1), ("b", 1.0, 0.1))
    assert (row.verdict, row.reason) == ("not computed", "the viscosity is not computed")
    assert row.text == "something" and (row.source, row.source_title) == ("paper", "A paper")


def test_without_any_number_every_claim_is_still_listed():
    judged = judge_claims(shipped_claims(), FEATURES.empty_table().to_pandas())
    assert list(judged.id) == [claim.id for claim in SHIPPED]
    assert set(judged.verdict) == {"not run", "not computed", "out of reach"}


# --- many claims -------------------------------------------------------------------------------------------------


def test_a_group_counts_once():
    table = pd.DataFrame(
        [
            ("A", "supported"),
            ("A", "undecided"),
            ("B", "supported"),
            ("B", "contradicted"),
            ("", "not run"),
            ("C", "undecided"),
            ("C", "not run"),
            ("D", "not with this run"),
            ("D", "not computed"),
        ],
        columns=["group", "verdict"],
    ).assign(id=[f"c{k}" for k in range(9)])
    found = tally(table).set_index("group")
    assert found.verdict.to_dict() == {
        "A": "supported",
        "B": "mixed",
        "c4": "not run",
        "C": "undecided",
        "D": "not with this run",
    }
    assert found.loc["A", ["claims", "supported", "undecided", "not run"]].tolist() == [2, 1, 1, 0]
    assert found[list(VERDICTS)].to_numpy().sum() == 9


def test_the_page_counts_verdicts_and_marks_those_that_do_not_survive_the_correction():
    weak = {**ORDERING, "direction": "greater"}
    rows = [("a", 1.30, 0.1), ("b", 1.0, 0.1)]  # p = 0.04: no longer one of four
    judged = judge_claims([claims(weak, weak, weak, {**weak, "direction": "less"})], numbers(*rows))
    assert list(judged.verdict) == ["supported"] * 3 + ["contradicted"]
    summary = claims_summary(judged)
    assert summary.sentence == "Of 4 claims, 3 supported, 1 contradicted."
    assert "0 of the 4 verdicts stand" in summary.caveat
    page = claims_page(summary)
    assert page.count("not after Holm") == 4 and "1.30\u00a0±\u00a00.10 against 1.00\u00a0±\u00a00.10" in page


def test_texts_of_claim_files_are_shown_as_text():
    evil = {**ORDERING, "text": "<script>x</script>", "note": "<b>", "group": "<i>"}
    page = claims_page(claims_summary(judge_claims([claims(evil)], numbers(("a", 2.0, 0.1), ("b", 1.0, 0.1)))))
    assert "&lt;script&gt;x" in page and "<script>x" not in page and "<b>" not in page and "<i>" not in page


# --- claim files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "message"),
    [
        ({"kind": "ordering", "number": {"name": "x"}, "direction": "greater"}, "the ordering 'c' is not one"),
        ({**ORDERING, "range": [0, 1]}, "the ordering 'c' is not one"),
        ({**ORDERING, "direction": "equal"}, "a margin goes with 'equal', and only with it"),
        ({**ORDERING, "margin": 0.1}, "a margin goes with 'equal', and only with it"),
        ({**ORDERING, "direction": "grater"}, "'grater' is not a valid choice. Did you mean 'greater'?"),
        ({"kind": "value", "number": {"name": "x"}}, "the value 'c' is not one"),
        ({**VALUE, "range": [2, 1]}, "the range of 'c' is empty"),
        ({**VALUE, "versus_temperature_K": 300}, "'c' has the temperature of one bottle, and compares with another"),
        ({**ORDERING, "versus_temperature_K": 300}, "'c' has the temperature of one bottle"),
        ({**VALUE, "range": [None, None]}, "the range of 'c' has no limit"),
        ({"kind": "value", "range": [0, 1]}, "'c' names no number"),
        ({"kind": "value", "test": "not computed"}, "'c' is not computed without a reason"),
        ({**VALUE, "formulaton": "a"}, "unknown key 'formulaton'. Did you mean 'formulation'?"),
        ({**VALUE, "source": {"of": "papers"}}, "'papers' is not in the table 'sources'. Did you mean 'paper'?"),
    ],
)
def test_faults_in_a_claim_file_are_told_with_their_place(tmp_path, claim, message):
    claim = {"id": "c", "text": "t", "source": {"of": "paper"}, "formulation": "a", **claim}
    path = tmp_path / "claims.yaml"
    path.write_text(yaml.safe_dump({"sources": {"paper": {"title": "A"}}, "claims": [claim]}), encoding="utf-8")
    with pytest.raises(LmbmdError) as error:
        load_claims(path)
    assert message in str(error.value) and str(path) in str(error.value)


def test_an_id_stands_once(tmp_path):
    entry = SHIPPED[0].id
    text = "sources: {p: {title: P}}\nclaims:\n"
    text += f"- {{id: {entry}, text: t, source: {{of: p}}, kind: value, formulation: a, test: out of reach, why: w}}\n"
    path = tmp_path / "own.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(LmbmdError, match=f"a claim is called '{entry}' already"):
        known_claims([path])
    path.write_text(text + text.splitlines()[-1], encoding="utf-8")
    with pytest.raises(LmbmdError, match=f"two claims are called '{entry}'"):
        load_claims(path)


def test_a_study_is_held_against_its_own_claims_too(tmp_path):
    from lmbmd.study.study import load_study

    (tmp_path / "a.yaml").write_text("salts: {LiFSI: 1 mol/L of solution}\nsolvents: {DME: rest}\n", encoding="utf-8")
    study = tmp_path / "config.yaml"
    study.write_text("study: s\nformulations: a.yaml\nclaims: mine.yaml\n", encoding="utf-8")
    with pytest.raises(LmbmdError, match="there is no such file"):
        load_study(study)
    text = "sources: {p: {title: P}}\nclaims:\n"
    text += "- {id: mine, text: t, source: {of: p}, kind: value, formulation: a, test: out of reach, why: w}\n"
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    loaded = load_study(study)
    assert [claim.id for file in known_claims(loaded.claims) for claim in file.claims][-1] == "mine"
    before = loaded.claims_text()
    (tmp_path / "mine.yaml").write_text(text.replace("text: t", "text: u"), encoding="utf-8")
    assert load_study(study).claims_text() != before


# --- the shipped claims ------------------------------------------------------------------------------------------


def test_ids_are_unique_and_every_source_is_used():
    assert len({claim.id for claim in SHIPPED}) == len(SHIPPED) > 100
    for file in shipped_claims():
        assert {claim.source.of for claim in file.claims} == set(file.sources)


def test_shipped_claims_name_bottles_of_the_catalogue():
    known = {path.stem for path in CATALOGUE.glob("*.yaml")}
    known |= {bottle.name for entry in load_catalogue().values() for bottle in entry.bottles}
    named = {name for claim in SHIPPED for name in (claim.formulation, claim.versus) if name}
    assert named <= known


def test_a_claim_that_a_run_can_answer_names_a_bottle_that_is_run():
    """Not the entry of a sweep, which is no bottle: one of its bottles."""
    run = {bottle.name for entry in load_catalogue().values() for bottle in entry.bottles}
    for claim in JUDGEABLE:
        assert {name for name in (claim.formulation, claim.versus) if name} <= run, claim.id


def test_the_documentation_counts_the_shipped_claims_as_they_are():
    text = " ".join((ROOT / "docs" / "claims.md").read_text("utf-8").split("## The shipped claims")[1].split())
    judged = [claim for claim in SHIPPED if claim.test in ("md", "proxy")]
    for test in ("md", "proxy", "not computed", "out of reach"):
        assert f"| `{test}` | {sum(claim.test == test for claim in SHIPPED)} |" in text
    assert f"`claims/reviews.yaml` has {len(SHIPPED)} claims of four reviews" in text
    assert f"The {len(judged)} that can be judged are {len({c.group or c.id for c in judged})} independent ones" in text
    assert f"{sum(claim.partner_assumed for claim in SHIPPED)} are about a bottle that is our choice" in text


def test_where_a_claim_points_to_energies_of_single_pairs_they_are_in_that_order():
    """Energies in vacuum, from docs/validation.md: with the force field and with GFN2-xTB."""
    text = (ROOT / "docs" / "validation.md").read_text("utf-8")
    energies = {
        name: (-int(model), -int(quantum))
        for name, model, quantum in re.findall(r"^\| (\w+) \| (-\d+) \| -\d+ \| (-\d+) \|", text, re.MULTILINE)
    }
    order = {
        "lipf6-ec-dec-1m-c1": ["EC", "FEC", "DFEC"],
        "lipf6-dfec-dec-1m-c1": ["EC", "FEC", "DFEC"],
        "lipf6-fec-dec-1m-c1": ["EC", "FEC", "DFEC"],
        "etfa-low-t-c1": ["EC", "DMC", "ETFA"],
    }
    assert {claim.id for claim in SHIPPED if "in vacuum, which are in this order" in claim.note} == set(order)
    for names in order.values():
        for kind in (0, 1):
            found = [energies[name][kind] for name in names]
            assert found == sorted(set(found), reverse=True)


def test_a_bottle_that_was_added_here_is_told_as_our_choice():
    """Entries of origin `control` stand in none of the reviews, so none of the reviews chose them."""
    origin = {b.name: entry.listing.origin for entry in load_catalogue().values() for b in entry.bottles}
    for claim in JUDGEABLE:
        if "control" in {origin[name] for name in (claim.formulation, claim.versus) if name}:
            assert claim.partner_assumed, claim.id


#: What each claim says, as numbers of its two bottles (or of its one), and as numbers that say the opposite.
SAID = {
    # more salt
    "lifsi-dme-1m-c1": ((0.7,), (0.2,)),
    "lifsi-dme-6m-c2": ((0.01, 0.1), (0.2, 0.1)),
    "generic-hce-c6": ((0.2, 1.5), (1.5, 0.2)),
    "generic-hce-c7": ((3.0, 1.0), (1.0, 3.0)),
    "generic-hce-c8": ((1.4, 2.5), (2.5, 1.4)),
    "generic-dilute-1m-c2": ((0.40, 0.30), (0.30, 0.40)),
    "generic-dilute-1m-c2-above": ((0.40, 0.30), (0.30, 0.40)),
    "lifsi-16m-compressed-c1": ((0.7,), (0.3,)),
    "hce-sulfone-c1": ((0.02,), (0.4,)),
    "lifsi-tmp-hce-c1": ((0.02, 0.7), (0.7, 0.02)),
    # diluents
    "generic-lhce-c1": ((20.0, 2.0), (2.0, 20.0)),
    "generic-lhce-c2": ((0.2, 0.6), (0.6, 0.2)),
    "generic-lhce-c5": ((0.6, 0.2), (0.2, 0.6)),
    "lifsi-egbe-tte-cipa-c5": ((0.8, 0.1), (0.1, 0.8)),
    "lifsi-cldee-c4": ((2.5,), (0.2,)),
    "lifsi-cldee-c4-outside": ((0.02,), (0.8,)),
    "lifsi-cldee-c5": ((10.0, 80.0), (80.0, 10.0)),
    "litfsi-fec-fb-lmce-c3": ((4.0,), (40.0,)),
    "c-dhce-fb-tte-c3": ((200.0, 800.0), (800.0, 200.0)),
    # solvents
    "lifsi-ec-dmc-1m-c1": ((0.3, 0.6), (0.6, 0.3)),
    "lifsi-dx-1m-c3": ((0.1, 1.5), (1.5, 0.1)),
    "lifsi-dfp-1.13m-c1": ((1.0,), (0.01,)),
    "lifsi-fsndm-c3": ((0.5, 0.1), (0.1, 0.5)),
    "lifsi-fsndi-c3": ((0.5, 0.1), (0.1, 0.5)),
    "lifsi-fsnp-c3": ((0.5, 0.1), (0.1, 0.5)),
    "lifsi-thf-to-c4": ((0.6, 0.3), (0.3, 0.6)),
    "lifsi-thf-to-c5": ((200.0, 800.0), (800.0, 200.0)),
    # salts and additives
    "single-salt-set-c2": ((0.2, 0.6), (0.6, 0.2)),
    "lifsi-lino3-dme-2m-c5": ((0.5, 0.3), (0.3, 0.5)),
    "lifsi-lino3-dme-2m-c5-self": ((0.5, 0.3), (0.3, 0.5)),
    "lifsi-lino3-dme-2m-c6": ((0.05,), (0.9,)),
    "tpfpb-lhce-c3": ((0.3, 0.1), (0.1, 0.3)),
    "lipf6-ec-dec-fec-c2": ((1.02, 1.0), (1.5, 1.0)),
    "lipf6-ec-dec-fec-c3": ((0.98, 1.0), (0.5, 1.0)),
    "carbonate-lino3-dmso-c1": ((1.5,), (0.2,)),
    "carbonate-lino3-tegdme-c1": ((0.35,), (0.05,)),
    "carbonate-lino3-egda-c1": ((0.6,), (0.1,)),
    "carbonate-lino3-dmso-c2": ((0.05, 0.15), (0.15, 0.05)),
    "carbonate-lino3-tegdme-c2": ((0.05, 0.15), (0.15, 0.05)),
    "carbonate-lino3-egda-c2": ((0.05, 0.15), (0.15, 0.05)),
}


def table_of(claim, values):
    """A feature table in which the bottles of a claim have these numbers, with errors of one in a hundred."""
    number, box = claim.number, {"name": "box_edge_nm", "species": ""}
    species = (number.species, number.species if number.versus_species is None else number.versus_species)
    at = (claim.temperature_K or 298.15, claim.versus_temperature_K or claim.temperature_K or 298.15)
    rows = []
    for bottle, who, T, value in zip((claim.formulation, claim.versus), species, at, values, strict=False):
        state = {"temperature_K": T, "unit": "1"}
        rows.append((bottle, value, abs(value) / 100, {**state, "name": number.name, "species": who}))
        rows.append((bottle, 9.0, 0.0, {**state, **box}))
    return numbers(*rows)


@pytest.mark.parametrize("name", SAID)
def test_a_shipped_claim_is_judged_by_what_its_source_says(name):
    claim = next(claim for claim in SHIPPED if claim.id == name)
    for values, expected in zip(SAID[name], ("supported", "contradicted"), strict=True):
        judged = judge_claims(shipped_claims(), table_of(claim, values)).set_index("id").loc[name]
        assert judged.verdict == expected, judged.reason


@pytest.mark.parametrize("claim", JUDGEABLE, ids=lambda claim: claim.id)
def test_every_shipped_claim_can_be_supported(claim):
    """By numbers inside what it claims, of bottles and at temperatures that it names."""
    if claim.test not in ("md", "proxy"):
        return
    low, high = claim.claimed
    inside = (low + high) / 2 if math.isfinite(low + high) else low + 1.0 if math.isfinite(low) else high / 2 or -1.0
    values = {"value": (inside,), "ratio": (inside, 1.0), "difference": (2.0 + inside, 2.0)}[claim.estimand]
    table = table_of(claim, values)
    table["error"] /= 50
    if claim.number.name in {name for name, _, _ in OVER_TEMPERATURES}:
        table["temperature_K"] = math.nan
    judged = judge_claims(shipped_claims(), table).set_index("id").loc[claim.id]
    assert judged.verdict == "supported", judged.reason


def test_more_of_a_cosolvent_than_by_chance_is_counted_from_its_recipe():
    """Four neighbours drawn at random from the neutral molecules hold this many of it; rounded to a tenth."""
    for name, solvent in (("dmso", "DMSO"), ("tegdme", "G4"), ("egda", "EGDA")):
        entry = f"carbonate-lino3-{name}"
        (held,) = [bottle.composition.counts for bottle in standing(find_entry(entry)).bottles]
        chance = 4 * held[solvent] / sum(held[one] for one in ("EC", "DEC", solvent))
        (claim,) = [claim for claim in SHIPPED if claim.id == f"{entry}-c1"]
        assert claim.number.species == solvent and claim.range == (pytest.approx(chance, abs=0.05), None)


def documented():
    """Descriptors of docs/theory/descriptors.md: name → what its column 'species' says; and what is made from them."""
    text = (ROOT / "docs" / "theory" / "descriptors.md").read_text("utf-8")
    over = {name: "what changes" for name, _, _ in OVER_TEMPERATURES}
    return over | dict(re.findall(r"^\| `([^`]+)` \| ([^|]+) \|", text, flags=re.MULTILINE))


def test_shipped_claims_name_descriptors_that_exist_of_whom_they_are_told():
    names = documented()
    for claim in JUDGEABLE:
        assert claim.number.name in names, claim.id
        whom, species = names[claim.number.name].strip(), claim.number.species
        if whom == "all":
            assert species == "", claim.id
        elif whom == "centres":
            assert species == "Li", claim.id
        elif whom == "site":
            assert ":" in species, claim.id
        elif "all" not in whom:
            assert species, claim.id


def test_shipped_claims_name_species_that_their_bottles_hold():
    from lmbmd.data.library import load_library

    salts = load_library().salts
    for claim in JUDGEABLE:
        number = claim.number
        other = number.species if number.versus_species is None else number.versus_species
        for bottle, species in ((claim.formulation, number.species), (claim.versus, other)):
            said = {b.name: b for entry in load_catalogue().values() for b in entry.bottles}.get(bottle)
            held = {name for key in SECTIONS for name in getattr(said, key, {})}
            held |= {ion for name in held for ion in (salts[name].ions if name in salts else [name.removeprefix("Li")])}
            assert not species or not held or species.split(":")[0] in held, claim.id


def test_shipped_claims_count_a_species_under_the_role_that_its_bottle_gives_it():
    """A solvent's CN is `solvent_cn`, an additive's `additive_cn`: under another name there is no number."""
    bottles = {bottle.name: bottle for entry in load_catalogue().values() for bottle in entry.bottles}
    seen = 0
    for claim in JUDGEABLE:
        number, role = claim.number, claim.number.name.removesuffix("_cn")
        other = number.species if number.versus_species is None else number.versus_species
        for bottle, species in ((claim.formulation, number.species), (claim.versus, other)):
            if bottle and f"{role}s" in SECTIONS and number.name.endswith("_cn"):
                held = getattr(bottles[bottle], f"{role}s")
                assert species in held if species else held, claim.id
                seen += 1
    assert seen > 20


def test_claims_are_listed_and_judged_from_the_command_line(tmp_path, capsys):
    none = ["--study", str(tmp_path / "none.yaml")]
    assert main(["claims", "--list", "lifsi-dme-4m", *none]) == 0
    text = capsys.readouterr().out
    assert "lifsi-dme-4m-c1 (lifsi-dme-4m against lifsi-dme-1m; md)" in text and "lifsi-dx" not in text
    assert main(["claims", "--results", str(tmp_path), *none]) == 2
    assert "lmbmd claims --list" in " ".join(capsys.readouterr().err.split())
    name = {"name": "cip_agg_fraction_anion"}
    table = numbers(("lifsi-dme-4m", 0.9, 0.01, name), ("lifsi-dme-1m", 0.4, 0.01, name))
    table.to_parquet(tmp_path / "features.parquet")
    assert main(["claims", "lifsi-dme-4m", "--results", str(tmp_path), *none]) == 0
    text = capsys.readouterr().out
    assert text.startswith("supported         lifsi-dme-4m-c1 at 300 K")
    assert "0.900 ± 0.010 against 0.400 ± 0.010; difference 0.500 ± 0.014; 95 %: 0.472 to 0.528" in text
    assert "not run" in text.rpartition("\n")[0], "of the bottles asked about every claim is shown"
    assert main(["claims", "--results", str(tmp_path), *none]) == 0
    *verdicts, summary = capsys.readouterr().out.splitlines()
    assert main(["claims", "lifsi-dme-4n", *none]) == 2
    assert "no claim is about 'lifsi-dme-4n'" in " ".join((err := capsys.readouterr().err).split())
    assert "lifsi-dme-4m" in err
    assert "not run" in summary and not any(line.startswith("not run") for line in verdicts)


def test_the_schema_of_the_features_is_documented():
    """docs/features.md shows the columns and the rows as they are, in order."""
    text = (ROOT / "docs" / "features.md").read_text("utf-8")
    types = {"string": "text", "double": "number", "int64": "whole number", "bool": "truth"}
    for column in COLUMNS:
        assert f"| `{column.name}` | {types[str(column.type)]} | {column.meaning} |" in text
    for name, unit, meaning in (*ROWS, *OVER_TEMPERATURES):
        assert f"| `{name}` | {unit} | {meaning} |" in text
    columns = text.split("## Columns")[1].split("## ")[0]
    assert re.findall(r"^\| `(\w+)`", columns, flags=re.MULTILINE) == FEATURES.names


def test_the_table_and_the_format_of_claims_are_documented(tmp_path):
    """docs/claims.md names every column and every key, and its example is a claim file."""
    text = (ROOT / "docs" / "claims.md").read_text("utf-8")
    columns = text.split("## claims.csv")[1]
    judged = judge_claims(shipped_claims(), FEATURES.empty_table().to_pandas())
    assert set(re.findall(r"`(\w+)`", re.sub(r"\|[^|]*\|$", "", columns, flags=re.MULTILINE))) == set(judged.columns)
    keys = text.split("| key | meaning |")[1].split("## claims.csv")[0]
    assert set(Claim.model_fields) <= set(re.findall(r"`(\w+)`", keys))
    path = tmp_path / "claims.yaml"
    path.write_text(re.search(r"```yaml\n(.*?)```", text, re.DOTALL)[1], encoding="utf-8")
    assert [claim.kind for claim in load_claims(path).claims] == ["ordering", "value"]


HELD = "DME rest; LiFSI 1 mol/L of solution"


def about_one_molar(*rows):
    """Verdicts on the shipped claims about 1 M LiFSI in DME alone, from a number of these bottles."""
    claimed = [(file, claim) for file in shipped_claims() for claim in file.claims]
    _, claim = next((f, c) for f, c in claimed if c.formulation == "lifsi-dme-1m" and c.number and not c.versus)
    table = numbers(*[(f, 2.0, 0.01, {"recipe": recipe}) for f, recipe in rows])
    number = {"name": claim.number.name, "species": claim.number.species}
    table = table.assign(**number, temperature_K=claim.temperature_K or 298.15)
    return judge_claims(shipped_claims(), table).set_index("id").loc[claim.id]


def test_a_bottle_answers_a_shipped_claim_by_what_it_holds_and_not_by_its_name():
    own = about_one_molar(("mine", HELD))
    assert own.verdict != "not run" and own.formulation == "lifsi-dme-1m"
    said = "By recipe: mine for lifsi-dme-1m."
    assert own.reason.endswith(said)
    assert about_one_molar(("lifsi-dme-1m", HELD)).reason == own.reason.removesuffix(said).strip()
    other = HELD.replace("1 mol", "1.5 mol")
    assert about_one_molar(("lifsi-dme-1m", other)).verdict == "not run", "of that name, but something else is in it"
    assert about_one_molar(("lifsi-dme-1m", "")).verdict != "not run", "no recipe is recorded: by name"


def test_a_claim_of_a_study_is_about_its_own_bottle_whatever_it_holds():
    table = numbers(("a", 2.0, 0.1, {"recipe": "something"}), ("b", 1.0, 0.1, {"recipe": HELD}))
    (row,) = judge_claims([claims(ORDERING)], table).itertuples(index=False)
    assert row.verdict == "supported" and row.reason == ""


def test_a_bottle_in_other_mole_parts_of_the_same_ratio_answers_a_shipped_claim():
    """1 LiFSI : 1.2 DME : 3 TTE, written as 2 : 2.4 : 6; a bottle with other ratios has that name in vain."""
    claimed = [claim for file in shipped_claims() for claim in file.claims if claim.number and not claim.versus]
    held = recipes({claim.formulation for claim in claimed})
    name, recipe = next((name, recipe) for name, recipe in held.items() if recipe.count("mol parts") > 1)
    claim = next(claim for claim in claimed if claim.formulation == name)

    def judged(by: dict[str, float]):
        amounts = [part.split(" ", 2) for part in recipe.split("; ")]
        other = "; ".join(f"{who} {float(n) * by.get(who, by['all']):.6g} {basis}" for who, n, basis in amounts)
        table = numbers(("mine", 2.0, 0.01, {"recipe": other}))
        number = {"name": claim.number.name, "species": claim.number.species}
        table = table.assign(**number, temperature_K=claim.temperature_K or 298.15)
        return judge_claims(shipped_claims(), table).set_index("id").loc[claim.id]

    assert judged({"all": 2.0}).reason.endswith(f"By recipe: mine for {name}.")
    first = recipe.split(" ")[0]
    assert judged({"all": 2.0, first: 1.0}).verdict == "not run"
