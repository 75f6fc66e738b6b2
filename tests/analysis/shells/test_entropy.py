import itertools
import math
from collections import Counter

import numpy as np
import pytest
import systems

from lmbmd.analysis.shells.coordination import Shells
from lmbmd.analysis.shells.coordination_account import coordination_account
from lmbmd.analysis.shells.entropy import mixing_entropy, multinomial_entropy, random_shell_entropy, shell_entropy


def fold(atoms, frames):
    shells = Shells(atoms, "Li")
    for one in frames:
        shells.add(systems.first(atoms, one))
    return shells.result()


def test_mixing_entropy_of_equal_parts_is_the_logarithm_of_their_number():
    assert mixing_entropy(np.array([7, 7, 7, 7])) == pytest.approx(math.log(4))
    assert mixing_entropy(np.array([5, 0])) == 0
    assert mixing_entropy(np.array([3, 1])) == pytest.approx(-0.75 * math.log(0.75) - 0.25 * math.log(0.25))


@pytest.mark.parametrize(
    ("n", "x"), [(0, (0.5, 0.5)), (1, (0.2, 0.3, 0.5)), (4, (0.2, 0.3, 0.5)), (5, (0.9, 0.1)), (3, (1.0,))]
)
def test_multinomial_entropy_equals_the_sum_over_every_draw(n, x):
    """All len(x)**n sequences of draws, lumped into compositions, summed by definition."""
    p = Counter()
    for draw in itertools.product(range(len(x)), repeat=n):
        p[tuple(sorted(draw))] += math.prod(x[i] for i in draw)
    assert multinomial_entropy(n, np.array(x)) == pytest.approx(
        -sum(v * math.log(v) for v in p.values() if v < 1), abs=1e-12
    )


def test_multinomial_entropy_ignores_species_that_are_not_there():
    assert multinomial_entropy(4, np.array([0.5, 0.0, 0.5])) == pytest.approx(
        multinomial_entropy(4, np.array([0.5, 0.5]))
    )


def test_four_equally_frequent_shells_have_entropy_ln_4_plus_the_stated_correction():
    """Four Li with four different shells (one of them bare), the same in three frames: one independent frame."""
    atoms = systems.atom_table((systems.LI, 4), (systems.FSI, 2), (systems.DME, 4))
    contacts = [(1, ("DME", 0), 0), (2, ("FSI", 0), 1), (3, ("DME", 1), 0), (3, ("FSI", 1), 1)]
    found = shell_entropy([fold(atoms, [systems.frame(atoms, contacts, i) for i in range(3)])])
    assert found.value == pytest.approx(math.log(4) + 3 / (2 * 4))
    assert math.isnan(found.error)  # one independent frame


def test_entropy_of_one_kind_of_shell_is_zero():
    atoms = systems.atom_table((systems.LI, 3), (systems.DME, 4))
    assert shell_entropy([fold(atoms, [systems.frame(atoms)])]).value == 0


def test_correction_takes_most_of_the_bias_of_a_short_run():
    """20 independent frames of 3 Li drawn from 12 equally likely shells: the plain estimate is 8 % low on average."""
    atoms = systems.atom_table((systems.LI, 3), (systems.FSI, 3), (systems.DME, 12), (systems.TTE, 6))
    rng = np.random.default_rng(0)
    plain, corrected = [], []
    for _ in range(60):
        frames = []
        for i in range(20):
            contacts = []
            for li in range(3):
                n_dme, n_tte = rng.integers(0, 4), rng.integers(0, 3)
                contacts += [(li, ("DME", 4 * li + k), 0) for k in range(n_dme)]
                contacts += [(li, ("TTE", 2 * li + k), 0) for k in range(n_tte)]
            frames.append(systems.frame(atoms, contacts, i))
        result = fold(atoms, frames)
        p = np.array([result.type_series(t).sum() for t in result.types]) / 60
        plain.append(-(p * np.log(p)).sum())
        corrected.append(shell_entropy([result]).value)
    # The number of independent frames is itself estimated, so a part of the bias stays.
    bias = math.log(12) - np.mean(plain)
    assert bias > 5 * np.std(plain) / math.sqrt(60)
    assert abs(math.log(12) - np.mean(corrected)) < bias / 2


