"""Clusters of the ion graph: exact counts, analytic shapes, naive twins, invariances."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from cluster_systems import BOND_A, Beads, bead_contacts, bead_table, block, minimum_image, split
from hypothesis import given, settings
from hypothesis import strategies as st
from systems import first

from lmbmd.analysis.clusters.components import CLUSTER_SERIES, Clusters, cluster_shapes
from lmbmd.analysis.clusters.components_account import cluster_account
from lmbmd.analysis.clusters.ions import ion_graph, ions_of
from lmbmd.analysis.clusters.kernels import connect
from lmbmd.data.atoms import AtomTable, SpeciesInfo
from lmbmd.data.contacts import FrameContacts

NOTHING = np.empty((0, 3))
EMPTY_BOX_A = 60.0
few = settings(max_examples=25, deadline=None, derandomize=True)


def of_shapes(*lattices: np.ndarray, edge_A: float = EMPTY_BOX_A, shift_A: float = 0.0) -> Beads:
    """Lattice shapes in a box without solvent, 25 Å apart along x, moved by ``shift_A``."""
    parts = [split(lattice) for lattice in lattices]
    li = [p[0] + [25.0 * k, 0, 0] + shift_A for k, p in enumerate(parts)]
    anions = [p[1] + [25.0 * k, 0, 0] + shift_A for k, p in enumerate(parts)]
    return Beads(np.eye(3) * edge_A, np.concatenate(li), np.concatenate(anions), NOTHING)


def result_of(*boxes: Beads, contact_A: float | None = None):
    fold = Clusters(boxes[0].atoms)
    for k, box in enumerate(boxes):
        this = box if contact_A is None else replace(box, contact_A=contact_A)
        fold.add(first(box.atoms, this.contacts(k)))
    return fold.result()


def random_box(seed: int, n: int = 24, edge_A: float = 22.0) -> Beads:
    """Random centres and anions, close enough to make clusters of all sizes, some of them percolating."""
    rng = np.random.default_rng(seed)
    return Beads(np.eye(3) * edge_A, *rng.uniform(0, edge_A, (2, n, 3)), NOTHING, contact_A=rng.uniform(3.5, 6.5))


# ---------------------------------------------------------------- who belongs together


@pytest.mark.parametrize(
    "lattices, sizes, contacts, charges",
    [
        ([[[0, 0, 0], [1, 0, 0]], [[0, 0, 0]], [[1, 0, 0]]], [1, 1, 2], [0, 0, 1], [1, -1, 0]),  # L–A, L, A
        ([[[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[1, 0, 0]]], [1, 3], [0, 4 / 3], [-1, 1]),  # L–A–L, A
        ([[[1, 0, 0], [2, 0, 0], [3, 0, 0]], [[0, 0, 0]]], [1, 3], [0, 4 / 3], [1, -1]),  # A–L–A, L
        ([block(2, 2, 1)], [4], [2.0], [0]),  # ring L–A–L–A
        ([block(2, 2, 2)], [8], [3.0], [0]),  # cube
    ],
)
def test_worked_examples_have_their_sizes_contacts_and_charges(lattices, sizes, contacts, charges):
    box = of_shapes(*map(np.array, lattices))
    graph = first(box.atoms, box.contacts()).graph
    charge = np.bincount(graph.label, weights=ions_of(box.atoms).charge)
    assert sorted(graph.size) == sizes
    assert sorted(2 * graph.edges / graph.size) == pytest.approx(contacts)
    assert sorted(charge) == sorted(charges)
    assert not graph.rank.any()


def test_a_ring_of_four_has_a_quarter_of_a_ring_per_ion():
    series = result_of(of_shapes(block(2, 2, 1))).series
    assert series["contacts_per_ion"] == [2.0]
    assert series["rings_per_ion"] == [0.25]


def test_rings_follow_from_contacts_in_a_connected_cluster():
    series = result_of(of_shapes(block(3, 3, 2))).series
    assert series["rings_per_ion"][0] == pytest.approx(series["contacts_per_ion"][0] / 2 - 1 + 1 / 18)


def test_a_bidentate_anion_is_one_edge():
    """Two donor atoms of one anion touch one centre: k = 1 for the pair, no ring."""
    species = (SpeciesInfo("Li", "cation", 1), SpeciesInfo("A", "anion", -1))
    two = np.array([0, 1, 1])
    atoms = AtomTable(
        species, ("A:O",), two, two, np.array([-1, 0, 0]), *2 * [np.array(["X"] * 3)], np.ones(3), np.zeros(3)
    )
    edge = np.array([[3.0, 0, 0], [3.0, 0, 0]], np.float32)
    shell = FrameContacts(
        0,
        0.0,
        np.eye(3) * 30,
        np.array([0, 2]),
        np.array([1, 2], np.int32),
        np.full(2, 2.0, np.float32),
        edge,
        np.zeros((1, 3), np.float32),
        np.array([[0, 0, 0], [3.0, 0, 0]], np.float32),
        np.zeros((2, 3)),
    )
    graph = first(atoms, shell).graph
    assert graph.edges.tolist() == [1] and graph.rank.tolist() == [0]
    # The same two contacts through different images are one edge and two walks: the pair percolates along x.
    through_the_face = replace(shell, edge=edge + np.array([[0, 0, 0], [-30, 0, 0]], np.float32))
    graph = first(atoms, through_the_face).graph
    assert graph.edges.tolist() == [1] and graph.rank.tolist() == [1]


def test_every_cation_is_a_node_of_its_kind_and_solvent_is_none():
    atoms = bead_table(2, 2, 3, n_sodium=1)
    ions = ions_of(atoms)
    assert len(ions) == 5 and ions.n_centres == 3
    assert ions.charge.tolist() == [1, 1, 1, -1, -1]
    assert ions.unit.tolist() == [0, 1, 2, 3, 4]
    # Li, Na and an anion in a row; the solvent between the others joins nothing.
    points = np.array([[0, 0, 0], [20, 0, 0], [8, 0, 0], [4, 0, 0], [30, 0, 0], [22, 0, 0], [26, 0, 0], [40, 0, 0]])
    assert ion_graph(bead_contacts(atoms, points, np.eye(3) * 60), atoms, ions).label.tolist() == [0, 1, 0, 0, 2]


def test_an_edge_that_misses_its_molecule_is_refused():
    box = of_shapes(block(2, 1, 1))
    shell = box.contacts()
    with pytest.raises(ValueError, match="does not end on its partner's mass centre"):
        _ = first(box.atoms, replace(shell, edge=shell.edge + np.float32(7))).graph


def test_without_ions_or_frames_there_is_no_result():
    with pytest.raises(ValueError, match="no ions"):
        Clusters(bead_table(0, 0, 5))
    with pytest.raises(ValueError, match="no frame"):
        Clusters(bead_table(1, 1)).result()


# ---------------------------------------------------------------- percolation


def naive_graph(n: int, edges: list[tuple[int, int, tuple[int, int, int]]], cells: int) -> tuple[list[int], list[int]]:
    """Components by walking, and period ranks by counting the copies of each in a periodic cells³ supercell.

    A component with r independent periods falls into cells^(3 − r) pieces, if no period is lost modulo ``cells``.
    """

    def pieces(n_cells: int) -> dict:
        neighbours: dict = {}
        for cell in itertools.product(range(n_cells), repeat=3):
            for a, b, step in edges:
                other = tuple((c + s) % n_cells for c, s in zip(cell, step, strict=True))
                neighbours.setdefault((a, cell), []).append((b, other))
                neighbours.setdefault((b, other), []).append((a, cell))
        found: dict = {}
        nodes = [(i, cell) for i in range(n) for cell in itertools.product(range(n_cells), repeat=3)]
        for k, node in enumerate(nodes):
            stack = [node]
            while stack:
                here = stack.pop()
                if here not in found:
                    found[here] = k
                    stack += neighbours.get(here, [])
        return found

    single, many = pieces(1), pieces(cells)
    names = list(dict.fromkeys(single[i, (0, 0, 0)] for i in range(n)))
    label = [names.index(single[i, (0, 0, 0)]) for i in range(n)]
    rank = []
    for c in range(len(names)):
        copies = {piece for (i, _), piece in many.items() if label[i] == c}
        rank.append(3 - round(np.log(len(copies)) / np.log(cells)))
    return label, rank


@few
@given(st.integers(0, 10**6))
def test_components_and_ranks_agree_with_a_supercell(seed):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 7))
    edges = [
        (int(a), int(b), tuple(int(s) for s in step))
        for a, b, step in zip(
            *rng.integers(0, n, (2, rng.integers(1, 9))), rng.choice([-1, 0, 0, 0, 1], (9, 3)), strict=False
        )
    ]
    source, target = (np.array([e[k] for e in edges], np.int64) for k in (0, 1))
    step = np.array([e[2] for e in edges], np.int64)
    label, image, rank = connect(n, source, target, step)
    # A period divisible by 5 or by 7 loses rank in one of the supercells; none here is divisible by both.
    five, seven = naive_graph(n, edges, 5), naive_graph(n, edges, 7)
    assert label.tolist() == five[0]
    assert rank.tolist() == [max(a, b) for a, b in zip(five[1], seven[1], strict=True)]
    finite = rank[label[source]] == 0
    np.testing.assert_array_equal((image[target] - image[source])[finite], step[finite])


@pytest.mark.parametrize("directions", [1, 2, 3])
def test_struts_through_the_box_percolate_in_as_many_directions_as_they_run(directions):
    m = 6
    lattice = block(m, m, m)
    on_struts = (lattice == 0).sum(axis=1) == 3
    for axis in range(directions):
        on_struts |= (np.delete(lattice, axis, axis=1) == 0).all(axis=1)
    box = Beads(np.eye(3) * m * BOND_A, *split(lattice[on_struts]), NOTHING)
    result = result_of(box)
    assert result.rank.tolist() == [directions]
    assert result.series["percolating_frames"] == [1.0]
    assert result.series["percolating_ion_fraction"] == [1.0]
    assert np.isnan(result.series["cluster_rg_nm"][0]) and np.isnan(cluster_shapes(_graph(box)).rg_A[0])
    assert result.longest_A == 0.0


def _graph(box: Beads):
    return first(box.atoms, box.contacts()).graph


def test_a_chain_cut_once_does_not_percolate():
    m = 6
    line = block(m, 1, 1)
    whole = Beads(np.eye(3) * m * BOND_A, *split(line), NOTHING)
    cut = Beads(np.eye(3) * m * BOND_A, *split(line[1:]), NOTHING)
    assert _graph(whole).rank.tolist() == [1]
    assert _graph(cut).rank.tolist() == [0]
    assert cluster_shapes(_graph(cut)).longest_A == pytest.approx([4 * BOND_A])


def test_a_chain_that_winds_twice_before_it_closes_percolates_along_one_direction():
    """Period (2, 1, 0): neither face is crossed alone, the sum of two walks closes."""
    source, target = np.array([0, 0, 2, 2]), np.array([1, 3, 3, 1])
    step = np.array([[0, 0, 0], [-1, 0, 0], [0, 1, 0], [1, 0, 0]])
    _, _, rank = connect(4, source, target, step)
    assert rank.tolist() == [1]


# ---------------------------------------------------------------- shapes


@pytest.mark.parametrize("n", [2, 3, 10, 41])
def test_a_rod_has_the_radius_of_gyration_and_anisotropy_of_a_rod(n):
    box = of_shapes(block(n, 1, 1), edge_A=400.0)
    shape = cluster_shapes(_graph(box))
    # Positions are float32 of numbers up to 200.
    assert shape.rg_A == pytest.approx([BOND_A * np.sqrt((n * n - 1) / 12)], rel=1e-5)
    assert shape.longest_A == pytest.approx([BOND_A * (n - 1)], rel=1e-5)
    assert shape.asphericity == pytest.approx([1.0], abs=1e-5)
    assert shape.anisotropy == pytest.approx([1.0], abs=1e-5)


@pytest.mark.parametrize("direction", [[1, 1, 0], [1, 0, -1], [0, 1, 1], [1, 2, 3]])
def test_a_rod_is_a_rod_whichever_way_it_points(direction):
    along = np.arange(5)[:, None] * BOND_A * np.array(direction) / np.linalg.norm(direction) + 20
    shape = cluster_shapes(_graph(Beads(np.eye(3) * EMPTY_BOX_A, along[::2], along[1::2], NOTHING)))
    assert shape.rg_A == pytest.approx([BOND_A * np.sqrt(2)], rel=1e-5)
    assert shape.asphericity == pytest.approx([1.0], abs=1e-5)
    assert shape.anisotropy == pytest.approx([1.0], abs=1e-5)


def test_a_square_is_a_disc_and_a_cube_a_sphere():
    box = of_shapes(block(4, 4, 1), block(4, 4, 4), edge_A=100.0)
    graph = _graph(box)
    shape = cluster_shapes(graph)
    square, cube = np.argsort(graph.size)
    per_axis = BOND_A**2 * 15 / 12
    assert shape.rg_A[[square, cube]] ** 2 == pytest.approx([2 * per_axis, 3 * per_axis], rel=1e-5)
    assert shape.anisotropy[[square, cube]] == pytest.approx([0.25, 0.0], abs=1e-5)
    assert shape.asphericity[[square, cube]] == pytest.approx([0.25, 0.0], abs=1e-5)


def test_a_lone_ion_has_no_extent_and_no_shape():
    shape = cluster_shapes(_graph(of_shapes(np.array([[0, 0, 0]]))))
    assert shape.rg_A.tolist() == [0.0] and shape.longest_A.tolist() == [0.0]
    assert np.isnan(shape.anisotropy).all() and np.isnan(shape.asphericity).all()


@few
@given(st.integers(0, 10**6))
def test_sizes_in_space_agree_with_every_pair_of_an_unwrapped_cluster(seed):
    """R_g² = Σ over all pairs of |x − x′|² / n², on clusters unwrapped by walking contacts one by one."""
    box = random_box(seed)
    graph, shape = _graph(box), cluster_shapes(_graph(box))
    edge_A, ions = box.box[0, 0], np.concatenate([box.centres, box.anions])
    for c in np.flatnonzero(graph.rank == 0):
        members = np.flatnonzero(graph.label == c).tolist()
        place = {members[0]: ions[members[0]]}
        grown = True
        while grown:
            grown = False
            for a, b in itertools.product(list(place), members):
                d = minimum_image(ions[b] - ions[a], edge_A)
                opposite = (a < len(box.centres)) != (b < len(box.centres))
                if b not in place and opposite and np.linalg.norm(d) <= box.contact_A:
                    place[b], grown = place[a] + d, True
        points = np.array([place[i] for i in members])
        squares = ((points[:, None] - points[None]) ** 2).sum(axis=2)
        assert shape.rg_A[c] == pytest.approx(np.sqrt(squares.sum() / 2) / len(points), abs=1e-4)
        assert shape.longest_A[c] == pytest.approx(np.sqrt(squares.max()), abs=1e-4)


# ---------------------------------------------------------------- invariances


def assert_same(a, b) -> None:
    """Everything that must not depend on where the box begins or how ions are numbered."""
    assert a.counts.tolist() == b.counts.tolist()
    assert a.rank.tolist() == b.rank.tolist()
    # Positions are float32 of numbers up to 150 Å: 1e-5 Å each, half of that in nm and more in a sum.
    for name in CLUSTER_SERIES:
        np.testing.assert_allclose(a.series[name], b.series[name], atol=1e-4, err_msg=name)
    by_size = lambda r: r.finite[np.lexsort(r.finite.round(2).T)]  # noqa: E731
    np.testing.assert_allclose(by_size(a), by_size(b), atol=1e-3)


@few
@given(st.integers(0, 10**6))
def test_moving_and_wrapping_the_box_changes_nothing(seed):
    box = random_box(seed)
    rng = np.random.default_rng(seed)
    shift = rng.uniform(-50, 50, 3)
    cells = [rng.integers(-2, 3, (len(p), 3)) @ box.box for p in (box.centres, box.anions)]
    moved = replace(box, centres=box.centres + shift + cells[0], anions=box.anions + shift + cells[1])
    assert_same(result_of(moved), result_of(box))


@few
@given(st.integers(0, 10**6))
def test_renumbering_the_ions_changes_nothing(seed):
    box = random_box(seed)
    rng = np.random.default_rng(seed)
    renumbered = replace(box, centres=rng.permutation(box.centres), anions=rng.permutation(box.anions))
    assert_same(result_of(renumbered), result_of(box))


@few
@given(st.integers(0, 10**6))
def test_a_triclinic_cell_of_the_same_crystal_changes_nothing(seed):
    box = random_box(seed)
    a, b, c = box.box
    leaning = replace(box, box=np.array([a, b + a, c - b]))
    points = np.concatenate([box.centres, box.anions])
    # Nearest images in a leaning cell must be looked for among neighbours, so contacts are taken from the cube.
    cube, tilted = box.contacts(), bead_contacts(box.atoms, points, box.box, 0, box.contact_A)
    tilted = replace(tilted, box=leaning.box)
    ours, theirs = first(box.atoms, cube).graph, first(box.atoms, tilted).graph
    assert theirs.label.tolist() == ours.label.tolist()
    assert theirs.rank.tolist() == ours.rank.tolist()
    finite = ours.rank[ours.label] == 0
    np.testing.assert_allclose(theirs.position[finite], ours.position[finite], atol=1e-3)


@few
@given(st.integers(0, 10**6))
def test_a_doubled_box_holds_every_finite_cluster_twice_and_percolates_as_before(seed):
    box = random_box(seed)
    edge = box.box[0]
    double = replace(
        box,
        box=box.box * [[2], [1], [1]],
        centres=np.concatenate([box.centres, box.centres + edge]),
        anions=np.concatenate([box.anions, box.anions + edge]),
    )
    one, two = _graph(box), _graph(double)
    assert (
        np.bincount(two.size[two.rank == 0], minlength=100)[:100].tolist()
        == (2 * np.bincount(one.size[one.rank == 0], minlength=100)[:100]).tolist()
    )
    # A network stays one of as many directions, in one piece or, if it misses every other cell, in two.
    assert set(two.rank[two.rank > 0]) == set(one.rank[one.rank > 0])
    assert two.size[two.rank > 0].sum() == 2 * one.size[one.rank > 0].sum()


@few
@given(st.integers(0, 10**6), st.floats(2.0, 6.0), st.floats(0.0, 1.0))
def test_a_larger_cutoff_only_joins_clusters(seed, cutoff_A, more_A):
    box = random_box(seed)
    small, large = (first(box.atoms, replace(box, contact_A=r).contacts()).graph for r in (cutoff_A, cutoff_A + more_A))
    for c in range(len(small.size)):
        assert len(set(large.label[small.label == c])) == 1
    for c in range(len(small.size)):
        assert large.rank[large.label[small.label == c][0]] >= small.rank[c]


@few
@given(st.integers(0, 10**6))
def test_ions_and_charges_are_conserved_in_every_frame(seed):
    boxes = [random_box(seed), random_box(seed + 1)]
    result = result_of(*boxes)
    for frame in (0, 1):
        rows = result.counts[result.counts[:, 0] == frame]
        assert (rows[:, 1] * rows[:, 5]).sum() == 24
        assert (rows[:, 2] * rows[:, 5]).sum() == 24
        assert (rows[:, 3] * rows[:, 5]).sum() == 0


# ---------------------------------------------------------------- tables


def test_tables_tell_counts_per_frame_and_shares_of_ions():
    pairs = of_shapes(block(2, 1, 1), block(2, 1, 1))
    chain = of_shapes(block(4, 1, 1))
    account = cluster_account([result_of(pairs), result_of(chain, chain)], pairs.atoms)
    descriptors, tables, notes = account.rows, account.tables, account.notes
    sizes = tables["cluster_sizes"]
    assert sizes[["n_ions", "clusters_per_frame"]].to_numpy() == pytest.approx(np.array([[2, 2 / 3], [4, 2 / 3]]))
    assert sizes["ion_fraction"].tolist() == pytest.approx([1 / 3, 2 / 3])
    population = tables["cluster_population"]
    assert population[["n_centres", "n_anions", "per_frame"]].to_numpy() == pytest.approx(
        np.array([[1, 1, 2 / 3], [2, 2, 2 / 3]])
    )
    charge = tables["cluster_charge"]
    assert charge[["charge_e", "per_frame"]].to_numpy().tolist() == [[0, pytest.approx(4 / 3)]]
    for table in (sizes, population, charge):
        assert table["doubt"].str.startswith("error not reliable").all() and (table["error"] > 0).all()
    values = {d.name: d.value for d in descriptors}
    assert values["cluster_size_number_average"] == pytest.approx((2 + 4 + 4) / 3)
    assert values["cluster_rg_diameter_nm"] == pytest.approx(2 * np.sqrt(5 / 3) * values["cluster_rg_nm"])
    assert set(CLUSTER_SERIES) < set(values)
    assert not notes


def test_weight_and_number_averages_count_lone_ions():
    box = of_shapes(block(3, 1, 1), np.array([[0, 0, 0]]))
    series = result_of(box).series
    assert series["cluster_size_number_average"] == [2.0]
    assert series["cluster_size_weight_average"] == [(9 + 1) / 4]
    assert series["largest_cluster_fraction"] == [0.75]


def test_the_network_is_a_row_of_its_own_and_the_reader_is_told():
    m = 6
    box = Beads(np.eye(3) * m * BOND_A, *split(block(m, 1, 1)), NOTHING)
    account = cluster_account([result_of(box)], box.atoms)
    tables, notes = account.tables, account.notes
    assert tables["cluster_sizes"]["percolating"].tolist() == [True]
    assert tables["cluster_population"]["percolating"].tolist() == [True]
    assert [n["topic"] for n in notes] == ["cluster"]
    assert "In 1 of 1 frames a cluster is connected to its own periodic image (in up to 1" in notes[0]["text"]


def test_a_finite_cluster_longer_than_half_the_box_is_warned_about():
    line = block(9, 1, 1)  # 33.6 Å
    for edge_A, warned in ((67.0, True), (68.0, False)):
        box = of_shapes(line, edge_A=edge_A)
        result = result_of(box)
        assert result.oversized == warned
        assert [n["topic"] for n in cluster_account([result], box.atoms).notes] == ["box"] * warned


def test_the_box_that_is_asked_for_is_wider_than_the_one_it_was_too_narrow():
    line = block(6, 1, 1)  # 21 Å
    box = of_shapes(line, edge_A=41.0)
    (note,) = cluster_account([result_of(box)], box.atoms).notes
    assert note["text"].endswith(
        "in a box of 4.1 nm): its size is limited by the box. Simulate a box of at least 5 nm."
    )


def test_undefined_sizes_say_why():
    box = of_shapes(np.array([[0, 0, 0]]), np.array([[1, 0, 0]]))
    row = next(d for d in cluster_account([result_of(box)], box.atoms).rows if d.name == "cluster_rg_nm")
    assert np.isnan(row.value) and "no finite cluster was seen" in row.method
