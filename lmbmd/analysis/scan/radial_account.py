"""RDFs of all replicas together, the cut-offs read off them, and the second shell. Theory: docs/theory/cutoffs.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from lmbmd.analysis.family import Account, Family, Findings, Setting
from lmbmd.analysis.scan.rdf import RdfPairs
from lmbmd.analysis.shells.coordination import ligand_species
from lmbmd.analysis.shells.cutoffs import NUMBERS, Basis, Cutoff, Cutoffs, first_peak
from lmbmd.analysis.shells.separation import SecondShellMolecules
from lmbmd.analysis.shells.valley import DRAWINGS
from lmbmd.core.errors import LmbmdError
from lmbmd.data.described import Descriptor
from lmbmd.data.rdf import Rdf
from lmbmd.numbers.curve import estimate_curve
from lmbmd.numbers.doubt import COLUMNS as DOUBT
from lmbmd.numbers.doubt import Doubt, Kind, descriptor, doubt, told
from lmbmd.numbers.estimate import Estimate, estimate_mean, read_off


def pooled_rdf(rdfs: Sequence[Rdf]) -> Rdf:
    """One Rdf with the blocks of all replicas.

    Raises:
        LmbmdError: if bins or pairs differ.
    """
    first = rdfs[0]
    for number, other in enumerate(rdfs[1:], start=2):
        if other.pairs != first.pairs or not np.array_equal(other.edges_A, first.edges_A):
            raise LmbmdError(
                "its RDFs have other bins or pairs than those of the first replica.",
                where=f"replica {number}",
                remedy="Run the contacts stage of all replicas with the same options.",
            )
    join = lambda field: np.concatenate([getattr(r, field) for r in rdfs])  # noqa: E731
    reach = min(r.reach_A for r in rdfs)
    return replace(first, g=join("g"), count=join("count"), frames=join("frames"), reach_A=reach)


def rdf_table(rdfs: Sequence[Rdf]) -> pd.DataFrame:
    """g(r) and running CN, each with one standard error (``numbers.curve.estimate_curve``), of every pair.

    ``doubt`` says why the errors are missing or not to be relied on: blocks are few samples.

    Args:
        rdfs: one per replica, alike. Rows end where the shortest reach of them ends.
    """
    first, reach = rdfs[0], min(r.reach_A for r in rdfs)
    blocks = sum(len(r.frames) for r in rdfs)
    of_error = told(doubt(Estimate(1.0, 0.0 if blocks > 1 else float("nan"), float(blocks), source=_of_blocks(blocks))))
    inside = first.edges_A[1:] <= reach + 1e-9
    frames = [r.frames for r in rdfs]
    tables = []
    for i, (centre, partner) in enumerate(first.pairs):
        g, error = estimate_curve([r.g[:, i] for r in rdfs], frames)
        cn, cn_error = estimate_curve([np.cumsum(r.count[:, i], axis=-1) for r in rdfs], frames)
        columns = {"r_A": first.r_A, "g": g, "g_error": error, "cn": cn, "cn_error": cn_error}
        table = pd.DataFrame({name: column[inside] for name, column in columns.items()})
        table.insert(0, "partner", partner)
        table.insert(0, "centre", centre)
        tables.append(table.assign(**dict(zip(DOUBT, of_error, strict=True))))
    return pd.concat(tables, ignore_index=True)


def _of_blocks(blocks: int) -> str:
    """The source of an error that comes from blocks."""
    return "between blocks" if blocks > 1 else "one block"


def radial_account(
    rdfs: Sequence[Rdf],
    cutoffs: Cutoffs,
    second: Sequence[Cutoff],
    beyond: Sequence[Mapping[str, np.ndarray]],
    centre: str,
) -> Account:
    """Peaks, cut-offs and second shells round the primary centre; the tables ``rdf`` and ``cutoffs``; notes.

    Args:
        rdfs: one per replica.
        cutoffs: first-shell cut-offs of all pairs.
        second: second-shell cut-offs round the primary centre.
        beyond: what ``SecondShellMolecules`` found, one per replica.
        centre: the primary species.
    """
    rows = []
    for row in cutoffs.rows:
        if row.centre == centre:
            rows += [
                *_peak(row, row.partner),
                descriptor("cutoff_A", row.partner, _radius(row), "Å", f"first-shell cut-off: {row.rule}"),
            ]
    for row in second:
        if row.partner in beyond[0]:
            value = estimate_mean([found[row.partner] for found in beyond])
            edge = f"{row.cutoff_A:.2f} Å ({row.rule})" if np.isfinite(row.cutoff_A) else "the second shell"
            method = f"mass centre within {edge}, not in the first shell"
            rows.append(
                descriptor(
                    "second_shell_cn", row.partner, value, "1", method, Doubt(Kind.NO_RADIUS, because=(row.why,))
                )
            )
    of = lambda c: (*(getattr(c, name) for name in NUMBERS), c.rule, c.basis.value, c.why.kind.value)  # noqa: E731
    table = pd.DataFrame([of(c) for c in (*cutoffs.rows, *second)], columns=[*NUMBERS, "rule", "basis", "why"])
    table.insert(2, "shell", ["first"] * len(cutoffs.rows) + ["second"] * len(second))
    return Account(rows, {"rdf": rdf_table(rdfs), "cutoffs": table}, _fallback_notes(cutoffs.rows, second))


def _peak(row: Cutoff, name: str) -> list[Descriptor]:
    """The first maximum of a pair's g(r), or why there is none."""
    why = row.why or Doubt(Kind.NO_PAIR)
    return [
        descriptor("rdf_peak_A", name, read_off(row.peak_A), "Å", "first maximum of g(r)", why),
        descriptor("rdf_peak_g", name, read_off(row.peak_g), "1", "height of the first maximum", why),
    ]


