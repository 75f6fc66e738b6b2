"""Self-diffusion and viscosity of liquids: stored runs, their rows, and a run that is stopped and goes on."""

import math
import shutil
from dataclasses import replace

import numpy as np
import pytest
from MDAnalysis.lib.formats.libmdaxdr import XTCFile
from noise import ornstein_uhlenbeck

from lmbmd.forcefield.parameters import load_set
from lmbmd.simulate.engines import gromacs
from lmbmd.validation import liquids, plan, report, transport
from lmbmd.validation.plan import MOVING, REFERENCE, SETS
from lmbmd.validation.results import compared


def test_molecules_are_followed_through_the_walls_of_the_box(tmp_path):
    """Two molecules that fly apart, each atom put back into a box that they leave thrice, and turn meanwhile."""
    parameters, edge_nm, frames = load_set(SETS[0]), 2.0, 40
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


def stored(work, frames=2000):
    """A run of a walk of 2.5e-9 m²/s, in a box that drifts faster, and of pressures that remember 0.5 ps."""
    run, rng = transport.Transport("DMC"), np.random.default_rng(6)
    walk = np.cumsum(rng.normal(scale=np.sqrt(2 * 0.0025 * transport.FRAME_PS), size=(frames, 83, 3)), axis=0)
    walk += 0.1 * np.arange(frames)[:, None, None]
    stress = ornstein_uhlenbeck(rng, 50 * frames, 5, transport.STRESS_PS, 0.5, 100.0)
    arrays = {"centres_nm": walk, "stress_bar": stress.astype(np.float32), "edge_nm": np.array(2.3)}
    liquids.write_arrays(run.place(work) / f"{run.name}.npz", run, **arrays)
    return run


def test_a_stored_run_is_measured_in_units_of_the_laboratory(tmp_path):
    run = stored(tmp_path)
    found = transport.measure(run, tmp_path)
    assert found.length_ps == pytest.approx(800.0)
    diffusion = found.diffusion.estimate
    assert diffusion.value == pytest.approx(2.5e-9, abs=4 * diffusion.error) and diffusion.error < 0.1 * diffusion.value
    # V / kT · σ² τ with all of it in SI units: 2.3³ nm³, 298.15 K, 100 bar, 0.5 ps
    exact_mPa_s = 1e3 * (2.3e-9) ** 3 / (1.380649e-23 * 298.15) * 1e7**2 * 0.5e-12
    viscosity = found.viscosity.estimate
    assert viscosity.value == pytest.approx(exact_mPa_s, abs=4 * viscosity.error)
    assert viscosity.error < 0.2 * exact_mPa_s
    shift = 2.837297 * 1.380649e-23 * 298.15 / (6 * math.pi * 1e-3 * viscosity.value * 2.3e-9)
    assert found.diffusion_unbounded.value == pytest.approx(diffusion.value + shift, rel=1e-6)
    assert f"{viscosity.value:.3g}" in str(found)
    assert transport.load(replace(run, atoms=2000), tmp_path) is None, "a run of another box is not this one"
    assert transport.measure(replace(run, timestep_fs=2.0), tmp_path) is None


def test_references_of_transport_have_a_source_and_a_trust():
    assert len(MOVING) >= 6
    for name in MOVING:
        for key in {"self_diffusion", "viscosity"} & REFERENCE["liquids"][name].keys():
            value, *temperature_K, source, trust = REFERENCE["liquids"][name][key]
            assert 0.1 < value < 10 and source in REFERENCE["sources"], name
            assert all(290 < kelvin < 320 for kelvin in temperature_K) and len(temperature_K) < 2, name
            assert trust in ("high", "medium", "low"), name


def test_the_report_compares_what_has_run_and_names_what_has_not(tmp_path):
    stored(tmp_path)
    rows = [compared(row) for row in transport.rows(transport.Transport("DMC"), tmp_path)]
    lines = [*report.moving({SETS[0]: rows})]
    (row,) = [line for line in lines if line.startswith("| DMC")]
    viscosity, _, trust = REFERENCE["liquids"]["DMC"]["viscosity"]
    found = transport.measure(transport.Transport("DMC"), tmp_path)
    assert SETS[0] in row and f"{viscosity:g}" in row and trust in row
    assert f"{found.viscosity.value / viscosity - 1:+.0%}" in row
    assert any("Not run" in line and "AN" in line for line in lines)
    assert "(w)" not in "".join(lines)
    older = [replace(row, method=report.WINDOWS) for row in rows]
    assert "".join(report.moving({SETS[0]: older})).count("(w)") == 4, "three numbers, and what it means"


def test_a_run_too_short_for_a_number_is_on_the_page_without_one(tmp_path):
    run = stored(tmp_path, frames=6)
    found = transport.measure(run, tmp_path)
    assert math.isnan(found.diffusion.value) and found.diffusion.doubt
    assert math.isnan(found.diffusion_unbounded.value) and str(found.diffusion.doubt) in str(found)
    rows = [compared(row) for row in transport.rows(run, tmp_path)]
    lines = [*report.moving({SETS[0]: rows})]
    (row,) = [line for line in lines if line.startswith("| DMC")]
    assert row.count("too short") >= 2 and "nan" not in "".join(lines)


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("gmx"), reason="GROMACS is not installed")
def test_a_stopped_run_at_constant_volume_goes_on(tmp_path, monkeypatch):
    for name, value in (("SAMPLE_PS", 0.02), ("EQUILIBRATION_PS", 0.2)):
        monkeypatch.setattr(plan, name, value)
    monkeypatch.setattr(gromacs, "SETTLE_PS", 2.0)
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
    # GROMACS works the frame that it goes on from out again, and adds its forces in another order.
    np.testing.assert_array_equal(more[:99], stress[:99])
    np.testing.assert_allclose(more[99], stress[99], rtol=1e-4, atol=0.01)
    # kT / M = 0.166 nm/ps squared along an axis; 0.08 ps are nearly free flight.
    speeds = np.diff(centres, axis=0) / 0.08
    assert 0.5 < np.mean(speeds**2) / (8.314462618e-3 * 298.15 / 90.078) < 1.1
    assert np.abs(speeds.mean(axis=1)).max() < 0.02, "the box as a whole stays where it is"
    density = liquids.longest(run.liquid, tmp_path).density_g_cm3.value
    assert run.n_molecules * 90.078 * 1.66053906660e-3 / edge_nm**3 == pytest.approx(density, rel=1e-4)
    assert transport.measure(run, tmp_path).length_ps == pytest.approx(3.2)
    # The thermostat takes out 1 / ps of what is too much: this would make 30 degrees of freedom a molecule 2 K warmer.
    t_ps, conserved = gromacs.table(run.place(tmp_path) / run.name, ["energy", "-f", "run.edr"], "Conserved-En.\n").T
    two_K = 2 * 0.5 * 8.314462618e-3 * 30 * run.n_molecules / transport.THERMOSTAT_PS
    assert abs(np.polyfit(t_ps, conserved, 1)[0]) < two_K, "nothing but the thermostat heats"
