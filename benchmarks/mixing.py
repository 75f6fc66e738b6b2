"""What geometric mixing costs: the same box mixed by Lorentz–Berthelot and geometrically, in turn, in one process.

    python -m benchmarks.mixing [--formulation NAME] [--platform CPU] [--threads 1] [--atoms 10000]

"native pair" is how lmbmd does it (``lmbmd/forcefield/mixing.py``), "custom" a ``CustomNonbondedForce`` with the rule
written out, whose energy is printed beside the other's. A step is that of a run: constraints, heavy hydrogens,
thermostat, barostat. On processors it is their time that counts, elsewhere the clock's; the quickest of the rounds,
because whatever else the machine does only slows one down.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import replace

import numpy as np
import openmm

from lmbmd.box.tile import liquid, repeated
from lmbmd.forcefield.mixing import COMBINING_RULES, GEOMETRIC, LORENTZ_BERTHELOT
from lmbmd.forcefield.parameters import ParameterSet, load_set
from lmbmd.simulate.engines import mechanics
from lmbmd.simulate.engines.platform import create_context
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import parse_spec
from lmbmd.study.study import load_study

ROUNDS, STEPS, WARM_STEPS, MINIMISE, STEP_PS = 8, 100, 300, 200, 0.002


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="config/config.yaml")
    parser.add_argument("--formulation", help="default: the study's last")
    parser.add_argument("--platform", default="CPU")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--atoms", type=int, default=0, help="repeat the box until it has about so many")
    options = parser.parse_args()
    study = load_study(options.study)
    name = options.formulation or study.names[-1]
    composition = study.composition(name)
    parameters = load_set(composition.force_field, composition.own_sets)
    counts = {species: n for species, n in composition.counts.items() if n}
    edge_A = composition.box_edge_A
    tile = liquid(composition, counts, parameters, edge_A)
    k = max(1, round((options.atoms / composition.n_atoms) ** (1 / 3)))
    systems = {}
    for rule in COMBINING_RULES:
        began = time.process_time()
        mixed = with_rule(parameters, rule)
        systems[rule], positions, box = repeated(composition, counts, mixed, edge_A, tile, (k, k, k))
        print(f"{rule}: {len(positions)} atoms built in {time.process_time() - began:.1f} s")
    timed = {
        "Lorentz-Berthelot": systems[LORENTZ_BERTHELOT],
        "native pair": systems[GEOMETRIC],
        "custom": with_custom_force(systems[LORENTZ_BERTHELOT]),
    }
    spec = parse_spec(study.spec(name, study.temperatures(name)[0], 1), where=options.study)
    chosen = PlatformOptions(name=options.platform, threads=options.threads)
    running = {way: begin(way, mechanics.prepare(s, spec, 1), positions, box, chosen) for way, s in timed.items()}
    clock = time.process_time if options.platform in ("CPU", "Reference") else time.perf_counter
    spent: dict[str, list[float]] = {way: [] for way in running}
    for _ in range(ROUNDS):
        for way, (context, integrator) in running.items():
            began = clock()
            integrator.step(STEPS)
            context.getState(energy=True)  # waits for a GPU that is still busy
            spent[way].append((clock() - began) / STEPS)
    best = {way: min(times) for way, times in spent.items()}
    for way, seconds in best.items():
        print(f"{way}: {1000 * seconds:.2f} ms per step, {seconds / best['Lorentz-Berthelot']:.2f} times as long")


def with_rule(parameters: ParameterSet, rule: str) -> ParameterSet:
    """The same numbers, mixed by another rule."""
    nonbonded = {**parameters.manifest["nonbonded"], "combining_rule": rule}
    return replace(parameters, manifest={**parameters.manifest, "nonbonded": nonbonded})


def with_custom_force(system: openmm.System) -> openmm.System:
    """A copy of a Lorentz–Berthelot System that mixes geometrically by an expression."""
    system = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(system))
    native = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    custom = openmm.CustomNonbondedForce("e1*e2*x*(x-1); x=a1*a2/r^6")
    for parameter in "ea":  # 2 √ε and σ³, so that no root or power is taken for every pair
        custom.addPerParticleParameter(parameter)
    for i in range(native.getNumParticles()):
        charge, sigma, epsilon = native.getParticleParameters(i)
        native.setParticleParameters(i, charge, sigma, 0.0)
        custom.addParticle([2 * math.sqrt(epsilon._value), sigma._value**3])
    for e in range(native.getNumExceptions()):
        custom.addExclusion(*native.getExceptionParameters(e)[:2])
    custom.setNonbondedMethod(openmm.CustomNonbondedForce.CutoffPeriodic)
    custom.setCutoffDistance(native.getCutoffDistance())
    custom.setUseSwitchingFunction(True)
    custom.setSwitchingDistance(native.getSwitchingDistance())
    custom.setUseLongRangeCorrection(True)
    native.setUseSwitchingFunction(False)
    native.setUseDispersionCorrection(False)
    system.addForce(custom)
    return system


def begin(
    way: str, system: openmm.System, positions: np.ndarray, box: np.ndarray, chosen: PlatformOptions
) -> tuple[openmm.Context, openmm.Integrator]:
    """A Context that has taken its first steps; prints the energy of the configuration that all begin from."""
    began = time.process_time()
    context, integrator, _ = create_context(system, lambda: openmm.LangevinMiddleIntegrator(298, 1, STEP_PS), chosen)
    context.setPeriodicBoxVectors(*box)
    context.setPositions(positions)
    energy = context.getState(energy=True).getPotentialEnergy()._value
    print(f"{way}: {energy:.3f} kJ/mol, first energy after {time.process_time() - began:.1f} s")
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=MINIMISE)
    context.setVelocitiesToTemperature(298, 1)
    integrator.step(WARM_STEPS)
    return context, integrator


if __name__ == "__main__":
    main()
