"""The error bars are the tested thing: their coverage on series whose true mean and correlation are known.

Bounds on counts are binomial quantiles at 1e-4 for the number of trials; seeds are fixed. Where an estimator
is known to be conservative or to undercover, the bound says so and docs/theory/statistics.md gives the size.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import signal, stats

from lmbmd.numbers.compare import interval
from lmbmd.numbers.curve import estimate_curve
from lmbmd.numbers.drift import stationarity
from lmbmd.numbers.estimate import Estimate, estimate_mean, estimate_ratio

TRIALS = 1000
ONE_SIGMA = 0.6827


def ar1(rng, shape, phi):
    """Stationary Gaussian AR(1) along the last axis: mean 0, variance 1, autocorrelation phi**k."""
    noise = rng.standard_normal(shape)
    noise[..., 1:] *= np.sqrt(1 - phi**2)
    return signal.lfilter([1.0], [1.0, -phi], noise, axis=-1)


def two_state(rng, shape, p, phi):
    """Stationary 0/1 Markov chain along the last axis: mean p, autocorrelation phi**k exactly."""
    state = np.empty(shape)
    uniform = rng.random(shape)
    state[..., 0] = uniform[..., 0] < p
    for i in range(1, shape[-1]):
        state[..., i] = uniform[..., i] < p + phi * (state[..., i - 1] - p)
    return state


def least_hits(coverage, trials=TRIALS):
    return stats.binom.ppf(1e-4, trials, coverage)


def most_hits(coverage, trials=TRIALS):
    return stats.binom.ppf(1 - 1e-4, trials, coverage)


def hits(estimates, truth, level):
    """How often the interval of this level holds the truth."""
    intervals = [interval(e, level) for e in estimates]
    return sum(low <= truth <= high for low, high in intervals)


# ---------------------------------------------------------------- coverage


@pytest.mark.parametrize(
    ("phi", "frames", "replicas"),
    [(0.0, 100, 1), (0.5, 300, 1), (0.9, 1000, 1), (0.9, 4000, 1), (0.98, 5000, 1), (0.9, 500, 2), (0.98, 3000, 2)],
)
def test_intervals_of_correlated_means_cover_as_often_as_they_say(phi, frames, replicas):
    rng = np.random.default_rng(11)
    estimates = [estimate_mean(list(x)) for x in ar1(rng, (TRIALS, replicas, frames), phi)]
    # Independent frames may be overcovered, as an error is never taken below theirs: 0.72 and 0.97 allowed.
    high_68, high_95 = (0.75, 0.975) if phi == 0.0 else (0.72, 0.965)
    assert least_hits(ONE_SIGMA) <= hits(estimates, 0.0, ONE_SIGMA) <= most_hits(high_68)
    assert least_hits(0.95) <= hits(estimates, 0.0, 0.95) <= most_hits(high_95)


@pytest.mark.parametrize(("phi", "frames"), [(0.9, 2000), (0.98, 8000)])
def test_one_error_covers_68_percent_and_two_95_percent_of_long_runs(phi, frames):
    rng = np.random.default_rng(12)
    estimates = [estimate_mean([x]) for x in ar1(rng, (TRIALS, frames), phi)]
    one = sum(abs(e.value) <= e.error for e in estimates)
    two = sum(abs(e.value) <= 1.96 * e.error for e in estimates)
    assert least_hits(ONE_SIGMA) <= one <= most_hits(ONE_SIGMA)
    assert least_hits(0.95) <= two <= most_hits(0.95)


@pytest.mark.parametrize(("phi", "frames", "replicas"), [(0.9, 400, 3), (0.98, 2000, 3), (0.9, 400, 5)])
def test_taking_the_larger_of_two_errors_for_replicas_is_slightly_conservative(phi, frames, replicas):
    rng = np.random.default_rng(13)
    estimates = [estimate_mean(list(x)) for x in ar1(rng, (TRIALS, replicas, frames), phi)]
    assert least_hits(ONE_SIGMA) <= hits(estimates, 0.0, ONE_SIGMA) <= most_hits(0.78)
    assert least_hits(0.95) <= hits(estimates, 0.0, 0.95) <= most_hits(0.985)
    assert {e.source for e in estimates} <= {"within replicas", "between replicas", "replicas disagree"}
    # The F test for disagreement is at 1 %; its own denominator is noisy, hence at most 3 %.
    assert sum(e.source == "replicas disagree" for e in estimates) <= most_hits(0.03)


@pytest.mark.parametrize(
    ("p", "phi", "frames", "replicas"), [(0.5, 0.9, 1000, 1), (0.3, 0.95, 2000, 1), (0.1, 0.9, 1000, 3)]
)
def test_intervals_of_correlated_fractions_cover_as_often_as_they_say(p, phi, frames, replicas):
    rng = np.random.default_rng(14)
    estimates = [estimate_mean(list(x)) for x in two_state(rng, (TRIALS, replicas, frames), p, phi)]
    # A skewed mean is not Gaussian: 0.93 instead of 0.95 is allowed.
    assert least_hits(0.93) <= hits(estimates, p, 0.95) <= most_hits(0.985)
    assert least_hits(0.66) <= hits(estimates, p, ONE_SIGMA) <= most_hits(0.78)


def test_gaps_in_a_series_do_not_spoil_its_error():
    rng = np.random.default_rng(15)
    series = ar1(rng, (TRIALS, 2, 600), 0.9)
    series[ar1(rng, series.shape, 0.8) > 0.5] = np.nan
    estimates = [estimate_mean(list(x)) for x in series]
    assert least_hits(0.95) <= hits(estimates, 0.0, 0.95) <= most_hits(0.965)


def test_ratio_intervals_cover_as_often_as_they_say():
    rng = np.random.default_rng(16)
    noise = ar1(rng, (2, TRIALS, 2, 800), 0.9)
    denominators = 10.0 + noise[0]
    numerators = 0.3 * denominators + noise[1]
    estimates = [estimate_ratio(list(a), list(b)) for a, b in zip(numerators, denominators, strict=True)]
    assert least_hits(0.95) <= hits(estimates, 0.3, 0.95) <= most_hits(0.965)
    assert least_hits(ONE_SIGMA) <= hits(estimates, 0.3, ONE_SIGMA) <= most_hits(0.72)


@pytest.mark.parametrize(("phi", "frames", "n_true"), [(0.9, 40, 2.1), (0.98, 200, 2.0), (0.995, 800, 2.0)])
def test_runs_of_two_correlation_times_are_flagged_as_unreliable(phi, frames, n_true):
    assert frames * (1 - phi) / (1 + phi) == pytest.approx(n_true, abs=0.06)
    rng = np.random.default_rng(17)
    estimates = [estimate_mean([x]) for x in ar1(rng, (TRIALS, frames), phi)]
    # Known to undercover, badly: the flag is what protects the reader.
    assert hits(estimates, 0.0, 0.95) < least_hits(0.95)
    assert sum(not e.reliable for e in estimates) >= least_hits(0.85)


def test_means_of_rare_states_are_flagged_as_unreliable():
    rng = np.random.default_rng(18)
    # 3 x 1000 frames, fraction 0.02, six visits expected: 158 independent samples, but a skewed mean.
    estimates = [estimate_mean(list(x)) for x in two_state(rng, (300, 3, 1000), 0.02, 0.9)]
    assert hits(estimates, 0.02, 0.95) < least_hits(0.95, 300)
    assert sum(not e.reliable for e in estimates) >= least_hits(0.7, 300)


def test_effective_samples_of_a_long_series_match_its_known_correlation():
    rng = np.random.default_rng(19)
    for phi in (0.5, 0.9):
        exact = (1 + phi) / (1 - phi)
        found = np.mean([20000 / estimate_mean([x]).n_effective for x in ar1(rng, (50, 20000), phi)])
        # Relative standard deviation of one estimate is about sqrt(2 (2 M + 1) / N) with M below 10 exact,
        # i.e. below 0.2 for phi = 0.9, and 0.03 for the mean of 50; four of these.
        assert found == pytest.approx(exact, rel=0.12)


# ---------------------------------------------------------------- exact values


def naive_error(replicas):
    """The docstring's formula, by loops over pairs of frames."""
    values = [(r, i, v) for r, x in enumerate(replicas) for i, v in enumerate(x) if not np.isnan(v)]
    n0, mean = len(values), sum(v for *_, v in values) / len(values)
    longest = max(len(x) for x in replicas)
    s, n = np.zeros(longest), np.zeros(longest)
    for r, i, v in values:
        for q, j, w in values:
            if r == q and j >= i:
                s[j - i] += (v - mean) * (w - mean)
                n[j - i] += 1
    covariance = [a / b if b else 0.0 for a, b in zip(s, n, strict=True)]
    window = 0
    while window + 1 < longest and covariance[window] + covariance[window + 1] > 1e-12 * covariance[0]:
        window += 2
    window = max(window, 1)
    f = min((n[0] + 2 * n[1:window].sum()) / n0**2, 0.9)
    variance = (s[0] + 2 * s[1:window].sum()) / n0**2 / (1 - f)
    return mean, np.sqrt(max(variance, s[0] / (n0 * (n0 - 1))))


