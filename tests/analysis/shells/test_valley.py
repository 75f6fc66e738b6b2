"""Broad, noisy valleys of g(r): the cut-off, its error, and what that error reaches."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pytest

from lmbmd.analysis.family import Account, with_radius_errors
from lmbmd.analysis.shells import valley
from lmbmd.analysis.shells.cutoffs import SHARP_A, Basis, first_minimum
from lmbmd.numbers.doubt import descriptor
from lmbmd.numbers.estimate import Estimate

R = (np.arange(200) + 0.5) / 20
PEAK = 12 * np.exp(-0.5 * ((R - 1.95) / 0.12) ** 2)


def bowl(middle_A=2.95):
    """A valley that is a parabola."""
    return PEAK + np.minimum(np.where(R > 1.7, 0.2 + (R - middle_A) ** 2, 0.0), 1.2)


def plateau(end_A=4.0, depth=0.15):
    """A flat valley up to a step: that of an anion whose other atoms follow."""
    return PEAK + np.where(R > 1.6, depth, 0.0) + 1.3 / (1 + np.exp(-5 * (R - end_A)))


def seen(g, pairs, rng=None):
    """The cut-off from counts of a run with ``pairs`` expected in the bin at 1 Å; exact without ``rng``."""
    expected = pairs * R**2
    counts = g * expected if rng is None else rng.poisson(g * expected)
    return first_minimum(R, counts / expected, np.cumsum(counts), 1.0)


@pytest.mark.parametrize("g", [bowl(), plateau()], ids=["bowl", "plateau"])
@pytest.mark.parametrize("pairs", [0.5, 1.5, 5.0])
def test_the_error_of_a_cutoff_covers_the_floor_of_the_true_curve(g, pairs):
    """One error in about 68 %, two in about 95 % of forty runs: at least 50 % and 80 % (binomial, p < 0.01)."""
    true = seen(g, 1e6).cutoff_A
    rng = np.random.default_rng(11)
    found = [seen(g, pairs, rng) for _ in range(40)]
    found = [c for c in found if c.basis is not Basis.FALLBACK]
    assert len(found) >= 38
    off = np.array([abs(c.cutoff_A - true) / c.error_A for c in found])
    assert np.mean(off < 1) > 0.5 and np.mean(off < 2) > 0.8


def test_a_noisy_valley_is_known_better_from_a_curve_than_from_its_lowest_bins():
    """The lowest bins of these runs scatter by 0.21 Å, from 2.42 to 3.32 Å."""
    rng = np.random.default_rng(1)
    found = np.array([seen(plateau(), 5.0, rng).cutoff_A for _ in range(60)])
    assert found.std() < 0.1
    assert found.mean() == pytest.approx(seen(plateau(), 1e6).cutoff_A, abs=0.05)


def test_neighbours_of_a_series_of_compositions_do_not_jump_beyond_their_errors():
    """A step that moves by 0.05 Å from one composition to the next; lowest bins alone jump by half an ångström."""
    rng = np.random.default_rng(4)
    series = [seen(plateau(3.9 + 0.05 * k, 0.15 + 0.02 * k), 4.0, rng) for k in range(8)]
    for one, two in itertools.pairwise(series):
        assert abs(one.cutoff_A - two.cutoff_A) < 3 * np.hypot(one.error_A, two.error_A)
        assert abs(one.cutoff_A - two.cutoff_A) < 0.4
    assert {c.basis for c in series} == {Basis.FITTED_MINIMUM}
    assert all(0.02 < c.error_A < 0.3 and c.is_uncertain for c in series)


@pytest.mark.parametrize("pairs", [30.0, 1e3, 1e5])
def test_a_sharp_valley_keeps_the_middle_of_its_lowest_bins(pairs):
    """The wall of the next shell at 3.1 Å, nothing before it: an empty gap's middle is where it always was."""
    g = PEAK + np.where(R > 3.1, 1.5, 0.0)
    found = seen(g, pairs, np.random.default_rng(2))
    assert found.basis is Basis.FIRST_MINIMUM and not found.is_uncertain
    assert found.error_A < SHARP_A
    assert found.cutoff_A == pytest.approx(seen(g, 1e7).cutoff_A, abs=0.05)


def test_a_minimum_at_the_end_of_the_window_does_not_flip_to_the_fallback():
    rng = np.random.default_rng(3)
    found = [seen(bowl(3.5), 3.0, rng) for _ in range(20)]
    assert [c.basis for c in found].count(Basis.FALLBACK) <= 1
    assert min(c.cutoff_A for c in found if c.basis is not Basis.FALLBACK) > 3.1


def test_a_minimum_far_outside_the_window_is_a_fallback():
    assert seen(bowl(4.4), 50.0, np.random.default_rng(0)).basis is Basis.FALLBACK


def test_the_same_counts_give_the_same_error():
    first, again = (seen(plateau(), 5.0, np.random.default_rng(9)) for _ in range(2))
    assert first == again


def test_blocks_that_differ_more_than_chance_widen_the_error():
    rng = np.random.default_rng(5)
    assert valley.inflation(rng.poisson(400.0, 10).astype(float), np.full(10, 50)) == pytest.approx(1.0, abs=1.2)
    slow = 400.0 + 100 * np.array([1, 1, 1, 1, 1, -1, -1, -1, -1, -1])
    assert valley.inflation(slow, np.full(10, 50)) == pytest.approx(1e4 * 10 / 400 / 9)
    assert valley.inflation(np.array([7.0]), np.array([5])) == 1.0
    assert valley.inflation(np.zeros(4), np.full(4, 5)) == 1.0
    counts = plateau() * 5 * R**2
    one, wide = (first_minimum(R, plateau(), np.cumsum(counts), 1.0, inflation=f) for f in (1.0, 9.0))
    assert wide.error_A > 2 * one.error_A


def account(value, error=0.1, share=0.4):
    table = pd.DataFrame({"rank": [1], "label": ["Li"], "fraction": [share], "error": [0.02], "doubt": [""]})
    row = descriptor("anion_cn", "FSI", Estimate(value, error, 50.0, 40.0), "1", "counted")
    return Account([row], {"shells": table})


def test_errors_of_two_cutoffs_and_of_sampling_add_up_as_independent():
    moved = [(account(1.0, share=0.1), account(1.4, share=0.5)), (account(1.1), account(1.3))]
    wide = with_radius_errors(account(1.2), moved, "Li–FSI:O")
    total = np.sqrt(0.1**2 + 0.2**2 + 0.1**2)
    assert wide.rows[0].error == pytest.approx(total)
    assert wide.rows[0].degrees_of_freedom == pytest.approx(40 * (total / 0.1) ** 4)
    assert wide.rows[0].value == 1.2 and "cut-off of Li–FSI:O" in wide.rows[0].method
    assert wide.tables["shells"].error.tolist() == pytest.approx([np.hypot(0.02, 0.2)])


def test_a_shell_that_is_not_seen_with_a_moved_cutoff_has_a_share_of_zero_there():
    none = account(1.2)
    gone = Account(none.rows, {"shells": none.tables["shells"].iloc[:0]})
    wide = with_radius_errors(account(1.2), [(gone, account(1.2))], "Li–FSI:O")
    assert wide.tables["shells"].error.tolist() == pytest.approx([np.hypot(0.02, 0.2)])


def test_a_number_without_a_statistical_error_gets_none_from_the_cutoff():
    single = account(1.2, float("nan"))
    wide = with_radius_errors(single, [(account(1.0), account(1.4))], "Li–FSI:O")
    assert np.isnan(wide.rows[0].error)
    assert with_radius_errors(single, [], "") is single
