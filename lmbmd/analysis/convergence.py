"""Is the run long enough to believe? Stated rules, a table of them, and plain sentences.

Theory: docs/theory/convergence.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lmbmd.formulation.composition import scarcity
from lmbmd.numbers.drift import stationarity
from lmbmd.numbers.estimate import estimate_mean

#: Shorter runs are never called long enough, whatever the tests say: contacts of Li⁺ last 0.1–10 ns, and a run
#: that never saw one end cannot know it.
LEAST_RUN_NS = 5.0
#: The run must last this many times the longest residence time of an anion.
RESIDENCE_TIMES = 10.0
#: Fewer centres, replicas or independent samples than these are said out loud.
LEAST_CENTRES = 20
LEAST_REPLICAS = 3
LEAST_SAMPLES = 10.0
#: More molecules of a diluent per centre than this are contacts that a diluent should not have, and are asked about.
DILUENT_CN = 0.05

#: Verdicts from worst to best.
VERDICTS = ("too short", "not converged", "borderline", "long enough")

_OPENING = {
    "too short": "This run is too short to be converged: its numbers show how the box started, not the liquid.",
    "not converged": "This run is not converged: at least one quantity still changes or is known from too few events.",
    "borderline": "This run is long enough for some numbers and not for others, see below.",
    "long enough": "No sign was found that this run is too short.",
}


@dataclass(frozen=True)
class Check:
    """One rule applied: ``verdict`` is what it says on its own, ``text`` a sentence for the reader."""

    rule: str
    value: float
    threshold: float
    verdict: str
    text: str


def convergence(
    run_ns: Sequence[float],
    n_centres: int,
    centre: str,
    series: Mapping[str, Sequence[np.ndarray]],
    residence_times: Mapping[str, tuple[float, str]],
    diluents: Mapping[str, tuple[float, str]] | None = None,
) -> tuple[list[dict[str, str]], pd.DataFrame]:
    """Judge a state point.

    Args:
        run_ns: sampled time of each replica.
        n_centres: primary centres in one box.
        centre: their species.
        series: quantities whose stationarity matters, one array per replica.
        residence_times: anion → (run length in residence times, outcome); a NaN has its reason in the outcome.
        diluents: diluent → (CN, outcome of measuring the residence time of its contacts).

    Returns:
        notes of topic "convergence", the overall verdict first, each with its ``verdict``; the table
        ``convergence`` (rule, value, threshold, verdict, text).
    """
    checks = [
        _length(min(run_ns)),
        *(_residence(anion, *found) for anion, found in residence_times.items()),
        *(check for name, values in series.items() for check in _quantity(name, values)),
        *_amount(n_centres, centre, len(run_ns)),
    ]
    too_short = any(c.verdict == "too short" for c in checks)
    checks += [_diluent(name, centre, *found, too_short) for name, found in (diluents or {}).items()]
    overall = min((c.verdict for c in checks), key=VERDICTS.index)
    notes = [{"topic": "convergence", "verdict": overall, "text": _OPENING[overall]}]
    notes += [
        {"topic": "convergence", "verdict": c.verdict, "text": c.text} for c in checks if c.verdict != "long enough"
    ]
    columns = ["rule", "value", "threshold", "verdict", "text"]
    return notes, pd.DataFrame([[getattr(c, name) for name in columns] for c in checks], columns=columns)


def _length(run_ns: float) -> Check:
    enough = run_ns >= LEAST_RUN_NS
    text = f"The shortest run samples {run_ns:.3g} ns; below {LEAST_RUN_NS:g} ns no run is called long enough."
    return Check("run length, ns", run_ns, LEAST_RUN_NS, "long enough" if enough else "too short", text)


def _residence(anion: str, times: float, outcome: str) -> Check:
    if np.isnan(times):
        # An exchange faster than the frame interval is not resolved, and is certainly sampled.
        verdicts = {"not decayed": "too short", "not resolved": "long enough"}
        verdict = next((v for start, v in verdicts.items() if outcome.startswith(start)), "borderline")
        text = f"The residence time of {anion} could not be measured ({outcome})."
    else:
        verdict = "long enough" if times >= RESIDENCE_TIMES else "too short"
        text = (
            f"The shortest run lasts {times:.3g} residence times of {anion}; {RESIDENCE_TIMES:g} are needed before the "
            "pairs it started with are forgotten."
        )
    return Check(f"run length in residence times of {anion}", times, RESIDENCE_TIMES, verdict, text)


def _diluent(name: str, centre: str, cn: float, outcome: str, too_short: bool) -> Check:
    """Whether diluents in the first shell may still be those that the packing put there."""
    stuck, there = outcome.startswith("not decayed"), f"the {cn:.2g} {name} per {centre}"
    verdict = "too short" if too_short else "borderline"
    if not cn > DILUENT_CN or not (stuck or too_short):
        verdict, text = "long enough", f"No sign was found that {there} are left from the packing."
    elif stuck:
        why = outcome.partition(": ")[2]
        text = f"The packing may have put {there} there: their contacts did not decay ({why}), and the run is too short"
        text = f"{text} to say whether they leave."
    else:
        text = f"The run is too short to say whether {there} belong there or were put there by the packing."
    return Check(f"contacts of {name}", cn, DILUENT_CN, verdict, text)


def _quantity(name: str, values: Sequence[np.ndarray]) -> list[Check]:
    """Number of independent samples and, if there are enough to ask, stationarity of one series."""
    words = " ".join(
        {"cn": "CN", "cip": "CIP", "agg": "AGG"}.get(word, word) for word in name.removesuffix("_g_cm3").split("_")
    )
    title = words[0].upper() + words[1:]
    test, mean = stationarity(values), estimate_mean(values)
    if mean.source == "constant":
        # A fraction of zero is an answer; any other value that never changes may just be stuck.
        verdict = "long enough" if mean.value == 0 else "borderline"
        return [Check(f"drift of {words}", test.drift, np.nan, verdict, f"{title} never changed.")]
    rule, samples = f"independent samples of {words}", mean.n_effective
    text = f"{title} rests on {samples:.1f} independent samples; an error bar needs {LEAST_SAMPLES:g}."
    if samples < LEAST_SAMPLES:
        return [Check(rule, samples, LEAST_SAMPLES, "not converged", text)]
    if test.stationary is None:
        verdict, drift = "borderline", f"Whether {words} drifts cannot be told"
        drift = f"{drift} ({test.reason.removeprefix('cannot tell: ')})."
    elif test.stationary:
        verdict, drift = "long enough", f"No drift is seen in {words} (p = {test.p_value:.2g})."
    else:
        verdict = "not converged"
        drift = f"{title} drifts by {test.drift:+.2g} over the run (p = {test.p_value:.1g})."
    return [
        Check(rule, samples, LEAST_SAMPLES, "long enough", text),
        Check(f"drift of {words}", test.drift, np.nan, verdict, drift),
    ]


def _amount(n_centres: int, centre: str, n_replicas: int) -> list[Check]:
    many = "long enough" if n_centres >= LEAST_CENTRES else "borderline"
    several = "long enough" if n_replicas >= LEAST_REPLICAS else "borderline"
    text = f"The box holds {n_centres} {centre}; with fewer than {LEAST_CENTRES} a rare shell or a large cluster"
    packings = "There is 1 replica" if n_replicas == 1 else f"There are {n_replicas} replicas"
    packings = f"{packings}; only {LEAST_REPLICAS} or more independent packings can show that a run is stuck"
    return [
        Check(f"number of {centre}", n_centres, LEAST_CENTRES, many, f"{text} cannot show itself."),
        Check("replicas", n_replicas, LEAST_REPLICAS, several, f"{packings} where it started."),
    ]


def few_molecules(counts: Mapping[str, int]) -> list[dict[str, str]]:
    """A note for every species in the box with few molecules, or too few to speak of statistics at all."""
    told = (scarcity(name, n) for name, n in counts.items() if n)
    return [{"topic": "statistics", "text": sentence} for sentence in told if sentence]
