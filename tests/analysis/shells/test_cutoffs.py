import math

import numpy as np
import pytest
import systems

from lmbmd.analysis.shells import cutoffs
from lmbmd.analysis.shells.options import LI_FALLBACK_A
from lmbmd.core.errors import LmbmdError
from lmbmd.data.rdf import Rdf

EDGES = np.arange(0, 10.0001, 0.02)
R = 0.5 * (EDGES[1:] + EDGES[:-1])
DENSITY = 0.01  # partners per Å³


def bump(centre, width, height):
    return height * np.exp(-0.5 * ((R - centre) / width) ** 2)


def bulk(onset, width=0.4):
    """Liquid beyond ``onset``: a step from 0 to 1."""
    return 1 / (1 + np.exp(-(R - onset) / (width / 4)))


def measured(g, n_samples, seed=None):
    """What a run sees of the true g: counts (Poisson if seeded) turned into g and running CN."""
    expected = DENSITY * 4 / 3 * np.pi * np.diff(EDGES**3)
    mean = expected * g * n_samples
    counts = mean if seed is None else np.random.default_rng(seed).poisson(mean)
    return counts / (expected * n_samples), np.cumsum(counts) / n_samples, n_samples


TRUE = {
    # one Gaussian shell and a bulk step: the minimum is where the slopes cancel
    "shell": bump(2.0, 0.12, 20.0) + bulk(3.9, 0.8),
    # a shoulder at 2.6 (second oxygen of a chelating anion), no dip
    "shoulder": bump(2.0, 0.15, 20.0) + bump(2.45, 0.18, 5.0) + bulk(4.2, 0.5),
    # two maxima with a shallow dip at 2.3: one shell
    "split": bump(2.0, 0.15, 12.0) + bump(2.5, 0.15, 9.0) + bulk(4.2, 0.5),
    # two maxima with a deep dip at 2.2, before the window: passed over as well
    "early dip": bump(2.0, 0.06, 12.0) + bump(2.5, 0.12, 9.0) + bulk(4.2, 0.5),
    # an empty gap from about 2.4 to 3.6
    "gap": bump(2.0, 0.08, 40.0) + bulk(4.0, 0.3),
    # never coordinated: a rise to 1 with a maximum at 5
    "diluent": bulk(4.4, 1.0) + bump(5.2, 0.5, 0.6),
}


@pytest.mark.parametrize("name", ["shell", "shoulder", "split", "early dip", "gap"])
def test_first_minimum_of_exact_curves_lies_in_the_valley_that_holds_no_pairs(name):
    g = TRUE[name]
    found = cutoffs.first_minimum(R, *measured(g, 1e6))
    assert found.rule == "first minimum"
    assert found.peak_A == pytest.approx(2.0, abs=0.02)
    assert found.peak_g == pytest.approx(g.max(), rel=1e-3)
    valley = (R > 2.7) & (R < 3.6)
    assert g[np.searchsorted(R, found.cutoff_A)] <= g[valley].min() + cutoffs.FLOOR_SHARE * g.max()
    assert 2.7 < found.cutoff_A <= 3.5


@pytest.mark.parametrize("centre_A", [1.905, 1.93, 1.95, 1.99])
def test_the_position_of_a_peak_as_narrow_as_two_bins_is_finer_than_a_bin(centre_A):
    r = np.arange(0.025, 8, 0.05)
    edges = np.linspace(r[0] - 0.025, r[-1] + 0.025, len(r) + 1)
    inside = np.diff([0.5 * (1 + math.erf((x - centre_A) / (0.07 * math.sqrt(2)))) for x in edges])
    g = 45 * inside / inside.max() + (r > 4)
    found = cutoffs.first_minimum(r, g, np.cumsum(g * r**2) * 1e-3, 1e6)
    assert found.peak_A == pytest.approx(centre_A, abs=0.004)


