"""One changed byte of a result file is noticed, or it changes nothing of what is read."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import boxes
import numpy as np
import pytest
import quantum_shells
import report_inputs

from lmbmd.analysis.families import schemas
from lmbmd.analysis.scan.contacts import run_contacts
from lmbmd.analysis.scattering.options import ScatteringOptions
from lmbmd.analysis.scattering.sums import Scattered, Scattering
from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable
from lmbmd.data.contacts import ContactFile
from lmbmd.data.described import Described
from lmbmd.data.rdf import Rdf
from lmbmd.quantum.drawn import Drawn
from lmbmd.quantum.run import Energies
from lmbmd.trajectory import read_frames
from lmbmd.trajectory.sample import Sample

#: Which file, and what the stages after it read of it.
READ: dict[str, Callable[[Path], Any]] = {
    "atoms.parquet": lambda path: vars(AtomTable.read(path)),
    "contacts.arrow": lambda path: [ContactFile(path).header, *(vars(frame) for frame in ContactFile(path))],
    "rdf.npz": lambda path: vars(Rdf.read(path)),
    "scattering.npz": lambda path: vars(Scattered.read(path)),
    "shells.json": lambda path: [shell.plain() for shell in Drawn.read(path).shells],
    "energies.json": lambda path: vars(Energies.read(path)),
    "sample.xtc": lambda path: [vars(frame) for frame in Sample(ContactFile(path.with_name("contacts.arrow")), 115)],
    "point/described.json": lambda path: read_point(path.parent),
    "point/tables/cn.csv": lambda path: read_point(path.parents[1]),
    "point/descriptors.parquet": lambda path: read_point(path.parent),
}
STAGE = {"atoms.parquet": "build", "contacts.arrow": "contacts", "rdf.npz": "contacts", "sample.xtc": "contacts"}
STAGE |= {"scattering.npz": "scattering", "shells.json": "draw", "energies.json": "quantum"}


def read_point(folder: Path) -> Any:
    found = Described.read(folder, schemas())
    tables = {name: table.to_csv() for name, table in found.tables.items()}
    return [found.descriptors.to_csv(), tables, found.notes, found.facts]


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> Path:
    """Small result files of every kind; the contacts in three batches."""
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(5)
    atoms, frame = boxes.electrolyte(rng, boxes.SKEWED)
    with XTCFile(str(folder / "t.xtc"), "w") as file:
        for i in range(150):
            moved = frame.positions + rng.normal(0, 0.3, frame.positions.shape)
            file.write((moved / 10).astype(np.float32), (frame.box / 10).astype(np.float32), i, 2.0 * i, 1000)
    frames = read_frames(folder / "t.xtc", atoms)
    bonds = np.flatnonzero(np.diff(atoms.molecule) == 0)  # a chain: what build writes has bonds
    atoms = replace(atoms, bonds=np.column_stack([bonds, bonds + 1]))
    atoms.write(folder / "atoms.parquet")
    result = folder / "contacts.arrow", folder / "rdf.npz"
    run_contacts(frames, atoms, *result, progress=False, sample_path=folder / "sample.xtc")
    fold = Scattering(atoms, "Li", 3, ScatteringOptions(q_max_per_A=1.0))
    for one in frames.part(0, 3):
        fold.add(one, np.zeros(atoms.n_units, int))
    fold.result().write(folder / "scattering.npz")
    quantum_shells.drawn([quantum_shells.waters([1.9, 2.0])]).write(folder / "shells.json")
    quantum_shells.made_up(rng).write(folder / "energies.json")
    report_inputs.described(report_inputs.BOTTLES["lifsi-dme"], rng).write(folder / "point")
    return folder


def same(one: Any, other: Any) -> bool:
    try:
        np.testing.assert_equal(one, other)
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("name", READ)
def test_a_changed_byte_is_noticed(files, tmp_path, name):
    path = tmp_path / "copy" / name
    shutil.copytree(files, tmp_path / "copy")
    whole, expected, draw = path.read_bytes(), READ[name](path), random.Random(name)
    ends = [*range(min(48, len(whole))), *range(max(0, len(whole) - 400), len(whole), 5)]
    noticed = 0
    for place in [*ends, *(draw.randrange(len(whole)) for _ in range(120))]:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << draw.randrange(8)
        path.write_bytes(damaged)
        try:
            found = READ[name](path)
        except LmbmdError as error:
            noticed += 1
            assert Path(name).name in str(error) or "description" in str(error)
            assert f"Run the {STAGE.get(name, 'describe')} stage again" in str(error)
        else:
            assert same(found, expected), f"byte {place} of {name}"
    assert noticed > 100


def test_a_contact_table_that_lost_or_exchanged_frames_is_noticed(files, tmp_path):
    import pyarrow as pa

    file = pa.ipc.open_file(str(files / "contacts.arrow"))
    batches = [file.get_batch_with_custom_metadata(i) for i in range(file.num_record_batches)]
    for order in ([0, 1, 2], [0, 2, 3], [1, 0, 2, 3], [3]):
        with pa.ipc.new_file(str(tmp_path / "c.arrow"), file.schema) as writer:
            for i in order:
                writer.write_batch(batches[i][0], custom_metadata=dict(batches[i][1]))
        with pytest.raises(LmbmdError, match="Run the contacts stage again"):
            list(ContactFile(tmp_path / "c.arrow"))
