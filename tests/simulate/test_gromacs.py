"""GROMACS as an engine: what is chosen and why, when it is refused, and that what it writes is read as it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import openmm
import pandas as pd
import pytest
from runs import assert_complete
from toy import FREE, NOSE_HOOVER, SMALL, relaxed_run, simulate_elsewhere, simulate_here, write_run, write_spec

from lmbmd.box.pdb import read_pdb
from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable
from lmbmd.simulate import checkpoint
from lmbmd.simulate.engines import choice, gmx, mdp, mdrun
from lmbmd.simulate.engines.gmxfiles import EnergyFile, FrameFile, states
from lmbmd.simulate.engines.mdrun import Engine
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import load_spec

needs_gromacs = pytest.mark.skipif(shutil.which("gmx") is None, reason="GROMACS (gmx) is not installed")


# ---- which engine


@pytest.fixture
def spec(tmp_path):
    write_spec(tmp_path)
    return load_spec(tmp_path / "spec.json")


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(choice, "_gpu", lambda options: None)


def without_gmx(monkeypatch, tmp_path, program: str = "") -> None:
    """A PATH with no gmx, or with this one."""
    gmx.gromacs.cache_clear()
    monkeypatch.setenv("PATH", str(tmp_path))
    if program:
        (tmp_path / "gmx").write_text(f"#!/bin/sh\n{program}\n", encoding="utf-8")
        (tmp_path / "gmx").chmod(0o755)


@pytest.fixture(autouse=True)
def _forget():
    yield
    gmx.gromacs.cache_clear()


@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("", "its program gmx is not on the PATH"),
        ("/bin/echo 'GROMACS version:    2019.6'", r"is version 2019\.6; 2021 is the oldest"),
        ("exit 1", "does not say its version"),
    ],
)
def test_a_missing_or_old_gromacs_is_a_sentence_and_openmm_where_nothing_was_asked(
    spec, monkeypatch, tmp_path, no_gpu, program, reason
):
    without_gmx(monkeypatch, tmp_path, program)
    with pytest.raises(LmbmdError, match=f"GROMACS is asked for, but .*{reason}") as error:
        choice.known(PlatformOptions(engine="gromacs"), spec)
    assert "2021 or newer" in str(error.value) and "engine: openmm" in str(error.value)
    found = choice.known(PlatformOptions(), spec)
    assert found is not None and (found.name, found.why) == ("OpenMM", "no-gromacs")
    said = choice.outlook(choice.known(PlatformOptions(), spec))
    assert said.startswith("OpenMM ") and "there is no GPU, and GROMACS is not used: " in said


@pytest.mark.parametrize(
    ("simd", "flags", "better"),
    [
        ("SSE4.1", {"sse4_1", "avx2", "avx512f"}, "AVX_512"),
        ("SSE4.1", {"sse4_1", "avx2"}, "AVX2_256"),
        ("SSE4.1", {"sse4_1"}, ""),
        ("SSE4.1", set(), ""),
        ("AVX2_256", {"avx2", "avx512f"}, ""),
        ("ARM_NEON_ASIMD", {"asimd"}, ""),
    ],
)
def test_a_gromacs_that_leaves_half_of_the_processor_idle_says_so(simd, flags, better):
    said = gmx.built_for_less(simd, flags)
    assert f"GMX_SIMD={better} " in said if better else said == ""


def test_a_gpu_a_named_platform_or_a_wish_decide_without_a_trial(spec, monkeypatch):
    monkeypatch.setattr(choice, "_gpu", lambda options: "a fast one")
    assert (found := choice.known(PlatformOptions(), spec)) is not None
    assert (found.name, found.why, found.detail) == ("OpenMM", "gpu", "a fast one")
    assert choice.known(PlatformOptions(name="CPU"), spec).why == "platform"
    assert choice.known(PlatformOptions(engine="openmm"), spec).why == "asked"


@needs_gromacs
def test_without_a_gpu_both_are_tried_and_a_thermostat_that_only_one_has_decides(spec, no_gpu, tmp_path):
    assert choice.known(PlatformOptions(), spec) is None
    assert "will try OpenMM" in choice.outlook(choice.known(PlatformOptions(), spec))
    write_spec(tmp_path, dynamics={**NOSE_HOOVER, "thermostat": "bussi"})
    found = choice.known(PlatformOptions(), load_spec(tmp_path / "spec.json"))
    assert (found.name, found.why) == ("GROMACS", "thermostat")


def test_the_faster_of_two_engines_is_chosen_and_both_speeds_are_kept(spec, monkeypatch):
    for speeds, name in (({"OpenMM": 10.0, "GROMACS": 40.0}, "GROMACS"), ({"OpenMM": 10.0, "GROMACS": 4.0}, "OpenMM")):
        monkeypatch.setattr(choice, "trial", lambda *_, s=speeds: s)
        monkeypatch.setattr(gmx, "gromacs", lambda: gmx.Gromacs("gmx", "2024.1", "mixed", "AVX2", "disabled"))
        found = choice.faster(lambda *_: None, (np.zeros((1, 3)), np.eye(3)), PlatformOptions(), spec)
        assert (found.name, found.why, found.steps_per_s) == (name, "faster", speeds)
        assert f"{name} took {speeds[name]:.3g} steps/s" in choice.sentence(found.to_dict())


def test_a_box_that_gromacs_cannot_do_goes_to_openmm_with_the_reason(spec, monkeypatch):
    def cannot(*_):
        raise LmbmdError("the box is not rectangular.")

    monkeypatch.setattr(choice, "trial", cannot)
    found = choice.faster(lambda *_: None, (np.zeros((1, 3)), np.eye(3)), PlatformOptions(), spec)
    assert (found.name, found.why) == ("OpenMM", "cannot") and "not rectangular" in choice.sentence(found.to_dict())


@needs_gromacs
@pytest.mark.slow
def test_a_run_goes_on_with_the_engine_that_it_began_with_and_says_so(tmp_path, capsys, monkeypatch):
    folder = relaxed_run(tmp_path / "run")
    simulate_here(folder, engine="gromacs")
    assert json.loads((folder / "out" / "run.json").read_text("utf-8"))["engine"]["why"] == "asked"
    write_spec(folder, production_ns=0.003)
    simulate_here(folder, engine="openmm")
    assert_complete(folder, 30, 150)
    record = json.loads((folder / "out" / "run.json").read_text("utf-8"))
    assert [s["platform"] for s in record["sessions"]] == ["GROMACS", "GROMACS"]
    assert [s["how"] for s in record["sessions"]] == ["from the start", "binary"]
    assert (record["engine"]["name"], record["engine"]["why"]) == ("GROMACS", "asked")
    write_spec(folder, production_ns=0.004)
    without_gmx(monkeypatch, tmp_path)
    with pytest.raises(LmbmdError, match="this run began with GROMACS, but its program gmx is not on the PATH"):
        simulate_here(folder)


# ---- the same energies


@pytest.fixture
def relaxed(tmp_path):
    """A System, its box for GROMACS, positions and cell in nm."""
    folder = relaxed_run(tmp_path / "run", counts=SMALL, edge_A=19.0)
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text("utf-8"))
    start = read_pdb((folder / "start.pdb").read_text("utf-8"), where="start.pdb")
    spec = load_spec(folder / "spec.json")
    atoms = AtomTable.read(folder / "atoms.parquet")
    box = mdrun.described(system, atoms, start, spec, folder / "system.xml")
    return system, box, start[0] / 10, start[1] / 10, folder


@needs_gromacs
@pytest.mark.parametrize("rule", ["Lorentz-Berthelot", "geometric"])
def test_energies_of_both_agree_for_either_combining_rule(tmp_path, rule, monkeypatch):
    # As Snakemake sets it in a job of two cores; mdrun ends with an error where it is told another number beside it.
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    folder = relaxed_run(tmp_path / "run", counts=SMALL, edge_A=19.0, combining_rule=rule)
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text("utf-8"))
    start = read_pdb((folder / "start.pdb").read_text("utf-8"), where="start.pdb")
    spec = load_spec(folder / "spec.json")
    atoms = AtomTable.read(folder / "atoms.parquet")
    engine = Engine(system, mdrun.described(system, atoms, start, spec, folder), spec, PlatformOptions(), "x", folder)
    found = mdp.compare_energies(system, engine._box, start[0] / 10, start[1] / 10, engine._folder)
    assert 0 < found < 1


@needs_gromacs
def test_a_charge_that_differs_by_a_thousandth_is_refused_with_both_energies(relaxed):
    system, box, positions, cell, folder = relaxed
    engine = Engine(system, box, load_spec(folder / "spec.json"), PlatformOptions(), "x", folder)
    nonbonded = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    for i in range(nonbonded.getNumParticles()):
        charge, *lj = nonbonded.getParticleParameters(i)
        nonbonded.setParticleParameters(i, 1.001 * charge, *lj)
    with pytest.raises(
        LmbmdError, match=r"do not agree on the energy of the start: Coulomb and Lennard-Jones -?\d"
    ) as e:
        mdp.compare_energies(system, engine._box, positions, cell, engine._folder)
    assert "kJ/mol may lie between" in str(e.value) and "engine: openmm" in str(e.value)


@needs_gromacs
def test_what_a_run_says_of_the_build_of_gromacs_is_what_gromacs_finds(relaxed):
    system, box, positions, cell, folder = relaxed
    engine = Engine(system, box, load_spec(folder / "spec.json"), PlatformOptions(), "x", folder)
    mdp.compare_energies(system, box, positions, cell, engine._folder)
    log = (engine._folder / "one.log").read_text("utf-8")
    found = re.search(r"Highest SIMD level .*: +(\S+)\nSIMD instructions .*: +(\S+)", log)
    narrow = found is not None and found[1] in ("AVX_512", "AVX2_256") and found[2] in ("SSE2", "SSE4.1", "AVX_256")
    assert ("built for less than this processor can do" in engine.report.sentence()) == narrow


@needs_gromacs
def test_a_warning_of_grompp_that_nobody_has_looked_at_stops_the_run(relaxed):
    system, box, _, _, folder = relaxed
    engine = Engine(system, box, load_spec(folder / "spec.json"), PlatformOptions(), "x", folder)
    text = mdp.settings(engine._spec, mdp.Stretch(0, 100, 2000, 1, 1.0, (300.0, 300.0), 10, 10), box, 1)
    checkpoint.write(engine._folder / "run.gro", mdp.gro(box, box.positions_A / 10, None, box.box_A / 10))
    checkpoint.write(engine._folder / "run.mdp", text)
    gmx.grompp(engine._folder, "run.mdp", "run.gro", "run.tpr")
    checkpoint.write(engine._folder / "run.mdp", text.replace("pcoupl = C-rescale", "pcoupl = Berendsen"))
    with pytest.raises(LmbmdError, match=r"GROMACS warns of this run: .*Berendsen"):
        gmx.grompp(engine._folder, "run.mdp", "run.gro", "run.tpr")
    # Quick bonds are for `mechanics.prepare` to refuse, in both engines by one rule.
    checkpoint.write(engine._folder / "run.mdp", re.sub(r"(?m)^dt = .*$", "dt = 0.0065", text))
    assert "oscillational period" in gmx.grompp(engine._folder, "run.mdp", "run.gro", "run.tpr")


# ---- what it writes


@needs_gromacs
@pytest.mark.slow
def test_energies_frames_and_the_last_state_are_read_as_gromacs_reads_them(relaxed, monkeypatch):
    """Against ``gmx energy``, at every row; and a file that is cut anywhere gives its whole frames only."""
    system, box, positions, cell, folder = relaxed
    engine = Engine(system, box, load_spec(folder / "spec.json"), PlatformOptions(threads=1), "x", folder)
    engine.set_positions(positions, cell)
    engine.warm()
    engine.set_pace(1000)
    engine.look_ahead(0, 200, temperatures_K=(300.0, 300.0), rows=10, frames=20)
    begun_s = time.monotonic()
    while engine._at < 200:
        engine.step(10)
    engine._wait_for_end()
    leg = engine._written.folder
    spent_s = time.monotonic() - begun_s
    (said,) = (line for line in next(leg.glob("*.log")).read_text("utf-8").splitlines() if "Time:" in line)
    stepping_s = float(said.split()[2])
    # How long 200 steps take depends on the machine (the log rounds to 1 ms); that starting comes on top does not.
    assert 0 < stepping_s and 0 < engine.overhead_s < spent_s - stepping_s + 0.001, "mdrun has to start, and to end"
    subprocess.run(
        ["gmx", "-nobackup", "energy", "-f", next(leg.glob("*.edr")), "-o", "e.xvg"],
        cwd=leg, input="Potential\nKinetic\nVolume\nPres-XY\n", capture_output=True, encoding="utf-8", check=True,
    )  # fmt: skip
    theirs = np.loadtxt(leg / "e.xvg", comments=("#", "@"))
    ours = list(EnergyFile(next(leg.glob("*.edr"))).new())
    names = ("Potential", "Kinetic En.", "Volume", "Pres-XY")
    table = np.array([[row.time_ps, *(row.terms[name] for name in names)] for row in ours])
    assert [row.step for row in ours] == list(range(0, 201, 10))
    assert table == pytest.approx(theirs, rel=2e-6, abs=2e-6)
    data = next(leg.glob("*.edr")).read_bytes()
    for cut in np.random.default_rng(1).integers(0, len(data), 20):
        (leg / "cut.edr").write_bytes(data[:cut])
        whole = list(EnergyFile(leg / "cut.edr").new())
        assert whole == ours[: len(whole)]
    (leg / "cut.edr").write_bytes(data[:-1])
    assert list(EnergyFile(leg / "cut.edr").new()) == ours[:-1]
    found = FrameFile(next(leg.glob("*.xtc")), len(positions), leg / "one.xtc").at(200)
    assert found is not None and FrameFile(next(leg.glob("*.xtc")), len(positions), leg / "one.xtc").at(30) is None
    last = next(states(leg / "last.trr"))
    assert last.step == 200 and np.abs(found[0] - last.positions_nm).max() < 1e-4
    shot = engine.snapshot()  # the same but for whole edges of the box
    moved = (shot.positions_nm - found[0]) / np.diag(shot.box_nm)
    assert np.abs(moved - np.round(moved)).max() < 1e-4


@needs_gromacs
@pytest.mark.slow
def test_a_row_of_the_pressure_is_the_mean_since_the_row_before(tmp_path):
    """Of tensors 8 fs apart, as GROMACS summed them, also where energies are written between two rows."""
    protocol = {"timestep_fs": 4.0, "frame_interval_ps": 0.4, "state_interval_ps": 0.04, "production_ns": 0.01}
    dynamics = {**NOSE_HOOVER, "pressure_interval_ps": 0.08}
    folder = relaxed_run(tmp_path / "run", counts=SMALL, edge_A=17.0, dynamics=dynamics, **protocol)
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text("utf-8"))
    start, spec = (
        read_pdb((folder / "start.pdb").read_text("utf-8"), where="start.pdb"),
        load_spec(folder / "spec.json"),
    )
    atoms = AtomTable.read(folder / "atoms.parquet")
    box = mdrun.described(system, atoms, start, spec, folder / "system.xml")
    engine = Engine(system, box, spec, PlatformOptions(threads=1), "x", folder)
    engine.set_positions(start[0] / 10, start[1] / 10)
    engine.warm()
    engine.set_pace(spec.step_as)
    engine.look_ahead(0, 200, temperatures_K=(300.0, 300.0), rows=10, frames=100)
    found = []
    while engine._at < 200:
        begun = engine._at
        while engine._at < begun + 10:
            engine.step(begun + 10 - engine._at)
        engine.measure(engine._at, 0.0)
        if engine._at % 20 == 0:
            found.append(engine.pressure_bar())
    engine._wait_for_end()
    leg = engine._written.folder
    frames = list(EnergyFile(next(leg.glob("*.edr"))).new())
    assert [frame.n_summed for frame in frames[1:]] == [5] * 20
    for element, name in ((0, "Pres-XX"), (3, "Pres-XY")):
        subprocess.run(
            ["gmx", "-nobackup", "energy", "-f", next(leg.glob("*.edr")), "-o", "aver.xvg", "-aver"],
            cwd=leg, input=f"{name}\n", capture_output=True, encoding="utf-8", check=True,
        )  # fmt: skip
        theirs = np.loadtxt(leg / "aver.xvg", comments=("#", "@"))
        mean = theirs[:, 2].reshape(10, 2).mean(1)  # it leaves out the first frame, of one step
        assert [row[element] for row in found] == pytest.approx(mean, rel=1e-4, abs=0.05)
        assert np.abs(theirs[1::2, 1] - mean).max() > 100, "at one instant it is another"


@needs_gromacs
@pytest.mark.slow
def test_gromacs_heats_holds_and_cools(tmp_path):
    """The thermostat is so strong that the temperature of each picosecond is the ramp's; fifty rows are averaged."""
    protocol = {"timestep_fs": 2.0, "friction_per_ps": 20.0, "state_interval_ps": 0.02, "barostat_interval": 50}
    anneal = {"temperature_K": 500.0, "heat_ns": 1.995e-3, "hold_ns": 0.985e-3, "cool_ns": 1.987e-3}
    run = relaxed_run(tmp_path / "run", counts=SMALL, edge_A=17.0, anneal=anneal, **protocol)
    simulate_here(run, engine="gromacs")
    found = pd.read_csv(run / "out" / "equilibration.csv").temperature_K.to_numpy()[:250].reshape(5, 50).mean(1)
    # Times that are no whole number of rows are rounded up. A row scatters by a tenth, and the thermostat forgets in
    # a twentieth of a picosecond.
    assert found == pytest.approx([350, 450, 500, 450, 350], abs=30)


