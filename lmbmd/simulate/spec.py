"""What a run is: all its physics in one file, and time counted in whole steps."""

from __future__ import annotations

import json
import math
import os
from dataclasses import MISSING, asdict, dataclass, fields
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from lmbmd import stages
from lmbmd.errors import LmbmdError, nearest
from lmbmd.provenance import canonical_json, sha256_of

_ATTOSECONDS_PER_FS = 1000
_ATTOSECONDS_PER_PS = 1_000_000

#: What may grow when a run is continued. Everything else is physics and may not change.
LENGTH = "production_ps"


@dataclass(frozen=True)
class Anneal:
    """Heat from the run's temperature to ``temperature_K`` in ``heat_ps``, hold, and cool back."""

    temperature_K: float
    heat_ps: float
    hold_ps: float
    cool_ps: float


@dataclass(frozen=True)
class RunSpec:
    """One run at constant temperature and pressure.

    Attributes:
        seed: decides velocities and random forces.
        production_ps: length of the production, a multiple of ``frame_interval_ps``. Frames are written at
            ``frame_interval_ps``, twice that, … up to and including ``production_ps``: time 0 is no frame.
        state_interval_ps: between rows of the state log; None for the frame interval, but at most 1 ps.
        timestep_fs: 4 fs goes with ``hydrogen_mass_amu`` 3 and ``constraints`` "h-bonds".
        hydrogen_mass_amu: mass of hydrogens, taken from the atom each is bonded to; None to leave masses alone.
        constraints: "h-bonds" fixes the length of every bond to a hydrogen.
        barostat_interval_steps: between attempts to change the volume.
        equilibration_min_ps, equilibration_max_ps: equilibration ends between these, when density and potential
            energy are stationary (``lmbmd.simulate.equilibration``).
    """

    temperature_K: float
    seed: int
    production_ps: float
    frame_interval_ps: float
    pressure_bar: float = 1.0
    timestep_fs: float = 4.0
    friction_per_ps: float = 1.0
    hydrogen_mass_amu: float | None = 3.0
    constraints: Literal["h-bonds", "none"] = "h-bonds"
    barostat_interval_steps: int = 25
    equilibration_min_ps: float = 200.0
    equilibration_max_ps: float = 2000.0
    state_interval_ps: float | None = None
    anneal: Anneal | None = None

    @property
    def step_as(self) -> int:
        """The time step in attoseconds."""
        return _whole(self.timestep_fs, _ATTOSECONDS_PER_FS)

    def steps(self, time_ps: float) -> int:
        """Whole time steps in ``time_ps``, which is a multiple of the step for every interval of the spec."""
        return _whole(time_ps, _ATTOSECONDS_PER_PS) // self.step_as

    def time_ps(self, steps: int) -> float:
        """Time after so many steps, rounded once."""
        return steps * self.step_as / _ATTOSECONDS_PER_PS

    @property
    def frame_steps(self) -> int:
        return self.steps(self.frame_interval_ps)

    @property
    def state_steps(self) -> int:
        if self.state_interval_ps is not None:
            return self.steps(self.state_interval_ps)
        # The largest divisor of the frame interval that is no longer than 1 ps.
        longest = max(1, _ATTOSECONDS_PER_PS // self.step_as)
        return next(n for n in range(min(longest, self.frame_steps), 0, -1) if self.frame_steps % n == 0)

    @property
    def production_steps(self) -> int:
        return self.steps(self.production_ps)

    @property
    def n_frames(self) -> int:
        return self.production_steps // self.frame_steps

    def physics(self) -> dict[str, Any]:
        """Everything that may not change when a run is continued: the spec without its length, and the method."""
        values = asdict(self)
        del values[LENGTH]
        return {"method": stages.SIMULATE, **values}

    @property
    def physics_sha256(self) -> str:
        return sha256_of(canonical_json(self.physics()).encode())

    def to_json(self) -> str:
        """The text of ``spec.json``."""
        return json.dumps(asdict(self), indent=2) + "\n"


def load_spec(path: str | os.PathLike[str]) -> RunSpec:
    """Read ``spec.json``.

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
    values = dict(_checked_keys(data, RunSpec, where))
    if values.get("anneal") is not None:
        values["anneal"] = Anneal(**_checked_keys(values["anneal"], Anneal, f"{where}:anneal"))
    spec = RunSpec(**values)
    _check_numbers(spec, where)
    _check_times(spec, where)
    return spec


def _checked_keys(data: Any, kind: type, where: str) -> dict[str, Any]:
    if not isinstance(data, dict):
        raise LmbmdError("a table of values was expected.", where=where, remedy="Write it again: lmbmd spec.")
    known = {f.name: f for f in fields(kind)}
    for key in data:
        if key not in known:
            raise LmbmdError(f"unknown key '{key}'.", where=where, remedy=nearest(key, known))
    for name, f in known.items():
        if name not in data and f.default is MISSING:
            raise LmbmdError(f"the key '{name}' is missing.", where=where, remedy=f"Add '{name}'.")
    return data


#: The range of each number: least, greatest; None stands for "may be null".
_RANGES = {
    "temperature_K": (1.0, 2000.0),
    "pressure_bar": (-1000.0, 1e5),
    "timestep_fs": (0.01, 10.0),
    "friction_per_ps": (0.001, 1000.0),
    "hydrogen_mass_amu": (1.0, 5.0),
    "barostat_interval_steps": (1, 100_000),
    "equilibration_min_ps": (0.0, 1e8),
    "equilibration_max_ps": (0.0, 1e8),
    "production_ps": (0.0, 1e10),
    "frame_interval_ps": (1e-6, 1e8),
    "state_interval_ps": (1e-6, 1e8),
    "seed": (0, 2**31 - 1),
    "heat_ps": (0.0, 1e8),
    "hold_ps": (0.0, 1e8),
    "cool_ps": (0.0, 1e8),
}
_INTEGERS = ("seed", "barostat_interval_steps")
_NULLABLE = ("hydrogen_mass_amu", "state_interval_ps")


def _check_numbers(spec: RunSpec, where: str) -> None:
    values = {key: value for key, value in vars(spec).items() if key in _RANGES}
    if spec.anneal:
        values |= {f"anneal:{key}": value for key, value in vars(spec.anneal).items()}
    for key, value in values.items():
        name = key.removeprefix("anneal:")
        if value is None and name in _NULLABLE:
            continue
        low, high = _RANGES[name]
        number = isinstance(value, int if name in _INTEGERS else (int, float)) and not isinstance(value, bool)
        if not number or not math.isfinite(value) or not low <= value <= high:
            kind = "a whole number" if name in _INTEGERS else "a number"
            raise LmbmdError(
                f"{name} is {value!r}.", where=f"{where}:{key}", remedy=f"Give {kind} from {low:g} to {high:g}."
            )
    if spec.constraints not in ("h-bonds", "none"):
        raise LmbmdError(
            f"constraints is {spec.constraints!r}.", where=f"{where}:constraints",
            remedy=nearest(spec.constraints, ("h-bonds", "none")),
        )  # fmt: skip
    if spec.equilibration_max_ps < spec.equilibration_min_ps:
        raise LmbmdError(
            f"equilibration_max_ps ({spec.equilibration_max_ps:g}) is less than equilibration_min_ps "
            f"({spec.equilibration_min_ps:g}).",
            where=f"{where}:equilibration_max_ps", remedy="Raise the one or lower the other.",
        )  # fmt: skip


def _check_times(spec: RunSpec, where: str) -> None:
    step = _exact(spec.timestep_fs, _ATTOSECONDS_PER_FS)
    if step is None:
        raise LmbmdError(
            f"timestep_fs {spec.timestep_fs} is no whole number of attoseconds.", where=f"{where}:timestep_fs",
            remedy="Give at most three decimals.",
        )  # fmt: skip
    for key in ("frame_interval_ps", "state_interval_ps", LENGTH):
        value = getattr(spec, key)
        if value is None:
            continue
        time = _exact(value, _ATTOSECONDS_PER_PS)
        if time is None or time % step:
            near = max(1, round(value * _ATTOSECONDS_PER_PS / step)) * step / _ATTOSECONDS_PER_PS
            raise LmbmdError(
                f"{key} {value:g} ps is no whole number of steps of {spec.timestep_fs:g} fs.",
                where=f"{where}:{key}", remedy=f"The nearest that is: {near:.12g} ps.",
            )  # fmt: skip
    if spec.production_steps % spec.frame_steps:
        least = (spec.production_steps // spec.frame_steps + 1) * spec.frame_interval_ps
        raise LmbmdError(
            f"{LENGTH} {spec.production_ps:g} ps is no multiple of the frame interval {spec.frame_interval_ps:g} ps.",
            where=f"{where}:{LENGTH}", remedy=f"The next that is: {least:.12g} ps.",
        )  # fmt: skip


def _exact(value: float, per_unit: int) -> int | None:
    """``value`` as a whole number of attoseconds, None if it is none. Decimal, because 0.1 is what was written."""
    product = Decimal(repr(value)) * per_unit
    return int(product) if product == product.to_integral_value() else None


def _whole(value: float, per_unit: int) -> int:
    return int((Decimal(repr(value)) * per_unit).to_integral_value())


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What differs between two ``physics()``, as ``"name: old → new"``; empty if nothing does."""
    return [
        f"{key}: {old.get(key, 'absent')} → {new.get(key, 'absent')}"
        for key in dict.fromkeys((*old, *new))
        if old.get(key) != new.get(key)
    ]