def test_gap_that_is_empty_gives_its_middle_and_one_stray_pair_does_not_move_it():
    g, cn, n = measured(np.where(R < 2.4, bump(2.0, 0.3, 20.0), R > 3.2), 1e6)
    empty = cutoffs.first_minimum(R, g, cn, n)
    assert empty.cutoff_A == pytest.approx(2.8, abs=2 * cutoffs.SMOOTHING_A)
    assert empty.minimum_g == pytest.approx(0.0, abs=1e-3)
    stray = np.searchsorted(R, 2.61)
    one_pair = 1 / (DENSITY * 4 / 3 * np.pi * np.diff(EDGES**3)[stray] * n)
    g[stray] += one_pair
    cn[stray:] += 1 / n
    assert cutoffs.first_minimum(R, g, cn, n).cutoff_A == pytest.approx(empty.cutoff_A, abs=1e-9)


@pytest.mark.parametrize("name", ["shell", "shoulder", "gap"])
@pytest.mark.parametrize("n_samples", [600, 6000])
def test_noise_of_a_short_run_moves_the_coordination_number_by_less_than_its_own_error(name, n_samples):
    """600 samples are 20 Li in 30 frames. CN at the cut-off must be CN of the exact valley within 3 Poisson errors."""
    exact = measured(TRUE[name], n_samples)
    true_cn = np.interp(cutoffs.first_minimum(R, *exact).cutoff_A, R, exact[1])
    for seed in range(25):
        g, cn, n = measured(TRUE[name], n_samples, seed)
        found = cutoffs.first_minimum(R, g, cn, n)
        assert found.rule == "first minimum", (seed, found)
        got = np.interp(found.cutoff_A, R, cn)
        # Anywhere on the floor is as good: 2 % of a molecule on top of the counting error.
        assert got == pytest.approx(true_cn, abs=3 * np.sqrt(true_cn / n) + 0.02), (seed, found)


@pytest.mark.parametrize("n_samples", [200, 2000, 200000])
def test_diluent_without_a_shell_falls_back_with_the_reason(n_samples):
    for seed in range(20):
        found = cutoffs.first_minimum(R, *measured(TRUE["diluent"], n_samples, seed))
        assert found.cutoff_A == LI_FALLBACK_A
        assert found.rule.startswith("fallback: no first shell, the first maximum is at 5.") or (
            n_samples == 200 and found.rule.startswith("fallback: ")
        ), found
        assert np.isnan(found.minimum_A)


@pytest.mark.parametrize(
    ("g", "reason"),
    [
        (np.zeros_like(R), "fallback: no pair was ever found"),
        (np.ones_like(R), "fallback: g(r) has no significant maximum"),
        (bump(3.2, 0.2, 10.0) + bulk(5.5, 0.5), "is not within 2.3–3.5 Å"),
        (bump(1.2, 0.08, 50.0) + bulk(1.9, 0.3), "is not within 2.3–3.5 Å"),
    ],
)
def test_every_shape_without_a_minimum_in_the_window_names_its_reason(g, reason):
    found = cutoffs.first_minimum(R, *measured(g, 1e5))
    assert reason in found.rule
    assert found.rule.startswith("fallback: ")
    assert found.cutoff_A == 2.8


@pytest.mark.parametrize(
    ("height", "rule"),
    [
        (0.13, "fallback: the first maximum, g = 0.12, is below the bulk density"),
        (0.87, "fallback: the first maximum, g = 0.81, is below the bulk density"),
        (1.3, "first minimum"),
        (40.0, "first minimum"),
    ],
)
def test_first_maximum_below_the_bulk_density_is_no_shell(height, rule):
    """One lasting Li–F contact of a diluent that keeps away; smoothing widens 0.13 Å to √(0.13² + 0.05²)."""
    g = bump(2.1, 0.13, height) + bulk(4.5, 1.0)
    found = cutoffs.first_minimum(R, *measured(g, 1e6))
    assert found.rule == rule
    assert found.peak_A == pytest.approx(2.1, abs=0.02) and found.peak_g == pytest.approx(height, rel=0.01)
    assert (found.cutoff_A == LI_FALLBACK_A) == rule.startswith("fallback")


