"""The demo's boxes, built again from what their files say about themselves, in another process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import openmm
import pytest
from toy import relaxed_run, simulate_here

from lmbmd.box.build import build_box
from lmbmd.box.pdb import read_pdb
from lmbmd.core import stages
from lmbmd.core.provenance import file_sha256
from lmbmd.forcefield.parameters import load_set
from lmbmd.formulation.composition import Composition
from lmbmd.study.study import load_study

pytestmark = pytest.mark.slow

STUDY = Path(__file__).parents[2] / "config" / "config.yaml"
FILES = ("system.xml", "start.pdb", "atoms.parquet")


@pytest.fixture(scope="module", params=load_study(STUDY).names)
def recorded(request, tmp_path_factory) -> Path:
    """``composition.json`` and the built box of one demo bottle, made by the command line."""
    folder = tmp_path_factory.mktemp("recorded")
    composition = folder / "composition.json"
    environment = {**os.environ, "PYTHONHASHSEED": "12345"}
    for arguments in (
        ["compose", request.param, "--study", STUDY, "--out", composition],
        ["build", composition, "--replica", "2", "--out", folder],
    ):
        subprocess.run([sys.executable, "-m", "lmbmd", *arguments], env=environment, check=True, timeout=300)
    return folder


@pytest.fixture(scope="module")
def rebuilt(recorded, tmp_path_factory) -> Path:
    """The same box from the record alone."""
    folder = tmp_path_factory.mktemp("rebuilt")
    build = json.loads((recorded / "build.json").read_text(encoding="utf-8"))
    used = build["parameter_set"]
    build_box(
        Composition.read(recorded / "composition.json"),
        load_set(f"{used['name']}-{used['version']}"),
        ion_charge_scale=build["ion_charge_scale"],
        seed=build["seed"],
        out_dir=folder,
    )
    return folder


def test_the_recipe_gives_the_recorded_composition(recorded):
    old = Composition.read(recorded / "composition.json")
    assert load_study(STUDY).composition(old.formulation) == old


def test_the_record_says_what_made_it(recorded):
    composed = json.loads((recorded / "composition.json").read_text(encoding="utf-8"))
    built = json.loads((recorded / "build.json").read_text(encoding="utf-8"))
    assert composed["provenance"]["stage"] == stages.COMPOSE and built["stage"] == stages.BUILD
    assert built["inputs"]["composition"]["sha256"] == file_sha256(recorded / "composition.json")
    assert built["versions"]["openmm"] == openmm.__version__
    assert built["files"] == {name: file_sha256(recorded / name) for name in FILES}


def test_the_box_is_the_same_to_the_byte(recorded, rebuilt):
    for name in FILES:
        assert file_sha256(rebuilt / name) == file_sha256(recorded / name), name


def start_energies(folder: Path) -> list[float]:
    """Potential energy of the start from each force, kJ/mol, by OpenMM's Reference platform."""
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text(encoding="utf-8"))
    positions, box = read_pdb((folder / "start.pdb").read_text(encoding="utf-8"), where="start.pdb")
    for number, force in enumerate(system.getForces()):
        force.setForceGroup(number)
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPeriodicBoxVectors(*(box / 10))
    context.setPositions(positions / 10)
    groups = range(system.getNumForces())
    return [context.getState(energy=True, groups={g}).getPotentialEnergy()._value for g in groups]


def test_the_first_energies_are_the_same_to_the_bit(recorded, rebuilt):
    energies = start_energies(rebuilt)
    assert energies == start_energies(recorded)
    assert len(energies) >= 4 and all(energies), "a force that gives no energy tests nothing"


def test_the_recorded_spec_gives_the_same_run_on_the_reference_platform(tmp_path):
    """Velocities, random forces and barostat all follow from the recorded seeds."""
    first = relaxed_run(tmp_path / "first", equilibration_ns=0.0002, max_equilibration_ns=0.0002, production_ns=0.0001)
    simulate_here(first, platform="Reference")
    record = json.loads((first / "out" / "run.json").read_text(encoding="utf-8"))
    second = tmp_path / "second"
    second.mkdir()
    (second / "spec.json").write_text(json.dumps(record["spec"]), encoding="utf-8")
    for name in ("system.xml", "start.pdb"):
        shutil.copy(first / name, second)
        role = name.partition(".")[0]
        assert record["inputs"][role]["sha256"] == file_sha256(second / name)
    simulate_here(second, platform="Reference")
    for name in ("equilibration.csv", "state.csv", "trajectory.xtc", "final.pdb"):
        assert (second / "out" / name).read_bytes() == (first / "out" / name).read_bytes(), name
