"""Where the data that come with lmbmd lie: inside an installed package, or in the repository beside it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from lmbmd.core.errors import LmbmdError


def shipped_folder(what: str, packaged: str, beside: str, holds: Iterable[str] = ()) -> Path:
    """The folder ``packaged`` inside the package, else ``beside`` the package, that has all of ``holds``.

    Args:
        what: what it has, for the error: "force fields".

    Raises:
        LmbmdError: if the installation has none.
    """
    package = Path(__file__).parents[1]
    for folder in (package / packaged, package.parent / beside):
        if folder.is_dir() and all((folder / part).exists() for part in holds):
            return folder
    raise LmbmdError(f"this installation has no {what}.", where=str(package), remedy="Install lmbmd again, with pip.")
