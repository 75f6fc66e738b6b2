"""Which frames of a run are wanted, by time; and the files of one run, one after the other, as one stream of frames."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.core.words import listed
from lmbmd.data.atoms import AtomTable
from lmbmd.data.frames import Frame
from lmbmd.trajectory.frames import Frames, checked

#: By how much of the interval between frames a time that is typed by hand may differ from that of a frame.
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Window:
    """Which frames are wanted: from ``begin_ps`` to ``end_ps``, both included, one in ``every_ps``; all if None."""

    begin_ps: float | None = None
    end_ps: float | None = None
    every_ps: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("begin", self.begin_ps), ("end", self.end_ps), ("every", self.every_ps)):
            if value is not None and not math.isfinite(value):
                raise LmbmdError(f"{name} = {value:g} ps is no time.", remedy="Give picoseconds, such as 5000.")
        if self.every_ps is not None and self.every_ps <= 0:
            raise LmbmdError(f"every {self.every_ps:g} ps is no interval.", remedy="Give a number above zero.")
        if self.begin_ps is not None and self.end_ps is not None and self.begin_ps > self.end_ps:
            what = f"the begin, {self.begin_ps:g} ps, is after the end, {self.end_ps:g} ps."
            raise LmbmdError(what, remedy="Exchange them.")

    def of(self, parts: Sequence[Frames]) -> list[Frames]:
        """The wanted frames of each file of a run, which may be none.

        Raises:
            LmbmdError: if there are none at all, or ``every_ps`` is no multiple of the interval between frames.
        """
        if self == ALL:
            return list(parts)
        found: list[Frames] = []
        beat_ps: float | None = None
        for frames in parts:
            with frames.times() as when_ps:
                chosen = self._chosen(frames, when_ps, beat_ps)
                if chosen and beat_ps is None:
                    beat_ps = when_ps(chosen.start)
            found.append(frames.part(chosen.start, chosen.stop, chosen.step))
        if not any(map(len, found)):
            begin = "" if self.begin_ps is None else f" from {self.begin_ps:g} ps"
            end = "" if self.end_ps is None else f" to {self.end_ps:g} ps"
            remedy = f"It has frames from {_first_ps(parts[0]):g} to {_last_ps(parts[-1]):g} ps."
            raise LmbmdError(f"there is no frame{begin}{end}.", where=_named(parts), remedy=remedy)
        return found

    def _chosen(self, frames: Frames, when_ps: Callable[[int], float], beat_ps: float | None) -> range:
        """Places of the wanted frames; ``beat_ps`` is the time of the first frame that is wanted of the whole run."""
        places = range(len(frames))
        gap_ps = when_ps(1) - when_ps(0) if len(frames) > 1 else 0.0
        first, last = 0, len(frames)
        if self.begin_ps is not None:
            first = bisect_left(places, self.begin_ps - _slack(self.begin_ps, gap_ps), key=when_ps)
        if self.end_ps is not None:
            last = bisect_left(places, self.end_ps + _slack(self.end_ps, gap_ps), key=when_ps)
        if self.every_ps is None or first >= last:
            return range(first, last)
        if last - first > 1:
            gap_ps = when_ps(first + 1) - when_ps(first)
        step = round(self.every_ps / gap_ps) if gap_ps > 0 else 1
        if step < 1 or (gap_ps > 0 and abs(step * gap_ps - self.every_ps) > _slack(when_ps(first), gap_ps)):
            what = f"{self.every_ps:g} ps is no multiple of the {gap_ps:g} ps between its frames."
            raise LmbmdError(what, where=frames.name, remedy="Give one, or leave it out: every frame is then read.")
        if beat_ps is not None:
            beats = [(when_ps(k) - beat_ps) / self.every_ps for k in range(first, min(first + step, last))]
            slack = _slack(when_ps(first), gap_ps) / self.every_ps
            first += next((k for k, beat in enumerate(beats) if abs(beat - round(beat)) <= slack), last - first)
        chosen = range(first, last, step)
        if chosen:
            begin_ps, end_ps = when_ps(chosen.start), when_ps(chosen[-1])
            if math.isfinite(end_ps) and abs(end_ps - begin_ps - (len(chosen) - 1) * self.every_ps) > 0.5 * gap_ps:
                what = f"its frames are not all {gap_ps:g} ps apart, so that those {self.every_ps:g} ps apart are none."
                raise LmbmdError(what, where=frames.name, remedy="Leave this option out: every frame is then read.")
        return chosen


ALL = Window()


def _slack(time_ps: float, gap_ps: float) -> float:
    """By how much the time of a frame may differ from what it is meant to be: files keep it in single precision."""
    return _TOLERANCE * abs(gap_ps) + 2.0 * float(np.spacing(np.float32(abs(time_ps))))


def _first_ps(frames: Frames) -> float:
    with frames.times() as when_ps:
        return when_ps(0)


def _last_ps(frames: Frames) -> float:
    """Time of the last frame that can be read."""
    with frames.times() as when_ps:
        whole = bisect_left(range(len(frames)), math.inf, key=when_ps)
        return when_ps(max(whole - 1, 0))


def _named(parts: Sequence[Frames]) -> str:
    return listed([frames.name for frames in parts])


@dataclass(frozen=True, eq=False)
class Joined:
    """The files of one run as one stream of frames; as ``Frames`` it is read as often as wanted, whole or in parts.

    Attributes:
        files: the wanted frames of each.
        before: frames of the whole run before the first one of each file.
    """

    files: tuple[Frames, ...]
    before: tuple[int, ...]

    @property
    def name(self) -> str:
        return _named(self.files)

    def __len__(self) -> int:
        return sum(map(len, self.files))

    def part(self, first: int, last: int) -> Joined:
        """The frames ``first`` to ``last`` − 1 of these."""
        files, before, begin = [], [], 0
        for frames, number in zip(self.files, self.before, strict=True):
            a, b = max(first - begin, 0), min(last - begin, len(frames))
            begin += len(frames)
            if a < b:
                files.append(frames.part(a, b))
                before.append(number)
        return Joined(tuple(files), tuple(before))

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames in order, numbered through all files; errors as of ``Frames``."""
        before_ps = -math.inf
        for frames, number in zip(self.files, self.before, strict=True):
            for frame in frames:
                frames.check_time(frame.index, frame.time_ps, before_ps)
                before_ps = frame.time_ps
                yield replace(frame, index=number + frame.index)

    def check_time(self, number: int, time_ps: float, before_ps: float) -> None:
        """As ``Frames.check_time``."""
        self.files[0].check_time(number, time_ps, before_ps)


