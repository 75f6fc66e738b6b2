"""Descriptors and tables of bands by class, over all replicas of a state point. Theory: docs/theory/energies.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from lmbmd.analysis.energies.weighted import Sample, of_class, weighted
from lmbmd.analysis.family import Account, Family, Findings
from lmbmd.core.words import counted
from lmbmd.data.described import Descriptor
from lmbmd.numbers.doubt import Doubt, Kind, descriptor
from lmbmd.numbers.estimate import Estimate, shares
from lmbmd.quantum.drawn import CLASSES, classes_of, counts_of
from lmbmd.quantum.run import Energies

#: Points of the curve in the width of a line, and how many widths it goes beyond the outermost lines.
POINTS, BEYOND = 16, 6.0
#: A mode that has less of a band's motion is not told from others.
LEAST_SHARE = 0.5


def bands_account(replicas: Sequence[Energies]) -> Account:
    """What the quantum stage found of the bands of anions and solvents.

    Args:
        replicas: one per replica, made with the same options; ``Account()`` if none has bands.
    """
    options = replicas[0].facts["options"].get("bands") if replicas else None
    names = list(dict.fromkeys(name for one in replicas for name in one.bands))
    if not options or not names:
        return Account()
    rows: list[Descriptor] = []
    tables: list[tuple] = []
    single: list[tuple] = []
    curves: list[pd.DataFrame] = []
    notes: list[dict[str, str]] = []
    method = f"PBE0/{options['basis']}"
    for name in names:
        each = [one.bands[name] for one in replicas if name in one.bands]
        known = [one for one in each if "why_not" not in one]
        if not known:
            notes.append({"topic": "quantum", "text": f"Bands of {name} were not computed: {each[0]['why_not']}."})
            continue
        free = _free(known)
        done = [sorted((s for s in one["shells"] if "why_not" not in s["found"]), key=_frame) for one in known]
        classes = classes_of(known[0])
        noun = "anion" if classes == CLASSES else "molecule"
        counts = [counts_of(one["counts"], classes) for one in known]
        samples = [_sample(shells, classes) for shells in done]
        n_drawn, n_done = sum(len(one["shells"]) for one in known), sum(map(len, done))
        definition = f"harmonic wavenumber of {known[0]['title']}; {method}, among the ions that touch the {noun}"
        nothing = Doubt(Kind.NO_ENERGY, n=n_drawn)
        whole = weighted(samples, counts)
        rows.append(descriptor("band_cm", name, whole, "1/cm", f"{definition}, weighted by class", nothing))
        alone = Estimate(free, 0.0 if np.isfinite(free) else float("nan"), float("nan"), float("inf"), "exact")
        none_alone = Doubt(Kind.NO_ENERGY, n=sum(len(one["alone"]) for one in known))
        said = f"the same of the {noun} by itself, at its lowest minimum below drawn geometries; {method}"
        rows.append(descriptor("free_band_cm", name, alone, "1/cm", said, none_alone))
        rows.append(_shift(name, whole, free, f"band_cm minus free_band_cm; {method}, weighted by class", nothing))
        of_kind = shares(counts, max((int(c[0].sum()) for c in counts if len(c)), default=0))
        total = np.concatenate(counts).sum(axis=0)
        lines: list[tuple[str, float, float]] = []
        for c, kind in enumerate(classes):
            drawn = [s for one in known for s in one["shells"] if s["kind"] == kind]
            mine = [s for shells in done for s in shells if s["kind"] == kind]
            share = (of_kind[c].value, of_kind[c].error) if of_kind else (float("nan"), float("nan"))
            band = of_class(samples, c) if mine else None
            if band is not None:
                said = f"band minus that of the {noun} by itself; {method}, of the class {kind}"
                rows.append(_shift(f"{name}:{kind}", band, free, said))
                weight = total[c] / total.sum() / len(mine)
                lines += [(kind, s["found"]["band_cm"], weight) for s in mine]
            in_mode = float(np.mean([s["found"]["share"] for s in mine])) if mine else float("nan")
            why = "; ".join(dict.fromkeys(s["found"]["why_not"] for s in drawn if "why_not" in s["found"]))
            value, error = (band.value, band.error) if band else (float("nan"), float("nan"))
            head = (name, known[0]["title"], method, kind, *share, len(drawn), len(mine))
            tables.append((*head, value, error, value - free, in_mode, why))
        per_class = {kind: sum(s["kind"] == kind for shells in done for s in shells) for kind in classes}
        for number, shells in enumerate(done, start=1):
            for s in shells:
                weight = total[classes.index(s["kind"])] / total.sum() / per_class[s["kind"]]
                at = s["found"]["band_cm"]
                whose = (name, number, s["name"], s["label"], s["kind"], weight)
                single.append((*whose, at, at - free, s["found"]["share"]))
        if lines:
            curves.append(curve(name, lines, options["shape"], float(options["width_cm"])))
        text = f"{counted(n_drawn, noun)} {name} were drawn for their band and {n_done} computed by {method}."
        notes.append({"topic": "bands", "text": f"{text} {_left_out(known[0], noun, samples, total)}".strip()})
        if n_done and min(s["found"]["share"] for shells in done for s in shells) < LEAST_SHARE:
            text = f"The band of {name} is less than half of its motion in some {noun}s"
            notes.append({"topic": "quantum", "text": f"{text}: it is not told from other modes."})
    columns = ["species", "band", "method", "kind", "share", "share_error", "drawn", "computed", "band_cm", "error"]
    found = {
        "bands": pd.DataFrame(tables, columns=[*columns, "shift_cm", "in_mode", "why_not"]),
        "bands_anions": pd.DataFrame(
            single,
            columns=["species", "replica", "shell", "label", "kind", "weight", "band_cm", "shift_cm", "in_mode"],
        ),
    }
    if curves:
        found["bands_curve"] = pd.concat(curves, ignore_index=True)
    return Account(rows, found if tables else {}, notes)


def curve(species: str, lines: Sequence[tuple[str, float, float]], shape: str, width_cm: float) -> pd.DataFrame:
    """A line for every drawn molecule, added up over all ("all") and over each class.

    Args:
        species: for the first column.
        lines: class, wavenumber (1/cm) and weight of each.
        shape: ``"lorentzian"`` or ``"gaussian"``, of area one.
        width_cm: full width at half height, 1/cm.

    Returns:
        columns ``species``, ``kind``, ``wavenumber_cm``, ``intensity_cm`` (cm; its integral is the sum of the weights).
    """
    at = np.array([place for _, place, _ in lines])
    step = width_cm / POINTS
    first, last = np.floor((at.min() - BEYOND * width_cm) / step), np.ceil((at.max() + BEYOND * width_cm) / step)
    x = step * np.arange(first, last + 1)
    apart = x[:, None] - at
    if shape == "gaussian":
        sigma = width_cm / (2 * np.sqrt(2 * np.log(2)))
        each = np.exp(-0.5 * (apart / sigma) ** 2) / (sigma * np.sqrt(2 * np.pi))
    else:
        each = width_cm / (2 * np.pi) / (apart**2 + width_cm**2 / 4)
    each = each * np.array([weight for _, _, weight in lines])
    kinds = np.array([kind for kind, _, _ in lines])  # in the order of classes
    parts = [("all", each.sum(axis=1))]
    parts += [(kind, each[:, kinds == kind].sum(axis=1)) for kind in dict.fromkeys(kinds.tolist())]
    return pd.concat(
        [pd.DataFrame({"species": species, "kind": kind, "wavenumber_cm": x, "intensity_cm": y}) for kind, y in parts],
        ignore_index=True,
    )


def _frame(shell: Mapping[str, Any]) -> int:
    return int(shell["frame"])


def _sample(shells: Sequence[Mapping[str, Any]], classes: Sequence[str]) -> Sample:
    return Sample(
        np.array([classes.index(s["kind"]) for s in shells], int),
        np.array([s["found"]["band_cm"] for s in shells], float),
        np.ones(len(shells)),
    )


def _free(known: Sequence[Mapping[str, Any]]) -> float:
    """The band of the lowest molecule by itself, 1/cm; NaN if none was computed."""
    found = [one for each in known for one in each["alone"] if "why_not" not in one]
    return float(min(found, key=lambda one: one["energy_kJ_mol"])["band_cm"]) if found else float("nan")


def _shift(species: str, band: Estimate, free: float, definition: str, nothing: Doubt | None = None) -> Descriptor:
    shifted = replace(band, value=band.value - free, error=band.error if np.isfinite(free) else float("nan"))
    return descriptor("band_shift_cm", species, shifted, "1/cm", definition, nothing or Doubt(Kind.NO_ENERGY, n=1))


def _left_out(one: Mapping[str, Any], noun: str, samples: Sequence[Sample], total: np.ndarray) -> str:
    """What the numbers of a species say nothing of, in sentences; "" if nothing."""
    text = []
    seen = {int(c) for sample in samples for c in sample.kind}
    unseen = sum(int(n) for c, n in enumerate(total) if c not in seen) / max(int(total.sum()), 1)
    if unseen > 0:
        text.append(f"No {noun} stands for {100 * unseen:.2g} % of them.")
    if classes_of(one) != CLASSES:
        text.append("Free ones are computed by themselves: contacts do not say what is round them.")
    if one.get("n_groups", 1) > 1:
        text.append(f"Of its {one['n_groups']} {one['title']} those that an ion touches are followed, or else all.")
    return " ".join(text)


def _account(found: Findings) -> Account:
    return bands_account(found.setting.energies)


FAMILY = Family(account=_account)
