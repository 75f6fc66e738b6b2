"""How chains hold a centre: exact counts by hand, and a slow twin on frames drawn at random."""

from __future__ import annotations

import itertools

import chains
import numpy as np
import pytest
import systems
from systems import FSI, LI

from lmbmd.analysis.chains.coordination import ChainShells
from lmbmd.analysis.chains.coordination_account import chain_coordination_account
from lmbmd.analysis.chains.hops import Hops
from lmbmd.analysis.chains.hops_account import hops_account


def shells(atoms, *frames):
    fold = ChainShells(atoms, "Li")
    for i, contacts in enumerate(frames):
        fold.add(systems.first(atoms, systems.frame(atoms, contacts, i)))
    return fold.result()


def value(account, name, chain="PEO"):
    (row,) = (row for row in account.rows if (row.name, row.species) == (name, chain))
    return row.value


def test_units_chains_and_runs_are_counted_as_by_hand():
    """Li 0: units 0, 1, 2 and 4 of chain A. Li 1: unit 4 of A, 5 and 6 of B (6 is its second). Li 2: only an anion."""
    atoms = systems.atom_table((LI, 3), (chains.peo(5), 2), (FSI, 1))
    frame = [
        *[(0, ("EO", k), 0) for k in (0, 1, 2, 4)],
        *[(1, ("EO", k), 0) for k in (4, 5, 6)],
        (2, ("FSI", 0), 1),
    ]
    found = shells(atoms, frame, frame)
    assert found.chains_on_centre[0, 0].tolist() == [1, 1, 1]
    assert found.units[0, 0].tolist() == [1, 1, 0, 1]  # one pair with 1 unit, one with 2, one with 4
    assert found.run[0, 0].tolist() == [1, 1, 1]  # runs of 1 (Li 1 on A), 2 (Li 1 on B), 3 (Li 0 on A)
    assert found.centres_on_chain[0, 0].tolist() == [0, 1, 1]
    account = chain_coordination_account([found], "Li")
    assert value(account, "chain_units_per_centre") == pytest.approx(7 / 3)
    assert value(account, "chains_per_centre") == pytest.approx(1.0)
    for name in ("without_chain", "on_one_chain", "on_several_chains"):
        assert value(account, f"centres_{name}_fraction") == pytest.approx(1 / 3)
    assert value(account, "one_chain_share") == pytest.approx(1 / 2)
    assert value(account, "chain_denticity") == pytest.approx(7 / 3)
    assert value(account, "chain_run_units") == pytest.approx(2.0)
    assert value(account, "centres_per_chain") == pytest.approx(1.5)


def test_the_last_unit_of_a_chain_and_the_first_of_the_next_are_no_run():
    atoms = systems.atom_table((LI, 1), (chains.peo(3), 2))
    found = shells(atoms, [(0, ("EO", 2), 0), (0, ("EO", 3), 0)])
    assert found.chains_on_centre[0, 0].tolist() == [0, 0, 1] and found.run[0, 0].tolist() == [2]


def test_random_frames_are_counted_as_a_slow_twin_counts_them():
    mixed = systems.Chain("mixed", (chains.SPACER, chains.STFSI, chains.SPACER, chains.SPACER))
    atoms = systems.atom_table((LI, 4), (systems.NA, 1), (chains.peo(6), 2), (mixed, 2), (FSI, 2))
    frames = systems.random_frames(atoms, 30, seed=2)
    fold = ChainShells(atoms, "Li")
    for one in frames:
        fold.add(systems.first(atoms, one))
    found = fold.result()
    for f, one in enumerate(frames):
        for k, chain in enumerate(atoms.chains):
            members = [m for m in atoms.chain_molecules if atoms.species[atoms.molecule_species[m]].chain == chain]
            on_centre, of_units, of_runs, on_chain = [], [], [], dict.fromkeys(members, 0)
            for centre in range(4):
                touched = {int(atoms.unit[a]) for a in one.atom[one.offsets[centre] : one.offsets[centre + 1]]}
                held = 0
                for m in members:
                    units = sorted(u for u in touched if atoms.unit_molecule[u] == m)
                    if units:
                        held += 1
                        on_chain[m] += 1
                        of_units.append(len(units))
                        ranks = [u - i for i, u in enumerate(units)]
                        of_runs.append(max(len(list(g)) for _, g in itertools.groupby(ranks)))
                on_centre.append(held)
            for counted, listed, low in (
                (found.chains_on_centre, on_centre, 0),
                (found.units, of_units, 1),
                (found.run, of_runs, 1),
                (found.centres_on_chain, list(on_chain.values()), 0),
            ):
                expected = np.bincount(np.array(listed, int) - low, minlength=counted.shape[2])
                assert counted[f, k].tolist() == expected.tolist()
            assert found.units_on_centre[f, k] == sum(of_units)


