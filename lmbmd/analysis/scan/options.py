"""What can be chosen about the search of contacts and RDFs. Imports nothing heavy: every plan of a study reads it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, model_validator

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.options import FROZEN, Whole
from lmbmd.core.validation import fault, saying
from lmbmd.data.sites import Radius


def _pair(value: str) -> str:
    """A pair as "A B", with one space."""
    words = value.split()
    if len(words) != 2 or ":" in words[0] or "." in words[0]:
        raise LmbmdError(
            f"'{value}' is no pair.",
            remedy="Give a species, and a species, a site or an element of one: 'Li NO3.N', 'FSI DME:O_ether'.",
        )
    return " ".join(words)


RdfPair = Annotated[str, Field(max_length=100), AfterValidator(saying(_pair))]


def check_pairs(pairs: Sequence[str], known: Collection[str], where: str) -> None:
    """Refuse a pair of which nobody knows one side.

    Args:
        pairs: each as ``"FSI DME.H"``.
        known: names of species and of sites.
        where: they are from.

    Raises:
        LmbmdError: naming the nearest that there is.
    """
    for pair in pairs:
        for name in pair.split():
            species, dot, element = name.rpartition(".")
            if name not in known and not (dot and species in known and element.isalpha()):
                raise LmbmdError(
                    f"'{name}' of the pair '{pair}' is no species, site or element of a species.",
                    where=where,
                    remedy=nearest(name, known),
                )


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
    more_rdfs: tuple[RdfPair, ...] = Field(
        (), description="RDFs of other pairs, such as 'Li NO3.N' (element), 'FSI DME:O_ether' (site) or 'FSI DME'"
    )

    @model_validator(mode="after")
    def _found_in_one_search(self) -> ContactOptions:
        if self.search_radius_A > self.rdf_radius_A:
            raise fault(
                f"search_radius_A = {self.search_radius_A:g} is beyond rdf_radius_A = {self.rdf_radius_A:g}.",
                "Raise rdf_radius_A or lower search_radius_A: contacts are found in the same search as the RDFs.",
            )
        return self

    def facts(self) -> dict[str, Any]:
        """Plain data that decide contacts and RDFs; an option that came later is left out where it is not used."""
        return self.model_dump(mode="json", exclude=set() if self.more_rdfs else {"more_rdfs"})

    @property
    def n_bins(self) -> int:
        return round(self.rdf_radius_A * self.bins_per_A)
