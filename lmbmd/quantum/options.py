"""What can be chosen about energies of shells: the section ``quantum`` of a study. Imports nothing heavy."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, Field

from lmbmd.core.options import FROZEN, Number, Truth, Whole

#: Methods by their name in options, files and tables.
Method = Literal["gfn2", "pbe0"]


class QuantumOptions(BaseModel):
    """How many shells are drawn, and what is computed of them."""

    model_config = FROZEN

    shells_per_class: Whole = Field(20, ge=1, le=1000, description="shells of each class, per replica")
    seed: Whole = Field(1, ge=0, description="of the draw")
    method: Method = Field("gfn2", description="of all shells: 'gfn2' (GFN2-xTB, tblite) or 'pbe0' (PySCF)")
    dft_per_class: Whole = Field(
        0, ge=0, le=1000, description="so many shells of each class, per replica, by PBE0 as well: hours"
    )
    basis: Literal["def2-svp", "def2-svpd", "def2-tzvp", "def2-tzvpd"] = Field(
        "def2-svp", description="of PBE0; without dispersion"
    )
    permittivity: Number | None = Field(
        None, gt=1, le=1000, description="of a dielectric in which everything is computed once more"
    )
    relaxed: Truth = Field(
        False, description="once more after relaxing each shell with its ion–donor distances kept (GFN2-xTB)"
    )
