"""Lennard-Jones terms and charges against liquids whose density and enthalpy of vaporisation are known.

    lmbmd validate refit TERMS                what a file of terms gives, of every liquid of the plan
    lmbmd validate refit TERMS --fit OUT      and write better ones to OUT, from the training liquids alone
    lmbmd validate refit TERMS --only DME DX  only these liquids

TERMS is a YAML file like ``force_fields/recipes/refit.yaml``, laid over the set that it names. ``liquids`` of
``force_fields/reference.yaml`` says what was measured, how far it is to be trusted, and which liquids are trained on:
the others are held out. Needs GROMACS. Every run is kept by what it rests on and goes on from where it was stopped.

The proposal is a step of Gauss and Newton: with θ one of the numbers, U the potential energy and β = 1/kT, the
fluctuations of one run give its derivatives (Wang, Martinez and Pande, doi:10.1021/jz500737m),

    ∂<ρ>/∂θ = −β cov(ρ, ∂U/∂θ)        ∂<U>/∂θ = <∂U/∂θ> − β cov(U, ∂U/∂θ), of the liquid and of the vapour

where ∂U/∂θ is the difference of two evaluations of the stored frames. Deviations are weighed by how far a measurement
is to be trusted and by the run's own error; numbers are held by a prior about where they came from. What it costs a
molecule to be polarised as its charges have it is printed beside its enthalpy of vaporisation and not taken off:
liquids whose heats are right only with it move too slowly (DMC and DME by factors of 1.3 to 3).
"""

from __future__ import annotations

import argparse
import copy
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import yaml
from MDAnalysis.lib.formats.libmdaxdr import XTCFile
from rdkit import Chem

from lmbmd.box.system import build_system
from lmbmd.core.files import write_text
from lmbmd.core.provenance import canonical_json, derived_seed, sha256_of
from lmbmd.core.units import GAS_CONSTANT_KJ_MOL_K
from lmbmd.core.workers import shared
from lmbmd.data.library import load_library
from lmbmd.data.terms import nonbonded_force, plain
from lmbmd.forcefield.parameters import ParameterSet, load_set
from lmbmd.forcefield.parametrize.refits import handed_on, matches
from lmbmd.numbers.estimate import Estimate, estimate_mean
from lmbmd.simulate.engines import gromacs
from lmbmd.simulate.engines.mechanics import prepare
from lmbmd.simulate.lock import holding
from lmbmd.simulate.protocol import RunSpec, Seeds
from lmbmd.validation.liquids import in_vacuum, packed_A3, polarisation_kJ_mol, remove_barostat, rms_dipole_D
from lmbmd.validation.plan import LIQUIDS, REFERENCE, SAMPLE_PS, heavy

ATOMS, EQUILIBRATION_PS, VAPOUR_SETTLE_PS, VAPOUR_PS = 800, 60.0, 8.0, 1992.0
SCALE14 = 0.5
#: How far a model like this one can be expected to come, by how far the measurement is to be trusted.
DENSITY_WIDTH = {"high": 0.01, "medium": 0.015, "low": 0.03}
HEAT_WIDTH_KJ_MOL = {"high": 2.0, "medium": 3.0, "low": 6.0}
#: Prior widths: of ln σ, of ln ε, and of the charge (e) that an atom hands to its neighbour.
PRIOR = {"sigma_A": 0.04, "epsilon_kJ_mol": 0.30, "charge_e": 0.03}
NUDGE = {"sigma_A": 0.005, "epsilon_kJ_mol": 0.02, "charge_e": 0.005}
#: No number moves by more prior widths than this in one step: derivatives hold nearby only.
LONGEST_STEP = 1.0

Terms = Mapping[str, Any]
#: Section of the terms, place in it, and key: one number that is fitted.
Number = tuple[str, int, str]


def numbers_of(terms: Terms) -> list[Number]:
    """The numbers that are fitted: those that say where they came from."""
    entries = [(section, i, entry) for section in ("atoms", "bonds") for i, entry in enumerate(terms.get(section, ()))]
    return [(section, i, key) for section, i, entry in entries for key in PRIOR if key in entry.get("from", {})]


