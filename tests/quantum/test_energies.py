"""Energies of shells: sum rules, what must not change, parts far from each other, and the dielectric's formula."""

from __future__ import annotations

import sys
from dataclasses import replace

import numpy as np
import pytest
from quantum_shells import WATER, turned, waters

from lmbmd.core.errors import LmbmdError
from lmbmd.quantum.drawn import Molecule
from lmbmd.quantum.energies import OF_MOLECULE, OF_SHELL, free_molecule, relaxed, shell_energies
from lmbmd.quantum.methods import Variant
from lmbmd.quantum.solution import NotConverged, Solution, atomic_numbers

tblite = pytest.mark.usefixtures("needs_tblite")
H2O = np.array([8, 1, 1])


def solver(method, permittivity=None):
    return Variant(method, "def2-svp", permittivity, "sampled").solver()


@pytest.fixture
def needs_tblite():
    pytest.importorskip("tblite", reason="the extra 'quantum' is not installed")


@tblite
def test_the_parts_of_a_shell_sum_as_their_definitions_say():
    shell, solve = waters([1.9, 2.0, 2.1]), solver("gfn2")
    found, numbers = shell_energies(shell, solve), atomic_numbers(shell.element)

    def energy(*atoms):
        index = np.concatenate(atoms)
        return solve(numbers[index], shell.xyz_A[index], int(0 in index)).energy_kJ_mol

    ion, *rest = map(np.array, shell.atoms)
    whole = energy(ion, *rest)
    assert found["energy_kJ_mol"] == pytest.approx(whole)
    assert found["binding_kJ_mol"] == pytest.approx(whole - energy(ion) - energy(*rest), abs=1e-4)
    for k, one in enumerate(found["molecules"]):
        others = [x for i, x in enumerate(rest) if i != k]
        assert one["removal_kJ_mol"] == pytest.approx(energy(ion, *others) + energy(rest[k]) - whole, abs=1e-4)
        assert one["interaction_kJ_mol"] == pytest.approx(
            energy(ion, rest[k]) - energy(ion) - energy(rest[k]), abs=1e-4
        )
    pairs = sum(one["interaction_kJ_mol"] for one in found["molecules"])
    assert found["nonadditivity_kJ_mol"] == pytest.approx(found["binding_kJ_mol"] - pairs)
    assert pairs < found["binding_kJ_mol"] < -400  # each water weakens the others, and Li⁺ is held


@tblite
def test_the_order_of_molecules_and_the_direction_of_the_shell_change_nothing():
    shell, rng = waters([1.9, 2.0, 2.2]), np.random.default_rng(1)
    order = [0, 3, 1, 2]
    atoms = [i for k in order for i in shell.atoms[k]]
    moved = replace(
        shell,
        molecules=tuple(shell.molecules[k] for k in order),
        element=tuple(shell.element[i] for i in atoms),
        xyz_A=shell.xyz_A[atoms] @ turned(rng) + [3.0, -7.0, 11.0],
    )
    one, other = shell_energies(shell, solver("gfn2")), shell_energies(moved, solver("gfn2"))
    for key in OF_SHELL:
        assert other[key] == pytest.approx(one[key], rel=1e-5, abs=1e-3)
    for k, molecule in enumerate(other["molecules"]):
        for key in OF_MOLECULE:
            assert molecule[key] == pytest.approx(one["molecules"][order[k + 1] - 1][key], rel=1e-4, abs=1e-3)


@tblite
def test_molecules_far_from_each_other_have_no_interaction_and_the_levels_of_the_free_ones():
    """Round neon: far from a bare Li⁺ GFN2-xTB moves electrons to it, and does not converge (the next test)."""
    shell, solve = waters([60.0, 55.0], ion="Ne", charge_e=0), solver("gfn2")
    found, alone = shell_energies(shell, solve), solve(H2O, WATER, 0)
    assert found["binding_kJ_mol"] == pytest.approx(0.0, abs=0.01)
    for one in found["molecules"]:
        assert one["removal_kJ_mol"] == pytest.approx(0.0, abs=0.02)  # two dipoles 90 Å apart: 0.001 kJ/mol
        assert one["interaction_kJ_mol"] == pytest.approx(0.0, abs=0.01)
        assert (one["homo_eV"], one["lumo_eV"]) == pytest.approx(alone.levels_eV(range(3)), abs=0.01)
    assert solve(H2O, WATER, 0).dipole_D == pytest.approx(solve(H2O, WATER + 50.0, 0).dipole_D, abs=1e-3)


@tblite
def test_a_shell_that_does_not_converge_says_so():
    with pytest.raises(NotConverged, match="not converged in 250 cycles"):
        shell_energies(waters([1.9, 100.0]), solver("gfn2"))


@tblite
def test_a_bare_ion_is_bound_by_nothing():
    found = shell_energies(waters([]), solver("gfn2"))
    assert found["binding_kJ_mol"] == found["nonadditivity_kJ_mol"] == 0.0 and found["molecules"] == []
    assert np.isnan(found["homo_eV"])  # GFN2-xTB leaves Li⁺ no electron


def test_levels_of_a_part_are_shared_by_orbitals_that_are_mixed():
    """Two equal molecules: each has half of each of two orbitals, and so the mean of both; a third part has neither."""
    share = np.array([[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, 0.5, 0.5], [0.0, 0.0, 0.0, 0.0]])
    both = Solution(0.0, np.array([-12.0, -10.0, 1.0, 5.0]), 2, share, np.zeros(3))
    assert both.levels_eV([0]) == both.levels_eV([1]) == (-11.0, 3.0)
    assert both.levels_eV([0, 1]) == (-10.0, 1.0)
    assert np.isnan(both.levels_eV([2])).all()


