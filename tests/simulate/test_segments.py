"""Transport segments: constant volume, no friction, a pressure tensor; and what of it can be proven on a small box."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace

import MDAnalysis
import numpy as np
import openmm
import pandas as pd
import pytest
from openmm import unit
from runs import assert_complete
from toy import FREE, NOSE_HOOVER, SMALL, relaxed_run, simulate_here, toy_box, write_spec

from lmbmd.box.build import build_box
from lmbmd.box.export import export
from lmbmd.box.pdb import read_pdb, with_positions
from lmbmd.core.errors import LmbmdError
from lmbmd.forcefield.parameters import load_set
from lmbmd.numbers.estimate import estimate_mean
from lmbmd.simulate.engines.openmm import Engine
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import load_spec
from lmbmd.study.starts import write_start

#: kJ/mol/nm³ in bar; kJ/mol/K.
BAR, GAS_CONSTANT = 16.6053906717, 0.00831446261815324
XX, YY, ZZ, XY, XZ, YZ = (0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2)


def engine_of(folder: Path, platform: str = "Reference") -> Engine:
    """At the start of a segment, with velocities."""
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text(encoding="utf-8"))
    positions_A, box_A = read_pdb((folder / "start.pdb").read_text(encoding="utf-8"), where="start.pdb")
    engine = Engine(system, load_spec(folder / "spec.json"), PlatformOptions(name=platform, threads=1), "x")
    engine.set_positions(positions_A / 10, box_A / 10)
    engine.warm()
    return engine


@pytest.fixture(scope="module")
def liquid(tmp_path_factory) -> Path:
    """256 atoms at a liquid's density, relaxed: a segment of 4 fs steps that nobody has begun."""
    folder = tmp_path_factory.mktemp("liquid") / "run"
    protocol = {"timestep_fs": 4.0, "frame_interval_ps": 0.1, "state_interval_ps": 0.04, "production_ns": 0.01}
    dynamics = {**NOSE_HOOVER, "pressure_interval_ps": 0.04}
    return relaxed_run(folder, counts=SMALL, edge_A=17.0, dynamics=dynamics, **protocol)


# ---- the pressure tensor


def brute_force_pressure_bar(engine: Engine, rows: tuple[tuple[int, int], ...]) -> list[float]:
    """Minus the change of the energy under a strain that moves molecules as wholes, by the mean of their atoms, over
    the volume; and what makes it the rate of change of Σ P_i G_j / V, from the motion of these means.

    Each component in Contexts of their own whose boxes were made with the strain in them, by central differences.
    """
    state = engine._context.getState(positions=True, velocities=True)
    positions, velocities = (get(asNumpy=True)._value for get in (state.getPositions, state.getVelocities))
    box, masses = state.getPeriodicBoxVectors(asNumpy=True)._value, np.array(
        [engine.system.getParticleMass(i)._value for i in range(engine.system.getNumParticles())]
    )  # fmt: skip
    molecules = [list(m) for m in engine._context.getMolecules()]
    volume = float(np.linalg.det(box))

    def energy(strain: np.ndarray) -> float:
        moved = positions.copy()
        for atoms in molecules:
            moved[atoms] += strain @ positions[atoms].mean(0)
        system = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(engine.system))
        strained = box + box @ strain.T
        system.setDefaultPeriodicBoxVectors(*strained)
        context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
        context.setPositions(moved)
        return context.getState(energy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)

    found, step = [], 3e-4  # OpenMM's own is 10⁻³
    for i, j in rows:
        strain = np.zeros((3, 3))
        strain[i, j] = step
        virial = -(energy(strain) - energy(-strain)) / (2 * step)
        kinetic = 0.0
        for atoms in molecules:
            momentum = (masses[atoms, None] * velocities[atoms]).sum(0)
            kinetic += momentum[i] * velocities[atoms].mean(0)[j]
        found.append(BAR * (virial + kinetic) / volume)
    return found


