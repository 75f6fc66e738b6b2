"""Lennard-Jones energy of a periodic cube by the formulae, pair by pair: no OpenMM, no cleverness. nm, kJ/mol."""

import numpy as np
from scipy.integrate import quad


def pair_of(rule, one, other):
    """(σ, ε) of two atoms, each given as (σ, ε)."""
    (s1, e1), (s2, e2) = one, other
    sigma = {"Lorentz-Berthelot": (s1 + s2) / 2, "geometric": (s1 * s2) ** 0.5}[rule]
    return sigma, (e1 * e2) ** 0.5


def energy(r, sigma, epsilon):
    return 4 * epsilon * ((sigma / r) ** 12 - (sigma / r) ** 6)


def switch(r, start, end):
    """1 before ``start``, 0 at ``end``: OpenMM's polynomial."""
    x = (r - start) / (end - start)
    return 1.0 if x <= 0 else 1 - 6 * x**5 + 15 * x**4 - 10 * x**3


def lennard_jones(rule, atoms, x, edge, start, end, special):
    """All pairs to the nearest image, switched off from ``start`` to ``end``.

    ``special`` {(i, j): (σ, ε)} are the pairs with parameters of their own, which have no cut-off.
    """
    total = 0.0
    for i in range(len(atoms)):
        for j in range(i + 1, len(atoms)):
            d = x[i] - x[j]
            r = np.linalg.norm(d - edge * np.round(d / edge))
            if (i, j) in special:
                total += energy(r, *special[i, j])
            elif r < end:
                total += energy(r, *pair_of(rule, atoms[i], atoms[j])) * switch(r, start, end)
    return total


def correction(rule, atoms, volume, start, end):
    """What N atoms spread evenly would add beyond the switch: (2π N²/V) ⟨∫ r² u(r) (1 − S(r)) dr⟩.

    The mean is over all pairs i ≤ j, as OpenMM takes it.
    """
    n, kinds = len(atoms), sorted(set(atoms))
    total = 0.0
    for k, one in enumerate(kinds):
        for other in kinds[k:]:
            sigma, epsilon = pair_of(rule, one, other)
            inner, _ = quad(
                lambda r, s=sigma, e=epsilon: r**2 * energy(r, s, e) * (1 - switch(r, start, end)),
                start,
                end,
                epsabs=0,
                epsrel=1e-11,
            )
            outer = 4 * epsilon * (sigma**12 / (9 * end**9) - sigma**6 / (3 * end**3))
            n_one, n_other = atoms.count(one), atoms.count(other)
            pairs = n_one * (n_one + 1) / 2 if one == other else n_one * n_other
            total += pairs / (n * (n + 1) / 2) * (inner + outer)
    return 2 * np.pi * n**2 / volume * total
