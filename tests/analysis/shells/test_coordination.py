import collections

import numpy as np
import pytest
import systems
from systems import DME, FSI, LI, NA, TTE

from lmbmd.analysis.first_shell import bonds
from lmbmd.analysis.shells.coordination import PerFrame, Shells, shell_label
from lmbmd.data.atoms import AtomTable
from lmbmd.data.contacts import ContactList, FrameContacts


def fold(atoms, frames, centre="Li"):
    shells = Shells(atoms, centre)
    for one in frames:
        shells.add(systems.first(atoms, one))
    return shells.result()


def by_name(result, array):
    """{ligand: row} of an array whose second axis is the ligands, for the only frame."""
    return {name: array[0, k].tolist() for k, name in enumerate(result.ligands)}


@pytest.fixture(scope="module")
def box() -> AtomTable:
    return systems.atom_table((LI, 4), (FSI, 4), (DME, 6), (TTE, 3))


def test_bare_li_counts_as_zero(box):
    """Two frames of four Li: one bare in each. All eight are in every histogram; a bare shell is a shell."""
    contacts = [(1, ("DME", 0), 0), (2, ("DME", 1), 0), (3, ("DME", 2), 0)]
    result = fold(box, [systems.frame(box, contacts), systems.frame(box, contacts)])
    assert result.molecules[:, result.ligands.index("DME")].tolist() == [3, 3]
    assert result.per_centre[:, result.ligands.index("DME")].tolist() == [[1, 3], [1, 3]]
    assert result.per_centre[:, result.ligands.index("FSI")].tolist() == [[4, 0], [4, 0]]
    labels = {shell_label(row, result.ligands): result.type_series(row).tolist() for row in result.types}
    assert labels == {"bare": [1, 1], "DME1": [3, 3]}


def test_diluent_that_never_coordinates_is_a_row_of_zeros(box):
    result = fold(box, [systems.frame(box, [(0, ("DME", 0), 0)])])
    assert by_name(result, result.states)["TTE"] == [3, 0, 0]
    assert by_name(result, result.per_centre)["TTE"] == [4, 0]
    assert result.molecules[0, result.ligands.index("TTE")] == 0
    assert by_name(result, result.denticity)["TTE"] == [0]


def test_bidentate_anion_is_one_molecule_and_two_donor_atoms(box):
    result = fold(box, [systems.frame(box, [(0, ("FSI", 0), 1), (0, ("FSI", 0), 3), (0, ("FSI", 1), 2)])])
    fsi = result.ligands.index("FSI")
    assert result.molecules[0, fsi] == 2
    assert result.donors[0, result.sites.index("FSI:O")] == 3
    assert result.denticity[0, fsi].tolist() == [1, 1]
    assert result.per_centre[0, fsi].tolist() == [3, 0, 1]


def test_free_bound_and_bridging_molecules_are_told_apart(box):
    result = fold(
        box,
        [
            systems.frame(
                box,
                [
                    (0, ("DME", 0), 0),
                    (0, ("DME", 0), 1),  # chelating one centre: bound
                    (1, ("DME", 1), 0),
                    (2, ("DME", 1), 1),  # bridging two
                    (3, ("TTE", 2), 1),  # a diluent that does coordinate
                ],
            )
        ],
    )
    assert by_name(result, result.states) == {"DME": [4, 1, 1], "TTE": [2, 1, 0], "FSI": [4, 0, 0]}


def test_donor_atoms_are_counted_by_site(box):
    result = fold(box, [systems.frame(box, [(0, ("FSI", 0), 0), (0, ("FSI", 0), 5), (1, ("FSI", 1), 6)])])
    assert dict(zip(result.sites, result.donors[0].tolist(), strict=True)) == {
        "FSI:N": 1,
        "FSI:O": 0,
        "FSI:F": 2,
        "DME:O_ether": 0,
        "TTE:O_ether": 0,
        "TTE:F": 0,
    }


