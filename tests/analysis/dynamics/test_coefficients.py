"""Units and the images of a periodic box, against numbers from elsewhere."""

import numpy as np
import pytest

from lmbmd.analysis.dynamics.coefficients import (
    conductivity_S_m,
    deviators,
    diffusion_m2_s,
    image_constant_per_A,
    viscosity_mPa_s,
    without_images,
)
from lmbmd.numbers.estimate import Estimate

#: ξ of a cube (Yeh and Hummer, doi:10.1021/jp0477147).
YEH_HUMMER = 2.837297
FARADAY_C_MOL, GAS_J_MOL_K = 96485.33212, 8.314462618


def test_nernst_and_einstein_in_moles_say_the_same_as_in_ions():
    # 1 mol/L of a 1:1 salt whose ions have D = 1e-9 m²/s: σ = F² c (D₊ + D₋) / (R T).
    n, volume_A3, temperature_K = 100, 100 / 6.02214076e23 * 1e27, 300.0
    slope = 2 * n * 6 * 0.1  # D = 0.1 Å²/ps
    assert diffusion_m2_s(6 * 0.1) == pytest.approx(1e-9)
    expected = FARADAY_C_MOL**2 * 1000.0 * 2e-9 / (GAS_J_MOL_K * temperature_K)
    assert conductivity_S_m(slope, volume_A3, temperature_K) == pytest.approx(expected, rel=1e-8)


def test_viscosity_in_units_of_the_si():
    # (100 bar)² over 1 ps in (3 nm)³ at 300 K.
    expected = 27e-27 / (1.380649e-23 * 300.0) * (100e5) ** 2 * 1e-12
    assert viscosity_mPa_s(100.0**2, 27e3, 300.0) == pytest.approx(1e3 * expected)


def test_the_constant_of_a_cube_is_that_of_yeh_and_hummer_by_whichever_vectors_it_is_told():
    assert 25.0 * image_constant_per_A(np.eye(3) * 25.0) == pytest.approx(YEH_HUMMER, abs=1e-6)
    skewed = np.array([[1, 0, 0], [1, 1, 0], [-1, 2, 1]]) * 25.0
    assert 25.0 * image_constant_per_A(skewed) == pytest.approx(YEH_HUMMER, abs=1e-6)


def test_the_constants_of_other_cells_are_the_wigner_constants_of_their_lattices():
    # Energies of Wigner crystals: −0.895930 (bcc), −0.895874 (fcc) and −0.880059 (simple cubic) e²/r_s per particle,
    # half of the potential. Coldwell-Horsfall, Maradudin, J. Math. Phys. 1, 395 (1960), doi:10.1063/1.1703670.
    unit = (3 / (4 * np.pi)) ** (1 / 3)
    fcc = np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) * 15.0
    bcc = np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) * 15.0
    for box, expected in ((bcc, 2 * 0.895930), (fcc, 2 * 0.895874), (np.eye(3) * 15.0, 2 * 0.880059)):
        length = abs(np.linalg.det(box)) ** (1 / 3)
        assert unit * length * image_constant_per_A(box) == pytest.approx(expected, abs=3e-6)


def test_a_longer_box_has_images_further_away_in_one_direction_only():
    cube, long = np.eye(3) * 20.0, np.diag([20.0, 20.0, 30.0])
    assert image_constant_per_A(long) < image_constant_per_A(cube)


def test_the_five_components_of_a_symmetric_tensor_hold_all_of_it_but_the_trace():
    rng = np.random.default_rng(5)
    half = rng.normal(size=(50, 3, 3))
    tensor = half + half.transpose(0, 2, 1) + 1e3 * np.eye(3)
    columns = np.column_stack([tensor[:, i, j] for i, j in ((0, 0), (1, 1), (2, 2), (0, 1), (0, 2), (1, 2))])
    traceless = tensor - np.trace(tensor, axis1=1, axis2=2)[:, None, None] / 3 * np.eye(3)
    np.testing.assert_allclose(
        2 * np.sum(deviators(columns) ** 2, axis=1), np.sum(traceless**2, axis=(1, 2)), rtol=1e-9
    )


def test_the_correction_for_the_box_is_that_of_a_published_case_and_has_the_error_of_both():
    """Water at 298 K, 0.9 mPa s, L = 2.5 nm: 2.837297 k T / (6 π η L) in SI units."""
    cube, kT = np.eye(3) * 25.0, 1.380649e-23 * 298.0
    shift = YEH_HUMMER * kT / (6 * np.pi * 0.9e-3 * 2.5e-9)
    assert shift == pytest.approx(0.275e-9, abs=0.001e-9)
    diffusion = Estimate(2e-9, 0.05e-9, 50, 49)
    found = without_images(diffusion, Estimate(0.9, 0.09, 50, 49), cube, 298.0)
    assert found.value == pytest.approx(2e-9 + shift, rel=1e-6)
    assert found.error == pytest.approx(np.hypot(0.05e-9, 0.1 * shift), rel=1e-6)
    assert found.degrees_of_freedom > 49
    few = without_images(diffusion, Estimate(0.9, 0.9, 4, 3), cube, 298.0)
    assert few.error == pytest.approx(np.hypot(0.05e-9, shift), rel=1e-6) and 3.0 < few.degrees_of_freedom < 3.5
