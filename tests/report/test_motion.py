"""How it moves: the chapter of a state point, the laws over temperatures, what is said where nothing is known."""

import dataclasses
import math

import pandas as pd
import pytest
import report_inputs
from pages import Document, load

from lmbmd.analysis.features import features, followed
from lmbmd.data.described import DESCRIPTOR_COLUMNS, Described
from lmbmd.numbers.doubt import Doubt, Kind
from lmbmd.report.figures.drawing import styled
from lmbmd.report.figures.motion import arrhenius
from lmbmd.report.inputs import feature_table
from lmbmd.report.pages.index import index_page
from lmbmd.report.pages.page import formulation_page
from lmbmd.report.tables.motion import laws, runs
from lmbmd.report.words import narrative
from lmbmd.report.words.references import bibliography

TABLES = ("msd", "running_integrals", "onsager", "conductivity_by_class", "motion_runs")


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    study = report_inputs.write_study(tmp_path_factory.mktemp("one"), names=("lifsi-dme",))
    return load(study / "lifsi-dme")


@pytest.fixture(scope="module")
def page(results):
    return formulation_page(results)


def test_runs_at_constant_energy_show_their_temperature_and_how_well_energy_was_kept(results):
    point = results.state_points[0]
    told = point.table("motion_runs")
    held = runs(point)
    assert "energy drift" not in " ".join(held.columns)
    free = told.assign(ensemble="NVE", thermostat="", energy_drift_kJ_mol_ns_per_atom=0.002)
    free.temperature_K += [4.0 if i % 2 else -2.0 for i in range(len(free))]
    tables = {**point.described.tables, "motion_runs": free}
    table = runs(dataclasses.replace(point, described=dataclasses.replace(point.described, tables=tables)))
    (row,) = table.rows
    assert table.columns[-1] == "energy drift (J/mol/ns per atom)" and row[-1].text == "2"
    assert row[-2].text == f"{point.temperature_K + 1:g}" and "kinetic temperature" in table.caption


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    study = report_inputs.write_study(tmp_path_factory.mktemp("three"), (280.0, 298.15, 320.0), ("lifsi-dme",))
    return load(study / "lifsi-dme")


def altered(results, tables=None, rows=None, notes=None):
    """The same results with other tables, descriptors or notes at every temperature."""
    points = []
    for point in results.state_points:
        told = point.described
        told = dataclasses.replace(
            told,
            tables=told.tables if tables is None else tables(dict(told.tables)),
            descriptors=told.descriptors if rows is None else rows(told.descriptors),
            notes=told.notes if notes is None else notes,
        )
        points.append(dataclasses.replace(point, described=told))
    return dataclasses.replace(results, state_points=tuple(points))


def still(results):
    """As results that were described before there was any motion in them."""
    names = {row[0] for row in report_inputs.motion_rows(report_inputs.BOTTLES["lifsi-dme"], 298.15)}
    return altered(
        results,
        lambda tables: {name: table for name, table in tables.items() if name not in TABLES},
        lambda rows: rows[~rows.name.isin(names)],
        tuple(note for note in results.state_points[0].described.notes if note["topic"] != "motion"),
    )


def rows_of(document, *head):
    """The rows of the table with these headings, as text."""
    (table,) = (t for t in document.tables if [c["text"] for c in t[0]][: len(head)] == list(head))
    return [tuple(cell["text"].strip() for cell in row) for row in table[1:]]


def assert_linked(document):
    ids = set(document.values("id"))
    assert [h for h in document.values("href") if h.startswith("#") and h[1:] not in ids] == []
    assert len(document.values("id")) == len(ids) and document.open == []


def test_every_number_of_motion_stands_with_its_error_and_its_verdict(page):
    document = Document(page.html)
    rows = rows_of(document, "quantity", "of", "value ± error", "unit", "n", "long enough?")
    assert ("Self-diffusion", "Li⁺", "(2.00 ± 0.08) × 10⁻¹⁰", "m²/s", "30", "yes") in rows
    assert ("Diffusion by state", "Li⁺ SSIP", "(2.60 ± 0.10) × 10⁻¹⁰", "m²/s", "30", "yes") in rows
    assert ("Transference (solvent-fixed)", "Li⁺", "0.410 ± 0.016", "1", "30", "yes") in rows
    assert ("Ionicity", "", "≈ 0.63", "1", "6.10", "error not reliable (6.1 independent samples)") in rows
    assert ("Viscosity", "", "–", "mPa\u00a0s", "0", "not decayed: the run is too short to see any time pass") in rows
    assert [row[0] for row in rows].index("Conductivity") < [row[0] for row in rows].index("Ionicity")
    assert_linked(document)