def test_the_pressure_tensor_is_the_change_of_energy_under_strain_and_the_motion_of_molecules(liquid, tmp_path):
    """With a small jump of the energy at the cut-off: pairs that cross it under the strain would be seen."""
    folder = Path(shutil.copytree(liquid, tmp_path / "run"))
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text(encoding="utf-8"))
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            force.setEwaldErrorTolerance(1e-6)
    (folder / "system.xml").write_text(openmm.XmlSerializer.serialize(system), encoding="utf-8")
    engine = engine_of(folder)
    engine.set_pace(4000, friction_per_ps=0.0)
    engine.step(20)
    expected = brute_force_pressure_bar(engine, (XX, YY, ZZ, XY, XZ, YZ))
    found = engine.pressure_bar()
    assert np.ptp(expected) > 300  # bar: a tensor with a shape
    assert found == pytest.approx(expected, abs=2.0)


def test_measuring_the_pressure_moves_nothing(liquid):
    """The same steps with and without calls between them, on the platform that computes to the bit."""
    disturbed, quiet = (engine_of(liquid) for _ in range(2))
    for engine in (disturbed, quiet):
        engine.set_pace(4000, friction_per_ps=0.0)
        for _ in range(3):
            engine.step(5)
            if engine is disturbed:
                engine.pressure_bar()
    assert np.array_equal(disturbed.snapshot().positions_nm, quiet.snapshot().positions_nm)


def gromacs_pressure_bar(folder: Path) -> np.ndarray:
    """(3, 3): of the atoms of an exported box at rest, flexible, with tight sums."""
    changes = {"dt": "1e-6", "nsteps": "0", "nstenergy": "1", "constraints": "none", "tcoupl": "no", "pcoupl": "no"}
    changes |= {"gen-vel": "no\ncontinuation = yes\nnstcalcenergy = 1", "ewald-rtol": "1e-6"}
    changes |= {"fourierspacing": "0.06\npme-order = 6"}
    mdp = (folder / "md.mdp").read_text(encoding="utf-8")
    for key, value in changes.items():
        mdp, found = re.subn(rf"(?m)^{key} .*$", f"{key} = {value}", mdp)
        assert found == 1, key
    (folder / "one.mdp").write_text(mdp, encoding="utf-8")
    names = [f"Pres-{first}{second}" for first in "XYZ" for second in "XYZ"]
    for command in (
        ["grompp", "-f", "one.mdp", "-p", "topol.top", "-c", "conf.gro", "-o", "one.tpr"],
        ["mdrun", "-s", "one.tpr", "-deffnm", "one", "-ntmpi", "1", "-ntomp", "1", "-nb", "cpu", "-pin", "off"],
        ["energy", "-f", "one.edr", "-o", "pressure.xvg"],
    ):
        done = subprocess.run(
            ["gmx", "-nobackup", *command], cwd=folder, input="\n".join(names) + "\n\n", capture_output=True,
            encoding="utf-8", check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]
    lines = (folder / "pressure.xvg").read_text(encoding="utf-8").splitlines()
    (row,) = (line.split()[1:] for line in lines if line[0] not in "#@")
    return np.array(row, dtype=float).reshape(3, 3)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gmx") is None, reason="GROMACS (gmx) is not installed")
