"""What the force field makes of pure liquids and of their vapours, and 4 fs against 1 and 2 fs.

    python benchmarks/validate_force_field.py                     run what is missing, then write docs/validation.md
    python benchmarks/validate_force_field.py --only DME TTE      only these liquids
    python benchmarks/validate_force_field.py --ps 2000           longer production, for smaller errors
    python benchmarks/validate_force_field.py --full              larger boxes and longer runs, for a GPU
    python benchmarks/validate_force_field.py --steps             the time-step study instead
    python benchmarks/validate_force_field.py --minutes 5         stop after about five minutes; call again to go on
    python benchmarks/validate_force_field.py --table             only write docs/validation.md from what has run

Every run goes on from where it was stopped, however it was stopped. `snakemake --snakefile workflow/validation.smk`
runs all of it, with the electrolytes and the pairs of Li⁺ and a molecule.
"""

from __future__ import annotations

import argparse
import io
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import openmm
import yaml
from openmm import unit
from tqdm import tqdm

from lmbmd.analysis.statistics import Estimate, estimate_mean
from lmbmd.atomic import write_bytes
from lmbmd.build.packing import pack
from lmbmd.build.system import build_system
from lmbmd.forcefield.library import load_library
from lmbmd.forcefield.parameters import load_set
from lmbmd.provenance import canonical_json, derived_seed, sha256_of
from lmbmd.simulate.mechanics import degrees_of_freedom, prepare
from lmbmd.simulate.spec import RunSpec, Seeds

ROOT = Path(__file__).resolve().parent.parent
WORK = ROOT / "work" / "validation"
REFERENCE = yaml.safe_load((ROOT / "force_fields" / "reference.yaml").read_text(encoding="utf-8"))
SET = REFERENCE["set"]
LIQUIDS = tuple(REFERENCE["liquids"])
ATOMS, EQUILIBRATION_PS, PRODUCTION_PS, VAPOUR_PS = 1000, 100.0, 240.0, 1000.0
FULL_ATOMS, FULL_PRODUCTION_PS, FULL_VAPOUR_PS = 10000, 5000.0, 20000.0
SAMPLE_PS, CHUNK_PS, COLUMNS = 0.4, 20.0, 6
PRESSURE_BAR, FRICTION_PER_PS, BAROSTAT_PS = 1.0, 1.0, 0.1
HEAVY_HYDROGEN_AMU, LIGHT_HYDROGEN_AMU = 3.0, 1.00794
PACKED_FRACTION = 0.8
VAPOUR_FRICTION_PER_PS = 5.0
G_CM3_PER_AMU_NM3 = 1.66053906660e-3
COULOMB_KJ_NM_MOL = 138.935457644  # e² / (4 π ε₀)


@dataclass(frozen=True)
class Run:
    """One simulation of a pure liquid: hydrogens' bonds are rigid in all, hydrogens heavy where ``repartitioned``."""

    species: str
    timestep_fs: float = 4.0
    repartitioned: bool = True
    atoms: int = ATOMS

    @property
    def n_molecules(self) -> int:
        return round(self.atoms / load_library().species[self.species].n_atoms)

    @property
    def name(self) -> str:
        return f"{self.species}-{self.timestep_fs:g}fs{'-hmr' if self.repartitioned else ''}"

    @property
    def temperature_K(self) -> float:
        return load_library().species[self.species].density_T_K

    @property
    def fingerprint(self) -> str:
        """What the run rests on: a stored run with another one is not gone on with, nor reported."""
        system = load_set(SET).systems[self.species]
        return sha256_of(canonical_json([system, self.atoms, SAMPLE_PS, self.temperature_K, self.timestep_fs]).encode())


#: The time-step study: each of its 4 fs runs is also a row of the density table.
STEP_RUNS = [
    *(Run("DME", step, heavy) for step, heavy in ((4.0, True), (2.0, False), (1.0, False))),
    *(Run("TTE", step, heavy) for step, heavy in ((4.0, True), (2.0, False))),
]
NVE_LIQUIDS = ("DME", "TTE")
NVE_STEPS = ((4.0, True), (3.0, True), (2.0, True), (2.0, False), (1.0, False))
NVE_PS, NVE_SAMPLE_PS = 20.0, 0.1


