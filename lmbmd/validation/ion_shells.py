"""How far the oxygens of a full first shell sit from each metal ion, in vacuum, beside the sum of ionic radii.

    lmbmd validate ion-shells [--set sage-clp-2.1.0]
    lmbmd validate ion-shells --lithium               the same for other published values of Li⁺

prints the tables of docs/force_fields.md; it takes a minute or two. A cluster of one ion and four or six molecules is
minimised, kept at 250 K for 4 ps and minimised again. Radii: Shannon, Acta Cryst. A 1976, 32, 751
(10.1107/S0567739476001551), effective ionic, of the same coordination; 1.38 Å for oxygen.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
import openmm
from rdkit import Chem

from lmbmd.data.library import load_library
from lmbmd.data.terms import nonbonded_force
from lmbmd.forcefield.parameters import ParameterSet, load_set
from lmbmd.quantum.xtb import gfn2, relax
from lmbmd.validation.pairs import vacuum_system
from lmbmd.validation.plan import SET

#: Ion: coordination, effective ionic radius in Å.
IONS = {
    "Li": (4, 0.59),
    "Na": (6, 1.02),
    "K": (6, 1.38),
    "Rb": (6, 1.52),
    "Cs": (6, 1.67),
    "Mg": (6, 0.72),
    "Ca": (6, 1.00),
    "Zn": (6, 0.74),
}
OXYGEN_A = 1.38
LIGANDS = {"THF": "O_ether", "EC": "O_carbonyl"}
DIRECTIONS = {
    4: np.array([v for v in product((1, -1), repeat=3) if np.prod(v) == 1]) / 3**0.5,
    6: np.vstack([np.eye(3), -np.eye(3)]),
}
#: Published σ (Å) and ε (kcal/mol) of Li⁺ for arithmetic mixing: Åqvist's as in AMBER (10.1021/j100384a009), those of
#: Joung and Cheatham for three waters (10.1021/jp8001614), Dang's as in the database github.com/rashatwi/combat.
LITHIUM = {
    "Åqvist, AMBER": (2.0259, 0.0183),
    "Joung, Cheatham, TIP3P": (1.8263, 0.0279896),
    "Joung, Cheatham, SPC/E": (1.4094, 0.3367344),
    "Joung, Cheatham, TIP4P-Ew": (1.4397, 0.1039884),
    "Dang": (1.506, 0.1651),
}
START_NM, TEMPERATURE_K, STEPS, SEED = 0.28, 250, 4000, 1


def shell_distances_A(parameters: ParameterSet, ion: str, ligand: str, scale: float) -> np.ndarray:
    """Distances of the donor of each molecule from the ion, sorted."""
    return _to_donors_A(shell_A(parameters, ion, ligand, scale), parameters, ion, ligand)


def gfn2_distances_A(parameters: ParameterSet, ion: str, ligand: str) -> np.ndarray:
    """The same at GFN2-xTB's minimum, from that of the force field; needs the extra "validation"."""
    elements = parameters.elements(ion) + parameters.elements(ligand) * IONS[ion][0]
    numbers = np.array([Chem.GetPeriodicTable().GetAtomicNumber(e) for e in elements])
    charge = load_library().species[ion].charge
    _, found = relax(gfn2(numbers, charge), shell_A(parameters, ion, ligand, 1.0))
    return _to_donors_A(found, parameters, ion, ligand)


def _to_donors_A(positions_A: np.ndarray, parameters: ParameterSet, ion: str, ligand: str) -> np.ndarray:
    names = parameters.site_of_atom(ligand)
    donors = 1 + names.index(LIGANDS[ligand]) + len(names) * np.arange(IONS[ion][0])
    return np.sort(np.linalg.norm(positions_A[donors] - positions_A[0], axis=1))


def shell_A(parameters: ParameterSet, ion: str, ligand: str, scale: float) -> np.ndarray:
    """Positions of an ion and then of the molecules of its full shell, in vacuum, Å."""
    count, _ = IONS[ion]
    donor = parameters.site_of_atom(ligand).index(LIGANDS[ligand])
    x = 0.1 * parameters.geometry(ligand)
    rng = np.random.default_rng(SEED)
    positions = [np.zeros(3)]
    for direction in DIRECTIONS[count]:
        positions += list((x - x[donor]) @ _turned(x, donor, direction, rng).T + START_NM * direction)
    system = vacuum_system(parameters, [ion] + [ligand] * count, scale)
    integrator = openmm.LangevinMiddleIntegrator(TEMPERATURE_K, 2, 0.001)
    integrator.setRandomNumberSeed(SEED)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("CPU"), {"Threads": "1"})
    context.setPositions(positions)
    openmm.LocalEnergyMinimizer.minimize(context, 1, 2000)
    context.setVelocitiesToTemperature(TEMPERATURE_K, SEED)
    integrator.step(STEPS)
    openmm.LocalEnergyMinimizer.minimize(context, 0.1, 5000)
    return 10 * context.getState(getPositions=True).getPositions(asNumpy=True)._value


def _turned(x: np.ndarray, donor: int, direction: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A rotation that points the molecule's donor at the ion, with a random turn about that axis."""
    first = _frame(x[donor] - x.mean(0), rng)
    return _frame(-direction, rng).T @ first


def _frame(axis: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Three perpendicular unit rows, the first along ``axis``, right-handed."""
    a = axis / np.linalg.norm(axis)
    b = np.cross(a, rng.standard_normal(3))
    b /= np.linalg.norm(b)
    return np.array([a, b, np.cross(a, b)])


def with_lithium(base: ParameterSet, sigma_A: float, epsilon_kcal_mol: float) -> ParameterSet:
    """A parameter set with other values for Li⁺."""
    system = base.system("Li")
    force = nonbonded_force(system)
    force.setParticleParameters(0, force.getParticleParameters(0)[0], 0.1 * sigma_A, 4.184 * epsilon_kcal_mol)
    return replace(base, systems={**base.systems, "Li": openmm.XmlSerializer.serialize(system)})


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "lmbmd validate ion-shells", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", default=SET)
    parser.add_argument("--lithium", action="store_true", help="other values of Li⁺, and GFN2-xTB, instead")
    args = parser.parse_args(arguments)
    parameters = load_set(args.set)
    scales = (1.0, parameters.default_ion_charge_scale)
    columns = [f"{ligand} × {scale:g}" for ligand in LIGANDS for scale in scales]
    if args.lithium:
        print(f"| Li⁺ | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
        for name, values in LITHIUM.items():
            other = with_lithium(parameters, *values)
            means = [shell_distances_A(other, "Li", *case).mean() for case in product(LIGANDS, scales)]
            print(f"| {name} | {' | '.join(f'{r:.2f}' for r in means)} |", flush=True)
        quantum = [gfn2_distances_A(parameters, "Li", ligand).mean() for ligand in LIGANDS]
        print("| GFN2-xTB | " + " | ".join(f"{r:.2f} | " for r in quantum) + " |")
        return
    print(f"| ion | molecules | radii, Å | {' | '.join(columns)} |\n|---|---|---|{'---|' * len(columns)}")
    for ion, (count, radius) in IONS.items():
        if ion not in parameters.species:
            continue
        cells = []
        for ligand, scale in product(LIGANDS, scales):
            r = shell_distances_A(parameters, ion, ligand, scale)
            inside = r[r < radius + OXYGEN_A + 0.6]
            cells.append(f"{inside.mean():.2f}" + (f" ({len(inside)})" if len(inside) < count else ""))
        print(f"| {ion} | {count} | {radius + OXYGEN_A:.2f} | {' | '.join(cells)} |", flush=True)
