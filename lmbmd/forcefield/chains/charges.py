"""Charges of a repeat unit: those that it has between its neighbours, whatever the length of the chain.

A unit's charges are computed on the piece of the chain that is itself and its two neighbours. Where the chain ends,
the piece has the end group, whose charges then belong to the last unit; where the chain goes on, it is closed by
hydrogen on carbon and by methyl on any other atom. A unit inside the chain has its formal charge exactly, zero or not:
what its charges lack to it is spread evenly over its atoms. The two end units keep theirs, as where a chain begins and
ends at different atoms they are charged in turn; only what the whole chain then lacks is spread over them. In a chain
with charged units the end units, too, have their formal charges exactly, as charged units are scaled as ions are, and
neutral ones are not. All units between the same neighbours have the same charges, and where these are units of its own
kind, atoms that are alike in an endless chain are made alike.

A neighbour that is charged stands in the piece without its charge, by its main chain (``units.uncharged``): a piece of
three ions in vacuum would be torn by a repulsion that counter-ions and solvent take away, its charges those of no
liquid, and three times as large it would take AM1 an hour.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdForceFieldHelpers

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import read_text
from lmbmd.data.library import force_fields_folder
from lmbmd.forcefield.parametrize import ambertools
from lmbmd.forcefield.parametrize.charges import MICRO, Ensemble, cache_folder, charges, conformers
from lmbmd.forcefield.parametrize.molecules import equivalence
from lmbmd.formulation.polymers.draw import Chains
from lmbmd.formulation.polymers.units import assemble, caps_of, neighbours, read_end, read_unit, uncharged

#: The file of charges that come with lmbmd, made by ``force_fields/recipes/polymer_charges.py``.
SHIPPED = "polymer_charges.json"
#: Conformers of a piece that MMFF94 tries, of which the lowest is taken.
CANDIDATES = 100
#: A unit whose charges lack more than this to its formal charge is cut where charge flows, e.
LARGEST_EXCESS_E = 0.2
#: Units of the ring by which atoms are found alike that are so in an endless chain.
_RING = 4


@dataclass(frozen=True, eq=False)
class Piece:
    """A unit between its neighbours.

    Attributes:
        graph: the capped piece.
        mine: the atoms of the unit, with its end group if it has one, in the order of the chain.
        key: the piece as a canonical SMILES in which the unit's atoms are marked.
        order: place in ``mine`` of each marked atom of the key.
        alike: class of each atom of ``mine``, or None where the piece's own symmetry is all there is.
        is_end: whether the unit closes the chain.
    """

    graph: Chem.Mol
    mine: np.ndarray
    key: str
    order: tuple[int, ...]
    alike: tuple[int, ...] | None
    is_end: bool


def piece_of(chains: Chains, context: tuple[str, str, str]) -> Piece:
    """The piece of a chain on which the charges of a unit between these neighbours are computed."""
    letters = [letter for letter in context if letter]
    own = 1 if context[0] else 0
    read = [read_unit(chains.units[letter], "composition") for letter in letters]
    units = [unit if i == own else uncharged(unit) for i, unit in enumerate(read)]
    ends = None if context[0] else chains.ends[0], None if context[2] else chains.ends[1]
    graph, owner = assemble(units, caps_of(units, ends))
    Chem.RemoveStereochemistry(graph)
    mine = np.flatnonzero(owner == own)
    marked = Chem.Mol(graph)
    for atom in mine.tolist():
        marked.GetAtomWithIdx(atom).SetAtomMapNum(1)
    key = Chem.MolToSmiles(marked)
    written = list(marked.GetPropsAsDict(True, True)["_smilesAtomOutputOrder"])
    place = {atom: i for i, atom in enumerate(mine.tolist())}
    order = tuple(place[atom] for atom in written if atom in place)
    alike = None
    if context[0] == context[1] == context[2]:
        alike = tuple(_endless(units[own]))
        assert len(alike) == len(mine)
    return Piece(graph, mine, key, order, alike, not (context[0] and context[2]))


def _endless(unit: Chem.Mol) -> list[int]:
    """Classes of a unit's atoms that are alike in an endless chain of it: in a ring of a few units."""
    hydrogen = read_end("*[H]", "")
    graph, owner = assemble([unit] * _RING, (hydrogen, hydrogen))
    first, last = 0, graph.GetNumAtoms() - 1  # the hydrogens of the ends, whose neighbours are joined instead
    ring = Chem.RWMol(graph)
    a, b = (graph.GetAtomWithIdx(i).GetNeighbors()[0].GetIdx() for i in (first, last))
    ring.AddBond(a, b, Chem.BondType.SINGLE)
    ring.RemoveAtom(last)
    ring.RemoveAtom(first)
    classes = equivalence(ring.GetMol())
    return [classes[i] for i in np.flatnonzero(np.delete(owner, [first, last]) == 0)]


