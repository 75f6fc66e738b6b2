"""The only reader of trajectories: any file MDAnalysis reads, as a stream of checked frames."""

from __future__ import annotations

import itertools
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell
from lmbmd.data.frames import Frame
from lmbmd.trajectory import boxes, clock, headers, xtc
from lmbmd.trajectory.mapping.molecules import COVALENT_RADIUS_A


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
        begins_ps: time of the file's first frame where the interval is told: of a later part of a run.
        steps: the step at time 0, and the steps in ``interval_ps``, where the file counts steps and that is told: a
            frame that is missing then shows.
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
    begins_ps: float = 0.0
    steps: tuple[int, int] | None = None
    box_A: np.ndarray | None = None
    first_volume_A3: float | None = None
    offsets: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.numbers)

    def part(self, first: int, last: int, step: int = 1) -> Frames:
        """The frames ``first`` to ``last`` − 1 of these, or every so many of them."""
        offsets = None if self.offsets is None else self.offsets[first:last:step]
        return replace(self, numbers=self.numbers[first:last:step], offsets=offsets)

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order.

        Raises:
            LmbmdError: naming the frame, if it cannot be read, is not later than the one before it, has no box or a
                box in another unit, or has positions that are no numbers.
        """
        before_ps = -np.inf
        for number, time_ps, positions, box in self.read():
            self.check_time(number, time_ps, before_ps)
            before_ps = time_ps
            if self.box_A is not None:
                box = boxes.told(box, self.box_A, f"{self.name}, frame {number}")
            boxes.check(box, self.n_atoms, self.first_volume_A3, f"{self.name}, frame {number}")
            farthest_A = max(float(positions.max()), -float(positions.min()))
            if not farthest_A < boxes.MOST_A:
                raise LmbmdError(
                    f"a position is {farthest_A:.3g} Å from the origin."
                    if np.isfinite(farthest_A)
                    else "a position is not a number.",
                    where=f"{self.name}, frame {number}",
                    remedy="The simulation blew up, or the file is damaged; use only the frames before it.",
                )
            yield Frame(number, time_ps, positions if self.order is None else positions[self.order], box)

    @contextmanager
    def times(self) -> Iterator[Callable[[int], float]]:
        """What time it is in the k-th of these frames, whose positions are not looked at; infinity if it is damaged."""
        with self.stated() as stated:

            def when_ps(k: int) -> float:
                try:
                    return self.time_ps(self.numbers[k], *stated(k))
                except Exception:  # noqa: BLE001  # readers raise whatever a damaged frame makes them stumble over
                    return np.inf

            yield when_ps

    @contextmanager
    def stated(self) -> Iterator[Callable[[int], tuple[float, int | None]]]:
        """The time (ps) and the step (None if not counted) of the k-th of these frames in the file; it raises what the
        reader raises if that frame is damaged."""
        with _quietly():
            reader = None if isinstance(self.source, Path) else self.source.copy()

        def find(k: int) -> tuple[float, int | None]:
            number = self.numbers[k]
            if reader is None:
                assert self.offsets is not None
                return xtc.clock(self.source, number, int(self.offsets[k]))
            with _quietly():
                step = reader[number]
            return float(step.time), step.data.get("step")

        try:
            yield find
        finally:
            if reader is not None:
                reader.close()

    def read(self) -> Iterator[tuple[int, float, np.ndarray, np.ndarray]]:
        """Number, time, positions and box of the frames as they are in the file, unchecked."""
        return _xtc_frames(self) if isinstance(self.source, Path) else _reader_frames(self)

    def time_ps(self, number: int, stated_ps: float, step: int | None = None) -> float:
        """Time of a stored frame: as the file states it, or as its number or its step and the told interval have it."""
        if self.interval_ps is None:
            return stated_ps
        if self.steps is None or step is None:
            return self.begins_ps + number * self.interval_ps
        zero, apart = self.steps
        return (step - zero) / apart * self.interval_ps

    def check_time(self, number: int, time_ps: float, before_ps: float) -> None:
        """Refuse a frame that is not later than the one before it: joined or repeated pieces of a run."""
        if not time_ps > before_ps:
            raise LmbmdError(
                f"the time is {time_ps:g} ps, after {before_ps:g} ps in the frame before.",
                where=f"{self.name}, frame {number}",
                remedy=f"Join the pieces of a run without repeated frames. {clock.OVERRULE}",
            )


def _xtc_frames(frames: Frames) -> Iterator[tuple[int, float, np.ndarray, np.ndarray]]:
    """XTC frames, read by lmbmd itself: quicker than through a Universe, without index files, and safe."""
    assert isinstance(frames.source, Path) and frames.offsets is not None
    for start, number in zip(frames.offsets, frames.numbers, strict=True):
        found = xtc.read(frames.source, number, int(start), frames.n_atoms)
        yield number, frames.time_ps(number, found.time_ps), found.positions_A, found.box_A


def _reader_frames(frames: Frames) -> Iterator[tuple[int, float, np.ndarray, np.ndarray]]:
    with _quietly():
        reader = frames.source.copy()
    header_box = _pdb_box(reader) if "PDB" in reader.format else np.zeros((3, 3))
    try:
        for number in frames.numbers:
            try:
                with _quietly():
                    step = reader[number]
            except Exception as error:  # readers raise whatever a damaged frame makes them stumble over
                raise _unreadable(frames, number, error) from error
            if not step.has_positions:
                raise _without_positions(reader, frames, number)
            if reader.format == "TNG" and step.time < _NOT_READ_PS:
                raise LmbmdError(
                    "the frame was not found: MDAnalysis reads only TNG files that begin with step 0.",
                    where=f"{frames.name}, frame {number}",
                    remedy="Write it as XTC: gmx trjconv -f run.tng -o run.xtc.",
                )
            box = boxes.stated(reader, step)
            time_ps = frames.time_ps(number, float(step.time), step.data.get("step"))
            box = header_box if box is None else box
            yield number, time_ps, np.array(step.positions, np.float32), box
    finally:
        reader.close()


@contextmanager
def _quietly() -> Iterator[None]:
    """Without the warnings of MDAnalysis: what they are about is checked here, or asked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _without_positions(reader: Any, frames: Frames, number: int) -> LmbmdError:
    """A frame of velocities or forces only, and which frames to take instead if they follow a rule."""
    having = [k for k in range(min(reader.n_frames, 1000)) if reader[k].has_positions]
    gaps = set(np.diff(having).tolist())
    remedy = "Write the trajectory anew with positions only (gmx trjconv)."
    if len(gaps) == 1:
        gap, first_ps = gaps.pop(), float(reader[having[0]].time)
        begin, start = (f"-b {first_ps:g} ", f"start = {having[0]}, ") if having[0] else ("", "")
        every_ps = float(reader[having[1]].time) - first_ps
        remedy = (
            f"Analyse those that have positions: {begin}--every {every_ps:g} ({start}step = {gap} for read_frames)."
        )
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


