"""Descriptors and the table of how chains hold the centres, over all replicas of a state point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from lmbmd.analysis.chains.coordination import ChainShellResult, ChainShells
from lmbmd.analysis.family import Account, Family, Findings
from lmbmd.data.described import Descriptor
from lmbmd.numbers.doubt import COLUMNS as DOUBT
from lmbmd.numbers.doubt import Doubt, Kind, descriptor, entry
from lmbmd.numbers.estimate import Estimate, estimate_mean, estimate_ratio, last_used, shares

#: What the table ``chain_shells`` counts.
QUANTITIES = ("chains on a centre", "units of a chain on a centre", "units in a row", "centres on a chain")


def chain_coordination_account(results: Sequence[ChainShellResult], centre: str) -> Account:
    """What ``ChainShells`` found: descriptors and the table ``chain_shells``.

    Args:
        results: one per replica of the same box, which has chains.
        centre: the primary species.
    """
    rows: list[Descriptor] = []
    table: list[tuple] = []
    for k, name in enumerate(results[0].chains):
        rows += _descriptors(results, k, name, centre)
        table += _distributions(results, k, name)
    columns = ["chain", "quantity", "n", "fraction", "error", *DOUBT]
    return Account(rows, {"chain_shells": pd.DataFrame(table, columns=columns)})


def _descriptors(results: Sequence[ChainShellResult], k: int, name: str, centre: str) -> list[Descriptor]:
    never = Doubt(Kind.NEVER_BOUND, of=name)
    on_centre = [r.chains_on_centre[:, k] for r in results]
    pairs = [r.units[:, k].sum(axis=1) for r in results]
    units = estimate_mean([r.units_on_centre[:, k] / r.n_centres for r in results])
    chains = estimate_mean([pair / r.n_centres for pair, r in zip(pairs, results, strict=True)])
    none, one, several = (_share(results, k, part) for part in (slice(1), slice(1, 2), slice(2, None)))
    held = [c[:, 1:].sum(axis=1) for c in on_centre]
    single = estimate_ratio([c[:, 1:2].sum(axis=1) for c in on_centre], held)
    each = estimate_ratio([r.units_on_centre[:, k] for r in results], pairs)
    run = estimate_ratio([r.run[:, k] @ np.arange(1, r.run.shape[2] + 1) for r in results], pairs)
    per_chain = estimate_mean(
        [r.centres_on_chain[:, k] @ np.arange(r.centres_on_chain.shape[2]) / r.n_chains[k] for r in results]
    )
    share = f"share of all {centre} in contact with units of"
    told: list[tuple[str, Estimate, str, Doubt | None]] = [
        ("chain_units_per_centre", units, f"units of the chains in contact with a {centre}, per {centre}", None),
        ("chains_per_centre", chains, f"chains in contact with a {centre}, per {centre}", None),
        ("centres_without_chain_fraction", none, f"{share} no chain", None),
        ("centres_on_one_chain_fraction", one, f"{share} one chain", None),
        ("centres_on_several_chains_fraction", several, f"{share} two chains or more", None),
        ("one_chain_share", single, f"of the {centre} that chains hold, the share that one chain holds", never),
        ("chain_denticity", each, f"units of one chain on one {centre}, mean over pairs in contact", never),
        (
            "chain_run_units",
            run,
            f"most units in a row of one chain on one {centre}, mean over pairs",
            never,
        ),
        ("centres_per_chain", per_chain, f"{centre} in contact with a chain, per chain", None),
    ]
    return [descriptor(what, name, estimate, "1", method, why) for what, estimate, method, why in told]


def _share(results: Sequence[ChainShellResult], k: int, part: slice) -> Estimate:
    return estimate_mean([r.chains_on_centre[:, k, part].sum(axis=1) / r.n_centres for r in results])


def _distributions(results: Sequence[ChainShellResult], k: int, name: str) -> list[tuple]:
    """Rows of ``chain_shells`` of one kind of chain."""
    found = [
        shares([r.chains_on_centre[:, k] for r in results], results[0].n_centres),
        _of_pairs([r.units[:, k] for r in results]),
        _of_pairs([r.run[:, k] for r in results]),
        shares([r.centres_on_chain[:, k] for r in results], float(results[0].n_chains[k])),
    ]
    return [
        (name, quantity, n + first, *entry(estimate))
        for quantity, estimates, first in zip(QUANTITIES, found, (0, 1, 1, 0), strict=True)
        for n, estimate in enumerate(estimates[: last_used(estimates)])
    ]


def _of_pairs(counts: Sequence[np.ndarray]) -> list[Estimate]:
    """Shares of the pairs of a centre and a chain, of which there are not equally many in each frame."""
    width, pairs = max(c.shape[1] for c in counts), [c.sum(axis=1) for c in counts]
    wide = [np.pad(c, ((0, 0), (0, width - c.shape[1]))) for c in counts]
    return [estimate_ratio([c[:, n] for c in wide], pairs) for n in range(width)]


def _account(found: Findings) -> Account:
    if not found.setting.atoms.chains:
        return Account()
    return chain_coordination_account(found.of(ChainShells), found.setting.centre)


FAMILY = Family(
    account=_account,
    folds={ChainShells: lambda setting, replica: ChainShells(setting.atoms, setting.centre)},
    radius_errors=True,
)
