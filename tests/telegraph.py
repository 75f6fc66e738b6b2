"""Short ways to lifetimes for tests: runs written by hand, and two-state processes with known rates."""

from __future__ import annotations

import numpy as np
from systems import DME, FSI, LI, atom_table, first, frame

from lmbmd.analysis.dynamics.intervals import Intervals
from lmbmd.analysis.dynamics.lifetimes import N_GROUPS, Correlation, Exchange, Residence, ResidenceResult


def intervals(on, group=None):
    """Intervals of a dense (n_pairs, n_frames) table of ones and zeros."""
    on = np.asarray(on, bool)
    n_pairs, n_frames = on.shape
    edge = np.diff(on.astype(int), axis=1, prepend=0, append=0)
    (pair, start), (_, end) = np.nonzero(edge > 0), np.nonzero(edge < 0)
    group = np.arange(n_pairs) % 3 if group is None else group
    return Intervals(pair, start, end, group[pair], int(group.max(initial=0)) + 1, n_frames)


def fold(atoms, frames, interval_ps=1.0, **options):
    """Residence over frames, each a list of contacts for ``systems.frame``."""
    residence = Residence(atoms, **options)
    for i, contacts in enumerate(frames):
        residence.add(first(atoms, frame(atoms, contacts, i, i * interval_ps)))
    return residence.result()


def curve(result, partner="DME", state="contact", kind="intermittent", centre="Li"):
    (c,) = [
        c
        for c in result.correlations
        if (c.partner, c.state, c.kind) == (partner, state, kind) and c.centre in (centre, "")
    ]
    return c.together.sum(axis=0) / c.origins.sum(axis=0)


def row(table, **where):
    for column, value in where.items():
        table = table[table[column] == value]
    assert len(table) == 1
    return table.iloc[0]


def two_state(rng, shape, on, off):
    """Stationary on/off processes along the last axis; ``on`` and ``off`` are probabilities per frame to switch."""
    state = np.empty(shape, bool)
    uniform = rng.random(shape)
    state[..., 0] = uniform[..., 0] < on / (on + off)
    for i in range(1, shape[-1]):
        state[..., i] = np.where(state[..., i - 1], uniform[..., i] >= off, uniform[..., i] < on)
    return state


def result_of(state, interval_ps=1.0, n_groups=N_GROUPS):
    """What ``Residence`` makes of processes (n_centres, n_frames), each centre with a molecule of its own."""
    n, n_frames = state.shape
    held = intervals(state, np.arange(n) % n_groups)
    lag = np.arange(n_frames)
    origins = np.outer(held.frames_on() / n_frames, n_frames - lag)
    level = float(state.mean())
    curves = [
        Correlation("Li", "DME", "contact", kind, 0.0, lag, counts, origins, random, held.departures())
        for kind, counts, random in (("intermittent", held.both(), level), ("continuous", held.unbroken(), 0.0))
    ]
    centres = np.bincount(np.arange(n) % n_groups)
    exchange = Exchange("Li", "DME", 0.0, held.losses(), held.frames_on(), centres)
    return ResidenceResult(interval_ps, n_frames, (exchange,), tuple(curves))


BOX = atom_table((LI, 2), (FSI, 2), (DME, 2))


def random_run(atoms, n_frames, seed, p=0.5):
    """Frames whose contacts come and go, with one or two donor atoms each."""
    rng = np.random.default_rng(seed)
    partners = [(name, k) for name in [s.name for s in atoms.species[1:]] for k in range(atoms.count(name))]
    on = two_state(rng, (len(atoms.centres), len(partners), n_frames), 0.1, 0.2)
    return [
        [(c, partners[m], d) for c, m in np.argwhere(on[:, :, t]) for d in ((0,) if rng.random() < p else (0, 1))]
        for t in range(n_frames)
    ]
