"""Shells drawn from a run for quantum chemistry: some of each class, spread over its frames.

Theory: docs/theory/energies.md.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lmbmd.analysis.clusters.ions import Ions, ions_of
from lmbmd.analysis.first_shell import FirstShell, first_shell
from lmbmd.analysis.options import DescribeOptions
from lmbmd.analysis.scan.radial_account import pooled_rdf
from lmbmd.analysis.shells.coordination import compositions, ligand_columns, ligand_species, shell_label
from lmbmd.analysis.shells.cutoffs import Cutoffs, first_shell_cutoffs
from lmbmd.analysis.snapshots import Pick, cut_out, shell_pick
from lmbmd.core import stages
from lmbmd.core.errors import LmbmdError
from lmbmd.core.provenance import derived_seed
from lmbmd.data.atoms import AtomTable, SpeciesInfo
from lmbmd.data.contacts import ContactFile, FrameContacts
from lmbmd.data.frames import Frame
from lmbmd.data.rdf import Rdf
from lmbmd.quantum.drawn import CLASSES, NEUTRAL_CLASSES, Drawn, DrawnPartners, DrawnShell, Molecule
from lmbmd.quantum.options import BandOptions, QuantumOptions
from lmbmd.trajectory.frames import Frames
from lmbmd.trajectory.parts import Joined


def shell_classes(first: FirstShell, agg_ii_from: int) -> np.ndarray:
    """The place in ``CLASSES`` of every centre's shell, (n_centres,) int64.

    An anion in a shell touches this centre and perhaps others; of all anions in the shell the one that touches most
    centres decides: none is SSIP, one centre CIP, two to ``agg_ii_from`` − 1 AGG-I, more AGG-II.
    """
    pairs, ions = first.pairs, first.ions
    anion = ions.node[pairs.unit] - ions.n_centres
    centre, anion = pairs.centre[anion >= 0], anion[anion >= 0]
    touched = np.zeros(ions.n_centres, np.int64)
    if len(anion):
        np.maximum.at(touched, centre, np.bincount(anion)[anion])
    return np.searchsorted([1, 2, agg_ii_from], touched, side="right")


def spread(n: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """``wanted`` of ``n`` things in order: one at random from each of as many stretches; all where there are fewer.

    The stretches differ in length by one at most: where there are many times more things than are wanted, each is as
    likely to be drawn as any other; where there are few more, up to twice as likely.
    """
    if n <= wanted:
        return np.arange(n)
    edges = np.linspace(0, n, wanted + 1).round().astype(int)
    return np.array([rng.integers(a, b) for a, b in itertools.pairwise(edges)])


def draw(
    frames: Frames | Joined,
    contacts: ContactFile,
    rdfs: Sequence[Rdf],
    atoms: AtomTable,
    centre: str,
    options: QuantumOptions,
    describing: DescribeOptions,
    replica: int = 1,
) -> Drawn:
    """Shells of one replica, some of each class, cut out whole.

    The class of every shell in every frame is counted first; then from each class ``options.shells_per_class`` are
    drawn (``spread``), seeded by ``options.seed`` and the number of the replica.

    Args:
        frames: the trajectory, as the contacts stage read it.
        contacts: what that stage found in it.
        rdfs: of all replicas, from which the cut-offs are read as ``describe`` reads them.
        atoms: who the atoms are.
        centre: the primary species.
        options: how many, and the seed.
        describing: cut-offs, and where AGG-II begins.
        replica: its number.

    Returns:
        with ``why_not`` where the box has chains, which cannot be cut out whole.

    Raises:
        LmbmdError: if the trajectory is not the one that contacts were found in.
    """
    if atoms.chains:
        why = (
            f"Li⁺ is held by units of chains ({', '.join(atoms.chains)}), which cannot be cut out whole. Ask for "
            "energies of shells in a study of bottles without polymers."
        )
        return Drawn(centre, np.zeros((0, len(CLASSES)), int), (), why.replace("Li⁺", centre), stages.DRAW)
    cutoffs = first_shell_cutoffs(
        pooled_rdf(rdfs), atoms, describing.cutoffs_A, describing.cutoff_window_A, describing.cutoff_fallback_A
    )
    ions = ions_of(atoms)
    primary = np.flatnonzero(atoms.species_id[atoms.centres] == atoms.species_index(centre))
    found = np.array(
        [shell_classes(first_shell(full, cutoffs, atoms, ions), describing.agg_ii_from)[primary] for full in contacts]
    ).reshape(-1, len(primary))
    if len(frames) != len(found):
        raise LmbmdError(
            f"the trajectory has {len(frames)} frames, and contacts were found in {len(found)}.",
            where=frames.name,
            remedy="Run the contacts stage again.",
        )
    names = [atoms.species[k].name for k in ligand_species(atoms)]
    shells = []
    for place, kind in enumerate(CLASSES):
        where, who = np.nonzero(found == place)
        rng = np.random.default_rng(derived_seed("draw", options.seed, replica, kind))
        for rank, k in enumerate(spread(len(where), options.shells_per_class, rng).tolist(), start=1):
            number, (frame,) = int(primary[who[k]]), frames.part(int(where[k]), int(where[k]) + 1)
            full = contacts.frame(int(where[k]))
            _check_same(frame, full.time_ps, frames.name)
            first = first_shell(full, cutoffs, atoms, ions)
            label = shell_label(
                compositions(first.pairs, ligand_columns(atoms), len(atoms.centres), len(names))[number], names
            )
            pick = shell_pick(first.contacts, atoms, label, number)
            shells.append(_cut(f"{kind}-{rank}", kind, pick, frame, atoms))
    partners = tuple(
        _partners(frames, contacts, cutoffs, atoms, ions, one, options, describing, replica)
        for one in banded(atoms, options.bands)
    )
    counts = np.array([np.bincount(row, minlength=len(CLASSES)) for row in found], int)
    return Drawn(centre, counts.reshape(-1, len(CLASSES)), tuple(shells), "", stages.DRAW, partners)


def banded(atoms: AtomTable, bands: BandOptions | None) -> list[SpeciesInfo]:
    """The species of this box whose band is asked for: every anion, or the anions and neutral molecules named."""
    if bands is None:
        return []
    is_asked = (lambda one: one.charge < 0) if bands.of is None else (lambda one: one.name in bands.of)
    return [one for one in atoms.species if one.charge <= 0 and is_asked(one)]


def partner_classes(first: FirstShell, units: np.ndarray, edges: Sequence[int]) -> np.ndarray:
    """The place in its classes of each of these units, (n_units,) int64: by how many centres touch it.

    Args:
        first: of one frame.
        units: (n_units,) who.
        edges: so many centres a unit of the second class touches at least, one of the third, …
    """
    touched = np.bincount(first.pairs.unit, minlength=first.atoms.n_units)[units]
    return np.searchsorted(edges, touched, side="right")


def _partners(
    frames: Frames | Joined,
    contacts: ContactFile,
    cutoffs: Cutoffs,
    atoms: AtomTable,
    ions: Ions,
    asked: SpeciesInfo,
    options: QuantumOptions,
    describing: DescribeOptions,
    replica: int,
) -> DrawnPartners:
    """Anions or neutral molecules of one species, drawn as shells are."""
    assert options.bands is not None
    species = asked.name
    classes, edges = (CLASSES, (1, 2, describing.agg_ii_from)) if asked.charge else (NEUTRAL_CLASSES, (1, 2))
    units = np.flatnonzero(atoms.unit_species == atoms.species_index(species))
    every = (first_shell(full, cutoffs, atoms, ions) for full in contacts)
    found = np.array([partner_classes(first, units, edges) for first in every]).reshape(-1, len(units))
    shells = []
    for place, kind in enumerate(classes):
        where, who = np.nonzero(found == place)
        # "anions" whatever they are: with another word the same run would draw others.
        rng = np.random.default_rng(derived_seed("anions", options.seed, replica, species, kind))
        for rank, k in enumerate(spread(len(where), options.bands.per_class, rng).tolist(), start=1):
            (frame,) = frames.part(int(where[k]), int(where[k]) + 1)
            first = first_shell(contacts.frame(int(where[k])), cutoffs, atoms, ions)
            _check_same(frame, first.contacts.time_ps, frames.name)
            pick = partner_pick(first.contacts, atoms, int(units[who[k]]))
            one = _cut(f"{species}-{kind}-{rank}", kind, pick, frame, atoms)
            shells.append(replace(one, charge_e=_partial_charges(one, atoms.charge_e[cut_out(pick, frame, atoms)[0]])))
    counts = np.array([np.bincount(row, minlength=len(classes)) for row in found], int)
    return DrawnPartners(species, classes, counts.reshape(-1, len(classes)), tuple(shells))


def partner_pick(shell: FrameContacts, atoms: AtomTable, unit: int) -> Pick:
    """An anion or neutral molecule, the ions in contact with it, and all other molecules in contact with these ions.

    Each is where the contact's edge says it is; of one that is reached in two ways, the first counts.
    """
    partner = atoms.unit[shell.atom]
    members, places = [unit], [np.zeros(3)]
    near, where = np.unique(shell.row[partner == unit], return_index=True)
    edges = shell.edge[partner == unit][where].astype(float)
    for number, edge in zip(near.tolist(), edges, strict=True):
        members.append(int(atoms.unit[atoms.centres[number]]))
        places.append(-edge)
    for number, edge in zip(near.tolist(), edges, strict=True):
        for k in range(shell.offsets[number], shell.offsets[number + 1]):
            if (other := int(partner[k])) not in members:
                members.append(other)
                places.append(shell.edge[k].astype(float) - edge)
    rows = np.flatnonzero(partner == unit)
    names = [atoms.species[k].name for k in atoms.unit_species[members[1:]]]
    label = " ".join(f"{name}{names.count(name)}" for name in dict.fromkeys(names)) or "alone"
    charge = sum(atoms.species[k].charge for k in atoms.unit_species[members])
    pairs = np.column_stack([atoms.centres[shell.row[rows]], shell.atom[rows]])
    return Pick(label, label, shell.index, shell.time_ps, np.array(members), np.array(places), charge, pairs)


def _partial_charges(shell: DrawnShell, simulated_e: np.ndarray) -> tuple[float, ...]:
    """Those of the simulation, of ions without the scale that it may have: each molecule's add up to its charge."""
    found = simulated_e.astype(float).copy()
    for molecule, span in zip(shell.molecules, shell.atoms, strict=True):
        part = found[list(span)]
        total = part.sum()
        found[list(span)] = part * molecule.charge_e / total if molecule.charge_e else part - total / len(part)
    return tuple(found.tolist())


def _cut(name: str, kind: str, pick: Pick, frame: Frame, atoms: AtomTable) -> DrawnShell:
    index, x = cut_out(pick, frame, atoms)
    place = {atom: k for k, atom in enumerate(index.tolist())}
    species = [atoms.species[k] for k in atoms.unit_species[pick.units]]
    sizes = np.diff(atoms.first_atom_of_unit)[pick.units].tolist()
    return DrawnShell(
        name,
        pick.label,
        kind,
        frame.index,
        frame.time_ps,
        tuple(Molecule(one.name, int(n), one.charge) for one, n in zip(species, sizes, strict=True)),
        tuple(str(e) for e in atoms.element[index]),
        x,
        tuple((place[a], place[b]) for a, b in pick.contacts.tolist()),
    )


def _check_same(frame: Frame, time_ps: float, name: str) -> None:
    if abs(frame.time_ps - time_ps) > 1e-3 + 1e-6 * abs(time_ps):
        raise LmbmdError(
            f"this frame is of {frame.time_ps:g} ps, and contacts were found at {time_ps:g} ps.",
            where=f"{name}, frame {frame.index}",
            remedy="Run the contacts stage again.",
        )
