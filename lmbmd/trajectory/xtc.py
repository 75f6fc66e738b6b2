"""GROMACS' compressed trajectories, read with every size checked.

The usual readers, in C, believe the sizes in a header and the run lengths in the packed coordinates; a damaged byte
makes them write past their memory, which ends the process or spoils what it computes. The format is that of GROMACS'
xdrfile: coordinates as integers, the first of a group in full and its neighbours as small differences.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np

from lmbmd.core.errors import LmbmdError

_MAGIC, _LONG_MAGIC = 1995, 2023
_FIRST, _LAST = 9, 72
#: Ranges of the small differences, one for each number of bits: about 2^(k/3) for entry k.
_SMALL = np.array(
    [0] * 9
    + [8, 10, 12, 16, 20, 25, 32, 40, 50, 64, 80, 101, 128, 161, 203, 256, 322, 406, 512, 645, 812, 1024, 1290, 1625]
    + [2048, 2580, 3250, 4096, 5060, 6501, 8192, 10321, 13003, 16384, 20642, 26007, 32768, 41285, 52015, 65536, 82570]
    + [104031, 131072, 165140, 208063, 262144, 330280, 416127, 524287, 660561, 832255, 1048576, 1321122, 1664510]
    + [2097152, 2642245, 3329021, 4194304, 5284491, 6658042, 8388607, 10568983, 13316085, 16777216],
    dtype=np.int64,
)
_FEW = 9  # so few atoms are not packed
_HEAD = 92
_A_PER_NM = np.float32(10.0)


#: Rounded to 0.1 Å, a distance is uncertain by 0.04 Å: less than a bin of the RDF, or the width of any peak.
_LEAST_PRECISION_PER_NM = 99.0


class Head(NamedTuple):
    """What the header of a frame says: atoms, step, time (ps), lattice (nm), precision (1/nm), ranges, packing."""

    n_atoms: int
    step: int
    time_ps: float
    box_nm: tuple[float, ...]
    precision: float
    least: tuple[int, int, int]
    most: tuple[int, int, int]
    small: int
    start: int
    n_bytes: int

    @property
    def end(self) -> int:
        """First byte behind the frame."""
        return self.start + self.n_bytes + (-self.n_bytes) % 4


def before(frame: int) -> str:
    """How to leave out a frame and those behind it."""
    return f"-e with a time before it, or stop = {frame} for read_frames"


def damaged(path: Path, frame: int, what: str) -> LmbmdError:
    """The refusal of a frame that cannot be right."""
    cut = f", or analyse the frames before it: {before(frame)}" if frame else ""
    return LmbmdError(
        f"the frame is damaged: {what}.", where=f"{path}, frame {frame}", remedy=f"Copy the file again{cut}."
    )


def scan(path: Path) -> tuple[int, np.ndarray]:
    """Atoms per frame, and the byte at which each frame begins; of each frame the header is looked at.

    Raises:
        LmbmdError: if the file cannot be read or the header of a frame cannot be right. A last frame that is cut short
            counts: reading it says so.
    """
    size = _size(path)
    starts: list[int] = []
    n_atoms, start = 0, 0
    with path.open("rb") as file:
        while start < size:
            file.seek(start)
            starts.append(start)
            raw = file.read(_HEAD + 4)
            if len(raw) < 56 or (len(raw) < _HEAD and struct.unpack(">i", raw[52:56])[0] > _FEW):
                if len(starts) == 1:
                    raise damaged(path, 0, f"the file ends after {size} bytes")
                break
            head = _head(path, len(starts) - 1, start, raw)
            if n_atoms and head.n_atoms != n_atoms:
                raise damaged(path, len(starts) - 1, f"it says {head.n_atoms} atoms, the frames before {n_atoms}")
            n_atoms, start = head.n_atoms, head.end
    return n_atoms, np.array(starts, np.int64)


def _size(path: Path) -> int:
    try:
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as error:
        raise LmbmdError(f"it cannot be read ({error.strerror}).", where=str(path), remedy="Mend the path.") from error
    if not size:
        raise LmbmdError("the file is empty.", where=str(path), remedy="Was it copied whole?")
    return size


def _head(path: Path, frame: int, start: int, raw: bytes) -> Head:
    magic, n_atoms, step, time_ps = struct.unpack(">iiif", raw[:16])
    box = struct.unpack(">9f", raw[16:52])
    (count,) = struct.unpack(">i", raw[52:56])
    if magic not in (_MAGIC, _LONG_MAGIC):
        raise damaged(path, frame, f"it begins with {magic}, not with {_MAGIC}")
    if n_atoms < 1 or n_atoms != count:
        raise damaged(path, frame, f"it says {n_atoms} and {count} atoms")
    if not all(math.isfinite(v) for v in (time_ps, *box)):
        raise damaged(path, frame, "its time or its box is not a number")
    if n_atoms <= _FEW:
        return Head(n_atoms, step, time_ps, box, 0.0, (0, 0, 0), (0, 0, 0), 0, start + 56, 12 * n_atoms)
    (precision,) = struct.unpack(">f", raw[56:60])
    least, most = struct.unpack(">3i", raw[60:72]), struct.unpack(">3i", raw[72:84])
    (small,) = struct.unpack(">i", raw[84:88])
    wide = magic == _LONG_MAGIC
    (n_bytes,) = struct.unpack(">q", raw[88:96]) if wide and len(raw) >= 96 else struct.unpack(">i", raw[88:92])
    if not (math.isfinite(precision) and precision > 0):
        raise damaged(path, frame, f"its precision is {precision:g}")
    if any(not 0 <= b - a < 2**31 - 1 for a, b in zip(least, most, strict=True)):
        raise damaged(path, frame, f"its coordinates run from {least} to {most}")
    if not _FIRST <= small <= _LAST or not 0 < n_bytes <= 16 * n_atoms + 64:
        raise damaged(path, frame, f"it packs {n_atoms} atoms into {n_bytes} bytes by table entry {small}")
    start += _HEAD + 4 if wide else _HEAD
    return Head(n_atoms, step, time_ps, box, precision, least, most, small, start, n_bytes)


class XtcFrame(NamedTuple):
    """Step and time (ps) of a frame, positions (n, 3) float32 and lattice vectors (3, 3) float64, both Å."""

    step: int
    time_ps: float
    positions_A: np.ndarray
    box_A: np.ndarray


def clock(path: Path, frame: int, start: int) -> tuple[float, int]:
    """The time and the step that the header of one frame states; arguments and errors as of ``read``."""
    with path.open("rb") as file:
        file.seek(start)
        head = _head(path, frame, start, file.read(_HEAD + 4))
    return head.time_ps, head.step


def read(path: Path, frame: int, start: int, n_atoms: int) -> XtcFrame:
    """One frame.

    Args:
        path: the file.
        frame: its number, for messages.
        start: the byte at which it begins, from ``scan``.
        n_atoms: atoms that it must have.

    Raises:
        LmbmdError: if the frame is cut short or damaged, or its positions are rounded to more than 0.1 Å.
    """
    try:
        with path.open("rb") as file:
            file.seek(start)
            raw = file.read(_HEAD + 4)
            if len(raw) < 56 or (len(raw) < _HEAD and n_atoms > _FEW):
                raise _cut(path, frame, "the file ends within it")
            head = _head(path, frame, start, raw)
            if head.n_atoms != n_atoms:
                raise damaged(path, frame, f"it says {head.n_atoms} atoms, the frames before {n_atoms}")
            file.seek(head.start)
            packed = file.read(head.n_bytes)
    except OSError as error:
        raise _cut(path, frame, str(error.strerror)) from error
    if len(packed) < head.n_bytes:
        raise _cut(path, frame, "the file ends within it")
    if n_atoms > _FEW and head.precision < _LEAST_PRECISION_PER_NM:
        raise LmbmdError(
            f"its positions are rounded to {10.0 / head.precision:.2g} Å, which is too coarse for distances.",
            where=f"{path}, frame {frame}",
            remedy="Write it with more digits: compressed-x-precision = 1000 in GROMACS, or trjconv -ndec 3 from a "
            "trajectory that has them.",
        )
    box = np.array(head.box_nm, np.float32).reshape(3, 3).astype(float) * 10.0
    if n_atoms <= _FEW:
        positions = np.frombuffer(packed, ">f4").reshape(-1, 3).astype(np.float32)
        return XtcFrame(head.step, head.time_ps, positions * _A_PER_NM, box)
    found = np.empty((n_atoms, 3), np.float32)
    stream = np.frombuffer(packed + bytes(16), np.uint8)
    inverse = np.float32(1.0 / np.float32(head.precision))
    least, most = np.array(head.least, np.int64), np.array(head.most, np.int64)
    if not _unpack(stream, 8 * head.n_bytes, least, most - least + 1, head.small, inverse, found, _SMALL):
        raise damaged(path, frame, "its packed coordinates cannot be unpacked")
    found *= _A_PER_NM
    return XtcFrame(head.step, head.time_ps, found, box)


def _cut(path: Path, frame: int, why: str) -> LmbmdError:
    return LmbmdError(
        f"the frame cannot be read ({why}).",
        where=f"{path}, frame {frame}",
        remedy=f"The file is cut short or damaged there; analyse the frames before it: {before(frame)}.",
    )


@numba.njit(cache=True)
def _bits(stream: np.ndarray, at: int, n: int) -> int:
    """The ``n`` ≤ 32 bits from bit ``at`` on, the first the most significant."""
    byte = at >> 3
    window = np.int64(0)
    for k in range(5):
        window = (window << 8) | np.int64(stream[byte + k])
    return (window >> (40 - (at & 7) - n)) & ((np.int64(1) << n) - 1)  # type: ignore[return-value]  # numba's int64, an int to mypy


@numba.njit(cache=True)
def _length(value: int) -> int:
    n = 0
    while value > 0:
        value >>= 1
        n += 1
    return n


@numba.njit(cache=True)
def _product_length(sizes: np.ndarray) -> int:
    """Bits of the product of three sizes below 2²⁴, which may not fit 64 bits."""
    parts = np.zeros(12, np.int64)
    parts[0] = 1
    for k in range(3):
        carry = np.int64(0)
        for j in range(12):
            value = parts[j] * sizes[k] + carry
            parts[j] = value & 0xFF
            carry = value >> 8
    top = 11
    while top > 0 and parts[top] == 0:
        top -= 1
    return 8 * top + _length(parts[top])


@numba.njit(cache=True)
def _three(stream: np.ndarray, at: int, n: int, s1: int, s2: int, parts: np.ndarray, out: np.ndarray) -> None:
    """Three integers packed as one of ``n`` bits, the last two below ``s1`` and ``s2``."""
    count = 0
    left = n
    while left > 8:
        parts[count] = _bits(stream, at, 8)
        at += 8
        left -= 8
        count += 1
    if left > 0:
        parts[count] = _bits(stream, at, left)
        count += 1
    if n <= 62:
        value = np.int64(0)
        for j in range(count - 1, -1, -1):
            value = (value << 8) | parts[j]
        rest = value // s2
        out[2] = value - rest * s2
        out[0] = rest // s1
        out[1] = rest - out[0] * s1
        return
    for i in range(2, 0, -1):
        size = s2 if i == 2 else s1
        remainder = np.int64(0)
        for j in range(count - 1, -1, -1):
            remainder = (remainder << 8) | parts[j]
            parts[j] = remainder // size
            remainder -= parts[j] * size
        out[i] = remainder
    value = np.int64(0)
    for j in range(min(count, 4) - 1, -1, -1):
        value = (value << 8) | parts[j]
    out[0] = value


@numba.njit(cache=True)
def _unpack(
    stream: np.ndarray,
    n_bits: int,
    least: np.ndarray,
    sizes: np.ndarray,
    small: int,
    inverse: np.float32,
    found: np.ndarray,
    table: np.ndarray,
) -> bool:
    """Fill ``found`` (n, 3), nm; False as soon as the stream ends early, a run is too long or an entry is outside."""
    n = len(found)
    wide = sizes[0] > 0xFFFFFF or sizes[1] > 0xFFFFFF or sizes[2] > 0xFFFFFF
    lengths = np.array([_length(sizes[0]), _length(sizes[1]), _length(sizes[2])])
    together = 0 if wide else _product_length(sizes)
    smaller = table[max(9, small - 1)] // 2
    offset = table[small] // 2
    parts = np.zeros(16, np.int64)
    here, before = np.zeros(3, np.int64), np.zeros(3, np.int64)
    run, at, i = 0, 0, 0
    while i < n:
        if at > n_bits:
            return False
        if wide:
            for k in range(3):
                here[k] = _bits(stream, at, lengths[k])
                at += lengths[k]
                if (at >> 3) > (n_bits >> 3) + 4:
                    return False
        else:
            _three(stream, at, together, sizes[1], sizes[2], parts, here)
            at += together
        for k in range(3):
            here[k] += least[k]
            before[k] = here[k]
        if at + 6 > n_bits + 8:
            return False
        flag = _bits(stream, at, 1)
        at += 1
        change = 0
        if flag == 1:
            run = _bits(stream, at, 5)
            at += 5
            change = run % 3
            run -= change
            change -= 1
        first = i
        i += 1
        if run > 0:
            if i + run // 3 > n:
                return False
            for k in range(0, run, 3):
                if at + small > n_bits:
                    return False
                _three(stream, at, small, table[small], table[small], parts, here)
                at += small
                for d in range(3):
                    here[d] += before[d] - offset
                if k == 0:
                    # The second atom of a group is written first: it is the oxygen of water.
                    for d in range(3):
                        here[d], before[d] = before[d], here[d]
                        found[first, d] = np.float32(before[d]) * inverse
                else:
                    for d in range(3):
                        before[d] = here[d]
                for d in range(3):
                    found[i, d] = np.float32(here[d]) * inverse
                i += 1
        else:
            for d in range(3):
                found[first, d] = np.float32(here[d]) * inverse
        small += change
        if small < 9 or small > 72:
            return False
        if change < 0:
            offset = smaller
            smaller = table[small - 1] // 2 if small > 9 else 0
        elif change > 0:
            smaller = offset
            offset = table[small] // 2
    return at <= n_bits
