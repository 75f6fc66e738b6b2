"""The catalogue: every entry is composed or says why not, and holds what its source asks for."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.data.library import Library, load_library
from lmbmd.forcefield.own import OwnSet
from lmbmd.formulation.models import Conditions, Formulation
from lmbmd.formulation.sweeps import load_formulations
from lmbmd.literature.catalogue import (
    RUNS,
    Bottle,
    Standing,
    box_of,
    catalogue_folder,
    chosen,
    find_entry,
    load_catalogue,
    load_entry,
    standing,
)
from lmbmd.literature.catalogue_text import page, table
from lmbmd.literature.claims import shipped_claims
from lmbmd.study.study import load_study

ENTRIES = load_catalogue()
#: Entries without a box of their own say so in one of these states.
STATES = {*RUNS, "lacks parameters", "same as", "not simulated"}


@pytest.fixture(scope="module")
def found():
    return {name: standing(entry) for name, entry in ENTRIES.items()}


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_is_composed_or_says_why_not(name, found):
    entry, one = ENTRIES[name], found[name]
    assert one.state in STATES, one.detail
    assert entry.title and entry.source
    if one.state == "lacks parameters":
        assert one.lacking
    if one.state == "not simulated":
        assert len(entry.listing.why_not) > 40
    for bottle in one.bottles if one.state != "same as" else ():
        box = bottle.composition
        if box is None:
            assert bottle.lacking
            continue
        assert box.net_charge_e == 0
        assert max(abs(row.relative_error) for row in box.asked_realised) <= 0.05
        assert min(box.counts.values()) >= 5 and max(box.counts.values()) <= 10_000
        assert 2000 <= box.n_atoms <= 100_000


def test_the_catalogue_is_whole():
    assert len(ENTRIES) == len(list(catalogue_folder().glob("*"))) == 185
    by_scope = {scope: len(chosen(scope=scope)) for scope in ("bulk-liquid", "polymer", "gel", "interface", "crystal")}
    assert by_scope == {"bulk-liquid": 128, "polymer": 23, "gel": 6, "interface": 13, "crystal": 6}
    built = ("bulk-liquid", "polymer", "gel")
    assert all(not e.bottles and e.listing.why_not for e in ENTRIES.values() if e.listing.scope not in built)
    assert all(e.bottles or e.listing.why_not or e.listing.same_as for e in ENTRIES.values())
    bottles = [bottle.name for entry in ENTRIES.values() for bottle in entry.bottles]
    assert len(set(bottles)) == len(bottles)


def test_most_of_the_bulk_liquids_can_be_simulated(found):
    """Parameters are added, never taken away: this number may only rise."""
    assert sum(found[name].state in RUNS for name in ENTRIES) >= 109


def test_whatever_is_not_printed_is_an_assumption():
    """A recipe that its source does not print whole says what was made up."""
    silent = [
        entry.name
        for entry in ENTRIES.values()
        if entry.listing.status != "given" and not entry.listing.why_not and not entry.assumptions
    ]
    assert silent == []
    for entry in ENTRIES.values():
        per_litre = any("mol/L of" in str(a) for b in entry.bottles for a in b.salts.values())
        if per_litre and entry.listing.status == "given":
            assert any("litre" in text for text in entry.assumptions), entry.name


def test_nothing_but_published_sources_is_named():
    for entry in ENTRIES.values():
        text = entry.path.read_text(encoding="utf-8")
        assert not re.search(r"\bseed\b|\.txt|/work", text), entry.name
        assert re.fullmatch(r"(review [A-D](, refs?\. [\d, –]+)?(; )?)+", entry.source), entry.source


def cited(source: str) -> list[tuple[str, int]]:
    """Every (review, reference) of an entry's source, ranges written out."""
    found = []
    for one in source.split("; "):
        review, _, refs = one.partition(", ref")
        for part in re.findall(r"\d+(?:–\d+)?", refs):
            first, _, last = part.partition("–")
            found += [(review, number) for number in range(int(first), int(last or first) + 1)]
    return found


def test_no_reference_is_cited_twice_by_an_entry():
    twice = [("review A", 3), *[("review B", number) for number in (7, 8, 9, 8)]]
    assert cited("review A, ref. 3; review B, refs. 7–9, 8") == twice
    for entry in ENTRIES.values():
        refs = cited(entry.source)
        assert len(refs) == len(set(refs)), entry.name


def test_an_entry_that_was_added_here_claims_no_temperature_of_its_source():
    """The source prints it of the electrolyte that the entry is compared with, if at all."""
    for entry in ENTRIES.values():
        if entry.listing.origin == "control":
            assert "source also speaks" not in entry.notes, entry.name


