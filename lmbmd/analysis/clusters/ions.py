"""The graph of ions in contact, and its connected components.

Nodes are ions: every centre, and every anion: a molecule, or a unit of a chain (a tethered anion). An edge joins a
centre and an anion that are in contact, however many of the anion's atoms touch it; the chain between two tethered
anions is no edge. Theory: docs/theory/clusters.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lmbmd.analysis.clusters.kernels import connect
from lmbmd.data.atoms import AtomTable
from lmbmd.data.contacts import FrameContacts


@dataclass(frozen=True, eq=False)
class Ions:
    """The nodes of the ion graph of a box: centres first, then the anions, each in order.

    Attributes:
        n_centres: how many of the nodes are centres.
        unit: (n_ions,) int64, the unit (a small molecule, or a part of a chain) that each node is.
        charge: (n_ions,) int64, formal charge, e.
        node: (n_units,) int64, the node that a unit is as an *anion*, −1 for all others.
    """

    n_centres: int
    unit: np.ndarray
    charge: np.ndarray
    node: np.ndarray

    def __len__(self) -> int:
        return len(self.unit)


def ions_of(atoms: AtomTable) -> Ions:
    """The nodes of the ion graph: ``atoms.centres``, then every unit with role anion or a negative charge."""
    charge = np.array([s.charge for s in atoms.species])[atoms.unit_species]
    is_anion = np.array([s.role == "anion" or s.charge < 0 for s in atoms.species])[atoms.unit_species]
    centres, anions = atoms.unit[atoms.centres].astype(np.int64), np.flatnonzero(is_anion)
    node = np.full(atoms.n_units, -1, np.int64)
    node[anions] = len(centres) + np.arange(len(anions))
    unit = np.concatenate([centres, anions])
    return Ions(len(centres), unit, charge[unit].astype(np.int64), node)


@dataclass(frozen=True, eq=False)
class IonGraph:
    """The ion graph of one frame, taken apart into components ("clusters"; a lone ion is a cluster of one).

    Attributes:
        label: (n_ions,) int64, the cluster of each node of ``Ions``; clusters are numbered by first node.
        rank: (n_clusters,) int64, independent period vectors: 0 = finite, 1–3 = percolating.
        image: (n_ions, 3) int64, lattice steps that make each finite cluster whole.
        source, target: (n_contacts,) int64, centre and anion node of each contact, those of one pair neighbours.
        shell, ions: the contacts and the nodes that it is of.
    """

    label: np.ndarray
    rank: np.ndarray
    image: np.ndarray
    source: np.ndarray
    target: np.ndarray
    shell: FrameContacts
    ions: Ions

    @cached_property
    def size(self) -> np.ndarray:
        """(n_clusters,) int64, ions in each cluster."""
        return np.bincount(self.label, minlength=len(self.rank))

    @cached_property
    def n_centres(self) -> np.ndarray:
        """(n_clusters,) int64, centres in each cluster."""
        return np.bincount(self.label[: self.ions.n_centres], minlength=len(self.rank))

    @cached_property
    def edges(self) -> np.ndarray:
        """(n_clusters,) int64, centre–anion pairs in contact."""
        new_pair = np.append(True, (np.diff(self.source) != 0) | (np.diff(self.target) != 0))[: len(self.source)]
        return np.bincount(self.label[self.source[new_pair]], minlength=len(self.rank))

    @cached_property
    def position(self) -> np.ndarray:
        """(n_ions, 3) float64, Å: centres and mass centres of anions, each finite cluster whole across the boundary
        (one spanning tree where it percolates).
        """
        anions = self.shell.unit[self.ions.unit[self.ions.n_centres :]]
        return np.concatenate([self.shell.centre, anions]) + self.image @ self.shell.box


def ion_graph(shell: FrameContacts, atoms: AtomTable, ions: Ions) -> IonGraph:
    """Take one frame's centre–anion contacts apart into clusters.

    Each contact is a walk from the centre to the anion's mass centre; the walk's number of cells is the
    integer n with edge = molecule − centre + n · box. Contacts of one pair through different images stay
    different walks (they make the cluster percolate) but count as one edge.

    Args:
        shell: contacts already cut to the first shell.
        atoms: who the atoms are.
        ions: ``ions_of(atoms)``.

    Raises:
        ValueError: if an edge is not a lattice vector away from the difference of the mass centres.
    """
    partner = atoms.unit[shell.atom]
    target = ions.node[partner]
    contact = np.flatnonzero(target >= 0)
    source, target, partner = shell.row[contact], target[contact], partner[contact]
    # ``take`` fetches rows faster than brackets do.
    rows = shell.edge.take(contact, 0), shell.unit.take(partner, 0), shell.centre.take(source, 0)
    jump = rows[0].astype(float) - rows[1] + rows[2]
    cells = jump @ np.linalg.inv(shell.box)
    step = np.rint(cells)
    if len(cells) and np.abs(cells - step).max() > 0.1:
        raise ValueError(f"frame {shell.index}: a contact's edge does not end on its partner's mass centre")
    label, image, rank = connect(len(ions), source, target, step.astype(np.int64))
    return IonGraph(label, rank, image, source, target, shell, ions)
