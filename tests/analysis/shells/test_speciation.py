import itertools

import numpy as np
import pytest
import systems
from systems import FSI, LI, NA, NO3

from lmbmd.analysis.shells.cutoffs import Basis, Cutoff
from lmbmd.analysis.shells.separation import SecondShell
from lmbmd.analysis.shells.separation_account import separation_account
from lmbmd.analysis.shells.speciation import CONVENTIONS, Speciation
from lmbmd.numbers.doubt import Doubt, Kind


def fold(atoms, frames, centre="Li"):
    speciation = Speciation(atoms, centre)
    for one in frames:
        speciation.add(systems.first(atoms, one))
    return speciation.result()


@pytest.mark.parametrize("worked", systems.WORKED, ids=lambda w: w.name)
def test_worked_frames_give_their_exact_fractions_in_all_three_conventions(worked):
    result = fold(worked.atoms, [worked.frame()])
    assert tuple(result.fractions("centre")[0]) == worked.centre
    assert tuple(result.fractions("anion")[0]) == worked.anion
    assert tuple(result.fractions("cluster")[0]) == worked.cluster


def test_bidentate_anion_makes_one_contact_ion_pair():
    atoms = systems.atom_table((LI, 1), (FSI, 1))
    result = fold(atoms, [systems.frame(atoms, [(0, ("FSI", 0), 1), (0, ("FSI", 0), 3)])])
    for convention in CONVENTIONS:
        assert tuple(result.fractions(convention)[0]) == (0, 1, 0)
    assert result.anions_per_centre[0].tolist() == [[0, 1], [0, 1]]


def test_twenty_ion_chain_is_counted_by_its_ions_not_as_one_network():
    """Ten Li and ten anions in one open chain: every Li but the first has two anions; all are in one cluster of 20."""
    atoms, one = systems.chain(20)
    result = fold(atoms, [one])
    assert result.fractions("centre")[0] == pytest.approx([0, 0.1, 0.9])
    assert result.fractions("anion")[0] == pytest.approx([0, 0.1, 0.9])
    assert tuple(result.fractions("cluster")[0]) == (0, 0, 1)


def test_clusters_are_weighted_by_their_centres():
    """Three Li alone, one pair, and one cluster of five Li round one anion: 3/9, 1/9, 5/9 and not 3/5, 1/5, 1/5."""
    atoms = systems.atom_table((LI, 9), (FSI, 9))
    contacts = [(3, ("FSI", 0), 1)] + [(k, ("FSI", 1), 1) for k in range(4, 9)]
    result = fold(atoms, [systems.frame(atoms, contacts)])
    assert result.fractions("cluster")[0] == pytest.approx([3 / 9, 1 / 9, 5 / 9])
    assert result.centres_per_anion[0, 0].tolist() == [7, 1, 0, 0, 0, 1]


def test_agg_one_and_two_split_agg_and_the_border_is_an_option():
    atoms = systems.atom_table((LI, 5), (FSI, 4))
    contacts = [(k, ("FSI", 0), 1) for k in range(2)] + [(k, ("FSI", 1), 1) for k in range(3)]
    contacts += [(k, ("FSI", 2), 1) for k in range(5)]
    result = fold(atoms, [systems.frame(atoms, contacts)])
    assert result.agg_parts()[0].tolist() == [0.25, 0.5]
    assert result.agg_parts(4)[0].tolist() == [0.5, 0.25]
    assert result.agg_parts().sum() == result.fractions("anion")[0, 2]


