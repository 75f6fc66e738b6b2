"""Contacts between centres and donor atoms, frame by frame: in memory, and in an Arrow file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import replacing, told
from lmbmd.data.atoms import DAMAGE, SEAL, digest
from lmbmd.data.cell import Cell


@dataclass(frozen=True, eq=False)
class FrameContacts:
    """All centre–site pairs of one frame within the search radius, as compressed rows over the centres.

    Row c, the contacts of centre c, is ``offsets[c]:offsets[c + 1]``; a bare centre is an empty row.
    Within a row, contacts are in order of atom index.

    Attributes:
        index, time_ps: which frame.
        box: (3, 3) float64, lattice vectors as rows, Å.
        offsets: (n_centres + 1,) int64.
        atom: (n_contacts,) int32, the donor atom.
        distance: (n_contacts,) float32, Å.
        edge: (n_contacts, 3) float32, the vector from the centre to the mass centre of the donor's
            unit, walked through this very contact (centre → nearest image of the atom → molecule kept
            whole), Å. Sums of edges round a closed walk are therefore exact lattice vectors.
        centre: (n_centres, 3) float32, positions of the centres, Å.
        unit: (n_units, 3) float32, mass centres of all units (a small molecule is one), Å; those of one chain as they
            lie along it, however many boxes it is long.
        dipole: (n_species, 3) float64, dipoles of the molecules of each species about their mass centres, summed, e Å;
            from the charges as simulated, NaN where those of a species are not known. That of a chain is shared out
            among the species of its units.
        spread: (n_chains,) float32, for each chain the mean square distance of its atoms from the mass centres of their
            units, weighted by mass, Å²: what the radius of gyration has beyond that of the units.
    """

    index: int
    time_ps: float
    box: np.ndarray
    offsets: np.ndarray
    atom: np.ndarray
    distance: np.ndarray
    edge: np.ndarray
    centre: np.ndarray
    unit: np.ndarray
    dipole: np.ndarray
    spread: np.ndarray = field(default_factory=lambda: np.empty(0, np.float32))

    @property
    def volume_A3(self) -> float:
        return Cell(self.box).volume_A3

    @cached_property
    def row(self) -> np.ndarray:
        """The centre of each contact (int64), the inverse of ``offsets``."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def within(self, radius_A: np.ndarray) -> FrameContacts:
        """The contacts no longer than ``radius_A``, which is given per contact or as one number, in Å."""
        keep = np.flatnonzero(self.distance <= radius_A)
        offsets = np.zeros_like(self.offsets)
        np.cumsum(np.bincount(self.row[keep], minlength=len(offsets) - 1), out=offsets[1:])
        return FrameContacts(
            self.index,
            self.time_ps,
            self.box,
            offsets,
            self.atom[keep],
            self.distance[keep],
            self.edge.take(keep, 0),
            self.centre,
            self.unit,
            self.dipole,
            self.spread,
        )


class Contacts(Protocol):
    """A contact table: in memory for tests, on disk for runs. Iterating yields frames in order of time."""

    @property
    def search_radius_A(self) -> float: ...

    @property
    def n_frames(self) -> int: ...

    def __iter__(self) -> Iterator[FrameContacts]: ...


@dataclass(frozen=True)
class ContactList:
    """Contacts held in memory."""

    frames: Sequence[FrameContacts]
    search_radius_A: float

    @property
    def n_frames(self) -> int:
        return len(self.frames)

    def __iter__(self) -> Iterator[FrameContacts]:
        return iter(self.frames)


_FRAME_SCHEMA = pa.schema(
    [
        ("index", pa.int64()),
        ("time_ps", pa.float64()),
        ("box", pa.list_(pa.float64(), 9)),
        ("count", pa.list_(pa.int32())),
        ("atom", pa.list_(pa.int32())),
        ("distance", pa.list_(pa.float32())),
        ("image", pa.list_(pa.int16())),
        ("centre", pa.list_(pa.float32())),
        ("molecule", pa.list_(pa.float32())),
        ("dipole", pa.list_(pa.float64())),
    ]
)
#: A box with chains has one column more; a file of one without them is as it was before there were units, in which a
#: partner's mass centre was called that of a molecule.
_CHAIN_SCHEMA = _FRAME_SCHEMA.append(pa.field("spread", pa.list_(pa.float32())))