def files_of(frames: Frames | Joined) -> list[str]:
    """Names of the files that are read."""
    return [frames.name] if isinstance(frames, Frames) else [one.name for one in frames.files]


def wanted(parts: Sequence[Frames], window: Window, atoms: AtomTable) -> Frames | Joined:
    """The wanted frames of one run, which lies in one or in several files, each with its clock (``frames.timed``).

    Where the next file begins before the end of one, the frames from there on are taken from the next: a run that was
    killed writes some frames again. Files without a clock of their own follow one another at the interval that is told,
    and a first frame that is the last one of the file before is the same frame.

    Raises:
        LmbmdError: if the files are not in the order of time, no frame is wanted, or as ``frames.checked``.
    """
    run = _cut(_continued(parts))
    before = accumulate((len(frames) for frames in run[:-1]), initial=0)
    chosen = [(frames, number) for frames, number in zip(window.of(run), before, strict=True) if len(frames)]
    files = [checked(frames, atoms) for frames, _ in chosen]
    if len(parts) == 1:
        return files[0]
    volume = files[0].first_volume_A3
    return Joined(
        tuple(replace(frames, first_volume_A3=volume) for frames in files), tuple(number for _, number in chosen)
    )


def _continued(parts: Sequence[Frames]) -> list[Frames]:
    """The same with the clocks of later files set by those before, where they have none of their own."""
    run = [parts[0]]
    for frames in parts[1:]:
        last = run[-1]
        if frames.steps and last.steps:
            if frames.steps[1] != last.steps[1]:
                raise LmbmdError(
                    f"its frames are {frames.steps[1]} steps apart, those of {last.name} {last.steps[1]}.",
                    where=frames.name,
                    remedy="frame_interval_ps can stand for one of them only: thin one file out first.",
                )
            frames = replace(frames, steps=last.steps)
        elif frames.interval_ps is not None:
            same = _same_frame(last, frames)
            frames = replace(frames, begins_ps=_last_ps(last) + (0.0 if same else frames.interval_ps))
        run.append(frames)
    return run


def _same_frame(one: Frames, other: Frames) -> bool:
    """Whether a file begins with the frame that the one before ends with."""
    (last,), (first,) = one.part(len(one) - 1, len(one)), other.part(0, 1)
    return bool(np.array_equal(last.positions, first.positions))


def _cut(run: Sequence[Frames]) -> list[Frames]:
    """Each file up to where the next one begins."""
    kept = []
    for frames, after in pairwise(run):
        begin_ps = _first_ps(after)
        with frames.times() as when_ps:
            slack = _slack(begin_ps, when_ps(1) - when_ps(0) if len(frames) > 1 else 0.0)
            n = bisect_left(range(len(frames)), begin_ps - slack, key=when_ps)
            if n == 0:
                raise LmbmdError(
                    f"it begins at {begin_ps:g} ps, not after {frames.name}, which begins at {when_ps(0):g} ps.",
                    where=after.name,
                    remedy="Give the parts of a run in the order of time. Runs that each begin anew are replicas. If "
                    "the clock was set to zero between the parts of one run, give frame_interval_ps and "
                    "clock_is_wrong: true in the species map.",
                )
        kept.append(frames.part(0, n))
    return [*kept, run[-1]]
