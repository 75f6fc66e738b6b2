"""Who exists: species and salts, read from ``force_fields/species.yaml``.

Imports nothing heavy, because Snakemake reads the library whenever it draws its graph.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import cache, cached_property
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from lmbmd.core.errors import LmbmdError, closest, nearest
from lmbmd.core.shipped import shipped_folder
from lmbmd.core.words import shown
from lmbmd.core.yamlfile import yaml_of
from lmbmd.data.bonds import parsed_formula

#: Of a species, a salt or a donor site.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_]{0,31}")


class UnknownName(LmbmdError):
    """No species or salt has this name, nor one that it may stand for."""


@dataclass(frozen=True)
class Species:
    """One kind of molecule or ion.

    Attributes:
        name: ASCII key without a charge, e.g. ``"FSI"``.
        smiles: one molecule, with its charge.
        formula: Hill order, without the charge.
        charge: formal charge in e.
        roles: parts it usually plays, the most usual first; a formulation decides for itself.
        sites: donor-atom kinds, name → SMARTS whose first atom is the site; empty for a monatomic ion.
        density_g_cm3: of the pure liquid at ``density_T_K``; None for ions.
        cas: registry number, "" if none is sure.
        caution: what must be known of it: what else the name means elsewhere, what is estimated; "" if nothing.
    """

    name: str
    title: str
    smiles: str
    formula: str
    charge: int
    molar_mass_g_mol: float
    roles: tuple[str, ...]
    aliases: tuple[str, ...] = ()
    sites: Mapping[str, str] = field(default_factory=dict, hash=False)
    density_g_cm3: float | None = None
    density_T_K: float | None = None
    density_source: str = ""
    cas: str = ""
    caution: str = ""

    @property
    def n_atoms(self) -> int:
        """Atoms in one molecule, counted from the formula."""
        return sum((parsed_formula(self.formula) or {}).values())

    @property
    def molar_volume_cm3_mol(self) -> float | None:
        """Volume of one mole of the pure liquid; None for ions."""
        return None if self.density_g_cm3 is None else self.molar_mass_g_mol / self.density_g_cm3


@dataclass(frozen=True)
class Salt:
    """One formula unit of a salt: how many of which ions.

    ``molar_volume_cm3_mol`` is its apparent molar volume in solution, good to about 15 %: it sets the box before
    equilibration and nothing else.
    """

    name: str
    title: str
    ions: Mapping[str, int] = field(hash=False)
    molar_volume_cm3_mol: float
    source: str
    aliases: tuple[str, ...] = ()
    cas: str = ""


_Entry = TypeVar("_Entry", Species, Salt)
#: What each key of an entry is, as its class declares it.
_TYPES: dict[Any, dict[str, Any]] = {
    kind: {key: hint for key, hint in get_type_hints(kind).items() if key != "name"} for kind in (Species, Salt)
}


@dataclass(frozen=True)
class Library:
    """All species and salts by name, and names that are refused, each with the reason.

    Attributes:
        ambiguous: names that mean two molecules.
        beyond: what fixed charges and unbreakable bonds cannot describe.
    """

    species: Mapping[str, Species]
    salts: Mapping[str, Salt]
    ambiguous: Mapping[str, str] = field(default_factory=dict)
    beyond: Mapping[str, str] = field(default_factory=dict)

    def find_species(self, name: str, *, where: str | None = None) -> Species:
        """The species of that name or alias, whatever its case, spaces, sub- and superscripts.

        Raises:
            LmbmdError: if the name is unknown, ambiguous, or a salt's.
        """
        if _plain(name) in self._salt_names:
            raise LmbmdError(f"'{name}' is a salt, not a species.", where=where, remedy="Put it under 'salts'.")
        return self._find(name, "species", self.species, self._species_names, where)

    def find_salt(self, name: str, *, where: str | None = None) -> Salt:
        """The salt of that name or alias, whatever its case, spaces, sub- and superscripts.

        Raises:
            LmbmdError: if the name is unknown, ambiguous, or a species'.
        """
        if _plain(name) in self._species_names:
            valid = f"Salts: {', '.join(sorted(self.salts))}."
            raise LmbmdError(f"'{name}' is a species, not a salt.", where=where, remedy=valid)
        return self._find(name, "salt", self.salts, self._salt_names, where)

    @cached_property
    def _species_names(self) -> dict[str, str]:
        return _names(self.species)

    @cached_property
    def _salt_names(self) -> dict[str, str]:
        return _names(self.salts)

    def _find(self, name: str, kind: str, entries: Mapping[str, Any], names: dict[str, str], where: str | None) -> Any:
        found = names.get(_plain(name))
        if found:
            return entries[found]
        for term, reason in self.ambiguous.items():
            if _plain(term) == _plain(name):
                raise LmbmdError(f"'{name}' is ambiguous: {reason}.", where=where, remedy="Write which one you mean.")
        for term, reason in self.beyond.items():
            if _plain(term) == _plain(name):
                remedy = "Leave it out, or use a method in which bonds form and charges flow."
                raise LmbmdError(f"'{name}' is not simulated: {reason}.", where=where, remedy=remedy)
        every = [n for key, entry in entries.items() for n in (key, *entry.aliases)]
        is_like = closest(name, every) is not None
        listing = "`lmbmd species`" if kind == "species" else "`lmbmd species --role salt`"
        advice = nearest(name, every) if is_like else f"{listing} lists those that there are."
        if kind == "species" and not is_like:
            advice += " A new one: lmbmd parametrize NAME --smiles SMILES (docs/parametrize.md)."
        raise UnknownName(f"there is no {kind} '{name}'.", where=where, remedy=advice)


def _plain(name: str) -> str:
    """A name as it is compared: ``"PF₆⁻"`` and ``"pf6-"`` are one."""
    text = unicodedata.normalize("NFKC", str(name)).replace("\N{MINUS SIGN}", "-")
    return "".join(text.split()).casefold()


def _names(entries: Mapping[str, Any]) -> dict[str, str]:
    return {_plain(n): name for name, entry in entries.items() for n in (name, *entry.aliases)}


def force_fields_folder() -> Path:
    """The folder with ``species.yaml`` and the released sets: inside an installed package, or of the repository.

    Raises:
        LmbmdError: if the installation has none.
    """
    return shipped_folder("force fields", "_force_fields", "force_fields", ["species.yaml"])


@cache
def load_library() -> Library:
    """Every species and salt that lmbmd knows.

    Raises:
        LmbmdError: if ``species.yaml`` contradicts itself.
    """
    path = force_fields_folder() / "species.yaml"
    return read_library(path.read_text(encoding="utf-8"), where=str(path))


def read_library(text: str, *, where: str, base: Library | None = None) -> Library:
    """Parse the text of a species file and check that every name means one thing and every salt is neutral.

    Args:
        base: species and salts that the file adds to; it may not name one of theirs anew.

    Raises:
        LmbmdError: if the file contradicts itself or ``base``, or is not such a file.
    """
    base = base or Library({}, {})
    data, _ = yaml_of(text, where)
    parts = {key: _lines(data.get(key), f"{where}:{key}") for key in ("species", "salts", "ambiguous", "beyond")}
    species = {name: _species(name, entry, f"{where}:species.{name}") for name, entry in parts["species"].items()}
    salts = {name: _entry(Salt, name, entry, f"{where}:salts.{name}") for name, entry in parts["salts"].items()}
    _check_names(species, salts, where)
    if twice := [name for name in (*species, *salts) if name in base.species or name in base.salts]:
        raise LmbmdError(f"{twice[0]} is in lmbmd's library.", where=where, remedy="Take another name, or none.")
    species, salts = {**base.species, **species}, {**base.salts, **salts}
    seen: dict[str, str] = {}
    named: dict[str, Species | Salt] = {**species, **salts}
    for name, entry in named.items():
        for key in {_plain(n) for n in (name, *entry.aliases)}:
            if key in seen:
                raise LmbmdError(f"'{key}' names both {seen[key]} and {name}.", where=where, remedy="Keep one.")
            seen[key] = name
    for salt in salts.values():
        unknown = [ion for ion in salt.ions if ion not in species]
        if unknown:
            raise LmbmdError(f"{salt.name} needs {unknown[0]}.", where=where, remedy=nearest(unknown[0], species))
        if neutral := [ion for ion in salt.ions if species[ion].charge == 0]:
            remedy = "A salt is made of ions alone; give the molecule an amount of its own."
            raise LmbmdError(f"{salt.name} holds {neutral[0]}, which is no ion.", where=where, remedy=remedy)
        charge = sum(n * species[ion].charge for ion, n in salt.ions.items())
        if charge:
            raise LmbmdError(f"{salt.name} has charge {charge:+d}.", where=where, remedy="Mend the counts of its ions.")
    refused = ({**getattr(base, kind), **parts[kind]} for kind in ("ambiguous", "beyond"))
    return Library(species, salts, *refused)


def _check_names(species: Mapping[Any, Species], salts: Mapping[Any, Salt], where: str) -> None:
    """Refuse names that could not stand in paths, tables and other programs' files."""
    sites = [site for entry in species.values() for site in entry.sites]
    for kind, names in (("species", species), ("salt", salts), ("donor site", sites)):
        for name in names:
            if not (isinstance(name, str) and _NAME.fullmatch(name)):
                remedy = "Use up to 32 letters, digits and '_', in quotes if they are digits alone."
                raise LmbmdError(f"{name!r} cannot name a {kind}.", where=where, remedy=remedy)


