"""RESP charges where a set has none, or none fit for use, as ``lmbmd parametrize --charge-method resp`` makes them.

    python force_fields/recipes/resp_charges.py TTE BTFE ...

adds to ``resp.json`` what it lacks of the named species (of ``species.yaml``). Needs lmbmd's extra "parametrize"
(PySCF). Half a minute to half an hour a molecule.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import yaml
from rdkit import Chem

from lmbmd.core.files import write_text
from lmbmd.forcefield.parametrize import charges, resp

HERE = Path(__file__).parent
FILE = HERE / "resp.json"


def fitted(smiles: str) -> dict:
    """Charges in e in the order of the SMILES and then its hydrogens, the fit's relative error, the conformers."""
    graph, energies = charges.conformers(Chem.AddHs(Chem.MolFromSmiles(smiles)))
    places = [graph.GetConformer(i).GetPositions() for i in charges.unlike(graph, energies)]
    raw, error = resp.raw_charges(graph, places)
    exact = [str(q) for q in charges.symmetrised(graph, raw)]
    return {"smiles": smiles, "conformers": len(places), "error": round(error, 3), "charges": exact}


def _known() -> dict:
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def main() -> None:
    library = yaml.safe_load((HERE.parent / "species.yaml").read_text(encoding="utf-8"))["species"]
    for name in sys.argv[1:]:
        known = _known()
        if known.get(name, {}).get("smiles") != library[name]["smiles"]:
            found = fitted(library[name]["smiles"])
            known = {**_known(), name: found}  # another run may have added to it meanwhile
            rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(known[key])}" for key in sorted(known))
            write_text(FILE, f"{{\n{rows}\n}}\n")
        print(f"{name}: {known[name]['conformers']} conformers, error {known[name]['error']}", flush=True)


if __name__ == "__main__":
    main()
