"""What crosses the boundaries between stages: frozen values, and the files that hold them."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lmbmd.atomic import replacing, write_text
from lmbmd.errors import LmbmdError

Role = Literal["cation", "anion", "solvent", "diluent", "additive"]
ROLES: tuple[Role, ...] = ("cation", "anion", "solvent", "diluent", "additive")


@dataclass(frozen=True)
class SpeciesInfo:
    """One species of a box: its name, its role in this bottle and its formal charge."""

    name: str
    role: Role
    charge: int


@dataclass(frozen=True, eq=False)
class AtomTable:
    """Who every atom is. Written once by build (or mapped from a foreign topology), never guessed again.

    All arrays have one entry per atom, in trajectory order. Atoms of one molecule are contiguous and
    molecules are numbered 0, 1, 2 … in that order.

    Attributes:
        species: the species of the box; ``species_id`` indexes it.
        sites: names of donor-site kinds, unique over the box, as ``"FSI:O"`` (species, colon, site);
            ``site_id`` indexes it and is −1 for an atom that is no donor site. An ion looked from
            (a monatomic cation) has no site.
        species_id: int32.
        molecule: int32.
        site_id: int32.
        element: str, "Li", "O", …
        name: str, the atom's name within its molecule.
        mass_amu: float64.
        charge_e: float64, as simulated (after any ion charge scaling); NaN where a foreign topology has none.
        parent: int32, the earlier atom of the same molecule that this one is placed beside when the molecule is made
            whole (``lmbmd.bonds.parents``); a first atom's is itself. Not given: the atom before.
    """

    species: tuple[SpeciesInfo, ...]
    sites: tuple[str, ...]
    species_id: np.ndarray
    molecule: np.ndarray
    site_id: np.ndarray
    element: np.ndarray
    name: np.ndarray
    mass_amu: np.ndarray
    charge_e: np.ndarray
    parent: np.ndarray | None = None

    def __post_init__(self) -> None:
        n = len(self.species_id)
        if self.parent is None:
            before = np.arange(n) - (np.diff(self.molecule, prepend=-1) == 0)
            object.__setattr__(self, "parent", before.astype(np.int32))
        for column in ("molecule", "site_id", "element", "name", "mass_amu", "charge_e", "parent"):
            if len(getattr(self, column)) != n:
                raise ValueError(f"{column} has {len(getattr(self, column))} entries for {n} atoms")
        steps = np.diff(self.molecule)
        if n == 0 or self.molecule[0] != 0 or ((steps != 0) & (steps != 1)).any():
            raise ValueError("molecules must be contiguous and numbered 0, 1, 2 …")
        if (np.diff(self.species_id)[steps == 0] != 0).any():
            raise ValueError("a molecule belongs to more than one species")
        first = self.first_atom[self.molecule]
        if (self.parent < first).any() or (self.parent > np.maximum(np.arange(n) - 1, first)).any():
            raise ValueError("a parent is not an earlier atom of the same molecule")
        if self.species_id.min() < 0 or self.species_id.max() >= len(self.species):
            raise ValueError("species_id outside the species list")
        if self.site_id.min() < -1 or self.site_id.max() >= len(self.sites):
            raise ValueError("site_id outside the site list")

    def __len__(self) -> int:
        return len(self.species_id)

    @cached_property
    def first_atom(self) -> np.ndarray:
        """Index of the first atom of each molecule, and the number of atoms at the end (int64)."""
        starts = np.flatnonzero(np.diff(self.molecule, prepend=-1))
        return np.append(starts, len(self)).astype(np.int64)

    @property
    def n_molecules(self) -> int:
        return len(self.first_atom) - 1

    @cached_property
    def molecule_species(self) -> np.ndarray:
        """Species of each molecule (int32)."""
        return self.species_id[self.first_atom[:-1]]

    @cached_property
    def centres(self) -> np.ndarray:
        """Atoms looked from: every monatomic cation, in atom order (int64)."""
        sizes = np.diff(self.first_atom)
        roles = np.array([s.role for s in self.species], dtype=object)
        monatomic_cation = (sizes == 1) & (roles[self.molecule_species] == "cation")
        return self.first_atom[:-1][monatomic_cation]

    @cached_property
    def species_of_site(self) -> np.ndarray:
        """Index into ``species`` for each entry of ``sites`` (int32)."""
        names = [s.name for s in self.species]
        return np.array([names.index(site.split(":", 1)[0]) for site in self.sites], dtype=np.int32)

    def species_index(self, name: str) -> int:
        return [s.name for s in self.species].index(name)

    def count(self, name: str) -> int:
        """Number of molecules of a species."""
        return int((self.molecule_species == self.species_index(name)).sum())

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write to Parquet: a row per atom, species and sites in the file's metadata."""
        columns = {
            "species_id": self.species_id.astype(np.int32),
            "molecule": self.molecule.astype(np.int32),
            "site_id": self.site_id.astype(np.int32),
            "element": self.element.astype(str),
            "name": self.name.astype(str),
            "mass_amu": self.mass_amu.astype(float),
            "charge_e": self.charge_e.astype(float),
            "parent": self.parent.astype(np.int32),
        }
        table = pa.table({key: pa.array(list(v) if v.dtype.kind in "UO" else v) for key, v in columns.items()})
        header = {"species": [asdict(s) for s in self.species], "sites": list(self.sites)}
        table = table.replace_schema_metadata({"lmbmd": json.dumps(header)})
        with replacing(path) as partial:
            pq.write_table(table, partial)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> AtomTable:
        """Read what ``write`` wrote.

        Raises:
            LmbmdError: if the file is missing or is not an atom table.
        """
        try:
            table = pq.read_table(path)
            header = json.loads(table.schema.metadata[b"lmbmd"])
        except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise LmbmdError(
                f"this is no atom table ({error}).",
                where=str(path),
                remedy="Run the build stage again, or give the atoms.parquet that it wrote.",
            ) from error
        columns = {name: table[name].to_numpy() for name in table.column_names}
        species = tuple(SpeciesInfo(**s) for s in header["species"])
        return cls(species=species, sites=tuple(header["sites"]), **columns)


