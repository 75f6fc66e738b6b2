"""The species map: a short YAML file that says which atoms of a foreign topology are which species."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from math import inf
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.validation import place, validated
from lmbmd.core.yamlfile import Lines, read_yaml
from lmbmd.data.atoms import ROLES, Role
from lmbmd.data.sites import CutoffRadius, named_cutoffs, site_keys

_STRICT = ConfigDict(frozen=True, extra="forbid", strict=True)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.+]*")
_RANGE = re.compile(r"\s*(\d+)\s*(?:-\s*(\d+)\s*)?")


def _texts(given: str | int | list[str | int] | None) -> tuple[str, ...]:
    """One name or several, as text."""
    return tuple(str(name) for name in (given if isinstance(given, list) else [given]) if name is not None)


class UnitEntry(BaseModel):
    """One kind of unit of a chain: how to find it, and where its donor sites are.

    Attributes:
        resname: residue name, or several: each residue of the chain is then a unit.
        smiles: of the repeat unit, with two attachment points, ``[*:1]CCO[*:2]``: the chain is cut into copies of it
            by its bonds, and what is left over at an end belongs to the last unit there.
        role: polymer, or anion or cation for an ion that is tied to the chain.
        charge: formal, of a unit inside the chain; 0 if not given, of an anion −1.
        sites: as of a species; a SMARTS is looked up in ``smiles``.
    """

    model_config = _STRICT

    resname: str | int | list[str | int] | None = None
    smiles: str | None = None
    role: Role = "polymer"
    charge: int | None = Field(None, ge=-20, le=20)
    sites: dict[str, str | list[str | int]] = {}

    @property
    def resnames(self) -> tuple[str, ...]:
        """Residue names as a tuple of text."""
        return _texts(self.resname)


class SpeciesEntry(BaseModel):
    """One species: how to find its atoms, what it is, where its donor sites are.

    Attributes:
        resname: residue name, or several.
        smiles: SMILES of one molecule. Alone, it finds the molecules by their bonds; beside ``resname`` or
            ``atoms`` it tells the bond orders and charges that SMARTS sites need.
        formula: of one molecule, as C4H10O2: a sign by which molecules are told apart where a file has no bonds.
        atoms: atom numbers from 1, as in PDB, GRO and LAMMPS files: ``"1-75, 90-120"``.
        atoms_per_molecule: where the file does not tell molecules apart and the atoms of each follow one another.
        polydisperse: whether its molecules are chains of several lengths; otherwise all have one formula.
        units: kinds of units by name, where its molecules are chains that are counted unit by unit. Units by residue
            name select the chains, too, if nothing else does.
        role: cation, anion, solvent, polymer (of a species with units), diluent or additive; the centre needs none.
        charge: formal charge; otherwise from ``smiles``, or the element of the centre, or −1 for an anion.
        sites: name of each kind of donor site, and its atoms: an element, a SMARTS (its first atom), or a list of
            atom names or types.
    """

    model_config = _STRICT

    resname: str | int | list[str | int] | None = None
    smiles: str | None = None
    formula: str | None = None
    atoms: str | int | list[str | int] | None = None
    atoms_per_molecule: int | None = Field(None, ge=1)
    polydisperse: bool = False
    units: dict[str, UnitEntry] = {}
    role: Role | None = None
    charge: int | None = Field(None, ge=-20, le=20)
    sites: dict[str, str | list[str | int]] = {}

    @property
    def resnames(self) -> tuple[str, ...]:
        """Residue names as a tuple of text."""
        if self.resname is None and self.smiles is None and self.atoms is None:
            return tuple(name for unit in self.units.values() for name in unit.resnames)
        return _texts(self.resname)

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Atom ranges as (first, last), numbered from 1, both included."""
        given = self.atoms if isinstance(self.atoms, list) else str(self.atoms or "").split(",")
        parts = [str(part) for part in given if str(part).strip()]
        found = [m for part in parts if (m := _RANGE.fullmatch(part))]
        if len(found) < len(parts):
            raise ValueError(f"'{self.atoms}' is no list of atom ranges")
        return tuple((int(m[1]), int(m[2] or m[1])) for m in found)


class _Map(BaseModel):
    model_config = _STRICT

    centre: str | list[str]
    species: dict[str, dict[str, Any]]
    cutoffs: dict[str, CutoffRadius] = {}
    elements: dict[str, str] = {}
    not_atoms: list[str] = []
    net_charge: int = Field(0, ge=-1000, le=1000)
    box: list[float | int] | None = Field(None, min_length=3, max_length=6)
    topology_box_is_wrong: bool = False
    frame_interval_ps: float | int | None = Field(None, gt=0, le=1e9)
    clock_is_wrong: bool = False


