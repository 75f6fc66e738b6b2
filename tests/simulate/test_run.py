"""Whole runs: what they write, and that nothing which happens to them on the way shows in it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import MDAnalysis
import numpy as np
import openmm
import pandas as pd
import pytest
from openmm import unit
from runs import BOTH, N_FRAMES, N_ROWS, RUNS_ONLY, assert_complete, checkpointed_ns, frame_times, wait_for_progress
from toy import SMALL, TINY, relaxed_run, simulate_elsewhere, simulate_here, toy_box, write_run, write_spec

from lmbmd.box.pdb import read_pdb
from lmbmd.core.errors import LmbmdError
from lmbmd.simulate import checkpoint
from lmbmd.simulate.checkpoint import Checkpoint
from lmbmd.simulate.engines.openmm import Engine
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import load_spec
from lmbmd.simulate.resume import Inputs

pytestmark = pytest.mark.slow

# ---- what a run writes


@BOTH
def test_a_run_writes_every_frame_and_row_once(done):
    assert_complete(done)


@BOTH
def test_the_last_frame_is_the_final_structure_with_whole_molecules_in_the_box(done):
    final, box = read_pdb((done / "out" / "final.pdb").read_text(encoding="utf-8"), where="final.pdb")
    universe = MDAnalysis.Universe(str(done / "out" / "final.pdb"), str(done / "out" / "trajectory.xtc"))
    universe.trajectory[-1]
    assert np.abs(universe.atoms.positions - final).max() < 0.011
    for residue in universe.residues:
        spread = np.ptp(residue.atoms.positions, axis=0)
        assert (spread < 4.0).all()
        centre = residue.atoms.positions.mean(0)
        assert (centre > -0.1).all() and (centre < box.diagonal() + 0.1).all()


@BOTH
@RUNS_ONLY
def test_the_state_log_says_what_the_system_did(done):
    rows = pd.read_csv(done / "out" / "state.csv")
    system = openmm.XmlSerializer.deserialize((done / "system.xml").read_text(encoding="utf-8"))
    mass_amu = sum(system.getParticleMass(i).value_in_unit(unit.amu) for i in range(system.getNumParticles()))
    # 1 amu/Å³ is 1.66053906660 g/cm³; written to six and three decimals.
    assert rows.density_g_cm3.to_numpy() == pytest.approx(
        1.66053906660 * mass_amu / rows.volume_A3.to_numpy(), abs=2e-6
    )
    assert rows.volume_A3.nunique() > 1


@BOTH
@RUNS_ONLY
def test_the_thermostat_and_the_degrees_of_freedom_agree(done):
    """The mean of the kinetic temperature is the thermostat's. Its instantaneous spread is T·√(2/N) = 27 K for
    221 degrees of freedom; 100 rows hold at least ten independent ones."""
    rows = pd.read_csv(done / "out" / "state.csv")
    assert rows.temperature_K.mean() == pytest.approx(300, abs=4 * 300 * np.sqrt(2 / 221) / np.sqrt(10))
    ratio = 2 * rows.kinetic_kJ_mol / (0.00831446261815324 * rows.temperature_K)
    assert ratio.to_numpy() == pytest.approx(3 * 88 - 40 - 3, rel=1e-4)


@RUNS_ONLY
def test_run_json_tells_who_made_it_with_what(done):
    record = json.loads((done / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["stage"] == "simulate/1" and record["platform"]["name"] == "CPU"
    assert set(record["inputs"]) == {"spec", "system", "start"}
    assert record["spec"]["seeds"] == {"velocities": 1, "thermostat": 2, "barostat": 3}
    assert record["restarts"] == 0 and record["ns_per_day"] > 0 and record["recoveries"] == []
    assert record["equilibration"]["duration_ps"] == 1.0 and record["equilibration"]["reason"]
    assert set(record["wall_s"]) == {"minimise", "soften", "anneal", "equilibrate", "produce"}


@RUNS_ONLY
def test_equilibration_ends_at_the_first_look_that_finds_it_stationary(fresh, monkeypatch):
    write_spec(fresh, equilibration_ns=0.001, max_equilibration_ns=0.01)
    seen = []

    def judge(density, potential):
        seen.append(len(density))
        return engine_verdict(len(density) >= 70)

    monkeypatch.setattr("lmbmd.simulate.runner.judge", judge)
    simulate_here(fresh)
    assert seen == [50, 55, 60, 65, 70]
    record = json.loads((fresh / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["equilibration"]["duration_ps"] == 1.4 and record["equilibration"]["stationary"] is True


def engine_verdict(stationary: bool):
    from lmbmd.simulate.equilibration import Drift, Verdict

    return Verdict(stationary, Drift(1, 0, 1, 9), Drift(1, 0, 1, 9), "as told")


@RUNS_ONLY
def test_annealing_follows_its_ramp_and_returns(fresh, monkeypatch):
    write_spec(fresh, anneal={"temperature_K": 500.0, "heat_ns": 2e-4, "hold_ns": 1e-4, "cool_ns": 2e-4})
    asked = []
    real = Engine.set_temperature
    monkeypatch.setattr(Engine, "set_temperature", lambda self, t: (asked.append(round(t, 6)), real(self, t))[1])
    simulate_here(fresh)
    ramp = [320 + 20 * k for k in range(10)] + [500] * 5 + [480 - 20 * k for k in range(10)]
    assert asked == [*ramp, 300.0]
    early = pd.read_csv(fresh / "out" / "equilibration.csv")
    assert early.step.tolist() == [10 * k for k in range(1, 76)]
    assert len(frame_times(fresh / "out")) == N_FRAMES


def test_a_loose_lattice_is_compressed_without_accident(tmp_path):
    """From half of the liquid's density, with so many attempts of the barostat that picoseconds are enough."""
    protocol = {"equilibration_ns": 0.003, "max_equilibration_ns": 0.003, "production_ns": 1e-4, "barostat_interval": 5}
    folder = relaxed_run(tmp_path / "run", counts=SMALL, edge_A=20.0, **protocol)
    simulate_here(folder)
    early = pd.read_csv(folder / "out" / "equilibration.csv")
    assert early.density_g_cm3.iloc[-1] > 1.5 * early.density_g_cm3.iloc[0]
    assert json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))["recoveries"] == []


