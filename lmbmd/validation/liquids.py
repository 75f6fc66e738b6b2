"""Pure liquids and their vapours in a force field: run, go on with, and measure.

    lmbmd validate liquids                     run what is missing
    lmbmd validate liquids --only DME TTE      only these liquids
    lmbmd validate liquids --ps 2000           longer production, for smaller errors
    lmbmd validate liquids --full              larger boxes and longer runs, for a GPU
    lmbmd validate liquids --engine gromacs    in GROMACS, on two cores several times quicker
    lmbmd validate liquids --set NAME          of this parameter set instead of the default one
    lmbmd validate liquids --minutes 5         stop after about five minutes; call again to go on

Every run goes on from where it was stopped, however it was stopped. `lmbmd validate report` writes down what has run.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import openmm
from openmm import unit

from lmbmd.box.packing import pack
from lmbmd.box.system import build_system
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import write_bytes
from lmbmd.core.progress import Progress, counted
from lmbmd.core.provenance import canonical_json, derived_seed, sha256_of
from lmbmd.core.units import ANGSTROM3_PER_CM3, AVOGADRO_PER_MOL, GAS_CONSTANT_KJ_MOL_K
from lmbmd.data.library import load_library
from lmbmd.data.systemxml import state_of
from lmbmd.data.terms import nonbonded_force, plain, read_terms
from lmbmd.forcefield.parameters import ParameterSet, load_set
from lmbmd.numbers.estimate import Estimate, estimate_mean
from lmbmd.numbers.fluctuation import mean_square
from lmbmd.simulate.engines import gromacs
from lmbmd.simulate.engines.mechanics import prepare
from lmbmd.simulate.protocol import RunSpec, Seeds
from lmbmd.validation import plan
from lmbmd.validation.plan import (
    COULOMB_KJ_NM_MOL,
    ENGINES,
    FRICTION_PER_PS,
    G_CM3_PER_AMU_NM3,
    HEAVY_HYDROGEN_AMU,
    LIGHT_HYDROGEN_AMU,
    LIQUIDS,
    PACKED_FRACTION,
    PRESSURE_BAR,
    SET,
    SETS,
    WORK,
)
from lmbmd.validation.results import LIQUID, Row

COLUMNS = 6
#: D²/Å³ in kJ/mol.
KJ_MOL_PER_D2_A3 = 60.2214
VAPOUR_FRICTION_PER_PS = 5.0


@dataclass(frozen=True)
class Run:
    """One simulation of a pure liquid: hydrogens' bonds are rigid in all, hydrogens heavy where ``repartitioned``."""

    species: str
    timestep_fs: float = 4.0
    repartitioned: bool = True
    atoms: int = plan.ATOMS
    set_name: str = SET
    engine: str = ENGINES[0]

    @property
    def parameters(self) -> ParameterSet:
        return load_set(self.set_name)

    def place(self, work: Path) -> Path:
        """Folder of the runs of all versions of this set."""
        return plan.place(work, self.set_name)

    @property
    def n_molecules(self) -> int:
        return round(self.atoms / load_library().species[self.species].n_atoms)

    @property
    def name(self) -> str:
        engine = "" if self.engine == ENGINES[0] else f"-{self.engine}"
        return f"{self.species}-{self.timestep_fs:g}fs{'-hmr' if self.repartitioned else ''}{engine}"

    @property
    def temperature_K(self) -> float:
        found = load_library().species[self.species].density_T_K
        assert found is not None, f"the temperature of {self.species}'s density is known"
        return found

    @property
    def fingerprint(self) -> str:
        """What the run rests on: a stored run with another one is not gone on with, nor reported."""
        system = self.parameters.systems[self.species]
        facts = [system, self.atoms, plan.SAMPLE_PS, self.temperature_K, self.timestep_fs]
        return sha256_of(canonical_json(facts + self._of_engine).encode())

    @property
    def _of_engine(self) -> list[float]:
        return [gromacs.BAROSTAT_PS] if self.engine == "gromacs" else []


def liquid(run: Run) -> tuple[openmm.System, np.ndarray, float]:
    """The System of a packed box with a barostat, its positions and its box edge (nm)."""
    parameters, n = run.parameters, run.n_molecules
    geometry = {run.species: (parameters.elements(run.species), parameters.geometry(run.species))}
    packing = pack({run.species: n}, geometry, packed_A3(run.species, n) ** (1 / 3), derived_seed("pack", run.species))
    built = build_system({run.species: n}, {run.species: "solvent"}, parameters, 1.0, packing.edge_A)
    return (
        prepare(built.system, spec(run), derived_seed("barostat", run.name)),
        0.1 * packing.positions,
        0.1 * packing.edge_A,
    )


