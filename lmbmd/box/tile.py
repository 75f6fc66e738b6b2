"""A box put together from tiles: a small cube of the liquid, packed and compressed once, beside itself."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import openmm

from lmbmd.box.packing import pack
from lmbmd.box.squeeze import squeezed
from lmbmd.box.system import build_system
from lmbmd.core.units import ANGSTROM3_PER_CM3, ANGSTROM_PER_NM, AVOGADRO_PER_MOL
from lmbmd.forcefield.parameters import ParameterSet
from lmbmd.formulation.composition import Composition

#: A tile is packed in a cube wider by this, which takes packmol a second instead of a minute, and then compressed.
LOOSE = 1.2


def tiling(box_edge_A: float, tile_edge_A: float) -> tuple[int, int, int]:
    """How many tiles along each axis make a cube of that edge: the most whose volume is not below the smallest's."""
    most = int(box_edge_A // tile_edge_A) + 1
    # 1·1·1, 1·1·2, 1·2·2, 2·2·2, 2·2·3 …: as near to a cube as their number allows
    edges = range(1, most + 1)
    shapes = [s for s in product(edges, edges, edges) if s[0] <= s[1] <= s[2] <= s[0] + 1]
    fit = [s for s in shapes if box_edge_A**3 / math.prod(s) >= tile_edge_A**3]
    return max(fit, key=math.prod, default=(1, 1, 1))


def tile(composition: Composition, n_tiles: int) -> tuple[dict[str, int], float]:
    """Molecules by species and edge in Å of one of so many tiles, at the box's own density (ideal mixing).

    Each ingredient's formula units are shared out, at least one to a tile, so that it is neutral.
    """
    counts = dict.fromkeys((s for s, n in composition.counts.items() if n), 0)
    volume_cm3 = 0.0
    for ingredient in composition.ingredients:
        units = max(1, round(ingredient.units / n_tiles))
        volume_cm3 += units * ingredient.molar_volume_cm3_mol / AVOGADRO_PER_MOL
        for species, n in ingredient.species.items():
            counts[species] += n * units
    return counts, (volume_cm3 * ANGSTROM3_PER_CM3) ** (1 / 3)


def liquid(composition: Composition, counts: dict[str, int], parameters: ParameterSet, edge_A: float) -> np.ndarray:
    """Positions (n, 3) in nm of a minimised cube of ``edge_A``: packed loosely by packmol, then compressed."""
    built = build_system(counts, composition.roles, parameters, composition.ion_charge_scale, edge_A)
    geometries = {s: (parameters.elements(s), parameters.geometry(s)) for s in counts}
    packed = pack(counts, geometries, LOOSE * edge_A, composition.seed)
    return squeezed(built, packed.positions, packed.edge_A, edge_A)


def repeated(
    composition: Composition,
    counts: dict[str, int],
    parameters: ParameterSet,
    edge_A: float,
    positions_nm: np.ndarray,
    repeat: tuple[int, int, int],
) -> tuple[openmm.System, np.ndarray, np.ndarray]:
    """A tile beside itself: System, positions (n, 3) in nm, box (3, 3) in nm."""
    many = {species: n * int(np.prod(repeat)) for species, n in counts.items()}
    system = build_system(many, composition.roles, parameters, composition.ion_charge_scale, edge_A).system
    shifts = np.array(list(np.ndindex(*repeat))) * edge_A / ANGSTROM_PER_NM
    sizes = [n * len(parameters.elements(species)) for species, n in counts.items()]
    pieces = np.split(positions_nm, np.cumsum(sizes)[:-1])
    # The atoms of a box are in order of species, so each species is repeated by itself.
    positions = np.concatenate([(shifts[:, None] + piece[None]).reshape(-1, 3) for piece in pieces])
    box = np.diag(np.array(repeat, float) * edge_A / ANGSTROM_PER_NM)
    system.setDefaultPeriodicBoxVectors(*box)
    return system, positions, box
