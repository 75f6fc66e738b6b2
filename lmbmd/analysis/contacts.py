"""Contacts and RDF counts of every frame: one search per frame, everything later is a filter on its result."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lmbmd.analysis import kernels
from lmbmd.analysis.rdf import RdfPairs, RdfSum
from lmbmd.errors import LmbmdError
from lmbmd.tables import AtomTable, ContactList, Frame, FrameContacts, Rdf


@dataclass(frozen=True)
class ContactOptions:
    """How far contacts and RDFs reach.

    Attributes:
        search_radius_A: every centre–site pair up to here is kept as a contact.
        rdf_radius_A: upper end of the RDFs; a smaller box cuts them shorter (``Rdf.reach_A``).
        bins_per_A: RDF bins per Å; a power of two keeps their edges exact.
        n_blocks: blocks of consecutive frames in which RDFs are kept, fewer if there are fewer frames.
    """

    search_radius_A: float = 5.0
    rdf_radius_A: float = 10.0
    bins_per_A: int = 20
    n_blocks: int = 10

    def __post_init__(self) -> None:
        if not 0 < self.search_radius_A <= self.rdf_radius_A:
            raise LmbmdError(
                f"search_radius_A = {self.search_radius_A:g} must be positive and at most rdf_radius_A = "
                f"{self.rdf_radius_A:g}.",
                remedy="Contacts are found in the same search as the RDFs.",
            )
        if self.bins_per_A < 1 or self.n_blocks < 1:
            raise LmbmdError(f"bins_per_A = {self.bins_per_A} and n_blocks = {self.n_blocks} must be at least 1.")

    @property
    def n_bins(self) -> int:
        return round(self.rdf_radius_A * self.bins_per_A)


@dataclass(frozen=True, eq=False)
class FrameScan:
    """What one search finds: contacts as lattice steps (see ``kernels.search``) and RDF counts.

    ``image`` (n_contacts, 3) says where a contact's molecule is: its mass centre as seen from the contact's centre
    is at ``molecule + image @ box``.
    """

    index: int
    time_ps: float
    box: np.ndarray
    offsets: np.ndarray
    atom: np.ndarray
    distance: np.ndarray
    image: np.ndarray
    centre: np.ndarray
    molecule: np.ndarray
    counts: np.ndarray
    reach_A: float


class Search:
    """The search of one box, prepared once and applied to its frames."""

    def __init__(self, atoms: AtomTable, options: ContactOptions) -> None:
        self.atoms, self.options, self.pairs = atoms, options, RdfPairs.of(atoms)
        n_molecules = atoms.n_molecules
        self._site_atom = np.flatnonzero(atoms.site_id >= 0)
        # Points around a centre: donor sites, then the mass centres of all molecules.
        self._point_atom = np.append(self._site_atom, np.full(n_molecules, -1)).astype(np.int64)
        self._point_molecule = np.append(atoms.molecule[self._site_atom], np.arange(n_molecules)).astype(np.int64)
        self._point_label = np.append(atoms.site_id[self._site_atom], len(atoms.sites) + atoms.molecule_species).astype(
            np.int64
        )
        self._centre_label = _rank(atoms.species_id[atoms.centres], self.pairs.centre_species)
        self._centre_molecule = atoms.molecule[atoms.centres].astype(np.int64)
        self._anion = np.flatnonzero(np.isin(atoms.molecule_species, self.pairs.anion_species))
        self._anion_label = _rank(atoms.molecule_species[self._anion], self.pairs.anion_species)
        self._no_atom = np.full(len(self._anion), -1, np.int64)
        self._mass = atoms.mass_amu.astype(float)

    def __call__(self, frame: Frame) -> FrameScan:
        """Search one frame.

        Raises:
            LmbmdError: if half the smallest box width is less than the search radius.
        """
        atoms, options, pairs = self.atoms, self.options, self.pairs
        box = np.ascontiguousarray(frame.box, dtype=float)
        inverse = np.linalg.inv(box)
        width = 1.0 / np.sqrt((inverse**2).sum(axis=0))
        half = 0.5 * width.min()
        if half < options.search_radius_A:
            raise LmbmdError(
                f"the box is {width.min():.2f} Å wide at its narrowest, too small for a search radius of "
                f"{options.search_radius_A:g} Å: a partner and its periodic image would both be found.",
                where=f"frame {frame.index}",
                remedy=f"Use a box at least {2 * options.search_radius_A:g} Å wide, or a smaller search radius.",
            )
        reach = min(options.rdf_radius_A, half)
        whole, molecule = np.empty((len(atoms), 3)), np.empty((atoms.n_molecules, 3))
        positions = np.ascontiguousarray(frame.positions, dtype=np.float32)
        kernels.make_whole(positions, atoms.first_atom, self._mass, box, inverse, half, whole, molecule)

        centre = whole[atoms.centres]
        around_centres = np.zeros((len(pairs.centre_species), len(pairs.partners), options.n_bins), np.int64)
        points = np.concatenate([whole[self._site_atom], molecule])
        offsets, atom, distance, image = kernels.search(
            centre, self._centre_label, self._centre_molecule,
            points, self._point_label, self._point_molecule, self._point_atom,
            box, inverse, reach, options.search_radius_A, options.bins_per_A, _grid(width, reach, len(points)),
            around_centres,
        )  # fmt: skip
        n_anion_species = len(pairs.anion_species)
        around_anions = np.zeros((n_anion_species, n_anion_species, options.n_bins), np.int64)
        anions = molecule[self._anion]
        kernels.search(
            anions, self._anion_label, self._anion, anions, self._anion_label, self._anion, self._no_atom,
            box, inverse, reach, 0.0, options.bins_per_A, _grid(width, reach, len(anions)), around_anions,
        )  # fmt: skip
        counts = np.concatenate([h.reshape(-1, options.n_bins) for h in (around_centres, around_anions)])
        return FrameScan(
            frame.index, frame.time_ps, box, offsets, atom, distance.astype(np.float32), image,
            centre.astype(np.float32), molecule.astype(np.float32), counts, reach,
        )  # fmt: skip


def _rank(values: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Place of each value in ``order``, which is ascending."""
    return np.searchsorted(np.array(order, dtype=np.int64), values).astype(np.int64)


