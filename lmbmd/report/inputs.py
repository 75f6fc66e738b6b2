"""What a report is made from, read from a results folder laid out as docs/architecture.md says."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pandas as pd

from lmbmd.analysis.families import schemas
from lmbmd.analysis.features import features
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import check_recorded, damaged, read_json
from lmbmd.core.units import PS_PER_NS
from lmbmd.data.described import Described
from lmbmd.formulation.composition import Composition
from lmbmd.formulation.titles import title_of
from lmbmd.numbers.doubt import Doubt, Kind
from lmbmd.simulate.protocol import RECORD, load_spec, read_record
from lmbmd.study import layout
from lmbmd.study.study import Study

#: The only table that the comparison of all formulations needs beside the descriptors.
COMPARED = ("cutoffs",)

_SIMULATE = "Restore it from a copy, or run the simulate stage again."

#: Columns that simulate writes to state.csv.
STATE_COLUMNS = ("time_ps", "density_g_cm3", "potential_kJ_mol", "temperature_K")


@dataclass(frozen=True, eq=False)
class Replica:
    """One run.

    Attributes:
        number: as its folder is named.
        state, equilibration: the logs of production and of equilibration; None if absent.
        run, spec: what run.json and spec.json say; empty if absent.
    """

    number: int
    state: pd.DataFrame | None = None
    equilibration: pd.DataFrame | None = None
    run: Mapping[str, Any] = field(default_factory=dict)
    spec: Mapping[str, Any] = field(default_factory=dict)

    @property
    def production_ps(self) -> float | None:
        """Length of the production run; None if neither record has it."""
        protocol = self.spec.get("protocol") or {}
        value = self.run.get("production_ns", protocol.get("production_ns"))
        return PS_PER_NS * float(value) if isinstance(value, int | float) else None

    @property
    def settled(self) -> bool | None:
        """Whether equilibration ended stationary; None if it is not recorded."""
        return (self.run.get("equilibration") or {}).get("stationary")

    @property
    def equilibrated(self) -> str:
        """How equilibration ended, in words; "" if it is not recorded."""
        record = self.run.get("equilibration") or {}
        if "stationary" not in record:
            return ""
        time = f"after {record['duration_ps']:g} ps: " if "duration_ps" in record else ""
        return f"{'stationary' if record['stationary'] else 'not stationary'} {time}{record.get('reason', '')}".strip()


@dataclass(frozen=True, eq=False)
class StatePoint:
    """One temperature of one formulation, or one analysis of trajectories of another program.

    Attributes:
        temperature_K: as the folder is named, or as it was told; NaN if nobody told.
        described: descriptors, tables and notes of all replicas together.
        replicas: the runs behind them.
        files: data files a reader may want, relative to the folder of the page.
        snapshots: what was cut out of the trajectory (``analysis.snapshots.records``).
    """

    temperature_K: float
    described: Described
    replicas: tuple[Replica, ...] = ()
    files: tuple[str, ...] = ()
    snapshots: tuple[Mapping[str, Any], ...] = ()

    @property
    def centre(self) -> str:
        """The species whose shells are described; "" if that is not recorded."""
        return str(self.described.facts.get("centre") or "")

    @property
    def label(self) -> str:
        """The temperature as its folder spells it, e.g. ``"298.15K"``; ``"run"`` if it is not known."""
        return layout.point_name(f"{self.temperature_K:g}") if self.at else "run"

    @property
    def at(self) -> str:
        """The temperature as it is printed, e.g. ``"298.15 K"``; "" if it is not known."""
        return f"{self.temperature_K:g} K" if math.isfinite(self.temperature_K) else ""

    def table(self, name: str) -> pd.DataFrame | None:
        """A table behind the figures, or None if it is absent or empty."""
        frame = self.described.tables.get(name)
        return None if frame is None or frame.empty else frame

    def notes(self, *topics: str) -> list[str]:
        """Texts of the notes on these topics, each once, in order."""
        return self.described.notes_on(*topics)


@dataclass(frozen=True, eq=False)
class Results:
    """One formulation with all its state points, lowest temperature first; or one analysis of another program's runs.

    Attributes:
        name: of the formulation's file and folder, or of the analysis' folder.
        composition: the content of composition.json; of an analysis those of its keys that its species map tells.
        state_points: at least one.
        force_field: the parameter set's manifest; empty if it is not known.
        recipe: title, source, notes and assumptions of the formulation file; empty if not known.
        analysed: of an analysis, what was read and what was told of it (``analysis.foreign``); empty for a formulation.
        page: its report, from the folder of a page that lists it; "" for that of a study's results.
    """

    name: str
    composition: Mapping[str, Any]
    state_points: tuple[StatePoint, ...]
    force_field: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, Any] = field(default_factory=dict)
    analysed: Mapping[str, Any] = field(default_factory=dict)
    page: str = ""

    @property
    def title(self) -> str:
        """The recipe's title, or what is in the bottle, or the name if that is not recorded either."""
        return str(self.recipe.get("title") or title_of(self.composition) or self.name)

    @property
    def assumptions(self) -> list[str]:
        """What the recipe assumes beyond its source, one sentence each."""
        return list(dict.fromkeys(map(str, self.recipe.get("assumptions") or ())))

    @property
    def salts(self) -> list[str]:
        """Names of the components that are salts."""
        return [str(i["name"]) for i in self.composition.get("ingredients", ()) if i.get("role") == "salt"]

    @property
    def counts(self) -> dict[str, int]:
        """Molecules of each species in one box."""
        return dict(self.composition.get("counts") or {})

    @property
    def units(self) -> dict[str, int]:
        """The same; of a polymer its repeat units, as amounts count it."""
        chains = self.composition.get("chains") or {}
        return self.counts | {name: sum(map(len, one["sequences"])) for name, one in chains.items()}

    @property
    def roles(self) -> dict[str, str]:
        """Role of each species in this bottle."""
        return dict(self.composition.get("roles") or {})


