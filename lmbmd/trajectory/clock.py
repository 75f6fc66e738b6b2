"""What time it is in a trajectory: as its format states it, or as the species map tells it; never a reader's default.

MDAnalysis calls one frame a picosecond where a format has no clock (arrays in memory, XYZ, the models of a PDB file),
one step a picosecond in a LAMMPS dump, and believes whatever is in the header of a DCD file.
"""

from __future__ import annotations

from typing import Any

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

_REMEDY = (
    "Give frame_interval_ps in the species map: the steps between stored frames times the time step of the simulation."
)


def interval_ps(reader: Any, n_frames: int, told_ps: float | None, name: str) -> float | None:
    """The time between frames where the file does not know it; None where it does.

    Args:
        reader: an MDAnalysis reader.
        n_frames: how many frames are wanted; a single one needs no clock.
        told_ps: what the species map says, ps.
        name: of the trajectory, for messages.

    Raises:
        LmbmdError: if neither the file nor the map says it.
    """
    if told_ps is not None:
        return told_ps
    if n_frames < 2:
        return 1.0
    why = _unknown(reader)
    if why is None:
        return None
    raise LmbmdError(f"how much time passes between its frames is not known: {why}.", where=name, remedy=_REMEDY)


def _unknown(reader: Any) -> str | None:
    """Why a reader's times cannot be believed; None if they can."""
    # Some readers have one name, others several: ["NCDF", "NC"].
    kind = reader.format if isinstance(reader.format, str) else reader.format[0]
    if kind == "CHAIN":
        reasons = {_unknown(part) for part in reader.readers}
        return next((reason for reason in reasons if reason), None)
    if kind == "MEMORY":
        return "arrays in memory have no clock, whatever they were read from"
    if getattr(reader, "_kwargs", {}).get("dt") is not None:
        return None
    if kind in _TIMED:
        return None
    if kind == "NCDF":
        return None if "time" in reader.trjfile.variables else "this NetCDF file has no times"
    if kind == "LAMMPSDUMP":
        return "a LAMMPS dump counts steps"
    if kind in ("DCD", "LAMMPS", "DCD_WITHOUT_STEPS"):
        return _dcd(reader)
    return f"a {kind} file does not state it"


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
