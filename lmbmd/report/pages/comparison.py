"""What the scripts of the index page draw from: every number of every state point, as compact JSON."""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
import pandas as pd

from lmbmd.analysis.features import FREE_SOLVENT, OVER_TEMPERATURES, free_solvent, usable
from lmbmd.core import rounding
from lmbmd.data.atoms import ROLES
from lmbmd.numbers.compare import LEVEL, combined, half_width, holm, p_value
from lmbmd.report.inputs import Results, StatePoint
from lmbmd.report.quoted import NOT_QUOTED, TOO_SHORT
from lmbmd.report.words import naming, narrative

#: Numbers that the pair view shows first; the others are a click away.
MAIN = (
    "density_g_cm3",
    "molarity_mol_L",
    "solvent_cn",
    "anion_cn",
    "diluent_cn",
    "additive_cn",
    "total_cn",
    "shell_anion_share",
    "free_solvent_fraction",
    "ssip_fraction_anion",
    "cip_fraction_anion",
    "agg_fraction_anion",
    "cip_agg_fraction_anion",
    "cluster_size_weight_average",
    "largest_cluster_fraction",
    "percolating_ion_fraction",
    "cluster_diameter_nm",
    "contacts_per_ion",
    "centre_nearest_distance_A",
    "cipa_compact_share",
    "residence_time_intermittent_ps",
    "shell_entropy",
    "self_diffusion_m2_s",
    "conductivity_S_m",
    "ionicity",
    "transference_nernst_einstein",
    "transference_solvent",
    "viscosity_mPa_s",
    "vehicular_share",
    "relative_permittivity",
)
#: What trends are drawn over: key of a state point's ``at``, and the label of the axis.
AXES = (
    ("concentration", "salt concentration (mol/L)"),
    ("diluent", "diluent, share of all neutral molecules"),
    ("solvent", "solvent molecules and units of chains, per cation"),
    ("temperature", "temperature (K)"),
)
#: Rows of the feature table that say how a box or a number was made.
_LEFT_OUT = ("count", "cutoff_A", "rdf_peak_g", "box_edge_nm", "sampled_ns")
#: State points up to which every pair is compared in the page; 200 of them with 250 numbers each add 2 to 4 MB.
PAIRS_UP_TO = 250


def comparison(results: Sequence[Results], features: pd.DataFrame) -> dict[str, Any]:
    """Data of the table, the pair view, the trends and the scatter plot.

    The share of free solvent is added over all solvents (species ""): exact for one solvent; for several its error is
    an upper bound, the sum of theirs.

    Args:
        results: of every formulation, in the order of the table; two state points or more.
        features: their feature table.

    Returns:
        ``points``: the state points, with ``cells`` of [number, value, error, doubt], where number and doubt are
        places in ``numbers`` and ``doubts`` (0: none) and what is missing is null. Numbers of a run that is too short
        have no error to compare them by. A number that one state point alone
        has is left out: there is nothing to compare it with. ``pairs``: see ``_pairs``.
    """
    pairs = [(one, point) for one in results for point in one.state_points]
    rows = features[~features.name.isin((*_LEFT_OUT, *(name for name, _, _ in OVER_TEMPERATURES)))]
    rows = pd.concat([rows, free_solvent(features)], ignore_index=True)
    often = rows.groupby(["name", "species"], sort=False).size()
    keys = [key for key, n in often.items() if n > 1]
    place = {key: k for k, key in enumerate(keys)}
    units = {(row.name, row.species): row.unit for row in rows.itertuples(index=False)}
    short = rows.verdict.isin(TOO_SHORT) & ((rows.error.abs() > 0) | (rows.doubt_kind != "")) & rows.value.notna()
    rows = rows.assign(
        doubt=rows.doubt.mask(short, str(NOT_QUOTED)), doubt_kind=rows.doubt_kind.mask(short, str(NOT_QUOTED.kind))
    )
    doubts = {doubt: k for k, doubt in enumerate(dict.fromkeys(["", *rows.doubt]))}
    where = {(one.name, f"{point.temperature_K:g}"): i for i, (one, point) in enumerate(pairs)}
    cells: list[list] = [[] for _ in pairs]
    found = np.full((3, len(keys), len(pairs)), np.nan)
    for row in rows.itertuples(index=False):
        if (k := place.get((row.name, row.species))) is not None:
            i = where[row.formulation, f"{row.temperature_K:g}"]
            known, error, doubt = usable(row), row.error, doubts[row.doubt]
            if known and row.verdict not in TOO_SHORT:  # also an exact number, such as the density of a fixed box
                found[:, k, i] = known.value, known.error, known.degrees_of_freedom
                error, doubt = known.error, 0
            else:
                found[0, k, i] = row.value
            cells[i].append([k, _short(row.value, 7), _short(error, 4), doubt])
    numbers = [
        {"name": n, "species": s, "label": label(n, s), "unit": rounding.unit(units[n, s]), "main": n in MAIN}
        for n, s in keys
    ]
    points = [_facts(*pair) | {"cells": of} for pair, of in zip(pairs, cells, strict=True)]
    compared = _pairs(keys, *found) if len(pairs) <= PAIRS_UP_TO else None
    return {"points": points, "numbers": numbers, "doubts": list(doubts), "axes": AXES, "pairs": compared}


