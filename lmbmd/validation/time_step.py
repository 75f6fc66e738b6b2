"""Is a liquid the same at 4 fs with heavy hydrogens as at smaller steps with natural ones, and is energy conserved?

    lmbmd validate time-step [--engine gromacs] [--minutes 10]         densities and energies, then the drift without a
                                                                       thermostat; goes on from where it was stopped
    lmbmd validate time-step --structure DME [--ps 200]                structure and conformations at 4 and at 2 fs

The last goes on from where the first left its two equilibrated boxes, and from where it was stopped itself. It prints
each quantity for both, and their difference with its standard error; the two runs share nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import openmm
from openmm import unit

from lmbmd.core.errors import LmbmdError
from lmbmd.core.progress import Progress, counted
from lmbmd.core.provenance import derived_seed
from lmbmd.core.units import GAS_CONSTANT_KJ_MOL_K
from lmbmd.data.library import load_library
from lmbmd.data.systemxml import state_of
from lmbmd.forcefield.parameters import load_set
from lmbmd.numbers.curve import estimate_curve
from lmbmd.numbers.estimate import Estimate, estimate_mean
from lmbmd.simulate.engines.mechanics import degrees_of_freedom
from lmbmd.validation import liquids
from lmbmd.validation.liquids import Run
from lmbmd.validation.plan import (
    CHUNK_PS,
    ENGINES,
    NVE_LIQUIDS,
    NVE_PS,
    NVE_SAMPLE_PS,
    NVE_STEPS,
    PRODUCTION_PS,
    SAMPLE_PS,
    SET,
    WORK,
)
from lmbmd.validation.results import LIQUID, Row

#: Each of the 4 fs runs is also a row of the table of densities.
STEP_RUNS = (
    *(Run("DME", step, heavy) for step, heavy in ((4.0, True), (2.0, False), (1.0, False))),
    *(Run("TTE", step, heavy) for step, heavy in ((4.0, True), (2.0, False))),
)
#: Structure: distances between heavy atoms of different molecules, in shells of this width up to this radius, nm.
SHELL_NM, REACH_NM = 0.02, 1.0
#: A dihedral angle of the backbone beyond this is trans.
TRANS_DEG = 120.0
QUANTITIES = ("density, g/cm³", "potential energy, kJ/mol per molecule", "heavy neighbours within 5 Å", "trans, share")


@dataclass
class Samples:
    """What one run has given: state, series (n, 4), and histograms of pair distances per chunk (chunks, bins)."""

    state: str
    series: np.ndarray = field(default_factory=lambda: np.empty((0, len(QUANTITIES))))
    curves: np.ndarray = field(default_factory=lambda: np.empty((0, round(REACH_NM / SHELL_NM))))


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "lmbmd validate time-step", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=ENGINES, default=ENGINES[0], help="what integrates the liquids")
    parser.add_argument("--structure", metavar="LIQUID", help="compare structure and conformations instead")
    parser.add_argument("--ps", type=float, help=f"production, default {PRODUCTION_PS:g}, of --structure 200")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after about this long")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the runs")
    args = parser.parse_args(arguments)
    deadline = time.monotonic() + 60 * args.minutes
    if args.structure:
        runs = [Run(args.structure, 4.0, True), Run(args.structure, 2.0, False)]
        found = [simulate(run, args.work, args.ps or 200.0, deadline) for run in runs]
        if all(len(samples.series) >= 50 for samples in found):
            print(table(found))
        return
    for run in sorted(STEP_RUNS, key=lambda run: -run.timestep_fs):  # quickest first
        run = replace(run, engine=args.engine)
        if not liquids.simulate(run, args.work, deadline, args.ps or PRODUCTION_PS):
            raise liquids.unfinished(run.name)
    for species in NVE_LIQUIDS:
        drift(species, args.work)


def rows(work: Path) -> Iterator[Row]:
    """What has run, as results of the default set; its 4 fs runs are among those of the liquids."""
    for run in STEP_RUNS:
        if not run.repartitioned:
            yield from liquids.rows(run, work)
    for species in NVE_LIQUIDS:
        found = drift_rows(species, work)
        for step, heavy, slope, jitter in found if found is not None else ():
            # Of a line through N equally spaced points with independent noise: noise · √(12/N) / length.
            error = jitter * np.sqrt(12 * NVE_SAMPLE_PS / NVE_PS) / (1e-3 * NVE_PS)
            run = Run(species)
            row = Row(
                LIQUID,
                species,
                "energy_drift",
                temperature_K=run.temperature_K,
                ensemble="NVE",
                timestep_fs=float(step),
                hydrogens="heavy" if heavy else "natural",
                simulated=float(slope),
                error=float(error),
                engine="openmm",
                length_ps=NVE_PS,
                atoms=float(run.n_molecules * load_library().species[species].n_atoms),
            )
            yield row
            yield replace(row, quantity="energy_fluctuation", simulated=float(jitter), error=float("nan"))


# ---- the energy without a thermostat


def drift(species: str, work: Path) -> None:
    """NVE energy drift of one liquid for each time step, from where its 4 fs run stands; saved once."""
    start = liquids.load(Run(species), work)[0]
    if start is None or drift_rows(species, work) is not None:
        return
    state = state_of(start, species)
    rows = []
    for timestep_fs, repartitioned in counted(NVE_STEPS, f"{species} NVE", "runs"):
        run = Run(species, timestep_fs, repartitioned)
        system, _, _ = liquids.liquid(run)
        context = liquids.simulation(run, system, nve=True)
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
        kT = GAS_CONSTANT_KJ_MOL_K * run.temperature_K
        rows.append([timestep_fs, repartitioned, slope / dof / kT, np.std(np.diff(series)) / np.sqrt(2) / dof / kT])
    run = Run(species)
    liquids.write_arrays(run.place(work) / f"{species}-nve.npz", run, rows=np.array(rows))


def drift_rows(species: str, work: Path) -> np.ndarray | None:
    path = Run(species).place(work) / f"{species}-nve.npz"
    if not path.exists():
        return None
    with np.load(path, allow_pickle=False) as data:
        return data["rows"] if str(data["fingerprint"]) == Run(species).fingerprint else None


# ---- structure and conformations


def simulate(run: Run, work: Path, ps: float, deadline: float) -> Samples:
    """Go on with one run until it is long enough or time is up."""
    samples, path = load(run, work)
    if len(samples.series) * SAMPLE_PS >= ps - 1e-6:
        return samples
    system, _, _ = liquids.liquid(run)
    mass = sum(system.getParticleMass(i).value_in_unit(unit.amu) for i in range(system.getNumParticles()))
    context = liquids.simulation(run, system)
    context.setState(state_of(samples.state, "the saved run"))
    molecule = Molecule.of(run.species)
    bar = Progress()
    bar.begin(run.name, ps, len(samples.series) * SAMPLE_PS)
    while len(samples.series) * SAMPLE_PS < ps - 1e-6 and time.monotonic() < deadline:
        rows, curve = [], np.zeros(samples.curves.shape[1])
        for _ in range(round(CHUNK_PS / SAMPLE_PS)):
            context.getIntegrator().step(round(SAMPLE_PS / (1e-3 * run.timestep_fs)))
            row, counts = molecule.measure(context, mass)
            rows.append(row)
            curve += counts / round(CHUNK_PS / SAMPLE_PS)
        state = context.getState(getPositions=True, getVelocities=True, getParameters=True)
        samples = Samples(
            openmm.XmlSerializer.serialize(state),
            np.concatenate([samples.series, rows]),
            np.concatenate([samples.curves, curve[None]]),
        )
        arrays = {"state": np.array(samples.state), "series": samples.series, "curves": samples.curves}
        liquids.write_arrays(path, run, **arrays)
        bar.at(len(samples.series) * SAMPLE_PS)
    bar.end()
    return samples


def load(run: Run, folder: Path) -> tuple[Samples, Path]:
    """What is stored of a run, else the state in which the force field's validation left it; and where to store it."""
    path = run.place(folder) / f"{run.name}-structure.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as data:
            if str(data["fingerprint"]) == run.fingerprint:
                return Samples(str(data["state"]), data["series"], data["curves"]), path
    state, _ = liquids.load(run, folder)
    if state is None:
        remedy = "Run `lmbmd validate time-step` first."
        raise LmbmdError(f"{run.name} has not been equilibrated.", where=str(folder), remedy=remedy)
    return Samples(state), path