#: The time of a frame of a TNG file that is not there is -1 s, its box and its positions are whatever the memory held.
_NOT_READ_PS = -1e11
#: What to do about a file of text that is not text in the encoding of this shell.
_NO_TEXT = (
    "Set PYTHONUTF8=1 in the environment if the file is UTF-8; if it is not, make it so, as in "
    "iconv -f LATIN1 -t UTF-8 old.xyz > new.xyz."
)


def _unreadable(frames: Frames, number: int, error: Exception) -> LmbmdError:
    remedy = f"The file is cut short or damaged there; analyse the frames before it: {xtc.before(number)}."
    return LmbmdError(
        f"the frame cannot be read ({_short(error)}).",
        where=f"{frames.name}, frame {number}",
        remedy=_NO_TEXT if isinstance(error, UnicodeDecodeError) else remedy,
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
    clock_is_wrong: bool = False,
) -> Frames:
    """Open a trajectory.

    Args:
        trajectory: a file that MDAnalysis reads, or an MDAnalysis Universe.
        atoms: who every atom is.
        start, stop, step: which frames, as in a slice.
        order: where each atom of ``atoms`` stands in the trajectory, from ``species_map.atom_table``.
        interval_ps: time between stored frames, for files that do not know it; one that does must say the same.
        box: edges (Å) and angles (degrees) where the trajectory has no box.
        clock_is_wrong: count by ``interval_ps``, whatever the file says of times and steps.

    Returns:
        The frames: iterable, sized, and divisible into parts.

    Raises:
        LmbmdError: if the file cannot be read, has another number of atoms than the atom table, has no frame, or
            its first frame has no box or lengths in nm; if the time between its frames is neither stated nor told, or
            is told to be another than is stated.
    """
    whole = opened(trajectory, atoms, order, box)
    numbers = range(len(whole))[slice(start, stop, step)] if step != 0 else range(0)
    if not numbers or numbers.step < 1:
        raise LmbmdError(
            f"no frame is left of {len(whole)} with start = {start}, stop = {stop}, step = {step}.",
            where=whole.name,
            remedy="Frames count from 0, stop is not included, step is positive.",
        )
    frames = whole.part(numbers.start, numbers.stop, numbers.step)
    return checked(timed(frames, interval_ps, clock_is_wrong), atoms)


