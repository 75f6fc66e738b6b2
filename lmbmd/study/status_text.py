"""How far a study is, as lines for a terminal, and what a finished `snakemake` run says last."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from lmbmd.core.words import aligned, counted, listed
from lmbmd.study.status import Failure, RunStatus, State, StudyStatus

#: Runs that are listed before those of which nothing new is to be told are only counted; and failures.
MOST_RUNS, MOST_FAILURES = 60, 20
_WIDTH = 110
#: What each state means where its name does not say all.
_MEANING = {
    State.BUILDING: "its box is being packed, or waits for that in a queue",
    State.QUEUED: "given to the batch system, or about to begin",
    State.STOPPED: "kept at its last checkpoint; `snakemake` goes on from there",
    State.SIMULATED: "finished, and not analysed yet",
    State.ANALYSING: "its contacts, scattering, energies, numbers or page are being made, or wait for that in a queue",
}
#: Of these a long list is shortened to their number.
_QUIET = (State.WAITING, State.SIMULATED, State.ANALYSED, State.REPORTED)


def status_text(found: StudyStatus, states: Collection[State] = (), *, whole: bool = False) -> str:
    """A table of runs, what failed, and how much is spent and left.

    Args:
        states: list only runs in these; all by default.
        whole: list every run, however many there are.
    """
    runs = [run for run in found.runs if not states or run.state in states]
    told = runs if whole or len(runs) <= MOST_RUNS else [run for run in runs if run.state not in _QUIET]
    lines = [f"{found.study}: {counted(len(found.runs), 'run')}: {counts(found.runs)}"]
    if told:
        lines += ["", *_table(told)]
    if len(told) < len(runs):
        lines += _wrapped(
            f"{counted(len(runs) - len(told), 'other run' if told else 'run')}: `lmbmd status --all` lists every one."
        )
    lines += [f"{state}: {_MEANING[state]}" for state in found.counts if state in _MEANING]
    if any(run.is_changed for run in found.runs):
        lines += ["* simulated with other physics than the study asks for now: `lmbmd why NAME` says what differs"]
    if found.failures and (not states or State.FAILED in states):
        lines += ["", *failure_lines(found.failures)]
    return "\n".join([*lines, "", *_hours(found)])


def counts(runs: Sequence[RunStatus]) -> str:
    """How many of these runs are in each state, in words and in the order of the states."""
    found = Counter(run.state for run in runs)
    return listed([f"{found[state]} {state}" for state in State if found[state]]) if runs else "none"


def failure_lines(failures: Sequence[Failure]) -> list[str]:
    """Each failure: which job, why and what to do, and where all of its messages are."""
    lines = [f"{counted(len(failures), 'job')} failed:"]
    for one in failures[:MOST_FAILURES]:
        lines += _wrapped(f"{job_name(one)}: {why(one)}", first="  ", then="    ")
        lines.append(f"    all messages: {one.log}")
    if len(failures) > MOST_FAILURES:
        lines.append(f"  and {len(failures) - MOST_FAILURES} more: `lmbmd status --json` has all")
    return lines


def job_name(failure: Failure) -> str:
    """Which job, in words."""
    return f"{failure.rule} of {failure.job}" if failure.job else failure.rule


def why(failure: Failure) -> str:
    """The message that a job ended with: what is wrong, where, and what to do about it."""
    return failure.why or "it ended without a message: it was killed, or the machine ran out of memory."


def closing_text(found: StudyStatus) -> str:
    """What a `snakemake` run says last: what failed, and which page to open."""
    lines = failure_lines(found.failures) if found.failures else []
    unfinished = sum(run.state != State.REPORTED for run in found.runs)
    if unfinished:
        lines.append(f"{counted(len(found.runs), 'run')}: {counts(found.runs)}. `lmbmd status` lists them.")
        lines.append(
            "`lmbmd index` makes a page of what is finished; `snakemake` goes on, and tries failed jobs again."
        )
    if found.page:
        lines.append(f"Open {Path(found.page).absolute()} in a browser.")
    return "\n".join(lines)


def _table(runs: Sequence[RunStatus]) -> list[str]:
    rows = [
        (
            run.formulation + "*" * run.is_changed,
            run.temperature,
            f"r{run.replica}" + (f" t{run.segment}" if run.segment else ""),
            str(run.state),
            _done(run),
            f"{run.ns_per_day:.3g}" if run.ns_per_day else "",
            _left(run),
            run.host,
        )
        for run in runs
    ]
    columns = ("formulation", "K", "run", "state", "ns done", "ns/day", "time left", "on")
    used = [i for i, name in enumerate(columns) if i < 5 or any(row[i] for row in rows)]
    kept = [[row[i] for i in used] for row in (columns, *rows)]
    return aligned(kept[0], kept[1:], left=[n for n, i in enumerate(used) if i in (0, 2, 3, 4, 7)])


def _done(run: RunStatus) -> str:
    """How much of the production is done or, before it begins, of what comes before it."""
    if (run.stage and run.stage != "produce") or run.state == State.EQUILIBRATING:
        return f"{run.equilibrated_ns:.3g} of {run.equilibration_ns:g} or more (equilibration)"
    return f"{run.produced_ns:.4g} of {run.asked_ns:g}"


def _left(run: RunStatus) -> str:
    """Of a run that goes on: wall time to its end, in the largest unit."""
    if run.left_h is None or run.state not in (State.EQUILIBRATING, State.PRODUCING):
        return ""
    return ("" if run.stage == "produce" else "≥ ") + time_text(run.left_h)


def time_text(hours: float) -> str:
    """Hours as people say them: ``"4 min"``, ``"3.2 h"``, ``"2.5 d"``."""
    if hours < 1:
        return f"{max(1, round(60 * hours))} min"
    return f"{hours:.2g} h" if hours < 48 else f"{hours / 24:.3g} d"


def _hours(found: StudyStatus) -> list[str]:
    """What the simulations have cost so far, and what is left."""

    def said(hours: Mapping[str, float]) -> str:
        return listed([f"{f'{h:,.0f}' if h >= 100 else f'{h:.3g}'} {on} hours" for on, h in hours.items()])

    none = "No hours are counted before the first checkpoint of a run."
    lines = [f"Spent on simulations: {said(found.spent_hours)}." if found.spent_hours else none]
    if found.left_hours:
        lines.append(
            f"Left: about {said(found.left_hours)}, at the speed of the runs so far; more where an equilibration takes "
            "longer than it has to."
        )
    if found.without_speed:
        lines.append(
            f"How long {counted(found.without_speed, 'run')} will take is not known before one has begun: "
            "`lmbmd estimate` measures it."
        )
    if found.page:
        lines.append(f"Page: {found.page}")
    return [line for text in lines for line in _wrapped(text)]


def _wrapped(text: str, first: str = "", then: str = "  ") -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=first, subsequent_indent=then, break_long_words=False, break_on_hyphens=False
    )
