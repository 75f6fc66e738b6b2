"""Planning many bottles at once: how many jobs, and of which. Seconds are measured by benchmarks/scale.py."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from benchmarks import scale
from lmbmd.core.errors import LmbmdError
from lmbmd.study.study import load_study

pytestmark = pytest.mark.slow

FORMULATIONS, REPLICAS = 40, 3
PER_BOTTLE = {"compose": 1, "build": REPLICAS, "simulate": REPLICAS, "contacts": REPLICAS}
PER_BOTTLE |= {"describe": 1, "report": 1}
DRY = ("--dry-run", "--quiet", "host")


def of(bottles: int) -> dict[str, int]:
    """All jobs of so many bottles, without those of the whole study."""
    return {rule: n * bottles for rule, n in PER_BOTTLE.items()}


@pytest.fixture(scope="module")
def new(tmp_path_factory) -> Path:
    """A study that has not begun."""
    study = tmp_path_factory.mktemp("new")
    scale.write_study(study, FORMULATIONS, REPLICAS)
    return study


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A study that Snakemake takes for finished."""
    study = tmp_path_factory.mktemp("finished")
    scale.write_study(study, FORMULATIONS, REPLICAS)
    scale.pretend_finished(study)
    return study


def test_every_bottle_has_its_jobs_and_the_study_one_index(new):
    assert scale.snakemake(new, *DRY).jobs == {**of(FORMULATIONS), "index": 1, "all": 1}


def test_what_is_printed_of_a_job_with_hundreds_of_files_is_short(new):
    lines = scale.snakemake(new, "--dry-run").text.splitlines()
    assert max(map(len, lines)) < 2000, max(lines, key=len)[:300]
    assert any("input: results/index.html" in line and line.endswith(" more") for line in lines)


def test_a_batch_is_a_tenth_of_the_bottles(new):
    jobs = scale.snakemake(new, *DRY, "--batch", "index=1/10").jobs
    assert jobs == of(FORMULATIONS // 10), "the index waits for the last batch"


def test_a_finished_study_has_nothing_to_do(finished):
    measured = scale.snakemake(finished, *DRY)
    assert measured.jobs == {} and "Nothing to be done" in measured.text


def test_a_new_formulation_runs_only_itself(finished, tmp_path):
    study = tmp_path / "study"
    shutil.copytree(finished, study)
    name = scale.write_bottle(study, FORMULATIONS, REPLICAS)
    measured = scale.snakemake(study, "--dry-run")
    assert measured.jobs == {**of(1), "index": 1, "all": 1}
    planned = [line for line in measured.text.splitlines() if line.strip().startswith("wildcards:")]
    assert len(planned) == sum(PER_BOTTLE.values())
    assert all(f"formulation={name}" in line for line in planned)


def test_a_changed_recipe_runs_only_its_bottle(finished, tmp_path):
    study = tmp_path / "study"
    shutil.copytree(finished, study)
    recipe = study / "config" / "formulations" / "bottle-00007.yaml"
    recipe.write_text(
        recipe.read_text(encoding="utf-8").replace("DOL: 1 mol parts", "DOL: 1.5 mol parts"), encoding="utf-8"
    )
    jobs = scale.snakemake(study, *DRY).jobs
    assert jobs == {**of(1), "index": 1, "all": 1}


def test_one_bottle_of_many_is_read_alone(new, tmp_path):
    study = Path(shutil.copytree(new / "config", tmp_path / "config")) / "config.yaml"
    name = "bottle-00007"
    whole, alone = load_study(study), load_study(study, only=name)
    assert alone.names == (name,) and len(whole.names) == FORMULATIONS
    assert alone.spec(name, "298.15", 2) == whole.spec(name, "298.15", 2)
    assert alone.composition(name) == whole.composition(name)
    with pytest.raises(LmbmdError, match="no formulation 'bottle-7'"):
        load_study(study, only="bottle-7").composition("bottle-7")


def test_a_thousand_bottles_are_planned_in_moderate_memory(tmp_path):
    """12 002 jobs; measured 380 MB."""
    scale.write_study(tmp_path, 1000, REPLICAS)
    measured = scale.snakemake(tmp_path, "--dry-run", "--quiet", "rules", "host")
    assert sum(measured.jobs.values()) == 12 * 1000 + 2
    assert measured.peak_MB < 600
