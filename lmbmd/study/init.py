"""A study in a folder, new or not, anywhere on disk, in which ``snakemake`` then runs; nothing is overwritten."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from lmbmd.core.errors import LmbmdError
from lmbmd.core.files import write_text
from lmbmd.core.shipped import shipped_folder
from lmbmd.core.units import ANGSTROM_PER_NM
from lmbmd.core.words import counted, listed, unaccented
from lmbmd.core.yamlfile import read_yaml, to_yaml
from lmbmd.data.library import load_library
from lmbmd.forcefield.lookup import known
from lmbmd.forcefield.own import FOLDER, OwnSet, every_set, own_sets
from lmbmd.forcefield.sets import released_sets
from lmbmd.formulation.composition import compose
from lmbmd.formulation.models import Conditions, Formulation, Size, make_formulation
from lmbmd.literature.catalogue import RUNS, Entry, Standing, box_of, find_entry, load_catalogue, standing
from lmbmd.simulate.protocol import Protocol
from lmbmd.study import layout
from lmbmd.study.bottles_csv import read_bottles, read_codebook, refused_text
from lmbmd.study.study import Study, StudyFile, composition_of, load_study, read_options

_SNAKEFILE = """\
# `snakemake` in this folder runs the study in config/config.yaml with the workflow of the installed lmbmd.
from lmbmd.study.init import workflow_folder

include: str(workflow_folder() / "Snakefile")


rule study:  # an included file cannot say what a plain `snakemake` makes
    default_target: True
    localrule: True
    input:
        rules.all.input,
"""

_CONFIG = """\
# Written by `lmbmd init`. `lmbmd check` says what would run and what it could not tell, `lmbmd estimate` what it would
# cost, `snakemake` runs it, `lmbmd status` says how far it is. Every key and its default: docs/formulations.md.
{quick}study: "{name}"
formulations: formulations        # every .yaml file in this folder is one bottle

defaults:                         # for bottles that do not say otherwise
  force_field: {force_field}
  ion_charge_scale: {scale:<14g}  # factor on the charges of all ions: the model's largest assumption
  temperature_K: {temperature:<17}  # one temperature or a list, such as [273.15, 298.15, 333.15]
  replicas: {replicas:<22}  # independent boxes: error bars need at least three
  seed: 1
  # sweep:                        # each combination becomes a bottle of its own
  #   ion_charge_scale: [0.7, 0.8, 1.0]

protocol:
  equilibration_ns: {protocol.equilibration_ns:<14g}  # at least so long at constant pressure
  max_equilibration_ns: {protocol.max_equilibration_ns:<10g}  # at most, if density or energy still drift
  production_ns: {production:<17}  # raise it later: finished runs are extended, not begun anew
  frame_interval_ps: {protocol.frame_interval_ps:g}
  state_interval_ps: {protocol.state_interval_ps:g}

# transport: {{}}                   # and segments for diffusion, conductivity and viscosity; docs/simulation.md
"""

_QUICK_NOTE = """\
# --quick: boxes of about a thousand atoms (amounts within 20 % of the recipe's) and runs of 0.2 ns, one of each, to see
# on a laptop that all works and what a report looks like. No number in it says anything about these electrolytes: for
# those begin a study without --quick.
"""
#: For a first look: the runs of the demo.
_QUICK = Protocol(
    equilibration_ns=0.06, max_equilibration_ns=0.1, production_ns=0.2, frame_interval_ps=1.0, state_interval_ps=0.5
)
#: Sizes that are tried for a first look, cations, and how far the amounts may be from the recipe's.
_QUICK_PAIRS, _QUICK_TOLERANCE = (1, 2, 4, 6, 8, 10, 12, 15, 18, 20, 24, 30, 40, 50, 60, 80, 100), 0.2

_EXAMPLE = """\
# A bottle to change: the name of this file is its name. `lmbmd species` lists what it may hold, and each amount says
# what it is an amount of: 1 mol/L of solution, 2 mol/kg, 3 volume parts, 2 wt%, rest, … (docs/formulations.md).
title: 1 M LiFSI in DME
salts:
  LiFSI: 1 mol/L of solution
solvents:
  DME: rest