@dataclass(frozen=True, eq=False)
class Frame:
    """One configuration: positions (n, 3) float32 in Å, box (3, 3) float64 with lattice vectors as rows in Å."""

    index: int
    time_ps: float
    positions: np.ndarray
    box: np.ndarray

    @property
    def volume_A3(self) -> float:
        return abs(float(np.linalg.det(self.box)))


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
            molecule, walked through this very contact (centre → nearest image of the atom → molecule kept
            whole), Å. Sums of edges round a closed walk are therefore exact lattice vectors.
        centre: (n_centres, 3) float32, positions of the centres, Å.
        molecule: (n_molecules, 3) float32, mass centres of all molecules made whole, Å.
    """

    index: int
    time_ps: float
    box: np.ndarray
    offsets: np.ndarray
    atom: np.ndarray
    distance: np.ndarray
    edge: np.ndarray
    centre: np.ndarray
    molecule: np.ndarray

    @property
    def volume_A3(self) -> float:
        return abs(float(np.linalg.det(self.box)))

    @cached_property
    def row(self) -> np.ndarray:
        """The centre of each contact (int64), the inverse of ``offsets``."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def within(self, radius_A: np.ndarray) -> FrameContacts:
        """The contacts no longer than ``radius_A``, which is given per contact or as one number, in Å."""
        keep = self.distance <= radius_A
        offsets = np.zeros_like(self.offsets)
        np.cumsum(np.bincount(self.row[keep], minlength=len(offsets) - 1), out=offsets[1:])
        return FrameContacts(
            self.index, self.time_ps, self.box, offsets, self.atom[keep], self.distance[keep],
            self.edge[keep], self.centre, self.molecule,
        )  # fmt: skip


