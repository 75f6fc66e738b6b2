"""The CIPA call: criteria with thresholds, the share of centres in compact clusters, and how sure that is.

Pure functions of what ``Clusters`` and ``Compactness`` measured. Theory: docs/theory/cipa.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtr

from lmbmd.analysis.clusters.compactness import CompactnessResult
from lmbmd.analysis.clusters.components import ClusterResult
from lmbmd.analysis.clusters.criteria import candidates, criteria
from lmbmd.analysis.clusters.options import NULL_MODELS, CipaThresholds
from lmbmd.analysis.convergence import LEAST_REPLICAS
from lmbmd.core.words import counted
from lmbmd.data.atoms import AtomTable
from lmbmd.numbers.compare import interval
from lmbmd.numbers.curve import leave_one_out_error
from lmbmd.numbers.doubt import SURE, Doubt, Kind
from lmbmd.numbers.estimate import Estimate, estimate_mean

#: What a formulation can be called.
COMPACT = "compact aggregates"
NOT_COMPACT = "no compact aggregates"
SMALL = "compact clusters, but smaller than CIPA"
NETWORK = "network, not a finite cluster"
BOX_TOO_SMALL = "box too small to tell"
UNDECIDED = "undecided"


def compact_share(result: CompactnessResult, thresholds: CipaThresholds, small: bool = False) -> np.ndarray:
    """Share of the centres that are in compact clusters, for each sampled frame; (F,).

    Args:
        small: ask for clusters that are compact but miss a lower bound on size.
    """
    table = result.clusters
    packing, size = candidates(table, thresholds)
    chosen = packing & ~size if small else packing & size
    counted = np.bincount(table["frame"][chosen], weights=table["n_centres"][chosen], minlength=len(result.time_ps))
    return counted / result.n_centres


def drawing_error(measured: Sequence[CompactnessResult], thresholds: CipaThresholds, small: bool = False) -> float:
    """Standard error that the drawings of the null model leave in the mean of ``compact_share``.

    A cluster of n of the N centres that meets all else is compact with the probability p that its z, known to its own
    standard error, is above the threshold. Clusters of a frame share its drawings, so that of its share is at most
    Σ n (p (1 − p))^½ / N; frames are drawn independently.
    """
    variance, frames = 0.0, 0
    for result in measured:
        table, z = result.clusters, f"z_{thresholds.null_model}"
        packing, size = candidates(table, thresholds, leave_out=z)
        chosen = table[packing & (~size if small else size)]
        off = (chosen[z] - thresholds.min_z) / np.maximum(chosen[f"{z}_error"], 1e-12)
        p = ndtr(off.to_numpy())
        weights = chosen["n_centres"].to_numpy() * np.sqrt(p * (1 - p)) / result.n_centres
        of_frame = np.bincount(chosen["frame"], weights=weights, minlength=len(result.time_ps))
        variance += float((of_frame**2).sum())
        frames += len(result.time_ps)
    return math.sqrt(variance) / frames


def _mean_share(measured: Sequence[CompactnessResult], thresholds: CipaThresholds, small: bool = False) -> Estimate:
    """The mean of ``compact_share``, its error not below that of the drawings."""
    share = estimate_mean([compact_share(r, thresholds, small) for r in measured])
    return replace(share, error=max(share.error, drawing_error(measured, thresholds, small)))


@dataclass(frozen=True)
class Variation:
    """The compact share with one choice changed.

    Attributes:
        choice: the name of the threshold, ``"null_model"`` or ``"cutoff"``.
        setting: its value here.
        share: the compact share.
        call: COMPACT, NOT_COMPACT or UNDECIDED, from the share alone.
    """

    choice: str
    setting: str
    share: Estimate
    call: str


@dataclass(frozen=True)
class Verdict:
    """The CIPA call for a state point.

    Attributes:
        call: one of COMPACT, NOT_COMPACT, SMALL, NETWORK, BOX_TOO_SMALL, UNDECIDED.
        sentence: the call with its numbers and its reason.
        share, small_share: of the centres in compact clusters, and in compact clusters below CIPA size.
        percolating: share of all frames in which a cluster percolates.
        width_nm: smallest perpendicular width of the box in any frame.
        rarest: molecules of the rarest species.
        variations: the sensitivity of ``share``.
    """

    call: str
    sentence: str
    share: Estimate
    small_share: Estimate
    percolating: Estimate
    width_nm: float
    rarest: int
    variations: tuple[Variation, ...]


def call_of(share: Estimate, thresholds: CipaThresholds) -> str:
    """COMPACT or NOT_COMPACT where the 95 % interval lies on one side of ``min_share``, else UNDECIDED.

    A share without an error bar (one sample, or one that never changed) decides nothing, for it may be one stuck
    droplet; but a share that is zero throughout is a finding, and so is one that is the same in as many independent
    replicas as the convergence verdict asks for.
    """
    if np.isfinite(share.error) and share.source != "constant":
        low, high = interval(share)
    elif share.value == 0 or (share.source == "constant" and share.n_effective >= LEAST_REPLICAS):
        low = high = share.value
    else:
        return UNDECIDED
    if low > thresholds.min_share:
        return COMPACT
    return NOT_COMPACT if high < thresholds.min_share else UNDECIDED


def sensitivity(
    measured: Sequence[CompactnessResult],
    thresholds: CipaThresholds,
    shifted: Mapping[float, Sequence[CompactnessResult]] | None = None,
) -> tuple[Variation, ...]:
    """The compact share with each threshold moved both ways, each null model, and each shifted contact cut-off.

    Args:
        measured: one per replica.
        shifted: shift of all contact cut-offs in Å → what ``Compactness`` measured with it, one per replica.
    """

    def vary(choice: str, setting: str, results: Sequence[CompactnessResult], changed: CipaThresholds) -> Variation:
        share = _mean_share(results, changed)
        return Variation(choice, setting, share, call_of(share, changed))

    variations = [vary("as set", "", measured, thresholds)]
    for name in dict.fromkeys(c.threshold for c in criteria(thresholds)):
        for shift in (-thresholds.threshold_shift, thresholds.threshold_shift):
            value = getattr(thresholds, name) * (1 + shift)
            if {
                "min_diameter_nm": value >= thresholds.max_diameter_nm,
                "max_diameter_nm": value <= thresholds.min_diameter_nm,
            }.get(name):
                continue
            variations.append(vary(name, f"{value:g}", measured, thresholds.model_copy(update={name: value})))
    for model in NULL_MODELS:
        variations.append(vary("null_model", model, measured, thresholds.model_copy(update={"null_model": model})))
    for shift, results in sorted((shifted or {}).items()):
        variations.append(vary("cutoff", f"{shift:+g} Å", results, thresholds))
    return tuple(variations)


def decide(
    clusters: Sequence[ClusterResult],
    measured: Sequence[CompactnessResult],
    atoms: AtomTable,
    thresholds: CipaThresholds | None = None,
    shifted: Mapping[float, Sequence[CompactnessResult]] | None = None,
) -> Verdict:
    """Call the state point. The share of aggregated ions (AGG) plays no part in it.

    The first that applies: percolating in more frames than ``max_percolating_fraction`` → NETWORK; a box below
    the size rule → BOX_TOO_SMALL; then the compact share and every variation of it must lie on the same side
    of ``min_share``, or the call is UNDECIDED. Without compact aggregates, SMALL if the share of compact
    clusters below CIPA size is above ``min_share``.

    Args:
        clusters, measured: one each per replica.
        atoms: of the box.
        thresholds, shifted: see ``sensitivity``.
    """
    thresholds = thresholds or CipaThresholds()
    share, small = _mean_share(measured, thresholds), _mean_share(measured, thresholds, small=True)
    percolating = estimate_mean([r.series["percolating_frames"] for r in clusters])
    width = min(r.smallest_width_A for r in clusters) / 10
    counts = np.bincount(atoms.unit_species)
    rarest = int(counts[counts > 0].min())
    variations = sensitivity(measured, thresholds, shifted)
    changes = [v for v in variations if v.call != variations[0].call]
    if percolating.value > thresholds.max_percolating_fraction:
        call = NETWORK
    elif width < thresholds.min_box_width_nm or rarest < thresholds.min_rarest_molecules:
        call = BOX_TOO_SMALL
    elif changes or variations[0].call == UNDECIDED:
        call = UNDECIDED
    elif variations[0].call == NOT_COMPACT and call_of(small, thresholds) == COMPACT:
        call = SMALL
    else:
        call = variations[0].call
    verdict = Verdict(call, "", share, small, percolating, width, rarest, variations)
    return replace(verdict, sentence=_sentence(verdict, thresholds, measured, changes))


def _sentence(
    verdict: Verdict, thresholds: CipaThresholds, measured: Sequence[CompactnessResult], changes: Sequence[Variation]
) -> str:
    frames = sum(len(r.time_ps) for r in measured)
    seen = f"{_percent(verdict.share)} of the cations are in compact clusters of CIPA size"
    basis = f"({counted(frames, 'frame')}, {counted(len(measured), 'replica')})"
    if verdict.call == NETWORK:
        text = (
            f"a cluster is connected to its own periodic image in {_percent(verdict.percolating)} of the frames "
            f"(limit {thresholds.max_percolating_fraction:.0%}), so it has no diameter."
        )
        if verdict.width_nm < thresholds.min_box_width_nm:
            text += (
                f" In a box of {verdict.width_nm:.1f} nm a large droplet can do the same: repeat in a box of at least "
                f"{thresholds.min_box_width_nm:g} nm."
            )
    elif verdict.call == BOX_TOO_SMALL:
        text = (
            f"the box is {verdict.width_nm:.1f} nm wide and holds {verdict.rarest} molecules of its rarest species; a "
            f"call needs at least {thresholds.min_box_width_nm:g} nm and {thresholds.min_rarest_molecules} molecules. "
            f"In this box {seen} {basis}."
        )
    elif verdict.call == UNDECIDED:
        untold = not np.isfinite(verdict.share.error) or verdict.share.source == "constant"
        reason = "one sample does not decide" if untold else "its error bar spans the limit"
        if changes:
            listed = ", ".join(f"{v.choice} = {v.setting} ({_percent(v.share)})" for v in changes)
            reason = f"that changes with {listed}"
        text = f"{seen} {basis}, limit {thresholds.min_share:.0%}, but {reason}."
    else:
        text = f"{seen} {basis}, limit {thresholds.min_share:.0%}; no variation of the thresholds changes the side."
        if verdict.call == SMALL:
            text += f" {_percent(verdict.small_share)} are in compact clusters that are smaller."
        if verdict.call == COMPACT:
            text += " Whether that is more than in the parent without diluent only a matched run can tell."
    return f"{verdict.call[0].upper()}{verdict.call[1:]}: {text}"


def _percent(x: Estimate) -> str:
    error = f" ± {100 * x.error:.1f}" if np.isfinite(x.error) else ""
    return f"{100 * x.value:.1f}{error} %" + ("" if error else " (no error bar)")


@dataclass(frozen=True)
class FractalDimension:
    """Exponent of R_g ~ N^(1/d_f) over finite clusters.

    Attributes:
        value, error: d_f and its standard error; NaN if ``doubt`` says so.
        degrees_of_freedom: of the error.
        smallest, largest: sizes it spans, ions.
        doubt: why there is no value.
    """

    value: float
    error: float
    degrees_of_freedom: float
    smallest: int
    largest: int
    doubt: Doubt = SURE


#: Sizes must span this many octaves (factors of two), each half octave with this many clusters, for a d_f.
LEAST_OCTAVES, LEAST_CLUSTERS = 3, 3


def fractal_dimension(results: Sequence[ClusterResult], blocks: int = 10) -> FractalDimension:
    """Mass fractal dimension of the finite clusters of five ions and more.

    Clusters are put into half-octave classes of N; d_f is the inverse slope of the class means of ln R_g against
    those of ln N, all classes alike. The error is a jackknife over blocks of consecutive frames of each replica.
    """
    label = np.concatenate([i * blocks + r.finite_frame * blocks // r.n_frames for i, r in enumerate(results)])
    size, rg = (np.concatenate([r.finite[:, column] for r in results]) for column in (0, 1))
    nan = float("nan")
    if not len(size):
        return FractalDimension(nan, nan, nan, 0, 0, Doubt(Kind.NO_LARGE_CLUSTER))
    classes = np.floor(2 * np.log2(size)).astype(int)
    used, where = np.unique(classes, return_inverse=True)
    full = np.bincount(where) >= LEAST_CLUSTERS
    keep = full[where]
    span = (int(size[keep].min()), int(size[keep].max())) if keep.any() else (0, 0)
    if not keep.any() or span[1] < span[0] * 2**LEAST_OCTAVES:
        return FractalDimension(nan, nan, nan, *span, Doubt(Kind.FEW_OCTAVES, n=LEAST_OCTAVES))
    n_blocks = len(results) * blocks
    shape = (n_blocks, len(used))
    flat = label[keep] * len(used) + where[keep]
    total = lambda w: np.bincount(flat, weights=w, minlength=n_blocks * len(used)).reshape(shape)  # noqa: E731
    sums = np.stack([total(np.ones(keep.sum())), total(np.log(size[keep])), total(np.log(rg[keep]))])
    value = _inverse_slope(sums.sum(axis=1))
    filled = np.flatnonzero(sums[0].any(axis=1))
    left_out = np.array([_inverse_slope(sums.sum(axis=1) - sums[:, b]) for b in filled])
    known = (float(leave_one_out_error(left_out)), len(left_out) - 1.0) if len(left_out) > 1 else (nan, nan)
    return FractalDimension(value, *known, *span)


def _inverse_slope(sums: np.ndarray) -> float:
    count, x, y = sums[:, sums[0] > 0]
    x, y = x / count, y / count
    x = x - x.mean()
    return float(x @ x / (x @ y))
