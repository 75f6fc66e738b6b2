"""Representative shells and clusters as coordinate files, whole across the boundary, ready for quantum chemistry.

``pick_*`` choose instances from the contact table, ``write_snapshots`` cuts them out of the trajectory;
``export_snapshots`` does both for a description. What is chosen: docs/theory/shells.md.
"""

from __future__ import annotations

import json
import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from lmbmd.analysis.first_shell import FirstShell, FirstShells
from lmbmd.analysis.shells.coordination import compositions, ligand_columns, ligand_species, shell_label
from lmbmd.analysis.shells.cutoffs import Cutoffs
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import write_text
from lmbmd.data.atoms import AtomTable
from lmbmd.data.cell import Cell
from lmbmd.data.contacts import Contacts, FrameContacts
from lmbmd.data.described import Described
from lmbmd.data.frames import Frame


@dataclass(frozen=True, eq=False)
class Pick:
    """One instance to be cut out.

    Attributes:
        name: of the files, e.g. ``"shell-1_DME3-FSI1"``.
        label: what it is, for the comment line.
        frame: index of the frame (``FrameContacts.index``).
        time_ps: of the frame.
        units: (n,) int64, small molecules and units of chains; the first is the centre from which all others are
            placed.
        position_A: (n, 3) where the mass centre of each is, in one unbroken picture.
        charge: sum of formal charges, e.
        contacts: (m, 2) int64, atoms of the box: a centre and a donor atom in contact with it.
    """

    name: str
    label: str
    frame: int
    time_ps: float
    units: np.ndarray
    position_A: np.ndarray
    charge: int
    contacts: np.ndarray = field(default_factory=lambda: np.empty((0, 2), np.int64))


def export_snapshots(
    contacts: Contacts,
    sample: Iterable[Frame],
    atoms: AtomTable,
    described: Described,
    folder: str | os.PathLike[str],
    top_shells: int = 5,
    replica: int = 1,
) -> list[Path]:
    """Write the most frequent shells of a description and the largest finite cluster of one of its replicas.

    Beside the coordinate files goes ``snapshots.json`` (``records``), which says what they show.

    Args:
        contacts: of one replica.
        sample: whole frames of it (``trajectory.sample``), by their numbers; only these are looked at.
        atoms: who the atoms are.
        described: the description, which knows the cut-offs, the centre and the shells.
        folder: where the files go.
        top_shells: so many shell types.
        replica: the number of the replica, for the record.

    Returns:
        the files (``write_snapshots``), the record last. Shell types that no frame of the sample has are left out.
    """
    kept = {frame.index: frame for frame in sample}
    cutoffs = Cutoffs.from_table(described.tables["cutoffs"], atoms)
    labels = described.tables["shells"]["label"].head(top_shells).tolist()
    shells = FirstShells([frame for frame in contacts if frame.index in kept], cutoffs, atoms)
    picks = pick_shells(shells, atoms, described.facts["centre"], labels)
    cluster = pick_largest_cluster(shells, atoms)
    picks += [cluster] if cluster else []
    cut: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    paths = write_snapshots(picks, kept.values(), atoms, folder, cut)
    record = Path(folder) / "snapshots.json"
    write_text(record, json.dumps(records(picks, cut, atoms, replica), ensure_ascii=False, indent=1) + "\n")
    return [*paths, record]


def records(
    picks: Sequence[Pick], cut: Mapping[str, tuple[np.ndarray, np.ndarray]], atoms: AtomTable, replica: int
) -> list[dict]:
    """What each pick shows, as plain data: one record each, in their order.

    Keys: ``name`` (of the files), ``label``, ``replica``, ``frame``, ``time_ps``, ``charge_e``, ``species`` (name and
    number of atoms of each molecule or unit, in the order of the atoms), ``element`` (of each atom), ``xyz_A`` (of each
    atom, the first at the origin), ``bonds`` (pairs of atoms of the record; None if the atom table knows none) and
    ``contacts`` (pairs of atoms of the record: centre and donor).

    Args:
        picks: what was chosen.
        cut: by name, what ``cut_out`` gives.
        atoms: who the atoms are.
        replica: the number of the replica.
    """
    found = []
    for pick in picks:
        index, x = cut[pick.name]
        place = {atom: k for k, atom in enumerate(index.tolist())}
        found.append(
            {
                "name": pick.name,
                "label": pick.label,
                "replica": replica,
                "frame": pick.frame,
                "time_ps": pick.time_ps,
                "charge_e": pick.charge,
                "species": [
                    [atoms.species[atoms.unit_species[u]].name, int(np.diff(atoms.first_atom_of_unit[u : u + 2])[0])]
                    for u in pick.units
                ],
                "element": [str(e) for e in atoms.element[index]],
                "xyz_A": x.round(3).tolist(),
                "bonds": _bonds_among(place, atoms),
                "contacts": [[place[a], place[b]] for a, b in pick.contacts.tolist()],
            }
        )
    return found


