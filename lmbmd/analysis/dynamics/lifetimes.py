"""How long contacts last: residence of partner molecules, lifetimes of CIP and AGG pairs, cluster membership.

One fold per run records when every pair was together, as stretches of frames; the correlation functions are
exact counts over those stretches. Theory, and what these times are not: docs/theory/lifetimes.md.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lmbmd.analysis.clusters.ions import ions_of
from lmbmd.analysis.dynamics.beat import Beat
from lmbmd.analysis.dynamics.intervals import Intervals, changes
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.data.atoms import AtomTable
from lmbmd.data.contacts import FrameContacts

#: What a centre and a molecule are followed for: being in contact; being in contact while the molecule, an
#: anion, touches no other centre (CIP); being in contact while it touches others too (AGG).
STATES = ("contact", "CIP", "AGG")
#: Groups of centres (for cluster membership: stretches of the run) that the jackknife leaves out in turn.
N_GROUPS = 10
#: Origins from which cluster membership is followed, for each lag.
MAX_CLUSTER_ORIGINS = 200
#: The longest break that is no loss, ps (Impey, Madden and McDonald, J. Phys. Chem. 87, 5071 (1983),
#: doi:10.1021/j150643a008).
MENDED_PS = 2.0


@dataclass(frozen=True, eq=False)
class Correlation:
    """A correlation function of pairs, kept as sums from which any average over groups and runs is made.

    C(t) = <h(0) h(t)> / <h> = Σ together / Σ origins, summed over groups: of all pairs together at a frame
    t0, the share that is together at t0 + t (kind "intermittent") or at all frames from t0 to t0 + t (kind
    "continuous"; "mended": the same after breaks up to t* are mended). Both averages are unbiased: <h> is
    over the whole run of T frames, <h(0) h(t)> over the T − t origins that there are.

    Attributes:
        centre, partner: species. Both are "" for cluster membership, which is followed for any two ions.
        state: one of ``STATES``, or "cluster".
        kind: "intermittent", "continuous" or "mended".
        tolerance_ps: t* for kind "mended", else 0.
        lag: (n_lags,) int64, frames.
        together: (n_groups, n_lags) int64, cases of a pair together at (up to) both frames.
        origins: (n_groups, n_lags) float64, T − t times the mean number of pairs together.
        random: C at infinite time where pairs form and part at random; 0 for the continuous kinds.
        departures: pairs seen together at any time (for cluster membership: in the first frame) that were
            apart in the last frame.
    """

    centre: str
    partner: str
    state: str
    kind: str
    tolerance_ps: float
    lag: np.ndarray
    together: np.ndarray
    origins: np.ndarray
    random: float
    departures: int


@dataclass(frozen=True, eq=False)
class Exchange:
    """Losses of a partner molecule; breaks up to ``tolerance_ps`` are no loss.

    Attributes:
        losses: (n_groups,) int64, contacts that ended within the run.
        bound: (n_groups,) int64, frames in contact, summed over pairs; mended breaks count.
        centres: (n_groups,) int64, centres in each group.
    """

    centre: str
    partner: str
    tolerance_ps: float
    losses: np.ndarray
    bound: np.ndarray
    centres: np.ndarray


@dataclass(frozen=True, eq=False)
class ExchangeResult:
    """Losses of contacts in one run.

    Attributes:
        interval_ps: between frames; NaN for a single one.
        n_frames: of the run.
        exchanges: of each centre and partner that were in contact.
    """

    interval_ps: float
    n_frames: int
    exchanges: tuple[Exchange, ...]


@dataclass(frozen=True, eq=False)
class ResidenceResult(ExchangeResult):
    """Lifetimes of one run: its losses, and its correlation functions."""

    correlations: tuple[Correlation, ...]


class Record:
    """When pairs were together, as stretches of frames.

    Memory grows with the number of contacts formed and broken, never with the number of pairs that there could be.

    Args:
        tolerance_ps: the longest break that is no loss; none is ignored where frames are further apart.
    """

    def __init__(self, tolerance_ps: float) -> None:
        self._tolerance_ps = tolerance_ps
        self._beat = Beat()
        self._on = np.empty(0, np.int64)
        self._started: list[np.ndarray] = []
        self._ended: list[np.ndarray] = []

    def add(self, contacts: FrameContacts, keys: np.ndarray) -> bool:
        """Add the next frame; false if it, or one before it, does not follow at the interval of those before.

        Args:
            contacts: of the frame.
            keys: numbers of the pairs that are together, ascending.
        """
        if not self._beat.take(contacts):
            return False
        started, ended = changes(self._on, keys)
        self._started.append(started)
        self._ended.append(ended)
        self._on = keys
        return True

    def check(self) -> None:
        """Whether there is something to count.

        Raises:
            LmbmdError: if a frame did not follow at the interval of those before it.
        """
        if self._beat.fault:
            raise self._beat.fault
        if not self.n_frames:
            raise ValueError("no frame was added")

    @property
    def n_frames(self) -> int:
        return self._beat.n_frames

    @property
    def interval_ps(self) -> float:
        return self._beat.interval_ps

    @property
    def gap(self) -> int:
        """Frames that may be missing in a row."""
        # 1e-6 forgives rounded times.
        return int(self._tolerance_ps / self.interval_ps + 1e-6) if self.n_frames > 1 else 0

    def stretches(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Pair, first frame and first frame after each uninterrupted stretch, in order of pair and time."""
        n_frames = self.n_frames
        frames = np.arange(n_frames)
        key = np.concatenate(self._started)
        start = np.repeat(frames, [len(k) for k in self._started])
        last = np.concatenate([*self._ended, self._on])
        end = np.repeat(np.append(frames, n_frames), [*(len(k) for k in self._ended), len(self._on)])
        # Starts and ends of one pair alternate, so that both in order of pair and time match one by one.
        order, match = np.lexsort((start, key)), np.lexsort((end, last))
        return key[order], start[order], end[match]


