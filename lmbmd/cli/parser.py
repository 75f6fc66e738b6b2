"""The ``lmbmd`` command: one subcommand per verb. A user's mistake is one paragraph and an exit code, no traceback."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from lmbmd.cli import verbs
from lmbmd.core.errors import LmbmdError, nearest, paragraph
from lmbmd.core.provenance import VERSION
from lmbmd.core.words import shown
from lmbmd.study import layout
from lmbmd.validation import PARTS

#: Adds a subcommand of that name and help, which calls the function of that name in ``verbs``.
Add = Callable[..., argparse.ArgumentParser]
_JSON, _ATOMS = "everything, as data for programs", "atoms.parquet"


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
    parser = _parser()
    if not (sys.argv[1:] if arguments is None else arguments):
        parser.print_help()
        return 0
    options = parser.parse_args(arguments)
    try:
        with _stoppable():
            code = options.run(options) or 0
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # whoever reads, such as `head`, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141  # as a shell says of a program that SIGPIPE ended
    except LmbmdError as error:
        return _told(options.verb, error)
    except OSError as error:  # a name that is too long, a folder for a file, no permission: whatever file it is
        what = f"the system refuses a file: {error.strerror or error}."
        where = shown(error.filename) if error.filename else None
        return _told(options.verb, LmbmdError(what, where=where, remedy="Check its name and permissions."))
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


@contextmanager
def _stoppable() -> Iterator[None]:
    """Let SIGTERM and SIGHUP (a closed terminal) end the block as Ctrl-C does, so that nothing is left half done.

    A simulation answers them itself. One that is ignored, as SIGHUP under ``nohup``, stays so.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {}
    if threading.current_thread() is threading.main_thread():  # elsewhere Python allows no handlers
        for name in ("SIGTERM", "SIGHUP"):
            if (number := getattr(signal, name, None)) and signal.getsignal(number) == signal.SIG_DFL:
                before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _told(verb: str, error: LmbmdError) -> int:
    """Print an error as one paragraph; its exit code."""
    print(paragraph(verb, error), file=sys.stderr)
    return error.exit_code


def _seconds(text: str) -> float:
    """A time between two looks: neither nothing, which would never rest, nor endless."""
    if not 0.1 <= (seconds := float(text)) <= 86_400:
        raise argparse.ArgumentTypeError(f"{text} s: give 0.1 to 86400")
    return seconds


class _Grouped(argparse.RawDescriptionHelpFormatter):
    """Leaves the verbs to the epilog, which has them in groups."""

    def _format_action(self, action: argparse.Action) -> str:
        return "" if isinstance(action, argparse._SubParsersAction) else super()._format_action(action)


