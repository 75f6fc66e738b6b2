"""Molecules placed in a cubic box without overlaps, by packmol, the same for the same seed."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import util
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from lmbmd.core.errors import LmbmdError

if sys.platform == "linux":
    import resource

#: Smallest distance between atoms of different molecules that packmol is asked for, Å.
TOLERANCE_A = 2.0
#: What packmol's own convergence criterion may leave short of the tolerance, Å.
SLACK_A = 0.1
#: After a failure the box edge grows by this factor: 14 % less dense.
WIDEN = 1.05
ATTEMPTS = 6
#: Rounds of packmol's optimisation of all molecules together. A box that can be packed takes 10 to 40; the number
#: does not depend on how fast or busy the machine is, so neither does the box.
LOOPS = 200


@dataclass(frozen=True)
class Attempt:
    """One run of packmol: the edge tried, whether it packed, and why not."""

    edge_A: float
    packed: bool
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Packing:
    """Where every atom starts: positions (n, 3) in Å inside a cube of ``edge_A``, and how it was reached."""

    positions: np.ndarray
    edge_A: float
    attempts: tuple[Attempt, ...]
    packmol_version: str


def find_packmol() -> Path:
    """The packmol program: of the ``packmol`` Python package, else on PATH.

    Raises:
        LmbmdError: if there is none.
    """
    package = util.find_spec("packmol")
    if package and package.origin:
        for name in ("packmol", "packmol.exe"):
            binary = Path(package.origin).parent / "binaries" / name
            if binary.is_file():
                return binary
    on_path = shutil.which("packmol")
    if on_path:
        return Path(on_path)
    raise LmbmdError(
        "packmol was found neither as a Python package nor on PATH.", remedy="Install it: pip install packmol."
    )


def pack(
    counts: Mapping[str, int],
    geometries: Mapping[str, tuple[list[str], np.ndarray]],
    edge_A: float,
    seed: int,
    *,
    attempts: int = ATTEMPTS,
    cpu_s: int | None = None,
) -> Packing:
    """Pack rigid molecules into a cubic box.

    Atoms keep half a tolerance from every face, so that they are also a tolerance away from the periodic images
    of their neighbours; packmol's own ``pbc`` option is not used, because it does not promise that. A packing is
    accepted only when its periodic distances have been checked here. After a failure the edge grows by 5 %.

    What counts as a failure depends on the numbers alone: packmol may try ``LOOPS`` times. Time decides nothing about
    the box; a packmol that computes without end is stopped with an error.

    Args:
        counts: molecules per species, in the order of the box; every count is positive.
        geometries: elements and positions (n, 3) in Å of one molecule of each species.
        edge_A: box edge to begin with.
        seed: of packmol's random numbers; the same seed gives the same packing on the same machine type.
        cpu_s: processor time of one attempt; by default 1 h and 1 s per atom. Enforced on Linux.

    Raises:
        LmbmdError: if packmol is missing, cannot start, computes for longer, or fails at every density.
    """
    binary = find_packmol()
    n_atoms = sum(n * len(geometries[name][0]) for name, n in counts.items())
    cpu_s = cpu_s or 3600 + n_atoms
    molecule = np.repeat(
        np.arange(sum(counts.values())), np.concatenate([[len(geometries[s][0])] * n for s, n in counts.items()])
    )
    tried: list[Attempt] = []
    version = "unknown"
    for _ in range(attempts):
        positions, log, reason = _attempt(binary, counts, geometries, edge_A, seed, cpu_s)
        found = re.search(r"Version\s+(\S+)", log)
        version = found.group(1) if found else version
        if positions is not None:
            closest = closest_contact_A(positions, molecule, edge_A)
            if closest >= TOLERANCE_A - SLACK_A:
                tried.append(Attempt(edge_A, True))
                return Packing(positions, edge_A, tuple(tried), version)
            reason = f"two molecules were left {closest:.2f} Å apart"
        tried.append(Attempt(edge_A, False, reason))
        edge_A *= WIDEN
    raise LmbmdError(
        f"packmol could not place {sum(counts.values())} molecules ({n_atoms} atoms), though the box edge was "
        f"widened from {tried[0].edge_A:.1f} to {tried[-1].edge_A:.1f} Å; the last reason: {tried[-1].reason}.",
        remedy="Check the amounts and the densities behind the box edge, or try another seed.",
    )


def closest_contact_A(positions: np.ndarray, molecule: np.ndarray, edge_A: float) -> float:
    """Smallest periodic distance in Å between atoms of different molecules, at most twice the tolerance."""
    tree = cKDTree(np.mod(positions, edge_A), boxsize=edge_A)
    reach = min(2 * TOLERANCE_A, 0.49 * edge_A)
    pairs = tree.query_pairs(reach, output_type="ndarray")
    pairs = pairs[molecule[pairs[:, 0]] != molecule[pairs[:, 1]]]
    if not len(pairs):
        return reach
    delta = positions[pairs[:, 0]] - positions[pairs[:, 1]]
    delta -= edge_A * np.round(delta / edge_A)
    return float(np.sqrt((delta**2).sum(1).min()))


def _attempt(
    binary: Path,
    counts: Mapping[str, int],
    geometries: Mapping[str, tuple[list[str], np.ndarray]],
    edge_A: float,
    seed: int,
    cpu_s: int,
) -> tuple[np.ndarray | None, str, str]:
    """Run packmol once in a folder of its own. Returns positions or None, its output, and the reason of a failure."""
    with tempfile.TemporaryDirectory(prefix="lmbmd-pack-") as folder:
        low, high = TOLERANCE_A / 2, edge_A - TOLERANCE_A / 2
        lines = [f"tolerance {TOLERANCE_A}", "filetype xyz", "output packed.xyz", f"seed {seed}", f"nloop {LOOPS}"]
        for i, (species, count) in enumerate(counts.items()):
            # Numbered file names: no species name ever becomes a path.
            _write_xyz(Path(folder, f"{i}.xyz"), *geometries[species])
            lines += [
                f"structure {i}.xyz",
                f"  number {count}",
                f"  inside box {low:.6f} {low:.6f} {low:.6f} {high:.6f} {high:.6f} {high:.6f}",
                "end structure",
            ]
        script = Path(folder, "pack.inp")
        script.write_text("\n".join(lines) + "\n", encoding="utf-8")
        code, log = _run(binary, script, cpu_s)
        packed = Path(folder, "packed.xyz")
        if "Success!" not in log or not packed.exists():
            return None, log, _reason(log, code)
        return np.loadtxt(packed, skiprows=2, usecols=(1, 2, 3), ndmin=2), log, ""


def _run(binary: Path, script: Path, cpu_s: int) -> tuple[int, str]:
    """Run packmol in the folder of its script. Returns its exit code and its output."""
    try:
        with (
            open(script, encoding="utf-8") as stdin,  # a file: packmol reads it twice, which a pipe does not allow
            subprocess.Popen(
                [str(binary)],
                stdin=stdin,
                cwd=script.parent,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf-8",
                errors="replace",
            ) as process,
        ):
            try:
                _limit_cpu(process.pid, cpu_s)
                log, _ = process.communicate()
            except BaseException:
                process.kill()
                raise
    except OSError as error:
        raise LmbmdError(
            f"packmol does not start: {error.strerror or error}.",
            where=str(binary),
            remedy="Install it again: pip install --force-reinstall packmol.",
        ) from error
    if process.returncode < 0:
        raise LmbmdError(
            f"packmol was ended by signal {-process.returncode}; it may take {cpu_s} s of processor time.",
            where=str(binary),
            remedy="See whether memory is short; else ask for a smaller box or a lower density.",
        )
    return process.returncode, log


def _limit_cpu(pid: int, cpu_s: int) -> None:
    """Let a process compute for so long and no longer; where the system cannot (not Linux), for as long as it likes."""
    if sys.platform == "linux":
        with suppress(ProcessLookupError):  # it has ended already
            resource.prlimit(pid, resource.RLIMIT_CPU, (cpu_s, cpu_s))


def _reason(log: str, returncode: int) -> str:
    """What packmol said about its failure, in one line."""
    for line in log.splitlines():
        if "ERROR" in line or "runtime error" in line:
            return " ".join(line.split()).rstrip(".")
    if "STOP" in log or "optimization" in log.lower():
        return "packmol found no packing without overlaps"
    return f"packmol ended with exit code {returncode}"


def _write_xyz(path: Path, elements: list[str], positions: np.ndarray) -> None:
    rows = [f"{e} {x:.6f} {y:.6f} {z:.6f}" for e, (x, y, z) in zip(elements, positions, strict=True)]
    path.write_text("\n".join([str(len(elements)), "", *rows]) + "\n", encoding="utf-8")
