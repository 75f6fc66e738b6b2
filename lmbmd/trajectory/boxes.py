"""Whether a periodic box is that of the positions in it: in one unit, and the one that other files state."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell, with_images
from lmbmd.data.frames import Frame

#: No box of atoms is longer: 0.1 mm, Å.
MOST_A = 1e6
#: More atoms per Å³ than this is no matter (diamond has 0.18): box and positions are not both in Å.
_DENSEST_PER_A3 = 1.0
#: A box whose length differs from that of the first frame by more than this factor has changed its unit.
_UNIT_JUMP = 4.0
#: Atoms of two molecules are not so close in any liquid (a hydrogen bond has 1.5 Å), Å.
_CLASH_A = 0.9
#: A liquid of so many atoms fills its box; one that takes up less than this part of each edge is in a box of another.
_MANY, _FILLED = 100, 0.3
#: A file's own box may be that of a start with bad contacts: in one of molecules placed at random 4 % of the atoms were
#: so near. In one of half the length a tenth is.
_CLASHING = 0.05
#: What to do about a box that the species map tells, and about one that the file has.
_TELL = "Tell the box of this run, in Å; its lengths may be in another unit."
_WRITE = (
    "The file's box is not that of its positions, or atoms and species are mixed up: write the trajectory with the box "
    "that the run had."
)
#: Two statements of one box differ by no more than this share of an edge, and by this angle: one was rounded.
_ROUNDED, _ROUNDED_DEG = 2e-3, 0.1


def stated(reader: Any, step: Any) -> np.ndarray | None:
    """(3, 3) lattice vectors (Å) of the frame that a reader of MDAnalysis is at; None or zeros if it states none.

    MDAnalysis takes the tilt factors of a GSD file for cosines of angles, which they are of a rectangular box only.
    """
    found, part = step.triclinic_dimensions, getattr(reader, "active_reader", reader)
    if part.format != "GSD" or found is None or np.allclose(step.dimensions[3:], 90.0, atol=1e-4):
        return None if found is None else np.array(found, float)
    x, y, z, xy, xz, yz = np.asarray(part._file[part._frame].configuration.box, float)
    return np.array([[x, 0.0, 0.0], [xy * y, y, 0.0], [xz * z, yz * z, z]])


def check(box: np.ndarray, n_atoms: int, first_volume_A3: float | None, where: str) -> None:
    longest_A = np.abs(box).max()
    if np.isfinite(longest_A) and longest_A > MOST_A:
        raise LmbmdError(
            f"the box is {longest_A:.3g} Å long.",
            where=where,
            remedy="The frame is damaged, or its lengths are in another unit: write it again with lengths in Å.",
        )
    volume = Cell(box).volume_A3
    if not np.isfinite(volume) or volume < 1e-6:
        raise LmbmdError(
            "there is no periodic box (its volume is zero).",
            where=where,
            remedy="Distances and densities need one: write the trajectory with its box, or give one that does not "
            "change in the species map (box).",
        )
    if n_atoms / volume > _DENSEST_PER_A3:
        raise LmbmdError(
            f"the box holds {n_atoms / volume:.0f} atoms per Å³.",
            where=where,
            remedy="Its lengths are probably in nm; lmbmd needs them in Å, as MDAnalysis reads them.",
        )
    if first_volume_A3 is not None:
        ratio = (volume / first_volume_A3) ** (1 / 3)
        if max(ratio, 1 / ratio) > _UNIT_JUMP:
            raise LmbmdError(
                f"the box is {ratio:.3g} times as long as in the first frame.",
                where=where,
                remedy="It seems to change its length unit (Å or nm) there; convert or split the trajectory.",
            )


def told(box: np.ndarray, told_A: np.ndarray, where: str) -> np.ndarray:
    """The told box, for a frame that has none."""
    if np.any(box):
        raise LmbmdError(
            f"the trajectory has a box of its own: {words(box)}{unlike(box, told_A)}.",
            where=where,
            remedy="Take 'box' out of the species map, or write the trajectory without its box if that is wrong.",
        )
    return told_A


def _edges(box: np.ndarray) -> np.ndarray:
    """(6,) edges (Å) and angles (degrees)."""
    from MDAnalysis.lib.mdamath import triclinic_box

    return np.asarray(triclinic_box(*np.asarray(box, np.float64)), float)


def words(box: np.ndarray) -> str:
    """A box as a reader writes it: edges, and angles if they are not right."""
    edges = _edges(box)
    angles = "" if np.allclose(edges[3:], 90, atol=1e-3) else ", " + ", ".join(f"{x:.6g}°" for x in edges[3:])
    return " × ".join(f"{x:.6g}" for x in edges[:3]) + f" Å{angles}"


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether two boxes are the same within rounding, however they are turned."""
    first, second = _edges(one), _edges(other)
    return np.allclose(first[:3], second[:3], rtol=_ROUNDED) and np.allclose(first[3:], second[3:], atol=_ROUNDED_DEG)