def packed_A3(species: str, n_molecules: int) -> float:
    """Volume in which the molecules are packed, looser than the liquid."""
    return n_molecules * molecule_A3(species) / PACKED_FRACTION


def molecule_A3(species: str) -> float:
    """Volume of one molecule in the liquid as it was measured."""
    molar_cm3 = load_library().species[species].molar_volume_cm3_mol
    assert molar_cm3 is not None, f"the density of {species} is known"
    return molar_cm3 / AVOGADRO_PER_MOL * ANGSTROM3_PER_CM3


def spec(run: Run) -> RunSpec:
    """The run in the terms of the simulate stage, whose mechanics it shares."""
    seed = derived_seed("run", run.name)
    return RunSpec(
        temperature_K=run.temperature_K,
        pressure_bar=PRESSURE_BAR,
        seeds=Seeds(velocities=seed, thermostat=seed, barostat=seed),
        production_ns=1e-3 * plan.PRODUCTION_PS,
        frame_interval_ps=plan.CHUNK_PS,
        state_interval_ps=plan.SAMPLE_PS,
        equilibration_ns=1e-3 * plan.EQUILIBRATION_PS,
        max_equilibration_ns=1e-3 * plan.EQUILIBRATION_PS,
        timestep_fs=run.timestep_fs,
        friction_per_ps=FRICTION_PER_PS,
        hydrogen_mass_amu=HEAVY_HYDROGEN_AMU if run.repartitioned else LIGHT_HYDROGEN_AMU,
        barostat_interval=round(1e3 * plan.BAROSTAT_PS / run.timestep_fs),
    )


def simulation(run: Run, system: openmm.System, nve: bool = False) -> openmm.Context:
    step_ps = 1e-3 * run.timestep_fs
    if nve:
        remove_barostat(system)
        integrator = openmm.VerletIntegrator(step_ps)
        integrator.setConstraintTolerance(1e-7)
    else:
        integrator = openmm.LangevinMiddleIntegrator(run.temperature_K, FRICTION_PER_PS, step_ps)
        integrator.setRandomNumberSeed(derived_seed("run", run.name))
    names = {openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())}
    platform = next(p for p in ("CUDA", "CPU") if p in names)
    return openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))


def remove_barostat(system: openmm.System) -> None:
    for index in reversed(range(system.getNumForces())):
        if isinstance(system.getForce(index), openmm.MonteCarloBarostat):
            system.removeForce(index)


def simulate(run: Run, work: Path, deadline: float, production_ps: float) -> bool:
    """Run, or go on with, one liquid; samples and state are saved together. True when it is complete."""
    total = plan.EQUILIBRATION_PS + production_ps
    if len(load(run, work)[1]) * plan.SAMPLE_PS >= total - 1e-6:
        return True
    return {"openmm": _in_openmm, "gromacs": _in_gromacs}[run.engine](run, work, deadline, total)


def _in_gromacs(run: Run, work: Path, deadline: float, total_ps: float) -> bool:
    folder = run.place(work) / run.name
    with gromacs.owned(folder, run.fingerprint):
        if not (folder / "topol.top").is_file():
            species, n = load_library().species[run.species], run.n_molecules
            gromacs.write_box(folder, run.parameters, gromacs.pure(species, n, packed_A3(run.species, n)), spec(run))
        samples = gromacs.simulate(folder, spec(run), total_ps, plan.SAMPLE_PS, deadline - time.monotonic())
    if samples is None:
        return False
    save(run, work, "", samples)
    return True