# diluents:
#   TTE: 20 vol%
size: {{ion_pairs: {ion_pairs}}}
"""
_EXAMPLE_NAME, _BOTTLES = "my-electrolyte", "formulations"
_CONFIG_NAME = "config/config.yaml"

_IGNORED = f"/{layout.RESULTS}/\n/{layout.WORK}/\n/{layout.LOGS}/\n/.snakemake/\n"


@dataclass(frozen=True)
class Answers:
    """What a new study is to be, as its file says it; the defaults are those of ``lmbmd init`` with names only.

    ``quick``: for a first look, in the smallest boxes that will do and in runs as short as the demo's. ``table``: a CSV
    file of further bottles, read as the ``codebook`` says; with ``skips``, rows that cannot be read are left out.
    """

    names: tuple[str, ...]
    temperature_K: str = "298.15"
    replicas: str = "3"
    production_ns: str = f"{Protocol().production_ns:g}"
    quick: bool = False
    table: Path | None = None
    codebook: Path | None = None
    skips: bool = False


def is_study(folder: Path) -> bool:
    """Whether a folder is a study, or has bottles of one."""
    return (folder / _CONFIG_NAME).exists() or any((folder / "config" / _BOTTLES).glob("*.y*ml"))


def workflow_folder() -> Path:
    """The folder with the Snakefile, its rules and the profiles: inside an installed package, or of the repository.

    Raises:
        LmbmdError: if the installation has none.
    """
    return shipped_folder("workflow", "_workflow", ".", ["Snakefile", "workflow"])


def init(folder: Path, answers: Answers) -> tuple[Study, list[str]]:
    """Make a folder a study, or add to the one that it is, and read it back.

    What a study needs and the folder lacks is written: its file, a bottle to begin with if there is none, the
    Snakefile, the profiles. Nothing in the folder is overwritten.

    Args:
        folder: made if it does not exist.
        answers: which entries of the catalogue become bottles, and under which conditions if the study is a new one.

    Returns:
        The study, and what the user should know: what was added to it, entries that another box answers, values left
        out, what a first look is worth.

    Raises:
        LmbmdError: if an entry does not exist, is not simulated or lacks parameters, a bottle of its name is there, or
            the study's file is no such file.
    """
    shipped, config = workflow_folder(), folder / _CONFIG_NAME
    is_there = config.exists()
    options = read_options(config) if is_there else None
    sets = config.parent / (options.force_fields if options else FOLDER)
    own = own_sets(sets)
    bottles, remarks = _bottles(answers, own)
    for name, text in _imported(answers, options, sets, own, remarks).items():
        if name in bottles:
            what = f"'{name}' is an entry of the catalogue that was named, and a row of {answers.table}, too."
            raise LmbmdError(what, remedy="Leave one of the two out.")
        bottles[name] = text
    where = _folder_of_bottles(config) if is_there else config.parent / _BOTTLES
    if not is_there and not bottles and not any(where.glob("*.y*ml")):
        bottles = {_EXAMPLE_NAME: _EXAMPLE.format(ion_pairs=10 if answers.quick else 100)}
        remarks.append(f"{where / _EXAMPLE_NAME}.yaml is an example: change it, or put your own bottles beside it.")
    if answers.quick and is_there:
        remarks.append(f"--quick makes the new bottles small; how long the runs are, {config} says as before.")
    elif answers.quick:
        remarks.append("--quick: for a first look. No number of so short a run in so small a box means anything.")
    profiles = [f"profiles/{name}/config.yaml" for name in ("default", "slurm")]
    files = {path: (shipped / path).read_text(encoding="utf-8") for path in profiles}
    files |= {"Snakefile": _SNAKEFILE, ".gitignore": _IGNORED, _CONFIG_NAME: _config(folder, answers)}
    kept = [path for path in files if (folder / path).exists()]
    for name in bottles:
        if (where / f"{name}.yaml").exists():
            what = "this bottle exists, and nothing is overwritten."
            raise LmbmdError(what, where=str(where / f"{name}.yaml"), remedy="Move it away, or leave its name out.")
    new = {folder / path: text for path, text in files.items() if path not in kept}
    new |= {where / f"{name}.yaml": text for name, text in bottles.items()}
    for path, text in new.items():
        write_text(path, text)
    added = listed([path.relative_to(folder).as_posix() for path in new]) if new else "nothing"
    if kept:
        remarks.append(f"added: {added}; left as it was: {listed(kept)}.")
    try:
        return load_study(config), remarks
    except LmbmdError as error:  # in what the user wrote: the rest is there all the same
        raise LmbmdError(
            error.what, where=error.where, remedy=f"{error.remedy or ''} Added: {added}.".strip()
        ) from error


def _config(folder: Path, answers: Answers) -> str:
    """The text of a new study's file."""
    protocol = _QUICK if answers.quick else Protocol()
    return _CONFIG.format(
        name=_name_of(folder),
        force_field=Conditions().force_field,
        scale=released_sets()[Conditions().force_field].ion_charge_scale,
        temperature=answers.temperature_K,
        replicas="1" if answers.quick else answers.replicas,
        production=f"{protocol.production_ns:g}" if answers.quick else answers.production_ns,
        protocol=protocol,
        quick=_QUICK_NOTE if answers.quick else "",
    )


