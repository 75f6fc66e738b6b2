"""Time of scattering per frame, beside dynasor on the same frames and wave vectors, and how far the two curves differ.

    python -m benchmarks.scattering                # 5 080 atoms, constant volume
    python -m benchmarks.scattering --frames 40 --scale 4

Everything runs in this process on one thread, in CPU time, after a first frame that compiles. lmbmd makes X-ray,
neutron and centre–centre intensities of all pairs of parts (species and cluster class); dynasor (``pip install
dynasor``) the partial structure factors of all pairs of elements, which are then weighted with the same form factors
and lengths. Without dynasor only lmbmd is timed.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TBB_NUM_THREADS"):
    os.environ[_variable] = "1"

import numpy as np  # noqa: E402

from benchmarks.analysis import frames_of, make_box  # noqa: E402

COUNTS = {"FSI": 60, "DME": 72, "TTE": 184}


def main() -> None:
    from lmbmd.analysis.scattering.curves import Curves
    from lmbmd.analysis.scattering.options import ScatteringOptions
    from lmbmd.analysis.scattering.sums import Scattering
    from lmbmd.data.atoms import AtomTable

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=10)
    parser.add_argument("--scale", type=int, default=1, help="so many times as large a box")
    parser.add_argument("--most", type=int, help="wave vectors per bin; by default all of them")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_box(folder, {s: n * options.scale for s, n in COUNTS.items()}, options.frames + 1)
        atoms = AtomTable.read(folder / "atoms.parquet")
        frames = list(frames_of(folder, atoms))[1:]
        chosen = ScatteringOptions(vectors_per_bin=options.most or 10**9)
        rng = np.random.default_rng(1)
        ions = np.array([s.charge != 0 for s in atoms.species])[atoms.unit_species]
        classes = np.where(ions, rng.integers(1, 4, atoms.n_units), 0)

        def ours(some) -> Curves:
            fold = Scattering(atoms, "Li", len(some), chosen)
            for frame in some:
                fold.add(frame, classes)
            return Curves([fold.result()])

        ours(frames[:1])
        before = time.process_time()
        curves = ours(frames)
        took = (time.process_time() - before) / len(frames)
        vectors = int(curves.vectors.sum() / len(frames))
        print(f"lmbmd    {took * 1000:7.1f} ms of CPU per frame: {len(atoms)} atoms, {vectors} pairs of wave vectors")
        if options.most is None:
            beside(folder, atoms, frames, curves)


def beside(folder: Path, atoms, frames, curves) -> None:
    """The same by dynasor, for the volume of the first frame, which all have."""
    try:
        from dynasor import Trajectory, compute_static_structure_factors
        from dynasor.logging_tools import set_logging_level
        from dynasor.qpoints import get_spherical_qpoints
    except ImportError:
        print("dynasor  not installed")
        return
    from lmbmd.analysis.scattering.lengths import form_factor, neutron_length_fm, xray_kinds

    set_logging_level("ERROR")
    kinds = xray_kinds(atoms)
    of_kind = {str(kind): np.flatnonzero(kinds == kind).tolist() for kind in dict.fromkeys(kinds)}

    def opened(first: int, last: int) -> Trajectory:
        return Trajectory(str(folder / "box.xtc"), "XTC", of_kind, None, None, first, last)

    points = get_spherical_qpoints(opened(0, 2).cell, q_max=2.5 - 1e-9)
    points = points[np.linalg.norm(points, axis=1) > 0]

    def theirs(first: int, last: int):
        return compute_static_structure_factors(opened(first, last), points, logging_interval=10**6)

    theirs(0, 1)
    before = time.process_time()
    sample = theirs(1, len(frames) + 1)
    took = (time.process_time() - before) / len(frames)
    print(f"dynasor  {took * 1000:7.1f} ms of CPU per frame: {len(of_kind)} kinds of atoms, {len(points)} wave vectors")
    q = np.linalg.norm(sample.q_points, axis=1)
    bins = (q / 0.02).astype(int)
    of_bin = lambda x: np.bincount(bins, weights=x, minlength=125)  # noqa: E731
    for weight in ("xray", "neutron"):
        of = {
            kind: form_factor(kind, q) if weight == "xray" else neutron_length_fm(kind.rstrip("1+")) + 0 * q
            for kind in of_kind
        }
        total = sum(sample[f"Sq_{a}_{b}"][:, 0] * of[a] * of[b] for a, b in sample.pairs)
        own = sum(len(of_kind[kind]) / len(atoms) * of[kind] ** 2 for kind in of_kind)
        structure = curves.structure(weight)
        expected = (of_bin(total) / np.maximum(of_bin(own), 1e-30))[curves.filled]
        print(
            f"         largest difference of S(q), {weight}: {np.abs(structure.value / expected - 1).max():.1e} of it"
        )


if __name__ == "__main__":
    main()