def test_random_shells_have_the_entropy_of_draws_from_the_box():
    """Two Li with one molecule and none: H = ln 2 + ½ ln-entropy of one draw from 1/4 FSI, 3/4 DME."""
    atoms = systems.atom_table((systems.LI, 2), (systems.FSI, 2), (systems.DME, 6))
    result = fold(atoms, [systems.frame(atoms, [(0, ("DME", 0), 0)])])
    one_draw = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    assert random_shell_entropy([result]).value == pytest.approx(math.log(2) + 0.5 * one_draw)


def test_shells_drawn_at_random_reach_the_random_value():
    """The fold's entropy of shells that really are drawn from the bulk agrees with the formula."""
    atoms = systems.atom_table((systems.LI, 30), (systems.FSI, 300), (systems.DME, 900))
    rng = np.random.default_rng(1)
    frames = []
    for i in range(60):
        contacts = []
        for li in range(30):
            fsi = rng.binomial(3, 0.25)
            contacts += [(li, ("FSI", 10 * li + k), 1) for k in range(fsi)]
            contacts += [(li, ("DME", 30 * li + k), 0) for k in range(3 - fsi)]
        frames.append(systems.frame(atoms, contacts, i))
    result = fold(atoms, frames)
    found = shell_entropy([result])
    assert found.error > 0
    assert found.value == pytest.approx(random_shell_entropy([result]).value, abs=4 * found.error)


def test_the_error_of_random_shells_is_the_scatter_of_their_sizes():
    """Many short runs whose shells have random sizes: the error bars are as long as the entropies scatter."""
    atoms = systems.atom_table((systems.LI, 8), (systems.FSI, 16), (systems.DME, 32))
    rng = np.random.default_rng(3)
    random, excess = [], []
    for _ in range(150):
        frames = []
        for i in range(40):
            size, fsi = rng.binomial(4, 0.4, 8), rng.integers(0, 3, 8)
            contacts = [(li, ("DME", 4 * li + k), 0) for li in range(8) for k in range(size[li])]
            contacts += [(li, ("FSI", 2 * li + k), 1) for li in range(8) for k in range(min(fsi[li], 2))]
            frames.append(systems.frame(atoms, contacts, i))
        rows = coordination_account([fold(atoms, frames)], atoms, "Li").rows
        told = {row.name: row for row in rows if row.name.startswith("shell_entropy")}
        random.append((told["shell_entropy_random"].value, told["shell_entropy_random"].error))
        excess.append((told["shell_entropy_excess"].value, told["shell_entropy_excess"].error))
    for values, errors in (np.transpose(random), np.transpose(excess)):
        # The scatter of 150 values is known to 6 %, and the search for correlation makes errors of 40 frames longer.
        assert errors.mean() == pytest.approx(values.std(ddof=1), rel=0.3)


def test_shells_of_one_species_have_no_excess_whatever_their_sizes_do():
    """Their entropy is that of their sizes, and so is the random one: what is sampled in both cancels in the excess."""
    atoms, rng = systems.atom_table((systems.LI, 4), (systems.DME, 12)), np.random.default_rng(4)
    frames = []
    for i in range(60):
        size = rng.integers(0, 4, 4)
        contacts = [(li, ("DME", 3 * li + k), 0) for li in range(4) for k in range(size[li])]
        frames.append(systems.frame(atoms, contacts, i))
    told = {row.name: row for row in coordination_account([fold(atoms, frames)], atoms, "Li").rows}
    correction = told["shell_entropy"].value - told["shell_entropy_random"].value
    assert told["shell_entropy_excess"].value == pytest.approx(correction)
    assert told["shell_entropy_random"].error == pytest.approx(told["shell_entropy"].error)
    assert told["shell_entropy"].error > 1e-3 and not told["shell_entropy_excess"].error > 1e-9
