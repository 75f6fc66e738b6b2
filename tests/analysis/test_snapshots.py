import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
import systems
from systems import DME, FSI, LI, TTE

from lmbmd.analysis.clusters.options import CompactnessOptions
from lmbmd.analysis.describe import describe
from lmbmd.analysis.families import schemas
from lmbmd.analysis.first_shell import FirstShells
from lmbmd.analysis.options import DescribeOptions
from lmbmd.analysis.scan.contacts import find_contacts
from lmbmd.analysis.shells.coordination import Shells, shell_label
from lmbmd.analysis.shells.cutoffs import Cutoffs, first_shell_cutoffs
from lmbmd.analysis.snapshots import (
    Pick,
    cut_out,
    export_snapshots,
    pick_largest_cluster,
    pick_shells,
    write_snapshots,
)
from lmbmd.core.errors import LmbmdError
from lmbmd.data.contacts import ContactList
from lmbmd.data.described import Described
from lmbmd.data.frames import Frame
from lmbmd.data.rdf import Rdf

BOX = np.array([[25.0, 0, 0], [6.0, 23.0, 0], [-4.0, 5.0, 24.0]])


def cutoffs_of(atoms, radius):
    nothing = Rdf(np.arange(3.0), (), np.zeros((1, 0, 2)), np.zeros((1, 0, 2)), np.array([1]), 2.0)
    return first_shell_cutoffs(nothing, atoms, dict.fromkeys(atoms.sites, radius))


@pytest.fixture(scope="module")
def run():
    """Frames whose atoms are all wrapped into a triclinic cell, so that many molecules are broken."""
    atoms = systems.atom_table((LI, 8), (FSI, 8), (DME, 6))
    rng = np.random.default_rng(5)
    shape = rng.normal(0, 0.7, (len(atoms), 3)) * (np.diff(atoms.first_atom)[atoms.molecule] > 1)[:, None]
    place = rng.uniform(0, 1, (atoms.n_molecules, 3)) @ BOX
    frames = []
    for i in range(5):
        place = place + rng.normal(0, 0.5, place.shape)
        inside = (place[atoms.molecule] + shape) @ np.linalg.inv(BOX)
        frames.append(Frame(10 + i, 2.0 * i, ((inside - np.floor(inside)) @ BOX).astype(np.float32), BOX))
    return atoms, frames, shape


def bond_lengths(atoms, molecule, x):
    return [np.linalg.norm(x[k + 1] - x[k]) for k in range(len(x) - 1)]


def test_cut_out_shell_has_its_donors_where_the_contacts_say_and_molecules_whole(run):
    atoms, frames, shape = run
    contacts, _ = find_contacts(frames, atoms)
    cutoffs = cutoffs_of(atoms, 3.5)
    shells = Shells(atoms, "Li")
    for full in contacts:
        shells.add(systems.first(atoms, cutoffs.first_shell(full, atoms)))
    result = shells.result()
    labels = [shell_label(t, result.ligands) for t in result.types]
    picks = pick_shells(FirstShells(contacts, cutoffs, atoms), atoms, "Li", labels)
    assert [p.label for p in picks] == labels
    by_index = {f.index: f for f in contacts}
    for pick in picks:
        shell = cutoffs.first_shell(by_index[pick.frame], atoms)
        number = int(np.flatnonzero(atoms.molecule[atoms.centres] == pick.units[0])[0])
        atom, x = cut_out(pick, frames[pick.frame - 10], atoms)
        assert (x[0] == 0).all()
        found = dict(zip(atom.tolist(), np.linalg.norm(x, axis=1).tolist(), strict=True))
        row = slice(shell.offsets[number], shell.offsets[number + 1])
        assert set(shell.atom[row].tolist()) <= set(found)
        for a, d in zip(shell.atom[row].tolist(), shell.distance[row].tolist(), strict=True):
            assert found[a] == pytest.approx(d, abs=2e-4)
        for m in pick.units:
            span = np.flatnonzero(atoms.molecule[atom] == m)
            expected = bond_lengths(atoms, m, shape[atom[span]])
            assert bond_lengths(atoms, m, x[span]) == pytest.approx(expected, abs=2e-4)
        species = [atoms.species[k] for k in atoms.molecule_species[pick.units]]
        assert pick.charge == sum(s.charge for s in species)


def test_molecules_broken_over_the_boundary_are_cut_out_whole(run):
    atoms, frames, shape = run
    everyone = np.arange(atoms.n_molecules)
    pick = Pick("all", "all", 10, 0.0, everyone, np.zeros((len(everyone), 3)), 0)
    atom, x = cut_out(pick, frames[0], atoms)
    assert (atom == np.arange(len(atoms))).all()
    broken = 0
    for m in everyone:
        span = slice(atoms.first_atom[m], atoms.first_atom[m + 1])
        expected = bond_lengths(atoms, m, shape[span])
        assert bond_lengths(atoms, m, x[span]) == pytest.approx(expected, abs=2e-4)
        broken += max(bond_lengths(atoms, m, frames[0].positions[span]), default=0) > 10
    assert broken >= 3


