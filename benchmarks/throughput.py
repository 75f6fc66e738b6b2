"""The simulate stage against a bare OpenMM loop, on the same System, in turn, in one process.

    python -m benchmarks.throughput [--formulation NAME] [--platform auto] [--ps 40] [--rounds 3]
    python -m benchmarks.throughput --atoms 10000         # the formulation's box beside itself
    python -m benchmarks.throughput --share 4             # and then four replicas at once on one device
    python -m benchmarks.throughput --pressure            # and how many steps a pressure tensor takes as long as

"simulate" is the production stage as it runs in a study: trajectory, state log, checks, checkpoints. "bare" is
``integrator.step(n)`` on the same prepared System from the same state, with nothing else. Rounds alternate, so that
what else the machine does hits both. The share of the stage's own time that went into steps is printed too: it is the
same quantity seen from inside, and a busy machine spoils it less.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import openmm

from lmbmd.box.build import build_box
from lmbmd.box.pdb import pdb_text
from lmbmd.box.system import build_system
from lmbmd.box.tile import liquid, repeated
from lmbmd.forcefield.parameters import load_set
from lmbmd.formulation.composition import Composition
from lmbmd.simulate import checkpoint
from lmbmd.simulate.engines import mechanics
from lmbmd.simulate.engines.openmm import Engine
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import Transport, load_spec
from lmbmd.simulate.run import simulate
from lmbmd.study.study import load_study


def arguments(description: str | None, threads: int | None) -> argparse.ArgumentParser:
    """What every stopwatch of one box in the simulate stage is asked; ``prepared_run`` takes it."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="config/config.yaml")
    parser.add_argument("--formulation", help="default: the study's last")
    parser.add_argument("--threads", type=int, default=threads)
    parser.add_argument("--ps", type=float, default=40.0, help="length of one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.set_defaults(frame_ps=None, atoms=0)
    return parser


def main() -> None:
    parser = arguments(__doc__, threads=None)
    parser.add_argument("--platform", default="auto")
    parser.add_argument("--frame-ps", type=float, help="default: the study's")
    parser.add_argument("--checkpoint-s", type=float, default=60.0)
    parser.add_argument("--atoms", type=int, default=0, help="repeat the box until it has about so many")
    parser.add_argument("--share", type=int, default=1, metavar="N", help="time N replicas at once, too")
    parser.add_argument("--pressure", action="store_true", help="time a pressure tensor, too")
    options = parser.parse_args()
    chosen = PlatformOptions(name=options.platform, threads=options.threads, checkpoint_interval_s=options.checkpoint_s)
    with tempfile.TemporaryDirectory(prefix="lmbmd-throughput-") as folder:
        measure(Path(folder), options, chosen)


def measure(folder: Path, options: argparse.Namespace, chosen: PlatformOptions) -> None:
    run = prepared_run(folder, options, chosen)
    frame_ps = run.spec["protocol"]["frame_interval_ps"]
    round_ps = max(1, round(options.ps / frame_ps)) * frame_ps
    run.go_on(round_ps)  # warms caches up; not counted
    stepping = [0.0]
    Engine.step = timed(Engine.step, stepping)  # type: ignore[method-assign]
    print(f"{run.n_atoms} atoms, platform {run.platform}, rounds of {round_ps:g} ps")
    times: list[tuple[float, float]] = []
    for k in range(options.rounds):
        bare_s = bare(folder, chosen, round_ps)
        times.append((run.go_on((k + 2) * round_ps), bare_s))
        speeds = [round_ps / 1000 / seconds * 86400 for seconds in times[-1]]
        print(f"simulate {speeds[0]:8.2f} ns/day   bare {speeds[1]:8.2f} ns/day", flush=True)
    share = stepping[0] / sum(ours_s for ours_s, _ in times)
    middle = statistics.median(bare_s / ours_s for ours_s, bare_s in times)
    # Whatever else the machine does can only slow a round down, so the quickest of each is the fairest pair.
    best = min(bare_s for _, bare_s in times) / min(ours_s for ours_s, _ in times)
    print(f"simulate reaches {100 * best:.1f} % of a bare loop (quickest rounds; median of pairs {100 * middle:.1f} %)")
    print(f"{100 * share:.1f} % of the production's time went into steps")
    if options.share > 1:
        together = shared(run, options.share, round_ps)
        print(f"{options.share} replicas at once: {together:.2f} ns/day together")
    if options.pressure:
        step_s, tensor_s = pressure(folder, chosen)
        print(f"a pressure tensor takes {1000 * tensor_s:.1f} ms, as long as {tensor_s / step_s:.1f} steps")


def pressure(folder: Path, chosen: PlatformOptions, repeats: int = 5) -> tuple[float, float]:
    """Seconds of a step and of a pressure tensor, the quickest of alternating rounds, from where the run stands."""
    engine, rounds = standing(folder, chosen), []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        engine.step(100)
        engine.measure(0, 0.0)
        between = time.perf_counter()
        for _ in range(5):
            engine.pressure_bar()
        rounds.append(((between - began) / 100, (time.perf_counter() - between) / 5))
    steps_s, tensors_s = zip(*rounds[1:], strict=True)
    return min(steps_s), min(tensors_s)


def standing(folder: Path, chosen: PlatformOptions) -> Engine:
    """Where the run stands, as a transport segment with pressure tensors."""
    spec = load_spec(folder / "spec.json")
    dynamics = Transport(pressure_interval_ps=spec.time_ps(1)).dynamics
    found = checkpoint.load(folder / "work" / checkpoint.CURRENT)
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text(encoding="utf-8"))
    engine = Engine(system, spec.model_copy(update={"dynamics": dynamics}), chosen, "benchmark")
    engine.restore(replace(found, header={**found.header, "engine": {}}))  # of a run: its binary part does not fit
    engine.set_pace(spec.step_as, friction_per_ps=0.0)
    return engine


