"""The validation: runs go on where they stopped, forget another force field, and are reported as they are."""

import argparse
import json
import math
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import openmm
import pytest

from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.data.described import Described, descriptor_frame
from lmbmd.data.library import load_library
from lmbmd.forcefield.parameters import load_set
from lmbmd.numbers.doubt import Doubt, Kind, descriptor
from lmbmd.numbers.estimate import Estimate
from lmbmd.simulate.engines import gromacs
from lmbmd.validation import electrolytes, liquids, pairs, plan, report
from lmbmd.validation.plan import REFERENCE
from lmbmd.validation.results import compared

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


@pytest.fixture
def short(monkeypatch):
    """Chunks short enough for a test."""
    for name, value in (("EQUILIBRATION_PS", 0.2), ("CHUNK_PS", 0.2), ("SAMPLE_PS", 0.1)):
        monkeypatch.setattr(plan, name, value)


def test_a_stopped_validation_run_goes_on_and_is_reported(short, tmp_path):
    run = liquids.Run("DMC")
    assert not liquids.simulate(run, tmp_path, deadline=-math.inf, production_ps=0.2)
    assert liquids.simulate(run, tmp_path, deadline=math.inf, production_ps=0.0)
    first = liquids.load(run, tmp_path)[1]
    assert len(first) == 2
    assert liquids.simulate(run, tmp_path, deadline=math.inf, production_ps=0.2)
    state, samples = liquids.load(run, tmp_path)
    assert len(samples) == 4
    np.testing.assert_array_equal(samples[:2], first)
    packed = plan.PACKED_FRACTION * load_library().species["DMC"].density_g_cm3
    assert samples[:, 0] == pytest.approx(packed, rel=0.1)

    dipole = _dipole_of(state, load_set(plan.SET).system("DMC"))
    np.testing.assert_allclose(samples[-1, 3:6], dipole, atol=1e-3)

    long = np.tile(samples, (60, 1))
    long[:, 0] = 1.0740 + 0.01 * np.sin(np.arange(len(long)))
    liquids.save(run, tmp_path, state, long)
    rows = [compared(row) for row in liquids.rows(run, tmp_path)]
    row = next(line for line in report.densities({plan.SET: rows}) if line.startswith("| DMC"))
    assert "| 298.15 | 1.06326 | high | ThermoML" in row and "| 1.074" in row and "| +1.0%" in row
    assert liquids.load(replace(run, atoms=2000), tmp_path)[0] is None, "a run of another box is not gone on with"


@pytest.mark.skipif(not shutil.which("gmx"), reason="GROMACS is not installed")
def test_a_liquid_in_gromacs_is_stored_like_one_in_openmm(short, tmp_path, monkeypatch):
    monkeypatch.setattr(gromacs, "SETTLE_PS", 2.0)
    monkeypatch.setattr(plan, "SAMPLE_PS", 0.4)
    run = liquids.Run("DMC", engine="gromacs")
    assert liquids.simulate(run, tmp_path, deadline=math.inf, production_ps=0.6)
    first = liquids.load(run, tmp_path)[1]
    assert first.shape == (2, 6)
    assert liquids.simulate(run, tmp_path, deadline=math.inf, production_ps=1.4), "goes on to the new length"
    samples = liquids.load(run, tmp_path)[1]
    assert len(samples) == 4
    np.testing.assert_allclose(samples[:2], first)
    packed = plan.PACKED_FRACTION * load_library().species["DMC"].density_g_cm3
    assert samples[:, 0] == pytest.approx(packed, rel=0.15)
    # Kinetic energy: (3 · 12 atoms − 6 rigid bonds) degrees of freedom a molecule, warmed up or nearly so.
    full = 0.5 * 8.314462618e-3 * 298.15 * 30 * run.n_molecules
    assert np.all(samples[:, 2] > 0.5 * full) and np.all(samples[:, 2] < 1.2 * full)
    assert np.abs(samples[:, 3:6]).max() > 0.1
    assert liquids.longest(liquids.Run("DMC"), tmp_path) is None, "too short to report"


