"""What a bottle is called: by its title, else by what is in it, else by its name."""

import json
import re
from dataclasses import asdict, replace

import pytest
import report_inputs

import lmbmd
from lmbmd.analysis.families import schemas
from lmbmd.data.described import Described
from lmbmd.data.library import load_library
from lmbmd.formulation.composition import compose
from lmbmd.formulation.models import load_formulation
from lmbmd.formulation.titles import title_of
from lmbmd.report.inputs import load_results
from lmbmd.report.pages.index import index_page
from lmbmd.report.pages.page import formulation_page

BOTTLES = [
    (
        {
            "salts": {"LiPF6": "1.2 mol/L of solution"},
            "solvents": {"EC:EMC": "3:7 mass parts"},
            "additives": {"VC": "2 wt%"},
        },
        "1.2 mol/L LiPF₆ in EC:EMC 3:7 (w/w) + 2 wt% VC",
    ),
    (
        {"salts": {"LiTFSI": "0.8 M of solution", "LiNO3": "1 wt%"}, "solvents": {"DOL": "1 v/v", "DME": "1 v/v"}},
        "0.8 mol/L LiTFSI + 1 wt% LiNO₃ in DOL:DME 1:1 (v/v)",
    ),
    (
        {"salts": {"LiFSI": "1 mol"}, "solvents": {"DME": "1.20 mol"}, "diluents": {"TTE": "3 mol"}},
        "LiFSI:DME:TTE 1:1.2:3 (mol/mol)",
    ),
    ({"salts": {"LiFSI": "3 molal"}, "solvents": {"DME": "rest"}}, "3 mol/kg LiFSI in DME"),
    ({"salts": {"LiFSI": "1 mol/L solvent"}, "solvents": {"DME": "7 v/v"}}, "1 mol/L (of solvent) LiFSI in DME"),
    (
        {"salts": {"LiFSI": "1 M solution"}, "solvents": {"DME": "rest"}, "diluents": {"TTE": "20 vol%"}},
        "1 mol/L LiFSI in DME + 20 vol% TTE",
    ),
]


@pytest.mark.parametrize(("keys", "title"), BOTTLES)
def test_a_bottle_without_a_title_is_called_by_what_is_in_it(tmp_path, keys, title):
    (tmp_path / "b.yaml").write_text(json.dumps({**keys, "size": {"atoms": 20_000}}), encoding="utf-8")
    composition = compose(load_formulation(tmp_path / "b.yaml"), load_library(), cutoff_nm=1.0, ion_charge_scale=0.8)
    assert title_of(json.loads(json.dumps(asdict(composition)))) == title


@pytest.mark.parametrize(
    "composition",
    [{}, {"asked_realised": []}, {"asked_realised": [{"component": "DME", "text": "some"}]}, {"asked_realised": [{}]},
     {"asked_realised": 3, "ingredients": []}, {"asked_realised": [None]}],
)  # fmt: skip
def test_a_record_without_amounts_gives_no_title(composition):
    assert title_of(composition) == ""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Results of a bottle that says what was asked for; its description says no title."""
    folder = report_inputs.write_study(tmp_path_factory.mktemp("study"), names=("lifsi-dme",)) / "lifsi-dme"
    found = report_inputs.composition("lifsi-dme", report_inputs.BOTTLES["lifsi-dme"])
    asked = (replace(found.asked_realised[0], text="1 mol/L of solution"), *found.asked_realised[1:])
    replace(found, asked_realised=asked).write(folder / "composition.json")
    return folder


HELD = "1 mol/L LiFSI in DME"


def test_its_page_the_comparison_and_a_notebook_call_it_so(folder):
    results = load_results(folder)
    assert results.title == load_results(folder, recipe={"title": ""}).title == HELD
    assert load_results(folder, recipe={"title": "Mine"}).title == "Mine"
    assert re.search(rf"<h1>{HELD}</h1>\s*<p class=\"slug\">lifsi-dme</p>", formulation_page(results).html)
    assert f">{HELD}</a>" in index_page([results])
    assert lmbmd.read(folder).title == f"{HELD}, 298.15 K"


def test_a_title_that_was_given_lies_with_the_results(folder):
    point = folder / "298.15K"
    found = Described.read(point, schemas())
    replace(found, facts={**found.facts, "title": "A <b>bottle</b>"}).write(point)
    assert lmbmd.read(folder).title == "A <b>bottle</b>, 298.15 K"
    assert load_results(folder, recipe={"title": ""}).title == HELD, "the study has none: it was taken away since"
    assert "<h1>A &lt;b&gt;bottle&lt;/b&gt;</h1>" in formulation_page(load_results(folder)).html
