"""A simulation of any program, and a species map: who every atom is, and the frames."""

from __future__ import annotations

import os
from typing import Any

from lmbmd.data.atoms import AtomTable
from lmbmd.trajectory.frames import Frames, open_universe, read_frames
from lmbmd.trajectory.matching import atom_table
from lmbmd.trajectory.species_map import SpeciesMap, load


def open_foreign(
    source: Any,
    species_map: SpeciesMap | str | os.PathLike[str],
    start: int | None = None,
    stop: int | None = None,
    step: int | None = None,
) -> tuple[AtomTable, Frames]:
    """Who every atom of a foreign simulation is, and its frames in that order of atoms.

    Args:
        source: an MDAnalysis Universe, or (topology file, trajectory file), or one file that holds both.
        species_map: a species map, or its file.
        start, stop, step: which frames, as in a slice.

    Raises:
        LmbmdError: as ``load``, ``atom_table`` and ``read_frames`` do.
    """
    if not isinstance(species_map, SpeciesMap):
        species_map = load(species_map)
    if isinstance(source, (str, os.PathLike)):
        source = (source,)
    universe = open_universe(*source) if isinstance(source, (tuple, list)) else source
    atoms, order = atom_table(universe, species_map)
    frames = read_frames(universe, atoms, start, stop, step, order, species_map.frame_interval_ps, species_map.box)
    return atoms, frames
