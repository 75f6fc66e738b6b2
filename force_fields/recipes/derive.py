"""Valence terms of ions and groups that no published table has, from a quantum-chemical Hessian.

    python force_fields/recipes/derive.py force_fields/recipes/quantum/DFOB.json

prints the entry of ``ions.yaml`` and the wavenumbers that it gives beside those of the Hessian. Bonds and angles by the
modified Seminario method (Seminario, Int. J. Quantum Chem. 1996, 60, 1271; Allen, Payne, Cole, J. Chem. Theory
Comput. 2018, 14, 274, 10.1021/acs.jctc.7b00785); torsions and impropers by non-negative least squares on what is left
of the Hessian. The JSON holds geometry, Hessian and RESP charges, the types of the atoms, their Lennard-Jones terms
with the sources, and which torsions and impropers there are: ``quantum.py`` made it.
"""

from __future__ import annotations

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
TO_KJ_MOL_A2 = HARTREE_KJ_MOL / BOHR_A**2
#: Central difference of the forces, nm.
STEP_NM = 1e-5


def bond_constant(hessian: np.ndarray, x: np.ndarray, i: int, j: int) -> float:
    """k of E = k (r − r0)² / 2, in the unit of ``hessian``: the mean of both directions."""
    along = _unit(x[j] - x[i])
    return 0.5 * (_projected(hessian, i, j, along) + _projected(hessian, j, i, along))


def angle_constant(
    hessian: np.ndarray, x: np.ndarray, angle: tuple[int, int, int], angles: set[tuple[int, int, int]]
) -> float:
    """k of E = k (θ − θ0)² / 2, per rad².

    1/k = s_a / (r_a² k_a) + s_c / (r_c² k_c), with k_a the projection of the block of the bond b–a on the direction in
    the plane of the angle and across the bond, and s_a = 1 + the mean of cos² between that direction and those of the
    other angles that share the bond.
    """
    a, b, c = angle
    total = 0.0
    for end, other in ((a, c), (c, a)):
        across = _across(x, end, b, other)
        shared = [
            _across(x, end, b, k if i == end else i) for i, j, k in angles
            if j == b and end in (i, k) and (i, j, k) != angle
        ]  # fmt: skip
        scale = 1.0 + (np.mean([(across @ u) ** 2 for u in shared]) if shared else 0.0)
        r2 = ((x[end] - x[b]) ** 2).sum()
        total += scale / (r2 * _projected(hessian, end, b, across))
    return 1.0 / total


def _across(x: np.ndarray, end: int, centre: int, other: int) -> np.ndarray:
    """Unit vector in the plane of the angle, perpendicular to the bond from ``centre`` to ``end``."""
    along, away = _unit(x[end] - x[centre]), _unit(x[other] - x[centre])
    return _unit(away - (away @ along) * along)


def _projected(hessian: np.ndarray, i: int, j: int, direction: np.ndarray) -> float:
    values, vectors = np.linalg.eig(-hessian[3 * i : 3 * i + 3, 3 * j : 3 * j + 3])
    return float(np.real(sum(v * abs(direction @ vectors[:, k]) for k, v in enumerate(values))))


def _unit(v: np.ndarray) -> np.ndarray:
    return v / np.linalg.norm(v)


def valence(x: np.ndarray, hessian: np.ndarray, graph: Chem.Mol, types: list[str]) -> dict:
    """Mean rest values (Å, degrees) and constants (kJ/mol, Å⁻² or rad⁻²) of each kind of bond and angle."""
    bonds, angles, _ = graph_terms(graph)
    found: dict[str, dict[str, list]] = {"bonds": defaultdict(list), "angles": defaultdict(list)}
    for i, j in sorted(bonds):
        value = float(np.linalg.norm(x[i] - x[j])), bond_constant(hessian, x, i, j)
        found["bonds"][_key(types, (i, j))].append(value)
    for angle in sorted(angles):
        a, b, c = angle
        theta = math.degrees(math.acos(_unit(x[a] - x[b]) @ _unit(x[c] - x[b])))
        found["angles"][_key(types, angle)].append((theta, angle_constant(hessian, x, angle, angles)))
    digits = {"bonds": (4, 0), "angles": (2, 1)}
    return {
        kind: {
            key: [round(float(v), d) for v, d in zip(np.mean(rows, axis=0), digits[kind], strict=True)]
            for key, rows in table.items()
        }
        for kind, table in found.items()
    }


def _key(types: list[str], atoms: tuple[int, ...]) -> str:
    names = [types[i] for i in atoms]
    return "-".join(min(names, names[::-1]))


def mm_hessian(graph: Chem.Mol, entry: dict, x: np.ndarray) -> np.ndarray:
    """Hessian of ``entry`` at ``x``, kJ/mol/Å²."""
    terms, charges = ion_terms(graph, entry, x)
    system = system_of(Molecule("derived", graph, charges, terms))
    context = openmm.Context(system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("Reference"))
    out = np.empty((x.size, x.size))
    for k in range(x.size):
        forces = []
        for sign in (1, -1):
            moved = 0.1 * x.ravel().copy()
            moved[k] += sign * STEP_NM
            context.setPositions(moved.reshape(-1, 3))
            forces.append(context.getState(getForces=True).getForces(asNumpy=True)._value.ravel())
        out[k] = (forces[1] - forces[0]) / (2 * STEP_NM)
    return 0.005 * (out + out.T)


