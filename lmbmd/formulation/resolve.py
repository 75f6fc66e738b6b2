"""From amounts on mixed bases to one mole ratio.

Every basis is one homogeneous linear equation in the moles of the components, given molar masses, molar
volumes and ideal mixing. The bottle is the null space of all of them, which must be one ray of positive numbers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lmbmd.core.errors import LmbmdError, nearest
from lmbmd.core.words import listed
from lmbmd.data.library import Library, Salt, Species, UnknownName
from lmbmd.formulation.amounts import PARTS, Amount, Basis, cation_of
from lmbmd.formulation.models import SECTIONS, Formulation, Section
from lmbmd.formulation.polymers.entry import Chain, chain_of

#: Bases that only a polymer has.
_OF_CHAINS: tuple[Basis, ...] = ("units per cation", "ether oxygens per cation")
#: Fewer solvent molecules per cation than this is no liquid electrolyte.
MIN_SOLVENT_PER_CATION = 0.5


@dataclass(frozen=True)
class Component:
    """One line of the recipe: a salt counted in formula units, a neutral molecule, or a polymer counted in chains. An
    ionic liquid is a salt that may be a solvent.

    ``species`` says how many of which species one unit has. ``density_g_cm3`` and ``density_T_K`` are None for a
    salt, whose ``molar_volume_cm3_mol`` is an apparent one in solution. A polymer has a ``chain``; its
    mass, volume, atoms and cations are those of the mean chain with its counter-ions, which ``species`` leaves out, and
    amounts count its repeat units.
    """

    name: str
    section: Section
    amount: Amount
    where: str
    species: Mapping[str, int]
    cations: float
    molar_mass_g_mol: float
    molar_volume_cm3_mol: float
    n_atoms: float
    density_g_cm3: float | None
    density_T_K: float | None
    source: str
    chain: Chain | None = None

    @property
    def counted(self) -> int:
        """What an amount counts of it: itself, or the repeat units of a chain."""
        return self.chain.mean_units if self.chain else 1

    @property
    def is_salt(self) -> bool:
        return self.cations > 0 and self.chain is None

    @property
    def is_solvent(self) -> bool:
        """Whether it counts in amounts per litre or per kilogram of solvent."""
        return self.section in ("solvents", "diluents", "polymers")


@dataclass(frozen=True)
class Weights:
    """Masses and volumes of the components as arrays, in the order of the recipe; and what amounts count of each:
    one, or the repeat units of a chain, the ether oxygens in these, and its cations.
    """

    mass: np.ndarray
    volume: np.ndarray
    solvent: np.ndarray
    counted: np.ndarray
    oxygens: np.ndarray
    cations: np.ndarray

    @classmethod
    def of(cls, components: Sequence[Component]) -> Weights:
        return cls(
            np.array([c.molar_mass_g_mol for c in components]),
            np.array([c.molar_volume_cm3_mol for c in components]),
            np.array([c.is_solvent for c in components], dtype=float),
            np.array([c.counted for c in components], dtype=float),
            np.array([c.counted * c.chain.oxygens if c.chain else 0 for c in components], dtype=float),
            np.array([c.cations for c in components], dtype=float),
        )

    def of_parts(self, basis: str) -> np.ndarray:
        return {"mol parts": self.counted, "volume parts": self.volume, "mass parts": self.mass}[basis]

    def fraction(self, basis: str, i: int) -> tuple[np.ndarray, np.ndarray]:
        """Coefficients a, b of the amount of component ``i`` as a·n / b·n, for every basis but parts and rest."""
        scale, own, total = {
            "mol/L of solution": (1000.0, self.counted, self.volume),
            "mol/L of solvent": (1000.0, self.counted, self.volume * self.solvent),
            "mol/kg of solvent": (1000.0, self.counted, self.mass * self.solvent),
            "wt%": (100.0, self.mass, self.mass),
            "vol%": (100.0, self.volume, self.volume),
            "units per cation": (1.0, self.counted, self.cations),
            "ether oxygens per cation": (1.0, self.oxygens, self.cations),
        }[basis]
        numerator = np.zeros_like(self.mass)
        numerator[i] = scale * own[i]
        return numerator, total


def find_components(formulation: Formulation, library: Library) -> tuple[Component, ...]:
    """The bottle's components with their facts, in the order of the recipe.

    Raises:
        LmbmdError: for an unknown name, an ion or a salt where a molecule is due, a component given twice, a salt
            that is not neutral, or a species without a density.
    """
    found: dict[str, Component] = {}
    places: dict[str, str] = {}
    lines: list[tuple[str, Component]] = [
        (section, _component(name, section, amount, library, formulation.where(section, name)))
        for section in SECTIONS
        for name, amount in getattr(formulation, section).items()
    ]
    lines += [("polymers", polymer) for polymer in _polymers(formulation, library)]
    for section, component in lines:
        if component.name in found:
            raise LmbmdError(
                f"{component.name} stands under '{places[component.name]}' and again under '{section}'.",
                where=component.where,
                remedy="Give each component one line with its whole amount.",
            )
        found[component.name], places[component.name] = component, section
    _check_bases(tuple(found.values()), library)
    return tuple(found.values())


def _polymers(formulation: Formulation, library: Library) -> list[Component]:
    found, of_library = [], {n.casefold() for n in (*library.species, *library.salts)}
    seen: dict[str, str] = {}  # units are species of the box, each with a name of its own
    for name, polymer in formulation.polymers.items():
        where = formulation.where("polymers", name)
        chain = chain_of(name, polymer, where)
        for own in dict.fromkeys((chain.name, *chain.names.values())):
            remedy = "Take another name for the polymer or its unit."
            if own.casefold() in of_library:
                raise LmbmdError(f"'{own}' is a molecule or a salt of lmbmd's library.", where=where, remedy=remedy)
            if own.casefold() in seen:
                what = f"'{own}' names a unit of {chain.name} and one of {seen[own.casefold()]}."
                raise LmbmdError(what, where=where, remedy=remedy)
            seen[own.casefold()] = chain.name
        mass, atoms, cations = chain.mass_g_mol, chain.n_atoms, 0.0
        if chain.counter_ion:
            ion = _counter_ion(chain, library, f"{where}.counter_ion")
            chain = replace(chain, counter_ion=ion.name, counter_charge=ion.charge)
            mass += chain.counter_ions * ion.molar_mass_g_mol
            atoms += chain.counter_ions * ion.n_atoms
            charged = chain.mean_units * sum(chain.shares[letter] for letter in chain.charges)
            cations = chain.counter_ions if ion.charge > 0 else charged
        found.append(
            Component(
                chain.name,
                "polymers",
                polymer.amount,
                where,
                {chain.name: 1},
                cations,
                mass,
                mass / chain.density_g_cm3,
                atoms,
                chain.density_g_cm3,
                chain.density_T_K,
                chain.source,
                chain,
            )
        )
    return found


def _counter_ion(chain: Chain, library: Library, where: str) -> Species:
    """The ion that makes a chain neutral.

    Raises:
        LmbmdError: if it is unknown, no ion, or of the chain's own sign.
    """
    try:
        salt = library.find_salt(chain.counter_ion)
    except LmbmdError:
        ion = _found(chain, library, where)
    else:
        what = f"'{chain.counter_ion}' is a salt, and a counter-ion is one kind of ion."
        raise LmbmdError(what, where=where, remedy=f"Give one of its ions: {' or '.join(salt.ions)}.")
    if ion.charge * sum(chain.charges.values()) >= 0:
        sort = f"an ion of the chain's own sign ({ion.charge:+d} e)" if ion.charge else "no ion"
        raise LmbmdError(
            f"{ion.name} is {sort}, and the units of {chain.name} have {_signs(chain)}.",
            where=where,
            remedy=f"Give one of {', '.join(_counter_ions(chain, library))}.",
        )
    return ion


def _found(chain: Chain, library: Library, where: str) -> Species:
    try:
        return library.find_species(chain.counter_ion, where=where)
    except UnknownName:
        what = f"there is no ion '{chain.counter_ion}'."
        remedy = f"Give one of {', '.join(_counter_ions(chain, library))}."
        raise LmbmdError(what, where=where, remedy=remedy) from None


def _counter_ions(chain: Chain, library: Library) -> list[str]:
    charge = sum(chain.charges.values())
    return sorted(one.name for one in library.species.values() if one.charge * charge < 0)


def _signs(chain: Chain) -> str:
    return " and ".join(f"{charge:+d} e" for charge in dict.fromkeys(chain.charges.values()))


def _cations(components: Sequence[Component], library: Library) -> list[str]:
    """Names of the cations of a bottle: of salts, of chains' counter-ions, and units of chains."""
    found = set()
    for c in components:
        found |= {name for name in c.species if name in library.species and library.species[name].charge > 0}
        if c.chain:
            found |= {c.chain.names[letter] for letter, charge in c.chain.charges.items() if charge > 0}
            found |= {c.chain.counter_ion} if c.chain.counter_charge > 0 else set()
    return sorted(found)


