"""Mean squared displacements and Green and Kubo's integrals: walks and noise whose coefficients are known."""

import math

import numpy as np
import pytest
from noise import ornstein_uhlenbeck

from lmbmd.analysis.dynamics.transport import deviators, displacement_slope, green_kubo, over_parts, unbounded
from lmbmd.numbers.estimate import Estimate

PARTS = 10


def test_a_random_walk_diffuses_as_its_steps_say():
    # Steps of variance 2 D Δt along each axis.
    diffusion_nm2_ps, frame_ps = 0.003, 0.5
    rng = np.random.default_rng(1)
    steps = rng.normal(scale=np.sqrt(2 * diffusion_nm2_ps * frame_ps), size=(2000, 100, 3))
    walk = np.cumsum(steps, axis=0)
    found = over_parts(walk, lambda part: displacement_slope(part, frame_ps, (5.0, 20.0)) / 6, PARTS)
    assert found.value == pytest.approx(diffusion_nm2_ps, abs=4 * found.error)
    assert 0.003 * diffusion_nm2_ps < found.error < 0.05 * diffusion_nm2_ps


def test_the_rattling_before_diffusion_does_not_count():
    """A jitter about the walk adds a constant to the mean squared displacement, not to its slope."""
    rng = np.random.default_rng(2)
    walk = np.cumsum(rng.normal(scale=0.05, size=(1000, 200, 3)), axis=0)
    calm = displacement_slope(walk, 1.0, (10.0, 30.0))
    jittered = displacement_slope(walk + rng.normal(scale=0.3, size=walk.shape), 1.0, (10.0, 30.0))
    assert calm == pytest.approx(3 * 0.05**2, rel=0.05)
    assert jittered == pytest.approx(calm, rel=0.05)


def test_the_error_of_a_walk_is_how_far_repeated_walks_scatter():
    rng = np.random.default_rng(3)
    found = [
        over_parts(
            np.cumsum(rng.normal(size=(400, 10, 3)), axis=0),
            lambda part: displacement_slope(part, 1.0, (2.0, 8.0)),
            PARTS,
        )
        for _ in range(60)
    ]
    scatter = np.std([f.value for f in found], ddof=1)
    # A standard deviation of 60 is known to 1 / √(2 · 59), 9 %; the mean of 60 errors of 10 parts to 3 %.
    assert np.sqrt(np.mean([f.error**2 for f in found])) == pytest.approx(scatter, rel=0.3)
    assert np.mean([f.value for f in found]) == pytest.approx(3.0, abs=4 * scatter / np.sqrt(60))


def test_the_memory_of_a_series_integrates_to_variance_times_correlation_time():
    sample_ps, tau_ps, deviation, ends = 0.05, 0.5, 20.0, (2.0, 4.0)
    x = ornstein_uhlenbeck(np.random.default_rng(4), 400000, 5, sample_ps, tau_ps, deviation)
    found = over_parts(x, lambda part: green_kubo(part, sample_ps, ends), PARTS)
    # Mean over the interval of σ² τ (1 - exp(-t / τ)); the trapezoid is (h / τ)² / 12 = 0.1 % too large.
    t = np.linspace(*ends, 1000)
    exact = deviation**2 * tau_ps * np.mean(1 - np.exp(-t / tau_ps))
    assert found.value == pytest.approx(exact, abs=4 * found.error)
    assert found.error < 0.02 * exact


def test_the_five_components_of_a_symmetric_tensor_hold_all_of_it_but_the_trace():
    rng = np.random.default_rng(5)
    half = rng.normal(size=(50, 3, 3))
    tensor = half + half.transpose(0, 2, 1) + 1e3 * np.eye(3)
    columns = np.column_stack([tensor[:, i, j] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))])
    traceless = tensor - np.trace(tensor, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)
    np.testing.assert_allclose(
        2 * np.sum(deviators(columns) ** 2, axis=1), np.sum(traceless**2, axis=(1, 2)), rtol=1e-9
    )


def test_the_correction_for_the_box_is_that_of_a_published_case():
    """Water at 298 K, 0.9 mPa s, L = 2.5 nm, in SI units: 2.837297 k T / (6 π η L)."""
    found = unbounded(Estimate(2.0, 0.05, 10), Estimate(0.9, 0.09, 10), 2.5, 298.0)
    shift = 2.837297 * 1.380649e-23 * 298.0 / (6 * math.pi * 0.9e-3 * 2.5e-9) * 1e9
    assert shift == pytest.approx(0.275, abs=0.001)
    assert found.value == pytest.approx(2.0 + shift, rel=1e-12)
    assert found.error == pytest.approx(math.hypot(0.05, 0.1 * shift), rel=1e-12)