def opened(
    trajectory: Any, atoms: AtomTable, order: np.ndarray | None = None, box: Sequence[float] | None = None
) -> Frames:
    """All frames of a trajectory, none of which has been looked at; see ``read_frames``."""
    from MDAnalysis.lib.mdamath import triclinic_vectors

    if hasattr(trajectory, "atoms") and not hasattr(trajectory, "trajectory"):
        raise LmbmdError("the Universe has no trajectory.", remedy="Give a trajectory file beside the topology.")
    _check_transformations(trajectory)
    name = str(getattr(getattr(trajectory, "trajectory", None), "filename", None) or trajectory)
    source, n_atoms, n_frames, offsets = _open(trajectory, len(atoms), name)
    if n_atoms != len(atoms) if order is None else n_atoms <= int(np.max(order)):
        raise LmbmdError(
            f"the trajectory has {n_atoms} atoms, the atom table {len(atoms)}.",
            where=name,
            remedy="Give the topology (or atoms.parquet) that belongs to this trajectory.",
        )
    opened_ps = clock.interval_ps(getattr(trajectory, "trajectory", None))
    vectors = None if box is None else triclinic_vectors(list(box)).astype(float)
    return Frames(source, name, n_atoms, range(n_frames), order, opened_ps, box_A=vectors, offsets=offsets)


def checked(frames: Frames, atoms: AtomTable) -> Frames:
    """The same, the first of which fit the atom table; see ``read_frames``."""
    first, *second = itertools.islice(frames, 2)
    if second and frames.interval_ps is None:
        clock.plausible(first.time_ps, second[0].time_ps, frames.name)
    where, is_told = f"{frames.name}, frame {first.index}", frames.box_A is not None
    _check_bonds(first, atoms, frames.name, 0.0 if is_told else _MOST_BROKEN)
    if is_told:
        boxes.check_filled(first, where)
    boxes.check_apart(first, atoms, where, is_told)
    return replace(frames, first_volume_A3=first.volume_A3)


def timed(frames: Frames, told_ps: float | None, clock_is_wrong: bool, alone: bool = True) -> Frames:
    """The same with its clock: the file's, unless it has none or is known to be wrong; else the told one.

    Args:
        frames: as ``opened``.
        told_ps, clock_is_wrong: as ``interval_ps`` and ``clock_is_wrong`` of ``read_frames``.
        alone: whether no other file belongs to the run: a single frame then needs no clock.
    """
    frames = _timed(frames, told_ps, clock_is_wrong, alone)
    _check_comments(frames, told_ps, clock_is_wrong)
    return frames


