"""Shapes of a repeat unit between its neighbours: conformers of a short piece of the chain, by distance geometry.

RDKit's ETKDG draws torsions as crystal structures have them (Wang et al., J. Chem. Inf. Model. 2020, 60, 2044,
doi:10.1021/acs.jcim.0c00025); rings and stereocentres are as the graph says. A chain that takes each unit from another
conformer is a random coil.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from lmbmd.core.errors import LmbmdError
from lmbmd.formulation.polymers.draw import MIRRORED, Chains
from lmbmd.formulation.polymers.units import assemble, caps_of, mirrored, n_atoms, neighbours, read_unit

#: Conformers of each piece.
CONFORMERS = 24
#: A unit between its neighbours: letter and hand of each, "" where the chain ends.
Context = tuple[str, str, str]


@dataclass(frozen=True, eq=False)
class Shapes:
    """Conformers of a unit between its neighbours, K of them.

    Attributes:
        mine: its atoms, with those of an end group, in the order of the chain, (K, n, 3) in Å.
        before: of the unit before, all atoms that are its own and no end group's, (K, m, 3); none at the beginning.
        hinge: two atoms of the unit before, as places in it: a neighbour of its last atom, and that atom.
        ahead: the first atom of the unit after, (K, 3); nan at the end.
        first: the place in ``mine`` of the atom that is bonded to the unit before.
        lead: how many atoms of ``mine`` belong to the end group at the beginning.
        apart: whether an atom of the unit before and one of ``mine`` are more than three bonds apart, (m, n).
    """

    mine: np.ndarray
    before: np.ndarray
    hinge: tuple[int, int]
    ahead: np.ndarray
    first: int
    lead: int
    apart: np.ndarray


def contexts(chains: Chains, number: int) -> Iterator[Context]:
    """Of each unit of a chain: its left neighbour, itself and its right neighbour, each as letter and hand."""
    sequence, hands = chains.sequences[number], chains.hands[number]
    return neighbours([letter + (hands[i] if hands else "") for i, letter in enumerate(sequence)])


def shapes_of(chains: Chains, context: Context, seed: int) -> Shapes:
    """Conformers of a unit between these neighbours.

    Raises:
        LmbmdError: if RDKit finds no geometry.
    """
    units = [_graph(chains, unit) for unit in context if unit]
    caps = caps_of(units, (None if context[0] else chains.ends[0], None if context[2] else chains.ends[1]))
    graph, owner = assemble(units, caps)
    options = rdDistGeom.ETKDGv3()
    options.randomSeed = seed % (2**31 - 1)  # type: ignore[assignment]  # RDKit's stubs have its setters wrong
    ids = list(rdDistGeom.EmbedMultipleConfs(graph, CONFORMERS, options))
    if not ids:  # crowded units: from random coordinates, without preferred torsions
        options.useRandomCoords = True  # type: ignore[assignment]
        ids = list(rdDistGeom.EmbedMultipleConfs(graph, CONFORMERS, options))
    if not ids:
        what = (
            f"RDKit finds no geometry of {' and '.join(sorted({chains.units[unit[0]] for unit in context if unit}))}."
        )
        raise LmbmdError(what, remedy="Check the unit: a ring may be too strained, or its hands impossible.")
    x = np.array([graph.GetConformer(i).GetPositions() for i in ids])
    own = 1 if context[0] else 0
    mine = np.flatnonzero(owner == own)
    n_cap = n_atoms(caps[0])
    lead = 0 if context[0] else n_cap
    nothing = np.empty((len(ids), 0, 3))
    before, hinge, first, apart = nothing, (-1, -1), 0, np.empty((0, len(mine)), dtype=bool)
    if context[0]:
        earlier = np.flatnonzero(owner == 0)[n_cap:]
        last, start = _junction(graph, set(earlier.tolist()), set(mine.tolist()))
        inner = min(
            a.GetIdx() for a in graph.GetAtomWithIdx(last).GetNeighbors() if a.GetIdx() in set(earlier.tolist())
        )
        hinge = (int(np.searchsorted(earlier, inner)), int(np.searchsorted(earlier, last)))
        first, before = int(np.searchsorted(mine, start)), x[:, earlier]
        apart = Chem.GetDistanceMatrix(graph)[np.ix_(earlier, mine)] > 3  # bonds: no 1-4 pair
    ahead = np.full((len(ids), 3), np.nan)
    if context[2]:
        later = np.flatnonzero(owner == own + 1)
        ahead = x[:, _junction(graph, set(mine.tolist()), set(later.tolist()))[1]]
    return Shapes(x[:, mine], before, hinge, ahead, first, lead, apart)


def _graph(chains: Chains, unit: str) -> Chem.Mol:
    graph = read_unit(chains.units[unit[0]], "")
    return mirrored(graph) if unit[1:] == MIRRORED else graph


def _junction(graph: Chem.Mol, one: set[int], other: set[int]) -> tuple[int, int]:
    """The bonded atoms of two units that follow each other."""
    for bond in graph.GetBonds():
        i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if i in one and j in other:
            return i, j
        if j in one and i in other:
            return j, i
    raise ValueError("these units are not bonded")
