"""Atomic charges of one molecule: AM1-BCC or RESP, made equal on equivalent atoms, exact in sum, and kept."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from decimal import Decimal
from importlib import metadata, util
from pathlib import Path

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdDistGeom, rdForceFieldHelpers, rdMolAlign

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import damaged, read_json, write_text
from lmbmd.core.provenance import canonical_json, sha256_of
from lmbmd.forcefield.parametrize import ambertools, chemistry
from lmbmd.forcefield.parametrize.molecules import SEED, equivalence
from lmbmd.forcefield.parametrize.quantum import resp, xtb
from lmbmd.quantum.xtb import relax

METHODS = ("am1bcc", "resp")
#: Conformers that are tried: in MMFF94, and of an anion, which MMFF94 may not know, in GFN2-xTB.
CANDIDATES, CANDIDATES_OF_ANION = 500, 20
KCAL = 4.184
#: Conformers of a RESP fit: the lowest in MMFF94, unlike each other. Mirror images, and conformers that differ in which
#: of their equivalent groups is turned, have one energy: a fit learns nothing from the second.
WINDOW_KCAL_MOL, UNLIKE_A, SAME_KCAL_MOL, RESP_CONFORMERS = 5.0, 0.5, 0.02, 3
#: Raised when the way to the charges changes, so that none from before are taken out of the cache.
METHOD_VERSION = 2
MICRO = 10**6
#: The largest error of a sum of computed charges, e per atom, that rounding explains.
LARGEST_REST_E = 0.002

SOURCES = {
    "am1bcc": {
        "what": "AM1-BCC charges: Jakalian, Jack, Bayly, J. Comput. Chem. 2002, 23, 1623",
        "doi": "10.1002/jcc.10128",
    },
    "resp": {
        "what": "RESP charges: Bayly, Cieplak, Cornell, Kollman, J. Phys. Chem. 1993, 97, 10269",
        "doi": "10.1021/j100142a004",
    },
}
#: Of charges half way between vacuum and liquid.
HALF_WAY = {
    "what": "the mean of vacuum and dielectric: Cerutti, Rice, Swope, Case, J. Phys. Chem. B 2013, 117, 2328",
    "doi": "10.1021/jp311851r",
}


def sources_of(method: str, permittivity: float | None = None) -> list[dict[str, str]]:
    """Who found the way to the charges."""
    return [SOURCES[method], *([HALF_WAY] if permittivity is not None else [])]


def method_text(molecule: Chem.Mol, method: str, permittivity: float | None = None) -> str:
    """How the charges were made, in one line for the manifest."""
    if method == "am1bcc":
        return "AM1-BCC of the lowest MMFF94 conformer, equal on equivalent atoms, sum exact"
    if permittivity is not None:
        return (
            f"two-stage RESP to the mean potential of vacuum and a dielectric of permittivity {permittivity:g}, "
            f"PBE0/def2-TZVP (density-fitted) on up to {RESP_CONFORMERS} GFN2-xTB conformers together, equal on "
            "equivalent atoms, sum exact"
        )
    basis = resp.basis_for(Chem.GetFormalCharge(molecule))
    geometry = "GFN2-xTB" if Chem.GetFormalCharge(molecule) < 0 else "MMFF94"
    return (
        f"two-stage RESP, HF/{basis} (density-fitted) on up to {RESP_CONFORMERS} {geometry} conformers together, equal "
        "on equivalent atoms, sum exact"
    )


#: A molecule with conformers, and their energies, kcal/mol.
Ensemble = tuple[Chem.Mol, list[float]]


def charges(
    molecule: Chem.Mol,
    method: str,
    *,
    permittivity: float | None = None,
    cache: Path | None = None,
    step: Callable[[str], None] = lambda text: None,
    found: Callable[[], Ensemble] | None = None,
) -> list[Decimal]:
    """Charges in e to six decimals, equal on equivalent atoms, with a sum of exactly the formal charge.

    Args:
        molecule: explicit hydrogens.
        method: one of ``METHODS``.
        permittivity: of the liquid, for ``resp`` to the mean potential of vacuum and liquid (``resp.potential``).
        cache: folder in which charges are kept by InChIKey, method and versions.
        step: told of each step that takes time.
        found: gives the conformers, if they are asked for; by default ``conformers``.

    Raises:
        LmbmdError: if the programs are missing, or fail.
    """
    key, classes = cache_key(molecule, method, permittivity), equivalence(molecule)
    file = cache / f"{key}.json" if cache else None
    if file and file.is_file():
        step("charges, kept from before")
        what, remedy = "table of charges", "Delete it: they are then computed again."
        kept = read_json(file, what=what, remedy=remedy)
        try:
            return symmetrised(molecule, np.array([float(kept["charges"][str(rank)]) for rank in classes]))
        except (KeyError, TypeError, ValueError) as error:
            raise damaged(file, what, error, remedy) from error
    step("conformers")
    raw = _raw(*(found() if found else conformers(molecule)), method, permittivity, step)
    made = symmetrised(molecule, raw)
    if file:
        facts = {"inchikey": Chem.MolToInchiKey(molecule), "method": method, "versions": versions(method)}
        by_class = {str(rank): float(raw[np.array(classes) == rank].mean()) for rank in classes}
        write_text(file, json.dumps({**facts, "charges": by_class}, indent=1) + "\n")
    return made


def cache_folder() -> Path:
    """Where charges are kept: under XDG_CACHE_HOME, or ``~/.cache``."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lmbmd" / "charges"