def distance(number: Number, entry: Mapping[str, Any]) -> float:
    """How far a number has come from where it began, in widths of its prior."""
    key = number[2]
    now, begun = entry[key], entry["from"][key]
    return float((now - begun) if key == "charge_e" else np.log(now / begun)) / PRIOR[key]


def moved(terms: Terms, number: Number, by: float) -> dict[str, Any]:
    """The terms with one number moved: the charge by so much, the logarithm of another one."""
    section, index, key = number
    changed = copy.deepcopy(dict(terms))
    entry = changed[section][index]
    entry[key] = entry[key] + by if key == "charge_e" else float(entry[key] * np.exp(by))
    return changed


def patched(base: ParameterSet, terms: Terms, species: str) -> ParameterSet:
    """The set with other Lennard-Jones terms and charges on one species, its 1–4 pairs included.

    Of ``atoms`` later entries win. Of ``bonds`` each match gives ``charge_e`` of its second atom to its first, so that
    a molecule stays neutral; later entries add to earlier ones.
    """
    system = base.system(species)
    graph = Chem.AddHs(Chem.MolFromSmiles(base.manifest["species"][species]["smiles"]))
    force = nonbonded_force(system)
    atoms = [list(plain(force.getParticleParameters(i))) for i in range(force.getNumParticles())]
    before = [charge for charge, _, _ in atoms]
    changed = set()
    for term in terms.get("atoms", ()):
        for (i,) in matches(graph, term["smarts"]):
            atoms[i][1:] = 0.1 * term["sigma_A"], term["epsilon_kJ_mol"]
            changed.add(i)
    for atom, gain in zip(atoms, handed_on(graph, terms.get("bonds", ()))[0], strict=True):
        atom[0] += gain
    for i, parameters in enumerate(atoms):
        force.setParticleParameters(i, *parameters)
    for k in range(force.getNumExceptions()):
        i, j, product, sigma_nm, epsilon = plain(force.getExceptionParameters(k))
        if product:
            product *= atoms[i][0] * atoms[j][0] / (before[i] * before[j])
        if epsilon and {i, j} & changed:
            (_, s1, e1), (_, s2, e2) = atoms[i], atoms[j]
            sigma_nm, epsilon = (s1 + s2) / 2, SCALE14 * np.sqrt(e1 * e2)
        force.setExceptionParameters(k, i, j, product, sigma_nm, epsilon)
    return replace(base, systems={**base.systems, species: openmm.XmlSerializer.serialize(system)})


@dataclass(frozen=True)
class Liquid:
    """One liquid in one file of terms, and where its runs lie."""

    name: str
    base: ParameterSet
    terms: Terms
    work: Path

    @property
    def T_K(self) -> float:
        found = load_library().species[self.name].density_T_K
        assert found is not None, f"the temperature of {self.name}'s density is known"
        return found

    @cached_property
    def parameters(self) -> ParameterSet:
        return patched(self.base, self.terms, self.name)

    @cached_property
    def n_molecules(self) -> int:
        return round(ATOMS / self.parameters.system(self.name).getNumParticles())

    @cached_property
    def folder(self) -> Path:
        system = openmm.XmlSerializer.serialize(self.parameters.system(self.name))
        facts = [system, ATOMS, self.T_K, gromacs.BAROSTAT_PS, self.spec.timestep_fs]
        return self.work / f"{self.name}-{sha256_of(canonical_json(facts).encode())[:12]}"

    @property
    def spec(self) -> RunSpec:
        seed = derived_seed("refit", self.name)
        return RunSpec(
            temperature_K=self.T_K,
            pressure_bar=1.0,
            seeds=Seeds(velocities=seed, thermostat=seed, barostat=seed),
            production_ns=0.1,
            frame_interval_ps=SAMPLE_PS,
            state_interval_ps=SAMPLE_PS,
            equilibration_ns=0.1,
            max_equilibration_ns=0.1,
            timestep_fs=heavy(self.name)[0],
            friction_per_ps=1.0,
            hydrogen_mass_amu=3.0,
            barostat_interval=25,
        )

    def samples(self, ps: float) -> np.ndarray:
        """Density and potential energy of the equilibrated liquid, (n, 2)."""
        with holding(self.folder, print):
            if not (self.folder / "topol.top").is_file():
                species, n = load_library().species[self.name], self.n_molecules
                box = gromacs.pure(species, n, packed_A3(self.name, n))
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
        system = prepare(parameters.system(self.name), self.spec, 0)
        remove_barostat(system)
        return _energies(system, "Reference", ((places, None) for places in self.vapour[1]))

    def frame_energies(self, parameters: ParameterSet) -> np.ndarray:
        """Potential energy of every stored frame after equilibration with other parameters, kJ/mol."""
        counts = {self.name: self.n_molecules}
        system = build_system(counts, {self.name: "solvent"}, parameters, 1.0, self._edge_A).system
        with XTCFile(str(self.folder / "run.xtc")) as frames:
            places = [(frame.x.astype(float), frame.box.astype(float)) for frame in frames]
        return _energies(system, "CPU", places[round(EQUILIBRATION_PS / SAMPLE_PS) + 1 :])

    @property
    def _edge_A(self) -> float:
        with XTCFile(str(self.folder / "run.xtc")) as frames:
            return 10 * float(next(iter(frames)).box[0, 0])


