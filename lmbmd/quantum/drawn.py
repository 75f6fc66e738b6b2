"""Shells that were drawn from a run, as data: who is in them, where, how often their class occurs; and their file."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import damaged, read_json, sealed, write_text

#: Classes of shells, by the anion in it that touches most centres: none, one that touches this centre alone, …
CLASSES = ("SSIP", "CIP", "AGG-I", "AGG-II")
_REMEDY = "Run the draw stage again."


@dataclass(frozen=True)
class Molecule:
    """One molecule of a drawn shell: its species, number of atoms and charge in e."""

    species: str
    n_atoms: int
    charge_e: int


@dataclass(frozen=True, eq=False)
class DrawnShell:
    """One ion and the molecules in contact with it, cut out whole.

    Attributes:
        name: unique in its file.
        label: its members, such as ``"DME3-FSI1"``.
        kind: one of ``CLASSES``.
        frame, time_ps: where it is from.
        molecules: the ion first, then all others, in the order of the atoms.
        element, xyz_A: of every atom; (n,) symbols and (n, 3).
        contacts: pairs of atoms of the shell: the ion and a donor.
    """

    name: str
    label: str
    kind: str
    frame: int
    time_ps: float
    molecules: tuple[Molecule, ...]
    element: tuple[str, ...]
    xyz_A: np.ndarray
    contacts: tuple[tuple[int, int], ...] = ()

    @property
    def atoms(self) -> list[range]:
        """The atoms of each molecule."""
        ends = np.cumsum([0, *(m.n_atoms for m in self.molecules)]).tolist()
        return [range(a, b) for a, b in itertools.pairwise(ends)]

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {
            **asdict(replace(self, xyz_A=np.empty(0))),
            "xyz_A": np.round(self.xyz_A, 3).tolist(),
            "contacts": [list(pair) for pair in self.contacts],
        }

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> DrawnShell:
        """What ``plain`` gave.

        Raises:
            ValueError, TypeError, KeyError: if it is none, or its parts do not fit together.
        """
        known = dict(data)
        known["molecules"] = tuple(Molecule(**one) for one in known["molecules"])
        known["element"], known["xyz_A"] = tuple(known["element"]), np.array(known["xyz_A"], float).reshape(-1, 3)
        known["contacts"] = tuple((int(a), int(b)) for a, b in known["contacts"])
        found = cls(**known)
        if not found.molecules:
            raise ValueError(f"the shell '{found.name}' does not fit together: it is empty")
        n = sum(m.n_atoms for m in found.molecules)
        fits = len(found.element) == n and found.xyz_A.shape == (n, 3) and bool(np.isfinite(found.xyz_A).all())
        plain = [found.name, found.label, found.kind, *found.element, *(m.species for m in found.molecules)]
        whole = [found.frame, *(k for m in found.molecules for k in (m.n_atoms, m.charge_e))]
        fits &= all(isinstance(one, str) for one in plain) and all(type(one) is int for one in whole)
        fits &= type(found.time_ps) in (int, float) and min(m.n_atoms for m in found.molecules) > 0
        inside = all(0 <= atom < n for pair in found.contacts for atom in pair)
        if not fits or not inside or found.kind not in CLASSES:
            raise ValueError(f"the shell '{found.name}' does not fit together")
        return found


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn of one replica.

    Attributes:
        centre: the species of the ions.
        counts: (n_frames, 4) ions of each class in every frame of the run.
        shells: those drawn, in order of class and frame.
        why_not: why no shell could be drawn; "" if that was possible.
        stage: who made it.
    """

    centre: str
    counts: np.ndarray
    shells: tuple[DrawnShell, ...]
    why_not: str = ""
    stage: str = ""

    def write(self, path: str | os.PathLike[str]) -> None:
        """As sealed JSON: a changed file is noticed."""
        data = {
            "stage": self.stage,
            "centre": self.centre,
            "classes": list(CLASSES),
            "why_not": self.why_not,
            "counts": self.counts.tolist(),
            "shells": [shell.plain() for shell in self.shells],
        }
        write_text(path, json.dumps(sealed(data), ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Drawn:
        """What ``write`` wrote.

        Raises:
            LmbmdError: if it cannot be read, is none, or was edited.
        """
        data = read_json(path, what="file of drawn shells", remedy=_REMEDY, is_sealed=True)
        try:
            if data["classes"] != list(CLASSES):
                raise ValueError("it has other classes")
            counts = np.array(data["counts"], int).reshape(-1, len(CLASSES))
            if (counts < 0).any():
                raise ValueError("it counts less than no shell")
            return cls(
                str(data["centre"]),
                counts,
                tuple(DrawnShell.from_plain(one) for one in data["shells"]),
                str(data["why_not"]),
                str(data["stage"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise damaged(Path(path), "file of drawn shells", error, _REMEDY) from error


def refusal(what: LmbmdError) -> str:
    """An error as it stands in a result that says why there is none: what is wrong, and the remedy."""
    return f"{what.what} {what.remedy or ''}".strip()
