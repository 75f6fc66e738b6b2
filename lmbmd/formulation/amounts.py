"""Amounts as people write them: a number and the basis it is counted on, which must be spelt out."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Literal

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.validation import saying
from lmbmd.core.words import counted, shown

Basis = Literal[
    "mol/L of solution",
    "mol/L of solvent",
    "mol/kg of solvent",
    "mol parts",
    "volume parts",
    "mass parts",
    "wt%",
    "vol%",
    "units per cation",
    "ether oxygens per cation",
    "rest",
]

#: Bases that only compare components with each other, and so leave the size of their pool open.
PARTS: tuple[Basis, ...] = ("mol parts", "volume parts", "mass parts")

#: One example of each basis, in its canonical spelling.
EXAMPLES = (
    "1 mol/L of solution",
    "1 mol/L of solvent",
    "2 mol/kg of solvent",
    "1.2 mol parts",
    "3 volume parts",
    "7 mass parts",
    "2 wt%",
    "5 vol%",
    "rest",
)

_PER_LITRE = r"(?:mol ?(?:/|per) ?(?:l|litre|liter|dm3)|mol l-1|(?-i:M)|molar)"
_SPELLINGS: tuple[tuple[Basis, str], ...] = (
    ("mol/L of solution", rf"{_PER_LITRE} (?:of )?(?:the )?(?:solution|electrolyte)"),
    ("mol/L of solvent", rf"{_PER_LITRE} (?:of )?(?:the )?solvents?"),
    ("mol/kg of solvent", r"(?:mol ?(?:/|per) ?kg|mol kg-1|molal)(?: (?:of )?(?:the )?solvents?)?"),
    ("mol parts", r"mol(?:e|es)?(?: parts?)?|parts? by mol(?:e|es)?|by mol(?:e|es)?|mol/mol"),
    ("volume parts", r"(?:v|vol|volumes?)(?: parts?)?|parts? by vol(?:ume)?|by vol(?:ume)?|v/v"),
    ("mass parts", r"(?:mass|wt|weight)(?: parts?)?|parts? by (?:mass|weight)|by (?:mass|weight)|w/w|m/m"),
    ("wt%", r"(?:wt|mass|weight) ?%|% by (?:mass|weight)|% ?\(?w/w\)?"),
    ("vol%", r"(?:vol|volume) ?%|% by vol(?:ume)?|% ?\(?v/v\)?"),
    ("units per cation", r"(?:repeat )?units? per (?:cation|li\+?)"),
    ("ether oxygens per cation", r"(?:ether )?(?:oxygens?|o) per (?:cation|li\+?)"),
)
#: How polymer electrolytes are written: EO:Li = 20, [O]/[Li⁺] = 20.
_OXYGENS = r"\[?E?O\]? ?[:/] ?\[?(?:Li|Na|K|Mg|Zn|Ca|cation)[0-9]*\+?\]? ?[=:]? ?"
_CATION = re.compile(r"(?<![a-z])(Li|Na|K|Mg|Zn|Ca)(?![a-z])", re.IGNORECASE)
_AMBIGUOUS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (rf"{_PER_LITRE}", "does not say what the litre is a litre of", EXAMPLES[:3]),
    (r"(?-i:m)", "may mean molal or a mistyped molar", EXAMPLES[:3]),
    (r"%|percent", "does not say whether it is by mass or by volume", ("wt%", "vol%")),
    (
        r"mol ?%|% by mole?|(?:mol |mole )?fraction",
        "is not offered, as salts can be counted as one or as ions",
        ("mol parts",),
    ),
    (r"parts?|", "has no basis", PARTS),
    (r"ppm|ppb", "does not say whether it is by mass or by volume", ("wt%",)),
)

_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?"


@dataclass(frozen=True)
class Amount:
    """How much of a component: ``value`` on ``basis``, and the ``text`` it was read from.

    The bases, with n in moles of formula units, v molar volumes, M molar masses, sums over the whole bottle
    unless "solvent", which means all solvents and diluents (no salts, no additives):

    * ``mol/L of solution``: n / Σ n v; ``mol/L of solvent``: n / Σ_solvent n v (ideal mixing of densities);
    * ``mol/kg of solvent`` (molality): n / Σ_solvent n M;
    * ``mol parts``, ``volume parts``, ``mass parts``: n, n v, n M, relative to the others given in such parts;
    * ``wt%``, ``vol%``: 100 n M / Σ n M, 100 n v / Σ n v, of the whole electrolyte;
    * ``units per cation``, ``ether oxygens per cation``: of a polymer, its repeat units or the ether oxygens in them,
      to all cations of the bottle;
    * ``rest``: whatever fills the bottle up; its value is None.

    Of a polymer n counts repeat units, and v and M are those of a mean unit with its share of the ends.
    """

    value: float | None
    basis: Basis
    text: str = field(compare=False)

    @property
    def number(self) -> float:
        """The value of an amount that has one. Raises ValueError for ``rest``."""
        if self.value is None:
            raise ValueError(f"'{self.text}' has no number")
        return self.value

    def __str__(self) -> str:
        """The canonical spelling, which ``parse_amount`` reads back as an equal amount."""
        return self.basis if self.value is None else f"{str(self.value).removesuffix('.0')} {self.basis}"


def contents(amounts: Mapping[str, Amount]) -> str:
    """What is in a bottle in one line, the same for the same bottle: ``"DME rest; LiFSI 1 mol/L of solution"``.

    Args:
        amounts: by the component's name in the library.
    """
    return "; ".join(f"{name} {amount}" for name, amount in sorted(amounts.items()))


def same_contents(one: str, other: str) -> bool:
    """Whether two lines of ``contents`` are of the same bottle, as far as what was written tells.

    They are if they name the same components on the same bases, and each amount is the same number. Amounts in parts
    only compare with others on their basis: they are the same if one factor makes each amount of one line equal to its
    amount in the other, within rounding, where a number with decimals stands for half a unit in its last place to
    either side, but for no more than 1 % of itself (0.3 : 0.7 is not 1 : 2), and a whole number for itself. So 1 : 1.2
    is 2 : 2.4, and 0.33 : 0.67 is 1 : 2; 33 : 67 is not. One basis is never converted into another.
    """
    if one == other:
        return True
    a, b = _listed(one), _listed(other)
    if not a or not b or {name: x.basis for name, x in a.items()} != {name: x.basis for name, x in b.items()}:
        return False
    factors: dict[Basis, list[tuple[float, float]]] = {}
    for name, amount in a.items():
        if amount.basis in PARTS:
            (low, high), (least, most) = _meant(amount), _meant(b[name])
            factors.setdefault(amount.basis, []).append((least / high, most / low))
        elif amount != b[name]:
            return False
    return all(max(low for low, _ in pool) <= min(high for _, high in pool) for pool in factors.values())


@lru_cache(maxsize=4096)
def _listed(line: str) -> Mapping[str, Amount]:
    """The amounts of a line of ``contents``; none if it is not one."""
    try:
        return {name: parse_amount(text) for name, _, text in (part.partition(" ") for part in line.split("; "))}
    except LmbmdError:
        return {}


def _meant(amount: Amount) -> tuple[float, float]:
    """The least and the greatest number that it may have been rounded from; with room for floating point."""
    value = amount.number
    places = -int(Decimal(str(value)).normalize().as_tuple().exponent)
    half = min(0.5 * 10.0**-places, 0.01 * value) if places > 0 else 0.0
    return value * (1 - 1e-9) - half, value * (1 + 1e-9) + half


def parse_amount(text: object) -> Amount:
    """Read one amount, such as ``"1 mol/L of solution"``, ``"3 volume parts"``, ``"2 wt%"`` or ``"rest"``.

    Raises:
        LmbmdError: if it has no number, no or an ambiguous basis, or is not positive.
    """
    plain = _plain(str(text))
    if plain.casefold() in {"rest", "the rest", "remainder", "balance"}:
        return Amount(None, "rest", str(text))
    if ratio := re.fullmatch(rf"{_OXYGENS}({_NUMBER})(?: ?: ?1)?", plain, re.IGNORECASE):
        return Amount(_checked(float(ratio[1]), text), "ether oxygens per cation", str(text))
    match = re.fullmatch(rf"({_NUMBER}) ?(.*)", plain, re.IGNORECASE)
    if match is None:
        raise LmbmdError(f"{shown(text)} is not an amount: it must begin with a number.", remedy=_spell(EXAMPLES))
    value, basis = _checked(float(match[1]), text), _basis(match[2], match[1], text)
    if basis.endswith("%") and value >= 100:
        raise LmbmdError(f"{shown(text)} leaves no room for anything else.", remedy="Give less than 100 %.")
    return Amount(value, basis, str(text))


def cation_of(text: str) -> str:
    """The cation that an amount of a polymer names, as in "EO:Li = 20"; "" where it counts all of them."""
    found = _CATION.search(_plain(text))
    return found[1].capitalize() if found else ""


def parse_ratio(names: str, text: object) -> dict[str, Amount]:
    """Read a ratio over several species, ``"EC:EMC"`` and ``"3:7 volume parts"``, as one amount for each.

    Raises:
        LmbmdError: if there are not as many numbers as species, or the basis is not one of parts.
    """
    species = [name.strip() for name in names.split(":")]
    match = re.fullmatch(rf"({_NUMBER}(?: ?: ?{_NUMBER})*) ?(.*)", _plain(str(text)), re.IGNORECASE)
    if match is None:
        raise LmbmdError(f"{shown(text)} is not a ratio.", remedy="Write one like '3:7 volume parts'.")
    numbers = [number.strip() for number in match[1].split(":")]
    if len(numbers) != len(species):
        what = f"'{names}' names {len(species)} species, but {shown(text)} has {counted(len(numbers), 'number')}."
        raise LmbmdError(what, remedy="Give one number for each species, in the same order.")
    if not all(species) or len(set(species)) != len(species):
        raise LmbmdError(f"'{names}' names an empty or repeated species.", remedy="Name each species once.")
    basis = _basis(match[2], match[1], text)
    if basis not in PARTS:
        raise LmbmdError(f"{shown(text)} is a ratio, which has no {basis}.", remedy=_spell(PARTS, match[1]))
    values = [_checked(float(number), text) for number in numbers]
    return {s: Amount(v, basis, f"{n} {basis}") for s, v, n in zip(species, values, numbers, strict=True)}


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).replace("\N{MINUS SIGN}", "-").replace("⁻", "-").split())


def _checked(value: float, text: object) -> float:
    if value <= 0:
        raise LmbmdError(
            f"{shown(text)} is not a positive amount.", remedy="Give more than zero, or leave the component out."
        )
    if not 1e-9 <= value <= 1e9:
        raise LmbmdError(f"{shown(text)} is out of range.", remedy="Give a number from 1e-9 to 1e9.")
    return value


def _basis(unit: str, number: str, text: object) -> Basis:
    unit = unit.strip()
    for basis, pattern in _SPELLINGS:
        if re.fullmatch(pattern, unit, re.IGNORECASE):
            return basis
    for pattern, why, offers in _AMBIGUOUS:
        if re.fullmatch(pattern, unit, re.IGNORECASE):
            raise LmbmdError(f"{shown(text)} {why}.", remedy=_spell(offers, number))
    if unit.startswith(","):
        raise LmbmdError(f"{shown(text)} has a decimal comma.", remedy="Write decimals with a point.")
    if unit.startswith(":"):
        remedy = "Write a ratio as 'EC:EMC: 3:7 volume parts', or give each species its own parts."
        raise LmbmdError(f"{shown(text)} is a ratio, but stands for one species.", remedy=remedy)
    bases = [basis for basis, _ in _SPELLINGS]
    advice = nearest(unit, bases)
    raise LmbmdError(f"{shown(text)}: '{unit[:40]}' is no basis that lmbmd knows.", remedy=advice)


def _spell(offers: tuple[str, ...], number: str = "") -> str:
    full = [
        offer if offer in EXAMPLES and not number else f"{number} {re.sub(r'^[0-9.]+ ', '', offer)}" for offer in offers
    ]
    return f"Write {', '.join(repr(o) for o in full[:-1])}{' or ' if len(full) > 1 else ''}{full[-1]!r}."


#: An amount as a key of an options model.
AmountText = Annotated[
    Amount,
    PlainValidator(saying(lambda value: value if isinstance(value, Amount) else parse_amount(value))),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "description": "number and basis", "examples": list(EXAMPLES)}),
]
