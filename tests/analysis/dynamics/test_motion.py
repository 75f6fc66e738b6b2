"""The fold that unwraps: against the walk that it was given, in cells of any shape that breathe, drift and are cut."""

import numpy as np
import pytest
import systems
from systems import DME, FSI, LI
from walks import barycentric, table, walk

from lmbmd.analysis.dynamics.motion import CLUSTER_CLASSES, Motion, _sudden
from lmbmd.core.errors import LmbmdError
from lmbmd.data.contacts import FrameContacts

CUBE = np.eye(3) * 20.0
OCTAHEDRON = 20.0 * np.array([[1, 0, 0], [1 / 3, 2 * np.sqrt(2) / 3, 0], [-1 / 3, np.sqrt(2) / 3, np.sqrt(6) / 3]])
SKEWED = np.array([[22.0, 0, 0], [4.0, 21.0, 0], [-6.0, 3.0, 23.0]])


def liquid(n=1):
    return systems.atom_table((LI, 4 * n), (FSI, 4 * n), (DME, 12 * n))


def folded(atoms, contacts):
    fold = Motion(atoms, "Li")
    for one in contacts:
        fold.add(systems.first(atoms, one))
    return fold.result()


def start(rng, atoms, box):
    return rng.uniform(0, 1, (atoms.n_molecules, 3)) @ box


@pytest.mark.parametrize("box", [CUBE, OCTAHEDRON, SKEWED], ids=["cube", "octahedron", "skewed"])
@pytest.mark.parametrize("is_wrapped", [True, False], ids=["wrapped", "whole"])
def test_paths_are_those_that_were_walked(box, is_wrapped):
    rng, atoms = np.random.default_rng(1), liquid()
    path = walk(rng, 400, np.full(20, 1.0))
    found = folded(atoms, table(atoms, start(rng, atoms, box) + path, box, is_wrapped=is_wrapped))
    # Positions are float32: 400 Å or so, to 3e-5.
    assert np.abs(found.paths_A - barycentric(atoms, path)).max() < 1e-3
    assert np.abs(path).max() > 25.0
    assert found.species_A[:, 0] == pytest.approx(barycentric(atoms, path)[:, :4].sum(axis=1), abs=1e-3)


def breathing(rng, atoms, box, n_frames, path, by_atom):
    """Walks in fractions of a box whose volume goes up and down: what a barostat makes of them."""
    scale = 1 + 0.02 * np.sin(np.arange(n_frames)) + 0.005 * rng.normal(size=n_frames)
    fraction = (start(rng, atoms, box) + path) @ np.linalg.inv(box)
    boxes = scale[:, None, None] * box
    return fraction, boxes


@pytest.mark.parametrize("box", [CUBE, OCTAHEDRON, SKEWED], ids=["cube", "octahedron", "skewed"])
def test_a_box_that_breathes_moves_nobody(box):
    rng, atoms = np.random.default_rng(2), liquid()
    path = walk(rng, 300, np.full(20, 0.7))
    fraction, boxes = breathing(rng, atoms, box, 300, path, False)
    at_rest = table(atoms, fraction @ box, box)
    breathed = table(atoms, np.einsum("tni,tij->tnj", fraction, boxes), boxes)
    a, b = folded(atoms, at_rest), folded(atoms, breathed)
    mean = np.linalg.norm(b.box_A) / np.linalg.norm(box)
    assert np.abs(b.paths_A - mean * a.paths_A).max() < 2e-3
    assert a.volume_spread < 1e-12 < 0.01 < b.volume_spread


def test_other_vectors_of_the_same_lattice_move_nobody():
    rng, atoms = np.random.default_rng(3), liquid()
    path = walk(rng, 50, np.full(20, 0.7))
    turned = np.array([np.eye(3), [[1, 0, 0], [0, 1, 0], [1, 1, 1]], [[-1, 0, 0], [0, 1, 0], [0, 0, 1]]])
    boxes = turned[rng.integers(0, 3, 50)] @ OCTAHEDRON
    boxes[0] = OCTAHEDRON
    found = folded(atoms, table(atoms, start(rng, atoms, OCTAHEDRON) + path, boxes))
    assert np.abs(found.paths_A - barycentric(atoms, path)).max() < 1e-3


def test_a_box_that_jumps_ends_the_counting():
    atoms = liquid()
    frames = table(atoms, np.ones((3, 20, 3)), np.array([CUBE, CUBE, 1.5 * CUBE]))
    with pytest.raises(LmbmdError, match="another shape"):
        folded(atoms, frames)


def test_drift_of_the_whole_box_is_taken_off():
    rng, atoms = np.random.default_rng(4), liquid()
    path = walk(rng, 100, np.full(20, 0.5))
    drifting = path + np.arange(100)[:, None, None] * np.array([1.3, -0.4, 0.2])
    place = start(rng, atoms, CUBE)
    a, b = (folded(atoms, table(atoms, place + p, CUBE)) for p in (path, drifting))
    assert np.abs(a.paths_A - b.paths_A).max() < 1e-3


