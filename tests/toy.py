"""A made-up electrolyte for fast tests: an ion, a bent anion, and a four-atom chain with hydrogens, neutral or not."""

from __future__ import annotations

import json
import multiprocessing
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import openmm
import pytest

from lmbmd.box.pdb import pdb_text, read_pdb, with_positions
from lmbmd.box.system import BuiltSystem, build_system
from lmbmd.core.errors import LmbmdError
from lmbmd.simulate import runner
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import Protocol
from lmbmd.simulate.run import simulate

ROLES = {"Li": "cation", "AN": "anion", "SOL": "solvent", "CHAIN": "anion"}

#: name, element, mass (amu), charge (e), sigma (nm), epsilon (kJ/mol), site
_ATOMS = {
    "Li": [("Li", "Li", 6.94, 1.0, 0.21, 0.08, "")],
    "AN": [
        ("O1", "O", 16.0, -0.55, 0.30, 0.7, "O"),
        ("N1", "N", 14.0, 0.10, 0.32, 0.7, "N"),
        ("O2", "O", 16.0, -0.55, 0.30, 0.7, "O"),
    ],
    "SOL": [
        ("H1", "H", 1.008, 0.40, 0.11, 0.07, ""),
        ("O1", "O", 16.0, -0.60, 0.30, 0.9, "O"),
        ("C1", "C", 12.0, 0.10, 0.34, 0.4, ""),
        ("H2", "H", 1.008, 0.10, 0.24, 0.1, ""),
    ],
}
_ATOMS["CHAIN"] = [(*a[:3], q, *a[4:]) for a, q in zip(_ATOMS["SOL"], (0.1, -0.8, -0.5, 0.2), strict=True)]
_POSITIONS_A = {
    "Li": [(0, 0, 0)],
    "AN": [(-1.1, 0.5, 0), (0, 0, 0), (1.1, 0.5, 0)],
    "SOL": [(-0.6, 0.8, 0), (0, 0, 0), (1.4, 0.1, 0), (1.9, 0.8, 0.66)],
}
#: bonds (i, j, nm, kJ/mol/nm²), angles (i, j, k, rad, kJ/mol/rad²), torsions (i, j, k, l, n, phase, kJ/mol)
_BONDS = {
    "Li": [],
    "AN": [(0, 1, 0.12, 2e5), (1, 2, 0.12, 2e5)],
    "SOL": [(0, 1, 0.1, 4e5), (1, 2, 0.14, 2.5e5), (2, 3, 0.11, 3e5)],
}
_ANGLES = {"Li": [], "AN": [(0, 1, 2, 2.2, 500.0)], "SOL": [(0, 1, 2, 1.9, 400.0), (1, 2, 3, 1.9, 400.0)]}
_TORSIONS = {"Li": [], "AN": [], "SOL": [(0, 1, 2, 3, 3, 0.0, 1.5)]}
for _table in (_POSITIONS_A, _BONDS, _ANGLES, _TORSIONS):
    _table["CHAIN"] = _table["SOL"]


@dataclass
class ToySet:
    """Answers like a parameter set of ``lmbmd.forcefield``."""

    name: str = "toy"
    version: str = "1.0.0"
    species: tuple[str, ...] = field(default=tuple(ROLES))
    cut_off_A: float = 10.0
    switch_from_A: float = 9.0
    combining_rule: str = "Lorentz-Berthelot"

    @property
    def manifest(self) -> dict[str, Any]:
        return {"species": {name: {"files": {}} for name in self.species}}

    def system(self, species: str) -> openmm.System:
        system = openmm.System()
        nonbonded, bonds = openmm.NonbondedForce(), openmm.HarmonicBondForce()
        angles, torsions = openmm.HarmonicAngleForce(), openmm.PeriodicTorsionForce()
        for _, _, mass, charge, sigma, epsilon, _ in _ATOMS[species]:
            system.addParticle(mass)
            nonbonded.addParticle(charge, sigma, epsilon)
        for bond in _BONDS[species]:
            bonds.addBond(*bond)
        for angle in _ANGLES[species]:
            angles.addAngle(*angle)
        for torsion in _TORSIONS[species]:
            torsions.addTorsion(*torsion)
        nonbonded.createExceptionsFromBonds([(i, j) for i, j, *_ in _BONDS[species]], 5 / 6, 0.5)
        for force in (bonds, angles, torsions, nonbonded):
            system.addForce(force)
        return system

    def geometry(self, species: str) -> np.ndarray:
        return np.array(_POSITIONS_A[species], dtype=float)

    def names(self, species: str) -> list[str]:
        return [atom[0] for atom in _ATOMS[species]]

    def elements(self, species: str) -> list[str]:
        return [atom[1] for atom in _ATOMS[species]]

    def site_of_atom(self, species: str) -> list[str]:
        return [atom[6] for atom in _ATOMS[species]]

    def bonds(self, species: str) -> np.ndarray:
        return np.array([(i, j) for i, j, *_ in _BONDS[species]], dtype=int).reshape(-1, 2)


