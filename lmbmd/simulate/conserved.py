"""What a run at constant energy shows of itself: the temperature that it had, and how well its energy was kept."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmbmd.core.units import PS_PER_NS


@dataclass(frozen=True)
class Conserved:
    """Of a run at constant energy, from its state log.

    Attributes:
        mean_temperature_K: mean of the kinetic temperature, which nothing holds; NaN of no row.
        energy_drift_kJ_mol_ns_per_atom: slope of the least-squares line through potential and kinetic energy over
            time, divided by the number of atoms; NaN of fewer than three rows.
    """

    mean_temperature_K: float
    energy_drift_kJ_mol_ns_per_atom: float

    @classmethod
    def read(cls, path: Path, n_atoms: int) -> Conserved:
        """From a ``state.csv``. Raises OSError, ValueError, KeyError or TypeError if it is none."""
        with open(path, encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        columns = ("time_ps", "potential_kJ_mol", "kinetic_kJ_mol", "temperature_K")
        time_ps, potential, kinetic, temperature = (np.array([float(row[key]) for row in rows]) for key in columns)
        if len(rows) < 3:
            return cls(float(temperature.mean()) if len(rows) else float("nan"), float("nan"))
        slope = float(np.polyfit(time_ps / PS_PER_NS, potential + kinetic, 1)[0])
        return cls(float(temperature.mean()), slope / n_atoms)
