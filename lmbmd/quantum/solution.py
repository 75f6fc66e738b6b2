"""What a quantum-chemical method says of some atoms: energy, orbitals, dipole. The same for every back end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from lmbmd.core.errors import LmbmdError


class NotConverged(LmbmdError):
    """The self-consistent field of some atoms has not converged: of a shell an outcome, which is counted."""


@dataclass(frozen=True, eq=False)
class Solution:
    """One self-consistent solution.

    Attributes:
        energy_kJ_mol: total.
        orbital_eV: (n,) energies, ascending.
        n_occupied: so many of them hold two electrons each.
        share: (n_atoms, n) of each orbital on each atom, by Löwdin; each column sums to one.
        dipole_D: (3,) about the mass centre.
    """

    energy_kJ_mol: float
    orbital_eV: np.ndarray
    n_occupied: int
    share: np.ndarray
    dipole_D: np.ndarray

    def levels_eV(self, atoms: Sequence[int]) -> tuple[float, float]:
        """Highest occupied and lowest empty level of a part of the atoms.

        The shares of the orbitals on these atoms are added up from the highest occupied one down, or from the lowest
        empty one up, until they make one whole orbital; the level is the mean of these orbitals' energies, weighted
        with their shares. Of all atoms that is the HOMO or LUMO; of a molecule far from all others its own; and where
        equal molecules mix their orbitals, the same for each. NaN where the shares never add up to one.
        """
        share = self.share[list(atoms)].sum(axis=0)
        n = self.n_occupied
        return _topmost(self.orbital_eV[:n][::-1], share[:n][::-1]), _topmost(self.orbital_eV[n:], share[n:])


def _topmost(energy: np.ndarray, share: np.ndarray) -> float:
    """Mean of the first energies, weighted with their shares, cut where these make one."""
    before = np.concatenate([[0.0], np.cumsum(share)])
    if before[-1] < 1.0 - 1e-6:
        return float("nan")
    taken = np.clip(1.0 - before[:-1], 0.0, share)
    return float((taken * energy).sum() / taken.sum())


#: From atomic numbers (n,), positions (n, 3) in Å and charge in e to a solution.
Solve = Callable[[np.ndarray, np.ndarray, int], Solution]


def atomic_numbers(elements: Sequence[str], where: str = "") -> np.ndarray:
    """Of elements by their symbols.

    Raises:
        LmbmdError: if one is no element.
    """
    table = Chem.GetPeriodicTable()
    try:
        return np.array([table.GetAtomicNumber(str(symbol)) for symbol in elements])
    except RuntimeError as error:
        known = {table.GetElementSymbol(k) for k in range(1, 119)}
        wrong = next(symbol for symbol in elements if symbol not in known)
        raise LmbmdError(f"'{wrong}' is no element.", where=where, remedy="Draw the shells again.") from error


def about_mass_centre(numbers: np.ndarray, positions_A: np.ndarray) -> np.ndarray:
    """The same positions from the mass centre: the dipole moment of an ion depends on the origin."""
    table = Chem.GetPeriodicTable()
    mass = np.array([table.GetAtomicWeight(int(z)) for z in numbers])
    return positions_A - np.average(positions_A, axis=0, weights=mass)


def check_closed(numbers: np.ndarray, charge: int) -> None:
    """Refuse what has an odd number of electrons: every method here pairs them.

    Raises:
        LmbmdError: if it has.
    """
    electrons = int(numbers.sum()) - charge
    if electrons % 2:
        raise LmbmdError(
            f"an odd number of electrons ({electrons}) is no closed shell.",
            remedy="Leave its bottle out of 'quantum', or mend the charge of its species.",
        )


def lowdin(coefficients: np.ndarray, overlap: np.ndarray, atom: np.ndarray, n_atoms: int) -> np.ndarray:
    """Shares (n_atoms, n) of orbitals on atoms: |S^½ C|², summed over the functions of each atom.

    Args:
        coefficients: (n_functions, n), an orbital per column.
        overlap: (n_functions, n_functions).
        atom: (n_functions,) where each function is.
    """
    value, vector = np.linalg.eigh(overlap)
    root = (vector * np.sqrt(np.maximum(value, 0.0))) @ vector.T
    found = np.zeros((n_atoms, coefficients.shape[1]))
    np.add.at(found, atom, (root @ coefficients) ** 2)
    return found
