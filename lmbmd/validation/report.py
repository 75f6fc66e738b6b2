"""docs/validation.md and its plot, from the results beside each parameter set.

    lmbmd validate report                        collect what has run in validation.csv of each set, then write the page
    lmbmd validate report --full                 of the larger boxes
    lmbmd validate report --table                collect nothing: write the page from the results as they are
    lmbmd validate report --out FOLDER           put results, page and plot there

Without --out it changes the repository, and so needs a checkout; an installed lmbmd needs --out, and begins with the
results that it came with.
"""

from __future__ import annotations

import argparse
import io
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator
from scipy.stats import spearmanr

from lmbmd.core.files import write_bytes, write_text
from lmbmd.data.library import force_fields_folder, load_library
from lmbmd.forcefield.parameters import load_set
from lmbmd.numbers.estimate import Estimate
from lmbmd.validation import electrolytes as electrolyte_runs
from lmbmd.validation import liquids, time_step, transport
from lmbmd.validation import pairs as pair_runs
from lmbmd.validation.plan import (
    ATOMS,
    ELECTROLYTE_ATOMS,
    ELECTROLYTES,
    EQUILIBRATION_PS,
    FULL_ATOMS,
    HEAVY_HYDROGEN_AMU,
    HOT_K,
    HOT_PS,
    LIQUIDS,
    MOVING,
    NATURAL,
    NVE_LIQUIDS,
    NVE_PS,
    PRESSURE_BAR,
    REFERENCE,
    SET,
    SETS,
    WORK,
    heavy,
    repository,
)
from lmbmd.validation.results import ELECTROLYTE, FILE, LIQUID, PAIR, Row, compared, merged, read_rows, write_rows

GOAL_LIQUIDS, GOAL_MEAN, GOAL_WORST, GOAL_PEAK_A = 30, 0.015, 0.04, 0.08
#: Of the summary: heat of vaporisation (kJ/mol), viscosity, self-diffusion and permittivity (shares of the measured
#: value), conductivity (mean of |log10|) and its order.
GOAL_HEAT, GOAL_VISCOSITY, GOAL_DIFFUSION, GOAL_PERMITTIVITY, GOAL_LOG, GOAL_ORDER = 3.5, 0.3, 0.2, 0.3, 0.2, 0.9
#: A viscosity less certain than this is marked.
DOUBTFUL = 0.3
#: The molecule that should be bound more strongly, and the one that should be bound less.
ORDERINGS = (
    ("DME", "Et2O"),
    ("DME", "EGDEE"),
    ("EC", "DMC"),
    ("DMC", "FEMC"),
    ("DMC", "ETFA"),
    ("DMC", "FEP"),
)
FORCE_FIELD, GFN2, PBE0 = pair_runs.METHODS.values()
COLOURS = {"high": "#1b6ca8", "medium": "#e08e0b", "low": "#8c8c8c"}
#: Of the rows of electrolytes and of their units on the page.
NAMES = {
    "density": "density, g/cm³",
    "first_peak": "first peak, Å",
    "coordination_number": "coordination number",
    "conductivity": "conductivity, mS/cm",
    "self_diffusion": "self-diffusion, 1e-9 m²/s, of",
}
HEAD = """# Validation of {sets}

This page is written by `lmbmd validate report` from the results that are kept beside each parameter set,
`force_fields/<set>/validation.csv`; do not edit it. `snakemake --snakefile workflow/validation.smk` runs the
simulations, at a size for two cores or, with `--config full=true`, for a GPU; a new run takes the place of one in the
table that is not longer. What has not run says so. The measured numbers, their sources and how far each is to be
trusted (high, medium, low) are in `force_fields/reference.yaml` and, for densities, `force_fields/species.yaml`.

Only the results were kept, with the digits shown here, and not the trajectories and time series that they come from.
Whatever else one may want of these runs, such as more digits, a radial distribution function, another way of averaging
or the kinetic temperature of one liquid, can be had only by running them again.

Liquids: boxes of about {atoms} atoms, packed at 80 % of the density sought, equilibrated for {equilibration:g} ps;
NPT at {pressure:g} bar with LangevinMiddle (1/ps) and a Monte Carlo barostat in OpenMM, or (G) with GROMACS' Langevin
integrator and stochastic cell rescaling on what `lmbmd export` writes (`--engine gromacs`, quicker on few cores); PME,
the set's own cut-off, switching and long-range correction; bonds to hydrogen rigid, 4 fs with hydrogen mass
repartitioning. Errors are one standard error from the autocorrelation of the series. Runs this small and short are
meant to rank and to catch faults: a deviation below two standard errors is none.
"""