def _timed(frames: Frames, told_ps: float | None, clock_is_wrong: bool, alone: bool) -> Frames:
    why = _unknown(frames)
    if len(frames) < 2 and alone:
        return frames if told_ps is None and why is None else replace(frames, interval_ps=told_ps or 1.0)
    if told_ps is None:
        if why is not None:
            raise clock.not_known(why, frames.name)
        return frames
    if why is None and not clock_is_wrong:
        if len(frames) < 2:
            return frames
        first_ps, second_ps = (time_ps for _, time_ps, _, _ in itertools.islice(frames.read(), 2))
        if clock.agree(first_ps, second_ps, told_ps * frames.numbers.step, frames.name):
            return frames
    return replace(frames, interval_ps=told_ps, steps=None if clock_is_wrong else _steps(frames))


def _unknown(frames: Frames) -> str | None:
    """Why the times of a file cannot be believed; None if they can."""
    is_xtc = isinstance(frames.source, Path)
    if not is_xtc and (why := clock.unknown(frames.source)):
        return why
    if len(frames) < 2 or frames.interval_ps is not None:
        return None
    if not is_xtc and (frames.source.ts.has_velocities or frames.source.ts.has_forces):
        return None  # positions without a clock have none: the times are those of the simulation
    with frames.stated() as stated:
        try:
            return clock.only_numbers(frames.numbers[:2], [stated(0), stated(1)])
        except Exception:  # noqa: BLE001  # a damaged frame is named by whoever reads its positions
            return None


def _check_comments(frames: Frames, told_ps: float | None, clock_is_wrong: bool) -> None:
    """Refuse a box or an interval that is told where the comments of an XYZ file state another."""
    path = getattr(frames.source, "filename", None)
    if isinstance(frames.source, Path) or frames.source.format != "XYZ" or not isinstance(path, str):
        return
    has_interval = told_ps is not None and not clock_is_wrong
    if Path(path).suffix.lower() != ".xyz" or not (has_interval or frames.box_A is not None):
        return  # compressed, or nothing is told
    numbers = frames.numbers[:2] if frames.box_A is None else frames.numbers
    said = itertools.islice(headers.xyz_comments(Path(path)), numbers.start, numbers.stop, numbers.step)
    times: list[float] = []
    for number, (lattice, time_ps) in zip(numbers, said, strict=False):
        if time_ps is not None and number in numbers[:2]:
            times.append(time_ps)
        if lattice is None or frames.box_A is None:
            continue
        stated = np.reshape(lattice, (3, 3))
        if not boxes.same(stated, frames.box_A):
            raise LmbmdError(
                f'the file says Lattice="{" ".join(f"{x:g}" for x in lattice)}"{boxes.unlike(stated, frames.box_A)}.',
                where=f"{frames.name}, frame {number}",
                remedy="Tell the box that the file states; write a run whose box changes in a format that keeps it.",
            )
    if told_ps is not None and len(times) == 2 and not clock_is_wrong:
        clock.agree(times[0], times[1], told_ps * numbers.step, frames.name)


def _steps(frames: Frames) -> tuple[int, int] | None:
    """The step at time 0, and the steps between stored frames of the file; None if none are counted."""
    found = np.empty(0, int) if isinstance(frames.source, Path) else clock.steps(frames.source)
    first = frames.numbers.start
    if len(found) <= first + 1 or (apart := clock.usual_gap(found, frames.name)) <= 0:
        return None
    return int(found[first]) - first * apart, apart


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
            kind = _kind_of(Path(trajectory))
            kind = mda.coordinates.core.get_reader_for(str(trajectory), kind)
            with _quietly():
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