def _grid(width: np.ndarray, reach: float, n_points: int) -> np.ndarray:
    """Cells per axis: about a third of the reach wide, and no more cells than points."""
    cell = max(reach / 3.0, (width.prod() / max(n_points, 1)) ** (1 / 3))
    return np.maximum(1, (width / cell).astype(np.int64))


def frame_contacts(scan: FrameScan, atoms: AtomTable) -> FrameContacts:
    """The contacts of one search, with their edges (centre → mass centre of the partner molecule)."""
    row = np.repeat(np.arange(len(scan.offsets) - 1), np.diff(scan.offsets))
    edge = scan.molecule[atoms.molecule[scan.atom]].astype(float) - scan.centre[row] + scan.image @ scan.box
    return FrameContacts(
        scan.index, scan.time_ps, scan.box, scan.offsets, scan.atom, scan.distance, edge.astype(np.float32),
        scan.centre, scan.molecule,
    )  # fmt: skip


def find_contacts(
    frames: Iterable[Frame], atoms: AtomTable, options: ContactOptions | None = None
) -> tuple[ContactList, Rdf]:
    """Contacts and RDFs of frames held in memory.

    Args:
        frames: the frames.
        atoms: who every atom is.
        options: radii, bins and blocks.

    Returns:
        The contact table, and the RDFs in blocks of consecutive frames.

    Raises:
        LmbmdError: if there is no frame, or a box is too small for the search radius.
    """
    options = options or ContactOptions()
    frames = list(frames)
    search, total = Search(atoms, options), empty_rdf(atoms, options, len(frames))
    found = []
    for i, frame in enumerate(frames):
        scan = search(frame)
        total.add(i * total.n_blocks // len(frames), frame.volume_A3, scan.counts, scan.reach_A)
        found.append(frame_contacts(scan, atoms))
    return ContactList(found, options.search_radius_A), total.result()


def empty_rdf(atoms: AtomTable, options: ContactOptions, n_frames: int) -> RdfSum:
    """The RDF sums of a run of ``n_frames`` before its first frame.

    Raises:
        LmbmdError: if there is no frame.
    """
    if n_frames < 1:
        raise LmbmdError("there is no frame to analyse.", remedy="Check the trajectory and start, stop and step.")
    return RdfSum(RdfPairs.of(atoms), options.n_bins, options.bins_per_A, min(options.n_blocks, n_frames))