#: Rows of every set.
Results = Mapping[str, Sequence[Row]]


# ---- collecting and writing


def collect(work: Path, atoms: int, set_name: str) -> Iterator[Row]:
    """What lies in the work folder of one set's runs, as results."""
    parameters = load_set(set_name)
    for name in parameters.species:
        if name in LIQUIDS:
            yield from liquids.rows(liquids.Run(name, *heavy(name), atoms, set_name), work)
        if name in MOVING:
            for step in (heavy(name), NATURAL):
                yield from transport.rows(transport.Transport(name, *step, atoms, set_name), work)
    yield from electrolyte_runs.rows(work, set_name)
    if set_name == SET:
        yield from time_step.rows(work)
        yield from pair_runs.rows(parameters, work)


def released_results() -> dict[str, list[Row]]:
    """The results that lie beside the parameter sets."""
    return {name: read_rows(force_fields_folder() / name / FILE) for name in SETS}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "lmbmd validate report", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the runs")
    parser.add_argument("--full", action="store_true", help="the larger boxes")
    parser.add_argument("--table", action="store_true", help="collect nothing")
    parser.add_argument("--out", type=Path, help="folder for results, page and plot; by default the repository")
    args = parser.parse_args(arguments)
    sets, docs = (args.out, args.out) if args.out else (repository() / "force_fields", repository() / "docs")
    results = {name: read_rows(sets / name / FILE) or rows for name, rows in released_results().items()}
    if not args.table:
        for name in SETS:
            new = list(collect(args.work, FULL_ATOMS if args.full else ATOMS, name))
            results[name] = [compared(row) for row in merged(results[name], new)]
            write_rows(sets / name / FILE, results[name])
    write_text(docs / "validation.md", report(results))
    write_bytes(docs / "images" / "parity.svg", plot(results))


def report(results: Results) -> str:
    """The text of docs/validation.md."""
    head = HEAD.format(sets=" and ".join(SETS), atoms=ATOMS, equilibration=EQUILIBRATION_PS, pressure=PRESSURE_BAR)
    parts = (
        head.splitlines(),
        summary(results),
        densities(results),
        vaporisations(results),
        permittivities(results),
        electrolytes(results),
        pairs(results.get(SET, ())),
        time_steps(results.get(SET, ())),
        moving(results),
    )
    return "\n\n".join("\n".join(part).strip() for part in parts) + "\n"


# ---- tables of markdown


def table(header: str, rows: Iterable[str]) -> list[str]:
    """Lines of a markdown table."""
    return [f"| {header} |", "|" + "---|" * (header.count("|") + 1), *(f"| {row} |" for row in rows), ""]


def of(estimate: Estimate, digits: int) -> str:
    """A value with its standard error, and a mark where that error is not to be relied on."""
    return f"{estimate.value:.{digits}f} ± {estimate.error:.{digits}f}{'' if estimate.reliable else ' (?)'}"


def _length(row: Row) -> str:
    if math.isnan(row.length_ps):
        return "as the study"
    return f"{row.length_ps:.0f}{' G' if row.engine == 'gromacs' else ''}"


def _list(names: Sequence[str]) -> str:
    return f"{', '.join(names)}." if names else "none."


def _absent(set_name: str, species: str) -> str:
    return "not run" if species in load_set(set_name).species else "not in the set"


# ---- the whole in short


