"""Fine minima and Hessians of molecules by GFN2-xTB (``lmbmd.quantum.xtb``)."""

from __future__ import annotations

import numpy as np
from rdkit import Chem

from lmbmd.core.units import BOHR_A, HARTREE_KJ_MOL
from lmbmd.quantum.xtb import FINE, ROUGH, Surface, gfn2, relax

#: Of the numerical Hessian, bohr.
STEP = 0.005
#: Of a fine minimum, steps at most and the change of the energy at which it stops.
FINE_STEPS, FINE_CHANGE = 2000, 1e-14


def of(molecule: Chem.Mol, accuracy: float = ROUGH[0]) -> Surface:
    """GFN2-xTB of a molecule with explicit hydrogens."""
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    return gfn2(numbers, Chem.GetFormalCharge(molecule), accuracy)


def fine_minimum(molecule: Chem.Mol, positions_A: np.ndarray) -> np.ndarray:
    """Minimum (Å) below ``positions_A`` of which a Hessian can be made."""
    return relax(of(molecule, FINE[0]), positions_A, FINE[1], FINE_STEPS, FINE_CHANGE)[1]


def hessian(molecule: Chem.Mol, positions_A: np.ndarray) -> np.ndarray:
    """Central differences of the gradient, (3 n, 3 n), kJ/mol/Å²."""
    surface, flat = of(molecule, FINE[0]), np.ravel(positions_A / BOHR_A)
    rows = []
    for k in range(flat.size):
        ends = [surface((flat + sign * STEP * np.eye(1, flat.size, k)[0]).reshape(-1, 3))[1] for sign in (1, -1)]
        rows.append(np.ravel(ends[0] - ends[1]) / (2 * STEP))
    return 0.5 * (np.array(rows) + np.array(rows).T) * HARTREE_KJ_MOL / BOHR_A**2
