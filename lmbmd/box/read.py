"""A built box as tables of numbers, one per kind of molecule: what every exporter writes down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import openmm
from openmm import unit

from lmbmd.box.pdb import read_pdb
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import check_recorded, read_json, read_text
from lmbmd.core.units import ANGSTROM_PER_NM
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell
from lmbmd.data.systemxml import read_system
from lmbmd.data.terms import PlainTerms, nonbonded_force, read_terms
from lmbmd.forcefield.mixing import unmix

#: Conditions of a box that has not been simulated.
ROOM_K, ONE_BAR = 298.15, 1.0


@dataclass(frozen=True, eq=False)
class Box:
    """One configuration and its force field.

    Attributes:
        atoms: who the atoms are.
        positions_A, box_A: (n, 3) and (3, 3), lattice vectors as rows.
        species: terms of one molecule of each kind (nm, kJ/mol, rad, e), atoms counted within the molecule. A kind is a
            species, or the chains of a polymer that are all alike.
        names: of each kind; of a polymer's second kind ``PEO_2``.
        kind: of each molecule, an index into ``species``.
        combining_rule: of atoms of different molecules, one of ``mixing.COMBINING_RULES``.
        cut_off_nm, switch_from_nm: of Lennard-Jones; the long-range correction is on.
        temperature_K, pressure_bar: of the run, or room conditions.
        files: what it was read from.
    """

    atoms: AtomTable
    positions_A: np.ndarray
    box_A: np.ndarray
    species: list[PlainTerms]
    names: list[str]
    kind: np.ndarray
    combining_rule: str
    cut_off_nm: float
    switch_from_nm: float
    temperature_K: float
    pressure_bar: float
    files: dict[str, Path]

    @property
    def runs(self) -> list[tuple[int, int]]:
        """Kind and number of molecules, in the order of the box."""
        parts = np.split(self.kind, np.flatnonzero(np.diff(self.kind)) + 1)
        return [(int(part[0]), len(part)) for part in parts]

    def atoms_of(self, kind: int) -> slice:
        """The atoms of the first molecule of a kind."""
        molecule = int(np.flatnonzero(self.kind == kind)[0])
        return slice(int(self.atoms.first_atom[molecule]), int(self.atoms.first_atom[molecule + 1]))


def built_of(folder: Path) -> Path:
    """The folder of the packed box: itself, or that which a run began from."""
    return folder.parent.parent / folder.name if (folder / "spec.json").is_file() else folder


def read_box(folder: Path) -> Box:
    """A box that build wrote (``results/<f>/r<n>``), or the end of a run (``results/<f>/<T>K/r<n>``).

    Raises:
        LmbmdError: if files are missing, or the System is not one that build writes.
    """
    built, start = built_of(folder), folder / "start.pdb"
    temperature, pressure = ROOM_K, ONE_BAR
    if built != folder:
        start = folder / "final.pdb"
        spec = read_json(folder / "spec.json", what="run specification", remedy="Write it again: lmbmd spec.")
        said = [spec.get("temperature_K"), spec.get("pressure_bar")]
        temperature, pressure = (float(x) if isinstance(x, int | float) else math.nan for x in said)
        if not math.isfinite(temperature + pressure):
            raise LmbmdError(
                "it has no temperature or no pressure.",
                where=str(folder / "spec.json"),
                remedy="Write it again: lmbmd spec.",
            )
    files = {"system": built / "system.xml", "atoms": built / "atoms.parquet", "positions": start}
    for file in files.values():
        if not file.is_file():
            raise LmbmdError(
                f"there is no {file.name}.",
                where=str(file.parent),
                remedy="Give a folder that build or simulate has finished, such as results/BOTTLE/298.15K/r1.",
            )
    for file in files.values():
        record = "run.json" if file.name == "final.pdb" else "build.json"
        check_recorded(file, record, "Make it again: delete it and run the study.")
    atoms = AtomTable.read(files["atoms"])
    system = read_system(files["system"])
    positions, box = read_pdb(read_text(start, "Give a folder that build or simulate has finished."), where=str(start))
    return box_of(system, atoms, positions, box, (temperature, pressure), files)


def box_of(
    system: openmm.System,
    atoms: AtomTable,
    positions_A: np.ndarray,
    box_A: np.ndarray,
    conditions: tuple[float, float],
    files: dict[str, Path],
) -> Box:
    """A box of a flexible System, who its atoms are, and where they are.

    Args:
        system: its particles get their σ and ε again if they mix geometrically (``unmix``).
        positions_A, box_A: (n, 3) and (3, 3).
        conditions: temperature in K and pressure in bar.
        files: what all of this was read from: system, atoms, positions.

    Raises:
        LmbmdError: if these do not belong together, or the System is not one that build writes.
    """
    built = files["system"].parent
    if not len(atoms) == len(positions_A) == system.getNumParticles():
        raise LmbmdError("its files disagree on the number of atoms.", where=str(built), remedy="Build it again.")
    rule = unmix(system)
    nonbonded = nonbonded_force(system)
    if not (nonbonded.getUseSwitchingFunction() and nonbonded.getUseDispersionCorrection()):
        raise LmbmdError("it has no switched, corrected cut-off.", where=str(built), remedy="Build it again.")
    return Box(
        atoms,
        positions_A,
        box_A,
        *_kinds(read_terms(system, str(files["system"])), atoms),
        rule,
        nonbonded.getCutoffDistance().value_in_unit(unit.nanometer),
        nonbonded.getSwitchingDistance().value_in_unit(unit.nanometer),
        *conditions,
        files,
    )


def _kinds(terms: PlainTerms, atoms: AtomTable) -> tuple[list[PlainTerms], list[str], np.ndarray]:
    """The terms of each kind of molecule, its name, and the kind of each molecule.

    All molecules of a small species are of one kind; chains of a polymer that differ are of several.
    """
    first = atoms.first_atom[:-1]
    start = first[atoms.molecule].tolist()
    molecule = atoms.molecule.tolist()
    n_ends = {"bonds": 2, "angles": 3, "torsions": 4, "exceptions": 2}
    per_molecule: list[dict[str, list[tuple]]] = [{kind: [] for kind in n_ends} for _ in range(atoms.n_molecules)]
    for kind, ends in n_ends.items():
        for row in getattr(terms, kind):
            offset = start[row[0]]
            if len({molecule[i] for i in row[:ends]}) != 1:
                one, other = row[0], next(i for i in row[:ends] if molecule[i] != molecule[row[0]])
                raise LmbmdError(
                    f"atoms {one + 1} and {other + 1}, of two molecules, share one of the {kind}.",
                    where="system.xml",
                    remedy="Export a box that lmbmd built.",
                )
            per_molecule[molecule[row[0]]][kind].append((*(i - offset for i in row[:ends]), *row[ends:]))
    found: list[PlainTerms] = []
    names: list[str] = []
    of_name: dict[str, list[int]] = {}
    of_molecule = np.empty(atoms.n_molecules, dtype=np.int64)
    spans = zip(atoms.molecule_species.tolist(), first.tolist(), atoms.first_atom[1:].tolist(), strict=True)
    for m, (species, begin, end) in enumerate(spans):
        mine = PlainTerms(terms.masses[begin:end], terms.nonbonded[begin:end], **per_molecule[m])
        name = atoms.species[species].chain or atoms.species[species].name
        known = of_name.setdefault(name, [])
        same = next((k for k in known if found[k] == mine), None)
        if same is None:
            if known and not atoms.species[species].chain:
                raise LmbmdError(
                    f"molecules of {name} have different parameters.",
                    where="system.xml",
                    remedy="Export a box that lmbmd built.",
                )
            same = len(found)
            found.append(mine)
            names.append(f"{name}_{len(known) + 1}" if known else name)
            known.append(same)
        of_molecule[m] = same
    return found, names, of_molecule


def names_in_molecule(box: Box, kind: int) -> list[str]:
    """Names of the atoms of one molecule of a kind."""
    return box.atoms.name[box.atoms_of(kind)].tolist()


def elements_in_molecule(box: Box, kind: int) -> list[str]:
    """Elements of the atoms of one molecule of a kind."""
    return box.atoms.element[box.atoms_of(kind)].tolist()


def edges_nm(box: Box) -> tuple[float, float, float]:
    """Edges of a rectangular box, nm."""
    if not Cell(box.box_A).is_rectangular:
        raise LmbmdError("the box is not rectangular.", where="start.pdb", remedy="Export a box that lmbmd built.")
    x, y, z = (box.box_A.diagonal() / ANGSTROM_PER_NM).tolist()
    return x, y, z
