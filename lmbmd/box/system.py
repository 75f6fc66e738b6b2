"""The ``openmm.System`` of a box, made of the one-molecule Systems of a parameter set, and its atom table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import openmm

from lmbmd.core.errors import LmbmdError
from lmbmd.core.units import ANGSTROM_PER_NM
from lmbmd.data.atoms import AtomTable, Role, SpeciesInfo
from lmbmd.data.bonds import parents
from lmbmd.data.cell import Cell
from lmbmd.data.terms import NativeForces, PlainTerms, read_terms
from lmbmd.forcefield.mixing import GEOMETRIC, mix_geometrically
from lmbmd.forcefield.parameters import ParameterSet

#: Relative error of PME's forces.
EWALD_TOLERANCE = 5e-4
#: The net charge that rounding may leave, e.
NEUTRAL_E = 1e-6


@dataclass(frozen=True, eq=False)
class BuiltSystem:
    """A System, who its atoms are, and their bonds (m, 2)."""

    system: openmm.System
    atoms: AtomTable
    bonds: np.ndarray


@dataclass(frozen=True)
class _Molecule:
    """One molecule of a species, its charges scaled."""

    name: str
    charge: int
    terms: PlainTerms


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
    system.setDefaultPeriodicBoxVectors(*Cell.cube(edge_A).vectors_nm)
    forces = _empty_forces(parameters)
    for force in forces:
        system.addForce(force)
    bonds, start = [], 0
    for molecule, count in zip(molecules, counts.values(), strict=True):
        size = len(molecule.terms.masses)
        offsets = start + size * np.arange(count)
        for offset in offsets.tolist():
            for mass in molecule.terms.masses:
                system.addParticle(mass)
            forces.add(molecule.terms, offset)
        own = np.asarray(parameters.bonds(molecule.name), dtype=np.int64).reshape(-1, 2)
        bonds.append((offsets[:, None, None] + own[None]).reshape(-1, 2))
        start += count * size
    if parameters.combining_rule == GEOMETRIC:
        system.addForce(mix_geometrically(forces.nonbonded))
    pairs = np.concatenate(bonds)
    atoms = _atom_table(molecules, counts, roles, parameters, pairs)
    total = float(atoms.charge_e.sum())
    if abs(total) > NEUTRAL_E:
        raise LmbmdError(
            f"the box has a net charge of {total:+.6f} e.",
            where=", ".join(f"{n} {s}" for s, n in counts.items()),
            remedy="Check the counts of the ions, and that each species of the parameter set sums to its charge.",
        )
    return BuiltSystem(system, atoms, pairs)


def _empty_forces(parameters: ParameterSet) -> NativeForces:
    forces = NativeForces.empty()
    nonbonded = forces.nonbonded
    nonbonded.setNonbondedMethod(openmm.NonbondedForce.PME)
    nonbonded.setCutoffDistance(parameters.cut_off_A / ANGSTROM_PER_NM)
    nonbonded.setUseSwitchingFunction(True)
    nonbonded.setSwitchingDistance(parameters.switch_from_A / ANGSTROM_PER_NM)
    nonbonded.setEwaldErrorTolerance(EWALD_TOLERANCE)
    nonbonded.setUseDispersionCorrection(True)
    return forces


def _read_molecule(name: str, parameters: ParameterSet, ion_charge_scale: float) -> _Molecule:
    terms = read_terms(parameters.system(name), f"{parameters.name}-{parameters.version}, {name}")
    formal = round(sum(terms.charges_e))
    return _Molecule(name, formal, terms.with_scaled_charges(ion_charge_scale) if formal else terms)


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
    molecules: list[_Molecule],
    counts: Mapping[str, int],
    roles: Mapping[str, Role],
    parameters: ParameterSet,
    bonds: np.ndarray,
) -> AtomTable:
    site_names = [
        f"{m.name}:{site}" for m in molecules for site in dict.fromkeys(parameters.site_of_atom(m.name)) if site
    ]
    keys = ("site_id", "element", "name", "mass_amu", "charge_e")
    columns: dict[str, list[np.ndarray]] = {key: [] for key in keys}
    parent, start = [], 0
    for m in molecules:
        sites = [site_names.index(f"{m.name}:{s}") if s else -1 for s in parameters.site_of_atom(m.name)]
        rows = (
            sites,
            parameters.elements(m.name),
            parameters.names(m.name),
            m.terms.masses,
            m.terms.charges_e,
        )
        for column, row in zip(columns.values(), rows, strict=True):
            column.append(np.tile(np.asarray(row), counts[m.name]))
        size = len(m.terms.masses)
        own = parents(size, tuple(map(tuple, np.asarray(parameters.bonds(m.name)).reshape(-1, 2).tolist())))
        parent.append((start + size * np.arange(counts[m.name])[:, None] + own).ravel())
        start += size * counts[m.name]
    sizes = [len(m.terms.masses) for m in molecules]
    per_molecule = np.repeat(sizes, list(counts.values()))
    return AtomTable(
        species=tuple(SpeciesInfo(m.name, roles[m.name], m.charge) for m in molecules),
        sites=tuple(site_names),
        species_id=np.repeat(np.arange(len(molecules)), np.array(sizes) * list(counts.values())).astype(np.int32),
        molecule=np.repeat(np.arange(len(per_molecule)), per_molecule).astype(np.int32),
        parent=np.concatenate(parent).astype(np.int32),
        bonds=bonds,
        **{key: np.concatenate(value) for key, value in columns.items()},
    )
