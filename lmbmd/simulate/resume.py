"""Where a run stands and what has happened to it, and which checkpoint it may go on from."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lmbmd.core.errors import LmbmdError
from lmbmd.core.provenance import sha256_of
from lmbmd.simulate import checkpoint
from lmbmd.simulate.checkpoint import Checkpoint
from lmbmd.simulate.protocol import RunSpec, differences

#: In this order; each begins with a checkpoint.
STAGES = ("minimise", "soften", "anneal", "equilibrate", "produce")
TRAJECTORY, STATE, EQUILIBRATION = "trajectory.xtc", "state.csv", "equilibration.csv"


@dataclass
class Place:
    """Where a run stands: the one mutable thing of a simulation, and all of it is in every checkpoint.

    Attributes:
        stage, step: how many steps of which stage are done.
        wall_s: seconds spent in each stage, of work that was kept.
        verdict: how the equilibration ended.
        strikes: explosions since the run last went well; the time step is divided by 2^strikes.
        slow_until: (stage, step) from which the full step is tried again.
        recoveries: every explosion and what was done.
        sessions: every process that has worked on this run.
    """

    stage: str = STAGES[0]
    step: int = 0
    wall_s: dict[str, float] = field(default_factory=dict)
    verdict: dict[str, Any] | None = None
    strikes: int = 0
    slow_until: tuple[str, int] | None = None
    recoveries: list[dict[str, Any]] = field(default_factory=list)
    sessions: list[dict[str, Any]] = field(default_factory=list)

    @property
    def divisor(self) -> int:
        """How many smaller steps make a time step."""
        return 2**self.strikes

    def before(self, other: tuple[str, int]) -> bool:
        return (STAGES.index(self.stage), self.step) < (STAGES.index(other[0]), other[1])

    def finished(self, spec: RunSpec) -> bool:
        return self.stage == STAGES[-1] and self.step >= spec.production_steps

    @classmethod
    def of(cls, found: Checkpoint) -> Place:
        """The place in a checkpoint."""
        values = found.header["place"]
        slow = values["slow_until"]
        return cls(**{**values, "slow_until": tuple(slow) if slow else None})


@dataclass(frozen=True)
class Inputs:
    """The three files that a run is made of, as they are now.

    ``system_sha256`` leaves out the OpenMM version that wrote the file, which is no physics.
    """

    spec: RunSpec
    system_xml: str
    start_pdb: str

    def header(self) -> dict[str, Any]:
        """What a checkpoint must agree with."""
        system = re.sub(r'\sopenmmVersion="[^"]*"', "", self.system_xml)
        return {
            "physics": self.spec.physics(),
            "system_sha256": sha256_of(system.encode()),
            "start_sha256": sha256_of(self.start_pdb.encode()),
        }

    def faults(self, found: Checkpoint) -> list[str]:
        """What of a checkpoint differs from these inputs, by name; empty if it is of this run."""
        wanted, header = self.header(), found.header
        names = {"system_sha256": "the System (system.xml)", "start_sha256": "the start structure (start.pdb)"}
        faults = [f"{name} is another one" for key, name in names.items() if header[key] != wanted[key]]
        return faults + differences(header["physics"], wanted["physics"])


def find(work: Path, inputs: Inputs, say: Callable[[str], None]) -> Checkpoint | None:
    """The newest checkpoint in ``work`` that is whole, of this run, and whose files are there; None in a new folder.

    Args:
        say: told when the previous checkpoint had to be taken, and why.

    Raises:
        LmbmdError: if there are checkpoints but none is usable, if a physical parameter has changed (names it), if
            the run is already longer than asked, or if there is a trajectory without a checkpoint.
    """
    damaged: list[str] = []
    foreign: list[str] = []
    for name in (checkpoint.CURRENT, checkpoint.PREVIOUS):
        try:
            found = checkpoint.load(work / name)
            faults = inputs.faults(found)
            if faults:
                foreign = foreign or faults
                continue
            _check_files(work, found)
        except FileNotFoundError:
            continue
        except (ValueError, KeyError, TypeError) as error:
            damaged.append(f"{name}: {error}")
            continue
        for fault in damaged:
            say(f"{fault}; going on from {name}")
        if foreign:
            say(f"{checkpoint.CURRENT} is of another run ({'; '.join(foreign)}); going on from {name}")
        if damaged or foreign:
            # Else the next checkpoint would push the bad one over the good one.
            os.replace(work / checkpoint.CURRENT, work / f"{checkpoint.CURRENT}.rejected")
            os.replace(work / name, work / checkpoint.CURRENT)
        _check_length(work, found, inputs.spec)
        return found
    if foreign:
        raise LmbmdError(
            f"the run in this folder is another one: {'; '.join(foreign)}.",
            where=str(work),
            remedy="Undo the change, or give --fresh: this folder is then set aside and the run begun anew.",
        )
    if damaged:
        raise LmbmdError(
            f"no checkpoint is usable: {'; '.join(damaged)}.",
            where=str(work),
            remedy="Put the files back from a copy, or delete this folder to begin the run anew.",
        )
    if (work / TRAJECTORY).exists() and (work / TRAJECTORY).stat().st_size:
        raise LmbmdError(
            "there is a trajectory here but no checkpoint to go on from.",
            where=str(work / TRAJECTORY),
            remedy="Move it away, or delete this folder, to begin the run anew.",
        )
    return None


def _check_files(work: Path, found: Checkpoint) -> None:
    for name, size in found.header["files"].items():
        on_disk = (work / name).stat().st_size if (work / name).exists() else 0
        if on_disk < size:
            raise ValueError(f"{name} has {on_disk} bytes of the {size} that were written")


def _check_length(work: Path, found: Checkpoint, spec: RunSpec) -> None:
    place = Place.of(found)
    if place.stage == STAGES[-1] and place.step > spec.production_steps:
        done_ns = spec.time_ps(place.step) / 1000
        raise LmbmdError(
            f"this run is already {done_ns:.12g} ns long; production_ns asks for {spec.production_ns:g}.",
            where=str(work),
            remedy=f"Ask for at least {done_ns:.12g} ns, or delete this folder to begin anew.",
        )


def header_of(inputs: Inputs, place: Place, files: dict[str, int], engine: dict, platform: dict) -> dict[str, Any]:
    """The header of a checkpoint."""
    return {**inputs.header(), "place": asdict(place), "files": files, "engine": engine, "platform": platform}
