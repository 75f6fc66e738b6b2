"""The tables of how it moves: coefficients with their verdicts, Onsager coefficients, the runs they are from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from lmbmd.analysis.features import Followed
from lmbmd.core import rounding
from lmbmd.core.words import counted
from lmbmd.numbers.doubt import SURE, Doubt, Kind
from lmbmd.numbers.estimate import Estimate
from lmbmd.report.inputs import StatePoint, doubt_of
from lmbmd.report.tables.cells import Cell, Table, unit, value
from lmbmd.report.words import naming

#: Descriptors of the table of coefficients, in its order, each with the definition it links to.
COEFFICIENTS = {
    "self_diffusion_m2_s": "self_diffusion",
    "self_diffusion_unbounded_m2_s": "self_diffusion_unbounded",
    "msd_exponent": "self_diffusion",
    "diffusion_by_state_m2_s": "diffusion_by_state",
    "displacement_per_residence_A": "displacement_per_residence",
    "vehicular_share": "vehicular_share",
    "conductivity_S_m": "conductivity",
    "conductivity_nernst_einstein_S_m": "conductivity_nernst_einstein",
    "ionicity": "ionicity",
    "conductivity_share": "conductivity_share",
    "transference_nernst_einstein": "transference",
    "transference_barycentric": "transference",
    "transference_solvent": "transference",
    "viscosity_mPa_s": "viscosity",
    "relative_permittivity": "relative_permittivity",
}
_NO_VALUE = "A dash: no value. The reason is in the last column."


def coefficients(point: StatePoint) -> Table | None:
    """Every number of motion with its error, and whether the run is long enough for it."""
    rows = point.described.descriptors
    order = {name: k for k, name in enumerate(COEFFICIENTS)}
    rows = rows[rows.name.isin(order)].sort_values("name", key=lambda names: names.map(order), kind="stable")
    shown = tuple(
        (
            Cell(naming.quantity(str(row.name)), COEFFICIENTS[row.name]),
            Cell(naming.site(str(row.species))),
            _number(row),
            unit(str(row.unit)),
            value(row.n_effective),
            Cell("no" if row.doubt_kind == Kind.NOT_QUOTED else str(row.doubt) or "yes"),
        )
        for row in rows.itertuples(index=False)
    )
    columns = ("quantity", "of", "value ± error", "unit", "n", "long enough?")
    caption = "How far, how fast, and how well it is known. n: independent samples behind the number."
    return Table(caption, columns, shown, headers=2, dash=_NO_VALUE) if shown else None


def _number(row: Any) -> Cell:
    """A number and its error; what is to be said against them stands in a column of its own."""
    doubt = doubt_of(row) if math.isfinite(row.value) and math.isfinite(row.error) else SURE
    return Cell(rounding.number(row.value, row.error, not doubt), numeric=True, doubt=doubt)


_PARTS = {"total": "total", "self": "self part", "distinct": "distinct part"}


def onsager(point: StatePoint) -> Table | None:
    """The Onsager coefficients of every pair of ion species, with their self and distinct parts, in each frame."""
    table = point.table("onsager")
    if table is None:
        return None
    parts = [part for part in _PARTS if part in set(table.part)]
    rows = []
    table = table.sort_values("frame", kind="stable")
    for (frame, first, second), found in table.groupby(["frame", "first", "second"], sort=False):
        of = {str(row.part): row for row in found.itertuples(index=False)}
        cells = [_part(of[p]) if p in of else Cell(rounding.DASH, numeric=True) for p in parts]
        pair = f"{naming.species(str(first))} – {naming.species(str(second))}"
        rows.append((Cell(pair, "onsager"), Cell(str(frame)), *cells, Cell("S/m")))
    columns = ("pair", "frame", *(_PARTS[part] for part in parts), "unit")
    caption = "Onsager coefficients. Those of a frame add up to the conductivity; a pair of two species counts twice."
    return Table(caption, columns, tuple(rows), headers=2, dash="A dash: not defined, or no value.")


def _part(row: Any) -> Cell:
    """A coefficient; what is to be said against it stands below it."""
    said = str(row.doubt)
    remark = "" if row.doubt_kind == Kind.NOT_QUOTED else said
    return Cell(rounding.number(row.value_S_m, row.error, not said), remark=remark, numeric=True)


def runs(point: StatePoint) -> Table | None:
    """What the motion was read from: ensemble, thermostat, length, frames."""
    table = point.table("motion_runs")
    if table is None:
        return None
    rows = []
    keys = ["ensemble", "thermostat", "friction_per_ps", "length_ps", "interval_ps"]
    keys, drift = [key for key in keys if key in table.columns], "energy_drift_kJ_mol_ns_per_atom"
    table = table.assign(**{drift: table.get(drift, math.nan)})  # none where an older version described it
    for found, part in table.groupby(keys, sort=False, dropna=False):
        of = dict(zip(keys, found, strict=True))
        friction = of.get("friction_per_ps", math.nan)
        rows.append(
            (
                Cell(_how_many(part), "motion"),
                Cell(str(of["ensemble"]) or "not known"),
                Cell(str(of["thermostat"]) or "none"),
                value(math.nan if friction == 0 else float(friction)),
                Cell(rounding.duration(of["length_ps"]), numeric=True),
                Cell(rounding.exact(round(of["interval_ps"], 6)), numeric=True),
                Cell(rounding.exact(round(part.temperature_K.mean(), 2)), numeric=True),
                value(1000 * part[drift].mean()),
            )
        )
    columns = ("run", "ensemble", "thermostat", "friction (1/ps)", "length", "frames every (ps)", "temperature (K)")
    caption = "What the motion was read from."
    if table[drift].isna().all():
        return Table(caption, columns, tuple(row[:-1] for row in rows), dash="A dash: none, or not recorded.")
    caption += (
        " At constant energy: the mean of the kinetic temperature, and the drift of the total energy, the slope of a "
        "straight line through it; means of the runs in a row."
    )
    wider = (*columns, "energy drift (J/mol/ns per atom)")
    return Table(caption, wider, tuple(rows), dash="A dash: none, or not recorded.")


def _how_many(rows: pd.DataFrame) -> str:
    replicas = rows.replica.nunique()
    return counted(len(rows), "run") + (f" of {counted(replicas, 'replica')}" if replicas < len(rows) else "")


def laws(found: Sequence[tuple[str, Followed]], several: bool = False) -> Table | None:
    """Activation energies and VTF parameters.

    Args:
        found: the title of the bottle, and a quantity of it over its temperatures.
        several: whether to name the bottle.
    """
    rows = []
    for title, one in found:
        energy, b, t0 = one.arrhenius.activation_energy_kJ_mol, one.vtf.b_K, one.vtf.t0_K
        used = ", ".join(map(rounding.exact, one.arrhenius.temperatures_K)) or rounding.DASH
        more = one.vtf.doubt and one.arrhenius.doubt.kind is not Kind.FEW_TEMPERATURES
        told = [str(one.arrhenius.doubt), f"VTF: {one.vtf.doubt}" if more else ""]
        cells = [_estimate(energy, one.arrhenius.doubt), *(_estimate(x, one.vtf.doubt) for x in (b, t0))]
        bottle = (Cell(title),) if several else ()
        words = "; ".join(filter(None, told))
        rows.append((*bottle, Cell(naming.site(one.about), "laws"), *cells, Cell(used), Cell(words)))
    columns = (*(("formulation",) if several else ()), "quantity", "E (kJ/mol)", "VTF B (K)", "VTF T₀ (K)")
    columns = (*columns, "at (K)", "remarks")
    caption = "How the motion changes with temperature: activation energies (Arrhenius) and VTF parameters."
    return Table(caption, columns, tuple(rows), headers=1 + several, dash=_NO_VALUE) if rows else None


def _estimate(found: Estimate, doubt: Doubt) -> Cell:
    if math.isnan(found.value):
        return Cell(rounding.DASH, numeric=True)
    return Cell(rounding.number(found.value, found.error, not doubt), numeric=True, doubt=doubt)
