"""Which chains a box is given: their lengths, their sequences and their hands, all from the bottle's seed."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lmbmd.core.errors import LmbmdError
from lmbmd.core.provenance import derived_seed
from lmbmd.formulation.polymers.entry import Chain

#: Hands of a unit with stereocentres: as its SMILES is written, and its mirror image; "" where there is none.
AS_WRITTEN, MIRRORED = "+", "-"


@dataclass(frozen=True)
class Chains:
    """The chains of one polymer in a box.

    Attributes:
        units: SMILES of each kind of unit by its letter; ``names`` are theirs.
        ends: SMILES of the end groups.
        sequences: of each chain, a letter for each unit.
        hands: of each chain, ``+`` or ``-`` for each unit, in the SMILES' own sense; "" where there is no tacticity.
        said: what was asked for, in words, for the reader.
        caution: what must be known of the polymer, if anything.
        charges: formal charge of each letter that has one, e.
        counter_ions: how many of which ion make all chains together neutral; none of a neutral polymer.
    """

    units: dict[str, str]
    names: dict[str, str]
    ends: tuple[str, str]
    sequences: tuple[str, ...]
    hands: tuple[str, ...]
    said: str
    caution: str = ""
    charges: dict[str, int] = field(default_factory=dict)
    counter_ions: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        letters = {letter for sequence in self.sequences for letter in sequence}
        if not all(self.sequences) or not letters <= self.units.keys() or len(self.hands) != len(self.sequences):
            raise ValueError("a chain is empty, or has a unit that is not described")
        for sequence, hands in zip(self.sequences, self.hands, strict=True):
            if set(hands) - {AS_WRITTEN, MIRRORED} or len(hands) not in (0, len(sequence)):
                raise ValueError("the hands of a chain are not those of its units")

    @property
    def n_units(self) -> int:
        """Repeat units of all chains."""
        return sum(map(len, self.sequences))

    @property
    def charge_e(self) -> int:
        """Formal charge of all chains together, without counter-ions, e."""
        return sum(charge * self.count(letter) for letter, charge in self.charges.items())

    def count(self, letter: str) -> int:
        """Units of that kind in all chains."""
        return sum(sequence.count(letter) for sequence in self.sequences)


def draw(chain: Chain, n_chains: int, seed: int, formulation: str, where: str) -> Chains:
    """Chains whose units are together exactly ``n_chains`` times the mean length, each kind of unit its share of them.

    Lengths are quantiles of the distribution, one at random from each of ``n_chains`` slices of equal probability, and
    then changed by single units until their sum is right. A random copolymer draws its units without replacement from
    all of the box; a block copolymer has one block of each unit in the order given; an alternating one repeats them.

    Raises:
        LmbmdError: if a copolymer's chains are too short for its shares, or no whole number of counter-ions balances
            the chains.
    """
    generator = np.random.default_rng(derived_seed(seed, formulation, 0, f"chains of {chain.name}"))
    lengths = _lengths(chain, n_chains, generator)
    sequences = _sequences(chain, lengths, generator)
    if lacking := [chain.names[x] for x in chain.units if not any(x in sequence for sequence in sequences)]:
        what = f"{n_chains} chains of {chain.mean_units} units would have none of {lacking[0]}."
        raise LmbmdError(what, where=where, remedy="Give longer chains, a larger box, or a larger share of it.")
    hands = [_hands(chain.tacticity, len(sequence), generator) for sequence in sequences]
    units, names, charges = dict(chain.units), dict(chain.names), dict(chain.charges)
    found = Chains(units, names, chain.ends, tuple(sequences), tuple(hands), "", chain.caution, charges)
    ions = _counter_ions(chain, found.charge_e, where)
    return replace(found, said=_said(chain, lengths, ions), counter_ions=ions)


def atoms_of_chains(chains: Chains) -> int:
    """Atoms of all of them."""
    from lmbmd.formulation.polymers import units as graphs

    each = {letter: graphs.n_atoms(graphs.read_unit(unit, "composition")) for letter, unit in chains.units.items()}
    ends = sum(graphs.n_atoms(graphs.read_end(end, "composition")) for end in chains.ends)
    return sum(ends + sum(each[letter] for letter in sequence) for sequence in chains.sequences)


def _counter_ions(chain: Chain, charge_e: int, where: str) -> dict[str, int]:
    if not chain.counter_charge:
        return {}
    number, rest = divmod(-charge_e, chain.counter_charge)
    if rest:
        z = abs(chain.counter_charge)
        raise LmbmdError(
            f"the chains of {chain.name} have a charge of {charge_e:+d} e together, which no whole number of "
            f"{chain.counter_ion} ({chain.counter_charge:+d} e) balances.",
            where=f"{where}.counter_ion",
            remedy=f"Make the number of charged units a multiple of {z}, by 'units', by the shares, or by "
            f"'size: {{chains: N}}' with N a multiple of {z}.",
        )
    return {chain.counter_ion: number}


def _lengths(chain: Chain, n: int, generator: np.random.Generator) -> list[int]:
    mean = chain.mean_units
    if chain.distribution == "uniform":
        return [mean] * n
    quantiles = (np.arange(n) + generator.random(n)) / n
    if chain.distribution == "poisson":
        # the propagation of a living chain: one unit is there, the others come at random
        k = np.arange(10 * mean + 50)
        log = k * np.log(max(mean - 1, 1e-9)) - (mean - 1) - np.cumsum(np.log(np.maximum(k, 1)))
        drawn = 1.0 + np.searchsorted(np.cumsum(np.exp(log)), quantiles)
    else:
        from scipy.special import gammaincinv  # takes long to import, and every job reads the study

        shape = 1 / (chain.dispersity - 1)  # Mw/Mn = 1 + 1/k of a gamma distribution of chain lengths
        drawn = gammaincinv(shape, quantiles) * mean / shape
    lengths = np.maximum(np.rint(drawn).astype(int), 1)
    while rest := mean * n - int(lengths.sum()):
        open_ = np.flatnonzero(lengths > 1) if rest < 0 else np.arange(n)
        lengths[generator.choice(open_)] += np.sign(rest)
    return [int(x) for x in generator.permutation(lengths)]


def _sequences(chain: Chain, lengths: Sequence[int], generator: np.random.Generator) -> list[str]:
    letters = list(chain.units)
    if len(letters) == 1:
        return [letters[0] * n for n in lengths]
    if chain.sequence == "alternating":
        return [("".join(letters) * n)[:n] for n in lengths]
    if chain.sequence == "block":
        return ["".join(x * k for x, k in zip(letters, _parts(chain, n), strict=True)) for n in lengths]
    pool = "".join(x * k for x, k in zip(letters, _parts(chain, sum(lengths)), strict=True))
    mixed = "".join(np.array(list(pool))[generator.permutation(len(pool))])
    ends = np.cumsum([0, *lengths])
    return [mixed[a:b] for a, b in itertools.pairwise(ends)]


def _parts(chain: Chain, total: int) -> list[int]:
    """How many of each unit, by largest remainder."""
    exact = np.array([chain.shares[x] * total for x in chain.units])
    parts = np.floor(exact).astype(int)
    for i in np.argsort(parts - exact, kind="stable")[: total - int(parts.sum())]:
        parts[i] += 1
    return [int(part) for part in parts]


def _hands(tacticity: str, n: int, generator: np.random.Generator) -> str:
    if not tacticity:
        return ""
    if tacticity == "isotactic":
        return AS_WRITTEN * n
    if tacticity == "syndiotactic":
        return (AS_WRITTEN + MIRRORED) * (n // 2) + AS_WRITTEN * (n % 2)
    return "".join(np.where(generator.random(n) < 0.5, AS_WRITTEN, MIRRORED))  # as often as not


def _said(chain: Chain, lengths: Sequence[int], counter_ions: Mapping[str, int]) -> str:
    size = f"{lengths[0]}" if min(lengths) == max(lengths) else f"{min(lengths)} to {max(lengths)}"
    parts = [f"{len(lengths)} chains of {chain.name} of {size} units"]
    if chain.sequence:
        shares = ", ".join(f"{chain.names[x]} {share:.3g}" for x, share in chain.shares.items())
        parts.append(f"{chain.sequence} copolymer ({shares})")
    parts += [chain.tacticity] if chain.tacticity else []
    parts += [f"with {n} {ion} as counter-ions" for ion, n in counter_ions.items()]
    return ", ".join(parts)
