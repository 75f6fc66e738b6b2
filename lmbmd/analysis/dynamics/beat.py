"""Whether frames follow one another at one interval, as everything about time needs."""

from __future__ import annotations

from collections.abc import Sequence

from lmbmd.core.errors import LmbmdError
from lmbmd.data.contacts import FrameContacts

#: By how much of itself an interval may differ from the first: files round their times.
TOLERANCE = 0.05


def off_beat(times_ps: Sequence[float], frame: FrameContacts) -> LmbmdError | None:
    """What is wrong with the time of the next frame, if anything.

    Args:
        times_ps: of the frames before it.
        frame: the next.
    """
    if not len(times_ps):
        return None
    step = frame.time_ps - times_ps[-1]
    usual = times_ps[1] - times_ps[0] if len(times_ps) > 1 else step
    if step > 0 and abs(step - usual) <= TOLERANCE * usual:
        return None
    return LmbmdError(
        f"this frame comes {step:g} ps after the one before it, where {usual:g} ps were usual; lifetimes and motion "
        "need one interval between frames.",
        where=f"frame {frame.index} ({frame.time_ps:g} ps)",
        remedy="Give a trajectory written at one interval, with no frame missing or repeated.",
    )


class Beat:
    """The times of frames that follow one another at one interval, and what was wrong with the first that does not."""

    def __init__(self) -> None:
        self.times_ps: list[float] = []
        self.fault: LmbmdError | None = None

    def take(self, frame: FrameContacts) -> bool:
        """Note the next frame; false if it, or one before it, does not follow at the interval of those before."""
        self.fault = self.fault or off_beat(self.times_ps, frame)
        if self.fault is None:
            self.times_ps.append(frame.time_ps)
        return self.fault is None

    @property
    def n_frames(self) -> int:
        return len(self.times_ps)

    @property
    def interval_ps(self) -> float:
        """Between frames; NaN for a single one."""
        n = self.n_frames
        return (self.times_ps[-1] - self.times_ps[0]) / (n - 1) if n > 1 else float("nan")
