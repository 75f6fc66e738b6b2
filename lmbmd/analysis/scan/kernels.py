"""Compiled loops over one frame: molecules made whole, a cell grid, and one search that gives contacts and RDF counts.

Positions come as float32, every distance is computed in float64. A box has its lattice vectors a, b, c as rows;
``inverse`` is its inverse, so that ``s = r @ inverse`` are fractional coordinates. The width of the box along
axis k is the distance of its two faces, 1 / |inverse[:, k]|. A vector shorter than half the smallest width is the
shortest of all its periodic images, and rounding ``s`` finds it, in any cell; that is why every search radius here
is bounded by half the smallest width.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit


class Workspace(NamedTuple):
    """Scratch memory of ``search`` for n points, kept between frames: fresh memory costs more than the search.

    Attributes:
        cell: (n,) int32, the cell of each point.  step: (n, 3) int32, lattice steps that bring it into the box.
        order: (n,) int32, points in order of their cells.  packed: (n, 3) float64, wrapped points in that order.
        hit, hit_d2, hit_step: (2 n + 1), (2 n + 1), (2 n + 1, 3), places in ``order`` of the points within reach of
            one query, squared distances, and lattice steps. A point at exactly half the box width is met twice; one
            entry more is for what is written last and not kept.
        near: (2 n + 1) int64, sort keys of the contacts of one query.
    """

    cell: np.ndarray
    step: np.ndarray
    order: np.ndarray
    packed: np.ndarray
    hit: np.ndarray
    hit_d2: np.ndarray
    hit_step: np.ndarray
    near: np.ndarray


def workspace(n: int) -> Workspace:
    """Scratch memory for ``n`` points."""
    return Workspace(
        np.empty(n, np.int32),
        np.empty((n, 3), np.int32),
        np.empty(n, np.int32),
        np.empty((n, 3)),
        np.empty(2 * n + 1, np.int32),
        np.empty(2 * n + 1),
        np.empty((2 * n + 1, 3), np.int32),
        np.empty(2 * n + 1, np.int64),
    )


@njit(cache=True, nogil=True)
def make_whole(
    positions: np.ndarray,
    first_atom: np.ndarray,
    parent: np.ndarray,
    mass: np.ndarray,
    box: np.ndarray,
    inverse: np.ndarray,
    half_width: float,
    whole: np.ndarray,
) -> None:
    """Undo the breaking of molecules over the boundary, and find the mass centres of their units.

    Each atom is put at its image nearest to its parent, starting from the first atom where it stands.

    Args:
        positions: (n, 3) float32 Å.  first_atom: (n_units + 1,) int64.  parent: (n,) int32.  mass: (n,) float64.
        half_width: half the smallest box width, Å.
        whole: (n + n_units, 3) float64, filled with positions plus lattice vectors, then the mass centres.
    """
    half_width2 = half_width * half_width
    for u in range(len(first_atom) - 1):
        sum_x = sum_y = sum_z = total = x0 = y0 = z0 = 0.0
        first = first_atom[u]
        for i in range(first, first_atom[u + 1]):
            x, y, z = float(positions[i, 0]), float(positions[i, 1]), float(positions[i, 2])
            p = parent[i]
            if p < i:
                dx, dy, dz = x - whole[p, 0], y - whole[p, 1], z - whole[p, 2]
                if dx * dx + dy * dy + dz * dz >= half_width2:
                    for k in range(3):
                        n = np.floor(dx * inverse[0, k] + dy * inverse[1, k] + dz * inverse[2, k] + 0.5)
                        x -= n * box[k, 0]
                        y -= n * box[k, 1]
                        z -= n * box[k, 2]
            whole[i, 0], whole[i, 1], whole[i, 2] = x, y, z
            if i == first:
                # Sums are taken from the first atom, so that the mass centre of an ion is the ion to the bit.
                x0, y0, z0 = x, y, z
            sum_x += mass[i] * (x - x0)
            sum_y += mass[i] * (y - y0)
            sum_z += mass[i] * (z - z0)
            total += mass[i]
        c = len(positions) + u
        whole[c, 0], whole[c, 1], whole[c, 2] = x0 + sum_x / total, y0 + sum_y / total, z0 + sum_z / total


@njit(cache=True, nogil=True)
def add_dipoles(
    whole: np.ndarray,
    first_atom: np.ndarray,
    first_unit: np.ndarray,
    mass: np.ndarray,
    charge: np.ndarray,
    species: np.ndarray,
    dipole: np.ndarray,
) -> None:
    """Add the dipoles of molecules to the sums of their species.

    Each is about the mass centre of its molecule, on which that of a neutral one does not depend; what each unit of a
    chain gives to it is added to the sum of the unit's species.

    Args:
        whole: (n + n_units, 3) float64 Å, from ``make_whole``.
        first_atom: (n_units + 1,) int64.  first_unit: (n_molecules + 1,) int64.  mass: (n_units,) float64.
        charge: (n,) float64 e.  species: (n_units,) int32.
        dipole: (n_species, 3) float64 e Å, added to.
    """
    unit = whole[len(charge) :]
    centre = np.empty(3)
    for m in range(len(first_unit) - 1):
        _mass_centre(unit, mass, first_unit[m], first_unit[m + 1], centre)
        for u in range(first_unit[m], first_unit[m + 1]):
            for i in range(first_atom[u], first_atom[u + 1]):
                for k in range(3):
                    dipole[species[u], k] += charge[i] * (whole[i, k] - centre[k])


@njit(cache=True, nogil=True)
def _mass_centre(unit: np.ndarray, mass: np.ndarray, first: int, last: int, centre: np.ndarray) -> None:
    """Fill ``centre`` with that of the units ``first`` … ``last`` − 1; of a single one it is the unit to the bit."""
    for k in range(3):
        centre[k] = total = 0.0
        for u in range(first, last):
            centre[k] += mass[u] * (unit[u, k] - unit[first, k])
            total += mass[u]
        centre[k] = unit[first, k] + centre[k] / total


@njit(cache=True, nogil=True)
def spreads(
    whole: np.ndarray,
    first_atom: np.ndarray,
    first_unit: np.ndarray,
    chain: np.ndarray,
    mass: np.ndarray,
    spread: np.ndarray,
) -> None:
    """Mean square distance of the atoms of each chain from the mass centres of their units, weighted by mass.

    Args:
        whole: (n + n_units, 3) float64 Å, from ``make_whole``.
        first_atom: (n_units + 1,) int64.  first_unit: (n_molecules + 1,) int64.  mass: (n,) float64.
        chain: (n_chains,) int64, the molecules that are chains.
        spread: (n_chains,) float32 Å², filled.
    """
    unit = whole[len(mass) :]
    for c in range(len(chain)):
        found = total = 0.0
        for u in range(first_unit[chain[c]], first_unit[chain[c] + 1]):
            for i in range(first_atom[u], first_atom[u + 1]):
                for k in range(3):
                    found += mass[i] * (whole[i, k] - unit[u, k]) ** 2
                total += mass[i]
        spread[c] = found / total


@njit(cache=True, nogil=True)
def _sort_into_cells(
    points: np.ndarray,
    rows: np.ndarray,
    box: np.ndarray,
    inverse: np.ndarray,
    n_cells: np.ndarray,
    work: Workspace,
) -> np.ndarray:
    """Wrap points into the box and sort them by the cells of a grid (counting sort), along a, then b, then c.

    Fills ``work`` for ``points[rows]``; within a cell points stay in order.

    Returns:
        start: (cells + 1,) int64, where each cell begins in ``work.order``.
    """
    nx, ny, nz = n_cells[0], n_cells[1], n_cells[2]
    start = np.zeros(nx * ny * nz + 1, np.int64)
    at = np.empty(3, np.int64)
    for i in range(len(rows)):
        x, y, z = points[rows[i], 0], points[rows[i], 1], points[rows[i], 2]
        for k in range(3):
            s = x * inverse[0, k] + y * inverse[1, k] + z * inverse[2, k]
            down = np.floor(s)
            work.step[i, k] = -int(down)
            # A point a rounding error below a face has s − down = 1.0: it belongs to the last cell.
            at[k] = min(int((s - down) * n_cells[k]), n_cells[k] - 1)
        work.cell[i] = (at[2] * ny + at[1]) * nx + at[0]
        start[work.cell[i] + 1] += 1
    for c in range(len(start) - 1):
        start[c + 1] += start[c]
    fill = start[:-1].copy()
    for i in range(len(rows)):
        p = fill[work.cell[i]]
        fill[work.cell[i]] += 1
        work.order[p] = i
        for j in range(3):
            work.packed[p, j] = (
                points[rows[i], j]
                + work.step[i, 0] * box[0, j]
                + work.step[i, 1] * box[1, j]
                + work.step[i, 2] * box[2, j]
            )
    return start


@njit(cache=True, nogil=True)
def _cells_in_reach(fraction: float, span: float, n: int, cell: np.ndarray, step: np.ndarray) -> int:
    """Cells that ``fraction ± span`` touches along one axis of ``n`` cells, as cells of the box and its images.

    Fills ``cell`` and ``step`` with cell numbers in [0, n) and lattice steps, in order; returns how many.
    """
    low, high = int(np.floor((fraction - span) * n)), int(np.floor((fraction + span) * n))
    image = int(np.floor(low / n))
    at = low - image * n
    for k in range(high - low + 1):
        cell[k], step[k] = at, image
        at += 1
        if at == n:
            at, image = 0, image + 1
    return high - low + 1


@njit(cache=True, nogil=True)
def _gather(
    x: float,
    y: float,
    z: float,
    cells: np.ndarray,
    steps: np.ndarray,
    n_found: np.ndarray,
    box: np.ndarray,
    start: np.ndarray,
    n_cells: np.ndarray,
    reach2: float,
    work: Workspace,
) -> int:
    """All points within reach of (x, y, z), from the cells that the reach touches, into ``work.hit…``.

    ``cells`` and ``steps`` (3, …) are those of ``_cells_in_reach``, ``n_found`` of them along each axis.
    Writes without a branch: a point that is too far is overwritten by the next. Returns the number of hits.
    """
    nx, ny = n_cells[0], n_cells[1]
    packed, hit, hit_d2, hit_step = work.packed, work.hit, work.hit_d2, work.hit_step
    hits = 0
    for kz in range(n_found[2]):
        for ky in range(n_found[1]):
            row = (cells[2, kz] * ny + cells[1, ky]) * nx
            kx = 0
            while kx < n_found[0]:
                # The cells of this row that lie in one image are one run in memory.
                last = min(n_found[0] - 1, kx + nx - 1 - cells[0, kx])
                begin, end = start[row + cells[0, kx]], start[row + cells[0, last] + 1]
                ix, iy, iz = steps[0, kx], steps[1, ky], steps[2, kz]
                sx = x - ix * box[0, 0] - iy * box[1, 0] - iz * box[2, 0]
                sy = y - ix * box[0, 1] - iy * box[1, 1] - iz * box[2, 1]
                sz = z - ix * box[0, 2] - iy * box[1, 2] - iz * box[2, 2]
                for p in range(begin, end):
                    dx, dy, dz = packed[p, 0] - sx, packed[p, 1] - sy, packed[p, 2] - sz
                    d2 = dx * dx + dy * dy + dz * dz
                    hit[hits], hit_d2[hits] = p, d2
                    hit_step[hits, 0], hit_step[hits, 1], hit_step[hits, 2] = ix, iy, iz
                    hits += d2 <= reach2
                kx = last + 1
    return hits


@njit(cache=True, nogil=True)
def _tally(
    hits: int,
    work: Workspace,
    label: np.ndarray,
    molecule: np.ndarray,
    own_molecule: int,
    own_step: np.ndarray,
    reach: float,
    n_contact: int,
    contact_radius: float,
    bins_per_A: float,
    counts: np.ndarray,
    contact: np.ndarray,
    distance: np.ndarray,
    image: np.ndarray,
    found: int,
) -> int:
    """Count the hits of one query in its histogram and append its contacts; returns the new number of contacts."""
    contact2, n_bins, near = contact_radius * contact_radius, counts.shape[1], 0
    for h in range(hits):
        i = work.order[work.hit[h]]
        if molecule[i] == own_molecule:
            continue
        d = np.sqrt(work.hit_d2[h])
        bin_ = int(d * bins_per_A)
        if d < reach and bin_ < n_bins:
            counts[label[i], bin_] += 1
        if work.hit_d2[h] <= contact2 and i < n_contact:
            # Sorted in by point; rows are short. The key holds the point and where its hit is.
            key, j = (np.int64(i) << 32) + h, near
            while j > 0 and work.near[j - 1] > key:
                work.near[j] = work.near[j - 1]
                j -= 1
            work.near[j] = key
            near += 1
    for j in range(near):
        i, h = work.near[j] >> 32, work.near[j] & 0xFFFFFFFF
        contact[found + j], distance[found + j] = i, np.sqrt(work.hit_d2[h])
        for k in range(3):
            image[found + j, k] = work.step[i, k] - own_step[k] + work.hit_step[h, k]
    return found + near


@njit(cache=True, nogil=True)
def _walk(
    q: int,
    points: np.ndarray,
    query: np.ndarray,
    query_label: np.ndarray,
    query_molecule: np.ndarray,
    label: np.ndarray,
    molecule: np.ndarray,
    start: np.ndarray,
    n_cells: np.ndarray,
    box: np.ndarray,
    inverse: np.ndarray,
    reach: float,
    n_contact: int,
    contact_radius: float,
    bins_per_A: float,
    histogram: np.ndarray,
    offsets: np.ndarray,
    contact: np.ndarray,
    distance: np.ndarray,
    image: np.ndarray,
    work: Workspace,
) -> int:
    """Search from query ``q`` on, until all are done or the contact list is full; returns the next query."""
    span, fraction = np.empty(3), np.empty(3)
    for k in range(3):
        # Slightly more than needed, so that rounding loses no pair at exactly the radius.
        span[k] = 1.000001 * reach * np.sqrt(inverse[0, k] ** 2 + inverse[1, k] ** 2 + inverse[2, k] ** 2)
    most = int((2 * span * n_cells).max()) + 2
    cells, steps = np.empty((3, most), np.int64), np.empty((3, most), np.int64)
    n_found, own_step = np.empty(3, np.int64), np.empty(3, np.int64)
    while q < len(query):
        x, y, z = points[query[q], 0], points[query[q], 1], points[query[q], 2]
        for k in range(3):
            s = x * inverse[0, k] + y * inverse[1, k] + z * inverse[2, k]
            own_step[k] = -int(np.floor(s))
            fraction[k] = s + own_step[k]
        x += own_step[0] * box[0, 0] + own_step[1] * box[1, 0] + own_step[2] * box[2, 0]
        y += own_step[0] * box[0, 1] + own_step[1] * box[1, 1] + own_step[2] * box[2, 1]
        z += own_step[0] * box[0, 2] + own_step[1] * box[1, 2] + own_step[2] * box[2, 2]
        for k in range(3):
            n_found[k] = _cells_in_reach(fraction[k], span[k], n_cells[k], cells[k], steps[k])
        hits = _gather(x, y, z, cells, steps, n_found, box, start, n_cells, reach * reach, work)
        if offsets[q] + hits > len(contact):
            return q
        offsets[q + 1] = _tally(
            hits,
            work,
            label,
            molecule,
            query_molecule[q],
            own_step,
            reach,
            n_contact,
            contact_radius,
            bins_per_A,
            histogram[query_label[q]],
            contact,
            distance,
            image,
            offsets[q],
        )
        q += 1
    return q


@njit(cache=True, nogil=True)
def search(
    points: np.ndarray,
    query: np.ndarray,
    query_label: np.ndarray,
    query_molecule: np.ndarray,
    point: np.ndarray,
    label: np.ndarray,
    molecule: np.ndarray,
    n_contact: int,
    box: np.ndarray,
    inverse: np.ndarray,
    reach: float,
    contact_radius: float,
    bins_per_A: float,
    n_cells: np.ndarray,
    histogram: np.ndarray,
    work: Workspace,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Look from every query at all points nearer than ``reach``: count them in a histogram, list the contacts.

    A molecule is not its own neighbour. Each pair is met once, at its nearest image, for ``reach`` is at most half
    the smallest box width.

    Args:
        points: (n, 3) float64 Å, anywhere in space.
        query, point: (n_query,) and (n_point,) int64, rows of ``points``.
        query_label, label: int64, row and column of the histogram for each query and each point.
        query_molecule, molecule: int64, the molecule of each query and each point.
        n_contact: the first ``n_contact`` points can make contacts, the others are only counted.
        reach: Å; pairs with distance < reach are counted in bin ``floor(distance · bins_per_A)``.
        contact_radius: Å, at most ``reach``; pairs with distance ≤ contact_radius are listed.
        n_cells: (3,) int64, the grid.
        histogram: (n_query_labels, n_point_labels, n_bins) int64, added to.
        work: scratch memory for n_point points.

    Returns:
        offsets: (n_query + 1,) int64, rows of the contact list.
        contact: (n_contacts,) int32, places in ``point``, ascending within a row.
        distance: (n_contacts,) float32 Å.
        image: (n_contacts, 3) int32 lattice steps: the contact's vector is point + image @ box − query.
    """
    start = _sort_into_cells(points, point, box, inverse, n_cells, work)
    offsets = np.zeros(len(query) + 1, np.int64)
    capacity = 32 * (len(query) + 1)
    contact, distance = np.empty(capacity, np.int32), np.empty(capacity, np.float32)
    image = np.empty((capacity, 3), np.int32)
    q = 0
    while True:
        q = _walk(
            q,
            points,
            query,
            query_label,
            query_molecule,
            label,
            molecule,
            start,
            n_cells,
            box,
            inverse,
            reach,
            n_contact,
            contact_radius,
            bins_per_A,
            histogram,
            offsets,
            contact,
            distance,
            image,
            work,
        )
        if q == len(query):
            break
        contact, distance, image = _grow(contact), _grow(distance), _grow(image)
    found = offsets[-1]
    return offsets, contact[:found].copy(), distance[:found].copy(), image[:found].copy()


@njit(cache=True, nogil=True)
def _grow(array: np.ndarray) -> np.ndarray:
    bigger = np.empty((2 * array.shape[0], *array.shape[1:]), array.dtype)
    bigger[: array.shape[0]] = array
    return bigger
