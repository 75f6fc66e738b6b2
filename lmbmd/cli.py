"""The ``lmbmd`` command: one subcommand per verb. A user's mistake is one paragraph and an exit code, no traceback."""

from __future__ import annotations

import argparse
import json
import sys
import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import lmbmd
from lmbmd import stages
from lmbmd.errors import LmbmdError

if TYPE_CHECKING:
    from lmbmd.formulation.study import Study
    from lmbmd.report import Results


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one subcommand.

    Args:
        arguments: the command line without the program's name; ``sys.argv`` if not given.

    Returns:
        The exit code: 0 done, 2 a mistake that the user can mend, 85 a simulation that is not finished and
        goes on when the same command is run again.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # a terminal without "⁺" is no reason to end
    options = _parser().parse_args(arguments)
    try:
        return options.run(options) or 0
    except LmbmdError as error:
        print(
            textwrap.fill(f"lmbmd {options.verb}: {error}", 100, break_long_words=False, break_on_hyphens=False),
            file=sys.stderr,
        )
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lmbmd", description=lmbmd.__doc__)
    parser.add_argument("--version", action="version", version=f"lmbmd {lmbmd.__version__}")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, run: Any, help: str, *, study: bool = False) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=help, description=help)
        sub.set_defaults(run=run)
        if study:
            sub.add_argument("--study", type=Path, default=Path("config/config.yaml"), help="the study's file")
        return sub

    sub = verb("catalogue", _catalogue, "electrolytes of the literature: list them, or show one whole", study=True)
    sub.add_argument("name", nargs="?", help="the entry to show; by default all are listed")
    sub.add_argument("--class", dest="kind", metavar="CLASS", help="such as lhce, wse, dual-salt")
    sub.add_argument("--salt", action="append", default=[], metavar="NAME", help="that holds it; may be repeated")
    sub.add_argument("--solvent", action="append", default=[], metavar="NAME", help="any component; may be repeated")
    sub.add_argument("--status", help="of the recipe: given, partial, inconsistent, not-given")
    sub.add_argument("--scope", help="such as bulk-liquid, polymer, interface")
    built = sub.add_mutually_exclusive_group()
    built.add_argument("--buildable", action="store_true", help="only what can be simulated here and now")
    built.add_argument("--missing", action="store_true", help="only what lacks parameters of a species")
    sub.add_argument("--json", action="store_true")

    sub = verb("init", _init, "a new study of electrolytes of the catalogue, in a folder where `snakemake` runs")
    sub.add_argument("folder", type=Path)
    sub.add_argument("name", nargs="*", help="entries of the catalogue; asked for on a terminal if none is given")

    sub = verb("check", _check, "validate a study and say what would be run, and what it could not tell", study=True)
    sub.add_argument("formulation", nargs="*", help="by default all")
    sub.add_argument("--json", action="store_true")

    sub = verb("estimate", _estimate, "time, disk and memory of a study, from a few seconds of its own MD", study=True)
    sub.add_argument("formulation", nargs="*", help="by default all")
    speed = sub.add_mutually_exclusive_group()
    speed.add_argument("--measure", action="store_true", help="time every formulation; by default the smallest")
    hardware = "measure nothing: take the speed of this hardware (docs/estimate.md)"
    speed.add_argument("--table", nargs="?", const="", metavar="HARDWARE", help=hardware)
    speed.add_argument("--like", type=Path, metavar="RUN.JSON", help="measure nothing: as fast as that finished run")
    sub.add_argument("--threads", type=int, help="on CPU, if the study does not say; by default all cores of the job")
    sub.add_argument("--results", type=Path, default=Path("results"))
    sub.add_argument("--json", action="store_true")

    sub = verb("compose", _compose, "integer counts of one bottle, written to composition.json", study=True)
    sub.add_argument("formulation")
    sub.add_argument("--out", type=Path, required=True)

    sub = verb("build", _build, "pack one box: system.xml, start.pdb, atoms.parquet")
    sub.add_argument("composition", type=Path)
    sub.add_argument("--replica", type=int, default=1)
    sub.add_argument("--out", type=Path, required=True)

    sub = verb("spec", _spec, "all physics of one run, written to spec.json", study=True)
    sub.add_argument("formulation")
    sub.add_argument("temperature")
    sub.add_argument("replica")
    sub.add_argument("--out", type=Path, required=True)

    sub = verb("simulate", _simulate, "equilibrate and produce; run it again to go on after a kill", study=True)
    for name in ("spec", "system", "start", "atoms", "work", "out"):
        sub.add_argument(f"--{name}", type=Path, required=True)
    sub.add_argument("--log", type=Path, help="messages go to this file too")
    sub.add_argument("--threads", type=int, help="on CPU, if the study does not say; by default all cores of the job")
    fresh = "if the work folder holds a run of other physics, set it aside and begin anew"
    sub.add_argument("--fresh", action="store_true", help=fresh)

    sub = verb("why", _why, "what differs between a run and what the study asks for now", study=True)
    sub.add_argument("formulation")
    sub.add_argument("temperature", nargs="?", help="in K; by default all")
    sub.add_argument("replica", nargs="?", help="by default all")
    sub.add_argument("--results", type=Path, default=Path("results"))
    sub.add_argument("--work", type=Path, default=Path("work"))

    sub = verb("contacts", _contacts, "find every contact and all RDFs of one trajectory", study=True)
    for name in ("atoms", "trajectory", "contacts", "rdf"):
        sub.add_argument(f"--{name}", type=Path, required=True)
    sub.add_argument("--workers", type=int, default=1)

    sub = verb("describe", _describe, "shells, speciation, clusters, CIPA and lifetimes of one state point", study=True)
    sub.add_argument("folder", type=Path, help="results/FORMULATION/TEMPERATUREK")
    sub.add_argument("--composition", type=Path, required=True)
    sub.add_argument("--atoms", type=Path, required=True)

    sub = verb("report", _report, "the page of one formulation", study=True)
    sub.add_argument("formulation")
    sub.add_argument("--results", type=Path, default=Path("results"))

    sub = verb("index", _index, "the page that lists and compares all formulations, and features.csv", study=True)
    sub.add_argument("--results", type=Path, default=Path("results"))

    sub = verb("claims", _claims, "what the literature says, and what the study's numbers say to it", study=True)
    sub.add_argument("formulation", nargs="*", help="only claims about these; by default all")
    sub.add_argument("--results", type=Path, default=Path("results"))
    sub.add_argument("--list", action="store_true", help="say what is claimed, and judge nothing")

    help = "add a molecule to a parameter set of your own, from its SMILES or a topology (docs/parametrize.md)"
    sub = verb("parametrize", _parametrize, help, study=True)
    sub.add_argument("name", help="of the species, without its charge")
    sub.add_argument("--smiles", help="one molecule with its charge; not needed for a species of the library")
    sub.add_argument("--structure", type=Path, metavar="FILE", help=".sdf, .mol, .mol2 or .pdb of the molecule")
    sub.add_argument("--charge", type=int, help="expected formal charge, to be compared")
    sub.add_argument("--charge-method", default="am1bcc", metavar="am1bcc|resp|file")
    sub.add_argument("--charges", type=Path, metavar="FILE", help="one charge per atom of --structure or --smiles")
    sub.add_argument("--valence", metavar="sage|gaff2", help="by default Sage where its file is found, else GAFF2")
    sub.add_argument("--offxml", type=Path, help="Sage's file; by default that of an installed openff-forcefields")
    sub.add_argument("--topology", type=Path, metavar="FILE", help="OpenMM .xml, GROMACS .top or AMBER .prmtop instead")
    sub.add_argument("--coordinates", type=Path, metavar="FILE", help="positions for --topology: .pdb, .gro, .inpcrd")
    sub.add_argument("--remix", action="store_true", help="take sigma and epsilon made for geometric mixing")
    sub.add_argument("--title", default="")
    sub.add_argument("--alias", action="append", default=[], metavar="NAME")
    sub.add_argument("--role", default="", metavar="ROLE", help="solvent, diluent, additive, cation or anion")
    sub.add_argument("--density", type=float, metavar="G_CM3", help="of the liquid near 298 K; else it is estimated")
    sub.add_argument("--density-source", default="", metavar="TEXT")
    sub.add_argument("--set", default="own-1.0.0", help="your set, in the folder force_fields beside the study's file")
    sub.add_argument("--out", type=Path, help="the set's folder, if it is elsewhere")
    sub.add_argument("--extends", metavar="SET", help="the released set that a new set extends; by default the newest")

    sub = verb("export", _export, "write a box's force field and positions for GROMACS or LAMMPS (docs/export.md)")
    sub.add_argument("folder", type=Path, help="results/FORMULATION/rN, or results/FORMULATION/TEMPERATUREK/rN")
    sub.add_argument("--to", required=True, metavar="gromacs|lammps")
    sub.add_argument("--out", type=Path, required=True)

    sub = verb("analyze", _analyze, "describe a trajectory of any program")
    sub.add_argument("topology", help="any file that MDAnalysis reads")
    sub.add_argument("trajectory", nargs="?", help="not needed where the topology file holds coordinates")
    sub.add_argument("--species", type=Path, required=True, help="the species map")
    sub.add_argument("--out", type=Path, required=True)
    sub.add_argument("--options", type=Path, help="a YAML file with the keys of a study's section 'analysis'")
    for name in ("start", "stop", "step"):
        sub.add_argument(f"--{name}", type=int)
    sub.add_argument("--workers", type=int, default=1)
    return parser


