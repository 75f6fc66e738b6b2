"""lmbmd: how is Li⁺ solvated in this electrolyte, and does it form compact aggregates?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmbmd.core.version import VERSION as __version__

if TYPE_CHECKING:
    from lmbmd.data.described import Described

__all__ = ["__version__", "analyze"]


def analyze(source: Any, species: Any, **options: Any) -> Described:
    """Describe a trajectory of any program: see ``lmbmd.analysis.foreign.analyze``, which this calls."""
    from lmbmd.analysis import foreign

    return foreign.analyze(source, species, **options)
