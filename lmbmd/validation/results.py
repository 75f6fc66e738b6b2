"""The results of the validation as data: ``validation.csv`` beside each parameter set, one row a number."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import write_text
from lmbmd.data.library import load_library
from lmbmd.numbers.estimate import Estimate
from lmbmd.validation.plan import ELECTROLYTES, LIQUIDS, REFERENCE

FILE = "validation.csv"
NAN = math.nan
LIQUID, ELECTROLYTE, PAIR = "liquid", "electrolyte", "pair"


@dataclass(frozen=True)
class Row:
    """One number of one run, and the measurement it is compared with. What does not apply is NaN or empty.

    Attributes:
        set: the parameter set.
        kind: ``"liquid"``, ``"electrolyte"``, or ``"pair"`` for Li⁺ and one molecule in vacuum.
        name: of the species, or of the electrolyte's bottle.
        quantity: such as ``"density"``; ``partner`` is the donor that it is about, ``"EC:O_carbonyl"``.
        temperature_K: of the run.
        ensemble: ``"NPT"``, ``"NVT"``, ``"NVE"``, or ``"vacuum"``.
        hydrogens: ``"heavy"``, with mass taken from the atom that they are bound to, or ``"natural"``.
        ion_charge_scale: factor on the charges of ions.
        simulated, error: the value and one standard error, in ``unit``.
        reliable: whether enough independent samples were seen for the error to be believed.
        experiment, experiment_T_K, source, trust: the measurement, its temperature, where it is from (a key of
            reference.yaml's sources, or a sentence) and how far it is to be trusted: high, medium or low.
        engine: the program, or the method where quantum chemistry is meant.
        length_ps: of the run that was averaged over.
        method: how the number was made from the run, where it was not as it is made now.
        part: of a liquid: ``"training"`` if the next fit may look at it, or ``"held out"``.
    """

    kind: str
    name: str
    quantity: str
    partner: str = ""
    temperature_K: float = NAN
    ensemble: str = ""
    timestep_fs: float = NAN
    hydrogens: str = ""
    ion_charge_scale: float = NAN
    simulated: float = NAN
    error: float = NAN
    reliable: bool = True
    unit: str = ""
    experiment: float = NAN
    experiment_T_K: float = NAN
    source: str = ""
    trust: str = ""
    engine: str = ""
    length_ps: float = NAN
    atoms: float = NAN
    method: str = ""
    part: str = ""
    set: str = ""

    @property
    def run(self) -> tuple[Any, ...]:
        """What tells one run from another; a run again, by whatever program, takes the place of the one before."""
        method = self.engine if self.kind == PAIR else ""
        parts = (self.temperature_K, self.ensemble, self.timestep_fs, self.hydrogens, self.ion_charge_scale, method)
        return (self.kind, self.name, *("" if part != part else part for part in parts))

    @property
    def estimate(self) -> Estimate:
        """The value with its error; of the number of samples only whether they were enough is kept."""
        return Estimate(self.simulated, self.error, math.inf if self.reliable else 0.0)

    @property
    def relative(self) -> tuple[float, float]:
        """Deviation from experiment and its error, both as shares of the measured value."""
        return self.simulated / self.experiment - 1, self.error / self.experiment

    def of(self, estimate: Estimate, **changes: Any) -> Row:
        """This row with a value of a run."""
        found = replace(self, **changes)
        return replace(found, simulated=estimate.value, error=estimate.error, reliable=estimate.reliable)


#: Unit of a quantity.
UNITS = {
    "density": "g/cm³",
    "potential_energy": "kJ/mol",
    "vaporisation": "kJ/mol",
    "polarisation": "kJ/mol",
    "permittivity": "1",
    "kinetic_temperature_excess": "K",
    "viscosity": "mPa s",
    "self_diffusion": "1e-9 m²/s",
    "self_diffusion_in_box": "1e-9 m²/s",
    "energy_drift": "kT/ns per degree of freedom",
    "energy_fluctuation": "kT per degree of freedom",
    "first_peak": "Å",
    "coordination_number": "1",
    "conductivity": "mS/cm",
    "binding_energy": "kJ/mol",
    "donor_distance": "Å",
}


def compared(row: Row) -> Row:
    """The row with its unit and with what reference.yaml and species.yaml say was measured."""
    facts = REFERENCE["liquids"].get(row.name, {}) if row.kind == LIQUID else {}
    unit, part = UNITS[row.quantity], facts.get("part", "")
    row = replace(row, unit=unit, experiment=NAN, experiment_T_K=NAN, source="", trust="", part=part)
    if row.kind == ELECTROLYTE:
        for known in REFERENCE["electrolytes"].get(row.name, ()):
            if (known["quantity"], known.get("partner", "")) == (row.quantity, row.partner):
                facts = {"source": known["source"], "trust": known["confidence"]}
                return replace(row, experiment=float(known["value"]), **facts)
        return row
    if row.quantity == "density" and facts:
        species = load_library().species[row.name]
        value, temperature_K = float(species.density_g_cm3 or NAN), float(species.density_T_K or NAN)
        source, trust = species.density_source, facts["density"]
    elif row.quantity in facts:
        value, *temperatures, source, trust = facts[row.quantity]
        temperature_K = temperatures[0] if temperatures else 298.15
    else:
        return row
    return replace(row, experiment=float(value), experiment_T_K=float(temperature_K), source=source, trust=trust)


def read_rows(path: Path) -> list[Row]:
    """Rows of a file; none if there is no such file.

    Raises:
        LmbmdError: if it has other columns, or something that is no number where one should be.
    """
    if not path.is_file():
        return []
    columns = [field.name for field in fields(Row)]
    with path.open(encoding="utf-8", newline="") as handle:
        reader = csv.DictReader(handle)
        if reader.fieldnames != columns:
            remedy = f"Its columns are: {', '.join(columns)}."
            raise LmbmdError("this is no table of validation results.", where=str(path), remedy=remedy)
        rows = []
        for line in reader:
            try:
                rows.append(Row(**{field.name: _read(field.type, line[field.name]) for field in fields(Row)}))
            except ValueError as error:
                raise LmbmdError(f"{error}.", where=f"{path}, line {reader.line_num}", remedy="Mend it.") from None
    return rows


def _read(kind: Any, text: str) -> Any:
    if kind == "float":
        return float(text) if text else NAN
    if kind == "bool":
        if text not in ("yes", "no"):
            raise ValueError(f"'{text}' is neither yes nor no")
        return text == "yes"
    return text


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.6g}"
    return value


def as_text(rows: Iterable[Row]) -> str:
    """The file's text: liquids, electrolytes and pairs in the order of reference.yaml, each run's rows together."""
    order = {LIQUID: 0, ELECTROLYTE: 1, PAIR: 2}
    names = {name: place for place, name in enumerate((*LIQUIDS, *ELECTROLYTES))}
    rows = sorted(rows, key=lambda row: (order[row.kind], names.get(row.name, len(names)), *map(str, row.run)))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(field.name for field in fields(Row))
    writer.writerows([_shown(getattr(row, field.name)) for field in fields(Row)] for row in rows)
    return buffer.getvalue()


def write_rows(path: Path, rows: Iterable[Row]) -> None:
    """Write the file of the set that its folder is named by, every number beside what was measured."""
    write_text(path, as_text(replace(compared(row), set=path.parent.name) for row in rows))


def merged(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """``old`` with the runs of ``new``, which take the place of runs of the same kind that are not longer."""
    runs: dict[tuple[Any, ...], list[Row]] = {}
    for row in old:
        runs.setdefault(row.run, []).append(row)
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in new:
        found.setdefault(row.run, []).append(row)
    for key, rows in found.items():
        if not _longer(runs.get(key, ()), rows):
            runs[key] = rows
    return [row for rows in runs.values() for row in rows]


def _longer(old: Iterable[Row], new: Iterable[Row]) -> bool:
    """Whether the old rows are of a longer run; lengths that nobody kept are not."""
    return any(a.length_ps > b.length_ps for a, b in zip(old, new, strict=False))
