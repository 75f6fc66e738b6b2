"""Compiled loops over one frame: molecules made whole, a cell grid, and one search that gives contacts and RDF counts.

Positions come as float32, every distance is computed in float64. A box has its lattice vectors a, b, c as rows;
``inverse`` is its inverse, so that ``s = r @ inverse`` are fractional coordinates. The width of the box along
axis k is the distance of its two faces, 1 / |inverse[:, k]|. A vector shorter than half the smallest width is the
shortest of all its periodic images, and rounding ``s`` finds it, in any cell; that is why every search radius here
is bounded by half the smallest width.
"""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def make_whole(positions, first_atom, mass, box, inverse, half_width, whole, centre):
    """Undo the breaking of molecules over the boundary, and find their mass centres.

    Atom i of a molecule is put at its image nearest to atom i − 1, starting from the first atom where it stands.

    Args:
        positions: (n, 3) float32 Å.  first_atom: (n_molecules + 1,) int64.  mass: (n,) float64.
        half_width: half the smallest box width, Å.
        whole: (n, 3) float64, filled with positions plus lattice vectors.
        centre: (n_molecules, 3) float64, filled with the mass centres of the whole molecules.
    """
    half_width2 = half_width * half_width
    for m in range(len(first_atom) - 1):
        shift_x = shift_y = shift_z = 0.0
        sum_x = sum_y = sum_z = total = 0.0
        first = first_atom[m]
        for i in range(first, first_atom[m + 1]):
            x, y, z = float(positions[i, 0]), float(positions[i, 1]), float(positions[i, 2])
            if i > first:
                dx, dy, dz = x - positions[i - 1, 0], y - positions[i - 1, 1], z - positions[i - 1, 2]
                if dx * dx + dy * dy + dz * dz >= half_width2:
                    for k in range(3):
                        n = np.floor(dx * inverse[0, k] + dy * inverse[1, k] + dz * inverse[2, k] + 0.5)
                        shift_x -= n * box[k, 0]
                        shift_y -= n * box[k, 1]
                        shift_z -= n * box[k, 2]
            whole[i, 0], whole[i, 1], whole[i, 2] = x + shift_x, y + shift_y, z + shift_z
            sum_x += mass[i] * whole[i, 0]
            sum_y += mass[i] * whole[i, 1]
            sum_z += mass[i] * whole[i, 2]
            total += mass[i]
        centre[m, 0], centre[m, 1], centre[m, 2] = sum_x / total, sum_y / total, sum_z / total


@njit(cache=True, nogil=True)
def wrap(points, box, inverse):
    """Points moved into the box, their fractional coordinates in [0, 1], and the lattice steps that moved them.

    Returns:
        (n, 3) float64 wrapped points Å, (n, 3) float64 fractional coordinates, (n, 3) int64 steps, with
        ``wrapped = points + steps @ box``.
    """
    n = len(points)
    wrapped, fraction, step = np.empty((n, 3)), np.empty((n, 3)), np.empty((n, 3), np.int64)
    for i in range(n):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        wx, wy, wz = x, y, z
        for k in range(3):
            s = x * inverse[0, k] + y * inverse[1, k] + z * inverse[2, k]
            down = np.floor(s)
            fraction[i, k] = s - down
            step[i, k] = -int(down)
            wx -= down * box[k, 0]
            wy -= down * box[k, 1]
            wz -= down * box[k, 2]
        wrapped[i, 0], wrapped[i, 1], wrapped[i, 2] = wx, wy, wz
    return wrapped, fraction, step


@njit(cache=True, nogil=True)
def sort_into_cells(fraction, n_cells):
    """Counting sort of points into a grid of cells; the cells along a are neighbours in memory.

    Args:
        fraction: (n, 3) fractional coordinates in [0, 1].
        n_cells: (3,) int64, cells along a, b and c.

    Returns:
        order: (n,) int64, the points in order of their cells, within a cell in order of index.
        start: (cells + 1,) int64, where each cell begins in ``order``.
    """
    n = len(fraction)
    nx, ny, nz = n_cells[0], n_cells[1], n_cells[2]
    cell = np.empty(n, np.int64)
    start = np.zeros(nx * ny * nz + 1, np.int64)
    for i in range(n):
        # A point a rounding error below a face has fraction 1.0: it belongs to the last cell.
        cx = min(int(fraction[i, 0] * nx), nx - 1)
        cy = min(int(fraction[i, 1] * ny), ny - 1)
        cz = min(int(fraction[i, 2] * nz), nz - 1)
        cell[i] = (cz * ny + cy) * nx + cx
        start[cell[i] + 1] += 1
    for c in range(len(start) - 1):
        start[c + 1] += start[c]
    order = np.empty(n, np.int64)
    fill = start[:-1].copy()
    for i in range(n):
        order[fill[cell[i]]] = i
        fill[cell[i]] += 1
    return order, start


@njit(cache=True, nogil=True)
def _grow(array):
    bigger = np.empty((2 * array.shape[0], *array.shape[1:]), array.dtype)
    bigger[: array.shape[0]] = array
    return bigger


