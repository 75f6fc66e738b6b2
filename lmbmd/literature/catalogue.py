"""The electrolytes of the literature by name: what is known of each, and whether it can be simulated here and now.

Each entry is a file of ``catalogue/``. Where its recipe composes it is a formulation like any other, with one further
section ``catalogue``; where there is no recipe, that section says why. Whether an entry can be built is never written
down: it is composed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from lmbmd.core.errors import LmbmdError, closest, nearest
from lmbmd.core.options import FROZEN
from lmbmd.core.shipped import shipped_folder
from lmbmd.core.validation import validated
from lmbmd.core.yamlfile import read_yaml
from lmbmd.data.library import Library, Salt, Species, load_library
from lmbmd.forcefield.own import OwnSet, every_set
from lmbmd.formulation.amounts import contents
from lmbmd.formulation.composition import Composition, compose
from lmbmd.formulation.models import SECTIONS, Formulation, Listing
from lmbmd.formulation.resolve import find_components
from lmbmd.formulation.sweeps import load_formulations

State = Literal["builds", "builds in part", "lacks parameters", "refused", "same as", "not simulated"]

#: States of entries that a study can run, at least in part.
RUNS: tuple[State, ...] = ("builds", "builds in part")


class _Explained(BaseModel):
    """A file of the catalogue without a recipe."""

    model_config = FROZEN

    title: str = Field(max_length=200)
    source: str = Field("", max_length=2000)
    notes: str = Field("", max_length=10_000)
    assumptions: tuple[Annotated[str, Field(max_length=1000)], ...] = ()
    catalogue: Listing


@dataclass(frozen=True)
class Entry:
    """One electrolyte of the catalogue.

    Attributes:
        name: of its file, and of the bottle that a study makes of it.
        listing: class, status, scope, and why there is no recipe if there is none.
        bottles: what it is simulated as: one, several for a sweep, none without a recipe.
        mentions: its components by the names that its file has, or those its source names.
    """

    name: str
    path: Path
    title: str
    source: str
    notes: str
    assumptions: tuple[str, ...]
    listing: Listing
    bottles: tuple[Formulation, ...]
    mentions: tuple[str, ...]


@dataclass(frozen=True)
class Bottle:
    """One bottle of an entry, composed or not.

    ``force_field`` is the first set that has all its species, beginning with the one that the bottle asks for, then
    the newest. ``lacking`` are the components that are unknown and the species without parameters in the first.
    """

    formulation: Formulation
    composition: Composition | None
    force_field: str
    lacking: tuple[str, ...] = ()
    refusal: str = ""


@dataclass(frozen=True)
class Standing:
    """Whether an entry can be simulated with the library and the parameter sets of this installation."""

    state: State
    detail: str
    bottles: tuple[Bottle, ...] = ()

    @property
    def lacking(self) -> tuple[str, ...]:
        """Species and salts without which some bottle cannot be built, each once."""
        return tuple(dict.fromkeys(name for bottle in self.bottles for name in bottle.lacking))


def catalogue_folder() -> Path:
    """The folder with the entries: inside an installed package, or of the repository.

    Raises:
        LmbmdError: if the installation has none.
    """
    return shipped_folder("catalogue", "_catalogue", "catalogue")


@cache
def load_catalogue() -> Mapping[str, Entry]:
    """Every entry by name, in alphabetical order.

    Raises:
        LmbmdError: if a file is not an entry, or refers to an entry that does not exist.
    """
    entries = {path.stem: load_entry(path) for path in sorted(catalogue_folder().glob("*.yaml"))}
    for entry in entries.values():
        target = entry.listing.same_as
        if target and (target not in entries or not entries[target].bottles):
            raise LmbmdError(f"there is no box '{target}'.", where=str(entry.path), remedy=nearest(target, entries))
    return entries


def load_entry(path: Path) -> Entry:
    """Read one file of the catalogue.

    Raises:
        LmbmdError: if it is no entry.
    """
    data, lines = read_yaml(path)
    listing = data.get("catalogue")
    if not isinstance(listing, Mapping):
        raise LmbmdError(
            "this entry has no section 'catalogue'.", where=str(path), remedy="Give its class and its status."
        )
    bottles: list[Formulation] = []
    if "why_not" in listing or "same_as" in listing:
        head: _Explained | Formulation = validated(_Explained, data, path=path, lines=lines)
        mentions = list(head.catalogue.mentions) if head.catalogue else []
    else:
        bottles = load_formulations(path)
        head = bottles[0]
        mentions = [
            name for bottle in bottles for section in (*SECTIONS, "polymers") for name in getattr(bottle, section)
        ]
    assert head.catalogue is not None
    return Entry(
        path.stem,
        path,
        str(data.get("title", "")),
        head.source,
        head.notes,
        head.assumptions,
        head.catalogue,
        tuple(bottles),
        tuple(dict.fromkeys(mentions)),
    )


def recipes(names: Collection[str]) -> dict[str, str]:
    """What the bottles of these names hold (``formulation.amounts.contents``); those that the catalogue has."""
    library, found = load_library(), {}
    for path in sorted(catalogue_folder().glob("*.yaml")):
        if any(name == path.stem or name.startswith(f"{path.stem}.") for name in names):
            for bottle in load_entry(path).bottles:
                try:
                    amounts = {one.name: one.amount for one in find_components(bottle, library)}
                except LmbmdError:  # of something that the library does not have
                    continue
                found[bottle.name] = contents(amounts)
    return {name: found[name] for name in names if name in found}


def find_entry(name: str) -> Entry:
    """The entry of that name.

    Raises:
        LmbmdError: with the nearest name if there is none.
    """
    entries = load_catalogue()
    if name not in entries:
        one = closest(name, entries)
        like = [known for known in entries if known.startswith(name)][:8] or ([one] if one else [])
        near = " or ".join(map(repr, like))
        remedy = f"Did you mean {near}?" if near else "`lmbmd catalogue` lists all of them."
        raise LmbmdError(f"the catalogue has no '{name}'.", remedy=remedy)
    return entries[name]


def box_of(entry: Entry) -> Entry:
    """The entry whose box answers this one: itself, or the one it names.

    Raises:
        LmbmdError: if no box of it is simulated, with the reason.
    """
    if entry.listing.same_as:
        return find_entry(entry.listing.same_as)
    if not entry.bottles:
        raise LmbmdError(
            f"'{entry.name}' ({entry.title}) is not simulated. {entry.listing.why_not}",
            remedy="`lmbmd catalogue --buildable` lists what is.",
        )
    return entry


def standing(entry: Entry, library: Library | None = None, own: Mapping[str, OwnSet] | None = None) -> Standing:
    """Compose every bottle of an entry at its size, and say how far that goes.

    Args:
        library: species and salts; those of lmbmd by default.
        own: the user's parameter sets (``forcefield.own.own_sets``), which are tried last.
    """
    library, own = library or load_library(), own or {}
    if entry.listing.same_as:
        target = entry.listing.same_as
        return Standing("same as", target, standing(find_entry(target), library, own).bottles)
    if not entry.bottles:
        return Standing("not simulated", entry.listing.why_not)
    bottles = tuple(_bottle(formulation, library, own) for formulation in entry.bottles)
    built = [b for b in bottles if b.composition]
    if len(built) == len(bottles):
        return Standing("builds", _size(bottles), bottles)
    lacking = ", ".join(dict.fromkeys(name for b in bottles for name in b.lacking))
    if built:
        return Standing("builds in part", f"{len(built)} of {len(bottles)} bottles; lacks {lacking}", bottles)
    if lacking:
        return Standing("lacks parameters", lacking, bottles)
    return Standing("refused", bottles[0].refusal, bottles)


def _size(bottles: Sequence[Bottle]) -> str:
    atoms = [b.composition.n_atoms for b in bottles if b.composition]
    return f"{atoms[0]} atoms" if len(atoms) == 1 else f"{len(atoms)} bottles, {min(atoms)} to {max(atoms)} atoms"


def _bottle(formulation: Formulation, library: Library, own: Mapping[str, OwnSet]) -> Bottle:
    sets = every_set(own)
    newest = sorted(sets, key=lambda name: (name in own, [-int(part) for part in name.rpartition("-")[2].split(".")]))
    short = []
    for name in dict.fromkeys([formulation.force_field, *newest]):
        known = own[name].library if name in own else library
        unknown, species = _species(formulation, known)
        short.append((*unknown, *(s for s in species if s not in sets[name].species)))
        if short[-1]:
            continue
        formulation = formulation.model_copy(update={"force_field": name})
        try:
            found = compose(
                formulation,
                known,
                cutoff_nm=sets[name].cut_off_A / 10,
                ion_charge_scale=sets[name].ion_charge_scale,
            )
            return Bottle(formulation, found, name)
        except LmbmdError as error:
            return Bottle(formulation, None, name, refusal=str(error))
    return Bottle(formulation, None, formulation.force_field, short[0])


def _species(formulation: Formulation, library: Library) -> tuple[list[str], list[str]]:
    """Components that the library does not know, and the species of those it does."""
    unknown: list[str] = []
    species: list[str] = []
    for section in SECTIONS:
        for name in getattr(formulation, section):
            found = _known(name, library)
            parts = found.ions if isinstance(found, Salt) else [found.name] if found else []
            species += [part for part in parts if part not in species]
            unknown += [] if found else [name]
    return unknown, species


def _known(name: str, library: Library) -> Salt | Species | None:
    """A component by any name that the library has for it."""
    for find in (library.find_salt, library.find_species):
        try:
            return find(name)
        except LmbmdError:
            continue
    return None


def chosen(
    *,
    kind: str | None = None,
    salts: Sequence[str] = (),
    components: Sequence[str] = (),
    status: str | None = None,
    scope: str | None = None,
) -> list[Entry]:
    """Entries of a class, a status and a scope that hold all the named salts and components.

    Raises:
        LmbmdError: if the catalogue knows no such class, status, scope or component.
    """
    entries = list(load_catalogue().values())
    asked = {"class": kind, "status": status, "scope": scope}
    for key, value in asked.items():
        valid = {_label(entry, key) for entry in entries}
        if value is not None and value not in valid:
            raise LmbmdError(f"the catalogue has no {key} '{value}'.", remedy=nearest(value, valid))
    wanted = [_name(name, entries) for name in (*salts, *components)]
    return [
        entry
        for entry in entries
        if all(value is None or _label(entry, key) == value for key, value in asked.items())
        and set(wanted) <= {_canonical(name) for name in _all_mentions(entry)}
    ]


def _label(entry: Entry, key: str) -> str:
    return entry.listing.kind if key == "class" else str(getattr(entry.listing, key))


def _all_mentions(entry: Entry) -> Iterator[str]:
    yield from entry.mentions
    if entry.listing.same_as:
        yield from find_entry(entry.listing.same_as).mentions


def _canonical(name: str) -> str:
    """A component as it is compared: by the library's name if it has one."""
    found = _known(name, load_library())
    return found.name if found else name.casefold()


def _name(name: str, entries: Sequence[Entry]) -> str:
    known = {mention for entry in entries for mention in _all_mentions(entry)}
    found = _canonical(name)
    if found not in {_canonical(mention) for mention in known}:
        raise LmbmdError(f"nothing in the catalogue holds '{name}'.", remedy=nearest(name, known))
    return found


def as_data(entry: Entry, found: Standing) -> dict[str, Any]:
    """An entry and its standing as plain data."""
    return {
        "name": entry.name,
        "title": entry.title,
        **entry.listing.model_dump(mode="json", by_alias=True),
        "components": list(dict.fromkeys(_all_mentions(entry))),
        "source": entry.source,
        "assumptions": list(entry.assumptions),
        "notes": entry.notes,
        "state": found.state,
        "detail": found.detail,
        "lacking": list(found.lacking),
        "bottles": [
            {
                "name": bottle.formulation.name,
                "force_field": bottle.force_field,
                "lacking": list(bottle.lacking),
                "refusal": bottle.refusal,
                "counts": dict(bottle.composition.counts) if bottle.composition else {},
                "atoms": bottle.composition.n_atoms if bottle.composition else None,
            }
            for bottle in found.bottles
        ],
    }