def test_maximum_below_the_bulk_density_before_the_shell_is_passed_over():
    found = cutoffs.first_minimum(R, *measured(bump(1.6, 0.1, 0.5) + bump(2.4, 0.12, 9.0) + bulk(4.4, 0.5), 1e6))
    assert found.rule == "first minimum"
    assert found.peak_A == pytest.approx(2.4, abs=0.02)
    assert 2.8 < found.cutoff_A <= 3.5


def test_single_bin_of_pairs_does_not_crash():
    g = np.zeros_like(R)
    g[100] = 1.0
    assert cutoffs.first_minimum(R, *measured(g, 3)).cutoff_A > 0


@pytest.mark.parametrize(
    ("width", "dip", "edge"),
    [(0.19, 0.70, (3.2, 3.5)), (0.15, 0.37, (2.4, 2.55))],
    ids=["dip above half: one shell", "dip below half: the edge"],
)
def test_dip_between_two_maxima_in_the_window_is_an_edge_if_it_is_deeper_than_half(width, dip, edge):
    """Peaks of 10 at 2.2 and 2.75 Å: at 2.475 Å g is 20 exp(−(0.275/width)²/2)."""
    g = bump(2.2, width, 10.0) + bump(2.75, width, 10.0) + bulk(3.9, 0.5)
    assert np.interp(2.475, R, g) == pytest.approx(10 * dip, rel=0.02)
    assert edge[0] < cutoffs.first_minimum(R, *measured(g, 1e6)).cutoff_A <= edge[1]


def test_other_ions_move_the_window_by_the_difference_of_their_radii():
    window, fallback = cutoffs.shifted_window("Na", (2.3, 3.5), 2.8)
    assert window == pytest.approx((2.56, 3.76))
    assert fallback == pytest.approx(3.06)


@pytest.mark.parametrize(("element", "radius_A"), [("Sr", 1.18), ("Ba", 1.35), ("Rb", 1.52), ("Al", 0.535)])
def test_every_ion_that_may_be_a_centre_has_a_window_of_its_own(element, radius_A):
    """Radii as printed in Shannon's table 1, six-fold coordination; Li⁺ has 0.76 Å."""
    window, fallback = cutoffs.shifted_window(element, (2.3, 3.5), 2.8)
    assert window == pytest.approx((2.3 + radius_A - 0.76, 3.5 + radius_A - 0.76))
    assert fallback == pytest.approx(2.8 + radius_A - 0.76)


def test_an_ion_of_unknown_radius_is_not_given_lithiums_window():
    iron = systems.Model("Fe", "cation", 2, (("Fe", ""),))
    systems.MASS_AMU.setdefault("Fe", 55.85)
    atoms = systems.atom_table((iron, 2), (systems.FSI, 4))
    edges = np.arange(0, 10.01, 0.05)
    pairs = (("Fe", "FSI:N"), ("Fe", "FSI:O"), ("Fe", "FSI:F"), ("Fe", "FSI"))
    flat = np.ones((1, 4, len(edges) - 1))
    rdf = Rdf(edges, pairs, flat, 0.001 * flat, np.array([3]), 10.0)
    with pytest.raises(LmbmdError, match="the ionic radius of Fe is not known") as error:
        cutoffs.first_shell_cutoffs(rdf, atoms, {"FSI:O": 2.5, "FSI:N": 2.8})
    assert "cutoffs_A" in error.value.remedy and "FSI:F" in error.value.remedy
    given = {"FSI:O": 2.5, "FSI:N": 2.8, "FSI:F": 2.6}
    assert {row.rule for row in cutoffs.first_shell_cutoffs(rdf, atoms, given).rows} == {"given"}
    (second,) = cutoffs.second_shell_cutoffs(rdf, atoms, "Fe")
    assert np.isnan(second.cutoff_A) and second.rule == "none: the ionic radius of Fe is not known"


