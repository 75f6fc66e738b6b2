"""A loose box compressed: units moved together a few per cent at a time, and minimised each time."""

from __future__ import annotations

import numpy as np
import openmm

from lmbmd.box.system import BuiltSystem
from lmbmd.core.units import ANGSTROM_PER_NM

#: A loose box is compressed by so much at a time, minimised for so many iterations each.
SQUEEZE, SQUEEZE_ITERATIONS = 0.97, 20


def squeezed(
    built: BuiltSystem, positions_A: np.ndarray, edge_A: float, goal_A: float, *, repeatable: bool = False
) -> np.ndarray:
    """Positions (n, 3) in nm of the same box at the edge ``goal_A``, minimised at each step on the way.

    The centre of every unit (of a small molecule, the molecule) moves with the box, and the unit with it unchanged; the
    bonds between the units of a chain, a few hundredths of an Å too short then, are mended by the minimiser.

    Args:
        positions_A: (n, 3), molecules whole.
        repeatable: the same numbers each time, which takes one thread.
    """
    platform = openmm.Platform.getPlatformByName("CPU")
    properties = {"Threads": "1", "DeterministicForces": "true"} if repeatable else {}
    context = openmm.Context(built.system, openmm.VerletIntegrator(0.001), platform, properties)
    positions, edge, goal = positions_A / ANGSTROM_PER_NM, edge_A / ANGSTROM_PER_NM, goal_A / ANGSTROM_PER_NM
    atoms = built.atoms
    first = atoms.first_atom_of_unit[:-1]
    masses = np.add.reduceat(atoms.mass_amu, first)[:, None]
    while True:
        new = max(SQUEEZE * edge, goal)
        centres = np.add.reduceat(positions * atoms.mass_amu[:, None], first) / masses
        positions = positions + ((new / edge - 1) * centres)[atoms.unit]
        edge = new
        context.setPeriodicBoxVectors((edge, 0, 0), (0, edge, 0), (0, 0, edge))
        context.setPositions(positions)
        openmm.LocalEnergyMinimizer.minimize(context, maxIterations=SQUEEZE_ITERATIONS)
        positions = context.getState(positions=True).getPositions(asNumpy=True)._value
        if edge == goal:
            return positions
