"""The only reader of trajectories: any file MDAnalysis reads, as a stream of checked frames."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell
from lmbmd.data.frames import Frame

#: More atoms per Å³ than this is no matter (diamond has 0.18): box and positions are not both in Å.
_DENSEST_PER_A3 = 1.0
#: A box whose length differs from that of the first frame by more than this factor has changed its unit.
_UNIT_JUMP = 4.0


# Frames without a clock are refused or numbered by the interval told; MDAnalysis' guess of 1 ps is never used.
warnings.filterwarnings("ignore", message="Reader has no dt information", category=UserWarning)


@dataclass(frozen=True, eq=False)
class Frames:
    """Frames of a trajectory, read when iterated, as often as wanted; picklable, so that a process can read a part.

    Attributes:
        source: path of an XTC file, read directly, or an MDAnalysis reader.
        name: what to call it in messages.
        n_atoms: atoms per frame, as the atom table has them.
        numbers: the frames wanted, counted from 0 in the trajectory.
        order: (n_atoms,) where each atom of the atom table stands in the trajectory, or None if in the same order.
        interval_ps: time between stored frames where the file does not know it; None to believe the file.
        first_volume_A3: volume of the first wanted frame of the trajectory, against which every frame is checked.
        offsets: (n_frames,) where each wanted frame of an XTC file begins, so that no part scans the file again.
    """

    source: Any
    name: str
    n_atoms: int
    numbers: range
    order: np.ndarray | None = None
    interval_ps: float | None = None
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
            _check_box(box, self.n_atoms, self.first_volume_A3, f"{self.name}, frame {number}")
            if not np.isfinite(positions.sum(dtype=float)):
                raise LmbmdError(
                    "a position is not a number.",
                    where=f"{self.name}, frame {number}",
                    remedy="The simulation blew up, or the file is damaged; use only the frames before it.",
                )
            yield Frame(number, time_ps, positions if self.order is None else positions[self.order], box)

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
    """Decode XTC frames straight into fresh arrays, without MDAnalysis' index files beside the trajectory."""
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    try:
        file = XTCFile(str(frames.source))
    except OSError as error:
        raise _unreadable(frames, frames.numbers[0], error) from error
    with file:
        # The reader takes frame 0 to begin at byte 0, whatever it is told; so these frames are numbered from 1.
        file.set_offsets(np.append(0, frames.offsets))
        for k, number in enumerate(frames.numbers):
            positions = np.empty((frames.n_atoms, 3), np.float32)
            try:
                if k == 0 or frames.numbers.step != 1:
                    file.seek(k + 1)
                found = file.read_direct_x(positions)
            except (OSError, StopIteration) as error:
                raise _unreadable(frames, number, error) from error
            positions *= 10.0
            yield number, float(found.time), positions, found.box.astype(float) * 10.0


def _reader_frames(frames: Frames) -> Iterator[tuple[int, float, np.ndarray, np.ndarray]]:
    reader = frames.source.copy()
    header_box = _pdb_box(reader) if "PDB" in reader.format else np.zeros((3, 3))
    try:
        for number in frames.numbers:
            try:
                step = reader[number]
            except (OSError, EOFError, ValueError, IndexError, StopIteration) as error:
                raise _unreadable(frames, number, error) from error
            box = step.triclinic_dimensions
            time_ps = float(step.time) if frames.interval_ps is None else 0.0
            box = header_box if box is None else np.array(box, float)
            yield number, time_ps, np.array(step.positions, np.float32), box
    finally:
        reader.close()


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
    topology: str | os.PathLike[str] | None,
    trajectory: Any,
    atoms: AtomTable,
    start: int | None = None,
    stop: int | None = None,
    step: int | None = None,
    order: np.ndarray | None = None,
    interval_ps: float | None = None,
) -> Frames:
    """Open a trajectory.

    Args:
        topology: a topology file, needed only where the trajectory does not stand alone; else None.
        trajectory: a file that MDAnalysis reads, or an MDAnalysis Universe.
        atoms: who every atom is.
        start, stop, step: which frames, as in a slice.
        order: where each atom of ``atoms`` stands in the trajectory, from ``species_map.atom_table``.
        interval_ps: time between stored frames, for files that do not know it.

    Returns:
        The frames: iterable, sized, and divisible into parts.

    Raises:
        LmbmdError: if the file cannot be read, has another number of atoms than the atom table, has no frame, or
            its first frame has no box or lengths in nm.
    """
    if hasattr(trajectory, "atoms") and not hasattr(trajectory, "trajectory"):
        raise LmbmdError("the Universe has no trajectory.", remedy="Give a trajectory file beside the topology.")
    name = str(getattr(getattr(trajectory, "trajectory", None), "filename", None) or trajectory)
    source, n_atoms, n_frames, offsets = _open(topology, trajectory, len(atoms), name)
    if n_atoms != len(atoms):
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
    interval_ps = _checked_interval(source, len(numbers), interval_ps, name)
    frames = Frames(source, name, n_atoms, numbers, order, interval_ps, offsets=offsets)
    first = next(iter(frames))
    _check_bonds(first, atoms, name)
    return replace(frames, first_volume_A3=first.volume_A3)


