"""What a page cites: entries that parse, only what was used, and nothing that a foreign text could break."""

import dataclasses
import re

import numpy as np
import pytest
import report_inputs
from pages import EVIL, Document, load
from quantum_shells import banded, made_up

from lmbmd.analysis.energies.bands_account import bands_account
from lmbmd.analysis.energies.shells_account import energies_account
from lmbmd.report.pages.page import formulation_page
from lmbmd.report.words import references
from lmbmd.report.words.choices import choices, threshold_of

COMMON = {"author", "title", "year", "doi"}
REQUIRED = {"article": COMMON | {"journal"}, "inproceedings": COMMON | {"booktitle"}, "misc": set()}


def parse(text):
    """A strict reader of BibTeX: key → (type, fields). Braces must balance, keys and fields must be unique."""
    entries, i = {}, 0
    while (start := text.find("@", i)) >= 0:
        kind, key = re.compile(r"@(\w+)\{([^,\s{}]+),").match(text, start).groups()
        i = text.index(",", start) + 1
        fields = {}
        while match := re.compile(r"\s*(\w+)\s*=\s*\{").match(text, i):
            depth, j = 1, match.end()
            while depth:
                depth += {"{": 1, "}": -1}.get(text[j], 0)
                j += 1
            assert match[1] not in fields
            fields[match[1]] = text[match.end() : j - 1]
            assert text[j] == ","
            i = j + 1
        end = re.compile(r"\s*\}").match(text, i)
        assert end and key not in entries, (key, text[i : i + 40])
        entries[key], i = (kind, fields), end.end()
    return entries


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    return load(report_inputs.write_study(tmp_path_factory.mktemp("references"), names=("lifsi-dme",)) / "lifsi-dme")


def dois(results):
    return {reference.doi for reference in references.references(results)}


def test_every_entry_parses_and_is_complete(results):
    text = references.bibliography(results)
    entries = parse(text)
    assert len(entries) == text.count("\n@") > 15
    for kind, fields in entries.values():
        assert REQUIRED[kind] <= set(fields) and fields
        assert re.fullmatch(r"10\.\d{4,9}/\S+", fields.get("doi", "10.1000/x"))
    assert entries["openmm8"][1]["doi"] == "10.1021/acs.jpcb.3c06662"
    assert entries["openmm8"][1]["title"].startswith("{OpenMM 8")  # braces keep its capitals


def test_every_known_reference_is_complete_and_its_key_unique():
    known = references._known()
    keys = [entry["key"] for entry in known.values()]
    assert len(set(keys)) == len(keys)
    for doi, entry in known.items():
        assert re.fullmatch(r"10\.\d{4,9}/\S+", doi)
        assert REQUIRED[entry.get("type", "article")] - {"doi"} <= set(entry), doi


def test_only_what_was_used_is_cited(results):
    openmm, ccma, heavy, barostat = (
        "10.1021/acs.jpcb.3c06662",
        "10.1021/ct900463w",
        "10.1021/ct5010406",
        "10.1016/0010-4655(95)00059-O",
    )
    assert {openmm, ccma, heavy, barostat} <= dois(results)
    (point,) = results.state_points
    free = {"pressure_bar": None, "protocol": {"constraints": "none", "hydrogen_mass_amu": 1.008}}
    runs = tuple(dataclasses.replace(r, spec=free) for r in point.replicas)
    loose = dataclasses.replace(results, state_points=(dataclasses.replace(point, replicas=runs),))
    assert openmm in dois(loose) and not {ccma, heavy, barostat} & dois(loose)
    foreign = dataclasses.replace(results, state_points=(dataclasses.replace(point, replicas=(), snapshots=()),))
    assert not {openmm, ccma, heavy, barostat, "10.1063/1.470117", "10.1093/bioinformatics/btu829"} & dois(foreign)
    assert "10.1002/jcc.21787" in dois(foreign)  # MDAnalysis reads every trajectory


def test_methods_of_quantum_chemistry_are_cited_by_those_that_have_numbers(results):
    gfn2, pbe0, pyscf = "10.1021/acs.jctc.8b01176", "10.1063/1.478522", "10.1063/5.0006074"
    assert not {gfn2, pbe0, pyscf} & dois(results)
    (point,) = results.state_points

    def cited(*made):
        tables = dict(energies_account(list(made)).tables)
        described = dataclasses.replace(point.described, tables={**point.described.tables, **tables})
        return dois(dataclasses.replace(results, state_points=(dataclasses.replace(point, described=described),)))

    rng = np.random.default_rng(1)
    assert cited(made_up(rng, dft=False)) & {gfn2, pbe0, pyscf} == {gfn2}
    assert {gfn2, pbe0, pyscf} <= cited(made_up(rng))
    tables = dict(bands_account([banded()]).tables)
    described = dataclasses.replace(point.described, tables={**point.described.tables, **tables})
    alone = dois(dataclasses.replace(results, state_points=(dataclasses.replace(point, described=described),)))
    assert alone & {gfn2, pbe0, pyscf, "10.1063/1.1523908"} == {pbe0, pyscf, "10.1063/1.1523908"}
    without = made_up(rng)
    for shell in without.shells:
        shell["found"].update({name: {"why_not": "SCF not converged"} for name in shell["found"] if "PBE0" in name})
    assert cited(without) & {gfn2, pbe0, pyscf} == {gfn2}


