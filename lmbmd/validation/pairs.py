"""How Li⁺ binds one molecule in vacuum: distance and energy at the lowest minimum found, force field and GFN2-xTB.

    lmbmd validate pairs [--set sage-clp-2.1.0]      prints the table of docs/force_fields.md
    lmbmd validate pairs --quantum [--only DME EC]   against GFN2-xTB
    lmbmd validate pairs --dft                       and PBE0, for the molecules whose order must hold

The last two need `pip install lmbmd[validation]`, go on from where they were stopped, and leave
work/validation/<set>/lithium.json for `lmbmd validate report`.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import openmm
from rdkit import Chem

from lmbmd.core.files import write_text
from lmbmd.core.progress import counted
from lmbmd.core.provenance import canonical_json, sha256_of
from lmbmd.core.units import HARTREE_KJ_MOL
from lmbmd.data.library import load_library
from lmbmd.data.terms import NativeForces, read_terms
from lmbmd.forcefield.mixing import GEOMETRIC, mix_geometrically
from lmbmd.forcefield.parameters import ParameterSet, load_set
from lmbmd.quantum import dft as pbe0
from lmbmd.quantum.xtb import gfn2, relax
from lmbmd.validation.plan import SET, WORK, place
from lmbmd.validation.results import PAIR, Row

STARTS, START_NM, SHAKE_NM, SEED = 25, 0.45, 0.03, 0
#: Of the force field's minima, how many GFN2 starts from; two closer than this are one; none further up, kJ/mol.
QUANTUM_STARTS, SAME_KJ_MOL, WITHIN_KJ_MOL = 3, 0.5, 50.0
NEAR_A = 2.5
#: What the orderings that must hold are about; these are compared with PBE0 too.
JUDGED = ("DME", "Et2O", "EC", "DMC", "ETFA")
#: In the folder of a set's runs.
FILE = "lithium.json"
#: The methods, by their name in that file.
METHODS = {"force_field": "force field", "gfn2": "GFN2-xTB", "pbe0": "PBE0"}


def pair_system(parameters: ParameterSet, species: str, scale: float) -> openmm.System:
    """The molecule and then Li⁺ in vacuum, charges of ions times ``scale``."""
    return vacuum_system(parameters, [species, "Li"], scale)


def vacuum_system(parameters: ParameterSet, species: Sequence[str], scale: float) -> openmm.System:
    """Molecules and ions, one after another, without a cut-off; charges of ions times ``scale``."""
    system, forces = openmm.System(), NativeForces.empty()
    for name in species:
        terms, offset = read_terms(parameters.system(name), name), system.getNumParticles()
        for mass in terms.masses:
            system.addParticle(mass)
        charged = load_library().species[name].charge != 0
        forces.add(terms.with_scaled_charges(scale) if charged else terms, offset)
    for force in forces:
        system.addForce(force)
    if parameters.combining_rule == GEOMETRIC:
        system.addForce(mix_geometrically(forces.nonbonded))
    return system


def minima(system: openmm.System, starts: list[np.ndarray]) -> list[tuple[float, np.ndarray]]:
    """Energy (kJ/mol) and positions (nm) of the minimum below each start, lowest first."""
    context = openmm.Context(system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("Reference"))
    found = []
    for start in starts:
        context.setPositions(start)
        openmm.LocalEnergyMinimizer.minimize(context, 0.1, 0)
        state = context.getState(getEnergy=True, getPositions=True)
        found.append((state.getPotentialEnergy()._value, state.getPositions(asNumpy=True)._value))
    return sorted(found, key=lambda pair: pair[0])


def both(parameters: ParameterSet, species: str, scale: float) -> tuple[list, list]:
    """The minima of the molecule with Li⁺, and of the molecule alone (its Li⁺ then has neither charge nor size)."""
    rng = np.random.default_rng(SEED)
    x = 0.1 * parameters.geometry(species)
    starts = []
    for _ in range(STARTS):
        direction = rng.standard_normal(3)
        around = x + SHAKE_NM * rng.standard_normal(x.shape)
        starts.append(np.vstack([around, START_NM * direction / np.linalg.norm(direction)]))
    pair = minima(pair_system(parameters, species, scale), starts)
    alone = pair_system(parameters, species, scale)
    for force in alone.getForces():
        if isinstance(force, openmm.NonbondedForce):
            force.setParticleParameters(force.getNumParticles() - 1, 0.0, 0.1, 0.0)
    # The molecule as it is around Li⁺ may fold to a lower conformation than any other start.
    return pair, minima(alone, [*starts, pair[0][1]])


def donors(positions_A: np.ndarray, elements: list[str]) -> list[tuple[str, float]]:
    """Element and distance (Å) of the donors within reach of Li⁺, the last position, nearest first."""
    distances = np.linalg.norm(positions_A[:-1] - positions_A[-1], axis=1)
    order = np.argsort(distances)
    return [(elements[i], float(distances[i])) for i in order if elements[i] in "OFNPSCl" and distances[i] < NEAR_A]


def bindings(parameters: ParameterSet, species: str, scales: Sequence[float]) -> Iterator[tuple[float, str]]:
    """For each scale: binding energy (kJ/mol, Li⁺ and the molecule's own minimum being zero) and the nearest donors."""
    found = [both(parameters, species, scale) for scale in scales]
    lowest = [pair[0][1] for pair, _ in found]  # of each scale a start for the others, too
    for scale, (_, alone) in zip(scales, found, strict=True):
        energy, positions = minima(pair_system(parameters, species, scale), lowest)[0]
        near = donors(10 * positions, parameters.elements(species))
        yield energy - alone[0][0], ", ".join(f"{element} {r:.2f}" for element, r in near)


# ---- against quantum chemistry


def by_force_field(parameters: ParameterSet, species: str, pair: list, alone: list) -> dict:
    """Binding energy at the full and the scaled charge of the ion, and donors."""
    scale = parameters.default_ion_charge_scale
    scaled = minima(pair_system(parameters, species, scale), [x for _, x in distinct(pair)])[0][0]
    return {
        "force_field_kJ_mol": pair[0][0] - alone[0][0],
        "force_field_scaled_kJ_mol": scaled - alone[0][0],
        "force_field_donors": donors(10 * pair[0][1], parameters.elements(species)),
    }


def by_quantum_chemistry(parameters: ParameterSet, species: str, pair: list, alone: list, dft: bool) -> dict:
    """Binding energy and donors by GFN2-xTB, from the force field's minima, and from there, if asked for, by PBE0."""
    elements = parameters.elements(species)
    numbers = np.array([Chem.GetPeriodicTable().GetAtomicNumber(e) for e in elements])
    with_li, li = np.append(numbers, 3), np.array([3])
    ion, centre = gfn2(li, 1), np.zeros((1, 3))
    energy, position = min((relax(gfn2(with_li, 1), 10 * x) for _, x in distinct(pair)), key=lambda found: found[0])
    free_starts = [10 * x[:-1] for _, x in distinct(alone)] + [position[:-1]]
    free_energy, free_position = min((relax(gfn2(numbers, 0), x) for x in free_starts), key=lambda found: found[0])
    row = {
        "gfn2_kJ_mol": energy - free_energy - HARTREE_KJ_MOL * ion(centre)[0],
        "gfn2_donors": donors(position, elements),
    }
    if dft:  # relaxed in a small basis, energies in a larger one
        _, position = relax(pbe0.surface(with_li, 1), position, force=1e-3)
        _, free_position = relax(pbe0.surface(numbers, 0), free_position, force=1e-3)
        parts = ((with_li, 1, position, 1), (numbers, 0, free_position, -1), (li, 1, centre, -1))
        energies = [sign * pbe0.solve(z, x, q, "def2-tzvp").energy_kJ_mol for z, q, x, sign in parts]
        row |= {"pbe0_kJ_mol": sum(energies), "pbe0_donors": donors(position, elements)}
    return row


def distinct(found: list[tuple[float, np.ndarray]]) -> list[tuple[float, np.ndarray]]:
    """The lowest minima that differ in energy."""
    kept: list[tuple[float, np.ndarray]] = []
    for energy, positions in found:
        near = energy - found[0][0] < WITHIN_KJ_MOL
        if not kept or (near and energy - kept[-1][0] > SAME_KJ_MOL):
            kept.append((energy, positions))
    return kept[:QUANTUM_STARTS]


def fingerprint(parameters: ParameterSet, species: str) -> str:
    """What a stored comparison rests on."""
    return sha256_of(
        canonical_json([parameters.systems[species], parameters.systems["Li"], STARTS, QUANTUM_STARTS]).encode()
    )


def load(path: Path, parameters: ParameterSet) -> dict[str, dict]:
    """Stored comparisons that still hold, by species."""
    known = {name: row for name, row in _stored(path).items() if name in parameters.species}
    return {name: row for name, row in known.items() if row["fingerprint"] == fingerprint(parameters, name)}


def _stored(path: Path) -> dict[str, dict]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def run_comparison(parameters: ParameterSet, species: Sequence[str], path: Path, dft: bool) -> None:
    """Compare what has not been compared yet, saving after each molecule.

    What quantum chemistry once said stays when the force field changes: it only began at the force field's minima.
    """
    rows, wanted = load(path, parameters), ("gfn2_kJ_mol", "pbe0_kJ_mol")[: 1 + dft]
    missing = [s for s in species if not set(wanted) <= rows.get(s, {}).keys()]
    for name in counted(missing, "Li⁺ and one molecule", "molecules"):
        pair, alone = both(parameters, name, 1.0)
        row = {k: v for k, v in _stored(path).get(name, {}).items() if k.startswith(("gfn2_", "pbe0_"))}
        if not set(wanted) <= row.keys():
            row |= by_quantum_chemistry(parameters, name, pair, alone, dft)
        row |= {"fingerprint": fingerprint(parameters, name), **by_force_field(parameters, name, pair, alone)}
        stored = _stored(path) | {name: row}  # anew: another process may have added to it
        write_text(path, json.dumps(stored, indent=1, sort_keys=True) + "\n")


def rows(parameters: ParameterSet, work: Path) -> Iterator[Row]:
    """What has run of a set, as results: binding energies, and then the distance of each donor, nearest first."""
    scale = parameters.default_ion_charge_scale
    for name, found in load(place(work, parameters.folder.name) / FILE, parameters).items():
        for key, method in METHODS.items():
            if f"{key}_kJ_mol" not in found:
                continue
            row = Row(PAIR, name, "binding_energy", ensemble="vacuum", ion_charge_scale=1.0, engine=method)
            yield replace(row, simulated=found[f"{key}_kJ_mol"])
            for element, distance_A in found[f"{key}_donors"]:
                yield replace(row, quantity="donor_distance", partner=element, simulated=distance_A)
            if key == "force_field" and scale != 1.0:
                yield replace(row, ion_charge_scale=scale, simulated=found["force_field_scaled_kJ_mol"])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "lmbmd validate pairs", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--set", default=SET)
    parser.add_argument("--quantum", action="store_true", help="compare with GFN2-xTB")
    parser.add_argument("--dft", action="store_true", help="with PBE0 as well: minutes a molecule")
    parser.add_argument("--only", nargs="+", metavar="SPECIES", help="with --quantum or --dft: of these molecules")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the results")
    args = parser.parse_args(arguments)
    parameters = load_set(args.set)
    if args.quantum or args.dft:
        species = args.only or (JUDGED if args.dft else neutral(parameters))
        run_comparison(parameters, species, place(args.work, args.set) / FILE, args.dft)
        return
    scale = parameters.default_ion_charge_scale
    print(f"| molecule | scale 1: donors within 2.5 Å | kJ/mol | scale {scale:g}: donors | kJ/mol |")
    print("|---|---|---|---|---|")
    for species in parameters.species:
        if species != "Li" and load_library().species[species].charge <= 0:
            (full, near), (scaled, near_scaled) = bindings(parameters, species, (1.0, scale))
            print(f"| {species} | {near} | {full:.0f} | {near_scaled} | {scaled:.0f} |", flush=True)


def neutral(parameters: ParameterSet) -> list[str]:
    """The molecules without charge, smallest first."""
    species = load_library().species
    return sorted((s for s in parameters.species if species[s].charge == 0), key=lambda s: species[s].n_atoms)
