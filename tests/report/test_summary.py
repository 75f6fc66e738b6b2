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
    described = Described(point.described.descriptors.iloc[:0], {}, tuple(notes), {"centre": "Li"})
    described = report_inputs.retold(described, tables, results.roles)
    point = dataclasses.replace(point, described=described, replicas=point.replicas if replicas is None else replicas)
    return " ".join(narrative.summary(point, dataclasses.replace(results, state_points=(point,))))


def converged(verdict):
    return [{"topic": "convergence", "verdict": verdict, "text": "…"}]


@pytest.mark.parametrize(
    ("verdict", "caveat"),
    [
        ("too short", "too short to speak for the liquid."),
        ("not converged", "not converged: at least one"),
        ("borderline", "long enough for some of the numbers only."),
        ("long enough", None),
        (None, "not checked for whether this is long enough."),
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


def test_the_anions_are_told_by_anion_alone(results):
    text = told(results, speciation=SPECIATION)
    assert "Of the anions, 10.0 ± 1.0 % are in contact with no Li⁺ (SSIP), 30 ± 2 % with one (CIP)" in text
    partial = SPECIATION[(SPECIATION.convention == "anion") & (SPECIATION.cls != "CIP")]
    assert "Of the anions" not in told(results, speciation=partial)


def test_a_summary_has_at_most_five_points(results):
    assert len(narrative.summary(results.state_points[0], results)) == 5


def test_no_number_stands_in_a_summary_that_is_not_in_its_tables(results):
    """Every number of the full summary is a rounded entry of a table, a count, or a length of the run."""
    (point,) = results.state_points
    text = " ".join(narrative.summary(point, results))
    known = [298.15, 1.0, 2.0, *results.counts.values()]
    for name in ("cn", "shells", "speciation"):
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
    assert len(found) > 20
    for number in found:
        assert np.min(np.abs(known - number)) <= 0.06 * max(number, 0.1), number