@needs_gromacs
@pytest.mark.slow
def test_checkpoints_are_rarer_where_each_costs_a_slow_start_of_mdrun(tmp_path, monkeypatch):
    """As if mdrun took an hour to start: beside those that end a stage, which always come, there is none."""
    folder, legs, start = relaxed_run(tmp_path / "run"), [], Engine._start
    write_spec(folder, production_ns=0.05)
    monkeypatch.setattr(Engine, "_start", lambda self: (start(self), legs.append(self._stretch.end)))
    monkeypatch.setattr(Engine, "overhead_s", property(lambda self: 3600.0, lambda self, value: None), raising=False)
    simulate_here(folder, engine="gromacs", checkpoint_interval_s=0.05)
    assert legs[-2:] == [500, 25_000], "the equilibration and the production, one leg each"


@needs_gromacs
@pytest.mark.slow
@pytest.mark.parametrize("dynamics", [None, NOSE_HOOVER, FREE, {**NOSE_HOOVER, "thermostat": "bussi"}])
def test_an_explosion_in_gromacs_is_undone_with_a_smaller_step_and_leaves_no_trace(tmp_path, monkeypatch, dynamics):
    """From the sixth frame on, as if the atoms had got 10⁵ times their velocities."""
    folder = relaxed_run(tmp_path / "run", dynamics=dynamics)
    real, shots = Engine.snapshot, []

    def snapshot(self):
        shots.append(1)
        if len(shots) == 6:
            raise self._exploded("a test")
        return real(self)

    monkeypatch.setattr(Engine, "snapshot", snapshot)
    simulate_here(folder, engine="gromacs")
    assert_complete(folder)
    recoveries = json.loads((folder / "out" / "run.json").read_text("utf-8"))["recoveries"]
    assert [(r["stage"], r["divisor"]) for r in recoveries] == [("produce", 1)]


