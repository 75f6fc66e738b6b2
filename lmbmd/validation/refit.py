"""Lennard-Jones terms of one kind of atom against liquids whose density and enthalpy of vaporisation are known.

    lmbmd validate refit FIT SET                    with the set as it is
    lmbmd validate refit FIT SET --terms FILE       with the terms of FILE (recipes/refit.yaml) instead
    lmbmd validate refit FIT SET --terms FILE --fit and propose better ones, from the training liquids alone

FIT is one of those of ``force_fields/recipes/refit_liquids.yaml``, which has their liquids; the terms of the others in
FILE stay. SET is the folder of an own set that holds those that the library lacks, made by ``lmbmd parametrize NAME
--smiles SMILES --out SET --extends BASE``, where BASE is the released set that FIT began from. Needs GROMACS. Every run
goes on from where it was stopped.

The proposal is a Gauss-Newton step: with θ one of the numbers, U the potential energy and β = 1/kT, the fluctuations of
one run give its derivatives (Wang, Martinez and Pande, doi:10.1021/jz500737m),

    ∂<ρ>/∂θ = −β cov(ρ, ∂U/∂θ)        ∂<U>/∂θ = <∂U/∂θ> − β cov(U, ∂U/∂θ), of the liquid and of the vapour

where ∂U/∂θ is the difference of two evaluations of the stored frames. Deviations are weighed by what is thought to be
attainable, 1 % in density and 1.5 kJ/mol in enthalpy; changes of θ by a prior of 5 % in σ and 30 % in ε.
"""

from __future__ import annotations

import argparse
import copy
import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import openmm
import yaml
from rdkit import Chem

from lmbmd.core.provenance import canonical_json, derived_seed, sha256_of
from lmbmd.data.library import force_fields_folder
from lmbmd.data.terms import nonbonded_force, plain
from lmbmd.forcefield.own import read_own
from lmbmd.forcefield.parameters import ParameterSet, read_extended
from lmbmd.forcefield.parametrize.refits import matches
from lmbmd.numbers.estimate import estimate_mean
from lmbmd.simulate.engines import gromacs
from lmbmd.simulate.engines.mechanics import prepare
from lmbmd.simulate.protocol import RunSpec, Seeds
from lmbmd.validation.liquids import in_vacuum, remove_barostat
from lmbmd.validation.plan import G_CM3_PER_AMU_NM3, GAS_KJ_MOL_K, SAMPLE_PS

FITS = yaml.safe_load((force_fields_folder() / "recipes" / "refit_liquids.yaml").read_text(encoding="utf-8"))
ATOMS, EQUILIBRATION_PS, VAPOUR_SETTLE_PS, VAPOUR_PS = 800, 60.0, 8.0, 392.0
SCALE14 = 0.5
WEIGHT_DENSITY, WEIGHT_KJ_MOL = 0.01, 1.5
PRIOR = {"sigma_A": 0.05, "epsilon_kJ_mol": 0.30}
NUDGE = 0.01
AGAIN_A3 = 40.0**3  # of a box of which only the topology is used


def patched(base: ParameterSet, terms: Sequence[dict], species: str) -> ParameterSet:
    """The set with other Lennard-Jones terms on one species (later entries win), its 1–4 pairs included."""
    system = base.system(species)
    graph = Chem.AddHs(Chem.MolFromSmiles(base.manifest["species"][species]["smiles"]))
    force = nonbonded_force(system)
    changed = {}
    for term in terms:
        for (i,) in matches(graph, term["smarts"]):
            changed[i] = (0.1 * term["sigma_A"], term["epsilon_kJ_mol"])
    for i, lj in changed.items():
        force.setParticleParameters(i, force.getParticleParameters(i)[0], *lj)
    for k in range(force.getNumExceptions()):
        i, j, charge, _, epsilon = plain(force.getExceptionParameters(k))
        if epsilon and {i, j} & set(changed):
            (_, s1, e1), (_, s2, e2) = (plain(force.getParticleParameters(x)) for x in (i, j))
            mixed = SCALE14 * np.sqrt(e1 * e2)
            force.setExceptionParameters(k, i, j, charge, (s1 + s2) / 2, mixed)
    return replace(base, systems={**base.systems, species: openmm.XmlSerializer.serialize(system)})


