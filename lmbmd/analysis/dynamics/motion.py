"""How far molecules move: displacements of mass centres, unwrapped, without the drift and the breathing of the box.

One fold per segment keeps what the accounts need: paths of all molecules at a bounded number of times, and the summed
displacement of each species at every frame. Theory: docs/theory/motion.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numba import njit

from lmbmd.analysis.clusters.ions import IonGraph, ions_of
from lmbmd.analysis.dynamics.beat import off_beat
from lmbmd.analysis.first_shell import Bonds, FirstShell
from lmbmd.analysis.shells.speciation import CLASSES
from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable

#: Times at which paths are kept, at most: of longer segments those of every second, third … frame.
MOST_TIMES = 2000
#: What an ion is part of, by the ions in contact: alone, two, three, more, or a network without end. Ions that are
#: neither centres nor anions are in no such cluster.
CLUSTER_CLASSES = ("single", "pair", "triple", "larger", "percolating", "other ion")


@dataclass(frozen=True, eq=False)
class SegmentMeans:
    """What one segment was like, in the mean over its frames.

    Attributes:
        interval_ps: time between frames; NaN for a single one.
        n_frames: of the segment.
        box_A: (3, 3) mean lattice vectors, which displacements in fractions of the box were multiplied with.
        volume_A3: mean volume; volume_spread: its standard deviation over its mean.
        longest_step: root mean square of the step of the fastest species between frames, as a fraction of the
            box: the largest of the three components. Steps are known if it is small beside a half.
        fastest: that species.
        class_charge_e2: (len(CLUSTER_CLASSES),) squared charges of the ions in each class, mean over frames.
        state_share: (3,) share of the primary centres in each state, mean over frames.
    """

    interval_ps: float
    n_frames: int
    box_A: np.ndarray
    volume_A3: float
    volume_spread: float
    longest_step: float
    fastest: str
    class_charge_e2: np.ndarray
    state_share: np.ndarray

    @property
    def length_ps(self) -> float:
        return (self.n_frames - 1) * self.interval_ps


@dataclass(frozen=True, eq=False)
class MotionResult(SegmentMeans):
    """Displacements in one segment, Å, from its first frame, in the frame of the mass centre of the whole box.

    Attributes:
        stride: frames between the times at which paths are kept.
        paths_A: (n_times, n_units, 3) float32, of every mass centre.
        species_A: (n_frames, n_species, 3), summed over the molecules of each species.
        classes_e_A: (n_frames, len(CLUSTER_CLASSES), 3) displacement times formal charge while in a class.
        states_A: (n_times, n_centres, 3, 3) float32, of each primary centre while it is SSIP, CIP, AGG (axis 2).
        carried_A: (n_times, n_centres, 3) float32, of the molecules in each primary centre's first shell.
    """

    stride: int
    paths_A: np.ndarray
    species_A: np.ndarray
    classes_e_A: np.ndarray
    states_A: np.ndarray
    carried_A: np.ndarray


class Motion:
    """Fold over the frames of one segment: unwrapped displacements, as they are and by what a molecule is part of.

    A mass centre moves by the shortest step in fractions of the box vectors; steps add up, and the sum is multiplied
    with the mean box at the end. A barostat that moves the mass centres along with the box moves no fraction, whether
    it scales molecules or atoms; and no number of boxes is ever multiplied with a fluctuating length. From each step
    the mean step of all mass is taken off, so that displacements are those in the barycentric frame.

    What a molecule is part of may differ between the two ends of a step: half of the step goes to each.

    Memory: paths at every ``stride``-th frame, and a few sums for each frame.

    Args:
        atoms: who the atoms are.
        centre: the primary species.
        stride: frames between the times at which paths are kept.

    References:
        Bullerjahn, von Bülow, Heidari, Hénin, Hummer, J. Chem. Theory Comput. 19, 3406 (2023),
        doi:10.1021/acs.jctc.3c00308 (toroidal-view-preserving unwrapping).
    """

    def __init__(self, atoms: AtomTable, centre: str, stride: int = 1) -> None:
        self._atoms, self._ions, self._stride = atoms, ions_of(atoms), stride
        self._primary = np.flatnonzero(atoms.species_id[atoms.centres] == atoms.species_index(centre))
        self._own = atoms.unit[atoms.centres[self._primary]].astype(np.int64)
        mass = np.add.reduceat(atoms.mass_amu.astype(float), atoms.first_atom_of_unit[:-1])
        self._weight = mass / mass.sum()
        self._charge = np.array([s.charge for s in atoms.species], float)[atoms.unit_species]
        self._is_of = (atoms.unit_species == np.arange(len(atoms.species))[:, None]).astype(float)
        self._irregular: LmbmdError | None = None
        self._seen: dict[bytes, int] = {}
        self._again: tuple[int, int] | None = None
        self._times: list[float] = []
        self._indices: list[int] = []
        self._step_squares: list[float] = []
        self._boxes: list[np.ndarray] = []
        self._volumes: list[float] = []
        self._inverse: np.ndarray  # of the last box
        self._volume: float
        self._fraction = self._path = np.zeros((atoms.n_units, 3))
        self._squares = np.zeros((len(atoms.species), 3))
        self._membership: _Member
        n = len(self._primary)
        self._states, self._carried = np.zeros((n, len(CLASSES), 3)), np.zeros((n, 3))
        self._classes = np.zeros((len(CLUSTER_CLASSES), 3))
        self._class_charge, self._state_count = np.zeros(len(CLUSTER_CLASSES)), np.zeros(len(CLASSES))
        self._kept: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        self._sums: list[tuple[np.ndarray, np.ndarray]] = []

    def add(self, shell: FirstShell) -> None:
        """Add the next frame; one that does not follow at the interval of those before it ends the counting."""
        frame = shell.contacts
        self._irregular = self._irregular or off_beat(self._times, frame)
        if self._irregular:
            return
        box = frame.box if not self._boxes else _alike(frame.box, self._boxes[-1])
        if box is None:
            self._irregular = LmbmdError(
                "its box has another shape than the one before; displacements across such a jump are not known.",
                where=f"frame {frame.index} ({frame.time_ps:g} ps)",
                remedy="Leave out the frames before the jump.",
            )
            return
        if not self._boxes or box is not self._boxes[-1]:
            self._inverse, self._volume = np.linalg.inv(box), abs(float(np.linalg.det(box)))
        fraction = frame.unit.astype(float) @ self._inverse
        here = self._member(shell)
        if self._times:
            step = fraction - self._fraction
            step -= np.rint(step)
            step -= self._weight @ step
            squares = step**2
            self._squares += self._is_of @ squares
            self._step_squares.append(float(np.mean(squares)))
            self._path = self._path + step
            for member in (self._membership, here):
                self._attribute(0.5 * step, *member)
        label, state, _ = here
        self._class_charge += np.bincount(label, self._charge**2, len(CLUSTER_CLASSES))
        self._state_count += np.bincount(state, minlength=len(CLASSES))
        self._membership, self._fraction = here, fraction
        number = len(self._times)
        self._times.append(frame.time_ps)
        self._indices.append(frame.index)
        first = self._seen.setdefault(blake2b(frame.unit.tobytes(), digest_size=8).digest(), number)
        if first < number and self._again is None:
            self._again = first, number
        self._boxes.append(box)
        self._volumes.append(self._volume)
        self._sums.append((self._is_of @ self._path, self._classes.copy()))
        if number % self._stride == 0:
            path, states, carried = (a.astype(np.float32) for a in (self._path, self._states, self._carried))
            self._kept.append((path, states, carried))

    def _check_steps(self) -> None:
        """Times may go on where frames do not: in files joined by hand, and where the interval is told."""
        squares = np.array(self._step_squares)
        if not squares.any():
            return
        usual = float(np.median(squares))
        # Where every step is long nothing is usual, which the accounts say.
        far = squares > min(_OUTLIER**2 * usual, max(_FARTHEST**2, 4 * usual))
        far[1:-1] |= _sudden(squares)
        if self._again:
            first, k = self._again[0], self._again[1] - 1
            before = "the one before" if first == k else f"frame {self._indices[first]}"
            what = f"every mass centre is the same as in {before}: a frame was written twice."
            remedy = "Leave out the frames that repeat others."
        elif far.any() and len(squares) >= _LEAST_STEPS:
            k = int(np.argmax(far))
            often = np.sqrt(squares[k] / usual)
            what = f"since the frame before it molecules have moved {often:.1f} times as far as usual."
            remedy = "Are frames missing, or another run begins here? Analyse the pieces as replicas."
        else:
            return
        raise LmbmdError(what, where=f"frame {self._indices[k + 1]} ({self._times[k + 1]:g} ps)", remedy=remedy)

    def _member(self, shell: FirstShell) -> _Member:
        """What each molecule, and each primary centre, is part of in a frame."""
        pairs, n_centres = shell.pairs, len(self._atoms.centres)
        label = np.full(self._atoms.n_units, CLUSTER_CLASSES.index("other ion"))
        label[self._ions.unit] = _cluster_class(shell.graph)
        anions = np.bincount(pairs.centre[self._ions.node[pairs.unit] >= 0], minlength=n_centres)
        return label, np.minimum(anions[self._primary], 2), pairs

    def _attribute(self, step: np.ndarray, label: np.ndarray, state: np.ndarray, pairs: Bonds) -> None:
        """Add a step of all molecules to the classes, states and shells that they are in."""
        of_centres = self._primary, self._own, state, self._states
        _add_step(step, label, self._charge, self._classes, *of_centres, pairs.centre, pairs.unit, self._carried)

    def result(self) -> MotionResult:
        """The displacements in the frames added so far (at least one).

        Raises:
            LmbmdError: if a frame did not follow at the interval of those before it, was written twice, or the box
                or all molecules jumped.
        """
        if self._irregular:
            raise self._irregular
        self._check_steps()
        n = len(self._times)
        if n == 0:
            raise ValueError("no frame was added")
        box, volumes = np.mean(self._boxes, axis=0), np.array(self._volumes)
        members = self._is_of.sum(axis=1, keepdims=True)
        steps = np.sqrt(self._squares / (np.maximum(members, 1) * max(n - 1, 1))).max(axis=1)
        paths, states, carried = (_times(kept, box.astype(np.float32)) for kept in zip(*self._kept, strict=True))
        species, classes = (np.array(sums) @ box for sums in zip(*self._sums, strict=True))
        return MotionResult(
            interval_ps=(self._times[-1] - self._times[0]) / (n - 1) if n > 1 else float("nan"),
            n_frames=n,
            box_A=box,
            volume_A3=float(volumes.mean()),
            volume_spread=float(volumes.std() / volumes.mean()),
            longest_step=float(steps.max()),
            fastest=self._atoms.species[int(np.argmax(steps))].name,
            stride=self._stride,
            paths_A=paths,
            species_A=species,
            classes_e_A=classes,
            class_charge_e2=self._class_charge / n,
            states_A=states,
            state_share=self._state_count / max(self._state_count.sum(), 1),
            carried_A=carried,
        )


def _sudden(squares: np.ndarray) -> np.ndarray:
    """(n − 2,) whether a step that has one before and one after it is longer than both by more than they ever differ.

    A mean over many molecules hardly varies from step to step, so that the frames missing at one place show even if
    they are few; how much it varies is measured by the median, on which a few places have no influence.
    """
    if len(squares) < _LEAST_VARYING or (squares == 0).any():
        return np.zeros(max(len(squares) - 2, 0), bool)
    log = np.log(squares)
    differing = log[1:-1] - 0.5 * (log[:-2] + log[2:])
    # From the quartiles of what would be a normal distribution.
    deviation = np.median(np.abs(differing - np.median(differing))) / 0.6745
    return log[1:-1] - np.maximum(log[:-2], log[2:]) > max(np.log(_LEAST_EXCESS), _SPREADS * deviation)


def _times(kept: Sequence[np.ndarray], box: np.ndarray) -> np.ndarray:
    """(n_times, …, 3) fractions times the box, one time after the other: all together they are in memory twice."""
    found = np.empty((len(kept), *kept[0].shape), np.float32)
    for one, place in zip(kept, found, strict=True):
        np.matmul(one.reshape(-1, 3), box, out=place.reshape(-1, 3))
    return found


@njit(cache=True)
def _add_step(
    step: np.ndarray,
    label: np.ndarray,
    charge: np.ndarray,
    classes: np.ndarray,
    primary: np.ndarray,
    own: np.ndarray,
    state: np.ndarray,
    states: np.ndarray,
    centre: np.ndarray,
    molecule: np.ndarray,
    carried: np.ndarray,
) -> None:
    """Add a step of all molecules to what they are part of in one frame.

    Args:
        step: (n_units, 3).
        label, charge: (n_units,) class and charge of each.
        classes: (n_classes, 3) steps times charge, added to.
        primary, own: (n,) the primary centres, as centres and as molecules.
        state: (n,) of each; states: (n, n_states, 3) their steps, added to.
        centre, molecule: of each pair in contact.
        carried: (n, 3) mean step of the molecules in contact with each primary centre, added to.
    """
    in_class, held = np.zeros_like(classes), np.zeros((primary.max() + 1 if len(primary) else 0, 4))
    for m in range(len(step)):
        for k in range(3):
            in_class[label[m], k] += charge[m] * step[m, k]
    for c in range(len(classes)):
        for k in range(3):
            classes[c, k] += in_class[c, k]
    for p in range(len(centre)):
        if centre[p] < len(held):
            for k in range(3):
                held[centre[p], k] += step[molecule[p], k]
            held[centre[p], 3] += 1.0
    for i in range(len(primary)):
        c = primary[i]
        for k in range(3):
            states[i, state[i], k] += step[own[i], k]
            carried[i, k] += held[c, k] / max(held[c, 3], 1.0)


#: Class of each molecule's cluster, state of each primary centre, and who is in whose first shell.
_Member = tuple[np.ndarray, np.ndarray, Bonds]


def _cluster_class(graph: IonGraph) -> np.ndarray:
    """(n_ions,) index into ``CLUSTER_CLASSES`` of the cluster that each node of the ion graph is in."""
    of_cluster = np.where(graph.rank > 0, CLUSTER_CLASSES.index("percolating"), np.minimum(graph.size, 4) - 1)
    return of_cluster[graph.label]


def _alike(box: np.ndarray, before: np.ndarray) -> np.ndarray | None:
    """The lattice of ``box`` by the vectors nearest to those of the frame before; None if there are none.

    The same lattice has many vectors, and which are the shortest may turn on the last digit.
    """
    if (box == before).all():
        return before
    change = np.rint(box @ np.linalg.inv(before))
    if abs(abs(np.linalg.det(change)) - 1.0) > 0.5:
        return None
    found = np.linalg.solve(change, box)
    return found if np.abs(found @ np.linalg.inv(before) - np.eye(3)).max() < _JUMP else None


#: All molecules moving so many times as far as in most steps, or by this part of the box, are no step of one run: of
#: a single molecule that walks, one step in ten million is so long. Of fewer steps none is usual.
_OUTLIER, _FARTHEST, _LEAST_STEPS = 4.0, 0.2, 10
#: A step is none of one run if its square is above its neighbours' by this factor and so many standard deviations, as
#: they are known from enough steps. In 4,000 steps of a real liquid the farthest was 3.7 above.
_LEAST_EXCESS, _SPREADS, _LEAST_VARYING = 1.3, 6.0, 50
#: By how much of itself a box may change between two frames.
_JUMP = 0.2
