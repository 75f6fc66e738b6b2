"""Anyone's trajectory, from its topology and a species map to descriptors, in one call."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lmbmd.analysis.describe import describe
from lmbmd.analysis.options import AnalysisOptions
from lmbmd.analysis.scan.contacts import run_contacts
from lmbmd.analysis.snapshots import export_snapshots
from lmbmd.core import provenance, stages
from lmbmd.core.validation import validated
from lmbmd.data.described import Described
from lmbmd.data.sites import named_cutoffs, site_keys
from lmbmd.trajectory.foreign import open_foreign
from lmbmd.trajectory.sample import Sample
from lmbmd.trajectory.species_map import from_mapping, load


def analyze(
    source: Any,
    species: str | os.PathLike[str] | Mapping[str, Any],
    *,
    out: str | os.PathLike[str] | None = None,
    start: int | None = None,
    stop: int | None = None,
    step: int | None = None,
    options: Mapping[str, Any] | None = None,
    workers: int = 1,
) -> Described:
    """Describe a trajectory that lmbmd did not make: shells, speciation, clusters, CIPA and lifetimes.

    Args:
        source: an MDAnalysis Universe, or a (topology, trajectory) pair of files, or one file with both.
        species: the species map, as a file or as plain data (docs/foreign_trajectories.md).
        out: a folder for contacts.arrow, rdf.npz, sample.xtc, atoms.parquet, descriptors, tables and snapshots; nothing
            is kept if None.
        start, stop, step: which frames, as in a slice.
        options: as the section ``analysis`` of a study; ``frame_stride`` is ``step`` here.
        workers: processes that read and search frames.

    Returns:
        ``.descriptors`` is the tidy table (name, species, value, error, unit, n_effective, degrees_of_freedom,
        method), ``.tables`` hold the curves and histograms, ``.notes`` what a reader must know.

    Raises:
        LmbmdError: naming the file, key, frame or atom and the remedy.
    """
    chosen = validated(AnalysisOptions, dict(options or {}), path=Path("analysis options"), lines={})
    species_map = from_mapping(species) if isinstance(species, Mapping) else load(species)
    atoms, frames = open_foreign(source, species_map, start, stop, step or chosen.frame_stride)
    keys = site_keys(species_map.centres, atoms.sites)
    given = named_cutoffs(chosen.cutoffs_A, keys, where=lambda key: f"analysis options:cutoffs_A.{key}")
    describing = chosen.describing.model_copy(
        update={
            "cutoffs_A": {**species_map.cutoffs_A, **given},
            "centre": chosen.centre or species_map.centres[0],
        }
    )
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(out or scratch)
        run = run_contacts(
            frames,
            atoms,
            folder / "contacts.arrow",
            folder / "rdf.npz",
            chosen.contacts,
            workers=workers,
            sample_path=folder / "sample.xtc" if out else None,
        )
        described = describe([run], atoms, describing)
        facts = {**described.facts, "provenance": provenance.stamp(stages.DESCRIBE, {}, trajectory=frames.name)}
        described = replace(described, facts=facts)
        if out:
            atoms.write(folder / "atoms.parquet")
            sample = Sample(folder / "sample.xtc", len(atoms))
            snapshots = export_snapshots(run[0], sample, atoms, described, folder / "snapshots")
            described.write(folder, snapshots)
    return described
