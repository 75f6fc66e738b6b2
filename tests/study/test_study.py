"""Studies: defaults, the workflow's questions, seeds, and what is generated from the models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bottles import LIBRARY, bottle, bottle_file

from lmbmd.analysis.options import AnalysisOptions, DescribeOptions
from lmbmd.analysis.scan.options import ContactOptions
from lmbmd.box.build import packing_seed
from lmbmd.core.errors import LmbmdError
from lmbmd.data.library import Salt, Species, load_library
from lmbmd.formulation.composition import compose
from lmbmd.formulation.resolve import find_components
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import Protocol
from lmbmd.study.schemas import generated
from lmbmd.study.study import Run, load_study, load_study_or_exit

ROOT = Path(__file__).parents[2]
DME = "solvents: {DME: rest}\nsize: {box_edge_nm: 2.5}\n"
SALT = "salts: {LiFSI: 1 mol/L of solution}\n"


def study_file(folder: Path, config: str = "", **bottles: str) -> Path:
    for name, text in (bottles or {"dme": DME}).items():
        (folder / "bottles").mkdir(exist_ok=True)
        (folder / "bottles" / f"{name}.yaml").write_text(text, encoding="utf-8")
    path = folder / "config.yaml"
    path.write_text(f"study: test\nformulations: bottles\n{config}", encoding="utf-8")
    return path


def test_the_demo_study_is_two_small_boxes_of_the_asked_recipes():
    study = load_study(ROOT / "config" / "config.yaml")
    assert study.names == ("lifsi-dme", "lifsi-dme-tte")
    lhce = study.composition("lifsi-dme-tte").counts
    assert 5 * lhce["DME"] == 6 * lhce["Li"]
    assert lhce["TTE"] == 3 * lhce["Li"]
    for name in study.names:
        box = study.composition(name)
        assert 1200 <= box.n_atoms <= 2500
        assert box.box_edge_A >= 24
        assert max(abs(r.relative_error) for r in box.asked_realised) < 0.01
        assert (box.force_field, box.ion_charge_scale) == ("sage-clp-2.1.0", 0.7)
    assert study.runs() == [Run(name, "298.15", 1) for name in study.names]


def test_a_bottles_key_wins_over_the_studys_which_wins_over_ours(tmp_path):
    config = "defaults: {replicas: 2, temperature_K: [280, 300], size: {ion_pairs: 99, tolerance: 0.2}}\n"
    study = load_study(study_file(tmp_path, config, a=DME + "replicas: 3\n", b=SALT + "solvents: {DME: rest}\n"))
    a, b = study.formulation("a"), study.formulation("b")
    assert (a.replicas, a.temperature_K, a.pressure_bar) == (3, (280, 300), 1.0)
    assert (b.replicas, b.size.ion_pairs, b.size.tolerance) == (2, 99, 0.2)
    # Keys are replaced whole: the bottle's size does not inherit the study's tolerance.
    assert (a.size.box_edge_nm, a.size.ion_pairs, a.size.tolerance) == (2.5, None, 0.05)


def test_a_study_lists_its_runs(tmp_path):
    study = load_study(study_file(tmp_path, "", b=DME, a=DME + "temperature_K: [298.15, 333]\nreplicas: 2\n"))
    assert study.names == ("a", "b")
    assert study.runs() == [
        Run("a", "298.15", 1),
        Run("a", "298.15", 2),
        Run("a", "333", 1),
        Run("a", "333", 2),
        Run("b", "298.15", 1),
    ]
    assert list(study.replicas("a")) == [1, 2]
    assert study.temperatures("a") == ("298.15", "333")


def test_a_spec_holds_the_physics_of_one_run(tmp_path):
    study = load_study(study_file(tmp_path, "protocol: {timestep_fs: 2}\n", a=DME + "temperature_K: [280, 300]\n"))
    spec = study.spec("a", "300", "1")
    assert (spec["temperature_K"], spec["pressure_bar"], spec["protocol"]["timestep_fs"]) == (300.0, 1.0, 2.0)
    assert set(spec) == {"temperature_K", "pressure_bar", "protocol", "seeds"}
    assert json.loads(study.spec_text("a", "300", "1")) == spec


def test_every_run_and_purpose_has_a_seed_of_its_own(tmp_path):
    study = load_study(study_file(tmp_path, "defaults: {replicas: 3, temperature_K: [280, 300]}\n", a=DME, b=DME))
    seeds = [seed for run in study.runs() for seed in study.spec(*run)["seeds"].values()]
    seeds += [packing_seed(study.composition(name), r) for name in study.names for r in study.replicas(name)]
    assert len(set(seeds)) == len(seeds) == 2 * 2 * 3 * 3 + 2 * 3
    again = load_study(study.path)
    assert [again.spec(*run) for run in again.runs()] == [study.spec(*run) for run in study.runs()]
    assert packing_seed(again.composition("a"), 2) == packing_seed(study.composition("a"), 2)


def test_another_seed_moves_every_random_number(tmp_path):
    first = load_study(study_file(tmp_path, "", a=DME))
    second = load_study(study_file(tmp_path, "defaults: {seed: 2}\n", a=DME))
    assert not set(first.spec("a", "298.15", 1)["seeds"].values()) & set(
        second.spec("a", "298.15", 1)["seeds"].values()
    )
    assert packing_seed(first.composition("a"), 1) != packing_seed(second.composition("a"), 1)


TEXTS = ("recipe", "spec", "contacts", "describe")


def texts(study) -> dict[str, str]:
    name = study.names[0]
    return {
        "recipe": study.recipe_text(name),
        "spec": study.spec_text(name, study.temperatures(name)[0], 1),
        "contacts": study.contacts_text(),
        "describe": study.describe_text(name),
    }


@pytest.mark.parametrize(
    ("config", "extra", "changed"),
    [
        ("# only a comment\n", "", set()),
        ("platform: {name: CPU, precision: double}\n", "", set()),
        ("", "title: Another title\nnotes: and a note\nsource: a paper\n", set()),
        ("", "replicas: 5\n", set()),
        ("protocol: {friction_per_ps: 2}\n", "", {"spec"}),
        ("", "pressure_bar: 2\n", {"spec"}),
        ("", "temperature_K: 310\n", {"spec"}),
        ("", "seed: 5\n", {"recipe", "spec"}),
        ("", "ion_charge_scale: 0.9\n", {"recipe"}),
        ("analysis: {search_radius_A: 6}\n", "", {"contacts"}),
        ("analysis: {frame_stride: 2}\n", "", {"contacts"}),
        ("analysis: {cutoffs_A: {'DME:O_ether': 2.7}}\n", "", {"describe"}),
        ("analysis: {cutoffs_A: {'FSI:O': 2.7, 'Li-DME:O_ether': 2.7}}\n", "", set()),  # neither Li nor FSI is in it
        ("analysis: {cipa: {min_ions: 30}}\n", "", {"describe"}),
    ],
)
def test_a_change_reaches_the_stages_that_depend_on_it_and_no_other(tmp_path, config, extra, changed):
    before = texts(load_study(study_file(tmp_path, "", a=DME)))
    after = texts(load_study(study_file(tmp_path, config, a=DME + extra)))
    assert {stage for stage in TEXTS if before[stage] != after[stage]} == changed


def test_a_corrected_density_composes_anew(tmp_path):
    path = study_file(tmp_path, "", a=DME)
    shipped = load_library()
    dme = shipped.species["DME"]
    changed = Species(**{**{f: getattr(dme, f) for f in dme.__dataclass_fields__}, "density_g_cm3": 0.87})
    other = type(shipped)({**shipped.species, "DME": changed}, shipped.salts, shipped.ambiguous)
    assert load_study(path).recipe_text("a") != load_study(path, other).recipe_text("a")


def test_how_a_bottle_is_spelt_does_not_compose_anew(tmp_path):
    first = bottle_file(tmp_path, "salts: {LiFSI: 1 M of solution}\nsolvents: {EC:EMC: 3:7 v/v}\n")
    second = bottle_file(tmp_path, "solvents: {EMC: 7 vol, EC: 3.0 volume parts}\nsalts: {LiFSI: 1.0 mol/L solution}\n")
    assert first.recipe() == {**second.recipe(), "solvents": first.recipe()["solvents"]}
    assert dict(second.recipe()["solvents"]) == dict(first.recipe()["solvents"])


def test_a_study_may_list_files_and_folders(tmp_path):
    study_file(tmp_path, "", a=DME, b=DME)
    (tmp_path / "c.yaml").write_text(DME, encoding="utf-8")
    (tmp_path / "config.yaml").write_text("study: test\nformulations: [bottles/b.yaml, c.yaml]\n", encoding="utf-8")
    assert load_study(tmp_path / "config.yaml").names == ("b", "c")


def test_a_bottle_that_the_study_does_not_have_is_an_error(tmp_path):
    study = load_study(study_file(tmp_path, "", lifsi=DME))
    with pytest.raises(LmbmdError, match=r"no formulation 'lifsy'\. Did you mean 'lifsi'\?"):
        study.composition("lifsy")
    with pytest.raises(LmbmdError, match=r"not simulated at 300 K\. Valid: 298\.15"):
        study.spec("lifsi", "300", 1)
    with pytest.raises(LmbmdError, match=r"no replica 2\. It has 1, numbered from 1"):
        study.spec("lifsi", "298.15", 2)


def test_the_snakefile_prints_an_error_and_ends(tmp_path, capsys):
    path = study_file(tmp_path, "protocl: {}\n")
    with pytest.raises(SystemExit) as ended:
        load_study_or_exit(path)
    assert ended.value.code == 2
    printed = capsys.readouterr().err
    assert "config.yaml:protocl (line 3): unknown key 'protocl'. Did you mean 'protocol'?" in printed
    assert printed.count("\n") == 1
    with pytest.raises(SystemExit):
        load_study_or_exit(study_file(tmp_path), other_keys=["replicas"])
    assert "--config: unknown key 'replicas'" in capsys.readouterr().err


def test_reading_a_study_needs_no_engine():
    """Snakemake reads the study in every job, so nothing that takes seconds to import may come with it."""
    code = "import sys, lmbmd.study.study as s; s.load_study('config/config.yaml'); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, encoding="utf-8", check=True)
    heavy = {"openmm", "rdkit", "MDAnalysis", "numba", "pandas", "pyarrow", "matplotlib", "scipy"}
    assert not heavy & set(done.stdout.split())


def test_the_analysis_takes_a_studys_options(tmp_path):
    analysis = load_study(study_file(tmp_path, "analysis: {bins_per_A: 16, frame_stride: 3}\n")).analysis
    assert analysis.frame_stride == 3
    assert analysis.contacts == ContactOptions(bins_per_A=16)
    assert analysis.describing == DescribeOptions()


def test_the_simulation_takes_a_studys_spec(tmp_path):
    from lmbmd.simulate.protocol import parse_spec

    config = "protocol: {timestep_fs: 2, anneal: {temperature_K: 350}, production_ns: 3}\n"
    study = load_study(study_file(tmp_path, config, a=DME + "temperature_K: 310\npressure_bar: 2\n"))
    spec = study.spec("a", "310", 1)
    run = parse_spec(spec, where="spec.json")
    assert (run.temperature_K, run.pressure_bar, run.timestep_fs, run.production_ns) == (310, 2, 2, 3)
    assert run.anneal.temperature_K == 350
    assert run.to_dict() == spec


def test_a_device_is_given_as_a_number_or_as_text():
    assert PlatformOptions(device_index=0) == PlatformOptions(device_index="0")
    assert PlatformOptions().device_index is None


def test_options_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        Protocol().timestep_fs = 2.0


def test_intervals_are_exact_decimal_multiples():
    """0.172 ps are 43 steps of 4 fs, though 0.172 / 0.004 is no whole number in floating point."""
    assert 0.172 / 0.004 != 43
    assert Protocol(frame_interval_ps=0.172, production_ns=0.172).frame_interval_ps == 0.172


def test_default_cutoffs_leave_room_for_the_sensitivity_table():
    options = AnalysisOptions()
    assert options.cutoff_window_A[1] + options.cutoff_shift_A <= options.search_radius_A


def test_shipped_and_generated_files_agree():
    for path, text in generated(ROOT).items():
        assert path.read_text(encoding="utf-8") == text, f"run python -m lmbmd.study.schemas for {path.name}"


def test_the_schemas_accept_the_shipped_files_and_refuse_a_misspelt_key():
    jsonschema = pytest.importorskip("jsonschema")
    from lmbmd.core.yamlfile import read_yaml

    schemas = {
        p.name.split(".")[0]: json.loads(p.read_text(encoding="utf-8"))
        for p in (ROOT / "workflow/schemas").glob("*.json")
    }
    files = {"study": [ROOT / "config/config.yaml"], "formulation": (ROOT / "config/formulations").glob("*.yaml")}
    for kind, paths in files.items():
        validator = jsonschema.Draft202012Validator(schemas[kind])
        for path in paths:
            data, _ = read_yaml(path)
            validator.validate(data)
            assert list(validator.iter_errors({**data, "protocl": {}}))
    assert not jsonschema.Draft202012Validator(schemas["formulation"]).is_valid({"title": "no components"})


@pytest.mark.parametrize("salt", ["LiFSI", "LiTFSI", "LiPF6", "LiNO3"])
def test_every_shipped_salt_composes_with_every_shipped_solvent(salt):
    library = load_library()
    for species in library.species.values():
        if species.charge == 0:
            box = compose(
                bottle(salts={salt: "1 mol/kg"}, solvents={species.name: "rest"}),
                library,
                cutoff_nm=1.0,
                ion_charge_scale=0.8,
            )
            assert box.counts["Li"] > 10


def test_a_salt_that_is_not_neutral_is_refused():
    assert isinstance(LIBRARY.salts["LiTwice"], Salt)
    with pytest.raises(LmbmdError, match=r"salts.LiTwice: the salt LiTwice is not neutral: its ions add up to \+1 e"):
        find_components(bottle(salts={"LiTwice": "1 M of solution"}, solvents={"DME": "rest"}), LIBRARY)


def test_a_molecule_without_a_density_is_refused():
    with pytest.raises(LmbmdError, match=r"solvents\.gas: gas has no density"):
        find_components(bottle(solvents={"gas": "rest"}), LIBRARY)


def test_words_of_a_bottle_are_the_reports_and_decide_no_recipe(tmp_path):
    studies = []
    for folder, text in (("plain", DME), ("named", DME + "title: Ether\n")):
        (tmp_path / folder).mkdir()
        studies.append(load_study(study_file(tmp_path / folder, a=text)))
    plain, named = studies
    assert plain.recipe_text("a") == named.recipe_text("a")
    assert plain.words_text("a") != named.words_text("a")
    assert named.words("a") == {"title": "Ether", "source": "", "notes": "", "assumptions": []}


def test_a_damaged_parameter_set_fails_the_jobs_of_its_own_bottles_only(tmp_path):
    (tmp_path / "bottles").mkdir()
    bottle = "salts: {LiFSI: 1 mol/L of solution}\nsolvents: {DME: rest}\nsize: {ion_pairs: 10}\n"
    (tmp_path / "bottles" / "theirs.yaml").write_text(bottle, encoding="utf-8")
    (tmp_path / "bottles" / "mine.yaml").write_text(bottle + "force_field: own-1.0.0\n", encoding="utf-8")
    study = tmp_path / "study.yaml"
    text = "study: two\nformulations: bottles\nanalysis: {cutoffs_A: {NEW:O: 2.8}}\n"
    study.write_text(text, encoding="utf-8")
    (tmp_path / "force_fields" / "own-1.0.0").mkdir(parents=True)
    manifest = tmp_path / "force_fields" / "own-1.0.0" / "manifest.yaml"
    manifest.write_text("extends: sage-clp-2.1.0\nspecies: {NEW: {files: {NEW.xml", encoding="utf-8")
    assert load_study(study, only="theirs").composition("theirs").counts["Li"] == 10
    for only in ("mine", None):
        with pytest.raises(LmbmdError, match=r"own-1\.0\.0/manifest\.yaml"):
            load_study(study, only=only)


@pytest.mark.parametrize(("force_field", "scale"), [("sage-clp-2.1.0", 0.7), ("opls-clp-1.1.0", 0.8)])
def test_a_bottle_that_gives_no_charge_scale_has_what_its_force_field_proposes(tmp_path, force_field, scale):
    text = f"salts: {{LiFSI: 1 mol/kg}}\nsolvents: {{DME: rest}}\nsize: {{ion_pairs: 40}}\nforce_field: {force_field}\n"
    found = []
    for folder, more in (("left", ""), ("said", f"ion_charge_scale: {scale}\n")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "bottle.yaml").write_text(text + more, encoding="utf-8")
        (tmp_path / folder / "config.yaml").write_text("study: s\nformulations: [bottle.yaml]\n", encoding="utf-8")
        found.append(load_study(tmp_path / folder / "config.yaml").composition("bottle"))
    left, said = found
    assert left.ion_charge_scale == scale
    assert left == said, "left out or said, it is the same bottle"
