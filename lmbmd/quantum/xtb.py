"""Energies, forces and orbitals by GFN2-xTB (10.1021/acs.jctc.8b01176), through tblite, which is optional."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize

from lmbmd.core.errors import LmbmdError
from lmbmd.core.units import BOHR_A, DEBYE_PER_AU, HARTREE_EV, HARTREE_KJ_MOL
from lmbmd.quantum.solution import NotConverged, Solution, about_mass_centre, check_closed, lowdin

#: Accuracy of the self-consistent charges, and the largest force left (hartree/bohr): for comparing conformers, and for
#: the minimum of which a Hessian is made.
ROUGH, FINE = (1.0, 2e-4), (0.01, 1e-6)
#: Heaviest element with parameters.
LAST_ELEMENT = 86
#: Of the spring that keeps a distance, hartree/bohr²: a force of 0.02 hartree/bohr moves it by 0.005 Å.
SPRING = 2.0
#: Energy (hartree) and gradient (hartree/bohr) at positions in bohr, both (n, 3).
Surface = Callable[[np.ndarray], tuple[float, np.ndarray]]


def calculator_class() -> Any:
    """Of tblite.

    Raises:
        LmbmdError: if tblite is not installed.
    """
    try:
        from tblite.interface import Calculator
    except ImportError as error:
        raise LmbmdError(
            "tblite, which computes GFN2-xTB, is not installed.", remedy="Install it: pip install 'lmbmd[quantum]'."
        ) from error
    return Calculator


def gfn2(
    numbers: np.ndarray,
    charge: int,
    accuracy: float = ROUGH[0],
    permittivity: float | None = None,
    field_au: np.ndarray | None = None,
) -> Surface:
    """GFN2-xTB of these atomic numbers, in vacuum or in a generalised Born dielectric, and in a uniform electric field.

    Raises:
        LmbmdError: if tblite is not installed.
        NotConverged: from the surface.
    """
    calculator = _calculator(numbers, np.eye(len(numbers), 3) + np.arange(len(numbers))[:, None], charge, permittivity)
    calculator.set("accuracy", accuracy)
    if field_au is not None:
        from tblite import library

        untyped: Any = library
        # tblite 0.8 takes no array here.
        calculator.add("electric-field", untyped.ffi.new("double[3]", field_au.tolist()))

    def surface(x: np.ndarray) -> tuple[float, np.ndarray]:
        calculator.update(x)
        result = _singlepoint(calculator)
        return result.get("energy"), result.get("gradient")

    return surface


def _calculator(numbers: np.ndarray, x_bohr: np.ndarray, charge: int, permittivity: float | None) -> Any:
    if numbers.max() > LAST_ELEMENT:
        raise LmbmdError(
            f"GFN2-xTB has no parameters for element {numbers.max()}.", remedy="Leave its bottle out of 'quantum'."
        )
    calculator = calculator_class()("GFN2-xTB", numbers, x_bohr, charge)
    calculator.set("verbosity", 0)
    if permittivity is not None:
        calculator.add("gbe-solvation", permittivity, "p16")
    return calculator


def _singlepoint(calculator: Any) -> Any:
    try:
        return calculator.singlepoint()
    except RuntimeError as error:
        raise NotConverged(" ".join(str(error).split())) from error


def solve(numbers: np.ndarray, positions_A: np.ndarray, charge: int, permittivity: float | None = None) -> Solution:
    """Energy, orbitals and dipole of a closed shell.

    Args:
        numbers: (n,) atomic numbers.
        positions_A: (n, 3).
        charge: e.
        permittivity: of the dielectric round them (GBε with the P16 kernel, 10.1021/acs.jctc.1c00471); in vacuum if
            None.

    Raises:
        LmbmdError: if tblite is not installed, has no parameters for an element, or an electron is left alone.
        NotConverged: if the charges do not become self-consistent.
    """
    x = about_mass_centre(numbers, positions_A) / BOHR_A
    calculator = _calculator(numbers, x, charge, permittivity)
    check_closed(numbers, charge)
    calculator.set("save-integrals", 1)
    result = _singlepoint(calculator)
    shell = np.asarray(calculator.get("orbital-map"))
    atom = np.asarray(calculator.get("shell-map"))[shell]
    share = lowdin(result.get("orbital-coefficients"), result.get("overlap-matrix"), atom, len(numbers))
    return Solution(
        HARTREE_KJ_MOL * float(result.get("energy")),
        HARTREE_EV * np.asarray(result.get("orbital-energies")),
        round(float(np.sum(result.get("orbital-occupations"))) / 2),
        share,
        DEBYE_PER_AU * np.asarray(result.get("dipole")),
    )


def relax(
    surface: Surface,
    positions_A: np.ndarray,
    force: float = ROUGH[1],
    steps: int = 1000,
    change: float = 1e-10,
    kept: Sequence[tuple[int, int]] = (),
    frozen: np.ndarray | None = None,
) -> tuple[float, np.ndarray]:
    """Energy (kJ/mol) and positions (Å) of the minimum below ``positions_A``.

    Args:
        force: largest that is left, hartree/bohr.
        steps: at most.
        change: of the energy, relative, at which it stops.
        kept: pairs of atoms whose distance stays as it is, within about 0.01 Å (``SPRING``).
        frozen: (n,) bool, atoms that stay where they are.

    Raises:
        NotConverged: if that many steps do not reach it, or no step lowers the energy any more while larger forces are
            left.
    """
    shape, start = positions_A.shape, positions_A / BOHR_A
    pairs = np.array(kept, int).reshape(-1, 2)
    wanted = np.linalg.norm(start[pairs[:, 0]] - start[pairs[:, 1]], axis=1)
    moving = np.ones(shape[0], bool) if frozen is None else ~frozen

    def springs(x: np.ndarray) -> tuple[float, np.ndarray]:
        apart = x[pairs[:, 0]] - x[pairs[:, 1]]
        length = np.linalg.norm(apart, axis=1)
        pull = SPRING * (length - wanted)
        gradient = np.zeros(shape)
        np.add.at(gradient, pairs[:, 0], (pull / length)[:, None] * apart)
        np.add.at(gradient, pairs[:, 1], -(pull / length)[:, None] * apart)
        return 0.5 * float(pull @ (length - wanted)), gradient

    def flat(some: np.ndarray) -> tuple[float, np.ndarray]:
        x = start.copy()
        x[moving] = some.reshape(-1, 3)
        energy, gradient = surface(x)
        more, pull = springs(x)
        return energy + more, np.ravel((gradient + pull)[moving])

    options = {"maxiter": steps, "gtol": force, "ftol": change}
    found = minimize(flat, np.ravel(start[moving]), jac=True, method="L-BFGS-B", options=options)
    left = float(np.abs(found.jac).max())
    if not found.success and left > force:
        raise NotConverged(
            f"not at rest after {found.nit} of {steps} steps: a force of {left:.2g} hartree/bohr is left"
        )
    x = start.copy()
    x[moving] = found.x.reshape(-1, 3)
    return HARTREE_KJ_MOL * (found.fun - springs(x)[0]), BOHR_A * x
