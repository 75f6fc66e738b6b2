"""The methods there are, by the names that options and files have for them, and the ways in which they are used."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from lmbmd.quantum import dft, xtb
from lmbmd.quantum.options import QuantumOptions
from lmbmd.quantum.solution import Solve


@dataclass(frozen=True)
class Variant:
    """One way of computing all numbers of a shell.

    Attributes:
        method: ``"gfn2"`` or ``"pbe0"``.
        basis: of PBE0; "" for GFN2-xTB.
        permittivity: of the dielectric; None in vacuum.
        geometry: ``"sampled"`` or ``"relaxed"``.
    """

    method: str
    basis: str
    permittivity: float | None
    geometry: str

    @property
    def title(self) -> str:
        """The method as it is printed: ``"GFN2-xTB"``, ``"PBE0/def2-svp"``."""
        return "GFN2-xTB" if self.method == "gfn2" else f"PBE0/{self.basis}"

    @property
    def medium(self) -> str:
        """``"vacuum"``, or the permittivity: ``"ε = 7.2"``."""
        return "vacuum" if self.permittivity is None else f"ε = {self.permittivity:g}"

    @property
    def key(self) -> str:
        """All of it in one text, by which results are filed."""
        return f"{self.title}, {self.medium}, {self.geometry}"

    def solver(self) -> Solve:
        """The method in its medium.

        Raises:
            LmbmdError: if its program is not installed.
        """
        if self.method == "gfn2":
            xtb.calculator_class()
            return partial(xtb.solve, permittivity=self.permittivity)
        dft.modules()
        return partial(dft.solve, basis=self.basis, permittivity=self.permittivity)


def check_installed(options: QuantumOptions) -> None:
    """Refuse options for which a program is missing.

    Raises:
        LmbmdError: naming it.
    """
    xtb.calculator_class()  # whatever the method is: for the minima of free molecules and of relaxed shells
    if options.method == "pbe0" or options.dft_per_class or options.bands:
        dft.modules()


def variants(options: QuantumOptions, method: str | None = None) -> list[Variant]:
    """What is computed of every shell; with another method, what of those that are compared."""
    chosen = method or options.method
    basis = options.basis if chosen == "pbe0" else ""
    media = [None] if options.permittivity is None else [None, options.permittivity]
    geometries = ["sampled", "relaxed"] if options.relaxed and method is None else ["sampled"]
    return [Variant(chosen, basis, medium, geometry) for geometry in geometries for medium in media]