def test_several_cations_and_anions_share_one_graph():
    """Li–FSI–Na, Li–NO3, Na alone: FSI is AGG for Raman, both Li are CIP by centre, one Li is in a cluster of three."""
    atoms = systems.atom_table((LI, 2), (NA, 2), (NO3, 2), (FSI, 1))
    one = systems.frame(atoms, [(0, ("FSI", 0), 1), (2, ("FSI", 0), 2), (1, ("NO3", 1), 0)])
    li, na = fold(atoms, [one]), fold(atoms, [one], "Na")
    assert li.anions == ("NO3", "FSI")
    assert li.n_anions.tolist() == [2, 1]
    assert li.centres_per_anion[0].tolist() == [[1, 1, 0], [0, 0, 1]]
    assert li.anions_per_centre[0].tolist() == [[1, 1], [1, 1], [0, 2]]
    assert tuple(li.fractions("centre")[0]) == (0, 1, 0)
    assert tuple(li.fractions("cluster")[0]) == (0, 0.5, 0.5)
    assert li.fractions("anion")[0] == pytest.approx([1 / 3, 1 / 3, 1 / 3])
    assert tuple(na.fractions("cluster")[0]) == (0.5, 0, 0.5)
    assert (na.fractions("anion") == li.fractions("anion")).all()


def test_box_without_anions_has_only_separated_centres_and_no_anion_fractions():
    atoms = systems.atom_table((LI, 2), (systems.DME, 1))
    result = fold(atoms, [systems.frame(atoms, [(0, ("DME", 0), 0)])])
    assert tuple(result.fractions("centre")[0]) == tuple(result.fractions("cluster")[0]) == (1, 0, 0)
    assert np.isnan(result.fractions("anion")).all()
    assert np.isnan(result.agg_parts()).all()
    assert result.centres_per_anion.shape[:2] == (1, 0)


def test_programming_errors_are_value_errors():
    atoms = systems.atom_table((LI, 1), (FSI, 1))
    with pytest.raises(ValueError, match="FSI is no centre"):
        Speciation(atoms, "FSI")
    with pytest.raises(ValueError, match="no frame was added"):
        Speciation(atoms, "Li").result()
    with pytest.raises(ValueError, match="no convention 'Li'"):
        fold(atoms, [systems.frame(atoms)]).fractions("Li")


# ---- a slow twin and properties


def naive(atoms, one):
    """The three conventions with sets, and clusters by growing them."""
    n = len(atoms.centres)
    anions = [m for s in ("FSI", "NO3") for m in systems.molecules(atoms, s)]
    touching = {m: {c for c, a in zip(one.row, one.atom, strict=True) if atoms.molecule[a] == m} for m in anions}
    per_centre = [sum(c in touching[m] for m in anions) for c in range(n)]
    sizes = []
    for start in range(n):
        cluster, edge = {("c", start)}, [("c", start)]
        while edge:
            kind, who = edge.pop()
            if kind == "c":
                neighbours = {("a", m) for m in anions if who in touching[m]}
            else:
                neighbours = {("c", c) for c in touching[who]}
            edge += neighbours - cluster
            cluster |= neighbours
        sizes.append(len(cluster))
    share = lambda values: [np.mean(np.minimum(values, 2) == k) for k in range(3)]  # noqa: E731
    return share(per_centre), share([len(t) for t in touching.values()]), share([min(s, 3) - 1 for s in sizes])


@pytest.fixture(scope="module")
def mixed():
    return systems.atom_table((LI, 6), (FSI, 4), (systems.DME, 5), (NO3, 3))


def test_fold_agrees_with_counting_by_hand_on_random_contacts(mixed):
    frames = systems.random_frames(mixed, 40, seed=7, per_centre=(0, 0, 1, 2, 3))
    result = fold(mixed, frames)
    for f, one in enumerate(frames):
        for convention, expected in zip(CONVENTIONS, naive(mixed, one), strict=True):
            assert result.fractions(convention)[f] == pytest.approx(expected), (f, convention)


def test_fractions_sum_to_one_over_centres_and_over_anions_in_every_frame(mixed):
    frames = systems.random_frames(mixed, 40, seed=8)
    frames.append(systems.frame(mixed))
    result = fold(mixed, frames)
    for convention in CONVENTIONS:
        assert result.fractions(convention).sum(axis=1) == pytest.approx(np.ones(41), abs=1e-15)
    assert (result.anions_per_centre.sum(axis=2) == 6).all()
    assert (result.centres_per_anion.sum(axis=2) == [4, 3]).all()
    assert (result.cluster.sum(axis=1) == 6).all()