def _dipole_of(state: str, molecule: openmm.System) -> np.ndarray:
    """Of all molecules of a saved state, one by one, e nm."""
    positions = openmm.XmlSerializer.deserialize(state).getPositions(asNumpy=True)._value
    nonbonded = next(f for f in molecule.getForces() if isinstance(f, openmm.NonbondedForce))
    charges = [nonbonded.getParticleParameters(i)[0]._value for i in range(molecule.getNumParticles())]
    return sum(q * x for whole in positions.reshape(-1, len(charges), 3) for q, x in zip(charges, whole, strict=True))


def test_enthalpy_and_permittivity_follow_their_definitions(short, tmp_path):
    run, rng = liquids.Run("DMC"), np.random.default_rng(0)
    n, samples = run.n_molecules, np.zeros((4002, 6))
    samples[:, 0], samples[:, 1] = 1.0, -100.0 * n + rng.normal(size=len(samples))
    samples[:, 3:] = rng.normal(scale=2.0, size=(len(samples), 3))
    liquids.save(run, tmp_path, "", samples)
    assert math.isnan(liquids.measure(run, tmp_path).vaporisation_kJ_mol.value), "there is no vapour yet"
    liquids.vapour(run, tmp_path, 1.0)
    found = liquids.measure(run, tmp_path)
    gas = liquids.vapour_of(run, tmp_path)[0]
    assert len(gas) == 10
    assert found.vaporisation_kJ_mol.value == pytest.approx(gas.mean() + 100.0 + 8.314462618e-3 * 298.15, abs=1e-3)
    # 1 + <M²> / (3 ε₀ V k T) in SI units, <M²> = 3 · 2² (e nm)²
    volume_m3 = n * 90.078e-3 / 6.02214076e23 / 1000.0
    square = 12.0 * (1.602176634e-19 * 1e-9) ** 2
    expected = 1 + square / (3 * 8.8541878128e-12 * volume_m3 * 1.380649e-23 * 298.15)
    assert found.permittivity.value == pytest.approx(expected, abs=4 * found.permittivity.error)
    assert found.permittivity.error < 0.05 * expected
    samples[:, 3:] = np.repeat(samples[::400, 3:], 400, axis=0)[: len(samples)]
    liquids.save(run, tmp_path, "", samples)
    assert math.isnan(liquids.measure(run, tmp_path).permittivity.value), "eleven dipoles are too few"


def test_runs_older_than_the_dipole_stay_usable(short, tmp_path):
    run = liquids.Run("DMC")
    samples = np.column_stack([np.full(200, 1.07), np.random.default_rng(0).normal(size=200), np.zeros(200)])
    liquids.save(run, tmp_path, "state", samples)
    found = liquids.measure(run, tmp_path)
    assert found.density_g_cm3.value == pytest.approx(1.07) and math.isnan(found.permittivity.value)


@pytest.mark.parametrize("repartitioned", [True, False])
def test_runs_of_heavy_and_of_natural_hydrogens_can_be_asked_of_the_stage(repartitioned):
    run = liquids.Run("THF", timestep_fs=4.0 if repartitioned else 2.0, repartitioned=repartitioned)
    assert liquids.spec(run).hydrogen_mass_amu == pytest.approx(3.0 if repartitioned else 1.008, abs=0.001)


def test_what_has_not_run_says_so():
    text = report.report({})
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    for liquid in REFERENCE["liquids"]:
        assert any(line.startswith(f"| {liquid} |") and "not run" in line for line in rows), liquid
    assert "Not run." in text.partition("## Li⁺ and one molecule")[2]
    assert report.plot({}).startswith(b"<?xml")


def test_every_reference_has_a_source_a_trust_and_a_density():
    assert len(REFERENCE["liquids"]) >= 25
    for name, facts in REFERENCE["liquids"].items():
        species = load_library().species[name]
        assert species.density_g_cm3 and "estimate" not in species.density_source, name
        assert name in load_set(REFERENCE["sets"][0]).species, name
        graded = [facts["density"], *(facts[key][-1] for key in ("vaporisation", "permittivity") if key in facts)]
        assert set(graded) <= {"high", "medium", "low"}, name
        assert all(facts[key][-2] in REFERENCE["sources"] for key in ("vaporisation", "permittivity") if key in facts)
    for name, rows in REFERENCE["electrolytes"].items():
        assert (plan.FORMULATIONS / f"{name}.yaml").exists()
        assert all(row["source"] in REFERENCE["sources"] for row in rows)


