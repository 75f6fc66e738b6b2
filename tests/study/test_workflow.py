"""The whole pipeline as a user runs it: real packing, real MD, a real report, on the smallest box that is allowed."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from planning import planned, snakemake
from snakemake.persistence import FileBackupMixin
from tiny_study import BOTTLE, PROTOCOL, write_study

import lmbmd
from lmbmd.cli.parser import main
from lmbmd.simulate import checkpoint
from lmbmd.simulate.lock import holding

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]

STUDY = f"study: tiny\nformulations: formulations\n{PROTOCOL}"
#: Where the one run of the study is, in results/ and in work/.
RUN = "tiny/298.15K/r1"


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    """A study that has been run."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder, STUDY, "tiny")
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
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_a_study_ends_in_a_report_on_real_md(finished):
    run = finished / "results" / RUN
    state = pd.read_csv(run / "state.csv")
    production = state[state.iloc[:, 0] > 0]
    assert 0.7 < production["density_g_cm3"].iloc[-1] < 1.2, "this is no liquid electrolyte"
    rows = pd.read_parquet(finished / "results" / "tiny" / "298.15K" / "descriptors.parquet")
    shell = rows.set_index(["name", "species"])["value"]
    donors = shell.get(("cn_atoms", "DME:O_ether"), shell.filter(like="cn").max())
    # Four to six in the end; up to eight in the first 6 ps of 7 Li⁺, where the minimum of g(r) is still shallow.
    assert 1 < donors < 9, "Li⁺ in DME is bound to ether oxygens"
    index = (finished / "results" / "index.html").read_text(encoding="utf-8")
    assert "tiny/report.html" in index
    assert "<svg" in (finished / "results" / "tiny" / "report.html").read_text(encoding="utf-8")


def test_a_finished_study_has_nothing_to_do(finished):
    assert planned(finished) == {}
    assert not [path for path in (finished / "logs").rglob("*.log") if not path.stat().st_size]


def test_a_comment_reruns_nothing(study):
    edit(study, "study: tiny", "study: tiny   # a comment")
    assert planned(study) == {}


def test_a_title_makes_only_pages_anew(study, monkeypatch, capsys):
    monkeypatch.chdir(study)
    bottle = study / "config" / "formulations" / "tiny.yaml"
    bottle.write_text(bottle.read_text(encoding="utf-8") + "title: A name\n", encoding="utf-8")
    assert planned(study) == {"report": 1, "index": 1}
    assert main(["why", "tiny"]) == 0
    said = capsys.readouterr().out
    assert "will not be simulated again" in said
    assert "contacts: nothing changed." in said and "description: nothing changed." in said
    run = snakemake(study, "--forcerun", "describe")
    assert run.returncode == 0, run.stdout + run.stderr
    assert planned(study) == {} and lmbmd.read(study).title == "A name, 298.15 K"


def test_a_changed_analysis_option_reruns_the_analysis_only(study):
    (study / "config" / "config.yaml").write_text(STUDY + "analysis: {cutoff_shift_A: 0.2}\n", encoding="utf-8")
    assert planned(study) == {"describe": 1, "report": 1, "index": 1}


def test_a_changed_search_radius_reruns_contacts_but_no_md(study):
    (study / "config" / "config.yaml").write_text(STUDY + "analysis: {search_radius_A: 5.5}\n", encoding="utf-8")
    assert planned(study) == {"contacts": 1, "describe": 1, "report": 1, "index": 1}


def test_a_deleted_trajectory_costs_only_what_needs_it(study, monkeypatch, capsys):
    monkeypatch.chdir(study)
    (study / "results" / RUN / "trajectory.xtc").unlink()
    assert planned(study) == {}
    edit(study, "protocol:", "analysis: {cutoff_shift_A: 0.2}\nprotocol:")
    assert planned(study) == {"describe": 1, "report": 1, "index": 1}
    assert main(["why", "tiny"]) == 0
    said = capsys.readouterr().out
    assert "will not be simulated again" in said and "cutoff_shift_A: 0.3 → 0.2" in said
    assert snakemake(study).returncode == 0
    assert (study / "results" / "tiny" / "298.15K" / "snapshots" / "snapshots.json").exists()
    edit(study, "cutoff_shift_A: 0.2", "search_radius_A: 5.5")
    assert main(["why", "tiny"]) == 0
    assert "its trajectory is not in" in capsys.readouterr().out
    shutil.rmtree(study / "work")
    assert main(["why", "tiny"]) == 0
    said = capsys.readouterr().out
    assert "deleted, and its contacts need it: it will be simulated again" in said
    assert "search_radius_A: 5.0 → 5.5" in said
    assert "simulate" in planned(study)


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_a_job_that_fails_leaves_what_was_there_and_runs_again(study):
    """With work/ gone the results are the only copy; Snakemake would delete them before the job, and if it fails."""
    shutil.rmtree(study / "work")
    before = digest(study / "results" / RUN)
    system = study / "results" / "tiny" / "r1" / "system.xml"
    whole, times = system.read_bytes(), system.stat()
    system.write_bytes(whole[:1000])
    os.utime(system, (times.st_atime, times.st_mtime))
    edit(study, "production_ns: 0.006", "production_ns: 0.012")
    run = snakemake(study)
    assert run.returncode != 0 and "system.xml" in run.stdout + run.stderr
    assert digest(study / "results" / RUN) == before
    assert planned(study) == {"simulate": 1, "contacts": 1, "describe": 1, "report": 1, "index": 1}


