"""Exported boxes have the same energies in GROMACS and in LAMMPS as in OpenMM, part by part."""

import json
import re
import shutil
import subprocess
from collections import Counter
from types import SimpleNamespace

import numpy as np
import openmm
import pytest
from toy import ROLES, ToySet

from lmbmd.box.build import build_box
from lmbmd.box.export import export
from lmbmd.box.pdb import read_pdb, with_positions
from lmbmd.box.read import read_box
from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.core.provenance import file_sha256
from lmbmd.data.atoms import AtomTable
from lmbmd.forcefield.mixing import COMBINING_RULES, GEOMETRIC
from lmbmd.forcefield.parameters import load_set
from lmbmd.forcefield.sets import available_sets
from lmbmd.trajectory import open_universe, species_map
from lmbmd.trajectory.mapping.matching import atom_table

GMX = shutil.which("gmx_d") or shutil.which("gmx")
LMP = shutil.which("lmp") or shutil.which("lammps")
needs_gromacs = pytest.mark.skipif(GMX is None, reason="GROMACS (gmx) is not installed")
needs_lammps = pytest.mark.skipif(LMP is None, reason="LAMMPS (lmp) is not installed")
KCAL = 4.184
#: GROMACS' logs have six digits, and Ewald sums of both programs are asked for 1e-6.
RELATIVE = 1e-4
#: Two electrolytes; 1-4 pairs are scaled by 5/6 (solvents) and 1/2 (anions) in one box.
BOTTLES = {
    "ether": {"Li": 6, "FSI": 6, "DME": 40, "TTE": 8},
    "carbonate": {"Li": 6, "PF6": 4, "TFSI": 2, "EC": 40, "EMC": 22},
}


def _build(counts, folder, edge_A, rule):
    role = lambda name: "cation" if name == "Li" else "anion" if name in ("FSI", "TFSI", "PF6") else "solvent"  # noqa: E731
    composition = SimpleNamespace(counts=counts, roles={s: role(s) for s in counts}, box_edge_A=edge_A, chains={})
    build_box(composition, _set_that_mixes(rule), ion_charge_scale=0.8, seed=5, out_dir=folder)


def _set_that_mixes(rule):
    """The last released set of that rule."""
    return next(s for s in map(load_set, reversed(available_sets())) if s.combining_rule == rule)


@pytest.fixture(scope="module", params=[(rule, name) for rule in COMBINING_RULES for name in BOTTLES], ids="-".join)
def built(request, tmp_path_factory):
    """A packed box with a few minimisation steps, so that no close contact hides all else."""
    rule, name = request.param
    folder = tmp_path_factory.mktemp(name)
    _build(BOTTLES[name], folder, 23.0, rule)
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text(encoding="utf-8"))
    positions, box = read_pdb((folder / "start.pdb").read_text(encoding="utf-8"), where="start.pdb")
    context = openmm.Context(system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("CPU"))
    context.setPeriodicBoxVectors(*(0.1 * box))
    context.setPositions(0.1 * positions)
    openmm.LocalEnergyMinimizer.minimize(context, 10.0, 40)
    x = context.getState(getPositions=True).getPositions(asNumpy=True)._value * 10

    text = (folder / "start.pdb").read_text(encoding="utf-8")
    (folder / "start.pdb").write_text(with_positions(text, x, box), encoding="utf-8")
    (folder / "build.json").unlink(missing_ok=True)  # it tells of the file that was there
    return folder


