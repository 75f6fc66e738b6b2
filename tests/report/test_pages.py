"""The pages: complete, linked, escaped, deterministic, and honest about what is missing."""

import csv
import dataclasses
import json
import re
import zipfile
from urllib.parse import unquote

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import report_inputs
from pages import EVIL, Document, load

from lmbmd.analysis.features import FEATURES
from lmbmd.core.errors import LmbmdError
from lmbmd.data.described import Described
from lmbmd.report.inputs import feature_table, load_results
from lmbmd.report.pages.index import index_page, write_index
from lmbmd.report.pages.page import formulation_page, linked
from lmbmd.report.tables import findings
from lmbmd.report.words import narrative
from lmbmd.report.words.definitions import DEFINITIONS


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    return report_inputs.write_study(tmp_path_factory.mktemp("study"))


@pytest.fixture(scope="module")
def results(study):
    return load(study / "lifsi-dme-tte")


@pytest.fixture(scope="module")
def page(results):
    return formulation_page(results)


@pytest.fixture(scope="module")
def document(page):
    return Document(page.html)


@pytest.fixture(scope="module")
def index(study):
    return Document(index_page([load(study / name) for name in report_inputs.BOTTLES]))


def without_tables(results, *names, notes=True):
    """The same results with some tables (all if none is named) taken away."""
    point = results.state_points[0]
    kept = {k: v for k, v in point.described.tables.items() if names and k not in names}
    described = report_inputs.retold(point.described, kept, results.roles)
    described = dataclasses.replace(described, notes=point.described.notes if notes else ())
    return dataclasses.replace(results, state_points=(dataclasses.replace(point, described=described),))


def test_a_page_has_every_section_and_says_what_it_is(document):
    ids = document.values("id")
    for key in ("summary", "composition", "shell", "pairs", "meso", "dynamics", "motion", "convergence"):
        assert key in ids
    assert {"298.15K-summary", "method", "definitions", "data", "not-computed"} <= set(ids)
    for words in ("298.15 K", "sage-clp-2.1.0", "× 0.8", "1 ns", "50 Li⁺, 50 FSI⁻, 60 DME, 150 TTE"):
        assert words in document.text
    for words in ("Interphase (SEI, CEI)", "Redox stability", "Desolvation and plating"):
        assert words in document.text


def test_the_html_is_well_formed_and_ids_are_unique(document):
    assert document.open == []
    ids = document.values("id")
    assert len(ids) == len(set(ids))


def test_every_link_inside_the_page_has_a_target(document, index):
    for one in (document, index):
        ids = set(one.values("id"))
        inner = [href[1:] for href in one.values("href") if href.startswith("#")]
        inner += [href[1:] for href in one.values("xlink:href") if not href.startswith("data:image/png")]
        inner += re.findall(r"url\(#([^)]+)\)", " ".join(one.values("clip-path") + one.values("style")))
        assert len(inner) > 20
        assert [href for href in inner if href not in ids] == []
        assert set(" ".join(one.values("aria-labelledby")).split()) <= ids


def test_a_page_loads_nothing_from_anywhere(document, index):
    for one in (document, index):
        assert not [tag for tag, _ in one.tags if tag in ("iframe", "object", "embed", "form", "base")]
        assert one.values("src") == []
        assert not [value for value in one.values("style") if "url(" in value and "url(#" not in value]
        links = [attributes["href"] for tag, attributes in one.tags if tag == "link"]
        assert links == ["data:,"]
        policy = next(a["content"] for tag, a in one.tags if a.get("http-equiv") == "Content-Security-Policy")
        assert policy.startswith("default-src 'none'")
        outer = [href for href in one.values("href") if ":" in href and not href.startswith(("data:", "#"))]
        assert all(href.startswith("https://doi.org/10.") for href in outer)


def test_every_number_in_a_table_has_a_unit_and_a_definition(document):
    checked = 0
    for head, *rows in document.tables:
        names = [cell["text"] for cell in head]
        if any(name in names for name in ("what", "how", "rule", "run")):
            continue  # records, the descriptor list (tested below), convergence rules, runs
        for row in rows:
            numbers = [cell for cell in row if cell["tag"] == "td" and "num" in cell["class"].split()]
            if not any(re.search(r"\d", cell["text"]) for cell in numbers):
                continue
            headed = [names[i].endswith(")") for i, cell in enumerate(row) if cell in numbers]
            assert all(headed) if "unit" not in names else row[names.index("unit")]["text"].strip(), names
            assert any(href.startswith("#def-") for cell in row for href in cell["hrefs"]), [c["text"] for c in row]
            checked += 1
    assert checked > 30


