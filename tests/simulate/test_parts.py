"""The parts of a simulation: mechanics, equilibration test, platforms, checkpoints."""

from __future__ import annotations

import os

import numpy as np
import openmm
import pytest
import toy
from openmm import unit
from toy import SMALL, TINY, toy_box, toy_positions

from lmbmd.core.errors import LmbmdError
from lmbmd.forcefield.parameters import load_set
from lmbmd.simulate import checkpoint, equilibration
from lmbmd.simulate.checkpoint import Checkpoint
from lmbmd.simulate.engines import mechanics, platform
from lmbmd.simulate.engines.openmm import Engine
from lmbmd.simulate.engines.platform import create_context, is_processor
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import parse_spec

SPEC = parse_spec(toy.SPEC, where="x")
COUNTS = TINY


# ---- mechanics


def test_bonds_to_hydrogens_become_constraints_of_their_length():
    system = mechanics.prepare(toy_box(COUNTS, 20.0).system, SPEC, 1)
    found = [system.getConstraintParameters(i) for i in range(system.getNumConstraints())]
    lengths = {(i % 4, j % 4): d.value_in_unit(unit.nanometer) for i, j, d in found}
    assert len(found) == 2 * 20 and lengths == {(0, 1): 0.1, (2, 3): 0.11}
    bonds = next(f for f in system.getForces() if isinstance(f, openmm.HarmonicBondForce))
    assert bonds.getNumBonds() == 2 * 2 + 20


def test_repartitioning_moves_mass_and_keeps_the_total():
    flexible = toy_box(COUNTS, 20.0).system
    before = mechanics.masses_amu(flexible)
    after = mechanics.masses_amu(mechanics.prepare(flexible, SPEC, 1))
    assert after.sum() == pytest.approx(before.sum(), abs=1e-9)
    assert after[-4:] == pytest.approx([3.0, 16.0 - 1.992, 12.0 - 1.992, 3.0])
    assert (mechanics.masses_amu(flexible) == before).all()


def test_degrees_of_freedom_leave_out_constraints_and_the_whole():
    flexible = toy_box(COUNTS, 20.0).system
    assert mechanics.degrees_of_freedom(mechanics.prepare(flexible, SPEC, 1)) == 3 * 88 - 40 - 3
    free = SPEC.model_copy(update={"constraints": "none", "timestep_fs": 1.0})
    assert mechanics.degrees_of_freedom(mechanics.prepare(flexible, free, 1)) == 3 * 88 - 3


def test_hydrogens_too_heavy_for_their_neighbours_are_refused():
    with pytest.raises(LmbmdError, match=r"hydrogens of 16 amu, atom \d+ would keep -2\.99 amu"):
        mechanics.prepare(toy_box(COUNTS, 20.0).system, SPEC.model_copy(update={"hydrogen_mass_amu": 16.0}), 1)


def test_a_time_step_too_long_for_the_quickest_bond_is_refused_with_the_longest_that_is_not():
    nitrile = load_set("sage-clp-2.1.0").system("AN")  # CC#N: atoms 2 and 3
    carbon, nitrogen = 12.011, 14.007
    bonds = next(f for f in nitrile.getForces() if isinstance(f, openmm.HarmonicBondForce))
    k = next(k._value for i, j, _, k in map(bonds.getBondParameters, range(bonds.getNumBonds())) if {i, j} == {1, 2})
    period_fs = 2e3 * np.pi * (carbon * nitrogen / (carbon + nitrogen) / k) ** 0.5
    assert 15.0 < period_fs < 15.2
    told = rf"4 fs is too long for the bond between atoms 2 and 3 of AN, .* {period_fs:.1f} fs\..*timestep_fs: 2\.5, or"
    with pytest.raises(LmbmdError, match=told):
        mechanics.prepare(nitrile, SPEC, 1, whose="AN")
    mechanics.prepare(nitrile, SPEC.model_copy(update={"timestep_fs": 3.0}), 1)
    alone = openmm.System()
    alone.addParticle(6.94)
    assert mechanics.longest_step_fs(alone) == (np.inf, (-1, -1)), "Li⁺ has no bond"
    light = SPEC.model_copy(update={"timestep_fs": 2.5, "constraints": "none", "hydrogen_mass_amu": 1.008})
    with pytest.raises(LmbmdError, match=r"2\.5 fs is too long for the bond between atoms 1 and"):
        mechanics.prepare(nitrile, light, 1)