def _bonds_among(place: Mapping[int, int], atoms: AtomTable) -> list[list[int]] | None:
    """Bonds between atoms of a record, by their places in it."""
    if atoms.bonds is None:
        return None
    inside = np.isin(atoms.bonds, list(place)).all(axis=1)
    return sorted(sorted((place[a], place[b])) for a, b in atoms.bonds[inside].tolist())


def pick_shells(shells: Iterable[FirstShell], atoms: AtomTable, centre: str, labels: Sequence[str]) -> list[Pick]:
    """For each shell type the instance most like its mean.

    Each instance is told by its donor distances in ascending order. Among the instances with the most common number
    of donor atoms, the one whose distances are closest to their mean (least squares) is taken; of equals the
    first.

    Args:
        shells: of the frames of one replica; iterated over twice.
        atoms: who the atoms are.
        centre: the primary species.
        labels: shell types as ``shell_label`` spells them, e.g. from the table ``shells``.

    Returns:
        one Pick per label that occurs, in the order of ``labels``.
    """
    wanted = set(labels)
    sums: dict[str, dict[int, tuple[int, np.ndarray]]] = defaultdict(dict)
    for _, label, distance, _ in _instances(shells, atoms, centre, wanted):
        n, total = sums[label].get(len(distance), (0, np.zeros(len(distance))))
        sums[label][len(distance)] = n + 1, total + distance
    mean = {}
    for label, by_size in sums.items():
        _, smaller = max((n, -k) for k, (n, _) in by_size.items())
        size = -smaller
        mean[label] = by_size[size][1] / by_size[size][0]
    best: dict[str, tuple[float, Pick]] = {}
    for shell, label, distance, number in _instances(shells, atoms, centre, wanted):
        if len(distance) == len(mean[label]):
            score = float(((distance - mean[label]) ** 2).sum())
            if label not in best or score < best[label][0]:
                best[label] = score, shell_pick(shell, atoms, label, number)
    ranks = {label: rank for rank, label in enumerate(labels, start=1)}
    return [_renamed(best[label][1], f"shell-{ranks[label]}") for label in labels if label in best]


def _instances(
    shells: Iterable[FirstShell], atoms: AtomTable, centre: str, wanted: set[str]
) -> Iterable[tuple[FrameContacts, str, np.ndarray, int]]:
    """(contacts, label, sorted donor distances, number of the centre) of every wanted shell."""
    names = [atoms.species[k].name for k in ligand_species(atoms)]
    column = ligand_columns(atoms)
    primary = np.flatnonzero(atoms.species_id[atoms.centres] == atoms.species_index(centre))
    for shell in shells:
        contacts = shell.contacts
        found = compositions(shell.pairs, column, len(atoms.centres), len(names))
        for number in primary:
            label = shell_label(found[number], names)
            if label in wanted:
                distance = contacts.distance[contacts.offsets[number] : contacts.offsets[number + 1]]
                yield contacts, label, np.sort(distance).astype(float), int(number)


def shell_pick(shell: FrameContacts, atoms: AtomTable, label: str, number: int) -> Pick:
    """The centre and the units of its shell, each where the contact's edge says it is."""
    row = slice(shell.offsets[number], shell.offsets[number + 1])
    molecules, first = np.unique(atoms.unit[shell.atom[row]], return_index=True)
    here = shell.centre[number].astype(float)
    members = np.append(atoms.unit[atoms.centres[number]], molecules).astype(np.int64)
    position = np.vstack([here, here + shell.edge[row][first]])
    contacts = np.column_stack([np.full(row.stop - row.start, atoms.centres[number]), shell.atom[row]])
    return Pick(label, label, shell.index, shell.time_ps, members, position, _charge(atoms, members), contacts)


def pick_largest_cluster(shells: Iterable[FirstShell], atoms: AtomTable) -> Pick | None:
    """The largest finite cluster of these frames (the first of equals), with the molecules bound to its centres.

    None if there is no finite cluster of two ions.
    """
    best, size = None, 1
    for shell in shells:
        graph = shell.graph
        finite = np.where(graph.rank == 0, graph.size, 0)
        if len(finite) and finite.max() > size:
            size = int(finite.max())
            best = _cluster_pick(shell, atoms, np.flatnonzero(graph.label == finite.argmax()))
    return best


def _cluster_pick(first: FirstShell, atoms: AtomTable, nodes: np.ndarray) -> Pick:
    shell, ions, position = first.contacts, first.ions, first.graph.position
    listed, places = list(ions.unit[nodes]), list(position[nodes])
    inside = set(listed)
    for node in nodes[nodes < ions.n_centres]:
        for k in range(shell.offsets[node], shell.offsets[node + 1]):
            molecule = int(atoms.unit[shell.atom[k]])
            if molecule not in inside:
                inside.add(molecule)
                listed.append(molecule)
                places.append(position[node] + shell.edge[k])
    members = np.array(listed, np.int64)
    centre = np.repeat(np.arange(ions.n_centres), np.diff(shell.offsets))
    inside_it = np.isin(centre, nodes)
    contacts = np.column_stack([atoms.centres[centre[inside_it]], shell.atom[inside_it]])
    pick = Pick(
        "",
        f"{len(nodes)} ions",
        shell.index,
        shell.time_ps,
        members,
        np.array(places),
        _charge(atoms, members),
        contacts,
    )
    return _renamed(pick, "cluster")


