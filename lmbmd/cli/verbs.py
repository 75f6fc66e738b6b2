"""What each subcommand does with its options: read, hand over to a room, write. Rooms are imported late."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO, cast

from lmbmd.core import stages
from lmbmd.core.errors import LmbmdError, nearest, paragraph


def catalogue(options: argparse.Namespace) -> None:
    from lmbmd.forcefield.own import FOLDER, own_sets
    from lmbmd.literature import catalogue, catalogue_text

    own = own_sets(options.study.parent / FOLDER)
    if options.name:
        entry = catalogue.find_entry(options.name)
        found = catalogue.standing(entry, own=own)
        data: Any = catalogue.as_data(entry, found)
        print(json.dumps(data, indent=1) if options.json else catalogue_text.page(entry, found))
        return
    entries = catalogue.chosen(
        kind=options.kind, salts=options.salt, components=options.solvent, status=options.status, scope=options.scope
    )
    listed = [(entry, catalogue.standing(entry, own=own)) for entry in entries]
    if options.buildable or options.missing:
        listed = [(e, s) for e, s in listed if (s.state in catalogue.RUNS if options.buildable else s.lacking)]
    data = [catalogue.as_data(entry, found) for entry, found in listed]
    print(json.dumps(data, indent=1) if options.json else catalogue_text.table(listed))


def species(options: argparse.Namespace) -> None:
    from lmbmd.forcefield.lookup import known, look_up, species_text
    from lmbmd.forcefield.own import FOLDER, own_sets

    own = own_sets(options.study.parent / FOLDER)
    print(species_text(look_up(known(own), options.text, options.role), own))


def init(options: argparse.Namespace) -> None:
    from lmbmd.study import init

    answers = init.Answers(tuple(options.name))
    if (options.codebook or options.skip_refused) and not options.from_csv:
        raise LmbmdError("there is no table to which this belongs.", remedy="Give the table with --from-csv FILE.")
    if not options.name and not options.from_csv and not init.is_study(options.folder) and sys.stdin.isatty():
        with suppress(EOFError):  # whoever ends the questions has named nothing
            answers = init.ask(input, print)
    told = {"table": options.from_csv, "codebook": options.codebook, "skips": options.skip_refused}
    print(init.told(*init.init(options.folder, replace(answers, quick=options.quick, **told))))


def check(options: argparse.Namespace) -> None:
    from lmbmd.study.forecast.forecast import check, check_text
    from lmbmd.study.study import load_study

    found = check(load_study(options.study), options.formulation)
    print(json.dumps(found, indent=1) if options.json else check_text(found))


def estimate(options: argparse.Namespace) -> None:
    from lmbmd.study.forecast import forecast
    from lmbmd.study.study import load_study

    study = load_study(options.study)
    known = forecast.of_run(options.like) if options.like else None
    found = forecast.estimate(
        study,
        options.formulation,
        each=options.measure,
        results=options.results,
        threads=options.threads,
        speed=known if options.table is None else forecast.of_table(options.table),
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    print(json.dumps(found, indent=1) if options.json else forecast.estimate_text(found))


def status(options: argparse.Namespace) -> None:
    from lmbmd.study.status import State, status
    from lmbmd.study.status_text import status_text
    from lmbmd.study.study import load_study

    if wrong := [name for name in options.state if name not in set(State)]:
        raise LmbmdError(f"no run can be '{wrong[0]}'.", where="--state", remedy=nearest(wrong[0], State))
    states = {State(name) for name in options.state}
    with suppress(KeyboardInterrupt) if options.watch else nullcontext():
        while True:
            study = load_study(options.study, composed=False)
            found = status(study, options.formulation, results=options.results, work=options.work, logs=options.logs)
            if options.json:
                data = found.to_dict()
                print(json.dumps({**data, "runs": [r for r in data["runs"] if not states or r["state"] in states]}))
            else:
                clear = "\x1b[H\x1b[2J" if options.watch and sys.stdout.isatty() else ""
                print(clear + status_text(found, states, whole=options.all), flush=True)
            if not options.watch:
                return
            time.sleep(options.watch)


def clean(options: argparse.Namespace) -> None:
    from lmbmd.core.words import size_text
    from lmbmd.study.cleaning import KINDS, freed_bytes, parts, parts_text, remove
    from lmbmd.study.study import load_study

    for kind in options.kind:
        if kind not in KINDS:
            raise LmbmdError(f"there is nothing called '{kind}' to clean.", remedy=nearest(kind, KINDS))
    found = parts(load_study(options.study, composed=False), options.results, options.work)
    chosen = [part for part in found if part.kind in options.kind]
    paths = list(dict.fromkeys(path for part in chosen for path in part.paths))
    print(parts_text(chosen or found))
    if not chosen and any(part.paths for part in found):
        print("Nothing is deleted. `lmbmd clean NAME …` deletes what you name, after a question.")
    if not paths:
        return
    freed = size_text(freed_bytes(paths))
    if not options.yes and not _agreed(f"Delete this, and free {freed}?"):
        print("Nothing is deleted.")
        return
    remove(paths)
    print(f"{freed} are free again.")


def _agreed(question: str) -> bool:
    """Whether the answer to a question on the terminal is yes."""
    if not sys.stdin.isatty():
        raise LmbmdError("nobody is there to be asked.", remedy="Give --yes to do it without a question.")
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        return False


def archive(options: argparse.Namespace) -> None:
    from lmbmd.core.words import size_text
    from lmbmd.study.archive import archive, crate
    from lmbmd.study.archive.members import RESULTS, SETTINGS, TRAJECTORIES, check, members
    from lmbmd.study.study import load_study

    terms = crate.license_of(options.license)
    authors = [crate.author_of(text) for text in options.author]
    archive.check_place(options.out)
    study = load_study(options.study)
    listed = members(study, options.results)
    kinds = (SETTINGS, RESULTS, *([TRAJECTORIES] if options.trajectories else []))
    print(archive.sizes_text(listed, kinds))
    size = size_text(archive.n_bytes(listed.of(*kinds)))
    if not options.yes and not _agreed(f"Write {size}, before compression, to {options.out}?"):
        print("Nothing is written.")
        return
    check(study, listed, options.results)
    archive.archive(study, listed, options.out, terms, authors, kinds)
    print(f"{options.out} has {size_text(options.out.stat().st_size)}. What has a hash in it was compared with that.")


def compose(options: argparse.Namespace) -> None:
    from lmbmd.core import provenance
    from lmbmd.study.study import load_study

    composition = load_study(options.study, only=options.formulation).composition(options.formulation)
    composition.write(options.out, provenance.stamp(stages.COMPOSE, {}))


def build(options: argparse.Namespace) -> None:
    from lmbmd.box.build import build_box, packing_seed
    from lmbmd.forcefield.parameters import load_set
    from lmbmd.formulation.composition import Composition

    composition = Composition.read(options.composition)
    build_box(
        composition,
        load_set(composition.force_field, composition.own_sets),
        ion_charge_scale=composition.ion_charge_scale,
        seed=packing_seed(composition, options.replica),
        out_dir=options.out,
        inputs={"composition": options.composition},
    )


def spec(options: argparse.Namespace) -> None:
    from lmbmd.core.files import sealed, write_text
    from lmbmd.study.study import load_study

    study = load_study(options.study, only=options.formulation)
    spec = study.spec(options.formulation, options.temperature, options.replica, options.segment)
    write_text(options.out, json.dumps(sealed(spec), indent=1) + "\n")


def start(options: argparse.Namespace) -> None:
    from lmbmd.study.starts import write_start

    def say(text: str) -> None:
        print(text, file=sys.stderr)

    write_start(options.production, options.box, options.atoms, options.number, options.out, say)


def contacts(options: argparse.Namespace) -> None:
    from lmbmd.analysis.scan.contacts import run_contacts
    from lmbmd.core import provenance
    from lmbmd.core.files import check_recorded
    from lmbmd.data.atoms import AtomTable
    from lmbmd.study.study import read_options
    from lmbmd.trajectory import read_frames
    from lmbmd.trajectory.sample import SAMPLE

    chosen = read_options(options.study).analysis
    stride = chosen.frame_stride
    atoms = AtomTable.read(options.atoms)
    check_recorded(options.trajectory, "run.json", "Restore it from a copy, or delete it: it is published again.")
    frames = read_frames(options.trajectory, atoms, step=stride)
    inputs = {"atoms": options.atoms, "trajectory": options.trajectory}
    header = {"provenance": provenance.stamp(stages.CONTACTS, inputs, frame_stride=stride)}
    run_contacts(
        frames,
        atoms,
        options.contacts,
        options.rdf,
        chosen.contacts,
        workers=options.workers,
        header=header,
        sample_path=options.contacts.with_name(SAMPLE) if options.rdf else None,
    )


class _Logged:
    """A stream whose whole lines also go to a log file; a progress bar's redrawing does not."""

    def __init__(self, stream: TextIO, log: TextIO) -> None:
        self._stream, self._log = stream, log

    def write(self, text: str) -> int:
        if "\r" not in text:
            with suppress(OSError, ValueError):  # a disk that is full, or gone, ends no simulation for its log's sake
                self._log.write(text)
                self._log.flush()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def logged_to(path: Path) -> Iterator[None]:
    """Messages on stderr go to this file too, until the block ends; and the error that ends it, for `lmbmd status`.

    That a run was stopped, and goes on, is no error.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as log:
        try:
            with redirect_stderr(cast(TextIO, _Logged(sys.stderr, log))):
                yield
        except Exception as error:
            if getattr(error, "exit_code", LmbmdError.exit_code) == LmbmdError.exit_code:
                known = error if isinstance(error, LmbmdError) else LmbmdError(f"{type(error).__name__}: {error}.")
                with suppress(OSError):
                    log.write(paragraph("simulate", known) + "\n")
            raise


def simulate(options: argparse.Namespace) -> None:
    from lmbmd.simulate.run import simulate
    from lmbmd.study.study import read_options

    platform = read_options(options.study).platform
    platform = platform.model_copy(update={"threads": platform.threads or options.threads})
    files = (options.spec, options.system, options.start, options.work, options.out)
    with logged_to(options.log) if options.log else nullcontext():
        simulate(*files, atoms=options.atoms, platform=platform, fresh=options.fresh)


def why(options: argparse.Namespace) -> None:
    from lmbmd.study.study import load_study
    from lmbmd.study.why import why

    study = load_study(options.study, only=options.formulation)
    wanted = [run for run in study.runs() if run.formulation == study.formulation(options.formulation).name]
    if options.temperature:
        study.spec(options.formulation, options.temperature, options.replica or 1)  # refuses what is not in the study
        wanted = [run for run in wanted if run.temperature == options.temperature]
    for run in wanted:
        if options.replica in (None, str(run.replica)):
            first, *rest = why(study, run, options.results, options.work)
            print(f"{run.formulation} {run.temperature} K r{run.replica} {first}", *rest, sep="\n  ")


def scatter(options: argparse.Namespace) -> None:
    from lmbmd.analysis.scattering.run import scatter
    from lmbmd.study import layout

    study, name = _asked(options, "scattering")
    asked = study.scattering
    found = scatter(*_once_more(options, study, name), asked, study.describe_options(name), options.replica)
    found.write(layout.replica_of(options.folder, options.replica) / layout.SCATTERING)


def draw(options: argparse.Namespace) -> None:
    from lmbmd.analysis.energies.draw import draw
    from lmbmd.study import layout

    study, name = _asked(options, "quantum")
    chosen = study.describe_options(name)
    found = draw(*_once_more(options, study, name), study.quantum, chosen, options.replica)
    found.write(layout.replica_of(options.folder, options.replica) / layout.SHELLS)


def _asked(options: argparse.Namespace, section: str) -> tuple[Any, str]:
    """The study with the bottle of a composition, and that bottle's name; refused if it has not got a section."""
    from lmbmd.formulation.composition import Composition
    from lmbmd.study.study import load_study

    name = Composition.read(options.composition).formulation
    study = load_study(options.study, only=name)
    if getattr(study, section) is None:
        raise _not_asked(options, section)
    return study, name


