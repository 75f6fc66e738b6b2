"""From a foreign topology and a species map to an atom table: elements, molecules, sites, charges.

Nothing is guessed: what a file does not state is told by the map, or follows from two independent signs, or is asked.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.words import listed
from lmbmd.data.atoms import AtomTable, Role, SpeciesInfo
from lmbmd.data.bonds import hill_formula, parents
from lmbmd.data.ions import IONS
from lmbmd.formulation.polymers.units import read_unit
from lmbmd.trajectory.mapping import molecules as who
from lmbmd.trajectory.mapping.chains import sites_of_unit, units_of
from lmbmd.trajectory.mapping.elements import (
    UNITED_AMU,
    Evidence,
    assigned,
    by_mass,
    by_name,
    ion_by_name,
    is_element,
    is_meant,
    weights,
    without_repartition,
)
from lmbmd.trajectory.mapping.graphs import Graph, graph_of_smiles, matched_atoms, same_graph
from lmbmd.trajectory.species_map import SpeciesEntry, SpeciesMap, UnitEntry

#: Files that may list some of their bonds only. Others are what a simulation was run from, or name all bonds.
_SOME_BONDS = (".pdb", ".ent", ".brk", ".pdbqt", ".xpdb", ".pqr", ".cif", ".mmcif", ".mmtf", ".gro", ".xyz")
#: Masses of a file are used where a molecule's differs by more than this share from that of its elements.
_OTHER_MASS = 0.005


class Topology:
    """The arrays of a Universe that matching needs, with "" or None where the file does not tell.

    Attributes:
        real: (n,) where each atom stands in the file; sites that the map calls no atoms are left out.
        bonds: (m, 2) bonds of the file between atoms, without those that touch an ion of one atom.
        all_bonds: whether the file names every bond.
        near: (m, 2) pairs of atoms as near as bonded ones in the first frame, or None if positions tell nothing.
        mass: (n,) masses that the file states, amu, or None.

    Args:
        assign: makes elements of the evidence, as ``elements.assigned``.
    """

    def __init__(self, universe: Any, species_map: SpeciesMap, assign: Callable[..., np.ndarray] = assigned) -> None:
        every = universe.atoms
        names, kinds = _text(every, "names"), _text(every, "types")
        self.n_file = len(every)
        drop = _not_atoms(names, kinds, species_map)
        self.real = np.flatnonzero(~drop)
        self.n = len(self.real)
        self.resindex = np.asarray(every.resindices)[self.real]
        self.resname = _text(every, "resnames")[self.real]
        self.resid = _text(every, "resids")[self.real]
        self.name, self.type = names[self.real], kinds[self.real]
        links, self.all_bonds = _file_bonds(universe)
        charge = np.asarray(every.charges, float) if hasattr(every, "charges") else np.full(self.n_file, np.nan)
        mass = _told_masses(universe)
        keeper = _keepers(drop, links, np.asarray(every.resindices)) if drop.any() else None
        self.charge = _unless_shared(charge, keeper, drop)[self.real]
        self.mass = None if mass is None else _returned(mass, keeper, drop)[self.real]
        place = np.full(self.n_file, -1)
        place[self.real] = np.arange(self.n)
        links = place[links]
        self.bonds = links[(links >= 0).all(axis=1)] if len(links) else links
        told = _text(every, "elements")[self.real] if not _guessed(universe, "elements") else np.full(self.n, "")
        alone = self._without_company()
        named = np.array([ion_by_name(*x) or "" for x in zip(self.name, self.resname, strict=True)], dtype=object)
        masses = self.mass if self.mass is None else without_repartition(self.mass, self.bonds, self.name)
        rough = np.array([self._rough(i, told[i], masses) for i in range(self.n)], dtype=object)
        rough[alone & (named != "")] = named[alone & (named != "")]
        self.positions, self.box = _placed(universe, self.real)
        if self.box is None and species_map.box is not None:
            self.box = np.array(species_map.box, np.float32)
        self.near, self.overlapping = None, np.empty((0, 2), np.int64)
        if self.positions is not None:
            self.near, self.overlapping = who.by_distance(self.positions, self.box, rough)
        metal = np.isin(rough, who.METALS)
        if self.near is not None:
            # A residue of one atom beside another non-metal is a piece of a molecule; one without a bond in a file of
            # one residue stands alone.
            covalent = np.unique(self.near[~metal[self.near].any(axis=1)])
            alone = np.where(np.isin(np.arange(self.n), covalent), False, alone | (named != ""))
        ion = alone & (named != "")
        if len(self.bonds):
            # A bond that touches an ion of one atom is a contact, whatever the file calls it.
            ion |= np.isin(rough, who.NEVER_BONDED)
            self.bonds = self.bonds[~ion[self.bonds].any(axis=1)]
        degree = self._degrees(metal, alone)
        self.element = assign(
            [
                Evidence(
                    told[i],
                    self.name[i],
                    self.type[i],
                    self.resname[i],
                    None if masses is None else round(float(masses[i]), 4),
                    bool(alone[i]),
                    None if degree is None else int(degree[i]),
                )
                for i in range(self.n)
            ],
            species_map.elements,
            species_map.where("elements"),
            self.describe,
        )
        self.united = self._take_united(species_map.elements)

    def _take_united(self, told: Mapping[str, str]) -> np.ndarray:
        """Which atoms the map calls a carbon with its hydrogens; their mass is that of both."""
        mine = np.array([told.get(n) or told.get(k) or "" for n, k in zip(self.name, self.type, strict=True)])
        united = np.isin(mine, list(UNITED_AMU))
        if united.any():
            mass = np.array([weights()[e] for e in self.element]) if self.mass is None else self.mass.copy()
            mass[united] = [UNITED_AMU[label] for label in mine[united]]
            self.mass = mass
        return united

    def _without_company(self) -> np.ndarray:
        """Which atoms are the only one of their residue, or without a bond in a file that names all bonds."""
        alone: np.ndarray = (np.bincount(self.resindex) == 1)[self.resindex]
        if self.all_bonds and len(self.bonds):
            alone = alone | (np.bincount(self.bonds.ravel(), minlength=self.n) == 0)
        return alone

    def _rough(self, i: int, told: str, mass: np.ndarray | None) -> str:
        """An element for the reach of bonds and for nothing else."""
        if is_element(told.capitalize()):
            return told.capitalize()
        found = by_mass(float(mass[i]))[0] if mass is not None else None
        return found or next(iter(by_name(self.name[i], self.type[i])), "")

    def _degrees(self, metal: np.ndarray, alone: np.ndarray) -> np.ndarray | None:
        """Bonds of each atom, by the file where it names all, else by distances; None if neither tells.

        Those to a metal count only for an atom that has no others.
        """
        if self.all_bonds and len(self.bonds):
            return np.bincount(self.bonds.ravel(), minlength=self.n)
        if self.near is None:
            return None
        # Between residues only where a residue of one atom is a piece of a molecule; else a close contact would count.
        piece = (np.bincount(self.resindex) == 1)[self.resindex] & ~alone
        within = self.resindex[self.near[:, 0]] == self.resindex[self.near[:, 1]]
        near = self.near[within | piece[self.near].any(axis=1)]
        found = np.bincount(near[~metal[near].any(axis=1)].ravel(), minlength=self.n)
        return np.where(found > 0, found, np.bincount(near.ravel(), minlength=self.n))

    def describe(self, atom: int) -> str:
        """An atom as a message names it, numbered from 1 as in the file."""
        facts = [f"atom {self.real[atom] + 1}"]
        if self.name[atom]:
            facts.append(f"name {self.name[atom]}")
        if self.type[atom] and self.type[atom] != self.name[atom]:
            facts.append(f"type {self.type[atom]}")
        facts.append(f"residue {self.resname[atom]} {self.resid[atom]}".replace("  ", " "))
        return ", ".join(facts)


def _text(atoms: Any, attribute: str) -> np.ndarray:
    values = getattr(atoms, attribute, None)
    n = len(atoms)
    return np.full(n, "", dtype=object) if values is None else np.array([str(v).strip() for v in values], dtype=object)


def _guessed(universe: Any, attribute: str) -> bool:
    """Whether MDAnalysis made an attribute up; its guesses are no source."""
    found = getattr(universe._topology, attribute, None)
    return bool(np.all(found.is_guessed)) if found is not None else False


def _told_masses(universe: Any) -> np.ndarray | None:
    """Masses that the topology file states, amu; None also where all are alike, a reader's stand-in for no mass."""
    if getattr(universe._topology, "masses", None) is None or _guessed(universe, "masses"):
        return None
    mass = np.asarray(universe.atoms.masses, float)
    return None if len(mass) > 1 and np.ptp(mass) == 0.0 else mass


