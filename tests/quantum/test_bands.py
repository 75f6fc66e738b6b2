"""The band of FSI⁻ near 720 1/cm by PBE0: free, in a contact pair, in an aggregate, each at its own minimum.

``python benchmarks/bands.py tests/quantum/fsi_pbe0`` made the files.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from benchmarks.bands import BONDS, WINDOW_CM
from lmbmd.core.units import BOHR_A
from lmbmd.quantum import dft
from lmbmd.quantum.vibrations import PER_CM, band_cm, stretch, wavenumbers_cm

FOLDER = Path(__file__).parent / "fsi_pbe0"
STRUCTURES = ("free", "CIP", "AGG")
#: The anion's atoms are the first; Li⁺ is held.
MOVING = 9


def stored(name):
    found = json.loads((FOLDER / f"{name}.json").read_text())
    table = Chem.GetPeriodicTable()
    numbers = np.array([table.GetAtomicNumber(one) for one in found["element"]])
    mass = np.array([table.GetAtomicWeight(int(z)) for z in numbers])
    return found, numbers, mass, np.array(found["hessian"])


def band(name):
    """Wavenumber of the stretch of all S–N and S–F together, its share of its mode, and the mode."""
    found, _, mass, hessian = stored(name)
    w, mode = wavenumbers_cm(hessian[: 3 * MOVING, : 3 * MOVING], mass[:MOVING])
    motion = stretch(np.array(found["xyz_A"])[:MOVING], BONDS, mass[:MOVING])
    place, share = band_cm(w, mode, motion, WINDOW_CM)
    return place, share, mode[:, np.abs(w - place).argmin()]


@pytest.mark.parametrize("name", STRUCTURES)
def test_each_structure_is_a_minimum(name):
    found, _, mass, hessian = stored(name)
    w, _ = wavenumbers_cm(hessian, mass)
    at_rest = np.sort(np.abs(w))[:6]  # translations and turns
    assert at_rest.max() < 45 and w[np.argsort(np.abs(w))[6:]].min() > 20
    assert found["force"] < 2e-4


def test_the_band_rises_from_the_free_ion_to_the_pair_and_to_the_aggregate():
    free, pair, aggregate = (band(name) for name in ("free", "CIP", "AGG"))
    assert free[0] + 5 < pair[0] and pair[0] + 5 < aggregate[0]
    assert min(one[1] for one in (free, pair, aggregate)) > 0.5  # one line is most of it


@pytest.mark.slow
@pytest.mark.parametrize("name", STRUCTURES)
def test_forces_of_pbe0_find_the_stored_band(name):
    """H u = ω² u along the band's mode alone, from the forces at both ends of a small step: two gradients."""
    pytest.importorskip("pyscf", reason="the extra 'quantum' is not installed")
    found, numbers, mass, _ = stored(name)
    place, _, mode = band(name)
    root = np.sqrt(mass[:MOVING])[:, None]
    step = np.zeros((len(numbers), 3))
    step[:MOVING] = mode.reshape(MOVING, 3) / root
    step *= 0.02 / np.abs(step).max()
    surface = dft.surface(numbers, found["charge"], found["basis"], grid=1)
    x = np.array(found["xyz_A"]) / BOHR_A
    ends = [surface(x + sign * step)[1] for sign in (1, -1)]
    assert np.abs(ends[0] + ends[1]).max() / 2 < 1e-3  # at a minimum but for the third derivatives
    change = ((ends[0] - ends[1])[:MOVING] / 2 / root).ravel()
    along = (step[:MOVING] * root).ravel()
    value = along @ change / (along @ along)
    assert PER_CM * np.sqrt(value) == pytest.approx(place, abs=2)
    assert np.linalg.norm(change - value * along) < 0.03 * np.linalg.norm(change)
