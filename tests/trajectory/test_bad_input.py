"""Bad input: what is wrong, where, and what to do about it, in one paragraph. One row for each way to be wrong."""

from __future__ import annotations

import pytest

from lmbmd.core.errors import LmbmdError
from lmbmd.data.library import force_fields_folder
from lmbmd.forcefield.own import check_coverage
from lmbmd.forcefield.sets import Coverage, released_sets
from lmbmd.study.study import load_study

GOOD = "salts: {LiFSI: 1 mol/L of solution}\nsolvents: {DME: rest}\nsize: {ion_pairs: 12}\n"
STUDY = "study: test\nformulations: bottles\n"

# A bottle's text, where its error is, what it says, and what it advises.
BOTTLES = {
    # names
    "unknown solvent": ("solvents: {DMEE: rest}", "solvents.DMEE (line 1)", "no species 'DMEE'", "mean 'DME'?"),
    "unknown salt": (
        "salts: {LiFSY: 1 wt%}\nsolvents: {DME: rest}",
        "salts.LiFSY (line 1)",
        "no salt 'LiFSY'",
        "mean 'LiFSI'?",
    ),
    "unknown additive": (
        "solvents: {DME: rest}\nadditives:\n  LiNO33: 1 wt%",
        "additives.LiNO33 (line 3)",
        "no species or salt 'LiNO33'",
        "mean 'LiNO3'?",
    ),
    "ambiguous name": ("solvents: {DEE: rest}", "solvents.DEE", "'DEE' is ambiguous", "which one you mean"),
    "ambiguous additive": (
        "solvents: {DME: rest}\nadditives: {TMS: 1 wt%}",
        "additives.TMS",
        "'TMS' is ambiguous",
        "which one you mean",
    ),
    "salt among solvents": ("solvents: {LiFSI: rest}", "solvents.LiFSI", "is a salt", "under 'salts'"),
    "solvent among salts": ("salts: {DME: rest}", "salts.DME", "'DME' is a species, not a salt", "LiFSI"),
    "lone ion": ("solvents: {FSI: rest}", "solvents.FSI", "FSI is an ion (-1 e)", "as a salt: LiFSI"),
    "twice in two sections": (
        "solvents: {EC: rest}\nadditives: {EC: 2 wt%}",
        "additives.EC (line 2)",
        "EC stands under 'solvents' and again under 'additives'",
        "one line",
    ),
    "twice by alias": (
        "solvents: {EC: rest, ethylene carbonate: 2 wt%}",
        "solvents.ethylene carbonate",
        "EC stands under 'solvents' and again",
        "one line",
    ),
    "twice by ratio": (
        "solvents:\n  EC:EMC: 3:7 v/v\n  EC: 1 vol",
        "solvents (line 1)",
        "'EC' stands here twice",
        "one amount",
    ),
    # amounts
    "bare molarity": (
        "salts: {LiFSI: 1 M}\nsolvents: {DME: rest}",
        "salts.LiFSI (line 1)",
        "'1 M' does not say what the litre is a litre of",
        "'1 mol/L of solvent'",
    ),
    "bare percent": (
        "solvents: {DME: rest}\nadditives: {FEC: 10 %}",
        "additives.FEC",
        "'10 %'",
        "'10 wt%' or '10 vol%'",
    ),
    "bare number": ("solvents: {DME: 3}", "solvents.DME", "3 has no basis", "'3 mol parts'"),
    "bare molal": ("salts: {LiFSI: 1 m}\nsolvents: {DME: rest}", "salts.LiFSI", "'1 m' may mean molal", "mol/kg"),
    "unknown unit": (
        "salts: {LiFSI: 1 mol/gal of solution}\nsolvents: {DME: rest}",
        "salts.LiFSI",
        "'mol/gal of solution' is no basis",
        "mean 'mol/L of solution'?",
    ),
    "negative amount": (
        "salts: {LiFSI: -1 mol/kg}\nsolvents: {DME: rest}",
        "salts.LiFSI",
        "'-1 mol/kg' is not a positive",
        "leave the component out",
    ),
    "zero amount": (
        "solvents: {DME: rest}\nadditives: {FEC: 0 wt%}",
        "additives.FEC",
        "'0 wt%' is not a positive",
        "zero",
    ),
    "missing amount": ("solvents: {DME: }", "solvents.DME", "None is not an amount", "'1 mol/L of solution'"),
    "amount is a list": ("solvents: {DME: [1, 2]}", "solvents.DME", "[1, 2] is not an amount", "Write"),
    "section is a list": ("solvents: [DME]", "solvents (line 1)", "['DME'] is not a list of amounts", "species:"),
    "ratio that does not match": (
        "solvents:\n  EC:EMC: 3:7:1 volume parts",
        "solvents (line 1)",
        "names 2 species, but '3:7:1 volume parts' has 3 numbers",
        "same order",
    ),
    "ratio for one species": ("solvents: {EC: '3:7 volume parts'}", "solvents.EC", "stands for one species", "EC:EMC"),
    # what the amounts add up to
    "two rests": ("solvents: {EC: rest, DMC: rest}", "bottle.yaml: ", "EC and DMC are all 'rest'", "in parts"),
    "untied pools": (
        "salts: {LiFSI: 1 mol parts}\nsolvents: {EC: 3 volume parts, EMC: 7 volume parts}",
        "bottle.yaml: ",
        "LiFSI in 'mol parts'; EC and EMC in 'volume parts'",
        "same kind of parts",
    ),
    "parts beside rest": (
        "solvents: {EC: 3 volume parts, DMC: 7 volume parts}\ndiluents: {TTE: rest}",
        "bottle.yaml: ",
        "EC and DMC in 'volume parts'; TTE in 'rest'",
        "all but one group",
    ),
    "nothing left open": (
        "salts: {LiFSI: 1 mol/kg}\nsolvents: {DME: 5 mol/L of solution}",
        "bottle.yaml: ",
        "every amount is fixed",
        "'rest'",
    ),
    "percentages below 100": ("solvents: {EC: 40 wt%, DMC: 50 wt%}", "bottle.yaml: ", "wt% adds up to 90", "'rest'"),
    "percentages above 100": (
        "solvents: {EC: 60 wt%, DMC: 50 wt%}\ndiluents: {TTE: rest}",
        "bottle.yaml: ",
        "wt% add up to 110, which leaves nothing for TTE",
        "Lower",
    ),
    "volume percentages above 100": (
        "solvents: {EC: 60 vol%, DMC: 40 vol%}\ndiluents: {TTE: rest}",
        "bottle.yaml: ",
        "vol% add up to 100, which leaves nothing for TTE",
        "Lower",
    ),
    "per solvent without solvent": (
        "salts: {LiFSI: 1 mol/kg}\nadditives: {FEC: rest}",
        "salts.LiFSI",
        "'1 mol/kg of solvent', but there is no solvent",
        "Add a solvent",
    ),
    "salt fills the litre": (
        "salts: {LiFSI: 16 mol/L of solution}\nsolvents: {DME: rest}",
        "salts.LiFSI (line 1)",
        "16 mol LiFSI (2993 g at 85 cm³/mol) would fill 1360 cm³",
        "'mol/kg of solvent' would leave 0.69 solvent molecules per cation",
    ),
    "too little solvent": (
        "salts: {LiFSI: 10 mol/L of solution}\nsolvents: {EC:DMC: 1:1 v/v}",
        "bottle.yaml: ",
        "only 0.20 solvent molecules are left for each cation (limit 0.5)",
        "'mol/L of solvent' would leave 1.34",
    ),
    "too much salt whatever the basis": (
        "salts: {LiFSI: 50 mol/kg}\nsolvents: {DME: rest}",
        "bottle.yaml: ",
        "only 0.22 solvent molecules",
        "Lower the amount of salt",
    ),
    "salt without solvent": (
        "salts: {LiFSI: 1 mol parts}\ndiluents: {TTE: 3 mol parts}",
        "bottle.yaml: ",
        "nothing under 'solvents'",
        "Add a solvent",
    ),
    "nothing left for a component": (
        "salts: {LiFSI: 5 mol/L of solution}\nsolvents: {DME: rest}\ndiluents: {TTE: 60 vol%}",
        "salts.LiFSI",
        "(935 g at 85 cm³/mol) and 60 vol% TTE would fill 1025 cm³",
        "Lower",
    ),
    "negative remainder": (
        "salts: {LiFSI: 8 mol/L of solution}\nsolvents: {DME: rest}\ndiluents: {TTE: 60 wt%}",
        "bottle.yaml: ",
        "the amounts leave nothing for DME",
        "Lower the fixed amounts",
    ),
    # sizes
    "two sizes": (
        GOOD.replace("12}", "12, atoms: 900}"),
        "size (line 3)",
        "atoms and ion_pairs are given together",
        "exactly one",
    ),
    "no size": (GOOD.replace("ion_pairs: 12", "tolerance: 0.1"), "size (line 3)", "no size is given", "exactly one"),
    "size is no mapping": (
        GOOD.replace("{ion_pairs: 12}", "1500"),
        "size (line 3)",
        "1500 is not lines of",
        "key: value",
    ),
    "fractional atoms": (
        GOOD.replace("ion_pairs: 12", "atoms: 1500.5"),
        "size.atoms",
        "1500.5 is not a whole number",
        "Give a whole number",
    ),
    "zero ion pairs": (GOOD.replace("12", "0"), "size.ion_pairs", "0 is out of range", "at least 1"),
    "huge box": (
        GOOD.replace("ion_pairs: 12", "box_edge_nm: 1000"),
        "size.box_edge_nm",
        "1000 is out of range",
        "at most 100",
    ),
    "box below the cut-off": (
        GOOD.replace("12", "4"),
        "size (line 3)",
        "narrower than 2.2 cut-offs",
        "'size: {box_edge_nm: 1.99}'",
    ),
    "trace species lost": (
        GOOD + "additives: {LiNO3: 0.005 mol/L of solution}",
        "size (line 3)",
        "no molecule of LiNO3",
        "10 of it has an edge of 14.92 nm",
    ),
    "ratio out of tolerance": (
        GOOD.replace("12}", "12, tolerance: 0.0001}"),
        "size (line 3)",
        "beyond the tolerance of 0.01%",
        "A box that would do",
    ),
    "misplaced size": (GOOD + "atoms: 1500", "atoms (line 4)", "unknown key 'atoms'", "belongs under 'size:'"),
    # other keys
    "unknown key": (GOOD + "solvnts: {EC: 2 wt%}", "solvnts (line 4)", "unknown key 'solvnts'", "mean 'solvents'?"),
    "unknown nested key": (
        GOOD.replace("ion_pairs", "ion_pair"),
        "size.ion_pair (line 3)",
        "unknown key 'ion_pair'",
        "mean 'ion_pairs'?",
    ),
    "own name": (GOOD + "name: x", "name (line 4)", "no key 'name'", "'title'"),
    "celsius": (GOOD + "temperature_K: 25", "temperature_K (line 4)", "25 is out of range", "298.15"),
    "no temperature": (GOOD + "temperature_K: []", "temperature_K (line 4)", "[] is out of range", "at least 1"),
    "temperature twice": (GOOD + "temperature_K: [300, 300.0]", "temperature_K", "repeats a temperature", "once"),
    "temperature as text": (
        GOOD + "temperature_K: warm",
        "temperature_K.0 (line 4)",
        "'warm' is not a number",
        "number",
    ),
    "temperature too exact": (
        GOOD + "temperature_K: 298.15001",
        "temperature_K",
        "more than six digits",
        "Write 298.15.",
    ),
    "zero pressure": (GOOD + "pressure_bar: 0", "pressure_bar (line 4)", "0 is out of range", "more than 0"),
    "infinite pressure": (GOOD + "pressure_bar: .inf", "pressure_bar", "inf is not a finite number", "finite"),
    "no replica": (GOOD + "replicas: 0", "replicas (line 4)", "0 is out of range", "at least 1"),
    "replicas as text": (GOOD + "replicas: '2'", "replicas", "'2' is not a whole number", "whole number"),
    "replicas as truth": (GOOD + "replicas: true", "replicas", "True is not a whole number", "whole number"),
    "charge scale in percent": (GOOD + "ion_charge_scale: 80", "ion_charge_scale", "80 is out of range", "at most 1"),
    "negative seed": (GOOD + "seed: -1", "seed", "-1 is out of range", "at least 0"),
    "unknown force field": (
        GOOD + "force_field: sage-clp-1.0.9",
        "force_field (line 4)",
        "no force field 'sage-clp-1.0.9'",
        "mean 'sage-clp-2.1.0'?",
    ),
    "force field as a path": (GOOD + "force_field: ../../etc", "force_field (line 4)", "'../../etc'", "letters"),
    "endless title": (GOOD + f"title: {'x' * 300}", "title (line 4)", "is out of range", "at most 200"),
    "title as number": (GOOD + "title: 7", "title (line 4)", "7 is not text", "Give text"),
    "empty bottle": ("title: nothing", "(top level)", "the bottle is empty", "salts, solvents, diluents, additives"),
    # the file itself
    "empty file": ("", "bottle.yaml: ", "the file is empty", "at least one key"),
    "only a comment": ("# nothing\n", "bottle.yaml: ", "the file is empty", "at least one key"),
    "no mapping": ("just words", "bottle.yaml: ", "the file holds no keys", "key: value"),
    "tab": ("solvents:\n\tDME: rest", "line 2", "this is not YAML", "this line has a tab"),
    "broken yaml": ("solvents: {DME: rest\nsize: 3", "line 2", "this is not YAML", "Check this line"),
    "repeated key": ("solvents:\n  DME: rest\n  DME: 1 vol", "line 3", "'DME' stands here twice", "Keep one"),
    "alias": ("a: &x [1]\nb: *x", "line 1", "anchors and aliases", "Write the value out"),
    "tag": ("solvents: !!python/object:os.system {}", "line 1", "tag", "plain values"),
    "two documents": (f"{GOOD}---\n{GOOD}", "line 4", "second document", "one thing"),
    "nesting": ("a: " + "[" * 40 + "]" * 40, "line 1", "more than 12 levels", "Flatten"),
    "key that is no word": ("[a, b]: 1", "line 1", "a key must be a word", "key: value"),
    "control characters": ("title: \x07", "bottle.yaml", "this is not YAML", "Check"),
    "too large": ("# " + "x" * 300_000, "bottle.yaml: ", "300002 bytes", "not data"),
}

