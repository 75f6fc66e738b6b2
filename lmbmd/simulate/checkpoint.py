"""Where a run stands, in one verified file: written aside, flushed, renamed; the one before it is kept."""

from __future__ import annotations

import io
import json
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import sync_folder
from lmbmd.core.provenance import sha256_of

_MAGIC = b"lmbmd-checkpoint-2"
CURRENT, PREVIOUS = "checkpoint", "checkpoint.previous"
#: No header is as long.
_MOST_HEADER_BYTES = 2**24
#: Checkpoints may take this part of the time, with the start that each costs GROMACS.
CHECKPOINT_SHARE = 0.005


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything needed to go on.

    Attributes:
        header: plain data: what the run is made of, where it stands, and what its growing files held at that moment
            (``lmbmd.simulate.resume.header_of``).
        positions_nm, velocities_nm_ps: (n, 3) float64.
        box_nm: (3, 3) float64, lattice vectors as rows.
        binary: OpenMM's own checkpoint. Continues to the bit where the platform computes to the bit, but fits only
            the same platform, device and OpenMM version; the arrays above fit all.
    """

    header: dict[str, Any]
    positions_nm: np.ndarray
    velocities_nm_ps: np.ndarray
    box_nm: np.ndarray
    binary: bytes

    def to_bytes(self) -> bytes:
        arrays = io.BytesIO()
        np.savez(
            arrays,
            positions_nm=self.positions_nm,
            velocities_nm_ps=self.velocities_nm_ps,
            box_nm=self.box_nm,
            allow_pickle=False,
        )
        header = json.dumps({**self.header, "binary_bytes": len(self.binary)}).encode() + b"\n"
        body = header + self.binary + arrays.getvalue()
        return _MAGIC + b" " + sha256_of(body).encode() + b"\n" + body

    @classmethod
    def from_bytes(cls, data: bytes) -> Checkpoint:
        """Raises ValueError, with the reason, if the bytes are not a whole, unchanged checkpoint."""
        first, _, body = data.partition(b"\n")
        magic, _, digest = first.partition(b" ")
        if magic != _MAGIC:
            raise ValueError("it is no checkpoint of this version of lmbmd")
        if sha256_of(body) != digest.decode("ascii", "replace"):
            raise ValueError("its content does not match its hash: truncated or damaged")
        line, _, rest = body.partition(b"\n")
        header = json.loads(line)
        length = header.pop("binary_bytes")
        with np.load(io.BytesIO(rest[length:]), allow_pickle=False) as arrays:
            return cls(header, arrays["positions_nm"], arrays["velocities_nm_ps"], arrays["box_nm"], rest[:length])


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Make ``checkpoint`` the current one and keep the one before it.

    A kill at any moment leaves at least one whole checkpoint: between the two renames, the previous one.

    Raises:
        LmbmdError: if it cannot be written; the checkpoint before it is then untouched.
    """
    partial = folder / f".{CURRENT}.partial"
    try:
        for name in (partial.name, CURRENT, PREVIOUS):
            free(folder / name)
        with open(partial, "wb") as handle:
            handle.write(checkpoint.to_bytes())
            handle.flush()
            os.fsync(handle.fileno())
        with suppress(FileNotFoundError):
            os.replace(folder / CURRENT, folder / PREVIOUS)
        os.replace(partial, folder / CURRENT)
        sync_folder(folder)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise cannot_write(folder / CURRENT, error) from error


def free(path: Path) -> None:
    """Let a name be that of a file: a folder that has it, which nobody's program makes, is renamed and kept."""
    if path.is_dir() and not path.is_symlink():
        number = 1
        while (aside := path.with_name(f"{path.name}.folder{number}")).exists():
            number += 1
        path.rename(aside)


def write(path: Path, data: str | bytes) -> None:
    """A file of the work folder that is made anew whenever it is needed. Raises LmbmdError if it cannot be written."""
    try:
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
    except OSError as error:
        raise cannot_write(path, error) from error


def load(path: Path) -> Checkpoint:
    """Read one checkpoint.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if it is damaged, with the reason.
    """
    try:
        return Checkpoint.from_bytes(path.read_bytes())
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ValueError(f"it cannot be read: {error.strerror}") from error


def peek(folder: Path) -> dict[str, Any] | None:
    """The header of the current checkpoint of a folder, without its arrays; None if there is none that can be read.

    For whoever looks at thousands of runs: one read of a few kilobytes, and no hash is compared.
    """
    try:
        with open(folder / CURRENT, "rb") as handle:
            magic = handle.readline(_MOST_HEADER_BYTES).split(b" ")[0]
            header = json.loads(handle.readline(_MOST_HEADER_BYTES)) if magic == _MAGIC else None
    except (OSError, ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) else None


def cannot_write(path: Path, error: OSError) -> LmbmdError:
    """The error for a file of the work folder that the system would not take."""
    return LmbmdError(
        f"cannot write the file: {error.strerror or error}. The run is kept up to its last checkpoint.",
        where=str(path),
        remedy="Free some space or mend the permissions, then give the same command again.",
    )
