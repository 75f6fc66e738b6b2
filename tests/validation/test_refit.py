"""The refit of Lennard-Jones terms to liquids: its derivatives, its step, and that it is what the released set has."""

from pathlib import Path

import numpy as np
import openmm
import pytest
import yaml

from lmbmd.forcefield.parameters import load_set
from lmbmd.numbers.estimate import Estimate
from lmbmd.validation import refit
from lmbmd.validation.plan import REFERENCE

ROOT = Path(__file__).parents[2]
BETA = 0.4


def _samples(stiffness, pull, n=400_000):
    """Of x in U = stiffness x²/2 + pull x."""
    return np.random.default_rng(5).normal(-pull / stiffness, (BETA * stiffness) ** -0.5, n)


def test_the_slope_of_a_mean_energy_is_that_of_a_harmonic_well():
    stiffness, pull = 2.0, 3.0
    x = _samples(stiffness, pull)
    energy = stiffness * x**2 / 2 + pull * x
    assert refit.mean_slope(energy, x, BETA) == pytest.approx(-pull / stiffness, abs=0.02), "∂<U>/∂pull"
    by_stiffness = pull**2 / (2 * stiffness**2)  # <U> = kT/2 − pull²/2 stiffness
    assert refit.mean_slope(energy, x**2 / 2, BETA) == pytest.approx(by_stiffness, abs=0.03)


TERMS = {
    "set": "sage-clp-2.1.0",
    "atoms": [
        {"smarts": "[#6X4:1]", "sigma_A": 3.3, "epsilon_kJ_mol": 0.5},
        {"smarts": "[#8X2:1]", "sigma_A": 3.0, "epsilon_kJ_mol": 0.6, "from": {"sigma_A": 3.0, "epsilon_kJ_mol": 0.6}},
    ],
    "bonds": [{"smarts": "[#6X4:1]-[#8X2:2]", "charge_e": 0.02, "from": {"charge_e": 0.0}}],
}


def _found(name, part, off, slopes, width=1e-3):
    nothing = Estimate(1.0, 0.0, 10.0)
    return refit.Found(name, part, nothing, nothing, float("nan"), tuple(off), (width, width), slopes)


def test_a_step_solves_linear_liquids_from_those_to_train_on_and_leaves_out_what_nobody_measured():
    truth = np.array([0.01, 0.2, -0.01])
    slopes = [np.array([[-2.0, 0.1, 3.0], [0.5, 8.0, 1.0]]), np.array([[-1.0, 0.3, 0.2], [3.0, 4.0, 9.0]])]
    found = [_found(str(i), "training", -slope @ truth, slope, 1e-6) for i, slope in enumerate(slopes)]
    begun = {**TERMS, "bonds": [{**TERMS["bonds"][0], "charge_e": 0.0}]}
    numbers = refit.numbers_of(begun)
    assert numbers == [("atoms", 1, "sigma_A"), ("atoms", 1, "epsilon_kJ_mol"), ("bonds", 0, "charge_e")]
    only = {"atoms": [TERMS["atoms"][0], {**TERMS["atoms"][1], "from": {"epsilon_kJ_mol": 0.6}}]}
    assert refit.numbers_of(only) == [("atoms", 1, "epsilon_kJ_mol")], "what does not say where it came from is fixed"
    assert refit.step(found, begun, numbers) == pytest.approx(truth, rel=1e-3)
    found.append(_found("held", "held out", [9.0, 9.0], slopes[0], 1e-6))
    found.append(_found("unknown", "training", [float("nan")] * 2, slopes[0], 1e-6))
    assert refit.step(found, begun, numbers) == pytest.approx(truth, rel=1e-3)
    doubtful = [_found(str(i), "training", -slope @ truth, slope, 1e6) for i, slope in enumerate(slopes)]
    assert np.abs(refit.step(doubtful, begun, numbers)).max() < 1e-6, "held where it began"
    assert refit.step(doubtful, TERMS, numbers) == pytest.approx([0, 0, -0.02], abs=1e-6), "and drawn back to there"
    far = [_found("far", "training", [5.0, 5.0], np.diag([1.0, 1.0, 1.0])[:2], 1e-6)]
    assert np.abs(refit.step(far, begun, numbers)[:2]) == pytest.approx([0.04, 0.04]), "a prior width at most"