def _file_bonds(universe: Any) -> tuple[np.ndarray, bool]:
    """Bonds of the file, (m, 2), and whether it names all of them. Bonds that MDAnalysis guessed are none."""
    if not hasattr(universe.atoms, "bonds") or not len(universe.atoms.bonds):
        return np.empty((0, 2), np.int64), False
    attribute = universe._topology.bonds
    made_up = np.array(attribute._guessed, bool) if hasattr(attribute, "_guessed") else np.zeros(0, bool)
    values = np.asarray(attribute.values, np.int64).reshape(-1, 2)
    if len(made_up) == len(values):
        values = values[~made_up]
    name = universe.filename
    suffix = Path(name).suffix.lower() if isinstance(name, str) else ""
    return values, suffix not in _SOME_BONDS


def _not_atoms(names: np.ndarray, kinds: np.ndarray, species_map: SpeciesMap) -> np.ndarray:
    """Which sites of the file are no atoms, by the map's word for them."""
    drop = np.zeros(len(names), bool)
    for k, label in enumerate(species_map.not_atoms):
        mine = (names == label) | (kinds == label)
        if not mine.any():
            raise LmbmdError(
                f"no site has the name or type '{label}'.",
                where=species_map.where("not_atoms", str(k)),
                remedy=nearest(label, sorted((set(names) | set(kinds)) - {""})),
            )
        drop |= mine
    if drop.all():
        raise LmbmdError("every site of the file is said to be no atom.", where=species_map.where("not_atoms"))
    return drop


