"""The refit of Lennard-Jones terms to liquids: its derivatives, its step, and that it is what the released set has."""

from pathlib import Path

import numpy as np
import openmm
import pytest
import yaml

from lmbmd.forcefield.parameters import load_set
from lmbmd.validation import refit

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


def test_a_step_solves_a_linear_liquid_and_leaves_out_what_nobody_measured(monkeypatch):
    truth = np.array([0.01, 0.2])
    slopes = {"one": np.array([[-2.0, 0.1], [0.5, 8.0]]), "two": np.array([[-1.0, 0.3], [3.0, 4.0]])}
    monkeypatch.setattr(refit, "derivatives", lambda liquid, *_: slopes[liquid])
    monkeypatch.setattr(refit, "PRIOR", {"sigma_A": 1e3, "epsilon_kJ_mol": 1e3})
    numbers = [(0, "sigma_A"), (0, "epsilon_kJ_mol")]
    found = [(name, {"off": list(-slope @ truth)}) for name, slope in slopes.items()]
    assert refit.step(found, 100.0, [], numbers) == pytest.approx(truth, rel=1e-4)
    found[1][1]["off"][1] = float("nan")
    assert refit.step(found, 100.0, [], numbers) == pytest.approx(truth, rel=1e-4)
    monkeypatch.setattr(refit, "PRIOR", {"sigma_A": 1e-6, "epsilon_kJ_mol": 1e-6})
    assert np.abs(refit.step(found, 100.0, [], numbers)).max() < 1e-6, "held back by the prior"


@pytest.mark.parametrize("name", ["benzene", "FB", "F3B", "DMSO"])
def test_patched_with_the_recipe_is_what_was_released(name):
    terms = yaml.safe_load((ROOT / "force_fields/recipes/refit.yaml").read_text(encoding="utf-8"))["atoms"]
    released = load_set("sage-clp-1.3.0")
    before = refit.patched(released, [{**term, "sigma_A": 3.3, "epsilon_kJ_mol": 0.5} for term in terms], name)
    systems = [refit.patched(before, terms, name).system(name), released.system(name)]
    ours, theirs = (next(f for f in s.getForces() if isinstance(f, openmm.NonbondedForce)) for s in systems)
    for count, get in (("getNumParticles", "getParticleParameters"), ("getNumExceptions", "getExceptionParameters")):
        for i in range(getattr(theirs, count)()):
            mine, published = ([getattr(v, "_value", v) for v in getattr(f, get)(i)] for f in (ours, theirs))
            assert mine == pytest.approx(published, rel=1e-9, abs=1e-12)
    changed = before.systems[name] != released.systems[name]
    assert changed, "or this would compare nothing"