class SpeciesMap(BaseModel):
    """Which atoms of a foreign topology are which species.

    Attributes:
        path: the file it came from, for messages.
        centres: the ions looked from.
        species: species by name, in the order of the file.
        cutoffs_A: first-shell radii by site, ``"FSI:O"``, or by centre and site, ``"Li-FSI:O"``, Å.
        elements: element of each atom name or type, where the topology does not tell.
        not_atoms: names or types of sites that are no atoms: virtual sites, lone pairs, Drude particles, shells.
        net_charge: what the charges of the box add up to, if that was not zero.
        box: edges in Å and, if given, angles in degrees, where the trajectory has no box.
        topology_box_is_wrong: whether ``box`` counts, whatever box the topology states.
        frame_interval_ps: time between stored frames, where the trajectory does not tell.
        clock_is_wrong: whether ``frame_interval_ps`` counts, whatever the trajectory tells of times.
    """

    model_config = _STRICT

    path: str
    centres: tuple[str, ...]
    species: dict[str, SpeciesEntry]
    cutoffs_A: dict[str, float]
    elements: dict[str, str]
    not_atoms: tuple[str, ...]
    net_charge: int
    box: tuple[float, ...] | None
    topology_box_is_wrong: bool
    frame_interval_ps: float | None
    clock_is_wrong: bool

    def role(self, name: str) -> Role:
        """The role of a species; the centre, which needs none in the file, is a cation."""
        return self.species[name].role or "cation"

    def where(self, *keys: str) -> str:
        """A place in the file, for messages."""
        return ":".join([self.path, ".".join(keys)])


def load(path: str | os.PathLike[str]) -> SpeciesMap:
    """Read and check a species map.

    Raises:
        LmbmdError: naming the file, the key and the nearest valid one, for any fault that can be seen without the
            topology: unknown keys, no or two selectors, a missing role, a centre or cut-off that is no species.
    """
    path = Path(path)
    data, lines = read_yaml(path)
    return from_mapping(data, path=path, lines=lines)


def from_mapping(
    data: Mapping[str, Any], *, path: Path = Path("species map"), lines: Lines | None = None
) -> SpeciesMap:
    """A species map from plain data, checked as ``load`` checks a file."""
    lines = lines or {}
    raw = validated(_Map, data, path=path, lines=lines)
    species = {}
    for name, entry in raw.species.items():
        inner = {key[2:]: line for key, line in lines.items() if key[:2] == ("species", name)}
        species[name] = validated(SpeciesEntry, entry, path=Path(f"{path}:species.{name}"), lines=inner)
    centres = tuple(raw.centre) if isinstance(raw.centre, list) else (raw.centre,)
    for name in centres:
        if name not in species:
            raise LmbmdError(
                f"the centre '{name}' is not among the species.", where=f"{path}:centre", remedy=nearest(name, species)
            )
    for name, checked in species.items():
        _check_entry(name, checked, name in centres, f"{path}:species.{name}")
    if raw.clock_is_wrong and raw.frame_interval_ps is None:
        what = "the file's own times are to be wrong, but the right ones are not told."
        raise LmbmdError(what, where=f"{path}:clock_is_wrong", remedy="Add a line 'frame_interval_ps: …'.")
    if raw.topology_box_is_wrong and raw.box is None:
        what = "the topology's box is to be wrong, but the right one is not told."
        raise LmbmdError(what, where=f"{path}:topology_box_is_wrong", remedy="Add a line 'box: [x, y, z]', in Å.")
    units = [(name, unit) for checked in species.values() for name, unit in checked.units.items()]
    _check_names([*(name for name, checked in species.items() if not checked.units), *(n for n, _ in units)], path)
    sites = [f"{name}:{site}" for name, checked in species.items() for site in checked.sites]
    sites += [f"{name}:{site}" for name, unit in units for site in unit.sites]
    interval = None if raw.frame_interval_ps is None else float(raw.frame_interval_ps)
    return SpeciesMap(
        path=str(path),
        centres=centres,
        species=species,
        elements=raw.elements,
        not_atoms=tuple(raw.not_atoms),
        net_charge=raw.net_charge,
        box=_box(raw.box, f"{path}:box"),
        topology_box_is_wrong=raw.topology_box_is_wrong,
        frame_interval_ps=interval,
        clock_is_wrong=raw.clock_is_wrong,
        cutoffs_A=named_cutoffs(
            raw.cutoffs, site_keys(centres, sites), where=lambda key: f"{path}:{place(('cutoffs', key), lines)}"
        ),
    )


def _check_names(counted: list[str], path: Path) -> None:
    twice = next((name for name in counted if counted.count(name) > 1), None)
    if twice:
        what = f"two species or units are named '{twice}'."
        raise LmbmdError(what, where=f"{path}:species", remedy="Each needs a name of its own.")


