"""A first draft of a species map from the topology alone, to be corrected: every guess in it is marked as one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import yaml

from lmbmd.core.errors import LmbmdError
from lmbmd.core.yamlfile import yaml_of
from lmbmd.data.atoms import AtomTable
from lmbmd.data.bonds import bare_molecule, hill_formula
from lmbmd.data.ions import IONS
from lmbmd.data.library import Species, load_library
from lmbmd.trajectory import clock
from lmbmd.trajectory.mapping import molecules as who
from lmbmd.trajectory.mapping.counted import DONORS
from lmbmd.trajectory.mapping.elements import Evidence, by_name, decide, ion_by_name, is_element
from lmbmd.trajectory.mapping.graphs import Graph, graph_of_smiles, matched_atoms, same_graph
from lmbmd.trajectory.mapping.matching import atom_table
from lmbmd.trajectory.mapping.topology import Topology
from lmbmd.trajectory.species_map import SpeciesMap, from_mapping

#: A mean charge of a molecule below this, e, is that of an ion: some force fields scale charges to 0.7 and less.
_ION_E = 0.4
#: More kinds of molecules than this are not one liquid, but molecules taken apart wrongly.
_MOST_KINDS = 40
#: A map that says nothing: what the topology is read with.
_NOTHING = SpeciesMap(
    path="draft",
    centres=(),
    species={},
    cutoffs_A={},
    elements={},
    not_atoms=(),
    net_charge=0,
    box=None,
    frame_interval_ps=None,
    clock_is_wrong=False,
    topology_box_is_wrong=False,
)
_GUESS = "guess: "


@dataclass(frozen=True, eq=False)
class _Kind:
    """Molecules that are alike: their atoms, residue name ("" for none or several), formula and bonds."""

    groups: Sequence[np.ndarray]
    resname: str
    graph: Graph

    @property
    def formula(self) -> str:
        return hill_formula(self.graph.elements)


def draft(universe: Any) -> str:
    """The text of a species map for a topology.

    Elements that two signs do not agree on, species, roles, charges and donor sites are guessed, and the comment behind
    each such line begins with "guess". Molecules are those that the file's bonds, its residues or distances in the
    first frame make; which of these is said.

    Args:
        universe: an MDAnalysis Universe.

    Raises:
        LmbmdError: if nothing tells which atoms are one molecule, or there are too many kinds of them.
    """
    guessed: dict[str, tuple[str, str]] = {}

    def assign(evidence: list[Evidence], *_: Any) -> np.ndarray:
        return np.array([_element(one, guessed) for one in evidence], dtype=object)

    topology = Topology(universe, _NOTHING, assign)
    groups, bonds, how = _groups(topology)
    kinds = _kinds(topology, groups, bonds)
    if len(kinds) > _MOST_KINDS:
        shown = ", ".join(f"{len(kind.groups)} × {kind.formula}" for kind in kinds[:6])
        raise LmbmdError(
            f"there are {len(kinds)} kinds of molecules by {how}: {shown} …",
            remedy="Give a topology that has all bonds (PSF, PRMTOP, TPR, LAMMPS data), or write the map by hand.",
        )
    names = _names(kinds)
    by_resname = Counter(kind.resname for kind in kinds if kind.resname)
    entries = [_entry(topology, kind, bonds, by_resname[kind.resname] == 1) for kind in kinds]
    centre = _centre(kinds, names)
    lines = [
        "# A species map drafted by lmbmd: what each molecule of the box is. Correct it before you use it.",
        '# A line with "guess" says what nothing in the file tells for certain. Keys: docs/foreign_trajectories.md.',
        f"# Which atoms are one molecule is told by {how}.",
        _line(
            "centre", centre or "?", "" if centre else _GUESS + "there is no monatomic cation; name the ion looked from"
        ),
    ]
    if why := _clockless(universe):
        lines.append(f"# frame_interval_ps: …  needed, the time between stored frames: {why}")
    if guessed:
        lines.append("elements:")
        lines += [f"  {_line(key, element, _GUESS + why)}" for key, (element, why) in sorted(guessed.items())]
    lines.append("species:")
    for name, kind, entry in zip(names, kinds, entries, strict=True):
        count, size = len(kind.groups), len(kind.graph.elements)
        lines.append(f"  {_key(name)}:  # {count} × {kind.formula}, {size} atom{'s' * (size > 1)}")
        lines += [f"    {_line(*row)}" for row in entry if not (name == centre and row[0] in ("role", "sites"))]
    text = "\n".join([*lines, ""])
    return f"{text}{_verdict(text, universe)}"


def _element(one: Evidence, guessed: dict[str, tuple[str, str]]) -> str:
    """The element that is certain, or the likeliest one, which is noted by the atom's name or type."""
    found = decide(one)
    if found.element:
        return found.element
    likely = [*found.candidates, ion_by_name(one.name, one.residue) or "", *by_name(one.name, one.kind)]
    element = next((symbol for symbol in likely if is_element(symbol)), "")
    label = one.name or one.kind
    guessed.setdefault(label, (element or "?", found.why or "only its name says anything"))
    return element or "X"


