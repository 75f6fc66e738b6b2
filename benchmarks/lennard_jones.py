"""The Lennard-Jones liquid at its triple point, in GROMACS: viscosity and self-diffusion beside published ones.

    python -m benchmarks.lennard_jones                 a run of a few minutes on one core
    python -m benchmarks.lennard_jones --ps 20000      longer, for smaller errors
    python -m benchmarks.lennard_jones --minutes 5     stop after about five minutes; call again to go on

Needs `gmx`. No parameter set is judged here, but how motion is measured: the liquid's numbers are known from long runs
of others, and what a study's segments are measured with is to find them.

In units of σ, ε and the atom's mass, T = 0.722 and ρ = 0.8442 (the pair that the literature calls the triple point);
written as argon, since GROMACS wants nm and ps. Pairs are cut at 4 σ, or at what the box allows.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmbmd.core.provenance import canonical_json, sha256_of
from lmbmd.core.units import GAS_CONSTANT_KJ_MOL_K
from lmbmd.numbers.estimate import Estimate, scaled
from lmbmd.simulate.engines import gromacs
from lmbmd.validation.liquids import unfinished
from lmbmd.validation.plan import WORK
from lmbmd.validation.transport import Measured, followed, stresses, told

SIGMA_NM, EPSILON_K, MASS_AMU = 0.34, 120.0, 39.948
#: In units of the liquid.
TEMPERATURE, DENSITY, CUTOFF = 0.722, 0.8442, 4.0
MELTING, MELT_PS, SETTLE_PS = 2.0, 20.0, 100.0
STEP_PS, FRAME_PS, STRESS_PS = 0.01, 1.0, 0.02
LENGTH_PS = 4000.0

EPSILON_KJ_MOL = EPSILON_K * GAS_CONSTANT_KJ_MOL_K
#: Units of the liquid, from amu, nm and ps; amu/(nm ps) is 1.66053906660e-3 mPa s, nm²/ps is 1e-6 m²/s.
TIME_PS = SIGMA_NM * math.sqrt(MASS_AMU / EPSILON_KJ_MOL)
VISCOSITY_MPA_S = MASS_AMU / (SIGMA_NM * TIME_PS) * 1.66053906660e-3
DIFFUSION_M2_S = SIGMA_NM**2 / TIME_PS * 1e-6

#: Of the liquid, in its units: whose, and for how many atoms.
PUBLISHED = {
    "viscosity": (
        "3.24 ± 0.04 (Ferrario, Ciccotti, Holian, Ryckaert, doi:10.1103/PhysRevA.44.6936; 2,048 atoms, T = 0.725)",
        "3.258 (Meier, Laesecke, Kabelac, doi:10.1063/1.1770695)",
    ),
    "self-diffusion in the box": ("0.0325 (Meier, Laesecke, Kabelac, doi:10.1063/1.1786579; 1,372 atoms)",),
}


@dataclass(frozen=True)
class Liquid:
    """A cube of four times ``cells``³ atoms."""

    cells: int = 7

    @property
    def name(self) -> str:
        return f"lennard-jones-{self.atoms}"

    @property
    def atoms(self) -> int:
        return 4 * self.cells**3

    @property
    def edge_nm(self) -> float:
        return SIGMA_NM * (self.atoms / DENSITY) ** (1 / 3)

    @property
    def cutoff_nm(self) -> float:
        # The pair list of GROMACS is a little longer than the cut-off, and must fit into half the box.
        return min(CUTOFF * SIGMA_NM, 0.4 * self.edge_nm)

    @property
    def fingerprint(self) -> str:
        facts = [self.cells, SIGMA_NM, EPSILON_K, MASS_AMU, TEMPERATURE, DENSITY, CUTOFF, MELTING, MELT_PS]
        return sha256_of(canonical_json([*facts, SETTLE_PS, STEP_PS, FRAME_PS, STRESS_PS]).encode())


def simulate(liquid: Liquid, work: Path, ps: float, deadline: float) -> Measured | None:
    """Run, or go on with, the liquid at constant volume, and measure it; None if it is not complete in time."""
    folder = work / liquid.name
    with gromacs.owned(folder, liquid.fingerprint):
        return _simulated(liquid, folder, ps, deadline)


def _simulated(liquid: Liquid, folder: Path, ps: float, deadline: float) -> Measured | None:
    if not (folder / "run.tpr").is_file():
        (folder / "topol.top").write_text(_topology(liquid), encoding="utf-8")
        (folder / "conf.gro").write_text(_crystal(liquid), encoding="utf-8")
        for name, start, temperature, length_ps in (
            ("melt", "conf.gro", MELTING, MELT_PS),
            ("run", "melt.gro", TEMPERATURE, SETTLE_PS),
        ):
            (folder / f"{name}.mdp").write_text(_settings(liquid, temperature, length_ps), encoding="utf-8")
            gromacs.grompp(folder, name, start)
            if name == "melt":
                gromacs.gmx(folder, gromacs.mdrun(name))
    total_ps = SETTLE_PS + ps
    if not (folder / "run.cpt").is_file() or _ran_ps(folder) < total_ps - 1e-6:
        gromacs.go_on(folder, total_ps, deadline - time.monotonic())
    if _ran_ps(folder) < total_ps - 1e-6:
        return None
    places = followed(folder / "run.xtc")[round(SETTLE_PS / FRAME_PS) + 1 :]
    pressure = stresses(folder)[round(SETTLE_PS / STRESS_PS) + 1 :]
    return told(places, FRAME_PS, pressure, STRESS_PS, liquid.edge_nm, TEMPERATURE * EPSILON_K)


def _ran_ps(folder: Path) -> float:
    return float(gromacs.table(folder, ["energy", "-f", "run.edr"], "Pressure\n")[-1, 0])


def _topology(liquid: Liquid) -> str:
    return f"""[ defaults ]
