"""Make the set opls-clp: OPLS-AA for molecules, CL&P and OPLS values for ions, for geometric mixing.

    python force_fields/recipes/opls_clp.py oplsaa2024.lt openff_unconstrained-2.2.1.offxml force_fields/opls-clp-1.1.0

``oplsaa2024.lt`` is in moltemplate 2.22.5 (PyPI, MIT), folder force_fields: the table that the authors of OPLS-AA
published in 2024. Which of its types an atom gets is in ``opls_types.yaml``; charges that it lacks are in
``resp.json``, made by ``resp_charges.py``. The released set needs none of these.
"""

from __future__ import annotations

import argparse
from decimal import Decimal
from pathlib import Path

import opls_table
import yaml
from molecules import Molecule, embedded, lowest_geometry, system_of
from overrides import mend
from rdkit import Chem
from set_files import (
    SAGE_SHA256,
    check_sage,
    made,
    shape,
    starts_of,
    stored_resp,
    write_manifest,
    write_species,
)
from smirnoff import apply

from lmbmd.forcefield.mixing import GEOMETRIC, mixed
from lmbmd.forcefield.parametrize.typed import typed_terms

HERE = Path(__file__).parent
VERSION = "1.1.0"
PACKAGES = ("openmm", "rdkit", "numpy")
OPLS = {
    "what": "OPLS-AA 2024: Jorgensen, Ghahremanpour, Saar, Tirado-Rives, J. Phys. Chem. B 2024, 128, 250",
    "doi": "10.1021/acs.jpcb.3c06602",
}
TABLE = {"what": "its table as text, oplsaa2024.lt of moltemplate 2.22.5", "licence": "MIT"}
SAGE = {
    "what": "OpenFF Sage 2.2.1 (openff_unconstrained-2.2.1.offxml), valence terms",
    "doi": "10.1021/acs.jctc.3c00039",
    "licence": "CC-BY-4.0",
}
HEAD = {
    "name": "opls-clp",
    "version": VERSION,
    "title": "OPLS-AA 2024 for molecules, CL&P and OPLS values for ions, geometric mixing",
    "attribution": (
        "Contains parameters of OPLS-AA by Jorgensen and co-workers, as moltemplate (MIT) writes them; of the CL&P "
        "force field by Padua and Canongia Lopes (MIT); and, where a species' entry says so, of OpenFF Sage 2.2.1 "
        "by the Open Force Field Initiative, used under CC-BY-4.0 (creativecommons.org/licenses/by/4.0)."
    ),
    "nonbonded": {
        "combining_rule": "geometric",
        "electrostatics": "PME",
        "cut_off_A": 10.0,
        "switch_from_A": 9.0,
        "long_range_correction": True,
        "reason": (
            "OPLS-AA was fitted with cut-offs of 9 to 15 A and a tail correction; it means geometric mixing of sigma "
            "and of epsilon"
        ),
    },
    "ion_charge_scale": {
        "default": 0.8,
        "reason": (
            "Fixed charges have no electronic polarisation, so full ionic charges bind ions to each other and to "
            "solvent too strongly. Scaling by 1/n (n the refractive index; 0.70 to 0.76 for carbonates and ethers) "
            "corrects it in the mean; 0.8 is the commonest choice for Li salts with fixed-charge force fields. The "
            "scale decides how much the ions aggregate: draw no conclusion about AGG or CIPA from one value."
        ),
        "source": {
            "what": "0.8 for OPLS ions: Doherty et al., J. Chem. Theory Comput. 2017, 13, 6131",
            "doi": "10.1021/acs.jctc.7b00520",
        },
    },
}


