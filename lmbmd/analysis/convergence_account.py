"""What is said over all families together: sensitivity to the cut-offs, errors over time, and convergence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lmbmd.analysis.convergence import convergence
from lmbmd.analysis.family import Account, Family, Findings, Series
from lmbmd.analysis.shells.coordination_account import cn_series, present
from lmbmd.data.described import Descriptor
from lmbmd.numbers.doubt import COLUMNS as DOUBT
from lmbmd.numbers.doubt import SURE, Doubt, Kind, entry
from lmbmd.numbers.estimate import estimate_mean

#: Points per replica and quantity in the table ``timeseries``; longer runs are averaged over stretches.
TIMESERIES_POINTS = 500
#: Lengths of run, evenly spaced up to the whole, at which a mean is told again.
RUNNING_POINTS = 20


def convergence_account(found: Findings, families: Sequence[Family], accounts: Sequence[Account]) -> Account:
    """Notes and tables over all families; no descriptors.

    Args:
        found: by all folds.
        families, accounts: of the families, in one order.
    """
    setting = found.setting
    series = {name: values for family in families for name, values in family.series(found).items()}
    # A box of fixed size has a density that cannot drift.
    fixed = not any(np.ptp(volumes) for volumes in found.volume_A3)
    watched = {name: values for name, values in series.items() if not (fixed and name == "density_g_cm3")}
    rows = [row for account in accounts for row in account.rows]
    residence = next((account.tables["residence"] for account in accounts if "residence" in account.tables), None)
    notes, table = convergence(
        found.sampled_ns,
        setting.atoms.count(setting.centre),
        setting.centre,
        watched,
        _residence_times(rows),
        _diluents(found, residence),
    )
    tables = {
        "sensitivity": _sensitivity(found, families),
        "timeseries": _timeseries(series, found.time_ps),
        **error_tables(watched, found.time_ps),
        "convergence": table,
    }
    return Account((), tables, notes)


def _residence_times(rows: Sequence[Descriptor]) -> dict[str, tuple[float, Doubt]]:
    """Anion → length of the shortest run in its residence times, and the outcome of measuring them."""
    chosen = [row for row in rows if row.name == "run_length_in_residence_times"]
    return {row.species: (row.value, Doubt(Kind(row.doubt_kind), row.doubt_n, row.doubt_at)) for row in chosen}


def _diluents(found: Findings, residence: pd.DataFrame | None) -> dict[str, tuple[float, Doubt]]:
    """Diluent → its CN round the primary centre, and the outcome of measuring how long its contacts last."""
    outcomes = {}
    if residence is not None:
        times = residence[(residence.centre == found.setting.centre) & (residence.correlation == "intermittent")]
        outcomes = {
            row.partner: Doubt(Kind(row.outcome_kind), row.outcome_n, row.outcome_at) for row in times.itertuples()
        }
    names = present(found.setting.atoms, "diluent")
    return {name: (estimate_mean(cn_series(found, [name])).value, outcomes.get(name, SURE)) for name in names}


def error_tables(series: Mapping[str, Sequence[np.ndarray]], time_ps: Sequence[np.ndarray]) -> dict[str, pd.DataFrame]:
    """The tables ``errors`` and ``running`` of the quantities that are watched over time.

    Args:
        series: quantity → one array per replica, an entry per frame.
        time_ps: time of each frame, one array per replica.

    Returns:
        errors: quantity, replica (0: all together), value, error, doubt, n_effective, source (of the error, see
            ``Estimate``), frames. The mean of one replica has an error from that replica alone.
        running: quantity, time_ps, value, error, doubt: the mean of all replicas had each been stopped at that time
            after its first frame.
    """
    errors, running = [], []
    length = max(t[-1] - t[0] for t in time_ps)
    for quantity, runs in series.items():
        together = [(0, runs), *((k, [run]) for k, run in enumerate(runs, start=1))]
        for replica, chosen in together[: 1 if len(runs) == 1 else None]:
            frames = sum(int(np.isfinite(run).sum()) for run in chosen)
            mean = estimate_mean(chosen)
            errors.append((quantity, replica, *entry(mean), mean.n_effective, mean.source, frames))
        for part in np.linspace(0, length, RUNNING_POINTS + 1)[1:]:
            stopped = [run[t - t[0] <= part + 1e-6] for run, t in zip(runs, time_ps, strict=True)]
            running.append((quantity, part, *entry(estimate_mean(stopped))))
    columns = ["quantity", "replica", "value", "error", *DOUBT, "n_effective", "source", "frames"]
    return {
        "errors": pd.DataFrame(errors, columns=columns),
        "running": pd.DataFrame(running, columns=["quantity", "time_ps", "value", "error", *DOUBT]),
    }


def _sensitivity(found: Findings, families: Sequence[Family]) -> pd.DataFrame:
    """Quantities counted again with every cut-off moved: rows by quantity, then by shift."""
    rows: dict[str, list[tuple]] = {}
    low, high = found.setting.shifts_A
    for shift in (low, 0.0, high):
        for family in families:
            for name, series in family.sensitive(found, shift).items():
                rows.setdefault(name, []).append((name, shift, *entry(estimate_mean(series))))
    columns = ["quantity", "cutoff_shift_A", "value", "error", *DOUBT]
    return pd.DataFrame([row for these in rows.values() for row in these], columns=columns)


def _timeseries(series: Mapping[str, Series], time_ps: Sequence[np.ndarray]) -> pd.DataFrame:
    tables = []
    for quantity, runs in series.items():
        for number, (values, times) in enumerate(zip(runs, time_ps, strict=True), start=1):
            time, mean = _thinned(times, np.asarray(values, float))
            tables.append(pd.DataFrame({"replica": number, "time_ps": time, "quantity": quantity, "value": mean}))
    return pd.concat(tables, ignore_index=True)


def _thinned(time_ps: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """At most ``TIMESERIES_POINTS`` means over stretches of equal length; leftover frames make a shorter last one."""
    length = -(-len(values) // TIMESERIES_POINTS)
    starts = np.arange(0, len(values), length)
    count = np.diff(np.append(starts, len(values)))
    return np.add.reduceat(time_ps, starts) / count, np.add.reduceat(values, starts) / count
