"""Times with errors from counted lifetimes, against exponentials and two-state processes with known rates."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from systems import DME, FSI, LI, NA, NO3, atom_table
from telegraph import BOX, curve, fold, random_run, result_of, row, two_state

from lmbmd.analysis.dynamics.lifetimes import N_GROUPS
from lmbmd.analysis.dynamics.lifetimes_account import decay_time_ps, integral_time_ps, jackknife, lifetimes_account
from lmbmd.core.errors import LmbmdError
from lmbmd.data.described import DESCRIPTOR_COLUMNS, descriptor_frame


def test_a_pair_that_never_breaks_stays_at_one_and_has_no_time():
    result = fold(BOX, [[(0, ("FSI", 0), 0), (1, ("FSI", 1), 0)]] * 41, interval_ps=10.0)
    assert (curve(result, "FSI") == 1.0).all() and (curve(result, "FSI", kind="continuous") == 1.0).all()
    account = lifetimes_account([result], BOX)
    descriptors, tables = account.rows, account.tables
    found = row(tables["residence"], partner="FSI", correlation="continuous")
    assert np.isnan(found.tau_ps) and np.isnan(found.error) and np.isnan(found.integral_ps)
    assert found.outcome == "not decayed: C(200 ps) = 1, so longer than 200 ps"
    exchange = next(d for d in descriptors if d.name == "exchange_rate_per_ns")
    # Two centres, 400 ps each: 3 / 0.8 ns.
    assert exchange.value == 0.0 and np.isnan(exchange.error) and "below 3.8 at 95 %" in exchange.method
    # Two contacts bound for 400 ps each without a loss: longer than 800 / 3 ps.
    time, shown = next(d for d in descriptors if d.name == "exchange_time_ps"), row(tables["exchange"], partner="FSI")
    assert np.isnan(time.value) and time.method.endswith("none was seen: longer than 2.7e+02 ps at 95 %")
    assert np.isnan(shown.tau_ps) and shown.outcome == "none was seen: longer than 2.7e+02 ps at 95 %"
    run = next(d for d in descriptors if d.name == "run_length_in_residence_times")
    assert np.isnan(run.value) and "not decayed: C(200 ps) = 1" in run.method


def test_exchange_in_a_crowded_box_has_an_integral_but_no_1_over_e_time():
    on, off = 0.08, 0.02
    state = two_state(np.random.default_rng(2), (100, 2000), on, off)
    account = lifetimes_account([result_of(state)], BOX)
    descriptors, tables = account.rows, account.tables
    found = row(tables["residence"], correlation="intermittent")
    assert np.isnan(found.tau_ps) and found.outcome.startswith("no 1/e time: random exchange in this box leaves C")
    assert abs(found.integral_ps + 1 / np.log(1 - on - off)) <= 4 * found.integral_error < 4
    integral = next(d for d in descriptors if d.name == "residence_integral_intermittent_ps")
    assert integral.value == found.integral_ps and "no 1/e" not in integral.method


def test_pairs_that_are_always_together_have_not_decayed():
    atoms = atom_table((LI, 1), (FSI, 1))
    tables = lifetimes_account([fold(atoms, [[(0, ("FSI", 0), 0)]] * 30)], atoms).tables
    assert tables["residence"].outcome.str.startswith("not decayed").all()
    assert tables["residence_states"].outcome.str.startswith("not decayed").all()


def test_contacts_that_break_within_a_frame_are_not_resolved():
    for on, off, c in ((0.01, 0.95, "0.0"), (0.45, 0.5, "0.4")):
        state = two_state(np.random.default_rng(3), (50, 400), on, off)
        tables = lifetimes_account([result_of(state, 4.0)], BOX).tables
        found = row(tables["residence"], correlation="intermittent")
        assert np.isnan(found.tau_ps) and np.isnan(found.integral_ps)
        assert found.outcome.startswith(f"not resolved: C(4 ps) = {c}")


def test_a_single_frame_has_no_time():
    account = lifetimes_account([fold(BOX, [[(0, ("DME", 0), 0)]])], BOX)
    descriptors, tables = account.rows, account.tables
    assert set(tables["residence"].outcome) == {"not decayed: the run is too short to see any time pass"}
    assert all(np.isnan(d.value) and ("too short" in d.method or "single frame" in d.method) for d in descriptors)


def test_a_box_without_contacts_gives_empty_tables():
    result = fold(BOX, [[]] * 20)
    tables = lifetimes_account([result], BOX).tables
    assert len(tables["residence"]) == len(tables["residence_curves"]) == 0
    assert "tau_ps" in tables["residence"] and "c" in tables["residence_curves"]


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
    account = lifetimes_account([result], BOX)
    descriptors, tables = account.rows, account.tables
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
    # A contact is lost with probability ``off`` per frame of 2 ps, however many there are.
    time = next(d for d in descriptors if d.name == "exchange_time_ps")
    assert abs(time.value - 2.0 / off) <= 4 * time.error and time.error < 0.03 * time.value
    shown = row(tables["exchange"], partner="DME")
    assert (shown.tau_ps, shown.error, shown.outcome) == (time.value, time.error, "seen")


@pytest.mark.slow
def test_errors_of_residence_times_cover_as_often_as_they_say():
    rng, trials, tau = np.random.default_rng(12), 300, -1.0 / np.log(0.95)
    hits = 0
    for _ in range(trials):
        state = two_state(rng, (40, 300), 0.02, 0.05)
        tables = lifetimes_account([result_of(state)], BOX).tables
        found = row(tables["residence"], correlation="continuous")
        hits += abs(found.tau_ps - tau) <= stats.t.ppf(0.975, N_GROUPS - 1) * found.error
    # Jackknife of ten groups, Student's t with nine degrees of freedom; conservative by nature.
    assert stats.binom.ppf(1e-4, trials, 0.95) <= hits <= stats.binom.ppf(1 - 1e-4, trials, 0.98)


def test_correlated_groups_are_caught_by_the_scatter_of_replicas():
    rng = np.random.default_rng(13)
    runs = [result_of(two_state(rng, (60, 1000), 0.02, off)) for off in (0.02, 0.05, 0.12)]
    together = lifetimes_account(runs, BOX).tables
    single = [row(lifetimes_account([r], BOX).tables["residence"], correlation="continuous") for r in runs]
    found = row(together["residence"], correlation="continuous")
    assert found.error > 5 * max(s.error for s in single)


def test_jackknife_of_a_mean_is_its_standard_error():
    x = np.random.default_rng(14).standard_normal((12, 3))
    value, error, freedom = jackknife(np.divide, x, np.ones_like(x), np.arange(12) % 2)
    np.testing.assert_allclose(value, x.mean(axis=0))
    np.testing.assert_allclose(error, x.std(axis=0, ddof=1) / np.sqrt(12))
    assert freedom == 11 and jackknife(np.divide, x, np.ones_like(x), np.arange(12) % 3)[2] == 2
    assert np.isnan(jackknife(np.divide, x[:1], np.ones((1, 3)), np.zeros(1))[1]).all()


def test_one_jackknife_has_the_same_freedom_whether_it_is_told_as_a_time_a_rate_or_a_ratio():
    """Three runs leave two degrees of freedom, one run as many as its ten groups of centres, few events fewer."""
    atoms, rng = atom_table((LI, 80), (FSI, 80)), np.random.default_rng(21)

    def told(runs, frames):
        results = []
        for _ in range(runs):
            on = two_state(rng, (80, frames), 0.02, 0.1)
            pairs = [[(c, ("FSI", int(c)), 0) for c in np.flatnonzero(on[:, t])] for t in range(frames)]
            results.append(fold(atoms, pairs, 2.0))
        names = {"exchange_rate_per_ns", "exchange_time_ps", "run_length_in_residence_times"}
        names |= {"residence_time_intermittent_ps", "residence_time_continuous_ps"}
        rows = [d for d in lifetimes_account(results, atoms).rows if d.name in names]
        assert {d.name for d in rows} == names
        return {d.unit: d.degrees_of_freedom for d in rows}, min(d.n_effective for d in rows)

    for runs, frames, freedom in ((3, 100, 2.0), (1, 400, 9.0)):
        found, events = told(runs, frames)
        assert events >= 3 * freedom and found == dict.fromkeys(("ps", "1/ns", "1"), freedom)
    at = [(0, ("DME", 0), 0), (1, ("DME", 1), 0)]
    account = lifetimes_account(
        [fold(BOX, ([at] * 10 + [[]] * 10) * 2, 10.0), fold(BOX, ([at] * 7 + [[]] * 7) * 3, 10.0)], BOX
    )
    rate = next(d for d in account.rows if d.name == "exchange_rate_per_ns")
    assert rate.n_effective == 10 and rate.degrees_of_freedom == 3.0  # four groups of one centre each


def test_replicas_are_pooled_over_the_lags_of_the_shortest():
    rng = np.random.default_rng(15)
    states = [two_state(rng, (20, n), 0.05, 0.1) for n in (200, 120)]
    tables = lifetimes_account([result_of(s) for s in states], BOX).tables
    found = tables["residence_curves"].query("correlation == 'intermittent'")
    assert found.t_ps.max() == 60.0
    at = lambda s, t: (s[:, : s.shape[1] - t] & s[:, t:]).sum()  # noqa: E731
    expected = sum(at(s, 30) for s in states) / sum(s.mean() * 20 * (s.shape[1] - 30) for s in states)
    assert row(found, t_ps=30.0).c == pytest.approx(expected)


def test_runs_with_other_frame_intervals_are_refused():
    state = two_state(np.random.default_rng(16), (5, 50), 0.1, 0.1)
    with pytest.raises(LmbmdError, match="frames are 2 ps apart, those of the first run 1 ps") as error:
        lifetimes_account([result_of(state, 1.0), result_of(state, 2.0)], BOX)
    assert error.value.where == "replica 2"


def test_exchange_rate_is_losses_per_centre_and_time():
    at = [(0, ("DME", 0), 0)]
    result = fold(BOX, ([at] * 10 + [[]] * 10) * 5, interval_ps=10.0)
    rate = next(d for d in lifetimes_account([result], BOX).rows if d.name == "exchange_rate_per_ns")
    # Five losses, two centres, 99 intervals of 10 ps.
    assert rate.value == pytest.approx(5 / (2 * 0.99)) and rate.n_effective == 5
    assert rate.method.endswith("; error not reliable (5 losses)")
    assert "up to 0 ps not counted" in rate.method


def test_exchange_time_is_bound_time_over_losses():
    at, other = [(0, ("DME", 0), 0)], [(1, ("DME", 1), 0)]
    # Bound in 50 and in 76 of 100 frames, five losses and three; groups are the two centres.
    frames = [(at if t % 20 < 10 else []) + (other if t % 32 < 24 else []) for t in range(100)]
    descriptors = lifetimes_account([fold(BOX, frames, interval_ps=10.0)], BOX).rows
    time = next(d for d in descriptors if d.name == "exchange_time_ps")
    bound = sum(map(len, frames))
    assert time.value == pytest.approx(bound * 10.0 * 0.99 / 8) and time.n_effective == 8
    assert time.method.endswith("; error not reliable (8 losses)")
    # Jackknife of two groups: half the distance of what either says alone.
    alone = [sum(t % 20 < 10 for t in range(100)) / 5, sum(t % 32 < 24 for t in range(100)) / 3]
    assert time.error == pytest.approx(abs(alone[0] - alone[1]) * 9.9 / 2)


def test_losses_of_one_centre_alone_tell_no_error():
    frames = [[(0, ("DME", 0), 0)] * (t % 20 < 10) for t in range(100)]
    descriptors = lifetimes_account([fold(BOX, frames, interval_ps=10.0)], BOX).rows
    time = next(d for d in descriptors if d.name == "exchange_time_ps")
    assert time.value == pytest.approx(99.0) and np.isnan(time.error)
    assert time.method.endswith("; no error: all losses are in one group of centres")


@pytest.mark.parametrize(("n_pairs", "kind"), [(4, "few_losses"), (40, "")])
def test_a_decay_time_of_fewer_than_ten_losses_has_an_error_that_is_not_relied_on(n_pairs, kind):
    """As the exchange rate's: two groups of few pairs may agree by chance, with an error of nothing."""
    atoms = atom_table((LI, 40), (FSI, 40))
    frames = [[(c, ("FSI", c), 0) for c in range(n_pairs) if t < 40 + 13 * (c % 3)] for t in range(200)]
    account = lifetimes_account([fold(atoms, frames, 2.0)], atoms)
    named = {d.name: d for d in account.rows if d.species == "FSI"}
    names = ("residence_time_continuous_ps", "residence_integral_continuous_ps", "run_length_in_residence_times")
    for time in (named[name] for name in names):
        assert np.isfinite(time.value) and time.doubt_kind == kind and time.n_effective == n_pairs
    shown = row(account.tables["residence"], correlation="continuous")
    assert (shown.outcome == "decayed") == (not kind) and shown.outcome_kind == kind


