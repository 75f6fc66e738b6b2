"""Where the files of a study are: the one place in Python that spells paths below ``results/`` and ``work/``.

The rules of the workflow have the same paths as patterns; a test compares them. Nothing here looks at the disk: which
folders there ought to be is the study's to say, and what else lies there is left from another one.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

RESULTS, WORK, LOGS = Path("results"), Path("work"), Path("logs")
#: What the scattering stage writes into the folder of a replica's run.
SCATTERING = "scattering.npz"
#: What the draw stage and the quantum stage write there.
SHELLS, ENERGIES = "shells.json", "energies.json"


def bottle(results: Path, formulation: str) -> Path:
    """Folder of a formulation: its composition, its page, and the folders below."""
    return results / formulation


def composition(results: Path, formulation: str) -> Path:
    """What is in the box."""
    return bottle(results, formulation) / "composition.json"


def box(results: Path, formulation: str, replica: int | str) -> Path:
    """Folder of a packed box, which all temperatures share."""
    return replica_of(bottle(results, formulation), replica)


def point(results: Path, formulation: str, temperature: str) -> Path:
    """Folder of a state point; ``temperature`` in K as it is written in paths."""
    return bottle(results, formulation) / point_name(temperature)


def point_name(temperature: str) -> str:
    """How the folder of a state point is called; of ``"*"`` the pattern of all."""
    return f"{temperature}K"


def temperature_of(folder: Path) -> str:
    """The temperature in K that the name of a state point's folder says."""
    return folder.name.removesuffix("K")


def run(root: Path, formulation: str, temperature: str, replica: int | str) -> Path:
    """Folder of a run below ``results`` or ``work``."""
    return replica_of(point(root, formulation, temperature), replica)


def replica_of(folder: Path, replica: int | str) -> Path:
    """Folder of a replica in that of a formulation or of a state point."""
    return folder / f"r{replica}"


def segment(run_folder: Path, number: int | str) -> Path:
    """Folder of a transport segment in that of its replica's run, below ``results`` or ``work``."""
    return run_folder / f"t{number}"


def quantum_jobs(work: Path, formulation: str, temperature: str) -> Path:
    """Folder of the finished jobs of quantum chemistry of a state point, named by what they computed."""
    return point(work, formulation, temperature) / "quantum"


def contacts(folder: Path, replicas: Iterable[int]) -> list[Path]:
    """The contact files of a state point's replicas; each has its RDFs beside it."""
    return [replica_of(folder, number) / "contacts.arrow" for number in replicas]


def log(root: Path, rule: str, folder: Path) -> Path:
    """The messages of the last job of a rule in ``folder``, which is given as it lies below ``results``."""
    return root / rule / f"{'.'.join(folder.parts)}.log" if folder.parts else root / f"{rule}.log"


def mark(folder: Path, rule: str) -> Path:
    """An empty file that comes with the success of a rule's job in a folder, and goes when that begins again."""
    return folder / f".{rule}"
