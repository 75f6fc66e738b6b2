"""Constructed systems whose answers are known exactly.

``atom_table`` makes a box of model molecules, ``frame`` writes down contacts by hand (no geometry needed) and
``contacts_from_positions`` finds them by looking at every pair and every neighbouring image.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lmbmd.analysis.clusters.ions import ions_of
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.data.atoms import AtomTable, SpeciesInfo
from lmbmd.data.contacts import FrameContacts

MASS_AMU = {"Li": 6.94, "Na": 22.99, "C": 12.011, "N": 14.007, "O": 15.999, "F": 18.998, "S": 32.06, "P": 30.974}


@dataclass(frozen=True)
class Model:
    """A model molecule: atoms as (element, site name or "")."""

    name: str
    role: str
    charge: int
    atoms: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Chain:
    """A model chain: its units, one after the other; a kind of unit may come again."""

    name: str
    units: tuple[Model, ...]


LI = Model("Li", "cation", 1, (("Li", ""),))
NA = Model("Na", "cation", 1, (("Na", ""),))
FSI = Model("FSI", "anion", -1, (("N", "N"), ("S", ""), ("S", ""), *[("O", "O")] * 4, *[("F", "F")] * 2))
PF6 = Model("PF6", "anion", -1, (("P", ""), *[("F", "F")] * 6))
NO3 = Model("NO3", "anion", -1, (("N", ""), *[("O", "O")] * 3))
DME = Model("DME", "solvent", 0, (("C", ""), ("O", "O_ether"), ("C", ""), ("C", ""), ("O", "O_ether"), ("C", "")))
EC = Model("EC", "solvent", 0, (("C", ""), ("O", "O_carbonyl"), ("O", "O_ring"), ("O", "O_ring"), ("C", ""), ("C", "")))
TTE = Model("TTE", "diluent", 0, (("C", ""), ("O", "O_ether"), ("F", "F"), ("C", ""), ("F", "F")))


def atom_table(*counts: tuple[Model | Chain, int]) -> AtomTable:
    """A box of ``(model, number of molecules)``, in that order."""
    parts = [(m.units if isinstance(m, Chain) else (m,)) for m, n in counts for _ in range(n)]
    chain_of = {u: m.name for m, _ in counts if isinstance(m, Chain) for u in m.units}
    kinds = list(dict.fromkeys(u for units in parts for u in units))
    kinds += [m for m, n in counts if not n and not isinstance(m, Chain)]
    kinds.sort(key=[u for m, _ in counts for u in (m.units if isinstance(m, Chain) else (m,))].index)
    sites = tuple(dict.fromkeys(f"{m.name}:{site}" for m in kinds for _, site in m.atoms if site))
    units = [(molecule, model) for molecule, units in enumerate(parts) for model in units]
    site_of = {label: k for k, label in enumerate(sites)}
    rows = [
        (
            kinds.index(model),
            molecule,
            site_of.get(f"{model.name}:{site}", -1),
            element,
            f"{element}{k}",
            model,
            k,
            unit,
        )
        for unit, (molecule, model) in enumerate(units)
        for k, (element, site) in enumerate(model.atoms)
    ]
    return AtomTable(
        species=tuple(SpeciesInfo(m.name, m.role, m.charge, chain_of.get(m, "")) for m in kinds),
        sites=sites,
        unit=np.array([r[7] for r in rows], np.int32),
        species_id=np.array([r[0] for r in rows], np.int32),
        molecule=np.array([r[1] for r in rows], np.int32),
        site_id=np.array([r[2] for r in rows], np.int32),
        element=np.array([r[3] for r in rows], dtype=object),
        name=np.array([r[4] for r in rows], dtype=object),
        mass_amu=np.array([MASS_AMU[r[3]] for r in rows]),
        charge_e=np.array([float(r[5].charge) if r[6] == 0 else 0.0 for r in rows]),
    )


def molecules(atoms: AtomTable, species: str) -> np.ndarray:
    """Numbers of the small molecules, or of the units, of a species, in order."""
    return np.flatnonzero(atoms.unit_species == atoms.species_index(species))


def donors(atoms: AtomTable, unit: int) -> np.ndarray:
    """Donor atoms of a molecule, or of a unit, in order."""
    span = np.arange(atoms.first_atom_of_unit[unit], atoms.first_atom_of_unit[unit + 1])
    return span[atoms.site_id[span] >= 0]


def frame(
    atoms: AtomTable,
    contacts: Iterable[tuple] = (),
    index: int = 0,
    time_ps: float | None = None,
    box_A: float = 30.0,
) -> FrameContacts:
    """A frame with contacts written by hand.

    Each contact is ``(centre, (species, k), donor)`` or ``(…, donor, distance_A)``: the centre's number, the
    k-th molecule of a species, its donor-th donor atom, and the distance (2 Å unless told).
    Positions are drawn at random and edges fit them, but nothing else does: distances are what was written.
    """
    rows = []
    for centre, (species, k), donor, *distance in contacts:
        atom = donors(atoms, molecules(atoms, species)[k])[donor]
        rows.append((centre, atom, distance[0] if distance else 2.0))
    rows.sort()
    count = (
        np.bincount([r[0] for r in rows], minlength=len(atoms.centres)) if rows else np.zeros(len(atoms.centres), int)
    )
    offsets = np.append(0, np.cumsum(count)).astype(np.int64)
    atom, distance = np.array([r[1] for r in rows], np.int32), np.array([r[2] for r in rows], np.float32)
    time_ps = float(index) if time_ps is None else time_ps
    return scattered(atoms, offsets, atom, distance, index, time_ps, np.eye(3) * box_A, np.random.default_rng(index))


def scattered(
    atoms: AtomTable,
    offsets: np.ndarray,
    atom: np.ndarray,
    distance: np.ndarray,
    index: int,
    time_ps: float,
    box: np.ndarray,
    rng: np.random.Generator,
) -> FrameContacts:
    """Given contacts with molecules strewn at random over the box and edges from centre to molecule."""
    unit = (rng.uniform(0, 1, (atoms.n_units, 3)) @ box).astype(np.float32)
    centre = unit[atoms.unit[atoms.centres]]
    row = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    edge = unit[atoms.unit[atom]] - centre[row]
    still, spread = np.zeros((len(atoms.species), 3)), np.zeros(len(atoms.chain_molecules), np.float32)
    return FrameContacts(index, time_ps, box, offsets, atom, distance, edge.reshape(-1, 3), centre, unit, still, spread)


def contacts_from_positions(
    atoms: AtomTable,
    positions: np.ndarray,
    box: np.ndarray,
    search_radius_A: float = 5.0,
    index: int = 0,
    time_ps: float | None = None,
) -> FrameContacts:
    """All contacts within the search radius by trying every centre, donor and one of 27 images.

    Molecules must be whole in ``positions``; they may lie anywhere. The box may be triclinic, with the search
    radius at most half its smallest width.
    """
    positions = np.asarray(positions, float)
    box = np.asarray(box, float)
    wrap = lambda d: d - np.round(d @ np.linalg.inv(box)) @ box  # noqa: E731
    images = np.array(list(itertools.product((-1, 0, 1), repeat=3))) @ box
    mass_centre = np.array(
        [
            np.average(positions[a:b], axis=0, weights=atoms.mass_amu[a:b])
            for a, b in itertools.pairwise(atoms.first_atom_of_unit)
        ]
    )
    whole = np.array(
        [
            np.average(positions[a:b], axis=0, weights=atoms.mass_amu[a:b])
            for a, b in itertools.pairwise(atoms.first_atom)
        ]
    )
    count, atom, distance, edge = [], [], [], []
    for centre in atoms.centres:
        found = 0
        for donor in np.flatnonzero(atoms.site_id >= 0):
            candidates = wrap(positions[donor] - positions[centre]) + images
            nearest = candidates[np.argmin((candidates**2).sum(1))]
            d = np.linalg.norm(nearest)
            if d <= search_radius_A:
                found += 1
                atom.append(donor)
                distance.append(d)
                edge.append(nearest + mass_centre[atoms.unit[donor]] - positions[donor])
        count.append(found)
    return FrameContacts(
        index=index,
        time_ps=float(index) if time_ps is None else time_ps,
        box=box,
        offsets=np.append(0, np.cumsum(count)).astype(np.int64),
        atom=np.array(atom, np.int32),
        distance=np.array(distance, np.float32),
        edge=np.array(edge, np.float32).reshape(-1, 3),
        centre=positions[atoms.centres].astype(np.float32),
        unit=mass_centre.astype(np.float32),
        spread=np.array(
            [
                np.average(
                    ((positions[a:b] - mass_centre[atoms.unit[a:b]]) ** 2).sum(axis=1), weights=atoms.mass_amu[a:b]
                )
                for a, b in atoms.first_atom[atoms.chain_molecules[:, None] + [0, 1]]
            ],
            np.float32,
        ),
        dipole=np.array(
            [
                sum(atoms.charge_e[i] * (positions[i] - whole[atoms.molecule[i]]) for i in mine)
                for mine in (np.flatnonzero(atoms.species_id == s) for s in range(len(atoms.species)))
            ]
        ),
    )


# The five worked frames that pull the conventions apart. L = Li, A = FSI, dash = contact. Answers are exact:
# fractions of centres with 0 / 1 / ≥ 2 anions, of anions with 0 / 1 / ≥ 2 centres, of centres in contact
# components of 1 / 2 / > 2 ions.
@dataclass(frozen=True)
class Worked:
    name: str
    n_li: int
    n_fsi: int
    bonds: tuple[tuple[int, int], ...]
    centre: tuple[float, float, float]
    anion: tuple[float, float, float]
    cluster: tuple[float, float, float]

    @property
    def atoms(self) -> AtomTable:
        return atom_table((LI, self.n_li), (FSI, self.n_fsi))

    def frame(self, index: int = 0) -> FrameContacts:
        return frame(self.atoms, [(li, ("FSI", a), 1) for li, a in self.bonds], index=index)


WORKED = (
    Worked("one pair and two free ions", 2, 2, ((0, 0),), (0.5, 0.5, 0), (0.5, 0.5, 0), (0.5, 0.5, 0)),
    Worked("cation triple", 2, 2, ((0, 0), (1, 0)), (0, 1, 0), (0.5, 0, 0.5), (0, 0, 1)),
    Worked("anion triple", 2, 2, ((0, 0), (0, 1)), (0.5, 0, 0.5), (0, 1, 0), (0.5, 0, 0.5)),
    Worked("ring of four", 2, 2, ((0, 0), (0, 1), (1, 0), (1, 1)), (0, 0, 1), (0, 0, 1), (0, 0, 1)),
    Worked(
        "chain closed through the box face",
        3,
        3,
        ((0, 0), (1, 0), (1, 1), (2, 1), (2, 2), (0, 2)),
        (0, 0, 1),
        (0, 0, 1),
        (0, 0, 1),
    ),
)


def chain(n_ions: int) -> tuple[AtomTable, FrameContacts]:
    """An open chain Li–FSI–Li–FSI … of an even number of ions in contact one after the other."""
    half = n_ions // 2
    atoms = atom_table((LI, half), (FSI, half))
    bonds = [(i, ("FSI", i), 1) for i in range(half)] + [(i + 1, ("FSI", i), 2) for i in range(half - 1)]
    return atoms, frame(atoms, bonds)


def random_frames(
    atoms: AtomTable, n_frames: int, seed: int = 0, per_centre: Sequence[int] = (0, 1, 2, 3, 4, 6)
) -> list[FrameContacts]:
    """Frames of contacts drawn at random: any donor atom, distances 1.8–3.4 Å, some centres bare."""
    rng = np.random.default_rng(seed)
    donor_atoms = np.flatnonzero(atoms.site_id >= 0)
    frames = []
    for index in range(n_frames):
        picks = [
            np.sort(rng.choice(donor_atoms, min(rng.choice(per_centre), len(donor_atoms)), replace=False))
            for _ in atoms.centres
        ]
        atom = np.concatenate(picks).astype(np.int32)
        distance = rng.uniform(1.8, 3.4, len(atom)).astype(np.float32)
        offsets = np.append(0, np.cumsum([len(p) for p in picks])).astype(np.int64)
        box = np.eye(3) * rng.uniform(29, 31)
        frames.append(scattered(atoms, offsets, atom, distance, index, float(index), box, rng))
    return frames


def relabelled(atoms: AtomTable, one: FrameContacts, centres: np.ndarray, orders: dict[str, np.ndarray]):
    """The frame with the centres, and the molecules of each species, listed in another order."""
    new_molecule = np.arange(atoms.n_molecules)
    for name, order in orders.items():
        members = molecules(atoms, name)
        new_molecule[members] = members[order]
    molecule = atoms.molecule[one.atom]
    atom = one.atom - atoms.first_atom[molecule] + atoms.first_atom[new_molecule[molecule]]
    row = np.argsort(centres)[one.row]
    order = np.lexsort((atom, row))
    offsets = np.append(0, np.cumsum(np.bincount(row, minlength=len(centres))))
    return FrameContacts(
        one.index,
        one.time_ps,
        one.box,
        offsets,
        atom[order].astype(np.int32),
        one.distance[order],
        one.edge[order],
        one.centre[centres],
        one.unit[np.argsort(new_molecule)],
        one.dipole,
    )


def first(atoms: AtomTable, contacts: FrameContacts, moved: Mapping[float, FrameContacts] | None = None) -> FirstShell:
    """A first shell of contacts that are cut already, with those of moved cut-offs beside it."""
    ions = ions_of(atoms)
    others = {shift: FirstShell(shell, atoms, ions) for shift, shell in (moved or {}).items()}
    return FirstShell(contacts, atoms, ions, others)
