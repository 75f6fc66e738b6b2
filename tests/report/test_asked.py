"""The page is of what the study asks for, whatever else lies on the disk from when it asked for more."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest
import report_inputs
from pages import Document

from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.report.inputs import load_results, results_of
from lmbmd.study.study import load_study

DME = "salts: {LiFSI: 1 mol/L of solution}\nsolvents: {DME: rest}\nsize: {ion_pairs: 6}\n"


@pytest.fixture
def asked(tmp_path) -> tuple[Path, Path]:
    """A study of two replicas at 298.15 K, and results of three at 298.15 K and 333 K."""
    results = report_inputs.write_study(tmp_path / "results", (298.15, 333.0), ("lifsi-dme",))
    bottle = results / "lifsi-dme"
    for folder in (bottle / "298.15K", bottle / "333K"):
        shutil.copytree(folder / "r2", folder / "r3")
    (tmp_path / "bottles").mkdir()
    (tmp_path / "bottles" / "lifsi-dme.yaml").write_text(DME, encoding="utf-8")
    study = tmp_path / "config.yaml"
    study.write_text("study: test\nformulations: bottles\ndefaults: {replicas: 2}\n", encoding="utf-8")
    return study, results


@pytest.mark.slow
def test_replicas_and_temperatures_of_an_earlier_study_are_not_on_the_page(asked):
    study, results = asked
    assert main(["report", "lifsi-dme", "--study", str(study), "--results", str(results)]) == 0
    page = Document((results / "lifsi-dme" / "report.html").read_text(encoding="utf-8"))
    assert "two independent runs" in page.text.lower() or "2 independent runs" in page.text
    assert "333 K" not in page.text
    assert not [href for href in page.values("href") if "r3/" in href or "333K" in href]
    assert [href for href in page.values("href") if "298.15K/r2/" in href]


def test_the_feature_table_has_what_the_study_asks_for(asked):
    study, results = asked
    assert main(["index", "--study", str(study), "--results", str(results)]) == 0
    table = pd.read_csv(results / "features.csv")
    assert set(table.temperature_K) == {298.15}
    assert set(table.replicas) == {2}


@pytest.mark.slow
def test_a_temperature_left_by_an_older_version_blocks_nothing(asked):
    study, results = asked
    (results / "lifsi-dme" / "333K" / "described.json").write_text("{", encoding="utf-8")
    (results / "lifsi-dme" / "333K" / "tables" / "cn.csv").write_text("centre\nLi\n", encoding="utf-8")
    for verb in (["report", "lifsi-dme"], ["index"]):
        assert main([*verb, "--study", str(study), "--results", str(results)]) == 0


def test_a_temperature_that_is_asked_for_and_not_there_is_named(asked):
    study, results = asked
    shutil.rmtree(results / "lifsi-dme" / "298.15K")
    with pytest.raises(LmbmdError, match=r"298\.15K"):
        results_of(load_study(study), "lifsi-dme", results)


def test_without_a_study_all_that_was_described_is_shown_with_the_replicas_that_were_described(asked):
    _, results = asked
    points = load_results(results / "lifsi-dme").state_points
    assert [point.temperature_K for point in points] == [298.15, 333.0]
    assert [len(point.replicas) for point in points] == [2, 2]
