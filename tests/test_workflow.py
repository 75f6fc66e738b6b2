"""The whole pipeline as a user runs it: real packing, real MD, a real report, on the smallest box that is allowed."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

ROOT = Path(__file__).parent.parent

STUDY = """
study: tiny
formulations: formulations
protocol:
  equilibration_ns: 0.002
  max_equilibration_ns: 0.002
  production_ns: 0.006
  frame_interval_ps: 0.5
  state_interval_ps: 0.5
"""
BOTTLE = """
salts: {LiFSI: 1 mol/L of solution}
solvents: {DME: rest}
size: {ion_pairs: 7, tolerance: 0.2}
"""


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", ROOT / "Snakefile", "--directory", folder]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, timeout=600)


def planned(folder: Path) -> dict[str, int]:
    """Jobs that a dry-run would do, by rule."""
    run = snakemake(folder, "--dry-run", "--quiet", "host")
    assert run.returncode == 0, run.stdout + run.stderr
    text = run.stdout + run.stderr
    if "Nothing to be done" in text:
        return {}
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", text.split("Job stats:")[1].split("\n\n")[0], flags=re.MULTILINE))
    return {rule: int(n) for rule, n in jobs.items() if rule not in ("total", "all")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A study that has been run."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "config" / "formulations").mkdir(parents=True)
    (folder / "config" / "config.yaml").write_text(STUDY)
    (folder / "config" / "formulations" / "tiny.yaml").write_text(BOTTLE)
    run = snakemake(folder)
    assert run.returncode == 0, run.stdout + run.stderr
    return folder


@pytest.fixture
def study(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished study, to be changed."""
    shutil.copytree(finished, tmp_path / "study", symlinks=True)
    return tmp_path / "study"


def edit(study: Path, old: str, new: str, file: str = "config.yaml") -> None:
    path = study / "config" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_study_ends_in_a_report_on_real_md(finished):
    run = finished / "results" / "tiny" / "298.15K" / "r1"
    state = pd.read_csv(run / "state.csv")
    production = state[state.iloc[:, 0] > 0]
    assert 0.7 < production["density_g_cm3"].iloc[-1] < 1.2, "this is no liquid electrolyte"
    rows = pd.read_parquet(finished / "results" / "tiny" / "298.15K" / "descriptors.parquet")
    shell = rows.set_index(["name", "species"])["value"]
    donors = shell.get(("cn_atoms", "DME:O_ether"), shell.filter(like="cn").max())
    assert 1 < donors < 7, "Li⁺ in DME is bound to ether oxygens"
    index = (finished / "results" / "index.html").read_text()
    assert "tiny/report.html" in index
    assert "<svg" in (finished / "results" / "tiny" / "report.html").read_text()


def test_a_finished_study_has_nothing_to_do(finished):
    assert planned(finished) == {}


def test_a_comment_reruns_nothing(study):
    edit(study, "study: tiny", "study: tiny   # a comment")
    assert planned(study) == {}


def test_a_changed_analysis_option_reruns_the_analysis_only(study):
    (study / "config" / "config.yaml").write_text(STUDY + "analysis: {cutoff_shift_A: 0.2}\n")
    assert planned(study) == {"describe": 1, "report": 1, "index": 1}


def test_a_changed_search_radius_reruns_contacts_but_no_md(study):
    (study / "config" / "config.yaml").write_text(STUDY + "analysis: {search_radius_A: 5.5}\n")
    assert planned(study) == {"contacts": 1, "describe": 1, "report": 1, "index": 1}


def test_another_platform_reruns_nothing(study):
    (study / "config" / "config.yaml").write_text(STUDY + "platform: {name: Reference}\n")
    assert planned(study) == {}


def test_an_added_formulation_runs_only_itself(study):
    (study / "config" / "formulations" / "other.yaml").write_text(BOTTLE)
    once = ("compose", "spec", "build", "simulate", "contacts", "describe", "report", "index")
    assert planned(study) == dict.fromkeys(once, 1)
    dry = snakemake(study, "--dry-run")
    assert "results/tiny/298.15K" not in dry.stdout + dry.stderr


def test_a_second_replica_keeps_the_first(study):
    edit(study, "size:", "replicas: 2\nsize:", "formulations/tiny.yaml")
    assert planned(study) == {
        "build": 1,
        "spec": 1,
        "simulate": 1,
        "contacts": 1,
        "describe": 1,
        "report": 1,
        "index": 1,
    }


def test_changed_physics_simulates_anew(study):
    edit(study, "  production_ns", "  timestep_fs: 2\n  production_ns")
    assert planned(study) == {"spec": 1, "simulate": 1, "contacts": 1, "describe": 1, "report": 1, "index": 1}


def test_a_longer_run_goes_on_where_it_ended(study):
    edit(study, "production_ns: 0.006", "production_ns: 0.008")
    run = snakemake(study)
    assert run.returncode == 0, run.stdout + run.stderr
    folder = study / "results" / "tiny" / "298.15K" / "r1"
    record = json.loads((folder / "run.json").read_text())
    described = pd.read_csv(folder.parent / "tables" / "timeseries.csv")
    times = sorted(set(described["time_ps"]))
    assert times == pytest.approx([0.5 * (i + 1) for i in range(16)])
    assert record["restarts"], "the finished run was not continued but done again"


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("config.yaml", "production_ns", "prodution_ns", ["config.yaml:protocol.prodution_ns", "production_ns"]),
        ("config.yaml", "study: tiny", "stduy: tiny", ["config.yaml:stduy", "study"]),
        ("formulations/tiny.yaml", "solvents", "solvent", ["tiny.yaml:solvent", "solvents"]),
        ("formulations/tiny.yaml", "LiFSI", "LiFSO", ["tiny.yaml", "LiFSO", "LiFSI"]),
    ],
)
def test_a_misspelt_key_stops_before_any_job(study, file, old, new, said):
    edit(study, old, new, file)
    run = snakemake(study)
    assert run.returncode != 0
    for words in said:
        assert words in run.stderr
    assert "Traceback" not in run.stderr and "Job stats" not in run.stderr