def test_electrolytes_are_compared_with_experiment(tmp_path):
    place = tmp_path / "electrolytes-gromacs" / "sage-clp" / "litfsi-ec.scale-0.8" / "298.15K"
    (place / "tables").mkdir(parents=True)
    (place.parent / "composition.json").write_text(
        json.dumps({"ion_charge_scale": 0.8, "force_field": plan.SET, "production_ps": 160.0}), encoding="utf-8"
    )
    files = {
        "composition": 'component,quantity,simulated,error\n,density,1.5,0.01\n"EC",count,126,0',
        "cutoffs": "centre,partner,peak_A,basis\nLi,EC:O_carbonyl,2.025,first_minimum\nLi,TFSI:F,4,fallback",
        "peaks": "partner,error\nEC:O_carbonyl,0.004",
        "cn": "centre,species,site,value,error\nLi,EC,O_carbonyl,3.7,0.1\nLi,TFSI,F,0.1,0.1",
    }
    for name, text in files.items():
        (place / "tables" / f"{name}.csv").write_text(text, encoding="utf-8")
    rows = [compared(row) for row in electrolytes.rows(tmp_path, plan.SET)]
    assert {row.run for row in rows} == {("electrolyte", "litfsi-ec", 298.15, "NPT", 4.0, "heavy", 0.8, "")}
    text = [*report.electrolytes({plan.SET: rows})]
    lines = [line for line in text if line.startswith("| litfsi-ec |")]
    assert [line.split(" | ")[3:] for line in lines] == [
        ["160 G", "density, g/cm³", "1.5 ± 0.01", "", " |"],
        ["160 G", "first peak, Å EC:O_carbonyl", "2.025 ± 0.004", "1.9 (Maeda)", "+0.125 |"],
        ["160 G", "coordination number EC:O_carbonyl", "3.7 ± 0.1", "4 (Maeda)", "-0.3 |"],
    ]
    assert "Peaks within the goal: 0 of 1 at scale 0.8." in "".join(text)
    assert not [*electrolytes.rows(tmp_path, plan.SETS[1])], "the run is of another set"