def _check_bases(components: Sequence[Component], library: Library) -> None:
    """Refuse units per cation of what has no units or no oxygen, and a ratio to a cation that is not the only one."""
    cations = _cations(components, library)
    for c in components:
        if c.amount.basis not in _OF_CHAINS:
            continue
        if c.chain is None:
            remedy = "Give it to the polymer, and the salt '1 mol parts' or 'rest'."
            raise LmbmdError(f"'{c.amount.text}' is the amount of a polymer.", where=c.where, remedy=remedy)
        if c.amount.basis == "ether oxygens per cation" and math.isnan(c.chain.oxygens):
            raise LmbmdError(
                f"how many ether oxygens {c.name} has depends on which units meet.",
                where=c.where,
                remedy=f"Cut its units at other bonds, or count them: '{c.amount.number:g} units per cation'.",
            )
        if c.amount.basis == "ether oxygens per cation" and not c.chain.oxygens:
            raise LmbmdError(
                f"'{c.amount.text}' counts ether oxygens, and {c.name} has none.",
                where=c.where,
                remedy=f"Count its units: '{c.amount.number:g} units per cation'.",
            )
        if not any(other.cations for other in components):
            remedy = "Add a salt, or give the polymer another amount, such as 'rest'."
            raise LmbmdError(f"'{c.amount.text}', but there is no cation.", where=c.where, remedy=remedy)
        meant = cation_of(c.amount.text)
        if meant and cations != [meant]:
            raise LmbmdError(
                f"'{c.amount.text}' counts {meant}, and the cations of this bottle are {listed(cations)}.",
                where=c.where,
                remedy=f"Write 'units per cation', which counts all of them, or give {c.name} in mol parts.",
            )


