"""docs/validation.md and its plot, from whatever of the validation has run.

python -m lmbmd.validation.report [--work work/validation] [--full]
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from scipy.stats import spearmanr

from lmbmd.core.files import write_bytes, write_text
from lmbmd.data.library import load_library
from lmbmd.forcefield.parameters import load_set
from lmbmd.numbers.estimate import Estimate
from lmbmd.validation.electrolytes import folder as electrolytes_folder
from lmbmd.validation.electrolytes_report import electrolytes
from lmbmd.validation.liquids import (
    ATOMS,
    EQUILIBRATION_PS,
    HEAVY_HYDROGEN_AMU,
    LIQUIDS,
    PRESSURE_BAR,
    REFERENCE,
    ROOT,
    SET,
    SETS,
    WORK,
    Liquid,
    Run,
    longest,
)
from lmbmd.validation.markdown_tables import of, table
from lmbmd.validation.pairs import load as load_pairs
from lmbmd.validation.transport_report import transport
from lmbmd.validation.validate_force_field import FULL_ATOMS, NVE_LIQUIDS, NVE_PS, NVE_SAMPLE_PS, STEP_RUNS, drift_rows

PLOT = ROOT / "docs" / "images" / "parity.svg"
GOAL_LIQUIDS, GOAL_MEAN, GOAL_WORST = 25, 0.015, 0.04
#: The molecule that should be bound more strongly, and the one that should be bound less.
ORDERINGS = (
    ("DME", "Et2O"),
    ("DME", "EGDEE"),
    ("EC", "DMC"),
    ("DMC", "FEMC"),
    ("DMC", "ETFA"),
    ("DMC", "FEP"),
)
METHODS = {"force_field": "force field", "gfn2": "GFN2-xTB", "pbe0": "PBE0"}
COLOURS = {"high": "#1b6ca8", "medium": "#e08e0b", "low": "#8c8c8c"}
HEAD = """# Validation of {sets}

Written by `snakemake --snakefile workflow/validation.smk` from what has run; do not edit. The default is small, for two
cores; `--config full=true` is for a GPU. What has not run says so. Numbers of reference, their sources and how far each
is to be trusted (high, medium, low): `force_fields/reference.yaml` and, for densities, `force_fields/species.yaml`.

