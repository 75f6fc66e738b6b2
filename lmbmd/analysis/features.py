"""The feature table: every number of every state point in one tidy table of fixed columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from lmbmd.analysis.convergence import LEAST_REPLICAS
from lmbmd.analysis.dynamics.temperatures import Kink, Law, arrhenius, kink, vtf
from lmbmd.analysis.families import box_limited
from lmbmd.core import rounding
from lmbmd.core.errors import LmbmdError
from lmbmd.data.described import Described, Descriptor, descriptor_frame
from lmbmd.formulation.amounts import contents, parse_amount
from lmbmd.numbers.doubt import Kind, described
from lmbmd.numbers.estimate import Estimate


class Column(NamedTuple):
    """One column of the table: its name, type and meaning."""

    name: str
    type: pa.DataType
    meaning: str


_TEXT, _NUMBER, _WHOLE, _TRUTH = pa.string(), pa.float64(), pa.int64(), pa.bool_()

#: The order, the names and the types are part of the file format; docs/features.md shows them.
COLUMNS = (
    Column("formulation", _TEXT, "name of the bottle"),
    Column(
        "temperature_K",
        _NUMBER,
        "temperature of the state point, K; missing if it is of all temperatures, or not known",
    ),
    Column("name", _TEXT, "which number it is: a descriptor, or one of the rows below"),
    Column(
        "species", _TEXT, "what the number is about: a species, a site (`FSI:O`) or a shell; empty for the whole liquid"
    ),
    Column("value", _NUMBER, "the number, in `unit`; if it is missing, `doubt` has the reason"),
    Column(
        "error",
        _NUMBER,
        "one standard error, in `unit`; 0 if the number is exact; if it is missing, `doubt` has the reason",
    ),
    Column("unit", _TEXT, "its unit; `1` for a pure number"),
    Column("n_effective", _NUMBER, "number of independent samples it was computed from"),
    Column("degrees_of_freedom", _NUMBER, "of the error, for Student's t; infinite if the number is exact"),
    Column("method", _TEXT, "the definition in short, and the doubt in words"),
    Column("definition", _TEXT, "the same without what happened in this run"),
    Column("doubt", _TEXT, "why the number or its error is missing or not to be relied on; empty if it can be"),
    Column("doubt_kind", _TEXT, "the same as a code for programs; empty for no doubt about the number or its error"),
    Column("doubt_n", _NUMBER, "a number that goes with the code, such as the independent samples"),
    Column("box_limited", _TRUTH, "whether it is a size that the width of the box limits"),
    Column("verdict", _TEXT, "of the run: `too short`, `not converged`, `borderline`, `long enough`, or `unknown`"),
    Column("replicas", _WHOLE, "number of runs it was computed from"),
    Column("force_field", _TEXT, "parameter set, with its version"),
    Column("ion_charge_scale", _NUMBER, "factor of the ions' charges; missing if it is not recorded"),
    Column("recipe_sha256", _TEXT, "hash of everything that determines the composition"),
    Column("recipe", _TEXT, "components and amounts as asked for; may be empty"),
)
FEATURES = pa.schema([(column.name, column.type) for column in COLUMNS])

#: Rows that are no descriptors: (name, unit, meaning).
ROWS = (
    ("count", "1", "molecules of `species` in one box, or units of that kind where they are parts of chains"),
    ("box_edge_nm", "nm", "edge of the cube with the mean volume of the box"),
    ("sampled_ns", "ns", "production time that was analysed, all replicas together"),
)

#: Numbers of a bottle over all its temperatures: (name, unit, meaning). ``species`` says what changes with them.
_LAWS = (
    ("activation_energy_kJ_mol", "kJ/mol", "E of the Arrhenius law, ln x = ln A ∓ E / (R T)"),
    ("vtf_b_K", "K", "B of the Vogel–Tammann–Fulcher law, ln x = ln A ∓ B / (T − T₀)"),
    ("vtf_t0_K", "K", "its T₀"),
    ("vtf_log_prefactor", "1", "its ln A, A in the unit of x"),
)
_GLASS = (
    "glass_transition_K",
    "K",
    "of a bottle with chains, the temperature at which the specific volume begins to grow faster: where two lines meet",
)
OVER_TEMPERATURES = (*_LAWS, _GLASS)
#: A descriptor that only a bottle with chains has.
_OF_CHAINS = "end_to_end_A"
#: What is followed over the temperatures: descriptor → (name in ``species``, whether it rises with temperature).
FOLLOWED = {
    "self_diffusion_m2_s": ("diffusion", True),
    "self_diffusion_unbounded_m2_s": ("diffusion_unbounded", True),
    "conductivity_S_m": ("conductivity", True),
    "viscosity_mPa_s": ("viscosity", False),
}
#: Verdicts on runs, the worst first.
_VERDICTS = ("unknown", "too short", "not converged", "borderline", "long enough")

#: Descriptor that ``free_solvent`` adds up.
FREE_SOLVENT = "free_solvent_fraction"

#: What is said of sizes of clusters where a box of finite width cuts them off.
LIMITED = "limited by the box"


def features(points: Iterable[tuple[str, float, Mapping[str, Any], Described]]) -> pd.DataFrame:
    """Every descriptor of every state point, and the rows of ``ROWS``, in tidy form.

    Args:
        points: formulation, temperature in K, content of composition.json, and what describe said, in the order of
            the rows.

    Returns:
        The columns of ``FEATURES``, always all of them; the rows of a state point are in the order in which the
        describe stage wrote them, those of ``OVER_TEMPERATURES`` come after all state points.
    """
    parts = [_state_point(*point) for point in points]
    if not parts:
        return FEATURES.empty_table().to_pandas()
    found = pd.concat(parts, ignore_index=True)[FEATURES.names]
    over = [rows for _, bottle in found.groupby("formulation", sort=False) for rows in _over_temperatures(bottle)]
    return pd.concat([found, *over], ignore_index=True)[FEATURES.names] if over else found


def usable(row: Any) -> Estimate | None:
    """The number in a row of the feature table with the error to compare it by; None if there is a doubt about either.

    A number that never changed is taken at its value if ``LEAST_REPLICAS`` independent runs agree.
    """
    if not math.isfinite(row.value) or row.box_limited:
        return None
    if row.doubt_kind == Kind.NEVER_CHANGED and row.n_effective >= LEAST_REPLICAS:
        return Estimate(row.value, 0.0, row.n_effective, math.inf)
    if row.doubt_kind or not math.isfinite(row.error):
        return None
    if row.error and not row.degrees_of_freedom > 0.0:
        return None
    return Estimate(row.value, float(row.error), row.n_effective, row.degrees_of_freedom)


class Followed(NamedTuple):
    """A number of one bottle at all its temperatures, and the laws through it.

    Attributes:
        about: as ``species`` of its rows of ``OVER_TEMPERATURES`` has it.
        rows: of the feature table, one per temperature.
        arrhenius, vtf: fitted to those that can be relied on.
    """

    about: str
    rows: pd.DataFrame
    arrhenius: Law
    vtf: Law


def followed(bottle: pd.DataFrame) -> list[Followed]:
    """What is known of a bottle at several temperatures, with the laws through it.

    Args:
        bottle: rows of the feature table of one formulation.
    """
    rows = bottle[bottle.name.isin(FOLLOWED) & bottle.temperature_K.notna()]
    found = []
    for (name, species), part in rows.groupby(["name", "species"], sort=False):
        if part.temperature_K.nunique() < 2:
            continue
        word, rises = FOLLOWED[str(name)]
        known = [(float(row.temperature_K), usable(row)) for row in part.itertuples(index=False)]
        points = [(T, estimate) for T, estimate in known if estimate]
        about = f"{species}:{word}" if species else word
        found.append(Followed(about, part, arrhenius(points, rises), vtf(points, rises)))
    return found


def _over_temperatures(bottle: pd.DataFrame) -> list[pd.DataFrame]:
    """The rows of ``OVER_TEMPERATURES`` of a bottle; none if it has one temperature."""
    glass = volumes(bottle)
    return [*(_laws(one) for one in followed(bottle)), *([_glass(glass)] if glass else [])]


class Volumes(NamedTuple):
    """Densities of a bottle with chains at several temperatures, and the kink in its specific volume (cm³/g).

    Attributes:
        rows: of the feature table, one per temperature.
        table: temperature_K, volume_cm3_g, error_cm3_g (NaN: not to be relied on) and doubt of each.
        kink: fitted to those that can be relied on.
    """

    rows: pd.DataFrame
    table: pd.DataFrame
    kink: Kink


def volumes(bottle: pd.DataFrame) -> Volumes | None:
    """The specific volume over the temperatures; None for one temperature, or without chains.

    Args:
        bottle: rows of the feature table of one formulation.
    """
    if not (bottle.name == _OF_CHAINS).any():
        return None
    rows = bottle[(bottle.name == "density_g_cm3") & bottle.temperature_K.notna()].sort_values("temperature_K")
    if rows.temperature_K.nunique() < 2:
        return None
    known = [found if found and found.value > 0.0 else None for found in map(usable, rows.itertuples(index=False))]
    density, error = rows.value.to_numpy(float), np.array([one.error if one else np.nan for one in known])
    table = pd.DataFrame(
        {
            "temperature_K": rows.temperature_K.to_numpy(float),
            "volume_cm3_g": 1.0 / density,
            "error_cm3_g": error / density**2,
            "doubt": rows.doubt.to_list(),
        }
    )
    each = zip(known, table.itertuples(index=False), strict=True)
    return Volumes(
        rows,
        table,
        kink([(t.temperature_K, replace(one, value=t.volume_cm3_g, error=t.error_cm3_g)) for one, t in each if one]),
    )


def _glass(one: Volumes) -> pd.DataFrame:
    name, unit, meaning = _GLASS
    number, used = one.kink.tg_K, ", ".join(map(rounding.exact, one.kink.temperatures_K))
    known = number.n_effective, number.degrees_of_freedom
    definition = meaning + (f"; fit over {used} K" if used else "")
    row = described(name, "", number.value, number.error, unit, *known, definition, one.kink.doubt)
    return _of_bottle([row], one.rows, one.kink.temperatures_K)


def _laws(one: Followed) -> pd.DataFrame:
    laws = (one.arrhenius, one.vtf, one.vtf, one.vtf)
    energy = one.arrhenius.activation_energy_kJ_mol
    numbers = (energy, one.vtf.b_K, one.vtf.t0_K, one.vtf.log_prefactor)
    rows = []
    for (name, unit, meaning), law, number in zip(_LAWS, laws, numbers, strict=True):
        known = number.n_effective, number.degrees_of_freedom
        used = ", ".join(map(rounding.exact, law.temperatures_K))
        definition = f"{meaning}, for x the {one.rows.name.iloc[0]}; weighted fit" + (f" over {used} K" if used else "")
        rows.append(described(name, one.about, number.value, number.error, unit, *known, definition, law.doubt))
    return _of_bottle(rows, one.rows, one.arrhenius.temperatures_K)


def _of_bottle(rows: Sequence[Descriptor], points: pd.DataFrame, temperatures_K: Sequence[float]) -> pd.DataFrame:
    """Rows about a bottle over its temperatures, with the worst verdict of the points that they are from."""
    first, used = points.iloc[0], points[points.temperature_K.isin(temperatures_K)]
    said = set(used.verdict if len(used) else points.verdict)
    worst = next((verdict for verdict in _VERDICTS if verdict in said), "unknown")
    return descriptor_frame(rows).assign(
        formulation=first.formulation,
        temperature_K=math.nan,
        box_limited=False,
        verdict=worst,
        replicas=int(used.replicas.sum()),
        force_field=first.force_field,
        ion_charge_scale=first.ion_charge_scale,
        recipe_sha256=first.recipe_sha256,
        recipe=first.recipe,
    )[FEATURES.names]


def _state_point(formulation: str, temperature_K: float, box: Mapping[str, Any], described: Described) -> pd.DataFrame:
    found = described.descriptors
    own = pd.DataFrame(_own_rows(box, described), columns=found.columns).astype(found.dtypes)
    rows = pd.concat([own, found], ignore_index=True)
    limited = _limited(rows, described)
    scale = box.get("ion_charge_scale")
    return rows.assign(
        formulation=formulation,
        temperature_K=temperature_K,
        doubt=["; ".join(filter(None, said)) for said in zip(rows.doubt, np.where(limited, LIMITED, ""), strict=True)],
        box_limited=limited,
        verdict=described.verdict,
        replicas=len(described.facts.get("replicas", ())),
        force_field=str(box.get("force_field") or ""),
        ion_charge_scale=np.nan if scale is None else float(scale),
        recipe_sha256=str(box.get("recipe_sha256") or ""),
        recipe=_recipe(box),
    )


def _recipe(box: Mapping[str, Any]) -> str:
    """What was asked for; "" if that is not recorded, or not as an amount."""
    try:
        return contents({str(row["component"]): parse_amount(row["text"]) for row in box.get("asked_realised") or ()})
    except (LmbmdError, KeyError, TypeError):
        return ""


def _counts(box: Mapping[str, Any]) -> dict[str, int]:
    """Molecules of each species, and units of each kind for chains."""
    found = dict(box.get("counts") or {})
    for polymer, chains in (box.get("chains") or {}).items():
        found.pop(polymer, None)
        found |= {name: sum(one.count(kind) for one in chains["sequences"]) for kind, name in chains["names"].items()}
    return found


def _own_rows(box: Mapping[str, Any], described: Described) -> list[tuple]:
    """The rows of ``ROWS``; the edge of the box is as sure as the density that it is computed from."""
    sure, exact = ("", "", np.nan, np.nan), (np.nan, np.inf)

    def given(name: str, species: str, value: float, unit: str, method: str) -> tuple:
        return (name, species, value, 0.0, unit, *exact, method, method, *sure)

    told = "molecules in one box; of chains, their units"
    rows = [given("count", s, float(n), "1", told) for s, n in _counts(box).items()]
    density = described.descriptors.query("name == 'density_g_cm3'")
    start, edge = box.get("density_g_cm3"), box.get("box_edge_A")
    if len(density) and start and edge:
        row = density.iloc[0]
        value = 0.1 * float(edge) * (float(start) / row.value) ** (1 / 3)
        method = "edge of the cube with the mean volume of the box"
        told = "; ".join(filter(None, [method, row.doubt]))
        number = (value, value * row.error / row.value / 3, "nm", row.n_effective, row.degrees_of_freedom)
        doubt = (row.doubt, row.doubt_kind, row.doubt_n, row.doubt_at)
        rows.append(("box_edge_nm", "", *number, told, method, *doubt))
    times = [replica.get("sampled_ns") for replica in described.facts.get("replicas", ())]
    if times and all(isinstance(t, int | float) for t in times):
        rows.append(given("sampled_ns", "", float(sum(times)), "ns", "analysed time of all replicas"))
    return rows


def _limited(rows: pd.DataFrame, described: Described) -> np.ndarray:
    """Which rows are sizes of clusters, if a cluster is as long as the box lets it be."""
    return rows.name.isin(box_limited()).to_numpy() & bool(described.notes_on("box", "cluster"))


def free_solvent(features: pd.DataFrame) -> pd.DataFrame:
    """Rows for the share of free solvent over all solvents of each state point, with an empty ``species``.

    Σ N_s f_s / Σ N_s over the solvents s, with N_s molecules of which the share f_s is free. The error is exact for one
    solvent; for several it is an upper bound, Σ N_s e_s / Σ N_s, because the shares depend on each other.

    Args:
        features: the feature table.
    """
    wanted = features[features.name.isin((FREE_SOLVENT, "count"))]
    rows = []
    for _, point in wanted.groupby(["formulation", "temperature_K"], sort=False, dropna=False):
        part, counts = point[point.name == FREE_SOLVENT], point[point.name == "count"].set_index("species").value
        if part.empty:
            continue
        n = [counts.get(species, math.nan) for species in part.species]
        weights = pd.Series(n, index=part.index) / sum(n) if len(part) > 1 else pd.Series(1.0, index=part.index)
        rows.append(
            part.iloc[0].to_dict()
            | {
                "species": "",
                "value": (weights * part.value).sum(skipna=False),
                "error": (weights * part.error).sum(skipna=False),
                "n_effective": part.n_effective.min(),
                "degrees_of_freedom": part.degrees_of_freedom.min(),
            }
            | _first_doubt(part)
        )
    return pd.DataFrame(rows, columns=features.columns)


def _first_doubt(rows: pd.DataFrame) -> dict[str, Any]:
    """The columns of the first doubt in these rows."""
    doubted = rows[rows.doubt_kind != ""]
    first = (doubted if len(doubted) else rows).iloc[0]
    return {name: first[name] for name in ("doubt", "doubt_kind", "doubt_n")}
