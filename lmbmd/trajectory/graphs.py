"""Elements, formulas and bond graphs: what a foreign topology says about its chemistry (RDKit does the matching)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from lmbmd.core.errors import LmbmdError

#: Elements that atom names begin with. In a molecule "NA" is a nitrogen and "CA" a carbon; alone they are ions.
_ONE_LETTER = ("H", "B", "C", "N", "O", "F", "P", "S", "I", "K")
_TWO_LETTERS = ("Li", "Mg", "Zn", "Al", "Rb", "Cl", "Br", "Si")
_TWO_LETTERS_ALONE = ("Na", "Ca", "Cs", "Sr", "Ba")
_NOBLE = ("He", "Ne", "Ar", "Kr", "Xe", "Rn")
_MASS_TOLERANCE_AMU = 0.1


class Graph(NamedTuple):
    """Elements of a molecule's atoms, its bonds as sorted pairs of atoms from 0, and its charge if known."""

    elements: tuple[str, ...]
    bonds: tuple[tuple[int, int], ...]
    charge: int = 0


@lru_cache(maxsize=1)
def _weights() -> dict[str, float]:
    from rdkit.Chem import GetPeriodicTable

    table = GetPeriodicTable()
    return {table.GetElementSymbol(z): table.GetAtomicWeight(z) for z in range(1, 104)}


def is_element(symbol: str) -> bool:
    """Whether a text is an element symbol, as "O" or "Li"."""
    return symbol in _weights()


def masses(element: np.ndarray) -> np.ndarray:
    """Standard atomic weights, amu. Masses of a topology may be repartitioned, so they are not used."""
    weights = _weights()
    return np.array([weights[e] for e in element])


def formula(element: Sequence[str]) -> str:
    """Molecular formula in Hill order, as "C4H10O2"."""
    counts = Counter(element)
    first = [e for e in ("C", "H") if e in counts and "C" in counts]
    return "".join(f"{e}{counts[e] if counts[e] > 1 else ''}" for e in [*first, *sorted(set(counts) - set(first))])


def elements(
    told: np.ndarray,
    name: np.ndarray,
    kind: np.ndarray,
    mass: np.ndarray | None,
    alone: np.ndarray,
    overrides: dict[str, str],
    where: str,
) -> np.ndarray:
    """The element of each atom: from the species map, the topology, its masses, or atom names, in that order.

    Args:
        told, name, kind: elements, names and types of the topology, "" where it has none.
        mass: masses that the topology states, amu, or None.
        alone: whether the atom is the only one of its residue.
        overrides: element by atom name or type, from the species map.
        where: for messages.

    Raises:
        LmbmdError: naming the first atom for which no source gives an element.
    """
    for key, symbol in overrides.items():
        if not is_element(symbol):
            raise LmbmdError(f"'{symbol}' is no element.", where=f"{where}.{key}", remedy="Write it as O or Li.")
        if key not in kind and key not in name:
            raise LmbmdError(f"no atom has the name or type '{key}'.", where=where, remedy="Mend or drop this line.")
    found = np.empty(len(name), dtype=object)
    known: dict[tuple, str | None] = {}
    for i in range(len(name)):
        key = (told[i], name[i], kind[i], None if mass is None else float(mass[i]), bool(alone[i]))
        if key not in known:
            known[key] = _element(*key, overrides)
        if known[key] is None:
            label = f"name '{name[i]}'" if name[i] else f"type '{kind[i]}'"
            detail = "" if mass is None else f", mass {mass[i]:g}"
            raise LmbmdError(
                f"the element of atom {i + 1} is not known ({label}{detail}).",
                where=where,
                remedy=f"Add it by name or type, e.g. elements: {{{name[i] or kind[i]}: O}}, or give a topology with "
                "elements or masses.",
            )
        found[i] = known[key]
    return found


def _element(told: str, name: str, kind: str, mass: float | None, alone: bool, overrides: dict[str, str]) -> str | None:
    for label in (name, kind):
        if label in overrides:
            return overrides[label]
    if told and is_element(told.capitalize()):
        return told.capitalize()
    if mass is not None:
        close = {abs(w - mass): e for e, w in _weights().items() if e not in _NOBLE}
        return close[min(close)] if min(close) <= _MASS_TOLERANCE_AMU else None
    return _from_name(name, alone)


