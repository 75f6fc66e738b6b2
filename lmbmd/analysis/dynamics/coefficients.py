"""From slopes of displacements and integrals of pressures to coefficients of transport, and to a box without end."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.special import erfc

from lmbmd.core.units import BOLTZMANN_J_K
from lmbmd.data.cell import Cell
from lmbmd.numbers.compare import combined
from lmbmd.numbers.estimate import Estimate

ELEMENTARY_C = 1.602176634e-19
#: ε₀ (CODATA 2018).
VACUUM_F_M = 8.8541878128e-12
#: Å²/ps in m²/s.
_A2_PER_PS = 1e-8
_A3 = 1e-30
_BAR2_PS = 1e10 * 1e-12
_MPA = 1e3


def diffusion_m2_s(slope: float) -> float:
    """D = slope / 6 from d<|Δr|²>/dt in Å²/ps, in m²/s."""
    return slope / 6.0 * _A2_PER_PS


def conductivity_S_m(slope: float, volume_A3: float, temperature_K: float) -> float:
    """σ = slope / (6 V k T) from d<ΔP·ΔP>/dt, P = Σ q r, in e² Å²/ps; in S/m."""
    return slope / 6.0 * _A2_PER_PS * ELEMENTARY_C**2 / (volume_A3 * _A3 * BOLTZMANN_J_K * temperature_K)


def viscosity_mPa_s(integral: float, volume_A3: float, temperature_K: float) -> float:
    """η = V / (k T) ∫<p(0) p(t)> dt of a deviator of the pressure, from the integral in bar² ps; in mPa s."""
    return integral * _BAR2_PS * volume_A3 * _A3 / (BOLTZMANN_J_K * temperature_K) * _MPA


def deviators(tensor: np.ndarray) -> np.ndarray:
    """Five independent components of the pressure without its trace, alike in an isotropic liquid.

    Twice the sum of their squares is the sum over all nine of the traceless tensor (Daivis and Evans,
    doi:10.1063/1.466970).

    Args:
        tensor: xx, yy, zz, xy, xz, yz in columns, shape (samples, 6).

    Returns:
        xy, xz, yz, (xx − yy)/2 and (2 zz − xx − yy)/√12, shape (samples, 5), in the same unit.
    """
    xx, yy, zz, xy, xz, yz = tensor.T
    return np.column_stack([xy, xz, yz, (xx - yy) / 2, (2 * zz - xx - yy) / np.sqrt(12)])


def permittivity(square_e2_A: float, temperature_K: float) -> float:
    """ε = 1 + <M·M> / (3 ε₀ V k T) from the mean square of one component of M / √V, in e²/Å.

    Of a periodic box whose surroundings conduct, as the Ewald sum has it by default.

    References:
        Neumann, Mol. Phys. 50, 841 (1983), doi:10.1080/00268978300102721.
    """
    return 1.0 + square_e2_A * ELEMENTARY_C**2 / (1e-10 * VACUUM_F_M * BOLTZMANN_J_K * temperature_K)


def image_constant_per_A(box_A: np.ndarray) -> float:
    """ξ / L of a periodic cell of any shape, in 1/Å; for a cube ξ = 2.837297.

    The drag of a particle's own images, averaged over directions, is kT / (6 π η) times minus the Wigner potential of
    the lattice: the potential of unit charges at its points, in a neutralising background, at one of them without its
    own. For the trace of the Oseen tensor in reciprocal space goes with 1 / k², as the Coulomb potential does.

    Args:
        box_A: (3, 3) lattice vectors as rows, Å.

    References:
        Yeh, Hummer, J. Phys. Chem. B 108, 15873 (2004), doi:10.1021/jp0477147 (cubes).
        Hasimoto, J. Fluid Mech. 5, 317 (1959), doi:10.1017/S0022112059000222.
    """
    cell = Cell(box_A).reduced
    volume, alpha = cell.volume_A3, np.sqrt(np.pi) / cell.volume_A3 ** (1 / 3)
    # Terms beyond these are below e⁻⁵⁰.
    reach = 7.5 / alpha
    points = _lattice(cell.vectors_A, reach)
    far = np.linalg.norm(points, axis=1)
    waves = _lattice(2 * np.pi * cell.inverse_per_A.T, 15.0 * alpha)
    k2 = (waves**2).sum(axis=1)
    real = (erfc(alpha * far) / far).sum() - np.pi / (volume * alpha**2)
    reciprocal = (4 * np.pi / volume * np.exp(-k2 / (4 * alpha**2)) / k2).sum()
    return float(2 * alpha / np.sqrt(np.pi) - real - reciprocal)


def _lattice(vectors: np.ndarray, reach: float) -> np.ndarray:
    """Points of a lattice up to a distance from the origin, without it."""
    most = np.ceil(reach / Cell(vectors).widths_A).astype(int)
    steps = np.stack(np.meshgrid(*[np.arange(-m, m + 1) for m in most], indexing="ij"), -1).reshape(-1, 3)
    points = steps[(steps != 0).any(axis=1)] @ vectors
    return points[(points**2).sum(axis=1) <= reach**2]


def without_images(diffusion: Estimate, viscosity: Estimate, box_A: np.ndarray, temperature_K: float) -> Estimate:
    """Self-diffusion in a box without end: D + kT ξ / (6 π η L) (Yeh and Hummer), the error of η included.

    Args:
        diffusion: m²/s, in the periodic box.
        viscosity: of the same state point, mPa s.
        box_A: (3, 3) lattice vectors, Å.
    """
    drag = 6 * np.pi * viscosity.value / _MPA
    shift = BOLTZMANN_J_K * temperature_K * image_constant_per_A(box_A) * 1e10 / drag
    parts = diffusion.error, shift * viscosity.error / viscosity.value
    error, freedom = combined(parts[0], diffusion.degrees_of_freedom, parts[1], viscosity.degrees_of_freedom)
    value = diffusion.value + shift
    return replace(diffusion, value=value, error=float(error), degrees_of_freedom=float(freedom))