def test_a_box_narrower_than_two_cutoffs_is_refused_by_its_perpendicular_width():
    """Oblique lattice vectors of 21 Å can be less than 20 Å apart."""
    mechanics.check_box(np.diag([21.0] * 3), 10.0, where="x")
    oblique = np.array([[21.0, 0, 0], [10.5, 18.19, 0], [0, 0, 21.0]])
    with pytest.raises(LmbmdError, match=r"x: the box is 18\.19 Å wide, less than twice the cut-off \(20\.0 Å\)"):
        mechanics.check_box(oblique, 10.0, where="x")


def test_a_box_that_has_become_too_narrow_is_told_by_its_narrowest_width():
    built = toy_box(COUNTS, 30.0)
    engine = Engine(built.system, SPEC, PlatformOptions(name="Reference"), "x")
    engine.set_pace(SPEC.step_as)
    engine.set_positions(toy_positions(COUNTS, 30.0) / 10, np.array([[2.1, 0, 0], [1.05, 1.819, 0], [0, 0, 2.1]]))
    with pytest.raises(LmbmdError, match=r"the box is 18\.19 Å wide, less than twice the cut-off \(20\.0 Å\)"):
        engine.step(1)


# ---- equilibration


def autoregressive(n: int, memory: float, rng: np.random.Generator) -> np.ndarray:
    """A stationary series of unit variance whose statistical inefficiency is (1 + memory)/(1 − memory)."""
    x = np.empty(n)
    x[0] = rng.normal()
    for i in range(1, n):
        x[i] = memory * x[i - 1] + np.sqrt(1 - memory**2) * rng.normal()
    return x


def test_the_error_of_a_drift_is_its_scatter():
    rng = np.random.default_rng(1)
    drifts = [equilibration.drift(autoregressive(2000, 0.8, rng)) for _ in range(400)]
    scatter = np.std([d.change for d in drifts])
    # A standard deviation of 400 is known to 1/√800 = 3.5 %, the mean of their errors, each known to some 17 %, to 1 %;
    # a sum of correlations that ends where noise first makes it negative takes some 3 % off.
    assert np.mean([d.error for d in drifts]) == pytest.approx(scatter, rel=0.13)


def test_stationary_series_pass_about_as_often_as_two_normal_tests_should():
    """Two independent tests at two standard errors pass 0.954² = 91 % of the time; small samples a little less."""
    rng = np.random.default_rng(2)
    density, potential = (lambda: 1.0 + 0.003 * autoregressive(800, 0.5, rng)), (lambda: autoregressive(800, 0.5, rng))
    passed = sum(equilibration.judge(density(), potential()).stationary for _ in range(200))
    assert 160 <= passed <= 195


def test_a_drifting_density_does_not_pass():
    rng = np.random.default_rng(3)
    drift = np.linspace(0.9, 1.0, 800)
    verdicts = [
        equilibration.judge(drift + 0.003 * autoregressive(800, 0.5, rng), rng.normal(size=800)) for _ in range(20)
    ]
    assert not any(v.stationary for v in verdicts)
    assert all("density" in v.reason for v in verdicts)


def test_a_drift_that_is_over_before_the_later_half_does_not_matter():
    rng = np.random.default_rng(4)
    density = 1.0 + 0.003 * rng.normal(size=800)
    density[:400] += np.linspace(-0.3, 0, 400)
    assert equilibration.judge(density, rng.normal(size=800)).stationary


@pytest.mark.parametrize(
    ("change", "error", "told"),
    [
        (-282.3, 101.2, "-280 ± 100"),
        (-0.00225, 0.0055, "-0.0022 ± 0.0055"),
        (12.34, 9.96, "+12 ± 10"),
        (0.5, 0.0, "+0.5"),
    ],
)
def test_a_drift_is_told_to_the_second_digit_of_its_error(change, error, told):
    assert equilibration._with_error(change, error) == told


