"""A built box for people who simulate elsewhere: GROMACS or LAMMPS inputs with the same force field."""

from __future__ import annotations

import json
from pathlib import Path

from lmbmd.box.formats.gromacs import gromacs_files
from lmbmd.box.formats.lammps import lammps_files
from lmbmd.box.read import read_box
from lmbmd.core import files, provenance, stages
from lmbmd.core.errors import LmbmdError, nearest

__all__ = ["PROGRAMS", "export"]

PROGRAMS = {"gromacs": gromacs_files, "lammps": lammps_files}


def export(folder: Path, program: str, out: Path) -> list[Path]:
    """Write one box for another program, and ``export.json`` with the hashes of what it was made from.

    Args:
        folder: ``results/<f>/r<n>`` (the packed start) or ``results/<f>/<T>K/r<n>`` (the end of a run).
        program: one of ``PROGRAMS``.
        out: the folder to write to.

    Returns:
        The files.

    Raises:
        LmbmdError: if the program is unknown, the folder holds no box, or the program cannot express the force field.
    """
    if program not in PROGRAMS:
        raise LmbmdError(f"there is no export to '{program}'.", where="--to", remedy=nearest(program, PROGRAMS))
    box = read_box(folder)
    texts = PROGRAMS[program](box)
    for name, text in texts.items():
        files.write_text(out / name, text)
    record = provenance.stamp(stages.EXPORT, box.files, program=program)
    files.write_text(out / "export.json", json.dumps(record, indent=1) + "\n")
    return [out / name for name in (*texts, "export.json")]
