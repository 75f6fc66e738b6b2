"""Tables and descriptors of solvent-separated and isolated ions, over all replicas of a state point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lmbmd.analysis.family import Account, Family, Findings, Setting
from lmbmd.analysis.shells.coordination import kind
from lmbmd.analysis.shells.cutoffs import Basis, Cutoff
from lmbmd.analysis.shells.separation import SecondShell
from lmbmd.data.atoms import AtomTable
from lmbmd.numbers.doubt import COLUMNS as DOUBT
from lmbmd.numbers.doubt import Doubt, Kind, descriptor, entry
from lmbmd.numbers.estimate import Estimate, shares

#: What follows the name of a quantity in the columns of a table that holds several: value, error, doubt.
_PARTS = ("", "_error", *(f"_{column}" for column in DOUBT))


def separation_account(
    counts: Sequence[np.ndarray], labels: Sequence[str], atoms: AtomTable, centre: str, edges: Mapping[str, Cutoff]
) -> Account:
    """What ``SecondShell`` found: descriptors, and the table ``separation``.

    Ions in contact are in neither share: solvent-separated and isolated add up to the free fraction. Without an edge
    of the second shell of an anion neither share of it has a value, nor that of the centres.

    Args:
        counts: (n_frames, n_labels, 2) per replica.
        labels: ``SecondShell.labels``.
        atoms: of the box.
        centre: the primary species.
        edges: outer edge of the second shell by anion species.
    """
    descriptors, rows = [], []
    for k, label in enumerate(labels):
        who, name = ("anion", label) if label else ("centre", centre)
        used = [edges[label]] if label else list(edges.values())
        separated, isolated = shares([c[:, k] for c in counts], atoms.count(name))
        unknown = [e for e in used if np.isnan(e.cutoff_A)]
        if unknown:
            separated = isolated = Estimate(np.nan, np.nan, np.nan)
        whys = tuple(Doubt(Kind.NO_SECOND_EDGE, of=e.partner, because=(e.why,)) for e in unknown)
        why = whys[0] if len(whys) == 1 else Doubt(Kind.SEVERAL, because=whys)
        told = ", ".join(f"{e.partner} {e.cutoff_A:.2f} Å" for e in used if e not in unknown) or "unknown"
        method = f"share of all {name} without an ion in contact but with one within the second shell ({told})"
        descriptors.append(descriptor(f"solvent_separated_{who}_fraction", name, separated, "1", method, why))
        method = f"share of all {name} without an ion in the first or second shell ({told})"
        descriptors.append(descriptor(f"isolated_{who}_fraction", name, isolated, "1", method, why))
        radius, rule = (used[0].cutoff_A, used[0].rule) if len(used) == 1 else (np.nan, "that of each anion")
        rows.append((name, *entry(separated), *entry(isolated), radius, rule))
    columns = ["species", *(f"{which}{part}" for which in ("solvent_separated", "isolated") for part in _PARTS)]
    columns += ["radius_A", "rule"]
    return Account(descriptors, {"separation": pd.DataFrame(rows, columns=columns)})


def edges(setting: Setting) -> dict[str, Cutoff]:
    """The edge of the second shell of every anion species; NaN, with its reason, where there is none."""
    found = {row.partner: row for row in setting.second}
    anions = [s.name for s in setting.atoms.species if kind(s) == "anion"]
    # An anion without a donor site has no contacts and no second shell to be in.
    nan, no_site = float("nan"), Doubt(Kind.NO_SITE)
    nothing = {name: Cutoff(setting.centre, name, 0.0, nan, nan, nan, nan, Basis.NONE, no_site) for name in anions}
    return {name: found.get(name, nothing[name]) for name in anions}


def _begin(setting: Setting, replica: int) -> SecondShell:
    radius = {name: 0.0 if np.isnan(edge.cutoff_A) else edge.cutoff_A for name, edge in edges(setting).items()}
    return SecondShell(setting.atoms, setting.centre, radius)


def _account(found: Findings) -> Account:
    setting, results = found.setting, found.of(SecondShell)
    counts, labels = [r.counts for r in results], results[0].labels
    return separation_account(counts, labels, setting.atoms, setting.centre, edges(setting))


FAMILY = Family(account=_account, folds={SecondShell: _begin}, radius_errors=True)