def _component(name: str, section: Section, amount: Amount, library: Library, where: str) -> Component:
    entry = _entry(name, section, library, where)
    if isinstance(entry, Salt):
        ions = {library.find_species(ion, where=where): n for ion, n in entry.ions.items()}
        charge = sum(ion.charge * n for ion, n in ions.items())
        if charge != 0:
            remedy = "Mend the ions of this salt in the species library."
            raise LmbmdError(
                f"the salt {entry.name} is not neutral: its ions add up to {charge:+d} e.", where=where, remedy=remedy
            )
        return Component(
            entry.name,
            section,
            amount,
            where,
            {ion.name: n for ion, n in ions.items()},
            sum(n for ion, n in ions.items() if ion.charge > 0),
            sum(n * ion.molar_mass_g_mol for ion, n in ions.items()),
            entry.molar_volume_cm3_mol,
            sum(n * ion.n_atoms for ion, n in ions.items()),
            None,
            None,
            entry.source,
        )
    if entry.charge:
        salts = [salt.name for salt in library.salts.values() if entry.name in salt.ions]
        what = f"{entry.name} is an ion ({entry.charge:+d} e), which cannot come alone."
        raise LmbmdError(what, where=where, remedy=f"Add it as a salt: {', '.join(salts) or 'none is known'}.")
    if entry.molar_volume_cm3_mol is None or entry.density_g_cm3 is None:
        raise LmbmdError(
            f"{entry.name} has no density in the species library.",
            where=where,
            remedy="Add its density, which is needed to size the box.",
        )
    return Component(
        entry.name,
        section,
        amount,
        where,
        {entry.name: 1},
        0,
        entry.molar_mass_g_mol,
        entry.molar_volume_cm3_mol,
        entry.n_atoms,
        entry.density_g_cm3,
        entry.density_T_K,
        entry.density_source,
    )


