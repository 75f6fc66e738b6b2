"""Time and memory of the lifetimes of a made-up run: prints the figures of docs/theory/lifetimes.md.

Run: python -m benchmarks.residence [centres] [frames]
"""

from __future__ import annotations

import resource
import sys
import time
from itertools import pairwise

import numpy as np

from lmbmd.analysis.clusters.ions import ions_of
from lmbmd.analysis.dynamics.lifetimes import Residence
from lmbmd.analysis.dynamics.lifetimes_account import lifetimes_account
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.data.atoms import AtomTable, SpeciesInfo
from lmbmd.data.contacts import FrameContacts

SPECIES = (SpeciesInfo("Li", "cation", 1), SpeciesInfo("FSI", "anion", -1), SpeciesInfo("DME", "solvent", 0))


def one_atom_molecules(*counts: int) -> AtomTable:
    """A box in which every molecule is one donor atom."""
    species = np.repeat(np.arange(3, dtype=np.int32), counts)
    n = len(species)
    text = np.full(n, "X", object)
    return AtomTable(
        SPECIES,
        ("FSI:O", "DME:O"),
        species,
        np.arange(n, dtype=np.int32),
        species - 1,
        text,
        text,
        np.ones(n),
        np.zeros(n),
    )


def main(n_centres: int, n_frames: int) -> None:
    rng = np.random.default_rng(0)
    sizes = (n_centres, n_centres, n_centres * 6 // 5)
    atoms, bounds = one_atom_molecules(*sizes), np.cumsum((0, *sizes))

    def draw() -> np.ndarray:
        spans = zip(pairwise(bounds[1:]), (2, 3), strict=True)
        return np.hstack([rng.integers(*span, (n_centres, k)) for span, k in spans])

    ions = ions_of(atoms)
    partner, fold, adding = draw(), Residence(atoms), 0.0
    still = np.zeros((5 * sum(sizes), 3), np.float32)
    for t in range(n_frames):
        partner = np.where(rng.random(partner.shape) < 0.01, draw(), partner)
        on = rng.random(partner.shape) > 0.05
        offsets = np.append(0, np.cumsum(on.sum(axis=1)))
        atom = partner[on].astype(np.int32)
        places = still[: len(atom)], still[:n_centres], still[: sum(sizes)], np.zeros((3, 3)), still[:0, 0]
        shell = FirstShell(
            FrameContacts(t, 1.0 * t, np.eye(3), offsets, atom, still[: len(atom), 0], *places), atoms, ions
        )
        _ = shell.pairs, shell.graph  # every part of the analysis needs them: not counted here
        start = time.process_time()
        fold.add(shell)
        adding += time.process_time() - start
    start = time.process_time()
    tables = lifetimes_account([fold.result()], atoms).tables
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(tables["residence"][["partner", "correlation", "tau_ps", "error", "outcome"]].to_string(index=False))
    print(
        f"{n_centres} centres, {n_frames} frames: {1e3 * adding / n_frames:.2f} ms per frame added, "
        f"{time.process_time() - start:.1f} s for the result, {peak:.2f} GB peak (all of Python)"
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:] or (1000, 2000)))