1 2 no 1 1
[ atomtypes ]
Ar 18 {MASS_AMU} 0 A {SIGMA_NM} {EPSILON_KJ_MOL:.10g}
[ moleculetype ]
Ar 1
[ atoms ]
1 Ar 1 Ar Ar 1 0
[ system ]
Lennard-Jones liquid
[ molecules ]
Ar {liquid.atoms}
"""


def _crystal(liquid: Liquid) -> str:
    """A face-centred cubic lattice, which melts."""
    corners = np.stack(np.meshgrid(*[np.arange(liquid.cells)] * 3, indexing="ij"), -1).reshape(-1, 1, 3)
    cell = np.array([[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]])
    places = (corners + cell).reshape(-1, 3) * liquid.edge_nm / liquid.cells
    lines = [
        f"{i % 100000:5d}Ar      Ar{i % 100000:5d}{x:8.3f}{y:8.3f}{z:8.3f}" for i, (x, y, z) in enumerate(places, 1)
    ]
    return "\n".join(["fcc", str(liquid.atoms), *lines, " ".join([f"{liquid.edge_nm:.8f}"] * 3)]) + "\n"


def _settings(liquid: Liquid, temperature: float, length_ps: float) -> str:
    frames, rows = round(FRAME_PS / STEP_PS), round(STRESS_PS / STEP_PS)
    settings = {
        "integrator": "md",
        "dt": STEP_PS,
        "nsteps": round(length_ps / STEP_PS),
        "cutoff-scheme": "Verlet",
        "coulombtype": "Cut-off",
        "rcoulomb": liquid.cutoff_nm,
        "rvdw": liquid.cutoff_nm,
        "verlet-buffer-tolerance": gromacs.DRIFT_KJ_MOL_PS,
        "tcoupl": "v-rescale",
        "tc-grps": "System",
        "tau-t": 1.0,
        "ref-t": temperature * EPSILON_K,
        "gen-vel": "yes",
        "gen-temp": temperature * EPSILON_K,
        "gen-seed": 1,
        "ld-seed": 1,
        "nstcalcenergy": rows,
        "nstenergy": rows,
        "nstlog": 100 * frames,
        "nstxout-compressed": frames,
    }
    return "".join(f"{key} = {value}\n" for key, value in settings.items())


def reduced(found: Measured) -> dict[str, Estimate]:
    """Numbers in the units of the liquid."""
    return {
        "viscosity": scaled(found.viscosity.estimate, 1 / VISCOSITY_MPA_S),
        "self-diffusion in the box": scaled(found.diffusion.estimate, 1 / DIFFUSION_M2_S),
        "self-diffusion": scaled(found.diffusion_unbounded.estimate, 1 / DIFFUSION_M2_S),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ps", type=float, default=LENGTH_PS, help=f"default {LENGTH_PS:g}")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="stop after about this long")
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the runs")
    args = parser.parse_args()
    liquid = Liquid()
    found = simulate(liquid, args.work, args.ps, time.monotonic() + 60 * args.minutes)
    if found is None:
        raise unfinished(liquid.name)
    print(f"{liquid.atoms} atoms, {args.ps / TIME_PS:.0f} units of time")
    for name, number in reduced(found).items():
        print(f"{name}: {number.value:.4g} ± {number.error:.2g}; published: {'; '.join(PUBLISHED.get(name, ['none']))}")


if __name__ == "__main__":
    main()