def test_error_agrees_with_the_formula_by_loops():
    rng = np.random.default_rng(20)
    for _ in range(30):
        replicas = [ar1(rng, rng.integers(2, 60), rng.uniform(0, 0.95)) for _ in range(rng.integers(1, 3))]
        for x in replicas:
            x[rng.random(len(x)) < 0.2] = np.nan
        if sum(np.isfinite(x).sum() for x in replicas) < 2 or not all(np.isfinite(x).any() for x in replicas):
            continue
        found = estimate_mean(replicas)
        assert (found.value, found.error) == pytest.approx(naive_error(replicas), rel=1e-10)


def test_replica_scatter_is_the_error_where_replicas_disagree():
    rng = np.random.default_rng(21)
    series = [m + 0.01 * rng.standard_normal(500) for m in (0.2, 0.4, 0.9)]
    found = estimate_mean(series)
    means = [x.mean() for x in series]
    assert found.source == "replicas disagree"
    assert found.error == pytest.approx(np.std(means, ddof=1) / np.sqrt(3), rel=1e-9)
    assert found.n_effective <= 3 and not found.reliable
    low, high = interval(found)
    assert high - low == pytest.approx(2 * stats.t.ppf(0.975, 2) * found.error)


def test_two_stuck_replicas_give_the_scatter_of_two_samples():
    # Each replica frozen at its own value: the pooled covariance never decays, and V is that of two samples.
    found = estimate_mean([np.full(101, 0.0), np.full(101, 1.0)])
    assert found.value == 0.5
    assert found.error == pytest.approx(0.5, rel=0.02)
    assert not found.reliable


