"""One bottle: what is in it, how much of it to simulate, and under which conditions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PrivateAttr,
    model_validator,
)

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.options import FROZEN, NAME, Number, Whole
from lmbmd.core.validation import fault, place, saying, validated
from lmbmd.core.words import listed, shown
from lmbmd.core.yamlfile import Lines, read_yaml
from lmbmd.formulation.amounts import EXAMPLES, Amount, AmountText, parse_ratio
from lmbmd.formulation.polymers.entry import Polymer

Section = Literal["salts", "solvents", "diluents", "additives", "polymers"]
#: Those that hold amounts by name; ``polymers`` says more of each.
SECTIONS: tuple[Section, ...] = ("salts", "solvents", "diluents", "additives")

#: Names that a formulation may not have, as files of the study stand beside its folder.
RESERVED = {"index.html", "features.csv", "features.parquet", "claims.html", "claims.csv"}


def amounts_of(data: Any) -> Any:
    """Amounts by species, from what a section of a bottle says. A key with colons, ``EC:EMC``, stands for several."""
    if data is None:
        return {}
    if not isinstance(data, Mapping):
        raise LmbmdError(f"{shown(data)} is not a list of amounts.", remedy=f"Write 'species: {EXAMPLES[0]}' lines.")
    amounts: dict[str, Amount] = {}
    for name, text in data.items():
        for species, amount in (parse_ratio(name, text) if ":" in str(name) else {str(name): text}).items():
            if species in amounts:
                raise LmbmdError(f"'{species}' stands here twice.", remedy="Give each species one amount.")
            amounts[species] = amount
    return amounts


#: Keys of a bottle that a sweep may vary, beside whole sections and single amounts (``salts.LiFSI``).
SWEPT = (
    "size.atoms",
    "size.ion_pairs",
    "size.chains",
    "size.box_edge_nm",
    "force_field",
    "ion_charge_scale",
    "temperature_K",
    "pressure_bar",
    "seed",
)


def _sweep(data: Any) -> dict[str, Any]:
    """Lists of values by key. What the values mean is checked when they are put into the bottle."""
    if not isinstance(data, Mapping):
        raise LmbmdError(f"{shown(data)} is not a sweep.", remedy="Write 'key: [value, value]' lines.")
    for key, values in data.items():
        section = str(key).partition(".")[0]
        if key == "at_most":
            if not isinstance(values, int) or isinstance(values, bool) or values < 1:
                raise LmbmdError(f"{shown(values)} is not a whole number.", remedy="Give 'at_most' a whole number.")
            continue
        if key not in SWEPT and section not in SECTIONS:
            raise LmbmdError(
                f"'{key}' cannot be swept.", remedy=nearest(key, [*SWEPT, *SECTIONS, "salts.NAME", "at_most"])
            )
        if not isinstance(values, list) or not values:
            raise LmbmdError(f"'{key}' has no list of values.", remedy=f"Write '{key}: [value, value]'.")
    return dict(data)


def _many(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value,)


def _temperature(T: float) -> float:
    if not 100 <= T <= 1000:
        remedy = "Temperatures are in kelvin, from 100 to 1000; 25 degrees Celsius are 298.15."
        raise LmbmdError(f"{T:g} is out of range.", remedy=remedy)
    return T


def _temperatures(values: tuple[float, ...]) -> tuple[float, ...]:
    for T in map(_temperature, values):
        if float(f"{T:g}") != T:
            raise LmbmdError(f"{T!r} has more than six digits.", remedy=f"Write {T:g}.")
    if len(set(values)) != len(values):
        raise LmbmdError(f"{list(values)} repeats a temperature.", remedy="Give each temperature once.")
    return values


Temperature = Annotated[
    Number,
    AfterValidator(saying(_temperature)),
    Field(json_schema_extra={"minimum": 100, "maximum": 1000}),
]
Pressure = Annotated[Number, Field(gt=0, le=10_000)]
Temperatures = Annotated[
    tuple[Number, ...],
    BeforeValidator(_many, json_schema_input_type=float | list[float]),
    Field(min_length=1, max_length=100),
    AfterValidator(saying(_temperatures)),
]
Amounts = Annotated[
    dict[str, AmountText],
    BeforeValidator(saying(amounts_of), json_schema_input_type=dict[str, AmountText] | None),
]


Sweep = Annotated[
    dict[str, Any],
    BeforeValidator(saying(_sweep), json_schema_input_type=dict[str, list[Any] | int]),
]
Kind = Literal[
    "conventional",
    "hce",
    "lhce",
    "cipa",
    "wse",
    "lce",
    "lmce",
    "ude",
    "dual-salt",
    "additive",
    "solvate-ionic-liquid",
    "ionic-liquid",
    "polymer",
    "gel",
    "interface",
    "inorganic",
    "reactive",
]
Status = Literal["given", "partial", "inconsistent", "not-given"]
Scope = Literal["bulk-liquid", "polymer", "gel", "interface", "crystal", "reactive"]


#: What a size may be told by.
SIZES = ("atoms", "ion_pairs", "chains", "box_edge_nm")


#: Of a box.
MOST_ATOMS = 20_000_000


class Size(BaseModel):
    """How large a box: one of four targets, and how well it must meet the recipe."""

    model_config = FROZEN

    atoms: Whole | None = Field(None, ge=1, le=MOST_ATOMS, description="about so many atoms, within 5 %")
    ion_pairs: Whole | None = Field(None, ge=1, le=1_000_000, description="exactly so many cations")
    chains: Whole | None = Field(None, ge=1, le=100_000, description="exactly so many polymer chains")
    box_edge_nm: Number | None = Field(None, gt=0, le=100, description="an edge at least so long, before equilibration")
    tolerance: Number = Field(
        0.05, gt=0, le=0.5, description="largest relative error of any amount against what was asked"
    )
    min_molecules: Whole = Field(1, ge=1, description="fewest formula units of any component")

    @model_validator(mode="after")
    def _one_target(self) -> Size:
        given = [key for key in SIZES if getattr(self, key) is not None]
        if len(given) != 1:
            what = f"{' and '.join(given)} are given together." if given else "no size is given."
            raise fault(what, f"Give exactly one of {listed([repr(key) for key in SIZES])}.")
        return self


class Conditions(BaseModel):
    """What a bottle says about its simulation. A study's ``defaults`` say it for all bottles that do not."""

    model_config = FROZEN

    sweep: Sweep = Field({}, description="values of other keys; every combination becomes a bottle of its own")
    size: Size = Field(Size(atoms=10_000), description="size target; replaced as a whole, never merged")
    force_field: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,79}$")] = Field(
        "sage-clp-2.1.0", description="a released set of force_fields/, with its version"
    )
    ion_charge_scale: Number | None = Field(
        None, ge=0.5, le=1.0, description="factor on the charges of all ions; the force field's, if not given"
    )
    temperature_K: Temperatures = Field((298.15,), description="one temperature or a list of them")
    pressure_bar: Pressure = 1.0
    replicas: Whole = Field(1, ge=1, le=1000, description="independent packings and velocities")
    seed: Whole = Field(1, ge=0, le=2**31 - 1, description="all random numbers follow from it")