class _Parser(argparse.ArgumentParser):
    """Names the nearest valid choice for a word that is none."""

    def _check_value(self, action: argparse.Action, value: object) -> None:
        if action.choices is not None and value not in action.choices:
            raise argparse.ArgumentError(action, f"{shown(value)} is none. {nearest(str(value), action.choices)}")

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        found, rest = super().parse_known_args(args, namespace)
        if strange := next((one for one in rest if one.startswith("--")), None):
            options = [one for one in self._option_string_actions if one.startswith("--")]
            self.error(f"{shown(strange)} is no option. {nearest(strange.partition('=')[0], options)}")
        return found, rest


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="lmbmd",
        usage="lmbmd [-h] [--version] VERB …",
        description="How is Li⁺ solvated in this electrolyte, and does it form compact aggregates?",
        formatter_class=_Grouped,
    )
    parser.add_argument("--version", action="version", version=f"lmbmd {VERSION}")
    kinds = parser.add_subparsers(dest="verb", required=True, metavar="VERB", prog="lmbmd")
    listed: list[str] = []

    def verb(name: str, purpose: str, *, study: bool = False) -> argparse.ArgumentParser:
        examples = "\n".join(["examples:", *(f"  lmbmd {name} {line}".rstrip() for line in EXAMPLES.get(name, ()))])
        sub = kinds.add_parser(
            name,
            help=purpose,
            description="\n".join(textwrap.wrap(f"{purpose[0].upper()}{purpose[1:]}.", 100)),
            epilog=examples if name in EXAMPLES else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        sub.set_defaults(run=getattr(verbs, name, None))
        if study:
            sub.add_argument("--study", type=Path, default=Path("config/config.yaml"), help="the study's file")
        listed.extend(textwrap.wrap(purpose, 100, initial_indent=f"  {name:<13}", subsequent_indent=" " * 15))
        return sub

    for title, add in GROUPS.items():
        listed += ["", f"{title}:"]
        add(verb)
    listed += ["", "`lmbmd VERB --help` says what a verb takes. The documentation: docs/index.md."]
    parser.epilog = "\n".join(listed[1:])
    return parser


def _add_studies(verb: Add) -> None:
    """Verbs for a study, from its beginning to its page, in that order."""
    sub = verb("catalogue", "electrolytes of the literature: list them, or show one whole", study=True)
    sub.add_argument("name", nargs="?", help="the entry to show; by default all are listed")
    sub.add_argument("--class", dest="kind", metavar="CLASS", help="such as lhce, wse, dual-salt")
    sub.add_argument("--salt", action="append", default=[], metavar="NAME", help="that holds it; may be repeated")
    sub.add_argument("--solvent", action="append", default=[], metavar="NAME", help="any component; may be repeated")
    sub.add_argument("--status", help="of the recipe: given, partial, inconsistent, not-given")
    sub.add_argument("--scope", help="such as bulk-liquid, polymer, interface")
    built = sub.add_mutually_exclusive_group()
    built.add_argument("--buildable", action="store_true", help="only what can be simulated here and now")
    built.add_argument("--missing", action="store_true", help="only what lacks parameters of a species")
    sub.add_argument("--json", action="store_true", help=_JSON)

    sub = verb("species", "molecules, ions and salts that a bottle may hold: list them, or look one up", study=True)
    sub.add_argument("text", nargs="*", help="words of a name, formula, SMILES or CAS number; one exact name shows all")
    sub.add_argument("--role", default="", help="only a salt, cation, anion, solvent, diluent or additive")

    sub = verb("init", "make a folder a study, in which `snakemake` then runs, or add what it lacks")
    sub.add_argument("folder", type=Path, help="new or not; nothing in it is overwritten")
    asked = "entries of the catalogue that become bottles; asked for on a terminal if none is given in a new study"
    sub.add_argument("name", nargs="*", default=(), help=asked)
    sub.add_argument(
        "--quick", action="store_true", help="small boxes and short runs, to see on a laptop that all works"
    )

    table = "bottles from a table, one a row, such as om-data's of OMol25 (docs/formulations.md)"
    sub.add_argument("--from-csv", type=Path, metavar="FILE", help=table)
    meant = "a YAML file that says what the words and numbers of the table mean"
    sub.add_argument("--codebook", type=Path, metavar="FILE", help=meant)
    sub.add_argument("--skip-refused", action="store_true", help="leave out rows that cannot be read, and name them")

    sub = verb("check", "validate a study and say what would be run, and what it could not tell", study=True)
    sub.add_argument("formulation", nargs="*", help="by default all")
    sub.add_argument("--json", action="store_true", help=_JSON)

    sub = verb("estimate", "time, disk and memory of a study, from a few seconds of its own MD", study=True)
    sub.add_argument("formulation", nargs="*", help="by default all")
    speed = sub.add_mutually_exclusive_group()
    speed.add_argument("--measure", action="store_true", help="time every formulation; by default the smallest")
    hardware = "measure nothing: take the speed of this hardware (docs/estimate.md)"
    speed.add_argument("--table", nargs="?", const="", metavar="HARDWARE", help=hardware)
    speed.add_argument("--like", type=Path, metavar="RUN.JSON", help="measure nothing: as fast as that finished run")
    sub.add_argument("--threads", type=int, help="on CPU, if the study does not say; by default all cores of the job")
    _add_folders(sub, "results")
    sub.add_argument("--json", action="store_true", help=_JSON)

    sub = verb("status", "how far each run is, how fast, what failed and why, and what is spent and left", study=True)
    sub.add_argument("formulation", nargs="*", help="by default all")
    states = "only runs that are waiting, queued, producing, failed, …; may be repeated"
    sub.add_argument("--state", action="append", default=[], help=states)
    sub.add_argument("--all", action="store_true", help="list every run, however many there are")
    told = sub.add_mutually_exclusive_group()
    told.add_argument("--watch", nargs="?", type=_seconds, const=10.0, metavar="SECONDS", help="look again, each 10 s")
    told.add_argument("--json", action="store_true", help=_JSON)
    _add_folders(sub)

    sub = verb("why", "what differs between a run and what the study asks for now", study=True)
    sub.add_argument("formulation", help="whose runs")
    sub.add_argument("temperature", nargs="?", help="in K; by default all")
    sub.add_argument("replica", nargs="?", help="by default all")
    _add_folders(sub, "results", "work")

    purpose = "the page that compares all formulations, and features.csv; at any time, of what is finished by then"
    sub = verb("index", purpose, study=True)
    _add_folders(sub)

    sub = verb("clean", "what of a finished study may go to free the disk; asks before it deletes anything", study=True)
    kinds = "what to delete: replaced, work, trajectories, quantum; by default nothing, and what each frees is said"
    sub.add_argument("kind", nargs="*", help=kinds)
    sub.add_argument("--yes", action="store_true", help="do not ask")
    _add_folders(sub, "results", "work")

    purpose = "a finished study as one zip file for a journal's repository: recipes, results, records (RO-Crate)"
    sub = verb("archive", purpose, study=True)
    sub.add_argument("out", type=Path, metavar="FILE.zip", help="new; its size is told, and asked about, before")
    terms = "under which others may use it: CC-BY-4.0, CC0-1.0, … or the address of its text"
    sub.add_argument("--license", required=True, metavar="NAME", help=terms)
    author = "of the study, with ORCID or not: 'Ada Lovelace 0000-0002-1825-0097'; may be repeated"
    sub.add_argument("--author", action="append", default=[], metavar="NAME", help=author)
    sub.add_argument("--trajectories", action="store_true", help="take these, too; by default they are left out")
    sub.add_argument("--yes", action="store_true", help="do not ask")
    _add_folders(sub, "results")

    sub = verb("claims", "what the literature says, and what the study's numbers say to it", study=True)
    sub.add_argument("formulation", nargs="*", help="only claims about these; by default all")
    _add_folders(sub, "results")
    sub.add_argument("--list", action="store_true", help="say what is claimed, and judge nothing")


def _add_stages(verb: Add) -> None:
    """The verbs that the workflow's rules call."""
    sub = verb("compose", "integer counts of one bottle, written to composition.json", study=True)
    sub.add_argument("formulation", help="its name in the study")
    sub.add_argument("--out", type=Path, required=True, help="the file that is written")

    sub = verb("build", "pack one box: system.xml, start.pdb, atoms.parquet")
    sub.add_argument("composition", type=Path, help="composition.json")
    sub.add_argument("--replica", type=int, default=1, help="its number, from which its packing follows")
    sub.add_argument("--out", type=Path, required=True, help="the folder that is written")

    sub = verb("spec", "all physics of one run, written to spec.json", study=True)
    sub.add_argument("formulation", help="its name in the study")
    sub.add_argument("temperature", help="in K, as the study writes it")
    sub.add_argument("replica", help="its number")
    sub.add_argument("--segment", help="number of one of the replica's transport segments")
    sub.add_argument("--out", type=Path, required=True, help="the file that is written")

    sub = verb("start", "where a transport segment begins: a frame of the finished production at its mean volume")
    sub.add_argument("production", type=Path, help="results/FORMULATION/TEMPERATUREK/rREPLICA")
    sub.add_argument("number", type=int, help="of the segment")
    _add_files(sub, box="start.pdb of the box", atoms=_ATOMS, out="the start.pdb that is written")

    sub = verb("simulate", "equilibrate and produce; run it again to go on after a kill", study=True)
    _add_files(sub, spec="spec.json", system="system.xml", start="start.pdb", atoms=_ATOMS)
    _add_files(sub, work="the run's own folder, with its checkpoints", out="the folder of its results")
    sub.add_argument("--log", type=Path, help="messages go to this file too")
    sub.add_argument("--threads", type=int, help="on CPU, if the study does not say; by default all cores of the job")
    fresh = "if the work folder holds a run of other physics, set it aside and begin anew"
    sub.add_argument("--fresh", action="store_true", help=fresh)

    sub = verb("contacts", "find every contact of one trajectory, and all RDFs", study=True)
    _add_files(sub, atoms=_ATOMS, trajectory="trajectory.xtc")
    _add_files(sub, contacts="the contacts.arrow that is written")
    rdf = "the rdf.npz that is written, and sample.xtc beside the contacts; else contacts alone, which is quicker"
    sub.add_argument("--rdf", type=Path, help=rdf)
    sub.add_argument("--workers", type=int, default=1, help="processes at once")

    sub = verb(
        "scatter", "X-ray and neutron scattering of one replica, in parts by the class of its clusters", study=True
    )
    sub.add_argument("folder", type=Path, help="results/FORMULATION/TEMPERATUREK")
    sub.add_argument("replica", type=int, help="its number")
    _add_files(sub, composition="composition.json", atoms=_ATOMS, trajectory="trajectory.xtc")

    words = "draw some shells of each class from one replica, for energies"
    sub = verb("draw", words, study=True)
    sub.add_argument("folder", type=Path, help="results/FORMULATION/TEMPERATUREK")
    sub.add_argument("replica", type=int, help="its number")
    _add_files(sub, composition="composition.json", atoms=_ATOMS, trajectory="trajectory.xtc")

    sub = verb("quantum", "energies of the shells that were drawn from one replica", study=True)
    sub.add_argument("folder", type=Path, help="results/FORMULATION/TEMPERATUREK")
    sub.add_argument("replica", type=int, help="its number")
    sub.add_argument("--workers", type=int, default=1, help="processes at once")

    sub = verb("describe", "shells, speciation, clusters, CIPA and lifetimes of one state point", study=True)
    sub.add_argument("folder", type=Path, help="results/FORMULATION/TEMPERATUREK")
    _add_files(sub, composition="composition.json", atoms=_ATOMS)

    sub = verb("report", "the page of one formulation", study=True)
    sub.add_argument("formulation", help="its name in the study")
    _add_folders(sub, "results")


def _add_files(sub: argparse.ArgumentParser, **texts: str) -> None:
    """Files that must be given, each with what it is."""
    for name, text in texts.items():
        sub.add_argument(f"--{name}", type=Path, required=True, help=text)


def _add_folders(sub: argparse.ArgumentParser, *names: str) -> None:
    """The study's folders of these names, or all, where they lie elsewhere."""
    for folder in (layout.RESULTS, layout.WORK, layout.LOGS):
        if folder.name in names or not names:
            sub.add_argument(f"--{folder}", type=Path, default=folder, help="the study's folder of that name")


def _add_others(verb: Add) -> None:
    """Verbs for molecules, trajectories and programs of others, and for the shell."""
    purpose = "add a molecule to a parameter set of your own, from its SMILES or a topology (docs/parametrize.md)"
    sub = verb("parametrize", purpose, study=True)
    sub.add_argument("name", help="of the species, without its charge")
    sub.add_argument("--smiles", help="one molecule with its charge; not needed for a species of the library")
    sub.add_argument("--structure", type=Path, metavar="FILE", help=".sdf, .mol, .mol2 or .pdb of the molecule")
    sub.add_argument("--charge", type=int, help="expected formal charge, to be compared")
    methods = "how partial charges are made; by default am1bcc, of an anion and with --permittivity resp"
    sub.add_argument("--charge-method", default="", metavar="am1bcc|resp|file", help=methods)
    liquid = "of the liquid: charges are then made as in the set, half way between vacuum and liquid"
    sub.add_argument("--permittivity", type=float, metavar="EPSILON", help=liquid)
    tried = "tried at most; by default 500, of an anion 20 (a long chain takes minutes with 500)"
    sub.add_argument("--conformers", type=int, metavar="N", help=tried)
    sub.add_argument("--charges", type=Path, metavar="FILE", help="one charge per atom of --structure or --smiles")
    sub.add_argument("--valence", metavar="sage|gaff2", help="by default Sage where its file is found, else GAFF2")
    sub.add_argument("--offxml", type=Path, help="Sage's file; by default the installed one")
    sub.add_argument("--topology", type=Path, metavar="FILE", help="OpenMM .xml, GROMACS .top or AMBER .prmtop instead")
    sub.add_argument("--coordinates", type=Path, metavar="FILE", help="positions for --topology: .pdb, .gro, .inpcrd")
    sub.add_argument("--remix", action="store_true", help="take sigma and epsilon made for another mixing rule")
    sub.add_argument("--title", default="", help="its full name")
    sub.add_argument("--alias", action="append", default=[], metavar="NAME", help="another name; may be repeated")
    sub.add_argument("--role", default="", metavar="ROLE", help="solvent, diluent, additive, cation or anion")
    sub.add_argument("--density", type=float, metavar="G_CM3", help="of the liquid near 298 K; else it is estimated")
    sub.add_argument("--density-source", default="", metavar="TEXT", help="who measured it")
    sub.add_argument("--set", default="own-1.0.0", help="your set, in the folder force_fields beside the study's file")
    sub.add_argument("--out", type=Path, help="the set's folder, if it is elsewhere")
    sub.add_argument("--extends", metavar="SET", help="the released set that a new set extends; by default the newest")

    sub = verb("export", "write a box's force field and positions for GROMACS or LAMMPS (docs/export.md)")
    sub.add_argument("folder", type=Path, help="results/FORMULATION/rN, or results/FORMULATION/TEMPERATUREK/rN")
    sub.add_argument("--to", required=True, metavar="gromacs|lammps", help="for which program")
    sub.add_argument("--out", type=Path, required=True, help="the folder that is written")

    sub = verb("validate", "what the parameter sets are worth: run a part of the validation (docs/validation.md)")
    sub.add_argument(
        "part", choices=tuple(PARTS), metavar="PART", help="; ".join(f"{name}: {what}" for name, what in PARTS.items())
    )
    sub.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="its own; PART --help tells them")

    sub = verb("analyze", "a report on the trajectories of any program (docs/foreign_trajectories.md)")
    sub.add_argument("topology", help="any file that MDAnalysis reads")
    trajectory = "one or several; none where the topology file holds coordinates"
    sub.add_argument("trajectory", nargs="*", metavar="TRAJECTORY", help=trajectory)
    several = (
        "what several trajectories are: independent runs of the same box, or parts of one run in the order of time"
    )
    sub.add_argument("--as", dest="kind", choices=("replicas", "continuation"), help=several)
    sub.add_argument("--species", type=Path, help="the species map")
    drafted = "analyse nothing: print a species map of the topology, to be corrected; its guesses are marked"
    sub.add_argument("--draft-map", action="store_true", help=drafted)
    sub.add_argument("--out", type=Path, metavar="DIR", help="for the page, its figures and its data")
    sub.add_argument("--no-page", action="store_true", help="numbers and tables alone, which is quicker")
    sub.add_argument("--title", default="", help="of the page; by default the name of the trajectory's file")
    sub.add_argument("-b", "--begin", type=float, metavar="PS", help="leave out what comes before this time")
    sub.add_argument("-e", "--end", type=float, metavar="PS", help="leave out what comes after this time")
    sub.add_argument("--every", type=float, metavar="PS", help="read only frames that are so far apart")
    pressure = "pressure tensor: viscosity needs it; once for each run"
    sub.add_argument("--pressure", metavar="CSV", action="append", default=[], type=Path, help=pressure)
    sub.add_argument("--temperature", type=float, metavar="K", help="of the simulation: conductivity needs it")
    sub.add_argument("--friction", type=float, metavar="PER_PS", help="of a Langevin thermostat, which slows motion")
    sub.add_argument("--options", type=Path, help="a YAML file with the keys of a study's section 'analysis'")
    scattered = "scattering, too; a YAML file with the keys of a study's section 'scattering', or all by default"
    sub.add_argument("--scattering", nargs="?", type=Path, const=Path(), metavar="YAML", help=scattered)
    sub.add_argument("--workers", type=int, default=1, help="processes that read and search frames")

    sub = verb("compare", "a page that compares the results of studies and analyses, wherever they lie")
    given = "of a study, of results/FORMULATION in one, or what `lmbmd analyze` wrote"
    sub.add_argument("folder", type=Path, nargs="+", help=given)
    sub.add_argument("--out", type=Path, required=True, metavar="DIR", help="for the page and the feature table")

    sub = verb("completion", "what a shell needs to complete these verbs and their options at a press of TAB")
    sub.add_argument("shell", choices=("bash", "zsh"), help="the one that you use")
    sub.set_defaults(run=_completion)


