"""A real Slurm on this machine for the tests: one slurmctld, two slurmd, everything in one throw-away folder.

Needs root and Debian's slurm-wlm and munge. Nothing outside the folder is written: the daemons find their
configuration through SLURM_CONF, munge has a key and a socket of its own, and the ports are free ones. So several may
live side by side, beside a machine's own. None outlives the test (tests/keeper.py).
"""

from __future__ import annotations

import importlib.util
import os
import random
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from keeper import Keeper, kill_trees, words_of

#: Seconds without any sign of life after which waiting ends: generous, as the machine may be busy.
PATIENCE_S = 900

CONFIGURATION = """
ClusterName=lmbmdtest
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
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
MinJobAge=3600
# A busy machine must not look like a dead node, nor a slow end like a refusal to end.
SlurmdTimeout=3600
MessageTimeout=100
KillWait=120
# A restarted node tells its jobs; one that it does not know is lost if last heard of longer ago than this and 10 s.
BatchStartTimeout=1
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


@dataclass(frozen=True)
class Site:
    """A running Slurm. ``environment`` is what a client needs to talk to it."""

    folder: Path
    environment: dict[str, str]
    keeper: Keeper

    def command(self, *arguments: str) -> str:
        """Run a Slurm client and give its output."""
        return subprocess.run(
            arguments, env=self.environment, check=True, capture_output=True, encoding="utf-8", timeout=PATIENCE_S
        ).stdout

    def wait(
        self,
        true: Callable[[], bool],
        what: str,
        hopeless: Callable[[], str] = lambda: "",
        life: Callable[[], object] = lambda: None,
    ) -> None:
        """Poll until ``true()``. A failure says what was waited for, why in vain, and what Slurm says.

        Args:
            hopeless: why waiting makes no sense any more, or an empty text.
            life: what changes as long as things go on.
        """
        last, seen = time.monotonic(), life()
        while not true():
            if life() != seen:
                last, seen = time.monotonic(), life()
            why = hopeless() or (f"nothing happened for {PATIENCE_S} s" if time.monotonic() > last + PATIENCE_S else "")
            if why:
                raise TimeoutError(f"waited for {what}, but {why}\n{self.tell()}")
            time.sleep(0.2)

    def tell(self) -> str:
        """What a person would look at: the queue, the nodes and the ends of the daemons' logs."""
        said = []
        for words in (["squeue", "--all", "--states=all"], ["sinfo", "--Node", "--long"]):
            answer = subprocess.run(
                words, env=self.environment, capture_output=True, encoding="utf-8", timeout=PATIENCE_S, check=False
            )
            said.append(f"--- {' '.join(words)}\n{answer.stdout}{answer.stderr}")
        for log in sorted(self.folder.glob("*.log")):
            said.append(f"--- {log.name}\n" + "\n".join(log.read_text("utf-8", "replace").splitlines()[-30:]))
        return "\n".join(said)

    def jobs(self, states: str = "RUNNING") -> list[str]:
        """Ids of the jobs in these states."""
        return self.command("squeue", "--noheader", f"--states={states}", "--format=%A").split()

    def start_node(self, number: int) -> None:
        """Start the daemon of one node and wait until it takes jobs."""
        name = f"n{number}"
        self.keeper.start("slurmd", "-D", "-N", name)
        resume = ["scontrol", "update", f"nodename={name}", "state=resume"]
        subprocess.run(resume, env=self.environment, stderr=subprocess.DEVNULL, check=False)  # a new node needs none
        up = ("sinfo", "-h", "-N", "-n", name, "-t", "idle,mixed,allocated", "-o", "%N %t")
        self.wait(lambda: self.command(*up).split()[:1] == [name] and "*" not in self.command(*up), f"node {name}")

    def crash_node(self, number: int) -> None:
        """Kill a node's daemon and everything it runs, as a power cut would; it stays dark for a while.

        It is dark for so long that no word from its jobs is recent when it comes back; see BatchStartTimeout.
        """
        jobs = self.command("squeue", "--noheader", f"--nodelist=n{number}", "--format=%A").split()
        titles = (f"slurmd -D -N n{number} ", *(f"slurmstepd: [{job}." for job in jobs))
        kill_trees([pid for pid in self.keeper.children() if words_of(pid).startswith(titles)])
        time.sleep(15)


