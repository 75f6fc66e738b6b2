"""How centres change their places at chains: from unit to unit of one chain, and from chain to chain.

Theory: docs/theory/chains.md.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lmbmd.analysis.chains.coordination import chain_kind
from lmbmd.analysis.dynamics.intervals import Intervals
from lmbmd.analysis.dynamics.lifetimes import MENDED_PS, N_GROUPS, Record
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.data.atoms import AtomTable


@dataclass(frozen=True, eq=False)
class ChainHops:
    """What one centre species did at the chains of one kind in one run, by groups of centres.

    Attributes:
        chain: name.
        along: (n_groups,) int64, units lost whose chain still held the centre.
        between: (n_groups,) int64, chains lost.
        held: (n_groups,) int64, frames in which a chain held a centre, summed over pairs; mended breaks count.
        centres: (n_groups,) int64, centres in each group.
    """

    chain: str
    along: np.ndarray
    between: np.ndarray
    held: np.ndarray
    centres: np.ndarray


@dataclass(frozen=True, eq=False)
class HopResult:
    """Hops of the primary centres in one run.

    Attributes:
        interval_ps: between frames; NaN for a single one.
        n_frames: of the run.
        tolerance_ps: breaks up to this are no loss; 0 where frames are further apart.
        hops: one for each kind of chain.
    """

    interval_ps: float
    n_frames: int
    tolerance_ps: float
    hops: tuple[ChainHops, ...]


class Hops:
    """Fold over the frames of one run: when which units held each primary centre.

    A contact with a unit that ends, and does not come back within ``tolerance_ps``, is a hop along the chain if another
    unit of the same chain holds the centre then, or holds it again within that time; otherwise the chain is lost. As
    for lifetimes, memory grows with the number of contacts that form and break.

    Args:
        atoms: who the atoms are; without chains nothing is counted.
        centre: the primary species.
        tolerance_ps: the longest break that is no loss; none is ignored where frames are further apart.
    """

    def __init__(self, atoms: AtomTable, centre: str, tolerance_ps: float = MENDED_PS) -> None:
        self._atoms, self._kind = atoms, chain_kind(atoms)
        self._primary = atoms.species_id[atoms.centres] == atoms.species_index(centre)
        self._tolerance_ps, self._record = tolerance_ps, Record(tolerance_ps)

    def add(self, shell: FirstShell) -> None:
        """Add the next frame; one that does not follow at the interval of those before it ends the counting."""
        if not self._atoms.chains:
            return
        pairs = shell.pairs
        mine = self._primary[pairs.centre] & (self._kind[pairs.unit] >= 0)
        self._record.add(shell.contacts, pairs.centre[mine] * self._atoms.n_units + pairs.unit[mine])

    def result(self) -> HopResult:
        """The hops in the frames added so far (at least one).

        Raises:
            LmbmdError: if a frame did not follow at the interval of those before it.
        """
        record, atoms = self._record, self._atoms
        record.check()
        key, start, end = record.stretches()
        centre = key // atoms.n_units
        number = np.cumsum(self._primary) - 1
        group, n_groups = number[centre] % N_GROUPS, min(int(self._primary.sum()), N_GROUPS)
        centres = np.bincount(number[self._primary] % N_GROUPS, minlength=n_groups)
        units = Intervals(key, start, end, group, n_groups, record.n_frames).mended(record.gap)
        found = []
        for k, name in enumerate(atoms.chains):
            of = self._kind[units.pair % atoms.n_units] == k
            mine = Intervals(units.pair[of], units.start[of], units.end[of], units.group[of], n_groups, record.n_frames)
            chains = held(mine, atoms).mended(record.gap)
            lost, between = mine.losses(), chains.losses()
            # Where a chain is lost, so are the units that held the centre last: these are no hops along it.
            with_chain = _ending_together(mine, chains, atoms)
            along = lost - np.bincount(mine.group[with_chain], minlength=n_groups)
            found.append(ChainHops(name, along, between, chains.frames_on(), centres))
        return HopResult(record.interval_ps, record.n_frames, self._tolerance_ps if record.gap else 0.0, tuple(found))


def _chain_pair(pair: np.ndarray, atoms: AtomTable) -> np.ndarray:
    """Number of the pair of a centre and a chain that a pair of a centre and a unit belongs to."""
    centre, unit = np.divmod(pair, atoms.n_units)
    return centre * atoms.n_molecules + atoms.unit_molecule[unit]


def held(units: Intervals, atoms: AtomTable) -> Intervals:
    """When each chain held each centre: the union of the stretches of its units."""
    pair = _chain_pair(units.pair, atoms)
    order = np.lexsort((units.start, pair))
    pair, start, end, group = pair[order], units.start[order], units.end[order], units.group[order]
    if not len(pair):
        return Intervals(pair, start, end, group, units.n_groups, units.n_frames)
    # The furthest end so far within a pair: pairs are moved apart by more than a run is long.
    far = pair_rank(pair) * (units.n_frames + 2)
    reach = np.maximum.accumulate(end + far)
    # A stretch that begins in the frame in which the last one ends goes on from it.
    new = np.append(True, start[1:] + far[1:] > reach[:-1])
    last = np.append(new[1:], True)
    return Intervals(pair[new], start[new], (reach - far)[last], group[new], units.n_groups, units.n_frames)


def pair_rank(pair: np.ndarray) -> np.ndarray:
    """0, 1, 2 … for each distinct number of an ascending array."""
    return np.cumsum(np.append(False, pair[1:] != pair[:-1]))


def _ending_together(units: Intervals, chains: Intervals, atoms: AtomTable) -> np.ndarray:
    """Whether each stretch of a unit ended within the run in the frame in which its chain was lost."""
    lost = chains.end < chains.n_frames
    size = chains.n_frames + 1
    ends = np.sort(chains.pair[lost] * size + chains.end[lost])
    mine = _chain_pair(units.pair, atoms) * size + units.end
    return np.isin(mine, ends) & (units.end < units.n_frames)
