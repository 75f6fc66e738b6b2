"""Charges of the molecules of species.yaml: RESP to the potential half way between vacuum and the liquid.

    python force_fields/recipes/solvent_charges.py DME TTE ...      adds to solvent_charges.json what it lacks of these
    python force_fields/recipes/solvent_charges.py                  of all molecules

The permittivity of each liquid is in ``reference.yaml`` or ``permittivities.yaml``. Needs lmbmd's extra "parametrize"
(PySCF, tblite). A quarter of a minute to half an hour a conformer.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import yaml
from rdkit import Chem

from lmbmd.core.files import write_text
from lmbmd.forcefield.parametrize import charges
from lmbmd.forcefield.parametrize.quantum import resp

HERE = Path(__file__).parent
FILE = HERE / "solvent_charges.json"
#: Conformers of a large molecule cost more and differ less: from so many heavy atoms on there are fewer.
LARGE, CONFORMERS_OF_LARGE = 10, 2


def permittivity(name: str) -> float:
    """Of the liquid, or of the one like it."""
    book = yaml.safe_load((HERE / "permittivities.yaml").read_text(encoding="utf-8"))
    liquids = yaml.safe_load((HERE.parent / "reference.yaml").read_text(encoding="utf-8"))["liquids"]
    name = book["like"].get(name, name)
    given = book["measured"].get(name) or liquids[name]["permittivity"]
    return float(given[0])


def fitted(smiles: str, epsilon: float) -> dict:
    """Charges in e in the order of the SMILES and then its hydrogens, the fit's relative error, the conformers."""
    begun = time.time()
    graph, energies = charges.conformers(Chem.AddHs(Chem.MolFromSmiles(smiles)))
    most = CONFORMERS_OF_LARGE if graph.GetNumHeavyAtoms() >= LARGE else None
    places = charges.places_of(graph, energies, is_relaxed=True, most=most)
    raw, error = resp.raw_charges(graph, places, lambda: print(f"  {time.time() - begun:.0f} s", flush=True), epsilon)
    exact = [str(q) for q in charges.symmetrised(graph, raw)]
    facts = {"smiles": smiles, "permittivity": epsilon, "conformers": len(places), "error": round(error, 3)}
    return {**facts, "charges": exact}


def known() -> dict:
    return json.loads(FILE.read_text(encoding="utf-8")) if FILE.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("species", nargs="*")
    args = parser.parse_args()
    library = yaml.safe_load((HERE.parent / "species.yaml").read_text(encoding="utf-8"))["species"]
    for name in args.species or [key for key, entry in library.items() if not entry.get("charge")]:
        smiles, epsilon, kept = library[name]["smiles"], permittivity(name), known().get(name, {})
        if (kept.get("smiles"), kept.get("permittivity")) != (smiles, epsilon):
            print(f"{name}, permittivity {epsilon:g}", flush=True)
            made = fitted(smiles, epsilon)
            found = {**known(), name: made}  # another run may have added to it meanwhile
            rows = ",\n".join(f"{json.dumps(key)}: {json.dumps(found[key])}" for key in sorted(found))
            write_text(FILE, f"{{\n{rows}\n}}\n")
        else:
            print(f"{name}: kept", flush=True)


if __name__ == "__main__":
    main()