def liquid(run: Run) -> tuple[openmm.System, np.ndarray, np.ndarray]:
    """The System of a packed box with a barostat, its positions and its box edge (nm)."""
    parameters, species = load_set(SET), load_library().species[run.species]
    n = run.n_molecules
    volume_A3 = n * species.molar_volume_cm3_mol / 0.602214076 / PACKED_FRACTION
    geometry = {run.species: (parameters.elements(run.species), parameters.geometry(run.species))}
    packing = pack({run.species: n}, geometry, volume_A3 ** (1 / 3), derived_seed("pack", run.species))
    built = build_system({run.species: n}, {run.species: "solvent"}, parameters, 1.0, packing.edge_A)
    return (
        prepare(built.system, spec(run), derived_seed("barostat", run.name)),
        0.1 * packing.positions,
        0.1 * packing.edge_A,
    )


def spec(run: Run) -> RunSpec:
    """The run in the terms of the simulate stage, whose mechanics it shares."""
    seed = derived_seed("run", run.name)
    return RunSpec(
        temperature_K=run.temperature_K, pressure_bar=PRESSURE_BAR, seeds=Seeds(seed, seed, seed),
        production_ns=1e-3 * PRODUCTION_PS, frame_interval_ps=CHUNK_PS, state_interval_ps=SAMPLE_PS,
        equilibration_ns=1e-3 * EQUILIBRATION_PS, max_equilibration_ns=1e-3 * EQUILIBRATION_PS,
        timestep_fs=run.timestep_fs, friction_per_ps=FRICTION_PER_PS,
        hydrogen_mass_amu=HEAVY_HYDROGEN_AMU if run.repartitioned else LIGHT_HYDROGEN_AMU,
        barostat_interval=round(1e3 * BAROSTAT_PS / run.timestep_fs),
    )  # fmt: skip


def simulation(run: Run, system: openmm.System, nve: bool = False) -> openmm.Context:
    step_ps = 1e-3 * run.timestep_fs
    if nve:
        _remove_barostat(system)
        integrator = openmm.VerletIntegrator(step_ps)
        integrator.setConstraintTolerance(1e-7)
    else:
        integrator = openmm.LangevinMiddleIntegrator(run.temperature_K, FRICTION_PER_PS, step_ps)
        integrator.setRandomNumberSeed(derived_seed("run", run.name))
    names = {openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())}
    platform = next(p for p in ("CUDA", "CPU") if p in names)
    return openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))


def _remove_barostat(system: openmm.System) -> None:
    for index in reversed(range(system.getNumForces())):
        if isinstance(system.getForce(index), openmm.MonteCarloBarostat):
            system.removeForce(index)


def simulate(run: Run, folder: Path, deadline: float, production_ps: float) -> bool:
    """Run, or go on with, one liquid; samples and state are saved together. True when it is complete."""
    state, samples = _load(run, folder)
    total = EQUILIBRATION_PS + production_ps
    if len(samples) * SAMPLE_PS >= total - 1e-6:
        return True
    system, positions, edge = liquid(run)
    mass = sum(system.getParticleMass(i).value_in_unit(unit.amu) for i in range(system.getNumParticles()))
    nonbonded = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    charges = np.array([nonbonded.getParticleParameters(i)[0]._value for i in range(system.getNumParticles())])
    context = simulation(run, system)
    if state is None:
        context.setPeriodicBoxVectors(*(np.eye(3) * edge))
        context.setPositions(positions)
        openmm.LocalEnergyMinimizer.minimize(context, 50.0)
        context.setVelocitiesToTemperature(run.temperature_K, derived_seed("velocities", run.name))
    else:
        context.setState(openmm.XmlSerializer.deserialize(state))
    steps = round(SAMPLE_PS / (1e-3 * run.timestep_fs))
    bar = tqdm(total=total, initial=len(samples) * SAMPLE_PS, desc=run.name, unit="ps")
    while len(samples) * SAMPLE_PS < total - 1e-6:
        if time.monotonic() > deadline:
            return False
        chunk = []
        for _ in range(round(CHUNK_PS / SAMPLE_PS)):
            context.getIntegrator().step(steps)
            chunk.append([*_sample(context, mass), *_dipole(context, charges)])
        samples = np.concatenate([samples, chunk])
        saved = context.getState(getPositions=True, getVelocities=True, getParameters=True)
        _save(run, folder, openmm.XmlSerializer.serialize(saved), samples)
        bar.update(CHUNK_PS)
        bar.set_postfix(rho=f"{samples[-len(chunk) :, 0].mean():.3f}")
    return True


def _sample(context: openmm.Context, mass_amu: float) -> list[float]:
    """Density (g/cm3), potential and kinetic energy (kJ/mol); the latter of velocities at the half step's middle."""
    state = context.getState(getEnergy=True)
    volume = state.getPeriodicBoxVolume().value_in_unit(unit.nanometer**3)
    energies = (state.getPotentialEnergy(), state.getKineticEnergy())
    return [mass_amu / volume * G_CM3_PER_AMU_NM3, *(e.value_in_unit(unit.kilojoule_per_mole) for e in energies)]