def _entry(name: str, section: Section, library: Library, where: str) -> Salt | Species:
    if section == "salts":
        return library.find_salt(name, where=where)
    if section == "solvents" and (liquid := _ionic_liquid(name, library)):
        return liquid
    if section == "additives":
        try:
            return library.find_salt(name, where=where)
        except LmbmdError:
            pass
        try:
            return library.find_species(name, where=where)
        except UnknownName:
            remedy = nearest(name, [*library.species, *library.salts])
            raise LmbmdError(f"there is no species or salt '{name}'.", where=where, remedy=remedy) from None
    return library.find_species(name, where=where)


def _ionic_liquid(name: str, library: Library) -> Salt | None:
    """A salt that may be a solvent: one of molecular ions only."""
    try:
        salt = library.find_salt(name)
    except LmbmdError:
        return None
    return salt if all(library.species[ion].n_atoms > 1 for ion in salt.ions if ion in library.species) else None


def resolve(components: Sequence[Component], where: str) -> np.ndarray:
    """Mole fractions of the components (formula units of salts), which sum to one.

    Args:
        components: the recipe.
        where: the formulation, for error messages about the whole recipe.

    Raises:
        LmbmdError: if the amounts leave something open, contradict each other, or describe no liquid.
    """
    _check_closed(components, where)
    _check_room(components, where)
    rows = _equations(components)
    n = len(components)
    if rows:
        # Unknowns scaled to mass, rows to unit length: the singular values are then comparable.
        scale = 1.0 / Weights.of(components).mass
        matrix = np.array(rows) * scale
        matrix /= np.linalg.norm(matrix, axis=1, keepdims=True)
        _, singular, basis = np.linalg.svd(matrix, full_matrices=True)
        rank = int((singular > 1e-10).sum())
    else:
        scale, rank, basis = np.ones(1), 0, np.eye(n)
    if rank != n - 1:
        raise _contradiction(components, where)
    moles = basis[-1] * scale
    moles = moles / moles.sum() if moles.sum() else moles
    lacking = [c.name for c, x in zip(components, moles, strict=True) if not x > 1e-12]
    if lacking:
        raise LmbmdError(
            f"the amounts leave nothing for {', '.join(lacking)}.",
            where=where,
            remedy="Lower the fixed amounts; together they already fill the bottle.",
        )
    return moles


def solvent_per_cation(components: Sequence[Component], moles: np.ndarray) -> float:
    """Molecules listed under ``solvents``, and units of polymers, per cation of the others; infinite without a salt."""
    cations = sum(c.cations * x for c, x in zip(components, moles, strict=True) if not c.is_solvent)
    solvent = sum(
        c.counted * x for c, x in zip(components, moles, strict=True) if c.section in ("solvents", "polymers")
    )
    return solvent / cations if cations else np.inf


def check_liquid(components: Sequence[Component], moles: np.ndarray, where: str) -> None:
    """Refuse a bottle with fewer than ``MIN_SOLVENT_PER_CATION`` solvent molecules per cation."""
    ratio = solvent_per_cation(components, moles)
    if ratio == 0:
        what = "there is a salt, but nothing under 'solvents' to dissolve it."
        raise LmbmdError(
            what, where=where, remedy="Add a solvent or a polymer; diluents and additives are not meant to be one."
        )
    if ratio < MIN_SOLVENT_PER_CATION:
        what = f"only {ratio:.2f} solvent molecules are left for each cation (limit {MIN_SOLVENT_PER_CATION:g})."
        raise LmbmdError(what, where=where, remedy=_other_readings(components, where))


def _equations(components: Sequence[Component]) -> list[np.ndarray]:
    weights = Weights.of(components)
    rows = []
    for i, component in enumerate(components):
        if component.amount.basis not in (*PARTS, "rest"):
            numerator, total = weights.fraction(component.amount.basis, i)
            rows.append(numerator - component.amount.value * total)
    for basis in PARTS:
        pool = [i for i, c in enumerate(components) if c.amount.basis == basis]
        weight = weights.of_parts(basis)
        for i in pool[1:]:
            row = np.zeros(len(components))
            row[pool[0]] = weight[pool[0]] / components[pool[0]].amount.value
            row[i] = -weight[i] / components[i].amount.value
            rows.append(row)
    return rows


