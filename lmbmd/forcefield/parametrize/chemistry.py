"""A molecule that nobody has met before: read, checked, and described as the species library describes one."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rdkit import Chem, rdBase
from rdkit.Chem import AllChem, Descriptors, rdMolDescriptors

from lmbmd.core.errors import LmbmdError
from lmbmd.forcefield.parametrize.molecules import bare

#: Donor-atom kinds: name and SMARTS, whose first atom is the donor. Each asks for connections only, because a topology
#: may have no bond orders; the first that matches an atom names it.
DONORS = (
    ("O_carbonyl", "[OX1]~[CX3]"),
    ("O_sulfonyl", "[OX1]~[SX4]"),
    ("O_sulfinyl", "[OX1]~[SX3]"),
    ("O_phosphoryl", "[OX1]~[PX4]"),
    ("O_nitro", "[OX1]~[NX3]"),
    ("O_hydroxyl", "[OX2]~[#1]"),
    ("O_ether", "[OX2](~[#6])~[#6]"),
    ("O_ester", "[OX2]"),
    ("O", "[OX1]"),
    ("N_nitrile", "[NX1]"),
    ("N", "[NX2]"),
    ("N_amine", "[NX3]"),
    ("F", "[FX1]"),
    ("S", "[SX2]"),
    ("S_thione", "[SX1]"),
    ("Cl", "[ClX1]"),
    ("Br", "[BrX1]"),
    ("I", "[IX1]"),
)
#: Girolami's relative volumes, J. Chem. Educ. 1994, 71, 962 (10.1021/ed071p962), by the last atomic number of a period.
VOLUMES = ((1, 1.0), (9, 2.0), (17, 4.0), (35, 5.0), (53, 7.5), (83, 9.0))
CM3_PER_UNIT = 5.0  # one unit of relative volume, cm³/mol
DENSER = 0.10  # for a hydroxyl, an amide, a sulfone, a ring …
MOST_DENSER = 0.30


def from_smiles(text: str, *, where: str = "--smiles") -> Chem.Mol:
    """The molecule of a SMILES with explicit hydrogens, its atoms in the order of the text.

    Raises:
        LmbmdError: if it does not parse (with the position), breaks valence rules, or ``check`` refuses it.
    """
    if not text.strip() or any(c.isspace() for c in text.strip()):
        raise LmbmdError(f"'{text}' is no SMILES.", where=where, remedy="Give one molecule, such as COCCOC.")
    with _rdkit_log() as said:
        molecule = Chem.MolFromSmiles(text.strip(), sanitize=False)
    if molecule is None:
        raise LmbmdError(
            f"'{text}' is no SMILES: {_diagnosis(text, said)}.",
            where=where,
            remedy="Elements beyond B, C, N, O, P, S, F, Cl, Br, I stand in brackets, such as [Si].",
        )
    return _sane(molecule, f"'{text}'", where)


def from_file(path: Path, smiles: str | None) -> tuple[Chem.Mol, list[float] | None]:
    """The molecule of an .sdf, .mol, .mol2 or .pdb file with its conformer, and the charges of a .mol2.

    A .pdb file has no bond orders: they are taken from ``smiles``. Hydrogens must be in the file.

    Raises:
        LmbmdError: if it cannot be read, is not the molecule of ``smiles``, or ``check`` refuses it.
    """
    readers: dict[str, Callable[..., Chem.Mol | None]] = {
        ".sdf": Chem.MolFromMolFile,
        ".mol": Chem.MolFromMolFile,
        ".mol2": Chem.MolFromMol2File,
        ".pdb": Chem.MolFromPDBFile,
    }
    if path.suffix not in readers:
        raise LmbmdError(f"'{path.suffix}' is not read.", where=str(path), remedy=f"Give {', '.join(readers)}.")
    if not path.is_file():
        raise LmbmdError("there is no such file.", where=str(path), remedy="Give the molecule's file.")
    with _rdkit_log() as said:
        molecule = readers[path.suffix](str(path), removeHs=False, sanitize=False)
    if molecule is None or not molecule.GetNumAtoms():
        raise LmbmdError(f"no molecule is in it: {' '.join(said)[:300]}", where=str(path), remedy="Check the file.")
    if path.suffix == ".pdb":
        if not smiles:
            raise LmbmdError("a .pdb file has no bond orders.", where=str(path), remedy="Add --smiles.")
        template = from_smiles(smiles)
        if molecule.GetNumAtoms() != template.GetNumAtoms():
            raise LmbmdError(
                f"it has {molecule.GetNumAtoms()} atoms, '{smiles}' has {template.GetNumAtoms()}.",
                where=str(path),
                remedy="The file must hold one molecule with all its hydrogens.",
            )
        try:
            molecule = AllChem.AssignBondOrdersFromTemplate(template, molecule)
        except ValueError as error:
            what = f"its bonds are not those of '{smiles}'."
            raise LmbmdError(what, where=str(path), remedy="Check both; hydrogens must be explicit.") from error
    molecule = _sane(molecule, "it", str(path))
    if smiles and Chem.MolToSmiles(from_smiles(smiles), isomericSmiles=False) != Chem.MolToSmiles(
        molecule, isomericSmiles=False
    ):
        raise LmbmdError(f"it is not '{smiles}'.", where=str(path), remedy="Leave --smiles out, or mend it.")
    charges = None
    if path.suffix == ".mol2":
        charges = [float(atom.GetProp("_TriposPartialCharge")) for atom in molecule.GetAtoms()]
    return molecule, charges


def check(molecule: Chem.Mol, named: str, where: str) -> None:
    """Refuse what is not one closed-shell molecule.

    Raises:
        LmbmdError: for several fragments, unknown atoms, or unpaired electrons.
    """
    fragments = Chem.GetMolFrags(molecule)
    if len(fragments) != 1:
        raise LmbmdError(
            f"{named} has {len(fragments)} fragments.",
            where=where,
            remedy="A species is one molecule or one ion: parametrize each ion by itself; a salt is made of them.",
        )
    if any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms()):
        raise LmbmdError(f"{named} has an atom of no element.", where=where, remedy="Write every atom out.")
    radicals = [atom for atom in molecule.GetAtoms() if atom.GetNumRadicalElectrons()]
    if radicals:
        which = ", ".join(f"{atom.GetSymbol()} (atom {atom.GetIdx() + 1})" for atom in radicals)
        raise LmbmdError(
            f"{named} is a radical: {which} has an unpaired electron.",
            where=where,
            remedy="Add the missing hydrogens or the charge; force fields here are for closed shells.",
        )


def check_charge(molecule: Chem.Mol, charge: int | None, where: str = "--charge") -> None:
    """Refuse a molecule whose formal charges do not add up to ``charge``."""
    found = Chem.GetFormalCharge(molecule)
    if charge is not None and charge != found:
        raise LmbmdError(
            f"its charge is {signed(found)}, not {signed(charge)}.",
            where=where,
            remedy="Write the charge into the SMILES, such as [Na+], C[N+](C)(C)C or [O-].",
        )


def signed(charge: int) -> str:
    """+1, -1, 0."""
    return f"{charge:+d}" if charge else "0"


def donor_sites(molecule: Chem.Mol) -> dict[str, str]:
    """Donor-atom kinds of a molecule: name → SMARTS, in the order of ``DONORS``, as ``species.yaml`` has them.

    Two kinds of one element get patterns that exclude each other, because every atom takes the first that matches it.
    """
    molecule = bare(molecule)
    sites: dict[str, str] = {}
    taken: set[int] = set()
    for name, smarts in DONORS:
        matched = _matches(molecule, smarts)
        if matched - taken:
            if matched & taken:  # a general pattern behind a special one
                smarts = (
                    f"[{smarts[1 : smarts.index(']')]};"
                    + ";".join(f"!$({other})" for other in sites.values() if matched & _matches(molecule, other))
                    + f"]{smarts[smarts.index(']') + 1 :]}"
                )
            sites[name] = smarts
            taken |= matched
    return sites


def _matches(molecule: Chem.Mol, smarts: str) -> set[int]:
    return {match[0] for match in molecule.GetSubstructMatches(Chem.MolFromSmarts(smarts))}


def molar_mass_g_mol(molecule: Chem.Mol) -> float:
    """With natural isotopes, to three digits."""
    return round(_molar_mass(molecule), 3)


def _molar_mass(molecule: Chem.Mol) -> float:
    return Descriptors.MolWt(molecule)  # type: ignore[attr-defined]  # RDKit's stubs lack it


def estimated_density_g_cm3(molecule: Chem.Mol) -> float:
    """Density of the liquid from atomic volumes and a tenth for each polar group or ring.

    Girolami, J. Chem. Educ. 1994, 71, 962 (10.1021/ed071p962): ρ = M / 5 V, with V the sum of relative volumes; 10 %
    more for every hydroxyl, carboxyl, primary or secondary amide, sulfone, sulfoxide or ring, at most 30 %. Of the 65
    liquids in the library it misses the measured density by 6 % on average and 18 % at worst (tested).
    """
    units = sum(next(v for last, v in VOLUMES if a.GetAtomicNum() <= last) for a in molecule.GetAtoms())
    groups = ("[OX2;H1]", "[CX3](=O)[NX3;!H0]", "[#16X3]=O", "[#16X4](=O)=O")
    denser = sum(len(molecule.GetSubstructMatches(Chem.MolFromSmarts(g))) for g in groups)
    denser += rdMolDescriptors.CalcNumRings(molecule)
    return round(_molar_mass(molecule) / (CM3_PER_UNIT * units) * (1 + min(DENSER * denser, MOST_DENSER)), 3)


def _sane(molecule: Chem.Mol, named: str, where: str) -> Chem.Mol:
    with _rdkit_log():
        problems = [problem.Message() for problem in Chem.DetectChemistryProblems(molecule)]
    if problems:
        what = "; ".join(re.sub(r"atom # (\d+)", lambda m: f"atom {int(m[1]) + 1}", p) for p in problems)
        raise LmbmdError(
            f"{named} breaks the rules of valence: {what}.", where=where, remedy="Atoms are numbered from 1."
        )
    Chem.SanitizeMol(molecule)
    check(molecule, named, where)
    if not molecule.GetNumConformers():
        return Chem.AddHs(molecule)
    lacking = sum(atom.GetNumImplicitHs() for atom in molecule.GetAtoms())
    if lacking:
        raise LmbmdError(
            f"{named} lacks {lacking} hydrogens.", where=where, remedy="Write every hydrogen into the file."
        )
    return molecule


def _diagnosis(text: str, said: list[str]) -> str:
    """RDKit's complaint in one clause, with the position from 1."""
    fault = next((m[1] for m in (re.search(r"Parse Error: (.*?)(?: while| for)", line) for line in said) if m), "?")
    place = next((int(m[1]) for m in (re.search(r"around position (\d+)", line) for line in said) if m), None)
    if place is None:
        return fault
    return f"{fault} at position {place}, '{text[place - 1 : place]}' in '{text[:place]}⟨here⟩{text[place:]}'"


@contextmanager
def _rdkit_log() -> Iterator[list[str]]:
    """Collects what RDKit would print."""
    lines: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())  # type: ignore[method-assign]  # a handler of one function
    logger = logging.getLogger("rdkit")
    before, logger.handlers = logger.handlers, [handler]
    rdBase.LogToPythonLogger()
    try:
        yield lines
    finally:
        rdBase.LogToCppStreams()
        logger.handlers = before
