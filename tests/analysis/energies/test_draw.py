"""Shells drawn by class: the classes by a slow twin, the draw fair, seeded and spread, the shells whole."""

from __future__ import annotations

import json

import chains
import numpy as np
import pytest
import systems
from boxes import SKEWED
from systems import DME, FSI, LI

from lmbmd.analysis.clusters.ions import ions_of
from lmbmd.analysis.energies.draw import draw, partner_classes, shell_classes, spread
from lmbmd.analysis.first_shell import first_shell
from lmbmd.analysis.options import DescribeOptions
from lmbmd.analysis.scan.contacts import run_contacts
from lmbmd.analysis.scan.radial_account import pooled_rdf
from lmbmd.analysis.shells.cutoffs import first_shell_cutoffs
from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import sealed
from lmbmd.data.frames import Frame
from lmbmd.quantum import bands
from lmbmd.quantum.drawn import CLASSES, NEUTRAL_CLASSES, Drawn
from lmbmd.quantum.options import QuantumOptions
from lmbmd.trajectory import read_frames

RADIUS_A = 4.0


def test_the_class_is_that_of_the_anion_which_touches_most_ions():
    """By hand: bare, with solvent, a pair, two anions of its own, an anion of two, one of three."""
    atoms = systems.atom_table((LI, 9), (FSI, 6), (DME, 1))
    contacts = [(1, ("DME", 0), 0), (2, ("FSI", 0), 0), (3, ("FSI", 1), 0), (3, ("FSI", 2), 0)]
    contacts += [(4, ("FSI", 3), 0), (5, ("FSI", 3), 1), *((k, ("FSI", 4), k - 6) for k in (6, 7, 8))]
    contacts += [(8, ("FSI", 5), 0)]
    shell = systems.first(atoms, systems.frame(atoms, contacts))
    wanted = ["SSIP", "SSIP", "CIP", "CIP", "AGG-I", "AGG-I", "AGG-II", "AGG-II", "AGG-II"]
    assert [CLASSES[k] for k in shell_classes(shell, 3)] == wanted
    assert [CLASSES[k] for k in shell_classes(shell, 4)] == [w.replace("AGG-II", "AGG-I") for w in wanted]


