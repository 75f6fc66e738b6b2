"""What a report is made from, read from a results folder laid out as docs/architecture.md says."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import yaml

from lmbmd.errors import LmbmdError
from lmbmd.tables import DESCRIPTOR_COLUMNS, Described

#: Columns that a table must have to be drawn. Any table may be absent; further columns are allowed.
TABLE_COLUMNS: dict[str, tuple[str, ...]] = {
    "rdf": ("centre", "partner", "r_A", "g", "g_error", "cn"),
    "cutoffs": ("centre", "partner", "cutoff_A", "rule"),
    "cn": ("centre", "species", "site", "value", "error"),
    "cn_histogram": ("species", "n", "fraction", "error"),
    "shells": ("rank", "label", "fraction", "error"),
    "speciation": ("convention", "cls", "fraction", "error"),
    "ion_histogram": ("convention", "species", "n", "fraction", "error"),
    "solvent_states": ("species", "free", "bound", "bridging"),
    "sensitivity": ("quantity", "cutoff_shift_A", "value", "error"),
    "timeseries": ("replica", "time_ps", "quantity", "value"),
    "cluster_sizes": ("n_ions", "clusters_per_frame", "ion_fraction", "error"),
    "cluster_population": ("n_centres", "n_anions", "per_frame"),
    "cluster_charge": ("charge_e", "per_frame"),
    "cipa": ("criterion", "value", "error", "unit", "null", "null_sd", "z", "threshold", "direction", "met"),
    "residence": ("centre", "partner", "correlation", "tau_ps", "error", "outcome"),
    "residence_curves": ("partner", "correlation", "t_ps", "c", "c_error"),
    "composition": ("component", "quantity", "asked", "realised", "simulated", "error", "unit"),
}

#: Columns of words, which stay words even where all of them are empty or look like numbers.
TEXT_COLUMNS = frozenset(
    "centre partner rule species site label convention cls quantity criterion unit direction met correlation outcome "
    "component".split()
)

#: Columns that simulate writes to state.csv.
STATE_COLUMNS = ("time_ps", "density_g_cm3", "potential_kJ_mol", "temperature_K")


@dataclass(frozen=True, eq=False)
class Replica:
    """One run: its number, the state log (None if absent) and what run.json says (empty if absent)."""

    number: int
    state: pd.DataFrame | None = None
    run: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class StatePoint:
    """One temperature of one formulation.

    Attributes:
        temperature_K: as the folder is named.
        described: descriptors, tables and notes of all replicas together.
        replicas: the runs behind them.
        details: the rest of described.json (options, hashes of inputs).
        files: data files a reader may want, relative to the formulation's folder.
    """

    temperature_K: float
    described: Described
    replicas: tuple[Replica, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)
    files: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """The temperature as its folder spells it, e.g. ``"298.15K"``."""
        return f"{self.temperature_K:g}K"

    def table(self, name: str) -> pd.DataFrame | None:
        """A table behind the figures, or None if it is absent or empty.

        Raises:
            LmbmdError: if a column is missing.
        """
        frame = self.described.tables.get(name)
        if frame is None or frame.empty:
            return None
        missing = [column for column in TABLE_COLUMNS[name] if column not in frame.columns]
        if missing:
            raise LmbmdError(
                f"the table '{name}' has no column {', '.join(repr(column) for column in missing)}.",
                where=f"{self.label}/tables/{name}.csv",
                remedy="Run the describe stage again with this version of lmbmd.",
            )
        return frame

    def notes(self, *topics: str) -> list[str]:
        """Texts of the notes on these topics, each once, in order."""
        return list(dict.fromkeys(note["text"] for note in self.described.notes if note.get("topic") in topics))


@dataclass(frozen=True, eq=False)
class Results:
    """One formulation with all its state points, lowest temperature first.

    ``composition`` is the content of composition.json; ``force_field`` that of the parameter set's manifest.
    """

    name: str
    composition: Mapping[str, Any]
    state_points: tuple[StatePoint, ...]
    force_field: Mapping[str, Any] = field(default_factory=dict)

    @property
    def title(self) -> str:
        return str(self.composition.get("title") or self.name)

    @property
    def counts(self) -> dict[str, int]:
        """Molecules of each species in one box."""
        return dict(self.composition.get("counts") or {})

    @property
    def roles(self) -> dict[str, str]:
        """Role of each species in this bottle."""
        return dict(self.composition.get("roles") or {})


def molecules_of(row: pd.Series) -> dict[str, int]:
    """Molecules of each species in the shell that a row of the table ``shells`` describes.

    Read from the columns n_<SPECIES>: the label alone is ambiguous (is ``PF61`` one PF6 or 61 PF?).
    """
    return {str(key)[2:]: int(n) for key, n in row.items() if str(key).startswith("n_") and n > 0}


def load_results(folder: str | os.PathLike[str], force_field: Mapping[str, Any] | None = None) -> Results:
    """Read ``results/<formulation>/``.

    Args:
        folder: the formulation's folder; its name is the formulation's name.
        force_field: the manifest of the parameter set; without it the report says that it is not known.

    Raises:
        LmbmdError: if composition.json or every state point is missing, or a file cannot be read. State logs,
            run records and tables may be absent: the report then says so in their place.
    """
    folder = Path(folder)
    composition = _json(folder / "composition.json", required=True)
    points = [_state_point(path.parent) for path in sorted(folder.glob("*K/described.json"))]
    if not points:
        raise LmbmdError(
            "no state point of this formulation has been described yet.",
            where=str(folder),
            remedy="Run the describe stage first; it writes <temperature>K/described.json.",
        )
    points.sort(key=lambda point: point.temperature_K)
    return Results(folder.resolve().name, composition, tuple(points), dict(force_field or {}))


def _state_point(folder: Path) -> StatePoint:
    header = dict(_json(folder / "described.json", required=True))
    notes = tuple(header.pop("notes", ()))
    tables = {path.stem: _csv(path) for path in sorted((folder / "tables").glob("*.csv"))}
    replicas = sorted((int(path.name[1:]), path) for path in folder.glob("r*") if path.name[1:].isdigit())
    return StatePoint(
        temperature_K=float(folder.name.removesuffix("K")),
        described=Described(_descriptors(folder), tables, notes),
        replicas=tuple(_replica(number, path) for number, path in replicas),
        details=header,
        files=tuple(_data_files(folder)),
    )


def _replica(number: int, folder: Path) -> Replica:
    log = folder / "state.csv"
    return Replica(number, _csv(log) if log.is_file() else None, _json(folder / "run.json"))


def _descriptors(folder: Path) -> pd.DataFrame:
    path = folder / "descriptors.parquet"
    try:
        return pd.read_parquet(path)[list(DESCRIPTOR_COLUMNS)]
    except (OSError, pa.ArrowException, KeyError) as error:
        raise LmbmdError(
            f"this is no descriptor table ({error}).", where=str(path), remedy="Run the describe stage again."
        ) from error


def _data_files(folder: Path) -> list[str]:
    """Data files of a state point, relative to the formulation's folder."""
    patterns = ("descriptors.*", "described.json", "tables/*.csv", "r*/state.csv", "r*/run.json", "r*/spec.json",
                "r*/trajectory.*", "r*/final.pdb", "r*/contacts.arrow", "r*/rdf.npz")  # fmt: skip
    found = [path for pattern in patterns for path in sorted(folder.glob(pattern))]
    return [path.relative_to(folder.parent).as_posix() for path in found]


