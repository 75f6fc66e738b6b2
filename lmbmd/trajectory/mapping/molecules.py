"""Which atoms are one molecule: told by the map, or agreed upon by two of bonds, residues, atom names and distances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmbmd.data.cell import Cell

#: Two atoms nearer than this times the sum of their covalent radii are bonded. Bonds in liquids end at 1.15 of it,
#: and the nearest atoms of two molecules (hydrogen bonds) begin at 1.5.
BOND_REACH = 1.25
#: Covalent radii, Å (Cordero et al., doi:10.1039/b801115j); an element that is not here has 1.5.
COVALENT_RADIUS_A = {
    "H": 0.31,
    "B": 0.84,
    "C": 0.76,
    "N": 0.71,
    "O": 0.66,
    "F": 0.57,
    "Al": 1.21,
    "Si": 1.11,
    "P": 1.07,
    "S": 1.05,
    "Cl": 1.02,
    "Zn": 1.22,
    "As": 1.19,
    "Se": 1.20,
    "Br": 1.20,
    "I": 1.39,
}
#: Atoms nearer than this, Å, are nobody's bond: positions in nm, or placed on top of each other.
TOO_NEAR_A = 0.5
#: Nor are those nearer than this times the sum of their covalent radii (a triple bond has 0.77 of it, a bond to
#: hydrogen 1.0), or nearer to an ion of one atom than this, Å: one of them is no atom, or of another element.
_TOO_NEAR, _TOO_NEAR_H, _TOO_NEAR_ION_A = 0.7, 0.85, 1.5
#: Decay of the bond order with a bond's length, Å (Pauling, doi:10.1021/ja01195a024).
_ORDER_DECAY_A = 0.3
#: A carbon with fewer bonds by their lengths lacks atoms: 3.6 are the least of a whole one, 3.1 those of an aromatic
#: carbon without its hydrogen.
_FEWEST_BONDS_OF_CARBON = 3.35
#: Elements that are bonded to nothing when they are an ion: a bond in a file between one and its donors is a contact.
NEVER_BONDED = ("Li", "Na", "K", "Rb", "Cs", "Mg", "Ca", "Sr", "Ba")
#: Elements whose bonds say nothing of a molecule's other atoms: ions by themselves, or the middle of a complex.
METALS = (*NEVER_BONDED, "Zn", "Al")
#: Elements of molecules. An ion of any other, a transition metal, has contacts as near as bonds.
NONMETALS = tuple(element for element in COVALENT_RADIUS_A if element not in METALS)


@dataclass(frozen=True, eq=False)
class Partition:
    """Atoms of a species in groups, and who says that these are its molecules.

    Attributes:
        groups: atoms of each group, ascending; groups by first atom.
        signs: what says so: "bonds", "residues", "atom names", "distances", "the map".
        weight: how many independent signs that is; what the map says counts for two, and so do the bonds of a file
            that a simulation was run from.
    """

    groups: tuple[tuple[int, ...], ...]
    signs: tuple[str, ...]
    weight: int


def grouped(label: np.ndarray, members: np.ndarray) -> list[np.ndarray]:
    """``members`` split by ``label[members]``, each group ascending, groups by first member."""
    by_label = members[np.argsort(label[members], kind="stable")]
    groups = np.split(by_label, np.flatnonzero(np.diff(label[by_label])) + 1) if len(members) else []
    return sorted(groups, key=lambda g: g[0])


def components(n: int, bonds: np.ndarray) -> np.ndarray:
    """Number of the connected component of each of ``n`` atoms."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    graph = coo_matrix((np.ones(len(bonds), bool), (bonds[:, 0], bonds[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def by_distance(
    positions_A: np.ndarray, box: np.ndarray | None, element: np.ndarray
) -> tuple[np.ndarray | None, np.ndarray]:
    """Pairs of atoms that are as near as bonded ones, and pairs that are nearer than any, from one frame.

    Args:
        positions_A: (n, 3).
        box: lengths and angles as MDAnalysis has them (Å, degrees), or None.
        element: (n,) element symbols; an atom without one ("") is bonded to none.

    Returns:
        (m, 2) bonded pairs, or None where positions tell nothing: half of the atoms are on top of another (no
        positions, or lengths in nm); and (k, 2) pairs nearer than bonded ones.
    """
    from MDAnalysis.lib.distances import self_capped_distance

    nothing = np.empty((0, 2), np.int64)
    radius = np.array([COVALENT_RADIUS_A.get(e, 1.5) if e else 0.0 for e in element])
    radius[np.isin(element, NEVER_BONDED)] = 0.0
    reach = BOND_REACH * 2.0 * float(radius.max(initial=0.0))
    if not np.isfinite(positions_A).all() or reach == 0.0:
        return None, nothing
    box = usable_box(box, 2.0 * reach)
    if np.ptp(positions_A, axis=0).max(initial=0.0) < reach and len(positions_A) > 50:
        return None, nothing  # all at one point, or in nm: every atom would be near every other
    near = np.asarray(self_capped_distance(positions_A, TOO_NEAR_A, box=box)[0], np.int64)
    if len(np.unique(near)) > 0.8 * len(positions_A):
        return None, nothing
    pairs, distance = self_capped_distance(positions_A, reach, box=box)
    bonded = (distance < BOND_REACH * (radius[pairs[:, 0]] + radius[pairs[:, 1]])) & (distance > TOO_NEAR_A)
    lone = (radius[pairs[:, 0]] == 0.0) | (radius[pairs[:, 1]] == 0.0)
    has = [(element == e)[pairs].any(axis=1) for e in ("H", *NEVER_BONDED)]
    least = np.where(has[0], _TOO_NEAR_H, _TOO_NEAR) * radius[pairs].sum(axis=1)
    least = np.where(lone, np.where(np.any(has[1:], axis=0), _TOO_NEAR_ION_A, 0.0), least)
    too_near = np.asarray(pairs[distance < np.maximum(least, TOO_NEAR_A)], np.int64)
    return np.asarray(pairs[bonded & ~lone], np.int64), too_near


