"""Terms of an anion that no set has: those of a set's own anions where the same atoms are bonded alike, else derived.

A term is taken over from the released anions where the same atoms are bonded alike. An atom's *type* is its element and
those of its neighbours; what is taken is the one value that the row of types has there, with the neighbours' own types
if they occur, too. Between atoms of the first two periods all other bonds, angles, planes and torsions about stiff
bonds of flat atoms follow from GFN2-xTB's geometry and Hessian (``derived``), and so do those within a ring: rest
values of one ring do not fit another. GFN2-xTB's bonds of sulfur, phosphorus and chlorine are not relied on: there a
released term with the end atoms told by element and number of bonds is enough, and without one the anion is refused.

Any other torsion is one of the released anions, or Sage's if neither of its middle atoms bears the charge or is bonded
to one that does. About a bond of a ring that has neither it is left out, as in the chelates of borate: the ring holds
itself. Where nothing is known of a torsion, the anion is refused.
"""

from __future__ import annotations

import itertools
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from rdkit import Chem

from lmbmd.data.terms import read_terms
from lmbmd.forcefield.parameters import ParameterSet
from lmbmd.forcefield.parametrize.molecules import equivalence
from lmbmd.forcefield.parametrize.quantum.derived import derive, measured, minimum, mm_hessian, wavenumbers_cm
from lmbmd.forcefield.parametrize.smirnoff import Terms, Unparametrised, graph_terms
from lmbmd.forcefield.parametrize.typed import FLAT, amplitude, angle_deg, series, typed_terms

#: 1–4 pairs of the released anions: factors, and geometric means (CL&P, as OPLS-AA).
SCALE14 = (0.5, 0.5)
#: Neighbours of an atom beyond which some of its angles are straight, and have no harmonic term.
MOST_NEIGHBOURS = 4
#: Sum of the three angles of a flat atom, at least, degrees.
FLAT_SUM_DEG = 355.0
#: An angle is straight beyond this: its minimum would be a cusp, degrees.
STRAIGHT_DEG = 175.0
#: Largest ring that holds itself.
RING = 7
#: Digits by which two terms of the released sets are the same.
DIGITS = 6
#: Modes below this count as if they were there: what holds a rotation is not what holds a bond, cm⁻¹.
FLOOR_CM = 50.0
#: Wavenumbers from here on are compared with those of the Hessian, and how far they may be off (root mean square of
#: the relative error) before derived terms are refused; the released chelates of borate are 10 to 13 % off.
COMPARED_CM, LARGEST_ERROR = 100.0, 0.25
#: Beyond these elements GFN2-xTB's bonds are not relied on: of FSI⁻ they are up to 0.09 Å and its angles 19° off.
LAST_RELIABLE = 10

Values = tuple[float, ...]
#: How exactly the atoms of a row are told, the most exact first: by what is up to so many bonds from them; by their
#: types; with the end atoms told by element and number of bonds only. And for anions that are tied to a chain, of which
#: Sage knows the rest: with the end atoms told by element only, a single atom by what is up to two bonds from it.
LEVELS, TETHERED, WIDE, LOOSE = 3, 4, 3, 2


@dataclass
class Known:
    """Terms of a set's anions: by level, then (kind, names of the atoms) → the values found."""

    books: list[dict[tuple[str, str], set[Values]]] = field(
        default_factory=lambda: [defaultdict(set) for _ in range(TETHERED)]
    )

    def one(self, kind: str, row: Row, levels: int = LEVELS) -> Values | None:
        """The one value for a row, told as exactly as it occurs; None if it does not occur, or there are several."""
        for book, name in zip(self.books[:levels], row, strict=False):
            if len(book.get((kind, name), ())) == 1:
                return next(iter(book[kind, name]))
        return None


class Row(NamedTuple):
    """The names of a row of atoms, by level (``LEVELS``), from the end that comes first in the alphabet."""

    wide: str
    exact: str
    coarse: str
    loose: str


@dataclass(frozen=True)
class Draft:
    """What is known of an anion before its charges are.

    Attributes:
        table: its terms so far (``typed``); an improper of None is to be derived.
        sizes: σ (Å) and ε (kJ/mol) of each atom.
        periods: which V a torsion has that is to be derived; 0 for none.
        of_sage: torsions that are Sage's.
    """

    table: dict[str, Any]
    sizes: list[Values]
    periods: dict[str, int]
    of_sage: list[str]


