"""One run from its start to its files: minimise, soften, anneal, equilibrate, produce; and on from any kill.

A transport segment begins in a liquid: instead of being minimised it is given velocities, and instead of being
equilibrated until it is stationary it settles for a told time.
"""

from __future__ import annotations

import math
import socket
import time
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lmbmd.box.pdb import atom_labels, with_positions
from lmbmd.core import files
from lmbmd.core.errors import LmbmdError
from lmbmd.core.progress import Progress
from lmbmd.simulate import checkpoint
from lmbmd.simulate.checkpoint import CHECKPOINT_SHARE, Checkpoint
from lmbmd.simulate.engines.mechanics import Exploded
from lmbmd.simulate.engines.openmm import Engine
from lmbmd.simulate.equilibration import judge
from lmbmd.simulate.interrupts import Interrupts
from lmbmd.simulate.logs import Mark, PressureLog, Row, StateLog, Trajectory
from lmbmd.simulate.protocol import EQUILIBRATION, FINAL, PRESSURE, STATE, TRAJECTORY
from lmbmd.simulate.resume import (
    STAGES,
    Inputs,
    RunState,
    go_back,
    header_of,
    marks_of,
)

if TYPE_CHECKING:
    from lmbmd.simulate.engines import mdrun

#: Steps of growing length after the minimisation: (attoseconds, how many), and the friction that goes with them.
SOFT_STEPS = ((500, 1000), (1000, 1000), (2000, 1000))
SOFT_FRICTION_PER_PS = 10.0
#: Minimisation goes on while this many iterations still gain so much per atom, kJ/mol, and at most so often.
MINIMISE_ITERATIONS, MINIMISE_GAIN, MINIMISE_PIECES = 100, 0.02, 50
#: Explosions in a row before the run is given up, and in all.
MAX_STRIKES, MAX_RECOVERIES = 3, 20
#: An atom whose own kinetic temperature is so many times the thermostat's started the explosion: the largest among
#: 10⁸ thermal atoms is some 13 times it.
CULPRIT_FACTOR = 100
#: After an explosion the smaller step is kept for so long beyond it, ps.
RECOVERY_PS = 10.0
#: Seconds of stepping between looks at signals and clock.
ATTEND_S = 0.5


