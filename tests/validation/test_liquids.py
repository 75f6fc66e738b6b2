"""The validation: runs go on where they stopped, forget another force field, and are reported as they are."""

import importlib
import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import openmm
import pytest
import yaml

from lmbmd.data.library import load_library
from lmbmd.forcefield.parameters import load_set

ROOT = Path(__file__).parents[2]
REFERENCE = yaml.safe_load((ROOT / "force_fields" / "reference.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def modules(monkeypatch):
    """The benchmark, its report and the pairs, with chunks short enough for a test."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    names = ("liquids", "lithium_pairs", "validation_report")
    for name in names:
        sys.modules.pop(name, None)
    found = [importlib.import_module(name) for name in names]
    for name, value in (("EQUILIBRATION_PS", 0.2), ("CHUNK_PS", 0.2), ("SAMPLE_PS", 0.1)):
        monkeypatch.setattr(found[0], name, value)
    return found


@pytest.fixture
def validation(modules):
    return modules[0]


@pytest.fixture
def report(modules):
    return modules[2]


@pytest.fixture
def pairs(modules):
    return modules[1]


def test_a_stopped_validation_run_goes_on_and_is_reported(validation, report, tmp_path):
    run = validation.Run("DMC")
    assert not validation.simulate(run, tmp_path, deadline=-math.inf, production_ps=0.2)
    assert validation.simulate(run, tmp_path, deadline=math.inf, production_ps=0.0)
    first = validation.load(run, tmp_path)[1]
    assert len(first) == 2
    assert validation.simulate(run, tmp_path, deadline=math.inf, production_ps=0.2)
    state, samples = validation.load(run, tmp_path)
    assert len(samples) == 4
    np.testing.assert_array_equal(samples[:2], first)
    packed = validation.PACKED_FRACTION * load_library().species["DMC"].density_g_cm3
    assert samples[:, 0] == pytest.approx(packed, rel=0.1)

    dipole = _dipole_of(state, load_set(validation.SET).system("DMC"))
    np.testing.assert_allclose(samples[-1, 3:6], dipole, atol=1e-3)

    long = np.tile(samples, (60, 1))
    long[:, 0] = 1.0740 + 0.01 * np.sin(np.arange(len(long)))
    validation.save(run, tmp_path, state, long)
    found = {validation.SET: {"DMC": validation.measure(run, tmp_path)}}
    row = next(line for line in report.densities(found) if line.startswith("| DMC"))
    assert "| 298.15 | 1.06326 | high | ThermoML" in row and "| 1.074" in row and "| +1.0%" in row
    assert validation.load(replace(run, atoms=2000), tmp_path)[0] is None, "a run of another box is not gone on with"


@pytest.mark.skipif(not shutil.which("gmx"), reason="GROMACS is not installed")
def test_a_liquid_in_gromacs_is_stored_like_one_in_openmm(validation, tmp_path, monkeypatch):
    monkeypatch.setattr(validation.gromacs_liquid, "SETTLE_PS", 2.0)
    monkeypatch.setattr(validation, "SAMPLE_PS", 0.4)
    run = validation.Run("DMC", engine="gromacs")
    assert validation.simulate(run, tmp_path, deadline=math.inf, production_ps=0.6)
    first = validation.load(run, tmp_path)[1]
    assert first.shape == (2, 6)
    assert validation.simulate(run, tmp_path, deadline=math.inf, production_ps=1.4), "goes on to the new length"
    samples = validation.load(run, tmp_path)[1]
    assert len(samples) == 4
    np.testing.assert_allclose(samples[:2], first)
    packed = validation.PACKED_FRACTION * load_library().species["DMC"].density_g_cm3
    assert samples[:, 0] == pytest.approx(packed, rel=0.15)
    # Kinetic energy: (3 · 12 atoms − 6 rigid bonds) degrees of freedom a molecule, warmed up or nearly so.
    full = 0.5 * 8.314462618e-3 * 298.15 * 30 * run.n_molecules
    assert np.all(samples[:, 2] > 0.5 * full) and np.all(samples[:, 2] < 1.2 * full)
    assert np.abs(samples[:, 3:6]).max() > 0.1
    assert validation.longest(validation.Run("DMC"), tmp_path) is None, "too short to report"


def _dipole_of(state: str, molecule: openmm.System) -> np.ndarray:
    """Of all molecules of a saved state, one by one, e nm."""
    positions = openmm.XmlSerializer.deserialize(state).getPositions(asNumpy=True)._value
    nonbonded = next(f for f in molecule.getForces() if isinstance(f, openmm.NonbondedForce))
    charges = [nonbonded.getParticleParameters(i)[0]._value for i in range(molecule.getNumParticles())]
    return sum(q * x for whole in positions.reshape(-1, len(charges), 3) for q, x in zip(charges, whole, strict=True))


def test_enthalpy_and_permittivity_follow_their_definitions(validation, tmp_path):
    run, rng = validation.Run("DMC"), np.random.default_rng(0)
    n, samples = run.n_molecules, np.empty((4002, 6))
    samples[:, 0], samples[:, 1] = 1.0, -100.0 * n + rng.normal(size=len(samples))
    samples[:, 3:] = rng.normal(scale=2.0, size=(len(samples), 3))
    validation.save(run, tmp_path, "", samples)
    assert math.isnan(validation.measure(run, tmp_path).vaporisation_kJ_mol.value), "there is no vapour yet"
    validation.vapour(run, tmp_path, 1.0)
    found = validation.measure(run, tmp_path)
    gas = validation.vapour_energies(run, tmp_path)
    assert len(gas) == 10
    assert found.vaporisation_kJ_mol.value == pytest.approx(gas.mean() + 100.0 + 8.314462618e-3 * 298.15, abs=1e-3)
    # 1 + <M²> / (3 ε₀ V k T) in SI units, <M²> = 3 · 2² (e nm)²
    volume_m3 = n * 90.078e-3 / 6.02214076e23 / 1000.0
    square = 12.0 * (1.602176634e-19 * 1e-9) ** 2
    expected = 1 + square / (3 * 8.8541878128e-12 * volume_m3 * 1.380649e-23 * 298.15)
    assert found.permittivity.value == pytest.approx(expected, abs=4 * found.permittivity.error)
    assert found.permittivity.error < 0.05 * expected


def test_runs_older_than_the_dipole_stay_usable(validation, tmp_path):
    run = validation.Run("DMC")
    samples = np.column_stack([np.full(200, 1.07), np.random.default_rng(0).normal(size=200), np.zeros(200)])
    validation.save(run, tmp_path, "state", samples)
    found = validation.measure(run, tmp_path)
    assert found.density_g_cm3.value == pytest.approx(1.07) and math.isnan(found.permittivity.value)


def test_what_has_not_run_says_so(report, tmp_path):
    text = report.report(tmp_path, 1000, {})
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    for liquid in REFERENCE["liquids"]:
        assert any(line.startswith(f"| {liquid} |") and "not run" in line for line in rows), liquid
    assert "Not run." in text.partition("## Li⁺ and one molecule")[2]
    assert report.plot({}).startswith(b"<?xml")


def test_every_reference_has_a_source_a_trust_and_a_density(validation):
    assert len(REFERENCE["liquids"]) >= 25
    for name, facts in REFERENCE["liquids"].items():
        species = load_library().species[name]
        assert species.density_g_cm3 and "estimate" not in species.density_source, name
        assert name in load_set(REFERENCE["sets"][0]).species, name
        graded = [facts["density"], *(facts[key][-1] for key in ("vaporisation", "permittivity") if key in facts)]
        assert set(graded) <= {"high", "medium", "low"}, name
        assert all(facts[key][-2] in REFERENCE["sources"] for key in ("vaporisation", "permittivity") if key in facts)
    for name, rows in REFERENCE["electrolytes"].items():
        assert (ROOT / "benchmarks" / "electrolytes" / "formulations" / f"{name}.yaml").exists()
        assert all(row["source"] in REFERENCE["sources"] for row in rows)


def test_electrolytes_are_compared_with_experiment(report, tmp_path):
    place = tmp_path / "litfsi-ec.scale-0.8" / "298.15K"
    (place / "tables").mkdir(parents=True)
    (place.parent / "composition.json").write_text(
        json.dumps({"ion_charge_scale": 0.8, "force_field": "some-set"}), encoding="utf-8"
    )
    files = {
        "composition": 'component,quantity,simulated,error\n,density,1.5,0.01\n"EC",count,126,0',
        "cutoffs": "centre,partner,peak_A,rule\nLi,EC:O_carbonyl,2.025,first minimum\nLi,TFSI:F,4,fallback",
        "peaks": "partner,error\nEC:O_carbonyl,0.004",
        "cn": "centre,species,site,value,error\nLi,EC,O_carbonyl,3.7,0.1\nLi,TFSI,F,0.1,0.1",
    }
    for name, text in files.items():
        (place / "tables" / f"{name}.csv").write_text(text, encoding="utf-8")
    rows = [line for line in report.electrolytes([tmp_path]) if line.startswith("| litfsi-ec |")]
    assert [row.split(" | ")[4:] for row in rows] == [
        ["density_g_cm3", "1.5 ± 0.01", "", " |"],
        ["peak_A EC:O_carbonyl", "2.025 ± 0.004", "1.9 (Maeda)", "+0.125 |"],
        ["cn EC:O_carbonyl", "3.7 ± 0.1", "4 (Maeda)", "-0.3 |"],
    ]
    assert "Peaks within the goal: 0 of 1 at scale 0.8." in "".join(report.electrolytes([tmp_path]))


def test_orderings_are_judged_by_each_method(report, pairs, tmp_path):
    parameters = load_set(REFERENCE["sets"][0])
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
    path = tmp_path / "lithium.json"
    path.write_text(json.dumps(rows), encoding="utf-8")
    row = next(line for line in report.pairs(path) if line.startswith("| EC > DMC"))
    assert row == "| EC > DMC | holds (+30) | **does not hold** (-10) | not run |"
    rows["EC"]["fingerprint"] = "of another force field"
    path.write_text(json.dumps(rows), encoding="utf-8")
    assert set(pairs.load(path, parameters)) == {"DMC"}


def test_what_quantum_chemistry_said_outlives_the_force_field(pairs, tmp_path, monkeypatch):
    path, parameters = tmp_path / "lithium.json", load_set(REFERENCE["sets"][0])
    old = {"fingerprint": "of another force field", "force_field_kJ_mol": -1.0, "gfn2_kJ_mol": -2.0, "gfn2_donors": []}
    path.write_text(json.dumps({"EC": old, "DMC": old}), encoding="utf-8")
    monkeypatch.setattr(pairs, "STARTS", 2)
    monkeypatch.setattr(pairs, "by_quantum_chemistry", lambda *_: pytest.fail("computed again"))
    pairs.run_comparison(parameters, ["EC"], path, dft=False)
    row = pairs.load(path, parameters)["EC"]
    assert row["gfn2_kJ_mol"] == -2.0 and row["force_field_kJ_mol"] < -50
    assert json.loads(path.read_text(encoding="utf-8"))["DMC"] == old


def test_gfn2_binds_lithium_to_the_carbonyl_oxygen(pairs, tmp_path, monkeypatch):
    pytest.importorskip("tblite", reason="the extra 'validation' is not installed")
    monkeypatch.setattr(pairs, "STARTS", 4)
    parameters = load_set(REFERENCE["sets"][0])
    pairs.run_comparison(parameters, ["EC"], tmp_path / "lithium.json", dft=False)
    row = pairs.load(tmp_path / "lithium.json", parameters)["EC"]
    assert row["gfn2_kJ_mol"] < row["force_field_kJ_mol"] < row["force_field_scaled_kJ_mol"] < -50
    assert [donor for donor, _ in row["gfn2_donors"]] == [donor for donor, _ in row["force_field_donors"]] == ["O"]


@pytest.mark.parametrize("config", [[], ["--config", "full=true"]])
def test_the_workflow_runs_everything_once(tmp_path, config):
    for part in ("benchmarks/electrolytes", "force_fields", "workflow"):
        shutil.copytree(ROOT / part, tmp_path / part)
    command = [sys.executable, "-m", "snakemake", "--snakefile", "workflow/validation.smk", "--dry-run", "--cores", "2"]
    ran = subprocess.run([*command, *config], cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
    assert ran.returncode == 0, ran.stderr
    jobs = dict(line.split() for line in (ran.stdout + ran.stderr).splitlines() if len(line.split()) == 2)
    assert jobs["liquid"] == str(len(REFERENCE["sets"]) * len(REFERENCE["liquids"]))
    assert jobs["pairs"] == jobs["steps"] == jobs["electrolytes"] == jobs["report"] == "1"
