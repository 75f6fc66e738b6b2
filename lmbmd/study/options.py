"""How a study simulates and analyses: frozen options with their defaults, all plain numbers."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, model_validator

from lmbmd.core.errors import LmbmdError
from lmbmd.core.validation import fault, saying
from lmbmd.core.words import shown
from lmbmd.formulation.models import FROZEN, Number, Truth, Whole

#: Largest time step, fs, that lets hydrogens keep their mass.
_MAX_STEP_FS = 2.0


class Anneal(BaseModel):
    """Heat, hold and cool before equilibration, for viscous and concentrated liquids; linear ramps."""

    model_config = FROZEN

    temperature_K: Number = Field(400.0, ge=100, le=1000)
    heat_ns: Number = Field(0.1, gt=0, le=1000)
    hold_ns: Number = Field(0.5, ge=0, le=1000)
    cool_ns: Number = Field(0.5, gt=0, le=1000)


class Protocol(BaseModel):
    """The physics of every run of a study. Temperature, pressure and seeds are the formulation's."""

    model_config = FROZEN

    timestep_fs: Number = Field(4.0, gt=0, le=5)
    hydrogen_mass_amu: Number = Field(3.0, ge=1.008, le=4, description="taken from the heavy atom that it is bonded to")
    constraints: Literal["h-bonds", "none"] = "h-bonds"
    friction_per_ps: Number = Field(1.0, gt=0, le=100)
    barostat_interval: Whole = Field(25, ge=1, le=10_000, description="steps between trials")
    anneal: Anneal | None = Field(None, description="heat, hold and cool first; see below")
    equilibration_ns: Number = Field(1.0, gt=0, le=10_000, description="at least so long at constant pressure")
    max_equilibration_ns: Number = Field(5.0, gt=0, le=10_000, description="at most, if density or energy still drift")
    production_ns: Number = Field(10.0, gt=0, le=100_000)
    frame_interval_ps: Number = Field(2.0, gt=0, le=100_000)
    state_interval_ps: Number = Field(1.0, gt=0, le=100_000)

    @model_validator(mode="after")
    def _consistent(self) -> Protocol:
        if self.timestep_fs > _MAX_STEP_FS and (self.constraints == "none" or self.hydrogen_mass_amu < 2):
            raise fault(
                f"timestep_fs = {self.timestep_fs:g} is too long for these hydrogens.",
                "Keep constraints: h-bonds and hydrogen_mass_amu: 3, or give 2 fs (1 fs without constraints).",
            )
        if self.max_equilibration_ns < self.equilibration_ns:
            raise fault(
                f"max_equilibration_ns = {self.max_equilibration_ns:g} is less than equilibration_ns = "
                f"{self.equilibration_ns:g}.",
                "Raise it.",
            )
        step_ps = _exact(self.timestep_fs) / 1000
        for key in ("frame_interval_ps", "state_interval_ps"):
            _multiple(key, getattr(self, key), "ps", step_ps, "time steps", Fraction(1))
        frame_ns = _exact(self.frame_interval_ps) / 1000
        _multiple("production_ns", self.production_ns, "ns", frame_ns, "frame intervals", Fraction(1))
        return self


def _exact(value: float) -> Fraction:
    """The decimal number that was written, so that 0.3 is three tenths."""
    return Fraction(repr(value))


def _multiple(key: str, value: float, unit: str, part: Fraction, parts: str, least: Fraction) -> None:
    count = _exact(value) / part
    if count.denominator != 1:
        near = max(round(count), least) * part
        raise fault(
            f"{key} = {value:g} is {float(count):.6g} {parts}, not a whole number.", f"Give {float(near):.10g} {unit}."
        )


def _device(value: object) -> str | None:
    if value is None or (isinstance(value, str | int) and re.fullmatch(r"\d{1,3}(,\d{1,3})*", str(value))):
        return None if value is None else str(value)
    raise LmbmdError(f"{shown(value)} is no index of a device.", remedy="Give a number, such as 0, or several: '0,1'.")


Device = Annotated[str | None, BeforeValidator(saying(_device), json_schema_input_type=str | int | None)]


class PlatformOptions(BaseModel):
    """Where the MD runs. No physics: a change never reruns anything."""

    model_config = FROZEN

    name: Literal["auto", "CUDA", "OpenCL", "CPU", "Reference"] = Field(
        "auto", description="auto: the fastest that works"
    )
    precision: Literal["single", "mixed", "double"] = Field("mixed", description="on CUDA and OpenCL")
    device_index: Device = Field(None, description="which GPU, such as 0; by default OpenMM chooses")
    threads: Whole | None = Field(None, ge=1, le=1024, description="on CPU; by default all cores of the job")
    deterministic: Truth = Field(False, description="sum forces in a fixed order, so that equal starts give equal runs")
    checkpoint_interval_s: Number = Field(60.0, ge=1, le=86_400, description="wall time between checkpoints")