def test_charges_that_are_handed_on_keep_a_molecule_neutral_and_reach_its_1_4_pairs():
    base = load_set("sage-clp-2.1.0")
    was, now = (_plain(p.system("DME")) for p in (base, refit.patched(base, TERMS, "DME")))
    moved = {0: 0.02, 1: -0.04, 2: 0.02, 3: 0.02, 4: -0.04, 5: 0.02}  # COCCOC
    for i, (old, new) in enumerate(zip(was[0], now[0], strict=True)):
        assert new[0] - old[0] == pytest.approx(moved.get(i, 0.0), abs=1e-12)
    assert sum(q for q, _, _ in now[0]) == pytest.approx(0.0, abs=1e-9)
    scaled = [row for row in now[1] if row[2]]
    assert len(scaled) == sum(bool(row[2]) for row in was[1]) > 10
    for i, j, product, sigma_nm, epsilon in scaled:
        (q1, s1, e1), (q2, s2, e2) = now[0][i], now[0][j]
        assert product == pytest.approx(q1 * q2 / 1.2, rel=1e-5)
        assert (sigma_nm, epsilon) == pytest.approx(((s1 + s2) / 2, 0.5 * (e1 * e2) ** 0.5), rel=1e-6)


def _plain(system):
    force = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    atoms = [[v._value for v in force.getParticleParameters(i)] for i in range(force.getNumParticles())]
    pairs = [force.getExceptionParameters(k) for k in range(force.getNumExceptions())]
    return atoms, [[getattr(v, "_value", v) for v in pair] for pair in pairs]


def test_a_moved_number_is_moved_alone():
    for number, by, expected in zip(
        refit.numbers_of(TERMS), (0.1, -0.1, 0.01), (3.0 * 1.1051709, 0.54290, 0.03), strict=True
    ):
        changed = refit.moved(TERMS, number, by)
        section, index, key = number
        assert changed[section][index][key] == pytest.approx(expected, rel=1e-4)
        changed[section][index][key] = TERMS[section][index][key]
        assert changed == TERMS
    assert refit.distance(("bonds", 0, "charge_e"), TERMS["bonds"][0]) == pytest.approx(0.02 / refit.PRIOR["charge_e"])


def test_a_third_of_the_liquids_is_held_out_from_every_fit():
    parts = [facts["part"] for facts in REFERENCE["liquids"].values()]
    assert set(parts) == {"training", "held out"} and parts.count("held out") >= len(parts) / 3


@pytest.mark.parametrize("name", ["benzene", "FB", "F3B", "DMSO"])
def test_patched_with_the_recipe_is_what_was_released(name):
    terms = yaml.safe_load((ROOT / "force_fields/recipes/refit.yaml").read_text(encoding="utf-8"))["atoms"]
    released = load_set("sage-clp-2.1.0")
    before = refit.patched(
        released, {"atoms": [{**term, "sigma_A": 3.3, "epsilon_kJ_mol": 0.5} for term in terms]}, name
    )
    systems = [refit.patched(before, {"atoms": terms}, name).system(name), released.system(name)]
    ours, theirs = (next(f for f in s.getForces() if isinstance(f, openmm.NonbondedForce)) for s in systems)
    for count, get in (("getNumParticles", "getParticleParameters"), ("getNumExceptions", "getExceptionParameters")):
        for i in range(getattr(theirs, count)()):
            mine, published = ([getattr(v, "_value", v) for v in getattr(f, get)(i)] for f in (ours, theirs))
            assert mine == pytest.approx(published, rel=1e-9, abs=1e-12)
    changed = before.systems[name] != released.systems[name]
    assert changed, "or this would compare nothing"
