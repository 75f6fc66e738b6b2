"""lmbmd: how is Li⁺ solvated in this electrolyte, and does it form compact aggregates?"""

from __future__ import annotations

from importlib import metadata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmbmd.data.described import Described

try:
    #: The last tag, plus the commits since; it is written down with each result, and reruns nothing.
    __version__ = metadata.version("lmbmd")
except metadata.PackageNotFoundError:  # a copy of the source that was never installed
    __version__ = "0+unknown"


def analyze(source: Any, species: Any, **options: Any) -> Described:
    """Describe a trajectory of any program: see ``lmbmd.analysis.foreign.analyze``, which this calls."""
    from lmbmd.analysis import foreign

    return foreign.analyze(source, species, **options)
