"""How fast runs will be: timed on real steps of the real liquid, or told by a table or by a run that is finished."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from lmbmd.box.build import start_of
from lmbmd.box.tile import liquid, repeated, tile, tiling
from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.files import damaged, read_json
from lmbmd.core.units import ANGSTROM_PER_NM
from lmbmd.forcefield.parameters import ParameterSet, load_set
from lmbmd.formulation.composition import Composition
from lmbmd.simulate.engines.choice import GROMACS
from lmbmd.simulate.engines.mechanics import Exploded
from lmbmd.simulate.engines.platform import PlatformReport
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import RunSpec
from lmbmd.study.forecast.timing import Stopwatch, describe_device

_SECONDS_PER_DAY = 86400
_FS_PER_NS = 1e6

#: Edge of the smallest cube that is packed, in cut-offs; a larger box is made of such tiles.
TILE_PER_CUTOFF = 2.4
#: The whole box is timed too if it takes at least so many steps in the time there is: on a GPU, a tile is too small
#: to tell.
ENOUGH_STEPS = 100


@dataclass(frozen=True)
class Speed:
    """Steps per second of one box on one machine.

    Attributes:
        steps_per_s, n_atoms: what was timed. Other boxes: atoms × steps per second is taken as constant.
        device: what computed, in words.
        units: how many GPUs, or CPU cores, one run has, whoever shares them.
        gpu: whether these are GPUs.
        how: where the number is from, for the reader.
        engine: what computes.
        at_once: how many runs shared the device while this was timed; steps per second are those of one.
    """

    steps_per_s: float
    n_atoms: int
    device: str
    units: int
    gpu: bool
    how: str
    engine: str = "OpenMM"
    at_once: int = 1

    @property
    def share(self) -> float:
        """How many GPUs, or CPU cores, one run costs."""
        return self.units / self.at_once if self.gpu else self.units

    def steps_per_s_of(self, n_atoms: int) -> float:
        """Steps per second of a box of so many atoms: in inverse proportion to them."""
        return self.steps_per_s * self.n_atoms / n_atoms

    def ns_per_day(self, n_atoms: int, timestep_fs: float) -> float:
        return self.steps_per_s_of(n_atoms) * timestep_fs / _FS_PER_NS * _SECONDS_PER_DAY


#: Speeds that were measured by ``benchmarks/throughput.py``; docs/estimate.md has the commands. No GPU was at hand yet.
TABLE: dict[str, Speed] = {
    "epyc-2-cores": Speed(
        250.0,
        1248,
        "CPU (2 threads of AMD EPYC)",
        2,
        False,
        "table: 1248 atoms of lifsi-dme-tte took 250 steps/s (86.5 ns/day) on 2 virtual cores of an AMD EPYC, Nov 2026",
    ),
}


def measure(
    composition: Composition,
    spec: RunSpec,
    options: PlatformOptions,
    *,
    seconds: float = 3.0,
    say: Callable[[str], None] = lambda text: None,
) -> Speed:
    """Time a few seconds of the run's own steps: its System, constraints, thermostat, barostat and platform.

    A tile of the liquid, 2.4 to 3 cut-offs wide (or the whole box, if that is no larger), is packed, minimised,
    softened and timed. If the whole box is larger but would still take at least 100 steps in the time, it is put
    together from tiles and timed instead.

    Raises:
        LmbmdError: as ``build_system``, ``pack`` and the platform do, or if the stand-in explodes.
    """
    parameters = load_set(composition.force_field, composition.own_sets)
    if composition.chains:  # a chain is no part of a tile: the whole box is built
        return _of_chains(composition, parameters, spec, options, seconds, say)
    repeat = tiling(composition.box_edge_A, TILE_PER_CUTOFF * parameters.cut_off_A)
    counts, edge_A = tile(composition, int(np.prod(repeat)))
    say(f"{composition.formulation}: packing {sum(counts.values())} molecules")
    positions = liquid(composition, counts, parameters, edge_A)
    box = (counts, parameters, edge_A, positions)
    try:
        start = repeated(composition, *box, (1, 1, 1))
        speed = _timed(Stopwatch(composition, spec, options, start, counts, seconds), say)
        if np.prod(repeat) > 1 and speed.steps_per_s_of(composition.n_atoms) * seconds >= ENOUGH_STEPS:
            many = {species: n * int(np.prod(repeat)) for species, n in counts.items()}
            start = repeated(composition, *box, repeat)
            speed = _timed(Stopwatch(composition, spec, options, start, many, seconds), say)
    except Exploded as error:
        raise _exploded(composition, error) from error
    return speed


def _of_chains(
    composition: Composition,
    parameters: ParameterSet,
    spec: RunSpec,
    options: PlatformOptions,
    seconds: float,
    say: Callable[[str], None],
) -> Speed:
    say(f"{composition.formulation}: building {composition.n_atoms} atoms, chains among them")
    counts = {species: n for species, n in composition.counts.items() if n}
    start = start_of(composition, counts, parameters, composition.ion_charge_scale, composition.seed)
    box = np.eye(3) * start.edge_A / ANGSTROM_PER_NM
    start.built.system.setDefaultPeriodicBoxVectors(*box)
    ready = (start.built.system, start.positions / ANGSTROM_PER_NM, box)
    try:
        return _timed(Stopwatch(composition, spec, options, ready, counts, seconds), say)
    except Exploded as error:
        raise _exploded(composition, error) from error


def _exploded(composition: Composition, error: Exploded) -> LmbmdError:
    return LmbmdError(
        f"the box that was to be timed exploded ({error}).",
        where=composition.formulation,
        remedy="Use --table, or --like with the run.json of a finished run.",
    )


def combining_rule(composition: Composition) -> str:
    """How the box's parameter set mixes, which decides how long a step takes."""
    return _rule_of(composition.force_field, composition.own_sets)