def _catalogue(options: argparse.Namespace) -> None:
    from lmbmd import catalogue, catalogue_text
    from lmbmd.forcefield.own import FOLDER, own_sets

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


def _init(options: argparse.Namespace) -> None:
    from lmbmd import init

    unnamed = LmbmdError("no electrolyte is named.", remedy="`lmbmd catalogue --buildable` lists those to choose from.")
    if not options.name and not sys.stdin.isatty():
        raise unnamed
    try:
        answers = init.Answers(tuple(options.name)) if options.name else init.ask(input, print)
    except EOFError:
        raise unnamed from None
    print(init.told(*init.init(options.folder, answers)))


def _check(options: argparse.Namespace) -> None:
    from lmbmd.estimate import check, check_text
    from lmbmd.formulation.study import load_study

    found = check(load_study(options.study), options.formulation)
    print(json.dumps(found, indent=1) if options.json else check_text(found))


def _estimate(options: argparse.Namespace) -> None:
    from lmbmd import estimate
    from lmbmd.formulation.study import load_study

    study = load_study(options.study)
    known = estimate.of_run(options.like) if options.like else None
    found = estimate.estimate(
        study, options.formulation, each=options.measure, results=options.results, threads=options.threads,
        speed=known if options.table is None else estimate.of_table(options.table),
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )  # fmt: skip
    print(json.dumps(found, indent=1) if options.json else estimate.estimate_text(found))


