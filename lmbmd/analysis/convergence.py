"""Is the run long enough to believe? Stated rules, a table of them, and plain sentences.

Theory: docs/theory/convergence.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import pandas as pd

from lmbmd.numbers.compare import holm
from lmbmd.numbers.doubt import Doubt, Kind
from lmbmd.numbers.drift import Stationarity, stationarity
from lmbmd.numbers.estimate import estimate_mean, independent_samples, p_replicas_agree

#: Shorter runs are never called long enough, whatever the tests say: contacts of Li⁺ last 0.1–10 ns, and a run
#: that never saw one end cannot know it.
LEAST_RUN_NS = 5.0
#: The run must last this many times the longest residence time of an anion.
RESIDENCE_TIMES = 10.0
#: Fewer centres, replicas or independent samples than these are said out loud.
LEAST_CENTRES = 20
LEAST_REPLICAS = 3
LEAST_SAMPLES = 10.0
#: Probability that a state point whose series are all stationary, and the same in all replicas, is called "not
#: converged": all its tests are one family, corrected for their number by Holm's method.
FAMILY_LEVEL = 0.05
#: More molecules of a diluent per centre than this are contacts that a diluent should not have, and are asked about.
DILUENT_CN = 0.05

#: Verdicts from worst to best.
VERDICTS = ("too short", "not converged", "borderline", "long enough")

_OPENING = {
    "too short": "This run is too short to be converged: its averages still depend on the initial configuration.",
    "not converged": "This run is not converged: at least one quantity still changes or is known from too few events.",
    "borderline": "This run is long enough for some numbers and not for others, see below.",
    "long enough": "No sign was found that this run is too short.",
}


@dataclass(frozen=True)
class Check:
    """One rule applied to one thing (``about``: a species or a watched quantity).

    ``verdict`` is what it says on its own, ``text`` a sentence for the reader.

    ``p_value`` is that of a test, ``p_corrected`` the same corrected for the number of tests (Holm).
    """

    kind: str
    about: str
    value: float
    threshold: float
    verdict: str
    text: str
    p_value: float = float("nan")
    p_corrected: float = float("nan")

    @property
    def rule(self) -> str:
        """The rule in words."""
        return RULES[self.kind].format(about=_words(self.about))


_ABBREVIATED = {"cn": "CN", "cip": "CIP", "agg": "AGG"}
_TITLES = {"density_g_cm3": "density"}
#: What each kind of rule is called.
RULES = {
    "length": "run length, ns",
    "residence": "run length in residence times of {about}",
    "samples": "independent samples of {about}",
    "drift": "drift of {about}",
    "agreement": "replicas agree in {about}",
    "diluent": "contacts of {about}",
    "centres": "number of {about}",
    "replicas": "replicas",
}
#: Outcomes that say that contacts were not seen to end.
_STUCK = (Kind.NOT_DECAYED, Kind.RUN_TOO_SHORT)


def convergence(
    run_ns: Sequence[float],
    n_centres: int,
    centre: str,
    series: Mapping[str, Sequence[np.ndarray]],
    residence_times: Mapping[str, tuple[float, Doubt]],
    diluents: Mapping[str, tuple[float, Doubt]] | None = None,
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
        ``convergence`` (rule in words, kind, about, value, threshold, verdict, text, p_value, p_corrected: of a test,
        alone and as one of all tests).
    """
    checks = [
        _length(min(run_ns)),
        *(_residence(anion, *found) for anion, found in residence_times.items()),
        *_quantities(series),
        *_amount(n_centres, centre, len(run_ns)),
    ]
    too_short = any(c.verdict == "too short" for c in checks)
    checks += [_diluent(name, centre, *found, too_short) for name, found in (diluents or {}).items()]
    overall = min((c.verdict for c in checks), key=VERDICTS.index)
    notes = [{"topic": "convergence", "verdict": overall, "text": _OPENING[overall]}]
    notes += [
        {"topic": "convergence", "verdict": c.verdict, "text": c.text} for c in checks if c.verdict != "long enough"
    ]
    columns = ["rule", *(field.name for field in fields(Check))]
    return notes, pd.DataFrame([[getattr(c, name) for name in columns] for c in checks], columns=columns)


def _words(name: str) -> str:
    """A watched quantity in words; names of species stay as they are."""
    return _TITLES.get(name) or " ".join(_ABBREVIATED.get(word, word) for word in name.split("_"))


def _length(run_ns: float) -> Check:
    enough = run_ns >= LEAST_RUN_NS
    text = f"The shortest run samples {run_ns:.3g} ns; below {LEAST_RUN_NS:g} ns no run is called long enough."
    return Check("length", "", run_ns, LEAST_RUN_NS, "long enough" if enough else "too short", text)


def _residence(anion: str, times: float, outcome: Doubt) -> Check:
    if np.isnan(times):
        # An exchange faster than the frame interval is not resolved, and is certainly sampled.
        verdicts = {**dict.fromkeys(_STUCK, "too short"), Kind.NOT_RESOLVED: "long enough"}
        verdict = verdicts.get(outcome.kind, "borderline")
        text = f"The residence time of {anion} could not be measured ({outcome})."
    else:
        verdict = "long enough" if times >= RESIDENCE_TIMES else "too short"
        text = (
            f"The shortest run lasts {times:.3g} residence times of {anion}; {RESIDENCE_TIMES:g} are needed before the "
            "pairs it started with are forgotten."
        )
    return Check("residence", anion, times, RESIDENCE_TIMES, verdict, text)