def _openmm(folder, *, switch):
    """Energies of OpenMM by part, kJ/mol: bonds, angles, torsions, Lennard-Jones, Coulomb, long-range correction."""

    def energies(change):
        system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text(encoding="utf-8"))
        for force in system.getForces():
            if isinstance(force, openmm.NonbondedForce):
                force.setEwaldErrorTolerance(1e-6)
                force.setUseSwitchingFunction(switch)
                change(force)
        for group, force in enumerate(system.getForces()):
            force.setForceGroup(group)
        context = openmm.Context(system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("Reference"))
        positions, box = read_pdb((folder / "start.pdb").read_text(encoding="utf-8"), where="start.pdb")
        context.setPeriodicBoxVectors(*(0.1 * box))
        context.setPositions(0.1 * positions)
        get = lambda group: context.getState(getEnergy=True, groups={group}).getPotentialEnergy()._value  # noqa: E731
        parts = Counter()
        for group, force in enumerate(system.getForces()):
            parts[type(force).__name__] += get(group)  # of geometric mixing, there are two NonbondedForces
        return parts

    def uncharged(nonbonded):
        for i in range(nonbonded.getNumParticles()):
            _, sigma, epsilon = nonbonded.getParticleParameters(i)
            nonbonded.setParticleParameters(i, 0.0, sigma, epsilon)
        for e in range(nonbonded.getNumExceptions()):
            i, j, _, sigma, epsilon = nonbonded.getExceptionParameters(e)
            nonbonded.setExceptionParameters(e, i, j, 0.0, sigma, epsilon)

    def uncorrected(nonbonded):
        nonbonded.setUseDispersionCorrection(False)

    whole, bare = energies(lambda nonbonded: None), energies(uncorrected)
    lennard_jones = energies(lambda n: (uncharged(n), uncorrected(n)))["NonbondedForce"]
    return {
        "bonds": whole["HarmonicBondForce"],
        "angles": whole["HarmonicAngleForce"],
        "torsions": whole["PeriodicTorsionForce"],
        "lennard-jones": lennard_jones,
        "coulomb": bare["NonbondedForce"] - lennard_jones,
        "correction": whole["NonbondedForce"] - bare["NonbondedForce"],
    }


def _gromacs(folder):
    mdp = (folder / "md.mdp").read_text(encoding="utf-8")
    for key, value in {
        "nsteps": "0",
        "constraints": "none",
        "tcoupl": "no",
        "pcoupl": "no",
        "gen-vel": "no",
        "ewald-rtol": "1e-6",
        "fourierspacing": "0.06\npme-order = 6\nnstlog = 1\nnstcalcenergy = 1\ncontinuation = yes",
    }.items():
        mdp, found = re.subn(rf"(?m)^{key} .*$", f"{key} = {value}", mdp)
        assert found == 1, key
    (folder / "one.mdp").write_text(mdp, encoding="utf-8")
    for command in (
        ["grompp", "-f", "one.mdp", "-p", "topol.top", "-c", "conf.gro", "-o", "one.tpr"],
        ["mdrun", "-s", "one.tpr", "-deffnm", "one", "-nt", "1", "-nb", "cpu"],
    ):
        done = subprocess.run(
            [GMX, "-nobackup", *command], cwd=folder, capture_output=True, encoding="utf-8", check=False
        )
        assert done.returncode == 0, done.stderr[-2000:]
        assert command[0] == "mdrun" or "WARNING" not in done.stderr
    text = (folder / "one.log").read_text(encoding="utf-8")
    block = text[text.index("Energies (kJ/mol)") :].split("\n\n")[0].splitlines()[1:]
    found = {}
    for names, values in zip(block[::2], block[1::2], strict=False):
        keys = [names[k : k + 15].strip() for k in range(0, len(names.rstrip()), 15)]
        found.update(zip(keys, map(float, re.findall(r"[-+ ]\d\.\d+e[-+]\d+", values)), strict=True))
    return {
        "bonds": found["Bond"],
        "angles": found["Angle"],
        "torsions": found["Proper Dih."],
        "lennard-jones": found["LJ (SR)"] + found["LJ-14"],
        "coulomb": found["Coulomb (SR)"] + found["Coul. recip."] + found["Coulomb-14"],
        "correction": found["Disper. corr."],
    }


