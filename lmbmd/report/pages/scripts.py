"""Scripts and styles that stand in a page, and the hashes by which its content security policy lets scripts run."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources

from markupsafe import Markup


@cache
def script(*names: str, folder: str = "templates") -> tuple[Markup, str]:
    """Scripts joined into one, and its hash for ``script-src``."""
    text = "\n".join(_read(name, folder) for name in names)
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"sha256-{digest}"


@cache
def style(name: str) -> Markup:
    """A stylesheet of the templates."""
    return Markup(_read(name))


def _read(name: str, folder: str = "templates") -> str:
    return resources.files("lmbmd.report").joinpath(folder, name).read_text("utf-8")
