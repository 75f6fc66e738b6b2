"""All parameters of a chain: Sage's terms on its whole graph, the set's own changes to them, and the units' charges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from rdkit import Chem

from lmbmd.core.errors import LmbmdError
from lmbmd.core.provenance import file_sha256
from lmbmd.data.library import force_fields_folder
from lmbmd.data.terms import PlainTerms
from lmbmd.forcefield.chains.charges import LARGEST_EXCESS_E, chain_charges, check_charges, spread
from lmbmd.forcefield.mixing import LORENTZ_BERTHELOT
from lmbmd.forcefield.parameters import load_set
from lmbmd.forcefield.parametrize import anions, chemistry
from lmbmd.forcefield.parametrize.ambertools import GAFF2_ELEMENTS
from lmbmd.forcefield.parametrize.charges import MICRO
from lmbmd.forcefield.parametrize.molecules import Molecule, bare, plain_terms
from lmbmd.forcefield.parametrize.parametrize import SAGE_FILE, SAGE_SHA256
from lmbmd.forcefield.parametrize.refits import going_with, handed_on, refit
from lmbmd.forcefield.parametrize.smirnoff import Unparametrised, apply
from lmbmd.forcefield.sets import released_manifest
from lmbmd.formulation.polymers.draw import Chains
from lmbmd.formulation.polymers.units import assemble, read_end, read_unit

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, eq=False)
class ChainParameters:
    """One chain, whatever its hands.

    Attributes:
        terms: its masses are those of the elements, its charges unscaled.
        elements, names, sites: of each atom; "" for an atom that is no donor site.
        bonds: (n_bonds, 2), the earlier atom first.
        unit: of each atom, counted along the chain.
        letters: of each unit its kind.
    """

    terms: PlainTerms
    elements: list[str]
    names: list[str]
    sites: list[str]
    bonds: np.ndarray
    unit: np.ndarray
    letters: str


def sage_file() -> Path:
    """Sage's parameter file as it comes with lmbmd, for chains.

    Raises:
        LmbmdError: if it is not the one that Open Force Field released.
    """
    path = force_fields_folder() / SAGE_FILE
    if not path.is_file() or file_sha256(path) != SAGE_SHA256:
        raise LmbmdError("Sage's file is missing or was changed.", where=str(path), remedy="Install lmbmd again.")
    return path


def check_chains(chains: Mapping[str, Chains], released: str, where: str) -> None:
    """Refuse chains that a released set's rules do not make, before anything is built.

    Raises:
        LmbmdError: with the reason.
    """
    if not chains:
        return
    rule = released_manifest(released)["nonbonded"]["combining_rule"]
    if rule != LORENTZ_BERTHELOT or "sage_sha256" not in released_manifest(released).get("made", {}):
        raise LmbmdError(
            f"{released} has no chains: its molecules were typed by hand, and there are no rules to type a chain by.",
            where=where,
            remedy="Take a sage-clp set for polymers.",
        )
    for name, one in chains.items():
        for smiles in (*one.units.values(), *one.ends):
            graph = read_unit(smiles, name) if smiles in one.units.values() else read_end(smiles, name)
            elements = {atom.GetSymbol() for atom in graph.GetAtoms() if atom.GetAtomicNum()}
            if unknown := sorted(elements - GAFF2_ELEMENTS):
                what = f"there are no general parameters for {', '.join(unknown)} ('{smiles}')."
                raise LmbmdError(what, where=f"{where}: {name}", remedy="Chains are of H, C, N, O, F, P, S, Cl, Br, I.")
        check_charges(one, f"{where}: {name}")


def chain_parameters(
    chains: Chains, sequence: str, released: str, step: Callable[[str], None] = lambda text: None
) -> ChainParameters:
    """Parameters of a chain of these units in this order.

    Args:
        released: name of the released set, whose refits apply to the chain as to every molecule.

    Raises:
        LmbmdError: if Sage lacks a term of it, or charges must be computed and cannot.
    """
    units = [read_unit(chains.units[letter], "composition") for letter in sequence]
    ends = (read_end(chains.ends[0], "composition"), read_end(chains.ends[1], "composition"))
    graph, owner = assemble(units, ends)
    Chem.RemoveStereochemistry(graph)
    changes: dict[str, Any] = released_manifest(released).get("refit", {})
    try:
        terms = apply(sage_file(), graph)
    except Unparametrised as error:
        remedy = "Sage was never fitted to this group, and nothing is guessed: choose another unit."
        raise LmbmdError(
            f"{error}.", where=f"a chain of {' and '.join(chains.units.values())}", remedy=remedy
        ) from error
    charge = np.array([chains.charges.get(letter, 0) for letter in sequence])[owner]
    among = set(np.flatnonzero(charge == 0).tolist()) if charge.any() else None
    refit(terms, graph, going_with(changes, half_way=False), among)
    if (charge < 0).any():
        anions.lay_over(terms, graph, _of_anions(released), set(np.flatnonzero(charge < 0).tolist()))
    charges = chain_charges(chains, sequence, step) + handed_on(graph, changes.get("bonds", []), among)[0]
    for number in np.unique(owner[charge < 0]).tolist():
        _give_head(charges, graph, np.flatnonzero(owner == number), _of_anions(released))
    bonds = sorted(
        (min(i, j), max(i, j)) for i, j in ((b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in graph.GetBonds())
    )
    return ChainParameters(
        terms=plain_terms(Molecule("chain", graph, charges.tolist(), terms)),
        elements=[atom.GetSymbol() for atom in graph.GetAtoms()],
        names=_names(graph),
        sites=_sites(graph),
        bonds=np.array(bonds, dtype=np.int64),
        unit=owner,
        letters=sequence,
    )


def _give_head(charges_e: np.ndarray, graph: Chem.Mol, unit: np.ndarray, known: anions.Known) -> None:
    """Give the atoms about the charge of an anionic unit the charges of the released anions, in place.

    What this adds to the unit's charge is taken from its other atoms, evenly. If that is more than
    ``LARGEST_EXCESS_E``, the charges are of another kind of ion, and stay.
    """
    head = anions.charges_of_head(graph, known, set(unit.tolist()))
    rest = np.array([i for i in unit.tolist() if i not in head], dtype=np.int64)
    gain = sum(round(MICRO * (q - float(charges_e[i]))) for i, q in head.items())
    if not head or not len(rest) or abs(gain) > MICRO * LARGEST_EXCESS_E:
        return
    micro = np.rint(MICRO * charges_e).astype(np.int64)
    for i, q in head.items():
        micro[i] = round(MICRO * q)
    spread(micro, rest, -gain)
    charges_e[unit] = micro[unit] / MICRO


@cache
def _of_anions(released: str) -> anions.Known:
    return anions.known_terms(load_set(released))


def _names(graph: Chem.Mol) -> list[str]:
    """Element and running number, as ``C1``; beyond what four letters hold, the number is in base 36."""
    counts: dict[str, int] = {}
    names = []
    for atom in graph.GetAtoms():
        symbol = atom.GetSymbol()
        counts[symbol] = number = counts.get(symbol, 0) + 1
        room = 4 - len(symbol)
        names.append(f"{symbol}{number if number < 10**room else _base_36(number - 10**room, room)}")
    return names


def _base_36(number: int, room: int) -> str:
    """Numbers from 0 as ``A00``, ``A01`` …, which no decimal number looks like."""
    number += 10 * 36 ** (room - 1)
    text = ""
    while number:
        number, digit = divmod(number, 36)
        text = _DIGITS[digit] + text
    return text


def _sites(graph: Chem.Mol) -> list[str]:
    """Donor site of each atom, by the kinds that every new molecule is given (``chemistry.DONORS``)."""
    sites = [""] * graph.GetNumAtoms()
    plain = bare(graph)
    for name, smarts in chemistry.DONORS:
        for atom, *_ in plain.GetSubstructMatches(Chem.MolFromSmarts(smarts), maxMatches=10 * len(sites)):
            sites[atom] = sites[atom] or name
    return sites