def atom_type(atom: Chem.Atom, depth: int = 1) -> str:
    """Element and neighbours, as ``S(CNOO)``; with more depth these are told by their own neighbours."""
    near = "".join(sorted(atom_type(n, depth - 1) for n in atom.GetNeighbors())) if depth else ""
    return f"{atom.GetSymbol()}({near})" if near else str(atom.GetSymbol())


def known_terms(parameters: ParameterSet, left_out: Iterable[str] = ()) -> Known:
    """The terms of the anions of a released set.

    Args:
        left_out: anions that are not looked at, as in a test.
    """
    known = Known()
    for name, entry in parameters.manifest["species"].items():
        factors = entry.get("scale14")
        if entry["charge"] >= 0 or name in left_out:
            continue
        if factors and (factors["lennard_jones"], factors["coulomb"]) != SCALE14:
            continue
        graph = Chem.AddHs(Chem.MolFromSmiles(entry["smiles"]))
        if max(a.GetDegree() for a in graph.GetAtoms()) <= MOST_NEIGHBOURS:
            _add(known, graph, parameters, name)
    return known


def _add(known: Known, graph: Chem.Mol, parameters: ParameterSet, name: str) -> None:
    rows = read_terms(parameters.system(name), name)

    def note(kind: str, atoms: tuple[int, ...], values: Values) -> None:
        row, rounded = _row(graph, atoms, kind), tuple(round(v, DIGITS) + 0.0 for v in values)
        for book, told in zip(known.books, row, strict=True):
            book[kind, told].add(rounded)

    for atom, (charge, sigma, epsilon) in enumerate(rows.nonbonded):
        note("atoms", (atom,), (10.0 * sigma, epsilon))
        note("charges", (atom,), (charge,))
    for i, j, r0, k in rows.bonds:
        note("bonds", (i, j), (10.0 * r0, 0.01 * k))
    for i, j, m, theta, k in rows.angles:
        note("angles", (i, j, m), (math.degrees(theta), k))
    found: dict[tuple[int, ...], list[float]] = {key: [0.0] * 4 for key in graph_terms(graph)[2]}
    flat: dict[tuple[int, ...], list[float]] = {}
    for *atoms, n, phase, k in rows.torsions:
        row = tuple(atoms)
        is_plain = all(graph.GetBondBetweenAtoms(a, b) for a, b in itertools.pairwise(row))
        key = (row if row in found else row[::-1]) if is_plain else row
        (found if is_plain else flat).setdefault(key, [0.0] * 4)[n - 1] += amplitude(n, phase, k)
    for key, v in found.items():
        note("torsions", key, tuple(v))
    for key, v in flat.items():
        note("impropers", key, (v[1],))


def _row(graph: Chem.Mol, atoms: tuple[int, ...], kind: str) -> Row:
    """The names of a row; of an improper, outer atom and centre first, then the two others in order."""
    found = [graph.GetAtomWithIdx(i) for i in atoms]
    exact = [atom_type(a) for a in found]
    wide = [atom_type(a, WIDE) for a in found]
    rough = [f"{a.GetSymbol()}{a.GetDegree()}" for a in found]
    if kind == "impropers":
        row = [[*names[:2], *sorted(names[2:])] for names in (wide, exact, [rough[0], exact[1], *rough[2:]])]
        return Row(*map("-".join, [*row, row[1]]))
    ends = [*rough[:1], *exact[1:-1], *rough[-1:]] if len(atoms) > 1 else rough
    loose = [atom_type(a, LOOSE) for a in found] if len(atoms) == 1 else exact
    if len(atoms) > 2:  # of a bond nothing would be told
        loose = [found[0].GetSymbol(), *exact[1:-1], found[-1].GetSymbol()]
    return Row(*("-".join(min(names, names[::-1])) for names in (wide, exact, ends, loose)))


