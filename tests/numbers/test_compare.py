"""Intervals, differences, ratios and corrected p-values against their definitions."""

import math

import numpy as np
import pytest
from scipy import stats

from lmbmd.numbers.compare import combined, difference, half_width, holm, interval, p_value, ratio
from lmbmd.numbers.estimate import Estimate


def test_the_error_of_a_difference_and_a_ratio_is_that_of_many_draws():
    """The naive twin: draw both numbers, take the difference and the ratio of every pair."""
    rng = np.random.default_rng(5)
    a, b = Estimate(5.0, 0.3, 120.0, 40.0), Estimate(8.0, 0.4, 30.0, 10.0)
    x, y = a.value + a.error * rng.normal(size=200_000), b.value + b.error * rng.normal(size=200_000)
    # A standard deviation of n draws is known to 1 / sqrt(2 n) = 0.16 %: five of those.
    assert difference(a, b).error == pytest.approx(np.std(x - y), rel=0.008)
    # To first order in the errors: the next order is (b.error / b.value)² = 0.25 % of it.
    assert ratio(a, b).error == pytest.approx(np.std(x / y), rel=0.015)
    # Welch and Satterthwaite: between the smaller of both and their sum.
    assert 10.0 < difference(a, b).degrees_of_freedom < 50.0
    assert difference(a, Estimate(8.0, 0.0, math.nan, math.inf)).degrees_of_freedom == pytest.approx(40.0)


def test_holm_is_what_its_definition_says():
    """Naive twin: sort; the k-th smallest of m times m − k + 1, never below an earlier one, never above 1."""
    p = [0.01, np.nan, 0.04, 0.03, 0.5]
    assert holm(p).tolist() == pytest.approx([0.04, np.nan, 0.09, 0.09, 0.5], nan_ok=True)
    many = np.random.default_rng(4).random((50, 7)) ** 3
    many[3, 2:5] = np.nan
    np.testing.assert_array_equal(holm(many), [holm(row) for row in many])


@pytest.mark.parametrize("compare", [difference, ratio])
def test_errors_that_are_known_exactly_leave_nothing_to_doubt_about_their_sum(compare):
    read_off = Estimate(5.0, 0.3, math.nan, math.inf)
    assert compare(read_off, read_off).degrees_of_freedom == math.inf
    # Only the sampled part is in doubt: (0.09 + 0.16)² / (0.16² / 10), and as much for the ratio.
    sampled = Estimate(5.0, 0.4, 30.0, 10.0)
    assert compare(read_off, sampled).degrees_of_freedom == pytest.approx(10 * (0.25 / 0.16) ** 2)
    exact = Estimate(5.0, 0.0, math.nan, math.inf)
    assert (compare(exact, exact).error, compare(exact, exact).degrees_of_freedom) == (0.0, math.inf)


def test_two_exact_numbers_are_equal_or_differ():
    assert p_value([0.0, 0.3], 0.0, math.inf).tolist() == [1.0, 0.0]
    assert half_width(0.0, math.nan) == 0.0 and interval(Estimate(2.0, 0.0, math.nan)) == (2.0, 2.0)


def test_arrays_are_compared_number_by_number():
    error, freedom = combined(np.array([0.3, 0.0]), np.array([40.0, np.inf]), np.array([0.4, 0.2]), 10.0)
    one = [difference(Estimate(1.0, 0.3, 1.0, 40.0), Estimate(1.0, 0.4, 1.0, 10.0)), Estimate(0.0, 0.2, 1.0, 10.0)]
    np.testing.assert_allclose(error, [e.error for e in one])
    np.testing.assert_allclose(freedom, [e.degrees_of_freedom for e in one])
    np.testing.assert_allclose(
        p_value(0.5, error, freedom), [2 * stats.t.sf(0.5 / e.error, e.degrees_of_freedom) for e in one]
    )