def _dipole(context: openmm.Context, charges: np.ndarray) -> np.ndarray:
    """Dipole of the box, e nm: molecules are whole and neutral, so which image of each is taken does not matter."""
    return charges @ context.getState(getPositions=True).getPositions(asNumpy=True)._value


def _load(run: Run, folder: Path) -> tuple[str | None, np.ndarray]:
    """State and samples of a stored run; nothing if there is none of this fingerprint."""
    path = folder / f"{run.name}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as data:
            if str(data["fingerprint"]) == run.fingerprint:
                samples = data["samples"]
                unknown = np.full((len(samples), COLUMNS - samples.shape[1]), np.nan)  # of runs older than the dipole
                return str(data["state"]), np.hstack([samples, unknown])
    return None, np.empty((0, COLUMNS))


def _save(run: Run, folder: Path, state: str, samples: np.ndarray) -> None:
    buffer = io.BytesIO()
    text = {"state": np.array(state), "fingerprint": np.array(run.fingerprint)}
    np.savez_compressed(buffer, samples=samples, **text)
    write_bytes(folder / f"{run.name}.npz", buffer.getvalue())


def drift(species: str, folder: Path) -> None:
    """NVE energy drift of one liquid for each time step, from where its 4 fs run stands; saved once."""
    start = _load(Run(species), folder)[0]
    if start is None or drift_rows(species, folder) is not None:
        return
    state = openmm.XmlSerializer.deserialize(start)
    rows = []
    for timestep_fs, repartitioned in tqdm(NVE_STEPS, desc=f"{species} NVE", unit="run"):
        run = Run(species, timestep_fs, repartitioned)
        system, _, _ = liquid(run)
        context = simulation(run, system, nve=True)
        context.setPeriodicBoxVectors(*state.getPeriodicBoxVectors())
        context.setPositions(state.getPositions())
        context.applyConstraints(1e-7)
        context.setVelocitiesToTemperature(run.temperature_K, derived_seed("nve", species))
        steps, series = round(NVE_SAMPLE_PS / (1e-3 * timestep_fs)), []
        for _ in range(round(NVE_PS / NVE_SAMPLE_PS)):
            context.getIntegrator().step(steps)
            found = context.getState(getEnergy=True)
            series.append((found.getPotentialEnergy() + found.getKineticEnergy())._value)
        t_ns = 1e-3 * steps * 1e-3 * timestep_fs * np.arange(len(series))
        slope = np.polyfit(t_ns, series, 1)[0]
        dof = degrees_of_freedom(system)
        kT = 8.31446261815324e-3 * run.temperature_K
        rows.append([timestep_fs, repartitioned, slope / dof / kT, np.std(np.diff(series)) / np.sqrt(2) / dof / kT])
    buffer = io.BytesIO()
    np.savez_compressed(buffer, rows=np.array(rows), fingerprint=np.array(Run(species).fingerprint))
    write_bytes(folder / f"{species}-nve.npz", buffer.getvalue())


def drift_rows(species: str, folder: Path) -> np.ndarray | None:
    path = folder / f"{species}-nve.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as data:
        return data["rows"] if str(data["fingerprint"]) == Run(species).fingerprint else None