# ---- kills, signals, extensions


@BOTH
def test_twenty_kills_at_random_moments_leave_no_trace(fresh, engine):
    rng = np.random.default_rng()
    times, interval_s = {"openmm": (20, 0.02), "gromacs": (40, 0.2)}[engine]
    # Long enough not to end before the kills do; few changes of volume, lest the vapour condense below two cut-offs.
    write_spec(fresh, production_ns=times * 0.002, barostat_interval=500)
    kills = 0
    for _ in range(200):
        process = simulate_elsewhere(fresh, checkpoint_interval_s=interval_s)
        before = checkpointed_ns(fresh)
        if kills < 25:
            wait_for_progress(fresh, process, before)
            process.join(rng.uniform(0, 0.08))
        else:
            process.join()
        if process.exitcode is not None:
            break
        process.kill()
        process.join()
        kills += 1
        assert not (fresh / "out" / "run.json").exists()
    assert process.exitcode == 0 and kills >= 20, f"only {kills} kills"
    assert_complete(fresh, times * N_FRAMES, times * N_ROWS)
    record = json.loads((fresh / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["restarts"] >= 15  # a session that was killed before its first checkpoint left no record


@BOTH
@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_to_end_keeps_everything_and_exits_with_85(fresh, name):
    if signal.getsignal(getattr(signal, name)) == signal.SIG_IGN:
        pytest.skip(f"{name} is ignored in this process (nohup), as lmbmd then ignores it too")
    write_spec(fresh, production_ns=0.02)  # not over before the signal comes, on a busy machine either
    process = simulate_elsewhere(fresh, checkpoint_interval_s=100)
    state = fresh / "work" / "state.csv"
    while not state.exists() or state.stat().st_size < 700:
        process.join(0.01)
    os.kill(process.pid, getattr(signal, name))
    process.join()
    assert process.exitcode == 85
    assert f"stopped by {name} in stage produce at" in (fresh / "error.txt").read_text(encoding="utf-8")
    found = checkpoint.load(fresh / "work" / checkpoint.CURRENT)
    rows = state.read_text(encoding="utf-8").count("\n") - 1
    assert found.header["state"]["step"] // 10 == rows >= 10
    assert not (fresh / "out").exists()
    simulate_here(fresh)
    assert_complete(fresh, 10 * N_FRAMES, 10 * N_ROWS)


@BOTH
def test_extending_a_finished_run_appends_to_it(finished):
    before = {f: (finished / "out" / f).read_bytes() for f in ("trajectory.xtc", "state.csv", "equilibration.csv")}
    write_spec(finished, production_ns=0.003)
    simulate_here(finished)
    assert_complete(finished, 30, 150)
    for name, data in before.items():
        assert (finished / "out" / name).read_bytes()[: len(data)] == data


def test_results_stay_as_they_were_until_the_extension_is_finished(finished, monkeypatch):
    shutil.rmtree(finished / "out")
    simulate_here(finished)  # shares the bytes of work/ again, which the copy in the fixture did not
    assert (finished / "out" / "trajectory.xtc").samefile(finished / "work" / "trajectory.xtc")
    before = (finished / "out" / "trajectory.xtc").read_bytes()
    write_spec(finished, production_ns=0.003)
    real = Engine.snapshot
    shots = []

    def snapshot(self):
        shots.append(1)
        if len(shots) == 5:
            raise LmbmdError("stop here")
        return real(self)

    monkeypatch.setattr(Engine, "snapshot", snapshot)
    with pytest.raises(LmbmdError, match="stop here"):
        simulate_here(finished)
    assert (finished / "work" / "trajectory.xtc").stat().st_size > len(before)
    assert (finished / "out" / "trajectory.xtc").read_bytes() == before


@BOTH
def test_deleted_results_come_back_without_simulating(finished, monkeypatch):
    shutil.rmtree(finished / "out")
    monkeypatch.setattr("lmbmd.simulate.run.Engine", None)
    simulate_here(finished)
    assert_complete(finished)


@BOTH
@RUNS_ONLY
def test_a_shorter_run_than_there_is_is_refused(finished):
    write_spec(finished, production_ns=0.001)
    with pytest.raises(LmbmdError, match=r"already 0\.002 ns long; production_ns asks for 0\.001"):
        simulate_here(finished)


@BOTH
def test_the_growing_files_can_be_read_while_they_grow(fresh):
    """As often as the run lets one look, and in any case between its two lengths."""
    growing, seen = fresh / "work" / "trajectory.xtc", set()

    def look() -> None:
        if growing.exists() and growing.stat().st_size > 500:
            copy = fresh / "copy.xtc"
            shutil.copyfile(growing, copy)
            universe = MDAnalysis.Universe.empty(88, trajectory=False)
            universe.load_new(str(copy))
            times = [ts.time for ts in universe.trajectory]
            assert times == pytest.approx([0.1 * k for k in range(1, len(times) + 1)], abs=1e-4)
            seen.add(len(times))
            for index in fresh.glob(".copy*"):
                index.unlink()

    for length_ns in (0.002, 0.004):
        write_spec(fresh, production_ns=length_ns)
        process = simulate_elsewhere(fresh)
        while process.is_alive():
            process.join(0.02)
            look()
        assert process.exitcode == 0
        look()
    assert {20, 40} <= seen


# ---- checkpoints that cannot be used


@BOTH
def test_a_damaged_checkpoint_falls_back_to_the_one_before(finished, capsys):
    path = finished / "work" / checkpoint.CURRENT
    path.write_bytes(path.read_bytes()[:-100])
    shutil.rmtree(finished / "out")
    simulate_here(finished)
    assert_complete(finished)
    assert (finished / "work" / "checkpoint.rejected").exists()


@RUNS_ONLY
def test_without_any_whole_checkpoint_the_error_names_both_reasons(finished):
    for name in (checkpoint.CURRENT, checkpoint.PREVIOUS):
        (finished / "work" / name).write_bytes(b"nonsense")
    with pytest.raises(LmbmdError, match=r"no checkpoint is usable: checkpoint: .*; checkpoint\.previous: .*") as error:
        simulate_here(finished)
    assert "delete this folder" in error.value.remedy


@RUNS_ONLY
def test_a_checkpoint_of_another_system_is_refused(finished, tmp_path):
    other = write_run(tmp_path / "other", counts={"Li": 1, "AN": 1, "SOL": 21}, edge_A=13.5)
    shutil.copy(other / "system.xml", finished / "system.xml")
    shutil.copy(other / "start.pdb", finished / "start.pdb")
    with pytest.raises(
        LmbmdError, match=r"another one: the System \(system\.xml\) is another one; the start structure"
    ):
        simulate_here(finished)


@BOTH
def test_a_foreign_checkpoint_falls_back_to_the_one_before(finished):
    found = checkpoint.load(finished / "work" / checkpoint.CURRENT)
    foreign = Checkpoint(
        {**found.header, "system_sha256": "0"}, found.positions_nm, found.velocities_nm_ps, found.box_nm, b""
    )
    (finished / "work" / checkpoint.CURRENT).write_bytes(foreign.to_bytes())
    simulate_here(finished)
    assert_complete(finished)


@RUNS_ONLY
def test_who_wrote_the_system_file_is_no_physics(finished, monkeypatch):
    text = (finished / "system.xml").read_text(encoding="utf-8")
    assert 'openmmVersion="' in text
    (finished / "system.xml").write_text(text.replace('openmmVersion="', 'openmmVersion="9.', 1), encoding="utf-8")
    monkeypatch.setattr("lmbmd.simulate.run.Engine", None)
    simulate_here(finished)


@BOTH
def test_a_changed_physical_parameter_is_refused_by_name(finished):
    write_spec(finished, temperature_K=310.0, friction_per_ps=2.0)
    message = r"another one: temperature_K: 300\.0 → 310\.0; friction_per_ps: 1\.0 → 2\.0\."
    with pytest.raises(LmbmdError, match=message):
        simulate_here(finished)


@BOTH
def test_a_trajectory_shorter_than_the_checkpoint_knows_falls_back(finished):
    path = finished / "work" / "trajectory.xtc"
    os.truncate(path, path.stat().st_size - 1)
    (finished / "out" / "trajectory.xtc").unlink()
    simulate_here(finished)
    assert_complete(finished)


def test_a_trajectory_without_a_checkpoint_is_not_overwritten(finished):
    for name in (checkpoint.CURRENT, checkpoint.PREVIOUS):
        (finished / "work" / name).unlink()
    with pytest.raises(LmbmdError, match="a trajectory here but no checkpoint"):
        simulate_here(finished)
    assert (finished / "work" / "trajectory.xtc").stat().st_size


def test_publishing_again_leaves_nothing_behind(finished):
    """Renaming one link of a file onto another link of the same file does nothing, and the first would stay."""
    before = {path.name for path in (finished / "out").iterdir()}
    simulate_here(finished)
    simulate_here(finished)
    assert {path.name for path in (finished / "out").iterdir()} == before


@pytest.mark.parametrize("platform", ["Reference", "OpenCL"])
def test_another_platform_goes_on_from_the_portable_part(finished, platform):
    if platform not in [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]:
        pytest.skip(f"OpenMM has no {platform} platform here")
    write_spec(finished, production_ns=0.0022)
    simulate_here(finished, platform=platform)
    assert_complete(finished, 22, 110)
    sessions = json.loads((finished / "out" / "run.json").read_text(encoding="utf-8"))["sessions"]
    assert [s["how"] for s in sessions] == ["from the start", "portable"]
    rows = pd.read_csv(finished / "out" / "state.csv")
    assert rows.temperature_K.iloc[N_ROWS:].min() > 150  # it went on with its velocities, not from rest


def test_reference_goes_on_to_the_bit(fresh):
    """OpenMM's checkpoint holds everything, also the thermostat's chain, but the barostat's counter; between two of its
    attempts that is nothing."""
    inputs = Inputs(*(load_spec(fresh / "spec.json"), (fresh / "system.xml").read_text(encoding="utf-8"), ""))
    system = openmm.XmlSerializer.deserialize(inputs.system_xml)
    positions, box = read_pdb((fresh / "start.pdb").read_text(encoding="utf-8"), where="x")

    def begin() -> Engine:
        found = Engine(system, inputs.spec, PlatformOptions(name="Reference"), "x")
        found.set_positions(positions / 10, box / 10)
        found.set_pace(inputs.spec.step_as, friction_per_ps=inputs.spec.production_friction_per_ps)
        return found

    one, two = begin(), begin()
    one.warm()
    one.step(10)
    saved = Checkpoint.from_bytes(one.save({"engine": one.report.identity}).to_bytes())
    one.step(12)
    assert two.restore(saved) == "binary"
    two.step(12)
    assert np.array_equal(one.snapshot().positions_nm, two.snapshot().positions_nm)


# ---- trouble with folders and disks


@BOTH
@RUNS_ONLY
def test_two_processes_on_one_run_cannot_both_write(fresh):
    first = simulate_elsewhere(fresh, checkpoint_interval_s=0.05)
    wait_for_progress(fresh, first, 0)
    with pytest.raises(LmbmdError, match=f"being written by process {first.pid} on"):
        simulate_here(fresh)
    first.join()
    assert first.exitcode == 0
    assert_complete(fresh)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("name", ["work", "out"])
@RUNS_ONLY
def test_a_read_only_folder_is_refused_at_once(fresh, name):
    (fresh / name).mkdir()
    (fresh / name).chmod(0o555)
    with pytest.raises(LmbmdError, match="cannot be written to: Permission denied"):
        simulate_here(fresh)


@pytest.mark.parametrize("name", ["work", "out"])
@RUNS_ONLY
def test_a_file_in_the_place_of_a_folder_is_refused_at_once(fresh, name):
    (fresh / name).write_text("", encoding="utf-8")
    with pytest.raises(LmbmdError, match=rf"{name}: the \w+ folder cannot be written to"):
        simulate_here(fresh)


@pytest.mark.parametrize("name", ["state.csv", "final.pdb", "run.json"])
def test_a_folder_in_the_place_of_a_result_stops_all_of_them(finished, name):
    shutil.rmtree(finished / "out")
    (finished / "out" / name).mkdir(parents=True)
    with pytest.raises(
        LmbmdError, match=rf"{name}: a folder stands where a result belongs\. The run itself is finished"
    ):
        simulate_here(finished)
    assert [p.name for p in (finished / "out").iterdir()] == [name]
    (finished / "out" / name).rmdir()
    simulate_here(finished)
    assert_complete(finished)


def mounted(folder: Path, *options: str) -> bool:
    folder.mkdir()
    return subprocess.run(["mount", *options, str(folder)], capture_output=True, check=False).returncode == 0


@pytest.fixture
def tmpfs(tmp_path):
    """Mount a small file system, or skip with the reason; unmounted at the end."""
    if os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("only root can mount a small file system")
    places = []

    def mount(name: str, size: str, *more: str) -> Path:
        folder = tmp_path / name
        if not mounted(folder, "-t", "tmpfs", "-o", ",".join([f"size={size}", *more]), "tmpfs"):
            pytest.skip("mounting a tmpfs is not allowed here")
        places.append(folder)
        return folder

    yield mount
    for folder in places:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@BOTH
def test_a_full_disk_keeps_the_last_checkpoint_and_the_run_goes_on_with_space(fresh, engine, tmpfs):
    times = {"openmm": 1, "gromacs": 15}[engine]  # GROMACS needs room for files of its own before anything grows
    write_spec(fresh, production_ns=times * 0.002)
    disk = tmpfs("disk", {"openmm": "64k", "gromacs": "320k"}[engine])
    (fresh / "work").symlink_to(disk)
    with pytest.raises(LmbmdError, match="No space left on device") as error:
        simulate_here(fresh)
    assert "give the same command again" in error.value.remedy
    names = [p.name for p in disk.iterdir()]
    assert not any("partial" in name for name in names)
    whole = [checkpoint.load(disk / n) for n in (checkpoint.CURRENT, checkpoint.PREVIOUS) if n in names]
    assert whole
    subprocess.run(["mount", "-o", "remount,size=4m", str(disk)], check=True)
    simulate_here(fresh)
    assert_complete(fresh, times * N_FRAMES, times * N_ROWS)


@RUNS_ONLY
def test_a_read_only_file_system_is_refused_at_once(fresh, tmpfs):
    disk = tmpfs("disk", "1m", "ro")
    (fresh / "work").symlink_to(disk)
    with pytest.raises(LmbmdError, match="the work folder cannot be written to: Read-only file system"):
        simulate_here(fresh)


@BOTH
@RUNS_ONLY
def test_results_on_another_file_system_are_copied(fresh, tmpfs):
    (fresh / "out").symlink_to(tmpfs("disk", "1m"))
    simulate_here(fresh)
    assert_complete(fresh)


# ---- explosions


def kick(monkeypatch, when: list[int]) -> None:
    """At these frames, counted over the process, every atom gets 10⁵ times its velocity."""
    real, count = Engine.snapshot, [0]

    def snapshot(self):
        shot = real(self)
        count[0] += 1
        if count[0] in when:
            state = self._context.getState(velocities=True)
            self._context.setVelocities(state.getVelocities(asNumpy=True) * 1e5)
        return shot

    monkeypatch.setattr(Engine, "snapshot", snapshot)


def test_an_explosion_is_undone_with_a_smaller_step_and_leaves_no_trace(fresh, monkeypatch):
    kick(monkeypatch, [6, 12])
    simulate_here(fresh)
    assert_complete(fresh)
    recoveries = json.loads((fresh / "out" / "run.json").read_text(encoding="utf-8"))["recoveries"]
    assert len(recoveries) == 2 and all(r["stage"] == "produce" for r in recoveries)
    assert [r["divisor"] for r in recoveries] == [1, 2]


def test_velocities_lost_with_the_last_step_are_found_before_the_run_counts_as_finished(fresh, monkeypatch):
    real, lost, last = Engine.save, [], json.loads((fresh / "spec.json").read_text("utf-8"))
    steps = round(last["protocol"]["production_ns"] * 1e6 / last["protocol"]["timestep_fs"])

    def save(self, header):
        if not lost and (header["state"]["stage"], header["state"]["step"]) == ("produce", steps):
            lost.append(True)
            state = self._context.getState(velocities=True)
            self._context.setVelocities(state.getVelocities(asNumpy=True) * np.nan)
        return real(self, header)

    monkeypatch.setattr(Engine, "save", save)
    simulate_here(fresh)
    assert lost
    assert_complete(fresh)
    assert len(json.loads((fresh / "out" / "run.json").read_text(encoding="utf-8"))["recoveries"]) == 1


@RUNS_ONLY
def test_a_run_that_goes_on_exploding_ends_by_naming_its_hottest_atoms(fresh, monkeypatch):
    """A force that grows without bound on one molecule from the production on."""
    real = Engine.step

    def step(self, n):
        state = self._context.getState(velocities=True)
        velocities = state.getVelocities(asNumpy=True)._value
        if self._integrator.getFriction()._value < 5:  # not while softening
            velocities[30] *= 30.0 ** min(n, 3)
        self._context.setVelocities(velocities)
        return real(self, n)

    monkeypatch.setattr(Engine, "step", step)
    message = (
        r"explodes in stage equilibrate at step \d+ .* with a step of 0\.25 fs\. Hottest atoms just before: atom \d+"
    )
    with pytest.raises(LmbmdError, match=message) as error:
        simulate_here(fresh)
    # Atom 30 is the third of the SOL molecule that begins at atom 28 (2 Li, 2 × 3 AN, 5 × 4 SOL before it): number 9.
    assert "(C1 of SOL, molecule 9)" in str(error.value)
    assert len(checkpoint.load(fresh / "work" / checkpoint.CURRENT).header["state"]["recoveries"]) <= 3


def test_a_box_that_shrinks_below_two_cutoffs_is_an_error_about_the_box(tmp_path):
    folder = relaxed_run(tmp_path / "run")
    built = toy_box(TINY, 13.5, cutoff_nm=0.66)
    (folder / "system.xml").write_text(openmm.XmlSerializer.serialize(built.system), encoding="utf-8")
    write_spec(folder, pressure_bar=10000.0)
    with pytest.raises(LmbmdError, match="less than twice the cut-off") as error:
        simulate_here(folder)
    assert "larger box" in error.value.remedy


# ---- bad inputs


@RUNS_ONLY
def test_inputs_that_do_not_fit_together_are_refused(fresh):
    lines = (fresh / "start.pdb").read_text(encoding="utf-8").splitlines(keepends=True)
    (fresh / "start.pdb").write_text("".join(lines[:50]), encoding="utf-8")
    with pytest.raises(LmbmdError, match="48 atoms in the start structure, 88 in the System"):
        simulate_here(fresh)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("system.xml", "<System", "this is no System"),
        ("system.xml", "", "this is no System"),
        ("start.pdb", "REMARK\n", "no atoms or no CRYST1"),
        ("start.pdb", None, "the file cannot be read"),
        ("spec.json", "{}", "this is no run specification"),
    ],
)
@RUNS_ONLY
def test_unreadable_inputs_are_named(fresh, name, content, message):
    (fresh / name).unlink() if content is None else (fresh / name).write_text(content, encoding="utf-8")
    with pytest.raises(LmbmdError, match=rf"{name}.*{message}"):
        simulate_here(fresh)


@BOTH
def test_a_run_ends_with_nothing_but_its_own_files(done):
    of_a_segment = {"pressure.csv"} if load_spec(done / "spec.json").dynamics else set()
    assert {p.name for p in (done / "out").iterdir() if not p.name.startswith(".")} == of_a_segment | {
        "trajectory.xtc",
        "state.csv",
        "equilibration.csv",
        "final.pdb",
        "run.json",
    }
    assert {p.name for p in (done / "work").iterdir() if not p.name.startswith(".")} == of_a_segment | {
        "trajectory.xtc",
        "state.csv",
        "equilibration.csv",
        "final.pdb",
        "checkpoint",
        "checkpoint.previous",
        "lock.1",
    }