@dataclass(frozen=True)
class Liquid:
    """One compound in one set of terms, and where its runs lie."""

    name: str
    facts: dict
    base: ParameterSet
    terms: tuple[dict, ...]
    work: Path

    @cached_property
    def parameters(self) -> ParameterSet:
        return patched(self.base, self.terms, self.name)

    @cached_property
    def n_molecules(self) -> int:
        return round(ATOMS / self.parameters.system(self.name).getNumParticles())

    @cached_property
    def folder(self) -> Path:
        system = openmm.XmlSerializer.serialize(self.parameters.system(self.name))
        facts = [system, ATOMS, self.facts["T_K"], gromacs.BAROSTAT_PS]
        return self.work / f"{self.name}-{sha256_of(canonical_json(facts).encode())[:12]}"

    @property
    def spec(self) -> RunSpec:
        seed = derived_seed("fluorocarbon", self.name)
        return RunSpec(
            temperature_K=self.facts["T_K"],
            pressure_bar=1.0,
            seeds=Seeds(velocities=seed, thermostat=seed, barostat=seed),
            production_ns=0.1,
            frame_interval_ps=SAMPLE_PS,
            state_interval_ps=SAMPLE_PS,
            equilibration_ns=0.1,
            max_equilibration_ns=0.1,
            timestep_fs=4.0,
            friction_per_ps=1.0,
            hydrogen_mass_amu=3.0,
            barostat_interval=25,
        )

    def samples(self, ps: float) -> np.ndarray:
        """Density and potential energy of the equilibrated liquid, (n, 2)."""
        if not (self.folder / "topol.top").is_file():
            facts = self.base.library.find_species(self.name)
            volume_A3 = (
                1000 * self.n_molecules * facts.molar_mass_g_mol * G_CM3_PER_AMU_NM3 / self.facts["density_g_cm3"] / 0.8
            )
            box = gromacs.pure(facts, self.n_molecules, volume_A3)
            gromacs.write_box(self.folder, self.parameters, box, self.spec)
        rows = gromacs.simulate(self.folder, self.spec, EQUILIBRATION_PS + ps, SAMPLE_PS)
        assert rows is not None, "a run without a limit of time is complete"
        return rows[round(EQUILIBRATION_PS / SAMPLE_PS) :, :2]

    @cached_property
    def vapour(self) -> tuple[np.ndarray, np.ndarray]:
        """Potential energies (kJ/mol) and positions (nm) of one molecule in vacuum."""
        path = self.folder / "vapour.npz"
        if not path.is_file():
            seeds = self.spec.seeds.velocities % 2**31, 1
            energies, places = in_vacuum(self.parameters, self.name, self.spec, seeds, VAPOUR_SETTLE_PS, VAPOUR_PS)
            np.savez(path, energies=energies, places=places)
        with np.load(path, allow_pickle=False) as data:
            return data["energies"], data["places"]

    def vapour_energies(self, parameters: ParameterSet) -> np.ndarray:
        """Potential energy of every stored frame of the vapour with other parameters, kJ/mol."""
        integrator, reference = openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference")
        system = prepare(parameters.system(self.name), self.spec, 0)
        remove_barostat(system)
        context = openmm.Context(system, integrator, reference)
        energies = []
        for places in self.vapour[1]:
            context.setPositions(places)
            energies.append(context.getState(getEnergy=True).getPotentialEnergy()._value)
        return np.array(energies)

    def frame_energies(self, parameters: ParameterSet) -> np.ndarray:
        """Potential energy of every stored frame after equilibration with other parameters."""
        folder = self.folder / "again"
        shutil.rmtree(folder, ignore_errors=True)
        box = gromacs.pure(self.base.library.find_species(self.name), self.n_molecules, AGAIN_A3)
        gromacs.write_box(folder, parameters, box, self.spec)
        (folder / "run.mdp").write_text((self.folder / "run.mdp").read_text(encoding="utf-8"), encoding="utf-8")
        shutil.copy(self.folder / "settled.gro", folder / "settled.gro")
        return gromacs.energies_again(folder, self.folder / "run.xtc")[round(EQUILIBRATION_PS / SAMPLE_PS) + 1 :]


def measured(liquid: Liquid, ps: float) -> dict:
    samples, gas = liquid.samples(ps), estimate_mean([liquid.vapour[0]])
    rho, energy = estimate_mean([samples[:, 0]]), estimate_mean([samples[:, 1] / liquid.n_molecules])
    heat = gas.value - energy.value + GAS_KJ_MOL_K * liquid.facts["T_K"]
    return {
        "density": rho.value,
        "density_error": rho.error,
        "heat": heat,
        "heat_error": float(np.hypot(gas.error, energy.error)),
        "off": [rho.value / liquid.facts["density_g_cm3"] - 1, heat - liquid.facts["vaporisation_kJ_mol"]],
    }