def summary(results: Results) -> Iterator[str]:
    """Mean deviations of every set, of liquids that Lennard-Jones terms were fitted to and of those held out."""
    yield from ("## In short", "")
    yield "Mean absolute deviation from what was measured, and of how many liquids or electrolytes; *held out* are"
    yield "those that were chosen by chemistry before anything was fitted, and that no fit has seen. Conductivities:"
    yield "the mean of |log₁₀(simulated / measured)|, at the charge scale that the set proposes."
    yield ""
    lines = []
    for quantity, name, goal, ensemble, absolute in (
        ("density", "density", f"{GOAL_MEAN:.1%}", "NPT", False),
        ("vaporisation", "enthalpy of vaporisation, kJ/mol", f"{GOAL_HEAT:g}", "NPT", True),
        ("viscosity", "viscosity", f"{GOAL_VISCOSITY:.0%}", "NVT", False),
        ("self_diffusion", "self-diffusion", f"{GOAL_DIFFUSION:.0%}", "NVT", False),
        ("permittivity", "permittivity", f"{GOAL_PERMITTIVITY:.0%}", "NPT", False),
    ):
        for set_name in SETS:
            every = _liquids(results.get(set_name, ()), quantity, None, ensemble).values()
            known = [row for row in every if row.trust and np.isfinite(row.simulated)]
            fitted = known if "refit" in load_set(set_name).manifest else []
            parts = [known, *([row for row in fitted if row.part == part] for part in ("training", "held out"))]
            lines.append(f"{name} | {set_name} | {' | '.join(_mean(part, absolute) for part in parts)} | {goal}")
    for set_name in SETS:
        found = _conductivities(results.get(set_name, ()), set_name)
        off = [abs(math.log10(row.simulated / row.experiment)) for row in found]
        text = f"{np.mean(off):.2f} ({len(off)})" if off else "not run"
        if len(off) > 2:
            order = spearmanr([row.simulated for row in found], [row.experiment for row in found]).statistic
            text += f", order (Spearman) {order:.2f}"
        goal = f"{GOAL_LOG:g}, order {GOAL_ORDER:g}"
        lines.append(f"conductivity, log₁₀ | {set_name} | {text} | | | {goal}")
    yield from table("quantity | set | all | training | held out | goal", lines)


def _mean(rows: Sequence[Row], absolute: bool) -> str:
    """Of deviations, as numbers or as shares of the measured values, and of how many."""
    if not rows:
        return ""
    size = np.mean([abs(row.simulated - row.experiment if absolute else row.relative[0]) for row in rows])
    return f"{f'{size:.1f}' if absolute else f'{size:.1%}'} ({len(rows)})"


def _conductivities(rows: Iterable[Row], set_name: str) -> list[Row]:
    """Those that have been measured, at the set's own charge scale."""
    scale = load_set(set_name).default_ion_charge_scale
    found = (r for r in rows if (r.kind, r.quantity, r.ion_charge_scale) == (ELECTROLYTE, "conductivity", scale))
    return [row for row in found if np.isfinite(row.experiment) and row.simulated > 0]


# ---- liquids


def _liquids(
    rows: Iterable[Row], quantity: str, natural_fs: float | None = None, ensemble: str = "NPT"
) -> dict[str, Row]:
    """The rows of a quantity by liquid: of runs with heavy hydrogens, or with natural ones at a time step."""
    wanted = (LIQUID, quantity, "natural" if natural_fs else "heavy", ensemble)
    chosen = (r for r in rows if (r.kind, r.quantity, r.hydrogens, r.ensemble) == wanted)
    return {r.name: r for r in chosen if natural_fs in (None, r.timestep_fs)}


def densities(results: Results) -> Iterator[str]:
    yield from ("## Density of pure liquids", "")
    found = {name: _liquids(results.get(name, ()), "density") for name in SETS}
    lines = []
    for name in LIQUIDS:
        species, trust = load_library().species[name], REFERENCE["liquids"][name]["density"]
        line = f"{name} | {species.density_T_K:g} | {species.density_g_cm3:g} | {trust} | {species.density_source}"
        for set_name in SETS:
            row = found[set_name].get(name)
            if row is None:
                line += f" | {_absent(set_name, name)} | | "
            else:
                deviation, error = row.relative
                line += f" | {of(row.estimate, 4)} | {deviation:+.1%} ± {error:.1%} | {_length(row)}"
        lines.append(line)
    columns = "".join(f" | {name}, g/cm³ | deviation | production, ps" for name in SETS)
    yield from table("liquid | T, K | experiment, g/cm³ | trust | source" + columns, lines)
    yield from ("(?): fewer independent samples than an error can be told from. G: run in GROMACS.", "")
    for set_name, rows in found.items():
        if rows:
            tried = REFERENCE["tried"].get(set_name, {})
            others = {name: other for name, other in found.items() if name != set_name}
            fits = load_set(set_name).manifest.get("refit", {}).get("fits", {}).values()
            fitted = [name for name in rows if any(name in fit["training"] for fit in fits)]
            yield from (f"### Of {set_name}", "", *_judgement(rows, fitted, tried, others), "")
    yield from (*_side_by_side(found), *_temperatures(results), "")
    yield "![Densities, heats of vaporisation, viscosities, conductivities, simulated and measured](images/parity.svg)"


