"""Tables and descriptors of first shells, over all replicas of a state point."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from lmbmd.analysis.family import Account, Family, Findings, Series
from lmbmd.analysis.shells.coordination import STATES, ShellResult, Shells, kind, shell_label
from lmbmd.analysis.shells.entropy import excess_shell_entropy, mixing_entropy, random_shell_entropy, shell_entropy
from lmbmd.data.atoms import AtomTable
from lmbmd.data.described import Descriptor
from lmbmd.numbers.doubt import COLUMNS as DOUBT
from lmbmd.numbers.doubt import Doubt, Kind, descriptor, entry
from lmbmd.numbers.estimate import Estimate, estimate_mean, estimate_ratio, last_used, shares


def coordination_account(
    results: Sequence[ShellResult], atoms: AtomTable, centre: str, top_shells: int = 10
) -> Account:
    """What ``Shells`` found: descriptors, and the tables ``cn``, ``cn_histogram``, ``shells``, ``solvent_states``.

    Args:
        results: one per replica of the same box.
        atoms: of that box.
        centre: the primary species.
        top_shells: that many shell types become descriptors; the table holds them all.
    """
    kinds = {s.name: kind(s) for s in atoms.species}
    descriptors = [
        *_coordination(results, centre, kinds),
        *_denticity(results, centre),
        *_selection(results, centre, kinds),
        *_states(results, kinds),
        *_entropies(results, centre, atoms),
    ]
    tables = {
        "cn": _cn_table(results, atoms, centre),
        "cn_histogram": _histogram_table(results),
        "shells": _types_table(results),
        "solvent_states": _states_table(results, kinds),
    }
    total = sum(r.n_centres * r.n_frames for r in results)
    for row in tables["shells"].head(top_shells).itertuples():
        method = f"share of all {centre} with exactly this first shell; {len(tables['shells'])} types in {total} shells"
        composition = np.array([getattr(row, f"n_{name}") for name in results[0].ligands])
        estimate = estimate_mean([r.type_series(composition) / r.n_centres for r in results])
        descriptors.append(descriptor("shell_fraction", row.label, estimate, "1", method))
    return Account(descriptors, tables)


def _per_centre(results: Sequence[ShellResult], columns: list[int]) -> Estimate:
    return estimate_mean([r.molecules[:, columns].sum(axis=1) / r.n_centres for r in results])


def _members(results: Sequence[ShellResult], kinds: dict[str, str], which: str) -> list[int]:
    """Ligand columns of one kind that are in the box."""
    first = results[0]
    return [k for k, name in enumerate(first.ligands) if kinds[name] == which and first.n_molecules[k]]


def _coordination(results: Sequence[ShellResult], centre: str, kinds: dict[str, str]) -> list[Descriptor]:
    first, rows = results[0], []
    method = f"molecules with a donor atom within its first-shell cut-off of a {centre}, per {centre}"
    for which in ("solvent", "polymer", "anion", "diluent", "additive"):
        members = _members(results, kinds, which)
        if members:
            every = f"{method}; all {'units of chains' if which == 'polymer' else f'{which}s'}"
            rows.append(descriptor(f"{which}_cn", "", _per_centre(results, members), "1", every))
            for k in members:
                rows.append(descriptor(f"{which}_cn", first.ligands[k], _per_centre(results, [k]), "1", method))
    rows.append(descriptor("total_cn", "", _per_centre(results, list(range(len(first.ligands)))), "1", method))
    for k, site in enumerate(first.sites):
        atoms_cn = estimate_mean([r.donors[:, k] / r.n_centres for r in results])
        rows.append(
            descriptor("donor_cn", site, atoms_cn, "1", f"donor atoms within their cut-off of a {centre}, per {centre}")
        )
    bare = estimate_mean([r.type_series(np.zeros(len(r.ligands), int)) / r.n_centres for r in results])
    rows.append(descriptor("bare_centre_fraction", "", bare, "1", f"share of {centre} with an empty first shell"))
    return rows


def _denticity(results: Sequence[ShellResult], centre: str) -> list[Descriptor]:
    rows = []
    for k, name in enumerate(results[0].ligands):
        pairs = [r.denticity[:, k].sum(axis=1) for r in results]
        atoms = [r.denticity[:, k] @ np.arange(1, r.denticity.shape[2] + 1) for r in results]
        several = [r.denticity[:, k, 1:].sum(axis=1) for r in results]
        never = Doubt(Kind.NEVER_BOUND, of=name)
        method = f"donor atoms of a bound molecule on one {centre}, mean over bound pairs"
        rows.append(descriptor("denticity", name, estimate_ratio(atoms, pairs), "1", method, never))
        method = f"share of bound pairs in which two or more donor atoms touch the {centre}"
        rows.append(descriptor("multidentate_fraction", name, estimate_ratio(several, pairs), "1", method, never))
    return rows


def _selection(results: Sequence[ShellResult], centre: str, kinds: dict[str, str]) -> list[Descriptor]:
    """Whom the shell prefers."""
    first, rows = results[0], []
    anions = _members(results, kinds, "anion")
    in_shell = [r.molecules[:, anions].sum(axis=1) for r in results]
    everyone = [r.molecules.sum(axis=1) for r in results]
    method = f"anions among all molecules in first shells of {centre}"
    share = estimate_ratio(in_shell, everyone)
    rows.append(descriptor("shell_anion_share", "", share, "1", method, Doubt(Kind.EMPTY_SHELLS)))
    if len(anions) < 2:
        return rows
    bulk = first.n_molecules / first.n_molecules[anions].sum()
    for k in anions:
        ratio = estimate_ratio([r.molecules[:, k] / bulk[k] for r in results], in_shell)
        method = "share of the anions in first shells over share of the anions in the box; 1 is no preference"
        rows.append(descriptor("anion_enrichment", first.ligands[k], ratio, "1", method, Doubt(Kind.NO_ANION_IN_SHELL)))
    for a, b in itertools.combinations(anions, 2):
        ratio = estimate_ratio(
            [r.molecules[:, a] / bulk[a] for r in results], [r.molecules[:, b] / bulk[b] for r in results]
        )
        pair = f"{first.ligands[a]}/{first.ligands[b]}"
        method = "ratio of two anions in first shells over their ratio in the box; 1 is no preference"
        rows.append(
            descriptor("anion_selectivity", pair, ratio, "1", method, Doubt(Kind.NOT_IN_SHELL, of=first.ligands[b]))
        )
    return rows


def _states(results: Sequence[ShellResult], kinds: dict[str, str]) -> list[Descriptor]:
    first, rows = results[0], []
    for k, name in enumerate(first.ligands):
        if not first.n_molecules[k]:
            continue
        free, _, bridging = shares([r.states[:, k] for r in results], first.n_molecules[k])
        which = kinds[name]
        rows.append(
            descriptor(f"free_{which}_fraction", name, free, "1", f"share of all {name} in contact with no centre")
        )
        method = f"share of all {name} in contact with two or more centres"
        rows.append(descriptor(f"bridging_{which}_fraction", name, bridging, "1", method))
        if which == "diluent":
            touching = [r.states[:, k, 1:].sum(axis=1, keepdims=True) for r in results]
            inside = shares(touching, first.n_molecules[k])[0]
            rows.append(
                descriptor("diluent_in_shell_fraction", name, inside, "1", f"share of all {name} in a first shell")
            )
            visited = estimate_mean([r.per_centre[:, k, 1:].sum(axis=1) / r.n_centres for r in results])
            method = f"share of centres with at least one {name} in the first shell"
            rows.append(descriptor("centres_with_diluent_fraction", name, visited, "1", method))
    return rows


def _entropies(results: Sequence[ShellResult], centre: str, atoms: AtomTable) -> list[Descriptor]:
    shells, chance, excess = shell_entropy(results), random_shell_entropy(results), excess_shell_entropy(results)
    number = np.exp(shells.value)
    types = replace(shells, value=number, error=number * shells.error)
    formula = f"−Σ p ln p over first-shell compositions of {centre}, Miller–Madow corrected"
    drawn = "the same for shells of the observed sizes drawn at random from the box"
    recipe = mixing_entropy(np.bincount(atoms.unit_species))
    mixing = Estimate(recipe, 0.0, float(len(results)), np.inf, source="exact")
    return [
        descriptor("shell_entropy", "", shells, "k_B", formula),
        descriptor("shell_entropy_random", "", chance, "k_B", f"{drawn}; the sizes are sampled"),
        descriptor("shell_entropy_excess", "", excess, "k_B", "shell_entropy minus shell_entropy_random"),
        descriptor("effective_shell_types", "", types, "1", "exp(shell_entropy)"),
        descriptor("mixing_entropy", "", mixing, "k_B", "−Σ x ln x over mole fractions, per molecule; the recipe's"),
    ]


def _cn_table(results: Sequence[ShellResult], atoms: AtomTable, centre: str) -> pd.DataFrame:
    first, rows = results[0], []
    for k, name in enumerate(first.ligands):
        total = _per_centre(results, [k])
        rows.append((centre, name, "", *entry(total)))
        for j, site in enumerate(first.sites):
            if site.split(":")[0] == name:
                by_atom = estimate_mean([r.donors[:, j] / r.n_centres for r in results])
                rows.append((centre, name, site.split(":", 1)[1], *entry(by_atom)))
    return pd.DataFrame(rows, columns=["centre", "species", "site", "value", "error", *DOUBT])


def _histogram_table(results: Sequence[ShellResult]) -> pd.DataFrame:
    rows = []
    for k, name in enumerate(results[0].ligands):
        estimates = shares([r.per_centre[:, k] for r in results], results[0].n_centres)
        rows += [(name, n, *entry(e)) for n, e in enumerate(estimates[: last_used(estimates)])]
    return pd.DataFrame(rows, columns=["species", "n", "fraction", "error", *DOUBT])


def _types_table(results: Sequence[ShellResult]) -> pd.DataFrame:
    """All shell types, most frequent first, equal ones by label."""
    names = results[0].ligands
    rows = []
    for composition in np.unique(np.concatenate([r.types for r in results]), axis=0):
        estimate = estimate_mean([r.type_series(composition) / r.n_centres for r in results])
        rows.append((shell_label(composition, names), *composition.tolist(), *entry(estimate)))
    rows.sort(key=lambda row: (-row[1 + len(names)], row[0]))
    columns = ["rank", "label", *(f"n_{name}" for name in names), "fraction", "error", *DOUBT]
    return pd.DataFrame([(rank, *row) for rank, row in enumerate(rows, start=1)], columns=columns)


def _states_table(results: Sequence[ShellResult], kinds: dict[str, str]) -> pd.DataFrame:
    """Neutral species only: an anion's states are its speciation."""
    first, rows = results[0], []
    for k, name in enumerate(first.ligands):
        if kinds[name] != "anion" and first.n_molecules[k]:
            estimates = shares([r.states[:, k] for r in results], first.n_molecules[k])
            rows.append((name, *(part for column in zip(*map(entry, estimates), strict=True) for part in column)))
    columns = [f"{state}{part}" for part in ("", "_error", *(f"_{column}" for column in DOUBT)) for state in STATES]
    return pd.DataFrame(rows, columns=["species", *columns])


