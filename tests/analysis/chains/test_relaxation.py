"""Directions that are forgotten at a known rate, and sums over lags against a slow twin."""

from __future__ import annotations

import numpy as np
import pytest
import systems
from chains import EO
from systems import LI

from lmbmd.analysis.chains.relaxation import MultipleTau, Relaxation
from lmbmd.analysis.chains.relaxation_account import relaxation_account
from lmbmd.data.contacts import FrameContacts
from lmbmd.numbers.doubt import Kind


def turning(rng: np.random.Generator, n_frames: int, n: int, tau_1: float, interval: float = 1.0) -> np.ndarray:
    """(n_frames, n, 3) directions that jump to a random one with a rate 1/τ: P₁ and P₂ are both exp(−t/τ)."""
    found = np.empty((n_frames, n, 3))
    found[0] = rng.normal(size=(n, 3))
    for t in range(1, n_frames):
        jump = rng.random(n) < 1 - np.exp(-interval / tau_1)
        found[t] = np.where(jump[:, None], rng.normal(size=(n, 3)), found[t - 1])
    return found / np.linalg.norm(found, axis=2, keepdims=True)


def test_sums_over_lags_are_those_of_a_slow_twin():
    rng = np.random.default_rng(0)
    vectors = turning(rng, 150, 6, 8.0).astype(np.float32)
    group = np.array([0, 1, 2, 0, 1, 2])
    fold = MultipleTau(group, 3)
    for frame in vectors:
        fold.add(frame)
    lags, sums, count = fold.result()
    assert lags.tolist() == [*range(17), *range(18, 33, 2), *range(36, 65, 4), *range(72, 129, 8), 144]
    for i, lag in enumerate(lags):
        step = 1 << max(int(np.ceil(np.log2(max(lag, 1) / 16))), 0)
        later = np.arange(lag, 150, step) if lag % step == 0 else np.empty(0, int)
        later = later[later % step == 0]
        cosine = (vectors[later].astype(float) * vectors[later - lag]).sum(axis=2)
        assert count[i] == len(later)
        for g in range(3):
            mine = cosine[:, group == g]
            np.testing.assert_allclose(sums[0, g, i], mine.sum(), atol=1e-4)
            np.testing.assert_allclose(sums[1, g, i], (1.5 * mine**2 - 0.5).sum(), atol=1e-4)


def frames(atoms, directions, interval_ps=1.0):
    """Contacts-free frames in which the bonds of every chain have the given directions, (n_frames, n_bonds, 3)."""
    bare = systems.frame(atoms)
    for i, vectors in enumerate(directions):
        units, at = [np.zeros((1, 3))], 0
        for molecule in atoms.chain_molecules:
            n = int(np.diff(atoms.first_unit[molecule : molecule + 2])[0])
            units.append(np.vstack([np.zeros((1, 3)), np.cumsum(3.0 * vectors[at : at + n - 1], axis=0)]))
            at += n - 1
        unit = np.concatenate(units).astype(np.float32)
        yield FrameContacts(
            *(i, i * interval_ps, bare.box, bare.offsets, bare.atom, bare.distance, bare.edge),
            *(unit[:1], unit, bare.dipole, bare.spread),
        )


def relaxed(atoms, directions, interval_ps=1.0):
    fold = Relaxation(atoms)
    for one in frames(atoms, directions, interval_ps):
        fold.add(systems.first(atoms, one))
    return relaxation_account([fold.result()])


def row(account, name):
    (found,) = (row for row in account.rows if row.name == name)
    return found


