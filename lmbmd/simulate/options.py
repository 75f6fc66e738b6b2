"""Where the MD runs: the section ``platform`` of a study. Imports no engine, as every plan of a study reads it."""

from __future__ import annotations

import re
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, Field

from lmbmd.core.errors import LmbmdError
from lmbmd.core.options import FROZEN, Number, Truth, Whole
from lmbmd.core.validation import saying
from lmbmd.core.words import shown

#: From the fastest to the slowest.
PlatformName = Literal["CUDA", "OpenCL", "CPU", "Reference"]
PLATFORMS: tuple[PlatformName, ...] = get_args(PlatformName)


def _device(value: object) -> str | None:
    if value is None or (isinstance(value, str | int) and re.fullmatch(r"\d{1,3}(,\d{1,3})*", str(value))):
        return None if value is None else str(value)
    raise LmbmdError(f"{shown(value)} is no index of a device.", remedy="Give a number, such as 0, or several: '0,1'.")


Device = Annotated[str | None, BeforeValidator(saying(_device), json_schema_input_type=str | int | None)]


class PlatformOptions(BaseModel):
    """Where the MD runs. No physics: a change never reruns anything, and a run may go on with other ones."""

    model_config = FROZEN

    engine: Literal["auto", "openmm", "gromacs"] = Field(
        "auto", description="OpenMM or GROMACS; auto: OpenMM on a GPU, without one the faster of the two"
    )
    name: Literal["auto", PlatformName] = Field("auto", description="OpenMM's platform; auto: the fastest that works")
    precision: Literal["single", "mixed", "double"] = Field("mixed", description="on CUDA and OpenCL")
    device_index: Device = Field(None, description="which GPU, such as 0; by default the least used of the fastest")
    threads: Whole | None = Field(None, ge=1, le=1024, description="on CPU; by default all cores of the job")
    runs_per_device: Whole | None = Field(
        None, ge=1, le=256, description="how many runs at once share a GPU, or the cores where there is none"
    )
    deterministic: Truth = Field(False, description="sum forces in a fixed order, so that equal starts give equal runs")
    checkpoint_interval_s: Number = Field(60.0, ge=0.01, le=86_400, description="wall time between checkpoints")
