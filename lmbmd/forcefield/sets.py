"""The released parameter sets: which there are, and what their manifests say. Imports no engine, as plans read it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from typing import Any, NamedTuple

from lmbmd.core.yamlfile import read_yaml
from lmbmd.data.library import force_fields_folder

#: A name and a version.
SET_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*-\d+\.\d+\.\d+")


class Coverage(NamedTuple):
    """What must be known of a parameter set before anything is built.

    Attributes:
        species: that it has.
        cut_off_A: Å.
        ion_charge_scale: factor on the charges of ions that it proposes.
    """

    species: frozenset[str]
    cut_off_A: float
    ion_charge_scale: float


def available_sets() -> tuple[str, ...]:
    """Names of the released sets, with versions; of each set the newest is last."""
    folders = force_fields_folder().glob("*/manifest.yaml")
    names = (path.parent.name for path in folders if SET_NAME.fullmatch(path.parent.name))
    return tuple(sorted(names, key=_by_version))


def _by_version(name: str) -> tuple[str, list[int]]:
    title, _, version = name.rpartition("-")
    return title, [int(part) for part in version.split(".")]


@cache
def released_manifest(name: str) -> Mapping[str, Any]:
    """The manifest of a released set, its files not looked at; for reading only."""
    return read_yaml(force_fields_folder() / name / "manifest.yaml")[0]


@cache
def released_sets() -> dict[str, Coverage]:
    """The released sets by name; for reading only."""
    return {name: _coverage(released_manifest(name)) for name in available_sets()}


def _coverage(manifest: Mapping[str, Any]) -> Coverage:
    scale = float(manifest["ion_charge_scale"]["default"])
    return Coverage(frozenset(manifest["species"]), float(manifest["nonbonded"]["cut_off_A"]), scale)


def sets_covering(*species: str) -> tuple[str, ...]:
    """Names of the released sets that hold all of ``species``."""
    return tuple(name for name in available_sets() if set(species) <= set(released_manifest(name)["species"]))
