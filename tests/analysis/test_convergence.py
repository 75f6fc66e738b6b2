import numpy as np
import pytest
from scipy import signal, stats

from lmbmd.analysis.convergence import FAMILY_LEVEL, LEAST_RUN_NS, convergence
from lmbmd.analysis.liquid_account import few_molecules
from lmbmd.numbers.doubt import SURE, Doubt, Kind


def noise(seed=0, n=2000, drift=0.0, correlation=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    for i in range(1, n):
        x[i] += correlation * x[i - 1]
    return 0.5 + 0.05 * x + drift * np.linspace(0, 1, n)


GOOD = {"agg_fraction_centre": [noise(1), noise(2), noise(3)]}


def judge(run_ns=(20.0, 20.0, 20.0), n_centres=100, series=GOOD, residence=None, diluents=None):
    notes, table = convergence(run_ns, n_centres, "Li", series, residence or {"FSI": (40.0, SURE)}, diluents)
    return notes, table.set_index("rule")


def test_long_stationary_run_with_replicas_is_long_enough_and_says_no_more():
    notes, table = judge()
    assert [n["verdict"] for n in notes] == ["long enough"]
    assert (table.verdict == "long enough").all()


@pytest.mark.parametrize("run_ns", [0.0, 0.3, 4.99])
def test_run_below_the_least_length_is_too_short_whatever_the_tests_say(run_ns):
    notes, table = judge(run_ns=(20.0, run_ns, 20.0))
    assert notes[0]["verdict"] == "too short"
    assert "too short to be converged" in notes[0]["text"]
    assert f"The shortest run samples {run_ns:.3g} ns; below {LEAST_RUN_NS:g} ns" in notes[1]["text"]
    assert table.verdict["run length, ns"] == "too short"


def test_run_shorter_than_ten_residence_times_is_too_short():
    notes, _ = judge(residence={"FSI": (3.2, SURE), "NO3": (200.0, SURE)})
    assert notes[0]["verdict"] == "too short"
    assert [n["text"] for n in notes[1:]] == [
        (
            "The shortest run lasts 3.2 residence times of FSI; 10 are needed before the pairs it started with are "
            "forgotten."
        )
    ]


def test_contact_that_never_decays_is_too_short_but_one_that_never_forms_is_not():
    notes, _ = judge(residence={"FSI": (float("nan"), STUCK)})
    assert notes[0]["verdict"] == "too short"
    notes, _ = judge(residence={"FSI": (float("nan"), Doubt(Kind.NOT_RESOLVED, n=0.1, at=2.0))})
    assert notes[0]["verdict"] == "long enough"
    notes, _ = convergence((20.0,) * 3, 100, "Li", GOOD, {})
    assert notes[0]["verdict"] == "long enough"


def test_drifting_quantity_is_not_converged_and_named():
    notes, _ = judge(series={"agg_fraction_anion": [noise(k, drift=0.2) for k in (1, 2, 3)]})
    assert notes[0]["verdict"] == "not converged"
    assert notes[1]["text"].startswith("AGG fraction anion drifts by +0.2")


def test_slow_quantity_with_few_independent_samples_is_not_converged():
    slow = [np.repeat(noise(k, n=2), 500) for k in (1, 2, 3)]
    notes, table = judge(series={"cluster_size_weight_average": slow})
    assert notes[0]["verdict"] == "not converged"
    assert table.value["independent samples of cluster size weight average"] < 10


# --- many series, one verdict ------------------------------------------------------------------------------------


def studies(seed, n, shared=0.0, drift=0.0, offset=0.0, frames=256, phi=0.75):
    """Made-up studies, (n, 9 series, 3 replicas, frames), some 110 independent samples of each series.

    ``shared`` is the correlation between series, ``drift`` what the first of them gains over the run and ``offset``
    what its first replica is off, in standard deviations.
    """
    rng = np.random.default_rng(seed)

    def correlated(shape):
        noise = rng.standard_normal(shape)
        noise[..., 1:] *= np.sqrt(1 - phi**2)
        return signal.lfilter([1.0], [1.0, -phi], noise, axis=-1)

    x = np.sqrt(1 - shared) * correlated((n, 9, 3, frames)) + np.sqrt(shared) * correlated((n, 1, 3, frames))
    x[:, 0] += drift * np.linspace(-0.5, 0.5, frames)
    x[:, 0, 0] += offset
    return x


def share_not_converged(made):
    found = 0
    for series in made:
        named = {f"quantity_{k}": list(runs) for k, runs in enumerate(series)}
        notes, _ = convergence((20.0,) * 3, 100, "Li", named, {})
        found += notes[0]["verdict"] == "not converged"
    return found


@pytest.mark.slow
@pytest.mark.parametrize("shared", [0.0, 0.7])
def test_a_converged_study_is_called_so_whatever_the_number_of_its_series(shared):
    """Nine stationary series, eighteen tests: no more false alarms than the rate of the family, correlated or not."""
    n = 200
    found = share_not_converged(studies(41, n, shared))
    # The p-values themselves are good to about a fifth this far out (tests/numbers/test_statistics.py).
    assert found <= stats.binom.ppf(0.9999, n, 1.2 * FAMILY_LEVEL)


@pytest.mark.parametrize("change", [{"drift": 2.0}, {"offset": 2.0}])
def test_one_series_that_drifts_or_sits_elsewhere_in_one_replica_is_found_among_nine(change):
    n = 60
    assert share_not_converged(studies(42, n, **change)) >= stats.binom.ppf(1e-4, n, 0.9)


def test_replicas_that_disagree_are_named_with_the_p_value_that_counts():
    notes, table = judge(
        series={"anion_cn": [noise(1), noise(2), noise(3) + 0.01], "total_cn": GOOD["agg_fraction_centre"]}
    )
    assert notes[0]["verdict"] == "not converged"
    text = notes[-1]["text"]
    assert text.startswith("Replicas disagree in anion CN beyond chance (p = ") and "number of tests" in text
    row = table.loc["replicas agree in anion CN"]
    assert row.p_value < row.p_corrected < FAMILY_LEVEL


def test_fraction_that_is_always_zero_needs_no_more_samples():
    notes, _ = judge(series={"agg_fraction_centre": [np.zeros(100)] * 3})
    assert [n["verdict"] for n in notes] == ["long enough"]


def test_few_centres_and_few_replicas_are_said():
    notes, _ = judge(run_ns=(20.0,), n_centres=10, series={"x": [noise(2)]})
    assert notes[0]["verdict"] == "borderline"
    assert {n["text"].split(";")[0] for n in notes[1:]} == {"The box holds 10 Li", "There is 1 replica"}


def test_worst_verdict_speaks_for_the_whole():
    notes, _ = judge(run_ns=(0.3,), series={"x": [noise(1, drift=0.2)]})
    assert notes[0]["verdict"] == "too short"
    assert {"not converged", "borderline"} <= {n["verdict"] for n in notes}


STUCK = Doubt(Kind.NOT_DECAYED, n=0.9, at=5000.0)
MAY = "The packing may have put the 0.42 TTE per Li there, and the run is too short to say whether they leave (not d"
CANNOT = "The run is too short to say whether the 0.42 TTE per Li belong there or were put there by the packing."


@pytest.mark.parametrize(
    ("run_ns", "cn", "outcome", "verdict", "text"),
    [
        (20.0, 0.42, SURE, "long enough", "No sign was found that the 0.42 TTE per Li are left"),
        (20.0, 0.42, STUCK, "borderline", MAY),
        (2.0, 0.42, STUCK, "too short", MAY),
        (2.0, 0.42, SURE, "too short", CANNOT),
        (2.0, 0.42, Doubt(Kind.NO_CROSSING), "too short", CANNOT),
        (20.0, 0.05, STUCK, "long enough", "No sign was found that the 0.05 TTE per Li are left"),
        (2.0, 0.05, STUCK, "long enough", "No sign was found that the 0.05 TTE per Li are left"),
    ],
)
def test_diluents_in_the_shell_that_may_be_left_from_the_packing_are_told(run_ns, cn, outcome, verdict, text):
    notes, table = judge(run_ns=(run_ns,) * 3, diluents={"TTE": (cn, outcome)})
    assert table.verdict["contacts of TTE"] == verdict
    assert table.text["contacts of TTE"].startswith(text)
    told = [n["text"] for n in notes if "TTE" in n["text"]]
    assert told == ([] if verdict == "long enough" else [table.text["contacts of TTE"]])
    assert notes[0]["verdict"] == ("too short" if run_ns < LEAST_RUN_NS else verdict)


def test_density_is_named_without_its_unit():
    notes, _ = judge(series={"density_g_cm3": [noise(k, drift=0.2) for k in (1, 2, 3)]})
    assert notes[1]["text"].startswith("Density drifts by +0.2")


def test_species_of_which_there_are_fewer_than_five_are_not_significant_and_fewer_than_ten_few():
    notes = few_molecules({"Li": 10, "NO3": 4, "FEC": 5, "TTE": 9, "VC": 0})
    assert [n["text"] for n in notes] == [
        "The box holds only 4 NO3: numbers about it are not significant.",
        "The box holds few FEC, only 5: numbers about it have little statistics behind them.",
        "The box holds few TTE, only 9: numbers about it have little statistics behind them.",
    ]


@pytest.mark.parametrize(("level", "verdict"), [(0.0, "long enough"), (0.3, "borderline")])
def test_a_share_that_never_left_another_value_than_zero_may_be_stuck(level, verdict):
    _, table = convergence([10.0], 100, "Li", {"agg_fraction_anion": [np.full(1000, level)]}, {})
    assert table.set_index("rule").loc["drift of AGG fraction anion", "verdict"] == verdict


@pytest.mark.parametrize(
    ("outcome", "verdict"),
    [(Kind.NOT_DECAYED, "too short"), (Kind.RUN_TOO_SHORT, "too short"), (Kind.NOT_RESOLVED, "long enough")],
)
def test_an_exchange_too_fast_to_resolve_is_sampled_and_one_too_slow_is_not(outcome, verdict):
    _, table = convergence([10.0], 100, "Li", {}, {"FSI": (float("nan"), Doubt(outcome))})
    assert table.loc[table.rule.str.contains("FSI"), "verdict"].tolist() == [verdict]