def test_a_series_that_never_changed_counts_once_per_replica():
    found = estimate_mean([np.full(1000, 0.25), np.full(500, 0.25)])
    assert (found.value, found.n_effective, found.source) == (0.25, 2.0, "constant")
    # An error of zero would be an infinite weight in any fit: that nothing happened is no precision.
    assert np.isnan(found.error) and not found.reliable
    assert np.isnan(interval(found)).all()


def test_rounding_noise_is_no_fluctuation():
    found = estimate_mean([0.1 + np.array([0.2, 0.1 + 0.1, 0.3 - 0.1] * 20)])
    assert np.isnan(found.error) and found.source == "constant"


def test_one_frame_has_a_value_and_no_error():
    found = estimate_mean([np.array([3.0])])
    assert found.value == 3.0 and np.isnan(found.error) and found.n_effective == 1.0
    assert found.source == "one sample" and not found.reliable


@pytest.mark.parametrize("series", [[], [np.empty(0)], [np.array([np.nan, np.nan])]])
def test_no_defined_frame_gives_nan_and_no_samples(series):
    found = estimate_mean(series)
    assert np.isnan(found.value) and np.isnan(found.error) and found.n_effective == 0.0
    assert found.source == "no samples" and not found.reliable


def test_a_replica_without_defined_frames_changes_nothing():
    # Two replicas far apart: counting the empty one as a third would make them "disagree".
    x = ar1(np.random.default_rng(22), (2, 200), 0.7)
    x[1] += 1.5
    assert estimate_mean([*x, np.full(50, np.nan)]) == estimate_mean(list(x))


def test_replicas_of_one_frame_are_independent_samples():
    found = estimate_mean([np.array([v]) for v in (1.0, 2.0, 4.0, 9.0)])
    assert found.error == pytest.approx(np.std([1, 2, 4, 9], ddof=1) / 2)