def test_a_series_too_short_or_too_slow_cannot_pass():
    rng = np.random.default_rng(5)
    assert not equilibration.judge([], []).stationary
    assert not equilibration.judge([1.0, 1.0, 1.0], [0.0, 1.0, 0.0]).stationary
    slow = equilibration.judge(1 + 0.01 * autoregressive(200, 0.99, rng), rng.normal(size=200))
    assert not slow.stationary and "independent samples of the density" in slow.reason


def test_a_density_that_is_only_roughly_known_does_not_pass():
    rng = np.random.default_rng(6)
    verdicts = [equilibration.judge(1 + 0.2 * rng.normal(size=400), rng.normal(size=400)) for _ in range(20)]
    assert not any(v.stationary for v in verdicts)
    assert any("known to ±" in v.reason for v in verdicts)


# ---- platforms


def context_on(name: str, **options):
    system = toy_box(SMALL, 19.0, cutoff_nm=0.6).system
    return create_context(system, lambda: openmm.VerletIntegrator(0.001), PlatformOptions(name=name, **options))


def usable(name: str) -> bool:
    return name in [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]


def test_auto_takes_the_first_that_works_and_says_why_not_the_faster_ones():
    _, _, report = context_on("auto")
    refused = dict(report.refused)
    assert report.name not in refused
    assert list(refused) == list(platform.PLATFORMS[: platform.PLATFORMS.index(report.name)])
    if not usable("CUDA"):
        assert "plugin" in refused["CUDA"]


def test_opencl_on_a_processor_is_not_preferred_and_says_so(monkeypatch):
    """Whether or not OpenCL is installed here: the answer to the probe is what decides."""
    monkeypatch.setattr(platform, "_available", lambda: ["Reference", "CPU", "OpenCL"])

    def refuse(chosen, properties):
        raise platform._NotUsable("its device is the CPU ('pthread-x', Portable Computing Language)")

    monkeypatch.setattr(platform, "_refuse_opencl_on_cpu", refuse)
    real = openmm.Platform.getPlatformByName
    monkeypatch.setattr(openmm.Platform, "getPlatformByName", lambda name: real("CPU" if name == "OpenCL" else name))
    _, _, report = context_on("auto")
    assert report.name == "CPU" and "its device is the CPU" in dict(report.refused)["OpenCL"]
    assert "not OpenCL: its device is the CPU" in report.sentence()


def test_what_a_library_prints_while_opencl_is_only_asked_what_it_is_is_not_heard(monkeypatch, capfd):
    made = openmm.Context

    def talking(*arguments):
        os.write(1, b"WARNING: Using an unsupported OpenCL implementation.\n")
        os.write(2, b"an error\n")
        return made(*arguments)

    monkeypatch.setattr(openmm, "Context", talking)
    cpu = openmm.Platform.getPlatformByName("CPU")
    print("before")
    with pytest.raises(openmm.OpenMMException, match="Illegal property"):  # the CPU platform has no DeviceName
        platform._refuse_opencl_on_cpu(cpu, {})
    print("after")
    heard = capfd.readouterr()
    assert heard.out == "before\nafter\n" and heard.err == "an error\n"


@pytest.mark.skipif(not usable("OpenCL"), reason="OpenMM has no OpenCL platform here")
def test_auto_says_nothing_of_an_opencl_that_it_does_not_take(capfd):
    context_on("auto")
    assert "OpenCL" not in "".join(capfd.readouterr())


@pytest.mark.skipif(not usable("OpenCL"), reason="OpenMM has no OpenCL platform here")
def test_the_device_of_this_machines_opencl_is_recognised():
    _, _, report = context_on("OpenCL")
    pocl = "Portable Computing" in report.properties["OpenCLPlatformName"]
    assert report.on_processor == (pocl and not report.properties["DeviceName"].startswith("NVIDIA"))


