"""Electrolytes in GROMACS, for computers without a GPU: structure against measurements.

    lmbmd validate electrolytes [--only NAME ...] [--scales 0.7 1.0] [--ps 300] [--set NAME]

Each bottle of ``force_fields/electrolytes`` is composed and built as lmbmd does, run in GROMACS, and described by
lmbmd's own analysis. Ions pair slowly: the box is first held at 400 K, then equilibrated and run at the bottle's
temperature. A run this short still remembers its start; it shows first-shell distances and what the ions' charges do
to coordination, not final shares of pairs. Every run goes on from where it was stopped.

How ions move is measured by ``force_fields/electrolytes/motion.yaml``, a study as any other, whose transport segments
are free of friction and barostat: run it in a copy of that folder, with its results in
``work/validation/electrolytes/results``.
"""

from __future__ import annotations

import argparse
import csv
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lmbmd.analysis.describe import describe
from lmbmd.analysis.families import schemas
from lmbmd.analysis.options import DescribeOptions
from lmbmd.analysis.scan.contacts import run_contacts
from lmbmd.analysis.scan.options import ContactOptions
from lmbmd.analysis.shells.cutoffs import Basis, summit
from lmbmd.core.files import write_text
from lmbmd.core.progress import counted
from lmbmd.core.provenance import canonical_json, derived_seed, sha256_of
from lmbmd.data.atoms import AtomTable
from lmbmd.data.described import Described
from lmbmd.data.library import load_library
from lmbmd.data.rdf import Rdf
from lmbmd.forcefield.parameters import load_set
from lmbmd.formulation.composition import compose
from lmbmd.formulation.models import load_formulation
from lmbmd.numbers.estimate import estimate_mean
from lmbmd.simulate.engines import gromacs
from lmbmd.simulate.protocol import LENGTH, RunSpec, Seeds
from lmbmd.study import layout
from lmbmd.trajectory import read_frames
from lmbmd.validation.plan import (
    ELECTROLYTE_ATOMS,
    ELECTROLYTES,
    FORMULATIONS,
    HOT_K,
    HOT_PS,
    SET,
    SETS,
    WORK,
    place,
)
from lmbmd.validation.results import ELECTROLYTE, Row

EQUILIBRATION_PS, FRAME_PS, RDF_A = 60.0, 0.8, 8.0
#: Folder, below the work folder, of what was run in GROMACS, and of studies of lmbmd.
GROMACS, STUDIES = "electrolytes-gromacs", "electrolytes/results"
#: What is compared of how ions move: descriptor, quantity, and the factor to its unit in ``results.UNITS``.
MOTION = {
    "conductivity_S_m": ("conductivity", 10.0),
    "self_diffusion_unbounded_m2_s": ("self_diffusion", 1e9),
}
#: Bases of a cut-off that saw a first minimum.
MINIMA = (Basis.FIRST_MINIMUM, Basis.FITTED_MINIMUM)
#: What the second run needs of the first.
KEPT = ("system.xml", "topol.top", "atoms.parquet")


