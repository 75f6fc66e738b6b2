"""A chain is counted by its units: shells, clusters, Voronoi cells and dipoles, in any box and across its boundary."""

from __future__ import annotations

import itertools

import chains
import numpy as np
import pytest
import systems
from chains import EO, SPACER, STFSI
from systems import FSI, LI

from lmbmd.analysis.clusters.components import Clusters
from lmbmd.analysis.clusters.ions import ion_graph, ions_of
from lmbmd.analysis.clusters.voronoi import cell_volumes
from lmbmd.analysis.scan.contacts import find_contacts, run_contacts
from lmbmd.analysis.scan.options import ContactOptions
from lmbmd.analysis.shells.coordination import Shells
from lmbmd.data.contacts import ContactFile
from lmbmd.data.frames import Frame

BOXES = pytest.mark.parametrize(
    "box", [np.eye(3) * 22.0, np.array([[23.0, 0, 0], [6, 22, 0], [-5, 7, 21]])], ids=["straight", "skewed"]
)
OPTIONS = ContactOptions(search_radius_A=5.0, rdf_radius_A=8.0)


def melt(box: np.ndarray, seed: int = 0, n_frames: int = 3):
    """Three chains far longer than the box, one with tethered anions, ions between; atoms wrapped one by one."""
    rng = np.random.default_rng(seed)
    mixed = systems.Chain("P(EO-STFSI)", (SPACER, STFSI, SPACER, STFSI, STFSI, SPACER))
    atoms = systems.atom_table((LI, 8), (chains.peo(25), 2), (mixed, 1), (FSI, 5))
    shape, path = chains.shapes(atoms, rng), []
    for _ in range(n_frames):
        parts = []
        for molecule in range(atoms.n_molecules):
            n = int(np.diff(atoms.first_unit[molecule : molecule + 2])[0])
            start = rng.uniform(-1, 2, 3) @ box
            parts.append(chains.along(start, chains.bonds(rng, n - 1, 3.6, 0.7)) if n > 1 else start[None])
        path.append(np.concatenate(parts))
    return atoms, np.array(path), shape


@BOXES
def test_contacts_of_units_are_those_found_by_trying_every_image(box):
    atoms, path, shape = melt(box)
    found, _ = find_contacts(chains.frames(atoms, path, shape, box), atoms, OPTIONS)
    for one, units in zip(found, path, strict=True):
        naive = systems.contacts_from_positions(atoms, units[atoms.unit] + shape, box)
        np.testing.assert_array_equal(one.offsets, naive.offsets)
        np.testing.assert_array_equal(one.atom, naive.atom)
        np.testing.assert_allclose(one.distance, naive.distance, atol=2e-5)
        np.testing.assert_allclose(one.edge, naive.edge, atol=1e-4)
        np.testing.assert_allclose(one.spread, naive.spread, rtol=1e-5)
        # Units of a chain lie along it: what was written down, moved by one vector of the lattice for each chain.
        shift = (one.unit - units) @ np.linalg.inv(box)
        np.testing.assert_allclose(shift, np.rint(shift), atol=1e-4)
        for a, b in itertools.pairwise(atoms.first_unit):
            assert np.ptp(np.rint(shift[a:b]), axis=0).max() == 0


def test_a_box_with_chains_comes_back_from_its_contact_file_as_it_went_in(tmp_path):
    box = np.eye(3) * 22.0
    atoms, path, shape = melt(box, n_frames=5)
    frames = chains.frames(atoms, path, shape, box)

    class Trajectory:
        name = "made"

        def __len__(self):
            return len(frames)

        def part(self, a: int, b: int) -> list[Frame]:
            return frames[a:b]

        def check_time(self, *args):
            pass

    in_memory, _ = find_contacts(frames, atoms, OPTIONS)
    run_contacts(Trajectory(), atoms, tmp_path / "c.arrow", None, OPTIONS, progress=False)
    on_disk = ContactFile(tmp_path / "c.arrow")
    on_disk.check()
    for one, other in zip(in_memory, on_disk, strict=True):
        for name in ("offsets", "atom", "distance", "edge", "centre", "unit", "dipole", "spread"):
            np.testing.assert_array_equal(getattr(one, name), getattr(other, name), err_msg=name)


