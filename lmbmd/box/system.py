"""The ``openmm.System`` of a box, made of the one-molecule Systems of a parameter set, and its atom table."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import openmm

from lmbmd.core.errors import LmbmdError
from lmbmd.core.units import ANGSTROM_PER_NM
from lmbmd.data.atoms import AtomTable, Role, SpeciesInfo
from lmbmd.data.bonds import parents
from lmbmd.data.cell import Cell
from lmbmd.data.terms import NativeForces, PlainTerms, read_terms
from lmbmd.forcefield.chains.parameters import ChainParameters, chain_parameters
from lmbmd.forcefield.mixing import GEOMETRIC, mix_geometrically
from lmbmd.forcefield.parameters import ParameterSet
from lmbmd.formulation.polymers.draw import Chains

#: Relative error of PME's forces.
EWALD_TOLERANCE = 5e-4
#: The net charge that rounding may leave, e.
NEUTRAL_E = 1e-6
NO_CHAINS: Mapping[str, Chains] = MappingProxyType({})


@dataclass(frozen=True, eq=False)
class BuiltSystem:
    """A System, who its atoms are, and their bonds (m, 2)."""

    system: openmm.System
    atoms: AtomTable
    bonds: np.ndarray


@dataclass(frozen=True, eq=False)
class Kind:
    """So many molecules that are all alike: a species, or chains of one polymer with the same sequence.

    Attributes:
        name: of the species or the polymer.
        terms: charges scaled.
        elements, names, sites: of each atom; "" for an atom that is no donor site.
        bonds: (m, 2).
        unit: of each atom, counted within the molecule; ``unit_species`` says what each unit is.
    """

    name: str
    count: int
    terms: PlainTerms
    elements: list[str]
    names: list[str]
    sites: list[str]
    bonds: np.ndarray
    unit: np.ndarray
    unit_species: tuple[SpeciesInfo, ...]

    @property
    def size(self) -> int:
        """Atoms of one molecule."""
        return len(self.elements)


def kinds(
    counts: Mapping[str, int],
    roles: Mapping[str, Role],
    parameters: ParameterSet,
    ion_charge_scale: float,
    chains: Mapping[str, Chains] = NO_CHAINS,
) -> list[Kind]:
    """The molecules of a box in its order: one kind for each species, several for a polymer whose chains differ.

    Raises:
        LmbmdError: if the set lacks a species, or a chain cannot be parametrised.
    """
    found = []
    for name, count in counts.items():
        if name in chains:
            found += _chains(name, chains[name], parameters, ion_charge_scale)
        else:
            found.append(_species(name, count, roles[name], parameters, ion_charge_scale))
    return found


def build_system(
    counts: Mapping[str, int],
    roles: Mapping[str, Role],
    parameters: ParameterSet,
    ion_charge_scale: float,
    edge_A: float,
) -> BuiltSystem:
    """``assembled`` for species of a set, without chains."""
    return assembled(kinds(counts, roles, parameters, ion_charge_scale), parameters, edge_A)


def assembled(molecules: Sequence[Kind], parameters: ParameterSet, edge_A: float) -> BuiltSystem:
    """Replicate one-molecule Systems into a periodic cube.

    The System is flexible and complete: harmonic bonds and angles, periodic torsions, and one ``NonbondedForce`` with
    PME, each molecule's exclusions and 1–4 exceptions, a switched Lennard-Jones cut-off and its long-range correction.
    It mixes by Lorentz–Berthelot; for a set with geometric mixing a second one holds the dispersion
    (``forcefield.mixing``). Constraints, mass repartitioning and the barostat belong to the simulation.

    The charges of every species with a formal charge are multiplied by ``ion_charge_scale`` s, and the charge
    products of its exceptions by s² (Leontyev and Stuchebrukhov, doi:10.1039/c0cp01971b). A unit of a chain with a
    formal charge is such a species, all of it, and a neutral unit is none: a tethered anion is scaled as the same anion
    is when it is free, and a chain of whole-number units keeps s times its charge.

    Args:
        molecules: as ``kinds`` gives them.
        parameters: the set; its cut-off is that of Lennard-Jones and of PME's direct space.
        edge_A: box edge.

    Raises:
        LmbmdError: if the box is not neutral, is too small for the cut-off, or a set uses a force that is not native.
    """
    _check_box(edge_A, 2 * parameters.cut_off_A, molecules)
    system = openmm.System()
    system.setDefaultPeriodicBoxVectors(*Cell.cube(edge_A).vectors_nm)
    forces = _empty_forces(parameters)
    for force in forces:
        system.addForce(force)
    bonds, start = [], 0
    for molecule in molecules:
        offsets = start + molecule.size * np.arange(molecule.count)
        for offset in offsets.tolist():
            for mass in molecule.terms.masses:
                system.addParticle(mass)
            forces.add(molecule.terms, offset)
        bonds.append((offsets[:, None, None] + molecule.bonds[None]).reshape(-1, 2))
        start += molecule.count * molecule.size
    if parameters.combining_rule == GEOMETRIC:
        system.addForce(mix_geometrically(forces.nonbonded))
    pairs = np.concatenate(bonds)
    atoms = _atom_table(molecules, pairs)
    total = float(atoms.charge_e.sum())
    if abs(total) > NEUTRAL_E:
        raise LmbmdError(
            f"the box has a net charge of {total:+.6f} e.",
            where=", ".join(f"{m.count} {m.name}" for m in molecules),
            remedy="Check the counts of the ions, and that each species of the parameter set sums to its charge.",
        )
    return BuiltSystem(system, atoms, pairs)


def system_of(kind: Kind) -> openmm.System:
    """One molecule alone: flexible, without a cut-off."""
    system, forces = openmm.System(), NativeForces.empty()
    for mass in kind.terms.masses:
        system.addParticle(mass)
    for force in forces:
        system.addForce(force)
    forces.add(kind.terms, 0)
    return system


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


def _species(name: str, count: int, role: Role, parameters: ParameterSet, ion_charge_scale: float) -> Kind:
    terms = read_terms(parameters.system(name), f"{parameters.name}-{parameters.version}, {name}")
    formal = round(sum(terms.charges_e))
    return Kind(
        name,
        count,
        terms.with_scaled_charges(ion_charge_scale) if formal else terms,
        parameters.elements(name),
        parameters.names(name),
        parameters.site_of_atom(name),
        np.asarray(parameters.bonds(name), dtype=np.int64).reshape(-1, 2),
        np.zeros(len(terms.masses), dtype=np.int64),
        (SpeciesInfo(name, role, formal),),
    )


def _chains(name: str, chains: Chains, parameters: ParameterSet, ion_charge_scale: float) -> list[Kind]:
    """Chains in the order of the box; those that follow each other with the same sequence are one kind."""
    info = {}
    for letter, unit in chains.names.items():
        charge = chains.charges.get(letter, 0)
        role: Role = "anion" if charge < 0 else "cation" if charge > 0 else "polymer"
        info[letter] = SpeciesInfo(unit, role, charge, chain=name)
    made: dict[str, ChainParameters] = {}
    found = []
    for sequence, alike in itertools.groupby(chains.sequences):
        if sequence not in made:
            made[sequence] = chain_parameters(chains, sequence, parameters.released)
        one = made[sequence]
        units = tuple(info[letter] for letter in one.letters)
        terms = one.terms
        if any(unit.charge for unit in units):
            terms = terms.with_scaled_charges([ion_charge_scale if units[u].charge else 1.0 for u in one.unit])
        found.append(
            Kind(name, len(list(alike)), terms, one.elements, one.names, one.sites, one.bonds, one.unit, units)
        )
    return found


def _check_box(edge_A: float, least: float, molecules: Sequence[Kind]) -> None:
    if edge_A >= least:
        return
    n_atoms = sum(m.count * m.size for m in molecules)
    enough = int(np.ceil(n_atoms * (1.1 * least / edge_A) ** 3 / 100)) * 100
    raise LmbmdError(
        f"the box edge of {edge_A:.1f} Å is shorter than twice the cut-off ({least:.0f} Å).",
        where="size",
        remedy=f"Ask for a larger box: size: {{atoms: {enough}}} leaves room for compression.",
    )


def _atom_table(molecules: Sequence[Kind], bonds: np.ndarray) -> AtomTable:
    species = tuple(dict.fromkeys(info for m in molecules for info in m.unit_species))
    labels = [
        [f"{m.unit_species[u].name}:{site}" if site else "" for u, site in zip(m.unit, m.sites, strict=True)]
        for m in molecules
    ]
    site_names = list(dict.fromkeys(label for own in labels for label in own if label))
    columns: dict[str, list[np.ndarray]] = {
        key: [] for key in ("site_id", "element", "name", "mass_amu", "charge_e", "species_id")
    }
    parent, molecule, unit, start, units = [], [], [], 0, 0
    for m, own in zip(molecules, labels, strict=True):
        rows = (
            [site_names.index(label) if label else -1 for label in own],
            m.elements,
            m.names,
            m.terms.masses,
            m.terms.charges_e,
            [species.index(m.unit_species[u]) for u in m.unit],
        )
        for column, row in zip(columns.values(), rows, strict=True):
            column.append(np.tile(np.asarray(row), m.count))
        before = np.array(parents(m.size, tuple(map(tuple, m.bonds.tolist()))))
        number = np.arange(m.count)[:, None]
        parent.append((start + m.size * number + before).ravel())
        unit.append((units + len(m.unit_species) * number + m.unit).ravel())
        molecule.append(np.full(m.count, m.size))
        start += m.size * m.count
        units += len(m.unit_species) * m.count
    sizes = np.concatenate(molecule)
    ids = columns.pop("species_id")
    of_molecule = np.repeat(np.arange(len(sizes)), sizes).astype(np.int32)
    in_units = np.concatenate(unit).astype(np.int32)
    return AtomTable(
        species=species,
        sites=tuple(site_names),
        species_id=np.concatenate(ids).astype(np.int32),
        molecule=of_molecule,
        parent=np.concatenate(parent).astype(np.int32),
        bonds=bonds,
        unit=in_units,
        **{key: np.concatenate(value) for key, value in columns.items()},
    )