class Recipe:
    """The tables that the set is made from.

    Args:
        table: path of ``oplsaa2024.lt``.
        sage: path of Sage's .offxml.
    """

    def __init__(self, table: Path, sage: Path) -> None:
        check_sage(sage)
        self.table, self.sage = opls_table.read(table), sage
        self.book = _yaml("opls_types.yaml")
        self.ions = _yaml("ions.yaml")["ions"]
        for name in self.book["without"]:
            self.ions.pop(name, None)
        # Without those that undo a stretch by Sage's own Lennard-Jones terms, which have no source.
        self.mended = {
            kind: [row for row in rows if row.get("sources")]
            for kind, rows in _yaml("mended.yaml").items()
            if kind in ("bonds", "angles", "torsions")
        }
        self.ions |= _yaml("opls_ions.yaml")["ions"]

    def make(self, name: str, species: dict) -> tuple[Molecule, list, dict]:
        """The parametrised molecule, geometries to start from, and the manifest's entry."""
        graph = Chem.AddHs(Chem.MolFromSmiles(species["smiles"]))
        molecule, starts, entry = (
            ion(name, graph, self.ions[name]) if name in self.ions else self.molecule(name, graph, species["smiles"])
        )
        if sum(Decimal(str(q)) for q in molecule.charges) != species["charge"]:
            raise ValueError(f"the charges of {name} do not add up to {species['charge']}")
        return molecule, starts, entry

    def molecule(self, name: str, graph: Chem.Mol, smiles: str) -> tuple[Molecule, list, dict]:
        asked = self.book["species"].get(name, {})
        types = opls_table.types_of(graph, self.book["rules"])
        if None in types:
            raise ValueError(f"atom {types.index(None)} of {name} has no type")
        own_types = self.book["own_types"]
        rows = [own_types[t]["values"] if t in own_types else self.table.atoms[t] for t in types]
        sources = [OPLS, TABLE, *(own_types[t]["source"] for t in sorted({t for t in types if t in own_types}))]
        notes, entry = [asked["note"]] if "note" in asked else [], {}
        terms, lacking = self._valence(graph, [row[0] for row in rows], asked, entry, sources)
        if lacking:
            notes.append(f"valence terms and factors on 1-4 pairs are Sage's, since OPLS-AA lacks {lacking}")
        terms.lennard_jones = [(0.1 * sigma, epsilon * opls_table.KCAL) for _, sigma, epsilon in rows]
        if asked.get("charges") == "resp":
            charges, cited, method = stored_resp(name, smiles)
            sources += cited
        else:
            charges = [float(self.table.charges[t]) for t in types]
            method = "published with the types"
        entry = {
            "sources": sources,
            "charge_method": method,
            "scale14": {"lennard_jones": terms.scale14_lj, "coulomb": terms.scale14_coulomb},
            **entry,
            "opls_types": " ".join(map(str, types)),
        }
        if notes:
            entry["note"] = "; ".join(notes)
        if Chem.FindMolChiralCenters(graph, includeUnassigned=True, useLegacyImplementation=False):
            entry["stereo"] = "the racemate's parameters; the geometry is one enantiomer"
        return Molecule(name, graph, charges, terms, geometric_14=True), embedded(graph), entry

    def _valence(self, graph: Chem.Mol, kinds: list[str], asked: dict, entry: dict, sources: list):
        """Terms, and what OPLS-AA lacks if they are Sage's; adds to ``entry`` and ``sources``."""
        book = {**self.book, "like": asked.get("like", {})}
        if asked.get("valence") != "sage":
            terms, used = opls_table.terms_of(graph, kinds, self.table, book)
            entry["transformations"] = [
                "k without the half, kcal and V1 to V4 turned into OpenMM's forms",
                "out-of-plane terms spread over the bonds of their centre",
            ]
            if used.stand_ins:
                entry["stand_ins"] = dict(sorted(used.stand_ins.items()))
            if used.own:
                entry["from_other_tables"] = sorted(used.own)
                sources += self.book["own"]["sources"]
            if used.nil:
                entry["left_out_and_nil"] = sorted(used.nil)
            return terms, ""
        try:
            opls_table.terms_of(graph, kinds, self.table, book)
        except opls_table.Missing as error:
            lacking = ", ".join(error.args[0])
        except ValueError as error:
            lacking = f"a single answer for {str(error).split()[0]}"
        else:
            raise ValueError("OPLS-AA has all valence terms of a species that was to take Sage's")
        terms = apply(self.sage, graph)
        said, cited = mend(terms, graph, self.mended)
        sources += [SAGE, *cited]
        entry["transformations"] = ["SMIRKS assignments turned into one explicit System", *said]
        return terms, lacking


def ion(name: str, graph: Chem.Mol, given: dict) -> tuple[Molecule, list, dict]:
    """As ``Recipe.make``, from an entry of ``ions.yaml`` or ``opls_ions.yaml``."""
    start = shape(graph, given)
    if "rules" in given:
        types = opls_table.types_of(graph, [{"type": t, "smarts": s} for t, s in given["rules"].items()])
        classes = [given["classes"].get(t, t) for t in types]
        blank = dict.fromkeys(classes, (0.0, 1.0, 0.0))
        terms, _ = typed_terms(graph, {**given, "types": classes, "atoms": blank}, None)
        terms.lennard_jones = [(0.1 * given["atoms"][t][1], given["atoms"][t][2]) for t in types]
        charges = [given["atoms"][t][0] for t in types]
    else:
        terms, charges = typed_terms(graph, given, start)
    starts = starts_of(graph, start)
    entry = {
        "sources": given["sources"],
        "charge_method": f"{given.get('charges', 'published')}, full; ion_charge_scale is applied when a box is built",
    }
    if terms.torsions:
        entry["transformations"] = ["OPLS V1 to V4 turned into periodic terms"]
        if "geometry" not in given:  # the others have no 1-4 pairs
            entry["scale14"] = {"lennard_jones": terms.scale14_lj, "coulomb": terms.scale14_coulomb}
    if "note" in given:
        entry["note"] = given["note"].strip()
    return Molecule(name, graph, charges, terms, geometric_14=True), starts, entry


def _yaml(name: str) -> dict:
    return yaml.safe_load((HERE / name).read_text(encoding="utf-8"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, help="oplsaa2024.lt")
    parser.add_argument("sage", type=Path, help="openff_unconstrained-2.2.1.offxml")
    parser.add_argument("out", type=Path, help="folder of the set")
    args = parser.parse_args()
    recipe = Recipe(args.table, args.sage)
    args.out.mkdir(parents=True, exist_ok=True)
    entries = {}
    for name, species in _yaml("../species.yaml")["species"].items():
        if name in recipe.book["without"]:
            continue
        molecule, starts, entry = recipe.make(name, species)
        system = system_of(molecule)
        positions = lowest_geometry(mixed(system, GEOMETRIC), starts)
        entries[name] = write_species(args.out, name, species, molecule, system, positions, entry)
    facts = made("opls_clp.py", PACKAGES, table_sha256=opls_table.SHA256, sage_sha256=SAGE_SHA256)
    write_manifest(args.out, {**HEAD, "made": facts, "without": recipe.book["without"], "species": entries})


if __name__ == "__main__":
    main()
