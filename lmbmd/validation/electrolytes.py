"""The electrolytes of docs/validation.md in GROMACS, for computers without a GPU: structure against measurements.

    python -m lmbmd.validation.electrolytes [--only NAME ...] [--scales 0.8 1.0] [--ps 300] [--set NAME]

Each bottle of ``benchmarks/electrolytes`` is composed and built as lmbmd does, run in GROMACS
(``gromacs_liquid.py``), and described by lmbmd's own analysis. Ions pair slowly: the box is first held at 400 K, then
equilibrated and run at the bottle's temperature. A run this short still remembers its start; it shows first-shell
distances and what the ions' charges do to coordination, not final shares of pairs. Every run goes on from where it was
stopped.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from lmbmd.analysis.describe import DescribeOptions, describe
from lmbmd.analysis.scan.contacts import ContactOptions, run_contacts
from lmbmd.analysis.shells.cutoffs import summit
from lmbmd.core.files import write_text
from lmbmd.core.provenance import canonical_json, derived_seed, sha256_of
from lmbmd.data.atoms import AtomTable
from lmbmd.data.library import load_library
from lmbmd.data.rdf import Rdf
from lmbmd.forcefield.parameters import load_set
from lmbmd.formulation.composition import compose
from lmbmd.formulation.models import load_formulation
from lmbmd.numbers.estimate import estimate_mean
from lmbmd.simulate.protocol import RunSpec, Seeds
from lmbmd.trajectory import read_frames
from lmbmd.validation import gromacs_liquid
from lmbmd.validation.liquids import REFERENCE, ROOT, SET, SETS, WORK

ATOMS, HOT_K, HOT_PS, EQUILIBRATION_PS, FRAME_PS, RDF_A = 1500, 400.0, 100.0, 60.0, 0.8, 8.0
#: What the second run needs of the first.
KEPT = ("system.xml", "topol.top", "atoms.parquet")


def run(name: str, scale: float, set_name: str, ps: float, work: Path) -> None:
    """One bottle with the ions' charges times ``scale``; leaves the tables that ``validation_report.py`` reads."""
    parameters = load_set(set_name)
    place = folder(work, set_name) / f"{name}.scale-{scale:g}"
    bottle = load_formulation(
        ROOT / "benchmarks/electrolytes/formulations" / f"{name}.yaml",
        {"size": {"atoms": ATOMS}, "ion_charge_scale": scale, "force_field": set_name},
    )
    cold = spec_at(bottle.temperature_K[0], name)
    hot, last = replace(cold, temperature_K=HOT_K), place / "run"
    contents = compose(bottle, load_library(), cutoff_nm=parameters.cut_off_A / 10)
    systems = {species: parameters.systems[species] for species in contents.counts}
    facts = [systems, dict(contents.counts), scale, cold.temperature_K, gromacs_liquid.BAROSTAT_PS]
    gromacs_liquid.fresh(place, sha256_of(canonical_json(facts).encode()))
    if not (place / "hot" / "topol.top").is_file():
        gromacs_liquid.write_box(place / "hot", parameters, contents, hot, scale)
    if not (last / "settled.gro").is_file():
        gromacs_liquid.simulate(place / "hot", hot, HOT_PS, FRAME_PS)
        last.mkdir(exist_ok=True)
        for file in KEPT:
            shutil.copy(place / "hot" / file, last / file)
        shutil.copy(place / "hot" / "run.gro", last / "settled.gro")
    rows = gromacs_liquid.simulate(last, cold, EQUILIBRATION_PS + ps, FRAME_PS)
    first = round(EQUILIBRATION_PS / FRAME_PS) + 1
    atoms = AtomTable.read(last / "atoms.parquet")
    frames = read_frames(None, last / "run.xtc", atoms, start=first)
    found = run_contacts(frames, atoms, last / "contacts.arrow", last / "rdf.npz", ContactOptions(rdf_radius_A=RDF_A))
    state = place / f"{cold.temperature_K:g}K"
    describe([found], atoms, DescribeOptions()).write(state)
    peaks = [f"{partner},{error!r}" for partner, error in peak_errors_A(found[1], state / "tables" / "cutoffs.csv")]
    write_text(state / "tables" / "peaks.csv", "\n".join(["partner,error", *peaks, ""]))
    rho = estimate_mean([rows[first - 1 :, 0]])
    row = f"component,quantity,simulated,error\n,density,{float(rho.value)!r},{float(rho.error)!r}\n"
    write_text(state / "tables" / "composition.csv", row)
    told = {"ion_charge_scale": scale, "force_field": set_name, "production_ps": ps}
    write_text(place / "composition.json", json.dumps(told) + "\n")


def peak_errors_A(rdf: Rdf, cutoffs: Path) -> Iterator[tuple[str, float]]:
    """Partner and standard error of its first peak about Li⁺, from where the peak is in each block of the run."""
    for row in csv.DictReader(cutoffs.open(encoding="utf-8")):
        if row["centre"] == "Li" and row["shell"] == "first" and row["rule"] == "first minimum":
            blocks = rdf.g[:, rdf.pair("Li", row["partner"])]
            near = int(np.argmin(np.abs(rdf.r_A - float(row["peak_A"]))))
            places = [summit(rdf.r_A, g, near)[0] for g in blocks]
            yield row["partner"], float(np.std(places, ddof=1) / len(places) ** 0.5)


def folder(work: Path, set_name: str) -> Path:
    """Where the runs of all versions of a set lie."""
    return work / "electrolytes-gromacs" / set_name.rpartition("-")[0]


def spec_at(temperature_K: float, name: str) -> RunSpec:
    seed = derived_seed("electrolyte", name)
    return RunSpec(
        temperature_K=temperature_K,
        pressure_bar=1.0,
        seeds=Seeds(seed, seed, seed),
        production_ns=1.0,
        frame_interval_ps=FRAME_PS,
        state_interval_ps=FRAME_PS,
        equilibration_ns=0.1,
        max_equilibration_ns=0.1,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = list(REFERENCE["electrolytes"])
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--scales", nargs="+", type=float, default=[0.8])
    parser.add_argument("--set", choices=SETS, default=SET)
    parser.add_argument("--ps", type=float, default=300.0)
    parser.add_argument("--work", type=Path, default=WORK)
    args = parser.parse_args()
    for name, scale in tqdm([(n, s) for n in args.only for s in args.scales], unit="run"):
        run(name, scale, args.set, args.ps, args.work)


if __name__ == "__main__":
    main()