def _not_asked(options: argparse.Namespace, section: str) -> LmbmdError:
    what = f"the study does not ask for {section}."
    return LmbmdError(what, where=str(options.study), remedy=f"Add the section '{section}: {{}}'.")


def _once_more(options: argparse.Namespace, study: Any, name: str) -> tuple[Any, Any, Any, Any, Any]:
    """What a second pass over a replica takes: frames, contacts, RDFs, atoms and centre."""
    from lmbmd.analysis.describe import primary_centre
    from lmbmd.core.files import check_recorded
    from lmbmd.data.atoms import AtomTable
    from lmbmd.data.contacts import ContactFile
    from lmbmd.data.rdf import Rdf
    from lmbmd.study import layout
    from lmbmd.trajectory import read_frames

    atoms = AtomTable.read(options.atoms)
    check_recorded(options.trajectory, "run.json", "Restore it from a copy, or delete it: it is published again.")
    replicas = layout.contacts(options.folder, study.replicas(name))
    folder = layout.replica_of(options.folder, options.replica)
    return (
        read_frames(options.trajectory, atoms, step=study.analysis.frame_stride),
        ContactFile(folder / "contacts.arrow"),
        [Rdf.read(path.with_name("rdf.npz")) for path in replicas],
        atoms,
        primary_centre(atoms, study.describe_options(name).centre),
    )


