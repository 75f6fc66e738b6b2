"""Runs cases of one kind, one after the other, in a process that may crash: test_fuzz.py starts it and reads along.

``python child.py KIND SEED FIRST LAST WORLD`` prints, for each case, a line "begin N what" and a line of JSON: the
exit code, what was wrong with it, and the message.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import shutil
import signal
import sys
import traceback
import warnings
from pathlib import Path

import kinds

from lmbmd.cli import parser
from lmbmd.core.errors import LmbmdError

#: Far more than any case takes on a busy machine; a case that is still running then is reported as hanging.
WATCHDOG_S = 240
#: 0 done, 2 a mistake that can be mended, 85 not finished.
CODES = (0, 2)


def files_of(folder: Path) -> dict[Path, tuple[int, int]]:
    """Size and time of every file, and every folder."""
    return {p: (0, 0) if p.is_dir() else (p.lstat().st_size, p.lstat().st_mtime_ns) for p in folder.rglob("*")}


def call(arguments: list[str]) -> tuple[int | str, str, LmbmdError | None]:
    """Exit code (or the traceback), everything that was said, and the error behind the message."""
    raised: list[LmbmdError] = []
    shown = parser.LmbmdError.__str__

    def remember(self: LmbmdError) -> str:
        raised.append(self)
        return shown(self)

    said = io.StringIO()
    LmbmdError.__str__ = remember  # type: ignore[method-assign]
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code: int | str = parser.main(arguments)
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 2
    except BaseException:  # noqa: BLE001  # to find what nobody expected is what this is for
        code = traceback.format_exc()
    finally:
        LmbmdError.__str__ = shown  # type: ignore[method-assign]
    return code, said.getvalue(), raised[-1] if raised else None


def faults(code: int | str, said: str, error: LmbmdError | None, changed: list[str]) -> list[str]:
    """What is wrong with how a case ended; empty if nothing is."""
    if isinstance(code, str):
        return [code]
    found = []
    if code not in CODES:
        found.append(f"exit code {code}")
    if "Traceback" in said:
        found.append("a traceback was printed")
    if code == 2:
        usage = "usage: lmbmd" in said and "error: " in said
        if not usage and error is None:
            found.append("no message")
        if error is not None and not (error.remedy or "").strip():
            found.append("a message without a remedy")
        if not usage and len(said) > 4000:
            found.append(f"a message of {len(said)} characters")
        if changed:
            found.append(f"it failed, and wrote {changed[:5]}")
    return found


def main(kind: str, seed: str, first: int, last: int, world: Path) -> None:
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what libraries print past Python
    top, pristine = world / f"{kind}-{os.getpid()}", world / kinds.WORLD[kind]
    here = top / "here"  # so that ".." is a place, too
    shutil.copytree(pristine, here, symlinks=True)
    os.chdir(here)
    for number in range(first, last):
        rng = random.Random(f"{kind} {seed} {number}")
        what, arguments = kinds.KINDS[kind](rng, here)
        print(f"begin {number} {what!r} {' '.join(arguments)!r}", file=out, flush=True)
        before, outside = files_of(top), sorted(world.iterdir())
        signal.alarm(WATCHDOG_S)
        code, said, error = call(arguments)
        signal.alarm(0)
        after = files_of(top)
        changed = sorted(os.path.relpath(path, here) for path in after if after[path] != before.get(path))
        gone = sorted(os.path.relpath(path, here) for path in before if path not in after)
        wrong = faults(code, said, error, [name for name in changed + gone if not kinds.may_change(kind, name)])
        if sorted(world.iterdir()) != outside:
            wrong.append("something was written outside its folder")
        print(
            json.dumps({"code": code if isinstance(code, int) else -1, "wrong": wrong, "said": said[-1500:]}), file=out
        )
        out.flush()
        os.chdir(world)
        shutil.rmtree(top)
        shutil.copytree(pristine, here, symlinks=True)
        os.chdir(here)
    os.chdir(world)
    shutil.rmtree(top)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), Path(sys.argv[5]))