@cache
def _rule_of(force_field: str, own_folder: str) -> str:
    """Read once, however many bottles there are: a set of one's own is read anew by every ``load_set``."""
    return load_set(force_field, own_folder).combining_rule


def of_run(path: Path) -> Speed:
    """The speed of a finished run, from its ``run.json``.

    Raises:
        LmbmdError: if the file is missing or no such record.
    """
    what, remedy = "record of a finished run", "Give the run.json that 'lmbmd simulate' wrote."
    run = read_json(path, what=what, remedy=remedy)
    try:
        step_fs = float(run["spec"]["protocol"]["timestep_fs"])
        report = PlatformReport(run["platform"]["name"], run["platform"]["properties"], ())
        rate = float(run["ns_per_day"]) * _FS_PER_NS / step_fs / _SECONDS_PER_DAY
        device, units, gpu = describe_device(report)
        how = f"{path}: {run['n_atoms']} atoms ran at {run['ns_per_day']:.3g} ns/day on {device}"
        engine = GROMACS if report.name == GROMACS else "OpenMM"
        at_once = run["sessions"][-1].get("runs_per_device") or 1
        return Speed(rate, int(run["n_atoms"]), device, units, gpu, how, engine, int(at_once))
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError) as error:
        raise damaged(path, what, error, remedy) from error


def of_table(name: str = "") -> Speed:
    """A speed of ``TABLE``, by default the first. Raises LmbmdError for a name that is not in it."""
    if not TABLE:
        remedy = "Leave it out to measure here, or give --like with the run.json of a finished run."
        raise LmbmdError("no hardware has been measured for the table yet.", where="--table", remedy=remedy)
    name = name or next(iter(TABLE))
    if name not in TABLE:
        raise LmbmdError(f"there is no hardware '{name}' in the table.", where="--table", remedy=nearest(name, TABLE))
    return TABLE[name]


def _timed(stopwatch: Stopwatch, say: Callable[[str], None]) -> Speed:
    """The speed of a run of a box, beside as many others as the study lets share its device."""
    timing, options, n_atoms = stopwatch.run(say), stopwatch.options, len(stopwatch.start[1])
    rates = dict(timing.steps_per_s)
    engine = GROMACS if options.engine == "gromacs" else max(rates, key=rates.__getitem__)
    device = timing.device if len(rates) == 1 else f"{engine} ({timing.device})"
    how = f"{n_atoms} atoms of {stopwatch.composition.formulation} took {rates[engine]:.3g} steps/s on {device}"
    if stopwatch.at_once > 1:
        how += f", each of {stopwatch.at_once} runs at once, {stopwatch.at_once * rates[engine]:.3g} in all"
    others = [f"{name} took {rate:.3g}" for name, rate in rates.items() if name != engine]
    how += f"; {', '.join(others)}" if others else ""
    return Speed(rates[engine], n_atoms, device, timing.units, timing.gpu, how, engine, options.runs_per_device or 1)
