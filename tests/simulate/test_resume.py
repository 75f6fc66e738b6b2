"""Which checkpoint a run goes on from, whatever has happened to it: explosions and kills in any order."""

from __future__ import annotations

import json
import math
import random
import shutil
from pathlib import Path

import pytest
from accidents import DEAD, Accidents, explode, simulate_with
from runs import BOTH, RUNS_ONLY, assert_complete
from toy import simulate_here, write_spec

from lmbmd.core.errors import LmbmdError
from lmbmd.simulate import checkpoint, publish, resume, runner
from lmbmd.simulate.protocol import load_spec


def record(folder: Path) -> dict:
    return json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))


def test_a_kill_after_the_third_explosion_does_not_go_on_in_the_abandoned_branch(fresh):
    """The third explosion goes back to the checkpoint before the last. The last one belongs to a branch that is
    given up: it must not be gone on from, although the files have grown beyond what it counted on."""
    three = Accidents(save_at=(150, 600), explode_at=(700, 700, 700), die_at=670)
    assert simulate_with(fresh, three, checkpoint_interval_s=1000) == DEAD
    assert not (fresh / "work" / checkpoint.PREVIOUS).exists()
    assert checkpoint.load(fresh / "work" / checkpoint.CURRENT).header["state"]["step"] == 150
    simulate_here(fresh)
    assert_complete(fresh)


def test_the_third_explosion_goes_back_to_the_checkpoint_before_the_last(fresh):
    three = Accidents(save_at=(150, 600), explode_at=(700, 700, 700))
    assert simulate_with(fresh, three, checkpoint_interval_s=1000) == 0
    assert_complete(fresh)
    assert [r["back_to"] for r in record(fresh)["recoveries"]] == [
        "produce step 600",
        "produce step 600",
        "produce step 150",
    ]


def test_a_finished_run_whose_extension_was_given_up_is_published_as_it_was(finished):
    """The extension had grown the files, then was killed before its first checkpoint, and is not wanted any more."""
    write_spec(finished, production_ns=0.003)
    assert simulate_with(finished, Accidents(die_at=1300), checkpoint_interval_s=1000) == DEAD
    write_spec(finished, production_ns=0.002)
    shutil.rmtree(finished / "out")
    simulate_here(finished)
    assert_complete(finished)


def test_a_finished_run_of_which_only_the_previous_checkpoint_is_left(finished):
    """The current one was renamed and the new one not yet: at the end of an extension that asked for nothing more."""
    (finished / "work" / checkpoint.CURRENT).rename(finished / "work" / checkpoint.PREVIOUS)
    shutil.rmtree(finished / "out")
    simulate_here(finished)
    assert_complete(finished)


@pytest.mark.parametrize("name", [checkpoint.CURRENT, checkpoint.PREVIOUS, f".{checkpoint.CURRENT}.partial"])
@RUNS_ONLY
def test_a_folder_where_a_checkpoint_belongs_stops_no_run_and_is_kept(fresh, name):
    """A copy program or a user's mistake has put a folder there; what is in it is nobody's to delete."""
    accidents = Accidents(save_at=(150, 600), die_at=700)
    assert simulate_with(fresh, accidents, checkpoint_interval_s=1000) == DEAD
    work = fresh / "work"
    if name == checkpoint.CURRENT:
        (work / checkpoint.CURRENT).replace(work / checkpoint.PREVIOUS)
    (work / name).unlink(missing_ok=True)
    (work / name).mkdir()
    (work / name / "notes").write_text("mine", encoding="utf-8")
    simulate_here(fresh)
    assert_complete(fresh)
    assert [path.read_text(encoding="utf-8") for path in work.glob(f"{name}.folder*/notes")] == ["mine"]