def test_pairs_counted_from_centres_equal_pairs_counted_from_anions(mixed):
    result = fold(mixed, systems.random_frames(mixed, 20, seed=9))
    from_centres = result.anions_per_centre @ np.arange(result.anions_per_centre.shape[2])
    from_anions = result.centres_per_anion @ np.arange(result.centres_per_anion.shape[2])
    np.testing.assert_array_equal(from_centres[:, :-1], from_anions)
    np.testing.assert_array_equal(from_centres[:, -1], from_anions.sum(axis=1))


def test_order_of_centres_and_molecules_does_not_matter(mixed):
    rng = np.random.default_rng(1)
    frames = systems.random_frames(mixed, 8, seed=10)
    moved = [
        systems.relabelled(
            mixed, f, rng.permutation(6), {n: rng.permutation(mixed.count(n)) for n in ("FSI", "NO3", "DME")}
        )
        for f in frames
    ]
    a, b = fold(mixed, frames), fold(mixed, moved)
    for field in ("anions_per_centre", "centres_per_anion", "cluster"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))


def test_parts_of_a_run_give_the_rows_of_the_whole_and_a_repeated_frame_changes_no_mean(mixed):
    frames = systems.random_frames(mixed, 9, seed=11)
    whole, first, last = fold(mixed, frames), fold(mixed, frames[:4]), fold(mixed, frames[4:])
    twice = fold(mixed, [f for f in frames for _ in range(2)])
    for convention in CONVENTIONS:
        np.testing.assert_array_equal(
            np.concatenate([first.fractions(convention), last.fractions(convention)]), whole.fractions(convention)
        )
        np.testing.assert_allclose(twice.fractions(convention).mean(0), whole.fractions(convention).mean(0), rtol=1e-14)


def test_wider_cutoffs_never_unpair_an_ion(mixed):
    for full in systems.random_frames(mixed, 10, seed=12):
        rows = [fold(mixed, [full.within(r)]) for r in (1.7, 2.2, 2.6, 3.0, 3.5)]
        for convention in CONVENTIONS:
            separated = np.array([r.fractions(convention)[0, 0] for r in rows])
            agg = np.array([r.fractions(convention)[0, 2] for r in rows])
            assert (np.diff(separated) <= 0).all() and (np.diff(agg) >= 0).all()
            assert separated[0] == 1


# ---- solvent-separated or free


def place(atoms, where, box):
    """Every molecule as a tight ball of atoms at its place; contacts found by geometry."""
    rng = np.random.default_rng(0)
    positions = np.concatenate(
        [
            np.asarray(where[m]) + (b - a > 1) * 0.3 * rng.uniform(-1, 1, (b - a, 3))
            for m, (a, b) in enumerate(itertools.pairwise(atoms.first_atom))
        ]
    )
    return systems.contacts_from_positions(atoms, positions, box)


TRICLINIC = np.array([[24.0, 0, 0], [8.0, 22.0, 0], [6.0, -7.0, 23.0]])


@pytest.mark.parametrize("box", [np.eye(3) * 24.0, TRICLINIC], ids=["cubic", "triclinic"])
def test_uncoordinated_ions_are_split_by_the_second_shell_across_the_boundary(box):
    """Pair Li–FSI; an anion 6 Å from that Li through the box face; an anion 8.5 Å from the lone Li."""
    atoms = systems.atom_table((LI, 2), (FSI, 3))
    li, far = np.array([0.5, 0.5, 0.5]), 0.5 * box.sum(axis=0)
    x = np.array([1.0, 0, 0])
    where = [li, far, li + 2.3 * x, li - 6.0 * x + box[1], far + 8.5 * x]
    one = place(atoms, where, box)
    shell = one.within(3.2)
    separated = SecondShell(atoms, "Li", {"FSI": 8.0})
    separated.add(systems.first(atoms, shell))
    assert separated.result().labels == ("FSI", "")
    assert separated.result().counts.tolist() == [[[1, 1], [0, 1]]]
    near = SecondShell(atoms, "Li", {"FSI": 9.0})
    near.add(systems.first(atoms, shell))
    assert near.result().counts.tolist() == [[[2, 0], [1, 0]]]
    classes = fold(atoms, [shell])
    assert classes.fractions("anion")[0] == pytest.approx([2 / 3, 1 / 3, 0])
    assert near.result().counts[0, 0].sum() == classes.centres_per_anion[0, 0, 0]


