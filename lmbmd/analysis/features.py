"""The feature table: every number of every state point in one tidy table of fixed columns."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa

from lmbmd.analysis.families import box_limited
from lmbmd.data.described import Described


class Column(NamedTuple):
    """One column of the table: its name, type and meaning."""

    name: str
    type: pa.DataType
    meaning: str


_TEXT, _NUMBER, _WHOLE, _TRUTH = pa.string(), pa.float64(), pa.int64(), pa.bool_()

#: The order, the names and the types are part of the file format; docs/features.md shows them.
COLUMNS = (
    Column("formulation", _TEXT, "name of the bottle"),
    Column("temperature_K", _NUMBER, "temperature of the state point, K"),
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
)
FEATURES = pa.schema([(column.name, column.type) for column in COLUMNS])

#: Rows that are no descriptors: (name, unit, meaning).
ROWS = (
    ("count", "1", "molecules of `species` in one box"),
    ("box_edge_nm", "nm", "edge of the cube with the mean volume of the box"),
    ("sampled_ns", "ns", "production time that was analysed, all replicas together"),
)

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
        describe stage wrote them.
    """
    parts = [_state_point(*point) for point in points]
    return pd.concat(parts, ignore_index=True)[FEATURES.names] if parts else FEATURES.empty_table().to_pandas()


def _state_point(formulation: str, temperature_K: float, box: Mapping[str, Any], described: Described) -> pd.DataFrame:
    found = described.descriptors
    sure = ("", "", np.nan, np.nan)
    own_rows = [(*row, row[-1], *sure) for row in _own_rows(box, described)]
    own = pd.DataFrame(own_rows, columns=found.columns).astype(found.dtypes)
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
    )


def _own_rows(box: Mapping[str, Any], described: Described) -> list[tuple]:
    counts = dict(box.get("counts") or {})
    rows = [("count", s, float(n), 0.0, "1", np.nan, np.inf, "molecules in one box") for s, n in counts.items()]
    density = described.descriptors.query("name == 'density_g_cm3'")
    start, edge = box.get("density_g_cm3"), box.get("box_edge_A")
    if len(density) and start and edge:
        row = density.iloc[0]
        value = 0.1 * float(edge) * (float(start) / row.value) ** (1 / 3)
        known = row.n_effective, row.degrees_of_freedom
        method = "edge of the cube with the mean volume of the box"
        rows.append(("box_edge_nm", "", value, value * row.error / row.value / 3, "nm", *known, method))
    times = [replica.get("sampled_ns") for replica in described.facts.get("replicas", ())]
    if times and all(isinstance(t, int | float) for t in times):
        rows.append(("sampled_ns", "", float(sum(times)), 0.0, "ns", np.nan, np.inf, "analysed time of all replicas"))
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
    free = features[features.name == FREE_SOLVENT]
    counts = features[features.name == "count"].set_index(["formulation", "temperature_K", "species"]).value
    rows = []
    for (formulation, T), part in free.groupby(["formulation", "temperature_K"], sort=False):
        n = [counts.get((formulation, T, species), math.nan) for species in part.species]
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
