"""Descriptors and tables of scattering, over all replicas of a state point. Theory: docs/theory/scattering.md."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd

from lmbmd.analysis.family import Account, Family, Findings
from lmbmd.analysis.scattering.asked import AskedScattering
from lmbmd.analysis.scattering.curves import Curves
from lmbmd.analysis.scattering.measured import beside
from lmbmd.analysis.scattering.peak import prepeak
from lmbmd.analysis.scattering.sums import CLASSES, WEIGHTS
from lmbmd.core.words import counted
from lmbmd.data.described import Descriptor
from lmbmd.numbers.doubt import descriptor
from lmbmd.numbers.estimate import Estimate, read_off


def scattering_account(asked: AskedScattering, centre: str) -> Account:
    """What the scattering stage found.

    Args:
        asked: the sums of all replicas, and what was asked for.
        centre: the primary species.
    """
    curves = Curves(asked.replicas)
    smallest = Estimate(curves.smallest_per_A, 0.0, float("nan"), float("inf"), "exact")
    rows = [descriptor("scattering_smallest_q_per_A", "", smallest, "1/Å", "smallest wave vector of any frame")]
    for weight in WEIGHTS:
        rows += _numbers(curves, weight, _name(weight, centre), asked.options.prepeak_below_per_A)
    tables = {"scattering": _totals(curves), "scattering_parts": _parts(curves)}
    laid = []
    for measured in asked.measured:
        radiation = measured.said.radiation
        is_intensity = measured.said.quantity == "intensity"
        curve = curves.intensity_per_cm(radiation) if is_intensity else curves.faber_ziman(radiation)
        found = beside(measured, curve)
        method = f"Σ|measured − computed| / Σ|measured{'' if is_intensity else ' − 1'}| of {measured.name}"
        method += f", the computed intensity times {found.scale:.3g}" if is_intensity else ""
        rows.append(
            descriptor(
                "scattering_r_factor",
                f"{_name(radiation, centre)} {measured.name}",
                read_off(found.r_factor),
                "1",
                method,
            )
        )
        seen = found.measured
        laid.append(
            pd.DataFrame(
                {
                    "radiation": radiation,
                    "file": measured.name,
                    "quantity": measured.said.quantity,
                    "q_per_A": seen.q_per_A,
                    "measured": seen.value,
                    "measured_error": seen.error,
                    "computed": found.computed,
                }
            )
        )
    if laid:
        tables["scattering_measured"] = pd.concat(laid, ignore_index=True)
    frames = int(sum(one.frames.sum() for one in asked.replicas))
    text = (
        f"Scattering is of {counted(frames, 'frame')} of {counted(len(asked.replicas), 'replica')}; "
        f"the smallest wave vector of the box is {curves.smallest_per_A:.3f}/Å, a distance of "
        f"{2 * np.pi / curves.smallest_per_A / 10:.1f} nm."
    )
    return Account(rows, tables, [{"topic": "scattering", "text": text}])


def _name(weight: str, centre: str) -> str:
    """Who scatters, as the column ``species`` has it."""
    return {"xray": "X-ray", "neutron": "neutron", "centres": centre}[weight]


def _numbers(curves: Curves, weight: str, name: str, below_per_A: float) -> list[Descriptor]:
    curve = curves.structure(weight)
    n = len(curves.replica) if len(curves.replicas) < 3 else len(curves.replicas)
    low = Estimate(float(curve.value[0]), float(curve.error[0]), float(n), n - 1.0, "one block" if n < 2 else "")
    peak = prepeak(curve, curves.without(weight), below_per_A)
    fit = "Lorentzian on a constant between the minima to both sides"
    return [
        descriptor("low_q_structure", name, low, "1", "S(q) in the bin of the smallest wave vector"),
        descriptor("prepeak_q_per_A", name, peak.q_per_A, "1/Å", f"position: {fit}", peak.doubt),
        descriptor("prepeak_height", name, peak.height, "1", f"S at its position: {fit}", peak.doubt),
        descriptor("prepeak_length_A", name, peak.length_A, "Å", f"one over the half width: {fit}", peak.why_length),
    ]


def _totals(curves: Curves) -> pd.DataFrame:
    tables = []
    for weight in WEIGHTS:
        s, whole, intensity = curves.structure(weight), curves.faber_ziman(weight), curves.intensity_per_cm(weight)
        of_atoms = weight != "centres"
        nothing = np.full(len(s.q_per_A), np.nan)
        tables.append(
            pd.DataFrame(
                {
                    "radiation": weight,
                    "q_per_A": s.q_per_A,
                    "s": s.value,
                    "s_error": s.error,
                    "faber_ziman": whole.value if of_atoms else nothing,
                    "faber_ziman_error": whole.error if of_atoms else nothing,
                    "i_per_cm": intensity.value if of_atoms else nothing,
                    "i_error": intensity.error if of_atoms else nothing,
                    "vectors": curves.vectors,
                }
            )
        )
    return pd.concat(tables, ignore_index=True)


def _parts(curves: Curves) -> pd.DataFrame:
    """Parts by species and by class, of each pair of them."""
    species = sorted({name for name, _ in curves.parts})
    present = {name for _, name in curves.parts}
    sides: dict[str, dict[str, Sequence[int]]] = {
        "species": {s: [k for k, part in enumerate(curves.parts) if part[0] == s] for s in species},
        "class": {c: [k for k, part in enumerate(curves.parts) if part[1] == c] for c in CLASSES if c in present},
    }
    tables = []
    for weight, (kind, groups) in itertools.product(WEIGHTS, sides.items()):
        if weight == "centres":
            if kind == "species":
                continue
            groups = {name: parts for name, parts in groups.items() if curves.own(weight, parts).any()}
        for a, b in itertools.combinations_with_replacement(groups, 2):
            found = curves.part(weight, groups[a], groups[b])
            columns = {"q_per_A": found.q_per_A, "s": found.value, "s_error": found.error}
            tables.append(pd.DataFrame({"radiation": weight, "kind": kind, "first": a, "second": b, **columns}))
    return pd.concat(tables, ignore_index=True)


def _account(found: Findings) -> Account:
    setting = found.setting
    return scattering_account(setting.scattering, setting.centre) if setting.scattering else Account()


FAMILY = Family(account=_account)
