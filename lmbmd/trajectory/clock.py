"""What time it is in a trajectory: as its format states it, or as the species map tells it; never a reader's default.

MDAnalysis calls one frame a picosecond where a format has no clock (arrays in memory, XYZ, the models of a PDB file),
one step a picosecond in a LAMMPS dump, and believes whatever is in the header of a DCD file.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lmbmd.core.errors import LmbmdError

#: Formats in which every frame carries its time, in a unit that the format fixes.
_TIMED = ("XTC", "TRR", "TNG", "H5MD")
#: The unit of time of a DCD header, ps.
_AKMA_PS = 4.888821e-2
#: Steps, in the unit of a DCD header, that stand for "unknown" there.
_PLACEHOLDERS = {1.0: "VMD and MDTraj", 1.0 / _AKMA_PS: "MDAnalysis"}
#: Time steps of simulations, from quantum to coarse-grained ones, fs.
SHORTEST_STEP_FS, LONGEST_STEP_FS = 0.02, 45.0
#: Frames nearer than a femtosecond or farther than 100 ns are a unit mistaken more often than a run, ps.
SHORTEST_PS, LONGEST_PS = 0.001, 1e5

#: By how much of itself what is told of an interval may differ from what the file says: it is typed by hand.
_TOLERANCE = 1e-3

_REMEDY = (
    "Give frame_interval_ps in the species map: the steps between stored frames times the time step of the simulation."
)


#: What a message may say to somebody who knows better than the file.
OVERRULE = (
    "Only if you know that the file's own times are wrong, and its frames are all one interval apart, give this "
    "interval and clock_is_wrong: true in the species map."
)


def not_known(why: str, name: str) -> LmbmdError:
    """The error where neither the file, and why, nor the map says how much time passes between frames."""
    return LmbmdError(f"how much time passes between its frames is not known: {why}.", where=name, remedy=_REMEDY)


def agree(first_ps: float, second_ps: float, told_ps: float, name: str) -> bool:
    """Whether the file and the species map tell the same time between frames.

    Args:
        first_ps, second_ps: times of the first two frames wanted, as the file states them.
        told_ps: what the map makes of the time between them.
        name: of the trajectory, for messages.

    Returns:
        False where the map alone says anything: the clock of the file stands still, or its unit is mistaken.

    Raises:
        LmbmdError: if they say different things.
    """
    found = second_ps - first_ps
    if not SHORTEST_PS <= found <= LONGEST_PS:
        return False
    # Files keep times in single precision.
    if abs(found - told_ps) <= _TOLERANCE * told_ps + 2 * float(np.spacing(np.float32(abs(second_ps)))):
        return True
    raise LmbmdError(
        f"the file says {found:g} ps between its first two frames that are wanted, the species map {told_ps:g} ps.",
        where=name,
        remedy="If the file is right, tell the same, or take frame_interval_ps out of the map; a run that was thinned "
        f"has a longer interval than it was written with. {OVERRULE}",
    )


def unknown(reader: Any) -> str | None:
    """Why a reader's times cannot be believed; None if they can."""
    kind = _kind(reader)
    if kind == "CHAIN":
        reasons = {unknown(part) for part in reader.readers}
        return next((reason for reason in reasons if reason), None)
    if kind == "MEMORY":
        return "arrays in memory have no clock, whatever they were read from"
    opened_ps = told_ps(reader)
    if opened_ps is not None:
        is_a_step = SHORTEST_STEP_FS <= 1000.0 * opened_ps <= LONGEST_STEP_FS
        if kind == "LAMMPSDUMP" and not is_a_step and np.diff(steps(reader)[:2]) != 1:
            return (
                f"the dt of {opened_ps:g} ps that the Universe was opened with is multiplied with the steps of the "
                "dump, and no simulation has such steps"
            )
        return None
    if kind == "H5MD" and not reader.convert_units:
        return "it was opened with convert_units=False"
    if kind in _TIMED:
        return None
    if kind == "NCDF":
        return None if "time" in reader.trjfile.variables else "this NetCDF file has no times"
    if kind == "LAMMPSDUMP":
        return "a LAMMPS dump counts steps"
    if kind in ("DCD", "LAMMPS", "DCD_WITHOUT_STEPS"):
        return _dcd(reader)
    return f"a {kind} file does not state it"


def only_numbers(numbers: Sequence[int], stated: Sequence[tuple[float, int | None]]) -> str | None:
    """Why times that are the numbers of their frames cannot be believed; None if they are not.

    MDAnalysis, MDTraj and cpptraj write such a file from positions without a clock: also in a format that states times.
    An engine counts steps, of which none is a picosecond long.

    Args:
        numbers: of frames, from 0 in the file.
        stated: time (ps) and step (None if not counted) of each.
    """
    if all(time_ps == k and step in (None, k) for k, (time_ps, step) in zip(numbers, stated, strict=True)):
        return "its times, and its steps if it counts any, are the numbers of its frames, 1 ps each"
    return None


