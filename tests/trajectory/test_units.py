"""Chains in foreign topologies: units found by residue or by their graph, against chains put together unit by unit."""

from __future__ import annotations

import MDAnalysis as mda
import numpy as np
import pytest
from rdkit import Chem

from lmbmd.box.build import build_box
from lmbmd.core.errors import LmbmdError
from lmbmd.data.atoms import AtomTable
from lmbmd.data.bonds import hill_formula
from lmbmd.data.library import load_library
from lmbmd.forcefield.parameters import load_set
from lmbmd.forcefield.sets import available_sets
from lmbmd.formulation.composition import compose
from lmbmd.formulation.models import load_formulation
from lmbmd.formulation.polymers.known import known_polymers
from lmbmd.formulation.polymers.units import assemble, read_end, read_unit
from lmbmd.trajectory.mapping.matching import atom_table
from lmbmd.trajectory.species_map import from_mapping

SAGE = next(name for name in reversed(available_sets()) if name.startswith("sage-clp"))
Chain = tuple[Chem.Mol, np.ndarray, list[str]]


def chain(units: dict[str, str], sequence: str, ends: tuple[str, str] = ("*[H]", "*[H]")) -> Chain:
    """A chain, the unit of each atom, and the kind of each unit; kinds are single letters."""
    graph, unit = assemble(
        [read_unit(units[kind], "") for kind in sequence], (read_end(ends[0], ""), read_end(ends[1], ""))
    )
    return graph, unit, list(sequence)


def box(
    chains: list[Chain], shuffled: np.random.Generator | None = None, by_residue: bool = False, bonded: bool = True
):
    """A Universe of these chains with bonds, and one Li and one Cl for each; atoms scattered on request.

    Returns:
        The Universe, and of each of its atoms (chain, unit in it), or −1.
    """
    elements, bonds, truth, resname = [], [], [], []
    for c, (graph, unit, kinds) in enumerate(chains):
        start = len(elements)
        elements += [a.GetSymbol() for a in graph.GetAtoms()]
        bonds += [(start + b.GetBeginAtomIdx(), start + b.GetEndAtomIdx()) for b in graph.GetBonds()]
        truth += [(c, int(k)) for k in unit]
        resname += [f"U{kinds[k]}" if by_residue else "POL" for k in unit]
    for _ in chains:
        elements += ["Li", "Cl"]
        truth += [(-1, -1)] * 2
        resname += ["LI", "CL"]
    n = len(elements)
    order = np.arange(n) if shuffled is None else shuffled.permutation(n)
    place = np.argsort(order)
    key = [(*truth[i], resname[i], i if truth[i][0] < 0 else -1) for i in order]
    if not by_residue:
        key = [(a, 0, c, d) for a, _, c, d in key]
    residues = {k: r for r, k in enumerate(dict.fromkeys(key))}
    u = mda.Universe.empty(n, n_residues=len(residues), atom_resindex=[residues[k] for k in key], trajectory=False)
    u.add_TopologyAttr("elements", [elements[i] for i in order])
    u.add_TopologyAttr("names", [f"{elements[i].upper()}{i}" for i in order])
    u.add_TopologyAttr("resnames", [k[2] for k in residues])
    u.add_TopologyAttr("resids", list(range(1, len(residues) + 1)))
    if bonded:
        u.add_TopologyAttr("bonds", [(place[a], place[b]) for a, b in bonds])
    return u, np.array(truth)[order]


def mapped(universe, polymer: dict, net_charge: int = 0) -> tuple[AtomTable, np.ndarray]:
    species = {
        "LI": {"resname": "LI"},
        "CL": {"resname": "CL", "role": "anion", "sites": {"Cl": "Cl"}},
        "P": {"role": "polymer", **polymer},
    }
    given = {"centre": "LI", "species": species, "net_charge": net_charge}
    atoms, order = atom_table(universe, from_mapping(given))
    return atoms, np.arange(len(atoms)) if order is None else order


