"""Radial distribution functions: exact lattices, the ideal gas in a changing box, parts that add up."""

from __future__ import annotations

import boxes
import numpy as np
import pytest
import systems
from hypothesis import given, settings
from hypothesis import strategies as st

from lmbmd.analysis.scan.contacts import Search, find_contacts
from lmbmd.analysis.scan.options import ContactOptions
from lmbmd.analysis.scan.rdf import RdfPairs, RdfSum
from lmbmd.core.errors import LmbmdError
from lmbmd.data.frames import Frame
from lmbmd.data.rdf import Rdf

CHLORIDE = systems.Model("Cl", "anion", -1, (("F", "F"),))


def rdf_of(atoms, *frames, **options):
    return find_contacts(frames, atoms, ContactOptions(**options))[1]


def lattice(n, spacing):
    grid = np.stack(np.meshgrid(*[np.arange(n)] * 3, indexing="ij"), -1).reshape(-1, 3)
    return (grid * spacing).astype(np.float32), np.eye(3) * n * spacing


def test_a_simple_cubic_lattice_has_its_shells_exactly():
    positions, box = lattice(6, 4.0)
    atoms = systems.atom_table((systems.LI, 216))
    rdf = rdf_of(atoms, Frame(0, 0.0, positions, box))
    g, cn = rdf.mean(rdf.pair("Li", "Li"))
    shells = {4.0: 6, 4 * 2**0.5: 12, 4 * 3**0.5: 8, 8.0: 6, 4 * 5**0.5: 24, 4 * 6**0.5: 24}
    count = np.diff(cn, prepend=0.0)
    assert {int(r * 20): n for r, n in shells.items()} == {int(b): round(count[b], 9) for b in np.flatnonzero(count)}
    # Like pairs are normalised by the 215 others, and by the bin's own volume.
    b = int(4.0 * 20)
    volume = 4 / 3 * np.pi * (rdf.edges_A[b + 1] ** 3 - rdf.edges_A[b] ** 3)
    assert g[b] == pytest.approx(6 * box[0, 0] ** 3 / (215 * volume), rel=1e-12)


def test_the_same_lattice_in_an_oblique_cell_has_the_same_shells():
    positions, box = lattice(6, 4.0)
    oblique = box + np.array([[0, 0, 0], [8.0, 0, 0], [-8.0, 8.0, 0]])
    atoms = systems.atom_table((systems.LI, 216))
    straight, skewed = (rdf_of(atoms, Frame(0, 0.0, positions, b)) for b in (box, oblique))
    reached = straight.edges_A[1:] <= skewed.reach_A
    np.testing.assert_array_equal(straight.count[..., reached], skewed.count[..., reached])


def test_cation_and_anion_lattices_count_each_other_and_themselves():
    positions, box = lattice(4, 6.0)
    atoms = systems.atom_table((systems.LI, 64), (CHLORIDE, 64))
    rdf = rdf_of(atoms, Frame(0, 0.0, np.concatenate([positions, positions + 3.0]).astype(np.float32), box))
    nearest = int(20 * 3.0 * 3**0.5)
    assert rdf.pairs == (("Li", "Cl:F"), ("Li", "Li"), ("Li", "Cl"), ("Cl", "Cl"))
    assert [rdf.count[0, i, nearest] for i in range(4)] == [8, 0, 8, 0]
    assert [rdf.count[0, i, 120] for i in range(4)] == [0, 6, 0, 6]
    # Each has 64 unlike partners and 63 like ones.
    volume = 4 / 3 * np.pi * (rdf.edges_A[121] ** 3 - rdf.edges_A[120] ** 3)
    assert rdf.g[0, [1, 3], 120] == pytest.approx(6 * 24.0**3 / (63 * volume), rel=1e-12)
    volume = 4 / 3 * np.pi * (rdf.edges_A[nearest + 1] ** 3 - rdf.edges_A[nearest] ** 3)
    assert rdf.g[0, [0, 2], nearest] == pytest.approx(8 * 24.0**3 / (64 * volume), rel=1e-12)


def test_a_polyatomic_partner_is_counted_at_its_mass_centre_and_at_its_sites():
    anion = systems.Model("NO", "anion", -1, (("N", "N"), ("O", "O")))
    atoms = systems.atom_table((systems.LI, 1), (anion, 1))
    positions = np.array([[0, 0, 0], [3.0, 0, 0], [5.0, 0, 0]], np.float32)
    rdf = rdf_of(atoms, Frame(0, 0.0, positions, np.eye(3) * 30))
    at = {pair: rdf.r_A[np.flatnonzero(rdf.count[0, i])].tolist() for i, pair in enumerate(rdf.pairs)}
    centre = (3.0 * 14.007 + 5.0 * 15.999) / 30.006
    assert at["Li", "NO:N"] == [3.025] and at["Li", "NO:O"] == [5.025]
    assert at["Li", "NO"] == [pytest.approx(centre, abs=0.025)]


def test_one_ion_around_itself_has_a_g_of_zero():
    atoms = systems.atom_table((systems.LI, 1))
    rdf = rdf_of(atoms, Frame(0, 0.0, np.zeros((1, 3), np.float32), np.eye(3) * 30))
    assert np.array_equal(rdf.g, np.zeros((1, 1, 200)))


