"""Formulas and bond graphs of molecules, and where a SMILES or a SMARTS sits in them (RDKit does the matching)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from lmbmd.core.errors import LmbmdError
from lmbmd.data.bonds import bare_molecule, hill_formula


class Graph(NamedTuple):
    """Elements of a molecule's atoms, its bonds as sorted pairs of atoms from 0, and its charge if known."""

    elements: tuple[str, ...]
    bonds: tuple[tuple[int, int], ...]
    charge: int = 0


def graph_of_smiles(smiles: str | None, where: str) -> Graph:
    """Elements, bonds and charge of a SMILES, hydrogens included.

    Raises:
        LmbmdError: if it is no SMILES or more than one molecule.
    """
    mol = _parsed(smiles or "", where)
    # Not over GetBonds, which counts from the first bond to each: a minute for a chain of 20,000 carbons.
    beside = ((a.GetIdx(), other.GetIdx()) for a in mol.GetAtoms() for other in a.GetNeighbors())
    bonds = sorted((i, j) for i, j in beside if i < j)
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


def same_graph(one: Graph, other: Graph) -> bool:
    """Whether two molecules have the same elements bonded the same way, whatever their order and bond orders."""
    if sorted(one.elements) != sorted(other.elements) or len(one.bonds) != len(other.bonds):
        return False
    return bool(bare_molecule(*one[:2]).HasSubstructMatch(bare_molecule(*other[:2])))


def first_atoms(
    molecule: Any, smarts: str, elements: Sequence[str], bonds: Iterable[tuple[int, int]], where: str
) -> list[int]:
    """Atoms that are the first of a SMARTS in a molecule, and all that its bare graph cannot tell from these.

    Args:
        molecule: with bond orders, for RDKit.
        smarts: of a site.
        elements, bonds: what a topology knows of it, in the same order of atoms.
        where: the site in the species map.

    Raises:
        LmbmdError: if the SMARTS cannot be read.
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
    firsts = {match[0] for match in molecule.GetSubstructMatches(pattern, uniquify=False, maxMatches=100_000)}
    # A topology has no bond orders: the two oxygens of PO2F2- are alike in it, though O=P names one of them.
    alike = Chem.CanonicalRankAtoms(bare_molecule(elements, bonds), breakTies=False)
    kinds = {alike[i] for i in firsts}
    return [i for i, kind in enumerate(alike) if kind in kinds]


def matched_atoms(graph: Graph, smiles: str, smarts: str, where: str) -> list[int]:
    """Atoms of ``graph`` that are the first atom of ``smarts`` in the molecule ``smiles``, and all that the graph
    cannot tell from these.

    Raises:
        LmbmdError: if the SMARTS cannot be read, or the molecule of the topology is not that of the SMILES.
    """
    template = _parsed(smiles, where)
    wanted = graph_of_smiles(smiles, where)
    found = first_atoms(template, smarts, wanted.elements, wanted.bonds, where)
    if not graph.bonds and wanted.bonds:
        raise LmbmdError(
            "the topology has no bonds to match a SMARTS on.",
            where=where,
            remedy="Give atom names as a list, or a topology with bonds.",
        )
    if not same_graph(graph, wanted):
        raise LmbmdError(
            f"the molecule ({hill_formula(graph.elements)}) is not bonded as in '{smiles}'.",
            where=where,
            remedy="Mend the SMILES, or give atom names as a list.",
        )
    place = bare_molecule(*graph[:2]).GetSubstructMatch(bare_molecule(*wanted[:2]))
    return sorted(place[i] for i in found)