def _side_by_side(found: Mapping[str, Mapping[str, Row]]) -> Iterator[str]:
    common = sorted(set.intersection(*(set(rows) for rows in found.values())))
    if len(found) > 1 and common:
        means = (f"{name} {np.mean([abs(found[name][n].relative[0]) for n in common]):.1%}" for name in found)
        yield f"Mean absolute deviation over the {len(common)} liquids that all sets have run: {', '.join(means)}."


def _temperatures(results: Results) -> Iterator[str]:
    by_engine = defaultdict(list)
    for rows in results.values():
        for row in _liquids(rows, "kinetic_temperature_excess").values():
            by_engine[row.engine].append(row)
    for engine, rows in by_engine.items():
        largest = max(rows, key=lambda row: abs(row.simulated))
        mean = np.mean([row.simulated for row in rows])
        yield f"Kinetic temperature in {engine}, {len(rows)} runs: {mean:+.1f} K from the thermostat's on average,"
        yield f"{largest.simulated:+.1f} K at most ({largest.name})."
    yield from REFERENCE["kinetic_temperature"].strip().splitlines()


def _judgement(
    rows: Mapping[str, Row],
    fitted: Sequence[str],
    tried: Mapping[str, str],
    others: Mapping[str, Mapping[str, Row]],
) -> Iterator[str]:
    judged = {name: (*row.relative, row.trust) for name, row in rows.items()}
    size = np.abs([deviation for deviation, _, _ in judged.values()])
    met = "met" if size.mean() <= GOAL_MEAN else "missed"
    bias = np.mean([deviation for deviation, _, _ in judged.values()])
    few = "" if len(judged) >= GOAL_LIQUIDS else f" by those that have run, which are too few: {len(judged)}"
    yield f"- Mean absolute deviation over {len(judged)} of {len(LIQUIDS)} liquids: {size.mean():.1%};"
    yield f"  mean deviation {bias:+.1%}. Goal: at most {GOAL_MEAN:.1%} over at least {GOAL_LIQUIDS} liquids:"
    yield f"  {met}{few}."
    sure = np.abs([deviation for deviation, _, trust in judged.values() if trust != "low"])
    if len(sure):
        yield f"- Over the {len(sure)} whose reference has high or medium trust: {sure.mean():.1%}."
    unseen = [abs(deviation) for name, (deviation, _, _) in judged.items() if name not in fitted]
    if fitted and unseen:
        yield f"- Without those that Lennard-Jones terms were refitted to ({', '.join(fitted)}): {np.mean(unseen):.1%}."
    beyond = [
        f"{n} ({d:+.1%} ± {e:.1%}, trust {t})" for n, (d, e, t) in judged.items() if abs(d) > GOAL_WORST and t != "low"
    ]
    yield f"- Goal: none beyond {GOAL_WORST:.0%} where the reference has high or medium trust. Beyond: {_list(beyond)}"
    off = [n for n, (d, e, _) in judged.items() if GOAL_MEAN < abs(d) and abs(d) > 2 * e]
    yield f"- Beyond {GOAL_MEAN:.1%} and two standard errors: {_list(off)}"
    yield from (f"- Tried for {name}: {tried[name]}." for name in off if name in tried)
    for other, found in others.items():
        beside = ", ".join(f"{name} {found[name].relative[0]:+.1%}" for name in off if name in found)
        yield f"- Of these {other} has: {beside or 'none run'}."


def vaporisations(results: Results) -> Iterator[str]:
    yield from ("## Enthalpy of vaporisation", "")
    yield "⟨U⟩ of one molecule in vacuum − ⟨U⟩/N of the liquid + RT. Measured at 298.15 K, simulated at the temperature"
    yield "of the density; a difference of 15 K is about 1 kJ/mol. Nothing is taken off for the polarisation of a"
    yield "molecule in its liquid: charges half way between vacuum and liquid, as most of sage-clp has, count"
    yield "what it costs as well as what it gains ([refits](refits.md)). Those of opls-clp are of a polarised molecule."
    yield ""
    found = {name: _liquids(results.get(name, ()), "vaporisation") for name in SETS}
    lines = []
    deviations: dict[str, list[float]] = {name: [] for name in SETS}
    for name, facts in REFERENCE["liquids"].items():
        if "vaporisation" not in facts:
            continue
        value, source, trust = facts["vaporisation"]
        line = f"{name} | {value:g} | {source} | {trust}"
        for set_name in SETS:
            row = found[set_name].get(name)
            if row is None:
                line += f" | {_absent(set_name, name)} | "
            else:
                deviations[set_name].append(row.simulated - value)
                line += f" | {of(row.estimate, 1)} | {row.simulated - value:+.1f}"
        lines.append(line)
    columns = "".join(f" | {name}, kJ/mol | deviation, kJ/mol" for name in SETS)
    yield from table("liquid | experiment, kJ/mol | source | trust" + columns, lines)
    for set_name, off in deviations.items():
        if off:
            mean = f"{np.mean(np.abs(off)):.1f} kJ/mol, mean deviation {np.mean(off):+.1f} kJ/mol"
            yield f"Mean absolute deviation of {set_name} over {len(off)} liquids: {mean}."