def test_renumbered_molecules_move_alike():
    rng, atoms = np.random.default_rng(5), liquid()
    path = start(rng, atoms, CUBE) + walk(rng, 100, np.full(20, 0.5))
    order = np.concatenate([rng.permutation(4), 4 + rng.permutation(4), 8 + rng.permutation(12)])
    a, b = folded(atoms, table(atoms, path, CUBE)), folded(atoms, table(atoms, path[:, order], CUBE))
    assert np.abs(a.paths_A[:, order] - b.paths_A).max() < 1e-3
    assert b.species_A == pytest.approx(a.species_A, abs=1e-3)


def test_two_boxes_side_by_side_move_as_one():
    rng, one, two = np.random.default_rng(6), liquid(), liquid(2)
    path = start(rng, one, CUBE) + walk(rng, 100, np.full(20, 0.5))
    twice = np.concatenate([np.repeat(part, 2, axis=1) for part in np.split(path, [4, 8], axis=1)], axis=1)
    twice[:, 1::2, 0] += 20.0
    a, b = folded(one, table(one, path, CUBE)), folded(two, table(two, twice, np.diag([40.0, 20, 20])))
    assert np.abs(b.paths_A[:, ::2] - a.paths_A).max() < 1e-3
    assert b.species_A == pytest.approx(2 * a.species_A, abs=1e-3)
    assert b.volume_A3 == pytest.approx(2 * a.volume_A3)


def test_the_paths_of_two_halves_joined_are_the_whole():
    rng, atoms = np.random.default_rng(7), liquid()
    frames = table(atoms, start(rng, atoms, CUBE) + walk(rng, 101, np.full(20, 0.5)), CUBE).frames
    whole, first, second = (folded(atoms, part) for part in (frames, frames[:51], frames[50:]))
    joined = np.concatenate([first.paths_A, first.paths_A[-1] + second.paths_A[1:]])
    assert np.abs(joined - whole.paths_A).max() < 1e-3


def test_paths_are_thinned_evenly_and_sums_are_not():
    rng, atoms = np.random.default_rng(8), liquid()
    path = walk(rng, 101, np.full(20, 0.5))
    fold = Motion(atoms, "Li", stride=7)
    for one in table(atoms, start(rng, atoms, CUBE) + path, CUBE):
        fold.add(systems.first(atoms, one))
    found = fold.result()
    assert found.stride == 7 and len(found.paths_A) == 15 and len(found.species_A) == 101
    assert np.abs(found.paths_A - barycentric(atoms, path)[::7]).max() < 1e-3


def test_parts_add_up_to_the_whole():
    rng, atoms = np.random.default_rng(9), liquid()
    path = start(rng, atoms, CUBE) + walk(rng, 60, np.full(20, 0.5))
    bonds = [[(int(c), ("FSI", int(a)), 1) for c in range(4) for a in range(4) if rng.random() < 0.3] for _ in path]
    found = folded(atoms, table(atoms, path, CUBE, contacts=bonds))
    charge = np.array([1.0, -1.0, 0.0])
    assert found.classes_e_A.sum(axis=1) == pytest.approx(np.einsum("s,tsk->tk", charge, found.species_A), abs=1e-6)
    assert found.states_A.sum(axis=2) == pytest.approx(found.paths_A[:, :4], abs=1e-4)
    assert found.state_share.sum() == pytest.approx(1.0) and (found.state_share > 0).all()
    assert found.class_charge_e2.sum() == pytest.approx(8.0)


def test_half_of_a_step_goes_to_what_an_ion_was_part_of_and_half_to_what_it_is_part_of():
    atoms = systems.atom_table((LI, 1), (FSI, 1), (DME, 2))
    path = np.zeros((3, 4, 3))
    path[1:, 0, 0], path[2:, 0, 0] = 1.0, 3.0
    path[:, 2, 1] = [0, 1, 1]
    path = barycentric(atoms, path)
    bonds = [[(0, ("DME", 0), 0)], [(0, ("DME", 0), 0), (0, ("FSI", 0), 1)], [(0, ("FSI", 0), 1)]]
    found = folded(atoms, table(atoms, path + 10.0, CUBE, contacts=bonds))
    li, fsi, dme = path[:, 0], path[:, 1], path[:, 2]
    assert found.states_A[-1, 0, 0] == pytest.approx(0.5 * li[1], abs=1e-5)
    assert found.states_A[-1, 0, 1] == pytest.approx(0.5 * li[1] + (li[2] - li[1]), abs=1e-5)
    single, pair = (CLUSTER_CLASSES.index(name) for name in ("single", "pair"))
    assert found.classes_e_A[-1, single] == pytest.approx(0.5 * (li - fsi)[1], abs=1e-5)
    assert found.classes_e_A[-1, pair] == pytest.approx((li - fsi)[2] - 0.5 * (li - fsi)[1], abs=1e-5)
    mixed = 0.5 * (dme + fsi)
    carried = 0.5 * dme[1] + 0.5 * mixed[1] + 0.5 * (mixed[2] - mixed[1]) + 0.5 * (fsi[2] - fsi[1])
    assert found.carried_A[-1, 0] == pytest.approx(carried, abs=1e-5)
    assert found.state_share == pytest.approx([1 / 3, 2 / 3, 0])