def _species(name: str, entry: Any, where: str) -> Species:
    entry = _lines(entry, where)
    density = _lines(entry.pop("density", None), f"{where}.density")
    return _entry(Species, name, {**entry, **{f"density_{key}": value for key, value in density.items()}}, where)


def _entry(kind: type[_Entry], name: str, entry: Any, where: str) -> _Entry:
    """A species or salt, every key of its entry being of the type that the class declares."""
    entry, types = _lines(entry, where), _TYPES[kind]
    for key, value in entry.items():
        if key not in types:
            raise LmbmdError(f"unknown key '{key}'.", where=where, remedy=nearest(str(key), types))
        accepts, words = _ACCEPTED[types[key]]
        if not accepts(value):
            raise LmbmdError(f"{shown(value)} is not {words}.", where=f"{where}.{key}", remedy=f"Give {words}.")
    needed = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    if lacking := [key for key in needed if key not in entry and key != "name"]:
        raise LmbmdError(f"the key '{lacking[0]}' is missing.", where=where, remedy=f"Add a line '{lacking[0]}: …'.")
    values: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in entry.items()}
    return kind(name=name, **values)


def _lines(data: Any, where: str) -> dict[Any, Any]:
    """A copy of a section; empty if it is not there."""
    if data is None:
        return {}
    if not isinstance(data, dict):
        remedy = "Give lines of 'key: value', as force_fields/species.yaml has them."
        raise LmbmdError(f"{shown(data)} is not lines of 'key: value'.", where=where, remedy=remedy)
    return dict(data)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


#: By the type that ``Species`` and ``Salt`` declare: whether a value of the file is one, and what it must be, in words.
_ACCEPTED: dict[Any, tuple[Callable[[Any], bool], str]] = {
    str: (_is_text, "text"),
    int: (_is_whole, "a whole number"),
    float: (_is_number, "a number"),
    float | None: (_is_number, "a number"),
    tuple[str, ...]: (lambda value: isinstance(value, list) and all(map(_is_text, value)), "a list of texts"),
    Mapping[str, str]: (
        lambda value: isinstance(value, dict) and all(map(_is_text, value.values())),
        "lines of 'name: text'",
    ),
    Mapping[str, int]: (
        lambda value: isinstance(value, dict) and all(_is_whole(n) and n > 0 for n in value.values()),
        "lines of 'name: whole number'",
    ),
}
