"""Plain words made from the numbers, and never beyond them: the verdict, the headline numbers, the summary."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from lmbmd.core import rounding
from lmbmd.core.words import counted, formula, listed
from lmbmd.numbers.doubt import SURE, Doubt, Kind
from lmbmd.report.inputs import Results, StatePoint, doubt_of, molecules_of
from lmbmd.report.words import naming


@dataclass(frozen=True)
class Headline:
    """One number worth comparing between formulations.

    ``group`` is the column of the comparison it belongs to, ``brief`` the label there; ``name`` and ``species`` are
    those of the feature table ("" for the whole liquid); ``doubt`` says why the error is missing or not to be relied
    on, ``remark`` what else must stand beside the number; ``centre`` is the ion that a CN is round.
    """

    group: str
    label: str
    brief: str
    name: str
    species: str
    value: float
    error: float
    unit: str
    definition: str
    doubt: Doubt = SURE
    remark: str = ""
    centre: str = ""

    @property
    def drawn_as(self) -> str:
        """The species whose colour it has: that of a partner in the shell or of a free molecule, else none."""
        return self.species if self.group in ("cn", "free") else ""

    @property
    def scale(self) -> str:
        """Numbers with the same scale may be drawn along one axis."""
        return f"{self.group} {self.unit}"

    @property
    def shown(self) -> str:
        """The number without its unit; fractions are shown as per cent, sign included."""
        shown = rounding.percent if self.unit == "%" else rounding.number
        return shown(self.value, None if self._errorless else self.error, not self.doubt)

    @property
    def shown_unit(self) -> str:
        """The unit, and in brackets what must be known to read the number."""
        return " ".join(filter(None, [self.bare_unit, f"({self.remarks})" if self.remarks else ""]))

    @property
    def bare_unit(self) -> str:
        return "" if self.unit == "%" else rounding.unit(self.unit)

    @property
    def remarks(self) -> str:
        return "; ".join(filter(None, [str(self.doubt) if self._errorless else "", self.remark]))

    @property
    def _errorless(self) -> bool:
        """Whether the doubt stands in the place of the error."""
        return bool(self.doubt) and math.isnan(self.error) and self.doubt.kind is not Kind.NOT_QUOTED

    @property
    def unsure(self) -> bool:
        """Whether the number is marked ≈: it has an error, which is not to be relied on."""
        return bool(self.doubt) and not self._errorless

    @property
    def text(self) -> str:
        return f"{self.shown} {self.shown_unit}".strip()


#: The headlines in their order, as the feature table names them: group, label, label where the column says the rest,
#: definition. Of a number about a species the label says what it is of it.
_MAIN = {
    "density_g_cm3": ("liquid", "Density", "Density", "density"),
    "molarity_mol_L": ("liquid", "", "", "composition"),
    "solvent_cn": ("cn", "", "", "cn"),
    "polymer_cn": ("cn", "", "", "cn"),
    "anion_cn": ("cn", "", "", "cn"),
    "diluent_cn": ("cn", "", "", "cn"),
    "additive_cn": ("cn", "", "", "cn"),
    "free_solvent_fraction": ("free", "", "", "solvent_states"),
    "ssip_fraction_anion": ("speciation", "SSIP", "SSIP", "speciation_anion"),
    "cip_fraction_anion": ("speciation", "CIP", "CIP", "speciation_anion"),
    "agg_fraction_anion": ("speciation", "AGG", "AGG", "speciation_anion"),
    "cluster_size_weight_average": ("cluster", "mean cluster size", "mean", ""),
    "largest_cluster_fraction": ("cluster", "largest cluster", "largest", ""),
    "conductivity_S_m": ("motion", "conductivity", "σ", ""),
    "transference_solvent": ("motion", "solvent-fixed transference number", "t₊ solvent-fixed", ""),
    "self_diffusion_m2_s": ("motion", "self-diffusion", "D", ""),
    "viscosity_mPa_s": ("motion", "viscosity", "η", ""),
}


def headlines(point: StatePoint, results: Results) -> list[Headline]:
    """The main numbers of a state point, each only if it was computed: those of pages, terminal and notebook."""
    rows = point.described.descriptors
    return [
        _headline(row, point, results)
        for name in _MAIN
        for row in rows[rows.name == name].itertuples(index=False)
        if _is_headline(name, str(row.species), point, results)
    ]


def _is_headline(name: str, species: str, point: StatePoint, results: Results) -> bool:
    """Of amounts those of salts, of shells and of free molecules species one by one, of motion the primary centre."""
    match _MAIN[name][0]:
        case "liquid":
            return species in ("", *(results.salts or [species]))
        case "cn":
            return bool(species)
        case "free":
            return results.roles.get(species) != "diluent"
        case "motion":
            return species in ("", point.centre)
        case _:
            return True


def _headline(row: Any, point: StatePoint, results: Results) -> Headline:
    """A descriptor with the words and remarks that it has among the main numbers."""
    name, species = str(row.name), str(row.species)
    group, label, brief, definition = _MAIN[name]
    whom, centre, unit, remark = naming.species(species), naming.species(point.centre), str(row.unit), ""
    if name == "density_g_cm3":
        remark = "equilibration not stationary" * any(replica.settled is False for replica in point.replicas)
    elif group == "liquid":
        label = brief = whom if species in results.roles else formula(species)
    elif group == "cn":
        label, brief = f"{whom} per {centre}", whom
    elif group == "free":
        label, brief = f"free {whom}", whom
    elif group == "cluster":
        # A cluster that spans the box, or is longer than half of it, would be larger in a larger box.
        remark = "limited by the box" * bool(point.notes("box", "cluster"))
    elif species:
        label, brief = f"{label} of {whom}", f"{whom} {brief}"
    if group in ("speciation", "free") or name == "largest_cluster_fraction":
        unit = "%"
    doubt = doubt_of(row) if math.isfinite(row.value) else SURE
    number = (name, species, row.value, row.error, unit)
    definition = definition or f"d-{naming.slug(name)}"
    return Headline(group, label, brief, *number, definition, doubt, remark, centre if group == "cn" else "")


@dataclass(frozen=True)
class Verdict:
    """Whether the run is long enough to believe.

    Attributes:
        word: the describe stage's verdict, or "unknown".
        heading: its opening sentence.
        tone: "bad", "warn" or "good", for the colour beside the words.
        reasons: the checks that decided it.
        others: number of further remarks.
    """

    word: str
    heading: str
    tone: str
    reasons: tuple[str, ...] = ()
    others: int = 0


_TONES = {"too short": "bad", "not converged": "bad", "borderline": "warn", "long enough": "good"}


def verdict(point: StatePoint) -> Verdict:
    """The convergence notes as a box: the overall note first, then the checks that say the same.

    Without any note the page must not look like a pass.
    """
    notes = [note for note in point.described.notes if note.get("topic") == "convergence"]
    unsettled = tuple(
        f"The equilibration of replica {replica.number} ended {replica.equilibrated}."
        for replica in point.replicas
        if replica.settled is False
    )
    if not notes:
        heading = "Whether this run is long enough was not checked: do not rely on its numbers."
        return Verdict("unknown", heading, "warn", unsettled)
    first, rest = notes[0], notes[1:]
    word = first.get("verdict", "unknown")
    reasons = tuple(note["text"] for note in rest if note.get("verdict") == word)
    return Verdict(word, first["text"], _TONES.get(word, "warn"), reasons + unsettled, len(rest) - len(reasons))


def summary(point: StatePoint, results: Results) -> list[str]:
    """What was found, as at most five sentences; one whose numbers are missing is left out.

    They are: what was simulated and whether it is long enough, the first shell, the anions, the clusters, the motion.
    """
    found = headlines(point, results)
    told = [setting(point, results, _CAVEATS.get(verdict(point).word, ""))]
    told += [
        _shell(found, results, _top_shell(point)),
        _classes(found, point.centre),
        _clustered(point, found),
        _moving(found),
    ]
    return [sentence for sentence in told if sentence]


#: What a summary that is read by itself must carry with it, by verdict; nothing if no fault was found.
_CAVEATS = {
    "too short": "too short to speak for the liquid",
    "not converged": "not converged: at least one of the numbers still changes, or rests on too few events",
    "borderline": "long enough for some of the numbers only",
    "unknown": "not checked for whether this is long enough",
}


def setting(point: StatePoint, results: Results, caveat: str = "") -> str:
    """What the numbers are of: runs, their length, temperature and molecules, and a caveat; "" if no run is known."""
    count = len(point.replicas)
    if not count:
        return ""
    runs = "One run" if count == 1 else f"{count} independent runs"
    if results.analysed:
        length = f", of which {read(results)} were read,"
    else:
        lengths = [replica.production_ps for replica in point.replicas]
        length = f" of {rounding.duration(lengths[0])}" if len(set(lengths)) == 1 and lengths[0] else ""
    molecules = ", ".join(f"{n} {naming.species(name)}" for name, n in results.counts.items())
    text = f"{runs}{length}{f' at {point.at}' if point.at else ''}"
    text = f"{text.rstrip(',')}{f',{_each(count)} with {molecules}' if molecules else ''}"
    return f"{text}{f'; {_it(count)} {caveat}' if caveat else ''}."


def _it(count: int) -> str:
    return "it is" if count == 1 else "they are"


def _each(count: int) -> str:
    return "" if count == 1 else " each"


def read(results: Results) -> str:
    """Frames of an analysis, and the time between the first and the last of them: ``"10 frames over 450 ps"``."""
    runs = results.analysed.get("runs", ())
    spans = dict.fromkeys((run["frames"], run["last_ps"] - run["first_ps"]) for run in runs)
    return listed([f"{counted(frames, 'frame')} over {rounding.duration(ps)}" for frames, ps in spans])


def _shell(found: list[Headline], results: Results, top: str) -> str:
    shells = [h for h in found if h.group == "cn" and math.isfinite(h.value)]
    if not shells:
        return ""
    centre = shells[0].centre
    inner = [h for h in shells if results.roles.get(h.species) != "diluent"]
    outer = [h for h in shells if results.roles.get(h.species) == "diluent"]
    partners = listed([f"{h.text} {naming.species(h.species)}" for h in inner])
    text = f"On average {centre} has {partners} in its first shell"
    if outer:
        text += f"; of the diluent, {listed([f'{h.text} {naming.species(h.species)}' for h in outer])}"
    return f"{text}{top}."


def _top_shell(point: StatePoint) -> str:
    table = point.table("shells")
    if table is None:
        return ""
    top = table.sort_values("rank").iloc[0]
    share = Headline("shell", "", "", "", "", top.fraction, top.error, "%", "shell", doubt_of(top)).text
    return f"; the most frequent shell is {naming.shell(molecules_of(top))} ({share} of all)"


def _classes(found: list[Headline], centre: str) -> str:
    share = {h.label: h.text for h in found if h.group == "speciation" and math.isfinite(h.value)}
    if set(share) != {"SSIP", "CIP", "AGG"}:
        return ""
    return (
        f"Of the anions, {share['SSIP']} are in contact with no {naming.species(centre)} (SSIP), "
        f"{share['CIP']} with one (CIP) and {share['AGG']} with two or more (AGG)."
    )


def _clustered(point: StatePoint, found: list[Headline]) -> str:
    """The mean size of a cluster, and the call on compact aggregates."""
    size = next((h for h in found if h.label == "mean cluster size" and math.isfinite(h.value)), None)
    mean = [f"An ion sits in a cluster of {size.text} on average."] if size else []
    calls = [note["call"] for note in point.described.notes if note.get("call")]
    return " ".join([*mean, *(f"Compact aggregates (CIPA): {call}." for call in calls[:1])])


def _moving(found: list[Headline]) -> str:
    """The numbers of motion that are there, and those of which this run gives none."""
    of = [h for h in found if h.group == "motion"]
    known = [h for h in of if math.isfinite(h.value)]
    told = [f"the {h.label} {'is ' if k == 0 else ''}{h.text}" for k, h in enumerate(known)]
    none = [f"the {h.label}" for h in of if not math.isfinite(h.value)]
    parts = [listed(told)] if told else []
    parts += [f"the run gives no value of {listed(none)}"] if none else []
    text = "; ".join(parts)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


_ENSEMBLES = {
    "NPT": "at constant temperature and pressure",
    "NVT": "at constant temperature and volume",
    "NVE": "at constant energy and volume",
}


_THERMOSTATS = {"nose-hoover": "Nosé–Hoover", "bussi": "Bussi", "langevin": "Langevin"}


def moved_in(point: StatePoint) -> str:
    """What the motion was read from, as a sentence; "" if that is not recorded."""
    table = point.table("motion_runs")
    if table is None:
        return ""
    parts = []
    for (ensemble, thermostat), rows in table.groupby(["ensemble", "thermostat"], sort=False):
        how = _ENSEMBLES.get(str(ensemble), "in an ensemble that is not known")
        control = f" ({_THERMOSTATS.get(str(thermostat), thermostat)} thermostat)" if thermostat else ""
        lengths = sorted(set(rows.length_ps))
        length = " to ".join(rounding.duration(float(x)) for x in dict.fromkeys((lengths[0], lengths[-1])))
        parts.append(f"{counted(len(rows), 'run')} of {length} {how}{control}")
    return f"Read from {listed(parts)}."


def method(results: Results) -> str:
    """How the trajectories were made, as far as that is known, and what the error bars leave out."""
    if results.analysed:
        made = "The trajectory was made by another program: lmbmd knows neither its force field nor how it was run"
    else:
        made = "Classical molecular dynamics with a fixed-charge force field, at constant temperature and pressure"
    return (
        f"{made}{_ensembles(results)}. Each error bar is the sampling error of this model; it does not include how "
        "well the model describes the real liquid."
    )


def _ensembles(results: Results) -> str:
    """What is added to the sentence on the method, if the motion is from runs of their own."""
    tables = [table for point in results.state_points if (table := point.table("motion_runs")) is not None]
    found = dict.fromkeys(str(name) for table in tables for name in table.ensemble if name in ("NVT", "NVE"))
    if not found:
        return ""
    return f"; the motion from further runs {listed([_ENSEMBLES[name] for name in found])}, at the mean density"
