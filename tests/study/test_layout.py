"""One speller of paths: the rules of the workflow write where Python looks."""

from __future__ import annotations

import re
from pathlib import Path

from lmbmd.study import layout

ROOT = Path(__file__).parents[2]
RULES = "\n".join(path.read_text("utf-8") for path in sorted((ROOT / "workflow" / "rules").glob("*.smk")))
BOTTLE, T, R, S = "{formulation}", "{temperature}", "{replica}", "{segment}"


def test_rules_write_where_python_looks():
    text = RULES.replace("{{", "{").replace("}}", "}").replace("{wildcards.", "{")
    paths = {Path(path) for path in re.findall(r"(?:results|work)/[^\s\"]*", text)}
    folders = {
        *(layout.bottle(layout.RESULTS, BOTTLE), layout.point(layout.RESULTS, BOTTLE, T)),
        *(layout.box(layout.RESULTS, BOTTLE, R), layout.box(layout.RESULTS, BOTTLE, 1)),
        *(layout.run(layout.RESULTS, BOTTLE, T, R), layout.run(layout.RESULTS, BOTTLE, T, 1)),
        layout.run(layout.WORK, BOTTLE, T, R),
        *(layout.segment(layout.run(root, BOTTLE, T, R), S) for root in (layout.RESULTS, layout.WORK)),
    }
    assert len(paths) > 20
    assert {path for path in paths if {path, path.parent}.isdisjoint({*folders, layout.RESULTS})} == set()
    assert layout.composition(layout.RESULTS, BOTTLE) in paths
    assert layout.contacts(layout.point(layout.RESULTS, BOTTLE, T), [R])[0] in paths


def test_logs_lie_in_the_folder_of_logs():
    assert {Path(path).parts[0] for path in re.findall(r'"(logs/[^"]*)"', RULES)} == {str(layout.LOGS)}
