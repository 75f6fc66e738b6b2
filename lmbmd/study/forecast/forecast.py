"""What a study is, what it will not be able to tell, and what it costs, before it is run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lmbmd.box.system import kinds, system_of
from lmbmd.core.errors import LmbmdError
from lmbmd.forcefield.parameters import load_set
from lmbmd.simulate.engines.choice import known, outlook, usable_gpus
from lmbmd.simulate.engines.mechanics import prepare
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.places import sentence
from lmbmd.simulate.protocol import parse_spec
from lmbmd.study.forecast.cautions import (
    Caution,
    cautions,
    disk_caution,
    longest_residence_ns,
    sharing_caution,
    snakefile_caution,
    speed_caution,
)
from lmbmd.study.forecast.cost import Cost, Disk, cost_of, jobs
from lmbmd.study.forecast.speed import Speed, combining_rule, measure, of_run, of_table
from lmbmd.study.forecast.text import check_text, estimate_text
from lmbmd.study.study import Study

__all__ = [
    "Caution",
    "Cost",
    "Disk",
    "Speed",
    "cautions",
    "check",
    "check_text",
    "cost_of",
    "estimate",
    "estimate_text",
    "jobs",
    "measure",
    "of_run",
    "of_table",
]


def check(study: Study, names: Sequence[str] = ()) -> dict[str, Any]:
    """What would be run, as plain data (``check_text`` makes a page of it).

    Args:
        study: a study; that it could be loaded says that it is valid.
        names: formulations; all by default.

    Raises:
        LmbmdError: if the study has no formulation of a name, or its time step is too long for one of its molecules.
    """
    names = _chosen(study, names)
    _check_steps(study, names)
    return {
        "study": study.name,
        "formulations": [_bottle(study, name) for name in names],
        "runs": sum(run.formulation in names for run in study.runs()),
        "production_ns": study.protocol.production_ns,
        "frame_interval_ps": study.protocol.frame_interval_ps,
        "transport": study.transport.model_dump(mode="json") if study.transport else None,
        "engine": _engine(study, names[0]),
        "longest_residence_ns": longest_residence_ns(study),
        "warnings": [vars(c) for c in (*snakefile_caution(study), *cautions(study, names))],
    }


def estimate(
    study: Study,
    names: Sequence[str] = (),
    *,
    speed: Speed | None = None,
    each: bool = False,
    threads: int | None = None,
    results: Path = Path("results"),
    seconds: float = 3.0,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """What formulations cost, as plain data (``estimate_text`` makes a page of it).

    Args:
        names: formulations; all by default.
        speed: how fast runs are, if it is known. Otherwise it is measured on the smallest formulation of each
            combining rule and scaled with the number of atoms.
        each: measure every formulation.
        threads: on CPU, if the study does not say; all cores of this job if it is not given either.
        results: the results folder, whose disk must have room.
        seconds: of real steps per measurement.
        say: told what goes on.

    Raises:
        LmbmdError: if the study has no formulation of a name, or as ``measure`` does.
    """
    names = _chosen(study, names)

    def measured(name: str) -> Speed:
        spec = parse_spec(study.spec(name, study.temperatures(name)[0], 1), where=str(study.path))
        return measure(study.composition(name), spec, _platform(study, threads), seconds=seconds, say=say)

    rules = {name: combining_rule(study.composition(name)) for name in names}
    if each:
        speeds = {name: measured(name) for name in names}
    else:
        smallest = {rules[n]: n for n in sorted(names, key=lambda n: -study.composition(n).n_atoms)}
        found = {rule: speed or measured(name) for rule, name in smallest.items()}
        speeds = {name: found[rules[name]] for name in names}
    costs = [cost_of(study, name, speeds[name]) for name in names]
    first = speeds[names[0]]
    disk_bytes = sum(c.disk_bytes for c in costs)
    return {
        "study": study.name,
        "formulations": [c.to_dict() for c in costs],
        "runs": sum(c.runs for c in costs),
        "jobs": jobs(study, names),
        "disk_bytes": disk_bytes,
        "hours": [sum(c.hours[i] for c in costs) for i in (0, 1)],
        "hours_of": "GPU" if first.gpu else "CPU core",
        "units_per_run": first.share,
        "runs_at_once": first.at_once,
        "speeds": [s.how for s in dict.fromkeys(speeds.values())],
        "warnings": [
            vars(c)
            for c in (
                *disk_caution(disk_bytes, results),
                *speed_caution(rules if speed and not each else {}),
                *(sharing_caution(speed.at_once, study.platform.runs_per_device or 1) if speed and not each else []),
                *cautions(study, names),
            )
        ],
    }


def _chosen(study: Study, names: Sequence[str]) -> list[str]:
    """The named formulations once each, in the study's order; all if none is named."""
    wanted = {study.formulation(name).name for name in names} or set(study.names)
    return [name for name in study.names if name in wanted]


def _engine(study: Study, name: str) -> str:
    """What a run that began here now would be computed by, and why."""
    spec = parse_spec(study.spec(name, study.temperatures(name)[0], 1), where=str(study.path))
    try:
        choice = known(study.platform, spec)
        shared = sentence(study.platform, usable_gpus(choice, study.platform))
        return outlook(choice) + (f"; {shared}" if shared else "")
    except LmbmdError as error:
        return f"none here: {str(error).rstrip('.')}"


def _platform(study: Study, threads: int | None) -> PlatformOptions:
    return study.platform.model_copy(update={"threads": study.platform.threads or threads})


def _check_steps(study: Study, names: Sequence[str]) -> None:
    """Refuse time steps that a run of one of these formulations would be refused for."""
    run = parse_spec(study.spec(names[0], study.temperatures(names[0])[0], 1), where=str(study.path))
    protocols = [study.protocol, *([study.transport.protocol(study.protocol)] if study.transport else [])]
    keys = ("timestep_fs", "hydrogen_mass_amu", "constraints")
    specs = [run.model_copy(update={key: getattr(one, key) for key in keys}) for one in protocols]
    species: dict[tuple[str, str], set[str]] = {}
    for bottle in map(study.composition, names):
        species.setdefault((bottle.force_field, bottle.own_sets), set()).update(bottle.counts.keys() - bottle.chains)
        for name, chains in bottle.chains.items():
            one = load_set(bottle.force_field, bottle.own_sets)
            kind = kinds({name: 1}, bottle.roles, one, 1.0, {name: chains})[0]
            for spec in specs:
                prepare(system_of(kind), spec, 0, whose=name)
    for of_set, those in species.items():
        parameters = load_set(*of_set)
        for name in sorted(those):
            for spec in specs:
                prepare(parameters.system(name), spec, 0, whose=name)


def _bottle(study: Study, name: str) -> dict[str, Any]:
    composition = study.composition(name)
    return {
        "formulation": name,
        "counts": composition.counts,
        "atoms": composition.n_atoms,
        "box_edge_nm": composition.box_edge_A / 10,
        "density_g_cm3": composition.density_g_cm3,
        "worst_error": max((r.relative_error for r in composition.asked_realised), key=abs),
        "temperatures_K": [float(T) for T in study.temperatures(name)],
        "replicas": len(study.replicas(name)),
        "runs": len(study.temperatures(name)) * len(study.replicas(name)),
    }
