"""PBE0 (10.1063/1.478522), density-fitted, through PySCF, which is optional; in vacuum or in a dielectric (C-PCM)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.core.units import BOHR_A, DEBYE_PER_AU, HARTREE_EV, HARTREE_KJ_MOL
from lmbmd.quantum.solution import NotConverged, Solution, about_mass_centre, check_closed, lowdin
from lmbmd.quantum.xtb import Surface

#: Points of the dielectric's surface on each sphere, as PySCF counts Lebedev's orders.
SURFACE_ORDER = 17
#: Numbers of the kept integrals of the surface; beyond, PySCF makes them anew in every cycle. 4 GB.
MOST_INTEGRALS = 5 * 10**8
#: Level of the functional's grid, as PySCF counts.
GRID = 3


def modules() -> SimpleNamespace:
    """PySCF's parts.

    Raises:
        LmbmdError: if it is not installed.
    """
    try:
        from pyscf import dft, gto, qmmm, solvent
    except ImportError as error:
        raise LmbmdError(
            "PySCF, which computes PBE0, is not installed.",
            remedy="Install it: pip install 'lmbmd[quantum]' (there is none for Windows).",
        ) from error
    return SimpleNamespace(dft=dft, gto=gto, qmmm=qmmm, solvent=solvent)


def _molecule(numbers: np.ndarray, positions_A: np.ndarray, charge: int, basis: str) -> Any:
    check_closed(numbers, charge)
    atoms = [(int(z), tuple(r)) for z, r in zip(numbers, positions_A.tolist(), strict=True)]
    try:
        return modules().gto.M(
            atom=atoms, unit="Angstrom", charge=charge, basis=basis, verbose=0, ecp=basis if numbers.max() > 36 else {}
        )
    except (RuntimeError, KeyError) as error:  # PySCF's for an element that the basis has not
        raise LmbmdError(
            f"PySCF cannot set up {basis} for these elements ({' '.join(str(error).split())[:120]}).",
            remedy="Use the method 'gfn2' for this bottle.",
        ) from error


def solve(
    numbers: np.ndarray,
    positions_A: np.ndarray,
    charge: int,
    basis: str = "def2-svp",
    permittivity: float | None = None,
) -> Solution:
    """Energy, orbitals and dipole of a closed shell by PBE0.

    Args:
        numbers: (n,) atomic numbers.
        positions_A: (n, 3).
        charge: e.
        basis: as PySCF calls it; its fit of densities goes with it.
        permittivity: of a conductor-like polarisable continuum (C-PCM, 10.1021/jp9716997); in vacuum if None.

    Raises:
        LmbmdError: if PySCF is not installed, the basis lacks an element, or an electron is left alone.
        NotConverged: if the field does not become self-consistent.
    """
    molecule = _molecule(numbers, about_mass_centre(numbers, positions_A), charge, basis)
    field = _field(molecule)
    if permittivity is not None:
        field = modules().solvent.PCM(field, dielectric(molecule, permittivity))
    energy = _energy(field)
    atom = np.repeat(np.arange(len(numbers)), np.diff(molecule.aoslice_by_atom()[:, 2:], axis=1).ravel())
    return Solution(
        HARTREE_KJ_MOL * energy,
        HARTREE_EV * np.asarray(field.mo_energy),
        int(np.sum(field.mo_occ > 0)),
        lowdin(np.asarray(field.mo_coeff), molecule.intor("int1e_ovlp"), atom, len(numbers)),
        DEBYE_PER_AU * np.asarray(field.dip_moment(unit="AU", verbose=0), float),
    )


def surface(
    numbers: np.ndarray,
    charge: int,
    basis: str = "def2-svp",
    field_au: np.ndarray | None = None,
    grid: int = GRID,
    around: tuple[np.ndarray, np.ndarray] | None = None,
) -> Surface:
    """PBE0 of these atomic numbers: energy (hartree) and gradient (hartree/bohr), the derivative of that energy.

    Args:
        numbers: (n,) atomic numbers.
        charge: e.
        basis: as PySCF calls it.
        field_au: (3,) of a uniform electric field, hartree/(e bohr); none if None.
        grid: level of PySCF's grid of the functional.
        around: point charges (m,) in e and their places (m, 3) in Å, which stay; their energy among each other is left
            out.
    """
    last: list[np.ndarray] = []  # the density of the step before, to start from

    def at(x: np.ndarray) -> tuple[float, np.ndarray]:
        molecule = _molecule(numbers, x * BOHR_A, charge, basis)
        field = _fine_field(molecule, grid)
        if around is not None:
            field = modules().qmmm.mm_charge(field, around[1], around[0], unit="Angstrom")
        force = np.zeros_like(x)
        if field_au is not None:
            core = field.get_hcore() + np.einsum("a,aij->ij", field_au, molecule.intor("int1e_r"))
            field.get_hcore = lambda *_: core
            force = -molecule.atom_charges()[:, None] * field_au
        energy = _energy(field, last[0] if last else None)
        last[:] = [field.make_rdm1()]
        if field_au is not None:
            energy -= float(molecule.atom_charges() @ x @ field_au)
        gradient = field.nuc_grad_method()
        gradient.grid_response = True
        if field_au is not None:
            n = molecule.nao
            moved = molecule.intor("int1e_irp").reshape(3, 3, n, n)  # ⟨i|r_a ∇_b|j⟩
            part = gradient.get_hcore() - np.einsum("a,abij->bji", field_au, moved)
            gradient.get_hcore = lambda *_: part
        return energy, gradient.kernel() + force if len(numbers) > 1 else np.zeros_like(x)

    return at


def hessian(
    numbers: np.ndarray, positions_A: np.ndarray, charge: int, basis: str = "def2-svp", grid: int = GRID
) -> np.ndarray:
    """Second derivatives of PBE0's energy, in vacuum: (3 n, 3 n), hartree/bohr².

    PySCF leaves out that the functional's grid moves with the atoms. That spoils almost only the blocks of an atom with
    itself, by up to 0.05 hartree/bohr² on coarse grids, enough for imaginary modes; they are set to what they must be,
    since moving all atoms together changes nothing: minus the sum of the atom's blocks with all others.

    Raises:
        LmbmdError: if PySCF is not installed, or the basis lacks an element.
        NotConverged: if the field does not become self-consistent.
    """
    field = _fine_field(_molecule(numbers, positions_A, charge, basis), grid)
    _energy(field)
    n = len(numbers)
    whole = np.asarray(field.Hessian().kernel()).transpose(0, 2, 1, 3).reshape(3 * n, 3 * n)
    blocks = (0.5 * (whole + whole.T)).reshape(n, 3, n, 3)
    for atom in range(n):
        blocks[atom, :, atom] = 0
        own = -blocks[atom].sum(axis=1)
        blocks[atom, :, atom] = 0.5 * (own + own.T)
    return blocks.reshape(3 * n, 3 * n)


def _field(molecule: Any) -> Any:
    return modules().dft.RKS(molecule, xc="pbe0").density_fit()


def _fine_field(molecule: Any, grid: int) -> Any:
    """For derivatives, which need a field that is converged more tightly than an energy."""
    field = _field(molecule)
    field.grids.level, field.conv_tol = grid, 1e-10
    return field


def _energy(field: Any, guess: np.ndarray | None = None) -> float:
    """In hartree, of a field that has become self-consistent."""
    energy = field.kernel(dm0=guess)
    if not field.converged:
        raise NotConverged(f"SCF not converged in {field.max_cycle} cycles")
    return float(energy)


def dielectric(molecule: Any, permittivity: float) -> Any:
    """PySCF's polarisable continuum, which keeps the integrals of its surface instead of making them in every cycle."""
    from pyscf import df, gto, lib
    from pyscf.solvent import pcm

    class Dielectric(pcm.PCM):
        """Those of pairs of orbitals, each pair once, with the charges of the surface: (n_pairs, n_points)."""

        def build(self, ng: int | None = None) -> None:
            super().build(ng)
            places, exponents = self.surface["grid_coords"], self.surface["charge_exp"]
            n = self.mol.nao
            self.integrals = None
            if n * (n + 1) // 2 * len(places) <= MOST_INTEGRALS:
                charges = gto.fakemol_for_charges(places, expnt=exponents**2)
                self.integrals = df.incore.aux_e2(self.mol, charges, intor="int3c2e_sph", aosym="s2ij")

        def _get_v(self, dms: np.ndarray) -> np.ndarray:
            if self.integrals is None:
                return super()._get_v(dms)
            return both_halves(np.asarray(dms)) @ self.integrals

        def _get_vmat(self, q: np.ndarray) -> np.ndarray:
            if self.integrals is None:
                return super()._get_vmat(q)
            return -lib.unpack_tril((self.integrals @ q.reshape(-1, self.integrals.shape[1]).T).T)

    found = Dielectric(molecule)
    found.method, found.eps, found.lebedev_order = "C-PCM", permittivity, SURFACE_ORDER
    return found


def both_halves(densities: np.ndarray) -> np.ndarray:
    """Weight of each pair of orbitals (n, n_pairs) of symmetric density matrices (n, n_orbitals, n_orbitals)."""
    i, j = np.tril_indices(densities.shape[-1])
    return densities[:, i, j] * np.where(i == j, 1.0, 2.0)