def _compose(options: argparse.Namespace) -> None:
    from lmbmd import provenance
    from lmbmd.formulation.study import load_study

    composition = load_study(options.study, only=options.formulation).composition(options.formulation)
    composition.write(options.out, provenance.stamp(stages.COMPOSE, {}))


def _build(options: argparse.Namespace) -> None:
    from lmbmd.build import build_box
    from lmbmd.forcefield.parameters import load_set
    from lmbmd.formulation.composition import Composition
    from lmbmd.provenance import derived_seed

    composition = Composition.read(options.composition)
    build_box(
        composition,
        load_set(composition.force_field, composition.own_sets),
        ion_charge_scale=composition.ion_charge_scale,
        seed=derived_seed(composition.seed, composition.formulation, options.replica, "packing"),
        out_dir=options.out,
        inputs={"composition": options.composition},
    )


def _spec(options: argparse.Namespace) -> None:
    from lmbmd.atomic import write_text
    from lmbmd.formulation.study import load_study

    study = load_study(options.study, only=options.formulation)
    spec = study.spec(options.formulation, options.temperature, options.replica)
    write_text(options.out, json.dumps(spec, indent=1) + "\n")


def _contacts(options: argparse.Namespace) -> None:
    from lmbmd import provenance
    from lmbmd.analysis.contacts import ContactOptions, run_contacts
    from lmbmd.formulation.study import load_study
    from lmbmd.tables import AtomTable
    from lmbmd.trajectory import read_frames

    chosen = load_study(options.study).contacts_options()
    stride = chosen.pop("frame_stride")
    atoms = AtomTable.read(options.atoms)
    frames = read_frames(None, options.trajectory, atoms, step=stride)
    inputs = {"atoms": options.atoms, "trajectory": options.trajectory}
    header = {"provenance": provenance.stamp(stages.CONTACTS, inputs, frame_stride=stride)}
    run_contacts(
        frames, atoms, options.contacts, options.rdf, ContactOptions(**chosen), workers=options.workers, header=header
    )


class _Logged:
    """A stream whose whole lines also go to a log file; a progress bar's redrawing does not."""

    def __init__(self, stream: TextIO, log: Path) -> None:
        self._stream = stream
        log.parent.mkdir(parents=True, exist_ok=True)
        self._log = open(log, "a", encoding="utf-8")

    def write(self, text: str) -> int:
        if "\r" not in text:
            self._log.write(text)
            self._log.flush()
        return self._stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _simulate(options: argparse.Namespace) -> None:
    from lmbmd import simulate
    from lmbmd.formulation.study import load_study

    if options.log:
        sys.stderr = _Logged(sys.stderr, options.log)
    chosen = load_study(options.study).platform_options()
    interval_s = chosen.pop("checkpoint_interval_s")
    chosen["threads"] = chosen["threads"] or options.threads
    simulate.run(
        options.spec, options.system, options.start, options.work, options.out,
        platform=simulate.PlatformOptions(**chosen), checkpoint_interval_s=interval_s,
        fresh=options.fresh,
    )  # fmt: skip


