"""Energies of one shell and of its parts: what binds, what each molecule gives to it, and where its levels are.

Theory: docs/theory/energies.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmbmd.quantum import xtb
from lmbmd.quantum.drawn import DrawnShell
from lmbmd.quantum.solution import NotConverged, Solution, Solve, atomic_numbers

#: Distances are kept to this when a shell is relaxed, Å; a larger change is an outcome.
KEPT_A = 0.05
#: Steps in which a shell must have come to rest when it is relaxed.
RELAX_STEPS = 300
#: The numbers of a shell, and of each molecule in it beside the ion.
OF_SHELL = ("binding_kJ_mol", "nonadditivity_kJ_mol", "homo_eV", "lumo_eV", "dipole_D")
OF_MOLECULE = ("removal_kJ_mol", "interaction_kJ_mol", "homo_eV", "lumo_eV")
#: Of a free molecule.
OF_FREE = ("energy_kJ_mol", "homo_eV", "lumo_eV", "dipole_D")


def shell_energies(shell: DrawnShell, solve: Solve, xyz_A: np.ndarray | None = None) -> dict[str, Any]:
    """All numbers of one shell at fixed geometry.

    With E the energy of some of its molecules at the places where they are, and S all of them:

    - binding of the ion: E(S) − E(ion) − E(S without the ion);
    - removal of molecule i: E(S without i) + E(i) − E(S), positive if it is held;
    - interaction with i: E(ion and i) − E(ion) − E(i);
    - non-additivity: the binding minus the sum of the interactions.

    Args:
        shell: the ion first.
        solve: the method.
        xyz_A: other positions than the shell's own.

    Returns:
        the keys of ``OF_SHELL``, ``"energy_kJ_mol"``, and ``"molecules"``: for each but the ion its species and the
        keys of ``OF_MOLECULE``.

    Raises:
        NotConverged: if any part does not converge.
    """
    numbers = atomic_numbers(shell.element)
    positions = shell.xyz_A if xyz_A is None else xyz_A
    spans = shell.atoms
    known: dict[frozenset[int], Solution] = {}

    def of(members: Sequence[int]) -> Solution:
        key = frozenset(members)
        if key not in known:
            index = [atom for k in sorted(key) for atom in spans[k]]
            charge = sum(shell.molecules[k].charge_e for k in key)
            known[key] = solve(numbers[index], positions[index], charge)
        return known[key]

    def energy(members: Sequence[int]) -> float:
        return of(members).energy_kJ_mol if members else 0.0

    everyone = list(range(len(shell.molecules)))
    others = everyone[1:]
    whole, ion = of(everyone), energy([0])
    binding = whole.energy_kJ_mol - ion - energy(others)
    molecules: list[dict[str, Any]] = []
    for i in others:
        homo, lumo = whole.levels_eV(spans[i])
        molecules.append(
            {
                "species": shell.molecules[i].species,
                "removal_kJ_mol": energy([k for k in everyone if k != i]) + energy([i]) - whole.energy_kJ_mol,
                "interaction_kJ_mol": energy([0, i]) - ion - energy([i]),
                "homo_eV": homo,
                "lumo_eV": lumo,
            }
        )
    homo, lumo = whole.levels_eV(range(len(numbers)))
    return {
        "energy_kJ_mol": whole.energy_kJ_mol,
        "binding_kJ_mol": binding,
        "nonadditivity_kJ_mol": binding - sum(m["interaction_kJ_mol"] for m in molecules),
        "homo_eV": homo,
        "lumo_eV": lumo,
        "dipole_D": float(np.linalg.norm(whole.dipole_D)),
        "molecules": molecules,
    }


def relaxed(shell: DrawnShell, permittivity: float | None = None) -> np.ndarray:
    """Positions (Å) of the minimum below a shell by GFN2-xTB, its ion–donor distances kept.

    Raises:
        NotConverged: if the charges do not converge on the way, ``RELAX_STEPS`` do not reach it, or a distance could
            not be kept.
    """
    numbers = atomic_numbers(shell.element)
    charge = sum(m.charge_e for m in shell.molecules)
    surface = xtb.gfn2(numbers, charge, permittivity=permittivity)
    _, x = xtb.relax(surface, shell.xyz_A, force=1e-3, steps=RELAX_STEPS, change=1e-8, kept=shell.contacts)
    for a, b in shell.contacts:
        moved = np.linalg.norm(x[a] - x[b]) - np.linalg.norm(shell.xyz_A[a] - shell.xyz_A[b])
        if abs(moved) > KEPT_A:
            raise NotConverged(f"a distance moved by {moved:+.3f} Å when the shell was relaxed")
    return x


def free_molecule(
    element: Sequence[str], starts: Sequence[np.ndarray], charge_e: int, solve: Solve, permittivity: float | None
) -> dict[str, float]:
    """A molecule by itself, at the lowest minimum by GFN2-xTB below the geometries that were drawn of it.

    Returns:
        ``homo_eV``, ``lumo_eV``, ``dipole_D`` and ``energy_kJ_mol``.
    """
    numbers = atomic_numbers(element)
    surface = xtb.gfn2(numbers, charge_e, permittivity=permittivity)
    minima = [xtb.relax(surface, x) for x in starts] if len(numbers) > 1 else [(0.0, starts[0])]
    alone = solve(numbers, min(minima, key=lambda found: found[0])[1], charge_e)
    homo, lumo = alone.levels_eV(range(len(numbers)))
    return {
        "energy_kJ_mol": alone.energy_kJ_mol,
        "homo_eV": homo,
        "lumo_eV": lumo,
        "dipole_D": float(np.linalg.norm(alone.dipole_D)),
    }