def cn_series(found: Findings, names: Sequence[str], shift_A: float = 0.0) -> Series:
    """Molecules of these species per centre, frame by frame."""
    results = found.of(Shells, shift_A)
    columns = [results[0].ligands.index(name) for name in names]
    return [r.molecules[:, columns].sum(axis=1) / r.n_centres for r in results]


def present(atoms: AtomTable, which: str) -> list[str]:
    """Species of one kind that have molecules in the box."""
    return [s.name for s in atoms.species if kind(s) == which and atoms.count(s.name)]


def _series(found: Findings) -> dict[str, Series]:
    """The total, and each kind by itself: one may take the place of another at the same total."""
    members = {which: present(found.setting.atoms, which) for which in ("solvent", "polymer", "anion", "diluent")}
    by_kind = {f"{which}_cn": cn_series(found, names) for which, names in members.items() if names}
    return {"total_cn": cn_series(found, found.of(Shells)[0].ligands), **by_kind}


FAMILY = Family(
    account=lambda found: coordination_account(
        found.of(Shells), found.setting.atoms, found.setting.centre, found.setting.options.top_shells
    ),
    folds={Shells: lambda setting, replica: Shells(setting.atoms, setting.centre)},
    shifted=True,
    series=_series,
    sensitive=lambda found, shift_A: {"total_cn": cn_series(found, found.of(Shells)[0].ligands, shift_A)},
)
