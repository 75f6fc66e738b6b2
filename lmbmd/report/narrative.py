"""Plain words made from the numbers, and never beyond them: the verdict, the headline numbers, the summary."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from lmbmd.report import formatting as fmt
from lmbmd.report.inputs import Results, StatePoint, molecules_of


@dataclass(frozen=True)
class Headline:
    """One number worth comparing between formulations.

    ``group`` is the column of the comparison it belongs to, ``species`` whom it is about ("" for the whole liquid).
    """

    group: str
    label: str
    species: str
    value: float
    error: float | None
    unit: str
    definition: str

    @property
    def shown(self) -> str:
        """The number without its unit; fractions are shown as per cent, sign included."""
        return fmt.percent(self.value, self.error) if self.unit == "%" else fmt.number(self.value, self.error)

    @property
    def shown_unit(self) -> str:
        return "" if self.unit == "%" else fmt.unit(self.unit)

    @property
    def text(self) -> str:
        return f"{self.shown} {self.shown_unit}".strip()


def headlines(point: StatePoint, results: Results) -> list[Headline]:
    """The numbers of the header and of the comparison, each only if it was computed."""
    return [*_amounts(point), *_coordination(point), *_speciation(point), *_solvent(point, results), *_clusters(point)]


def _amounts(point: StatePoint) -> list[Headline]:
    table = point.table("composition")
    if table is None:
        return []
    found = []
    for row in table.itertuples():
        error = None if pd.isna(row.error) else float(row.error)
        unit = str(row.unit)
        if str(row.quantity) == "density":
            found.append(Headline("density", "Density", "", row.simulated, error, unit, "density"))
        elif unit == "mol/L":
            label = f"{fmt.species(str(row.component))}"
            found.append(Headline("molarity", label, str(row.component), row.simulated, error, unit, "composition"))
    return [headline for headline in found if math.isfinite(headline.value)]


def _coordination(point: StatePoint) -> list[Headline]:
    table = point.table("cn")
    if table is None:
        return []
    rows = table[table.site.fillna("") == ""]
    return [
        Headline(
            "cn",
            f"{fmt.species(str(r.species))} per {fmt.species(str(r.centre))}",
            str(r.species),
            r.value,
            r.error,
            "1",
            "cn",
        )
        for r in rows.itertuples()
    ]


def _speciation(point: StatePoint) -> list[Headline]:
    table = point.table("speciation")
    if table is None:
        return []
    rows = table[table.convention == "anion"]
    rows = rows[rows.cls.isin(("SSIP", "CIP", "AGG"))]
    return [
        Headline("speciation", str(r.cls), "", r.fraction, r.error, "%", "speciation_anion") for r in rows.itertuples()
    ]


def _solvent(point: StatePoint, results: Results) -> list[Headline]:
    table = point.table("solvent_states")
    if table is None:
        return []
    return [
        Headline("free", f"free {fmt.species(str(r.species))}", str(r.species), r.free,
                 getattr(r, "free_error", math.nan), "%", "solvent_states")
        for r in table.itertuples()
        if results.roles.get(str(r.species)) != "diluent"
    ]  # fmt: skip


def _clusters(point: StatePoint) -> list[Headline]:
    wanted = {
        "cluster_size_weight_average": ("mean cluster size", "ions"),
        "largest_cluster_fraction": ("largest cluster", "%"),
    }
    rows = point.described.descriptors
    return [
        Headline("cluster", wanted[r.name][0], "", r.value, r.error, wanted[r.name][1], f"d-{fmt.slug(r.name)}")
        for r in rows[rows.name.isin(wanted)].itertuples(index=False)
    ]


@dataclass(frozen=True)
class Verdict:
    """Whether the run is long enough to believe: a heading and the describe stage's own sentences."""

    heading: str
    tone: str
    sentences: tuple[str, ...]


_HEADINGS = {
    "too short": ("This run is too short to be believed", "bad"),
    "not converged": ("This run is not converged", "bad"),
    "borderline": ("This run is barely long enough", "warn"),
    "converged": ("This run is long enough for the numbers below", "good"),
    "long enough": ("This run is long enough for the numbers below", "good"),
}


