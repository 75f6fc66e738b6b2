"""The arrays of a foreign topology that matching needs, and what its bonds, masses and positions say of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.trajectory import boxes
from lmbmd.trajectory.mapping import molecules as who
from lmbmd.trajectory.mapping.elements import (
    UNITED_AMU,
    Evidence,
    assigned,
    by_mass,
    by_name,
    ion_by_name,
    is_element,
    weights,
    without_repartition,
)
from lmbmd.trajectory.mapping.graphs import Graph
from lmbmd.trajectory.species_map import SpeciesMap

#: Files that may list some of their bonds only. Others are what a simulation was run from, or name all bonds.
_SOME_BONDS = (".pdb", ".ent", ".brk", ".pdbqt", ".xpdb", ".pqr", ".cif", ".mmcif", ".mmtf", ".gro", ".xyz")


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
    from MDAnalysis.lib.mdamath import triclinic_box

    try:
        step = universe.trajectory.ts
        box = boxes.stated(universe.trajectory, step)
        return np.asarray(step.positions, np.float32)[real], None if box is None else triclinic_box(*box)
    except (NoDataError, AttributeError):
        return None, None


def graphs_of(topology: Topology, groups: Sequence[np.ndarray]) -> list[Graph]:
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
