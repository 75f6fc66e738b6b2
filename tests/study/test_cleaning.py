"""What a finished study may lose: told with its bytes, asked about, and nothing else goes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.scale import write_study
from benchmarks.status import Runs
from lmbmd.cli.parser import _parser, main
from lmbmd.simulate.lock import holding
from lmbmd.study import layout
from lmbmd.study.cleaning import KINDS, freed_bytes, parts
from lmbmd.study.study import Run, load_study

SIZE = 8192


@pytest.fixture
def runs(tmp_path, monkeypatch) -> Runs:
    """A study whose first run is reported, with its trajectory in results and work, and whose others are under way."""
    monkeypatch.chdir(tmp_path)
    write_study(tmp_path, 1, 3)
    runs = Runs(tmp_path, load_study("config/config.yaml", composed=False))
    first, second, third = runs.study.runs()
    runs.finished(first)
    for run in (first, second):
        runs.begun(run, "produce", 10.0, rows=1)
        (layout.run(layout.WORK, *run) / "trajectory.xtc").write_bytes(os.urandom(SIZE))
    os.link(layout.run(layout.WORK, *first) / "trajectory.xtc", layout.run(layout.RESULTS, *first) / "trajectory.xtc")
    aside = layout.run(layout.WORK, *third).with_name("r3.replaced-1")
    aside.mkdir(parents=True)
    (aside / "trajectory.xtc").write_bytes(os.urandom(SIZE))
    return runs


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def of(runs: Runs, kind: str) -> list[str]:
    return [str(path) for part in parts(runs.study) if part.kind == kind for path in part.paths]


def first(runs: Runs, root: Path) -> Path:
    return layout.run(root, *runs.study.runs()[0])


def test_only_what_is_analysed_or_set_aside_may_go(runs):
    assert of(runs, "work") == [str(first(runs, layout.WORK))]
    assert of(runs, "replaced") == ["work/bottle-00000/298.15K/r3.replaced-1"]
    both = [first(runs, root) / "trajectory.xtc" for root in (layout.RESULTS, layout.WORK)]
    assert of(runs, "trajectories") == [str(path) for path in both]
    layout.mark(layout.point(layout.RESULTS, "bottle-00000", "298.15"), "describe").unlink()
    assert of(runs, "work") == of(runs, "trajectories") == []


def test_bytes_that_are_linked_from_elsewhere_are_not_freed(runs):
    one, two = (first(runs, root) / "trajectory.xtc" for root in (layout.RESULTS, layout.WORK))
    assert freed_bytes([one]) == freed_bytes([two]) == 0
    assert freed_bytes([one, two]) == freed_bytes([one, two, two]) == SIZE


def test_a_work_folder_with_the_last_copy_of_a_trajectory_stays(runs):
    (first(runs, layout.RESULTS) / "trajectory.xtc").unlink()
    assert of(runs, "work") == []


def test_kept_jobs_of_quantum_chemistry_go_by_their_own_name_once_the_whole_state_point_is_described(runs, capsys):
    """They are hours of PBE0, and no part of "work": who deletes checkpoints keeps them."""
    jobs = layout.quantum_jobs(layout.WORK, "bottle-00000", "298.15")
    jobs.mkdir()
    (jobs / "0123.json").write_bytes(os.urandom(SIZE))
    assert of(runs, "quantum") == []
    for run in runs.study.runs()[1:]:
        runs.finished(run)
    assert of(runs, "quantum") == [str(jobs)]
    with holding(layout.run(layout.WORK, *runs.study.runs()[1]), print):
        assert of(runs, "quantum") == []
    assert main(["clean", "work", "trajectories", "replaced", "--yes"]) == 0
    assert (jobs / "0123.json").is_file()
    capsys.readouterr()
    assert main(["clean"]) == 0
    assert "quantum: 8.19 kB in 1 place: finished jobs of quantum chemistry" in capsys.readouterr().out
    assert main(["clean", "quantum", "--yes"]) == 0
    assert not jobs.exists() and jobs.parent.is_dir()


def test_what_is_being_written_stays(runs):
    with holding(first(runs, layout.WORK), print):
        assert of(runs, "work") == of(runs, "trajectories") == []
    assert of(runs, "work")


def test_nothing_goes_unless_it_is_named_and_agreed_to(runs, capsys, monkeypatch):
    before = files(runs.folder)
    assert main(["clean"]) == 0
    said = capsys.readouterr().out
    assert (
        all(f"{kind}: " in said for kind in KINDS if kind != "quantum")
        and "8.19 kB" in said
        and "Nothing is deleted" in said
    )
    monkeypatch.setattr("sys.stdin", open(os.devnull, encoding="utf-8"))
    assert main(["clean", "work"]) == 2
    assert "--yes" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    for answer in ("", "no", "n"):
        monkeypatch.setattr("builtins.input", lambda prompt, answer=answer: answer)
        assert main(["clean", "work", "trajectories", "replaced"]) == 0
    assert "Nothing is deleted" in capsys.readouterr().out
    assert main(["clean", "wrok", "--yes"]) == 2
    assert "Did you mean 'work'?" in capsys.readouterr().err
    assert files(runs.folder) == before


def test_what_is_named_goes_and_nothing_else(runs, capsys):
    before = files(runs.folder)
    assert main(["clean", "replaced", "work", "--yes"]) == 0
    work, aside = first(runs, layout.WORK).as_posix(), "work/bottle-00000/298.15K/r3.replaced-1"
    assert before - files(runs.folder) == {name for name in before if name.startswith((f"{work}/", f"{aside}/"))}
    assert (first(runs, layout.RESULTS) / "trajectory.xtc").stat().st_size == SIZE
    assert main(["clean", "trajectories", "--yes"]) == 0
    assert not (first(runs, layout.RESULTS) / "trajectory.xtc").exists()
    assert (layout.run(layout.WORK, *runs.study.runs()[1]) / "trajectory.xtc").exists(), "that one is not finished"
    assert main(["clean"]) == 0
    assert "nothing to clean" in capsys.readouterr().out


def test_the_help_names_every_kind(capsys):
    with pytest.raises(SystemExit):
        _parser().parse_args(["clean", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert f"what to delete: {', '.join(KINDS)};" in said


def test_trajectories_that_transport_segments_still_need_stay(runs):
    config = Path("config/config.yaml")
    config.write_text(config.read_text(encoding="utf-8") + "transport: {segments: 1}\n", encoding="utf-8")
    study = load_study(config, composed=False)
    assert study.runs()[0] == Run("bottle-00000", "298.15", 1)
    assert not any(part.paths for part in parts(study) if part.kind != "replaced")