def test_vectors_that_turn_at_a_known_rate_have_that_relaxation_time():
    rng = np.random.default_rng(3)
    atoms = systems.atom_table((LI, 1), (systems.Chain("C", (EO,) * 9), 20))
    found = relaxed(atoms, turning(rng, 1200, 160, 20.0, 2.0), 2.0)
    for name in ("unit_vector_p1_time_ps", "unit_vector_p2_time_ps", "unit_vector_p1_integral_ps"):
        one = row(found, name)
        assert one.error > 0 and abs(one.value - 20.0) < 4 * one.error, (name, one.value, one.error)
    # Of independent bonds the end-to-end vector forgets as each of them does.
    end = row(found, "end_to_end_time_ps")
    assert abs(end.value - 20.0) < 5 * end.error + 2.0
    curve = found.tables["chain_relaxation_curves"]
    curve = curve[(curve.vector == "unit_vector") & (curve.order == "P1")]
    known = curve[(curve.t_ps > 0) & (curve.t_ps < 60)]
    assert (np.abs(known.c - np.exp(-known.t_ps / 20.0)) < 5 * known.c_error + 0.005).all()


def test_vectors_that_stand_still_or_turn_between_two_frames_have_no_time_but_a_reason():
    rng = np.random.default_rng(4)
    atoms = systems.atom_table((LI, 1), (systems.Chain("C", (EO,) * 4), 5))
    still = relaxed(atoms, np.repeat(turning(rng, 1, 15, 1.0), 50, axis=0))
    assert row(still, "unit_vector_p1_time_ps").doubt_kind == Kind.NOT_DECAYED
    fast = relaxed(atoms, turning(rng, 50, 15, 1e-3))
    assert row(fast, "unit_vector_p1_time_ps").doubt_kind == Kind.TURNED
    assert "turned within one frame interval" in row(fast, "unit_vector_p1_time_ps").method


def test_memory_does_not_grow_with_frames():
    fold = MultipleTau(np.zeros(10, np.int64), 1)
    vectors = turning(np.random.default_rng(1), 5, 10, 1.0).astype(np.float32)
    sizes = {}
    for number in range(1, 5001):
        fold.add(vectors[number % 5])
        sizes[number] = sum(kept.nbytes for kept in fold._kept)
    assert sizes[5000] <= np.ceil(np.log2(5000)) * 17 * vectors[0].nbytes


def test_frames_off_the_beat_are_refused():
    from lmbmd.core.errors import LmbmdError

    atoms = systems.atom_table((LI, 1), (systems.Chain("C", (EO,) * 4), 5))
    fold = Relaxation(atoms)
    for one, time in zip(frames(atoms, turning(np.random.default_rng(1), 3, 15, 1.0)), (0.0, 1.0, 7.0), strict=True):
        object.__setattr__(one, "time_ps", time)
        fold.add(systems.first(atoms, one))
    with pytest.raises(LmbmdError, match="comes 6 ps after"):
        fold.result()


@pytest.mark.parametrize(
    ("n_chains", "ends", "bonds"), [(4, "few_samples", ""), (2, "few_samples", "few_samples"), (12, "", "")]
)
def test_relaxation_times_of_fewer_than_ten_vectors_have_errors_that_are_not_relied_on(n_chains, ends, bonds):
    """As the decay times of fewer than ten contacts: few groups may agree by chance, with an error of nothing."""
    atoms = systems.atom_table((LI, 1), (systems.Chain("C", (EO,) * 4), n_chains))
    found = relaxed(atoms, turning(np.random.default_rng(6), 600, 3 * n_chains, 5.0))
    for name, kind in {"end_to_end": ends, "unit_vector_p1": bonds, "unit_vector_p2": bonds}.items():
        for one in (row(found, f"{name}_time_ps"), row(found, f"{name}_integral_ps")):
            assert np.isfinite(one.value) and one.doubt_kind == kind, (one.name, one.doubt_kind)
    table = found.tables["chain_relaxation"].set_index(["vector", "order"])
    told = table.loc[("end_to_end", "P1")]
    assert told.outcome_kind == ends and (told.outcome == "decayed") == (not ends)
    assert not ends or told.outcome == f"error not reliable ({n_chains:.1f} independent samples)"
