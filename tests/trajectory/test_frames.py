"""Reading trajectories: every format alike, and clear words for each way in which a file can be wrong."""

from __future__ import annotations

import os

import boxes
import MDAnalysis as mda
import numpy as np
import pytest
from MDAnalysis.lib.formats.libmdaxdr import XTCFile
from MDAnalysis.transformations import translate

from lmbmd.core.errors import LmbmdError
from lmbmd.trajectory import open_universe, read_frames

pytestmark = pytest.mark.filterwarnings("ignore")
N_FRAMES = 5


@pytest.fixture(scope="module")
def made():
    """Atoms, positions (frames, atoms, 3) Å and boxes (frames, 3, 3) Å of a skewed box that breathes."""
    rng = np.random.default_rng(0)
    atoms, frame = boxes.electrolyte(rng, boxes.SKEWED)
    positions = np.stack([frame.positions + 0.25 * i for i in range(N_FRAMES)])
    return atoms, positions, np.stack([frame.box * (1 + 0.002 * i) for i in range(N_FRAMES)])


def universe(atoms, positions):
    u = mda.Universe.empty(
        len(atoms),
        n_residues=atoms.n_molecules,
        atom_resindex=atoms.molecule,
        residue_segindex=[0] * atoms.n_molecules,
        trajectory=True,
    )
    u.add_TopologyAttr("names", atoms.name.astype(str))
    u.add_TopologyAttr("elements", atoms.element.astype(str))
    u.add_TopologyAttr("types", atoms.element.astype(str))
    u.add_TopologyAttr("resnames", [atoms.species[s].name for s in atoms.molecule_species])
    u.add_TopologyAttr("resids", np.arange(1, atoms.n_molecules + 1))
    u.atoms.positions = positions
    return u


def written(path, atoms, positions, cells, dt=2.0):
    u = universe(atoms, positions[0])
    kind = {"multiframe": True} if path.suffix == ".pdb" else {"dt": dt} if path.suffix == ".dcd" else {}
    with mda.Writer(str(path), n_atoms=len(atoms), **kind) as writer:
        for i, (x, cell) in enumerate(zip(positions, cells, strict=True)):
            u.atoms.positions = x
            u.dimensions = mda.lib.mdamath.triclinic_box(*cell)
            u.trajectory.ts.time = i * dt
            u.trajectory.ts.data["step"] = i
            writer.write(u.atoms)
    return path


def lammps_dump(path, atoms, positions, cells):
    lines = []
    for i, (x, cell) in enumerate(zip(positions, cells, strict=True)):
        (lx, _, _), (xy, ly, _), (xz, yz, lz) = cell
        lines += ["ITEM: TIMESTEP", str(1000 * i), "ITEM: NUMBER OF ATOMS", str(len(atoms))]
        lines += ["ITEM: BOX BOUNDS xy xz yz pp pp pp"]
        lines += [f"{min(0, xy, xz, xy + xz)} {lx + max(0, xy, xz, xy + xz)} {xy}"]
        lines += [f"{min(0, yz)} {ly + max(0, yz)} {xz}", f"0 {lz} {yz}", "ITEM: ATOMS id type xu yu zu"]
        lines += [f"{k + 1} 1 {a} {b} {c}" for k, (a, b, c) in reversed(list(enumerate(x)))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["t.xtc", "t.trr", "t.dcd", "t.pdb", "t.dump"])
def test_every_format_gives_the_same_frames(made, tmp_path, name):
    # A PDB file has one box for all its models.
    atoms, positions, cells = made
    make = lammps_dump if name.endswith("dump") else written
    path = make(tmp_path / name, atoms, positions, cells)
    # Neither a PDB file nor a LAMMPS dump knows its times.
    frames = read_frames(path, atoms, interval_ps=2.0 if name in ("t.pdb", "t.dump") else None)
    assert len(frames) == N_FRAMES
    for i, frame in enumerate(frames):
        assert frame.index == i
        # XTC and PDB keep 0.01 and 0.001 Å; boxes are kept as float32 lengths and angles, PDB to 0.01°.
        np.testing.assert_allclose(frame.positions, positions[i], atol=0.0051)
        np.testing.assert_allclose(frame.box, cells[0 if name == "t.pdb" else i], atol=0.01)
        assert frame.positions.dtype == np.float32 and frame.box.dtype == np.float64
        assert frame.time_ps == pytest.approx(2.0 * i)


@pytest.mark.parametrize("name", ["t.pdb", "t.dump"])
def test_a_file_without_a_clock_needs_its_interval_unless_it_has_one_frame(made, tmp_path, name):
    atoms, positions, cells = made
    path = (lammps_dump if name == "t.dump" else written)(tmp_path / name, atoms, positions, cells)
    topology = written(tmp_path / "top.pdb", atoms, positions[:1], cells[:1])
    refused(r"how much time passes between its frames is not known.*frame_interval_ps", path, atoms)
    assert [f.time_ps for f in read_frames(path, atoms, stop=1)] == [0.0]
    kind, dt = ("LAMMPSDUMP", 0.002) if name == "t.dump" else (None, 2.0)  # a dump's frames are 1000 steps apart
    told = mda.Universe(topology, path, dt=dt, format=kind)
    assert [f.time_ps for f in read_frames(told, atoms)] == [2.0 * i for i in range(N_FRAMES)]