@needs_gromacs
@pytest.mark.slow
def test_a_run_that_goes_on_exploding_in_gromacs_names_its_hottest_atoms(tmp_path, monkeypatch):
    """From the equilibration on, one molecule is far too fast whenever mdrun begins anew."""
    folder = relaxed_run(tmp_path / "run")
    real = Engine._write_tpr

    def write(self, text):
        if "tau-t = 1.0" in text:  # not while softening
            self._v[30] = (1e4, 0, 0)
        real(self, text)

    monkeypatch.setattr(Engine, "_write_tpr", write)
    message = r"explodes in stage equilibrate .* Hottest atoms just before: atom \d+"
    with pytest.raises(LmbmdError, match=message) as error:
        simulate_here(folder, engine="gromacs")
    assert "(C1 of SOL, molecule 9)" in str(error.value)


@needs_gromacs
@pytest.mark.slow
def test_mdrun_does_not_outlive_its_run(tmp_path):
    """Killed by SIGKILL, which nobody can answer, it takes mdrun with it; the same command goes on."""
    folder = write_run(tmp_path / "run", production_ns=0.2)
    process = simulate_elsewhere(folder, engine="gromacs")
    while process.is_alive() and not (folder / "work" / "checkpoint").exists():
        process.join(0.05)
    process.kill()
    process.join()

    def running() -> list[Path]:
        here = str(folder / "work")
        found = []
        for link in Path("/proc").glob("[0-9]*/cwd"):
            try:
                found += [link] if str(link.readlink()).startswith(here) else []
            except OSError:
                continue
        return found

    for _ in range(100):
        if not running():
            break
        process.join(0.05)
        time.sleep(0.05)
    assert not running()
