"""Building a box: packing, the System and its energies, the atom table, the PDB file."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import MDAnalysis
import numpy as np
import openmm
import pytest
from openmm import app, unit
from toy import ROLES, ToySet, toy_box, toy_positions

from lmbmd.box import packing
from lmbmd.box.build import build_box
from lmbmd.box.pdb import pdb_text, read_pdb, residue_names, with_positions
from lmbmd.box.system import build_system
from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable, SpeciesInfo
from lmbmd.forcefield.parameters import load_set

COUNTS = {"Li": 6, "AN": 6, "SOL": 40}
#: k_e e² in kJ/mol nm, from CODATA 2018 (OpenMM's own value agrees to 1e-8).
COULOMB = 138.935458


def geometries(counts):
    toy = ToySet()
    return {s: (toy.elements(s), toy.geometry(s)) for s in counts}


def energy(system: openmm.System, positions_A: np.ndarray) -> float:
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(positions_A / 10)
    return context.getState(getEnergy=True).getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole)


def open_boundaries(system: openmm.System) -> openmm.System:
    """The same interactions in vacuum: every pair once, no images, no long-range correction."""
    copy = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    for force in copy.getForces():
        if isinstance(force, openmm.NonbondedForce):
            force.setNonbondedMethod(openmm.NonbondedForce.NoCutoff)
            force.setUseDispersionCorrection(False)
    return copy


# ---- packing


def test_the_same_seed_packs_the_same_box_and_another_seed_another():
    one, two, three = (packing.pack(COUNTS, geometries(COUNTS), 22.0, seed) for seed in (5, 5, 6))
    assert np.array_equal(one.positions, two.positions)
    assert not np.allclose(one.positions, three.positions)


def test_no_molecule_comes_near_another_nor_its_periodic_image():
    edge = 17.0
    packed = packing.pack(COUNTS, geometries(COUNTS), edge, seed=1)
    sizes = [len(ToySet().elements(s)) for s, n in COUNTS.items() for _ in range(n)]
    molecule = np.repeat(np.arange(len(sizes)), sizes)
    delta = packed.positions[:, None] - packed.positions[None]
    delta -= edge * np.round(delta / edge)
    distance = np.sqrt((delta**2).sum(-1))[molecule[:, None] != molecule[None]]
    assert distance.min() >= packing.TOLERANCE_A - packing.SLACK_A
    assert packing.closest_contact_A(packed.positions, molecule, edge) == pytest.approx(distance.min(), abs=1e-9)


def test_packed_molecules_keep_their_shape():
    packed = packing.pack({"SOL": 20}, geometries(["SOL"]), 20.0, seed=1)
    shape = lambda p: np.linalg.norm(p[:, None] - p[None], axis=-1)  # noqa: E731
    for molecule in packed.positions.reshape(20, 4, 3):
        assert shape(molecule) == pytest.approx(shape(ToySet().geometry("SOL")), abs=1e-4)


def script(path: Path, body: str) -> Path:
    path.write_text(f"#!{sys.executable}\n{body}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def test_a_failed_packing_is_tried_again_in_a_wider_box(tmp_path, monkeypatch):
    real = packing.find_packmol()
    counter = tmp_path / "count"
    fake = script(
        tmp_path / "packmol",
        "import pathlib, subprocess, sys\n"
        f"c = pathlib.Path({str(counter)!r}); n = int(c.read_text()) if c.exists() else 0; c.write_text(str(n + 1))\n"
        f"sys.exit(171) if n < 2 else subprocess.run([{str(real)!r}], stdin=sys.stdin)\n",
    )
    monkeypatch.setattr(packing, "find_packmol", lambda: fake)
    packed = packing.pack({"SOL": 10}, geometries(["SOL"]), 20.0, seed=1)
    assert [a.packed for a in packed.attempts] == [False, False, True]
    assert packed.edge_A == pytest.approx(20.0 * 1.05**2)
    assert "exit code 171" in packed.attempts[0].reason


def test_a_box_that_cannot_be_packed_says_what_was_tried(monkeypatch):
    monkeypatch.setattr(packing, "LOOPS", 2)
    with pytest.raises(
        LmbmdError, match=r"could not place 300 molecules \(1200 atoms\).* from 9\.0 to 9\.5 Å"
    ) as error:
        packing.pack({"SOL": 300}, geometries(["SOL"]), 9.0, seed=1, attempts=2)
    assert "densities" in error.value.remedy


def test_the_number_of_tries_ends_a_packing_that_cannot_be_done(monkeypatch):
    monkeypatch.setattr(packing, "LOOPS", 3)
    logs = []
    run = packing._run
    monkeypatch.setattr(packing, "_run", lambda *args: logs.append(run(*args)) or logs[-1])
    with pytest.raises(LmbmdError, match="packmol"):
        packing.pack({"SOL": 60}, geometries(["SOL"]), 9.0, seed=1, attempts=1)
    assert "Maximum number of GENCAN loops for all molecule packing:            3" in logs[0][1]
    assert logs[0][0] > 0, "packmol ended by itself"


def test_a_busy_machine_packs_the_same_box():
    """As many busy processes as make packmol take several times as long."""
    alone = packing.pack(COUNTS, geometries(COUNTS), 17.0, seed=3)
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(3 * os.cpu_count())]
    try:
        beside = packing.pack(COUNTS, geometries(COUNTS), 17.0, seed=3)
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert beside.positions.tobytes() == alone.positions.tobytes()
    assert beside.attempts == alone.attempts


def test_a_packmol_that_has_to_wait_is_not_given_up(tmp_path, monkeypatch):
    real = packing.find_packmol()
    fake = script(tmp_path / "packmol", f"import os, time; time.sleep(2.5); os.execv({str(real)!r}, ['packmol'])\n")
    monkeypatch.setattr(packing, "find_packmol", lambda: fake)
    packed = packing.pack({"SOL": 10}, geometries(["SOL"]), 20.0, seed=1, attempts=1, cpu_s=2)
    assert [a.packed for a in packed.attempts] == [True]


@pytest.mark.skipif(sys.platform != "linux", reason="processor time is limited on Linux")
def test_a_packmol_that_computes_without_end_is_stopped_and_no_other_box_is_made(tmp_path, monkeypatch):
    fake = script(tmp_path / "packmol", "while True: pass\n")
    monkeypatch.setattr(packing, "find_packmol", lambda: fake)
    with pytest.raises(LmbmdError, match="ended by signal 9; it may take 1 s of processor time"):
        packing.pack({"SOL": 10}, geometries(["SOL"]), 20.0, seed=1, cpu_s=1)


def test_a_packing_that_packmol_calls_a_success_is_still_checked(tmp_path, monkeypatch):
    rows = "\\n".join(["8", ""] + ["H 5.0 5.0 5.0"] * 8)
    fake = script(tmp_path / "packmol", f"open('packed.xyz', 'w').write('{rows}'); print('Success!')\n")
    monkeypatch.setattr(packing, "find_packmol", lambda: fake)
    with pytest.raises(LmbmdError, match=r"two molecules were left 0\.00 Å apart"):
        packing.pack({"SOL": 2}, geometries(["SOL"]), 20.0, seed=1, attempts=1)


def test_a_missing_packmol_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setattr(packing.util, "find_spec", lambda name: None)
    monkeypatch.setattr(packing.shutil, "which", lambda name: None)
    with pytest.raises(LmbmdError, match="neither as a Python package nor on PATH") as error:
        packing.find_packmol()
    assert "pip install packmol" in error.value.remedy


def test_packmol_on_path_is_accepted(tmp_path, monkeypatch):
    monkeypatch.setattr(packing.util, "find_spec", lambda name: None)
    fake = script(tmp_path / "packmol", "")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert packing.find_packmol() == fake


# ---- the System


@pytest.mark.parametrize("scale", [1.0, 0.8])
def test_far_apart_molecules_have_the_sum_of_their_energies(scale):
    """Alone, an ion's Coulomb energy is only in its 1–4 exception: s² of it. Between ions it is Coulomb's law."""
    toy, counts = ToySet(), {"CHAIN": 1, "Li": 1, "SOL": 3}
    shapes = [toy.geometry(s) + distort(s) for s, n in counts.items() for _ in range(n)]
    far = np.concatenate([shape + np.array([1e7 * k, 0, 0]) for k, shape in enumerate(shapes)])
    total = -COULOMB * scale**2 / 1e6
    for species, count in counts.items():
        alone = toy.system(species)
        if species == "CHAIN":
            scale_charges(next(f for f in alone.getForces() if isinstance(f, openmm.NonbondedForce)), scale)
        total += count * energy(open_boundaries(alone), toy.geometry(species) + distort(species))
    assert energy(open_boundaries(toy_box(counts, 100.0, scale=scale).system), far) == pytest.approx(total, rel=1e-6)


def scale_charges(force: openmm.NonbondedForce, scale: float) -> None:
    for i in range(force.getNumParticles()):
        charge, sigma, epsilon = force.getParticleParameters(i)
        force.setParticleParameters(i, charge * scale, sigma, epsilon)
    for i in range(force.getNumExceptions()):
        p, q, product, sigma, epsilon = force.getExceptionParameters(i)
        force.setExceptionParameters(i, p, q, product * scale**2, sigma, epsilon)


def distort(species: str) -> np.ndarray:
    """A small shift of every atom, so that every bonded term has an energy (Å)."""
    return np.random.default_rng(1).normal(0, 0.05, ToySet().geometry(species).shape)


def test_two_ions_attract_with_the_square_of_the_charge_scale():
    """Coulomb's law by hand, at a distance where Lennard-Jones is nothing."""
    for scale in (1.0, 0.8, 0.7):
        built = toy_box({"Li": 1, "AN": 1}, 100.0, scale=scale)
        charges = np.array([1.0, -0.55, 0.10, -0.55]) * scale
        anion = ToySet().geometry("AN")
        near, far = (np.concatenate([[[x, 0.0, 0.0]], anion]) for x in (500.0, 800.0))
        by_hand = [
            COULOMB * (charges[0] * charges[1:] / (np.linalg.norm(p[0] - p[1:], axis=1) / 10)).sum()
            for p in (near, far)
        ]
        system = open_boundaries(built.system)
        difference = energy(system, near) - energy(system, far)
        assert difference == pytest.approx(by_hand[0] - by_hand[1], rel=2e-6)


