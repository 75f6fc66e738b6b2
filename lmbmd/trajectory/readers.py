"""MDAnalysis' readers where they would stumble (a DCD header of no steps), or write files beside the user's."""

from __future__ import annotations

from typing import Any

from MDAnalysis.coordinates.DCD import DCDReader
from MDAnalysis.coordinates.TRR import TRRReader
from MDAnalysis.coordinates.XTC import XTCReader


class _OneStep:
    """A DCD file whose header says one step where it says none."""

    def __init__(self, file: Any) -> None:
        self._file = file

    @property
    def header(self) -> dict[str, Any]:
        """The header, with at least one step between frames."""
        header: dict[str, Any] = self._file.header
        return header | {"nsavc": header["nsavc"] or 1}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


class DcdWithoutSteps(DCDReader):
    """MDAnalysis' reader divides by the steps between frames for a time that nobody asks for."""

    format = "DCD_WITHOUT_STEPS"
    _file: Any

    def _frame_to_ts(self, frame: Any, ts: Any) -> Any:
        file, self._file = self._file, _OneStep(self._file)
        try:
            return super()._frame_to_ts(frame, ts)
        finally:
            self._file = file


class QuietXtc(XTCReader):
    """Finds its frames without leaving an index and a lock file beside the trajectory."""

    def _load_offsets(self) -> None:
        self._read_offsets(store=False)


class QuietTrr(TRRReader):
    """Finds its frames without leaving an index and a lock file beside the trajectory."""

    def _load_offsets(self) -> None:
        self._read_offsets(store=False)
