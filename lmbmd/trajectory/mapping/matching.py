"""From a foreign topology and a species map to an atom table: elements, molecules, sites, charges.

Nothing is guessed: what a file does not state is told by the map, or follows from two independent signs, or is asked.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.words import listed
from lmbmd.data.atoms import AtomTable, SpeciesInfo
from lmbmd.data.bonds import hill_formula, parents, parsed_formula
from lmbmd.trajectory.mapping import molecules as who
from lmbmd.trajectory.mapping.counted import charges_of, counted, sites_of
from lmbmd.trajectory.mapping.elements import (
    is_element,
    is_meant,
    weights,
)
from lmbmd.trajectory.mapping.graphs import Graph, graph_of_smiles, same_graph
from lmbmd.trajectory.mapping.topology import Topology, graphs_of
from lmbmd.trajectory.species_map import SpeciesEntry, SpeciesMap

#: Masses of a file are used where a molecule's differs by more than this share from that of its elements.
_OTHER_MASS = 0.005


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
    kinds, rows = counted(topology, molecules, species_map)
    units = [unit for row in rows for unit in row]
    order = np.concatenate([members for _, members in units])
    sizes = [len(members) for _, members in units]
    whole = [np.concatenate([members for _, members in row]) for row in rows]
    sites, site_of = sites_of(topology, kinds, species_map)
    charges = charges_of(topology, kinds, species_map)
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
    graphs = graphs_of(topology, molecules)
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
    for group, graph in zip(candidates, graphs_of(topology, candidates), strict=True):
        if graph not in verdict:
            verdict[graph] = same_graph(graph, wanted)
        if verdict[graph]:
            found.append(group)
    return found


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
    if len(sure) != 1 or (not wanted and _restrained(topology, sure[0], found)):
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


def _restrained(topology: Topology, partition: who.Partition, found: Sequence[who.Partition]) -> bool:
    """Whether molecules are held together by bonds only, against distances and residues or names that agree: the file
    calls restraints between molecules bonds."""
    return set(partition.signs) <= {"bonds", "residues that bonds join"} and any(
        "distances" in other.signs and {"residues", "atom names"} & set(other.signs) and _alike(topology, other.groups)
        for other in found
        if other is not partition
    )


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
    if not entry.formula:
        return None
    found = parsed_formula(entry.formula)
    if found is None or not all(map(is_element, found)):
        raise LmbmdError(f"'{entry.formula}' is no formula.", where=f"{where}.formula", remedy="Write it as C4H10O2.")
    return found


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