def drafted(graph: Chem.Mol, x: np.ndarray, known: Known, sage: Terms | None) -> Draft:
    """The terms of an anion that are taken over, and what is left to be derived.

    Args:
        graph: explicit hydrogens.
        x: (n, 3) GFN2-xTB's minimum, Å, which says what is flat.
        known: of the set that it is made for.
        sage: Sage's terms of it, nan where Sage knows no such element; None if Sage's file is not installed.

    Raises:
        Unparametrised: naming what nothing is known of.
    """
    if crowded := [a.GetSymbol() for a in graph.GetAtoms() if a.GetDegree() > MOST_NEIGHBOURS]:
        raise Unparametrised(f"{crowded[0]} has more than {MOST_NEIGHBOURS} neighbours, and straight angles")
    types = [atom_type(a) for a in graph.GetAtoms()]
    sizes = _sizes(graph, known, sage)
    table: dict[str, Any] = {"types": types, "scale14": SCALE14, "angles": {}, "bonds": {}}
    bonds, angles, torsions = graph_terms(graph)
    for kind, keys in (("bonds", bonds), ("angles", angles)):
        for key in sorted(keys):
            row, light = _row(graph, key, kind), is_light(graph, key)
            if kind == "angles" and angle_deg(x[list(key)]) > STRAIGHT_DEG:
                raise Unparametrised(f"the angle {row.exact} is straight, and has no harmonic term")
            if light and graph.GetRingInfo().AreAtomsInSameRing(key[0], key[-1]):
                continue
            values = known.one(kind, row, levels=LEVELS - 1 if light else LEVELS)
            if values is not None:
                table[kind][row.exact] = list(values)
            elif not light:
                raise Unparametrised(
                    f"the {kind[:-1]} {row.exact} has no one value among the set's anions, and GFN2-xTB is not relied "
                    "on for it"
                )
    table["torsions"], periods, of_sage = _torsions(graph, x, torsions, known, sage)
    table["impropers"] = _impropers(graph, types, x, known)
    return Draft(table, sizes, periods, of_sage)


def finished(
    graph: Chem.Mol, draft: Draft, charges_e: list[float], x: np.ndarray, hessian: np.ndarray
) -> tuple[Terms, str]:
    """All terms of an anion, and what was taken from where and how far it is from quantum chemistry.

    Args:
        hessian: (3 n, 3 n) at ``x``, kJ/mol/Å².

    Raises:
        Unparametrised: if what was derived is too far from quantum chemistry.
    """
    particles = [(q, *size) for q, size in zip(charges_e, draft.sizes, strict=True)]
    entry = derive(graph, {**draft.table, "particles": particles}, draft.periods, x, hessian, FLOOR_CM)
    derived = {
        "bonds": [name for name in entry["bonds"] if name not in draft.table["bonds"]],
        "angles": [name for name in entry["angles"] if name not in draft.table["angles"]],
        "torsions": [name for name, period in draft.periods.items() if period],
        "impropers": [name for name, values in draft.table["impropers"].items() if values is None],
    }
    told = "; ".join(f"{kind} {', '.join(names)}" for kind, names in derived.items() if names)
    said = [f"From GFN2-xTB's Hessian: {told}." if told else "All terms are those of the set's anions."]
    if draft.of_sage:
        said.append(f"Torsions of Sage: {', '.join(draft.of_sage)}.")
    said.append(_judged(graph, entry, x, hessian, bool(told)))
    return typed_terms(graph, entry, x)[0], " ".join(said)


def lay_over(terms: Terms, graph: Chem.Mol, known: Known, among: Collection[int]) -> None:
    """Give the anions of a chain the terms that released anions have where the same atoms are bonded alike, in place.

    Only rows with an atom that bears a negative charge, in one resonance form, or is bonded to one that does; of
    Lennard-Jones terms those of such atoms and their neighbours. All else stays: it is Sage's, whose rest angle of
    sulfonylimides is 113 degrees (of TFSI in the released sets 125.6) and whose S-N bond is 1.64 A long (1.57).

    Args:
        terms: Sage's, of the whole chain.
        among: the atoms of units that are anions.
    """
    near = _tethered(graph) & set(among)
    beside = near | {n.GetIdx() for i in near for n in graph.GetAtomWithIdx(i).GetNeighbors()}

    def found(kind: str, row: tuple[int, ...]) -> Values | None:
        return known.one(kind, _row(graph, row, kind), TETHERED) if near & set(row) or len(row) == 1 else None

    for i in beside:
        if (values := found("atoms", (i,))) is not None:
            terms.lennard_jones[i] = (0.1 * values[0], values[1])
    for bond in terms.bonds:
        if (values := found("bonds", bond)) is not None:
            terms.bonds[bond] = (0.1 * values[0], 100.0 * values[1])
    for angle in terms.angles:
        if (values := found("angles", angle)) is not None:
            terms.angles[angle] = (math.radians(values[0]), values[1])
    torsions = {row: v for row in graph_terms(graph)[2] if (v := found("torsions", row)) is not None}
    taken = torsions.keys() | {row[::-1] for row in torsions}
    terms.torsions = [row for row in terms.torsions if tuple(row[:4]) not in taken]
    terms.torsions += [(*row, *term) for row in sorted(torsions) for term in series(torsions[row])]


