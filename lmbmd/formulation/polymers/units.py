"""Repeat units and end groups as graphs, and chains of them.

A repeat unit is a SMILES with two attachment points, ``[*:1]CCO[*:2]``; without numbers the first is 1. The chain grows
from 1 to 2, so that atom 2 of one unit is bonded to atom 1 of the next. An end group has one attachment point.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
from rdkit import Chem, rdBase
from rdkit.Chem import Descriptors

from lmbmd.core.errors import LmbmdError
from lmbmd.core.words import counted, shown

#: More atoms than this are no repeat unit, and longer texts no SMILES of one.
MOST_ATOMS, MOST_TEXT = 150, 500
#: An ether oxygen: what EO:Li counts. The O of an ester or a carbonate is none.
_ETHER = "[OX2;!$(O[CX3]=[O,S,N])]([#6])[#6]"
_UNIT_EXAMPLE = "Write it with two attachment points, such as '[*:1]CCO[*:2]' for poly(ethylene oxide)."
_END_EXAMPLE = "Write it with one attachment point, such as '*C' for methyl, '*O' for hydroxyl, '*[H]' for hydrogen."
_TAGS = (Chem.ChiralType.CHI_TETRAHEDRAL_CW, Chem.ChiralType.CHI_TETRAHEDRAL_CCW)


def read_unit(smiles: str, where: str) -> Chem.Mol:
    """The graph of a repeat unit: explicit hydrogens, and its attachment points as dummy atoms numbered 1 and 2.

    Raises:
        LmbmdError: if it is no SMILES, is in pieces, has not exactly two attachment points, each on a single bond, or
            these are one atom's only bonds.
    """
    return _unit(smiles, where)


def read_end(smiles: str, where: str) -> Chem.Mol:
    """The graph of an end group: explicit hydrogens, its attachment point as a dummy atom.

    Raises:
        LmbmdError: if it is no SMILES, is in pieces, or has not exactly one attachment point, on a single bond.
    """
    graph = _graph(smiles, where, _END_EXAMPLE)
    _dummies(graph, smiles, where, 1, _END_EXAMPLE)
    return graph


@lru_cache(maxsize=256)
def _unit(smiles: str, where: str) -> Chem.Mol:
    graph = _graph(smiles, where, _UNIT_EXAMPLE)
    dummies = _dummies(graph, smiles, where, 2, _UNIT_EXAMPLE)
    numbers = sorted(atom.GetAtomMapNum() for atom in dummies)
    if numbers not in ([0, 0], [1, 2]):
        what = f"the attachment points of '{smiles}' are numbered {numbers[0]} and {numbers[1]}."
        raise LmbmdError(what, where=where, remedy="Number them 1 and 2, or neither.")
    for number, atom in enumerate(dummies, start=1):
        atom.SetAtomMapNum(atom.GetAtomMapNum() or number)
        atom.SetIsotope(atom.GetAtomMapNum())  # so that a centre between both sides of the chain is seen as one
    if graph.GetNumAtoms() < 4:  # two attachment points, and at least two atoms between them
        raise LmbmdError(f"'{smiles}' has a single atom.", where=where, remedy="Write a unit of two atoms or more.")
    centres = stereocentres(graph)
    if len(centres) == 1:  # nothing inside the unit to be relative to: any hand will do
        atom = graph.GetAtomWithIdx(centres[0])
        if atom.GetChiralTag() not in _TAGS:
            atom.SetChiralTag(_TAGS[0])
    return graph


def _graph(smiles: str, where: str, example: str) -> Chem.Mol:
    if not smiles.strip() or any(c.isspace() for c in smiles) or len(smiles) > MOST_TEXT:
        raise LmbmdError(f"{shown(smiles)} is no SMILES.", where=where, remedy=example)
    options = Chem.SmilesParserParams()
    options.removeHs = False  # type: ignore[assignment]  # RDKit's stubs have its setters wrong
    with rdBase.BlockLogs():
        graph = Chem.MolFromSmiles(smiles, options)
    if graph is None:
        raise LmbmdError(f"'{smiles}' is no SMILES, or breaks the rules of valence.", where=where, remedy=example)
    graph = Chem.AddHs(graph)
    if len(Chem.GetMolFrags(graph)) != 1:
        remedy = "Give one connected group; an ion that is not bonded to it is the chain's 'counter_ion'."
        raise LmbmdError(f"'{smiles}' is in pieces.", where=where, remedy=remedy)
    if graph.GetNumAtoms() > MOST_ATOMS:
        what = f"'{smiles[:40]}…' has {graph.GetNumAtoms()} atoms; a unit may have {MOST_ATOMS}."
        raise LmbmdError(what, where=where, remedy="Write the smallest unit that repeats.")
    if any(atom.GetNumRadicalElectrons() for atom in graph.GetAtoms()):
        raise LmbmdError(f"'{smiles}' has an unpaired electron.", where=where, remedy="Add hydrogens or a charge.")
    return graph


def _dummies(graph: Chem.Mol, smiles: str, where: str, wanted: int, example: str) -> list[Chem.Atom]:
    found = [atom for atom in graph.GetAtoms() if atom.GetAtomicNum() == 0]
    if len(found) != wanted:
        what = f"'{smiles}' has {counted(len(found), 'attachment point')}, not {wanted}."
        raise LmbmdError(what, where=where, remedy=example)
    for atom in found:
        bonds = atom.GetBonds()
        if len(bonds) != 1 or bonds[0].GetBondType() != Chem.BondType.SINGLE:
            what = f"an attachment point of '{smiles}' is not on one single bond."
            raise LmbmdError(what, where=where, remedy=example)
        if bonds[0].GetOtherAtom(atom).GetAtomicNum() == 0:
            what = f"an attachment point of '{smiles}' is bonded to another one."
            raise LmbmdError(what, where=where, remedy=example)
    return found


def stereocentres(unit: Chem.Mol) -> list[int]:
    """Atoms of a repeat unit that are stereocentres in the chain, whether or not their hand is written."""
    with rdBase.BlockLogs():
        found = Chem.FindMolChiralCenters(unit, includeUnassigned=True, useLegacyImplementation=False)
    return [atom for atom, _ in found]


def has_written_hands(unit: Chem.Mol) -> bool:
    """Whether the hand of each of its stereocentres is known, so that the unit has one mirror image."""
    return all(unit.GetAtomWithIdx(atom).GetChiralTag() in _TAGS for atom in stereocentres(unit))


def mirrored(unit: Chem.Mol) -> Chem.Mol:
    """The unit with the other hand at each stereocentre."""
    other = Chem.Mol(unit)
    for atom in other.GetAtoms():
        if atom.GetChiralTag() in _TAGS:
            atom.InvertChirality()
    return other


def usual_end(unit: Chem.Mol, side: int) -> str:
    """What closes a chain where nothing else is said: hydrogen on carbon, methyl on any other atom.

    Args:
        side: 1, where the chain begins, or 2.
    """
    dummy = next(atom for atom in unit.GetAtoms() if atom.GetAtomicNum() == 0 and atom.GetAtomMapNum() == side)
    return "*[H]" if dummy.GetNeighbors()[0].GetAtomicNum() == 6 else "*C"  # carbon


def assemble(units: Sequence[Chem.Mol], ends: tuple[Chem.Mol, Chem.Mol]) -> tuple[Chem.Mol, np.ndarray]:
    """A chain of units between two end groups: its graph without dummy atoms, and the unit of each atom.

    Atoms are in the order of the chain: the first end group, the units, the last end group. An end group belongs to
    the unit that it closes. Stereochemistry is kept.
    """
    pieces = [_labelled(ends[0], 0, 1)]
    pieces += [_labelled(unit, number, number + 1) for number, unit in enumerate(units, start=1)]
    pieces.append(_labelled(ends[1], len(units) + 1, 0))
    joined, owner = Chem.RWMol(), []
    for number, piece in enumerate(pieces):
        joined.InsertMol(piece)
        inside = sum(atom.GetAtomicNum() > 0 for atom in piece.GetAtoms())
        owner += [min(max(number - 1, 0), len(units) - 1)] * inside
    options = Chem.MolzipParams()
    options.label = Chem.MolzipLabel.AtomMapNumber
    chain = Chem.molzip(joined.GetMol(), options)
    for atom in chain.GetAtoms():
        atom.SetAtomMapNum(0)
        atom.SetNoImplicit(True)
    Chem.SanitizeMol(chain)
    return chain, np.array(owner)


def check_junctions(units: Sequence[Chem.Mol], ends: tuple[Chem.Mol, Chem.Mol], where: str) -> None:
    """Refuse a chain in which oxygen or fluorine would be bonded to oxygen or nitrogen where its pieces meet.

    Raises:
        LmbmdError: with the two pieces that meet so.
    """
    pattern = Chem.MolFromSmarts("[#7,#8,#9]-[#8,#9]")
    hydrogen = read_end("*[H]", where)
    chains: list[tuple[Chem.Mol, tuple[Chem.Mol, ...], str]] = []
    for unit in units:
        for caps, what in (
            ((ends[0], hydrogen), "the first end group and a unit"),
            ((hydrogen, ends[1]), "a unit and the last end group"),
        ):
            chains.append((assemble([unit], caps)[0], (*caps, unit), what))
        for right in units:
            caps = hydrogen, hydrogen
            chains.append((assemble([unit, right], caps)[0], (unit, right), "two units"))
    for chain, pieces, what in chains:
        if len(chain.GetSubstructMatches(pattern)) > sum(len(one.GetSubstructMatches(pattern)) for one in pieces):
            raise LmbmdError(
                f"{what} meet in a bond between oxygen, nitrogen or fluorine.",
                where=where,
                remedy="Point 1 of a unit is bonded to point 2 of the one before: turn the unit or the end round.",
            )


def uncharged(unit: Chem.Mol) -> Chem.Mol:
    """What stands for a charged unit as a neighbour: its main chain, with the first atom of each side group.

    The main chain is the shortest way from one attachment point to the other, with rings that share a bond with it. A
    unit that is neutral, or bears its charge in the main chain, is given back as it is.
    """
    if not Chem.GetFormalCharge(unit):
        return unit
    ends = [atom.GetIdx() for atom in unit.GetAtoms() if atom.GetAtomicNum() == 0]
    main = set(Chem.GetShortestPath(unit, *ends))
    for ring in unit.GetRingInfo().AtomRings():
        main |= set(ring) if len(main & set(ring)) > 1 else set()
    first = {n.GetIdx() for i in main for n in unit.GetAtomWithIdx(i).GetNeighbors()} - main
    cut = Chem.RWMol(unit)
    for atom in cut.GetAtoms():
        if atom.GetIdx() in first and atom.GetAtomicNum() > 1:
            atom.SetIsAromatic(False)
            atom.SetFormalCharge(0)
            atom.SetNoImplicit(False)
            atom.SetNumExplicitHs(0)
    for i in sorted(set(range(unit.GetNumAtoms())) - main - first, reverse=True):
        cut.RemoveAtom(i)
    graph = cut.GetMol()
    Chem.SanitizeMol(graph)
    return Chem.AddHs(graph) if not Chem.GetFormalCharge(graph) else unit


def caps_of(units: Sequence[Chem.Mol], ends: tuple[str | None, str | None]) -> tuple[Chem.Mol, Chem.Mol]:
    """The end groups of a piece of a chain: these, or for None what usually closes a chain."""
    first = usual_end(units[0], 1) if ends[0] is None else ends[0]
    last = usual_end(units[-1], 2) if ends[1] is None else ends[1]
    return read_end(first, "composition"), read_end(last, "composition")


def neighbours(units: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Of each unit of a chain its left neighbour, itself and its right neighbour; "" where the chain ends."""
    return zip(["", *units[:-1]], units, [*units[1:], ""], strict=True)