def quantum(options: argparse.Namespace) -> None:
    from lmbmd.quantum.drawn import Drawn
    from lmbmd.quantum.run import compute, nothing
    from lmbmd.study import layout
    from lmbmd.study.study import read_options

    asked = read_options(options.study).quantum
    if asked is None:
        raise _not_asked(options, "quantum")
    folder = layout.replica_of(options.folder, options.replica)
    drawn = Drawn.read(folder / layout.SHELLS)
    jobs = layout.quantum_jobs(layout.WORK, options.folder.parent.name, layout.temperature_of(options.folder))
    try:
        found = compute(drawn, asked, jobs, options.workers)
    except LmbmdError as error:  # an outcome: it must not take the other chapters with it
        remedy = f"{error.remedy or ''} Then try again: snakemake --forcerun quantum.".strip()
        found = nothing(drawn, asked, LmbmdError(error.what, remedy=remedy))
    found.write(folder / layout.ENERGIES)
    if found.why_not:
        print(f"Energies of shells were not computed: {found.why_not}", file=sys.stderr)


def describe(options: argparse.Namespace) -> None:
    from lmbmd.analysis.describe import describe
    from lmbmd.analysis.dynamics.segments import segment
    from lmbmd.analysis.scattering.asked import AskedScattering
    from lmbmd.analysis.scattering.measured import read_measured
    from lmbmd.analysis.scattering.sums import Scattered
    from lmbmd.analysis.snapshots import export_snapshots
    from lmbmd.core import provenance
    from lmbmd.data.atoms import AtomTable
    from lmbmd.data.contacts import ContactFile
    from lmbmd.data.rdf import Rdf
    from lmbmd.formulation.composition import Composition
    from lmbmd.quantum.run import Energies
    from lmbmd.study import layout
    from lmbmd.study.study import SEGMENT_INPUT, load_study
    from lmbmd.trajectory.sample import Sample

    composition = Composition.read(options.composition)
    study = load_study(options.study, only=composition.formulation)
    chosen = study.describe_options(composition.formulation)
    replicas = layout.contacts(options.folder, study.replicas(composition.formulation))
    whole = [segment(path.parent, number) for number, path in enumerate(replicas, start=1)]
    runs = [(one.contacts, Rdf.read(path.with_name("rdf.npz"))) for one, path in zip(whole, replicas, strict=True)]
    parts = [(replica, number) for replica in study.replicas(composition.formulation) for number in study.segments]
    at = {part: layout.segment(layout.replica_of(options.folder, part[0]), part[1]) for part in parts}
    motion = [segment(at[part], *part) for part in parts] or whole
    atoms = AtomTable.read(options.atoms)
    scattering, inputs = None, {"composition": options.composition, "atoms": options.atoms}
    if study.scattering:
        sums = {f"scattering {path.parent.name}": path.with_name(layout.SCATTERING) for path in replicas}
        curves = study.measured(composition.formulation)
        scattering = AskedScattering(
            [Scattered.read(path) for path in sums.values()],
            study.scattering,
            [read_measured(one, study.path.parent) for one in curves.values()],
        )
        inputs |= sums | {f"measured {path.name}": path for path in curves}
    energies = []
    if study.quantum:
        of_shells = {f"energies {path.parent.name}": path.with_name(layout.ENERGIES) for path in replicas}
        energies = [Energies.read(path) for path in of_shells.values()]
        inputs |= of_shells
    sample = Sample(ContactFile(replicas[0]), len(atoms))
    described = describe(
        runs, atoms, chosen, composition, motion=motion, scattering=scattering, energies=energies, sample=sample
    )
    inputs |= {f"contacts {path.parent.name}": path for path in replicas}
    for folder in at.values():
        name = f"{folder.parent.name}/{folder.name}"
        inputs |= {f"{SEGMENT_INPUT} {name}": folder / "contacts.arrow"}
        inputs |= {f"{file} {name}": folder / file for file in study.segment_logs}
    title = study.formulation(composition.formulation).title
    facts = {**described.facts, "title": title, "provenance": provenance.stamp(stages.DESCRIBE, inputs)}
    described = replace(described, facts=facts)
    snapshots = export_snapshots(runs[0][0], sample, atoms, described, options.folder / "snapshots")
    described.write(options.folder, snapshots)


