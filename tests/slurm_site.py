"""A real Slurm on this machine for the tests: one slurmctld, two slurmd, everything in one throw-away folder.

Needs root and Debian's slurm-wlm and munge. Nothing outside the folder is written: the daemons find their
configuration through SLURM_CONF, and munge has a key and a socket of its own.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = """
ClusterName=lmbmdtest
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort=26817
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge/socket
CredType=cred/munge
MpiDefault=none
# pgid: a process whose parent has exited still belongs to its job and is killed with it.
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
ReturnToService=2
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SelectType=select/cons_tres
# LLN: jobs spread over the nodes, so that one can die without the other.
SelectTypeParameters=CR_Core_Memory,CR_LLN
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,sched_interval=3,bf_interval=3
SlurmdParameters=config_overrides
MinJobAge=600
KillWait=15
SlurmctldTimeout=20
SlurmdTimeout=20
InactiveLimit=0
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=2
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
{nodes}
PartitionName=main Nodes=n[1-{n_nodes}] Default=YES DefaultTime=00:10:00 MaxTime=1-00:00:00 State=UP DefMemPerCPU=500
"""


def why_not() -> str:
    """Why a Slurm cannot be started here, or an empty text."""
    if os.geteuid() != 0:
        return "a real Slurm needs root to start its daemons"
    if not importlib.util.find_spec("snakemake_executor_plugin_slurm"):
        return "snakemake-executor-plugin-slurm is not installed"
    missing = [name for name in ("slurmctld", "slurmd", "sbatch", "munged") if not shutil.which(name)]
    return f"not installed: {', '.join(missing)} (Debian: slurm-wlm munge)" if missing else ""


def wait_until(true: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Poll until ``true()``; a failure names ``what``."""
    end = time.monotonic() + seconds
    while not true():
        if time.monotonic() > end:
            raise TimeoutError(f"waited {seconds} s for {what}")
        time.sleep(0.1)


def _alive(pid_file: Path) -> bool:
    try:
        os.kill(int(pid_file.read_text(encoding="utf-8")), 0)
    except (OSError, ValueError):
        return False
    return True


