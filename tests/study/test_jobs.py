"""What a job reads of its study: its own bottle and nobody else's; and two replicas are packed apart."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
import toy

from lmbmd.box.pdb import read_pdb
from lmbmd.cli.parser import main
from lmbmd.cli.verbs import logged_to
from lmbmd.core.errors import LmbmdError
from lmbmd.simulate.interrupts import NotFinished
from lmbmd.study.study import load_study

BOTTLE = "salts: {LiFSI: 1 mol/L of solution}\nsolvents: {DME: rest}\nsize: {ion_pairs: 6}\nreplicas: 2\n"


@pytest.fixture
def study(tmp_path) -> Path:
    """A study of bottles a and b, planned; then the file of b is broken, and the claims, too."""
    (tmp_path / "bottles").mkdir()
    for name in "ab":
        (tmp_path / "bottles" / f"{name}.yaml").write_text(BOTTLE, encoding="utf-8")
    (tmp_path / "claims.yaml").write_text("source: {title: A paper}\nclaims: []\n", encoding="utf-8")
    path = tmp_path / "config.yaml"
    path.write_text("study: test\nformulations: bottles\nplatform: {name: CPU, threads: 1}\n", encoding="utf-8")
    assert load_study(path).names == ("a", "b")
    (tmp_path / "bottles" / "b.yaml").write_text("salts: [LiFSI", encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8") + "claims: claims.yaml\n", encoding="utf-8")
    (tmp_path / "claims.yaml").write_text("claims: {", encoding="utf-8")
    with pytest.raises(LmbmdError):
        load_study(path)
    return path


@pytest.mark.slow
def test_a_fault_in_one_bottle_fails_no_job_of_another(study, tmp_path, capsys):
    run = lambda *words: main([*map(str, words), "--study", str(study)])  # noqa: E731
    composition, folder = tmp_path / "composition.json", tmp_path / "run"
    assert run("compose", "a", "--out", composition) == 0
    assert run("spec", "a", "298.15", "2", "--out", tmp_path / "spec.json") == 0
    assert run("why", "a") == 0
    toy.relaxed_run(folder)
    toy.toy_box(toy.TINY, 13.5, cutoff_nm=0.5).atoms.write(folder / "atoms.parquet")
    names = {"spec": "spec.json", "system": "system.xml", "start": "start.pdb", "atoms": "atoms.parquet"}
    assert (
        run(
            "simulate",
            *(f"--{key}={folder / name}" for key, name in names.items()),
            "--work",
            folder / "work",
            "--out",
            folder / "out",
        )
        == 0
    )
    found = ["--contacts", folder / "contacts.arrow", "--rdf", folder / "rdf.npz"]
    trajectory = folder / "out" / "trajectory.xtc"
    assert run("contacts", "--atoms", folder / "atoms.parquet", "--trajectory", trajectory, *found) == 0
    capsys.readouterr()
    # These two lack their input, and say so; that of bottle b is none of their business.
    atoms = folder / "atoms.parquet"
    assert run("describe", tmp_path / "298.15K", "--composition", composition, "--atoms", atoms) != 0
    assert "rdf.npz" in capsys.readouterr().err
    assert run("report", "a", "--results", tmp_path / "results") != 0
    assert "composition.json" in capsys.readouterr().err


def test_a_job_of_the_broken_bottle_fails_with_its_fault(study, tmp_path, capsys):
    assert main(["compose", "b", "--study", str(study), "--out", str(tmp_path / "c.json")]) == 2
    assert "b.yaml" in capsys.readouterr().err


@pytest.mark.slow
def test_two_replicas_are_packed_apart_and_one_is_packed_the_same_twice(tmp_path):
    (tmp_path / "bottles").mkdir()
    (tmp_path / "bottles" / "a.yaml").write_text(BOTTLE, encoding="utf-8")
    study = tmp_path / "config.yaml"
    study.write_text("study: test\nformulations: bottles\n", encoding="utf-8")
    composition = tmp_path / "composition.json"
    assert main(["compose", "a", "--study", str(study), "--out", str(composition)]) == 0

    def packed(replica: int, folder: str) -> np.ndarray:
        out = tmp_path / folder
        assert main(["build", str(composition), "--replica", str(replica), "--out", str(out)]) == 0
        return read_pdb((out / "start.pdb").read_text(encoding="utf-8"), where=folder)[0]

    first, second, again = packed(1, "one"), packed(2, "two"), packed(1, "again")
    assert np.array_equal(first, again)
    assert (np.linalg.norm(first - second, axis=1) > 1.0).mean() > 0.9


def test_the_log_ends_with_its_block(tmp_path, monkeypatch):
    screen = io.StringIO()
    monkeypatch.setattr(sys, "stderr", screen)
    with pytest.raises(LmbmdError), logged_to(tmp_path / "logs" / "run.log"):
        print("a line", file=sys.stderr)
        print("\rredrawn", file=sys.stderr)
        raise LmbmdError("stop")
    assert sys.stderr is screen
    print("after it", file=sys.stderr)
    assert (tmp_path / "logs" / "run.log").read_text(encoding="utf-8").splitlines()[0] == "a line"
    assert "redrawn" not in (tmp_path / "logs" / "run.log").read_text(encoding="utf-8")
    assert screen.getvalue() == "a line\n\rredrawn\nafter it\n"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            LmbmdError("it explodes.", where="work/x", remedy="Pack it anew."),
            "lmbmd simulate: work/x: it explodes. Pack it anew.",
        ),
        (NotFinished("stopped by SIGTERM."), ""),
        (ZeroDivisionError("of ours"), "lmbmd simulate: ZeroDivisionError: of ours."),
    ],
)
def test_the_log_ends_with_the_error_and_with_none_if_the_run_goes_on(tmp_path, error, said):
    with pytest.raises(type(error)), logged_to(tmp_path / "run.log"):
        raise error
    assert (tmp_path / "run.log").read_text(encoding="utf-8").strip() == said
