"""The ``lmbmd`` command: one subcommand per verb. A user's mistake is one paragraph and an exit code, no traceback."""

from __future__ import annotations

import argparse
import os
import re
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path

from lmbmd.cli import verbs
from lmbmd.core.errors import LmbmdError
from lmbmd.core.version import VERSION
from lmbmd.core.words import shown
from lmbmd.study import layout
from lmbmd.validation import PARTS

#: Adds a subcommand of that name and help, which calls the function of that name in ``verbs``.
Add = Callable[..., argparse.ArgumentParser]


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


def _told(verb: str, error: LmbmdError) -> int:
    """Print an error as one paragraph; its exit code."""
    text = re.sub(r"(\S{300})\S{300,}", r"\1…", f"lmbmd {verb}: {error}")  # a value may be a whole page
    print(textwrap.fill(text, 100, break_long_words=False, break_on_hyphens=False), file=sys.stderr)
    return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="lmbmd", description="How is Li⁺ solvated in this electrolyte, and does it form compact aggregates?"
    )
    parser.add_argument("--version", action="version", version=f"lmbmd {VERSION}")
    kinds = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    def verb(name: str, purpose: str, *, study: bool = False) -> argparse.ArgumentParser:
        sub = kinds.add_parser(name, help=purpose, description=purpose)
        sub.set_defaults(run=getattr(verbs, name))
        if study:
            sub.add_argument("--study", type=Path, default=Path("config/config.yaml"), help="the study's file")
        return sub

    _add_studies(verb)
    _add_stages(verb)
    _add_questions(verb)
    return parser


def _add_studies(verb: Add) -> None:
    """Verbs that come before a run."""
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
    sub.add_argument("--json", action="store_true")

    sub = verb("init", "a new study of electrolytes of the catalogue, in a folder where `snakemake` runs")
    sub.add_argument("folder", type=Path)
    asked = "entries of the catalogue; asked for on a terminal if none is given"
    sub.add_argument("name", nargs="*", default=(), help=asked)

    sub = verb("check", "validate a study and say what would be run, and what it could not tell", study=True)
    sub.add_argument("formulation", nargs="*", help="by default all")
    sub.add_argument("--json", action="store_true")

    sub = verb("estimate", "time, disk and memory of a study, from a few seconds of its own MD", study=True)
    sub.add_argument("formulation", nargs="*", help="by default all")
    speed = sub.add_mutually_exclusive_group()
    speed.add_argument("--measure", action="store_true", help="time every formulation; by default the smallest")
    hardware = "measure nothing: take the speed of this hardware (docs/estimate.md)"
    speed.add_argument("--table", nargs="?", const="", metavar="HARDWARE", help=hardware)
    speed.add_argument("--like", type=Path, metavar="RUN.JSON", help="measure nothing: as fast as that finished run")
    sub.add_argument("--threads", type=int, help="on CPU, if the study does not say; by default all cores of the job")
    sub.add_argument("--results", type=Path, default=layout.RESULTS)
    sub.add_argument("--json", action="store_true")


def _add_stages(verb: Add) -> None:
    """The verbs that the workflow's rules call."""
    sub = verb("compose", "integer counts of one bottle, written to composition.json", study=True)
    sub.add_argument("formulation")
    sub.add_argument("--out", type=Path, required=True)

    sub = verb("build", "pack one box: system.xml, start.pdb, atoms.parquet")
    sub.add_argument("composition", type=Path)
    sub.add_argument("--replica", type=int, default=1)
    sub.add_argument("--out", type=Path, required=True)

    sub = verb("spec", "all physics of one run, written to spec.json", study=True)
    sub.add_argument("formulation")
    sub.add_argument("temperature")
    sub.add_argument("replica")
    sub.add_argument("--out", type=Path, required=True)

    sub = verb("simulate", "equilibrate and produce; run it again to go on after a kill", study=True)
    for name in ("spec", "system", "start", "atoms", "work", "out"):
        sub.add_argument(f"--{name}", type=Path, required=True)
    sub.add_argument("--log", type=Path, help="messages go to this file too")
    sub.add_argument("--threads", type=int, help="on CPU, if the study does not say; by default all cores of the job")
    fresh = "if the work folder holds a run of other physics, set it aside and begin anew"
    sub.add_argument("--fresh", action="store_true", help=fresh)

    sub = verb("contacts", "find every contact and all RDFs of one trajectory", study=True)
    for name in ("atoms", "trajectory", "contacts", "rdf"):
        sub.add_argument(f"--{name}", type=Path, required=True)
    sub.add_argument("--workers", type=int, default=1)

    sub = verb("describe", "shells, speciation, clusters, CIPA and lifetimes of one state point", study=True)
    sub.add_argument("folder", type=Path, help="results/FORMULATION/TEMPERATUREK")
    sub.add_argument("--composition", type=Path, required=True)
    sub.add_argument("--atoms", type=Path, required=True)

    sub = verb("report", "the page of one formulation", study=True)
    sub.add_argument("formulation")
    sub.add_argument("--results", type=Path, default=layout.RESULTS)

    sub = verb("index", "the page that lists and compares all formulations, and features.csv", study=True)
    sub.add_argument("--results", type=Path, default=layout.RESULTS)


