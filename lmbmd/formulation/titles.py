"""The title of a bottle that was given none: what is in it, as one writes it in a paper."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmbmd.core.errors import LmbmdError
from lmbmd.core.words import formula
from lmbmd.formulation.amounts import PARTS, Amount, parse_amount

_UNITS = {
    "mol/L of solution": "mol/L",
    "mol/L of solvent": "mol/L (of solvent)",
    "mol/kg of solvent": "mol/kg",
    "mol parts": "mol/mol",
    "volume parts": "v/v",
    "mass parts": "w/w",
}


def title_of(composition: Mapping[str, Any]) -> str:
    """The contents of a composition, such as ``"1.2 mol/L LiPF₆ in EC:EMC 3:7 (w/w) + 2 wt% VC"``.

    Components in parts of one kind are one ratio, also with a salt among them (``"LiFSI:DME:TTE 1:1.2:3 (mol/mol)"``);
    what fills the bottle up, or is the only one of its ratio, stands without an amount.

    Args:
        composition: the content of composition.json.

    Returns:
        The title; "" if it is not recorded what was asked for, or not as amounts.
    """
    try:
        roles = {str(one["name"]): str(one["role"]) for one in composition.get("ingredients") or ()}
        amounts = {str(row["component"]): parse_amount(row["text"]) for row in composition.get("asked_realised") or ()}
    except (LmbmdError, KeyError, TypeError):
        return ""
    ratios = {basis: [name for name, amount in amounts.items() if amount.basis == basis] for basis in PARTS}
    dissolved: list[str] = []
    medium: list[str] = []
    added: list[str] = []
    for name, amount in amounts.items():
        members = ratios.get(amount.basis, [name])
        if name != members[0]:
            continue
        place = dissolved if roles.get(name) == "salt" else added if amount.basis.endswith("%") else medium
        (medium if len(members) > 1 else place).append(_share(members, amounts))
    return " in ".join(filter(None, [" + ".join(dissolved), " + ".join([*medium, *added])]))


def _share(names: list[str], amounts: Mapping[str, Amount]) -> str:
    """Components of one ratio, or one with its amount."""
    told, amount = ":".join(map(formula, names)), amounts[names[0]]
    if len(names) > 1:
        return f"{told} {':'.join(_number(amounts[name]) for name in names)} ({_UNITS[amount.basis]})"
    if amount.value is None or amount.basis in PARTS:
        return told
    return f"{_number(amount)} {_UNITS.get(amount.basis, amount.basis)} {told}"


def _number(amount: Amount) -> str:
    return f"{amount.number:g}"
