"""What a run is: all its physics in one file, and time counted in whole steps."""

from __future__ import annotations

import os
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, ValidationError, model_validator

from lmbmd.core import stages
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import damaged, read_json
from lmbmd.core.options import FROZEN, Number, Whole
from lmbmd.core.provenance import canonical_json, sha256_of
from lmbmd.core.validation import fault, first_fault, validated
from lmbmd.formulation.models import Pressure, Temperature

#: Attoseconds in one fs, ps and ns: the unit in which times are exact.
_FS, _PS, _NS = 10**3, 10**6, 10**9

#: Largest time step, fs, that lets hydrogens keep their mass.
_MAX_STEP_FS = 2.0

#: What may grow when a run is continued. Everything else is physics and may not change.
LENGTH = "production_ns"


RandomSeed = Annotated[Whole, Field(ge=1, le=2**31 - 1)]


class Seeds(BaseModel):
    """Of the first velocities, of the random forces, and of the barostat."""

    model_config = FROZEN

    velocities: RandomSeed
    thermostat: RandomSeed
    barostat: RandomSeed


class Anneal(BaseModel):
    """Heat, hold and cool before equilibration, for viscous and concentrated liquids; linear ramps.

    Each takes a whole number of ``state_interval_ps``, rounded up.
    """

    model_config = FROZEN

    temperature_K: Temperature = 400.0
    heat_ns: Number = Field(0.1, gt=0, le=1000)
    hold_ns: Number = Field(0.5, ge=0, le=1000)
    cool_ns: Number = Field(0.5, gt=0, le=1000)


