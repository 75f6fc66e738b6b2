"""Valence terms that no published table has, from a quantum-chemical geometry and Hessian.

All force constants at once are the non-negative least-squares solution between the vibrations of the Hessian, each
scaled so that relative errors count alike; rest values are those whose minimum has the bonds and angles of the quantum
geometry. Beside the modified Seminario method (10.1021/acs.jctc.7b00785), which reads every constant by itself, this
halves the error of the low modes of five-membered rings.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import openmm
from openmm import unit
from rdkit import Chem
from scipy.optimize import nnls

from lmbmd.forcefield.parametrize.molecules import Molecule, system_of
from lmbmd.forcefield.parametrize.smirnoff import graph_terms
from lmbmd.forcefield.parametrize.typed import typed_terms

#: Central difference of the forces, nm.
STEP_NM = 1e-5
#: Rounds that bring the minimum to the quantum geometry.
ROUNDS = 8
#: Digits that are kept of bonds, angles, torsions and impropers.
DIGITS = (("bonds", (4, 1)), ("angles", (2, 2)), ("torsions", (3,) * 4), ("impropers", (3,)))
#: Wavenumber of an eigenvalue of one kJ/mol/Å²/u.
CM_PER_ROOT = 1e13 / (2 * np.pi * 2.99792458e10)
#: Cosine of an angle that has no term: the straight ones of an octahedron.
STRAIGHT = -0.9995
#: Translations and rotations.
RIGID = 6


def derive(
    graph: Chem.Mol,
    table: Mapping[str, Any],
    periods: Mapping[str, int],
    x: np.ndarray,
    hessian: np.ndarray,
    floor_cm: float = 0.0,
) -> dict[str, Any]:
    """The table (``typed``) with the bonds, angles, torsions and impropers that it lacks; what it has stays.

    Args:
        graph: explicit hydrogens.
        table: types, atoms, ``scale14``, and the terms that are known; an improper of None is to be found.
        periods: which of V1…V4 a torsion that is to be found has; 0 for none.
        x: (n, 3) the quantum geometry, Å.
        hessian: (3 n, 3 n) there, kJ/mol/Å².
        floor_cm: see ``scaled_modes``.
    """
    types = table["types"]
    wanted = measured(x, graph, types)
    made = {kind: {**(table.get(kind) or {})} for kind in ("bonds", "angles", "torsions", "impropers")}
    free = {kind: [name for name in wanted[kind] if name not in made[kind]] for kind in wanted}
    for kind, names in free.items():
        made[kind].update({name: [wanted[kind][name], 0.0] for name in names})
    made["torsions"].update({name: [0.0] * 4 for name in periods})
    flat = [name for name, values in made["impropers"].items() if values is None]
    made["impropers"].update({name: [0.0] for name in flat})
    entry = {**table, **made}
    slots = [(kind, name, 1) for kind, names in free.items() for name in names]
    slots += [("torsions", name, n - 1) for name, n in periods.items() if n]
    slots += [("impropers", name, 0) for name in flat]
    fit(graph, entry, slots, x, hessian, floor_cm)
    for _ in range(ROUNDS):
        now = measured(minimum(graph, entry, x), graph, types)
        for kind, names in free.items():
            for name in names:
                entry[kind][name][0] += wanted[kind][name] - now[kind][name]
    found: dict[str, Collection[str]] = {**free, "torsions": list(periods), "impropers": flat}
    for kind, digits in DIGITS:
        for name in found[kind]:
            entry[kind][name] = [round(float(v), d) for v, d in zip(entry[kind][name], digits, strict=True)]
    return entry


def fit(
    graph: Chem.Mol,
    entry: dict[str, Any],
    slots: Sequence[tuple[str, str, int]],
    x: np.ndarray,
    hessian: np.ndarray,
    floor_cm: float,
) -> None:
    """Set the force constants in the ``slots`` (kind, name, place) of a table."""
    if not slots:
        return
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


def measured(x: np.ndarray, graph: Chem.Mol, types: Sequence[str]) -> dict[str, dict[str, float]]:
    """Mean bond lengths (Å) and angles (degrees) of each kind."""
    bonds, angles, _ = graph_terms(graph)
    found: dict[str, dict[str, list[float]]] = {"bonds": defaultdict(list), "angles": defaultdict(list)}
    for i, j in sorted(bonds):
        found["bonds"][key_of(types, (i, j))].append(float(np.linalg.norm(x[i] - x[j])))
    for a, b, c in sorted(angles):
        u, v = x[a] - x[b], x[c] - x[b]
        cosine = u @ v / np.linalg.norm(u) / np.linalg.norm(v)
        if cosine > STRAIGHT:
            found["angles"][key_of(types, (a, b, c))].append(math.degrees(math.acos(cosine)))
    return {kind: {key: float(np.mean(v)) for key, v in table.items()} for kind, table in found.items()}


def key_of(types: Sequence[str], atoms: Sequence[int]) -> str:
    """The types of a row of atoms, from the end that comes first in the alphabet."""
    names = [types[i] for i in atoms]
    return "-".join(min(names, names[::-1]))


def _context(graph: Chem.Mol, entry: Mapping[str, Any], x: np.ndarray) -> openmm.Context:
    terms, charges = typed_terms(graph, entry, x)
    system = system_of(Molecule("derived", graph, charges, terms, geometric_14=True))
    return openmm.Context(system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("Reference"))


def mm_hessian(graph: Chem.Mol, entry: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
    """Hessian of a table at ``x`` (Å), kJ/mol/Å²."""
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


def minimum(graph: Chem.Mol, entry: Mapping[str, Any], x: np.ndarray) -> np.ndarray:
    """The minimum of a table nearest to ``x``, Å."""
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
    floor = (floor_cm / CM_PER_ROOT) ** 2
    return weight[:, None] * vectors[:, RIGID:] / np.sqrt(np.maximum(values[RIGID:], floor))


def wavenumbers_cm(graph: Chem.Mol, hessian: np.ndarray) -> np.ndarray:
    """Harmonic wavenumbers of the vibrations from a Hessian in kJ/mol/Å², smallest first; imaginary ones negative."""
    weight = _weights(graph)
    values = np.linalg.eigvalsh(weight[:, None] * hessian * weight)
    order = np.argsort(np.abs(values))
    values = np.sort(np.delete(values, order[:RIGID]))
    return CM_PER_ROOT * np.sign(values) * np.sqrt(np.abs(values))