def test_the_chapter_says_what_it_was_read_from_and_draws_it(page):
    text = Document(page.html).text
    said = "Read from 8 runs of 800 ps at constant temperature and volume (Nosé–Hoover thermostat)."
    assert said in text and "Viscosity: the run is made up." in text
    assert "the motion from further runs at constant temperature and volume, at the mean density" in text
    drawn = {drawing.name.removeprefix("298.15K-"): drawing for drawing in page.drawings}
    assert {"msd", "integral-viscosity", "integral-conductivity", "onsager-barycentric"} <= set(drawn)
    assert {"onsager-solvent", "conductivity-classes"} <= set(drawn)
    assert not [name for name in drawn if name.startswith("temperatures")]
    assert "Its value is 0.95 ± 0.04" in drawn["integral-conductivity"].alt
    assert drawn["integral-viscosity"].caption == "No value: see the table."
    assert "Li⁺ – FSI⁻: −0.050 ± 0.012" in drawn["onsager-barycentric"].alt
    assert "mathdefault" not in page.html  # a tick of a logarithmic axis in TeX


def test_a_bound_on_a_tiny_number_is_told_with_a_power_of_ten():
    told = str(Doubt(Kind.TOO_SHORT_BELOW, n=6.3e-8, at=6.1))
    assert told == "too short: below 6.3 × 10⁻⁸ at 95 %; about 6.1 times as long is needed"
    both = Doubt(Kind.SEVERAL, because=(Doubt(Kind.TOO_SHORT), Doubt(Kind.TOO_SHORT)))
    assert str(both) == "the run is too short to tell", "the same reason is told once"
    assert str(Doubt(Kind.TOO_SHORT_ABOVE, n=0.25, at=2.0)).startswith("too short: above 0.25 at 95 %")


def test_onsager_coefficients_stand_with_their_parts(page):
    rows = rows_of(Document(page.html), "pair", "frame")
    assert ("Li⁺ – Li⁺", "barycentric", "0.45 ± 0.03", "0.70 ± 0.04", "−0.25 ± 0.02", "S/m") in rows
    assert ("Li⁺ – FSI⁻", "barycentric", "−0.050 ± 0.012", "–", "−0.050 ± 0.012", "S/m") in rows


def test_the_summary_tells_the_motion_and_what_is_not_known_of_it(results):
    text = " ".join(narrative.summary(results.state_points[0], results))
    assert "The conductivity is 0.95 ± 0.04 S/m, the solvent-fixed transference number of Li⁺ 0.410 ± 0.016" in text
    assert "and the self-diffusion of Li⁺ (2.00 ± 0.08) × 10⁻¹⁰ m²/s; the run gives no value of the viscosity." in text


@pytest.mark.slow
def test_results_without_motion_have_an_empty_chapter_and_no_word_of_it_elsewhere(results):
    old = still(results)
    page = formulation_page(old)
    document = Document(page.html)
    assert_linked(document)
    assert "How it moves" in document.text and "The describe stage wrote nothing for this section." in document.text
    assert "onductivity" not in " ".join(narrative.summary(old.state_points[0], old))
    assert "further runs" not in document.text and "10.1021/acs.jctc.3c00308" not in page.bibliography
    assert_linked(Document(index_page([old])))
    assert "how it moves" not in Document(index_page([old])).text


@pytest.mark.slow
def test_a_run_too_short_for_everything_gives_reasons_instead_of_numbers(results):
    names = {row[0] for row in report_inputs.motion_rows(report_inputs.BOTTLES["lifsi-dme"], 298.15)}

    def unknown(rows):
        mine = rows.name.isin(names)
        bound = {"value": math.nan, "error": math.nan, "degrees_of_freedom": math.nan, "doubt": "too short: below 3"}
        return rows.assign(**{k: rows[k].where(~mine, v) for k, v in {**bound, "doubt_kind": "run_too_short"}.items()})

    def empty(tables):
        gone = {"value_S_m", "share", "value", "error", "exponent", "exponent_error"}
        return {
            name: table.assign(**dict.fromkeys(gone & set(table.columns), math.nan)) if name in TABLES else table
            for name, table in tables.items()
        }

    short = altered(results, empty, unknown)
    document = Document(formulation_page(short).html)
    assert_linked(document)
    rows = rows_of(document, "quantity", "of", "value ± error", "unit", "n", "long enough?")
    assert {row[2] for row in rows} == {"–"} and {row[5] for row in rows} == {"too short: below 3"}
    text = " ".join(narrative.summary(short.state_points[0], short))
    assert "The run gives no value of the conductivity, the solvent-fixed transference number of Li⁺" in text
    assert_linked(Document(index_page([short])))