def check(atoms: AtomTable, order: np.ndarray, truth: np.ndarray, chains: list[Chain]) -> None:
    """The units are those that the chains were put together from, in their order, forwards or backwards."""
    seen = truth[order]
    for molecule in atoms.chain_molecules:
        mine = np.flatnonzero(atoms.molecule == molecule)
        (number,) = set(seen[mine, 0])
        graph, _, kinds = chains[number]
        assert len(mine) == graph.GetNumAtoms()
        units = [set(seen[mine[atoms.unit[mine] == k], 1]) for k in dict.fromkeys(atoms.unit[mine].tolist())]
        row = [k for (k,) in units]
        assert row in (list(range(len(kinds))), list(range(len(kinds)))[::-1])
        of_unit = dict(zip(atoms.unit[mine].tolist(), atoms.species_id[mine].tolist(), strict=True))
        found = [atoms.species[s].name for s in of_unit.values()]
        assert found == [f"K{kinds[k]}" for k in row]
    assert len(atoms.chain_molecules) == len(chains)
    assert atoms.n_units == sum(len(kinds) for _, _, kinds in chains) + 2 * len(chains)


def known(name: str) -> tuple[dict[str, str], tuple[str, str]]:
    polymer = known_polymers()[name]
    units = (
        {"A": polymer.unit} if isinstance(polymer.unit, str) else dict(zip("AB", polymer.unit.values(), strict=False))
    )
    return units, polymer.ends


@pytest.mark.parametrize("name", sorted(known_polymers()))
def test_the_units_of_every_named_polymer_are_found_by_their_graph_however_its_atoms_are_scattered(name):
    rng = np.random.default_rng(1)
    units, ends = known(name)
    kinds = list(units)
    sequences = ["".join(rng.choice(kinds, n)) for n in (2, 7, 12)]
    sequences[1] = "".join((kinds * 7)[:7])  # each kind at least once
    chains = [chain(units, sequence, ends) for sequence in sequences]
    entries = {f"K{kind}": {"smiles": smiles, "sites": {}} for kind, smiles in units.items()}
    charges = {kind: Chem.GetFormalCharge(Chem.MolFromSmiles(smiles)) for kind, smiles in units.items()}
    for kind in (kind for kind, charge in charges.items() if charge):
        entries[f"K{kind}"] |= {"role": "anion"}
    net_charge = sum(charges[kind] for sequence in sequences for kind in sequence)
    told = {"resname": "POL", "polydisperse": True, "units": entries}
    for shuffled in (None, rng):
        universe, truth = box(chains, shuffled)
        atoms, order = mapped(universe, told, net_charge)
        assert atoms.chains == ("P",)
        if name in ("PEO", "PTHF", "PDOL") and shuffled is not None:  # the same read from either end, but for the ends
            assert atoms.n_units == sum(map(len, sequences)) + 6
            continue
        check(atoms, order, truth, chains)


def test_units_by_residue_are_those_of_the_file_in_the_order_of_their_bonds():
    rng = np.random.default_rng(2)
    units = {"A": "[*:1]CCO[*:2]", "B": "[*:1]CC(C#N)[*:2]"}
    chains = [chain(units, s, ("*OC", "*[H]")) for s in ("AABBA", "BABAB", "AAAAAAAAAA")]
    entries = {f"K{kind}": {"resname": f"U{kind}", "sites": {}} for kind in units}
    for shuffled in (None, rng):
        universe, truth = box(chains, shuffled, by_residue=True)
        atoms, order = mapped(universe, {"polydisperse": True, "units": entries})
        check(atoms, order, truth, chains)


def test_sites_of_units_by_element_by_name_and_by_smarts():
    units = {"A": "[*:1]CC(C)OC(=O)O[*:2]"}
    chains = [chain(units, "AAAA")] * 2
    universe, _ = box(chains)
    atoms, _ = mapped(
        universe,
        {
            "resname": "POL",
            "units": {"carbonate": {"smiles": units["A"], "sites": {"carbonyl": "O=C", "ester": "[OX2]"}}},
        },
    )
    assert atoms.sites == ("CL:Cl", "carbonate:carbonyl", "carbonate:ester")
    assert np.bincount(atoms.site_id[atoms.site_id > 0]).tolist() == [0, 8, 16]
    assert set(atoms.element[atoms.site_id > 0]) == {"O"}
    # Each carbonyl oxygen has one bond, each of the others two.
    degree = np.bincount(atoms.bonds.ravel(), minlength=len(atoms))
    assert set(degree[atoms.site_id == 1]) == {1} and set(degree[atoms.site_id == 2]) == {2}


