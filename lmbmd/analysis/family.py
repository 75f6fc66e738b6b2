"""What a family of descriptors is: folds over frames, and an account of what they found.

The families are listed in ``lmbmd.analysis.families``; how to add one is in docs/add_a_descriptor.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import pandas as pd

from lmbmd.analysis.dynamics.segments import Segment
from lmbmd.analysis.first_shell import FirstShell
from lmbmd.analysis.options import DescribeOptions
from lmbmd.analysis.scattering.asked import AskedScattering
from lmbmd.analysis.shells.cutoffs import Cutoff, Cutoffs
from lmbmd.core.units import PS_PER_NS
from lmbmd.data.atoms import AtomTable
from lmbmd.data.described import Descriptor
from lmbmd.data.frames import Frame
from lmbmd.data.rdf import Rdf
from lmbmd.numbers.doubt import Doubt, Kind, described
from lmbmd.quantum.run import Energies

Result = TypeVar("Result", covariant=True)
#: A quantity frame by frame: one array per replica.
Series = Sequence[np.ndarray]


class Fold(Protocol[Result]):
    """What is counted over the frames of one replica."""

    def add(self, shell: FirstShell) -> None:
        """Add the next frame."""

    def result(self) -> Result:
        """What was found in the frames added so far."""


class Recipe(Protocol):
    """What is needed of a composition: see ``lmbmd.formulation.composition.Composition``."""

    @property
    def asked_realised(self) -> Sequence[Any]: ...

    def quantities(self, volume_A3: float | None = None) -> list[tuple[str, str, float, str]]: ...


@dataclass(frozen=True, eq=False)
class Setting:
    """What is known of a state point before its first frame is read; all replicas share it.

    Attributes:
        atoms: who the atoms are.
        centre: the species whose shells are described.
        options: what was chosen.
        rdfs: one per replica.
        cutoffs: first-shell cut-offs of every centre and site.
        second: edges of the second shell round the primary centre.
        n_frames: frames of each replica.
        recipe: what was asked for, if known.
        segments: where motion is read from: one for each replica of families that are ``of_motion``.
        scattering: what the scattering stage found, if it was asked for.
        energies: what the quantum stage found of each replica, if it was asked for.
        sample: whole frames that were kept of the first replica.
    """

    atoms: AtomTable
    centre: str
    options: DescribeOptions
    rdfs: tuple[Rdf, ...]
    cutoffs: Cutoffs
    second: tuple[Cutoff, ...]
    n_frames: tuple[int, ...]
    recipe: Recipe | None = None
    segments: tuple[Segment, ...] = ()
    scattering: AskedScattering | None = None
    energies: tuple[Energies, ...] = ()
    sample: Iterable[Frame] = ()

    @property
    def shifts_A(self) -> tuple[float, float]:
        """By how much all cut-offs are moved for the sensitivity table."""
        return -self.options.cutoff_shift_A, self.options.cutoff_shift_A


@dataclass(frozen=True, eq=False)
class Findings:
    """What the folds found in all frames of all replicas.

    Attributes:
        setting: what was known before.
        time_ps, volume_A3: of each frame, one array per replica.
        folds: (class of the fold, shift of the cut-offs in Å) → the finished folds, one per replica.
    """

    setting: Setting
    time_ps: tuple[np.ndarray, ...]
    volume_A3: tuple[np.ndarray, ...]
    folds: Mapping[tuple[type, float], Sequence[Any]]
    _results: dict[tuple[type, float], list] = field(default_factory=dict, repr=False)

    def of(self, fold: type[Fold[Result]], shift_A: float = 0.0) -> list[Result]:
        """The results of a fold, one per replica; with moved cut-offs for families that are ``shifted``."""
        key = fold, shift_A
        if key not in self._results:
            self._results[key] = [one.result() for one in self.folds[key]]
        return self._results[key]

    @property
    def sampled_ns(self) -> tuple[float, ...]:
        """Time between the first and the last frame of each replica."""
        return tuple((time[-1] - time[0]) / PS_PER_NS for time in self.time_ps)


@dataclass(frozen=True, eq=False)
class Account:
    """What a family says about a state point.

    Attributes:
        rows: of the descriptor table.
        tables: behind the figures; their columns are those of the family's schema.
        notes: what a reader must see, each with a ``topic`` and a ``text``.
    """

    rows: Sequence[Descriptor] = ()
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    notes: Sequence[dict[str, str]] = ()


@dataclass(frozen=True, eq=False)
class Family:
    """A family of descriptors.

    Its tables' columns and the page's definitions are in the YAML file beside its account.

    Attributes:
        account: from findings to rows, tables and notes.
        folds: class of each fold → how to begin it, from the setting and the replica's number (from 1).
        of_motion: whether it is about motion, and its folds are fed the transport segments where there are any: its
            findings then have one result for each segment.
        shifted: whether the folds are also fed first shells with moved cut-offs, each shift by itself.
        radius_errors: whether its descriptors, and if ``shifted`` its tables, are counted again with each uncertain
            cut-off moved, so that their errors include that of the cut-off; None for one that no first shell is in.
        series: quantities to be watched over time.
        sensitive: quantities to be counted again with all cut-offs moved by a shift in Å (0: as they are).
    """

    account: Callable[[Findings], Account]
    folds: Mapping[type, Callable[[Setting, int], Fold]] = field(default_factory=dict)
    of_motion: bool = False
    shifted: bool = False
    radius_errors: bool | None = None
    series: Callable[[Findings], Mapping[str, Series]] = lambda found: {}
    sensitive: Callable[[Findings, float], Mapping[str, Series]] = lambda found, shift_A: {}


#: The same family's accounts with one cut-off moved inwards and outwards by its standard error.
Moved = Sequence[tuple[Account, Account]]


def with_radius_errors(account: Account, moved: Moved, told: str, *, tables: bool = True) -> Account:
    """An account whose errors include those of the cut-offs.

    A number x that changes from x₋ to x₊ as one cut-off is moved by its standard error has an error of (x₊ − x₋)/2 from
    it; those of all uncertain cut-offs and the statistical error are added as independent, σ² = σ₀² + Σ (x₊ − x₋)²/4. A
    number without a statistical error keeps none, one that is exact or not defined in both stays as it is. The degrees
    of freedom are Welch's, the errors of cut-offs taken as known: ν σ⁴/σ₀⁴.

    Args:
        account: as it is.
        moved: one pair of accounts per uncertain cut-off; a class or shell that one lacks has a share of zero there.
        told: which cut-offs these are, for the method of a descriptor.
        tables: whether the errors in the tables, too.
    """
    if not moved:
        return account
    widened = {
        name: _widened(table, [(low.tables[name], high.tables[name]) for low, high in moved]) if tables else table
        for name, table in account.tables.items()
    }
    values = [tuple({(row.name, row.species): row.value for row in one.rows} for one in pair) for pair in moved]
    return Account([_row(row, values, told) for row in account.rows], widened, account.notes)


def without_radius_errors(account: Account, told: str) -> Account:
    """An account whose descriptors say that their errors leave out those of the cut-offs; ``told`` says of which."""
    found = Doubt(Kind.WITHOUT_CUTOFF, of=told)

    def row(one: Descriptor) -> Descriptor:
        if not one.error > 0 or one.doubt_kind:
            return one
        return described(
            *(one.name, one.species, one.value, one.error, one.unit, one.n_effective),
            *(one.degrees_of_freedom, one.definition, found),
        )

    return replace(account, rows=[row(one) for one in account.rows]) if told else account


def _row(row: Descriptor, values: Sequence[tuple[Mapping, ...]], told: str) -> Descriptor:
    key = row.name, row.species
    added = _added([(low.get(key, 0.0), high.get(key, 0.0)) for low, high in values])
    if not (added > 0 and row.error > 0):
        return row
    error = float(np.hypot(row.error, added))
    freedom = row.degrees_of_freedom * (error / row.error) ** 4
    method = f"{row.method}; the error includes that of the cut-off of {told}"
    return replace(row, error=error, degrees_of_freedom=freedom, method=method)


def _added(pairs: Sequence[tuple[Any, Any]]) -> Any:
    """Root of the sum of the squares of half the differences; what is not defined adds nothing."""
    half = [np.nan_to_num((np.asarray(high, float) - np.asarray(low, float)) / 2) for low, high in pairs]
    return np.sqrt(np.sum(np.square(half), axis=0))


def _widened(table: pd.DataFrame, moved: Sequence[tuple[pd.DataFrame, pd.DataFrame]]) -> pd.DataFrame:
    """A table with wider errors; rows are known by what they are about."""
    found = table.copy()
    errors = [name for name in table.columns if name == "error" or str(name).endswith("_error")]
    values = {error: _value_of(str(error), table) for error in errors}
    of_result = {*errors, *values.values(), "rank"}
    keys = [name for name in table.columns if name not in of_result and "doubt" not in str(name)]
    for error, value in values.items():
        of = [[one.set_index(keys)[value] for one in pair] for pair in moved]
        index = table.set_index(keys).index
        pairs = [tuple(one.reindex(index, fill_value=0.0).to_numpy() for one in pair) for pair in of]
        found[error] = np.hypot(table[error], _added(pairs))
    return found


def _value_of(error: str, table: pd.DataFrame) -> str:
    """The column whose errors stand in another."""
    stem = error.removesuffix("error").removesuffix("_")
    return stem or next(name for name in ("value", "fraction") if name in table.columns)
