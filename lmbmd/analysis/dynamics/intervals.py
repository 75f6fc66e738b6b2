"""On-intervals of many pairs, and exact counts of how often a pair is on at two frames, or all between.

Everything is an integer count; nothing is fitted or normalised here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from scipy import fft

_BATCH = 1 << 21  # numbers transformed at a time


@njit(cache=True)
def changes(before: np.ndarray, now: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What is in ``now`` and was not before, and what was in ``before`` and is not now, in order.

    Args:
        before, now: int64, each number once, ascending.
    """
    came, went = np.empty(len(now), np.int64), np.empty(len(before), np.int64)
    i = j = n_came = n_went = 0
    while i < len(before) or j < len(now):
        if j == len(now) or (i < len(before) and before[i] < now[j]):
            went[n_went] = before[i]
            n_went += 1
            i += 1
        elif i == len(before) or now[j] < before[i]:
            came[n_came] = now[j]
            n_came += 1
            j += 1
        else:
            i += 1
            j += 1
    return came[:n_came].copy(), went[:n_went].copy()


@dataclass(frozen=True, eq=False)
class Intervals:
    """When each pair is on: one entry per uninterrupted stretch, ordered by pair, then time.

    Attributes:
        pair: int64, any numbers; stretches of one pair share one.
        start, end: int64, first frame of the stretch and first frame after it; ``end == n_frames`` is a
            stretch still on when the run ended. Stretches of one pair are at least one frame apart.
        group: int64, the group counted into, one per pair.
        n_groups, n_frames: sizes of the counts.
    """

    pair: np.ndarray
    start: np.ndarray
    end: np.ndarray
    group: np.ndarray
    n_groups: int
    n_frames: int

    def mended(self, gap: int) -> Intervals:
        """Stretches of a pair that are ``gap`` frames apart or less, joined."""
        if gap < 1 or not len(self.pair):
            return self
        apart = (self.pair[1:] != self.pair[:-1]) | (self.start[1:] - self.end[:-1] > gap)
        first, last = np.append(True, apart), np.append(apart, True)
        return replace(
            self, pair=self.pair[first], start=self.start[first], end=self.end[last], group=self.group[first]
        )

    def losses(self) -> np.ndarray:
        """(n_groups,) stretches that ended within the run."""
        return np.bincount(self.group[self.end < self.n_frames], minlength=self.n_groups)

    def departures(self) -> int:
        """Pairs that were on at some time and are off in the last frame."""
        return len(np.unique(self.pair)) - int((self.end == self.n_frames).sum())

    def frames_on(self) -> np.ndarray:
        """(n_groups,) frames at which a pair is on, summed over pairs."""
        return np.bincount(self.group, self.end - self.start, self.n_groups).astype(np.int64)

    def unbroken(self) -> np.ndarray:
        """(n_groups, n_frames) cases of a pair being on at all frames from t0 to t0 + lag, for each lag.

        A stretch of n frames holds n − lag of them, whether or not the run's ends cut it.
        """
        return _stretches(self.end - self.start, self.group, self.n_groups, self.n_frames)

    def both(self) -> np.ndarray:
        """(n_groups, n_frames) cases of a pair being on at t0 and at t0 + lag, whatever happens between.

        Pairs with one stretch are counted as in ``unbroken``, the others by FFT over the frames from first to
        last contact; the result is rounded to the integers that it is.
        """
        first = np.flatnonzero(np.append(True, self.pair[1:] != self.pair[:-1])) if len(self.pair) else self.pair
        count = np.diff(np.append(first, len(self.pair)))
        alone = np.repeat(count == 1, count)
        lengths = (self.end - self.start)[alone]
        total = _stretches(lengths, self.group[alone], self.n_groups, self.n_frames)
        first, count = first[count > 1], count[count > 1]
        span = self.end[first + count - 1] - self.start[first]
        size = 1 << np.ceil(np.log2(2 * np.maximum(span, 1))).astype(np.int64)
        for n in np.unique(size):
            chosen = np.flatnonzero(size == n)
            chosen = chosen[np.argsort(self.group[first[chosen]], kind="stable")]
            lags, step = min(int(n) // 2, self.n_frames), max(_BATCH // int(n), 1)
            for i in range(0, len(chosen), step):
                batch = chosen[i : i + step]
                total[:, :lags] += self._by_fft(first[batch], count[batch], int(n))[:, :lags]
        return total

    def _by_fft(self, first: np.ndarray, count: np.ndarray, size: int) -> np.ndarray:
        """Autocorrelation of the pairs whose stretches are first … first + count − 1, pairs ordered by group."""
        row = np.repeat(np.arange(len(first)), count)
        entry = np.arange(len(row)) + np.repeat(first - (np.cumsum(count) - count), count)
        on = np.zeros((len(first), size))
        on[row, self.start[entry] - self.start[first][row]] = 1.0
        on[row, self.end[entry] - self.start[first][row]] = -1.0
        np.cumsum(on, axis=1, out=on)
        power = np.abs(fft.rfft(on, axis=1)) ** 2
        group = self.group[first]
        begin = np.flatnonzero(np.append(True, group[1:] != group[:-1]))
        counts = np.zeros((self.n_groups, size), np.int64)
        counts[group[begin]] = np.rint(fft.irfft(np.add.reduceat(power, begin, axis=0), size, axis=1))
        return counts


def _stretches(length: np.ndarray, group: np.ndarray, n_groups: int, n_frames: int) -> np.ndarray:
    """(n_groups, n_frames) Σ max(length − lag, 0) over stretches, from their histogram."""
    histogram = np.zeros((n_groups, n_frames + 1), np.int64)
    np.add.at(histogram, (group, length), 1)
    at_least = np.cumsum(histogram[:, ::-1], axis=1)[:, ::-1]
    return np.cumsum(at_least[:, :0:-1], axis=1)[:, ::-1]
