"""What is kept of the motion in one segment: sequences for the statistics, small whatever the length of the segment."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from lmbmd.analysis.dynamics.coefficients import deviators
from lmbmd.analysis.dynamics.found import Stress
from lmbmd.analysis.dynamics.motion import MOST_TIMES, Motion, MotionResult, SegmentMeans
from lmbmd.analysis.dynamics.segments import Segment
from lmbmd.analysis.family import Setting
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable
from lmbmd.numbers.sequences import Sequence_, collective, particles


@dataclass(frozen=True, eq=False)
class Moved(SegmentMeans):
    """The motion of one segment, as ``numbers.longtime`` takes it. Lengths in Å.

    Attributes:
        segment: which, and what acted on it.
        own: species → displacements of its molecules, or of its units where they are parts of chains.
        chains: name of a kind of chain → displacements of the mass centres of whole chains.
        species: summed displacements of all species, in their order.
        classes: summed displacements times charge of ions in each of ``CLUSTER_CLASSES``, e Å.
        states: displacements of the primary centres while in each state; they add up to the centres' own.
        shells: the same in two parts: of the shell that the centre is in, and what is left.
        stress: None without a log of the pressure.
    """

    segment: Segment
    own: dict[str, Sequence_]
    chains: dict[str, Sequence_]
    species: Sequence_
    classes: Sequence_
    states: Sequence_
    shells: Sequence_
    stress: Stress | None


def moved(found: MotionResult, atoms: AtomTable, centre: str, segment: Segment) -> Moved:
    """A segment's motion, its paths reduced to sequences.

    Raises:
        LmbmdError: if it is a single frame.
    """
    if found.n_frames < 2:
        raise LmbmdError("a single frame shows no motion.", remedy="Give a trajectory of many frames.")
    number, coarse_ps = segment.replica, found.stride * found.interval_ps
    mine = np.flatnonzero(atoms.unit_species == atoms.species_index(centre))
    of_centres = found.paths_A[:, mine]
    shells = np.stack([found.carried_A, of_centres - found.carried_A], axis=2)
    log = segment.pressure
    return Moved(
        **{field.name: getattr(found, field.name) for field in fields(SegmentMeans)},
        segment=segment,
        own={
            s.name: particles(found.paths_A[:, atoms.unit_species == k], coarse_ps, number)
            for k, s in enumerate(atoms.species)
        },
        chains={name: particles(chain_paths(found.paths_A, atoms, name), coarse_ps, number) for name in atoms.chains},
        species=collective(found.species_A, found.interval_ps, number),
        classes=collective(found.classes_e_A, found.interval_ps, number),
        states=collective(found.states_A, coarse_ps, number),
        shells=collective(shells, coarse_ps, number),
        stress=Stress.of(deviators(log.tensor_bar), found.volume_A3, log.interval_ps, number) if log else None,
    )


def chain_paths(paths_A: np.ndarray, atoms: AtomTable, name: str) -> np.ndarray:
    """(n_times, n_chains, 3) float32 Å, displacements of the mass centres of all chains of one name.

    Args:
        paths_A: (n_times, n_units, 3) float32, displacements of all units.
    """
    mass = np.add.reduceat(atoms.mass_amu.astype(float), atoms.first_atom_of_unit[:-1])
    found = []
    for first, last in atoms.first_unit[atoms.chain_molecules[:, None] + [0, 1]]:
        if atoms.species[atoms.unit_species[first]].chain == name:
            weight = (mass[first:last] / mass[first:last].sum()).astype(np.float32)
            found.append(np.einsum("tuk,u->tk", paths_A[:, first:last], weight))
    return np.stack(found, axis=1)


class Moving:
    """Fold over the frames of one segment that lets go of its paths with the last frame.

    Args:
        setting: of the state point.
        number: of the segment, from 1.
    """

    def __init__(self, setting: Setting, number: int) -> None:
        self._setting, self._segment = setting, setting.segments[number - 1]
        self._left = setting.n_frames[number - 1]
        self._fold: Motion | None = Motion(setting.atoms, setting.centre, -(-max(setting.n_frames) // MOST_TIMES))
        self._found: Moved | LmbmdError

    def add(self, shell: FirstShell) -> None:
        """Add one frame."""
        if self._fold is None:
            raise ValueError("there are more frames than were announced")
        self._fold.add(shell)
        self._left -= 1
        if self._left == 0:
            try:
                self._found = moved(self._fold.result(), self._setting.atoms, self._setting.centre, self._segment)
            except LmbmdError as error:
                self._found = error
            self._fold = None

    def result(self) -> Moved:
        """After the last frame.

        Raises:
            LmbmdError: as ``Motion.result`` and ``moved`` do.
        """
        if isinstance(self._found, LmbmdError):
            raise self._found
        return self._found
