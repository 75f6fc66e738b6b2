"""A few whole frames of a run, kept beside its contacts, so that shells can be cut out when the trajectory is gone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import replacing
from lmbmd.core.provenance import file_sha256
from lmbmd.data.contacts import ContactFile
from lmbmd.data.frames import Frame
from lmbmd.trajectory import xtc
from lmbmd.trajectory.frames import Frames
from lmbmd.trajectory.parts import Joined

#: The file's name, beside the contact table.
SAMPLE = "sample.xtc"
#: At most so many frames are kept: 50 frames of 20,000 atoms are 4 MB.
MOST_FRAMES = 50


def write_sample(frames: Frames | Joined, path: Path) -> None:
    """Keep frames spread evenly over a trajectory, the first and the last among them.

    Args:
        frames: of the whole run, in the order of the atom table.
        path: an XTC file; each frame's step is its number in the trajectory, coordinates are to 0.01 Å.
    """
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    chosen = np.unique(np.linspace(0, len(frames) - 1, MOST_FRAMES).round().astype(int))
    with replacing(path) as partial, XTCFile(str(partial), "w") as out:
        for k in chosen.tolist():
            frame = next(iter(frames.part(k, k + 1)))
            box = np.asarray(frame.box / 10.0, np.float32)
            out.write(frame.positions / np.float32(10.0), box, frame.index, frame.time_ps, 1000.0)


@dataclass(frozen=True)
class Sample:
    """The frames that were kept of a run, read when iterated; each has the number it has in the trajectory.

    Attributes:
        contacts: the contact table of the run, which the file lies beside.
        n_atoms: of each frame.

    Raises:
        LmbmdError: while iterating, if the file is damaged, has changed since it was written, or is of another box.
    """

    contacts: ContactFile
    n_atoms: int

    @property
    def path(self) -> Path:
        return self.contacts.path.with_name(SAMPLE)

    def __iter__(self) -> Iterator[Frame]:
        known = self.contacts.beside.get(SAMPLE)
        if known and self.path.is_file() and known != file_sha256(self.path):
            raise LmbmdError(
                "these are not the frames that were kept with the contacts: changed or damaged since then.",
                where=str(self.path),
                remedy="Run the contacts stage again.",
            )
        n_atoms, starts = xtc.scan(self.path)
        if n_atoms != self.n_atoms:
            raise LmbmdError(
                f"its frames have {n_atoms} atoms, the atom table {self.n_atoms}.",
                where=str(self.path),
                remedy="Run the contacts stage again.",
            )
        for k, start in enumerate(starts.tolist()):
            frame = xtc.read(self.path, k, start, n_atoms)
            yield Frame(frame.step, frame.time_ps, frame.positions_A, frame.box_A)
