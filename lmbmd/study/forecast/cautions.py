"""What a study will not be able to tell, known before it is run. The thresholds are those of the analysis."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lmbmd.analysis.clusters.cipa import BOX_TOO_SMALL
from lmbmd.analysis.convergence import LEAST_CENTRES, LEAST_REPLICAS, LEAST_RUN_NS, RESIDENCE_TIMES
from lmbmd.core.errors import LmbmdError
from lmbmd.core.units import ANGSTROM_PER_NM
from lmbmd.data.counts import ENOUGH_MOLECULES, SIGNIFICANT_MOLECULES
from lmbmd.forcefield.mixing import LORENTZ_BERTHELOT
from lmbmd.formulation.composition import Composition
from lmbmd.quantum.methods import check_installed
from lmbmd.study.study import Study


@dataclass(frozen=True)
class Caution:
    """One rule that is broken: what it means, and the value of each formulation that breaks it.

    ``cases`` is empty where the whole study breaks it.
    """

    topic: str
    text: str
    cases: dict[str, str]


def longest_residence_ns(study: Study) -> float:
    """The longest residence time that a run of the study's length can measure."""
    return study.protocol.production_ns / RESIDENCE_TIMES


def cautions(study: Study, names: Iterable[str]) -> list[Caution]:
    """Every rule that these formulations of a study break."""
    bottles = {name: study.composition(name) for name in names}
    found = [*_boxes(study, bottles), *_amounts(bottles), *_species(study, bottles)]
    few = {n: str(len(study.replicas(n))) for n in bottles if len(study.replicas(n)) < LEAST_REPLICAS}
    text = f"fewer than {LEAST_REPLICAS} replicas: nothing can show that a run is stuck where it started"
    found.append(Caution("replicas", text, few))
    return [*_run_length(study), *(c for c in found if c.cases), *_energies(study, bottles)]


