"""What is counted of lifetimes, against hand counts, dense arrays and loops over all pairs of frames."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import systems
from hypothesis import given, settings
from hypothesis import strategies as st
from systems import DME, FSI, LI, atom_table, first, frame
from telegraph import BOX, curve, fold, intervals, random_run, two_state

from lmbmd.analysis.dynamics.lifetimes import Exchanges, Residence
from lmbmd.analysis.dynamics.lifetimes_account import lifetimes_account
from lmbmd.core.errors import LmbmdError
from lmbmd.data.frames import Frame

# ---------------------------------------------------------------- counts over intervals


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 10**6), n_pairs=st.integers(0, 8), n_frames=st.integers(1, 40), p=st.floats(0.02, 0.98))
def test_counts_agree_with_loops_over_all_pairs_of_frames(seed, n_pairs, n_frames, p):
    on = np.random.default_rng(seed).random((n_pairs, n_frames)) < p
    found, n_groups = intervals(on), min(max(n_pairs, 1), 3)
    both, unbroken = np.zeros((2, n_groups, n_frames), int)
    for pair in range(n_pairs):
        for i in range(n_frames):
            for j in range(i, n_frames):
                both[pair % 3, j - i] += on[pair, i] and on[pair, j]
                unbroken[pair % 3, j - i] += on[pair, i : j + 1].all()
    np.testing.assert_array_equal(found.both(), both)
    np.testing.assert_array_equal(found.unbroken(), unbroken)
    np.testing.assert_array_equal(found.frames_on(), both[:, 0])
    lost = [(on[g::3, :-1] & ~on[g::3, 1:]).sum() for g in range(n_groups)]
    np.testing.assert_array_equal(found.losses(), lost)
    assert found.departures() == (on.any(axis=1) & ~on[:, -1]).sum()


def test_counts_by_fft_are_exact_for_long_flickering_pairs():
    on = two_state(np.random.default_rng(1), (60, 3000), 0.3, 0.3)
    counts = sum(np.correlate(x, x, "full")[2999:] for x in on.astype(int))
    np.testing.assert_array_equal(intervals(on).both().sum(axis=0), counts)


def test_mending_joins_stretches_across_gaps_up_to_the_tolerance():
    held = intervals([[1, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0], [0, 1, 1, 1, 1, 1, 0, 1, 1, 1, 1, 1]])
    for gap, start, end in [
        (0, [0, 2, 5, 9, 1, 7], [1, 3, 6, 10, 6, 12]),
        (1, [0, 5, 9, 1], [3, 6, 10, 12]),
        (2, [0, 9, 1], [6, 10, 12]),
        (3, [0, 1], [10, 12]),
    ]:
        mended = held.mended(gap)
        assert (mended.start.tolist(), mended.end.tolist()) == (start, end)
    assert held.mended(2).losses().sum() == 2 and held.mended(2).departures() == 1


# ---------------------------------------------------------------- the fold


def test_correlations_of_one_pair_by_hand():
    # On at frames 0, 1, 3, 4 of six: <h> = 4/6. At both: 0–1, 3–4 (lag 1), 1–3 (2), 0–3, 1–4 (3), 0–4 (4).
    at = [(0, ("DME", 0), 0)]
    result = fold(BOX, [at, at, [], at, at, []])
    both, unbroken, h = [4 / 6, 2 / 5, 1 / 4, 2 / 3, 1 / 2, 0], [4 / 6, 2 / 5, 0, 0, 0, 0], 4 / 6
    np.testing.assert_allclose(curve(result), np.array(both) / h)
    np.testing.assert_allclose(curve(result, kind="continuous"), np.array(unbroken) / h)
    # Mended up to 2 ps: on at 0 … 4.
    np.testing.assert_allclose(curve(result, kind="mended"), np.array([5 / 6, 4 / 5, 3 / 4, 2 / 3, 1 / 2, 0]) / (5 / 6))
    (exchange,) = result.exchanges
    assert exchange.losses.sum() == 1 and exchange.centres.sum() == 2 and exchange.tolerance_ps == 2.0


def test_a_molecule_touching_with_two_atoms_is_one_contact():
    one = fold(BOX, [[(0, ("DME", 0), 0)]] * 5)
    two = fold(BOX, [[(0, ("DME", 0), 0), (0, ("DME", 0), 1)], [(0, ("DME", 0), 1)]] + [[(0, ("DME", 0), 0)]] * 3)
    np.testing.assert_array_equal(curve(one), curve(two))


def test_no_frame_is_a_mistake():
    with pytest.raises(ValueError, match="no frame"):
        Residence(BOX).result()


@pytest.mark.parametrize("times", [[0, 2, 4, 8], [0, 2, 4, 4], [0, 2, 1], [5, 5]])
def test_frames_at_irregular_intervals_are_refused(times):
    residence = Residence(BOX)
    for i, t in enumerate(times):
        residence.add(first(BOX, frame(BOX, [], i, float(t))))
    with pytest.raises(LmbmdError, match="one interval between frames") as error:
        residence.result()
    assert error.value.where.startswith(f"frame {len(times) - 1} (")


def test_frames_too_far_apart_leave_nothing_to_mend():
    at = [(0, ("DME", 0), 0)]
    kinds = lambda dt, **o: {c.kind for c in fold(BOX, [at, [], at], dt, **o).correlations if c.state == "contact"}  # noqa: E731
    assert kinds(2.0) == {"intermittent", "continuous", "mended"}
    assert kinds(2.1) == {"intermittent", "continuous"}
    assert kinds(1.0, tolerance_ps=0.0) == {"intermittent", "continuous"}


def dense(atoms, frames):
    """(n_frames, n_centres, n_molecules) of ones and zeros."""
    h = np.zeros((len(frames), len(atoms.centres), atoms.n_molecules), bool)
    for t, contacts in enumerate(frames):
        for centre, (species, k), _ in contacts:
            h[t, centre, systems.molecules(atoms, species)[k]] = True
    return h


def test_the_fold_agrees_with_dense_arrays_for_every_state():
    atoms = atom_table((LI, 4), (FSI, 3), (DME, 5))
    frames = random_run(atoms, 40, 5)
    result, h = fold(atoms, frames), dense(atoms, frames)
    per_anion = h.sum(axis=1)
    for partner, state, on in [
        ("DME", "contact", h[:, :, systems.molecules(atoms, "DME")]),
        ("FSI", "contact", h[:, :, systems.molecules(atoms, "FSI")]),
        ("FSI", "CIP", (h & (per_anion == 1)[:, None])[:, :, systems.molecules(atoms, "FSI")]),
        ("FSI", "AGG", (h & (per_anion > 1)[:, None])[:, :, systems.molecules(atoms, "FSI")]),
    ]:
        both = np.array([(on[: 40 - t] & on[t:]).sum() / (40 - t) for t in range(40)])
        np.testing.assert_allclose(curve(result, partner, state), both / on.sum() * 40)
        unbroken = [sum(on[i : i + t + 1].all(axis=0).sum() for i in range(40 - t)) / (40 - t) for t in range(40)]
        np.testing.assert_allclose(curve(result, partner, state, "continuous"), np.array(unbroken) / on.sum() * 40)
        (c,) = [c for c in result.correlations if (c.partner, c.state, c.kind) == (partner, state, "intermittent")]
        assert c.random == pytest.approx(on.mean())
    assert not [c for c in result.correlations if c.partner == "DME" and c.state != "contact"]


def test_cluster_membership_agrees_with_lists_of_pairs():
    atoms = atom_table((LI, 4), (FSI, 4))
    frames = random_run(atoms, 30, 6)
    n = len(atoms.centres) + 4
    same = np.zeros((30, n, n), bool)
    for t, contacts in enumerate(frames):
        reach = np.eye(n, dtype=bool)
        for centre, (_, k), _ in contacts:
            reach[centre, 4 + k] = reach[4 + k, centre] = True
        for _ in range(n):
            reach = (reach.astype(int) @ reach) > 0
        same[t] = reach & ~np.eye(n, dtype=bool)
    (c,) = [c for c in fold(atoms, frames).correlations if c.state == "cluster"]
    assert c.lag.tolist() == sorted(set(c.lag.tolist())) and c.lag[:6].tolist() == [0, 1, 2, 3, 4, 5] and c.lag[-1] < 30
    for i, t in enumerate(c.lag):
        first, last = same[: 30 - t], same[t:]
        assert c.together[:, i].sum() == (first & last).sum() // 2
        assert c.origins[:, i].sum() == (first.sum() + last.sum()) / 4
    assert c.random == pytest.approx(same.sum() / (30 * n * (n - 1)))
    assert c.departures == (same[0] & ~same[-1]).sum() // 2


def test_time_reversal_changes_no_correlation():
    frames = random_run(BOX, 35, 7)
    forward, backward = fold(BOX, frames), fold(BOX, frames[::-1])
    for a, b in zip(forward.correlations, backward.correlations, strict=True):
        np.testing.assert_array_equal(a.together.sum(axis=0), b.together.sum(axis=0))
        np.testing.assert_allclose(a.origins.sum(axis=0), b.origins.sum(axis=0))


def test_renumbered_molecules_and_centres_change_no_correlation():
    frames = random_run(BOX, 30, 8)
    swapped = [[(1 - c, (s, 1 - k), d) for c, (s, k), d in contacts] for contacts in frames]
    for a, b in zip(fold(BOX, frames).correlations, fold(BOX, swapped).correlations, strict=True):
        np.testing.assert_array_equal(a.together.sum(axis=0), b.together.sum(axis=0))


def test_two_copies_of_a_box_have_the_correlations_of_one():
    twice = atom_table((LI, 4), (FSI, 4), (DME, 4))
    frames = random_run(BOX, 30, 9)
    copies = [contacts + [(c + 2, (s, k + 2), d) for c, (s, k), d in contacts] for contacts in frames]
    one, two = fold(BOX, frames), fold(twice, copies)
    for a, b in zip(one.correlations, two.correlations, strict=True):
        np.testing.assert_array_equal(2 * a.together.sum(axis=0), b.together.sum(axis=0))


def test_feeding_stops_and_goes_on_without_a_trace():
    frames = random_run(BOX, 30, 10)
    residence = Residence(BOX)
    for i, contacts in enumerate(frames):
        residence.add(first(BOX, frame(BOX, contacts, i)))
        if i == 11:
            residence.result()
    for a, b in zip(residence.result().correlations, fold(BOX, frames).correlations, strict=True):
        np.testing.assert_array_equal(a.together, b.together)


def test_what_is_stored_grows_with_events_not_with_frames():
    residence = Residence(BOX)
    for i in range(500):
        contacts = [(0, ("DME", 0), 0), *([(1, ("DME", 1), 0)] if i >= 100 else [])]
        residence.add(first(BOX, frame(BOX, contacts, i)))
    record = residence._record
    assert sum(map(len, record._started)) == 2 and sum(map(len, record._ended)) == 0


@pytest.mark.parametrize("interval_ps", [0.5, 1.0, 3.0])
def test_losses_alone_are_those_that_are_counted_with_everything_else(interval_ps):
    alone = Exchanges(BOX)
    frames = random_run(BOX, 40, 11)
    for i, contacts in enumerate(frames):
        alone.add(first(BOX, frame(BOX, contacts, i, i * interval_ps)))
    found, whole = alone.result(), fold(BOX, frames, interval_ps)
    assert (found.interval_ps, found.n_frames) == (whole.interval_ps, whole.n_frames) == (interval_ps, 40)
    assert len(found.exchanges) == len(whole.exchanges) > 1
    for a, b in zip(found.exchanges, whole.exchanges, strict=True):
        assert (a.centre, a.partner, a.tolerance_ps) == (b.centre, b.partner, b.tolerance_ps)
        for name in ("losses", "bound", "centres"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert sum(one.losses.sum() for one in found.exchanges) > 10


# ---------------------------------------------------------------- another program's curves


@pytest.mark.skipif("LMBMD_REFERENCE_DATA" not in os.environ, reason="LMBMD_REFERENCE_DATA is not set")
def test_magnesium_contacts_of_mdproptools_data_keep_their_published_correlation():
    """mg_tfsi_dme of github.com/molmd/mdproptools: Mg–O contacts within 2.8 Å, 101 frames 50 ps apart."""
    import MDAnalysis as mda
    import pandas as pd

    from lmbmd.analysis.scan.contacts import find_contacts
    from lmbmd.analysis.scan.options import ContactOptions
    from lmbmd.data.atoms import AtomTable, SpeciesInfo

    folder = Path(os.environ["LMBMD_REFERENCE_DATA"]) / "mg_tfsi_dme"
    listed, box = pd.read_csv(folder / "atoms.csv"), pd.read_csv(folder / "boxes.csv")
    names = {"DME": 0, "TFS": 1, "MG": 2}
    species = listed.resname.map(names).to_numpy(np.int32)
    sites = np.where((listed.element == "O") & (species < 2), species, -1).astype(np.int32)
    atoms = AtomTable(
        (SpeciesInfo("DME", "solvent", 0), SpeciesInfo("TFSI", "anion", -1), SpeciesInfo("Mg", "cation", 2)),
        ("DME:O", "TFSI:O"),
        species,
        pd.factorize(listed.resindex)[0].astype(np.int32),
        sites,
        listed.element.to_numpy(object),
        listed.name.to_numpy(object),
        listed.mass.to_numpy(float),
        listed.charge.to_numpy(float),
    )
    universe = mda.Universe(str(folder / "mg_tfsi_dme.pdb"), str(folder / "mg_tfsi_dme_unwrapped.dcd"))
    frames = [
        Frame(i, 50.0 * i, step.positions.copy(), np.diag(box.loc[i, ["lx", "ly", "lz"]].to_numpy(float)))
        for i, step in enumerate(universe.trajectory)
    ]
    contacts, _ = find_contacts(frames, atoms, ContactOptions(search_radius_A=3.0, rdf_radius_A=3.0))
    residence = Residence(atoms)
    for contact in contacts:
        residence.add(first(atoms, contact.within(2.8)))
    result = residence.result()
    for partner in ("DME", "TFSI"):
        reference = np.loadtxt(folder / f"ref_intermittent_C_{partner}.csv", delimiter=",", skiprows=1)
        # Printed with six decimals.
        np.testing.assert_allclose(curve(result, partner, centre="Mg"), reference[:, 1], atol=5.1e-7)
    tables = lifetimes_account([result], atoms).tables
    assert tables["residence"].outcome.str.startswith("not decayed").all()
