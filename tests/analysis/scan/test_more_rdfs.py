"""RDFs of pairs that are asked for: from anions, and to atoms that are no donors."""

from __future__ import annotations

import numpy as np
import pytest
import systems
from naive import mass_centres, nearest_images, whole_molecules
from pydantic import ValidationError
from systems import DME, FSI, LI, NO3

from lmbmd.analysis.describe import describe
from lmbmd.analysis.options import DescribeOptions
from lmbmd.analysis.scan.contacts import find_contacts
from lmbmd.analysis.scan.options import ContactOptions, check_pairs
from lmbmd.core.errors import LmbmdError
from lmbmd.data.frames import Frame

PAIRS = ("Li NO3.N", "FSI DME.C", "FSI DME:O_ether", "NO3 DME", "DME DME", "FSI FSI.S", "Li FSI:O", "Li Mg", "K DME")


def boxes(n_frames: int):
    atoms = systems.atom_table((LI, 5), (FSI, 4), (NO3, 6), (DME, 7))
    rng = np.random.default_rng(1)
    box = np.diag([21.0, 22.0, 23.0])
    frames = []
    for k in range(n_frames):
        centre = rng.uniform(0, 1, (atoms.n_molecules, 3)) @ box
        positions = centre[atoms.molecule] + rng.uniform(-1, 1, (len(atoms), 3))
        frames.append(Frame(k, float(k), positions.astype(np.float32), box))
    return atoms, frames


def counted(atoms, frame, one: str, other: str, reach: float) -> np.ndarray:
    """Distances of every pair but those within a molecule, below ``reach``."""
    whole = whole_molecules(frame.positions, atoms, frame.box)
    centres = mass_centres(whole, atoms)
    a = systems.molecules(atoms, one)
    species = other.partition(".")[0].partition(":")[0]
    b, owner = centres[systems.molecules(atoms, species)], systems.molecules(atoms, species)
    if species != other:
        of_site = atoms.site_id == atoms.sites.index(other) if ":" in other else atoms.element == other[-1]
        chosen = np.flatnonzero((atoms.species_id == atoms.species_index(species)) & of_site)
        b, owner = whole[chosen], atoms.molecule[chosen]
    distance = np.linalg.norm(nearest_images(b[None] - centres[a][:, None], frame.box), axis=-1)
    return distance[(a[:, None] != owner[None]) & (distance < reach)]


def test_pairs_that_are_asked_for_are_counted_as_a_slow_twin_counts_them():
    atoms, frames = boxes(3)
    options = ContactOptions(more_rdfs=PAIRS, bins_per_A=4, rdf_radius_A=10.0)
    contacts, rdf = find_contacts(frames, atoms, options)
    plain, without = find_contacts(frames, atoms, ContactOptions(bins_per_A=4))
    asked = [tuple(pair.split()) for pair in PAIRS[:6]]  # the next is counted anyway, the last two are not in the box
    assert rdf.pairs == (*without.pairs, *asked)
    assert np.array_equal(rdf.g[:, : len(without.pairs)], without.g)
    assert all(np.array_equal(a.atom, b.atom) for a, b in zip(contacts, plain, strict=True))
    for one, other in asked:
        total = np.zeros(40)
        for frame in frames:
            total += np.histogram(counted(atoms, frame, one, other, 10.0), np.arange(41) / 4)[0]
        mean = rdf.count[:, rdf.pair(one, other)].mean(axis=0) * atoms.count(one) * len(frames)
        assert mean == pytest.approx(total), (one, other)


def test_strewn_molecules_have_a_g_of_one_whoever_is_asked_for():
    atoms, frames = boxes(400)
    _, rdf = find_contacts(frames, atoms, ContactOptions(more_rdfs=PAIRS, bins_per_A=4))
    far = rdf.r_A > 4.0
    for one, other in [tuple(pair.split()) for pair in PAIRS[:6]]:
        assert rdf.mean(rdf.pair(one, other))[0][far].mean() == pytest.approx(1.0, abs=0.03), (one, other)


@pytest.mark.parametrize("pair", ["Li", "Li FSI DME", "FSI:O DME", "FSI.S DME"])
def test_what_is_no_pair_is_refused(pair):
    with pytest.raises(ValidationError, match="is no pair"):
        ContactOptions(more_rdfs=(pair,))


def test_a_name_that_nobody_knows_is_refused_with_the_nearest():
    check_pairs(["Li NO3.N"], ["Li", "NO3", "NO3:O"], "here")
    with pytest.raises(LmbmdError, match=r"(?s)'NO2.N' of the pair 'Li NO2.N'.*Valid: Li, NO3, NO3:O"):
        check_pairs(["Li NO2.N"], ["Li", "NO3", "NO3:O"], "here")


def test_an_option_that_is_not_used_is_not_told_so_that_older_contacts_stay():
    assert "more_rdfs" not in ContactOptions().facts()
    assert ContactOptions(more_rdfs=("Li  NO3.N",)).facts()["more_rdfs"] == ["Li NO3.N"]


def test_the_peak_of_a_pair_that_is_asked_for_is_a_descriptor():
    """Each Li has a nitrate whose N is 2.9 Å away."""
    atoms, frames = boxes(40)
    rng = np.random.default_rng(2)
    for frame in frames:
        nitrogen = np.flatnonzero((atoms.species_id == atoms.species_index("NO3")) & (atoms.element == "N"))
        way = rng.normal(size=(5, 3))
        way *= rng.normal(2.9, 0.1, (5, 1)) / np.linalg.norm(way, axis=1)[:, None]
        frame.positions[atoms.centres] = frame.positions[nitrogen[:5]] + way
    options = ContactOptions(more_rdfs=PAIRS)
    run = find_contacts(frames, atoms, options)
    rows = describe([run], atoms, DescribeOptions(cutoffs_A={}), progress=False).descriptors.set_index(
        ["name", "species"]
    )
    assert rows.value["rdf_peak_A", "Li NO3.N"] == pytest.approx(2.9, abs=0.1)
    assert rows.value["rdf_peak_g", "Li NO3.N"] > 5
    assert ("rdf_peak_A", "FSI DME.C") in rows.index and ("rdf_peak_A", "K DME") not in rows.index