def feature_table(results: Iterable[Results]) -> pd.DataFrame:
    """The feature table of these formulations (``analysis.features``)."""
    return features(
        (one.name, point.temperature_K, one.composition, point.described)
        for one in results
        for point in one.state_points
    )


def molecules_of(row: pd.Series) -> dict[str, int]:
    """Molecules of each species in the shell that a row of the table ``shells`` describes.

    Read from the columns n_<SPECIES>: the label alone is ambiguous (is ``PF61`` one PF6 or 61 PF?).
    """
    return {str(key)[2:]: int(n) for key, n in row.items() if str(key).startswith("n_") and n > 0}


def doubt_of(row: Any, quantity: str = "") -> Doubt:
    """Why the error of a quantity in a row of a table, or of a descriptor, is missing or not to be relied on.

    None where there is no value: that has its reason elsewhere.
    """
    prefix = f"{quantity}_" if quantity else ""
    kind, n = getattr(row, f"{prefix}doubt_kind", ""), getattr(row, f"{prefix}doubt_n", math.nan)
    return Doubt(Kind(kind), n, getattr(row, f"{prefix}doubt_at", math.nan))


def results_of(
    study: Study, name: str, results: Path, force_field: Mapping[str, Any] | None = None, brief: bool = False
) -> Results:
    """What a study asks for of one formulation: its temperatures, and of each the replicas that were described.

    Args:
        name: of a formulation of the study.
        results: the folder ``results``; what else lies in it is not looked at.
        force_field, brief: as for ``load_results``.

    Raises:
        LmbmdError: as ``load_results`` does.
    """
    folder, temperatures = layout.bottle(results, name), study.temperatures(name)
    return load_results(folder, force_field, study.words(name), brief, temperatures)


def finished_of(study: Study, results: Path) -> list[Results]:
    """What has been described of a study so far, as the comparison shows it: formulations with a state point or more.

    Raises:
        LmbmdError: as ``load_results`` does.
    """
    found = []
    for name in study.names:
        points = [(layout.point(results, name, T), T) for T in study.temperatures(name)]
        if temperatures := [T for folder, T in points if (folder / "described.json").exists()]:
            folder = layout.bottle(results, name)
            found.append(load_results(folder, None, study.words(name), True, temperatures))
    return found


def load_results(
    folder: str | os.PathLike[str],
    force_field: Mapping[str, Any] | None = None,
    recipe: Mapping[str, Any] | None = None,
    brief: bool = False,
    temperatures: Sequence[str] | None = None,
) -> Results:
    """Read ``results/<formulation>/``.

    Args:
        folder: the formulation's folder; its name is the formulation's name.
        force_field: the manifest of the parameter set; without it the report says that it is not known.
        recipe: title, source, notes and assumptions of the formulation file; by default the title that it had when the
            first state point was described.
        brief: read only what the comparison shows: the tables of ``COMPARED``, and no state logs.
        temperatures: which are asked for, in K as they are written in paths; without a study to say so, all that
            have been described.

    Raises:
        LmbmdError: if composition.json or a state point that is asked for is missing, or a file cannot be read. State
            logs, run records and tables may be absent: the report then says so in their place.
    """
    folder = Path(folder)
    path = layout.composition(folder.parent, folder.name)
    if not path.exists():
        remedy = "Run `snakemake`, or the verb that writes it."
        raise LmbmdError("this file is missing.", where=str(path), remedy=remedy)
    Composition.read(path)  # which says what is wrong with it
    found = read_json(path, what="composition", remedy="Run the compose stage again.")
    if temperatures is None:
        described = folder.glob(f"{layout.point_name('*')}/described.json")
        temperatures = [layout.temperature_of(path.parent) for path in described]
    points = [_state_point(layout.point(folder.parent, folder.name, T), folder, float(T), brief) for T in temperatures]
    if not points:
        raise LmbmdError(
            "no state point of this formulation has been described yet.",
            where=str(folder),
            remedy="Run the describe stage first; it writes <temperature>K/described.json.",
        )
    points.sort(key=lambda point: point.temperature_K)
    words = {"title": points[0].described.facts.get("title", "")} if recipe is None else recipe
    return Results(folder.resolve().name, found, tuple(points), dict(force_field or {}), dict(words))


