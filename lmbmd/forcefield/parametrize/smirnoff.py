"""Apply a SMIRNOFF parameter file (.offxml) to one molecule, with RDKit alone.

Covers what Sage uses for molecules without virtual sites: harmonic bonds and angles, proper torsions, trefoil
impropers, Lennard-Jones types, 1–4 factors. The rules are those of the SMIRNOFF specification 0.3
(openforcefield.github.io/standards): the last pattern that matches wins; an improper is spread over the three cyclic
orders of its outer atoms, central atom first, a third of k each.

Aromaticity is RDKit's MDL model, which is what SMIRNOFF files are written for.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rdkit import Chem, rdBase

KCAL = 4.184
NM_PER_A = 0.1
#: No pattern of four atoms in a row matches an atom of a chain more often.
MATCHES_PER_ATOM = 200
RADIAN = math.pi / 180
#: Unit text as Sage writes it, its exponents sorted → factor to nm, kJ/mol, rad, e.
UNITS = {
    "angstrom": NM_PER_A,
    "degree": RADIAN,
    "kilocalorie_per_mole": KCAL,
    "kilocalorie mole^-1": KCAL,
    "angstrom^-2 kilocalorie_per_mole": KCAL / NM_PER_A**2,
    "angstrom^-2 kilocalorie mole^-1": KCAL / NM_PER_A**2,
    "kilocalorie_per_mole radian^-2": KCAL,
    "kilocalorie mole^-1 radian^-2": KCAL,
}


@dataclass
class Terms:
    """Parameters of one molecule in nm, kJ/mol, rad; atoms by index.

    Attributes:
        bonds: (i, j) → (r0, k), E = k (r − r0)² / 2.
        angles: (i, j, k) → (θ0, k), E = k (θ − θ0)² / 2.
        torsions: (i, j, k, l, n, phase, k), E = k (1 + cos(n φ − phase)).
        lennard_jones: per atom (σ, ε).
        scale14_lj, scale14_coulomb: factors on 1–4 pairs.
        used: ids of the parameters that were assigned, per section.
    """

    bonds: dict[tuple[int, int], tuple[float, float]] = field(default_factory=dict)
    angles: dict[tuple[int, int, int], tuple[float, float]] = field(default_factory=dict)
    torsions: list[tuple[int, int, int, int, int, float, float]] = field(default_factory=list)
    lennard_jones: list[tuple[float, float]] = field(default_factory=list)
    scale14_lj: float = 1.0
    scale14_coulomb: float = 1.0
    used: dict[str, dict[tuple[int, ...], str]] = field(default_factory=dict)


class Unparametrised(Exception):
    """An atom, bond, angle or proper torsion finds no parameter; the text says which."""


class OffxmlFault(Exception):
    """The file is none that can be applied here; the text says which part of it, without a full stop."""


#: Sections that are applied, or that change nothing for a flexible molecule whose charges come from elsewhere.
APPLIED = ("Bonds", "Angles", "ProperTorsions", "ImproperTorsions", "vdW", "Electrostatics")
WITHOUT_EFFECT = ("Author", "Date", "Constraints", "LibraryCharges", "ToolkitAM1BCC", "NAGLCharges")
#: What the applied sections may say about their functional form.
FORMS: dict[str, dict[str, tuple[str, ...]]] = {
    "Bonds": {"potential": ("harmonic", "(k/2)*(r-length)^2")},
    "Angles": {"potential": ("harmonic", "(k/2)*(theta-angle)^2")},
    "ProperTorsions": {"potential": ("k*(1+cos(periodicity*theta-phase))",)},
    "ImproperTorsions": {"potential": ("k*(1+cos(periodicity*theta-phase))",)},
    "vdW": {
        "potential": ("Lennard-Jones-12-6",),
        "combining_rules": ("Lorentz-Berthelot",),
        "scale12": ("0.0",),
        "scale13": ("0.0",),
        "scale15": ("1.0", "1"),
    },
    "Electrostatics": {"scale12": ("0.0",), "scale13": ("0.0",), "scale15": ("1.0", "1")},
}


def read_offxml(offxml: Path) -> ElementTree.Element:
    """The file's root, after a check that everything in it is understood here.

    Raises:
        OffxmlFault: if it is no SMIRNOFF file, or has a section or a functional form that is not applied here.
    """
    try:
        root = ElementTree.parse(offxml).getroot()
    except ElementTree.ParseError as error:
        raise OffxmlFault(f"this is no XML ({error})") from error
    if root.tag != "SMIRNOFF" or root.get("aromaticity_model") != "OEAroModel_MDL":
        raise OffxmlFault("this is no SMIRNOFF file with the MDL model of aromaticity")
    found = {section.tag for section in root}
    if lacking := [name for name in APPLIED if name not in found]:
        raise OffxmlFault(f"it has no {', '.join(lacking)}")
    if unknown := sorted(found - {*APPLIED, *WITHOUT_EFFECT}):
        raise OffxmlFault(f"it has {', '.join(unknown)}, which lmbmd does not apply")
    for section, asked in FORMS.items():
        for key, valid in asked.items():
            given = _section(root, section).get(key, valid[0])
            if given not in valid:
                raise OffxmlFault(f"{section} has {key} '{given}', which lmbmd does not apply")
    return root


def apply(offxml: Path, molecule: Chem.Mol, foreign: frozenset[str] = frozenset()) -> Terms:
    """Assign every parameter of ``offxml`` to ``molecule`` (explicit hydrogens).

    No term with an atom of a ``foreign`` element is assigned, although a pattern of "any atom" may match it: the caller
    brings those, and the Lennard-Jones terms of these atoms, which are nan here. The recipes of released sets use it.

    Raises:
        Unparametrised: if an atom, bond, angle or proper torsion finds no parameter.
        OffxmlFault: if the file has what is not applied here, or a parameter of it cannot be read.
    """
    root = read_offxml(offxml)
    molecule = Chem.Mol(molecule)
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    Chem.SetAromaticity(molecule, Chem.AromaticityModel.AROMATICITY_MDL)
    terms = Terms()
    n_torsion = 4
    found = {
        "Bonds": _assign(root, "Bonds", molecule, 2),
        "Angles": _assign(root, "Angles", molecule, 3),
        "ProperTorsions": _assign(root, "ProperTorsions", molecule, n_torsion),
        "ImproperTorsions": _assign(root, "ImproperTorsions", molecule, n_torsion, improper=True),
        "vdW": _assign(root, "vdW", molecule, 1),
    }
    strange = {a.GetIdx() for a in molecule.GetAtoms() if a.GetSymbol() in foreign}
    found = {name: {k: p for k, p in table.items() if not strange & set(k)} for name, table in found.items()}
    _check_complete(molecule, found, strange)
    if any("bondorder" in key for p in found["Bonds"].values() for key in p):
        raise OffxmlFault("its bonds depend on fractional bond orders, which lmbmd does not compute")
    for key, p in found["Bonds"].items():
        terms.bonds[key] = (_quantity(p, "length"), _quantity(p, "k"))
    for key, p in found["Angles"].items():
        terms.angles[key] = (_quantity(p, "angle"), _quantity(p, "k"))
    for key, p in found["ProperTorsions"].items():
        terms.torsions += [(*key, *series) for series in _series(p, divisor=None)]
    for (a, centre, b, c), p in found["ImproperTorsions"].items():
        for outer in ((a, b, c), (b, c, a), (c, a, b)):
            terms.torsions += [(centre, *outer, *series) for series in _series(p, divisor=3.0)]
    for atom in range(molecule.GetNumAtoms()):
        if atom in strange:
            terms.lennard_jones.append((math.nan, math.nan))
            continue
        p = found["vdW"][(atom,)]
        sigma = _quantity(p, "sigma") if "sigma" in p else 2.0 * _quantity(p, "rmin_half") / 2.0 ** (1 / 6)
        terms.lennard_jones.append((sigma, _quantity(p, "epsilon")))
    terms.scale14_lj = _number(_section(root, "vdW").attrib, "scale14", "vdW")
    terms.scale14_coulomb = _five_sixths(_number(_section(root, "Electrostatics").attrib, "scale14", "Electrostatics"))
    terms.used = {name: {key: _label(p) for key, p in section.items()} for name, section in found.items()}
    return terms


def _five_sixths(scale: float) -> float:
    """The file's 0.8333333333 stands for 1/1.2."""
    return 5.0 / 6.0 if abs(scale - 5.0 / 6.0) < 1e-9 else scale


