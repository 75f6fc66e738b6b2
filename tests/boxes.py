"""Random boxes of model molecules whose coordinates float32 holds exactly, so that moved copies compare to the bit."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import systems

from lmbmd.data.atoms import AtomTable
from lmbmd.data.frames import Frame

#: Every coordinate and box edge is a multiple of this, Å; sums of a few thousand Å stay exact in float32.
GRAIN = 1 / 64
SKEWED = np.array([[32.0, 0, 0], [8.0, 30.0, 0], [-6.0, 10.0, 31.0]])
STRAIGHT = np.diag([26.0, 30.0, 34.0])


def grains(values: np.ndarray) -> np.ndarray:
    """Values rounded to whole grains."""
    return np.round(np.asarray(values) / GRAIN) * GRAIN


def electrolyte(rng: np.random.Generator, box: np.ndarray, n_pairs: int = 6) -> tuple[AtomTable, Frame]:
    """Li, Na, FSI, PF6, DME and TTE at random places, whole molecules about 3 Å across, some outside the box."""
    atoms = systems.atom_table(
        (systems.LI, n_pairs),
        (systems.FSI, n_pairs),
        (systems.NA, 2),
        (systems.PF6, 2),
        (systems.DME, 4),
        (systems.TTE, 3),
    )
    return atoms, Frame(0, 0.0, _placed(rng, atoms, box), np.array(box, float))


def _placed(rng: np.random.Generator, atoms: AtomTable, box: np.ndarray) -> np.ndarray:
    centre = rng.uniform(-0.5, 1.5, (atoms.n_molecules, 3)) @ box
    spread = np.where(np.diff(atoms.first_atom) > 1, 1.0, 0.0)[atoms.molecule]
    return grains(centre[atoms.molecule] + spread[:, None] * rng.uniform(-1.5, 1.5, (len(atoms), 3))).astype(np.float32)


def moved(frame: Frame, by: np.ndarray) -> Frame:
    """The frame with its positions moved, each by its own vector or all by one."""
    return replace(frame, positions=(frame.positions + by).astype(np.float32))


def broken(rng: np.random.Generator, frame: Frame) -> Frame:
    """The same configuration with every single atom in some periodic image."""
    return moved(frame, rng.integers(-2, 3, (len(frame.positions), 3)) @ frame.box)


def reordered(atoms: AtomTable, frame: Frame, order: np.ndarray) -> tuple[AtomTable, Frame]:
    """Atom ``order[i]`` becomes atom i; molecules are numbered again in their new order."""
    steps = np.diff(atoms.molecule[order], prepend=-1) != 0
    columns = {
        name: getattr(atoms, name)[order]
        for name in ("species_id", "site_id", "element", "name", "mass_amu", "charge_e")
    }
    table = AtomTable(atoms.species, atoms.sites, molecule=(np.cumsum(steps) - 1).astype(np.int32), **columns)
    return table, replace(frame, positions=frame.positions[order])


def replicated(atoms: AtomTable, frame: Frame, times: tuple[int, int, int]) -> tuple[AtomTable, Frame, np.ndarray]:
    """A supercell, and for each of its atoms the atom it copies."""
    cells = np.array(list(itertools.product(*map(range, times))))
    positions = np.concatenate([frame.positions + cell @ frame.box for cell in cells]).astype(np.float32)
    copies = np.tile(np.arange(len(atoms)), len(cells))
    columns = {
        name: getattr(atoms, name)[copies]
        for name in ("species_id", "site_id", "element", "name", "mass_amu", "charge_e")
    }
    molecule = np.concatenate([atoms.molecule + k * atoms.n_molecules for k in range(len(cells))]).astype(np.int32)
    table = AtomTable(atoms.species, atoms.sites, molecule=molecule, **columns)
    return table, Frame(0, 0.0, positions, frame.box * np.array(times)[:, None]), copies
