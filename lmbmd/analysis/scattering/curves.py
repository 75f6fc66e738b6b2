"""From sums to curves: S(q) and I(q), total and in parts, with errors over blocks and replicas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from lmbmd.analysis.scattering.lengths import ELECTRON_RADIUS_FM
from lmbmd.analysis.scattering.sums import WEIGHTS, Scattered
from lmbmd.core.errors import LmbmdError
from lmbmd.numbers.curve import jackknife

#: 1/cm of a cross-section of 1 fm² in 1 Å³.
_PER_CM = 1e-26 * 1e24
#: Where ⟨f⟩² is a smaller share of ⟨f²⟩ the Faber–Ziman structure factor divides by nearly nothing.
LEAST_MEAN = 0.01


@dataclass(frozen=True, eq=False)
class Curve:
    """A function of q with one standard error, (n,) each."""

    q_per_A: np.ndarray
    value: np.ndarray
    error: np.ndarray


@dataclass(frozen=True, eq=False)
class Curves:
    """The sums of all replicas, as groups of frames; a bin that no wave vector fell into is left out.

    Args:
        replicas: one each.

    Raises:
        LmbmdError: if their bins or their atoms differ.
    """

    replicas: Sequence[Scattered]

    def __post_init__(self) -> None:
        first = self.replicas[0]
        for number, other in enumerate(self.replicas[1:], start=2):
            same = other.vectors.shape[1] == first.vectors.shape[1] and other.width_per_A == first.width_per_A
            if not same or other.n_atoms != first.n_atoms:
                raise LmbmdError(
                    "its scattering has other bins, or is of another box, than that of the first replica.",
                    where=f"replica {number}",
                    remedy="Run the scattering stage of all replicas with the same options.",
                )

    @cached_property
    def parts(self) -> tuple[tuple[str, str], ...]:
        """(species, class) of any replica, in order."""
        return tuple(dict.fromkeys(part for one in self.replicas for part in one.parts))

    @cached_property
    def replica(self) -> np.ndarray:
        """(n_groups,) which replica each block is of."""
        return np.repeat(np.arange(len(self.replicas)), [len(one.frames) for one in self.replicas])

    @cached_property
    def _vectors(self) -> np.ndarray:
        return np.concatenate([one.vectors for one in self.replicas])

    @cached_property
    def filled(self) -> np.ndarray:
        """Bins with a wave vector."""
        return np.flatnonzero(self._vectors.sum(axis=0))

    @cached_property
    def vectors(self) -> np.ndarray:
        """(n,) wave vectors of each bin over all frames, pairs of k and −k."""
        return self._vectors.sum(axis=0)[self.filled]

    @cached_property
    def q_per_A(self) -> np.ndarray:
        """(n,) mean |k| of each bin."""
        total = np.concatenate([one.q_per_A for one in self.replicas]).sum(axis=0)[self.filled]
        return total / self.vectors

    @property
    def smallest_per_A(self) -> float:
        """The smallest wave vector of any frame."""
        return min(one.smallest_per_A for one in self.replicas)

    @cached_property
    def density_per_A3(self) -> float:
        """Mean of N / V over all frames."""
        frames = sum(float(one.frames.sum()) for one in self.replicas)
        return sum(float(one.density_per_A3.sum()) for one in self.replicas) / frames

    def pair(self, weight: str, a: Sequence[int], b: Sequence[int]) -> np.ndarray:
        """(n_groups, n) Σ over parts in a and parts in b of Re A_a A_b* / N, numbers of ``parts``."""
        w, found = WEIGHTS.index(weight), []
        for one in self.replicas:
            place = {part: k for k, part in enumerate(one.parts)}
            upper = np.zeros((len(place), len(place)), int)
            upper[np.triu_indices(len(place))] = np.arange(len(place) * (len(place) + 1) // 2)
            upper = np.maximum(upper, upper.T)
            mine = [[place[p] for k in side if (p := self.parts[k]) in place] for side in (a, b)]
            rows = upper[np.ix_(*mine)].ravel()
            found.append(one.pair[:, w, rows].sum(axis=1))
        return np.concatenate(found)[:, self.filled]

    def own(self, weight: str, a: Sequence[int]) -> np.ndarray:
        """(n_groups, n) Σ w² / N over the atoms of these parts."""
        w = WEIGHTS.index(weight)
        rows = [[k for k, part in enumerate(one.parts) if part in {self.parts[i] for i in a}] for one in self.replicas]
        return np.concatenate([one.own[:, w, r].sum(axis=1) for one, r in zip(self.replicas, rows, strict=True)])[
            :, self.filled
        ]

    def mean(self, weight: str) -> np.ndarray:
        """(n_groups, n) (Σ w / N)²."""
        w = WEIGHTS.index(weight)
        return np.concatenate([one.mean[:, w] for one in self.replicas])[:, self.filled]

    @property
    def everything(self) -> tuple[int, ...]:
        """All parts."""
        return tuple(range(len(self.parts)))

    def structure(self, weight: str) -> Curve:
        """S(q) = I(q) / ⟨w²⟩, with I per atom: 1 at large q, whatever the weights."""
        return self._ratio(self.pair(weight, self.everything, self.everything), self.own(weight, self.everything))

    def part(self, weight: str, a: Sequence[int], b: Sequence[int]) -> Curve:
        """What pairs of parts in a and in b, and in b and in a, give to S(q); all of them sum to it."""
        twice = 1.0 if tuple(a) == tuple(b) else 2.0
        return self._ratio(twice * self.pair(weight, a, b), self.own(weight, self.everything))

    def faber_ziman(self, weight: str) -> Curve:
        """S(q) = 1 + (I(q) − ⟨w²⟩) / ⟨w⟩²; NaN where the mean weight is too near to zero."""
        total, own = self.pair(weight, self.everything, self.everything), self.own(weight, self.everything)
        mean = self.mean(weight)
        found = self._ratio(total - own, mean)
        known = mean.sum(axis=0) >= LEAST_MEAN * own.sum(axis=0)
        value, error = (np.where(known, x, np.nan) for x in (1.0 + found.value, found.error))
        return Curve(found.q_per_A, value, error)

    def intensity_per_cm(self, weight: str) -> Curve:
        """dΣ/dΩ in 1/cm: I(q) times the mean number density, of electrons times their classical radius squared."""
        found = self._ratio(self.pair(weight, self.everything, self.everything), self._groups)
        per = self.density_per_A3 * _PER_CM * (ELECTRON_RADIUS_FM**2 if weight == "xray" else 1.0)
        return Curve(found.q_per_A, per * found.value, per * found.error)

    @property
    def _groups(self) -> np.ndarray:
        return self._vectors[:, self.filled]

    def without(self, weight: str) -> list[np.ndarray]:
        """``structure`` without each group of frames in turn, or of three and more replicas without each of these."""
        total, own = self.pair(weight, self.everything, self.everything), self.own(weight, self.everything)
        labels = self.replica if len(self.replicas) >= 3 else np.arange(len(total))
        with np.errstate(divide="ignore", invalid="ignore"):
            return [
                total[labels != k].sum(axis=0) / own[labels != k].sum(axis=0)
                for k in np.unique(labels)
                if (labels != k).any()
            ]

    def _ratio(self, above: np.ndarray, below: np.ndarray) -> Curve:
        with np.errstate(divide="ignore", invalid="ignore"):
            value, error, _ = jackknife(lambda a, b: a / b, above, below, self.replica)
        return Curve(self.q_per_A, value, error)