def test_separation_names_the_edge_and_has_no_value_where_there_is_none():
    atoms = systems.atom_table((LI, 4), (FSI, 3), (NO3, 2))
    edge = lambda partner, radius, *rule: Cutoff("Li", partner, radius, 7.0, 1.5, np.nan, np.nan, *rule)  # noqa: E731
    counts = [np.tile([[1, 1], [0, 2], [1, 2]], (5, 1, 1))]
    fsi, nowhere = edge("FSI", 8.2, Basis.SECOND_MINIMUM), edge("NO3", np.nan, Basis.NONE, Doubt(Kind.NO_PAIR))
    for no3, known in ((edge("NO3", 7.5, Basis.FALLBACK, Doubt(Kind.NO_PAIR)), True), (nowhere, False)):
        edges = {"FSI": fsi, "NO3": no3}
        account = separation_account(counts, ("FSI", "NO3", ""), atoms, "Li", edges)
        descriptors, tables = account.rows, account.tables
        table = tables["separation"].set_index("species")
        assert table.loc["FSI", ["solvent_separated", "isolated", "radius_A", "rule"]].tolist() == [
            1 / 3,
            1 / 3,
            8.2,
            "second minimum",
        ]
        assert table.rule[["NO3", "Li"]].tolist() == [no3.rule, "that of each anion"]
        assert np.isnan(table.radius_A["Li"])
        for name in ("NO3", "Li"):
            assert np.isfinite(table.loc[name, ["solvent_separated", "isolated"]].astype(float)).all() == known
        told = {(d.name, d.species): d for d in descriptors}
        for d in (told["isolated_anion_fraction", "NO3"], told["solvent_separated_centre_fraction", "Li"]):
            assert np.isfinite(d.value) == known
            assert d.method.endswith("no value: no edge of the second shell of NO3, no pair was ever found") != known
        assert "(FSI 8.20 Å" in told["isolated_centre_fraction", "Li"].method


def test_second_shell_agrees_with_the_distances_of_every_image():
    atoms = systems.atom_table((LI, 5), (FSI, 6), (NO3, 4))
    radius = {"FSI": 7.0, "NO3": 6.0}
    rng = np.random.default_rng(2)
    for box in (np.eye(3) * 24.0, TRICLINIC):
        for _ in range(5):
            where = rng.uniform(-1, 2, (15, 3)) @ box
            one = place(atoms, where, box)
            shell = one.within(2.6)
            fold_ = SecondShell(atoms, "Li", radius)
            fold_.add(systems.first(atoms, shell))
            touching = {(int(c), int(atoms.molecule[a])) for c, a in zip(shell.row, shell.atom, strict=True)}
            images = np.array(list(itertools.product(range(-3, 4), repeat=3))) @ box
            distance = np.linalg.norm(one.unit[None, 5:, None] - one.centre[:, None, None] + images, axis=3).min(axis=2)
            limit = np.array([7.0] * 6 + [6.0] * 4)
            expected = np.zeros((3, 2), int)
            for a in range(10):
                if not any(m == a + 5 for _, m in touching):
                    expected[0 if a < 6 else 1, 0 if (distance[:, a] <= limit[a]).any() else 1] += 1
            for c in range(5):
                if not any(k == c for k, _ in touching):
                    expected[2, 0 if (distance[c] <= limit).any() else 1] += 1
            assert fold_.result().counts[0].tolist() == expected.tolist()
