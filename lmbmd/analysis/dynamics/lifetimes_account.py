"""From counted correlations to times with errors, and their tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pandas as pd

from lmbmd.analysis.dynamics.lifetimes import Correlation, Exchange, ExchangeResult, Residence, ResidenceResult
from lmbmd.analysis.family import Account, Family, Findings
from lmbmd.core.errors import LmbmdError
from lmbmd.core.units import PS_PER_NS
from lmbmd.data.atoms import AtomTable
from lmbmd.data.described import Descriptor
from lmbmd.numbers.curve import jackknife
from lmbmd.numbers.doubt import SURE, Doubt, Kind, described, remark
from lmbmd.numbers.estimate import RELIABLE_N_EFFECTIVE

Item = TypeVar("Item")

#: Points of a curve that go into a table, spaced logarithmically.
MAX_POINTS = 200
#: Part of the excess correlation below which the integral is continued by the exponential tail.
TAIL_FROM = 0.05

#: What became of the search for a time: in words, and as kind and numbers.
OUTCOME = ("outcome", "outcome_kind", "outcome_n", "outcome_at")
_EXCHANGE = ["centre", "partner", "tau_ps", "error", *OUTCOME, "losses", "tolerance_ps"]
_KIND = {
    "intermittent": "<h(0)h(t)>/<h>, breaks allowed",
    "continuous": "together at every frame from 0 to t",
    "mended": "together at every frame from 0 to t after breaks up to {tolerance:g} ps are mended",
}
_STATE = {
    "contact": ("residence", "contact of the first shell"),
    "CIP": ("cip_pair", "contact with an anion that touches this centre only"),
    "AGG": ("agg_pair", "contact with an anion that touches two and more centres"),
    "cluster": ("cluster_membership", "two ions in the same cluster"),
}


def decay_time_ps(time_ps: np.ndarray, c: np.ndarray) -> float:
    """Time at which C first falls to 1/e, interpolated exponentially between points; NaN if it does not."""
    below = np.flatnonzero(c <= np.exp(-1.0))
    if not len(below) or below[0] == 0:
        return float("nan")
    i = below[0]
    high, low = np.log(c[i - 1]), np.log(max(c[i], 1e-300))
    return float(time_ps[i - 1] + (time_ps[i] - time_ps[i - 1]) * (high + 1.0) / (high - low))


def _excess(c: np.ndarray, random: float) -> np.ndarray:
    """What of C is left above C∞; ones where C∞ = 1, as all pairs are always together."""
    return (c - random) / (1.0 - random) if random < 1.0 else np.ones_like(c)


def integral_time_ps(time_ps: np.ndarray, c: np.ndarray, random: float = 0.0) -> float:
    """∫ (C − C∞) / (1 − C∞) dt, C∞ = ``random``.

    Exponential interpolation between points (exact for an exponential) up to where 5 % are left, or the last
    point if there is more; beyond, the exponential fitted to the later half of what lies before. NaN if the
    last point is above 1/e, or if the tail does not fall.
    """
    excess = _excess(c, random)
    small = np.flatnonzero(excess <= TAIL_FROM)
    cut = int(small[0]) if len(small) else len(excess) - 1
    if excess[cut] <= 0.0:
        cut -= 1
    if cut < 1 or excess[cut] > np.exp(-1.0) or (excess[: cut + 1] <= 0.0).any():
        return float("nan")
    t, y = time_ps[: cut + 1], excess[: cut + 1]
    ratio = np.log(y[:-1] / y[1:])
    flat = np.abs(ratio) < 1e-9
    mean = np.where(flat, y[:-1], (y[:-1] - y[1:]) / np.where(flat, 1.0, ratio))
    later = slice(min(cut // 2, cut - 1), None)
    slope = np.polyfit(t[later], np.log(y[later]), 1)[0]
    return float((mean * np.diff(t)).sum() - y[-1] / slope) if slope < 0.0 else float("nan")


def lifetimes_account(results: Sequence[ResidenceResult], atoms: AtomTable) -> Account:
    """Descriptors and tables of lifetimes from the runs of one state point.

    A time is given only if C falls to 1/e within half of the shortest run; otherwise it is NaN, and the
    outcome says how far C had come by then. Errors are jackknife errors over groups of centres (stretches of
    the run for cluster membership) and, for three and more runs, over runs, whichever is larger.

    Args:
        results: one per replica.
        atoms: who the atoms are.

    Returns:
        descriptors; tables ``residence``, ``residence_curves`` (contacts), ``residence_states``,
        ``residence_states_curves`` (CIP and AGG pairs, cluster membership), ``exchange`` (times between losses).

    Raises:
        LmbmdError: if the runs differ in frame interval.
    """
    intervals = [r.interval_ps for r in results if r.n_frames > 1]
    interval, n_frames = (intervals or [float("nan")])[0], min(r.n_frames for r in results)
    for i, other in enumerate(intervals):
        if abs(other - interval) > 0.01 * interval:
            raise LmbmdError(
                f"frames are {other:g} ps apart, those of the first run {interval:g} ps.",
                where=f"replica {i + 1}",
                remedy="Analyse runs written at the same interval together, the others apart.",
            )
    several = len(np.unique(atoms.species_id[atoms.centres])) > 1
    descriptors: list[Descriptor] = []
    rows: list[dict] = []
    exchanges: list[dict] = []
    curves: list[pd.DataFrame] = []
    for found in across_runs([r.correlations for r in results], ("centre", "partner", "state", "kind")):
        row, curve = lifetime(found, interval, n_frames)
        rows.append(row)
        curves.append(curve)
        descriptors += _time_descriptors(row, several)
    for lost in across_runs([r.exchanges for r in results], ("centre", "partner")):
        both, row = _exchange(lost, interval, [r.n_frames for r in results], several)
        descriptors += both
        exchanges.append(row)
    descriptors += _run_length(rows, interval * (n_frames - 1), atoms, several)
    tables = {**_tables(rows, curves), "exchange": pd.DataFrame(exchanges, columns=_EXCHANGE)}
    return Account(descriptors, tables)


def exchange_times(results: Sequence[ExchangeResult], atoms: AtomTable) -> pd.DataFrame:
    """Mean time until a contact is lost, by centre and partner; see the descriptor ``exchange_time_ps``.

    Returns:
        centre, partner, tau_ps, error, degrees_of_freedom, losses, why: a ``Doubt`` about the time or its error.
    """
    interval = next((r.interval_ps for r in results if r.n_frames > 1), float("nan"))
    rows = []
    for lost in across_runs([r.exchanges for r in results], ("centre", "partner")):
        (_, time), row = _exchange(lost, interval, [r.n_frames for r in results], False)
        rows.append({**row, "degrees_of_freedom": time.degrees_of_freedom})
    columns = ["centre", "partner", "tau_ps", "error", "degrees_of_freedom", "losses", "why"]
    return pd.DataFrame(rows, columns=columns)


def across_runs(runs: Sequence[Sequence[Item]], keys: tuple[str, ...]) -> list[list[tuple[int, Item]]]:
    """Items of all runs with equal keys, each with the number of its run, in order of first appearance."""
    same: dict[tuple, list[tuple[int, Item]]] = {}
    for i, run in enumerate(runs):
        for item in run:
            same.setdefault(tuple(getattr(item, key) for key in keys), []).append((i, item))
    return list(same.values())


def lifetime(found: list[tuple[int, Correlation]], interval_ps: float, n_frames: int) -> tuple[dict, pd.DataFrame]:
    """The row of the residence table and the curve of one correlation function."""
    first = found[0][1]
    # Runs of other lengths share the lags of the shortest.
    n_lags = min(len(c.lag) for _, c in found)
    time = first.lag[:n_lags] * interval_ps if n_frames > 1 else np.zeros(1)
    together = np.concatenate([c.together[:, :n_lags] for _, c in found]).astype(float)
    origins = np.concatenate([c.origins[:, :n_lags] for _, c in found])
    replica = np.repeat([i for i, _ in found], [len(c.together) for _, c in found])
    some = origins[:, 0] > 0
    together, origins, replica = together[some], origins[some], replica[some]
    random = float(np.mean([c.random for _, c in found]))
    usable = first.lag[:n_lags] <= n_frames // 2
    with np.errstate(invalid="ignore", divide="ignore"):
        c, c_error, _ = jackknife(np.divide, together, origins, replica)
        outcome = _outcome(time[usable], c[usable], _excess(c[usable], random))
        tau, tau_error, integral, integral_error, freedom = 5 * [float("nan")]
        if not outcome:
            tau, tau_error, freedom = _number(lambda a, b: decay_time_ps(time, a / b), together, origins, replica)
        if not outcome or outcome.kind is Kind.NO_CROSSING:
            long = lambda a, b: integral_time_ps(time[usable], (a / b)[usable], random)  # noqa: E731
            integral, integral_error, freedom = _number(long, together, origins, replica)
    departures = float(sum(c.departures for _, c in found))
    few = _few(departures)
    row = {
        "centre": first.centre,
        "partner": first.partner,
        "state": first.state,
        "correlation": first.kind,
        "tau_ps": tau,
        "error": tau_error,
        **outcome_columns(outcome or few, "decayed", tau, tau_error),
        "integral_ps": integral,
        "integral_error": integral_error,
        "random": random,
        "tolerance_ps": first.tolerance_ps,
        "departures": departures,
        "jackknife_freedom": freedom,
        "doubt": outcome,
        "few": few,
    }
    points = np.unique(np.rint(np.geomspace(1, usable.sum(), MAX_POINTS)).astype(int)) - 1
    curve = pd.DataFrame({"t_ps": time[points], "c": c[points], "c_error": c_error[points]})
    for column in ("correlation", "state", "partner", "centre"):
        curve.insert(0, column, row[column])
    return row, curve


def _number(
    statistic: Callable[[np.ndarray, np.ndarray], np.ndarray | float], *counts: np.ndarray
) -> tuple[float, float, float]:
    """``jackknife`` of a statistic that is one number."""
    value, error, freedom = jackknife(statistic, *counts)
    return float(value), float(error), freedom


def _few(events: float) -> Doubt:
    """The doubt about an error that rests on fewer than ten events."""
    return Doubt(Kind.FEW_LOSSES, n=events) if events < RELIABLE_N_EFFECTIVE else SURE


def _outcome(time_ps: np.ndarray, c: np.ndarray, excess: np.ndarray) -> Doubt:
    """Why there is no 1/e time, if there is none; ``excess`` is (C − C∞) / (1 − C∞)."""
    if len(c) < 2:
        return Doubt(Kind.RUN_TOO_SHORT)
    level = np.exp(-1.0)
    if excess[1] <= level:
        return Doubt(Kind.NOT_RESOLVED, n=float(c[1]), at=float(time_ps[1]))
    if (c <= level).any():
        return SURE
    if (excess <= level).any():
        return Doubt(Kind.NO_CROSSING)
    return Doubt(Kind.NOT_DECAYED, n=float(c[-1]), at=float(time_ps[-1]))


def outcome_columns(found: Doubt, fine: str, value: float = 0.0, error: float = 0.0) -> dict[str, str | float]:
    """The columns ``OUTCOME``; ``fine`` is what is said where there is no doubt."""
    told = remark(found, value, error) or fine, found.kind.value, found.n, found.at
    return dict(zip(OUTCOME, told, strict=True))


def freedom_of(error: float, jackknifed: float, events: float) -> float:
    """Degrees of freedom of a jackknife error; NaN without an error.

    No more than a third of the events: contacts that break form again, so that events come several together.
    """
    return min(jackknifed, max(events / 3.0, 1.0)) if np.isfinite(error) else float("nan")


def _named(row: dict, several: bool) -> str:
    return f"{row['centre']}-{row['partner']}" if several and row["centre"] else row["partner"]


def _time_descriptors(row: dict, several: bool) -> list[Descriptor]:
    name, meaning = _STATE[row["state"]]
    kind = _KIND[row["correlation"]].format(tolerance=row["tolerance_ps"])
    definition = f"{row['correlation']}: {meaning}, {kind}"
    why: Doubt = row["doubt"]
    species, events = _named(row, several), row["departures"]
    time = described(
        f"{name}_time_{row['correlation']}_ps",
        species,
        row["tau_ps"],
        row["error"],
        "ps",
        events,
        freedom_of(row["error"], row["jackknife_freedom"], events),
        f"1/e time; {definition}",
        why or row["few"],
    )
    if row["state"] in ("CIP", "AGG"):
        return [time]
    no_integral = why if why and why.kind is not Kind.NO_CROSSING else Doubt(Kind.FLAT_TAIL)
    integral = described(
        f"{name}_integral_{row['correlation']}_ps",
        species,
        row["integral_ps"],
        row["integral_error"],
        "ps",
        events,
        freedom_of(row["integral_error"], row["jackknife_freedom"], events),
        f"integral of the excess over C at random ({row['random']:.2g}); {definition}",
        row["few"] if np.isfinite(row["integral_ps"]) else no_integral,
    )
    return [time, integral]


def _exchange(
    found: list[tuple[int, Exchange]], interval_ps: float, n_frames: list[int], several: bool
) -> tuple[list[Descriptor], dict]:
    """Losses per centre and ns, the time between them per contact, and the row of the latter in ``exchange``."""
    first = found[0][1]
    losses = np.concatenate([e.losses for _, e in found])
    observed_ns = np.concatenate([e.centres * (n_frames[i] - 1) * interval_ps / PS_PER_NS for i, e in found])
    # Mean number of contacts × time between the first and the last frame.
    bound_ps = np.concatenate([e.bound * (1 - 1 / n_frames[i]) * interval_ps for i, e in found])
    replica = np.repeat([i for i, _ in found], [len(e.losses) for _, e in found])
    known = rate_and_time(losses, observed_ns, bound_ps, replica)
    breaks = f"breaks up to {first.tolerance_ps:g} ps not counted"
    definitions = (
        f"contacts lost per centre and ns, {breaks}",
        f"mean time until a contact is lost: mean number of contacts × time / losses, {breaks}",
    )
    species = _named({"centre": first.centre, "partner": first.partner}, several)
    row = {
        "centre": first.centre,
        "partner": first.partner,
        "tau_ps": known.time_ps,
        "error": known.time_error,
        **outcome_columns(known.time_doubt, "seen", known.time_ps, known.time_error),
        "losses": known.events,
        "tolerance_ps": first.tolerance_ps,
        "why": known.time_doubt,
    }
    return known.descriptors("exchange", species, definitions), row


@dataclass(frozen=True)
class RateAndTime:
    """How often something happens, and how long each thing that it happens to lasts.

    Attributes:
        rate_per_ns, rate_error, rate_doubt: events over the time watched.
        time_ps, time_error, time_doubt: the time in the state that an event ends, over the events.
        events: their number.
        freedom: degrees of freedom of the jackknife.
    """

    rate_per_ns: float
    rate_error: float
    rate_doubt: Doubt
    time_ps: float
    time_error: float
    time_doubt: Doubt
    events: float
    freedom: float

    def descriptors(self, name: str, species: str, definitions: tuple[str, str]) -> list[Descriptor]:
        """``name_rate_per_ns`` and ``name_time_ps``; ``definitions`` are those of the two."""
        rate, time = (freedom_of(error, self.freedom, self.events) for error in (self.rate_error, self.time_error))
        return [
            described(
                *(f"{name}_rate_per_ns", species, self.rate_per_ns, self.rate_error, "1/ns", self.events, rate),
                *(definitions[0], self.rate_doubt),
            ),
            described(
                *(f"{name}_time_ps", species, self.time_ps, self.time_error, "ps", self.events, time),
                *(definitions[1], self.time_doubt),
            ),
        ]


def rate_and_time(
    losses: np.ndarray, observed_ns: np.ndarray, bound_ps: np.ndarray, replica: np.ndarray
) -> RateAndTime:
    """Rate and mean time of losses counted by groups, with jackknife errors; with none, what that excludes.

    Args:
        losses: (n_groups,) events.
        observed_ns: (n_groups,) centres × time watched.
        bound_ps: (n_groups,) contacts × time watched.
        replica: (n_groups,) the run of each group.
    """
    losses, total = losses.astype(float), float(losses.sum())
    nothing = float("nan")
    if not observed_ns.sum() > 0.0:
        none = Doubt(Kind.SINGLE_FRAME)
        return RateAndTime(nothing, nothing, none, nothing, nothing, none, total, nothing)
    if total == 0:
        # With no event, a Poisson process has a rate below 3 / time with 95 % confidence.
        below = Doubt(Kind.NO_LOSS_RATE, n=float(3.0 / observed_ns.sum()))
        above = Doubt(Kind.NO_LOSS_TIME, n=float(bound_ps.sum() / 3.0))
        return RateAndTime(0.0, nothing, below, nothing, nothing, above, total, nothing)
    with np.errstate(invalid="ignore", divide="ignore"):
        rate, rate_error, _ = _number(np.divide, losses, observed_ns, replica)
        time, time_error, freedom = _number(np.divide, bound_ps, losses, replica)
    why = _few(total)
    outcome = why if np.isfinite(time_error) else Doubt(Kind.ONE_GROUP)
    return RateAndTime(rate, rate_error, why, time, time_error, outcome, total, freedom)


def _run_length(rows: list[dict], run_ps: float, atoms: AtomTable, several: bool) -> list[Descriptor]:
    """How many residence times of each anion the shortest run lasts."""
    anions = {s.name for s in atoms.species if s.role == "anion" or s.charge < 0}
    found = []
    for row in rows:
        if row["partner"] not in anions or (row["state"], row["correlation"]) != ("contact", "intermittent"):
            continue
        tau, error, which = row["tau_ps"], row["error"], "1/e"
        if np.isnan(tau) and np.isfinite(row["integral_ps"]):
            tau, error, which = row["integral_ps"], row["integral_error"], "integral"
        method = f"length of the shortest run over the intermittent residence time ({which})"
        why = row["doubt"] if np.isnan(tau) else row["few"]
        species, events = _named(row, several), row["departures"]
        times, times_error = run_ps / tau, run_ps * error / tau**2
        known = events, freedom_of(times_error, row["jackknife_freedom"], events)
        found.append(described("run_length_in_residence_times", species, times, times_error, "1", *known, method, why))
    return found


def _tables(rows: list[dict], curves: list[pd.DataFrame]) -> dict[str, pd.DataFrame]:
    columns = ["centre", "partner", "state", "correlation", "tau_ps", "error", *OUTCOME, "integral_ps"]
    columns += ["integral_error", "random", "tolerance_ps", "departures"]
    times = pd.DataFrame(rows, columns=columns)
    blank = pd.DataFrame(columns=["centre", "partner", "state", "correlation", "t_ps", "c", "c_error"])
    points = pd.concat(curves, ignore_index=True) if curves else blank
    tables = {}
    for name, table in (("residence", times), ("residence_curves", points)):
        contact = table["state"] == "contact"
        tables[name] = table[contact].drop(columns="state").reset_index(drop=True)
        tables[name.replace("residence", "residence_states")] = table[~contact].reset_index(drop=True)
    return tables


def _account(found: Findings) -> Account:
    results = []
    for number, fold in enumerate(found.folds[Residence, 0.0], start=1):
        try:
            results.append(fold.result())
        except LmbmdError as error:
            return _not_computed(f"Replica {number}: {error}")
    try:
        return lifetimes_account(results, found.setting.atoms)
    except LmbmdError as error:
        return _not_computed(str(error))


def _not_computed(why: str) -> Account:
    return Account(notes=[{"topic": "statistics", "text": f"Lifetimes were not computed. {why}"}])


FAMILY = Family(
    account=_account, folds={Residence: lambda setting, replica: Residence(setting.atoms)}, radius_errors=True
)
