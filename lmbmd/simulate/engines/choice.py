"""Which engine a run uses, and why: OpenMM on a GPU; without one GROMACS or OpenMM, whichever is faster here now."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import openmm

from lmbmd.core.errors import LmbmdError
from lmbmd.simulate.checkpoint import Checkpoint
from lmbmd.simulate.engines import gmx
from lmbmd.simulate.engines.mechanics import Exploded
from lmbmd.simulate.engines.openmm import Engine
from lmbmd.simulate.engines.platform import create_context, gpus
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import RunSpec

Name = Literal["OpenMM", "GROMACS"]
GROMACS: Name = "GROMACS"
#: Wall time of a trial of each engine, s; and iterations of the minimiser before it.
TRIAL_S, TRIAL_ITERATIONS = 3.0, 200
#: Time steps that OpenMM takes as long for as for one pressure tensor, on a CPU: 13 with 2496 atoms on two threads, 22
#: with 1248 on one (``benchmarks/throughput.py --pressure``). GROMACS has it from the forces.
PRESSURE_STEPS = 15.0
#: The trial's time step and friction: soft ones, for its start has not been equilibrated. They do not change the speed.
TRIAL_STEP_AS, TRIAL_FRICTION_PER_PS = 500, 10.0


@dataclass(frozen=True)
class Choice:
    """An engine, and why.

    Attributes:
        name: of the engine.
        version: of it.
        why: a kind: "asked" for it; the run "began" with it; there is a "gpu"; only it has the "thermostat"; a
            "platform" of OpenMM's was asked for; there is "no-gromacs"; GROMACS "cannot" run this box; it was "faster".
        detail: what belongs to the kind: a name, or the reason that another program gives.
        steps_per_s: of each engine that was tried.
    """

    name: Name
    version: str
    why: str
    detail: str = ""
    steps_per_s: dict[str, float] | None = None

    def to_dict(self) -> dict[str, Any]:
        """As plain data, in the shape of ``engine`` in ``run.json``."""
        return asdict(self)


def known(options: PlatformOptions, spec: RunSpec, found: Checkpoint | None = None) -> Choice | None:
    """The engine, where nothing has to be timed to know it; None where both could do it.

    Args:
        found: where a run goes on from, which goes on with the engine that it began with.

    Raises:
        LmbmdError: if GROMACS is needed and is not usable here.
    """
    if found is not None:
        began = GROMACS if found.header["engine"].get("name") == GROMACS else "OpenMM"
        return _gromacs("began") if began == GROMACS else _openmm("began")
    if options.engine == "gromacs":
        return _gromacs("asked")
    if options.engine == "openmm":
        return _openmm("asked")
    if spec.thermostat == "bussi":
        return _gromacs("thermostat", "bussi")
    if options.name != "auto":
        return _openmm("platform", options.name)
    if (device := _gpu(options)) is not None:
        return _openmm("gpu", device)
    try:
        gmx.gromacs()
    except gmx.Unusable as reason:
        return _openmm("no-gromacs", str(reason))
    return None


def usable_gpus(choice: Choice | None, options: PlatformOptions) -> tuple[str, ...]:
    """Indices of the GPUs that a run of this choice may use; none if processors compute."""
    return gpus(options) if choice is not None and choice.name != GROMACS else ()


Make = Callable[[PlatformOptions, Path | None], Any]


def faster(make: Make, start: tuple[np.ndarray, np.ndarray], options: PlatformOptions, spec: RunSpec) -> Choice:
    """Time both engines on the machine as it is, and choose the faster one.

    Args:
        make: an engine of these options: OpenMM's, or GROMACS' if there is a folder for its files.
        start: positions (n, 3) and box (3, 3) in nm where a run begins.
        options: their threads are those of both.
    """
    try:
        speeds = trial(make, start, options, spec)
    except (Exploded, LmbmdError) as error:
        return _openmm("cannot", str(error))
    choice = _gromacs("faster") if speeds[GROMACS] > speeds["OpenMM"] else _openmm("faster")
    return replace(choice, steps_per_s=speeds)


def trial(
    make: Make,
    start: tuple[np.ndarray, np.ndarray],
    options: PlatformOptions,
    spec: RunSpec,
    seconds: float = TRIAL_S,
    meet: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """Steps per second of both engines on processors, each for some seconds; the pressure tensor is weighed in.

    Args:
        meet: called before each begins to step: returns when all who try at once are there.

    Raises:
        Exploded, LmbmdError: if one of them cannot do it.
    """
    engine: Engine = make(options.model_copy(update={"name": "CPU"}), None)
    engine.set_positions(*start)
    engine.minimise(TRIAL_ITERATIONS)
    engine.warm()
    begun = engine.save({"engine": {}})
    meet()
    ours = _speed(engine, spec.temperature_K, 5, seconds)
    del engine
    if spec.pressure_steps:
        ours /= 1 + PRESSURE_STEPS / spec.pressure_steps
    with tempfile.TemporaryDirectory(prefix="lmbmd-trial-") as folder:
        other, rows = make(options, Path(folder)), max(1, int(ours * seconds / 10))
        try:
            other.restore(begun)
            meet()
            return {"OpenMM": ours, GROMACS: _speed(other, spec.temperature_K, rows, seconds)}
        finally:
            other.close()


def _speed(engine: Any, temperature_K: float, rows: int, seconds: float) -> float:
    """Steps per second that an engine takes; what is slow only once is not counted."""
    engine.set_pace(TRIAL_STEP_AS, friction_per_ps=TRIAL_FRICTION_PER_PS)
    engine.look_ahead(0, 10**8, rows=rows, temperatures_K=(temperature_K, temperature_K))
    patience = time.monotonic() + 20 * seconds
    while not engine.step(rows):
        if time.monotonic() > patience:
            raise Exploded("no step was taken")
    begun = time.perf_counter()
    taken = 0
    while (spent := time.perf_counter() - begun) < seconds or not taken:
        taken += engine.step(rows)
    return taken / spent


def sentence(choice: Mapping[str, Any]) -> str:
    """Why an engine was chosen, as a clause, from the record of the choice."""
    why, detail, name = choice.get("why"), choice.get("detail", ""), choice.get("name", "OpenMM")
    speeds = choice.get("steps_per_s") or {}
    if why == "faster" and len(speeds) == 2:
        other = next(engine for engine in speeds if engine != name)
        mine, its = speeds[name], speeds[other]
        return f"there is no GPU, and in a trial {name} took {mine:.3g} steps/s where {other} took {its:.3g}"
    return {
        "asked": "asked for",
        "began": "the run began with it",
        "gpu": f"there is a GPU: {detail}",
        "thermostat": f"OpenMM has no thermostat '{detail}'",
        "platform": f"its platform {detail} is asked for",
        "no-gromacs": f"there is no GPU, and GROMACS is not used: {detail}",
        "cannot": f"there is no GPU, and GROMACS is not used: {detail}",
    }.get(str(why), "")


def outlook(choice: Choice | None) -> str:
    """What a run would use if it began here now, as a sentence without its full stop; None: both engines could."""
    if choice is not None:
        return f"{choice.name} {choice.version}, for {sentence(choice.to_dict())}"
    version = gmx.gromacs().version
    return (
        f"no GPU is here, so each run will try OpenMM {openmm.version.version} and GROMACS {version} for "
        f"{TRIAL_S:g} s each when it begins, and use the faster one"
    )


def _gromacs(why: str, detail: str = "") -> Choice:
    try:
        return Choice(GROMACS, gmx.gromacs().version, why, detail)
    except gmx.Unusable as reason:
        needed = {
            "began": ("this run began with GROMACS", "delete this folder to begin anew with another engine."),
            "thermostat": (f"the thermostat '{detail}' needs GROMACS", "choose 'nose-hoover'."),
        }
        what, otherwise = needed.get(why, ("GROMACS is asked for", "choose engine: openmm."))
        raise LmbmdError(
            f"{what}, but {reason}.",
            where="platform:engine",
            remedy=f"Install GROMACS {gmx.OLDEST} or newer (conda-forge or Debian: gromacs), or {otherwise}",
        ) from reason


def _openmm(why: str, detail: str = "") -> Choice:
    return Choice("OpenMM", openmm.version.version, why, detail)


def _gpu(options: PlatformOptions) -> str | None:
    """The GPU that OpenMM can use here; None if there is none."""
    probe = openmm.System()
    probe.addParticle(1.0)
    _, _, report = create_context(probe, lambda: openmm.VerletIntegrator(0.001), options)
    if report.name not in ("CUDA", "OpenCL"):
        return None
    return report.properties.get("DeviceName", report.name)