@pytest.mark.parametrize(("n", "wanted"), [(0, 5), (3, 5), (5, 5), (17, 5), (100, 20)])
def test_a_draw_is_without_repetition_and_over_the_whole_length(n, wanted):
    found = spread(n, wanted, np.random.default_rng(1))
    assert len(found) == min(n, wanted) and (np.diff(found) > 0).all()
    if n > wanted:
        assert found[0] < -(-n // wanted) and found[-1] >= n - -(-n // wanted)


def test_every_shell_is_as_likely_to_be_drawn():
    """4000 draws of 4 of 10: each 1600 times, ± 31, were all stretches equally long; 2 and 3 are 1/2 and 1/3."""
    rng = np.random.default_rng(2)
    times = np.bincount(np.concatenate([spread(10, 4, rng) for _ in range(4000)]), minlength=10)
    assert times.sum() == 16000 and 1333 - 160 < times.min() and times.max() < 2000 + 160


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Forty frames of molecules strewn at random but apart, wrapped into a skewed cell, with their contacts."""
    from MDAnalysis.lib.formats.libmdaxdr import XTCFile

    folder, rng = tmp_path_factory.mktemp("run"), np.random.default_rng(4)
    atoms = systems.atom_table((LI, 12), (FSI, 12), (DME, 12))
    shape = rng.normal(0, 0.9, (len(atoms), 3)) * (np.diff(atoms.first_atom)[atoms.molecule] > 1)[:, None]
    with XTCFile(str(folder / "t.xtc"), "w") as file:
        for i in range(40):
            inside = strewn(rng, atoms, shape)
            positions = (inside - np.floor(inside)) @ SKEWED / 10
            file.write(positions.astype(np.float32), (SKEWED / 10).astype(np.float32), i, 2.0 * i, 1e3)
    frames = read_frames(folder / "t.xtc", atoms)
    contacts, rdf = run_contacts(frames, atoms, folder / "contacts.arrow", folder / "rdf.npz", progress=False)
    describing = DescribeOptions(cutoffs_A=dict.fromkeys(atoms.sites, RADIUS_A))
    return atoms, frames, contacts, rdf, describing, shape


def strewn(rng, atoms, shape):
    """Fractional coordinates of molecules at random places, none with an atom within 1.2 Å of another's."""
    placed = np.empty((0, 3))
    for k in range(atoms.n_molecules):
        body = shape[atoms.first_atom[k] : atoms.first_atom[k + 1]] @ np.linalg.inv(SKEWED)
        while True:
            new = body + rng.uniform(0, 1, 3)
            apart = new[:, None] - placed[None]
            if np.linalg.norm((apart - np.rint(apart)) @ SKEWED, axis=2).min(initial=9.0) > 1.2:
                break
        placed = np.vstack([placed, new])
    return placed


def drawn(run, **options) -> Drawn:
    atoms, frames, contacts, rdf, describing, _ = run
    return draw(frames, contacts, [rdf], atoms, "Li", QuantumOptions(**options), describing)


def test_shells_are_whole_and_what_their_contacts_say(run, tmp_path):
    atoms, _, _, _, _, shape = run
    found = drawn(run, shells_per_class=6)
    assert found.counts.shape == (40, 4) and (found.counts.sum(axis=1) == 12).all()
    assert {shell.kind for shell in found.shells} == {k for k, n in zip(CLASSES, found.counts.sum(0), strict=True) if n}
    lengths = {
        name: sorted(
            np.linalg.norm(shape[a + 1] - shape[a])
            for u in systems.molecules(atoms, name)
            for a in range(atoms.first_atom_of_unit[u], atoms.first_atom_of_unit[u + 1] - 1)
        )
        for name in ("FSI", "DME")
    }
    for shell in found.shells:
        assert shell.molecules[0].species == "Li" and len(shell.element) == len(shell.xyz_A)
        touched = {next(k for k, a in enumerate(shell.atoms) if donor in a) for _, donor in shell.contacts}
        assert touched == set(range(1, len(shell.molecules)))  # every molecule is there for a contact
        for ion, donor in shell.contacts:
            assert ion == 0 and np.linalg.norm(shell.xyz_A[donor]) <= RADIUS_A + 0.02
        assert (shell.kind == "SSIP") == all(m.charge_e >= 0 for m in shell.molecules)
        for molecule, span in zip(shell.molecules[1:], shell.atoms[1:], strict=True):
            bonds = np.linalg.norm(np.diff(shell.xyz_A[list(span)], axis=0), axis=1)
            near = np.abs(bonds[:, None] - np.array(lengths[molecule.species])).min(axis=1)
            assert near.max() < 0.03  # a molecule torn by the boundary would have a bond of many Å
    found.write(tmp_path / "shells.json")
    again = Drawn.read(tmp_path / "shells.json")
    assert [s.plain() for s in again.shells] == [s.plain() for s in found.shells]
    assert (again.counts == found.counts).all()


def test_the_counts_are_those_of_every_frame_by_itself(run):
    atoms, _, contacts, rdf, describing, _ = run
    cutoffs = first_shell_cutoffs(pooled_rdf([rdf]), atoms, describing.cutoffs_A)
    counts = []
    for full in contacts:
        shell = first_shell(full, cutoffs, atoms, ions_of(atoms))
        of_anion: dict[int, set[int]] = {}
        for centre, unit in zip(shell.pairs.centre.tolist(), shell.pairs.unit.tolist(), strict=True):
            if atoms.species[atoms.unit_species[unit]].charge < 0:
                of_anion.setdefault(unit, set()).add(centre)
        most = [max((len(c) for c in of_anion.values() if k in c), default=0) for k in range(12)]
        counts.append([most.count(0), most.count(1), most.count(2), sum(m > 2 for m in most)])
    assert (drawn(run, shells_per_class=1).counts == counts).all()


def test_the_draw_is_seeded_and_spread_over_the_run(run):
    one, same, other = (drawn(run, shells_per_class=5, seed=s) for s in (1, 1, 2))
    assert [s.plain() for s in one.shells] == [s.plain() for s in same.shells]
    assert [s.plain() for s in one.shells] != [s.plain() for s in other.shells]
    times = [s.time_ps for s in one.shells if s.kind == "SSIP"]
    assert len(times) == 5 and times == sorted(times) and times[-1] - times[0] > 30


def test_chains_are_refused_in_words(run):
    _, frames, contacts, rdf, describing, _ = run
    atoms = systems.atom_table((LI, 4), (FSI, 4), (chains.peo(5), 2))
    found = draw(frames, contacts, [rdf], atoms, "Li", QuantumOptions(), describing)
    assert found.shells == () and "units of chains (PEO)" in found.why_not


def test_another_trajectory_is_refused(run):
    atoms, frames, contacts, rdf, describing, _ = run
    with pytest.raises(LmbmdError, match=r"39 frames.*contacts were found in 40"):
        draw(frames.part(0, 39), contacts, [rdf], atoms, "Li", QuantumOptions(), describing)
    assert isinstance(next(iter(frames.part(0, 1))), Frame)


def test_the_class_of_an_anion_is_by_how_many_ions_touch_it():
    """By hand: alone, one ion, one ion that has another anion, two, three."""
    atoms = systems.atom_table((LI, 8), (FSI, 5), (DME, 1))
    contacts = [(0, ("DME", 0), 0), (1, ("FSI", 1), 0), (1, ("FSI", 2), 0), (1, ("FSI", 2), 1)]
    contacts += [(k, ("FSI", 3), k - 2) for k in (2, 3)] + [(k, ("FSI", 4), k - 4) for k in (4, 5, 6)]
    shell = systems.first(atoms, systems.frame(atoms, contacts))
    anions = systems.molecules(atoms, "FSI")
    three, four = (partner_classes(shell, anions, (1, 2, agg_ii_from)) for agg_ii_from in (3, 4))
    assert [CLASSES[k] for k in three] == ["SSIP", "CIP", "CIP", "AGG-I", "AGG-II"]
    assert [CLASSES[k] for k in four] == ["SSIP", "CIP", "CIP", "AGG-I", "AGG-I"]


def test_the_class_of_a_solvent_is_by_how_many_ions_touch_it():
    """By hand: free, one ion by one oxygen and by two, two ions by one oxygen each and by the same, three; its number
    of bonds and what else the ions touch do not matter."""
    atoms = systems.atom_table((LI, 8), (DME, 6), (FSI, 1))
    contacts = [(0, ("DME", 1), 0), (1, ("DME", 2), 0), (1, ("DME", 2), 1), (2, ("DME", 3), 0), (3, ("DME", 3), 1)]
    contacts += [(k, ("DME", 4), 1) for k in (4, 5)] + [(k, ("DME", 5), 1) for k in (5, 6, 7)] + [(0, ("FSI", 0), 3)]
    shell = systems.first(atoms, systems.frame(atoms, contacts))
    found = partner_classes(shell, systems.molecules(atoms, "DME"), (1, 2))
    assert [NEUTRAL_CLASSES[k] for k in found] == ["free", "bound", "bound", "bridging", "bridging", "bridging"]


def test_an_anion_is_drawn_with_its_ions_and_all_that_these_touch(run, tmp_path):
    atoms, _, contacts, rdf, describing, _ = run
    found = drawn(run, shells_per_class=2, bands={"per_class": 4})
    (of_fsi,) = found.partners  # the solvent is drawn only where it is asked for
    assert of_fsi.species == "FSI" and of_fsi.counts.shape == (40, 4) and (of_fsi.counts.sum(axis=1) == 12).all()
    cutoffs = first_shell_cutoffs(pooled_rdf([rdf]), atoms, describing.cutoffs_A)
    touches = []
    for full in contacts:
        pairs = first_shell(full, cutoffs, atoms, ions_of(atoms)).pairs
        touches.append({(int(c), int(u)) for c, u in zip(pairs.centre, pairs.unit, strict=True)})
    anions = systems.molecules(atoms, "FSI")
    of_frame = [[sum((c, u) in one for c in range(12)) for u in anions] for one in touches]
    wanted = [[n.count(0), n.count(1), n.count(2), sum(k > 2 for k in n)] for n in of_frame]
    assert (of_fsi.counts == wanted).all()
    fewest = {"SSIP": (0, 0), "CIP": (1, 1), "AGG-I": (2, 2), "AGG-II": (3, 12)}
    assert {shell.kind for shell in of_fsi.shells} >= {"SSIP", "CIP"}
    for shell in of_fsi.shells:
        ions = {a for a, _ in shell.contacts}
        low, high = fewest[shell.kind]
        assert low <= len(ions) <= high and shell.molecules[0].species == "FSI"
        assert all(shell.element[ion] == "Li" and donor in shell.atoms[0] for ion, donor in shell.contacts)
        for ion, donor in shell.contacts:
            assert np.linalg.norm(shell.xyz_A[ion] - shell.xyz_A[donor]) <= RADIUS_A + 0.02
        if shell.kind == "CIP":  # the shell of its one ion, seen from the anion
            number = [u for u, n in zip(anions, of_frame[shell.frame], strict=True) if n == 1]
            sizes = [
                sum(c == centre for c, _ in touches[shell.frame])
                for u in number
                for centre in range(12)
                if (centre, u) in touches[shell.frame]
            ]
            assert len(shell.molecules) - 1 in sizes  # the ion, and all that it touches but the anion
        for molecule, span in zip(shell.molecules, shell.atoms, strict=True):
            assert sum(shell.charge_e[k] for k in span) == pytest.approx(molecule.charge_e, abs=1e-9)
    assert not drawn(run, shells_per_class=2).partners
    found.write(tmp_path / "shells.json")
    (again,) = Drawn.read(tmp_path / "shells.json").partners
    assert again.plain() == of_fsi.plain()


def test_solvents_that_are_asked_for_are_drawn_by_the_same_rules(run, tmp_path):
    """Counts by a slow twin; who is drawn touches as many ions as its class says; anions are drawn as without them."""
    atoms, _, contacts, rdf, describing, _ = run
    found = drawn(run, shells_per_class=1, bands={"per_class": 4, "of": ["DME", "FSI", "EC"]})  # EC: of another bottle
    of_fsi, of_dme = found.partners
    assert (of_fsi.species, of_dme.species, of_dme.classes) == ("FSI", "DME", ("free", "bound", "bridging"))
    assert of_fsi.plain() == drawn(run, shells_per_class=1, bands={"per_class": 4}).partners[0].plain()
    cutoffs = first_shell_cutoffs(pooled_rdf([rdf]), atoms, describing.cutoffs_A)
    counts = []
    for full in contacts:
        shell = first_shell(full, cutoffs, atoms, ions_of(atoms)).contacts
        touching = {u: set() for u in systems.molecules(atoms, "DME").tolist()}
        for row, atom in zip(shell.row.tolist(), shell.atom.tolist(), strict=True):
            touching.get(int(atoms.molecule[atom]), set()).add(row)
        n = [len(ions) for ions in touching.values()]
        counts.append([n.count(0), n.count(1), sum(k > 1 for k in n)])
    assert (of_dme.counts == counts).all() and (of_dme.counts.sum(axis=0) > 0).all()
    wanted = [kind for kind, n in zip(of_dme.classes, of_dme.counts.sum(axis=0), strict=True) for _ in range(min(n, 4))]
    assert [shell.kind for shell in of_dme.shells] == wanted
    fewest = {"free": (0, 0), "bound": (1, 1), "bridging": (2, 12)}
    for shell in of_dme.shells:
        ions = {a for a, _ in shell.contacts}
        low, high = fewest[shell.kind]
        assert low <= len(ions) <= high and all(donor in shell.atoms[0] for _, donor in shell.contacts)
        assert (shell.molecules[0].species, shell.molecules[0].charge_e) == ("DME", 0)
        assert (len(shell.molecules) == 1) == (shell.kind == "free")  # by itself: nobody knows what is round it
        assert sum(shell.charge_e[k] for k in shell.atoms[0]) == pytest.approx(0, abs=1e-9)
        for ion, donor in shell.contacts:
            assert np.linalg.norm(shell.xyz_A[ion] - shell.xyz_A[donor]) <= RADIUS_A + 0.02
    found.write(tmp_path / "shells.json")
    again = Drawn.read(tmp_path / "shells.json").partners
    assert [one.plain() for one in again] == [one.plain() for one in found.partners]


def test_a_file_from_before_solvents_were_drawn_is_read_and_other_classes_are_not(run, tmp_path):
    found, path = drawn(run, shells_per_class=1, bands={"per_class": 1}), tmp_path / "shells.json"
    found.write(path)
    data = json.loads(path.read_text(encoding="utf-8"))
    (of_fsi,) = data.pop("partners")

    def read(key, **changed):
        one = {name: value for name, value in {**of_fsi, **changed}.items() if value is not None}
        plain = {name: value for name, value in data.items() if name != "sha256"}
        path.write_text(json.dumps(sealed({**plain, key: [one]})), encoding="utf-8")
        return Drawn.read(path).partners[0].plain()

    assert read("anions", classes=None) == found.partners[0].plain()
    for wrong in (["free", "bound", "bridging"], ["SSIP", "CIP", "AGG-II", "AGG-I"], 3):
        with pytest.raises(LmbmdError, match="Run the draw stage again"):
            read("partners", classes=wrong)
    first, *others = of_fsi["shells"]
    with pytest.raises(LmbmdError, match="Run the draw stage again"):
        read("partners", shells=[{**first, "kind": "free"}, *others])
    data["shells"][0]["kind"] = "bound"  # which no shell of an ion is
    with pytest.raises(LmbmdError, match="Run the draw stage again"):
        read("partners")


def test_charges_around_are_those_of_the_simulation_without_its_scale_of_ions(run):
    atoms = run[0]
    (of_fsi,) = drawn(run, shells_per_class=1, bands={"per_class": 1}).partners
    shell = next(one for one in of_fsi.shells if one.kind != "SSIP")
    job = bands.band_job(shell, bands.Band("x", (((0, 1),),), (0.0, 1.0)))
    ions = len({a for a, _ in shell.contacts})
    assert job["charge_e"] == ions - 1 and job["element"][-ions:] == ["Li"] * ions
    assert len(job["around_e"]) == len(job["around_A"]) == len(shell.element) - shell.molecules[0].n_atoms - ions
    alone = bands.band_job(shell, bands.Band("x", (((0, 1),),), (0.0, 1.0)), is_alone=True)
    assert alone["charge_e"] == -1 and not alone["around_e"] and len(alone["element"]) == shell.molecules[0].n_atoms
    assert len(atoms) > len(alone["element"])
