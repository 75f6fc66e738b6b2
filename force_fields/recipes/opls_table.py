"""Read the published OPLS-AA table, as moltemplate's oplsaa2024.lt writes it, and apply it to one typed molecule.

Units of the file: kcal/mol, Å, degrees; bonds and angles k (x - x0)² without the half, torsions ½V₁(1 + cos φ) +
½V₂(1 - cos 2φ) + ½V₃(1 + cos 3φ) + ½V₄(1 - cos 4φ), impropers K (1 - cos 2φ). "€" in a name stands for any character.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass, field
from itertools import combinations, permutations
from pathlib import Path

from rdkit import Chem
from smirnoff import Terms, graph_terms

SHA256 = "77387af74ff10844d89b1d69785b7d89d90a9a5ffe5c25492f9827b9f211225d"
KCAL = 4.184
ANY = "€"
#: Factors on 1-4 pairs, Lennard-Jones and Coulomb.
SCALE14 = (0.5, 0.5)


@dataclass(frozen=True)
class Table:
    """The file's numbers in its own units.

    Attributes:
        charges: type number → e.
        atoms: type number → (class, sigma, epsilon); the class is what valence terms are keyed by, as ``CT``.
        bonds, angles, torsions, impropers: names joined by "-", ends in either order → values.
    """

    charges: dict[int, str]
    atoms: dict[int, tuple[str, float, float]]
    bonds: dict[str, tuple[float, ...]]
    angles: dict[str, tuple[float, ...]]
    torsions: dict[str, tuple[float, ...]]
    impropers: dict[str, tuple[float, ...]]


@dataclass
class Used:
    """What a molecule's terms took that is not the table's own answer.

    Attributes:
        stand_ins: the name that was wanted → the one that stands in for it.
        own: names that the caller brought.
        nil: names of torsions that the table leaves out.
    """

    stand_ins: dict[str, str] = field(default_factory=dict)
    own: set[str] = field(default_factory=set)
    nil: set[str] = field(default_factory=set)


class Missing(ValueError):
    """Terms that the table lacks; ``args[0]`` is the list of their names."""


def read(path: Path) -> Table:
    """The table in ``path``.

    Raises:
        SystemExit: if it is not the file that the set is made from.
    """
    data = path.read_bytes()
    if (digest := hashlib.sha256(data).hexdigest()) != SHA256:
        raise SystemExit(f"{path} is not the file this set is made from (sha256 {digest})")
    text = data.decode("utf-8")
    charges = {int(n): q for n, q in re.findall(r"^ *set type @atom:(\d+) +charge +(\S+)", text, re.M)}
    atoms = {}
    for n, kind, epsilon, sigma in re.findall(r"pair_coeff @atom:(\d+)_b(\S+?)_a\S+ @atom:\S+ (\S+) (\S+)", text):
        atoms[int(n)] = (kind, float(sigma), float(epsilon))
    found = {name: _coefficients(text, name) for name in ("bond", "angle", "dihedral", "improper")}
    return Table(charges, atoms, found["bond"], found["angle"], found["dihedral"], found["improper"])


def _coefficients(text: str, name: str) -> dict[str, tuple[float, ...]]:
    """Values by name. A name that has two entries in the file keeps both, as ``A-B-C-D#1`` and ``#2``."""
    found: dict[str, tuple[float, ...]] = {}
    for key, values in re.findall(rf"^ *{name}_coeff @{name}:(\S+) ([^#\n]+)", text, re.M):
        kinds, _, copy = key.partition("__")
        label = kinds.replace("_", "-") + (f"#{copy}" if copy else "")
        if label in found:
            raise ValueError(f"{label} has two entries")
        found[label] = tuple(float(v) for v in values.split())
    return found


def lookup(table: dict[str, tuple[float, ...]], kinds: tuple[str, ...], choices: dict[str, str]) -> tuple | None:
    """Values for ``kinds`` in either direction: the entry with the fewest wildcards, or None.

    Raises:
        ValueError: if two entries fit alike and differ, and ``choices`` (name → entry) does not say which is meant.
    """
    best: dict[str, tuple] = {}
    fewest = None
    for label, values in table.items():
        names = label.partition("#")[0]
        if not any(_fits(names.split("-"), k) for k in (kinds, kinds[::-1])):
            continue
        wild = names.count(ANY)
        if fewest is None or wild < fewest:
            best, fewest = {}, wild
        if wild == fewest:
            best[label] = values
    if len(set(best.values())) > 1:
        chosen = choices.get(name_of(kinds))
        if chosen not in best:
            raise ValueError(f"{name_of(kinds)} has more than one entry: {best}")
        return best[chosen]
    return next(iter(best.values()), None)


def name_of(kinds: tuple[str, ...]) -> str:
    """The classes joined by "-", in the direction that sorts first."""
    return "-".join(min(kinds, kinds[::-1]))


def _fits(names: list[str], kinds: tuple[str, ...]) -> bool:
    return len(names) == len(kinds) and all(
        len(a) == len(b) and all(x in (ANY, y) for x, y in zip(a, b, strict=True))
        for a, b in zip(names, kinds, strict=True)
    )


