"""What a run is: all its physics in one file, and time counted in whole steps."""

from __future__ import annotations

import json
import math
import os
from dataclasses import MISSING, asdict, dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from lmbmd.core import stages
from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.provenance import canonical_json, sha256_of

#: Attoseconds in one fs, ps and ns: the unit in which times are exact.
_FS, _PS, _NS = 10**3, 10**6, 10**9

#: What may grow when a run is continued. Everything else is physics and may not change.
LENGTH = "production_ns"


@dataclass(frozen=True)
class Seeds:
    """Of the first velocities, of the random forces, and of the barostat."""

    velocities: int
    thermostat: int
    barostat: int


@dataclass(frozen=True)
class Anneal:
    """Heat from the run's temperature to ``temperature_K`` in ``heat_ns``, hold, and cool back; linear ramps."""

    temperature_K: float
    heat_ns: float
    hold_ns: float
    cool_ns: float


@dataclass(frozen=True)
class RunSpec:
    """One run at constant temperature and pressure.

    Attributes:
        production_ns: length of the production, a multiple of the frame interval. Frames are written at
            ``frame_interval_ps``, twice that, … up to and including the end: time 0 is no frame.
        state_interval_ps: between rows of the state log.
        hydrogen_mass_amu: mass of hydrogens, taken from the atom that each is bonded to. 4 fs goes with 3 amu.
        constraints: "h-bonds" fixes the length of every bond to a hydrogen.
        barostat_interval: steps between attempts to change the volume.
        equilibration_ns, max_equilibration_ns: equilibration ends between these, when density and potential energy
            are stationary (``lmbmd.simulate.equilibration``).
        anneal: before the equilibration; None for none.
    """

    temperature_K: float
    pressure_bar: float
    seeds: Seeds
    production_ns: float
    frame_interval_ps: float
    state_interval_ps: float
    equilibration_ns: float
    max_equilibration_ns: float
    timestep_fs: float = 4.0
    hydrogen_mass_amu: float = 3.0
    constraints: Literal["h-bonds", "none"] = "h-bonds"
    friction_per_ps: float = 1.0
    barostat_interval: int = 25
    anneal: Anneal | None = None

    @property
    def step_as(self) -> int:
        """The time step in attoseconds."""
        return _whole(self.timestep_fs, _FS)

    def time_ps(self, steps: int) -> float:
        """Time after so many steps, rounded once."""
        return steps * self.step_as / _PS

    def steps_in_ns(self, time_ns: float) -> int:
        """Whole steps in a time that need not be a multiple of the step."""
        return _whole(time_ns, _NS) // self.step_as

    @property
    def frame_steps(self) -> int:
        return _whole(self.frame_interval_ps, _PS) // self.step_as

    @property
    def state_steps(self) -> int:
        return _whole(self.state_interval_ps, _PS) // self.step_as

    @property
    def production_steps(self) -> int:
        return self.steps_in_ns(self.production_ns)

    @property
    def n_frames(self) -> int:
        return self.production_steps // self.frame_steps

    def to_dict(self) -> dict[str, Any]:
        """As plain data, in the shape of ``spec.json``."""
        protocol = asdict(self)
        top = {key: protocol.pop(key) for key in ("temperature_K", "pressure_bar", "seeds")}
        return {**top, "protocol": protocol}

    def physics(self) -> dict[str, Any]:
        """Everything that may not change when a run is continued: the spec without its length, and the method."""
        values = asdict(self)
        del values[LENGTH]
        return {"method": stages.SIMULATE, **values}

    @property
    def physics_sha256(self) -> str:
        return sha256_of(canonical_json(self.physics()).encode())


def load_spec(path: str | os.PathLike[str]) -> RunSpec:
    """Read ``spec.json``: temperature_K, pressure_bar, seeds {…} and protocol {…}.

    Raises:
        LmbmdError: for unknown or missing keys, values that make no sense, and intervals that are not whole
            numbers of steps.
    """
    try:
        data = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LmbmdError(
            f"this run specification cannot be read ({error}).", where=str(path), remedy="Write it again: lmbmd spec."
        ) from error
    return parse_spec(data, where=str(path))


def parse_spec(data: Any, *, where: str) -> RunSpec:
    """A checked ``RunSpec`` from plain data. Raises LmbmdError as ``load_spec`` does."""
    top = ("temperature_K", "pressure_bar", "seeds", "protocol")
    _check_keys(data, top, top, where)
    names = [f.name for f in fields(RunSpec) if f.name not in top]
    needed = [f.name for f in fields(RunSpec) if f.name in names and f.default is MISSING]
    _check_keys(data["protocol"], names, needed, f"{where}:protocol")
    nested: dict[str, Any] = {}
    for key, kind, place in (("seeds", Seeds, data), ("anneal", Anneal, data["protocol"])):
        if place.get(key) is not None:
            keys = [f.name for f in fields(kind)]
            _check_keys(place[key], keys, keys, f"{where}:{key}")
            nested[key] = kind(**place[key])
    conditions = {key: data[key] for key in top[:2]}
    spec = RunSpec(**conditions, **{**data["protocol"], **nested})
    _check_numbers(spec, where)
    _check_times(spec, where)
    return spec