Liquids: boxes of about {atoms} atoms, packed at 80 % of the density sought, equilibrated for {equilibration:g} ps;
NPT at {pressure:g} bar with LangevinMiddle (1/ps) and a Monte Carlo barostat in OpenMM, or (G) with GROMACS' Langevin
integrator and stochastic cell rescaling on what `lmbmd export` writes (`--engine gromacs`, quicker on few cores); PME,
the set's own cut-off, switching and long-range correction; bonds to hydrogen rigid, 4 fs with hydrogen mass
repartitioning. Errors are one standard error from the autocorrelation of the series. Runs this small and short are
meant to rank and to catch faults: a deviation below two standard errors is none.
"""


#: By set and liquid.
Found = dict[str, dict[str, Liquid]]


def write(work: Path, atoms: int) -> None:
    """Write docs/validation.md and its plot."""
    found = {
        s: {name: one for name in LIQUIDS if (one := longest(Run(name, atoms=atoms, set_name=s), work))} for s in SETS
    }
    write_text(ROOT / "docs" / "validation.md", report(work, atoms, found))
    write_bytes(PLOT, plot(found))


def report(work: Path, atoms: int, found: Found) -> str:
    """The text of docs/validation.md."""
    parts = (
        HEAD.format(
            sets=" and ".join(SETS), atoms=atoms, equilibration=EQUILIBRATION_PS, pressure=PRESSURE_BAR
        ).splitlines(),
        densities(found),
        vaporisations(found),
        permittivities(found),
        electrolytes([work / "electrolytes" / "results", *(electrolytes_folder(work, name) for name in SETS)]),
        pairs(work / SET.rpartition("-")[0] / "lithium.json"),
        time_steps(work),
        transport(work, atoms),
    )
    return "\n\n".join("\n".join(part).strip() for part in parts) + "\n"


# ---- liquids


def densities(found: Found) -> Iterator[str]:
    yield from ("## Density of pure liquids", "")
    rows, judged = [], {name: {} for name in SETS}
    for name in LIQUIDS:
        species, trust = load_library().species[name], REFERENCE["liquids"][name]["density"]
        row = f"{name} | {species.density_T_K:g} | {species.density_g_cm3:g} | {trust} | {species.density_source}"
        for set_name in SETS:
            liquid = found.get(set_name, {}).get(name)
            if liquid is None:
                row += f" | {_absent(set_name, name)} | | "
                continue
            rho = liquid.density_g_cm3
            deviation, error = rho.value / species.density_g_cm3 - 1, rho.error / species.density_g_cm3
            judged[set_name][name] = deviation, error, trust
            row += f" | {of(rho, 4)} | {deviation:+.1%} ± {error:.1%} | {_length(liquid)}"
        rows.append(row)
    columns = "".join(f" | {name}, g/cm³ | deviation | production, ps" for name in SETS)
    yield from table("liquid | T, K | experiment, g/cm³ | trust | source" + columns, rows)
    yield from ("(?): fewer independent samples than an error can be told from. G: run in GROMACS.", "")
    for set_name, deviations in judged.items():
        if deviations:
            tried = REFERENCE["tried"].get(set_name, {})
            others = {name: found for name, found in judged.items() if name != set_name}
            fits = load_set(set_name).manifest.get("refit", {}).get("fits", {}).values()
            fitted = [name for name in deviations if any(name in fit["training"] for fit in fits)]
            yield from (f"### Of {set_name}", "", *_judgement(deviations, fitted, tried, others), "")
    yield from (*_side_by_side(judged), *_temperatures(found), "")
    yield "![Simulated against measured densities and enthalpies of vaporisation](images/parity.svg)"


def _length(liquid: Liquid) -> str:
    return f"{liquid.production_ps:.0f}{' G' if liquid.engine == 'gromacs' else ''}"


def _side_by_side(judged: dict[str, dict]) -> Iterator[str]:
    common = sorted(set.intersection(*(set(deviations) for deviations in judged.values())))
    if len(judged) > 1 and common:
        means = (f"{name} {np.mean([abs(judged[name][n][0]) for n in common]):.1%}" for name in judged)
        yield f"Mean absolute deviation over the {len(common)} liquids that all sets have run: {', '.join(means)}."


def _temperatures(found: Found) -> Iterator[str]:
    by_engine: dict[str, list[tuple[float, str]]] = {}
    for liquids in found.values():
        for name, liquid in liquids.items():
            by_engine.setdefault(liquid.engine, []).append((liquid.excess_K.value, name))
    for engine, excesses in by_engine.items():
        largest, name = max(excesses, key=lambda pair: abs(pair[0]))
        mean = np.mean([excess for excess, _ in excesses])
        yield f"Kinetic temperature in {engine}: {mean:+.1f} K from the thermostat's on average, {largest:+.1f} K at"
        yield f"most ({name}); 1 K is about 0.1 % of a density. Part of it is how 4 fs sees velocities."


def _absent(set_name: str, species: str) -> str:
    return "not run" if species in load_set(set_name).species else "not in the set"


def _judgement(
    judged: dict[str, tuple[float, float, str]], fitted: list[str], tried: dict[str, str], others: dict[str, dict]
) -> Iterator[str]:
    size = np.abs([deviation for deviation, _, _ in judged.values()])
    met = "met" if size.mean() <= GOAL_MEAN else "missed"
    bias = np.mean([deviation for deviation, _, _ in judged.values()])
    yield f"- Mean absolute deviation over {len(judged)} of {len(LIQUIDS)} liquids: {size.mean():.1%};"
    yield f"  mean deviation {bias:+.1%}. Goal: at most {GOAL_MEAN:.1%} over at least {GOAL_LIQUIDS} liquids:"
    yield f"  {met}{_so_far(judged)}."
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
        beside = ", ".join(f"{name} {found[name][0]:+.1%}" for name in off if name in found)
        yield f"- Of these {other} has: {beside or 'none run'}."


def _so_far(judged: dict) -> str:
    return "" if len(judged) >= GOAL_LIQUIDS else f" by those that have run, which are too few: {len(judged)}"


def _list(names: list[str]) -> str:
    return f"{', '.join(names)}." if names else "none."


def vaporisations(found: Found) -> Iterator[str]:
    yield from ("## Enthalpy of vaporisation", "")
    yield "⟨U⟩ of one molecule in vacuum − ⟨U⟩/N of the liquid + RT. Measured at 298.15 K, simulated at the temperature"
    yield "of the density; a difference of 15 K is about 1 kJ/mol. The charges are those of a polarised molecule;"
    yield "what polarising it costs is not taken off, which makes the simulated values of polar liquids too large."
    yield "Nor is it the workflow that makes sage-clp's so large: opls-clp's of ethers and cyclic carbonates, by"
    yield "the same runs, are right, and single molecules taken from sage-clp's liquids have the vapour's energy (DMC,"
    yield "DME within 1 kJ/mol, G2 within 6). Phosphates are far off in both sets."
    yield ""
    rows, deviations = [], {name: [] for name in SETS}
    for name, facts in REFERENCE["liquids"].items():
        if "vaporisation" not in facts:
            continue
        value, source, trust = facts["vaporisation"]
        row = f"{name} | {value:g} | {source} | {trust}"
        for set_name in SETS:
            liquid = found.get(set_name, {}).get(name)
            if liquid is None or not np.isfinite(liquid.vaporisation_kJ_mol.value):
                row += f" | {_absent(set_name, name)} | "
                continue
            heat = liquid.vaporisation_kJ_mol
            deviations[set_name].append(heat.value - value)
            row += f" | {of(heat, 1)} | {heat.value - value:+.1f}"
        rows.append(row)
    columns = "".join(f" | {name}, kJ/mol | deviation, kJ/mol" for name in SETS)
    yield from table("liquid | experiment, kJ/mol | source | trust" + columns, rows)
    for set_name, off in deviations.items():
        if off:
            mean = f"{np.mean(np.abs(off)):.1f} kJ/mol, mean deviation {np.mean(off):+.1f} kJ/mol"
            yield f"Mean absolute deviation of {set_name} over {len(off)} liquids: {mean}."


def permittivities(found: Found) -> Iterator[str]:
    yield from ("## Static permittivity", "")
    yield "From the fluctuation of the box's dipole, without the electronic part, which is about 0.9 to 1.1 in nature."
    yield "It takes nanoseconds to converge in polar liquids; runs this short give its order of magnitude."
    yield ""
    rows = []
    for name, facts in REFERENCE["liquids"].items():
        if "permittivity" not in facts:
            continue
        value, temperature, source, trust = facts["permittivity"]
        row = f"{name} | {value:g} ({temperature:g} K) | {source} | {trust}"
        for set_name in SETS:
            liquid = found.get(set_name, {}).get(name)
            known = liquid is not None and np.isfinite(liquid.permittivity.value)
            row += f" | {of(liquid.permittivity, 1) if known else _absent(set_name, name)}"
        rows.append(row)
    yield from table("liquid | experiment | source | trust" + "".join(f" | {name}" for name in SETS), rows)


def plot(found: Found) -> bytes:
    """Simulated against measured density and enthalpy of vaporisation, as SVG: a row for each set."""
    style = {"svg.hashsalt": "lmbmd", "svg.fonttype": "none", "font.size": 8}
    library, facts, buffer = load_library().species, REFERENCE["liquids"], io.BytesIO()
    with matplotlib.rc_context(style):
        figure, axes = plt.subplots(len(SETS), 2, figsize=(9, 4.5 * len(SETS)), layout="constrained", squeeze=False)
        for set_name, row in zip(SETS, axes, strict=True):
            liquids = found.get(set_name, {})
            density = [(n, library[n].density_g_cm3, m.density_g_cm3, facts[n]["density"]) for n, m in liquids.items()]
            heat = [
                (n, facts[n]["vaporisation"][0], m.vaporisation_kJ_mol, facts[n]["vaporisation"][2])
                for n, m in liquids.items()
                if "vaporisation" in facts[n] and np.isfinite(m.vaporisation_kJ_mol.value)
            ]
            _panel(row[0], "density, g/cm³", density)
            _panel(row[1], "enthalpy of vaporisation, kJ/mol", heat)
            row[0].set_title(set_name, loc="left")
        handles = [plt.Line2D([], [], marker="o", ls="", color=c, label=f"trust {t}") for t, c in COLOURS.items()]
        axes[0, 0].legend(handles=handles, frameon=False)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        plt.close(figure)
    return buffer.getvalue()


def _panel(panel: plt.Axes, quantity: str, points: list[tuple[str, float, Estimate, str]]) -> None:
    for name, x, estimate, trust in points:
        panel.errorbar(x, estimate.value, estimate.error, fmt="o", ms=4, color=COLOURS[trust])
        panel.annotate(name, (x, estimate.value), xytext=(4, -8), textcoords="offset points")
    if points:
        ends = [min(p[1] for p in points) * 0.95, max(p[1] for p in points) * 1.05]
        panel.plot(ends, ends, color="black", lw=0.8)
    panel.set(xlabel=f"measured {quantity}", ylabel=f"simulated {quantity}")


# ---- Li⁺ and one molecule


def pairs(path: Path) -> Iterator[str]:
    parameters = load_set(SET)
    rows = load_pairs(path, parameters)
    yield from ("## Li⁺ and one molecule in vacuum", "")
    yield "Energy of binding, kJ/mol, and distance to the nearest donors within 2.5 Å at the lowest minimum found"
    yield "(`python -m lmbmd.validation.pairs --quantum`, `--dft`); PBE0/def2-TZVP at geometries of PBE0/def2-SVP."
    yield ""
    if not rows:
        yield "Not run."
        return
    scale = parameters.default_ion_charge_scale
    yield from table(
        f"molecule | force field | charge of Li⁺ × {scale:g} | GFN2-xTB | PBE0 | donors, force field | GFN2-xTB | PBE0",
        (_pair_row(name, rows[name]) for name in sorted(rows, key=lambda name: rows[name]["gfn2_kJ_mol"])),
    )
    ours = [row["force_field_kJ_mol"] for row in rows.values()]
    theirs = [row["gfn2_kJ_mol"] for row in rows.values()]
    yield f"Rank correlation (Spearman) of force field and GFN2-xTB over {len(rows)} molecules: "
    yield f"{spearmanr(ours, theirs).statistic:.2f}; mean difference {np.mean(np.subtract(ours, theirs)):+.0f} kJ/mol."
    yield "With fixed charges the ion does not polarise the molecule, which in vacuum is a large part of the energy:"
    yield "the force field is expected to bind less than quantum chemistry."
    yield "How far GFN2-xTB itself is to be trusted with a bare Li⁺ is for PBE0 to say, where it has run."
    yield from ("", "Orderings looked at, with the difference in binding energy, kJ/mol:", "")
    yield from table("ordering | " + " | ".join(METHODS.values()), (_ordering_row(rows, *pair) for pair in ORDERINGS))
    chelates = {weaker for _, weaker in ORDERINGS if {"O", "F"} <= {e for e, _ in _donors(rows, weaker, "gfn2")}}
    if chelates:
        yield f"Held by an oxygen and a fluorine at once, which a liquid need not do: {', '.join(sorted(chelates))}."
    unlike = [name for name in rows if _nearest(rows, name, "force_field") != _nearest(rows, name, "gfn2")]
    yield f"Another nearest element in GFN2-xTB than in the force field: {_list(unlike)}"


def _donors(rows: dict, name: str, method: str) -> list[list]:
    return rows.get(name, {}).get(f"{method}_donors", [])


def _nearest(rows: dict, name: str, method: str) -> list[str]:
    return [element for element, _ in _donors(rows, name, method)[:1]]


def _pair_row(name: str, row: dict) -> str:
    near = [", ".join(f"{e} {r:.2f}" for e, r in _donors({name: row}, name, m)[:4]) for m in METHODS]
    dft = f"{row['pbe0_kJ_mol']:.0f}" if "pbe0_kJ_mol" in row else ""
    energies = [f"{row[key]:.0f}" for key in ("force_field_kJ_mol", "force_field_scaled_kJ_mol", "gfn2_kJ_mol")]
    return " | ".join([name, *energies, dft, *near])


def _ordering_row(rows: dict, stronger: str, weaker: str) -> str:
    verdicts = []
    for method in METHODS:
        energies = [rows.get(name, {}).get(f"{method}_kJ_mol") for name in (stronger, weaker)]
        if None in energies:
            verdicts.append("not run")
            continue
        gap = energies[1] - energies[0]
        verdicts.append(f"{'holds' if gap > 0 else '**does not hold**'} ({gap:+.0f})")
    return f"{stronger} > {weaker} | " + " | ".join(verdicts)


# ---- time step


def time_steps(work: Path) -> Iterator[str]:
    yield from ("## 4 fs with hydrogen mass repartitioning against 2 fs and 1 fs", "")
    yield from (f"Hydrogens of {HEAVY_HYDROGEN_AMU:g} amu, their mass taken from the atom they are bound to.", "")
    rows = []
    for run in STEP_RUNS:
        found = longest(run, work)
        start = f"{run.species} | {run.timestep_fs:g} | {'heavy' if run.repartitioned else 'natural'}"
        ran = found and f"{of(found.density_g_cm3, 4)} | {of(found.energy_kJ_mol, 3)} | {_length(found)}"
        rows.append(f"{start} | {ran or 'not run | | '}")
    yield from table(
        "liquid | step, fs | hydrogens | density, g/cm³ | potential energy, kJ/mol per molecule | production, ps", rows
    )
    yield f"Energy conservation without thermostat or barostat (Verlet, {NVE_PS:g} ps): drift of the total energy, and"
    yield from ("its fluctuation from sample to sample, per degree of freedom.", "")
    rows = []
    for species in NVE_LIQUIDS:
        found = drift_rows(species, work)
        if found is None:
            rows.append(f"{species} | | | not run | ")
            continue
        for step, heavy, slope, jitter in found:
            # Of a line through N equally spaced points with independent noise: noise · √(12/N) / length.
            error = jitter * np.sqrt(12 * NVE_SAMPLE_PS / NVE_PS) / (1e-3 * NVE_PS)
            weight = "heavy" if heavy else "natural"
            rows.append(f"{species} | {step:g} | {weight} | {slope:+.3f} ± {error:.3f} | {jitter:.1e}")
    yield from table("liquid | step, fs | hydrogens | drift, kT/ns per d.o.f. | fluctuation, kT per d.o.f.", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=WORK, help="folder of the runs")
    parser.add_argument("--full", action="store_true", help="the larger boxes")
    args = parser.parse_args()
    write(args.work, FULL_ATOMS if args.full else ATOMS)


if __name__ == "__main__":
    main()
