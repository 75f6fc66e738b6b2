"""Which element an atom is: told by the map or the file, or agreed upon by two of mass, name and number of bonds."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from lmbmd.core.errors import LmbmdError

#: Farthest that a stated mass may be from the standard atomic weight, amu.
MASS_TOLERANCE_AMU = 0.1
#: A carbon with its hydrogens as one particle, amu: none of these is an element.
UNITED_AMU = {"CH": 13.019, "CH2": 14.027, "CH3": 15.035, "CH4": 16.043}
#: A carbon with its hydrogens whose mass has no decimals, amu.
_UNITED_TOLERANCE_AMU = 0.05
#: A mass this far from nitrogen's is as well one of CH2 that was rounded, amu.
_BETWEEN_N_AND_CH2_AMU = 0.0065
#: More than the heaviest hydrogen that is meant as one (tritium and a mass taken from a neighbour end below), amu.
HEAVIEST_HYDROGEN_AMU = 4.2
_HYDROGEN_AMU = 1.008
#: Isotopes that simulations and neutron scattering use, amu.
_ISOTOPES_AMU = {"H": (2.014,), "Li": (6.015, 7.016), "C": (13.003,), "N": (15.000,), "O": (17.999,)}
#: Ions of one atom, by the names that force fields give them. Only an atom that stands alone is looked up here.
ION_NAMES = {
    "Li": ("LI", "LIT", "LIP", "LIO"),
    "Na": ("NA", "SOD", "NAP"),
    "K": ("K", "POT", "KP"),
    "Rb": ("RB", "RUB"),
    "Cs": ("CS", "CES"),
    "Mg": ("MG",),
    "Ca": ("CA", "CAL"),
    "Sr": ("SR",),
    "Ba": ("BA", "BAR"),
    "Zn": ("ZN",),
    "Al": ("AL",),
    "F": ("F",),
    "Cl": ("CL", "CLA", "CLM"),
    "Br": ("BR", "BRO", "BROM"),
    "I": ("I", "IOD"),
}
_ION_OF = {name: element for element, names in ION_NAMES.items() for name in names}
#: Two letters that begin a molecule's atom name more often as an element than as a letter and a label.
_USUAL_TWO_LETTERS = ("Li", "Mg", "Zn", "Al", "Rb", "Cl", "Br", "Si")
_ONE_LETTER = ("H", "B", "C", "N", "O", "F", "P", "S", "I", "K")
#: Fewest and most bonds of an element in a molecule. An element that is not here may have any number.
BONDS = {
    "H": (1, 1),
    "B": (2, 4),
    "C": (1, 4),
    "N": (1, 4),
    "O": (1, 3),
    "F": (1, 1),
    "Si": (2, 6),
    "P": (1, 6),
    "S": (1, 6),
    "Cl": (1, 4),
    "Br": (1, 4),
    "I": (1, 4),
}
_NOBLE = ("He", "Ne", "Ar", "Kr", "Xe", "Rn")


class Evidence(NamedTuple):
    """What a topology says of one kind of atom.

    Attributes:
        told: element that the file states, or "".
        name, kind, residue: atom name, type and residue name, or "".
        mass_amu: mass that the file states, after masses moved to hydrogens were moved back; None if it states none.
        alone: whether the atom is bonded to none and the only one of its residue.
        bonds: how many bonds it has, by the topology or by distances; None if unknown.
    """

    told: str
    name: str
    kind: str
    residue: str
    mass_amu: float | None
    alone: bool
    bonds: int | None


class Verdict(NamedTuple):
    """The element, or None with what the signs say."""

    element: str | None
    why: str = ""
    candidates: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def weights() -> dict[str, float]:
    """Standard atomic weights, amu, by element symbol."""
    from rdkit.Chem import GetPeriodicTable

    table = GetPeriodicTable()
    return {table.GetElementSymbol(z): table.GetAtomicWeight(z) for z in range(1, 104)}


def is_element(symbol: str) -> bool:
    """Whether a text is an element symbol, as "O" or "Li"."""
    return symbol in weights()


@lru_cache(maxsize=4096)
def by_mass(mass_amu: float) -> tuple[str | None, str | None]:
    """The element of a mass and, in its place, the united atom that is nearer; None for none within the tolerance.

    Both for a mass with too few digits (14, 14.0) to tell nitrogen from CH2.
    """
    elements = {e: w for e, w in weights().items() if e not in _NOBLE}
    near = min(elements, key=lambda e: abs(elements[e] - mass_amu))
    united = min(UNITED_AMU, key=lambda e: abs(UNITED_AMU[e] - mass_amu))
    off, united_off = abs(elements[near] - mass_amu), abs(UNITED_AMU[united] - mass_amu)
    if united_off < off and united_off <= MASS_TOLERANCE_AMU:
        return None, united
    if united == "CH2" and united_off <= MASS_TOLERANCE_AMU and off > _BETWEEN_N_AND_CH2_AMU:
        return "N", "CH2"
    return (near if off <= MASS_TOLERANCE_AMU else None), None


def is_meant(mass_amu: float, element: str) -> bool:
    """Whether a stated mass is that of an element, of one of its isotopes, or of a carbon with its hydrogens.

    A mass of 3.024 for a hydrogen, or of what is left for its carbon, is none of them: it was repartitioned.
    """
    if abs(mass_amu - weights()[element]) <= MASS_TOLERANCE_AMU:
        return True
    if element == "C" and any(abs(mass_amu - m) <= _UNITED_TOLERANCE_AMU for m in UNITED_AMU.values()):
        return True
    return any(abs(mass_amu - m) < 0.006 for m in _ISOTOPES_AMU.get(element, ()))


def by_name(*labels: str) -> tuple[str, ...]:
    """Elements that the first label with letters may begin with, the usual one first: CL3 → Cl, C; NA → N, Na."""
    letters = next((bare for label in labels if (bare := re.sub(r"[^A-Za-z]", "", label))), "")
    one, two = letters[:1].upper(), letters[:2].capitalize()
    found = [e for e in (one,) if e in _ONE_LETTER]
    if len(letters) > 1 and is_element(two) and two not in _NOBLE:
        usual = two in _USUAL_TWO_LETTERS and len(letters) == 2
        found.insert(0 if usual else len(found), two)
    return tuple(found)


def ion_by_name(*labels: str) -> str | None:
    """The element of an ion that stands alone, from its atom or residue name: POT → K, Cl- → Cl; None if none."""
    found = {_ION_OF.get(re.sub(r"[^A-Za-z]", "", label).upper()) for label in labels if label} - {None}
    return found.pop() if len(found) == 1 else None


def decide(evidence: Evidence) -> Verdict:
    """The element of one kind of atom, if the map or the file tells it or two signs agree.

    Signs are the mass, the name, and whether the number of bonds is one that the element can have; for an atom that
    stands alone, that it is one of the elements that are ions by themselves.
    """
    if evidence.told and is_element(evidence.told.capitalize()):
        return _stated(evidence.told.capitalize(), evidence)
    mass, united = (None, None) if evidence.mass_amu is None else by_mass(evidence.mass_amu)
    said = "" if evidence.mass_amu is None else f"its mass is {evidence.mass_amu:.4g}"
    if evidence.alone:
        return _alone(evidence, mass, said)
    names = by_name(evidence.name, evidence.kind)
    if mass and united and (evidence.bonds or 0) > 2:  # more than CH2 can have
        united = None
    if mass and united and not {"N", "C"} & set(names):
        return Verdict(None, f"{said}, that of nitrogen or of {united} as one particle", ("N", "C"))
    if united and (mass is None or "N" not in names):
        return Verdict(None, f"{said}, that of {united} as one particle", ("C",))
    fits = [e for e in names if can_have(e, evidence.bonds)]
    if mass is None:
        if evidence.mass_amu is not None:
            return Verdict(None, f"{said}, which is no element's", tuple(names))
        if fits and evidence.bonds is not None:
            rivals = [e for e in fits if e in BONDS]
            if len(rivals) > 1 and rivals[0] in _ONE_LETTER:  # CLAA: a carbon L or a chlorine AA
                return Verdict(None, f"its name may begin with {' or '.join(rivals)}", tuple(rivals))
            return Verdict(fits[0])
        if not names:
            return Verdict(None)
        if evidence.bonds is None:
            return Verdict(None, "only its name says anything", tuple(names))
        return Verdict(None, f"it has {evidence.bonds} bonds", tuple(names))
    if mass in names:
        return Verdict(mass)
    mass_fits = evidence.bonds is not None and can_have(mass, evidence.bonds)
    if mass_fits and not fits:
        return Verdict(mass)
    if not names:
        return Verdict(None, f"{said}, and {_bonds(evidence.bonds)}", (mass,))
    return Verdict(None, f"{said}, that of {mass}, and its name begins with {' or '.join(names)}", (mass, *names))


def _stated(element: str, evidence: Evidence) -> Verdict:
    """The element that the file states, unless its name says another and neither mass nor bonds speak for the file."""
    file = f"the file says {element}"
    if evidence.alone:
        named = ion_by_name(evidence.name, evidence.residue)
        if named in (None, element):
            return Verdict(element)
        return Verdict(None, f"{file}, and its name is that of {named}", (element, named))
    if evidence.mass_amu is not None and is_meant(evidence.mass_amu, element):
        return Verdict(element)
    names = _usually(evidence.name)
    others = [e for e in names if e != element and can_have(e, evidence.bonds)]
    if not names or names[0] == element or not others:
        return Verdict(element)
    if element in names and evidence.bonds != 1:  # a carbon called CL has more bonds than a chlorine
        return Verdict(element)
    return Verdict(None, f"{file}, and its name begins with {' or '.join(others)}", (element, *others))


def _usually(name: str) -> tuple[str, ...]:
    """Elements that an atom's name speaks for; none if it is a label of a force field, such as opls_135."""
    usual = (*_ONE_LETTER, *_USUAL_TWO_LETTERS, "Na", "Ca")
    return () if "_" in name else tuple(e for e in by_name(name) if e in usual)