def fit_torsions(graph: Chem.Mol, entry: dict, x: np.ndarray, hessian: np.ndarray, wanted: dict) -> None:
    """Put into ``entry`` the V ≥ 0 (kJ/mol) of ``wanted`` (torsion → n, improper → 2) nearest to the Hessian."""
    torsions, impropers = wanted["torsions"], wanted["impropers"]
    entry["torsions"] = {name: [0, 0, 0, 0] for name in torsions}
    entry["impropers"] = {name: [0.0] for name in impropers}
    rest = hessian - (zero := mm_hessian(graph, entry, x))
    columns = []
    for name, n in torsions.items():
        trial = {**entry, "torsions": {**entry["torsions"], name: [float(k == n) for k in (1, 2, 3, 4)]}}
        columns.append((mm_hessian(graph, trial, x) - zero).ravel())
    for name in impropers:
        trial = {**entry, "impropers": {**entry["impropers"], name: [1.0]}}
        columns.append((mm_hessian(graph, trial, x) - zero).ravel())
    best, _ = nnls(np.array(columns).T, rest.ravel())
    for (name, n), v in zip(torsions.items(), best, strict=False):
        entry["torsions"][name] = [round(float(v), 3) if k == n else 0 for k in (1, 2, 3, 4)]
    for name, v in zip(impropers, best[len(torsions) :], strict=True):
        entry["impropers"][name] = [round(float(v), 3)]


def wavenumbers_cm(hessian: np.ndarray, masses: np.ndarray) -> np.ndarray:
    """Harmonic wavenumbers from a Hessian in kJ/mol/Å², smallest first; imaginary ones negative."""
    weight = np.repeat(masses, 3)
    values = np.linalg.eigvalsh(100.0 * hessian / np.sqrt(np.outer(weight, weight)))
    return np.sign(values) * np.sqrt(np.abs(values)) * 1e12 / (2 * np.pi * 2.99792458e10)


def derive(quantum: dict) -> tuple[dict, np.ndarray, np.ndarray]:
    """The entry of ``ions.yaml``, and the wavenumbers of the Hessian and of the entry."""
    graph = Chem.AddHs(Chem.MolFromSmiles(quantum["smiles"]))
    x, hessian = np.array(quantum["x"]), np.array(quantum["hessian"]) * TO_KJ_MOL_A2
    types = quantum["types"]
    charges = _charges(types, quantum["resp"], Chem.GetFormalCharge(graph))
    entry = {
        "types": types,
        "atoms": {t: [charges[t], *quantum["lennard_jones"][t]] for t in dict.fromkeys(types)},
        **valence(x, hessian, graph, types),
        "scale14": [0.5, 0.5],
    }
    fit_torsions(graph, entry, x, hessian, quantum["wanted"])
    masses = np.array([openmm.app.Element.getByAtomicNumber(a.GetAtomicNum()).mass._value for a in graph.GetAtoms()])
    ours = wavenumbers_cm(mm_hessian(graph, entry, minimum(graph, entry, x)), masses)
    return entry, wavenumbers_cm(hessian, masses)[6:], ours[6:]


def minimum(graph: Chem.Mol, entry: dict, x: np.ndarray) -> np.ndarray:
    """The nearest minimum of ``entry``, Å."""
    terms, charges = ion_terms(graph, entry, x)
    system = system_of(Molecule("derived", graph, charges, terms))
    context = openmm.Context(system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(x * unit.angstrom)
    openmm.LocalEnergyMinimizer.minimize(context, 1e-4, 0)
    return context.getState(getPositions=True).getPositions(asNumpy=True).value_in_unit(unit.angstrom)


def _charges(types: list[str], raw: list[float], charge: int) -> dict[str, float]:
    """Mean charge of each type to four decimals; the first type with one atom, or else two, takes the rest."""
    out = {t: round(float(np.mean([q for q, u in zip(raw, types, strict=True) if u == t])), 4) for t in types}
    count = {t: types.count(t) for t in out}
    rest = round(1e4 * (charge - sum(out[t] * count[t] for t in out)))
    taker = min((t for t in out if rest % count[t] == 0), key=lambda t: count[t])
    out[taker] = round(out[taker] + 1e-4 * rest / count[taker], 4)
    return out


def main() -> None:
    for path in sys.argv[1:]:
        entry, quantum, ours = derive(json.loads(Path(path).read_text(encoding="utf-8")))
        print(yaml.safe_dump({Path(path).stem: entry}, sort_keys=False, default_flow_style=None, width=120))
        print("# wavenumber of the Hessian and of the entry, cm-1")
        for a, b in zip(quantum, ours, strict=True):
            print(f"# {a:7.0f} {b:7.0f}")


if __name__ == "__main__":
    main()
