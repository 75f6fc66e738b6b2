"""The program ``gmx``: whether it is here and new enough, and how its parts are called."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from lmbmd.core.errors import LmbmdError
from lmbmd.simulate.checkpoint import cannot_write

#: The first release with stochastic cell rescaling.
OLDEST = 2021
#: Warnings of ``grompp`` that are no reason to stop, each a part of its text:
ALLOWED_WARNINGS = (
    # Leap-frog and Nosé-Hoover without chains: asked for by segments, whose liquids have many coupled modes.
    "leap-frog",
    # A new friction begins from velocities that are there: that is what a stage after another does.
    "generate velocities",
    # A bond with fewer than five time steps in its period; ``mechanics.prepare`` has refused what is too quick.
    "oscillational period",
)
#: Ends of a process that an explosion causes.
_CRASHES = (signal.SIGSEGV, signal.SIGFPE, signal.SIGBUS, signal.SIGABRT)
#: What GROMACS says when a simulation is not stable.
_UNSTABLE = re.compile(
    r"LINCS WARNING|Too many LINCS|not finite|[-+ ]nan\b|\binf\b|moved more than|more than 2/3 times the cut-off|"
    r"not well equilibrated|blowing up|incorrect forces|system is exploding|Step .* rms",
    re.IGNORECASE,
)
_NO_SPACE = re.compile(r"No space left|out of disk space|Disk quota exceeded|disk quota", re.IGNORECASE)
_NARROW = re.compile(r"longer than (?:half )?the shortest box|shorter than (?:twice )?the cut-off", re.IGNORECASE)
_ENDED = re.compile(r"^Performance:", re.MULTILINE)
#: Instructions that GROMACS can be built for, by their flags in Linux, widest first; and those that are much narrower.
_WIDER = {"AVX_512": "avx512f", "AVX2_256": "avx2"}
_NARROW_SIMD = ("None", "SSE2", "SSE4.1", "AVX_256")
#: Starts a program that the kernel ends when this process is gone, however it went (Linux; elsewhere ``-maxh`` does).
_BOUND_TO_US = """
import os, sys
if sys.platform == "linux":
    import ctypes
    ctypes.CDLL(None).prctl(1, 9)
    if os.getppid() != int(sys.argv[1]):
        sys.exit(1)
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Unusable(Exception):
    """Why GROMACS is not used, as a clause."""


class Unstable(Exception):
    """GROMACS found the simulation unstable, or crashed as it does then."""


class TooNarrow(Exception):
    """The box is narrower than GROMACS' pair list allows."""


@dataclass(frozen=True)
class Gromacs:
    """An installed GROMACS.

    Attributes:
        path: of its program.
        version: as it says, "2022.5-Debian_2022.5_2".
        precision: "mixed" or "double".
        simd: the instructions that it was built for.
        gpu: what it can use, or "disabled".
    """

    path: str
    version: str
    precision: str
    simd: str
    gpu: str


