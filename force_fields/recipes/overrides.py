"""What a released set changes of the parameters that it takes over: rest lengths that are plainly wrong, and refits."""

from __future__ import annotations

import math

from rdkit import Chem
from smirnoff import Terms

RADIAN = math.pi / 180


def mend(terms: Terms, graph: Chem.Mol, table: dict) -> tuple[list[str], list[dict]]:
    """Set the rest values of ``mended.yaml``; what was done, for the manifest, and its sources."""
    said, cited = [], {}
    for kind, unit, per, held in (("bond", "A", 0.1, terms.bonds), ("angle", "deg", RADIAN, terms.angles)):
        chosen = {}
        for entry in table[f"{kind}s"]:
            for key in _matches(graph, entry["smarts"]):
                chosen[min(key, key[::-1])] = entry
        for key, entry in chosen.items():
            old, k = held[key]
            held[key] = (per * entry[f"rest_{unit}"], k)
            said.append(
                f"rest {kind} {entry[kind]} {old / per:.4g} to {entry[f'rest_{unit}']:.4g} {unit}: {entry['why']}"
            )
            cited |= {source["what"]: source for source in entry["sources"]}
    return sorted(set(said)), list(cited.values())


def refit(terms: Terms, graph: Chem.Mol, table: dict) -> tuple[list[str], list[dict]]:
    """Set the Lennard-Jones terms of ``refit.yaml``; what was done, for the manifest, and its sources.

    An entry names an atom by a SMARTS, whose first atom it is, or the numbered one; later entries win. Ions keep what
    they have: their terms go with their charges.
    """
    if Chem.GetFormalCharge(graph) or not table["atoms"]:
        return [], []
    chosen = {}
    for entry in table["atoms"]:
        for (i,) in _matches(graph, entry["smarts"]):
            chosen[i] = entry
    for i, entry in chosen.items():
        terms.lennard_jones[i] = (0.1 * entry["sigma_A"], entry["epsilon_kJ_mol"])
    lines = {
        f"Lennard-Jones terms of {entry['smarts']} refitted to {entry['sigma_A']} A, {entry['epsilon_kJ_mol']} kJ/mol"
        for entry in chosen.values()
    }
    return sorted(lines), list(table["sources"]) if lines else []


def _matches(graph: Chem.Mol, smarts: str) -> list[tuple[int, ...]]:
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