@pytest.mark.parametrize(
    ("device", "processor", "answer"),
    [
        ("pthread-skylake-avx512-AMD EPYC", "AMD EPYC", True),
        ("cpu-znver3", "", True),
        ("Intel(R) Xeon(R) CPU E5-2680", "Intel(R) Xeon(R) CPU E5-2680", True),
        ("NVIDIA H200", "AMD EPYC", False),
        ("gfx90a", "AMD Ryzen 9", False),
        ("Apple M2", "", False),
    ],
)
def test_processors_are_told_from_gpus(device, processor, answer):
    assert is_processor(device, processor) is answer


def test_a_plugin_that_did_not_load_is_the_reason_given(monkeypatch):
    failure = "Error loading library libOpenMMCUDA.so: libcuda.so.1: cannot open shared object file"
    monkeypatch.setattr(openmm.Platform, "getPluginLoadFailures", lambda: (failure,))
    monkeypatch.setattr(platform, "_available", lambda: ["Reference", "CPU"])
    monkeypatch.setattr(platform.glob, "glob", lambda pattern: [])
    _, _, report = context_on("auto")
    assert "libcuda.so.1" in dict(report.refused)["CUDA"]
    assert "no NVIDIA driver on this machine" in dict(report.refused)["CUDA"]
    with pytest.raises(LmbmdError, match=r"platform CUDA cannot be used: .*libcuda\.so\.1") as error:
        context_on("CUDA")
    assert "Reference, CPU" in error.value.remedy


def test_an_unknown_platform_or_precision_is_refused_with_those_that_are_known():
    with pytest.raises(ValueError, match="'auto', 'CUDA', 'OpenCL', 'CPU' or 'Reference'"):
        context_on("Cuda")
    with pytest.raises(ValueError, match="'single', 'mixed' or 'double'"):
        context_on("CPU", precision="doubel")


def test_threads_and_determinism_reach_the_platform():
    _, _, report = context_on("CPU", threads=1, deterministic=True)
    assert report.properties == {"Threads": "1", "DeterministicForces": "true"}


# ---- checkpoints


def a_checkpoint(step: int = 7) -> Checkpoint:
    rng = np.random.default_rng(step)
    return Checkpoint(
        {"step": step, "x": [1, None]}, rng.normal(size=(5, 3)), rng.normal(size=(5, 3)), np.eye(3), b"\0\n\1"
    )


def test_a_checkpoint_survives_its_file_to_the_bit(tmp_path):
    checkpoint.save(tmp_path, a_checkpoint())
    found = checkpoint.load(tmp_path / checkpoint.CURRENT)
    assert found.header == {"step": 7, "x": [1, None]} and found.binary == b"\0\n\1"
    for name in ("positions_nm", "velocities_nm_ps", "box_nm"):
        assert np.array_equal(getattr(found, name), getattr(a_checkpoint(), name))


def test_the_one_before_is_kept(tmp_path):
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, a_checkpoint(step))
    assert checkpoint.load(tmp_path / checkpoint.CURRENT).header["step"] == 3
    assert checkpoint.load(tmp_path / checkpoint.PREVIOUS).header["step"] == 2
    assert sorted(p.name for p in tmp_path.iterdir()) == [checkpoint.CURRENT, checkpoint.PREVIOUS]


def test_any_changed_or_missing_byte_is_noticed():
    data = a_checkpoint().to_bytes()
    for i in range(0, len(data), 37):
        with pytest.raises(ValueError, match=r"no checkpoint|does not match"):
            Checkpoint.from_bytes(data[:i] + bytes([data[i] ^ 1]) + data[i + 1 :])
        with pytest.raises(ValueError, match=r"no checkpoint|does not match"):
            Checkpoint.from_bytes(data[:i])


@pytest.mark.parametrize("call", ["open", "fsync", "replace"])
def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(tmp_path, monkeypatch, call):
    checkpoint.save(tmp_path, a_checkpoint(1))

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("builtins.open" if call == "open" else f"os.{call}", full)
        with pytest.raises(LmbmdError, match="No space left on device"):
            checkpoint.save(tmp_path, a_checkpoint(2))
    assert checkpoint.load(tmp_path / checkpoint.CURRENT).header["step"] == 1
    assert [p.name for p in tmp_path.iterdir()] == [checkpoint.CURRENT]
