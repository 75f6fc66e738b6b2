"""Time of the analysis of motion: 2,000 frames of 1,000 ions, beside peers; and what it adds to the contacts pass.

    python -m benchmarks.motion                # 500 Li, 500 FSI, 600 DME
    python -m benchmarks.motion --frames 500

Everything runs in this process on one thread, in CPU time. lmbmd reads a contact table from a file, unwraps, and makes
all descriptors and tables of motion. A peer is given mass centres that are unwrapped already, of one species, and makes
one mean squared displacement (MDAnalysis' EinsteinMSD; its FFT needs ``pip install tidynamics``) or one coefficient of
diffusion (kinisi); one that is not installed is left out.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for _variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TBB_NUM_THREADS"):
    os.environ[_variable] = "1"

import numpy as np  # noqa: E402

from benchmarks.analysis import frames_of, make_box  # noqa: E402

COUNTS = {"FSI": 500, "DME": 600}
#: Å along each axis and frame.
STEP_A = 0.4


def timed(what: str, work: Callable[[], str]) -> float:
    """CPU time of some work, said; what is not installed is said instead."""
    before = time.process_time()
    try:
        said = work()
    except ImportError as error:
        print(f"{what:34s} not installed: {error.name}")
        return float("nan")
    took = time.process_time() - before
    print(f"{what:34s} {took:8.2f} s   {said}", flush=True)
    return took


def walking(one, atoms, n_frames: int):
    """A frame's contacts, again and again, while all mass centres walk; and their paths."""
    rng = np.random.default_rng(1)
    path = np.zeros((n_frames, atoms.n_molecules, 3), np.float32)
    np.cumsum(STEP_A * rng.normal(size=(n_frames - 1, *path.shape[1:])), axis=0, out=path[1:], dtype=np.float32)
    return path, (one.unit + moved for moved in path)


def write_table(file: Path, one, atoms, mass_centres) -> None:
    """A contact table with these mass centres."""
    from lmbmd.data.contacts import contact_batch, writing_contacts

    molecule = atoms.molecule[one.atom]
    image = np.rint((one.edge - one.unit[molecule] + one.centre[one.row]) @ np.linalg.inv(one.box))
    with writing_contacts(file, {"search_radius_A": 5.0}, atoms.first_atom) as writer:
        for i, place in enumerate(mass_centres):
            place = place.astype(np.float32)
            writer.write(
                contact_batch(
                    [
                        {
                            "index": i,
                            "time_ps": float(i),
                            "box": one.box,
                            "count": np.diff(one.offsets),
                            "atom": one.atom,
                            "distance": one.distance,
                            "image": image,
                            "centre": place[atoms.molecule[atoms.centres]],
                            "molecule": place,
                            "dipole": one.dipole,
                        }
                    ]
                )
            )


def motion(table, atoms, n_frames: int) -> str:
    """From a contact table to the account."""
    from lmbmd.analysis.clusters.ions import ions_of
    from lmbmd.analysis.dynamics.lifetimes import Exchanges
    from lmbmd.analysis.dynamics.lifetimes_account import exchange_times
    from lmbmd.analysis.dynamics.motion import MOST_TIMES, Motion
    from lmbmd.analysis.dynamics.motion_account import motion_account
    from lmbmd.analysis.dynamics.moved import moved
    from lmbmd.analysis.dynamics.segments import Segment
    from lmbmd.analysis.first_shell import FirstShell

    fold, stays, ions = Motion(atoms, "Li", -(-n_frames // MOST_TIMES)), Exchanges(atoms), ions_of(atoms)
    for full in table:
        shell = FirstShell(full.within(2.8), atoms, ions)
        fold.add(shell)
        stays.add(shell)
    found = moved(fold.result(), atoms, "Li", Segment(table, 1, 300.0, "NVT", "", 0.0))
    said = motion_account([found], atoms, "Li", exchange_times([stays.result()], atoms))
    return f"{len(said.rows)} numbers of {len(atoms.species)} species, {n_frames} frames"


def main() -> None:
    from lmbmd.analysis.scan.contacts import run_contacts
    from lmbmd.data.atoms import AtomTable
    from lmbmd.data.contacts import ContactFile

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=2000)
    n_frames = parser.parse_args().frames
    with tempfile.TemporaryDirectory() as scratch:
        folder, few = Path(scratch), 40
        make_box(folder, COUNTS, few)
        atoms = AtomTable.read(folder / "atoms.parquet")
        search = lambda stop: run_contacts(  # noqa: E731
            frames_of(folder, atoms, stop), atoms, folder / "c", folder / "r", progress=False
        )
        one = next(iter(search(2)[0]))
        path, places = walking(one, atoms, n_frames)
        write_table(folder / "walk.arrow", one, atoms, places)
        print(f"{len(atoms)} atoms, {atoms.n_molecules} molecules, {2 * COUNTS['FSI']} ions")

        def contacts() -> str:
            search(few)
            return f"{few} frames"

        def reading() -> str:
            return f"reading the table alone, {sum(1 for _ in ContactFile(folder / 'walk.arrow'))} frames"

        motion(list(ContactFile(folder / "walk.arrow"))[:20], atoms, 20)
        per_frame = timed("contacts pass", contacts) / few
        read = timed("contact table", reading)
        took = timed("motion", lambda: motion(ContactFile(folder / "walk.arrow"), atoms, n_frames))
        share = (took - read) / n_frames / per_frame
        print(f"motion adds {100 * share:.1f} % to the contacts pass ({1e3 * per_frame:.1f} ms a frame)")
        of_li = path[:, atoms.molecule_species == 0]
        timed("MDAnalysis EinsteinMSD, by FFT", lambda: einstein(of_li, is_fast=True))
        timed("MDAnalysis EinsteinMSD, direct", lambda: einstein(of_li, is_fast=False))
        timed("kinisi", lambda: kinisi(of_li))


def einstein(path: np.ndarray, is_fast: bool) -> str:
    import MDAnalysis as mda
    from MDAnalysis.analysis.msd import EinsteinMSD

    if is_fast:
        import tidynamics  # noqa: F401

    universe = mda.Universe.empty(path.shape[1], trajectory=True)
    universe.load_new(path)
    EinsteinMSD(universe, fft=is_fast).run()
    return f"one curve, {path.shape[1]} particles, {len(path)} frames"


def kinisi(path: np.ndarray) -> str:
    import MDAnalysis as mda
    import scipp as sc
    from kinisi.analyze import DiffusionAnalyzer

    universe = mda.Universe.empty(path.shape[1], trajectory=True)
    universe.add_TopologyAttr("type", ["Li"] * path.shape[1])
    universe.load_new(path, dimensions=np.array([1e4] * 3 + [90.0] * 3))
    lags = sc.array(dims=["time interval"], values=np.unique(np.geomspace(1, len(path) // 2, 40).astype(int)) * 1.0)
    step = sc.scalar(1.0, unit="ps")
    one = DiffusionAnalyzer.from_universe(
        universe, specie="Li", time_step=step, step_skip=1 * sc.units.one, dt=lags * step
    )
    one.diffusion(start_dt=10 * step)
    return "one coefficient at 40 lags"


if __name__ == "__main__":
    main()
