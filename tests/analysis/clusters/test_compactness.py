"""What compactness is measured by: volumes, densities, neighbours; and null models with known answers."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from cluster_systems import BOND_A, FAMILIES, Beads, bead_contacts, bead_table, block, family, measure
from pydantic import ValidationError
from scipy.integrate import quad

from lmbmd.analysis.clusters import nulls
from lmbmd.analysis.clusters.compactness import Compactness
from lmbmd.analysis.clusters.ions import ions_of
from lmbmd.analysis.clusters.kernels import pair_counts
from lmbmd.analysis.clusters.nulls import POISSON_NEAREST, pair_up, shuffled_labels, shuffled_pairs
from lmbmd.analysis.clusters.options import CompactnessOptions
from lmbmd.data.cell import Cell

# ---------------------------------------------------------------- what is measured


def lattice_box(ions: np.ndarray, m: int = 8, spacing_A: float = 5.0) -> Beads:
    """A cubic lattice whose sites are ions where ``ions`` says so, centre or anion by parity, solvent elsewhere.

    Sites are moved by a thousandth of an Å: Voronoi cells of a perfect lattice meet in more than three planes.
    """
    sites = block(m, m, m)
    points = sites * spacing_A + np.random.default_rng(0).uniform(-1e-3, 1e-3, sites.shape)
    odd = sites.sum(axis=1) % 2 == 1
    return Beads(np.eye(3) * m * spacing_A, points[ions & ~odd], points[ions & odd], points[~ions], spacing_A * 1.2)


def test_the_equivalent_sphere_of_eight_lattice_sites_with_and_without_solvent():
    """8 ions of 125 Å³; each of the 4 centres of the cube touches 3 solvent molecules of 125 Å³."""
    box = lattice_box((block(8, 8, 8) < 2).all(axis=1))
    row = measure(box)[1].result().clusters.iloc[0]
    sphere = lambda n: (6 * n * 125 / np.pi) ** (1 / 3) / 10  # noqa: E731
    assert row["ions"] == 8 and row["contacts_per_ion"] == 3.0
    assert row["bare_diameter_nm"] == pytest.approx(sphere(8), rel=1e-3)
    assert row["solvent_per_centre"] == 3.0
    assert row["bare_density_nm3"] == pytest.approx(4 / (8 * 0.125), rel=1e-3)
    assert row["density_nm3"] == pytest.approx(4 / (20 * 0.125), rel=1e-3)
    assert row["diameter_nm"] == pytest.approx(sphere(8 + 12), rel=1e-3)
    assert row["rg_nm"] == pytest.approx(np.sqrt(3) * 0.25, rel=1e-3)


def test_a_solvent_molecule_counts_once_for_a_cluster_and_once_for_each_cluster():
    """Centres at (0,0,0) and (1,1,0) share the sites (1,0,0) and (0,1,0), out of six neighbours each."""
    sites = block(8, 8, 8)
    centres = (sites == [0, 0, 0]).all(axis=1) | (sites == [1, 1, 0]).all(axis=1)
    apart = measure(lattice_box(centres))[1].result().clusters
    assert apart["solvent_per_centre"].tolist() == [6.0, 6.0]
    # With an anion on (1,0,0) they are one cluster: five solvent molecules each, one of them the same.
    joined = measure(lattice_box(centres | (sites == [1, 0, 0]).all(axis=1)))[1].result().clusters
    assert joined["ions"].tolist() == [3]
    assert joined["solvent_per_centre"].tolist() == [4.5]


def test_a_percolating_cluster_has_no_diameter_but_contacts():
    sites = block(8, 8, 8)
    box = lattice_box((sites[:, 1:] == 0).all(axis=1))
    row = measure(box)[1].result().clusters.iloc[0]
    assert row["rank"] == 1 and row["contacts_per_ion"] == 2.0
    assert np.isnan(
        row[["diameter_nm", "bare_diameter_nm", "density_nm3", "bare_density_nm3", "rg_nm", "anisotropy"]].astype(float)
    ).all()


@pytest.mark.parametrize("box", [np.eye(3) * 40.0, np.array([[40.0, 0, 0], [12.0, 38.0, 0], [-9.0, 15.0, 36.0]])])
def test_pair_counts_agree_with_all_images(box):
    rng = np.random.default_rng(4)
    points = rng.uniform(-1, 2, (40, 3)) @ box
    inverse = np.ascontiguousarray(np.linalg.inv(box))
    pairs, neighbours, nearest = pair_counts(points, box, inverse, 0.5 * Cell(box).narrowest_A, 15.0, 0.1, 8.0)
    images = np.array(list(itertools.product(range(-4, 5), repeat=3))) @ box
    distance = np.array([[np.linalg.norm(q - p + images, axis=1).min() for q in points] for p in points])
    upper = distance[np.triu_indices(40, 1)]
    np.fill_diagonal(distance, np.inf)
    assert pairs.tolist() == np.histogram(upper, np.arange(151) * 0.1)[0].tolist()
    assert neighbours.tolist() == (distance <= 8.0).sum(axis=1).tolist()
    np.testing.assert_allclose(nearest, distance.min(axis=1))


def random_beads(seed: int, n: int = 300, edge_A: float = 60.0) -> Beads:
    rng = np.random.default_rng(seed)
    return Beads(np.eye(3) * edge_A, rng.uniform(0, edge_A, (n, 3)), np.empty((0, 3)), np.empty((0, 3)))


def test_random_points_have_a_density_ratio_of_one_and_the_poisson_nearest_distance():
    """Over 12 boxes; 4 standard errors."""
    boxes = [random_beads(seed) for seed in range(12)]
    result = measure(*boxes)[1].result()
    for radius in (6.0, 8.0, 15.0):
        ratio = result.density_ratio(radius)[0]
        assert abs(ratio.mean() - 1) < 4 * ratio.std(ddof=1) / np.sqrt(12)
    nearest = result.nearest_A.mean(axis=1)
    expected = nulls.poisson_nearest_A(300 / 60.0**3)
    assert abs(nearest.mean() - expected) < 4 * nearest.std(ddof=1) / np.sqrt(12)
    r, g, _ = result.g()
    far = r > 5
    assert abs(g[far].mean() - 1) < 0.03
    # A local density is the integral of g: 4/3 π R³ ρ ratio = ρ ∫ 4 π r² g dr.
    inside = r < 8
    assert (3 * (r[inside] ** 2 * g[inside] * 0.1).sum() / 8**3) == pytest.approx(
        result.density_ratio(8.0)[0].mean(), rel=1e-3
    )


def test_the_poisson_constant_is_the_mean_of_its_distribution():
    mean = quad(lambda r: r * 4 * np.pi * r * r * np.exp(-4 / 3 * np.pi * r**3), 0, np.inf)[0]
    assert pytest.approx(mean, rel=1e-9) == POISSON_NEAREST
    assert pytest.approx(0.554, abs=5e-4) == POISSON_NEAREST
    assert nulls.poisson_nearest_A(6.022e-4) == pytest.approx(6.6, abs=0.05)  # 1 mol/L


def test_a_sphere_that_does_not_fit_into_the_box_has_no_density():
    result = measure(random_beads(1, n=20, edge_A=25.0))[1].result()
    assert np.isfinite(result.density_ratio(10.0)[0]).all()
    assert np.isnan(result.density_ratio(15.0)[0]).all() and np.isnan(result.density_ratio(15.0)[1]).all()
    assert all(np.isnan(part).all() for part in result.neighbours(float("nan")))  # no edge of the shell was found


def test_measured_frames_are_evenly_spaced_from_first_to_last():
    box = random_beads(1, n=20)
    result = measure(*[box] * 9, options=CompactnessOptions(frames=3))[1].result()
    assert result.time_ps.tolist() == [0.0, 4.0, 8.0]
    assert sorted(set(result.clusters["frame"])) == [0, 1, 2]
    assert measure(*[box] * 2)[1].result().time_ps.tolist() == [0.0, 1.0]


def test_another_number_of_frames_than_announced_is_refused():
    fold = Compactness(bead_table(2, 2), 5)
    with pytest.raises(ValueError, match="0 frames were added, 5 announced"):
        fold.result()
    with pytest.raises(ValueError, match="no centre"):
        Compactness(bead_table(0, 2), 5)


def test_a_shift_measured_along_the_way_equals_a_run_of_its_own():
    box = FAMILIES["random concentrated"](50.0, 3)
    together = measure(box, shifts=(0.3,))[1].result(0.3)
    alone = measure(replace(box, contact_A=box.contact_A + 0.3))[1].result()
    for column in ("ions", "contacts_per_ion", "diameter_nm", "density_ratio", "z_labels"):
        np.testing.assert_array_equal(together.clusters[column], alone.clusters[column], err_msg=column)


# ---------------------------------------------------------------- null models


def test_shuffled_labels_take_each_molecular_centre_at_most_once():
    box = FAMILIES["small compact"](50.0, 1)
    shell = box.contacts()
    sites = {tuple(p) for p in shell.unit.astype(float)}
    for seed in range(8):
        drawn = {tuple(p) for p in shuffled_labels(shell, np.random.default_rng(seed))}
        assert len(drawn) == len(box.centres)
        assert drawn <= sites


def test_labels_have_nowhere_to_go_where_every_molecule_is_a_centre():
    result = measure(random_beads(1, n=30))[1].result()
    np.testing.assert_array_equal(
        result.null_pairs, np.broadcast_to(result.pairs[:, None, None], result.null_pairs.shape)
    )


def test_pairs_are_matched_shortest_contact_first_and_each_ion_once():
    atoms = bead_table(3, 2)
    # A0 is 3.0 from L0 and 2.5 from L1; A1 is 3.5 from L1; L2 is alone.
    points = np.array([[0, 0, 0], [5.5, 0, 0], [20, 0, 0], [3.0, 0, 0], [9.0, 0, 0]])
    shell = bead_contacts(atoms, points, np.eye(3) * 40)
    anion, offset = pair_up(shell, atoms, ions_of(atoms))
    assert anion.tolist() == [-1, 3, -1]
    np.testing.assert_allclose(offset, [[0, 0, 0], [2.5, 0, 0], [0, 0, 0]])


def test_shuffled_pairs_keep_each_pair_and_its_direction():
    box = FAMILIES["dilute pairs"](60.0, 1)
    shell, atoms, ions = box.contacts(), box.atoms, ions_of(box.atoms)
    anion, offset = pair_up(shell, atoms, ions)
    assert (anion >= 0).all()
    drawn = shuffled_pairs(shell, ions, anion, offset, np.random.default_rng(2))
    anion_at = drawn - offset
    sites = {tuple(np.round(p, 3)) for p in shell.unit[len(box.centres) :].astype(float)}
    places = {tuple(np.round(p, 3)) for p in anion_at}
    assert len(places) == len(drawn) and places <= sites
    lengths = np.linalg.norm(offset, axis=1)
    assert abs(lengths - BOND_A).max() < 0.6  # jitter of the ions


def test_null_models_tell_ordered_pairs_from_chance():
    """Dilute pairs keep apart: against both nulls their Li–Li density is that of chance or less."""
    _, _, measured, _ = family("dilute pairs", 80.5)
    for result in measured:
        seen, null = result.density_ratio(15.0)
        assert abs(seen - null.mean()) < 4 * null.std(ddof=1, axis=-1).max() + 0.5


def test_drawings_depend_on_the_seed_and_the_frame_alone():
    box = FAMILIES["small compact"](50.0, 1)
    run = lambda seed: measure(box, options=CompactnessOptions(seed=seed))[1].result()  # noqa: E731
    first, again, other = run(1), run(1), run(2)
    np.testing.assert_array_equal(first.null_pairs, again.null_pairs)
    assert first.clusters.equals(again.clusters)
    assert (first.null_pairs != other.null_pairs).any()
    np.testing.assert_array_equal(first.pairs, other.pairs)


def test_neighbourhoods_are_grown_point_by_point():
    rng = np.random.default_rng(5)
    points, values, box = rng.uniform(0, 20, (12, 3)), rng.uniform(0, 1, 12), np.eye(3) * 20.0
    means = nulls.neighbourhood_means(points, Cell(box), values, 12, np.random.default_rng(6))
    seeds = np.random.default_rng(6).permutation(12)
    for row, seed in zip(means, seeds, strict=True):
        d = points - points[seed]
        order = np.argsort(np.linalg.norm(d - 20 * np.rint(d / 20), axis=1))
        assert row == pytest.approx([values[order[: m + 1]].mean() for m in range(12)])
    assert means[:, -1] == pytest.approx(values.mean())


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"frames": 0}, "greater than or equal to 1"),
        ({"shuffles": 1}, "greater than or equal to 2"),
        ({"density_radius_A": 16.0}, "less than or equal to 15"),
    ],
)
def test_wrong_options_are_refused(wrong, message):
    with pytest.raises(ValidationError) as error:
        CompactnessOptions(**wrong)
    assert message in str(error.value)