def _in_openmm(run: Run, work: Path, deadline: float, total: float) -> bool:
    state, samples = load(run, work)
    system, positions, edge = liquid(run)
    mass = sum(system.getParticleMass(i).value_in_unit(unit.amu) for i in range(system.getNumParticles()))
    nonbonded = nonbonded_force(system)
    charges = np.array([plain(nonbonded.getParticleParameters(i))[0] for i in range(system.getNumParticles())])
    context = simulation(run, system)
    if state is None:
        context.setPeriodicBoxVectors(*(np.eye(3) * edge))
        context.setPositions(positions)
        openmm.LocalEnergyMinimizer.minimize(context, 50.0)
        context.setVelocitiesToTemperature(run.temperature_K, derived_seed("velocities", run.name))
    else:
        context.setState(state_of(state, run.name))
    steps = round(plan.SAMPLE_PS / (1e-3 * run.timestep_fs))
    bar = Progress()
    bar.begin(run.name, total, len(samples) * plan.SAMPLE_PS)
    while len(samples) * plan.SAMPLE_PS < total - 1e-6:
        if time.monotonic() > deadline:
            bar.end()
            return False
        chunk = []
        for _ in range(round(plan.CHUNK_PS / plan.SAMPLE_PS)):
            context.getIntegrator().step(steps)
            chunk.append([*sample(context, mass), *_dipole(context, charges)])
        samples = np.concatenate([samples, chunk])
        saved = context.getState(getPositions=True, getVelocities=True, getParameters=True)
        save(run, work, openmm.XmlSerializer.serialize(saved), samples)
        bar.at(len(samples) * plan.SAMPLE_PS)
    bar.end()
    return True


def sample(context: openmm.Context, mass_amu: float) -> list[float]:
    """Density (g/cm3), potential and kinetic energy (kJ/mol); the latter of velocities at the half step's middle."""
    state = context.getState(getEnergy=True)
    volume = state.getPeriodicBoxVolume().value_in_unit(unit.nanometer**3)
    energies = (state.getPotentialEnergy(), state.getKineticEnergy())
    return [mass_amu / volume * G_CM3_PER_AMU_NM3, *(e.value_in_unit(unit.kilojoule_per_mole) for e in energies)]


def _dipole(context: openmm.Context, charges: np.ndarray) -> np.ndarray:
    """Dipole of the box, e nm: molecules are whole and neutral, so which image of each is taken does not matter."""
    return charges @ context.getState(getPositions=True).getPositions(asNumpy=True)._value


def load(run: Run, work: Path) -> tuple[str | None, np.ndarray]:
    """State and samples of a stored run; nothing if there is none of this fingerprint."""
    path = run.place(work) / f"{run.name}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as data:
            if str(data["fingerprint"]) == run.fingerprint:
                samples = data["samples"]
                unknown = np.full((len(samples), COLUMNS - samples.shape[1]), np.nan)  # of runs older than the dipole
                return str(data["state"]), np.hstack([samples, unknown])
    return None, np.empty((0, COLUMNS))


def save(run: Run, work: Path, state: str, samples: np.ndarray) -> None:
    write_arrays(run.place(work) / f"{run.name}.npz", run, samples=samples, state=np.array(state))


def write_arrays(path: Path, run: Run, **arrays: np.ndarray) -> None:
    """Store arrays with the fingerprint of what they rest on."""
    buffer = io.BytesIO()
    np.savez_compressed(buffer, fingerprint=np.array(run.fingerprint), **arrays)  # type: ignore[arg-type]  # NumPy's stub takes no names from a mapping
    write_bytes(path, buffer.getvalue())


def vapour(run: Run, work: Path, length_ps: float) -> None:
    """One molecule in vacuum at the liquid's temperature and with its constraints; saved when complete."""
    if len(vapour_of(run, work)[0]) * plan.SAMPLE_PS >= length_ps - 1e-6:
        return
    seeds = derived_seed("vapour", run.name), derived_seed("vapour velocities", run.name)
    energies, places = in_vacuum(run.parameters, run.species, spec(run), seeds, plan.EQUILIBRATION_PS, length_ps)
    dipole_D = np.array(rms_dipole_D(run.parameters, run.species, places))
    write_arrays(run.place(work) / f"{run.species}-gas.npz", _alone(run), energies=energies, dipole_D=dipole_D)