def test_run_length_is_counted_in_residence_times_of_anions_only():
    atoms = atom_table((LI, 30), (FSI, 30), (DME, 1))
    on = two_state(np.random.default_rng(17), (30, 400), 0.02, 0.1)
    frames = [[(c, ("FSI", int(c)), 0) for c in np.flatnonzero(on[:, t])] + [(0, ("DME", 0), 0)] for t in range(400)]
    descriptors = lifetimes_account([fold(atoms, frames, 2.0)], atoms).rows
    (run,) = [d for d in descriptors if d.name == "run_length_in_residence_times"]
    tau = next(d for d in descriptors if (d.name, d.species) == ("residence_time_intermittent_ps", "FSI"))
    assert run.species == "FSI" and run.value == pytest.approx(399 * 2.0 / tau.value)
    assert run.error / run.value == pytest.approx(tau.error / tau.value)


def test_centres_of_two_species_are_kept_apart():
    atoms = atom_table((LI, 1), (NA, 1), (NO3, 2))
    frames = [[(0, ("NO3", 0), 0), *([(1, ("NO3", 1), 0)] if t % 2 else [])] for t in range(20)]
    account = lifetimes_account([fold(atoms, frames, 5.0)], atoms)
    descriptors, tables = account.rows, account.tables
    assert sorted(set(tables["residence"].centre)) == ["Li", "Na"]
    names = {d.species for d in descriptors if d.name == "residence_time_continuous_ps"}
    assert names == {"Li-NO3", "Na-NO3"}
    rates = {d.species: d.value for d in descriptors if d.name == "exchange_rate_per_ns"}
    assert rates["Li-NO3"] == 0 and rates["Na-NO3"] == pytest.approx(9 / 0.095)


def test_tables_hold_the_agreed_columns_and_nan_only_with_a_reason():
    atoms = atom_table((LI, 4), (FSI, 3), (DME, 5))
    result = fold(atoms, random_run(atoms, 700, 18))
    account = lifetimes_account([result], atoms)
    descriptors, tables = account.rows, account.tables
    columns = {"centre", "partner", "correlation", "tau_ps", "error", "outcome"}
    assert columns <= set(tables["residence"]) and columns | {"state"} <= set(tables["residence_states"])
    assert {"partner", "correlation", "t_ps", "c", "c_error"} <= set(tables["residence_curves"])
    assert set(tables["residence_states"].state) == {"CIP", "AGG", "cluster"}
    assert tables["residence_curves"].groupby(["partner", "correlation"]).size().max() <= 200
    for _, d in descriptor_frame(descriptors)[list(DESCRIPTOR_COLUMNS)].iterrows():
        assert np.isfinite(d.value) or any(why in d.method for why in ("not decayed", "not resolved", "no 1/e"))