def _kind(reader: Any) -> str:
    """A reader's format; some have one name, others several: ["NCDF", "NC"]."""
    return str(reader.format if isinstance(reader.format, str) else reader.format[0])


def steps(reader: Any) -> np.ndarray:
    """Steps of the simulation at which the frames were written, up to the first damaged one; empty if not counted."""
    kind = _kind(reader)
    if kind == "CHAIN":
        parts = [steps(part) for part in reader.readers]
        return np.concatenate(parts) if all(map(len, parts)) else np.empty(0, int)
    if kind == "LAMMPSDUMP":
        return np.array(list(_dump_steps(reader)), int)
    if kind == "GSD":
        return np.array(list(_gsd_steps(reader)), int)
    counted = reader._particle_group["position"].get("step") if kind == "H5MD" else None
    return np.empty(0, int) if counted is None or len(counted.shape) != 1 else np.array(counted, int)


def _dump_steps(reader: Any) -> Iterator[int]:
    """The second line of every frame: without the atoms, as there may be many frames."""
    from MDAnalysis.lib.util import anyopen

    with anyopen(reader.filename) as file:
        for start in reader._offsets[: reader.n_frames]:
            file.seek(start)
            file.readline()
            try:
                yield int(np.int64(int(file.readline())))
            except (ValueError, OverflowError):
                return


def _gsd_steps(reader: Any) -> Iterator[int]:
    """The step of every frame, without its atoms; one that is that of the first frame is not written again."""
    file, name, first = reader._file.file, "configuration/step", 0
    for k in range(reader.n_frames):
        found = int(file.read_chunk(frame=k, name=name)[0]) if file.chunk_exists(frame=k, name=name) else first
        first = first if k else found
        yield found


def usual_gap(found: np.ndarray, name: str) -> int:
    """Steps between stored frames, which an odd first gap (a minimisation, a restart) or a missing frame leave alone.

    Raises:
        LmbmdError: if no gap is that of more than half of the frames.
    """
    gaps, often = np.unique(np.diff(found), return_counts=True)
    if 2 * often.max() > often.sum():
        return int(gaps[often.argmax()])
    shown = ", ".join(map(str, np.diff(found)[:4])) + ", …" * (len(found) > 5)
    raise LmbmdError(
        f"its frames are {shown} steps apart, and no gap is that of most, so that it is not clear which steps "
        "frame_interval_ps stands for.",
        where=name,
        remedy="Write the dump anew with frames at one interval: without those of a minimisation, before a restart, or "
        "of another part of the run.",
    )


def told_ps(reader: Any) -> float | None:
    """The ``dt`` that a Universe was opened with, ps; None for none. It counts more than what the file says."""
    given = getattr(reader, "_kwargs", {}).get("dt")
    return None if given is None else float(given)


def interval_ps(reader: Any) -> float | None:
    """The same where it is the time between frames: in a dump it is that of a step, and each part of a chain has it."""
    return None if reader is None or _kind(reader) in ("LAMMPSDUMP", "CHAIN") else told_ps(reader)


def _dcd(reader: Any) -> str | None:
    header = reader._file.header
    title = header["remarks"]
    title = (title.decode("latin-1") if isinstance(title, bytes) else str(title)).replace("\0", " ").strip()
    if header["nsavc"] < 1 or not header["delta"] > 0:
        return f"the header of this DCD file says {header['nsavc']} steps of {header['delta']:g}"
    if reader.format == "LAMMPS" or "LAMMPS" in title.upper():
        return "LAMMPS writes the time step into a DCD file in whatever unit it ran with"
    if "CP2K" in title.upper():
        return "CP2K writes the time step into a DCD file in fs, where the format has another unit"
    step_fs = 1000.0 * _AKMA_PS * header["delta"]
    if header["nsavc"] > 1 and not SHORTEST_STEP_FS <= step_fs <= LONGEST_STEP_FS:
        return f"its header says {header['nsavc']} steps of {step_fs:.3g} fs, which is no time step of a simulation"
    for placeholder, whose in _PLACEHOLDERS.items():
        if header["nsavc"] == 1 and abs(header["delta"] / placeholder - 1.0) < 1e-4:
            return (
                f"its header says one step of {placeholder:.6g} per frame, which {whose} writes where it does not know"
            )
    return None


def plausible(first_ps: float, second_ps: float, name: str) -> None:
    """Question an interval that is more often a mistaken unit than a run.

    Raises:
        LmbmdError: if frames are nearer than 1 fs or farther than 100 ns and the map does not say so itself.
    """
    found = second_ps - first_ps
    if found > 0 and not SHORTEST_PS <= found <= LONGEST_PS:
        raise LmbmdError(
            f"the file says {found:g} ps between its first two frames.",
            where=name,
            remedy="Is its unit the picosecond? Give frame_interval_ps in the species map, even if it is this.",
        )
