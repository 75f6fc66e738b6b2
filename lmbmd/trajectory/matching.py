"""From a foreign topology and a species map to an atom table: elements, molecules, sites, charges."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.data.atoms import AtomTable, SpeciesInfo
from lmbmd.data.bonds import parents
from lmbmd.trajectory.graphs import (
    Graph,
    elements,
    formula,
    graph_of_smiles,
    is_element,
    masses,
    matched_atoms,
    same_graph,
)

if TYPE_CHECKING:
    from lmbmd.trajectory.species_map import SpeciesEntry, SpeciesMap

#: Charges of ions that need no ``charge`` in a species map.
_ION_CHARGE = {"Li": 1, "Na": 1, "K": 1, "Rb": 1, "Cs": 1, "Mg": 2, "Ca": 2, "Sr": 2, "Ba": 2, "Zn": 2, "Al": 3}


class Topology:
    """The arrays of a Universe that matching needs, with "" or None where the file does not tell."""

    def __init__(self, universe: Any, overrides: dict[str, str], where: str) -> None:
        atoms = universe.atoms
        self.n = len(atoms)
        self.resindex = np.asarray(atoms.resindices)
        self.resname = _text(atoms, "resnames", self.n)
        self.resid = _text(atoms, "resids", self.n)
        self.name = _text(atoms, "names", self.n)
        self.type = _text(atoms, "types", self.n)
        self.charge = np.asarray(atoms.charges, float) if hasattr(atoms, "charges") else np.full(self.n, np.nan)
        bonds = atoms.bonds.indices if hasattr(atoms, "bonds") else ()
        self.bonds = np.asarray(bonds, dtype=np.int64).reshape(-1, 2)
        alone = (np.bincount(self.resindex) == 1)[self.resindex]
        self.element = elements(
            _text(atoms, "elements", self.n), self.name, self.type, _told_masses(universe), alone, overrides, where
        )

    def describe(self, atom: int) -> str:
        """An atom as a message names it, numbered from 1."""
        facts = [f"atom {atom + 1}"]
        if self.name[atom]:
            facts.append(f"name {self.name[atom]}")
        if self.type[atom] and self.type[atom] != self.name[atom]:
            facts.append(f"type {self.type[atom]}")
        facts.append(f"residue {self.resname[atom]} {self.resid[atom]}".replace("  ", " "))
        return ", ".join(facts)


def _text(atoms: Any, attribute: str, n: int) -> np.ndarray:
    values = getattr(atoms, attribute, None)
    return np.full(n, "", dtype=object) if values is None else np.array([str(v).strip() for v in values], dtype=object)


def _told_masses(universe: Any) -> np.ndarray | None:
    """Masses that the topology file states; MDAnalysis' guesses are no source of elements."""
    attribute = getattr(universe._topology, "masses", None)
    return None if attribute is None or attribute.is_guessed else np.asarray(universe.atoms.masses, float)


def match(universe: Any, species_map: SpeciesMap) -> tuple[AtomTable, np.ndarray | None]:
    """See ``species_map.atom_table``."""
    topology = Topology(universe, species_map.elements, species_map.where("elements"))
    fragment = _components(topology.n, topology.bonds) if len(topology.bonds) else None
    owner = _owners(topology, fragment, species_map)
    molecules: list[tuple[int, np.ndarray]] = []
    for s, (name, entry) in enumerate(species_map.species.items()):
        mine = np.flatnonzero(owner == s)
        split = _molecules(topology, fragment, mine, entry, species_map, name)
        molecules += [(s, members) for members in split]
    molecules.sort(key=lambda m: m[1][0])
    order = np.concatenate([members for _, members in molecules])
    sizes = [len(members) for _, members in molecules]
    sites, site_of = _sites(topology, molecules, species_map)
    charges = _charges(topology, molecules, species_map)
    infos = tuple(SpeciesInfo(n, species_map.role(n), charges[n]) for n in species_map.species)
    atoms = AtomTable(
        species=infos,
        sites=sites,
        species_id=owner[order].astype(np.int32),
        molecule=np.repeat(np.arange(len(sizes)), sizes).astype(np.int32),
        site_id=site_of[order].astype(np.int32),
        element=topology.element[order],
        name=np.where(topology.name == "", topology.type, topology.name)[order],
        mass_amu=masses(topology.element)[order],
        charge_e=topology.charge[order],
        **_bonds(topology, [members for _, members in molecules]),
    )
    return atoms, None if np.array_equal(order, np.arange(topology.n)) else order


