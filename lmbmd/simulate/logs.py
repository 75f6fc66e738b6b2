"""The growing files of a run: trajectory and state logs, cut back to a checkpoint and readable at any moment."""

from __future__ import annotations

import csv
import os
import struct
import tempfile
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from openmm import Vec3
from openmm.app import Topology, XTCFile

from lmbmd.core.provenance import sha256_of
from lmbmd.simulate.checkpoint import cannot_write

#: An XTC frame of more than nine atoms: its first number, and where its compressed coordinates begin.
_XTC_MAGIC, _XTC_HEADER = 1995, 92


@dataclass(frozen=True)
class Row:
    """One row of a state log. Temperature is kinetic: 2 E_kin / (k_B · degrees of freedom)."""

    step: int
    time_ps: float
    density_g_cm3: float
    volume_A3: float
    potential_kJ_mol: float
    kinetic_kJ_mol: float
    temperature_K: float


_FORMATS = ("d", ".12g", ".6f", ".3f", ".4f", ".4f", ".3f")

#: So much of the end of a growing file is hashed to know it again, bytes.
TAIL_BYTES = 2**20


@dataclass(frozen=True)
class Mark:
    """What a growing file held at a checkpoint, so that it is known again.

    The hash is of the last mebibyte only, so that it costs the same however long a run is. That is enough to tell
    two branches of one run apart: from where they part every frame and row differs, and the newest lie at the end.

    Attributes:
        bytes: length of the file.
        pieces: frames or rows in it.
        tail_sha256: of the last ``TAIL_BYTES`` of that length, or of all if it is shorter.
    """

    bytes: int
    pieces: int
    tail_sha256: str

    def fault(self, path: Path) -> str:
        """Why the file at ``path`` does not begin with what was marked; "" if it does."""
        try:
            with open(path, "rb") as handle:
                size = os.fstat(handle.fileno()).st_size
                if size < self.bytes:
                    return f"{path.name} has {size} bytes of the {self.bytes} that were written"
                same = _tail_sha256(handle.fileno(), self.bytes) == self.tail_sha256
        except FileNotFoundError:
            return f"{path.name} is gone"
        return "" if same else f"{path.name} does not hold what was written at that time"


def _tail_sha256(handle: int, size: int) -> str:
    begin = max(0, size - TAIL_BYTES)
    return sha256_of(os.pread(handle, size - begin, begin))