def in_vacuum(
    parameters: ParameterSet, species: str, spec: RunSpec, seeds: tuple[int, int], settle_ps: float, length_ps: float
) -> tuple[np.ndarray, np.ndarray]:
    """Potential energies (kJ/mol) and positions (nm) of one molecule, every ``SAMPLE_PS`` of a run that has settled.

    Args:
        seeds: of the thermostat and of the first velocities.
    """
    system = prepare(parameters.system(species), spec, 0)
    remove_barostat(system)
    step_ps = 1e-3 * spec.timestep_fs
    integrator = openmm.LangevinMiddleIntegrator(spec.temperature_K, VAPOUR_FRICTION_PER_PS, step_ps)
    integrator.setRandomNumberSeed(seeds[0])
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(0.1 * parameters.geometry(species))
    context.applyConstraints(1e-6)
    context.setVelocitiesToTemperature(spec.temperature_K, seeds[1])
    steps, energies, places = round(plan.SAMPLE_PS / step_ps), [], []
    integrator.step(round(settle_ps / plan.SAMPLE_PS) * steps)
    for _ in counted(range(round(length_ps / plan.SAMPLE_PS)), f"{species} vapour", "samples"):
        integrator.step(steps)
        state = context.getState(getEnergy=True, getPositions=True)
        energies.append(state.getPotentialEnergy()._value)
        places.append(state.getPositions(asNumpy=True)._value)
    return np.array(energies), np.array(places)


def rms_dipole_D(parameters: ParameterSet, species: str, places_nm: np.ndarray) -> float:
    """Root mean square dipole of a neutral molecule with a set's charges over positions (frames, atoms, 3), in D."""
    charges = np.array(read_terms(parameters.system(species), species).charges_e)
    return gromacs.DEBYE_PER_E_NM * float(np.sqrt(np.mean(np.sum((charges @ places_nm) ** 2, axis=1))))


def polarisation_kJ_mol(species: str, model_dipole_D: float) -> float:
    """What it costs to polarise a molecule of the vapour to the dipole that its fixed charges have always, per mole.

        E = (μ_model − μ_gas)² / (2 α)        α = 3 M / (4 π N_A ρ) · (n² − 1) / (n² + 2)

    with the measured dipole of the vapour μ_gas, refractive index n and density ρ of reference.yaml and species.yaml
    (Berendsen, Grigera and Straatsma, doi:10.1021/j100308a038). Simulated enthalpies of vaporisation lack it: it is to
    be taken off them. NaN where the dipole or the index is not known.
    """
    facts = plan.REFERENCE["liquids"][species]
    if "gas_dipole" not in facts or "refractive_index" not in facts:
        return float("nan")
    square = facts["refractive_index"][0] ** 2
    alpha_A3 = 3 * molecule_A3(species) / (4 * np.pi) * (square - 1) / (square + 2)
    return KJ_MOL_PER_D2_A3 * (model_dipole_D - facts["gas_dipole"][0]) ** 2 / (2 * alpha_A3)


def vapour_of(run: Run, work: Path) -> tuple[np.ndarray, float]:
    """Stored potential energies of the molecule in vacuum, kJ/mol, and its dipole, D; none and NaN without a run."""
    path = run.place(work) / f"{run.species}-gas.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as data:
            if str(data["fingerprint"]) == _alone(run).fingerprint:
                return data["energies"], float(data["dipole_D"]) if "dipole_D" in data else float("nan")
    return np.empty(0), float("nan")


def _alone(run: Run) -> Run:
    """The run that the vapour belongs to: it is the same whatever integrates the liquid."""
    return replace(run, engine=ENGINES[0])


@dataclass(frozen=True)
class Liquid:
    """What a run says of a liquid; NaN where it says nothing."""

    density_g_cm3: Estimate
    energy_kJ_mol: Estimate  # potential, per molecule
    vaporisation_kJ_mol: Estimate
    polarisation_kJ_mol: float  # to be taken off it
    permittivity: Estimate
    excess_K: Estimate  # kinetic temperature above the thermostat's
    production_ps: float
    engine: str


