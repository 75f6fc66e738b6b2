"""What a trajectory file says of itself, read before any library opens it: readers written in C believe a header.

A damaged size makes such a reader write past its memory, which ends the process without a word.
"""

from __future__ import annotations

import bz2
import gzip
import itertools
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lmbmd.core.errors import LmbmdError
from lmbmd.core.words import listed
from lmbmd.trajectory import xtc

_TRR_MAGIC = 1993
_LARGEST = 2**31 - 1
_COMPRESSED = {".gz": gzip.open, ".bz2": bz2.open}
_LAMMPS_ENDINGS = {
    ".dump": "LAMMPSDUMP",
    ".lammpstrj": "LAMMPSDUMP",
    ".lammpsdump": "LAMMPSDUMP",
    ".data": "DATA",
    ".lmp": "DATA",
    ".lammps": "DATA",
}


def damaged(name: str, frame: int, what: str) -> LmbmdError:
    """The refusal of a frame whose header cannot be that of its format."""
    return LmbmdError(
        f"the header of the frame is damaged: {what}.",
        where=f"{name}, frame {frame}",
        remedy="Copy the file again." if frame == 0 else f"Copy the file again, or cut it before frame {frame}.",
    )


def existing(path: Path) -> None:
    """Refuse a path that is no readable file, before a reader stumbles over it in its own words."""
    if path.is_dir():
        raise LmbmdError("it is a folder.", where=str(path), remedy="Give the trajectory or topology file in it.")
    if not path.exists():
        raise LmbmdError("there is no such file.", where=str(path), remedy="Mend the path.")
    try:
        with path.open("rb") as file:
            empty = not file.read(1)
    except OSError as error:
        raise LmbmdError(
            f"it cannot be read ({error.strerror}).", where=str(path), remedy="Mend its rights."
        ) from error
    if empty:
        raise LmbmdError("the file is empty.", where=str(path), remedy="Was it copied whole?")


def checked(path: Path, has_frames: bool = True) -> None:
    """Refuse a file whose headers would crash or mislead its reader.

    Args:
        path: of a topology or trajectory.
        has_frames: whether positions and boxes are read from it too.

    Raises:
        LmbmdError: naming the file and the frame.
    """
    existing(path)
    check = {
        ".xtc": _check_xtc,
        ".trr": _check_trr,
        ".dcd": _check_dcd,
        ".gro": _check_gro,
        ".pdb": _check_pdb,
        ".ent": _check_pdb,
        ".h5md": _check_h5md,
        ".h5": _check_h5md,
    }.get(path.suffix.lower())
    if check is not None:
        check(path)
        if has_frames and check is _check_pdb:
            _check_pdb_boxes(path)
    elif lammps_kind(path) == "LAMMPSDUMP":
        _check_dump(path)


def _check_xtc(path: Path) -> None:
    """All headers, and two frames: what MDAnalysis reads on opening. Later frames are read by lmbmd itself."""
    n_atoms, starts = xtc.scan(path)
    for frame, start in enumerate(starts[:2]):
        xtc.read(path, frame, int(start), n_atoms)


