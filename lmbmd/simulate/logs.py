"""The growing files of a run: trajectory and state logs, cut back to a checkpoint and readable at any moment."""

from __future__ import annotations

import csv
import os
import struct
import tempfile
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
from openmm import Vec3
from openmm.app import Topology, XTCFile

from lmbmd.simulate.checkpoint import cannot_write


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


class Appended:
    """A file that only grows, and only by whole pieces.

    Each piece reaches the file by one ``write``; if the disk takes only a part of it, the file is cut back. So a
    reader sees whole pieces, but for the instant of a write or a kill within it, which ``cut`` repairs.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise cannot_write(path, error) from error

    @property
    def size(self) -> int:
        return os.fstat(self._handle).st_size

    def cut(self, size: int) -> None:
        """Forget everything after ``size`` bytes. Raises ValueError if the file is shorter than that."""
        if self.size < size:
            raise ValueError(f"{self.path.name} has {self.size} bytes; the checkpoint knows of {size}")
        try:
            os.ftruncate(self._handle, size)
        except OSError as error:
            raise cannot_write(self.path, error) from error

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

    def sync(self) -> None:
        """Raises LmbmdError if the disk has not taken what was written."""
        try:
            os.fsync(self._handle)
        except OSError as error:
            raise cannot_write(self.path, error) from error

    def close(self) -> None:
        with suppress(OSError):
            os.close(self._handle)


class StateLog:
    """A CSV file of ``Row``."""

    def __init__(self, path: Path) -> None:
        self.file = Appended(path)
        if self.file.size == 0:
            self._header()

    def _header(self) -> None:
        self.file.append((",".join(f.name for f in fields(Row)) + "\n").encode())

    def cut(self, size: int) -> None:
        self.file.cut(size)
        if size == 0:
            self._header()

    def append(self, row: Row) -> None:
        self.file.append((",".join(map(format, astuple(row), _FORMATS)) + "\n").encode())

    def read(self) -> list[Row]:
        with open(self.file.path, encoding="utf-8", newline="") as handle:
            return [Row(int(r["step"]), *(float(r[f.name]) for f in fields(Row)[1:])) for r in csv.DictReader(handle)]


class Trajectory:
    """An XTC file: frame k at time k × interval, k = 1, 2, …; k is also XTC's step number.

    Coordinates are stored to 0.01 Å, the format's usual precision. A frame is encoded while the next steps are
    taken, in a thread: at 56,000 atoms that takes 13 ms, as long as a fast GPU needs for a dozen steps.
    """

    def __init__(self, path: Path, n_atoms: int, interval_ps: float, frames: int = 0) -> None:
        self.file = Appended(path)
        self._n_atoms, self._interval_ps = n_atoms, interval_ps
        self._topology = _bare_topology(n_atoms)
        # OpenMM's XTC encoder writes to a path and reports no disk errors; so each frame is encoded in a scratch
        # file, checked, and appended from there in one piece.
        self._scratch = tempfile.TemporaryDirectory(prefix="lmbmd-frame-")
        self._frame = Path(self._scratch.name, "frame.xtc")
        self._encoder = self._new_encoder(frames)
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._pending: Future[None] | None = None

    def _new_encoder(self, frames: int) -> XTCFile:
        self._frame.unlink(missing_ok=True)
        return XTCFile(str(self._frame), self._topology, self._interval_ps, firstStep=frames + 1, interval=1)

    def cut(self, size: int, frames: int) -> None:
        """Forget everything after ``size`` bytes, which are ``frames`` frames."""
        self.settle()
        self.file.cut(size)
        self._encoder = self._new_encoder(frames)

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
    if len(data) < 92:
        return 0
    (compressed,) = struct.unpack(">i", data[88:92])
    return 92 + 4 * ((compressed + 3) // 4)


def _bare_topology(n_atoms: int) -> Topology:
    """As much of a topology as the encoder asks for: a number of atoms and that there is a box."""
    topology = Topology()
    residue = topology.addResidue("X", topology.addChain())
    for _ in range(n_atoms):
        topology.addAtom("X", None, residue)
    topology.setPeriodicBoxVectors([Vec3(1, 0, 0), Vec3(0, 1, 0), Vec3(0, 0, 1)])
    return topology
