"""A box with chains, from nothing: chains grown in a loose cube, small molecules between them, then compressed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lmbmd.box.chains.grow import NoRoom, grow, insert
from lmbmd.box.chains.occupied import Occupied
from lmbmd.box.chains.rings import rings_of, threaded
from lmbmd.box.chains.shapes import contexts, shapes_of
from lmbmd.box.packing import ATTEMPTS, WIDEN, Attempt
from lmbmd.box.squeeze import squeezed
from lmbmd.box.system import BuiltSystem, Kind
from lmbmd.core.errors import LmbmdError
from lmbmd.core.provenance import derived_seed
from lmbmd.core.units import ANGSTROM_PER_NM
from lmbmd.formulation.polymers.draw import Chains

#: The cube that is filled is so much wider than the liquid's, and what is left of that for the simulation, whose
#: barostat finds the density: 8 % too loose, as the density of a polymer is often known no better.
LOOSE, LEFT = 1.15, 1.03
#: Tries at random for each small molecule.
TRIES = 64_000
#: Longer than any bond of these elements (C–I, 2.2 Å) that is not torn.
LONGEST_BOND_A = 2.6


def placed(
    molecules: Sequence[Kind],
    chains: Mapping[str, Chains],
    geometries: Mapping[str, np.ndarray],
    edge_A: float,
    seed: int,
) -> tuple[np.ndarray, float, tuple[Attempt, ...]]:
    """Positions (n, 3) in Å of a loose box in the order of its molecules, each whole; its edge; and what was tried.

    Everything is drawn from the seed, and tries are counted: how busy the machine is decides nothing.

    Args:
        molecules: as ``system.kinds`` gives them.
        geometries: positions (n, 3) in Å of a molecule of each species that is no polymer.
        edge_A: of the liquid.

    Raises:
        LmbmdError: if chains or molecules find no room in any of six cubes.
    """
    shapes = {
        (name, context): shapes_of(one, context, derived_seed(seed, name, *context))
        for name, one in chains.items()
        for context in sorted({c for i in range(len(one.sequences)) for c in contexts(one, i)})
    }
    tried: list[Attempt] = []
    loose = LOOSE * edge_A
    for number in range(ATTEMPTS):
        generator = np.random.default_rng([seed, number])
        try:
            positions = _filled(molecules, chains, shapes, geometries, loose, generator)
        except NoRoom as reason:
            tried.append(Attempt(loose, False, f"no room for {reason}"))
            loose *= WIDEN
            continue
        tried.append(Attempt(loose, True))
        return positions, loose, tuple(tried)
    raise LmbmdError(
        f"the box could not be filled, though its edge was widened from {tried[0].edge_A:.1f} to "
        f"{tried[-1].edge_A:.1f} Å; the last reason: {tried[-1].reason}.",
        remedy="Try another seed, shorter chains, or a lower density_g_cm3 of the polymer.",
    )


def _filled(
    molecules: Sequence[Kind],
    chains: Mapping[str, Chains],
    shapes: Mapping,
    geometries: Mapping[str, np.ndarray],
    edge_A: float,
    generator: np.random.Generator,
) -> np.ndarray:
    occupied = Occupied(edge_A)
    found: dict[int, list[np.ndarray]] = {}
    # molecules first, the largest of them first: what is rigid finds no room later, a chain winds through
    for place in sorted(range(len(molecules)), key=lambda i: (molecules[i].name in chains, -molecules[i].size)):
        kind = molecules[place]
        if kind.name not in chains:
            found[place] = insert(geometries[kind.name], kind.count, occupied, generator, TRIES)
            continue
        found[place] = []
        # kinds of one polymer are in the order of its chains, which sorting by size may change
        first = sum(m.count for m in molecules[:place] if m.name == kind.name)
        mine = {context: one for (name, context), one in shapes.items() if name == kind.name}
        for number in range(first, first + kind.count):
            chain = grow(list(contexts(chains[kind.name], number)), mine, occupied, generator)
            occupied.settle(chain)
            found[place].append(chain)
    return np.concatenate([x for place in range(len(molecules)) for x in found[place]])


def compressed(
    built: BuiltSystem, molecules: Sequence[Kind], positions_A: np.ndarray, loose_A: float, edge_A: float
) -> tuple[np.ndarray, float]:
    """The same box, each molecule whole, compressed to nearly the liquid's edge: positions (n, 3) in Å, and its edge.

    Raises:
        LmbmdError: if a bond is torn, or a bond runs through a ring.
    """
    goal = LEFT * edge_A
    positions = squeezed(built, positions_A, loose_A, goal, repeatable=True) * ANGSTROM_PER_NM
    check_whole(built, molecules, positions, goal)
    return positions, goal


def check_whole(built: BuiltSystem, molecules: Sequence[Kind], positions_A: np.ndarray, edge_A: float) -> None:
    """Refuse a box in which a bond is torn or runs through a ring.

    Raises:
        LmbmdError: naming the atoms.
    """
    bonds = built.bonds
    length = np.linalg.norm(positions_A[bonds[:, 0]] - positions_A[bonds[:, 1]], axis=1)
    longest = int(length.argmax())
    name, remedy = built.atoms.name, "Build with another seed."
    if not length[longest] < LONGEST_BOND_A:
        i, j = bonds[longest]
        what = f"the bond between atoms {i} ({name[i]}) and {j} ({name[j]}) is {length[longest]:.2f} Å long."
        raise LmbmdError(what, where="the packed box", remedy=remedy)
    rings, start = [], 0
    for kind in molecules:
        own = rings_of(kind.elements, kind.bonds)
        offsets = start + kind.size * np.arange(kind.count)
        rings += [np.array(ring) + offset for offset in offsets.tolist() for ring in own]
        start += kind.size * kind.count
    for ring, bond in threaded(positions_A, bonds, rings, edge_A):
        i, j = bonds[bond]
        what = f"the bond between atoms {i} and {j} runs through the ring of atom {rings[ring][0]}."
        raise LmbmdError(what, where="the packed box", remedy=remedy)
