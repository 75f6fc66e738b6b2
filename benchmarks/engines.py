"""The simulate stage with either engine, and a bare ``gmx mdrun``: ns/day of each and their ratios, in one run.

    python -m benchmarks.engines [--formulation NAME] [--atoms 2500] [--threads 2] [--ps 40] [--rounds 3]
    python -m benchmarks.engines --without-openmm --ps 400      # long enough for several checkpoints

    python -m benchmarks.engines --compare FOLDER FOLDER

Needs ``gmx``. One box, built once and equilibrated briefly by each engine; then in turn: a stretch of production by the
stage with OpenMM's CPU platform, the same with GROMACS, and ``gmx mdrun`` alone on the input that the stage had written
for it. Frames, rows and checkpoints are those of the study, in all three.

``--compare`` runs nothing: it takes two studies that are finished, alike but for ``platform: {engine: …}``, and prints
for every descriptor that both have how many of its standard errors lie between them.
"""

from __future__ import annotations

import argparse
import math
import re
import shutil
import statistics
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks import throughput
from lmbmd.box.pdb import read_pdb
from lmbmd.data.atoms import AtomTable
from lmbmd.data.systemxml import read_system
from lmbmd.simulate import checkpoint
from lmbmd.simulate.engines import gmx, mdrun
from lmbmd.simulate.engines.platform import cores
from lmbmd.simulate.options import PlatformOptions
from lmbmd.simulate.protocol import load_spec

_PS_PER_DAY = 86.4  # ns/day times seconds per ps


def main() -> None:
    parser = throughput.arguments(__doc__, threads=cores())
    parser.add_argument("--checkpoint-s", type=float, default=60.0)
    parser.add_argument("--atoms", type=int, default=0, help="repeat the box until it has about so many")
    parser.add_argument("--without-openmm", action="store_true")
    parser.add_argument("--compare", type=Path, nargs=2, metavar="FOLDER")
    options = parser.parse_args()
    if options.compare:
        compare(*options.compare)
        return
    if not shutil.which("gmx"):
        parser.exit(1, "gmx is not installed (Debian: gromacs)\n")
    with tempfile.TemporaryDirectory(prefix="lmbmd-engines-") as text:
        rounds = time_all(Path(text), options)
    # Whatever else the machine does can only slow a round down, so the quickest of each is the fairest comparison.
    with_openmm, with_gromacs, bare = (max(column) for column in zip(*rounds, strict=True))
    ratio, share = (statistics.median(pair) for pair in zip(*((g / o, g / b) for o, g, b in rounds), strict=True))
    if not options.without_openmm:
        quickest = with_gromacs / with_openmm
        print(f"GROMACS / OpenMM's CPU platform, both in the stage: {quickest:.2f} (median {ratio:.2f})")
    print(f"GROMACS in the stage / bare gmx mdrun: {with_gromacs / bare:.3f} (median {share:.3f})")


# ---- speed


def time_all(folder: Path, options: argparse.Namespace) -> list[tuple[float, float, float]]:
    """ns/day of the stage with OpenMM, of the stage with GROMACS, and of mdrun alone, for every round."""
    usual = {"threads": options.threads, "checkpoint_interval_s": options.checkpoint_s}
    chosen = {
        "openmm": PlatformOptions(engine="openmm", name="CPU", **usual),
        "gromacs": PlatformOptions(engine="gromacs", **usual),
    }
    first = throughput.prepared_run(folder / "gromacs", options, chosen["gromacs"])
    runs = {"gromacs": first}
    if not options.without_openmm:
        shutil.copytree(folder / "gromacs", folder / "openmm")
        runs = {"openmm": throughput.Run(folder / "openmm", first.spec, chosen["openmm"]), **runs}
    lengths_ps = dict.fromkeys(runs, options.ps)
    for name, run in runs.items():  # also equilibrates
        run.go_on(lengths_ps[name])
    print(f"{runs['gromacs'].n_atoms} atoms, {options.threads} threads, GROMACS {gmx.gromacs().version}", flush=True)
    rounds = []
    for _ in range(options.rounds):
        speeds = []
        for name, run in runs.items():
            lengths_ps[name] += options.ps
            speeds.append(_PS_PER_DAY * options.ps / run.go_on(lengths_ps[name]))
        speeds = [math.nan] * (2 - len(speeds)) + speeds
        speeds.append(alone(folder / "gromacs", options, chosen["gromacs"]))
        rounds.append((speeds[0], speeds[1], speeds[2]))
        print("OpenMM {:8.2f}   GROMACS {:8.2f}   bare mdrun {:8.2f} ns/day".format(*rounds[-1]), flush=True)
    return rounds


def alone(folder: Path, options: argparse.Namespace, chosen: PlatformOptions) -> float:
    """ns/day that ``gmx mdrun`` itself says it made, on the input that the stage writes, from its last state."""
    spec = load_spec(folder / "spec.json")
    system = read_system(folder / "system.xml")
    start = read_pdb((folder / "start.pdb").read_text("utf-8"), where="start.pdb")
    described = mdrun.described(system, AtomTable.read(folder / "atoms.parquet"), start, spec, folder / "system.xml")
    engine = mdrun.Engine(system, described, spec, chosen, "alone", folder / "alone")
    engine.restore(checkpoint.load(folder / "work" / checkpoint.CURRENT))
    engine.set_pace(spec.step_as)
    steps = spec.steps_in_ns(options.ps / 1000)
    temperatures = (spec.temperature_K, spec.temperature_K)
    engine.look_ahead(0, steps, temperatures_K=temperatures, rows=spec.state_steps, frames=spec.frame_steps)
    tpr = engine.write_input()
    threads = ["-ntmpi", "1", "-ntomp", str(options.threads), "-pin", "auto" if options.threads > 1 else "off"]
    gmx.call(tpr.parent, ["mdrun", "-s", tpr.name, "-deffnm", "alone", *threads])
    log = (tpr.parent / "alone.log").read_text("utf-8")
    engine.close()
    found = re.search(r"^Performance: +([\d.]+)", log, flags=re.MULTILINE)
    assert found, "no speed in GROMACS' log"
    return float(found[1])


# ---- the same numbers


def compare(one: Path, other: Path) -> None:
    """Every descriptor of two studies that has a value and an error in both, and how far they are apart."""
    keys = ["formulation", "temperature_K", "name", "species"]
    tables = [pd.read_parquet(folder / "results" / "features.parquet").set_index(keys) for folder in (one, other)]
    both = tables[0].join(tables[1], lsuffix="_1", rsuffix="_2", how="inner")
    both = both[np.isfinite(both[["value_1", "value_2", "error_1", "error_2"]]).all(axis=1)]
    both["sigma"] = (both.value_1 - both.value_2) / np.hypot(both.error_1, both.error_2)
    both = both[np.isfinite(both.sigma)]
    print(both[["value_1", "error_1", "value_2", "error_2", "sigma"]].to_string(float_format="{:.4g}".format))
    beyond = int((both.sigma.abs() > 2).sum())
    rms = math.sqrt((both.sigma**2).mean())
    print(f"{len(both)} descriptors; root mean square of difference/error {rms:.2f}; {beyond} beyond two errors")


if __name__ == "__main__":
    main()
