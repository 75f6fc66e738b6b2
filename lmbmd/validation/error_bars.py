"""How often the error bars hold the truth, on series and motions whose numbers are known exactly.

    lmbmd validate error-bars [--trials 1000]                        means: the table of docs/theory/statistics.md
    lmbmd validate error-bars --motion [--trials 200] [--only WORD …] [--stacie]
                                        slopes, integrals and mean squares: the tables of
                                        docs/theory/motion_statistics.md and docs/theory/permittivity.md

``--stacie`` asks STACIE (pip install stacie) about the same single series; it takes seconds for each.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy import linalg, signal

from lmbmd.numbers.compare import interval
from lmbmd.numbers.doubt import Kind
from lmbmd.numbers.drift import stationarity
from lmbmd.numbers.estimate import Estimate, estimate_mean
from lmbmd.numbers.fluctuation import mean_square
from lmbmd.numbers.longtime import LongTime, autocorrelation_integral, cross_slopes, long_time_slope
from lmbmd.numbers.sequences import Sequence_, collective, particles, series


def gaussian(rng: np.random.Generator, shape: tuple[int, ...], phi: float) -> np.ndarray:
    """AR(1) with mean 0, variance 1 and autocorrelation phi**k."""
    noise = rng.standard_normal(shape)
    noise[..., 1:] *= np.sqrt(1 - phi**2)
    return signal.lfilter([1.0], [1.0, -phi], noise, axis=-1)


def fraction(rng: np.random.Generator, shape: tuple[int, ...], phi: float, p: float) -> np.ndarray:
    """0/1 Markov chain with mean p and autocorrelation phi**k."""
    state, uniform = np.empty(shape), rng.random(shape)
    state[..., 0] = uniform[..., 0] < p
    for i in range(1, shape[-1]):
        state[..., i] = uniform[..., i] < p + phi * (state[..., i - 1] - p)
    return state


CASES = [  # p (0: Gaussian), phi, frames, replicas
    (0, 0.0, 100, 1),
    (0, 0.9, 40, 1),
    (0, 0.9, 100, 1),
    (0, 0.9, 200, 1),
    (0, 0.9, 400, 1),
    (0, 0.9, 1000, 1),
    (0, 0.98, 1000, 1),
    (0, 0.98, 5000, 1),
    (0, 0.98, 200, 3),
    (0, 0.98, 1000, 3),
    (0, 0.98, 3000, 3),
    (0, 0.9, 400, 5),
    (0.3, 0.9, 1000, 1),
    (0.1, 0.9, 1000, 1),
    (0.1, 0.9, 1000, 3),
    (0.02, 0.9, 1000, 3),
]


# ------------------------------------------------------------------ motion

#: Steps (frames, columns) of independent motions, all alike, and their spectrum at frequency zero.
Steps = Callable[[np.random.Generator, int, int], tuple[np.ndarray, float]]


def memory(rng: np.random.Generator, frames: int, columns: int, tau: float = 5.0) -> tuple[np.ndarray, float]:
    """Steps of variance 1 that remember for a time (Ornstein and Uhlenbeck): ballistic at first."""
    keep = math.exp(-1.0 / tau)
    noise = rng.standard_normal((frames, columns))
    noise[1:] *= math.sqrt(1 - keep**2)
    return signal.lfilter([1.0], [1.0, -keep], noise, axis=0), (1 + keep) / (1 - keep)


def walk(rng: np.random.Generator, frames: int, columns: int) -> tuple[np.ndarray, float]:
    """White steps."""
    return rng.standard_normal((frames, columns)), 1.0


def caged(
    rng: np.random.Generator, frames: int, columns: int, tau: float = 10.0, size: float = 10.0
) -> tuple[np.ndarray, float]:
    """A walk of the centre of a cage in which an Ornstein-Uhlenbeck position rattles: subdiffusive at first."""
    rattle, _ = memory(rng, frames + 1, columns, tau)
    return rng.standard_normal((frames, columns)) + math.sqrt(size) * np.diff(rattle, axis=0), 1.0


def two_times(
    rng: np.random.Generator, frames: int, columns: int, slow: float = 30.0, share: float = 0.3
) -> tuple[np.ndarray, float]:
    """A fast memory and one ten times as slow, which has this share of the whole."""
    a, spectrum = memory(rng, frames, columns, slow / 10.0)
    b, slow_spectrum = memory(rng, frames, columns, slow)
    return a + math.sqrt(share / (1 - share) * spectrum / slow_spectrum) * b, spectrum / (1 - share)


def oscillator(
    rng: np.random.Generator, frames: int, columns: int, omega: float = 0.5, friction: float = 0.3
) -> tuple[np.ndarray, float]:
    """Positions, of variance 1, of a harmonic oscillator in a heat bath, exactly sampled: they swing and decay.

    ⟨x(0) x(t)⟩ = e^(−γt/2) (cos ωt + γ/(2ω) sin ωt) with ω² = ω₀² − γ²/4, whose integral is γ/ω₀²; its sum over
    whole times is a geometric series of complex numbers.
    """
    keep = linalg.expm(np.array([[0.0, 1.0], [-(omega**2), -friction]]))
    still = np.diag([1.0, omega**2])
    kicks = np.linalg.cholesky(still - keep @ still @ keep.T) @ rng.standard_normal((frames, 2, columns))
    state, places = np.sqrt(still) @ rng.standard_normal((2, columns)), np.empty((frames, columns))
    for i in range(frames):
        places[i] = state[0]
        state = keep @ state + kicks[i]
    swing = math.sqrt(omega**2 - 0.25 * friction**2)
    ratio = np.exp(-0.5 * friction + 1j * swing)
    return places, 1.0 + 2.0 * float(((1.0 - 0.5j * friction / swing) * ratio / (1.0 - ratio)).real)


MOTIONS: dict[str, tuple[Steps, float]] = {  # and the slowest time, in steps
    "walk": (walk, 1.0),
    "memory": (memory, 5.0),
    "slow memory": (partial(memory, tau=20.0), 20.0),
    "caged": (caged, 10.0),
    "oscillator": (oscillator, 2 / 0.3),
    "two times": (two_times, 30.0),
    "two times, mostly slow": (partial(two_times, share=0.6), 30.0),
}


def path(steps: np.ndarray, columns: int) -> np.ndarray:
    """Unwrapped positions (frames, columns, 3), at the origin at first, from steps (frames, 3 columns)."""
    steps = steps.reshape(len(steps), columns, 3)
    return np.concatenate([np.zeros((1, columns, 3)), np.cumsum(steps, axis=0)])


@dataclass(frozen=True)
class Told:
    """What was told of a number whose truth is known, both in units of the truth if that is not zero."""

    value: float
    low: float
    high: float
    error: float
    bound: str
    truth: float

    @property
    def holds(self) -> bool:
        return self.low <= self.truth <= self.high


def told(found: LongTime | Estimate, truth: float) -> Told:
    """The interval, or the bound, of a number."""
    known = found if isinstance(found, Estimate) else found.estimate
    bound = "" if isinstance(found, Estimate) else found.bound
    unit = abs(truth) or 1.0
    if bound and isinstance(found, LongTime):
        low, high = (-np.inf, found.limit) if bound == "below" else (found.limit, np.inf)
    else:
        low, high = interval(known)
    return Told(known.value / unit, low / unit, high / unit, known.error / unit, bound, truth / unit)


# ------------------------------------------------------------------ one trial each


def single(name: str, frames: int, sequences: int, stacie: bool, seed: int) -> dict[str, Told]:
    """The slope of one series of vectors."""
    rng = np.random.default_rng(seed)
    steps, truth = zip(*(MOTIONS[name][0](rng, frames, 3) for _ in range(sequences)), strict=True)
    found = {"slope": told(long_time_slope([collective(path(s, 1), 1.0) for s in steps]), 3 * truth[0])}
    return found | (_stacie(np.concatenate(steps, axis=1).T, truth[0]) if stacie else {})


def green_kubo(name: str, frames: int, sequences: int, stacie: bool, seed: int) -> dict[str, Told]:
    """The integral of five components."""
    rng = np.random.default_rng(seed)
    values, truth = zip(*(MOTIONS[name][0](rng, frames, 5) for _ in range(sequences)), strict=True)
    found = {"integral": told(autocorrelation_integral([series(v, 1.0) for v in values]), 0.5 * truth[0])}
    return found | (_stacie(np.concatenate(values, axis=1).T, truth[0]) if stacie else {})


def fluctuation(tau: float, frames: int, sequences: int, seed: int) -> dict[str, Told]:
    """The mean square of three components that forget exponentially, as those of a dipole do."""
    rng = np.random.default_rng(seed)
    known, why = mean_square([memory(rng, frames, 3, tau)[0] for _ in range(sequences)])
    bound = "below" if why.kind is Kind.TOO_SHORT_BELOW else ""
    return {"mean square": told(LongTime(known, bound=bound, limit=why.n, doubt=why), 1.0)}


def _stacie(values: np.ndarray, truth: float) -> dict[str, Told]:
    """What STACIE says to them, with the polynomial that its documentation proposes and with the even one."""
    import stacie

    found = {}
    for degrees in ([0, 1, 2], [0, 2]):
        spectrum = stacie.compute_spectrum(values, prefactors=1.0, timestep=1.0, include_zero_freq=False)
        result = stacie.estimate_acint(spectrum, stacie.ExpPolyModel(degrees))
        known = Estimate(float(result.acint), float(result.acint_std), 1.0, float("inf"))
        found[f"STACIE {degrees}"] = told(known, 0.5 * truth)
    return found


#: Cross spectrum of the steps of cations, anions and solvent; charges +1, −1, 0.
CROSS = np.array([[1.0, 0.4, -0.2], [0.4, 1.5, -0.3], [-0.2, -0.3, 2.0]])
CHARGES = np.array([1.0, -1.0, 0.0])


def crossed(name: str, frames: int, sequences: int, stacie: bool, seed: int) -> dict[str, Told]:
    """The matrix of three series that are correlated, the current of charge, and a transference number."""
    rng = np.random.default_rng(seed)
    root = np.linalg.cholesky(CROSS)
    kept = []
    for _ in range(sequences):
        # One of the three that are mixed moves differently: the spectra of the mixtures have not one shape.
        mixed = [MOTIONS[name if k else "walk"][0](rng, frames, 3) for k in range(3)]
        scaled_steps = [s / math.sqrt(t) for s, t in mixed]
        steps = np.einsum("ab,btk->tak", root, scaled_steps)
        kept.append(collective(path(steps.reshape(frames, 9), 3), 1.0))
    found = cross_slopes(kept)
    charge, cation = np.outer(CHARGES, CHARGES), np.outer([1.0, 0.0, 0.0], CHARGES)
    sigma = CHARGES @ CROSS @ CHARGES
    return {
        "L(+,+)": told(found.quadratic(np.array([1.0, 0, 0])), 3 * CROSS[0, 0]),
        "L(+,−)": told(found.quadratic(np.array([1.0, 0, 0]), np.array([0, 1.0, 0])), 3 * CROSS[0, 1]),
        "σ": told(found.quadratic(CHARGES), 3 * sigma),
        "t+": told(found.ratio(cation, charge), CROSS[0] @ CHARGES / sigma),
        "ionicity": told(found.ratio(charge, np.diag(CHARGES**2)), sigma / (CROSS[0, 0] + CROSS[1, 1])),
    }


#: Part of the variance of an ion's steps that is of its own centre of rattling, and not of its pair's motion.
SLIP = 0.1


def paired(frames: int, sequences: int, seed: int) -> dict[str, Told]:
    """Cations and anions that move as pairs and rattle against each other in a cage that slips slowly."""
    rng = np.random.default_rng(seed)
    kept = []
    for _ in range(sequences):
        (together, _), (apart, _) = walk(rng, frames, 3), caged(rng, frames, 3)
        both = [together + sign * math.sqrt(SLIP) * apart for sign in (1, -1)]
        kept.append(collective(np.concatenate([path(steps, 1) for steps in both], axis=1), 1.0))
    found = cross_slopes(kept)
    cation, anion = np.eye(2)
    return {
        "L(+,+)": told(found.quadratic(cation), 3 * (1 + SLIP)),
        "L(+,−)": told(found.quadratic(cation, anion), 3 * (1 - SLIP)),
        "σ": told(found.quadratic(cation - anion), 12 * SLIP),
        "t+": told(found.ratio(np.outer(cation, cation - anion), np.outer(cation - anion, cation - anion)), 0.5),
    }


def many(kind: str, frames: int, sequences: int, number: int, seed: int) -> dict[str, Told]:
    """The slope of many particles: caged ones that are independent, that move together, or that are unlike."""
    rng = np.random.default_rng(seed)
    kept: list[Sequence_] = []
    for _ in range(sequences):
        steps, truth = caged(rng, frames, 3 * number, size=3.0)
        if kind == "together":
            # Half of the variance of each is common to all.
            common, _ = caged(rng, frames, 3, size=3.0)
            steps = math.sqrt(0.5) * (steps + np.tile(common, number))
        if kind == "unlike":
            steps = steps * np.repeat(np.sqrt(rng.exponential(size=number)), 3)
        kept.append(particles(path(steps, number), 1.0))
    return {"slope": told(long_time_slope(kept), 3 * truth)}


def replicas(name: str, frames: int, sequences: int, stacie: bool, seed: int) -> dict[str, Told]:
    """Runs that differ lastingly, each by a fifth, in two sequences each."""
    rng = np.random.default_rng(seed)
    kept = []
    for k in range(sequences):
        factor = math.sqrt(max(1 + 0.2 * rng.standard_normal(), 0.1))
        for _ in range(2):
            steps, truth = MOTIONS[name][0](rng, frames, 60)
            kept.append(particles(path(factor * steps, 20), 1.0, k))
    return {"slope": told(long_time_slope(kept), 3 * truth)}


@dataclass(frozen=True)
class Case:
    """A kind of trial."""

    words: str
    trial: Callable[[int], dict[str, Told]]


def cases(stacie: bool) -> Iterator[Case]:
    """All of them."""
    for name, (_, tau) in MOTIONS.items():
        for frames, sequences in ((100, 3), (300, 1), (300, 3), (300, 10), (1000, 10)):
            words = f"slope: {name} | {frames / tau:.0f} τ | {sequences} × 3"
            yield Case(words, partial(single, name, frames, sequences, stacie))
    for name in ("memory", "two times", "oscillator"):
        for frames, sequences in ((1000, 1), (1000, 4)):
            words = f"integral: {name} | {frames / MOTIONS[name][1]:.0f} τ | {sequences} × 5"
            yield Case(words, partial(green_kubo, name, frames, sequences, stacie))
    for length, sequences in ((1, 1), (3, 1), (10, 1), (20, 1), (40, 1), (100, 1), (1, 3), (5, 3), (10, 3), (30, 3)):
        words = f"mean square: memory | {length} τ | {sequences} × 3"
        yield Case(words, partial(fluctuation, 20.0, 20 * length, sequences))
    for name in ("walk", "memory", "caged"):
        for frames, sequences in ((300, 3), (1000, 12)):
            words = f"cross: {name} | {frames / MOTIONS[name][1]:.0f} τ | {sequences} × 3"
            yield Case(words, partial(crossed, name, frames, sequences, False))
    for frames, sequences in ((300, 3), (300, 10), (1000, 12)):
        words = f"cross: pairs that rattle | {frames / 10:.0f} τ | {sequences} × 3"
        yield Case(words, partial(paired, frames, sequences))
    for kind in ("independent", "together", "unlike"):
        for frames, sequences, number in ((300, 1, 50), (300, 4, 50), (1000, 4, 10)):
            words = f"particles: {number} {kind} | {frames / 10:.0f} τ | {sequences} × 3"
            yield Case(words, partial(many, kind, frames, sequences, number))
    for number in (3, 5):
        yield Case(f"replicas: walk, unlike | 300 τ | {number} × 2 × 3", partial(replicas, "walk", 300, number, False))


def row(words: str, found: Sequence[Told]) -> str:
    """A line of the table."""
    values = [t for t in found if np.isfinite(t.value)]
    bounds = [t for t in found if t.bound]
    many = lambda of: f"{np.mean(of):.2f}" if len(of) else "–"  # noqa: E731
    text = [many([np.isfinite(t.value) for t in found]), many([t.holds for t in values])]
    if len(values) > 1:
        text.append(f"{np.mean([t.value for t in values]) - values[0].truth:+.3f}")
        text += [f"{np.std([t.value for t in values]):.3f}", f"{np.sqrt(np.mean([t.error**2 for t in values])):.3f}"]
    else:
        text += ["–"] * 3
    text += [many([t.bound != "" for t in found]), many([t.holds for t in bounds])]
    return f"| {words} | " + " | ".join(text) + " |"


def _print_motion(trials: int, only: Sequence[str], stacie: bool) -> None:
    words = "quantity: motion, length, sequences × axes, number, value, 95 % holds, bias, scatter, stated error"
    columns = [*words.split(", "), "bound", "bound holds"]
    print("|", " | ".join(columns), "|")
    print("|---" * len(columns) + "|")
    with ProcessPoolExecutor(2) as pool:
        for case in cases(stacie):
            if not any(word in case.words for word in only):
                continue
            found = list(pool.map(case.trial, range(trials), chunksize=5))
            for number in found[0]:
                print(row(f"{case.words} | {number}", [trial[number] for trial in found]), flush=True)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "lmbmd validate error-bars", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1000, help="series of each kind")
    parser.add_argument("--motion", action="store_true", help="of slopes at long times, integrals and mean squares")
    parser.add_argument("--only", nargs="+", default=[""], metavar="WORD", help="motions whose words hold one of these")
    parser.add_argument("--stacie", action="store_true", help="ask STACIE about single series, too")
    args = parser.parse_args(arguments)
    trials = args.trials
    if args.motion:
        return _print_motion(trials, args.only, args.stacie)
    rng = np.random.default_rng(2024)
    columns = ("series", "frames × replicas", "n exact", "n found", "±1 error", "±1.96 errors")
    print("|", " | ".join((*columns, "68 %", "95 %", "flagged", "drift")), "|")
    print("|---" * 10 + "|")
    for p, phi, frames, replicas in CASES:
        shape = (trials, replicas, frames)
        series = fraction(rng, shape, phi, p) if p else gaussian(rng, shape, phi)
        found = [estimate_mean(list(x)) for x in series]
        off = np.array([abs(e.value - p) for e in found])
        error = np.array([e.error for e in found])
        inside = [np.mean([a <= p <= b for a, b in (interval(e, level) for e in found)]) for level in (0.6827, 0.95)]
        drift = np.mean([stationarity(list(x)).stationary is False for x in series])
        name = f"fraction {p}, φ = {phi}" if p else f"Gaussian, φ = {phi}"
        print(
            f"| {name} | {frames} × {replicas} | {frames * replicas * (1 - phi) / (1 + phi):.0f} "
            f"| {np.median([e.n_effective for e in found]):.0f} | {np.mean(off <= error):.2f} "
            f"| {np.mean(off <= 1.96 * error):.2f} | {inside[0]:.2f} | {inside[1]:.2f} "
            f"| {np.mean([not e.reliable for e in found]):.2f} | {drift:.3f} |"
        )
