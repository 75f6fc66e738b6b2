"""From counted correlations of directions to relaxation times with errors, and their tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from lmbmd.analysis.chains.relaxation import Relaxation
from lmbmd.analysis.dynamics.lifetimes import Correlation
from lmbmd.analysis.dynamics.lifetimes_account import OUTCOME, across_runs, freedom_of, lifetime, outcome_columns
from lmbmd.analysis.family import Account, Family, Findings
from lmbmd.core.errors import LmbmdError
from lmbmd.data.described import Descriptor
from lmbmd.numbers.doubt import Doubt, Kind, described

#: Of what the correlation functions are, by name and order.
_MEANING = {
    ("unit_vector", "P1"): "⟨û(0) · û(t)⟩ of the vectors between the mass centres of neighbouring units",
    ("unit_vector", "P2"): "⟨3 (û(0) · û(t))² − 1⟩ / 2 of the vectors between the mass centres of neighbouring units",
    ("end_to_end", "P1"): "⟨ê(0) · ê(t)⟩ of the directions from the first to the last unit of a chain",
}
#: What makes the name of a descriptor.
_NAMES = {
    ("unit_vector", "P1"): "unit_vector_p1",
    ("unit_vector", "P2"): "unit_vector_p2",
    ("end_to_end", "P1"): "end_to_end",
}
#: What is said of directions where of contacts it is something else: they turn, and each is a sample by itself.
_SAID_OF = {Kind.NOT_RESOLVED: Kind.TURNED, Kind.FEW_LOSSES: Kind.FEW_SAMPLES}


def relaxation_account(results: Sequence[tuple[float, int, tuple[Correlation, ...]]]) -> Account:
    """What ``Relaxation`` found: relaxation times, and the tables ``chain_relaxation`` and ``chain_relaxation_curves``.

    A 1/e time is given only if the function falls to 1/e within half of the shortest run.

    Args:
        results: interval, number of frames and correlations of each replica.

    Raises:
        LmbmdError: if the runs differ in frame interval.
    """
    intervals = [interval for interval, n_frames, _ in results if n_frames > 1]
    interval, shortest = (intervals or [float("nan")])[0], min(n_frames for _, n_frames, _ in results)
    if any(abs(other - interval) > 0.01 * interval for other in intervals):
        listed = ", ".join(f"{other:g}" for other in intervals)
        raise LmbmdError(
            f"frames of the runs are {listed} ps apart.", remedy="Analyse runs written at the same interval together."
        )
    rows: list[Descriptor] = []
    table, curves = [], []
    for found in across_runs([each for _, _, each in results], ("partner", "state", "kind")):
        row, curve = lifetime(found, interval, shortest)
        row |= {key: replace(row[key], kind=_SAID_OF.get(row[key].kind, row[key].kind)) for key in ("doubt", "few")}
        row |= outcome_columns(row["doubt"] or row["few"], "decayed", row["tau_ps"], row["error"])
        key = row["state"], row["correlation"]
        rows += _descriptors(row, _NAMES[key], _MEANING[key])
        table.append({**row, "chain": row["partner"], "vector": row["state"], "order": row["correlation"]})
        curves.append(curve.rename(columns={"partner": "chain", "state": "vector", "correlation": "order"}))
    columns = ["chain", "vector", "order", "tau_ps", "error", *OUTCOME, "integral_ps", "integral_error"]
    points = ["chain", "vector", "order", "t_ps", "c", "c_error"]
    return Account(
        rows,
        {
            "chain_relaxation": pd.DataFrame(table, columns=columns),
            "chain_relaxation_curves": pd.concat(curves, ignore_index=True)[points],
        },
    )


def _descriptors(row: dict, name: str, meaning: str) -> list[Descriptor]:
    why: Doubt = row["doubt"]
    no_integral = why if why and why.kind is not Kind.NO_CROSSING else Doubt(Kind.FLAT_TAIL)
    parts = (
        (f"{name}_time_ps", row["tau_ps"], row["error"], "1/e time", why),
        (f"{name}_integral_ps", row["integral_ps"], row["integral_error"], "integral", no_integral),
    )
    rows = []
    for what, value, error, kind, doubt in parts:
        found = row["few"] if value == value else doubt
        known = row["departures"], freedom_of(error, row["jackknife_freedom"], row["departures"])
        rows.append(described(what, row["partner"], value, error, "ps", *known, f"{kind} of {meaning}", found))
    return rows


def _account(found: Findings) -> Account:
    if not found.setting.atoms.chains:
        return Account()
    results = []
    try:
        for fold in found.folds[Relaxation, 0.0]:
            results.append(fold.result())
        return relaxation_account(results)
    except LmbmdError as error:
        text = f"The relaxation of chains was not computed. Replica {len(results) + 1}: {error}"
        return Account(notes=[{"topic": "statistics", "text": text}])


FAMILY = Family(account=_account, folds={Relaxation: lambda setting, replica: Relaxation(setting.atoms)})
