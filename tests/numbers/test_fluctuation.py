"""Mean squares about a known mean: against sums written out, and what a run too short or at odds with others yields.

How often the intervals and bounds hold the truth is measured with those of motion, in test_longtime.py.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats

from lmbmd.numbers.doubt import Kind
from lmbmd.numbers.fluctuation import LEAST_SQUARES, mean_square
from lmbmd.validation.error_bars import fluctuation, memory


def test_the_variance_is_the_sum_over_all_pairs_of_frames_within_one_component():
    rng = np.random.default_rng(1)
    series = [memory(rng, n, 3, 4.0)[0] for n in (300, 500)]
    known, why = mean_square(series)
    columns = [x for one in series for x in one.T]
    products = [
        np.mean([a * b for x in columns for a, b in zip(x, x[k:], strict=False)]) for k in range(100)
    ]  # C_k, pooled
    last = next(k for k in itertools.count(step=2) if products[k] + products[k + 1] <= 0)
    total = sum(
        products[abs(i - j)] ** 2
        for x in columns
        for i in range(len(x))
        for j in range(max(i - last + 1, 0), min(i + last, len(x)))
    )
    number = sum(map(len, columns))
    assert known.value == pytest.approx(np.mean(np.concatenate(columns) ** 2), rel=1e-12)
    assert known.error == pytest.approx(np.sqrt(2 * total) / number, rel=1e-9) and not why
    assert known.n_effective == pytest.approx(2 * (known.value / known.error) ** 2, rel=1e-12)


@pytest.mark.parametrize("replicas", [1, 4])
def test_what_never_changes_is_one_square_of_each_component_and_its_bound_that_of_chi_square(replicas):
    rng = np.random.default_rng(2)
    series = [np.tile(rng.normal(size=3), (200, 1)) for _ in range(replicas)]
    known, why = mean_square(series)
    n = 3 * replicas
    assert np.isnan(known.value) and np.isnan(known.error) and known.n_effective == pytest.approx(n)
    assert why.n == pytest.approx(np.mean(np.square(series)) * n / stats.chi2.ppf(0.05, n))
    assert why.at == pytest.approx(LEAST_SQUARES / n) and LEAST_SQUARES == pytest.approx(50)


def test_what_is_zero_has_no_error_and_what_is_infinite_is_refused():
    known, why = mean_square([np.zeros((50, 3))])
    assert known.value == 0 and np.isnan(known.error) and why.kind == "never_changed"
    with pytest.raises(ValueError, match="infinite"):
        mean_square([np.array([[1.0, 2.0, np.inf]])])


def test_bounds_hold_and_wrong_intervals_are_rare_whatever_the_length():
    for length in (1, 3, 10, 20):
        found = [fluctuation(20.0, 20 * length, 1, seed)["mean square"] for seed in range(200)]
        bounds, wrong = [t for t in found if t.bound], [t for t in found if not t.bound and not t.holds]
        assert sum(t.holds for t in bounds) >= stats.binom.ppf(1e-4, len(bounds), 0.94), length
        assert len(wrong) <= stats.binom.ppf(1 - 1e-4, len(found), 0.08), length


def test_without_frames_there_is_nothing():
    found, why = mean_square([np.empty((0, 3))])
    assert math.isnan(found.value) and found.n_effective == 0 and why.kind == Kind.TOO_SHORT
