"""The part of docs/validation.md that says how liquids move."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from lmbmd.forcefield.parameters import load_set
from lmbmd.numbers.estimate import Estimate
from lmbmd.validation.liquids import REFERENCE, SETS
from lmbmd.validation.markdown_tables import of, table
from lmbmd.validation.transport import LAGS_PS, MEMORY_PS, NATURAL, PARTS, REFERRED, Found, Transport, measure

#: A viscosity less certain than this is marked.
DOUBTFUL = 0.3
HEAD = f"""## Self-diffusion and viscosity

`python -m lmbmd.validation.transport`: GROMACS at constant volume and the set's own mean density, 4 fs and heavy
hydrogens where nothing else is said, a thermostat that rescales all velocities alike (Langevin friction, as in the
other runs, slows molecules down). Both at 298.15 K. Self-diffusion: slope of the mean squared displacement of centres
of mass between {LAGS_PS[0]:g} and {LAGS_PS[1]:g} ps, as it is in the small periodic box, and corrected to an unbounded
one with the simulated viscosity (Yeh and Hummer, doi:10.1021/jp0477147). Viscosity: Green and Kubo's integral over the
five components of the traceless pressure, mean of its running value between {MEMORY_PS[0]:g} and {MEMORY_PS[1]:g} ps.
Errors are those of the mean of {PARTS} successive parts. (?): an error beyond {DOUBTFUL:.0%}."""


def transport(work: Path, atoms: int) -> Iterator[str]:
    """Lines of the section: what has run, what of the liquids with a reference has not, and how far it is off."""
    yield from (*HEAD.splitlines(), "")
    rows, off, missing = {}, {}, []
    for set_name in SETS:
        covered = [name for name in REFERRED if name in load_set(set_name).species]
        runs = {name: Transport(name, atoms=atoms, set_name=set_name) for name in covered}
        found = {name: liquid for name, run in runs.items() if (liquid := measure(run, work))}
        for name, liquid in found.items():
            rows.setdefault(_row(name, liquid), []).append(set_name)  # sets that share a species share its run
            for key, estimate in _judged(liquid):
                if REFERENCE["liquids"][name].get(key, ["low"])[-1] != "low":
                    off.setdefault((set_name, key), []).append(_deviation(name, key, estimate))
        absent = [name for name in covered if name not in found]
        if absent:
            missing.append(f"{', '.join(absent)} ({set_name})" if found else f"any of {set_name}")
    if rows:
        yield from table(
            "liquid | set | run, ps | viscosity, mPa s | experiment | deviation"
            " | self-diffusion in the box, 10⁻⁹ m²/s | unbounded | experiment | deviation of unbounded",
            (f"{name} | {', '.join(sets)} | {row}" for (name, row), sets in rows.items()),
        )
        for (set_name, key), values in off.items():
            words = f"mean deviation {np.mean(values):+.0%}, mean absolute deviation {np.mean(np.abs(values)):.0%}"
            name = key.replace("_", "-").capitalize()
            yield f"- {name} of {set_name} over {len(values)} liquids (trust not low): {words}."
        yield "- What lmbmd says of times in such a liquid, residence times above all, is off by about as much."
        yield from _natural(work, atoms)
    yield from (["", f"Not run: {'; '.join(missing)}."] if missing else [])


def _judged(liquid: Found) -> tuple[tuple[str, Estimate], ...]:
    return ("viscosity", liquid.viscosity), ("self_diffusion", liquid.diffusion_unbounded)


def _deviation(name: str, key: str, estimate: Estimate) -> float:
    return estimate.value / REFERENCE["liquids"][name][key][0] - 1


def _row(name: str, liquid: Found) -> tuple[str, str]:
    cells = [f"{liquid.length_ps:.0f}"]
    for key, estimate in _judged(liquid):
        if key == "self_diffusion":
            cells.append(of(liquid.diffusion, 2))
        cells.append(of(estimate, 2 if key == "self_diffusion" else 3) + _doubt(estimate))
        if key in REFERENCE["liquids"][name]:
            value, source, trust = REFERENCE["liquids"][name][key]
            error = estimate.error / value
            cells += [f"{value:g} ({source}, {trust})", f"{_deviation(name, key, estimate):+.0%} ± {error:.0%}"]
        else:
            cells += ["", ""]
    return name, " | ".join(cells)


def _doubt(estimate: Estimate) -> str:
    return " (?)" if estimate.error > DOUBTFUL * abs(estimate.value) else ""


def _natural(work: Path, atoms: int) -> Iterator[str]:
    """What 4 fs and heavy hydrogens change, where both have run."""
    said = set()
    for set_name in SETS:
        for name in (name for name in REFERRED if name in load_set(set_name).species):
            runs = [Transport(name, *how, atoms=atoms, set_name=set_name) for how in ((), NATURAL)]
            heavy, natural = (measure(run, work) for run in runs)
            if heavy and natural and runs[0].fingerprint not in said:
                said.add(runs[0].fingerprint)
                yield f"- {name} of {set_name} at 2 fs with hydrogens of their own mass (`--natural`):"
                light, weighty = (f"{of(m.viscosity, 3)} and {of(m.diffusion_unbounded, 2)}" for m in (natural, heavy))
                yield f"  {light} (mPa s and, unbounded, 10⁻⁹ m²/s) against {weighty} with heavier ones."