STUDIES = {
    "missing name": ("formulations: bottles", "study", "the key 'study' is missing", "Add a line 'study: …'"),
    "missing formulations": ("study: x", "formulations", "the key 'formulations' is missing", "Add a line"),
    "name with spaces": ("study: My Study\nformulations: bottles", "study (line 1)", "'My Study'", "lower-case"),
    "unknown key": (STUDY + "protocl: {}", "protocl (line 3)", "unknown key 'protocl'", "mean 'protocol'?"),
    "unknown nested key": (
        STUDY + "protocol:\n  timestep: 4",
        "protocol.timestep (line 4)",
        "unknown key 'timestep'",
        "mean 'timestep_fs'?",
    ),
    "unknown key two levels down": (
        STUDY + "analysis: {cipa: {min_z_: 4}}",
        "analysis.cipa.min_z_ (line 3)",
        "unknown key 'min_z_'",
        "mean 'min_z'?",
    ),
    "misplaced key": (
        STUDY + "replicas: 3",
        "replicas (line 3)",
        "unknown key 'replicas'",
        "belongs under 'defaults:'",
    ),
    "key of another section": (
        STUDY + "platform: {timestep_fs: 2}",
        "platform.timestep_fs",
        "unknown key 'timestep_fs'",
        "belongs under 'protocol:'",
    ),
    "bad default": (
        STUDY + "defaults:\n  replicas: many",
        "defaults.replicas (line 4)",
        "'many' is not a whole",
        "whole",
    ),
    "section is a number": (STUDY + "protocol: 4", "protocol (line 3)", "4 is not lines of", "key: value"),
    "no such folder": (
        "study: x\nformulations: botles",
        "formulations (line 2)",
        "'botles' does not exist",
        "mean 'bottles'?",
    ),
    "empty folder": ("study: x\nformulations: empty", "formulations (line 2)", "'empty' holds no .yaml file", "Add a"),
    "empty list": ("study: x\nformulations: []", "formulations (line 2)", "[] is out of range", "at least 1"),
    "formulations is a number": (
        "study: x\nformulations: 3",
        "formulations (line 2)",
        "3 is not a list",
        "Give a list",
    ),
    "the same bottle twice": (
        "study: x\nformulations: [bottles, bottles/bottle.yaml]",
        "formulations (line 2)",
        "two formulations are called 'bottle'",
        "Rename",
    ),
    "forbidden name": (
        "study: x\nformulations: [other/My Bottle.yaml]",
        "My Bottle.yaml",
        "'My Bottle' cannot name",
        "lower-case",
    ),
    "reserved name": (
        "study: x\nformulations: [other/index.html.yaml]",
        "index.html.yaml",
        "'index.html' cannot name a formulation",
        "Name the file",
    ),
    "long time step": (
        STUDY + "protocol: {hydrogen_mass_amu: 1.008}",
        "protocol (line 3)",
        "timestep_fs = 4 is too long",
        "hydrogen_mass_amu: 3",
    ),
    "long unconstrained time step": (
        STUDY + "protocol: {constraints: none}",
        "protocol (line 3)",
        "too long",
        "Keep constraints",
    ),
    "huge time step": (
        STUDY + "protocol: {timestep_fs: 40}",
        "protocol.timestep_fs",
        "40 is out of range",
        "at most 5",
    ),
    "unknown constraints": (
        STUDY + "protocol: {constraints: hbonds}",
        "protocol.constraints",
        "'hbonds' is not a valid",
        "mean 'h-bonds'?",
    ),
    "frame interval between steps": (
        STUDY + "protocol: {frame_interval_ps: 0.45}",
        "protocol (line 3)",
        "frame_interval_ps = 0.45 is 112.5 time steps",
        "Give 0.448 ps.",
    ),
    "production between frames": (
        STUDY + "protocol: {production_ns: 1.001}",
        "protocol (line 3)",
        "production_ns = 1.001 is 500.5 frame intervals",
        "Give 1 ns.",
    ),
    "equilibration beyond its cap": (
        STUDY + "protocol: {equilibration_ns: 9}",
        "protocol (line 3)",
        "max_equilibration_ns = 5 is less than equilibration_ns = 9",
        "Raise it",
    ),
    "no production": (
        STUDY + "protocol: {production_ns: 0}",
        "protocol.production_ns",
        "0 is out of range",
        "more than 0",
    ),
    "unknown platform": (
        STUDY + "platform: {name: cudaa}",
        "platform.name (line 3)",
        "'cudaa' is not a valid choice",
        "mean 'CUDA'?",
    ),
    "platform device as text": (
        STUDY + "platform: {device_index: gpu0}",
        "platform.device_index",
        "'gpu0' is no index",
        "such as 0",
    ),
    "unknown site": (
        STUDY + "analysis: {cutoffs_A: {'FSI:Q': 2.8}}",
        "analysis.cutoffs_A.FSI:Q (line 3)",
        "there is no donor site 'FSI:Q'",
        "mean 'FSI:",
    ),
    "cut-off beyond the search": (
        STUDY + "analysis: {cutoffs_A: {'FSI:O': 4.9}}",
        "analysis (line 3)",
        "cutoffs_A.FSI:O = 4.9 plus cutoff_shift_A = 0.3 is beyond search_radius_A = 5",
        "raise search_radius_A",
    ),
    "search beyond the rdf": (
        STUDY + "analysis: {search_radius_A: 12}",
        "analysis (line 3)",
        "search_radius_A = 12 is beyond rdf_radius_A = 10",
        "Raise rdf_radius_A",
    ),
    "window upside down": (
        STUDY + "analysis: {cutoff_window_A: [3.5, 2.3]}",
        "analysis.cutoff_window_A (line 3)",
        "[3.5, 2.3] is no window",
        "two increasing radii",
    ),
    "window of one": (STUDY + "analysis: {cutoff_window_A: [3.5]}", "analysis.cutoff_window_A", "is missing", "Add"),
    "cipa diameters upside down": (
        STUDY + "analysis: {cipa: {max_diameter_nm: 2}}",
        "analysis.cipa (line 3)",
        "max_diameter_nm = 2 is not above min_diameter_nm = 2.5",
        "Raise it",
    ),
}