def cache_key(molecule: Chem.Mol, method: str, permittivity: float | None = None) -> str:
    """Hash of the molecule, the method and the versions of the programs, the same for every order of the atoms."""
    facts = [Chem.MolToInchiKey(molecule), Chem.MolToSmiles(molecule), method, METHOD_VERSION, versions(method)]
    if permittivity is not None:
        facts.append(permittivity)
    if Chem.GetFormalCharge(molecule) < 0 or permittivity is not None:
        facts.append({"tblite": metadata.version("tblite")} if util.find_spec("tblite") else {})
    return sha256_of(canonical_json(facts).encode())[:32]


def versions(method: str) -> dict[str, str]:
    """Versions of what computes the charges."""
    found = {"rdkit": metadata.version("rdkit")}
    if method == "am1bcc":
        return {**found, "ambertools": ambertools.version()}
    try:
        return {**found, "pyscf": metadata.version("pyscf")}
    except metadata.PackageNotFoundError:
        return found  # the fit itself will say what is missing


def _raw(
    molecule: Chem.Mol, energies: list[float], method: str, permittivity: float | None, step: Callable[[str], None]
) -> np.ndarray:
    ids = [conformer.GetId() for conformer in molecule.GetConformers()]
    if method == "am1bcc":
        step("AM1-BCC charges")
        lowest = min(zip((round(e, 3) for e in energies), ids, strict=True))[1]
        return ambertools.am1bcc(molecule, lowest)
    places = places_of(molecule, energies, is_relaxed=permittivity is not None)
    step(f"RESP charges, conformer 1 of {len(places)}")
    count = iter(range(2, len(places) + 2))

    def done() -> None:
        number = next(count)
        step("RESP fit" if number > len(places) else f"RESP charges, conformer {number} of {len(places)}")

    return resp.raw_charges(molecule, places, done, permittivity)[0]


def conformers(molecule: Chem.Mol, most: int | None = None, *, classical: bool = False) -> Ensemble:
    """A copy with up to 500 conformers minimised in MMFF94, of an anion 20 in GFN2-xTB, and their energies, kcal/mol.

    Args:
        most: so many instead.
        classical: of an anion, too, in MMFF94 where that knows it.

    Raises:
        LmbmdError: if RDKit finds no geometry, MMFF94 lacks the molecule, or tblite is not installed.
    """
    molecule = Chem.Mol(molecule)
    is_anion = Chem.GetFormalCharge(molecule) < 0
    is_anion &= not (classical and rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule))
    most = most or (CANDIDATES_OF_ANION if is_anion else CANDIDATES)
    rdDistGeom.EmbedMultipleConfs(molecule, most, randomSeed=SEED, pruneRmsThresh=0.05)
    is_known = is_anion or rdForceFieldHelpers.MMFFHasAllMoleculeParams(molecule)
    if not molecule.GetNumConformers() or not is_known:
        what = "MMFF94 has no parameters for it" if molecule.GetNumConformers() else "RDKit finds no geometry for it"
        raise LmbmdError(
            f"no conformers can be made: {what}.",
            remedy="Bring charges and a geometry made elsewhere, with --topology and --coordinates.",
        )
    if not is_anion:
        return molecule, [
            energy for _, energy in rdForceFieldHelpers.MMFFOptimizeMoleculeConfs(molecule, maxIters=2000)
        ]
    surface, energies = xtb.of(molecule), []
    for conformer in molecule.GetConformers():
        energy, positions = relax(surface, conformer.GetPositions())
        conformer.SetPositions(positions)
        energies.append(energy / KCAL)
    return molecule, energies