def toy_box(
    counts: dict[str, int], edge_A: float, *, scale: float = 1.0, cutoff_nm: float = 1.0, **of_set: Any
) -> BuiltSystem:
    """A System of toy molecules; where they are is up to the caller."""
    parameters = ToySet(cut_off_A=10 * cutoff_nm, switch_from_A=9 * cutoff_nm, **of_set)
    return build_system(counts, ROLES, parameters, scale, edge_A)


def mixed_by(parameters: Any, rule: str) -> Any:
    """A released set whose manifest says another combining rule."""
    nonbonded = {**parameters.manifest["nonbonded"], "combining_rule": rule}
    return replace(parameters, manifest={**parameters.manifest, "nonbonded": nonbonded})


def toy_positions(counts: dict[str, int], edge_A: float, seed: int = 0) -> np.ndarray:
    """Molecules on a cubic lattice in random order, unrotated: no overlap where the lattice is wide enough. Å."""
    total = sum(counts.values())
    side = int(np.ceil(total ** (1 / 3) - 1e-9))
    cells = np.random.default_rng(seed).permutation(side**3)[:total]
    points = np.stack(np.unravel_index(cells, (side,) * 3), axis=1) * edge_A / side
    species = [name for name, n in counts.items() for _ in range(n)]
    return np.concatenate([np.array(_POSITIONS_A[s], float) + p for s, p in zip(species, points, strict=True)])


#: A run small enough for seconds: 256 atoms, a cut-off of 0.5 nm, which the box stays well above twice of.
SMALL = {"Li": 4, "AN": 4, "SOL": 60}


def write_run(
    folder: Path,
    *,
    counts: dict[str, int] | None = None,
    edge_A: float = 19.0,
    combining_rule: str = "Lorentz-Berthelot",
    **protocol: Any,
) -> Path:
    """``spec.json``, ``system.xml`` and ``start.pdb`` of a small run in ``folder``, which is returned."""
    counts = counts or SMALL
    folder.mkdir(parents=True, exist_ok=True)
    built = toy_box(counts, edge_A, cutoff_nm=0.5, combining_rule=combining_rule)
    positions = toy_positions(counts, edge_A)
    (folder / "system.xml").write_text(openmm.XmlSerializer.serialize(built.system), encoding="utf-8")
    (folder / "start.pdb").write_text(
        pdb_text(built.atoms, positions, np.diag([edge_A] * 3), built.bonds), encoding="utf-8"
    )
    built.atoms.write(folder / "atoms.parquet")
    write_spec(folder, **protocol)
    return folder


#: Of a small segment: the pressure tensor at each second row of the state log.
NOSE_HOOVER = {"ensemble": "NVT", "thermostat": "nose-hoover", "coupling_ps": 0.2, "pressure_interval_ps": 0.04}
#: The same at constant energy.
FREE = {**NOSE_HOOVER, "ensemble": "NVE", "thermostat": None, "coupling_ps": None}


def write_spec(
    folder: Path,
    *,
    temperature_K: float = 300.0,
    pressure_bar: float = 100.0,
    dynamics: dict[str, Any] | None = None,
    **protocol: Any,
) -> None:
    """The ``spec.json`` of a small run: 1 ps of equilibration, 2 ps of production, a frame each 0.1 ps.

    A folder that has that of a segment keeps its ``dynamics``.
    """
    path = folder / "spec.json"
    if dynamics is None and path.exists():
        dynamics = json.loads(path.read_text(encoding="utf-8")).get("dynamics")
    spec = {
        "temperature_K": temperature_K,
        "pressure_bar": pressure_bar,
        "seeds": {"velocities": 1, "thermostat": 2, "barostat": 3},
        "protocol": {
            **Protocol().model_dump(),
            "timestep_fs": 2.0,
            "production_ns": 0.002,
            "frame_interval_ps": 0.1,
            "state_interval_ps": 0.02,
            "equilibration_ns": 0.001,
            "max_equilibration_ns": 0.001,
            **protocol,
        },
        **({"dynamics": dynamics} if dynamics else {}),
    }
    path.write_text(json.dumps(spec), encoding="utf-8")


