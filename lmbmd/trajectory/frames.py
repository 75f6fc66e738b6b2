"""The only reader of trajectories: any file MDAnalysis reads, as a stream of checked frames."""

from __future__ import annotations

import itertools
import os
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell
from lmbmd.data.frames import Frame
from lmbmd.trajectory import clock, headers, xtc

#: More atoms per Å³ than this is no matter (diamond has 0.18): box and positions are not both in Å.
_DENSEST_PER_A3 = 1.0
#: No box of atoms is longer: 0.1 mm, Å.
_MOST_A = 1e6
#: A box whose length differs from that of the first frame by more than this factor has changed its unit.
_UNIT_JUMP = 4.0


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of a trajectory, read when iterated, as often as wanted; picklable, so that a process can read a part.

    Attributes:
        source: path of an XTC file, read directly, or an MDAnalysis reader.
        name: what to call it in messages.
        n_atoms: atoms per frame of the file, sites that are no atoms among them.
        numbers: the frames wanted, counted from 0 in the trajectory.
        order: where each atom of the atom table stands in the trajectory, or None if all are in the same order.
        interval_ps: time between stored frames where the file does not know it; None to believe the file.
        box_A: (3, 3) lattice vectors told for a trajectory without a box, Å.
        first_volume_A3: volume of the first wanted frame of the trajectory, against which every frame is checked.
        offsets: (n_frames,) where each wanted frame of an XTC file begins, so that no part scans the file again.
    """

    source: Any
    name: str
    n_atoms: int
    numbers: range
    order: np.ndarray | None = None
    interval_ps: float | None = None
    box_A: np.ndarray | None = None
    first_volume_A3: float | None = None
    offsets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def part(self, first: int, last: int) -> Frames:
        """The frames ``first`` to ``last`` − 1 of these."""
        offsets = None if self.offsets is None else self.offsets[first:last]
        return replace(self, numbers=self.numbers[first:last], offsets=offsets)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order.

        Raises:
            LmbmdError: naming the frame, if it cannot be read, is not later than the one before it, has no box or a
                box in another unit, or has positions that are no numbers.
        """
        read = _xtc_frames if isinstance(self.source, Path) else _reader_frames
        before_ps = -np.inf
        for number, time_ps, positions, box in read(self):
            if self.interval_ps is not None:
                time_ps = number * self.interval_ps
            self.check_time(number, time_ps, before_ps)
            before_ps = time_ps
            box = self._told_box(box, number)
            _check_box(box, self.n_atoms, self.first_volume_A3, f"{self.name}, frame {number}")
            if not np.isfinite(positions.sum(dtype=float)):
                raise LmbmdError(
                    "a position is not a number.",
                    where=f"{self.name}, frame {number}",
                    remedy="The simulation blew up, or the file is damaged; use only the frames before it.",
                )
            yield Frame(number, time_ps, positions if self.order is None else positions[self.order], box)

    def _told_box(self, box: np.ndarray, number: int) -> np.ndarray:
        """The frame's box, or the one told where it has none."""
        if self.box_A is None:
            return box
        if np.any(box):
            raise LmbmdError(
                "the trajectory has a box of its own.",
                where=f"{self.name}, frame {number}",
                remedy="Take 'box' out of the species map, or write the trajectory without its box if that is wrong.",
            )
        return self.box_A

    def check_time(self, number: int, time_ps: float, before_ps: float) -> None:
        """Refuse a frame that is not later than the one before it: joined or repeated pieces of a run."""
        if not time_ps > before_ps:
            raise LmbmdError(
                f"the time is {time_ps:g} ps, after {before_ps:g} ps in the frame before.",
                where=f"{self.name}, frame {number}",
                remedy="Join the pieces of a run without repeated frames; if the file does not know its times, give "
                "the time between frames (frame_interval_ps in the species map).",
            )


def _xtc_frames(frames: Frames) -> Iterator[tuple[int, float, np.ndarray, np.ndarray]]:
    """XTC frames, read by lmbmd itself: quicker than through a Universe, without index files, and safe."""
    assert isinstance(frames.source, Path) and frames.offsets is not None
    for start, number in zip(frames.offsets, frames.numbers, strict=True):
        found = xtc.read(frames.source, number, int(start), frames.n_atoms)
        yield number, found.time_ps, found.positions_A, found.box_A


def _reader_frames(frames: Frames) -> Iterator[tuple[int, float, np.ndarray, np.ndarray]]:
    reader = frames.source.copy()
    header_box = _pdb_box(reader) if "PDB" in reader.format else np.zeros((3, 3))
    try:
        for number in frames.numbers:
            try:
                step = reader[number]
            except (OSError, EOFError, ValueError, IndexError, StopIteration) as error:
                raise _unreadable(frames, number, error) from error
            if not step.has_positions:
                raise _without_positions(reader, frames, number)
            box = step.triclinic_dimensions
            time_ps = float(step.time) if frames.interval_ps is None else 0.0
            box = header_box if box is None else np.array(box, float)
            yield number, time_ps, np.array(step.positions, np.float32), box
    finally:
        reader.close()