def report(options: argparse.Namespace) -> None:
    from lmbmd.forcefield.parameters import load_set
    from lmbmd.report.inputs import results_of
    from lmbmd.report.pages.page import formulation_page
    from lmbmd.study import layout
    from lmbmd.study.study import load_study

    study, name = load_study(options.study, only=options.formulation), options.formulation
    manifest = load_set(study.formulation(name).force_field, study.composition(name).own_sets).manifest
    formulation_page(results_of(study, name, options.results, manifest)).write(layout.bottle(options.results, name))


def index(options: argparse.Namespace) -> None:
    from lmbmd.literature.claims import known_claims
    from lmbmd.report.inputs import finished_of
    from lmbmd.report.pages.index import write_index
    from lmbmd.study.status import status
    from lmbmd.study.status_text import counts
    from lmbmd.study.study import load_study

    study = load_study(options.study)
    standing = status(study, results=options.results, work=options.work, logs=options.logs)
    page = write_index(
        options.results, finished_of(study, options.results), known_claims(study.claims), standing=standing
    )
    print(f"{counts(standing.runs)}: open {page.absolute()} in a browser.")


def compare(options: argparse.Namespace) -> None:
    from lmbmd.report.gathered import gathered
    from lmbmd.report.pages.index import write_comparison

    print(f"The page is {write_comparison(options.out, gathered(options.folder, options.out))}.")