def bare_carbons(
    positions_A: np.ndarray, box: np.ndarray | None, element: np.ndarray, pairs: np.ndarray
) -> dict[int, int]:
    """Carbons whose bonds, by their number and length, leave room for hydrogens that are not there, and for how many.

    Args:
        positions_A: (n, 3).
        box: lengths and angles (Å, degrees), or None.
        element: (n,) element symbols.
        pairs: (m, 2) bonded atoms.
    """
    from MDAnalysis.lib.distances import calc_bonds

    radius = np.array([COVALENT_RADIUS_A.get(e, 1.5) for e in element])
    box = usable_box(box, 2.0 * BOND_REACH * 2.0 * float(radius.max(initial=0.0)))
    length = calc_bonds(positions_A[pairs[:, 0]], positions_A[pairs[:, 1]], box=box)
    order = np.exp((radius[pairs].sum(axis=1) - length) / _ORDER_DECAY_A)
    total = np.zeros(len(element))
    np.add.at(total, pairs.ravel(), np.repeat(order, 2))
    carbons = np.flatnonzero(element == "C")
    return {int(i): 4 - round(float(total[i])) for i in carbons if total[i] < _FEWEST_BONDS_OF_CARBON}


def usable_box(box: np.ndarray | None, width_A: float) -> np.ndarray | None:
    """A box given as lengths and angles, or None for one that is narrower than ``width_A`` or none."""
    if box is None or not np.isfinite(box).all() or _narrowest_A(box) < width_A:
        return None
    return box


def _narrowest_A(box: np.ndarray) -> float:
    """Least distance between two opposite faces of a box given as lengths and angles, Å; 0 for none."""
    from MDAnalysis.lib.mdamath import triclinic_vectors

    vectors = triclinic_vectors(box).astype(float)
    return Cell(vectors).narrowest_A if np.linalg.det(vectors) > 0.0 else 0.0


def by_names(names: np.ndarray, members: np.ndarray) -> list[np.ndarray] | None:
    """Groups in which every atom name occurs once, in the same order in each; None where names do not repeat so."""
    own = names[members]
    if len(own) == 0 or (own == "").any():
        return None
    size = len(set(own))
    if len(own) % size or not (own.reshape(-1, size) == own[:size]).all():
        return None
    return list(members.reshape(-1, size))


def _key(groups: Sequence[np.ndarray]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(i) for i in g) for g in groups)


def partitions(candidates: Sequence[tuple[str, list[np.ndarray] | None, int]]) -> list[Partition]:
    """The distinct partitions among those that each sign names, with the signs that agree on each, weightiest first.

    Args:
        candidates: name of the sign, its groups (None if it says nothing), and how many signs it counts for.
    """
    found: dict[tuple, list[tuple[str, int]]] = {}
    for sign, groups, weight in candidates:
        if groups:
            found.setdefault(_key(groups), []).append((sign, weight))
    made = [
        Partition(groups, tuple(sign for sign, _ in said), sum(weight for _, weight in said))
        for groups, said in found.items()
    ]
    return sorted(made, key=lambda p: -p.weight)


def contradicted(groups: Sequence[Sequence[int]], bonds: np.ndarray | None, n: int, *, every: bool) -> bool:
    """Whether bonds join groups of atoms, or leave them in pieces.

    Args:
        groups: of a species.
        bonds: (m, 2) pairs of bonded atoms, or None for unknown.
        n: number of atoms of the box.
        every: whether one bond between two groups counts (bonds of the file) or only if more than half of the groups
            are joined or in pieces (distances, which a close contact can fool).
    """
    if bonds is None:
        return False
    label = np.full(n, -1)
    for g, members in enumerate(groups):
        label[list(members)] = g
    inside = bonds[(label[bonds[:, 0]] >= 0) & (label[bonds[:, 1]] >= 0)]
    across = inside[label[inside[:, 0]] != label[inside[:, 1]]]
    joined = len(np.unique(label[across]))
    if joined > (0 if every else len(groups) / 2):
        return True
    if every:
        return False
    within = inside[label[inside[:, 0]] == label[inside[:, 1]]]
    part = components(n, within)
    pieces = sum(len(set(part[list(members)])) > 1 for members in groups)
    return pieces > len(groups) / 2


def told(partition: Partition) -> str:
    """A partition for a message: "24 molecules of 16 atoms by bonds and residues"."""
    sizes = Counter(len(g) for g in partition.groups)
    shown = ", ".join(f"{n} of {size} atom{'s' * (size > 1)}" for size, n in sorted(sizes.items())[:3])
    more = " …" if len(sizes) > 3 else ""
    return f"{shown}{more} by {' and '.join(partition.signs)}"
