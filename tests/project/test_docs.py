"""What the documents point to exists, the site builds, and the commands that they show do what they say."""

import ast
import os
import pkgutil
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lmbmd.formulation.sweeps import load_formulations

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "force_fields").rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page):
    text = re.sub(r"```.*?```|`[^`]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text)
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_no_row_of_a_table_has_more_or_fewer_cells_than_its_head(page):
    """A bar inside a cell begins another one, and what then stands beyond the head's last cell is not shown."""
    text = re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    for table in re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE):
        head, *rows = (re.sub(r"\\\|", "", row).count("|") for row in table.splitlines())
        assert set(rows) == {head}, table


def test_the_readme_has_one_command_to_run_and_one_to_test():
    commands = [line for line in (ROOT / "README.md").read_text("utf-8").splitlines() if "-m venv" in line]
    assert [line.rsplit(maxsplit=1)[-1] for line in commands] == ["snakemake", "pytest"]


def run(command: list, folder: Path) -> subprocess.CompletedProcess:
    """A command with this Python's programs first on the path."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, encoding="utf-8", timeout=600, check=False
    )


#: Lines that are not run: they install, or read the results of a study that is only planned here.
SKIPPED = r"pip |python3 -m venv|#|lmbmd claims$"


def commands(page: Path) -> list[str]:
    """The lines of a page's ``sh`` blocks, with runs as dry-runs."""
    blocks = re.findall(r"^```sh\n(.*?)^```", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    lines = [re.sub(r"\s+#.*$", "", line) for block in blocks for line in block.splitlines()]
    kept = [line for line in lines if line and not re.match(SKIPPED, line)]
    return [re.sub(r"^snakemake\b", "snakemake --dry-run --quiet rules host", line) for line in kept]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["getting_started.md", "tutorial.md", "catalogue.md"])
def test_the_commands_of_a_page_do_what_they_say(name, tmp_path):
    """One shell for the whole page, as its reader has; simulations are planned, not run."""
    for part in ("Snakefile", "workflow", "profiles", "config"):
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / part)
    script = "\n".join(commands(ROOT / "docs" / name))
    assert script.count("lmbmd ") >= 1
    ran = run(["bash", "-euo", "pipefail", "-c", script], tmp_path)
    assert ran.returncode == 0, f"{script}\n{ran.stdout[-3000:]}{ran.stderr[-3000:]}"


#: Pages with Python; that on adding a descriptor makes the modules that it imports, and has a test of its own.
WITH_PYTHON = [p for p in PAGES if "```python" in p.read_text("utf-8") and p.name != "add_a_descriptor.md"]


@pytest.mark.parametrize("page", WITH_PYTHON, ids=lambda page: page.name)
def test_the_python_of_a_page_compiles_and_imports_what_there_is(page):
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL):
        tree = ast.parse(block)
        imports = [node for node in tree.body if isinstance(node, (ast.Import, ast.ImportFrom))]
        exec(compile(ast.Module(imports, type_ignores=[]), str(page), "exec"), {})  # noqa: S102


def test_every_name_of_the_page_for_python_has_a_docstring():
    names = re.findall(r"^::: ([\w.]+)$", (ROOT / "docs" / "api.md").read_text("utf-8"), flags=re.MULTILINE)
    assert len(names) > 20
    without = [name for name in names if not (pkgutil.resolve_name(name).__doc__ or "").strip()]
    assert not without


def test_every_recipe_among_the_answers_is_a_bottle(tmp_path):
    """The table on recipes in docs/how_to.md: each piece of YAML beside what a bottle needs besides."""
    section = (ROOT / "docs" / "how_to.md").read_text("utf-8").split("## Write a recipe")[1].split("\n## ")[0]
    pieces = [piece for piece in re.findall(r"`([^`\n]+)`", section) if ": " in piece]
    assert len(pieces) > 8
    for piece in pieces:
        bottle = {"salts": {"LiFSI": "1 mol/L of solution"}, "solvents": {"EMC": "rest"}, **yaml.safe_load(piece)}
        (tmp_path / "bottle.yaml").write_text(yaml.safe_dump(bottle), encoding="utf-8")
        assert load_formulations(tmp_path / "bottle.yaml")


def test_every_verb_that_a_page_names_exists():
    named = {(page.name, verb) for page in PAGES for verb in re.findall(r"`lmbmd ([a-z]\w*)", page.read_text("utf-8"))}
    verbs = re.findall(r"^ {2,4}([a-z]\w*)", run(["lmbmd", "--help"], ROOT).stdout, flags=re.MULTILINE)
    assert len(named) > 20
    assert {(page, verb) for page, verb in named if verb not in verbs} == set()