def charges_of_head(graph: Chem.Mol, known: Known, unit: Collection[int]) -> dict[int, float]:
    """Charges (e) that released anions give the atoms about the charge of one unit of a chain; none if not to all.

    Counted are atoms that bear the charge or are bonded to one that does, and what follows from there, group by group,
    a group being an atom with the end atoms bonded to it, as far as each atom of a group is of a kind that has one
    charge in all released anions.
    """
    near = _tethered(graph) & set(unit)
    taken: dict[int, float] = {}
    ahead, seen = sorted(near), set(near)
    while ahead:
        atom = graph.GetAtomWithIdx(ahead.pop())
        bonded = [n.GetIdx() for n in atom.GetNeighbors() if n.GetIdx() in unit]
        group = [atom.GetIdx(), *(i for i in bonded if graph.GetAtomWithIdx(i).GetDegree() == 1)]
        values = [known.one("charges", _row(graph, (i,), "atoms"), TETHERED) for i in group]
        if any(value is None for value in values):
            if near & set(group):
                return {}
            continue
        taken.update({i: value[0] for i, value in zip(group, values, strict=True) if value})
        ahead += [i for i in bonded if i not in seen]
        seen |= set(bonded)
    return taken


def _tethered(graph: Chem.Mol) -> set[int]:
    """``_charged`` of a chain, told by what is near: an end atom beside a charged one like it bears the charge, too."""
    bearing: set[int] = set()
    for atom in graph.GetAtoms():
        if atom.GetFormalCharge() < 0:
            bearing.add(atom.GetIdx())
            if atom.GetDegree() == 1:
                others = atom.GetNeighbors()[0].GetNeighbors()
                alike = (n for n in others if n.GetDegree() == 1 and n.GetAtomicNum() == atom.GetAtomicNum())
                bearing |= {n.GetIdx() for n in alike}
    return bearing | {n.GetIdx() for i in bearing for n in graph.GetAtomWithIdx(i).GetNeighbors()}


def _sizes(graph: Chem.Mol, known: Known, sage: Terms | None) -> list[Values]:
    """Lennard-Jones terms of each atom: of the released anions, else Sage's."""
    found: list[Values] = []
    for i in range(graph.GetNumAtoms()):
        row = _row(graph, (i,), "atoms")
        values = known.one("atoms", row)
        if values is None and sage is not None and not math.isnan(sage.lennard_jones[i][0]):
            sigma_nm, epsilon = sage.lennard_jones[i]
            values = (10.0 * sigma_nm, epsilon)
        if values is None:
            raise Unparametrised(f"no Lennard-Jones term for {row.exact}")
        found.append(values)
    return found


def _torsions(
    graph: Chem.Mol, x: np.ndarray, rows: set, known: Known, sage: Terms | None
) -> tuple[dict[str, list[float]], dict[str, int], list[str]]:
    """What is known of the torsions, which V the others have that the Hessian gives, and what is Sage's."""
    taken: dict[str, list[float]] = {}
    periods: dict[str, int] = {}
    of_sage: list[str] = []
    missing: set[str] = set()
    charged = _charged(graph)
    for key in sorted(rows):
        row, (_, j, k, _) = _row(graph, key, "torsions"), key
        if row.exact in taken or row.exact in periods:
            continue
        in_ring = 0 < graph.GetRingInfo().MinBondRingSize(graph.GetBondBetweenAtoms(j, k).GetIdx()) <= RING
        is_stiff = in_ring or graph.GetBondBetweenAtoms(j, k).GetIsConjugated()
        if is_light(graph, key) and is_stiff and all(_is_flat(graph, x, i, in_ring) for i in (j, k)):
            periods[row.exact] = 2
        elif (values := known.one("torsions", row)) is not None:
            taken[row.exact] = list(values)
        elif sage is not None and not charged & {j, k} and (v := _of_sage(sage, key)) is not None:
            taken[row.exact] = v
            of_sage.append(row.exact)
        elif in_ring:
            periods[row.exact] = 0
        else:
            missing.add("-".join(graph.GetAtomWithIdx(i).GetSymbol() for i in key))
    if missing:
        where = "the set's anions or Sage" if sage is not None else "the set's anions (Sage's file was not found)"
        raise Unparametrised(f"no torsion {', '.join(sorted(missing))} is in {where}")
    return taken, periods, of_sage