def failing(folder, study: str, bottle: str) -> LmbmdError:
    """The error of loading a study with these texts."""
    for name in ("bottles", "empty", "other"):
        (folder / name).mkdir()
    for name in ("My Bottle", "index.html"):
        (folder / "other" / f"{name}.yaml").write_text(GOOD, encoding="utf-8")
    (folder / "bottles" / "bottle.yaml").write_text(bottle, encoding="utf-8")
    (folder / "config.yaml").write_text(study, encoding="utf-8")
    with pytest.raises(LmbmdError) as caught:
        load_study(folder / "config.yaml")
    return caught.value


def is_one_paragraph(error: LmbmdError) -> bool:
    text = str(error)
    return "\n" not in text and len(text) < 700 and error.exit_code != 0 and text.rstrip().endswith((".", "?", "'"))


def test_there_are_enough_ways_to_be_wrong():
    assert len(BOTTLES) + len(STUDIES) >= 100


def test_the_good_files_are_good(tmp_path):
    (tmp_path / "bottles").mkdir()
    (tmp_path / "bottles" / "bottle.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "config.yaml").write_text(STUDY, encoding="utf-8")
    assert load_study(tmp_path / "config.yaml").composition("bottle").counts["Li"] == 12


@pytest.mark.parametrize("case", BOTTLES)
def test_a_bad_bottle_is_refused_with_place_and_remedy(tmp_path, case):
    text, where, what, remedy = BOTTLES[case]
    error = failing(tmp_path, STUDY, text)
    assert "bottle.yaml" in error.where
    assert where in f"{error.where}: "
    assert what in error.what
    assert remedy in error.remedy
    assert is_one_paragraph(error)


@pytest.mark.parametrize("case", STUDIES)
def test_a_bad_study_is_refused_with_place_and_remedy(tmp_path, case):
    text, where, what, remedy = STUDIES[case]
    error = failing(tmp_path, text, GOOD)
    assert where in f"{error.where}: "
    assert what in error.what
    assert remedy in error.remedy
    assert is_one_paragraph(error)


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    (tmp_path / "config.yaml").write_bytes("study: größe".encode("latin-1"))
    with pytest.raises(LmbmdError, match=r"byte 9 is not UTF-8. Save the file as UTF-8"):
        load_study(tmp_path / "config.yaml")


def test_a_missing_study_names_the_file_beside_it(tmp_path):
    (tmp_path / "config.yaml").write_text(STUDY, encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"confg.yaml: there is no such file. Did you mean 'config.yaml'\?"):
        load_study(tmp_path / "confg.yaml")


def test_a_folder_is_no_study(tmp_path):
    with pytest.raises(LmbmdError, match="this is not a file"):
        load_study(tmp_path)


def test_a_species_that_the_force_field_lacks_is_refused_with_the_sets_that_have_it(tmp_path, monkeypatch):
    (tmp_path / "bottles").mkdir()
    (tmp_path / "bottles" / "bottle.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "config.yaml").write_text(STUDY, encoding="utf-8")
    formulation = load_study(tmp_path / "config.yaml").formulation("bottle")
    sets = {
        "sage-clp-2.1.0": {"Li", "FSI"},
        "other-2.0.0": {"Li", "FSI", "DME"},
        "half-1.0.0": {"DME"},
    }
    sets = {name: Coverage(frozenset(species), 9.0, 0.8) for name, species in sets.items()}
    monkeypatch.setattr("lmbmd.forcefield.own.released_sets", lambda: sets)
    with pytest.raises(
        LmbmdError, match=r"has no DME. All of them are in other-2.0.0. To make your own: lmbmd pa"
    ) as e:
        check_coverage(["Li", "FSI", "DME"], formulation, {})
    assert "lmbmd parametrize DME --smiles 'COCCOC' (" in str(e.value)
    with pytest.raises(LmbmdError, match=r"sage-clp-2.1.0 has no EC. No released set has them all"):
        check_coverage(["EC"], formulation, {})
    check_coverage(["Li", "FSI"], formulation, {})


def test_the_released_sets_cover_what_their_manifests_list():
    folders = [path.parent for path in force_fields_folder().glob("*/manifest.yaml")]
    listed = {folder.name: {xml.stem for xml in folder.glob("*.xml")} for folder in folders}
    assert {name: one.species for name, one in released_sets().items()} == listed


@pytest.mark.parametrize("bottle", ["solvents: {%s: rest}", "solvents: {DME: %s}", "size: %s", "%s: 3", "title: [%s]"])
def test_errors_from_user_text_stay_short(tmp_path, bottle):
    error = failing(tmp_path, STUDY, bottle % ("D" * 900))
    assert "DDDDD" in str(error) or "200 characters" in str(error)
    assert len(error.what) < 200
