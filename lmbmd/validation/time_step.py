"""Is a liquid the same at 4 fs with heavy hydrogens as at 2 fs with natural ones? Density, structure, conformations.

    python -m lmbmd.validation.time_step [--liquid DME] [--ps 200] [--minutes 10]

Goes on from where `lmbmd/validation/validate_force_field.py --steps` left its two equilibrated boxes, and from where it
was stopped itself. Prints each quantity for both, and their difference with its standard error; the two runs share
nothing.
"""

from __future__ import annotations

import argparse
import io
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import openmm
from openmm import unit
from tqdm import tqdm

from lmbmd.core.files import write_bytes
from lmbmd.forcefield.parameters import load_set
from lmbmd.numbers.curve import estimate_curve
from lmbmd.numbers.estimate import Estimate, estimate_mean
from lmbmd.validation import liquids

#: Simulated time between samples, and between savings, ps.
SAMPLE_PS, CHUNK_PS = 0.4, 20.0
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--liquid", default="DME")
    parser.add_argument("--ps", type=float, default=200.0)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--work", type=Path, default=liquids.ROOT / "work" / "validation")
    options = parser.parse_args()
    deadline = time.monotonic() + 60 * options.minutes
    runs = [liquids.Run(options.liquid, 4.0, True), liquids.Run(options.liquid, 2.0, False)]
    found = [simulate(run, options, deadline) for run in runs]
    if all(len(samples.series) >= 50 for samples in found):
        print(table(found))


# ---- running


def simulate(run: liquids.Run, options: argparse.Namespace, deadline: float) -> Samples:
    """Go on with one run until it is long enough or time is up."""
    samples, path = load(run, options.work)
    if len(samples.series) * SAMPLE_PS >= options.ps - 1e-6:
        return samples
    system, _, _ = liquids.liquid(run)
    mass = sum(system.getParticleMass(i).value_in_unit(unit.amu) for i in range(system.getNumParticles()))
    context = liquids.simulation(run, system)
    context.setState(openmm.XmlSerializer.deserialize(samples.state))
    molecule = Molecule.of(run.species)
    bar = tqdm(total=options.ps, initial=len(samples.series) * SAMPLE_PS, desc=run.name, unit="ps")
    while len(samples.series) * SAMPLE_PS < options.ps - 1e-6 and time.monotonic() < deadline:
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
        buffer = io.BytesIO()
        text = {"state": np.array(samples.state), "fingerprint": np.array(run.fingerprint)}
        np.savez_compressed(buffer, series=samples.series, curves=samples.curves, **text)
        write_bytes(path, buffer.getvalue())
        bar.update(CHUNK_PS)
    bar.close()
    return samples


def load(run: liquids.Run, folder: Path) -> tuple[Samples, Path]:
    """What is stored of a run, else the state in which the force field's validation left it; and where to store it."""
    path = run.place(folder) / f"{run.name}-structure.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as data:
            if str(data["fingerprint"]) == run.fingerprint:
                return Samples(str(data["state"]), data["series"], data["curves"]), path
    state, _ = liquids.load(run, folder)
    if state is None:
        raise SystemExit(
            f"{run.name} has not been equilibrated: python -m lmbmd.validation.validate_force_field --steps"
        )
    return Samples(state), path


@dataclass(frozen=True)
class Molecule:
    """Which atoms of a molecule are looked at."""

    n_atoms: int
    heavy: np.ndarray
    backbone: np.ndarray

    @classmethod
    def of(cls, species: str) -> Molecule:
        parameters = load_set(liquids.SET)
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
        density, potential, *_ = liquids._sample(context, mass_amu)
        edge = state.getPeriodicBoxVectors()[0][0]._value
        x = state.getPositions(asNumpy=True)._value.reshape(-1, self.n_atoms, 3)
        molecules = len(x)
        heavy = x[:, self.heavy].reshape(-1, 3)
        owner = np.repeat(np.arange(molecules), len(self.heavy))
        counts = np.zeros(round(REACH_NM / SHELL_NM))
        near = 0
        for i in range(len(heavy) - 1):
            d = heavy[i + 1 :][owner[i + 1 :] != owner[i]] - heavy[i]
            r = np.sqrt(((d - edge * np.round(d / edge)) ** 2).sum(axis=1))
            counts += np.histogram(r, len(counts), (0, REACH_NM))[0]
            near += np.count_nonzero(r < 0.5)
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


if __name__ == "__main__":
    main()