def permittivities(results: Results) -> Iterator[str]:
    yield from ("## Static permittivity", "")
    yield "From the fluctuation of the box's dipole, without the electronic part, which is about 0.9 to 1.1 in nature."
    yield "It takes nanoseconds to converge in polar liquids; runs this short give its order of magnitude."
    yield ""
    found = {name: _liquids(results.get(name, ()), "permittivity") for name in SETS}
    lines = []
    for name, facts in REFERENCE["liquids"].items():
        if "permittivity" not in facts:
            continue
        value, temperature, source, trust = facts["permittivity"]
        line = f"{name} | {value:g} ({temperature:g} K) | {source} | {trust}"
        for set_name in SETS:
            row = found[set_name].get(name)
            line += f" | {of(row.estimate, 1) if row else _absent(set_name, name)}"
        lines.append(line)
    yield from table("liquid | experiment | source | trust" + "".join(f" | {name}" for name in SETS), lines)


def plot(results: Results) -> bytes:
    """Simulated against measured density, heat of vaporisation, viscosity and conductivity: a row of panels a set."""
    style: Any = {"svg.hashsalt": "lmbmd", "svg.fonttype": "none", "font.size": 8}
    buffer = io.BytesIO()
    with matplotlib.rc_context(style):
        figure, axes = plt.subplots(len(SETS), 4, figsize=(16, 4.2 * len(SETS)), layout="constrained", squeeze=False)
        for set_name, (first, second, third, fourth) in zip(SETS, axes, strict=True):
            rows = results.get(set_name, ())
            _panel(first, "density, g/cm³", _liquids(rows, "density").values())
            _panel(second, "enthalpy of vaporisation, kJ/mol", _liquids(rows, "vaporisation").values())
            _panel(third, "viscosity, mPa s", _liquids(rows, "viscosity", None, "NVT").values(), "log")
            _panel(fourth, "conductivity, mS/cm", _conductivities(rows, set_name), "log")
            first.set_title(set_name, loc="left")
        handles = [Line2D([], [], marker="o", ls="", color=c, label=f"trust {t}") for t, c in COLOURS.items()]
        axes[0, 0].legend(handles=handles, frameon=False)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        plt.close(figure)
    return buffer.getvalue()


def _panel(panel: Axes, quantity: str, rows: Iterable[Row], scale: Literal["linear", "log"] = "linear") -> None:
    known = [row for row in rows if row.trust and np.isfinite(row.simulated)]
    panel.set(xlabel=f"measured {quantity}", ylabel=f"simulated {quantity}")
    if not known:
        panel.text(0.5, 0.5, "not run", transform=panel.transAxes, ha="center")
        panel.set(xticks=[], yticks=[])
        return
    panel.set(xscale=scale, yscale=scale)
    for row in known:
        panel.errorbar(row.experiment, row.simulated, row.error, fmt="o", ms=4, color=COLOURS[row.trust])
        panel.annotate(row.name, (row.experiment, row.simulated), xytext=(4, -8), textcoords="offset points")
    margin = 1.4 if scale == "log" else 1.05
    ends = min(row.experiment for row in known) / margin, max(row.experiment for row in known) * margin
    panel.plot(ends, ends, color="black", lw=0.8)
    if scale == "log":
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(LogLocator(10, (1, 2, 5)))
            axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            axis.set_minor_locator(NullLocator())


# ---- electrolytes


