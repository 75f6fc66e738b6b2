"""A state point as a page may quote it: of a run that is too short, numbers without error bars."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd

from lmbmd.data.described import Described
from lmbmd.numbers.doubt import Doubt, Kind, told
from lmbmd.report.inputs import StatePoint

#: Words of the convergence check of runs whose numbers have no error bar worth the name.
TOO_SHORT = ("too short", "not converged")
#: Why such a number has none.
NOT_QUOTED = Doubt(Kind.NOT_QUOTED)
#: Doubts that stand beside a value in the place of its error.
_NO_ERROR = (Kind.NEVER_CHANGED, Kind.ONE_SAMPLE, Kind.ONE_BLOCK, Kind.READ_OFF, Kind.UNTOLD)


def too_short(point: StatePoint) -> bool:
    """Whether the run is too short, or not converged, by its own check."""
    return point.described.verdict in TOO_SHORT


def quoted(point: StatePoint) -> StatePoint:
    """The state point itself; of a run that is too short, with one doubt in the place of every error.

    An error bar says how far the mean of this run may be from that of a long one. A run too short to have seen the
    liquid change cannot tell that, however small the bar. Values stay what they are, exact numbers stay exact, and a
    number without a value keeps its reason.
    """
    if not too_short(point):
        return point
    old = point.described
    tables = {name: _without(table) for name, table in old.tables.items()}
    found = Described(_without(old.descriptors), tables, old.notes, old.facts)
    return replace(point, described=found)


def _without(table: pd.DataFrame) -> pd.DataFrame:
    """A table whose errors are not to be relied on; a band that has no doubt of its own is left out."""
    changed: dict[str, object] = {}
    words = dict(zip(("doubt", "doubt_kind", "doubt_n"), told(NOT_QUOTED), strict=True))
    for column in map(str, table.columns):
        prefix = column.removesuffix("error")
        if prefix == column:
            continue
        if f"{prefix}doubt_kind" in table.columns:
            here = (table[column].abs() > 0) | table[f"{prefix}doubt_kind"].isin(_NO_ERROR)
            for key, said in words.items():
                changed[prefix + key] = table[prefix + key].mask(here, said)
        elif prefix == "" and "outcome" in table.columns:
            timed = np.isfinite(table["tau_ps"].to_numpy(float))
            changed |= {key: np.where(timed, str(words[key]), "") for key in ("doubt", "doubt_kind")}
            changed["doubt_n"] = np.full(len(table), np.nan)
        else:
            changed[column] = np.full(len(table), np.nan)
    return table.assign(**changed)