#: Still smaller: 88 atoms. Its liquid would be narrower than two cut-offs, so it stays a compressed vapour.
TINY = {"Li": 2, "AN": 2, "SOL": 20}


def relaxed_run(folder: Path, *, counts: dict[str, int] = TINY, edge_A: float = 13.5, **protocol: Any) -> Path:
    """As ``write_run``, from a start that is minimised already."""
    write_run(folder, counts=counts, edge_A=edge_A, **protocol)
    system = openmm.XmlSerializer.deserialize((folder / "system.xml").read_text(encoding="utf-8"))
    text = (folder / "start.pdb").read_text(encoding="utf-8")
    positions, box = read_pdb(text, where="start.pdb")
    context = openmm.Context(
        system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("CPU"), {"Threads": "1"}
    )
    context.setPositions(positions / 10)
    openmm.LocalEnergyMinimizer.minimize(context, maxIterations=500)
    relaxed = context.getState(positions=True).getPositions(asNumpy=True)._value * 10
    (folder / "start.pdb").write_text(with_positions(text, relaxed, box), encoding="utf-8")
    return folder


def simulate_here(
    folder: Path,
    *,
    platform: str = "CPU",
    checkpoint_interval_s: float | None = None,
    soft_steps: tuple[tuple[int, int], ...] = ((500, 20), (1000, 20)),
    **options: Any,
) -> None:
    """``simulate`` on the files of ``folder``, with a short softening and a checkpoint whenever it is due."""
    paths = (folder / name for name in ("spec.json", "system.xml", "start.pdb", "work", "out"))
    engine = folder / "engine"
    options = {"threads": 1, **({"engine": engine.read_text("utf-8")} if engine.exists() else {}), **options}
    if checkpoint_interval_s is None:  # mdrun is begun anew at each
        checkpoint_interval_s = 1.0 if options.get("engine") == "gromacs" else 0.1
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"SOFT_STEPS": soft_steps, "CHECKPOINT_SHARE": 1.0, "ATTEND_S": 0.02}.items():
            patch.setattr(runner, name, value)
        simulate(
            *paths,
            platform=PlatformOptions(name=platform, checkpoint_interval_s=checkpoint_interval_s, **options),
            quiet=True,
        )


def _child(folder: Path, options: dict[str, Any]) -> None:
    """What a separate process does: exit code 0, or that of the error, which is left in ``error.txt``."""
    try:
        simulate_here(folder, **options)
    except LmbmdError as error:
        (folder / "error.txt").write_text(str(error), encoding="utf-8")
        sys.exit(error.exit_code)


#: Children are forked from a server that has imported everything and started nothing: fast and clean.
_server = multiprocessing.get_context("forkserver")
_server.set_forkserver_preload(["lmbmd.simulate.run"])


def simulate_elsewhere(folder: Path, **options: Any) -> Any:
    """``simulate_here`` in a process of its own, already started."""
    return child_process(_child, folder, options)


def child_process(target: Callable[..., None], *args: Any) -> Any:
    """A process of its own, already started, that calls a function of a module."""
    process = _server.Process(target=target, args=args)
    process.start()
    return process


#: A specification with everything in it.
SPEC = {
    "temperature_K": 298.15,
    "pressure_bar": 1.0,
    "seeds": {"velocities": 1, "thermostat": 2, "barostat": 3},
    "protocol": {
        "timestep_fs": 4.0,
        "hydrogen_mass_amu": 3.0,
        "constraints": "h-bonds",
        "friction_per_ps": 1.0,
        "barostat_interval": 25,
        "anneal": {"temperature_K": 400, "heat_ns": 0.1, "hold_ns": 0.5, "cool_ns": 0.5},
        "equilibration_ns": 1.0,
        "max_equilibration_ns": 5.0,
        "production_ns": 10.0,
        "frame_interval_ps": 2.0,
        "state_interval_ps": 1.0,
    },
}