def _check_keys(data: Any, known: list[str] | tuple[str, ...], needed: list[str] | tuple[str, ...], where: str) -> None:
    if not isinstance(data, dict):
        raise LmbmdError("a table of values was expected.", where=where, remedy="Write it again: lmbmd spec.")
    for key in data:
        if key not in known:
            raise LmbmdError(f"unknown key '{key}'.", where=where, remedy=nearest(key, known))
    for key in needed:
        if key not in data:
            raise LmbmdError(f"the key '{key}' is missing.", where=where, remedy=f"Add '{key}'.")


#: Least and greatest of each number.
_RANGES = {
    "temperature_K": (1.0, 2000.0),
    "pressure_bar": (-1000.0, 1e5),
    "timestep_fs": (0.01, 10.0),
    "friction_per_ps": (0.001, 1000.0),
    "hydrogen_mass_amu": (1.0, 5.0),
    "barostat_interval": (1, 100_000),
    "equilibration_ns": (0.0, 1e6),
    "max_equilibration_ns": (0.0, 1e6),
    "production_ns": (0.0, 1e6),
    "frame_interval_ps": (1e-6, 1e8),
    "state_interval_ps": (1e-6, 1e8),
    "heat_ns": (0.0, 1e6),
    "hold_ns": (0.0, 1e6),
    "cool_ns": (0.0, 1e6),
    "velocities": (1, 2**31 - 1),
    "thermostat": (1, 2**31 - 1),
    "barostat": (1, 2**31 - 1),
}
_WHOLE = ("barostat_interval", "velocities", "thermostat", "barostat")


def _check_numbers(spec: RunSpec, where: str) -> None:
    places = [("", spec), ("seeds:", spec.seeds), *([("anneal:", spec.anneal)] if spec.anneal else [])]
    for prefix, place in places:
        for key, value in vars(place).items():
            if key not in _RANGES:
                continue
            low, high = _RANGES[key]
            number = isinstance(value, int if key in _WHOLE else (int, float)) and not isinstance(value, bool)
            if not number or not math.isfinite(value) or not low <= value <= high:
                kind = "a whole number" if key in _WHOLE else "a number"
                advice = f"Give {kind} from {low:g} to {high:g}."
                raise LmbmdError(f"{key} is {value!r}.", where=f"{where}:{prefix}{key}", remedy=advice)
    if spec.constraints not in ("h-bonds", "none"):
        advice = nearest(spec.constraints, ("h-bonds", "none"))
        raise LmbmdError(f"constraints is {spec.constraints!r}.", where=f"{where}:constraints", remedy=advice)
    if spec.max_equilibration_ns < spec.equilibration_ns:
        raise LmbmdError(
            f"max_equilibration_ns ({spec.max_equilibration_ns:g}) is less than equilibration_ns "
            f"({spec.equilibration_ns:g}).",
            where=f"{where}:max_equilibration_ns",
            remedy="Raise the one or lower the other.",
        )


def _check_times(spec: RunSpec, where: str) -> None:
    step = _exact(spec.timestep_fs, _FS)
    if step is None:
        raise LmbmdError(
            f"timestep_fs {spec.timestep_fs} is no whole number of attoseconds.",
            where=f"{where}:timestep_fs",
            remedy="Give at most three decimals.",
        )
    _check_multiple("frame_interval_ps", spec.frame_interval_ps, _PS, step, "time steps", where)
    _check_multiple("state_interval_ps", spec.state_interval_ps, _PS, step, "time steps", where)
    frame = _whole(spec.frame_interval_ps, _PS)
    _check_multiple(LENGTH, spec.production_ns, _NS, frame, "frame intervals", where)


def _check_multiple(key: str, value: float, unit: int, part: int, parts: str, where: str) -> None:
    time = _exact(value, unit)
    if time is None or time % part:
        near = max(1, round(value * unit / part)) * part / unit
        raise LmbmdError(
            f"{key} {value:g} is no whole number of {parts}.",
            where=f"{where}:{key}",
            remedy=f"The nearest that is: {near:.12g}.",
        )


def _exact(value: float, unit: int) -> int | None:
    """``value`` as a whole number of attoseconds, None if it is none. Decimal, because 0.1 is what was written."""
    product = Decimal(repr(value)) * unit
    return int(product) if product == product.to_integral_value() else None


def _whole(value: float, unit: int) -> int:
    return int(Decimal(repr(value)) * unit)


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What differs between two ``physics()``, as ``"name: old → new"``; empty if nothing does."""
    return [
        f"{key}: {old.get(key, 'absent')} → {new.get(key, 'absent')}"
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    ]