def test_a_box_has_the_energy_of_an_independent_sum_over_pairs():
    """Every pair of atoms by numpy: bonded terms from OpenMM's single molecules, the rest by the formulae."""
    counts, scale = {"Li": 2, "AN": 2, "SOL": 3}, 0.8
    built = toy_box(counts, 100.0, scale=scale)
    positions = toy_positions(counts, 24.0, seed=2)
    force = next(f for f in built.system.getForces() if isinstance(f, openmm.NonbondedForce))
    raw = [force.getParticleParameters(i) for i in range(force.getNumParticles())]
    q, sigma, eps = (np.array([p[k].value_in_unit_system(unit.md_unit_system) for p in raw]) for k in range(3))
    assert q == pytest.approx(built.atoms.charge_e)
    total = 0.0
    for i in range(len(q)):
        for j in range(i):
            if built.atoms.molecule[i] != built.atoms.molecule[j]:
                r = np.linalg.norm(positions[i] - positions[j]) / 10
                s6 = (0.5 * (sigma[i] + sigma[j]) / r) ** 6
                total += COULOMB * q[i] * q[j] / r + 4 * np.sqrt(eps[i] * eps[j]) * (s6**2 - s6)
    toy, start = ToySet(), 0
    for species, count in counts.items():
        alone = toy.system(species)
        if species == "AN":
            scale_charges(next(f for f in alone.getForces() if isinstance(f, openmm.NonbondedForce)), scale)
        size = alone.getNumParticles()
        for _ in range(count):
            total += energy(open_boundaries(alone), positions[start : start + size])
            start += size
    system = open_boundaries(built.system)
    next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce)).setUseSwitchingFunction(False)
    assert energy(system, positions) == pytest.approx(total, rel=1e-6)