@dataclass(frozen=True)
class Molecule:
    """Which atoms of a molecule are looked at."""

    n_atoms: int
    heavy: np.ndarray
    backbone: np.ndarray

    @classmethod
    def of(cls, species: str) -> Molecule:
        parameters = load_set(SET)
        heavy = [i for i, element in enumerate(parameters.elements(species)) if element != "H"]
        bonds = {frozenset(map(int, bond)) for bond in parameters.bonds(species)}
        neighbours = {i: [j for j in heavy if frozenset((i, j)) in bonds] for i in heavy}
        torsions = [
            (a, b, c, d)
            for b in heavy
            for c in neighbours[b]
            if b < c
            for a in neighbours[b]
            if a != c
            for d in neighbours[c]
            if d not in (a, b)
        ]
        return cls(len(parameters.elements(species)), np.array(heavy), np.array(torsions))

    def measure(self, context: openmm.Context, mass_amu: float) -> tuple[list[float], np.ndarray]:
        """A row of the series, and g(r) of heavy atoms of different molecules."""
        state = context.getState(energy=True, positions=True)
        density, potential, *_ = liquids.sample(context, mass_amu)
        edge = state.getPeriodicBoxVectors()[0][0]._value
        x = state.getPositions(asNumpy=True)._value.reshape(-1, self.n_atoms, 3)
        molecules = len(x)
        heavy = x[:, self.heavy].reshape(-1, 3)
        owner = np.repeat(np.arange(molecules), len(self.heavy))
        counts = np.zeros(round(REACH_NM / SHELL_NM))
        near: int = 0
        for i in range(len(heavy) - 1):
            d = heavy[i + 1 :][owner[i + 1 :] != owner[i]] - heavy[i]
            r = np.sqrt(((d - edge * np.round(d / edge)) ** 2).sum(axis=1))
            counts += np.histogram(r, len(counts), (0, REACH_NM))[0]
            near += int(np.count_nonzero(r < 0.5))
        r = SHELL_NM * np.arange(len(counts) + 1)
        pairs = len(heavy) * (len(heavy) - len(self.heavy)) / 2
        g = counts / (pairs * 4 / 3 * np.pi * np.diff(r**3) / edge**3)
        return [density, potential / molecules, 2 * near / len(heavy), self._trans(x)], g

    def _trans(self, x: np.ndarray) -> float:
        a, b, c, d = (x[:, self.backbone[:, k]] for k in range(4))
        left, right = np.cross(b - a, c - b), np.cross(c - b, d - c)
        cosine = (left * right).sum(-1) / np.linalg.norm(left, axis=-1) / np.linalg.norm(right, axis=-1)
        return float((np.abs(np.degrees(np.arccos(np.clip(cosine, -1, 1)))) > TRANS_DEG).mean())