def test_a_description_that_fails_leaves_the_one_before(study, monkeypatch, capsys):
    before = digest(study / "results" / "tiny")
    contacts = study / "results" / RUN / "contacts.arrow"
    whole, times = contacts.read_bytes(), contacts.stat()
    contacts.write_bytes(whole[: len(whole) // 2])
    os.utime(contacts, (times.st_atime, times.st_mtime))
    edit(study, "protocol:", "analysis: {cutoff_shift_A: 0.2}\nprotocol:")
    run = snakemake(study)
    assert run.returncode != 0
    contacts.write_bytes(whole)
    os.utime(contacts, (times.st_atime, times.st_mtime))
    assert digest(study / "results" / "tiny") == before
    assert planned(study) == {"describe": 1, "report": 1, "index": 1}
    monkeypatch.chdir(study)
    assert main(["why", "tiny"]) == 0
    told = capsys.readouterr().out
    assert "contacts: nothing changed" in told and "description: will be made again" in told
    (study / "results" / RUN / ".contacts").unlink()
    assert main(["why", "tiny"]) == 0
    assert "contacts: its last job failed or was stopped" in capsys.readouterr().out
    (study / "results" / RUN / ".contacts").touch()
    # What a killed Snakemake leaves of the copies that it makes, in the folder where Snakemake itself looks for them.
    copies = FileBackupMixin._backup_path.fget(SimpleNamespace(path=study / ".snakemake"))
    (copies / "results" / "tiny" / "298.15K" / "tables").mkdir(parents=True, exist_ok=True)
    assert snakemake(study).returncode == 0
    assert planned(study) == {}


def test_an_upgrade_says_what_it_makes_again_before_it_does(study):
    seen = study / ".snakemake" / "lmbmd_stages.json"
    stages = json.loads(seen.read_text(encoding="utf-8"))
    seen.write_text(json.dumps({**stages, "CONTACTS": "contacts/0"}), encoding="utf-8")
    edit(study, "protocol:", "analysis: {cutoff_shift_A: 0.2}\nprotocol:")  # something to do
    run = snakemake(study)
    assert run.returncode == 0
    assert "method changed from contacts/0 to" in run.stderr and "but no simulation will be made again" in run.stderr
    assert json.loads(seen.read_text(encoding="utf-8")) == stages


def test_another_platform_reruns_nothing(study):
    (study / "config" / "config.yaml").write_text(STUDY + "platform: {name: Reference}\n", encoding="utf-8")
    assert planned(study) == {}


def test_runs_share_a_node_by_one_option_which_reruns_nothing(study):
    """Two replicas are simulated at once, each on cores of its own; that is one option, and no physics."""
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("needs two cores")
    (study / "config" / "config.yaml").write_text(STUDY + "platform: {runs_per_device: 2}\n", encoding="utf-8")
    assert planned(study) == {}
    edit(study, "formulations: formulations", "formulations: formulations\ndefaults: {replicas: 3}")
    assert planned(study)["simulate"] == 2
    run = snakemake(study, "--cores", "2")
    assert run.returncode == 0, run.stdout + run.stderr
    at = [study / "results" / "tiny" / "298.15K" / f"r{replica}" / "run.json" for replica in (2, 3)]
    sessions = [json.loads(path.read_text(encoding="utf-8"))["sessions"] for path in at]
    # One after the other, both would have had the first cores of this host.
    assert [len(session["cores"]) for (session,) in sessions] == [1, 1]
    assert not set(sessions[0][0]["cores"]) & set(sessions[1][0]["cores"])


def test_another_version_of_a_package_reruns_nothing(study, tmp_path):
    """Versions are recorded, not compared: only what changes a method raises a stage's number."""
    (tmp_path / "sitecustomize.py").write_text(
        "from importlib import metadata\n"
        "true = metadata.version\n"
        "metadata.version = lambda name: '99.0' if name in ('openmm', 'numpy', 'lmbmd') else true(name)\n",
        encoding="utf-8",
    )
    check = [sys.executable, "-c", "from lmbmd.core.provenance import versions; print(versions()['openmm'])"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    assert subprocess.run(check, env=environment, capture_output=True, encoding="utf-8", check=False).stdout == "99.0\n"
    assert planned(study, PYTHONPATH=str(tmp_path)) == {}


@pytest.fixture
def reworded(tmp_path) -> Path:
    """The workflow with another log flag in the command line of the MD."""
    workflow = tmp_path / "workflow"
    workflow.mkdir()
    for name in ("workflow", "profiles"):
        shutil.copytree(ROOT / name, workflow / name)
    shutil.copy(ROOT / "Snakefile", workflow)
    rule = workflow / "workflow" / "rules" / "simulate.smk"
    text = rule.read_text(encoding="utf-8")
    assert text.count(" --log {log:q}") == 1
    rule.write_text(text.replace(" --log {log:q}", " --log={log:q}"), encoding="utf-8")
    return workflow


def test_a_reworded_command_reruns_nothing(study, reworded):
    assert planned(study, workflow=reworded) == {}


def test_even_a_forced_run_of_a_finished_md_does_no_step_of_it(study, reworded):
    """Without our profile Snakemake sees the new words, deletes the results and runs the rule."""
    folder = study / "results" / RUN
    before = {name: (folder / name).read_bytes() for name in ("trajectory.xtc", "state.csv", "final.pdb")}
    sessions = json.loads((folder / "run.json").read_text(encoding="utf-8"))["sessions"]
    arguments = ("--workflow-profile", "none", "--cores", "1", "--until", "simulate")
    run = snakemake(study, *arguments, workflow=reworded)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "rule simulate" in run.stdout + run.stderr and "Code has changed" in run.stdout + run.stderr
    assert {name: (folder / name).read_bytes() for name in before} == before
    assert json.loads((folder / "run.json").read_text(encoding="utf-8"))["sessions"] == sessions


def test_analysis_done_again_gives_the_same_bytes(study):
    def written() -> dict[Path, tuple[bytes, int]]:
        """Content and age of every file that contacts and describe write."""
        point, run = study / "results" / RUN.rpartition("/")[0], study / "results" / RUN
        files = [run / "contacts.arrow", run / "rdf.npz", *point.glob("desc*"), *point.glob("[ts]*/*")]
        return {file: (file.read_bytes(), file.stat().st_mtime_ns) for file in files if file.name[0] != "."}

    before = written()
    assert len(before) > 20
    run = snakemake(study, "--forcerun", "contacts", "--until", "describe")
    assert run.returncode == 0, run.stdout + run.stderr
    after = written()
    assert {file: content for file, (content, _) in after.items()} == {f: content for f, (content, _) in before.items()}
    assert not {age for _, age in after.values()} & {age for _, age in before.values()}, "nothing was done again"


def test_an_added_formulation_runs_only_itself(study):
    (study / "config" / "formulations" / "other.yaml").write_text(BOTTLE, encoding="utf-8")
    once = ("compose", "build", "simulate", "contacts", "describe", "report", "index")
    assert planned(study) == dict.fromkeys(once, 1)
    dry = snakemake(study, "--dry-run")
    outputs = [line for line in (dry.stdout + dry.stderr).splitlines() if line.strip().startswith("output:")]
    assert len(outputs) >= len(once) and not any("results/tiny" in line for line in outputs)


def test_a_second_replica_keeps_the_first(study):
    edit(study, "size:", "replicas: 2\nsize:", "formulations/tiny.yaml")
    assert planned(study) == {
        "build": 1,
        "simulate": 1,
        "contacts": 1,
        "describe": 1,
        "report": 1,
        "index": 1,
    }


def test_changed_physics_simulates_anew_and_the_old_run_comes_back_with_it(study):
    old = (study / "results" / RUN / "trajectory.xtc").read_bytes()
    edit(study, "  production_ns: 0.006", "  production_ns: 0.001\n  friction_per_ps: 2")
    assert planned(study) == {"simulate": 1, "contacts": 1, "describe": 1, "report": 1, "index": 1}
    run = snakemake(study, "--until", "simulate")
    assert run.returncode == 0, run.stdout + run.stderr
    facts = json.loads((study / "results" / RUN / "run.json").read_text("utf-8"))
    assert facts["spec"]["protocol"]["friction_per_ps"] == 2
    assert (study / "work" / f"{RUN}.replaced-1" / "trajectory.xtc").read_bytes() == old
    assert "friction_per_ps: 1.0 → 2.0" in (study / "logs" / "simulate" / "tiny.298.15K.r1.log").read_text("utf-8")

    edit(study, "  production_ns: 0.001\n  friction_per_ps: 2", "  production_ns: 0.006")
    run = snakemake(study, "--until", "simulate")
    assert run.returncode == 0, run.stdout + run.stderr
    assert (study / "results" / RUN / "trajectory.xtc").read_bytes() == old


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("config.yaml", "study: tiny", "study: tiny", "nothing of its physics changed"),
        (
            "config.yaml",
            "study: tiny",
            "study: tiny\nanalysis: {cutoff_shift_A: 0.2}",
            "nothing of its physics changed",
        ),
        ("config.yaml", "  production_ns: 0.006", "  production_ns: 0.008", "0.006 ns: it will go on to 0.008 ns"),
        ("config.yaml", "  production_ns: 0.006", "  production_ns: 0.005", "more than the 0.005 ns"),
        ("config.yaml", "  production_ns", "  timestep_fs: 2\n  production_ns", "\n  timestep_fs: 4.0 → 2.0\n"),
        ("formulations/tiny.yaml", "size:", "ion_charge_scale: 0.75\nsize:", "\n  ion_charge_scale: 0.7 → 0.75\n"),
        ("formulations/tiny.yaml", "ion_pairs: 7", "ion_pairs: 8", "\n  counts.Li: 7 → 8\n"),
        ("formulations/tiny.yaml", "size:", "temperature_K: 310\nsize:", "tiny 310 K r1 not begun"),
    ],
)
def test_why_says_what_differs_from_the_finished_run(study, monkeypatch, capsys, file, old, new, said):
    edit(study, old, new, file)
    monkeypatch.chdir(study)
    assert main(["why", "tiny"]) == 0
    assert said in capsys.readouterr().out


def test_why_looks_at_the_checkpoint_of_an_unfinished_run(study, monkeypatch, capsys):
    (study / "results" / RUN / "run.json").unlink()
    edit(study, "  production_ns: 0.006", "  production_ns: 0.008\n  friction_per_ps: 2")
    monkeypatch.chdir(study)
    assert main(["why", "tiny", "298.15", "1"]) == 0
    told = capsys.readouterr().out
    assert "interrupted in stage produce after 0.006 ns" in told and "friction_per_ps: 1.0 → 2.0" in told


def test_why_says_that_a_run_is_going_on_and_does_not_touch_it(study, monkeypatch, capsys):
    edit(study, "  production_ns: 0.006", "  production_ns: 0.008")
    monkeypatch.chdir(study)
    work = study / "work" / RUN
    with holding(work, print):
        before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in work.iterdir()}
        assert main(["why", "tiny"]) == 0
        told = capsys.readouterr().out
        assert f"running now, by process {os.getpid()} on " in told
        assert "at its last checkpoint in stage produce after 0.006 ns" in told
        (work / checkpoint.CURRENT).rename(work / "kept")
        (work / checkpoint.PREVIOUS).rename(work / "kept.previous")
        (study / "results" / RUN / "run.json").unlink()
        assert main(["why", "tiny"]) == 0
        assert "no checkpoint yet" in capsys.readouterr().out
        (work / "kept").rename(work / checkpoint.CURRENT)
        (work / "kept.previous").rename(work / checkpoint.PREVIOUS)
        assert {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in work.iterdir()} == before
    assert main(["why", "tiny"]) == 0
    assert "running now" not in capsys.readouterr().out


