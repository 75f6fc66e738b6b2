"""What a released set changes of the parameters that it takes over: valence that is plainly wrong, and refits."""

from __future__ import annotations

import math

from rdkit import Chem
from smirnoff import Terms

from lmbmd.forcefield.parametrize import refits
from lmbmd.forcefield.parametrize.refits import matches

RADIAN = math.pi / 180


def mend(terms: Terms, graph: Chem.Mol, table: dict) -> tuple[list[str], list[dict]]:
    """Set the rest values and torsions of ``mended.yaml``; what was done, for the manifest, and its sources."""
    said, cited = [], {}
    for kind, unit, per, held in (("bond", "A", 0.1, terms.bonds), ("angle", "deg", RADIAN, terms.angles)):
        chosen = {}
        for entry in table[f"{kind}s"]:
            for key in matches(graph, entry["smarts"]):
                chosen[min(key, key[::-1])] = entry
        for key, entry in chosen.items():
            old, k = held[key]
            held[key] = (per * entry[f"rest_{unit}"], k)
            said.append(
                f"rest {kind} {entry[kind]} {old / per:.4g} to {entry[f'rest_{unit}']:.4g} {unit}: {entry['why']}"
            )
            cited |= {source["what"]: source for source in entry["sources"]}
    chosen = {min(key, key[::-1]): e for e in table.get("torsions", ()) for key in matches(graph, e["smarts"])}
    terms.torsions = [term for term in terms.torsions if min(term[:4], term[3::-1]) not in chosen]
    for key, entry in chosen.items():
        terms.torsions += [(*key, n, 0.0, k) for n, k in enumerate(entry["k_kJ_mol"], start=1) if k]
        said.append(f"torsion {entry['torsion']} now {entry['k_kJ_mol']} kJ/mol: {entry['why']}")
        cited |= {source["what"]: source for source in entry["sources"]}
    return sorted(set(said)), list(cited.values())


def refit(terms: Terms, graph: Chem.Mol, table: dict, half_way: bool) -> tuple[list[str], list[dict]]:
    """Set the Lennard-Jones terms of ``refit.yaml`` that go with the charges; what was done, and its sources."""
    lines = refits.refit(terms, graph, refits.going_with(table, half_way))
    return lines, list(table["sources"]) if lines else []
