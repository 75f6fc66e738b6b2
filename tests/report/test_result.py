"""What a notebook holds: numbers by name, a table on one screen, the figures of the page on anyone's Axes, the page."""

import dataclasses
import inspect
import math
import os
import re
import subprocess
import sys

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import report_inputs
from foreign_files import EXACT_MAP, exact_box
from matplotlib.figure import Figure
from pages import EVIL, Document

import lmbmd
from lmbmd.analysis import foreign
from lmbmd.analysis.features import FEATURES
from lmbmd.core.errors import LmbmdError
from lmbmd.report.figures import clusters, motion, over_time, pairs, palette, shells
from lmbmd.report.figures.drawing import Drawing, styled
from lmbmd.report.result import MOST_REMARKS, MOST_ROWS, Result
from lmbmd.report.words import narrative

QUICK = {"compactness": {"frames": 2, "shuffles": 2, "neighbourhoods": 2}}


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return report_inputs.write_study(tmp_path_factory.mktemp("study"), temperatures_K=(298.15, 333.15))


@pytest.fixture(scope="module")
def result(study):
    return lmbmd.read(study / "lifsi-dme-tte" / "298.15K")


@pytest.fixture(scope="module")
def analysed(tmp_path_factory):
    folder = exact_box(tmp_path_factory.mktemp("foreign"))
    files = folder / "topology.pdb", folder / "traj.xtc"
    return lmbmd.analyze(files, EXACT_MAP, options=QUICK, out=folder / "out", title="A box")


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


def test_a_number_is_a_row_of_the_feature_table(result):
    table = result.to_pandas()
    assert result.verdict == "borderline"
    assert list(table.columns) == FEATURES.names and len(table) == len(result) == len(list(result))
    for row in table.itertuples(index=False):
        number = result[row.name, row.species]
        for column, value in dataclasses.asdict(number).items():
            expected = getattr(row, column)
            assert value == expected or (math.isnan(value) and math.isnan(expected)), (row.name, column)
    assert result["anion_cn", "FSI"].value == pytest.approx(2.86, abs=0.2)
    assert result["shell_entropy"] == result["shell_entropy", ""]
    assert ("anion_cn", "FSI") in result and ("anion_cn", "PF6") not in result and result.get("nothing") is None


def test_a_number_is_shown_in_one_line(result):
    number = dataclasses.replace(result["anion_cn", "FSI"], value=2.86, error=0.032, doubt="")
    assert str(number) == "2.86 ± 0.03" and repr(number) == "anion_cn of FSI = 2.86 ± 0.03"
    unsure = dataclasses.replace(number, doubt="replicas disagree beyond chance")
    assert repr(unsure) == "anion_cn of FSI ≈ 2.9 (replicas disagree beyond chance)"
    constant = dataclasses.replace(number, error=math.nan, doubt="never changed", species="")
    assert repr(constant) == "anion_cn = 2.86 (never changed)"
    conductivity = dataclasses.replace(number, unit="S/m", value=0.9512, error=0.002)
    assert str(conductivity) == "0.951 ± 0.002 S/m"


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("anoin_cn", r"no number 'anoin_cn'.*'anion_cn'\?.*shell_entropy.*solvent_cn"),
        (("anion_cn", "FSA"), r"no number 'anion_cn' of 'FSA'.*'FSI'\?.*FSI"),
        ("solvent_cn", r"'solvent_cn' is not a number of the whole liquid.*It is there of DME"),
    ],
)
def test_a_wrong_name_is_told_the_nearest_and_all(result, key, said):
    with pytest.raises(LmbmdError, match=said) as caught:
        result[key]
    assert isinstance(caught.value, KeyError) and not str(caught.value).startswith(('"', "'LiFSI"))


def test_the_numbers_shown_first_are_those_at_the_head_of_the_page(result, analysed):
    for one in (result, analysed):
        head = [h for h in narrative.headlines(one.point, one.results) if math.isfinite(h.value)]
        shown = one.main()
        assert [(n.name, n.species, n.value) for n in shown] == [(h.name, h.species, h.value) for h in head]
        assert len({n.name for n in shown}) >= 8 and shown[0].name == "density_g_cm3"