def test_why_between_the_two_renames_of_a_checkpoint_sees_the_one_before(study, monkeypatch, capsys):
    (study / "results" / RUN / "run.json").unlink()
    work = study / "work" / RUN
    (work / checkpoint.CURRENT).rename(work / checkpoint.PREVIOUS)
    monkeypatch.chdir(study)
    assert main(["why", "tiny"]) == 0
    assert "interrupted in stage produce after 0.006 ns" in capsys.readouterr().out


def test_why_of_a_run_with_damaged_checkpoints_says_what_is_wrong_with_each(study, monkeypatch, capsys):
    (study / "results" / RUN / "run.json").unlink()
    work = study / "work" / RUN
    (work / checkpoint.CURRENT).write_bytes(b"nonsense")
    (work / checkpoint.PREVIOUS).unlink()
    (work / checkpoint.PREVIOUS).mkdir()
    monkeypatch.chdir(study)
    assert main(["why", "tiny"]) == 2
    told = " ".join(capsys.readouterr().err.split())
    assert "no checkpoint is usable: checkpoint: it is no checkpoint of this version of lmbmd" in told
    assert "checkpoint.previous: it cannot be read: Is a directory" in told


def test_why_of_a_run_that_is_not_in_the_study_names_those_that_are(study, monkeypatch, capsys):
    monkeypatch.chdir(study)
    assert main(["why", "tiny", "300"]) == 2
    assert "'tiny' is not simulated at 300 K. Valid: 298.15." in capsys.readouterr().err


def test_a_longer_run_goes_on_where_it_ended(study):
    edit(study, "production_ns: 0.006", "production_ns: 0.008")
    run = snakemake(study)
    assert run.returncode == 0, run.stdout + run.stderr
    folder = study / "results" / RUN
    record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
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