def _alone(evidence: Evidence, mass: str | None, said: str) -> Verdict:
    named = ion_by_name(evidence.name, evidence.residue) or ion_by_name(evidence.kind)
    if evidence.mass_amu is None:
        return Verdict(named, "" if named else "it stands alone, and its name is none of an ion of one atom")
    if mass is None or mass not in ION_NAMES:
        return Verdict(None, f"it stands alone, and {said}: no ion of one atom", (named,) if named else ())
    if named in (None, mass):
        return Verdict(mass)
    return Verdict(None, f"{said}, that of {mass}, and its name is that of {named}", (mass, named))


def _bonds(bonds: int | None) -> str:
    return "its number of bonds is not known" if bonds is None else f"it has {bonds} bonds"


def can_have(element: str, bonds: int | None) -> bool:
    """Whether an element of a molecule can have so many bonds; an unknown number is no objection."""
    fewest, most = BONDS.get(element, (0, 12))
    return bonds is None or fewest <= bonds <= most


def without_repartition(mass_amu: np.ndarray, bonds: np.ndarray, names: np.ndarray) -> np.ndarray:
    """Masses with what was moved onto hydrogens given back to the atoms that they are bonded to.

    Args:
        mass_amu: (n,) stated masses, amu.
        bonds: (m, 2) bonds of the topology.
        names: (n,) atom names, or "".

    Returns:
        (n,) masses. A light atom with one bond, heavier than a hydrogen and named as one (or not named), counts as a
        hydrogen of 1.008 amu where that makes its neighbour's mass that of an element; deuterium stays as it is.
    """
    mass = np.asarray(mass_amu, float)
    if not len(bonds):
        return mass
    n = len(mass)
    degree = np.bincount(bonds.ravel(), minlength=n)
    named = np.array([not re.sub(r"[^A-Za-z]", "", x) or re.sub(r"[^A-Za-z]", "", x)[0] in "HDhd" for x in names])
    light = (mass < HEAVIEST_HYDROGEN_AMU) & (mass > 0.5) & (degree == 1) & named
    pairs = np.concatenate([bonds, bonds[:, ::-1]])
    pairs = pairs[light[pairs[:, 0]] & ~light[pairs[:, 1]]]
    excess = np.zeros(n)
    np.add.at(excess, pairs[:, 1], mass[pairs[:, 0]] - _HYDROGEN_AMU)
    found = mass.copy()
    pairs = pairs[np.argsort(pairs[:, 1], kind="stable")]
    if not len(pairs):
        return mass
    heavy, starts = np.unique(pairs[:, 1], return_index=True)
    for i, light_ones in zip(heavy, np.split(pairs[:, 0], starts[1:]), strict=True):
        if (
            excess[i]
            and by_mass(mass[i] + excess[i])[0]
            and (excess[i] > MASS_TOLERANCE_AMU or not by_mass(mass[i])[0])
        ):
            # Deuterium's neighbour has an element's mass as it is, and would be too heavy for its name with more.
            if by_mass(mass[i])[0] and _is_deuterated(mass[light_ones], mass[i], names[i]):
                continue
            found[i] += excess[i]
            found[light_ones] = _HYDROGEN_AMU
    return found