def _energies(
    system: openmm.System, platform: str, places: Iterable[tuple[np.ndarray, np.ndarray | None]]
) -> np.ndarray:
    integrator = openmm.VerletIntegrator(0.001)
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))
    found = []
    for positions, box in places:
        if box is not None:
            context.setPeriodicBoxVectors(*box)
        context.setPositions(positions)
        found.append(context.getState(getEnergy=True).getPotentialEnergy()._value)
    return np.array(found)


@dataclass(frozen=True)
class Found:
    """What a liquid gives: deviations from what was measured, and what its numbers would change of them.

    Attributes:
        density, heat_kJ_mol: with their errors.
        polarisation_kJ_mol: what the simulated heat lacks; NaN where it is not known.
        off: relative deviation of the density, and that of the heat in kJ/mol; NaN where nobody has measured it.
        slopes: (2, numbers), of both by each number; zeros where a number is not in the molecule.
        widths: of both deviations.
    """

    name: str
    part: str
    density_g_cm3: Estimate
    heat_kJ_mol: Estimate
    polarisation_kJ_mol: float
    off: tuple[float, float]
    widths: tuple[float, float]
    slopes: np.ndarray

    def __str__(self) -> str:
        beside = f" ({self.off[1]:+.1f})" if np.isfinite(self.off[1]) else ""
        if np.isfinite(self.polarisation_kJ_mol):
            beside += f", of which polarisation {self.polarisation_kJ_mol:.1f}"
        rho, heat = self.density_g_cm3, self.heat_kJ_mol
        density = f"{rho.value:.4f} ± {rho.error:.4f} g/cm³ ({self.off[0]:+.1%})"
        return f"{self.name:8s} {self.part:9s} {density}  {heat.value:.2f} ± {heat.error:.2f} kJ/mol{beside}"


def examine(liquid: Liquid, ps: float, numbers: Sequence[Number]) -> Found:
    """Run a liquid, or go on with it, and compare it with what was measured; derivatives by ``numbers``."""
    samples = liquid.samples(ps)
    kT = GAS_CONSTANT_KJ_MOL_K * liquid.T_K
    gas = estimate_mean([liquid.vapour[0]])
    rho, energy = estimate_mean([samples[:, 0]]), estimate_mean([samples[:, 1] / liquid.n_molecules])
    heat = replace(energy, value=gas.value - energy.value + kT, error=float(np.hypot(gas.error, energy.error)))
    facts = REFERENCE["liquids"][liquid.name]
    measured = load_library().species[liquid.name].density_g_cm3
    assert measured is not None, f"the density of {liquid.name} is known"
    vaporisation, _, trust = facts.get("vaporisation", (float("nan"), "", "low"))
    widths = (
        float(np.hypot(DENSITY_WIDTH[facts["density"]], rho.error / measured)),
        float(np.hypot(HEAT_WIDTH_KJ_MOL[trust], heat.error)),
    )
    cost = polarisation_kJ_mol(liquid.name, rms_dipole_D(liquid.parameters, liquid.name, liquid.vapour[1]))
    off = rho.value / measured - 1, heat.value - vaporisation
    slopes = derivatives(liquid, samples, numbers) if numbers else np.zeros((2, 0))
    return Found(liquid.name, facts["part"], rho, heat, cost, off, widths, slopes)


