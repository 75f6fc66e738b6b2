"""From integer counts to a box that can be simulated: packing, the ``openmm.System``, the atom table."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from pathlib import Path

import openmm

from lmbmd.box.packing import pack
from lmbmd.box.pdb import pdb_text
from lmbmd.box.system import build_system
from lmbmd.core import files, provenance, stages
from lmbmd.data.cell import Cell
from lmbmd.forcefield.parameters import ParameterSet
from lmbmd.formulation.composition import Composition

#: What is recorded of the parameter set.
_OF_SET = ("name", "version", "combining_rule", "cut_off_A", "switch_from_A")


def packing_seed(composition: Composition, replica: int) -> int:
    """The seed of one replica's packing, which all its temperatures share."""
    return provenance.derived_seed(composition.seed, composition.formulation, replica, "packing")


def build_box(
    composition: Composition,
    parameter_set: ParameterSet,
    *,
    ion_charge_scale: float,
    seed: int,
    out_dir: str | os.PathLike[str],
    inputs: dict[str, str | os.PathLike[str]] | None = None,
) -> None:
    """Pack a box and write ``system.xml``, ``start.pdb``, ``atoms.parquet`` and ``build.json`` into ``out_dir``.

    ``build.json`` is written last: a folder that has it is complete.

    Args:
        composition: counts {species: n}, roles {species: role} and box_edge_A.
        ion_charge_scale: factor on the charges of every species with a formal charge.
        seed: decides the packing; take another for each replica.
        inputs: files to be named, with their hashes, in the provenance.

    Raises:
        LmbmdError: as ``pack`` and ``build_system`` do, and if the folder cannot be written.
    """
    out = Path(out_dir)
    counts = {species: n for species, n in composition.counts.items() if n}
    built = build_system(counts, composition.roles, parameter_set, ion_charge_scale, composition.box_edge_A)
    geometries = {s: (parameter_set.elements(s), parameter_set.geometry(s)) for s in counts}
    packed = pack(counts, geometries, composition.box_edge_A, seed)
    cell = Cell.cube(packed.edge_A)
    built.system.setDefaultPeriodicBoxVectors(*cell.vectors_nm)
    files.write_text(out / "system.xml", openmm.XmlSerializer.serialize(built.system))
    files.write_text(out / "start.pdb", pdb_text(built.atoms, packed.positions, cell.vectors_A, built.bonds))
    built.atoms.write(out / "atoms.parquet")
    entries = parameter_set.manifest["species"]
    record = provenance.stamp(
        stages.BUILD,
        inputs or {},
        seed=seed,
        ion_charge_scale=ion_charge_scale,
        counts=counts,
        n_atoms=len(built.atoms),
        asked_edge_A=composition.box_edge_A,
        edge_A=packed.edge_A,
        packing=[asdict(attempt) for attempt in packed.attempts],
        packmol=packed.packmol_version,
        parameter_set={key: getattr(parameter_set, key) for key in _OF_SET},
        parameter_files={species: entries[species]["files"] for species in counts},
        files={name: provenance.file_sha256(out / name) for name in ("system.xml", "start.pdb", "atoms.parquet")},
    )
    files.write_text(out / "build.json", json.dumps(files.sealed(record), indent=2) + "\n")