def electrolytes(results: Results) -> Iterator[str]:
    yield from ("## Electrolytes", "")
    yield "Studies of `force_fields/electrolytes`, or (G) run in GROMACS by `lmbmd validate electrolytes` in boxes of"
    yield f"{ELECTROLYTE_ATOMS} atoms, after {HOT_PS:g} ps at {HOT_K:g} K: first peak of g(r) about Li⁺ (interpolated"
    yield "between bins of 0.05 Å; error between blocks) and coordination number by donor atom. Goal: peaks within"
    yield f"{GOAL_PEAK_A} Å of experiment. Shares of ion pairs need longer runs than these."
    yield ""
    lines, peaks = [], defaultdict(list)
    for name in ELECTROLYTES:
        rows = [
            (s, row) for s in sorted(SETS) for row in results.get(s, ()) if (row.kind, row.name) == (ELECTROLYTE, name)
        ]
        for set_name, row in rows:
            margin = f" ± {row.error:.2g}" if np.isfinite(row.error) else ""
            against, deviation = "", ""
            if np.isfinite(row.experiment):
                against, deviation = f"{row.experiment:g} ({row.source})", f"{row.simulated - row.experiment:+.3g}"
                if row.quantity == "first_peak":
                    peaks[row.ion_charge_scale].append(abs(row.simulated - row.experiment) <= GOAL_PEAK_A)
            what = f"{NAMES[row.quantity]} {row.partner}".strip()
            start = f"{name} | {set_name} | {row.ion_charge_scale:g} | {_length(row)}"
            lines.append(f"{start} | {what} | {row.simulated:.4g}{margin} | {against} | {deviation}")
        if not rows:
            asked = "; ".join(
                f"{NAMES[r['quantity']]} {r.get('partner', '')} {r['value']:g}" for r in REFERENCE["electrolytes"][name]
            )
            lines.append(f"{name} | | | | not run | | {asked} | ")
    header = "electrolyte | set | ion charge scale | production, ps | quantity | simulated | experiment | deviation"
    yield from table(header, lines)
    if peaks:
        met = ", ".join(f"{sum(peaks[scale])} of {len(peaks[scale])} at scale {scale:g}" for scale in sorted(peaks))
        yield f"Peaks within the goal: {met}. Li⁺ was fitted to those of EC and PC at the scale that the set proposes."
    yield from ("", *REFERENCE["charge_scale"].strip().splitlines())


# ---- Li⁺ and one molecule


def pairs(rows: Iterable[Row]) -> Iterator[str]:
    yield from ("## Li⁺ and one molecule in vacuum", "")
    yield "Energy of binding, kJ/mol, and distance to the nearest donors within 2.5 Å at the lowest minimum found"
    yield "(`lmbmd validate pairs --quantum`, `--dft`); PBE0/def2-TZVP at geometries of PBE0/def2-SVP."
    yield ""
    energy: dict[str, dict[str, float]] = defaultdict(dict)
    scaled: dict[str, float] = {}
    donors: dict[tuple[str, str], list[tuple[str, float]]] = defaultdict(list)
    for row in rows:
        if row.kind != PAIR:
            continue
        if row.quantity == "donor_distance":
            donors[row.name, row.engine].append((row.partner, row.simulated))
        elif row.ion_charge_scale == 1.0:
            energy[row.name][row.engine] = row.simulated
        else:
            scaled[row.name] = row.simulated
    both = [name for name, methods in energy.items() if {FORCE_FIELD, GFN2} <= methods.keys()]
    if not both:
        yield "Not run."
        return
    scale = load_set(SET).default_ion_charge_scale
    methods = (FORCE_FIELD, GFN2, PBE0)
    lines = []
    for name in sorted(both, key=lambda name: energy[name][GFN2]):
        near = (", ".join(f"{element} {r:.2f}" for element, r in donors[name, m][:4]) for m in methods)
        found = [
            energy[name][FORCE_FIELD],
            scaled.get(name, math.nan),
            energy[name][GFN2],
            energy[name].get(PBE0, math.nan),
        ]
        lines.append(" | ".join([name, *(f"{e:.0f}" if math.isfinite(e) else "" for e in found), *near]))
    yield from table(
        f"molecule | force field | charge of Li⁺ × {scale:g} | GFN2-xTB | PBE0 | donors, force field | GFN2-xTB | PBE0",
        lines,
    )
    ours, theirs = ([energy[name][method] for name in both] for method in (FORCE_FIELD, GFN2))
    yield f"Rank correlation (Spearman) of force field and GFN2-xTB over {len(both)} molecules:"
    yield f"{spearmanr(ours, theirs).statistic:.2f}; mean difference {np.mean(np.subtract(ours, theirs)):+.0f} kJ/mol."
    yield "With fixed charges the ion does not polarise the molecule, which in vacuum is a large part of the energy:"
    yield "the force field is expected to bind less than quantum chemistry."
    yield "How far GFN2-xTB itself is to be trusted with a bare Li⁺ is for PBE0 to say, where it has run."
    yield from ("", "Orderings looked at, with the difference in binding energy, kJ/mol:", "")
    yield from table(
        "ordering | " + " | ".join(methods),
        (
            f"{stronger} > {weaker} | "
            + " | ".join(_ordering(energy[stronger].get(m), energy[weaker].get(m)) for m in methods)
            for stronger, weaker in ORDERINGS
        ),
    )
    chelates = sorted({weaker for _, weaker in ORDERINGS if {"O", "F"} <= {e for e, _ in donors[weaker, GFN2]}})
    if chelates:
        yield f"Held by an oxygen and a fluorine at once, which a liquid need not do: {_list(chelates)}"
    nearest = [[[e for e, _ in donors[name, m][:1]] for m in (FORCE_FIELD, GFN2)] for name in sorted(both)]
    unlike = [name for name, (a, b) in zip(sorted(both), nearest, strict=True) if a != b]
    yield f"Another nearest element in GFN2-xTB than in the force field: {_list(unlike)}"


