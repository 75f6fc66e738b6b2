"""Make ``force_fields/polymer_charges.json``: the charges of the units of every polymer in ``polymers.yaml``.

    python force_fields/recipes/polymer_charges.py [NAME …]

Needs AmberTools (sqm). Entries that are there are kept; names limit what is computed to these polymers. What is
computed, and on which pieces of the chain: ``lmbmd/forcefield/chains/charges.py``.
"""

from __future__ import annotations

import itertools
import json
import sys
from pathlib import Path

import numpy as np

from lmbmd.core.files import write_text
from lmbmd.forcefield.chains.charges import CANDIDATES, SHIPPED, Piece, piece_of, settled, shapes
from lmbmd.forcefield.parametrize.charges import charges, versions
from lmbmd.formulation.polymers.draw import Chains
from lmbmd.formulation.polymers.known import known_polymers

FILE = Path(__file__).parents[1] / SHIPPED
#: Other ends that are common, beside those in polymers.yaml.
MORE_ENDS = {"PEO": [("*O", "*[H]")]}


def pieces(name: str) -> list[Piece]:
    """Every unit of a polymer between every pair of neighbours, at both ends, and alone."""
    polymer = known_polymers()[name]
    named = polymer.unit if isinstance(polymer.unit, dict) else {name: polymer.unit}
    units = dict(zip("ABCDEFGH", named.values(), strict=False))
    found = []
    for ends in [polymer.ends, *MORE_ENDS.get(name, [])]:
        chains = Chains(units, dict(zip(units, named, strict=True)), ends, (next(iter(units)),), ("",), "")
        for context in itertools.product(["", *units], units, ["", *units]):
            found.append(piece_of(chains, context))
    return found


def main(names: list[str]) -> None:
    """Compute what is not there, and write after each."""
    held = json.loads(FILE.read_text(encoding="utf-8")) if FILE.is_file() else {"units": {}}
    method = (
        f"AM1-BCC of the lowest of {CANDIDATES} MMFF94 conformers of the capped piece, in which a charged neighbour is "
        "its main chain alone, equal on equivalent atoms; what a unit's charges lacked to its formal charge (lacked_e) "
        "spread evenly inside the chain, and left to it at an end"
    )
    for name in names or known_polymers():
        for piece in pieces(name):
            if piece.key in held["units"]:
                continue
            raw = charges(piece.graph, "am1bcc", found=lambda one=piece: shapes(one))
            found, lacked = settled(piece, np.array(raw, dtype=float)[piece.mine])
            in_order = [int(found[i]) for i in piece.order]
            held["units"][piece.key] = {"polymer": name, "lacked_e": round(lacked, 6), "charges_1e-6_e": in_order}
            print(name, piece.graph.GetNumAtoms(), "atoms, lacked", f"{lacked:+.4f} e", flush=True)
            write(held["units"], method)


def write(units: dict[str, dict[str, object]], method: str) -> None:
    """One line for each unit."""
    head = json.dumps({"method": method, "versions": versions("am1bcc")}, indent=1).removesuffix("\n}")
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(entry)}" for key, entry in sorted(units.items()))
    write_text(FILE, f'{head},\n "units": {{\n{lines}\n }}\n}}\n')


if __name__ == "__main__":
    main(sys.argv[1:])