def test_every_descriptor_is_listed_with_its_unit_definition_and_reason(document, results):
    table = next(t for t in document.tables if [c["text"] for c in t[0]][-1] == "how")
    rows = results.state_points[0].described.descriptors
    assert len(table) - 1 == len(rows)
    for shown, row in zip(table[1:], rows.itertuples(), strict=True):
        assert shown[0]["hrefs"] == [f"#def-d-{row.name.replace('_', '-')}"]
        assert shown[3]["text"] and row.method in shown[5]["text"]
    rg = next(row for row in table if "cluster rg" in row[0]["text"].lower())
    assert rg[2]["text"].strip() == "–" and "no finite cluster was seen" in rg[5]["text"]


def test_tables_show_the_numbers_they_were_given(document):
    found = {tuple(c["text"].strip() for c in row) for table in document.tables for row in table}
    assert ("AGG", "0.83 ± 0.05", "0.85 ± 0.05", "0.91 ± 0.06", "1") in found
    assert ("Li⁺ – FSI⁻ O", "donor atoms", "3.43 ± 0.10", "1", "2.80 Å", "first minimum") in found
    assert ("LiFSI", "molarity", "1 mol/L", "1", "0.998", "−0.16 %", "1.490 ± 0.010", "mol/L") in found
    assert ("DME", "60", "8.05 ± 0.02") in {(row[0], row[1], row[-1]) for row in found}
    assert ("contacts per ion", "2.70 ± 0.10", "≥ 2.5", "1", "yes", "0.625") in found
    assert ("shape anisotropy", "0.46 ± 0.04", "≤ 0.4", "1", "no", "0.375") in found
    assert ("Li⁺ – FSI⁻", "first-shell contact", "intermittent", "180 ± 18", "ps", "–", "decayed") in found
    assert ("Total CN", "all replicas", "4.05 ± 0.06", "1", "34", "1000", "within replicas") in found
    assert ("Total CN", "replica 2", "≈ 4.0", "1", "6.10", "500", "within replicas") in {tuple(r) for r in found}


def test_the_summary_is_made_of_the_numbers(results):
    text = " ".join(narrative.summary(results.state_points[0], results))
    assert "2 independent runs of 1 ns at 298.15 K" in text
    assert "Li⁺ has 1.17 ± 0.05 DME and 2.86 ± 0.09 FSI⁻ in its first shell; of the diluent, 0.02 ± 0.03 TTE" in text
    assert "Of the anions, 3.0 ± 1.4 % are in contact with no Li⁺ (SSIP)" in text
    assert "Compact aggregates (CIPA): none." in text


def test_a_summary_says_nothing_about_what_is_missing(results):
    text = " ".join(narrative.summary(without_tables(results, notes=False).state_points[0], results))
    assert "density" not in text and "SSIP" not in text and "shell" not in text
    assert "nan" not in text.lower() and "–" not in text


def test_the_verdict_is_the_worst_word_with_the_checks_that_decided_it(results, document):
    verdict = narrative.verdict(results.state_points[0])
    assert (verdict.word, verdict.tone, verdict.others) == ("borderline", "warn", 1)
    assert verdict.reasons == (
        "The shortest run samples 1 ns; 5 ns are wanted.",
        "The equilibration of replica 2 ended not stationary after 400 ps: the density still changes.",
    )
    assert "The run may be too short." in document.text


def test_a_run_nobody_checked_does_not_look_like_a_pass(results):
    point = dataclasses.replace(without_tables(results, notes=False).state_points[0], replicas=())
    verdict = narrative.verdict(point)
    assert verdict.tone == "warn" and "do not rely on its numbers" in verdict.heading


def test_a_page_without_any_table_still_opens_and_says_so(results):
    bare = dataclasses.replace(without_tables(results, notes=False), composition={}, force_field={})
    (point,) = bare.state_points
    described = Described(point.described.descriptors)
    point = dataclasses.replace(point, described=described, replicas=(), files=(), snapshots=())
    bare = dataclasses.replace(bare, state_points=(point,))
    page = formulation_page(bare)
    text = Document(page.html).text
    assert page.drawings == ()
    assert text.count("The describe stage wrote nothing for this section.") == 5
    assert 'id="chains"' not in page.html, "a liquid without chains has no chapter on them"
    assert "not recorded" in text and "No record of the runs or of the force field was found." in text


