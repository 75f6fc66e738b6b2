"""The ``openmm.System`` of a box, made of the one-molecule Systems of a parameter set, and its atom table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import openmm
from openmm import unit

from lmbmd.core.errors import LmbmdError
from lmbmd.core.units import ANGSTROM_PER_NM
from lmbmd.data.atoms import AtomTable, Role, SpeciesInfo
from lmbmd.data.bonds import parents
from lmbmd.forcefield.mixing import GEOMETRIC, mix_geometrically

#: Relative error of PME's forces.
EWALD_TOLERANCE = 5e-4
#: The net charge that rounding may leave, e.
NEUTRAL_E = 1e-6


class ParameterSet(Protocol):
    """What build needs of a parameter set (``lmbmd.forcefield.parameters``); lengths in Å."""

    @property
    def cut_off_A(self) -> float: ...
    @property
    def switch_from_A(self) -> float: ...
    @property
    def combining_rule(self) -> str: ...
    def system(self, species: str) -> openmm.System: ...
    def geometry(self, species: str) -> np.ndarray: ...
    def names(self, species: str) -> list[str]: ...
    def elements(self, species: str) -> list[str]: ...
    def bonds(self, species: str) -> np.ndarray: ...
    def site_of_atom(self, species: str) -> list[str]: ...


@dataclass(frozen=True, eq=False)
class BuiltSystem:
    """A System, who its atoms are, and their bonds (m, 2)."""

    system: openmm.System
    atoms: AtomTable
    bonds: np.ndarray


@dataclass(frozen=True)
class _Molecule:
    """One molecule's terms as plain numbers in OpenMM's units (nm, kJ/mol, e, amu)."""

    name: str
    charge: int
    masses: list[float]
    nonbonded: list[tuple[float, float, float]]
    exceptions: list[tuple[int, int, float, float, float]]
    bonds: list[tuple]
    angles: list[tuple]
    torsions: list[tuple]


def build_system(
    counts: Mapping[str, int],
    roles: Mapping[str, Role],
    parameters: ParameterSet,
    ion_charge_scale: float,
    edge_A: float,
) -> BuiltSystem:
    """Replicate one-molecule Systems into a periodic cube.

    The System is flexible and complete: harmonic bonds and angles, periodic torsions, and one ``NonbondedForce`` with
    PME, each molecule's exclusions and 1–4 exceptions, a switched Lennard-Jones cut-off and its long-range correction.
    It mixes by Lorentz–Berthelot; for a set with geometric mixing a second one holds the dispersion
    (``forcefield.mixing``). Constraints, mass repartitioning and the barostat belong to the simulation.

    The charges of every species with a formal charge are multiplied by ``ion_charge_scale`` s, and the charge
    products of its exceptions by s² (Leontyev and Stuchebrukhov, doi:10.1039/c0cp01971b).

    Args:
        counts: molecules per species, in the order of the box.
        roles: role of each species in this bottle.
        parameters: the set; its cut-off is that of Lennard-Jones and of PME's direct space.
        edge_A: box edge.

    Raises:
        LmbmdError: if the box is not neutral, is too small for the cut-off, or a set uses a force that is not native.
    """
    molecules = [_read_molecule(name, parameters, ion_charge_scale) for name in counts]
    _check_box(edge_A, 2 * parameters.cut_off_A, counts, parameters)
    system = openmm.System()
    edge = edge_A / ANGSTROM_PER_NM
    system.setDefaultPeriodicBoxVectors((edge, 0, 0), (0, edge, 0), (0, 0, edge))
    forces = _empty_forces(parameters)
    for force in forces:
        system.addForce(force)
    bonds, start = [], 0
    for molecule, count in zip(molecules, counts.values(), strict=True):
        size = len(molecule.masses)
        offsets = start + size * np.arange(count)
        for offset in offsets.tolist():
            _add_molecule(system, *forces, molecule, offset)
        pairs = np.asarray(parameters.bonds(molecule.name), dtype=np.int64).reshape(-1, 2)
        bonds.append((offsets[:, None, None] + pairs[None]).reshape(-1, 2))
        start += count * size
    if parameters.combining_rule == GEOMETRIC:
        system.addForce(mix_geometrically(forces[-1]))
    atoms = _atom_table(molecules, counts, roles, parameters)
    total = float(atoms.charge_e.sum())
    if abs(total) > NEUTRAL_E:
        raise LmbmdError(
            f"the box has a net charge of {total:+.6f} e.",
            where=", ".join(f"{n} {s}" for s, n in counts.items()),
            remedy="Check the counts of the ions, and that each species of the parameter set sums to its charge.",
        )
    return BuiltSystem(system, atoms, np.concatenate(bonds))


def _empty_forces(parameters: ParameterSet) -> tuple:
    nonbonded = openmm.NonbondedForce()
    nonbonded.setNonbondedMethod(openmm.NonbondedForce.PME)
    nonbonded.setCutoffDistance(parameters.cut_off_A / ANGSTROM_PER_NM)
    nonbonded.setUseSwitchingFunction(True)
    nonbonded.setSwitchingDistance(parameters.switch_from_A / ANGSTROM_PER_NM)
    nonbonded.setEwaldErrorTolerance(EWALD_TOLERANCE)
    nonbonded.setUseDispersionCorrection(True)
    return openmm.HarmonicBondForce(), openmm.HarmonicAngleForce(), openmm.PeriodicTorsionForce(), nonbonded


def _add_molecule(system, bonds, angles, torsions, nonbonded, molecule: _Molecule, offset: int) -> None:
    for mass in molecule.masses:
        system.addParticle(mass)
    for i, j, *terms in molecule.bonds:
        bonds.addBond(i + offset, j + offset, *terms)
    for i, j, k, *terms in molecule.angles:
        angles.addAngle(i + offset, j + offset, k + offset, *terms)
    for i, j, k, m, *terms in molecule.torsions:
        torsions.addTorsion(i + offset, j + offset, k + offset, m + offset, *terms)
    for terms in molecule.nonbonded:
        nonbonded.addParticle(*terms)
    for i, j, *terms in molecule.exceptions:
        nonbonded.addException(i + offset, j + offset, *terms)


def _read_molecule(name: str, parameters: ParameterSet, ion_charge_scale: float) -> _Molecule:
    system = parameters.system(name)
    if system.getNumConstraints():
        raise ValueError(f"the System of {name} has constraints; a parameter set holds flexible molecules")
    terms: dict[str, list] = {kind: [] for kind in ("bonds", "angles", "torsions", "nonbonded", "exceptions")}
    for force in system.getForces():
        if type(force) not in _READERS:
            raise LmbmdError(
                f"{name} uses a {type(force).__name__}, which a box cannot be built from.",
                remedy="Use a parameter set of harmonic bonds and angles, periodic torsions and a NonbondedForce.",
            )
        for kind, number, get in _READERS[type(force)]:
            terms[kind] += [_plain(get(force, i)) for i in range(number(force))]
    total = sum(charge for charge, _, _ in terms["nonbonded"])
    formal = round(total)
    scale = ion_charge_scale if formal else 1.0
    terms["nonbonded"] = [(scale * charge, *lj) for charge, *lj in terms["nonbonded"]]
    terms["exceptions"] = [(i, j, scale**2 * product, *lj) for i, j, product, *lj in terms["exceptions"]]
    masses = [system.getParticleMass(i).value_in_unit(unit.amu) for i in range(system.getNumParticles())]
    return _Molecule(name, formal, masses, **terms)


#: How the terms of each native force are read: name here, their number, one of them.
_READERS = {
    openmm.HarmonicBondForce: [
        ("bonds", openmm.HarmonicBondForce.getNumBonds, openmm.HarmonicBondForce.getBondParameters),
    ],
    openmm.HarmonicAngleForce: [
        ("angles", openmm.HarmonicAngleForce.getNumAngles, openmm.HarmonicAngleForce.getAngleParameters),
    ],
    openmm.PeriodicTorsionForce: [
        ("torsions", openmm.PeriodicTorsionForce.getNumTorsions, openmm.PeriodicTorsionForce.getTorsionParameters),
    ],
    openmm.NonbondedForce: [
        ("nonbonded", openmm.NonbondedForce.getNumParticles, openmm.NonbondedForce.getParticleParameters),
        ("exceptions", openmm.NonbondedForce.getNumExceptions, openmm.NonbondedForce.getExceptionParameters),
    ],
    openmm.CMMotionRemover: [],
}


def _plain(terms: Iterable) -> tuple:
    """Quantities as numbers in nm, kJ/mol, radians, e; indices as they are."""
    return tuple(t.value_in_unit_system(unit.md_unit_system) if unit.is_quantity(t) else t for t in terms)


def _check_box(edge_A: float, least: float, counts: Mapping[str, int], parameters: ParameterSet) -> None:
    if edge_A >= least:
        return
    n_atoms = sum(n * len(parameters.elements(s)) for s, n in counts.items())
    enough = int(np.ceil(n_atoms * (1.1 * least / edge_A) ** 3 / 100)) * 100
    raise LmbmdError(
        f"the box edge of {edge_A:.1f} Å is shorter than twice the cut-off ({least:.0f} Å).",
        where="size",
        remedy=f"Ask for a larger box: size: {{atoms: {enough}}} leaves room for compression.",
    )


def _atom_table(
    molecules: list[_Molecule], counts: Mapping[str, int], roles: Mapping[str, Role], parameters: ParameterSet
) -> AtomTable:
    site_names = [
        f"{m.name}:{site}" for m in molecules for site in dict.fromkeys(parameters.site_of_atom(m.name)) if site
    ]
    keys = ("site_id", "element", "name", "mass_amu", "charge_e")
    columns: dict[str, list[np.ndarray]] = {key: [] for key in keys}
    parent, start = [], 0
    for m in molecules:
        sites = [site_names.index(f"{m.name}:{s}") if s else -1 for s in parameters.site_of_atom(m.name)]
        charges = [charge for charge, _, _ in m.nonbonded]
        rows = (sites, parameters.elements(m.name), parameters.names(m.name), m.masses, charges)
        for column, row in zip(columns.values(), rows, strict=True):
            column.append(np.tile(np.asarray(row), counts[m.name]))
        size = len(m.masses)
        own = parents(size, tuple(map(tuple, np.asarray(parameters.bonds(m.name)).reshape(-1, 2).tolist())))
        parent.append((start + size * np.arange(counts[m.name])[:, None] + own).ravel())
        start += size * counts[m.name]
    sizes = [len(m.masses) for m in molecules]
    per_molecule = np.repeat(sizes, list(counts.values()))
    return AtomTable(
        species=tuple(SpeciesInfo(m.name, roles[m.name], m.charge) for m in molecules),
        sites=tuple(site_names),
        species_id=np.repeat(np.arange(len(molecules)), np.array(sizes) * list(counts.values())).astype(np.int32),
        molecule=np.repeat(np.arange(len(per_molecule)), per_molecule).astype(np.int32),
        parent=np.concatenate(parent).astype(np.int32),
        **{key: np.concatenate(value) for key, value in columns.items()},
    )