@dataclass(frozen=True)
class Site:
    """A running Slurm. ``environment`` is what a client needs to talk to it."""

    folder: Path
    n_nodes: int

    @property
    def environment(self) -> dict[str, str]:
        path = f"{self.folder / 'bin'}:{os.environ['PATH']}"
        return {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def command(self, *arguments: str) -> str:
        """Run a Slurm client and give its output."""
        return subprocess.run(
            arguments, env=self.environment, check=True, capture_output=True, encoding="utf-8", timeout=60
        ).stdout

    def jobs(self, states: str = "RUNNING") -> list[str]:
        """Ids of the jobs in these states."""
        return self.command("squeue", "--noheader", f"--states={states}", "--format=%A").split()

    def start_node(self, number: int) -> None:
        """Start the daemon of one node and wait until it takes jobs."""
        name = f"n{number}"
        subprocess.run(["slurmd", "-N", name], env=self.environment, check=True, timeout=30)
        resume = ["scontrol", "update", f"nodename={name}", "state=resume"]
        subprocess.run(resume, env=self.environment, timeout=30, stderr=subprocess.DEVNULL)  # a new node needs none
        wait_until(lambda: self._up(name), f"node {name}")

    def _up(self, name: str) -> bool:
        return self.command("sinfo", "-h", "-N", "-n", name, "-t", "idle,mixed,allocated", "-o", "%N").strip() == name

    def crash_node(self, number: int) -> None:
        """Kill a node's daemon and everything it runs, as a power cut would."""
        pid = int((self.folder / f"slurmd-n{number}.pid").read_text(encoding="utf-8"))
        jobs = self.command("squeue", "--noheader", f"--nodelist=n{number}", "--format=%A").split()
        _kill(pid, signal.SIGKILL)  # first, or it would still tell of the others' end
        titles = tuple(f"slurmstepd: [{job}." for job in jobs)  # these are no children of the daemon
        steps = [int(p.name) for p in Path("/proc").iterdir() if p.name.isdigit()]
        for step in (p for p in steps if words_of(p).startswith(titles)):
            for process in (*descendants(step), step):
                _kill(process, signal.SIGKILL)

    def stop(self) -> None:
        """Cancel all jobs and stop every daemon."""
        subprocess.run(["scancel", "--user=root"], env=self.environment, timeout=30)
        with suppress(TimeoutError, subprocess.SubprocessError):
            wait_until(lambda: not self.jobs("RUNNING,PENDING,COMPLETING"), "the jobs to end", 25)
        pids = [self.folder / "slurmctld.pid", *(self.folder / f"slurmd-n{i + 1}.pid" for i in range(self.n_nodes))]
        for pid_file in [*pids, self.folder / "munge" / "pid"]:
            if _alive(pid_file):
                _kill(int(pid_file.read_text(encoding="utf-8")), signal.SIGTERM)
        try:
            wait_until(lambda: not any(map(_alive, pids)), "the daemons to stop", 25)
        except TimeoutError:
            for pid_file in filter(_alive, pids):
                _kill(int(pid_file.read_text(encoding="utf-8")), signal.SIGKILL)


def _kill(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass


def words_of(pid: int) -> str:
    """The command line of a process, "" if it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return ""


def descendants(pid: int) -> list[int]:
    """Children of a process, their children, and so on."""
    out = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, encoding="utf-8", check=True).stdout
    children: dict[int, list[int]] = {}
    for line in out.splitlines():
        child, parent = map(int, line.split())
        children.setdefault(parent, []).append(child)
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(), [])
        found += below
        todo += below
    return found


def start(folder: Path, n_nodes: int = 2, cpus: int = 2, memory_mb: int = 6000, gpus: int = 1) -> Site:
    """Start munge, slurmctld and ``n_nodes`` slurmd, all on this machine.

    Args:
        folder: an empty folder with a short path (munge's socket lives in it).
        cpus, memory_mb, gpus: what each node claims to have; it may be more than the machine has. At most two GPUs.
    """
    host = socket.gethostname().split(".")[0]
    for name in ("munge", "state", *(f"spool/n{i + 1}" for i in range(n_nodes))):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "munge").chmod(0o711)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    munge = {name: folder / "munge" / name for name in ("socket", "key-file", "log-file", "pid-file", "seed-file")}
    munge["key-file"], munge["pid-file"] = key, folder / "munge" / "pid"
    arguments = ["munged", "--force", *(f"--{name}={path}" for name, path in munge.items())]
    subprocess.run(arguments, check=True, timeout=30, capture_output=True)
    wait_until((folder / "munge" / "socket").exists, "munge")

    gres = f" Gres=gpu:{gpus}" if gpus else ""
    nodes = ["GresTypes=gpu"] if gpus else []
    nodes += [
        f"NodeName=n{i + 1} NodeHostname={host} NodeAddr=127.0.0.1 Port={27001 + i} CPUs={cpus} Boards=1 "
        f"SocketsPerBoard=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory_mb}{gres}"
        for i in range(n_nodes)
    ]
    text = CONFIGURATION.format(host=host, folder=folder, nodes="\n".join(nodes), n_nodes=n_nodes)
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    # Any character devices make Slurm count and hand out GPUs.
    files = ",".join(("/dev/null", "/dev/zero")[:gpus])
    devices = [f"NodeName=n{i + 1} Name=gpu Count={gpus} File={files}" for i in range(n_nodes)] if gpus else []
    (folder / "gres.conf").write_text("\n".join(devices) + "\n", encoding="utf-8")

    # Snakemake's plugin takes SLURM_CONF from the srun that it calls inside a job; this gives it back.
    srun = folder / "bin" / "srun"
    srun.parent.mkdir()
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n', encoding="utf-8")
    srun.chmod(0o755)

    site = Site(folder, n_nodes)
    subprocess.run(["slurmctld"], env=site.environment, check=True, timeout=30)

    def answers() -> bool:
        ping = subprocess.run(["scontrol", "ping"], env=site.environment, capture_output=True, encoding="utf-8")
        return "UP" in ping.stdout

    wait_until(answers, "slurmctld")
    for i in range(n_nodes):
        site.start_node(i + 1)
    return site
