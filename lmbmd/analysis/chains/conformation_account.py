"""Descriptors and the table of the shapes of chains, over all replicas of a state point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from lmbmd.analysis.chains.conformation import ShapeResult, Shapes
from lmbmd.analysis.family import Account, Family, Findings, Series
from lmbmd.data.described import Descriptor
from lmbmd.numbers.doubt import COLUMNS as DOUBT
from lmbmd.numbers.doubt import SURE, Doubt, Kind, described, descriptor, doubt, told
from lmbmd.numbers.estimate import Estimate, estimate_mean, estimate_ratio

#: What is left of the direction of a chain where its persistence length is known.
FORGOTTEN = float(np.exp(-1.0))


def conformation_account(results: Sequence[Sequence[ShapeResult]]) -> Account:
    """What ``Shapes`` found: descriptors and the table ``chain_stretches``.

    Args:
        results: for each replica, one for each kind of chain; at least one kind.
    """
    rows: list[Descriptor] = []
    tables: list[pd.DataFrame] = []
    for of_kind in zip(*results, strict=True):
        rows += _descriptors(of_kind)
        tables.append(_stretches(of_kind))
    return Account(rows, {"chain_stretches": pd.concat(tables, ignore_index=True)})


def _root(square: Estimate) -> Estimate:
    """√⟨x²⟩ of the estimate of a mean square."""
    value = float(np.sqrt(square.value)) if square.value >= 0 else float("nan")
    return replace(square, value=value, error=0.5 * square.error / value if value > 0 else float("nan"))


def _descriptors(results: Sequence[ShapeResult]) -> list[Descriptor]:
    first = results[0]
    with_ends, name = int((first.n_units > 1).sum()), first.chain
    alone = Doubt(Kind.ONE_UNIT, of=name)
    no_bonds = lambda of: of if with_ends else [np.full(len(x), np.nan) for x in of]  # noqa: E731
    end = estimate_mean(no_bonds([r.end_square_A2 / max(with_ends, 1) for r in results]))
    gyration = estimate_mean([r.gyration_square_A2 / r.n_chains for r in results])
    bonds = max(int(first.n_pairs[0]), 1)
    bond = estimate_mean(no_bonds([r.bond_square_A2 / bonds for r in results]))
    # Of chains of several lengths each counts with its number of bonds.
    stiff = estimate_ratio(no_bonds([r.end_square_A2 for r in results]), [r.bond_square_A2 for r in results])
    shape = estimate_ratio(
        no_bonds([r.end_square_A2 / max(with_ends, 1) for r in results]),
        [r.gyration_square_A2 / r.n_chains for r in results],
    )
    rows = [
        descriptor(
            "end_to_end_A", name, _root(end), "Å", "√⟨|r_N − r_1|²⟩, mass centres of the first and last unit", alone
        ),
        descriptor(
            "radius_of_gyration_A", name, _root(gyration), "Å", "√⟨R_g²⟩ of all atoms of a chain, weighted by mass"
        ),
        descriptor("unit_distance_A", name, _root(bond), "Å", "√⟨b²⟩, mass centres of neighbouring units", alone),
        descriptor("characteristic_ratio", name, stiff, "1", "Σ|r_N − r_1|² / Σ(N − 1)⟨b²⟩; 1: freely jointed", alone),
        descriptor("chain_shape_ratio", name, shape, "1", "⟨|r_N − r_1|²⟩ / ⟨R_g²⟩; 6: long ideal chains", alone),
    ]
    length, why = _persistence(results)
    method = "Σ ⟨b̂_i · b_(i+s)⟩ over s from 0 to where it is first not positive, b_i between mass centres of units"
    if np.isnan(length.value):
        why = why or alone
        rows.append(described("persistence_length_A", name, *_nothing(), method, why))
    else:
        rows.append(descriptor("persistence_length_A", name, length, "Å", method))
    return rows


def _nothing() -> tuple[float, float, str, float, float]:
    nothing = float("nan")
    return nothing, nothing, "Å", 0.0, nothing


def _persistence(results: Sequence[ShapeResult]) -> tuple[Estimate, Doubt]:
    """The persistence length, or why there is none: chains too short for their direction to be forgotten."""
    pairs = results[0].n_pairs
    known = int((pairs > 0).sum())
    nothing = Estimate(float("nan"), float("nan"), 0.0)
    if not known:
        return nothing, SURE
    frames = sum(len(r.projection_A) for r in results)
    mean = sum(r.projection_A.sum(axis=0) for r in results)[:known] / pairs[:known] / frames
    past = np.flatnonzero(mean <= 0.0)
    upto = int(past[0]) if len(past) else known
    if not len(past) and mean[-1] > FORGOTTEN * mean[0]:
        return nothing, Doubt(Kind.STIFF, n=float(mean[-1] / mean[0]), at=float(known))
    series = [(r.projection_A[:, :upto] / pairs[:upto]).sum(axis=1) for r in results]
    return estimate_mean(series), SURE


def _stretches(results: Sequence[ShapeResult]) -> pd.DataFrame:
    """How far apart units of one chain are, and what of the direction is left, by their distance along it."""
    rows, pairs = [], results[0].n_pairs
    for s in np.flatnonzero(pairs):
        far = estimate_mean([r.stretch_square_A2[:, s] / pairs[s] for r in results])
        bonds = [r.projection_A[:, 0] * pairs[s] / pairs[0] for r in results]
        left = estimate_ratio([r.projection_A[:, s] for r in results], bonds)
        rows.append((results[0].chain, s + 1, far.value, far.error, s, left.value, left.error, *told(doubt(far))))
    columns = ["chain", "units_apart", "stretch_square_A2", "stretch_square_A2_error", "bonds_apart"]
    return pd.DataFrame(rows, columns=[*columns, "cosine", "cosine_error", *DOUBT])


def _series(found: Findings) -> dict[str, Series]:
    """Sizes of the chains, which change slowest of all: root of the mean square in each frame."""
    if not found.setting.atoms.chains:
        return {}
    results = found.of(Shapes)
    return {
        f"radius of gyration of {one.chain}": [np.sqrt(r[k].gyration_square_A2 / r[k].n_chains) for r in results]
        for k, one in enumerate(results[0])
    }


def _account(found: Findings) -> Account:
    return conformation_account(found.of(Shapes)) if found.setting.atoms.chains else Account()


FAMILY = Family(
    account=_account,
    folds={Shapes: lambda setting, replica: Shapes(setting.atoms)},
    series=_series,
)
