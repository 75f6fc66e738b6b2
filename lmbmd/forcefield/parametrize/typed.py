"""Terms by types: a table of parameters for the types of a molecule's atoms, laid over its graph.

A table is a mapping with ``types`` (of every atom; its elements if left out), ``atoms`` (type → charge e, σ Å, ε
kJ/mol) or the same of every atom as ``particles``, ``bonds`` (``A-B`` → r0 Å, k kJ/mol/Å²), ``angles`` (``A-B-C`` → θ0
degrees, k kJ/mol/rad²), ``torsions`` (``A-B-C-D`` → V1 to V4 of the OPLS series, kJ/mol), ``impropers`` (outer, centre,
the two others → V2), ``scale14`` and, for octahedra, ``right_angles_only``. Every term is E = k (x − x0)² / 2, or of
the OPLS series.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rdkit import Chem

from lmbmd.forcefield.parametrize.smirnoff import Terms, graph_terms

#: Neighbours of an atom that an improper term holds in their plane.
FLAT = 3


def typed_terms(graph: Chem.Mol, table: Mapping[str, Any], positions: np.ndarray | None) -> tuple[Terms, list[float]]:
    """Terms and charges (e) of a molecule from a table.

    Args:
        graph: explicit hydrogens.
        table: see above.
        positions: Å, for ``right_angles_only``.

    Raises:
        ValueError: if a bond, an angle or a torsion of the graph has no parameter.
    """
    types = table.get("types") or [atom.GetSymbol() for atom in graph.GetAtoms()]
    terms = Terms()
    bonds, angles, torsions = graph_terms(graph)
    for key in bonds:
        r0, k = by_types(table["bonds"], [types[i] for i in key])
        terms.bonds[key] = (0.1 * r0, 100.0 * k)
    for key in angles:
        if table.get("right_angles_only"):
            assert positions is not None, "which angles are right ones is seen in a geometry"
            if abs(angle_deg(positions[list(key)]) - 90.0) > 1.0:
                continue
        theta0, k = by_types(table["angles"], [types[i] for i in key])
        terms.angles[key] = (math.radians(theta0), k)
    for key in sorted(torsions):
        terms.torsions += [(*key, *term) for term in series(by_types(table["torsions"], [types[i] for i in key]))]
    terms.torsions += impropers(graph, types, table)
    atoms = table["particles"] if "particles" in table else [table["atoms"][t] for t in types]
    terms.lennard_jones = [(0.1 * sigma, epsilon) for _, sigma, epsilon in atoms]
    terms.scale14_lj, terms.scale14_coulomb = table.get("scale14", (1.0, 1.0))
    return terms, [q for q, _, _ in atoms]


def impropers(graph: Chem.Mol, types: Sequence[str], table: Mapping[str, Any]) -> list[tuple]:
    """Improper torsions about the atoms with three neighbours that the table names."""
    found = []
    for name, (v2,) in table.get("impropers", {}).items():
        first, middle, *last = name.split("-")
        for centre in (i for i, t in enumerate(types) if t == middle and graph.GetAtomWithIdx(i).GetDegree() == FLAT):
            a, b, c = sorted(n.GetIdx() for n in graph.GetAtomWithIdx(centre).GetNeighbors())
            for outer in ((a, b, c), (b, a, c), (c, a, b)):
                if types[outer[0]] == first and sorted(types[i] for i in outer[1:]) == sorted(last):
                    found += [(outer[0], centre, *outer[1:], *term) for term in series([0.0, v2, 0.0, 0.0])]
    return found


def by_types(table: Mapping[str, Any], types: Sequence[str]) -> Any:
    """The entry for a row of types, read from either end.

    Raises:
        ValueError: if there is none.
    """
    for names in (types, types[::-1]):
        if "-".join(names) in table:
            return table["-".join(names)]
    raise ValueError(f"no parameter for {'-'.join(types)}")


def series(v: Sequence[float]) -> list[tuple[int, float, float]]:
    """V1 to V4 of the OPLS series as (n, phase, k) terms."""
    return [(n, 0.0 if n % 2 else math.pi, 0.5 * vn) for n, vn in enumerate(v, start=1) if vn]


def amplitude(n: int, phase: float, k: float) -> float:
    """The V of one (n, phase, k) term, whose phase is 0 or π (up to its sign): ``series`` the other way round."""
    return 2.0 * k * (1.0 if (abs(phase) < 1.0) == bool(n % 2) else -1.0)


def angle_deg(x: np.ndarray) -> float:
    """The angle at the second of three positions, degrees."""
    a, b = x[0] - x[1], x[2] - x[1]
    return math.degrees(math.acos(np.clip(a @ b / np.linalg.norm(a) / np.linalg.norm(b), -1.0, 1.0)))
