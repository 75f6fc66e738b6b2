"""What a bottle says of a polymer, and the chain that this means."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, model_validator

from lmbmd.core.errors import LmbmdError
from lmbmd.core.options import FROZEN, Number, Whole
from lmbmd.core.validation import fault
from lmbmd.formulation.amounts import AmountText
from lmbmd.formulation.polymers.known import UNIT_NAME, Units, find_polymer

if TYPE_CHECKING:
    from rdkit import Chem

#: Longer chains have nothing to relax in within any run, and a million units are a slip.
MOST_UNITS = 5000
Distribution = Literal["uniform", "poisson", "schulz-zimm"]
Tacticity = Literal["isotactic", "syndiotactic", "atactic"]
Sequence_ = Literal["random", "alternating", "block"]


class Polymer(BaseModel):
    """One polymer of a bottle. Its amount is counted in repeat units, its chains have ``units`` of them each."""

    model_config = FROZEN

    amount: AmountText = Field(description="of repeat units, on any basis, or `EO:Li = 20`")
    units: Whole = Field(
        ge=1, le=MOST_UNITS, description="repeat units of a chain; of a distribution the number average"
    )
    distribution: Distribution = Field("uniform", description="of the lengths: all alike, Poisson, or Schulz–Zimm")
    dispersity: Number = Field(1.5, gt=1, le=3, description="Mw/Mn of a Schulz–Zimm distribution")
    unit: Units | None = Field(None, description="SMILES with two attachment points, or several by name")
    ends: tuple[str, str] | None = Field(None, description="end groups: SMILES with one attachment point each")
    tacticity: Tacticity | None = Field(None, description="where the unit has a stereocentre; atactic if not given")
    sequence: Sequence_ | None = Field(None, description="of a copolymer")
    shares: dict[str, Number] | None = Field(None, description="of a copolymer: parts of each unit, by its name")
    counter_ion: str | None = Field(
        None,
        min_length=1,
        max_length=32,
        description="of charged units: the ion that makes the chain neutral, by its name, as `Li`",
    )
    density_g_cm3: Number | None = Field(None, gt=0, le=25, description="amorphous; sizes the box, and no more")

    @model_validator(mode="after")
    def _consistent(self) -> Polymer:
        if "dispersity" in self.model_fields_set and self.distribution != "schulz-zimm":
            raise fault("a dispersity goes with a Schulz–Zimm distribution.", "Add 'distribution: schulz-zimm'.")
        if self.shares and min(self.shares.values()) <= 0:
            raise fault("a share is not positive.", "Leave out a unit that the chain does not have.")
        return self


@dataclass(frozen=True)
class Chain:
    """A polymer as the box needs it.

    Attributes:
        name: as a species.
        units: SMILES of each kind of unit by a letter, A, B, …; their ``names`` likewise.
        shares: of each letter, adding up to 1.
        ends: SMILES of the end groups.
        mean_units, distribution, dispersity: of the lengths.
        tacticity: "" if no unit has a stereocentre.
        mass_g_mol, density_g_cm3, density_T_K: of the mean chain without counter-ions, and of the amorphous polymer
            with them.
        n_atoms: of the mean chain without counter-ions.
        oxygens: ether oxygens of the mean unit.
        charges: formal charge of each letter that has one, e; all of one sign.
        counter_ion, counter_charge: the ion that makes it neutral, as the recipe calls it, and its charge, e, which
            ``resolve`` finds; "" and 0 of a neutral chain.
    """

    name: str
    units: Mapping[str, str]
    names: Mapping[str, str]
    shares: Mapping[str, float]
    sequence: str
    ends: tuple[str, str]
    mean_units: int
    distribution: str
    dispersity: float
    tacticity: str
    mass_g_mol: float
    n_atoms: float
    oxygens: float
    density_g_cm3: float
    density_T_K: float
    source: str
    caution: str
    charges: Mapping[str, int] = field(default_factory=dict)
    counter_ion: str = ""
    counter_charge: int = 0

    @property
    def counter_ions(self) -> float:
        """How many the mean chain has."""
        charge = self.mean_units * sum(self.shares[letter] * q for letter, q in self.charges.items())
        return -charge / self.counter_charge if self.counter_charge else 0.0


def chain_of(name: str, polymer: Polymer, where: str) -> Chain:
    """The chain that an entry means, with what the library knows of a polymer that is named.

    Raises:
        LmbmdError: for an unknown name, a unit or an end group that is none, a tacticity without stereocentres, a
            sequence or shares that do not fit to the units, charges without a counter-ion or of both signs, or a
            density that is missing.
    """
    from lmbmd.formulation.polymers import units as graphs

    known = None
    if polymer.unit is None:
        name, known = find_polymer(name, where)
    elif not re.fullmatch(UNIT_NAME, name):
        remedy = "Use up to 32 letters, digits and '_'."
        raise LmbmdError(f"'{name}' cannot name a polymer.", where=where, remedy=remedy)
    unit = polymer.unit or (known.unit if known else "")
    named = unit if isinstance(unit, dict) else {name: unit}
    letters = dict(zip("ABCDEFGH", named, strict=False))
    read = {letter: graphs.read_unit(named[unit], f"{where}.unit") for letter, unit in letters.items()}
    shares, sequence = _shares(polymer, letters, where)
    first, last = read["A"], read[list(read)[-1]]
    ends = polymer.ends or (known.ends if known else (graphs.usual_end(first, 1), graphs.usual_end(last, 2)))
    caps = [graphs.read_end(end, f"{where}.ends") for end in ends]
    graphs.check_junctions(list(read.values()), (caps[0], caps[1]), where)
    charges = _charges(read, named, letters, list(zip(ends, caps, strict=True)), where)
    counter_ion = polymer.counter_ion or (known.counter_ion if known else "")
    _check_counter_ion(name, charges, counter_ion, named, where)
    n = polymer.units
    density = polymer.density_g_cm3 or (known.density.g_cm3 if known else None)
    if density is None:
        raise LmbmdError(
            f"{name} has no density, which is needed to size the box.",
            where=where,
            remedy="Add 'density_g_cm3', roughly: the simulation finds the true one.",
        )
    mean = {letter: shares[letter] * n for letter in letters}
    return Chain(
        name=name,
        units={letter: named[unit] for letter, unit in letters.items()},
        names=letters,
        shares=shares,
        sequence=sequence,
        ends=(ends[0], ends[1]),
        mean_units=n,
        distribution=polymer.distribution,
        dispersity=polymer.dispersity,
        tacticity=_tacticity(polymer, read, named, letters, where),
        mass_g_mol=sum(map(graphs.molar_mass_g_mol, caps))
        + sum(graphs.molar_mass_g_mol(read[letter]) * x for letter, x in mean.items()),
        n_atoms=sum(map(graphs.n_atoms, caps)) + sum(graphs.n_atoms(read[letter]) * x for letter, x in mean.items()),
        oxygens=sum(_oxygens(read[letter], [*read.values()]) * share for letter, share in shares.items()),
        density_g_cm3=density,
        density_T_K=known.density.T_K if known else 298.15,
        source=known.density.source if known and polymer.density_g_cm3 is None else "given in the recipe",
        caution=known.caution if known else "",
        charges=charges,
        counter_ion=counter_ion,
    )


def _charges(
    read: Mapping[str, Chem.Mol],
    named: Mapping[str, str],
    letters: Mapping[str, str],
    ends: Sequence[tuple[str, Chem.Mol]],
    where: str,
) -> dict[str, int]:
    """Formal charge of each letter that has one."""
    from lmbmd.formulation.polymers import units as graphs

    for smiles, end in ends:
        if charge := graphs.charge_e(end):
            raise LmbmdError(
                f"the end group '{smiles}' has a charge of {charge:+d} e.",
                where=f"{where}.ends",
                remedy="Give a neutral end, such as '*C' or '*[H]'; a charge belongs to a unit of the chain.",
            )
    charges = {letter: charge for letter, unit in read.items() if (charge := graphs.charge_e(unit))}
    if charges and min(charges.values()) < 0 < max(charges.values()):
        told = " and ".join(f"'{named[letters[letter]]}' ({charge:+d} e)" for letter, charge in charges.items())
        raise LmbmdError(
            f"one chain has units of both signs: {told}.",
            where=f"{where}.unit",
            remedy="Put both charges into one neutral unit (a zwitterion), or take two polymers, each with its own "
            "counter-ion.",
        )
    return charges


def _check_counter_ion(name: str, charges: Mapping[str, int], ion: str, named: Mapping[str, str], where: str) -> None:
    if charges and not ion:
        sign, example = ("negative", "Li") if min(charges.values()) < 0 else ("positive", "TFSI")
        raise LmbmdError(
            f"{name} has {sign} units and no counter-ion.",
            where=where,
            remedy=f"Add 'counter_ion: {example}': chain and counter-ions are one neutral component.",
        )
    if ion and not charges:
        raise LmbmdError(
            f"'{ion}' is to balance a chain that is neutral: {' and '.join(named.values())}.",
            where=f"{where}.counter_ion",
            remedy="Leave 'counter_ion' out, or write the charge into the unit, as [N-]; a salt goes under 'salts'.",
        )


def _oxygens(unit: Any, units: Sequence[Any]) -> float:
    """Ether oxygens of a unit; NaN where its neighbours in a copolymer decide."""
    from lmbmd.formulation.polymers import units as graphs

    found = {graphs.ether_oxygens(unit, left, right) for left in units for right in units}
    return found.pop() if len(found) == 1 else float("nan")


def _shares(polymer: Polymer, letters: Mapping[str, str], where: str) -> tuple[dict[str, float], str]:
    """Share of each letter, and the kind of sequence; "" of a homopolymer."""
    if len(letters) == 1:
        if said := [key for key in ("sequence", "shares") if getattr(polymer, key) is not None]:
            what = f"'{said[0]}' is for copolymers, and this chain has one kind of unit."
            raise LmbmdError(what, where=f"{where}.{said[0]}", remedy="Leave it out, or give several units by name.")
        return {"A": 1.0}, ""
    names = list(letters.values())
    if polymer.sequence is None:
        remedy = "Add 'sequence: random', 'alternating' or 'block'."
        raise LmbmdError(f"{' and '.join(names)} have no sequence.", where=where, remedy=remedy)
    if polymer.sequence == "alternating":
        if polymer.shares is not None:
            remedy = "Leave 'shares' out: alternating units have equal ones."
            raise LmbmdError("the sequence is alternating.", where=f"{where}.shares", remedy=remedy)
        return {letter: 1 / len(letters) for letter in letters}, "alternating"
    if polymer.shares is None or set(polymer.shares) != set(names):
        remedy = f"Write 'shares: {{{', '.join(f'{n}: 1' for n in names)}}}' with the parts of each unit."
        raise LmbmdError("the shares of its units are not given.", where=where, remedy=remedy)
    total = sum(polymer.shares.values())
    return {letter: polymer.shares[name] / total for letter, name in letters.items()}, polymer.sequence


def _tacticity(
    polymer: Polymer,
    read: Mapping[str, Chem.Mol],
    named: Mapping[str, str],
    letters: Mapping[str, str],
    where: str,
) -> str:
    from lmbmd.formulation.polymers import units as graphs

    centres = {letter: graphs.stereocentres(unit) for letter, unit in read.items()}
    if not any(centres.values()):
        if polymer.tacticity:
            what = f"there is no tacticity: {' and '.join(named.values())} has no stereocentre."
            raise LmbmdError(what, where=f"{where}.tacticity", remedy="Leave 'tacticity' out.")
        return ""
    for letter, unit in read.items():
        if not graphs.has_written_hands(unit):
            raise LmbmdError(
                f"'{named[letters[letter]]}' has {len(centres[letter])} stereocentres whose hands are not written.",
                where=f"{where}.unit",
                remedy="Write them with @ and @@: a tacticity relates units to each other, not the centres inside one.",
            )
    return polymer.tacticity or "atactic"