@njit(cache=True, nogil=True)
def _sort_row(atom, distance, image, first, last):
    """Insertion sort of one row of contacts by atom index; rows are short."""
    for i in range(first + 1, last):
        a, d = atom[i], distance[i]
        ix, iy, iz = image[i, 0], image[i, 1], image[i, 2]
        j = i
        while j > first and atom[j - 1] > a:
            atom[j], distance[j] = atom[j - 1], distance[j - 1]
            image[j, 0], image[j, 1], image[j, 2] = image[j - 1, 0], image[j - 1, 1], image[j - 1, 2]
            j -= 1
        atom[j], distance[j] = a, d
        image[j, 0], image[j, 1], image[j, 2] = ix, iy, iz


@njit(cache=True, nogil=True)
def search(
    query, query_label, query_molecule, point, point_label, point_molecule, point_atom,
    box, inverse, reach, contact_radius, bins_per_A, n_cells, histogram,
):  # fmt: skip
    """Look from every query at all points nearer than ``reach``: count them in a histogram, list the contacts.

    A molecule is not its own neighbour. Each pair is met once, at its nearest image, for ``reach`` is at most half
    the smallest box width.

    Args:
        query, point: (n, 3) float64 Å, anywhere; ``*_label``: (n,) int64 rows and columns of the histogram;
        ``*_molecule``: (n,) int64.
        point_atom: (n,) int64, atom index of a donor site, −1 for a point that makes no contact.
        reach: Å; pairs with distance < reach are counted in bin ``floor(distance · bins_per_A)``.
        contact_radius: Å, at most ``reach``; pairs with distance ≤ contact_radius and an atom are listed.
        n_cells: (3,) int64, the grid.
        histogram: (n_query_labels, n_point_labels, n_bins) int64, added to.

    Returns:
        offsets: (n_query + 1,) int64, rows of the contact list.
        atom: (n_contacts,) int32, ascending within a row.
        distance: (n_contacts,) float64 Å.
        image: (n_contacts, 3) int64 lattice steps: the contact's vector is point + image @ box − query.
    """
    query_in, query_fraction, query_step = wrap(query, box, inverse)
    point_in, point_fraction, point_step = wrap(point, box, inverse)
    order, start = sort_into_cells(point_fraction, n_cells)
    packed = point_in[order]
    label = point_label[order]
    n_bins = histogram.shape[2]
    reach2, contact2 = reach * reach, contact_radius * contact_radius
    span = np.empty(3)
    for k in range(3):
        # Slightly more than needed, so that rounding loses no pair at exactly the radius.
        span[k] = 1.000001 * reach * np.sqrt(inverse[0, k] ** 2 + inverse[1, k] ** 2 + inverse[2, k] ** 2)
    nx, ny, nz = n_cells[0], n_cells[1], n_cells[2]

    n_query = len(query)
    offsets = np.zeros(n_query + 1, np.int64)
    capacity = 64 * (n_query + 1)
    atom, distance, image = np.empty(capacity, np.int32), np.empty(capacity), np.empty((capacity, 3), np.int64)
    found = 0
    low, high = np.empty(3, np.int64), np.empty(3, np.int64)
    for q in range(n_query):
        counts = histogram[query_label[q]]
        for k in range(3):
            low[k] = int(np.floor((query_fraction[q, k] - span[k]) * n_cells[k]))
            high[k] = int(np.floor((query_fraction[q, k] + span[k]) * n_cells[k]))
        for z in range(low[2], high[2] + 1):
            image_z = z // nz
            for y in range(low[1], high[1] + 1):
                image_y = y // ny
                row = ((z - image_z * nz) * ny + (y - image_y * ny)) * nx
                x = low[0]
                while x <= high[0]:
                    # The cells of this row that lie in one image are one run in memory.
                    image_x = x // nx
                    last = min(high[0], image_x * nx + nx - 1)
                    begin, end = start[row + x - image_x * nx], start[row + last - image_x * nx + 1]
                    x = last + 1
                    qx = query_in[q, 0] - image_x * box[0, 0] - image_y * box[1, 0] - image_z * box[2, 0]
                    qy = query_in[q, 1] - image_x * box[0, 1] - image_y * box[1, 1] - image_z * box[2, 1]
                    qz = query_in[q, 2] - image_x * box[0, 2] - image_y * box[1, 2] - image_z * box[2, 2]
                    for p in range(begin, end):
                        dx, dy, dz = packed[p, 0] - qx, packed[p, 1] - qy, packed[p, 2] - qz
                        d2 = dx * dx + dy * dy + dz * dz
                        if d2 > reach2:
                            continue
                        i = order[p]
                        if point_molecule[i] == query_molecule[q]:
                            continue
                        d = np.sqrt(d2)
                        bin_ = int(d * bins_per_A)
                        if d2 < reach2 and bin_ < n_bins:
                            counts[label[p], bin_] += 1
                        if d2 <= contact2 and point_atom[i] >= 0:
                            if found == len(atom):
                                atom, distance, image = _grow(atom), _grow(distance), _grow(image)
                            atom[found] = point_atom[i]
                            distance[found] = d
                            image[found, 0] = point_step[i, 0] - query_step[q, 0] + image_x
                            image[found, 1] = point_step[i, 1] - query_step[q, 1] + image_y
                            image[found, 2] = point_step[i, 2] - query_step[q, 2] + image_z
                            found += 1
        offsets[q + 1] = found
        _sort_row(atom, distance, image, offsets[q], found)
    return offsets, atom[:found], distance[:found], image[:found]
