"""OpenMM's loop, as the simulate stage runs it, against GROMACS: same topology, same state, same cores, in turn.

    python -m benchmarks.gromacs [--formulation NAME] [--threads 2] [--ps 40] [--rounds 3]

Needs `gmx`. The topology is that of `lmbmd export`, with the run's heavier hydrogens, and the potential energy of one
configuration is compared before anything is timed. Both use the same constraints, masses, time step, cut-offs,
switching, PME width and grid, Langevin friction, and couple to the same pressure; GROMACS interpolates PME with order
4 (its default, OpenMM's is 5).
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import statistics
import tempfile
from pathlib import Path

import numpy as np
import openmm

from benchmarks import throughput
from lmbmd.box.formats.gromacs import topology
from lmbmd.box.read import Box, read_box
from lmbmd.simulate import checkpoint
from lmbmd.simulate.engines import mechanics
from lmbmd.simulate.engines.gromacs import MDP, gmx, pme, with_masses
from lmbmd.simulate.engines.platform import cores
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import load_spec


def main() -> None:
    parser = throughput.arguments(__doc__, threads=cores())
    options = parser.parse_args()
    if not shutil.which("gmx"):
        parser.exit(1, "gmx is not installed (Debian: gromacs)\n")
    chosen = PlatformOptions(name="CPU", threads=options.threads)
    with tempfile.TemporaryDirectory(prefix="lmbmd-gromacs-") as text:
        folder = Path(text)
        run = throughput.prepared_run(folder, options, chosen)
        box = read_box(folder)
        run.go_on(options.ps)
        write_inputs(folder, box)
        ours, theirs = openmm_energy(folder), energy_of(folder, options)
        print(f"{run.n_atoms} atoms, {options.threads} threads; potential energy of one configuration, kJ/mol:")
        print(f"OpenMM {ours:.2f}, GROMACS {theirs:.2f}")
        rounds = []
        for _ in range(options.rounds):
            openmm_s = throughput.bare(folder, chosen, options.ps)
            rounds.append((options.ps / 1000 / openmm_s * 86400, speed_of(folder, options)))
            print("OpenMM {:8.2f} ns/day   GROMACS {:8.2f} ns/day".format(*rounds[-1]), flush=True)
    # Whatever else the machine does can only slow a round down, so the quickest of each is the fairest pair.
    best, middle = max(a for a, _ in rounds) / max(b for _, b in rounds), statistics.median(a / b for a, b in rounds)
    print(f"OpenMM's CPU platform: {best:.2f} times GROMACS (quickest rounds; median of pairs {middle:.2f})")


# ---- inputs


def write_inputs(folder: Path, box: Box) -> None:
    """``topol.top`` with the run's masses, and ``conf.gro`` of its last checkpoint."""
    spec = load_spec(folder / "spec.json")
    flexible = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text(encoding="utf-8"))
    masses = mechanics.masses_amu(mechanics.prepare(flexible, spec, 1)).tolist()
    atoms = box.atoms
    (folder / "topol.top").write_text(topology(with_masses(box, masses)), encoding="utf-8")
    last = checkpoint.load(folder / "work" / checkpoint.CURRENT)
    lines = ["box", str(len(atoms))]
    for i, (x, v) in enumerate(zip(last.positions_nm, last.velocities_nm_ps, strict=True)):
        label = f"{(atoms.molecule[i] + 1) % 100000:5d}{'MOL':<5}{'A':>5}{(i + 1) % 100000:5d}"
        lines.append(label + "".join(f"{a:14.9f}" for a in x) + "".join(f"{a:14.10f}" for a in v))
    lines.append(" ".join(f"{a:.9f}" for a in np.diag(last.box_nm)))
    (folder / "conf.gro").write_text("\n".join([*lines, ""]), encoding="utf-8")


# ---- running


def energy_of(folder: Path, options: argparse.Namespace) -> float:
    """Potential energy that GROMACS gives ``conf.gro``, kJ/mol."""
    log = gromacs(folder, options, steps=0)
    block = log[log.index("Energies (kJ/mol)") :].split("\n\n")[0].splitlines()[1:]
    for names, values in zip(block[::2], block[1::2], strict=False):
        if "Potential" in names:
            at = names.index("Potential") // 15 * 15  # columns of 15 characters, aligned to the right
            return float(values[at : at + 15])
    raise ValueError("no potential energy in GROMACS's log")


def openmm_energy(folder: Path) -> float:
    """Potential energy that OpenMM's CPU platform gives the same configuration, kJ/mol."""
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text(encoding="utf-8"))
    last = checkpoint.load(folder / "work" / checkpoint.CURRENT)
    # Bonds to hydrogens have no energy in GROMACS, where they are rigid.
    spec = load_spec(folder / "spec.json")
    system = mechanics.prepare(system, spec, 1)
    platform = openmm.Platform.getPlatformByName("CPU")
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), platform)
    context.setPeriodicBoxVectors(*last.box_nm)
    context.setPositions(last.positions_nm)
    return context.getState(energy=True).getPotentialEnergy()._value


def speed_of(folder: Path, options: argparse.Namespace) -> float:
    """ns/day that GROMACS reports for a round."""
    spec = load_spec(folder / "spec.json")
    log = gromacs(folder, options, steps=spec.steps_in_ns(options.ps / 1000))
    return float(re.findall(r"^Performance: +([\d.]+)", log, flags=re.MULTILINE)[0])


def gromacs(folder: Path, options: argparse.Namespace, steps: int) -> str:
    """Run GROMACS for so many steps; returns its log."""
    spec = load_spec(folder / "spec.json")
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text(encoding="utf-8"))
    nonbonded = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))
    cutoff_nm = nonbonded.getCutoffDistance()._value
    edge_nm = system.getDefaultPeriodicBoxVectors()[0][0]._value
    width_per_nm, grid = pme(nonbonded.getEwaldErrorTolerance(), cutoff_nm, edge_nm)
    values = {
        "step_ps": spec.timestep_fs / 1000,
        "steps": steps,
        "cutoff_nm": cutoff_nm,
        "grid": grid,
        "switch_nm": nonbonded.getSwitchingDistance()._value,
        "ewald": math.erfc(width_per_nm * cutoff_nm),
        "constraints": "h-bonds" if spec.constraints == "h-bonds" else "none",
        "tau_ps": 1 / spec.friction_per_ps,
        "temperature_K": spec.temperature_K,
        "pressure_bar": spec.pressure_bar,
        "every": max(1, spec.frame_steps),
        "barostat": "C-rescale" if steps else "no",
        "barostat_ps": 2,
        "go_on": "yes",
    }
    (folder / "run.mdp").write_text(MDP.format(**values), encoding="utf-8")
    threads = str(options.threads)
    for command in (
        ["grompp", "-f", "run.mdp", "-p", "topol.top", "-c", "conf.gro", "-o", "run.tpr", "-maxwarn", "5"],
        ["mdrun", "-s", "run.tpr", "-deffnm", "run", "-ntmpi", "1", "-ntomp", threads, "-nb", "cpu", "-notunepme"],
    ):
        gmx(folder, command)
    return (folder / "run.log").read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