def _bonds(topology: Topology, molecules: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    """Bonds and parents of all atoms, in the order of the molecules; nothing if the topology has no bonds."""
    if not len(topology.bonds):
        return {}
    starts = np.cumsum([0, *map(len, molecules)])
    graphs = _graphs(topology, molecules)
    own = [np.asarray(parents(len(graph.elements), graph.bonds)) for graph in graphs]
    each = zip(starts, graphs, strict=False)
    return {
        "parent": np.concatenate([start + mine for start, mine in zip(starts, own, strict=False)]).astype(np.int32),
        "bonds": np.concatenate([start + np.array(graph.bonds, np.int64).reshape(-1, 2) for start, graph in each]),
    }


def _owners(topology: Topology, fragment: np.ndarray | None, species_map: SpeciesMap) -> np.ndarray:
    """The species of each atom.

    Raises:
        LmbmdError: if a species finds no atom, or an atom belongs to none or to two.
    """
    names = list(species_map.species)
    owner = np.full(topology.n, -1)
    for s, (name, entry) in enumerate(species_map.species.items()):
        mine = _selected(topology, fragment, entry, species_map, name)
        taken = mine[owner[mine] >= 0]
        if len(taken):
            raise LmbmdError(
                f"{topology.describe(taken[0])} belongs to both '{names[owner[taken[0]]]}' and '{name}'.",
                where=species_map.where("species", name),
                remedy="Each atom has one species: mend resname, smiles or atoms.",
            )
        owner[mine] = s
    missing = np.flatnonzero(owner < 0)
    if len(missing):
        kinds = Counter(topology.resname[missing]).most_common(3)
        listed = ", ".join(f"{n} in {kind}" for kind, n in kinds if kind)
        raise LmbmdError(
            f"{len(missing)} of {topology.n} atoms belong to no species, the first is {topology.describe(missing[0])}"
            f"{f' ({listed})' if listed else ''}.",
            where=species_map.where("species"),
            remedy="Add a species for them; densities need every molecule of the box.",
        )
    return owner


def _selected(
    topology: Topology, fragment: np.ndarray | None, entry: SpeciesEntry, species_map: SpeciesMap, name: str
) -> np.ndarray:
    if entry.resnames:
        present = sorted(set(topology.resname) - {""})
        for wanted in entry.resnames:
            if wanted not in present:
                remedy = nearest(wanted, present) if present else "This topology has none; use smiles or atoms."
                raise LmbmdError(
                    f"no residue is named '{wanted}'.",
                    where=species_map.where("species", name, "resname"),
                    remedy=remedy,
                )
        return np.flatnonzero(np.isin(topology.resname, entry.resnames))
    if entry.ranges:
        last = max(last for _, last in entry.ranges)
        if last > topology.n:
            raise LmbmdError(
                f"atom {last} is beyond the last, {topology.n}.",
                where=species_map.where("species", name, "atoms"),
                remedy="Atoms are numbered from 1.",
            )
        return np.unique(np.concatenate([np.arange(a - 1, b) for a, b in entry.ranges]))
    if fragment is None:
        raise LmbmdError(
            "the topology has no bonds, so that a SMILES finds nothing.",
            where=species_map.where("species", name, "smiles"),
            remedy="Add resname or atoms, or give a topology with bonds: PSF, PRMTOP, LAMMPS data, PDB with CONECT.",
        )
    wanted = graph_of_smiles(entry.smiles, species_map.where("species", name, "smiles"))
    groups = _groups(fragment, np.arange(topology.n))
    same = _matching(topology, groups, wanted)
    if not same:
        formulas = sorted({formula(topology.element[g]) for g in groups})
        raise LmbmdError(
            f"no molecule of the topology is '{entry.smiles}' ({formula(wanted.elements)}).",
            where=species_map.where("species", name, "smiles"),
            remedy=f"By their bonds, its molecules are {', '.join(formulas[:12])}.",
        )
    return np.sort(np.concatenate(same))


def _matching(topology: Topology, groups: Sequence[np.ndarray], wanted: Graph) -> list[np.ndarray]:
    """The groups of atoms whose bond graph is ``wanted``; each distinct graph is compared once."""
    needed = Counter(wanted.elements)
    candidates = [g for g in groups if len(g) == len(wanted.elements) and Counter(topology.element[g]) == needed]
    verdict: dict[Graph, bool] = {}
    found = []
    for group, graph in zip(candidates, _graphs(topology, candidates), strict=True):
        if graph not in verdict:
            verdict[graph] = same_graph(graph, wanted)
        if verdict[graph]:
            found.append(group)
    return found


def _graphs(topology: Topology, groups: Sequence[np.ndarray]) -> list[Graph]:
    """Elements and bonds of each group, atoms numbered from 0 within it."""
    place, group_of = np.full(topology.n, -1), np.full(topology.n, -1)
    for g, members in enumerate(groups):
        place[members], group_of[members] = np.arange(len(members)), g
    inside = topology.bonds[(group_of[topology.bonds[:, 0]] >= 0) & (group_of[topology.bonds[:, 1]] >= 0)]
    inside = inside[group_of[inside[:, 0]] == group_of[inside[:, 1]]] if len(inside) else inside
    bonds: list[list[tuple[int, int]]] = [[] for _ in groups]
    for i, j in inside:
        a, b = int(place[i]), int(place[j])
        bonds[group_of[i]].append((min(a, b), max(a, b)))
    return [Graph(tuple(topology.element[members]), tuple(sorted(set(bonds[g])))) for g, members in enumerate(groups)]


def _components(n: int, bonds: np.ndarray) -> np.ndarray:
    """Number of the connected component of each atom."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(bonds), bool), (bonds[:, 0], bonds[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def _groups(label: np.ndarray, members: np.ndarray) -> list[np.ndarray]:
    """``members`` split by ``label[members]``, each group ascending, groups by first member."""
    by_label = members[np.argsort(label[members], kind="stable")]
    groups = np.split(by_label, np.flatnonzero(np.diff(label[by_label])) + 1) if len(members) else []
    return sorted(groups, key=lambda g: g[0])


def _molecules(
    topology: Topology,
    fragment: np.ndarray | None,
    mine: np.ndarray,
    entry: SpeciesEntry,
    species_map: SpeciesMap,
    name: str,
) -> list[np.ndarray]:
    """The atoms of a species, molecule by molecule.

    Bonds decide; where they do not give equal molecules (an incomplete CONECT), residues joined by bonds do; where
    there are no bonds, residues.
    """
    where = species_map.where("species", name)
    if entry.atoms_per_molecule or name in species_map.centres:
        size = entry.atoms_per_molecule or 1
        if len(mine) % size:
            raise LmbmdError(
                f"{len(mine)} atoms do not divide into molecules of {size}.",
                where=where,
                remedy="Mend atoms_per_molecule or the selection.",
            )
        groups = list(mine.reshape(-1, size))
        if name in species_map.centres and size > 1:
            raise LmbmdError("a centre has one atom.", where=where, remedy="Leave atoms_per_molecule out.")
        if name in species_map.centres and len(set(topology.element[mine])) > 1:
            raise LmbmdError(
                f"the centre is made of {formula(topology.element[mine])}.",
                where=where,
                remedy="A centre is a monatomic ion; mend the selection or the elements.",
            )
        return _checked(topology, groups, where)
    residue = topology.resindex
    if fragment is None:
        return _checked(topology, _groups(residue, mine), where)
    groups = _groups(fragment, mine)
    if not _alike(topology, groups):
        # Atoms of one residue hang together too.
        first = np.unique(residue, return_index=True)[1]
        joined = np.column_stack([np.arange(topology.n), first[np.searchsorted(np.unique(residue), residue)]])
        groups = _groups(_components(topology.n, np.concatenate([topology.bonds, joined])), mine)
    return _checked(topology, groups, where)


def _alike(topology: Topology, groups: Sequence[np.ndarray]) -> bool:
    formulas = {tuple(sorted(topology.element[g])) for g in groups}
    return len(formulas) == 1


def _checked(topology: Topology, groups: list[np.ndarray], where: str) -> list[np.ndarray]:
    if _alike(topology, groups):
        return groups
    counted = Counter(formula(topology.element[g]) for g in groups).most_common(3)
    raise LmbmdError(
        f"its molecules differ: {', '.join(f'{n} × {formula}' for formula, n in counted)}.",
        where=where,
        remedy="A species is one kind of molecule. If residue numbers repeat, give atoms_per_molecule or a topology "
        "with bonds; if these are several species, map them one by one.",
    )


def _sites(
    topology: Topology, molecules: Sequence[tuple[int, np.ndarray]], species_map: SpeciesMap
) -> tuple[tuple[str, ...], np.ndarray]:
    """Site labels, and the site of each atom (−1 for none)."""
    labels: list[str] = []
    site_of = np.full(topology.n, -1)
    for s, (name, entry) in enumerate(species_map.species.items()):
        groups = [members for owner, members in molecules if owner == s]
        for site, rule in entry.sites.items():
            where = species_map.where("species", name, "sites", site)
            found = _site_atoms(topology, groups, rule, entry, where)
            if len(found) == 0:
                choices = sorted(set(topology.element[groups[0]]) | set(topology.name[groups[0]]) - {""})
                raise LmbmdError(
                    f"the site '{rule}' finds no atom.",
                    where=where,
                    remedy=f"Elements and atom names of {name}: {', '.join(choices)}.",
                )
            taken = found[site_of[found] >= 0]
            if len(taken):
                raise LmbmdError(
                    f"{topology.describe(taken[0])} is both '{labels[site_of[taken[0]]]}' and '{name}:{site}'.",
                    where=where,
                    remedy="Each atom is one kind of site.",
                )
            site_of[found] = len(labels)
            labels.append(f"{name}:{site}")
    return tuple(labels), site_of


def _site_atoms(
    topology: Topology, groups: Sequence[np.ndarray], rule: str | list[str | int], entry: SpeciesEntry, where: str
) -> np.ndarray:
    atoms = np.concatenate(groups)
    if isinstance(rule, list):
        wanted = [str(r) for r in rule]
        return atoms[np.isin(topology.name[atoms], wanted) | np.isin(topology.type[atoms], wanted)]
    if is_element(rule):
        return atoms[topology.element[atoms] == rule]
    if not entry.smiles:
        raise LmbmdError(
            f"'{rule}' is no element, and as a SMARTS it needs the molecule's bond orders.",
            where=where,
            remedy=f"Add 'smiles:' to the species, or give atom names as a list: [{rule}].",
        )
    graphs = _graphs(topology, groups)
    found: dict[Graph, list[int]] = {}
    for graph in set(graphs):
        found[graph] = matched_atoms(graph, entry.smiles, rule, where)
    picked = [members[found[graph]] for members, graph in zip(groups, graphs, strict=True)]
    return np.concatenate(picked) if picked else np.empty(0, np.int64)


def _charges(
    topology: Topology, molecules: Sequence[tuple[int, np.ndarray]], species_map: SpeciesMap
) -> dict[str, int]:
    """Formal charge of each species; given, or from SMILES, ion and role.

    Raises:
        LmbmdError: if they do not add up to zero over the box and any of them was not given.
    """
    first = dict(reversed(molecules))
    count = Counter(s for s, _ in molecules)
    charges, told = {}, True
    for s, (name, entry) in enumerate(species_map.species.items()):
        role, where = species_map.role(name), species_map.where("species", name)
        if entry.charge is not None:
            charges[name] = entry.charge
        elif entry.smiles:
            charges[name] = graph_of_smiles(entry.smiles, where).charge
        elif role == "anion":
            charges[name], told = -1, False
        elif role == "cation":
            element = topology.element[first[s][0]]
            if len(first[s]) > 1 or element not in _ION_CHARGE:
                raise LmbmdError("its charge is not known.", where=where, remedy="Add a line 'charge: …'.")
            charges[name], told = _ION_CHARGE[element], False
        else:
            charges[name] = 0
        if (role == "cation") != (charges[name] > 0) or (role == "anion") != (charges[name] < 0):
            raise LmbmdError(
                f"its role is {role}, its charge {charges[name]:+d}.",
                where=where,
                remedy="Mend the role or the charge.",
            )
    names = list(species_map.species)
    total = sum(charges[names[s]] * n for s, n in count.items())
    if total and not told:
        listed = ", ".join(
            f"{n} × {names[s]} {charges[names[s]]:+d}" for s, n in sorted(count.items()) if charges[names[s]]
        )
        raise LmbmdError(
            f"the charges add up to {total:+d}: {listed}.",
            where=species_map.where("species"),
            remedy="Give 'charge:' for every ion; then the sum is taken as it is.",
        )
    return charges