@cache
def shipped_charges() -> Mapping[str, tuple[int, ...]]:
    """Charges that come with lmbmd, in millionths of e, by the piece's key."""
    return charges_in(force_fields_folder() / SHIPPED)


def charges_in(path: Path) -> dict[str, tuple[int, ...]]:
    """Charges of a file that ``force_fields/recipes/polymer_charges.py`` wrote; none if it is not there."""
    if not path.is_file():
        return {}
    entries = json.loads(read_text(path, "Install lmbmd again."))["units"]
    return {key: tuple(entry["charges_1e-6_e"]) for key, entry in entries.items()}


def is_known(piece: Piece) -> bool:
    """Whether its charges come with lmbmd."""
    return piece.key in shipped_charges()


def check_charges(chains: Chains, where: str) -> None:
    """Refuse chains whose charges neither come with lmbmd nor can be computed here.

    Raises:
        LmbmdError: naming the unit.
    """
    for context in sorted({c for sequence in chains.sequences for c in neighbours(sequence)}):
        if not is_known(piece_of(chains, context)):
            try:
                ambertools.find_program("antechamber")
            except LmbmdError as error:
                unit = f"{chains.names[context[1]]} ({chains.units[context[1]]})"
                what = f"charges of the unit {unit} between its neighbours do not come with lmbmd"
                raise LmbmdError(f"{what}, and {error.what}", where=where, remedy=error.remedy) from error


def unit_charges(piece: Piece, step: Callable[[str], None] = lambda text: None) -> np.ndarray:
    """Charges of the unit's atoms in millionths of e (int64).

    Raises:
        LmbmdError: if AmberTools is needed and missing or fails, or a unit inside the chain lacks too much charge.
    """
    found = np.empty(len(piece.mine), dtype=np.int64)
    if known := shipped_charges().get(piece.key):
        found[list(piece.order)] = known
        return found
    step(f"AM1-BCC charges of a piece of {piece.graph.GetNumAtoms()} atoms")
    computed = charges(piece.graph, "am1bcc", cache=cache_folder(), step=step, found=lambda: shapes(piece))
    return settled(piece, np.array(computed, dtype=float)[piece.mine])[0]


def shapes(piece: Piece) -> Ensemble:
    """Conformers of a piece and their energies, kcal/mol: in MMFF94, an anion that this does not know in GFN2-xTB."""
    is_known = rdForceFieldHelpers.MMFFHasAllMoleculeParams(piece.graph)
    return conformers(piece.graph, CANDIDATES if is_known else None, classical=True)