def test_the_table_fits_on_a_screen_and_has_value_error_unit_and_doubt(result):
    html = Document(result._repr_html_())
    assert html.open == []
    for number in result.main()[:MOST_ROWS]:
        row = rf"{number.name}\s+{number.species}\s*{re.escape(number.text)}\s*.*{re.escape(number.doubt)}"
        assert re.search(row, html.text), row
    assert result._repr_html_().count("<tr>") <= MOST_ROWS + 1
    assert result._repr_html_().count("<br>") <= MOST_REMARKS + 1
    assert narrative.verdict(result.point).heading in html.text
    assert "more numbers in .to_pandas()" in html.text
    assert 5 < len(repr(result).splitlines()) < 12


def test_what_a_study_is_called_and_notes_are_escaped(result):
    point = result.point
    notes = ({"topic": "convergence", "verdict": "too short", "text": EVIL}, {"topic": "box", "text": f"2 {EVIL}"})
    described = dataclasses.replace(point.described, notes=notes)
    evil = dataclasses.replace(
        result.results,
        recipe={"title": EVIL, "assumptions": [f"3 {EVIL}"]},
        state_points=(dataclasses.replace(point, described=described),),
    )
    html = Result(evil)._repr_html_()
    assert EVIL not in html and Document(html).text.count(EVIL) == 4


def test_a_run_that_is_too_short_has_no_error_bars_but_keeps_its_errors(analysed):
    number, raw = analysed["solvent_cn", "SOL"], analysed.to_pandas().set_index(["name", "species"])
    assert analysed.verdict == "too short" and number.text == "≈ 0.25"
    assert number.doubt == "no error bar: the run is too short for one" and number.doubt_kind == "not_quoted"
    assert raw.doubt_kind["solvent_cn", "SOL"] == "never_changed"
    html = Document(analysed._repr_html_())
    assert html.text.count("no error bar") == 1, "once for all"
    assert " ± " not in html.text.replace("value ± error", "")


def test_the_edge_of_a_box_is_as_sure_as_its_density(result):
    edge = result["box_edge_nm"]
    assert edge.error == pytest.approx(edge.value * result["density_g_cm3"].error / result["density_g_cm3"].value / 3)
    assert "±" in edge.text and not edge.doubt
    short = Result(report_inputs.too_short(result.results))["box_edge_nm"]
    assert short.text.startswith("≈") and "±" not in short.text and short.doubt_kind == "not_quoted"


def shapes(figure):
    """What a figure looks like: its SVG file."""
    return Drawing("x", "", "", "", pd.DataFrame(), figure).svg


