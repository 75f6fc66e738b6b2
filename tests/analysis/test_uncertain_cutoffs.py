"""From contacts to descriptors: what an uncertain cut-off does to errors, and chains of several lengths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import systems
from walks import table, walk

from lmbmd.analysis.clusters.options import CompactnessOptions
from lmbmd.analysis.describe import describe
from lmbmd.analysis.dynamics.segments import Segment
from lmbmd.analysis.family import Account, without_radius_errors
from lmbmd.analysis.options import DescribeOptions
from lmbmd.analysis.scan.contacts import find_contacts
from lmbmd.data.contacts import ContactList
from lmbmd.data.frames import Frame
from lmbmd.data.rdf import Rdf
from lmbmd.numbers.doubt import Kind, descriptor
from lmbmd.numbers.estimate import Estimate

QUICK = CompactnessOptions(frames=2, shuffles=2, neighbourhoods=2)
CENTRES, ANIONS, FRAMES = 10, 30, 40


def noisy_run(n_frames=FRAMES, seed=8, step_A=0.0):
    """Three F of each Li in the shell at 1.95 Å, some in a flat valley up to 3.6 Å, many beyond; everybody walks."""
    rng = np.random.default_rng(seed)
    atoms = systems.atom_table((systems.LI, CENTRES), (systems.PF6, ANIONS))
    edges = np.arange(0, 10.01, 0.05)
    frames, counts = [], np.zeros(len(edges) - 1)
    for _ in range(n_frames):
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
        frames.append(contacts)
    per_centre = counts / (CENTRES * n_frames)
    expected = ANIONS / 30.0**3 * 4 / 3 * np.pi * np.diff(edges**3)
    pairs = (("Li", "PF6:F"), ("Li", "PF6"))
    g, count = np.array([[per_centre / expected] * 2]), np.array([[per_centre] * 2])
    if step_A:
        path = rng.uniform(0, 30, (atoms.n_molecules, 3)) + walk(rng, n_frames, np.full(atoms.n_molecules, step_A))
        table_ = table(atoms, path, 30.0 * np.eye(3), contacts=frames)
    else:
        table_ = ContactList([systems.frame(atoms, one, index) for index, one in enumerate(frames)], 5.0)
    return atoms, [(table_, Rdf(edges, pairs, g, count, np.array([n_frames]), 10.0))]


def row(described, name, species):
    found = described.descriptors
    return found[(found.name == name) & (found.species == species)].iloc[0]


@pytest.mark.slow
def test_the_error_of_a_cutoff_is_part_of_the_errors_of_what_is_counted_within_it():
    atoms, runs = noisy_run()
    told = describe(runs, atoms, DescribeOptions(compactness=QUICK))
    edge = told.tables["cutoffs"].iloc[0]
    assert edge.basis == "fitted_minimum" and 0.05 < edge.error_A < 0.5
    radius, error = edge.cutoff_A, edge.error_A
    given = lambda r: describe(runs, atoms, DescribeOptions(compactness=QUICK, cutoffs_A={"PF6:F": float(r)}))  # noqa: E731
    at, low, high = given(radius), given(radius - error), given(radius + error)
    for name, species in (
        *(("anion_cn", "PF6"), ("donor_cn", "PF6:F"), ("shell_fraction", "PF63"), ("contacts_per_ion", "Li")),
        *(("cluster_size_weight_average", "Li"), ("exchange_time_ps", "PF6")),
        ("solvent_separated_anion_fraction", "PF6"),
    ):
        one, fixed = row(told, name, species), row(at, name, species)
        half = (row(high, name, species).value - row(low, name, species).value) / 2
        assert abs(half) > 0.0005 and one.value == pytest.approx(fixed.value)
        assert one.error == pytest.approx(np.hypot(fixed.error, half))
        assert one.degrees_of_freedom > fixed.degrees_of_freedom
        assert "cut-off of Li–PF6:F" in one.method
    spread = row(told, "cluster_diameter_nm", "Li")
    assert spread.doubt_kind in ("without_cutoff", "few_samples"), "of what is not counted again, each error says so"
    assert not any("cut-off" in str(text) for text in at.descriptors.doubt), "a given cut-off has no error"
    table = told.tables["cn"].set_index("site").error
    assert table[""] == pytest.approx(row(told, "anion_cn", "PF6").error)
    assert row(told, "cutoff_A", "PF6:F").error == error
    assert any("broad and noisy" in note["text"] for note in told.notes)


@pytest.mark.slow
@pytest.mark.parametrize("is_apart", [False, True], ids=["in the runs", "in segments of their own"])
def test_the_error_of_a_cutoff_is_part_of_the_errors_of_motion_by_state(is_apart):
    atoms, [(_, rdf)] = noisy_run()
    runs = [(noisy_run(300, 18, step_A=0.3)[1][0][0], rdf)]
    motion = [Segment(noisy_run(300, 13, step_A=0.3)[1][0][0])] if is_apart else ()

    def told(**cutoffs):
        return describe(runs, atoms, DescribeOptions(compactness=QUICK, cutoffs_A=cutoffs), motion=motion)

    one = told()
    edge = one.tables["cutoffs"].iloc[0]
    assert edge.basis == "fitted_minimum"
    at, low, high = (told(**{"PF6:F": float(edge.cutoff_A + by * edge.error_A)}) for by in (0, -1, 1))
    name, species = "vehicular_share", "Li"
    half = (row(high, name, species).value - row(low, name, species).value) / 2
    assert abs(half) > 1e-4 and row(one, name, species).value == pytest.approx(row(at, name, species).value)
    assert row(one, name, species).error == pytest.approx(np.hypot(row(at, name, species).error, half))
    assert "the error includes that of the cut-off of Li–PF6:F" in row(one, name, species).method
    plain = row(one, "self_diffusion_m2_s", "Li")
    assert plain.error == row(at, "self_diffusion_m2_s", "Li").error and "cut-off" not in plain.method


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


def test_an_error_that_leaves_out_that_of_the_cutoff_says_so():
    estimate = Estimate(value=2.0, error=0.1, n_effective=50.0, degrees_of_freedom=49.0)
    sure = descriptor("cluster_diameter_nm", "Li", estimate, "nm", "how wide")
    exact = replace(sure, name="exact", error=0.0)
    doubted = replace(sure, name="doubted", doubt="few", doubt_kind="few_samples")
    rows = without_radius_errors(Account([sure, exact, doubted]), "Li–PF6:F, 2.95 ± 0.13 Å").rows
    assert rows[0].doubt_kind == Kind.WITHOUT_CUTOFF and (rows[0].value, rows[0].error) == (2.0, 0.1)
    assert rows[0].method == "how wide; its error leaves out that of the cut-off of Li–PF6:F, 2.95 ± 0.13 Å"
    assert list(rows[1:]) == [exact, doubted]
    assert without_radius_errors(Account([sure]), "").rows == [sure]
