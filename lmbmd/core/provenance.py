"""Who made a file, with what: stage stamp, hashes of inputs, versions, seeds."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any


def _installed() -> str:
    try:
        return metadata.version("lmbmd")
    except metadata.PackageNotFoundError:  # a copy of the source that was never installed
        return "0+unknown"


#: The last tag, plus the commits since. Results say which version made them; it reruns nothing.
VERSION = _installed()
_PACKAGES = (
    "numpy",
    "scipy",
    "numba",
    "MDAnalysis",
    "openmm",
    "packmol",
    "rdkit",
    "pandas",
    "pyarrow",
    "snakemake",
    "tblite",
    "pyscf",
)


def sha256_of(data: bytes) -> str:
    """Hex digest of bytes."""
    return hashlib.sha256(data).hexdigest()


def file_sha256(path: str | os.PathLike[str]) -> str:
    """Hex digest of a file's content, read in pieces."""
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spare spaces, so that equal values give equal texts."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def derived_seed(*parts: object) -> int:
    """A seed in 1 … 2³¹−2 that depends on all ``parts`` and on nothing else."""
    digest = hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
    return 1 + int.from_bytes(digest[:8], "big") % (2**31 - 2)


def versions() -> dict[str, str]:
    """Versions of lmbmd, Python and the packages whose versions can change a number."""
    found = {"lmbmd": VERSION, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def stamp(stage: str, inputs: Mapping[str, str | os.PathLike[str]], **facts: Any) -> dict[str, Any]:
    """The provenance block that a stage writes into its output.

    Args:
        stage: from ``lmbmd.core.stages``.
        inputs: role of each input file, and its path.
        facts: whatever else decided the result, e.g. seeds.
    """
    hashes = {role: {"file": Path(path).name, "sha256": file_sha256(path)} for role, path in inputs.items()}
    return {"stage": stage, "inputs": hashes, "versions": versions(), **facts}
