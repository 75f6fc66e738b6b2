"""lmbmd: how is Li⁺ solvated in this electrolyte, and does it form compact aggregates?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmbmd.core.provenance import VERSION as __version__

if TYPE_CHECKING:
    from lmbmd.report.result import analyze, read, read_all

__all__ = ["__version__", "analyze", "read", "read_all"]


def __getattr__(name: str) -> Any:
    """Imported when first used: the command's small verbs start without matplotlib and MDAnalysis."""
    if name not in __all__:
        raise AttributeError(f"module 'lmbmd' has no attribute {name!r}")
    from lmbmd.report import result

    return getattr(result, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