FEW = ("rdf", "cutoffs", "cn", "speciation", "composition", "cipa")


def few_tables(results, *missing):
    """Some tables, the RDF of one pair among them, and no log: a page that is drawn quickly."""
    point = results.state_points[0]
    tables = {name: point.described.tables[name] for name in FEW if name not in missing}
    if "rdf" in tables:
        tables["rdf"] = tables["rdf"][tables["rdf"].partner == "FSI:O"]
    described = dataclasses.replace(point.described, tables=tables)
    point = dataclasses.replace(point, replicas=(), snapshots=(), described=described)
    return dataclasses.replace(results, state_points=(point,))


@pytest.mark.parametrize("name", FEW)
def test_one_missing_table_costs_only_its_own_figures(results, name):
    page = formulation_page(few_tables(results, name))
    drawn = {"rdf": "298.15K-rdf-Li-FSI-O", "speciation": "298.15K-speciation", "cipa": "298.15K-criteria"}
    assert {d.name for d in page.drawings} == {figure for table, figure in drawn.items() if table != name}
    assert Document(page.html).open == []


def test_a_table_without_a_column_is_named_with_its_place(tmp_path):
    folder = report_inputs.write_study(tmp_path, names=("lifsi-dme",)) / "lifsi-dme"
    table = folder / "298.15K/tables/cn.csv"
    pd.read_csv(table).drop(columns="error").to_csv(table, index=False, quoting=csv.QUOTE_NONNUMERIC)
    with pytest.raises(LmbmdError, match="the file has changed") as raised:
        load_results(folder)
    assert raised.value.where == str(table) and raised.value.remedy == "Run the describe stage again."


@pytest.mark.slow
def test_texts_from_users_are_shown_as_text(tmp_path):
    bottle = report_inputs.BOTTLES["lifsi-dme"]
    folder = tmp_path / "evil"
    report_inputs.write_formulation(folder, bottle)
    words = {"title": EVIL, "source": EVIL, "notes": EVIL, "assumptions": [EVIL]}
    results = load_results(folder, {"title": EVIL, "species": {"Li": {"sources": [EVIL]}}}, words)
    point = results.state_points[0]
    tables = {
        name: table.replace({"DME": EVIL, "DME:O_ether": f"{EVIL}:O"}).rename(columns={"n_DME": f"n_{EVIL}"})
        for name, table in point.described.tables.items()
    }
    notes = tuple({**note, "text": EVIL} for note in point.described.notes)
    rows = point.described.descriptors.assign(method=EVIL, name=EVIL, species=EVIL)
    described = Described(rows, tables, notes, {EVIL: EVIL, "options": {EVIL: {EVIL: EVIL}}})
    snapshots = [{**s, "species": [[EVIL, n] for _, n in s["species"]], "replica": EVIL} for s in point.snapshots]
    point = dataclasses.replace(point, described=described, files=(f"{EVIL}.csv",), snapshots=tuple(snapshots))
    results = dataclasses.replace(results, state_points=(point,))
    report_inputs.write_formulation(tmp_path / "other", report_inputs.BOTTLES["lifsi-dme-tte"])
    both = [results, load_results(tmp_path / "other", {"title": EVIL}, words)]
    for text, scripts in ((formulation_page(results).html, 4), (index_page([results]), 0), (index_page(both), 2)):
        assert "<script>alert" not in text
        document = Document(text)
        assert EVIL in document.text and document.open == []
        # The index of several: its data and its script. A report: saving pictures, and the scenes' data, library and
        # viewer.
        assert [tag for tag, _ in document.tags].count("script") == scripts
    page = formulation_page(results)
    assert all(re.fullmatch(r"[A-Za-z0-9.-]+", drawing.name) for drawing in page.drawings)
    assert all("<script" not in drawing.svg for drawing in page.drawings)


def test_only_dois_and_https_become_links():
    text = str(linked("see doi:10.1021/jp9120468). Or javascript:alert(1) <b> https://example.org/a?b=1&c=2, end"))
    assert '<a href="https://doi.org/10.1021/jp9120468">doi:10.1021/jp9120468</a>)' in text
    assert "javascript:alert(1) &lt;b&gt;" in text and 'href="javascript' not in text
    assert '<a href="https://example.org/a?b=1&amp;c=2">' in text


