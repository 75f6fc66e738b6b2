"""From parameters to files: the one-molecule OpenMM System, its minimised geometry, and the PDB beside it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import numpy as np
import openmm
from openmm import app, unit
from rdkit import Chem
from rdkit.Chem import AllChem
from smirnoff import Terms, graph_terms

SEED = 20_261_120
TIGHT_KJ_MOL_NM = 0.01
#: Names that PDB readers take for nucleotides, with bonds of their own.
NUCLEIC = {"G3"}


@dataclass(frozen=True)
class Molecule:
    """A graph with names, and everything needed to write it down."""

    name: str
    graph: Chem.Mol
    charges: list[float]
    terms: Terms
    geometric_14: bool = False

    @property
    def atom_names(self) -> list[str]:
        """Element and running number, as ``C1``; the bare element for a monatomic ion."""
        if self.graph.GetNumAtoms() == 1:
            return [self.graph.GetAtomWithIdx(0).GetSymbol()]
        seen: Counter[str] = Counter()
        names = []
        for atom in self.graph.GetAtoms():
            seen[atom.GetSymbol()] += 1
            names.append(f"{atom.GetSymbol()}{seen[atom.GetSymbol()]}")
        return names


def system_of(molecule: Molecule) -> openmm.System:
    """The flexible molecule: bonds, angles, torsions, nonbonded with its exceptions; no cut-off, no constraints."""
    terms, n = molecule.terms, molecule.graph.GetNumAtoms()
    system = openmm.System()
    for atom in molecule.graph.GetAtoms():
        system.addParticle(app.Element.getByAtomicNumber(atom.GetAtomicNum()).mass)
    bonds, angles, torsions = openmm.HarmonicBondForce(), openmm.HarmonicAngleForce(), openmm.PeriodicTorsionForce()
    for key, (r0, k) in sorted(terms.bonds.items()):
        bonds.addBond(*key, r0, k)
    for key, (theta0, k) in sorted(terms.angles.items()):
        angles.addAngle(*key, theta0, k)
    for term in terms.torsions:
        if term[-1] != 0.0:
            torsions.addTorsion(*term)
    nonbonded = openmm.NonbondedForce()
    for q, (sigma, epsilon) in zip(molecule.charges, terms.lennard_jones, strict=True):
        nonbonded.addParticle(q, sigma, epsilon)
    steps = Chem.GetDistanceMatrix(molecule.graph)
    for i in range(n):
        for j in range(i + 1, n):
            if steps[i, j] <= 2:
                nonbonded.addException(i, j, 0.0, 1.0, 0.0)
            elif steps[i, j] == 3:
                nonbonded.addException(i, j, *_pair_14(molecule, i, j))
    for force, count in (
        (bonds, bonds.getNumBonds()), (angles, angles.getNumAngles()), (torsions, torsions.getNumTorsions()),
    ):  # fmt: skip
        if count:
            system.addForce(force)
    system.addForce(nonbonded)
    return system


def _pair_14(molecule: Molecule, i: int, j: int) -> tuple[float, float, float]:
    (s1, e1), (s2, e2) = molecule.terms.lennard_jones[i], molecule.terms.lennard_jones[j]
    sigma = math.sqrt(s1 * s2) if molecule.geometric_14 else 0.5 * (s1 + s2)
    charge = molecule.charges[i] * molecule.charges[j] * molecule.terms.scale14_coulomb
    return charge, sigma, math.sqrt(e1 * e2) * molecule.terms.scale14_lj


def lowest_geometry(molecule: Molecule, system: openmm.System, starts: list[np.ndarray]) -> np.ndarray:
    """The lowest of the minimised ``starts`` (Å), about its centre of mass."""
    best = min((_minimised(system, x) for x in starts), key=lambda found: round(found[0], 6))[1]
    masses = np.array([system.getParticleMass(i)._value for i in range(system.getNumParticles())])
    return best - masses @ best / masses.sum()


def embedded(graph: Chem.Mol, count: int = 60) -> list[np.ndarray]:
    """Conformers by distance geometry, Å."""
    graph = Chem.Mol(graph)
    ids = AllChem.EmbedMultipleConfs(graph, count, randomSeed=SEED, pruneRmsThresh=0.1)
    return [graph.GetConformer(c).GetPositions() for c in ids]


def _minimised(system: openmm.System, start: np.ndarray) -> tuple[float, np.ndarray]:
    if system.getNumParticles() == 1:
        return 0.0, np.zeros((1, 3))
    context = openmm.Context(system, openmm.VerletIntegrator(0.001), openmm.Platform.getPlatformByName("Reference"))
    context.setPositions(start * unit.angstrom)
    openmm.LocalEnergyMinimizer.minimize(context, TIGHT_KJ_MOL_NM, 0)
    state = context.getState(getEnergy=True, getPositions=True)
    return state.getPotentialEnergy()._value, state.getPositions(asNumpy=True).value_in_unit(unit.angstrom)


def pdb_of(molecule: Molecule, positions: np.ndarray) -> str:
    """PDB text with element columns and every bond as CONECT."""
    lines = [f"REMARK   {molecule.name}, minimised in its own parameters"]
    residue = ("MOL" if molecule.name in NUCLEIC else molecule.name[:4]).ljust(4)
    for i, (name, atom, (x, y, z)) in enumerate(
        zip(molecule.atom_names, molecule.graph.GetAtoms(), positions, strict=True), start=1
    ):
        symbol = atom.GetSymbol()
        label = name.ljust(4) if len(symbol) == 2 or len(name) == 4 else f" {name:<3}"
        place = "".join(f"{round(c, 3) + 0.0:8.3f}" for c in (x, y, z))  # + 0.0 turns -0.000 into 0.000
        lines.append(f"HETATM{i:5d} {label} {residue}A   1    {place}  1.00  0.00          {symbol:>2}")
    for atom in molecule.graph.GetAtoms():
        near = sorted(b.GetIdx() + 1 for b in atom.GetNeighbors())
        for k in range(0, len(near), 4):  # a CONECT record holds four
            lines.append("CONECT" + "".join(f"{i:5d}" for i in (atom.GetIdx() + 1, *near[k : k + 4])))
    return "\n".join([*lines, "END", ""])


def ion_terms(graph: Chem.Mol, entry: dict, positions: np.ndarray | None) -> tuple[Terms, list[float]]:
    """Terms and charges of an ion from its entry in ``ions.yaml``.

    Raises:
        ValueError: if a bond or an angle of the graph has no parameter.
    """
    symbol = entry.get("types") or [atom.GetSymbol() for atom in graph.GetAtoms()]
    terms = Terms()
    bonds, angles, torsions = graph_terms(graph)
    for key in bonds:
        r0, k = _by_elements(entry["bonds"], [symbol[i] for i in key])
        terms.bonds[key] = (0.1 * r0, 100.0 * k)
    for key in angles:
        if entry.get("right_angles_only") and abs(_angle_deg(positions[list(key)]) - 90.0) > 1.0:
            continue
        theta0, k = _by_elements(entry["angles"], [symbol[i] for i in key])
        terms.angles[key] = (math.radians(theta0), k)
    for key in sorted(torsions):
        terms.torsions += [(*key, *term) for term in _opls(_by_elements(entry["torsions"], [symbol[i] for i in key]))]
    terms.torsions += _impropers(graph, symbol, entry)
    atoms = [entry["atoms"][s] for s in symbol]
    terms.lennard_jones = [(0.1 * sigma, epsilon) for _, sigma, epsilon in atoms]
    terms.scale14_lj, terms.scale14_coulomb = entry.get("scale14", (1.0, 1.0))
    return terms, [q for q, _, _ in atoms]


def add_group(terms: Terms, graph: Chem.Mol, group: dict, element: str) -> None:
    """Put every term with an atom of ``element`` into ``terms``, from its entry in ``groups.yaml``.

    Raises:
        ValueError: if one has no parameter.
    """
    symbol = [atom.GetSymbol() for atom in graph.GetAtoms()]
    bonds, angles, torsions = graph_terms(graph)
    has = lambda keys: sorted(key for key in keys if element in [symbol[i] for i in key])  # noqa: E731
    for key in has(bonds):
        r0, k = _by_elements(group["bonds"], [symbol[i] for i in key])
        terms.bonds[key] = (0.1 * r0, 100.0 * k)
    for key in has(angles):
        theta0, k = _by_elements(group["angles"], [symbol[i] for i in key])
        terms.angles[key] = (math.radians(theta0), k)
    for key in has(torsions):
        terms.torsions += [(*key, *term) for term in _opls(_by_elements(group["torsions"], [symbol[i] for i in key]))]
    terms.torsions += _impropers(graph, symbol, group)
    sigma, epsilon = group["atom"]
    own = (0.1 * sigma, epsilon)
    terms.lennard_jones = [own if s == element else lj for s, lj in zip(symbol, terms.lennard_jones, strict=True)]


def _impropers(graph: Chem.Mol, types: list[str], table: dict) -> list[tuple]:
    found = []
    for name, (v2,) in table.get("impropers", {}).items():
        first, middle, *last = name.split("-")
        for centre in (i for i, s in enumerate(types) if s == middle):
            a, b, c = sorted(n.GetIdx() for n in graph.GetAtomWithIdx(centre).GetNeighbors())
            for outer in ((a, b, c), (b, a, c), (c, a, b)):
                if types[outer[0]] == first and sorted(types[i] for i in outer[1:]) == sorted(last):
                    found += [(outer[0], centre, *outer[1:], *term) for term in _opls([0, v2, 0, 0])]
    return found


def _by_elements(table: dict, symbols: list[str]):
    for names in (symbols, symbols[::-1]):
        if "-".join(names) in table:
            return table["-".join(names)]
    raise ValueError(f"no parameter for {'-'.join(symbols)}")


def _opls(v: list[float]) -> list[tuple[int, float, float]]:
    """V1…V4 of the OPLS series as (n, phase, k) terms."""
    return [(n, 0.0 if n % 2 else math.pi, 0.5 * vn) for n, vn in enumerate(v, start=1) if vn]


def _angle_deg(x: np.ndarray) -> float:
    a, b = x[0] - x[1], x[2] - x[1]
    return math.degrees(math.acos(a @ b / np.linalg.norm(a) / np.linalg.norm(b)))


def ideal(shape: str, graph: Chem.Mol, r0_A: float) -> np.ndarray:
    """A centre and its equal ligands in an octahedron, tetrahedron or flat triangle, in the order of ``graph``."""
    c = 3**-0.5
    directions = {
        "octahedron": [(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1), (0, 0, -1)],
        "tetrahedron": [(c, c, c), (c, -c, -c), (-c, c, -c), (-c, -c, c)],
        "triangle": [(math.cos(a), math.sin(a), 0.0) for a in (0.0, 2 * math.pi / 3, 4 * math.pi / 3)],
    }[shape]
    centre = max(graph.GetAtoms(), key=lambda atom: atom.GetDegree())
    positions = np.zeros((graph.GetNumAtoms(), 3))
    for atom, direction in zip(centre.GetNeighbors(), directions, strict=True):
        positions[atom.GetIdx()] = r0_A * np.array(direction)
    return positions
