"""The report of another program's trajectory: the page of a study, without what nobody can know of such a run."""

import contextlib
import io
import re

import pandas as pd
import pytest
import yaml
from foreign_files import EXACT, EXACT_MAP, exact_box
from pages import Document

from lmbmd.analysis import foreign
from lmbmd.analysis.features import FEATURES
from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.report.inputs import feature_table, load_analysis
from lmbmd.report.pages.analysis import told

#: Fewer null models: what they cost is not what these tests are about.
QUICK = {"compactness": {"frames": 2, "shuffles": 2, "neighbourhoods": 2}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return exact_box(tmp_path_factory.mktemp("foreign"))


@pytest.fixture(scope="module")
def said(folder):
    """What the command prints."""
    (folder / "options.yaml").write_text(yaml.safe_dump(QUICK), encoding="utf-8")
    names = "topology.pdb", "traj.xtc", "--species", "species.yaml", "--out", "out", "--options", "options.yaml"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["analyze", *(name if name[0] == "-" else str(folder / name) for name in names)]) == 0
    return printed.getvalue()


@pytest.fixture(scope="module")
def page(folder, said):
    return Document((folder / "out" / "report.html").read_text("utf-8"))


def test_the_command_prints_the_main_numbers_and_where_the_page_is(said, folder):
    assert f"The page is {folder / 'out' / 'report.html'}." in said
    assert "4 frames over 6 ps" in said and "4 LI⁺, 4 ANI, 2 SOL" in said
    assert "too short" in said, "no number without the verdict"
    lines = dict(re.findall(r"^  (.+?)  +(.+)$", said, flags=re.MULTILINE))
    assert list(lines) == ["first shell of LI⁺", "anions", "free molecules", "clusters", "motion"]
    assert "ANI ≈ 0.75" in lines["first shell of LI⁺"] and "SOL ≈ 0.25" in lines["first shell of LI⁺"]
    assert re.search(r"SSIP ≈ 50 %.*CIP ≈ 25 %.*AGG ≈ 25 %", lines["anions"])
    assert lines["motion"] == "this run gives no number"


def test_without_a_page_the_numbers_and_tables_are_the_same(said, folder, capsys):
    names = "topology.pdb", "traj.xtc", "--species", "species.yaml", "--out", "pageless", "--options", "options.yaml"
    assert main(["analyze", *(n if n[0] == "-" else str(folder / n) for n in names), "--no-page"]) == 0
    lines, with_page = (text.splitlines()[:-1] for text in (capsys.readouterr().out, said))
    assert [line for line in lines if line[:2] == "  "] == [line for line in with_page if line[:2] == "  "] != []
    bare, whole = folder / "pageless", folder / "out"
    assert not (bare / "report.html").exists() and not (bare / "figures.zip").exists()
    assert (bare / "features.csv").read_text().replace("pageless", "out") == (whole / "features.csv").read_text()


def test_the_page_has_what_a_study_has_but_what_cannot_be_known(page):
    ids = page.values("id")
    for key in ("summary", "composition", "shell", "pairs", "meso", "dynamics", "motion", "convergence"):
        assert key in ids, key
    assert "run-summary" in ids
    assert page.open == [] and len(ids) == len(set(ids))
    assert {href[1:] for href in page.values("href") if href.startswith("#")} <= set(ids)
    for words in ("not given", "traj.xtc", "4 frames over 6 ps", "4 LI⁺, 4 ANI, 2 SOL", "made by another program"):
        assert words in page.text, words
    for words in ("nan", "force field not recorded", "asked", "restarts", "composition.json", "None"):
        assert not re.search(rf"\b{words}\b", page.text), words


def test_every_file_that_the_page_links_to_is_there(page, folder):
    files = {href for href in page.values("href") if not re.match(r"#|https:|data:", href)}
    assert {"features.csv", "descriptors.parquet", "atoms.parquet", "contacts.arrow"} <= files
    assert "figures.zip" in files
    assert any(file.startswith("snapshots/") for file in files)
    assert [file for file in files if not (folder / "out" / file).is_file()] == []


def test_the_feature_table_is_that_of_a_study(said, folder):
    found = pd.read_csv(folder / "out" / "features.csv")
    assert list(found.columns) == FEATURES.names
    assert set(found.formulation) == {"out"} and found.temperature_K.isna().all()
    values = found.set_index(["name", found.species.fillna("")]).value
    for key, expected in {**EXACT, ("count", "ANI"): 4, ("sampled_ns", ""): 0.006, ("box_edge_nm", ""): 4.0}.items():
        assert values[key] == pytest.approx(expected), key


def test_a_temperature_and_a_title_that_are_told_are_in_the_report(tmp_path):
    exact_box(tmp_path)
    source = tmp_path / "topology.pdb", tmp_path / "traj.xtc"
    foreign.analyze(source, EXACT_MAP, out=tmp_path / "out", title="A <i>box</i>", temperature_K=310, options=QUICK)
    results = load_analysis(tmp_path / "out")
    assert results.title == "A <i>box</i>" and results.state_points[0].label == "310K"
    assert "at 310 K, with 4 LI⁺" in told(results)
    assert set(feature_table([results]).temperature_K) == {310.0}


def test_a_folder_that_holds_no_analysis_is_refused(tmp_path, said, folder):
    with pytest.raises(LmbmdError, match=r"described\.json"):
        load_analysis(tmp_path)
    (point,) = load_analysis(folder / "out").state_points
    facts = {key: value for key, value in point.described.facts.items() if key != "analysed"}
    point.described.__class__(point.described.descriptors, {}, (), facts).write(tmp_path)
    with pytest.raises(LmbmdError, match=r"lmbmd analyze"):
        load_analysis(tmp_path)