def test_the_box_is_simulated_with_pme_and_the_long_range_correction():
    system = toy_box(COUNTS, 30.0).system
    force = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    assert force.getNonbondedMethod() == openmm.NonbondedForce.PME and force.getUseDispersionCorrection()
    assert force.getCutoffDistance() == 1.0 * unit.nanometer and force.getUseSwitchingFunction()
    assert system.getNumConstraints() == 0
    assert {type(f).__name__ for f in system.getForces()} == {
        "HarmonicBondForce",
        "HarmonicAngleForce",
        "PeriodicTorsionForce",
        "NonbondedForce",
    }


def test_scaling_leaves_solvents_alone_and_the_box_neutral():
    atoms = toy_box(COUNTS, 30.0, scale=0.8).atoms
    assert abs(atoms.charge_e.sum()) < 1e-6
    assert atoms.charge_e[:6] == pytest.approx(np.full(6, 0.8))
    solvent = atoms.charge_e[atoms.species_id == atoms.species_index("SOL")]
    assert solvent[:4] == pytest.approx([0.40, -0.60, 0.10, 0.10])


def test_a_charged_box_is_refused():
    with pytest.raises(LmbmdError, match=r"net charge of \+1\.000000 e") as error:
        toy_box({"Li": 3, "AN": 2}, 30.0)
    assert error.value.where == "3 Li, 2 AN"


