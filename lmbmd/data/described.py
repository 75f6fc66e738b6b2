"""What is said about a state point: descriptors with their errors, tables, notes; and the files that hold them."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import read_json, replacing, sealed, told, write_text
from lmbmd.core.provenance import file_sha256

if TYPE_CHECKING:  # at run time it is imported where it is needed: stages that describe nothing start faster
    import pandas as pd


@dataclass(frozen=True)
class Descriptor:
    """One number about one formulation.

    Attributes:
        name: what it is, e.g. ``"cn_molecules"``; the theory page of that name defines it.
        species: whom it is about: a species (``"FSI"``), a site (``"FSI:O"``), a class or shell label, or "".
        value: the number.
        error: one standard error, NaN if it cannot be told.
        unit: "1" for a pure number.
        n_effective: number of statistically independent samples behind it.
        degrees_of_freedom: of the error itself, for Student's t; infinite if the number is exact, NaN without an error.
        method: the definition in short, and the doubt in words, for people.
        definition: convention, cut-off and where it came from, without what happened in this run.
        doubt: why the value or its error is missing or not to be relied on, in words; "" if they are sure.
        doubt_kind, doubt_n, doubt_at: the same for programs: one of ``numbers.doubt.Kind``, and its numbers.
    """

    name: str
    species: str
    value: float
    error: float
    unit: str
    n_effective: float
    degrees_of_freedom: float
    method: str
    definition: str
    doubt: str
    doubt_kind: str
    doubt_n: float
    doubt_at: float


#: Columns of the tidy descriptor table. A value is NaN only with a doubt that says why.
DESCRIPTOR_COLUMNS = tuple(column.name for column in fields(Descriptor))


@dataclass(frozen=True)
class TableSchema:
    """The columns of a table, in order.

    Attributes:
        name: of the table.
        columns: name → ``"number"``, ``"text"`` or ``"truth"`` (True, False, or None where nothing was judged). A
            name that ends in ``*`` stands for any number of columns with this beginning, one after the other.
    """

    name: str
    columns: Mapping[str, str]

    def check(self, table: pd.DataFrame) -> None:
        """Refuse a table that is not of this schema.

        Raises:
            ValueError: naming the table, the column and what is wrong with it.
        """
        names = [str(name) for name in table.columns]
        several = lambda key: [n for n in names if n.startswith(key[:-1]) and n not in self.columns]  # noqa: E731
        kinds = {n: kind for key, kind in self.columns.items() for n in (several(key) if key[-1] == "*" else [key])}
        if names != list(kinds):
            missing, unknown = sorted(set(kinds) - set(names)), sorted(set(names) - set(kinds))
            why = [f"lacks {', '.join(missing)}"] if missing else []
            why += [f"has the unknown column {', '.join(unknown)}"] if unknown else []
            raise ValueError(f"the table '{self.name}' {' and '.join(why) or 'has its columns in another order'}")
        for name, kind in kinds.items():
            wrong = [x for x in table[name].tolist() if not _IS[kind](x)]
            if wrong:
                raise ValueError(f"the table '{self.name}' has {wrong[0]!r} in its column '{name}', which is no {kind}")


#: What may stand in a column of each kind.
_IS: dict[str, Callable[[object], bool]] = {
    "number": lambda x: isinstance(x, int | float) and not isinstance(x, bool),
    "text": lambda x: isinstance(x, str),
    "truth": lambda x: x is None or isinstance(x, bool),
}


def descriptor_frame(rows: Sequence[Descriptor]) -> pd.DataFrame:
    """Descriptors as a table with the columns of ``DESCRIPTOR_COLUMNS``."""
    import pandas as pd

    return pd.DataFrame([asdict(row) for row in rows], columns=list(DESCRIPTOR_COLUMNS))


@dataclass(frozen=True, eq=False)
class Described:
    """Everything the report shows about one state point: the descriptors and the tables behind the figures.

    ``tables`` maps a name to a tidy frame (e.g. ``"rdf"``, ``"shells"``, ``"cluster_sizes"``); ``notes`` are
    sentences the reader must see (warnings, fallbacks, verdicts), each with a machine-readable ``topic``;
    ``facts`` are JSON-serialisable: options, centre, frames, provenance; ``schemas`` say what each table looks like.
    """

    descriptors: pd.DataFrame
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    notes: tuple[dict[str, str], ...] = ()
    facts: dict[str, Any] = field(default_factory=dict)
    schemas: Mapping[str, TableSchema] = field(default_factory=dict)

    def notes_on(self, *topics: str) -> list[str]:
        """Texts of the notes on these topics, each once, in order."""
        return list(dict.fromkeys(note["text"] for note in self.notes if note.get("topic") in topics))

    @property
    def verdict(self) -> str:
        """The word of the convergence check on the whole run, its first note; "unknown" if it was not made."""
        found = (note.get("verdict", "unknown") for note in self.notes if note.get("topic") == "convergence")
        return next(found, "unknown")

    def write(self, folder: str | os.PathLike[str], beside: Iterable[Path] = ()) -> None:
        """Write descriptors.parquet and .csv, tables/NAME.csv and, last, described.json (facts and notes).

        In the CSV files words are quoted and numbers are not, so that they are read back as what they were.
        described.json also holds a hash of every file and of itself, so that ``read`` knows a changed one.

        Args:
            folder: of the state point.
            beside: files in it that were written before and belong to it, such as the snapshots.

        Raises:
            ValueError: if a table has no schema, or is not as its schema says.
        """
        folder = Path(folder)
        for name, table in self.tables.items():
            if name not in self.schemas or not re.fullmatch(r"[a-z0-9_]+", name):
                raise ValueError(f"{name!r} is no name of a table")
            self.schemas[name].check(table)
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
        written = [folder / "descriptors.parquet", *(folder / name for name in frames), *beside]
        hashes = {path.relative_to(folder).as_posix(): file_sha256(path) for path in written}
        data = sealed({**self.facts, "notes": list(self.notes), "files": hashes})
        text = json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False)
        write_text(folder / "described.json", text + "\n")

    @classmethod
    def read(
        cls,
        folder: str | os.PathLike[str],
        schemas: Mapping[str, TableSchema],
        tables: Collection[str] | None = None,
    ) -> Described:
        """Read what ``write`` wrote. Numbers of tables come back as float64.

        Args:
            folder: of the state point.
            schemas: of the tables.
            tables: names of the tables to read; all if not given.

        Raises:
            LmbmdError: if a file is missing, is not what it should be, or has changed since it was written. Tables and
                snapshots may be missing.
        """
        import pandas as pd

        folder = Path(folder)
        remedy = "Run the describe stage again."
        what = "description of a state point"
        facts = read_json(folder / "described.json", what=what, remedy=remedy, is_sealed=True)
        try:
            notes = tuple(facts.pop("notes"))
            for name, expected in facts.pop("files").items():
                if (folder / name).is_file() and file_sha256(folder / name) != expected:
                    fault = "the file has changed, or was damaged, since the describe stage wrote it."
                    raise LmbmdError(fault, where=str(folder / name), remedy=remedy)
            descriptors = pd.read_parquet(folder / "descriptors.parquet")[list(DESCRIPTOR_COLUMNS)]
            paths = [p for p in sorted((folder / "tables").glob("*.csv")) if tables is None or p.stem in tables]
            if unknown := [path.stem for path in paths if path.stem not in schemas]:
                raise ValueError(f"there is no table '{unknown[0]}'")
            found = {path.stem: _read_quoted_csv(path, schemas[path.stem]) for path in paths}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException, csv.Error) as error:
            raise LmbmdError(f"this is no {what} ({told(error)}).", where=str(folder), remedy=remedy) from error
        return cls(descriptors, found, notes, facts, schemas)


_WORDS = {"True": True, "False": False, "": None}


def _write_quoted_csv(frame: pd.DataFrame, path: Path) -> None:
    """A CSV file with words (and True, False, and nothing for None) in quotes, and numbers without."""
    plain = lambda x: "" if x is None else str(x) if isinstance(x, bool) else x  # noqa: E731
    columns = [[plain(x) for x in column.tolist()] for _, column in frame.items()]
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
        writer.writerow(frame.columns)
        writer.writerows(zip(*columns, strict=True))


def _read_quoted_csv(path: Path, schema: TableSchema) -> pd.DataFrame:
    """What ``_write_quoted_csv`` wrote, with numbers as float64."""
    import pandas as pd

    with open(path, newline="", encoding="utf-8") as handle:
        rows = csv.reader(handle, quoting=csv.QUOTE_NONNUMERIC)
        columns = next(rows)
        frame = pd.DataFrame(list(rows), columns=columns)
    for name in [n for n in frame if schema.columns.get(n) == "truth"]:
        frame[name] = pd.Series([_WORDS.get(x, x) for x in frame[name]], dtype=object)
    schema.check(frame)
    return frame