def free_ports(number: int) -> list[int]:
    """Ports that nobody listens on, below those that Linux gives to outgoing connections."""
    ports: list[int] = []
    while len(ports) < number:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        ports += [port] if port not in ports else []
    return ports


def start(folder: Path, n_nodes: int = 2, cpus: int = 2, memory_mb: int = 6000, gpus: int = 1) -> Site:
    """Start munge, slurmctld and ``n_nodes`` slurmd, all on this machine.

    Args:
        folder: an empty folder with a short path (munge's socket lives in it). It is removed at the end.
        cpus, memory_mb, gpus: what each node claims to have; it may be more than the machine has. At most two GPUs.
    """
    write_configuration(folder, n_nodes, cpus, memory_mb, gpus)
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf"), "PATH": path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # each of some fifty Pythons would compile everything again
    site = Site(folder, environment, Keeper(folder, environment))
    try:
        munge = folder / "munge"
        files = {"socket": "socket", "key-file": "key", "log-file": "log", "pid-file": "pid", "seed-file": "seed"}
        site.keeper.start("munged", "-F", "--force", *(f"--{name}={munge / file}" for name, file in files.items()))
        site.wait((munge / "socket").exists, "munge")
        site.keeper.start("slurmctld", "-D")

        def answers() -> bool:
            ping = subprocess.run(["scontrol", "ping"], env=environment, capture_output=True, check=False)
            return b"UP" in ping.stdout

        site.wait(answers, "slurmctld")
        for i in range(n_nodes):
            site.start_node(i + 1)
    except BaseException:
        site.keeper.end()
        raise
    return site


def write_configuration(folder: Path, n_nodes: int, cpus: int, memory_mb: int, gpus: int) -> None:
    """All files that the daemons want to find."""
    host = socket.gethostname().split(".")[0]
    for name in ("munge", "state", "bin", *(f"spool/n{i + 1}" for i in range(n_nodes))):
        (folder / name).mkdir(parents=True)
    folder.chmod(0o755)
    (folder / "munge").chmod(0o711)
    key = folder / "munge" / "key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)

    port, *node_ports = free_ports(1 + n_nodes)
    gres = f" Gres=gpu:{gpus}" if gpus else ""
    nodes = ["GresTypes=gpu"] if gpus else []
    nodes += [
        f"NodeName=n{i + 1} NodeHostname={host} NodeAddr=127.0.0.1 Port={node_ports[i]} CPUs={cpus} Boards=1 "
        f"SocketsPerBoard=1 CoresPerSocket={cpus} ThreadsPerCore=1 RealMemory={memory_mb}{gres}"
        for i in range(n_nodes)
    ]
    text = CONFIGURATION.format(host=host, port=port, folder=folder, nodes="\n".join(nodes), n_nodes=n_nodes)
    (folder / "slurm.conf").write_text(text, encoding="utf-8")
    # Any character devices make Slurm count and hand out GPUs.
    files = ",".join(("/dev/null", "/dev/zero")[:gpus])
    devices = [f"NodeName=n{i + 1} Name=gpu Count={gpus} File={files}" for i in range(n_nodes)] if gpus else []
    (folder / "gres.conf").write_text("\n".join(devices) + "\n", encoding="utf-8")

    # Snakemake's plugin takes SLURM_CONF from the srun that it calls inside a job; this gives it back.
    srun = folder / "bin" / "srun"
    srun.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec {shutil.which("srun")} "$@"\n', encoding="utf-8")
    srun.chmod(0o755)
