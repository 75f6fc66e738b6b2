"""The relative permittivity: of dipoles that turn as is known, and against GROMACS and MDAnalysis on one trajectory."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import replace
from types import SimpleNamespace

import boxes
import MDAnalysis as mda
import numpy as np
import pytest
import systems
from MDAnalysis.analysis.dielectric import DielectricConstant
from scipy.spatial.transform import Rotation

from lmbmd.analysis.dynamics.coefficients import permittivity
from lmbmd.analysis.scan.contacts import find_contacts, run_contacts
from lmbmd.analysis.scan.permittivity_account import Dipoles, permittivity_account
from lmbmd.box.build import build_box
from lmbmd.box.export import export
from lmbmd.data.atoms import AtomTable
from lmbmd.data.contacts import ContactFile
from lmbmd.data.frames import Frame
from lmbmd.forcefield.parameters import load_set
from lmbmd.forcefield.sets import available_sets
from lmbmd.trajectory import read_frames

TEMPERATURE_K = 300.0
#: A solvent of two atoms, 1 Å apart, with a charge of ±0.5 e: a dipole of 0.5 e Å.
ROD = systems.Model("ROD", "solvent", 0, (("O", "O"), ("C", "")))
DIPOLE_EA = 0.5


def box_of(n: int, ions: int = 4, **columns) -> AtomTable:
    """Rods and ions; the anion has a dipole as well."""
    atoms = systems.atom_table((systems.LI, ions), (systems.NO3, ions), (ROD, n))
    charge = np.where(atoms.species_id == 0, 0.8, 0.0)
    charge[atoms.species_id == 1] = np.tile([0.7, -0.3, -0.6, -0.6], ions)
    charge[atoms.species_id == 2] = np.tile([-0.5, 0.5], n)
    return replace(atoms, **{"charge_e": charge, **columns})


def expected(n: int, volume_A3: float) -> float:
    """1 + N µ² / (3 ε₀ V k T) of rods that do not know of each other, in SI units."""
    dipole_Cm = DIPOLE_EA * 1.602176634e-19 * 1e-10
    return 1 + n * dipole_Cm**2 / (3 * 8.8541878128e-12 * volume_A3 * 1e-30 * 1.380649e-23 * TEMPERATURE_K)


def directions(rng, n_frames: int, n: int, tau: float) -> np.ndarray:
    """(n_frames, n, 3) unit vectors, each drawn anew at random times: <u(0)·u(t)> = exp(−t / τ), each for itself."""
    u = rng.normal(size=(n_frames, n, 3))
    u /= np.linalg.norm(u, axis=2, keepdims=True)
    stays = rng.random((n_frames, n)) < np.exp(-1 / tau)
    stays[0] = False
    since = np.maximum.accumulate(np.where(stays, 0, np.arange(n_frames)[:, None]), axis=0)
    return np.take_along_axis(u, since[:, :, None], axis=0)


def turning(rng, n_frames: int, n: int, tau: float, volume_A3: float) -> np.ndarray:
    """M / √V of each frame, as ``Dipoles`` gives it."""
    return DIPOLE_EA * directions(rng, n_frames, n, tau).sum(axis=1) / np.sqrt(volume_A3)


def row(dipoles, atoms, temperature_K=TEMPERATURE_K):
    (found,) = permittivity_account(dipoles, atoms, temperature_K).rows
    return found


# ---- the number


@pytest.mark.parametrize("replicas", [1, 3])
def test_dipoles_that_know_nothing_of_each_other_give_the_permittivity_that_follows_from_their_number(replicas):
    rng, found = np.random.default_rng(1), []
    truth = expected(40, 20.0**3)
    assert 2 < truth < 20
    for n, volume_A3 in ((40, 20.0**3), (80, 2 * 20.0**3)):  # twice the box: the same
        runs = [turning(rng, 4000, n, 8.0, volume_A3) for _ in range(replicas)]
        found.append(row(runs, box_of(n)))
    for one in found:
        assert one.value == pytest.approx(truth, abs=3 * one.error) and one.doubt == ""
        # So many times of relaxation, each half of it for a square, on three axes.
        relative = np.sqrt(2 / (3 * replicas * 4000 / 8.0))
        assert one.error == pytest.approx(relative * (truth - 1), rel=0.35)
        assert one.n_effective == pytest.approx(3 * replicas * 4000 / 8.0, rel=0.5)


def test_the_mean_dipole_is_not_taken_off_which_would_make_short_runs_too_small():
    """Runs of three times of relaxation: the mean of many is the truth, and less once each M has its mean off."""
    rng = np.random.default_rng(2)
    runs = [turning(rng, 60, 40, 20.0, 8000.0) for _ in range(400)]
    whole = np.array([np.mean(np.sum(one**2, axis=1)) for one in runs])
    off = np.array([np.sum(np.var(one, axis=0)) for one in runs])
    truth = 40 * DIPOLE_EA**2 / 8000.0
    assert whole.mean() == pytest.approx(truth, abs=4 * whole.std() / 20)
    # What is lost is the square of the mean: 2 / x (1 − (1 − e⁻ˣ) / x) of it, x times of relaxation.
    lost = 2 / 3 * (1 - (1 - np.exp(-3)) / 3)
    assert 1 - off.mean() / truth == pytest.approx(lost, abs=0.08)
    assert off.mean() < 0.7 * truth
    assert row(runs, box_of(40)).value == pytest.approx(expected(40, 8000.0), rel=0.1)


@pytest.mark.parametrize(("n_frames", "tau"), [(1, 10.0), (30, 1e9), (60, 20.0), (400, 40.0)])
def test_a_run_of_few_relaxation_times_has_a_bound_and_no_value(n_frames, tau):
    rng, held = np.random.default_rng(3), []
    for _ in range(40):
        found = row([turning(rng, n_frames, 40, tau, 8000.0)], box_of(40))
        if found.doubt_kind == "too_short_below":
            assert np.isnan(found.value) and np.isnan(found.error)
            assert f"below {found.doubt_n:.2g} at 95 %" in found.doubt and found.doubt_at > 1
            held.append(found.doubt_n > expected(40, 8000.0))
    assert len(held) >= 36 and np.mean(held) > 0.85


def test_longer_runs_and_more_replicas_count_for_each_other():
    rng = np.random.default_rng(4)
    run = turning(rng, 8000, 40, 20.0, 8000.0)
    whole, split = row([run], box_of(40)), row(np.split(run, 4), box_of(40))
    assert split.value == pytest.approx(whole.value, rel=1e-12)
    assert split.error == pytest.approx(whole.error, rel=0.1)
    short = [turning(rng, 150, 40, 20.0, 8000.0) for _ in range(8)]
    assert np.isnan(row(short[:1], box_of(40)).value) and np.isfinite(row(short, box_of(40)).value)


def test_replicas_that_differ_lastingly_give_no_value():
    rng = np.random.default_rng(5)
    runs = [f * turning(rng, 3000, 40, 5.0, 8000.0) for f in (1.0, 1.0, 1.5)]
    found = row(runs, box_of(40))
    assert found.doubt_kind == "too_short_below" and np.isnan(found.value) and found.n_effective == 9


def test_a_box_that_is_polarised_has_no_value():
    rng = np.random.default_rng(6)
    run = turning(rng, 20000, 40, 5.0, 8000.0)
    assert np.isfinite(row([run], box_of(40)).value)
    field = 0.3 * np.sqrt((run**2).mean()) * np.array([0.6, 0.0, 0.8])
    found = row([run + field], box_of(40))
    assert np.isnan(found.value) and found.doubt_kind == "polarised"


# ---- what is missing


def test_nothing_is_said_without_temperature_charges_or_neutral_molecules():
    rng = np.random.default_rng(7)
    run, atoms = [turning(rng, 2000, 40, 5.0, 8000.0)], box_of(40)
    assert row(run, atoms, float("nan")).doubt_kind == "no_temperature"
    unknown = row(run, replace(atoms, charge_e=np.where(atoms.species_id == 2, np.nan, atoms.charge_e)))
    assert "the partial charges of ROD are not known" in unknown.method and unknown.doubt_kind == "no_partial_charges"
    one = atoms.charge_e.copy()
    one[-1] = np.nan
    assert row(run, replace(atoms, charge_e=one)).doubt_kind == "no_partial_charges"
    bare = row(run, replace(atoms, charge_e=np.where(atoms.species_id == 2, 0.0, atoms.charge_e)))
    assert bare.doubt_kind == "no_dipole"
    rest = row(run, replace(atoms, charge_e=np.where(atoms.species_id == 2, -0.4, atoms.charge_e)))
    assert rest.doubt_kind == "not_neutral" and "add up to -0.8 e" in rest.doubt
    ions = systems.atom_table((systems.LI, 2), (systems.FSI, 2))
    assert row(run, ions).doubt_kind == "no_solvent"
    for found in (unknown, bare, rest):
        assert np.isnan(found.value) and np.isnan(found.error)
    # Of ions they need not be known, and those of a model that scales them do not count.
    other = np.where(atoms.species_id == 2, atoms.charge_e, np.nan)
    assert row(run, replace(atoms, charge_e=other)).value == row(run, atoms).value


# ---- dipoles of frames


def frames_of(rng, atoms, n_frames=4, box=boxes.SKEWED, strain=0.0):
    """Rods of fixed length at places and in directions of their own, whole; and their M."""
    first, n = atoms.first_atom[:-1], atoms.n_molecules
    frames, total = [], []
    for k in range(n_frames):
        cell = box * (1 + strain * rng.normal())
        place = boxes.grains(rng.uniform(0, 1, (n, 3)) @ cell)
        # Directions along the grid of what float32 holds exactly.
        u = boxes.grains(rng.normal(size=(len(atoms), 3)))
        u[first] = 0.0
        positions = place[atoms.molecule] + u
        neutral = atoms.species_id == 2
        total.append((atoms.charge_e[:, None] * positions)[neutral].sum(axis=0))
        frames.append(Frame(k, float(k), positions.astype(np.float32), cell))
    return frames, np.array(total)


def dipoles(frames, atoms) -> np.ndarray:
    fold = Dipoles(atoms)
    for contacts in find_contacts(frames, atoms)[0]:
        fold.add(systems.first(atoms, contacts))
    return fold.result()


def volumes(frames):
    return np.array([abs(np.linalg.det(frame.box)) for frame in frames])


@pytest.mark.parametrize("strain", [0.0, 0.02])
def test_the_dipole_is_that_of_whole_neutral_molecules_wherever_their_atoms_stand(strain):
    rng, atoms = np.random.default_rng(8), box_of(30)
    frames, total = frames_of(rng, atoms, strain=strain)
    found = dipoles(frames, atoms)
    np.testing.assert_allclose(found, total / np.sqrt(volumes(frames))[:, None], atol=1e-9)
    # Every atom in an image of its own; and the mass centres somewhere else.
    broken = [boxes.broken(rng, frame) for frame in frames]
    np.testing.assert_allclose(dipoles(broken, atoms), found, atol=1e-5 if strain else 1e-9)
    away = [boxes.moved(frame, np.array([7.0, -3.0, 2.0])) for frame in frames]
    np.testing.assert_allclose(dipoles(away, atoms), found, atol=1e-6)


def test_a_table_has_the_dipole_of_each_species_as_the_slow_twin_finds_it():
    rng, atoms = np.random.default_rng(9), box_of(12)
    frames, _ = frames_of(rng, atoms)
    for frame, contacts in zip(frames, find_contacts(frames, atoms)[0], strict=True):
        naive = systems.contacts_from_positions(atoms, frame.positions, frame.box)
        np.testing.assert_allclose(contacts.dipole, naive.dipole, atol=1e-9)
        assert np.abs(contacts.dipole[1:]).max() > 0.1 and (contacts.dipole[0] == 0).all()


def test_turned_boxes_have_turned_dipoles_and_the_same_permittivity():
    rng, atoms = np.random.default_rng(10), box_of(30)
    frames, _ = frames_of(rng, atoms, n_frames=6)
    turn = Rotation.from_rotvec([0.3, -1.1, 0.7]).as_matrix()
    turned = [replace(f, positions=(f.positions @ turn).astype(np.float32), box=f.box @ turn) for f in frames]
    one, other = dipoles(frames, atoms), dipoles(turned, atoms)
    np.testing.assert_allclose(other, one @ turn, atol=1e-5)
    run = turning(rng, 4000, 40, 8.0, 8000.0)
    known, again = row([run], box_of(40)), row([run @ turn], box_of(40))
    assert again.value == pytest.approx(known.value, rel=1e-9) and again.error == pytest.approx(known.error, rel=1e-9)


def test_a_box_beside_its_own_copy_has_twice_the_dipole():
    rng, atoms = np.random.default_rng(11), box_of(30)
    (frame,), total = frames_of(rng, atoms, n_frames=1)
    table, twice, _ = boxes.replicated(atoms, frame, (1, 2, 1))
    table = replace(table, species=atoms.species)
    np.testing.assert_allclose(dipoles([twice], table), 2 * total / np.sqrt(2 * volumes([frame])), atol=1e-9)


# ---- other programs


def test_mdanalysis_finds_the_same_on_the_same_frames():
    rng, atoms = np.random.default_rng(12), box_of(30)
    frames, _ = frames_of(rng, atoms, n_frames=30, box=boxes.STRAIGHT)
    universe = mda.Universe.empty(
        len(atoms), n_residues=atoms.n_molecules, atom_resindex=atoms.molecule, trajectory=True
    )
    universe.add_TopologyAttr("charges", atoms.charge_e)
    universe.add_TopologyAttr("masses", atoms.mass_amu)
    universe.add_TopologyAttr("bonds", [(i, i + 1) for i in np.flatnonzero(atoms.species_id == 2)[::2]])
    sides = np.diag(boxes.STRAIGHT)
    universe.load_new(np.array([f.positions for f in frames]), dimensions=np.array([*sides, 90, 90, 90]))
    rods = universe.atoms[atoms.species_id == 2]
    theirs = DielectricConstant(rods, temperature=TEMPERATURE_K, make_whole=False).run().results
    ours = dipoles(frames, atoms) * np.sqrt(sides.prod())
    np.testing.assert_allclose(ours.mean(axis=0), theirs.M, atol=1e-6)
    np.testing.assert_allclose((ours**2).mean(axis=0), theirs.M2, rtol=1e-5)
    # They take the mean off.
    known = permittivity(ours.var(axis=0).mean() / sides.prod(), TEMPERATURE_K)
    assert known == pytest.approx(float(theirs.eps_mean), rel=1e-5) and known > 1.5


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gmx") is None, reason="GROMACS (gmx) is not installed")
def test_gmx_dipoles_finds_the_same_in_a_run_of_an_electrolyte(tmp_path):
    """1 ps of a carbonate electrolyte in GROMACS: the dipole of the solvents in every frame, and what follows."""
    counts = {"Li": 4, "PF6": 4, "EC": 30, "EMC": 20}
    roles = {"Li": "cation", "PF6": "anion", "EC": "solvent", "EMC": "solvent"}
    composition = SimpleNamespace(counts=counts, roles=roles, box_edge_A=21.0, chains={})
    build_box(composition, load_set(available_sets()[-1]), ion_charge_scale=0.8, seed=5, out_dir=tmp_path)
    atoms = AtomTable.read(tmp_path / "atoms.parquet")
    export(tmp_path, "gromacs", tmp_path / "gmx")

    def gmx(*command, answer=""):
        done = subprocess.run(
            ["gmx", "-nobackup", *command], cwd=tmp_path / "gmx", input=answer, capture_output=True, encoding="utf-8",
            check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr[-2000:]

    text = (tmp_path / "gmx" / "md.mdp").read_text(encoding="utf-8")
    settings = {"nsteps": "1000", "dt": "0.001", "tcoupl": "v-rescale", "pcoupl": "no", "nstxout-compressed": "20"}
    for key, value in settings.items():
        text, n = re.subn(rf"(?m)^{key} .*$", f"{key} = {value}", text)
        assert n == 1, key
    (tmp_path / "gmx" / "md.mdp").write_text(text, encoding="utf-8")
    gmx("grompp", "-f", "minim.mdp", "-p", "topol.top", "-c", "conf.gro", "-o", "minim.tpr")
    gmx("mdrun", "-s", "minim.tpr", "-deffnm", "minim", "-nt", "1", "-nb", "cpu")
    gmx("grompp", "-f", "md.mdp", "-p", "topol.top", "-c", "minim.gro", "-o", "run.tpr", "-maxwarn", "2")
    gmx("mdrun", "-s", "run.tpr", "-deffnm", "run", "-nt", "1", "-nb", "cpu")
    solvent = np.flatnonzero(np.isin(atoms.species_id, [atoms.species_index("EC"), atoms.species_index("EMC")])) + 1
    (tmp_path / "gmx" / "solvent.ndx").write_text("[ solvent ]\n" + " ".join(map(str, solvent)) + "\n", "ascii")
    files = ["-f", "run.xtc", "-s", "run.tpr", "-n", "solvent.ndx", "-o", "M.xvg", "-eps", "eps.xvg"]
    gmx("dipoles", *files, "-temp", "300", "-epsilonRF", "0", answer="0\n")
    of = lambda name: np.loadtxt(tmp_path / "gmx" / name, comments=("#", "@"))  # noqa: E731
    theirs, eps = of("M.xvg"), of("eps.xvg")

    frames = read_frames(tmp_path / "gmx" / "run.xtc", atoms)
    table, _ = run_contacts(frames, atoms, tmp_path / "c.arrow", tmp_path / "r.npz", progress=False)
    fold = Dipoles(atoms)
    for contacts in ContactFile(table.path):
        fold.add(systems.first(atoms, contacts))
    volume_A3 = next(iter(table)).volume_A3
    ours = fold.result() * np.sqrt(volume_A3)
    assert len(ours) == len(theirs) == 51 and np.abs(ours).max() > 1.0
    debye_per_eA = 4.80320
    np.testing.assert_allclose(ours, theirs[:, 1:4] / debye_per_eA, atol=2e-3)
    # It takes the mean off, and each line is about all frames up to its own.
    assert permittivity(ours.var(axis=0).mean() / volume_A3, 300.0) == pytest.approx(eps[-1, 1], rel=2e-3)
    assert len(set(ours[:, 0])) == len(ours)
