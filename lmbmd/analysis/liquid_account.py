"""The liquid as simulated: density, and concentrations at the simulated volume. Theory: docs/theory/convergence.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import overload

import numpy as np
import pandas as pd

from lmbmd.analysis.family import Account, Family, Recipe
from lmbmd.analysis.shells.coordination import kind
from lmbmd.core.units import ANGSTROM3_PER_CM3, ANGSTROM3_PER_LITRE, AVOGADRO_PER_MOL
from lmbmd.data.atoms import AtomTable
from lmbmd.data.counts import scarcity
from lmbmd.numbers.doubt import COLUMNS as DOUBT
from lmbmd.numbers.doubt import SURE, descriptor, doubt, told
from lmbmd.numbers.estimate import estimate_mean, scaled

#: Quantities of a composition in whose terms a recipe may have been written: basis → (quantity, factor).
_ASKED = {
    "mol/L of solution": ("molarity", 1.0),
    "mol/kg of solvent": ("molality", 1.0),
    "wt%": ("mass fraction", 0.01),
}
#: Bases that whole molecules fix once and for all; any other needs volumes of the pure liquids.
_OF_COUNTS = ("mol parts", "mass parts", "units per cation", "ether oxygens per cation")


def liquid_account(volumes_A3: Sequence[np.ndarray], atoms: AtomTable, recipe: Recipe | None = None) -> Account:
    """What was asked for, what whole molecules make of it, and what the box held.

    Args:
        volumes_A3: volume of each frame, one array per replica.
        atoms: of the box.
        recipe: with it, rows are by component (salts, solvents …); without, by species, and nothing was asked.

    Returns:
        descriptors ``density_g_cm3`` and ``molarity_mol_L``; the table ``composition``; notes on species of which the
        box holds few. Amounts that depend on the volume have
        its error; "realised" is at the start volume of compose (ideal mixing).
    """
    inverse = estimate_mean([1.0 / v for v in volumes_A3])
    if inverse.source == "constant":  # a box of fixed size: given, not sampled
        inverse = replace(inverse, error=0.0, degrees_of_freedom=np.inf, source="exact")
    volume = 1.0 / inverse.value
    relative = inverse.error / inverse.value
    if recipe is None:
        simulated = _by_species(atoms, volume)
        realised = {}
    else:
        simulated = recipe.quantities(volume)
        realised = {(component, quantity): value for component, quantity, value, _ in recipe.quantities()}
    asked = _asked(recipe) if recipe else {}
    rows, descriptors = [], []
    for component, quantity, value, unit in simulated:
        moves = quantity in ("molarity", "density")
        rows.append(
            (
                component,
                quantity,
                asked.get((component, quantity), np.nan),
                realised.get((component, quantity), np.nan),
                value,
                value * relative if moves else 0.0,
                unit,
                *told(doubt(inverse) if moves else SURE),
            )
        )
        if moves:
            name = "molarity_mol_L" if quantity == "molarity" else "density_g_cm3"
            method = f"{quantity} at the simulated volume"
            descriptors.append(descriptor(name, component, scaled(inverse, value / inverse.value), unit, method))
    rows += _other_bases(recipe) if recipe else []
    columns = ["component", "quantity", "asked", "realised", "simulated", "error", "unit", *DOUBT]
    notes = few_molecules({s.name: atoms.count(s.name) for s in atoms.species})
    return Account(descriptors, {"composition": pd.DataFrame(rows, columns=columns)}, notes)


def _asked(recipe: Recipe) -> dict[tuple[str, str], float]:
    """Asked amounts that are quantities of the table."""
    asked = {}
    for row in recipe.asked_realised:
        if row.basis in _ASKED:
            quantity, factor = _ASKED[row.basis]
            asked[row.component, quantity] = row.asked * factor
    return asked


def _other_bases(recipe: Recipe) -> list[tuple]:
    """Rows for amounts asked on other bases (ratios, volumes of the pure liquids)."""
    return [
        (
            row.component,
            row.basis,
            row.asked,
            row.realised,
            row.realised if row.basis in _OF_COUNTS else np.nan,
            0.0,
            "1",
            *told(SURE),
        )
        for row in recipe.asked_realised
        if row.basis not in _ASKED
    ]


def _by_species(atoms: AtomTable, volume_A3: float) -> list[tuple[str, str, float, str]]:
    """Count, molarity, molality, mass fraction of every species, and the density, without a recipe."""
    mass = _mass_by_species(atoms)
    count = np.bincount(atoms.unit_species, minlength=len(atoms.species))
    liquid = sum(m for m, s in zip(mass, atoms.species, strict=True) if kind(s) in ("solvent", "polymer", "diluent"))
    rows: list[tuple[str, str, float, str]] = []
    for s, n, m in zip(atoms.species, count, mass, strict=True):
        rows.append((s.name, "count", float(n), "1"))
        rows.append((s.name, "molarity", n / AVOGADRO_PER_MOL * ANGSTROM3_PER_LITRE / volume_A3, "mol/L"))
        if liquid:
            rows.append((s.name, "molality", 1000.0 * n / liquid, "mol/kg"))
        rows.append((s.name, "mass fraction", m / mass.sum(), "1"))
    rows.append(("", "density", density_g_cm3(atoms, volume_A3), "g/cm³"))
    return rows


def few_molecules(counts: Mapping[str, int]) -> list[dict[str, str]]:
    """A note for every species in the box with few molecules, or too few to speak of statistics at all."""
    told = (scarcity(name, n) for name, n in counts.items() if n)
    return [{"topic": "statistics", "text": sentence} for sentence in told if sentence]


@overload
def density_g_cm3(atoms: AtomTable, volume_A3: float) -> float: ...


@overload
def density_g_cm3(atoms: AtomTable, volume_A3: np.ndarray) -> np.ndarray: ...


def density_g_cm3(atoms: AtomTable, volume_A3: float | np.ndarray) -> float | np.ndarray:
    """Mass of the box over its volume."""
    return _mass_by_species(atoms).sum() / AVOGADRO_PER_MOL * ANGSTROM3_PER_CM3 / volume_A3


def _mass_by_species(atoms: AtomTable) -> np.ndarray:
    return np.bincount(atoms.species_id, weights=atoms.mass_amu, minlength=len(atoms.species))


FAMILY = Family(
    account=lambda found: liquid_account(found.volume_A3, found.setting.atoms, found.setting.recipe),
    series=lambda found: {"density_g_cm3": [density_g_cm3(found.setting.atoms, v) for v in found.volume_A3]},
)