def measure(run: Run, work: Path) -> Liquid | None:
    """Density, energy, enthalpy of vaporisation and permittivity from what has run; None from less than 40 ps.

    With U the potential energy, N molecules, M the dipole of the box and V its volume,

        ΔH = <U>_vapour − <U>_liquid / N + R T        ε = 1 + <M²> / (3 ε₀ <V> k T)

    where <M> = 0 by symmetry; of a run too short for it, ε is NaN. The vapour is ideal and the liquid's volume
    neglected beside its; what it costs a molecule to be polarised as the charges have it is not taken off ΔH, but
    stands beside it (``polarisation_kJ_mol``); ε has no electronic part.
    """
    samples = load(run, work)[1][round(plan.EQUILIBRATION_PS / plan.SAMPLE_PS) :]
    if len(samples) < 100:
        return None
    density, energy = estimate_mean([samples[:, 0]]), estimate_mean([samples[:, 1] / run.n_molecules])
    kT = GAS_CONSTANT_KJ_MOL_K * run.temperature_K
    alone, dipole_D = vapour_of(run, work)
    gas = estimate_mean([alone])
    vaporisation = replace(gas, value=gas.value - energy.value + kT, error=float(np.hypot(gas.error, energy.error)))
    mass_amu = run.n_molecules * load_library().species[run.species].molar_mass_g_mol
    volume_nm3 = mass_amu * G_CM3_PER_AMU_NM3 / density.value
    per_square = 4 * np.pi * COULOMB_KJ_NM_MOL / (volume_nm3 * kT)
    dipoles = samples[:, 3:6]
    square = mean_square([dipoles[np.isfinite(dipoles[:, 0])]])[0]  # of one component; not stored by old runs
    permittivity = replace(square, value=1 + per_square * square.value, error=per_square * square.error)
    hydrogens = run.parameters.elements(run.species).count("H")  # each has one rigid bond
    freedom = run.n_molecules * (3 * load_library().species[run.species].n_atoms - hydrogens) - 3
    kinetic = estimate_mean([samples[:, 2]])
    per_K = 2 / (freedom * GAS_CONSTANT_KJ_MOL_K)
    excess = replace(kinetic, value=per_K * kinetic.value - run.temperature_K, error=per_K * kinetic.error)
    cost = polarisation_kJ_mol(run.species, dipole_D)
    length_ps = len(samples) * plan.SAMPLE_PS
    return Liquid(density, energy, vaporisation, cost, permittivity, excess, length_ps, run.engine)


def longest(run: Run, work: Path) -> Liquid | None:
    """What the longer of the two engines' runs says of a liquid; None where neither ran or the set lacks it."""
    if run.species not in run.parameters.species:
        return None
    found = [liquid for engine in ENGINES if (liquid := measure(replace(run, engine=engine), work))]
    return max(found, key=lambda liquid: liquid.production_ps, default=None)


def rows(run: Run, work: Path) -> Iterator[Row]:
    """What has run of a liquid, as results; nothing from a run shorter than 40 ps."""
    found = longest(run, work)
    if found is None:
        return
    weight = "heavy" if run.repartitioned else "natural"
    row = Row(
        LIQUID,
        run.species,
        "",
        temperature_K=run.temperature_K,
        ensemble="NPT",
        timestep_fs=run.timestep_fs,
        hydrogens=weight,
        engine=found.engine,
        length_ps=found.production_ps,
        atoms=float(run.n_molecules * load_library().species[run.species].n_atoms),
    )
    for quantity, estimate in (
        ("density", found.density_g_cm3),
        ("potential_energy", found.energy_kJ_mol),
        ("vaporisation", found.vaporisation_kJ_mol),
        ("polarisation", Estimate(found.polarisation_kJ_mol, 0.0, np.inf)),
        ("permittivity", found.permittivity),
        ("kinetic_temperature_excess", found.excess_K),
    ):
        if np.isfinite(estimate.value):
            yield row.of(estimate, quantity=quantity)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "lmbmd validate liquids", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--only", nargs="+", choices=LIQUIDS, default=LIQUIDS, metavar="LIQUID", help="of these liquids"
    )
    parser.add_argument("--full", action="store_true", help=f"{plan.FULL_ATOMS} atoms, {plan.FULL_PRODUCTION_PS:g} ps")
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="what integrates the liquids")
    parser.add_argument("--set", choices=SETS, default=SET, help="parameter set")
    parser.add_argument("--ps", type=float, help=f"production, default {plan.PRODUCTION_PS:g}")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after about this long")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the runs")
    args = parser.parse_args(arguments)
    deadline = time.monotonic() + 60 * args.minutes
    atoms, ps, vapour_ps = (
        (plan.FULL_ATOMS, plan.FULL_PRODUCTION_PS, plan.FULL_VAPOUR_PS)
        if args.full
        else (plan.ATOMS, plan.PRODUCTION_PS, plan.VAPOUR_PS)
    )
    for species in args.only:
        run = Run(species, *plan.heavy(species), atoms, args.set, args.engine)
        if not simulate(run, args.work, deadline, args.ps or ps):
            raise unfinished(run.name)
        vapour(run, args.work, vapour_ps)


def unfinished(name: str) -> LmbmdError:
    """Time was up."""
    return LmbmdError(f"{name} is not complete.", where="--minutes", remedy="Call again to go on.")