FIGURES = {
    "rdf": lambda point, colour, on: shells.rdf_of(point, colour, *shells.rdf_pairs(point)[0], on),
    "shells": lambda point, colour, on: shells.shells(point, colour, on)[0],
    "speciation": lambda point, colour, on: pairs.speciation(point, on)[0],
    "clusters": lambda point, colour, on: clusters.cluster_sizes(point, on)[0],
    "msd": lambda point, colour, on: motion.msd(point, colour, on)[0],
    "residence": lambda point, colour, on: over_time.residence(point, colour, on)[0],
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_plot_is_the_figure_of_the_page(result, name):
    with styled():
        page = FIGURES[name](result.point, palette.colours(result.results.roles), Figure)
    ax = getattr(result, f"plot_{name}")()
    assert plt.get_fignums() == [ax.figure.number], "pyplot shows it"
    assert shapes(ax.figure) == shapes(page.figure)


@pytest.mark.parametrize("name", FIGURES)
def test_a_plot_is_drawn_on_axes_that_are_given(result, name):
    figure, (ax, other) = plt.subplots(1, 2)
    before = dict(plt.rcParams)
    assert getattr(result, f"plot_{name}")(ax=ax) is ax
    assert ax.has_data() and not other.has_data() and plt.get_fignums() == [figure.number]
    assert dict(plt.rcParams) == before
    assert ax.get_ylabel() or ax.get_xlabel()


def test_a_first_plot_leaves_a_notebook_as_it_shows_figures(result, tmp_path):
    """Jupyter's backend makes matplotlib interactive when it is first used; without that it shows no later figure."""
    backend = "from matplotlib.backends.backend_agg import *\nimport matplotlib\nmatplotlib.interactive(True)\n"
    (tmp_path / "inline.py").write_text(backend, encoding="utf-8")
    code = "import sys, lmbmd, matplotlib; lmbmd.read(sys.argv[1]).plot_shells(); print(matplotlib.is_interactive())"
    paths = os.pathsep.join([str(tmp_path), *sys.path])
    environment = {**os.environ, "MPLBACKEND": "module://inline", "PYTHONPATH": paths}
    command = [sys.executable, "-c", code, result.folder / "298.15K"]
    ran = subprocess.run(command, env=environment, capture_output=True, encoding="utf-8", check=False)
    assert ran.stdout == "True\n", ran.stderr


def test_a_pair_of_an_rdf_is_chosen_by_name(result):
    assert "FSI⁻ O" in result.plot_rdf("FSI:O").get_title(loc="left")
    with pytest.raises(LmbmdError, match=r"no RDF of a centre and FSI:P.*Did you mean 'FSI:.'\?.*Li – FSI:O"):
        result.plot_rdf("FSI:P")


def test_either_residence_correlation_is_drawn_and_no_other(result):
    titles = [result.plot_residence(name).get_title(loc="left") for name in ("continuous", "intermittent")]
    assert titles == ["Continuous", "Intermittent"] and result.plot_residence().get_title(loc="left") == "Continuous"
    with pytest.raises(LmbmdError, match=r"'intermitent' is no residence correlation\. Did you mean 'intermittent'"):
        result.plot_residence("intermitent")


def test_a_plot_without_its_table_says_so(analysed):
    with pytest.raises(LmbmdError, match=r"no table for that figure.*notes"):
        analysed.plot_msd()
    assert plt.get_fignums() == []


def test_all_state_points_of_a_folder_are_read_by_name(study, analysed):
    found = lmbmd.read_all(study)
    names = [f"{bottle}/{T}" for bottle in ("lifsi-dme", "lifsi-dme-tte") for T in ("298.15K", "333.15K")]
    assert sorted(found) == sorted(names) and list(lmbmd.read_all(study / "lifsi-dme")) == names[:2]
    one, alone = found["lifsi-dme/333.15K"], lmbmd.read(study / "lifsi-dme" / "333.15K")
    assert (one.title, one.folder) == (alone.title, alone.folder)
    pd.testing.assert_frame_equal(one.to_pandas(), alone.to_pandas())
    assert list(lmbmd.read_all(analysed.folder)) == ["out"]


@pytest.mark.parametrize("call", [lmbmd.read, lmbmd.read_all])
@pytest.mark.parametrize("folder", [None, 5, ["results"]])
def test_what_is_no_folder_is_refused_in_plain_words(call, folder):
    with pytest.raises(LmbmdError, match=rf"folder cannot be {re.escape(repr(folder))}\. Give a folder, as text"):
        call(folder)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"species": 5}, "species cannot be 5. Give the file of a species map"),
        ({"species": None}, "species cannot be None"),
        ({"options": "x"}, "options cannot be 'x'. Give a dict"),
        ({"options": [1]}, r"options cannot be \[1\]"),
        ({"begin_ps": "1"}, "begin_ps cannot be '1'. Give a number"),
        ({"every_ps": True}, "every_ps cannot be True"),
        ({"workers": "2"}, "workers cannot be '2'. Give a whole number"),
        ({"workers": None}, "workers cannot be None"),
        ({"pressure": 5}, "pressure cannot be 5"),
        ({"pressure": [5]}, "pressure cannot be 5. Give files"),
        ({"out": 5}, "out cannot be 5. Give a folder"),
        ({"title": 5}, "title cannot be 5. Give text"),
        ({"source": []}, "there is no trajectory. Give a Universe"),
        ({"source": ()}, "there is no trajectory. Give a Universe"),
        ({"source": 5}, "5 is no Universe"),
    ],
)
def test_an_argument_of_another_type_is_refused_in_plain_words(wrong, said, analysed):
    files = analysed.folder.parent / "topology.pdb", analysed.folder.parent / "traj.xtc"
    with pytest.raises(LmbmdError, match=said):
        lmbmd.analyze(**{"source": files, "species": EXACT_MAP, "options": QUICK} | wrong)


