"""Lifetimes against hand counts, loops over all pairs of frames, and two-state processes with known rates."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import systems
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from systems import DME, FSI, LI, NA, NO3, atom_table, frame

from lmbmd.analysis.intervals import Intervals
from lmbmd.analysis.lifetime_tables import decay_time_ps, integral_time_ps, jackknife, residence_tables
from lmbmd.analysis.lifetimes import N_GROUPS, Correlation, Exchange, Residence, ResidenceResult
from lmbmd.errors import LmbmdError
from lmbmd.tables import DESCRIPTOR_COLUMNS, Frame, descriptor_frame


def intervals(on, group=None):
    """Intervals of a dense (n_pairs, n_frames) table of ones and zeros."""
    on = np.asarray(on, bool)
    n_pairs, n_frames = on.shape
    edge = np.diff(on.astype(int), axis=1, prepend=0, append=0)
    (pair, start), (_, end) = np.nonzero(edge > 0), np.nonzero(edge < 0)
    group = np.arange(n_pairs) % 3 if group is None else group
    return Intervals(pair, start, end, group[pair], int(group.max(initial=0)) + 1, n_frames)


def fold(atoms, frames, interval_ps=1.0, **options):
    """Residence over frames, each a list of contacts for ``systems.frame``."""
    residence = Residence(atoms, **options)
    for i, contacts in enumerate(frames):
        residence.add(frame(atoms, contacts, i, i * interval_ps))
    return residence.result()


def curve(result, partner="DME", state="contact", kind="intermittent", centre="Li"):
    (c,) = [
        c
        for c in result.correlations
        if (c.partner, c.state, c.kind) == (partner, state, kind) and c.centre in (centre, "")
    ]
    return c.together.sum(axis=0) / c.origins.sum(axis=0)


def row(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def two_state(rng, shape, on, off):
    """Stationary on/off processes along the last axis; ``on`` and ``off`` are probabilities per frame to switch."""
    state = np.empty(shape, bool)
    uniform = rng.random(shape)
    state[..., 0] = uniform[..., 0] < on / (on + off)
    for i in range(1, shape[-1]):
        state[..., i] = np.where(state[..., i - 1], uniform[..., i] >= off, uniform[..., i] < on)
    return state


def result_of(state, interval_ps=1.0, n_groups=N_GROUPS):
    """What ``Residence`` makes of processes (n_centres, n_frames), each centre with a molecule of its own."""
    n, n_frames = state.shape
    held = intervals(state, np.arange(n) % n_groups)
    lag = np.arange(n_frames)
    origins = np.outer(held.frames_on() / n_frames, n_frames - lag)
    level = float(state.mean())
    curves = [
        Correlation("Li", "DME", "contact", kind, 0.0, lag, counts, origins, random, held.departures())
        for kind, counts, random in (("intermittent", held.both(), level), ("continuous", held.unbroken(), 0.0))
    ]
    centres = np.bincount(np.arange(n) % n_groups)
    return ResidenceResult(interval_ps, n_frames, tuple(curves), (Exchange("Li", "DME", 0.0, held.losses(), centres),))


BOX = atom_table((LI, 2), (FSI, 2), (DME, 2))


# ---------------------------------------------------------------- counts over intervals


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), n_pairs=st.integers(0, 8), n_frames=st.integers(1, 40), p=st.floats(0.02, 0.98))
def test_counts_agree_with_loops_over_all_pairs_of_frames(seed, n_pairs, n_frames, p):
    on = np.random.default_rng(seed).random((n_pairs, n_frames)) < p
    found, n_groups = intervals(on), min(max(n_pairs, 1), 3)
    both, unbroken = np.zeros((2, n_groups, n_frames), int)
    for pair in range(n_pairs):
        for i in range(n_frames):
            for j in range(i, n_frames):
                both[pair % 3, j - i] += on[pair, i] and on[pair, j]
                unbroken[pair % 3, j - i] += on[pair, i : j + 1].all()
    np.testing.assert_array_equal(found.both(), both)
    np.testing.assert_array_equal(found.unbroken(), unbroken)
    np.testing.assert_array_equal(found.frames_on(), both[:, 0])
    lost = [(on[g::3, :-1] & ~on[g::3, 1:]).sum() for g in range(n_groups)]
    np.testing.assert_array_equal(found.losses(), lost)
    assert found.departures() == (on.any(axis=1) & ~on[:, -1]).sum()


def test_counts_by_fft_are_exact_for_long_flickering_pairs():
    on = two_state(np.random.default_rng(1), (60, 3000), 0.3, 0.3)
    counts = sum(np.correlate(x, x, "full")[2999:] for x in on.astype(int))
    np.testing.assert_array_equal(intervals(on).both().sum(axis=0), counts)


def test_mending_joins_stretches_across_gaps_up_to_the_tolerance():
    held = intervals([[1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0], [0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1]])
    for gap, start, end in [
        (0, [0, 2, 5, 9, 1, 7], [1, 3, 6, 10, 6, 12]),
        (1, [0, 5, 9, 1], [3, 6, 10, 12]),
        (2, [0, 9, 1], [6, 10, 12]),
        (3, [0, 1], [10, 12]),
    ]:
        mended = held.mended(gap)
        assert (mended.start.tolist(), mended.end.tolist()) == (start, end)
    assert held.mended(2).losses().sum() == 2 and held.mended(2).departures() == 1


# ---------------------------------------------------------------- the fold


def test_correlations_of_one_pair_by_hand():
    # On at frames 0, 1, 3, 4 of six: <h> = 4/6. At both: 0–1, 3–4 (lag 1), 1–3 (2), 0–3, 1–4 (3), 0–4 (4).
    at = [(0, ("DME", 0), 0)]
    result = fold(BOX, [at, at, [], at, at, []])
    both, unbroken, h = [4 / 6, 2 / 5, 1 / 4, 2 / 3, 1 / 2, 0], [4 / 6, 2 / 5, 0, 0, 0, 0], 4 / 6
    np.testing.assert_allclose(curve(result), np.array(both) / h)
    np.testing.assert_allclose(curve(result, kind="continuous"), np.array(unbroken) / h)
    # Mended up to 2 ps: on at 0 … 4.
    np.testing.assert_allclose(curve(result, kind="mended"), np.array([5 / 6, 4 / 5, 3 / 4, 2 / 3, 1 / 2, 0]) / (5 / 6))
    (exchange,) = result.exchanges
    assert exchange.losses.sum() == 1 and exchange.centres.sum() == 2 and exchange.tolerance_ps == 2.0


def test_a_molecule_touching_with_two_atoms_is_one_contact():
    one = fold(BOX, [[(0, ("DME", 0), 0)]] * 5)
    two = fold(BOX, [[(0, ("DME", 0), 0), (0, ("DME", 0), 1)], [(0, ("DME", 0), 1)]] + [[(0, ("DME", 0), 0)]] * 3)
    np.testing.assert_array_equal(curve(one), curve(two))


def test_a_pair_that_never_breaks_stays_at_one_and_has_no_time():
    result = fold(BOX, [[(0, ("FSI", 0), 0), (1, ("FSI", 1), 0)]] * 41, interval_ps=10.0)
    assert (curve(result, "FSI") == 1.0).all() and (curve(result, "FSI", kind="continuous") == 1.0).all()
    descriptors, tables = residence_tables([result], BOX)
    found = row(tables["residence"], partner="FSI", correlation="continuous")
    assert np.isnan(found.tau_ps) and np.isnan(found.error) and np.isnan(found.integral_ps)
    assert found.outcome == "not decayed: C(200 ps) = 1, so longer than 200 ps"
    exchange = next(d for d in descriptors if d.name == "exchange_rate_per_ns")
    # Two centres, 400 ps each: 3 / 0.8 ns.
    assert exchange.value == 0.0 and np.isnan(exchange.error) and "below 3.8 at 95 %" in exchange.method
    run = next(d for d in descriptors if d.name == "run_length_in_residence_times")
    assert np.isnan(run.value) and "not decayed: C(200 ps) = 1" in run.method


def test_exchange_in_a_crowded_box_has_an_integral_but_no_1_over_e_time():
    on, off = 0.08, 0.02
    state = two_state(np.random.default_rng(2), (100, 2000), on, off)
    descriptors, tables = residence_tables([result_of(state)], BOX)
    found = row(tables["residence"], correlation="intermittent")
    assert np.isnan(found.tau_ps) and found.outcome.startswith("no 1/e time: random exchange in this box leaves C")
    assert abs(found.integral_ps + 1 / np.log(1 - on - off)) <= 4 * found.integral_error < 4
    integral = next(d for d in descriptors if d.name == "residence_integral_intermittent_ps")
    assert integral.value == found.integral_ps and "no 1/e" not in integral.method


def test_pairs_that_are_always_together_have_not_decayed():
    atoms = atom_table((LI, 1), (FSI, 1))
    _, tables = residence_tables([fold(atoms, [[(0, ("FSI", 0), 0)]] * 30)], atoms)
    assert tables["residence"].outcome.str.startswith("not decayed").all()
    assert tables["residence_states"].outcome.str.startswith("not decayed").all()


def test_contacts_that_break_within_a_frame_are_not_resolved():
    for on, off, c in ((0.01, 0.95, "0.0"), (0.45, 0.5, "0.4")):
        state = two_state(np.random.default_rng(3), (50, 400), on, off)
        _, tables = residence_tables([result_of(state, 4.0)], BOX)
        found = row(tables["residence"], correlation="intermittent")
        assert np.isnan(found.tau_ps) and np.isnan(found.integral_ps)
        assert found.outcome.startswith(f"not resolved: C(4 ps) = {c}")


def test_a_single_frame_has_no_time():
    descriptors, tables = residence_tables([fold(BOX, [[(0, ("DME", 0), 0)]])], BOX)
    assert set(tables["residence"].outcome) == {"not decayed: the run is too short to see any time pass"}
    assert all(np.isnan(d.value) and ("too short" in d.method or "single frame" in d.method) for d in descriptors)


def test_a_box_without_contacts_gives_empty_tables():
    result = fold(BOX, [[]] * 20)
    _, tables = residence_tables([result], BOX)
    assert len(tables["residence"]) == len(tables["residence_curves"]) == 0
    assert "tau_ps" in tables["residence"] and "c" in tables["residence_curves"]


def test_no_frame_is_a_mistake():
    with pytest.raises(ValueError, match="no frame"):
        Residence(BOX).result()


@pytest.mark.parametrize("times", [[0, 2, 4, 8], [0, 2, 4, 4], [0, 2, 1], [5, 5]])
def test_frames_at_irregular_intervals_are_refused(times):
    residence = Residence(BOX)
    with pytest.raises(LmbmdError, match="one interval between frames") as error:
        for i, t in enumerate(times):
            residence.add(frame(BOX, [], i, float(t)))
    assert error.value.where.startswith(f"frame {len(times) - 1} (")


def test_frames_too_far_apart_leave_nothing_to_mend():
    at = [(0, ("DME", 0), 0)]
    kinds = lambda dt, **o: {c.kind for c in fold(BOX, [at, [], at], dt, **o).correlations if c.state == "contact"}  # noqa: E731
    assert kinds(2.0) == {"intermittent", "continuous", "mended"}
    assert kinds(2.1) == {"intermittent", "continuous"}
    assert kinds(1.0, tolerance_ps=0.0) == {"intermittent", "continuous"}


def random_run(atoms, n_frames, seed, p=0.5):
    """Frames whose contacts come and go, with one or two donor atoms each."""
    rng = np.random.default_rng(seed)
    partners = [(name, k) for name in [s.name for s in atoms.species[1:]] for k in range(atoms.count(name))]
    on = two_state(rng, (len(atoms.centres), len(partners), n_frames), 0.1, 0.2)
    return [
        [(c, partners[m], d) for c, m in np.argwhere(on[:, :, t]) for d in ((0,) if rng.random() < p else (0, 1))]
        for t in range(n_frames)
    ]


def dense(atoms, frames):
    """(n_frames, n_centres, n_molecules) of ones and zeros."""
    h = np.zeros((len(frames), len(atoms.centres), atoms.n_molecules), bool)
    for t, contacts in enumerate(frames):
        for centre, (species, k), _ in contacts:
            h[t, centre, systems.molecules(atoms, species)[k]] = True
    return h


def test_the_fold_agrees_with_dense_arrays_for_every_state():
    atoms = atom_table((LI, 4), (FSI, 3), (DME, 5))
    frames = random_run(atoms, 40, 5)
    result, h = fold(atoms, frames), dense(atoms, frames)
    per_anion = h.sum(axis=1)
    for partner, state, on in [
        ("DME", "contact", h[:, :, systems.molecules(atoms, "DME")]),
        ("FSI", "contact", h[:, :, systems.molecules(atoms, "FSI")]),
        ("FSI", "CIP", (h & (per_anion == 1)[:, None])[:, :, systems.molecules(atoms, "FSI")]),
        ("FSI", "AGG", (h & (per_anion > 1)[:, None])[:, :, systems.molecules(atoms, "FSI")]),
    ]:
        both = np.array([(on[: 40 - t] & on[t:]).sum() / (40 - t) for t in range(40)])
        np.testing.assert_allclose(curve(result, partner, state), both / on.sum() * 40)
        unbroken = [sum(on[i : i + t + 1].all(axis=0).sum() for i in range(40 - t)) / (40 - t) for t in range(40)]
        np.testing.assert_allclose(curve(result, partner, state, "continuous"), np.array(unbroken) / on.sum() * 40)
        (c,) = [c for c in result.correlations if (c.partner, c.state, c.kind) == (partner, state, "intermittent")]
        assert c.random == pytest.approx(on.mean())
    assert not [c for c in result.correlations if c.partner == "DME" and c.state != "contact"]


def test_cluster_membership_agrees_with_lists_of_pairs():
    atoms = atom_table((LI, 4), (FSI, 4))
    frames = random_run(atoms, 30, 6)
    n = len(atoms.centres) + 4
    same = np.zeros((30, n, n), bool)
    for t, contacts in enumerate(frames):
        reach = np.eye(n, dtype=bool)
        for centre, (_, k), _ in contacts:
            reach[centre, 4 + k] = reach[4 + k, centre] = True
        for _ in range(n):
            reach = (reach.astype(int) @ reach) > 0
        same[t] = reach & ~np.eye(n, dtype=bool)
    (c,) = [c for c in fold(atoms, frames).correlations if c.state == "cluster"]
    assert c.lag.tolist() == sorted(set(c.lag.tolist())) and c.lag[:6].tolist() == [0, 1, 2, 3, 4, 5] and c.lag[-1] < 30
    for i, t in enumerate(c.lag):
        first, last = same[: 30 - t], same[t:]
        assert c.together[:, i].sum() == (first & last).sum() // 2
        assert c.origins[:, i].sum() == (first.sum() + last.sum()) / 4
    assert c.random == pytest.approx(same.sum() / (30 * n * (n - 1)))
    assert c.departures == (same[0] & ~same[-1]).sum() // 2


def test_time_reversal_changes_no_correlation():
    frames = random_run(BOX, 35, 7)
    forward, backward = fold(BOX, frames), fold(BOX, frames[::-1])
    for a, b in zip(forward.correlations, backward.correlations, strict=True):
        np.testing.assert_array_equal(a.together.sum(axis=0), b.together.sum(axis=0))
        np.testing.assert_allclose(a.origins.sum(axis=0), b.origins.sum(axis=0))


def test_renumbered_molecules_and_centres_change_no_correlation():
    frames = random_run(BOX, 30, 8)
    swapped = [[(1 - c, (s, 1 - k), d) for c, (s, k), d in contacts] for contacts in frames]
    for a, b in zip(fold(BOX, frames).correlations, fold(BOX, swapped).correlations, strict=True):
        np.testing.assert_array_equal(a.together.sum(axis=0), b.together.sum(axis=0))


def test_two_copies_of_a_box_have_the_correlations_of_one():
    twice = atom_table((LI, 4), (FSI, 4), (DME, 4))
    frames = random_run(BOX, 30, 9)
    copies = [contacts + [(c + 2, (s, k + 2), d) for c, (s, k), d in contacts] for contacts in frames]
    one, two = fold(BOX, frames), fold(twice, copies)
    for a, b in zip(one.correlations, two.correlations, strict=True):
        np.testing.assert_array_equal(2 * a.together.sum(axis=0), b.together.sum(axis=0))


def test_feeding_stops_and_goes_on_without_a_trace():
    frames = random_run(BOX, 30, 10)
    residence = Residence(BOX)
    for i, contacts in enumerate(frames):
        residence.add(frame(BOX, contacts, i), frame(BOX, contacts, i))
        if i == 11:
            residence.result()
    for a, b in zip(residence.result().correlations, fold(BOX, frames).correlations, strict=True):
        np.testing.assert_array_equal(a.together, b.together)


def test_what_is_stored_grows_with_events_not_with_frames():
    residence = Residence(BOX)
    for i in range(500):
        residence.add(frame(BOX, [(0, ("DME", 0), 0), *([(1, ("DME", 1), 0)] if i >= 100 else [])], i))
    assert sum(map(len, residence._started)) == 2 and sum(map(len, residence._ended)) == 0


# ---------------------------------------------------------------- times and their errors


@pytest.mark.parametrize("tau", [3.0, 40.0])
def test_the_times_of_an_exponential_are_exact(tau):
    t = np.arange(0, 400.0, 2.0)
    c = np.exp(-t / tau)
    assert decay_time_ps(t, c) == pytest.approx(tau, rel=1e-12)
    assert integral_time_ps(t, c) == pytest.approx(tau, rel=1e-9)
    assert integral_time_ps(t, 0.2 + 0.8 * c, random=0.2) == pytest.approx(tau, rel=1e-9)


def test_the_integral_of_an_unfinished_decay_uses_its_tail():
    t = np.arange(0, 60.0, 1.0)  # 1.5 τ: 22 % are left
    assert integral_time_ps(t, np.exp(-t / 40.0)) == pytest.approx(40.0, rel=1e-9)
    two = 0.5 * np.exp(-np.arange(0, 900.0) / 5.0) + 0.5 * np.exp(-np.arange(0, 900.0) / 100.0)
    # ∫ = 52.5; exponential interpolation of a convex sum is off by (dt/τ)²/12 of the fast part, below 0.01.
    assert integral_time_ps(np.arange(0, 900.0), two) == pytest.approx(52.5, abs=0.05)


def test_there_is_no_time_where_the_curve_stays_up_or_the_tail_rises():
    t = np.arange(10.0)
    assert np.isnan(decay_time_ps(t, np.full(10, 0.5)))
    assert np.isnan(integral_time_ps(t, np.full(10, 0.5)))
    assert np.isnan(integral_time_ps(t, np.full(10, 1.0), random=1.0))
    assert np.isnan(integral_time_ps(t, np.array([1, 0.2, 0.1, 0.1, 0.15, 0.2, 0.25, 0.3, 0.3, 0.3])))
    assert decay_time_ps(t, np.array([1, 0.5] + [0.0] * 8)) < 2.0


def test_two_state_processes_have_their_known_times():
    on, off, n_frames = 0.01, 0.05, 4000
    state = two_state(np.random.default_rng(11), (100, n_frames), on, off)
    result = result_of(state, interval_ps=2.0)
    descriptors, tables = residence_tables([result], BOX)
    p, decay = on / (on + off), 1 - on - off
    inter, cont = tables["residence_curves"], row(tables["residence"], correlation="continuous")
    inter = inter[inter.correlation == "intermittent"]
    exact = p + (1 - p) * decay ** (inter.t_ps / 2.0)
    # 100 processes of 4000 frames: points are correlated, so the largest of all deviations is bounded.
    assert (np.abs(inter.c - exact) <= 4.5 * inter.c_error + 1e-12).all()
    tau = -2.0 / np.log(1 - off)
    assert abs(cont.tau_ps - tau) <= 4 * cont.error and cont.error < 0.02 * tau
    assert abs(cont.integral_ps - tau) <= 4 * cont.integral_error
    excess = row(tables["residence"], correlation="intermittent")
    assert abs(excess.integral_ps + 2.0 / np.log(decay)) <= 4 * excess.integral_error
    assert excess.integral_error < 0.05 * excess.integral_ps
    assert abs(excess.random - p) < 0.01
    rate = next(d for d in descriptors if d.name == "exchange_rate_per_ns")
    assert abs(rate.value - p * off / 2.0e-3) <= 4 * rate.error and rate.error < 0.03 * rate.value


def test_errors_of_residence_times_cover_as_often_as_they_say():
    rng, trials, tau = np.random.default_rng(12), 300, -1.0 / np.log(0.95)
    hits = 0
    for _ in range(trials):
        state = two_state(rng, (40, 300), 0.02, 0.05)
        _, tables = residence_tables([result_of(state)], BOX)
        found = row(tables["residence"], correlation="continuous")
        hits += abs(found.tau_ps - tau) <= stats.t.ppf(0.975, N_GROUPS - 1) * found.error
    # Jackknife of ten groups, Student's t with nine degrees of freedom; conservative by nature.
    assert stats.binom.ppf(1e-4, trials, 0.95) <= hits <= stats.binom.ppf(1 - 1e-4, trials, 0.98)


def test_correlated_groups_are_caught_by_the_scatter_of_replicas():
    rng = np.random.default_rng(13)
    runs = [result_of(two_state(rng, (60, 1000), 0.02, off)) for off in (0.02, 0.05, 0.12)]
    _, together = residence_tables(runs, BOX)
    single = [row(residence_tables([r], BOX)[1]["residence"], correlation="continuous") for r in runs]
    found = row(together["residence"], correlation="continuous")
    assert found.error > 5 * max(s.error for s in single)


def test_jackknife_of_a_mean_is_its_standard_error():
    x = np.random.default_rng(14).standard_normal((12, 3))
    value, error = jackknife(np.divide, x, np.ones_like(x), np.arange(12) % 2)
    np.testing.assert_allclose(value, x.mean(axis=0))
    np.testing.assert_allclose(error, x.std(axis=0, ddof=1) / np.sqrt(12))
    assert np.isnan(jackknife(np.divide, x[:1], np.ones((1, 3)), np.zeros(1))[1]).all()


def test_replicas_are_pooled_over_the_lags_of_the_shortest():
    rng = np.random.default_rng(15)
    states = [two_state(rng, (20, n), 0.05, 0.1) for n in (200, 120)]
    _, tables = residence_tables([result_of(s) for s in states], BOX)
    found = tables["residence_curves"].query("correlation == 'intermittent'")
    assert found.t_ps.max() == 60.0
    at = lambda s, t: (s[:, : s.shape[1] - t] & s[:, t:]).sum()  # noqa: E731
    expected = sum(at(s, 30) for s in states) / sum(s.mean() * 20 * (s.shape[1] - 30) for s in states)
    assert row(found, t_ps=30.0).c == pytest.approx(expected)


def test_runs_with_other_frame_intervals_are_refused():
    state = two_state(np.random.default_rng(16), (5, 50), 0.1, 0.1)
    with pytest.raises(LmbmdError, match="frames are 2 ps apart, those of the first run 1 ps") as error:
        residence_tables([result_of(state, 1.0), result_of(state, 2.0)], BOX)
    assert error.value.where == "replica 2"


def test_exchange_rate_is_losses_per_centre_and_time():
    at = [(0, ("DME", 0), 0)]
    result = fold(BOX, ([at] * 10 + [[]] * 10) * 5, interval_ps=10.0)
    rate = next(d for d in residence_tables([result], BOX)[0] if d.name == "exchange_rate_per_ns")
    # Five losses, two centres, 99 intervals of 10 ps.
    assert rate.value == pytest.approx(5 / (2 * 0.99)) and rate.n_effective == 5
    assert "up to 0 ps not counted" in rate.method


def test_run_length_is_counted_in_residence_times_of_anions_only():
    atoms = atom_table((LI, 30), (FSI, 30), (DME, 1))
    on = two_state(np.random.default_rng(17), (30, 400), 0.02, 0.1)
    frames = [[(c, ("FSI", int(c)), 0) for c in np.flatnonzero(on[:, t])] + [(0, ("DME", 0), 0)] for t in range(400)]
    descriptors, _ = residence_tables([fold(atoms, frames, 2.0)], atoms)
    (run,) = [d for d in descriptors if d.name == "run_length_in_residence_times"]
    tau = next(d for d in descriptors if (d.name, d.species) == ("residence_time_intermittent_ps", "FSI"))
    assert run.species == "FSI" and run.value == pytest.approx(399 * 2.0 / tau.value)
    assert run.error / run.value == pytest.approx(tau.error / tau.value)


def test_centres_of_two_species_are_kept_apart():
    atoms = atom_table((LI, 1), (NA, 1), (NO3, 2))
    frames = [[(0, ("NO3", 0), 0), *([(1, ("NO3", 1), 0)] if t % 2 else [])] for t in range(20)]
    descriptors, tables = residence_tables([fold(atoms, frames, 5.0)], atoms)
    assert sorted(set(tables["residence"].centre)) == ["Li", "Na"]
    names = {d.species for d in descriptors if d.name == "residence_time_continuous_ps"}
    assert names == {"Li-NO3", "Na-NO3"}
    rates = {d.species: d.value for d in descriptors if d.name == "exchange_rate_per_ns"}
    assert rates["Li-NO3"] == 0 and rates["Na-NO3"] == pytest.approx(9 / 0.095)


def test_tables_hold_the_agreed_columns_and_nan_only_with_a_reason():
    atoms = atom_table((LI, 4), (FSI, 3), (DME, 5))
    result = fold(atoms, random_run(atoms, 700, 18))
    descriptors, tables = residence_tables([result], atoms)
    columns = {"centre", "partner", "correlation", "tau_ps", "error", "outcome"}
    assert columns <= set(tables["residence"]) and columns | {"state"} <= set(tables["residence_states"])
    assert {"partner", "correlation", "t_ps", "c", "c_error"} <= set(tables["residence_curves"])
    assert set(tables["residence_states"].state) == {"CIP", "AGG", "cluster"}
    assert tables["residence_curves"].groupby(["partner", "correlation"]).size().max() <= 200
    for _, d in descriptor_frame(descriptors)[list(DESCRIPTOR_COLUMNS)].iterrows():
        assert np.isfinite(d.value) or any(why in d.method for why in ("not decayed", "not resolved", "no 1/e"))


# ---------------------------------------------------------------- another program's curves


@pytest.mark.skipif("LMBMD_REFERENCE_DATA" not in os.environ, reason="LMBMD_REFERENCE_DATA is not set")
def test_magnesium_contacts_of_mdproptools_data_keep_their_published_correlation():
    """mg_tfsi_dme of github.com/molmd/mdproptools: Mg–O contacts within 2.8 Å, 101 frames 50 ps apart."""
    import MDAnalysis as mda
    import pandas as pd

    from lmbmd.analysis.contacts import ContactOptions, find_contacts
    from lmbmd.tables import AtomTable, SpeciesInfo

    folder = Path(os.environ["LMBMD_REFERENCE_DATA"]) / "mg_tfsi_dme"
    listed, box = pd.read_csv(folder / "atoms.csv"), pd.read_csv(folder / "boxes.csv")
    names = {"DME": 0, "TFS": 1, "MG": 2}
    species = listed.resname.map(names).to_numpy(np.int32)
    sites = np.where((listed.element == "O") & (species < 2), species, -1).astype(np.int32)
    atoms = AtomTable(
        (SpeciesInfo("DME", "solvent", 0), SpeciesInfo("TFSI", "anion", -1), SpeciesInfo("Mg", "cation", 2)),
        ("DME:O", "TFSI:O"), species, pd.factorize(listed.resindex)[0].astype(np.int32), sites,
        listed.element.to_numpy(object), listed.name.to_numpy(object), listed.mass.to_numpy(float),
        listed.charge.to_numpy(float),
    )  # fmt: skip
    universe = mda.Universe(str(folder / "mg_tfsi_dme.pdb"), str(folder / "mg_tfsi_dme_unwrapped.dcd"))
    frames = [
        Frame(i, 50.0 * i, step.positions.copy(), np.diag(box.loc[i, ["lx", "ly", "lz"]].to_numpy(float)))
        for i, step in enumerate(universe.trajectory)
    ]
    contacts, _ = find_contacts(frames, atoms, ContactOptions(search_radius_A=3.0, rdf_radius_A=3.0))
    residence = Residence(atoms)
    for contact in contacts:
        residence.add(contact.within(2.8), contact)
    result = residence.result()
    for partner in ("DME", "TFSI"):
        reference = np.loadtxt(folder / f"ref_intermittent_C_{partner}.csv", delimiter=",", skiprows=1)
        # Printed with six decimals.
        np.testing.assert_allclose(curve(result, partner, centre="Mg"), reference[:, 1], atol=5.1e-7)
    _, tables = residence_tables([result], atoms)
    assert tables["residence"].outcome.str.startswith("not decayed").all()