def derivatives(liquid: Liquid, samples: np.ndarray, numbers: Sequence[Number]) -> np.ndarray:
    """Of the relative density and the enthalpy of vaporisation (kJ/mol) by each number, (2, n)."""
    beta = 1 / (GAS_CONSTANT_KJ_MOL_K * liquid.T_K)
    # Evaluated only once a number is in the molecule.
    base, alone, columns = np.empty(0), np.empty(0), []
    for number in numbers:
        nudge = NUDGE[number[2]]
        other = patched(liquid.base, moved(liquid.terms, number, nudge), liquid.name)
        if other.systems[liquid.name] == liquid.parameters.systems[liquid.name]:
            columns.append([0.0, 0.0])
            continue
        if not len(base):
            base, alone = liquid.frame_energies(liquid.parameters), liquid.vapour_energies(liquid.parameters)
        slope = (liquid.frame_energies(other) - base) / nudge
        n = min(len(slope), len(samples))
        rho, energy, slope = samples[:n, 0], samples[:n, 1], slope[:n]
        of_density = -beta * np.cov(rho, slope)[0, 1] / rho.mean()
        of_liquid = mean_slope(energy, slope, beta) / liquid.n_molecules
        of_vapour = mean_slope(alone, (liquid.vapour_energies(other) - alone) / nudge, beta)
        columns.append([of_density, of_vapour - of_liquid])
    return np.array(columns).T


def mean_slope(energy: np.ndarray, slope: np.ndarray, beta: float) -> float:
    """∂<U>/∂θ from samples of U and of ∂U/∂θ."""
    return slope.mean() - beta * np.cov(energy, slope)[0, 1]


def step(found: Sequence[Found], terms: Terms, numbers: Sequence[Number]) -> np.ndarray:
    """Change of each number (of its logarithm, but for a charge) that the training liquids ask for."""
    residuals, slopes = [], []
    for liquid in found:
        for off, row, width in zip(liquid.off, liquid.slopes, liquid.widths, strict=True):
            if liquid.part == "training" and np.isfinite(off):  # where it was measured
                residuals.append(off / width)
                slopes.append(row / width)
    widths = np.array([PRIOR[key] for _, _, key in numbers])
    gone = np.array([distance(number, terms[number[0]][number[1]]) for number in numbers])
    jacobian = np.array(slopes) * widths
    normal = jacobian.T @ jacobian + np.eye(len(widths))
    change = np.linalg.solve(normal, -jacobian.T @ np.array(residuals) - gone)
    return widths * change * min(1.0, LONGEST_STEP / np.abs(change).max())


def read_terms(path: Path) -> dict[str, Any]:
    """A file of terms: the ``set`` that it is laid over, ``atoms`` and ``bonds``."""
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def _examined(name: str, terms: Terms, ps: float, numbers: Sequence[Number], work: Path) -> Found:
    return examine(Liquid(name, load_set(terms["set"]), terms, work), ps, numbers)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "lmbmd validate refit", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("terms", type=Path)
    parser.add_argument("--fit", type=Path, metavar="OUT")
    parser.add_argument("--only", nargs="+", choices=LIQUIDS, metavar="NAME", help="of these liquids")
    parser.add_argument("--ps", type=float, default=160.0)
    parser.add_argument("--jobs", type=int, default=1, help="liquids at a time, each on one core")
    parser.add_argument("--work", type=Path, default=Path("work/refit"))
    args = parser.parse_args(arguments)
    terms = read_terms(args.terms)
    numbers = numbers_of(terms) if args.fit else []
    parts = {name: facts["part"] for name, facts in REFERENCE["liquids"].items()}
    names = args.only or [name for name in LIQUIDS if not args.fit or parts[name] == "training"]
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENMM_CPU_THREADS", "1")
    found = []
    work = ((name, terms, args.ps, numbers, args.work) for name in names)
    for one in shared(_examined, work, args.jobs, str(args.work), apart=True):
        found.append(one)
        print(one, flush=True)
    if args.fit:
        for number, by in zip(numbers, step(found, terms, numbers), strict=True):
            terms = moved(terms, number, float(by))
        write_text(args.fit, yaml.safe_dump(terms, sort_keys=False, width=120))
