"""Tables, descriptors and notes of the CIPA analysis, over all replicas of a state point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.ndimage import gaussian_filter1d

from lmbmd.analysis.clusters.cipa import (
    Verdict,
    compact_share,
    decide,
    fractal_dimension,
)
from lmbmd.analysis.clusters.compactness import DENSITY_RADII_A, Compactness, CompactnessResult, end_of_bin_A
from lmbmd.analysis.clusters.components import ClusterResult, Clusters
from lmbmd.analysis.clusters.components_account import centre_names
from lmbmd.analysis.clusters.criteria import Criterion, criteria
from lmbmd.analysis.clusters.nulls import poisson_nearest_A
from lmbmd.analysis.clusters.options import BIN_A, NULL_MODELS, CipaThresholds
from lmbmd.analysis.family import Account, Family, Findings, Series, Setting
from lmbmd.analysis.shells.cutoffs import Basis, Cutoff, second_minimum
from lmbmd.data.atoms import AtomTable
from lmbmd.data.described import Descriptor
from lmbmd.numbers.doubt import COLUMNS as DOUBT
from lmbmd.numbers.doubt import SURE, Doubt, Kind, descriptor, doubt, entry, told
from lmbmd.numbers.doubt import described as told_row
from lmbmd.numbers.estimate import Estimate, estimate_mean, read_off

#: Where the first centre–centre peak is looked for, and the width of the Gaussian that smooths g(r), Å.
PEAK_WINDOW_A, SMOOTHING_A = (3.0, 9.0), 0.3
#: The source of an error that does not come from independent samples of a series.
_JACKKNIFE = "jackknife"
#: Where the edge of the first centre–centre shell is looked for, and where it is put if it is not found, Å.
SHELL_WINDOW_A, SHELL_A = (6.0, 9.0), 7.5

_COLUMNS = (
    "criterion",
    "option",
    "value",
    "error",
    "unit",
    "null",
    "null_sd",
    "z",
    "threshold",
    "direction",
    "met",
    "null_model",
    "share_met",
    *DOUBT,
)


def cipa_account(
    clusters: Sequence[ClusterResult],
    measured: Sequence[CompactnessResult],
    atoms: AtomTable,
    thresholds: CipaThresholds | None = None,
    shifted: Mapping[float, Sequence[CompactnessResult]] | None = None,
    shell_A: float | None = None,
) -> Account:
    """The CIPA block of a state point.

    Args:
        clusters, measured: what ``Clusters`` and ``Compactness`` found, one each per replica.
        atoms: of the box.
        thresholds: of the call.
        shifted: shift of all contact cut-offs in Å → what ``Compactness`` found with it, one per replica.
        shell_A: radius of the first centre–centre shell, Å; from the first minimum of g(r) if not given.

    Returns:
        descriptors.
        tables: ``cipa``, rows with a threshold (``option`` names it) first and then rows for information, ``met``
            being True, False or None; values of single clusters are means over the centres, each counting its own
            cluster, a percolating one having no size. ``doubt`` says why an error is missing or not to be relied on.
            ``null`` and ``null_sd`` are the mean and the standard deviation of one frame in the null model
            ``null_model``, z = (value − null) / null_sd.
            ``cipa_sensitivity`` (choice, setting, share, error, doubt, call), ``cipa_g`` (r_A, g, g_labels, g_pairs)
            and ``cipa_nearest`` (r_A, density, poisson: probability densities in 1/Å).
        notes: the verdict; its ``call`` is the bare call.
    """
    thresholds = thresholds or CipaThresholds()
    verdict = decide(clusters, measured, atoms, thresholds, shifted)
    shell = _given(shell_A) if shell_A else _first_shell(measured)
    shell_A = shell.cutoff_A
    rows = _call_rows(verdict, measured, thresholds) + _information_rows(measured, shell_A)
    dimension = fractal_dimension(clusters)
    scaling = "Rg ~ N^(1/d_f)"
    if not dimension.doubt:
        scaling = f"{scaling}; clusters of {dimension.smallest}–{dimension.largest} ions"
    rows.append(_row("fractal dimension", Estimate(dimension.value, dimension.error, 0, source=_JACKKNIFE), "1"))
    table = pd.DataFrame(rows, columns=list(_COLUMNS))
    tables = {
        "cipa": table.astype({"met": object}),
        "cipa_sensitivity": pd.DataFrame(
            [(v.choice, v.setting, *entry(v.share), v.call) for v in verdict.variations],
            columns=["choice", "setting", "share", "error", *DOUBT, "call"],
        ),
        "cipa_g": _g_table(measured),
        "cipa_nearest": _nearest_table(measured),
    }
    descriptors = _descriptors(verdict, measured, centre_names(atoms), shell)
    descriptors.append(
        told_row(
            "cluster_fractal_dimension",
            centre_names(atoms),
            dimension.value,
            dimension.error,
            "1",
            float("nan"),
            dimension.degrees_of_freedom,
            scaling,
            dimension.doubt,
        )
    )
    return Account(descriptors, tables, [{"topic": "cipa", "text": verdict.sentence, "call": verdict.call}])


def _row(
    criterion: str,
    mean: Estimate,
    unit: str,
    threshold: float = np.nan,
    direction: str = "",
    null: tuple[float, float] = (np.nan, np.nan),
    null_model: str = "",
    share_met: float = np.nan,
    option: str = "",
) -> tuple:
    met = None
    if direction and np.isfinite(mean.value):
        met = bool(mean.value >= threshold if direction == "≥" else mean.value <= threshold)
    z = (mean.value - null[0]) / null[1] if null[1] > 0 else np.nan
    found = told(SURE if mean.source == _JACKKNIFE else doubt(mean))
    head = criterion, option, mean.value, mean.error, unit
    return (*head, *null, z, threshold, direction, met, null_model, share_met, *found)


def cluster_mean(measured: Sequence[CompactnessResult], column: str) -> Estimate:
    """Mean over centres of a property of the cluster each is in; a percolating cluster has no size in ions or nm."""
    series = []
    for r in measured:
        table = r.clusters[np.isfinite(r.clusters[column])]
        if column == "ions":
            table = table[table["rank"] == 0]
        frame, weight = table["frame"].to_numpy(), table["n_centres"].to_numpy(float)
        top = np.bincount(frame, weights=weight * table[column], minlength=len(r.time_ps))
        bottom = np.bincount(frame, weights=weight, minlength=len(r.time_ps))
        series.append(np.where(bottom > 0, top / np.maximum(bottom, 1), np.nan))
    return estimate_mean(series)


def _share_meeting(measured: Sequence[CompactnessResult], criterion: Criterion, thresholds: CipaThresholds) -> float:
    """Share of all centres whose own cluster meets one criterion; the call asks each cluster for all of them."""
    meeting = [r.clusters["n_centres"][criterion.met(r.clusters[criterion.column], thresholds)].sum() for r in measured]
    return float(sum(meeting) / sum(r.n_centres * len(r.time_ps) for r in measured))


def _null(values: Sequence[np.ndarray]) -> tuple[float, float]:
    """Mean, and standard deviation over the drawings of one frame, of (F, S) arrays, one per replica."""
    pooled = np.concatenate(values)
    pooled = pooled[np.isfinite(pooled).all(axis=1)]
    if not len(pooled):
        return float("nan"), float("nan")
    return float(pooled.mean()), float(np.sqrt(pooled.var(axis=1, ddof=1).mean()))


def _call_rows(verdict: Verdict, measured: Sequence[CompactnessResult], thresholds: CipaThresholds) -> list[tuple]:
    """Rows with a threshold: the criteria of one cluster, then those of the formulation."""
    names = {
        "min_ions": "ions in the cluster",
        "min_diameter_nm": "diameter with bound solvent",
        "max_diameter_nm": "diameter with bound solvent",
        "min_contacts_per_ion": "contacts per ion",
        "min_density_ratio": "local density over bulk, in clusters",
        "min_z": "z of the cluster's local density",
        "max_anisotropy": "shape anisotropy",
    }
    rows = []
    for c in criteria(thresholds):
        bound = getattr(thresholds, c.threshold)
        model = thresholds.null_model if c.threshold == "min_z" else ""
        mean = cluster_mean(measured, c.column)
        share = _share_meeting(measured, c, thresholds)
        bounds = bound, c.direction
        rows.append(
            _row(names[c.threshold], mean, c.unit, *bounds, null_model=model, share_met=share, option=c.threshold)
        )
    exact = lambda x: Estimate(x, 0.0, float("nan"), source="exact")  # noqa: E731
    of_the_box = [
        ("share of cations in compact clusters", verdict.share, "1", "min_share", "≥"),
        ("frames that percolate", verdict.percolating, "1", "max_percolating_fraction", "≤"),
        ("smallest box width", exact(verdict.width_nm), "nm", "min_box_width_nm", "≥"),
        ("molecules of the rarest species", exact(verdict.rarest), "1", "min_rarest_molecules", "≥"),
    ]
    return rows + [
        _row(name, mean, unit, getattr(thresholds, option), direction, option=option)
        for name, mean, unit, option, direction in of_the_box
    ]


def _information_rows(measured: Sequence[CompactnessResult], shell_A: float) -> list[tuple]:
    """Rows without a threshold, each quantity that has null models once per model."""
    rows = [
        _row("diameter without bound solvent", cluster_mean(measured, "bare_diameter_nm"), "nm"),
        _row("bound solvent per cation", cluster_mean(measured, "solvent_per_centre"), "1"),
    ]
    bulk = (float(1000 * np.mean(np.concatenate([r.n_centres / r.volume_A3 for r in measured]))), np.nan)
    for column, name in (("density_nm3", "with"), ("bare_density_nm3", "without")):
        mean = cluster_mean(measured, column)
        rows.append(
            _row(f"cations per volume of the cluster, {name} bound solvent", mean, "nm⁻³", null=bulk, null_model="bulk")
        )
    nearest = estimate_mean(_nearest(measured))
    poisson = float(np.mean(_poisson(measured)))
    rows.append(_row("nearest cation–cation distance", nearest, "Å", null=(poisson, np.nan), null_model="Poisson"))
    quantities = [("nearest cation–cation distance", "Å", nearest, [r.null_nearest_A for r in measured])]
    for radius in DENSITY_RADII_A:
        seen, null = zip(*(r.density_ratio(radius) for r in measured), strict=True)
        quantities.append((f"local density over bulk, {radius / 10:g} nm", "1", estimate_mean(seen), null))
    seen, null = zip(*(r.neighbours(shell_A) for r in measured), strict=True)
    edge = f"{shell_A:.2f} Å" if np.isfinite(shell_A) else "first shell"
    quantities.append((f"cation–cation CN, {edge}", "1", estimate_mean(seen), null))
    for m, model in enumerate(NULL_MODELS):
        for name, unit, mean, null in quantities:
            chance = _null([x[:, m] for x in null])
            rows.append(_row(name, mean, unit, null=chance, null_model=model))
    spacing, random = _lattice_spacing(measured)
    rows.append(_row("spacing n^(−1/3) at the local density", spacing, "Å", null=(random, np.nan), null_model="bulk"))
    position, height, null_height = _first_peak(measured)
    nan = float("nan")
    rows.append(_row("first cation–cation peak, position", read_off(position), "Å"))
    for m, model in enumerate(NULL_MODELS):
        null = (null_height[m], nan)
        rows.append(_row("first cation–cation peak, height", read_off(height), "1", null=null, null_model=model))
    return rows


def _nearest(measured: Sequence[CompactnessResult]) -> list[np.ndarray]:
    """Mean distance of a centre to its nearest other one, Å, frame by frame; NaN with a single centre."""
    return [r.nearest_A.mean(axis=1) if r.n_centres > 1 else np.full(len(r.time_ps), np.nan) for r in measured]


def _poisson(measured: Sequence[CompactnessResult]) -> np.ndarray:
    return np.concatenate([poisson_nearest_A(r.n_centres / r.volume_A3) for r in measured])


def _lattice_spacing(measured: Sequence[CompactnessResult]) -> tuple[Estimate, float]:
    """(local density)^(−1/3) within 0.8 nm, a centre counted in its own sphere's bulk, and the same for the box."""
    local, bulk = [], []
    for r in measured:
        density = r.n_centres / r.volume_A3
        with np.errstate(divide="ignore"):
            spacing = (r.density_ratio(8.0)[0] * density) ** (-1 / 3)
        local.append(np.where(np.isfinite(spacing), spacing, np.nan))
        bulk.append(density ** (-1 / 3))
    return estimate_mean(local), float(np.concatenate(bulk).mean())