class Listing(BaseModel):
    """What the catalogue says about an entry beside its recipe. An entry without a recipe says here why it has none."""

    model_config = FROZEN

    kind: Kind = Field(alias="class", description="of electrolyte")
    status: Status = Field(description="how much of the recipe its source prints")
    scope: Scope = Field("bulk-liquid", description="what a simulation of it would have to hold")
    origin: Literal["review", "control"] = Field("review", description="control: added here, to compare with")
    same_as: str = Field("", max_length=80, description="the entry whose box answers this one too")
    why_not: str = Field("", max_length=2000, description="why no box of it is simulated")
    mentions: tuple[str, ...] = Field((), description="what the source names, where there is no recipe")


class Formulation(Conditions):
    """One bottle. Amounts are by species name; see ``amounts.Amount`` for their bases."""

    name: Annotated[str, Field(pattern=f"^{NAME}$")] = Field(description="the file's name without .yaml")
    salts: Amounts = Field({}, description="salts by name, each with its amount of formula units")
    solvents: Amounts = Field({}, description="neutral molecules that dissolve the salts")
    diluents: Amounts = Field({}, description="neutral molecules that are meant not to coordinate")
    additives: Amounts = Field({}, description="further molecules or salts; not counted as solvent")
    polymers: dict[str, Polymer] = Field({}, description="chains of repeat units, each with its amount and its length")
    title: str = Field("", max_length=200)
    source: str = Field("", max_length=2000, description="where the recipe is from")
    notes: str = Field("", max_length=10_000)
    assumptions: tuple[Annotated[str, Field(max_length=1000)], ...] = Field(
        (), description="what the recipe assumes beyond its source, one sentence each; its report says them"
    )
    catalogue: Listing | None = Field(None, description="only in the catalogue's own files")
    _path: Path | None = PrivateAttr(None)
    _lines: Lines = PrivateAttr(default_factory=dict)

    @model_validator(mode="after")
    def _not_empty(self) -> Formulation:
        listing = self.catalogue
        if listing and listing.same_as:
            raise fault(
                f"it has no box of its own: that of '{listing.same_as}' answers it.", f"Take '{listing.same_as}'."
            )
        if listing and listing.why_not:
            raise fault(
                f"no box of it is simulated: {listing.why_not}", "See `lmbmd catalogue --buildable` for others."
            )
        if not any(getattr(self, section) for section in (*SECTIONS, "polymers")):
            raise fault("the bottle is empty.", f"Give at least one of {', '.join(SECTIONS)}, polymers.")
        return self

    @property
    def temperatures(self) -> tuple[str, ...]:
        """Temperatures in K as they are written in paths."""
        return tuple(f"{T:g}" for T in self.temperature_K)

    def where(self, *key: str) -> str:
        """The place of a key, for error messages."""
        file = str(self._path or self.name)
        if self._path and self._path.stem != self.name:
            file = f"{file} ({self.name})"  # one bottle of a sweep
        return f"{file}:{place(key, self._lines)}" if key else file

    def recipe(self) -> dict[str, Any]:
        """Everything that decides the composition and the boxes built from it, and nothing else; plain data."""
        parts = {"name", *SECTIONS, "size", "force_field", "ion_charge_scale", "seed"}
        if self.polymers:  # a bottle without has the recipe that it always had
            parts.add("polymers")
        recipe = self.model_dump(mode="json", include=parts)
        if self.size.chains is None:
            del recipe["size"]["chains"]
        for polymer in recipe.get("polymers", {}).values():  # as before there were charged units
            if polymer["counter_ion"] is None:
                del polymer["counter_ion"]
        return recipe