def _check_trr(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        atoms, frame, start = None, 0, 0
        while start < size:
            file.seek(start)
            head = file.read(12)
            if len(head) < 12:
                return
            magic, _, text = struct.unpack(">iii", head)
            if magic != _TRR_MAGIC or not 0 < text < 200:
                raise damaged(str(path), frame, f"it begins with {magic}, not with {_TRR_MAGIC}")
            file.seek(start + 12 + text + (-text) % 4)
            raw = file.read(52)
            if len(raw) < 52:
                return
            *sizes, natoms, _, _ = struct.unpack(">13i", raw)
            box, positions, velocities, forces = sizes[2], sizes[7], sizes[8], sizes[9]
            wide = 8 if 8 * 9 == box or 24 * natoms in (positions, velocities, forces) else 4
            right = box in (0, 9 * wide) and all(s in (0, 3 * wide * natoms) for s in (positions, velocities, forces))
            if natoms < 1 or natoms != (atoms or natoms) or not right or min(sizes) < 0 or max(sizes) > _LARGEST // 2:
                raise damaged(str(path), frame, f"it says {natoms} atoms in {positions} bytes" + _before(atoms))
            atoms = natoms
            start = file.tell() + 2 * wide + sum(sizes)
            frame += 1


def _check_dcd(path: Path) -> None:
    size = path.stat().st_size
    with path.open("rb") as file:
        first = file.read(4)
        order = next((o for o in "<>" if len(first) == 4 and struct.unpack(f"{o}i", first)[0] == 84), None)
        if order is None or file.read(4) != b"CORD":
            raise damaged(str(path), 0, "it does not begin as a DCD file does")
        file.seek(92)
        raw = file.read(4)
        text = struct.unpack(f"{order}i", raw)[0] if len(raw) == 4 else -1
        if not 0 < text < min(size, 1_000_000):
            raise damaged(str(path), 0, f"its title has {text} bytes")
        file.seek(96 + text + 4 + 4)
        raw = file.read(4)
        natoms = struct.unpack(f"{order}i", raw)[0] if len(raw) == 4 else -1
        if natoms < 1 or 12 * natoms > size:
            raise damaged(str(path), 0, f"it says {natoms} atoms, in a file of {size} bytes")


def _check_h5md(path: Path) -> None:
    """Refuse an HDF5 file that cannot be opened, or whose times and lengths have no unit."""
    try:
        import h5py
    except ImportError as error:
        raise LmbmdError(
            "reading HDF5 (H5MD) needs h5py, which is not installed.",
            where=str(path),
            remedy="pip install h5py, or convert the trajectory to XTC or DCD.",
        ) from error
    try:
        with h5py.File(path, "r") as file:
            groups = file["particles"]
            group = groups[next(iter(groups))]
            position = group["position"]
            parts = {"times": position["time"], "positions": position["value"]}
            has_edges = "edges" in group["box"]
            one_for_all = has_edges and isinstance(group["box/edges"], h5py.Dataset)
            if has_edges and not one_for_all:
                parts["box"] = group["box/edges/value"]
            walls = has_edges and any(b in (b"none", "none") for b in group["box"].attrs.get("boundary", ()))
            bare = [what for what, part in parts.items() if "unit" not in part.attrs]
            whole = len(position["time"].shape) == 1
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError, StopIteration) as error:
        said = " ".join(str(error).split())[:120]
        raise LmbmdError(
            f"it is no H5MD file with positions, times and a box group ({said}).",
            where=str(path),
            remedy="Copy the file again, or write it so that each has a 'value' and a 'time' (h5md.nongnu.org).",
        ) from error
    if one_for_all or walls:
        raise LmbmdError(
            "its box does not repeat in every direction (boundary: none)."
            if walls
            else "its box is one for all frames, which MDAnalysis cannot read.",
            where=str(path),
            remedy="Distances need a box that does: simulate in a periodic one."
            if walls
            else "Write it with box/edges for each frame, or convert the trajectory to XTC.",
        )
    if bare or not whole:
        raise LmbmdError(
            f"its {listed(bare)} have no unit." if bare else "its times are one step, not one time for each frame.",
            where=str(path),
            remedy="Write it with times and units: attribute 'unit', such as ps, Angstrom or nm.",
        )


def dcd_steps(path: Path) -> int:
    """Steps between frames by the header of a DCD file that was ``checked``."""
    with path.open("rb") as file:
        raw = file.read(20)
    order = "<" if raw[:4] == struct.pack("<i", 84) else ">"
    return int(struct.unpack(f"{order}i", raw[16:20])[0])


def _check_gro(path: Path) -> None:
    """Refuse a GRO file of several frames, of which MDAnalysis reads one without a word."""
    with path.open(encoding="utf-8", errors="replace") as file:
        file.readline()
        try:
            natoms = int(file.readline())
        except ValueError:
            return  # the parser says so
        frames = 1 + sum(1 for k, line in enumerate(file) if line.strip() and k > natoms) // (natoms + 3)
    if frames > 1:
        raise LmbmdError(
            f"the file holds {frames} frames, of which only one would be read.",
            where=str(path),
            remedy="Convert it, and give the first frame as the topology: gmx trjconv -f IN.gro -o OUT.xtc.",
        )


def _before(atoms: int | None) -> str:
    return "" if atoms is None else f", the frame before {atoms}"


def _check_pdb(path: Path) -> None:
    """Refuse CONECT records that are not in columns of five or name atoms which the file has not."""
    serials: set[str] = set()
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if line.startswith(("ATOM", "HETATM")):
                serials.add(line[6:11].strip())
            elif line.startswith("CONECT"):
                text = line[6:].rstrip()
                named = [text[k : k + 5].strip() for k in range(0, len(text), 5)]
                wrong = next((n for n in named if n and (not n.isdigit() or n not in serials)), None)
                if wrong is None and len(text) % 5 == 0:
                    continue
                told = f"it names atom '{wrong}'" if wrong is not None else "its columns are not five wide"
                raise LmbmdError(
                    f"a CONECT record cannot be right ('{line.rstrip()[:40]}'): {told}.",
                    where=f"{path}, line {number}",
                    remedy="PDB has five columns for an atom's number: beyond 99,999 (or with hybrid-36 numbers) bonds "
                    "cannot be told. Give a PSF, PRMTOP, TPR or LAMMPS data file, or take the CONECT records out.",
                )


