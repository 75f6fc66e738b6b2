"""Why a run would be simulated again, or not: what the study asks for now, beside what the run was made of."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lmbmd.core.errors import LmbmdError
from lmbmd.core.provenance import file_sha256
from lmbmd.formulation.composition import Composition
from lmbmd.simulate.checkpoint import Checkpoint
from lmbmd.simulate.protocol import RunSpec, differences, parse_spec
from lmbmd.simulate.publish import RECORD
from lmbmd.simulate.resume import STAGES, Inputs, RunState, newest
from lmbmd.study import layout
from lmbmd.study.study import Run, Study


@dataclass(frozen=True)
class Past:
    """What has been done of a run: in words, the production in ns, and what of its physics differs from now."""

    words: str
    production_ns: float
    changes: tuple[str, ...]


def why(study: Study, run: Run, results: Path, work: Path) -> list[str]:
    """Where a run stands, and everything of its physics that differs from what the study asks for now.

    Args:
        run: one simulation of the study.
        results, work: the study's folders of these names.

    Returns:
        A sentence on the run and what Snakemake will do with it; then a line ``"name: old → new"`` per difference.

    Raises:
        LmbmdError: if a file of the run cannot be read.
    """
    built = layout.box(results, run.formulation, run.replica)
    spec = parse_spec(study.spec(*run), where=str(study.path))
    finished = _finished(layout.run(results, *run) / RECORD, built, spec)
    past = finished or _unfinished(layout.run(work, *run), built, spec)
    if past is None:
        return ["not begun: it will be simulated."]
    changes = [*_recipe_changes(study, run.formulation, results), *past.changes]
    if changes:
        return [f"{past.words}: it will be simulated anew, because its physics changed.", *changes]
    if past.production_ns < spec.production_ns:
        return [f"{past.words}: it will go on to {spec.production_ns:g} ns."]
    if past.production_ns > spec.production_ns:
        return [f"{past.words}: more than the {spec.production_ns:g} ns that are asked for now, which is refused."]
    return [f"{past.words}: nothing of its physics changed, and it will not be simulated again."]


def _finished(record: Path, built: Path, spec: RunSpec) -> Past | None:
    if not record.exists():
        return None
    made = _json(record)
    physics = {**parse_spec(made["spec"], where=str(record)).physics(), "method": made["stage"]}
    changes = differences(physics, spec.physics())
    for role, file in {"system": "the System (system.xml)", "start": "the start structure (start.pdb)"}.items():
        path = built / made["inputs"][role]["file"]
        if path.exists() and file_sha256(path) != made["inputs"][role]["sha256"]:
            changes.append(f"{file} has been built anew")
    return Past(f"finished, {made['production_ns']:g} ns", made["production_ns"], tuple(changes))


def _unfinished(work: Path, built: Path, spec: RunSpec) -> Past | None:
    paths = [built / "system.xml", built / "start.pdb"]

    def differing(found: Checkpoint) -> list[str]:
        if all(path.exists() for path in paths):
            return Inputs(spec, *(path.read_text(encoding="utf-8") for path in paths)).differences(found)
        return differences(found.header["physics"], spec.physics())

    found = newest(work, differing)
    if found is None or found.checkpoint is None:
        return None
    state = RunState.of(found.checkpoint)
    done_ns = spec.time_ps(state.step) / 1000
    words = f"interrupted in stage {state.stage} after {done_ns:g} ns of it"
    return Past(words, done_ns if state.stage == STAGES[-1] else 0.0, found.foreign)


def _recipe_changes(study: Study, formulation: str, results: Path) -> list[str]:
    """What of the bottle's content differs from the composition that the box was built from."""
    path = layout.composition(results, formulation)
    if not path.exists():
        return []
    old, new = (dict(_flat(asdict(c))) for c in (Composition.read(path), study.composition(formulation)))
    changes = differences(old, new)
    plain = [c for c in changes if not c.startswith("recipe_sha256")]
    return plain or [f"the recipe of {formulation} is written differently" for _ in changes]


def _flat(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Nested tables as (``"counts.Li"``, number) pairs."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    if not pairs:
        yield name, value
    for key, inner in pairs:
        yield from _flat(inner, f"{name}.{key}" if name else str(key))


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LmbmdError(
            f"the file cannot be read ({error}).", where=str(path), remedy="Restore or delete it."
        ) from error