def edges_from_images(
    image: np.ndarray, row: np.ndarray, partner: np.ndarray, centre: np.ndarray, unit: np.ndarray, box: np.ndarray
) -> np.ndarray:
    """``FrameContacts.edge`` from lattice steps: ``unit[partner] + image @ box − centre[row]``, float32 Å.

    A contact file holds the steps, small whole numbers, instead of the edges; memory and file agree to the bit.
    """
    return (unit[partner].astype(float) - centre[row] + image @ box).astype(np.float32)


def contact_batch(frames: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """Frames as one Arrow record batch, a row per frame.

    Args:
        frames: for each frame a mapping with the keys of the file's columns; ``count`` is the number of contacts of
            each centre, ``image`` (n_contacts, 3) as in ``edges_from_images``, ``molecule`` is ``FrameContacts.unit``,
            and ``spread`` is there, and not empty, for a box with chains.
    """
    columns = []
    schema = _CHAIN_SCHEMA if len(frames[0].get("spread", ())) else _FRAME_SCHEMA
    for column in schema:
        values = [frame[column.name] for frame in frames]
        if not pa.types.is_nested(column.type):
            columns.append(pa.array(values, column.type))
            continue
        flat = np.concatenate([np.ravel(v) for v in values])
        item = pa.array(flat, column.type.value_type)
        if pa.types.is_fixed_size_list(column.type):
            columns.append(pa.FixedSizeListArray.from_arrays(item, type=column.type))
        else:
            offsets = np.append(0, np.cumsum([np.size(v) for v in values])).astype(np.int32)
            columns.append(pa.ListArray.from_arrays(offsets, item, type=column.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


class ContactWriter:
    """Writes ``contact_batch`` batches into an Arrow file, each with a hash of its content; the end has one of its own.

    The last batch has no rows: it says how many frames there are, so that a file that lost some is known, and the
    hashes of files that were written beside this one.

    Attributes:
        beside: SHA-256 of each such file, by name.
    """

    beside: dict[str, str]

    def __init__(self, writer: pa.ipc.RecordBatchFileWriter, header: str, schema: pa.Schema) -> None:
        self._writer, self._header, self._schema = writer, header, schema
        self._batches = self._frames = 0
        self.beside = {}

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch, custom_metadata={SEAL: digest(str(self._batches), batch)})
        self._batches += 1
        self._frames += batch.num_rows

    def end(self) -> None:
        empty = pa.RecordBatch.from_pylist([], schema=self._schema)
        beside = json.dumps(self.beside)
        said = {SEAL: digest(_last_words(self._header, self._batches, self._frames, beside), empty)}
        self._writer.write_batch(empty, custom_metadata={**said, _FRAMES: str(self._frames), _BESIDE: beside})


_FRAMES, _BESIDE = b"lmbmd.frames", b"lmbmd.beside"


def _last_words(header: str, batches: int, frames: int, beside: str) -> str:
    return " ".join([header, str(batches), str(frames), *filter(None, [beside])])  # older tables tell of no file


@contextmanager
def writing_contacts(
    path: str | os.PathLike[str], header: Mapping[str, Any], first_atom: np.ndarray, *, chains: bool = False
) -> Iterator[ContactWriter]:
    """Stream ``contact_batch`` batches into an Arrow file; memory does not grow with the number of frames.

    All batches but the last must hold equally many frames.

    Args:
        path: the file, which appears only when the block ends without an error.
        header: JSON-serialisable; must hold ``search_radius_A``.
        first_atom: ``AtomTable.first_atom_of_unit``, which tells the unit of an atom.
        chains: whether the box has chains, so that batches have a ``spread``.
    """
    facts = json.dumps({**header, "first_atom": np.asarray(first_atom).tolist()})
    plain = _CHAIN_SCHEMA if chains else _FRAME_SCHEMA
    schema = plain.with_metadata({"lmbmd": facts})
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1), use_threads=False)
    with replacing(path) as partial, pa.OSFile(str(partial), "wb") as sink:
        with pa.ipc.new_file(sink, schema, options=options) as file:
            writer = ContactWriter(file, facts, plain)
            yield writer
            writer.end()


