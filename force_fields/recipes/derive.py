"""Valence terms that no published table has, from a quantum-chemical Hessian.

    python force_fields/recipes/derive.py force_fields/recipes/quantum/DFOB.json

prints the entry of ``ions.yaml``, or, of a model compound in quantum/models, what ``groups.yaml`` takes terms from, and
as comments the wavenumbers of the Hessian and of the entry. All force constants at once are the non-negative
least-squares solution between the vibrations of the Hessian, each scaled so that relative errors count alike; rest
values are those whose minimum has the bonds and angles of the quantum geometry. Beside the
modified Seminario method (10.1021/acs.jctc.7b00785), which reads every constant by itself, this halves the error of
the low modes of five-membered rings.

The JSON, in Å, hartree/bohr² and e, also names the types of the atoms, their Lennard-Jones terms and the torsions.
"""

from __future__ import annotations

import copy
import json
import math
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import openmm
import yaml
from molecules import Molecule, ion_terms, system_of
from openmm import unit
from rdkit import Chem
from scipy.optimize import nnls
from smirnoff import graph_terms

HARTREE_KJ_MOL = 2625.4996
BOHR_A = 0.529177210903
#: Central difference of the forces, nm.
STEP_NM = 1e-5
#: Rounds that bring the minimum to the quantum geometry.
ROUNDS = 8
SCALE14 = [0.5, 0.5]
#: Wavenumber of an eigenvalue of one kJ/mol/Å²/u.
CM_PER_ROOT = 1e13 / (2 * np.pi * 2.99792458e10)
#: Cosine of an angle that has no term: the straight ones of an octahedron.
STRAIGHT = -0.9995


def derive(quantum: dict) -> tuple[dict, np.ndarray, np.ndarray]:
    """The entry of ``ions.yaml``, and the wavenumbers of the Hessian and of the entry, cm⁻¹."""
    graph = Chem.AddHs(Chem.MolFromSmiles(quantum["smiles"]))
    x = np.array(quantum["x"])
    hessian = np.array(quantum["hessian"]) * HARTREE_KJ_MOL / BOHR_A**2
    types = quantum["types"]
    charges = _charges(types, quantum["resp"], Chem.GetFormalCharge(graph))
    wanted = measured(x, graph, types)
    entry = {
        "types": types,
        "atoms": {t: [charges[t], *quantum["lennard_jones"][t]] for t in dict.fromkeys(types)},
        **{kind: {name: [value, 0.0] for name, value in table.items()} for kind, table in wanted.items()},
        "torsions": {name: v if isinstance(v, list) else [0.0] * 4 for name, v in quantum["torsions"].items()},
        "impropers": {name: [0.0] for name in quantum["impropers"]},
        "scale14": SCALE14,
        **({"right_angles_only": True} if quantum.get("right_angles_only") else {}),
    }
    fit(graph, entry, x, hessian, quantum["torsions"], quantum.get("floor_cm", 0.0))
    for _ in range(ROUNDS):
        now = measured(minimum(graph, entry, x), graph, types)
        for kind, table in wanted.items():
            for name, value in table.items():
                entry[kind][name][0] += value - now[kind][name]
    for kind, digits in (("bonds", (4, 1)), ("angles", (2, 2)), ("torsions", (3,) * 4), ("impropers", (3,))):
        for values in entry[kind].values():
            values[:] = [round(float(v), d) for v, d in zip(values, digits, strict=True)]
    ours = mm_hessian(graph, entry, minimum(graph, entry, x))
    return entry, wavenumbers_cm(graph, hessian)[6:], wavenumbers_cm(graph, ours)[6:]


def fit(
    graph: Chem.Mol, entry: dict, x: np.ndarray, hessian: np.ndarray, periods: dict[str, int | list], floor_cm: float
) -> None:
    """Set every force constant of ``entry``; ``periods`` says which of V1…V4 a torsion has, or gives all four."""
    slots = [(kind, name, 1) for kind in ("bonds", "angles") for name in entry[kind]]
    slots += [("torsions", name, n - 1) for name, n in periods.items() if isinstance(n, int) and n]
    slots += [("impropers", name, 0) for name in entry["impropers"]]
    modes = scaled_modes(graph, hessian, floor_cm)
    zero = mm_hessian(graph, entry, x)
    columns = []
    for kind, name, place in slots:
        trial = copy.deepcopy(entry)
        trial[kind][name][place] = 1.0
        columns.append((modes.T @ (mm_hessian(graph, trial, x) - zero) @ modes).ravel())
    best, _ = nnls(np.array(columns).T, (modes.T @ (hessian - zero) @ modes).ravel())
    for (kind, name, place), value in zip(slots, best, strict=True):
        entry[kind][name][place] = value


