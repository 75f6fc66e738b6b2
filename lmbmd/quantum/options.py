"""What can be chosen about energies of shells: the section ``quantum`` of a study. Imports nothing heavy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field, field_validator

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.options import FROZEN, Number, Truth, Whole
from lmbmd.core.validation import fault

#: Methods by their name in options, files and tables.
Method = Literal["gfn2", "pbe0"]
#: Of PBE0, as PySCF calls it.
Basis = Literal["def2-svp", "def2-svpd", "def2-tzvp", "def2-tzvpd"]


class BandOptions(BaseModel):
    """Of which species, and how many of each, are drawn for their bands, and how the bands are drawn as a curve."""

    model_config = FROZEN

    of: tuple[str, ...] | None = Field(
        None, min_length=1, description="anions and solvents by name, as [FSI, DMC]; every anion if not given"
    )
    per_class: Whole = Field(3, ge=1, le=1000, description="molecules of each species and class, per replica: hours")
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
    bands: BandOptions | None = Field(None, description="bands of anions and solvents by class, by PBE0; see below")

    def facts(self) -> dict[str, Any]:
        """All of it as plain data; without ``bands`` or their ``of`` where not given, lest anything be made anew."""
        found = self.model_dump(mode="json")
        bands = found.pop("bands")
        if bands is None:
            return found
        return {**found, "bands": {key: value for key, value in bands.items() if key != "of" or value}}


def check_banded(names: Iterable[str], charges: Mapping[str, int], where: str) -> None:
    """Refuse a species that can have no band here.

    Args:
        names: whose band is asked for.
        charges: of every species that is in a bottle, e.
        where: the names are from.

    Raises:
        LmbmdError: naming the nearest that there is.
    """
    choices = [name for name, charge in charges.items() if charge <= 0]
    for name in names:
        if name not in charges:
            raise LmbmdError(f"no bottle of the study has '{name}'.", where=where, remedy=nearest(name, choices))
        if name not in choices:
            what = f"'{name}' is a cation: bands are of the anions and solvents that touch it."
            raise LmbmdError(what, where=where, remedy=f"Valid: {', '.join(sorted(choices))}.")