def test_the_papers_of_the_model_are_those_of_the_species_in_the_box(results):
    species = {
        "Li": {"sources": [{"what": "ions (doi:10.1021/j100384a009)."}]},
        "FSI": {"sources": [{"what": "a book, 1990"}, "another note"]},
        "EC": {"sources": [{"doi": "10.1000/not.in.this.box"}]},
    }
    model = dataclasses.replace(results, force_field={"species": species})
    found = {reference.doi: reference for reference in references.references(model)}
    assert found["10.1021/j100384a009"].uses == ("parameters of Li⁺",)
    assert "10.1000/not.in.this.box" not in found
    notes = [r for r in references.references(model) if not r.doi]
    assert [r.text for r in notes] == ["a book, 1990", "another note"]
    scale = {"ion_charge_scale": {"default": 0.8, "source": {"what": "why 0.8", "doi": "10.1021/acs.jctc.7b00520"}}}
    scaled = dataclasses.replace(results, force_field=scale)
    assert "10.1021/acs.jctc.7b00520" in dois(scaled)  # this bottle's ions have 0.8
    full = dataclasses.replace(scaled, composition={**results.composition, "ion_charge_scale": 1.0})
    assert "10.1021/acs.jctc.7b00520" not in dois(full)


def test_the_source_of_a_recipe_is_cited_with_its_own_words(results):
    found = next(r for r in references.references(results) if r.doi == "10.1016/j.joule.2018.05.002")
    assert found.uses == ("source of the recipe",) and found.text.startswith("made up for tests")


@pytest.mark.parametrize("words", [EVIL, "}} @misc{x, title = {y", "50 % of $x_1$ & #2 \\input{a}", "10.1/", "ö–Å"])
def test_a_foreign_text_cannot_break_the_bibliography(results, words):
    model = {"species": {"Li": {"sources": [{"what": words}, {"what": words, "doi": words}]}}}
    foreign = dataclasses.replace(results, name=words, force_field=model, recipe={"source": f"{words} 10.1000/a}}b"})
    before = len(parse(references.bibliography(dataclasses.replace(results, force_field={}, recipe={}))))
    entries = parse(references.bibliography(foreign))
    assert before < len(entries) <= before + 3
    for _, fields in entries.values():
        assert not re.search(r"(?<!\\)[%&#_$]", fields.get("note", ""))


def test_two_temperatures_or_species_with_one_source_are_one_entry(results):
    source = {"what": "one", "doi": "10.1002/jcc.10128"}
    model = {"species": {name: {"sources": [source]} for name in results.counts}}
    found = [
        r for r in references.references(dataclasses.replace(results, force_field=model)) if r.doi == source["doi"]
    ]
    assert len(found) == 1 and found[0].uses == tuple(f"parameters of {s}" for s in ("Li⁺", "FSI⁻", "DME"))


def test_every_threshold_is_one_click_from_what_it_means(results):
    (point,) = results.state_points
    tables = {"cipa": point.described.tables["cipa"]}
    lean = dataclasses.replace(
        point, replicas=(), snapshots=(), described=dataclasses.replace(point.described, tables=tables)
    )
    document = Document(formulation_page(dataclasses.replace(results, state_points=(lean,))).html)
    (table,) = [t for t in document.tables if "threshold" in [c["text"] for c in t[0]]]
    links = {row[0]["text"].strip(): row[2]["hrefs"] for row in table[1:]}
    assert links["ions in the cluster"] == ["#def-choice-min-ions"]
    assert links["contacts per ion"] == ["#def-cipa"]  # its threshold is not in this record
    assert "def-choice-min-ions" in document.values("id")
    assert (
        "20 ions. A cluster of fewer ions is too small for a compact aggregate. Set with “analysis: cipa: min_ions”."
        in document.text
    )


def test_choices_that_differ_between_temperatures_are_both_told(results):
    (point,) = results.state_points
    facts = {"options": {"agg_ii_from": 4, "cutoffs_A": {"FSI:O": 2.7}}}
    warm = dataclasses.replace(point, temperature_K=350.0, described=dataclasses.replace(point.described, facts=facts))
    both = dataclasses.replace(results, state_points=(point, warm))
    found = {d.key: d.text for d in choices(both)}
    assert found["choice-agg-ii-from"].startswith("3 centres at 298.15 K; 4 centres at 350 K.")
    assert found["choice-cutoffs-A"].startswith("FSI⁻ O 2.7 Å.")
    assert threshold_of("min_ions", results) == "choice-min-ions"


def test_every_option_of_an_analysis_has_words():

    from lmbmd.analysis.options import DescribeOptions
    from lmbmd.report.words.choices import _flat, _known

    assert {path for path, _ in _flat(DescribeOptions().model_dump())} == set(_known())
