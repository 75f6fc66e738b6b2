"""Time and peak memory per frame of the whole contacts pass, beside bare decoding and beside peers.

    python -m benchmarks.analysis                   # 8 320 atoms, 100 Li
    python -m benchmarks.analysis --box large       # 56 002 atoms, 1 000 Li
    python -m benchmarks.analysis --only lmbmd --frames 10000

Every tool reads the same XTC file in a process of its own, on one thread, and is timed after a first call that
loads and compiles: the best of some repeats, in CPU time, which a busy machine disturbs less than wall time.
lmbmd does everything its contacts stage does: all RDFs to 10 Å, all contacts to 5 Å, files written. A peer that
gives one RDF is timed for that one. Peers: ``pip install solvation-analysis freud-analysis mdtraj``; one that is
not installed is left out.

The box is made here, without MD: rigid molecules with random orientations on a grid at the density of the liquid,
each Li⁺ two Å from an oxygen of an anion, everything jiggling from frame to frame.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

for _variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TBB_NUM_THREADS"):
    os.environ[_variable] = "1"

import numpy as np  # noqa: E402

from lmbmd.data.atoms import AtomTable, Role, SpeciesInfo  # noqa: E402

if TYPE_CHECKING:
    from lmbmd.trajectory.frames import Frames

BOXES = {
    "small": {"FSI": 100, "DME": 120, "TTE": 300},
    "large": {"FSI": 1000, "DME": 1200, "TTE": 1489},
}
SMILES = {"FSI": "O=S(=O)(F)[N-]S(=O)(=O)F", "DME": "COCCOC", "TTE": "FC(F)C(F)(F)COC(F)(F)C(F)F"}
ROLES: dict[str, Role] = {"FSI": "anion", "DME": "solvent", "TTE": "diluent"}
DENSITY_G_CM3 = 1.45
#: Donor elements of each species: every O, N and F is a site.
DONORS = ("O", "N", "F")


def molecule(name: str) -> tuple[list[str], np.ndarray, list[tuple[int, int]]]:
    """Elements, coordinates (Å) about the mass centre, and bonds of one molecule."""
    from rdkit import Chem
    from rdkit.Chem import rdDistGeom

    mol = Chem.AddHs(Chem.MolFromSmiles(SMILES[name]))
    rdDistGeom.EmbedMolecule(mol, randomSeed=7)
    xyz = mol.GetConformer().GetPositions()
    bonds = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx()) for b in mol.GetBonds()]
    return [a.GetSymbol() for a in mol.GetAtoms()], xyz - xyz.mean(axis=0), bonds


def make_box(folder: Path, counts: dict[str, int], n_frames: int, seed: int = 1) -> None:
    """Write ``box.gro``, ``box.xtc`` and ``atoms.parquet``."""
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile
    from rdkit.Chem import GetPeriodicTable
    from scipy.spatial.transform import Rotation

    rng = np.random.default_rng(seed)
    shapes = {name: molecule(name) for name in counts}
    masses = {e: GetPeriodicTable().GetAtomicWeight(e) for e in ("Li", "H", "C", "N", "O", "F", "S")}
    n_li = counts["FSI"]
    mass = n_li * masses["Li"] + sum(n * sum(masses[e] for e in shapes[s][0]) for s, n in counts.items())
    edge = (mass / (0.602214076 * DENSITY_G_CM3)) ** (1 / 3)

    n_side = int(np.ceil(sum(counts.values()) ** (1 / 3)))
    grid = np.stack(np.meshgrid(*[np.arange(n_side)] * 3, indexing="ij"), -1).reshape(-1, 3) * (edge / n_side)
    places = iter(rng.permutation(grid))
    li, rest, residue = [], [], []
    for name, n in counts.items():
        elements, shape, _ = shapes[name]
        oxygen = elements.index("O")
        for _ in range(n):
            here = next(places) + Rotation.random(random_state=rng).apply(shape)
            rest.append(here)
            residue.append(name)
            if name == "FSI":
                outward = here[oxygen] - here.mean(axis=0)
                li.append(here[oxygen] + 2.0 * outward / np.linalg.norm(outward))
    parts = [*(x[None] for x in li), *rest]
    names = ["Li"] * n_li + residue
    of_part = np.repeat(np.arange(len(parts)), [len(p) for p in parts])
    start = np.concatenate(parts)
    with XTCFile(str(folder / "box.xtc"), "w") as file:
        for i in range(n_frames):
            moved = start + 0.3 * rng.normal(size=(len(parts), 3))[of_part] + 0.05 * rng.normal(size=start.shape)
            file.write(
                (moved % edge / 10).astype(np.float32), np.eye(3, dtype=np.float32) * edge / 10, i, 1.0 * i, 1000
            )
    _write_identity(folder, names, shapes, masses, start % edge, edge)


def frames_of(folder: Path, atoms: AtomTable, stop: int | None = None) -> Frames:
    """The frames of such a box. Its molecules lie over one another, which ``read_frames`` refuses."""
    from lmbmd.trajectory.frames import opened, timed

    frames = timed(opened(folder / "box.xtc", atoms), 1.0, True)
    return frames if stop is None else frames.part(0, stop)


def _write_identity(folder, names, shapes, masses, positions, edge) -> None:
    """The topology for the peers and the atom table for lmbmd."""
    import MDAnalysis as mda

    elements = [["Li"] if n == "Li" else shapes[n][0] for n in names]
    element = np.array([e for molecule_ in elements for e in molecule_])
    of_molecule = np.repeat(np.arange(len(names)), [len(e) for e in elements])
    species = ["Li", *shapes]
    species_of = np.array([species.index(n) for n in names])[of_molecule]
    site_names = [f"{n}:{d}" for n in shapes for d in DONORS if d in shapes[n][0]]
    labels = [f"{species[s]}:{e}" for s, e in zip(species_of, element, strict=True)]
    site = np.array([site_names.index(label) if label in site_names else -1 for label in labels])
    roles = [SpeciesInfo("Li", "cation", 1)] + [SpeciesInfo(n, ROLES[n], -(n == "FSI")) for n in shapes]
    AtomTable(
        tuple(roles),
        tuple(site_names),
        species_of.astype(np.int32),
        of_molecule.astype(np.int32),
        site.astype(np.int32),
        element,
        element,
        np.array([masses[e] for e in element]),
        np.zeros(len(element)),
    ).write(folder / "atoms.parquet")
    u = mda.Universe.empty(
        len(element),
        n_residues=len(names),
        atom_resindex=of_molecule,
        residue_segindex=[0] * len(names),
        trajectory=True,
    )
    u.add_TopologyAttr("name", element)
    u.add_TopologyAttr("type", element)
    u.add_TopologyAttr("element", element)
    u.add_TopologyAttr("resname", [n.upper() for n in names])
    u.add_TopologyAttr("resid", np.arange(len(names)) + 1)
    u.atoms.positions = positions
    u.dimensions = [edge] * 3 + [90] * 3
    u.atoms.write(str(folder / "box.gro"))


# ---- the tools; each takes the folder and the number of frames and does its whole work


def decoding(folder: Path, stop: int) -> str:
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    with XTCFile(str(folder / "box.xtc")) as file:
        positions = np.empty((file.n_atoms, 3), np.float32)
        for _ in range(stop):
            file.read_direct_x(positions)
    return "reads positions, nothing else"


def lmbmd(folder: Path, stop: int) -> str:
    from lmbmd.analysis.scan.contacts import run_contacts

    atoms = AtomTable.read(folder / "atoms.parquet")
    frames = frames_of(folder, atoms, stop)
    contacts, rdf = run_contacts(frames, atoms, folder / "c.arrow", folder / "rdf.npz", progress=False)
    size = (folder / "c.arrow").stat().st_size / contacts.n_frames / 1024
    return f"{len(rdf.pairs)} RDFs to 10 Å, contacts to 5 Å, files ({size:.0f} KiB/frame)"


def solvation_analysis(folder: Path, stop: int) -> str:
    import MDAnalysis as mda
    from solvation_analysis.solute import Solute

    u = mda.Universe(str(folder / "box.gro"), str(folder / "box.xtc"))
    groups = {n: u.select_atoms(f"resname {n.upper()}") for n in SMILES}
    solute = Solute.from_atoms(
        u.select_atoms("resname LI"),
        groups,
        radii=dict.fromkeys(SMILES, 2.8),
        analysis_classes=["coordination", "pairing", "speciation", "residence", "networking"],
        networking_solvents="FSI",
    )
    solute.run(stop=stop)
    return "contacts at given radii, coordination, pairing, speciation, residence, networks; no RDF"


def _pair(folder: Path):
    import MDAnalysis as mda

    u = mda.Universe(str(folder / "box.gro"), str(folder / "box.xtc"))
    return u, u.select_atoms("resname LI"), u.select_atoms("resname FSI and name O")


def mdanalysis_interrdf(folder: Path, stop: int) -> str:
    from MDAnalysis.analysis.rdf import InterRDF

    _, li, oxygen = _pair(folder)
    InterRDF(li, oxygen, nbins=200, range=(0.0, 10.0)).run(stop=stop)
    return "one RDF to 10 Å"


def freud(folder: Path, stop: int) -> str:
    import freud as freud_

    freud_.parallel.set_num_threads(1)
    u, li, oxygen = _pair(folder)
    rdf = freud_.density.RDF(bins=200, r_max=10.0)
    for step in u.trajectory[:stop]:
        box = freud_.box.Box.from_matrix(step.triclinic_dimensions.T)
        rdf.compute((box, oxygen.positions), li.positions, reset=False)
    return "one RDF to 10 Å"


def mdtraj(folder: Path, stop: int) -> str:
    import itertools

    import mdtraj as mdtraj_

    top = mdtraj_.load_topology(str(folder / "box.gro"))
    li = [a.index for a in top.atoms if a.residue.name == "LI"]
    oxygen = [a.index for a in top.atoms if a.residue.name == "FSI" and a.name == "O"]
    pairs = np.array(list(itertools.product(li, oxygen)))
    left = stop
    for chunk in mdtraj_.iterload(str(folder / "box.xtc"), top=top, chunk=min(50, stop)):
        mdtraj_.compute_rdf(chunk[:left], pairs, r_range=(0.0, 1.0), n_bins=200)
        left -= len(chunk)
        if left <= 0:
            break
    return "one RDF to 10 Å"


TOOLS = (decoding, lmbmd, solvation_analysis, mdanalysis_interrdf, freud, mdtraj)


def measure(tool: str, folder: Path, frames: int, repeats: int) -> dict:
    """Time one tool in this process, after a first call on few frames."""
    import warnings

    warnings.filterwarnings("ignore")
    work = next(t for t in TOOLS if t.__name__ == tool)
    began = time.perf_counter()
    work(folder, 20)
    first = time.perf_counter() - began
    best = np.inf
    for _ in range(repeats):
        began = time.process_time()
        what = work(folder, frames)
        best = min(best, time.process_time() - began)
    return {
        "tool": tool,
        "ms_per_frame": 1e3 * best / frames,
        "first_call_s": first,
        "peak_MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "what": what,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--box", choices=BOXES, default="small")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", choices=[t.__name__ for t in TOOLS], action="append")
    parser.add_argument("--measure", nargs=2, metavar=("TOOL", "FOLDER"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.measure:
        print(json.dumps(measure(args.measure[0], Path(args.measure[1]), args.frames, args.repeats)))
        return
    with tempfile.TemporaryDirectory() as name:
        make_box(Path(name), BOXES[args.box], args.frames)
        n_atoms = len(AtomTable.read(Path(name) / "atoms.parquet"))
        print(f"{n_atoms} atoms, {BOXES[args.box]['FSI']} Li, {args.frames} frames, one thread\n")
        print("| tool | ms/frame | of decoding | of lmbmd | peak MiB | first call s | what it does |")
        print("|---|---|---|---|---|---|---|")
        results = []
        for tool in args.only or [t.__name__ for t in TOOLS]:
            command = [sys.executable, __file__, "--frames", str(args.frames)]
            command += ["--repeats", str(args.repeats), "--measure", tool, name]
            run = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
            if run.returncode:
                print(f"| {tool} | – | – | – | – | – | {(run.stderr.strip().splitlines() or ['failed'])[-1]} |")
                continue
            results.append(json.loads(run.stdout.splitlines()[-1]))
        time_of = {r["tool"]: r["ms_per_frame"] for r in results}
        for r in results:
            ratios = [
                f"{r['ms_per_frame'] / time_of[base]:.2f}" if base in time_of else "–" for base in ("decoding", "lmbmd")
            ]
            print(
                f"| {r['tool']} | {r['ms_per_frame']:.2f} | {' | '.join(ratios)} | {r['peak_MiB']:.0f} | "
                f"{r['first_call_s']:.1f} | {r['what']} |"
            )


if __name__ == "__main__":
    main()
