"""Descriptors and tables of energies of shells, over all replicas of a state point. Theory: docs/theory/energies.md."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from lmbmd.analysis.energies.weighted import Sample, of_class, weighted
from lmbmd.analysis.family import Account, Family, Findings
from lmbmd.core.words import counted
from lmbmd.data.described import Descriptor
from lmbmd.numbers.doubt import COLUMNS as DOUBT
from lmbmd.numbers.doubt import Doubt, Kind, descriptor, entry
from lmbmd.numbers.estimate import Estimate, estimate_mean, shares
from lmbmd.quantum.drawn import CLASSES
from lmbmd.quantum.energies import OF_MOLECULE, OF_SHELL
from lmbmd.quantum.methods import Variant
from lmbmd.quantum.run import Energies


class Quantity(NamedTuple):
    """A number of a shell, or of each molecule of a species in it: its descriptor, unit, and definition in short."""

    name: str
    unit: str
    definition: str


#: By the key that ``shell_energies`` has.
SHELL = {
    "binding_kJ_mol": Quantity("shell_binding_kJ_mol", "kJ/mol", "E(shell) − E(ion) − E(shell without the ion)"),
    "nonadditivity_kJ_mol": Quantity(
        "shell_nonadditivity_kJ_mol", "kJ/mol", "binding minus the sum over molecules of E(ion, molecule) − both alone"
    ),
    "homo_eV": Quantity("shell_homo_eV", "eV", "highest occupied orbital of the shell"),
    "lumo_eV": Quantity("shell_lumo_eV", "eV", "lowest empty orbital of the shell"),
    "dipole_D": Quantity("shell_dipole_D", "D", "size of the dipole moment of the shell about its mass centre"),
}
MOLECULE = {
    "removal_kJ_mol": Quantity("removal_energy_kJ_mol", "kJ/mol", "E(shell without it) + E(it) − E(shell)"),
    "interaction_kJ_mol": Quantity("ion_interaction_kJ_mol", "kJ/mol", "E(ion, it) − E(ion) − E(it)"),
    "homo_eV": Quantity("homo_shift_eV", "eV", "highest occupied level on it in the shell minus that when free"),
    "lumo_eV": Quantity("lumo_shift_eV", "eV", "lowest empty level on it in the shell minus that when free"),
}
FREE = {
    "homo_eV": Quantity("free_homo_eV", "eV", "highest occupied orbital of the free molecule"),
    "lumo_eV": Quantity("free_lumo_eV", "eV", "lowest empty orbital of the free molecule"),
    "dipole_D": Quantity("free_dipole_D", "D", "size of the dipole moment of the free molecule about its mass centre"),
}
#: Columns that tell how a number was computed.
_VARIANT = ("method", "medium", "geometry")
assert set(SHELL) == set(OF_SHELL) and set(MOLECULE) == set(OF_MOLECULE)


def energies_account(replicas: Sequence[Energies]) -> Account:
    """What the quantum stage found.

    Args:
        replicas: one per replica, made with the same options.
    """
    first = replicas[0]
    if whys := list(dict.fromkeys(one.why_not for one in replicas if one.why_not)):
        return Account(
            notes=[{"topic": "quantum", "text": f"Energies of shells were not computed: {why}"} for why in whys]
        )
    every = {key: variant for one in replicas for key, variant in one.variants.items()}
    primary = next(iter(first.variants))
    rows, summary, single = [], [], []
    for name, variant in every.items():
        found = _of_variant(replicas, name, variant)
        summary += found.summary
        single += found.single
        if name == primary:
            rows = found.rows
    counts = [one.counts for one in replicas]
    tables = {
        "energies": _table(summary),
        "energies_shells": pd.DataFrame(
            single,
            columns=[*_VARIANT, "replica", "shell", "label", "kind", "weight", "species", "quantity", "value"],
        ),
        "energies_drawn": _drawn(replicas, every, counts),
    }
    compared = _compared(tables["energies_shells"], _spelt(first.variants[primary]))
    if len(compared):
        tables["energies_compared"] = compared
    return Account(rows, tables, [{"topic": "energies", "text": _told(replicas, primary, first.variants[primary])}])


class _Found(NamedTuple):
    rows: list[Descriptor]
    summary: list[tuple]
    single: list[tuple]


def _of_variant(replicas: Sequence[Energies], name: str, variant: Variant) -> _Found:
    centre, title = replicas[0].centre, _title(variant)
    counts = [one.counts for one in replicas]
    share = np.concatenate(counts).sum(axis=0) / max(np.concatenate(counts).sum(), 1)
    free = _free(replicas, name)
    rows: list[Descriptor] = []
    summary: list[tuple] = []
    single: list[tuple] = []
    drawn = [[shell for shell in one.shells if name in shell["found"]] for one in replicas]
    done = [
        sorted((s for s in shells if "why_not" not in s["found"][name]), key=lambda s: s["frame"]) for shells in drawn
    ]
    n_drawn, n_done = sum(map(len, drawn)), sum(map(len, done))
    nothing = Doubt(Kind.NO_ENERGY, n=n_drawn)
    per_class = [sum(CLASSES.index(s["kind"]) == c for shells in done for s in shells) for c in range(len(CLASSES))]

    def say(quantity: Quantity, species: str, samples: Sequence[Sample], by_class: bool) -> None:
        whole = weighted(samples, counts)
        definition = f"{quantity.definition}; {title}, weighted by class"
        rows.append(descriptor(quantity.name, species, whole, quantity.unit, definition, nothing))
        summary.append((*_spelt(variant), "all", quantity.name, species, whole, quantity.unit))
        for c, kind in enumerate(CLASSES):
            if per_class[c]:
                one = of_class(samples, c)
                if np.isnan(one.value):
                    continue
                summary.append((*_spelt(variant), kind, quantity.name, species, one, quantity.unit))
                if by_class:
                    definition = f"{quantity.definition}; {title}, in {kind}"
                    rows.append(descriptor(quantity.name, kind, one, quantity.unit, definition))

    for key, quantity in SHELL.items():
        samples = [_sample(shells, [[_number(s["found"][name][key])] for s in shells]) for shells in done]
        say(quantity, centre, samples, by_class=True)
    species = sorted({m["species"] for shells in done for s in shells for m in s["found"][name]["molecules"]})
    for one in species:
        for key, quantity in MOLECULE.items():
            base = free.get(one, {}).get(key, float("nan")) if key in FREE else 0.0
            samples = [
                _sample(
                    shells,
                    [
                        [_number(m[key]) - base for m in s["found"][name]["molecules"] if m["species"] == one]
                        for s in shells
                    ],
                )
                for shells in done
            ]
            say(quantity, one, samples, by_class=False)
        for key, quantity in FREE.items():
            value = free.get(one, {}).get(key, float("nan"))
            exact = Estimate(value, 0.0 if np.isfinite(value) else float("nan"), float("nan"), float("inf"), "exact")
            rows.append(
                descriptor(
                    quantity.name,
                    one,
                    exact,
                    quantity.unit,
                    f"{quantity.definition}; {title}, at the lowest GFN2-xTB minimum below drawn geometries",
                    Doubt(Kind.NO_ENERGY, n=len(replicas)),
                )
            )
    failed = Estimate(1.0 - n_done / n_drawn if n_drawn else float("nan"), 0.0, float("nan"), float("inf"), "exact")
    definition = f"share of the drawn shells that have no energies; {title}"
    rows.append(descriptor("energies_failed_fraction", centre, failed, "1", definition))
    for number, shells in enumerate(done, start=1):
        for s in shells:
            c = CLASSES.index(s["kind"])
            head = (*_spelt(variant), number, s["name"], s["label"], s["kind"], share[c] / per_class[c])
            numbers = s["found"][name]
            single += [(*head, centre, q.name, _number(numbers[key])) for key, q in SHELL.items()]
            for m in numbers["molecules"]:
                for key, q in MOLECULE.items():
                    base = free.get(m["species"], {}).get(key, float("nan")) if key in FREE else 0.0
                    single.append((*head, m["species"], q.name, _number(m[key]) - base))
    return _Found(rows, summary, single)


def _number(value: Any) -> float:
    return float("nan") if value is None else float(value)


def _sample(shells: Sequence[Mapping[str, Any]], values: Sequence[Sequence[float]]) -> Sample:
    """A shell with a number that is not defined counts as one without it."""
    defined = [[x for x in each if np.isfinite(x)] for each in values]
    return Sample(
        np.array([CLASSES.index(s["kind"]) for s in shells], int),
        np.array([sum(each) for each in defined], float),
        np.array([len(each) for each in defined], float),
    )


def _free(replicas: Sequence[Energies], name: str) -> dict[str, dict[str, float]]:
    """The lowest free molecule of each species, whichever replica it was found from."""
    found: dict[str, dict[str, float]] = {}
    for one in replicas:
        for species, numbers in one.free.get(name, {}).items():
            if "why_not" in numbers:
                continue
            best = found.get(species)
            if best is None or numbers["energy_kJ_mol"] < best["energy_kJ_mol"]:
                found[species] = {key: _number(numbers[key]) for key in (*FREE, "energy_kJ_mol")}
    return found


def _title(variant: Variant) -> str:
    """A variant in words: ``"GFN2-xTB in vacuum, as sampled"``."""
    medium = "vacuum" if variant.permittivity is None else f"a dielectric of {variant.medium}"
    relaxed = "as sampled" if variant.geometry == "sampled" else "relaxed with the donors' distances kept"
    return f"{variant.title} in {medium}, {relaxed}"


def _spelt(variant: Variant) -> tuple[str, str, str]:
    """The columns ``_VARIANT``."""
    return variant.title, variant.medium, variant.geometry


def _table(rows: Sequence[tuple]) -> pd.DataFrame:
    """Summary rows with the estimate spelt out."""
    spelt = []
    for *head, estimate, unit in rows:
        value, error, *doubt = entry(estimate)
        spelt.append((*head, value, error, unit, *doubt))
    columns = [*_VARIANT, "kind", "quantity", "species", "value", "error", "unit", *DOUBT]
    return pd.DataFrame(spelt, columns=columns)


def _drawn(replicas: Sequence[Energies], variants: Mapping[str, Variant], counts: Sequence[np.ndarray]) -> pd.DataFrame:
    """Of each variant and class: its share in the run, and how many shells were drawn and computed."""
    total = max((int(c[0].sum()) for c in counts if len(c)), default=0)
    of_kind = shares(counts, total)
    rows = []
    for name, variant in variants.items():
        for c, kind in enumerate(CLASSES):
            found = [
                s["found"][name] for one in replicas for s in one.shells if s["kind"] == kind and name in s["found"]
            ]
            whys = [f["why_not"] for f in found if "why_not" in f]
            why = "; ".join(dict.fromkeys(whys))
            value, error = (of_kind[c].value, of_kind[c].error) if of_kind else (float("nan"), float("nan"))
            rows.append((*_spelt(variant), kind, value, error, len(found), len(found) - len(whys), why))
    return pd.DataFrame(rows, columns=[*_VARIANT, "kind", "share", "share_error", "drawn", "computed", "why_not"])


def _compared(single: pd.DataFrame, first: tuple[str, str, str]) -> pd.DataFrame:
    """Of the shells that a variant shares with the first: the mean difference, its error, and how alike they rank."""
    rows = []
    columns = [*_VARIANT, "quantity", "species", "number", "difference", "difference_error", "rms", "correlation"]
    keys = ["replica", "shell", "species", "quantity"]
    # Several molecules of a species in one shell are told apart by their order.
    numbered = single.assign(nth=single.groupby([*_VARIANT, *keys]).cumcount())
    others = dict(tuple(numbered.groupby(list(_VARIANT), sort=False)))
    if first not in others:  # none of its shells has energies
        return pd.DataFrame(columns=columns)
    one = others.pop(first).set_index([*keys, "nth"]).value
    for spelt, table in others.items():
        other = table.set_index([*keys, "nth"]).value
        both = pd.concat([one, other], axis=1, keys=["one", "other"], join="inner").dropna().reset_index()
        for (species, quantity), pair in both.groupby(["species", "quantity"], sort=False):
            difference = (pair.other - pair.one).to_numpy(float)
            mean = estimate_mean([difference])
            varies = len(pair) > 2 and pair.one.std() > 0 and pair.other.std() > 0
            r = float(np.corrcoef(pair.one, pair.other)[0, 1]) if varies else float("nan")
            rms = float(np.sqrt(np.mean(difference**2)))
            rows.append((*spelt, quantity, species, len(pair), mean.value, mean.error, rms, r))
    return pd.DataFrame(rows, columns=columns)


def _told(replicas: Sequence[Energies], primary: str, variant: Variant) -> str:
    shells = [s for one in replicas for s in one.shells if primary in s["found"]]
    failed = [s for s in shells if "why_not" in s["found"][primary]]
    counts = np.concatenate([one.counts for one in replicas]).sum(axis=0)
    seen = {s["kind"] for s in shells if s not in failed}
    unseen = sum(int(counts[c]) for c, kind in enumerate(CLASSES) if kind not in seen) / max(int(counts.sum()), 1)
    text = f"{counted(len(shells), 'shell')} of {counted(len(replicas), 'replica')} were computed by {_title(variant)}."
    if failed:
        text += f" {len(failed)} of them have no energies and are left out."
    if unseen > 0:
        text += f" No shell stands for {100 * unseen:.2g} % of the ions."
    return text


def _account(found: Findings) -> Account:
    return energies_account(found.setting.energies) if found.setting.energies else Account()


FAMILY = Family(account=_account)
