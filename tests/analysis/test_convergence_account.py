import numpy as np
import pytest

from lmbmd.analysis.convergence_account import RUNNING_POINTS, error_tables
from lmbmd.numbers.estimate import estimate_mean


@pytest.fixture(scope="module")
def told():
    rng = np.random.default_rng(3)
    runs = [rng.normal(1.0, 0.2, 400), rng.normal(1.0, 0.2, 200)]
    times = [5.0 * np.arange(400) + 5.0, 5.0 * np.arange(200) + 5.0]
    return runs, times, error_tables({"total_cn": runs, "stuck": [np.ones(400), np.ones(200)]}, times)


def test_errors_are_told_of_each_replica_and_of_all_together(told):
    runs, _, tables = told
    rows = tables["errors"][tables["errors"].quantity == "total_cn"].set_index("replica")
    assert rows.index.tolist() == [0, 1, 2] and rows.frames.tolist() == [600, 400, 200]
    for replica, chosen in ((0, runs), (1, runs[:1]), (2, runs[1:])):
        mean = estimate_mean(chosen)
        assert tuple(rows.loc[replica, ["value", "error", "n_effective"]]) == (mean.value, mean.error, mean.n_effective)
        assert rows.doubt[replica] == ""


def test_a_single_replica_is_told_once(told):
    runs, times, _ = told
    assert error_tables({"cn": runs[:1]}, times[:1])["errors"].replica.tolist() == [0]


def test_the_running_mean_ends_at_the_mean_and_stops_every_replica_at_the_same_age(told):
    runs, times, tables = told
    rows = tables["running"][tables["running"].quantity == "total_cn"]
    assert len(rows) == RUNNING_POINTS and rows.time_ps.iloc[-1] == pytest.approx(times[0][-1] - times[0][0])
    assert rows.value.iloc[-1] == estimate_mean(runs).value
    # A quarter of 1995 ps: the first 100 frames of both.
    quarter = rows.iloc[RUNNING_POINTS // 4 - 1]
    first = estimate_mean([run[:100] for run in runs])
    assert (quarter.value, quarter.error) == (first.value, first.error)


def test_what_never_changed_says_so(told):
    rows = told[2]["errors"]
    assert set(rows[rows.quantity == "stuck"].doubt) == {"never changed"}