def _folder_of_bottles(config: Path) -> Path:
    """Where the bottles of a study are whose file is there."""
    entries = read_options(config).formulations
    return next(
        (config.parent / entry for entry in entries if (config.parent / entry).is_dir()), config.parent / _BOTTLES
    )


def _bottles(answers: Answers, own: Mapping[str, OwnSet]) -> tuple[dict[str, str], list[str]]:
    """The text of each bottle's file, and remarks; with the sets of the study's own, if it needs one of them."""
    texts, remarks = {}, []
    for name in answers.names:
        entry = box_of(find_entry(name))
        if entry.name != name:
            remarks.append(f"'{name}' has no box of its own: that of '{entry.name}' answers it.")
        found = standing(entry, own=own)
        if found.state not in RUNS:
            what = f"'{entry.name}' cannot be simulated here: {found.state}, {found.detail}."
            raise LmbmdError(what, remedy=f"`lmbmd catalogue {entry.name}` says more.")
        text, left_out = _file(entry, found, answers.quick, own)
        texts[entry.name] = text
        if left_out:
            remarks.append(f"left out of '{entry.name}', as parameters are lacking: {', '.join(left_out)}.")
    return texts, remarks


def _imported(
    answers: Answers, options: StudyFile | None, folder: Path, own: Mapping[str, OwnSet], remarks: list[str]
) -> dict[str, str]:
    """The text of the file of each bottle in a table; what was left out of it is added to the remarks."""
    if answers.table is None:
        return {}
    defaults = options.defaults.model_dump(exclude_unset=True) if options else {}

    def check(name: str, data: dict[str, Any]) -> None:
        formulation = make_formulation(name, {**defaults, **data}, Path(str(answers.table)), {})
        if answers.quick and (size := _smallest([formulation], own)):
            data["size"] = size
            formulation = make_formulation(name, {**defaults, **data}, Path(str(answers.table)), {})
        composition_of(formulation, load_library(), own, folder)

    found, refused = read_bottles(answers.table, read_codebook(answers.codebook), known(own), check)
    if refused and not answers.skips:
        many = f"{len(refused)} of {counted(len(found) + len(refused), 'row')} cannot be read, and nothing is written."
        remedy = "Mend them, or leave them out with --skip-refused."
        raise LmbmdError(f"{many} {refused_text(refused)}", where=str(answers.table), remedy=remedy)
    if refused:
        remarks.append(f"left out of {answers.table}, {counted(len(refused), 'row')}: {refused_text(refused)}")
    head = f"# From {answers.table.name}, by `lmbmd init --from-csv`.\n"
    return {name: head + to_yaml(data) for name, data in found.items()}


def _file(entry: Entry, found: Standing, quick: bool, own: Mapping[str, OwnSet]) -> tuple[str, list[str]]:
    """The entry's file as a bottle of a study, and the bottles of its sweep that cannot be built.

    Without its section ``catalogue``; with the force field it needs, if that is not the default; without the values
    of its sweep that lack parameters; and for a first look with the size of the smallest box that will do.
    """
    data, _ = read_yaml(entry.path)
    del data["catalogue"]
    alive = [bottle for bottle in found.bottles if bottle.composition is not None]
    dead = [bottle for bottle in found.bottles if bottle.composition is None]
    if dead:
        ((key, values),) = data["sweep"].items()
        both = zip(values, found.bottles, strict=True)
        data["sweep"] = {key: [value for value, bottle in both if bottle.composition]}
    needed = {bottle.force_field for bottle in alive} - {Conditions().force_field}
    if needed:
        data["force_field"] = max(needed)
    if quick and (size := _smallest([bottle.formulation for bottle in alive], own)):
        data["size"] = size
    head = f"# From lmbmd's catalogue: `lmbmd catalogue {entry.name}`. What it assumes is said in its report.\n"
    return head + to_yaml(data), [bottle.formulation.name for bottle in dead]


