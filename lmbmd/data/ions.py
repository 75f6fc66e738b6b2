"""Monatomic cations: their charge and their size."""

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
