"""What an uncertain cut-off adds to the errors of the numbers that are counted within it.

Theory: docs/theory/cutoffs.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lmbmd.analysis.family import Account
from lmbmd.data.described import Descriptor

#: The same family's accounts with one cut-off moved inwards and outwards by its standard error.
Moved = Sequence[tuple[Account, Account]]


def with_radius_errors(account: Account, moved: Moved, told: str) -> Account:
    """An account whose errors include those of the cut-offs.

    A number x that changes from x₋ to x₊ as one cut-off is moved by its standard error has an error of (x₊ − x₋)/2 from
    it; those of all uncertain cut-offs and the statistical error are added as independent, σ² = σ₀² + Σ (x₊ − x₋)²/4. A
    number without a statistical error keeps none, one that is exact or not defined in both stays as it is. The degrees
    of freedom are Welch's, the errors of cut-offs taken as known: ν σ⁴/σ₀⁴.

    Args:
        account: as it is.
        moved: one pair of accounts per uncertain cut-off; a class or shell that one lacks has a share of zero there.
        told: which cut-offs these are, for the method of a descriptor.
    """
    if not moved:
        return account
    tables = {
        name: _widened(table, [(low.tables[name], high.tables[name]) for low, high in moved])
        for name, table in account.tables.items()
    }
    values = [tuple({(row.name, row.species): row.value for row in one.rows} for one in pair) for pair in moved]
    return Account([_row(row, values, told) for row in account.rows], tables, account.notes)


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
