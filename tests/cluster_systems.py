"""Boxes of ions whose clusters are known by construction.

Ions and solvent molecules are beads: a molecule is one atom, which is also its mass centre and its donor site.
A contact is a centre and a bead within ``CONTACT_A``, through the nearest image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np
from systems import first

from lmbmd.analysis.clusters.compactness import Compactness
from lmbmd.analysis.clusters.components import Clusters
from lmbmd.analysis.clusters.options import CompactnessOptions
from lmbmd.data.atoms import AtomTable, SpeciesInfo
from lmbmd.data.contacts import FrameContacts

#: Centre–anion distance inside constructed aggregates, and the largest that is a contact, Å.
BOND_A, CONTACT_A = 4.2, 4.8


def bead_table(n_centres: int, n_anions: int, n_solvent: int = 0, n_sodium: int = 0) -> AtomTable:
    """Li, Na, anions and solvent as one-atom molecules, in this order."""
    kinds = (("Li", "cation", 1), ("Na", "cation", 1), ("A", "anion", -1), ("S", "solvent", 0))
    species_id = np.repeat(np.arange(4, dtype=np.int32), (n_centres, n_sodium, n_anions, n_solvent))
    n = len(species_id)
    return AtomTable(
        species=tuple(SpeciesInfo(*k) for k in kinds),
        sites=("A:X", "S:X"),
        species_id=species_id,
        molecule=np.arange(n, dtype=np.int32),
        site_id=np.array([-1, -1, 0, 1], np.int32)[species_id],
        element=np.array(["Li", "Na", "Cl", "O"], dtype=object)[species_id],
        name=np.array(["Li", "Na", "Cl", "O"], dtype=object)[species_id],
        mass_amu=np.ones(n),
        charge_e=np.array([1.0, 1.0, -1.0, 0.0])[species_id],
    )


def bead_contacts(atoms: AtomTable, points: np.ndarray, box: np.ndarray, index: int = 0, contact_A: float = CONTACT_A):
    """The contacts of one frame of beads; the box may have any shape, twice as wide as ``contact_A``."""
    box = np.asarray(box, float)
    inverse = np.linalg.inv(box)
    points = np.asarray(points, float)
    centre = points[atoms.centres]
    donors = np.flatnonzero(atoms.site_id >= 0)
    cells = (points[donors][None] - centre[:, None]) @ inverse
    edge = (cells - np.rint(cells)) @ box
    distance = np.linalg.norm(edge, axis=2)
    row, column = np.nonzero(distance <= contact_A)
    return FrameContacts(
        index=index,
        time_ps=float(index),
        box=box,
        offsets=np.append(0, np.cumsum(np.bincount(row, minlength=len(centre)))).astype(np.int64),
        atom=donors[column].astype(np.int32),
        distance=distance[row, column].astype(np.float32),
        edge=edge[row, column].astype(np.float32),
        centre=centre.astype(np.float32),
        unit=points.astype(np.float32),
        dipole=np.zeros((len(atoms.species), 3)),
    )


@dataclass(frozen=True)
class Beads:
    """Centres, anions and solvent in a cubic box, Å."""

    box: np.ndarray
    centres: np.ndarray
    anions: np.ndarray
    solvent: np.ndarray
    contact_A: float = CONTACT_A

    @property
    def atoms(self) -> AtomTable:
        return bead_table(len(self.centres), len(self.anions), len(self.solvent))

    @property
    def points(self) -> np.ndarray:
        return np.concatenate([self.centres, self.anions, self.solvent])

    def contacts(self, index: int = 0, shift_A: float = 0.0) -> FrameContacts:
        return bead_contacts(self.atoms, self.points, self.box, index, self.contact_A + shift_A)


# ---------------------------------------------------------------- shapes: alternating centres and anions


def split(lattice: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Integer lattice points → centres (even sum) and anions (odd sum), at ``BOND_A`` per step, in Å."""
    odd = lattice.sum(axis=1) % 2 == 1
    return lattice[~odd] * BOND_A, lattice[odd] * BOND_A


def block(*shape: int) -> np.ndarray:
    """Lattice points of a rock-salt block."""
    return np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1).reshape(-1, len(shape))


