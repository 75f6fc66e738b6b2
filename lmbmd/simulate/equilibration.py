"""When a run has equilibrated: a test of two series, the same for every run."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmbmd.numbers.estimate import estimate_mean

#: A drift within this many of its standard errors is none.
SIGMAS = 2.0
#: The density's drift must also be known this well, relative to the mean: a short or slow series cannot pass.
RESOLUTION = 0.005
#: Statistically independent samples wanted in each half.
LEAST_SAMPLES = 5.0


@dataclass(frozen=True)
class Drift:
    """How much the mean of a series changed between the two halves of its window.

    Attributes:
        mean: over the window.
        change: mean of the second half less that of the first.
        error: standard error of ``change``.
        n_effective: independent samples in the poorer half.
    """

    mean: float
    change: float
    error: float
    n_effective: float

    @property
    def stationary(self) -> bool:
        """No change beyond ``SIGMAS`` standard errors, seen with enough independent samples."""
        return self.n_effective >= LEAST_SAMPLES and abs(self.change) <= SIGMAS * self.error


def drift(series: Sequence[float] | np.ndarray) -> Drift:
    """Compare the two halves of a series, equally spaced in time.

    Each half's mean and its standard error are those of ``lmbmd.numbers.estimate``. Correlations are measured about
    the mean of each half, so that the drift itself does not count as noise between the halves.
    """
    x = np.asarray(series, dtype=float)
    half = len(x) // 2
    if half < 2:
        return Drift(float(x.mean()) if len(x) else float("nan"), 0.0, float("inf"), 0.0)
    first, second = (estimate_mean([part]) for part in (x[len(x) - 2 * half : len(x) - half], x[len(x) - half :]))
    error = float(np.hypot(first.error, second.error))
    return Drift(float(x.mean()), second.value - first.value, error, min(first.n_effective, second.n_effective))


@dataclass(frozen=True)
class Verdict:
    """Whether equilibration has ended, and on what grounds."""

    stationary: bool
    density: Drift
    potential: Drift
    reason: str


def judge(density_g_cm3: Sequence[float], potential_kJ_mol: Sequence[float]) -> Verdict:
    """Whether density and potential energy are stationary over the later half of the equilibration so far.

    Both series must show no drift beyond two standard errors between the two quarters, with five independent samples
    in each, and the drift of the density must be known to 0.5 % of its mean. This ends an equilibration; it does not
    prove that slow modes, such as the exchange of ion pairs, have relaxed.
    """
    window = slice(len(density_g_cm3) // 2, None)
    density, potential = drift(density_g_cm3[window]), drift(potential_kJ_mol[window])
    faults = []
    for name, unit, d in (("density", "g/cm³", density), ("potential energy", "kJ/mol", potential)):
        if d.n_effective < LEAST_SAMPLES:
            faults.append(f"only {d.n_effective:.1f} independent samples of the {name} in half of the window")
        elif not d.stationary:
            faults.append(f"the {name} still changes by {_with_error(d.change, d.error)} {unit}")
    if not faults and density.error > RESOLUTION * abs(density.mean):
        faults.append(f"the density's drift is known to ± {density.error:.2g} g/cm³ only")
    return Verdict(not faults, density, potential, "; ".join(faults) or "density and potential energy are stationary")


def _with_error(value: float, error: float) -> str:
    """A signed change, ended at the second significant digit of its error: ``"-280 ± 100"``."""
    if not 0 < error < math.inf:
        return f"{value:+.3g}"
    places = 1 - math.floor(math.log10(float(f"{error:.1e}")))
    return f"{round(value, places):+.{max(places, 0)}f} ± {round(error, places):.{max(places, 0)}f}"