def test_the_same_inputs_give_the_same_bytes(results):
    one, two = formulation_page(few_tables(results)), formulation_page(few_tables(results))
    assert one.html == two.html
    assert [d.svg for d in one.drawings] == [d.svg for d in two.drawings]


def test_figures_have_words_for_those_who_do_not_see_them(page):
    assert len(page.drawings) > 25
    for drawing in page.drawings:
        inline = drawing.inline()
        assert 'role="img"' in inline and f'<title id="{drawing.name}-title">' in inline
        assert len(drawing.alt) > 30 and "nan" not in drawing.alt.lower()
    rdf = next(d for d in page.drawings if d.name == "298.15K-rdf-Li-FSI-O")
    assert "cut-off 2.80 Å (first minimum)" in rdf.alt
    assert ">r (Å)<" in rdf.svg and ">g(r)<" in rdf.svg and ">running CN<" in rdf.svg


def test_the_text_of_a_figure_has_the_font_of_the_page_around_it(page):
    for drawing in page.drawings:
        texts = re.findall(r"<text [^>]*>", drawing.inline())
        assert all("font-family: var(--figure-font)" in text for text in texts), drawing.name
    assert texts


def test_what_a_figure_refers_to_is_in_it_under_a_name_of_its_own(page):
    for drawing in page.drawings:
        inline = drawing.inline()
        named = re.findall(r' id="([^"]+)"', inline)
        used = re.findall(r'(?:url\(|href=")#([^)"]+)', inline)
        assert len(set(named)) == len(named) and set(used) <= set(named), drawing.name
        assert all(name.startswith(f"{drawing.name}-") for name in named), drawing.name


def test_a_species_has_one_colour_on_every_figure(page):
    colour = {d.name: d.svg for d in page.drawings}
    for name in ("rdf-Li-DME-O-ether", "cn-DME", "shells", "residence-continuous"):
        assert "#1672c8" in colour[f"298.15K-{name}"], name
    assert "#c2410c" in colour["298.15K-centres-per-anion-FSI"]


def test_speciation_bars_stack_to_one_and_draw_agg_once(page):
    svg = next(d.svg for d in page.drawings if d.name == "298.15K-speciation")
    shown = [float(share) for share in re.findall(r">([\d.]+) ± [\d.]+ %<", svg)]
    # By anion AGG (85 %) is drawn as its parts; parts below 6 % carry no label.
    assert sorted(shown) == sorted([14.0, 83, 12.0, 53, 32, 6.0, 91])