def _lammps(folder):
    text = (folder / "in.lmp").read_text(encoding="utf-8").split("minimize")[0].replace("pppm 1.0e-5", "pppm 1.0e-7")
    text = text.replace("thermo_style", "thermo_modify format float %.12g\nthermo_style") + "run 0\n"
    (folder / "one.lmp").write_text(text, encoding="utf-8")
    done = subprocess.run([LMP, "-in", "one.lmp"], cwd=folder, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    lines = done.stdout.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("Step "))
    found = dict(zip(lines[head].split(), map(float, lines[head + 1].split()), strict=True))
    return {
        "bonds": KCAL * found["E_bond"],
        "angles": KCAL * found["E_angle"],
        "torsions": KCAL * found["E_dihed"],
        "lennard-jones": KCAL * (found["E_vdwl"] - found["E_tail"]),
        "coulomb": KCAL * (found["E_coul"] + found["E_long"]),
        "correction": KCAL * found["E_tail"],
    }


@pytest.mark.slow
@needs_gromacs
def test_gromacs_finds_the_same_energies(built, tmp_path):
    export(built, "gromacs", tmp_path)
    ours, theirs = _openmm(built, switch=True), _gromacs(tmp_path)
    for part in ("bonds", "angles", "torsions", "lennard-jones", "coulomb"):
        assert theirs[part] == pytest.approx(ours[part], rel=RELATIVE), part
    # GROMACS corrects for r^-6 alone, with the mean over all pairs; OpenMM for r^-12 too.
    assert theirs["correction"] == pytest.approx(ours["correction"], rel=0.01)


@needs_lammps
def test_lammps_finds_the_same_energies(built, tmp_path):
    export(built, "lammps", tmp_path)
    ours, theirs = _openmm(built, switch=False), _lammps(tmp_path)
    for part in ("bonds", "angles", "torsions", "lennard-jones", "coulomb"):
        assert theirs[part] == pytest.approx(ours[part], rel=RELATIVE), part
    assert theirs["correction"] == pytest.approx(ours["correction"], rel=0.01)


@pytest.mark.parametrize("program", ["gromacs", "lammps"])
def test_an_exported_box_mixes_by_the_rule_of_its_set(tmp_path, program):
    """Between a pair of kinds that no rule mixes alike, by hand."""
    texts = {}
    for rule in COMBINING_RULES:
        composition = SimpleNamespace(counts={"Li": 3, "AN": 3, "SOL": 40}, roles=ROLES, box_edge_A=22.0, chains={})
        build_box(composition, ToySet(combining_rule=rule), ion_charge_scale=1.0, seed=1, out_dir=tmp_path / rule)
        for file in export(tmp_path / rule, program, tmp_path / f"{rule}-out"):
            texts[rule, file.name] = file.read_text(encoding="utf-8")
    if program == "gromacs":
        assert texts["Lorentz-Berthelot", "topol.top"].replace("\n1 2 no", "\n1 3 no") == texts[GEOMETRIC, "topol.top"]
    else:
        first = {
            rule: re.search(r"pair_coeff 1 2 lj/cut (\S+) (\S+)", texts[rule, "in.lmp"]) for rule in COMBINING_RULES
        }
        epsilon = np.sqrt(0.08 * 0.7) / KCAL
        assert [float(v) for v in first["Lorentz-Berthelot"].groups()] == pytest.approx([epsilon, 2.55])
        assert [float(v) for v in first[GEOMETRIC].groups()] == pytest.approx([epsilon, np.sqrt(2.1 * 3.0)])


