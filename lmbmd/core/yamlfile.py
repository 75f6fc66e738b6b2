"""Reading the YAML that users write: plain data with line numbers, and nothing clever.

Aliases, tags, repeated keys, several documents and deep nesting are refused. Keys are always text. Words are
read as YAML 1.2 has them, so ``NO`` is a name and ``3:7`` is no time of day.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from lmbmd.core.errors import LmbmdError, nearest

MAX_BYTES = 262_144
_MAX_DEPTH = 12
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS = {"": None, "~": None, "null": None, "true": True, "false": False, ".inf": float("inf"), ".nan": float("nan")}
_INT = re.compile(r"[-+]?[0-9]{1,18}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]{1,4})?")

Lines = dict[tuple[str | int, ...], int]


def read_yaml(path: Path) -> tuple[dict[str, Any], Lines]:
    """The mapping in a YAML file, and the line on which each key path stands.

    Raises:
        LmbmdError: if the file is missing, too large, not UTF-8, not YAML, empty, no mapping, or uses more than
            plain mappings, lists and scalars.
    """
    return yaml_of(_text(path), str(path))


def yaml_of(text: str, where: str) -> tuple[dict[str, Any], Lines]:
    """The mapping in a YAML text, and the line of each key path, checked as ``read_yaml`` checks a file."""
    if len(text) > MAX_BYTES:
        what = f"the text has {len(text)} characters, more than the {MAX_BYTES} that any file of lmbmd has."
        raise LmbmdError(what, where=where, remedy="Is this the right file?")
    try:
        data, lines = _build(yaml.parse(text, Loader=_LOADER), where)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        place = f"{where}:line {mark.line + 1}" if mark else where
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        tab = mark is not None and "\t" in (text.splitlines() or [""])[min(mark.line, len(text.splitlines()) - 1)]
        remedy = (
            "YAML is indented with spaces, and this line has a tab." if tab else "Check this line and the one before."
        )
        raise LmbmdError(f"this is not YAML: {problem}.", where=place, remedy=remedy) from error
    if data is None or data == {}:
        raise LmbmdError("the file is empty.", where=where, remedy="Write at least one key.")
    if not isinstance(data, dict):
        raise LmbmdError("the file holds no keys.", where=where, remedy="Write it as lines of 'key: value'.")
    return data, lines


def _text(path: Path) -> str:
    try:
        if not path.exists():
            siblings = [p.name for p in path.parent.glob("*.y*ml")][:200] if path.parent.is_dir() else []
            remedy = nearest(path.name, siblings) if siblings else "Check its name and the folder you are in."
            raise LmbmdError("there is no such file.", where=str(path), remedy=remedy)
        if not path.is_file():
            raise LmbmdError("this is not a file.", where=str(path), remedy="Give a YAML file.")
        if path.stat().st_size > MAX_BYTES:
            what = f"the file has {path.stat().st_size} bytes, more than the {MAX_BYTES} a study ever needs."
            raise LmbmdError(what, where=str(path), remedy="Give a formulation or a study, not data.")
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"byte {error.start} is not UTF-8."
        raise LmbmdError(what, where=str(path), remedy="Save the file as UTF-8 text.") from error
    except OSError as error:
        what = f"the file cannot be read: {error.strerror or error}."
        raise LmbmdError(what, where=str(path), remedy="Check its name and permissions.") from error


def _build(events: Any, file: str) -> tuple[Any, Lines]:
    """Turn parser events into data. A loop, not a recursion: nested input cannot exhaust the stack."""
    root: list[Any] = []
    lines: Lines = {}
    stack: list[list[Any]] = [[root, (), None]]  # container, its path, key that waits for a value
    for event in events:
        if isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            stack.pop()
            continue
        if isinstance(event, yaml.DocumentStartEvent) and root:
            raise _refused("there is a second document ('---')", event, file, "Keep one file to one thing.")
        if not isinstance(event, yaml.NodeEvent):
            continue
        if event.anchor is not None:
            raise _refused("anchors and aliases ('&', '*') are not allowed", event, file, "Write the value out.")
        tag = getattr(event, "tag", None)  # an alias has none
        if tag is not None:
            raise _refused(f"the tag '{tag}' is not allowed", event, file, "Write plain values.")
        container, path, key = stack[-1]
        if isinstance(container, dict) and key is None:
            stack[-1][2] = _key(event, container, file)
            assert event.start_mark is not None, "PyYAML marks every event of a text"
            lines[(*path, stack[-1][2])] = event.start_mark.line + 1
            continue
        value = _value(event)
        if isinstance(container, dict):
            container[key] = value
            stack[-1][2] = None
        else:
            key = len(container)
            container.append(value)
        if isinstance(value, dict | list):
            if len(stack) > _MAX_DEPTH:
                raise _refused(f"more than {_MAX_DEPTH} levels of nesting", event, file, "Flatten it.")
            stack.append([value, () if container is root else (*path, key), None])
    return (root[0] if root else None), lines


def _key(event: Any, container: dict[str, Any], file: str) -> str:
    if not isinstance(event, yaml.ScalarEvent):
        raise _refused("a key must be a word", event, file, "Write 'key: value'.")
    if len(event.value) > 200:
        raise _refused("a key is longer than 200 characters", event, file, "Shorten it.")
    if event.value in container:
        raise _refused(f"the key '{event.value[:60]}' stands here twice", event, file, "Keep one of the two.")
    return event.value


def _value(event: Any) -> Any:
    if isinstance(event, yaml.MappingStartEvent):
        return {}
    if isinstance(event, yaml.SequenceStartEvent):
        return []
    text = event.value
    if not event.implicit[0]:  # quoted
        return text
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text


def _refused(what: str, event: Any, file: str, remedy: str) -> LmbmdError:
    return LmbmdError(f"{what}.", where=f"{file}:line {event.start_mark.line + 1}", remedy=remedy)


class _Plain(yaml.SafeDumper):
    """Writes repeated values out instead of naming them."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def to_yaml(data: Any) -> str:
    """Plain data as YAML that ``read_yaml`` reads back, keys in their order."""
    return yaml.dump(data, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=120)
