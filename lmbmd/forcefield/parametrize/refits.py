"""Lennard-Jones terms and charges that a released set gives certain groups instead of those of the rules it follows."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from rdkit import Chem

from lmbmd.forcefield.parametrize.smirnoff import Terms

#: Of a fit of ``refit``: that its terms go only with charges half way between vacuum and liquid.
HALF_WAY_CHARGES = "half way"


def going_with(changes: Mapping[str, Any], half_way: bool) -> list[dict[str, Any]]:
    """The Lennard-Jones entries of a manifest's ``refit`` that were fitted with charges of a molecule's kind.

    Args:
        changes: the section ``refit``.
        half_way: whether the molecule's charges are half way between vacuum and liquid.
    """
    fits = changes.get("fits", {})
    return [row for row in changes.get("atoms", ()) if half_way or fits[row["fit"]].get("charges") != HALF_WAY_CHARGES]


def refit(
    terms: Terms, graph: Chem.Mol, atoms: Sequence[dict[str, Any]], among: Collection[int] | None = None
) -> list[str]:
    """Set a molecule's refitted Lennard-Jones terms; what was done, for the manifest.

    Args:
        terms: changed in place.
        atoms: ``{smarts, sigma_A, epsilon_kJ_mol}``, as in the manifest's ``refit``: the numbered atom of the SMARTS
            is meant, or its first; later entries win. Ions keep what they have: their terms go with their charges.
        among: the atoms that may be changed; not given: all of a neutral molecule, none of an ion.

    Raises:
        ValueError: if a pattern is no SMARTS.
    """
    free = _free(graph, among)
    chosen = {i: entry for entry in atoms if free for (i,) in matches(graph, entry["smarts"]) if i in free}
    for i, entry in chosen.items():
        terms.lennard_jones[i] = (0.1 * entry["sigma_A"], entry["epsilon_kJ_mol"])
    lines = {
        f"Lennard-Jones terms of {entry['smarts']} refitted to {entry['sigma_A']} A, {entry['epsilon_kJ_mol']} kJ/mol"
        for entry in chosen.values()
    }
    return sorted(lines)


def _free(graph: Chem.Mol, among: Collection[int] | None) -> Collection[int]:
    """The atoms that may be changed."""
    if among is None:
        return range(0 if Chem.GetFormalCharge(graph) else graph.GetNumAtoms())
    return among


def handed_on(
    graph: Chem.Mol, bonds: Sequence[dict[str, Any]], among: Collection[int] | None = None
) -> tuple[np.ndarray, list[str]]:
    """Charge (e) that each atom of a molecule gains where refitted bonds hand it on; what was done, for the manifest.

    Args:
        bonds: ``{smarts, charge_e}``, as in the manifest's ``refit``: at every match the second numbered atom gives so
            much to the first, so that the molecule keeps its charge; entries add up. Ions keep what they have.
        among: as for ``refit``; both atoms must be.

    Raises:
        ValueError: if a pattern is no SMARTS.
    """
    gains, lines, free = np.zeros(graph.GetNumAtoms()), [], _free(graph, among)
    for entry in bonds if free else ():
        pairs = [(i, j) for i, j in matches(graph, entry["smarts"]) if i in free and j in free]
        for i, j in pairs:
            gains[i] += entry["charge_e"]
            gains[j] -= entry["charge_e"]
        if pairs:
            lines.append(f"{entry['charge_e']:+g} e handed on over each bond {entry['smarts']}")
    return gains, lines


def matches(graph: Chem.Mol, smarts: str) -> list[tuple[int, ...]]:
    """The numbered atoms of every match, once each; the first atom if none is numbered.

    Raises:
        ValueError: if it is no SMARTS.
    """
    query = Chem.MolFromSmarts(smarts)
    if query is None:
        raise ValueError(f"{smarts} is no SMARTS")
    tagged = sorted((atom.GetAtomMapNum(), atom.GetIdx()) for atom in query.GetAtoms() if atom.GetAtomMapNum())
    found = graph.GetSubstructMatches(query, uniquify=False, maxMatches=100_000)
    return sorted({tuple(match[i] for _, i in tagged or [(0, 0)]) for match in found})