def _add_questions(verb: Add) -> None:
    """Verbs for what lies about a study: what changed, what the literature says, other programs."""
    sub = verb("why", "what differs between a run and what the study asks for now", study=True)
    sub.add_argument("formulation")
    sub.add_argument("temperature", nargs="?", help="in K; by default all")
    sub.add_argument("replica", nargs="?", help="by default all")
    sub.add_argument("--results", type=Path, default=layout.RESULTS)
    sub.add_argument("--work", type=Path, default=layout.WORK)

    sub = verb("claims", "what the literature says, and what the study's numbers say to it", study=True)
    sub.add_argument("formulation", nargs="*", help="only claims about these; by default all")
    sub.add_argument("--results", type=Path, default=layout.RESULTS)
    sub.add_argument("--list", action="store_true", help="say what is claimed, and judge nothing")

    purpose = "add a molecule to a parameter set of your own, from its SMILES or a topology (docs/parametrize.md)"
    sub = verb("parametrize", purpose, study=True)
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
    sub.add_argument("--remix", action="store_true", help="take sigma and epsilon made for another mixing rule")
    sub.add_argument("--title", default="")
    sub.add_argument("--alias", action="append", default=[], metavar="NAME")
    sub.add_argument("--role", default="", metavar="ROLE", help="solvent, diluent, additive, cation or anion")
    sub.add_argument("--density", type=float, metavar="G_CM3", help="of the liquid near 298 K; else it is estimated")
    sub.add_argument("--density-source", default="", metavar="TEXT")
    sub.add_argument("--set", default="own-1.0.0", help="your set, in the folder force_fields beside the study's file")
    sub.add_argument("--out", type=Path, help="the set's folder, if it is elsewhere")
    sub.add_argument("--extends", metavar="SET", help="the released set that a new set extends; by default the newest")

    sub = verb("export", "write a box's force field and positions for GROMACS or LAMMPS (docs/export.md)")
    sub.add_argument("folder", type=Path, help="results/FORMULATION/rN, or results/FORMULATION/TEMPERATUREK/rN")
    sub.add_argument("--to", required=True, metavar="gromacs|lammps")
    sub.add_argument("--out", type=Path, required=True)

    sub = verb("validate", "what the parameter sets are worth: run a part of the validation (docs/validation.md)")
    sub.add_argument(
        "part", choices=PARTS, metavar="PART", help="; ".join(f"{name}: {what}" for name, what in PARTS.items())
    )
    sub.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="its own; PART --help tells them")

    sub = verb("analyze", "describe a trajectory of any program")
    sub.add_argument("topology", help="any file that MDAnalysis reads")
    sub.add_argument("trajectory", nargs="?", help="not needed where the topology file holds coordinates")
    sub.add_argument("--species", type=Path, required=True, help="the species map")
    sub.add_argument("--out", type=Path, required=True)
    sub.add_argument("--options", type=Path, help="a YAML file with the keys of a study's section 'analysis'")
    for name in ("start", "stop", "step"):
        sub.add_argument(f"--{name}", type=int)
    sub.add_argument("--workers", type=int, default=1)
