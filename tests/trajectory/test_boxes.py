"""A box that is told, or stated by one file, against what other files and the positions themselves say of it."""

from __future__ import annotations

import MDAnalysis as mda
import numpy as np
import pytest
from foreign_files import BOX, box, gro, lammps_data, pdb
from sheets import MAP, trajectory

from lmbmd.core.errors import LmbmdError
from lmbmd.trajectory import boxes
from lmbmd.trajectory.foreign import open_foreign

pytestmark = pytest.mark.filterwarnings("ignore")
SALT = """centre: Li
species:
  Li: {smiles: "[Li+]"}
  NO3: {smiles: "[O-][N+](=O)[O-]", role: anion, sites: {O: "O=N"}}
  MeOH: {smiles: CO, role: solvent, sites: {O: "[OX2H]"}}
frame_interval_ps: 1
"""
NAMED = """centre: LI
species:
  LI: {resname: LI}
  NO3: {resname: NO3, formula: NO3, role: anion, sites: {O: O}}
  MOH: {resname: MOH, formula: CH4O, role: solvent, sites: {O: O}}
frame_interval_ps: 1
"""


def edges(source, folder, text):
    """Edges of the frames' boxes, as a map of this text has them read."""
    (folder / "map.yaml").write_text(text, encoding="utf-8")
    return [frame.box.diagonal().round(3).tolist() for frame in open_foreign(source, folder / "map.yaml")[1]]


def xyz_of_box(path):
    """The box of ``foreign_files`` as a trajectory without a box."""
    rows, _ = box()
    lines = [f"{e} {x[0]:.4f} {x[1]:.4f} {x[2]:.4f}" for _, _, e, _, x in rows]
    path.write_text("\n".join([str(len(rows)), "no box", *lines, ""]), encoding="utf-8")
    return path


@pytest.mark.parametrize(("make", "text"), [(pdb, NAMED), (gro, NAMED), (lammps_data, SALT)])
def test_a_told_box_that_contradicts_that_of_the_topology_is_asked_about_with_both(tmp_path, make, text):
    topology = make(tmp_path / {pdb: "t.pdb", gro: "t.gro", lammps_data: "t.data"}[make])
    pair = topology, xyz_of_box(tmp_path / "t.xyz")
    for right in (BOX, BOX + 0.03):
        assert edges(pair, tmp_path, f"{text}box: [{right}, {right}, {right}]\n") == [[right] * 3]
    wrong = f"{text}box: [20, 20, 22]\n"
    with pytest.raises(
        LmbmdError, match=r"map\.yaml:box: .*t\.\w+ states a box of 20 × 20 × 20 Å, the species map 20 × 20 "
    ):
        edges(pair, tmp_path, wrong)
    assert edges(pair, tmp_path, f"{wrong}topology_box_is_wrong: true\n") == [[20, 20, 22]]
    with pytest.raises(LmbmdError, match=r"20 × 20 × 20 Å, .* 20 × 20 × 20 Å, 90°, 90°, 80°"):
        edges(pair, tmp_path, f"{text}box: [20, 20, 20, 90, 90, 80]\n")
    with pytest.raises(LmbmdError, match=r"topology_box_is_wrong: .*is not told.*'box:"):
        edges(pair, tmp_path, f"{text}topology_box_is_wrong: true\n")


def test_the_topology_of_a_universe_is_asked_too_and_one_without_a_box_says_nothing(tmp_path):
    path = xyz_of_box(tmp_path / "t.xyz")
    told = f"{NAMED}box: [22, 22, 22]\n"
    with pytest.raises(LmbmdError, match="states a box of 20 × 20 × 20 Å"):
        edges(mda.Universe(str(pdb(tmp_path / "t.pdb")), str(path)), tmp_path, told)
    text = (tmp_path / "t.pdb").read_text(encoding="utf-8").splitlines(keepends=True)
    for head in ("", "CRYST1    1.000    1.000    1.000  90.00  90.00  90.00 P 1           1\n"):
        (tmp_path / "t.pdb").write_text("".join([head, *text[1:]]), encoding="utf-8")
        assert edges((tmp_path / "t.pdb", path), tmp_path, told) == [[22, 22, 22]]


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ("[26, 26, 26]", "has a box of its own: 26 × 26 × 26 Å, as the species map says too"),
        ("[2.6, 2.6, 2.6]", r"26 × 26 × 26 Å, the species map 2\.6 × 2\.6 × 2\.6 Å \(is it in nm\? it must be in Å\)"),
        ("[260, 260, 260]", r"26 × 26 × 26 Å, the species map 260 × 260 × 260 Å \(ten times as long"),
        ("[26, 26, 30]", "26 × 26 × 26 Å, the species map 26 × 26 × 30 Å"),
    ],
)
def test_a_told_box_beside_that_of_the_trajectory_is_refused_with_both(tmp_path, told, says):
    with pytest.raises(LmbmdError, match=says):
        edges(trajectory(tmp_path, "t.xtc"), tmp_path, f"{MAP}box: {told}\n")


