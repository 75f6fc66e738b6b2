"""One page that compares results of studies with analyses of other programs' trajectories, wherever they lie."""

import json
import re

import pandas as pd
import pytest
import report_inputs
from foreign_files import EXACT_MAP, exact_box
from pages import Document

from lmbmd.analysis.foreign import analyze
from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.report.gathered import gathered
from lmbmd.report.pages.index import index_page

QUICK = {"compactness": {"frames": 2, "shuffles": 2, "neighbourhoods": 2}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two analyses of one trajectory, both in a folder "out", and a study."""
    folder = tmp_path_factory.mktemp("compared")
    for name, told in (("a", {}), ("b", {"temperature_K": 298.15, "begin_ps": 2})):
        (folder / name).mkdir()
        exact_box(folder / name)
        source = folder / name / "topology.pdb", folder / name / "traj.xtc"
        analyze(source, EXACT_MAP, out=folder / name / "out", title=f"box {name}", options=QUICK, **told)
        (folder / name / "out" / "report.html").write_text("a page", encoding="utf-8")
    for written in report_inputs.write_study(folder / "study", (298.15, 320.0)).iterdir():
        (written / "report.html").write_text("a page", encoding="utf-8")
    return folder


def test_studies_and_analyses_stand_on_one_page_and_their_links_lead_to_theirs(folder, capsys):
    given = [folder / "a" / "out", folder / "study", folder / "b" / "out"]
    assert main(["compare", *map(str, given), "--out", str(folder / "page" / "here")]) == 0
    assert "index.html" in capsys.readouterr().out
    page = Document((folder / "page" / "here" / "index.html").read_text("utf-8"))
    assert "2 formulations, 4 state points, 2 analyses of other trajectories" in page.text
    first = [row[0]["text"] for row in page.tables[0][1:]]
    assert [re.sub(r"\s+", " ", text).strip() for text in first] == [
        "box aa/out",
        *("lifsi-dme",) * 2,
        *("lifsi-dme-tte",) * 2,
        "box bb/out",
    ]
    assert [row[1]["text"].strip() for row in page.tables[0][1:]] == [
        "not given",
        "298.15",
        "320",
        "298.15",
        "320",
        "298.15",
    ]
    links = {href.partition("#")[0] for href in page.values("href") if "report.html" in href}
    assert len(links) == 4
    assert all((folder / "page" / "here" / link).resolve().is_file() for link in links)
    assert "claims" not in page.text
    data = json.loads(_data(folder / "page" / "here" / "index.html"))
    assert [point["T"] for point in data["points"]] == [None, 298.15, 320, 298.15, 320, 298.15]
    assert data["points"][0]["model"] == "" and "0.8" in data["points"][1]["model"]
    table = pd.read_csv(folder / "page" / "here" / "features.csv")
    assert set(table.formulation) == {"a/out", "b/out", "lifsi-dme", "lifsi-dme-tte"}


def test_rows_of_one_title_are_told_apart_and_one_trajectory_given_twice_is_noticed(folder, tmp_path):
    """Two analyses that nobody gave a title, of the same frames."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        exact_box(tmp_path / name)
        source = tmp_path / name / "topology.pdb", tmp_path / name / "traj.xtc"
        analyze(source, EXACT_MAP, out=tmp_path / name / "out", options=QUICK)
    results = gathered([tmp_path / "one" / "out", tmp_path / "two" / "out"], tmp_path)
    assert [one.title for one in results] == ["traj.xtc (one/out)", "traj.xtc (two/out)"]
    text = Document(index_page(results)).text
    assert "traj.xtc (one/out) and traj.xtc (two/out) have the same numbers to the last digit" in text
    others = gathered([folder / "a" / "out", folder / "b" / "out"], tmp_path)
    assert [one.title for one in others] == ["box a", "box b"]
    assert "to the last digit" not in Document(index_page(others)).text


def _data(path):
    return re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)[1]


def test_an_analysis_without_a_temperature_has_its_numbers_on_the_page(folder):
    from lmbmd.report.inputs import feature_table
    from lmbmd.report.pages.comparison import comparison

    results = gathered([folder / "a" / "out", folder / "b" / "out"], folder)
    data = comparison(results, feature_table(results))
    place = next(k for k, number in enumerate(data["numbers"]) if number["name"] == "anion_cn")
    free = next(k for k, n in enumerate(data["numbers"]) if n["name"] == "free_solvent_fraction" and not n["species"])
    for point in data["points"]:
        values = {cell[0]: cell[1] for cell in point["cells"]}
        assert values[place] == 0.75 and values[free] == 0.5


def test_one_formulation_or_one_of_its_temperatures_may_be_given(folder):
    bottle = folder / "study" / "results" / "lifsi-dme"
    assert [p.at for (one,) in [gathered([bottle], folder)] for p in one.state_points] == ["298.15 K", "320 K"]
    assert [p.at for (one,) in [gathered([bottle / "320K"], folder)] for p in one.state_points] == ["320 K"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["."], r"neither a study, nor results of one, nor an analysis.*lmbmd analyze"),
        (["nowhere"], r"nowhere: this is no folder"),
        (["a/out", "a/../a/out"], r"out: its results are given twice"),
        (["study", "study/results/lifsi-dme/320K"], r"lifsi-dme: its results are given twice"),
    ],
)
def test_what_cannot_be_compared_is_refused(folder, given, said):
    (folder / "empty").mkdir(exist_ok=True)
    with pytest.raises(LmbmdError, match=said):
        gathered([folder / "empty" if name == "." else folder / name for name in given], folder)
