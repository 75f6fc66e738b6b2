"""Every shipped species and both demo boxes have the same energies and forces on every platform that OpenMM has here.

Against Reference, which computes in double precision throughout. The others differ from it by rounding only, and how
much that may be follows from the numbers: single-precision positions are off by up to half the spacing of floats
there, bond lengths stored in single precision by half the spacing at a bond length, and a bond of stiffness k turns
that into a force. PME's grid is given, because each platform would choose its own and differ by PME's error instead.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import openmm
import pytest
from toy import mixed_by

from lmbmd.box.system import build_system
from lmbmd.core.units import ANGSTROM_PER_NM
from lmbmd.data.library import load_library
from lmbmd.forcefield.mixing import GEOMETRIC
from lmbmd.forcefield.parameters import load_set
from lmbmd.forcefield.sets import available_sets
from lmbmd.simulate.engines.platform import create_context
from lmbmd.simulate.options import PLATFORMS, PlatformOptions
from lmbmd.study.forecast.speed import liquid
from lmbmd.study.study import load_study

pytestmark = pytest.mark.slow

#: The newest version of each set: the older ones, which never change, were held here when they were new.
SETS = list({name.rpartition("-")[0]: name for name in available_sets()}.values())
STUDY = load_study(Path(__file__).parents[2] / "config" / "config.yaml")
#: Distance between neighbouring molecules on a grid, nm; thermal shaking of their atoms, nm.
APART_NM, SHAKEN_NM = 1.5, 0.003
#: Longest bond, nm (I–C is 0.21).
BOND_NM = 0.25
#: Stiffness of an ion among its partners, kJ/mol/nm²: Lennard-Jones at 2 Å gives some 1e5 each.
CONTACTS_KJ_MOL_NM2 = 5e5
#: A thousandth of kT at room temperature for rounding in double precision, a two-hundredth in single, kJ/mol.
ENERGY_KJ_MOL = {"double": 0.0025, "mixed": 0.0125}
#: PME's width in 1/nm and its grid spacing in nm.
PME_PER_NM, GRID_NM = 2.92, 0.12

here = {openmm.Platform.getPlatform(i).getName() for i in range(openmm.Platform.getNumPlatforms())}
PLATFORM = [
    pytest.param(
        name,
        precision,
        id=f"{name}-{precision}",
        marks=[
            pytest.mark.skipif(name not in here, reason=f"OpenMM has no {name} platform here"),
            *([pytest.mark.gpu] if name == "CUDA" else []),
        ],
    )
    for name in PLATFORMS
    for precision in {"Reference": (), "CPU": ("mixed",)}.get(name, ("mixed", "double"))
]


@dataclass(frozen=True, eq=False)
class Sample:
    """A System, a configuration (n, 3) in nm, and the atoms of each species in it."""

    system: openmm.System
    positions_nm: np.ndarray
    atoms_of: dict[str, np.ndarray]


def sampled(name: str, precision: str, sample: Sample, configurations) -> list[tuple[float, np.ndarray]]:
    """Energy (kJ/mol) and forces (n, 3) in kJ/mol/nm of configurations of one System, in one Context."""
    context, _, _ = create_context(
        sample.system, lambda: openmm.VerletIntegrator(0.001), PlatformOptions(name=name, precision=precision)
    )
    found = []
    for positions in configurations:
        context.setPositions(positions)
        state = context.getState(energy=True, forces=True)
        found.append((state.getPotentialEnergy()._value, state.getForces(asNumpy=True)._value))
    return found


def with_given_grid(system: openmm.System) -> openmm.System:
    force = next(f for f in system.getForces() if isinstance(f, openmm.NonbondedForce))  # the one with charges
    edge_nm = system.getDefaultPeriodicBoxVectors()[0][0]._value
    n = next(n for n in (2**a * 3**b for a in range(4, 9) for b in (0, 1)) if n * GRID_NM >= edge_nm)
    force.setPMEParameters(PME_PER_NM, n, n, n)
    return system


def stiffness(system: openmm.System) -> np.ndarray:
    """How steep the energy may be around every atom (n,), kJ/mol/nm²: its bonds and its contacts."""
    total = np.full(system.getNumParticles(), CONTACTS_KJ_MOL_NM2)
    for force in system.getForces():
        if isinstance(force, openmm.HarmonicBondForce):
            for k in range(force.getNumBonds()):
                i, j, _, constant = force.getBondParameters(k)
                total[[i, j]] += constant._value
    return total


def rounding_nm(sample: Sample, name: str, precision: str) -> float:
    """How far off a length may be."""
    single = name != "CPU" and precision == "mixed"
    return float(np.spacing(np.float32(np.abs(sample.positions_nm).max() if single else BOND_NM)))


def force_tolerance(sample: Sample, name: str, precision: str) -> np.ndarray:
    """Per atom (n, 1), kJ/mol/nm: steepness × twice the rounding (angles come on top of bonds)."""
    return (2 * rounding_nm(sample, name, precision) * stiffness(sample.system))[:, None]


# ---- every species


@cache
def every_species(set_name: str) -> Sample:
    """One molecule of every species on a grid, neutralised by more of its monovalent ions."""
    parameters, species = load_set(set_name), load_library().species
    counts = dict.fromkeys(parameters.species, 1)
    charge = sum(species[name].charge for name in counts)
    if charge:
        counts[next(name for name in counts if species[name].charge == -np.sign(charge))] += abs(charge)
    side = int(np.ceil(sum(counts.values()) ** (1 / 3)))
    edge_nm = side * APART_NM
    roles = {name: species[name].roles[0] for name in counts}
    built = build_system(counts, roles, parameters, 1.0, edge_nm * ANGSTROM_PER_NM)
    molecules = [diagonal(parameters.geometry(s)) / ANGSTROM_PER_NM for s, n in counts.items() for _ in range(n)]
    places = (np.array(list(np.ndindex(side, side, side))) + 0.5) * APART_NM
    positions = [x + place for x, place in zip(molecules, places, strict=False)]
    first = [np.flatnonzero(built.atoms.species_id == built.atoms.species_index(name))[0] for name in counts]
    sizes = [len(parameters.elements(name)) for name in counts]
    atoms_of = {name: np.arange(i, i + n) for name, i, n in zip(counts, first, sizes, strict=True)}
    return Sample(with_given_grid(built.system), np.concatenate(positions), atoms_of)


def diagonal(x: np.ndarray) -> np.ndarray:
    """A molecule about its centre, its length along the diagonal of the grid, where neighbours are furthest."""
    x = x - x.mean(axis=0)
    axes = np.linalg.svd(x)[2]
    axes[2] *= np.linalg.det(axes)  # no mirror image
    frame = np.array([[1, 1, 1], [1, -1, 0], [1, 1, -2]]) / np.sqrt([[3], [2], [6]])
    return x @ axes.T @ frame


def one_shaken_at_a_time(sample: Sample) -> list[np.ndarray]:
    """The sample at rest, then with the atoms of each species in turn moved as heat would."""
    found = [sample.positions_nm]
    for k, atoms in enumerate(sample.atoms_of.values()):
        shaken = sample.positions_nm.copy()
        shaken[atoms] += SHAKEN_NM * np.random.default_rng(k).standard_normal((len(atoms), 3))
        found.append(shaken)
    return found


@cache
def of_species(set_name: str, platform: str, precision: str) -> list[tuple[float, np.ndarray]]:
    """One Context for all species: a kernel takes OpenCL seconds to compile, and a set has a hundred species."""
    sample = every_species(set_name)
    return sampled(platform, precision, sample, one_shaken_at_a_time(sample))


@pytest.mark.parametrize(("set_name", "name"), [(s, n) for s in SETS for n in load_set(s).species])
@pytest.mark.parametrize(("platform", "precision"), PLATFORM)
def test_a_species_has_the_same_energy_and_forces_everywhere(platform, precision, set_name, name):
    """The energy is what it costs to shake this molecule alone."""
    sample = every_species(set_name)
    k, atoms = 1 + list(sample.atoms_of).index(name), sample.atoms_of[name]
    (rest, at_rest), (energy, forces) = (of_species(set_name, platform, precision)[i] for i in (0, k))
    (right_rest, right_at_rest), (right, right_forces) = (
        of_species(set_name, "Reference", "double")[i] for i in (0, k)
    )
    assert energy - rest == pytest.approx(right - right_rest, abs=ENERGY_KJ_MOL[precision])
    tolerance = force_tolerance(sample, platform, precision)[atoms]
    for found, expected in ((at_rest, right_at_rest), (forces, right_forces)):
        assert (np.abs(found - expected)[atoms] / tolerance).max() < 1


# ---- the demo's boxes


#: The demo's boxes as they are, and one as if its set mixed geometrically.
BOXES = [*((name, None) for name in STUDY.names), (STUDY.names[-1], GEOMETRIC)]


@cache
def demo_box(name: str, rule: str | None) -> Sample:
    composition = STUDY.composition(name)
    parameters = load_set(composition.force_field)
    parameters = mixed_by(parameters, rule or parameters.combining_rule)
    counts = {species: n for species, n in composition.counts.items() if n}
    edge_A = composition.box_edge_A
    positions = liquid(composition, counts, parameters, edge_A)
    scale = composition.ion_charge_scale
    built = build_system(counts, composition.roles, parameters, scale, edge_A)
    atoms_of = {
        species: np.flatnonzero(built.atoms.species_id == built.atoms.species_index(species)) for species in counts
    }
    return Sample(with_given_grid(built.system), positions, atoms_of)


@cache
def of_box(name: str, rule: str | None, platform: str, precision: str) -> tuple[float, np.ndarray]:
    sample = demo_box(name, rule)
    return sampled(platform, precision, sample, [sample.positions_nm])[0]


@pytest.mark.parametrize(("name", "rule"), BOXES)
@pytest.mark.parametrize(("platform", "precision"), PLATFORM)
def test_a_demo_box_has_the_same_energy_and_forces_everywhere(platform, precision, name, rule):
    sample = demo_box(name, rule)
    right, right_forces = of_box(name, rule, "Reference", "double")
    energy, forces = of_box(name, rule, platform, precision)
    assert energy == pytest.approx(right, abs=2 * ENERGY_KJ_MOL[precision])
    tolerance = force_tolerance(sample, platform, precision)
    assert (np.abs(forces - right_forces) / tolerance).max() < 1
