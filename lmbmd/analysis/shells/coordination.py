"""First shells: who sits next to a centre, how many of them, in which combinations.

Theory: docs/theory/coordination.md and docs/theory/shells.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lmbmd.analysis.first_shell import Bonds, FirstShell
from lmbmd.data.atoms import AtomTable, SpeciesInfo

#: A free, bound and bridging molecule is in contact with no, one, and two or more centres.
STATES = ("free", "bound", "bridging")
#: In which order the species of a shell are named, by kind.
LIGAND_KINDS = ("solvent", "polymer", "additive", "diluent", "anion")


def kind(species: SpeciesInfo) -> str:
    """What a species counts as: an ion by its charge, whatever its role in the recipe; a neutral one by its role."""
    if species.charge:
        return "anion" if species.charge < 0 else "cation"
    return species.role


def ligand_species(atoms: AtomTable) -> np.ndarray:
    """Indices of the species that can sit in a shell (all but cations), in the order in which shells name them.

    By kind, then by name: not by the order of the recipe or map, or one shell would have two names.
    """
    kinds = [kind(s) for s in atoms.species]
    found = [k for k, this in enumerate(kinds) if this in LIGAND_KINDS]
    return np.array(sorted(found, key=lambda k: (LIGAND_KINDS.index(kinds[k]), atoms.species[k].name)), np.int64)


def ligand_columns(atoms: AtomTable) -> np.ndarray:
    """(n_units,) position of each unit's species among ``ligand_species``, −1 for cations."""
    ligands = ligand_species(atoms)
    column = np.full(len(atoms.species), -1)
    column[ligands] = np.arange(len(ligands))
    return column[atoms.unit_species]


def compositions(pairs: Bonds, column: np.ndarray, n_centres: int, n_ligands: int) -> np.ndarray:
    """(n_centres, n_ligands) molecules of each species in the shell of each centre; ``column``: ``ligand_columns``."""
    found = np.zeros((n_centres, n_ligands), np.int64)
    mine = column[pairs.unit] >= 0
    np.add.at(found, (pairs.centre[mine], column[pairs.unit[mine]]), 1)
    return found


def shell_label(composition: np.ndarray, names: Sequence[str]) -> str:
    """A shell's name: ``"DME3 FSI1"``; ``"bare"`` for a centre without a molecule."""
    return " ".join(f"{name}{n}" for name, n in zip(names, composition, strict=True) if n) or "bare"


@dataclass(frozen=True, eq=False)
class ShellResult:
    """Shells of one replica. Counts are per frame, so that any mean has an error bar.

    Ligands are the species of ``ligands``, in that order; centres are those of the primary species.

    Attributes:
        n_centres: centres of the primary species.
        ligands, sites: names; n_molecules: (n_ligands,) of the box.
        time_ps: (n_frames,).
        molecules: (n_frames, n_ligands) pairs of a centre and a molecule in contact.
        donors: (n_frames, n_sites) donor atoms within the cut-offs of the centres.
        per_centre: (n_frames, n_ligands, m) centres with 0 … m − 1 molecules of the species.
        denticity: (n_frames, n_ligands, d) pairs in contact through 1 … d donor atoms.
        states: (n_frames, n_ligands, 3) molecules that are free, bound, bridging; with respect to *all* centres.
        types: (n_types, n_ligands) shell compositions, in order of appearance.
        type_counts: (n_rows, 3) frame, type, number of centres, in order of frame.
    """

    n_centres: int
    ligands: tuple[str, ...]
    sites: tuple[str, ...]
    n_molecules: np.ndarray
    time_ps: np.ndarray
    molecules: np.ndarray
    donors: np.ndarray
    per_centre: np.ndarray
    denticity: np.ndarray
    states: np.ndarray
    types: np.ndarray
    type_counts: np.ndarray

    @property
    def n_frames(self) -> int:
        return len(self.time_ps)

    def type_series(self, composition: np.ndarray) -> np.ndarray:
        """(n_frames,) number of centres that have this shell composition."""
        series = np.zeros(self.n_frames)
        kind = np.flatnonzero((self.types == composition).all(axis=1))
        if len(kind):
            rows = self.type_counts[self.type_counts[:, 1] == kind[0]]
            series[rows[:, 0]] = rows[:, 2]
        return series


