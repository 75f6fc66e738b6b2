"""What a formulation costs: arithmetic on its composition, its protocol and a speed. No MD."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import ceil, pi
from typing import Any

from lmbmd.analysis.options import AnalysisOptions
from lmbmd.box.system import kinds
from lmbmd.core.units import ANGSTROM_PER_NM
from lmbmd.forcefield.parameters import load_set
from lmbmd.formulation.composition import Composition
from lmbmd.simulate.engines.choice import GROMACS, PRESSURE_STEPS
from lmbmd.simulate.protocol import RunSpec, parse_spec
from lmbmd.simulate.runner import SOFT_STEPS
from lmbmd.study.forecast.speed import Speed
from lmbmd.study.study import Study

# Bytes, measured on finished runs of the demo study; docs/estimate.md says how.
#: XTC: per frame, and per atom and frame (3.9 at 1 000 atoms, 4.0 at 200 000).
XTC_FRAME, XTC_ATOM = 92, 3.95
#: A row of a state log, or of a log of the pressure tensor.
LOG_ROW = 60
#: Contacts: per molecule, centre and contact of a frame, compressed; and once per file and molecule.
CONTACTS_MOLECULE, CONTACTS_CENTRE, CONTACT, CONTACTS_FILE, CONTACTS_NAME = 11.5, 12, 4, 4000, 6
#: Sites within the search radius, over what an ideal gas of sites would have there.
CROWDING = 1.2
#: Per atom: a structure (PDB), a checkpoint, a box (System, structure and atom table).
PDB_ATOM, CHECKPOINT_ATOM, BOX_ATOM = 102, 102, 900
#: RDFs of a run; tables, figures and the report of a state point.
RDF_RUN, REPORT_STATE_POINT = 100_000, 4_000_000

#: Peak memory of a simulation on CPU: programs and libraries, and per atom.
MEMORY_BASE, MEMORY_ATOM = 262e6, 7500.0


@dataclass(frozen=True)
class Disk:
    """Bytes of one run by what they are for. ``logs`` goes up to the cap of equilibration; ``rest``: checkpoints, RDFs,
    structures."""

    trajectory: float
    contacts: float
    logs: float
    rest: float

    @property
    def total(self) -> float:
        return self.trajectory + self.contacts + self.logs + self.rest


@dataclass(frozen=True)
class Cost:
    """One formulation. Two numbers in ``run_h`` and ``hours``: if equilibration ends as early, and as late, as it may.

    Attributes:
        box_edge_nm: before equilibration.
        runs: simulations, temperatures × replicas.
        memory_bytes: peak of one simulation.
        run_disk, disk_bytes: of one run, and of the formulation with its boxes and reports.
        ns_per_day: of one run.
        run_h: wall time of one simulation, hours.
        hours: GPU hours or CPU core hours of all runs and segments.
        segments: transport segments of all runs.
        segment_h: wall time of one of them, hours.
        segment_hours: the part of ``hours`` that is theirs.
    """

    formulation: str
    molecules: int
    atoms: int
    box_edge_nm: float
    runs: int
    memory_bytes: float
    run_disk: Disk
    disk_bytes: float
    ns_per_day: float
    run_h: tuple[float, float]
    hours: tuple[float, float]
    segments: int = 0
    segment_h: float = 0.0
    segment_hours: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def cost_of(study: Study, name: str, speed: Speed) -> Cost:
    """What one formulation costs at a speed."""
    composition = study.composition(name)
    spec = parse_spec(study.spec(name, study.temperatures(name)[0], 1), where=str(study.path))
    n_temperatures, n_replicas = len(study.temperatures(name)), len(study.replicas(name))
    runs, atoms = n_temperatures * n_replicas, composition.n_atoms
    n_sites = donor_sites(composition)
    disk = run_disk(composition, spec, n_sites, study.analysis)
    rate = speed.steps_per_s_of(atoms)
    least, most = (steps / rate / 3600 for steps in steps_of_run(spec))
    segments, segment_h, runs_bytes = runs * len(study.segments), 0.0, runs * disk.total
    if study.transport:
        segment = parse_spec(study.spec(name, study.temperatures(name)[0], 1, 1), where=str(study.path))
        tensors = 0 if speed.engine == GROMACS else pressure_steps(segment)
        segment_h = (steps_of_run(segment)[0] + tensors) / rate / 3600
        runs_bytes += segments * run_disk(composition, segment, n_sites, study.analysis).total
    segment_hours = segments * segment_h * speed.share
    return Cost(
        formulation=name,
        molecules=sum(composition.counts.values()),
        atoms=atoms,
        box_edge_nm=composition.box_edge_A / ANGSTROM_PER_NM,
        runs=runs,
        memory_bytes=MEMORY_BASE + MEMORY_ATOM * atoms,
        run_disk=disk,
        disk_bytes=runs_bytes + n_replicas * BOX_ATOM * atoms + n_temperatures * REPORT_STATE_POINT,
        ns_per_day=speed.ns_per_day(atoms, spec.timestep_fs),
        run_h=(least, most),
        hours=(least * runs * speed.share + segment_hours, most * runs * speed.share + segment_hours),
        segments=segments,
        segment_h=segment_h,
        segment_hours=segment_hours,
    )


def steps_of_run(spec: RunSpec) -> tuple[int, int]:
    """Time steps from softening to the end of the production, with the shortest and the longest equilibration."""
    soften = sum(count for step_as, count in SOFT_STEPS if step_as < spec.step_as)
    fixed = soften + sum(spec.anneal_steps) + spec.production_steps
    return fixed + spec.steps_in_ns(spec.equilibration_ns), fixed + spec.steps_in_ns(spec.max_equilibration_ns)


def pressure_steps(spec: RunSpec) -> float:
    """Time steps that take as long as all pressure tensors of a segment, with OpenMM."""
    return PRESSURE_STEPS * (spec.production_steps // spec.pressure_steps) if spec.pressure_steps else 0.0


def donor_sites(composition: Composition) -> int:
    """Donor atoms in the box, by the parameter set."""
    parameters = load_set(composition.force_field, composition.own_sets)
    counts = {species: n for species, n in composition.counts.items() if n}
    molecules = kinds(counts, composition.roles, parameters, composition.ion_charge_scale, composition.chains)
    return sum(kind.count * sum(map(bool, kind.sites)) for kind in molecules)


def run_disk(composition: Composition, spec: RunSpec, n_sites: int, analysis: AnalysisOptions) -> Disk:
    """Bytes of one run. Trajectory and contacts grow with its frames, the rest hardly.

    Files in ``work`` share their bytes with those in ``results`` and count once.
    """
    atoms, molecules = composition.n_atoms, sum(composition.counts.values())
    centres = sum(n for s, n in composition.counts.items() if composition.roles[s] == "cation")
    density = n_sites / composition.box_edge_A**3
    n_contacts = CROWDING * centres * density * 4 / 3 * pi * analysis.search_radius_A**3
    of_frame = CONTACTS_MOLECULE * molecules + CONTACTS_CENTRE * centres + CONTACT * n_contacts
    equilibration_steps = sum(spec.anneal_steps) + spec.steps_in_ns(spec.max_equilibration_ns)
    rows = (spec.production_steps + equilibration_steps) / spec.state_steps
    tensors = spec.production_steps / spec.pressure_steps if spec.pressure_steps else 0
    return Disk(
        trajectory=spec.n_frames * (XTC_FRAME + XTC_ATOM * atoms),
        contacts=ceil(spec.n_frames / analysis.frame_stride) * of_frame + CONTACTS_FILE + CONTACTS_NAME * molecules,
        logs=LOG_ROW * (rows + tensors),
        rest=(PDB_ATOM + 2 * CHECKPOINT_ATOM) * atoms + RDF_RUN,
    )


def jobs(study: Study, names: list[str]) -> dict[str, int]:
    """Jobs of the workflow by rule, as a dry-run of Snakemake counts them."""
    runs = [run for run in study.runs() if run.formulation in names]
    boxes, points = {(r.formulation, r.replica) for r in runs}, {(r.formulation, r.temperature) for r in runs}
    per_run = dict.fromkeys(("simulate", "contacts"), len(runs))
    if study.transport:
        per_run |= dict.fromkeys(("segment", "segment_contacts"), len(runs) * len(study.segments))
    if study.scattering:
        per_run["scatter"] = len(runs)
    if study.quantum:
        per_run |= dict.fromkeys(("draw", "quantum"), len(runs))
    per_formulation = dict.fromkeys(("compose", "report"), len(names))
    return {**per_formulation, "build": len(boxes), **per_run, "describe": len(points), "index": 1}
