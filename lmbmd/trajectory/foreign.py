"""A simulation of any program, and a species map: who every atom is, and the frames."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.core.words import shown
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell
from lmbmd.trajectory import boxes
from lmbmd.trajectory.frames import Frames, first_box, open_universe, opened, timed
from lmbmd.trajectory.mapping.matching import atom_table
from lmbmd.trajectory.parts import ALL, Joined, Window, wanted
from lmbmd.trajectory.species_map import SpeciesMap, load

File = str | os.PathLike[str]
#: One run: an MDAnalysis Universe (which has no types), one file, or a topology and one or several trajectory files.
Run = Any | File | tuple[File, File] | tuple[File, list[File]]
#: One run, or a list of replicas.
Source = Run | list[Run]
#: Topologies that state a box which MDAnalysis reads. Not PRMTOP: AMBER itself takes the box of its coordinates.
_STATING = {".pdb", ".ent", ".gro", ".data", ".lmp"}


def open_foreign(
    source: Run, species_map: SpeciesMap | File, window: Window = ALL
) -> tuple[AtomTable, Frames | Joined]:
    """Who every atom of a foreign simulation is, and its frames in that order of atoms.

    Args:
        source: an MDAnalysis Universe, or (topology file, trajectory file), or one file that holds both; of a run that
            lies in several files (topology file, [first trajectory file, next …]).
        species_map: a species map, or its file.
        window: which frames, by time.

    Raises:
        LmbmdError: as ``load``, ``atom_table`` and ``parts.wanted`` do.
    """
    if not isinstance(species_map, SpeciesMap):
        species_map = load(species_map)
    sources = [source]
    if isinstance(source, tuple) and len(source) == 2 and isinstance(source[1], list):
        if not source[1]:
            raise LmbmdError("there is no trajectory.", remedy="Give the files of the run in the order of time.")
        sources = [(source[0], part) for part in source[1]]
    universes = [_universe(one) for one in sources]
    atoms, order = atom_table(universes[0], species_map)
    told = species_map.frame_interval_ps, species_map.clock_is_wrong
    files = [
        timed(opened(universe, atoms, order, species_map.box), *told, alone=len(universes) == 1)
        for universe in universes
    ]
    found = wanted(files, window, atoms)
    for universe, frames in zip(universes, files, strict=True):
        if frames.box_A is not None:
            _check_told(universe, frames.box_A, species_map.topology_box_is_wrong, species_map.where("box"))
    return atoms, found


def _universe(source: Any) -> Any:
    """The Universe itself, or that of one or two files."""
    if isinstance(source, (str, os.PathLike)):
        source = (source,)
    universe = open_universe(*source) if isinstance(source, (tuple, list)) else source
    if not hasattr(universe, "trajectory"):
        what = f"{shown(universe)} is no Universe."
        remedy = "Give the Universe, or a topology and a trajectory file; write those of a group of atoms first."
        raise LmbmdError(what, remedy=remedy)
    return universe


def _stated_by(topology: Any) -> np.ndarray | None:
    """(3, 3) Å, the box that a topology file states, or None if it states none or is not of a kind that does."""
    if not isinstance(topology, (str, os.PathLike)) or not _STATING & set(Path(topology).suffixes):
        return None
    box = first_box(Path(topology))
    return box if box is not None and Cell(box).volume_A3 > 1e-6 else None


def _check_told(universe: Any, told_A: np.ndarray, is_wrong: bool, where: str) -> None:
    """Ask about a told box that is not the one which the topology states.

    Args:
        universe: it knows the file of its topology.
        told_A: (3, 3) lattice vectors of the told box, Å.
        is_wrong: whether the user knows that the topology's box is not that of the run.
        where: the key of the species map, for the message.
    """
    topology = getattr(universe, "filename", None)
    stated = None if is_wrong else _stated_by(topology)
    if stated is not None and not boxes.same(stated, told_A):
        raise LmbmdError(
            f"{topology} states a box of {boxes.words(stated)}{boxes.unlike(stated, told_A)}.",
            where=where,
            remedy="Tell the box in which the trajectory was run; if the topology has that of another time, say "
            "'topology_box_is_wrong: true' beside it.",
        )
