"""Files that are whole or absent: written aside, flushed to disk, then renamed into place."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lmbmd.core.errors import LmbmdError

#: Errors of a disk that takes no more; writers such as Arrow's raise them without the name of the file.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it becomes ``path``, on failure it goes.

    Raises:
        LmbmdError: if the file cannot be written. Any other error of the block, such as one about a file that it
            reads, is passed on as it is.
    """
    path = Path(path)
    # The suffix is kept: writers such as matplotlib choose the format by it.
    partial = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        with open(partial, "rb+") as handle:
            os.fsync(handle.fileno())
        os.replace(partial, path)
        sync_folder(path.parent)
    except OSError as error:
        ours = {str(place) for place in (partial, *partial.parents)}
        if error.errno not in _DISK and ours.isdisjoint((str(error.filename), str(error.filename2))):
            raise
        raise LmbmdError(
            f"cannot write the file: {error.strerror or error}.",
            where=str(path),
            remedy="Check that the folder exists, is writable and has space left.",
        ) from error
    finally:
        with suppress(OSError):  # it was renamed, or could never be made
            partial.unlink()


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make renames and new names in ``folder`` survive a power cut, where the file system can promise that."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with replacing(path) as partial:
        partial.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    write_bytes(path, text.encode("utf-8"))