def test_an_ideal_gas_has_a_g_of_one_in_a_box_that_breathes():
    # Edges from 24 to 40 Å: one normalised by a mean or a last volume would be far from 1.
    rng = np.random.default_rng(20)
    atoms = systems.atom_table((systems.LI, 60), (CHLORIDE, 80))
    edges = [24.0, 40.0, 30.0, 36.0] * 25
    frames = [
        Frame(i, float(i), (rng.random((140, 3)) * e).astype(np.float32), np.eye(3) * e) for i, e in enumerate(edges)
    ]
    rdf = rdf_of(atoms, *frames, bins_per_A=4)
    shell = 4 / 3 * np.pi * np.diff(rdf.edges_A**3)
    # Pairs are nearly independent, so a bin's count in a frame has the variance of its mean N_pairs v/V; then
    # g = Σ H V / (n N_pairs v) has variance Σ V / (n² N_pairs v).
    variance = sum(e**3 for e in edges) / len(edges) ** 2
    for pair, n_pairs in {("Li", "Cl"): 60 * 80, ("Li", "Li"): 60 * 59 / 2, ("Cl", "Cl"): 80 * 79 / 2}.items():
        g, _ = rdf.mean(rdf.pair(*pair))
        z = (g - 1) / np.sqrt(variance / (n_pairs * shell))
        assert np.abs(z).max() < 4.5, pair
        # A χ² of 40 bins: mean 40, standard deviation √80.
        assert abs((z**2).sum() - 40) < 5 * np.sqrt(80), pair


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), cut=st.integers(1, 8), n_blocks=st.integers(1, 5))
def test_parts_of_a_run_add_up_to_the_whole_to_the_bit(seed, cut, n_blocks):
    rng = np.random.default_rng(seed)
    atoms, frame = boxes.electrolyte(rng, boxes.STRAIGHT)
    options = ContactOptions()
    search = Search(atoms, options)
    scans = []
    for i in range(9):
        box = frame.box * rng.uniform(0.9, 1.1)
        moved = Frame(i, 0.0, boxes.moved(frame, rng.normal(0, 1, frame.positions.shape)).positions, box)
        scans.append((i * n_blocks // 9, moved.volume_A3, search(moved)))

    def total(chosen):
        rdf = RdfSum(search.pairs, options.n_bins, options.bins_per_A, n_blocks)
        for block, volume, scan in chosen:
            rdf.add(block, volume, scan.counts, scan.reach_A)
        return rdf

    whole, first = total(scans).result(), total(scans[cut:])
    first.merge(total(scans[:cut]))
    joined = first.result()
    np.testing.assert_array_equal(whole.g, joined.g)
    np.testing.assert_array_equal(whole.count, joined.count)
    np.testing.assert_array_equal(whole.frames, joined.frames)
    assert whole.reach_A == joined.reach_A


def test_blocks_are_consecutive_and_weigh_as_their_frames():
    atoms = systems.atom_table((systems.LI, 1), (CHLORIDE, 1))
    near = np.array([[0, 0, 0], [2.0, 0, 0]], np.float32)
    far = np.array([[0, 0, 0], [7.0, 0, 0]], np.float32)
    frames = [Frame(i, 0.0, near if i < 2 else far, np.eye(3) * 30) for i in range(5)]
    rdf = rdf_of(atoms, *frames, n_blocks=2)
    i = rdf.pair("Li", "Cl")
    assert rdf.frames.tolist() == [3, 2]
    assert rdf.count[:, i, 40].tolist() == [pytest.approx(2 / 3), 0]
    assert rdf.mean(i)[1][-1] == pytest.approx(1.0)
    assert rdf.mean(i)[1][50] == pytest.approx(2 / 5)


def test_fewer_frames_than_blocks_make_fewer_blocks():
    atoms = systems.atom_table((systems.LI, 1))
    frames = [Frame(i, 0.0, np.zeros((1, 3), np.float32), np.eye(3) * 30) for i in range(3)]
    assert rdf_of(atoms, *frames).frames.tolist() == [1, 1, 1]


def test_a_small_box_cuts_the_reach_to_half_its_smallest_width():
    atoms = systems.atom_table((systems.LI, 2))
    positions = np.array([[0, 0, 0], [0.0, 0, 9.0]], np.float32)
    frames = [Frame(0, 0.0, positions, np.diag([30.0, 30, 30])), Frame(1, 0.0, positions, np.diag([16.0, 30, 30]))]
    rdf = rdf_of(atoms, *frames)
    assert rdf.reach_A == pytest.approx(8.0)
    # The pair at 9 Å is beyond the reach of the second frame, which does not count it.
    assert rdf.count.sum() == 1


def test_pairs_of_a_box_are_all_centres_with_all_sites_and_species_then_anions():
    atoms = systems.atom_table((systems.LI, 1), (systems.FSI, 2), (systems.NA, 1), (systems.PF6, 1), (systems.TTE, 1))
    pairs = RdfPairs.of(atoms)
    partners = ("FSI:N", "FSI:O", "FSI:F", "PF6:F", "TTE:O_ether", "TTE:F", "Li", "FSI", "Na", "PF6", "TTE")
    expected = [(c, p) for c in ("Li", "Na") for p in partners]
    expected += [("FSI", "FSI"), ("FSI", "PF6"), ("PF6", "FSI"), ("PF6", "PF6")]
    assert list(pairs.labels) == expected


def test_an_rdf_file_reads_back_as_it_was(tmp_path):
    rng = np.random.default_rng(0)
    atoms, frame = boxes.electrolyte(rng, boxes.STRAIGHT)
    rdf = rdf_of(atoms, frame)
    rdf.write(tmp_path / "rdf.npz")
    again = Rdf.read(tmp_path / "rdf.npz")
    assert again.pairs == rdf.pairs and again.reach_A == rdf.reach_A
    for name in ("edges_A", "g", "count", "frames"):
        np.testing.assert_array_equal(getattr(again, name), getattr(rdf, name))


def test_a_file_that_is_no_rdf_is_named(tmp_path):
    (tmp_path / "x.npz").write_bytes(b"PK")
    with pytest.raises(LmbmdError, match=r"x\.npz: this is no RDF file"):
        Rdf.read(tmp_path / "x.npz")
