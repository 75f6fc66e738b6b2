"""Energies, geometries and Hessians by GFN2-xTB (10.1021/acs.jctc.8b01176), through tblite, which is optional."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from rdkit import Chem
from scipy.optimize import minimize

from lmbmd.core.errors import LmbmdError
from lmbmd.core.units import BOHR_A, HARTREE_KJ_MOL

#: Of the numerical Hessian, bohr.
STEP = 0.005
#: Accuracy of the self-consistent charges, and the largest force left (hartree/bohr): for comparing conformers, and for
#: the minimum of which a Hessian is made.
ROUGH, FINE = (1.0, 2e-4), (0.01, 1e-6)
#: Of a fine minimum, steps at most and the change of the energy at which it stops.
FINE_STEPS, FINE_CHANGE = 2000, 1e-14
#: Energy (hartree) and gradient (hartree/bohr) at positions in bohr, both (n, 3).
Surface = Callable[[np.ndarray], tuple[float, np.ndarray]]


def gfn2(numbers: np.ndarray, charge: int, accuracy: float = ROUGH[0]) -> Surface:
    """GFN2-xTB of these atomic numbers.

    Raises:
        LmbmdError: if tblite is not installed.
    """
    try:
        from tblite.interface import Calculator
    except ImportError as error:
        raise LmbmdError(
            "tblite, which computes GFN2-xTB, is not installed.", remedy="Install it: 'pip install tblite'."
        ) from error
    calculator = Calculator("GFN2-xTB", numbers, np.eye(len(numbers), 3) + np.arange(len(numbers))[:, None], charge)
    calculator.set("verbosity", 0)
    calculator.set("accuracy", accuracy)

    def surface(x: np.ndarray) -> tuple[float, np.ndarray]:
        calculator.update(x)
        result = calculator.singlepoint()
        return result.get("energy"), result.get("gradient")

    return surface


def of(molecule: Chem.Mol, accuracy: float = ROUGH[0]) -> Surface:
    """GFN2-xTB of a molecule with explicit hydrogens."""
    numbers = np.array([atom.GetAtomicNum() for atom in molecule.GetAtoms()])
    return gfn2(numbers, Chem.GetFormalCharge(molecule), accuracy)


def relax(
    surface: Surface, positions_A: np.ndarray, force: float = ROUGH[1], steps: int = 1000, change: float = 1e-10
) -> tuple[float, np.ndarray]:
    """Energy (kJ/mol) and positions (Å) of the minimum below ``positions_A``.

    Args:
        force: largest that is left, hartree/bohr.
        steps: at most.
        change: of the energy, relative, at which it stops.
    """
    shape = positions_A.shape

    def flat(x: np.ndarray) -> tuple[float, np.ndarray]:
        energy, gradient = surface(x.reshape(shape))
        return energy, np.ravel(gradient)

    options = {"maxiter": steps, "gtol": force, "ftol": change}
    found = minimize(flat, np.ravel(positions_A / BOHR_A), jac=True, method="L-BFGS-B", options=options)
    return HARTREE_KJ_MOL * found.fun, BOHR_A * found.x.reshape(shape)


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
