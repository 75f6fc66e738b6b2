"""Vibrations of a molecule among frozen ones: springs whose frequencies are known, and a Hessian made otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from quantum_shells import WATER
from rdkit import Chem
from scipy import constants

from lmbmd.core.units import BOHR_A, HARTREE_KJ_MOL
from lmbmd.forcefield.parametrize.quantum import xtb as molecules
from lmbmd.quantum import dft
from lmbmd.quantum.vibrations import (
    PER_CM,
    band_cm,
    isotropic_raman_A4_amu,
    partial_hessian,
    polarisability_gradient,
    raman_band_cm,
    stretch,
    wavenumbers_cm,
)
from lmbmd.quantum.xtb import gfn2


def springs(pairs, k, rest_bohr):
    """Energy and gradient of atoms that are held by springs."""

    def surface(x):
        gradient, energy = np.zeros_like(x), 0.0
        for a, b in pairs:
            apart = x[a] - x[b]
            length = np.linalg.norm(apart)
            energy += 0.5 * k * (length - rest_bohr) ** 2
            pull = k * (length - rest_bohr) * apart / length
            gradient[a] += pull
            gradient[b] -= pull
        return energy, gradient

    return surface


def test_the_constant_is_that_of_the_natural_constants():
    hartree, bohr = constants.value("Hartree energy"), constants.value("Bohr radius")
    per_s = np.sqrt(hartree / bohr**2 / constants.value("atomic mass constant"))
    assert PER_CM == pytest.approx(per_s / (2 * np.pi * constants.c * 100), rel=1e-6)


def test_two_atoms_swing_with_their_reduced_mass_and_one_alone_with_its_own():
    x, surface = np.array([[0, 0, 0], [0, 0, 2.0]]) * BOHR_A, springs([(0, 1)], 0.4, 2.0)
    both, _ = wavenumbers_cm(partial_hessian(surface, x, [0, 1]), np.array([3.0, 6.0]))
    assert both.max() == pytest.approx(PER_CM * np.sqrt(0.4 / 2.0), rel=1e-5)
    assert np.abs(np.sort(both)[:-1]).max() < 20  # the finite step leaves a turn 8 cm⁻¹
    alone, _ = wavenumbers_cm(partial_hessian(surface, x, [1]), np.array([6.0]))
    assert alone.max() == pytest.approx(PER_CM * np.sqrt(0.4 / 6.0), rel=1e-5)


def test_the_band_of_two_bonds_is_their_symmetric_stretch():
    """A linear A–B–A: the symmetric stretch is √(k/m_A), the antisymmetric one √(k (1/m_A + 2/m_B))."""
    x = np.array([[0, 0, -2.0], [0, 0, 0], [0, 0, 2.0]]) * BOHR_A
    mass = np.array([16.0, 12.0, 16.0])
    w, modes = wavenumbers_cm(partial_hessian(springs([(0, 1), (1, 2)], 0.5, 2.0), x, [0, 1, 2]), mass)
    found, share = band_cm(w, modes, stretch(x, [(0, 1), (2, 1)], mass), (100.0, 3000.0))
    assert found == pytest.approx(PER_CM * np.sqrt(0.5 / 16.0), rel=1e-5) and share == pytest.approx(1.0)
    assert w.max() == pytest.approx(PER_CM * np.sqrt(0.5 * (1 / 16 + 2 / 12)), rel=1e-5)
    assert np.isnan(band_cm(w, modes, stretch(x, [(0, 1)], mass), (2900.0, 3000.0))[0])


def test_with_all_atoms_moving_it_is_the_whole_hessian():
    pytest.importorskip("tblite", reason="the extra 'quantum' is not installed")
    water = Chem.AddHs(Chem.MolFromSmiles("O"))
    x = molecules.fine_minimum(water, WATER)
    surface = gfn2(np.array([8, 1, 1]), 0, accuracy=0.01)
    found = partial_hessian(surface, x, [0, 1, 2]) * HARTREE_KJ_MOL / BOHR_A**2
    assert found == pytest.approx(molecules.hessian(water, x), abs=3.0)
    w, _ = wavenumbers_cm(partial_hessian(surface, x, [0, 1, 2]), np.array([15.999, 1.008, 1.008]))
    assert np.abs(np.sort(w)[:6]).max() < 60 and 1300 < np.sort(w)[6] < 1800 and 3300 < np.sort(w)[7] < 4000


def test_the_raman_activity_is_that_of_a_polarisability_which_is_known():
    """α_zz = 3 + 0.7 r and α_xx = α_yy = 2 + 0.1 r of two atoms on z: only their stretch is seen, by (0.9/3)²/μ."""
    slope = np.array([0.1, 0.1, 0.7])

    def in_field(field):
        def surface(x):
            r = x[1, 2] - x[0, 2]
            pull = 0.5 * (field**2 @ slope) + 0.3 * field[2]
            energy = -0.5 * field**2 @ (np.array([2, 2, 3]) + slope * r) - 0.3 * field[2] * r + 0.2 * (r - 2.0) ** 2
            gradient = np.zeros((2, 3))
            gradient[1, 2] = 0.4 * (r - 2.0) - pull
            gradient[0, 2] = -gradient[1, 2]
            return energy, gradient

        return surface

    x, mass = np.array([[0, 0, 0], [0, 0, 2.1]]) * BOHR_A, np.array([3.0, 6.0])
    change = polarisability_gradient(in_field, x)
    assert change == pytest.approx(np.array([[0, 0, -0.3], [0, 0, 0.3]]), abs=1e-8)
    w, mode = wavenumbers_cm(partial_hessian(in_field(np.zeros(3)), x, [0, 1]), mass)
    activity = isotropic_raman_A4_amu(change, mode, mass)
    assert activity[w.argmax()] == pytest.approx(45 * 0.3**2 * (1 / 3 + 1 / 6) * BOHR_A**4)
    assert np.delete(activity, w.argmax()).max() < 1e-10


def test_the_raman_band_is_the_strongest_line_of_the_window():
    w, activity = np.array([100.0, 700.0, 730.0, 760.0]), np.array([90.0, 1.0, 6.0, 3.0])
    assert raman_band_cm(w, activity, (650.0, 800.0)) == (730.0, 0.6)
    assert np.isnan(raman_band_cm(w, activity, (800.0, 900.0))[0])


@pytest.mark.parametrize("method", ["gfn2", "pbe0"])
def test_in_an_electric_field_forces_are_those_of_the_energy_and_pull_at_the_charge(method):
    pytest.importorskip("tblite" if method == "gfn2" else "pyscf", reason="the extra 'quantum' is not installed")
    numbers, field = np.array([9, 1, 3]), np.array([0.01, -0.02, 0.015])
    x = np.array([[0, 0, 0], [0.92, 0.1, 0.05], [-1.2, 1.2, 0.0]]) / BOHR_A
    surface = (
        gfn2(numbers, 1, accuracy=0.01, field_au=field)
        if method == "gfn2"
        else dft.surface(numbers, 1, field_au=field, grid=1)
    )
    gradient = surface(x)[1]
    assert gradient.sum(axis=0) == pytest.approx(-field, abs=1e-6)
    along = np.zeros_like(x)
    along[0, 1], along[1, 0] = 0.003, -0.004
    change = surface(x + along)[0] - surface(x - along)[0]
    assert change == pytest.approx(2 * float(np.sum(gradient * along)), abs=1e-6)


def test_the_hessian_of_pbe0_is_that_of_its_forces_also_on_a_coarse_grid():
    """Carbon monosulfide off its minimum. As PySCF gives it, its lowest wavenumber is −207 1/cm on this grid."""
    pytest.importorskip("pyscf", reason="the extra 'quantum' is not installed")
    numbers, mass = np.array([6, 16]), np.array([12.011, 32.06])
    x = np.array([[0.1, 0.2, 0.3], [0.195, 0.673, 1.76]])
    found = dft.hessian(numbers, x, 0, grid=1)
    surface = dft.surface(numbers, 0, grid=1)
    along = np.ravel([x[0] - x[1], x[1] - x[0]]) / np.linalg.norm(x[1] - x[0]) * 0.01
    ends = [surface(x / BOHR_A + sign * along.reshape(2, 3))[1].ravel() for sign in (1, -1)]
    assert found @ along * 2 == pytest.approx(ends[0] - ends[1], abs=2e-5)
    assert found.reshape(2, 3, 2, 3).sum(axis=2) == pytest.approx(np.zeros((2, 3, 3)), abs=5e-5)
    assert wavenumbers_cm(found, mass)[0].min() > -5
