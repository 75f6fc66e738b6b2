"""A sweep: a few lines of one bottle's file that become many bottles, each with a name that says what it is."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.options import NAME
from lmbmd.core.words import shown
from lmbmd.core.yamlfile import Lines
from lmbmd.formulation.amounts import Amount, Basis, parse_amount, parse_ratio
from lmbmd.formulation.models import SECTIONS, SWEPT, Formulation, amounts_of, make_formulation, read_formulation_file

#: More bottles than this are made only where the sweep itself says ``at_most``.
AT_MOST = 100

_SHORT: dict[Basis, str] = {
    "mol/L of solution": "molar",
    "mol/L of solvent": "molar-solvent",
    "mol/kg of solvent": "molal",
    "mol parts": "mol",
    "volume parts": "vol",
    "mass parts": "mass",
    "wt%": "wtpct",
    "vol%": "volpct",
}
_LABELS = {
    "size.atoms": "{}-atoms",
    "size.ion_pairs": "{}-pairs",
    "size.box_edge_nm": "{}nm",
    "force_field": "{}",
    "ion_charge_scale": "scale-{}",
    "temperature_K": "",
    "pressure_bar": "{}bar",
    "seed": "seed-{}",
}
#: What leaves a component out.
_NONE = (None, "none", 0)
_TARGETS = ("atoms", "ion_pairs", "box_edge_nm")


@dataclass(frozen=True)
class _Value:
    """One value of one swept key: its part of the name, its words, and how it changes the keys of a bottle."""

    label: str
    told: str
    put: Callable[[dict[str, Any]], dict[str, Any]]
    is_amount: bool = True


def load_formulations(
    path: str | Path, defaults: Mapping[str, Any] | None = None, only: str | None = None
) -> list[Formulation]:
    """Read the bottles of one YAML file: one, or all those of its sweep.

    Every combination of a sweep's values is one bottle, called ``<file>.<value>.<value>``. A name depends on nothing
    but the bottle's own values, so that another value, or another order of them, leaves the bottles that are there
    as they were. Temperatures are the exception: they are state points of one bottle anyway, and stay so.

    Args:
        path: the file.
        defaults: values of ``Conditions`` for keys that the file does not give.
        only: make no other bottle than this, if the file has it: one job of thousands needs only its own.

    Raises:
        LmbmdError: naming the file, the key, the value and the remedy; if a sweep makes more bottles than it may.
    """
    path = Path(path)
    stem, own, lines = read_formulation_file(path)
    base = make_formulation(stem, {**(defaults or {}), **own}, path, lines)
    if not base.sweep:
        return [base]
    return _Sweep(base, {**(defaults or {}), **own}, lines, "sweep" in own).bottles(only)


class _Sweep:
    """The sweep of one bottle, ``base``, which is not simulated itself."""

    def __init__(self, base: Formulation, data: Mapping[str, Any], lines: Lines, own: bool) -> None:
        self.base, self.lines, self.own = base, lines, own
        self.keys = {key: value for key, value in data.items() if key != "sweep"}
        self.keys |= {section: getattr(base, section) for section in SECTIONS}

    def bottles(self, only: str | None) -> list[Formulation]:
        """All of them, or the one called ``only`` if there is one."""
        axes = {key: values for key, values in self.base.sweep.items() if key != "at_most"}
        lengths = [1 if key == "temperature_K" else len(values) for key, values in axes.items()]
        number, allowed = math.prod(lengths), self.base.sweep.get("at_most", AT_MOST)
        if number > allowed:
            remedy = f"Sweep over fewer values, or allow it with a line 'at_most: {number}' in the sweep."
            raise self._error(f"it makes {number} bottles, more than {allowed}.", remedy)
        values = [self._values(key, axes[key]) for key in sorted(axes, key=_order)]
        choices: dict[str, tuple[_Value, ...]] = {}
        for choice in itertools.product(*values):
            name = ".".join([self.base.name, *(value.label for value in choice if value.label)])
            if name in choices:
                raise self._error(f"it makes '{name}' twice.", "Give each value once.")
            if not re.fullmatch(NAME, name):
                raise self._error(f"the name '{name}' is too long.", "Shorten the name of the file.")
            choices[name] = choice
        chosen = {only: choices[only]} if only in choices else choices
        return [self._bottle(name, *choice) for name, choice in chosen.items()]

    def _bottle(self, name: str, *choice: _Value) -> Formulation:
        keys = self.keys
        for value in choice:
            keys = value.put(keys)
        told = ", ".join(value.told for value in choice if value.told)
        titled = self.base.title or ("" if all(value.is_amount for value in choice) else self.base.name)
        title = f"{titled}: {told}" if titled and told else titled
        return make_formulation(name, {**keys, "title": title[:200]}, Path(self.base.where()), self.lines)

    def _values(self, key: str, values: Sequence[Any]) -> list[_Value]:
        """The values of one key, each tried by itself, so that an error can name it."""
        found = []
        for number, value in enumerate([list(values)] if key == "temperature_K" else values, start=1):
            try:
                found.append(self._value(key, value))
                self._bottle(self.base.name, found[-1])
            except LmbmdError as error:
                raise self._error(f"value {number}: {error.what}", error.remedy or "", key) from error
        return found

    def _value(self, key: str, value: Any) -> _Value:
        section, _, names = key.partition(".")
        if section in SECTIONS:
            return self._part(section, names, value) if names else self._whole(section, value)
        label = _LABELS[key].format(f"{value:g}" if isinstance(value, float) else value)
        told = "" if key == "temperature_K" else f"{names or key} {value}"
        if section != "size":
            return _Value(label, told, lambda keys: {**keys, key: value}, is_amount=not told)
        kept = {k: v for k, v in self.base.size.model_dump().items() if k not in _TARGETS}
        return _Value(label, told, lambda keys: {**keys, "size": {**kept, names: value}}, is_amount=False)

    def _part(self, section: str, names: str, value: Any) -> _Value:
        """One amount, or the ratio of several components; ``none`` leaves them out."""
        species, present = names.split(":"), getattr(self.base, section)
        for name in species:
            if name not in present:
                what = f"the bottle has no '{name}' under '{section}'."
                raise LmbmdError(what, remedy=f"Give it an amount there first. {nearest(name, present)}")
        if value in _NONE:
            amounts: dict[str, Amount] = {}
        elif len(species) > 1:
            amounts = parse_ratio(names, value)
        else:
            amounts = {names: parse_amount(value)}

        def put(keys: dict[str, Any]) -> dict[str, Any]:
            kept = {name: amount for name, amount in keys[section].items() if amounts or name not in species}
            return {**keys, section: {**kept, **amounts}}

        return _Value(_label(amounts) or f"no-{_plain('-'.join(species))}", _told(amounts) or f"no {names}", put)

    def _whole(self, section: str, value: Any) -> _Value:
        """A section as a whole, such as one diluent instead of another; ``none`` leaves it empty."""
        if not isinstance(value, Mapping | None) and value not in _NONE:
            raise LmbmdError(f"{shown(value)} is no section.", remedy=f"Write '{section}: [{{NAME: amount}}, …]'.")
        if any(key.startswith(f"{section}.") for key in self.base.sweep):
            raise LmbmdError(f"single amounts of '{section}' are swept as well.", remedy="Keep one of the two.")
        given = amounts_of(value if isinstance(value, Mapping) else {})
        amounts = {
            name: amount if isinstance(amount, Amount) else parse_amount(amount) for name, amount in given.items()
        }
        return _Value(
            _label(amounts) or f"no-{section}",
            _told(amounts) or f"no {section}",
            lambda keys: {**keys, section: amounts},
        )

    def _error(self, what: str, remedy: str, *key: str) -> LmbmdError:
        where = self.base.where("sweep", *key) if self.own else f"{self.base.where()}: sweep of the study's defaults"
        return LmbmdError(what, where=where, remedy=remedy)


def _order(key: str) -> tuple[int, str]:
    """Sections first, as in a bottle's file, then the other keys in a fixed order."""
    section = key.partition(".")[0]
    return (SECTIONS.index(section), key) if section in SECTIONS else (len(SECTIONS) + SWEPT.index(key), "")


def _label(amounts: Mapping[str, Amount]) -> str:
    """Amounts as a part of a name: ``tte-3mol``, ``ec-3vol-emc-7vol``."""
    return "-".join(
        f"{_plain(name)}-{amount.value:g}{_SHORT[amount.basis]}" if amount.value is not None else _plain(name)
        for name, amount in amounts.items()
    )


def _told(amounts: Mapping[str, Amount]) -> str:
    return ", ".join(f"{name} {amount}" for name, amount in amounts.items())


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9-]+", "", name.lower())
