"""A simulation of any program, and a species map: who every atom is, and the frames."""

from __future__ import annotations

import os
from typing import Any

from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable
from lmbmd.trajectory.frames import Frames, open_universe, opened, timed
from lmbmd.trajectory.mapping.matching import atom_table
from lmbmd.trajectory.parts import ALL, Joined, Window, wanted
from lmbmd.trajectory.species_map import SpeciesMap, load

File = str | os.PathLike[str]
#: One run: an MDAnalysis Universe (which has no types), one file, or a topology and one or several trajectory files.
Run = Any | File | tuple[File, File] | tuple[File, list[File]]
#: One run, or a list of replicas.
Source = Run | list[Run]


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
    return atoms, wanted(files, window, atoms)


def _universe(source: Any) -> Any:
    """The Universe itself, or that of one or two files."""
    if isinstance(source, (str, os.PathLike)):
        source = (source,)
    universe = open_universe(*source) if isinstance(source, (tuple, list)) else source
    if not hasattr(universe, "trajectory"):
        what = f"a {type(universe).__name__} is no Universe."
        remedy = "Give the Universe, or a topology and a trajectory file; write those of a group of atoms first."
        raise LmbmdError(what, remedy=remedy)
    return universe