def _csv(path: Path) -> pd.DataFrame:
    """Numbers become numbers; words such as a species called NO3 or a class called "none" stay words."""
    try:
        frame = pd.read_csv(path, keep_default_na=False, na_values={}, dtype=str)
    except pd.errors.EmptyDataError:
        return pd.DataFrame()
    except (OSError, ValueError) as error:
        raise LmbmdError(f"this table cannot be read ({error}).", where=str(path)) from error
    return frame.apply(_typed)


def _typed(column: pd.Series) -> pd.Series:
    """Text columns as text; any other as float64 where each entry is a number, ``nan`` or empty."""
    blank = column.str.lower().isin(("", "nan"))
    numbers = pd.to_numeric(column.mask(blank), errors="coerce")
    return column if column.name in TEXT_COLUMNS or numbers[~blank].isna().any() else numbers.astype(float)


def _json(path: Path, *, required: bool = False) -> Mapping[str, Any]:
    try:
        return json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        if not required:
            return {}
        raise LmbmdError("this file is missing.", where=str(path), remedy="Run the stage that writes it.") from error
    except (OSError, ValueError) as error:
        raise LmbmdError(
            f"this file cannot be read ({error}).", where=str(path), remedy="Delete it and run its stage again."
        ) from error


def load_manifest(path: str | os.PathLike[str]) -> dict[str, Any]:
    """A parameter set's manifest.yaml.

    Raises:
        LmbmdError: if it is missing or is no YAML mapping.
    """
    try:
        manifest = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, yaml.YAMLError) as error:
        raise LmbmdError(f"this manifest cannot be read ({error}).", where=str(path)) from error
    if not isinstance(manifest, dict):
        raise LmbmdError("this manifest is no YAML mapping.", where=str(path))
    return manifest
