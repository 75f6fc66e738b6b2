"""RESP charges where a set has none, or none fit for use, as ``lmbmd parametrize --charge-method resp`` makes them.

    python force_fields/recipes/resp_charges.py TTE BTFE ...
    python force_fields/recipes/resp_charges.py --relaxed TMP ...   of conformers that GFN2-xTB relaxed

adds to ``resp.json`` what it lacks of the named species (of ``species.yaml``). Needs lmbmd's extra "parametrize"
(PySCF), relaxed ones "validation" (tblite) too. Half a minute to half an hour a molecule.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import yaml
from rdkit import Chem

from lmbmd.core.files import write_text
from lmbmd.forcefield.parametrize import charges
from lmbmd.forcefield.parametrize.quantum import resp

HERE = Path(__file__).parent
FILE = HERE / "resp.json"


def fitted(smiles: str, relaxed: bool) -> dict:
    """Charges in e in the order of the SMILES and then its hydrogens, the fit's relative error, the conformers."""
    graph, energies = charges.conformers(Chem.AddHs(Chem.MolFromSmiles(smiles)))
    places = charges.places_of(graph, energies, is_relaxed=relaxed)
    raw, error = resp.raw_charges(graph, places)
    exact = [str(q) for q in charges.symmetrised(graph, raw)]
    how = {"relaxed": True} if relaxed else {}
    return {"smiles": smiles, "conformers": len(places), **how, "error": round(error, 3), "charges": exact}


def _known() -> dict:
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("species", nargs="+")
    parser.add_argument("--relaxed", action="store_true")
    args = parser.parse_args()
    library = yaml.safe_load((HERE.parent / "species.yaml").read_text(encoding="utf-8"))["species"]
    for name in args.species:
        known = _known()
        kept = known.get(name, {})
        if (kept.get("smiles"), kept.get("relaxed", False)) != (library[name]["smiles"], args.relaxed):
            found = fitted(library[name]["smiles"], args.relaxed)
            known = {**_known(), name: found}  # another run may have added to it meanwhile
            rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(known[key])}" for key in sorted(known))
            write_text(FILE, f"{{\n{rows}\n}}\n")
        print(f"{name}: {known[name]['conformers']} conformers, error {known[name]['error']}", flush=True)


if __name__ == "__main__":
    main()