def _keepers(drop: np.ndarray, links: np.ndarray, resindex: np.ndarray) -> np.ndarray:
    """The atom that takes over the mass of each dropped site: the one it is bonded to, else the first of its residue,
    so that at least the molecule's sum is right; −1 for none."""
    keeper = np.full(len(drop), -1)
    for i, j in links[drop[links].any(axis=1)] if len(links) else ():
        for a, b in ((i, j), (j, i)):
            if drop[a] and not drop[b] and keeper[a] < 0:
                keeper[a] = b
    first = np.full(int(resindex.max()) + 1, -1)
    atoms = np.flatnonzero(~drop)[::-1]
    first[resindex[atoms]] = atoms  # written backwards, so that the first atom of a residue stays
    rest = drop & (keeper < 0)
    keeper[rest] = first[resindex[rest]]
    return keeper


def _returned(values: np.ndarray, keeper: np.ndarray | None, drop: np.ndarray) -> np.ndarray:
    if keeper is None:
        return values
    found = values.copy()
    mine = np.flatnonzero(drop & (keeper >= 0))
    np.add.at(found, keeper[mine], values[mine])
    return found


def _unless_shared(charge: np.ndarray, keeper: np.ndarray | None, drop: np.ndarray) -> np.ndarray:
    """Charges; that of an atom is not known (NaN) where a dropped site beside it carries some of it elsewhere."""
    if keeper is None:
        return charge
    found = charge.copy()
    found[keeper[drop & (keeper >= 0) & (charge != 0.0)]] = np.nan
    return found


