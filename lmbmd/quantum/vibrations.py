"""Harmonic vibrations of one molecule among others that do not move, and the band of a bond or of two.

Theory: docs/theory/energies.md.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from lmbmd.core.units import BOHR_A
from lmbmd.quantum.solution import NotConverged
from lmbmd.quantum.xtb import Surface

#: Of the numerical Hessian, bohr.
STEP_BOHR = 0.01
#: Wavenumber (1/cm) of a force constant of one hartree/bohr² and a mass of one amu: √(E_h / a₀² / m_u) / 2πc.
PER_CM = 5140.4871
#: Bound of the error of a mode that is followed by itself, 1/cm.
TRACKED_CM = 4.0
#: Electric field of finite differences, hartree/(e bohr).
FIELD_AU = 0.003


def partial_hessian(surface: Surface, positions_A: np.ndarray, moving: Sequence[int]) -> np.ndarray:
    """Second derivatives of the energy with the moving atoms, all others frozen: (3 m, 3 m), hartree/bohr².

    Central differences of the gradient, 6 m of them, made symmetric.
    """
    x, rows = positions_A / BOHR_A, []
    for atom in moving:
        for axis in range(3):
            ends = []
            for sign in (1, -1):
                moved = x.copy()
                moved[atom, axis] += sign * STEP_BOHR
                ends.append(surface(moved)[1][list(moving)].ravel())
            rows.append((ends[0] - ends[1]) / (2 * STEP_BOHR))
    found = np.array(rows)
    return 0.5 * (found + found.T)


def wavenumbers_cm(hessian: np.ndarray, mass_amu: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Wavenumbers (3 m,), imaginary ones negative, and modes (3 m, 3 m): mass-weighted unit vectors, one a column."""
    root = np.sqrt(np.repeat(mass_amu, 3))
    value, mode = np.linalg.eigh(hessian / np.outer(root, root))
    return np.sign(value) * PER_CM * np.sqrt(np.abs(value)), mode


def stretch(positions_A: np.ndarray, bonds: Sequence[tuple[int, int]], mass_amu: np.ndarray) -> np.ndarray:
    """The motion along which these bonds lengthen together, as a mass-weighted unit vector (3 m,)."""
    along = np.zeros_like(positions_A)
    for a, b in bonds:
        unit = (positions_A[a] - positions_A[b]) / np.linalg.norm(positions_A[a] - positions_A[b])
        along[a] += unit
        along[b] -= unit
    found = (along / np.sqrt(mass_amu)[:, None]).ravel()
    return found / np.linalg.norm(found)


def band_cm(
    wavenumber_cm: np.ndarray, mode: np.ndarray, motion: np.ndarray, window_cm: tuple[float, float]
) -> tuple[float, float]:
    """The band of a motion: of the modes in a window, the one that is most of it; its wavenumber, and how much it is.

    NaN if no mode lies in the window.
    """
    inside = np.flatnonzero((wavenumber_cm > window_cm[0]) & (wavenumber_cm < window_cm[1]))
    if not len(inside):
        return float("nan"), 0.0
    overlap = (motion @ mode[:, inside]) ** 2
    best = int(overlap.argmax())
    return float(wavenumber_cm[inside[best]]), float(overlap[best])


def product(
    surface: Surface, positions_A: np.ndarray, moving: Sequence[int], mass_amu: np.ndarray
) -> Callable[[np.ndarray], np.ndarray]:
    """From a mass-weighted unit vector (3 m,) to the mass-weighted partial Hessian times it, hartree/bohr²/amu.

    A central difference: two gradients, the atom that moves most by ``2 STEP_BOHR`` to either side.
    """
    x, root = positions_A / BOHR_A, np.sqrt(np.repeat(mass_amu, 3))

    def times(vector: np.ndarray) -> np.ndarray:
        step = (vector / root).reshape(-1, 3)
        step *= (size := 2 * STEP_BOHR / np.linalg.norm(step, axis=1).max())
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[list(moving)] += sign * step
            ends.append(surface(moved)[1][list(moving)].ravel())
        return (ends[0] - ends[1]) / (2 * size) / root

    return times


