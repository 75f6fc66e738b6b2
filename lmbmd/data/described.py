"""What is said about a state point: descriptors with their errors, tables, notes; and the files that hold them."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import replacing, write_text

if TYPE_CHECKING:  # at run time it is imported where it is needed: stages that describe nothing start faster
    import pandas as pd

#: Columns of the tidy descriptor table. A value is NaN only with a reason in ``method``.
DESCRIPTOR_COLUMNS = ("name", "species", "value", "error", "unit", "n_effective", "degrees_of_freedom", "method")


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
        degrees_of_freedom: of the error itself, for Student's t; infinite if the number is exact, NaN without an error.
        method: the definition in short: convention, cut-off and where it came from.
    """

    name: str
    species: str
    value: float
    error: float
    unit: str
    n_effective: float
    degrees_of_freedom: float
    method: str


def descriptor_frame(rows: Sequence[Descriptor]) -> pd.DataFrame:
    """Descriptors as a table with the columns of ``DESCRIPTOR_COLUMNS``."""
    import pandas as pd

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

    def notes_on(self, *topics: str) -> list[str]:
        """Texts of the notes on these topics, each once, in order."""
        return list(dict.fromkeys(note["text"] for note in self.notes if note.get("topic") in topics))

    @property
    def verdict(self) -> str:
        """The word of the convergence check on the whole run, its first note; "unknown" if it was not made."""
        found = (note.get("verdict", "unknown") for note in self.notes if note.get("topic") == "convergence")
        return next(found, "unknown")

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
    def read(cls, folder: str | os.PathLike[str], tables: Collection[str] | None = None) -> Described:
        """Read what ``write`` wrote. Numbers of tables come back as float64.

        Args:
            folder: of the state point.
            tables: names of the tables to read; all if not given.

        Raises:
            LmbmdError: if a file is missing or is not what it should be.
        """
        import pandas as pd

        folder = Path(folder)
        try:
            facts = json.loads((folder / "described.json").read_text("utf-8"))
            notes = tuple(facts.pop("notes"))
            descriptors = pd.read_parquet(folder / "descriptors.parquet")[list(DESCRIPTOR_COLUMNS)]
            paths = [p for p in sorted((folder / "tables").glob("*.csv")) if tables is None or p.stem in tables]
            found = {path.stem: _read_quoted_csv(path) for path in paths}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, pa.ArrowException, csv.Error) as error:
            raise LmbmdError(
                f"this is no description of a state point ({error}).",
                where=str(folder),
                remedy="Run the describe stage again.",
            ) from error
        return cls(descriptors, found, notes, facts)


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
    import pandas as pd

    with open(path, newline="", encoding="utf-8") as handle:
        rows = csv.reader(handle, quoting=csv.QUOTE_NONNUMERIC)
        columns = next(rows)
        frame = pd.DataFrame(list(rows), columns=columns)
    for name, column in frame.items():
        found = set(column.tolist())
        if found & {"True", "False"} and found <= set(_WORDS):
            frame[name] = pd.Series([_WORDS[x] for x in column], dtype=object)
    return frame