def _groups(topology: Topology) -> tuple[list[np.ndarray], np.ndarray, str]:
    """Molecules, the bonds within them, and what tells them apart."""
    every = np.arange(topology.n)
    residues = who.grouped(topology.resindex, every)
    near = topology.near
    if near is not None:
        near = near[~np.isin(topology.element[near], who.METALS).any(axis=1)]
    if topology.all_bonds and len(topology.bonds):
        return who.grouped(who.components(topology.n, topology.bonds), every), topology.bonds, "the bonds of the file"
    if near is None:
        if len(residues) < 2 and topology.n > 1:
            raise LmbmdError(
                "the file has neither bonds, nor positions, nor residues that tell molecules apart.",
                remedy="Give a topology with bonds, or the trajectory beside it.",
            )
        return residues, topology.bonds, "the residues of the file"
    bonds = np.unique(np.sort(np.concatenate([topology.bonds, near]), axis=1), axis=0)
    if len(residues) > 1 and not who.contradicted(
        [group.tolist() for group in residues], near, topology.n, every=False
    ):
        return residues, bonds, "the residues of the file, which distances in the first frame bear out"
    return who.grouped(who.components(topology.n, bonds), every), bonds, "distances in the first frame alone"


def _kinds(topology: Topology, groups: Sequence[np.ndarray], bonds: np.ndarray) -> list[_Kind]:
    """Molecules that are alike, in the order of their first atoms; their bonds are those that most of them have."""
    place, group_of = np.full(topology.n, -1), np.full(topology.n, -1)
    for g, members in enumerate(groups):
        place[members], group_of[members] = np.arange(len(members)), g
    inside = bonds[group_of[bonds[:, 0]] == group_of[bonds[:, 1]]] if len(bonds) else bonds
    own: list[list[tuple[int, int]]] = [[] for _ in groups]
    for i, j in inside:
        a, b = sorted((int(place[i]), int(place[j])))
        own[group_of[i]].append((a, b))
    found: dict[tuple[str, str], list[tuple[np.ndarray, Graph]]] = {}
    for members, pairs in zip(groups, own, strict=True):
        graph = Graph(tuple(topology.element[members]), tuple(sorted(set(pairs))))
        resnames = set(topology.resname[members])
        resname = resnames.pop() if len(resnames) == 1 else ""
        found.setdefault((resname, _canonical(graph, topology.all_bonds)), []).append((members, graph))
    return [
        _Kind([members for members, _ in alike], resname, Counter(graph for _, graph in alike).most_common(1)[0][0])
        for (resname, _), alike in found.items()
    ]


_CANONICAL: dict[Graph, str] = {}


