"""The judge: from numbers with errors to supported, contradicted or undecided. Pure; docs/claims.md has the rules."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from lmbmd.analysis.convergence import LEAST_REPLICAS
from lmbmd.analysis.features import OVER_TEMPERATURES, usable
from lmbmd.core.errors import nearest
from lmbmd.formulation.amounts import same_contents
from lmbmd.literature.catalogue import recipes
from lmbmd.literature.claims import Claim, ClaimsFile, Measured, shipped_claims
from lmbmd.numbers.compare import LEVEL, difference, half_width, holm, p_value, ratio
from lmbmd.numbers.doubt import Kind
from lmbmd.numbers.estimate import Estimate

#: Every verdict there is, in the order of tables.
VERDICTS = (
    "supported",
    "contradicted",
    "undecided",
    "not with this run",
    "not run",
    "not computed",
    "out of reach",
)
DECIDED = VERDICTS[:2]
#: About claims that a study has no bottle for, or that no study of this kind answers.
UNANSWERED = VERDICTS[4:]
#: Words of the convergence check whose numbers are not to be quoted, and so not judged.
NOT_BELIEVED = ("too short", "not converged", "unknown")


@dataclass(frozen=True)
class Decision:
    """What an estimate says about a claimed interval.

    Attributes:
        verdict: one of the first three of ``VERDICTS``.
        low, high: confidence interval of the estimate.
        p_value: two-sided, of an estimate this far from the nearest limit of the claimed interval.
        longer: how many times longer the runs would have to be to decide at this very estimate; NaN if it is decided
            lies on the limit, or was read off a curve.
    """

    verdict: str
    low: float
    high: float
    p_value: float
    longer: float = math.nan


def decide(estimate: Estimate, claimed: tuple[float, float], level: float = LEVEL) -> Decision:
    """Whether the confidence interval of the estimate is inside the claimed interval, outside, or neither.

    Inside is supported, outside contradicted; both are strict. With e the error, t Student's quantile and δ the
    distance of the estimate from the nearest limit, it is decided if δ > t e. The error falls as one over the square
    root of the time, so runs (t e / δ)² times longer would decide at this δ.

    Args:
        estimate: of the value, the difference or the ratio.
        claimed: (lowest, highest), open; infinite for no limit.
        level: of the two-sided interval.
    """
    value, error, freedom = estimate.value, estimate.error, estimate.degrees_of_freedom
    half = float(half_width(error, freedom, level))
    distance = min(abs(value - limit) for limit in claimed)
    p = float(p_value(distance, error, freedom))
    low, high = value - half, value + half
    if distance > half:
        inside = claimed[0] < value < claimed[1]
        return Decision("supported" if inside else "contradicted", low, high, p)
    return Decision("undecided", low, high, p, (half / distance) ** 2 if distance else math.nan)


class _CannotTell(Exception):
    """Why a verdict cannot be based on a number."""


@dataclass(frozen=True, eq=False)
class _Point:
    """The numbers of one state point, or of all temperatures of a bottle, by name and species."""

    formulation: str
    temperature_K: float | None
    rows: Mapping[tuple[str, str], Any]

    @property
    def any_row(self) -> Any:
        return next(iter(self.rows.values()))

    def check(self, claim: Claim) -> None:
        """Refuse a run that cannot answer, whatever its numbers."""
        word = str(self.any_row.verdict)
        if word in NOT_BELIEVED:
            said = "whether the run is long enough was not checked" if word == "unknown" else f"the run is {word}"
            raise _CannotTell(f"{self.formulation}: {said}")
        edge = self.rows.get(("box_edge_nm", ""))
        if claim.box_nm is not None and not (edge is not None and edge.value >= claim.box_nm):
            found = f"the box is {edge.value:.1f} nm wide" if edge is not None else "the width of the box is not known"
            raise _CannotTell(f"{self.formulation}: {found}, and {claim.box_nm:g} nm are needed")

    def estimate(self, name: str, species: str, reading_error: float | None) -> Estimate:
        """A number with an error that can be relied on."""
        row = self.rows.get((name, species))
        if row is None:
            others = [s for n, s in self.rows if n == name]
            label = f"{name} of {species}" if species else name
            names = {n for n, _ in self.rows}
            hint = f"It is there of {', '.join(s or 'the whole liquid' for s in others)}." if others else ""
            hint = hint or (nearest(name, names) if name not in names else "")
            raise _CannotTell(f"{self.formulation} has no number {label}. {hint}".strip())
        where = f"{self.formulation}: {name}"
        if not math.isfinite(row.value):
            raise _CannotTell(f"{where} has no value: {row.doubt}")
        if row.doubt_kind == Kind.READ_OFF and not row.box_limited and reading_error:
            return Estimate(row.value, reading_error, math.nan, math.inf)
        if known := usable(row):
            return known
        if row.doubt_kind == Kind.NEVER_CHANGED and not row.box_limited:
            raise _CannotTell(
                f"{where} never changed: it has no error, and is taken at its value only if "
                f"{LEAST_REPLICAS} independent runs agree"
            )
        if row.doubt_kind or row.box_limited:
            raise _CannotTell(f"{where}: {row.doubt}")
        if not math.isfinite(row.error):
            raise _CannotTell(f"{where} has no error")
        raise _CannotTell(f"{where}: how well its error is known was not recorded")


def judge_claims(files: Sequence[ClaimsFile], features: pd.DataFrame, level: float = LEVEL) -> pd.DataFrame:
    """Judge every claim at every temperature that the study has of its bottles.

    The bottles of a shipped claim are those of the catalogue, and a study's bottle answers for one if it holds the
    same (``formulation.amounts.same_contents``), whatever its name; one of that name that holds something else does
    not. Claims of a study's own files are about its bottles by name.

    Args:
        files: from ``load_claims``.
        features: the feature table of the study (``results/features.parquet``).
        level: confidence level of the verdicts.

    Returns:
        A row per claim and temperature, in the order of the files; the columns are in docs/claims.md. ``p_holm`` is
        the p-value corrected for the number of claims that were judged together (Holm).
    """
    points = _points(features)
    shipped = shipped_claims()
    named = [(file, _by_recipe(file, points) if any(file is one for one in shipped) else points) for file in files]
    rows = [row for file, those in named for claim in file.claims for row in _judged(claim, file, those, level)]
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    table["p_holm"] = holm(table.p_value)
    return table


_COLUMNS = (
    "id",
    "group",
    "verdict",
    "reason",
    "formulation",
    "versus",
    "temperature_K",
    "versus_temperature_K",
    "name",
    "species",
    "estimand",
    "unit",
    "value",
    "error",
    "versus_value",
    "versus_error",
    "estimate",
    "estimate_error",
    "degrees_of_freedom",
    "low",
    "high",
    "claimed_low",
    "claimed_high",
    "p_value",
    "longer",
    "proxy",
    "partner_assumed",
    "text",
    "note",
    "source",
    "source_title",
    "ref",
    "doi",
)


#: Names of the numbers that a bottle has over all its temperatures.
_OVER = frozenset(name for name, _, _ in OVER_TEMPERATURES)

#: Temperature of a state point; None: all temperatures of the bottle together.
_At = float | None


def _points(features: pd.DataFrame) -> dict[tuple[str, _At], _Point]:
    found: dict[tuple[str, _At], dict] = {}
    for row in features.itertuples(index=False):
        at = None if math.isnan(row.temperature_K) else float(row.temperature_K)
        found.setdefault((row.formulation, at), {})[(row.name, row.species)] = row
    return {key: _Point(*key, rows) for key, rows in found.items()}


def _by_recipe(file: ClaimsFile, points: Mapping[tuple[str, _At], _Point]) -> dict[tuple[str, _At], _Point]:
    """The points under the names of the catalogue's bottles that hold the same; by name where no recipe is known."""
    held = {point.formulation: str(point.any_row.recipe or "") for point in points.values()}
    if not any(held.values()):
        return dict(points)
    claimed = {name for claim in file.claims for name in (claim.formulation, claim.versus) if name}
    wanted = recipes(claimed)
    found: dict[tuple[str, _At], _Point] = {}
    for name in claimed:
        same = [own for own, recipe in held.items() if recipe and same_contents(recipe, wanted.get(name, ""))]
        by_name = name in held and (name in same or not held[name] or name not in wanted)
        if own := name if by_name else next(iter(same), None):
            found |= {(name, at): point for (of, at), point in points.items() if of == own}
    return found


