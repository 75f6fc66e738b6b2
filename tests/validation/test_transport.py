"""Self-diffusion and viscosity: walks and noise whose coefficients are known, and a run that is stopped and goes on."""

import importlib
import math
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from MDAnalysis.lib.formats.libmdaxdr import XTCFile
from scipy.signal import lfilter

from lmbmd.forcefield.parameters import load_set
from lmbmd.numbers.estimate import Estimate

ROOT = Path(__file__).parents[2]


@pytest.fixture
def transport(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    for name in ("liquids", "validate_force_field", "transport", "transport_report"):
        sys.modules.pop(name, None)
    return importlib.import_module("transport")


def test_a_random_walk_diffuses_as_its_steps_say(transport):
    # Steps of variance 2 D Δt along each axis.
    diffusion_nm2_ps, frame_ps = 0.003, 0.5
    rng = np.random.default_rng(1)
    steps = rng.normal(scale=np.sqrt(2 * diffusion_nm2_ps * frame_ps), size=(2000, 100, 3))
    walk = np.cumsum(steps, axis=0)
    found = transport.over_parts(walk, lambda part: transport.slope(part, frame_ps, (5.0, 20.0)) / 6)
    assert found.value == pytest.approx(diffusion_nm2_ps, abs=4 * found.error)
    assert 0.003 * diffusion_nm2_ps < found.error < 0.05 * diffusion_nm2_ps


def test_the_rattling_before_diffusion_does_not_count(transport):
    """A jitter about the walk adds a constant to the mean squared displacement, not to its slope."""
    rng = np.random.default_rng(2)
    walk = np.cumsum(rng.normal(scale=0.05, size=(1000, 200, 3)), axis=0)
    calm = transport.slope(walk, 1.0, (10.0, 30.0))
    jittered = transport.slope(walk + rng.normal(scale=0.3, size=walk.shape), 1.0, (10.0, 30.0))
    assert calm == pytest.approx(3 * 0.05**2, rel=0.05)
    assert jittered == pytest.approx(calm, rel=0.05)


def test_the_error_of_a_walk_is_how_far_repeated_walks_scatter(transport):
    rng = np.random.default_rng(3)
    found = [
        transport.over_parts(
            np.cumsum(rng.normal(size=(400, 10, 3)), axis=0), lambda part: transport.slope(part, 1.0, (2.0, 8.0))
        )
        for _ in range(60)
    ]
    scatter = np.std([f.value for f in found], ddof=1)
    # A standard deviation of 60 is known to 1 / √(2 · 59), 9 %; the mean of 60 errors of 10 parts to 3 %.
    assert np.sqrt(np.mean([f.error**2 for f in found])) == pytest.approx(scatter, rel=0.3)
    assert np.mean([f.value for f in found]) == pytest.approx(3.0, abs=4 * scatter / np.sqrt(60))


def ornstein_uhlenbeck(rng, n, components, sample_ps, tau_ps, deviation):
    """Exactly sampled: <x(0) x(t)> = deviation² exp(-t / tau)."""
    keep = math.exp(-sample_ps / tau_ps)
    noise = rng.normal(scale=deviation * math.sqrt(1 - keep**2), size=(n, components))
    noise[0] = rng.normal(scale=deviation, size=components)
    return lfilter([1.0], [1.0, -keep], noise, axis=0)


def test_the_memory_of_a_series_integrates_to_variance_times_correlation_time(transport):
    sample_ps, tau_ps, deviation, ends = 0.05, 0.5, 20.0, (2.0, 4.0)
    x = ornstein_uhlenbeck(np.random.default_rng(4), 400000, 5, sample_ps, tau_ps, deviation)
    found = transport.over_parts(x, lambda part: transport.green_kubo(part, sample_ps, ends))
    # Mean over the interval of σ² τ (1 - exp(-t / τ)); the trapezoid is (h / τ)² / 12 = 0.1 % too large.
    t = np.linspace(*ends, 1000)
    exact = deviation**2 * tau_ps * np.mean(1 - np.exp(-t / tau_ps))
    assert found.value == pytest.approx(exact, abs=4 * found.error)
    assert found.error < 0.02 * exact


def test_the_five_components_of_a_symmetric_tensor_hold_all_of_it_but_the_trace(transport):
    rng = np.random.default_rng(5)
    half = rng.normal(size=(50, 3, 3))
    tensor = half + half.transpose(0, 2, 1) + 1e3 * np.eye(3)
    columns = np.column_stack([tensor[:, i, j] for i, j in ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))])
    traceless = tensor - np.trace(tensor, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)
    np.testing.assert_allclose(
        2 * np.sum(transport.deviators(columns) ** 2, axis=1), np.sum(traceless**2, axis=(1, 2)), rtol=1e-9
    )