def derivatives(liquid: Liquid, ps: float, terms: list[dict], numbers: list[tuple[int, str]]) -> np.ndarray:
    """Of the relative density and the enthalpy of vaporisation by the logarithm of each number, (2, n)."""
    samples, beta = liquid.samples(ps), 1 / (GAS_KJ_MOL_K * liquid.facts["T_K"])
    base, alone, columns = liquid.frame_energies(liquid.parameters), liquid.vapour_energies(liquid.parameters), []
    for index, key in numbers:
        nudged = copy.deepcopy(terms)
        nudged[index][key] *= 1 + NUDGE
        other = patched(liquid.base, nudged, liquid.name)
        slope = (liquid.frame_energies(other) - base) / NUDGE
        n = min(len(slope), len(samples))
        rho, energy, slope = samples[:n, 0], samples[:n, 1], slope[:n]
        of_density = -beta * np.cov(rho, slope)[0, 1] / rho.mean()
        of_liquid = mean_slope(energy, slope, beta) / liquid.n_molecules
        of_vapour = mean_slope(alone, (liquid.vapour_energies(other) - alone) / NUDGE, beta)
        columns.append([of_density, of_vapour - of_liquid])
    return np.array(columns).T


def mean_slope(energy: np.ndarray, slope: np.ndarray, beta: float) -> float:
    """∂<U>/∂θ from samples of U and of ∂U/∂θ."""
    return slope.mean() - beta * np.cov(energy, slope)[0, 1]


def step(
    liquids: list[tuple[Liquid, dict]], ps: float, terms: list[dict], numbers: list[tuple[int, str]]
) -> np.ndarray:
    """Change of the logarithm of each number that the training liquids ask for, against the prior."""
    residuals, slopes = [], []
    for liquid, found in liquids:
        slope = derivatives(liquid, ps, terms, numbers)
        for off, row, weight in zip(found["off"], slope, (WEIGHT_DENSITY, WEIGHT_KJ_MOL), strict=True):
            if np.isfinite(off):  # nobody has measured it
                residuals.append(off / weight)
                slopes.append(row / weight)
    widths = np.array([PRIOR[key] for _, key in numbers])
    jacobian = np.array(slopes) * widths
    normal = jacobian.T @ jacobian + np.eye(len(widths))
    return widths * np.linalg.solve(normal, -jacobian.T @ np.array(residuals))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "lmbmd validate refit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("which", choices=FITS, metavar="FIT", help=", ".join(FITS))
    parser.add_argument("set", type=Path)
    parser.add_argument("--terms", type=Path)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="of these liquids")
    parser.add_argument("--ps", type=float, default=160.0)
    parser.add_argument("--work", type=Path, default=Path("work/refit"))
    args = parser.parse_args(arguments)
    if args.fit and not args.terms:
        parser.error("--fit needs --terms FILE to start from")
    if unknown := set(args.only or ()) - set(FITS[args.which]):
        parser.error(f"{args.which} has no {', '.join(sorted(unknown))}; it has {', '.join(FITS[args.which])}")
    terms = yaml.safe_load(args.terms.read_text(encoding="utf-8"))["atoms"] if args.terms else []
    numbers = [(i, key) for i, term in enumerate(terms) if term.get("fit") == args.which for key in PRIOR]
    if args.fit and not numbers:
        parser.error(f"{args.terms} has no term of the fit '{args.which}'")
    liquids = {name: FITS[args.which][name] for name in args.only or FITS[args.which]}
    if args.fit and not any(facts["part"] == "training" for facts in liquids.values()):
        parser.error("none of these liquids is one to train on")
    base, training = read_extended(read_own(args.set)), []
    for name, facts in liquids.items():
        liquid = Liquid(name, facts, base, tuple(terms), args.work)
        found = measured(liquid, args.ps)
        density = f"{found['density']:.4f} ± {found['density_error']:.4f} g/cm³ ({found['off'][0]:+.1%})"
        beside = f" ({found['off'][1]:+.2f})" if np.isfinite(found["off"][1]) else ""
        heat = f"{found['heat']:.2f} ± {found['heat_error']:.2f} kJ/mol{beside}"
        print(f"{name:8s} {facts['part']:9s} {density}  {heat}", flush=True)
        if facts["part"] == "training":
            training.append((liquid, found))
    if args.fit:
        change = step(training, args.ps, terms, numbers)
        for (i, key), by in zip(numbers, change, strict=True):
            terms[i][key] = float(terms[i][key] * np.exp(by))
        print(json.dumps({"step": change.tolist(), "atoms": terms}, indent=1))