def load_formulation(path: str | Path, defaults: Mapping[str, Any] | None = None) -> Formulation:
    """Read one bottle from its YAML file; the file's stem is its name.

    Args:
        path: the file.
        defaults: values of ``Conditions`` for keys that the file does not give.

    Raises:
        LmbmdError: naming the file, the key, the value and the remedy. A sweep is several bottles and is refused.
    """
    name, data, lines = read_formulation_file(Path(path))
    formulation = make_formulation(name, {**(defaults or {}), **data}, Path(path), lines)
    if formulation.sweep:
        raise LmbmdError(
            "this file is a sweep, which makes several bottles.",
            where=formulation.where("sweep"),
            remedy="Name it in a study, which takes all of them.",
        )
    return formulation


def read_formulation_file(path: Path) -> tuple[str, dict[str, Any], Lines]:
    """What a formulation file says: its bottle's name, its keys as plain data, and the line of each.

    Raises:
        LmbmdError: if it cannot be read, or its name cannot name a formulation.
    """
    name = path.stem
    if not re.fullmatch(NAME, name) or name in RESERVED:
        remedy = "Name the file with lower-case letters, digits, '.', '_' and '-', then '.yaml'."
        raise LmbmdError(f"{shown(name)} cannot name a formulation.", where=str(path), remedy=remedy)
    data, lines = read_yaml(path)
    if "name" in data:
        raise LmbmdError(
            "a formulation has no key 'name'.",
            where=f"{path}:{place(('name',), lines)}",
            remedy="Its name is the name of its file; a longer one goes under 'title'.",
        )
    return name, data, lines


def make_formulation(name: str, data: Mapping[str, Any], path: Path, lines: Lines) -> Formulation:
    """A validated bottle from the keys of its file and the study's defaults."""
    formulation = validated(Formulation, {**data, "name": name}, path=path, lines=lines)
    formulation._path, formulation._lines = path, lines
    return formulation