def claims(options: argparse.Namespace) -> None:
    from lmbmd.literature.claims import known_claims
    from lmbmd.literature.claims_text import claim_lines, verdict_lines
    from lmbmd.study.study import claim_files

    known = known_claims(claim_files(options.study) if options.study.is_file() else ())
    bottles = {name for file in known for claim in file.claims for name in (claim.formulation, claim.versus) if name}
    for name in options.formulation:
        if name not in bottles:
            raise LmbmdError(f"no claim is about '{name}'.", remedy=nearest(name, bottles))
    if options.list:
        print(claim_lines(known, options.formulation))
    else:
        print(verdict_lines(known, options.results, options.formulation))


def parametrize(options: argparse.Namespace) -> None:
    from lmbmd.core.progress import Progress
    from lmbmd.forcefield.own import FOLDER
    from lmbmd.forcefield.parametrize.charges import cache_folder
    from lmbmd.forcefield.parametrize.parametrize import Request, parametrize

    folder = options.out or options.study.parent / FOLDER / options.set
    chosen = {key: getattr(options, key) for key in Request.__dataclass_fields__ if hasattr(options, key)}
    request = Request(
        **chosen,
        aliases=tuple(options.alias),
        density_g_cm3=options.density,
    )
    with Progress(sys.stderr) as progress:
        progress.begin(f"parametrize {options.name}", total=6, unit="parts")
        cautions = parametrize(request, folder, extends=options.extends, cache=cache_folder(), step=progress.part)
    print(f"{options.name} is in {folder}. A bottle takes it with 'force_field: {folder.name}'.")
    for caution in cautions:
        print(caution)


