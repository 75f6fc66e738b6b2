"""Radial distribution functions of one run, and their file."""

from __future__ import annotations

import os
import struct
import tokenize
import zipfile
import zlib
from dataclasses import dataclass

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import replacing, told

#: What reading a damaged archive of arrays may raise; each array has a checksum of its own there.
DAMAGE = (
    OSError,
    ValueError,
    KeyError,
    TypeError,
    EOFError,
    NotImplementedError,
    MemoryError,
    OverflowError,
    SyntaxError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)


@dataclass(frozen=True, eq=False)
class Rdf:
    """Radial distribution functions of one run, kept in blocks of consecutive frames for error bars.

    Attributes:
        edges_A: (n_bins + 1,) bin edges.
        pairs: (centre, partner) labels. A centre is a species; a partner is a site (``"FSI:O"``), or a
            species by its molecules' mass centres (``"FSI"``); for a monatomic species that is the ion.
        g: (n_blocks, n_pairs, n_bins) g(r), normalised inside each frame with that frame's volume.
        count: (n_blocks, n_pairs, n_bins) mean number of partners per centre in each bin; its running
            sum over bins is the coordination number CN(r).
        frames: (n_blocks,) frames in each block.
        reach_A: radius up to which every frame was fully sampled (half the smallest box width, at most).
    """

    edges_A: np.ndarray
    pairs: tuple[tuple[str, str], ...]
    g: np.ndarray
    count: np.ndarray
    frames: np.ndarray
    reach_A: float

    @property
    def r_A(self) -> np.ndarray:
        """Bin centres in Å."""
        return 0.5 * (self.edges_A[1:] + self.edges_A[:-1])

    def pair(self, centre: str, partner: str) -> int:
        """Index of a pair."""
        return self.pairs.index((centre, partner))

    def mean(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        """g(r) and running CN(r) of pair ``i``, averaged over all frames. CN is at the bins' upper edges."""
        weights = self.frames / self.frames.sum()
        return weights @ self.g[:, i], np.cumsum(weights @ self.count[:, i])

    def write(self, path: str | os.PathLike[str]) -> None:
        with replacing(path) as partial, open(partial, "wb") as handle:
            np.savez_compressed(
                handle,
                edges_A=self.edges_A,
                pairs=np.array(self.pairs, dtype=str).reshape(-1, 2),
                g=self.g,
                count=self.count,
                frames=self.frames,
                reach_A=self.reach_A,
            )

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Rdf:
        try:
            with np.load(path, allow_pickle=False) as data:
                pairs = tuple((str(a), str(b)) for a, b in data["pairs"])
                edges, g, count, frames = (np.asarray(data[name]) for name in ("edges_A", "g", "count", "frames"))
                reach_A = float(data["reach_A"])
            if g.shape != (len(frames), len(pairs), len(edges) - 1) or count.shape != g.shape:
                raise ValueError("its arrays do not fit each other")
        except DAMAGE as error:
            raise LmbmdError(
                f"this is no RDF file, or a damaged one ({told(error)}).",
                where=str(path),
                remedy="Run the contacts stage again.",
            ) from error
        return cls(edges, pairs, g, count, frames, reach_A)
