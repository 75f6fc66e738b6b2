"""Monatomic ions and donor atoms: charges of cations, and sizes."""

from __future__ import annotations

from typing import NamedTuple


class Ion(NamedTuple):
    """Formal charge in e, and Shannon's effective ionic radius for six-fold coordination in Å."""

    charge: int
    radius_A: float


#: By element. Radii: R. D. Shannon, Acta Cryst. A 32, 751 (1976), table 1, doi:10.1107/S0567739476001551.
IONS = {
    "Li": Ion(1, 0.76),
    "Na": Ion(1, 1.02),
    "K": Ion(1, 1.38),
    "Rb": Ion(1, 1.52),
    "Cs": Ion(1, 1.67),
    "Mg": Ion(2, 0.72),
    "Ca": Ion(2, 1.00),
    "Sr": Ion(2, 1.18),
    "Ba": Ion(2, 1.35),
    "Zn": Ion(2, 0.74),
    "Al": Ion(3, 0.535),
}

#: Shannon's effective ionic radius of monatomic anions by element, for six-fold coordination, Å (the same table).
ANIONS_A = {"F": 1.33, "Cl": 1.81, "Br": 1.96, "I": 2.20, "O": 1.40, "S": 1.84, "Se": 1.98, "Te": 2.21}

#: Van der Waals radius of O, and of donor atoms of molecules larger than the O, N and F at which Li⁺'s window was
#: set, by element, Å. A. Bondi, J. Phys. Chem. 68, 441 (1964), table 1, doi:10.1021/j100785a001.
DONORS_A = {"O": 1.52, "S": 1.80, "Cl": 1.75, "Se": 1.90, "Br": 1.85, "I": 1.98}