def settled(piece: Piece, raw: np.ndarray) -> tuple[np.ndarray, float]:
    """The unit's charges, equal on atoms that are alike and, inside the chain, neutral; in millionths of e.

    Args:
        raw: as computed on the piece, e.

    Returns:
        The charges, and what the computed ones lacked to the formal charge, e; of an end unit, which keeps it, too.

    Raises:
        LmbmdError: if a unit inside the chain lacks more than ``LARGEST_EXCESS_E``.
    """
    formal = sum(piece.graph.GetAtomWithIdx(int(atom)).GetFormalCharge() for atom in piece.mine)
    lacking = formal - float(raw.sum())
    classes = np.array(piece.alike or np.array(equivalence(piece.graph))[piece.mine])
    even = raw if piece.is_end else raw + lacking / len(raw)
    micro = np.empty(len(raw), dtype=np.int64)
    for one in np.unique(classes):
        micro[classes == one] = round(MICRO * float(even[classes == one].mean()))
    if piece.is_end:
        return micro, lacking
    if abs(lacking) > LARGEST_EXCESS_E:
        raise LmbmdError(
            f"a unit's charges add up to {formal - lacking:+.3f} e in the chain, not {formal:+d}.",
            where=piece.key,
            remedy="Cut the repeat unit at another bond, where less charge flows from one unit to the next.",
        )
    # The rounding rest goes to a class that can take it evenly, else to single atoms of the largest.
    rest = MICRO * formal - int(micro.sum())
    sizes = {one: int((classes == one).sum()) for one in np.unique(classes)}
    taker = next((one for one, size in sorted(sizes.items()) if rest % size == 0), max(sizes, key=sizes.__getitem__))
    spread(micro, np.flatnonzero(classes == taker), rest)
    return micro, lacking


def chain_charges(chains: Chains, sequence: str, step: Callable[[str], None] = lambda text: None) -> np.ndarray:
    """Charges (e) of all atoms of a chain, whose sum is exactly its formal charge.

    Raises:
        LmbmdError: as ``unit_charges`` does, or if the chain lacks more charge than two units may.
    """
    made: dict[tuple[str, str, str], np.ndarray] = {}
    parts = []
    for context in neighbours(sequence):
        if context not in made:
            made[context] = unit_charges(piece_of(chains, context), step)
        parts.append(made[context].copy())
    of_unit = {k: Chem.GetFormalCharge(read_unit(chains.units[k], "composition")) for k in set(sequence)}
    of_ends = (Chem.GetFormalCharge(read_end(end, "composition")) for end in chains.ends)
    formal = sum(of_unit[letter] for letter in sequence) + sum(of_ends)
    if any(of_unit.values()):
        for letter, part, end in ((sequence[0], parts[0], 0), (sequence[-1], parts[-1], 1))[: len(parts)]:
            whole = of_unit[letter]
            lacking = MICRO * whole - int(part.sum())
            if abs(lacking) > LARGEST_EXCESS_E * MICRO:
                raise LmbmdError(
                    f"the charges of a unit at the end of a chain lack {lacking / MICRO:+.3f} e to its {whole:+d} e.",
                    where=f"{chains.names[letter]} ({chains.units[letter]}) beside {chains.ends[end]}",
                    remedy="Give other end groups, or cut the repeat unit at another bond.",
                )
            spread(part, np.arange(len(part)), lacking)
    micro = np.concatenate(parts)
    lacking = MICRO * formal - int(micro.sum())
    if abs(lacking) > 2 * LARGEST_EXCESS_E * MICRO:
        raise LmbmdError(
            f"the charges of a chain's ends lack {lacking / MICRO:+.3f} e.",
            where=f"{chains.ends[0]} and {chains.ends[1]}",
            remedy="Give other end groups, or cut the repeat unit at another bond.",
        )
    inner = sum(map(len, parts[1:-1]))
    first = np.arange(len(parts[0]))
    last = np.arange(len(parts[0]) + inner, len(micro))
    spread(micro, np.concatenate([first, last]), lacking)
    return micro / MICRO


def spread(micro: np.ndarray, atoms: np.ndarray, rest: int) -> None:
    """Add ``rest`` to these atoms' charges, as evenly as whole numbers can be."""
    share, left = divmod(rest, len(atoms))
    micro[atoms] += share
    micro[atoms[:left]] += 1
