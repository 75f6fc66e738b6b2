"""Which atoms of a chain are which unit: told by residues, or found as copies of a repeat unit in the chain's bonds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.core.words import listed
from lmbmd.data.bonds import bare_molecule, hill_formula
from lmbmd.formulation.polymers.units import n_atoms, read_unit
from lmbmd.trajectory.mapping.graphs import first_atoms
from lmbmd.trajectory.mapping.molecules import components, grouped
from lmbmd.trajectory.species_map import UnitEntry

if TYPE_CHECKING:
    from rdkit import Chem

    from lmbmd.trajectory.mapping.topology import Topology

#: What is left over at an end of a chain is an end group, and no larger than two units or so many atoms.
_LARGEST_END = 20
#: Ways of cutting a chain that are told apart before it is called ambiguous.
_MOST_WAYS = 20


@dataclass(frozen=True, eq=False)
class Unit:
    """One unit of a chain.

    Attributes:
        kind: its name in the species map.
        atoms: ascending, as the topology numbers them.
        core: of a unit found by its SMILES, its atom for each heavy atom of the SMILES' graph, by the number there.
    """

    kind: str
    atoms: np.ndarray
    core: dict[int, int]


def units_of(topology: Topology, members: np.ndarray, entries: Mapping[str, UnitEntry], where: str) -> list[Unit]:
    """The units of one chain, in order from the end whose first atom is the earlier.

    Args:
        topology: its bonds, or else distances, say what is bonded.
        members: atoms of the chain.
        entries: kinds of units.
        where: of the chain in the species map, for messages.

    Raises:
        LmbmdError: if an atom belongs to no unit, if the units can be told in two ways, or if they are no single row.
    """
    links = topology.bonds if topology.all_bonds and len(topology.bonds) else topology.near
    if links is None:
        raise LmbmdError(
            "the topology has no bonds, and positions tell none: the order of a chain's units is not known.",
            where=where,
            remedy="Give a topology with bonds, or the role 'solvent': a chain then counts as one molecule.",
        )
    links = links[np.isin(links, members).all(axis=1)]
    by_residue = any(unit.resnames for unit in entries.values())
    found = _by_residue(topology, members, entries, where) if by_residue else []
    return _row(topology, found, links, where) if by_residue else _by_graph(topology, members, links, entries, where)


def _by_residue(topology: Topology, members: np.ndarray, entries: Mapping[str, UnitEntry], where: str) -> list[Unit]:
    kind = {resname: name for name, unit in entries.items() for resname in unit.resnames}
    groups = grouped(topology.resindex, members)
    for group in groups:
        if topology.resname[group[0]] not in kind:
            raise LmbmdError(
                f"residue {topology.resname[group[0]]} {topology.resid[group[0]]} of a chain is no unit.",
                where=f"{where}.units",
                remedy=f"Units are made of the residues {listed(list(kind))}; give it to one of them.",
            )
    if len(groups) == 1:
        raise LmbmdError(
            f"a whole chain of {len(members)} atoms is one residue.",
            where=f"{where}.units",
            remedy="Tell its units by their SMILES, with two attachment points, such as [*:1]CCO[*:2].",
        )
    return [Unit(kind[topology.resname[group[0]]], group, {}) for group in groups]


def _row(topology: Topology, units: Sequence[Unit], links: np.ndarray, where: str) -> list[Unit]:
    """Units in the order in which they are bonded."""
    unit_of = np.full(topology.n, -1)
    for k, unit in enumerate(units):
        unit_of[unit.atoms] = k
    ends = unit_of[links]
    pieces = components(topology.n, links[ends[:, 0] == ends[:, 1]])
    for unit in units:
        if len(set(pieces[unit.atoms])) > 1:
            raise LmbmdError(
                f"the atoms of residue {topology.resname[unit.atoms[0]]} {topology.resid[unit.atoms[0]]} are not "
                "bonded to each other.",
                where=f"{where}.units",
                remedy="Units are pieces of a chain: mend the residues, or tell the units by their SMILES.",
            )
    pairs = np.unique(np.sort(ends[ends[:, 0] != ends[:, 1]], axis=1), axis=0)
    beside: list[list[int]] = [[] for _ in units]
    for a, b in pairs.tolist():
        beside[a].append(b)
        beside[b].append(a)
    tails = [k for k, others in enumerate(beside) if len(others) == 1]
    if len(pairs) != len(units) - 1 or len(tails) != 2:
        branched = next((k for k, others in enumerate(beside) if len(others) > 2), None)
        atom = units[branched if branched is not None else 0].atoms[0]
        what = "has more than two neighbours" if branched is not None else "is in a ring of units, or in a torn chain"
        raise LmbmdError(
            f"residue {topology.resname[atom]} {topology.resid[atom]} {what}.",
            where=f"{where}.units",
            remedy="Units are counted along chains without branches. Give such a molecule the role 'solvent' and no "
            "'units': it then counts as one.",
        )
    row, before = [min(tails, key=lambda k: units[k].atoms[0])], -1
    while onward := [k for k in beside[row[-1]] if k != before]:
        before = row[-1]
        row.append(onward[0])
    return [units[k] for k in row]


# ---- units by their graph


@dataclass(frozen=True)
class _Copy:
    """Where a repeat unit sits in a chain: its heavy atoms by their number in the SMILES' graph, and its two ends.

    ``size`` is that of the unit alone, so that a hydrogen at the chain's end does not decide where a chain is cut.
    """

    kind: str
    first: int
    last: int
    core: tuple[tuple[int, int], ...]
    size: int


def _by_graph(
    topology: Topology, members: np.ndarray, links: np.ndarray, entries: Mapping[str, UnitEntry], where: str
) -> list[Unit]:
    place = np.full(topology.n, -1)
    place[members] = np.arange(len(members))
    bonds = place[links]
    heavy = _labels(topology.element[members], bonds)
    copies = [
        copy
        for kind, unit in entries.items()
        for copy in _copies(kind, read_unit(unit.smiles or "", f"{where}.units.{kind}"), heavy)
    ]
    best = _longest_row(copies, bonds, where)
    if not best:
        raise LmbmdError(
            f"no unit is found in a chain of {hill_formula(topology.element[members])}.",
            where=f"{where}.units",
            remedy="The SMILES of a unit names all its hydrogens' places and where the chain goes on, such as "
            "[*:1]CCO[*:2] for poly(ethylene oxide).",
        )
    unit_of = np.full(len(members), -1)
    for k, copy in enumerate(best):
        unit_of[[a for _, a in copy.core]] = k
    for a, b in bonds.tolist():  # hydrogens are where they are bonded
        for h, x in ((a, b), (b, a)):
            if topology.element[members[h]] == "H" and unit_of[h] < 0:
                unit_of[h] = unit_of[x]
    _join_ends(topology, members, bonds, unit_of, best, where)
    return [
        Unit(copy.kind, members[unit_of == k], {i: int(members[a]) for i, a in copy.core})
        for k, copy in enumerate(best)
    ]


def _label(n_hydrogens: int, degree: int) -> int:
    """Hydrogens and bonds of an atom as one number, which RDKit compares as an isotope."""
    return 1 + n_hydrogens + 10 * degree


def _labels(element: np.ndarray, bonds: np.ndarray) -> Chem.Mol:
    """The graph of a chain, in which each heavy atom bears its label."""
    is_h = element == "H"
    n_h = np.zeros(len(element), np.int64)
    for a, b in ((0, 1), (1, 0)):
        np.add.at(n_h, bonds[:, a], is_h[bonds[:, b]])
    degree = np.bincount(bonds.ravel(), minlength=len(element))
    graph = bare_molecule(element, bonds.tolist())
    for atom in graph.GetAtoms():
        i = atom.GetIdx()
        atom.SetIsotope(0 if is_h[i] else _label(int(n_h[i]), int(degree[i])))
    return graph


def _copies(kind: str, unit: Chem.Mol, chain: Chem.Mol) -> list[_Copy]:
    """All places where a repeat unit sits in a chain: every atom with its own hydrogens and number of bonds.

    At an end of the chain a hydrogen may stand where the next unit would.
    """
    from rdkit import Chem

    core = [a.GetIdx() for a in unit.GetAtoms() if a.GetAtomicNum() > 1]
    ends = {a.GetAtomMapNum(): a.GetNeighbors()[0].GetIdx() for a in unit.GetAtoms() if a.GetAtomicNum() == 0}
    query, number = Chem.RWMol(), {}
    for i in core:
        atom = unit.GetAtomWithIdx(i)
        hydrogens = sum(x.GetAtomicNum() == 1 for x in atom.GetNeighbors())
        open_ends = list(ends.values()).count(i)
        labels = [_label(hydrogens + extra, atom.GetDegree()) for extra in range(open_ends + 1)]
        number[i] = query.AddAtom(
            Chem.AtomFromSmarts(f"[#{atom.GetAtomicNum()};{','.join(f'{label}*' for label in labels)}]")
        )
    for bond in unit.GetBonds():
        a, b = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        if a in number and b in number:
            query.AddBond(number[a], number[b], Chem.BondType.SINGLE)
    matches = chain.GetSubstructMatches(query.GetMol(), uniquify=False, maxMatches=1_000_000)
    found: dict[tuple[int, int, frozenset[int]], _Copy] = {}
    for match in matches:
        placed = tuple((i, match[number[i]]) for i in core)
        first, last = match[number[ends[1]]], match[number[ends[2]]]
        found.setdefault((first, last, frozenset(match)), _Copy(kind, first, last, placed, n_atoms(unit)))
    return list(found.values())


def _longest_row(copies: Sequence[_Copy], bonds: np.ndarray, where: str) -> list[_Copy]:
    """The row of copies, each bonded to the next, that covers most atoms; of equal ones that of the earlier end.

    Raises:
        LmbmdError: if two such rows are made of other units, or the copies go round in a ring.
    """
    beside: dict[int, list[int]] = {}
    for a, b in bonds.tolist():
        beside.setdefault(a, []).append(b)
        beside.setdefault(b, []).append(a)
    starting: dict[int, list[int]] = {}
    for k, copy in enumerate(copies):
        starting.setdefault(copy.first, []).append(k)
    atoms = [frozenset(a for _, a in copy.core) for copy in copies]
    onward = [
        [j for a in beside.get(copy.last, []) for j in starting.get(a, []) if not atoms[j] & atoms[k]]
        for k, copy in enumerate(copies)
    ]
    most: dict[int, tuple[int, int, frozenset[tuple[tuple[str, int], ...]]]] = {}
    for k in _last_first(onward, where):
        after = [(most[j][0], -min(atoms[j]), j) for j in onward[k]]
        covered, _, best = max(after, default=(0, 0, -1))
        ways: set[tuple[tuple[str, int], ...]] = set()
        for j in onward[k]:
            if most[j][0] == covered:
                ways |= {_with(way, copies[k].kind) for way in most[j][2]}
        most[k] = covered + copies[k].size, best, frozenset(list(ways or {_with((), copies[k].kind)})[:_MOST_WAYS])
    if not most:
        return []
    longest = max(covered for covered, _, _ in most.values())
    heads = [k for k in most if most[k][0] == longest]
    ways = {way for k in heads for way in most[k][2]}
    if len(ways) > 1:
        said = " or ".join(listed([f"{n} {kind}" for kind, n in way]) for way in sorted(ways)[:2])
        raise LmbmdError(
            f"a chain can be cut into its units in more than one way: {said}.",
            where=f"{where}.units",
            remedy="Leave out a unit that is made of others, or tell the units by residues.",
        )
    k = min(heads, key=lambda k: (copies[k].first, copies[k].last))
    row = [k]
    while (k := most[k][1]) >= 0:
        row.append(k)
    return [copies[k] for k in row]


def _with(way: tuple[tuple[str, int], ...], kind: str) -> tuple[tuple[str, int], ...]:
    counted = Counter(dict(way))
    counted[kind] += 1
    return tuple(sorted(counted.items()))


def _last_first(onward: Sequence[Sequence[int]], where: str) -> list[int]:
    """Copies in an order in which each comes after all that may follow it."""
    left = [len(after) for after in onward]
    before: list[list[int]] = [[] for _ in onward]
    for k, after in enumerate(onward):
        for j in after:
            before[j].append(k)
    ready = [k for k, n in enumerate(left) if n == 0]
    for k in ready:  # grows while it is gone through
        for i in before[k]:
            left[i] -= 1
            if left[i] == 0:
                ready.append(i)
    if len(ready) < len(onward):
        raise LmbmdError(
            "the units of a chain go round in a ring.",
            where=f"{where}.units",
            remedy="Give such a molecule the role 'solvent': it then counts as one.",
        )
    return ready


def _join_ends(
    topology: Topology,
    members: np.ndarray,
    bonds: np.ndarray,
    unit_of: np.ndarray,
    row: Sequence[_Copy],
    where: str,
) -> None:
    """Give what is left over at the two ends of a chain to the units there.

    Args:
        unit_of: (n,) changed in place.

    Raises:
        LmbmdError: if something is left over elsewhere, or is larger than an end group.
    """
    rest = np.flatnonzero(unit_of < 0)
    loose = bonds[(unit_of[bonds] < 0).all(axis=1)]
    for group in grouped(components(len(members), loose), rest):
        touching = bonds[np.isin(bonds, group).sum(axis=1) == 1]
        beside = sorted(set(unit_of[touching].ravel().tolist()) - {-1})
        atoms = members[group]
        what = ""
        if beside not in ([0], [len(row) - 1]):
            what = "stand between units, where no unit fits"
        elif len(group) > max(_LARGEST_END, 2 * max(copy.size for copy in row)):
            what = "are too many for an end group"
        if what:
            raise LmbmdError(
                f"{len(group)} atoms of a chain ({hill_formula(topology.element[atoms])}, beginning with "
                f"{topology.describe(int(atoms[0]))}) {what}.",
                where=f"{where}.units",
                remedy="Add the unit that they are, also where one stands the other way round; chains with branches "
                "are counted whole, with the role 'solvent' and no 'units'.",
            )
        unit_of[group] = beside[0]


def sites_of_unit(unit: Chem.Mol, smarts: str, where: str) -> list[int]:
    """Heavy atoms of a repeat unit that are the first atom of a SMARTS, and all that bonds cannot tell from these.

    Raises:
        LmbmdError: if the SMARTS cannot be read.
    """
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in unit.GetBonds()]
    # The two attachment points differ: the chain grows from one to the other.
    names = [
        {0: "He" if a.GetAtomMapNum() == 1 else "Ne"}.get(a.GetAtomicNum(), a.GetSymbol()) for a in unit.GetAtoms()
    ]
    found = first_atoms(unit, smarts, names, bonds, where)
    return [i for i in found if unit.GetAtomWithIdx(i).GetAtomicNum() > 1]