def test_molecules_are_followed_through_the_walls_of_the_box(transport, tmp_path):
    """Two molecules that fly apart, each atom put back into a box that they leave thrice, and turn meanwhile."""
    parameters, edge_nm, frames = load_set(transport.SETS[0]), 2.0, 40
    shape = 0.1 * parameters.geometry("DMC")
    mass = np.array([parameters.system("DMC").getParticleMass(i)._value for i in range(len(shape))])
    shape -= mass @ shape / mass.sum()
    velocity = np.array([[0.15, -0.1, 0.02], [-0.15, 0.16, -0.02]])
    with XTCFile(str(tmp_path / "run.xtc"), "w") as file:
        for f in range(frames):
            turn = np.array([[np.cos(f / 9), np.sin(f / 9), 0], [-np.sin(f / 9), np.cos(f / 9), 0], [0, 0, 1]])
            x = np.concatenate([shape @ turn + 0.7 + f * v for v in velocity])
            file.write((x % edge_nm).astype(np.float32), np.eye(3, dtype=np.float32) * edge_nm, f, float(f), 1000)
    centres = transport.mass_centres(tmp_path / "run.xtc", parameters, "DMC")
    assert centres.shape == (frames, 2, 3)
    # Positions are kept to 0.001 nm: of a mean of twelve atoms a little less.
    np.testing.assert_allclose(centres - centres[0], np.arange(frames)[:, None, None] * velocity, atol=0.001)


def test_the_correction_for_the_box_is_that_of_a_published_case(transport):
    """Water at 298 K, 0.9 mPa s, L = 2.5 nm, in SI units: 2.837297 k T / (6 π η L)."""
    found = transport.unbounded(Estimate(2.0, 0.05, 10), Estimate(0.9, 0.09, 10), 2.5, 298.0)
    shift = 2.837297 * 1.380649e-23 * 298.0 / (6 * math.pi * 0.9e-3 * 2.5e-9) * 1e9
    assert shift == pytest.approx(0.275, abs=0.001)
    assert found.value == pytest.approx(2.0 + shift, rel=1e-12)
    assert found.error == pytest.approx(math.hypot(0.05, 0.1 * shift), rel=1e-12)


def stored(transport, work, stress_bar=100.0):
    """A run of a walk of 2.5e-9 m²/s and of pressures that remember 0.5 ps."""
    run, rng = transport.Transport("DMC"), np.random.default_rng(6)
    walk = np.cumsum(rng.normal(scale=np.sqrt(2 * 0.0025 * transport.FRAME_PS), size=(2000, 83, 3)), axis=0)
    stress = ornstein_uhlenbeck(rng, 100000, 5, transport.STRESS_PS, 0.5, stress_bar)
    arrays = {"centres_nm": walk, "stress_bar": stress.astype(np.float32), "edge_nm": np.array(2.3)}
    transport.liquids.write_arrays(run.place(work) / f"{run.name}.npz", run, **arrays)
    return run


def test_a_stored_run_is_measured_in_units_of_the_laboratory(transport, tmp_path):
    run = stored(transport, tmp_path)
    found = transport.measure(run, tmp_path)
    assert found.length_ps == pytest.approx(800.0)
    assert found.diffusion.value == pytest.approx(2.5, abs=4 * found.diffusion.error)
    # V / kT · σ² τ with all of it in SI units: 2.3³ nm³, 298.15 K, 100 bar, 0.5 ps
    exact_mPa_s = 1e3 * (2.3e-9) ** 3 / (1.380649e-23 * 298.15) * 1e7**2 * 0.5e-12
    assert found.viscosity.value == pytest.approx(exact_mPa_s, abs=4 * found.viscosity.error)
    assert found.viscosity.error < 0.2 * exact_mPa_s
    assert found.diffusion_unbounded.value > found.diffusion.value
    assert transport.load(replace(run, atoms=2000), tmp_path) is None, "a run of another box is not this one"
    assert transport.measure(replace(run, timestep_fs=2.0), tmp_path) is None