def test_shells_are_made_of_units_and_states_are_those_of_units():
    atoms = systems.atom_table((LI, 3), (chains.peo(4), 2), (FSI, 1))
    contacts = [
        *[(0, ("EO", k), 0) for k in (0, 1, 2)],  # three units of the first chain
        (1, ("EO", 2), 0),  # one of them also on the second ion
        (1, ("EO", 5), 0),  # and a unit of the second chain
        (1, ("FSI", 0), 1),
    ]
    fold = Shells(atoms, "Li")
    fold.add(systems.first(atoms, systems.frame(atoms, contacts)))
    found = fold.result()
    assert found.ligands == ("EO", "FSI") and found.n_molecules.tolist() == [8, 1]
    assert sorted(map(tuple, found.types.tolist())) == [(0, 0), (2, 1), (3, 0)]
    assert found.states[0, 0].tolist() == [4, 3, 1]  # of eight units four are free, and one bridges


def test_two_anions_on_one_chain_are_two_ions_and_no_cluster_by_themselves():
    chain = systems.Chain("PSTFSI", (STFSI, EO, STFSI))
    atoms = systems.atom_table((LI, 2), (chain, 1))
    ions = ions_of(atoms)
    assert len(ions) == 4 and ions.charge.tolist() == [1, 1, -1, -1] and ions.unit.tolist() == [0, 1, 2, 4]
    apart = systems.frame(atoms, [(0, ("STFSI", 0), 0), (1, ("STFSI", 1), 0)])
    assert sorted(ion_graph(apart, atoms, ions).size.tolist()) == [2, 2]
    joined = systems.frame(atoms, [(0, ("STFSI", 0), 0), (0, ("STFSI", 1), 0)])
    assert sorted(ion_graph(joined, atoms, ions).size.tolist()) == [1, 3]
    fold = Clusters(atoms)
    fold.add(systems.first(atoms, apart))
    fold.add(systems.first(atoms, joined))
    frame_centres_anions_charge_rank_number = fold.result().counts
    assert sorted(map(tuple, frame_centres_anions_charge_rank_number.tolist())) == [
        (0, 1, 1, 0, 0, 2),
        (1, 1, 0, 1, 0, 1),
        (1, 1, 2, -1, 0, 1),
    ]


@BOXES
def test_clusters_of_tethered_ions_on_a_chain_longer_than_the_box_are_whole(box):
    """Along one chain every ion sits between neighbouring tethered anions: one cluster, extended as the chain is."""
    n = 12
    atoms = systems.atom_table((LI, n - 1), (systems.Chain("PSTFSI", (STFSI,) * n), 1))
    chain = chains.along(np.array([1.0, 2.0, 3.0]), np.tile([3.6, 0.4, 0.3], (n - 1, 1)))
    units = np.vstack([0.5 * (chain[1:] + chain[:-1]), chain])
    (frame,) = chains.frames(atoms, units[None], np.zeros((len(atoms), 3)), box)
    ((one,), _) = find_contacts([frame], atoms, ContactOptions(search_radius_A=2.6, rdf_radius_A=8.0))
    graph = ion_graph(one, atoms, ions_of(atoms))
    assert graph.size.tolist() == [2 * n - 1] and graph.rank.tolist() == [0]
    place = graph.position
    np.testing.assert_allclose(place - place[0], units - units[0], atol=1e-3)


def test_voronoi_cells_are_those_of_units_and_fill_the_box():
    box = np.eye(3) * 22.0
    atoms, path, shape = melt(box, n_frames=1)
    ((one,), _) = find_contacts(chains.frames(atoms, path, shape, box), atoms, OPTIONS)
    volumes = cell_volumes(one.unit.astype(float), one.box)
    assert len(volumes) == atoms.n_units > atoms.n_molecules
    assert volumes.sum() == pytest.approx(np.linalg.det(box))


def test_the_dipole_of_a_chain_is_about_the_mass_centre_of_the_chain():
    """Two units of charges +q and −q: each by itself is no dipole, together they are q times their distance."""
    positive = systems.Model("P", "polymer", 0, (("C", ""),))
    negative = systems.Model("N", "polymer", 0, (("C", ""),))
    atoms = systems.atom_table((LI, 1), (systems.Chain("PN", (positive, negative)), 1))
    atoms.charge_e[:] = [1.0, 0.25, -0.25]
    units = np.array([[[1.0, 1, 1], [21.0, 5, 5], [23.0, 5, 5]]])  # across the boundary of a box of 22 Å
    frames = chains.frames(atoms, units, np.zeros((3, 3)), np.eye(3) * 22.0)
    ((one,), _) = find_contacts(frames, atoms, OPTIONS)
    np.testing.assert_allclose(one.dipole.sum(axis=0), [0.25 * -2.0, 0, 0], atol=1e-6)
    np.testing.assert_allclose(one.dipole[1], [-0.25, 0, 0], atol=1e-6)