def tracked(
    times: Callable[[np.ndarray], np.ndarray],
    motion: np.ndarray,
    like: np.ndarray,
    within_cm: float = TRACKED_CM,
    most: int = 20,
) -> tuple[float, float]:
    """The mode that is most of a motion, without the whole Hessian (10.1063/1.1523908): wavenumber and share.

    The Hessian is known in the space of a few vectors, the motion the first; of the modes there the one with the
    largest share of the motion is taken, and its residual, divided by a rough Hessian, is the next vector. The
    eigenvalue is then within the residual of a true one. A share above one half is that of no other mode.

    Args:
        times: ``product``.
        motion: (3 m,) mass-weighted unit vector.
        like: (3 m, 3 m) rough mass-weighted Hessian.
        within_cm: bound of the error at which it stops, 1/cm; the error itself is of second order in it.
        most: vectors.

    Raises:
        NotConverged: if that many do not find it.
    """
    value, vector = np.linalg.eigh(like)
    space, images = [motion / np.linalg.norm(motion)], [times(motion / np.linalg.norm(motion))]
    while True:
        basis, image = np.array(space).T, np.array(images).T
        small = basis.T @ image
        energies, mixed = np.linalg.eigh(0.5 * (small + small.T))
        best = int(((motion @ basis @ mixed) ** 2).argmax())
        here, mode = float(energies[best]), basis @ mixed[:, best]
        residual = image @ mixed[:, best] - here * mode
        bound = PER_CM * float(np.linalg.norm(residual)) / (2 * np.sqrt(max(here, 1e-9)))
        if bound < within_cm or len(space) == len(motion):
            return float(np.sign(here) * PER_CM * np.sqrt(abs(here))), float((motion @ mode) ** 2)
        if len(space) == most:
            raise NotConverged(f"the band was not found with {most} vectors: within {bound:.0f} 1/cm")
        apart = value - here
        apart = np.where(apart < 0, -1, 1) * np.maximum(np.abs(apart), 0.05 * abs(here))
        against, along = (vector @ ((vector.T @ one) / apart) for one in (residual, mode))
        new = (mode @ against) / (mode @ along) * along - against
        for _ in range(2):
            new -= basis @ (basis.T @ new)
            new /= np.linalg.norm(new)
        space.append(new)
        images.append(times(new))


def polarisability_gradient(in_field: Callable[[np.ndarray], Surface], positions_A: np.ndarray) -> np.ndarray:
    """Derivatives of the mean polarisability α = (α_xx + α_yy + α_zz) / 3 with the positions: (n, 3), bohr².

    The energy has the part −½ α_aa F_a² in a field, so that dα_aa/dx is minus the second derivative of the gradient
    with the field (10.1063/1.438017): central differences of seven gradients.

    Args:
        in_field: gives the method's surface in a uniform field (3,), hartree/(e bohr).
        positions_A: (n, 3).
    """
    x = positions_A / BOHR_A
    without = in_field(np.zeros(3))(x)[1]
    total = np.zeros_like(x)
    for along in FIELD_AU * np.eye(3):
        total -= (in_field(along)(x)[1] + in_field(-along)(x)[1] - 2 * without) / FIELD_AU**2
    return total / 3


def isotropic_raman_A4_amu(gradient_bohr2: np.ndarray, mode: np.ndarray, mass_amu: np.ndarray) -> np.ndarray:
    """Isotropic Raman activity of each mode, 45 (dα/dQ)², (n_modes,): what is measured as I_∥ − 4/3 I_⊥."""
    along = (gradient_bohr2 / np.sqrt(mass_amu)[:, None]).ravel() @ mode
    return 45 * along**2 * BOHR_A**4


def raman_band_cm(
    wavenumber_cm: np.ndarray, activity: np.ndarray, window_cm: tuple[float, float]
) -> tuple[float, float]:
    """The strongest Raman line of a window: its wavenumber, and its share of all activity in the window.

    It is what the top of a measured band shows, however the motions of bonds are mixed in it. NaN if no mode lies in
    the window.
    """
    inside = np.flatnonzero((wavenumber_cm > window_cm[0]) & (wavenumber_cm < window_cm[1]))
    if not len(inside):
        return float("nan"), 0.0
    best = inside[activity[inside].argmax()]
    return float(wavenumber_cm[best]), float(activity[best] / activity[inside].sum())
