"""Valence terms of an ion or a model compound from its quantum-chemical Hessian, as ``lmbmd parametrize`` derives them.

    python force_fields/recipes/derive.py force_fields/recipes/quantum/DFOB.json

prints the entry of ``ions.yaml``, or, of a model compound in quantum/models, what ``groups.yaml`` takes terms from, and
as comments the wavenumbers of the Hessian and of the entry. The JSON, in Å, hartree/bohr² and e, also names the types
of the atoms, their Lennard-Jones terms and the torsions.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import yaml
from rdkit import Chem

from lmbmd.core.units import BOHR_A, HARTREE_KJ_MOL
from lmbmd.forcefield.parametrize.quantum import derived

SCALE14 = [0.5, 0.5]


def derive(quantum: dict) -> tuple[dict, np.ndarray, np.ndarray]:
    """The entry of ``ions.yaml``, and the wavenumbers of the Hessian and of the entry, cm⁻¹."""
    graph = Chem.AddHs(Chem.MolFromSmiles(quantum["smiles"]))
    x = np.array(quantum["x"])
    hessian = np.array(quantum["hessian"]) * HARTREE_KJ_MOL / BOHR_A**2
    types, periods = quantum["types"], quantum["torsions"]
    charges = _charges(types, quantum["resp"], Chem.GetFormalCharge(graph))
    table = {
        "types": types,
        "atoms": {t: [charges[t], *quantum["lennard_jones"][t]] for t in dict.fromkeys(types)},
        "torsions": {name: v for name, v in periods.items() if isinstance(v, list)},
        "impropers": dict.fromkeys(quantum["impropers"]),
        "scale14": SCALE14,
        **({"right_angles_only": True} if quantum.get("right_angles_only") else {}),
    }
    wanted = {name: n for name, n in periods.items() if isinstance(n, int)}
    entry = derived.derive(graph, table, wanted, x, hessian, quantum.get("floor_cm", 0.0))
    entry["torsions"] = {name: entry["torsions"][name] for name in periods}
    ours = derived.mm_hessian(graph, entry, derived.minimum(graph, entry, x))
    return entry, derived.wavenumbers_cm(graph, hessian), derived.wavenumbers_cm(graph, ours)


def _charges(types: list[str], raw: list[float], charge: int) -> dict[str, float]:
    """Mean charge of each type to four decimals; the rarest type that can takes the rest."""
    out = {t: round(float(np.mean([q for q, u in zip(raw, types, strict=True) if u == t])), 4) for t in types}
    rest = round(1e4 * (charge - sum(out[t] for t in types)))
    taker = min((t for t in out if rest % types.count(t) == 0), key=types.count)
    out[taker] = round(out[taker] + 1e-4 * rest / types.count(taker), 4)
    return out


def main() -> None:
    for path in map(Path, sys.argv[1:]):
        entry, quantum, ours = derive(json.loads(path.read_text(encoding="utf-8")))
        print(yaml.safe_dump({path.stem: entry}, sort_keys=False, default_flow_style=None, width=120))
        for a, b in zip(quantum, ours, strict=True):
            print(f"# {a:7.0f} {b:7.0f}")
        print(f"# root mean square of the relative error {np.sqrt(np.mean((ours / quantum - 1) ** 2)):.3f}")


if __name__ == "__main__":
    main()