def _judged(claim: Claim, file: ClaimsFile, points: Mapping, level: float) -> Iterable[dict[str, Any]]:
    number, source = claim.number, file.sources[claim.source.of]
    facts = {
        "id": claim.id,
        "group": claim.group,
        "formulation": claim.formulation,
        "versus": claim.versus or "",
        "name": number.name if number else "",
        "species": number.species if number else "",
        "estimand": claim.estimand,
        "proxy": claim.test == "proxy",
        "partner_assumed": claim.partner_assumed,
        "text": claim.text,
        "note": claim.note,
        "source": claim.source.of,
        "source_title": source.title,
        "ref": claim.source.ref,
        "doi": claim.source.doi or source.doi,
    }
    if number is None or claim.test in ("not computed", "out of reach"):
        yield {**facts, "verdict": claim.test, "reason": claim.why}
        return
    facts |= {"claimed_low": claim.claimed[0], "claimed_high": claim.claimed[1]}
    bottles = [claim.formulation, *([claim.versus] if claim.versus else [])]
    shared = _shared(claim, number, bottles, points)
    if not shared:
        yield {**facts, "verdict": "not run", "reason": _missing(claim, number, bottles, points)}
    for at in shared:
        T = {"temperature_K": math.nan if at[0] is None else at[0], "versus_temperature_K": claim.versus_temperature_K}
        found = [points[bottle, temperature] for bottle, temperature in zip(bottles, at, strict=True)]
        verdict = _verdict(claim, number, found, level)
        pairs = zip(bottles, found, strict=True)
        others = [f"{point.formulation} for {name}" for name, point in pairs if point.formulation != name]
        same = f"By recipe: {' and '.join(others)}." if others else ""
        yield {**facts, **T, **verdict, "reason": " ".join(filter(None, [str(verdict.get("reason", "")), same]))}


