"""What of a study may go to free a disk, what each part is good for, and how it goes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from lmbmd.core.errors import LmbmdError
from lmbmd.core.words import counted, size_text
from lmbmd.simulate import lock
from lmbmd.simulate.protocol import TRAJECTORY
from lmbmd.simulate.resume import replaced
from lmbmd.study import layout
from lmbmd.study.status import RunStatus, State, status
from lmbmd.study.study import Run, Study

#: What may go, and what is lost with it.
KINDS = {
    "replaced": "runs of other physics that were set aside; undoing the change would bring them back as they are",
    "work": "checkpoints of analysed runs; without them a longer production_ns begins a run anew",
    "trajectories": "those of analysed runs; another search radius, a longer production_ns or more transport segments "
    "would need them",
    "quantum": "finished jobs of quantum chemistry of described state points; without them other options of "
    "'quantum', or another draw, compute all of them anew, which PBE0 takes hours for",
}


@dataclass(frozen=True)
class Part:
    """What of one kind may go: files and folders."""

    kind: str
    paths: tuple[Path, ...]


def parts(study: Study, results: Path = layout.RESULTS, work: Path = layout.WORK) -> list[Part]:
    """What may go, by kind: of runs of this study that are finished and that nobody writes.

    Anything of a run may go only once its state point is described, and all of its transport segments are done. A work
    folder that has the last copy of a trajectory stays. What does not belong to the study is left alone.
    """
    found: dict[str, list[Path]] = {kind: [] for kind in KINDS}
    runs: dict[Run, list[RunStatus]] = {}
    kept: dict[Path, bool] = {}  # jobs of quantum chemistry, and whether all runs of their state point are done with
    for one in status(study, results=results, work=work).runs:
        runs.setdefault(Run(one.formulation, one.temperature, one.replica), []).append(one)
    for run, those in runs.items():
        folders = [layout.run(work, *run), *(layout.segment(layout.run(work, *run), n) for n in study.segments)]
        is_busy = any(lock.writer(folder) is not None for folder in folders)
        is_done = not is_busy and all(one.state in (State.ANALYSED, State.REPORTED) for one in those)
        jobs = layout.quantum_jobs(work, run.formulation, run.temperature)
        kept[jobs] = kept.get(jobs, True) and is_done
        if not is_busy:
            found["replaced"] += [path for folder in folders for path in replaced(folder)]
        if not is_done:
            continue
        outs = [layout.run(results, *run), *(layout.segment(layout.run(results, *run), n) for n in study.segments)]
        found["trajectories"] += [path for at in (*outs, *folders) if (path := at / TRAJECTORY).is_file()]
        pairs = zip(outs, folders, strict=True)
        has_last_copy = any((at / TRAJECTORY).exists() and not (out / TRAJECTORY).exists() for out, at in pairs)
        if folders[0].is_dir() and not has_last_copy:
            found["work"].append(folders[0])
    found["quantum"] += [folder for folder, is_done in kept.items() if is_done and folder.is_dir()]
    return [Part(kind, tuple(paths)) for kind, paths in found.items()]


def freed_bytes(paths: Iterable[Path]) -> int:
    """Bytes on the disk that go with these files and folders; one that is linked from elsewhere, too, keeps its own."""
    links: dict[tuple[int, int], list[int]] = {}
    seen: set[Path] = set()
    for path in (file for top in paths for file in _files(top)):
        if path in seen:
            continue
        seen.add(path)
        with suppress(OSError):
            known = path.lstat()
            links.setdefault((known.st_dev, known.st_ino), [known.st_nlink, known.st_blocks * 512, 0])[2] += 1
    return sum(size for wanted, size, found in links.values() if found >= wanted)


def remove(paths: Iterable[Path]) -> None:
    """Delete these files and folders; of a work folder, its lock and those of its segments are held meanwhile.

    Raises:
        LmbmdError: if a process has begun to write one, or the system does not let one go; those before it are gone.
    """
    for path in paths:
        try:
            if path.is_dir() and not path.is_symlink():
                with ExitStack() as held:
                    for folder in (path, *{claim.parent for claim in path.glob("t*/lock.*")}):
                        held.enter_context(lock.holding(folder, lambda text: None))
                    shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        except OSError as error:
            what = f"this cannot be deleted: {error.strerror or error}."
            raise LmbmdError(what, where=str(path), remedy="Mend its permissions.") from error


def parts_text(found: Sequence[Part]) -> str:
    """What may go of each kind, how much that frees, and what it is good for."""
    lines = []
    for part in found:
        if part.paths:
            number = counted(len(part.paths), "place")
            lines.append(f"{part.kind}: {size_text(freed_bytes(part.paths))} in {number}: {KINDS[part.kind]}")
    return "\n".join(lines) or "There is nothing to clean: no run is analysed yet, or all of this has gone already."


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir() and not path.is_symlink():
        for folder, _, names in os.walk(path):
            yield from (Path(folder, name) for name in names)
    else:
        yield path
