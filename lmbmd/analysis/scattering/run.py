"""The scattering stage: some frames of one replica, with the class of each molecule's cluster, to sums."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np

from lmbmd.analysis.clusters.compactness import compact_clusters
from lmbmd.analysis.clusters.ions import ions_of
from lmbmd.analysis.first_shell import FirstShell, first_shell
from lmbmd.analysis.options import DescribeOptions
from lmbmd.analysis.scan.radial_account import pooled_rdf
from lmbmd.analysis.scattering.options import ScatteringOptions
from lmbmd.analysis.scattering.sums import CLASSES, Scattered, Scattering
from lmbmd.analysis.shells.cutoffs import first_shell_cutoffs
from lmbmd.core.errors import LmbmdError
from lmbmd.core.progress import Progress
from lmbmd.data.atoms import AtomTable
from lmbmd.data.contacts import ContactFile
from lmbmd.data.rdf import Rdf
from lmbmd.trajectory.frames import Frames
from lmbmd.trajectory.parts import Joined


def unit_classes(first: FirstShell, options: DescribeOptions, replica: int) -> np.ndarray:
    """The place in ``CLASSES`` of the class of each unit, (n_units,) int64.

    An ion by itself is "alone"; in a cluster of two and more it is "compact" where all criteria of a compact aggregate
    are met, those of size among them, else "cluster". Whatever is no ion of the ion graph is "solvent".
    """
    graph, ions = first.graph, first.ions
    of_cluster = np.where(graph.size == 1, CLASSES.index("alone"), CLASSES.index("cluster"))
    of_cluster[compact_clusters(first, options.compactness, replica, options.cipa)] = CLASSES.index("compact")
    found = np.full(first.atoms.n_units, CLASSES.index("solvent"))
    found[ions.unit] = of_cluster[graph.label]
    return found


def scatter(
    frames: Frames | Joined,
    contacts: ContactFile,
    rdfs: Sequence[Rdf],
    atoms: AtomTable,
    centre: str,
    options: ScatteringOptions | None = None,
    describing: DescribeOptions | None = None,
    replica: int = 1,
    progress: bool = True,
) -> Scattered:
    """Scattering of one replica: at most ``options.frames`` evenly spaced frames, one after the other.

    Args:
        frames: the trajectory, as the contacts stage read it.
        contacts: what that stage found in it.
        rdfs: of all replicas, from which the cut-offs are read as ``describe`` reads them.
        atoms: who the atoms are.
        centre: the primary species.
        options: see ``ScatteringOptions``.
        describing: cut-offs and the criteria of a compact aggregate.
        replica: its number.
        progress: say how far it is.

    Raises:
        LmbmdError: if the trajectory is not the one that contacts were found in, or an element is unknown.
    """
    options, describing = options or ScatteringOptions(), describing or DescribeOptions()
    n = contacts.n_frames
    if len(frames) != n:
        raise LmbmdError(
            f"the trajectory has {len(frames)} frames, and contacts were found in {n}.",
            where=frames.name,
            remedy="Run the contacts stage again.",
        )
    cutoffs = first_shell_cutoffs(
        pooled_rdf(rdfs), atoms, describing.cutoffs_A, describing.cutoff_window_A, describing.cutoff_fallback_A
    )
    chosen = np.unique(np.rint(np.linspace(0, n - 1, min(options.frames, n))).astype(int))
    fold, ions = Scattering(atoms, centre, len(chosen), options), ions_of(atoms)
    with Progress(sys.stderr if progress else None) as bar:
        bar.begin(f"scattering of replica {replica}", len(chosen), unit="frames")
        for done, k in enumerate(chosen.tolist(), start=1):
            (frame,), found = frames.part(k, k + 1), contacts.frame(k)
            if abs(frame.time_ps - found.time_ps) > 1e-3 + 1e-6 * abs(found.time_ps):
                raise LmbmdError(
                    f"this frame is of {frame.time_ps:g} ps, and contacts were found at {found.time_ps:g} ps.",
                    where=f"{frames.name}, frame {frame.index}",
                    remedy="Run the contacts stage again.",
                )
            fold.add(frame, unit_classes(first_shell(found, cutoffs, atoms, ions), describing, replica))
            bar.at(done)
    return fold.result()
