"""Boxes with chains whose shape, contacts and relaxation are known: coordinates are made, nothing is simulated."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import systems

from lmbmd.data.atoms import AtomTable
from lmbmd.data.frames import Frame

EO = systems.Model("EO", "polymer", 0, (("C", ""), ("C", ""), ("O", "O_ether")))
#: The same in another chain: a kind of unit belongs to one kind of chains.
SPACER = systems.Model("SE", "polymer", 0, EO.atoms)
#: A styrene that bears a sulfonylimide, by its atoms that matter.
STFSI = systems.Model("STFSI", "anion", -1, (("C", ""), ("S", ""), ("O", "O"), ("O", "O"), ("N", "N")))


def peo(n_units: int, name: str = "PEO") -> systems.Chain:
    return systems.Chain(name, (EO,) * n_units)


def shapes(atoms: AtomTable, rng: np.random.Generator, extent_A: float = 0.5) -> np.ndarray:
    """(n, 3) places of the atoms about the mass centres of their units, the same for units of one species."""
    found = np.zeros((len(atoms), 3))
    first = atoms.first_atom_of_unit
    one: dict[int, np.ndarray] = {}
    for unit, species in enumerate(atoms.unit_species.tolist()):
        span = slice(first[unit], first[unit + 1])
        if species not in one:
            x = rng.normal(0, extent_A, (first[unit + 1] - first[unit], 3))
            one[species] = x - np.average(x, axis=0, weights=atoms.mass_amu[span])
        found[span] = one[species]
    return found


def frames(
    atoms: AtomTable,
    units_A: np.ndarray,
    shape_A: np.ndarray,
    box: np.ndarray | Sequence[Sequence[float]],
    interval_ps: float = 1.0,
    *,
    wrap: bool = True,
) -> list[Frame]:
    """Frames of units at given mass centres, every atom wrapped into the box by itself.

    Args:
        units_A: (n_frames, n_units, 3), those of a chain one after the other in space, wherever the box ends.
        shape_A: from ``shapes``.
    """
    box, found = np.asarray(box, float), []
    for k, units in enumerate(units_A):
        x = units[atoms.unit] + shape_A
        if wrap:
            fraction = x @ np.linalg.inv(box)
            x = (fraction - np.floor(fraction)) @ box
        found.append(Frame(k, interval_ps * k, x.astype(np.float32), box))
    return found


def bonds(rng: np.random.Generator, n: int, length_A: float, cosine: float | None = None) -> np.ndarray:
    """(n, 3) bond vectors of a chain: freely jointed, or freely rotating with a fixed cosine between neighbours."""
    found = [_direction(rng)]
    while len(found) < n:
        if cosine is None:
            found.append(_direction(rng))
            continue
        side = np.cross(found[-1], _direction(rng))
        found.append(cosine * found[-1] + np.sqrt(1 - cosine**2) * side / np.linalg.norm(side))
    return length_A * np.array(found)


def _direction(rng: np.random.Generator) -> np.ndarray:
    x = rng.normal(size=3)
    return x / np.linalg.norm(x)


def along(start: np.ndarray, steps: np.ndarray) -> np.ndarray:
    """(n + 1, 3) the units of a chain from its first and its bond vectors."""
    return np.vstack([start, start + np.cumsum(steps, axis=0)])