def _labelled(piece: Chem.Mol, before: int, after: int) -> Chem.Mol:
    """A piece whose attachment points bear the numbers of the bonds that they become; an end group has one of them."""
    piece = Chem.Mol(piece)
    for atom in piece.GetAtoms():
        if atom.GetAtomicNum() == 0:
            is_first = atom.GetAtomMapNum() == 1 if before and after else bool(before)
            atom.SetIsotope(0)
            atom.SetAtomMapNum(before if is_first else after)
        else:
            atom.SetAtomMapNum(0)
    return piece


def n_atoms(piece: Chem.Mol) -> int:
    """Atoms without attachment points."""
    return sum(atom.GetAtomicNum() > 0 for atom in piece.GetAtoms())


def charge_e(piece: Chem.Mol) -> int:
    """Formal charge."""
    return int(Chem.GetFormalCharge(piece))


def molar_mass_g_mol(piece: Chem.Mol) -> float:
    """Of what is between the attachment points."""
    return float(Descriptors.MolWt(piece))  # type: ignore[attr-defined]  # RDKit's stubs lack it; a dummy weighs 0


def ether_oxygens(unit: Chem.Mol, left: Chem.Mol, right: Chem.Mol) -> int:
    """Ether oxygens of a repeat unit between its neighbours, which decide what an oxygen at an attachment point is."""
    units = [left, unit, right]
    graph, owner = assemble(units, caps_of(units, (None, None)))
    return sum(owner[oxygen] == 1 for oxygen, *_ in graph.GetSubstructMatches(Chem.MolFromSmarts(_ETHER)))