def _from_name(name: str, alone: bool) -> str | None:
    """O1 → O, LI → Li, CL2 → Cl; a name that begins with no usual element has none."""
    letters = re.sub(r"[^A-Za-z]", "", name)
    if letters.capitalize() in _TWO_LETTERS + (_TWO_LETTERS_ALONE if alone else ()):
        return letters.capitalize()
    return letters[:1].upper() if letters[:1].upper() in _ONE_LETTER else None


def graph_of_smiles(smiles: str | None, where: str) -> Graph:
    """Elements, bonds and charge of a SMILES, hydrogens included.

    Raises:
        LmbmdError: if it is no SMILES or more than one molecule.
    """
    mol = _parsed(smiles or "", where)
    bonds = sorted((min(b), max(b)) for b in ((b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()))
    charge = sum(a.GetFormalCharge() for a in mol.GetAtoms())
    return Graph(tuple(a.GetSymbol() for a in mol.GetAtoms()), tuple(bonds), charge)


def _parsed(smiles: str, where: str) -> Any:
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(smiles)
    if mol is None or mol.GetNumAtoms() == 0:
        raise LmbmdError(f"'{smiles}' is no SMILES.", where=where, remedy="Check it, e.g. COCCOC for DME.")
    if len(Chem.GetMolFrags(mol)) > 1:
        raise LmbmdError(f"'{smiles}' is more than one molecule.", where=where, remedy="Map each ion by itself.")
    return Chem.AddHs(mol)


def _plain(graph: Graph) -> Any:
    """An RDKit molecule with nothing but elements and single bonds."""
    from rdkit import Chem

    mol = Chem.RWMol()
    for element in graph.elements:
        atom = Chem.Atom(element)
        atom.SetNoImplicit(True)
        mol.AddAtom(atom)
    for i, j in graph.bonds:
        mol.AddBond(i, j, Chem.BondType.SINGLE)
    mol.UpdatePropertyCache(strict=False)
    return mol


def same_graph(one: Graph, other: Graph) -> bool:
    """Whether two molecules have the same elements bonded the same way, whatever their order and bond orders."""
    if sorted(one.elements) != sorted(other.elements) or len(one.bonds) != len(other.bonds):
        return False
    return bool(_plain(one).HasSubstructMatch(_plain(other)))


def matched_atoms(graph: Graph, smiles: str, smarts: str, where: str) -> list[int]:
    """Atoms of ``graph`` that are the first atom of ``smarts`` in the molecule ``smiles``.

    Raises:
        LmbmdError: if the SMARTS cannot be read, or the molecule of the topology is not that of the SMILES.
    """
    from rdkit import Chem, rdBase

    with rdBase.BlockLogs():
        pattern = Chem.MolFromSmarts(smarts)
    if pattern is None or pattern.GetNumAtoms() == 0:
        raise LmbmdError(
            f"'{smarts}' is neither an element nor a SMARTS.",
            where=where,
            remedy=f"Give an element (O), a SMARTS ([O]=C), or atom names as a list: [{smarts}].",
        )
    template = _parsed(smiles, where)
    wanted = graph_of_smiles(smiles, where)
    if not graph.bonds and wanted.bonds:
        raise LmbmdError(
            "the topology has no bonds to match a SMARTS on.",
            where=where,
            remedy="Give atom names as a list, or a topology with bonds.",
        )
    if not same_graph(graph, wanted):
        raise LmbmdError(
            f"the molecule ({formula(graph.elements)}) is not bonded as in '{smiles}'.",
            where=where,
            remedy="Mend the SMILES, or give atom names as a list.",
        )
    place = _plain(graph).GetSubstructMatch(_plain(wanted))
    firsts = {found[0] for found in template.GetSubstructMatches(pattern, uniquify=False, maxMatches=100_000)}
    return sorted(place[i] for i in firsts)
