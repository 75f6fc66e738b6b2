"""The one unit system: Å, ps, K, e, amu, kJ/mol, bar. Nanometres live only in box/, forcefield/ and simulate/."""

from __future__ import annotations

#: Avogadro constant in 1/mol (exact, SI 2019).
AVOGADRO_PER_MOL = 6.02214076e23
#: Å per nm.
ANGSTROM_PER_NM = 10.0
#: Å³ per cm³.
ANGSTROM3_PER_CM3 = 1e24
#: Å³ per litre.
ANGSTROM3_PER_LITRE = 1e27
#: ps per ns.
PS_PER_NS = 1000.0