def _shared(claim: Claim, number: Measured, bottles: Sequence[str], points: Mapping) -> list[tuple[_At, ...]]:
    """The temperatures of its bottles that a claim is judged at, lowest first."""
    if number.name in _OVER:
        at = [(None,) * len(bottles)]
    else:
        own = sorted(T for name, T in points if name == claim.formulation and T is not None)
        at = [(T,) * len(bottles) for T in own]
        if claim.temperature_K is not None:
            at = [pair for pair in at if _same(pair[0], claim.temperature_K)]
        if claim.versus_temperature_K is not None:
            others = [T for name, T in points if name == claim.versus and _same(T, claim.versus_temperature_K)]
            at = [(pair[0], T) for pair in at for T in others]
    return [pair for pair in at if all(key in points for key in zip(bottles, pair, strict=True))]


def _same(a: _At, b: float) -> bool:
    return a is not None and abs(a - b) < 0.5


def _missing(claim: Claim, number: Measured, bottles: Sequence[str], points: Mapping) -> str:
    present = {name for name, _ in points}
    lacking = [name for name in bottles if name not in present]
    if lacking:
        return f"the study has no {' and no '.join(lacking)}"
    if number.name in _OVER:
        return f"{number.name} needs several temperatures of {' and of '.join(bottles)}, at which their motion is known"
    if claim.versus_temperature_K is not None:
        both = f"{bottles[0]} at {claim.temperature_K:g} K and {bottles[1]} at {claim.versus_temperature_K:g} K"
        return f"the study does not have {both}"
    if claim.temperature_K is not None:
        return f"the study does not have {' and '.join(bottles)} at {claim.temperature_K:g} K"
    return f"{' and '.join(bottles)} have no temperature in common"


_COMPARED = {"difference": difference, "ratio": ratio}