def _why(options: argparse.Namespace) -> None:
    from lmbmd.formulation.study import load_study
    from lmbmd.why import why

    study = load_study(options.study)
    wanted = [run for run in study.runs() if run.formulation == study.formulation(options.formulation).name]
    if options.temperature:
        study.spec(options.formulation, options.temperature, options.replica or 1)  # refuses what is not in the study
        wanted = [run for run in wanted if run.temperature == options.temperature]
    for run in wanted:
        if options.replica in (None, str(run.replica)):
            first, *rest = why(study, run, options.results, options.work)
            print(f"{run.formulation} {run.temperature} K r{run.replica} {first}", *rest, sep="\n  ")


def _describe(options: argparse.Namespace) -> None:
    from lmbmd import provenance
    from lmbmd.analysis.describe import DescribeOptions, describe
    from lmbmd.analysis.snapshots import export_snapshots
    from lmbmd.formulation.composition import Composition
    from lmbmd.formulation.study import load_study
    from lmbmd.tables import AtomTable, ContactFile, Rdf
    from lmbmd.trajectory import read_frames

    study = load_study(options.study)
    composition = Composition.read(options.composition)
    chosen = DescribeOptions.of(study.describe_options(composition.formulation))
    replicas = [options.folder / f"r{n}" / "contacts.arrow" for n in study.replicas(composition.formulation)]
    runs = [(ContactFile(path), Rdf.read(path.with_name("rdf.npz"))) for path in replicas]
    atoms = AtomTable.read(options.atoms)
    described = describe(runs, atoms, chosen, composition)
    inputs = {"composition": options.composition, "atoms": options.atoms}
    inputs |= {f"contacts {path.parent.name}": path for path in replicas}
    facts = {**described.facts, "provenance": provenance.stamp(stages.DESCRIBE, inputs)}
    described = replace(described, facts=facts)
    trajectory = options.folder / "r1" / "trajectory.xtc"
    frames = read_frames(None, trajectory, atoms, step=study.contacts_options()["frame_stride"])
    export_snapshots(runs[0][0], frames, atoms, described, options.folder / "snapshots")
    described.write(options.folder)


def _results(study: Study, name: str, folder: Path) -> Results:
    from lmbmd.forcefield.parameters import load_set
    from lmbmd.report import load_results

    manifest = load_set(study.formulation(name).force_field, study.composition(name).own_sets).manifest
    return load_results(folder / name, manifest, study.words(name))


def _report(options: argparse.Namespace) -> None:
    from lmbmd.formulation.study import load_study
    from lmbmd.report import formulation_page

    results = _results(load_study(options.study), options.formulation, options.results)
    formulation_page(results).write(options.results / options.formulation)


def _index(options: argparse.Namespace) -> None:
    from lmbmd.claims.models import known_claims
    from lmbmd.formulation.study import load_study
    from lmbmd.report import load_results, write_index

    study = load_study(options.study)
    results = [load_results(options.results / name, None, study.words(name), brief=True) for name in study.names]
    write_index(options.results, results, known_claims(study.claims))


def _claims(options: argparse.Namespace) -> None:
    from lmbmd.claims.models import known_claims
    from lmbmd.formulation.study import load_study
    from lmbmd.report.claims_page import claim_lines, verdict_lines

    known = known_claims(load_study(options.study).claims if options.study.is_file() else ())
    if options.list:
        print(claim_lines(known, options.formulation))
    else:
        print(verdict_lines(known, options.results, options.formulation))


def _parametrize(options: argparse.Namespace) -> None:
    from lmbmd.forcefield.charges import cache_folder
    from lmbmd.forcefield.own import FOLDER
    from lmbmd.forcefield.parametrize import Request, parametrize
    from lmbmd.forcefield.steps import Steps

    folder = options.out or options.study.parent / FOLDER / options.set
    chosen = {key: getattr(options, key) for key in Request.__dataclass_fields__ if hasattr(options, key)}
    request = Request(
        **chosen, aliases=tuple(options.alias), density_g_cm3=options.density,
    )  # fmt: skip
    with Steps(f"parametrize {options.name}", total=6) as steps:
        cautions = parametrize(request, folder, extends=options.extends, cache=cache_folder(), step=steps.step)
    print(f"{options.name} is in {folder}. A bottle takes it with 'force_field: {folder.name}'.")
    for caution in cautions:
        print(caution)


def _export(options: argparse.Namespace) -> None:
    from lmbmd.export import export

    print(*export(options.folder, options.to, options.out), sep="\n")


def _analyze(options: argparse.Namespace) -> None:
    from lmbmd.foreign import analyze
    from lmbmd.formulation.yamlfile import read_yaml

    source = tuple(filter(None, (options.topology, options.trajectory)))
    chosen = read_yaml(options.options)[0] if options.options else None
    described = analyze(
        source, options.species, out=options.out, options=chosen, workers=options.workers,
        start=options.start, stop=options.stop, step=options.step,
    )  # fmt: skip
    for note in described.notes:
        print(f"{note['topic']}: {note['text']}")
