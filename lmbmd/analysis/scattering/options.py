"""What can be chosen about scattering. Imports nothing heavy: every plan of a study reads it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.options import FROZEN, NAME, Number, Whole

#: What is scattered.
Radiation = Literal["xray", "neutron"]


class MeasuredCurve(BaseModel):
    """A measured curve that is laid beside the computed one."""

    model_config = FROZEN

    file: Annotated[str, Field(min_length=1, max_length=500)] = Field(
        description="a CSV file, from this file's folder: q, the value and, if known, its error"
    )
    radiation: Radiation = Field(description="'xray' or 'neutron'")
    q_unit: Literal["1/Å", "1/nm"] = Field(description="of its first column")
    quantity: Literal["intensity", "structure factor"] = Field(
        description="of its second column: an intensity, whose shape is compared, or a Faber–Ziman structure factor"
    )
    formulation: Annotated[str, Field(pattern=f"^({NAME})?$")] = Field(
        "", description="of which bottle; a study must say it"
    )


class ScatteringOptions(BaseModel):
    """Which wave vectors and frames are looked at, and what is deuterated."""

    model_config = FROZEN

    q_max_per_A: Number = Field(2.5, gt=0.1, le=20, description="largest wave vector")
    q_bin_per_A: Number = Field(0.02, gt=0.001, le=0.5, description="width of the bins of q")
    vectors_per_bin: Whole = Field(
        100,
        ge=10,
        description="wave vectors of a bin, pairs of k and −k, drawn anew in each frame where there are more",
    )
    frames: Whole = Field(200, ge=1, description="evenly spaced frames, per replica")
    n_blocks: Whole = Field(10, ge=1, le=1000, description="blocks of frames for the error bars")
    prepeak_below_per_A: Number = Field(1.1, gt=0.05, description="a peak at a larger q is none of aggregates")
    deuterated: tuple[Annotated[str, Field(max_length=40)], ...] = Field(
        (), description="species whose hydrogen is deuterium, for neutrons"
    )
    seed: Whole = Field(1, ge=0, description="of the draws")

    def facts(self) -> dict[str, Any]:
        """What decides the computation, as plain data: without measured curves, which are only drawn beside."""
        return self.model_dump(mode="json", include=set(ScatteringOptions.model_fields))


def check_deuterated(names: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse a deuterated species that no box has.

    Raises:
        LmbmdError: naming the nearest that there is.
    """
    if unknown := [name for name in names if name not in known]:
        raise LmbmdError(f"'{unknown[0]}' is no species here.", where=where, remedy=nearest(unknown[0], known))


class StudyScattering(ScatteringOptions):
    """The section ``scattering`` of a study."""

    measured: tuple[MeasuredCurve, ...] = Field((), description="measured curves; see below")
