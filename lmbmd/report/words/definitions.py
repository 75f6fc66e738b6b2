"""What each number on a page means, and what no number on it can mean.

Each family of descriptors has its own definitions; those of the simulation and the page are in definitions.yaml.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import yaml

from lmbmd.analysis.families import definitions


@dataclass(frozen=True)
class Definition:
    """One entry of the list at the end of a page.

    Attributes:
        key: its anchor is ``def-<key>``.
        title: the term.
        text: the definition, one paragraph.
        doi: where it comes from, if anywhere.
    """

    key: str
    title: str
    text: str
    doi: str = ""


def _read() -> dict[str, Definition]:
    text = resources.files("lmbmd.report").joinpath("definitions.yaml").read_text("utf-8")
    return {key: Definition(key=key, **entry) for key, entry in (definitions() | yaml.safe_load(text)).items()}


DEFINITIONS = _read()

#: What bulk structure cannot tell, so that nobody reads it into a page: (quantity, why).
NOT_COMPUTED = (
    (
        "Interphase (SEI, CEI)",
        "it is made by chemical reactions at an electrode; the simulated liquid has no electrode and no reactions",
    ),
    (
        "Redox stability",
        "a force field has no electrons; orbital energies of single molecules do not give it either",
    ),
    ("Desolvation and plating", "barriers, the shape of the deposit and coulombic efficiency depend on the interface"),
    ("Solubility and phases", "such runs are too short and too small to show precipitation, demixing or freezing"),
    ("Cell performance", "coulombic efficiency, cycle life and rate capability depend on much more than the liquid"),
)

#: The causal chain from a liquid to a cell: (link, whether this page reaches it).
CHAIN = (
    ("Primary shell", True),
    ("Ion pairs, aggregates, clusters", True),
    ("Transport in the liquid", True),
    ("Interphase (SEI, CEI)", False),
    ("Kinetics and cell", False),
)
