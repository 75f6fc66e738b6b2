"""How a number changes with temperature: Arrhenius, Vogel–Tammann–Fulcher, and the kink of a glass transition.

Theory: docs/theory/temperatures.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy import stats
from scipy.optimize import minimize_scalar

from lmbmd.core.units import GAS_CONSTANT_KJ_MOL_K
from lmbmd.numbers.compare import LEVEL, half_width
from lmbmd.numbers.doubt import SURE, Doubt, Kind
from lmbmd.numbers.estimate import DISAGREEMENT_LEVEL, Estimate, scaled

#: Two points lie on a line whatever the law.
LEAST_TEMPERATURES = 3
#: Three parameters, and two points more, by which a wrong law can be seen.
LEAST_TEMPERATURES_VTF = 5
#: Four parameters, and on either side of the kink a line that is more than two points.
LEAST_TEMPERATURES_KINK = 7
_LEAST_ON_A_SIDE = 3
#: A best kink so near to where it is no longer looked for lies beyond.
_AT_AN_END_K = 0.01


@dataclass(frozen=True)
class Law:
    """ln x = ln A ∓ B / (T − T₀), fitted to the values at several temperatures.

    Attributes:
        log_prefactor: ln A, with A in the unit of x.
        b_K: B, positive where x goes with temperature as it should.
        t0_K: T₀; exactly 0 for the Arrhenius law.
        doubt: why the numbers are missing or not to be relied on.
        temperatures_K: those that were used.
        rises: whether x grows with temperature (B has a minus before it); a viscosity does not.
    """

    log_prefactor: Estimate
    b_K: Estimate
    t0_K: Estimate
    doubt: Doubt
    temperatures_K: tuple[float, ...]
    rises: bool = True

    @property
    def activation_energy_kJ_mol(self) -> Estimate:
        """E = R B of the Arrhenius law. With T₀ > 0 B is no energy of activation."""
        return scaled(self.b_K, GAS_CONSTANT_KJ_MOL_K)

    def at(self, temperature_K: np.ndarray) -> np.ndarray:
        """x by the law at these temperatures; NaN if nothing was fitted."""
        exponent = self.b_K.value / (temperature_K - self.t0_K.value)
        return np.exp(self.log_prefactor.value + (-exponent if self.rises else exponent))


@dataclass(frozen=True)
class Kink:
    """v = c + a (T − Tg) below Tg and c + (a + b) (T − Tg) above it, with b > 0.

    Attributes:
        tg_K: where the two lines meet.
        at_kink: c, in the unit of v.
        below_per_K, above_per_K: the two slopes a and a + b.
        doubt: why the numbers are missing or not to be relied on.
        temperatures_K: those that were used.
    """

    tg_K: Estimate
    at_kink: float
    below_per_K: float
    above_per_K: float
    doubt: Doubt
    temperatures_K: tuple[float, ...]

    def at(self, temperature_K: np.ndarray) -> np.ndarray:
        """v by the two lines; NaN if nothing was fitted."""
        beyond = temperature_K - self.tg_K.value
        return self.at_kink + np.where(beyond < 0.0, self.below_per_K, self.above_per_K) * beyond


def kink(points: Sequence[tuple[float, Estimate]]) -> Kink:
    """Two straight lines that meet, by least squares: the glass transition as the volume shows it.

    Tg is looked for where at least three temperatures are on either side. All points count alike, with the root mean
    square of their errors: weights that are themselves known from few samples make intervals too narrow. The error is
    that of the law made linear at the minimum, widened where the points scatter more than their errors say. There is no
    number if one line fits as well (by the 95 % quantile of F), if the best kink is at an end of that range, or if the
    volume grows less above the kink.

    Args:
        points: temperature in K, and the specific volume there (any unit), with an error above zero.

    Returns:
        The lines; their numbers are NaN if fewer than ``LEAST_TEMPERATURES_KINK`` points are left, or without a kink.
    """
    kept = _sorted((t, x) for t, x in points if x.error > 0.0 and x.degrees_of_freedom > 0.0)
    t, n = kept.temperature_K, len(kept.y)
    missing = Kink(_NONE, math.nan, math.nan, math.nan, SURE, tuple(t.tolist()))
    if n < LEAST_TEMPERATURES_KINK:
        return replace(missing, doubt=Doubt(Kind.FEW_TEMPERATURES, n=n, at=LEAST_TEMPERATURES_KINK))
    shares = kept.error**2 / np.sum(kept.error**2)
    error = math.sqrt(float(np.mean(kept.error**2)))
    kept = replace(kept, error=np.full(n, error))

    def bent(tg: float) -> _Line:
        return _fitted(kept, np.column_stack([np.ones(n), t - tg, np.maximum(t - tg, 0.0)]))

    # The minimum may lie at any place between two temperatures: each interval is looked through.
    edges = t[_LEAST_ON_A_SIDE - 1 : n - _LEAST_ON_A_SIDE + 1]
    found = [
        minimize_scalar(lambda tg: bent(tg).chi2, bounds=(a, b), method="bounded", options={"xatol": 1e-3})
        for a, b in pairwise(edges)
    ]
    tg = float(min(found, key=lambda one: one.fun).x)
    fit = bent(tg)
    c, a, b = (float(x) for x in fit.parameters)
    straight = _fitted(kept, np.column_stack([np.ones(n), t]))
    design = np.column_stack([fit.design, -a - b * (t > tg)])  # the last: derivative by Tg
    scale = max(1.0, fit.chi2 / (n - 4))
    freedom = float(1.0 / np.sum(shares**2 / kept.freedom)) if scale == 1.0 else float(n - 4)
    at_an_end = min(tg - edges[0], edges[-1] - tg) < _AT_AN_END_K
    if at_an_end or b <= 0.0 or straight.chi2 - fit.chi2 < scale * 2.0 * stats.f.ppf(LEVEL, 2, freedom):
        return replace(missing, doubt=Doubt(Kind.NO_KINK, n=n))
    spread = error * math.sqrt(scale * float(np.linalg.inv(design.T @ design)[3, 3]))
    return Kink(Estimate(tg, spread, float(n), freedom), c, a, a + b, kept.doubt_of(fit, 4), missing.temperatures_K)


def has_logarithm(estimate: Estimate) -> bool:
    """Whether a value is told from zero, so that its logarithm has an error: its 95 % interval is above zero."""
    error, freedom = estimate.error, estimate.degrees_of_freedom
    return error > 0.0 and freedom > 0.0 and bool(estimate.value > half_width(error, freedom))


def arrhenius(points: Sequence[tuple[float, Estimate]], rises: bool = True) -> Law:
    """ln x = ln A ∓ E / (R T), by least squares of ln x, weighted by the errors e / x of ln x.

    The errors of A and E follow from those of the points, their degrees of freedom by Welch and Satterthwaite. Where
    the points are further from the line than their errors allow (F test at 1 %), the law does not hold or the errors
    are too small: both errors are widened to the scatter, with n − 2 degrees of freedom, and the doubt says so.

    Args:
        points: temperature in K, and the value there. A value that is not told from zero is left out.
        rises: whether x grows with temperature.

    Returns:
        The law; its numbers are NaN if fewer than ``LEAST_TEMPERATURES`` points are left.

    References:
        Satterthwaite, Biometrics Bull. 2, 110 (1946), doi:10.2307/3002019.
    """
    kept, found = _usable(points, LEAST_TEMPERATURES, rises)
    if found.doubt:
        return found
    fit = _line(kept, 0.0, rises)
    a, b = kept.uncertain(fit.design, fit.chi2, fit.parameters)
    return replace(found, log_prefactor=a, b_K=b, t0_K=_ZERO, doubt=kept.doubt_of(fit))


def vtf(points: Sequence[tuple[float, Estimate]], rises: bool = True) -> Law:
    """ln x = ln A ∓ B / (T − T₀), by weighted least squares: the law of Vogel, Tammann and Fulcher.

    T₀ is looked for between 0 and the lowest temperature; A and B follow from it. Errors are those of the law made
    linear at the minimum, as in ``arrhenius``. If T₀ = 0, the Arrhenius law, fits as well (by the 95 % quantile of F),
    the points do not tell T₀, and no number is given.

    Args:
        points, rises: as for ``arrhenius``.

    Returns:
        The law; its numbers are NaN if fewer than ``LEAST_TEMPERATURES_VTF`` points are left, or if these do not bend.

    References:
        Fulcher, J. Am. Ceram. Soc. 8, 339 (1925), doi:10.1111/j.1151-2916.1925.tb16731.x.
    """
    kept, found = _usable(points, LEAST_TEMPERATURES_VTF, rises)
    if found.doubt:
        return found
    grid = np.linspace(0.0, kept.temperature_K.min() - 1.0, 200)
    best = int(np.argmin([_line(kept, float(t0), rises).chi2 for t0 in grid]))
    around = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, len(grid) - 1)])
    t0 = float(minimize_scalar(lambda t: _line(kept, t, rises).chi2, bounds=around, method="bounded").x)
    fit = _line(kept, t0, rises)
    bend = fit.design[:, 1] * fit.parameters[1] / (kept.temperature_K - t0)  # derivative by T₀
    numbers = kept.uncertain(np.column_stack([fit.design, bend]), fit.chi2, [*fit.parameters, t0])
    scale = kept.scale_of(fit.chi2, 3)
    if _line(kept, 0.0, rises).chi2 - fit.chi2 < scale * stats.f.ppf(LEVEL, 1, numbers[2].degrees_of_freedom):
        return replace(found, doubt=Doubt(Kind.NOT_BENT, n=len(kept.y)))
    return replace(found, log_prefactor=numbers[0], b_K=numbers[1], t0_K=numbers[2], doubt=kept.doubt_of(fit, 3))


_NONE = Estimate(math.nan, math.nan, 0.0)
_ZERO = Estimate(0.0, 0.0, math.nan, math.inf, "exact")


@dataclass(frozen=True, eq=False)
class _Line:
    """A weighted fit of y, linear in its parameters, such as ln x over ∓1 / (T − T₀)."""

    design: np.ndarray
    parameters: np.ndarray
    chi2: float


@dataclass(frozen=True, eq=False)
class _Points:
    """Values, or their logarithms, with their errors and the degrees of freedom of these."""

    temperature_K: np.ndarray
    y: np.ndarray
    error: np.ndarray
    freedom: np.ndarray

    def scale_of(self, chi2: float, n_parameters: int) -> float:
        """Factor on the variances: 1, or where the scatter is beyond chance, what it is beyond the errors."""
        left = len(self.y) - n_parameters
        errors_known = float(1.0 / np.mean(1.0 / self.freedom))
        beyond = stats.f.sf(chi2 / left, left, errors_known) < DISAGREEMENT_LEVEL
        return chi2 / left if beyond else 1.0

    def doubt_of(self, fit: _Line, n_parameters: int = 2) -> Doubt:
        return SURE if self.scale_of(fit.chi2, n_parameters) == 1.0 else Doubt(Kind.NOT_ON_LINE, n=len(self.y))

    def uncertain(self, design: np.ndarray, chi2: float, values: Sequence[float] | np.ndarray) -> list[Estimate]:
        """The parameters with errors, their degrees of freedom after Welch and Satterthwaite."""
        weighted = design / self.error[:, None]
        of_points = np.linalg.pinv(weighted) / self.error  # d parameter / d y
        parts = (of_points * self.error) ** 2
        variance = parts.sum(axis=1)
        freedom = variance**2 / (parts**2 / self.freedom).sum(axis=1)
        scale = self.scale_of(chi2, design.shape[1])
        if scale != 1.0:
            freedom = np.full(len(variance), float(len(self.y) - design.shape[1]))
        errors = np.sqrt(scale * variance)
        n = float(len(self.y))
        return [Estimate(float(v), float(e), n, float(f)) for v, e, f in zip(values, errors, freedom, strict=True)]


def _usable(points: Sequence[tuple[float, Estimate]], least: int, rises: bool) -> tuple[_Points, Law]:
    """The points that have a logarithm, and a law without numbers, whose doubt says if they are too few."""
    kept = _sorted((t, x) for t, x in points if has_logarithm(x))
    found = _Points(kept.temperature_K, np.log(kept.y), kept.error / kept.y, kept.freedom)
    doubt = Doubt(Kind.FEW_TEMPERATURES, n=len(kept.y), at=least) if len(kept.y) < least else SURE
    return found, Law(_NONE, _NONE, _NONE, doubt, tuple(kept.temperature_K.tolist()), rises)


def _sorted(points: Iterable[tuple[float, Estimate]]) -> _Points:
    rows = sorted((t, x.value, x.error, x.degrees_of_freedom) for t, x in points)
    return _Points(*(np.array([row[k] for row in rows], float) for k in range(4)))


def _line(points: _Points, t0_K: float, rises: bool) -> _Line:
    slope = (-1.0 if rises else 1.0) / (points.temperature_K - t0_K)
    return _fitted(points, np.column_stack([np.ones_like(slope), slope]))


def _fitted(points: _Points, design: np.ndarray) -> _Line:
    parameters = np.linalg.lstsq(design / points.error[:, None], points.y / points.error, rcond=None)[0]
    residual = (points.y - design @ parameters) / points.error
    return _Line(design, parameters, float(residual @ residual))