@pytest.mark.parametrize("name", ["t.xtc", "t.dcd"])
def test_start_stop_and_step_choose_frames_by_their_number(made, tmp_path, name):
    atoms, positions, cells = made
    frames = read_frames(written(tmp_path / name, atoms, positions, cells), atoms, 1, None, 2)
    assert [f.index for f in frames] == [1, 3]
    assert [f.index for f in frames.part(1, 2)] == [3]
    for frame in frames:
        np.testing.assert_allclose(frame.positions, positions[frame.index], atol=0.0051)
    negative = read_frames(tmp_path / name, atoms, start=-2)
    assert [f.index for f in negative] == [3, 4]


@pytest.mark.parametrize("name", ["t.xtc", "t.dcd"])
def test_a_part_holds_the_same_frames_as_the_whole(made, tmp_path, name):
    atoms, positions, cells = made
    frames = read_frames(written(tmp_path / name, atoms, positions, cells), atoms)
    for first, last in ((0, 2), (2, 5), (4, 5)):
        for whole, part in zip(list(frames)[first:last], frames.part(first, last), strict=True):
            assert whole.index == part.index and whole.time_ps == part.time_ps
            np.testing.assert_array_equal(whole.positions, part.positions)


def test_reading_leaves_nothing_beside_an_xtc_file(made, tmp_path):
    atoms, positions, cells = made
    list(read_frames(written(tmp_path / "t.xtc", atoms, positions, cells), atoms))
    assert os.listdir(tmp_path) == ["t.xtc"]


def test_a_universe_is_read_without_moving_it(made, tmp_path):
    atoms, positions, cells = made
    topology = written(tmp_path / "top.pdb", atoms, positions[:1], cells[:1])
    u = open_universe(topology, written(tmp_path / "t.dcd", atoms, positions, cells))
    u.trajectory[3]
    assert [f.index for f in read_frames(u, atoms)] == list(range(N_FRAMES))
    assert u.trajectory.frame == 3


def test_a_universe_of_an_xtc_file_is_read_from_that_file(made, tmp_path):
    atoms, positions, cells = made
    topology = written(tmp_path / "top.pdb", atoms, positions[:1], cells[:1])
    u = open_universe(topology, written(tmp_path / "t.xtc", atoms, positions, cells))
    frames = read_frames(u, atoms)
    assert frames.source == tmp_path / "t.xtc"
    u.trajectory.add_transformations(translate([1.0, 0, 0]))
    shifted = read_frames(u, atoms)
    np.testing.assert_allclose(
        next(iter(shifted)).positions, next(iter(frames)).positions + np.float32([1, 0, 0]), atol=1e-5
    )


def test_frames_come_in_the_order_of_the_atom_table_and_with_the_interval_told(made, tmp_path):
    atoms, positions, cells = made
    order = np.random.default_rng(1).permutation(len(atoms))
    in_file = np.empty_like(positions)
    in_file[:, order] = positions
    path = written(tmp_path / "t.dcd", atoms, in_file, cells)
    frames = read_frames(path, atoms, order=order, interval_ps=0.5, clock_is_wrong=True)
    for i, frame in enumerate(frames):
        np.testing.assert_allclose(frame.positions, positions[i], atol=1e-5)
        assert frame.time_ps == 0.5 * i


def xtc(path, frames):
    with XTCFile(str(path), "w") as file:
        for i, (x, cell) in enumerate(frames):
            file.write((x / 10).astype(np.float32), (cell / 10).astype(np.float32), 500 * i, float(i), 1000)
    return path


def refused(match, *args, **options):
    with pytest.raises(LmbmdError, match=match):
        list(read_frames(*args, **options))


def test_another_number_of_atoms_is_refused(made, tmp_path):
    atoms, positions, cells = made
    path = xtc(tmp_path / "t.xtc", [(positions[0][:-1], cells[0])])
    refused(rf"t\.xtc: the trajectory has {len(atoms) - 1} atoms, the atom table {len(atoms)}", path, atoms)


def test_a_missing_box_is_refused_with_the_frame(made, tmp_path):
    atoms, positions, cells = made
    path = xtc(tmp_path / "t.xtc", [(positions[0], cells[0]), (positions[1], 0 * cells[1])])
    refused(r"t\.xtc, frame 1: there is no periodic box", path, atoms)


@pytest.mark.parametrize("factor", [1e6, 1e12, 1e30])
def test_a_box_longer_than_any_is_refused_with_the_frame(made, tmp_path, factor):
    """The number of search cells in it once overflowed an integer."""
    atoms, positions, cells = made
    path = xtc(tmp_path / "t.xtc", [(positions[0], cells[0] * factor)])
    refused(r"t\.xtc, frame 0: the box is .* long", path, atoms)