def _section(root: ElementTree.Element, name: str) -> ElementTree.Element:
    section = root.find(name)
    if section is None:
        raise OffxmlFault(f"it has no {name}")
    return section


def _label(p: Mapping[str, str]) -> str:
    """A parameter as messages name it."""
    return p.get("id", p.get("smirks", "a parameter"))


def _told(p: Mapping[str, str], key: str, owner: str) -> str:
    if key not in p:
        raise OffxmlFault(f"{owner} has no {key}")
    return p[key]


def _number(p: Mapping[str, str], key: str, owner: str, text: str | None = None) -> float:
    """A finite number; ``text`` is the part of the value that must be one."""
    told = _told(p, key, owner)
    try:
        number = float(told if text is None else text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise OffxmlFault(f"{owner} has {key} '{told}', which is no number")
    return number


def _quantity(p: Mapping[str, str], key: str) -> float:
    """``"1.5 * angstrom ** 1"`` → 0.15 (nm)."""
    owner = _label(p)
    text = _told(p, key, owner)
    number, *units = (part.strip() for part in re.split(r"(?<!\*)\*(?!\*)", text))
    powers = []
    for unit in units:
        name, _, power = (part.strip() for part in unit.partition("**"))
        powers.append(name if power in ("", "1") else f"{name}^{power}")
    factor = UNITS.get(" ".join(sorted(powers)))
    if factor is None:
        raise OffxmlFault(f"{owner} has {key} '{text}', whose unit lmbmd does not know")
    return _number(p, key, owner, number) * factor


def _series(p: dict[str, str], divisor: float | None) -> list[tuple[int, float, float]]:
    """(n, phase, k) of each term; ``divisor`` None means the file's own idivf, which must be given."""
    if any("bondorder" in key for key in p):
        raise OffxmlFault(f"{_label(p)} depends on a fractional bond order, which lmbmd does not compute")
    out = []
    for i in range(1, 1 + sum(key.startswith("periodicity") for key in p)):
        by = _number(p, f"idivf{i}", _label(p)) if divisor is None else divisor
        n = _number(p, f"periodicity{i}", _label(p))
        if n != int(n) or by == 0:
            raise OffxmlFault(f"{_label(p)} has periodicity{i} {n:g} and idivf{i} {by:g}")
        out.append((int(n), _quantity(p, f"phase{i}"), _quantity(p, f"k{i}") / by))
    return out


def _assign(
    root: ElementTree.Element, section: str, molecule: Chem.Mol, n: int, improper: bool = False
) -> dict[tuple, dict[str, str]]:
    found: dict[tuple, dict[str, str]] = {}
    for entry in _section(root, section):
        p = dict(entry.attrib)
        smirks = _told(p, "smirks", f"a parameter of {section}")
        with rdBase.BlockLogs():
            query = Chem.MolFromSmarts(smirks)
        if query is None:
            raise OffxmlFault(f"{_label(p)} has smirks '{smirks}', which is no SMARTS")
        tagged = sorted((a.GetAtomMapNum(), a.GetIdx()) for a in query.GetAtoms() if a.GetAtomMapNum())
        if len(tagged) != n:
            raise OffxmlFault(f"{_label(p)} tags {len(tagged)} atoms, not {n}")
        most = max(100_000, MATCHES_PER_ATOM * molecule.GetNumAtoms())
        for match in molecule.GetSubstructMatches(query, uniquify=False, useChirality=True, maxMatches=most):
            key = tuple(match[i] for _, i in tagged)
            if improper:
                a, b, c = sorted((key[0], key[2], key[3]))
                key = (a, key[1], b, c)
            elif key[0] > key[-1]:
                key = key[::-1]
            found[key] = p
    return found


def _check_complete(molecule: Chem.Mol, found: dict[str, dict], strange: set[int]) -> None:
    bonds, angles, torsions = graph_terms(molecule)
    wanted = {"Bonds": bonds, "Angles": angles, "ProperTorsions": torsions}
    wanted["vdW"] = {(i,) for i in range(molecule.GetNumAtoms())}
    for section, every in wanted.items():
        keys = {key for key in every if not strange & set(key)}
        if missing := keys - set(found[section]):
            names = ["-".join(molecule.GetAtomWithIdx(i).GetSymbol() for i in key) for key in sorted(missing)]
            raise Unparametrised(f"no {section} parameter for {', '.join(sorted(set(names)))}")
        if section != "vdW" and (extra := set(found[section]) - keys):
            raise OffxmlFault(f"{section} matched atoms that are not bonded in a row: {sorted(extra)}")


def graph_terms(molecule: Chem.Mol) -> tuple[set, set, set]:
    """All bonds, angles and proper torsions of the graph, each as indices with the smaller end first."""
    near = {a.GetIdx(): [b.GetIdx() for b in a.GetNeighbors()] for a in molecule.GetAtoms()}
    bonds = {(i, j) for i in near for j in near[i] if i < j}
    angles = {(i, j, k) for j in near for i in near[j] for k in near[j] if i < k}
    torsions = set()
    for j, k in bonds:
        for i in near[j]:
            for m in near[k]:
                if i != k and m != j and i != m:
                    torsions.add((i, j, k, m) if i < m else (m, k, j, i))
    return bonds, angles, torsions