def _kind_of(trajectory: Path) -> Any:
    """The reader for a trajectory file where its ending does not say it, or where we have a better one; else None."""
    from lmbmd.trajectory.readers import DcdWithoutSteps, QuietTrr, QuietXtc

    suffix = trajectory.suffix.lower()
    if suffix == ".dcd" and headers.dcd_steps(trajectory) == 0:
        return DcdWithoutSteps
    return {".xtc": QuietXtc, ".trr": QuietTrr}.get(suffix) or headers.lammps_kind(trajectory)


#: Transformations after which distances in the periodic box are no longer those of the simulation.
_DISTORTING = {
    "rotateby": "turns the positions, but not the box",
    "fit_rot_trans": "turns the positions, but not the box",
    "PositionAverager": "averages the positions of several frames",
}


def _check_transformations(universe: Any) -> None:
    """Refuse a Universe whose transformations change distances over the boundary of the box."""
    for made in getattr(getattr(universe, "trajectory", None), "transformations", ()):
        name = type(made).__name__
        if type(made).__module__.startswith("MDAnalysis.") and name in _DISTORTING:
            raise LmbmdError(
                f"the Universe has the transformation {name}, which {_DISTORTING[name]}.",
                remedy="Open the files again without it; unwrap, NoJump, wrap and translate change no distance.",
            )


def _counts(topology: Path, trajectory: Path, options: dict[str, Any]) -> tuple[int, int] | None:
    """Atoms of a topology and of a trajectory that do not fit together; None if they do, or cannot be counted."""
    import MDAnalysis as mda

    try:
        only = {key: value for key, value in options.items() if key == "topology_format"}
        first = len(mda.Universe(str(topology), **only).atoms)
        reader = mda.coordinates.core.get_reader_for(str(trajectory), options.get("format"))
        second = reader(str(trajectory)).n_atoms
    except Exception as error:  # noqa: BLE001  # one of them cannot be read at all, which is told instead
        _let_go(error)
        return None
    return None if first == second else (first, int(second))


def open_universe(topology: str | os.PathLike[str], trajectory: str | os.PathLike[str] | None = None) -> Any:
    """An MDAnalysis Universe, with LAMMPS files recognised by their usual names.

    Raises:
        LmbmdError: if MDAnalysis cannot read the files.
    """
    import MDAnalysis as mda

    for given in (topology, trajectory):
        if given is not None and not isinstance(given, (str, os.PathLike)):
            raise LmbmdError(
                f"a {type(given).__name__} is no file.",
                remedy="Give one topology and one trajectory; of parts MDAnalysis.Universe(topology, [parts]).",
            )
    files = [Path(topology)] + ([] if trajectory is None else [Path(trajectory)])
    for path in files:
        headers.checked(path, has_frames=path is files[-1])
    top_kind = headers.lammps_kind(files[0])
    options: dict[str, Any] = {"topology_format": top_kind} if top_kind else {}
    if trajectory is not None:
        kind = _kind_of(files[1])
        # A DCD beside a LAMMPS topology counts time as LAMMPS does.
        if kind is None and files[1].suffix.lower() == ".dcd" and top_kind:
            kind = "LAMMPS"
        options |= {"format": kind} if kind else {}
    try:
        with _quietly():
            return mda.Universe(*map(str, files), **options)
    except Exception as error:  # parsers raise whatever their format makes them stumble over
        _let_go(error)
        with _quietly():
            counts = None if trajectory is None else _counts(files[0], files[1], options)
        if counts is not None:
            raise LmbmdError(
                f"the topology has {counts[0]} atoms, the trajectory {counts[1]}.",
                where=" + ".join(map(str, files)),
                remedy="Give the topology of exactly what was written; where only some atoms were, one of these alone.",
            ) from error
        remedy = "Check that the files exist, belong together, and that their names end with their formats."
        if isinstance(error, UnicodeDecodeError):
            remedy = _NO_TEXT
        raise LmbmdError(
            f"MDAnalysis cannot read it ({_short(error)}).", where=" + ".join(map(str, files)), remedy=remedy
        ) from error