def test_a_page_stays_small_and_its_data_come_along(study, results, page, tmp_path):
    assert len(page.html.encode()) < 2_000_000
    two = dataclasses.replace(page, drawings=page.drawings[:2])
    assert two.write(tmp_path) == tmp_path / "report.html"
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "figures.zip",
        "references.bib",
        "references.ris",
        "report.html",
    ]
    saved = (tmp_path / "figures.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "figures.zip") as whole:
        assert len(whole.namelist()) == 4
        for drawing in two.drawings:
            assert whole.read(f"{drawing.name}.svg").decode() == drawing.svg
            data = pd.read_csv(whole.open(f"{drawing.name}.csv"))
            drawn = drawing.data.reset_index(drop=True).replace("", np.nan)  # a CSV file cannot tell these apart
            pd.testing.assert_frame_equal(data, drawn, check_dtype=False)
    two.write(tmp_path)
    assert (tmp_path / "figures.zip").read_bytes() == saved


def test_each_figure_carries_its_data(page, document):
    links = [href for href in document.values("href") if href.startswith("data:text/csv")]
    assert len(links) == len(page.drawings) > 30
    for href, drawing in zip(links, page.drawings, strict=True):
        assert unquote(href.partition(",")[2]) == drawing.data.to_csv(index=False)


def test_links_to_data_point_at_files_that_exist(study, document):
    folder = study / "lifsi-dme-tte"
    beside = ("figures.zip", "references.bib", "references.ris")  # written with the page
    files = [h for h in document.values("href") if not h.startswith(("#", "http", "data:", "../", *beside))]
    assert len(files) > 10
    assert [name for name in files if not (folder / name).is_file()] == []


def test_temperatures_share_a_page_and_keep_their_anchors_apart(tmp_path):
    study = report_inputs.write_study(tmp_path, (1000.0, 298.15), ("lifsi-dme",))
    results = load(study / "lifsi-dme")
    assert [p.label for p in results.state_points] == ["298.15K", "1000K"]  # by number, not by spelling
    small = ("speciation", "composition", "cn")
    points = tuple(
        dataclasses.replace(
            p, replicas=(), described=dataclasses.replace(p.described, tables={k: p.described.tables[k] for k in small})
        )
        for p in results.state_points
    )
    document = Document(formulation_page(dataclasses.replace(results, state_points=points)).html)
    ids = document.values("id")
    assert {"298.15K-summary", "1000K-summary", "298.15K-table-speciation", "1000K-table-speciation"} <= set(ids)
    assert len(ids) == len(set(ids)) and ids.count("pairs") == 1
    places = [ids.index(f"{T}K-speciation") for T in ("298.15", "1000")]
    assert places[1] < places[0] + 20, "the same figure of two temperatures stands side by side"
    assert "298.15 K, 1000 K" in document.text
    head, *rows = next(t for t in document.tables if t[0][0]["text"] == "quantity")
    assert [cell["text"] for cell in head] == ["quantity", "298.15 K", "1000 K", "unit"]
    cn = next(row for row in rows if row[0]["text"] == "FSI⁻ per Li⁺")
    assert [cell["text"].strip() for cell in cn[1:3]] == ["1.15 ± 0.05", "1.15 ± 0.05"]


def test_the_index_lists_every_state_point_with_errors_and_units(index):
    rows = index.tables[0][1:]
    assert [row[0]["hrefs"] for row in rows] == [["lifsi-dme/report.html"], ["lifsi-dme-tte/report.html"]]
    text = [" ".join(c["text"].split()) for c in rows[1]]
    assert text[1:3] == ["298.15", "borderline"]
    unsettled = "(equilibration not stationary)"
    assert f"Density 1.462 ± 0.004 g/cm³ {unsettled} LiFSI 1.490 ± 0.010 mol/L" == text[3]
    assert text[4] == "DME 1.17 ± 0.05 FSI⁻ 2.86 ± 0.09 TTE 0.02 ± 0.03"
    assert text[5] == "SSIP 3.0 ± 1.4 % CIP 12.0 ± 1.8 % AGG 85 ± 5 %"
    assert text[-1] == "none"
    assert "2 formulations, 2 state points" in index.text


def test_bars_of_one_column_share_their_scale(study):
    text = index_page([load(study / name) for name in report_inputs.BOTTLES])
    # FSI: 1.15 and 2.86 in units of the largest (2.86 + its error 0.0872) × 100.
    widths = [float(w) for w in re.findall(r'width="([\d.]+)" height="6" fill="#c2410c"', text)]
    assert widths == pytest.approx([100 * 1.15 / 2.9472, 100 * 2.86 / 2.9472], abs=0.06)


def test_features_have_a_fixed_schema_and_lose_nothing(study, tmp_path):
    results = [load(study / name) for name in report_inputs.BOTTLES]
    write_index(tmp_path, results)
    table = pq.read_table(tmp_path / "features.parquet")
    assert table.schema.equals(FEATURES)
    assert FEATURES.names == [
        "formulation",
        "temperature_K",
        "name",
        "species",
        "value",
        "error",
        "unit",
        "n_effective",
        "degrees_of_freedom",
        "method",
        "definition",
        "doubt",
        "doubt_kind",
        "doubt_n",
        "box_limited",
        "verdict",
        "replicas",
        "force_field",
        "ion_charge_scale",
        "recipe_sha256",
        "recipe",
    ]
    frame = pd.read_csv(tmp_path / "features.csv", keep_default_na=False, na_values={"value": "", "error": ""})
    assert list(frame.columns) == FEATURES.names
    # One more of each: the edge of the box.
    assert len(frame) == sum(len(r.counts) + 1 + len(r.state_points[0].described.descriptors) for r in results)
    one = frame[(frame.formulation == "lifsi-dme-tte") & (frame.name == "anion_cn")].iloc[0]
    assert (one.species, one.value, one.unit, one.replicas) == ("FSI", 2.86, "1", 2)
    counts = frame[(frame.formulation == "lifsi-dme") & (frame.name == "count")]
    assert dict(zip(counts.species, counts.value, strict=True)) == {"Li": 40, "FSI": 40, "DME": 350}
    assert FEATURES.empty_table().to_pandas().columns.equals(feature_table([]).columns)


def test_an_index_of_nothing_is_refused(tmp_path):
    with pytest.raises(LmbmdError, match="there is no formulation to list"):
        write_index(tmp_path, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("composition.json", None, "composition.json: this file is missing. Run `snakemake`"),
        ("composition.json", "{", "this is no composition"),
        ("298.15K/described.json", None, "no state point of this formulation has been described yet"),
        ("298.15K/described.json", "[]", "this is no description of a state point"),
        ("298.15K/descriptors.parquet", "x", "descriptors.parquet: the file has changed, or was damaged"),
        ("298.15K/r1/state.csv", "time_ps\n1\n", "this state log lacks density_g_cm3, potential_kJ_mol, temperature_K"),
        ("298.15K/r1/state.csv", "a,b\n1,oops\n", "this is no state log"),
        ("298.15K/r1/run.json", "nonsense", "this is no record of a finished run"),
    ],
)
def test_broken_results_are_refused_by_name(tmp_path, file, content, message):
    folder = tmp_path / "lifsi-dme"
    report_inputs.write_formulation(folder, report_inputs.BOTTLES["lifsi-dme"])
    if content is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(content, encoding="utf-8")
    with pytest.raises(LmbmdError) as raised:
        load_results(folder)
    assert message in str(raised.value)