def _completion(options: argparse.Namespace) -> None:
    import shtab

    parser = _parser()
    kinds = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    for sub in kinds.choices.values():
        for action in sub._actions:
            if action.type is Path:
                action.complete = shtab.FILE
    print(shtab.complete(parser, options.shell))


#: The verbs as the help lists them.
GROUPS: dict[str, Callable[[Add], None]] = {
    "a study, from its beginning to its page": _add_studies,
    "molecules, trajectories and programs of others; the shell": _add_others,
    "stages, which the workflow calls": _add_stages,
}
#: How verbs that people type are used.
EXAMPLES: dict[str, tuple[str, ...]] = {
    "catalogue": ("--salt LiFSI --solvent TTE", "lifsi-dme-1m"),
    "species": ("carbonate", "--role diluent", "FEC"),
    "init": (
        *(".", "my-study", "my-study lifsi-dme-1m lifsi-dme-tte-3-7-1m --quick"),
        "my-study --from-csv elytes.csv --codebook codebook.yaml",
    ),
    "check": ("",),
    "estimate": ("", "lifsi-dme-1m --measure"),
    "status": ("", "--watch", "--state failed", "lifsi-dme-1m --json"),
    "why": ("lifsi-dme-1m", "lifsi-dme-1m 298.15 1"),
    "index": ("",),
    "clean": ("", "replaced work"),
    "archive": ("my-study.zip --license CC-BY-4.0 --author 'Ada Lovelace'",),
    "claims": ("--list", "lifsi-dme-1m"),
    "parametrize": ("DMP12 --smiles 'COCC(C)OC' --density 0.86",),
    "export": ("results/lifsi-dme-1m/r1 --to gromacs --out gmx",),
    "analyze": (
        "--draft-map top.tpr > species.yaml",
        "top.tpr md.xtc --species species.yaml --out DIR -b 5000",
        "top.tpr a.xtc b.xtc --as replicas --species species.yaml --out DIR",
    ),
    "compare": ("DIR OTHER_DIR my-study --out PAGE",),
    "completion": ("bash > ~/.local/share/bash-completion/completions/lmbmd",),
}
