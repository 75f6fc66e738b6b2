"""Checking what a file says against its model: the first fault becomes one readable error."""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.words import shown
from lmbmd.core.yamlfile import Lines

_Model = TypeVar("_Model", bound=BaseModel)

_TYPES = {
    "float_type": "a number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "dict_type": "lines of 'key: value'",
    "model_type": "lines of 'key: value'",
    "model_attributes_type": "lines of 'key: value'",
    "tuple_type": "a list",
    "list_type": "a list",
}
_LIMITS = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "at least {min_length} entries",
    "too_long": "at most {max_length} entries",
    "string_too_short": "at least {min_length} characters",
    "string_too_long": "at most {max_length} characters",
}


def validated(model: type[_Model], data: Mapping[str, Any], *, path: Path, lines: Lines) -> _Model:
    """An instance of ``model`` with the values of ``data``, which was read from ``path``.

    Raises:
        LmbmdError: for the first fault, with the file, the key, its line, the value and the remedy.
    """
    try:
        return model.model_validate(data)
    except ValidationError as failed:
        faults = sorted(failed.errors(), key=lambda fault: (fault["type"] != "extra_forbidden", len(fault["loc"])))
        what, remedy = _explain(faults[0], model)
        loc = faults[0]["loc"]
        raise LmbmdError(what, where=f"{path}:{place(loc, lines)}", remedy=remedy) from failed


def is_a(name: str, value: Any, kinds: type | tuple[type, ...], words: str) -> None:
    """Refuse an argument of a public function that is of another type.

    Args:
        name: of the argument.
        kinds: what it may be an instance of; True and False are no numbers.
        words: the same in words, for the message.
    """
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        raise LmbmdError(f"{name} cannot be {shown(value)}.", remedy=f"Give {words}.")


def first_fault(failed: ValidationError) -> ValueError:
    """The first fault of data that no user wrote: which key, and what is wrong."""
    fault = failed.errors()[0]
    return ValueError(f"{'.'.join(map(str, fault['loc'])) or 'its content'}: {fault['msg']}")


def place(loc: tuple[str | int, ...], lines: Lines) -> str:
    """A key path as error messages name it: ``protocol.timestep_fs (line 7)``."""
    key = ".".join(map(str, loc)) or "(top level)"
    depth = next((n for n in range(len(loc), 0, -1) if tuple(loc[:n]) in lines), 0)
    return f"{key} (line {lines[tuple(loc[:depth])]})" if depth else key


def saying(check: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Let a check that raises ``LmbmdError`` serve as a pydantic validator, so that the key is added to its message."""

    def validator(value: Any) -> Any:
        try:
            return check(value)
        except LmbmdError as error:
            raise fault(error.what, error.remedy) from error

    return validator


def fault(what: str, remedy: str | None) -> PydanticCustomError:
    """What a pydantic validator raises to give both the fault and its remedy."""
    return PydanticCustomError("lmbmd", "{what}", {"what": what, "remedy": remedy or ""})


def _explain(error: ErrorDetails, root: type[BaseModel]) -> tuple[str, str]:
    kind, loc, context = error["type"], error["loc"], error.get("ctx", {})
    key = str(loc[-1]) if loc else ""
    if kind == "lmbmd":
        return context["what"], context["remedy"]
    if kind == "extra_forbidden":
        return f"unknown key '{key}'.", _advice(key, loc, root)
    if kind == "missing":
        return f"the key '{key}' is missing.", f"Add a line '{key}: …'."
    quoted = shown(error["input"])
    if kind == "literal_error":
        choices = [c.strip("' ") for c in context["expected"].replace(" or ", ", ").split(", ")]
        return f"{quoted} is not a valid choice.", nearest(str(error["input"]), choices)
    if kind == "string_pattern_mismatch":
        return f"{quoted} is not a name.", "Use lower-case letters, digits, '.', '_' and '-', a letter or digit first."
    if kind in _TYPES:
        return f"{quoted} is not {_TYPES[kind]}.", f"Give {_TYPES[kind]}."
    if kind in _LIMITS:
        return f"{quoted} is out of range.", f"Give {_LIMITS[kind].format(**context)}."
    return f"{quoted}: {error['msg']}.", f"Mend the value of '{key}'."


def _advice(key: str, loc: tuple[str | int, ...], root: type[BaseModel]) -> str:
    """Where an unknown key belongs, if anywhere, else the nearest key valid at its place."""
    models = dict(_models(root))
    homes = [".".join(path) for path, model in models.items() if key in model.model_fields and path != loc[:-1]]
    if homes:
        return f"It belongs under '{homes[0]}:'." if homes[0] else "It belongs at the top level."
    valid = models.get(tuple(str(part) for part in loc[:-1]), root).model_fields
    return nearest(key, [name for name, info in valid.items() if not info.exclude])


def _models(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], type[BaseModel]]]:
    """A model and those inside it, each with its key path."""
    yield path, model
    for name, info in model.model_fields.items():
        options = (
            typing.get_args(info.annotation) if isinstance(info.annotation, types.UnionType) else (info.annotation,)
        )
        for option in options:
            if isinstance(option, type) and issubclass(option, BaseModel):
                yield from _models(option, (*path, name))
