"""How chains hold a centre: with how many units, of how many chains, and where along the chain.

Theory: docs/theory/chains.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmbmd.analysis.first_shell import Bonds, FirstShell
from lmbmd.analysis.shells.coordination import PerFrame, row_histograms
from lmbmd.data.atoms import AtomTable


def chain_kind(atoms: AtomTable) -> np.ndarray:
    """(n_units,) position of each unit's chain among ``atoms.chains``, −1 for small molecules."""
    place = {name: k for k, name in enumerate(atoms.chains)}
    return np.array([place.get(s.chain, -1) for s in atoms.species], np.int64)[atoms.unit_species]


@dataclass(frozen=True, eq=False)
class Holds:
    """Pairs of a centre and a chain in contact, in order of centre and chain.

    Attributes:
        centre, molecule: (n,) int64, number of the centre, and the chain as a molecule.
        units: (n,) int64, units of the chain in contact with the centre.
        run: (n,) int64, the most of them that follow one another along the chain.
    """

    centre: np.ndarray
    molecule: np.ndarray
    units: np.ndarray
    run: np.ndarray


def holds(pairs: Bonds, unit_molecule: np.ndarray, is_of_chain: np.ndarray) -> Holds:
    """Which chains hold which centres.

    Args:
        pairs: of one frame.
        unit_molecule: (n_units,) the molecule of each unit.
        is_of_chain: (n_units,) bool.
    """
    kept = is_of_chain[pairs.unit]
    centre, unit = pairs.centre[kept], pairs.unit[kept]
    molecule, n = unit_molecule[unit].astype(np.int64), len(unit)
    # Pairs are in order of centre and unit: those of one centre and chain are neighbours, in order along the chain.
    new = np.ones(n, bool)
    new[1:] = (centre[1:] != centre[:-1]) | (molecule[1:] != molecule[:-1])
    begins = new.copy()
    begins[1:] |= unit[1:] != unit[:-1] + 1
    first, start = np.flatnonzero(new), np.flatnonzero(begins)
    longest = np.maximum.reduceat(np.diff(start, append=n), np.searchsorted(start, first)) if n else first
    return Holds(centre[first], molecule[first], np.diff(first, append=n), longest)


@dataclass(frozen=True, eq=False)
class ChainShellResult:
    """How chains hold the primary centres in one replica. Counts are per frame; chains are those of ``chains``.

    Attributes:
        n_centres: centres of the primary species.
        chains: names; n_chains: (n_kinds,) chains of each in the box.
        chains_on_centre: (n_frames, n_kinds, m) centres held by 0 … m − 1 chains.
        units_on_centre: (n_frames, n_kinds) pairs of a centre and a unit in contact.
        units: (n_frames, n_kinds, u) pairs of a centre and a chain, held by 1 … u of its units.
        run: (n_frames, n_kinds, u) the same pairs by the longest run of units that follow one another, 1 … u.
        centres_on_chain: (n_frames, n_kinds, m) chains that hold 0 … m − 1 centres.
    """

    n_centres: int
    chains: tuple[str, ...]
    n_chains: np.ndarray
    chains_on_centre: np.ndarray
    units_on_centre: np.ndarray
    units: np.ndarray
    run: np.ndarray
    centres_on_chain: np.ndarray


class ChainShells:
    """Fold over the frames of one replica: units and chains round each primary centre, and centres on each chain.

    A unit counts once per centre, through however many of its atoms; a chain once per centre, through however many of
    its units, and through whichever images of a chain that meets itself across the boundary.

    Args:
        atoms: who the atoms are; without chains nothing is counted.
        centre: the primary species.
    """

    def __init__(self, atoms: AtomTable, centre: str) -> None:
        self._atoms, self._kind = atoms, chain_kind(atoms)
        self._primary = atoms.species_id[atoms.centres] == atoms.species_index(centre)
        self._kind_of_chain = self._kind[atoms.first_unit[atoms.chain_molecules]]
        self._counts = [PerFrame() for _ in range(5)]

    def add(self, first: FirstShell) -> None:
        """Add one frame."""
        atoms, n = self._atoms, len(self._atoms.chains)
        if not n:
            return
        found = holds(first.pairs, atoms.unit_molecule, self._kind >= 0)
        mine = self._primary[found.centre]
        centre, units, run = found.centre[mine], found.units[mine], found.run[mine]
        molecule = found.molecule[mine]
        kind = self._kind[atoms.first_unit[molecule]]
        on_centre = np.zeros((n, len(self._primary)), np.int64)
        np.add.at(on_centre, (kind, centre), 1)
        on_centre = on_centre[:, self._primary]
        row = np.repeat(np.arange(n), on_centre.shape[1])
        on_chain = np.bincount(molecule, minlength=atoms.n_molecules)[atoms.chain_molecules]
        rows = (
            row_histograms(row, on_centre.ravel(), n),
            np.bincount(kind, units, n).astype(np.int64),
            row_histograms(kind, units - 1, n),
            row_histograms(kind, run - 1, n),
            row_histograms(self._kind_of_chain, on_chain, n),
        )
        for counts, counted in zip(self._counts, rows, strict=True):
            counts.append(counted)

    def result(self) -> ChainShellResult:
        """What was found in the frames added so far (at least one)."""
        chains_on_centre, units_on_centre, units, run, centres = (counts.result() for counts in self._counts)
        return ChainShellResult(
            n_centres=int(self._primary.sum()),
            chains=self._atoms.chains,
            n_chains=np.bincount(self._kind_of_chain, minlength=len(self._atoms.chains)),
            chains_on_centre=chains_on_centre,
            units_on_centre=units_on_centre,
            units=units,
            run=run,
            centres_on_chain=centres,
        )
