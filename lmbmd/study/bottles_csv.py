"""Bottles from a CSV table, one row each, as the electrolytes of the OMol25 data set were written down (om-data).

Such a table leaves open what its numbers count: litres of solution or of solvent, parts by mole or by volume, and
which isomer a formula stands for. A codebook tells it; nothing is guessed. What a row does not tell is refused by line
and column.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from math import gcd
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, Field

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.options import FROZEN, NAME
from lmbmd.core.validation import validated
from lmbmd.core.words import counted, listed, printable, shown, unaccented
from lmbmd.core.yamlfile import read_yaml
from lmbmd.data.bonds import parsed_formula
from lmbmd.data.library import Library, Species, UnknownName
from lmbmd.formulation.amounts import EXAMPLES, PARTS, Basis, parse_amount
from lmbmd.formulation.models import RESERVED

_MOST_BYTES, _MOST_ROWS, _MOST_COLUMNS, _MOST_TEXT = 2**24, 20_000, 200, 2000
#: Columns of words, and the other names that they go by.
_WORDS = {"name": ("comment/name",), "doi": (), "category": (), "units": (), "temperature": ("temperature_k",)}
#: Columns of what is in the bottle, numbered from 1, and the end of the name of the column with its amount.
_GROUPS = {
    "cation": "_conc",
    "anion": "_conc",
    "salt": "_conc",
    "solvent": "_ratio",
    "diluent": "_ratio",
    "additive": "_amount",
}
_COLUMN = re.compile(rf"({'|'.join(_GROUPS)})([1-9]\d?)")
_NUMBER = re.compile(r"[0-9]{1,40}\.?[0-9]{0,40}(?:[eE][+-]?[0-9]{1,2})?|\.[0-9]{1,40}")
#: Charges may miss zero by so much of their sum: amounts of ions are written with seven digits and more.
_NEUTRAL = Decimal("1e-6")
#: Reasons that are told, and characters of each.
_SHOWN, _LONGEST = 8, 400

SaltBasis = Literal["mol/L of solution", "mol/L of solvent", "mol/kg of solvent", "mol parts"]
PartBasis = Literal["mol parts", "volume parts", "mass parts"]


class Codebook(BaseModel):
    """What the words and numbers of a table mean."""

    model_config = FROZEN

    units: dict[str, SaltBasis] = Field({}, description="basis of ions and salts, by the word in the column 'units'")
    ratio: PartBasis | None = Field(None, description="basis of the ratios of solvents and diluents")
    names: dict[str, str] = Field({}, description="species or salt of the library, by its name in the table")


@dataclass(frozen=True)
class Refused:
    """Why a row is no bottle; ``column`` is "" if it is the row as a whole."""

    line: int
    column: str
    why: str


class _Fault(Exception):
    def __init__(self, column: str, why: str) -> None:
        super().__init__(why)
        self.column, self.why = column, why


def read_codebook(path: Path | None) -> Codebook:
    """The codebook in a YAML file; an empty one without a file.

    Raises:
        LmbmdError: naming the key and its line.
    """
    if path is None:
        return Codebook()
    data, lines = read_yaml(path)
    return validated(Codebook, data, path=path, lines=lines)


def read_bottles(
    path: Path, codebook: Codebook, library: Library, check: Callable[[str, dict[str, Any]], None]
) -> tuple[dict[str, dict[str, Any]], list[Refused]]:
    """The bottles of a table by name, each as its YAML file has it, and the rows that are none.

    Args:
        path: the CSV file: commas, UTF-8, a line of column names.
        codebook: what its words mean.
        library: species and salts.
        check: raises LmbmdError for a bottle that cannot be composed; may add keys to it.

    Raises:
        LmbmdError: if it is no such table.
    """
    columns, rows = _table(path)
    bottles: dict[str, dict[str, Any]] = {}
    lines: dict[str, int] = {}
    refused = []
    for line, cells in rows:
        row = dict(zip(columns, cells, strict=True))
        try:
            _check_text(row)
            name = _name(row.get("name", ""))
            if name in lines:
                raise _Fault("name", f"'{name}' is the name of line {lines[name]}, too. Give each row its own.")
            lines[name] = line
            bottle = _Row(row, codebook, library).bottle(f"line {line} of {path.name}")
            try:
                check(name, bottle)
            except LmbmdError as error:
                raise _Fault("", f"{error.what} {error.remedy or ''}".strip()) from error
            bottles[name] = bottle
        except _Fault as fault:
            refused.append(Refused(line, fault.column, fault.why))
    return bottles, refused


def refused_text(refused: Sequence[Refused]) -> str:
    """Each reason once, with where it is met first and how often."""
    reasons: dict[str, list[Refused]] = {}
    for one in refused:
        reasons.setdefault(one.why, []).append(one)
    parts = []
    for given, those in list(reasons.items())[:_SHOWN]:
        why = printable(" ".join(given.split()))  # a word of the codebook may be in it
        column = f", column {those[0].column}" if those[0].column else ""
        more = f" (and {counted(len(those) - 1, 'more row')})" if len(those) > 1 else ""
        parts.append(f"line {those[0].line}{column}{more}: {why if len(why) <= _LONGEST else f'{why[:_LONGEST]}…'}")
    if len(reasons) > _SHOWN:
        parts.append(f"and {counted(len(reasons) - _SHOWN, 'more reason')}.")
    return " ".join(parts)


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Column names, and line and cells of each row that is not empty."""
    where = str(path)
    if not path.name.isprintable():  # it is written into each bottle
        what = f"the name of this file, {shown(path.name)}, has characters that cannot be printed."
        raise LmbmdError(what, remedy="Rename it.")
    if not path.is_file():
        raise LmbmdError("there is no such file.", where=where, remedy="Check its name and the folder you are in.")
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES:
            what = f"the file has {size} bytes, more than the {_MOST_BYTES} that are read."
            raise LmbmdError(what, where=where, remedy="Split it.")
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        what = f"byte {error.start} is not UTF-8."
        raise LmbmdError(what, where=where, remedy="Save it as 'CSV UTF-8'.") from error
    if "\0" in text:
        raise LmbmdError("this is no text.", where=where, remedy="Save it as 'CSV UTF-8'.")
    found: list[tuple[int, list[str]]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            if any(cell.strip() for cell in cells):
                found.append((reader.line_num, [" ".join(cell.split()) for cell in cells]))
            if len(found) > _MOST_ROWS:
                what = f"there are more than {_MOST_ROWS} rows."
                raise LmbmdError(what, where=where, remedy="Split the table.")
    except csv.Error as error:
        what = f"this is no CSV: {error}."
        raise LmbmdError(what, where=f"{where}:line {reader.line_num}", remedy="Look at the quotes there.") from error
    if len(found) < 2:
        raise LmbmdError("there is no row below a line of column names.", where=where, remedy="Write some.")
    columns = _columns(found[0][1], where)
    for line, cells in found[1:]:
        if len(cells) != len(columns):
            what = f"the row has {counted(len(cells), 'cell')}, and there are {counted(len(columns), 'column')}."
            raise LmbmdError(what, where=f"{where}:line {line}", remedy="A comma within a cell needs quotes around it.")
    return columns, found[1:]


def _columns(given: Sequence[str], where: str) -> list[str]:
    """Names of the columns, each one that is known and there once."""
    if len(given) == 1 and any(mark in given[0] for mark in ";\t"):
        what = "the columns are not separated by commas."
        raise LmbmdError(what, where=where, remedy="Save it with commas between cells, and points in numbers.")
    if len(given) > _MOST_COLUMNS:
        raise LmbmdError(f"there are {len(given)} columns.", where=where, remedy=f"At most {_MOST_COLUMNS} are read.")
    others = {other: name for name, others in _WORDS.items() for other in others}
    valid = [*_WORDS, *(f"{group}1{end}" for group, end in _GROUPS.items() for end in ("", end))]
    columns: list[str] = []
    for column in given:
        name = others.get(column.lower(), column.lower())
        group = _COLUMN.match(name)
        if name not in _WORDS and not (group and name[group.end() :] in ("", _GROUPS[group[1]])):
            raise LmbmdError(f"{shown(column)} is no column that is known.", where=where, remedy=nearest(name, valid))
        if name in columns:
            raise LmbmdError(f"the column {shown(column)} is there twice.", where=where, remedy="Keep one.")
        columns.append(name)
    if "name" not in columns:
        raise LmbmdError("there is no column 'name'.", where=where, remedy="Each bottle needs a name of its own.")
    return columns


def _check_text(row: Mapping[str, str]) -> None:
    """Whether each cell is text of a sensible length; white space of any kind is a space by now."""
    for column, cell in row.items():
        if len(cell) > _MOST_TEXT:
            raise _Fault(column, f"the cell has {len(cell)} characters, more than the {_MOST_TEXT} that are read.")
        if not cell.isprintable():
            raise _Fault(column, f"{shown(cell)} has characters that cannot be printed. Type it anew.")


def _name(text: str) -> str:
    """The name of a bottle: that of the row in small letters without accents, with '-' for spaces."""
    name = unaccented(text).lower().replace(" ", "-")
    if not re.fullmatch(NAME, name) or name in RESERVED:
        why = "cannot name a bottle. Use letters, digits, spaces, '.', '_' and '-', a letter or digit first."
        raise _Fault("name", f"{shown(text)} {why}")
    return name


@dataclass(frozen=True)
class _Row:
    """One row: its cells by column."""

    cells: Mapping[str, str]
    codebook: Codebook
    library: Library

    def bottle(self, origin: str) -> dict[str, Any]:
        """The row as the file of a bottle has it."""
        doi, category = self._text("doi"), self._text("category")
        sections: dict[str, dict[str, str]] = {"salts": self._salts()}
        for section in ("solvents", "diluents", "additives"):
            sections[section] = {}
        parts = [(g, *one) for g in ("solvent", "diluent") for one in self._given(g)]
        is_alone = len(parts) == 1 and not any("parts" in text for text in sections["salts"].values())
        for group, name, cell, column in parts:
            species = self._species(name, column.removesuffix("_ratio"))
            self._once(sections, species.name, column)
            if is_alone and _NUMBER.fullmatch(cell):
                self._number(cell, column)  # any ratio of one alone is the rest, but zero is not
                sections[f"{group}s"][species.name] = "rest"
            else:
                sections[f"{group}s"][species.name] = self._amount(cell, column, self._ratio)
        for name, cell, column in self._given("additive"):
            known = self.codebook.names.get(name, name)
            self._once(sections, known, column)
            sections["additives"][known] = self._amount(cell, column, None)
        if not any(sections.values()):
            raise _Fault("", "nothing is in the bottle. Fill in a cation and an anion, a salt, or a solvent.")
        bottle: dict[str, Any] = {"title": self._text("name")}
        bottle["source"] = "; ".join(filter(None, [f"doi:{doi}" if doi else "", category, origin]))
        bottle |= {section: amounts for section, amounts in sections.items() if amounts}
        if self.cells.get("temperature"):
            bottle["temperature_K"] = float(self._number(self.cells["temperature"], "temperature"))
        return bottle

    def _text(self, column: str) -> str:
        text = self.cells.get(column, "")
        if text[:1] in ("=", "@", "+", "-"):
            raise _Fault(column, f"{shown(text)} begins like a formula of a spreadsheet. Write plain words.")
        return text

    def _given(self, group: str) -> list[tuple[str, str, str]]:
        """Name, amount and the amount's column of each of a group that the row fills in."""
        found = []
        for column, name in self.cells.items():
            if not (match := _COLUMN.fullmatch(column)) or match[1] != group:
                continue
            amount = f"{column}{_GROUPS[group]}"
            cell = self.cells.get(amount, "")
            if name and not cell:
                raise _Fault(amount, f"{shown(name)} has no amount. Give one, or leave the name out.")
            if name:
                found.append((name, cell, amount))
        for column, cell in self.cells.items():
            owner = column.removesuffix(_GROUPS[group])
            if cell and owner != column and (m := _COLUMN.fullmatch(owner)) and m[1] == group:
                if not self.cells.get(owner):
                    raise _Fault(owner, f"{shown(cell)} is an amount of nothing. Name it, or leave the amount out.")
        return found

    def _number(self, cell: str, column: str) -> Decimal:
        if not _NUMBER.fullmatch(cell):
            raise _Fault(column, f"{shown(cell)} is no positive number. Write it with a point and without a unit.")
        if (number := Decimal(cell)) <= 0:
            raise _Fault(column, f"{shown(cell)} is not a positive number. Leave out what is not there.")
        return number

    def _amount(self, cell: str, column: str, basis: Callable[[], Basis] | None) -> str:
        """An amount of ours: a cell that is one, or a number on the basis that the codebook tells."""
        if _NUMBER.fullmatch(cell) or cell[:1] in "+-":
            number = self._number(cell, column)
            if basis is None:
                raise _Fault(column, f"{shown(cell)} has no basis. Write it out: '{EXAMPLES[6]}'.")
            return _of(number, basis())
        try:
            return str(parse_amount(cell))
        except LmbmdError as error:
            raise _Fault(column, str(error)) from error

    def _basis(self) -> Basis:
        """That of ions and salts."""
        units = self.cells.get("units", "")
        if found := self.codebook.units.get(units):
            return found
        bases: tuple[SaltBasis, ...] = get_args(SaltBasis)
        for basis in bases:
            if units == basis:
                return basis
        subject = f"{shown(units)} does not say" if units else "nothing says"
        remedy = f"'units: {{{units or 'WORD'}: BASIS}}' with one of {listed(bases, 'or')}."
        raise _Fault("units", f"{subject} what the amounts count. Tell it in the codebook: {remedy}")

    def _ratio(self) -> Basis:
        if self.codebook.ratio:
            return self.codebook.ratio
        why = "nothing says whether the ratios are by mole, by volume or by mass."
        raise _Fault(
            "solvent1_ratio", f"{why} Tell it in the codebook: 'ratio: BASIS' with one of {listed(PARTS, 'or')}."
        )

    def _species(self, name: str, column: str) -> Species:
        known = self.codebook.names.get(name, name)
        try:
            return self.library.find_species(known)
        except UnknownName as error:
            alike = [s.name for s in self.library.species.values() if _is_formula_of(known, s)]
            if not alike:
                raise _Fault(column, str(error)) from error
            remedy = f"if {' or '.join(alike)} is meant, tell it in the codebook: 'names: {{{known}: {alike[0]}}}'."
            raise _Fault(column, f"'{known}' is a formula, which more than one molecule may have; {remedy}") from error
        except LmbmdError as error:
            raise _Fault(column, str(error)) from error

    def _once(self, sections: Mapping[str, Mapping[str, str]], name: str, column: str) -> None:
        if any(name in amounts for amounts in sections.values()):
            raise _Fault(column.partition("_")[0], f"{name} stands here twice. Give it one amount.")

    def _salts(self) -> dict[str, str]:
        """Amounts of salts: those that are given, and those that the ions make."""
        found: dict[str, str] = {}
        for name, cell, column in self._given("salt"):
            try:
                salt = self.library.find_salt(self.codebook.names.get(name, name)).name
            except LmbmdError as error:
                raise _Fault(column.removesuffix("_conc"), str(error)) from error
            self._once({"salts": found}, salt, column)
            found[salt] = self._amount(cell, column, self._basis)
        for salt, amount in self._paired(self._ions("cation"), self._ions("anion")).items():
            self._once({"salts": found}, salt, "cation1")
            found[salt] = _of(amount, self._basis())
        return found

    def _ions(self, group: str) -> list[tuple[Species, Decimal]]:
        found: list[tuple[Species, Decimal]] = []
        for name, cell, column in self._given(group):
            ion, amount = self._species(name, column.removesuffix("_conc")), self._number(cell, column)
            if (ion.charge > 0) != (group == "cation") or not ion.charge:
                raise _Fault(column.removesuffix("_conc"), f"{ion.name} ({ion.charge:+d} e) is no {group}.")
            if ion in [other for other, _ in found]:
                raise _Fault(column.removesuffix("_conc"), f"{ion.name} stands here twice. Give it one amount.")
            found.append((ion, amount))
        return found

    def _paired(
        self, cations: Sequence[tuple[Species, Decimal]], anions: Sequence[tuple[Species, Decimal]]
    ) -> dict[str, Decimal]:
        """Amounts of the salts whose ions these are, if only one set of salts can be meant."""
        ions = [*cations, *anions]
        charge = sum((ion.charge * amount for ion, amount in ions), Decimal(0))
        if abs(charge) > _NEUTRAL * sum((abs(ion.charge) * amount for ion, amount in ions), Decimal(0)):
            told = ", ".join(f"{amount} {ion.name}" for ion, amount in ions)
            total = f"{charge.normalize():+f} e"
            raise _Fault("cation1", f"the ions are not neutral: {told} add up to {total}. Mend an amount.")
        if len(cations) > 1 and len(anions) > 1:
            told = f"{listed([ion.name for ion, _ in cations])} with {listed([ion.name for ion, _ in anions])}"
            raise _Fault("cation1", f"{told} can be of different salts. Give them as salt1, salt1_conc, ….")
        found: dict[str, Decimal] = {}
        for cation, _ in cations:
            for anion, _ in anions:
                shared = gcd(cation.charge, anion.charge)
                formula = {cation.name: -anion.charge // shared, anion.name: cation.charge // shared}
                salts = [salt.name for salt in self.library.salts.values() if dict(salt.ions) == formula]
                if not salts:
                    near = [salt.name for salt in self.library.salts.values() if cation.name in salt.ions]
                    known = f"Salts of {cation.name}: {', '.join(near)}." if near else f"No salt of {cation.name} is."
                    raise _Fault("anion1", f"no salt of {cation.name} and {anion.name} is in the library. {known}")
                # The ion that only this salt has says how much there is of it.
                own, amounts = (anion, anions) if len(cations) == 1 else (cation, cations)
                found[salts[0]] = {ion.name: amount for ion, amount in amounts}[own.name] / formula[own.name]
        return found


def _of(number: Decimal, basis: str) -> str:
    return f"{number.normalize():f} {basis}"


def _is_formula_of(text: str, species: Species) -> bool:
    """Whether a text is the formula of a species, whatever the order of its elements: ``F6P-`` is that of PF6⁻."""
    formula = re.sub(r"[+-][0-9]?\Z", "", text)
    sign, size = text[len(formula) :][:1], text[len(formula) + 1 :]
    charge = int(f"{sign}{size or 1}") if sign else 0
    return charge == species.charge and parsed_formula(formula) == parsed_formula(species.formula)