@cache
def gromacs() -> Gromacs:
    """The GROMACS of this machine. Raises Unusable, with the reason, if there is none or it is too old."""
    path = shutil.which("gmx")
    if path is None:
        raise Unusable("its program gmx is not on the PATH")
    try:
        told = subprocess.run(
            [path, "-quiet", "--version"], capture_output=True, encoding="utf-8", timeout=60, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Unusable(f"{path} does not run ({error})") from error
    said = dict(re.findall(r"^([A-Za-z][A-Za-z /]+):\s+(.+)$", told.stdout, flags=re.MULTILINE))
    version = said.get("GROMACS version", "").removeprefix("VERSION ").strip()
    year = re.match(r"\d+", version)
    if told.returncode or not year:
        raise Unusable(f"{path} does not say its version")
    if int(year[0]) < OLDEST:
        raise Unusable(f"{path} is version {version}; {OLDEST} is the oldest that has the barostat")
    return Gromacs(
        path,
        version,
        said.get("Precision", "").strip(),
        said.get("SIMD instructions", "").strip(),
        said.get("GPU support", "").strip(),
    )


def built_for_less(simd: str, instructions: Collection[str]) -> str:
    """A clause for a GROMACS that leaves much of this processor idle, as those for any processor do; or "".

    AVX2_256 is left alone: whether AVX_512 is quicker than it depends on the processor.
    """
    better = next((best for best, flag in _WIDER.items() if flag in instructions), "")
    if simd not in _NARROW_SIMD or not better:
        return ""
    return f", built for less than this processor can do: one built here with GMX_SIMD={better} is about twice as quick"


def call(folder: Path, command: Sequence[str]) -> str:
    """Run one of GROMACS' programs in a folder; what it says.

    Raises:
        Unstable, TooNarrow, LmbmdError: as ``failure`` tells.
    """
    whole = [gromacs().path, "-nobackup", "-quiet", *command]
    # ``-ntomp`` says how many threads; Snakemake's number in the environment may be another, which mdrun ends with.
    environment = {key: value for key, value in os.environ.items() if key != "OMP_NUM_THREADS"}
    done = subprocess.run(whole, cwd=folder, env=environment, capture_output=True, errors="replace", check=False)
    said = f"{done.stdout}\n{done.stderr}"
    if done.returncode:
        raise failure(folder, command[0], done.returncode, said)
    return said


def grompp(folder: Path, settings: str, positions: str, out: str) -> str:
    """Make ``OUT`` of a file of settings, ``../topol.top`` and a file of positions; what GROMACS says of it.

    Raises:
        LmbmdError: if it warns of anything that is not in ``ALLOWED_WARNINGS``, with the warning.
    """
    files = ["-f", settings, "-p", "topol.top", "-c", positions, "-o", out, "-po", f"{out}.mdp"]
    said = call(folder, ["grompp", *files, "-maxwarn", "100"])
    for warning in re.findall(r"^WARNING \d+[^\n]*\n(.*?)\n\n", said, flags=re.MULTILINE | re.DOTALL):
        text = " ".join(warning.split())
        if not any(allowed in text for allowed in ALLOWED_WARNINGS):
            raise LmbmdError(
                f"GROMACS warns of this run: {text}",
                where=str(folder),
                remedy="Choose platform: {engine: openmm}, or tell the authors of lmbmd.",
            )
    return said


class Leg:
    """A running ``gmx mdrun``, which ends when this process does.

    Args:
        folder: where it runs; its files are ``leg.*``.
        tpr: what it runs.
        checkpoint: the ``.cpt`` to go on from, if any.
        threads: how many, not pinned unless they are all that the machine has.
        hours: after which it ends by itself.
        listed: steps between lists of pairs; 0: GROMACS chooses.
    """

    def __init__(
        self, folder: Path, tpr: Path, checkpoint: Path | None, threads: int, hours: float, *, listed: int = 0
    ) -> None:
        self.folder = folder
        command = ["mdrun", "-s", str(tpr), "-deffnm", "leg", "-noappend", "-cpt", "1e6", "-maxh", f"{hours:.6g}"]
        command += ["-cpi", str(checkpoint)] if checkpoint else []
        command += ["-nstlist", str(listed)] if listed else []
        command += ["-ntmpi", "1", "-ntomp", str(threads), "-pin", "auto" if threads > 1 else "off", "-notunepme"]
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "GMX_MAXBACKUP": "-1"}
        try:
            self._said = open(folder / "leg.said", "wb")
        except OSError as error:
            raise cannot_write(folder / "leg.said", error) from error
        shim = [sys.executable, "-I", "-S", "-c", _BOUND_TO_US, str(os.getpid())]
        self._process = subprocess.Popen(
            [*shim, gromacs().path, "-quiet", *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a Ctrl-C on the terminal is ours to answer
        )
        self._asked = False

    def file(self, ending: str) -> Path | None:
        """The file of that ending that this leg writes; None if it is not there yet."""
        return next(self.folder.glob(f"leg.part*.{ending}"), None)

    def stop(self) -> None:
        """Ask it to write its checkpoint at the next list of pairs and end, once it is able to hear."""
        if not self._asked and self.file("edr") and self._process.poll() is None:
            self._asked = True
            self._process.send_signal(signal.SIGTERM)

    def ended(self) -> bool:
        """Whether it is over. Raises Unstable or LmbmdError if that was no good end."""
        code = self._process.poll()
        if code is None:
            return False
        if not self._said.closed:
            self._said.close()
            if code:
                said = (self.folder / "leg.said").read_text(encoding="utf-8", errors="replace")
                # One that a signal has told to end returns how it was told, though it ends as it should.
                if code < 0 or not _ENDED.search(said) or "Fatal error" in said:
                    raise failure(self.folder, "mdrun", code, said)
        return True

    def stepping_s(self) -> float | None:
        """Wall time that its steps took, as it says when it has ended; None if it does not say."""
        log = self.file("log")
        said = log.read_text(encoding="utf-8", errors="replace") if log else ""
        found = re.search(r"^ +Time: +[\d.]+ +([\d.]+)", said, re.MULTILINE)
        return float(found[1]) if found else None

    def kill(self) -> None:
        """End it now; nothing of it is wanted."""
        self._process.kill()
        self._process.wait()
        self._said.close()


def failure(folder: Path, program: str, code: int, said: str) -> Exception:
    """What a failed call of GROMACS means."""
    last = " ".join(said.partition("Fatal error:")[2].split("For more information")[0].split()) or " ".join(
        said.split()[-60:]
    )
    if _NO_SPACE.search(said):
        return LmbmdError(
            "cannot write the file: No space left on device. The run is kept up to its last checkpoint.",
            where=str(folder),
            remedy="Free some space or mend the permissions, then give the same command again.",
        )
    if _NARROW.search(said):
        return TooNarrow(last)
    if program == "mdrun" and (-code in _CRASHES or _UNSTABLE.search(said)):
        return Unstable(last[:200] or f"signal {-code}")
    if code < 0:
        return LmbmdError(
            f"gmx {program} was ended by {signal.Signals(-code).name}. The run is kept up to its last checkpoint.",
            where=str(folder),
            remedy="Give the same command again to go on.",
        )
    return LmbmdError(
        f"gmx {program} failed: {last[:600]}",
        where=str(folder),
        remedy="Choose platform: {engine: openmm}, or tell the authors of lmbmd.",
    )