def _diluent(name: str, centre: str, cn: float, outcome: Doubt, too_short: bool) -> Check:
    """Whether diluents in the first shell may still be those that the packing put there."""
    stuck, there = outcome.kind in _STUCK, f"the {cn:.2g} {name} per {centre}"
    verdict = "too short" if too_short else "borderline"
    if not cn > DILUENT_CN or not (stuck or too_short):
        verdict, text = "long enough", f"No sign was found that {there} are left from the packing."
    elif stuck:
        text = (
            f"The packing may have put {there} there, and the run is too short to say whether they leave ({outcome})."
        )
    else:
        text = f"The run is too short to say whether {there} belong there or were put there by the packing."
    return Check("diluent", name, cn, DILUENT_CN, verdict, text)


@dataclass(frozen=True)
class _Watched:
    """What is asked of one series: independent samples, and the p-values of its tests (NaN: not asked)."""

    quantity: str
    name: str
    title: str
    constant: bool
    mean: float
    samples: float
    drift: Stationarity
    p_agree: float

    @classmethod
    def of(cls, quantity: str, values: Sequence[np.ndarray]) -> _Watched:
        words = _words(quantity)
        mean, drift = estimate_mean(values), stationarity(values)
        constant = mean.source == "constant"
        samples = mean.n_effective if constant else independent_samples(values)
        p_agree = float("nan") if constant else p_replicas_agree(values)
        if samples < LEAST_SAMPLES:
            drift = replace(drift, p_value=float("nan"))
        return cls(quantity, words, words[0].upper() + words[1:], constant, mean.value, samples, drift, p_agree)


def _quantities(series: Mapping[str, Sequence[np.ndarray]]) -> list[Check]:
    """Independent samples of each series and, if there are enough to ask, whether it drifts and its replicas agree.

    Both tests of all series are one family, so that a study is not called "not converged" for having many series.
    """
    watched = [_Watched.of(name, values) for name, values in series.items()]
    corrected = holm([p for w in watched for p in (w.drift.p_value, w.p_agree)]).reshape(-1, 2)
    return [check for w, p in zip(watched, corrected, strict=True) for check in _quantity(w, *p)]


def _quantity(w: _Watched, p_drift: float, p_agree: float) -> list[Check]:
    """The checks of one series from its p-values, corrected for the number of tests."""
    if w.constant:
        # A fraction of zero is an answer; any other value that never changes may just be stuck.
        verdict = "long enough" if w.mean == 0 else "borderline"
        return [Check("drift", w.quantity, w.drift.drift, np.nan, verdict, f"{w.title} never changed.")]
    text = f"{w.title} rests on {w.samples:.1f} independent samples; an error bar needs {LEAST_SAMPLES:g}."
    few = w.samples < LEAST_SAMPLES
    checks = [Check("samples", w.quantity, w.samples, LEAST_SAMPLES, "not converged" if few else "long enough", text)]
    told = {"p_value": w.drift.p_value, "p_corrected": p_drift}
    if few:
        pass  # a drift of so few samples means nothing
    elif w.drift.stationary is None:
        drift = f"Whether {w.name} drifts could not be determined ({w.drift.doubt})."
        checks.append(Check("drift", w.quantity, w.drift.drift, np.nan, "borderline", drift))
    elif p_drift >= FAMILY_LEVEL:
        drift = f"No drift is seen in {w.name} ({_p(p_drift)})."
        checks.append(Check("drift", w.quantity, w.drift.drift, np.nan, "long enough", drift, **told))
    else:
        drift = f"{w.title} drifts by {w.drift.drift:+.2g} over the run ({_p(p_drift)})."
        checks.append(Check("drift", w.quantity, w.drift.drift, np.nan, "not converged", drift, **told))
    if np.isfinite(p_agree):
        agree = p_agree >= FAMILY_LEVEL
        text = f"Replicas agree in {w.name}" if agree else f"Replicas disagree in {w.name} beyond chance"
        verdict = "long enough" if agree else "not converged"
        told = {"p_value": w.p_agree, "p_corrected": p_agree}
        checks.append(Check("agreement", w.quantity, np.nan, np.nan, verdict, f"{text} ({_p(p_agree)}).", **told))
    return checks


def _p(corrected: float) -> str:
    return f"p = {corrected:.2g}, corrected for the number of tests"


def _amount(n_centres: int, centre: str, n_replicas: int) -> list[Check]:
    many = "long enough" if n_centres >= LEAST_CENTRES else "borderline"
    several = "long enough" if n_replicas >= LEAST_REPLICAS else "borderline"
    text = f"The box holds {n_centres} {centre}; with fewer than {LEAST_CENTRES} a rare shell or a large cluster"
    packings = "There is 1 replica" if n_replicas == 1 else f"There are {n_replicas} replicas"
    packings = f"{packings}; only {LEAST_REPLICAS} or more independent packings can show that a run is stuck"
    return [
        Check("centres", centre, n_centres, LEAST_CENTRES, many, f"{text} cannot show itself."),
        Check("replicas", "", n_replicas, LEAST_REPLICAS, several, f"{packings} where it started."),
    ]