def test_a_box_smaller_than_two_cutoffs_names_the_size_that_would_do():
    with pytest.raises(LmbmdError, match=r"box edge of 15\.0 Å is shorter than twice the cut-off \(20 Å\)") as error:
        toy_box(COUNTS, 15.0)
    atoms = int(error.value.remedy.split("atoms: ")[1].split("}")[0])
    assert 15.0 * (atoms / 184) ** (1 / 3) > 20.0


def test_a_force_that_is_not_native_is_refused():
    class Custom(ToySet):
        def system(self, species):
            system = super().system(species)
            system.addForce(openmm.CustomBondForce("r"))
            return system

    with pytest.raises(
        LmbmdError, match=r"toy-1\.0\.0, SOL: it has a CustomBondForce, which a box cannot be built from"
    ):
        build_system({"SOL": 4}, ROLES, Custom(), 1.0, 30.0)


def test_every_atom_knows_its_species_molecule_site_and_element():
    atoms = toy_box({"Li": 2, "AN": 2, "SOL": 3}, 30.0).atoms
    assert atoms.sites == ("AN:O", "AN:N", "SOL:O")
    assert atoms.species[1] == SpeciesInfo("AN", "anion", -1)
    assert atoms.site_id.tolist() == [-1, -1, 0, 1, 0, 0, 1, 0] + 3 * [-1, 2, -1, -1]
    assert atoms.molecule.tolist() == [0, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 6, 6, 6, 6]
    assert atoms.element[8:12].tolist() == ["H", "O", "C", "H"]
    assert atoms.centres.tolist() == [0, 1]


# ---- files


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("box")
    composition = SimpleNamespace(counts={**COUNTS, "NONE": 0}, roles=ROLES, box_edge_A=22.0, chains={})
    build_box(composition, ToySet(), ion_charge_scale=0.8, seed=3, out_dir=out)
    return out


def test_the_files_of_a_box_agree_with_each_other(folder):
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text(encoding="utf-8"))
    atoms = AtomTable.read(folder / "atoms.parquet")
    positions, box = read_pdb((folder / "start.pdb").read_text(encoding="utf-8"), where="start.pdb")
    topology = app.PDBFile(str(folder / "start.pdb")).topology
    assert system.getNumParticles() == len(atoms) == len(positions) == topology.getNumAtoms()
    edge = system.getDefaultPeriodicBoxVectors()[0][0].value_in_unit(unit.angstrom)
    assert box == pytest.approx(np.diag([edge] * 3), abs=1e-3)
    assert [a.element.symbol for a in topology.atoms()] == atoms.element.tolist()
    masses = [system.getParticleMass(i).value_in_unit(unit.amu) for i in range(len(atoms))]
    assert masses == atoms.mass_amu.tolist()
    lengths = [np.linalg.norm(positions[a.index] - positions[b.index]) for a, b in topology.bonds()]
    assert 0.9 < min(lengths) and max(lengths) < 1.5
    assert np.isfinite(energy(system, positions))


def test_build_json_says_how_the_box_came_about(folder):
    record = json.loads((folder / "build.json").read_text(encoding="utf-8"))
    assert record["stage"] == "build/1" and record["seed"] == 3 and record["ion_charge_scale"] == 0.8
    assert record["counts"] == COUNTS
    assert record["parameter_set"]["combining_rule"] == "Lorentz-Berthelot"
    assert record["packing"] == [{"edge_A": 22.0, "packed": True, "reason": ""}]
    assert set(record["files"]) == {"system.xml", "start.pdb", "atoms.parquet"}