def _canonical(graph: Graph, by_bonds: bool) -> str:
    """What is equal for molecules of one kind: bonds where they are certain, else the formula alone."""
    if not by_bonds:
        return hill_formula(graph.elements)
    from rdkit import Chem

    return str(Chem.MolToSmiles(bare_molecule(*graph[:2]))) if "X" not in graph.elements else repr(graph)


def _names(kinds: Sequence[_Kind]) -> list[str]:
    """A name for each kind: the library's, or the residue's, or the formula; no name twice."""
    found: list[str] = []
    for kind in kinds:
        known = _known(kind)
        plain = known[0].name if len(known) == 1 else kind.resname or kind.formula
        plain = re.sub(r"[^A-Za-z0-9_.]", "_", plain).lstrip("_.") or kind.formula
        name, k = plain, 2
        while name in found:
            name, k = f"{plain}_{k}", k + 1
        found.append(name)
    return found


def _known(kind: _Kind) -> list[Species]:
    """Species of lmbmd's library with these atoms bonded this way."""
    like = [species for species in load_library().species.values() if species.formula == kind.formula]
    return [species for species in like if same_graph(kind.graph, graph_of_smiles(species.smiles, species.name))]


def _centre(kinds: Sequence[_Kind], names: Sequence[str]) -> str:
    ions = [name for kind, name in zip(kinds, names, strict=True) if _is_cation(kind)]
    lithium = [name for kind, name in zip(kinds, names, strict=True) if kind.graph.elements == ("Li",)]
    return next(iter((*lithium, *ions)), "")


def _is_cation(kind: _Kind) -> bool:
    return len(kind.graph.elements) == 1 and kind.graph.elements[0] in IONS and IONS[kind.graph.elements[0]].charge > 0


def _entry(topology: Topology, kind: _Kind, bonds: np.ndarray, own_resname: bool) -> list[tuple[str, Any, str]]:
    """Keys of one species, each with its value and a comment."""
    known = _known(kind)
    told = len(known) == 1
    rows: list[tuple[str, Any, str]] = []
    if kind.resname and own_resname:
        rows.append(("resname", kind.resname, ""))
    elif not (told and topology.all_bonds):
        rows.append(("atoms", _ranges(topology, kind), ""))
    if told:
        words = f"bonded as {known[0].name} ({known[0].title}) in lmbmd's library"
        rows.append(("smiles", known[0].smiles, _GUESS + words if len(kind.graph.elements) > 1 else words))
    else:
        several = ", ".join(species.name for species in known)
        why = f"several of lmbmd's library have these bonds: {several}" if several else "not in lmbmd's library"
        rows.append(("formula", kind.formula, why))
    if _is_cation(kind):
        return [*rows, ("role", "cation", "")]
    role, charge, why = _role(topology, kind, known[0] if told else None)
    rows.append(("role", role, why))
    if charge is not None:
        rows.append(("charge", charge, why))
    rows.append(_sites(topology, kind, known[0] if told else None))
    return rows


def _role(topology: Topology, kind: _Kind, known: Species | None) -> tuple[str, int | None, str]:
    """Role, the charge if it must be written, and what speaks for it."""
    if known is not None:
        return known.roles[0], None, _GUESS + "its usual part"
    charge = float(np.mean([topology.charge[members].sum() for members in kind.groups]))
    if not np.isfinite(charge):
        if len(kind.graph.elements) == 1:
            return "anion", -1, _GUESS + "it stands alone and is no metal"
        return "solvent", None, _GUESS + "nothing says what it is"
    words = f"{_GUESS}its charges add up to {charge:+.2f} e"
    if abs(charge) < _ION_E:
        return "solvent", None, words
    whole = max(1, round(abs(charge)))
    return ("cation", whole, words) if charge > 0 else ("anion", -whole, words)


