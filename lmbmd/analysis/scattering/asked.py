"""What ``describe`` is given of scattering: nothing unless it was asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmbmd.analysis.scattering.measured import Measured
from lmbmd.analysis.scattering.options import ScatteringOptions
from lmbmd.analysis.scattering.sums import Scattered


@dataclass(frozen=True, eq=False)
class AskedScattering:
    """The sums of all replicas, what was chosen, and measured curves to lay beside."""

    replicas: Sequence[Scattered]
    options: ScatteringOptions
    measured: Sequence[Measured] = ()
