"""What GROMACS writes while it runs, read as it grows: energies (.edr), frames (.xtc), and its last state (.trr).

All three are XDR: big-endian, in pieces of four bytes. A piece at the end of a file that is not whole yet is left for
the next look. The layout is that of GROMACS' own readers (``enxio.cpp``, ``trrio.cpp``, ``xdr3dfcoord``), of which the
version in the file is checked.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmbmd.simulate.checkpoint import write
from lmbmd.simulate.logs import xtc_frame_bytes

_EDR_MAGIC, _EDR_FRAME_MAGIC, _EDR_VERSIONS = -55555, -7777777, (4, 5)
#: Every frame of an .edr begins with this number, in the precision of the file.
_EDR_FIRST = -2e10
#: Bytes of an element of a block, by the number of its type: int, float, double, int64, char.
_EDR_SIZES = {0: 4, 1: 4, 2: 8, 3: 8, 4: 4}
_TRR_MAGIC, _TRR_VERSION = 1993, b"GMX_trn_file"


@dataclass(frozen=True)
class EnergyFrame:
    """One frame of an .edr: the step, the time in ps, and every term by GROMACS' own name (kJ/mol, K, bar, nm).

    ``sums`` are those of each term over the ``n_summed`` times that it was computed since the frame before, this one's
    included; none where GROMACS has not summed.
    """

    step: int
    time_ps: float
    terms: dict[str, float]
    n_summed: int
    sums: dict[str, float]


@dataclass(frozen=True, eq=False)
class State:
    """The last frame of a .trr: positions (n, 3) in nm, velocities (n, 3) in nm/ps, box (3, 3) in nm."""

    step: int
    positions_nm: np.ndarray
    velocities_nm_ps: np.ndarray
    box_nm: np.ndarray


class _Short(Exception):
    """The file ends before the piece does."""


class _Reader:
    """Numbers of one buffer, one after the other. Raises _Short at its end."""

    def __init__(self, data: bytes) -> None:
        self._data, self.place = data, 0

    def take(self, layout: str) -> tuple:
        try:
            found = struct.unpack_from(f">{layout}", self._data, self.place)
        except struct.error as error:
            raise _Short from error
        self.place += struct.calcsize(f">{layout}")
        return found

    def integer(self) -> int:
        return self.take("i")[0]

    def text(self) -> bytes:
        length = self.integer()
        return self.take(f"{length}s{-length % 4}x")[0]

    def skip(self, n_bytes: int) -> None:
        if self.place + n_bytes > len(self._data):
            raise _Short
        self.place += n_bytes


class EnergyFile:
    """An .edr that may still grow: each call of ``new`` gives the frames that have become whole since the last."""

    def __init__(self, path: Path) -> None:
        self._path, self._place = path, 0
        self._names: list[str] = []

    def new(self) -> Iterator[EnergyFrame]:
        """Raises ValueError if this is no .edr of a version that is known."""
        data = _read_from(self._path, self._place)
        reader = _Reader(data)
        begin = self._place
        try:
            if not self._names:
                self._names = _edr_names(reader)
                self._place = begin + reader.place
            while True:
                frame = self._frame(reader)
                self._place = begin + reader.place
                if frame.terms:
                    yield frame
        except _Short:
            return

    def _frame(self, reader: _Reader) -> EnergyFrame:
        real = "f"
        if reader.take("f")[0] != struct.unpack(">f", struct.pack(">f", _EDR_FIRST))[0]:
            reader.place -= 4
            real = "d"
            if reader.take("d")[0] != _EDR_FIRST:
                raise ValueError(f"{self._path.name}: no frame of energies begins where one should")
        magic, version = reader.take("ii")
        if magic != _EDR_FRAME_MAGIC or version not in _EDR_VERSIONS:
            raise ValueError(f"{self._path.name}: a frame of version {version}, which is not known")
        time_ps, step, n_summed, _ = reader.take("dqiq")
        if version >= 5:
            reader.take("d")
        n_terms, n_restraints, n_blocks = reader.take("iii")
        if n_restraints:
            raise ValueError(f"{self._path.name}: a frame with distance restraints")
        blocks = [self._block_bytes(reader) for _ in range(n_blocks)]
        reader.take("iii")
        width = 3 if n_summed > 0 else 1
        values = reader.take(f"{n_terms * width}{real}")
        for n_bytes in blocks:
            reader.skip(n_bytes)
        terms = dict(zip(self._names, values[::width], strict=False))
        sums = dict(zip(self._names, values[2::3], strict=False)) if width == 3 else {}
        return EnergyFrame(step, time_ps, terms, n_summed, sums)

    def _block_bytes(self, reader: _Reader) -> int:
        _, n_parts = reader.take("ii")
        total = 0
        for _ in range(n_parts):
            kind, count = reader.take("ii")
            if kind not in _EDR_SIZES:
                raise ValueError(f"{self._path.name}: a block of kind {kind}, which is not known")
            total += _EDR_SIZES[kind] * count
        return total


def _edr_names(reader: _Reader) -> list[str]:
    magic, version, n_terms = reader.take("iii")
    if magic != _EDR_MAGIC or version not in _EDR_VERSIONS:
        raise ValueError(f"energies of a version ({version}) that is not known")
    names = []
    for _ in range(n_terms):
        names.append(reader.text().decode("ascii", "replace"))
        reader.text()  # the unit
    return names


class FrameFile:
    """An .xtc that may still grow: ``at`` gives the frame of a step, passing over those before it."""

    def __init__(self, path: Path, n_atoms: int, scratch: Path) -> None:
        self._path, self._n_atoms, self._place = path, n_atoms, 0
        self._scratch = scratch

    def at(self, step: int) -> tuple[np.ndarray, np.ndarray] | None:
        """Positions (n, 3) and box (3, 3) of a step in nm, as they are in the file; None if it has no such frame."""
        while True:
            head = _read_from(self._path, self._place, 92)
            length = xtc_frame_bytes(head, self._n_atoms)
            if not length:
                return None
            data = _read_from(self._path, self._place, length)
            (found,) = struct.unpack(">i", head[8:12])
            if len(data) < length or found > step:
                return None
            self._place += length
            if found == step:
                return self._decoded(data)

    def _decoded(self, data: bytes) -> tuple[np.ndarray, np.ndarray]:
        from MDAnalysis.lib.formats.libmdaxdr import XTCFile  # slow to import; OpenMM's reads one precision only

        write(self._scratch, data)
        with XTCFile(str(self._scratch)) as reader:
            frame = reader.read()
        return frame.x.astype(float), frame.box.astype(float)


def states(path: Path) -> Iterator[State]:
    """Every whole frame of a .trr that has positions and velocities."""
    reader = _Reader(path.read_bytes())
    try:
        while True:
            state = _trr_frame(reader)
            if state is not None:
                yield state
    except _Short:
        return


def _trr_frame(reader: _Reader) -> State | None:
    magic, _ = reader.take("ii")
    if magic != _TRR_MAGIC or reader.text() != _TRR_VERSION:
        raise ValueError("this is no .trr file")
    *sizes, n_atoms, step, _ = reader.take("13i")
    _, _, box, virial, pressure, _, _, x, v, f = sizes
    real = "d" if box == 72 or x == 24 * n_atoms else "f"
    reader.take(f"2{real}")
    arrays = []
    for n_bytes in (box, virial, pressure, x, v, f):
        values = reader.take(f"{n_bytes}s")[0]
        arrays.append(np.frombuffer(values, dtype=">f8" if real == "d" else ">f4").astype(float))
    if not (x and v and box):
        return None
    return State(step, arrays[3].reshape(-1, 3), arrays[4].reshape(-1, 3), arrays[0].reshape(3, 3))


def _read_from(path: Path, place: int, most: int = -1) -> bytes:
    """Bytes of a file from a place on; none if it is not there yet."""
    try:
        with open(path, "rb") as handle:
            handle.seek(place)
            return handle.read(most)
    except FileNotFoundError:
        return b""