@dataclass(frozen=True)
class ContactFile:
    """Contacts on disk, read a batch of frames at a time. A changed byte is noticed when it is read.

    Every method raises LmbmdError for a file that is missing, damaged, or no contact table.
    """

    path: Path

    def _refused(self, error: BaseException) -> LmbmdError:
        return LmbmdError(
            f"this is no contact table, or a damaged one ({told(error)}).",
            where=str(self.path),
            remedy="Run the contacts stage again.",
        )

    @cached_property
    def _file(self) -> pa.ipc.RecordBatchFileReader:
        """The open file, after a look at its end, which says how many frames there must be."""
        try:
            file = pa.ipc.open_file(pa.memory_map(str(self.path)))
            if not any(map(file.schema.equals, (_FRAME_SCHEMA, _CHAIN_SCHEMA))) or file.num_record_batches < 1:
                raise ValueError("its columns are other ones")
            batches = file.num_record_batches - 1
            empty, said = file.get_batch_with_custom_metadata(batches)
            header = file.schema.metadata[b"lmbmd"].decode("utf-8")
            beside = said.get(_BESIDE, b"").decode("utf-8")
            expected = digest(_last_words(header, batches, int(said[_FRAMES]), beside), empty)
            if empty.num_rows or said[SEAL].decode() != expected:
                raise ValueError("its header or its end does not match its hash")
        except DAMAGE as error:
            raise self._refused(error) from error
        return file

    @cached_property
    def _whole(self) -> set[int]:
        """Batches whose hash has been compared."""
        return set()

    def _batch(self, number: int) -> pa.RecordBatch:
        file = self._file
        try:
            batch, said = file.get_batch_with_custom_metadata(number)
            if number not in self._whole:
                batch.validate(full=True)
                if said[SEAL].decode() != digest(str(number), batch):
                    raise ValueError(f"its part {number + 1} does not match its hash")
                self._whole.add(number)
        except DAMAGE as error:
            raise self._refused(error) from error
        return batch

    def check(self) -> None:
        """Read all of it, and compare the hash of each part."""
        for number in range(self._n_batches):
            self._batch(number)

    @property
    def _n_batches(self) -> int:
        return self._file.num_record_batches - 1

    @cached_property
    def header(self) -> dict:
        return json.loads(self._file.schema.metadata[b"lmbmd"])

    @cached_property
    def beside(self) -> dict[str, str]:
        """SHA-256 of files that were written beside this one, by name."""
        said = self._file.get_batch_with_custom_metadata(self._n_batches)[1]
        return json.loads(said.get(_BESIDE, b"{}"))

    @property
    def search_radius_A(self) -> float:
        return float(self.header["search_radius_A"])

    @cached_property
    def n_frames(self) -> int:
        return int(self._file.get_batch_with_custom_metadata(self._n_batches)[1][_FRAMES])

    @cached_property
    def _batch_size(self) -> int:
        return self._batch(0).num_rows

    @cached_property
    def _unit_of_atom(self) -> np.ndarray:
        sizes = np.diff(self.header["first_atom"])
        return np.repeat(np.arange(len(sizes)), sizes)

    def _frame(self, batch: pa.RecordBatch, i: int) -> FrameContacts:
        get = lambda name: batch.column(name)[i].values.to_numpy(zero_copy_only=False)  # noqa: E731
        box, atom = get("box").reshape(3, 3), get("atom")
        centre, unit = get("centre").reshape(-1, 3), get("molecule").reshape(-1, 3)
        count = get("count")
        row = np.repeat(np.arange(len(count)), count)
        image, partner = get("image").reshape(-1, 3), self._unit_of_atom[atom]
        return FrameContacts(
            index=batch.column("index")[i].as_py(),
            time_ps=batch.column("time_ps")[i].as_py(),
            box=box,
            offsets=np.append(0, np.cumsum(count, dtype=np.int64)),
            atom=atom,
            distance=get("distance"),
            edge=edges_from_images(image, row, partner, centre, unit, box),
            centre=centre,
            unit=unit,
            dipole=get("dipole").reshape(-1, 3),
            spread=get("spread") if "spread" in batch.schema.names else np.empty(0, np.float32),
        )

    def frame(self, i: int) -> FrameContacts:
        """Frame number ``i`` of the table, 0-based."""
        return self._frame(self._batch(i // self._batch_size), i % self._batch_size)

    def __iter__(self) -> Iterator[FrameContacts]:
        for number in range(self._n_batches):
            batch = self._batch(number)
            yield from (self._frame(batch, i) for i in range(batch.num_rows))
