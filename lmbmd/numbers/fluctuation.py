"""Mean squares of what fluctuates about zero, such as the dipole of a box, with their errors or a bound.

Theory and measured coverage: docs/theory/permittivity.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy import stats

from lmbmd.numbers.autocovariance import as_series, geyer_window, lagged_products, two_sided
from lmbmd.numbers.compare import LEVEL
from lmbmd.numbers.doubt import SURE, Doubt, Kind
from lmbmd.numbers.estimate import DISAGREEMENT_LEVEL, RELIABLE_N_EFFECTIVE, RELIABLE_PER_SKEWNESS, Estimate

#: Skewness of the square of a Gaussian number.
_SKEWNESS = 8.0**0.5
#: Independent squares that a value needs, as every mean of something so skewed does.
LEAST_SQUARES = RELIABLE_N_EFFECTIVE + RELIABLE_PER_SKEWNESS * _SKEWNESS**2


def mean_square(series: Sequence[np.ndarray]) -> tuple[Estimate, Doubt]:
    """Mean square of components of mean zero, over frames, components and replicas; or a bound of it.

    Components are Gaussian, alike, and independent of each other, as those of the dipole of an isotropic liquid. Of
    their N values n_k pairs are k frames apart within one component of a replica. With C_k the mean of their products,

        V = 2 Σ_k n_k C_k² / N²

    is the variance of the mean square C_0, k from minus to plus the end of Geyer's initial positive sequence of C_k. No
    mean is taken off, for it is known to be zero: the mean square of a run has no bias, however short the run is, and a
    memory as long as the run is seen to be so.

    Args:
        series: one array (n_frames, n_components) per replica, equally spaced in time.

    Returns:
        the estimate, whose ``n_effective`` is the number of independent squares, 2 C_0² / V: one for each component
        of each replica that never changes. With fewer than ``LEAST_SQUARES`` it has neither value nor error, and the
        doubt has a bound that 95 % of such runs hold; without frames there is nothing. Where three or more replicas
        disagree each counts as one.

    References:
        Geyer, Stat. Sci. 7, 473 (1992), doi:10.1214/ss/1177011137.
    """
    components = [as_series(x) for one in series for x in np.asarray(one, float).T]
    if not any(map(len, components)):
        return Estimate(float("nan"), float("nan"), 0.0, source="no samples"), Doubt(Kind.TOO_SHORT)
    products, pairs = lagged_products(components)
    value, number = float(products[0] / pairs[0]), float(len(components))
    if not value > 0.0:
        return Estimate(value, float("nan"), number, source="constant"), Doubt(Kind.NEVER_CHANGED)
    covariance = products / np.maximum(pairs, 1)
    window = geyer_window(covariance)
    squares = pairs[0] ** 2 / two_sided(pairs[:window] * (covariance[:window] / value) ** 2)
    error = value * float(np.sqrt(2.0 / squares))
    known = Estimate(value, error, float(squares), max(squares / 4.0, 1.0), "within replicas", _SKEWNESS)
    if _disagree(series, known):
        known = replace(known, n_effective=number)
    if known.n_effective >= LEAST_SQUARES:
        return known, SURE
    # So few squares are known to be so many poorly: of those beyond one for each component half are counted.
    counted = 0.5 * (known.n_effective + number)
    bound = value * counted / float(stats.chi2.ppf(1.0 - LEVEL, counted))
    nothing = Estimate(float("nan"), float("nan"), known.n_effective)
    return nothing, Doubt(Kind.TOO_SHORT_BELOW, n=bound, at=LEAST_SQUARES / known.n_effective)


def _disagree(series: Sequence[np.ndarray], known: Estimate) -> bool:
    """Whether three or more replicas have mean squares that scatter beyond chance (F test)."""
    if len(series) < 3:
        return False
    length = np.array([np.size(one) for one in series], float)
    apart = np.array([np.mean(np.square(one)) for one in series]) - known.value
    between = length**2 @ apart**2 / (length.sum() ** 2 - length @ length)
    chance = stats.f.sf(between / known.error**2, len(series) - 1, known.degrees_of_freedom)
    return bool(chance < DISAGREEMENT_LEVEL)
