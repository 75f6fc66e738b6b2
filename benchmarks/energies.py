"""How long energies of drawn shells take.

    python benchmarks/energies.py results/BOTTLE/298.15K/r1/shells.json --shells 100 --workers 2

The largest shells of the file, each moved a little as often as it takes to have so many, are computed by GFN2-xTB in
vacuum in an empty folder: wall time, CPU time of all workers, and atoms.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from lmbmd.quantum.drawn import Drawn
from lmbmd.quantum.options import QuantumOptions
from lmbmd.quantum.run import compute


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--shells", type=int, default=100)
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    drawn, rng = Drawn.read(args.file), np.random.default_rng(1)
    large = sorted(drawn.shells, key=lambda shell: -len(shell.element))[: max(1, len(drawn.shells) // 4)]
    some = tuple(
        replace(one, name=str(k), xyz_A=one.xyz_A + rng.normal(0, 0.01, one.xyz_A.shape))
        for k in range(args.shells)
        for one in [large[k % len(large)]]
    )
    atoms = [len(shell.element) for shell in some]
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        found = compute(replace(drawn, shells=some), QuantumOptions(), folder, args.workers)
        wall = time.perf_counter() - begin
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    failed = sum("why_not" in each for shell in found.shells for each in shell["found"].values())
    print(f"{len(some)} shells of {np.mean(atoms):.0f} atoms ({min(atoms)} to {max(atoms)}), {args.workers} workers:")
    print(f"{wall:.0f} s, {used.ru_utime + used.ru_stime:.0f} s of CPU, {failed} without a result")


if __name__ == "__main__":
    main()