def test_conductivity_is_taken_from_studies_and_not_from_damped_runs(tmp_path):
    tables = {
        "composition": "component,quantity,simulated,error\n,density,1.02,0.01\n",
        "cutoffs": "centre,partner,shell,peak_A,basis\n",
        "cn": "centre,species,site,value,error\n",
    }
    moved = [
        descriptor("conductivity_S_m", "", Estimate(1.1, 0.2, 30.0), "S/m", "long times"),
        descriptor("self_diffusion_unbounded_m2_s", "Li", Estimate(3e-10, 4e-11, 30.0), "m²/s", "long times"),
        descriptor(
            "self_diffusion_unbounded_m2_s", "DME", Estimate(math.nan, math.nan, 0.0), "m²/s", "", Doubt(Kind.TOO_SHORT)
        ),
    ]
    told = {"ion_charge_scale": 0.8, "force_field": plan.SET}
    for place, facts in (
        (tmp_path / "electrolytes" / "results" / "litfsi-dme", told),
        (tmp_path / "electrolytes-gromacs" / "sage-clp" / "lifsi-dme.scale-0.8", {**told, "production_ps": 160.0}),
    ):
        Described(descriptor_frame(moved)).write(place / "298.15K")
        (place / "298.15K" / "tables").mkdir(exist_ok=True)
        (place / "composition.json").write_text(json.dumps(facts), encoding="utf-8")
        for name, text in tables.items():
            (place / "298.15K" / "tables" / f"{name}.csv").write_text(text, encoding="utf-8")
    study = tmp_path / "electrolytes" / "results"
    for run, ns, platform in (("r1", 0.2, "GROMACS"), ("r2", 0.3, "GROMACS"), ("r1/t1", 1.5, "GROMACS")):
        (study / "litfsi-dme" / "298.15K" / run).mkdir(parents=True)
        record = {"production_ns": ns, "n_atoms": 1024, "platform": {"name": platform}}
        (study / "litfsi-dme" / "298.15K" / run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    (study / "lifsi-dol" / "298.15K" / "r1").mkdir(parents=True)  # begun, and not described yet
    (study / "lifsi-dol" / "composition.json").write_text(json.dumps(told), encoding="utf-8")
    rows = [compared(row) for row in electrolytes.rows(tmp_path, plan.SET)]
    found = {(row.name, row.quantity, row.partner): row for row in rows}
    still, moving = found["litfsi-dme", "density", ""], found["litfsi-dme", "conductivity", ""]
    assert (still.engine, still.ensemble, still.length_ps, still.atoms) == ("gromacs", "NPT", 500.0, 1024.0)
    assert (moving.engine, moving.ensemble, moving.length_ps) == ("gromacs", "NVT", 1500.0)
    assert still.run != moving.run, "a longer run of one does not take the other's place"
    assert set(found) == {
        ("litfsi-dme", "density", ""),
        ("litfsi-dme", "conductivity", ""),
        ("litfsi-dme", "self_diffusion", "Li"),
        ("lifsi-dme", "density", ""),
    }
    conductivity = found["litfsi-dme", "conductivity", ""]
    assert (conductivity.simulated, conductivity.error) == pytest.approx((11.0, 2.0))
    assert (conductivity.experiment, conductivity.unit, conductivity.source) == (12.9, "mS/cm", "EDB")
    assert found["litfsi-dme", "self_diffusion", "Li"].simulated == pytest.approx(0.3)
    text = "".join(report.electrolytes({plan.SET: rows}))
    assert "conductivity, mS/cm | 11 ± 2 | 12.9 (EDB) | -1.9" in text


def test_orderings_are_judged_by_each_method(tmp_path):
    parameters = load_set(plan.SET)
    rows = {
        name: {
            "fingerprint": pairs.fingerprint(parameters, name),
            "force_field_kJ_mol": mm,
            "gfn2_kJ_mol": qm,
            "force_field_scaled_kJ_mol": 0.8 * mm,
            "force_field_donors": [["O", 2.0]],
            "gfn2_donors": [["O", 1.7]],
        }
        for name, mm, qm in (("EC", -150.0, -240.0), ("DMC", -120.0, -250.0))
    }
    path = plan.place(tmp_path, plan.SET) / "lithium.json"
    path.parent.mkdir()
    path.write_text(json.dumps(rows), encoding="utf-8")
    text = [*report.pairs([*pairs.rows(parameters, tmp_path)])]
    assert "| EC > DMC | holds (+30) | **does not hold** (-10) | not run |" in text
    assert "| EC | -150 | -120 | -240 |  | O 2.00 | O 1.70 |  |" in text
    rows["EC"]["fingerprint"] = "of another force field"
    path.write_text(json.dumps(rows), encoding="utf-8")
    assert {row.name for row in pairs.rows(parameters, tmp_path)} == {"DMC"}


def test_what_quantum_chemistry_said_outlives_the_force_field(tmp_path, monkeypatch):
    path, parameters = tmp_path / "lithium.json", load_set(REFERENCE["sets"][0])
    old = {"fingerprint": "of another force field", "force_field_kJ_mol": -1.0, "gfn2_kJ_mol": -2.0, "gfn2_donors": []}
    path.write_text(json.dumps({"EC": old, "DMC": old}), encoding="utf-8")
    monkeypatch.setattr(pairs, "STARTS", 2)
    monkeypatch.setattr(pairs, "by_quantum_chemistry", lambda *_: pytest.fail("computed again"))
    pairs.run_comparison(parameters, ["EC"], path, dft=False)
    row = pairs.load(path, parameters)["EC"]
    assert row["gfn2_kJ_mol"] == -2.0 and row["force_field_kJ_mol"] < -50
    assert json.loads(path.read_text(encoding="utf-8"))["DMC"] == old


def test_gfn2_binds_lithium_to_the_carbonyl_oxygen(tmp_path, monkeypatch):
    pytest.importorskip("tblite", reason="the extra 'validation' is not installed")
    monkeypatch.setattr(pairs, "STARTS", 4)
    parameters = load_set(REFERENCE["sets"][0])
    pairs.run_comparison(parameters, ["EC"], tmp_path / "lithium.json", dft=False)
    row = pairs.load(tmp_path / "lithium.json", parameters)["EC"]
    assert row["gfn2_kJ_mol"] < row["force_field_kJ_mol"] < row["force_field_scaled_kJ_mol"] < -50
    assert [donor for donor, _ in row["gfn2_donors"]] == [donor for donor, _ in row["force_field_donors"]] == ["O"]


@pytest.mark.parametrize("config", [[], ["full=true", "engine=gromacs"]])
def test_the_workflow_runs_everything_once_and_by_commands_that_there_are(tmp_path, monkeypatch, config):
    for part in ("force_fields", "workflow"):
        shutil.copytree(ROOT / part, tmp_path / part)
    command = [sys.executable, "-m", "snakemake", "--snakefile", "workflow/validation.smk", "--dry-run", "--cores", "2"]
    command += ["--printshellcmds", "validation", "transport", *(["--config", *config] if config else [])]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stderr
    lines = (ran.stdout + ran.stderr).splitlines()
    jobs = dict(line.split() for line in lines if len(line.split()) == 2)
    assert jobs["liquid"] == str(len(REFERENCE["sets"]) * len(REFERENCE["liquids"]))
    assert jobs["pairs"] == jobs["steps"] == jobs["electrolytes"] == jobs["report"] == jobs["transport"] == "1"

    parse, seen = argparse.ArgumentParser.parse_args, set()

    class Understood(Exception):
        pass

    def parsed(parser, arguments=None, namespace=None):
        found = parse(parser, arguments, namespace)
        if parser.prog.startswith("lmbmd validate"):
            raise Understood
        return found

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parsed)
    for asked in re.findall(r"-m lmbmd (validate [^>&;\n]*)", "\n".join(lines)):
        with pytest.raises(Understood):
            main(asked.split())
        seen.add(asked.split()[1])
    assert seen == {"liquids", "time-step", "transport", "pairs", "report"}