def first_box(path: Path) -> np.ndarray | None:
    """(3, 3) Å, the box that a file of one frame, such as a topology, states; None if it states none to be read."""
    try:
        reader = getattr(open_universe(path), "trajectory", None)
        box = None if reader is None else reader.ts.triclinic_dimensions
    except (LmbmdError, ValueError, TypeError):
        return None
    if reader is not None and "PDB" in reader.format:
        return _pdb_box(reader)
    return None if box is None else np.asarray(box, float)


#: Bonded atoms are between these parts of the sum of their covalent radii apart (a triple bond has 0.77, one that a
#: simulation stretches 1.3); and so many of a species' bonds may be no such bonds, as those that a reaction broke.
_BOND_RANGE, _MOST_BROKEN = (0.6, 1.6), 0.2
_LENGTHS = {0.1: "nm", 1.8897: "Bohr", 10.0: "tenths of an Å"}


def _check_bonds(frame: Frame, atoms: AtomTable, name: str, most_broken: float) -> None:
    """Refuse positions at which bonds are no bonds: of other atoms, in another unit, or rounded away.

    In a box that is told every bond must be one: at its boundary they show whether it is that of the trajectory.
    Without bonds, neighbouring atoms of a molecule must not be much closer together than any bond.
    """
    where = f"{name}, frame {frame.index}"
    if atoms.bonds is None or not len(atoms.bonds):
        same = np.flatnonzero(np.diff(atoms.molecule) == 0)
        if len(same) == 0:
            return
        distance = np.linalg.norm(frame.positions[same + 1].astype(float) - frame.positions[same], axis=1)
        if np.median(distance) < 0.5:
            raise LmbmdError(
                f"neighbouring atoms of a molecule are {np.median(distance):.3f} Å apart.",
                where=where,
                remedy="Positions are probably in nm; lmbmd needs them in Å, as MDAnalysis reads them.",
            )
        return
    # Topologies of water have bonds between its hydrogens, which hold them apart.
    bonds = atoms.bonds[(atoms.element[atoms.bonds] != "H").any(axis=1)]
    radius = np.array([COVALENT_RADIUS_A.get(element, 1.5) for element in atoms.element])
    apart = frame.positions[bonds[:, 1]].astype(float) - frame.positions[bonds[:, 0]]
    cell = Cell(frame.box).reduced
    fraction = apart @ cell.inverse_per_A
    distance = np.linalg.norm((fraction - np.rint(fraction)) @ cell.vectors_A, axis=1)
    relative = distance / radius[bonds].sum(axis=1)
    is_none = (relative < _BOND_RANGE[0]) | (relative > _BOND_RANGE[1])
    for k, species in enumerate(atoms.species):
        mine = atoms.species_id[bonds[:, 0]] == k
        if not mine.any() or is_none[mine].mean() <= most_broken:
            continue
        times = float(np.median(relative))
        if np.mean(np.abs(relative / times - 1) < 0.3) > 1 - _MOST_BROKEN and is_none.mean() > 0.5:
            unit = next((what for by, what in _LENGTHS.items() if 0.8 < times / by < 1.25), "")
            raise LmbmdError(
                f"its bonds are {times:.2f} times as long as bonds are{unit and f' (as lengths in {unit} are)'}.",
                where=where,
                remedy="lmbmd needs positions and box in Å: write the trajectory again, or scale it in a Universe.",
            )
        worst = np.flatnonzero(mine)[np.argmax(np.abs(np.log(np.maximum(relative[mine], 1e-6))))]
        i, j = bonds[worst]
        raise LmbmdError(
            f"{is_none[mine].sum()} of the {mine.sum()} bonds of {species.name} are none: atoms {atoms.name[i]} and "
            f"{atoms.name[j]} of one molecule, bonded in the topology, are {distance[worst]:.2f} Å apart.",
            where=where,
            remedy="Give the topology that this trajectory was written with: its atoms in the same order. If it is "
            "this one, a box that is told is another, positions were rounded too coarsely, or the bonds are broken.",
        )
