"""Molecules as elements and bonds: their formula, their graph, and how they are put together across a boundary."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdkit import Chem


def hill_formula(elements: Iterable[str]) -> str:
    """Molecular formula in Hill order, without a charge, as ``"C4H10O2"``."""
    counts = Counter(elements)
    first = [e for e in ("C", "H") if e in counts and "C" in counts]
    return "".join(f"{e}{counts[e] if counts[e] > 1 else ''}" for e in [*first, *sorted(set(counts) - set(first))])


def parsed_formula(text: str) -> Counter[str] | None:
    """How many atoms of which element a formula such as ``"C4H10O2"`` has; None if it is no formula.

    Whether each symbol is that of an element is not checked. A symbol may stand twice, as in ``"CH3OCH3"``.
    """
    parts = re.findall(r"([A-Z][a-z]?)([0-9]{0,6})", text)
    if not parts or "".join(symbol + n for symbol, n in parts) != text:
        return None
    counts: Counter[str] = Counter()
    for symbol, n in parts:
        counts[symbol] += int(n or 1)
    return counts


def bare_molecule(elements: Iterable[str], bonds: Iterable[tuple[int, int]]) -> Chem.Mol:
    """An RDKit molecule of elements and single bonds alone, without charges, bond orders or aromaticity.

    Args:
        elements: symbols, of all atoms with all hydrogens.
        bonds: pairs of atoms.
    """
    from rdkit import Chem  # not at the top: most readers of this module need no chemistry

    molecule = Chem.RWMol()
    for element in elements:
        atom = Chem.Atom(element)
        atom.SetNoImplicit(True)
        molecule.AddAtom(atom)
    for i, j in bonds:
        molecule.AddBond(i, j, Chem.BondType.SINGLE)
    molecule.UpdatePropertyCache(strict=False)
    return molecule.GetMol()


def near_pairs(n_atoms: int, bonds: Iterable[tuple[int, int]], most: int) -> dict[tuple[int, int], int]:
    """Pairs of atoms (the smaller first) up to ``most`` bonds apart, and how many; in order."""
    joined = _joined(n_atoms, bonds)
    found: dict[tuple[int, int], int] = {}
    for atom in range(n_atoms):
        steps, edge = {atom: 0}, [atom]
        for number in range(1, most + 1):
            edge = list(dict.fromkeys(j for i in edge for j in joined[i] if j not in steps))
            steps.update(dict.fromkeys(edge, number))
        found.update({(atom, j): n for j, n in sorted(steps.items()) if j > atom})
    return found


def _joined(n_atoms: int, bonds: Iterable[tuple[int, int]]) -> list[list[int]]:
    """Of each atom those that it is bonded to."""
    joined: list[list[int]] = [[] for _ in range(n_atoms)]
    for i, j in bonds:
        joined[i].append(j)
        joined[j].append(i)
    return joined


@lru_cache(maxsize=1024)
def parents(n_atoms: int, bonds: tuple[tuple[int, int], ...]) -> tuple[int, ...]:
    """For each atom of a molecule the earlier one that it is placed beside, so that one pass puts it together.

    That is the earlier atom fewest bonds away, of several the first; so no step is longer than a few bonds however
    the file orders its atoms. An atom that no bonds join to an earlier one gets the atom before it.

    Args:
        n_atoms: atoms, numbered from 0.
        bonds: pairs of atoms.

    Returns:
        One atom for each, always an earlier one; the first is its own.
    """
    joined = _joined(n_atoms, bonds)
    return tuple(_nearest_earlier(i, joined) for i in range(n_atoms))


def _nearest_earlier(atom: int, joined: list[list[int]]) -> int:
    seen, ring = {atom}, [atom]
    while ring:
        ring = sorted({j for i in ring for j in joined[i]} - seen)
        if ring and ring[0] < atom:
            return ring[0]
        seen.update(ring)
    return max(atom - 1, 0)
