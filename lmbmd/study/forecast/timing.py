"""Real steps of a box, timed: in this process, or in as many at once as a study lets share a device."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openmm

from lmbmd.box.system import assembled, kinds
from lmbmd.core.errors import LmbmdError
from lmbmd.core.words import counted
from lmbmd.core.workers import send_no_more
from lmbmd.forcefield.parameters import load_set
from lmbmd.formulation.composition import Composition
from lmbmd.simulate.engines.choice import GROMACS, known, trial, usable_gpus
from lmbmd.simulate.engines.mechanics import Exploded
from lmbmd.simulate.engines.openmm import Engine
from lmbmd.simulate.engines.platform import PlatformReport, cores, processor_name
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.places import placed
from lmbmd.simulate.protocol import RunSpec
from lmbmd.simulate.runner import SOFT_FRICTION_PER_PS, SOFT_STEPS

if TYPE_CHECKING:
    from lmbmd.simulate.engines import mdrun

#: Of each kind of softening step.
_SOFT_STEPS = 50
#: How long those who time at once wait for each other, s: for what a process does before it can step.
_PATIENCE_S = 600.0


@dataclass(frozen=True)
class Timing:
    """What was timed.

    Attributes:
        steps_per_s: of each engine that a run would choose between.
        device: what computed, in words.
        units: how many GPUs or cores one run has.
        gpu: whether these are GPUs.
    """

    steps_per_s: dict[str, float]
    device: str
    units: int
    gpu: bool


@dataclass(frozen=True)
class Stopwatch:
    """A box that is to be timed.

    Attributes:
        start: System, positions (n, 3) and box (3, 3) in nm.
        counts: molecules of each species in it.
        seconds: of real steps.
    """

    composition: Composition
    spec: RunSpec
    options: PlatformOptions
    start: tuple[openmm.System, np.ndarray, np.ndarray]
    counts: dict[str, int]
    seconds: float

    @property
    def at_once(self) -> int:
        """How many runs the study lets share a device."""
        return self.options.runs_per_device or 1

    def run(self, say: Callable[[str], None]) -> Timing:
        """Time that many runs at once, each in its place; steps per second are the mean of them.

        Raises:
            Exploded, LmbmdError: as one of them does.
        """
        if self.at_once == 1:
            return self.alone(say, lambda: None)
        say(f"{self.composition.formulation}: timing {self.at_once} runs of {len(self.start[1])} atoms at once")
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(self.at_once)
        with ProcessPoolExecutor(self.at_once, context, initializer=_begin, initargs=(barrier,)) as pool:
            futures = [pool.submit(_one_of_them, self) for _ in range(self.at_once)]
            # Where one fails, the others cannot begin; its own error is the one to tell.
            errors = sorted(filter(None, (f.exception() for f in futures)), key=lambda e: isinstance(e, _NotTogether))
            if errors and isinstance(errors[0], BrokenProcessPool):
                send_no_more(pool)
        if errors and isinstance(errors[0], BrokenProcessPool):
            raise LmbmdError(
                f"one of {self.at_once} processes that were timed at once was ended from outside, perhaps for memory.",
                where="platform:runs_per_device",
                remedy="Give a smaller number, or use --table, or --like with the run.json of a finished run.",
            ) from errors[0]
        if errors and isinstance(errors[0], Exploded | LmbmdError) and known(self.options, self.spec) is None:
            # What one cannot do in GROMACS all do in OpenMM, as runs would.
            return replace(self, options=self.options.model_copy(update={"engine": "openmm"})).run(say)
        if errors:
            raise errors[0]
        found = [future.result() for future in futures]
        mean = {engine: float(np.mean([one.steps_per_s[engine] for one in found])) for engine in found[0].steps_per_s}
        return Timing(mean, found[0].device, found[0].units, found[0].gpu)

    def alone(self, say: Callable[[str], None], meet: Callable[[], None]) -> Timing:
        """Time one run in this process. ``meet`` returns when all who time at once are ready to step."""
        choice = known(self.options, self.spec)
        with placed(self.options, usable_gpus(choice, self.options)[:1], lambda text: None) as (options, _):
            if choice is None or choice.name == GROMACS:
                say(f"{self.composition.formulation}: timing {len(self.start[1])} atoms with OpenMM and GROMACS")
                threads = options.threads or cores()
                device = f"{counted(threads, 'thread')} of {processor_name() or 'this processor'}"
                try:
                    speeds = trial(self._make(), self.start[1:], options, self.spec, self.seconds, meet)
                    return Timing(speeds, device, threads, False)
                except (Exploded, LmbmdError):
                    # Where several are timed at once, all of them fall back or none.
                    if options.engine == "gromacs" or self.at_once > 1:
                        raise
            engine = Engine(self.start[0], self.spec, options, "estimate")
            device, units, gpu = describe_device(engine.report)
            say(f"{self.composition.formulation}: timing {len(self.start[1])} atoms on {device}")
            engine.set_positions(*self.start[1:])
            engine.warm()
            for step_as, _ in SOFT_STEPS:
                if step_as < self.spec.step_as:
                    engine.set_pace(step_as, friction_per_ps=SOFT_FRICTION_PER_PS)
                    engine.step(_SOFT_STEPS)
            engine.set_pace(self.spec.step_as)
            meet()
            return Timing({"OpenMM": _counted(engine, self.seconds)}, device, units, gpu)

    def _make(self) -> Callable[[PlatformOptions, Path | None], Engine | mdrun.Engine]:
        """Makes either engine for this box."""
        from lmbmd.simulate.engines import mdrun  # slow to import

        (system, positions, box), composition = self.start, self.composition
        parameters = load_set(composition.force_field, composition.own_sets)
        edge_A = 10 * float(box[0, 0])
        scale, chains = composition.ion_charge_scale, composition.chains
        atoms = assembled(kinds(self.counts, composition.roles, parameters, scale, chains), parameters, edge_A).atoms

        def make(options: PlatformOptions, folder: Path | None) -> Engine | mdrun.Engine:
            if folder is None:
                return Engine(system, self.spec, options, "estimate")
            described = mdrun.described(
                system, atoms, (10 * positions, 10 * box), self.spec, Path("the box to be timed")
            )
            return mdrun.Engine(system, described, self.spec, options, "estimate", folder)

        return make


class _NotTogether(LmbmdError):
    """Another one of those who time at once has failed, or is late."""


#: Of a process that times beside others: where they meet.
_barriers: list[threading.Barrier] = []


def _begin(barrier: threading.Barrier) -> None:
    _barriers.append(barrier)


def _one_of_them(stopwatch: Stopwatch) -> Timing:
    (barrier,) = _barriers

    def meet() -> None:
        try:
            barrier.wait(_PATIENCE_S)
        except threading.BrokenBarrierError as error:
            raise _NotTogether(
                "the runs that were to be timed at once did not begin together.",
                where=stopwatch.composition.formulation,
                remedy="Give the command again, or use --table, or --like with the run.json of a finished run.",
            ) from error

    try:
        return stopwatch.alone(lambda text: None, meet)
    except BaseException:
        barrier.abort()
        raise


def _counted(engine: Engine, seconds: float) -> float:
    """Steps per second in at least ``seconds``; what is slow only once is over before."""
    engine.step(10)
    engine.measure(0, 0.0)  # waits for a GPU that is still busy
    steps, n, began = 0, 5, time.perf_counter()
    while (spent := time.perf_counter() - began) < seconds:
        engine.step(n)
        engine.measure(0, 0.0)
        steps += n
        n = min(2 * n, max(1, int(steps / (time.perf_counter() - began) * seconds / 4)))
    return steps / spent


def describe_device(report: PlatformReport) -> tuple[str, int, bool]:
    """What computes in words, how many GPUs or cores of it, and whether they are GPUs."""
    name, properties = report.name, report.properties
    if name in ("CUDA", "OpenCL") and not report.on_processor:
        return f"{name} ({properties['DeviceName']})", len(properties["DeviceIndex"].split(",")), True
    units = 1 if name == "Reference" else int(properties.get("Threads") or cores())
    return f"{name} ({counted(units, 'thread')} of {processor_name() or 'this processor'})", units, False