def run(name: str, scale: float, set_name: str, ps: float, work: Path) -> None:
    """One bottle with the ions' charges times ``scale``; leaves the tables that ``rows`` reads."""
    parameters = load_set(set_name)
    folder = place(work / GROMACS, set_name) / f"{name}.scale-{scale:g}"
    bottle = load_formulation(
        FORMULATIONS / f"{name}.yaml",
        {"size": {"atoms": ELECTROLYTE_ATOMS}, "ion_charge_scale": scale, "force_field": set_name},
    )
    cold = spec_at(bottle.temperature_K[0], name)
    hot, last = cold.model_copy(update={"temperature_K": HOT_K}), folder / "run"
    composition = compose(bottle, load_library(), cutoff_nm=parameters.cut_off_A / 10, ion_charge_scale=scale)
    systems = {species: parameters.systems[species] for species in composition.counts}
    facts = [systems, dict(composition.counts), scale, cold.temperature_K, gromacs.BAROSTAT_PS]
    with gromacs.owned(folder, sha256_of(canonical_json(facts).encode())):
        if not (folder / "hot" / "topol.top").is_file():
            gromacs.write_box(folder / "hot", parameters, composition, hot, scale)
        if not (last / "settled.gro").is_file():
            gromacs.simulate(folder / "hot", hot, HOT_PS, FRAME_PS)
            last.mkdir(exist_ok=True)
            for file in KEPT:
                shutil.copy(folder / "hot" / file, last / file)
            shutil.copy(folder / "hot" / "run.gro", last / "settled.gro")
        samples = gromacs.simulate(last, cold, EQUILIBRATION_PS + ps, FRAME_PS)
        assert samples is not None, "a run without a limit of time is complete"
        first = round(EQUILIBRATION_PS / FRAME_PS) + 1
        atoms = AtomTable.read(last / "atoms.parquet")
        frames = read_frames(last / "run.xtc", atoms, start=first)
        found = run_contacts(
            frames, atoms, last / "contacts.arrow", last / "rdf.npz", ContactOptions(rdf_radius_A=RDF_A)
        )
        state = folder / layout.point_name(f"{cold.temperature_K:g}")
        describe([found], atoms, DescribeOptions()).write(state)
        peaks = [f"{partner},{error!r}" for partner, error in peak_errors_A(found[1], state / "tables" / "cutoffs.csv")]
        write_text(state / "tables" / "peaks.csv", "\n".join(["partner,error", *peaks, ""]))
        rho = estimate_mean([samples[first - 1 :, 0]])
        row = f"component,quantity,simulated,error\n,density,{float(rho.value)!r},{float(rho.error)!r}\n"
        write_text(state / "tables" / "composition.csv", row)
        told = {"ion_charge_scale": scale, "force_field": set_name, "production_ps": ps}
        write_text(folder / "composition.json", json.dumps(told) + "\n")


def peak_errors_A(rdf: Rdf, cutoffs: Path) -> Iterator[tuple[str, float]]:
    """Partner and standard error of its first peak about Li⁺, from where the peak is in each block of the run."""
    for row in csv.DictReader(cutoffs.open(encoding="utf-8")):
        if row["centre"] == "Li" and row["shell"] == "first" and row["basis"] in MINIMA:
            blocks = rdf.g[:, rdf.pair("Li", row["partner"])]
            near = int(np.argmin(np.abs(rdf.r_A - float(row["peak_A"]))))
            places = [summit(rdf.r_A, g, near)[0] for g in blocks]
            yield row["partner"], float(np.std(places, ddof=1) / len(places) ** 0.5)


def spec_at(temperature_K: float, name: str) -> RunSpec:
    seed = derived_seed("electrolyte", name)
    return RunSpec(
        temperature_K=temperature_K,
        pressure_bar=1.0,
        seeds=Seeds(velocities=seed, thermostat=seed, barostat=seed),
        production_ns=1.0,
        frame_interval_ps=FRAME_PS,
        state_interval_ps=FRAME_PS,
        equilibration_ns=0.1,
        max_equilibration_ns=0.1,
    )


def rows(work: Path, set_name: str) -> Iterator[Row]:
    """What has run of the electrolytes in a set, as results: in GROMACS, or as studies of lmbmd."""
    folders = [work / STUDIES, place(work / GROMACS, set_name)]
    for name in ELECTROLYTES:
        for state in _state_points(folders, name):
            facts = json.loads((state.parent / "composition.json").read_text(encoding="utf-8"))
            if facts["force_field"] != set_name:
                continue
            row = Row(
                ELECTROLYTE,
                name,
                "",
                temperature_K=float(layout.temperature_of(state)),
                ensemble="NPT",
                timestep_fs=4.0,
                hydrogens="heavy",
                ion_charge_scale=float(facts["ion_charge_scale"]),
                engine="gromacs",
                length_ps=float(facts.get("production_ps", "nan")),
                atoms=float(ELECTROLYTE_ATOMS),
            )
            is_study = "production_ps" not in facts
            still = _of_runs(row, state.glob("r*/run.json")) if is_study else row
            found = [(still, one) for one in _described(state / "tables")]
            if is_study:  # the others' friction would slow the ions down
                moving = _of_runs(replace(row, ensemble="NVT"), state.glob("r*/t*/run.json"))
                found += [(moving, one) for one in _moved(state)]
            for of_run, ((quantity, partner), value, error) in found:
                yield replace(of_run, quantity=quantity, partner=partner, simulated=value, error=error)