# ---- telling


def table(found: list[Samples]) -> str:
    """The two runs side by side."""
    lengths = " and ".join(f"{len(samples.series) * SAMPLE_PS:.0f}" for samples in found)
    lines = [
        f"{lengths} ps",
        "| | 4 fs, heavy hydrogens | 2 fs, natural hydrogens | difference |",
        "|---|---|---|---|",
    ]
    for k, name in enumerate(QUANTITIES):
        four, two = (estimate_mean([samples.series[:, k]]) for samples in found)
        lines.append(f"| {name} | {_text(four)} | {_text(two)} | {_text(_difference(four, two))} |")
    curves = [estimate_curve([samples.curves]) for samples in found]
    (g4, e4), (g2, e2) = curves
    seen = (g4 > 0.05) & (g2 > 0.05)
    z = (g4 - g2)[seen] / np.hypot(e4, e2)[seen]
    worst = np.abs(g4 - g2)[seen].max()
    lines += [
        "",
        (
            f"g(r) of heavy atoms of different molecules to {10 * REACH_NM:g} Å, in {seen.sum()} shells of "
            f"{10 * SHELL_NM:g} Å: largest difference {worst:.3f}, root mean square of difference/error "
            f"{np.sqrt((z**2).mean()):.2f}."
        ),
    ]
    return "\n".join(lines)


def _difference(a: Estimate, b: Estimate) -> Estimate:
    return Estimate(a.value - b.value, float(np.hypot(a.error, b.error)), min(a.n_effective, b.n_effective))


def _text(estimate: Estimate) -> str:
    return f"{estimate.value:.4f} ± {estimate.error:.4f}"
