"""Daemons of a test that is no more, and what they have started, are no more either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from keeper import words_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the keeper's system calls are Linux's")

#: Starts a shell that detaches a process and ends, and says the process's number as soon as there is no shell any more.
OWNER = """
import os, sys, time
from pathlib import Path
from keeper import Keeper, words_of
keeper = Keeper(Path(sys.argv[1]), dict(os.environ))
keeper.start("sh", "-c", "setsid sleep 3600 & exit")
end = time.monotonic() + 300
while [words_of(pid).split() for pid in keeper.children()] != [["sleep", "3600"]]:
    assert time.monotonic() < end, "what has detached itself is not to be found"
    time.sleep(0.05)
print(*keeper.children(), flush=True)
if sys.argv[2] == "end":
    keeper.end()
else:
    time.sleep(3600)
"""


@pytest.mark.parametrize("how", ["end", "killed"])
def test_what_has_detached_itself_does_not_outlive_its_test(tmp_path, how):
    folder = tmp_path / "kept"
    folder.mkdir()
    command = [sys.executable, "-c", OWNER, folder, how]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    with subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf-8", env=environment) as owner:
        detached = int(owner.stdout.readline())
        if how == "killed":
            os.kill(owner.pid, signal.SIGKILL)
    end = time.monotonic() + 300
    while (words_of(detached) or folder.exists()) and time.monotonic() < end:
        time.sleep(0.05)
    assert not words_of(detached)
    assert not folder.exists()
