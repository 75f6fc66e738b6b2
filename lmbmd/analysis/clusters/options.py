"""What can be chosen about compactness and the CIPA call. Imports nothing heavy: every plan of a study reads it."""

from __future__ import annotations

from typing import Literal, get_args

from pydantic import BaseModel, Field, model_validator

from lmbmd.core.options import FROZEN, Number, Whole
from lmbmd.core.validation import fault
from lmbmd.data.sites import Radius

#: Extent and bin of the centre–centre pair histogram, Å.
REACH_A, BIN_A = 15.0, 0.1

#: "labels": centres dealt over all molecular centres. "pairs": the same with centre–anion pairs kept rigid.
NullModel = Literal["labels", "pairs"]
NULL_MODELS: tuple[NullModel, ...] = get_args(NullModel)


class CompactnessOptions(BaseModel):
    """How the compactness of clusters is measured. A drawing depends on the seed, its replica and its frame."""

    model_config = FROZEN

    frames: Whole = Field(25, ge=1, description="evenly spaced frames that are measured, per replica")
    shuffles: Whole = Field(
        10, ge=2, description="drawings of each null model per frame, and up to 20 times more where they do not decide"
    )
    neighbourhoods: Whole = Field(32, ge=2, description="random neighbourhoods per drawing, for the z of a cluster")
    density_radius_A: Radius = Field(8.0, le=REACH_A, description="of the spheres whose density decides")
    seed: Whole = Field(1, ge=0, description="of the drawings")


class CipaThresholds(BaseModel):
    """Thresholds of a compact ion-pair aggregate; docs/theory/cipa.md says why these."""

    model_config = FROZEN

    min_ions: Number = Field(20, ge=0)
    min_diameter_nm: Number = Field(2.5, ge=0, description="equivalent sphere, with the bound solvent")
    max_diameter_nm: Number = Field(5.0, gt=0)
    min_contacts_per_ion: Number = Field(2.5, ge=0)
    min_density_ratio: Number = Field(1.3, ge=0, description="density of centres round centres, over the box's")
    min_z: Number = Field(3.0, ge=0, description="of that density, in standard deviations of the null model")
    max_anisotropy: Number = Field(0.4, ge=0, description="relative shape anisotropy")
    null_model: NullModel = Field("pairs", description="Li labels shuffled, or rigid ion pairs")
    min_share: Number = Field(0.1, ge=0, description="share of the centres in compact aggregates, for 'present'")
    max_percolating_fraction: Number = Field(0.1, ge=0, description="of frames; above it the verdict is 'network'")
    min_box_width_nm: Number = Field(8.0, ge=0, description="below it: 'box too small to tell'")
    min_rarest_molecules: Whole = Field(10, ge=0, description="below it: 'box too small to tell'")
    threshold_shift: Number = Field(0.2, gt=0, lt=1, description="relative, for the sensitivity table")

    @model_validator(mode="after")
    def _ordered(self) -> CipaThresholds:
        if self.max_diameter_nm <= self.min_diameter_nm:
            raise fault(
                f"max_diameter_nm = {self.max_diameter_nm:g} is not above min_diameter_nm = {self.min_diameter_nm:g}.",
                "Raise it.",
            )
        return self