def test_references_of_transport_have_a_source_and_a_trust(transport):
    assert len(transport.REFERRED) >= 6
    for name in transport.REFERRED:
        for key in {"self_diffusion", "viscosity"} & transport.REFERENCE["liquids"][name].keys():
            value, source, trust = transport.REFERENCE["liquids"][name][key]
            assert 0.1 < value < 10 and source in transport.REFERENCE["sources"], name
            assert trust in ("high", "medium", "low"), name


def test_the_report_compares_what_has_run_and_names_what_has_not(transport, tmp_path):
    stored(transport, tmp_path)
    lines = [*importlib.import_module("transport_report").transport(tmp_path, 1000)]
    (row,) = [line for line in lines if line.startswith("| DMC")]
    viscosity, _, trust = transport.REFERENCE["liquids"]["DMC"]["viscosity"]
    found = transport.measure(transport.Transport("DMC"), tmp_path)
    assert transport.SETS[0] in row and f"{viscosity:g}" in row and trust in row
    assert f"{found.viscosity.value / viscosity - 1:+.0%}" in row
    assert any("Not run" in line and "AN" in line for line in lines)


@pytest.mark.skipif(not shutil.which("gmx"), reason="GROMACS is not installed")
def test_a_stopped_run_at_constant_volume_goes_on(transport, tmp_path, monkeypatch):
    short = {"SAMPLE_PS": 0.02, "EQUILIBRATION_PS": 0.2}
    for name, value in short.items():
        monkeypatch.setattr(transport.liquids, name, value)
    monkeypatch.setattr(transport.gromacs_liquid, "SETTLE_PS", 2.0)
    for name, value in (("LIQUID_PS", 2.4), ("SETTLE_PS", 0.4), ("FRAME_PS", 0.08)):
        monkeypatch.setattr(transport, name, value)
    run = transport.Transport("DMC")
    assert transport.simulate(run, tmp_path, 0.8, math.inf)
    first, stress, edge_nm = transport.load(run, tmp_path)
    assert first.shape == (10, run.n_molecules, 3) and stress.shape == (100, 5)
    assert transport.simulate(run, tmp_path, 3.2, math.inf)
    centres, more, same = transport.load(run, tmp_path)
    assert len(centres) == 40 and len(more) == 400 and same == edge_nm
    np.testing.assert_array_equal(centres[:10], first)
    np.testing.assert_array_equal(more[:100], stress)
    # kT / M = 0.166 nm/ps squared along an axis; 0.08 ps are nearly free flight.
    speeds = np.diff(centres, axis=0) / 0.08
    assert 0.5 < np.mean(speeds**2) / (8.314462618e-3 * 298.15 / 90.078) < 1.1
    assert np.abs(speeds.mean(axis=1)).max() < 0.02, "the box as a whole stays where it is"
    density = transport.liquids.longest(run.liquid, tmp_path).density_g_cm3.value
    assert run.n_molecules * 90.078 * 1.66053906660e-3 / edge_nm**3 == pytest.approx(density, rel=1e-4)
    assert transport.measure(run, tmp_path) is None, "too short to measure"
    # The thermostat takes out 1 / ps of what is too much: this would make 30 degrees of freedom a molecule 2 K warmer.
    t_ps, conserved = transport.gromacs_liquid.table(
        run.place(tmp_path) / run.name, ["energy", "-f", "run.edr"], "Conserved-En.\n"
    ).T
    two_K = 2 * 0.5 * 8.314462618e-3 * 30 * run.n_molecules / transport.THERMOSTAT_PS
    assert abs(np.polyfit(t_ps, conserved, 1)[0]) < two_K, "nothing but the thermostat heats"