@pytest.mark.slow
def test_a_bottle_at_several_temperatures_has_its_laws_on_its_page_and_in_the_comparison(warm):
    page = formulation_page(warm)
    document = Document(page.html)
    assert_linked(document)
    rows = rows_of(document, "quantity", "E (kJ/mol)")
    energy = feature_table([warm]).query("name == 'activation_energy_kJ_mol' and species == 'Li:diffusion'").iloc[0]
    assert energy.value == pytest.approx(15.0, rel=1e-3)
    (row,) = (row for row in rows if row[0] == "Li⁺ diffusion")
    assert row[1:5] == ("15.0 ± 1.1", "–", "–", "280, 298.15, 320")
    assert row[5] == "VTF: 3 temperatures with a value to rely on, 5 are needed"
    (row,) = (row for row in rows if row[0] == "viscosity")
    assert row[1:] == ("–", "–", "–", "–", "0 temperatures with a value to rely on, 3 are needed")
    names = {d.name for d in page.drawings if d.name.startswith("temperatures")}
    assert names == {"temperatures-diffusion", "temperatures-diffusion-unbounded", "temperatures-conductivity"}
    drawn = next(d for d in page.drawings if d.name == "temperatures-conductivity")
    assert "E 15.0 ± 1.1 kJ/mol" in drawn.alt and len(drawn.data) == 3
    index = Document(index_page([warm]))
    assert_linked(index)
    rows = {row[:3] for row in rows_of(index, "formulation", "quantity")}
    assert ("1 M LiFSI in DME", "conductivity", "15.0 ± 1.1") in rows


def conductivities(*temperatures, doubted=()):
    """A feature table of one bottle whose conductivity bends over its temperatures."""
    rows = []
    for T in temperatures:
        value = 30.0 * math.exp(-600.0 / (T - 170.0))
        words = ("words", "few_samples", 3.0, math.nan) if T in doubted else ("", "", math.nan, math.nan)
        row = ("conductivity_S_m", "", value, 0.01 * value, "S/m", 30.0, 25.0, "m", "d", *words)
        rows.append(("a", T, {}, Described(pd.DataFrame([row], columns=list(DESCRIPTOR_COLUMNS)))))
    return features(rows)


def test_points_that_bend_have_vtf_parameters_and_those_in_doubt_are_told_and_drawn_open():
    (one,) = found = followed(conductivities(260.0, 280.0, 300.0, 320.0, 340.0, 360.0))
    (row,) = laws([("a", one)]).rows
    assert [cell.text for cell in row[2:4]] == ["600 ± 20", "170 ± 2"]
    assert "further from the law than their errors allow" in row[5].text and row[1].text.startswith("≈ ")
    (one,) = followed(conductivities(260.0, 280.0, 300.0, 320.0, 340.0, doubted=(340.0,)))
    (row,) = laws([("a", one)]).rows
    assert row[4].text == "260, 280, 300, 320" and "VTF: 4 temperatures" in row[5].text
    with styled():
        (full,), (open_,) = arrhenius(found, {}), arrhenius([one], {})
    drawn = ([line for line in d.figure.axes[0].lines if len(line.get_xdata())] for d in (full, open_))
    faces = [{line.get_markerfacecolor() for line in lines} for lines in drawn]
    assert "white" not in faces[0] and "white" in faces[1]


def test_methods_of_motion_are_cited_where_they_were_used(results):
    cited = bibliography(results)
    for doi in ("10.1021/acs.jctc.3c00308", "10.1063/1.447334", "10.1103/PhysRevA.31.1695", "10.1021/jp0477147"):
        assert doi in cited
    assert "10.1038/s41567-019-0562-0" in cited and "10.1002/aic.17091" in cited
    assert "10.1063/1.466970" not in cited, "there is no viscosity"
    assert "10.1016/j.softx.2015.06.001" not in cited and "10.1021/acs.jpcb.3c06662" in cited
    replicas = tuple(
        dataclasses.replace(r, run={**r.run, "engine": {"name": "gromacs"}}) for r in results.state_points[0].replicas
    )
    point = dataclasses.replace(results.state_points[0], replicas=replicas)
    cited = bibliography(dataclasses.replace(results, state_points=(point,)))
    assert "10.1016/j.softx.2015.06.001" in cited and "10.1021/acs.jpcb.3c06662" not in cited
