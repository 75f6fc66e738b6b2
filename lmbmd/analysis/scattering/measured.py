"""A measured curve from a CSV file, checked, and how far the computed one is from it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmbmd.analysis.scattering.curves import Curve
from lmbmd.analysis.scattering.options import MeasuredCurve
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import told
from lmbmd.core.units import ANGSTROM_PER_NM

#: Where the last q of a measurement on a liquid is, 1/Å: a curve outside is in another unit.
LAST_PER_A = (0.2, 60.0)
#: Points within the computed range, below which a curve says nothing.
LEAST_POINTS = 5
_MOST_BYTES = 10_000_000


@dataclass(frozen=True, eq=False)
class Measured:
    """One measured curve.

    Attributes:
        said: what the study says of it.
        name: of its file.
        q_per_A, value, error: (n,), in order of q; errors NaN where there are none.
    """

    said: MeasuredCurve
    name: str
    q_per_A: np.ndarray
    value: np.ndarray
    error: np.ndarray


def read_measured(said: MeasuredCurve, folder: str | os.PathLike[str]) -> Measured:
    """Read and check a measured curve.

    Args:
        said: what the study says of it.
        folder: from which its file is named.

    Raises:
        LmbmdError: if the file is missing, is no table of numbers, or its q are not in the unit that is stated.
    """
    path = Path(folder) / said.file
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES // 1_000_000} MB")
        rows = _numbers(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as fault:
        raise LmbmdError(
            f"this is no measured curve ({told(fault)}).",
            where=str(path),
            remedy="Give a CSV file of two or three columns of numbers: q, the value and, if known, its error.",
        ) from fault
    q = rows[:, 0] / (ANGSTROM_PER_NM if said.q_unit == "1/nm" else 1.0)
    if not LAST_PER_A[0] <= q.max() <= LAST_PER_A[1]:
        other = "1/Å" if said.q_unit == "1/nm" else "1/nm"
        raise LmbmdError(
            f"q ends at {rows[:, 0].max():g} {said.q_unit}, which is not between {LAST_PER_A[0]:g} and "
            f"{LAST_PER_A[1]:g} 1/Å, as for a measurement on a liquid.",
            where=str(path),
            remedy=f"Is q in {other}? Then say 'q_unit: {other}'.",
        )
    order = np.argsort(q)
    error = rows[:, 2] if rows.shape[1] > 2 else np.full(len(q), np.nan)
    return Measured(said, path.name, q[order], rows[order, 1], error[order])


def _numbers(text: str) -> np.ndarray:
    """(n, 2 or 3) numbers of a CSV text; lines that begin with # and one line of headings are left out."""
    lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    split = [[cell.strip() for cell in (line.split(",") if "," in line else line.split())] for line in lines]
    if split and not _is_number(split[0][0]):
        split = split[1:]
    if len(split) < LEAST_POINTS:
        raise ValueError(f"it has {len(split)} rows of numbers, fewer than {LEAST_POINTS}")
    width = len(split[0])
    if width not in (2, 3) or any(len(row) != width for row in split):
        raise ValueError("its rows do not all have two, or all have three columns")
    rows = np.array([[float(cell) for cell in row] for row in split])
    if not np.isfinite(rows).all() or (rows[:, 0] <= 0).any():
        raise ValueError("a number is not finite, or a q is not above zero")
    return rows


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True, eq=False)
class Beside:
    """A measured curve and the computed one at its q.

    Attributes:
        measured: as it was read, within the computed range.
        computed: (n,) at its q, times ``scale``.
        scale: of an intensity, the factor with the least squares; 1 of a structure factor.
        r_factor: Σ |measured − computed| / Σ |measured|, of a structure factor over Σ |measured − 1|.
    """

    measured: Measured
    computed: np.ndarray
    scale: float
    r_factor: float


def beside(measured: Measured, curve: Curve) -> Beside:
    """Lay a computed curve beside a measured one: the intensity, or the Faber–Ziman structure factor.

    Raises:
        LmbmdError: if they overlap in fewer than ``LEAST_POINTS`` points, or there is nothing to compare.
    """
    known = np.isfinite(curve.value)
    q, value = curve.q_per_A[known], curve.value[known]
    inside = (measured.q_per_A >= q.min(initial=np.inf)) & (measured.q_per_A <= q.max(initial=-np.inf))
    if inside.sum() < LEAST_POINTS:
        raise LmbmdError(
            f"only {int(inside.sum())} of its points are where the box can be looked at.",
            where=measured.name,
            remedy="Give a curve with more points there, raise q_max_per_A, or leave it out.",
        )
    seen = Measured(
        measured.said, measured.name, measured.q_per_A[inside], measured.value[inside], measured.error[inside]
    )
    computed = np.interp(seen.q_per_A, q, value)
    is_intensity = measured.said.quantity == "intensity"
    scale = float(computed @ seen.value / (computed @ computed)) if is_intensity else 1.0
    size = np.abs(seen.value - (0.0 if is_intensity else 1.0)).sum()
    return Beside(seen, scale * computed, scale, float(np.abs(seen.value - scale * computed).sum() / size))
