"""The CIPA call: six constructed families, every threshold, every way not to decide."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from cluster_systems import BOND_A, FAMILIES, SEEDS, Beads, ball, block, droplets, family, measure, minimum_image, split
from pydantic import ValidationError
from systems import first

from lmbmd.analysis.clusters import cipa_account as cipa_account_module
from lmbmd.analysis.clusters.cipa import (
    BOX_TOO_SMALL,
    COMPACT,
    NETWORK,
    NOT_COMPACT,
    SMALL,
    UNDECIDED,
    call_of,
    compact_share,
    decide,
    fractal_dimension,
)
from lmbmd.analysis.clusters.cipa_account import _centre_cn, cipa_account, cluster_mean
from lmbmd.analysis.clusters.compactness import Compactness
from lmbmd.analysis.clusters.components import ClusterResult
from lmbmd.analysis.clusters.nulls import poisson_nearest_A
from lmbmd.analysis.clusters.options import CipaThresholds
from lmbmd.analysis.shells.cutoffs import Basis, Cutoff
from lmbmd.numbers.doubt import Doubt, Kind
from lmbmd.numbers.estimate import estimate_mean

# ---------------------------------------------------------------- the six families

CALLS = {
    "dilute pairs": NOT_COMPACT,
    "random concentrated": NOT_COMPACT,
    "open network": NETWORK,
    "long chains": NOT_COMPACT,
    "small compact": SMALL,
    "droplets": COMPACT,
}
#: Which side of each threshold a family is on: ions, diameter from below, from above, contacts, density, z, shape.
#: None: a network has no size. Chains are as large and as dense as droplets: only their contacts and shape differ.
SIDES = {
    "dilute pairs": (False, False, True, False, False, False, False),
    "random concentrated": (False, False, True, False, False, False, False),
    "open network": (None, None, None, False, False, False, None),
    "long chains": (True, True, True, False, True, True, False),
    "small compact": (False, False, True, True, True, True, True),
    "droplets": (True, True, True, True, True, True, True),
}


@pytest.mark.slow
@pytest.mark.parametrize("edge_A", [80.5, 88.0])
@pytest.mark.parametrize("name", FAMILIES)
def test_each_family_is_called_by_its_name_and_each_criterion_is_on_its_side(name, edge_A):
    boxes, clusters, measured, shifted = family(name, edge_A)
    account = cipa_account(clusters, measured, boxes[0].atoms, shifted=shifted)
    tables, notes = account.tables, account.notes
    assert notes[0]["call"] == CALLS[name], notes[0]["text"]
    assert notes[0]["topic"] == "cipa"
    assert tuple(tables["cipa"]["met"][:7]) == SIDES[name]


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_seed_has_the_share_of_its_family_but_one_frame_finds_no_aggregate(name):
    boxes, clusters, measured, shifted = family(name, 80.5)
    for k in range(len(SEEDS)):
        moved = {s: r[k : k + 1] for s, r in shifted.items()}
        alone = decide(clusters[k : k + 1], measured[k : k + 1], boxes[k].atoms, shifted=moved)
        assert alone.call == (
            UNDECIDED if CALLS[name] == COMPACT else CALLS[name] if CALLS[name] != SMALL else NOT_COMPACT
        )
        assert (alone.share.value > 0.9) == (CALLS[name] == COMPACT)
        assert (alone.small_share.value > 0.9) == (CALLS[name] == SMALL)


@pytest.mark.parametrize(
    ("series", "call"),
    [
        ([[0.3]], UNDECIDED),  # one frame
        ([[0.3] * 25], UNDECIDED),  # one stuck droplet
        ([[0.3] * 25] * 2, UNDECIDED),
        ([[0.3] * 25] * 3, COMPACT),  # three independent packings agree
        ([[0.0] * 25], NOT_COMPACT),
        ([[0.0]], NOT_COMPACT),
        ([list(np.tile([0.2, 0.4], 50))], COMPACT),
        ([list(np.tile([0.0, 0.3], 2))], UNDECIDED),
    ],
)
def test_a_share_decides_only_with_independent_samples_behind_it(series, call):
    assert call_of(estimate_mean([np.array(x) for x in series]), CipaThresholds()) == call


def test_the_share_that_meets_a_criterion_is_counted_over_clusters_and_not_from_the_mean():
    """One droplet of three boxes is taken out: its centres meet nothing, and the means hardly tell."""
    boxes, clusters, measured, _ = family("droplets", 80.5)
    row = lambda tables: tables["cipa"].set_index("criterion").loc["ions in the cluster"]  # noqa: E731
    assert row(cipa_account(clusters, measured, boxes[0].atoms).tables)["share_met"] == 1.0
    few = replace(measured[0], clusters=measured[0].clusters.assign(ions=5.0))
    found = row(cipa_account(clusters, [few, *measured[1:]], boxes[0].atoms).tables)
    assert found["share_met"] == pytest.approx(2 / 3)
    assert found["met"]  # the mean is still far above the bound


def test_the_call_does_not_follow_from_the_aggregated_share():
    """All Li of chains, small clusters and droplets is AGG; the calls differ."""
    calls = {}
    for name in ("long chains", "small compact", "droplets"):
        _, clusters, _, _ = family(name, 80.5)
        aggregated = [r.counts[(r.counts[:, 1] + r.counts[:, 2] > 2)] for r in clusters]
        assert all((rows[:, 1] * rows[:, 5]).sum() == r.n_centres for rows, r in zip(aggregated, clusters, strict=True))
        calls[name] = CALLS[name]
    assert len(set(calls.values())) == 3


def test_chance_makes_large_clusters_but_no_compact_ones():
    """The random family is a real test: clusters of more than 20 ions occur in it."""
    _, clusters, measured, _ = family("random concentrated", 80.5)
    assert max((r.counts[:, 1] + r.counts[:, 2]).max() for r in clusters) > 20
    assert all(compact_share(r, CipaThresholds())[0] == 0 for r in measured)


def test_droplets_have_lithium_6_angstroms_apart():
    boxes, clusters, measured, _ = family("droplets", 80.5)
    tables = cipa_account(clusters, measured, boxes[0].atoms).tables
    rows = tables["cipa"].set_index("criterion")
    assert rows.loc["first cation–cation peak, position", "value"] == pytest.approx(np.sqrt(2) * BOND_A, abs=0.15)
    nearest = rows.loc["nearest cation–cation distance"].set_index("null_model")
    # Random points at this density are further apart than the lithium of the droplets.
    assert nearest.loc["Poisson", "value"] < nearest.loc["Poisson", "null"]
    assert (nearest.loc[["labels", "pairs"], "z"] < -3).all()


# ---------------------------------------------------------------- the call


def test_a_small_box_cannot_tell_whatever_is_in_it():
    box = droplets(60.0, 1)
    clusters, fold = measure(box)
    verdict = decide([clusters], [fold.result()], box.atoms)
    assert verdict.call == BOX_TOO_SMALL
    assert "the box is 6.0 nm wide" in verdict.sentence and "at least 8 nm" in verdict.sentence


def test_too_few_molecules_of_a_species_cannot_tell():
    boxes, clusters, measured, _ = family("droplets", 80.5)
    verdict = decide(clusters, measured, boxes[0].atoms, CipaThresholds(min_rarest_molecules=361))
    assert verdict.call == BOX_TOO_SMALL and verdict.rarest == 360


def test_a_call_that_a_moved_threshold_would_change_is_undecided_and_says_which():
    boxes, clusters, measured, _ = family("droplets", 80.5)
    verdict = decide(clusters, measured, boxes[0].atoms, CipaThresholds(min_contacts_per_ion=4.5))
    assert verdict.share.value == 1.0
    assert verdict.call == UNDECIDED
    assert "changes with min_contacts_per_ion = 5.4 (0.0" in verdict.sentence
    assert "min_z" not in verdict.sentence


def test_a_call_that_a_moved_cutoff_would_change_is_undecided():
    boxes, clusters, measured, _ = family("droplets", 80.5)
    bare = [Compactness(b.atoms, 1) for b in boxes]
    for fold, box in zip(bare, boxes, strict=True):
        fold.add(first(box.atoms, box.contacts(0, -2.0)))  # no contact is left
    verdict = decide(clusters, measured, boxes[0].atoms, shifted={-2.0: [f.result() for f in bare]})
    assert verdict.call == UNDECIDED and "cutoff = -2 Å" in verdict.sentence


def test_a_share_of_one_half_with_a_wide_error_is_undecided():
    """Of five frames three hold droplets and two hold chains."""
    frames = [family(name, 80.5) for name in ("droplets", "droplets", "long chains")]
    measured = [frames[0][2][0], frames[1][2][1], frames[2][2][0]]
    measured = [replace(r, n_centres=360) for r in measured]
    verdict = decide(frames[0][1], measured, frames[0][0][0].atoms)
    assert verdict.share.value == pytest.approx(2 / 3)
    assert verdict.call == UNDECIDED and "its error bar spans the limit" in verdict.sentence


def test_one_frame_has_no_error_bar_and_says_so():
    boxes, clusters, measured, _ = family("droplets", 80.5)
    verdict = decide(clusters[:1], measured[:1], boxes[0].atoms)
    assert verdict.call == UNDECIDED and "one sample does not decide" in verdict.sentence
    assert "(no error bar)" in verdict.sentence and "(1 frame, 1 replica)" in verdict.sentence


def test_percolation_in_a_tenth_of_the_frames_is_the_limit():
    boxes, clusters, measured, _ = family("droplets", 80.5)

    def with_share(percolating: int) -> list[ClusterResult]:
        series = clusters[0].series | {"percolating_frames": np.repeat([1.0, 0.0], [percolating, 20 - percolating])}
        return [replace(clusters[0], series=series)]

    assert decide(with_share(2), measured, boxes[0].atoms).call == COMPACT
    assert decide(with_share(3), measured, boxes[0].atoms).call == NETWORK


def test_the_compact_share_agrees_with_looking_at_each_cluster():
    _, _, measured, _ = family("droplets", 80.5)
    thresholds = CipaThresholds(max_diameter_nm=3.7)  # the larger of the two kinds of droplet misses it
    for result in measured:
        inside = 0
        for row in result.clusters.to_dict("records"):
            inside += row["n_centres"] * (
                row["rank"] == 0
                and row["ions"] >= 20
                and 2.5 <= row["diameter_nm"] <= 3.7
                and row["contacts_per_ion"] >= 2.5
                and row["density_ratio"] >= 1.3
                and row["z_pairs"] >= 3
                and row["anisotropy"] <= 0.4
            )
        assert 0 < inside < result.n_centres
        assert compact_share(result, thresholds) == pytest.approx([inside / result.n_centres])


def test_a_centre_is_in_a_compact_cluster_or_in_a_small_one_never_in_both():
    whole = family("droplets", 80.5)[2][0], family("small compact", 80.5)[2][0], family("open network", 80.5)[2][0]
    assert [compact_share(r, CipaThresholds()).tolist() for r in whole] == [[1.0], [0.0], [0.0]]
    assert [compact_share(r, CipaThresholds(), small=True).tolist() for r in whole] == [[0.0], [1.0], [0.0]]
    lax = CipaThresholds(min_ions=0, min_diameter_nm=0, min_contacts_per_ion=0, min_density_ratio=0)
    assert compact_share(whole[2], lax.model_copy(update={"min_z": 0}), small=True).tolist() == [0.0]


@pytest.mark.parametrize(
    "criterion, failing",
    [
        ("min_ions", 400),
        ("min_diameter_nm", 4.2),
        ("max_diameter_nm", 3.0),
        ("min_contacts_per_ion", 6.0),
        ("min_density_ratio", 20.0),
        ("min_z", 1000.0),
        ("max_anisotropy", 0.0),
    ],
)
def test_each_criterion_alone_can_fail_a_droplet(criterion, failing):
    _, _, measured, _ = family("droplets", 80.5)
    assert compact_share(measured[0], CipaThresholds()).tolist() == [1.0]
    assert compact_share(measured[0], CipaThresholds(**{criterion: failing})).tolist() == [0.0]


def test_the_sensitivity_table_moves_every_choice():
    boxes, clusters, measured, shifted = family("droplets", 80.5)
    tables = cipa_account(clusters, measured, boxes[0].atoms, CipaThresholds(threshold_shift=0.1), shifted).tables
    table = tables["cipa_sensitivity"]
    assert table["choice"].value_counts().to_dict() == {
        "as set": 1,
        "min_ions": 2,
        "min_diameter_nm": 2,
        "max_diameter_nm": 2,
        "min_contacts_per_ion": 2,
        "min_density_ratio": 2,
        "min_z": 2,
        "max_anisotropy": 2,
        "null_model": 2,
        "cutoff": 2,
    }
    assert table.loc[table["choice"] == "min_ions", "setting"].tolist() == ["18", "22"]
    assert table.loc[table["choice"] == "cutoff", "setting"].tolist() == ["-0.3 Å", "+0.3 Å"]


@pytest.mark.parametrize(
    "wrong, message",
    [
        ({"null_model": "pair"}, "Input should be 'labels' or 'pairs'"),
        ({"min_ions": -1}, "greater than or equal to 0"),
        ({"min_z": float("nan")}, "finite number"),
        ({"min_diameter_nm": 6.0}, "max_diameter_nm = 5 is not above min_diameter_nm = 6."),
        ({"threshold_shift": 1.5}, "less than 1"),
    ],
)
def test_wrong_thresholds_are_refused(wrong, message):
    with pytest.raises(ValidationError) as error:
        CipaThresholds(**wrong)
    assert message in str(error.value)


# ---------------------------------------------------------------- fractal dimension


def finite_only(sizes, radii, frames=None, n_frames: int = 10) -> ClusterResult:
    nothing = np.empty(0)
    frames = np.arange(len(sizes)) % n_frames if frames is None else frames
    finite = np.column_stack([sizes, radii]).astype(float)
    return ClusterResult(1, 2, np.arange(n_frames), {}, nothing, nothing, finite, np.asarray(frames), 0, 0.0, 50.0)


@pytest.mark.parametrize("dimension", [1.0, 1.7, 3.0])
def test_an_exact_power_law_gives_its_dimension_with_no_error(dimension):
    sizes = np.repeat([5, 7, 10, 14, 20, 28, 40], 30)
    found = fractal_dimension([finite_only(sizes, 2.0 * sizes ** (1 / dimension))])
    assert found.value == pytest.approx(dimension)
    assert found.error == pytest.approx(0, abs=1e-9)
    assert (found.smallest, found.largest) == (5, 40)


def test_rods_have_dimension_one_and_balls_three():
    """Points lack the extent of their own cells, a²/12 per direction in R_g²; with it the power laws are exact."""
    n = np.arange(8, 130)
    rods = np.sqrt((n * n - 1) / 12 + 1 / 12)
    assert fractal_dimension([finite_only(n, rods)]).value == pytest.approx(1.0, abs=1e-3)
    balls = [ball(d) for d in np.linspace(20, 55, 60)]
    radii = [np.sqrt(((b - b.mean(axis=0)) ** 2).sum(axis=1).mean() + 3 / 12) for b in balls]
    # A lattice ball is no sphere: ln N is uncertain by about N^(-1/2) at the small end, over three octaves.
    assert fractal_dimension([finite_only([len(b) for b in balls], radii)]).value == pytest.approx(3.0, abs=0.1)


def test_the_error_of_the_dimension_covers_the_truth():
    """Over 40 noisy data sets the deviation is one jackknife error, within the scatter of 40 samples."""
    rng = np.random.default_rng(7)
    sizes = np.repeat([5, 7, 10, 14, 20, 28, 40], 40)
    pulls = []
    for _ in range(40):
        frames = rng.integers(0, 200, len(sizes))
        radii = sizes**0.5 * np.exp(rng.normal(0, 0.2, len(sizes)))
        found = fractal_dimension([finite_only(sizes, radii, frames, 200)])
        pulls.append((found.value - 2) / found.error)
    assert 0.6 < np.std(pulls) < 1.5  # 1 ± 3/√(2·40), and the jackknife of ten blocks scatters by a third itself
    assert abs(np.mean(pulls)) < 4 / np.sqrt(40)


def test_the_row_of_a_dimension_says_how_well_its_error_is_known():
    """Without it no claim about the dimension can be judged."""
    boxes, clusters, measured, _ = family("droplets", 80.5)
    rng = np.random.default_rng(7)
    sizes = np.repeat([5, 7, 10, 14, 20, 28, 40], 40)
    known = []
    for one in clusters:
        radii = sizes**0.5 * np.exp(rng.normal(0, 0.2, len(sizes)))
        frames = rng.integers(0, one.n_frames, len(sizes))
        known.append(replace(one, finite=np.column_stack([sizes, radii]).astype(float), finite_frame=frames))
    rows = cipa_account(known, measured, boxes[0].atoms).rows
    row = next(row for row in rows if row.name == "cluster_fractal_dimension")
    assert row.error > 0 and row.degrees_of_freedom == fractal_dimension(known).degrees_of_freedom > 0


def test_sizes_over_less_than_three_octaves_give_no_dimension():
    sizes = np.repeat([5, 10, 20, 39], 5)
    found = fractal_dimension([finite_only(sizes, sizes**0.5)])
    assert np.isnan(found.value) and str(found.doubt) == "sizes span less than 3 octaves"
    # Forty would do, but not seen twice only.
    sizes = np.append(sizes, [40, 40])
    assert not np.isfinite(fractal_dimension([finite_only(sizes[:-2], sizes[:-2] ** 0.5)]).value)
    assert np.isnan(fractal_dimension([finite_only([], [])]).value)


# ---------------------------------------------------------------- tables


def test_every_row_of_the_table_is_met_as_its_numbers_say():
    for name in FAMILIES:
        boxes, clusters, measured, shifted = family(name, 80.5)
        account = cipa_account(clusters, measured, boxes[0].atoms, shifted=shifted)
        descriptors, tables = account.rows, account.tables
        table = tables["cipa"]
        judged = table[table["threshold"].notna() & table["value"].notna()]
        assert len(judged) >= 7
        for row in judged.itertuples():
            assert row.met is bool(row.value >= row.threshold if row.direction == "≥" else row.value <= row.threshold)
        assert all(met is None for met in table.loc[table["threshold"].isna() | table["value"].isna(), "met"])
        known = table[table["null_sd"] > 0]
        assert known["z"].to_numpy() == pytest.approx(((known["value"] - known["null"]) / known["null_sd"]).to_numpy())
        assert len({d.name for d in descriptors}) == len(descriptors)


def test_the_first_lithium_shell_of_a_droplet_ends_between_its_first_two_distances():
    """√2 and 2 bonds: 5.9 and 8.4 Å, twelve neighbours inside and fewer at the surface."""
    boxes, clusters, measured, _ = family("droplets", 80.5)
    descriptors = cipa_account(clusters, measured, boxes[0].atoms).rows
    found = next(d for d in descriptors if d.name == "centre_centre_cn")
    shell_A = float(found.method.split()[1])
    assert np.sqrt(2) * BOND_A + 0.3 < shell_A < 2 * BOND_A - 0.3
    counts = [
        (np.linalg.norm(minimum_image(b.centres[:, None] - b.centres, 80.5), axis=2) < shell_A).sum() / 360 - 1
        for b in boxes
    ]
    assert found.value == pytest.approx(np.mean(counts), abs=0.01)  # positions are float32
    assert found.value < 12
    given = cipa_account(clusters, measured, boxes[0].atoms, shell_A=6.5).rows
    assert next(d.method for d in given if d.name == "centre_centre_cn").startswith("within 6.50 Å, given;")


def test_neighbours_are_counted_within_the_radius_that_is_told(monkeypatch):
    """A first minimum between two bins: the edge goes to the end of a bin, in the count and in the words."""
    boxes, clusters, measured, _ = family("droplets", 80.5)
    between = Cutoff("", "", 7.55, 5.9, 3.0, 7.55, 0.1, Basis.SECOND_MINIMUM)
    monkeypatch.setattr(cipa_account_module, "second_minimum", lambda *_: between)
    account = cipa_account(clusters, measured, boxes[0].atoms)
    found = next(d for d in account.rows if d.name == "centre_centre_cn")
    told_A = float(found.method.split()[1])
    assert found.value == pytest.approx(np.mean([r.neighbours(told_A)[0].mean() for r in measured]))
    assert f"cation–cation CN, {told_A:.2f} Å" in set(account.tables["cipa"].criterion)
    with pytest.raises(ValueError, match=r"7.53 Å is not the end of a bin of 0.1 Å"):
        measured[0].neighbours(7.53)


def test_the_nearest_neighbour_table_holds_two_densities():
    boxes, clusters, measured, _ = family("random concentrated", 80.5)
    tables = cipa_account(clusters, measured, boxes[0].atoms).tables
    table = tables["cipa_nearest"]
    assert table["density"].sum() * 0.25 == pytest.approx(1.0)
    assert table["poisson"].sum() * 0.25 == pytest.approx(1.0, abs=1e-3)
    mean = (table["r_A"] * table["poisson"]).sum() * 0.25
    assert mean == pytest.approx(poisson_nearest_A(measured[0].n_centres / 80.5**3), rel=1e-2)


def test_a_single_centre_gives_numbers_or_reasons_never_a_crash():
    box = Beads(np.eye(3) * 90.0, *split(block(2, 1, 1)), np.array([[30.0, 30, 30], [60, 60, 60]]))
    clusters, fold = measure(box)
    account = cipa_account([clusters], [fold.result()], box.atoms)
    descriptors, notes = account.rows, account.notes
    assert notes[0]["call"] == BOX_TOO_SMALL
    assert np.isnan({d.name: d.value for d in descriptors}["centre_nearest_distance_A"])


def test_a_shell_without_an_edge_has_a_reason_and_no_radius():
    boxes, clusters, measured, _ = family("droplets", 80.5)
    why = Doubt(Kind.BEYOND_FALLBACK, at=8.0, low=7.5, because=(Doubt(Kind.NO_SECOND_MINIMUM),))
    nowhere = Cutoff("", "", *[float("nan")] * 5, Basis.NONE, why)
    found = _centre_cn(measured, "Li", nowhere)
    assert np.isnan(found.value) and "nan" not in found.method
    assert found.method.endswith("no value: no edge of the first centre–centre shell, " + str(why))
    account = cipa_account(clusters, measured, boxes[0].atoms, shell_A=float("nan"))
    descriptors, tables = account.rows, account.tables
    assert not tables["cipa"].criterion.str.contains("nan").any()
    assert not any("nan" in d.method for d in descriptors)


def test_the_table_doubts_what_the_descriptors_doubt_and_nothing_exact():
    boxes, clusters, measured, _ = family("random concentrated", 80.5)
    account = cipa_account(clusters[:1], measured[:1], boxes[0].atoms)
    descriptors, tables = account.rows, account.tables
    table = tables["cipa"].set_index("criterion")
    doubts = {d.name: d.doubt for d in descriptors}
    assert doubts["centre_nearest_distance_A"] != ""
    assert set(table.doubt["nearest cation–cation distance"]) == {doubts["centre_nearest_distance_A"]}
    assert table.doubt["smallest box width"] == table.doubt["molecules of the rarest species"] == ""
    assert set(table.doubt["first cation–cation peak, height"]) == {"read off the mean curve"}
    assert table.doubt["fractal dimension"] == ""
    shares = tables["cipa_sensitivity"]
    assert (shares.doubt != "").all()  # one replica of few frames decides no share


def test_a_mean_over_centres_counts_each_centre_with_its_cluster():
    _, _, measured, _ = family("small compact", 80.5)
    table = measured[0].clusters
    expected = np.average(table["ions"], weights=table["n_centres"])
    assert cluster_mean(measured[:1], "ions").value == pytest.approx(expected)