def test_an_anion_that_is_tied_to_a_chain_is_one():
    units = {"A": "[*:1]CC(C(=O)[O-])[*:2]", "B": "[*:1]CCO[*:2]"}
    chains = [chain(units, "ABBBB")] * 3
    universe, _ = box(chains)
    polymer = {
        "resname": "POL",
        "units": {
            "KA": {"smiles": units["A"], "role": "anion", "sites": {"O": "O"}},
            "KB": {"smiles": units["B"], "sites": {"O": "O"}},
        },
    }
    with pytest.raises(LmbmdError, match=r"the charges add up to -3: 3 × LI \+1, 3 × CL -1, 3 × KA -1"):
        mapped(universe, polymer)
    kept = universe.select_atoms("not resname CL")
    species = {"LI": {"resname": "LI"}, "P": {"role": "polymer", **polymer}}
    atoms, _ = atom_table(mda.Merge(kept), from_mapping({"centre": "LI", "species": species}))
    assert [(s.name, s.role, s.charge, s.chain) for s in atoms.species] == [
        ("LI", "cation", 1, ""),
        ("KA", "anion", -1, "P"),
        ("KB", "polymer", 0, "P"),
    ]
    assert atoms.count("KA") == 3 and atoms.count("KB") == 12


PEO = {"resname": "POL", "units": {"KA": {"smiles": "[*:1]CCO[*:2]", "sites": {"O": "O"}}}}


@pytest.mark.parametrize(
    ("units", "sequence", "ends", "polymer", "said"),
    [
        ({"A": "*CC(C)*"}, "AAAA", ("*[H]", "*[H]"), PEO, r"no unit is found in a chain of C12H26"),
        (
            {"A": "*CC(F)(F)*", "B": "*C(F)(F)C*"},
            "AAABAAA",
            ("*[H]", "*[H]"),
            {"resname": "POL", "units": {"KA": {"smiles": "*CC(F)(F)*", "sites": {"F": "F"}}}},
            r"atoms of a chain \(.*\) are too many for an end group.*other way round",
        ),
        (
            {"A": "*CCO*", "B": "*CC(COC)O*"},
            "AABAA",
            ("*[H]", "*[H]"),
            PEO,
            r"atoms of a chain \(.*\) are too many|are too many for an end group",
        ),
        (
            {"A": "*CCO*"},
            "AAAA",
            ("*[H]", "*[H]"),
            {
                "resname": "POL",
                "units": {"K1": {"smiles": "*CCO*", "sites": {}}, "K2": {"smiles": "*CCOCCO*", "sites": {}}},
            },
            r"can be cut into its units in more than one way: ",
        ),
        (
            {"A": "*CCO*"},
            "AAAA",
            ("*OC", "*[H]"),
            {"resname": "POL", "units": {"K1": {"smiles": "*CCO*", "sites": {"O": "[OX2]"}}}},
            r"is in an end group, of which a SMARTS of the unit says nothing",
        ),
        (
            {"A": "*CCO*"},
            "AAAA",
            ("*C", "*C"),
            {"units": {"K": {"resname": "POL", "sites": {}}}},
            r"a whole chain of 3. atoms is one residue",
        ),
        (
            {"A": "*CCO*"},
            "AAAA",
            ("*C", "*C"),
            {**PEO, "sites": {"O": "O"}},
            r"'sites' of a chain is that of its units",
        ),
        ({"A": "*CCO*"}, "AAAA", ("*C", "*C"), {"resname": "POL"}, r"nothing says what the units of its chains are"),
        ({"A": "*CCO*"}, "AAAA", ("*C", "*C"), {**PEO, "role": "solvent"}, r"it has units and the role 'solvent'"),
        (
            {"A": "*CCO*"},
            "AAAA",
            ("*C", "*C"),
            {"resname": "POL", "units": {"LI": {"smiles": "*CCO*", "sites": {}}}},
            r"two species or units are named 'LI'",
        ),
        (
            {"A": "*CCO*"},
            "AAAA",
            ("*C", "*C"),
            {"resname": "POL", "units": {"K": {"smiles": "*CCO*"}}},
            r"nothing says which atoms of the unit are donors; O could be",
        ),
        (
            {"A": "*CCO*"},
            "AAAA",
            ("*C", "*C"),
            {"resname": "POL", "units": {"K": {"smiles": "CCO", "sites": {}}}},
            r"'CCO' has 0 attachment points, not 2",
        ),
    ],
)
def test_what_cannot_be_counted_by_unit_is_refused_with_the_reason(units, sequence, ends, polymer, said):
    universe, _ = box([chain(units, sequence, ends)] * 2)
    with pytest.raises(LmbmdError, match=said):
        mapped(universe, polymer)


