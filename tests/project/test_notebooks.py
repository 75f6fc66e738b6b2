"""The notebooks of the documentation: run again, they show the same numbers, and their pages are made from them."""

import ast
import contextlib
import html
import io
import json
import re
import shutil
from pathlib import Path

import matplotlib.pyplot as plt
import pytest

NOTEBOOKS = Path(__file__).parents[2] / "docs" / "notebooks"
NAMES = ("own_study", "foreign_trajectory")


def cells(name: str) -> list[dict]:
    return json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf-8"))["cells"]


def source(cell: dict) -> str:
    return "".join(cell["source"])


def shown(cell: dict) -> list[str]:
    """What a cell printed, and what its last expression was shown as; without its figures."""
    found = []
    for output in cell.get("outputs", ()):
        assert output["output_type"] != "error", source(cell)
        data = output.get("data", {"text/plain": output.get("text", "")})
        found += [] if "image/png" in data else ["".join(data.get("text/html", data["text/plain"]))]
    return found


def ran(code: str, names: dict) -> list[str]:
    """The same, of code that is run here."""
    tree = ast.parse(code)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) and not code.rstrip().endswith(";") else None
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, "cell", "exec"), names)  # noqa: S102
        value = eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None  # noqa: S307
    as_html = getattr(value, "_repr_html_", lambda: repr(value))
    return [text for text in (printed.getvalue(), "" if value is None else as_html()) if text]


def numbers(text: str) -> list[str]:
    """The values in it, to two digits: what begins a cell of a table, or follows = or ≈; the words may change."""
    return [f"{float(value):.2g}" for value in re.findall(r"(?:<td[^>]*>|= |≈ )(?:≈ )?(\d+\.\d+)", html.unescape(text))]


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_shows_what_it_showed(name, tmp_path, monkeypatch):
    shutil.copytree(NOTEBOOKS / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    plt.switch_backend("agg")
    names: dict = {}
    figures = compared = 0
    for cell in (cell for cell in cells(name) if cell["cell_type"] == "code"):
        outputs = ran(source(cell), names)
        assert [numbers(one) for one in outputs] == [numbers(one) for one in shown(cell)], source(cell)
        drawn = sum("image/png" in output.get("data", {}) for output in cell["outputs"])
        assert len(plt.get_fignums()) == drawn, source(cell)
        figures, compared = figures + drawn, compared + len([n for one in outputs for n in numbers(one)])
        plt.close("all")
    assert figures >= 2 and compared > 15


@pytest.mark.parametrize("name", NAMES)
def test_the_page_of_a_notebook_is_made_from_it(name):
    page, at = (NOTEBOOKS / f"{name}.md").read_text("utf-8"), 0
    for line in (
        line.strip() for cell in cells(name) for part in (source(cell), *shown(cell)) for line in part.split("\n")
    ):
        at = page.find(line, at)
        assert at >= 0, f"not in {name}.md, or not in this order: {line}"
    images = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page)
    assert len(images) >= 2 and all((NOTEBOOKS / image).is_file() for image in images)