class _Partners(Record):
    """When each centre and molecule (or unit of a chain) were together.

    Keys are state · (centres · units) + centre · units + unit.

    Args:
        atoms: who the atoms are.
        tolerance_ps: see ``Record``.
    """

    def __init__(self, atoms: AtomTable, tolerance_ps: float) -> None:
        super().__init__(tolerance_ps)
        self.atoms = atoms

    def exchange(self, centre: str, partner: str, mended: Intervals, centres: np.ndarray) -> Exchange:
        """Losses of a partner, from stretches whose breaks of ``gap`` frames are mended."""
        tolerance = self._tolerance_ps if self.gap else 0.0
        return Exchange(centre, partner, tolerance, mended.losses(), mended.frames_on(), centres)

    def followed(self) -> Iterator[tuple[str, str, str, Intervals, np.ndarray]]:
        """For each centre species, partner species and state that occurred: its stretches, and centres by group."""
        atoms, n_frames = self.atoms, self.n_frames
        key, start, end = self.stretches()
        state, pair = np.divmod(key, max(len(atoms.centres) * atoms.n_units, 1))
        row, molecule = np.divmod(pair, atoms.n_units)
        species = atoms.species_id[atoms.centres]
        group = np.empty(len(species), np.int64)
        for s in np.unique(species):
            group[species == s] = np.arange((species == s).sum()) % N_GROUPS
        what = np.stack([species[row], atoms.unit_species[molecule], state])
        for a, b, s in np.unique(what, axis=1).T:
            these = (what == [[a], [b], [s]]).all(axis=0)
            centres = np.bincount(group[species == a])
            held = Intervals(key[these], start[these], end[these], group[row[these]], len(centres), n_frames)
            yield atoms.species[a].name, atoms.species[b].name, STATES[s], held, centres


def _pairs(shell: FirstShell) -> np.ndarray:
    """The pairs of a frame in contact, centre · molecules + molecule, in order."""
    return shell.pairs.centre * shell.atoms.n_units + shell.pairs.unit


class Exchanges:
    """Fold over the frames of one run that counts losses of contacts, as ``Residence`` does, and nothing else.

    Args:
        atoms: who the atoms are.
        tolerance_ps: the longest break that is no loss.
    """

    def __init__(self, atoms: AtomTable, tolerance_ps: float = MENDED_PS) -> None:
        self._record = _Partners(atoms, tolerance_ps)

    def add(self, shell: FirstShell) -> None:
        """Add the next frame; one that does not follow at the interval of those before it ends the counting."""
        self._record.add(shell.contacts, _pairs(shell))

    def result(self) -> ExchangeResult:
        """The losses in the frames added so far (at least one).

        Raises:
            LmbmdError: if a frame did not follow at the interval of those before it.
        """
        record = self._record
        record.check()
        exchanges = tuple(
            record.exchange(centre, partner, held.mended(record.gap), centres)
            for centre, partner, _, held, centres in record.followed()
        )
        return ExchangeResult(record.interval_ps, record.n_frames, exchanges)