def _mean_g(measured: Sequence[CompactnessResult]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    curves = [r.g() for r in measured]
    weight = np.array([len(r.time_ps) for r in measured], float)
    weight /= weight.sum()
    g = sum(w * c[1] for w, c in zip(weight, curves, strict=True))
    return curves[0][0], g, sum(w * c[2] for w, c in zip(weight, curves, strict=True))


def _given(shell_A: float) -> Cutoff:
    nan = float("nan")
    return Cutoff("", "", shell_A, nan, nan, nan, nan, Basis.GIVEN)


def _first_shell(measured: Sequence[CompactnessResult]) -> Cutoff:
    """Edge of the first centre–centre shell, at the end of a bin."""
    r, g, _ = _mean_g(measured)
    known = np.isfinite(g)
    frames = sum(len(m.time_ps) for m in measured)
    pairs = np.sum([m.pairs.sum(axis=0) for m in measured], axis=0)
    n = measured[0].n_centres
    if known.sum() < 2:
        return replace(_given(SHELL_A), basis=Basis.FALLBACK, why=Doubt(Kind.NO_CENTRE_PAIR))
    cn = 2 * np.cumsum(pairs) / (n * frames)
    # Each pair is two neighbours but one sample.
    edge = second_minimum(r[known], g[known], cn[known], n * frames / 2, SHELL_WINDOW_A, SHELL_A)
    found, outside = edge.basis is Basis.SECOND_MINIMUM, edge.why.kind is Kind.SECOND_OUTSIDE
    why = replace(edge.why, kind=Kind.CENTRE_OUTSIDE) if outside else edge.why
    basis = Basis.CENTRE_MINIMUM if found else edge.basis
    return replace(edge, cutoff_A=end_of_bin_A(edge.cutoff_A), basis=basis, why=why)


def _first_peak(measured: Sequence[CompactnessResult]) -> tuple[float, float, np.ndarray]:
    """Position and height of the highest point of the smoothed g(r) in the window, and the nulls' heights there."""
    r, g, null = _mean_g(measured)
    inside = (r >= PEAK_WINDOW_A[0]) & (r <= PEAK_WINDOW_A[1])
    smooth = lambda y: gaussian_filter1d(np.nan_to_num(y), SMOOTHING_A / BIN_A, axis=-1)  # noqa: E731
    y, chance = smooth(g)[inside], smooth(null)[:, inside]
    top = int(np.argmax(y))
    if not y[top] > 0:
        return float("nan"), float("nan"), np.full(len(NULL_MODELS), np.nan)
    return float(r[inside][top]), float(y[top]), chance[:, top]


def _g_table(measured: Sequence[CompactnessResult]) -> pd.DataFrame:
    r, g, null = _mean_g(measured)
    return pd.DataFrame({"r_A": r, "g": g} | {f"g_{model}": null[m] for m, model in enumerate(NULL_MODELS)})


def _nearest_table(measured: Sequence[CompactnessResult], bin_A: float = 0.25) -> pd.DataFrame:
    """Distribution of nearest centre–centre distances, and 4 π n r² exp(−4 π n r³/3) of random points."""
    found = np.concatenate([r.nearest_A.ravel() for r in measured])
    found = found[np.isfinite(found)]
    density = np.concatenate([r.n_centres / r.volume_A3 for r in measured]).mean()
    edges = np.arange(0, max(found.max(initial=0.0), 3 * density ** (-1 / 3)) + bin_A, bin_A)
    count = np.histogram(found, edges)[0]
    r = 0.5 * (edges[1:] + edges[:-1])
    poisson = -np.diff(np.exp(-4 / 3 * np.pi * density * edges**3)) / bin_A
    return pd.DataFrame({"r_A": r, "density": count / max(len(found), 1) / bin_A, "poisson": poisson})


def _centre_cn(measured: Sequence[CompactnessResult], centres: str, shell: Cutoff) -> Descriptor:
    """CN of a centre by centres; without an edge of the first shell it has no value, and the reason is the rule."""
    if not np.isfinite(shell.cutoff_A):
        nothing = Estimate(float("nan"), float("nan"), float("nan"))
        why = Doubt(Kind.NO_CENTRE_EDGE, because=(shell.why,))
        return descriptor("centre_centre_cn", centres, nothing, "1", "within the first centre–centre shell", why)
    mean = estimate_mean([r.neighbours(shell.cutoff_A)[0] for r in measured])
    return descriptor("centre_centre_cn", centres, mean, "1", f"within {shell.cutoff_A:.2f} Å, {shell.rule}")


def _descriptors(
    verdict: Verdict, measured: Sequence[CompactnessResult], centres: str, shell: Cutoff
) -> list[Descriptor]:
    def about(name: str, mean: Estimate, unit: str, method: str) -> Descriptor:
        undefined = Doubt(Kind.NO_SUCH_CLUSTER)
        return descriptor(name, centres, mean, unit, method, undefined)

    ratio = [
        x / poisson_nearest_A(r.n_centres / r.volume_A3) for x, r in zip(_nearest(measured), measured, strict=True)
    ]
    found = [
        about("cipa_compact_share", verdict.share, "1", f"centres in compact clusters; call: {verdict.call}"),
        about("cipa_small_compact_share", verdict.small_share, "1", "in compact clusters below CIPA size"),
        about("cluster_diameter_nm", cluster_mean(measured, "diameter_nm"), "nm", "(6V/π)^(1/3), bound solvent in"),
        about("cluster_bare_diameter_nm", cluster_mean(measured, "bare_diameter_nm"), "nm", "(6V/π)^(1/3), ions only"),
        about("centre_nearest_distance_A", estimate_mean(_nearest(measured)), "Å", "mean over centres"),
        about("centre_nearest_ratio", estimate_mean(ratio), "1", "over 0.554 n^(−1/3) of random points"),
        _centre_cn(measured, centres, shell),
    ]
    for radius in DENSITY_RADII_A:
        mean = estimate_mean([r.density_ratio(radius)[0] for r in measured])
        found.append(about(f"local_density_ratio_{radius / 10:g}nm", mean, "1", "over the box mean (n − 1)/V"))
    return found


def _begin(setting: Setting, replica: int) -> Compactness:
    options = setting.options
    n_frames = setting.n_frames[replica - 1]
    return Compactness(setting.atoms, n_frames, options.compactness, replica, options.cipa)


def _measured(found: Findings, shift_A: float) -> list[CompactnessResult]:
    """One fold measures all shifts of a replica."""
    return [fold.result(shift_A) for fold in found.folds[Compactness, 0.0]]


def _account(found: Findings) -> Account:
    setting = found.setting
    shifted = {shift: _measured(found, shift) for shift in setting.shifts_A}
    return cipa_account(found.of(Clusters), found.of(Compactness), setting.atoms, setting.options.cipa, shifted)


def _sensitive(found: Findings, shift_A: float) -> dict[str, Series]:
    thresholds = found.setting.options.cipa
    return {"cipa_compact_share": [compact_share(r, thresholds) for r in _measured(found, shift_A)]}


#: Counting compact aggregates again for each uncertain cut-off would double the time of the whole description.
FAMILY = Family(account=_account, folds={Compactness: _begin}, radius_errors=False, sensitive=_sensitive)
