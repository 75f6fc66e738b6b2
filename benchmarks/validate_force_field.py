"""How good the force field is: densities of pure liquids against experiment, and 4 fs against 1 and 2 fs.

    python benchmarks/validate_force_field.py                     run what is missing, then write docs/validation.md
    python benchmarks/validate_force_field.py --only DME TTE      only these liquids
    python benchmarks/validate_force_field.py --ps 2000           longer production, for smaller errors
    python benchmarks/validate_force_field.py --steps             the time-step study instead
    python benchmarks/validate_force_field.py --minutes 5         stop after about five minutes; call again to go on
    python benchmarks/validate_force_field.py --table             only write docs/validation.md from what has run

Every run goes on from where it was stopped, however it was stopped.
"""

from __future__ import annotations

import argparse
import io
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmm
from openmm import unit
from tqdm import tqdm

from lmbmd.analysis.statistics import Estimate, estimate_mean
from lmbmd.atomic import write_bytes, write_text
from lmbmd.build.packing import pack
from lmbmd.build.system import build_system
from lmbmd.forcefield.library import load_library
from lmbmd.forcefield.parameters import load_set
from lmbmd.provenance import canonical_json, derived_seed, sha256_of
from lmbmd.simulate.mechanics import degrees_of_freedom, prepare
from lmbmd.simulate.spec import RunSpec, Seeds

ROOT = Path(__file__).resolve().parent.parent
SET = "sage-clp-1.1.0"
LIQUIDS = ("DME", "DMC", "TTE", "EC", "PC", "DOL", "EMC", "DEC", "FEC")
ATOMS, EQUILIBRATION_PS, PRODUCTION_PS = 1000, 100.0, 240.0
SAMPLE_PS, CHUNK_PS = 0.4, 20.0
PRESSURE_BAR, FRICTION_PER_PS, BAROSTAT_PS = 1.0, 1.0, 0.1
HEAVY_HYDROGEN_AMU, LIGHT_HYDROGEN_AMU = 3.0, 1.00794
PACKED_FRACTION = 0.8
G_CM3_PER_AMU_NM3 = 1.66053906660e-3


@dataclass(frozen=True)
class Run:
    """One simulation of a pure liquid: hydrogens' bonds are rigid in all, hydrogens heavy where ``repartitioned``."""

    species: str
    timestep_fs: float = 4.0
    repartitioned: bool = True

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
        return sha256_of(canonical_json([system, ATOMS, SAMPLE_PS, self.temperature_K, self.timestep_fs]).encode())


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
    n = round(ATOMS / species.n_atoms)
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
        for index in reversed(range(system.getNumForces())):
            if isinstance(system.getForce(index), openmm.MonteCarloBarostat):
                system.removeForce(index)
        integrator = openmm.VerletIntegrator(step_ps)
        integrator.setConstraintTolerance(1e-7)
    else:
        integrator = openmm.LangevinMiddleIntegrator(run.temperature_K, FRICTION_PER_PS, step_ps)
        integrator.setRandomNumberSeed(derived_seed("run", run.name))
    names = {openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())}
    platform = next(p for p in ("CUDA", "CPU") if p in names)
    return openmm.Context(system, integrator, openmm.Platform.getPlatformByName(platform))


def simulate(run: Run, folder: Path, deadline: float, production_ps: float) -> bool:
    """Run, or go on with, one liquid; samples and state are saved together. True when it is complete."""
    state, samples = _load(run, folder)
    total = EQUILIBRATION_PS + production_ps
    if len(samples) * SAMPLE_PS >= total - 1e-6:
        return True
    system, positions, edge = liquid(run)
    mass = sum(system.getParticleMass(i).value_in_unit(unit.amu) for i in range(system.getNumParticles()))
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
            chunk.append(_sample(context, mass))
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


def _load(run: Run, folder: Path) -> tuple[str | None, np.ndarray]:
    """State and samples of a stored run; nothing if there is none of this fingerprint."""
    path = folder / f"{run.name}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as data:
            if str(data["fingerprint"]) == run.fingerprint:
                return str(data["state"]), data["samples"]
    return None, np.empty((0, 3))


def _save(run: Run, folder: Path, state: str, samples: np.ndarray) -> None:
    buffer = io.BytesIO()
    text = {"state": np.array(state), "fingerprint": np.array(run.fingerprint)}
    np.savez_compressed(buffer, samples=samples, **text)
    write_bytes(folder / f"{run.name}.npz", buffer.getvalue())


def drift(species: str, folder: Path) -> None:
    """NVE energy drift of one liquid for each time step, from where its 4 fs run stands; saved once."""
    start = _load(Run(species), folder)[0]
    if start is None or _drift_rows(species, folder) is not None:
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


def _drift_rows(species: str, folder: Path) -> np.ndarray | None:
    path = folder / f"{species}-nve.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as data:
        return data["rows"] if str(data["fingerprint"]) == Run(species).fingerprint else None