def _charge(atoms: AtomTable, molecules: np.ndarray) -> int:
    return sum(atoms.species[k].charge for k in atoms.unit_species[molecules])


def _renamed(pick: Pick, prefix: str) -> Pick:
    name = f"{prefix}_{re.sub(r'[^A-Za-z0-9]+', '-', pick.label)}"
    return replace(pick, name=name)


def cut_out(pick: Pick, frame: Frame, atoms: AtomTable) -> tuple[np.ndarray, np.ndarray]:
    """The atoms of a pick and where they are, every unit whole and at its place, the first at the origin.

    Within a molecule each atom is put at its image nearest to its parent; of a chain the unit is then cut out.

    Returns:
        atom (n,) int64 indices, positions (n, 3) float64 in Å.
    """
    cell = Cell(frame.box).reduced
    picked, places = [], []
    for unit, where in zip(pick.units, pick.position_A, strict=True):
        first = atoms.first_atom[atoms.unit_molecule[unit]]
        start, end = atoms.first_atom_of_unit[unit : unit + 2]
        x = frame.positions[first:end].astype(float)
        for i, parent in enumerate(atoms.parent[first:end] - first):
            x[i] -= np.rint((x[i] - x[parent]) @ cell.inverse_per_A) @ cell.vectors_A
        span, x = np.arange(start, end), x[start - first :]
        picked.append(span)
        places.append(x - np.average(x, axis=0, weights=atoms.mass_amu[span]) + where)
    # Rounded far below the resolution of the files, so that no −0.000 is written.
    return np.concatenate(picked), (np.concatenate(places) - pick.position_A[0]).round(9) + 0.0


def write_snapshots(
    picks: Sequence[Pick],
    frames: Iterable[Frame],
    atoms: AtomTable,
    folder: str | os.PathLike[str],
    cut: dict[str, tuple[np.ndarray, np.ndarray]] | None = None,
) -> list[Path]:
    """Cut the picks out of a trajectory and write each as XYZ (charge in the comment line) and PDB.

    Args:
        picks: from ``pick_shells`` and ``pick_largest_cluster``.
        frames: of the trajectory that the contacts came from.
        atoms: who the atoms are.
        folder: where the files go.
        cut: if given, filled with what ``cut_out`` gives, by name of the pick.

    Returns:
        the files, in the order of the picks.

    Raises:
        LmbmdError: if the trajectory has not got a frame that was picked.
    """
    by_frame = defaultdict(list)
    for pick in picks:
        by_frame[pick.frame].append(pick)
    found: dict[str, tuple[str, str]] = {}
    for frame in frames:
        for pick in by_frame.pop(frame.index, ()):
            piece = cut_out(pick, frame, atoms)
            if cut is not None:
                cut[pick.name] = piece
            found[pick.name] = _xyz(pick, atoms, *piece), _pdb(pick, atoms, *piece)
        if not by_frame:
            break
    if by_frame:
        raise LmbmdError(
            f"the trajectory has no frame {min(by_frame)}.",
            where=str(folder),
            remedy="Give the trajectory that the contacts were made from, with the same stride.",
        )
    paths = []
    for pick in picks:
        for suffix, text in zip((".xyz", ".pdb"), found[pick.name], strict=True):
            paths.append(Path(folder) / f"{pick.name}{suffix}")
            write_text(paths[-1], text)
    return paths


def _xyz(pick: Pick, atoms: AtomTable, index: np.ndarray, x: np.ndarray) -> str:
    lines = [f"{atoms.element[i]:<2} {a:12.6f} {b:12.6f} {c:12.6f}" for i, (a, b, c) in zip(index, x, strict=True)]
    comment = f"charge={pick.charge} label={pick.label} frame={pick.frame} time_ps={pick.time_ps:g}"
    return "\n".join([str(len(index)), comment, *lines]) + "\n"


def _pdb(pick: Pick, atoms: AtomTable, index: np.ndarray, x: np.ndarray) -> str:
    """Fixed columns; one residue per unit, named by its species."""
    lines = [f"REMARK   1 {pick.label}, frame {pick.frame}, charge {pick.charge:+d} e"]
    residue = {unit: k for k, unit in enumerate(pick.units.tolist(), start=1)}
    for k, (i, (a, b, c)) in enumerate(zip(index, x, strict=True), start=1):
        species = atoms.species[atoms.species_id[i]].name[:3].upper()
        name = f"{atoms.name[i]!s:<4.4}" if len(atoms.element[i]) == 2 else f" {atoms.name[i]!s:<3.3}"
        lines.append(
            f"HETATM{k % 100000:5d} {name} {species:>3} A{residue[int(atoms.unit[i])] % 10000:4d}    "
            f"{a:8.3f}{b:8.3f}{c:8.3f}  1.00  0.00          {atoms.element[i]!s:>2}"
        )
    return "\n".join([*lines, "END"]) + "\n"