def liquid(n_per_edge=5, edge=20.0, seed=3):
    """Whole diatomic anions C–N on a shaken lattice, and two Li⁺, unwrapped: elements, residue numbers, positions."""
    rng = np.random.default_rng(seed)
    spacing = edge / n_per_edge
    grid = np.stack(np.meshgrid(*[np.arange(n_per_edge)] * 3, indexing="ij"), -1).reshape(-1, 3) * spacing
    grid = grid + rng.uniform(-0.3, 0.3, grid.shape)
    # Molecules have moved by whole edges, as in a trajectory that was never wrapped.
    return grid + edge * rng.integers(-2, 3, grid.shape)


def universe(at):
    """Cyanide, one lithium for each, in memory without a box."""
    n = len(at)
    u = mda.Universe.empty(
        3 * n, n_residues=2 * n, atom_resindex=[k for i in range(n) for k in (i, n + i, n + i)], trajectory=True
    )
    u.add_TopologyAttr("elements", ["Li", "C", "N"] * n)
    u.add_TopologyAttr("names", ["LI", "C1", "N1"] * n)
    u.add_TopologyAttr("resnames", ["LI"] * n + ["CYN"] * n)
    u.add_TopologyAttr("resids", range(1, 2 * n + 1))
    u.add_TopologyAttr("bonds", [(3 * i + 1, 3 * i + 2) for i in range(n)])
    positions = np.stack([at, at + np.array([2.0, 0, 0]), at + np.array([2.0, 1.15, 0])], axis=1).reshape(-1, 3)
    u.load_new(positions[None].astype(np.float32), dt=1.0)
    return u


CYANIDE = """centre: LI
species:
  LI: {resname: LI}
  CYN: {resname: CYN, formula: CN, role: anion, sites: {N: N}}
frame_interval_ps: 1
"""


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.1, 1.3])
def test_a_told_box_in_which_molecules_lie_over_one_another_is_not_that_of_the_run(tmp_path, factor):
    at = universe(liquid())
    assert edges(at, tmp_path, f"{CYANIDE}box: [20, 20, 20]\n") == [[20.0] * 3]
    with pytest.raises(LmbmdError, match=r"atoms are closer than 0\.9 Å to one of another molecule.*box of this run"):
        edges(at, tmp_path, f"{CYANIDE}box: {[20 * factor] * 3}\n")


def test_a_told_box_of_which_whole_molecules_fill_a_corner_is_questioned(tmp_path):
    said = r"all 375 atoms lie within 2\d\.\d × .* Å of a box of 200 × 200 × 200 Å.*another unit"
    with pytest.raises(LmbmdError, match=said):
        edges(universe(np.mod(liquid(), 20.0)), tmp_path, f"{CYANIDE}box: [200, 200, 200]\n")


@pytest.mark.parametrize("factor", [0.5, 0.8])
@pytest.mark.parametrize("suffix", ["xtc", "dcd", "trr"])
def test_a_box_of_its_own_in_which_molecules_lie_over_one_another_is_not_that_of_the_positions(
    tmp_path, factor, suffix
):
    at = universe(liquid())
    for scale, path in ((1.0, tmp_path / f"right.{suffix}"), (factor, tmp_path / f"wrong.{suffix}")):
        at.dimensions = [20 * scale] * 3 + [90] * 3
        at.atoms.write(str(path))
    at.load_new(str(tmp_path / f"right.{suffix}"))
    assert edges(at, tmp_path, CYANIDE) == [pytest.approx([20.0] * 3)]
    at.load_new(str(tmp_path / f"wrong.{suffix}"))
    with pytest.raises(LmbmdError, match=r"closer than 0\.9 Å to one of another molecule.*not that of its positions"):
        edges(at, tmp_path, CYANIDE)


def test_a_box_of_its_own_may_hold_molecules_placed_at_random(tmp_path):
    at = liquid()
    at[:2] = at[2:4] + 0.3  # 12 of 375 atoms, as in boxes made for a test
    u = universe(at)
    u.dimensions = [20.0] * 3 + [90] * 3
    u.atoms.write(str(tmp_path / "random.trr"))
    u.load_new(str(tmp_path / "random.trr"))
    assert edges(u, tmp_path, CYANIDE) == [pytest.approx([20.0] * 3)]


def test_clashes_are_found_over_the_boundary_of_an_oblique_box():
    from lmbmd.data.cell import with_images

    rng = np.random.default_rng(0)
    vectors = np.array([[20, 0, 0], [9, 18, 0], [-8, 7, 17.0]])
    points = rng.uniform(-2, 3, (400, 3))
    steps = np.array(list(np.ndindex(5, 5, 5))) - 2
    apart = points[:, None] - points[None]
    apart = (apart - np.rint(apart))[:, :, None] + steps
    naive = np.linalg.norm(apart @ vectors, axis=-1).min(-1)
    cloud, owner = with_images(points - np.floor(points), 0.9 / boxes.Cell(vectors).widths_A)
    from scipy.spatial import cKDTree

    found = {tuple(sorted(owner[list(pair)])) for pair in cKDTree(cloud @ vectors).query_pairs(0.9)}
    assert found == {(i, j) for i, j in zip(*np.nonzero(naive < 0.9), strict=True) if i < j}