def test_second_minimum_skips_the_peaks_of_bound_anions():
    """Mass centres at 3.0 (chelated) and 4.2 (single contact), the solvent-separated shell at 6.8, minimum at 8."""
    g = bump(3.0, 0.2, 6.0) + bump(4.2, 0.25, 8.0) + bump(6.8, 0.5, 1.5) + 0.5 * bulk(6.0, 2.0) + bump(9.6, 0.6, 0.5)
    deepest = R[(R > 7) & (R < 9)][np.argmin(g[(R > 7) & (R < 9)])]
    for seed in (None, *range(5)):
        found = cutoffs.second_minimum(R, *measured(g, 50000, seed))
        assert found.rule == "second minimum"
        assert found.peak_A == pytest.approx(6.8, abs=0.15)
        assert found.cutoff_A == pytest.approx(deepest, abs=0.3)


def test_second_minimum_falls_back_where_there_is_no_second_shell_and_stays_inside_the_rdf():
    g, cn, n = measured(bump(4.2, 0.25, 8.0), 1e5)
    assert cutoffs.second_minimum(R, g, cn, n).rule.startswith("fallback: ")
    assert cutoffs.second_minimum(R, g, cn, n).cutoff_A == 7.5
    short = R < 6.5
    assert cutoffs.second_minimum(R[short], g[short], cn[short], n).cutoff_A == pytest.approx(6.49)
    assert cutoffs.second_minimum(R, 0 * g, 0 * cn, n).rule == "fallback: no pair was ever found"


#: A second shell at 8.8 Å that the liquid beyond does not let fall before 11 Å.
FAR = bump(4.2, 0.25, 8.0) + bump(8.8, 0.5, 1.5) + 0.5 * bulk(7.5, 2.0)


def test_second_shell_beyond_its_fallback_has_no_radius_instead_of_one_inside_its_peak():
    found = cutoffs.second_minimum(R, *measured(FAR, 1e5), fallback_A=7.5)
    assert found.peak_A == pytest.approx(8.8, abs=0.1)
    assert np.isnan(found.cutoff_A)
    assert found.rule.startswith("none: g(r) of the mass centres has no minimum after its second shell, and the fal")
    assert found.rule.endswith(f"7.50 Å, is not beyond its maximum at {found.peak_A:.2f} Å")
    beyond = cutoffs.second_minimum(R, *measured(FAR, 1e5), fallback_A=9.5)
    assert (beyond.cutoff_A, beyond.rule[:10]) == (9.5, "fallback: ")
    late = cutoffs.second_minimum(R, *measured(FAR + bump(9.99, 0.1, 2.0), 1e5), window_A=(6.0, 9.2))
    assert np.isnan(late.cutoff_A)
    assert late.rule.startswith("none: the second minimum, at 9.")


def rdf_of(pairs, n_samples_per_block=(3e4, 6e4)):
    """An Rdf of two unequal blocks of exact curves."""
    curves = [measured(g, 1e6) for g in pairs.values()]
    g = np.array([[c[0] for c in curves]] * 2)
    count = np.array([[np.diff(c[1], prepend=0) for c in curves]] * 2)
    return Rdf(EDGES, tuple(pairs), g, count, np.array([1000, 2000]), 9.0)


@pytest.fixture(scope="module")
def box():
    return systems.atom_table((systems.LI, 3), (systems.NA, 2), (systems.FSI, 5), (systems.TTE, 4))


@pytest.fixture(scope="module")
def rdf():
    return rdf_of(
        {("Li", "FSI:O"): TRUE["shell"], ("Li", "TTE:O_ether"): TRUE["diluent"], ("Na", "FSI:O"): TRUE["gap"]}
    )


def test_every_centre_and_site_gets_a_cutoff_of_its_own(box, rdf):
    found = cutoffs.first_shell_cutoffs(rdf, box)
    by_pair = {(c.centre, c.partner): c for c in found.rows}
    assert set(by_pair) == {(c, s) for c in ("Li", "Na") for s in box.sites}
    assert by_pair["Li", "FSI:O"].rule == "first minimum"
    assert by_pair["Li", "TTE:O_ether"].rule.startswith("fallback: no first shell")
    assert by_pair["Li", "FSI:N"].rule == "fallback: there is no RDF of this pair"
    assert by_pair["Na", "FSI:N"].cutoff_A == pytest.approx(3.06)
    for (centre, site), row in by_pair.items():
        assert found.radius_A[box.species_index(centre), box.sites.index(site)] == row.cutoff_A
    assert not found.radius_A[box.species_index("FSI")].any()