def is_light(graph: Chem.Mol, row: Iterable[int]) -> bool:
    """Whether GFN2-xTB's geometry and Hessian are relied on for these atoms."""
    return all(graph.GetAtomWithIdx(i).GetAtomicNum() <= LAST_RELIABLE for i in row)


def _of_sage(sage: Terms, key: tuple[int, ...]) -> list[float] | None:
    """V1 to V4 of Sage's torsion; None if it has none, or one that the series does not hold."""
    found, v = False, [0.0] * 4
    for *atoms, n, phase, k in sage.torsions:
        if tuple(atoms) in (key, key[::-1]):
            found = True
            straight = min(abs(phase), abs(phase - math.pi))
            if n > len(v) or straight > 1e-6:
                return None
            v[n - 1] += amplitude(n, phase, k)
    return v if found else None


def _charged(graph: Chem.Mol) -> set[int]:
    """Atoms that bear the charge in some resonance form, and those bonded to them."""
    classes = equivalence(graph)
    bearing = {classes[a.GetIdx()] for a in graph.GetAtoms() if a.GetFormalCharge() < 0}
    found = {i for i, rank in enumerate(classes) if rank in bearing}
    return found | {n.GetIdx() for i in found for n in graph.GetAtomWithIdx(i).GetNeighbors()}


def _is_flat(graph: Chem.Mol, x: np.ndarray, i: int, in_ring: bool) -> bool:
    near = [n.GetIdx() for n in graph.GetAtomWithIdx(i).GetNeighbors()]
    if len(near) != FLAT:
        return in_ring and len(near) < FLAT
    pairs = ((0, 1), (0, 2), (1, 2))
    return sum(angle_deg(x[[near[a], i, near[b]]]) for a, b in pairs) > FLAT_SUM_DEG


def _impropers(graph: Chem.Mol, types: list[str], x: np.ndarray, known: Known) -> dict[str, list[float] | None]:
    """Of each flat atom with three neighbours one improper: known, or None for one to be found."""
    found: dict[str, list[float] | None] = {}
    for atom in graph.GetAtoms():
        centre = atom.GetIdx()
        if atom.GetDegree() != FLAT or not _is_flat(graph, x, centre, in_ring=False):
            continue
        near = sorted(atom.GetNeighbors(), key=lambda n: (n.GetDegree(), types[n.GetIdx()], n.GetIdx()))
        orders = [[near[a].GetIdx(), centre, *(near[b].GetIdx() for b in range(FLAT) if b != a)] for a in range(FLAT)]
        rows = [_row(graph, tuple(order), "impropers") for order in orders]
        told = {row.exact: list(v) for row in rows if (v := known.one("impropers", row, levels=LEVELS - 1)) is not None}
        if told and not graph.GetRingInfo().NumAtomRings(centre):
            found |= told
        elif is_light(graph, orders[0]):
            found.setdefault(rows[0].exact, None)
    return found


def _judged(graph: Chem.Mol, entry: Mapping[str, Any], x: np.ndarray, hessian: np.ndarray, is_own: bool) -> str:
    """How far geometry and vibrations are from those of quantum chemistry.

    Raises:
        Unparametrised: if something was derived, and the vibrations are too far off.
    """
    at = minimum(graph, entry, x)
    own, theirs = (measured(place, graph, [f"{i}" for i in range(len(x))]) for place in (at, x))
    bond, angle = (
        max((abs(own[kind].get(name, 180.0) - value) for name, value in theirs[kind].items()), default=0.0)
        for kind in ("bonds", "angles")
    )
    wanted = wavenumbers_cm(graph, hessian)
    found = wavenumbers_cm(graph, mm_hessian(graph, entry, at))
    high = wanted > COMPARED_CM
    error = float(np.sqrt(np.mean((found[high] / wanted[high] - 1.0) ** 2)))
    said = (
        f"beside GFN2-xTB, bonds of the minimum are at most {bond:.3f} A and angles {angle:.1f} degrees off, "
        f"wavenumbers {100 * error:.0f} % (root mean square, from {COMPARED_CM:g} cm-1 on)"
    )
    if is_own and error > LARGEST_ERROR:
        raise Unparametrised(f"the terms derived for it do not hold: {said}")
    return f"{said[0].upper()}{said[1:]}."
