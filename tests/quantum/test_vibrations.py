"""Vibrations of a molecule among frozen ones: springs whose frequencies are known, and a Hessian made otherwise."""

from __future__ import annotations

import numpy as np
import pytest
from quantum_shells import WATER
from rdkit import Chem
from scipy import constants

from lmbmd.core.units import BOHR_A, HARTREE_KJ_MOL
from lmbmd.forcefield.parametrize.quantum import xtb as molecules
from lmbmd.quantum.vibrations import PER_CM, band_cm, partial_hessian, stretch, wavenumbers_cm
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