def test_a_format_without_a_box_is_refused(made, tmp_path):
    atoms, positions, _ = made
    path = tmp_path / "t.xyz"
    path.write_text(f"{len(atoms)}\n\n" + "".join(f"O {x} {y} {z}\n" for x, y, z in positions[0]), encoding="utf-8")
    refused(r"t\.xyz, frame 0: there is no periodic box", path, atoms)


def test_a_box_in_nm_is_refused(made, tmp_path):
    atoms, positions, cells = made
    refused(
        r"frame 0: the box holds \d+ atoms per Å³\. Its lengths are probably in nm",
        xtc(tmp_path / "t.xtc", [(positions[0], cells[0] / 10)]),
        atoms,
    )


def test_positions_in_nm_are_refused(made, tmp_path):
    atoms, positions, cells = made
    refused(
        r"frame 0: neighbouring atoms of a molecule are 0\.\d+ Å apart\. Positions are probably in nm",
        xtc(tmp_path / "t.xtc", [(positions[0] / 10, cells[0])]),
        atoms,
    )


def test_a_box_that_changes_its_unit_is_refused_with_the_frame(made, tmp_path):
    atoms, positions, cells = made
    path = xtc(tmp_path / "t.xtc", [(positions[0], cells[0]), (positions[1] * 10, cells[1] * 10)])
    refused(r"frame 1: the box is 10 times as long as in the first frame", path, atoms)


def test_a_box_that_breathes_is_read(made, tmp_path):
    atoms, positions, cells = made
    path = xtc(tmp_path / "t.xtc", [(positions[0], cells[0]), (positions[1], cells[1] * 1.5)])
    assert len(list(read_frames(path, atoms))) == 2


@pytest.mark.parametrize("name", ["t.xtc", "t.dcd", "t.trr"])
def test_a_truncated_file_names_the_frame_where_it_ends(made, tmp_path, name):
    atoms, positions, cells = made
    path = written(tmp_path / name, atoms, positions, cells)
    path.write_bytes(path.read_bytes()[:-40])
    # DCD files have no index: a cut-off frame is not counted as one.
    if name == "t.dcd":
        assert [f.index for f in read_frames(path, atoms)] == [0, 1, 2, 3]
    else:
        refused(rf"{name}, frame 4: the frame cannot be read .* stop = 4", path, atoms)
        assert len(list(read_frames(path, atoms, stop=4))) == 4


def test_a_position_that_is_no_number_is_refused_with_the_frame(made, tmp_path):
    atoms, positions, cells = made
    bad = positions.copy()
    bad[2, 7, 1] = np.nan
    path = written(tmp_path / "t.dcd", atoms, bad, cells)
    refused(r"t\.dcd, frame 2: a position is not a number", path, atoms)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("gone.xtc", None, r"gone\.xtc: there is no such file"),
        ("empty.xtc", "", r"empty\.xtc: the file is empty"),
        (
            "words.dcd",
            "no trajectory",
            r"words\.dcd, frame 0: the header .* does not begin as a DCD",
        ),
        ("t.unknown", "?", r"t\.unknown: MDAnalysis cannot read the trajectory .* its name ends with its format"),
    ],
)
def test_a_file_that_is_no_trajectory_is_named(made, tmp_path, name, text, message):
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    refused(message, tmp_path / name, made[0])


@pytest.mark.parametrize("choice", [{"start": 5}, {"stop": 0}, {"start": 3, "stop": 2}, {"step": -1}, {"step": 0}])
def test_an_empty_or_backward_choice_of_frames_is_refused(made, tmp_path, choice):
    atoms, positions, cells = made
    path = written(tmp_path / "t.xtc", atoms, positions, cells)
    refused(r"no frame is left of 5 with start = ", path, atoms, **choice)


def test_a_topology_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "x.gro").write_text("nonsense\n", encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"x\.gro: MDAnalysis cannot read it"):
        open_universe(tmp_path / "x.gro")


def test_pieces_of_a_run_that_start_their_clock_again_are_refused_unless_it_is_told_to_be_wrong(made, tmp_path):
    atoms, positions, cells = made
    topology = written(tmp_path / "top.pdb", atoms, positions[:1], cells[:1])
    piece = written(tmp_path / "t.xtc", atoms, positions, cells)
    u = mda.Universe(str(topology), [str(piece), str(piece)])
    told = r"frame 5: the time is 0 ps, after 8 ps in the frame before.*clock_is_wrong: true"
    refused(told, u, atoms)
    refused(told, u, atoms, interval_ps=2.0)
    frames = read_frames(u, atoms, interval_ps=2.0, clock_is_wrong=True)
    assert [f.time_ps for f in frames] == [2.0 * i for i in range(10)]


def test_a_universe_without_a_trajectory_is_refused(made):
    u = mda.Universe.empty(1)
    refused("the Universe has no trajectory", u, made[0])
