"""Slopes and integrals at long times: their errors hold the truth, and parts add up.

The trials are those of `lmbmd validate error-bars --motion`, fewer of them: docs/theory/motion_statistics.md.
Bounds on counts are binomial quantiles at 1e-4.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from scipy import stats

from lmbmd.numbers.doubt import BOUNDS
from lmbmd.numbers.longtime import autocorrelation_integral, cross_slopes, long_time_slope
from lmbmd.numbers.sequences import collective, particles, series
from lmbmd.validation.error_bars import (
    CHARGES,
    CROSS,
    caged,
    crossed,
    fluctuation,
    green_kubo,
    many,
    memory,
    oscillator,
    paired,
    path,
    replicas,
    single,
    told,
    walk,
)

TRIALS = 80
LEAST = stats.binom.ppf(1e-4, TRIALS, 0.90)
#: The standard deviation of so many values is known to 8 %: these are four times that, and what is conservative: errors
#: of a walk without any memory allow for relaxations too weak to be seen, and are up to twice as long as it scatters.
SHORTEST, LONGEST = 0.68, 2.1


FAST = [
    partial(single, "walk", 100, 3, False),
    partial(single, "memory", 300, 3, False),
    partial(green_kubo, "memory", 1000, 1, False),
    partial(many, "together", 300, 4, 10),
    partial(fluctuation, 20.0, 1000, 1),
    partial(fluctuation, 20.0, 300, 3),
]
SLOW = [
    partial(single, "slow memory", 1000, 10, False),
    partial(single, "caged", 1000, 3, False),
    partial(single, "two times", 1000, 3, False),
    partial(crossed, "walk", 300, 12, False),
    partial(crossed, "memory", 300, 12, False),
    partial(paired, 1000, 12),
    partial(many, "independent", 300, 4, 10),
    partial(many, "unlike", 300, 4, 10),
    partial(replicas, "walk", 300, 5, False),
]


@pytest.mark.parametrize(
    "trial",
    [*FAST, *(pytest.param(trial, marks=pytest.mark.slow) for trial in SLOW)],
    ids=lambda t: f"{t.func.__name__}-{'-'.join(map(str, t.args))}",
)
def test_intervals_hold_the_truth_and_errors_are_as_long_as_values_scatter(trial):
    found = [trial(seed) for seed in range(TRIALS)]
    for number in found[0]:
        mine = [f[number] for f in found]
        known = [t for t in mine if np.isfinite(t.value)]
        assert len(known) >= 0.7 * TRIALS, number
        assert sum(t.holds for t in mine) >= LEAST, number
        stated = np.sqrt(np.mean([t.error**2 for t in known]))
        assert SHORTEST < stated / np.std([t.value for t in known]) < LONGEST, number


def test_values_of_short_runs_allow_for_what_has_hardly_begun_to_relax():
    """Fifteen relaxation times: with nothing added for what the weights miss, 0.77 of the values held."""
    found = [single("slow memory", 300, 3, False, seed)["slope"] for seed in range(200)]
    known = [t for t in found if np.isfinite(t.value)]
    assert len(known) > 100 and np.mean([t.holds for t in known]) > 0.86


def test_errors_that_are_a_third_as_long_would_be_seen():
    found = [single("memory", 300, 3, False, seed)["slope"] for seed in range(TRIALS)]
    assert sum(abs(t.value - t.truth) < (t.high - t.value) / 3 for t in found) < LEAST


@pytest.mark.parametrize(
    ("motion", "frames", "side"),
    [(partial(memory, tau=20.0), 60, "above"), (partial(caged, size=100.0), 100, "below")],
    ids=["memory", "caged"],
)
def test_a_run_too_short_yields_a_bound_that_holds_and_hardly_ever_a_number(motion, frames, side):
    found = []
    for seed in range(TRIALS):
        rng = np.random.default_rng(seed)
        steps, truth = zip(*(motion(rng, frames, 3) for _ in range(10)), strict=True)
        found.append(told(long_time_slope([collective(path(s, 1), 1.0) for s in steps]), 3 * truth[0]))
    bounds = [t for t in found if t.bound]
    assert len(bounds) > 0.6 * TRIALS
    assert sum(t.holds for t in bounds) >= stats.binom.ppf(1e-4, len(bounds), 0.95)
    assert {t.bound for t in bounds} == {side}


def test_a_bound_is_a_doubt_with_how_much_longer():
    rng = np.random.default_rng(1)
    found = long_time_slope([collective(path(memory(rng, 60, 3, 20.0)[0], 1), 1.0) for _ in range(30)])
    assert np.isnan(found.estimate.value) and np.isnan(found.estimate.error)
    assert found.doubt.kind in BOUNDS and found.doubt.n == found.limit and found.doubt.at == found.longer > 1.2


@pytest.mark.slow
def test_a_walk_is_hardly_ever_called_too_short():
    cries = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        found = long_time_slope([particles(path(walk(rng, 200, 15)[0], 5), 1.0) for _ in range(3)])
        cries += bool(found.doubt)
    assert cries <= stats.binom.ppf(1 - 1e-4, 200, 0.025)


# ------------------------------------------------------------------ algebra


def mixed(rng, frames=200, sequences=4):
    root = np.linalg.cholesky(CROSS)
    steps = [np.einsum("ab,btk->tak", root, rng.standard_normal((3, frames, 3))) for _ in range(sequences)]
    return [path(s.reshape(frames, 9), 3) for s in steps]


def test_parts_of_a_sum_add_up_to_it():
    paths = mixed(np.random.default_rng(2))
    whole = cross_slopes([collective(p.sum(axis=1, keepdims=True), 1.0) for p in paths])
    parts = cross_slopes([collective(p, 1.0) for p in paths])
    ones = np.ones(3)
    shares = [parts.ratio(np.outer(e, ones), np.outer(ones, ones)).value for e in np.eye(3)]
    assert sum(shares) == pytest.approx(1.0, abs=1e-12)
    sums = [parts.quadratic(e, ones).estimate.value for e in np.eye(3)]
    assert sum(sums) == pytest.approx(parts.value.sum(), rel=1e-12)
    alone = whole.quadratic(np.ones(1)).estimate
    assert parts.quadratic(ones).estimate.value == pytest.approx(parts.value.sum(), rel=1e-12)
    assert abs(parts.value.sum() - alone.value) < 0.5 * alone.error


def test_order_of_series_and_axes_and_units_change_nothing():
    paths = mixed(np.random.default_rng(3))
    found = cross_slopes([collective(p, 1.0) for p in paths])
    order = [2, 0, 1]
    turned = cross_slopes([collective(1e3 * p[:, order][:, :, ::-1], 2.0) for p in paths])
    np.testing.assert_allclose(turned.value, 0.5e6 * found.value[np.ix_(order, order)], rtol=1e-9)
    np.testing.assert_allclose(turned.error, 0.5e6 * found.error[np.ix_(order, order)], rtol=1e-6)


def test_the_matrix_is_symmetric_and_its_entries_are_those_of_quadratic():
    found = cross_slopes([collective(p, 1.0) for p in mixed(np.random.default_rng(4))])
    np.testing.assert_allclose(found.value, found.value.T)
    unit = np.eye(3)
    for a in range(3):
        for b in range(3):
            known = found.quadratic(unit[a], unit[b]).estimate
            assert abs(known.value - found.value[a, b]) <= (1e-9 if a != b else known.error)


def test_series_that_move_together_and_a_difference_that_only_rattles_are_told_apart():
    rng = np.random.default_rng(8)
    sequences = []
    for _ in range(6):
        common = walk(rng, 500, 3)[0]
        rattle = np.diff(memory(rng, 501, 3, 4.0)[0], axis=0)
        sequences.append(collective(path(np.hstack([common + 2 * rattle, common - 2 * rattle]), 2), 1.0))
    found = cross_slopes(sequences)
    difference, mean = found.quadratic(np.array([1.0, -1.0])), found.quadratic(np.array([0.5, 0.5]))
    assert difference.bound == "below" and difference.limit < 3.0
    assert abs(mean.estimate.value - 3.0) < 3 * mean.estimate.error < 1.0


def test_the_product_of_ions_that_move_as_pairs_is_read_from_the_pairs_and_what_rattles_in_them_apart():
    rng = np.random.default_rng(5)
    kept = []
    for _ in range(4):
        together, rattle = walk(rng, 1000, 3)[0], 0.3 * caged(rng, 1000, 3)[0]
        kept.append(collective(np.concatenate([path(together + rattle, 1), path(together - rattle, 1)], axis=1), 1.0))
    found, ones = cross_slopes(kept), np.ones(2)
    product = found.quadratic(np.array([1.0, 0.0]), np.array([0.0, 1.0])).estimate
    assert product.value == pytest.approx(3 * (1 - 0.09), abs=3 * product.error)
    assert product.error < 0.7 * found.error[0, 1] and product.source == "two spectra"
    squares = [found.quadratic(u).estimate for u in np.eye(2)]
    whole = found.quadratic(ones).estimate
    assert sum(s.value for s in squares) + 2 * product.value == pytest.approx(whole.value, abs=2 * whole.error)
    # In other units of one of them, or with another sign, it is the same number.
    scaled = found.quadratic(np.array([-7.0, 0.0]), np.array([0.0, 1.0])).estimate
    assert (scaled.value, scaled.error) == pytest.approx((-7 * product.value, 7 * product.error), rel=1e-9)


def test_the_integral_of_an_oscillator_in_a_heat_bath_is_its_friction_over_the_square_of_its_frequency():
    rng = np.random.default_rng(6)
    values, spectrum = oscillator(rng, 4000, 50, omega=0.5, friction=0.8)
    assert 0.5 * spectrum == pytest.approx(0.8 / 0.5**2, rel=0.01), "but for the interval of samples"
    found = autocorrelation_integral([series(values, 1.0)]).estimate
    assert found.value == pytest.approx(0.5 * spectrum, abs=3 * found.error) and found.error < 0.1 * found.value


def test_series_that_momentum_ties_together_are_no_harm():
    paths = [np.concatenate([p, -p.sum(axis=1, keepdims=True)], axis=1) for p in mixed(np.random.default_rng(5))]
    found = cross_slopes([collective(p, 1.0) for p in paths])
    three = cross_slopes([collective(p[:, :3], 1.0) for p in paths])
    np.testing.assert_allclose(found.value[:3, :3], three.value, rtol=0.05, atol=0.05)
    assert abs(found.quadratic(np.ones(4)).estimate.value) < 1e-9
    assert np.isfinite(found.error).all()


def test_a_ratio_of_a_number_to_itself_is_exactly_one():
    found = cross_slopes([collective(p, 1.0) for p in mixed(np.random.default_rng(6))])
    charge = np.outer(CHARGES, CHARGES)
    one = found.ratio(charge, charge)
    assert (one.value, one.error) == (pytest.approx(1.0), 0.0)


def test_sequences_of_different_lengths_and_intervals_go_together():
    rng = np.random.default_rng(7)
    long, short = path(walk(rng, 2000, 30)[0], 10), path(walk(rng, 500, 30)[0], 10)
    found = long_time_slope([particles(long, 1.0), particles(long[::4], 4.0), particles(short, 1.0)]).estimate
    assert abs(found.value - 3.0) < 4 * found.error


def test_what_does_not_move_has_no_slope_and_no_error():
    found = cross_slopes([collective(np.zeros((100, 2, 3)), 1.0)]).quadratic(np.ones(2))
    assert found.estimate.value == 0.0 and np.isnan(found.estimate.error)


def test_series_that_do_not_belong_together_are_refused():
    with pytest.raises(ValueError, match=r"\[1, 2\] series"):
        cross_slopes([collective(np.zeros((20, k, 3)), 1.0) for k in (1, 2)])