def ball(diameter_A: float) -> np.ndarray:
    """Lattice points within a sphere round the middle of a cell."""
    m = int(diameter_A / BOND_A / 2) + 2
    lattice = block(2 * m, 2 * m, 2 * m)
    return lattice[np.linalg.norm((lattice - m + 0.5) * BOND_A, axis=1) <= diameter_A / 2]


def walk(n: int, rng: np.random.Generator) -> np.ndarray:
    """Lattice points of a chain of ``n`` that never comes back beside itself, so that it closes no ring."""
    steps = np.concatenate([np.eye(3, dtype=int), -np.eye(3, dtype=int)])
    while True:
        path = [np.zeros(3, int)]
        taken = {(0, 0, 0)}
        while len(path) < n:
            options = []
            for s in rng.permutation(steps):
                new = path[-1] + s
                beside = sum(tuple(new + t) in taken for t in steps)
                if tuple(new) not in taken and beside == 1:
                    options.append(new)
            if not options:
                break
            path.append(options[0])
            taken.add(tuple(options[0]))
        if len(path) == n:
            return np.array(path)


# ---------------------------------------------------------------- boxes


def rotation(rng: np.random.Generator) -> np.ndarray:
    """A random rotation matrix."""
    q, r = np.linalg.qr(rng.normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def minimum_image(d: np.ndarray, edge_A: float) -> np.ndarray:
    return d - np.rint(d / edge_A) * edge_A


def far_from(points: np.ndarray, others: np.ndarray, edge_A: float, least_A: float) -> np.ndarray:
    """Which points keep ``least_A`` from all others, periodically."""
    if not len(others):
        return np.ones(len(points), bool)
    return np.array(
        [np.linalg.norm(minimum_image(others - p, edge_A), axis=1).min() >= least_A for p in points], dtype=bool
    )


def jittered_sites(edge_A: float, spacing_A: float, jitter_A: float, rng: np.random.Generator) -> np.ndarray:
    """Sites of a liquid: a cubic lattice, each point displaced at random."""
    m = round(edge_A / spacing_A)
    sites = block(m, m, m) * (edge_A / m)
    return sites + rng.uniform(-jitter_A, jitter_A, sites.shape)


def place(
    shapes: list[np.ndarray], edge_A: float, rng: np.random.Generator, jitter_A: float = 0.15, gap_A: float = 6.5
) -> tuple[np.ndarray, np.ndarray]:
    """Put lattice shapes into a box at random, turned at random, ``gap_A`` apart, each ion displaced a little."""
    placed = np.empty((0, 3))
    centres, anions = [], []
    for shape in shapes:
        parts = split(shape)
        middle = np.concatenate(parts).mean(axis=0)
        for _ in range(2000):
            turn, shift = rotation(rng), rng.uniform(0, edge_A, 3)
            li, an = ((p - middle) @ turn + shift for p in parts)
            if far_from(np.concatenate([li, an]), placed, edge_A, gap_A).all():
                break
        else:
            raise RuntimeError("the shapes do not fit into the box")
        centres.append(li)
        anions.append(an)
        placed = np.concatenate([placed, li, an])
    shake = lambda x: x + rng.uniform(-jitter_A, jitter_A, x.shape)  # noqa: E731
    return shake(np.concatenate(centres)), shake(np.concatenate(anions))


def solvated(edge_A: float, ions: tuple[np.ndarray, np.ndarray], rng: np.random.Generator) -> Beads:
    """Fill the rest of the box with solvent the size of a fluoroether (7 Å), no closer than 4 Å to an ion."""
    sites = jittered_sites(edge_A, 7.0, 0.7, rng)
    solvent = sites[far_from(sites, np.concatenate(ions), edge_A, 4.0)]
    return Beads(np.eye(3) * edge_A, *ions, solvent)


def dilute_pairs(edge_A: float, seed: int) -> Beads:
    """Contact pairs at 0.2 M, alone."""
    rng = np.random.default_rng(seed)
    n = round(0.2 * 6.022e-4 * edge_A**3)
    return solvated(edge_A, place([block(2, 1, 1)] * n, edge_A, rng), rng)


def random_concentrated(edge_A: float, seed: int) -> Beads:
    """Ions dealt at random over the sites of a dense liquid, a quarter of them centres and a quarter anions (1.7 M).

    The contact distance is so generous that chance alone makes clusters of 20 and more ions, and no network yet.
    """
    rng = np.random.default_rng(seed)
    sites = rng.permutation(jittered_sites(edge_A, 6.0, 1.2, rng))
    n = len(sites) // 4
    return Beads(np.eye(3) * edge_A, sites[:n], sites[n : 2 * n], sites[2 * n :], contact_A=6.8)


def open_network(edge_A: float, seed: int) -> Beads:
    """A scaffold of single-file struts along x, y and z that cross and run through the box faces."""
    rng = np.random.default_rng(seed)
    m = 2 * round(edge_A / BOND_A / 2)
    lattice = block(m, m, m)
    every = m // 3 + (m // 3) % 2  # even, so that struts cross at centres; the last mesh may be wider
    on = (lattice % every == 0) & (lattice < 3 * every)
    lattice = lattice[on.sum(axis=1) >= 2]
    ions = tuple(p * (edge_A / m / BOND_A) + rng.uniform(-0.1, 0.1, p.shape) for p in split(lattice))
    return solvated(edge_A, ions, rng)


def long_chains(edge_A: float, seed: int) -> Beads:
    """Unbranched chains of 40 ions without a ring, 0.5 M."""
    rng = np.random.default_rng(seed)
    n = round(0.5 * 6.022e-4 * edge_A**3 / 20)
    return solvated(edge_A, place([walk(40, rng) for _ in range(n)], edge_A, rng, gap_A=5.5), rng)


def small_compact(edge_A: float, seed: int) -> Beads:
    """Cubes of 8 and blocks of 12 ions, about 1 nm across, 0.6 M."""
    rng = np.random.default_rng(seed)
    n = round(0.6 * 6.022e-4 * edge_A**3 / 5)
    shapes = [block(2, 2, 2 + k % 2) for k in range(n)]
    return solvated(edge_A, place(shapes, edge_A, rng), rng)


def droplets(edge_A: float, seed: int) -> Beads:
    """Dense balls of 3.2 and 3.5 nm in which the nearest Li–Li distance is 6 Å (√2 × 4.2 Å)."""
    rng = np.random.default_rng(seed)
    n = max(2, round(edge_A**3 / 80.0**3 * 3))
    return solvated(edge_A, place([ball((32.0, 35.0)[k % 2]) for k in range(n)], edge_A, rng), rng)


FAMILIES: dict[str, Callable[[float, int], Beads]] = {
    "dilute pairs": dilute_pairs,
    "random concentrated": random_concentrated,
    "open network": open_network,
    "long chains": long_chains,
    "small compact": small_compact,
    "droplets": droplets,
}


# ---------------------------------------------------------------- measured

#: Seeds of the families' replicas, and shifts of their contact distance, Å.
SEEDS, SHIFTS = (0, 1, 2), (-0.3, 0.3)


def measure(*boxes: Beads, options: CompactnessOptions | None = None, shifts=()):
    """Clusters and compactness of one replica whose frames are ``boxes``."""
    clusters, compactness = Clusters(boxes[0].atoms), Compactness(boxes[0].atoms, len(boxes), options)
    for k, box in enumerate(boxes):
        shell = first(box.atoms, box.contacts(k), {s: box.contacts(k, s) for s in shifts})
        clusters.add(shell)
        compactness.add(shell)
    return clusters.result(), compactness


@cache
def family(name: str, edge_A: float):
    """Replicas of one frame each, from different seeds."""
    boxes = [FAMILIES[name](edge_A, seed) for seed in (SEEDS if edge_A == 80.5 else (3, 4, 5))]
    clusters, folds = zip(*(measure(box, shifts=SHIFTS) for box in boxes), strict=True)
    shifted = {s: [f.result(s) for f in folds] for s in SHIFTS}
    return boxes, clusters, [f.result() for f in folds], shifted
