"""A page is read in ten seconds, then in ten minutes: what is seen before anything is unfolded, and at every width."""

import base64
from dataclasses import replace
from urllib.parse import unquote
from xml.etree import ElementTree

import pytest
import report_inputs
from browser import examine, needs_chromium
from pages import Document, load

from lmbmd.report.figures.glance import glance
from lmbmd.report.figures.palette import colours
from lmbmd.report.pages.index import index_page
from lmbmd.report.pages.page import formulation_page
from lmbmd.report.words import narrative
from lmbmd.report.words.methods import paragraph
from lmbmd.report.words.references import references


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    study = report_inputs.write_study(tmp_path_factory.mktemp("reading"), names=("lifsi-dme-tte",))
    return load(study / "lifsi-dme-tte")


@pytest.fixture(scope="module")
def page(results, tmp_path_factory):
    return formulation_page(results).write(tmp_path_factory.mktemp("page"))


def test_the_bars_at_a_glance_are_the_numbers_of_the_tables(results):
    point = results.state_points[0]
    found = {bar.title: bar for bar in glance(point, narrative.headlines(point, results), {})}
    shell, pairs = found["First shell of Li⁺"], found["Anions: pairs and aggregates"]
    assert [part.share for part in shell.parts] == pytest.approx([x / 4.048 for x in (1.17, 2.86, 0.018)])
    assert [(part.name, part.share) for part in pairs.parts] == [("SSIP", 0.03), ("CIP", 0.12), ("AGG", 0.85)]
    sizes = point.described.tables["cluster_sizes"]
    clusters = found["Ions by the size of their cluster"]
    assert sum(part.share for part in clusters.parts) == pytest.approx(sizes.ion_fraction.sum())
    sure = found["How sure: the numbers below"]
    assert sum(part.share for part in sure.parts) == pytest.approx(1) and sure.parts[0].name == "with an error bar"
    short = report_inputs.too_short(results).state_points[0]
    told = glance(short, narrative.headlines(short, results), {})[-1]
    assert "with an error bar" not in told.alt


def test_numbers_about_the_centre_have_no_line_in_its_ink_which_a_dark_page_would_hide(results):
    centre = colours(results.roles)["Li"]
    html = formulation_page(results).html
    cards = html[html.index('<dl class="headlines">') : html.index("</dl>", html.index('<dl class="headlines">'))]
    assert "border-color" in cards and "self-diffusion of Li⁺" in cards and centre not in cards
    table = index_page([results])
    assert 'height="6"' in table and f'height="6" fill="{centre}"' not in table


def test_the_methods_are_those_of_the_records_and_cite_what_the_bibliography_has(results):
    text = paragraph(results, references(results))
    for words in ("50 Li⁺, 50 FSI⁻, 60 DME, 150 TTE", "OpenMM 8.6.0", "multiplied by 0.8", "cut off at 9 Å", "4 fs"):
        assert words in text, words
    assert "2 independent runs of 1 ns at 298.15 K and 1 bar" in text and "every 2 ps" in text and "lmbmd" in text
    cited = {key for part in text.split("[")[1:] for key in part.partition("]")[0].split("; ")}
    assert "openmm8" in cited and cited <= {one.key for one in references(results)}
    assert text.count("[") == text.count("]") and "None" not in text and "nan" not in text


def another(replica, engine, production_ns, pressure_bar=1.0):
    record = {**replica.run, "engine": {"name": engine, "version": "1"}, "production_ns": production_ns}
    return replace(replica, run=record, spec={**replica.spec, "pressure_bar": pressure_bar})


def test_the_methods_of_runs_in_gromacs_are_those_of_gromacs(results):
    point = results.state_points[0]
    runs = tuple(another(run, "GROMACS", 1.0) for run in point.replicas)
    found = replace(results, state_points=(replace(point, replicas=runs),))
    text, keys = paragraph(found, references(found)), {one.key for one in references(found)}
    assert "stochastic cell rescaling [cell-rescaling]" in text and "fixed length [lincs]" in text
    assert "Monte Carlo" not in text and not keys & {"monte-carlo-barostat", "ccma", "openmm8", "langevin-middle"}
    both = replace(results, state_points=(replace(point, replicas=(runs[0], point.replicas[1])),))
    text, keys = paragraph(both, references(both)), {one.key for one in references(both)}
    assert "stochastic cell rescaling and Monte Carlo barostat" in text and keys >= {"ccma", "lincs"}