@pytest.mark.slow
@BOTH
@pytest.mark.parametrize("seed", range(3))
def test_deaths_in_any_call_and_explosions_in_any_order_leave_no_trace(fresh, engine, seed):
    """Each process dies at a random call that changes a file, the first ones also explode up to three times, and
    the length that is asked for goes up and down. Whatever is published is exactly what was asked for."""
    rng, deaths, published = random.Random(seed), 0, 0
    for process in range(26):
        last = process == 25
        n_frames = 30 if last else rng.choice((20, 20, 30))
        write_spec(fresh, production_ns=n_frames * 1e-4, barostat_interval=500)
        accidents = Accidents(
            die_call=None if last else int(math.exp(rng.uniform(0, math.log(300)))),
            share=rng.choice((0.0, 0.02, 0.2)) if process < 6 else 0.0,
            seed=process,
        )
        interval_s = rng.choice((0.01, 0.05, 1000)) * {"openmm": 1, "gromacs": 20}[engine]
        code = simulate_with(fresh, accidents, checkpoint_interval_s=interval_s)
        deaths += code == DEAD
        if code == 0:
            published += 1
            assert_complete(fresh, n_frames, 5 * n_frames)
        elif code != DEAD:
            told = (fresh / "error.txt").read_text("utf-8")
            assert "already" in told or "the run explode" in told, told
    assert code == 0 and deaths >= 4, (code, deaths, published)


def test_steps_stay_soft_after_an_explosion_while_softening(fresh, monkeypatch):
    """10 ps after the accident the strikes are over; what returns is the step and friction of the softening."""
    write_spec(fresh, timestep_fs=4.0, frame_interval_ps=0.4, state_interval_ps=0.04)
    real, exploded, seen = runner.Runner._attend, [], []

    def attend(self):
        integrator = self.engine._langevin
        if self.state.stage == "soften":
            seen.append((round(integrator.getStepSize()._value * 1e6), integrator.getFriction()._value))
        if self.state.stage == "soften" and self.state.step >= 20 and not exploded:
            exploded.append(self.state.step)
            explode(self)
        real(self)

    monkeypatch.setattr(runner.Runner, "_attend", attend)
    monkeypatch.setattr(runner, "RECOVERY_PS", 0.2)  # 50 of the full steps
    simulate_here(fresh, soft_steps=((500, 300), (1000, 100)))
    assert exploded and list(dict.fromkeys(seen)) == [(500, 10.0), (250, 10.0), (1000, 10.0)]
    assert seen.index((250, 10.0)) < len(seen) - 1 - seen[::-1].index((500, 10.0)), "the soft step came back"


def test_a_run_that_goes_on_exploding_while_softening_names_the_step_that_it_had(fresh):
    """0.5 fs, divided by 2³; the protocol's own step is 2 fs."""
    four = Accidents(explode_in="soften", explode_at=(10,) * 4)
    assert simulate_with(fresh, four, soft_steps=((500, 300),)) == 2
    told = (fresh / "error.txt").read_text("utf-8")
    assert "explodes in stage soften at step" in told and "with a step of 0.0625 fs" in told


@RUNS_ONLY
def test_an_explosion_before_the_first_checkpoint_is_an_error_that_says_so(fresh):
    (fresh / "work").mkdir()
    inputs = resume.Inputs(load_spec(fresh / "spec.json"), "", "")
    with pytest.raises(LmbmdError, match="exploded and there is no checkpoint to go back to") as error:
        resume.go_back(fresh / "work", inputs, older=False)
    assert "another seed" in error.value.remedy


def test_a_damaged_checkpoint_is_replaced_by_the_one_before_and_kept_for_a_look(finished, capsys):
    work = finished / "work"
    bad, good = b"nonsense", (work / checkpoint.PREVIOUS).read_bytes()
    (work / checkpoint.CURRENT).write_bytes(bad)
    texts = ((finished / name).read_text(encoding="utf-8") for name in ("system.xml", "start.pdb"))
    inputs = resume.Inputs(load_spec(finished / "spec.json"), *texts)
    said: list[str] = []
    assert resume.find(work, inputs, said.append).header["state"]["stage"] == "produce"
    assert said == ["checkpoint: it is no checkpoint of this version of lmbmd; going on from checkpoint.previous"]
    assert (work / "checkpoint.rejected").read_bytes() == bad
    assert (work / checkpoint.CURRENT).read_bytes() == good and not (work / checkpoint.PREVIOUS).exists()


def test_a_trajectory_that_does_not_hold_the_frames_asked_for_is_not_published(finished):
    """Whatever made it so: the last look before the results."""
    work = finished / "work"
    last = checkpoint.load(work / checkpoint.CURRENT)
    data = (work / "trajectory.xtc").read_bytes()
    (work / "trajectory.xtc").write_bytes(data + data[:100])
    with pytest.raises(LmbmdError, match=r"breaks off after 20 frames.*20 were asked for\. Nothing was published"):
        publish.publish(work, finished / "elsewhere", last, load_spec(finished / "spec.json"), {})
    assert not (finished / "elsewhere").exists()
