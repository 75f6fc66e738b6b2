"""Files that are whole or absent: written aside, flushed to disk, then renamed into place; and JSON, read warily."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from lmbmd.core.errors import LmbmdError
from lmbmd.core.provenance import canonical_json, sha256_of

#: Errors of a disk that takes no more; writers such as Arrow's raise them without the name of the file.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)
#: No JSON that a stage writes is as large.
_MOST_BYTES = 2**26
_SEAL = "sha256"


@contextmanager
def replacing(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a temporary path beside ``path``; on success it becomes ``path``, on failure it goes.

    Raises:
        LmbmdError: if the file cannot be written. Any other error of the block, such as one about a file that it
            reads, is passed on as it is.
    """
    path = Path(path)
    if not path.name or path.name == "..":
        what = "this is a folder, and a file is to be written."
        raise LmbmdError(what, where=f"'{path}'", remedy="Give the name of a file.")
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


def read_json(path: str | os.PathLike[str], *, what: str, remedy: str, is_sealed: bool = False) -> dict[str, Any]:
    """The object in a JSON file.

    Args:
        path: the file.
        what: it should be: "composition".
        remedy: what to do about a file that is none.
        is_sealed: it was written as ``sealed`` says, and any change since then is noticed.

    Raises:
        LmbmdError: if the file cannot be read, is too large, holds no JSON object, or its seal is broken.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        found = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        if not isinstance(found, dict):
            raise ValueError("it holds no lines of 'key: value'")
        if is_sealed and found.pop(_SEAL, None) != _digest(found):
            raise ValueError("its content does not match its hash: changed or damaged since it was written")
    except (OSError, ValueError, RecursionError) as error:
        raise damaged(path, what, error, remedy) from error
    return found


def damaged(path: str | os.PathLike[str], what: str, error: BaseException, remedy: str) -> LmbmdError:
    """The error for a file that is not ``what`` it should be: "composition"."""
    return LmbmdError(f"this is no {what} ({told(error)}).", where=str(path), remedy=remedy)


def read_text(path: str | os.PathLike[str], remedy: str) -> str:
    """The text of a file.

    Raises:
        LmbmdError: if it cannot be read, or is no UTF-8.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise LmbmdError(f"the file cannot be read ({told(error)}).", where=str(path), remedy=remedy) from error


def sealed(data: Mapping[str, Any]) -> dict[str, Any]:
    """The same with a last entry ``sha256``, the hash of all others, by which ``read_json`` knows a changed file."""
    plain = {key: value for key, value in data.items() if key != _SEAL}
    return {**plain, _SEAL: _digest(json.loads(json.dumps(plain)))}  # as it is read: with text for every key


def told(error: BaseException) -> str:
    """Why a file could not be read, on one line: of an error of the system, without the path that it repeats."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:300] or type(error).__name__


def _digest(data: Mapping[str, Any]) -> str:
    return sha256_of(canonical_json(data).encode("utf-8", "surrogatepass"))


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