def _check_closed(components: Sequence[Component], where: str) -> None:
    """Exactly one thing may be open: the ``rest``, or the common size of one pool of parts."""
    open_ = {}
    for basis in (*PARTS, "rest"):
        names = [c.name for c in components if c.amount.basis == basis]
        if basis == "rest" and len(names) > 1:
            raise LmbmdError(
                f"{listed(names)} are all 'rest'.",
                where=where,
                remedy="Only one component can fill up; share it out in parts, such as '3 volume parts'.",
            )
        if names:
            open_[basis] = names
    if len(open_) > 1:
        groups = "; ".join(f"{listed(names)} in '{basis}'" for basis, names in open_.items())
        raise LmbmdError(
            f"nothing ties these amounts together: {groups}.",
            where=where,
            remedy="Give all but one group per litre, per kilogram or in %, or all of them in the same kind of parts.",
        )
    per_solvent = [c for c in components if c.amount.basis in ("mol/L of solvent", "mol/kg of solvent")]
    if per_solvent and not any(c.is_solvent for c in components):
        raise LmbmdError(
            f"{per_solvent[0].name} is given as '{per_solvent[0].amount}', but there is no solvent.",
            where=per_solvent[0].where,
            remedy="Add a solvent or a diluent.",
        )
    if len(components) > 1 and not open_ and not _closes(components):
        raise _contradiction(components, where)


def _closes(components: Sequence[Component]) -> bool:
    """Whether fixed amounts only might still agree: all in one kind of percent, adding up to 100."""
    bases = {c.amount.basis for c in components}
    return bases in ({"wt%"}, {"vol%"}) and abs(sum(c.amount.number for c in components) - 100) < 1e-9


def _contradiction(components: Sequence[Component], where: str) -> LmbmdError:
    total = {b: sum(c.amount.number for c in components if c.amount.basis == b) for b in ("wt%", "vol%")}
    sums = "".join(
        f" ({b} adds up to {t:g})" for b, t in total.items() if t and {c.amount.basis for c in components} == {b}
    )
    return LmbmdError(
        f"every amount is fixed, so nothing can fill the bottle up{sums}.",
        where=where,
        remedy="Give one component, usually the solvent, the amount 'rest', or the solvents '3 volume parts' each.",
    )


def _check_room(components: Sequence[Component], where: str) -> None:
    """Refuse amounts per litre of solution, or in percent, that alone fill the bottle."""
    litre = [c for c in components if c.amount.basis == "mol/L of solution"]
    shares = [c for c in components if c.amount.basis == "vol%"]
    volumes = [c.amount.number * c.molar_volume_cm3_mol / c.counted for c in litre]
    filled = sum(volumes) + sum(10 * c.amount.number for c in shares)
    if litre and filled >= 1000:
        told = [
            f"{c.amount.number:g} mol {c.name} ({c.amount.number * c.molar_mass_g_mol / c.counted:.0f} g at "
            f"{c.molar_volume_cm3_mol / c.counted:.0f} cm³/mol)"
            for c in litre
        ] + [f"{c.amount.number:g} vol% {c.name}" for c in shares]
        raise LmbmdError(
            f"one litre of solution cannot hold this: {listed(told)} would fill {filled:.0f} cm³.",
            where=litre[0].where,
            remedy=_other_readings(components, where),
        )
    for basis in ("wt%", "vol%"):
        total = sum(c.amount.number for c in components if c.amount.basis == basis)
        others = [c.name for c in components if c.amount.basis != basis]
        if total >= 100 - 1e-9 and others:
            what = f"the amounts in {basis} add up to {total:g}, which leaves nothing for {listed(others)}."
            raise LmbmdError(what, where=where, remedy="Lower them.")


def _other_readings(components: Sequence[Component], where: str) -> str:
    """What the same numbers would mean per litre or per kilogram of solvent."""
    readings = []
    for basis in ("mol/L of solvent", "mol/kg of solvent"):
        changed = [
            replace(c, amount=replace(c.amount, basis=basis)) if c.amount.basis == "mol/L of solution" else c
            for c in components
        ]
        if changed == list(components):
            continue
        try:
            ratio = solvent_per_cation(changed, resolve(changed, where))
        except LmbmdError:
            continue
        if ratio >= MIN_SOLVENT_PER_CATION:
            readings.append(f"'{basis}' would leave {ratio:.2f} solvent molecules per cation")
    if readings:
        return f"Perhaps another basis is meant: {'; '.join(readings)}."
    return "Lower the amount of salt."
