"""What can be chosen about an analysis: the section ``analysis`` of a study. Imports nothing heavy: plans read it."""

from __future__ import annotations

from pydantic import Field, model_validator

from lmbmd.analysis.clusters.options import CipaThresholds, CompactnessOptions
from lmbmd.analysis.scan.options import ContactOptions
from lmbmd.analysis.shells.options import ShellOptions
from lmbmd.core.options import Whole
from lmbmd.core.validation import fault


class DescribeOptions(ShellOptions):
    """What can be chosen about a description. A change never searches contacts anew."""

    cipa: CipaThresholds = Field(CipaThresholds(), description="see below")
    compactness: CompactnessOptions = Field(CompactnessOptions(), description="see below")


class AnalysisOptions(DescribeOptions, ContactOptions):
    """How trajectories are analysed. A change reruns the analysis, never the MD."""

    frame_stride: Whole = Field(1, ge=1, description="every so many frames")

    @property
    def contacts(self) -> ContactOptions:
        """Those of the search for contacts."""
        return ContactOptions(**{key: getattr(self, key) for key in ContactOptions.model_fields})

    @property
    def describing(self) -> DescribeOptions:
        """Those of the description."""
        return DescribeOptions(**{key: getattr(self, key) for key in DescribeOptions.model_fields})

    @model_validator(mode="after")
    def _within_reach(self) -> AnalysisOptions:
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