def _check_pdb_boxes(path: Path) -> None:
    """Refuse several boxes, unless each model has one beside its MODEL record: its reader misplaces any others."""
    boxes: list[tuple[int, str]] = []
    order = ""
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("CRYST1"):
                boxes.append((number, line[6:54]))
            if line.startswith(("CRYST1", "MODEL")):
                order += line[0]
    other = next(((n, box) for n, box in boxes if box.split() != boxes[0][1].split()), None)
    if other and any(order[k : k + 2] not in ("CM", "MC") for k in range(0, len(order), 2)):
        raise LmbmdError(
            f"its models have other boxes ({' '.join(other[1][:27].split())} Å, where the first has "
            f"{' '.join(boxes[0][1][:27].split())} Å), and not each has one (CRYST1 and MODEL do not take turns): its "
            "reader would take some for those of others.",
            where=f"{path}, line {other[0]}",
            remedy="Write a run whose box changes as XTC, TRR or DCD.",
        )


_COUNT = re.compile(r"\s*[0-9]{1,9}\s*")
_LATTICE = re.compile(r'Lattice\s*=\s*"([^"]*)"', re.IGNORECASE)
_CP2K = re.compile(r"\s*i\s*=\s*\d+,\s*time\s*=\s*([-+.\deE]+)\s*,")


def xyz_comments(path: Path) -> Iterator[tuple[tuple[float, ...] | None, float | None]]:
    """What the comment of each frame of an XYZ file says that its reader does not read.

    Yields:
        the lattice of the extended format, nine numbers in Å, and the time that CP2K writes, ps; None for neither.
    """
    with path.open(encoding="utf-8", errors="replace") as file:
        for head in file:
            if not _COUNT.fullmatch(head):
                return
            comment = file.readline()
            lattice, time_fs = _LATTICE.search(comment), _CP2K.match(comment)
            try:
                box = tuple(float(x) for x in lattice[1].split()) if lattice else None
                yield box if box and len(box) == 9 else None, float(time_fs[1]) / 1000.0 if time_fs else None
            except ValueError:
                yield None, None
            next(itertools.islice(file, int(head), int(head)), None)


def lammps_kind(path: Path) -> str | None:
    """ "DATA" or "LAMMPSDUMP" for LAMMPS files, by their name (compressed or not) or by how they begin; else None."""
    suffixes = [s.lower() for s in path.suffixes]
    if suffixes and suffixes[-1] in _COMPRESSED:
        suffixes.pop()
    known = _LAMMPS_ENDINGS.get(suffixes[-1]) if suffixes else None
    if known or (
        suffixes and suffixes[-1] in (".pdb", ".gro", ".xtc", ".trr", ".dcd", ".psf", ".prmtop", ".tpr", ".nc")
    ):
        return known
    try:
        first = next(iter(_lines(path)), "")
    except (OSError, EOFError):
        return None
    if first.startswith("ITEM:"):
        return "LAMMPSDUMP"
    return "DATA" if first.startswith("LAMMPS ") and "data file" in first.lower() else None


def _lines(path: Path) -> Iterator[str]:
    opener: Any = _COMPRESSED.get(path.suffix.lower(), open)
    with opener(path, "rt", encoding="utf-8", errors="replace") as file:
        for _, line in zip(range(40), file, strict=False):
            yield line.rstrip("\n")


def _check_dump(path: Path) -> None:
    """Refuse a LAMMPS dump with header lines that MDAnalysis counts as something else, or without atom numbers."""
    try:
        lines = list(_lines(path))
    except (OSError, EOFError) as error:
        raise LmbmdError(f"it cannot be unpacked ({error}).", where=str(path), remedy="Copy the file again.") from error
    extra = [line for line in lines if line.startswith(("ITEM: UNITS", "ITEM: TIME")) and line != "ITEM: TIMESTEP"]
    if extra or (lines and not lines[0].startswith("ITEM: TIMESTEP")):
        raise LmbmdError(
            f"the dump has a line '{extra[0] if extra else lines[0][:60]}', after which its lines would be miscounted.",
            where=str(path),
            remedy="Write the dump with dump_modify time no units no, or take these lines and the one below each out.",
        )
    bounds = next((line for line in lines if line.startswith("ITEM: BOX BOUNDS")), "")
    if "abc" in bounds:
        raise LmbmdError(
            "the dump gives a general triclinic box (BOX BOUNDS abc origin), which its reader takes for another.",
            where=str(path),
            remedy="Write it with dump_modify triclinic/general no.",
        )
    walls = {axis: kind for axis, kind in zip("xyz", bounds.split()[-3:], strict=False) if set(kind) <= set("fsm")}
    if bounds.split()[3:] and walls:
        raise LmbmdError(
            f"the box does not repeat along {listed(list(walls))} (BOX BOUNDS {' '.join(bounds.split()[3:])}).",
            where=str(path),
            remedy="Shells, densities and motion here are those of a liquid that repeats everywhere: boundary p p p.",
        )
    columns = next((line for line in lines if line.startswith("ITEM: ATOMS")), "").split()[2:]
    if columns and "id" not in columns:
        raise LmbmdError(
            "the dump does not number its atoms, and LAMMPS writes them in another order in each frame.",
            where=str(path),
            remedy="Write it with an id column.",
        )
