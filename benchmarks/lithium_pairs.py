"""How Li⁺ binds one molecule in vacuum: distance and energy at the lowest minimum found.

    python benchmarks/lithium_pairs.py [--set sage-clp-1.1.0]

prints the table of docs/force_fields.md; it takes under a minute.
"""

from __future__ import annotations

import argparse

import numpy as np
import openmm

from lmbmd.forcefield.library import load_library
from lmbmd.forcefield.parameters import ParameterSet, load_set

STARTS, START_NM, SHAKE_NM, SEED = 25, 0.45, 0.03, 0


def pair_system(parameters: ParameterSet, species: str, scale: float) -> openmm.System:
    """The molecule and then Li⁺ in vacuum, charges of ions times ``scale``."""
    pair = parameters.system(species)
    nonbonded = next(f for f in pair.getForces() if isinstance(f, openmm.NonbondedForce))
    if load_library().species[species].charge:
        for i in range(nonbonded.getNumParticles()):
            q, *lj = nonbonded.getParticleParameters(i)
            nonbonded.setParticleParameters(i, scale * q, *lj)
        for k in range(nonbonded.getNumExceptions()):
            i, j, qq, *lj = nonbonded.getExceptionParameters(k)
            nonbonded.setExceptionParameters(k, i, j, scale**2 * qq, *lj)
    lithium = parameters.system("Li")
    q, *lj = next(iter(lithium.getForces())).getParticleParameters(0)
    pair.addParticle(lithium.getParticleMass(0))
    nonbonded.addParticle(scale * q, *lj)
    return pair


def lowest(system: openmm.System, starts: list[np.ndarray]) -> tuple[float, np.ndarray]:
    """Energy (kJ/mol) and positions (nm) of the lowest minimum."""
    context = openmm.Context(system, openmm.VerletIntegrator(1e-3), openmm.Platform.getPlatformByName("Reference"))
    best = (np.inf, np.empty(0))
    for start in starts:
        context.setPositions(start)
        openmm.LocalEnergyMinimizer.minimize(context, 0.1, 0)
        state = context.getState(getEnergy=True, getPositions=True)
        if (energy := state.getPotentialEnergy()._value) < best[0]:
            best = (energy, state.getPositions(asNumpy=True)._value)
    return best


def binding(parameters: ParameterSet, species: str, scale: float) -> tuple[float, str]:
    """Binding energy (kJ/mol, Li⁺ and the molecule's own minimum being zero) and the nearest donors."""
    rng = np.random.default_rng(SEED)
    x = 0.1 * parameters.geometry(species)
    starts = []
    for _ in range(STARTS):
        direction = rng.standard_normal(3)
        around = x + SHAKE_NM * rng.standard_normal(x.shape)
        starts.append(np.vstack([around, START_NM * direction / np.linalg.norm(direction)]))
    # A Li⁺ without charge or size: the molecule alone, in the same code.
    alone = pair_system(parameters, species, scale)
    nonbonded = next(f for f in alone.getForces() if isinstance(f, openmm.NonbondedForce))
    nonbonded.setParticleParameters(nonbonded.getNumParticles() - 1, 0.0, 0.1, 0.0)
    zero, _ = lowest(alone, starts)
    energy, found = lowest(pair_system(parameters, species, scale), starts)
    distance = 10 * np.linalg.norm(found[:-1] - found[-1], axis=1)
    near = [
        (r, e) for r, e in sorted(zip(distance, parameters.elements(species), strict=True)) if e in "OFN" and r < 2.5
    ]
    return energy - zero, ", ".join(f"{element} {r:.2f}" for r, element in near)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", default="sage-clp-1.1.0")
    parameters = load_set(parser.parse_args().set)
    print("| molecule | scale 1: donors within 2.5 Å | kJ/mol | scale 0.8: donors | kJ/mol |\n|---|---|---|---|---|")
    for species in parameters.species:
        if species != "Li" and load_library().species[species].charge <= 0:
            (full, near), (scaled, near_scaled) = (binding(parameters, species, scale) for scale in (1.0, 0.8))
            print(f"| {species} | {near} | {full:.0f} | {near_scaled} | {scaled:.0f} |", flush=True)


if __name__ == "__main__":
    main()