def measured(x: np.ndarray, graph: Chem.Mol, types: list[str]) -> dict[str, dict[str, float]]:
    """Mean bond lengths (Å) and angles (degrees) of each kind."""
    bonds, angles, _ = graph_terms(graph)
    found: dict[str, dict[str, list[float]]] = {"bonds": defaultdict(list), "angles": defaultdict(list)}
    for i, j in sorted(bonds):
        found["bonds"][_key(types, (i, j))].append(float(np.linalg.norm(x[i] - x[j])))
    for a, b, c in sorted(angles):
        u, v = x[a] - x[b], x[c] - x[b]
        cosine = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
        if cosine > STRAIGHT:
            found["angles"][_key(types, (a, b, c))].append(math.degrees(math.acos(cosine)))
    return {kind: {key: float(np.mean(v)) for key, v in table.items()} for kind, table in found.items()}


def _key(types: list[str], atoms: tuple[int, ...]) -> str:
    names = [types[i] for i in atoms]
    return "-".join(min(names, names[::-1]))


def _context(graph: Chem.Mol, entry: dict, x: np.ndarray) -> openmm.Context:
    terms, charges = ion_terms(graph, entry, x)
    system = system_of(Molecule("derived", graph, charges, terms, geometric_14=True))
    return openmm.Context(system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("Reference"))


def mm_hessian(graph: Chem.Mol, entry: dict, x: np.ndarray) -> np.ndarray:
    """Hessian of ``entry`` at ``x`` (Å), kJ/mol/Å²."""
    context = _context(graph, entry, x)
    out = np.empty((x.size, x.size))
    for k in range(x.size):
        forces = []
        for sign in (1, -1):
            moved = 0.1 * x.ravel()
            moved[k] += sign * STEP_NM
            context.setPositions(moved.reshape(-1, 3))
            forces.append(context.getState(getForces=True).getForces(asNumpy=True)._value.ravel())
        out[k] = (forces[1] - forces[0]) / (2 * STEP_NM)
    return 0.005 * (out + out.T)


def minimum(graph: Chem.Mol, entry: dict, x: np.ndarray) -> np.ndarray:
    """The minimum of ``entry`` nearest to ``x``, Å."""
    context = _context(graph, entry, x)
    context.setPositions(x * unit.angstrom)
    openmm.LocalEnergyMinimizer.minimize(context, 1e-4, 0)
    return context.getState(getPositions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom)


def _weights(graph: Chem.Mol) -> np.ndarray:
    masses = [openmm.app.Element.getByAtomicNumber(a.GetAtomicNum()).mass._value for a in graph.GetAtoms()]
    return np.repeat(masses, 3) ** -0.5


def scaled_modes(graph: Chem.Mol, hessian: np.ndarray, floor_cm: float) -> np.ndarray:
    """The vibrations as columns, scaled so that the Hessian between them is one: relative errors count alike.

    Modes below ``floor_cm`` count as if they were there: in floppy molecules they are what is left when large terms
    cancel, and would outweigh all else.
    """
    weight = _weights(graph)
    values, vectors = np.linalg.eigh(weight[:, None] * hessian * weight)
    return weight[:, None] * vectors[:, 6:] / np.sqrt(np.maximum(values[6:], (floor_cm / CM_PER_ROOT) ** 2))


def wavenumbers_cm(graph: Chem.Mol, hessian: np.ndarray) -> np.ndarray:
    """Harmonic wavenumbers from a Hessian in kJ/mol/Å², smallest first; imaginary ones negative."""
    weight = _weights(graph)
    values = np.linalg.eigvalsh(weight[:, None] * hessian * weight)
    return CM_PER_ROOT * np.sign(values) * np.sqrt(np.abs(values))


def _charges(types: list[str], raw: list[float], charge: int) -> dict[str, float]:
    """Mean charge of each type to four decimals; the rarest type that can takes the rest."""
    out = {t: round(float(np.mean([q for q, u in zip(raw, types, strict=True) if u == t])), 4) for t in types}
    rest = round(1e4 * (charge - sum(out[t] for t in types)))
    taker = min((t for t in out if rest % types.count(t) == 0), key=types.count)
    out[taker] = round(out[taker] + 1e-4 * rest / types.count(taker), 4)
    return out


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        entry, quantum, ours = derive(json.loads(path.read_text(encoding="utf-8")))
        print(yaml.safe_dump({path.stem: entry}, sort_keys=False, default_flow_style=None, width=120))
        for a, b in zip(quantum, ours, strict=True):
            print(f"# {a:7.0f} {b:7.0f}")
        print(f"# root mean square of the relative error {np.sqrt(np.mean((ours / quantum - 1) ** 2)):.3f}")


if __name__ == "__main__":
    main()
