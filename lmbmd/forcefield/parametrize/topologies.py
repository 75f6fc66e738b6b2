"""One molecule's parameters from files that other programs made: OpenMM XML, GROMACS .top, AMBER .prmtop."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from openmm import app, unit
from rdkit import Chem

from lmbmd.core.errors import LmbmdError
from lmbmd.data.systemxml import HARMLESS, read_system
from lmbmd.data.terms import PlainTerms, read_terms
from lmbmd.forcefield.mixing import GEOMETRIC, GROMACS_RULES, LORENTZ_BERTHELOT, unmix
from lmbmd.forcefield.parametrize.molecules import bare

#: How far a particle's mass may be from its element's, amu.
MASS_TOLERANCE_AMU = 0.3
#: Parts of an OpenMM force-field file that run code or read other files.
UNSAFE = ("Script", "InitializationScript", "Include")
#: An attribute that OpenMM evaluates as Python, and what it may be.
_EVALUATED, _PLAIN = "useDispersionCorrection", ("True", "False", "1", "0")


@dataclass(frozen=True)
class Imported:
    """What a topology file says: terms, bonded pairs, positions in Å if it has them, and its combining rule."""

    terms: PlainTerms
    bonds: list[tuple[int, int]]
    positions_A: np.ndarray | None
    combining_rule: str
    kind: str


def read_topology(path: Path, coordinates: Path | None = None) -> Imported:
    """Read one molecule from an OpenMM force-field or System XML, a GROMACS .top or an AMBER .prmtop.

    An OpenMM force-field file says nothing about which atoms there are: it needs ``coordinates`` with residue and atom
    names (.pdb). A .itp alone lacks ``[ defaults ]``: write a .top that includes it.

    Raises:
        LmbmdError: if a file cannot be read, or has a force that a box cannot be built of.
    """
    for file in filter(None, (path, coordinates)):
        if not file.is_file():
            raise LmbmdError("there is no such file.", where=str(file), remedy="Check the name.")
    readers: dict[str, Callable[[Path, Path | None], Imported]] = {
        ".xml": _openmm,
        ".top": _gromacs,
        ".itp": _gromacs,
        ".prmtop": _amber,
        ".parm7": _amber,
    }
    if path.suffix not in readers:
        raise LmbmdError(
            f"'{path.suffix}' is no topology that lmbmd reads.", where=str(path), remedy=f"Give {', '.join(readers)}."
        )
    reader = readers[path.suffix]
    if path.suffix == ".top" and path.read_text(encoding="utf-8", errors="replace").startswith("%VERSION"):
        reader = _amber
    try:
        return reader(path, coordinates)
    except LmbmdError:
        raise
    except Exception as error:  # the readers of openmm.app raise whatever their parsing runs into
        what = f"it cannot be read: {type(error).__name__}: {' '.join(str(error).split())}"
        raise LmbmdError(
            what.rstrip(".") + ".", where=str(path), remedy="Check that the program that wrote it still reads it."
        ) from error


def _openmm(path: Path, coordinates: Path | None) -> Imported:
    root = ElementTree.parse(path).getroot()
    if root.tag == "System":
        system = read_system(path, forces=HARMLESS, remedy="Write the System anew with OpenMM.")
        rule = unmix(system)
        terms = read_terms(system, str(path))
        bonds = sorted({(min(i, j), max(i, j)) for i, j, *_ in terms.bonds})
        return Imported(terms, bonds, _positions(coordinates), rule, "OpenMM System")
    if root.tag != "ForceField":
        raise LmbmdError(f"<{root.tag}> is no OpenMM file.", where=str(path), remedy="Give a System or a ForceField.")
    if unsafe := sorted({e.tag for e in root.iter()} & set(UNSAFE)):
        raise LmbmdError(
            f"it has <{unsafe[0]}>, which would run code or read other files.",
            where=str(path),
            remedy="Remove it, or serialise the System of one molecule and give that.",
        )
    odd = next((v for e in root.iter() if (v := e.get(_EVALUATED, "True")) not in _PLAIN), None)
    if odd is not None:
        raise LmbmdError(
            f"{_EVALUATED} is '{odd[:60]}', which OpenMM would run as code.",
            where=str(path),
            remedy="Write True or False.",
        )
    if coordinates is None or coordinates.suffix != ".pdb":
        raise LmbmdError(
            "an OpenMM force field does not say which atoms there are.",
            where=str(path),
            remedy="Add --coordinates FILE.pdb with its residue and atom names, and CONECT records.",
        )
    pdb = app.PDBFile(str(coordinates))
    system = app.ForceField(str(path)).createSystem(
        pdb.topology, nonbondedMethod=app.NoCutoff, constraints=None, rigidWater=False, removeCMMotion=False
    )
    return Imported(
        read_terms(system, str(path)),
        _bonds(pdb.topology),
        _positions(coordinates),
        LORENTZ_BERTHELOT,
        "OpenMM force field",
    )


def _gromacs(path: Path, coordinates: Path | None) -> Imported:
    folder = path.resolve().parent
    top = app.GromacsTopFile(str(path), includeDir=str(folder))
    if top._defaults is None:
        raise LmbmdError(
            "it has no [ defaults ].",
            where=str(path),
            remedy="Give a .top with [ defaults ] and [ atomtypes ] that includes the molecule's .itp.",
        )
    function, rule = top._defaults[:2]
    if function != "1" or rule not in GROMACS_RULES:
        raise LmbmdError(
            f"its [ defaults ] have nbfunc {function} and combination rule {rule}.",
            where=str(path),
            remedy="lmbmd reads Lennard-Jones by sigma and epsilon: nbfunc 1 with rule 2 or 3.",
        )
    top._defaults[1] = "2"  # rule 3 would become a CustomNonbondedForce; its 1–4 pairs are mended below
    system = top.createSystem(nonbondedMethod=app.NoCutoff, constraints=None, rigidWater=False, removeCMMotion=False)
    terms = read_terms(system, str(path))
    if GROMACS_RULES[rule] == GEOMETRIC:
        terms = replace(terms, exceptions=[_geometric_14(terms, row) for row in terms.exceptions])
    return Imported(terms, _bonds(top.topology), _positions(coordinates), GROMACS_RULES[rule], "GROMACS topology")


def _amber(path: Path, coordinates: Path | None) -> Imported:
    prmtop = app.AmberPrmtopFile(str(path))
    system = prmtop.createSystem(
        nonbondedMethod=app.NoCutoff, constraints=None, rigidWater=False, removeCMMotion=False, implicitSolvent=None
    )
    terms = read_terms(system, str(path))
    return Imported(terms, _bonds(prmtop.topology), _positions(coordinates), LORENTZ_BERTHELOT, "AMBER topology")


def _geometric_14(terms: PlainTerms, row: tuple) -> tuple:
    """A generated 1–4 pair, which was mixed by rule 2, with σ of rule 3; a pair given by hand stays."""
    i, j, product, sigma, epsilon = row
    s1, s2 = terms.nonbonded[i][1], terms.nonbonded[j][1]
    if epsilon and math.isclose(sigma, 0.5 * (s1 + s2), rel_tol=1e-9):
        sigma = math.sqrt(s1 * s2)
    return i, j, product, sigma, epsilon


def _positions(path: Path | None) -> np.ndarray | None:
    if path is None:
        return None
    reader = {".pdb": app.PDBFile, ".gro": app.GromacsGroFile}.get(path.suffix, app.AmberInpcrdFile)
    return np.array(reader(str(path)).positions.value_in_unit(unit.angstrom))


def _bonds(topology: app.Topology) -> list[tuple[int, int]]:
    return sorted({(min(a.index, b.index), max(a.index, b.index)) for a, b in topology.bonds()})


def ordered_like(graph: Chem.Mol, imported: Imported, where: str) -> Chem.Mol:
    """``graph`` with its atoms in the order of the topology, found by elements and bonds.

    Raises:
        LmbmdError: if the topology is not one molecule of this graph.
    """
    masses = imported.terms.masses
    symbols = [_element(mass, i, where) for i, mass in enumerate(masses)]
    if len(symbols) != graph.GetNumAtoms():
        raise LmbmdError(
            f"it has {len(symbols)} atoms; the SMILES has {graph.GetNumAtoms()}.",
            where=where,
            remedy="Give the topology of exactly one molecule with all its hydrogens.",
        )
    other = Chem.RWMol()
    for symbol in symbols:
        other.AddAtom(Chem.Atom(symbol))
    for i, j in imported.bonds:
        other.AddBond(i, j, Chem.BondType.SINGLE)
    params = Chem.AdjustQueryParameters.NoAdjustments()
    params.makeBondsGeneric = True  # type: ignore[assignment]  # RDKit's stubs declare it as an enum
    query = Chem.AdjustQueryProperties(bare(graph), params)
    match = other.GetMol().GetSubstructMatch(query)
    if len(match) != len(symbols) or other.GetNumBonds() != graph.GetNumBonds():
        raise LmbmdError(
            "its elements and bonds are not those of the SMILES.",
            where=where,
            remedy="Check both; every bond must be in the topology.",
        )
    order = [0] * len(match)
    for ours, theirs in enumerate(match):
        order[theirs] = ours
    return Chem.RenumberAtoms(graph, order)


def _element(mass: float, index: int, where: str) -> str:
    best = min(range(1, 100), key=lambda z: abs(app.Element.getByAtomicNumber(z).mass._value - mass))
    element = app.Element.getByAtomicNumber(best)
    if abs(element.mass._value - mass) > MASS_TOLERANCE_AMU:
        raise LmbmdError(
            f"atom {index + 1} weighs {mass:g} amu, as no element does.",
            where=where,
            remedy="Masses must not be repartitioned between atoms.",
        )
    return element.symbol
