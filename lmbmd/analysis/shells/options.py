"""What can be chosen about shells and speciation. Imports nothing heavy: every plan of a study reads it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field

from lmbmd.core.errors import LmbmdError
from lmbmd.core.options import FROZEN, Number, Whole
from lmbmd.core.validation import saying
from lmbmd.data.sites import CutoffRadius, Radius

#: Where the first minimum around Li⁺ must lie, and what is used where there is none, Å.
LI_WINDOW_A = (2.3, 3.5)
LI_FALLBACK_A = 2.8


def _window(value: tuple[float, float]) -> tuple[float, float]:
    if not value[0] < value[1]:
        raise LmbmdError(f"{list(value)} is no window.", remedy="Give two increasing radii in Å, such as [2.3, 3.5].")
    return value


class ShellOptions(BaseModel):
    """From which ion, and within which cut-offs. Window and fallback are those of Li⁺, moved for other ions."""

    model_config = FROZEN

    centre: Annotated[str, Field(max_length=40)] = Field(
        "", description="ion looked from; by default Li, or the only one"
    )
    cutoffs_A: dict[str, CutoffRadius] = Field(
        {}, description="first-shell radii by donor site, such as 'FSI:O'; others come from the RDF"
    )
    cutoff_window_A: Annotated[tuple[Radius, Radius], AfterValidator(saying(_window))] = Field(
        LI_WINDOW_A, description="where the first minimum of an RDF is looked for"
    )
    cutoff_fallback_A: CutoffRadius = Field(LI_FALLBACK_A, description="where there is no minimum")
    cutoff_shift_A: Number = Field(0.3, gt=0, le=2, description="for the sensitivity table")
    top_shells: Whole = Field(10, ge=1, le=1000, description="shell types that become descriptors")
    agg_ii_from: Whole = Field(3, ge=3, description="Li per anion from which an AGG is AGG-II")
