"""Walks whose diffusion, conductivity and transference are known, as contact tables: in any cell, wrapped or not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import systems

from lmbmd.data.atoms import AtomTable
from lmbmd.data.contacts import ContactList, FrameContacts


def table(
    atoms: AtomTable,
    path: np.ndarray,
    box: np.ndarray | Sequence[np.ndarray],
    interval_ps: float = 1.0,
    is_wrapped: bool = True,
    contacts: Sequence[Sequence[tuple]] = (),
) -> ContactList:
    """Mass centres as written down, (n_frames, n_units, 3) Å, in one box or a box for each frame.

    ``contacts`` are those of each frame, as for ``systems.frame``; none if not given.
    """
    none = systems.frame(atoms)
    boxes = np.broadcast_to(box, (len(path), 3, 3))
    frames = []
    for i, (place, cell) in enumerate(zip(path, boxes, strict=True)):
        if is_wrapped:
            fraction = place @ np.linalg.inv(cell)
            place = (fraction - np.floor(fraction)) @ cell
        bare = systems.frame(atoms, contacts[i], i) if contacts else none
        molecule = place.astype(np.float32)
        centre = molecule[atoms.unit[atoms.centres]]
        edge = (molecule[atoms.unit[bare.atom]] - centre[bare.row]).reshape(-1, 3)
        frames.append(
            FrameContacts(
                i,
                i * interval_ps,
                np.array(cell),
                bare.offsets,
                bare.atom,
                bare.distance,
                edge,
                centre,
                molecule,
                bare.dipole,
            )
        )
    return ContactList(frames, 5.0)


def walk(rng: np.random.Generator, n_frames: int, deviation_A: np.ndarray) -> np.ndarray:
    """(n_frames, n, 3) independent walks from the origin; the standard deviation of a step along each axis for each."""
    steps = rng.normal(size=(n_frames, len(deviation_A), 3)) * np.asarray(deviation_A)[:, None]
    steps[0] = 0.0
    return np.cumsum(steps, axis=0)


def barycentric(atoms: AtomTable, path: np.ndarray) -> np.ndarray:
    """Paths less the path of the mass centre of the whole box."""
    mass = np.add.reduceat(atoms.mass_amu, atoms.first_atom_of_unit[:-1])
    return path - (mass / mass.sum() @ path)[:, None]
