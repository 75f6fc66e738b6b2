"""What can be chosen about the search of contacts and RDFs. Imports nothing heavy: every plan of a study reads it."""

from __future__ import annotations

from pydantic import BaseModel, Field, model_validator

from lmbmd.core.options import FROZEN, Whole
from lmbmd.core.validation import fault
from lmbmd.data.sites import Radius


class ContactOptions(BaseModel):
    """How far contacts and RDFs reach, and how finely RDFs are counted.

    A smaller box cuts RDFs shorter (``Rdf.reach_A``). Bins per Å that are a power of two keep their edges exact.
    There are fewer blocks where there are fewer frames.
    """

    model_config = FROZEN

    search_radius_A: Radius = Field(5.0, le=20, description="contacts are kept up to here")
    rdf_radius_A: Radius = Field(10.0, le=50, description="upper end of the RDFs")
    bins_per_A: Whole = Field(20, ge=1, le=1000)
    n_blocks: Whole = Field(10, ge=1, le=1000, description="blocks of frames for the error bars of RDFs")

    @model_validator(mode="after")
    def _found_in_one_search(self) -> ContactOptions:
        if self.search_radius_A > self.rdf_radius_A:
            raise fault(
                f"search_radius_A = {self.search_radius_A:g} is beyond rdf_radius_A = {self.rdf_radius_A:g}.",
                "Raise rdf_radius_A or lower search_radius_A: contacts are found in the same search as the RDFs.",
            )
        return self

    @property
    def n_bins(self) -> int:
        return round(self.rdf_radius_A * self.bins_per_A)