def _is_deuterated(hydrogens_amu: np.ndarray, heavy_amu: float, name: str) -> bool:
    """Whether light atoms are deuterium (or plain hydrogen) beside an atom whose own mass and name agree."""
    isotopes = np.min(np.abs(hydrogens_amu[:, None] - np.array([1.008, 2.014])), axis=1) < 0.005
    return bool(isotopes.all()) and by_mass(heavy_amu)[0] in by_name(name)


def assigned(evidence: list[Evidence], overrides: Mapping[str, str], where: str, atom_of: Any = None) -> np.ndarray:
    """The element of each atom.

    Args:
        evidence: of each atom.
        overrides: element (or CH, CH2, CH3, CH4 as one particle) by atom name or type, from the species map.
        where: of the overrides, for messages.
        atom_of: how a message names an atom by its number.

    Raises:
        LmbmdError: naming the first atom for which neither the map nor the file tells the element and no two signs
            agree; it says what each sign says.
    """
    labels = {e.name for e in evidence} | {e.kind for e in evidence}
    for key, symbol in overrides.items():
        if not is_element(symbol) and symbol not in UNITED_AMU:
            what = f"'{symbol}' is no element."
            remedy = "Write it as O or Li, or as CH2 for a carbon and its hydrogens that are one particle."
            raise LmbmdError(what, where=f"{where}.{key}", remedy=remedy)
        if key not in labels:
            raise LmbmdError(f"no atom has the name or type '{key}'.", where=where, remedy="Mend or drop this line.")
    found = np.empty(len(evidence), dtype=object)
    known: dict[Evidence, Verdict] = {}
    for i, kind in enumerate(evidence):
        if kind not in known:
            override = overrides.get(kind.name) or overrides.get(kind.kind)
            known[kind] = Verdict("C" if override in UNITED_AMU else override) if override else decide(kind)
            signs = _signs(kind, override) if override else []
            if len(signs) > 1 and known[kind].element != decide(kind).element:
                atom = atom_of(i) if atom_of else f"atom {i + 1}"
                raise LmbmdError(
                    f"by its key {atom} is {override}, but {' and '.join(signs)}.",
                    where=where,
                    remedy="Mend the line, or take it out: it holds for every atom of this name or type. If the file "
                    "is wrong, write it again.",
                )
        if known[kind].element is None:
            raise _asked(kind, known[kind], atom_of(i) if atom_of else f"atom {i + 1}", where)
        found[i] = known[kind].element
    return found


