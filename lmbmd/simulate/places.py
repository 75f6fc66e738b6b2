"""Where a run computes while others do: on which GPU, or on which cores, so that no two are in each other's way.

A run holds a name of the kernel's for its GPU, or for each of its cores: that of an abstract Unix socket, which is no
file. Nobody else on this host can have it, whatever study or user he is of, and the kernel takes it back when the
process ends, however it ends. Nothing is waited for: where every place is held, the least used ones are shared.
"""

from __future__ import annotations

import errno
import glob
import os
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from lmbmd.core.words import counted
from lmbmd.simulate.options import PlatformOptions

#: Threads that Snakemake gives a run where the study does not say how many runs share a node.
USUAL_THREADS = 8
#: How often two runs that begin at the same moment may want the same place before one goes without.
_TRIES = 100


@contextmanager
def placed(
    options: PlatformOptions, gpus: Sequence[str], say: Callable[[str], None]
) -> Iterator[tuple[PlatformOptions, dict[str, Any]]]:
    """Options that name this run's GPU, or its threads, and the record of its place; it is held inside the block.

    Where there is no GPU and ``runs_per_device`` is given, this process, and what it starts, is kept to its cores.

    Args:
        gpus: indices of those that it may use; none if processors compute.
        say: told where every place was held already.
    """
    most = options.runs_per_device
    if gpus:
        # One that is named twice is one.
        pool = list(dict.fromkeys(options.device_index.split(",") if options.device_index else gpus))
        names, n = [_gpu_name(index) for index in pool], len(pool) if options.device_index else 1
        with _least_used(names, n) as found:
            chosen = [pool[i] for i, _ in found]
            if most and (others := max(others for _, others in found)) >= most:
                say(f"every GPU has {counted(others, 'run')} already; this one shares GPU {','.join(chosen)} with them")
            told = {"device_index": ",".join(chosen)} if len(pool) > 1 else {}
            yield options.model_copy(update=told), {"gpu": ",".join(chosen), "runs_per_device": most}
    elif most:
        before = cores()
        n = _threads(options, most, len(before))
        with _least_used([f"core-{core}" for core in before], n) as found:
            if any(others for _, others in found):
                say("every core has a run already; this one shares its cores with another")
            own = [before[i] for i, _ in found]
            _keep_to(own)
            try:
                yield options.model_copy(update={"threads": n}), {"cores": own, "runs_per_device": most}
            finally:
                _keep_to(before)
    else:
        yield options, {}


def cores() -> list[int]:
    """Numbers of the cores that this process may use, those of one physical core beside each other."""
    try:
        return sorted(os.sched_getaffinity(0), key=lambda core: (_physical(core), core))
    except AttributeError:  # macOS
        return list(range(os.cpu_count() or 1))


def threads_of_run(options: PlatformOptions, cores: int | None) -> int:
    """Threads that Snakemake counts for a run, which decides how many it starts at once.

    Args:
        cores: that it shares out on this host; None where another program does that (a cluster).

    Rounded up: no more are started than were asked for, and a core or two may be left.
    """
    if cores is None or options.runs_per_device is None:
        return USUAL_THREADS
    return -(-cores // (options.runs_per_device * _devices(options)))


def sentence(options: PlatformOptions, gpus: Sequence[str]) -> str:
    """How runs at the same time share this host, as a clause; empty where nothing is asked for and nothing spread."""
    most = options.runs_per_device
    if gpus and most:
        return f"{counted(most, 'run')} at once on {'the GPU' if len(gpus) == 1 else f'each of {len(gpus)} GPUs'}"
    if len(gpus) > 1:
        return f"runs at the same time are spread over {len(gpus)} GPUs"
    if most:
        n = len(cores())
        return f"{counted(most, 'run')} at once on {counted(n, 'core')}, {_threads(options, most, n)} each"
    return ""


def _threads(options: PlatformOptions, most: int, n_cores: int) -> int:
    """Of one of ``most`` runs that share so many cores."""
    return min(options.threads or max(1, n_cores // most), n_cores)


@contextmanager
def _least_used(names: Sequence[str], n: int) -> Iterator[list[tuple[int, int]]]:
    """Hold the ``n`` places that the fewest runs hold: their indices, in order, and how many others each has."""
    with ExitStack() as holding:
        for _ in range(_TRIES):
            held = _held()
            others = [sum(name == place for place, _ in held) for name in names]
            chosen = sorted(sorted(range(len(names)), key=others.__getitem__)[:n])
            try:
                for i in chosen:
                    number = next(k for k in range(len(held) + 1) if (names[i], k) not in held)
                    holding.enter_context(_hold(names[i], number))
                break
            except OSError as error:
                holding.close()
                if error.errno != errno.EADDRINUSE:
                    break  # no Linux: nobody sees anybody
                time.sleep(random.uniform(0, 0.02))  # another run was quicker
        yield [(i, others[i]) for i in chosen]


def _hold(name: str, number: int) -> socket.socket:
    """Raises OSError if another process holds this."""
    held = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        held.bind(f"\0lmbmd:{name}:{number}")
    except OSError:
        held.close()
        raise
    return held


def _held() -> Counter[tuple[str, int]]:
    """What is held on this host: names, with a number for each of those who hold it."""
    try:
        text = Path("/proc/net/unix").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    return Counter((name, int(number)) for name, number in re.findall(r" @lmbmd:(\S+):(\d+)$", text, re.MULTILINE))


def _gpu_name(index: str) -> str:
    """A GPU's name for all processes of this host. OpenMM counts those that a process sees; a job of Slurm's may see
    its own as the first."""
    seen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    entry = seen[int(index)].strip() if seen != [""] and int(index) < len(seen) else index
    return f"gpu-{os.environ.get('SLURM_JOB_ID', '')}-{entry}"


def _devices(options: PlatformOptions) -> int:
    """Among how many GPUs runs are spread, or 1, without asking OpenMM, which takes long to import."""
    if options.engine == "gromacs" or options.name in ("CPU", "Reference") or options.device_index:
        return 1
    seen = os.environ.get("CUDA_VISIBLE_DEVICES")
    return max(1, len(glob.glob("/dev/nvidia[0-9]*") if seen is None else [s for s in seen.split(",") if s.strip()]))


def _physical(core: int) -> tuple[int, ...]:
    """Package and number of the physical core that a logical one is a thread of."""
    folder = Path(f"/sys/devices/system/cpu/cpu{core}/topology")
    try:
        return tuple(int((folder / name).read_text(encoding="utf-8")) for name in ("physical_package_id", "core_id"))
    except (OSError, ValueError):
        return (0, core)


def _keep_to(cores: Sequence[int]) -> None:
    """Let all threads of this process, and what they start, run on these cores alone, where the system knows how."""
    threads = Path("/proc/self/task")
    for thread in threads.iterdir() if threads.is_dir() else ():
        with suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cores)