def test_a_folder_of_several_state_points_names_them(study):
    for folder in (study / "lifsi-dme", study):
        with pytest.raises(LmbmdError, match=r"[24] state points.*read_all.*lifsi-dme/298\.15K.*lifsi-dme/333\.15K"):
            lmbmd.read(folder)
    with pytest.raises(LmbmdError, match="no folder"):
        lmbmd.read(study / "nothing")


def test_the_signature_is_that_of_what_is_called():
    told, called = (inspect.signature(one).parameters for one in (lmbmd.analyze, foreign.analyze))
    assert list(told) == list(called)
    for name in set(told) - {"out"}:
        assert told[name] == called[name], name
    assert "Args:" in lmbmd.analyze.__doc__ and set(lmbmd.__all__) <= set(dir(lmbmd))
    for name in told:
        assert re.search(rf"^ +([\w, ]+, )?{name}(, [\w, ]+)?: ", lmbmd.analyze.__doc__, flags=re.MULTILINE), name
    with pytest.raises(AttributeError, match="analyse"):
        lmbmd.analyse  # noqa: B018


def test_a_report_is_the_page_of_the_command_wherever_it_is_written(analysed, tmp_path):
    beside = (analysed.folder / "report.html").read_text("utf-8")
    again = lmbmd.read(analysed.folder)
    pd.testing.assert_frame_equal(again.to_pandas(), analysed.to_pandas())
    assert again.title == analysed.title == "A box" and again.folder == analysed.folder
    moved = again.write_report(tmp_path / "new" / "page").read_text("utf-8")
    links = {href for href in Document(moved).values("href") if not re.match(r"#|https:|data:", href)}
    assert "figures.zip" in links
    assert [link for link in links if not (tmp_path / "new" / "page" / link).is_file()] == []
    assert 'href="contacts.arrow"' in beside and 'href="snapshots/' in beside
    bare = re.sub(r' <a href="snapshots/[^>]*>[^<]*</a>', "", beside)
    assert bare.split('id="data"')[0] == moved.split('id="data"')[0]


def test_the_page_of_a_study_is_not_replaced_by_one_that_knows_less(study, result, tmp_path):
    page = study / "lifsi-dme-tte" / "report.html"
    before = page.read_bytes() if page.is_file() else None
    with pytest.raises(LmbmdError, match=r"the page of a study's bottle is made by the study.*lmbmd report"):
        result.write_report(study / "lifsi-dme-tte")
    assert (page.read_bytes() if page.is_file() else None) == before
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(LmbmdError, match="this is a file"):
        result.write_report(tmp_path / "file")


def test_a_state_point_is_read_from_within_its_folder(study, monkeypatch):
    monkeypatch.chdir(study / "lifsi-dme-tte" / "298.15K")
    assert lmbmd.read(".").title.endswith("298.15 K")


@pytest.mark.parametrize("key", [("anion_cn", "FSI", "O"), 5, ("anion_cn",), None, ("anion_cn", None)])
def test_what_is_no_name_of_a_number_is_unknown(result, key):
    assert result.get(key) is None and key not in result
    with pytest.raises(KeyError, match="no name of a number"):
        result[key]