def load_analysis(folder: str | os.PathLike[str], brief: bool = False) -> Results:
    """Read what ``analysis.foreign.analyze`` wrote.

    Args:
        folder: its ``out``.
        brief: as for ``load_results``.

    Raises:
        LmbmdError: if a file is missing or cannot be read, or describes no trajectory of another program.
    """
    folder = Path(folder)
    point = _state_point(folder, folder, math.nan, brief)
    told = point.described.facts.get("analysed")
    if not isinstance(told, Mapping):
        what = "this describes a state point of a study, or was written by an earlier version."
        remedy = "Give a folder that `lmbmd analyze` has written, or run it again."
        raise LmbmdError(what, where=str(folder), remedy=remedy)
    if told["temperature_K"] is not None:
        point = replace(point, temperature_K=float(told["temperature_K"]))
    return Results(folder.resolve().name, told["box"], (point,), recipe={"title": told["title"]}, analysed=told)


def _state_point(folder: Path, page: Path, temperature_K: float, brief: bool) -> StatePoint:
    """What lies in a folder; ``page`` is the folder of the page that will link to its files."""
    described = Described.read(folder, schemas(), COMPARED if brief else None)
    # Those that the numbers are of: more may lie here, from when the study asked for more.
    replicas = range(1, len(described.facts.get("replicas", ())) + 1)
    return StatePoint(
        temperature_K=temperature_K,
        described=described,
        replicas=tuple(_replica(number, layout.replica_of(folder, number), brief) for number in replicas),
        files=tuple(path.relative_to(page).as_posix() for path in _data_files(folder, replicas)),
        snapshots=_snapshots(folder / "snapshots" / "snapshots.json"),
    )


def _replica(number: int, folder: Path, brief: bool) -> Replica:
    logs = (None, None) if brief else (_state(folder / "state.csv"), _state(folder / "equilibration.csv"))
    record, path = folder / RECORD, folder / "spec.json"
    run = read_record(record) if record.exists() else {}
    spec = load_spec(path).to_dict() if path.exists() else {}
    return Replica(number, *logs, run, spec)


def _state(path: Path) -> pd.DataFrame | None:
    """The state log; None if there is none."""
    if not path.exists():
        return None
    check_recorded(path, RECORD, _SIMULATE)
    try:
        log = pd.read_csv(path, dtype=float)
    except (OSError, ValueError, OverflowError) as error:
        raise damaged(path, "state log", error, _SIMULATE) from error
    if missing := [column for column in STATE_COLUMNS if column not in log.columns]:
        raise LmbmdError(f"this state log lacks {', '.join(missing)}.", where=str(path), remedy=_SIMULATE)
    return None if log.empty else log


def _data_files(folder: Path, replicas: Iterable[int]) -> list[Path]:
    """Data files of a state point; those of the only run of an analysis are not in a folder of their own."""
    of_run = "state.csv equilibration.csv run.json spec.json trajectory.* final.pdb contacts.arrow rdf.npz".split()
    patterns = [
        "atoms.parquet",
        "contacts.arrow",
        "rdf.npz",
        "descriptors.*",
        "described.json",
        "tables/*.csv",
        "snapshots/[!.]*",
        *(f"{layout.replica_of(Path(), number)}/{name}" for name in of_run for number in replicas),
    ]
    return [path for pattern in patterns for path in sorted(folder.glob(pattern))]


def _snapshots(path: Path) -> tuple[Mapping[str, Any], ...]:
    """The records of the snapshots; none if there are none."""
    if not path.exists():
        return ()
    try:
        records = json.loads(path.read_text("utf-8"))
        if not isinstance(records, list):
            raise ValueError("they are no list")
        for record in records:
            if not isinstance(record["charge_e"], int | None):
                raise ValueError(f"the charge of {record['name']} is no whole number")
            atoms = len(record["element"])
            places = [len(x) == 3 for x in record["xyz_A"] if all(map(math.isfinite, x))]
            if places != [True] * atoms or sum(int(n) for _, n in record["species"]) != atoms:
                raise ValueError(f"the atoms of {record['name']} do not add up")
            if any(not 0 <= k < atoms for pair in record["contacts"] for k in pair):
                raise ValueError(f"a contact of {record['name']} is with no atom")
            if any(not 0 <= k < atoms for pair in record["bonds"] or () for k in pair):
                raise ValueError(f"a bond of {record['name']} is with no atom")
    except (OSError, KeyError, TypeError, ValueError, IndexError, OverflowError, RecursionError) as error:
        raise damaged(path, "list of snapshots", error, "Run the describe stage again.") from error
    return tuple(records)