def test_the_cost_of_polarisation_is_that_of_a_dipole_in_its_own_field():
    # (1 D)² / (2 · 4.4 Å³) in SI units, of acetonitrile's polarisability
    debye, alpha = 3.33564e-30, 4 * np.pi * 8.8541878128e-12 * 1e-30
    one = debye**2 / (2 * alpha) * 6.02214076e23 / 1000
    cost = liquids.polarisation_kJ_mol("AN", 4.92)
    assert one / 4.5 < cost < one / 4.3, "measured: 4.40 to 4.48 Å³"
    assert liquids.polarisation_kJ_mol("AN", 3.92) == 0
    assert math.isnan(liquids.polarisation_kJ_mol("TTE", 3.0)), "nobody has measured it"


def test_the_dipole_of_a_molecule_is_the_root_of_its_mean_square():
    parameters, places = load_set(REFERENCE["sets"][0]), np.zeros((2, 6, 3))
    nonbonded = next(f for f in parameters.system("AN").getForces() if isinstance(f, openmm.NonbondedForce))
    nitrogen = nonbonded.getParticleParameters(2)[0]._value  # CC#N
    places[0, 2, 0] = places[1, 2, 1] = 0.1
    places[1] *= 3
    e_nm_D = 1.602176634e-19 * 1e-9 / 3.33564e-30
    expected = abs(nitrogen) * 0.1 * np.sqrt((1 + 9) / 2) * e_nm_D
    assert liquids.rms_dipole_D(parameters, "AN", places) == pytest.approx(expected, rel=1e-4)


def test_a_run_owns_its_folder_and_finds_there_only_what_rests_on_the_same(tmp_path):
    folder = tmp_path / "run"
    with gromacs.owned(folder, "one"):
        (folder / "hot").mkdir()
        (folder / "hot" / "run.tpr").touch()
        (folder / "conf.gro").touch()
        with pytest.raises(LmbmdError, match="this run is being written by process"), gromacs.owned(folder, "two"):
            pass
        assert (folder / "hot" / "run.tpr").is_file(), "whoever comes second empties nothing"
    with gromacs.owned(folder, "one"):
        assert (folder / "hot" / "run.tpr").is_file() and (folder / "conf.gro").is_file()
    with gromacs.owned(folder, "two"):
        assert {path.name for path in folder.iterdir() if not path.name.startswith("lock.")} == {"fingerprint"}
