"""The list of families, and what others must know of them: tables, definitions, descriptors that the box limits.

A family named ``shells.coordination`` is ``FAMILY`` in analysis/shells/coordination_account.py and has its words in
analysis/shells/coordination.yaml. Reading the words imports no family.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module, resources
from typing import TYPE_CHECKING, Any

import yaml

from lmbmd.data.described import TableSchema

if TYPE_CHECKING:
    from lmbmd.analysis.family import Family

#: In the order of the descriptor table and of the page's definitions. To add a family, add its name.
FAMILIES = (
    "scan.radial",
    "shells.coordination",
    "shells.speciation",
    "shells.separation",
    "chains.coordination",
    "chains.conformation",
    "clusters.components",
    "clusters.cipa",
    "scattering.intensity",
    "energies.shells",
    "energies.bands",
    "dynamics.lifetimes",
    "chains.hops",
    "chains.relaxation",
    "dynamics.motion",
    "liquid",
    "scan.permittivity",
    "scan.dipole",
)
#: What is said over all families together: sensitivity, errors, convergence.
OVERALL = "convergence"


def family(name: str) -> Family:
    """The family of a name of ``FAMILIES``."""
    return import_module(f"lmbmd.analysis.{name}_account").FAMILY


@cache
def schemas() -> dict[str, TableSchema]:
    """The columns of every table that ``describe`` makes, by its name."""
    return {
        table: TableSchema(table, columns)
        for name in (*FAMILIES, OVERALL)
        for table, columns in _words(name)["tables"].items()
    }


@cache
def definitions() -> dict[str, dict[str, str]]:
    """What the words on a page mean: key → title, text and, if there is one, doi."""
    return {key: entry for name in (*FAMILIES, OVERALL) for key, entry in _words(name)["definitions"].items()}


@cache
def box_limited() -> frozenset[str]:
    """Descriptors that a box of finite width cuts off: no cluster is seen to be wider than it."""
    return frozenset(name for family in FAMILIES for name in _words(family)["box_limited"])


@cache
def _words(name: str) -> dict[str, Any]:
    *folder, stem = name.split(".")
    path = resources.files("lmbmd.analysis").joinpath(*folder, f"{stem}.yaml")
    return {"tables": {}, "definitions": {}, "box_limited": [], **(yaml.safe_load(path.read_text("utf-8")) or {})}
