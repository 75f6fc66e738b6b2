"""Every bond and angle of a set's molecules against the minimum of GFN2-xTB nearest to the set's own.

    lmbmd validate geometries [--set sage-clp-2.1.0] [--only DME EC]

prints where they are further apart than 0.05 Å or 8°. What is in force_fields/recipes/geometries.json is not computed
again; with --keep, GFN2-xTB's minima (10.1021/acs.jctc.8b01176) of other molecules are added to it, for which a
checkout of the repository is needed. Needs tblite (`pip install lmbmd[validation]`).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence

import numpy as np
from rdkit import Chem

from lmbmd.core.files import write_text
from lmbmd.core.progress import counted
from lmbmd.data.library import force_fields_folder
from lmbmd.forcefield.parameters import ParameterSet, load_set
from lmbmd.quantum.xtb import gfn2, relax
from lmbmd.validation.plan import SET, repository

FILE = "recipes/geometries.json"
BOND_A, ANGLE_DEG = 0.05, 8.0


def bends(bonds: np.ndarray) -> list[tuple[int, int, int]]:
    """Every angle of the graph, its ends in ascending order."""
    near: dict[int, list[int]] = {}
    for i, j in bonds.tolist():
        near.setdefault(i, []).append(j)
        near.setdefault(j, []).append(i)
    return sorted((i, centre, k) for centre, ends in near.items() for i in ends for k in ends if i < k)


def angle_deg(x: np.ndarray, i: int, centre: int, k: int) -> float:
    """The angle at ``centre``."""
    u, v = x[i] - x[centre], x[k] - x[centre]
    return float(np.degrees(np.arccos(np.clip(u @ v / np.linalg.norm(u) / np.linalg.norm(v), -1, 1))))


def reference(parameters: ParameterSet, species: str) -> np.ndarray:
    """GFN2-xTB's minimum below the set's geometry, Å."""
    table = Chem.GetPeriodicTable()
    numbers = np.array([table.GetAtomicNumber(e) for e in parameters.elements(species)])
    charge = parameters.library.species[species].charge
    return relax(gfn2(numbers, charge), parameters.geometry(species))[1]


def misses(parameters: ParameterSet, species: str, there: np.ndarray) -> list[tuple[str, float, float, str]]:
    """What is too far from the positions ``there`` (Å): atoms, value here, value there, unit."""
    x, names, bonds = parameters.geometry(species), parameters.names(species), parameters.bonds(species)
    found = []
    for i, j in bonds.tolist():
        ours, theirs = (float(np.linalg.norm(y[i] - y[j])) for y in (x, there))
        if abs(ours - theirs) > BOND_A:
            found.append((f"{names[i]}-{names[j]}", ours, theirs, "Å"))
    for bend in bends(bonds):
        ours, theirs = angle_deg(x, *bend), angle_deg(there, *bend)
        if abs(ours - theirs) > ANGLE_DEG:
            found.append(("-".join(names[i] for i in bend), ours, theirs, "°"))
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "lmbmd validate geometries", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", default=SET)
    parser.add_argument("--only", nargs="+", help="species")
    parser.add_argument("--keep", action="store_true", help="add what is computed to the recipe's file")
    args = parser.parse_args(arguments)
    parameters = load_set(args.set)
    path = (repository() / "force_fields" if args.keep else force_fields_folder()) / FILE
    known = json.loads(path.read_text(encoding="utf-8"))
    every = [name for name in args.only or parameters.species if len(parameters.names(name)) > 1]
    for name in counted(every, "geometries", "molecules"):
        if name not in known:
            known[name] = np.round(reference(parameters, name), 3).tolist()
            if args.keep:
                text = ",\n".join(f"{json.dumps(key)}: {json.dumps(known[key])}" for key in sorted(known))
                write_text(path, f"{{\n{text}\n}}\n")
        for what, ours, theirs, unit in misses(parameters, name, np.array(known[name])):
            digits = 3 if unit == "Å" else 1
            print(f"| {name} | {what} | {ours:.{digits}f} {unit} | {theirs:.{digits}f} {unit} |")