def unlike(stated: np.ndarray, told_A: np.ndarray) -> str:
    """What the species map says, beside what a file states; with the factor where it is one of units."""
    if same(stated, told_A):
        return ", as the species map says too"
    ratio = _edges(told_A)[:3] / _edges(stated)[:3]
    unit = next((f" ({hint})" for by, hint in _UNITS.items() if np.allclose(ratio, by, rtol=0.05)), "")
    return f", the species map {words(told_A)}{unit}"


_UNITS = {0.1: "is it in nm? it must be in Å", 10.0: "ten times as long: was it in Å before it was multiplied?"}


def check_filled(frame: Frame, where: str) -> None:
    """Refuse a box, told by a species map, of which all atoms lie in a corner: it is that of another run or unit.

    A file's own box may be larger than what is in it (a droplet).

    Args:
        frame: the first one.
        where: the frame, for the message.
    """
    cell = Cell(frame.box).reduced
    extent = np.ptp(frame.positions.astype(float) @ cell.inverse_per_A, axis=0)
    if len(frame.positions) >= _MANY and (extent < _FILLED).all():
        raise LmbmdError(
            f"all {len(frame.positions)} atoms lie within {' × '.join(f'{x:.1f}' for x in extent * cell.widths_A)} Å "
            f"of a box of {words(frame.box)}.",
            where=where,
            remedy=_TELL,
        )


def check_apart(frame: Frame, atoms: AtomTable, where: str, is_told: bool) -> None:
    """Refuse a box in which molecules lie over one another: it is that of another run or unit.

    Args:
        frame: the first one, in the order of ``atoms``.
        atoms: who every atom is.
        where: the frame, for the message.
        is_told: whether the species map states the box; a file's own may have some atoms too close.
    """
    most, remedy = (0.0, _TELL) if is_told else (_CLASHING, _WRITE)
    cell = Cell(frame.box).reduced
    fraction = frame.positions.astype(float) @ cell.inverse_per_A
    points, owner = with_images(fraction - np.floor(fraction), _CLASH_A / cell.widths_A)
    tree = cKDTree(points @ cell.vectors_A)
    # The nearest few suffice, and atoms that all lie at one point cost no more.
    apart_A, near = tree.query(tree.data[: len(fraction)], k=5, distance_upper_bound=_CLASH_A)
    atom, place = np.nonzero(np.isfinite(apart_A))
    apart_A, near = apart_A[atom, place], owner[near[atom, place]]
    other = atoms.molecule[atom] != atoms.molecule[near]
    clashing = len(np.unique(atom[other]))
    if clashing <= most * len(fraction):
        return
    nearest = np.flatnonzero(other)[np.argmin(apart_A[other])]
    i, j = atom[nearest], near[nearest]
    raise LmbmdError(
        f"{clashing} atoms are closer than {_CLASH_A} Å to one of another molecule, {atoms.name[i]} and "
        f"{atoms.name[j]} {apart_A[other].min():.2f} Å, in a box of {words(frame.box)}.",
        where=where,
        remedy=remedy,
    )
