"""Shells that were drawn from a run, as data: who is in them, where, how often their class occurs; and their file."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import damaged, read_json, sealed, write_text

#: Classes of shells, by the anion in it that touches most centres: none, one that touches this centre alone, …
CLASSES = ("SSIP", "CIP", "AGG-I", "AGG-II")
#: Classes of neutral molecules, by how many centres touch one: none, one, two or more.
NEUTRAL_CLASSES = ("free", "bound", "bridging")
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
        kind: one of ``CLASSES``, or of those of a drawn partner.
        frame, time_ps: where it is from.
        molecules: the ion first, then all others, in the order of the atoms.
        element, xyz_A: of every atom; (n,) symbols and (n, 3).
        contacts: pairs of atoms of the shell: the ion and a donor.
        charge_e: partial charges of all atoms, of each molecule adding up to its charge; of shells round partners.
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
    charge_e: tuple[float, ...] = ()

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
            "charge_e": [round(one, 4) for one in self.charge_e],
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
        known["charge_e"] = tuple(float(one) for one in known.get("charge_e", ()))
        found = cls(**known)
        if not found.molecules:
            raise ValueError(f"the shell '{found.name}' does not fit together: it is empty")
        n = sum(m.n_atoms for m in found.molecules)
        fits = len(found.element) == n and found.xyz_A.shape == (n, 3) and bool(np.isfinite(found.xyz_A).all())
        plain = [found.name, found.label, found.kind, *found.element, *(m.species for m in found.molecules)]
        whole = [found.frame, *(k for m in found.molecules for k in (m.n_atoms, m.charge_e))]
        fits &= all(isinstance(one, str) for one in plain) and all(type(one) is int for one in whole)
        fits &= type(found.time_ps) in (int, float) and min(m.n_atoms for m in found.molecules) > 0
        fits &= len(found.charge_e) in (0, n) and bool(np.isfinite(found.charge_e).all())
        inside = all(0 <= atom < n for pair in found.contacts for atom in pair)
        if not fits or not inside or found.kind not in (*CLASSES, *NEUTRAL_CLASSES):
            raise ValueError(f"the shell '{found.name}' does not fit together")
        return found


@dataclass(frozen=True, eq=False)
class DrawnPartners:
    """What was drawn of one species of partners of the centres, anions or neutral molecules, in one replica.

    Attributes:
        species: its name.
        classes: by how many centres touch a partner. ``CLASSES`` of anions: none, one, two to ``agg_ii_from`` − 1,
            more; ``NEUTRAL_CLASSES`` of neutral molecules.
        counts: (n_frames, n_classes) partners of each class in every frame.
        shells: of each class some: the partner first, the ions in contact with it, all other molecules in contact with
            these ions. They have partial charges.
    """

    species: str
    classes: tuple[str, ...]
    counts: np.ndarray
    shells: tuple[DrawnShell, ...]

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        shells = [shell.plain() for shell in self.shells]
        counts = self.counts.tolist()
        return {"species": self.species, "classes": list(self.classes), "counts": counts, "shells": shells}

    @classmethod
    def from_plain(cls, data: Mapping[str, Any]) -> DrawnPartners:
        """What ``plain`` gave.

        Raises:
            ValueError, TypeError, KeyError: if it is none, or its parts do not fit together.
        """
        shells = tuple(DrawnShell.from_plain(one) for one in data["shells"])
        classes = classes_of(data)
        if not all(shell.charge_e and shell.kind in classes and _is_round_partner(shell) for shell in shells):
            raise ValueError(f"a shell round {data['species']} does not fit together")
        return cls(str(data["species"]), classes, counts_of(data["counts"], classes), shells)


def classes_of(data: Mapping[str, Any]) -> tuple[str, ...]:
    """The classes of a species as they were filed; files from before there were others than of anions name none.

    Raises:
        ValueError, TypeError: if these are none.
    """
    classes = tuple(data.get("classes", CLASSES))
    if classes not in (CLASSES, NEUTRAL_CLASSES):
        raise ValueError("it has other classes")
    return classes


def _is_round_partner(shell: DrawnShell) -> bool:
    """Whether every contact is one of a molecule of one atom with the first molecule."""
    ions = {span.start for span in shell.atoms[1:] if len(span) == 1}
    return all(ion in ions and donor in shell.atoms[0] for ion, donor in shell.contacts)


def counts_of(data: Any, classes: Sequence[str] = CLASSES) -> np.ndarray:
    """Ions or molecules of each class in every frame, (n_frames, n_classes) int64, as they were filed.

    Raises:
        ValueError, TypeError, OverflowError: if these are none.
    """
    counts = np.array(data, int).reshape(-1, len(classes))
    if (counts < 0).any():
        raise ValueError("it counts less than nothing")
    return counts


@dataclass(frozen=True, eq=False)
class Drawn:
    """What was drawn of one replica.

    Attributes:
        centre: the species of the ions.
        counts: (n_frames, 4) ions of each class in every frame of the run.
        shells: those drawn, in order of class and frame.
        why_not: why no shell could be drawn; "" if that was possible.
        stage: who made it.
        partners: one per species whose band is asked for.
    """

    centre: str
    counts: np.ndarray
    shells: tuple[DrawnShell, ...]
    why_not: str = ""
    stage: str = ""
    partners: tuple[DrawnPartners, ...] = ()

    def write(self, path: str | os.PathLike[str]) -> None:
        """As sealed JSON: a changed file is noticed."""
        data = {
            "stage": self.stage,
            "centre": self.centre,
            "classes": list(CLASSES),
            "why_not": self.why_not,
            "counts": self.counts.tolist(),
            "shells": [shell.plain() for shell in self.shells],
            **({"partners": [one.plain() for one in self.partners]} if self.partners else {}),
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
            shells = tuple(DrawnShell.from_plain(one) for one in data["shells"])
            if not all(shell.kind in CLASSES for shell in shells):
                raise ValueError("one of its shells has another class")
            of_partners = data.get("partners", data.get("anions", ()))  # so called when there were no others
            return cls(
                str(data["centre"]),
                counts_of(data["counts"]),
                shells,
                str(data["why_not"]),
                str(data["stage"]),
                tuple(DrawnPartners.from_plain(one) for one in of_partners),
            )
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise damaged(Path(path), "file of drawn shells", error, _REMEDY) from error


def refusal(what: LmbmdError) -> str:
    """An error as it stands in a result that says why there is none: what is wrong, and the remedy."""
    return f"{what.what} {what.remedy or ''}".strip()
