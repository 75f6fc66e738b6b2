"""Scripts, styles and data that stand in a page, and the hashes by which its security policy lets scripts run."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from importlib import resources
from typing import Any

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


def embedded(data: Any) -> Markup:
    """Data as JSON inside a <script> element of any page: no character of it ends or opens an element."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    for sign in "<>&\u2028\u2029":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return Markup(text)


def _read(name: str, folder: str = "templates") -> str:
    return resources.files("lmbmd.report").joinpath(folder, name).read_text("utf-8")