def hops(atoms, frames, interval_ps=1.0, tolerance_ps=2.0):
    fold = Hops(atoms, "Li", tolerance_ps)
    for i, units in enumerate(frames):
        contacts = [(centre, ("EO", u), 0) for centre, held in enumerate(units) for u in held]
        fold.add(systems.first(atoms, systems.frame(atoms, contacts, i, i * interval_ps)))
    return fold.result()


def test_a_unit_that_leaves_while_its_chain_stays_is_a_hop_along_and_the_last_one_a_change_of_chain():
    """Two chains of five; frames 10 ps apart, so that no break is mended."""
    atoms = systems.atom_table((LI, 1), (chains.peo(5), 2))
    frames = [[[0, 1]], [[1, 2]], [[2, 3]], [[3]], [[5, 6]], [[6]], [[]], [[]]]
    (found,) = hops(atoms, frames, 10.0).hops
    # Along: 0 → , 1 → , 2 → of chain A, 5 → of B. Lost: A (with 3), B (with 6).
    assert (found.along.sum(), found.between.sum(), found.held.sum()) == (4, 2, 6)
    account = hops_account([hops(atoms, frames, 10.0)], "Li")
    assert value(account, "chain_exchange_rate_per_ns") == pytest.approx(2 / 0.07)
    assert value(account, "chain_hop_rate_per_ns") == pytest.approx(4 / 0.07)
    assert value(account, "chain_exchange_time_ps") == pytest.approx(6 / 8 * 70 / 2)


def test_breaks_that_mend_are_no_hops_and_a_chain_that_passes_a_centre_on_keeps_it():
    """Frames 1 ps apart: up to two may be missing."""
    atoms = systems.atom_table((LI, 1), (chains.peo(5), 1))
    blinking = [[[0, 1]], [[0]], [[0]], [[0, 1]], [[]], [[1]], [[0, 1]]]
    (found,) = hops(atoms, blinking).hops
    assert (found.along.sum(), found.between.sum()) == (0, 0)
    passed = [[[0]], [[]], [[3]], [[3]]]  # the last unit leaves, another takes over within the time
    (found,) = hops(atoms, passed).hops
    assert (found.along.sum(), found.between.sum(), found.held.sum()) == (1, 0, 4)
    at_once = [[[0]], [[3]], [[3]]]
    (found,) = hops(atoms, at_once, 10.0).hops
    assert (found.along.sum(), found.between.sum(), found.held.sum()) == (1, 0, 3)


def test_hops_are_those_of_a_slow_twin():
    rng = np.random.default_rng(5)
    atoms = systems.atom_table((LI, 3), (chains.peo(4), 3))
    frames = [[sorted(rng.choice(12, rng.integers(0, 5), replace=False)) for _ in range(3)] for _ in range(60)]
    for gap, interval in ((0, 10.0), (2, 1.0)):
        result = hops(atoms, frames, interval)
        (found,) = result.hops
        along = between = 0
        for centre in range(3):
            on = np.array([[u in one[centre] for u in range(12)] for one in frames])
            filled = np.array([mended(column, gap) for column in on.T]).T
            chain_on = np.array([mended(on[:, 4 * c : 4 * c + 4].any(axis=1), gap) for c in range(3)]).T
            for t in range(1, 60):
                for c in range(3):
                    gone = filled[t - 1, 4 * c : 4 * c + 4] & ~filled[t, 4 * c : 4 * c + 4]
                    lost = chain_on[t - 1, c] and not chain_on[t, c]
                    between += lost
                    along += 0 if lost else gone.sum()
        assert (found.along.sum(), found.between.sum()) == (along, between)


def mended(on: np.ndarray, gap: int) -> np.ndarray:
    """Breaks of up to ``gap`` frames between two frames on, filled in one by one."""
    filled, last = on.copy(), None
    for t in np.flatnonzero(on):
        if last is not None and t - last - 1 <= gap:
            filled[last:t] = True
        last = t
    return filled
