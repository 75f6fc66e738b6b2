"""One frame's first shell, and what follows from it: each worked out once, however many families ask.

A fold over frames is given a ``FirstShell`` and reads from it what it needs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lmbmd.analysis.clusters.ions import IonGraph, Ions, ion_graph, ions_of
from lmbmd.analysis.shells.cutoffs import Cutoffs
from lmbmd.data.atoms import AtomTable
from lmbmd.data.contacts import FrameContacts


@dataclass(frozen=True, eq=False)
class Bonds:
    """Units in contact with centres (small molecules, and units of chains), one entry per pair, in order of centre and
    unit.

    Attributes:
        centre: (n,) int64, number of the centre.
        unit: (n,) int64.
        donors: (n,) int64, donor atoms of the unit within the cut-off (its denticity on this centre).
    """

    centre: np.ndarray
    unit: np.ndarray
    donors: np.ndarray


def bonds(shell: FrameContacts, atoms: AtomTable) -> Bonds:
    """Pairs of a centre and a unit in contact, however many donor atoms they share.

    A unit that touches a centre through two periodic images is one pair (the box is then too small to
    tell them apart).
    """
    unit = atoms.unit[shell.atom].astype(np.int64)
    # Contacts are in order of centre and, within one, of atom: those of one pair are neighbours.
    row, n = shell.row, len(unit)
    new = np.ones(n, bool)
    new[1:] = (row[1:] != row[:-1]) | (unit[1:] != unit[:-1])
    first = np.flatnonzero(new)
    return Bonds(row[first], unit[first], np.diff(first, append=n))


@dataclass(frozen=True, eq=False)
class FirstShell:
    """The first-shell contacts of one frame.

    Attributes:
        contacts: those within the cut-offs.
        atoms: who the atoms are.
        ions: ``ions_of(atoms)``.
        moved: shift of all cut-offs in Å → the first shell of the same frame with it.
    """

    contacts: FrameContacts
    atoms: AtomTable
    ions: Ions
    moved: Mapping[float, FirstShell] = field(default_factory=dict)

    @cached_property
    def pairs(self) -> Bonds:
        """Pairs of a centre and a unit in contact."""
        return bonds(self.contacts, self.atoms)

    @cached_property
    def graph(self) -> IonGraph:
        """The clusters of ions."""
        return ion_graph(self.contacts, self.atoms, self.ions)


def first_shell(
    full: FrameContacts, cutoffs: Cutoffs, atoms: AtomTable, ions: Ions, shifts_A: Iterable[float] = ()
) -> FirstShell:
    """The first shell of a frame, and beside it those with all cut-offs moved by each of ``shifts_A``, Å."""
    moved = {shift: FirstShell(cutoffs.first_shell(full, atoms, shift), atoms, ions) for shift in shifts_A}
    return FirstShell(cutoffs.first_shell(full, atoms), atoms, ions, moved)


@dataclass(frozen=True, eq=False)
class FirstShells:
    """The first shells of all frames of a contact table, cut anew whenever they are iterated over."""

    contacts: Iterable[FrameContacts]
    cutoffs: Cutoffs
    atoms: AtomTable

    def __iter__(self) -> Iterator[FirstShell]:
        ions = ions_of(self.atoms)
        return (first_shell(full, self.cutoffs, self.atoms, ions) for full in self.contacts)