def test_the_pressure_tensor_is_that_of_gromacs(tmp_path):
    """A box of a released set at rest. GROMACS has the virial of atoms; without the forces within molecules, which take
    their part of it by the distance of each atom from its molecule's centre, it is that of molecules. Both long-range
    corrections of Lennard-Jones differ by what the switch leaves out, in the diagonal alone."""
    roles = {"Li": "cation", "FSI": "anion", "DME": "solvent"}
    composition = SimpleNamespace(counts={"Li": 6, "FSI": 6, "DME": 44}, roles=roles, box_edge_A=23.0, chains={})
    build_box(composition, load_set("sage-clp-2.1.0"), ion_charge_scale=0.8, seed=5, out_dir=tmp_path)
    system = openmm.XmlSerializer.deserialize((tmp_path / "system.xml").read_text(encoding="utf-8"))
    for force in system.getForces():
        if isinstance(force, openmm.NonbondedForce):
            force.setEwaldErrorTolerance(1e-6)
    (tmp_path / "build.json").unlink()
    text = (tmp_path / "start.pdb").read_text(encoding="utf-8")
    positions_A, box_A = read_pdb(text, where="start.pdb")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("CPU"))
    context.setPeriodicBoxVectors(*(box_A / 10))
    context.setPositions(positions_A / 10)
    openmm.LocalEnergyMinimizer.minimize(context, 10.0, 60)
    relaxed_A = context.getState(positions=True).getPositions(asNumpy=True)._value * 10
    (tmp_path / "start.pdb").write_text(with_positions(text, relaxed_A, box_A), encoding="utf-8")
    export(tmp_path, "gromacs", tmp_path / "gromacs")
    of_atoms = gromacs_pressure_bar(tmp_path / "gromacs")

    write_spec(tmp_path, dynamics=NOSE_HOOVER, timestep_fs=1.0, constraints="none", hydrogen_mass_amu=1.008)
    spec = load_spec(tmp_path / "spec.json")
    engine = Engine(system, spec, PlatformOptions(name="Reference"), "x")
    positions_nm = read_pdb((tmp_path / "start.pdb").read_text(encoding="utf-8"), where="start.pdb")[0] / 10
    engine.set_positions(positions_nm, box_A / 10)
    forces = engine._context.getState(forces=True).getForces(asNumpy=True)._value
    centred = positions_nm.copy()
    for molecule in engine._context.getMolecules():
        centred[list(molecule)] -= centred[list(molecule)].mean(axis=0)
    inside = BAR * forces.T @ centred / np.linalg.det(box_A / 10)
    expected = np.array([(of_atoms - inside)[place] for place in (XX, YY, ZZ, XY, XZ, YZ)])
    found = np.array(engine.pressure_bar())
    assert np.abs(inside).max() > 300 and np.ptp(expected) > 300
    assert found[3:] == pytest.approx(expected[3:], abs=2.0)
    assert np.ptp(found[:3] - expected[:3]) < 2.0
    assert found[:3] == pytest.approx(expected[:3], abs=10.0)


@pytest.mark.slow
def test_at_the_mean_volume_of_a_production_the_mean_pressure_is_its_barostats(tmp_path):
    """The tensor's sign and scale, by the barostat, which knows nothing of it; within the errors of both means: that of
    the volume is worth its bulk modulus, kT <V> / <δV²>. Its kinetic part, some 900 bar, is tested exactly above."""
    protocol = {"timestep_fs": 4.0, "frame_interval_ps": 0.4, "state_interval_ps": 0.04, "barostat_interval": 5}
    long = {"equilibration_ns": 0.02, "max_equilibration_ns": 0.02, "production_ns": 0.16}
    run = relaxed_run(tmp_path / "run", counts=SMALL, edge_A=17.0, pressure_bar=3000.0, **protocol, **long)
    simulate_here(run)
    toy_box(SMALL, 17.0, cutoff_nm=0.5).atoms.write(run / "atoms.parquet")
    write_start(run / "out", run / "start.pdb", run / "atoms.parquet", 1, tmp_path / "start.pdb", print)
    folder = Path(shutil.copytree(run, tmp_path / "segment", ignore=shutil.ignore_patterns("work", "out")))
    shutil.copy(tmp_path / "start.pdb", folder / "start.pdb")
    dynamics = {**NOSE_HOOVER, "pressure_interval_ps": 0.04}
    write_spec(folder, dynamics=dynamics, **protocol, **{**long, "production_ns": 0.08})
    simulate_here(folder)
    volumes_A3 = pd.read_csv(run / "out" / "state.csv").volume_A3.to_numpy()
    volume, modulus_bar = estimate_mean([volumes_A3]), 138.0649 * 300 * volumes_A3.mean() / volumes_A3.var()
    tensor = pd.read_csv(folder / "out" / "pressure.csv")
    pressure = estimate_mean([tensor[["xx_bar", "yy_bar", "zz_bar"]].mean(axis=1).to_numpy()])
    error = np.hypot(pressure.error, modulus_bar * volume.error / volume.value)
    assert pressure.value == pytest.approx(3000, abs=4.5 * error) and error < 400


# ---- what a segment keeps


def total_energy(engine: Engine) -> float:
    row = engine.measure(0, 0.0)
    return row.potential_kJ_mol + row.kinetic_kJ_mol


