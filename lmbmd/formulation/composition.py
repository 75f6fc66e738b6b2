"""Integer counts for a bottle: neutral by construction, as true to the recipe as the size allows."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from pydantic import TypeAdapter, ValidationError

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import damaged, read_json, sealed, write_text
from lmbmd.core.provenance import canonical_json, sha256_of
from lmbmd.core.units import ANGSTROM3_PER_CM3, AVOGADRO_PER_MOL
from lmbmd.core.validation import first_fault
from lmbmd.data.counts import ENOUGH_MOLECULES, scarcity
from lmbmd.data.library import Library
from lmbmd.formulation.amounts import PARTS
from lmbmd.formulation.models import MOST_ATOMS, Formulation, Size
from lmbmd.formulation.polymers.draw import Chains, atoms_of_chains, draw
from lmbmd.formulation.resolve import Component, Weights, check_liquid, find_components, resolve

if TYPE_CHECKING:  # its module reads Parquet, which planning a study must not wait for
    from lmbmd.data.atoms import Role

#: Counts are sought within this fraction of the size that was asked for.
WINDOW = 0.05
#: Edge of the smallest box in units of the cut-off: two, and a tenth more as boxes fluctuate and estimates err.
EDGE_PER_CUTOFF = 2.2

#: Larger boxes are not tried to find one that meets a tolerance.
_MAX_ADVISED_ATOMS = 500_000

_AGAIN = "Run the compose stage again."

_NM3_PER_CM3_MOL = 1e21 / AVOGADRO_PER_MOL


@dataclass(frozen=True)
class Realised:
    """One line of asked against realised: both in the basis of the recipe; ``rest`` is compared in wt%.

    Parts are scaled so that each pool has the sum that was asked for. ``relative_error`` is realised/asked − 1.
    """

    component: str
    text: str
    basis: str
    asked: float
    realised: float
    relative_error: float


@dataclass(frozen=True)
class Ingredient:
    """A component of the box: ``units`` formula units or molecules, and the facts that were used for it."""

    name: str
    role: str
    units: int
    species: dict[str, int]
    molar_mass_g_mol: float
    molar_volume_cm3_mol: float
    density_g_cm3: float | None
    density_T_K: float | None
    source: str


@dataclass(frozen=True)
class Composition:
    """What is put in the box.

    Attributes:
        formulation: its name.
        recipe_sha256: hash of everything that decided the composition.
        counts: molecules of each species, ions by themselves; cations, anions, then solvents, diluents, additives.
        roles: role of each species in this bottle.
        charges: formal charge of each species, e; 0 of a polymer, whose chains say theirs.
        ingredients: the same by component, with the molar masses and densities that were used.
        asked_realised: how well the integers meet the recipe.
        n_atoms: atoms in the box.
        box_edge_A: edge of the cube at ideal mixing of the densities near 298 K: a start, not a result.
        density_g_cm3: at that edge.
        force_field, ion_charge_scale, seed: for the build.
        notes: what the reader of a report must know.
        own_sets: folder of the user's own parameter sets, if ``force_field`` is one of them.
        chains: of each polymer, by its name.
    """

    formulation: str
    recipe_sha256: str
    counts: dict[str, int]
    roles: dict[str, Role]
    charges: dict[str, int]
    ingredients: tuple[Ingredient, ...]
    asked_realised: tuple[Realised, ...]
    n_atoms: int
    box_edge_A: float
    density_g_cm3: float
    force_field: str
    ion_charge_scale: float
    seed: int
    notes: tuple[str, ...] = ()
    own_sets: str = ""
    chains: dict[str, Chains] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.counts or not self.counts.keys() <= self.roles.keys() & self.charges.keys():
            raise ValueError("a species has no role or no charge")
        if min(self.counts.values()) < 0 or not 0 < self.box_edge_A < math.inf:
            raise ValueError("a count is negative, or the box has no edge")
        if any(len(chains.sequences) != self.counts.get(name) for name, chains in self.chains.items()):
            raise ValueError("the chains of a polymer are not as many as its count")
        if self.net_charge_e != 0:
            raise ValueError(f"the box has a net charge of {self.net_charge_e:+d} e")

    @property
    def net_charge_e(self) -> int:
        """Formal charges of all small molecules and all units of chains, e: 0."""
        small = sum(n * self.charges[s] for s, n in self.counts.items())
        return small + sum(chains.charge_e for chains in self.chains.values())

    def quantities(self, volume_A3: float | None = None) -> list[tuple[str, str, float, str]]:
        """Concentrations of every component in a box of that volume: (component, quantity, value, unit).

        Args:
            volume_A3: mean volume of the simulated box; the ideal-mixing volume if not given.

        A polymer is counted in repeat units, as amounts are. Quantities: ``count`` (1), ``molarity`` (mol/L of
        solution), ``molality`` (mol/kg of solvents, polymers and diluents), ``per cation`` (1, if there is a salt),
        ``mass fraction`` (1). Last, for the whole box, ``density`` (g/cm³).
        """
        volume_cm3 = (volume_A3 or self.box_edge_A**3) / ANGSTROM3_PER_CM3
        mass_g = sum(i.units * i.molar_mass_g_mol for i in self.ingredients) / AVOGADRO_PER_MOL
        solvent_g = sum(
            i.units * i.molar_mass_g_mol for i in self.ingredients if i.role in ("solvent", "polymer", "diluent")
        )
        cations = n_cations(self.counts, self.charges, self.chains)
        rows: list[tuple[str, str, float, str]] = []
        for i in self.ingredients:
            n = self.chains[i.name].n_units if i.name in self.chains else i.units
            rows.append((i.name, "count", float(n), "1"))
            rows.append((i.name, "molarity", 1000 * n / AVOGADRO_PER_MOL / volume_cm3, "mol/L"))
            if solvent_g:
                rows.append((i.name, "molality", 1000 * n / solvent_g, "mol/kg"))
            if cations:
                rows.append((i.name, "per cation", n / cations, "1"))
            rows.append((i.name, "mass fraction", i.units * i.molar_mass_g_mol / AVOGADRO_PER_MOL / mass_g, "1"))
        rows.append(("", "density", mass_g / volume_cm3, "g/cm³"))
        return rows

    def write(self, path: str | os.PathLike[str], provenance: Mapping[str, Any] | None = None) -> None:
        """Write as JSON."""
        told = asdict(self)
        if not self.chains:  # a box of molecules is written as before there were chains
            del told["chains"]
        for chains in told.get("chains", {}).values():  # and neutral ones as before there were charged ones
            for key in [key for key in ("charges", "counter_ions") if not chains[key]]:
                del chains[key]
        data = sealed({**told, "provenance": dict(provenance or {})})
        write_text(path, json.dumps(data, indent=1, ensure_ascii=False, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Composition:
        """Read what ``write`` wrote.

        Raises:
            LmbmdError: if the file is missing or is not a composition.
        """
        from lmbmd.data.atoms import Role  # noqa: F401  # by which pydantic reads ``roles``

        data = read_json(path, what="composition", remedy=_AGAIN)
        try:
            return TypeAdapter(cls).validate_python(data)
        except ValidationError as failed:
            raise damaged(path, "composition", first_fault(failed), _AGAIN) from failed


def n_cations(counts: Mapping[str, int], charges: Mapping[str, int], chains: Mapping[str, Chains]) -> int:
    """Cations of a box: small ones, and units of chains."""
    tethered = sum(one.count(letter) for one in chains.values() for letter, charge in one.charges.items() if charge > 0)
    return sum(n for s, n in counts.items() if charges[s] > 0) + tethered


def compose(formulation: Formulation, library: Library, *, cutoff_nm: float, ion_charge_scale: float) -> Composition:
    """Integer counts for a bottle.

    The recipe becomes one mole ratio (``resolve``). Sizes within 5 % of the target are tried, each rounded to whole
    formula units, and the one whose worst amount is closest to the recipe wins, to 0.1 %; among equals, the one
    nearest to the target. ``ion_pairs`` is met exactly, ``box_edge_nm`` is a lower bound. Salts are counted in
    formula units, and counter-ions of chains from the chains that are drawn, so the charge is zero by construction.

    Args:
        formulation: the bottle.
        library: species and salts.
        cutoff_nm: of the non-bonded forces; the box must be at least 2.2 times as wide.
        ion_charge_scale: what the force field proposes, for a bottle that does not say.

    Raises:
        LmbmdError: if the recipe has no solution, describes no liquid, a component would have too few molecules or
            too wrong an amount at this size, no whole number of counter-ions balances the chains, or the box is too
            small for the cut-off.
    """
    if formulation.ion_charge_scale is None:
        formulation = formulation.model_copy(update={"ion_charge_scale": ion_charge_scale})
    where = formulation.where()
    components = find_components(formulation, library)
    moles = resolve(components, where)
    check_liquid(components, moles, where)
    box = _Box(components, moles, formulation.size, formulation.where("size"))
    box.check_chains()
    units = box.best(box.target)
    box.check_molecules(units)
    box.check_edge(units, EDGE_PER_CUTOFF * cutoff_nm)
    box.check_tolerance(units)
    return _composition(formulation, library, components, moles, units)


class _Box:
    """A mole ratio and a size target, and the search for whole numbers that meet both."""

    def __init__(self, components: Sequence[Component], moles: np.ndarray, size: Size, where: str) -> None:
        self.components, self.moles, self.size, self.where = components, moles, size, where
        self.atoms = np.array([c.n_atoms for c in components])
        self.volume_nm3 = Weights.of(components).volume * _NM3_PER_CM3_MOL
        asked: float
        if size.atoms is not None:
            self.measure, asked, self.window = self.atoms, size.atoms, (1 - WINDOW, 1 + WINDOW)
        elif size.box_edge_nm is not None:
            self.measure, asked, self.window = self.volume_nm3, size.box_edge_nm**3, (1.0, 1 + WINDOW)
        elif size.chains is not None:
            of_chain = np.array([c.chain is not None for c in components], dtype=int)
            self.measure, asked, self.window = of_chain, size.chains, (1.0, 1.0)
        else:
            assert size.ion_pairs is not None, "Size has one of the four"
            self.measure, asked, self.window = np.array([c.cations for c in components]), size.ion_pairs, (1.0, 1.0)
        if not self.measure.any():
            what = "in ion pairs, but there is no salt" if size.chains is None else "in chains, but there is no polymer"
            raise LmbmdError(f"the size is {what}.", where=where, remedy="Give 'atoms' or 'box_edge_nm'.")
        #: Formula units and molecules that the size asks for, not yet whole.
        self.target = asked / float(moles @ self.measure)

    def best(self, total: float) -> np.ndarray:
        """The counts that meet the recipe best near ``total`` formula units and molecules."""
        trials = self._trials(total)
        relative = trials @ self.measure / (total * (self.moles @ self.measure))
        low, high = self.window[0] - 1e-9, self.window[1] + 1e-9
        inside = (relative >= low) & (relative <= high)
        if not inside.any():  # too few molecules to come so near: the next larger box
            off = np.abs(relative - 1) + 1e6 * (relative < low)
            inside = off == off.min()
        trials = trials[inside]
        worst = np.abs(realised_amounts(self.components, self.moles, trials)[1]).max(axis=1)
        distance = np.abs(trials @ self.atoms - total * (self.moles @ self.atoms))
        return trials[np.lexsort((distance, worst.round(3)))[0]]

    def _trials(self, total: float) -> np.ndarray:
        """Every distinct rounding of the mole ratio within ``WINDOW`` of a total, one per row; and it rounded up."""
        low, high = total * (1 - WINDOW), total * (1 + WINDOW)
        steps = [(np.arange(math.floor(low * x), math.ceil(high * x) + 1) + 0.5) / x for x in self.moles]
        edges = np.unique(np.concatenate([[low, high], *steps]))
        edges = edges[(edges >= low) & (edges <= high)]
        totals = np.append((edges[1:] + edges[:-1]) / 2, total)
        return np.vstack([np.rint(np.outer(totals, self.moles)), np.ceil(total * self.moles)]).astype(np.int64)

    def check_chains(self) -> None:
        """Refuse a chain that alone is larger than the box that is asked for, and chains that make it far too large."""
        total = self.target * float(self.moles @ self.atoms)
        if self.size.chains is not None and total > MOST_ATOMS:
            what = f"a box of {self.size.chains} chains would have {total:.3g} atoms; {MOST_ATOMS:.3g} are the most."
            raise LmbmdError(what, where=self.where, remedy="Ask for fewer chains, or shorter ones.")
        if self.size.atoms is None:
            return
        for i in (i for i, c in enumerate(self.components) if c.chain):
            if self.atoms[i] > (1 + WINDOW) * self.size.atoms:
                raise LmbmdError(
                    f"one chain of {self.components[i].name} has {self.atoms[i]:.0f} atoms, and the box is to have "
                    f"{self.size.atoms}.",
                    where=self.where,
                    remedy=f"Ask for a larger box, or shorter chains. A box with one chain "
                    f"{self._advice(1 / float(self.moles[i]))}",
                )

    def check_molecules(self, units: np.ndarray) -> None:
        """Refuse a component that has no molecule, or fewer than the size's ``min_molecules``."""
        few = np.flatnonzero(units < self.size.min_molecules)
        if few.size:
            i = few[np.argmin(self.moles[few])]
            enough = max(ENOUGH_MOLECULES, self.size.min_molecules)
            count = "no molecule" if units[i] == 0 else f"only {units[i]}"
            raise LmbmdError(
                f"a box of {self._told(units)} would hold {count} of {self.components[i].name}.",
                where=self.where,
                remedy=f"The smallest box with {enough} of it {self._advice(enough / float(self.moles[i]))}",
            )

    def check_edge(self, units: np.ndarray, least_nm: float) -> None:
        """Refuse a box narrower than the cut-off allows."""
        if self._edge_nm(units) < least_nm:
            total = math.ceil(least_nm * 1000) ** 3 / 1e9 / float(self.moles @ self.volume_nm3)
            raise LmbmdError(
                f"a box of {self._told(units)} is narrower than {EDGE_PER_CUTOFF:g} cut-offs, {least_nm:.2f} nm.",
                where=self.where,
                remedy=f"The smallest that will do {self._advice(total)}",
            )

    def check_tolerance(self, units: np.ndarray) -> None:
        """Refuse whole numbers that miss an amount by more than the size's ``tolerance``."""
        errors = realised_amounts(self.components, self.moles, units[None])[1][0]
        i = int(np.abs(errors).argmax())
        if abs(errors[i]) <= self.size.tolerance:
            return
        total, remedy = float(units.sum()), "No box of a sensible size would do better: raise 'tolerance'."
        while total * float(self.moles @ self.atoms) < _MAX_ADVISED_ATOMS:
            total *= 1.05
            size = Size(box_edge_nm=self._advised_edge_nm(total), tolerance=self.size.tolerance)
            larger = _Box(self.components, self.moles, size, self.where)
            trial = larger.best(larger.target)[None]
            if np.abs(realised_amounts(self.components, self.moles, trial)[1]).max() <= self.size.tolerance:
                remedy = f"A box that would do {self._advice(total)}"
                break
        raise LmbmdError(
            f"in a box of {self._told(units)} the amount of {self.components[i].name} is {errors[i]:+.2%} off, "
            f"beyond the tolerance of {self.size.tolerance:.2%}.",
            where=self.where,
            remedy=remedy,
        )

    def _edge_nm(self, units: np.ndarray) -> float:
        return float(units @ self.volume_nm3) ** (1 / 3)

    def _told(self, units: np.ndarray) -> str:
        return f"{int(units @ self.atoms)} atoms ({self._edge_nm(units):.2f} nm)"

    def _advised_edge_nm(self, total: float) -> float:
        return math.ceil(100 * self._edge_nm(total * self.moles) - 1e-9) / 100

    def _advice(self, total: float) -> str:
        edge = self._advised_edge_nm(total)
        atoms = math.ceil(total * float(self.moles @ self.atoms))
        return f"has an edge of {edge:.2f} nm and {atoms} atoms: 'size: {{box_edge_nm: {edge:.2f}}}'."


