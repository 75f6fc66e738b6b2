"""What is generated from the models, so that it cannot drift: JSON schemas for editors, tables of options for docs.

``python -m lmbmd.study.schemas`` in the repository writes all of it anew.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lmbmd.analysis.clusters.options import CipaThresholds, CompactnessOptions
from lmbmd.analysis.options import AnalysisOptions
from lmbmd.analysis.scattering.options import MeasuredCurve, StudyScattering
from lmbmd.core.files import write_text
from lmbmd.formulation.models import SECTIONS, Conditions, Formulation, Size
from lmbmd.formulation.polymers.entry import Polymer
from lmbmd.quantum.options import BandOptions, QuantumOptions
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import Anneal, Protocol, Transport
from lmbmd.study.study import StudyFile

_TABLES: dict[str, type[BaseModel]] = {
    "size": Size,
    "polymer": Polymer,
    "conditions": Conditions,
    "protocol": Protocol,
    "anneal": Anneal,
    "transport": Transport,
    "platform": PlatformOptions,
    "analysis": AnalysisOptions,
    "scattering": StudyScattering,
    "measured": MeasuredCurve,
    "quantum": QuantumOptions,
    "bands": BandOptions,
    "cipa": CipaThresholds,
    "compactness": CompactnessOptions,
}
_DOCUMENTS = ("docs/formulations.md", "docs/polymers.md")


def generated(root: Path) -> dict[Path, str]:
    """Every generated file of the repository at ``root``, and the text it should have."""
    schemas = root / "workflow" / "schemas"
    return {
        schemas / "formulation.schema.json": _text(formulation_schema()),
        schemas / "study.schema.json": _text(StudyFile.model_json_schema()),
        **{root / name: _with_tables((root / name).read_text(encoding="utf-8")) for name in _DOCUMENTS},
    }


def formulation_schema() -> dict[str, Any]:
    """JSON schema of a formulation file, which has no ``name``: that is the file's."""
    schema = Formulation.model_json_schema()
    del schema["properties"]["name"]
    schema["required"] = [key for key in schema["required"] if key != "name"]
    schema["anyOf"] = [{"required": [section]} for section in (*SECTIONS, "polymers")]
    return schema


def options_table(model: type[BaseModel]) -> str:
    """The keys of a model with their defaults and meanings, as a Markdown table."""
    rows = ["| key | default | meaning |", "|---|---|---|"]
    for key, info in model.model_fields.items():
        rows.append(
            f"| `{key}` | {'required' if info.is_required() else _shown(info.default)} | {info.description or ''} |"
        )
    return "\n".join(rows)


def _shown(default: Any) -> str:
    if isinstance(default, BaseModel):
        given = default.model_dump(exclude_unset=True)
        return f"`{{{', '.join(f'{k}: {v}' for k, v in given.items())}}}`" if given else "see below"
    if default in (None, "", {}, ()):
        return "none"
    return f"`{', '.join(f'{v:g}' for v in default)}`" if isinstance(default, tuple) else f"`{default}`"


def _with_tables(text: str) -> str:
    """A document with the table after each ``<!-- table: name -->``, up to ``<!-- end -->``, written anew."""

    def table(match: re.Match[str]) -> str:
        return f"<!-- table: {match[1]} -->\n{options_table(_TABLES[match[1]])}\n<!-- end -->"

    return re.sub(r"<!-- table: (\w+) -->.*?<!-- end -->", table, text, flags=re.DOTALL)


def _text(schema: dict[str, Any]) -> str:
    return json.dumps({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}, indent=2) + "\n"


if __name__ == "__main__":
    for path, text in generated(Path.cwd()).items():
        write_text(path, text)