def types_of(graph: Chem.Mol, rules: list[dict]) -> list:
    """Type of each atom: of the rules that match it as their first atom, the last; None where none does.

    Aromatic is what RDKit's MDL model calls so: vinylene carbonate is not.
    """
    graph = Chem.Mol(graph)
    Chem.Kekulize(graph, clearAromaticFlags=True)
    Chem.SetAromaticity(graph, Chem.AromaticityModel.AROMATICITY_MDL)
    found = [None] * graph.GetNumAtoms()
    for rule in rules:
        query = Chem.MolFromSmarts(rule["smarts"])
        if query is None:
            raise ValueError(f"{rule['smarts']} is no SMARTS")
        for match in graph.GetSubstructMatches(query, uniquify=False, maxMatches=100_000):
            found[match[0]] = rule["type"]
    return found


def terms_of(graph: Chem.Mol, kinds: list[str], table: Table, book: dict) -> tuple[Terms, Used]:
    """Bonds, angles, torsions and impropers of a molecule whose atoms have the classes ``kinds``.

    Args:
        book: ``own`` terms that the table lacks, in the file's units (section → name → values); ``nil``, names of
            torsions that it leaves out; ``choices`` between two entries of one name; and ``like``, classes that may
            stand in for others where the table has nothing.

    Returns:
        The terms, without Lennard-Jones, and what of them the table does not have so.

    Raises:
        Missing: if anything is found in none of these.
    """
    terms, missing, used = Terms(), set(), Used()

    def values(section: str, key: tuple[int, ...]) -> tuple | None:
        names = tuple(kinds[i] for i in key)
        wanted = name_of(names)
        if (brought := book["own"].get(section, {}).get(wanted)) is not None:
            used.own.add(wanted)
            return tuple(brought)
        if section == "torsions" and wanted in book["nil"]:
            used.nil.add(wanted)
            return ()
        for tried in _substitutions(names, book["like"]):
            found = {name_of(k): lookup(getattr(table, section), k, book["choices"]) for k in tried}
            found = {name: row for name, row in found.items() if row is not None}
            if len(set(found.values())) > 1:
                raise ValueError(f"{wanted} has stand-ins that differ: {found}")
            for name, row in found.items():
                if name != wanted:
                    used.stand_ins[wanted] = name
                return row
        missing.add(wanted)
        return None

    bonds, angles, torsions = graph_terms(graph)
    for key in sorted(bonds):
        if found := values("bonds", key):
            terms.bonds[key] = (0.1 * found[1], 2 * found[0] * KCAL * 100)
    for key in sorted(angles):
        if found := values("angles", key):
            terms.angles[key] = (math.radians(found[1]), 2 * found[0] * KCAL)
    for key in sorted(torsions):
        if (found := values("torsions", key)) is not None:
            rows = enumerate(found, 1)
            terms.torsions += [(*key, n, 0.0 if n % 2 else math.pi, 0.5 * v * KCAL) for n, v in rows if v]
    if missing:
        raise Missing(sorted(missing))
    terms.torsions += _impropers(graph, kinds, table)
    terms.scale14_lj, terms.scale14_coulomb = SCALE14
    return terms, used


def _substitutions(names: tuple[str, ...], like: dict[str, str]) -> list[list[tuple[str, ...]]]:
    """``names`` itself; then with one class replaced, in every place; then with two; and so on."""
    places = [i for i, name in enumerate(names) if name in like]
    return [
        [tuple(like[n] if i in chosen else n for i, n in enumerate(names)) for chosen in combinations(places, count)]
        for count in range(len(places) + 1)
    ]


def _impropers(graph: Chem.Mol, kinds: list[str], table: Table) -> list[tuple]:
    """Out-of-plane terms of three-coordinate centres, the centre second.

    A term is told by the bond from the centre that it turns about. OPLS-AA has one term a centre and leaves open which;
    here it is shared equally between the bonds, so that equivalent atoms feel the same, but for a carbonyl, where the
    published name puts the oxygen first: the two other bonds.
    """
    found = []
    for atom in graph.GetAtoms():
        near = sorted(b.GetIdx() for b in atom.GetNeighbors())
        if len(near) != 3:
            continue
        centre = atom.GetIdx()
        fits = {
            label: v
            for label, v in table.impropers.items()
            if any(_fits(label.split("-"), (kinds[centre], *(kinds[i] for i in p))) for p in permutations(near))
        }
        if len(fits) > 1:
            raise ValueError(f"{kinds[centre]} has more than one improper: {fits}")
        for label, (k, sign, n) in fits.items():
            if (sign, n) != (-1, 2):
                raise ValueError(f"{label} is not of the form K (1 - cos 2φ)")
            first = label.split("-")[1]
            a, b, c = near
            orders = [(a, b, c), (b, c, a), (c, a, b)]  # each turns about the bond to its middle atom
            if first != 2 * ANY:
                orders = [o for o in orders if kinds[o[1]] != first]
            found += [(o[0], centre, *o[1:], 2, math.pi, k * KCAL / len(orders)) for o in orders]
    return found