def test_steps_are_measured_against_the_box():
    rng, atoms = np.random.default_rng(10), liquid()
    deviation = np.repeat([0.2, 0.2, 2.0], [4, 4, 12])
    found = folded(atoms, table(atoms, start(rng, atoms, CUBE) + walk(rng, 500, deviation), CUBE))
    assert found.fastest == "DME" and found.longest_step == pytest.approx(0.1, rel=0.05)


def test_a_frame_off_the_beat_ends_the_counting():
    atoms = liquid()
    frames = list(table(atoms, np.ones((4, 20, 3)), CUBE))
    late = FrameContacts(**{**vars(frames[3]), "time_ps": 3.5})
    with pytest.raises(LmbmdError, match=r"1\.5 ps after the one before it, where 1 ps were usual"):
        folded(atoms, [*frames[:3], late])


def renumbered(frames):
    """The frames as if each came an interval after the one before it."""
    return [FrameContacts(**{**vars(frame), "index": k, "time_ps": float(k)}) for k, frame in enumerate(frames)]


def test_a_second_run_joined_to_the_first_ends_the_counting_whatever_the_times_say():
    rng, atoms = np.random.default_rng(11), liquid()
    runs = [list(table(atoms, start(rng, atoms, CUBE) + walk(rng, 40, np.full(20, 1.5)), CUBE)) for _ in range(2)]
    with pytest.raises(LmbmdError, match=r"frame 40 \(40 ps\): .* times as far as usual") as told:
        folded(atoms, renumbered(runs[0] + runs[1]))
    assert "another run begins" in str(told.value)
    folded(atoms, runs[0])


def test_frames_that_are_missing_though_times_go_on_end_the_counting():
    rng, atoms = np.random.default_rng(12), liquid()
    frames = list(table(atoms, start(rng, atoms, CUBE) + walk(rng, 200, np.full(20, 0.3)), CUBE))
    with pytest.raises(LmbmdError, match=r"frame 50 \(50 ps\)"):
        folded(atoms, renumbered(frames[:50] + frames[120:]))


@pytest.mark.parametrize("missing", [3, 8])
def test_a_few_missing_frames_show_where_many_molecules_move_evenly(missing):
    rng, atoms = np.random.default_rng(15), liquid(10)
    frames = list(table(atoms, start(rng, atoms, CUBE) + walk(rng, 150, np.full(200, 0.3)), CUBE))
    with pytest.raises(LmbmdError, match=r"frame 50 \(50 ps\): .* times as far as usual"):
        folded(atoms, renumbered(frames[:50] + frames[50 + missing :]))
    assert folded(atoms, frames).n_frames == 150


@pytest.mark.parametrize("n", [1, 3, 30, 300])
def test_even_and_uneven_steps_of_one_run_are_no_missing_frames(n):
    """Of Gaussian steps of n molecules; with a speed that goes up and down, or jumps for good."""
    rng, steps = np.random.default_rng(n), 3000
    speeds = {
        "even": np.ones(steps),
        "warming": np.linspace(0.2, 3.0, steps),
        "waves": 1 + 0.8 * np.sin(np.arange(steps) / 15),
        "a jump": np.where(np.arange(steps) < 1000, 1.0, 2.0),
    }
    for name, speed in speeds.items():
        for _ in range(10):
            squares = speed**2 * rng.gamma(1.5 * n, 1 / (1.5 * n), steps)
            assert not _sudden(squares).any(), name


def test_a_frame_that_was_written_twice_ends_the_counting():
    rng, atoms = np.random.default_rng(13), liquid()
    frames = list(table(atoms, start(rng, atoms, CUBE) + walk(rng, 60, np.full(20, 0.3)), CUBE))
    for twice in ([*frames[:31], *frames[30:]], [frame for frame in frames for _ in range(2)]):
        with pytest.raises(LmbmdError, match="the same as in the one before"):
            folded(atoms, renumbered(twice))
    # A run that went on from an earlier checkpoint, and wrote some of its frames again.
    with pytest.raises(LmbmdError, match=r"frame 41 \(41 ps\): every mass centre is the same as in frame 36"):
        folded(atoms, renumbered([*frames[:41], *frames[36:]]))


def test_one_fast_molecule_among_slow_ones_is_no_second_run():
    rng, atoms = np.random.default_rng(14), liquid()
    for seed in range(5):
        deviation = np.r_[np.full(19, 0.01), 1.0]
        path = walk(np.random.default_rng(seed), 500, deviation)
        assert folded(atoms, table(atoms, start(rng, atoms, CUBE) + path, CUBE)).n_frames == 500
