"""Files that are whole or absent: written aside, flushed to disk, then renamed into place; and JSON, read warily."""

from __future__ import annotations

import errno
import glob
import json
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from lmbmd.core.errors import LmbmdError
from lmbmd.core.provenance import canonical_json, file_sha256, sha256_of

#: Errors of a disk that takes no more; writers such as Arrow's raise them without the name of the file.
_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG, errno.EIO)
#: No JSON that a stage writes is as large.
_MOST_BYTES = 2**26
_SEAL = "sha256"
#: A temporary file that has not grown for so long is no writer's any more, s.
_ABANDONED_S = 3600.0


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
        with _folder(path.parent), _removing(partial):
            _forget_abandoned(path)
            yield partial
            with open(partial, "rb+") as handle:
                os.fsync(handle.fileno())
            os.replace(partial, path)
            sync_folder(path.parent)
    except OSError as error:
        ours = {str(place) for place in (partial, *partial.parents)}
        named = str(partial) in str(error)  # Arrow has the name in its message only
        if error.errno not in _DISK and not named and ours.isdisjoint((str(error.filename), str(error.filename2))):
            raise
        why = os.strerror(error.errno) if error.errno else error.strerror or error
        raise LmbmdError(
            f"cannot write the file: {why}.",
            where=str(path),
            remedy="Check that the folder exists, is writable and has space left.",
        ) from error


@contextmanager
def _removing(partial: Path) -> Iterator[None]:
    """Remove a file at the end, if it is still there: it may have been renamed, or could never be made."""
    try:
        yield
    finally:
        with suppress(OSError):
            partial.unlink()


@contextmanager
def filling(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Give an empty folder inside ``folder``, which is made; on success its files become those of ``folder``.

    On failure it goes, and so do the folders that were made for it: what ``folder`` held stays as it was.
    """
    folder = Path(folder)
    partial = folder / f".{os.getpid()}.partial"
    with _folder(folder):
        try:
            partial.mkdir()
            yield partial
            written = [path for path in partial.rglob("*") if path.is_file()]
            for path in sorted(written, key=lambda path: path.stat().st_mtime_ns):  # in the order in which they were
                place = folder / path.relative_to(partial)
                place.parent.mkdir(parents=True, exist_ok=True)
                os.replace(path, place)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _folder(folder: Path) -> Iterator[None]:
    """Make a folder; folders that were made for it and in which nothing is at the end go again."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    finally:
        with suppress(OSError):  # from the innermost on
            for place in made:
                place.rmdir()


def _forget_abandoned(path: Path) -> None:
    """Remove what writers of ``path`` left beside it that were killed: nobody has written to it for an hour."""
    for left in path.parent.glob(f".{glob.escape(path.stem)}.*.partial{glob.escape(path.suffix)}"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _ABANDONED_S:
                left.unlink()


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
        is_sealed: it must have been written as ``sealed`` says. A seal is looked at in any case, and any change
            since then noticed.

    Raises:
        LmbmdError: if the file cannot be read, is too large, holds no JSON object, or its seal is broken.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        text = path.read_text(encoding="utf-8")
        found = json.loads(text, parse_constant=_no_number, object_pairs_hook=_once)
        if not isinstance(found, dict):
            raise ValueError("it holds no lines of 'key: value'")
        if (is_sealed or _SEAL in found) and found.pop(_SEAL, None) != _digest(found):
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


def check_recorded(path: str | os.PathLike[str], record: str, remedy: str) -> None:
    """Refuse a file that is not the one whose hash stands in the record beside it, under ``files``.

    Nothing is known, and nothing refused, where there is no record or no file, or the one has no hash of the other.

    Raises:
        LmbmdError: if the file has changed since the record was written, or the record is damaged.
    """
    path = Path(path)
    beside = path.with_name(record)
    if not (beside.is_file() and path.is_file()):
        return
    what = "record of a finished run" if record == "run.json" else "record of what was made"
    known = read_json(beside, what=what, remedy=remedy).get("files")
    digest = known.get(path.name) if isinstance(known, dict) else None
    if isinstance(digest, str) and digest != file_sha256(path):
        raise LmbmdError(
            f"the file is not the one that {record} beside it tells of: changed or damaged since it was written.",
            where=str(path),
            remedy=remedy,
        )


def told(error: BaseException) -> str:
    """Why a file could not be read, on one line: of an error of the system, without the path that it repeats."""
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return " ".join(text.split())[:300] or type(error).__name__


def _digest(data: Mapping[str, Any]) -> str:
    return sha256_of(canonical_json(data).encode("utf-8", "surrogatepass"))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen = [key for key, _ in pairs]
        raise ValueError(f"the key '{next(key for key in seen if seen.count(key) > 1)[:60]}' stands in it twice")
    return found


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")
