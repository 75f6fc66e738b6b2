"""Means weighted by class: exact where they must be, and error bars that cover."""

from __future__ import annotations

import numpy as np
import pytest

from lmbmd.analysis.energies.weighted import Sample, of_class, weighted


def test_where_each_class_is_drawn_as_it_occurs_the_mean_is_the_plain_one():
    rng = np.random.default_rng(1)
    kind = np.repeat([0, 1, 2, 3], [40, 30, 20, 10])
    total, number = rng.normal(5, 2, 100), rng.integers(0, 4, 100).astype(float)
    counts = [np.tile([4, 3, 2, 1], (50, 1))]
    sample = Sample(kind, total, number)
    assert weighted([sample], counts).value == pytest.approx(total.sum() / number.sum())
    ones = Sample(kind, total, np.ones(100))
    assert weighted([ones], counts).value == pytest.approx(total.mean())
    assert weighted([ones], counts).n_effective == pytest.approx(100)
    halves = [Sample(kind[k::2], total[k::2], number[k::2]) for k in (0, 1)]
    assert weighted(halves, [counts[0][:25], counts[0][25:]]).value == pytest.approx(total.sum() / number.sum())


def test_a_rare_class_that_is_drawn_as_often_as_a_common_one_weighs_less():
    sample = Sample(np.repeat([0, 3], 20), np.repeat([1.0, 11.0], 20), np.ones(40))
    counts = [np.tile([9, 0, 0, 1], (30, 1))]
    found = weighted([sample], counts)
    assert found.value == pytest.approx(2.0)
    assert found.source == "constant" and np.isnan(found.error)  # nothing scatters within a class or over the frames


def test_error_bars_cover_what_other_draws_and_runs_give():
    """300 runs of classes whose shares and values are known: the error bars are a little long, for of the
    scatter within and between replicas the larger is taken for each class."""
    from lmbmd.numbers.compare import interval

    rng, share, mean = np.random.default_rng(3), np.array([0.5, 0.3, 0.15, 0.05]), np.array([0.0, 5.0, 9.0, 20.0])
    inside, pulls = 0, []
    for _ in range(300):
        counts = rng.multinomial(12, share, size=(3, 40))
        samples = []
        for _ in range(3):
            kind = np.repeat(np.arange(4), 12)
            samples.append(Sample(kind, rng.normal(mean[kind], 3.0), np.ones(48)))
        found = weighted(samples, list(counts))
        low, high = interval(found)
        inside += low < share @ mean < high
        pulls.append((found.value - share @ mean) / found.error)
    assert inside > 0.93 * 300
    assert 0.75 < np.std(pulls) < 1.05


def test_a_class_of_one_shell_scatters_as_the_widest():
    rng = np.random.default_rng(5)
    sample = Sample(np.append(np.zeros(30, int), 3), np.append(rng.normal(0, 2, 30), 10.0), np.ones(31))
    found = weighted([sample], [np.tile([1, 0, 0, 1], (10, 1))])
    assert found.error == pytest.approx(np.hypot(0.5 * 2 / 30**0.5, 0.5 * 2.0), rel=0.3)
    alone = weighted([Sample(np.array([1]), np.array([3.0]), np.ones(1))], [np.tile([0, 5, 0, 0], (4, 1))])
    assert alone.value == 3.0 and np.isnan(alone.error) and alone.source == "one sample"


def test_nothing_drawn_has_no_value():
    empty = Sample(np.empty(0, int), np.empty(0), np.empty(0))
    assert np.isnan(weighted([empty], [np.tile([1, 0, 0, 0], (4, 1))]).value)
    assert np.isnan(of_class([empty], 0).value)