def _box(given: list[float | int] | None, where: str) -> tuple[float, ...] | None:
    """Edges (Å) and angles (degrees) of a told box."""
    from MDAnalysis.lib.mdamath import triclinic_vectors

    if given is None:
        return None
    if len(given) not in (3, 6):
        raise LmbmdError(
            f"it has {len(given)} numbers.", where=where, remedy="Give 3 edges in Å, or 3 edges and 3 angles."
        )
    found = tuple(float(x) for x in (*given, *(90.0,) * (6 - len(given))))
    right = all(0 < edge < inf for edge in found[:3]) and all(0 < angle < 180 for angle in found[3:])
    if not right or not triclinic_vectors(found).any():
        remedy = "Edges are positive (Å), angles below 180° and such that three edges can meet at them."
        raise LmbmdError(f"{list(given)} is no box.", where=where, remedy=remedy)
    return found


def _check_entry(name: str, entry: SpeciesEntry, is_centre: bool, where: str) -> None:
    def refuse(what: str, remedy: str) -> None:
        raise LmbmdError(what, where=where, remedy=remedy)

    if not _NAME.fullmatch(name):
        refuse(f"'{name}' is no species name.", "Use letters, digits, '_', '.' and '+'.")
    if not (entry.resnames or entry.atoms is not None or entry.smiles):
        refuse("nothing says which atoms these are.", "Give resname, smiles or atoms.")
    if entry.resnames and entry.atoms is not None:
        refuse("both resname and atoms say which atoms these are.", "Give one of them.")
    try:
        backwards = any(not 1 <= first <= last for first, last in entry.ranges)
    except ValueError:
        refuse(f"'{entry.atoms}' is no list of atom ranges.", "Write them as '1-75' or '1-75, 90-120', from 1.")
    if entry.atoms is not None and (backwards or not entry.ranges):
        refuse(f"the atom range '{entry.atoms}' is empty or starts below 1.", "Atoms are numbered from 1.")
    if is_centre and entry.role not in (None, "cation"):
        refuse(f"the centre has the role '{entry.role}'.", "A centre is a monatomic cation; leave its role out.")
    if is_centre and entry.sites:
        refuse("the centre has donor sites.", "Sites belong to its partners; leave them out here.")
    if not is_centre and entry.role is None:
        refuse("the role is missing.", f"Add one of: role: {', '.join(ROLES)}.")
    for site in (*entry.sites, *(site for unit in entry.units.values() for site in unit.sites)):
        if not _NAME.fullmatch(site):
            refuse(f"'{site}' is no site name.", "Use letters, digits, '_', '.' and '+'.")
    if entry.role == "polymer" and not entry.units:
        refuse(
            "nothing says what the units of its chains are.",
            "Add them by their SMILES, such as 'units: {EO: {smiles: \"[*:1]CCO[*:2]\", sites: {O: O}}}', or by "
            "residue names, such as 'units: {EO: {resname: PEO, sites: {O: O}}}'; or give the role 'solvent': a chain "
            "then counts as one molecule.",
        )
    if entry.units:
        _check_units(entry, where)


def _check_units(entry: SpeciesEntry, where: str) -> None:
    def refuse(what: str, remedy: str, *keys: str) -> None:
        raise LmbmdError(what, where=".".join([where, *keys]), remedy=remedy)

    if entry.role != "polymer":
        refuse(f"it has units and the role '{entry.role}'.", "Give it the role 'polymer'; its units may be ions.")
    for key in ("sites", "charge"):
        if key in entry.model_fields_set:
            refuse(f"'{key}' of a chain is that of its units.", f"Give {key} to the units.", key)
    by_residue = [bool(unit.resnames) for unit in entry.units.values()]
    if any(by_residue) and not all(by_residue):
        refuse("some units are told by residues and some by their SMILES.", "Tell all in one way.", "units")
    seen: dict[str, str] = {}
    for name, unit in entry.units.items():
        if not _NAME.fullmatch(name):
            refuse(f"'{name}' is no name of a unit.", "Use letters, digits, '_', '.' and '+'.", "units")
        if bool(unit.resnames) == bool(unit.smiles):
            refuse("a unit is told by its residue name or by its SMILES.", "Give one of them.", "units", name)
        if unit.role not in ("polymer", "anion", "cation"):
            refuse(f"a unit has no role '{unit.role}'.", "It is polymer, anion or cation.", "units", name, "role")
        for resname in unit.resnames:
            if seen.setdefault(resname, name) != name:
                refuse(f"residue '{resname}' is both '{seen[resname]}' and '{name}'.", "Give it to one.", "units")
