"""What each subcommand does with its options: read, hand over to a room, write. Rooms are imported late."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, suppress
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any, TextIO, cast

from lmbmd.core import stages
from lmbmd.core.errors import LmbmdError, nearest


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


def init(options: argparse.Namespace) -> None:
    from lmbmd.study import init

    unnamed = LmbmdError("no electrolyte is named.", remedy="`lmbmd catalogue --buildable` lists those to choose from.")
    if not options.name and not sys.stdin.isatty():
        raise unnamed
    try:
        answers = init.Answers(tuple(options.name)) if options.name else init.ask(input, print)
    except EOFError:
        raise unnamed from None
    print(init.told(*init.init(options.folder, answers)))


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
    from lmbmd.core.files import write_text
    from lmbmd.study.study import load_study

    study = load_study(options.study, only=options.formulation)
    spec = study.spec(options.formulation, options.temperature, options.replica)
    write_text(options.out, json.dumps(spec, indent=1) + "\n")


def contacts(options: argparse.Namespace) -> None:
    from lmbmd.analysis.scan.contacts import run_contacts
    from lmbmd.core import provenance
    from lmbmd.data.atoms import AtomTable
    from lmbmd.study.study import read_options
    from lmbmd.trajectory import read_frames

    chosen = read_options(options.study).analysis
    stride = chosen.frame_stride
    atoms = AtomTable.read(options.atoms)
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
        sample_path=options.contacts.with_name("sample.xtc"),
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
    """Messages on stderr go to this file too, until the block ends."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="utf-8") as log, redirect_stderr(cast(TextIO, _Logged(sys.stderr, log))):
        yield


def simulate(options: argparse.Namespace) -> None:
    from lmbmd.simulate.run import simulate
    from lmbmd.study.study import read_options

    platform = read_options(options.study).platform
    platform = platform.model_copy(update={"threads": platform.threads or options.threads})
    files = (options.spec, options.system, options.start, options.work, options.out)
    with logged_to(options.log) if options.log else nullcontext():
        simulate(*files, platform=platform, fresh=options.fresh)


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


def describe(options: argparse.Namespace) -> None:
    from lmbmd.analysis.describe import describe
    from lmbmd.analysis.snapshots import export_snapshots
    from lmbmd.core import provenance
    from lmbmd.data.atoms import AtomTable
    from lmbmd.data.contacts import ContactFile
    from lmbmd.data.rdf import Rdf
    from lmbmd.formulation.composition import Composition
    from lmbmd.study import layout
    from lmbmd.study.study import load_study
    from lmbmd.trajectory.sample import Sample

    composition = Composition.read(options.composition)
    study = load_study(options.study, only=composition.formulation)
    chosen = study.describe_options(composition.formulation)
    replicas = layout.contacts(options.folder, study.replicas(composition.formulation))
    runs = [(ContactFile(path), Rdf.read(path.with_name("rdf.npz"))) for path in replicas]
    atoms = AtomTable.read(options.atoms)
    described = describe(runs, atoms, chosen, composition)
    inputs = {"composition": options.composition, "atoms": options.atoms}
    inputs |= {f"contacts {path.parent.name}": path for path in replicas}
    facts = {**described.facts, "provenance": provenance.stamp(stages.DESCRIBE, inputs)}
    described = replace(described, facts=facts)
    sample = Sample(replicas[0].with_name("sample.xtc"), len(atoms))
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
    from lmbmd.report.inputs import results_of
    from lmbmd.report.pages.index import write_index
    from lmbmd.study.study import load_study

    study = load_study(options.study)
    results = [results_of(study, name, options.results, brief=True) for name in study.names]
    write_index(options.results, results, known_claims(study.claims))


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

    print(*export(options.folder, options.to, options.out), sep="\n")


def validate(options: argparse.Namespace) -> None:
    import_module(f"lmbmd.validation.{options.part.replace('-', '_')}").main(options.arguments)


def analyze(options: argparse.Namespace) -> None:
    from lmbmd.analysis.foreign import analyze
    from lmbmd.core.yamlfile import read_yaml

    source = tuple(filter(None, (options.topology, options.trajectory)))
    chosen = read_yaml(options.options)[0] if options.options else None
    described = analyze(
        source,
        options.species,
        out=options.out,
        options=chosen,
        workers=options.workers,
        start=options.start,
        stop=options.stop,
        step=options.step,
    )
    for note in described.notes:
        print(f"{note['topic']}: {note['text']}")