@dataclass
class Run:
    """A run in a folder of its own, extended bit by bit."""

    folder: Path
    spec: dict
    chosen: PlatformOptions
    n_atoms: int = 0
    platform: str = ""
    spent_s: float = 0.0

    def go_on(self, total_ps: float) -> float:
        """Extend the run to ``total_ps`` of production; returns the seconds that the new part took."""
        self.spec["protocol"]["production_ns"] = round(total_ps / 1000, 9)
        paths = [self.folder / name for name in ("spec.json", "system.xml", "start.pdb", "work", "out")]
        paths[0].write_text(json.dumps(self.spec), encoding="utf-8")
        simulate(*paths, platform=self.chosen, quiet=True)
        record = json.loads((self.folder / "out" / "run.json").read_text(encoding="utf-8"))
        self.n_atoms, self.platform = record["n_atoms"], record["platform"]["name"]
        before, self.spent_s = self.spent_s, record["wall_s"]["produce"]
        return self.spent_s - before


def timed(function: Callable[..., Any], spent: list[float]) -> Callable[..., Any]:
    """The same function, adding the seconds it takes to ``spent[0]``."""

    def wrapper(*arguments: object) -> Any:
        began = time.perf_counter()
        found = function(*arguments)
        spent[0] += time.perf_counter() - began
        return found

    return wrapper


def prepared_run(folder: Path, options: argparse.Namespace, chosen: PlatformOptions) -> Run:
    """Build the box of a formulation; its run will equilibrate only briefly."""
    folder.mkdir(exist_ok=True)
    study = load_study(options.study)
    name = options.formulation or study.names[-1]
    composition = study.composition(name)
    if options.atoms:
        write_repeated(folder, composition, options.atoms)
    else:
        build_box(
            composition,
            load_set(composition.force_field),
            ion_charge_scale=composition.ion_charge_scale,
            seed=1,
            out_dir=folder,
        )
    spec = study.spec(name, study.temperatures(name)[0], 1)
    spec["protocol"] |= {"equilibration_ns": 0.02, "max_equilibration_ns": 0.02}
    if options.frame_ps:
        spec["protocol"]["frame_interval_ps"] = options.frame_ps
    return Run(folder, spec, chosen)


def write_repeated(folder: Path, composition: Composition, n_atoms: int) -> None:
    """``system.xml`` and ``start.pdb`` of a formulation's box beside itself, as nearly a cube of so many atoms."""
    parameters = load_set(composition.force_field)
    counts = {species: n for species, n in composition.counts.items() if n}
    edge_A = composition.box_edge_A
    k = max(1, round((n_atoms / composition.n_atoms) ** (1 / 3)))
    last = max(1, round(n_atoms / composition.n_atoms / k**2))
    positions = liquid(composition, counts, parameters, edge_A)
    system, positions, box = repeated(composition, counts, parameters, edge_A, positions, (k, k, last))
    many = {species: n * k * k * last for species, n in counts.items()}
    built = build_system(many, composition.roles, parameters, composition.ion_charge_scale, edge_A)
    (folder / "system.xml").write_text(openmm.XmlSerializer.serialize(system), encoding="utf-8")
    (folder / "start.pdb").write_text(pdb_text(built.atoms, 10 * positions, 10 * box, built.bonds), encoding="utf-8")
    built.atoms.write(folder / "atoms.parquet")


def shared(run: Run, n: int, length_ps: float) -> float:
    """ns/day that n copies of a run make together, each in a process of its own, on the same device."""
    copies = []
    for k in range(n):
        folder = run.folder.with_name(f"{run.folder.name}-{k}")
        shutil.copytree(run.folder, folder)
        copies.append(replace(run, folder=folder, spec=deepcopy(run.spec)))
    total_ps = 1000 * run.spec["protocol"]["production_ns"] + length_ps
    try:
        with ProcessPoolExecutor(n, mp_context=multiprocessing.get_context("spawn")) as pool:
            seconds = list(pool.map(Run.go_on, copies, [total_ps] * n))
    finally:
        for copy in copies:
            shutil.rmtree(copy.folder)
    return sum(length_ps / 1000 / s * 86400 for s in seconds)


def bare(folder: Path, chosen: PlatformOptions, length_ps: float) -> float:
    """Seconds for ``length_ps`` of ``integrator.step`` from the run's last checkpoint."""
    spec = load_spec(folder / "spec.json")
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text(encoding="utf-8"))
    last = checkpoint.load(folder / "work" / checkpoint.CURRENT)
    engine = Engine(system, spec, chosen, "bare")  # the same choice of platform, and nothing else of it
    report = engine.report
    del engine
    integrator = openmm.LangevinMiddleIntegrator(spec.temperature_K, spec.friction_per_ps, spec.timestep_fs / 1000)
    platform = openmm.Platform.getPlatformByName(report.name)
    keys = ("Threads", "Precision", "DeviceIndex", "DeterministicForces")
    properties = {key: value for key, value in report.properties.items() if key in keys}
    context = openmm.Context(mechanics.prepare(system, spec, 1), integrator, platform, properties)
    context.setPeriodicBoxVectors(*last.box_nm)
    context.setPositions(last.positions_nm)
    context.setVelocities(last.velocities_nm_ps)
    integrator.step(50)
    context.getState(energy=True)
    n = spec.steps_in_ns(length_ps / 1000)
    began = time.perf_counter()
    integrator.step(n)
    context.getState(energy=True)  # waits for a GPU that is still busy
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
