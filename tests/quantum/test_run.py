"""Jobs of quantum chemistry: kept one by one, resumed after a kill, and every failure an outcome."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from quantum_shells import banded, drawn, made_up, waters

from lmbmd.core.errors import LmbmdError
from lmbmd.core.provenance import versions
from lmbmd.core.validation import validated
from lmbmd.quantum import energies, run
from lmbmd.quantum.drawn import Drawn, DrawnShell
from lmbmd.quantum.methods import variants
from lmbmd.quantum.options import QuantumOptions
from lmbmd.quantum.run import Energies, compute, nothing

OPTIONS = QuantumOptions(permittivity=7.2)
VACUUM = "GFN2-xTB, vacuum, sampled"


def shells(n: int):
    return drawn([waters([1.85 + 0.01 * k] * 4, f"SSIP-{k}") for k in range(n)])


def same(one: Energies, other: Energies) -> bool:
    return (one.shells, one.free, one.why_not) == (other.shells, other.free, other.why_not)


@pytest.fixture
def needs_tblite():
    pytest.importorskip("tblite", reason="the extra 'quantum' is not installed")


def test_what_was_computed_is_kept_and_only_what_is_new_is_computed(tmp_path, needs_tblite):
    first = compute(shells(2), QuantumOptions(), tmp_path / "jobs", progress=False)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "jobs").iterdir()}
    assert len(kept) == 3  # two shells and the free molecule
    again = compute(shells(3), OPTIONS, tmp_path / "jobs", workers=2, progress=False)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert len(list((tmp_path / "jobs").iterdir())) == 8  # one shell more, and the dielectric: 2 × (3 + 1)
    assert again.shells[0]["found"][VACUUM] == first.shells[0]["found"][VACUUM]
    again.write(tmp_path / "energies.json")
    assert same(Energies.read(tmp_path / "energies.json"), again)


def test_a_shell_that_is_drawn_under_another_name_is_not_computed_again(tmp_path, needs_tblite):
    first = compute(shells(1), QuantumOptions(), tmp_path, progress=False)
    (one,) = shells(1).shells
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    other = drawn([replace(one, name="SSIP-7", frame=9)])
    again = compute(other, QuantumOptions(), tmp_path, progress=False)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == kept
    assert again.shells[0]["name"] == "SSIP-7" and again.shells[0]["found"] == first.shells[0]["found"]


def test_another_version_of_a_program_computes_anew(tmp_path, needs_tblite, monkeypatch):
    """Or the file would name a version that has not computed it."""
    compute(shells(1), QuantumOptions(), tmp_path, progress=False)
    monkeypatch.setattr(run, "versions", lambda: {**versions(), "tblite": "0.0"})
    compute(shells(1), QuantumOptions(), tmp_path, progress=False)
    assert len(list(tmp_path.iterdir())) == 4


def test_an_error_of_a_library_is_an_outcome_that_is_not_kept(tmp_path, needs_tblite, monkeypatch):
    """As if memory had ended: the next time there may be enough."""

    def fail(*_):
        raise MemoryError("of 3 GB")

    monkeypatch.setattr(run, "shell_energies", fail)
    (variant,) = variants(QuantumOptions())
    (shell,) = shells(1).shells
    found = run._job("shell", shell.plain(), asdict(variant), str(tmp_path / "job.json"))
    assert found == {"why_not": "MemoryError: of 3 GB"} and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_killed_and_resumed_equals_whole(tmp_path, needs_tblite):
    """Killed by force while it computes: what was done is not done again, and the result is that of one go."""
    shells(30).write(tmp_path / "shells.json")
    program = (
        "from lmbmd.quantum.run import compute; from lmbmd.quantum.drawn import Drawn; from lmbmd.quantum.options "
        "import QuantumOptions\n"
        "if __name__ == '__main__': compute(Drawn.read('shells.json'), QuantumOptions(permittivity=7.2), 'jobs')"
    )
    (tmp_path / "program.py").write_text(program, encoding="utf-8")
    process = subprocess.Popen([sys.executable, "program.py"], cwd=tmp_path, stderr=subprocess.PIPE)
    jobs = tmp_path / "jobs"
    for _ in range(600):
        if jobs.is_dir() and len(list(jobs.glob("[!.]*.json"))) > 3:
            break
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    time.sleep(1.0)  # the worker ends with its parent
    kept = {path: path.stat().st_mtime_ns for path in jobs.glob("[!.]*.json")}
    assert 3 < len(kept) < 62
    resumed = compute(Drawn.read(tmp_path / "shells.json"), OPTIONS, jobs, progress=False)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    assert same(resumed, compute(shells(30), OPTIONS, tmp_path / "other", workers=2, progress=False))


@pytest.mark.slow
def test_a_damaged_result_is_computed_again(tmp_path, needs_tblite):
    whole = compute(shells(1), QuantumOptions(), tmp_path, progress=False)
    for path in tmp_path.iterdir():
        path.write_text(path.read_text("utf-8").replace("-", "+", 1), encoding="utf-8")
    assert same(compute(shells(1), QuantumOptions(), tmp_path, progress=False), whole)


def test_a_shell_that_does_not_converge_is_an_outcome_and_the_others_have_numbers(tmp_path, needs_tblite):
    some = drawn([waters([1.9]), waters([1.9, 100.0], "SSIP-2")])
    good, bad = compute(some, QuantumOptions(), tmp_path, progress=False).shells
    assert "not converged" in bad["found"][VACUUM]["why_not"]
    assert good["found"][VACUUM]["binding_kJ_mol"] < -100


def test_a_shell_that_has_not_come_to_rest_is_an_outcome_and_its_geometry_is_not_used(
    tmp_path, needs_tblite, monkeypatch
):
    """Or the numbers of a shell half way down would stand among those of relaxed ones."""
    monkeypatch.setattr(energies, "RELAX_STEPS", 2)
    (shell,) = shells(1).shells
    for variant in variants(QuantumOptions(relaxed=True)):
        found = run._job("shell", shell.plain(), asdict(variant), str(tmp_path / f"{variant.geometry}.json"))
        if variant.geometry == "relaxed":
            assert "not at rest after 2 of 2 steps" in found["why_not"] and set(found) == {"why_not"}
            assert run._cached(tmp_path / "relaxed.json") == found  # it would be the same again


def test_what_was_kept_of_shells_as_sampled_is_used_by_every_version_since(tmp_path, needs_tblite, monkeypatch):
    """A later version of the stage must not throw hours of PBE0 away."""
    compute(shells(1), QuantumOptions(relaxed=True), tmp_path, progress=False)
    kept = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    monkeypatch.setattr(run.stages, "QUANTUM", "quantum/99")
    compute(shells(1), QuantumOptions(relaxed=True), tmp_path, progress=False)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == kept


def test_an_element_that_the_method_lacks_is_an_outcome(tmp_path, needs_tblite):
    strange = replace(waters([1.9]), element=("Am", "O", "H", "H"))
    (one,) = compute(drawn([strange]), QuantumOptions(), tmp_path, progress=False).shells
    assert "no parameters for element 95" in one["found"][VACUUM]["why_not"]


def test_nothing_drawn_is_an_outcome(tmp_path):
    chains = Drawn("Li", drawn([]).counts[:0], (), "Li is held by units of chains (PEO).")
    found = compute(chains, QuantumOptions(), tmp_path / "jobs", progress=False)
    assert "chains (PEO)" in found.why_not and not (tmp_path / "jobs").exists()
    found.write(tmp_path / "energies.json")
    assert same(Energies.read(tmp_path / "energies.json"), found)


def test_a_missing_program_stops_before_anything_begins_and_can_be_kept_as_an_outcome(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tblite.interface", None)
    with pytest.raises(LmbmdError) as stopped:
        compute(shells(1), QuantumOptions(), tmp_path, progress=False)
    found = nothing(shells(1), QuantumOptions(), stopped.value)
    assert "pip install 'lmbmd[quantum]'" in found.why_not and found.shells == ()
    pytest.importorskip("pyscf", reason="the extra 'quantum' is not installed")
    with pytest.raises(LmbmdError, match="tblite"):  # for the minima of free molecules
        compute(shells(1), QuantumOptions(method="pbe0"), tmp_path / "jobs", progress=False)
    assert not (tmp_path / "jobs").exists()


def test_an_unknown_back_end_is_refused_with_those_that_there_are():
    with pytest.raises(LmbmdError, match=r"(?s)quantum.*method.*orca.*gfn2.*pbe0"):
        validated(QuantumOptions, {"method": "orca"}, path=Path("quantum"), lines={})


def test_an_edited_file_of_drawn_shells_is_refused(tmp_path):
    path = tmp_path / "shells.json"
    shells(1).write(path)
    assert Drawn.read(path).shells[0].contacts == shells(1).shells[0].contacts
    text = path.read_text("utf-8")
    path.write_text(text.replace('"charge_e": 1', '"charge_e": 2', 1), encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"changed or damaged since it was written.*Run the draw stage again"):
        Drawn.read(path)
    data = json.loads(text)
    data["shells"][0]["xyz_A"].pop()
    path.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(LmbmdError, match="no file of drawn shells"):
        Drawn.read(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"kind": "SEP"},
        {"frame": None},
        {"found": {"GFN2-xTB, vacuum, sampled": {"binding_kJ_mol": "much"}}},
        {"found": {"GFN2-xTB, vacuum, sampled": {"why_not": None}}},
        {"found": {"by hand": {"why_not": ""}}},
    ],
)
def test_energies_that_the_stage_cannot_have_made_are_refused_though_their_hash_is_right(tmp_path, wrong):
    good = made_up(np.random.default_rng(1), shells=1)
    good.write(tmp_path / "energies.json")
    assert Energies.read(tmp_path / "energies.json").shells == good.shells
    replace(good, shells=({**good.shells[0], **wrong}, *good.shells[1:])).write(tmp_path / "energies.json")
    with pytest.raises(LmbmdError, match=r"no file of energies of shells.*Run the quantum stage again"):
        Energies.read(tmp_path / "energies.json")
    free = {name: {**each, "DME": {"homo_eV": -11.0}} for name, each in good.free.items()}
    replace(good, free=free).write(tmp_path / "energies.json")
    with pytest.raises(LmbmdError, match="no file of energies of shells"):
        Energies.read(tmp_path / "energies.json")


@pytest.mark.parametrize(
    "wrong",
    [
        {"alone": None},
        {"title": None},
        {"counts": [[-1, 0, 0, 0]]},
        {"classes": ["free", "bound", "bridging"]},
        {"classes": ["SSIP", "CIP"]},
        {"n_groups": "one"},
        {"shells": [{"name": "x", "label": "x", "kind": "SEP", "frame": 1, "found": {"why_not": ""}}]},
        {"alone": [{"energy_kJ_mol": 1.0, "band_cm": "720", "share": 0.5}]},
    ],
)
def test_bands_that_the_stage_cannot_have_made_are_refused_too(tmp_path, wrong):
    path, good = tmp_path / "energies.json", banded()
    good.write(path)
    assert Energies.read(path).bands == good.bands
    of_fsi = {key: value for key, value in {**good.bands["FSI"], **wrong}.items() if value is not None}
    replace(good, bands={"FSI": of_fsi}).write(path)
    with pytest.raises(LmbmdError, match=r"no file of energies of shells.*Run the quantum stage again"):
        Energies.read(path)
    replace(good, facts={"options": {**good.facts["options"], "bands": {"basis": "by hand"}}}).write(path)
    with pytest.raises(LmbmdError, match="no file of energies of shells"):
        Energies.read(path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"frame": "1"},
        {"time_ps": None},
        {"molecules": [{"species": "Li", "n_atoms": 1, "charge_e": "+"}]},
        {"contacts": [[0, 13]]},
        {"contacts": [[-1, 1]]},
        {"molecules": [], "element": [], "xyz_A": []},
        {"kind": "SEP"},
    ],
)
def test_a_shell_whose_parts_do_not_fit_together_is_refused(wrong):
    plain = shells(1).shells[0].plain()
    assert DrawnShell.from_plain(plain).contacts
    with pytest.raises(ValueError, match="does not fit together"):
        DrawnShell.from_plain({**plain, **wrong})
    with pytest.raises(ValueError, match="does not fit together"):
        DrawnShell.from_plain({**plain, "xyz_A": [[float("nan")] * 3] * 13})


def test_what_is_computed_of_each_shell_follows_from_the_options():
    chosen = QuantumOptions(permittivity=7.2, relaxed=True)
    assert [one.key for one in variants(chosen)] == [
        "GFN2-xTB, vacuum, sampled",
        "GFN2-xTB, ε = 7.2, sampled",
        "GFN2-xTB, vacuum, relaxed",
        "GFN2-xTB, ε = 7.2, relaxed",
    ]
    assert [one.key for one in variants(chosen, "pbe0")] == [
        "PBE0/def2-svp, vacuum, sampled",
        "PBE0/def2-svp, ε = 7.2, sampled",
    ]
