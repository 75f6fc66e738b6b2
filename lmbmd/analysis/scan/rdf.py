"""Radial distribution functions: integer counts per frame, normalised inside each frame, summed exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lmbmd.data.atoms import AtomTable
from lmbmd.data.rdf import Rdf

#: Volumes are counted in this unit when they weight the counts of a frame. Sums of integers do not depend on their
#: order, so parts of a trajectory add up to the whole to the bit; the rounding is 1e-8 of a 50 000 Å³ box.
_VOLUME_UNIT_A3 = 1e-3


@dataclass(frozen=True)
class RdfPairs:
    """Who is counted around whom in a box.

    Attributes:
        centre_species: species of the centres; rows of the first histogram, whose columns are ``partners``.
        partners: every donor site, then every species (its molecules' mass centres).
        anion_species: rows and columns of the second histogram, anions' mass centres around each other.
        n_centres, n_anions: number of molecules in each row.
        more: other pairs that were asked for, each with a histogram of its own; their numbers are ``n_more``.
        n_partners: (rows, columns) number of partners that one member of the row can have, itself excluded.
    """

    centre_species: tuple[int, ...]
    anion_species: tuple[int, ...]
    names: tuple[str, ...]
    partners: tuple[str, ...]
    n_centres: np.ndarray
    n_anions: np.ndarray
    n_partners: np.ndarray
    n_anion_partners: np.ndarray
    more: tuple[tuple[str, str], ...] = ()
    n_more: tuple[tuple[int, int], ...] = ()

    @classmethod
    def of(cls, atoms: AtomTable, more: Sequence[str] = ()) -> RdfPairs:
        """The pairs of a box: every centre species with every site and every species, anions with anions.

        Args:
            atoms: the box.
            more: other pairs, each as ``"FSI DME.H"``; one of which the box has no member, or that is among the above,
                is left out.
        """
        names = tuple(s.name for s in atoms.species)
        n_species = np.bincount(atoms.unit_species, minlength=len(names))
        n_sites = np.bincount(atoms.site_id[atoms.site_id >= 0], minlength=len(atoms.sites))
        centre_species = tuple(sorted(set(atoms.species_id[atoms.centres].tolist())))
        anion_species = tuple(i for i, s in enumerate(atoms.species) if s.role == "anion" and n_species[i])
        n_partners = np.tile(np.append(n_sites, n_species), (len(centre_species), 1))
        for row, s in enumerate(centre_species):
            n_partners[row, len(atoms.sites) + s] -= 1
        n_anions = n_species[list(anion_species)]
        n_anion_partners = np.tile(n_anions, (len(anion_species), 1)) - np.eye(len(anion_species), dtype=int)
        found = cls(
            centre_species,
            anion_species,
            names,
            (*atoms.sites, *names),
            n_species[list(centre_species)],
            n_anions,
            n_partners,
            n_anion_partners,
        )
        known, sizes = set(found.labels), {}
        for one, other in (pair.split() for pair in more):
            numbers = _count(atoms, one), _count(atoms, other)
            if all(numbers) and (one, other) not in known:
                own = other == one or other.startswith((f"{one}.", f"{one}:"))
                sizes[one, other] = numbers[0], numbers[1] - own * numbers[1] // numbers[0]
        return replace(found, more=tuple(sizes), n_more=tuple(sizes.values()))

    @property
    def labels(self) -> tuple[tuple[str, str], ...]:
        """Pair labels in the order of the rows of an ``Rdf``."""
        anions = [self.names[i] for i in self.anion_species]
        return (
            *((self.names[c], partner) for c in self.centre_species for partner in self.partners),
            *((a, b) for a in anions for b in anions),
            *self.more,
        )


def named_atoms(atoms: AtomTable, name: str) -> np.ndarray | None:
    """Atoms of a site (``"DME:O_ether"``) or of an element of a species (``"NO3.N"``), int64; None for a species."""
    if name in atoms.sites:
        return np.flatnonzero(atoms.site_id == atoms.sites.index(name))
    species, dot, element = name.rpartition(".")
    names = [s.name for s in atoms.species]
    if not dot or species not in names:
        return np.empty(0, np.int64) if ":" in name or name not in names else None
    return np.flatnonzero((atoms.species_id == names.index(species)) & (atoms.element == element))


def _count(atoms: AtomTable, name: str) -> int:
    """How many members of what is named the box has."""
    chosen = named_atoms(atoms, name)
    return atoms.count(name) if chosen is None else len(chosen)


@dataclass
class RdfSum:
    """Fold over frames: RDF counts of a run, in blocks of consecutive frames.

    ``add`` takes the counts of one frame, ``merge`` another part of the same run; ``result`` normalises. Sums are
    integers, so the result does not depend on how the run was cut into parts.

    Args:
        pairs: who is counted around whom.
        n_bins: bins of width 1 / bins_per_A.
        n_blocks: blocks of consecutive frames.
    """

    pairs: RdfPairs
    n_bins: int
    bins_per_A: float
    n_blocks: int
    count: np.ndarray = field(init=False)
    weighted: np.ndarray = field(init=False)
    frames: np.ndarray = field(init=False)
    reach_A: float = field(init=False)

    def __post_init__(self) -> None:
        shape = (self.n_blocks, len(self.pairs.labels), self.n_bins)
        self.count = np.zeros(shape, np.int64)
        self.weighted = np.zeros(shape, np.int64)
        self.frames = np.zeros(self.n_blocks, np.int64)
        self.reach_A = self.n_bins / self.bins_per_A

    def add(self, block: int, volume_A3: float, counts: np.ndarray, reach_A: float) -> None:
        """Add one frame.

        Args:
            block: the block it belongs to.
            volume_A3: its volume.
            counts: (n_pairs, n_bins) int64, pairs counted in the order of ``pairs.labels``.
            reach_A: distance up to which its counts are complete.
        """
        self.count[block] += counts
        self.weighted[block] += counts * round(volume_A3 / _VOLUME_UNIT_A3)
        self.frames[block] += 1
        self.reach_A = min(self.reach_A, reach_A)

    def merge(self, other: RdfSum) -> None:
        """Add another part of the same run."""
        self.count += other.count
        self.weighted += other.weighted
        self.frames += other.frames
        self.reach_A = min(self.reach_A, other.reach_A)

    def result(self) -> Rdf:
        """g(r) and mean counts per block.

        With H the pairs counted in a frame of volume V, N_c centres and N_p partners each can have (one less for
        like species), and v = 4π/3 (r₂³ − r₁³) the volume of a bin::

            g = ⟨H V⟩ / (N_c N_p v)        count = ⟨H⟩ / N_c

        where ⟨⟩ is the mean over the frames of a block. Blocks without a frame are left out. A pair whose centres
        can have no partner (one ion around itself) has g = 0.
        """
        pairs, filled = self.pairs, self.frames > 0
        centres = np.concatenate(
            [
                np.repeat(pairs.n_centres, len(pairs.partners)),
                np.repeat(pairs.n_anions, len(pairs.n_anions)),
                [one for one, _ in pairs.n_more],
            ]
        )
        partners = np.concatenate(
            [pairs.n_partners.ravel(), pairs.n_anion_partners.ravel(), [other for _, other in pairs.n_more]]
        )
        edges = np.arange(self.n_bins + 1) / self.bins_per_A
        shell = 4.0 / 3.0 * np.pi * np.diff(edges**3)
        frames = self.frames[filled]
        count = self.count[filled] / (frames[:, None, None] * centres[None, :, None])
        expected = frames[:, None, None] * (centres * np.maximum(partners, 1))[None, :, None] * shell
        g = self.weighted[filled] * _VOLUME_UNIT_A3 / expected
        return Rdf(edges, pairs.labels, g, count, frames, self.reach_A)
