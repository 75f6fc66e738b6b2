"""How often the error bars hold the truth, on series whose mean and correlation are known.

    lmbmd validate error-bars [--trials 1000]

prints the table of docs/theory/statistics.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
from scipy import signal

from lmbmd.numbers.compare import interval
from lmbmd.numbers.drift import stationarity
from lmbmd.numbers.estimate import estimate_mean


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


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "lmbmd validate error-bars", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1000, help="series of each kind")
    trials = parser.parse_args(arguments).trials
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