@pytest.mark.parametrize("key", ["FSI:O", "FSI-O", "Li-FSI:O", "Li-FSI-O"])
def test_given_cutoffs_are_taken_and_the_minimum_is_still_shown(box, rdf, key):
    row = next(
        c for c in cutoffs.first_shell_cutoffs(rdf, box, {key: 2.5}).rows if (c.centre, c.partner) == ("Li", "FSI:O")
    )
    assert (row.cutoff_A, row.rule) == (2.5, "given")
    assert row.minimum_A > 2.7


def test_given_cutoff_of_one_centre_overrides_the_general_one_in_any_order(box, rdf):
    for given in ({"Na-FSI:O": 3.1, "FSI:O": 2.5}, {"FSI:O": 2.5, "Na-FSI:O": 3.1}):
        radius = {(c.centre, c.partner): c.cutoff_A for c in cutoffs.first_shell_cutoffs(rdf, box, given).rows}
        assert radius["Li", "FSI:O"] == 2.5
        assert radius["Na", "FSI:O"] == 3.1


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"FSI:0": 2.8}, "cutoffs_A.FSI:0: there is no donor site 'FSI:0'. Did you mean 'FSI:O'?"),
        ({"FSI:O": 2.8, "FSI-O": 2.7}, "cutoffs_A.FSI-O: 'FSI-O' is given twice."),
    ],
)
def test_bad_cutoffs_are_refused_with_the_nearest_name(box, rdf, given, message):
    with pytest.raises(LmbmdError, match=message.replace("?", r"\?")):
        cutoffs.first_shell_cutoffs(rdf, box, given)


def test_contacts_are_cut_by_the_radius_of_their_own_centre_and_site(box):
    found = cutoffs.first_shell_cutoffs(
        rdf_of({("Li", "FSI:O"): TRUE["shell"]}),
        box,
        {"Li-FSI:O": 2.5, "Na-FSI:O": 3.0, "FSI:N": 2.0, "FSI:F": 2.2, "TTE:F": 2.0, "TTE:O_ether": 2.0},
    )
    # donors of FSI in order: N, O, O, O, O, F, F; centres: three Li, then two Na
    full = systems.frame(
        box,
        [
            (0, ("FSI", 0), 1, 2.4),
            (0, ("FSI", 1), 1, 2.6),
            (0, ("FSI", 1), 0, 2.1),
            (3, ("FSI", 2), 1, 2.9),
            (4, ("TTE", 0), 0, 2.1),
            (4, ("FSI", 3), 5, 2.15),
        ],
    )
    shell = found.first_shell(full, box)
    assert sorted(shell.distance.tolist()) == pytest.approx([2.15, 2.4, 2.9])
    assert shell.offsets.tolist() == [0, 1, 1, 1, 2, 3]
    wider = found.first_shell(full, box, 0.2)
    assert len(wider.atom) == 6
    assert len(found.first_shell(full, box, -0.5).atom) == 0


def test_rdf_beyond_its_reach_is_not_looked_at(box, rdf):
    beyond = rdf.edges_A[1:] > 4.5
    cut = Rdf(
        rdf.edges_A, rdf.pairs, np.where(beyond, np.nan, rdf.g), np.where(beyond, np.nan, rdf.count), rdf.frames, 4.5
    )
    found, whole = (cutoffs.first_shell_cutoffs(x, box).rows[1] for x in (cut, rdf))
    assert (found.rule, found.cutoff_A) == ("first minimum", pytest.approx(whole.cutoff_A))


def test_second_shell_cutoffs_are_by_species(box):
    rows = cutoffs.second_shell_cutoffs(rdf_of({("Li", "FSI"): TRUE["diluent"]}), box, "Li")
    assert [r.partner for r in rows] == ["FSI", "TTE"]
    assert rows[1].rule == "fallback: there is no RDF of this pair"