def test_missing_logs_and_records_are_tolerated(tmp_path):
    folder = tmp_path / "lifsi-dme"
    report_inputs.write_formulation(folder, report_inputs.BOTTLES["lifsi-dme"])
    for name in ("state.csv", "equilibration.csv", "run.json", "spec.json"):
        (folder / "298.15K" / "r1" / name).unlink()
    first, second = load_results(folder).state_points[0].replicas
    assert first.state is None and first.production_ps is None
    assert second.production_ps == 1000.0 and len(second.state) == 1200


def test_definitions_are_complete_sentences_with_valid_dois():
    for entry in DEFINITIONS.values():
        assert entry.text.endswith(".") and entry.title
        assert entry.doi == "" or re.fullmatch(r"10\.\d{4,9}/\S+", entry.doi)


def test_records_are_shown_with_versions_seeds_and_hashes(document):
    assert "1234568" in document.text and "8.6.0" in document.text and "3f9a" * 16 in document.text
    assert "Parameters of FSI doi:10.1021/jp9120468" in document.text
    assert "Parameters of EC" not in document.text  # not in this bottle


def test_percolating_clusters_are_drawn_apart(results):
    from lmbmd.report.figures import clusters

    (drawing,) = clusters.cluster_sizes(results.state_points[0])
    assert ">percolating<" in drawing.svg and ">finite<" in drawing.svg
    table = results.state_points[0].described.tables["cluster_sizes"].assign(percolating=False)
    tables = {"cluster_sizes": table}
    point = dataclasses.replace(results.state_points[0], described=Described(pd.DataFrame(), tables))
    assert ">percolating<" not in clusters.cluster_sizes(point)[0].svg


def test_an_unknown_error_draws_no_bar_and_prints_a_question_mark(results):
    point = results.state_points[0]
    table = point.described.tables["speciation"].assign(error=np.nan)
    described = dataclasses.replace(point.described, tables={"speciation": table})
    page = formulation_page(
        dataclasses.replace(results, state_points=(dataclasses.replace(point, described=described, replicas=()),))
    )
    assert "0.850 ± ?" in page.html and not re.search(r"\bnan\b", Document(page.html).text)