def test_instance_closest_to_the_mean_of_the_most_common_denticity_is_taken():
    """DME1 four times: with distances 1.9, 2.1, 2.2 through one atom (mean 2.067), and once through two atoms."""
    atoms = systems.atom_table((LI, 4), (DME, 4))
    contacts = [(0, ("DME", 0), 0, 1.9), (1, ("DME", 1), 0, 2.1), (2, ("DME", 2), 0, 2.2)]
    contacts += [(3, ("DME", 3), 0, 2.06), (3, ("DME", 3), 1, 2.07)]
    table = ContactList([systems.frame(atoms, contacts)], 5.0)
    (pick,) = pick_shells(FirstShells(table, cutoffs_of(atoms, 2.8), atoms), atoms, "Li", ["DME1"])
    assert pick.units.tolist() == [1, 5]
    assert pick.name == "shell-1_DME1"


def test_bare_shell_is_a_lone_centre_and_unknown_labels_are_left_out():
    atoms = systems.atom_table((LI, 2), (DME, 1))
    table = ContactList([systems.frame(atoms, [(0, ("DME", 0), 0)])], 5.0)
    picks = pick_shells(FirstShells(table, cutoffs_of(atoms, 2.8), atoms), atoms, "Li", ["TTE9", "bare"])
    assert [(p.name, p.units.tolist()) for p in picks] == [("shell-2_bare", [1])]


def place(atoms, where, box):
    """Each molecule a point-like ball at its place."""
    x = np.repeat(np.asarray(where, float), np.diff(atoms.first_atom), axis=0)
    return Frame(0, 0.0, (x + 0.01 * np.random.default_rng(0).normal(size=x.shape)).astype(np.float32), box)


def test_largest_finite_cluster_comes_with_its_solvent_in_one_piece():
    """Li–FSI–Li–FSI across the box face with a DME on the last Li, beside a lone pair and a free TTE."""
    atoms = systems.atom_table((LI, 3), (FSI, 3), (DME, 1), (TTE, 1))
    box = np.eye(3) * 30.0
    step = np.array([2.0, 0, 0])
    li, fsi = [[29, 5, 5], [3, 5, 5], [15, 20, 20]], [[1, 5, 5], [5, 5, 5], [15, 20, 22]]
    frame = place(atoms, [*li, *fsi, [3, 7, 5], [20, 5, 20]], box)
    contacts, _ = find_contacts([frame], atoms)
    pick = pick_largest_cluster(FirstShells(contacts, cutoffs_of(atoms, 2.5), atoms), atoms)
    assert sorted(pick.units.tolist()) == [0, 1, 3, 4, 6]
    assert (pick.name, pick.label, pick.charge) == ("cluster_4-ions", "4 ions", 0)
    atom, x = cut_out(pick, frame, atoms)
    where = {m: x[atoms.molecule[atom] == m].mean(axis=0) for m in pick.units.tolist()}
    for m, expected in {3: step, 1: 2 * step, 4: 3 * step, 6: 2 * step + [0, 2, 0]}.items():
        assert where[m] - where[0] == pytest.approx(expected, abs=0.05)


def test_percolating_cluster_is_not_cut_out():
    atoms = systems.atom_table((LI, 2), (FSI, 2))
    box = np.diag([12.0, 20.0, 20.0])
    frame = place(atoms, [[0, 5, 5], [6, 5, 5], [3, 5, 5], [9, 5, 5]], box)
    contacts, _ = find_contacts([frame], atoms)
    assert pick_largest_cluster(FirstShells(contacts, cutoffs_of(atoms, 3.3), atoms), atoms) is None
    apart = pick_largest_cluster(FirstShells(contacts, cutoffs_of(atoms, 1.0), atoms), atoms)
    assert apart is None


def test_files_hold_what_was_cut_out_and_read_back(run, tmp_path):
    import MDAnalysis as mda

    atoms, frames, _ = run
    contacts, _ = find_contacts(frames, atoms)
    picks = [pick_largest_cluster(FirstShells(contacts, cutoffs_of(atoms, 4.0), atoms), atoms)]
    paths = write_snapshots(picks, frames, atoms, tmp_path / "snapshots")
    assert [p.suffix for p in paths] == [".xyz", ".pdb"]
    atom, x = cut_out(picks[0], frames[picks[0].frame - 10], atoms)
    lines = paths[0].read_text("utf-8").splitlines()
    assert int(lines[0]) == len(atom) == len(lines) - 2
    p = picks[0]
    assert lines[1] == f"charge={p.charge} label={p.label} frame={p.frame} time_ps={p.time_ps:g}"
    assert [line.split()[0] for line in lines[2:]] == atoms.element[atom].tolist()
    for path in paths:
        u = mda.Universe(str(path))
        assert u.atoms.positions == pytest.approx(x, abs=1e-3)
    assert u.residues.resnames.tolist() == [
        atoms.species[k].name[:3].upper() for k in atoms.molecule_species[picks[0].units]
    ]
    assert u.atoms.elements.tolist() == atoms.element[atom].tolist()