def _placed(universe: Any, real: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Positions of the atoms, Å, in the frame at hand, and its box as lengths and angles; None for unknown."""
    from MDAnalysis.exceptions import NoDataError

    try:
        step = universe.trajectory.ts
        return np.asarray(step.positions, np.float32)[real], step.dimensions
    except (NoDataError, AttributeError):
        return None, None


def _check_overlaps(topology: Topology, owner: np.ndarray, species_map: SpeciesMap) -> None:
    """Refuse a species in which most atoms of one name lie on another atom of their residue: those are no atoms.

    Two molecules that overlap somewhere in a poor packing are another matter, also where both have one residue number.
    """
    if topology.near is None or not len(topology.overlapping):
        return
    residue, pairs = topology.resindex, topology.overlapping
    pairs = pairs[(residue[pairs[:, 0]] == residue[pairs[:, 1]]) & (owner[pairs[:, 0]] == owner[pairs[:, 1]])]
    both = np.column_stack([topology.name, topology.type]).astype(str)
    label = np.unique(both, axis=0, return_inverse=True)[1].ravel()
    for s, name in enumerate(species_map.species):
        mine = pairs[owner[pairs[:, 0]] == s]
        on_another = np.bincount(label[np.unique(mine)], minlength=label.max() + 1)
        most = on_another > np.bincount(label[owner == s], minlength=label.max() + 1) / 2
        found = mine[most[label[mine]].any(axis=1)]
        if len(found):
            i, j = found[0]
            raise LmbmdError(
                f"{topology.describe(i)} and {topology.describe(j)} are nearer than bonded atoms ever are, and so in "
                "most of its molecules.",
                where=species_map.where("species", name),
                remedy="One of them is no atom (a virtual site, a lone pair, a Drude particle, a shell): name it in "
                "not_atoms. Its mass goes to the atom that it is bonded to. Or its element is another.",
            )


def _check_carbons(topology: Topology, molecules: Sequence[np.ndarray], entry: SpeciesEntry, where: str) -> None:
    """Refuse molecules that lack hydrogens in a file without masses: united atoms would get the mass of carbon.

    A formula or SMILES in the map says that nothing is missing.
    """
    bonds = topology.bonds if topology.all_bonds and len(topology.bonds) else topology.near
    if topology.mass is not None or topology.positions is None or bonds is None or entry.formula or entry.smiles:
        return
    mine = np.zeros(topology.n, bool)
    mine[np.concatenate(molecules)] = True
    lacking = who.bare_carbons(topology.positions, topology.box, topology.element, bonds[mine[bonds].all(axis=1)])
    # Atoms of one place in the molecule are judged together; one frame of one molecule may have odd lengths.
    alike = len({tuple(topology.element[members]) for members in molecules}) == 1
    kinds: dict[str | int, list[int]] = {}
    for members in molecules:
        for place, atom in enumerate(members):
            if topology.element[atom] == "C":
                kinds.setdefault(place if alike else topology.name[atom], []).append(int(atom))
    bare = [atoms for atoms in kinds.values() if sum(atom in lacking for atom in atoms) > len(atoms) / 2]
    if not bare:
        return
    label = {topology.name[a[0]] or topology.type[a[0]]: max(1, min(4, lacking.get(a[0], 1))) for a in bare}
    said = ", ".join(f"{name}: {f'CH{n}' if n > 1 else 'CH'}" for name, n in list(label.items())[:6])
    raise LmbmdError(
        f"its carbons {listed(list(label)[:6])} have fewer bonds than carbon has, and the file has no masses.",
        where=where,
        remedy="If each is one particle with its hydrogens, say how many these are, such as "
        f"'elements: {{{said}}}', or give a topology with masses. If nothing is missing, give the formula.",
    )


def _check_apart(topology: Topology, molecules: Sequence[tuple[int, np.ndarray]], species_map: SpeciesMap) -> None:
    """Refuse two species that bonds join: units of one chain, counted as molecules of their own."""
    owner, molecule = np.full(topology.n, -1), np.full(topology.n, -1)
    for k, (s, members) in enumerate(molecules):
        owner[members], molecule[members] = s, k
    metal = ~np.isin(topology.element, who.NONMETALS)
    names = list(species_map.species)
    for pairs, sure in ((topology.bonds, True), (topology.near, False)):
        if pairs is None or not len(pairs) or (not sure and topology.all_bonds):
            continue
        across = pairs[(owner[pairs[:, 0]] != owner[pairs[:, 1]]) & ~metal[pairs].any(axis=1)]
        for s, name in enumerate(names):
            mine = across[(owner[across] == s).any(axis=1)]
            joined = len(np.unique(molecule[mine][owner[mine] == s]))
            if joined > (0 if sure else sum(mine_of == s for mine_of, _ in molecules) / 2):
                i, j = mine[0]
                how = "bonded" if sure else "as near as bonded atoms"
                raise LmbmdError(
                    f"{topology.describe(i)} and {topology.describe(j)} are {how}, and belong to {names[owner[i]]} and "
                    f"{names[owner[j]]}.",
                    where=species_map.where("species", name),
                    remedy="Units of one chain are one species: give all their residue names to it, as a list.",
                )


def atom_table(universe: Any, species_map: SpeciesMap) -> tuple[AtomTable, np.ndarray | None]:
    """Who every atom of a foreign topology is.

    Args:
        universe: an MDAnalysis Universe.
        species_map: from ``species_map.load``.

    Returns:
        The atom table, and where each of its atoms stands in the trajectory (None if in the same order). Molecules
        come in order of their first atom; one whose atoms are scattered is gathered, sites that the map calls no
        atoms are left out.

    Raises:
        LmbmdError: if an atom belongs to no species or to two; if an element, or which atoms are one molecule, is
            neither told nor agreed upon by two signs; if a species finds nothing, a centre has more than one atom, a
            site finds nothing or claims another's atom, or the charges do not add up.
    """
    topology = Topology(universe, species_map)
    fragment = who.components(topology.n, topology.bonds) if len(topology.bonds) else None
    owner = _owners(topology, fragment, species_map)
    _check_overlaps(topology, owner, species_map)
    molecules: list[tuple[int, np.ndarray]] = []
    for s, (name, entry) in enumerate(species_map.species.items()):
        mine = np.flatnonzero(owner == s)
        molecules += [(s, members) for members in _molecules(topology, mine, entry, species_map, name)]
    _check_apart(topology, molecules, species_map)
    for s, (name, entry) in enumerate(species_map.species.items()):
        own = [members for whose, members in molecules if whose == s]
        _check_carbons(topology, own, entry, species_map.where("species", name))
    molecules.sort(key=lambda m: m[1][0])
    kinds, rows = _counted(topology, molecules, species_map)
    units = [unit for row in rows for unit in row]
    order = np.concatenate([members for _, members in units])
    sizes = [len(members) for _, members in units]
    whole = [np.concatenate([members for _, members in row]) for row in rows]
    sites, site_of = _sites(topology, kinds, species_map)
    charges = _charges(topology, kinds, species_map)
    atoms = AtomTable(
        species=tuple(
            SpeciesInfo(kind.name, kind.role, charge, kind.chain) for kind, charge in zip(kinds, charges, strict=True)
        ),
        sites=sites,
        species_id=np.repeat([k for k, _ in units], sizes).astype(np.int32),
        molecule=np.repeat(np.arange(len(whole)), list(map(len, whole))).astype(np.int32),
        unit=np.repeat(np.arange(len(sizes)), sizes).astype(np.int32),
        site_id=site_of[order].astype(np.int32),
        element=topology.element[order],
        name=np.where(topology.name == "", topology.type, topology.name)[order],
        mass_amu=_masses(topology, molecules)[order],
        charge_e=topology.charge[order],
        **_bonds(topology, whole),
    )
    stands = topology.real[order]
    return atoms, None if np.array_equal(stands, np.arange(topology.n_file)) else stands


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


def _counted(
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


def _masses(topology: Topology, molecules: Sequence[tuple[int, np.ndarray]]) -> np.ndarray:
    """Mass of each atom, amu: standard atomic weights, since a file's may be repartitioned.

    Where a molecule's mass is another because it has united atoms or isotopes, those of the file.
    """
    table = weights()
    standard = np.array([table[e] for e in topology.element])
    if topology.mass is None:
        return standard
    found = standard.copy()
    meant = np.array([is_meant(m, e) for m, e in zip(topology.mass, topology.element, strict=True)])
    for _, members in molecules:
        stated, usual = topology.mass[members].sum(), standard[members].sum()
        if abs(stated / usual - 1.0) > _OTHER_MASS and meant[members].all():
            found[members] = topology.mass[members]
    return found


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
        if last > topology.n_file:
            raise LmbmdError(
                f"atom {last} is beyond the last, {topology.n_file}.",
                where=species_map.where("species", name, "atoms"),
                remedy="Atoms are numbered from 1.",
            )
        numbers = np.concatenate([np.arange(a - 1, b) for a, b in entry.ranges])
        return np.flatnonzero(np.isin(topology.real, numbers))
    if fragment is None:
        raise LmbmdError(
            "the topology has no bonds, so that a SMILES finds nothing.",
            where=species_map.where("species", name, "smiles"),
            remedy="Add resname or atoms, or give a topology with bonds: PSF, PRMTOP, LAMMPS data, PDB with CONECT.",
        )
    graph = graph_of_smiles(entry.smiles, species_map.where("species", name, "smiles"))
    groups = who.grouped(fragment, np.arange(topology.n))
    same = _matching(topology, groups, graph)
    if not same:
        formulas = sorted({hill_formula(topology.element[g]) for g in groups})
        raise LmbmdError(
            f"no molecule of the topology is '{entry.smiles}' ({hill_formula(graph.elements)}).",
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


def _molecules(
    topology: Topology, mine: np.ndarray, entry: SpeciesEntry, species_map: SpeciesMap, name: str
) -> list[np.ndarray]:
    """The atoms of a species, molecule by molecule: told by the map, or agreed upon by two signs.

    Signs are bonds of the file (all of them: two), residues, atom names that repeat, distances in the first frame,
    and a told formula, graph or number of atoms. A partition that a bond crosses, or that distances deny for most of
    its molecules, is none.

    Raises:
        LmbmdError: if no partition has two signs, or two have.
    """
    where = species_map.where("species", name)
    centre = name in species_map.centres
    size = 1 if centre else entry.atoms_per_molecule
    if centre and (entry.atoms_per_molecule or 1) > 1:
        raise LmbmdError("a centre has one atom.", where=where, remedy="Leave atoms_per_molecule out.")
    if size and len(mine) % size:
        raise LmbmdError(
            f"{len(mine)} atoms do not divide into molecules of {size}.",
            where=where,
            remedy="Mend atoms_per_molecule or the selection.",
        )
    if centre:
        if len(set(topology.element[mine])) > 1:
            raise LmbmdError(
                f"the centre is made of {hill_formula(topology.element[mine])}.",
                where=where,
                remedy="A centre is a monatomic ion; mend the selection or the elements.",
            )
        told, found_element = _told_formula(entry, where), str(topology.element[mine[0]])
        if told and told != Counter([found_element]):
            raise LmbmdError(
                f"its atoms are {found_element}, and by the map {_written(told)}.",
                where=where,
                remedy="Mend the smiles, the formula or the selection.",
            )
        return list(mine.reshape(-1, 1))
    candidates = _candidates(topology, mine, size)
    if topology.near is not None and any(unit.resnames for unit in entry.units.values()):
        candidates.append(("units in a row", _units_in_a_row(topology, mine), 1))
    found = who.partitions(candidates)
    wanted = _told_formula(entry, where)
    fitting = [p for p in found if entry.polydisperse or _alike(topology, p.groups)]
    if not fitting:
        raise _differing(topology, found, where)
    if wanted:
        fitting = [p for p in fitting if all(Counter(topology.element[list(g)]) == wanted for g in p.groups)]
        if not fitting:
            raise LmbmdError(
                f"no way of taking its atoms apart gives molecules of {_written(wanted)}: {_said(found)}.",
                where=where,
                remedy="Mend the smiles, the formula or the selection.",
            )
    left = [(p, p.weight + bool(wanted)) for p in fitting if not _denied(topology, p)]
    sure = [p for p, weight in left if weight >= 2]
    if size and not any("the map" in p.signs for p in sure):
        raise _differing(topology, [p for p in found if "the map" in p.signs], where, found)
    if len(sure) != 1:
        raise LmbmdError(
            f"which of its {len(mine)} atoms are one molecule is not certain: {_said(found)}.",
            where=where,
            remedy="Tell it: the formula (or the smiles) of one molecule, atoms_per_molecule where its atoms follow "
            "one another, or a topology that has all bonds (PSF, PRMTOP, TPR, LAMMPS data, PDB with CONECT).",
        )
    return [np.array(g) for g in sure[0].groups]


def _candidates(
    topology: Topology, mine: np.ndarray, size: int | None
) -> list[tuple[str, list[np.ndarray] | None, int]]:
    """What each sign says are the molecules of a species."""
    own = np.isin(topology.bonds, mine).all(axis=1) if len(topology.bonds) else np.empty(0, bool)
    bonds = topology.bonds[own]
    residues = who.grouped(topology.resindex, mine)
    by_bonds = who.grouped(who.components(topology.n, bonds), mine) if len(topology.bonds) else None
    # Residues that the file's bonds join: what a chain is where only the bonds between its units are listed.
    head = {int(topology.resindex[g[0]]): int(g[0]) for g in residues}
    joined = np.array([(i, head[int(topology.resindex[i])]) for i in mine], np.int64).reshape(-1, 2)
    across = who.grouped(who.components(topology.n, np.concatenate([bonds, joined])), mine) if len(bonds) else None
    near = None
    if topology.near is not None:
        pairs = topology.near[np.isin(topology.near, mine).all(axis=1)]
        near = who.grouped(who.components(topology.n, pairs), mine)
    return [
        ("the map", list(mine.reshape(-1, size)) if size else None, 2),
        ("bonds", by_bonds, 2 if topology.all_bonds and len(bonds) else 1),
        ("residues", residues, 1),
        ("residues that bonds join", across if across and len(across) != len(residues) else None, 1),
        ("atom names", who.by_names(topology.name, mine), 1),
        ("distances", near, 1),
    ]


def _units_in_a_row(topology: Topology, mine: np.ndarray) -> list[np.ndarray]:
    """Residues that follow one another in the file and are as near as bonded ones, however near others are.

    Where distances alone say the same, each unit is bonded to the one before it in the file and to no other, of which
    distances know nothing.
    """
    assert topology.near is not None
    row = np.full(int(topology.resindex.max()) + 1, -1)
    place = np.cumsum(np.diff(topology.resindex[mine], prepend=-1) != 0) - 1
    row[topology.resindex[mine]] = place  # of a residue that the file comes back to, the last
    ends = np.sort(row[topology.resindex[topology.near[np.isin(topology.near, mine).all(axis=1)]]], axis=1)
    goes_on = np.zeros(int(place.max()) + 1, bool)
    goes_on[ends[ends[:, 1] == ends[:, 0] + 1, 1]] = True
    number = np.full(topology.n, -1)
    number[mine] = np.cumsum(~goes_on)[place]
    return who.grouped(number, mine)


def _denied(topology: Topology, partition: who.Partition) -> bool:
    """Whether bonds of the file, or distances where the file does not name all bonds, speak against a partition."""
    if who.contradicted(partition.groups, topology.bonds, topology.n, every=True):
        return True
    if topology.all_bonds and "bonds" in partition.signs:
        return False
    return who.contradicted(partition.groups, topology.near, topology.n, every=False)


def _alike(topology: Topology, groups: Sequence[Sequence[int]]) -> bool:
    return len({tuple(sorted(topology.element[list(g)])) for g in groups}) == 1


def _said(found: Sequence[who.Partition]) -> str:
    return "; ".join(who.told(p) for p in found[:4])


def _written(wanted: Counter[str]) -> str:
    return hill_formula(list(wanted.elements()))


def _told_formula(entry: SpeciesEntry, where: str) -> Counter[str] | None:
    """Atoms of one molecule by the map's formula or SMILES, or None."""
    if entry.smiles:
        return Counter(graph_of_smiles(entry.smiles, where).elements)
    return parsed_formula(entry.formula, f"{where}.formula") if entry.formula else None


def parsed_formula(text: str, where: str) -> Counter[str]:
    """Atoms of a formula such as C4H10O2.

    Raises:
        LmbmdError: if it is not made of element symbols and numbers.
    """
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", text)
    if "".join(e + n for e, n in parts) != text or not parts or not all(is_element(e) for e, _ in parts):
        raise LmbmdError(f"'{text}' is no formula.", where=where, remedy="Write it as C4H10O2.")
    counted: Counter[str] = Counter()
    for symbol, n in parts:
        counted[symbol] += int(n or 1)
    return counted


def _differing(
    topology: Topology, shown: Sequence[who.Partition], where: str, others: Sequence[who.Partition] = ()
) -> LmbmdError:
    """Refuse molecules that differ, or that bonds, residues or distances say are others."""
    groups = shown[0].groups
    counted = Counter(hill_formula(topology.element[list(g)]) for g in groups).most_common(3)
    listed = ", ".join(f"{n} × {kind}" for kind, n in counted)
    kinds = "its molecules differ" if len(counted) > 1 else "its molecules are others by other signs"
    against = [p for p in others if p is not shown[0]]
    return LmbmdError(
        f"{kinds}: {listed} by {' and '.join(shown[0].signs)}{f'; {_said(against)}' if against else ''}.",
        where=where,
        remedy="A species is one kind of molecule. If residue numbers repeat, give the formula of one molecule or a "
        "topology with bonds; if these are several species, map them one by one; if they are chains of several "
        "lengths, say polydisperse: true.",
    )


def _sites(topology: Topology, kinds: Sequence[Kind], species_map: SpeciesMap) -> tuple[tuple[str, ...], np.ndarray]:
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
    graphs = _graphs(topology, kind.groups)
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


def _charges(topology: Topology, kinds: Sequence[Kind], species_map: SpeciesMap) -> list[int]:
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