class Residence:
    """Fold over the frames of one run that records when each centre and molecule are together.

    Memory grows with the number of contacts formed and broken, and with one number per ion and frame for
    cluster membership; never with centres × molecules.

    Args:
        atoms: who the atoms are.
        tolerance_ps: the longest break t* that kind "mended" ignores. Kind "mended" is left out where frames
            are further apart.
    """

    def __init__(self, atoms: AtomTable, tolerance_ps: float = MENDED_PS) -> None:
        self.atoms, self.tolerance_ps = atoms, tolerance_ps
        self._ions, self._record = ions_of(atoms), _Partners(atoms, tolerance_ps)
        self._labels: list[np.ndarray] = []

    def add(self, shell: FirstShell) -> None:
        """Add the next frame; one that does not follow at the interval of those before it ends the counting."""
        if self._record.add(shell.contacts, self._with_states(_pairs(shell))):
            self._labels.append(shell.graph.label.astype(np.int32))

    def result(self) -> ResidenceResult:
        """Everything counted over the frames added so far (at least one). What never occurred is absent.

        Raises:
            LmbmdError: if a frame did not follow at the interval of those before it.
        """
        record = self._record
        record.check()
        n_frames, gap = record.n_frames, record.gap
        correlations, exchanges = [], []
        for centre, partner, state, held, centres in record.followed():
            random = float(held.frames_on().sum() / (n_frames * centres.sum() * self.atoms.count(partner)))
            mended = held.mended(gap)
            kinds = [("intermittent", held, held.both(), random), ("continuous", held, held.unbroken(), 0.0)]
            if gap:
                kinds.append(("mended", mended, mended.unbroken(), 0.0))
            lag = np.arange(n_frames)
            for kind, on, together, level in kinds:
                origins = np.outer(on.frames_on() / n_frames, n_frames - lag)
                t_star = self.tolerance_ps if kind == "mended" else 0.0
                counts = lag, together, origins, level, on.departures()
                correlations.append(Correlation(centre, partner, state, kind, t_star, *counts))
            if state == "contact":
                exchanges.append(record.exchange(centre, partner, mended, centres))
        if len(self._ions) > 1:
            correlations.append(_cluster_membership(np.array(self._labels)))
        return ResidenceResult(record.interval_ps, n_frames, tuple(exchanges), tuple(correlations))

    def _with_states(self, pairs: np.ndarray) -> np.ndarray:
        """Keys of all states that the pairs of a frame are in: pair + state · (centres · molecules), in order."""
        molecule = pairs % self.atoms.n_units
        is_anion = self._ions.node[molecule] >= 0
        centres = np.bincount(molecule, minlength=1)[molecule]
        size = len(self.atoms.centres) * self.atoms.n_units
        return np.concatenate(
            [pairs, pairs[is_anion & (centres == 1)] + size, pairs[is_anion & (centres > 1)] + 2 * size]
        )


def _cluster_membership(labels: np.ndarray) -> Correlation:
    """Share of pairs of ions in one cluster at t0 that are in one cluster at t0 + t (intermittent).

    With n_ab the number of ions in cluster a at t0 and b at t0 + t, the pairs together at both are
    Σ n_ab (n_ab − 1) / 2: no pair is ever listed. As the number of pairs varies strongly from frame to frame,
    ``origins`` holds its mean over the very frames compared, t0 and t0 + t. Lags are spaced logarithmically,
    and origins thinned to ``MAX_CLUSTER_ORIGINS`` evenly spaced ones for each lag.

    Args:
        labels: (n_frames, n_ions), the cluster of each ion.
    """
    n_frames, n_ions = labels.shape
    lags = np.unique(np.rint(10.0 ** np.arange(0, np.log10(max(n_frames - 1, 1)) + 0.05, 0.05)).astype(np.int64))
    lags = np.append(0, lags[lags < n_frames])
    together, origins = np.zeros((N_GROUPS, len(lags)), np.int64), np.zeros((N_GROUPS, len(lags)))
    pairs_of = np.array([_pairs_within(label) for label in labels])
    for i, lag in enumerate(lags):
        frames = n_frames - lag
        chosen = np.unique(np.linspace(0, frames - 1, min(frames, MAX_CLUSTER_ORIGINS)).astype(np.int64))
        group = chosen * N_GROUPS // n_frames
        np.add.at(origins[:, i], group, 0.5 * (pairs_of[chosen] + pairs_of[chosen + lag]))
        # Clusters are numbered below n_ions, so that this numbers the combinations.
        both = [_pairs_within(labels[t].astype(np.int64) * n_ions + labels[t + lag]) for t in chosen]
        np.add.at(together[:, i], group, both)
    random = float(pairs_of.mean() / (n_ions * (n_ions - 1) / 2))
    departures = int(pairs_of[0]) - _pairs_within(labels[0].astype(np.int64) * n_ions + labels[-1])
    return Correlation("", "", "cluster", "intermittent", 0.0, lags, together, origins, random, departures)


def _pairs_within(label: np.ndarray) -> int:
    """Number of pairs of entries that share a label."""
    count = np.unique(label, return_counts=True)[1]
    return int((count * (count - 1)).sum() // 2)
