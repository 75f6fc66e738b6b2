"""Scripts and styles that stand in a page, and the hashes by which its content security policy lets scripts run."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources

from markupsafe import Markup


@cache
def script(*names: str) -> tuple[Markup, str]:
    """Templates' scripts joined into one, and its hash for ``script-src``."""
    text = "\n".join(map(_read, names))
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
    return Markup(text), f"sha256-{digest}"


@cache
def style(name: str) -> Markup:
    """A stylesheet of the templates."""
    return Markup(_read(name))


def _read(name: str) -> str:
    return resources.files("lmbmd.report").joinpath("templates", name).read_text("utf-8")
