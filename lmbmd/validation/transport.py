"""Self-diffusion and viscosity of pure liquids in a force field, from GROMACS at constant volume.

    python -m lmbmd.validation.transport                    run what is missing of the liquids that have a reference
    python -m lmbmd.validation.transport --only AN DX       only these liquids
    python -m lmbmd.validation.transport --ps 2000          longer, for smaller errors
    python -m lmbmd.validation.transport --natural          2 fs and natural hydrogens: what 4 fs and heavy ones cost
    python -m lmbmd.validation.transport --minutes 5        stop after about five minutes; call again to go on

Needs `gmx`. A run starts where the liquid's own GROMACS run of constant pressure ended (it is made if it is missing),
in a box scaled to the mean density of the set. Langevin friction would slow molecules down, so the temperature is that
of stochastic velocity rescaling (Bussi et al., doi:10.1063/1.2408420), which acts on all velocities alike; all else is
as in `liquids.py`. Heavier hydrogens leave the mass of a molecule alone but not how it turns: 4 fs with them is what
lmbmd's own runs do, whose dynamics are judged here, and ``--natural`` is what to compare with.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import openmm
from MDAnalysis.lib.formats.libmdaxdr import XTCFile
from scipy.integrate import cumulative_trapezoid

from benchmarks.gromacs import LINCS, gmx
from lmbmd.core.provenance import canonical_json, sha256_of
from lmbmd.data.library import load_library
from lmbmd.forcefield.parameters import ParameterSet
from lmbmd.numbers.estimate import Estimate
from lmbmd.validation import gromacs_liquid, liquids
from lmbmd.validation.liquids import REFERENCE, SETS, WORK, Run
from lmbmd.validation.validate_force_field import FULL_ATOMS

REFERRED = tuple(n for n, facts in REFERENCE["liquids"].items() if {"self_diffusion", "viscosity"} & facts.keys())
LIQUID_PS, SETTLE_PS, NVT_PS, THERMOSTAT_PS = 80.0, 20.0, 640.0, 1.0
#: Of the pressure: stretching bonds must not look constant, and none has this period (4170/cm) or a multiple of it.
STRESS_PS = 0.008
FRAME_PS = 0.4
#: Of a line through the mean squared displacement, and of the mean of the running integral of the pressure's memory.
LAGS_PS, MEMORY_PS = (20.0, 40.0), (10.0, 20.0)
#: A run is cut into so many, and its error is that of their mean.
PARTS = 10
NATURAL = 2.0, False
STRESSES = "Pres-XX\nPres-XY\nPres-XZ\nPres-YY\nPres-YZ\nPres-ZZ\n"
BOLTZMANN_J_K, YEH_HUMMER = 1.380649e-23, 2.837297


@dataclass(frozen=True)
class Transport(Run):
    """The run at constant volume that follows a liquid's own."""

    engine: str = "gromacs"

    @property
    def liquid(self) -> Run:
        return Run(self.species, self.timestep_fs, self.repartitioned, self.atoms, self.set_name, self.engine)

    @property
    def name(self) -> str:
        return f"{self.liquid.name}-transport"

    @property
    def fingerprint(self) -> str:
        facts = [self.liquid.fingerprint, SETTLE_PS, THERMOSTAT_PS, STRESS_PS, FRAME_PS, *LINCS]
        return sha256_of(canonical_json(facts).encode())


@dataclass(frozen=True)
class Found:
    """What a run says of how a liquid moves, 1e-9 m²/s and mPa s."""

    diffusion: Estimate  # in the periodic box
    diffusion_unbounded: Estimate  # corrected to an infinite one
    viscosity: Estimate
    length_ps: float


def simulate(run: Transport, work: Path, ps: float, deadline: float) -> bool:
    """Run, or go on with, a liquid at constant volume; stored when it is as long as asked for, and then True."""
    found = load(run, work)
    if found and len(found[0]) * FRAME_PS >= ps - 1e-6:
        return True
    if not liquids.simulate(run.liquid, work, deadline, LIQUID_PS):
        return False
    folder = run.place(work) / run.name
    gromacs_liquid.fresh(folder, run.fingerprint)
    if not (folder / "run.tpr").is_file():
        _write_start(run, work, folder)
    centres, stress = _series(folder, run)
    if len(centres) * FRAME_PS < ps - 1e-6:
        gromacs_liquid.go_on(folder, SETTLE_PS + ps, deadline - time.monotonic())
        centres, stress = _series(folder, run)
    if len(centres) * FRAME_PS < ps - 1e-6:
        return False
    arrays = {"centres_nm": centres, "stress_bar": stress, "edge_nm": np.array(_edge_nm(folder / "start.gro"))}
    liquids.write_arrays(run.place(work) / f"{run.name}.npz", run, **arrays)
    return True


