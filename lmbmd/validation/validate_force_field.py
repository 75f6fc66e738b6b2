"""What the force field makes of pure liquids and of their vapours, and 4 fs against 1 and 2 fs.

    python -m lmbmd.validation.validate_force_field                 run what is missing, then write docs/validation.md
    python -m lmbmd.validation.validate_force_field --only DME TTE  only these liquids
    python -m lmbmd.validation.validate_force_field --ps 2000       longer production, for smaller errors
    python -m lmbmd.validation.validate_force_field --full          larger boxes and longer runs, for a GPU
    python -m lmbmd.validation.validate_force_field --steps         the time-step study instead
    python -m lmbmd.validation.validate_force_field --engine gromacs    in GROMACS, on two cores several times quicker
    python -m lmbmd.validation.validate_force_field --set NAME      of this parameter set instead of the default one
    python -m lmbmd.validation.validate_force_field --minutes 5     stop after about five minutes; call again to go on
    python -m lmbmd.validation.validate_force_field --table         only write docs/validation.md from what has run

Every run goes on from where it was stopped, however it was stopped. `snakemake --snakefile workflow/validation.smk`
runs all of it, with the electrolytes and the pairs of Li⁺ and a molecule.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import openmm
from tqdm import tqdm

from lmbmd.core.provenance import derived_seed
from lmbmd.simulate.engines.mechanics import degrees_of_freedom
from lmbmd.validation.liquids import (
    ATOMS,
    ENGINES,
    GAS_KJ_MOL_K,
    LIQUIDS,
    PRODUCTION_PS,
    SETS,
    VAPOUR_PS,
    WORK,
    Run,
    liquid,
    load,
    simulate,
    simulation,
    vapour,
    write_arrays,
)

FULL_ATOMS, FULL_PRODUCTION_PS, FULL_VAPOUR_PS = 10000, 5000.0, 20000.0
#: The time-step study: each of its 4 fs runs is also a row of the density table.
STEP_RUNS = [
    *(Run("DME", step, heavy) for step, heavy in ((4.0, True), (2.0, False), (1.0, False))),
    *(Run("TTE", step, heavy) for step, heavy in ((4.0, True), (2.0, False))),
]
NVE_LIQUIDS = ("DME", "TTE")
NVE_STEPS = ((4.0, True), (3.0, True), (2.0, True), (2.0, False), (1.0, False))
NVE_PS, NVE_SAMPLE_PS = 20.0, 0.1


def drift(species: str, work: Path) -> None:
    """NVE energy drift of one liquid for each time step, from where its 4 fs run stands; saved once."""
    start = load(Run(species), work)[0]
    if start is None or drift_rows(species, work) is not None:
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
        kT = GAS_KJ_MOL_K * run.temperature_K
        rows.append([timestep_fs, repartitioned, slope / dof / kT, np.std(np.diff(series)) / np.sqrt(2) / dof / kT])
    run = Run(species)
    write_arrays(run.place(work) / f"{species}-nve.npz", run, rows=np.array(rows))


def drift_rows(species: str, work: Path) -> np.ndarray | None:
    path = Run(species).place(work) / f"{species}-nve.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as data:
        return data["rows"] if str(data["fingerprint"]) == Run(species).fingerprint else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--only", nargs="+", choices=LIQUIDS, default=LIQUIDS, metavar="LIQUID", help="of these liquids"
    )
    parser.add_argument("--steps", action="store_true", help="the time-step study instead of the densities")
    parser.add_argument("--full", action="store_true", help=f"{FULL_ATOMS} atoms, {FULL_PRODUCTION_PS:g} ps")
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="what integrates the liquids")
    parser.add_argument("--set", choices=SETS, default=SETS[0], help="parameter set")
    parser.add_argument("--ps", type=float, help=f"production, default {PRODUCTION_PS:g}")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after about this long")
    parser.add_argument("--table", action="store_true", help="run nothing, write the table")
    parser.add_argument("--no-table", action="store_true", help="write no table")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the runs")
    args = parser.parse_args()
    if not args.table:
        run_all(args, time.monotonic() + 60 * args.minutes)
    if not args.no_table:
        from lmbmd.validation.report import write  # which measures with what is here

        write(args.work, ATOMS if not args.full else FULL_ATOMS)


def run_all(args: argparse.Namespace, deadline: float) -> None:
    """What the command line asks for, until the deadline."""
    atoms, ps, vapour_ps = (
        (FULL_ATOMS, FULL_PRODUCTION_PS, FULL_VAPOUR_PS) if args.full else (ATOMS, PRODUCTION_PS, VAPOUR_PS)
    )
    ps = args.ps or ps
    if args.steps:
        runs = [replace(run, engine=args.engine) for run in STEP_RUNS]
        for run in sorted(runs, key=lambda run: -run.timestep_fs):  # quickest first
            if not simulate(run, args.work, deadline, ps):
                return
        for species in NVE_LIQUIDS:
            drift(species, args.work)
        return
    for species in args.only:
        run = Run(species, atoms=atoms, set_name=args.set, engine=args.engine)
        if not simulate(run, args.work, deadline, ps):
            raise SystemExit(f"{run.name} is not complete; call again to go on.")
        vapour(run, args.work, vapour_ps)


if __name__ == "__main__":
    main()
