"""Contacts and RDF counts of every frame: one search per frame, everything later is a filter on its result."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmbmd.analysis.scan import kernels
from lmbmd.analysis.scan.options import ContactOptions
from lmbmd.analysis.scan.rdf import RdfPairs, RdfSum, named_atoms
from lmbmd.core.errors import LmbmdError
from lmbmd.core.progress import Progress
from lmbmd.core.provenance import file_sha256
from lmbmd.core.workers import shared
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell
from lmbmd.data.contacts import (
    ContactFile,
    ContactList,
    FrameContacts,
    contact_batch,
    edges_from_images,
    writing_contacts,
)
from lmbmd.data.frames import Frame
from lmbmd.data.rdf import Rdf
from lmbmd.trajectory import Frames
from lmbmd.trajectory.parts import Joined
from lmbmd.trajectory.sample import write_sample


@dataclass(frozen=True, eq=False)
class FrameScan:
    """What one search finds: contacts as lattice steps (see ``kernels.search``) and RDF counts.

    ``image`` (n_contacts, 3) says where a contact's unit is: its mass centre as seen from the contact's centre
    is at ``unit + image @ box``.
    """

    index: int
    time_ps: float
    box: np.ndarray
    offsets: np.ndarray
    atom: np.ndarray
    distance: np.ndarray
    image: np.ndarray
    centre: np.ndarray
    unit: np.ndarray
    dipole: np.ndarray
    spread: np.ndarray
    counts: np.ndarray
    reach_A: float


class Search:
    """The search of one box, prepared once and applied to its frames."""

    def __init__(self, atoms: AtomTable, options: ContactOptions) -> None:
        self.atoms, self.options, self.pairs = atoms, options, RdfPairs.of(atoms, options.more_rdfs)
        # Rows of one array hold all atoms, then the mass centres of all units. Points around a centre are the
        # donor sites, which can make contacts, then the mass centres.
        mass_centre = len(atoms) + np.arange(atoms.n_units)
        self._site = np.flatnonzero(atoms.site_id >= 0)
        self._point = np.append(self._site, mass_centre)
        self._label = np.append(atoms.site_id[self._site], len(atoms.sites) + atoms.unit_species).astype(np.int64)
        self._unit = np.append(atoms.unit[self._site], np.arange(atoms.n_units)).astype(np.int64)
        self._centre_label = _rank(atoms.species_id[atoms.centres], self.pairs.centre_species)
        self._centre_unit = atoms.unit[atoms.centres].astype(np.int64)
        self._anion_unit = np.flatnonzero(np.isin(atoms.unit_species, self.pairs.anion_species))
        self._anion = mass_centre[self._anion_unit]
        self._anion_label = _rank(atoms.unit_species[self._anion_unit], self.pairs.anion_species)
        # Pairs that were asked for: rows of both, and the unit of each.
        self._more = [(self._rows(one), self._rows(other)) for one, other in self.pairs.more]
        self._mass, self._charge = atoms.mass_amu.astype(float), atoms.charge_e.astype(float)
        self._unit_mass = np.add.reduceat(self._mass, atoms.first_atom_of_unit[:-1])
        self._whole = np.empty((len(atoms) + atoms.n_units, 3))
        most = max([len(self._point), *(len(rows) for _, (rows, _) in self._more)])
        self._work = kernels.workspace(most)

    def _rows(self, name: str) -> tuple[np.ndarray, np.ndarray]:
        """Rows of what is named, mass centres or atoms, and the unit of each."""
        atoms, chosen = self.atoms, named_atoms(self.atoms, name)
        if chosen is not None:
            return chosen, atoms.unit[chosen].astype(np.int64)
        units = np.flatnonzero(atoms.unit_species == atoms.species_index(name))
        return len(atoms) + units, units

    def __call__(self, frame: Frame) -> FrameScan:
        """Search one frame.

        Raises:
            LmbmdError: if half the smallest box width is not more than the search radius.
        """
        atoms, options, pairs = self.atoms, self.options, self.pairs
        # Whichever vectors describe the lattice: the widest cell lets a search reach as far as it can.
        cell = Cell(frame.box).reduced
        box, inverse = cell.vectors_A, cell.inverse_per_A
        half = 0.5 * cell.narrowest_A
        if half <= options.search_radius_A:
            raise LmbmdError(
                f"the box is {cell.narrowest_A:.2f} Å wide at its narrowest, too small for a search radius of "
                f"{options.search_radius_A:g} Å: a partner and its periodic image would both be found.",
                where=f"frame {frame.index}",
                remedy=f"Use a box more than {2 * options.search_radius_A:g} Å wide, or a smaller search radius.",
            )
        reach = min(options.rdf_radius_A, half)
        positions = np.ascontiguousarray(frame.positions, dtype=np.float32)
        whole = self._whole
        kernels.make_whole(positions, atoms.first_atom_of_unit, atoms.parent, self._mass, box, inverse, half, whole)
        dipole = np.zeros((len(atoms.species), 3))
        parts = atoms.first_atom_of_unit, atoms.first_unit
        kernels.add_dipoles(whole, *parts, self._unit_mass, self._charge, atoms.unit_species, dipole)
        spread = np.empty(len(atoms.chain_molecules), np.float32)
        kernels.spreads(whole, *parts, atoms.chain_molecules, self._mass, spread)

        around_centres = np.zeros((len(pairs.centre_species), len(pairs.partners), options.n_bins), np.int64)
        offsets, contact, distance, image = kernels.search(
            whole,
            atoms.centres,
            self._centre_label,
            self._centre_unit,
            self._point,
            self._label,
            self._unit,
            len(self._site),
            box,
            inverse,
            reach,
            options.search_radius_A,
            options.bins_per_A,
            _grid(cell.widths_A, reach, len(self._point)),
            around_centres,
            self._work,
        )
        n_anion_species = len(pairs.anion_species)
        around_anions = np.zeros((n_anion_species, n_anion_species, options.n_bins), np.int64)
        kernels.search(
            whole,
            self._anion,
            self._anion_label,
            self._anion_unit,
            self._anion,
            self._anion_label,
            self._anion_unit,
            0,
            box,
            inverse,
            reach,
            0.0,
            options.bins_per_A,
            _grid(cell.widths_A, reach, len(self._anion)),
            around_anions,
            self._work,
        )
        counted = [h.reshape(-1, options.n_bins) for h in (around_centres, around_anions)]
        for (query, query_unit), (point, unit) in self._more:
            histogram = np.zeros((1, 1, options.n_bins), np.int64)
            zeros = np.zeros(len(query), np.int64), np.zeros(len(point), np.int64)
            kernels.search(
                *(whole, query, zeros[0], query_unit, point, zeros[1], unit, 0, box, inverse, reach, 0.0),
                *(options.bins_per_A, _grid(cell.widths_A, reach, len(point)), histogram, self._work),
            )
            counted.append(histogram[0])
        counts = np.concatenate(counted)
        return FrameScan(
            frame.index,
            frame.time_ps,
            box,
            offsets,
            self._site[contact].astype(np.int32),
            distance,
            image,
            whole[atoms.centres].astype(np.float32),
            whole[len(atoms) :].astype(np.float32),
            dipole,
            spread,
            counts,
            reach,
        )


def _rank(values: np.ndarray, order: tuple[int, ...]) -> np.ndarray:
    """Place of each value in ``order``, which is ascending."""
    return np.searchsorted(np.array(order, dtype=np.int64), values).astype(np.int64)


def _grid(width: np.ndarray, reach: float, n_points: int) -> np.ndarray:
    """Cells per axis: about half the reach wide (measured fastest), and no more cells than points."""
    cell = max(reach / 2.0, (width.prod() / max(n_points, 1)) ** (1 / 3))
    return np.maximum(1, (width / cell).astype(np.int64))


def frame_contacts(scan: FrameScan, atoms: AtomTable) -> FrameContacts:
    """The contacts of one search, with their edges (centre → mass centre of the partner)."""
    row = np.repeat(np.arange(len(scan.offsets) - 1), np.diff(scan.offsets))
    edge = edges_from_images(scan.image, row, atoms.unit[scan.atom], scan.centre, scan.unit, scan.box)
    return FrameContacts(
        scan.index,
        scan.time_ps,
        scan.box,
        scan.offsets,
        scan.atom,
        scan.distance,
        edge,
        scan.centre,
        scan.unit,
        scan.dipole,
        scan.spread,
    )


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
    search, total = Search(atoms, options), _empty_rdf(atoms, options, len(frames))
    found = []
    for i, frame in enumerate(frames):
        scan = search(frame)
        total.add(_block(i, len(frames), total.n_blocks), frame.volume_A3, scan.counts, scan.reach_A)
        found.append(frame_contacts(scan, atoms))
    return ContactList(found, options.search_radius_A), total.result()


def _empty_rdf(atoms: AtomTable, options: ContactOptions, n_frames: int) -> RdfSum:
    """The RDF sums of a run of ``n_frames`` before its first frame.

    Raises:
        LmbmdError: if there is no frame.
    """
    if n_frames < 1:
        raise LmbmdError("there is no frame to analyse.", remedy="Check the trajectory.")
    return RdfSum(
        RdfPairs.of(atoms, options.more_rdfs), options.n_bins, options.bins_per_A, min(options.n_blocks, n_frames)
    )


def _block(i: int, n_frames: int, n_blocks: int) -> int:
    """The block that frame ``i`` of ``n_frames`` belongs to; blocks differ by at most one frame."""
    return i * n_blocks // n_frames


def run_contacts(
    frames: Frames | Joined,
    atoms: AtomTable,
    contacts_path: str | os.PathLike[str],
    rdf_path: str | os.PathLike[str] | None,
    options: ContactOptions | None = None,
    workers: int = 1,
    header: Mapping[str, Any] | None = None,
    progress: bool = True,
    sample_path: str | os.PathLike[str] | None = None,
) -> tuple[ContactFile, Rdf]:
    """Contacts and RDFs of a trajectory, streamed to files.

    Frames are read and searched in parts of fixed size, in this process or in several. Parts are joined in order
    and RDF counts are integers, so both files are the same to the bit for any number of workers. Memory does not
    grow with the number of frames.

    Args:
        frames: from ``trajectory.read_frames``, or of one run in several files.
        atoms: who every atom is.
        contacts_path, rdf_path: files to write; they appear whole or not at all. Without one for RDFs these are counted
            as far as contacts are searched, which takes a fraction of the time.
        options: radii, bins and blocks.
        workers: processes; 1 works in this one.
        header: JSON-serialisable facts for the contact file's header, e.g. a provenance stamp.
        progress: say how far it is: a bar on a terminal, lines elsewhere.
        sample_path: if given, where to keep a few whole frames (``trajectory.sample``), for shells to be cut out of.

    Returns:
        The contact file and the RDFs.

    Raises:
        LmbmdError: if a frame cannot be read or its box is too small, a file cannot be written, or a worker died.
    """
    options = options or ContactOptions()
    n, size = len(frames), _part_size(len(atoms))
    parts = [(first, min(first + size, n)) for first in range(0, n, size)]
    header = {"search_radius_A": options.search_radius_A, "options": options.facts(), **(header or {})}
    if rdf_path is None:
        options = options.model_copy(update={"rdf_radius_A": options.search_radius_A})
    total = _empty_rdf(atoms, options, n)
    bar = Progress(sys.stderr if progress else None)
    with writing_contacts(contacts_path, header, atoms.first_atom_of_unit, chains=bool(atoms.chains)) as file, bar:
        bar.begin("contacts", n, unit="frames")
        before_ps, done = -np.inf, 0
        for rows, rdf in _scan_parts(frames, parts, Search(atoms, options), min(workers, len(parts))):
            frames.check_time(rows[0]["index"], rows[0]["time_ps"], before_ps)
            before_ps = rows[-1]["time_ps"]
            file.write(contact_batch(rows))
            total.merge(rdf)
            done += len(rows)
            bar.at(done)
        if sample_path is not None:
            write_sample(frames, Path(sample_path))
            file.beside[Path(sample_path).name] = file_sha256(sample_path)
    result = total.result()
    if rdf_path is not None:
        result.write(rdf_path)
    return ContactFile(Path(contacts_path)), result


def _part_size(n_atoms: int) -> int:
    """Frames in a part: enough to hide what starting one costs, few enough for memory. Depends on nothing else."""
    return min(max(2**20 // n_atoms, 1), 64)


def _scan_part(
    frames: Frames | Joined, first: int, last: int, n_frames: int, search: Search
) -> tuple[list[dict[str, Any]], RdfSum]:
    """Rows of the contact file and RDF sums for frames ``first`` … ``last`` − 1 of ``n_frames``."""
    rows, rdf = [], _empty_rdf(search.atoms, search.options, n_frames)
    for i, frame in enumerate(frames, start=first):
        scan = search(frame)
        rdf.add(_block(i, n_frames, rdf.n_blocks), frame.volume_A3, scan.counts, scan.reach_A)
        row = {
            name: getattr(scan, name)
            for name in ("index", "time_ps", "box", "atom", "distance", "image", "centre", "dipole", "spread")
        }
        rows.append({**row, "molecule": scan.unit, "count": np.diff(scan.offsets)})
    return rows, rdf


def _scan_parts(
    frames: Frames | Joined, parts: list[tuple[int, int]], search: Search, workers: int
) -> Iterator[tuple[list[dict[str, Any]], RdfSum]]:
    """Parts in order, scanned here or by several processes that are never more than a few parts ahead."""
    n = len(frames)
    arguments = ((frames.part(a, b), a, b, n, search) for a, b in parts)
    return shared(_scan_part, arguments, workers, frames.name)
