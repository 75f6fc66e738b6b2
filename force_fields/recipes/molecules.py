"""Terms of ions and of groups from the tables of this folder; the rest is what ``lmbmd parametrize`` uses."""

from __future__ import annotations

import math

import numpy as np
from rdkit import Chem
from smirnoff import Terms, graph_terms

from lmbmd.forcefield.parametrize import molecules as house
from lmbmd.forcefield.parametrize.molecules import Molecule, embedded, lowest_geometry, system_of

__all__ = [
    "Molecule",
    "add_groups",
    "embedded",
    "foreign",
    "ideal",
    "ion_terms",
    "lowest_geometry",
    "pdb_of",
    "system_of",
]
#: Names that PDB readers take for nucleotides, with bonds of their own.
NUCLEIC = {"G3"}
#: Neighbours of an atom that an improper term holds in their plane.
FLAT = 3


def pdb_of(molecule: Molecule, positions: np.ndarray) -> str:
    """PDB text with element columns and every bond as CONECT."""
    text = house.pdb_of(molecule.name, molecule.graph, positions)
    return text.replace(f" {molecule.name.ljust(4)}A   1 ", " MOL A   1 ") if molecule.name in NUCLEIC else text


def ion_terms(graph: Chem.Mol, entry: dict, positions: np.ndarray | None) -> tuple[Terms, list[float]]:
    """Terms and charges of an ion from its entry in ``ions.yaml``.

    Raises:
        ValueError: if a bond or an angle of the graph has no parameter.
    """
    symbol = entry.get("types") or [atom.GetSymbol() for atom in graph.GetAtoms()]
    terms = Terms()
    bonds, angles, torsions = graph_terms(graph)
    for key in bonds:
        r0, k = _by_elements(entry["bonds"], [symbol[i] for i in key])
        terms.bonds[key] = (0.1 * r0, 100.0 * k)
    for key in angles:
        if entry.get("right_angles_only") and abs(_angle_deg(positions[list(key)]) - 90.0) > 1.0:
            continue
        theta0, k = _by_elements(entry["angles"], [symbol[i] for i in key])
        terms.angles[key] = (math.radians(theta0), k)
    for key in sorted(torsions):
        terms.torsions += [(*key, *term) for term in _opls(_by_elements(entry["torsions"], [symbol[i] for i in key]))]
    terms.torsions += _impropers(graph, symbol, entry)
    atoms = [entry["atoms"][s] for s in symbol]
    terms.lennard_jones = [(0.1 * sigma, epsilon) for _, sigma, epsilon in atoms]
    terms.scale14_lj, terms.scale14_coulomb = entry.get("scale14", (1.0, 1.0))
    return terms, [q for q, _, _ in atoms]


def add_groups(terms: Terms, graph: Chem.Mol, book: dict, name: str) -> list[str]:
    """Put every term with an atom of a group of ``groups.yaml`` into ``terms``; the elements of these groups.

    Where two groups meet, and where species ``name`` has terms of its own, the later table wins.

    Raises:
        ValueError: if one has no parameter.
    """
    symbol = [atom.GetSymbol() for atom in graph.GetAtoms()]
    elements = foreign(graph, book)
    tables = [*(book["groups"][element] for element in elements), book.get("own", {}).get(name, {})]
    group = {kind: {} for kind in ("bonds", "angles", "torsions", "impropers")}
    for table in tables:
        for kind, values in group.items():
            values |= table.get(kind, {})
    bonds, angles, torsions = graph_terms(graph)
    has = lambda keys: sorted(key for key in keys if any(symbol[i] in elements for i in key))  # noqa: E731
    for key in has(bonds):
        r0, k = _by_elements(group["bonds"], [symbol[i] for i in key])
        terms.bonds[key] = (0.1 * r0, 100.0 * k)
    for key in has(angles):
        theta0, k = _by_elements(group["angles"], [symbol[i] for i in key])
        terms.angles[key] = (math.radians(theta0), k)
    for key in has(torsions):
        terms.torsions += [(*key, *term) for term in _opls(_by_elements(group["torsions"], [symbol[i] for i in key]))]
    terms.torsions += _impropers(graph, symbol, group)
    for i, s in enumerate(symbol):
        if s in elements:
            sigma, epsilon = book["groups"][s]["atom"]
            terms.lennard_jones[i] = (0.1 * sigma, epsilon)
    return elements


def foreign(graph: Chem.Mol, book: dict) -> list[str]:
    """The elements of ``graph`` that are groups of their own."""
    return sorted({atom.GetSymbol() for atom in graph.GetAtoms()} & set(book["groups"]))


def _impropers(graph: Chem.Mol, types: list[str], table: dict) -> list[tuple]:
    found = []
    for name, (v2,) in table.get("impropers", {}).items():
        first, middle, *last = name.split("-")
        for centre in (i for i, s in enumerate(types) if s == middle and graph.GetAtomWithIdx(i).GetDegree() == FLAT):
            a, b, c = sorted(n.GetIdx() for n in graph.GetAtomWithIdx(centre).GetNeighbors())
            for outer in ((a, b, c), (b, a, c), (c, a, b)):
                if types[outer[0]] == first and sorted(types[i] for i in outer[1:]) == sorted(last):
                    found += [(outer[0], centre, *outer[1:], *term) for term in _opls([0, v2, 0, 0])]
    return found


def _by_elements(table: dict, symbols: list[str]):
    for names in (symbols, symbols[::-1]):
        if "-".join(names) in table:
            return table["-".join(names)]
    raise ValueError(f"no parameter for {'-'.join(symbols)}")


def _opls(v: list[float]) -> list[tuple[int, float, float]]:
    """V1…V4 of the OPLS series as (n, phase, k) terms."""
    return [(n, 0.0 if n % 2 else math.pi, 0.5 * vn) for n, vn in enumerate(v, start=1) if vn]


def _angle_deg(x: np.ndarray) -> float:
    a, b = x[0] - x[1], x[2] - x[1]
    return math.degrees(math.acos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))


def ideal(shape: str, graph: Chem.Mol, r0_A: float) -> np.ndarray:
    """A centre and its equal ligands in an octahedron, tetrahedron or flat triangle, in the order of ``graph``."""
    c = 3**-0.5
    directions = {
        "octahedron": [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)],
        "tetrahedron": [(c, c, c), (c, -c, -c), (-c, c, -c), (-c, -c, c)],
        "triangle": [(math.cos(a), math.sin(a), 0.0) for a in (0.0, 2 * math.pi / 3, 4 * math.pi / 3)],
    }[shape]
    centre = max(graph.GetAtoms(), key=lambda atom: atom.GetDegree())
    positions = np.zeros((graph.GetNumAtoms(), 3))
    for atom, direction in zip(centre.GetNeighbors(), directions, strict=True):
        positions[atom.GetIdx()] = r0_A * np.array(direction)
    return positions
