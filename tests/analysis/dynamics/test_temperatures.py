"""Laws over temperatures against constructed truth."""

import math

import numpy as np
import pytest
from scipy.optimize import curve_fit

from lmbmd.analysis.dynamics.temperatures import arrhenius, has_logarithm, kink, vtf
from lmbmd.core.units import GAS_CONSTANT_KJ_MOL_K as R
from lmbmd.numbers.compare import half_width
from lmbmd.numbers.doubt import Kind
from lmbmd.numbers.estimate import Estimate

FEW, MANY = (273.15, 298.15, 323.15), tuple(np.linspace(243.0, 343.0, 7))


def exact(temperatures, law, relative=0.05, freedom=20.0):
    """Points on the law itself."""
    return [(T, Estimate(law(T), relative * law(T), freedom + 1, freedom)) for T in temperatures]


def drawn(rng, temperatures, law, relative, freedom):
    """Points about the law, each with an error from few samples."""
    points = []
    for T in temperatures:
        true = relative * law(T)
        error = true * math.sqrt(rng.chisquare(freedom) / freedom)
        points.append((T, Estimate(law(T) + true * rng.normal(), error, freedom + 1, freedom)))
    return points


def covered(estimate, truth):
    return abs(estimate.value - truth) < half_width(estimate.error, estimate.degrees_of_freedom)


@pytest.mark.parametrize("rises", [True, False])
def test_the_energy_of_points_on_a_line_is_that_of_the_line(rises):
    sign = -1 if rises else 1
    law = arrhenius(exact(FEW, lambda T: 3.0 * math.exp(sign * 17.5 / (R * T))), rises)
    assert law.activation_energy_kJ_mol.value == pytest.approx(17.5)
    assert law.log_prefactor.value == pytest.approx(math.log(3.0))
    assert law.at(np.array(FEW)) == pytest.approx([3.0 * math.exp(sign * 17.5 / (R * T)) for T in FEW])
    assert not law.doubt and law.temperatures_K == FEW


def test_the_error_is_that_of_another_weighted_fit():
    rng = np.random.default_rng(3)
    points = drawn(rng, MANY, lambda T: 5.0 * math.exp(-20.0 / (R * T)), 0.05, 30)
    T, x, e = (np.array(column) for column in zip(*((T, p.value, p.error) for T, p in points), strict=True))
    found, covariance = curve_fit(lambda u, a, b: a - b * u, 1 / T, np.log(x), sigma=e / x, absolute_sigma=True)
    law = arrhenius(points)
    assert law.b_K.value == pytest.approx(found[1], rel=1e-6)
    assert law.b_K.error == pytest.approx(math.sqrt(covariance[1, 1]), rel=1e-6)


def test_a_unit_of_the_value_changes_no_energy():
    points = exact(FEW, lambda T: math.exp(-20 / (R * T)))
    scaled = [(T, Estimate(1e-9 * p.value, 1e-9 * p.error, p.n_effective, p.degrees_of_freedom)) for T, p in points]
    assert arrhenius(scaled).b_K.value == pytest.approx(arrhenius(points).b_K.value)
    assert arrhenius(scaled).b_K.error == pytest.approx(arrhenius(points).b_K.error)


def test_two_temperatures_give_no_energy_and_four_no_vtf():
    law = arrhenius(exact(FEW[:2], lambda T: math.exp(-20 / (R * T))))
    assert math.isnan(law.b_K.value) and law.doubt.kind == Kind.FEW_TEMPERATURES
    assert str(law.doubt) == "2 temperatures with a value to rely on, 3 are needed"
    assert np.isnan(law.at(np.array([300.0]))).all()
    assert vtf(exact(MANY[:4], lambda T: math.exp(-900 / (T - 170)))).doubt.kind == Kind.FEW_TEMPERATURES
    assert not vtf(exact(MANY[:5], lambda T: math.exp(-900 / (T - 170)), 0.02)).doubt


@pytest.mark.parametrize("unknown", [(1.0, 0.6), (-1.0, 0.1), (0.0, 0.1), (1.0, 0.0), (1.0, math.nan)])
def test_a_value_that_is_not_told_from_zero_has_no_logarithm(unknown):
    points = exact(FEW, lambda T: math.exp(-20 / (R * T)))
    strange = (310.0, Estimate(*unknown, 9.0, 8.0))
    assert not has_logarithm(strange[1])
    assert arrhenius([*points, strange]) == arrhenius(points)


def test_points_off_the_line_are_told_and_their_error_is_that_of_the_scatter():
    bent = exact(MANY, lambda T: math.exp(-900 / (T - 170)), relative=0.01)
    law = arrhenius(bent)
    assert law.doubt.kind == Kind.NOT_ON_LINE and law.b_K.degrees_of_freedom == len(MANY) - 2
    assert law.b_K.error > 5 * arrhenius(exact(MANY, lambda T: math.exp(-3000 / T), relative=0.01)).b_K.error


@pytest.mark.parametrize("rises", [True, False])
def test_the_parameters_of_points_on_a_bent_law_are_its_own(rises):
    sign = -1 if rises else 1
    law = vtf(exact(MANY, lambda T: 2.0 * math.exp(sign * 900.0 / (T - 170.0)), relative=0.02), rises)
    assert (law.b_K.value, law.t0_K.value) == pytest.approx((900.0, 170.0), rel=1e-3)
    assert law.log_prefactor.value == pytest.approx(math.log(2.0), abs=1e-2)
    assert law.at(np.array([300.0]))[0] == pytest.approx(2.0 * math.exp(sign * 900.0 / 130.0), rel=1e-3)