def export(options: argparse.Namespace) -> None:
    from lmbmd.box.export import export
    from lmbmd.box.pdb import residue_names
    from lmbmd.box.read import built_of
    from lmbmd.core.files import filling, write_text
    from lmbmd.data.atoms import AtomTable
    from lmbmd.formulation.composition import Composition
    from lmbmd.trajectory import open_universe
    from lmbmd.trajectory.mapping.draft import map_of

    with filling(options.out) as folder:
        files = export(options.folder, options.to, folder)
        built = built_of(options.folder)
        atoms, recipe = AtomTable.read(built / "atoms.parquet"), built.parent / "composition.json"
        told: dict[str, Any] = {"resnames": residue_names(atoms)}
        if options.to == "lammps":
            told = {"types": open_universe(folder / "data.lmp").atoms.types}
            if atoms.chains and recipe.is_file():
                chains = Composition.read(recipe).chains.values()
                told["units"] = {chain.names[x]: smiles for chain in chains for x, smiles in chain.units.items()}
        write_text(folder / "species.yaml", map_of(atoms, **told))
    print(*(options.out / path.name for path in (*files, folder / "species.yaml")), sep="\n")


def validate(options: argparse.Namespace) -> None:
    import_module(f"lmbmd.validation.{options.part.replace('-', '_')}").main(options.arguments)


def analyze(options: argparse.Namespace) -> None:
    from lmbmd.analysis.foreign import analyze
    from lmbmd.core.yamlfile import read_yaml
    from lmbmd.report.pages.analysis import told, write_analysis

    if options.draft_map:
        from lmbmd.trajectory.frames import open_universe
        from lmbmd.trajectory.mapping.draft import draft

        print(draft(open_universe(options.topology, *options.trajectory[:1])), end="")
        return
    if lacking := [f"--{name}" for name in ("species", "out") if getattr(options, name) is None]:
        remedy = "A first species map to be corrected: lmbmd analyze --draft-map TOPOLOGY > species.yaml"
        raise LmbmdError(f"{' and '.join(lacking)} is missing.", remedy=remedy)
    source: Any = (options.topology, *options.trajectory)
    if len(options.trajectory) > 1 and not options.kind:
        raise LmbmdError(
            f"{len(options.trajectory)} trajectories are given, and nothing says how they belong together.",
            remedy="Add '--as replicas' if they are independent runs of the same box, or '--as continuation' if each "
            "goes on where the one before ends.",
        )
    if options.kind == "replicas":
        source = [(options.topology, path) for path in options.trajectory]
    elif options.kind == "continuation":
        source = (options.topology, options.trajectory)
    chosen = read_yaml(options.options)[0] if options.options else None
    scattering, beside = None, options.scattering
    if beside is not None:
        scattering = read_yaml(beside)[0] if beside.name else {}
    analyze(
        source,
        options.species,
        out=options.out,
        title=options.title,
        options=chosen,
        workers=options.workers,
        begin_ps=options.begin,
        end_ps=options.end,
        every_ps=options.every,
        temperature_K=options.temperature,
        friction_per_ps=options.friction,
        pressure=options.pressure,
        scattering=scattering,
        measured_in=beside.parent if beside else Path(),
    )
    print(told(write_analysis(options.out, page=not options.no_page)))
    print(f"Its files are in {options.out}." if options.no_page else f"The page is {options.out / 'report.html'}.")
