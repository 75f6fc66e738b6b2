"""What must hold on a GPU: `pytest -m gpu`. That its energies and forces are right is in test_platforms.py.

Skipped where OpenMM has no CUDA platform. Numbers are printed (`pytest -m gpu -s`), for docs/simulation.md.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import openmm
import pytest
from runs import N_FRAMES, N_ROWS, assert_complete, checkpointed_ns, wait_for_progress
from toy import simulate_elsewhere, simulate_here, write_spec

from benchmarks import throughput
from lmbmd.simulate.engines.platform import gpus
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import parse_spec
from lmbmd.study.forecast.speed import measure
from lmbmd.study.study import load_study

PLATFORM = "CUDA"
here = {openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.gpu,
    pytest.mark.skipif(PLATFORM not in here, reason=f"OpenMM has no {PLATFORM} platform here: no GPU was looked at"),
]
STUDY = Path(__file__).parents[2] / "config" / "config.yaml"


def prepared(folder: Path, atoms: int) -> throughput.Run:
    """A box of about so many atoms, ready to run on the GPU."""
    options = argparse.Namespace(study=STUDY, formulation=None, atoms=atoms, frame_ps=None)
    return throughput.prepared_run(folder, options, PlatformOptions(name=PLATFORM))


@pytest.mark.parametrize("atoms", [10_000, 50_000])
def test_a_gpu_spends_its_time_on_steps(tmp_path, atoms, monkeypatch):
    """Frames, rows, checks and checkpoints take less than a tenth of the production, even of so quick a one."""
    run = prepared(tmp_path, atoms)
    run.go_on(20.0)
    stepping = [0.0]
    monkeypatch.setattr(throughput.Engine, "step", throughput.timed(throughput.Engine.step, stepping))
    seconds = run.go_on(220.0)
    record = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    device = record["platform"]["properties"].get("DeviceName", PLATFORM)
    print(f"{run.n_atoms} atoms on {device}: {0.2 / seconds * 86400:.1f} ns/day")
    assert record["platform"]["name"] == PLATFORM
    assert stepping[0] > 0.9 * seconds


def test_one_two_and_four_runs_share_a_gpu_all_finish_and_estimate_times_as_many(tmp_path):
    """Each on the first GPU, also where there are several; ns/day of all together, found and foretold, are printed."""
    first, *_ = gpus(PlatformOptions(name=PLATFORM))
    study, foretold = load_study(STUDY), {}
    composition = study.composition(study.names[-1])
    spec = parse_spec(study.spec(composition.formulation, study.temperatures(composition.formulation)[0], 1), where="")
    run = prepared(tmp_path / "run", composition.n_atoms)
    for n in (1, 2, 4):
        run.chosen = PlatformOptions(name=PLATFORM, device_index=first, runs_per_device=n)
        foretold[n] = measure(composition, spec, run.chosen)
        assert (foretold[n].at_once, foretold[n].share) == (n, 1 / n)
        run.go_on(1000 * run.spec["protocol"]["production_ns"] + 200.0 if n > 1 else 200.0)
        (*_, session) = json.loads((tmp_path / "run" / "out" / "run.json").read_text(encoding="utf-8"))["sessions"]
        assert (session["gpu"], session["runs_per_device"]) == (first, n)
        together = throughput.shared(run, n, 200.0)
        told = n * foretold[n].ns_per_day(run.n_atoms, spec.timestep_fs)
        print(f"{n} at once, {run.n_atoms} atoms: {together:.1f} ns/day together, {told:.1f} foretold")
        assert together > 0


def test_runs_at_once_are_on_different_gpus_where_there_are_several(fresh, tmp_path):
    if len(gpus(PlatformOptions(name=PLATFORM))) < 2:
        pytest.skip("there is one GPU here")
    folders = [Path(shutil.copytree(fresh, tmp_path / name)) for name in "ab"]
    for folder in folders:
        write_spec(folder, production_ns=0.2, barostat_interval=500)
    runs = [simulate_elsewhere(folder, platform=PLATFORM) for folder in folders]
    for run in runs:
        run.join()
    records = [json.loads((folder / "out" / "run.json").read_text(encoding="utf-8")) for folder in folders]
    assert len({record["sessions"][0]["gpu"] for record in records}) == 2
    assert len({record["platform"]["properties"]["DeviceIndex"] for record in records}) == 2


def test_a_run_on_a_gpu_survives_kills(fresh):
    """Killed as soon as it has come further, three times: every frame and row is there once."""
    write_spec(fresh, production_ns=0.008, barostat_interval=500)
    for _ in range(3):
        killed = simulate_elsewhere(fresh, platform=PLATFORM, checkpoint_interval_s=0.02)
        wait_for_progress(fresh, killed, checkpointed_ns(fresh))
        assert killed.exitcode is None, "it should not have ended yet"
        killed.kill()
        killed.join()
    simulate_here(fresh, platform=PLATFORM)
    assert_complete(fresh, 4 * N_FRAMES, 4 * N_ROWS)
    record = json.loads((fresh / "out" / "run.json").read_text(encoding="utf-8"))
    assert {session["platform"] for session in record["sessions"]} == {PLATFORM}


def test_a_pressure_tensor_on_a_gpu_and_what_it_costs(tmp_path):
    """The mean over some picoseconds is the CPU's within what it fluctuates; how many steps it takes is printed."""
    run = prepared(tmp_path, 10_000)
    run.go_on(10.0)
    step_s, tensor_s = throughput.pressure(tmp_path, run.chosen)
    print(f"{run.n_atoms} atoms: a pressure tensor takes as long as {tensor_s / step_s:.1f} steps")
    here, there = (throughput.standing(tmp_path, PlatformOptions(name=name)) for name in (PLATFORM, "CPU"))
    # The same positions and velocities: single precision against OpenMM's strain of 10⁻³ leaves some ten bar.
    assert here.pressure_bar() == pytest.approx(there.pressure_bar(), abs=100.0)