def verdict(point: StatePoint) -> Verdict:
    """The convergence notes as a box. Without any note the page must not look like a pass."""
    notes = [note for note in point.described.notes if note.get("topic") == "convergence"]
    if not notes:
        text = "No convergence check was recorded for this state point. Do not rely on its error bars."
        return Verdict("Not known whether this run is long enough", "warn", (text,))
    named = [note["verdict"] for note in notes if note.get("verdict") in _HEADINGS]
    # The worst verdict speaks for the whole: the keys above are in that order.
    worst = min(named, key=list(_HEADINGS).index, default="")
    heading, tone = _HEADINGS.get(worst, ("Is this run long enough to believe?", "warn"))
    return Verdict(heading, tone, tuple(dict.fromkeys(note["text"] for note in notes)))


def summary(point: StatePoint, results: Results) -> list[str]:
    """What was found, as sentences; a sentence whose numbers are missing is left out."""
    found = headlines(point, results)
    sentences = [_setting(point, results), _liquid(found), _shell(found, results), _top_shell(point)]
    sentences += [_classes(found), _free(found), _cluster_words(found), *point.notes("cipa")]
    return [sentence for sentence in sentences if sentence]


def _setting(point: StatePoint, results: Results) -> str:
    lengths = [run for run in (replica.run.get("production_ns") for replica in point.replicas) if run]
    count = len(point.replicas)
    if not count:
        return ""
    runs = "One run" if count == 1 else f"{count} independent runs"
    length = f" of {fmt.number(float(lengths[0]))} ns" if len(set(lengths)) == 1 and len(lengths) == count else ""
    molecules = ", ".join(f"{n} {fmt.species(name)}" for name, n in results.counts.items())
    return f"{runs}{length} at {point.temperature_K:g} K" + (f", each with {molecules}." if molecules else ".")


def _liquid(found: list[Headline]) -> str:
    density = next((h for h in found if h.group == "density"), None)
    amounts = [h for h in found if h.group == "molarity"]
    parts = [f"has a density of {density.text}"] if density else []
    if amounts:
        parts.append("holds " + _joined([f"{h.text} {h.label}" for h in amounts]))
    return f"The simulated liquid {_joined(parts)}." if parts else ""


def _shell(found: list[Headline], results: Results) -> str:
    shells = [h for h in found if h.group == "cn" and math.isfinite(h.value)]
    if not shells:
        return ""
    centre = shells[0].label.rpartition(" per ")[2]
    inner = [h for h in shells if results.roles.get(h.species) != "diluent"]
    outer = [h for h in shells if results.roles.get(h.species) == "diluent"]
    text = (
        f"On average {centre} has {_joined([f'{h.text} {fmt.species(h.species)}' for h in inner])} in its first shell"
    )
    if outer:
        text += f"; of the diluent, {_joined([f'{h.text} {fmt.species(h.species)}' for h in outer])}"
    return f"{text}."


def _top_shell(point: StatePoint) -> str:
    table = point.table("shells")
    if table is None:
        return ""
    top = table.sort_values("rank").iloc[0]
    return f"Its most frequent shell is {fmt.shell(molecules_of(top))} ({fmt.percent(top.fraction, top.error)} of all shells)."


def _classes(found: list[Headline]) -> str:
    share = {h.label: h.text for h in found if h.group == "speciation" and math.isfinite(h.value)}
    if set(share) != {"SSIP", "CIP", "AGG"}:
        return ""
    return (
        f"Counted by anion, {share['SSIP']} touch no cation (SSIP), {share['CIP']} touch one (CIP) and {share['AGG']} touch "
        "two or more (AGG)."
    )


def _free(found: list[Headline]) -> str:
    free = [h for h in found if h.group == "free" and math.isfinite(h.value)]
    return f"{_joined([f'{h.text} of {fmt.species(h.species)}' for h in free])} is free." if free else ""


def _cluster_words(found: list[Headline]) -> str:
    size = next((h for h in found if h.label == "mean cluster size" and math.isfinite(h.value)), None)
    return f"An ion sits in a cluster of {size.text} on average." if size else ""


def _joined(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