def test_snapshots_of_a_description_need_only_its_tables(run, tmp_path):
    bare, frames, _ = run
    # Each molecule a ring: one bond more than a tree has.
    molecules = [np.arange(a, b) for a, b in itertools.pairwise(bare.first_atom) if b - a > 2]
    rings = np.concatenate([np.column_stack([m, np.roll(m, 1)]) for m in molecules])
    atoms = replace(bare, bonds=rings)
    table, rdf = find_contacts(frames, atoms)
    quick = CompactnessOptions(frames=1, shuffles=2, neighbourhoods=2)
    describe([(table, rdf)], atoms, DescribeOptions(cutoffs_A={"FSI:O": 3.9}, compactness=quick)).write(tmp_path)
    described = Described.read(tmp_path, schemas())
    paths = export_snapshots(table, frames, atoms, described, tmp_path / "snapshots", top_shells=2)
    labels = described.tables["shells"].label.head(2)
    expected = [f"shell-{rank}_{label.replace(' ', '-')}" for rank, label in enumerate(labels, start=1)]
    assert [p.stem for p in paths[:4:2]] == expected
    assert paths[4].stem.startswith("cluster_") and [p.name for p in paths[6:]] == ["snapshots.json"]
    read = Cutoffs.from_table(described.tables["cutoffs"], atoms)
    assert read.radius_A[0, atoms.sites.index("FSI:O")] == 3.9
    assert len(read.rows) == len(atoms.sites)
    for record, xyz in zip(json.loads(paths[6].read_text("utf-8")), paths[:6:2], strict=True):
        lines = xyz.read_text("utf-8").splitlines()
        assert record["name"] == xyz.stem and record["replica"] == 1
        assert f"charge={record['charge_e']} label={record['label']} frame={record['frame']} " in lines[1]
        assert record["element"] == [line.split()[0] for line in lines[2:]]
        x = np.array([line.split()[1:] for line in lines[2:]], float)
        assert np.array(record["xyz_A"]) == pytest.approx(x, abs=6e-4)
        owner = np.repeat(np.arange(len(record["species"])), [n for _, n in record["species"]])
        assert len(owner) == len(x) and record["species"][0] == ["Li", 1]
        sizes = [n for _, n in record["species"]]
        starts = np.cumsum([0, *sizes])
        ring = lambda a, n: {(a + k, a + k + 1) for k in range(n - 1)} | {(a, a + n - 1)}  # noqa: E731
        expected = set().union(*(ring(a, n) for a, n in zip(starts.tolist(), sizes, strict=False) if n > 2))
        assert set(map(tuple, record["bonds"])) == expected and len(record["bonds"]) == len(expected)
        for centre, donor in record["contacts"]:
            assert record["element"][centre] == "Li" and np.linalg.norm(x[centre] - x[donor]) <= 4.0
        # Whoever is in a shell touches its centre.
        touching = {int(owner[donor]) for centre, donor in record["contacts"] if centre == 0}
        if xyz.stem.startswith("shell"):
            assert touching == set(range(1, len(record["species"])))


def test_frame_that_the_trajectory_lacks_is_a_readable_error(run, tmp_path):
    atoms, frames, _ = run
    pick = Pick("x", "x", 99, 0.0, np.array([0]), np.zeros((1, 3)), 1)
    with pytest.raises(LmbmdError, match="the trajectory has no frame 99") as caught:
        write_snapshots([pick], frames, atoms, tmp_path)
    assert "same stride" in caught.value.remedy


def test_names_of_files_are_restricted():
    atoms = systems.atom_table((LI, 1), (systems.Model("../x y", "solvent", 0, (("O", "O"),)), 1))
    table = ContactList([systems.frame(atoms, [(0, ("../x y", 0), 0)])], 5.0)
    (pick,) = pick_shells(FirstShells(table, cutoffs_of(atoms, 2.8), atoms), atoms, "Li", ["../x y1"])
    assert pick.name == "shell-1_-x-y1"


def test_pdb_columns_are_where_the_format_wants_them(run, tmp_path):
    atoms, frames, _ = run
    pick = Pick("li", "bare", 10, 0.0, np.array([0, 8]), np.zeros((2, 3)), 0)
    write_snapshots([pick], frames, atoms, tmp_path)
    first, second = itertools.islice((tmp_path / "li.pdb").read_text("utf-8").splitlines(), 1, 3)
    assert (first[:6], first[12:16], first[17:20], first[76:78]) == ("HETATM", "Li0 ", " LI", "Li")
    assert (first[30:38], first[38:46], first[46:54]) == ("   0.000",) * 3
    assert (second[12:16], second[17:20], second[22:26], second[76:78]) == (" N0 ", "FSI", "   2", " N")