def _series(folder: Path, run: Transport) -> tuple[np.ndarray, np.ndarray]:
    """Centres of mass (nm) and pressures (bar) of what has run since it settled, as long as each other."""
    if not (folder / "run.cpt").is_file():
        return np.empty((0, 0, 3)), np.empty((0, 5))
    centres = mass_centres(folder / "run.xtc", run.parameters, run.species)[round(SETTLE_PS / FRAME_PS) + 1 :]
    pressures = gromacs_liquid.table(folder, ["energy", "-f", "run.edr"], STRESSES)
    stress = deviators(pressures[round(SETTLE_PS / STRESS_PS) + 1 :, 1:]).astype(np.float32)
    per_frame = round(FRAME_PS / STRESS_PS)
    frames = min(len(centres), len(stress) // per_frame)
    return centres[:frames], stress[: frames * per_frame]


def _write_start(run: Transport, work: Path, folder: Path) -> None:
    """``run.tpr``: the box that the liquid's run ended with, scaled to the set's mean density."""
    source = run.place(work) / run.liquid.name
    for name in ("topol.top", "system.xml"):
        shutil.copy(source / name, folder)
    mean = liquids.longest(run.liquid, work).density_g_cm3.value
    mass_amu = run.n_molecules * load_library().species[run.species].molar_mass_g_mol
    edge_nm = (mass_amu * liquids.G_CM3_PER_AMU_NM3 / mean) ** (1 / 3)
    scale = [f"{edge_nm / _edge_nm(source / 'run.gro'):.8f}"] * 3
    gmx(folder, ["editconf", "-f", str(source.absolute() / "run.gro"), "-o", "start.gro", "-scale", *scale])
    text = gromacs_liquid.mdp(folder, liquids.spec(run), run.timestep_fs, SETTLE_PS, FRAME_PS, 1.0)
    every = round(1000 * STRESS_PS / run.timestep_fs)
    settings = dict(line.split(" = ") for line in text.strip().splitlines()) | {
        "integrator": "md",
        "tcoupl": "v-rescale",
        "tau-t": THERMOSTAT_PS,
        "pcoupl": "no",
        "nstcalcenergy": every,
        "nstenergy": every,
    }
    lines = [f"{key} = {value}\n" for key, value in settings.items()]
    (folder / "run.mdp").write_text("".join(lines), encoding="utf-8")
    gromacs_liquid.grompp(folder, "run", "start.gro")


def _edge_nm(path: Path) -> float:
    return float(path.read_text(encoding="utf-8").split("\n")[-2].split()[0])


def mass_centres(trajectory: Path, parameters: ParameterSet, species: str) -> np.ndarray:
    """Centres of mass of molecules of one kind through a trajectory, nm, shape (frames, molecules, 3).

    Atoms are followed from frame to frame to their nearest image; where a molecule starts is known up to the box's
    edge, how far it has come exactly.
    """
    with XTCFile(str(trajectory)) as frames:
        positions, edges = zip(*((frame.x.copy(), frame.box[0, 0]) for frame in frames), strict=True)
    steps = np.diff(positions, axis=0)
    steps -= edges[0] * np.round(steps / edges[0])
    path = np.concatenate([positions[:1], positions[0] + np.cumsum(steps, axis=0)])
    system = parameters.system(species)
    mass = np.array([system.getParticleMass(i).value_in_unit(openmm.unit.amu) for i in range(system.getNumParticles())])
    return np.einsum("fmai,a->fmi", path.reshape(len(path), -1, len(mass), 3), mass / mass.sum())


def deviators(pressures: np.ndarray) -> np.ndarray:
    """Five independent components of the pressure without its trace, alike in an isotropic liquid.

    Args:
        pressures: xx, xy, xz, yy, yz, zz in columns.

    Twice the sum of their squares is the sum over all nine of the traceless tensor (Daivis and Evans,
    doi:10.1063/1.466970).
    """
    xx, xy, xz, yy, yz, zz = pressures.T
    return np.column_stack([xy, xz, yz, (xx - yy) / 2, (2 * zz - xx - yy) / np.sqrt(12)])


def load(run: Transport, work: Path) -> tuple[np.ndarray, np.ndarray, float] | None:
    """Centres of mass (nm), pressures (bar) and box edge (nm) of a stored run of this fingerprint."""
    path = run.place(work) / f"{run.name}.npz"
    if path.exists():
        with np.load(path, allow_pickle=False) as data:
            if str(data["fingerprint"]) == run.fingerprint:
                return data["centres_nm"], data["stress_bar"], float(data["edge_nm"])
    return None


def measure(run: Transport, work: Path) -> Found | None:
    """Self-diffusion and viscosity of a stored run; None if there is none or it is too short."""
    stored = load(run, work)
    if stored is None or len(stored[0]) * FRAME_PS < 1.5 * PARTS * LAGS_PS[1]:
        return None
    centres, stress, edge_nm = stored
    raw = over_parts(centres, lambda part: 1e3 * slope(part, FRAME_PS, LAGS_PS) / 6)  # nm²/ps is 1e-6 m²/s
    thermal_J = BOLTZMANN_J_K * run.temperature_K
    # V / kT, nm³ and bar² ps to Pa s, then to mPa s
    factor = edge_nm**3 * 1e-27 * 1e10 * 1e-12 / thermal_J * 1e3
    viscosity = over_parts(stress, lambda part: factor * green_kubo(part, STRESS_PS, MEMORY_PS))
    return Found(raw, unbounded(raw, viscosity, edge_nm, run.temperature_K), viscosity, len(centres) * FRAME_PS)


def over_parts(series: np.ndarray, quantity: Callable[[np.ndarray], float]) -> Estimate:
    """Mean and standard error of what successive parts of a series say."""
    size = len(series) // PARTS
    values = [quantity(series[i * size : (i + 1) * size]) for i in range(PARTS)]
    return Estimate(float(np.mean(values)), float(np.std(values, ddof=1) / np.sqrt(PARTS)), PARTS, PARTS - 1, "parts")


def slope(paths: np.ndarray, frame_ps: float, lags_ps: tuple[float, float]) -> float:
    """Of the line of least squares through the mean squared displacement between two lags, both included.

    Args:
        paths: unwrapped, shape (frames, particles, 3); all origins of time and all particles are averaged over.

    Returns:
        d<|r(t) - r(0)|²>/dt, length²/ps: six times the coefficient of diffusion.
    """
    lags = np.arange(round(lags_ps[0] / frame_ps), round(lags_ps[1] / frame_ps) + 1)
    squares = [np.mean(np.sum((paths[k:] - paths[:-k]).astype(float) ** 2, axis=-1)) for k in lags]
    return float(np.polyfit(lags * frame_ps, squares, 1)[0])


def green_kubo(series: np.ndarray, sample_ps: float, memory_ps: tuple[float, float]) -> float:
    """Mean over an interval of t of the running integral ∫₀ᵗ <x(0) x(t')> dt', by the trapezoidal rule.

    Args:
        series: shape (samples, components) of mean zero, which is not taken off; components are averaged over.
    """
    first, last = (round(t / sample_ps) for t in memory_ps)
    series = np.asarray(series, float)
    memory = [np.mean(series[: len(series) - k] * series[k:]) for k in range(last + 1)]
    return float(np.mean(cumulative_trapezoid(memory, dx=sample_ps, initial=0.0)[first:]))


def unbounded(diffusion: Estimate, viscosity: Estimate, edge_nm: float, temperature_K: float) -> Estimate:
    """Self-diffusion in an infinite box: D + ξ k T / (6 π η L) (Yeh and Hummer, doi:10.1021/jp0477147)."""
    shift = YEH_HUMMER * BOLTZMANN_J_K * temperature_K / (6 * np.pi * viscosity.value * 1e-3 * edge_nm * 1e-9) * 1e9
    error = float(np.hypot(diffusion.error, shift * viscosity.error / viscosity.value))
    return replace(diffusion, value=diffusion.value + shift, error=error)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = {"choices": liquids.LIQUIDS, "default": REFERRED, "metavar": "LIQUID"}
    parser.add_argument("--only", nargs="+", **names, help="of these liquids")
    parser.add_argument("--set", choices=SETS, default=SETS[0], help="parameter set")
    parser.add_argument("--ps", type=float, default=NVT_PS, help=f"production, default {NVT_PS:g}")
    parser.add_argument("--natural", action="store_true", help="2 fs with hydrogens of their own mass")
    parser.add_argument("--full", action="store_true", help=f"{FULL_ATOMS} atoms")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after about this long")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the runs")
    args = parser.parse_args()
    deadline = time.monotonic() + 60 * args.minutes
    step = NATURAL if args.natural else ()
    for species in args.only:
        run = Transport(species, *step, atoms=FULL_ATOMS if args.full else liquids.ATOMS, set_name=args.set)
        if not simulate(run, args.work, args.ps, deadline):
            raise SystemExit(f"{run.name} is not complete; call again to go on.")
        print(run.name, measure(run, args.work), flush=True)


if __name__ == "__main__":
    main()
