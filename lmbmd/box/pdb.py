"""PDB files of a box: names, residues, cell and bonds, fast enough for 10⁵ atoms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable

#: The last atom number that the format holds; beyond it OpenMM and VMD read hexadecimal.
_LAST_DECIMAL_SERIAL = 99_999
#: No box is larger: 10 µm wide.
_MOST_A3 = 1e15


def residue_names(table: AtomTable) -> list[str]:
    """A residue name of at most four characters for each species, no two alike."""
    names: list[str] = []
    for species in table.species:
        name = species.name[:4]
        for number in range(1, 100):
            if name not in names:
                break
            name = f"{species.name[: 4 - len(str(number))]}{number}"
        names.append(name)
    return names


def pdb_text(table: AtomTable, positions_A: np.ndarray, box_A: np.ndarray, bonds: np.ndarray) -> str:
    """A PDB file: one residue per molecule, cell, atoms in order, and bonds.

    CONECT records stop at atom 99,999, the last that the format can name: hexadecimal ones would make MDAnalysis
    refuse the whole file.

    Args:
        positions_A: (n, 3).
        box_A: (3, 3) lattice vectors as rows.
        bonds: (m, 2) atom indices.
    """
    residues = [f"{name:<4s}" if len(name) == 4 else f"{name:>3s} " for name in residue_names(table)]
    lines = ["REMARK   1 written by lmbmd; who each atom is: atoms.parquet", _cryst1(box_A)]
    columns = zip(
        table.name.tolist(),
        table.element.tolist(),
        table.species_id.tolist(),
        table.molecule.tolist(),
        positions_A.tolist(),
        strict=True,
    )
    for i, (name, element, species, molecule, (x, y, z)) in enumerate(columns):
        padded = f" {name:<3s}" if len(name) < 4 and len(element) < 2 else f"{name:<4.4s}"
        lines.append(
            f"HETATM{_serial(i + 1)} {padded} {residues[species]}A{(molecule + 1) % 10_000:4d}    "
            f"{x:8.3f}{y:8.3f}{z:8.3f}  1.00  0.00          {element:>2s}  "
        )
    return "\n".join([*lines, *_conect(bonds), "END", ""])


def read_pdb(text: str, *, where: str) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n, 3) and box (3, 3), both in Å, of a file that ``pdb_text`` wrote.

    Raises:
        LmbmdError: if there are no atoms, no cell, or a column is no number.
    """
    lines = text.splitlines()
    atoms = [line for line in lines if line.startswith(("ATOM  ", "HETATM"))]
    cell = next((line for line in lines if line.startswith("CRYST1")), None)
    if not atoms or cell is None:
        raise LmbmdError(
            "this PDB file has no atoms or no CRYST1 record.", where=where, remedy="Run the build stage again."
        )
    try:
        positions = np.array([(a[30:38], a[38:46], a[46:54]) for a in atoms], dtype=float)
        lengths = [float(cell[i : i + 9]) for i in (6, 15, 24)]
        angles = np.radians([float(cell[i : i + 7]) for i in (33, 40, 47)])
        if not (np.isfinite(positions).all() and np.isfinite(lengths).all() and np.isfinite(angles).all()):
            raise ValueError("a coordinate is no number")
        with np.errstate(all="ignore"):
            box = _box(lengths, angles)
        if not np.isfinite(box).all() or not 0 < np.linalg.det(box) < _MOST_A3:
            raise ValueError("its cell is no box")
    except ValueError as error:
        raise LmbmdError(
            f"this PDB file is damaged ({error}).", where=where, remedy="Run the build stage again."
        ) from error
    return positions, box


def with_positions(text: str, positions_A: np.ndarray, box_A: np.ndarray) -> str:
    """The same PDB file with other positions and another cell."""
    rows = iter(positions_A.tolist())
    lines = []
    for line in text.splitlines():
        if line.startswith(("ATOM  ", "HETATM")):
            x, y, z = next(rows)
            line = f"{line[:30]}{x:8.3f}{y:8.3f}{z:8.3f}{line[54:]}"
        elif line.startswith("CRYST1"):
            line = _cryst1(box_A)
        lines.append(line)
    return "\n".join([*lines, ""])


def atom_labels(text: str, atoms: Sequence[int]) -> list[str]:
    """Atoms of a PDB file in words, as ``"atom 12 (O1 of DME, molecule 3)"``; both numbers count from 0."""
    lines = [line for line in text.splitlines() if line.startswith(("ATOM  ", "HETATM"))]
    residues = [line[17:26] for line in lines]
    molecule = np.cumsum([a != b for a, b in zip(residues, [residues[0], *residues], strict=False)])
    return [f"atom {i} ({lines[i][12:16].strip()} of {lines[i][17:21].strip()}, molecule {molecule[i]})" for i in atoms]


def _cryst1(box_A: np.ndarray) -> str:
    a, b, c = box_A
    lengths = np.linalg.norm(box_A, axis=1)
    cosines = np.array([b @ c, a @ c, a @ b]) / np.array([lengths[1:].prod(), lengths[::2].prod(), lengths[:2].prod()])
    angles = np.degrees(np.arccos(cosines))
    return "CRYST1{:9.3f}{:9.3f}{:9.3f}{:7.2f}{:7.2f}{:7.2f} P 1           1".format(*lengths, *angles)


def _box(lengths: Sequence[float], angles: np.ndarray) -> np.ndarray:
    cosines = np.where(np.abs(np.cos(angles)) < 1e-9, 0.0, np.cos(angles))
    (a, b, c), (alpha, beta, gamma) = lengths, cosines
    height = np.sqrt(1 - gamma**2)
    cy = (alpha - beta * gamma) / height
    return np.array(
        [[a, 0, 0], [b * gamma, b * height, 0], [c * beta, c * cy, c * np.sqrt(1 - beta**2 - cy**2)]], dtype=float
    )


def _serial(number: int) -> str:
    """An atom's number in five columns: decimal, then hexadecimal from A0000, starting over when full."""
    if number <= _LAST_DECIMAL_SERIAL:
        return f"{number:5d}"
    return f"{0xA0000 + (number - 1 - _LAST_DECIMAL_SERIAL) % 0x60000:5X}"


def _conect(bonds: np.ndarray) -> list[str]:
    partners: dict[int, list[int]] = {}
    for i, j in np.asarray(bonds, dtype=int).reshape(-1, 2).tolist():
        partners.setdefault(i + 1, []).append(j + 1)
        partners.setdefault(j + 1, []).append(i + 1)
    lines = []
    for serial in sorted(partners):
        near = sorted(partners[serial])
        if max(serial, near[-1]) > _LAST_DECIMAL_SERIAL:
            continue
        for k in range(0, len(near), 4):
            lines.append(f"CONECT{serial:5d}" + "".join(f"{n:5d}" for n in near[k : k + 4]))
    return lines
