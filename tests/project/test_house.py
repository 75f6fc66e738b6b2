"""The house as it is described: which room may import which, and what no module does. All of it is read, nothing run.

Every import counts the same: one inside a function or under ``TYPE_CHECKING`` ties two rooms together as well. A module
that is imported by a name made at run time is not seen: only families of their own room, and parts of the validation by
the command line.
"""

from __future__ import annotations

import ast
import re
import subprocess
from functools import cache
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "lmbmd"
#: From the ground up: a room imports from rooms before it. docs/architecture.md has the same list.
ROOMS = (
    *("core", "data", "numbers", "quantum", "formulation", "forcefield", "box", "simulate", "trajectory", "analysis"),
    *("literature", "study", "validation", "report", "cli"),
)
#: The files beside the rooms may import every room, and no room imports them.
TOP = len(ROOMS)
MOST_FILES = 13


def module_of(path: Path) -> str:
    name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
    return name.removesuffix(".__init__")


MODULES = {module_of(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), filename=str(path))


def imported(module: str, tree: ast.Module) -> list[tuple[int, str]]:
    """Line and full name of every module of lmbmd that this one imports, wherever in it."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}, line {node.lineno}: a relative import; write the full name"
            base = node.module or ""
            names = [full if (full := f"{base}.{alias.name}") in MODULES else base for alias in node.names]
        else:
            continue
        found += [(node.lineno, name) for name in names if name.split(".")[0] == "lmbmd"]
    # Whoever imports a.b.c runs a and a.b first, but for those that it is in.
    found += [(line, p) for line, name in found for p in packages(name) & MODULES.keys() - packages(module) - {module}]
    return sorted(set(found))


def packages(module: str) -> set[str]:
    """Those that a module is in."""
    parts = module.split(".")
    return {".".join(parts[:n]) for n in range(1, len(parts))}


def arrows() -> list[tuple[str, int, str]]:
    return [(m, line, to) for m, path in MODULES.items() for line, to in imported(m, tree_of(path))]


def height(module: str) -> int:
    """Of its room above the ground."""
    parts = module.split(".")
    return ROOMS.index(parts[1]) if len(parts) > 1 and parts[1] in ROOMS else TOP


def climbing(found: list[tuple[str, int, str]]) -> list[str]:
    return [f"{m}, line {line}: imports {to}, from a higher room" for m, line, to in found if height(to) > height(m)]


def circles(found: list[tuple[str, int, str]]) -> list[str]:
    graph = networkx.DiGraph((m, to) for m, _, to in found)
    return [
        " → ".join([*(edge[0] for edge in networkx.find_cycle(graph.subgraph(part))), "…"])
        for part in networkx.strongly_connected_components(graph)
        if len(part) > 1 or graph.has_edge(*2 * tuple(part))
    ]


def test_no_room_imports_from_a_higher_one():
    assert not climbing(arrows()), "\n" + "\n".join(climbing(arrows()))


def test_no_module_imports_itself_by_a_detour():
    assert not circles(arrows()), "\n" + "\n".join(circles(arrows()))


#: Ways to import a module whose name, or whose code, is made at run time; whatever they are called afterwards.
_MADE = {"import_module", "__import__", "resolve_name", "run_module", "run_path", "exec", "eval", "module_from_spec"}


def makes_names(tree: ast.Module) -> bool:
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {a.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for a in node.names}
    return bool(names & _MADE)


def test_only_the_families_and_the_verbs_are_imported_by_a_name_made_at_run_time():
    makers = {module for module, path in MODULES.items() if makes_names(tree_of(path))}
    assert makers == {"lmbmd.analysis.families", "lmbmd.cli.verbs"}


@pytest.mark.parametrize(
    "text",
    [
        "from importlib import import_module as load\nload('lmbmd.cli')",
        "import importlib as i\ni.import_module('lmbmd.cli')",
        "__import__('lmbmd.cli')",
        "import runpy\nrunpy.run_module('lmbmd.cli')",
        "exec('import lmbmd.cli')",
    ],
)
def test_a_name_made_at_run_time_would_be_found(text):
    assert makes_names(ast.parse(text))


def test_one_bar_tells_how_far_a_computation_is():
    using = {m for m, path in MODULES.items() if re.search(r"\b(from|import) tqdm\b", path.read_text("utf-8"))}
    assert using == {"lmbmd.core.progress"}


def test_an_arrow_up_and_a_circle_would_be_named():
    found = [("lmbmd.data.atoms", 7, "lmbmd.report.inputs"), ("lmbmd.report.inputs", 3, "lmbmd.data.atoms")]
    assert climbing(found) == ["lmbmd.data.atoms, line 7: imports lmbmd.report.inputs, from a higher room"]
    assert len(circles(found)) == 1 and "lmbmd.data.atoms → lmbmd.report.inputs" in circles(found)[0] * 2
    hidden = ast.parse(
        "if TYPE_CHECKING:\n    from lmbmd.cli import parser\ndef f():\n    import lmbmd.report.inputs as r\n"
    )
    assert imported("lmbmd.data.atoms", hidden) == [
        *((2, "lmbmd.cli"), (2, "lmbmd.cli.parser"), (4, "lmbmd.report"), (4, "lmbmd.report.inputs")),
    ]


def test_the_package_stands_without_what_is_beside_it():
    """An installed lmbmd has no benchmarks and no tests."""
    found = []
    for module, path in MODULES.items():
        for node in ast.walk(tree_of(path)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            beside = {"benchmarks", "tests", "force_fields"} & {name.split(".")[0] for name in names}
            found += [f"{module}, line {node.lineno}: imports {name}" for name in beside]
    assert not found, "\n" + "\n".join(found)


def test_every_folder_is_a_room_and_few_files_stand_beside_them():
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders - set(ROOMS) == set()
    beside = sorted(path.name for path in PACKAGE.iterdir() if path.is_file() and path.name != "py.typed")
    assert len(beside) <= 3, beside


def test_no_folder_holds_more_than_a_reader_can_survey():
    crowded = {}
    for folder in (PACKAGE, *(path for path in PACKAGE.rglob("*") if path.is_dir() and path.name != "__pycache__")):
        files = sorted(p.name for p in folder.iterdir() if p.is_file() and p.name not in ("__init__.py", "py.typed"))
        if len(files) > MOST_FILES:
            crowded[str(folder.relative_to(ROOT))] = files
    assert not crowded


def tracked(*patterns: str) -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", *patterns], cwd=ROOT, capture_output=True, encoding="utf-8", check=False
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [path for name in listed.stdout.splitlines() if (path := ROOT / name).exists()]


#: In code that is a text of another program too, so it is looked for as text; in two halves, not to find itself.
_PATH = re.compile(
    r"\bsys\." + r"path\b(\.(append|insert|extend|remove|pop)|\s*\+?=|\[[^]]*\]\s*=)|syspath" + "_prepend"
)


def test_nobody_changes_where_python_looks_for_modules():
    found = []
    for path in tracked("*.py", "*.smk", "Snakefile"):
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
            if _PATH.search(line):
                found.append(f"{path.relative_to(ROOT)}, line {number}: {line.strip()}")
    assert not found, "\n" + "\n".join(found)


def module_level(body: list[ast.stmt]):
    """The statements that run when a module is imported, those inside an ``if``, ``try``, ``with`` or loop too."""
    for statement in body:
        if isinstance(statement, ast.If) and "__name__" in ast.unparse(statement.test):
            continue
        yield statement
        if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            for block in ("body", "orelse", "finalbody"):
                yield from module_level(getattr(statement, block, []))
            for handler in getattr(statement, "handlers", []):
                yield from module_level(handler.body)


def effects(tree: ast.Module) -> list[tuple[int, str]]:
    """What importing a module does to others: calls for their effect, and values set inside imported things."""
    names = {
        (alias.asname or alias.name).split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, (ast.Import, ast.ImportFrom))
        for alias in node.names
    }
    found = []
    for statement in module_level(tree.body):
        targets = getattr(statement, "targets", [getattr(statement, "target", None)])
        inside = [t for t in targets if isinstance(t, (ast.Attribute, ast.Subscript))]
        roots = {next(n.id for n in ast.walk(t) if isinstance(n, ast.Name)) for t in inside}
        calls = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call)
        if roots & names or (calls and root_name(statement.value) in names):
            found.append((statement.lineno, ast.unparse(statement)))
    return found


def root_name(call: ast.Call) -> str:
    return next((node.id for node in ast.walk(call.func) if isinstance(node, ast.Name)), "")


def test_importing_a_module_changes_nothing_else():
    found = [
        f"{module}, line {line}: {text}"
        for module, path in MODULES.items()
        if path.name != "__main__.py"
        for line, text in effects(tree_of(path))
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        "import warnings\nwarnings.filterwarnings('ignore')",
        "import os\nos.environ['X'] = '1'",
        "import gc\ntry:\n    gc.disable()\nfinally:\n    pass",
        "from rdkit import RDLogger\nif True:\n    RDLogger.DisableLog('rdApp.*')",
    ],
)
def test_an_effect_of_an_import_would_be_named(text):
    assert len(effects(ast.parse(text))) == 1
    harmless = "import os\nx = {}\nx['a'] = 1\ndef f():\n    os.environ['X'] = '1'\n"
    assert effects(ast.parse(harmless)) == []