class CompactnessOptions(BaseModel):
    """How the compactness of clusters is measured."""

    model_config = FROZEN

    frames: Whole = Field(25, ge=1, description="evenly spaced frames that are measured, per replica")
    shuffles: Whole = Field(10, ge=2, description="drawings of each null model per frame")
    neighbourhoods: Whole = Field(32, ge=2, description="random neighbourhoods per drawing, for the z of a cluster")
    density_radius_A: Number = Field(8.0, ge=0.1, le=15, description="of the spheres whose density decides")
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
    null_model: Literal["labels", "pairs"] = Field("pairs", description="Li labels shuffled, or rigid ion pairs")
    min_share: Number = Field(0.1, ge=0, description="share of the centres in compact aggregates, for 'present'")
    max_percolating_fraction: Number = Field(0.1, ge=0, description="of frames; above it the verdict is 'network'")
    min_box_width_nm: Number = Field(8.0, ge=0, description="below it: 'box too small to tell'")
    min_rarest_molecules: Whole = Field(10, ge=0, description="below it: 'box too small to tell'")
    threshold_shift: Number = Field(0.2, gt=0, lt=1, description="relative, for the sensitivity table")

    @model_validator(mode="after")
    def _ordered(self) -> CipaThresholds:
        if self.max_diameter_nm <= self.min_diameter_nm:
            what = (
                f"max_diameter_nm = {self.max_diameter_nm:g} is not above min_diameter_nm = {self.min_diameter_nm:g}."
            )
            raise fault(what, "Raise it.")
        return self


def _window(value: tuple[float, float]) -> tuple[float, float]:
    if not 0 < value[0] < value[1]:
        raise LmbmdError(f"{list(value)} is no window.", remedy="Give two increasing radii in Å, such as [2.3, 3.5].")
    return value


class AnalysisOptions(BaseModel):
    """How trajectories are analysed. A change reruns the analysis, never the MD."""

    model_config = FROZEN

    frame_stride: Whole = Field(1, ge=1, description="every so many frames")
    search_radius_A: Number = Field(5.0, gt=0, le=20, description="contacts are kept up to here")
    rdf_radius_A: Number = Field(10.0, gt=0, le=50)
    bins_per_A: Whole = Field(20, ge=1, le=1000)
    n_blocks: Whole = Field(10, ge=1, le=1000, description="blocks of frames for the error bars of RDFs")
    centre: Annotated[str, Field(max_length=40)] = Field(
        "", description="ion looked from; by default Li, or the only one"
    )
    cutoffs_A: dict[str, Annotated[Number, Field(gt=0, le=20)]] = Field(
        {}, description="first-shell radii by donor site, such as 'FSI:O'; others come from the RDF"
    )
    cutoff_window_A: Annotated[tuple[Number, Number], AfterValidator(saying(_window))] = Field(
        (2.3, 3.5), description="where the first minimum of an RDF is looked for"
    )
    cutoff_fallback_A: Number = Field(2.8, gt=0, le=20, description="where there is no minimum")
    cutoff_shift_A: Number = Field(0.3, gt=0, le=2, description="for the sensitivity table")
    top_shells: Whole = Field(10, ge=1, le=1000, description="shell types that become descriptors")
    agg_ii_from: Whole = Field(3, ge=3, description="Li per anion from which an AGG is AGG-II")
    cipa: CipaThresholds = Field(CipaThresholds(), description="see below")
    compactness: CompactnessOptions = Field(CompactnessOptions(), description="see below")

    def contacts(self) -> dict[str, Any]:
        """What the contacts stage needs: ``frame_stride`` and the fields of ``analysis.contacts.ContactOptions``."""
        return self.model_dump(mode="json", include=_CONTACTS)

    def describing(self) -> dict[str, Any]:
        """The rest, in the shape of ``analysis.describe.DescribeOptions``; contacts are not searched anew for it."""
        return self.model_dump(mode="json", exclude=_CONTACTS)

    @model_validator(mode="after")
    def _within_reach(self) -> AnalysisOptions:
        if self.search_radius_A > self.rdf_radius_A:
            raise fault(
                f"search_radius_A = {self.search_radius_A:g} is beyond rdf_radius_A = {self.rdf_radius_A:g}.",
                "Raise rdf_radius_A or lower search_radius_A.",
            )
        radii = {f"cutoffs_A.{site}": radius for site, radius in self.cutoffs_A.items()}
        radii |= {"cutoff_window_A": self.cutoff_window_A[1], "cutoff_fallback_A": self.cutoff_fallback_A}
        for key, radius in radii.items():
            if radius + self.cutoff_shift_A > self.search_radius_A:
                raise fault(
                    f"{key} = {radius:g} plus cutoff_shift_A = {self.cutoff_shift_A:g} is beyond search_radius_A = "
                    f"{self.search_radius_A:g}.",
                    "Contacts are not looked for so far out: raise search_radius_A.",
                )
        return self


_CONTACTS = {"frame_stride", "search_radius_A", "rdf_radius_A", "bins_per_A", "n_blocks"}
