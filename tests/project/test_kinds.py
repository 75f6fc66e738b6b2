"""No code takes the project's own sentences apart to learn what happened."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "lmbmd"
#: What holds a sentence of ours, as an attribute, a key or a name.
SENTENCES = {"method", "definition", "doubt", "outcome", "rule", "reason", "why", "remark", "sentence", "criterion"}
SENTENCES |= {"what", "remedy", "advice", "near", "hint", "change", "changes", "message", "verdict", "note"}
#: In other rooms these hold what somebody else has written: a file, a program's output.
OURS = ("numbers", "analysis", "literature", "report")
OUR_TEXTS = {"text", "source"}
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


def parses(tree, sentences=frozenset(SENTENCES | OUR_TEXTS)):
    """Lines on which a sentence is taken apart, or looked into."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TAKES_APART:
            looked = named(node.func.value)
            if isinstance(node.func.value, ast.Name) and node.func.value.id == "re" and len(node.args) > 1:
                looked = named(node.args[1])
            if looked & sentences:
                yield node.lineno
        if isinstance(node, ast.Compare) and any(isinstance(op, ast.In | ast.NotIn) for op in node.ops):
            if isinstance(node.left, ast.Constant) and isinstance(node.left.value, str):
                if named(node.comparators[0]) & sentences:
                    yield node.lineno


@pytest.mark.parametrize(
    "line",
    [
        "x = row.method.partition('; ')",
        "x = str(row.outcome).startswith('not')",
        "x = 'few' in row.doubt",
        "x = table['rule'].str.contains('drift')",
        "x = re.findall(r'few', reason)",
        "x = error.what.startswith('there is no')",
        "x = near.startswith('Did')",
    ],
)
def test_the_search_finds_what_it_looks_for(line):
    assert list(parses(ast.parse(line))) == [1]


def test_no_sentence_is_taken_apart():
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        place = path.relative_to(PACKAGE)
        sentences = SENTENCES | (OUR_TEXTS if place.parts[0] in OURS else set())
        found += [f"{place}:{line}" for line in parses(ast.parse(path.read_text("utf-8")), sentences)]
    assert found == []