@tblite
def test_the_dielectric_holds_an_ion_as_borns_formula_says():
    """ΔE = −(1 − 1/ε) e²/2R: its dependence on ε, whatever R is; and 1/R of Li⁺ is within 1.0 to 2.2 Å."""
    ion, places = np.array([3]), np.zeros((1, 3))
    energy = {e: solver("gfn2", e)(ion, places, 1).energy_kJ_mol for e in (None, 2.0, 7.2, 80.0)}
    held = {e: (x - energy[None]) / (1 - 1 / e) for e, x in energy.items() if e}
    assert max(held.values()) - min(held.values()) == pytest.approx(0.0, abs=0.1)
    assert 1.0 < 1389.35 / 2 / -held[80.0] < 2.2


@tblite
def test_a_shell_is_relaxed_with_its_donors_where_they_were():
    shell = waters([1.8, 2.0, 2.6])
    x = relaxed(shell)
    for a, b in shell.contacts:
        kept = np.linalg.norm(x[a] - x[b]) - np.linalg.norm(shell.xyz_A[a] - shell.xyz_A[b])
        assert abs(kept) < 0.01
    solve = solver("gfn2")
    gained = shell_energies(shell, solve, x)["energy_kJ_mol"] - shell_energies(shell, solve)["energy_kJ_mol"]
    assert -200 < gained < -1
    assert np.abs(x - shell.xyz_A).max() > 0.02


@tblite
def test_a_free_molecule_is_at_its_lowest_minimum():
    stretched = WATER * 1.1
    found = free_molecule(("O", "H", "H"), [stretched, WATER], 0, solver("gfn2"), None)
    assert found["energy_kJ_mol"] < solver("gfn2")(H2O, WATER, 0).energy_kJ_mol
    assert found["energy_kJ_mol"] == pytest.approx(
        free_molecule(("O", "H", "H"), [WATER @ turned(np.random.default_rng(2))], 0, solver("gfn2"), None)[
            "energy_kJ_mol"
        ],
        abs=0.05,
    )


@tblite
def test_an_element_without_parameters_is_named():
    with pytest.raises(LmbmdError, match=r"no parameters for element 95.*Leave its bottle out of 'quantum'"):
        solver("gfn2")(np.array([95]), np.zeros((1, 3)), 0)


@pytest.mark.parametrize(("method", "program"), [("gfn2", "tblite"), ("pbe0", "pyscf")])
def test_an_odd_number_of_electrons_is_no_closed_shell(method, program):
    pytest.importorskip(program, reason="the extra 'quantum' is not installed")
    with pytest.raises(LmbmdError, match=r"odd number of electrons \(9\)"):
        solver(method)(np.array([8, 1]), WATER[:2], 0)


def test_a_program_that_is_missing_is_named_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "tblite.interface", None)
    with pytest.raises(LmbmdError, match=r"tblite.*not installed.*pip install 'lmbmd\[quantum\]'"):
        solver("gfn2")
    monkeypatch.setitem(sys.modules, "pyscf", None)
    with pytest.raises(LmbmdError, match=r"PySCF.*not installed.*pip install 'lmbmd\[quantum\]'"):
        solver("pbe0")


def test_what_is_no_element_is_named():
    with pytest.raises(LmbmdError, match="'Xx' is no element"):
        atomic_numbers(("O", "Xx"))


@pytest.mark.slow
def test_pbe0_binds_as_gfn2_does_and_both_in_order():
    """Li⁺ with one and two waters: within a fifth of each other in vacuum, and weaker in a dielectric."""
    pytest.importorskip("tblite", reason="the extra 'quantum' is not installed")
    pytest.importorskip("pyscf", reason="the extra 'quantum' is not installed")
    binding = {
        (method, e, n): shell_energies(waters([1.9] * n), solver(method, e))["binding_kJ_mol"]
        for method in ("gfn2", "pbe0")
        for e in (None, 40.0)
        for n in (1, 2)
    }
    for n in (1, 2):
        assert binding["gfn2", None, n] == pytest.approx(binding["pbe0", None, n], rel=0.2)
    for method in ("gfn2", "pbe0"):
        assert binding[method, None, 2] < binding[method, None, 1] < binding[method, 40.0, 1] < 0
    from pyscf import dft, gto

    alone = solver("pbe0")(H2O, WATER, 0)
    atoms = list(zip("OHH", (WATER - 3.0).tolist(), strict=True))
    theirs = dft.RKS(gto.M(atom=atoms, basis="def2-svp", verbose=0), xc="pbe0").run()
    assert alone.energy_kJ_mol / 2625.4996 == pytest.approx(theirs.e_tot, abs=1e-4)  # of the fitted densities
    assert alone.levels_eV(range(3)) == pytest.approx(tuple(27.211386 * theirs.mo_energy[4:6]), abs=0.01)
    assert np.linalg.norm(alone.dipole_D) == pytest.approx(np.linalg.norm(theirs.dip_moment(verbose=0)), abs=0.01)
    assert alone.share.sum(axis=0) == pytest.approx(1.0)


def test_molecules_are_told_apart_by_their_atoms():
    shell = waters([1.9, 2.0])
    assert [list(a) for a in shell.atoms] == [[0], [1, 2, 3], [4, 5, 6]]
    assert shell.molecules[1] == Molecule("H2O", 3, 0)