def vapour(run: Run, folder: Path, length_ps: float) -> None:
    """One molecule in vacuum at the liquid's temperature and with its constraints; saved when complete."""
    path = folder / f"{run.species}-gas.npz"
    found = _vapour_energies(run, folder)
    if len(found) * SAMPLE_PS >= length_ps - 1e-6:
        return
    system = prepare(load_set(SET).system(run.species), spec(run), 0)
    _remove_barostat(system)
    integrator = openmm.LangevinMiddleIntegrator(run.temperature_K, VAPOUR_FRICTION_PER_PS, 1e-3 * run.timestep_fs)
    integrator.setRandomNumberSeed(derived_seed("vapour", run.name))
    context = openmm.Context(system, integrator, openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(0.1 * load_set(SET).geometry(run.species))
    context.applyConstraints(1e-6)
    context.setVelocitiesToTemperature(run.temperature_K, derived_seed("vapour velocities", run.name))
    steps, energies = round(SAMPLE_PS / (1e-3 * run.timestep_fs)), []
    integrator.step(round(EQUILIBRATION_PS / SAMPLE_PS) * steps)
    for _ in tqdm(range(round(length_ps / SAMPLE_PS)), desc=f"{run.species} vapour", unit="sample"):
        integrator.step(steps)
        energies.append(context.getState(getEnergy=True).getPotentialEnergy()._value)
    buffer = io.BytesIO()
    np.savez_compressed(buffer, energies=np.array(energies), fingerprint=np.array(run.fingerprint))
    write_bytes(path, buffer.getvalue())


def _vapour_energies(run: Run, folder: Path) -> np.ndarray:
    """Stored potential energies of the molecule in vacuum, kJ/mol; none if there is no run of this fingerprint."""
    path = folder / f"{run.species}-gas.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as data:
            if str(data["fingerprint"]) == run.fingerprint:
                return data["energies"]
    return np.empty(0)


@dataclass(frozen=True)
class Liquid:
    """What a run says of a liquid; NaN where it says nothing."""

    density_g_cm3: Estimate
    energy_kJ_mol: Estimate  # potential, per molecule
    vaporisation_kJ_mol: Estimate
    permittivity: Estimate
    production_ps: float


def measure(run: Run, folder: Path) -> Liquid | None:
    """Density, energy, enthalpy of vaporisation and permittivity from what has run; None from less than 40 ps.

    With U the potential energy, N molecules, M the dipole of the box and V its volume,

        ΔH = <U>_vapour − <U>_liquid / N + R T        ε = 1 + <M²> / (3 ε₀ <V> k T)

    where <M> = 0 by symmetry. The vapour is ideal and the liquid's volume neglected beside its; what it costs a
    molecule to be polarised as the charges have it is not taken off ΔH; ε has no electronic part.
    """
    samples = _load(run, folder)[1][round(EQUILIBRATION_PS / SAMPLE_PS) :]
    if len(samples) < 100:
        return None
    density, energy = estimate_mean([samples[:, 0]]), estimate_mean([samples[:, 1] / run.n_molecules])
    kT = 8.31446261815324e-3 * run.temperature_K
    gas = estimate_mean([_vapour_energies(run, folder)])
    vaporisation = replace(gas, value=gas.value - energy.value + kT, error=float(np.hypot(gas.error, energy.error)))
    mass_amu = run.n_molecules * load_library().species[run.species].molar_mass_g_mol
    volume_nm3 = mass_amu * G_CM3_PER_AMU_NM3 / density.value
    square = estimate_mean([np.sum(samples[:, 3:6] ** 2, axis=1)])  # NaN, which is left out, where it was not stored
    per_square = 4 * np.pi * COULOMB_KJ_NM_MOL / (3 * volume_nm3 * kT)
    permittivity = replace(square, value=1 + per_square * square.value, error=per_square * square.error)
    return Liquid(density, energy, vaporisation, permittivity, len(samples) * SAMPLE_PS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=LIQUIDS, default=LIQUIDS, metavar="LIQUID", help="of these liquids"
    )
    parser.add_argument("--steps", action="store_true", help="the time-step study instead of the densities")
    parser.add_argument("--full", action="store_true", help=f"{FULL_ATOMS} atoms, {FULL_PRODUCTION_PS:g} ps")
    parser.add_argument("--ps", type=float, help=f"production, default {PRODUCTION_PS:g}")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after about this long")
    parser.add_argument("--table", action="store_true", help="run nothing, write the table")
    parser.add_argument("--no-table", action="store_true", help="write no table")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the runs")
    args = parser.parse_args()
    if not args.table:
        run_all(args, time.monotonic() + 60 * args.minutes)
    if not args.no_table:
        from validation_report import write  # which measures with what is here

        write(args.work, ATOMS if not args.full else FULL_ATOMS)


def run_all(args: argparse.Namespace, deadline: float) -> None:
    """What the command line asks for, until the deadline."""
    atoms, ps, vapour_ps = (
        (FULL_ATOMS, FULL_PRODUCTION_PS, FULL_VAPOUR_PS) if args.full else (ATOMS, PRODUCTION_PS, VAPOUR_PS)
    )
    ps = args.ps or ps
    if args.steps:
        for run in sorted(STEP_RUNS, key=lambda run: -run.timestep_fs):  # quickest first
            if not simulate(run, args.work, deadline, ps):
                return
        for species in NVE_LIQUIDS:
            drift(species, args.work)
        return
    for run in (Run(species, atoms=atoms) for species in args.only):
        if not simulate(run, args.work, deadline, ps):
            raise SystemExit(f"{run.name} is not complete; call again to go on.")
        vapour(run, args.work, vapour_ps)


if __name__ == "__main__":
    main()
