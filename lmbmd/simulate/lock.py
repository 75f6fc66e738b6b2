"""One writer per work folder, on one machine and between machines that share a file system."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from lmbmd.core.errors import LmbmdError

#: The holder touches its claim this often, and is taken for dead after so long without, s.
HEARTBEAT_S = 10.0
STALE_S = 60.0


@contextmanager
def holding(folder: str | os.PathLike[str], say: Callable[[str], None], *, stale_s: float = STALE_S) -> Iterator[None]:
    """Be the only writer of ``folder`` inside the block.

    Writers claim the folder by creating ``lock.1``, ``lock.2``, … in it. Whoever wants it creates the number after the
    newest, if that one's writer has given it back or is dead. A file can be created only once (``O_EXCL``), on every
    file system, and no number is used twice: of any number of processes that see the same newest claim, one gets
    the next.

    A writer lives if the kernel holds its lock on the claim (``flock``, where the file system has it). Otherwise one
    on this machine is dead if its process is; one on another machine if it has not touched its claim for ``stale_s``.
    That is watched, not computed from clocks, which differ between machines.

    Args:
        say: told about a stale lock that is taken over.

    Raises:
        LmbmdError: if another process holds the folder (says which), or it cannot be written to.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = _claim(folder, say, stale_s)
    except OSError as error:
        raise LmbmdError(
            f"the work folder cannot be written to: {error.strerror or error}.",
            where=str(folder),
            remedy="Choose another, mend its permissions, or free some space.",
        ) from error
    stop = threading.Event()
    beat = threading.Thread(target=_heartbeat, args=(handle, stop), daemon=True)
    beat.start()
    try:
        yield
    finally:
        stop.set()
        beat.join()
        with suppress(OSError):
            # In one call, so that nobody sees it half done; the length stays.
            os.pwrite(handle, b"{}".ljust(os.fstat(handle).st_size), 0)
        os.close(handle)


def holder(folder: Path) -> dict[str, Any] | None:
    """Who has claimed the folder: ``identity()`` of that process; {} if nobody; None if that cannot be read (yet)."""
    return _read(_path(folder, _newest(folder)))


def writer(folder: Path, *, only_read: bool = False) -> dict[str, Any] | None:
    """Who is writing ``folder`` now: ``identity()`` of that process, {} if it is not known which; None if nobody.

    Only looks, and does not wait: a process on another machine is believed to live while its claim is touched, by this
    machine's clock.

    Args:
        only_read: do not ask the kernel, which has to lend the lock to whoever asks: thousands of runs are looked at
            again and again, and a process that begins just then would have to wait for it.
    """
    try:
        claim = _path(folder, _newest(folder))
    except (FileNotFoundError, NotADirectoryError):
        return None
    found = _read(claim)
    if found == {}:
        return None
    if not only_read and _is_flocked(claim):
        return found or {}
    if found and found.get("host") == socket.gethostname():
        alive = found.get("boot") == _boot() and _start_time(found["pid"]) == found.get("start") is not None
        return found if alive else None
    return found or {} if abs(time.time() - _touched_ns(claim) / 1e9) < STALE_S else None


def identity() -> dict[str, Any]:
    """This process, told apart from any other that ever had its number."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "boot": _boot(), "start": _start_time(os.getpid())}


def _claim(folder: Path, say: Callable[[str], None], stale_s: float) -> int:
    """A handle on a new claim, which is the newest of the folder."""
    while True:
        newest = _newest(folder)
        before = _path(folder, newest)
        if _lives(before, stale_s):
            raise _held(folder, _read(before))
        stale, claim = _read(before), _path(folder, newest + 1)
        try:
            handle = os.open(claim, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except FileExistsError:
            continue  # another process was quicker
        try:
            os.write(handle, json.dumps(identity()).encode())
            os.fsync(handle)
        except OSError:
            os.close(handle)
            claim.unlink()
            raise
        _flock(handle)
        if _newest(folder) != newest + 1:  # what looked like the newest was long gone
            os.close(handle)
            claim.unlink()
            continue
        if stale != {}:
            say(f"a stale lock of {_describe(stale)}, which is gone, was taken over")
        # The one before stays, so that whoever looks finds a newest claim at every moment.
        for number in _numbers(folder):
            if number < newest:
                _path(folder, number).unlink(missing_ok=True)
        return handle


def _path(folder: Path, number: int) -> Path:
    return folder / f"lock.{number}"


def _numbers(folder: Path) -> list[int]:
    found = (re.fullmatch(r"lock\.([0-9]+)", name) for name in os.listdir(folder))
    return [int(match[1]) for match in found if match]


def _newest(folder: Path) -> int:
    """Number of the newest claim, 0 if there was none yet."""
    return max(_numbers(folder), default=0)


def _flock(handle: int) -> None:
    """Show with the kernel's lock that this process lives, where there are such locks."""
    for _ in range(100):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:  # somebody is just looking whether it is held
            time.sleep(0.01)
        except OSError:
            return


def _is_flocked(claim: Path) -> bool:
    try:
        handle = os.open(claim, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    finally:
        os.close(handle)
    return False


def _lives(claim: Path, stale_s: float) -> bool:
    """Whether the process that made a claim still needs it. May take ``stale_s``."""
    holder = _read(claim)
    if holder == {}:
        return False
    if _is_flocked(claim):
        return True
    if holder and holder.get("host") == socket.gethostname():
        if holder.get("boot") != _boot():
            return False
        return _start_time(holder["pid"]) == holder.get("start") is not None
    # Another machine, or a claim that is not signed yet: does anybody still touch the file? The file system's own
    # times are compared, with each other.
    before_ns = _touched_ns(claim)
    deadline = time.monotonic() + stale_s
    if _file_system_now_ns(claim) - before_ns > 1e9 * stale_s:
        return False
    while time.monotonic() < deadline:
        time.sleep(min(1.0, stale_s / 20))
        if _read(claim) != holder:  # signed by now, or given back
            return _lives(claim, stale_s)
        if _touched_ns(claim) != before_ns:
            return True
    return False


def _touched_ns(claim: Path) -> int:
    try:
        return claim.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def _file_system_now_ns(path: Path) -> int:
    probe = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    probe.touch()
    try:
        return probe.stat().st_mtime_ns
    finally:
        probe.unlink(missing_ok=True)


def _heartbeat(handle: int, stop: threading.Event) -> None:
    while not stop.wait(HEARTBEAT_S):
        with suppress(OSError):
            os.utime(handle)


def _read(claim: Path) -> dict[str, Any] | None:
    """Who made a claim; {} if it was given back or is gone; None if it is not, or not wholly, written."""
    try:
        found = json.loads(claim.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        return None
    return found if found == {} or (isinstance(found, dict) and isinstance(found.get("pid"), int)) else None


def _held(folder: Path, holder: dict[str, Any] | None) -> LmbmdError:
    return LmbmdError(
        f"this run is being written by {_describe(holder)}.",
        where=str(folder),
        remedy="Wait for it or end it; two writers on one run would spoil it.",
    )


def _describe(holder: dict[str, Any] | None) -> str:
    return f"process {holder.get('pid')} on {holder.get('host')}" if holder else "an unknown process"


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