def _pairs(
    keys: Sequence[tuple[str, str]], value: np.ndarray, error: np.ndarray, freedom: np.ndarray
) -> dict[str, Any]:
    """Every number of every pair of state points compared, ready to be looked up.

    Args:
        keys: (name, species) of the numbers.
        value: (numbers, points); NaN where there is none.
        error, freedom: the same; NaN where the error is not to be relied on.

    Returns:
        ``table``: bytes, compressed and in base64: three blocks of (numbers, pairs), the pairs (i, j) with i < j in
        order; places in ``p`` of the p-values corrected for all numbers, and for the main ones, and the half widths of
        the 95 % intervals in tenths of an error.
        ``p``: what to print, by place. 0: the number is not listed; 1: nothing can be told. ``told``: the last place of
        a significant p-value.
    """
    first, second = np.triu_indices(value.shape[1], 1)
    main = np.array([name in MAIN for name, _ in keys])
    p, half = np.full((2, len(keys), len(first)), np.nan), np.zeros((len(keys), len(first)))
    listed = np.isfinite(value[:, first]) & np.isfinite(value[:, second])
    for k in range(len(keys)):
        total, nu = combined(error[k, first], freedom[k, first], error[k, second], freedom[k, second])
        listed[k] &= ~_seen_before(keys, value, error, k, first, second)
        p[:, k] = np.where(listed[k], p_value(value[k, second] - value[k, first], total, nu), np.nan)
        half[k] = half_width(1.0, nu)
    p[1, ~main] = np.nan
    corrected = np.stack([holm(block.T).T for block in p])
    places = np.where(listed, np.where(np.isnan(corrected), 1, _place(corrected)), 0)
    tenths = np.clip(np.rint(10 * np.nan_to_num(half, nan=0.0, posinf=0.0)), 0, 255)
    packed = zlib.compress(np.concatenate([*places, tenths]).astype(np.uint8).tobytes(), 9)
    return {"table": base64.b64encode(packed).decode(), "p": _PRINTED, "told": _PRINTED_TOLD}


def _seen_before(
    keys: Sequence[tuple[str, str]],
    value: np.ndarray,
    error: np.ndarray,
    k: int,
    first: np.ndarray,
    second: np.ndarray,
) -> np.ndarray:
    """Pairs in which a number repeats another: with one solvent, "all solvents" and that solvent are one number."""
    double = np.zeros(len(first), bool)
    for j in range(k):
        if keys[j][0] == keys[k][0]:
            same = (value[j] == value[k]) & ((error[j] == error[k]) | np.isnan(error[j]) & np.isnan(error[k]))
            double |= same[first] & same[second]
    return double


