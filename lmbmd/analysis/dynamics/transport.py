"""Self-diffusion and viscosity from mean squared displacements and from the fluctuations of the pressure.

Pure functions of arrays. The caller says what the units are, but where a name does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from scipy.integrate import cumulative_trapezoid

from lmbmd.numbers.estimate import Estimate

BOLTZMANN_J_K = 1.380649e-23
#: ξ of a cubic box, in ``unbounded``.
YEH_HUMMER = 2.837297


def displacement_slope(paths: np.ndarray, frame_ps: float, lags_ps: tuple[float, float]) -> float:
    """Of the line of least squares through the mean squared displacement between two lags, both included.

    Args:
        paths: unwrapped, shape (frames, particles, 3); all origins of time and all particles are averaged over.

    Returns:
        d<|r(t) - r(0)|²>/dt, length²/ps: six times the coefficient of diffusion.
    """
    lags = np.arange(round(lags_ps[0] / frame_ps), round(lags_ps[1] / frame_ps) + 1)
    squares = [np.mean(np.sum((paths[k:] - paths[:-k]).astype(float) ** 2, axis=-1)) for k in lags]
    return float(np.polyfit(lags * frame_ps, squares, 1)[0])


def green_kubo(series: np.ndarray, sample_ps: float, memory_ps: tuple[float, float]) -> float:
    """Mean over an interval of t of the running integral ∫₀ᵗ <x(0) x(t')> dt', by the trapezoidal rule.

    Args:
        series: shape (samples, components) of mean zero, which is not taken off; components are averaged over.

    Returns:
        The integral, in the square of the series' unit times ps.
    """
    first, last = (round(t / sample_ps) for t in memory_ps)
    series = np.asarray(series, float)
    memory = [np.mean(series[: len(series) - k] * series[k:]) for k in range(last + 1)]
    return float(np.mean(cumulative_trapezoid(memory, dx=sample_ps, initial=0.0)[first:]))


def deviators(pressures: np.ndarray) -> np.ndarray:
    """Five independent components of the pressure without its trace, alike in an isotropic liquid.

    Twice the sum of their squares is the sum over all nine of the traceless tensor (Daivis and Evans,
    doi:10.1063/1.466970).

    Args:
        pressures: xx, xy, xz, yy, yz, zz in columns, shape (samples, 6).

    Returns:
        xy, xz, yz, (xx − yy)/2 and (2 zz − xx − yy)/√12, shape (samples, 5), in the same unit.
    """
    xx, xy, xz, yy, yz, zz = pressures.T
    return np.column_stack([xy, xz, yz, (xx - yy) / 2, (2 * zz - xx - yy) / np.sqrt(12)])


def over_parts(series: np.ndarray, quantity: Callable[[np.ndarray], float], parts: int) -> Estimate:
    """Mean, and its standard error, of what successive equal parts of a series say; what is left over is not used."""
    size = len(series) // parts
    values = [quantity(series[i * size : (i + 1) * size]) for i in range(parts)]
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(parts)), parts, parts - 1, "parts")


def unbounded(diffusion: Estimate, viscosity: Estimate, edge_nm: float, temperature_K: float) -> Estimate:
    """Self-diffusion in an infinite box: D + ξ k T / (6 π η L) (Yeh and Hummer, doi:10.1021/jp0477147).

    Args:
        diffusion: in the cubic periodic box, 1e-9 m²/s.
        viscosity: of the liquid, mPa s; its error is propagated.
    """
    shift = YEH_HUMMER * BOLTZMANN_J_K * temperature_K / (6 * np.pi * viscosity.value * 1e-3 * edge_nm * 1e-9) * 1e9
    error = float(np.hypot(diffusion.error, shift * viscosity.error / viscosity.value))
    return replace(diffusion, value=diffusion.value + shift, error=error)
