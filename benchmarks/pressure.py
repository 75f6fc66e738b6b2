"""What a longer interval between pressure tensors does to the viscosity: the integral of their autocorrelation.

    python -m benchmarks.pressure --formulation lifsi-dme [--engine gromacs] [--threads 2] [--ps 400]

One box, built, equilibrated briefly, and one transport segment of it with a tensor each time step (which costs GROMACS
little; it needs ``gmx``). The integral of the autocorrelation up to 1.2 ps is taken by the trapezoidal rule, as
``lmbmd.numbers.sequences.series`` does, with every row, and with rows further apart: each fifth, tenth, … of OpenMM's,
means of as many of GROMACS'. The excess over that of every row is the error of the interval alone; its own error is
that of eight parts of the segment.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from benchmarks import throughput
from lmbmd.analysis.dynamics.coefficients import deviators
from lmbmd.analysis.dynamics.segments import PressureSeries
from lmbmd.simulate.engines.platform import cores
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import PRESSURE, Transport, load_spec
from lmbmd.simulate.run import simulate

#: The integral goes up to here, ps; its rows are so many time steps apart; parts of the segment for the error.
END_PS, STRIDES, PARTS = 1.2, (1, 5, 10, 20, 30, 50), 8


def main() -> None:
    parser = throughput.arguments(__doc__, threads=cores())
    parser.add_argument("--engine", default="gromacs")
    parser.set_defaults(ps=400.0)
    options = parser.parse_args()
    chosen = PlatformOptions(engine=options.engine, threads=options.threads)
    with tempfile.TemporaryDirectory(prefix="lmbmd-pressure-") as text:
        log = segment(Path(text), options, chosen)
    parts = np.array_split(deviators(log.tensor_bar), PARTS)
    seldom = averaged if options.engine == "gromacs" else sampled
    whole = np.array([[integral(seldom(part, n), n * log.interval_ps) for n in STRIDES] for part in parts])
    ratio = whole.mean(0) / whole[:, 0].mean()
    # Leaving one part out at a time: numerator and denominator are of the same noise.
    others = np.array([np.delete(whole, k, axis=0).mean(0) for k in range(PARTS)])
    error = np.sqrt((PARTS - 1) * np.var(others / others[:, :1], axis=0))
    for stride, value, spread in zip(STRIDES, ratio, error, strict=True):
        print(f"a row each {stride * log.interval_ps:.3f} ps: {100 * (value - 1):+6.1f} ± {100 * spread:.1f} %")


def segment(folder: Path, options: argparse.Namespace, chosen: PlatformOptions) -> PressureSeries:
    """The log of a segment with a tensor each step."""
    run = throughput.prepared_run(folder / "production", options, chosen)
    run.go_on(20.0)
    at = folder / "segment"
    at.mkdir()
    for name in ("system.xml", "atoms.parquet"):
        shutil.copy(run.folder / name, at)
    shutil.copy(run.folder / "out" / "final.pdb", at / "start.pdb")
    spec = load_spec(run.folder / "spec.json")
    dynamics = Transport(pressure_interval_ps=spec.time_ps(1)).dynamics
    length_ns = options.ps / 1000
    spec = spec.model_copy(update={"dynamics": dynamics, "production_ns": length_ns})
    (at / "spec.json").write_text(json.dumps(spec.to_dict()), encoding="utf-8")
    simulate(*(at / name for name in ("spec.json", "system.xml", "start.pdb", "work", "out")), platform=chosen)
    print(f"{run.n_atoms} atoms, {options.ps:g} ps")
    return PressureSeries.read(at / "out" / PRESSURE)


def sampled(values: np.ndarray, stride: int) -> np.ndarray:
    """Every so many rows, as OpenMM's log has them."""
    return values[::stride]


def averaged(values: np.ndarray, stride: int) -> np.ndarray:
    """Means of so many rows, as GROMACS' log has them."""
    n = len(values) // stride
    return values[: n * stride].reshape(n, stride, -1).mean(1)


def integral(values: np.ndarray, interval_ps: float) -> float:
    """∫₀^END <p(0) p(t)> dt, mean over components, by the trapezoidal rule."""
    lags = np.arange(round(END_PS / interval_ps) + 1)
    memory = [float(np.mean(values[: len(values) - lag] * values[lag:])) for lag in lags]
    return float(np.trapezoid(memory, dx=interval_ps))


if __name__ == "__main__":
    main()
