"""What is counted in a foreign topology, species and units of chains: their donor sites and their charges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.core.words import listed
from lmbmd.data.atoms import Role
from lmbmd.data.ions import IONS
from lmbmd.formulation.polymers.units import read_unit
from lmbmd.trajectory.mapping.chains import sites_of_unit, units_of
from lmbmd.trajectory.mapping.elements import is_element
from lmbmd.trajectory.mapping.graphs import Graph, graph_of_smiles, matched_atoms
from lmbmd.trajectory.mapping.topology import Topology, graphs_of
from lmbmd.trajectory.species_map import SpeciesEntry, SpeciesMap, UnitEntry


@dataclass(frozen=True, eq=False)
class Kind:
    """What is counted: a species of small molecules, or one kind of unit of a species of chains.

    Attributes:
        name, role: of the species or unit; chain: the species that a unit belongs to, or "".
        entry: what the map says of it; keys: where it says so.
        groups: atoms of each molecule or unit.
        cores: of units found by their SMILES, the atom for each heavy atom of its graph, one dictionary for each unit.
    """

    name: str
    role: Role
    chain: str
    entry: SpeciesEntry | UnitEntry
    keys: tuple[str, ...]
    groups: list[np.ndarray] = field(default_factory=list)
    cores: list[dict[int, int]] = field(default_factory=list)


def counted(
    topology: Topology, molecules: Sequence[tuple[int, np.ndarray]], species_map: SpeciesMap
) -> tuple[list[Kind], list[list[tuple[int, np.ndarray]]]]:
    """All kinds of what is counted, and for each molecule its units in order: their kind and their atoms.

    Raises:
        LmbmdError: as ``chains.units_of``, and if a unit of the map is in no chain.
    """
    kinds: list[Kind] = []
    place: dict[tuple[str, str], int] = {}
    for name, entry in species_map.species.items():
        for inner, said in entry.units.items():
            place[name, inner] = len(kinds)
            kinds.append(Kind(inner, said.role, name, said, ("species", name, "units", inner)))
        if not entry.units:
            place[name, ""] = len(kinds)
            kinds.append(Kind(name, species_map.role(name), "", entry, ("species", name)))
    names, rows = list(species_map.species), []
    for s, members in molecules:
        entry = species_map.species[names[s]]
        row = [(place.get((names[s], ""), -1), members)]
        if entry.units:
            found = units_of(topology, members, entry.units, species_map.where("species", names[s]))
            row = [(place[names[s], unit.kind], unit.atoms) for unit in found]
            for unit in found:
                kinds[place[names[s], unit.kind]].cores.append(unit.core)
        for k, atoms in row:
            kinds[k].groups.append(atoms)
        rows.append(row)
    for kind in kinds:
        if not kind.groups:
            what, remedy = "this unit is in no chain.", "Mend its SMILES or residue names, or leave it out."
            raise LmbmdError(what, where=species_map.where(*kind.keys), remedy=remedy)
    return kinds, rows


def sites_of(topology: Topology, kinds: Sequence[Kind], species_map: SpeciesMap) -> tuple[tuple[str, ...], np.ndarray]:
    """Site labels, and the site of each atom (−1 for none)."""
    labels: list[str] = []
    site_of = np.full(topology.n, -1)
    for kind in kinds:
        _check_sites_told(topology, kind, species_map)
        for site, rule in kind.entry.sites.items():
            where = species_map.where(*kind.keys, "sites", site)
            found = _site_atoms(topology, kind, rule, where)
            if len(found) == 0:
                first = kind.groups[0]
                choices = sorted(set(topology.element[first]) | set(topology.name[first]) - {""})
                raise LmbmdError(
                    f"the site '{rule}' finds no atom.",
                    where=where,
                    remedy=f"Elements and atom names of {kind.name}: {', '.join(choices)}.",
                )
            taken = found[site_of[found] >= 0]
            if len(taken):
                raise LmbmdError(
                    f"{topology.describe(taken[0])} is both '{labels[site_of[taken[0]]]}' and '{kind.name}:{site}'.",
                    where=where,
                    remedy="Each atom is one kind of site.",
                )
            site_of[found] = len(labels)
            labels.append(f"{kind.name}:{site}")
    return tuple(labels), site_of


#: Elements whose lone pairs an ion can sit at.
DONORS = ("N", "O", "F", "P", "S", "Cl", "Se", "Br", "I")


def _check_sites_told(topology: Topology, kind: Kind, species_map: SpeciesMap) -> None:
    """Refuse a species that could bind an ion and of which nobody says where: its CN would be 0 without a word."""
    if "sites" in kind.entry.model_fields_set or kind.name in species_map.centres:
        return
    if kind.role not in ("solvent", "anion", "additive", "polymer"):
        return
    elements = set(topology.element[np.concatenate(kind.groups)])
    if could := [element for element in DONORS if element in elements]:
        sites = ", ".join(f"{element}: {element}" for element in could)
        what = "unit" if kind.chain else kind.role
        raise LmbmdError(
            f"nothing says which atoms of the {what} are donors; {listed(could)} could be.",
            where=species_map.where(*kind.keys),
            remedy=f"Add those that are, such as 'sites: {{{sites}}}', or 'sites: {{}}' if none is.",
        )


def _site_atoms(topology: Topology, kind: Kind, rule: str | list[str | int], where: str) -> np.ndarray:
    atoms = np.concatenate(kind.groups)
    if isinstance(rule, list):
        wanted = [str(r) for r in rule]
        return atoms[np.isin(topology.name[atoms], wanted) | np.isin(topology.type[atoms], wanted)]
    if is_element(rule):
        return atoms[topology.element[atoms] == rule]
    if not kind.entry.smiles:
        raise LmbmdError(
            f"'{rule}' is no element, and as a SMARTS it needs the molecule's bond orders.",
            where=where,
            remedy=f"Add 'smiles:' to the species, or give atom names as a list: [{rule}].",
        )
    if kind.chain:
        return _unit_atoms(topology, kind, rule, where)
    graphs = graphs_of(topology, kind.groups)
    found: dict[Graph, list[int]] = {}
    for graph in set(graphs):
        found[graph] = matched_atoms(graph, kind.entry.smiles, rule, where)
    return np.concatenate([members[found[graph]] for members, graph in zip(kind.groups, graphs, strict=True)])


def _unit_atoms(topology: Topology, kind: Kind, rule: str, where: str) -> np.ndarray:
    """Atoms of units that a SMARTS finds in the unit's SMILES, which says nothing of end groups.

    Raises:
        LmbmdError: if an end group has an atom of an element that the SMARTS takes.
    """
    unit = read_unit(kind.entry.smiles or "", where)
    picked = sites_of_unit(unit, rule, where)
    found = np.array([core[i] for core in kind.cores for i in picked], np.int64)
    taken = {unit.GetAtomWithIdx(i).GetSymbol() for i in picked}
    for atoms, core in zip(kind.groups, kind.cores, strict=True):
        for atom in np.setdiff1d(atoms, list(core.values())):
            if topology.element[atom] in taken:
                raise LmbmdError(
                    f"{topology.describe(atom)} is in an end group, of which a SMARTS of the unit says nothing.",
                    where=where,
                    remedy=f"Give the site as an element ({topology.element[atom]}) or as a list of atom names.",
                )
    return found


def charges_of(topology: Topology, kinds: Sequence[Kind], species_map: SpeciesMap) -> list[int]:
    """Formal charge of each species and unit; given, or from SMILES, ion and role.

    Raises:
        LmbmdError: if they do not add up to zero over the box, or to the map's ``net_charge``.
    """
    charges = []
    for kind in kinds:
        where = species_map.where(*kind.keys)
        charge = _charge(topology, kind, where)
        if (kind.role == "cation") != (charge > 0) or (kind.role == "anion") != (charge < 0):
            raise LmbmdError(
                f"its role is {kind.role}, its charge {charge:+d}.",
                where=where,
                remedy="Mend the role or the charge.",
            )
        charges.append(charge)
    total = sum(charge * len(kind.groups) for kind, charge in zip(kinds, charges, strict=True))
    if total != species_map.net_charge:
        said = ", ".join(
            f"{len(kind.groups)} × {kind.name} {charge:+d}"
            for kind, charge in zip(kinds, charges, strict=True)
            if charge
        )
        raise LmbmdError(
            f"the charges add up to {total:+d}"
            + (f", not to the net_charge {species_map.net_charge:+d}" if species_map.net_charge else "")
            + f": {said}.",
            where=species_map.where("species"),
            remedy="A liquid is neutral: mend a charge (charge: …), or look whether molecules are counted wrongly. "
            "Only a box that was simulated with a net charge says so in the map: net_charge.",
        )
    return charges


def _charge(topology: Topology, kind: Kind, where: str) -> int:
    if kind.entry.charge is not None:
        return kind.entry.charge
    if kind.entry.smiles:
        if kind.chain:
            return sum(a.GetFormalCharge() for a in read_unit(kind.entry.smiles, where).GetAtoms())
        return graph_of_smiles(kind.entry.smiles, where).charge
    if kind.role == "anion":
        return -1
    if kind.role == "cation":
        first = kind.groups[0]
        if len(first) > 1 or topology.element[first[0]] not in IONS:
            raise LmbmdError("its charge is not known.", where=where, remedy="Add a line 'charge: …'.")
        return IONS[topology.element[first[0]]].charge
    return 0
