"""Claims as text: the numbers behind a verdict, the counts of verdicts, and both as lines of a terminal."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lmbmd.core import rounding
from lmbmd.core.errors import LmbmdError
from lmbmd.core.words import counted
from lmbmd.literature.claims import ClaimsFile
from lmbmd.literature.judge import UNANSWERED, VERDICTS, judge_claims
from lmbmd.numbers.compare import LEVEL


def counts_of(judged: pd.DataFrame) -> str:
    """How many claims got each verdict, as a sentence about the table of ``judge_claims``."""
    counts = {verdict: judged[judged.verdict == verdict].id.nunique() for verdict in VERDICTS}
    parts = [f"{n} {verdict}" for verdict, n in counts.items() if n]
    text = f"Of {judged.id.nunique()} claims, {', '.join(parts)}." if parts else "No claim is known."
    if len(set(judged.temperature_K.dropna())) > 1:
        text += " A claim judged at several temperatures may have several verdicts."
    return text


def numbers_of(row: Any) -> tuple[str, str]:
    """The numbers behind a verdict, and the interval it was made by."""
    decided = pd.notna(row.estimate)  # then a number without an error never changed, and needs none
    pairs = ((row.value, row.error), (row.versus_value, row.versus_error))
    # Without a verdict an error may not be reliable, and is not shown.
    parts = [
        rounding.number(v, None if decided and pd.isna(e) else e, reliable=decided) for v, e in pairs if pd.notna(v)
    ]
    unit = f" {rounding.unit(row.unit)}".rstrip() if parts else ""
    text = " against ".join(parts) + unit
    if not decided:
        return text, ""
    interval = f"{100 * LEVEL:g} %: {rounding.number(row.low)} to {rounding.number(row.high)}{unit_of(row)}"
    name = "" if row.estimand == "value" else f"{row.estimand} {rounding.number(row.estimate, row.estimate_error)}; "
    return text, name + interval


def unit_of(row: Any) -> str:
    """The estimand's unit, after a space; nothing for a ratio or a pure number."""
    known = row.estimand != "ratio" and isinstance(row.unit, str)
    return f" {rounding.unit(row.unit)}".rstrip() if known else ""


def verdict_lines(files: Sequence[ClaimsFile], folder: str | os.PathLike[str], about: Sequence[str] = ()) -> str:
    """Verdicts as lines of a terminal: verdict, id and temperature, the claim, and its numbers or the reason.

    Args:
        files: the claims.
        folder: a results folder with ``features.parquet``.
        about: names of formulations: all claims about them, and no others. If empty, only those that this study's
            bottles could answer; the last line counts the rest.

    Raises:
        LmbmdError: if the feature table is missing or cannot be read.
    """
    path = Path(folder) / "features.parquet"
    try:
        features = pd.read_parquet(path)
    except (OSError, ValueError) as error:
        remedy = "Run 'lmbmd index' first; 'lmbmd claims --list' needs no results."
        raise LmbmdError(f"there is no feature table to judge by ({error}).", where=str(path), remedy=remedy) from error
    judged = judge_claims(files, features)
    if about:
        judged = judged[judged.formulation.isin(about) | judged.versus.isin(about)]
    order = {verdict: k for k, verdict in enumerate(VERDICTS)}
    lines = []
    shown = judged if about else judged[~judged.verdict.isin(UNANSWERED)]
    for row in shown.sort_values("verdict", key=lambda v: v.map(order), kind="stable").itertuples(index=False):
        T = "" if pd.isna(row.temperature_K) else f" at {row.temperature_K:g} K"
        found = "; ".join(filter(None, [*numbers_of(row), row.reason.rstrip(".")]))
        lines += [f"{row.verdict:<18}{row.id}{T}", f"{'':18}{row.text}", *([f"{'':18}{found}"] if found else [])]
    return "\n".join([*lines, counts_of(judged)])


def claim_lines(files: Sequence[ClaimsFile], about: Sequence[str] = ()) -> str:
    """Claims as lines of a terminal: id, bottles, test, the claim; only those about these formulations, if given."""
    lines, n = [], 0
    for claim in [claim for file in files for claim in file.claims]:
        if about and not {claim.formulation, claim.versus} & set(about):
            continue
        n += 1
        bottles = " against ".join(filter(None, [claim.formulation, claim.versus]))
        test = claim.test if not claim.why else f"{claim.test}: {claim.why}"
        lines += [f"{claim.id} ({bottles}; {test})", f"    {claim.text}"]
    return "\n".join([*lines, f"{counted(n, 'claim')}."])
