"""What must hold on a GPU: `pytest -m gpu`. That its energies and forces are right is in test_platforms.py.

Skipped where OpenMM has no CUDA platform. Numbers are printed (`pytest -m gpu -s`), for docs/simulation.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import openmm
import pytest
from runs import N_FRAMES, N_ROWS, assert_complete, checkpointed_ns, wait_for_progress
from toy import simulate_elsewhere, simulate_here, write_spec

from benchmarks import throughput
from lmbmd.simulate.options import PlatformOptions

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


def test_replicas_that_share_a_gpu_all_finish_and_lose_nothing(tmp_path):
    run = prepared(tmp_path / "run", 10_000)
    alone_s = run.go_on(40.0)
    together = throughput.shared(run, 3, 100.0)
    print(f"{run.n_atoms} atoms: {0.04 / alone_s * 86400:.1f} ns/day alone, {together:.1f} by three at once")
    assert together > 0


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