class Contacts(Protocol):
    """A contact table: in memory for tests, on disk for runs. Iterating yields frames in order of time."""

    search_radius_A: float
    n_frames: int

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
    ]
)


def edges_from_images(
    image: np.ndarray, row: np.ndarray, partner: np.ndarray, centre: np.ndarray, molecule: np.ndarray, box: np.ndarray
) -> np.ndarray:
    """``FrameContacts.edge`` from lattice steps: ``molecule[partner] + image @ box − centre[row]``, float32 Å.

    A contact file holds the steps, small whole numbers, instead of the edges; memory and file agree to the bit.
    """
    return (molecule[partner].astype(float) - centre[row] + image @ box).astype(np.float32)


def contact_batch(frames: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    """Frames as one Arrow record batch, a row per frame.

    Args:
        frames: for each frame a mapping with the keys of the file's columns; ``count`` is the number of contacts of
            each centre, ``image`` (n_contacts, 3) as in ``edges_from_images``.
    """
    columns = []
    for column in _FRAME_SCHEMA:
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
    return pa.RecordBatch.from_arrays(columns, schema=_FRAME_SCHEMA)


@contextmanager
def writing_contacts(
    path: str | os.PathLike[str], header: Mapping[str, Any], first_atom: np.ndarray
) -> Iterator[pa.ipc.RecordBatchFileWriter]:
    """Stream ``contact_batch`` batches into an Arrow file; memory does not grow with the number of frames.

    All batches but the last must hold equally many frames.

    Args:
        path: the file, which appears only when the block ends without an error.
        header: JSON-serialisable; must hold ``search_radius_A``.
        first_atom: ``AtomTable.first_atom``, which tells the molecule of an atom.
    """
    facts = {**header, "first_atom": np.asarray(first_atom).tolist()}
    schema = _FRAME_SCHEMA.with_metadata({"lmbmd": json.dumps(facts)})
    options = pa.ipc.IpcWriteOptions(compression=pa.Codec("zstd", compression_level=1), use_threads=False)
    with replacing(path) as partial, pa.OSFile(str(partial), "wb") as sink:
        with pa.ipc.new_file(sink, schema, options=options) as writer:
            yield writer


@dataclass(frozen=True)
class ContactFile:
    """Contacts on disk, read a batch of frames at a time."""

    path: Path

    @cached_property
    def _file(self) -> pa.ipc.RecordBatchFileReader:
        try:
            return pa.ipc.open_file(pa.memory_map(str(self.path)))
        except (OSError, pa.ArrowException) as error:
            raise LmbmdError(
                f"this is no contact table ({error}).", where=str(self.path), remedy="Run the contacts stage again."
            ) from error

    @cached_property
    def header(self) -> dict:
        return json.loads(self._file.schema.metadata[b"lmbmd"])

    @property
    def search_radius_A(self) -> float:
        return float(self.header["search_radius_A"])

    @cached_property
    def n_frames(self) -> int:
        batches = self._file.num_record_batches
        return (batches - 1) * self._batch_size + self._file.get_batch(batches - 1).num_rows if batches else 0

    @cached_property
    def _batch_size(self) -> int:
        return self._file.get_batch(0).num_rows

    @cached_property
    def _molecule_of_atom(self) -> np.ndarray:
        sizes = np.diff(self.header["first_atom"])
        return np.repeat(np.arange(len(sizes)), sizes)

    def _frame(self, batch: pa.RecordBatch, i: int) -> FrameContacts:
        get = lambda name: batch.column(name)[i].values.to_numpy(zero_copy_only=False)  # noqa: E731
        box, atom = get("box").reshape(3, 3), get("atom")
        centre, molecule = get("centre").reshape(-1, 3), get("molecule").reshape(-1, 3)
        count = get("count")
        row = np.repeat(np.arange(len(count)), count)
        image, partner = get("image").reshape(-1, 3), self._molecule_of_atom[atom]
        return FrameContacts(
            index=batch.column("index")[i].as_py(),
            time_ps=batch.column("time_ps")[i].as_py(),
            box=box,
            offsets=np.append(0, np.cumsum(count, dtype=np.int64)),
            atom=atom,
            distance=get("distance"),
            edge=edges_from_images(image, row, partner, centre, molecule, box),
            centre=centre,
            molecule=molecule,
        )

    def frame(self, i: int) -> FrameContacts:
        """Frame number ``i`` of the table, 0-based."""
        return self._frame(self._file.get_batch(i // self._batch_size), i % self._batch_size)

    def __iter__(self) -> Iterator[FrameContacts]:
        for b in range(self._file.num_record_batches):
            batch = self._file.get_batch(b)
            yield from (self._frame(batch, i) for i in range(batch.num_rows))


@dataclass(frozen=True, eq=False)
class Rdf:
    """Radial distribution functions of one run, kept in blocks of consecutive frames for error bars.

    Attributes:
        edges_A: (n_bins + 1,) bin edges.
        pairs: (centre, partner) labels. A centre is a species; a partner is a site (``"FSI:O"``), or a
            species by its molecules' mass centres (``"FSI"``); for a monatomic species that is the ion.
        g: (n_blocks, n_pairs, n_bins) g(r), normalised inside each frame with that frame's volume.
        count: (n_blocks, n_pairs, n_bins) mean number of partners per centre in each bin; its running
            sum over bins is the coordination number CN(r).
        frames: (n_blocks,) frames in each block.
        reach_A: radius up to which every frame was fully sampled (half the smallest box width, at most).
    """

    edges_A: np.ndarray
    pairs: tuple[tuple[str, str], ...]
    g: np.ndarray
    count: np.ndarray
    frames: np.ndarray
    reach_A: float

    @property
    def r_A(self) -> np.ndarray:
        """Bin centres in Å."""
        return 0.5 * (self.edges_A[1:] + self.edges_A[:-1])

    def pair(self, centre: str, partner: str) -> int:
        """Index of a pair."""
        return self.pairs.index((centre, partner))

    def mean(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """g(r) and running CN(r) of pair ``i``, averaged over all frames. CN is at the bins' upper edges."""
        weights = self.frames / self.frames.sum()
        return weights @ self.g[:, i], np.cumsum(weights @ self.count[:, i])

    def write(self, path: str | os.PathLike[str]) -> None:
        with replacing(path) as partial, open(partial, "wb") as handle:
            np.savez_compressed(
                handle, edges_A=self.edges_A, pairs=np.array(self.pairs, dtype=str).reshape(-1, 2), g=self.g,
                count=self.count, frames=self.frames, reach_A=self.reach_A,
            )  # fmt: skip

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Rdf:
        try:
            with np.load(path, allow_pickle=False) as data:
                pairs = tuple((str(a), str(b)) for a, b in data["pairs"])
                return cls(data["edges_A"], pairs, data["g"], data["count"], data["frames"], float(data["reach_A"]))
        except (OSError, KeyError, ValueError) as error:
            raise LmbmdError(
                f"this is no RDF file ({error}).", where=str(path), remedy="Run the contacts stage again."
            ) from error


#: Columns of the tidy descriptor table. A value is NaN only with a reason in ``method``.
DESCRIPTOR_COLUMNS = ("name", "species", "value", "error", "unit", "n_effective", "method")


@dataclass(frozen=True)
class Descriptor:
    """One number about one formulation.

    Attributes:
        name: what it is, e.g. ``"cn_molecules"``; the theory page of that name defines it.
        species: whom it is about: a species (``"FSI"``), a site (``"FSI:O"``), a class or shell label, or "".
        value: the number.
        error: one standard error, NaN if it cannot be told (with the reason in ``method``).
        unit: "1" for a pure number.
        n_effective: number of statistically independent samples behind it.
        method: the definition in short: convention, cut-off and where it came from.
    """

    name: str
    species: str
    value: float
    error: float
    unit: str
    n_effective: float
    method: str


def descriptor_frame(rows: Sequence[Descriptor]) -> pd.DataFrame:
    """Descriptors as a table with the columns of ``DESCRIPTOR_COLUMNS``."""
    return pd.DataFrame([asdict(row) for row in rows], columns=list(DESCRIPTOR_COLUMNS))


@dataclass(frozen=True, eq=False)
class Described:
    """Everything the report shows about one state point: the descriptors and the tables behind the figures.

    ``tables`` maps a name to a tidy frame (e.g. ``"rdf"``, ``"shells"``, ``"cluster_sizes"``); ``notes`` are
    sentences the reader must see (warnings, fallbacks, verdicts), each with a machine-readable ``topic``;
    ``facts`` are JSON-serialisable: options, centre, frames, provenance.
    """

    descriptors: pd.DataFrame
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    notes: tuple[dict[str, str], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: str | os.PathLike[str]) -> None:
        """Write descriptors.parquet and .csv, tables/<name>.csv and, last, described.json (facts and notes).

        In the CSV files words are quoted and numbers are not, so that they are read back as what they were.
        """
        folder = Path(folder)
        for name in self.tables:
            if not re.fullmatch(r"[a-z0-9_]+", name):
                raise ValueError(f"{name!r} is no name of a table")
        (folder / "described.json").unlink(missing_ok=True)
        with replacing(folder / "descriptors.parquet") as partial:
            self.descriptors.to_parquet(partial, index=False)
        frames = {"descriptors.csv": self.descriptors}
        frames |= {f"tables/{name}.csv": table for name, table in self.tables.items()}
        for name, frame in frames.items():
            with replacing(folder / name) as partial:
                _write_quoted_csv(frame, partial)
        for stale in (folder / "tables").glob("*.csv"):
            if stale.stem not in self.tables:
                stale.unlink()
        text = json.dumps({**self.facts, "notes": list(self.notes)}, indent=1, ensure_ascii=False, allow_nan=False)
        write_text(folder / "described.json", text + "\n")

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> Described:
        """Read what ``write`` wrote. Numbers of tables come back as float64.

        Raises:
            LmbmdError: if a file is missing or is not what it should be.
        """
        folder = Path(folder)
        try:
            facts = json.loads((folder / "described.json").read_text("utf-8"))
            notes = tuple(facts.pop("notes"))
            descriptors = pd.read_parquet(folder / "descriptors.parquet")[list(DESCRIPTOR_COLUMNS)]
            tables = {path.stem: _read_quoted_csv(path) for path in sorted((folder / "tables").glob("*.csv"))}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException, csv.Error) as error:
            raise LmbmdError(
                f"this is no description of a state point ({error}).",
                where=str(folder),
                remedy="Run the describe stage again.",
            ) from error
        return cls(descriptors, tables, notes, facts)


_WORDS = {"True": True, "False": False, "": None}


def _write_quoted_csv(frame: pd.DataFrame, path: Path) -> None:
    """A CSV file with words (and True, False, and nothing for None) in quotes, and numbers without."""
    plain = lambda x: "" if x is None else str(x) if isinstance(x, bool) else x  # noqa: E731
    columns = [[plain(x) for x in column.tolist()] for _, column in frame.items()]
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(frame.columns)
        writer.writerows(zip(*columns, strict=True))


def _read_quoted_csv(path: Path) -> pd.DataFrame:
    """What ``_write_quoted_csv`` wrote, with numbers as float64."""
    with open(path, newline="", encoding="utf-8") as handle:
        rows = csv.reader(handle, quoting=csv.QUOTE_NONNUMERIC)
        columns = next(rows)
        frame = pd.DataFrame(list(rows), columns=columns)
    for name, column in frame.items():
        found = set(column.tolist())
        if found & {"True", "False"} and found <= set(_WORDS):
            frame[name] = pd.Series([_WORDS[x] for x in column], dtype=object)
    return frame