def _sites(topology: Topology, kind: _Kind, known: Species | None) -> tuple[str, dict[str, Any], str]:
    """Donor sites: those of the library, as SMARTS or as atom names where the file has no bonds; else every donor."""
    if known is not None:
        if topology.all_bonds or not known.sites:
            return "sites", dict(known.sites), _GUESS + "the donors that lmbmd's library has"
        if named := _named_sites(topology, kind, known):
            return "sites", named, _GUESS + "the donors that lmbmd's library has"
    elements = [element for element in DONORS if element in kind.graph.elements]
    return "sites", {element: element for element in elements}, _GUESS + "every atom that may be a donor"


def _named_sites(topology: Topology, kind: _Kind, known: Species) -> dict[str, list[str]]:
    """The library's sites by the names of their atoms; none if names do not tell the atoms of a molecule apart."""
    names = topology.name[kind.groups[0]]
    alike = all(np.array_equal(topology.name[members], names) for members in kind.groups)
    if not alike or len(set(names)) < len(names) or "" in names:
        return {}
    return {
        site: [str(names[k]) for k in matched_atoms(kind.graph, known.smiles, smarts, known.name)]
        for site, smarts in known.sites.items()
    }


def _ranges(topology: Topology, kind: _Kind) -> str:
    """Atoms of a kind, numbered from 1 as in the file: ``"1-75, 90-120"``."""
    return _numbered(np.sort(topology.real[np.concatenate(list(kind.groups))]))


def _numbered(atoms: np.ndarray) -> str:
    """Places from 0, ascending, as ranges from 1."""
    runs = np.split(atoms, np.flatnonzero(np.diff(atoms) != 1) + 1)
    return ", ".join(f"{run[0] + 1}-{run[-1] + 1}" if len(run) > 1 else f"{run[0] + 1}" for run in runs)


def _clockless(universe: Any) -> str:
    """Why a trajectory's times cannot be believed; "" if they can, or there is none."""
    reader = getattr(universe, "trajectory", None)
    if reader is None or reader.n_frames < 2:
        return ""
    return clock.unknown(reader) or ""


def _verdict(text: str, universe: Any) -> str:
    """What `lmbmd analyze` would say to the map as it stands, as comments; "" if it takes it."""
    try:
        data, _ = yaml_of(text, "draft")
        atom_table(universe, from_mapping(data))
    except LmbmdError as error:
        words = re.sub(r"\s+", " ", str(error))
        return f"# As it stands, the map is refused: {words}\n"
    return ""