def test_only_shells_of_the_primary_centre_are_described_but_all_centres_bind():
    atoms = systems.atom_table((LI, 2), (NA, 2), (FSI, 3))
    one = systems.frame(atoms, [(0, ("FSI", 0), 1), (2, ("FSI", 0), 1), (3, ("FSI", 1), 1)])
    li, na = fold(atoms, [one], "Li"), fold(atoms, [one], "Na")
    assert (li.n_centres, na.n_centres) == (2, 2)
    assert li.molecules.tolist() == [[1]]
    assert na.molecules.tolist() == [[2]]
    assert (li.denticity.tolist(), na.denticity.tolist()) == ([[[1]]], [[[2]]])
    assert li.states.tolist() == na.states.tolist() == [[[1, 1, 1]]]
    assert li.donors[0, li.sites.index("FSI:O")] == 1


def test_species_are_named_solvent_first_and_an_additive_salts_anion_is_an_anion():
    atoms = systems.atom_table(
        (LI, 1), (FSI, 1), (TTE, 1), (systems.Model("NO3", "additive", -1, systems.NO3.atoms), 1), (DME, 1)
    )
    one = systems.frame(atoms, [(0, (name, 0), 0) for name in ("FSI", "TTE", "NO3", "DME")])
    result = fold(atoms, [one])
    assert result.ligands == ("DME", "TTE", "FSI", "NO3")
    assert shell_label(result.types[0], result.ligands) == "DME1 TTE1 FSI1 NO31"


def test_donor_sites_of_a_molecular_cation_are_no_ligands():
    emim = systems.Model("EMIM", "cation", 1, (("C", ""), ("N", "N")))
    atoms = systems.atom_table((LI, 1), (emim, 1), (FSI, 1))
    result = fold(atoms, [systems.frame(atoms, [(0, ("EMIM", 0), 0), (0, ("FSI", 0), 0)])])
    assert result.ligands == ("FSI",)
    assert result.molecules.tolist() == [[1]]


def test_frame_without_any_contact_has_only_bare_centres(box):
    result = fold(box, [systems.frame(box)])
    assert [shell_label(row, result.ligands) for row in result.types] == ["bare"]
    assert result.type_series(result.types[0]).tolist() == [4]
    assert not result.molecules.any()


def test_centre_of_an_unknown_species_and_an_empty_fold_are_programming_errors(box):
    with pytest.raises(ValueError, match="DME is no centre of this box"):
        Shells(box, "DME")
    with pytest.raises(ValueError, match="no frame was added"):
        Shells(box, "Li").result()


# ---- a slow twin and properties


def naive(atoms: AtomTable, one: FrameContacts):
    """Count with sets and dictionaries, contact by contact."""
    name = [s.name for s in atoms.species]
    shells = collections.defaultdict(lambda: collections.defaultdict(set))
    for centre in range(len(atoms.centres)):
        for k in range(one.offsets[centre], one.offsets[centre + 1]):
            shells[centre][int(atoms.molecule[one.atom[k]])].add(int(one.atom[k]))
    species_of = lambda m: name[atoms.molecule_species[m]]  # noqa: E731
    types = collections.Counter(
        tuple(sorted(collections.Counter(map(species_of, shells[c])).items())) for c in range(len(atoms.centres))
    )
    denticity = collections.Counter((species_of(m), len(a)) for c in shells.values() for m, a in c.items())
    bound_to = collections.Counter(m for c in shells.values() for m in c)
    states = collections.Counter(
        (species_of(m), min(bound_to[m], 2)) for m in range(atoms.n_molecules) if species_of(m) != "Li"
    )
    return types, denticity, states