def test_mdanalysis_reads_names_bonds_and_cell(folder):
    universe = MDAnalysis.Universe(str(folder / "start.pdb"))
    assert len(universe.bonds) == 6 * 2 + 40 * 3
    assert universe.dimensions == pytest.approx([22, 22, 22, 90, 90, 90])
    assert set(universe.residues.resnames) == {"Li", "AN", "SOL"}
    assert universe.atoms.names[:9].tolist() == ["Li"] * 6 + ["O1", "N1", "O2"]


def test_residue_names_are_short_and_distinct():
    species = tuple(SpeciesInfo(n, "solvent", 0) for n in ("DMEA", "DMEAB", "DMEAC", "Li"))
    atoms = AtomTable(
        species,
        (),
        np.arange(4, dtype=np.int32),
        np.arange(4, dtype=np.int32),
        np.full(4, -1, np.int32),
        np.array(["C"] * 4),
        np.array(["C"] * 4),
        np.ones(4),
        np.zeros(4),
    )
    assert residue_names(atoms) == ["DMEA", "DME1", "DME2", "Li"]


@pytest.mark.slow
def test_a_pdb_past_99999_atoms_is_read_by_openmm_and_mdanalysis(tmp_path):
    n = 25_100
    built = toy_box({"Li": n, "AN": n}, 300.0)
    positions = np.random.default_rng(0).uniform(-20, 320, (4 * n, 3)).round(3)
    text = pdb_text(built.atoms, positions, np.diag([300.0] * 3), built.bonds)
    again, box = read_pdb(text, where="x")
    assert np.array_equal(again, positions) and np.array_equal(box, np.diag([300.0] * 3))
    (tmp_path / "big.pdb").write_text(text, encoding="utf-8")
    assert app.PDBFile(str(tmp_path / "big.pdb")).topology.getNumAtoms() == 4 * n
    universe = MDAnalysis.Universe(str(tmp_path / "big.pdb"))
    assert len(universe.atoms) == 4 * n and np.allclose(universe.atoms.positions, positions, atol=1e-3)
    assert len(universe.bonds) == 2 * ((99_999 - n) // 3)
    assert len(universe.residues) == 2 * n


def test_new_positions_keep_names_and_take_a_triclinic_cell(folder):
    text = (folder / "start.pdb").read_text(encoding="utf-8")
    old, _ = read_pdb(text, where="x")
    box = np.array([[20.0, 0, 0], [3.0, 21.0, 0], [-4.0, 5.0, 22.0]])
    positions, found = read_pdb(with_positions(text, old[::-1], box), where="x")
    assert np.array_equal(positions, old[::-1])
    assert found == pytest.approx(box, abs=5e-3)  # the cell's angles are written to 0.01°


@pytest.mark.parametrize("spoil", [lambda t: "", lambda t: t.replace("CRYST1", "REMARK"), lambda t: t[:150] + "x" * 40])
def test_a_damaged_pdb_is_an_error_that_names_the_file(folder, spoil):
    with pytest.raises(LmbmdError, match=r"^start\.pdb: this PDB file"):
        read_pdb(spoil((folder / "start.pdb").read_text(encoding="utf-8")), where="start.pdb")


def test_an_unwritable_folder_is_an_error_before_anything_is_left(tmp_path):
    (tmp_path / "out").write_text("a file where the folder should be", encoding="utf-8")
    composition = SimpleNamespace(counts={"SOL": 10}, roles=ROLES, box_edge_A=22.0, chains={})
    with pytest.raises(LmbmdError, match="cannot write the file"):
        build_box(composition, ToySet(), ion_charge_scale=1.0, seed=1, out_dir=tmp_path / "out")


def test_a_real_box_has_the_cut_off_and_switch_of_its_parameter_set():
    parameters = load_set("sage-clp-2.1.0")
    system = build_system({"DME": 3}, {"DME": "solvent"}, parameters, 0.8, 30.0).system
    force = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    told = parameters.manifest["nonbonded"]
    assert force.getCutoffDistance().value_in_unit(unit.angstrom) == pytest.approx(told["cut_off_A"])
    assert force.getUseSwitchingFunction()
    assert force.getSwitchingDistance().value_in_unit(unit.angstrom) == pytest.approx(told["switch_from_A"])
