"""Which OpenMM platform a run uses, and why not a faster one."""

from __future__ import annotations

import glob
import os
import platform as machine
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any

import openmm

from lmbmd.core.errors import LmbmdError
from lmbmd.simulate.options import PLATFORMS, PlatformOptions


@dataclass(frozen=True)
class PlatformReport:
    """The platform in use, what it says about itself, and why each faster one is not used."""

    name: str
    properties: dict[str, str]
    refused: tuple[tuple[str, str], ...]

    @property
    def on_processor(self) -> bool:
        """Whether this is OpenCL on a CPU."""
        return self.name == "OpenCL" and is_processor(self.properties["DeviceName"], processor_name())

    @property
    def identity(self) -> dict[str, str]:
        """What must be equal for a binary checkpoint to fit."""
        keys = ("DeviceName", "Precision", "Threads", "DeterministicForces")
        return {"name": self.name, "openmm": openmm.version.version, **{k: self.properties.get(k, "") for k in keys}}

    def to_dict(self) -> dict[str, Any]:
        return asdict(self) | {"refused": dict(self.refused)}

    def sentence(self) -> str:
        """One line for the log."""
        threads = self.properties.get("Threads")
        device = self.properties.get("DeviceName") or (f"{threads} threads" if threads else "1 thread")
        reasons = "; ".join(f"not {name}: {reason}" for name, reason in self.refused)
        return f"platform {self.name} ({device})" + (f"; {reasons}" if reasons else "")


class _NotUsable(Exception):
    """Why a platform is not used."""


def create_context(
    system: openmm.System, make_integrator: Callable[[], openmm.Integrator], options: PlatformOptions
) -> tuple[openmm.Context, openmm.Integrator, PlatformReport]:
    """A Context on the platform asked for or, with "auto", on the fastest that really makes one for this System.

    An OpenCL device that is a CPU (PoCL) is not preferred over OpenMM's own CPU platform, which is faster; it is
    used when OpenCL is asked for by name.

    Raises:
        LmbmdError: if the platform asked for does not work here, with the reason.
    """
    wanted = PLATFORMS if options.name == "auto" else (options.name,)
    refused: list[tuple[str, str]] = []
    for name in wanted:
        try:
            platform, properties = _platform(name, options)
            if name == "OpenCL" and options.name == "auto":
                _refuse_opencl_on_cpu(platform, properties)
            # An integrator belongs to the Context it was tried in, so each attempt gets its own.
            integrator = make_integrator()
            context = openmm.Context(system, integrator, platform, properties)
        except (_NotUsable, openmm.OpenMMException) as error:
            refused.append((name, _one_line(error)))
            continue
        found = {key: platform.getPropertyValue(context, key) for key in platform.getPropertyNames()}
        return context, integrator, PlatformReport(name, found, tuple(refused))
    raise LmbmdError(
        f"the platform {options.name} cannot be used: " + "; ".join(f"{n}: {r}" for n, r in refused) + ".",
        where="platform:name",
        remedy="Choose 'auto', or one of those that OpenMM lists here: " + ", ".join(_available()) + ".",
    )


def gpus(options: PlatformOptions) -> tuple[str, ...]:
    """Indices of the GPUs that are like the one that OpenMM takes here, that one first; none if it takes none."""
    probe = openmm.System()
    probe.addParticle(1.0)
    _, _, report = create_context(probe, lambda: openmm.VerletIntegrator(0.001), options)
    if report.name not in ("CUDA", "OpenCL") or report.on_processor:
        return ()
    return alike(report.properties, openmm.Platform.getPlatformByName(report.name).getDevices())


def alike(taken: Mapping[str, str], devices: Iterable[Mapping[str, str]]) -> tuple[str, ...]:
    """Indices of devices of the same kind as the one that is taken, that one first. Others may be slower."""
    kind = ("DeviceName", "OpenCLPlatformIndex")
    same = (d["DeviceIndex"] for d in devices if all(d.get(key) == taken.get(key) for key in kind))
    return tuple(dict.fromkeys((taken["DeviceIndex"], *same)))


def _platform(name: str, options: PlatformOptions) -> tuple[openmm.Platform, dict[str, str]]:
    if name not in _available():
        raise _NotUsable(_why_absent(name))
    platform = openmm.Platform.getPlatformByName(name)
    wanted: dict[str, Any] = {
        "Precision": options.precision,
        "DeviceIndex": options.device_index,
        "Threads": options.threads or cores(),
        "DeterministicForces": "true" if options.deterministic else None,
    }
    known = platform.getPropertyNames()
    return platform, {key: str(value) for key, value in wanted.items() if value is not None and key in known}


def _available() -> list[str]:
    return [openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())]


def cores() -> int:
    """Cores that this process may use: fewer than the machine has, under taskset, Slurm or a container."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1


def _why_absent(name: str) -> str:
    """Why OpenMM has no platform of that name: a plugin that failed to load, or none installed."""
    failures = [f for f in openmm.Platform.getPluginLoadFailures() if name.lower() in f.lower()]
    nvidia = bool(glob.glob("/dev/nvidia[0-9]*"))
    if failures:
        reason = f"its plugin did not load ({_one_line(failures[0])})"
        if "libcuda" in failures[0] and not nvidia:
            reason += "; there is no NVIDIA driver on this machine"
        return reason
    if name == "CUDA":
        seen = "an NVIDIA GPU is here, but " if nvidia else ""
        return f"{seen}its plugin is not installed (pip install 'lmbmd[cuda12]' or 'lmbmd[cuda13]')"
    return "its plugin is not installed"


def _refuse_opencl_on_cpu(platform: openmm.Platform, properties: dict[str, str]) -> None:
    """Raise if the OpenCL device is a processor. Asked of a one-particle Context, which is quick to make."""
    probe = openmm.System()
    probe.addParticle(1.0)
    with _unheard():
        context = openmm.Context(probe, openmm.VerletIntegrator(0.001), platform, properties)
    device = platform.getPropertyValue(context, "DeviceName")
    implementation = platform.getPropertyValue(context, "OpenCLPlatformName")
    del context
    if is_processor(device, processor_name()):
        raise _NotUsable(f"its device is the CPU ('{device}', {implementation}), on which the CPU platform is faster")


@contextmanager
def _unheard() -> Iterator[None]:
    """Without what a library prints to the standard output of this process; errors are raised, or go to stderr.

    OpenMM warns there of an OpenCL that it does not know, also where that is only asked what it is.
    """
    try:
        kept = os.dup(1)
    except OSError:  # there is none
        yield
        return
    if sys.stdout:
        sys.stdout.flush()
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def is_processor(device: str, processor: str) -> bool:
    """Whether an OpenCL device name means a CPU: PoCL's "pthread-…" and "cpu-…", or the processor's own name."""
    name = device.lower()
    return name.startswith(("pthread", "cpu", "basic")) or (bool(processor) and processor.lower() in name)


def processor_name() -> str:
    """The processor's brand name, "" where it cannot be told."""
    return _of_processor("model name") or machine.processor()


def instructions() -> frozenset[str]:
    """What the processor can do, in the words of Linux ("avx2", "avx512f"); empty where it cannot be told."""
    return frozenset(_of_processor("flags").split())


def _of_processor(key: str) -> str:
    """What Linux says of the first processor, "" where it says nothing."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as handle:
            return next((line.split(":", 1)[1].strip() for line in handle if line.startswith(key)), "")
    except OSError:
        return ""


def _one_line(error: object) -> str:
    return " ".join(str(error).split()).rstrip(".")[:300]
