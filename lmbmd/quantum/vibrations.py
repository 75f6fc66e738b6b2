"""Harmonic vibrations of one molecule among others that do not move, and the band of a bond or of two.

Theory: docs/theory/energies.md.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmbmd.core.units import BOHR_A
from lmbmd.quantum.xtb import Surface

#: Of the numerical Hessian, bohr.
STEP_BOHR = 0.01
#: Wavenumber (1/cm) of a force constant of one hartree/bohr² and a mass of one amu: √(E_h / a₀² / m_u) / 2πc.
PER_CM = 5140.4871


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