@pytest.fixture(scope="module")
def toy_box(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toy") / "results" / "toy" / "r2"
    counts = {"Li": 3, "AN": 3, "SOL": 40}
    composition = SimpleNamespace(counts=counts, roles={s: ROLES[s] for s in counts}, box_edge_A=22.0, chains={})
    build_box(composition, ToySet(), ion_charge_scale=1.0, seed=1, out_dir=folder)
    return folder


def test_the_end_of_a_run_is_exported_with_its_conditions(toy_box, tmp_path):
    run = toy_box.parent / "330K" / "r2"
    run.mkdir(parents=True, exist_ok=True)
    (run / "spec.json").write_text(json.dumps({"temperature_K": 330.0, "pressure_bar": 7.0}), encoding="utf-8")
    text = (toy_box / "start.pdb").read_text(encoding="utf-8").replace("22.000", "23.500", 3)
    (run / "final.pdb").write_text(text, encoding="utf-8")
    box = read_box(run)
    assert (box.temperature_K, box.pressure_bar) == (330.0, 7.0)
    assert np.diag(box.box_A).tolist() == [23.5, 23.5, 23.5]
    assert main(["export", str(run), "--to", "gromacs", "--out", str(tmp_path)]) == 0
    mdp = (tmp_path / "md.mdp").read_text(encoding="utf-8")
    assert re.search(r"ref-t += 330\n", mdp) and re.search(r"ref-p += 7\n", mdp)
    record = json.loads((tmp_path / "export.json").read_text(encoding="utf-8"))
    assert record["inputs"]["positions"] == {"file": "final.pdb", "sha256": file_sha256(run / "final.pdb")}
    assert record["inputs"]["system"]["sha256"] == file_sha256(toy_box / "system.xml")


@pytest.mark.parametrize(("program", "file"), [("gromacs", "conf.gro"), ("lammps", "data.lmp")])
def test_the_species_map_beside_an_exported_box_says_who_its_atoms_are(toy_box, tmp_path, program, file):
    assert main(["export", str(toy_box), "--to", program, "--out", str(tmp_path)]) == 0
    found, order = atom_table(open_universe(tmp_path / file), species_map.load(tmp_path / "species.yaml"))
    box = AtomTable.read(toy_box / "atoms.parquet")
    assert order is None and found.species == box.species
    for name in ("species_id", "molecule", "element"):
        assert np.array_equal(getattr(found, name), getattr(box, name)), name
    label = lambda table: [table.sites[k] if k >= 0 else "" for k in table.site_id]  # noqa: E731
    assert label(found) == label(box) and "AN:N" in label(box)
    assert "guess" not in (tmp_path / "species.yaml").read_text(encoding="utf-8")


def test_topology_lists_molecules_in_the_order_of_the_box(toy_box, tmp_path):
    export(toy_box, "gromacs", tmp_path)
    text = (tmp_path / "topol.top").read_text(encoding="utf-8")
    assert text.split("[ molecules ]\n")[1].split() == ["Li", "3", "AN", "3", "SOL", "40"]
    lines = (tmp_path / "conf.gro").read_text(encoding="utf-8").splitlines()
    atoms = read_box(toy_box).atoms
    assert [line[10:15].strip() for line in lines[2:-1]] == atoms.name.tolist()
    x = np.array([[float(line[20 + 10 * k : 30 + 10 * k]) for k in range(3)] for line in lines[2:-1]])
    assert np.abs(10 * x - read_box(toy_box).positions_A).max() < 1e-9


def test_a_bond_between_two_molecules_is_not_exported(toy_box, tmp_path):
    copy = shutil.copytree(toy_box, tmp_path / "r2")
    system = openmm.XmlSerializer.deserialize((copy / "system.xml").read_text(encoding="utf-8"))
    bonds = next(f for f in system.getForces() if isinstance(f, openmm.HarmonicBondForce))
    bonds.addBond(0, system.getNumParticles() - 1, 0.2, 1000.0)
    (copy / "system.xml").write_text(openmm.XmlSerializer.serialize(system), encoding="utf-8")
    (copy / "build.json").unlink(missing_ok=True)  # it tells of the file that was there
    last = system.getNumParticles()
    with pytest.raises(LmbmdError, match=rf"system\.xml: atoms 1 and {last}, of two molecules, share one of the bonds"):
        export(copy, "gromacs", tmp_path / "out")


def test_a_charge_of_one_molecule_alone_is_not_exported(toy_box, tmp_path):
    copy = shutil.copytree(toy_box, tmp_path / "r2")
    system = openmm.XmlSerializer.deserialize((copy / "system.xml").read_text(encoding="utf-8"))
    nonbonded = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    last = system.getNumParticles() - 1
    nonbonded.setParticleParameters(last, 0.11, *nonbonded.getParticleParameters(last)[1:])
    (copy / "system.xml").write_text(openmm.XmlSerializer.serialize(system), encoding="utf-8")
    (copy / "build.json").unlink(missing_ok=True)  # it tells of the file that was there
    with pytest.raises(LmbmdError, match=r"molecules of SOL have different parameters"):
        export(copy, "gromacs", tmp_path / "out")


def test_unknown_programs_and_folders_without_a_box_are_refused(toy_box, tmp_path):
    with pytest.raises(LmbmdError, match=r"no export to 'gromax'\. Did you mean 'gromacs'\?"):
        export(toy_box, "gromax", tmp_path)
    with pytest.raises(
        LmbmdError, match=r"there is no system\.xml\. Give a folder that build or simulate has finished"
    ):
        export(tmp_path, "gromacs", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _with_phase(box, copy, phase):
    """A copy of a box all of whose torsions have that phase, rad."""
    shutil.copytree(box, copy)
    system = openmm.XmlSerializer.deserialize((copy / "system.xml").read_text(encoding="utf-8"))
    torsions = next(f for f in system.getForces() if isinstance(f, openmm.PeriodicTorsionForce))
    for t in range(torsions.getNumTorsions()):
        *atoms, n, _, k = torsions.getTorsionParameters(t)
        torsions.setTorsionParameters(t, *atoms, n, phase, k)
    (copy / "system.xml").write_text(openmm.XmlSerializer.serialize(system), encoding="utf-8")
    (copy / "build.json").unlink(missing_ok=True)  # it tells of the file that was there
    return copy


def test_pi_as_amber_prints_it_is_180_degrees_for_lammps(toy_box, tmp_path):
    exact, printed = (_with_phase(toy_box, tmp_path / f"r{n}", pi) for n, pi in enumerate((np.pi, 3.141594)))
    for n, box in enumerate((exact, printed)):
        export(box, "lammps", tmp_path / f"out{n}")
    for file in ("data.lmp", "in.lmp"):
        one, other = ((tmp_path / out / file).read_text(encoding="utf-8") for out in ("out0", "out1"))
        assert one == other


def test_a_phase_that_lammps_cannot_hold_is_refused(toy_box, tmp_path):
    copy = _with_phase(toy_box, tmp_path / "r2", 0.5)
    with pytest.raises(LmbmdError, match=r"SOL has a torsion with a phase of 28\.6479 degrees"):
        export(copy, "lammps", tmp_path / "out")


def test_a_1_4_pair_that_lammps_would_drop_is_refused(toy_box, tmp_path):
    copy = shutil.copytree(toy_box, tmp_path / "r2")
    system = openmm.XmlSerializer.deserialize((copy / "system.xml").read_text(encoding="utf-8"))
    old = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    new = openmm.NonbondedForce()  # all but the scaled pairs, which then interact in full
    for i in range(old.getNumParticles()):
        new.addParticle(*old.getParticleParameters(i))
    for e in range(old.getNumExceptions()):
        *pair, product, sigma, epsilon = old.getExceptionParameters(e)
        if not (product._value or epsilon._value):
            new.addException(*pair, product, sigma, epsilon)
    for name in ("UseSwitchingFunction", "SwitchingDistance", "CutoffDistance", "UseDispersionCorrection"):
        getattr(new, f"set{name}")(getattr(old, f"get{name}")())
    assert new.getNumExceptions() < old.getNumExceptions()
    system.removeForce(next(i for i, f in enumerate(system.getForces()) if isinstance(f, openmm.NonbondedForce)))
    system.addForce(new)
    (copy / "system.xml").write_text(openmm.XmlSerializer.serialize(system), encoding="utf-8")
    (copy / "build.json").unlink(missing_ok=True)  # it tells of the file that was there
    with pytest.raises(LmbmdError, match=r"SOL has 1-4 pairs that interact in full"):
        export(copy, "lammps", tmp_path / "out")