def test_the_methods_tell_each_temperature_by_its_own_runs_and_cut_offs(results):
    point = results.state_points[0]
    warm = tuple(another(run, "OpenMM", 100.0) for run in (*point.replicas, point.replicas[0]))
    cutoffs = point.described.tables["cutoffs"]
    wider = {**point.described.tables, "cutoffs": cutoffs.assign(cutoff_A=cutoffs.cutoff_A + 0.6)}
    other = replace(point, temperature_K=333.15, replicas=warm, described=replace(point.described, tables=wider))
    text = paragraph(replace(results, state_points=(point, other)), references(results))
    assert "2 independent runs of 1 ns at 298.15 K; 3 independent runs of 100 ns at 333.15 K, all at 1 bar" in text
    first, second = (
        cutoffs.dropna(subset="cutoff_A").query("partner == 'FSI:O'").cutoff_A.iloc[0] + x for x in (0, 0.6)
    )
    assert f"FSI⁻ O {first:.2f} Å" in text.partition("at 298.15 K; Li⁺")[0]
    assert f"FSI⁻ O {second:.2f} Å" in text.rpartition("at 298.15 K; Li⁺")[2]
    faster = {**point.replicas[0].spec, "protocol": {**point.replicas[0].spec["protocol"], "timestep_fs": 2.0}}
    mixed = replace(point, replicas=(point.replicas[0], replace(point.replicas[1], spec=faster)))
    text = paragraph(replace(results, state_points=(mixed,)), references(results))
    assert "The runs differ in timestep_fs: what is said here is the first's." in text


def test_references_are_given_for_reference_managers_too(results, page):
    text = (page.parent / "references.ris").read_bytes().decode()
    entries = text.split("ER  - \r\n")[:-1]
    assert len(entries) == len(references(results))
    openmm = next(entry for entry in entries if "ID  - openmm8" in entry)
    told = "AU  - Eastman, Peter", "PY  - 2024", "SP  - 109", "EP  - 116", "DO  - 10.1021/acs.jpcb.3c06662"
    assert [line for line in told if f"{line}\r\n" not in openmm] == []
    assert "references.ris" in Document(page.read_text("utf-8")).values("href")


WORDS = """
const seen = d.body.innerText.split(/\\s+/).filter(Boolean).length;
d.querySelectorAll("details").forEach((one) => { one.open = true; });
return [seen, d.body.innerText.split(/\\s+/).filter(Boolean).length];
"""


@pytest.mark.slow
@needs_chromium
def test_fewer_than_3000_words_are_seen_before_anything_is_unfolded(page, tmp_path):
    seen, whole = examine(page, 1300, WORDS, tmp_path)
    assert seen < 3000 < whole


FITS = """
const right = f.contentWindow.innerWidth + 1, box = (e) => e.getBoundingClientRect();
d.querySelectorAll("details").forEach((one) => { one.open = true; });
const every = [...d.querySelectorAll("main *, header *")];
const seen = every.filter((e) => e.getClientRects().length && !e.closest("svg, .scroll"));
const wide = [...d.querySelectorAll(".scroll")].filter((e) => e.scrollWidth > e.clientWidth + 1);
return { out: seen.filter((e) => box(e).right > right).map((e) => e.tagName + "." + e.className),
  scrolled: wide.map((e) => e.getAttribute("aria-label")) };
"""


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("width", [400, 800, 1300])
def test_nothing_is_off_screen_and_on_a_phone_no_table_scrolls(page, tmp_path, width):
    found = examine(page, width, FITS, tmp_path)
    assert found["out"] == []
    assert width != 400 or found["scrolled"] == []


SAVE = """
const button = d.querySelector("button.save[data-as=KIND]"), saved = [];
f.contentWindow.HTMLAnchorElement.prototype.click = function () { saved.push([this.download, this.href]); };
button.click();
for (let i = 0; i < 200 && !saved.length; i++) await new Promise((done) => setTimeout(done, 20));
return [button.hidden, button.dataset.figure, ...(saved[0] || [])];
"""


@pytest.mark.slow
@needs_chromium
def test_a_figure_is_saved_as_png_by_the_page_itself(page, tmp_path):
    hidden, figure, name, address = examine(page, 1300, SAVE.replace("KIND", "png"), tmp_path)
    assert not hidden and name == f"{figure}.png"
    data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    width = int.from_bytes(data[16:20], "big")
    assert data.startswith(b"\x89PNG") and width == 660, "3.3 inches at 200 dots per inch"
    assert len(data) > 5000


@pytest.mark.slow
@needs_chromium
def test_a_figure_is_saved_as_a_standalone_svg_by_the_page_itself(page, tmp_path):
    hidden, figure, name, address = examine(page, 1300, SAVE.replace("KIND", "svg"), tmp_path)
    assert not hidden and name == f"{figure}.svg"
    root = ElementTree.fromstring(unquote(address.removeprefix("data:image/svg+xml;charset=utf-8,")))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert root.attrib["width"].endswith("pt") and 230 < float(root.attrib["width"][:-2]) < 240, "3.3 inches"
    assert "var(" not in address, "fonts are named"