class Shells:
    """Fold over the frames of one replica: coordination numbers, shell types, denticity, free and bound molecules.

    Args:
        atoms: who the atoms are.
        centre: species of the centres whose shells are described. Whether a molecule is free is asked of all
            centres of the box.

    Raises:
        ValueError: if the species is no centre of this box; from ``result`` if no frame was added.
    """

    def __init__(self, atoms: AtomTable, centre: str) -> None:
        self._atoms = atoms
        self._primary = atoms.species_id[atoms.centres] == atoms.species_index(centre)
        if not self._primary.any():
            raise ValueError(f"{centre} is no centre of this box")
        self._ligands = ligand_species(atoms)
        self._n_molecules = np.bincount(atoms.unit_species, minlength=len(atoms.species))[self._ligands]
        self._column = ligand_columns(atoms)
        self._types: dict[bytes, int] = {}
        self._counts = [PerFrame() for _ in range(6)]
        self._time: list[float] = []

    def add(self, first: FirstShell) -> None:
        """Add one frame."""
        atoms, n = self._atoms, len(self._ligands)
        shell, pairs = first.contacts, first.pairs
        column = self._column[pairs.unit]
        mine = self._primary[pairs.centre] & (column >= 0)
        shells = compositions(pairs, self._column, len(self._primary), n)[self._primary]
        per_centre = row_histograms(np.tile(np.arange(n), len(shells)), shells.ravel(), n)
        denticity = row_histograms(column[mine], pairs.donors[mine] - 1, n)
        touched = np.bincount(pairs.unit, minlength=atoms.n_units)
        ligand = self._column >= 0
        states = row_histograms(self._column[ligand], np.minimum(touched[ligand], 2), n, 3)
        sites = np.bincount(atoms.site_id[shell.atom[self._primary[shell.row]]], minlength=len(atoms.sites))
        found, count = np.unique(shells, axis=0, return_counts=True)
        kinds = [self._types.setdefault(row.tobytes(), len(self._types)) for row in found]
        rows = (shells.sum(axis=0), sites, per_centre, denticity, states, np.array([kinds, count]))
        for counts, row in zip(self._counts, rows, strict=True):
            counts.append(row)
        self._time.append(shell.time_ps)

    def result(self) -> ShellResult:
        molecules, sites, per_centre, denticity, states, found = (counts.result() for counts in self._counts)
        frame, column = np.nonzero(found[:, 1])
        types = np.frombuffer(b"".join(self._types), np.int64).reshape(len(self._types), len(self._ligands))
        return ShellResult(
            n_centres=int(self._primary.sum()),
            ligands=tuple(self._atoms.species[k].name for k in self._ligands),
            sites=self._atoms.sites,
            n_molecules=self._n_molecules,
            time_ps=np.array(self._time),
            molecules=molecules,
            donors=sites,
            per_centre=per_centre,
            denticity=denticity,
            states=states,
            types=types,
            type_counts=np.column_stack([frame, found[frame, 0, column], found[frame, 1, column]]),
        )


def row_histograms(row: np.ndarray, value: np.ndarray, n_rows: int, n_values: int = 0) -> np.ndarray:
    """(n_rows, max + 1) how often each value occurs in each row."""
    width = max(int(value.max(initial=-1)) + 1, n_values)
    return np.bincount(row * width + value, minlength=n_rows * width).reshape(n_rows, width)


class PerFrame:
    """Integer arrays collected frame by frame, packed as they come; their last axis may differ in length."""

    _BLOCK = 256

    def __init__(self) -> None:
        self._blocks: list[np.ndarray] = []
        self._open: list[np.ndarray] = []

    def append(self, counts: np.ndarray) -> None:
        self._open.append(counts)
        if len(self._open) == self._BLOCK:
            self._close()

    def _close(self) -> None:
        width = max(*(a.shape[-1] for a in self._open), 1)
        block = np.zeros((len(self._open), *self._open[0].shape[:-1], width), np.int32)
        for row, counts in zip(block, self._open, strict=True):
            row[..., : counts.shape[-1]] = counts
        self._blocks.append(block)
        self._open = []

    def result(self) -> np.ndarray:
        """(n_frames, …, widest) int32, filled up with zeros.

        Raises:
            ValueError: if nothing was added.
        """
        if self._open:
            self._close()
        if not self._blocks:
            raise ValueError("no frame was added")
        width = max(b.shape[-1] for b in self._blocks)
        fill = lambda b: [(0, 0)] * (b.ndim - 1) + [(0, width - b.shape[-1])]  # noqa: E731
        self._blocks = [np.concatenate([np.pad(b, fill(b)) for b in self._blocks])]
        return self._blocks[0]
