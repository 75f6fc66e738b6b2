"""No argument, recipe, map, trajectory or damaged result ends in a traceback, a signal, or a half-written result.

The cases are drawn from a seed in kinds.py and run in child.py, a process of its own, so that a reader that crashes is
seen as such. To see one again: ``python tests/fuzz/child.py KIND SEED N N+1 WORLD``.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import foreign_files
import formulation_tables
import numpy as np
import pytest
import report_inputs
import toy
from kinds import DRAW, QUANTUM, SCATTER, SOUND, WORLD

from lmbmd.box.pdb import read_pdb
from lmbmd.cli.parser import main
from lmbmd.core import provenance, stages
from lmbmd.simulate.protocol import load_spec

ROOT = Path(__file__).parents[2]
CHILD = Path(__file__).parent / "child.py"
#: A few cases of each kind, and a twentieth of many others.
FEW = {
    "arguments": 60,
    "studies": 50,
    "tables": 40,
    "maps": 20,
    "trajectories": 40,
    "results": 10,
    "runs": 20,
    "simulations": 16,
}
#: A twentieth of these are taken unless LMBMD_FUZZ=whole (about twenty minutes on a quiet core).
MANY = {
    "arguments": 1500,
    "studies": 1200,
    "tables": 800,
    "maps": 500,
    "trajectories": 1200,
    "results": 150,
    "runs": 400,
    "simulations": 200,
}
MAP = """\
centre: LI
species:
  LI: {resname: LI}
  NO3: {resname: NO3, role: anion, sites: {O: [O1, O2, O3]}}
  MOH: {resname: MOH, role: solvent, sites: {O: [O1]}}
elements: {LI: Li, N1: N, O1: O, O2: O, O3: O, C1: C, H1: H, H2: H, H3: H, HO: H}
"""
NUMBERED = """\
centre: LI
species:
  LI: {atoms: 1-3}
  NO3: {atoms: 4-15, role: anion, sites: {O: O}}
  MOH: {atoms: 16-27, role: solvent, sites: {O: O}}
