"""From integer counts to a box that can be simulated: packing, the ``openmm.System``, the atom table."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import openmm

from lmbmd.box.chains.place import compressed, placed
from lmbmd.box.packing import Attempt, pack
from lmbmd.box.pdb import pdb_text
from lmbmd.box.system import BuiltSystem, assembled, kinds
from lmbmd.core import files, provenance, stages
from lmbmd.data.cell import Cell
from lmbmd.data.library import force_fields_folder
from lmbmd.forcefield.chains.charges import SHIPPED
from lmbmd.forcefield.parameters import ParameterSet
from lmbmd.forcefield.parametrize.parametrize import SAGE_FILE, SAGE_SHA256
from lmbmd.formulation.composition import Composition
from lmbmd.formulation.polymers.draw import Chains

#: What is recorded of the parameter set.
_OF_SET = ("name", "version", "combining_rule", "cut_off_A", "switch_from_A")


def packing_seed(composition: Composition, replica: int) -> int:
    """The seed of one replica's packing, which all its temperatures share."""
    return provenance.derived_seed(composition.seed, composition.formulation, replica, "packing")


@dataclass(frozen=True, eq=False)
class Start:
    """A box before anything moves: positions (n, 3) in Å in a cube of ``edge_A``, and how it was reached.

    ``packmol_version`` is "" for a box with chains, which packmol has no part in.
    """

    built: BuiltSystem
    positions: np.ndarray
    edge_A: float
    attempts: tuple[Attempt, ...]
    packmol_version: str = ""


def start_of(
    composition: Composition, counts: Mapping[str, int], parameters: ParameterSet, ion_charge_scale: float, seed: int
) -> Start:
    """Pack the molecules of a box; with chains, grow these, put the others between them, and compress it.

    Raises:
        LmbmdError: as ``pack``, ``system.kinds``, ``placed`` and ``compressed`` do.
    """
    edge_A = composition.box_edge_A
    molecules = kinds(counts, composition.roles, parameters, ion_charge_scale, composition.chains)
    built = assembled(molecules, parameters, edge_A)
    small = [species for species in counts if species not in composition.chains]
    if not composition.chains:
        packed = pack(counts, {s: (parameters.elements(s), parameters.geometry(s)) for s in small}, edge_A, seed)
        return Start(built, packed.positions, packed.edge_A, packed.attempts, packed.packmol_version)
    geometries = {species: parameters.geometry(species) for species in small}
    positions, loose_A, attempts = placed(molecules, composition.chains, geometries, edge_A, seed)
    positions, edge_A = compressed(built, molecules, positions, loose_A, edge_A)
    return Start(built, positions, edge_A, attempts)


def _told(chains: Mapping[str, Chains]) -> dict[str, object]:
    """What is recorded of the chains' parameters."""
    charges = force_fields_folder() / SHIPPED
    return {
        "said": {name: one.said for name, one in chains.items()},
        "terms": {"file": SAGE_FILE, "sha256": SAGE_SHA256},
        "charges": {"file": SHIPPED, "sha256": provenance.file_sha256(charges)} if charges.is_file() else None,
    }


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
    box = start_of(composition, counts, parameter_set, ion_charge_scale, seed)
    built, cell = box.built, Cell.cube(box.edge_A)
    built.system.setDefaultPeriodicBoxVectors(*cell.vectors_nm)
    files.write_text(out / "system.xml", openmm.XmlSerializer.serialize(built.system))
    files.write_text(out / "start.pdb", pdb_text(built.atoms, box.positions, cell.vectors_A, built.bonds))
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
        edge_A=box.edge_A,
        packing=[asdict(attempt) for attempt in box.attempts],
        **({"chains": _told(composition.chains)} if composition.chains else {"packmol": box.packmol_version}),
        parameter_set={key: getattr(parameter_set, key) for key in _OF_SET},
        parameter_files={species: entries[species]["files"] for species in counts if species not in composition.chains},
        files={name: provenance.file_sha256(out / name) for name in ("system.xml", "start.pdb", "atoms.parquet")},
    )
    files.write_text(out / "build.json", json.dumps(files.sealed(record), indent=2) + "\n")
