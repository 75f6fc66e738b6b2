"""Where the transport segments of a run begin: frames of its finished production, scaled to its mean volume."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from lmbmd.box.pdb import with_positions
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import check_recorded, damaged, read_text, write_text
from lmbmd.core.provenance import file_sha256, sha256_of
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell
from lmbmd.simulate.protocol import RECORD, STATE, TRAJECTORY, read_record
from lmbmd.trajectory import xtc

#: What is written beside a start: which frame it is, and of which run.
STARTED = "start.json"
#: Each start is looked for among frames of this part of the production, 2⁻⁴ at most: 15 segments share none.
_LEAST_LEVEL = 4


def write_start(run: Path, box: Path, table: Path, number: int, out: Path, say: Callable[[str], None]) -> None:
    """Write the start of a segment, a PDB file, and ``start.json`` beside it; keep those that are there and will do.

    The frame is the one whose volume is nearest to the mean of the production, among those around the part of the
    production that the segment's number stands for (``window``). Box and centres of mass are then scaled to exactly
    that mean. A start that was made from the same run when that was shorter is kept, so that extending the production
    or adding segments makes no finished segment anew.

    Args:
        run: results folder of the finished production.
        box: ``start.pdb`` of the box, for the names in it.
        table: ``atoms.parquet`` of the box.
        number: of the segment, from 1.
        out: the file to write.
        say: told what was done.

    Raises:
        LmbmdError: if a file cannot be read or does not fit to the others.
    """
    record = read_record(run / RECORD)
    inputs = {role: record.get("inputs", {}).get(role, {}).get("sha256") for role in ("system", "start")}
    origin = {"production": record.get("spec_sha256"), **inputs, "segment": number}
    if _is_kept(out, origin):
        return
    mean_A3 = mean_volume_A3(run / STATE)
    atoms = AtomTable.read(table)
    path = run / TRAJECTORY
    check_recorded(path, RECORD, "Restore it from a copy, or delete it: it is published again.")
    n_atoms, starts = xtc.scan(path)
    if n_atoms != len(atoms):
        raise LmbmdError(
            f"its frames have {n_atoms} atoms, the box {len(atoms)}.", where=str(path), remedy="Simulate it again."
        )
    around = {k: xtc.read(path, k, int(starts[k]), n_atoms) for k in window(number, len(starts))}
    chosen = min(around, key=lambda k: abs(Cell(around[k].box_A).volume_A3 - mean_A3))
    frame = around[chosen]
    factor = (mean_A3 / Cell(frame.box_A).volume_A3) ** (1 / 3)
    positions_A = scaled(frame.positions_A.astype(float), atoms, factor)
    text = with_positions(read_text(box, "Run the build stage again."), positions_A, frame.box_A * factor)
    time_ps = round(frame.time_ps, 3)  # single precision in the file
    facts = {"frame": chosen + 1, "time_ps": time_ps, "mean_volume_A3": mean_A3, "scaled_by": factor}
    # The record last: without it, or with another hash in it, the start is made again.
    write_text(out, text)
    told = {**origin, **facts, "sha256": sha256_of(text.encode())}
    write_text(out.with_name(STARTED), json.dumps(told, indent=1) + "\n")
    say(f"segment {number} begins at {time_ps:g} ps of the production, scaled by {factor:.6f}")


def _is_kept(out: Path, origin: dict[str, Any]) -> bool:
    try:
        told = json.loads(out.with_name(STARTED).read_text(encoding="utf-8"))
        return all(told[key] == value for key, value in origin.items()) and told["sha256"] == file_sha256(out)
    except (OSError, ValueError, KeyError, TypeError, LmbmdError):
        return False


def check_start(folder: Path) -> None:
    """Refuse the start of a segment, in its results folder, that is not the one which its record tells of.

    Raises:
        LmbmdError: if the start has changed since it was made, or its record is damaged.
    """
    path, remedy = folder / STARTED, "Run the segment again."
    try:
        digest = json.loads(read_text(path, remedy))["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, "record of a segment's start", error, remedy) from error
    if digest != file_sha256(folder / "start.pdb"):
        what = f"the file is not the one that {STARTED} beside it tells of: changed or damaged since then."
        raise LmbmdError(what, where=str(folder / "start.pdb"), remedy=remedy)


def window(number: int, n_frames: int) -> range:
    """Frames among which the start of a segment is looked for, around 1/2, 1/4, 3/4, 1/8, 5/8, 3/8, … of them.

    The numbers with their binary digits behind the point reversed (van der Corput): however many segments there are,
    they are spread over the production, and one more moves none of the others. Those of the first 15 are disjoint.
    """
    level = number.bit_length()
    place = int(f"{number:b}"[::-1], 2) / 2**level
    half = 2.0 ** -(max(level, _LEAST_LEVEL) + 1)
    first = min(math.ceil((place - half) * n_frames), n_frames - 1)
    return range(first, max(first + 1, math.ceil((place + half) * n_frames)))


def scaled(positions_A: np.ndarray, atoms: AtomTable, factor: float) -> np.ndarray:
    """Positions (n, 3) of whole molecules, whose centres of mass are moved away from the origin by a factor."""
    molecule, mass = atoms.molecule, atoms.mass_amu
    total = np.bincount(molecule, mass)
    centres = np.stack([np.bincount(molecule, mass * x) / total for x in positions_A.T], axis=1)
    return positions_A + (factor - 1) * centres[molecule]


def mean_volume_A3(path: Path) -> float:
    """The mean volume of a state log.

    Raises:
        LmbmdError: if the file cannot be read or has no volumes in it.
    """
    what, remedy = "state log of a run", "Restore it from a copy, or delete run.json beside it: it is published again."
    check_recorded(path, RECORD, remedy)
    try:
        rows = csv.DictReader(read_text(path, remedy).splitlines())
        volumes = [float(row["volume_A3"]) for row in rows]
        if not volumes or not all(0 < volume < math.inf for volume in volumes):
            raise ValueError("it has no volumes")
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(path, what, error, remedy) from error
    return math.fsum(volumes) / len(volumes)
