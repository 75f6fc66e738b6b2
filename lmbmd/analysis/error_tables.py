"""How the error bars came about: replica by replica, and as the run gets longer. Theory: docs/theory/statistics.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from lmbmd.numbers.doubt import entry
from lmbmd.numbers.estimate import estimate_mean

#: Lengths of run, evenly spaced up to the whole, at which a mean is told again.
RUNNING_POINTS = 20


def error_tables(series: Mapping[str, Sequence[np.ndarray]], time_ps: Sequence[np.ndarray]) -> dict[str, pd.DataFrame]:
    """The tables ``errors`` and ``running`` of the quantities that are watched over time.

    Args:
        series: quantity → one array per replica, an entry per frame.
        time_ps: time of each frame, one array per replica.

    Returns:
        errors: quantity, replica (0: all together), value, error, doubt, n_effective, source (of the error, see
            ``Estimate``), frames. The mean of one replica has an error from that replica alone.
        running: quantity, time_ps, value, error, doubt: the mean of all replicas had each been stopped at that time
            after its first frame.
    """
    errors, running = [], []
    length = max(t[-1] - t[0] for t in time_ps)
    for quantity, runs in series.items():
        together = [(0, runs), *((k, [run]) for k, run in enumerate(runs, start=1))]
        for replica, chosen in together[: 1 if len(runs) == 1 else None]:
            frames = sum(int(np.isfinite(run).sum()) for run in chosen)
            mean = estimate_mean(chosen)
            errors.append((quantity, replica, *entry(mean), mean.n_effective, mean.source, frames))
        for part in np.linspace(0, length, RUNNING_POINTS + 1)[1:]:
            stopped = [run[t - t[0] <= part + 1e-6] for run, t in zip(runs, time_ps, strict=True)]
            running.append((quantity, part, *entry(estimate_mean(stopped))))
    columns = ["quantity", "replica", "value", "error", "doubt", "n_effective", "source", "frames"]
    return {
        "errors": pd.DataFrame(errors, columns=columns),
        "running": pd.DataFrame(running, columns=["quantity", "time_ps", "value", "error", "doubt"]),
    }