@pytest.mark.slow
@pytest.mark.parametrize("platform", ["CPU", "Reference"])
def test_without_a_thermostat_the_energy_stays(liquid, tmp_path, platform):
    """Steps of 4 fs with heavy hydrogens: no drift within an error of some 4 K per ns."""
    folder = Path(shutil.copytree(liquid, tmp_path / "run"))
    spec = json.loads((folder / "spec.json").read_text(encoding="utf-8"))
    write_spec(folder, **{**spec["protocol"], "dynamics": FREE})
    engine = engine_of(folder, platform)
    engine.set_pace(1000, friction_per_ps=10.0)
    engine.step(2000)
    engine.set_pace(4000, friction_per_ps=0.0)
    times_ns, energies = np.arange(1, 101) * 4e-4, []
    for _ in times_ns:
        engine.step(100)
        energies.append(total_energy(engine))
    slope, _ = np.polyfit(times_ns, energies, 1)
    kelvin_per_ns = slope / (engine._n_dof * GAS_CONSTANT)
    error = np.std(energies) / (np.std(times_ns) * np.sqrt(len(times_ns)) * engine._n_dof * GAS_CONSTANT)
    assert abs(kelvin_per_ns) < 4.5 * error and error < 6, (kelvin_per_ns, error)


@pytest.mark.slow
def test_a_nose_hoover_chain_holds_the_temperature_and_its_spread(liquid):
    engine = engine_of(liquid, "CPU")
    engine.set_pace(1000, friction_per_ps=10.0)
    engine.step(2000)
    engine.set_pace(4000, friction_per_ps=0.0)
    kelvin = []
    for _ in range(3000):
        engine.step(10)
        kelvin.append(engine.measure(0, 0.0).temperature_K)
    spread = 300 * np.sqrt(2 / engine._n_dof)
    # At least one independent sample per period, 600 of them.
    assert np.mean(kelvin) == pytest.approx(300, abs=4 * spread / np.sqrt(600))
    assert np.std(kelvin) == pytest.approx(spread, rel=4 / np.sqrt(2 * 600))


# ---- whole segments


def test_a_segment_keeps_its_box_and_writes_what_it_was_asked_for(liquid, tmp_path):
    folder = Path(shutil.copytree(liquid, tmp_path / "run"))
    write_spec(folder)
    simulate_here(folder)
    assert_complete(folder)
    record = json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))
    assert record["spec"]["dynamics"] == {**NOSE_HOOVER} and record["equilibration"] == {"duration_ps": 1.0}
    assert "mean_temperature_K" not in record, "a thermostat holds it"
    assert pd.read_csv(folder / "out" / "state.csv").volume_A3.unique() == [pytest.approx(17.0**3)]
    universe = MDAnalysis.Universe(str(folder / "out" / "final.pdb"), str(folder / "out" / "trajectory.xtc"))
    assert all(ts.dimensions[:3] == pytest.approx(17.0) for ts in universe.trajectory)


def test_a_segment_without_pressure_has_no_log_of_it(liquid, tmp_path):
    folder = Path(shutil.copytree(liquid, tmp_path / "run"))
    write_spec(folder, dynamics={**FREE, "pressure_interval_ps": None})
    (folder / "out").mkdir()
    (folder / "out" / "pressure.csv").write_text("of a run that was here before", encoding="utf-8")
    simulate_here(folder)
    assert not (folder / "out" / "pressure.csv").exists() and not (folder / "work" / "pressure.csv").exists()
    record = json.loads((folder / "out" / "run.json").read_text(encoding="utf-8"))
    assert "pressure.csv" not in record["files"]
    # Nothing holds the temperature or the energy of it: the record says what they were.
    rows = pd.read_csv(folder / "out" / "state.csv")
    assert record["mean_temperature_K"] == pytest.approx(rows.temperature_K.mean())
    time_ns, energy = rows.time_ps / 1000, rows.potential_kJ_mol + rows.kinetic_kJ_mol
    slope = ((time_ns - time_ns.mean()) * (energy - energy.mean())).sum() / ((time_ns - time_ns.mean()) ** 2).sum()
    assert record["energy_drift_kJ_mol_ns_per_atom"] == pytest.approx(slope / record["n_atoms"], rel=1e-6)


def test_a_thermostat_that_openmm_does_not_have_is_refused(liquid, tmp_path):
    folder = Path(shutil.copytree(liquid, tmp_path / "run"))
    write_spec(folder, dynamics={**NOSE_HOOVER, "thermostat": "bussi"})
    with pytest.raises(LmbmdError, match=r"OpenMM has no thermostat 'bussi'\. Choose 'nose-hoover'"):
        simulate_here(folder, engine="openmm")
