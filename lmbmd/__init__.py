"""lmbmd: how is Li⁺ solvated in this electrolyte, and does it form compact aggregates?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmbmd.core.version import VERSION as __version__

if TYPE_CHECKING:
    from lmbmd.data.described import Described

__all__ = ["__version__", "analyze"]


def analyze(source: Any, species: Any, **options: Any) -> Described:
    """Describe a trajectory of any program: see ``lmbmd.analysis.foreign.analyze``, which this calls.

    With ``out`` the page is written as well, with its figures and the feature table, as by ``lmbmd analyze``.
    """
    from lmbmd.analysis import foreign
    from lmbmd.report.pages.analysis import write_analysis

    described = foreign.analyze(source, species, **options)
    if options.get("out") is not None:
        write_analysis(options["out"])
    return described
