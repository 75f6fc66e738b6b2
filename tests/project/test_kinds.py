"""No code takes the project's own sentences apart to learn what happened."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "lmbmd"
ROOMS = ("numbers", "analysis", "literature", "report")
#: What holds a sentence of ours, as an attribute, a key or a name.
SENTENCES = {
    "method",
    "definition",
    "doubt",
    "outcome",
    "rule",
    "reason",
    "source",
    "text",
    "why",
    "remark",
    "sentence",
}
TAKES_APART = {"startswith", "endswith", "partition", "rpartition", "split", "rsplit", "removeprefix", "removesuffix"}
TAKES_APART |= {"find", "index", "contains", "match", "fullmatch", "search", "findall", "extract"}


def named(node):
    """Names, attributes and string keys in an expression, but not what its calls are given."""
    if isinstance(node, ast.Attribute):
        return {node.attr} | named(node.value)
    if isinstance(node, ast.Name):
        return {node.id}
    if isinstance(node, ast.Subscript):
        key = {node.slice.value} if isinstance(node.slice, ast.Constant) else set()
        return key | named(node.value)
    if isinstance(node, ast.Call):
        inside = (
            set().union(*map(named, node.args)) if isinstance(node.func, ast.Name) and node.func.id == "str" else set()
        )
        return named(node.func) | inside
    return set()


def parses(tree):
    """Lines on which a sentence is taken apart, or looked into."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TAKES_APART:
            looked = named(node.func.value)
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "re" and len(node.args) > 1:
                looked = named(node.args[1])
            if looked & SENTENCES:
                yield node.lineno
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
            if isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
                if named(node.comparators[0]) & SENTENCES:
                    yield node.lineno


@pytest.mark.parametrize(
    "line",
    [
        "x = row.method.partition('; ')",
        "x = str(row.outcome).startswith('not')",
        "x = 'few' in row.doubt",
        "x = table['rule'].str.contains('drift')",
        "x = re.findall(r'few', reason)",
    ],
)
def test_the_search_finds_what_it_looks_for(line):
    assert list(parses(ast.parse(line))) == [1]


def test_no_sentence_is_taken_apart():
    found = []
    for room in ROOMS:
        for path in sorted((PACKAGE / room).rglob("*.py")):
            found += [f"{path.relative_to(PACKAGE)}:{line}" for line in parses(ast.parse(path.read_text("utf-8")))]
    assert found == []