def test_infinite_values_and_tables_are_refused():
    with pytest.raises(ValueError, match="infinite"):
        estimate_mean([np.array([1.0, np.inf])])
    with pytest.raises(ValueError, match="one dimension"):
        estimate_mean([np.ones((3, 2))])


def test_a_ratio_over_a_constant_number_is_a_mean():
    x = ar1(np.random.default_rng(23), (3, 300), 0.8)
    ratio, mean = estimate_ratio(list(x), [np.full(300, 4.0)] * 3), estimate_mean(list(x / 4.0))
    assert (ratio.value, ratio.error, ratio.n_effective) == pytest.approx((mean.value, mean.error, mean.n_effective))


def test_a_ratio_weighs_frames_by_their_denominator():
    found = estimate_ratio([np.array([1.0, 3.0, np.nan, 5.0])], [np.array([1.0, 9.0, 7.0, np.nan])])
    assert found.value == pytest.approx(0.4)


def test_a_ratio_that_never_varies_has_no_error_however_its_parts_vary():
    b = np.random.default_rng(24).integers(1, 9, 200).astype(float)
    found = estimate_ratio([b / 4], [b])
    assert (found.value, found.source) == (0.25, "constant") and np.isnan(found.error)


def test_a_ratio_over_nothing_is_nan():
    found = estimate_ratio([np.zeros(5)], [np.zeros(5)])
    assert np.isnan(found.value) and found.source == "no samples"
    with pytest.raises(ValueError, match="differ in length"):
        estimate_ratio([np.zeros(5)], [np.zeros(4)])


def test_curve_error_is_that_of_its_blocks():
    rng = np.random.default_rng(25)
    blocks = [rng.standard_normal((10, 7)), rng.standard_normal((10, 7))]
    mean, error = estimate_curve(blocks)
    pooled = np.concatenate(blocks)
    np.testing.assert_allclose(mean, pooled.mean(0))
    np.testing.assert_allclose(error, pooled.std(0, ddof=1) / np.sqrt(20))


def test_curve_error_is_the_replica_scatter_where_that_is_larger():
    rng = np.random.default_rng(26)
    blocks = [shift + 1e-3 * rng.standard_normal((10, 4)) for shift in (0.0, 1.0, 5.0)]
    means = np.array([b.mean(0) for b in blocks])
    np.testing.assert_allclose(estimate_curve(blocks)[1], means.std(0, ddof=1) / np.sqrt(3))


def test_curve_blocks_count_by_their_frames():
    rng = np.random.default_rng(27)
    noise = rng.standard_normal((2000, 5))  # as many curves at once as there are trials
    blocks = [np.column_stack([noise[:, k] / np.sqrt(n) for k, n in enumerate((40, 40, 40, 40, 10))]).T]
    mean, error = estimate_curve(blocks, [np.array([40, 40, 40, 40, 10])])
    np.testing.assert_allclose(mean, np.average(blocks[0], axis=0, weights=[40, 40, 40, 40, 10]))
    # Four degrees of freedom and 2000 curves: the mean variance is known to 1.6 %; 7 % is 4.4 of these.
    assert np.mean(error**2) == pytest.approx(1 / 170, rel=0.07)


def test_one_block_has_no_curve_error():
    mean, error = estimate_curve([np.ones((1, 3))])
    assert mean.tolist() == [1, 1, 1] and np.isnan(error).all()


@settings(max_examples=40, deadline=None)
@example(seed=5294, scale=1.0, shift=1.0)  # within and between replicas are the same sum
@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_errors_follow_units_order_of_replicas_and_time_reversal(seed, scale, shift):
    rng = np.random.default_rng(seed)
    series = [ar1(rng, n, 0.8) for n in rng.integers(20, 80, size=3)]
    plain = estimate_mean(series)
    scaled = estimate_mean([-scale * x + shift for x in series])
    assert scaled.value == pytest.approx(-scale * plain.value + shift, abs=1e-9)
    for other, factor in ((scaled, scale), (estimate_mean([x[::-1] for x in series[::-1]]), 1.0)):
        assert other.error == pytest.approx(factor * plain.error, rel=1e-6)
        assert other.n_effective == pytest.approx(plain.n_effective, rel=1e-6)
        assert other.source == plain.source


