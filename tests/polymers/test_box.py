"""Boxes with chains: parameters along the chain, chains that are whole and of the right hand, and rings left free."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem
from rdkit.Geometry import Point3D

from lmbmd.box.build import build_box
from lmbmd.box.chains.grow import LEAST_A, grow
from lmbmd.box.chains.occupied import Occupied, squares
from lmbmd.box.chains.rings import rings_of, threaded
from lmbmd.box.chains.shapes import contexts, shapes_of
from lmbmd.box.formats.gromacs import gromacs_files
from lmbmd.box.formats.lammps import lammps_files
from lmbmd.box.pdb import read_pdb
from lmbmd.box.read import read_box
from lmbmd.cli.parser import main
from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable
from lmbmd.data.bonds import near_pairs
from lmbmd.data.library import load_library
from lmbmd.forcefield.chains.charges import is_known, piece_of, settled, unit_charges
from lmbmd.forcefield.chains.parameters import chain_parameters, check_chains
from lmbmd.forcefield.parameters import load_set
from lmbmd.forcefield.sets import available_sets
from lmbmd.formulation.composition import compose
from lmbmd.formulation.models import load_formulation
from lmbmd.formulation.polymers.draw import Chains
from lmbmd.formulation.polymers.known import known_polymers
from lmbmd.formulation.polymers.units import assemble, mirrored, read_end, read_unit
from lmbmd.trajectory import open_universe, species_map
from lmbmd.trajectory.mapping.matching import atom_table

SAGE = next(name for name in reversed(available_sets()) if name.startswith("sage-clp"))


def homopolymer(unit: str, n: int, ends: tuple[str, str], hands: str = "") -> Chains:
    return Chains({"A": unit}, {"A": "P"}, ends, ("A" * n,), (hands,), "")


PEO = homopolymer("[*:1]CCO[*:2]", 12, ("*OC", "*C"))


def test_units_in_the_middle_of_a_chain_are_neutral_and_alike() -> None:
    charge, unit = (one := chain_parameters(PEO, "A" * 12, SAGE)).terms.charges_e, one.unit
    inner = np.array([[q for q, u in zip(charge, unit, strict=True) if u == i] for i in range(1, 11)])
    assert (inner == inner[0]).all()
    assert abs(inner.sum(1)).max() < 1e-9
    assert abs(sum(charge)) < 1e-9
    # both carbons of an endless chain are alike, and so are their hydrogens
    assert inner[0, 0] == inner[0, 1]
    assert len(set(inner[0, 3:])) == 1


def test_a_longer_chain_repeats_the_terms_of_a_shorter_one() -> None:
    """Ten units more add ten times the terms of one, which are those of every unit inside."""
    short, long = (chain_parameters(PEO, "A" * n, SAGE) for n in (12, 22))
    for rows in ("bonds", "angles", "torsions", "exceptions"):
        few, many = getattr(short.terms, rows), getattr(long.terms, rows)
        one = [row for row in few if short.unit[row[1]] == 5]
        assert len(many) == len(few) + 10 * len(one), rows
    ends = {"bonds": 2, "angles": 3, "torsions": 4, "exceptions": 2}
    for rows, n in ends.items():
        kinds = [
            sorted(
                (tuple(int(i) - at for i in row[:n]), tuple(np.round(row[n:], 9)))
                for row in getattr(long.terms, rows)
                if long.unit[row[1]] == u
            )
            for u, at in ((9, int(np.argmax(long.unit == 9))), (12, int(np.argmax(long.unit == 12))))
        ]
        assert kinds[0] == kinds[1], rows


def test_the_charges_of_a_unit_do_not_depend_on_how_it_is_written() -> None:
    written = homopolymer("O([*:2])CC[*:1]", 5, ("*OC", "*C"))
    assert piece_of(written, ("A", "A", "A")).key == piece_of(PEO, ("A", "A", "A")).key


@pytest.mark.parametrize("name", sorted(known_polymers()))
def test_the_charges_that_are_said_to_come_with_lmbmd_do(name: str) -> None:
    polymer = known_polymers()[name]
    units = polymer.unit if isinstance(polymer.unit, dict) else {name: polymer.unit}
    letters = dict(zip("AB", units.values(), strict=False))
    chains = Chains(letters, dict(zip("AB", units, strict=False)), polymer.ends, ("A",), ("",), "")
    for context in itertools.product(["", *letters], letters, ["", *letters]):
        piece = piece_of(chains, context)
        assert is_known(piece), context
        charge = sum(piece.graph.GetAtomWithIdx(int(i)).GetFormalCharge() for i in piece.mine)
        assert piece.is_end or unit_charges(piece).sum() == 1_000_000 * charge


def test_a_unit_that_is_cut_where_charge_flows_is_refused() -> None:
    piece = piece_of(PEO, ("A", "A", "A"))
    with pytest.raises(LmbmdError, match=r"add up to \+0\.700 e"):
        settled(piece, np.full(len(piece.mine), 0.1))


@pytest.mark.parametrize(
    ("unit", "said"),
    [("*C[Si](C)(C)O*", "no general parameters for Si"), ("*CC[B-](C)(C)*", "no general parameters for B")],
)
def test_units_that_no_rule_covers_are_refused(unit: str, said: str) -> None:
    with pytest.raises(LmbmdError, match=said):
        check_chains({"P": homopolymer(unit, 3, ("*C", "*C"))}, SAGE, "bottle")


def test_a_set_that_is_typed_by_hand_refuses_chains_with_the_reason() -> None:
    with pytest.raises(LmbmdError, match="typed by hand"):
        check_chains({"PEO": PEO}, "opls-clp-1.1.0", "bottle")


def positions(chains: Chains, edge_A: float = 60.0, seed: int = 3) -> np.ndarray:
    shapes = {context: shapes_of(chains, context, seed) for context in set(contexts(chains, 0))}
    return grow(list(contexts(chains, 0)), shapes, Occupied(edge_A), np.random.default_rng(seed))


def graph_of(chains: Chains) -> Chem.Mol:
    unit = read_unit(chains.units["A"], "")
    hands = chains.hands[0] or "+" * len(chains.sequences[0])
    units = [mirrored(unit) if hand == "-" else unit for hand in hands]
    return assemble(units, (read_end(chains.ends[0], ""), read_end(chains.ends[1], "")))[0]


GROWN = {
    "PEO": PEO,
    "isotactic": homopolymer("*CC(C)(C(=O)OC)*", 8, ("*[H]", "*[H]"), "++++++++"),
    "atactic": homopolymer("*CC(C#N)*", 10, ("*[H]", "*[H]"), "+-++---+-+"),
    "rings": homopolymer("[*:1][C@H]1OC(=O)O[C@@H]1[*:2]", 6, ("*[H]", "*[H]"), "+-+--+"),
}


@pytest.mark.parametrize("chains", GROWN.values(), ids=GROWN.keys())
def test_a_grown_chain_has_its_bonds_its_hands_and_no_overlap(chains: Chains) -> None:
    x, graph = positions(chains), graph_of(chains)
    lengths = [np.linalg.norm(x[b.GetBeginAtomIdx()] - x[b.GetEndAtomIdx()]) for b in graph.GetBonds()]
    assert 0.9 < min(lengths) and max(lengths) < 1.75
    apart = Chem.GetDistanceMatrix(graph) > 3
    distances = np.linalg.norm(x[:, None] - x[None], axis=-1)
    assert distances[apart].min() >= LEAST_A * 0.9
    bonds = np.array([[b.GetBeginAtomIdx(), b.GetEndAtomIdx()] for b in graph.GetBonds()])
    rings = [np.array(ring) for ring in rings_of([atom.GetSymbol() for atom in graph.GetAtoms()], bonds)]
    assert not threaded(x, bonds, rings, 60.0)
    # hands: of the coordinates as RDKit reads them, against those of the graph
    asked = dict(Chem.FindMolChiralCenters(graph, useLegacyImplementation=False))
    asked = {atom: hand for atom, hand in asked.items() if hand in "RS"}  # the first of PMMA bears two methyls
    shaped = Chem.Mol(graph)
    Chem.RemoveStereochemistry(shaped)
    conformer = Chem.Conformer(len(x))
    for i, place in enumerate(x.tolist()):
        conformer.SetAtomPosition(i, Point3D(*place))
    shaped.AddConformer(conformer)
    Chem.AssignStereochemistryFrom3D(shaped)
    found = dict(Chem.FindMolChiralCenters(shaped, useLegacyImplementation=False))
    assert {atom: found.get(atom) for atom in asked} == asked
    assert len(asked) >= (0 if chains is PEO else 5)


def test_chains_differ_from_each_other_and_are_the_same_for_the_same_seed() -> None:
    assert np.array_equal(positions(PEO), positions(PEO))
    ends = [np.linalg.norm(x[0] - x[-1]) for x in (positions(PEO, seed=s) for s in range(1, 6))]
    assert min(abs(a - b) for a, b in itertools.combinations(ends, 2)) > 0.01


def test_a_bond_through_a_ring_is_found_wherever_the_box_is_cut() -> None:
    hexagon = 1.4 * np.array([[np.cos(a), np.sin(a), 0.0] for a in np.arange(6) * np.pi / 3])
    through = np.array([[0.3, 0.2, -0.8], [0.2, -0.3, 0.8]])
    beside = through + np.array([3.0, 0.0, 0.0])
    x = np.concatenate([hexagon, through, beside])
    bonds = np.array([[i, (i + 1) % 6] for i in range(6)] + [[6, 7], [8, 9]])
    rings = [np.array(ring) for ring in rings_of(["C"] * 10, bonds)]
    assert [sorted(ring.tolist()) for ring in rings] == [list(range(6))]
    for shift in ([0, 0, 0], [5, 5, 5], [0, 0, 9.9], [9.7, 3, 0.1]):
        assert threaded(np.mod(x + shift, 10.0), bonds, rings, 10.0) == [(0, 6)]
    assert not threaded(np.concatenate([hexagon, beside, beside + 2]), bonds, rings, 20.0)


def test_distances_are_those_to_the_nearest_image() -> None:
    generator = np.random.default_rng(1)
    x, edge = generator.random((900, 3)) * 17.0, 17.0
    occupied = Occupied(edge)
    for part in np.split(x, 9):
        occupied.settle(part)
    trials = generator.random((20, 3, 3)) * 51.0 - 17.0
    naive = []
    for trial in trials:
        images = [x + edge * np.array(shift) for shift in itertools.product(range(-2, 4), repeat=3)]
        naive.append(min(np.linalg.norm(a - image, axis=1).min() for a in trial for image in images))
    assert occupied.nearest(trials) == pytest.approx(naive, abs=1e-9)
    near = np.sqrt(squares(trials[0, :1], x, edge)[0])
    assert len(occupied.around(trials[0, 0], 6.0)) == (near < 6.0).sum()


@pytest.mark.slow
def test_a_box_with_chains_is_whole_dense_and_the_same_again(tmp_path: Path) -> None:
    path = tmp_path / "bottle.yaml"
    path.write_text(
        "salts: {LiTFSI: 1 mol parts}\npolymers:\n  PEO: {amount: 20 mol parts, units: 20}\nsize: {chains: 5}\n",
        encoding="utf-8",
    )
    composition = compose(load_formulation(path), load_library(), cutoff_nm=0.9, ion_charge_scale=0.8)
    for name in ("one", "again"):
        build_box(composition, load_set(SAGE), ion_charge_scale=0.8, seed=5, out_dir=tmp_path / name)
    start = (tmp_path / "one" / "start.pdb").read_text("utf-8")
    assert start == (tmp_path / "again" / "start.pdb").read_text("utf-8")
    atoms = AtomTable.read(tmp_path / "one" / "atoms.parquet")
    assert atoms.count("PEO") == 100 and atoms.n_molecules == 15 and len(atoms) == composition.n_atoms
    assert atoms.sites[-1] == "PEO:O_ether"
    assert (atoms.site_id == atoms.sites.index("PEO:O_ether")).sum() == 5 * 21
    x, box = read_pdb(start, where="start.pdb")
    assert box[0, 0] == pytest.approx(1.03 * composition.box_edge_A, abs=0.001)
    assert atoms.bonds is not None
    lengths = np.linalg.norm(x[atoms.bonds[:, 0]] - x[atoms.bonds[:, 1]], axis=1)
    assert 0.9 < lengths.min() and lengths.max() < 2.0
    other = atoms.molecule[:, None] != atoms.molecule[None]
    assert np.sqrt(squares(x, x, float(box[0, 0]))[other].min()) > 1.4


@pytest.mark.slow
def test_chains_that_differ_are_molecules_of_their_own_in_an_export(tmp_path: Path) -> None:
    """Of lengths by a distribution: every kind is written once, with its own atoms, and the energies are read back."""
    path = tmp_path / "bottle.yaml"
    path.write_text(
        "polymers:\n  PEO: {amount: rest, units: 12, distribution: poisson}\nsize: {chains: 12}\n", encoding="utf-8"
    )
    composition = compose(load_formulation(path), load_library(), cutoff_nm=0.9, ion_charge_scale=0.8)
    lengths = [len(sequence) for sequence in composition.chains["PEO"].sequences]
    assert len(set(lengths)) > 3
    build_box(composition, load_set(SAGE), ion_charge_scale=0.8, seed=5, out_dir=tmp_path / "box")
    box = read_box(tmp_path / "box")
    assert len(box.species) == len(set(lengths)) == len(set(box.names))
    assert sum(n for _, n in box.runs) == 12
    sizes = [len(box.species[kind].masses) for kind in box.kind]
    assert sizes == [7 * n + 9 for n in lengths]
    topology = gromacs_files(box)["topol.top"]
    assert topology.count("[ moleculetype ]") == len(box.species)
    assert "Atoms # full" in lammps_files(box)["data.lmp"]


def test_near_pairs_are_those_of_the_matrix_of_all_bonds() -> None:
    terms = chain_parameters(PEO, "A" * 12, SAGE).terms
    steps = Chem.GetDistanceMatrix(graph_of(PEO))
    n = len(terms.masses)
    naive = {(i, j): int(steps[i, j]) for i in range(n) for j in range(i + 1, n) if steps[i, j] <= 3}
    assert near_pairs(len(terms.masses), (row[:2] for row in terms.bonds), 3) == naive
    assert naive.keys() == {tuple(row[:2]) for row in terms.exceptions}


@pytest.mark.slow
@pytest.mark.parametrize(("program", "file"), [("gromacs", "conf.gro"), ("lammps", "data.lmp")])
def test_the_species_map_beside_an_exported_box_has_the_units_of_its_chains(
    tmp_path: Path, program: str, file: str
) -> None:
    """Of a random copolymer of several lengths: by residues in GROMACS' files, by SMILES in those of LAMMPS."""
    path = tmp_path / "bottle.yaml"
    path.write_text(
        "salts: {LiTFSI: 1 mol parts}\npolymers:\n  PVDF_HFP: {amount: 25 mol parts, units: 20, sequence: random, "
        "shares: {VDF: 4, HFP: 1}, distribution: poisson}\nsize: {chains: 5}\n",
        encoding="utf-8",
    )
    composition = compose(load_formulation(path), load_library(), cutoff_nm=0.9, ion_charge_scale=0.8)
    composition.write(tmp_path / "box" / "composition.json")
    build_box(composition, load_set(SAGE), ion_charge_scale=0.8, seed=6, out_dir=tmp_path / "box" / "r1")
    assert main(["export", str(tmp_path / "box" / "r1"), "--to", program, "--out", str(tmp_path / "out")]) == 0
    universe = open_universe(tmp_path / "out" / file)
    atoms, order = atom_table(universe, species_map.load(tmp_path / "out" / "species.yaml"))
    own = AtomTable.read(tmp_path / "box" / "r1" / "atoms.parquet")
    assert order is None and atoms.species == own.species and atoms.sites == own.sites
    for column in ("unit", "molecule", "species_id", "site_id"):
        np.testing.assert_array_equal(getattr(atoms, column), getattr(own, column))
