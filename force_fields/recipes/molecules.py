"""Terms of groups from the tables of this folder; the rest is what ``lmbmd parametrize`` uses."""

from __future__ import annotations

import math

import numpy as np
from rdkit import Chem
from smirnoff import Terms, graph_terms

from lmbmd.forcefield.parametrize import molecules as house
from lmbmd.forcefield.parametrize.molecules import Molecule, embedded, lowest_geometry, system_of
from lmbmd.forcefield.parametrize.typed import by_types, impropers, series

__all__ = [
    "Molecule",
    "add_groups",
    "embedded",
    "foreign",
    "ideal",
    "lowest_geometry",
    "pdb_of",
    "system_of",
]
#: Names that PDB readers take for nucleotides, with bonds of their own.
NUCLEIC = {"G3"}


def pdb_of(molecule: Molecule, positions: np.ndarray) -> str:
    """PDB text with element columns and every bond as CONECT."""
    text = house.pdb_of(molecule.name, molecule.graph, positions)
    return text.replace(f" {molecule.name.ljust(4)}A   1 ", " MOL A   1 ") if molecule.name in NUCLEIC else text


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
        r0, k = by_types(group["bonds"], [symbol[i] for i in key])
        terms.bonds[key] = (0.1 * r0, 100.0 * k)
    for key in has(angles):
        theta0, k = by_types(group["angles"], [symbol[i] for i in key])
        terms.angles[key] = (math.radians(theta0), k)
    for key in has(torsions):
        terms.torsions += [(*key, *term) for term in series(by_types(group["torsions"], [symbol[i] for i in key]))]
    terms.torsions += impropers(graph, symbol, group)
    for i, s in enumerate(symbol):
        if s in elements:
            sigma, epsilon = book["groups"][s]["atom"]
            terms.lennard_jones[i] = (0.1 * sigma, epsilon)
    return elements


def foreign(graph: Chem.Mol, book: dict) -> list[str]:
    """The elements of ``graph`` that are groups of their own."""
    return sorted({atom.GetSymbol() for atom in graph.GetAtoms()} & set(book["groups"]))


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