#: What a p-value is printed as. Place 0: the number is not listed; 1: it cannot be told; then from the smallest up.
_PRINTED = ["", "–", "< 0.001"]
_PRINTED += [f"{k / 1000:.3f}" for k in range(1, 51)]
_PRINTED_TOLD = len(_PRINTED) - 1
_PRINTED += [f"{k / 1000:.3f}" for k in range(50, 100)] + [f"{k / 100:.2f}" for k in range(10, 101)]


def _place(p: np.ndarray) -> np.ndarray:
    """Places in ``_PRINTED`` of p-values."""
    thousandths, hundredths = np.clip(np.rint(1000 * p), 1, None), np.rint(100 * p)
    significant = np.where(p < 0.001, 2, 2 + np.minimum(thousandths, 50))
    others = np.where(p < 0.0995, _PRINTED_TOLD + 1 + thousandths - 50, _PRINTED_TOLD + 51 + hundredths - 10)
    return np.where(p < 1.0 - LEVEL, significant, others)


def label(name: str, species: str) -> str:
    """A number as a reader sees it: ``"Anion CN, FSI⁻"``."""
    if (name, species) == (FREE_SOLVENT, ""):
        return f"{naming.quantity(name)}, all solvents"
    whom = naming.site(species) if set(":|") & set(species) or " " not in species else species
    return f"{naming.quantity(name)}, {whom}" if species else naming.quantity(name)


def href(one: Results, point: StatePoint) -> str:
    """Where the report of a state point is, from the folder of the page that lists it."""
    anchor = f"#{point.label}-summary" if len(one.state_points) > 1 else ""
    return f"{quote(one.page or f'{one.name}/report.html')}{anchor}"


def _facts(one: Results, point: StatePoint) -> dict[str, Any]:
    verdict = narrative.verdict(point)
    scale = one.composition.get("ion_charge_scale")
    roles = {name: role for name, role in one.roles.items() if one.counts.get(name)}
    ordered = sorted(roles, key=lambda name: (ROLES.index(roles[name]) if roles[name] in ROLES else len(ROLES), name))
    parts = [name for name in ordered if roles[name] != "diluent"]
    diluents = [name for name in ordered if roles[name] == "diluent"]
    return {
        "name": one.name,
        "title": one.title,
        "href": href(one, point),
        "T": point.temperature_K if point.at else None,
        "verdict": verdict.word,
        "tone": verdict.tone,
        "base": " ".join(map(naming.species, parts)),
        "diluents": " ".join(map(naming.species, diluents)),
        "model": ""
        if one.analysed
        else f"{one.composition.get('force_field') or '?'} × {'?' if scale is None else f'{scale:g}'}",
        "at": _axes(one, point),
    }


def _axes(one: Results, point: StatePoint) -> dict[str, float | None]:
    """Where a state point stands on each of ``AXES``; None if that is not known."""
    rows = point.described.descriptors
    amounts = rows[(rows.name == "molarity_mol_L") & rows.species.isin(one.salts)].value
    of = dict.fromkeys(("cation", "solvent", "polymer", "diluent", "additive"), 0)
    for name, role in one.roles.items():
        of[role] = of.get(role, 0) + one.units.get(name, 0)
    solvent = of["solvent"] + of["polymer"]
    neutral = solvent + of["diluent"] + of["additive"]
    return {
        "concentration": _short(amounts.sum(), 6) if len(amounts) else None,
        "diluent": of["diluent"] / neutral if neutral else None,
        "solvent": solvent / of["cation"] if of["cation"] else None,
        "temperature": point.temperature_K if point.at else None,
    }


def _short(value: float, digits: int) -> float | None:
    """A number with so many significant digits, as JSON can hold it."""
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None