def _ordering(stronger: float | None, weaker: float | None) -> str:
    if stronger is None or weaker is None:
        return "not run"
    gap = weaker - stronger
    return f"{'holds' if gap > 0 else '**does not hold**'} ({gap:+.0f})"


# ---- time step


def time_steps(rows: Sequence[Row]) -> Iterator[str]:
    yield from ("## 4 fs with hydrogen mass repartitioning against 2 fs and 1 fs", "")
    yield from (f"Hydrogens of {HEAVY_HYDROGEN_AMU:g} amu, their mass taken from the atom they are bound to.", "")
    lines = []
    for run in time_step.STEP_RUNS:
        name, step = run.species, run.timestep_fs
        natural_fs = None if run.repartitioned else step
        density, energy = (_liquids(rows, q, natural_fs).get(name) for q in ("density", "potential_energy"))
        ran = density and energy and f"{of(density.estimate, 4)} | {of(energy.estimate, 3)} | {_length(density)}"
        lines.append(f"{name} | {step:g} | {'heavy' if run.repartitioned else 'natural'} | {ran or 'not run | | '}")
    yield from table(
        "liquid | step, fs | hydrogens | density, g/cm³ | potential energy, kJ/mol per molecule | production, ps", lines
    )
    yield f"Energy conservation without thermostat or barostat (Verlet, {NVE_PS:g} ps): drift of the total energy, and"
    yield from ("its fluctuation from sample to sample, per degree of freedom.", "")
    lines = []
    for species in NVE_LIQUIDS:
        free = [row for row in rows if (row.kind, row.name, row.ensemble) == (LIQUID, species, "NVE")]
        jitter = {row.run: row.simulated for row in free if row.quantity == "energy_fluctuation"}
        drifts = [row for row in free if row.quantity == "energy_drift"]
        for row in sorted(drifts, key=lambda row: (-row.timestep_fs, row.hydrogens)):
            start = f"{species} | {row.timestep_fs:g} | {row.hydrogens}"
            lines.append(f"{start} | {row.simulated:+.3f} ± {row.error:.3f} | {jitter[row.run]:.1e}")
        if not drifts:
            lines.append(f"{species} | | | not run | ")
    yield from table("liquid | step, fs | hydrogens | drift, kT/ns per d.o.f. | fluctuation, kT per d.o.f.", lines)


# ---- transport

MOVING_HEAD = f"""## Self-diffusion and viscosity

`lmbmd validate transport`: GROMACS at constant volume and the set's own mean density, 4 fs and heavy hydrogens
where nothing else is said, a thermostat that rescales all velocities alike (Langevin friction, as in the other runs,
slows molecules down). Both at 298.15 K, and as a study has them ([how it moves](theory/motion.md), [errors of
motion](theory/motion_statistics.md)): self-diffusion of centres of mass in the small periodic box, and corrected to an
unbounded one with the simulated viscosity (Yeh and Hummer, doi:10.1021/jp0477147); viscosity from the five components
of the traceless pressure. No lag and no window is typed; a run too short for a number has none. (?): an error beyond
{DOUBTFUL:.0%}, or from few samples."""
#: Said below the table while any number in it was made so (``Row.method``).
WINDOWS = "windows"
OF_WINDOWS = """(w): by an older method, slope of the mean squared displacement between 20 and 40 ps and mean of the
running integral of the pressure between 10 and 20 ps; errors are those of the mean of ten successive parts, without
what the choice of windows does. These runs were not kept; a new run takes the place of their numbers."""
#: What is judged, with its digits on the page.
JUDGED = {"viscosity": 3, "self_diffusion": 2}