def _checked_interval(source: Any, n_frames: int, interval_ps: float | None, name: str) -> float | None:
    """The time between frames where the file does not know it; None where it does.

    MDAnalysis would silently call one LAMMPS step, or one model of a PDB file, a picosecond.
    """
    if interval_ps is not None or isinstance(source, Path):
        return interval_ps
    told = set(getattr(source, "_ts_kwargs", ()))
    # Of a LAMMPS dump only the step is known, unless the Universe was told a time per step.
    known = told if source.format == "LAMMPSDUMP" else told | set(source.ts.data)
    if known & {"time", "dt"}:
        return None
    if n_frames > 1:
        raise LmbmdError(
            "this kind of file does not say how much time passes between its frames.",
            where=name,
            remedy="Give frame_interval_ps in the species map: for a LAMMPS dump, the steps between its frames times "
            "the time step.",
        )
    return 1.0


def _open(topology: Any, trajectory: Any, n_atoms: int, name: str) -> tuple[Any, int, int, np.ndarray | None]:
    """The source, its number of atoms and of frames, and for XTC where each frame begins."""
    import MDAnalysis as mda
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    try:
        if hasattr(trajectory, "trajectory"):
            reader = trajectory.trajectory
        elif Path(trajectory).suffix.lower() == ".xtc":
            reader = None
        elif topology is not None:
            reader = open_universe(topology, trajectory).trajectory
        else:
            kind = mda.coordinates.core.get_reader_for(str(trajectory))
            reader = kind(str(trajectory), n_atoms=n_atoms)
        if reader is not None and (reader.format != "XTC" or reader.transformations):
            return reader, reader.n_atoms, reader.n_frames, None
        path = Path(trajectory if reader is None else reader.filename)
        with XTCFile(str(path)) as file:
            return path, file.n_atoms, len(file.offsets), file.offsets
    except LmbmdError:
        raise
    except Exception as error:  # readers raise whatever their format makes them stumble over
        raise LmbmdError(
            f"MDAnalysis cannot read the trajectory ({_short(error)}).",
            where=name,
            remedy="Check that the file exists, is complete, and that its name ends with its format.",
        ) from error


def open_universe(topology: str | os.PathLike[str], trajectory: str | os.PathLike[str] | None = None) -> Any:
    """An MDAnalysis Universe, with LAMMPS files recognised by their usual names.

    Raises:
        LmbmdError: if MDAnalysis cannot read the files.
    """
    import MDAnalysis as mda

    kinds = {".dump": "LAMMPSDUMP", ".lammpstrj": "LAMMPSDUMP", ".lammpsdump": "LAMMPSDUMP"}
    lammps = {".data": "DATA", ".lmp": "DATA", ".lammps": "DATA", **kinds}
    top_kind = lammps.get(Path(topology).suffix.lower())
    options = {"topology_format": top_kind} if top_kind else {}
    files = [str(topology)]
    if trajectory is not None:
        suffix = Path(trajectory).suffix.lower()
        # A DCD beside a LAMMPS topology counts time as LAMMPS does.
        kind = "LAMMPS" if suffix == ".dcd" and top_kind else kinds.get(suffix)
        options |= {"format": kind} if kind else {}
        files.append(str(trajectory))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return mda.Universe(*files, **options)
    except Exception as error:  # parsers raise whatever their format makes them stumble over
        raise LmbmdError(
            f"MDAnalysis cannot read it ({_short(error)}).",
            where=" + ".join(files),
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
