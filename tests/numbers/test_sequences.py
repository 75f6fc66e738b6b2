"""What is kept of a sequence, against slow and obvious twins."""

from __future__ import annotations

import numpy as np
import pytest

from lmbmd.numbers import sequences
from lmbmd.numbers.longtime import autocorrelation_integral, cross_slopes, long_time_slope
from lmbmd.numbers.running import end_exponent, msd, running_integral, running_slope
from lmbmd.numbers.sequences import collective, particles, series
from lmbmd.validation.error_bars import caged
from lmbmd.validation.error_bars import path as walked

PS = 0.5


def naive_products(path, lag):
    """Mean product of the displacements of all pairs of series over this lag, summed over axes: (series, series)."""
    found = np.zeros((path.shape[1], path.shape[1]))
    for start in range(len(path) - lag):
        moved = path[start + lag] - path[start]
        found += moved @ moved.T
    return found / (len(path) - lag)


def test_the_curve_is_the_mean_over_all_origins():
    rng = np.random.default_rng(1)
    path = walked(rng.standard_normal((60, 6)), 2) + 40.0
    found = collective(path, PS)
    for lag_ps, products in zip(found.lag_ps, found.curve.mean(axis=-1), strict=True):
        np.testing.assert_allclose(products, naive_products(path, round(lag_ps / PS)), rtol=1e-9, atol=1e-9)
    assert round(found.lag_ps[-1] / PS) == 30


def test_the_curve_of_particles_is_the_mean_over_them():
    rng = np.random.default_rng(2)
    path = walked(rng.standard_normal((40, 21)), 7)
    found = msd([particles(path, PS)])
    for lag_ps, value in zip(found.lag_ps, found.value, strict=True):
        assert value == pytest.approx(np.trace(naive_products(path, round(lag_ps / PS))) / 7)


@pytest.mark.parametrize("shape", [(300, 40, 3), (90, 7, 3, 3), (400, 4, 3)])
def test_how_many_particles_are_transformed_at_a_time_changes_no_bit(shape, monkeypatch):
    path = np.random.default_rng(3).normal(size=shape).cumsum(axis=0)
    make = particles if shape == (300, 40, 3) else collective
    found = []
    for block in (1, 3000, 1 << 30):
        monkeypatch.setattr(sequences, "_BLOCK", block)
        found.append(make(path, 1.0))
    for one in found[1:]:
        np.testing.assert_array_equal(one.ordinates, found[0].ordinates)
        np.testing.assert_array_equal(one.curve, found[0].curve)


def test_the_running_integral_is_the_trapezoidal_rule():
    rng = np.random.default_rng(3)
    values = rng.standard_normal((50, 5)) + 0.3
    found = running_integral([series(values, PS)])
    memory = [np.mean(values[: 50 - k] * values[k:]) for k in range(26)]
    for lag_ps, value in zip(found.lag_ps, found.value, strict=True):
        assert value == pytest.approx(np.trapezoid(memory[: round(lag_ps / PS) + 1], dx=PS))


def test_the_slope_of_the_curve_is_that_between_its_lags():
    rng = np.random.default_rng(4)
    weights = np.array([[1.0, -1.0], [-1.0, 1.0]])
    sequences = [collective(walked(rng.standard_normal((60, 6)), 2), PS) for _ in range(3)]
    found = running_slope(sequences, weights)
    lags = sequences[0].lag_ps
    at = [np.mean([np.sum(weights * s.curve.mean(axis=-1)[i]) for s in sequences]) for i in range(len(lags))]
    np.testing.assert_allclose(found.value, np.diff(at) / np.diff(lags))


def test_modes_are_those_of_the_sine_transform_of_the_steps():
    rng = np.random.default_rng(5)
    path = walked(rng.standard_normal((30, 3)), 1)
    found = collective(path, PS)
    steps = np.diff(path[:, 0], axis=0)
    for k, frequency, kept in zip(range(1, 16), found.frequency_per_ps, found.ordinates[:, 0, 0], strict=True):
        wave = np.sqrt(2 / 31) * np.sin(np.pi * k * np.arange(1, 31) / 31)
        np.testing.assert_allclose(kept, np.sqrt(3 / PS) * wave @ steps, rtol=1e-9)
        assert frequency == pytest.approx(np.pi * k / 31 / PS)


def test_thinning_leaves_the_slope_at_long_times_alone():
    rng = np.random.default_rng(6)
    steps, _ = caged(rng, 4000, 60, tau=3.0)
    path = walked(steps, 20)
    whole = long_time_slope([particles(path, PS)]).estimate
    thin = long_time_slope([particles(path[::4], 4 * PS)]).estimate
    assert abs(whole.value - thin.value) < 2 * whole.error


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 8, 9, 12, 20])
@pytest.mark.parametrize("shape", [(2, 3), (4, 2, 3)])
def test_hardly_any_frames_are_no_crash(frames, shape):
    rng = np.random.default_rng(frames)
    sequences = [collective(rng.standard_normal((frames, *shape)).cumsum(axis=0), PS, i) for i in range(2)]
    found = cross_slopes(sequences)
    assert found.value.shape == found.error.shape == (2, 2)
    whole = found.quadratic(np.ones(2))
    assert np.isfinite(whole.estimate.value) != bool(whole.doubt)
    assert np.isfinite(found.ratio(np.eye(2), np.ones((2, 2))).value) == np.isfinite(whole.estimate.value)
    own = [particles(rng.standard_normal((frames, 3, 3)).cumsum(axis=0), PS)]
    assert np.isfinite(long_time_slope(own).estimate.value) != bool(long_time_slope(own).doubt)
    assert len(msd(own).value) == len(msd(own).error)
    assert np.isnan(end_exponent(own)[0].value) == (frames < 5)
    noise = [series(rng.standard_normal((frames, 5)), PS)]
    found = autocorrelation_integral(noise)
    assert np.isfinite(found.estimate.value) != bool(found.doubt)
    assert len(running_integral(noise).value) == len(noise[0].lag_ps)


@pytest.mark.parametrize("make", [particles, collective])
def test_a_path_with_a_gap_is_refused(make):
    path = np.zeros((20, 2, 3))
    path[3, 1, 2] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        make(path, PS)