def moving(results: Results) -> Iterator[str]:
    """How liquids move: what has run, what of the liquids with a reference has not, and how far it is off."""
    yield from (*MOVING_HEAD.splitlines(), "")
    lines: dict[tuple[str, str], list[str]] = {}
    off: dict[tuple[str, str], list[float]] = {}
    missing = []
    for set_name in SETS:
        found = _moving(results.get(set_name, ()))
        for name in (name for name in MOVING if name in found):
            # Sets that share a species share its run.
            lines.setdefault((name, _moving_cells(found[name])), []).append(set_name)
            for quantity in JUDGED:
                row = found[name][quantity]
                if row.trust not in ("", "low") and np.isfinite(row.simulated):
                    off.setdefault((set_name, quantity), []).append(row.relative[0])
        absent = [name for name in MOVING if name in load_set(set_name).species and name not in found]
        if absent:
            missing.append(f"{', '.join(absent)} ({set_name})" if found else f"any of {set_name}")
    if lines:
        yield from table(
            "liquid | set | run, ps | viscosity, mPa s | experiment | deviation"
            " | self-diffusion in the box, 10⁻⁹ m²/s | unbounded | experiment | deviation of unbounded",
            (f"{name} | {', '.join(sets)} | {cells}" for (name, cells), sets in lines.items()),
        )
        if any(row.method == WINDOWS for rows in results.values() for row in rows):
            yield from (*OF_WINDOWS.splitlines(), "")
        for (set_name, quantity), values in off.items():
            words = f"mean deviation {np.mean(values):+.0%}, mean absolute deviation {np.mean(np.abs(values)):.0%}"
            name = quantity.replace("_", "-").capitalize()
            yield f"- {name} of {set_name} over {len(values)} liquids (trust not low): {words}."
        yield "- What lmbmd says of times in such a liquid, residence times above all, is off by about as much."
        yield from _natural(results)
    yield from (["", f"Not run: {'; '.join(missing)}."] if missing else [])


def _moving(rows: Iterable[Row], natural_fs: float | None = None) -> dict[str, dict[str, Row]]:
    """By liquid, the rows of how it moves."""
    found: dict[str, dict[str, Row]] = defaultdict(dict)
    for quantity in (*JUDGED, "self_diffusion_in_box"):
        for name, row in _liquids(rows, quantity, natural_fs, "NVT").items():
            found[name][quantity] = row
    return found


def _moving_cells(found: Mapping[str, Row]) -> str:
    cells = [f"{found['viscosity'].length_ps:.0f}"]
    for quantity, digits in JUDGED.items():
        row = found[quantity]
        if quantity == "self_diffusion":
            cells.append(_known(found["self_diffusion_in_box"], digits))
        cells.append(_known(row, digits))
        if np.isfinite(row.experiment) and np.isfinite(row.simulated):
            deviation, error = row.relative
            cells += [f"{row.experiment:g} ({row.source}, {row.trust})", f"{deviation:+.0%} ± {error:.0%}"]
        else:
            cells += ["", ""]
    return " | ".join(cells)


def _known(row: Row, digits: int) -> str:
    """A value of motion with its error and its marks."""
    if not np.isfinite(row.simulated):
        return "too short"
    doubtful = " (?)" if row.reliable and row.error > DOUBTFUL * abs(row.simulated) else ""
    return of(row.estimate, digits) + doubtful + (" (w)" if row.method == WINDOWS else "")


def _natural(results: Results) -> Iterator[str]:
    """What 4 fs and heavy hydrogens change, where both have run."""
    for set_name, rows in results.items():
        weighty, natural = _moving(rows), _moving(rows, NATURAL[0])
        for name in (name for name in MOVING if name in weighty and name in natural):
            light, slow = (
                " and ".join(_known(found[name][quantity], digits) for quantity, digits in JUDGED.items())
                for found in (natural, weighty)
            )
            yield f"- {name} of {set_name} at 2 fs with hydrogens of their own mass (`--natural`):"
            yield f"  {light} (mPa s and, unbounded, 10⁻⁹ m²/s) against {slow} with heavier ones."