@pytest.mark.parametrize(
    ("torn", "links", "said"),
    [
        ((), [(1, 2), (3, 4), (5, 6), (7, 8), (3, 10)], r"residue EO 2 has more than two neighbours"),
        ((), [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 0)], r"is in a ring of units, or in a torn chain"),
        (
            (4, 5),
            [(1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (4, 6)],
            r"the atoms of residue EO 3 are not bonded to each",
        ),
    ],
)
def test_a_branched_chain_a_ring_and_a_unit_in_pieces_are_refused(torn, links, said):
    n = 6
    u = mda.Universe.empty(2 * n + 2, n_residues=n + 2, atom_resindex=[k // 2 for k in range(2 * n)] + [n, n + 1])
    u.add_TopologyAttr("elements", ["C", "O"] * n + ["Li", "Cl"])
    u.add_TopologyAttr("names", ["C", "O"] * n + ["LI", "CL"])
    u.add_TopologyAttr("masses", [14.027, 15.999] * n + [6.94, 35.45])
    u.add_TopologyAttr("resnames", ["EO"] * n + ["LI", "CL"])
    u.add_TopologyAttr("resids", range(1, n + 3))
    u.add_TopologyAttr("bonds", [b for b in ((2 * k, 2 * k + 1) for k in range(n)) if b != torn] + links)
    with pytest.raises(LmbmdError, match=said):
        mapped(u, {"units": {"KA": {"resname": "EO", "sites": {}}}, "formula": "C6O6"})
    if not torn:  # what the message advises
        atoms, _ = mapped(u, {"resname": "EO", "role": "solvent", "formula": "C6O6", "sites": {"O": "O"}})
        assert not atoms.chains and atoms.n_molecules == 3


@pytest.mark.slow
def test_a_box_of_lmbmd_read_as_anybodys_file_has_the_units_it_was_built_of(tmp_path):
    """By the distances in a PDB file, whose bonds may be incomplete, and by SMILES."""
    path = tmp_path / "bottle.yaml"
    path.write_text(
        "salts: {LiTFSI: 1 mol parts}\npolymers:\n  PEO: {amount: 20 mol parts, units: 20}\nsize: {chains: 5}\n",
        encoding="utf-8",
    )
    composition = compose(load_formulation(path), load_library(), cutoff_nm=0.9, ion_charge_scale=0.8)
    build_box(composition, load_set(SAGE), ion_charge_scale=0.8, seed=5, out_dir=tmp_path / "box")
    own = AtomTable.read(tmp_path / "box" / "atoms.parquet")
    bare = "".join(x for x in (tmp_path / "box" / "start.pdb").open(encoding="utf-8") if not x.startswith("CONECT"))
    (tmp_path / "bare.pdb").write_text(bare, encoding="utf-8")
    universe = mda.Universe(str(tmp_path / "bare.pdb"))
    names = {own.species[s].name: str(universe.atoms[i].resname) for i, s in enumerate(own.species_id)}
    species = {
        "Li": {"resname": names["Li"]},
        "TFSI": {"resname": names["TFSI"], "formula": "C2F6NO4S2", "role": "anion", "sites": {"O": "O"}},
        "chain": {
            "resname": names["PEO"],
            "role": "polymer",
            "formula": hill_formula(own.element[own.molecule == own.chain_molecules[0]]),
            "units": {"PEO": {"smiles": "*CCO*", "sites": {"O": "O"}}},
        },
    }
    atoms, order = atom_table(universe, from_mapping({"centre": "Li", "species": species}))
    order = np.arange(len(atoms)) if order is None else order
    assert [s.chain for s in atoms.species] == ["", "", "chain"]
    assert (own.unit[order] == atoms.unit).all() and (own.molecule[order] == atoms.molecule).all()
    is_ether = atoms.site_id == atoms.sites.index("PEO:O")
    assert (own.site_id[order][is_ether] == own.sites.index("PEO:O_ether")).all() and is_ether.sum() == 5 * 21
