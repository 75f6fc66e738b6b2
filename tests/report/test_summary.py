"""The summary says what the numbers say, with their doubts, and nothing when there is no number."""

import dataclasses
import re

import numpy as np
import pandas as pd
import pytest
import report_inputs
from pages import load

from lmbmd.data.described import Described
from lmbmd.report.words import narrative


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    study = report_inputs.write_study(tmp_path_factory.mktemp("summary"), names=("lifsi-dme-tte",))
    return load(study / "lifsi-dme-tte")


def told(results, notes=(), replicas=None, **tables):
    """The summary of a state point that has these tables and nothing else."""
    (point,) = results.state_points
    tables = {name: report_inputs.doubted(table) for name, table in tables.items()}
    described = Described(point.described.descriptors.iloc[:0], tables, tuple(notes), {"centre": "Li"})
    point = dataclasses.replace(point, described=described, replicas=point.replicas if replicas is None else replicas)
    return " ".join(narrative.summary(point, dataclasses.replace(results, state_points=(point,))))


def converged(verdict):
    return [{"topic": "convergence", "verdict": verdict, "text": "…"}]


@pytest.mark.parametrize(
    ("verdict", "caveat"),
    [
        ("too short", "It is too short to speak for the liquid"),
        ("not converged", "It is not converged"),
        ("borderline", "It is long enough for some of the numbers only."),
        ("long enough", None),
        (None, "Whether it is long enough for its numbers was not checked."),
    ],
)
def test_a_summary_carries_the_verdict_of_its_run(results, verdict, caveat):
    text = told(results, converged(verdict) if verdict else ())
    caveats = [words for words in narrative._CAVEATS.values() if words in text]
    assert (caveat is None and caveats == []) or (len(caveats) == 1 and caveat in text)


def test_without_any_table_there_are_no_numbers_but_those_of_the_run(results):
    text = told(results, converged("long enough"))
    assert text == ("2 independent runs of 1 ns at 298.15 K, each with 50 Li⁺, 50 FSI⁻, 60 DME, 150 TTE.")
    assert told(results, converged("long enough"), replicas=()) == ""


SPECIATION = pd.DataFrame(
    [
        ("anion", "SSIP", 0.1, 0.01, ""),
        ("anion", "CIP", 0.3, 0.02, ""),
        ("anion", "AGG", 0.6, 0.02, ""),
        ("centre", "AGG", 0.5, 0.02, "error not reliable (4.0 independent samples)"),
        ("cluster", "AGG", 0.8, np.nan, "never changed"),
    ],
    columns="convention cls fraction error doubt".split(),
)


def test_the_conventions_are_told_apart_and_keep_their_doubts(results):
    text = told(results, speciation=SPECIATION)
    assert "Of the anions, 10.0 ± 1.0 % touch no centre (SSIP), 30 ± 2 % touch one (CIP)" in text
    assert (
        "Counted otherwise, AGG are ≈ 50 % of the centres by their anions and 80 % (never changed) of the centres by "
        "the size of their cluster." in text
    )
    assert text.endswith("A number after ≈ rests on too few independent samples for its error to be relied on.")


def test_a_convention_without_a_value_is_not_mentioned(results):
    gone = SPECIATION.assign(fraction=SPECIATION.fraction.where(SPECIATION.convention != "cluster"))
    assert "size of their cluster" not in told(results, speciation=gone)
    only = SPECIATION[SPECIATION.convention == "anion"]
    text = told(results, speciation=only)
    assert "Counted otherwise" not in text and "≈" not in text
    partial = only[only.cls != "CIP"]
    assert "Of the anions" not in told(results, speciation=partial)


def test_the_cut_offs_move_agg_by_what_was_counted(results):
    rows = [
        ("agg_fraction_anion", -0.3, 0.55, 0.02, ""),
        ("agg_fraction_anion", 0.0, 0.6, 0.02, ""),
        ("agg_fraction_anion", 0.3, 0.64, 0.5, "error not reliable (2.0 independent samples)"),
    ]
    table = pd.DataFrame(rows, columns="quantity cutoff_shift_A value error doubt".split())
    text = told(results, sensitivity=table)
    assert "AGG would be 55 ± 2 % with cut-offs 0.3 Å shorter and ≈ 60 % with cut-offs 0.3 Å longer." in text
    assert "AGG would be" not in told(results, sensitivity=table.assign(quantity="total_cn"))
    assert "longer" not in told(results, sensitivity=table.head(2))


def residence(*rows):
    columns = "centre partner correlation tau_ps error outcome".split()
    table = pd.DataFrame([("Li", partner, kind, *rest) for partner, kind, *rest in rows], columns=columns)
    return report_inputs.doubted(table)


def test_times_are_told_only_where_they_were_seen(results):
    nan = np.nan
    lasting = ("DME", "intermittent", nan, nan, "not decayed: C(500 ps) = 0.8, so longer than 500 ps")
    text = told(results, residence=residence(("FSI", "intermittent", 180.0, 18.0, "decayed"), lasting))
    assert "Residence times (to 1/e, breaks allowed) are 180 ± 18 ps for FSI⁻; for DME the run is too short." in text
    text = told(results, residence=residence(lasting))
    assert "For the residence times of DME the run is too short." in text and "are" not in re.findall(r"\w+", text)
    quick = ("FSI", "intermittent", nan, nan, "not resolved: C(1 ps) = 0.1, random exchange within one frame interval")
    assert "esidence" not in told(results, residence=residence(quick))
    assert "esidence" not in told(results, residence=residence(("FSI", "continuous", 18.0, 1.0, "decayed")))
    assert "180 ps" not in told(results, residence=residence(("FSI", "intermittent", 180.0, nan, "decayed")))


def test_no_number_stands_in_a_summary_that_is_not_in_its_tables(results):
    """Every number of the full summary is a rounded entry of a table, a count, or a length of the run."""
    (point,) = results.state_points
    text = " ".join(narrative.summary(point, results))
    known = [298.15, 1.0, 2.0, *results.counts.values()]
    for name in ("composition", "cn", "shells", "solvent_states", "speciation", "sensitivity", "residence"):
        table = point.described.tables[name]
        for column in table.select_dtypes("number"):
            values = table[column].dropna().to_numpy(float)
            known += [*values, *(100 * values)]
    rows = point.described.descriptors
    known += [*rows.value.dropna(), *rows.error.dropna()]
    tiny = rows[rows.value < 1e-6]  # printed as a multiple of a power of ten
    known += [x * 10.0**k for x in (*tiny.value, *tiny.error) for k in (9, 10, 11)] + [10.0]
    known = np.abs(np.array(known))
    text = re.sub(r"mol/L|1/e|No CIPA.*?size\.", "", text)
    found = [float(x) for x in re.findall(r"(?<![\w.])\d+(?:\.\d+)?", text)]
    assert len(found) > 25
    for number in found:
        assert np.min(np.abs(known - number)) <= 0.06 * max(number, 0.1), number