def _without_positions(reader: Any, frames: Frames, number: int) -> LmbmdError:
    """A frame of velocities or forces only, and which frames to take instead if they follow a rule."""
    having = [k for k in range(min(reader.n_frames, 1000)) if reader[k].has_positions]
    gaps = set(np.diff(having).tolist())
    remedy = "Write the trajectory anew with positions only (gmx trjconv)."
    if len(gaps) == 1:
        start = f"start = {having[0]} and " if having[0] else ""
        remedy = f"Analyse with {start}step = {gaps.pop()}: these frames have positions."
    return LmbmdError("the frame holds no positions.", where=f"{frames.name}, frame {number}", remedy=remedy)


def _pdb_box(reader: Any) -> np.ndarray:
    """The box of a PDB file, which holds for all its models; MDAnalysis forgets it when there are several."""
    from MDAnalysis.lib.mdamath import triclinic_vectors

    with open(reader.filename, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            if line.startswith(("MODEL", "ATOM", "HETATM")):
                break
            if line.startswith("CRYST1"):
                try:
                    cell = [float(line[a:b]) for a, b in ((6, 15), (15, 24), (24, 33), (33, 40), (40, 47), (47, 54))]
                except ValueError:
                    break
                # A cube of 1 Å stands for "no box".
                return np.zeros((3, 3)) if cell[:3] == [1, 1, 1] else triclinic_vectors(cell).astype(float)
    return np.zeros((3, 3))


def _short(error: Exception) -> str:
    """A library's message on one line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def _unreadable(frames: Frames, number: int, error: Exception) -> LmbmdError:
    return LmbmdError(
        f"the frame cannot be read ({_short(error)}).",
        where=f"{frames.name}, frame {number}",
        remedy=f"The file is cut short or damaged there; analyse the frames before it with stop = {number}.",
    )


def _check_box(box: np.ndarray, n_atoms: int, first_volume_A3: float | None, where: str) -> None:
    longest_A = np.abs(box).max()
    if np.isfinite(longest_A) and longest_A > _MOST_A:
        raise LmbmdError(
            f"the box is {longest_A:.3g} Å long.",
            where=where,
            remedy="The frame is damaged, or its lengths are in another unit: write it again with lengths in Å.",
        )
    volume = Cell(box).volume_A3
    if not np.isfinite(volume) or volume < 1e-6:
        raise LmbmdError(
            "there is no periodic box (its volume is zero).",
            where=where,
            remedy="Distances and densities need one: write the trajectory with its box.",
        )
    if n_atoms / volume > _DENSEST_PER_A3:
        raise LmbmdError(
            f"the box holds {n_atoms / volume:.0f} atoms per Å³.",
            where=where,
            remedy="Its lengths are probably in nm; lmbmd needs them in Å, as MDAnalysis reads them.",
        )
    if first_volume_A3 is not None:
        ratio = (volume / first_volume_A3) ** (1 / 3)
        if max(ratio, 1 / ratio) > _UNIT_JUMP:
            raise LmbmdError(
                f"the box is {ratio:.3g} times as long as in the first frame.",
                where=where,
                remedy="It seems to change its length unit (Å or nm) there; convert or split the trajectory.",
            )


def read_frames(
    trajectory: Any,
    atoms: AtomTable,
    start: int | None = None,
    stop: int | None = None,
    step: int | None = None,
    order: np.ndarray | None = None,
    interval_ps: float | None = None,
    box: Sequence[float] | None = None,
) -> Frames:
    """Open a trajectory.

    Args:
        trajectory: a file that MDAnalysis reads, or an MDAnalysis Universe.
        atoms: who every atom is.
        start, stop, step: which frames, as in a slice.
        order: where each atom of ``atoms`` stands in the trajectory, from ``species_map.atom_table``.
        interval_ps: time between stored frames, for files that do not know it.
        box: edges (Å) and angles (degrees) where the trajectory has no box.

    Returns:
        The frames: iterable, sized, and divisible into parts.

    Raises:
        LmbmdError: if the file cannot be read, has another number of atoms than the atom table, has no frame, or
            its first frame has no box or lengths in nm.
    """
    from MDAnalysis.lib.mdamath import triclinic_vectors

    if hasattr(trajectory, "atoms") and not hasattr(trajectory, "trajectory"):
        raise LmbmdError("the Universe has no trajectory.", remedy="Give a trajectory file beside the topology.")
    name = str(getattr(getattr(trajectory, "trajectory", None), "filename", None) or trajectory)
    source, n_atoms, n_frames, offsets = _open(trajectory, len(atoms), name)
    if n_atoms != len(atoms) if order is None else n_atoms <= int(np.max(order)):
        raise LmbmdError(
            f"the trajectory has {n_atoms} atoms, the atom table {len(atoms)}.",
            where=name,
            remedy="Give the topology (or atoms.parquet) that belongs to this trajectory.",
        )
    numbers = range(n_frames)[slice(start, stop, step)]
    if not numbers or numbers.step < 1:
        raise LmbmdError(
            f"no frame is left of {n_frames} with start = {start}, stop = {stop}, step = {step}.",
            where=name,
            remedy="Frames count from 0, stop is not included, step is positive.",
        )
    if offsets is not None:
        offsets = offsets[numbers.start : numbers.stop : numbers.step]
    if not isinstance(source, Path):
        interval_ps = clock.interval_ps(source, len(numbers), interval_ps, name)
    vectors = None if box is None else triclinic_vectors(list(box)).astype(float)
    frames = Frames(source, name, n_atoms, numbers, order, interval_ps, vectors, offsets=offsets)
    first, *second = itertools.islice(frames, 2)
    if second and interval_ps is None:
        clock.plausible(first.time_ps, second[0].time_ps, name)
    _check_bonds(first, atoms, name)
    return replace(frames, first_volume_A3=first.volume_A3)


def _open(trajectory: Any, n_atoms: int, name: str) -> tuple[Any, int, int, np.ndarray | None]:
    """The source, its number of atoms and of frames, and for XTC where each frame begins."""
    import MDAnalysis as mda

    for path in _files_of(trajectory):
        # Headers of an XTC file are looked at by the scan below, or were when its Universe was opened.
        (headers.existing if path.suffix.lower() == ".xtc" else headers.checked)(path)
    try:
        if hasattr(trajectory, "trajectory"):
            reader = trajectory.trajectory
        elif Path(trajectory).suffix.lower() == ".xtc":
            reader = None
        else:
            kind = mda.coordinates.core.get_reader_for(str(trajectory), headers.lammps_kind(Path(trajectory)))
            reader = kind(str(trajectory), n_atoms=n_atoms)
        if reader is not None and (reader.format != "XTC" or reader.transformations):
            return reader, reader.n_atoms, reader.n_frames, None
        path = Path(trajectory if reader is None else reader.filename)
        found, starts = xtc.scan(path)
        return path, found, len(starts), starts
    except LmbmdError:
        raise
    except Exception as error:  # readers raise whatever their format makes them stumble over
        _let_go(error)
        raise LmbmdError(
            f"MDAnalysis cannot read the trajectory ({_short(error)}).",
            where=name,
            remedy="Check that the file exists, is complete, and that its name ends with its format.",
        ) from error


def _let_go(error: Exception) -> None:
    """Let go of the reader that failed: MDAnalysis' half-made ones complain on stderr, with a traceback, as they go."""
    said, sys.unraisablehook = sys.unraisablehook, lambda _: None
    try:
        traceback.clear_frames(error.__traceback__)
    finally:
        sys.unraisablehook = said


def _files_of(trajectory: Any) -> list[Path]:
    """Files that a trajectory is read from, as far as it has names for them."""
    reader = getattr(trajectory, "trajectory", None)
    if reader is None:
        return [Path(trajectory)]
    names = [getattr(part, "filename", None) for part in getattr(reader, "readers", [reader])]
    return [Path(name) for name in names if isinstance(name, (str, os.PathLike)) and Path(name).exists()]


def open_universe(topology: str | os.PathLike[str], trajectory: str | os.PathLike[str] | None = None) -> Any:
    """An MDAnalysis Universe, with LAMMPS files recognised by their usual names.

    Raises:
        LmbmdError: if MDAnalysis cannot read the files.
    """
    import MDAnalysis as mda

    files = [Path(topology)] + ([] if trajectory is None else [Path(trajectory)])
    for path in files:
        headers.checked(path)
    top_kind = headers.lammps_kind(files[0])
    options = {"topology_format": top_kind} if top_kind else {}
    if trajectory is not None:
        # A DCD beside a LAMMPS topology counts time as LAMMPS does.
        kind: Any = "LAMMPS" if files[1].suffix.lower() == ".dcd" and top_kind else headers.lammps_kind(files[1])
        if files[1].suffix.lower() == ".dcd" and headers.dcd_steps(files[1]) == 0:
            from lmbmd.trajectory.dcd import DcdWithoutSteps

            kind = DcdWithoutSteps
        options |= {"format": kind} if kind else {}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return mda.Universe(*map(str, files), **options)
    except Exception as error:  # parsers raise whatever their format makes them stumble over
        _let_go(error)
        raise LmbmdError(
            f"MDAnalysis cannot read it ({_short(error)}).",
            where=" + ".join(map(str, files)),
            remedy="Check that the files exist, belong together, and that their names end with their formats.",
        ) from error


def _check_bonds(frame: Frame, atoms: AtomTable, name: str) -> None:
    """Positions in nm in a box in Å show as atoms of a molecule much closer together than any bond."""
    same = np.flatnonzero(np.diff(atoms.molecule) == 0)
    if len(same) == 0:
        return
    distance = np.linalg.norm(frame.positions[same + 1].astype(float) - frame.positions[same], axis=1)
    if np.median(distance) < 0.5:
        raise LmbmdError(
            f"neighbouring atoms of a molecule are {np.median(distance):.3f} Å apart.",
            where=f"{name}, frame {frame.index}",
            remedy="Positions are probably in nm; lmbmd needs them in Å, as MDAnalysis reads them.",
        )