def _smallest(formulations: Sequence[Formulation], own: Mapping[str, OwnSet]) -> dict[str, Any]:
    """The smallest size, as a file has it, at which all of these can be composed; empty if none that is tried does."""
    sets = every_set(own)
    for pairs in _QUICK_PAIRS:
        size = Size(ion_pairs=pairs, tolerance=_QUICK_TOLERANCE)
        try:
            for one in formulations:
                smaller = one.model_copy(update={"size": size})
                library = own[one.force_field].library if one.force_field in own else load_library()
                found = sets[one.force_field]
                compose(
                    smaller,
                    library,
                    cutoff_nm=found.cut_off_A / ANGSTROM_PER_NM,
                    ion_charge_scale=found.ion_charge_scale,
                )
            return size.model_dump(exclude_unset=True)
        except LmbmdError:
            continue  # too small for its cut-off, or for whole molecules
    return {}


def _name_of(folder: Path) -> str:
    return re.sub(r"[^a-z0-9._-]+", "-", unaccented(folder.resolve().name).lower()).strip("-._") or "study"


def told(study: Study, remarks: Sequence[str]) -> str:
    """What was written and what to do next."""
    folder = study.path.parent.parent
    size = f"{counted(len(study.names), 'bottle')}, {counted(len(study.runs()), 'run')}"
    boxes = [f"  {name}: {study.composition(name).n_atoms} atoms" for name in study.names]
    lines = [f"{folder if folder.name else study.name}: {size}", *boxes, *remarks]
    steps = [
        *([] if folder.resolve() == Path.cwd() else [f"  cd {shlex.quote(str(folder))}"]),
        "  lmbmd check      # what would be run, and what it could not tell",
        "  lmbmd estimate   # how many hours and how much disk that takes",
        "  snakemake        # runs it; `lmbmd status` says how far it is",
    ]
    return "\n".join([*lines, "", *steps])


def ask(read: Callable[[str], str], say: Callable[[str], None]) -> Answers:
    """A short round of questions; an answer that cannot be is asked for again.

    Args:
        read: shows a prompt and returns a line.
        say: shows a line.
    """
    say("Which electrolytes? A name of the catalogue, or words to look for, such as 'LiFSI TTE'. Empty when done;")
    say("without any, the study gets an example of a bottle, to be changed.")
    names: list[str] = []
    while line := read("electrolyte: ").strip():
        found = [line] if line in load_catalogue() else _look_for(line.split())
        if len(found) != 1:
            say("\n".join(f"  {name}: {find_entry(name).title}" for name in found[:20]) or "  nothing found")
            continue
        try:
            _bottles(Answers(tuple(found)), own={})  # a new study has no sets of its own
            names += [name for name in found if name not in names]
            say(f"  taken: {found[0]}, {find_entry(found[0]).title}")
        except LmbmdError as error:
            say(f"  {error}")

    def number(prompt: str, model: type[BaseModel], key: str) -> str:
        shown = getattr(Answers, key)
        while text := read(f"{prompt} [{shown}]: ").strip():
            try:
                values = _numbers(text)
                model.model_validate({key: values if key == "temperature_K" else values[0]})
                return f"[{', '.join(map(str, values))}]" if len(values) > 1 else str(values[0])
            except ValueError:
                say(f"  '{text}' cannot be.")
        return shown

    temperature = number("temperatures in K", Conditions, "temperature_K")
    replicas = number("replicas of each", Conditions, "replicas")
    production = number("production in ns", Protocol, "production_ns")
    return Answers(tuple(names), temperature, replicas, production)


def _numbers(text: str) -> list[float | int]:
    """Numbers between commas or spaces.

    Raises:
        ValueError: if a part is no number.
    """
    return [int(part) if part.isdigit() else float(part) for part in text.replace(",", " ").split()]


def _look_for(words: Sequence[str]) -> list[str]:
    """Entries that can be simulated and whose name, title or components have all the words."""
    entries = [entry for entry in load_catalogue().values() if words]
    return [
        entry.name
        for entry in entries
        if all(word.lower() in f"{entry.name} {entry.title} {' '.join(entry.mentions)}".lower() for word in words)
        and standing(entry).state in RUNS
    ]