def test_fold_agrees_with_counting_by_hand_on_random_contacts(box):
    frames = systems.random_frames(box, 30, seed=3)
    result = fold(box, frames)
    for f, one in enumerate(frames):
        types, denticity, states = naive(box, one)
        assert {
            tuple(sorted((n, int(k)) for n, k in zip(result.ligands, row, strict=True) if k)): result.type_series(row)[
                f
            ]
            for row in result.types
            if result.type_series(row)[f]
        } == types
        for k, name in enumerate(result.ligands):
            assert {d + 1: n for d, n in enumerate(result.denticity[f, k].tolist()) if n} == {
                d: n for (who, d), n in denticity.items() if who == name
            }
            assert result.states[f, k].tolist() == [states[name, s] for s in range(3)]
            assert result.per_centre[f, k].sum() == len(box.centres)
            assert result.per_centre[f, k] @ np.arange(result.per_centre.shape[2]) == result.molecules[f, k]
        assert result.denticity[f] @ np.arange(1, result.denticity.shape[2] + 1) == pytest.approx(
            [result.donors[f, [s.startswith(name) for s in result.sites]].sum() for name in result.ligands]
        )


def same(a, b):
    for field in ("molecules", "donors", "per_centre", "denticity", "states"):
        x, y = getattr(a, field), getattr(b, field)
        width = max(x.shape[-1], y.shape[-1])
        pad = lambda z, w=width: np.pad(z, [(0, 0)] * (z.ndim - 1) + [(0, w - z.shape[-1])])  # noqa: E731
        np.testing.assert_array_equal(pad(x), pad(y), err_msg=field)
    for row in np.unique(np.concatenate([a.types, b.types]), axis=0):
        np.testing.assert_array_equal(a.type_series(row), b.type_series(row))


def test_order_of_centres_and_molecules_does_not_matter(box):
    rng = np.random.default_rng(0)
    frames = systems.random_frames(box, 8, seed=4)
    moved = [
        systems.relabelled(
            box, f, rng.permutation(4), {n: rng.permutation(box.count(n)) for n in ("FSI", "DME", "TTE")}
        )
        for f in frames
    ]
    same(fold(box, frames), fold(box, moved))


def test_parts_of_a_run_give_the_rows_of_the_whole(box):
    frames = list(ContactList(systems.random_frames(box, 9, seed=5), 3.4))
    whole, first, last = fold(box, frames), fold(box, frames[:4]), fold(box, frames[4:])
    for field in ("molecules", "donors", "states"):
        np.testing.assert_array_equal(
            np.concatenate([getattr(first, field), getattr(last, field)]), getattr(whole, field)
        )
    for row in whole.types:
        np.testing.assert_array_equal(
            np.concatenate([first.type_series(row), last.type_series(row)]), whole.type_series(row)
        )


def test_wider_cutoffs_never_lose_a_molecule(box):
    for full in systems.random_frames(box, 10, seed=6):
        counts = [fold(box, [full.within(r)]).molecules for r in (1.7, 2.2, 2.6, 3.0, 3.5)]
        assert (np.diff(np.concatenate(counts), axis=0) >= 0).all()
        assert not counts[0].any()


def test_bonds_of_an_empty_frame_are_empty(box):
    assert len(bonds(systems.frame(box), box).centre) == 0


@pytest.mark.parametrize("n_frames", [1, 255, 256, 257, 600])
def test_counts_of_many_frames_are_packed_without_loss(n_frames):
    """Rows get wider and narrower; every one comes back, filled up with zeros."""
    rng = np.random.default_rng(n_frames)
    rows = [rng.integers(0, 9, (2, rng.integers(0, 2 + i % 300))) for i in range(n_frames)]
    packed = PerFrame()
    for row in rows:
        packed.append(row)
    for _ in range(2):  # asking twice changes nothing
        result = packed.result()
        assert result.shape == (n_frames, 2, max(1, *(r.shape[1] for r in rows), 0))
        for found, row in zip(result, rows, strict=True):
            assert (found[:, : row.shape[1]] == row).all() and not found[:, row.shape[1] :].any()
