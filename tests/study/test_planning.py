"""What a Snakemake on a node of a cluster reads of a study."""

from __future__ import annotations

import pytest
from planning import snakemake

from lmbmd.study.planning import bottle_of_this_job, forget_empty_logs

BOTTLE = "salts: {LiFSI: 1 mol/L of solution}\nsolvents: {DME: rest}\nsize: {ion_pairs: 20}\n"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["snakemake", "--cores", "2"], None),
        (["x", "--target-jobs", "simulate:formulation=a.1-b,temperature=298.15,replica=1", "--force"], "a.1-b"),
        (["x", "--target-jobs", "simulate:temperature=298.15,formulation=a", "describe:formulation=a", "-F"], "a"),
        (["x", "--target-jobs", "simulate:formulation=a,replica=1", "simulate:formulation=b,replica=1"], None),
        (["x", "--target-jobs", "index:", "--cores", "1"], None),
        (["x", "--target-jobs", "index:", "report:formulation=a"], None),
        (["x", "--target-jobs"], None),
    ],
)
def test_a_job_on_a_cluster_knows_its_bottle_by_its_command_line(arguments, expected):
    assert bottle_of_this_job(arguments) == expected


@pytest.mark.slow
def test_a_fault_in_one_bottle_fails_no_job_of_another_on_a_cluster(tmp_path):
    folder = tmp_path / "config" / "formulations"
    folder.mkdir(parents=True)
    (tmp_path / "config" / "config.yaml").write_text("study: two\nformulations: formulations\n", encoding="utf-8")
    (folder / "good.yaml").write_text(BOTTLE, encoding="utf-8")
    (folder / "bad.yaml").write_text(BOTTLE.replace("LiFSI", "LiFSII"), encoding="utf-8")
    # As the executor plugins start a job on its node.
    job = ["--target-jobs", "compose:formulation=good", "--allowed-rules", "compose", "--mode", "remote", "--force"]
    run = snakemake(tmp_path, *job, "--nolock", "--cores", "1")
    assert run.returncode == 0, run.stdout + run.stderr
    assert (tmp_path / "results" / "good" / "composition.json").exists()
    job[1] = "compose:formulation=bad"
    refused = snakemake(tmp_path, *job, "--nolock", "--cores", "1")
    assert refused.returncode != 0 and "LiFSII" in refused.stdout + refused.stderr


def test_logs_that_say_nothing_go_and_others_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, text in {"build/a.r1.log": "", "simulate/a.log": "said", "index.log": "", "notes.txt": ""}.items():
        (tmp_path / "logs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "logs" / name).write_text(text, encoding="utf-8")
    forget_empty_logs()
    assert {p.name for p in (tmp_path / "logs").rglob("*") if p.is_file()} == {"a.log", "notes.txt"}
