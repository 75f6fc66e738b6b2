"""From parameters to files: the one-molecule OpenMM System, its minimised geometry, and the PDB beside it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import openmm
from openmm import app, unit
from rdkit import Chem
from rdkit.Chem import rdDistGeom

from lmbmd.data.bonds import bare_molecule, near_pairs
from lmbmd.data.terms import NativeForces, PlainTerms
from lmbmd.forcefield.parametrize.smirnoff import Terms

SEED = 20_261_120
TIGHT_KJ_MOL_NM = 0.01
#: Bonds between two atoms that a force field leaves out of the nonbonded interactions, and scales.
EXCLUDED_STEPS, SCALED_STEPS = 2, 3


@dataclass(frozen=True)
class Molecule:
    """A graph with names, and everything needed to write it down.

    Attributes:
        name: of the species.
        graph: explicit hydrogens; its atoms are in the order of all else.
        charges: e.
        terms: bonded terms, Lennard-Jones parameters and the factors on 1–4 pairs.
        geometric_14: σ of a 1–4 pair is the geometric mean, as in OPLS-AA; else the arithmetic one.
    """

    name: str
    graph: Chem.Mol
    charges: list[float]
    terms: Terms
    geometric_14: bool = False


def atom_names(graph: Chem.Mol) -> list[str]:
    """Element and running number, as ``C1``; the bare element for a monatomic ion."""
    if graph.GetNumAtoms() == 1:
        return [graph.GetAtomWithIdx(0).GetSymbol()]
    seen: Counter[str] = Counter()
    names = []
    for atom in graph.GetAtoms():
        seen[atom.GetSymbol()] += 1
        names.append(f"{atom.GetSymbol()}{seen[atom.GetSymbol()]}")
    return names


def equivalence(graph: Chem.Mol) -> list[int]:
    """A class for each atom; atoms that a renumbering of the bare graph (elements, bonds) can exchange share it.

    Bond orders and formal charges are left out, so that resonance forms make no difference: the oxygens of a sulfonyl
    group or of a nitrate are alike. All hydrogens must be explicit. Stereochemistry is not seen.
    """
    return list(Chem.CanonicalRankAtoms(bare(graph), breakTies=False, includeChirality=False))


def bare(graph: Chem.Mol) -> Chem.Mol:
    """Elements and single bonds alone, without charges, bond orders or aromaticity."""
    bonds = [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in graph.GetBonds()]
    return bare_molecule([atom.GetSymbol() for atom in graph.GetAtoms()], bonds)


def system_of(molecule: Molecule) -> openmm.System:
    """The flexible molecule: bonds, angles, torsions, nonbonded with its exceptions; no cut-off, no constraints."""
    return assembled(molecule.graph, plain_terms(molecule))


def plain_terms(molecule: Molecule) -> PlainTerms:
    """The molecule's terms as rows: pairs up to three bonds apart left out or scaled, masses of the elements."""
    terms, exceptions = molecule.terms, []
    joined = ((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.graph.GetBonds())
    for (i, j), steps in near_pairs(molecule.graph.GetNumAtoms(), joined, SCALED_STEPS).items():
        exceptions.append((i, j, *(_pair_14(molecule, i, j) if steps == SCALED_STEPS else (0.0, 1.0, 0.0))))
    nonbonded = [(q, *lj) for q, lj in zip(molecule.charges, terms.lennard_jones, strict=True)]
    bonds = [(*key, *values) for key, values in sorted(terms.bonds.items())]
    angles = [(*key, *values) for key, values in sorted(terms.angles.items())]
    masses = [app.Element.getByAtomicNumber(atom.GetAtomicNum()).mass._value for atom in molecule.graph.GetAtoms()]
    return PlainTerms(masses, nonbonded, exceptions, bonds, angles, [t for t in terms.torsions if t[-1] != 0.0])


def assembled(graph: Chem.Mol, terms: PlainTerms) -> openmm.System:
    """A System of one molecule. Masses are those of the elements, not those of ``terms``; torsions with k = 0 are left
    out, and so are forces without a term.
    """
    system, forces = openmm.System(), NativeForces.empty()
    for atom in graph.GetAtoms():
        system.addParticle(app.Element.getByAtomicNumber(atom.GetAtomicNum()).mass)
    forces.add(replace(terms, torsions=[row for row in terms.torsions if row[-1] != 0.0]), 0)
    if forces.bonds.getNumBonds():
        system.addForce(forces.bonds)
    if forces.angles.getNumAngles():
        system.addForce(forces.angles)
    if forces.torsions.getNumTorsions():
        system.addForce(forces.torsions)
    system.addForce(forces.nonbonded)
    return system


def _pair_14(molecule: Molecule, i: int, j: int) -> tuple[float, float, float]:
    (s1, e1), (s2, e2) = molecule.terms.lennard_jones[i], molecule.terms.lennard_jones[j]
    sigma = math.sqrt(s1 * s2) if molecule.geometric_14 else 0.5 * (s1 + s2)
    charge = molecule.charges[i] * molecule.charges[j] * molecule.terms.scale14_coulomb
    return charge, sigma, math.sqrt(e1 * e2) * molecule.terms.scale14_lj


def lowest_geometry(system: openmm.System, starts: Sequence[np.ndarray]) -> np.ndarray:
    """The lowest of the minimised ``starts`` (n_atoms, 3), Å, about its centre of mass."""
    best = min((_minimised(system, x) for x in starts), key=lambda found: round(found[0], 6))[1]
    masses = np.array([system.getParticleMass(i)._value for i in range(system.getNumParticles())])
    return best - masses @ best / masses.sum()


def embedded(graph: Chem.Mol, count: int = 60) -> list[np.ndarray]:
    """Conformers by distance geometry, Å; none if RDKit finds no geometry."""
    graph = Chem.Mol(graph)
    ids = rdDistGeom.EmbedMultipleConfs(graph, count, randomSeed=SEED, pruneRmsThresh=0.1)
    return [graph.GetConformer(c).GetPositions() for c in ids]


def _minimised(system: openmm.System, start: np.ndarray) -> tuple[float, np.ndarray]:
    if system.getNumParticles() == 1:
        return 0.0, np.zeros((1, 3))
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(start * unit.angstrom)
    openmm.LocalEnergyMinimizer.minimize(context, TIGHT_KJ_MOL_NM, 0)
    state = context.getState(getEnergy=True, getPositions=True)
    return state.getPotentialEnergy()._value, state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)


def pdb_of(name: str, graph: Chem.Mol, positions: np.ndarray) -> str:
    """PDB text of one molecule with element columns and every bond as CONECT."""
    lines = [f"REMARK   {name}, minimised in its own parameters"]
    residue = name[:4].ljust(4)
    rows = zip(atom_names(graph), graph.GetAtoms(), positions, strict=True)
    for i, (label, atom, (x, y, z)) in enumerate(rows, start=1):
        symbol = atom.GetSymbol()
        label = label.ljust(4) if len(symbol) == 2 or len(label) == 4 else f" {label:<3}"
        place = "".join(f"{round(c, 3) + 0.0:8.3f}" for c in (x, y, z))  # + 0.0 turns -0.000 into 0.000
        lines.append(f"HETATM{i:5d} {label} {residue}A   1    {place}  1.00  0.00          {symbol:>2}")
    for atom in graph.GetAtoms():
        near = sorted(b.GetIdx() + 1 for b in atom.GetNeighbors())
        for k in range(0, len(near), 4):  # a CONECT record holds four
            lines.append("CONECT" + "".join(f"{i:5d}" for i in (atom.GetIdx() + 1, *near[k : k + 4])))
    return "\n".join([*lines, "END", ""])
