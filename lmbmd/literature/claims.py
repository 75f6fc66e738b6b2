"""Claim files: what is said to hold, of which bottles, about which number, and who says so. docs/claims.md."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.options import FROZEN, NAME, Number, Truth
from lmbmd.core.shipped import shipped_folder
from lmbmd.core.validation import fault, place, validated
from lmbmd.core.yamlfile import Lines, read_yaml

Name = Annotated[str, Field(pattern=f"^{NAME}$")]
Test = Literal["md", "proxy", "not computed", "out of reach"]


class Source(BaseModel):
    """A publication that claims are taken from."""

    model_config = FROZEN

    title: str
    doi: str = Field("", description="empty if it is not recorded")


class Reference(BaseModel):
    """Where in a source a claim stands."""

    model_config = FROZEN

    of: str = Field(description="a key of the file's 'sources'")
    ref: str = Field("", description="number of the original work in that source's list of references")
    doi: str = Field("", description="of the original work, if known")


class Measured(BaseModel):
    """A number of the feature table."""

    model_config = FROZEN

    name: str
    species: str = Field("", description="a species, a site, a shell; empty for the whole liquid")
    versus_species: str | None = Field(None, description="in the bottle compared with, if it is another")


class Claim(BaseModel):
    """One statement that numbers of one or two state points can support or contradict.

    ``kind`` ordering compares the same number of two bottles; value holds it, or with ``versus`` its ratio, against
    ``range``. ``claimed`` turns both into the interval that the estimate must be inside of.
    """

    model_config = FROZEN

    id: Name
    text: str = Field(min_length=1)
    source: Reference
    kind: Literal["ordering", "value"]
    formulation: Name
    versus: Name | None = None
    test: Test = "md"
    group: str = Field("", description="claims that say the same thing share one, and count once")
    number: Measured | None = None
    direction: Literal["greater", "less", "equal"] | None = None
    margin: Number | None = Field(None, gt=0, description="half the width of 'equal', in the number's unit")
    range: tuple[Number | None, Number | None] | None = Field(None, description="lowest and highest; null is no limit")
    temperature_K: Number | None = Field(None, gt=0, description="judge at this temperature only")
    versus_temperature_K: Number | None = Field(
        None, gt=0, description="of the bottle compared with, if it is another; it may be the same bottle"
    )
    reading_error: Number | None = Field(None, gt=0, description="error of a number that is read off a curve")
    box_nm: Number | None = Field(None, gt=0, description="smaller boxes cannot answer")
    partner_assumed: Truth = Field(False, description="the bottle compared with is our choice, not the source's")
    why: str = Field("", description="why no number answers it")
    note: str = ""

    @model_validator(mode="after")
    def _whole(self) -> Claim:
        if self.test in ("not computed", "out of reach"):
            if not self.why:
                raise fault(f"'{self.id}' is {self.test} without a reason.", "Say why under 'why'.")
            return self
        if self.number is None:
            raise fault(f"'{self.id}' names no number.", "Give 'number: {name: anion_cn}', for instance.")
        if self.kind == "ordering":
            if self.versus is None or self.direction is None or self.range is not None:
                raise fault(f"the ordering '{self.id}' is not one.", "Give 'versus' and 'direction', and no 'range'.")
            if (self.direction == "equal") != (self.margin is not None):
                raise fault(f"'{self.id}': a margin goes with 'equal', and only with it.", "Give 'margin: 0.05'.")
        elif self.range is None or self.direction is not None or self.margin is not None:
            raise fault(f"the value '{self.id}' is not one.", "Give 'range: [lowest, highest]', and no 'direction'.")
        if self.versus_temperature_K is not None and (self.versus is None or self.temperature_K is None):
            wrong = f"'{self.id}' has the temperature of one bottle, and compares with another."
            raise fault(wrong, "Give 'versus' and 'temperature_K', too; 'versus' may be the bottle itself.")
        if self.range == (None, None):
            raise fault(f"the range of '{self.id}' has no limit.", "Give at least one; null is no limit.")
        if self.range is not None and not self.claimed[0] < self.claimed[1]:
            raise fault(f"the range of '{self.id}' is empty.", "Give the lower limit first; null is no limit.")
        return self

    @property
    def claimed(self) -> tuple[float, float]:
        """The open interval that the difference, the value or the ratio is claimed to be in."""
        if self.kind == "value":
            low, high = self.range or (None, None)
            return -math.inf if low is None else low, math.inf if high is None else high
        if self.direction == "equal":
            return -(self.margin or 0.0), self.margin or 0.0
        return (0.0, math.inf) if self.direction == "greater" else (-math.inf, 0.0)

    @property
    def estimand(self) -> str:
        """What is estimated: the value, the difference to the other bottle, or the ratio."""
        return "difference" if self.kind == "ordering" else "ratio" if self.versus else "value"


class ClaimsFile(BaseModel):
    """What a claim file says."""

    model_config = FROZEN

    title: str = ""
    sources: Mapping[str, Source]
    claims: tuple[Claim, ...]


def load_claims(path: str | Path) -> ClaimsFile:
    """Read a claim file.

    Raises:
        LmbmdError: naming the file, the key, the value and the remedy; also if an id stands there twice or a source
            is not in the file's table.
    """
    path = Path(path)
    data, lines = read_yaml(path)
    if isinstance(data.get("claims"), list):  # one by one, so that advice names the keys of a claim
        data["claims"] = [_claim(entry, path, lines, number) for number, entry in enumerate(data["claims"])]
    file = validated(ClaimsFile, data, path=path, lines=lines)
    seen: set[str] = set()
    for number, claim in enumerate(file.claims):
        where = f"{path}:{place(('claims', number), lines)}"
        if claim.id in seen:
            raise LmbmdError(f"two claims are called '{claim.id}'.", where=where, remedy="Rename one.")
        if claim.source.of not in file.sources:
            what = f"'{claim.source.of}' is not in the table 'sources'."
            raise LmbmdError(what, where=where, remedy=nearest(claim.source.of, file.sources))
        seen.add(claim.id)
    return file


def _claim(entry: Any, path: Path, lines: Lines, number: int) -> Claim:
    own = {key[2:]: line for key, line in lines.items() if key[:2] == ("claims", number)}
    return validated(Claim, entry, path=path, lines=own)


def claims_folder() -> Path:
    """The folder with the shipped claim files: inside an installed package, or of the repository.

    Raises:
        LmbmdError: if the installation has none.
    """
    return shipped_folder("claims", "_claims", "claims")


def shipped_files() -> list[Path]:
    """The claim files that come with lmbmd, by name."""
    return sorted(claims_folder().glob("*.yaml"))


@cache
def shipped_claims() -> tuple[ClaimsFile, ...]:
    """What they say."""
    return tuple(load_claims(path) for path in shipped_files())


def known_claims(paths: Iterable[str | Path] = ()) -> tuple[ClaimsFile, ...]:
    """The shipped claims, then those of a study's own files.

    Raises:
        LmbmdError: if a file has the id of a claim of another file.
    """
    files = [*shipped_claims()]
    for path in paths:
        file = load_claims(path)
        taken = {claim.id for one in files for claim in one.claims}
        for claim in file.claims:
            if claim.id in taken:
                raise LmbmdError(f"a claim is called '{claim.id}' already.", where=str(path), remedy="Rename it.")
        files.append(file)
    return tuple(files)
