"""Sweeps: readable names that stay, the bottles they make, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from benchmarks import scale
from lmbmd.core.errors import LmbmdError
from lmbmd.formulation.models import load_formulation
from lmbmd.formulation.sweeps import load_formulations
from lmbmd.study.study import load_study

BASE = "salts: {LiFSI: 1 mol/L of solution}\nsolvents: {DME: rest}\nsize: {ion_pairs: 20}\n"
PARTS = (
    "title: EC and more\nsalts: {LiPF6: 1 mol/kg}\nsolvents: {EC: 3 volume parts, EMC: 7 volume parts}\n"
    "additives: {FEC: 2 wt%}\nsize: {ion_pairs: 30, tolerance: 0.2}\n"
)


def bottles(folder: Path, text: str, **more):
    path = folder / "dme.yaml"
    path.write_text(text, encoding="utf-8")
    return {bottle.name: bottle for bottle in load_formulations(path, **more)}


def refusal(folder: Path, text: str, **more) -> str:
    with pytest.raises(LmbmdError) as error:
        bottles(folder, text, **more)
    return str(error.value)


def test_every_combination_is_a_bottle_whose_name_says_what_it_is(tmp_path):
    sweep = (
        "sweep:\n  ion_charge_scale: [0.8, 1.0]\n  salts.LiFSI: [1 mol/L of solution, 2 mol/L of solvent, 3 mol/kg]\n"
    )
    made = bottles(tmp_path, BASE + sweep)
    assert list(made) == [
        f"dme.lifsi-{amount}.scale-{scale}"
        for amount, scale in itertools.product(("1molar", "2molar-solvent", "3molal"), ("0.8", "1"))
    ]
    one = made["dme.lifsi-2molar-solvent.scale-1"]
    assert (str(one.salts["LiFSI"]), one.ion_charge_scale) == ("2 mol/L of solvent", 1.0)
    assert one.title == "dme: LiFSI 2 mol/L of solvent, ion_charge_scale 1.0"
    assert one.sweep == {}


def test_a_name_depends_on_nothing_but_the_bottles_own_values(tmp_path):
    few = bottles(tmp_path, BASE + "sweep: {salts.LiFSI: [1 mol/L of solution, 2 mol/L of solution]}\n")
    more = "sweep: {salts.LiFSI: [3 mol/kg, 2 mol/L of solution, 1.5 mol/L of solution, 1 mol/L of solution]}\n"
    many = bottles(tmp_path, BASE + more)
    assert {name: many[name].recipe() for name in few} == {name: one.recipe() for name, one in few.items()}
    # Nor on the order in which the keys stand.
    a, b = "salts.LiFSI: [1 mol/kg]", "ion_charge_scale: [0.8]"
    first = bottles(tmp_path, f"{BASE}sweep:\n  {a}\n  {b}\n")
    assert first.keys() == bottles(tmp_path, f"{BASE}sweep:\n  {b}\n  {a}\n").keys() == {"dme.lifsi-1molal.scale-0.8"}


def test_temperatures_stay_state_points_of_one_bottle(tmp_path):
    (one,) = bottles(tmp_path, BASE + "sweep: {temperature_K: [280, 298.15, 320]}\n").values()
    assert (one.name, one.temperatures) == ("dme", ("280", "298.15", "320"))


def test_a_ratio_a_size_and_a_component_left_out(tmp_path):
    sweep = (
        "sweep:\n  solvents.EC:EMC: ['3:7 volume parts', '1:1 mass parts']\n  additives.FEC: [none, 2 wt%, 5 vol%]\n"
        "  size.ion_pairs: [30, 60]\n"
    )
    made = bottles(tmp_path, PARTS + sweep)
    assert len(made) == 12
    one = made["dme.ec-1mass-emc-1mass.no-fec.60-pairs"]
    assert {name: str(amount) for name, amount in one.solvents.items()} == {"EC": "1 mass parts", "EMC": "1 mass parts"}
    assert (one.additives, one.size.ion_pairs, one.size.tolerance) == ({}, 60, 0.2)
    assert one.title == "EC and more: EC 1 mass parts, EMC 1 mass parts, no FEC, ion_pairs 60"
    assert str(made["dme.ec-3vol-emc-7vol.fec-5volpct.30-pairs"].additives["FEC"]) == "5 vol%"


def test_a_whole_section_is_swept_one_component_instead_of_another(tmp_path):
    text = "salts: {LiFSI: 1 mol parts}\nsolvents: {DME: 1.2 mol parts}\nsize: {ion_pairs: 50}\n"
    sweep = "sweep:\n  diluents: [none, {TTE: 3 mol parts}, {BTFE: 1.5 mol parts, TTE: 1.5 mol parts}]\n"
    made = bottles(tmp_path, text + sweep)
    assert list(made) == ["dme.no-diluents", "dme.tte-3mol", "dme.btfe-1.5mol-tte-1.5mol"]
    assert [list(one.diluents) for one in made.values()] == [[], ["TTE"], ["BTFE", "TTE"]]


def test_a_sweep_under_defaults_is_for_all_bottles_without_one_of_their_own(tmp_path):
    config = "study: s\nformulations: bottles\ndefaults: {sweep: {ion_charge_scale: [0.8, 1.0]}}\n"
    (tmp_path / "config.yaml").write_text(config, encoding="utf-8")
    (tmp_path / "bottles").mkdir()
    size = BASE.replace("20", "30")
    (tmp_path / "bottles" / "a.yaml").write_text(size, encoding="utf-8")
    (tmp_path / "bottles" / "b.yaml").write_text(size + "sweep: {seed: [1, 2]}\n", encoding="utf-8")
    study = load_study(tmp_path / "config.yaml")
    assert study.names == ("a.scale-0.8", "a.scale-1", "b.seed-1", "b.seed-2")
    scales = [study.composition(name).ion_charge_scale for name in study.names]
    assert scales == [0.8, 1.0, 0.7, 0.7], "the second bottle has what its force field proposes"
    seeds = {seed for run in study.runs() for seed in study.spec(*run)["seeds"].values()}
    assert len(seeds) == 4 * 3
    alone = load_study(tmp_path / "config.yaml", only="b.seed-2")
    assert alone.names == ("b.seed-2",)
    assert alone.composition("b.seed-2") == study.composition("b.seed-2")


@pytest.mark.parametrize(
    ("sweep", "said"),
    [
        (
            "salts.LiFS: [1 mol/kg]",
            "dme.yaml:sweep.salts.LiFS (line 5): value 1: the bottle has no 'LiFS' under 'salts'",
        ),
        (
            "ion_charge_scale: [0.8, 2.0]",
            "sweep.ion_charge_scale (line 5): value 2: 2.0 is out of range. Give at most 1",
        ),
        ("salts.LiFSI: [1 mol/kg, 1 M]", "value 2: '1 M' does not say what the litre is a litre of"),
        ("temperature_K: [298.15, 25]", "sweep.temperature_K (line 5): value 1: 25 is out of range"),
        ("ion_charge_scale: [0.8, 0.8]", "it makes 'dme.scale-0.8' twice. Give each value once."),
        ("charge_scale: [0.8]", "'charge_scale' cannot be swept. Did you mean 'ion_charge_scale'?"),
        ("replicas: [1, 2]", "'replicas' cannot be swept"),
        ("seed: 3", "'seed' has no list of values. Write 'seed: [value, value]'."),
        ("seed: []", "'seed' has no list of values"),
        ("at_most: few", "'few' is not a whole number"),
        ("diluents: [TTE]", "'TTE' is no section. Write 'diluents: [{NAME: amount}, …]'."),
        ("force_field: [sage clp]", "'sage clp' is not a name"),
        ("salts.LiFSI: [none]\n  solvents: [none]", "the bottle is empty"),
        ("solvents: [{DME: rest}]\n  solvents.DME: [rest]", "single amounts of 'solvents' are swept as well"),
    ],
)
def test_a_bad_sweep_is_refused_with_its_place(tmp_path, sweep, said):
    assert said in refusal(tmp_path, f"{BASE}sweep:\n  {sweep}\n")


def test_too_many_bottles_need_consent(tmp_path):
    seeds = f"seed: {list(range(60))}\n  ion_charge_scale: [0.8, 1.0]"
    said = refusal(tmp_path, f"{BASE}sweep:\n  {seeds}\n")
    assert "it makes 120 bottles, more than 100" in said and "'at_most: 120'" in said
    assert len(bottles(tmp_path, f"{BASE}sweep:\n  {seeds}\n  at_most: 120\n")) == 120
    # Temperatures make no bottles, so they do not count.
    assert (
        len(bottles(tmp_path, f"{BASE}sweep:\n  temperature_K: {[200 + i for i in range(60)]}\n  seed: [1, 2]\n")) == 2
    )


def test_a_fault_of_one_bottle_names_it(tmp_path):
    (tmp_path / "config.yaml").write_text("study: s\nformulations: dme.yaml\n", encoding="utf-8")
    bottles(tmp_path, BASE + "sweep: {salts.LiFSI: [1 mol/L of solution, 16 mol/L of solution]}\n")
    with pytest.raises(LmbmdError) as error:
        load_study(tmp_path / "config.yaml")
    assert "(dme.lifsi-16molar)" in str(error.value) and "one litre of solution cannot hold this" in str(error.value)


def test_a_sweep_is_not_one_bottle(tmp_path):
    bottles(tmp_path, BASE + "sweep: {seed: [1, 2]}\n")
    with pytest.raises(LmbmdError, match="this file is a sweep"):
        load_formulation(tmp_path / "dme.yaml")


def test_a_name_that_would_be_too_long_is_refused(tmp_path):
    path = tmp_path / f"{'x' * 75}.yaml"
    path.write_text(BASE + "sweep: {ion_charge_scale: [0.8]}\n", encoding="utf-8")
    with pytest.raises(LmbmdError, match="is too long"):
        load_formulations(path)


def test_a_new_value_leaves_what_decides_a_rerun_of_the_others(tmp_path):
    (tmp_path / "config.yaml").write_text("study: s\nformulations: dme.yaml\n", encoding="utf-8")
    text = BASE.replace("20", "30") + "sweep: {ion_charge_scale: "
    bottles(tmp_path, text + "[0.8, 1.0]}\n")
    before = load_study(tmp_path / "config.yaml")
    bottles(tmp_path, text + "[0.7, 1.0, 0.8]}\n")
    after = load_study(tmp_path / "config.yaml")
    assert set(after.names) - set(before.names) == {"dme.scale-0.7"}
    for name in before.names:
        for told in ("recipe_text", "describe_text", "words_text"):
            assert getattr(after, told)(name) == getattr(before, told)(name)
        assert after.spec_text(name, "298.15", 1) == before.spec_text(name, "298.15", 1)


@pytest.mark.slow
def test_a_new_value_runs_only_itself(tmp_path):
    folder = tmp_path / "config" / "formulations"
    folder.mkdir(parents=True)
    (tmp_path / "config" / "config.yaml").write_text(scale.STUDY, encoding="utf-8")
    text = BASE.replace("20", "30")
    (folder / "dme.yaml").write_text(text + "sweep: {ion_charge_scale: [0.8, 1.0]}\n", encoding="utf-8")
    scale.pretend_finished(tmp_path)
    (folder / "dme.yaml").write_text(text + "sweep: {ion_charge_scale: [0.7, 0.8, 1.0]}\n", encoding="utf-8")
    measured = scale.snakemake(tmp_path, "--dry-run")
    planned = [line for line in measured.text.splitlines() if line.strip().startswith("wildcards:")]
    assert planned and all("formulation=dme.scale-0.7" in line for line in planned)
    assert measured.jobs["simulate"] == measured.jobs["report"] == 1
