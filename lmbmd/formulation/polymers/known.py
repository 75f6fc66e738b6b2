"""Polymers by name, read from ``force_fields/polymers.yaml``."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, Field

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.options import FROZEN, Number
from lmbmd.core.shipped import shipped_folder
from lmbmd.core.validation import validated
from lmbmd.core.yamlfile import read_yaml

#: Of a polymer or of a kind of unit, as of a species.
UNIT_NAME = r"[A-Za-z0-9][A-Za-z0-9_]{0,31}"
Units = str | Annotated[dict[Annotated[str, Field(pattern=f"^{UNIT_NAME}$")], str], Field(min_length=2, max_length=8)]


class Density(BaseModel):
    """Of the amorphous polymer."""

    model_config = FROZEN

    g_cm3: Number = Field(gt=0, le=25)
    T_K: Number = Field(gt=0, le=1000)
    source: str


class KnownPolymer(BaseModel):
    """What a chain of a named polymer is made of; ``caution`` is what a reader must be told of it, ``counter_ion`` the
    one of the salt whose density is given, which a recipe may exchange.
    """

    model_config = FROZEN

    title: str
    aliases: tuple[str, ...] = ()
    unit: Units
    ends: tuple[str, str]
    density: Density
    counter_ion: str = ""
    source: str = ""
    caution: str = ""


class _File(BaseModel):
    model_config = FROZEN

    polymers: dict[Annotated[str, Field(pattern=f"^{UNIT_NAME}$")], KnownPolymer]


def polymers_file() -> Path:
    """``polymers.yaml`` of this installation."""
    return shipped_folder("force fields", "_force_fields", "force_fields", ["polymers.yaml"]) / "polymers.yaml"


@cache
def known_polymers() -> Mapping[str, KnownPolymer]:
    """Every named polymer.

    Raises:
        LmbmdError: if the file is not one of polymers.
    """
    path = polymers_file()
    data, lines = read_yaml(path)
    return validated(_File, data, path=path, lines=lines).polymers


def find_polymer(name: str, where: str) -> tuple[str, KnownPolymer]:
    """The polymer of that name or alias, whatever its case and spaces, and its name.

    Raises:
        LmbmdError: if there is none, with the nearest name.
    """
    known, wanted = known_polymers(), "".join(name.split()).casefold()
    for key, polymer in known.items():
        if wanted in {"".join(text.split()).casefold() for text in (key, *polymer.aliases)}:
            return key, polymer
    remedy = f"{nearest(name, known)} A polymer of your own: give its 'unit', a SMILES with two attachment points."
    raise LmbmdError(f"there is no polymer '{name}'.", where=where, remedy=remedy)