def _radius(row: Cutoff) -> Estimate:
    """A cut-off, with its error where the valley is broad and noisy."""
    if row.is_uncertain:
        return Estimate(row.cutoff_A, row.error_A, float(DRAWINGS), DRAWINGS - 1.0, source="drawings")
    return read_off(row.cutoff_A)


def _fallback_notes(first: Sequence[Cutoff], second: Sequence[Cutoff]) -> list[dict[str, str]]:
    """One sentence for all pairs with the same fallback, with no radius at all, or with an uncertain one."""
    found: dict[str, list[str]] = {}
    for rows, order, what in ((first, "first", "cut-off"), (second, "second", "edge of the second shell")):
        for row in rows:
            if row.basis in (Basis.FALLBACK, Basis.NONE):
                opening = {
                    Basis.FALLBACK: f"Without a {order} minimum, {row.cutoff_A:.2f} Å is the {what} of",
                    Basis.NONE: f"There is no {what} of",
                }[row.basis]
                found.setdefault(opening, []).append(f"{row.centre}–{row.partner} ({row.why})")
            elif row.is_uncertain:
                opening = "The valley of g(r) is so broad and noisy that errors include that of the cut-off of"
                found.setdefault(opening, []).append(
                    f"{row.centre}–{row.partner} ({row.cutoff_A:.2f} ± {row.error_A:.2f} Å)"
                )
    return [{"topic": "cutoff", "text": f"{opening} {'; '.join(pairs)}."} for opening, pairs in found.items()]


def _account(found: Findings) -> Account:
    setting = found.setting
    beyond = found.of(SecondShellMolecules)
    account = radial_account(setting.rdfs, setting.cutoffs, setting.second, beyond, setting.centre)
    return replace(account, rows=[*account.rows, *_asked_for(setting)])


def _asked_for(setting: Setting) -> list[Descriptor]:
    """Peaks of the pairs of the option ``more_rdfs``."""
    rdf, usual, rows = pooled_rdf(setting.rdfs), set(RdfPairs.of(setting.atoms).labels), []
    for one, other in (pair for pair in rdf.pairs if pair not in usual):
        rows += _peak(first_peak(rdf, setting.atoms, one, other), f"{one} {other}")
    return rows


def _begin(setting: Setting, replica: int) -> SecondShellMolecules:
    ligands = {setting.atoms.species[k].name for k in ligand_species(setting.atoms)}
    radius = {row.partner: row.cutoff_A for row in setting.second if row.partner in ligands}
    return SecondShellMolecules(setting.atoms, setting.centre, radius)


FAMILY = Family(account=_account, folds={SecondShellMolecules: _begin})
