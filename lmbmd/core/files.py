"""Files that are whole or absent: written aside, flushed to disk, then renamed into place."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lmbmd.core.errors import LmbmdError


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it becomes ``path``, on failure it goes.

    Raises:
        LmbmdError: if the folder cannot be made or written to.
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
    except OSError as error:
        raise LmbmdError(
            f"cannot write the file: {error.strerror or error}.",
            where=str(path),
            remedy="Check that the folder exists, is writable and has space left.",
        ) from error
    finally:
        with suppress(OSError):  # it was renamed, or could never be made
            partial.unlink()


def write_bytes(path: str | os.PathLike[str], data: bytes) -> None:
    """Write ``data`` to ``path`` atomically."""
    with replacing(path) as partial:
        partial.write_bytes(data)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write ``text`` to ``path`` atomically, as UTF-8."""
    write_bytes(path, text.encode("utf-8"))
