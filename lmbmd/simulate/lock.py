"""One writer per work folder, on one machine and between machines that share a file system."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lmbmd.core.errors import LmbmdError

#: The holder touches the lock file this often, and is taken for dead after so long without, s.
HEARTBEAT_S = 10.0
STALE_S = 60.0
_NAME = "lock"


@contextmanager
def holding(folder: str | os.PathLike[str], say: Callable[[str], None], *, stale_s: float = STALE_S) -> Iterator[None]:
    """Be the only writer of ``folder`` inside the block.

    The kernel's advisory lock on the file ``lock`` decides on one machine, and dies with its process however that
    ends. Where a network file system does not carry it, the file's content decides: a holder on this machine is
    dead if its process is; one on another is dead if it has not touched the file for ``stale_s``. That is watched,
    not computed from clocks, which differ between machines.

    Args:
        say: told about a stale lock that is taken over.

    Raises:
        LmbmdError: if another process holds the folder (says which), or it cannot be written to.
    """
    path = Path(folder, _NAME)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise LmbmdError(
            f"the work folder cannot be written to: {error.strerror or error}.",
            where=str(path.parent),
            remedy="Choose another, or mend its permissions.",
        ) from error
    stop = threading.Event()
    try:
        _take(handle, path, say, stale_s)
        beat = threading.Thread(target=_heartbeat, args=(path, stop), daemon=True)
        beat.start()
        try:
            yield
        finally:
            stop.set()
            beat.join()
            with suppress(OSError):
                os.ftruncate(handle, 0)
    finally:
        os.close(handle)


def identity() -> dict[str, Any]:
    """This process, told apart from any other that ever had its number."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "boot": _boot(), "start": _start_time(os.getpid())}


def _take(handle: int, path: Path, say: Callable[[str], None], stale_s: float) -> None:
    flocked = _flock(handle)
    holder = _read(path)
    if not flocked and flocked is not None:
        raise _held(path, holder)
    if holder and holder != identity():
        if _lives(holder, path, stale_s):
            raise _held(path, holder)
        say(f"a stale lock of {_describe(holder)}, which is gone, was taken over")
    try:
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(identity()).encode(), 0)
        os.fsync(handle)
    except OSError as error:
        raise LmbmdError(
            f"the lock cannot be written: {error.strerror or error}.",
            where=str(path),
            remedy="Free some space or choose another work folder.",
        ) from error


def _flock(handle: int) -> bool | None:
    """True if the kernel's lock was got, False if another process has it, None where there are no such locks."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return None


def _lives(holder: dict[str, Any], path: Path, stale_s: float) -> bool:
    if holder.get("host") == socket.gethostname():
        if holder.get("boot") != _boot():
            return False
        return _start_time(holder["pid"]) == holder.get("start") is not None
    # Another machine: does anybody still touch the file? The file system's own times are compared, with each other.
    before = path.stat().st_mtime_ns
    deadline = time.monotonic() + stale_s
    if _file_system_now_ns(path) - before > 1e9 * stale_s:
        return False
    while time.monotonic() < deadline:
        time.sleep(min(1.0, stale_s / 10))
        if path.stat().st_mtime_ns != before:
            return True
    return False


def _file_system_now_ns(path: Path) -> int:
    probe = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    probe.touch()
    try:
        return probe.stat().st_mtime_ns
    finally:
        probe.unlink(missing_ok=True)


def _heartbeat(path: Path, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_S):
        with suppress(OSError):
            os.utime(path)


def _read(path: Path) -> dict[str, Any]:
    """Who wrote the lock; {} if nobody has it, or if its writer was killed half-way."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and isinstance(found.get("pid"), int) else {}


def _held(path: Path, holder: dict[str, Any]) -> LmbmdError:
    who = _describe(holder) if holder else "another process"
    return LmbmdError(
        f"this run is being written by {who}.",
        where=str(path.parent),
        remedy="Wait for it or end it; two writers on one run would spoil it.",
    )


def _describe(holder: dict[str, Any]) -> str:
    return f"process {holder.get('pid')} on {holder.get('host')}"


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:  # not Linux
        return ""


def _start_time(pid: int) -> str | None:
    """When a process began, in the kernel's ticks; None if there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19]
    except OSError:
        if Path("/proc/self/stat").exists():
            return None
    try:  # not Linux: that it exists is all that can be told
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return ""