class Protocol(BaseModel):
    """The physics of every run of a study. Temperature, pressure and seeds are the formulation's.

    Frames are written at ``frame_interval_ps``, twice that, … up to and including the end: time 0 is no frame.
    Equilibration ends between its two bounds, when density and potential energy are stationary
    (``lmbmd.simulate.equilibration``). ``constraints: h-bonds`` fixes the length of every bond to a hydrogen.
    """

    model_config = FROZEN

    timestep_fs: Number = Field(4.0, ge=0.01, le=5)
    hydrogen_mass_amu: Number = Field(3.0, ge=1.008, le=4, description="taken from the heavy atom that it is bonded to")
    constraints: Literal["h-bonds", "none"] = "h-bonds"
    friction_per_ps: Number = Field(1.0, ge=0.001, le=100)
    barostat_interval: Whole = Field(25, ge=1, le=10_000, description="steps between trials")
    anneal: Anneal | None = Field(None, description="heat, hold and cool first; see below")
    equilibration_ns: Number = Field(1.0, gt=0, le=10_000, description="at least so long at constant pressure")
    max_equilibration_ns: Number = Field(5.0, gt=0, le=10_000, description="at most, if density or energy still drift")
    production_ns: Number = Field(10.0, gt=0, le=100_000)
    frame_interval_ps: Number = Field(2.0, gt=0, le=100_000, description="between frames of the trajectory")
    state_interval_ps: Number = Field(1.0, gt=0, le=100_000, description="between rows of the state log")

    @model_validator(mode="after")
    def _consistent(self) -> Protocol:
        if self.timestep_fs > _MAX_STEP_FS and (self.constraints == "none" or self.hydrogen_mass_amu < 2):
            raise fault(
                f"timestep_fs = {self.timestep_fs:g} is too long for these hydrogens.",
                "Keep constraints: h-bonds and hydrogen_mass_amu: 3, or give 2 fs (1 fs without constraints).",
            )
        if self.max_equilibration_ns < self.equilibration_ns:
            raise fault(
                f"max_equilibration_ns = {self.max_equilibration_ns:g} is less than equilibration_ns = "
                f"{self.equilibration_ns:g}.",
                "Raise it.",
            )
        step = _exact(self.timestep_fs, _FS)
        if step is None:
            raise fault(
                f"timestep_fs = {self.timestep_fs:g} is no whole number of attoseconds.", "Give at most three decimals."
            )
        for key in ("frame_interval_ps", "state_interval_ps"):
            _check_multiple(key, getattr(self, key), "ps", step, "time steps")
        _check_multiple(LENGTH, self.production_ns, "ns", _whole(self.frame_interval_ps, _PS), "frame intervals")
        return self

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
    def anneal_steps(self) -> tuple[int, int, int]:
        """Steps of heating, holding and cooling; each ends with a row of the state log."""
        if self.anneal is None:
            return 0, 0, 0
        times_ns = self.anneal.heat_ns, self.anneal.hold_ns, self.anneal.cool_ns
        heat, hold, cool = (-(-self.steps_in_ns(t) // self.state_steps) * self.state_steps for t in times_ns)
        return heat, hold, cool

    @property
    def production_steps(self) -> int:
        return self.steps_in_ns(self.production_ns)

    @property
    def n_frames(self) -> int:
        return self.production_steps // self.frame_steps


class Dynamics(BaseModel):
    """How the production of a transport segment moves, at constant volume and without friction.

    A run without this is one at constant pressure under a Langevin thermostat.

    Attributes:
        thermostat: null at constant energy.
        coupling_ps: Nosé-Hoover: the period 2π/ω of its oscillation, Q = N k_B T/ω²; Bussi: the relaxation time of the
            kinetic energy; null at constant energy.
        pressure_interval_ps: between rows of the pressure tensor; null: it is not written.
    """

    model_config = FROZEN

    ensemble: Literal["NVT", "NVE"]
    thermostat: Literal["nose-hoover", "bussi"] | None
    coupling_ps: Annotated[Number, Field(gt=0, le=1000)] | None
    pressure_interval_ps: Annotated[Number, Field(gt=0, le=1000)] | None

    @model_validator(mode="after")
    def _consistent(self) -> Dynamics:
        wanted = self.ensemble == "NVT"
        if wanted != (self.thermostat is not None) or wanted != (self.coupling_ps is not None):
            raise fault(
                f"thermostat and coupling_ps do not go with the ensemble {self.ensemble}.",
                "Give both with NVT, neither with NVE.",
            )
        return self


class Transport(BaseModel):
    """Segments from which motion is measured: started from the production, at its mean volume and without friction.

    Each replica has ``segments`` of them, and each is a run of its own. A segment begins at a frame of the finished
    production, scaled to the production's mean volume; velocities are drawn, and for ``settle_ns``, which is not kept,
    a Langevin thermostat with the protocol's friction spreads the heat. More segments, or longer ones, leave those
    that are done as they are.
    """

    model_config = FROZEN

    segments: Whole = Field(4, ge=1, le=64, description="of each replica")
    length_ns: Number = Field(1.0, gt=0, le=100_000, description="of each segment")
    ensemble: Literal["NVT", "NVE"] = Field("NVT", description="constant volume, with or without a thermostat")
    thermostat: Literal["nose-hoover", "bussi"] = Field(
        "nose-hoover", description="with NVT; `bussi` where the engine has it (GROMACS)"
    )
    coupling_ps: Number = Field(
        2.0, gt=0, le=1000, description="period of a Nosé-Hoover thermostat, relaxation time of Bussi's"
    )
    settle_ns: Number = Field(0.02, gt=0, le=1000, description="with friction, not kept")
    timestep_fs: Number | None = Field(None, ge=0.01, le=5, description="the protocol's, if not given")
    hydrogen_mass_amu: Number | None = Field(None, ge=1.008, le=4, description="the protocol's, if not given")
    frame_interval_ps: Number = Field(1.0, gt=0, le=100_000, description="between frames of the trajectory")
    state_interval_ps: Number = Field(1.0, gt=0, le=100_000, description="between rows of the state log")
    pressure_interval_ps: Number | None = Field(
        0.04, gt=0, le=1000, description="between rows of the pressure tensor; none: no viscosity"
    )

    def protocol(self, base: Protocol) -> Protocol:
        """The protocol of a segment, where the study's is ``base``.

        Raises:
            PydanticCustomError: for times that do not fit to each other or to the time step.
        """
        own = {
            "anneal": None,
            "equilibration_ns": self.settle_ns,
            "max_equilibration_ns": self.settle_ns,
            LENGTH: self.length_ns,
            "frame_interval_ps": self.frame_interval_ps,
            "state_interval_ps": self.state_interval_ps,
            "timestep_fs": self.timestep_fs or base.timestep_fs,
            "hydrogen_mass_amu": self.hydrogen_mass_amu or base.hydrogen_mass_amu,
        }
        try:
            found = Protocol(**{**base.model_dump(), **own})
        except ValidationError as failed:
            context = failed.errors()[0].get("ctx", {})
            what = str(context.get("what", failed.errors()[0]["msg"])).replace(LENGTH, "length_ns")
            raise fault(what, context.get("remedy")) from failed
        if self.pressure_interval_ps is not None:
            step = _whole(found.timestep_fs, _FS)
            _check_multiple("pressure_interval_ps", self.pressure_interval_ps, "ps", step, "time steps")
        return found

    @property
    def dynamics(self) -> Dynamics:
        """How a segment moves."""
        is_thermostatted = self.ensemble == "NVT"
        return Dynamics(
            ensemble=self.ensemble,
            thermostat=self.thermostat if is_thermostatted else None,
            coupling_ps=self.coupling_ps if is_thermostatted else None,
            pressure_interval_ps=self.pressure_interval_ps,
        )


class RunSpec(Protocol):
    """One run: a protocol, and what the formulation says of this run.

    At constant temperature and pressure under a Langevin thermostat or, with ``dynamics``, a transport segment at
    constant volume. What is not used in a segment: barostat_interval, pressure_bar, and, once it has settled,
    friction_per_ps.
    """

    temperature_K: Temperature
    pressure_bar: Pressure
    seeds: Seeds
    dynamics: Dynamics | None = None

    @model_validator(mode="after")
    def _pressure_fits(self) -> RunSpec:
        if self.dynamics and self.dynamics.pressure_interval_ps is not None:
            interval = self.dynamics.pressure_interval_ps
            _check_multiple("pressure_interval_ps", interval, "ps", self.step_as, "time steps")
        return self

    @property
    def ensemble(self) -> Literal["NPT", "NVT", "NVE"]:
        """Of the production."""
        return self.dynamics.ensemble if self.dynamics else "NPT"

    @property
    def thermostat(self) -> Literal["langevin", "nose-hoover", "bussi", ""]:
        """Of the production; "" at constant energy."""
        return self.dynamics.thermostat or "" if self.dynamics else "langevin"

    @property
    def production_friction_per_ps(self) -> float:
        """Friction of the production: none in a segment."""
        return 0.0 if self.dynamics else self.friction_per_ps

    @property
    def pressure_steps(self) -> int | None:
        """Steps between rows of the pressure tensor; None if it is not written."""
        interval = self.dynamics.pressure_interval_ps if self.dynamics else None
        return None if interval is None else _whole(interval, _PS) // self.step_as

    def to_dict(self) -> dict[str, Any]:
        """As plain data, in the shape of ``spec.json``. A run at constant pressure has no key ``dynamics``."""
        values = self.model_dump()
        if values["dynamics"] is None:
            del values["dynamics"]
        return {**{key: values.pop(key) for key in _CONDITIONS if key in values}, "protocol": values}

    def physics(self) -> dict[str, Any]:
        """Everything that may not change when a run is continued: the spec without its length, and the method."""
        conditions = self.to_dict()
        protocol = conditions.pop("protocol")
        del protocol[LENGTH]
        return {"method": stages.SIMULATE, **conditions, **protocol}

    @property
    def physics_sha256(self) -> str:
        return sha256_of(canonical_json(self.physics()).encode())


#: The files of a run that grow, and the one that is written when all is done.
TRAJECTORY, STATE, EQUILIBRATION, FINAL = "trajectory.xtc", "state.csv", "equilibration.csv", "final.pdb"
#: One that grows with a segment whose spec asks for the pressure tensor.
PRESSURE = "pressure.csv"
#: The file that ends a finished run.
RECORD = "run.json"
#: What ``spec.json`` has beside the section ``protocol``.
_CONDITIONS = ("temperature_K", "pressure_bar", "seeds", "dynamics")


def load_spec(path: str | os.PathLike[str]) -> RunSpec:
    """Read ``spec.json``: temperature_K, pressure_bar, seeds {…}, protocol {…} and, of a segment, dynamics {…}.

    Raises:
        LmbmdError: as ``parse_spec`` does, or if the file cannot be read.
    """
    data = read_json(path, what="run specification", remedy="Write it again: lmbmd spec.")
    return parse_spec(data, where=str(path))


def parse_spec(data: Any, *, where: str) -> RunSpec:
    """A run's specification from plain data, checked by the model that also checks the study's file.

    A specification is complete: what a default means may change, what a run was made of may not.

    Raises:
        LmbmdError: for unknown or missing keys, values that make no sense, and intervals that are not whole
            numbers of steps.
    """
    protocol = data.get("protocol") if isinstance(data, Mapping) else None
    if not isinstance(protocol, Mapping):
        raise LmbmdError("this is no run specification.", where=where, remedy="Write it again: lmbmd spec.")
    for key in Protocol.model_fields:
        if key not in protocol:
            raise LmbmdError(f"the key '{key}' is missing.", where=f"{where}:protocol", remedy=f"Add '{key}'.")
    conditions = {key: value for key, value in data.items() if key != "protocol"}
    if twice := sorted(conditions.keys() & protocol.keys()):
        raise LmbmdError(f"'{twice[0]}' is given twice.", where=where, remedy="Write it again: lmbmd spec.")
    return validated(RunSpec, {**conditions, **protocol}, path=Path(where), lines={})


class _File(BaseModel):
    file: str
    sha256: str


class _Verdict(BaseModel):
    stationary: bool | None = None
    duration_ps: float | None = None
    reason: str = ""


class _Session(BaseModel):
    began: Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]{8,15}\+00:00$")] = ""


class _Record(BaseModel):
    """What others read of ``run.json``. It holds more."""

    stage: str = ""
    production_ns: float | None = None
    ns_per_day: float | None = None
    restarts: int | None = None
    platform: dict[str, Any] | None = None
    equilibration: _Verdict | None = None
    versions: dict[str, str] = {}
    inputs: dict[str, _File] = {}
    files: dict[str, str] = {}
    sessions: list[_Session] = []
    spec: dict[str, Any] = {}


def read_record(path: str | os.PathLike[str]) -> dict[str, Any]:
    """The record of a finished run, ``run.json``.

    Raises:
        LmbmdError: if the file cannot be read, or a value that is used is not of its kind.
    """
    what, remedy = "record of a finished run", "Restore it from a copy, or delete it: the run is then published again."
    data = read_json(path, what=what, remedy=remedy)
    try:
        _Record.model_validate(data)
    except ValidationError as failed:
        raise damaged(path, what, first_fault(failed), remedy) from failed
    return data


def _check_multiple(key: str, value: float, unit: Literal["ps", "ns"], part: int, parts: str) -> None:
    size = {"ps": _PS, "ns": _NS}[unit]
    time = _exact(value, size)
    if time is None or time % part:
        count = value * size / part
        near = max(1, round(count)) * part / size
        raise fault(f"{key} = {value:g} is {count:.6g} {parts}, not a whole number.", f"Give {near:.10g} {unit}.")


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