@pytest.mark.parametrize("name", ["lifsi-dme-1m", "lifsi-dme-tte-3-7-1m", "lifsi-dfp-1.13m", "lipf6-ec-dec-1m"])
def test_a_temperature_printed_of_another_electrolyte_is_not_this_ones(name):
    assert not re.search(r"\d{3}\.15", ENTRIES[name].notes)


def test_an_abbreviation_that_the_reviews_do_not_spell_out_is_an_assumption():
    for entry in ENTRIES.values():
        for name in {"FEMC", "DMTMSA", "DFP"} & set(entry.mentions if entry.bottles else ()):
            said = f"The review does not expand the name {name};"
            assert any(text.startswith(said) for text in entry.assumptions), entry.name


def test_the_reviews_can_be_looked_up(found):
    """Title, journal and DOI of each: in the documentation, and with every entry that cites it."""
    docs = (Path(__file__).parents[2] / "docs" / "catalogue.md").read_text(encoding="utf-8")
    (reviews,) = [file.sources for file in shipped_claims()]
    assert [*reviews] == ["review-a", "review-b", "review-c", "review-d"]
    for key, review in reviews.items():
        letter = key[-1].upper()
        assert re.fullmatch(r"10\.\d{4}/[a-z0-9.-]+", review.doi) and re.search(r"20\d\d", review.title)
        assert f"| {letter} | {review.title}, [{review.doi}](https://doi.org/{review.doi}) |" in docs
    shown = " ".join(page(find_entry("lifsi-dme-4m"), found["lifsi-dme-4m"]).split())
    assert f"review B: {reviews['review-b'].title}, doi:{reviews['review-b'].doi}" in shown
    assert "review A" not in shown


# Moles of each component per mole of cations, from masses and volumes written out here: LiFSI 85, LiTFSI 143 cm³/mol;
# DME 90.12 g/mol, 0.8614 g/cm³; TTE 232.07, 1.532; EC 88.06, 1.321; DMC 90.08, 1.0633; DOL 74.08, 1.0586.
DME_PER_CM3, TTE_PER_CM3, EC_PER_CM3, DMC_PER_CM3 = 0.8614 / 90.12, 1.532 / 232.07, 1.321 / 88.06, 1.0633 / 90.08
BY_HAND = {
    "lifsi-dme-tte-1-1.2-3-lhce": {"LiFSI": 1, "DME": 1.2, "TTE": 3},
    "litfsi-g4-sil": {"LiTFSI": 1, "G4": 1},
    "lifsi-dme-1m": {"LiFSI": 1, "DME": (1000 - 85) * DME_PER_CM3},
    "lifsi-dme-4m": {"LiFSI": 1, "DME": (1000 - 4 * 85) / 4 * DME_PER_CM3},
    "lifsi-dme-tte-3-7-1m": {"LiFSI": 1, "DME": 0.3 * 915 * DME_PER_CM3, "TTE": 0.7 * 915 * TTE_PER_CM3},
    "lipf6-ec-dmc-1molal": {
        "LiPF6": 1,
        "EC": 1000 / (1.321 + 1.0633) * EC_PER_CM3,
        "DMC": 1000 / (1.321 + 1.0633) * DMC_PER_CM3,
    },
    "lifsi-ec-dmc-10m": {"LiFSI": 1, "EC": 50 * EC_PER_CM3, "DMC": 50 * DMC_PER_CM3},
    "lifsi-litfsi-dme-bisalt": {"LiFSI": 4.6 / 6.9, "LiTFSI": 2.3 / 6.9, "DME": 1000 / 90.12 / 6.9},
    "litfsi-dol-dme-1m": {"LiTFSI": 1, "DOL": 857 / 2 * 1.0586 / 74.08, "DME": 857 / 2 * DME_PER_CM3},
    "lifsi-lino3-dme-2m": {"LiFSI": 2 / 2.2, "LiNO3": 0.2 / 2.2, "DME": (1000 - 2 * 85 - 0.2 * 30) / 2.2 * DME_PER_CM3},
}


@pytest.mark.parametrize("name", BY_HAND)
def test_the_mole_ratio_is_the_one_computed_by_hand(name, found):
    """Within 1 %: the densities of the library and those above agree so well, and whole molecules add less."""
    (bottle,) = found[name].bottles
    assert bottle.composition is not None
    units = {i.name: i.units for i in bottle.composition.ingredients}
    cations = sum(n for s, n in bottle.composition.counts.items() if bottle.composition.charges[s] > 0)
    assert {c: n / cations for c, n in units.items()} == pytest.approx(BY_HAND[name], rel=0.01)


def test_an_entry_of_missing_species_names_them():
    library = load_library()
    poor = Library({n: s for n, s in library.species.items() if n != "DME"}, library.salts)
    one = standing(find_entry("lifsi-dme-1m"), poor)
    assert (one.state, one.lacking) == ("lacks parameters", ("DME",))
    assert re.search(r"missing  DME: only in .*sage-clp-\d", page(find_entry("lifsi-dme-1m"), one))