class Runner:
    """Drives an ``Engine`` through the stages, from wherever its ``RunState`` is."""

    def __init__(
        self,
        inputs: Inputs,
        engine: Engine | mdrun.Engine,
        work: Path,
        progress: Progress,
        interrupts: Interrupts,
        checkpoint_interval_s: float,
        *,
        choice: dict[str, Any] | None = None,
        place: dict[str, Any] | None = None,
    ) -> None:
        self.inputs, self.spec, self.engine, self.work = inputs, inputs.spec, engine, work
        self.state, self._choice, self._place = RunState(), choice or {}, place or {}
        self.progress, self._interrupts = progress, interrupts
        self._interval_s = checkpoint_interval_s
        self._next_checkpoint_s = time.monotonic() + checkpoint_interval_s
        self._chunk, self._clock = 10, time.monotonic()
        n_atoms = engine.system.getNumParticles()
        self._logs = {"equilibrate": StateLog(work / EQUILIBRATION), "produce": StateLog(work / STATE)}
        self._logs["anneal"] = self._logs["equilibrate"]
        self._trajectory = Trajectory(work / TRAJECTORY, n_atoms, self.spec.frame_interval_ps)
        self._files = {
            TRAJECTORY: self._trajectory.file,
            STATE: self._logs["produce"].file,
            EQUILIBRATION: self._logs["equilibrate"].file,
        }
        self._pressure = PressureLog(work / PRESSURE) if self.spec.pressure_steps else None
        if self._pressure:
            self._files[PRESSURE] = self._pressure.file

    # ---- whole run

    def run(self, positions_nm: np.ndarray, box_nm: np.ndarray, found: Checkpoint | None) -> Checkpoint:
        """Go on from a checkpoint, or begin; the last checkpoint, when all is done and the final structure written."""
        try:
            how = self._go_back(found) if found else "from the start"
            if not found:
                self._cut({})
                self.engine.set_positions(positions_nm, box_nm)
            self.state.sessions.append(self._session(how))
            while True:
                try:
                    if self.state.finished(self.spec):
                        return self._finish()  # may find that the last steps exploded
                    self._run_stage()
                except Exploded as error:
                    self._recover(error)
        finally:
            self.progress.end()
            self._trajectory.close()
            for file in self._files.values():
                file.close()

    def _session(self, how: str) -> dict:
        now = datetime.now(UTC).isoformat(timespec="seconds")
        where = {"platform": self.engine.report.name, **self._place, "stage": self.state.stage, "step": self.state.step}
        return {"began": now, "host": socket.gethostname(), **where, "how": how}

    def _finish(self) -> Checkpoint:
        last = self._checkpoint()
        shot = self.engine.snapshot()
        text = with_positions(self.inputs.start_pdb, shot.positions_nm * 10, shot.box_nm * 10)
        files.write_text(self.work / FINAL, text)
        return last

    def _run_stage(self) -> None:
        stage = self.state.stage
        getattr(self, f"_{stage}")()
        self._tick(time.monotonic())
        if stage != STAGES[-1]:
            self.state.stage, self.state.step = STAGES[STAGES.index(stage) + 1], 0
            self._checkpoint()

    # ---- stages

    def _minimise(self) -> None:
        if self.spec.dynamics is not None:
            self.engine.warm()
            return
        energy, n_atoms = np.inf, self.engine.system.getNumParticles()
        self.progress.say(f"minimise: {n_atoms} atoms")
        for _ in range(MINIMISE_PIECES):
            lower = self.engine.minimise(MINIMISE_ITERATIONS)
            if not np.isfinite(lower):
                raise LmbmdError(
                    f"the start cannot be relaxed: its energy is {lower}.",
                    where=str(self.work),
                    remedy="Build the box again with another seed or at a lower density.",
                )
            if self._interrupts.received:
                raise self._interrupts.error("minimise: nothing was kept yet")
            if energy - lower < MINIMISE_GAIN * n_atoms:
                break
            energy = lower
        self.engine.warm()

    def _soften(self) -> None:
        ladder = self._ladder()
        self.progress.begin("soften", ladder[-1][0] if ladder else 0, self.state.step, "steps")
        for end, _ in ladder:
            self._set_pace()
            while self.state.step < end:
                self._look_ahead(end)
                self._walk(min(end, self._next(100)))
                self.engine.measure(self.state.step, 0.0)
                self._attend()

    def _ladder(self) -> list[tuple[int, int]]:
        """Of the softening: until which of its steps the time step is so long, in attoseconds."""
        shorter = [(step_as, count) for step_as, count in SOFT_STEPS if step_as < self.spec.step_as]
        ends = np.cumsum([count for _, count in shorter]).tolist()
        return [(end, step_as) for end, (step_as, _) in zip(ends, shorter, strict=True)]

    def _anneal(self) -> None:
        if self.spec.anneal is None:
            return
        ramp = self.spec.anneal
        corners = np.cumsum([0, *self.spec.anneal_steps])
        temperatures = [self.spec.temperature_K, ramp.temperature_K, ramp.temperature_K, self.spec.temperature_K]
        self._begin("anneal", int(corners[-1]))
        while self.state.step < corners[-1]:
            # Of the row that is walked to, so that it depends on the step alone and not on where a run was killed.
            target = self._next(self.spec.state_steps)
            corner = int(corners[np.searchsorted(corners, self.state.step, side="right")])
            ramp_K = [float(np.interp(step, corners, temperatures)) for step in (self.state.step, corner)]
            self._look_ahead(corner, rows=self.spec.state_steps, temperatures_K=(ramp_K[0], ramp_K[1]))
            self.engine.set_temperature(float(np.interp(target, corners, temperatures)))
            self._walk(target)
            self._log(0)
            self._attend()
        self.engine.set_temperature(self.spec.temperature_K)

    def _equilibrate(self) -> None:
        if self.spec.dynamics is not None:
            self._settle()
            return
        least, most = (self.spec.steps_in_ns(t) for t in (self.spec.equilibration_ns, self.spec.max_equilibration_ns))
        offset = sum(self.spec.anneal_steps)
        look_every = max(5, least // self.spec.state_steps // 10)
        rows = [r for r in self._logs["equilibrate"].read() if r.step > offset]
        self._begin("equilibrate", least)
        while self.state.verdict is None:
            end = self.state.step >= most
            if end or (self.state.step >= least and len(rows) % look_every == 0):
                verdict = judge([r.density_g_cm3 for r in rows], [r.potential_kJ_mol for r in rows])
                if verdict.stationary or end:
                    self.state.verdict = {"duration_ps": self.spec.time_ps(self.state.step), **asdict(verdict)}
                    self.progress.say(
                        f"equilibrate: ended after {self.state.verdict['duration_ps']:g} ps, {verdict.reason}"
                    )
                    return
                self.progress.begin("equilibrate", self.spec.time_ps(most), self.spec.time_ps(self.state.step))
            look = look_every * self.spec.state_steps
            self._look_ahead(min(most, -(-max(least, self.state.step + 1) // look) * look), rows=self.spec.state_steps)
            self._walk(min(self._next(self.spec.state_steps), most))
            if self.state.step % self.spec.state_steps == 0:
                rows.append(self._log(offset))
            self._attend()

    def _settle(self) -> None:
        total = self.spec.steps_in_ns(self.spec.equilibration_ns)
        self._begin("equilibrate", total)
        while self.state.step < total:
            self._look_ahead(total, rows=self.spec.state_steps)
            self._walk(min(self._next(self.spec.state_steps), total))
            if self.state.step % self.spec.state_steps == 0:
                self._log(0)
            self._attend()
        self.state.verdict = {"duration_ps": self.spec.time_ps(total)}

    def _produce(self) -> None:
        self._begin("produce", self.spec.production_steps)
        every = [self.spec.state_steps, self.spec.frame_steps]
        if pressure_steps := self.spec.pressure_steps:
            every.append(pressure_steps)
        rows = math.gcd(self.spec.state_steps, pressure_steps or 0)
        while self.state.step < self.spec.production_steps:
            self._look_ahead(self.spec.production_steps, rows=rows, frames=self.spec.frame_steps)
            self._walk(min(self.spec.production_steps, *map(self._next, every)))
            if self.state.step % self.spec.state_steps == 0:
                self._log(0)
            if self._pressure and pressure_steps and self.state.step % pressure_steps == 0:
                self._pressure.append(self.spec.time_ps(self.state.step), self.engine.pressure_bar())
            if self.state.step % self.spec.frame_steps == 0:
                shot = self.engine.snapshot()
                self._trajectory.append(shot.positions_nm, shot.box_nm)
            if self.state.step < self.spec.production_steps:
                self._attend()

    # ---- steps

    def _begin(self, stage: str, total: int) -> None:
        self.progress.begin(stage, self.spec.time_ps(total), self.spec.time_ps(self.state.step))
        self._set_pace()

    def _set_pace(self) -> None:
        step_as, friction_per_ps = self._pace(self.state)
        self.engine.set_pace(step_as, self.state.divisor, friction_per_ps)

    def _pace(self, state: RunState) -> tuple[int, float]:
        """Time step (attoseconds, before it is divided by strikes) and friction (1/ps) of a stage and step."""
        if state.stage == "soften":
            for end, step_as in self._ladder():
                if state.step < end:
                    return step_as, SOFT_FRICTION_PER_PS
        if state.stage == "produce":
            return self.spec.step_as, self.spec.production_friction_per_ps
        return self.spec.step_as, self.spec.friction_per_ps

    def _look_ahead(
        self, until: int, *, rows: int = 0, frames: int = 0, temperatures_K: tuple[float, float] | None = None
    ) -> None:
        """Tell the engine that the stage goes on until a step, with rows and frames at these multiples on the way."""
        constant = (self.spec.temperature_K, self.spec.temperature_K)
        self.engine.look_ahead(
            self.state.step, until, rows=rows, frames=frames, temperatures_K=temperatures_K or constant
        )

    def _next(self, every: int) -> int:
        """The next step of this stage that is a multiple of ``every``."""
        return (self.state.step // every + 1) * every

    def _walk(self, target: int) -> None:
        """Step to ``target``, looking at signals and clock on the way."""
        while self.state.step < target:
            n = min(self._chunk, target - self.state.step)
            began = time.monotonic()
            taken = self.engine.step(n)
            self.state.step += taken
            if taken == self._chunk:
                seconds = max(time.monotonic() - began, 1e-4)
                self._chunk = max(1, min(2 * n, int(n * ATTEND_S / seconds)))
            if self.state.step < target:  # at the target, its frame and row come first
                self._attend()

    def _log(self, offset: int) -> Row:
        step = offset + self.state.step
        row = self.engine.measure(step, self.spec.time_ps(step))
        self._logs[self.state.stage].append(row)
        return row

    def _attend(self) -> None:
        """Between steps: the clock, the bar, a checkpoint if one is due, and a signal if one has come."""
        state, now = self.state, time.monotonic()
        self._tick(now)
        self.progress.at(state.step if state.stage == "soften" else self.spec.time_ps(state.step))
        if state.slow_until and not state.before(state.slow_until):
            state.strikes, state.slow_until = 0, None
            self._set_pace()
        due = self._interrupts.received or now >= self._next_checkpoint_s
        if not (due and self.engine.land()):
            return
        self._checkpoint()
        if self._interrupts.received:
            time_ps = "" if state.stage == "soften" else f" at {self.spec.time_ps(state.step):g} ps"
            raise self._interrupts.error(f"{state.stage}{time_ps}; everything up to here is kept")

    def _tick(self, now: float) -> None:
        wall = self.state.wall_s
        wall[self.state.stage] = wall.get(self.state.stage, 0.0) + now - self._clock
        self._clock = now

    # ---- checkpoints and recovery

    def _checkpoint(self) -> Checkpoint:
        began = time.monotonic()
        self._tick(began)
        # What the checkpoint counts on must be on the disk before it is.
        self._trajectory.settle()
        marks = {name: file.mark() for name, file in self._files.items()}
        report = self.engine.report
        header = header_of(self.inputs, self.state, marks, report.identity, report.to_dict(), self._choice)
        saved = self.engine.save(header)
        checkpoint.save(self.work, saved)
        cost = time.monotonic() - began + self.engine.overhead_s
        self._next_checkpoint_s = time.monotonic() + max(self._interval_s, cost / CHECKPOINT_SHARE)
        return saved

    def _cut(self, marks: dict[str, Mark]) -> None:
        """Cut the growing files back to what they held at a checkpoint, or to nothing."""
        self._logs["equilibrate"].cut(marks.get(EQUILIBRATION))
        self._logs["produce"].cut(marks.get(STATE))
        self._trajectory.cut(marks.get(TRAJECTORY))
        if self._pressure:
            self._pressure.cut(marks.get(PRESSURE))

    def _go_back(self, found: Checkpoint) -> str:
        self.state = RunState.of(found)
        self._cut(marks_of(found))
        how = self.engine.restore(found)
        self.engine.set_temperature(self.spec.temperature_K)
        self._clock = time.monotonic()
        return how

    def _recover(self, error: Exploded) -> None:
        """Back to the last good checkpoint, the third time to the one before it, with a smaller step.

        Raises:
            LmbmdError: after too many explosions, naming the hottest atoms.
        """
        failed = self.state
        strikes = failed.strikes + 1
        record = {"stage": failed.stage, "step": failed.step, "reason": str(error), "divisor": failed.divisor}
        if strikes > MAX_STRIKES or len(failed.recoveries) >= MAX_RECOVERIES:
            raise self._diagnosis(failed, error) from error
        self._go_back(go_back(self.work, self.inputs, older=strikes == MAX_STRIKES))
        back = f"{self.state.stage} step {self.state.step}"
        self.state.sessions, self.state.recoveries = failed.sessions, [*failed.recoveries, {**record, "back_to": back}]
        beyond = failed.step + int(RECOVERY_PS * 1e6) // self.spec.step_as
        self.state.strikes, self.state.slow_until = strikes, (failed.stage, beyond)
        self.progress.say(
            f"{failed.stage} step {failed.step}: {error}; back to {back} with a step {self.state.divisor} times smaller"
        )

    def _diagnosis(self, failed: RunState, error: Exploded) -> LmbmdError:
        """Replay the last stretch to see which atoms heat up first."""
        self._go_back(go_back(self.work, self.inputs, older=False))
        self.state.strikes = failed.strikes
        self._set_pace()
        stretch = max(failed.step - self.state.step, 10) if failed.stage == self.state.stage else 1000
        hottest = self.engine.culprits(min(1000, stretch), CULPRIT_FACTOR * self.spec.temperature_K)
        labels = atom_labels(self.inputs.start_pdb, [atom for atom, _ in hottest])
        atoms = "; ".join(f"{label} at {kelvin:.0f} K" for label, (_, kelvin) in zip(labels, hottest, strict=True))
        divided = self._pace(failed)[0] / 1000 / failed.divisor
        return LmbmdError(
            f"the run explodes in stage {failed.stage} at step {failed.step} ({error}), also with a step of "
            f"{divided:g} fs. Hottest atoms just before: {atoms}.",
            where=str(self.work),
            remedy="Check the parameters and the packing of those molecules, or choose a shorter timestep_fs.",
        )