def doubtful(results):
    """Errors from few samples (CN of FSI), no error at all (AGG by anion), and no end of an equilibration."""
    point = results.state_points[0]
    tables = dict(point.described.tables)
    few = "error not reliable (6.8 independent samples)"
    tables["cn"] = tables["cn"].assign(doubt=[few, *[""] * (len(tables["cn"]) - 1)])
    classes = tables["speciation"].assign(doubt="")
    agg = (classes.convention == "anion") & (classes.cls == "AGG")
    classes.loc[agg, ["error", "doubt"]] = np.nan, "never changed"
    tables["speciation"] = classes
    states = tables["solvent_states"]
    tables["solvent_states"] = states.assign(free_doubt="error not reliable (2.1 independent samples)")
    largest = point.described.descriptors.name == "largest_cluster_fraction"
    rows = point.described.descriptors.copy()
    rows.loc[largest, ["doubt", "doubt_kind", "doubt_n"]] = few, "few_samples", 6.8
    kept = {name: report_inputs.doubted(tables[name]) for name in ("cn", "speciation", "solvent_states", "composition")}
    described = report_inputs.retold(dataclasses.replace(point.described, descriptors=rows), kept, results.roles)
    return dataclasses.replace(
        results, state_points=(dataclasses.replace(point, described=described, replicas=point.replicas[:1]),)
    )


def test_a_number_with_an_unreliable_error_does_not_look_precise(results):
    document = Document(formulation_page(doubtful(results)).html)
    found = {tuple(c["text"].strip() for c in row) for table in document.tables for row in table}
    assert ("Li⁺ – FSI⁻", "molecules", "≈ 2.9") in {row[:3] for row in found}
    assert ("AGG", "0.83 ± 0.05", "0.850never changed", "0.91 ± 0.06", "1") in found
    assert "AGG by anion 85 % never changed" in document.text
    assert "error not reliable (6.8 independent samples)" in document.values("title")
    assert "≈: error not reliable: 2.1 to 6.8 independent samples, and 10 are needed." in document.text
    assert "≈: error not reliable: 6.8 independent samples, and 10 are needed." in document.text
    assert "On average Li⁺ has 1.17 ± 0.05 DME and ≈ 2.9 FSI⁻ in its first shell" in document.text
    assert "± 0 " not in document.text and "85 % (never changed) with two or more (AGG)" in document.text


def test_the_index_marks_unreliable_numbers_too(results):
    row = [" ".join(c["text"].split()) for c in Document(index_page([doubtful(results)])).tables[0][1]]
    assert "FSI⁻ ≈ 2.9" in row[4] and "AGG 85 % (never changed)" in row[5]
    assert "not stationary" not in row[3]  # the one run that is left was
    # The notes of this box say that the longest cluster is longer than half of it.
    assert row[7] == "mean 9.4 ± 1.2 ions (limited by the box) largest ≈ 21 % (limited by the box)"


def test_clusters_are_limited_by_the_box_only_where_the_notes_say_so(results):
    free = without_tables(results, notes=False)
    text = " ".join(narrative.summary(free.state_points[0], free))
    assert "An ion sits in a cluster of 9.4 ± 1.2 ions on average." in text
    text = " ".join(narrative.summary(results.state_points[0], results))
    assert "An ion sits in a cluster of 9.4 ± 1.2 ions (limited by the box) on average." in text


def test_times_between_losses_stand_with_the_residence_times(results):
    point = results.state_points[0]
    rows = [
        ("Li", "FSI", 210.0, 20.0, "seen"),
        ("Li", "DME", np.nan, np.nan, "none was seen: longer than 70 ps at 95 %"),
    ]
    table = pd.DataFrame(rows, columns=["centre", "partner", "tau_ps", "error", "outcome"])
    point = dataclasses.replace(point, described=Described(point.described.descriptors, {"exchange": table}))
    (shown,) = [findings.residence(point)]
    found = [tuple(cell.text for cell in row) for row in shown.rows]
    assert found[0] == ("Li⁺ – FSI⁻", "first-shell contact", "time between losses", "210 ± 20", "ps", "–", "seen")
    assert found[1][3] == "–" and found[1][6].startswith("none was seen: longer than 70 ps")


def test_run_records_of_any_shape_are_shown(study, tmp_path):
    folder = tmp_path / "lifsi-dme"
    report_inputs.write_formulation(folder, report_inputs.BOTTLES["lifsi-dme"])
    record = {"sessions": [{"host": "a"}, {"host": "b"}], "wall_s": {"produce": 1.5}, "recoveries": [], "x": None}
    (folder / "298.15K" / "r1" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    point = load(folder).state_points[0]
    bare = dataclasses.replace(point, described=Described(point.described.descriptors), replicas=point.replicas[:1])
    text = Document(formulation_page(dataclasses.replace(load(folder), state_points=(bare,))).html).text
    assert "sessions 1 host a" in text and "wall s produce 1.5" in text
