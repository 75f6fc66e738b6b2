"""One uninterrupted stretch of motion, or of a fluctuating quantity, reduced to the little that its statistics need.

Theory: docs/theory/motion_statistics.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations_with_replacement

import numpy as np
from scipy.fft import dst, irfft, next_fast_len, rfft

#: Modes that are kept: of the displacements of many particles, and of a single series.
MANY_MODES, SERIES_MODES = 64, 512
#: Fewer steps than this say nothing about a spectrum.
LEAST_STEPS = 8
#: Lags of the curves, to each factor of ten.
LAGS_PER_DECADE = 12
#: Numbers that are summed over before they are added to what is there; numbers transformed at a time, which a processor
#: has at hand.
_CHUNK, _BLOCK = 1 << 22, 1 << 17


@dataclass(frozen=True, eq=False)
class Sequence_:
    """What is kept of one sequence, all lengths in the caller's unit.

    Attributes:
        ordinates: (n_modes, n_particles, n_series, n_components), of the orthonormal sine transform (type I) of the
            steps, scaled so that the mean over components of a square tends to the slope, or the integral, that is
            looked for as the frequency tends to zero.
        frequency_per_ps: (n_modes,) π k / (steps + 1) / interval, angular.
        rate_per_ps: (n_modes,) 2 sin(frequency × interval / 2) / interval: an exponential memory is a Lorentzian of it.
        length_ps: of the sequence.
        interval_ps: between its samples.
        lag_ps: (n_lags,) of the curve.
        curve: (n_lags, n_series, n_series, n_components): mean products of displacements, each component times their
            number; or integrals of the autocorrelation up to each lag.
        replica: from which run it is.
        of_steps: whether the curve is of displacements, and not an integral.
    """

    ordinates: np.ndarray
    frequency_per_ps: np.ndarray
    rate_per_ps: np.ndarray
    length_ps: float
    interval_ps: float
    lag_ps: np.ndarray
    curve: np.ndarray
    replica: int
    of_steps: bool = True


def particles(path: np.ndarray, interval_ps: float, replica: int = 0) -> Sequence_:
    """Own displacements of the molecules of one species.

    Args:
        path: unwrapped, (n_frames, n_particles, 3).
        interval_ps: between frames.
        replica: of which run it is a part.
    """
    return collective(np.asarray(path)[:, :, None], interval_ps, replica)


def collective(paths: np.ndarray, interval_ps: float, replica: int = 0) -> Sequence_:
    """Displacements of several series that are known at the same frames, such as summed displacements of ion species.

    Args:
        paths: unwrapped, (n_frames, n_series, 3); or (n_frames, n_particles, n_series, 3), the products of whose
            displacements are averaged over particles.
        interval_ps: between frames.
        replica: of which run it is a part.
    """
    paths = np.asarray(paths)
    paths = paths[:, None] if paths.ndim == 3 else paths
    if not np.isfinite(paths).all():
        raise ValueError("a path holds a value that is not finite")
    n_frames, n_particles, n_series, n_components = paths.shape
    modes = _modes(n_frames - 1, MANY_MODES if n_particles > 1 else SERIES_MODES)
    kept = np.empty((len(modes), n_particles, n_series, n_components), np.float32 if n_particles > 1 else float)
    scale = np.sqrt(n_components / interval_ps)
    curves = n_particles == 1 or n_series == 1
    lags = _lags((n_frames - 1) // 2) if curves else np.empty(0, int)
    curve = np.zeros((len(lags), n_series, n_series, n_components))
    row = max(n_frames * n_series * n_components, 1)
    size, step = max(_CHUNK // row, 1), max(_BLOCK // row, 1)
    for first in range(0, n_particles, size):
        last = min(first + size, n_particles)
        products = _Products(n_frames, n_series, n_components)
        for start in range(first, last, step):
            block = slice(start, min(start + step, last))
            part = paths[:, block].astype(float)
            part -= part[:1]
            if len(modes):
                kept[:, block] = scale * dst(np.diff(part, axis=0), type=1, axis=0, norm="ortho")[: len(modes)]
            if len(lags):
                products.add(part)
        if len(lags):
            curve += n_components / n_particles * products.at(lags)
    return _sequence(kept, modes, n_frames - 1, interval_ps, lags * interval_ps, curve, replica)


def series(values: np.ndarray, interval_ps: float, replica: int = 0) -> Sequence_:
    """Components of a fluctuating quantity of mean zero, which are alike and whose autocorrelation is to be integrated.

    Args:
        values: (n_samples, n_components), such as the five deviators of the pressure.
        interval_ps: between samples: short enough for the fastest motion, whose aliases would add to the integral.
        replica: of which run it is a part.
    """
    values = np.asarray(values, float)
    if not np.isfinite(values).all():
        raise ValueError("a series holds a value that is not finite")
    n, n_components = values.shape
    modes = _modes(n, SERIES_MODES)
    kept = np.empty((len(modes), 1, 1, n_components))
    if len(modes):
        kept[:, 0, 0] = np.sqrt(0.5 * interval_ps) * dst(values, type=1, axis=0, norm="ortho")[: len(modes)]
    lags = _lags(n // 2)
    size = next_fast_len(2 * n, real=True) if n else 1
    curve = np.zeros((len(lags), 1, 1, n_components))
    if len(lags):
        memory = irfft(np.abs(rfft(values, size, axis=0)) ** 2, size, axis=0)[: lags[-1] + 1]
        memory /= (n - np.arange(len(memory)))[:, None]
        running = interval_ps * (np.cumsum(memory, axis=0) - 0.5 * (memory[:1] + memory))
        curve[:, 0, 0] = running[lags]
    return replace(_sequence(kept, modes, n, interval_ps, lags * interval_ps, curve, replica), of_steps=False)


def faster_half(values: np.ndarray, interval_ps: float) -> float:
    """Mean over the faster half of the frequencies of what tends to the integral of ``series`` at the slowest ones.

    Motion that is faster than the interval shows turns up at all frequencies, so that the integral is too large by
    about as much as this is.

    Args:
        values, interval_ps: as for ``series``.
    """
    spectrum = 0.5 * interval_ps * dst(np.asarray(values, float), type=1, axis=0, norm="ortho") ** 2
    return float(spectrum[len(spectrum) // 2 :].mean()) if len(spectrum) else float("nan")


def _sequence(
    kept: np.ndarray, modes: np.ndarray, n: int, interval_ps: float, lag_ps: np.ndarray, curve: np.ndarray, replica: int
) -> Sequence_:
    angle = np.pi * modes / (n + 1)
    rate = 2.0 * np.sin(0.5 * angle) / interval_ps
    length = max(n, 0) * interval_ps
    return Sequence_(kept, angle / interval_ps, rate, length, interval_ps, lag_ps, curve, replica)


def _modes(steps: int, most: int) -> np.ndarray:
    """Numbers of the modes that are kept: the slowest, at frequencies up to half of what the steps resolve."""
    return np.arange(1, 1 + min(steps // 2, most)) if steps >= LEAST_STEPS else np.empty(0, int)


def _lags(longest: int) -> np.ndarray:
    if longest < 1:
        return np.empty(0, int)
    return np.unique(np.rint(np.geomspace(1, longest, 1 + int(LAGS_PER_DECADE * np.log10(longest)))).astype(int))


class _Products:
    """Products of displacements, summed over particles in their order.

    Args:
        n_frames, n_series, n_axes: of the paths.
    """

    def __init__(self, n_frames: int, n_series: int, n_axes: int) -> None:
        self._n, self._n_series, self._n_axes = n_frames, n_series, n_axes
        self._size = next_fast_len(2 * n_frames, real=True) if n_frames else 1
        self._pairs = list(combinations_with_replacement(range(n_series), 2))
        self._same = np.zeros((len(self._pairs), n_frames, n_axes))
        self._power = np.zeros((len(self._pairs), self._size // 2 + 1, n_axes))

    def add(self, paths: np.ndarray) -> None:
        """Add particles: (n_frames, n_particles, n_series, n_axes)."""
        transform = rfft(paths, self._size, axis=0)
        for particle in range(paths.shape[1]):
            x, t = paths[:, particle], transform[:, particle]
            for k, (a, b) in enumerate(self._pairs):
                self._same[k] += x[:, a] * x[:, b]
                self._power[k] += t[:, a].real * t[:, b].real + t[:, a].imag * t[:, b].imag

    def at(self, lags: np.ndarray) -> np.ndarray:
        """Mean over origins, sum over particles: (n_lags, n_series, n_series, n_axes)."""
        n, origins = self._n, self._n - lags
        found = np.empty((len(lags), self._n_series, self._n_series, self._n_axes))
        for (a, b), same, power in zip(self._pairs, self._same, self._power, strict=True):
            before = np.concatenate([np.zeros((1, self._n_axes)), np.cumsum(same, axis=0)])
            ends = before[n] - before[lags] + before[n - lags]
            shifted = 2.0 * irfft(power, self._size, axis=0)[lags]
            found[:, a, b] = found[:, b, a] = (ends - shifted) / origins[:, None]
        return found