def density(run: Run, folder: Path) -> tuple[Estimate, Estimate, float] | None:
    """Density (g/cm3), potential energy per molecule (kJ/mol) and production length (ps) of what has run."""
    samples = _load(run, folder)[1]
    kept = samples[round(EQUILIBRATION_PS / SAMPLE_PS) :]
    if len(kept) < 100:
        return None
    n = round(ATOMS / load_library().species[run.species].n_atoms)
    return estimate_mean([kept[:, 0]]), estimate_mean([kept[:, 1] / n]), len(kept) * SAMPLE_PS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=LIQUIDS, default=LIQUIDS, metavar="LIQUID", help="of these liquids"
    )
    parser.add_argument("--steps", action="store_true", help="the time-step study instead of the densities")
    parser.add_argument("--ps", type=float, default=PRODUCTION_PS, help="production, default %(default)s")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after about this long")
    parser.add_argument("--table", action="store_true", help="run nothing, write the table")
    parser.add_argument("--work", type=Path, default=ROOT / "work" / "validation", help="folder of the runs")
    args = parser.parse_args()
    deadline = time.monotonic() + 60 * args.minutes
    if not args.table:
        quickest_first = sorted(STEP_RUNS, key=lambda run: -run.timestep_fs)
        for run in quickest_first if args.steps else [Run(s) for s in args.only]:
            if not simulate(run, args.work, deadline, args.ps):
                break
        for species in NVE_LIQUIDS if args.steps else ():
            drift(species, args.work)
    text = report(args.work)
    write_text(ROOT / "docs" / "validation.md", text)
    print(text)


def report(folder: Path) -> str:
    """The text of docs/validation.md."""
    parts = [HEAD.format(set=SET, atoms=ATOMS, equilibration=EQUILIBRATION_PS, pressure=PRESSURE_BAR)]
    parts.append(_density_table(folder))
    parts.append(_step_table(folder))
    return "\n".join(parts).rstrip() + "\n"


HEAD = """# Validation of {set}

Written by `python benchmarks/validate_force_field.py`; do not edit. `--steps` runs the time-step study. Both go on
where they were stopped.

Boxes of about {atoms} atoms, packed at 80 % of the density sought, equilibrated for {equilibration:g} ps; NPT at
{pressure:g} bar with LangevinMiddle (1/ps) and a Monte Carlo barostat; PME, the set's own cut-off, switching and
long-range correction; bonds to hydrogen rigid. Errors are one standard error from the autocorrelation of the series.
Runs this small and short are meant to rank and to catch faults: a deviation below two standard errors is none.
"""
WEAK = 0.02


def _density_table(folder: Path) -> str:
    lines = [
        "## Density of pure liquids",
        "",
        "4 fs with hydrogen mass repartitioning. The experimental values and their sources are those of"
        " `force_fields/species.yaml`.",
        "",
        "| liquid | T, K | experiment, g/cm³ | source | simulated, g/cm³ | deviation | production, ps |",
        "|---|---|---|---|---|---|---|",
    ]
    deviations = {}
    for name in LIQUIDS:
        found, species = density(Run(name), folder), load_library().species[name]
        if found is None:
            lines.append(f"| {name} | {species.density_T_K:g} | {species.density_g_cm3:g} | | not run | | |")
            continue
        rho, _, length = found
        deviations[name] = rho.value / species.density_g_cm3 - 1
        lines.append(
            f"| {name} | {species.density_T_K:g} | {species.density_g_cm3:g} | {species.density_source} "
            f"| {rho.value:.4f} ± {rho.error:.4f} | {deviations[name]:+.1%} | {length:.0f} |"
        )
    if deviations:
        mean = np.mean(np.abs(list(deviations.values())))
        weak = [f"{name} ({d:+.1%})" for name, d in deviations.items() if abs(d) > WEAK]
        lines += ["", f"Mean absolute deviation over {len(deviations)} liquids: {mean:.1%}."]
        if weak:
            lines += [f"Beyond {WEAK:.0%}: {', '.join(weak)}."]
    return "\n".join([*lines, ""])


def _step_table(folder: Path) -> str:
    lines = [
        "## 4 fs with hydrogen mass repartitioning against 2 fs and 1 fs",
        "",
        f"Hydrogens of {HEAVY_HYDROGEN_AMU:g} amu, their mass taken from the atom they are bound to.",
        "",
        "| liquid | step, fs | hydrogens | density, g/cm³ | potential energy, kJ/mol per molecule | production, ps |",
        "|---|---|---|---|---|---|",
    ]
    for run in STEP_RUNS:
        found = density(run, folder)
        weight = "heavy" if run.repartitioned else "natural"
        if found is None:
            lines.append(f"| {run.species} | {run.timestep_fs:g} | {weight} | not run | | |")
            continue
        rho, energy, length = found
        lines.append(
            f"| {run.species} | {run.timestep_fs:g} | {weight} | {rho.value:.4f} ± {rho.error:.4f} "
            f"| {energy.value:.3f} ± {energy.error:.3f} | {length:.0f} |"
        )
    lines += [
        "",
        f"Energy conservation without thermostat or barostat (Verlet, {NVE_PS:g} ps): drift of the total energy, "
        "and its fluctuation from sample to sample, per degree of freedom.",
        "",
        "| liquid | step, fs | hydrogens | drift, kT/ns per d.o.f. | fluctuation, kT per d.o.f. |",
        "|---|---|---|---|---|",
    ]
    for species in NVE_LIQUIDS:
        rows = _drift_rows(species, folder)
        if rows is None:
            lines.append(f"| {species} | | | not run | |")
            continue
        for step, heavy, slope, jitter in rows:
            weight = "heavy" if heavy else "natural"
            # Of a line through N equally spaced points with independent noise: noise · √(12/N) / length.
            error = jitter * np.sqrt(12 * NVE_SAMPLE_PS / NVE_PS) / (1e-3 * NVE_PS)
            lines.append(f"| {species} | {step:g} | {weight} | {slope:+.3f} ± {error:.3f} | {jitter:.1e} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