elements: {"1": Li, "2": N, "3": O, "4": C, "5": H}
"""
TIMED = MAP + "frame_interval_ps: 1\n"
MAPS = {"map": MAP, "numbered": NUMBERED, "timed": TIMED, "boxed": TIMED + "box: [20, 20, 20]\n"}
READ = "scattering: {q_max_per_A: 0.6, frames: 4, n_blocks: 2, deuterated: [DME]}\nquantum: {shells_per_class: 1}"
BOTTLE = "salts: {LiFSI: 1 mol/L of solution}\nsolvents: {DME: rest}\nsize: {ion_pairs: 6}\n"


@pytest.fixture(scope="session")
def worlds(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("worlds")


@pytest.fixture
def world(worlds, kind) -> Path:
    """A folder with the folder in which this kind of case begins."""
    name = WORLD[kind]
    if not (worlds / name).is_dir():
        making = worlds / f"{name}.making"
        making.mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(making)
            {"foreign": foreign, "built": built, "reported": reported, "simulated": simulated, "study": study}[name]()
        making.rename(worlds / name)
    return worlds


def study() -> None:
    shutil.copytree(ROOT / "config", "config")
    Path("table.csv").write_text(formulation_tables.OM_DATA, encoding="utf-8")
    Path("codebook.yaml").write_text(formulation_tables.CODEBOOK, encoding="utf-8")


def reported() -> None:
    """The results behind a report, made up."""
    study()
    report_inputs.write_study(Path())
    assert main(["index"]) == 0


def simulated() -> None:
    """A small run that is finished."""
    study()
    toy.relaxed_run(Path())
    toy.simulate_here(Path())


def foreign() -> None:
    """One small box in many formats, and a species map for it."""
    import MDAnalysis as mda

    folder = Path()
    for name, text in MAPS.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    foreign_files.gro(folder / "t.gro")
    foreign_files.pdb(folder / "t.pdb", conect=True)
    foreign_files.lammps_data(folder / "t.data")
    foreign_files.psf(folder / "t.psf")
    foreign_files.prmtop(folder / "t.prmtop")
    universe = mda.Universe(str(folder / "t.pdb"))
    rng, start = np.random.default_rng(3), universe.atoms.positions.copy()
    names = [*(f"t.{kind}" for kind in ("xtc", "trr", "dcd", "xyz", "nc")), "many.pdb"]
    writers = [mda.Writer(str(folder / name), len(start), multiframe=True) for name in names]
    dump = []
    for i in range(6):
        universe.atoms.positions = start + rng.normal(0, 0.03, start.shape)
        universe.trajectory.ts.time, universe.trajectory.ts.frame = float(i), 500 * i
        for writer in writers:
            writer.write(universe.atoms)
        dump += ["ITEM: TIMESTEP", str(i), "ITEM: NUMBER OF ATOMS", str(len(start)), "ITEM: BOX BOUNDS pp pp pp"]
        dump += ["0 20"] * 3 + ["ITEM: ATOMS id type x y z"]
        dump += [f"{k + 1} 1 {x} {y} {z}" for k, (x, y, z) in enumerate(universe.atoms.positions.tolist())]
    for writer in writers:
        writer.close()
    (folder / "t.lammpsdump").write_text("\n".join(dump) + "\n", encoding="utf-8")
    one = (folder / "t.gro").read_text(encoding="utf-8")
    (folder / "many.gro").write_text(
        "".join(one.replace("box", f"box t= {t}.0", 1) for t in range(3)), encoding="utf-8"
    )


def built() -> None:
    """In the current folder: a study, its box, a trajectory of jittered starts, and everything that follows."""
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    Path("config/formulations").mkdir(parents=True)
    text = (ROOT / "config" / "config.yaml").read_text(encoding="utf-8")
    Path("config/config.yaml").write_text(text.replace("claims: claims.yaml", READ), encoding="utf-8")
    Path("config/formulations/b.yaml").write_text(BOTTLE, encoding="utf-8")
    box, run = Path("results/b/r1"), Path("results/b/298.15K/r1")
    assert main(["compose", "b", "--out", "results/b/composition.json"]) == 0
    assert main(["build", "results/b/composition.json", "--out", str(box)]) == 0
    assert main(["spec", "b", "298.15", "1", "--out", str(run / "spec.json")]) == 0
    positions, lattice = read_pdb((box / "start.pdb").read_text(encoding="utf-8"), where="start.pdb")
    rng = np.random.default_rng(1)
    with XTCFile(str(run / "trajectory.xtc"), "w") as file:
        for i in range(12):
            moved = positions + rng.normal(0, 0.05, positions.shape)
            file.write((moved / 10).astype(np.float32), (lattice / 10).astype(np.float32), i, float(i + 1), 1000)
    shutil.copy(box / "start.pdb", run / "final.pdb")
    spec = load_spec(run / "spec.json").to_dict()
    inputs = {"spec": run / "spec.json", "system": box / "system.xml", "start": box / "start.pdb"}
    length = spec["protocol"]["production_ns"]
    record = provenance.stamp(stages.SIMULATE, inputs, spec=spec, production_ns=length, ns_per_day=1.0, restarts=0)
    (run / "run.json").write_text(json.dumps(record), encoding="utf-8")
    files = ["--contacts", str(run / "contacts.arrow"), "--rdf", str(run / "rdf.npz")]
    atoms = ["--atoms", str(box / "atoms.parquet")]
    assert main(["contacts", *atoms, "--trajectory", str(run / "trajectory.xtc"), *files]) == 0
    for words in (SCATTER, DRAW, QUANTUM):
        assert main(words.split()) == 0
    assert main(["describe", str(run.parent), "--composition", "results/b/composition.json", *atoms]) == 0
    assert main(["report", "b"]) == 0


def faults(kind: str, seed: str, first: int, last: int, world: Path) -> list[str]:
    """What went wrong in these cases; a child that dies is started again behind the case that killed it."""
    found: list[str] = []
    while first < last:
        command = [sys.executable, str(CHILD), kind, seed, str(first), str(last), str(world)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
        with subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
            env=environment,
        ) as child:
            lines, complaint = child.communicate()
        begun = ""
        for line in lines.splitlines():
            if line.startswith("begin "):
                begun = line
                first = int(line.split()[1]) + 1
                continue
            ended = json.loads(line)
            found += [f"{begun}\n{wrong}\n{ended['said']}" for wrong in ended["wrong"]]
            begun = ""
        if child.returncode == 0:
            break
        if not begun:
            raise AssertionError(f"the child itself failed: {complaint[-3000:]}")
        found.append(f"{begun}\nthe process died, exit code {child.returncode}\n{complaint[-800:]}")
        for left in world.glob(f"{kind}-*"):
            shutil.rmtree(left)
    return [re.sub(r"(.)\1{50,}", r"\1…", text) for text in found]


@pytest.mark.slow
@pytest.mark.parametrize("kind", SOUND)
def test_what_is_damaged_works_when_it_is_not(world, kind, tmp_path, monkeypatch):
    """Else every damage would be hidden behind the same message."""
    monkeypatch.chdir(shutil.copytree(world / WORLD[kind], tmp_path / "here"))
    for arguments in SOUND[kind]:
        assert main(arguments) == 0, arguments


@pytest.mark.slow
@pytest.mark.parametrize("kind", FEW)
def test_nothing_ends_in_a_traceback_a_signal_or_half_a_result(world, kind):
    check(faults(kind, "1", 0, FEW[kind], world))


@pytest.mark.slow
@pytest.mark.parametrize("kind", MANY)
def test_nor_do_thousands_of_others(world, kind):
    share = 1 if os.environ.get("LMBMD_FUZZ") == "whole" else 20
    check(faults(kind, "2", 0, MANY[kind] // share, world))


def check(found: list[str]) -> None:
    if found:
        pytest.fail(f"{len(found)} faults\n\n" + "\n\n".join(found[:40]), pytrace=False)
