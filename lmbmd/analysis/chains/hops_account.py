"""Rates of hops along chains and between them, with errors, over all replicas of a state point."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lmbmd.analysis.chains.hops import HopResult, Hops
from lmbmd.analysis.dynamics.lifetimes_account import rate_and_time
from lmbmd.analysis.family import Account, Family, Findings
from lmbmd.core.errors import LmbmdError
from lmbmd.core.units import PS_PER_NS
from lmbmd.data.described import Descriptor


def hops_account(results: Sequence[HopResult], centre: str) -> Account:
    """What ``Hops`` found: descriptors for each kind of chain.

    Errors are jackknife errors over groups of centres and, for three and more runs, over runs, whichever is larger.

    Args:
        results: one per replica of the same box, which has chains.
        centre: the primary species.
    """
    return Account([row for k in range(len(results[0].hops)) for row in _descriptors(results, k, centre)])


def _descriptors(results: Sequence[HopResult], k: int, centre: str) -> list[Descriptor]:
    hops = [r.hops[k] for r in results]
    replica = np.repeat(np.arange(len(hops)), [len(h.centres) for h in hops])
    span_ps = [(r.n_frames - 1) * r.interval_ps if r.n_frames > 1 else 0.0 for r in results]
    observed_ns = np.concatenate([h.centres * span / PS_PER_NS for h, span in zip(hops, span_ps, strict=True)])
    # Mean number of chains on a centre × time between the first and the last frame.
    held_ps = np.concatenate([h.held * span / r.n_frames for h, span, r in zip(hops, span_ps, results, strict=True)])
    breaks = f"breaks up to {results[0].tolerance_ps:g} ps not counted"
    rows: list[Descriptor] = []
    for name, events, what in (
        ("chain_exchange", [h.between for h in hops], f"chains lost by a {centre}"),
        ("chain_hop", [h.along for h in hops], f"units lost by a {centre} that their chain still holds"),
    ):
        known = rate_and_time(np.concatenate(events), observed_ns, held_ps, replica)
        time = f"time on a chain, summed over chains, over the number of {what}"
        rows += known.descriptors(name, hops[0].chain, (f"{what}, per {centre} and ns; {breaks}", f"{time}; {breaks}"))
    return rows


def _account(found: Findings) -> Account:
    if not found.setting.atoms.chains:
        return Account()
    results = []
    for number, fold in enumerate(found.folds[Hops, 0.0], start=1):
        try:
            results.append(fold.result())
        except LmbmdError as error:
            text = f"Hops of centres at chains were not counted. Replica {number}: {error}"
            return Account(notes=[{"topic": "statistics", "text": text}])
    return hops_account(results, found.setting.centre)


FAMILY = Family(
    account=_account,
    folds={Hops: lambda setting, replica: Hops(setting.atoms, setting.centre)},
    radius_errors=True,
)
