"""The dipole moment of single molecules in the liquid. Theory: docs/theory/permittivity.md."""

from __future__ import annotations

import numpy as np

from lmbmd.analysis.family import Account, Family, Findings
from lmbmd.analysis.scan import kernels
from lmbmd.core.units import DEBYE_PER_E_A
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell
from lmbmd.data.frames import Frame
from lmbmd.numbers.doubt import descriptor
from lmbmd.numbers.estimate import estimate_mean

#: What rounding may leave of the charge of a neutral molecule, e.
_ROUNDING_E = 0.01


def dipole_moments_D(frame: Frame, atoms: AtomTable) -> np.ndarray:
    """|Σ q (r − r_m)| of every molecule, (n_molecules,) debye; r_m is its mass centre, and it is made whole before."""
    cell = Cell(frame.box).reduced
    whole = np.empty((len(atoms) + atoms.n_units, 3))
    kernels.make_whole(
        np.ascontiguousarray(frame.positions, np.float32),
        atoms.first_atom_of_unit,
        atoms.parent,
        atoms.mass_amu.astype(float),
        cell.vectors_A,
        cell.inverse_per_A,
        0.5 * cell.narrowest_A,
        whole,
    )
    first, mass, place = atoms.first_atom[:-1], atoms.mass_amu.astype(float)[:, None], whole[: len(atoms)]
    centre = np.add.reduceat(mass * place, first, axis=0) / np.add.reduceat(mass, first, axis=0)
    charged = atoms.charge_e.astype(float)[:, None] * (place - centre[atoms.molecule])
    return DEBYE_PER_E_A * np.linalg.norm(np.add.reduceat(charged, first, axis=0), axis=1)


def _species(atoms: AtomTable) -> list[int]:
    """Small neutral molecules whose partial charges are known, and are not all zero."""
    charge = np.add.reduceat(atoms.charge_e.astype(float), atoms.first_atom[:-1])
    largest = np.maximum.reduceat(np.abs(atoms.charge_e.astype(float)), atoms.first_atom[:-1])
    found = []
    for k, species in enumerate(atoms.species):
        mine = atoms.molecule_species == k
        known = mine.any() and not species.charge and not species.chain
        if known and (np.abs(charge[mine]) <= _ROUNDING_E).all() and (largest[mine] > 0).all():
            found.append(k)
    return found


def _account(found: Findings) -> Account:
    atoms = found.setting.atoms
    chosen = _species(atoms)
    moments = [dipole_moments_D(frame, atoms) for frame in found.setting.sample] if chosen else []
    if not moments:
        return Account()
    method = "mean |Σ q r| of one molecule, partial charges of the force field, kept frames of the first replica"
    rows = []
    for k in chosen:
        mine = atoms.molecule_species == k
        mean = estimate_mean([np.array([one[mine].mean() for one in moments])])
        rows.append(descriptor("dipole_D", atoms.species[k].name, mean, "D", method))
    return Account(rows)


FAMILY = Family(account=_account)
