"""What can be chosen about energies of shells: the section ``quantum`` of a study. Imports nothing heavy."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from lmbmd.core.options import FROZEN, Number, Truth, Whole
from lmbmd.core.validation import fault

#: Methods by their name in options, files and tables.
Method = Literal["gfn2", "pbe0"]
#: Of PBE0, as PySCF calls it.
Basis = Literal["def2-svp", "def2-svpd", "def2-tzvp", "def2-tzvpd"]


class BandOptions(BaseModel):
    """How many anions are drawn for their bands, and how the bands are drawn as a curve."""

    model_config = FROZEN

    per_class: Whole = Field(3, ge=1, le=1000, description="anions of each species and class, per replica: hours")
    method: Literal["pbe0"] = Field("pbe0", description="GFN2-xTB does not follow the band of FSI⁻")
    basis: Basis = Field("def2-svp", description="of PBE0; without dispersion")
    shape: Literal["lorentzian", "gaussian"] = Field("lorentzian", description="of each line in the curve")
    width_cm: Number = Field(8.0, gt=0, le=200, description="full width of each line at half its height, 1/cm")

    @field_validator("method", mode="before")
    @classmethod
    def _follows(cls, method: object) -> object:
        if method == "gfn2":
            raise fault(
                "GFN2-xTB does not follow bands of anions: that of FSI⁻ is at 618 1/cm, and at 619 in a pair; PBE0 has "
                "725 and 754.",
                "Leave 'method' out: 'pbe0'.",
            )
        return method


class QuantumOptions(BaseModel):
    """How many shells are drawn, and what is computed of them."""

    model_config = FROZEN

    shells_per_class: Whole = Field(20, ge=1, le=1000, description="shells of each class, per replica")
    seed: Whole = Field(1, ge=0, description="of the draw")
    method: Method = Field("gfn2", description="of all shells: 'gfn2' (GFN2-xTB, tblite) or 'pbe0' (PySCF)")
    dft_per_class: Whole = Field(
        0, ge=0, le=1000, description="so many shells of each class, per replica, by PBE0 as well: hours"
    )
    basis: Basis = Field("def2-svp", description="of PBE0; without dispersion")
    permittivity: Number | None = Field(
        None, gt=1, le=1000, description="of a dielectric in which everything is computed once more"
    )
    relaxed: Truth = Field(
        False, description="once more after relaxing each shell with its ion–donor distances kept (GFN2-xTB)"
    )
    bands: BandOptions | None = Field(None, description="bands of anions by class, by PBE0; see below")

    def facts(self) -> dict[str, Any]:
        """All of it as plain data; without ``bands`` if they are not asked for, lest anything be made anew for them."""
        return {key: value for key, value in self.model_dump(mode="json").items() if key != "bands" or value}
