"""The version of lmbmd."""

from __future__ import annotations

from importlib import metadata


def _installed() -> str:
    try:
        return metadata.version("lmbmd")
    except metadata.PackageNotFoundError:  # a copy of the source that was never installed
        return "0+unknown"


#: The last tag, plus the commits since. Results say which version made them; it reruns nothing.
VERSION = _installed()
