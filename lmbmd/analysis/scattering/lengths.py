"""What one atom scatters: X-ray form factors and neutron scattering lengths. Sources: lengths.yaml."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import yaml

from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable

#: Classical radius of the electron, fm (CODATA 2018).
ELECTRON_RADIUS_FM = 2.8179403262


@cache
def _table() -> Mapping[str, Any]:
    text = resources.files("lmbmd.analysis.scattering").joinpath("lengths.yaml").read_text("utf-8")
    return yaml.safe_load(text)


def form_factor(kind: str, q_per_A: np.ndarray) -> np.ndarray:
    """f(q) = c + Σ aₙ exp(−bₙ (q / 4π)²) of a free atom or ion, in electrons; shape of ``q_per_A``.

    Args:
        kind: an element, or an ion as ``"Li1+"``.

    Raises:
        LmbmdError: if none is known.
    """
    row = _known("xray", kind, "X-ray form factor")
    a, c, b = np.array(row[:5]), row[5], np.array(row[6:])
    s2 = (np.asarray(q_per_A, float) / (4.0 * np.pi)) ** 2
    return c + (a * np.exp(-b * s2[..., None])).sum(axis=-1)


def neutron_length_fm(element: str) -> float:
    """Bound coherent scattering length of an element of natural abundance, or of ``"D"``, fm.

    Raises:
        LmbmdError: if none is known.
    """
    return float(_known("neutron_fm", element, "neutron scattering length"))


def _known(what: str, kind: str, name: str) -> Any:
    table = _table()[what]
    if kind not in table:
        raise LmbmdError(
            f"no {name} of '{kind}' is known here.",
            remedy="Leave scattering out for a box that holds it; known are " + ", ".join(table) + ".",
        )
    return table[kind]


def xray_kinds(atoms: AtomTable) -> np.ndarray:
    """Whose form factor each atom has, (n_atoms,) str: its element's, or a monatomic ion's own if known."""
    size = np.diff(atoms.first_atom)[atoms.molecule]
    charge = np.array([s.charge for s in atoms.species])[atoms.species_id]
    kinds = atoms.element.astype(object)
    for i in np.flatnonzero((size == 1) & (charge != 0)):
        ion = f"{atoms.element[i]}{abs(charge[i])}{'+' if charge[i] > 0 else '-'}"
        if ion in _table()["xray"]:
            kinds[i] = ion
    return kinds


def neutron_kinds(atoms: AtomTable, deuterated: Collection[str]) -> np.ndarray:
    """Whose length each atom has, (n_atoms,) str: its element's, or ``"D"`` for hydrogen of a deuterated species."""
    heavy = np.array([s.name in deuterated or (bool(s.chain) and s.chain in deuterated) for s in atoms.species])
    kinds = atoms.element.astype(object)
    kinds[heavy[atoms.species_id] & (kinds == "H")] = "D"
    return kinds
