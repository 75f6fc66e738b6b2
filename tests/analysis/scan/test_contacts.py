"""Contacts: exact counts, symmetries, and files that are the same however they were made."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import boxes
import naive
import numpy as np
import pytest
import systems
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from lmbmd.analysis.scan.contacts import Search, find_contacts, frame_contacts, run_contacts
from lmbmd.analysis.scan.options import ContactOptions
from lmbmd.core.errors import LmbmdError
from lmbmd.data.contacts import ContactFile
from lmbmd.data.frames import Frame
from lmbmd.data.rdf import Rdf
from lmbmd.trajectory import read_frames

SEEDS = st.integers(0, 2**32 - 1)
BOXES = pytest.mark.parametrize("box", [boxes.STRAIGHT, boxes.SKEWED], ids=["straight", "skewed"])
#: Radius of the RDFs at which the half width of every box here still covers the reach.
OPTIONS = ContactOptions()


def scanned(atoms, frame):
    scan = Search(atoms, OPTIONS)(frame)
    return frame_contacts(scan, atoms), scan.counts


def assert_same(one, other, edges=True):
    np.testing.assert_array_equal(one.offsets, other.offsets)
    np.testing.assert_array_equal(one.atom, other.atom)
    np.testing.assert_array_equal(one.distance, other.distance)
    if edges:
        # Edges are sums of two float32 positions up to 150 Å away: 2 × 2⁻¹⁷ Å, and the mass centres' own rounding.
        np.testing.assert_allclose(one.edge, other.edge, rtol=0, atol=6e-5)


def symmetric(test):
    """Run a test on random boxes of both shapes."""
    return BOXES(settings(max_examples=10, deadline=None)(given(seed=SEEDS)(test)))


@symmetric
def test_moving_everything_changes_no_contact(box, seed):
    rng = np.random.default_rng(seed)
    atoms, frame = boxes.electrolyte(rng, box)
    contacts, counts = scanned(atoms, frame)
    again, counts_again = scanned(atoms, boxes.moved(frame, boxes.grains(rng.uniform(-50, 50, 3))))
    assert_same(contacts, again)
    np.testing.assert_array_equal(counts, counts_again)


@symmetric
def test_wrapping_and_breaking_molecules_changes_no_contact(box, seed):
    rng = np.random.default_rng(seed)
    atoms, frame = boxes.electrolyte(rng, box)
    contacts, counts = scanned(atoms, frame)
    again, counts_again = scanned(atoms, boxes.broken(rng, frame))
    assert_same(contacts, again)
    np.testing.assert_array_equal(counts, counts_again)


@symmetric
def test_renumbering_molecules_renumbers_contacts(box, seed):
    rng = np.random.default_rng(seed)
    atoms, frame = boxes.electrolyte(rng, box)
    ranges = [np.arange(a, b) for a, b in zip(atoms.first_atom[:-1], atoms.first_atom[1:], strict=True)]
    order = np.concatenate([ranges[m] for m in rng.permutation(atoms.n_molecules)])
    contacts, counts = scanned(atoms, frame)
    again, counts_again = scanned(*boxes.reordered(atoms, frame, order))
    new_atoms, _ = boxes.reordered(atoms, frame, order)
    pairs = {(int(atoms.centres[c]), int(a)) for c, a in zip(contacts.row, contacts.atom, strict=True)}
    renumbered = {(int(order[new_atoms.centres[c]]), int(order[a])) for c, a in zip(again.row, again.atom, strict=True)}
    assert pairs == renumbered
    np.testing.assert_array_equal(counts, counts_again)


@symmetric
def test_renumbering_atoms_within_molecules_renumbers_contacts(box, seed):
    rng = np.random.default_rng(seed)
    atoms, frame = boxes.electrolyte(rng, box)
    order = np.concatenate(
        [rng.permutation(np.arange(a, b)) for a, b in zip(atoms.first_atom[:-1], atoms.first_atom[1:], strict=True)]
    )
    contacts, counts = scanned(atoms, frame)
    again, counts_again = scanned(*boxes.reordered(atoms, frame, order))
    assert {*zip(contacts.row, contacts.atom, strict=True)} == {*zip(again.row, order[again.atom], strict=True)}
    # Sums of masses in another order move a mass centre by a rounding error: one pair may change its bin.
    assert np.abs(counts - counts_again).sum() <= 2


@symmetric
def test_a_supercell_has_the_contacts_of_its_cell_once_per_copy(box, seed):
    rng = np.random.default_rng(seed)
    atoms, frame = boxes.electrolyte(rng, box)
    contacts, counts = scanned(atoms, frame)
    big_atoms, big_frame, copy_of = boxes.replicated(atoms, frame, (2, 1, 2))
    big, big_counts = scanned(big_atoms, big_frame)
    assert len(big.atom) == 4 * len(contacts.atom)
    centre_of = np.searchsorted(atoms.centres, copy_of[big_atoms.centres])
    for c in range(len(big_atoms.centres)):
        mine = slice(contacts.offsets[centre_of[c]], contacts.offsets[centre_of[c] + 1])
        its = slice(big.offsets[c], big.offsets[c + 1])
        assert sorted(copy_of[big.atom[its]]) == contacts.atom[mine].tolist()
    # Mass centres are rounded differently far from the origin: a pair on the edge of a bin may move to the next.
    assert np.abs(np.cumsum(big_counts - 4 * counts, axis=1)).max() <= 1


@settings(max_examples=10, deadline=None)
@given(seed=SEEDS)
def test_another_cell_of_the_same_lattice_gives_the_same_contacts(seed):
    rng = np.random.default_rng(seed)
    atoms, frame = boxes.electrolyte(rng, np.diag([32.0, 32.0, 32.0]))
    skewed = np.array([[32.0, 0, 0], [32.0, 32.0, 0], [-32.0, 32.0, 32.0]])
    assert 0.5 / np.sqrt((np.linalg.inv(skewed) ** 2).sum(axis=0)).max() > OPTIONS.search_radius_A
    straight, _ = scanned(atoms, frame)
    again, _ = scanned(atoms, replace(frame, box=skewed))
    assert_same(straight, again)


@symmetric
def test_a_shorter_radius_keeps_a_subset(box, seed):
    rng = np.random.default_rng(seed)
    atoms, frame = boxes.electrolyte(rng, box)
    contacts, _ = scanned(atoms, frame)
    radius = float(rng.uniform(0.5, 5))
    short = find_contacts([frame], atoms, OPTIONS.model_copy(update={"search_radius_A": radius}))[0].frames[0]
    assert_same(short, contacts.within(radius))


def test_the_edge_leads_from_the_centre_to_the_mass_centre_through_the_contact():
    diatomic = systems.Model("X", "anion", -1, (("O", "O"), ("O", "O")))
    atoms = systems.atom_table((systems.LI, 2), (diatomic, 1))
    # The anion lies across the face x = 0, one oxygen 2 Å left of a Li at x = 19, the other 2 Å … at x = 4.
    positions = np.array([[19.0, 5, 5], [4.0, 5, 5], [21.0, 5, 5], [2.0, 5, 5]], np.float32)
    box = np.eye(3) * 20.0
    contacts, _ = scanned(atoms, Frame(0, 0.0, positions, box))
    first_shell = contacts.within(2.5)
    assert first_shell.atom.tolist() == [2, 3]
    np.testing.assert_allclose(first_shell.edge, [[2.5, 0, 0], [-2.5, 0, 0]], atol=1e-5)
    # Two edges close a walk from Li to Li through one anion: 19 → 24 = 4 + one box.
    np.testing.assert_allclose(first_shell.edge[0] - first_shell.edge[1], [5.0, 0, 0], atol=1e-5)


def test_a_walk_round_the_box_ends_one_lattice_vector_away():
    anion = systems.Model("X", "anion", -1, (("N", "N"),))
    atoms = systems.atom_table((systems.LI, 4), (anion, 4))
    x = np.arange(4) * 5.0
    line = np.zeros((8, 3), np.float32)
    line[:4, 0], line[4:, 0] = x, x + 2.5
    contacts, _ = scanned(atoms, Frame(0, 0.0, line, np.eye(3) * 20.0))
    shell = contacts.within(3.0)
    assert np.diff(shell.offsets).tolist() == [2, 2, 2, 2]
    onward, back = shell.edge[shell.edge[:, 0] > 0], shell.edge[shell.edge[:, 0] < 0]
    np.testing.assert_allclose(onward.sum(axis=0) - back.sum(axis=0), [20.0, 0, 0], atol=1e-5)


def test_a_bare_centre_is_an_empty_row():
    atoms = systems.atom_table((systems.LI, 2), (systems.DME, 1))
    positions = np.array([[0.0, 0, 0], [15, 15, 15], *[[2, 0, 0]] * 6], np.float32)
    contacts, _ = scanned(atoms, Frame(0, 0.0, positions, np.eye(3) * 30.0))
    assert np.diff(contacts.offsets).tolist() == [2, 0]


def test_a_box_without_a_centre_has_no_contact():
    atoms = systems.atom_table(
        (systems.DME, 2),
    )
    contacts, rdf = find_contacts([Frame(0, 0.0, np.zeros((12, 3), np.float32), np.eye(3) * 30.0)], atoms)
    assert contacts.frames[0].offsets.tolist() == [0] and rdf.pairs == ()


def test_a_box_too_narrow_for_the_search_radius_is_refused_with_the_frame():
    atoms, frame = boxes.electrolyte(np.random.default_rng(0), np.diag([9.5, 30.0, 30.0]))
    with pytest.raises(LmbmdError, match=r"frame 7: the box is 9\.50 Å wide .* more than 10 Å"):
        find_contacts([replace(frame, index=7)], atoms)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"search_radius_A": 0.0}, r"search_radius_A\n.*shorter than any contact"),
        ({"search_radius_A": 12.0}, r"search_radius_A = 12 is beyond rdf_radius_A = 10"),
        ({"bins_per_A": 0}, r"bins_per_A\n.*greater than or equal to 1"),
        ({"n_blocks": 0}, r"n_blocks\n.*greater than or equal to 1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        ContactOptions(**options)


def test_no_frame_is_an_error():
    with pytest.raises(LmbmdError, match="there is no frame to analyse"):
        find_contacts([], systems.atom_table((systems.LI, 1)))


# ---- files


@pytest.fixture(scope="module")
def trajectory(tmp_path_factory):
    """Atoms, and an XTC file of 330 frames: five parts of 64 and one of 10."""
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    rng = np.random.default_rng(5)
    atoms, frame = boxes.electrolyte(rng, boxes.SKEWED)
    path = tmp_path_factory.mktemp("run") / "short.xtc"
    with XTCFile(str(path), "w") as file:
        for i in range(330):
            scale = 1 + 0.01 * np.sin(i)
            moved = frame.positions * scale + rng.normal(0, 0.3, frame.positions.shape)
            file.write((moved / 10).astype(np.float32), (frame.box * scale / 10).astype(np.float32), i, 2.0 * i, 1000)
    return atoms, path


def digest(*paths):
    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]


def run(trajectory, folder, **options):
    atoms, path = trajectory
    files = folder / "contacts.arrow", folder / "rdf.npz"
    contacts, rdf = run_contacts(read_frames(path, atoms), atoms, *files, progress=False, **options)
    return contacts, rdf, files


def test_files_hold_to_the_bit_what_memory_holds(trajectory, tmp_path):
    atoms, path = trajectory
    contacts, rdf, files = run(trajectory, tmp_path)
    kept, kept_rdf = find_contacts(read_frames(path, atoms), atoms)
    assert contacts.n_frames == kept.n_frames == 330 and contacts.search_radius_A == 5.0
    for k, (a, b) in enumerate(zip(contacts, kept, strict=True)):
        for name in ("index", "time_ps", "box", "offsets", "atom", "distance", "edge", "centre", "unit", "dipole"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        np.testing.assert_array_equal(contacts.frame(k).edge, b.edge)
    again = Rdf.read(files[1])
    for one in (rdf, again):
        assert one.pairs == kept_rdf.pairs and one.reach_A == kept_rdf.reach_A
        np.testing.assert_array_equal(one.g, kept_rdf.g)
        np.testing.assert_array_equal(one.count, kept_rdf.count)


def test_contacts_alone_are_the_same_to_the_bit(trajectory, tmp_path):
    """A transport segment has no use for RDFs."""
    atoms, path = trajectory
    _, _, files = run(trajectory, tmp_path)
    alone = tmp_path / "alone" / "contacts.arrow"
    run_contacts(read_frames(path, atoms), atoms, alone, None, progress=False)
    assert digest(alone) == digest(files[0])
    assert [p.name for p in alone.parent.iterdir()] == ["contacts.arrow"]


@pytest.mark.slow
def test_any_number_of_workers_writes_the_same_files(trajectory, tmp_path):
    made = []
    for workers in (1, 2):  # two workers are never more than four of the six parts ahead
        (tmp_path / str(workers)).mkdir()
        made.append(digest(*run(trajectory, tmp_path / str(workers), workers=workers)[2]))
    assert made[0] == made[1]


def test_a_clock_that_starts_again_between_two_parts_is_noticed(trajectory, tmp_path):
    atoms, path = trajectory
    frames = read_frames(path, atoms)
    twice = replace(frames, numbers=range(128), offsets=np.concatenate([frames.offsets[:64], frames.offsets[:64]]))
    with pytest.raises(LmbmdError, match=r"frame 64: the time is 0 ps, after 126 ps"):
        run_contacts(twice, atoms, tmp_path / "c.arrow", tmp_path / "r.npz", progress=False)


def test_a_frame_that_fails_leaves_no_file(trajectory, tmp_path):
    atoms, path = trajectory
    frames = read_frames(path, atoms)
    cut = tmp_path / "cut.xtc"
    cut.write_bytes(path.read_bytes()[: int(frames.offsets[100]) + 200])
    broken = replace(frames, source=cut, name=str(cut))
    with pytest.raises(LmbmdError, match=r"cut\.xtc, frame 100: the frame cannot be read .* stop = 100"):
        run_contacts(broken, atoms, tmp_path / "c.arrow", tmp_path / "r.npz", progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["cut.xtc"]


def test_an_error_in_a_worker_reaches_the_user_whole(trajectory, tmp_path):
    atoms, path = trajectory
    frames = replace(read_frames(path, atoms), source=tmp_path / "gone.xtc", name="gone.xtc")
    with pytest.raises(LmbmdError, match=r"gone\.xtc, frame 0: the frame cannot be read"):
        run_contacts(frames, atoms, tmp_path / "c.arrow", tmp_path / "r.npz", workers=2, progress=False)


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGKILL])
def test_no_worker_outlives_a_command_that_was_ended(trajectory, tmp_path, how):
    atoms, path = trajectory
    # A long one: the same frames again and again, with times that go on.
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    with XTCFile(str(path)) as file:
        frames = [file.read() for _ in range(330)]
    with XTCFile(str(tmp_path / "t.xtc"), "w") as out:
        for i in range(40 * 330):
            out.write(frames[i % 330].x, frames[i % 330].box, i, 2.0 * i, 1000)
    atoms.write(tmp_path / "atoms.parquet")
    (tmp_path / "out").mkdir()
    shutil.copytree(Path(__file__).parents[3] / "config", tmp_path / "config")
    arguments = ["contacts", "--atoms", "atoms.parquet", "--trajectory", "t.xtc", "--workers", "3"]
    arguments += ["--contacts", "out/contacts.arrow", "--rdf", "out/rdf.npz"]
    command = [sys.executable, "-m", "lmbmd", *arguments]
    pipes: dict = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    # A shell ignores Ctrl-C in what it runs in the background, and so would these tests there.
    with subprocess.Popen(command, cwd=tmp_path, preexec_fn=hear_ctrl_c, **pipes) as process:
        end = time.monotonic() + 120
        while len(workers := children(process.pid)) < 3 or not list((tmp_path / "out").glob(".*partial*")):
            assert time.monotonic() < end and process.poll() is None, process.communicate()
            time.sleep(0.05)
        time.sleep(1.0)
        process.send_signal(how)
        said = process.communicate(timeout=60)[1]
    assert process.returncode in (-how, 128 + how)
    assert "Traceback" not in said, said
    end = time.monotonic() + 60
    while alive := [pid for pid in workers if Path(f"/proc/{pid}").exists() and "Z" not in state_of(pid)]:
        assert time.monotonic() < end, f"workers go on: {alive}"
        time.sleep(0.1)
    left = [p.name for p in (tmp_path / "out").iterdir()]
    assert left == [] or how == signal.SIGKILL, "nothing half done stays"


def hear_ctrl_c() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def children(pid: int) -> list[int]:
    """Processes that a process started, and those that these started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(child) for child in task.read_text(encoding="utf-8").split()]
    return found + [grandchild for child in found for grandchild in children(child)]


def state_of(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0]
    return "Z"


def test_a_file_that_is_no_contact_table_is_named(tmp_path):
    (tmp_path / "x.arrow").write_text("no", encoding="utf-8")
    with pytest.raises(LmbmdError, match=r"x\.arrow: this is no contact table"):
        _ = ContactFile(tmp_path / "x.arrow").n_frames


def test_the_twin_that_tries_every_image_agrees_with_the_one_that_makes_molecules_whole():
    rng = np.random.default_rng(1)
    atoms, frame = boxes.electrolyte(rng, boxes.SKEWED)
    other = systems.contacts_from_positions(atoms, frame.positions, frame.box)
    rows = naive.contact_rows(frame, atoms, 5.0)
    assert other.atom.tolist() == [c[0] for row in rows for c in row]