def _inline(value: Any) -> str:
    """A value on one line of YAML, quoted where it must be."""
    text = yaml.safe_dump(value, default_flow_style=True, width=10**6, allow_unicode=True, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


def _key(name: str) -> str:
    return _inline(name)


def _line(key: str, value: Any, comment: str = "") -> str:
    words = re.sub(r"\s+", " ", comment)
    return f"{_key(key)}: {_inline(value)}{f'  # {words}' if words else ''}"


def map_of(
    atoms: AtomTable,
    resnames: Sequence[str] = (),
    types: Sequence[str] = (),
    units: Mapping[str, str] = MappingProxyType({}),
) -> str:
    """The text of the species map of a box that lmbmd made, for a topology that holds its atoms in their order.

    Args:
        atoms: who the atoms are.
        resnames: of each species, where the topology has residues (of a chain its units) and atom names.
        types: of each atom, where it has neither, but types of which each is one element.
        units: SMILES of each kind of unit, where there are chains and no residues.
    """
    centres = list(dict.fromkeys(atoms.species[k].name for k in atoms.species_id[atoms.centres]))
    lines = ["# Written by lmbmd export: what each molecule of this box is.", _line("centre", centres)]
    if len(types):
        lines.append(_line("elements", {str(kind): str(e) for kind, e in zip(types, atoms.element, strict=True)}))
    lines.append("species:")
    for s, species in enumerate(atoms.species):
        if species.chain:
            if species.chain not in [before.chain for before in atoms.species[:s]]:
                lines += [f"  {_key(species.chain)}:", *_chain_lines(atoms, species.chain, resnames, types, units)]
            continue
        mine = np.flatnonzero(atoms.species_id == s)
        one = mine[: len(mine) // atoms.count(species.name)]
        rows: list[tuple[str, Any]] = [("resname", resnames[s])] if resnames else [("atoms", _numbered(mine))]
        rows += [("formula", hill_formula(atoms.element[one])), ("charge", species.charge)]
        if species.name not in centres:
            rows += [("role", species.role), *_told_sites(atoms, one, species.name, types)]
        lines += [f"  {_key(species.name)}:", *(f"    {_line(*row)}" for row in rows)]
    return "\n".join([*lines, ""])


def _chain_lines(
    atoms: AtomTable, chain: str, resnames: Sequence[str], types: Sequence[str], units: Mapping[str, str]
) -> list[str]:
    """A kind of chain and its units, told by residue names or else by SMILES, and asked for without either."""
    kinds = [s for s, species in enumerate(atoms.species) if species.chain == chain]
    mine = np.flatnonzero(np.isin(atoms.species_id, kinds))
    lines = [] if resnames else [f"    {_line('atoms', _numbered(mine))}"]
    starts = atoms.first_atom[atoms.chain_molecules]
    formulas = {
        hill_formula(atoms.element[start:end])
        for start, end in zip(starts, atoms.first_atom[atoms.chain_molecules + 1], strict=True)
        if atoms.species[atoms.species_id[start]].chain == chain
    }
    lines.append(f"    {_line('formula', *formulas) if len(formulas) == 1 else _line('polydisperse', True)}")
    lines.append(f"    {_line('role', 'polymer')}")
    if not resnames and not all(atoms.species[s].name in units for s in kinds):
        return lines
    lines.append("    units:")
    for s in kinds:
        species, own = atoms.species[s], np.flatnonzero(atoms.species_id == s)
        told = ("resname", resnames[s]) if resnames else ("smiles", units[species.name])
        rows = [told, ("role", species.role), ("charge", species.charge), ("sites", _unit_sites(atoms, own, types))]
        lines += [f"      {_key(species.name)}:", *(f"        {_line(*row)}" for row in rows)]
    return lines


def _unit_sites(atoms: AtomTable, mine: np.ndarray, types: Sequence[str]) -> dict[str, Any]:
    """Donor sites of all units of a kind: the element where all its atoms are donors, else names or types of atoms."""
    found: dict[str, Any] = {}
    for k in sorted(set(atoms.site_id[mine].tolist()) - {-1}):
        donors = mine[atoms.site_id[mine] == k]
        element, *others = sorted(set(atoms.element[donors].tolist()))
        whole = not others and (atoms.element[mine] == element).sum() == len(donors)
        labels = [str((types if len(types) else atoms.name)[i]) for i in donors]
        found[atoms.sites[k].partition(":")[2]] = element if whole else list(dict.fromkeys(labels))
    return found


def _told_sites(atoms: AtomTable, one: np.ndarray, name: str, types: Sequence[str]) -> list[tuple[str, Any]]:
    """Donor sites of a species: by names or types of their atoms, or as the library's SMARTS, which need the SMILES.

    None if the file tells its sites apart in no way: the map then lacks them, and whoever reads it is asked.
    """
    labels = [str((types if len(types) else atoms.name)[i]) for i in one]
    sites: dict[str, list[str]] = {}
    for k in dict.fromkeys(atoms.site_id[one].tolist()):
        if k < 0:
            continue
        mine = dict.fromkeys(label for label, i in zip(labels, one, strict=True) if atoms.site_id[i] == k)
        sites[atoms.sites[k].partition(":")[2]] = list(mine)
        apart = all(atoms.site_id[i] == k for label, i in zip(labels, one, strict=True) if label in mine)
        if not apart and name in load_library().species:
            known = load_library().species[name]
            return [("smiles", known.smiles), ("sites", dict(known.sites))]
        if not apart:
            return []
    return [("sites", sites)]
