"""The one unit system: Å, ps, K, e, amu, kJ/mol, bar. Nanometres live only in box/, forcefield/ and simulate/."""

from __future__ import annotations

#: Å per bohr, and kJ/mol and eV per hartree (CODATA 2018).
BOHR_A, HARTREE_KJ_MOL, HARTREE_EV = 0.529177210903, 2625.4996394799, 27.211386245988
#: Debye per e Å: 10¹⁰ c e in SI units, with c = 299,792,458 m/s and e = 1.602176634e-19 C (exact, SI 2019).
DEBYE_PER_E_A = 1e-10 * 1.602176634e-19 * 299792458 / 1e-21
#: Debye per e bohr, the atomic unit of a dipole moment.
DEBYE_PER_AU = DEBYE_PER_E_A * BOHR_A
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
#: Molar gas constant in kJ/mol/K (exact, SI 2019).
GAS_CONSTANT_KJ_MOL_K = 8.31446261815324e-3
#: Boltzmann constant in J/K (exact, SI 2019).
BOLTZMANN_J_K = 1.380649e-23