def _of_runs(row: Row, records: Iterable[Path]) -> Row:
    """The row with the program, the length and the atoms of a study's runs, all replicas together."""
    known = [json.loads(path.read_text(encoding="utf-8")) for path in records]
    if not known:
        return replace(row, engine="", length_ps=float("nan"), atoms=float("nan"))
    engine = "gromacs" if known[0]["platform"]["name"] == "GROMACS" else "openmm"
    length_ps, atoms = 1000 * sum(one[LENGTH] for one in known), float(known[0]["n_atoms"])
    return replace(row, engine=engine, length_ps=length_ps, atoms=atoms)


def _state_points(folders: Iterable[Path], name: str) -> list[Path]:
    """Those that have been described; of others a study may have runs."""
    found = (path for folder in folders for path in folder.glob(f"{name}*/{layout.point_name('*')}"))
    ready = (path for path in found if (path.parent / "composition.json").is_file() and (path / "tables").is_dir())
    return sorted(path for path in ready if path.parent.name.split(".scale")[0] == name)


def _described(tables: Path) -> Iterator[tuple[tuple[str, str], float, float]]:
    """(quantity, partner), value and error of what a described state point says about the first shell."""
    rows = {
        name: [*csv.DictReader((tables / f"{name}.csv").open(encoding="utf-8"))]
        for name in ("composition", "cutoffs", "cn")
    }
    for row in rows["composition"]:
        if row["quantity"] == "density":
            yield ("density", ""), float(row["simulated"]), float(row["error"])
    blocks = tables / "peaks.csv"
    listed = csv.DictReader(blocks.open(encoding="utf-8")) if blocks.is_file() else ()
    errors = {row["partner"]: float(row["error"]) for row in listed}
    shells = [row for row in rows["cutoffs"] if row["centre"] == "Li" and row["basis"] in MINIMA]
    for row in shells:
        yield ("first_peak", row["partner"]), float(row["peak_A"]), errors.get(row["partner"], float("nan"))
    for row in rows["cn"]:
        partner = f"{row['species']}:{row['site']}"
        if row["centre"] == "Li" and partner in {shell["partner"] for shell in shells}:
            yield ("coordination_number", partner), float(row["value"]), float(row["error"])


def _moved(state: Path) -> Iterator[tuple[tuple[str, str], float, float]]:
    """(quantity, species), value and error of what a described state point says about motion."""
    table = Described.read(state, schemas(), tables=()).descriptors
    for name, (quantity, factor) in MOTION.items():
        for row in table[(table.name == name) & table.value.notna()].itertuples():
            yield (quantity, row.species), factor * row.value, factor * row.error


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        "lmbmd validate electrolytes", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", choices=ELECTROLYTES, default=ELECTROLYTES, metavar="NAME")
    parser.add_argument("--scales", nargs="+", type=float, help="factors on the ions' charges; the set's if not given")
    parser.add_argument("--set", choices=SETS, default=SET)
    parser.add_argument("--ps", type=float, default=300.0)
    parser.add_argument("--work", type=Path, default=WORK)
    args = parser.parse_args(arguments)
    scales = args.scales or [load_set(args.set).default_ion_charge_scale]
    for name, scale in counted([(n, s) for n in args.only for s in scales], "electrolytes", "runs"):
        run(name, scale, args.set, args.ps, args.work)
