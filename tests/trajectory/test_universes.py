"""Universes changed in memory, files that do not belong together, and what is left beside a user's files."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import warnings
from contextlib import closing

import MDAnalysis as mda
import MDAnalysis.transformations as change
import numpy as np
import pytest
from sheets import CHLORIDE, ION, MAP, MEOH, SALTY, Sheet, dump, trajectory

from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.data.cell import Cell
from lmbmd.trajectory import boxes, open_universe
from lmbmd.trajectory.foreign import open_foreign

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def moving(tmp_path):
    """A Universe whose molecules drift through the box and are wrapped atom by atom; they have bonds in the file."""
    (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
    u = mda.Universe(str(SALTY.pdb(tmp_path / "top.pdb", conect=SALTY.bonds)))
    start = u.atoms.positions.copy()
    with mda.Writer(str(tmp_path / "moving.xtc"), len(start), dt=5.0) as out:
        for k in range(6):
            u.atoms.positions = start + k * np.array([3.1, 1.0, 0.0])
            u.atoms.wrap()
            u.trajectory.ts.time, u.trajectory.ts.frame = 5.0 * k, k
            out.write(u.atoms)
    return lambda **options: mda.Universe(str(tmp_path / "top.pdb"), str(tmp_path / "moving.xtc"), **options)


def distances(frames):
    """Minimum-image distances of all atoms from the first, in every frame."""
    found = []
    for frame in frames:
        edge = frame.box[0, 0]
        d = frame.positions - frame.positions[0]
        found.append(np.linalg.norm(d - edge * np.round(d / edge), axis=1))
    return np.array(found)


@pytest.mark.parametrize(
    "made",
    [
        lambda u: change.unwrap(u.atoms),
        lambda u: change.NoJump(),
        lambda u: change.wrap(u.atoms),
        lambda u: change.center_in_box(u.atoms[:2]),
        lambda u: change.translate([1.0, 2.0, 3.0]),
    ],
)
def test_transformations_that_move_whole_molecules_change_no_distance(moving, tmp_path, made):
    expected = distances(open_foreign(moving(), tmp_path / "map.yaml")[1])
    u = moving()
    u.trajectory.add_transformations(made(u))
    frames = open_foreign(u, tmp_path / "map.yaml")[1]
    assert [f.time_ps for f in frames] == [5.0 * k for k in range(6)]
    np.testing.assert_allclose(distances(frames), expected, atol=0.02)
    np.testing.assert_allclose(distances(frames.part(3, 6)), expected[3:], atol=0.02)


@pytest.mark.parametrize(
    ("made", "says"),
    [
        (lambda u: change.rotateby(30, [0, 0, 1], ag=u.atoms), "rotateby, which turns the positions, but not the box"),
        (lambda u: change.fit_rot_trans(u.atoms, u.atoms), "fit_rot_trans, which turns"),
        (lambda u: change.PositionAverager(3), "PositionAverager, which averages"),
    ],
)
@pytest.mark.parametrize("memory", [False, True])
def test_transformations_that_change_distances_are_refused(moving, tmp_path, made, says, memory):
    (tmp_path / "map.yaml").write_text(MAP + "frame_interval_ps: 5\n" * memory, encoding="utf-8")
    u = moving(in_memory=memory)
    u.trajectory.add_transformations(made(u))
    with pytest.raises(LmbmdError, match=says):
        open_foreign(u, tmp_path / "map.yaml")


def test_a_dt_given_to_a_universe_counts_more_than_the_file(moving, tmp_path):
    frames = open_foreign(moving(dt=7.0), tmp_path / "map.yaml")[1]
    assert [f.time_ps for f in frames] == [7.0 * k for k in range(6)]


def test_a_group_of_atoms_is_no_universe(moving, tmp_path):
    with pytest.raises(LmbmdError, match=r"AtomGroup .* is no Universe"):
        open_foreign(moving().atoms, tmp_path / "map.yaml")


@pytest.mark.parametrize("name", ["t.xtc", "t.trr", "t.dcd", "t.xyz", "t.nc", "t.lammpstrj"])
@pytest.mark.parametrize("molecules", [5, 7])
def test_a_topology_of_other_atoms_is_refused_with_both_numbers(tmp_path, name, molecules):
    path = dump(tmp_path / name) if name == "t.lammpstrj" else trajectory(tmp_path, name)[1]
    other = Sheet(ION, ION, CHLORIDE, CHLORIDE, *[MEOH] * molecules).pdb(tmp_path / "other.pdb")
    with pytest.raises(LmbmdError, match=rf"the topology has {4 + 6 * molecules} atoms, the trajectory 40\."):
        open_universe(other, path)


@pytest.mark.parametrize("name", ["t.xtc", "t.trr", "t.dcd", "t.nc", "t.xyz"])
def test_nothing_is_left_beside_the_files_and_nothing_of_the_reader_is_said(tmp_path, name, capfd, monkeypatch):
    topology, path = trajectory(tmp_path, name)
    told = MAP + "frame_interval_ps: 5\n" + "box: [26, 26, 26]\n" * (name == "t.xyz")
    (tmp_path / "map.yaml").write_text(told + "cutoffs: {CL-Cl: 3.0, MeOH-O: 3.0}\n", encoding="utf-8")
    before = {p.name for p in tmp_path.iterdir()}
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        arguments = ["analyze", topology.name, path.name, "--species", "map.yaml", "--out", "out", "--workers", "1"]
        assert main(arguments) == 0
    said = capfd.readouterr()
    assert "Warning" not in said.out + said.err and "MDAnalysis" not in said.err
    assert {p.name for p in tmp_path.iterdir()} == before | {"out"}


def test_a_netcdf_frame_whose_box_was_zeroed_is_refused(tmp_path):
    topology, path = trajectory(tmp_path, "t.nc")
    raw = path.read_bytes()
    boxes = {np.full(3, 26.0, kind).tobytes() for kind in (">f4", ">f8")}
    for box in boxes:
        raw = raw.replace(box, bytes(len(box)))
    path.write_bytes(raw)
    (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"t\.nc"):
        open_foreign((topology, path), tmp_path / "map.yaml")


@pytest.mark.parametrize("far", [3e6, -3e9])
def test_a_position_that_no_box_can_hold_is_refused(tmp_path, far):
    topology, path = trajectory(tmp_path, "t.nc")
    raw = bytearray(path.read_bytes())
    at = raw.rindex(np.array(SALTY.rows[-1][4], ">f4").tobytes())
    raw[at : at + 4] = np.array(far, ">f4").tobytes()
    path.write_bytes(bytes(raw))
    (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"t\.nc, frame 2: a position is 3e\+0\d Å from the origin"):
        list(open_foreign((topology, path), tmp_path / "map.yaml")[1])


def test_without_h5py_one_sentence_says_so(tmp_path, monkeypatch):
    topology, _ = trajectory(tmp_path, "t.xtc")
    (tmp_path / "t.h5md").write_bytes(b"\x89HDF\r\n\x1a\n")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(LmbmdError, match=r"needs h5py, which is not installed\. pip install h5py"):
        open_universe(topology, tmp_path / "t.h5md")


def dms(path, cell=True):
    """The salty box as Desmond keeps it."""
    columns = "id, anum, name, x, y, z, vx, vy, vz, resname, resid, chain, segid, mass, charge"
    number = {"Li": (3, 6.94), "Cl": (17, 35.45), "O": (8, 15.999), "C": (6, 12.011), "H": (1, 1.008)}
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"create table particle ({columns})")
        file.execute("create table bond (p0, p1, 'order')")
        for k, (residue, name, element, atom, x) in enumerate(SALTY.rows):
            anum, mass = number[element]
            row = (k, anum, atom, *map(float, x), 0.0, 0.0, 0.0, name, residue, "A", "A", mass, 0.0)
            file.execute(f"insert into particle values ({', '.join('?' * 15)})", row)
        file.executemany("insert into bond values (?, ?, 1)", [(int(a), int(b)) for a, b in SALTY.bonds])
        if cell:
            file.execute("create table global_cell (id, x, y, z)")
            rows = [(1, 26.0, 0.0, 0.0), (2, 10.4, 26.0, 0.0), (3, 5.2, -2.6, 26.0)]
            file.executemany("insert into global_cell values (?, ?, ?, ?)", rows)
        file.commit()
    return path


def test_atoms_and_box_of_a_dms_file_are_those_that_it_states(tmp_path):
    (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
    atoms, frames = open_foreign(dms(tmp_path / "t.dms"), tmp_path / "map.yaml")
    (frame,) = frames
    assert Cell(frame.box).volume_A3 == pytest.approx(26.0**3) and atoms.count("MeOH") == 6
    assert atoms.element.tolist() == [row[2] for row in SALTY.rows]
    assert frame.positions == pytest.approx(np.array([row[4] for row in SALTY.rows]), abs=1e-3)


@pytest.mark.parametrize("name", ["t.pqr", "t.coor", "t.namdbin"])
def test_files_without_a_box_need_one_to_be_told(tmp_path, name):
    pdb = SALTY.pdb(tmp_path / "t.pdb", conect=SALTY.bonds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        universe = mda.Universe(str(pdb))
        universe.add_TopologyAttr("charges", np.zeros(len(universe.atoms)))
        universe.add_TopologyAttr("radii", np.ones(len(universe.atoms)))
        universe.atoms.write(str(tmp_path / name), file_format="NAMDBIN" if name != "t.pqr" else "PQR")
    (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"there is no periodic box.*species map \(box\)"):
        open_foreign((pdb, tmp_path / name), tmp_path / "map.yaml")
    (tmp_path / "map.yaml").write_text(MAP + "box: [26, 26, 26]\n", encoding="utf-8")
    (frame,) = open_foreign((pdb, tmp_path / name), tmp_path / "map.yaml")[1]
    assert frame.positions == pytest.approx(universe.atoms.positions, abs=1e-3)


@pytest.mark.slow
def test_a_tng_file_of_gromacs_has_its_times_and_its_box(tmp_path):
    pytest.importorskip("pytng", reason="needs pytng")
    if not (gmx := shutil.which("gmx")):
        pytest.skip("GROMACS (gmx) is not installed")
    grid = [(x, y, z) for x in range(5) for y in range(5) for z in range(4)]
    lines = [
        f"{k + 1:5d}{'LI   ' if k < 50 else 'CL   '}{'LI' if k < 50 else 'CL':>5s}{k + 1:5d}"
        + "".join(f"{0.5 * x + 0.2:8.3f}" for x in point)
        for k, point in enumerate(grid)
    ]
    (tmp_path / "conf.gro").write_text("\n".join(["salt", "100", *lines, "   2.60000   2.60000   2.60000", ""]))
    (tmp_path / "topol.top").write_text(
        "[ defaults ]\n1 2 no 1 1\n[ atomtypes ]\nLI 6.94 0 A 0.3 0.5\nCL 35.45 0 A 0.3 0.5\n"
        "[ moleculetype ]\nLI 1\n[ atoms ]\n1 LI 1 LI LI 1 0.8\n"
        "[ moleculetype ]\nCL 1\n[ atoms ]\n1 CL 1 CL CL 1 -0.8\n"
        "[ system ]\nx\n[ molecules ]\nLI 50\nCL 50\n"
    )
    (tmp_path / "md.mdp").write_text(
        "integrator = md\ndt = 0.001\nnsteps = 40\nnstxout-compressed = 10\n"
        "rlist = 1.0\nrvdw = 1.0\nrcoulomb = 1.0\ncoulombtype = Reaction-Field\n"
    )
    for command in (
        "grompp -f md.mdp -c conf.gro -p topol.top -o run.tpr -maxwarn 5",
        "mdrun -s run.tpr -x run.tng -nt 1",
    ):
        subprocess.run([gmx, *command.split()], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "map.yaml").write_text(
        "centre: Li\nspecies:\n  Li: {resname: LI}\n  Cl: {resname: CL, role: anion, charge: -1, sites: {Cl: Cl}}\n"
        "elements: {LI: Li, CL: Cl}\n"
    )
    source = (tmp_path / "conf.gro", tmp_path / "run.tng")
    frames = list(open_foreign(source, tmp_path / "map.yaml")[1])
    assert [frame.time_ps for frame in frames] == pytest.approx([0.0, 0.01, 0.02, 0.03, 0.04], abs=1e-6)
    assert frames[-1].box == pytest.approx(np.eye(3) * 26.0)


def gsd_file(path, steps, tilt=(0.0, 0.0, 0.0)):
    """The salty box as HOOMD writes it: positions about the origin, a tilted box as three factors."""
    hoomd = pytest.importorskip("gsd.hoomd", reason="needs gsd")
    box, at = np.full(3, 26.0), np.array([row[4] for row in SALTY.rows], np.float32)
    with hoomd.open(str(path), "w") as file:
        for step in steps:
            frame = hoomd.Frame()
            frame.configuration.step, frame.configuration.box = step, [*box, *tilt]
            frame.particles.N, frame.particles.position = len(at), at - 13
            file.append(frame)


def test_a_tilted_box_of_hoomd_is_that_of_its_tilt_factors(tmp_path):
    """MDAnalysis takes them for cosines: a box of 26³ Å³ would have lost a tenth of its volume."""
    topology, _ = trajectory(tmp_path, "t.xtc")
    gsd_file(tmp_path / "t.gsd", (0, 500), (0.4, 0.2, -0.1))
    (tmp_path / "map.yaml").write_text(MAP + "frame_interval_ps: 5\n", encoding="utf-8")
    expected = np.array([[26, 0, 0], [0.4 * 26, 26, 0], [0.2 * 26, -0.1 * 26, 26]])
    for source in (tmp_path / "t.gsd", [tmp_path / "t.gsd"]):
        for frame in open_foreign((topology, source), tmp_path / "map.yaml")[1]:
            assert frame.box == pytest.approx(expected, abs=1e-4)
            assert Cell(frame.box).volume_A3 == pytest.approx(26.0**3)
    chained = mda.Universe(str(topology), [str(tmp_path / "t.gsd")] * 2)
    chained.trajectory[3]
    assert boxes.stated(chained.trajectory, chained.trajectory.ts) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("steps", "times"),
    [((0, 500, 1000, 1500), [0, 5, 10, 15]), ((0, 10, 510, 1010), None), ((7, 507, 1007, 2007), [0, 5, 10, 20])],
)
def test_frames_of_hoomd_are_counted_by_their_steps(tmp_path, steps, times):
    """A GSD file has no time, and a frame may be missing or come at an odd step."""
    topology, _ = trajectory(tmp_path, "t.xtc")
    gsd_file(tmp_path / "t.gsd", steps)
    (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
    with pytest.raises(LmbmdError, match="a GSD file does not state it"):
        open_foreign((topology, tmp_path / "t.gsd"), tmp_path / "map.yaml")
    (tmp_path / "map.yaml").write_text(MAP + "frame_interval_ps: 5\n", encoding="utf-8")
    found = [frame.time_ps for frame in open_foreign((topology, tmp_path / "t.gsd"), tmp_path / "map.yaml")[1]]
    assert found == (times or pytest.approx([0, 0.1, 5.1, 10.1]))


@pytest.mark.parametrize(
    ("told", "says"),
    [
        ({}, None),
        ({"length": "nm", "time": "fs"}, None),
        ({"edges": "vector"}, None),
        ({"time": None}, "its times have no unit"),
        ({"length": None}, "its positions and box have no unit"),
        ({"edges": "once"}, "its box is one for all frames.*for each frame"),
        ({"edges": "none"}, "there is no periodic box"),
        ({"boundary": "none"}, r"does not repeat in every direction \(boundary: none\)"),
    ],
)
def test_times_and_lengths_of_h5md_are_believed_with_their_units_only(tmp_path, told, says):
    h5py = pytest.importorskip("h5py", reason="needs h5py")
    told = {"length": "Angstrom", "time": "ps", "edges": "matrix", "boundary": "periodic", **told}
    topology, _ = trajectory(tmp_path, "t.xtc")
    length, time = {"nm": 0.1}.get(told["length"], 1.0), {"fs": 1000.0}.get(told["time"], 1.0)
    edges = np.full(3, 26.0 * length) if told["edges"] == "vector" else np.eye(3) * 26 * length
    values = {"position": np.array([row[4] for row in SALTY.rows], np.float32) * length}
    if told["edges"] in ("matrix", "vector"):
        values["box/edges"] = edges
    with h5py.File(tmp_path / "t.h5md", "w") as file:
        file.create_group("h5md").attrs["version"] = [1, 1]
        group = file.create_group("particles/all")
        group.create_group("box").attrs.update({"dimension": 3, "boundary": [told["boundary"]] * 3})
        if told["edges"] == "once":
            group["box/edges"] = edges
        for name, value in values.items():
            group[f"{name}/value"], group[f"{name}/step"] = [value] * 3, [0, 1, 2]
            group[f"{name}/time"] = np.array([0.0, 5.0, 10.0]) * time
            for part, unit in (("value", told["length"]), ("time", told["time"])):
                if unit:
                    group[f"{name}/{part}"].attrs["unit"] = unit
    (tmp_path / "map.yaml").write_text(MAP, encoding="utf-8")
    if says:
        with pytest.raises(LmbmdError, match=says):
            list(open_foreign((topology, tmp_path / "t.h5md"), tmp_path / "map.yaml")[1])
    else:
        frames = list(open_foreign((topology, tmp_path / "t.h5md"), tmp_path / "map.yaml")[1])
        assert [f.time_ps for f in frames] == pytest.approx([0.0, 5.0, 10.0])
        assert frames[0].box == pytest.approx(np.eye(3) * 26)
        # In the order of the file, whose last row is the last atom.
        assert frames[0].positions.max() == pytest.approx(max(max(row[4]) for row in SALTY.rows))
