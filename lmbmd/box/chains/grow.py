"""Chains grown in a periodic cube, unit by unit, each in the shape of a random conformer, avoiding what is there.

Chains in a melt are ideal: what they avoid at long distance is made up for by what surrounds them. So a unit only keeps
out of others' way as far as its torsions let it, and the box is minimised afterwards: a chain grown through a dense
liquid with no contact at all would be stretched, and one grown thinly and compressed would be crumpled.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.spatial.transform import Rotation

from lmbmd.box.chains.occupied import Occupied, squares
from lmbmd.box.chains.shapes import Context, Shapes

#: Units that may be tried for each unit of the chain, those taken back included; then it begins elsewhere, so often;
#: and places that are tried for its first unit, so many at a time.
STEPS_PER_UNIT, STARTS, PLACES, BATCH = 6, 8, 512, 64
#: Distances between atoms that are wanted and, for a chain, the least that is taken, Å, which every new start lowers by
#: a factor: the minimiser parts what is too near, and ``rings`` finds a bond that runs through a ring.
WANTED_A, LEAST_A, LOWER = 2.0, 1.2, 0.93


class NoRoom(Exception):
    """A chain, or a molecule, finds no place."""


def grow(
    contexts: list[Context],
    shapes: Mapping[Context, Shapes],
    occupied: Occupied,
    generator: np.random.Generator,
) -> np.ndarray:
    """One chain as positions (n, 3) in Å, whole, wherever the cube's faces are.

    Each unit is turned so that its bond to the unit before has the length, the angles and the torsions of a conformer:
    one at random of those that come nowhere nearer than ``WANTED_A`` to another atom or image, else of those that come
    nowhere nearer than ``LEAST_A`` allows; if there is none, some units are taken back, two on average. Pairs of atoms
    up to three bonds apart do not count.

    Raises:
        NoRoom: if it fails from every start.
    """
    for start in range(STARTS):
        found = _from_one_start(contexts, shapes, occupied, generator, LEAST_A * LOWER**start)
        if found is not None:
            return found
    raise NoRoom(f"a chain of {len(contexts)} units")


def _from_one_start(
    contexts: list[Context],
    shapes: Mapping[Context, Shapes],
    occupied: Occupied,
    generator: np.random.Generator,
    least_A: float,
) -> np.ndarray | None:
    units: list[np.ndarray] = []
    ahead: list[np.ndarray] = []
    steps = 0
    while len(units) < len(contexts):
        steps += 1
        if steps > STEPS_PER_UNIT * len(contexts):
            return None
        i = len(units)
        one = shapes[contexts[i]]
        placed = _place(one, shapes[contexts[i - 1]], units, ahead, occupied, generator, least_A)
        if placed is not None:
            units.append(placed[0])
            ahead.append(placed[1])
        elif i == 0:
            return None
        else:
            kept = max(0, i - int(generator.geometric(0.5)))
            del units[kept:], ahead[kept:]
    return np.concatenate(units)


def _place(
    one: Shapes,
    previous: Shapes,
    units: list[np.ndarray],
    ahead: list[np.ndarray],
    occupied: Occupied,
    generator: np.random.Generator,
    least_A: float,
) -> tuple[np.ndarray, np.ndarray] | None:
    """The next unit, and where the first atom of the one after it will be; None if no conformer has room."""
    if not units:
        return _first(one, occupied, generator, least_A)
    last = units[-1][previous.lead :]
    inner, joint, target = last[one.hinge[0]], last[one.hinge[1]], ahead[-1]
    inside, at = one.before[:, one.hinge[0]], one.before[:, one.hinge[1]]
    turns = _frames(target - joint, inner - joint).T @ _frames(one.mine[:, one.first] - at, inside - at)
    x = np.einsum("kij,knj->kni", turns, one.mine - at[:, None]) + joint
    reach = float(np.sqrt(((x - joint) ** 2).sum(-1).max())) + WANTED_A
    own = np.concatenate([*units[:-1], units[-1][: previous.lead]])
    own = own[squares(joint[None], own, occupied.edge_A)[0] < reach**2]
    others = np.concatenate([occupied.around(joint, reach), own])
    bonded = np.where(one.apart.T, squares(x, last, occupied.edge_A), np.inf).min((1, 2))
    nearest = np.minimum(squares(x, others, occupied.edge_A).min((1, 2), initial=np.inf), bonded)
    free = np.flatnonzero(nearest >= WANTED_A**2)
    choice = free if free.size else np.flatnonzero(nearest >= least_A**2)
    if not choice.size:
        return None
    k = int(generator.choice(choice))
    return x[k], turns[k] @ (one.ahead[k] - at[k]) + joint


def _first(
    one: Shapes, occupied: Occupied, generator: np.random.Generator, least_A: float
) -> tuple[np.ndarray, np.ndarray] | None:
    """A chain's first unit: at the first place of some at random that has room, else at that which has most."""
    best, found = least_A, None
    for _ in range(PLACES // BATCH):
        k = generator.integers(len(one.mine), size=BATCH)
        turns = _random_rotations(generator, BATCH)
        shift = generator.random((BATCH, 3)) * occupied.edge_A
        centre = one.mine.mean(1)[k]
        x = np.einsum("kij,knj->kni", turns, one.mine[k] - centre[:, None]) + shift[:, None]
        nearest = occupied.nearest(x)
        i = int(np.argmax(np.minimum(nearest, WANTED_A)))
        if nearest[i] >= best:
            best, found = nearest[i], (x[i], turns[i] @ (one.ahead[k[i]] - centre[i]) + shift[i])
        if best >= WANTED_A:
            break
    return found


def _frames(along: np.ndarray, aside: np.ndarray) -> np.ndarray:
    """Three orthonormal rows (…, 3, 3): along the first vectors (…, 3), and in the plane of both."""
    a = along / np.linalg.norm(along, axis=-1, keepdims=True)
    b = aside - (aside * a).sum(-1, keepdims=True) * a
    b /= np.linalg.norm(b, axis=-1, keepdims=True)
    return np.stack([a, b, np.cross(a, b)], axis=-2)


def _random_rotations(generator: np.random.Generator, n: int) -> np.ndarray:
    """Rotation matrices (n, 3, 3), uniform over all rotations: from random unit quaternions."""
    return Rotation.from_quat(generator.normal(size=(n, 4))).as_matrix()


def insert(
    molecule: np.ndarray, count: int, occupied: Occupied, generator: np.random.Generator, tries: int
) -> list[np.ndarray]:
    """So many copies of a rigid molecule (n, 3) at random places and in random orientations, each where there is room.

    Raises:
        NoRoom: if one finds none in so many tries.
    """
    centred = molecule - molecule.mean(0)
    found: list[np.ndarray] = []
    while len(found) < count:
        for _ in range(tries // BATCH):
            turns = _random_rotations(generator, BATCH)
            trials = np.einsum("kij,nj->kni", turns, centred) + generator.random((BATCH, 1, 3)) * occupied.edge_A
            free = np.flatnonzero(occupied.nearest(trials) >= WANTED_A)
            if free.size:
                found.append(trials[free[0]])
                occupied.settle(found[-1])
                break
        else:
            raise NoRoom(f"a molecule of {len(molecule)} atoms")
    return found