def test_a_set_of_ones_own_fills_the_gap():
    entry, library = find_entry("lifsi-dme-1m"), load_library()
    poor = Library({n: s for n, s in library.species.items() if n != "DME"}, library.salts)
    own = OwnSet(Path("own-1.0.0"), Conditions().force_field, {"DME": {}}, library, {})
    one = standing(entry, poor, {"own-1.0.0": own})
    assert one.state == "builds" and one.bottles[0].force_field == "own-1.0.0"


def test_what_is_missing_comes_with_the_command_that_makes_it():
    formulation = Formulation(name="x", salts={"NoSalt": "1 mol parts"}, solvents={"XYZ": "2 mol parts"})
    bottle = Bottle(formulation, None, "sage-clp-2.1.0", ("NoSalt", "XYZ"))
    one = Standing("lacks parameters", "NoSalt, XYZ", (bottle,))
    shown = " ".join(page(find_entry("lifsi-dme-1m"), one).split())
    assert "missing NoSalt: lmbmd does not know this salt" in shown
    assert "XYZ: lmbmd parametrize XYZ --smiles 'SMILES'" in shown


def test_a_bulk_liquid_whose_molecule_no_set_has_says_how_to_make_it(found):
    """1,4-Benzoquinone with LiTFSI is a liquid, though the review has it for a coating."""
    entry = find_entry("litfsi-benzoquinone")
    assert (found[entry.name].state, found[entry.name].lacking) == ("lacks parameters", ("BQ",))
    assert "`lmbmd parametrize BQ --smiles 'O=C1C=CC(=O)C=C1'`" in " ".join(entry.notes.split())
    assert not {"BQ", "LiTFSI"} & set(find_entry("polymer-coatings-li").mentions)


def test_a_sweep_builds_in_part_where_one_value_lacks_parameters():
    library = load_library()
    poor = Library({n: s for n, s in library.species.items() if n != "FB"}, library.salts)
    one = standing(find_entry("lifsi-dme-highdipole-lhce"), poor)
    assert one.state == "builds in part" and "FB" in one.lacking
    assert {b.formulation.name for b in one.bottles if b.composition} >= {"lifsi-dme-highdipole-lhce.tte-3mol"}


def test_an_entry_may_be_answered_by_the_box_of_another(found):
    entry = find_entry("generic-hce")
    assert box_of(entry).name == "lifsi-dme-4m"
    assert (found["generic-hce"].state, found["generic-hce"].detail) == ("same as", "lifsi-dme-4m")
    assert "that of 'lifsi-dme-4m' answers it too" in page(entry, found["generic-hce"])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("crystal-garnet", "It is a crystal."),
        ("lipf6-hydrolysis", "neither breaks nor makes bonds"),
        ("thermal-layers", "happens at an interface"),
        ("peo-network-garnet", "network"),
        ("carbonate-lifea", "its structure is not known"),
    ],
)
def test_asking_for_what_is_no_bulk_liquid_is_explained(name, why):
    with pytest.raises(LmbmdError, match=why):
        box_of(find_entry(name))


def test_an_entry_without_a_recipe_is_explained_in_a_study_too(tmp_path):
    for name, why in {"crystal-garnet": "It is a crystal", "generic-hce": "that of 'lifsi-dme-4m' answers it"}.items():
        path = tmp_path / f"{name}.yaml"
        path.write_bytes(find_entry(name).path.read_bytes())
        with pytest.raises(LmbmdError, match=why):
            load_formulations(path)


def test_an_unknown_name_gives_the_nearest():
    with pytest.raises(LmbmdError) as error:
        find_entry("lifsi-dme-1n")
    assert "Did you mean 'lifsi-dme-1m'?" in str(error.value)
    with pytest.raises(LmbmdError) as error:
        find_entry("lifsi-egbe")
    assert "'lifsi-egbe-parent' or 'lifsi-egbe-tte-cipa'" in str(error.value)


def test_entries_are_found_by_class_status_and_what_they_hold():
    names = [entry.name for entry in chosen(kind="lhce", salts=["LiFSI"], components=["TTE", "1,2-dimethoxyethane"])]
    assert "lifsi-dme-tte-3-7-1m" in names and "lifsi-dme-btfe-lhce" not in names and "lifsi-dme-1m" not in names
    assert "generic-lhce" in names, "its box holds them"
    assert [e.name for e in chosen(kind="cipa")] == ["lifsi-egbe-tte-cipa"]
    assert len(chosen(status="inconsistent")) == 7
    # A sweep holds what any of its bottles holds.
    assert "lifsi-dme-highdipole-lhce" in [e.name for e in chosen(components=["benzene"])]
    assert {e.name for e in chosen(components=["PEO"])} >= {"peo-litfsi"}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"kind": "lhc"}, "no class 'lhc'. Did you mean 'lhce'?"),
        ({"status": "all"}, "no status 'all'. Valid: given"),
        ({"salts": ["LiFSJ"]}, "holds 'LiFSJ'. Did you mean 'LiFSI'?"),
    ],
)
def test_a_filter_that_nothing_meets_is_an_error(asked, said):
    with pytest.raises(LmbmdError) as error:
        chosen(**asked)
    assert said in str(error.value)


