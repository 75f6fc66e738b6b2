"""What all option models share: strict, frozen, and no unknown keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, Strict

Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Whole = Annotated[int, Strict()]
Truth = Annotated[bool, Strict()]
FROZEN = ConfigDict(frozen=True, extra="forbid", validate_default=True)
#: Of a study, a formulation or a claim: it stands in paths.
NAME = r"[a-z0-9][a-z0-9._-]{0,79}"