def _verdict(claim: Claim, number: Measured, points: Sequence[_Point], level: float) -> dict[str, Any]:
    """The columns that depend on numbers; the numbers are given even if no verdict can be based on them."""
    species = [number.species, number.species if number.versus_species is None else number.versus_species]
    found: dict[str, Any] = {}
    for point, prefix, who in zip(points, ("", "versus_"), species, strict=False):
        if (row := point.rows.get((number.name, who))) is not None:
            found |= {f"{prefix}value": row.value, f"{prefix}error": row.error, "unit": row.unit}
    try:
        for point in points:
            point.check(claim)
        _same_model(points)
        parts = [p.estimate(number.name, who, claim.reading_error) for p, who in zip(points, species, strict=False)]
        estimate = parts[0] if claim.estimand == "value" else _COMPARED[claim.estimand](*parts)
        if not math.isfinite(estimate.value):
            raise _CannotTell(f"{points[-1].formulation}: {number.name} is zero, so there is no ratio")
    except _CannotTell as error:
        return {**found, "verdict": "not with this run", "reason": f"{error}."}
    decision = decide(estimate, claim.claimed, level)
    if any(
        point.rows[number.name, who].doubt_kind == Kind.READ_OFF for point, who in zip(points, species, strict=False)
    ):
        decision = replace(decision, longer=math.nan)
    return {
        **found,
        "verdict": decision.verdict,
        "reason": _reason(decision, estimate, claim, points),
        "estimate": estimate.value,
        "estimate_error": estimate.error,
        "low": decision.low,
        "high": decision.high,
        "degrees_of_freedom": estimate.degrees_of_freedom,
        "p_value": decision.p_value,
        "longer": decision.longer,
    }


def _same_model(points: Sequence[_Point]) -> None:
    for column, label in (("force_field", "force fields"), ("ion_charge_scale", "ion charge scales")):
        values = [getattr(point.any_row, column) for point in points]
        values = ["not recorded" if pd.isna(value) else value for value in values]
        if len(set(values)) > 1:
            raise _CannotTell(f"the two bottles have other {label} ({values[0]} and {values[1]})")


def _reason(decision: Decision, estimate: Estimate, claim: Claim, points: Sequence[_Point]) -> str:
    if decision.verdict != "undecided":
        return ""
    if not math.isfinite(decision.longer):
        if estimate.value not in claim.claimed:
            return "The curve cannot be read more closely; longer runs would not decide it."
        return f"The {claim.estimand} is exactly at the limit of what is claimed; no longer run would decide it."
    if decision.longer > 1000:
        return "Runs more than 1000 times longer would be needed to decide."
    times = math.ceil(decision.longer)
    sampled = [(point, point.rows.get(("sampled_ns", ""))) for point in points]
    lengths = [f"{point.formulation} {times * row.value:.3g} ns" for point, row in sampled if row is not None]
    total = f" ({', '.join(lengths)}, replicas together)" if lengths else ""
    return f"Runs {times} times longer{total} would decide, if the {claim.estimand} stays what it is."


def tally(judged: pd.DataFrame) -> pd.DataFrame:
    """Each group of claims once: its claims, how many got each verdict, and what they add up to.

    Claims without a group are groups of one. A group is *supported* or *contradicted* if at least one of its claims
    is and none is the other, *mixed* if both occur; else it has the first verdict of ``VERDICTS`` that one of its
    claims has.

    Returns:
        Columns group, claims, verdict, and a count for each of ``VERDICTS``; claims at several temperatures count at
        each.
    """
    rows = []
    keys = judged.group.where(judged.group != "", judged.id)
    for key, part in judged.groupby(keys, sort=False):
        counts = {verdict: int((part.verdict == verdict).sum()) for verdict in VERDICTS}
        decided = [verdict for verdict in DECIDED if counts[verdict]]
        word = "mixed" if len(decided) == 2 else next(v for v in VERDICTS if counts[v])
        rows.append({"group": key, "claims": part.id.nunique(), "verdict": word, **counts})
    return pd.DataFrame(rows, columns=["group", "claims", "verdict", *VERDICTS])