def test_reliability_needs_more_samples_of_a_skewed_quantity():
    assert Estimate(0.0, 0.1, 10.0).reliable and not Estimate(0.0, 0.1, 9.9).reliable
    assert not Estimate(0.0, 0.1, 54.0, skewness=3.0).reliable and Estimate(0.0, 0.1, 56.0, skewness=3.0).reliable


# ---------------------------------------------------------------- stationarity


@pytest.mark.parametrize(
    ("phi", "frames", "replicas"),
    [(0.0, 200, 1), (0.9, 400, 1), (0.9, 2000, 1), (0.98, 1000, 1), (0.9, 1000, 3), (0.98, 1000, 3), (0.98, 200, 3)],
)
def test_stationary_series_are_rarely_called_drifting(phi, frames, replicas):
    rng = np.random.default_rng(31)
    verdicts = [stationarity(list(x)) for x in ar1(rng, (TRIALS, replicas, frames), phi)]
    # 1 % is nominal; the noise of the estimated correlation makes it 2 % at twenty samples per replica.
    assert sum(v.stationary is False for v in verdicts) <= most_hits(0.02)


@pytest.mark.parametrize(("phi", "frames", "replicas"), [(0.9, 2000, 1), (0.9, 1000, 3)])
def test_p_values_of_stationary_series_are_uniform_enough(phi, frames, replicas):
    rng = np.random.default_rng(32)
    p = np.array([stationarity(list(x)).p_value for x in ar1(rng, (TRIALS, replicas, frames), phi)])
    for level in (0.05, 0.2, 0.5):
        assert least_hits(0.8 * level) <= (p < level).sum() <= most_hits(1.35 * level)


def test_drifts_of_two_standard_deviations_are_found():
    rng = np.random.default_rng(33)
    ramp = np.linspace(-1.0, 1.0, 2000)
    verdicts = [stationarity([x + ramp]) for x in ar1(rng, (200, 2000), 0.9)]
    assert sum(v.stationary is False for v in verdicts) >= least_hits(0.95, 200)
    covered = sum(abs(v.drift - 2.0) <= 1.96 * v.drift_error for v in verdicts)
    assert covered >= least_hits(0.93, 200)


def test_replicas_that_drift_towards_each_other_are_not_stationary():
    rng = np.random.default_rng(34)
    ramp = np.linspace(-1.0, 1.0, 2000)
    verdicts = [stationarity([a + ramp, b - ramp]) for a, b in ar1(rng, (100, 2, 2000), 0.9)]
    assert sum(v.stationary is False for v in verdicts) >= least_hits(0.95, 100)
    assert abs(np.mean([v.drift for v in verdicts])) < 0.2


def test_runs_of_few_correlation_times_cannot_tell():
    rng = np.random.default_rng(35)
    verdicts = [stationarity([x]) for x in ar1(rng, (TRIALS, 500), 0.98)]  # five independent samples
    assert sum(v.stationary is None for v in verdicts) >= least_hits(0.95)
    assert "cannot tell" in next(v for v in verdicts if v.stationary is None).reason


def test_a_series_that_never_changed_cannot_tell():
    verdict = stationarity([np.full(500, 0.3)])
    assert verdict.stationary is None and verdict.reason == "cannot tell: it never changed"


def test_a_straight_line_drifts():
    verdict = stationarity([np.linspace(0.0, 3.0, 50)])
    assert verdict.stationary is False and verdict.drift == pytest.approx(3.0)


@pytest.mark.parametrize("series", [[], [np.array([1.0, 2.0])], [np.full(9, np.nan)]])
def test_too_few_frames_cannot_tell(series):
    assert stationarity(series).reason == "cannot tell: fewer than three frames"


def test_gaps_do_not_make_a_drift():
    rng = np.random.default_rng(36)
    series = ar1(rng, (TRIALS, 1000), 0.8)
    series[rng.random(series.shape) < 0.3] = np.nan
    verdicts = [stationarity([x]) for x in series]
    assert sum(v.stationary is False for v in verdicts) <= most_hits(0.015)
    assert sum(v.stationary is None for v in verdicts) <= most_hits(0.01)