def test_the_command_lists_filters_and_shows(capsys, found):
    assert main(["catalogue", "--class", "cipa"]) == 0
    assert "2 M LiFSI in EGBE:TTE 1:1 by volume" in capsys.readouterr().out
    assert main(["catalogue", "--json", "--buildable"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {one["name"] for one in listed} == {name for name in ENTRIES if found[name].state in RUNS}
    assert all(one["class"] and one["bottles"] for one in listed)
    assert main(["catalogue", "--missing", "--json"]) == 0
    assert all(one["lacking"] for one in json.loads(capsys.readouterr().out))
    assert main(["catalogue", "lifsi-dme-tte-3-7-1m"]) == 0
    shown = capsys.readouterr().out
    assert "The source prints the ratio 3:7 without a basis; by volume is assumed." in shown
    assert re.search(r"100 Li,\s+100 FSI,\s+262 DME,\s+423\s+TTE", shown)
    assert main(["catalogue", "lifsi-dmx"]) == 2


def test_a_name_that_means_another_molecule_elsewhere_is_said_with_the_box(found):
    (bottle,) = found["lifsi-egbe-tte-cipa"].bottles
    assert bottle.composition is not None and "2-butoxyethanol" in " ".join(bottle.composition.notes)
    (bottle,) = found["lifsi-dme-1m"].bottles
    assert bottle.composition is not None and bottle.composition.notes == ()


def test_a_table_has_a_line_for_each_entry(found):
    body, _, end = table([(entry, found[name]) for name, entry in ENTRIES.items()]).partition("\n\n")
    assert [line.split()[0] for line in body.splitlines()[1:]] == list(ENTRIES)
    assert end.startswith("185 entries: ")


def test_no_entries_are_no_table():
    assert table([]).splitlines() == [
        "0 entries: no entry is all of that. Ask for less; lmbmd catalogue alone lists every one."
    ]


def test_a_table_ends_with_what_most_entries_wait_for():
    entry = find_entry("lifsi-dme-1m")

    def lacking(*names: str) -> Standing:
        return Standing("lacks parameters", ", ".join(names), (Bottle(entry.bottles[0], None, "", names),))

    shown = table([(entry, lacking("A")), (entry, lacking("B", "C")), (entry, lacking("B"))])
    assert shown.endswith("3 entries: 3 lacks parameters\nlacking: B (2), A, C")


def test_the_report_is_told_what_an_entry_assumes(tmp_path):
    (tmp_path / "config.yaml").write_text("study: s\nformulations: lifsi-dx-1m.yaml\n", encoding="utf-8")
    (tmp_path / "lifsi-dx-1m.yaml").write_bytes(find_entry("lifsi-dx-1m").path.read_bytes())
    study = load_study(tmp_path / "config.yaml")
    assert study.words("lifsi-dx-1m")["assumptions"][0] == "The source names no salt; LiFSI is assumed."
    before = study.recipe_text("lifsi-dx-1m")
    path = tmp_path / "lifsi-dx-1m.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("The source names no salt", "It names no salt"), encoding="utf-8")
    again = load_study(tmp_path / "config.yaml")
    assert again.recipe_text("lifsi-dx-1m") == before, "words never simulate anew"
    assert again.words_text("lifsi-dx-1m") != study.words_text("lifsi-dx-1m")


def test_a_file_that_is_no_entry_is_refused(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("salts: {LiFSI: 1 mol parts}\nsolvents: {DME: 2 mol parts}\n", encoding="utf-8")
    with pytest.raises(LmbmdError, match="no section 'catalogue'"):
        load_entry(path)
    path.write_text("title: x\ncatalogue: {class: lhce, status: givn, why_not: because}\n", encoding="utf-8")
    with pytest.raises(LmbmdError, match="'givn' is not a valid choice"):
        load_entry(path)
    path.write_text("title: x\ncatalogue: {klass: lhce, status: given, why_not: because}\n", encoding="utf-8")
    with pytest.raises(LmbmdError, match="unknown key 'klass'"):
        load_entry(path)


def test_the_catalogue_is_shipped_in_the_wheel():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert 'catalogue = "lmbmd/_catalogue"' in text
