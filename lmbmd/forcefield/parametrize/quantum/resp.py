"""Charges that reproduce the electrostatic potential round a molecule, restrained: RESP, on PySCF's wave function.

Bayly, Cieplak, Cornell, Kollman, J. Phys. Chem. 1993, 97, 10269 (10.1021/j100142a004). PySCF is optional.

Two potentials can be fitted. Hartree–Fock's in 6-31G*, of the molecule alone, is the classic one: by an error of the
method about as polar as a liquid makes it. The other is the mean of two potentials of PBE0/def2-TZVP, in vacuum and in
a dielectric with the permittivity of the liquid: fixed charges half way between count what the polarisation costs a
molecule as well as what it gains. Cerutti, Rice, Swope, Case, J. Phys. Chem. B 2013, 117, 2328 (10.1021/jp311851r);
with a dielectric continuum: Muddana, Sapra, Fenley, Gilson, J. Comput.-Aided Mol. Des. 2014, 28, 277
(10.1007/s10822-014-9714-6).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rdkit import Chem

from lmbmd.core.errors import LmbmdError
from lmbmd.core.units import BOHR_A
from lmbmd.forcefield.parametrize.molecules import equivalence
from lmbmd.quantum.dft import both_halves, dielectric

#: Singh and Kollman's radii, J. Comput. Chem. 1984, 5, 129 (10.1002/jcc.540050204), Å.
RADII_A = {
    "H": 1.20,
    "B": 1.45,
    "C": 1.50,
    "N": 1.50,
    "O": 1.40,
    "F": 1.35,
    "Si": 1.17,
    "P": 1.80,
    "S": 1.75,
    "Cl": 1.70,
}
SHELLS = (1.4, 1.6, 1.8, 2.0)
POINTS_PER_A2 = 2.5
WEAK, STRONG, TIGHTNESS_E = 0.0005, 0.001, 0.1
CONVERGED_E = 1e-7
BLOCK = 500
#: Of the mean potential. A finer grid (level 3) and surface (302 points) change the dipole of DMC by 0.05 %.
BASIS_OF_MEAN, GRID_LEVEL = "def2-tzvp", 1
#: Of the mean field, hartree.
ENERGY_CONVERGED = 1e-8


def basis_for(charge: int) -> str:
    """6-31G*, with diffuse functions for anions."""
    return "6-31+G*" if charge < 0 else "6-31G*"


def raw_charges(
    graph: Chem.Mol,
    conformers: Sequence[np.ndarray],
    done: Callable[[], None] = lambda: None,
    permittivity: float | None = None,
) -> tuple[np.ndarray, float]:
    """Two-stage RESP charges of all conformers together, equal on equivalent atoms.

    Stage 1 restrains weakly and lets the carbon and hydrogens of every CH₂ and CH₃ be unequal; stage 2 makes those
    equal under a stronger restraint and keeps all others. χ² = Σ (V − Σ q/r)² + a Σ ((q² + b²)^½ − b) over heavy
    atoms, a = 0.0005 then 0.001, b = 0.1 e, the sum of charges fixed by a multiplier.

    Args:
        conformers: positions (n_atoms, 3), Å; each counts alike.
        done: called after each conformer.
        permittivity: of the liquid, for the mean potential of vacuum and dielectric; if None, Hartree–Fock's.

    Returns:
        Charges (n_atoms,) in e, and the root mean square error of the potential relative to its own size.

    Raises:
        LmbmdError: if PySCF is not installed, an element has no radius, or the wave function does not converge.
    """
    symbols = [atom.GetSymbol() for atom in graph.GetAtoms()]
    if unknown := sorted(set(symbols) - set(RADII_A)):
        raise LmbmdError(
            f"the RESP grid has no radius for {', '.join(unknown)}.",
            where="--charge-method resp",
            remedy="Use --charge-method am1bcc, or bring charges with --charges.",
        )
    charge = Chem.GetFormalCharge(graph)
    designs, potentials = [], []
    for x in conformers:
        points = grid(symbols, x)
        potentials.append(potential(symbols, x, charge, points, permittivity))
        designs.append(BOHR_A / np.linalg.norm(points[:, None] - x[None], axis=2))
        done()
    # The mean over conformers, as if each had one point per Å²: the density for which the restraint was calibrated.
    mean = sum(map(len, potentials)) / len(potentials) / POINTS_PER_A2
    weight = [mean / (len(potentials) * len(v)) for v in potentials]
    a = sum(w * d.T @ d for w, d in zip(weight, designs, strict=True))
    b = sum(w * d.T @ v for w, d, v in zip(weight, designs, potentials, strict=True))
    q = two_stages(graph, a, b, charge)
    error = sum(w * np.sum((d @ q - v) ** 2) for w, d, v in zip(weight, designs, potentials, strict=True))
    size = sum(w * np.sum(v**2) for w, v in zip(weight, potentials, strict=True))
    return q, float(np.sqrt(error / size))


def two_stages(graph: Chem.Mol, a: np.ndarray, b: np.ndarray, charge: int) -> np.ndarray:
    """Both fits, from the normal matrix ``a`` (n, n) and vector ``b`` (n,) of the unrestrained one."""
    heavy = np.array([atom.GetAtomicNum() > 1 for atom in graph.GetAtoms()])
    classes = equivalence(graph)
    alkyl = [
        i
        for atom in graph.GetAtoms()
        if atom.GetSymbol() == "C" and _hydrogens(atom) and atom.GetDegree() == 4 and len(_hydrogens(atom)) >= 2
        for i in (atom.GetIdx(), *_hydrogens(atom))
    ]
    first = [(-1 - i if i in alkyl else rank) for i, rank in enumerate(classes)]
    q = _fit(a, b, charge, first, heavy, WEAK, {})
    if not alkyl:
        return q
    fixed = {i: q[i] for i in range(len(q)) if i not in alkyl}
    return _fit(a, b, charge, classes, heavy, STRONG, fixed)


def _hydrogens(atom: Chem.Atom) -> list[int]:
    return [near.GetIdx() for near in atom.GetNeighbors() if near.GetAtomicNum() == 1]


def _fit(
    a: np.ndarray,
    b: np.ndarray,
    charge: float,
    classes: Sequence[int],
    heavy: np.ndarray,
    strength: float,
    fixed: dict[int, float],
) -> np.ndarray:
    """Restrained least squares, one unknown per class of atoms, iterated until the restraint is consistent."""
    n = len(b)
    free = [i for i in range(n) if i not in fixed]
    names = sorted({classes[i] for i in free})
    spread = np.zeros((n, len(names)))
    for i in free:
        spread[i, names.index(classes[i])] = 1.0
    base = np.zeros(n)
    for i, charge_e in fixed.items():
        base[i] = charge_e
    q, count = base.copy(), spread.sum(0)
    for _ in range(200):
        restraint = np.where(heavy, strength / np.sqrt(q**2 + TIGHTNESS_E**2), 0.0)
        matrix = a + np.diag(restraint)
        lower = np.block([[spread.T @ matrix @ spread, count[:, None]], [count[None], np.zeros((1, 1))]])
        right = np.append(spread.T @ (b - a @ base), charge - base.sum())
        new = base + spread @ np.linalg.solve(lower, right)[:-1]
        if np.abs(new - q).max() < CONVERGED_E:
            return new
        q = new
    raise LmbmdError("the RESP fit does not converge.", remedy="Use --charge-method am1bcc, or other conformers.")


def grid(symbols: Sequence[str], x: np.ndarray) -> np.ndarray:
    """Merz–Kollman points (n_points, 3), Å: evenly spread on spheres of 1.4 to 2.0 radii, where no other covers them.

    Besler, Merz, Kollman, J. Comput. Chem. 1990, 11, 431 (10.1002/jcc.540110404).
    """
    radii, points = np.array([RADII_A[s] for s in symbols]), []
    for factor in SHELLS:
        for i, r in enumerate(factor * radii):
            sphere = x[i] + r * _sphere(int(4 * np.pi * r**2 * POINTS_PER_A2))
            distance = np.linalg.norm(sphere[:, None] - x[None], axis=2)
            distance[:, i] = np.inf
            points.append(sphere[(distance >= factor * radii).all(1)])
    return np.concatenate(points)


def _sphere(n: int) -> np.ndarray:
    """``n`` points on the unit sphere, evenly spread on a spiral of the golden angle."""
    z = 1 - (2 * np.arange(n) + 1) / n
    angle = np.pi * (3 - np.sqrt(5)) * np.arange(n)
    r = np.sqrt(1 - z**2)
    return np.stack([r * np.cos(angle), r * np.sin(angle), z], axis=1)


def potential(
    symbols: Sequence[str], x: np.ndarray, charge: int, points: np.ndarray, permittivity: float | None = None
) -> np.ndarray:
    """Electrostatic potential at ``points`` (Å) of a molecule at ``x`` (Å), in hartree per e; density-fitted.

    Hartree–Fock in 6-31G* or 6-31+G*; with a permittivity the mean of two of PBE0/def2-TZVP, in vacuum and in the
    conductor-like continuum (C-PCM) of that permittivity.

    Raises:
        LmbmdError: if PySCF is not installed, or a wave function does not converge.
    """
    try:
        from pyscf import dft, gto, scf, solvent
    except ImportError as error:
        raise LmbmdError(
            "RESP needs PySCF, which is not installed.",
            where="--charge-method resp",
            remedy="pip install 'lmbmd[parametrize]', or use --charge-method am1bcc.",
        ) from error
    basis = basis_for(charge) if permittivity is None else BASIS_OF_MEAN
    atoms = list(zip(symbols, x.tolist(), strict=True))
    molecule = gto.M(atom=atoms, basis=basis, charge=charge, unit="Angstrom", verbose=0)
    if permittivity is None:
        return _seen_from(molecule, _density(scf.RHF(molecule).density_fit()), points)
    alone = dft.RKS(molecule, xc="pbe0").density_fit()
    alone.grids.level = GRID_LEVEL
    densities = [_density(alone)]
    densities.append(_density(solvent.PCM(alone, dielectric(molecule, permittivity)), densities[0]))
    return _seen_from(molecule, 0.5 * (densities[0] + densities[1]), points)


def _density(field: Any, guess: np.ndarray | None = None) -> np.ndarray:
    """Density matrix of a converged mean field."""
    field.conv_tol = ENERGY_CONVERGED
    field.kernel(dm0=guess)
    if not field.converged:
        raise LmbmdError("the wave function does not converge.", remedy="Check the structure, or use am1bcc.")
    return np.asarray(field.make_rdm1())


def _seen_from(molecule: Any, density: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Potential (hartree per e) of nuclei and electrons at ``points`` (Å)."""
    from pyscf import df, gto

    places, weights = points / BOHR_A, both_halves(density[None])[0]
    found = np.empty(len(places))
    for start in range(0, len(places), BLOCK):
        charges = gto.fakemol_for_charges(places[start : start + BLOCK])
        found[start : start + BLOCK] = -weights @ df.incore.aux_e2(molecule, charges, aosym="s2ij")
    nuclei = np.linalg.norm(places[:, None] - molecule.atom_coords()[None], axis=2)
    return found + (molecule.atom_charges() / nuclei).sum(1)
