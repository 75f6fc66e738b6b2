"""What there is to read motion from: stretches of a simulation whose dynamics were left alone, and their pressures."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import check_recorded, told
from lmbmd.data.contacts import ContactFile, Contacts
from lmbmd.simulate.conserved import Conserved
from lmbmd.simulate.protocol import RECORD, STATE, parse_spec, read_record

#: The head of a pressure log, and so the order of the components of ``PressureSeries``.
PRESSURE_COLUMNS = ("time_ps", "xx_bar", "yy_bar", "zz_bar", "xy_bar", "xz_bar", "yz_bar")
#: Liquids of a few hundred atoms have some thousand.
_MOST_BAR = 1e6
_REMEDY = "Run the segment again, or leave the file out: there is then no viscosity."


@dataclass(frozen=True, eq=False)
class PressureSeries:
    """The pressure tensor of one segment at one interval, compression positive, kinetic part included.

    Attributes:
        interval_ps: time between rows.
        tensor_bar: (n, 6) float64: xx, yy, zz, xy, xz, yz.
    """

    interval_ps: float
    tensor_bar: np.ndarray

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> PressureSeries:
        """Read a ``pressure.csv``.

        Raises:
            LmbmdError: if it is none, holds fewer than two rows, or its times are not at one interval.
        """
        try:
            with open(path, encoding="ascii") as handle:
                head = handle.readline().strip()
                lines = handle.read().splitlines()
            if tuple(head.split(",")) != PRESSURE_COLUMNS:
                raise ValueError(f"its head is not {','.join(PRESSURE_COLUMNS)}")
            rows = np.loadtxt(lines, delimiter=",", ndmin=2) if lines else np.empty((0, 7))
            if rows.shape[0] < 2 or rows.shape[1] != len(PRESSURE_COLUMNS) or not np.isfinite(rows).all():
                raise ValueError("it needs at least two rows of seven finite numbers")
            if np.abs(rows[:, 1:]).max() > _MOST_BAR:
                raise ValueError(f"{np.abs(rows[:, 1:]).max():g} bar is no pressure of a liquid; is its unit the bar?")
            steps = np.diff(rows[:, 0])
            interval = float((rows[-1, 0] - rows[0, 0]) / len(steps))
            if not (interval > 0 and np.abs(steps - interval).max() <= 0.05 * interval):
                raise ValueError("its times are not at one interval")
        except (OSError, ValueError) as error:
            what = f"this is no pressure log ({told(error)})."
            raise LmbmdError(what, where=str(path), remedy=_REMEDY) from error
        return cls(interval, np.ascontiguousarray(rows[:, 1:]))


@dataclass(frozen=True, eq=False)
class Segment:
    """One stretch of motion: where its molecules were, and what may have acted on them beside the forces.

    Attributes:
        contacts: its contact table, which has all mass centres.
        replica: the run that it was started from, or is; from 1.
        temperature_K: NaN if nobody told; of a segment at constant energy that of the velocities it began with.
        ensemble: "NPT", "NVT", "NVE", or "" if nobody told.
        thermostat: its name, "" for none or if nobody told.
        friction_per_ps: of a Langevin thermostat; 0 for others, NaN if nobody told.
        pressure: the pressure tensor, if it was logged.
        number: of the segment within its replica, from 1; 0 for a replica's whole run.
        conserved: temperature and drift of a segment at constant energy, if its state was logged.
    """

    contacts: Contacts
    replica: int = 1
    temperature_K: float = float("nan")
    ensemble: str = ""
    thermostat: str = ""
    friction_per_ps: float = float("nan")
    pressure: PressureSeries | None = None
    number: int = 0
    conserved: Conserved | None = None

    @property
    def moved_at_K(self) -> float:
        """The temperature at which it moved: the mean of the kinetic one, where nothing holds it."""
        return self.conserved.mean_temperature_K if self.conserved else self.temperature_K


#: The contact table and the log of the pressure tensor in such a folder.
CONTACTS, PRESSURE = "contacts.arrow", "pressure.csv"


def segment(folder: Path, replica: int, number: int = 0) -> Segment:
    """What contacts.arrow, run.json, pressure.csv and, at constant energy, state.csv in a folder say.

    Without run.json neither temperature nor thermostat is known, and without pressure.csv there is no pressure.

    Args:
        folder: ``rN`` or ``rN/tK`` of a study's results.
        replica: N.
        number: K; 0 for the replica's production.

    Raises:
        LmbmdError: if one of them is damaged.
    """
    contacts, record, log = ContactFile(folder / CONTACTS), folder / RECORD, folder / PRESSURE
    pressure = None
    if log.exists():
        check_recorded(log, RECORD, _REMEDY)
        pressure = PressureSeries.read(log)
    if not record.exists():
        return Segment(contacts, replica, pressure=pressure, number=number)
    told_by_run = read_record(record)
    spec = parse_spec(told_by_run.get("spec"), where=f"{record}:spec")
    return Segment(
        contacts,
        replica,
        spec.temperature_K,
        spec.ensemble,
        spec.thermostat,
        spec.production_friction_per_ps,
        pressure,
        number,
        _conserved(folder / STATE, told_by_run.get("n_atoms")) if spec.ensemble == "NVE" else None,
    )


def _conserved(log: Path, n_atoms: object) -> Conserved | None:
    """What the state log of a segment at constant energy says; None if there is none."""
    if not log.exists():
        return None
    check_recorded(log, RECORD, "Run the segment again.")
    try:
        return Conserved.read(log, int(n_atoms))  # type: ignore[call-overload]
    except (OSError, ValueError, KeyError, TypeError) as error:
        what = f"this is no state log ({told(error)})."
        raise LmbmdError(what, where=str(log), remedy="Run the segment again.") from error