def unlike(molecule: Chem.Mol, energies: list[float]) -> list[int]:
    """Ids of the lowest conformers within 5 kcal/mol that differ by 0.5 Å of heavy atoms and in energy, at most 3."""
    ids = [conformer.GetId() for conformer in molecule.GetConformers()]
    heavy = [(a.GetIdx(), a.GetIdx()) for a in molecule.GetAtoms() if a.GetAtomicNum() > 1]
    order = sorted(zip((round(e, 3) for e in energies), ids, strict=True))
    chosen: dict[int, float] = {}
    probe = Chem.Mol(molecule)
    for energy, conformer in order:
        if energy - order[0][0] > WINDOW_KCAL_MOL or len(chosen) == RESP_CONFORMERS:
            break
        if all(
            energy - other > SAME_KCAL_MOL
            and rdMolAlign.AlignMol(probe, molecule, conformer, c, atomMap=heavy) > UNLIKE_A
            for c, other in chosen.items()
        ):
            chosen[conformer] = energy
    return list(chosen)


def places_of(
    molecule: Chem.Mol, energies: list[float], *, is_relaxed: bool, most: int | None = None
) -> list[np.ndarray]:
    """Positions (n, 3) in Å of the conformers of a RESP fit: ``unlike`` ones, as they are or relaxed in GFN2-xTB."""
    places = [molecule.GetConformer(i).GetPositions() for i in unlike(molecule, energies)[:most]]
    if not is_relaxed:
        return places
    surface = xtb.of(molecule)
    return [relax(surface, x)[1] for x in places]


def symmetrised(molecule: Chem.Mol, raw: np.ndarray) -> list[Decimal]:
    """Average over equivalent atoms, round, and put the rounding rest where equality survives it.

    Raises:
        LmbmdError: if the charges do not add up to the formal charge but for rounding.
    """
    formal = Chem.GetFormalCharge(molecule)
    classes: dict[int, list[int]] = {}
    for atom, rank in enumerate(equivalence(molecule)):
        classes.setdefault(rank, []).append(atom)
    micro = {rank: round(MICRO * float(np.mean(raw[atoms]))) for rank, atoms in classes.items()}
    rest = MICRO * formal - sum(micro[rank] * len(atoms) for rank, atoms in classes.items())
    if abs(rest) > MICRO * LARGEST_REST_E * len(raw):
        raise LmbmdError(
            f"the charges add up to {formal - rest / MICRO:+.4f} e, not {chemistry.signed(formal)}.",
            remedy="Check that they belong to this molecule, atom by atom.",
        )
    # Carbon before oxygen before hydrogen: the atom that is least seen from outside takes the last digit.
    ranks = sorted(
        classes, key=lambda r: (molecule.GetAtomWithIdx(classes[r][0]).GetSymbol() != "C", len(classes[r]), r)
    )
    # Where no class can take it evenly, some atoms of the first differ in the sixth digit.
    taker = next((r for r in ranks if rest % len(classes[r]) == 0), ranks[0])
    share, left = divmod(rest, len(classes[taker]))
    micro[taker] += share
    out = [Decimal(0)] * len(raw)
    for rank, atoms in classes.items():
        for place, atom in enumerate(atoms):
            out[atom] = Decimal(micro[rank] + (rank == taker and place < left)).scaleb(-6)
    return out