def test_the_errors_of_a_bent_law_are_those_of_another_fit():
    rng = np.random.default_rng(5)
    points = drawn(rng, MANY, lambda T: 2.0 * math.exp(-900.0 / (T - 170.0)), 0.02, 30)
    T, x, e = (np.array(column) for column in zip(*((T, p.value, p.error) for T, p in points), strict=True))
    of = lambda t, a, b, t0: a - b / (t - t0)  # noqa: E731
    found, covariance = curve_fit(of, T, np.log(x), p0=(0.7, 900, 170), sigma=e / x, absolute_sigma=True)
    law = vtf(points)
    numbers = (law.log_prefactor, law.b_K, law.t0_K)
    assert [n.value for n in numbers] == pytest.approx(list(found), rel=1e-3)
    assert [n.error for n in numbers] == pytest.approx(list(np.sqrt(np.diag(covariance))), rel=1e-2)


def test_points_on_a_straight_line_tell_no_t0():
    law = vtf(exact(MANY, lambda T: math.exp(-3000 / T)))
    assert law.doubt.kind == Kind.NOT_BENT and math.isnan(law.t0_K.value)


@pytest.mark.parametrize(("temperatures", "freedom"), [(FEW, 5), (FEW, 20), (MANY, 10)])
def test_intervals_of_the_energy_hold_the_truth_as_often_as_they_say(temperatures, freedom):
    rng = np.random.default_rng(11)
    of = lambda T: math.exp(5 - 20.0 / (R * T))  # noqa: E731
    laws = [arrhenius(drawn(rng, temperatures, of, 0.1, freedom)) for _ in range(600)]
    share = np.mean([covered(law.activation_energy_kJ_mol, 20.0) for law in laws])
    assert 0.90 <= share <= 0.98
    assert np.mean([bool(law.doubt) for law in laws]) < 0.03


@pytest.mark.slow
def test_intervals_of_a_bent_law_hold_the_truth_and_a_straight_one_is_seldom_called_bent():
    rng = np.random.default_rng(12)
    of = lambda T: math.exp(5 - 960.0 / (T - 170.0))  # noqa: E731
    laws = [vtf(drawn(rng, MANY, of, 0.03, 20)) for _ in range(300)]
    for name, truth in (("log_prefactor", 5.0), ("b_K", 960.0), ("t0_K", 170.0)):
        assert 0.90 <= np.mean([covered(getattr(law, name), truth) for law in laws]) <= 0.98
    straight = [vtf(drawn(rng, MANY, lambda T: math.exp(5 - 2400.0 / T), 0.05, 10)) for _ in range(300)]
    assert np.mean([law.doubt.kind != Kind.NOT_BENT for law in straight]) < 0.07


# ---- the kink of a glass transition


def volume(tg, below=2e-4, more=4e-4):
    return lambda T: 0.85 + below * (T - tg) + more * max(T - tg, 0.0)


def scattered(rng, temperatures, law, error, freedom):
    """Points about the law with one true error, each known from few samples."""
    shown = error * np.sqrt(rng.chisquare(freedom, len(temperatures)) / freedom)
    return [
        (T, Estimate(law(T) + error * rng.normal(), e, freedom + 1, freedom))
        for T, e in zip(temperatures, shown, strict=True)
    ]


@pytest.mark.parametrize("tg", [241.0, 263.7, 310.0])
def test_two_lines_that_meet_are_found_wherever_they_meet(tg):
    temperatures = np.linspace(180.0, 380.0, 9)
    law = volume(tg)
    found = kink([(T, Estimate(law(T), 1e-6, 21.0, 20.0)) for T in temperatures[::-1]])
    assert found.tg_K.value == pytest.approx(tg, abs=0.05) and found.at_kink == pytest.approx(0.85, abs=1e-4)
    assert (found.below_per_K, found.above_per_K) == (pytest.approx(2e-4, rel=1e-2), pytest.approx(6e-4, rel=1e-2))
    assert found.at(temperatures) == pytest.approx([law(T) for T in temperatures], abs=1e-5)
    assert not found.doubt and found.temperatures_K == tuple(temperatures)


@pytest.mark.parametrize(
    ("temperatures", "law", "kind"),
    [
        (np.linspace(180, 380, 6), volume(270.0), Kind.FEW_TEMPERATURES),
        (np.linspace(180, 380, 9), volume(270.0, more=0.0), Kind.NO_KINK),
        (np.linspace(180, 380, 9), volume(270.0, below=6e-4, more=-4e-4), Kind.NO_KINK),
        (np.linspace(180, 380, 9), volume(370.0), Kind.NO_KINK),
    ],
)
def test_without_a_kink_between_temperatures_there_is_no_number_and_the_reason(temperatures, law, kind):
    """The last: a kink with one temperature above it is none that these points could show."""
    rng = np.random.default_rng(3)
    found = kink(scattered(rng, temperatures, law, 2e-3, 20.0))
    assert math.isnan(found.tg_K.value) and found.doubt.kind is kind


@pytest.mark.parametrize(("n", "error", "freedom"), [(7, 3e-4, 5.0), (9, 1e-3, 10.0), (12, 3e-3, 30.0)])
def test_the_interval_of_the_kink_holds_the_truth(n, error, freedom):
    rng, temperatures = np.random.default_rng(5), np.linspace(180.0, 420.0, n)
    inside = shown = called = 0
    for _ in range(150):
        tg = 300.0 + rng.uniform(-24.0, 24.0)
        found = kink(scattered(rng, temperatures, volume(tg), error, freedom)).tg_K
        shown += math.isfinite(found.value)
        inside += math.isfinite(found.value) and covered(found, tg)
        straight = kink(scattered(rng, temperatures, volume(tg, more=0.0), error, freedom))
        called += math.isfinite(straight.tg_K.value)
    assert shown > 130 and 0.88 < inside / shown < 0.99 and called < 12
