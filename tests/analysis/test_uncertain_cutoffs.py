"""From contacts to descriptors: what an uncertain cut-off does to errors, and chains of several lengths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import systems

from lmbmd.analysis.clusters.options import CompactnessOptions
from lmbmd.analysis.describe import describe
from lmbmd.analysis.options import DescribeOptions
from lmbmd.analysis.scan.contacts import find_contacts
from lmbmd.data.contacts import ContactList
from lmbmd.data.frames import Frame
from lmbmd.data.rdf import Rdf

QUICK = CompactnessOptions(frames=2, shuffles=2, neighbourhoods=2)
CENTRES, ANIONS, FRAMES = 10, 30, 40


def noisy_run():
    """Three F of each Li in the shell at 1.95 Å, some in a flat valley up to 3.6 Å, many beyond."""
    rng = np.random.default_rng(8)
    atoms = systems.atom_table((systems.LI, CENTRES), (systems.PF6, ANIONS))
    edges = np.arange(0, 10.01, 0.05)
    frames, counts = [], np.zeros(len(edges) - 1)
    for index in range(FRAMES):
        contacts = []
        for centre in range(CENTRES):
            valley = rng.poisson(0.5)
            distances = np.concatenate(
                [
                    rng.normal(1.95, 0.05, 3),
                    rng.uniform(1.9, 3.6, valley),
                    rng.uniform(3.6, 4.95, ANIONS - 3 - valley),
                ]
            )
            counts += np.histogram(distances, edges)[0]
            contacts += [(centre, ("PF6", k), 0, float(d)) for k, d in enumerate(distances)]
        frames.append(systems.frame(atoms, contacts, index))
    per_centre = counts / (CENTRES * FRAMES)
    expected = ANIONS / 30.0**3 * 4 / 3 * np.pi * np.diff(edges**3)
    pairs = (("Li", "PF6:F"), ("Li", "PF6"))
    g, count = np.array([[per_centre / expected] * 2]), np.array([[per_centre] * 2])
    return atoms, [(ContactList(frames, 5.0), Rdf(edges, pairs, g, count, np.array([FRAMES]), 10.0))]


def row(described, name, species):
    found = described.descriptors
    return found[(found.name == name) & (found.species == species)].iloc[0]


@pytest.mark.slow
def test_the_error_of_a_cutoff_is_part_of_the_errors_of_coordination_and_speciation():
    atoms, runs = noisy_run()
    told = describe(runs, atoms, DescribeOptions(compactness=QUICK))
    edge = told.tables["cutoffs"].iloc[0]
    assert edge.basis == "fitted_minimum" and 0.05 < edge.error_A < 0.5
    radius, error = edge.cutoff_A, edge.error_A
    given = lambda r: describe(runs, atoms, DescribeOptions(compactness=QUICK, cutoffs_A={"PF6:F": float(r)}))  # noqa: E731
    at, low, high = given(radius), given(radius - error), given(radius + error)
    for name, species in (("anion_cn", "PF6"), ("donor_cn", "PF6:F"), ("shell_fraction", "PF63")):
        one, fixed = row(told, name, species), row(at, name, species)
        half = (row(high, name, species).value - row(low, name, species).value) / 2
        assert abs(half) > 0.01 and one.value == pytest.approx(fixed.value)
        assert one.error == pytest.approx(np.hypot(fixed.error, half))
        assert one.degrees_of_freedom > fixed.degrees_of_freedom
        assert "cut-off of Li–PF6:F" in one.method
    table = told.tables["cn"].set_index("site").error
    assert table[""] == pytest.approx(row(told, "anion_cn", "PF6").error)
    assert row(told, "cutoff_A", "PF6:F").error == error
    assert any("broad and noisy" in note["text"] for note in told.notes)


def test_chains_of_several_lengths_are_one_species_in_every_number():
    """Four short and two long chains at one Li each: numbers are per molecule, masses are those of all atoms."""
    short = systems.Model("PEO", "solvent", 0, (("O", "O"), ("C", ""), ("O", "O")))
    long = systems.Model("LONG", "solvent", 0, tuple((("O", "O"), ("C", ""))[k % 2] for k in range(9)))
    apart = systems.atom_table((systems.LI, 6), (short, 4), (systems.FSI, 6), (long, 2))
    species = np.where(apart.species_id == 3, 1, apart.species_id).astype(np.int32)
    site = apart.site_id.copy()
    site[apart.species_id == 3] = np.where(site[apart.species_id == 3] >= 0, apart.sites.index("PEO:O"), -1)
    atoms = replace(apart, species=apart.species[:3], sites=apart.sites[:-1], species_id=species, site_id=site)
    rng = np.random.default_rng(1)
    frames = []
    for index in range(4):
        places = rng.uniform(0, 26, (atoms.n_molecules, 3))
        chains = np.flatnonzero(atoms.molecule_species == 1)
        first = places[atoms.molecule]
        position = first + 1.4 * (np.arange(len(atoms)) - atoms.first_atom[atoms.molecule])[:, None] * [1.0, 0, 0]
        position[atoms.centres] = position[atoms.first_atom[chains]] + [0.0, 2.0, 0.0]
        frames.append(Frame(index, float(index), position.astype(np.float32), np.eye(3) * 26.0))
    options = DescribeOptions(compactness=QUICK, cutoffs_A={"PEO:O": 2.1, "FSI:O": 2.1, "FSI:N": 2.1, "FSI:F": 2.1})
    told = describe([find_contacts(frames, atoms)], atoms, options)
    assert row(told, "solvent_cn", "PEO").value == pytest.approx(1.0, abs=0.2)
    assert row(told, "free_solvent_fraction", "PEO").value == pytest.approx(0.0, abs=0.2)
    table = told.tables["composition"]
    of_chains = table[(table.component == "PEO") & (table.quantity == "mass fraction")].simulated.iloc[0]
    assert of_chains == pytest.approx(atoms.mass_amu[atoms.species_id == 1].sum() / atoms.mass_amu.sum())
    assert table[(table.component == "PEO") & (table.quantity == "count")].simulated.iloc[0] == 6