class Appended:
    """A file that only grows, and only by whole pieces, which are counted.

    Each piece reaches the file by one ``write``; if the disk takes only a part of it, the file is cut back. So a
    reader sees whole pieces, but for the instant of a write or a kill within it, which ``cut`` repairs.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.pieces = path, 0
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise cannot_write(path, error) from error

    @property
    def size(self) -> int:
        return os.fstat(self._handle).st_size

    def cut(self, mark: Mark | None) -> None:
        """Forget everything after a mark, or everything. Raises ValueError if the file does not hold what it marks."""
        if mark and (fault := mark.fault(self.path)):
            raise ValueError(fault)
        try:
            os.ftruncate(self._handle, mark.bytes if mark else 0)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self.pieces = mark.pieces if mark else 0

    def append(self, piece: bytes) -> None:
        """Raises LmbmdError if the disk does not take all of it."""
        before = self.size
        try:
            written = 0
            while written < len(piece):
                written += os.write(self._handle, piece[written:])
        except OSError as error:
            with suppress(OSError):
                os.ftruncate(self._handle, before)
            raise cannot_write(self.path, error) from error
        self.pieces += 1

    def mark(self) -> Mark:
        """What the file holds now, safe on the disk. Raises LmbmdError if the disk has not taken it."""
        try:
            os.fsync(self._handle)
            size = self.size
            return Mark(size, self.pieces, _tail_sha256(self._handle, size))
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._handle)


class StateLog:
    """A CSV file of ``Row``."""

    def __init__(self, path: Path) -> None:
        self.file = Appended(path)

    def cut(self, mark: Mark | None) -> None:
        """Forget everything after a mark, or everything but the names of the columns."""
        self.file.cut(mark)
        if mark is None:
            self.file.append((",".join(f.name for f in fields(Row)) + "\n").encode())
            self.file.pieces = 0

    def append(self, row: Row) -> None:
        self.file.append((",".join(map(format, astuple(row), _FORMATS)) + "\n").encode())

    def read(self) -> list[Row]:
        with open(self.file.path, encoding="utf-8", newline="") as handle:
            return [Row(int(r["step"]), *(float(r[f.name]) for f in fields(Row)[1:])) for r in csv.DictReader(handle)]


class PressureLog:
    """A CSV file of pressure tensors, compression positive, with their kinetic part, by the time since the start."""

    HEADER = "time_ps,xx_bar,yy_bar,zz_bar,xy_bar,xz_bar,yz_bar\n"

    def __init__(self, path: Path) -> None:
        self.file = Appended(path)

    def cut(self, mark: Mark | None) -> None:
        """Forget everything after a mark, or everything but the names of the columns."""
        self.file.cut(mark)
        if mark is None:
            self.file.append(self.HEADER.encode())
            self.file.pieces = 0

    def append(self, time_ps: float, pressure_bar: Sequence[float]) -> None:
        row = ",".join([f"{time_ps:.12g}", *(f"{element:.3f}" for element in pressure_bar)])
        self.file.append((row + "\n").encode())


class Trajectory:
    """An XTC file: frame k at time k × interval, k = 1, 2, …; k is also XTC's step number.

    Coordinates are stored to 0.01 Å, the format's usual precision. A frame is encoded while the next steps are
    taken, in a thread: at 56,000 atoms that takes 13 ms, as long as a fast GPU needs for a dozen steps.
    """

    def __init__(self, path: Path, n_atoms: int, interval_ps: float) -> None:
        self.file = Appended(path)
        self._n_atoms, self._interval_ps = n_atoms, interval_ps
        self._topology = _bare_topology(n_atoms)
        # OpenMM's XTC encoder writes to a path and reports no disk errors; so each frame is encoded in a scratch
        # file, checked, and appended from there in one piece.
        self._scratch = tempfile.TemporaryDirectory(prefix="lmbmd-frame-")
        self._frame = Path(self._scratch.name, "frame.xtc")
        self._encoder = self._new_encoder()
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pending: Future[None] | None = None

    def _new_encoder(self) -> XTCFile:
        self._frame.unlink(missing_ok=True)
        first = self.file.pieces + 1
        return XTCFile(str(self._frame), self._topology, self._interval_ps, firstStep=first, interval=1)

    def cut(self, mark: Mark | None) -> None:
        """Forget all frames after a mark, or all."""
        self.settle()
        self.file.cut(mark)
        self._encoder = self._new_encoder()

    def append(self, positions_nm: np.ndarray, box_nm: np.ndarray) -> None:
        """Add the next frame. Raises LmbmdError if the one before it could not be written."""
        self.settle()
        self._pending = self._thread.submit(self._write, positions_nm, box_nm)

    def settle(self) -> None:
        """Wait until every frame is in the file. Raises LmbmdError if the disk does not take it."""
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.result()

    def _write(self, positions_nm: np.ndarray, box_nm: np.ndarray) -> None:
        self._encoder.writeModel(positions_nm, periodicBoxVectors=[Vec3(*v) for v in box_nm.tolist()])
        data = self._frame.read_bytes()
        self._frame.unlink()
        if len(data) != xtc_frame_bytes(data, self._n_atoms):
            raise cannot_write(self._frame, OSError("a frame could not be encoded: is the temporary folder full?"))
        self.file.append(data)

    def close(self) -> None:
        """Give everything back; what is not in the file by ``settle`` may be lost."""
        self._thread.shutdown(wait=True)
        self.file.close()
        self._scratch.cleanup()


def xtc_frame_bytes(data: bytes, n_atoms: int) -> int:
    """Length in bytes that the XTC frame at the start of ``data`` says it has; 0 if there is no whole header."""
    if n_atoms <= 9:  # too few to compress: plain floats
        return 56 + 12 * n_atoms
    if len(data) < _XTC_HEADER:
        return 0
    (compressed,) = struct.unpack(">i", data[88:92])
    return _XTC_HEADER + 4 * ((compressed + 3) // 4)


def xtc_frames(path: Path, n_atoms: int) -> int:
    """Frames of an XTC file that are there in order: whole, of so many atoms, numbered 1, 2, …

    Only the heads of frames are read, each of which says where the next one is.

    Raises:
        ValueError: if something else comes after some frames; says after how many.
    """
    frames = place = 0
    with open(path, "rb") as handle:
        size = os.fstat(handle.fileno()).st_size
        while place < size:
            head = os.pread(handle.fileno(), _XTC_HEADER, place)
            length, wanted = xtc_frame_bytes(head, n_atoms), struct.pack(">3i", _XTC_MAGIC, n_atoms, frames + 1)
            if not length or head[:12] != wanted or place + length > size:
                raise ValueError(f"{path.name} breaks off after {frames} frames, at byte {place} of {size}")
            frames, place = frames + 1, place + length
    return frames


def _bare_topology(n_atoms: int) -> Topology:
    """As much of a topology as the encoder asks for: a number of atoms and that there is a box."""
    topology = Topology()
    residue = topology.addResidue("X", topology.addChain())
    for _ in range(n_atoms):
        topology.addAtom("X", None, residue)
    topology.setPeriodicBoxVectors([Vec3(1, 0, 0), Vec3(0, 1, 0), Vec3(0, 0, 1)])
    return topology