def realised_amounts(
    components: Sequence[Component], moles: np.ndarray, units: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What whole numbers make of the recipe.

    Args:
        components: the recipe.
        moles: its exact solution, by which ``rest`` is judged.
        units: (n_trials, n_components) counts.

    Returns:
        The realised amounts in each component's own basis, their relative errors, both shaped like ``units``, and
        the amounts asked for (n_components,).
    """
    weights = Weights.of(components)
    asked = np.array([c.amount.value if c.amount.value is not None else np.nan for c in components], dtype=float)
    realised = np.empty(units.shape)
    with np.errstate(divide="ignore", invalid="ignore"):
        for i, component in enumerate(components):
            basis = component.amount.basis
            if basis in PARTS:
                pool = np.array([c.amount.basis == basis for c in components])
                weight = weights.of_parts(basis) * pool
                realised[:, i] = units[:, i] * weight[i] * asked[pool].sum() / (units @ weight)
                continue
            numerator, total = weights.fraction("wt%" if basis == "rest" else basis, i)
            realised[:, i] = (units @ numerator) / (units @ total)
            if basis == "rest":
                asked[i] = (moles @ numerator) / (moles @ total)
        errors = np.nan_to_num(realised / asked - 1.0, nan=-1.0, posinf=1e9)
    return realised, errors, asked


def _composition(
    formulation: Formulation, library: Library, components: Sequence[Component], moles: np.ndarray, units: np.ndarray
) -> Composition:
    roles = {
        "salts": "salt",
        "solvents": "solvent",
        "polymers": "polymer",
        "diluents": "diluent",
        "additives": "additive",
    }
    chains = {
        c.name: draw(c.chain, int(n), formulation.seed, formulation.name, c.where)
        for c, n in zip(components, units, strict=True)
        if c.chain
    }
    components = [_drawn(c, chains[c.name], library) if c.name in chains else c for c in components]
    _check_drawn(formulation, components, moles, units)
    charge_of = {s: 0 if s in chains else library.species[s].charge for c in components for s in c.species}
    ingredients = tuple(
        Ingredient(
            c.name,
            roles[c.section if c.is_solvent or not c.is_salt else "salts"],
            int(n),
            dict(c.species),
            c.molar_mass_g_mol,
            c.molar_volume_cm3_mol,
            c.density_g_cm3,
            c.density_T_K,
            c.source,
        )
        for c, n in zip(components, units, strict=True)
    )
    counts: dict[str, int] = {}
    role: dict[str, Role] = {}
    for i in ingredients:
        for species, n in i.species.items():
            charge = charge_of[species]
            counts[species] = counts.get(species, 0) + n * i.units
            role[species] = "cation" if charge > 0 else "anion" if charge < 0 else cast("Role", i.role)
        if (one := chains.get(i.name)) and one.charges.keys() == one.units.keys():  # each unit is an ion
            role[i.name] = "anion" if one.charge_e < 0 else "cation"
        for species, n in one.counter_ions.items() if one else ():
            charge_of[species] = library.species[species].charge
            counts[species] = counts.get(species, 0) + n
            role[species] = "cation" if charge_of[species] > 0 else "anion"
    order = ["cation", "anion", "solvent", "polymer", "diluent", "additive"]
    names = sorted(counts, key=lambda s: (order.index(role[s]), s))
    values, errors, asked = realised_amounts(components, moles, units[None])
    weights = Weights.of(components)
    volume_cm3 = float(units @ weights.volume) / AVOGADRO_PER_MOL
    return Composition(
        formulation=formulation.name,
        recipe_sha256=sha256_of(canonical_json(formulation.recipe()).encode()),
        counts={s: counts[s] for s in names},
        roles={s: role[s] for s in names},
        charges={s: charge_of[s] for s in names},
        ingredients=ingredients,
        asked_realised=tuple(
            Realised(
                c.name,
                c.amount.text,
                "wt%" if c.amount.basis == "rest" else c.amount.basis,
                float(a),
                float(v),
                float(e),
            )
            for c, a, v, e in zip(components, asked, values[0], errors[0], strict=True)
        ),
        n_atoms=sum(
            atoms_of_chains(chains[c.name]) if c.chain else round(n * c.n_atoms)
            for c, n in zip(components, units, strict=True)
        )
        + sum(n * library.species[ion].n_atoms for one in chains.values() for ion, n in one.counter_ions.items()),
        box_edge_A=(volume_cm3 * ANGSTROM3_PER_CM3) ** (1 / 3),
        density_g_cm3=float(units @ weights.mass) / AVOGADRO_PER_MOL / volume_cm3,
        force_field=formulation.force_field,
        ion_charge_scale=cast("float", formulation.ion_charge_scale),
        seed=formulation.seed,
        notes=(
            *_notes(components, units),
            *(f"{one.said}." for one in chains.values()),
            *_sentences([one.caution for one in chains.values()]),
            *_sentences([library.species[name].caution for name in names if name not in chains]),
        ),
        chains=chains,
    )


def _drawn(component: Component, chains: Chains, library: Library) -> Component:
    """A charged polymer with the mean mass and the mean number of cations of the chains that were drawn."""
    from lmbmd.formulation.polymers import units as graphs

    if not chains.counter_ions or component.chain is None:
        return component
    n = len(chains.sequences)
    mass = sum(graphs.molar_mass_g_mol(graphs.read_end(end, "composition")) for end in chains.ends)
    for letter, smiles in chains.units.items():
        mass += chains.count(letter) * graphs.molar_mass_g_mol(graphs.read_unit(smiles, "composition")) / n
    mass += sum(k * library.species[ion].molar_mass_g_mol for ion, k in chains.counter_ions.items()) / n
    of_small = {ion: library.species[ion].charge for ion in chains.counter_ions}
    return replace(
        component,
        cations=n_cations(chains.counter_ions, of_small, {"": chains}) / n,
        molar_mass_g_mol=mass,
        molar_volume_cm3_mol=mass / component.chain.density_g_cm3,
    )


def _check_drawn(
    formulation: Formulation, components: Sequence[Component], moles: np.ndarray, units: np.ndarray
) -> None:
    """Refuse chains whose charges, unit by unit, miss what was asked for by what the mean chain has.

    Raises:
        LmbmdError: if the number of cations is not that of ``ion_pairs``, or an amount is beyond the tolerance.
    """
    charged = [c for c in components if c.chain and c.chain.charges]
    if not charged:
        return
    cations, asked = round(sum(c.cations * int(n) for c, n in zip(components, units, strict=True))), formulation.size
    if asked.ion_pairs is not None and cations != asked.ion_pairs:
        raise LmbmdError(
            f"whole chains of {charged[0].name} come to {cations} cations, not {asked.ion_pairs}.",
            where=formulation.where("size"),
            remedy=f"Give 'size: {{ion_pairs: {cations}}}', or another measure of size.",
        )
    errors = realised_amounts(components, moles, units[None])[1][0]
    i = int(np.abs(errors).argmax())
    if abs(errors[i]) > asked.tolerance:
        raise LmbmdError(
            f"with the units that whole chains of {charged[0].name} have, the amount of {components[i].name} is "
            f"{errors[i]:+.2%} off, beyond the tolerance of {asked.tolerance:.2%}.",
            where=formulation.where("size"),
            remedy="Take longer chains, shares that divide their length, or a larger box.",
        )


def _notes(components: Sequence[Component], units: np.ndarray) -> tuple[str, ...]:
    told = (scarcity(c.name, int(n)) for c, n in zip(components, units, strict=True))
    return tuple(sentence for sentence in told if sentence)


def _sentences(cautions: Sequence[str]) -> tuple[str, ...]:
    """What must be known of species and chains: what else a name means elsewhere, what is estimated."""
    return tuple(f"{text[0].upper()}{text[1:].rstrip('.')}." for text in cautions if text)