def disk_caution(needed_bytes: float, folder: Path) -> list[Caution]:
    """A warning if the file system of ``folder``, which need not exist yet, has less space than is needed."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if needed_bytes <= free:
        return []
    text = f"the study needs {needed_bytes / 1e9:.3g} GB of disk, and {folder} has {free / 1e9:.3g} GB left"
    return [Caution("disk", text, {})]


def snakefile_caution(study: Study) -> list[Caution]:
    """A warning where `snakemake` would find no workflow in the folder of a study."""
    folder = study.path.absolute().parent
    folder = folder.parent if folder.name == "config" else folder
    if any((folder / name).exists() for name in ("Snakefile", "workflow/Snakefile")):
        return []
    text = (
        f"{folder} has no Snakefile, and `snakemake` runs nothing there; `lmbmd init {shlex.quote(str(folder))}` adds "
        "it, and changes nothing that is there"
    )
    return [Caution("no Snakefile", text, {})]


def speed_caution(rules: Mapping[str, str]) -> list[Caution]:
    """A warning for the formulations whose combining rule a given speed may not have been measured with."""
    slower = {name: rule for name, rule in rules.items() if rule != LORENTZ_BERTHELOT}
    text = (
        "a speed that was given may be that of Lorentz-Berthelot mixing; steps of another rule take half as long again"
    )
    return [Caution("speed", text, slower)] if slower else []


def sharing_caution(at_once: int, wanted: int) -> list[Caution]:
    """A warning where a given speed is that of a run that shared its device with another number of runs."""
    if at_once == wanted:
        return []
    told = "alone" if at_once == 1 else f"{at_once} at once"
    text = (
        f"the speed that was given is that of runs {told}; in this study {wanted} share a device, and nothing says how "
        "fast each is then: measure it here (without --like and --table), or give the run.json of such a run"
        if wanted > 1
        else f"the speed that was given is that of runs {told}; in this study each has its device alone, and is faster"
    )
    return [Caution("speed", text, {})]


def _run_length(study: Study) -> list[Caution]:
    length = study.protocol.production_ns
    if length >= LEAST_RUN_NS:
        return []
    text = (
        f"{length:g} ns of production: below {LEAST_RUN_NS:g} ns no run is called long enough, and residence times "
        f"beyond {longest_residence_ns(study):.3g} ns cannot be measured"
    )
    return [Caution("run length", text, {})]


def _energies(study: Study, bottles: dict[str, Composition]) -> list[Caution]:
    """What stands against energies of shells, if they are asked for."""
    if study.quantum is None:
        return []
    found = []
    try:
        check_installed(study.quantum)
    except LmbmdError as error:
        text = f"{error.what.rstrip('.')} here, and without it there are no energies of shells. {error.remedy or ''}"
        found.append(Caution("energies", text.rstrip(". "), {}))
    if chains := {name: ", ".join(c.chains) for name, c in bottles.items() if c.chains}:
        text = "shells of polymers cannot be cut out whole, and have no energies"
        found.append(Caution("energies", text, chains))
    return found


def _boxes(study: Study, bottles: dict[str, Composition]) -> list[Caution]:
    limits, reach_A = study.analysis.cipa, study.analysis.search_radius_A
    edges = {name: c.box_edge_A / ANGSTROM_PER_NM for name, c in bottles.items()}
    ionic = {name: edges[name] for name, c in bottles.items() if any(c.charges[s] for s, n in c.counts.items() if n)}
    least, roomy = limits.min_box_width_nm, 2 * limits.max_diameter_nm

    def those(width: dict[str, float], low: float, high: float) -> dict[str, str]:
        return {name: f"{w:.1f} nm" for name, w in width.items() if low <= w < high}

    return [
        Caution(
            "box", f"narrower than {least:g} nm: any call on CIPA will be '{BOX_TOO_SMALL}'", those(ionic, 0, least)
        ),
        Caution(
            "box",
            f"narrower than {roomy:g} nm, twice the largest diameter of a compact aggregate: the box limits the size "
            "of large clusters",
            those(ionic, least, roomy),
        ),
        Caution(
            "box",
            f"not wider than twice search_radius_A = {reach_A:g}: the contacts stage will refuse it",
            {name: f"{w:.1f} nm" for name, w in edges.items() if w <= 2 * reach_A / ANGSTROM_PER_NM},
        ),
    ]


def _species(study: Study, bottles: dict[str, Composition]) -> list[Caution]:
    """What the library, or whoever made a species, says against it."""
    told: dict[str, dict[str, str]] = {}
    for name, composition in bottles.items():
        own = study.own_sets.get(composition.force_field)
        known = (own.library if own else study.library).species
        for species, count in composition.counts.items():
            text = (composition.chains.get(species) or known[species]).caution
            if count and text:
                told.setdefault(text.rstrip("."), {})[name] = species
    return [Caution("species", text, cases) for text, cases in told.items()]


def _amounts(bottles: dict[str, Composition]) -> list[Caution]:
    few, centres = {}, {}
    for name, c in bottles.items():
        scarce = {s: n for s, n in c.counts.items() if 0 < n < ENOUGH_MOLECULES}
        ions = {s: n for s, n in c.counts.items() if c.roles[s] == "cation" and ENOUGH_MOLECULES <= n < LEAST_CENTRES}
        if scarce:
            few[name] = ", ".join(f"{n} {s}" for s, n in scarce.items())
        if ions:
            centres[name] = ", ".join(f"{n} {s}" for s, n in ions.items())
    return [
        Caution(
            "molecules",
            f"fewer than {ENOUGH_MOLECULES} of a species: numbers about it have little statistics behind them, and are "
            f"not significant below {SIGNIFICANT_MOLECULES}",
            few,
        ),
        Caution(
            "molecules",
            f"fewer than {LEAST_CENTRES} cations: a rare shell or a large cluster cannot show itself",
            centres,
        ),
    ]