def _signs(kind: Evidence, override: str) -> list[str]:
    """What speaks for the element that a kind of atom has without the map's word: the file's, its mass, its name.

    Nothing where the mass is that of what the map says. A name that may be either's (CL: of a chlorine, or of a carbon
    L) is no sign, nor a mass (14).
    """
    element = decide(kind).element
    if element is None:
        return []
    mass, united = (None, None) if kind.mass_amu is None else by_mass(kind.mass_amu)
    fits = override in (mass, united) or (override == "C" and united is not None)
    if fits and not (mass and united):
        return []
    names = by_name(kind.name, kind.kind)
    named: tuple[str | None, ...] = names[:1] if kind.alone or override not in names else ()
    named += (ion_by_name(kind.name, kind.residue),) * kind.alone
    said = {
        f"the file says {element}": kind.told.capitalize() == element,
        f"its mass is that of {element}": kind.mass_amu is not None and is_meant(kind.mass_amu, element) and not fits,
        f"its name is one of {element}": element in named,
    }
    return [text for text, speaks in said.items() if speaks]


def _asked(kind: Evidence, verdict: Verdict, atom: str, where: str) -> LmbmdError:
    label = kind.name or kind.kind
    mass = "" if kind.mass_amu is None else f", mass {kind.mass_amu:.4g}"
    why = f": {verdict.why}" if verdict.why else ""
    return LmbmdError(
        f"the element of {atom}{mass} is not known for certain{why}.",
        where=where,
        remedy=f"If you know it, add it by name or type: elements: {{{label}: …}}, with the element's symbol. If it is "
        f"a virtual site, a lone pair or a Drude particle, add not_atoms: [{label}]. A topology with elements (or with "
        "masses, names and bonds) needs neither.",
    )
