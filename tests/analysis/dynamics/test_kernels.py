"""The compiled loops against slow twins."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lmbmd.analysis.dynamics.intervals import changes
from lmbmd.analysis.dynamics.motion import _add_step

KEYS = st.sets(st.integers(-50, 50), max_size=40).map(lambda found: np.array(sorted(found), np.int64))


@settings(deadline=None)  # the first call compiles
@given(KEYS, KEYS)
def test_what_came_and_what_went_are_the_differences_of_sets(before, now):
    came, went = changes(before, now)
    np.testing.assert_array_equal(came, np.setdiff1d(now, before))
    np.testing.assert_array_equal(went, np.setdiff1d(before, now))


@settings(deadline=None)  # the first call compiles
@given(st.integers(0, 2**32 - 1), st.integers(1, 30), st.integers(0, 8), st.integers(0, 60))
def test_a_step_goes_to_class_state_and_shell_as_it_does_written_out(seed, n_molecules, n_centres, n_pairs):
    rng = np.random.default_rng(seed)
    n_centres = min(n_centres, n_molecules)
    step, label = rng.normal(size=(n_molecules, 3)), rng.integers(0, 6, n_molecules)
    charge = rng.integers(-2, 3, n_molecules).astype(float)
    primary = np.sort(rng.choice(n_centres, rng.integers(0, n_centres + 1), replace=False)).astype(np.int64)
    own, state = rng.integers(0, n_molecules, len(primary)), rng.integers(0, 3, len(primary))
    centre = np.sort(rng.integers(0, max(n_centres, 1), n_pairs * bool(n_centres)))
    molecule = rng.integers(0, n_molecules, len(centre))
    classes, states = rng.normal(size=(6, 3)), rng.normal(size=(len(primary), 3, 3))
    carried = rng.normal(size=(len(primary), 3))
    expected = classes.copy(), states.copy(), carried.copy()
    for k in range(3):
        expected[0][:, k] += np.bincount(label, charge * step[:, k], 6)
        held = np.maximum(np.bincount(centre, minlength=n_centres), 1)
        shell = np.bincount(centre, step[molecule, k], n_centres) / held
        expected[2][:, k] += shell[primary]
    expected[1][np.arange(len(primary)), state] += step[own]
    _add_step(step, label, charge, classes, primary, own, state, states, centre, molecule, carried)
    for found, written_out in zip((classes, states, carried), expected, strict=True):
        np.testing.assert_array_equal(found, written_out)
